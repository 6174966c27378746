//! A laboratory at work: its description, its processes, and the patience of whoever waits for it.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use soter_world::disk::Owner;
use soter_world::exec::{Command, Signal, Status};
use soter_world::{Clock, OsDisk, Stop, SystemClock, durable};

use crate::failure::{Ending, Failure, failed};
use crate::place::Description;
use crate::processes::{Hunt, MARK, Spec, Table};

/// How long a program that is not a server may take.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a server may take until it answers. The slowest, the API server of Kubernetes, needs 12
/// seconds on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(90);

/// How long an interrupted program may take to end by itself.
const PROGRAM_END: Duration = Duration::from_secs(2);

/// How long between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A laboratory.
pub(crate) struct Lab {
    description: Mutex<Description>,
    root: PathBuf,
    stop: Stop,
    quiet: bool,
}

impl Lab {
    /// One that is described so.
    pub(crate) fn new(description: Description, stop: Stop, quiet: bool) -> Self {
        let root = description.directory.clone();
        Self { description: Mutex::new(description), root, stop, quiet }
    }

    /// The same, which says what it does.
    pub(crate) fn speaking(self) -> Self {
        Self { quiet: false, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, Description> {
        self.description.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The description as it is now.
    pub(crate) fn description(&self) -> Description {
        self.lock().clone()
    }

    /// Changes the description, for good.
    pub(crate) fn describe(&self, change: impl FnOnce(&mut Description)) -> Result<(), Failure> {
        let mut description = self.lock();
        change(&mut description);
        description.write()
    }

    /// Its directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Its processes.
    pub(crate) fn table(&self) -> Table {
        Table::new(&self.root, &self.lock().name)
    }

    /// What finds all its processes.
    pub(crate) fn everything(&self) -> Result<Hunt, Failure> {
        Ok(self.table().everything()?.with_programs(self.servers()))
    }

    /// What finds all processes of a node.
    pub(crate) fn of_node(&self, node: &str) -> Result<Hunt, Failure> {
        Ok(self.table().of_node(node)?.with_programs(self.servers()))
    }

    /// Programs that somebody else may have started on its directories, as a restore does.
    fn servers(&self) -> Vec<PathBuf> {
        let description = self.lock();
        let postgres = description.programs.get("postgres").map(|place| place.join("postgres"));
        postgres.into_iter().chain(description.programs.get("soter").cloned()).collect()
    }

    /// Whether it does without a part.
    pub(crate) fn is_without(&self, part: &str) -> bool {
        self.lock().without.contains_key(part)
    }

    /// A port by its name.
    pub(crate) fn port(&self, name: &str) -> Result<u16, Failure> {
        let port = self.lock().ports.get(name).copied();
        port.ok_or_else(|| self.unknown("port", name))
    }

    /// An address by its name.
    pub(crate) fn address(&self, name: &str) -> Result<String, Failure> {
        let address = self.lock().addresses.get(name).cloned();
        address.ok_or_else(|| self.unknown("address", name))
    }

    /// A secret by its name.
    pub(crate) fn secret(&self, name: &str) -> Result<String, Failure> {
        let secret = self.lock().secrets.get(name).cloned();
        secret.ok_or_else(|| self.unknown("secret", name))
    }

    /// A program by its name.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, Failure> {
        let program = self.lock().programs.get(name).cloned();
        program.ok_or_else(|| self.unknown("program", name))
    }

    fn unknown(&self, kind: &str, name: &str) -> Failure {
        let what = format!("the laboratory in {} has no {kind} {name:?}", self.root.display());
        Failure::new(Ending::Input, what).hint("end it with `kosmos-lab down`, and make it anew")
    }

    /// The user that runs PostgreSQL.
    pub(crate) fn server_owner(&self) -> Owner {
        let (user, group) = self.lock().server_owner;
        Owner { user, group }
    }

    /// A directory below it, made if it is not there.
    pub(crate) fn directory(&self, path: &str) -> Result<PathBuf, Failure> {
        let directory = self.root.join(path);
        fs::create_dir_all(&directory).map_err(failed(&format!("make {}", directory.display())))?;
        Ok(directory)
    }

    /// A file below it, replaced, mode 0600.
    pub(crate) fn file(&self, path: &str, text: &str) -> Result<PathBuf, Failure> {
        let file = self.root.join(path);
        durable::write_durable(&OsDisk, &file, text.as_bytes())
            .map_err(failed(&format!("write {}", file.display())))?;
        Ok(file)
    }

    /// Says how far it is.
    pub(crate) fn say(&self, words: impl fmt::Display) {
        if !self.quiet {
            // With a closed stderr there is nobody to tell.
            drop(writeln!(io::stderr(), "{words}"));
        }
    }

    /// Starts a server, unless it runs.
    pub(crate) fn start(&self, spec: &Spec) -> Result<(), Failure> {
        self.check()?;
        self.table().start(spec)
    }

    /// Runs a program to its end, unless we are to stop. What it printed.
    pub(crate) fn run(&self, what: &str, command: Command) -> Result<Vec<u8>, Failure> {
        self.check()?;
        // Killed, we leave it to `down` to end it.
        let command = command.env(MARK, &self.lock().name);
        let mut child = command.spawn().map_err(failed(what))?;
        let until = SystemClock.monotonic() + PROGRAM_TIMEOUT;
        loop {
            if let Some(finished) = child.wait_timeout(LOOK) {
                return match finished.status {
                    Status::Exited(0) => Ok(finished.stdout),
                    _ => finished.checked().map(|done| done.stdout).map_err(failed(what)),
                };
            }
            if self.stop.is_stopped() || SystemClock.monotonic() > until {
                child.signal(Signal::Terminate);
                child.wait_timeout(PROGRAM_END);
                return Err(Failure::new(Ending::Failed, format!("cannot {what} in time")));
            }
        }
    }

    /// Waits until a server answers; `answers` says what is in the way. Gives up at once when the
    /// server has ended.
    pub(crate) fn wait_ready(
        &self,
        process: &str,
        mut answers: impl FnMut() -> Result<(), String>,
    ) -> Result<(), Failure> {
        let (table, until) = (self.table(), SystemClock.monotonic() + READY_TIMEOUT);
        loop {
            let Err(says) = answers() else { return Ok(()) };
            let entry = table.entry(process)?;
            let last_words = || entry.as_ref().map(crate::processes::Entry::last_words);
            if !entry.as_ref().is_some_and(crate::processes::Entry::is_alive) {
                let what = format!("{process} has ended instead of answering");
                return Err(
                    Failure::new(Ending::Failed, what).because(last_words().unwrap_or_default())
                );
            }
            if SystemClock.monotonic() > until {
                let seconds = READY_TIMEOUT.as_secs();
                let what = format!("{process} does not answer after {seconds} seconds: {says}");
                return Err(
                    Failure::new(Ending::Failed, what).because(last_words().unwrap_or_default())
                );
            }
            self.pause()?;
        }
    }

    /// Waits a moment, unless we are to stop.
    pub(crate) fn pause(&self) -> Result<(), Failure> {
        if self.stop.wait(LOOK) { Err(interrupted()) } else { Ok(()) }
    }

    /// Fails when we are to stop.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.stop.is_stopped() { Err(interrupted()) } else { Ok(()) }
    }
}

fn interrupted() -> Failure {
    Failure::new(Ending::Failed, "interrupted")
}
