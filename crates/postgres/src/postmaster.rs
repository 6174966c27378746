//! A PostgreSQL server as a process: finding the programs of a version, starting one on a data
//! directory, watching it, stopping it.
//!
//! A [`Postmaster`] that is dropped is stopped, so that a failure or a Ctrl-C leaves no server
//! behind; only one that was [released](Postmaster::release) outlives us. Whether a server lives is
//! read off its process, never off what a program such as `pg_ctl` says: that one is content as soon
//! as connections are accepted, however the recovery ends.

mod programs;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::disk::Owner;
use soter_world::exec::{Child, ExecError, Output, Signal, Status};
use soter_world::{Clock, Disk, Stop, durable};
use thiserror::Error;

pub use programs::{ProgramSearch, Programs};

use crate::cluster::MajorVersion;
use crate::error::ErrorKind;

/// How long between two looks at a state that is waited for.
const POLL: Duration = Duration::from_millis(5);

/// How long a server that is given up may take to end before it is killed: it has nothing to save.
const ABANDON_GRACE: Duration = Duration::from_secs(10);

/// How much of a log's end is looked at for its last words.
const LOG_TAIL_BYTES: u64 = 16 << 10;

/// How many of its last lines go into a message.
const LOG_TAIL_LINES: usize = 8;

/// Longest lock file that is read: it has eight short lines.
const LOCK_FILE_LENGTH_MAX: usize = 16 << 10;

/// Why there is no server, or it did not do what it was told.
#[derive(Debug, Error)]
pub enum PostmasterError {
    /// Install it, or say where it is.
    #[error("PostgreSQL {version} is not installed here: looked in {}", looked_in.join(", "))]
    NotInstalled {
        /// The version that is needed.
        version: MajorVersion,
        /// Where it could have been.
        looked_in: Vec<String>,
    },
    /// What is in this directory is something else.
    #[error("{directory} does not hold the programs of PostgreSQL {wanted}: {found}")]
    OtherPrograms {
        /// The directory that was named.
        directory: PathBuf,
        /// The version that is needed.
        wanted: MajorVersion,
        /// What is there.
        found: String,
    },
    /// A server refuses root; hand the files to another user.
    #[error("PostgreSQL does not run as root")]
    Root,
    /// A program could not be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The log or the lock file cannot be used.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server ended by itself; its log says why.
    #[error("the server ended with {status}; its log ends: {log}")]
    Ended {
        /// How.
        status: Status,
        /// Its last words.
        log: String,
    },
    /// It does not do what it should in the time it had.
    #[error("the server did not {what} within {timeout:?}; its log ends: {log}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        timeout: Duration,
        /// Its last words.
        log: String,
    },
    /// We were asked to end.
    #[error("interrupted while the server was to {what}")]
    Interrupted {
        /// What was waited for.
        what: &'static str,
    },
}

impl PostmasterError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotInstalled { .. } | Self::OtherPrograms { .. } | Self::Root => ErrorKind::Input,
            Self::Exec(_) | Self::File { .. } | Self::Ended { .. } | Self::Timeout { .. } => {
                ErrorKind::Failed
            }
            Self::Interrupted { .. } => ErrorKind::Stopped,
        }
    }

    /// The next thing to do, if it is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotInstalled { version, .. } => Some(format!(
                "install it (Debian: apt-get install postgresql-{version}), or name the directory \
                 of its programs: --bin-dir DIR"
            )),
            Self::OtherPrograms { wanted, .. } => Some(format!(
                "name a directory with `postgres` of version {wanted} in it: --bin-dir DIR"
            )),
            Self::Root => Some("name the user that is to run it: --owner postgres".to_owned()),
            _ => None,
        }
    }
}

/// How to stop a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Ends sessions and writes a checkpoint.
    Fast,
    /// Ends at once; the next start recovers.
    Immediate,
}

impl Shutdown {
    /// The signal that says so to a postmaster.
    pub fn signal(self) -> Signal {
        match self {
            Self::Fast => Signal::Interrupt,
            Self::Immediate => Signal::Quit,
        }
    }
}

/// What to start.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The programs, of the version of the data directory.
    pub programs: &'a Programs,
    /// The data directory.
    pub data_directory: &'a Path,
    /// Whose the data directory is, and so who must run the server.
    pub owner: Owner,
    /// What the server says goes behind what is in this file.
    pub log: &'a Path,
    /// Settings that are stronger than the configuration, as long as this server runs.
    pub settings: &'a [(String, String)],
}

/// A server that we have started. Dropping it stops it.
#[derive(Debug)]
pub struct Postmaster {
    child: Option<Child>,
    process: u32,
    data_directory: PathBuf,
    log: PathBuf,
    /// Where its own words begin in the log.
    log_start: u64,
}

