//! What can be wrong with keys and trust.

use crate::ids::StoreId;
use crate::keys::{PublicKey, Recipient};

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
            Self::WrongKey { .. }
            | Self::NotEnrolled { .. }
            | Self::LastOperator
            | Self::NameTaken { .. } => ErrorKind::Input,
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::UnknownStore { .. }
            | Self::UnknownSigner { .. }
            | Self::UnknownOperator { .. } => ErrorKind::NotFound,
        }
    }
}

fn list(recipients: &[Recipient]) -> String {
    match recipients {
        [] => "a recipient that age does not name".to_owned(),
        some => some.iter().map(Recipient::to_string).collect::<Vec<_>>().join(", "),
    }
}
