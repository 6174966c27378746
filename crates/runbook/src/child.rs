//! Children that outlive their engine.
//!
//! ```text
//!  engine ──spawns──▶ supervisor ──spawns──▶ beginner ══becomes══▶ the command
//!    │ spec.json, script      │ waits              │ takes the slot `pid`, then becomes it
//!    └─ reads pid, status ◀───┴─ writes `status`   └─ appends to `output`
//! ```
//!
//! Everything is in one directory per attempt, so that an engine that comes later can tell what has
//! become of it. The rules:
//!
//! * The slot `pid` is created once, durably, before the command does anything. Whoever creates it
//!   decides: the beginner, who then becomes the command, or an engine that comes later, who writes
//!   that it never began. A beginner that finds it taken ends. So *never began* is final.
//! * The supervisor writes `status` when the command has ended. A command without status whose process
//!   and supervisor are both gone has [vanished](Condition::Vanished): nobody knows how it ended.
//! * A process is the one of the slot only if its number, its start and the boot are the same.
//! * What is secret is handed over in memory and lies in no file. What the command writes lies in
//!   `output` as it was written, mode 0600: whoever shows it passes it through the
//!   redactor.

mod files;
mod supervisor;
mod watch;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_world::disk::DiskFile;
use soter_world::exec::{self, ExecError, Identity, Input, Output, Signal, Status};
use soter_world::{Clock, Disk, Secret, durable};
use thiserror::Error;

pub use files::Owner;
pub use supervisor::{begin, supervise};

use files::{Handed, Slot};

/// How a command is to be started, as far as anybody may read it: it lies in `spec.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spec {
    /// The program, by path or by its name in the `PATH` of `environment`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it works.
    pub directory: PathBuf,
    /// The whole of its environment, but for what is hidden.
    pub environment: BTreeMap<String, String>,
    /// What must be known to read its end: the steps say what.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub reading: serde_json::Value,
}

/// What nobody may read: it is handed to the command in memory.
#[derive(Debug, Default)]
pub struct Hidden {
    /// The rest of its environment.
    pub environment: BTreeMap<String, Secret<String>>,
    /// What it reads; none: the end at once.
    pub input: Option<Secret<String>>,
}

/// The program that is started as a supervisor, with what stands before the directory: this binary
/// and the words of its hidden command.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
}

/// What has become of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It was not begun and never will be.
    NeverBegan,
    /// It goes on, or its supervisor is about to say how it ended.
    Running(Identity),
    /// It has ended, and this is how.
    Ended(Ended),
    /// It is gone and left no word.
    Vanished,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code or signal.
    pub status: Status,
    /// When, by the clock of its supervisor.
    pub at: Timestamp,
    /// How much processor time it took, with the children it waited for.
    pub processor: Duration,
}

