//! The table of processes: one file for each, written by the process itself before it becomes the
//! server it is to be.
//!
//! ```text
//! kosmos-lab up ──starts──▶ kosmos-lab launch NAME ──writes its number──▶ becomes the server
//! ```
//!
//! So there is no moment in which a server runs that the table does not know, whoever is killed when.
//! A process is known by its number together with the tick it was started at, which no later process
//! of that number shares.

mod end;
mod memory;
mod seen;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use soter_world::disk::Owner;
use soter_world::exec::{self, Command, Output};
use soter_world::{Clock, OsDisk, SystemClock, durable};

use crate::failure::{Ending, Failure, failed};

pub(crate) use self::end::Hunt;

/// Set for every process of a laboratory and what it starts: the laboratory's name.
pub(crate) const MARK: &str = "KOSMOS_LAB";

/// Set for every process of a node: the node's name.
pub(crate) const NODE: &str = "KOSMOS_NODE";

/// The directory of the table.
const DIRECTORY: &str = "processes";

/// Longest file of the table: command line and environment of one server.
const ENTRY_LENGTH_MAX: usize = 256 << 10;

/// How long a launcher may take from its start to becoming the server, on a busy machine.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(20);

/// How long between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// How many lines of a log are shown when its server has ended.
const LOG_LINES: usize = 6;

/// A server to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Its name in the table.
    pub(crate) name: String,
    /// The node it runs on, or `outside`.
    pub(crate) node: String,
    /// The program, by its whole path.
    pub(crate) program: PathBuf,
    /// What it is told.
    pub(crate) arguments: Vec<String>,
    /// What it finds in its environment besides `PATH`, `HOME` and the marks.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it works; it goes away with its node.
    pub(crate) directory: PathBuf,
    /// User and group, if not ours.
    pub(crate) owner: Option<(u32, u32)>,
}

/// Which process it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) process: u32,
    /// When it was started, in ticks since the machine was.
    pub(crate) start_ticks: u64,
    /// The machine's own name for the time since it was started.
    pub(crate) boot: String,
}

/// A line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// What was to run.
    pub(crate) spec: Spec,
    /// What runs, or ran; nothing before the launcher has said so.
    pub(crate) identity: Option<Identity>,
}

/// The table of one laboratory.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    root: PathBuf,
    mark: String,
}

impl Spec {
    /// A program that works in a directory of a node, as we.
    pub(crate) fn new(name: &str, node: &str, program: &Path, directory: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            node: node.to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory,
            owner: None,
        }
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, all: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments.extend(all.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Runs it as another user.
    pub(crate) fn run_as(mut self, owner: Owner) -> Self {
        self.owner = Some((owner.user, owner.group));
        self
    }

    /// Where it writes.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.name))
    }
}

impl Entry {
    /// Whether what was started still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.identity.as_ref().is_some_and(Identity::is_alive)
    }

    /// What it wrote last.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(self.spec.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join(" | ")
    }
}

impl Identity {
    /// This process.
    fn ours() -> io::Result<Self> {
        let exec::Identity { process, start_ticks } = exec::Identity::this()?;
        Ok(Self { process, start_ticks, boot: boot()? })
    }

    fn is_alive(&self) -> bool {
        let identity = exec::Identity { process: self.process, start_ticks: self.start_ticks };
        identity.is_alive() && boot().is_ok_and(|boot| boot == self.boot)
    }
}

impl Table {
    /// The table of the laboratory in that directory, with that name.
    pub(crate) fn new(root: &Path, mark: &str) -> Self {
        Self { root: root.to_owned(), mark: mark.to_owned() }
    }

    /// What marks its processes, for a command that is not in the table.
    pub(crate) fn marks(&self, node: &str) -> [(&'static str, String); 2] {
        [(MARK, self.mark.clone()), (NODE, node.to_owned())]
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join(DIRECTORY).join(format!("{name}.json"))
    }

    fn write(&self, entry: &Entry) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(entry).map_err(failed("write a process down"))?;
        durable::create_dir_all_durable(&OsDisk, &self.root.join(DIRECTORY))
            .and_then(|()| durable::write_durable(&OsDisk, &self.file(&entry.spec.name), &bytes))
            .map_err(failed(&format!("write down the process {}", entry.spec.name)))
    }

