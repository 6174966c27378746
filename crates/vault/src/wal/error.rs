//! What can be wrong with WAL in a vault.

use crate::frame::FrameError;
use crate::header::HeaderError;
use crate::keys::PublicKey;

/// Why an object is not what its name says. Such an object is named and never used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The header is damaged, of another version, or not one of a vault.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The header is whole but belongs to another object.
    #[error("its header belongs to another object")]
    Elsewhere,
    /// A field of the head, or of an index, that no writer of this version makes.
    #[error("its {0} is damaged")]
    Field(&'static str),
    /// The bytes end too early, or go on after the end.
    #[error("it is {found} bytes long, not {expected}")]
    Length {
        /// Its length in bytes.
        found: u64,
        /// The length that was signed, or that the name promises.
        expected: u64,
    },
    /// Nobody signed these bytes for this name.
    #[error("its signature is not one of {0} for this name")]
    Signature(PublicKey),
    /// Somebody signed it who may not.
    #[error("{signer} is no agent of this store in trust list {trust_number}")]
    Signer {
        /// Who.
        signer: PublicKey,
        /// The list that the object names.
        trust_number: u32,
    },
    /// The frames are not those that were signed.
    #[error("its frames are damaged")]
    Frames,
    /// A frame does not open.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It opened, but is not what was signed: a writer's mistake.
    #[error("its content is not the one that was signed")]
    Content,
}
