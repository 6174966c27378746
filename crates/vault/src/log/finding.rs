//! What can be wrong in a log: said with the slot and the rule, so that a person can look.

use std::fmt;

use jiff::Timestamp;

use crate::ids::{BackupId, IncarnationId, SessionId};
use crate::keys::{PublicKey, Role};
use crate::log::entry::EntryError;
use crate::names::PackClass;
use crate::pack::PackId;

/// Something in the log that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The slot.
    pub sequence: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Somebody or something does what it should not; nothing is lost by it.
    Warning,
    /// What the log says may not be all there was, or somebody who may sign does harm.
    Error,
}

/// What is wrong with a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The slot holds nothing that belongs to this log.
    #[error("log slot {at} is a hole: {why}")]
    Hole {
        /// The slot.
        at: u64,
        /// Why.
        why: Hole,
    },
    /// A linked entry has no effect.
    #[error("log entry {at} has no effect: {why}")]
    Void {
        /// The slot.
        at: u64,
        /// Why.
        why: Void,
    },
    /// The entry does not follow the one before it.
    #[error(
        "the log is broken before entry {at}: an entry before it is missing, damaged or exchanged"
    )]
    Break {
        /// The slot.
        at: u64,
    },
    /// Slots are empty although later ones are not.
    #[error("log entries {first} to {last} are missing")]
    Missing {
        /// The first slot.
        first: u64,
        /// The last slot.
        last: u64,
    },
    /// A newer Soter wrote this: use that one.
    #[error("log entry {at} needs {feature:?}, which this Soter does not know")]
    Unknown {
        /// The slot.
        at: u64,
        /// The kind or the feature.
        feature: String,
    },
    /// The author's clock is wrong: set it.
    #[error("log entry {at} claims {claimed}, but was stored at {stored}")]
    Clock {
        /// The slot.
        at: u64,
        /// The author's clock.
        claimed: Timestamp,
        /// The store's clock.
        stored: Timestamp,
    },
    /// After a break: a backup refers to a pack that no entry describes.
    #[error("backup {backup} refers to {pack}, which no readable entry describes")]
    Undescribed {
        /// The backup.
        backup: BackupId,
        /// The first such pack.
        pack: NamedPack,
    },
}

/// Why a slot is a hole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hole {
    /// Its bytes are no entry.
    #[error("{0}")]
    Bytes(EntryError),
    /// An entry of another log or slot, copied here.
    #[error("it holds entry {sequence} of another log or place")]
    Elsewhere {
        /// The sequence it was signed for.
        sequence: u64,
    },
    /// The trust list it names is not there.
    #[error("it names trust list {0}, which is not there")]
    NoTrustList(u32),
    /// Its trust list does not know the signer.
    #[error("trust list {trust} does not enrol {signer}")]
    Stranger {
        /// The list.
        trust: u32,
        /// The signer.
        signer: PublicKey,
    },
    /// An older trust list than an entry before it.
    #[error("it goes by trust list {trust}, an entry before it by {before}")]
    OldTrustList {
        /// Its list.
        trust: u32,
        /// The list of the entry before.
        before: u32,
    },
}

/// Why a linked entry has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// Its signer may not do this.
    #[error("{signer} may not {kind}: it needs the role {role:?}")]
    Role {
        /// The signer.
        signer: PublicKey,
        /// What it tried.
        kind: String,
        /// The role it needs.
        role: Role,
    },
    /// The session id was used before.
    #[error("session {0} was opened before")]
    SessionSeen(SessionId),
    /// It adopts a session that is unknown or still at work.
    #[error("it adopts session {0}, which is not a dead one")]
    Adopts(SessionId),
    /// The incarnation is another cluster's.
    #[error("incarnation {id} belongs to {bound_to:?}")]
    Incarnation {
        /// The incarnation.
        id: IncarnationId,
        /// The cluster it is bound to; empty if the session has another incarnation.
        bound_to: String,
    },
    /// There is no such session.
    #[error("session {0} was never opened")]
    NoSession(SessionId),
    /// Somebody else has taken over.
    #[error("session {session} was superseded by entry {by}")]
    Superseded {
        /// The session.
        session: SessionId,
        /// The entry that superseded it.
        by: u64,
    },
    /// The session is another signer's.
    #[error("session {0} was opened by another signer")]
    NotItsSession(SessionId),
    /// The backup id was used before.
    #[error("backup {0} exists")]
    BackupSeen(BackupId),
    /// It describes a pack that is not its to describe, or otherwise than before.
    #[error("it describes {0}, which is not its own, or otherwise than an entry before")]
    Row(NamedPack),
    /// It refers to a pack that no live backup holds.
    #[error("it refers to {0}, which no live backup holds and its session may not use")]
    Reference(NamedPack),
    /// It refers to a pack that is gone or about to go.
    #[error("it refers to {0}, which was swept")]
    Swept(NamedPack),
    /// It refers to a pack that no entry describes.
    #[error("it refers to {0}, which no entry describes")]
    Undescribed(NamedPack),
    /// The WAL range makes no sense.
    #[error("its WAL range makes no sense")]
    WalRange,
    /// It needs WAL that was swept.
    #[error("it needs WAL that was swept")]
    SweptWal,
    /// The backup is not there, or let go.
    #[error("backup {0} is not a live one")]
    NotLive(BackupId),
    /// The backup must stay.
    #[error("backup {0} must stay: {1}")]
    Floor(BackupId, Floor),
    /// The pack's session is not known: it may be from the future.
    #[error("it sweeps {0}, whose session is not known")]
    SweepsUnknown(NamedPack),
    /// The pack is in use.
    #[error("it sweeps {0}, which a live backup or a session needs")]
    SweepsUsed(NamedPack),
    /// The WAL is in use.
    #[error("it sweeps WAL of incarnation {0} that is needed")]
    SweepsUsedWal(IncarnationId),
    /// There is no such hold.
    #[error("entry {0} is not a hold, or was lifted")]
    NoHold(u64),
    /// What was imported is not what it should be.
    #[error("what it imports is not valid: {0}")]
    Import(String),
}

/// Why a backup may not be retired, whoever wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Floor {
    /// It is the newest.
    #[error("it is the newest")]
    Newest,
    /// It is the newest that was looked into and found good.
    #[error("it is the newest that passed verification")]
    NewestAttested,
    /// Somebody holds it without end.
    #[error("it is held")]
    Held,
}

/// A pack and its class, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPack(pub PackClass, pub PackId);

impl fmt::Display for NamedPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.0 {
            PackClass::Data => "data",
            PackClass::Map => "map",
        };
        write!(f, "{class} pack {}/{:06x}", self.1.session, self.1.number)
    }
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match &self.problem {
            Problem::Clock { .. } => Severity::Note,
            Problem::Hole { why: Hole::Bytes(_) | Hole::Stranger { .. }, .. } => Severity::Warning,
            Problem::Hole { .. }
            | Problem::Void { .. }
            | Problem::Break { .. }
            | Problem::Missing { .. }
            | Problem::Unknown { .. }
            | Problem::Undescribed { .. } => Severity::Error,
        }
    }
}