    /// A line of it, if there is one.
    pub(crate) fn entry(&self, name: &str) -> Result<Option<Entry>, Failure> {
        match durable::read(&OsDisk, &self.file(name), ENTRY_LENGTH_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(failed(&format!("understand {}", self.file(name).display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&format!("read {}", self.file(name).display()))(error)),
        }
    }

    /// All of it, by name.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, Failure> {
        let listed = match fs::read_dir(self.root.join(DIRECTORY)) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read the table of processes")(error)),
        };
        let mut names: Vec<String> = listed
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
            .collect();
        names.sort();
        let mut entries = Vec::new();
        for name in names {
            entries.extend(self.entry(&name)?);
        }
        Ok(entries)
    }

    /// Takes a line out, of a process that has been ended.
    pub(crate) fn forget(&self, name: &str) -> Result<(), Failure> {
        match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(&format!("forget the process {name}"))(error))
            }
            _ => Ok(()),
        }
    }

    /// Starts a server, unless it runs already. It outlives us.
    pub(crate) fn start(&self, spec: &Spec) -> Result<(), Failure> {
        if self.entry(&spec.name)?.is_some_and(|entry| entry.is_alive()) {
            return Ok(());
        }
        let doing = format!("start {}", spec.name);
        self.write(&Entry { spec: spec.clone(), identity: None })?;
        let output = || Output::append_to(&spec.log()).map_err(failed(&doing));
        let us = std::env::current_exe().map_err(failed(&doing))?;
        let launcher = Command::new(us)
            .arg("--directory")
            .arg(&self.root)
            .args(["launch", &spec.name])
            .current_dir(&spec.directory)
            .stdout(output()?)
            .stderr(output()?);
        let launcher = self
            .marks(&spec.node)
            .into_iter()
            .fold(launcher, |launcher, (name, value)| launcher.env(name, value));
        let process = launcher.spawn().map_err(failed(&doing))?.release();
        let launched = exec::Identity::of(process).ok();
        let until = SystemClock.monotonic() + LAUNCH_TIMEOUT;
        while SystemClock.monotonic() < until {
            let entry = self.entry(&spec.name)?;
            if entry.as_ref().is_some_and(|entry| entry.identity.is_some()) {
                return Ok(());
            }
            if launched.is_none_or(|launched| !launched.is_alive()) {
                let said = entry.map(|entry| entry.last_words()).unwrap_or_default();
                return Err(Failure::new(Ending::Failed, format!("cannot {doing}")).because(said));
            }
            SystemClock.sleep(LOOK);
        }
        Err(Failure::new(Ending::Failed, format!("{} took too long to start", spec.name))
            .hint("the machine is very busy; try again"))
    }

    /// Ends one process with all it started, and forgets it.
    pub(crate) fn end(&self, name: &str) -> Result<(), Failure> {
        if let Some(entry) = self.entry(name)? {
            Hunt::for_entries([&entry]).end().map_err(failed(&format!("end {name}")))?;
        }
        self.forget(name)
    }

    /// What finds all processes of the laboratory.
    pub(crate) fn everything(&self) -> Result<Hunt, Failure> {
        let entries = self.entries()?;
        Ok(Hunt::for_entries(&entries).marked(MARK, &self.mark).below(&self.root))
    }

    /// What finds all processes of a node.
    pub(crate) fn of_node(&self, node: &str) -> Result<Hunt, Failure> {
        let entries = self.entries()?;
        let of_node = entries.iter().filter(|entry| entry.spec.node == node);
        let hunt = Hunt::for_entries(of_node).marked(MARK, &self.mark).marked(NODE, node);
        Ok(hunt.below(&self.root.join(node)))
    }
}

/// What `kosmos-lab launch NAME` does: writes down who it is, and becomes the server.
pub(crate) fn launch(table: &Table, name: &str) -> Result<(), Failure> {
    let missing = || Failure::new(Ending::Input, format!("the table has no process {name}"));
    let mut entry = table.entry(name)?.ok_or_else(missing)?;
    entry.identity = Some(Identity::ours().map_err(failed("find out who we are"))?);
    table.write(&entry)?;
    let spec = entry.spec;
    let mut command = Command::new(&spec.program)
        .args(&spec.arguments)
        .current_dir(&spec.directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &spec.directory)
        .env("LANG", "C.UTF-8")
        .stdout(Output::Inherit)
        .stderr(Output::Inherit);
    for (name, value) in table.marks(&spec.node) {
        command = command.env(name, value);
    }
    for (name, value) in &spec.environment {
        command = command.env(name, value);
    }
    if let Some((user, group)) = spec.owner {
        command = command.run_as(Owner { user, group });
    }
    Err(failed(&format!("start {name}"))(command.replace_this_process()))
}

/// The kernel's name for the time since the machine was started.
fn boot() -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(boot.trim().to_owned())
}
