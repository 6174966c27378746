//! Bringing up a server on what was restored before: after a crash, without starting over.
//!
//! The rule it keeps: whether somebody may have got in is asked of the server itself. One that is not
//! promoted is stopped, and has let nobody in; one that is, is let go on as it is.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use postgres::Client;
use soter_world::exec::{Identity, Signal};
use soter_world::{Clock, Disk, durable};

use super::{Doors, Start, cannot, last_canary, sorts_otherwise, superuser, timeline, watch};
use crate::backup::record::BackupRecord;
use crate::connection::{ConnectionInfo, Host};
use crate::lsn::Timeline;
use crate::postmaster::Launch;
use crate::restore::error::RestoreError;
use crate::server;

/// How long a server may take to come up again: it replays from its last checkpoint.
const UP_TIMEOUT: Duration = Duration::from_secs(600);

/// How long a server that nobody needs may take to end before it is killed.
const END_GRACE: Duration = Duration::from_secs(10);

/// Longest lock file that is read: it has eight short lines.
const LOCK_FILE_LENGTH_MAX: usize = 16 << 10;

/// A server that is up again.
#[derive(Debug)]
pub struct Again {
    /// Its process.
    pub process: u32,
    /// How it is reached.
    pub doors: Doors,
    /// The timeline it writes.
    pub timeline: Timeline,
    /// When the youngest canary in it was written.
    pub last_canary_at: Option<Timestamp>,
    /// Databases whose indexes on texts are to be rebuilt.
    pub sorts_otherwise: Vec<String>,
    /// When it had answered, on the clock's monotonic scale.
    pub back_at: Duration,
}

/// The server that works in a data directory, by its lock file, and how it is reached. One that has
/// died left that file behind.
pub fn running_in(disk: &dyn Disk, directory: &Path) -> Option<(Identity, Doors)> {
    let text = durable::read(disk, &directory.join("postmaster.pid"), LOCK_FILE_LENGTH_MAX).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = |number: usize| text.lines().nth(number).map(str::trim);
    let identity = Identity::of(line(0)?.parse().ok()?).ok()?;
    let works_in = disk.read_link(Path::new(&format!("/proc/{}/cwd", identity.process))).ok()?;
    let is_its = std::fs::canonicalize(directory).is_ok_and(|directory| directory == works_in);
    let addresses = line(5).unwrap_or_default();
    let doors = Doors {
        port: line(3)?.parse().ok()?,
        socket_directory: PathBuf::from(line(4).unwrap_or_default()),
        on_localhost: !addresses.is_empty(),
    };
    (is_its && identity.is_alive()).then_some((identity, doors))
}

/// Ends a server into which nobody ever got, if one runs there.
///
/// # Errors
/// When it cannot be ended.
pub fn end_in(disk: &dyn Disk, clock: &dyn Clock, directory: &Path) -> Result<(), RestoreError> {
    if let Some((server, _)) = running_in(disk, directory) {
        let until = clock.monotonic() + END_GRACE;
        server.signal(Signal::Quit);
        while server.is_alive() && clock.monotonic() < until + END_GRACE {
            if clock.monotonic() > until {
                server.signal(Signal::Kill);
            }
            clock.sleep(watch::POLL);
        }
    }
    wait_until_still(disk, clock, directory)
}

/// Waits until nothing of a server that has ended works in its directory any more: the processes it
/// had started end when they notice, and its number is taken until somebody has asked how it ended.
/// Then nobody is behind its lock file, whoever has that number now.
fn wait_until_still(
    disk: &dyn Disk,
    clock: &dyn Clock,
    directory: &Path,
) -> Result<(), RestoreError> {
    let lock_file = directory.join("postmaster.pid");
    let number = durable::read(disk, &lock_file, LOCK_FILE_LENGTH_MAX)
        .ok()
        .and_then(|text| String::from_utf8_lossy(&text).lines().next()?.trim().parse::<u32>().ok());
    let Some(number) = number else { return Ok(()) };
    let until = clock.monotonic() + END_GRACE + END_GRACE;
    let is_zombie = || Identity::of(number).is_ok_and(|one| !one.is_alive());
    while let Some(process) = works_in(disk, directory).or_else(|| is_zombie().then_some(number)) {
        if clock.monotonic() > until {
            return Err(RestoreError::Busy { path: directory.to_owned(), process });
        }
        clock.sleep(watch::POLL);
    }
    match disk.remove_file(&lock_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RestoreError::File { path: lock_file, source: error })
        }
        _ => Ok(()),
    }
}

