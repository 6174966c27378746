//! What is said over the agent's socket: one line of JSON asks, one line answers.
//!
//! File contents never go over it; a file is named by its path, and the agent reads it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soter_vault::ids::BackupId;

use super::status::Status;
use crate::backup::record::BackupRecord;

/// The longest request: a path.
pub(crate) const REQUEST_BYTES_MAX: u64 = 64 << 10;

/// The longest answer: a backup's record names every database with its extensions.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// How long a push may take; `archive_command` is repeated by the server.
const PUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a status may take.
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase")]
pub enum Request {
    /// Store a file of `pg_wal`, as `archive_command` wants it.
    Push {
        /// The file.
        path: PathBuf,
    },
    /// Say where a whole segment lies that the agent still has, as `restore_command` wants it.
    Fetch {
        /// The segment's file name.
        name: String,
    },
    /// Make a base backup.
    Backup {
        /// Whether it shall share nothing with others.
        full: bool,
    },
    /// Say how things stand.
    Status,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It was done.
    Done(Value),
    /// It was not.
    Failed {
        /// What can be done about it.
        kind: FailureKind,
        /// What happened.
        what: String,
    },
}

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// Ask for something else.
    Input,
    /// Try again, or look at the agent.
    Failed,
    /// The agent was superseded.
    Superseded,
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushDone {
    /// The object that holds the file.
    pub object: String,
    /// Whether it was there before, byte for byte.
    pub was_there: bool,
    /// Objects under its name that do not count.
    pub findings: Vec<String>,
}

/// What came of a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchDone {
    /// The file with the segment, if the agent has it. It goes away when the segment is sealed.
    pub path: Option<PathBuf>,
}

/// What came of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupDone {
    /// Its id.
    pub id: BackupId,
    /// Its record.
    pub record: BackupRecord,
}

/// Asks the agent behind a socket. `None` when no agent answers there.
///
/// # Errors
/// When the agent hangs up or does not answer in time: what was asked may have been done.
pub fn ask(socket: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let Some(stream) = connect(socket)? else { return Ok(None) };
    let timeout = match request {
        Request::Push { .. } => Some(PUSH_TIMEOUT),
        // It takes as long as the cluster is large.
        Request::Backup { .. } => None,
        Request::Status | Request::Fetch { .. } => Some(STATUS_TIMEOUT),
    };
    stream.set_read_timeout(timeout)?;
    stream.set_write_timeout(Some(STATUS_TIMEOUT))?;
    write_line(&stream, request)?;
    read_line(&stream, ANSWER_BYTES_MAX).map(Some)
}

/// The status of the agent behind a socket. `None` when no agent answers there.
///
/// # Errors
/// As for [`ask`].
pub fn ask_status(socket: &Path) -> io::Result<Option<Status>> {
    let hung_up = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
    };
    // An agent that ended while it was asked is found gone by the second question.
    let answer = match ask(socket, &Request::Status) {
        Err(error) if hung_up(&error) => ask(socket, &Request::Status),
        answer => answer,
    };
    match answer? {
        None => Ok(None),
        Some(Answer::Done(value)) => Ok(Some(serde_json::from_value(value)?)),
        Some(Answer::Failed { what, .. }) => Err(io::Error::other(what)),
    }
}

fn connect(socket: &Path) -> io::Result<Option<UnixStream>> {
    match UnixStream::connect(socket) {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn write_line<T: Serialize>(mut stream: &UnixStream, value: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

pub(crate) fn read_line<T: DeserializeOwned>(
    stream: &UnixStream,
    length_max: u64,
) -> io::Result<T> {
    let mut line = Vec::new();
    BufReader::new(stream.take(length_max)).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}
