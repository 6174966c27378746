//! What can go wrong on a replication connection, and what the caller should do about it.

use std::io;
use std::time::Duration;

use thiserror::Error;

use super::message::Fields;
use crate::cluster::{MajorVersion, UnknownVersion};
use crate::connection::OpenError;
use crate::error::ErrorKind;
use crate::lsn::{Lsn, Timeline};

/// The operation on a replication connection that failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection came about: check that the server runs and listens there.
    #[error("cannot connect to PostgreSQL")]
    Open(#[source] OpenError),
    /// The connection failed under us: connect again.
    #[error("the replication connection failed during {during}")]
    Io {
        /// What was being done.
        during: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The server closed the connection without a word, as it does when it crashes or is stopped at
    /// once: connect again.
    #[error("the server closed the replication connection during {during}")]
    Closed {
        /// What was being done.
        during: &'static str,
    },
    /// Nothing came for too long: connect again.
    #[error("the server did not answer {during} within {} seconds", waited.as_secs())]
    Silent {
        /// What was being done.
        during: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// The stop token was set while we waited.
    #[error("stopped during {during}")]
    Stopped {
        /// What was being done.
        during: &'static str,
    },
    /// The server said no: see [`ServerError::refusal`].
    #[error("PostgreSQL refused {during}")]
    Refused {
        /// What was being done.
        during: &'static str,
        /// What the server said.
        #[source]
        source: Box<ServerError>,
    },
    /// The bytes received are not what the protocol says. The connection is of no use any more.
    #[error("the server broke the replication protocol during {during}")]
    Protocol {
        /// What was being done.
        during: &'static str,
        /// What was wrong.
        #[source]
        source: ProtocolError,
    },
    /// Who we are could not be proved: check user, password and `pg_hba.conf`.
    #[error("authentication failed")]
    Authentication(#[source] AuthenticationError),
    /// A command was given while WAL is streaming or after the connection broke: a bug of the caller.
    #[error("the replication connection cannot take a command: it is {state}")]
    NotReady {
        /// What it is doing instead.
        state: &'static str,
    },
    /// The server's version does not have the command; ask by SQL instead.
    #[error("{command} does not exist in PostgreSQL {version}")]
    Unsupported {
        /// The command.
        command: &'static str,
        /// The server's major version.
        version: MajorVersion,
    },
    /// The server is of a version that cannot be protected.
    #[error("the server cannot be protected")]
    Version(#[source] UnknownVersion),
    /// The name of a setting or of a slot is not one that PostgreSQL could know.
    #[error("{name:?} is not a valid {what}")]
    Name {
        /// What it should have been the name of.
        what: &'static str,
        /// What was given.
        name: String,
    },
}

impl Error {
    pub(super) fn refused(during: &'static str, source: ServerError) -> Self {
        Self::Refused { during, source: Box::new(source) }
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Io { .. } | Self::Closed { .. } | Self::Silent { .. } => ErrorKind::Retry,
            Self::Stopped { .. } => ErrorKind::Stopped,
            Self::Refused { source, .. } => source.refusal().kind(),
            Self::Protocol { .. } => ErrorKind::Damaged,
            Self::Authentication(error) => error.kind(),
            Self::NotReady { .. } => ErrorKind::Failed,
            Self::Unsupported { .. } | Self::Version(_) | Self::Name { .. } => ErrorKind::Input,
        }
    }

    /// What the server refused, if it was the server.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { source, .. } => Some(source.refusal()),
            _ => None,
        }
    }
}

/// Bytes that are not what the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A message too long to be true, or shorter than its own header.
    #[error("a message (tag {tag:#04x}) declares a length of {length} bytes")]
    FrameLength {
        /// The message's tag byte.
        tag: u8,
        /// The length it declares.
        length: u32,
    },
    /// A message that a replication connection cannot meet.
    #[error("a message of an unknown kind (tag {tag:#04x})")]
    Unknown {
        /// The message's tag byte.
        tag: u8,
    },
    /// A message that has no place here.
    #[error("a message out of place ({message})")]
    OutOfPlace {
        /// Which message.
        message: &'static str,
    },
    /// A message whose fields do not fit its length.
    #[error("a malformed {message} message")]
    Malformed {
        /// Which message.
        message: &'static str,
    },
    /// An answer without the rows or values that it must have.
    #[error("the answer to {command} lacks {missing}")]
    Answer {
        /// The command that was answered.
        command: &'static str,
        /// What is missing or cannot be read.
        missing: &'static str,
    },
    /// WAL that does not continue where the last ended: bytes are missing or came twice.
    #[error("WAL was expected at {expected}, but {received} came")]
    Discontinuous {
        /// The end of what had come.
        expected: Lsn,
        /// Where the new bytes begin.
        received: Lsn,
    },
    /// The stream's end speaks of a timeline or place that cannot follow.
    #[error("timeline {next} cannot follow timeline {current} at {switch_point}")]
    Timeline {
        /// The timeline that was streamed.
        current: Timeline,
        /// The one that is said to follow.
        next: Timeline,
        /// Where it is said to begin.
        switch_point: Lsn,
    },
}