/// A process that works in a directory, as all of a server do. Those of other users are not ours to
/// see, and cannot be of a server whose files we may write, unless we are root and see them.
fn works_in(disk: &dyn Disk, directory: &Path) -> Option<u32> {
    let directory = std::fs::canonicalize(directory).ok()?;
    let processes = disk.list(Path::new("/proc")).ok()?;
    let mut numbers = processes.iter().filter_map(|entry| entry.name.to_str()?.parse().ok());
    numbers.find(|number: &u32| {
        let place = disk.read_link(Path::new(&format!("/proc/{number}/cwd")));
        place.is_ok_and(|place| place == directory)
    })
}

impl Start<'_> {
    /// Brings up the server of a restore that had come as far as its promotion; none if it was not
    /// promoted: then it is stopped, and nobody ever got in.
    ///
    /// # Errors
    /// When it does not come up, or does not do what it is told.
    pub fn again(&self, record: &BackupRecord) -> Result<Option<Again>, RestoreError> {
        let role = self.role.unwrap_or_else(|| superuser(record)).to_owned();
        if let Some((server, doors)) = running_in(self.disk, self.directory) {
            let mut client = self.connect_again(&doors, role.clone(), record)?;
            if server::is_in_recovery(&mut client)? {
                drop(client);
                end_in(self.disk, self.clock, self.directory)?;
                return Ok(None);
            }
            let again = self.open_again(&mut client, (server.process, doors), (record, &role))?;
            server.signal(Signal::Hangup);
            return Ok(Some(again));
        }
        wait_until_still(self.disk, self.clock, self.directory)?;
        self.doors.close(self, &role)?;
        let settings = self.all_settings(record);
        let log = self.directory.join(super::LOG_NAME);
        let launch = Launch {
            programs: self.programs,
            data_directory: self.directory,
            owner: self.owner,
            log: &log,
            settings: &settings,
        };
        let postmaster = launch.start(self.disk)?;
        postmaster.wait_accepting((self.disk, self.clock), UP_TIMEOUT, self.stop)?;
        let mut client = self.connect_again(self.doors, role.clone(), record)?;
        if server::is_in_recovery(&mut client)? {
            return Ok(None);
        }
        let place = (postmaster.id(), self.doors.clone());
        let again = self.open_again(&mut client, place, (record, &role))?;
        postmaster.check(self.disk)?;
        postmaster.reload();
        postmaster.release();
        Ok(Some(again))
    }

    fn connect_again(
        &self,
        doors: &Doors,
        role: String,
        record: &BackupRecord,
    ) -> Result<Client, RestoreError> {
        let mut connection: ConnectionInfo = self.connection(role, record);
        connection.host = Host::Directory(doors.socket_directory.clone());
        connection.port = doors.port;
        let failed = |source| RestoreError::Connect { to: connection.to_string(), source };
        connection.connect_sql().map_err(failed)
    }

    /// Has it answer as one that is back does, and lets clients in.
    fn open_again(
        &self,
        client: &mut Client,
        (process, doors): (u32, Doors),
        (record, role): (&BackupRecord, &str),
    ) -> Result<Again, RestoreError> {
        let write = "BEGIN; SELECT pg_catalog.pg_current_xact_id(); COMMIT";
        client.batch_execute(write).map_err(cannot("write for the first time"))?;
        let again = Again {
            process,
            doors,
            timeline: timeline(client)?,
            last_canary_at: last_canary(client),
            sorts_otherwise: sorts_otherwise(client, record.version)?,
            back_at: self.clock.monotonic(),
        };
        // From the beginning: whether it was opened before is not known.
        self.doors.close(self, role)?;
        self.doors.open(self)?;
        Ok(again)
    }
}
