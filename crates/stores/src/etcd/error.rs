//! What can go wrong with an etcd, sorted by what to do about it.

use std::io;

use crate::etcd::Endpoint;

/// An etcd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// No member could be asked. What each said is here.
    #[error("no member of the etcd answers: {}", reasons(.0))]
    NoMember(Vec<(Endpoint, Box<Self>)>),
    /// The connection or TLS failed: look at the address, the certificates and the network.
    #[error("{endpoint} cannot be asked: {reason}")]
    Connection {
        /// Which member.
        endpoint: Endpoint,
        /// What happened, in the words of who noticed.
        reason: String,
    },
    /// It answered with an error of its own.
    #[error("{endpoint} refuses: {message}")]
    Refused {
        /// Which member.
        endpoint: Endpoint,
        /// Code of gRPC, or status of HTTP where there is none.
        code: i64,
        /// Its words.
        message: String,
    },
    /// It answered something that no etcd answers: a proxy, or another server.
    #[error("{endpoint} answers what no etcd does: {reason}")]
    Senseless {
        /// Which member.
        endpoint: Endpoint,
        /// What is wrong.
        reason: String,
    },
    /// What arrived is not what the server hashed: try again, or ask another member.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// A certificate or key cannot be used.
    #[error("the {what} cannot be used: {reason}")]
    Certificate {
        /// Which of them.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The snapshot could not be put where it should go.
    #[error("the snapshot cannot be written")]
    Disk(#[source] io::Error),
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again, or ask another member.
    Retry,
    /// Give another address, certificate or role.
    Input,
    /// It did not work, and trying again will not help.
    Failed,
}

/// gRPC: the caller may not, or is nobody.
const DENIED: [i64; 4] = [7, 16, 401, 403];

/// gRPC: out of range, such as a revision that was compacted.
const OUT_OF_RANGE: i64 = 11;

impl EtcdError {
    /// Whether what was asked for is of a revision that was let go meanwhile.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        matches!(self, Self::Refused { code: OUT_OF_RANGE, message, .. } if message.contains("compacted"))
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoMember(tried) => {
                let mut kinds = tried.iter().map(|(_, error)| error.kind());
                // One that may come back is reason enough to try again.
                if kinds.clone().any(|kind| kind == ErrorKind::Retry) {
                    ErrorKind::Retry
                } else {
                    kinds.next().unwrap_or(ErrorKind::Input)
                }
            }
            Self::Connection { .. } | Self::Damaged(_) => ErrorKind::Retry,
            Self::Refused { code, .. } if DENIED.contains(code) => ErrorKind::Input,
            Self::Refused { .. } => ErrorKind::Retry,
            Self::Certificate { .. } | Self::Senseless { .. } => ErrorKind::Input,
            Self::Disk(_) => ErrorKind::Failed,
        }
    }
}

fn reasons(tried: &[(Endpoint, Box<EtcdError>)]) -> String {
    match tried {
        [] => "none is named".to_owned(),
        some => some.iter().map(|(_, error)| error.to_string()).collect::<Vec<_>>().join("; "),
    }
}
