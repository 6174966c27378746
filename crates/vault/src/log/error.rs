//! What can go wrong with a log.

use crate::ids::SessionId;
use crate::keys::{ErrorKind, KeyError, PublicKey};
use crate::log::entry::{EntryError, TooLong};
use crate::log::event::LogHead;
use crate::log::finding::Void;
use crate::objects::{ObjectError, ObjectErrorKind};

/// Why a log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The place of the vault does not do as asked. An entry that was being written may be there.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// Keys, trust lists, or the place's promise.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Another session has taken over: stop.
    #[error("session {session} was superseded by log entry {by}")]
    Superseded {
        /// This session.
        session: SessionId,
        /// The entry that superseded it.
        by: u64,
    },
    /// Somebody else has changed, before entry `at`, what the decision was made by: decide again.
    #[error("the log was changed by somebody else meanwhile, before its entry {at}")]
    Overtaken {
        /// Where the entry would have come.
        at: u64,
    },
    /// Another agent holds this duty: stop it, or take over on purpose.
    #[error("agent {agent:?} ({signer}) holds this store: take over only when it is gone")]
    HeldByAnother {
        /// Its name.
        agent: String,
        /// Its key.
        signer: PublicKey,
    },
    /// The entry would break a rule of the log.
    #[error("the log does not accept this entry: {why}")]
    Refused {
        /// The rule.
        why: Void,
    },
    /// A newer Soter writes this log: use that one.
    #[error("the log has entries of a newer Soter ({}): this one may read, not write", .features.join(", "))]
    Newer {
        /// Kinds and features.
        features: Vec<String>,
    },
    /// The keys in use were taken from an older trust list than the log's newest entry goes by: load
    /// them again.
    #[error("the log goes by trust list {log}, the keys in use are from list {own}")]
    OldKeys {
        /// The list the keys are from.
        own: u32,
        /// The list of the newest entry.
        log: u32,
    },
    /// The vault shows an older log than was seen before: somebody hides or has lost its end.
    #[error(
        "the log was seen to reach entry {}, and that entry is missing or another: somebody hides the end of the log, or the vault has lost it",
        .remembered.sequence
    )]
    TailCut {
        /// What was seen before.
        remembered: LogHead,
        /// What is there.
        found: Option<LogHead>,
    },
    /// Somebody takes every slot before us.
    #[error("{slots} slots of the log were taken one after another: somebody is in the way")]
    Jammed {
        /// How many were tried.
        slots: u32,
    },
    /// The entry is too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The body of an entry cannot be opened.
    #[error("log entry {sequence}: {source}")]
    Entry {
        /// The slot.
        sequence: u64,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// There is no such backup.
    #[error("there is no backup {0}")]
    NoBackup(crate::ids::BackupId),
    /// The archive of WAL, where it was looked at together with the log.
    #[error(transparent)]
    Wal(Box<crate::wal::WalError>),
    /// It was asked to stop.
    #[error("stopped before it was done")]
    Stopped,
    /// Nothing may be deleted in such a place by a rule.
    #[error("nothing can be swept here: {reason}")]
    Unsweepable {
        /// Why.
        reason: &'static str,
    },
    /// The log is broken, and nothing may be deleted until somebody has looked.
    #[error(
        "the log is broken before entry {at}: nothing is deleted until an operator accepts that"
    )]
    Broken {
        /// The first entry behind the break.
        at: u64,
    },
}

impl LogError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => match error.kind() {
                ObjectErrorKind::Retry => ErrorKind::Retry,
                ObjectErrorKind::NotFound => ErrorKind::NotFound,
                ObjectErrorKind::Full
                | ObjectErrorKind::Denied
                | ObjectErrorKind::Input
                | ObjectErrorKind::Failed => ErrorKind::Failed,
            },
            Self::Key(error) => error.kind(),
            Self::Wal(error) => error.kind(),
            Self::Superseded { .. } | Self::Overtaken { .. } => ErrorKind::Superseded,
            Self::Refused { why } => match why {
                Void::Superseded { .. } => ErrorKind::Superseded,
                // What the backup was to share is gone: a new one stores it again.
                Void::Swept(_) | Void::Reference(_) => ErrorKind::Retry,
                _ => ErrorKind::Failed,
            },
            Self::OldKeys { .. } | Self::Stopped => ErrorKind::Retry,
            Self::NoBackup(_) => ErrorKind::NotFound,
            Self::HeldByAnother { .. } | Self::Newer { .. } | Self::Unsweepable { .. } => {
                ErrorKind::Input
            }
            Self::TailCut { .. } | Self::Entry { .. } | Self::Broken { .. } => ErrorKind::Damaged,
            Self::Jammed { .. } | Self::TooLong(_) => ErrorKind::Failed,
        }
    }
}