/// What can be wrong with a child.
#[derive(Debug, Error)]
pub enum ChildError {
    /// A file of its directory cannot be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of its directory holds something else.
    #[error("{} is not what was written there: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The supervisor cannot be started.
    #[error("cannot start the process that watches over it")]
    Supervisor(#[source] ExecError),
    /// The command was not begun, and never will be.
    #[error("it was not begun{}", .0)]
    NotBegun(String),
    /// This machine does not say who its processes are.
    #[error("this machine does not say which processes it has: is /proc mounted?")]
    Processes(#[source] io::Error),
}

/// Children on this machine, since this boot.
#[derive(Clone)]
pub struct Children {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    launcher: Launcher,
    boot: String,
}

/// How long a supervisor has to begin a command. It takes milliseconds; a machine that swaps for
/// longer than this is not one to begin anything on.
const BEGIN_WITHIN: Duration = Duration::from_secs(60);

/// How often a file is looked for that is about to appear.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a command has to end when it is asked to.
pub const TERMINATE_GRACE: Duration = Duration::from_secs(10);

/// How long the kernel has to carry out a KILL. A process that waits for a dead disk takes longer:
/// then it is still said to be running, which it is.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// How often the end of a command is looked for.
const WATCH_EVERY: Duration = Duration::from_millis(50);

/// Why a directory does not serve again.
const ALREADY_DECIDED: &str = ": it was decided before whether this attempt begins";

impl Children {
    /// Children of a machine since the boot of this name.
    #[must_use]
    pub fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        launcher: Launcher,
        boot: String,
    ) -> Self {
        Self { disk, clock, launcher, boot }
    }

    /// Starts a command, with everything about it in `directory`, which serves once. When it returns,
    /// the slot is taken: the command goes on whatever becomes of this process.
    ///
    /// # Errors
    /// After an error nothing was begun, and nothing will be.
    pub fn start(
        &self,
        directory: &Path,
        spec: &Spec,
        hidden: &Hidden,
    ) -> Result<Identity, ChildError> {
        let disk = &*self.disk;
        if Slot::read(disk, directory)?.is_some() {
            return Err(ChildError::NotBegun(ALREADY_DECIDED.to_owned()));
        }
        durable::create_dir_all_durable(disk, directory)
            .map_err(|source| file_error("create", directory, source))?;
        files::write_json(disk, &directory.join(files::SPEC), spec)?;
        let handed = Handed::of(hidden).to_bytes();
        let handed = exec::anonymous_file(&handed).map_err(ChildError::Processes)?;
        let output = directory.join(files::OUTPUT);
        let stderr =
            Output::append_to(&output).map_err(|source| file_error("create", &output, source))?;
        let supervisor = exec::Command::new(&self.launcher.program)
            .args(&self.launcher.arguments)
            .arg(directory)
            .current_dir("/")
            .in_our_group()
            .stdin(Input::File(handed))
            .stdout(Output::Null)
            .stderr(stderr)
            .spawn()
            .map_err(ChildError::Supervisor)?;
        let supervisor = Identity::of(supervisor.release()).ok();
        self.wait_for_slot(directory, supervisor)
    }

    /// Waits until the slot is taken, or cannot be by anybody but us.
    fn wait_for_slot(
        &self,
        directory: &Path,
        supervisor: Option<Identity>,
    ) -> Result<Identity, ChildError> {
        let until = self.clock.monotonic() + BEGIN_WITHIN;
        loop {
            // Before the slot is looked at: what a supervisor did before its end is then seen.
            let is_alive = supervisor.is_some_and(|supervisor| supervisor.is_alive());
            if let Some(slot) = Slot::read(&*self.disk, directory)? {
                return slot.identity().ok_or_else(|| self.not_begun(directory));
            }
            if !is_alive || self.clock.monotonic() > until {
                // One that was about to begin it finds the slot taken; or it was faster.
                return match Slot::never().take(&*self.disk, directory)? {
                    Slot::Never { .. } => Err(self.not_begun(directory)),
                    Slot::Taken(owner) => Ok(owner.identity()),
                };
            }
            self.clock.sleep(LOOK_EVERY);
        }
    }

    /// With the last words of the supervisor, if it had any.
    fn not_begun(&self, directory: &Path) -> ChildError {
        const WORDS_BYTES_MAX: usize = 400;
        let tail = self.tail(directory, WORDS_BYTES_MAX).unwrap_or_default();
        let text = String::from_utf8_lossy(&tail);
        let words = text.trim();
        ChildError::NotBegun(if words.is_empty() { String::new() } else { format!(": {words}") })
    }

    /// What has become of the child of this directory. If nobody has begun it by now, nobody will:
    /// so this is for its engine, not for somebody who only watches.
    ///
    /// # Errors
    /// When its files cannot be read, or are not what was written.
    pub fn look(&self, directory: &Path) -> Result<Condition, ChildError> {
        let disk = &*self.disk;
        let slot = match Slot::read(disk, directory)? {
            Some(slot) => slot,
            None => {
                durable::create_dir_all_durable(disk, directory)
                    .map_err(|source| file_error("create", directory, source))?;
                Slot::never().take(disk, directory)?
            }
        };
        let Slot::Taken(owner) = slot else { return Ok(Condition::NeverBegan) };
        // Whether it lives is asked before its status is: what ends in between left one.
        let is_here = owner.boot == self.boot;
        let is_alive = is_here && owner.is_alive();
        if let Some(ended) = files::read_status(disk, directory)? {
            return Ok(Condition::Ended(ended));
        }
        Ok(if is_alive { Condition::Running(owner.identity()) } else { Condition::Vanished })
    }

    /// Takes the slot for work that this process does itself, so that an engine that comes later
    /// knows that it was begun.
    ///
    /// # Errors
    /// When the slot is taken already, or cannot be taken.
    pub fn begin_here(&self, directory: &Path) -> Result<(), ChildError> {
        let disk = &*self.disk;
        durable::create_dir_all_durable(disk, directory)
            .map_err(|source| file_error("create", directory, source))?;
        let this = Identity::this().map_err(ChildError::Processes)?;
        let ours = Slot::Taken(Owner::new(this, this, self.boot.clone()));
        match ours.create(disk, directory)? {
            files::Created::Ours => Ok(()),
            files::Created::Theirs(_) => Err(ChildError::NotBegun(ALREADY_DECIDED.to_owned())),
        }
    }

    /// Adds a line to what is shown of work that this process does itself.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn say(&self, directory: &Path, line: &str) -> Result<(), ChildError> {
        let (disk, path) = (&*self.disk, directory.join(files::OUTPUT));
        let file = match disk.open_write(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(&path),
            file => file,
        };
        let write =
            |file: Box<dyn DiskFile>| file.write_at(file.len()?, format!("{line}\n").as_bytes());
        file.and_then(write).map_err(|source| file_error("write", &path, source))
    }

    /// The end of what the command wrote, as it wrote it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tail(&self, directory: &Path, bytes_max: usize) -> Result<Vec<u8>, ChildError> {
        files::tail(&*self.disk, &directory.join(files::OUTPUT), bytes_max)
    }

    /// The beginning of what the command wrote, as it wrote it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn head(&self, directory: &Path, bytes_max: usize) -> Result<Vec<u8>, ChildError> {
        files::head(&*self.disk, &directory.join(files::OUTPUT), bytes_max)
    }

    /// How it was started.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn spec(&self, directory: &Path) -> Result<Spec, ChildError> {
        files::read_json(&*self.disk, &directory.join(files::SPEC))
    }

    /// The disk that the directories are on.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }
}

/// Makes a durable file of a script, so that it is as long as it likes and messages name its lines.
/// Answers where it is.
///
/// # Errors
/// When it cannot be written.
pub fn write_script(
    disk: &dyn Disk,
    directory: &Path,
    script: &str,
) -> Result<PathBuf, ChildError> {
    let path = directory.join(files::SCRIPT);
    durable::create_dir_all_durable(disk, directory)
        .and_then(|()| durable::write_durable(disk, &path, script.as_bytes()))
        .map_err(|source| file_error("write", &path, source))?;
    Ok(path)
}

fn file_error(what: &'static str, path: &Path, source: io::Error) -> ChildError {
    ChildError::File { what, path: path.to_owned(), source }
}
