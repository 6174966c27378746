//! What can go wrong when a server is asked by SQL, and what to do about it.

use thiserror::Error;

use crate::cluster::UnknownVersion;
use crate::error::ErrorKind;
use crate::replication::{Refusal, ServerError};

/// The operation that failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection or the statement failed: see [`Error::refusal`].
    #[error("cannot {action}")]
    Sql {
        /// What was to be done.
        action: &'static str,
        /// What the server or the connection said.
        #[source]
        source: postgres::Error,
    },
    /// The server is of a version that cannot be protected.
    #[error("the server cannot be protected")]
    Version(#[source] UnknownVersion),
    /// The server answered something that PostgreSQL does not answer.
    #[error("the server's {what} cannot be understood: {text:?}")]
    Answer {
        /// What was asked for.
        what: &'static str,
        /// What came.
        text: String,
    },
    /// A label that the server would refuse, or that would break the lines of `backup_label`.
    #[error("a backup's label must have 1 to 1000 printable ASCII characters")]
    Label,
    /// The server did not leave recovery in time. It may still do so.
    #[error("the server did not finish its promotion within {seconds} seconds")]
    NotPromoted {
        /// How long it was given.
        seconds: u64,
    },
    /// The stop token was set while the server worked.
    #[error("stopped: cannot {action}")]
    Stopped {
        /// What was to be done.
        action: &'static str,
    },
}

impl Error {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Sql { source, .. } => match self.refusal() {
                Some(refusal) => refusal.kind(),
                None if source.is_closed() || is_io(source) => ErrorKind::Retry,
                None => ErrorKind::Failed,
            },
            Self::Version(_) | Self::Label => ErrorKind::Input,
            Self::Answer { .. } => ErrorKind::Damaged,
            Self::NotPromoted { .. } => ErrorKind::Retry,
            Self::Stopped { .. } => ErrorKind::Stopped,
        }
    }

    /// What the server refused, if it was the server.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Sql { source, .. } => server_error(source).map(|error| error.refusal()),
            _ => None,
        }
    }
}

/// The connection broke, or there was none.
fn is_io(error: &postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// What the server said, in the words of this crate.
fn server_error(error: &postgres::Error) -> Option<ServerError> {
    let error = error.as_db_error()?;
    Some(ServerError {
        sqlstate: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        hint: error.hint().map(str::to_owned),
        routine: error.routine().map(str::to_owned),
    })
}

/// Names what was to be done when a statement fails.
pub(super) fn cannot(action: &'static str) -> impl Fn(postgres::Error) -> Error {
    move |source| Error::Sql { action, source }
}