impl Launch<'_> {
    /// Starts the server. Whether it comes up shows later: [`Postmaster::wait_accepting`].
    ///
    /// # Errors
    /// When it cannot even be begun.
    pub fn start(self, disk: &dyn Disk) -> Result<Postmaster, PostmasterError> {
        if self.owner.user == 0 {
            return Err(PostmasterError::Root);
        }
        let cannot = |source| PostmasterError::File { path: self.log.to_owned(), source };
        let output = || Output::append_to(self.log).map_err(cannot);
        let (stdout, stderr) = (output()?, output()?);
        disk.set_owner(self.log, self.owner).map_err(cannot)?;
        let log_start = disk.metadata(self.log).map_err(cannot)?.size;
        let settings = self
            .settings
            .iter()
            .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
        let command = self.programs.command("postgres").arg("-D").arg(self.data_directory);
        let command = command.args(settings).current_dir(self.data_directory).run_as(self.owner);
        let child = command.stdout(stdout).stderr(stderr).spawn()?;
        Ok(Postmaster {
            process: child.id(),
            child: Some(child),
            data_directory: self.data_directory.to_owned(),
            log: self.log.to_owned(),
            log_start,
        })
    }
}

impl Postmaster {
    /// Its process number.
    pub fn id(&self) -> u32 {
        self.process
    }

    /// How it ended, if it did.
    pub fn ended(&self) -> Option<Status> {
        self.child.as_ref().and_then(Child::try_wait)
    }

    /// Fails once it has ended, with the last words of its log.
    ///
    /// # Errors
    /// [`PostmasterError::Ended`].
    pub fn check(&self, disk: &dyn Disk) -> Result<(), PostmasterError> {
        match self.ended() {
            Some(status) => Err(PostmasterError::Ended { status, log: self.log_tail(disk) }),
            None => Ok(()),
        }
    }

    /// Whether it accepts connections, be it only for reading.
    pub fn is_accepting(&self, disk: &dyn Disk) -> bool {
        let lock_file = self.data_directory.join("postmaster.pid");
        let Ok(text) = durable::read(disk, &lock_file, LOCK_FILE_LENGTH_MAX) else { return false };
        let text = String::from_utf8_lossy(&text);
        // A server that crashed leaves its file, with its last words in it, to the next one.
        let is_its = text.lines().next().and_then(|line| line.trim().parse().ok());
        is_its == Some(self.process)
            && matches!(text.lines().nth(7).map(str::trim), Some("ready" | "standby"))
    }

    /// Waits until it accepts connections.
    ///
    /// # Errors
    /// When it ends instead, when the time is over, or when we are to stop.
    pub fn wait_accepting(
        &self,
        (disk, clock): (&dyn Disk, &dyn Clock),
        timeout: Duration,
        stop: &Stop,
    ) -> Result<(), PostmasterError> {
        const WHAT: &str = "accept connections";
        let deadline = clock.monotonic() + timeout;
        loop {
            self.check(disk)?;
            if stop.is_stopped() {
                return Err(PostmasterError::Interrupted { what: WHAT });
            }
            if self.is_accepting(disk) {
                return Ok(());
            }
            if clock.monotonic() > deadline {
                let log = self.log_tail(disk);
                return Err(PostmasterError::Timeout { what: WHAT, timeout, log });
            }
            clock.sleep(POLL);
        }
    }

    /// The last lines it has logged, in one.
    pub fn log_tail(&self, disk: &dyn Disk) -> String {
        tail_of(disk, &self.log, self.log_start)
            .unwrap_or_else(|error| format!("(it cannot be read: {error})"))
    }

    /// Tells it to read its configuration again.
    pub fn reload(&self) {
        if let Some(child) = &self.child {
            child.signal(Signal::Hangup);
        }
    }

    /// Stops it and waits for its end; how it ended.
    ///
    /// # Errors
    /// When it does not end in time; then it is ended the hard way.
    pub fn stop(
        mut self,
        how: Shutdown,
        timeout: Duration,
        disk: &dyn Disk,
    ) -> Result<Status, PostmasterError> {
        let child = self.child.as_mut().expect("only release and drop take it away");
        child.signal(how.signal());
        match child.wait_timeout(timeout) {
            Some(finished) => Ok(finished.status),
            None => {
                let log = self.log_tail(disk);
                Err(PostmasterError::Timeout { what: "stop", timeout, log })
            }
        }
    }

    /// Lets it go on without us; its process number.
    pub fn release(mut self) -> u32 {
        let child = self.child.take().expect("only release and drop take it away");
        child.release()
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.signal(Shutdown::Immediate.signal());
            // One that has only just begun may not listen yet.
            if child.wait_timeout(ABANDON_GRACE).is_none() {
                child.kill();
                child.wait_timeout(ABANDON_GRACE);
            }
        }
    }
}

fn tail_of(disk: &dyn Disk, path: &Path, start: u64) -> io::Result<String> {
    let file = disk.open(path)?;
    let length = file.len()?;
    let from = length.saturating_sub(LOG_TAIL_BYTES).max(start.min(length));
    let mut bytes = vec![0; usize::try_from(length - from).map_err(io::Error::other)?];
    file.read_exact_at(from, &mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
    Ok(if last.is_empty() { "(it said nothing)".to_owned() } else { last.join(" | ") })
}

#[cfg(test)]
mod tests;
