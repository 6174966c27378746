//! What can be wrong with WAL in a vault.

use std::fmt;

use super::sealed::SealError;
use super::stitch::Divergence;
use crate::frame::FrameError;
use crate::header::HeaderError;
use crate::ids::{ContentId, SessionId};
use crate::keys::{ErrorKind, KeyError, PublicKey};
use crate::objects::{ObjectError, ObjectErrorKind};

/// Why WAL could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// The vault's store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// The file to be pushed cannot be read, or is not what its name says.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key does not open it: use another.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The name holds other bytes, signed by an agent of this store. Nothing was overwritten: two
    /// clusters write into one history, or one wrote it twice.
    #[error("{object} holds another file: its content is {theirs}, this one's {ours}")]
    Conflict {
        /// The object that is there.
        object: String,
        /// Content id of the file that was pushed.
        ours: ContentId,
        /// Content id of the file that is there.
        theirs: ContentId,
    },
    /// A part of this session with other bytes is there: two processes use one session.
    #[error("{object} holds other bytes, sealed in the same session")]
    PartConflict {
        /// The object that is there.
        object: String,
    },
    /// The name and all its repairs are taken by objects that no agent of this store made: remove
    /// them.
    #[error("{name} and all its repairs are taken: {}", list(.findings))]
    Taken {
        /// The name.
        name: String,
        /// What is there.
        findings: Vec<Finding>,
    },
    /// Something is there, but nothing that can be used: look in another vault.
    #[error("{name} cannot be used: {}", list(.findings))]
    Damaged {
        /// The name.
        name: String,
        /// What is there.
        findings: Vec<Finding>,
    },
    /// The parts do not make a whole segment.
    #[error("{segment} is known up to byte {end} only{}", because(.divergence))]
    Incomplete {
        /// Which segment.
        segment: super::place::Segment,
        /// How many bytes there are from its beginning on.
        end: u32,
        /// Whether two parts disagree there.
        divergence: Option<Divergence>,
    },
}

/// An object under a name of the vault that is not what the name says, and does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub fault: Fault,
}

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
    /// Whoever wrote it is no agent any more, and it was not there when that ended.
    #[error(
        "{signer} is no agent any more, and this is not of the WAL that was there when it ended"
    )]
    Ended {
        /// Who.
        signer: PublicKey,
    },
    /// The frames are not those that were signed.
    #[error("its frames are damaged")]
    Frames,
    /// A frame does not open.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A part of a session whose key is not known.
    #[error("the key of session {0} is not known")]
    UnknownSession(SessionId),
    /// The name is none that a writer of this version makes.
    #[error("its name is not one of a vault")]
    Name,
    /// It opened, but is not what was signed: a writer's mistake.
    #[error("its content is not the one that was signed")]
    Content,
}

impl WalError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => match error.kind() {
                ObjectErrorKind::Retry => ErrorKind::Retry,
                ObjectErrorKind::NotFound => ErrorKind::NotFound,
                ObjectErrorKind::Input => ErrorKind::Input,
                ObjectErrorKind::Full | ObjectErrorKind::Denied | ObjectErrorKind::Failed => {
                    ErrorKind::Failed
                }
            },
            Self::Key(error) => error.kind(),
            Self::Seal(SealError::Length { .. } | SealError::ObjectLength { .. })
            | Self::Conflict { .. } => ErrorKind::Input,
            Self::Seal(SealError::Read(_)) | Self::Taken { .. } => ErrorKind::Failed,
            Self::PartConflict { .. } => ErrorKind::Superseded,
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::Incomplete { .. } => ErrorKind::NotFound,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.fault)
    }
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ")
}

#[expect(clippy::ref_option, reason = "thiserror hands over references to fields")]
fn because(divergence: &Option<Divergence>) -> String {
    match divergence {
        Some(Divergence { objects, .. }) => format!(", where {} disagree", objects.join(" and ")),
        None => String::new(),
    }
}