/// Why the server or we were not satisfied about who the other is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// The server wants a password and the connection string has none.
    #[error("the server asks for a password, but none is given")]
    PasswordMissing,
    /// The server wants a method that is not supported.
    #[error("the server asks for {method}, which is not supported")]
    Method {
        /// What it asks for.
        method: String,
    },
    /// The exchange did not follow its rules, or the server could not prove that it knows the
    /// password: it may be somebody else.
    #[error("the password exchange with the server failed")]
    Exchange(#[source] io::Error),
    /// The server accepted us before it had proved that it knows the password: it may be somebody
    /// else.
    #[error("the server broke off the password exchange")]
    Unfinished,
}

impl AuthenticationError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::PasswordMissing | Self::Method { .. } => ErrorKind::Input,
            Self::Exchange(_) | Self::Unfinished => ErrorKind::Failed,
        }
    }
}

/// An error that the server reported, in its own words and language.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} (SQLSTATE {sqlstate})")]
pub struct ServerError {
    /// The five characters that name the condition, whatever language the message is in.
    pub sqlstate: String,
    /// What happened.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What the server advises.
    pub hint: Option<String>,
    /// The function in the server's source that reported it.
    pub routine: Option<String>,
}

/// How much of each text of a server's error is kept.
const ERROR_TEXT_CHARS_MAX: usize = 2000;

impl ServerError {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ProtocolError> {
        let mut fields = Fields::new("ErrorResponse", body);
        let mut error = Self {
            sqlstate: String::new(),
            message: String::new(),
            detail: None,
            hint: None,
            routine: None,
        };
        loop {
            let field = fields.u8()?;
            if field == 0 {
                return Ok(error);
            }
            let text = printable(&fields.text()?);
            match field {
                b'C' => error.sqlstate = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                b'R' => error.routine = Some(text),
                _ => {}
            }
        }
    }

    /// What was refused, read off the SQLSTATE: the message may be in any language.
    pub fn refusal(&self) -> Refusal {
        match self.sqlstate.as_str() {
            "55006" => Refusal::SlotActive,
            "55000" => Refusal::SlotUnusable,
            "42704" => Refusal::Missing,
            "42710" => Refusal::SlotExists,
            "53400" => Refusal::NoFreeSlot,
            "58P01" => Refusal::WalRemoved,
            "42501" => Refusal::NotPermitted,
            state if state.starts_with("28") => Refusal::NotPermitted,
            state if ["08", "53", "57"].iter().any(|class| state.starts_with(class)) => {
                Refusal::Unavailable
            }
            // Both places of the source that refuse a starting point give no SQLSTATE of their own;
            // only the one about timelines says more in a detail.
            "XX000" if self.routine.as_deref() == Some("StartReplication") => match self.detail {
                None => Refusal::StartAhead,
                Some(_) => Refusal::NotInHistory,
            },
            "XX000" if self.routine.as_deref() == Some("tliSwitchPoint") => Refusal::NotInHistory,
            _ => Refusal::Other,
        }
    }
}

/// Removes what could play tricks on a terminal, and keeps the text at a length people read.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .take(ERROR_TEXT_CHARS_MAX)
        .collect()
}

/// What the server refused, as far as the caller must tell cases apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Another receiver streams from the slot: this agent may have been replaced.
    SlotActive,
    /// The slot exists, but cannot serve (lost, of another type, or WAL level too low).
    SlotUnusable,
    /// There is no such slot, role or setting.
    Missing,
    /// A slot of this name exists already.
    SlotExists,
    /// All of `max_replication_slots` are in use.
    NoFreeSlot,
    /// The WAL asked for is not on the server any more: there is a gap.
    WalRemoved,
    /// The server has less WAL than we ask for: it *lost* some that we have.
    StartAhead,
    /// The server's history left the timeline before the starting point: ours is another history.
    NotInHistory,
    /// Role, password, `pg_hba.conf` or a privilege is wrong.
    NotPermitted,
    /// The server is starting, stopping or full.
    Unavailable,
    /// Anything else; read the message.
    Other,
}

impl Refusal {
    /// What to do about it.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::SlotActive => ErrorKind::Superseded,
            Self::Missing | Self::WalRemoved => ErrorKind::NotFound,
            Self::NotPermitted | Self::NoFreeSlot => ErrorKind::Input,
            Self::Unavailable => ErrorKind::Retry,
            Self::SlotUnusable
            | Self::SlotExists
            | Self::StartAhead
            | Self::NotInHistory
            | Self::Other => ErrorKind::Failed,
        }
    }
}
