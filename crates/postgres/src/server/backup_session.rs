//! The server's side of a base backup: one session, held open from start to stop.
//!
//! Everything the backup needs from the server comes from this session: the start position, and at
//! the end `backup_label` and `tablespace_map`, which must go into the backup byte for byte. If the
//! session ends before, by a crash or because it is dropped, the server aborts the backup, and what
//! was copied is worth nothing.

use std::thread;
use std::time::Duration;

use postgres::{Client, NoTls};
use soter_world::Stop;

use super::error::{Error, cannot};
use super::facts::major_version;
use super::position::parse_lsn;
use crate::cluster::MajorVersion;
use crate::connection::ConnectionInfo;
use crate::lsn::Lsn;

/// How the checkpoint that a backup begins with is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// At once, at the price of much writing.
    Fast,
    /// Spread as the server's own are: it takes about half of `checkpoint_timeout`.
    Spread,
}

/// A backup that the server knows to be running.
pub struct BackupSession {
    client: Client,
    version: MajorVersion,
    start: Lsn,
}

/// What the server says at the end of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedBackup {
    /// The backup is consistent once WAL up to here is replayed: it must be durable too.
    pub stop: Lsn,
    /// The file without which a restored copy is silently corrupt.
    pub backup_label: Vec<u8>,
    /// Where tablespaces were; empty if there are none.
    pub tablespace_map: Vec<u8>,
}

/// The server cuts nothing off, but refuses what is longer than a path (1024).
const LABEL_LENGTH_MAX: usize = 1000;

/// How often the stop token is looked at while the server makes its checkpoint.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// How long the server has to answer whether the session lives.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(30);

impl BackupSession {
    /// Opens a session and begins a backup in it. The server first makes a checkpoint; `stop`
    /// cancels that.
    pub fn start(
        info: &ConnectionInfo,
        label: &str,
        checkpoint: Checkpoint,
        stop: &Stop,
    ) -> Result<Self, Error> {
        const ACTION: &str = "begin a base backup";
        // Another character would be converted on its way and be another in the file.
        let is_plain = label.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !is_plain || !(1..=LABEL_LENGTH_MAX).contains(&label.len()) {
            return Err(Error::Label);
        }
        let mut client = info.connect_sql().map_err(cannot("connect to PostgreSQL"))?;
        let version = major_version(&mut client)?;
        hold_open(&mut client, version)?;
        let function = match version {
            MajorVersion::V14 => "pg_catalog.pg_start_backup($1, $2, false)",
            _ => "pg_catalog.pg_backup_start($1, $2)",
        };
        let statement = format!("SELECT {function}::text");
        let is_fast = checkpoint == Checkpoint::Fast;
        let row = cancellable(&mut client, stop, ACTION, |client| {
            client.query_one(&statement, &[&label, &is_fast])
        })?;
        let start = parse_lsn(row.try_get(0).map_err(cannot(ACTION))?)?;
        Ok(Self { client, version, start })
    }

    /// Where replay of this backup begins: all WAL from here on is needed.
    pub fn start_position(&self) -> Lsn {
        self.start
    }

    /// Makes sure that the session is still there. If not, copying on is in vain.
    pub fn check(&mut self) -> Result<(), Error> {
        self.client.is_valid(ALIVE_TIMEOUT).map_err(cannot("keep the backup session open"))
    }

    /// Ends the backup, without waiting for anybody else's archiver. The backup is complete only
    /// when it holds these two files and WAL up to the stop position is durable.
    ///
    /// On a standby that was promoted meanwhile the server refuses: the backup is void.
    pub fn stop(mut self) -> Result<FinishedBackup, Error> {
        const ACTION: &str = "end the base backup";
        let function = match self.version {
            MajorVersion::V14 => "pg_catalog.pg_stop_backup(false, false)",
            _ => "pg_catalog.pg_backup_stop(false)",
        };
        // As bytes: the paths of tablespaces need not be text in any encoding.
        let statement = format!(
            "SELECT lsn::text, textsend(labelfile), textsend(coalesce(spcmapfile, ''))
             FROM {function}"
        );
        let row = self.client.query_one(&statement, &[]).map_err(cannot(ACTION))?;
        Ok(FinishedBackup {
            stop: parse_lsn(row.try_get(0).map_err(cannot(ACTION))?)?,
            backup_label: row.try_get(1).map_err(cannot(ACTION))?,
            tablespace_map: row.try_get(2).map_err(cannot(ACTION))?,
        })
    }
}

impl std::fmt::Debug for BackupSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BackupSession(from {})", self.start)
    }
}

/// No timeout may end this session, as it is idle for as long as copying takes; and a network that
/// forgets idle connections must see some life.
fn hold_open(client: &mut Client, version: MajorVersion) -> Result<(), Error> {
    let mut statements = "SET statement_timeout = 0;
        SET lock_timeout = 0;
        SET idle_session_timeout = 0;
        SET idle_in_transaction_session_timeout = 0;
        SET tcp_keepalives_idle = 30;
        SET tcp_keepalives_interval = 10;
        SET client_encoding = 'UTF8';"
        .to_owned();
    if version >= MajorVersion::V17 {
        statements.push_str("SET transaction_timeout = 0;");
    }
    client.batch_execute(&statements).map_err(cannot("set up the backup session"))
}

/// Runs a statement that may take minutes, and has the server cancel it when `stop` is set.
fn cancellable<T>(
    client: &mut Client,
    stop: &Stop,
    action: &'static str,
    statement: impl FnOnce(&mut Client) -> Result<T, postgres::Error>,
) -> Result<T, Error> {
    let token = client.cancel_token();
    let done = Stop::new();
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.wait(STOP_INTERVAL) {
                if stop.is_stopped() {
                    // If it cannot be sent, the statement goes on and ends by itself.
                    token.cancel_query(NoTls).ok();
                    return;
                }
            }
        });
        let result = statement(client);
        done.stop();
        result
    });
    result.map_err(|source| {
        if stop.is_stopped() { Error::Stopped { action } } else { cannot(action)(source) }
    })
}
