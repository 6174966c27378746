//! What can be wrong with keys and trust.

use crate::ids::{StoreId, VaultId};
use crate::keys::{PublicKey, Recipient, TrustFinding};
use crate::objects::{ObjectError, ObjectErrorKind};
use crate::record::RecordError;

/// Why a key cannot be had, or nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The identity is none of those the secret was wrapped to: use another key file.
    #[error("{what} was not wrapped to this key: it is wrapped to {}, the key is {}", list(.needed), list(.found))]
    WrongKey {
        /// What was to be opened.
        what: String,
        /// The public half of the identity that was used.
        found: Vec<Recipient>,
        /// Whose identity is needed; empty when the wrap does not say.
        needed: Vec<Recipient>,
    },
    /// The identity is the right one, yet the wrap does not open: fetch it from another vault.
    #[error("{what} is damaged: the key is the right one, but it does not open")]
    Damaged {
        /// What was to be opened.
        what: String,
    },
    /// No trust list knows this store.
    #[error("the trust list knows no store {store}")]
    UnknownStore {
        /// The store.
        store: StoreId,
    },
    /// The newest trust list does not enrol this signer for this store: enrol it.
    #[error("{signer} is not enrolled for store {store}")]
    NotEnrolled {
        /// The signer.
        signer: PublicKey,
        /// The store.
        store: StoreId,
    },
    /// The trust list knows no such signer.
    #[error("the trust list knows no signer {signer}")]
    UnknownSigner {
        /// Who.
        signer: PublicKey,
    },
    /// The trust list knows no such operator.
    #[error("the trust list knows no operator {operator}")]
    UnknownOperator {
        /// Who.
        operator: Recipient,
    },
    /// Without an operator nobody could read: add another first.
    #[error("the last operator cannot be removed: nobody could read the backups any more")]
    LastOperator,
    /// A store of this name is there: take another name.
    #[error("there is a store {name:?} already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is nothing of a vault here: look at the URL.
    #[error("there is no vault here: neither a record nor a trust list")]
    NoVault,
    /// A vault is here already; it is never replaced.
    #[error("there is a vault here already: {vault}")]
    AlreadyAVault {
        /// The vault.
        vault: VaultId,
    },
    /// The key file belongs to another vault: give the right one, or look at the URL.
    #[error("this is vault {found}, the key file is for vault {expected}")]
    OtherVault {
        /// The vault that the key file names.
        expected: VaultId,
        /// The vault that is here.
        found: VaultId,
    },
    /// Nothing here is signed by a root that the key file pins.
    #[error("nobody in this vault can be believed: {}", reasons(.findings))]
    NoTrust {
        /// What was found instead.
        findings: Vec<TrustFinding>,
    },
    /// The vault shows an older state than was seen before: somebody restored, cut or exchanged it.
    #[error("the newest trust list is number {newest}, but number {remembered} was seen before")]
    RolledBack {
        /// What was seen before.
        remembered: u32,
        /// What is here now.
        newest: u32,
    },
    /// The record or a list is of a newer format.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Another key signed the list that counts: give that root's file.
    #[error("{root} is not the root that signed the newest trust list")]
    NotTheRoot {
        /// The key that was given.
        root: PublicKey,
    },
    /// Somebody published a trust list meanwhile: load it, change that one, publish again.
    #[error("trust list {number} has been published meanwhile")]
    Superseded {
        /// Its number.
        number: u32,
    },
    /// Somebody with the write credential takes the names of trust lists: take it away from them.
    #[error("the next {names} names of trust lists are taken by objects that no root signed")]
    Squatted {
        /// How many were tried.
        names: u32,
    },
    /// The list contradicts itself: a mistake in this program.
    #[error("the trust list makes no sense: {reason}")]
    Senseless {
        /// What is wrong.
        reason: String,
    },
    /// Losing one key would lose every backup: give a second operator.
    #[error("a vault needs two operators: with one, losing one key file loses every backup")]
    OneOperator,
    /// The place lets several writers create one name: a log kept here can lose backups.
    #[error("this place does not keep its promise: {winners} of {tries} created the same object")]
    NotExclusive {
        /// How many were told that they created it.
        winners: usize,
        /// How many tried.
        tries: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ObjectError),
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again.
    Retry,
    /// Give something else: another key, another name.
    Input,
    /// It is not there.
    NotFound,
    /// Somebody else was first: look again.
    Superseded,
    /// Stored bytes are not what was written: look in another vault.
    Damaged,
    /// It did not work, and trying again will not help.
    Failed,
}

impl KeyError {
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
            Self::Superseded { .. } => ErrorKind::Superseded,
            Self::Damaged { .. } | Self::NoTrust { .. } | Self::RolledBack { .. } => {
                ErrorKind::Damaged
            }
            Self::UnknownStore { .. }
            | Self::UnknownSigner { .. }
            | Self::UnknownOperator { .. }
            | Self::NoVault => ErrorKind::NotFound,
            Self::Squatted { .. } | Self::Senseless { .. } | Self::NotExclusive { .. } => {
                ErrorKind::Failed
            }
            Self::WrongKey { .. }
            | Self::NotEnrolled { .. }
            | Self::LastOperator
            | Self::NameTaken { .. }
            | Self::AlreadyAVault { .. }
            | Self::OtherVault { .. }
            | Self::Record(_)
            | Self::NotTheRoot { .. }
            | Self::OneOperator => ErrorKind::Input,
        }
    }
}

fn reasons(findings: &[TrustFinding]) -> String {
    match findings {
        [] => "there is no trust list".to_owned(),
        some => some.iter().map(TrustFinding::to_string).collect::<Vec<_>>().join("; "),
    }
}

fn list(recipients: &[Recipient]) -> String {
    match recipients {
        [] => "a recipient that age does not name".to_owned(),
        some => some.iter().map(Recipient::to_string).collect::<Vec<_>>().join(", "),
    }
}
