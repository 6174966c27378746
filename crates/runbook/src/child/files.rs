//! The files of a child's directory: their names, and what is in them.
//!
//! The rule it keeps: `pid` is created once and never replaced; whoever finds it has what decides.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::{
    BTreeMap, ChildError, Deserialize, Disk, Duration, Ended, Hidden, Identity, Secret, Serialize,
    Status, Timestamp, durable, file_error, io,
};

/// How it is to be started.
pub(super) const SPEC: &str = "spec.json";

/// Who has begun it, or that nobody ever will.
pub(super) const SLOT: &str = "pid";

/// How it ended.
pub(super) const STATUS: &str = "status";

/// What it writes.
pub(super) const OUTPUT: &str = "output";

/// What it runs.
pub(super) const SCRIPT: &str = "script";

/// Largest file that is read whole: a specification with an environment as large as the kernel takes.
const FILE_BYTES_MAX: usize = 4 << 20;

/// The contents of `pid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Slot {
    /// A process has begun it.
    Taken(Owner),
    /// An engine that found nothing has decided that it never begins.
    Never {
        /// Always true.
        never: bool,
    },
}

/// The process of a command, and the one that watches over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pid: u32,
    start_ticks: u64,
    supervisor: u32,
    supervisor_start_ticks: u64,
    pub(super) boot: String,
}

/// What became of an attempt to take the slot.
pub(super) enum Created {
    Ours,
    Theirs(Slot),
}

/// What is handed over in memory.
#[derive(Serialize, Deserialize)]
pub(super) struct Handed {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) input: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StatusFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    ended_at: Timestamp,
    processor_ms: u64,
}

impl Owner {
    pub(super) fn new(command: Identity, supervisor: Identity, boot: String) -> Self {
        Self {
            pid: command.process,
            start_ticks: command.start_ticks,
            supervisor: supervisor.process,
            supervisor_start_ticks: supervisor.start_ticks,
            boot,
        }
    }

    /// The process of the command.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { process: self.pid, start_ticks: self.start_ticks }
    }

    pub(super) fn is_watched_by(&self, supervisor: Identity) -> bool {
        self.supervisor() == supervisor
    }

    fn supervisor(&self) -> Identity {
        Identity { process: self.supervisor, start_ticks: self.supervisor_start_ticks }
    }

    /// Whether the work is done by its own engine, with no command to be ended.
    pub(super) fn is_engine(&self) -> bool {
        self.identity() == self.supervisor()
    }

    /// Whether somebody is there who goes on or will say how it ended.
    pub(super) fn is_alive(&self) -> bool {
        self.identity().is_alive() || self.supervisor().is_alive()
    }
}

impl Slot {
    pub(super) fn never() -> Self {
        Self::Never { never: true }
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::Taken(owner) => Some(owner.identity()),
            Self::Never { .. } => None,
        }
    }

    /// What is in the slot, if it is taken.
    pub(super) fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<Self>, ChildError> {
        match read_json(disk, &directory.join(SLOT)) {
            Ok(slot) => Ok(Some(slot)),
            Err(ChildError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the slot; what is in it then, whoever was faster.
    pub(super) fn take(self, disk: &dyn Disk, directory: &Path) -> Result<Self, ChildError> {
        match self.clone().create(disk, directory)? {
            Created::Ours => Ok(self),
            Created::Theirs(slot) => Ok(slot),
        }
    }

    /// Takes the slot durably, if nobody has.
    pub(super) fn create(self, disk: &dyn Disk, directory: &Path) -> Result<Created, ChildError> {
        let path = directory.join(SLOT);
        let bytes = to_line(&self);
        let written = (|| {
            let (temporary, file) = durable::create_temporary(disk, &path)?;
            let linked = file
                .write_at(0, &bytes)
                .and_then(|()| file.sync())
                .and_then(|()| disk.link(&temporary, &path));
            drop(disk.remove_file(&temporary));
            // Also when it was taken: what decides must not be undone by a crash.
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                linked => disk.sync_dir(directory).map(|()| linked.is_ok()),
            }
        })();
        match written {
            Ok(true) => Ok(Created::Ours),
            Ok(false) => {
                let slot = Self::read(disk, directory)?;
                slot.map(Created::Theirs).ok_or_else(|| {
                    file_error("read", &path, io::Error::from(io::ErrorKind::NotFound))
                })
            }
            Err(source) => Err(file_error("create", &path, source)),
        }
    }
}

impl Handed {
    pub(super) fn of(hidden: &Hidden) -> Self {
        let exposed =
            |(name, value): (&String, &Secret<String>)| (name.clone(), value.expose().clone());
        Self {
            environment: hidden.environment.iter().map(exposed).collect(),
            input: hidden.input.as_ref().map(|input| input.expose().clone()),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        to_line(self)
    }
}

pub(super) fn write_status(
    disk: &dyn Disk,
    directory: &Path,
    ended: &Ended,
) -> Result<(), ChildError> {
    let (code, signal) = match ended.status {
        Status::Exited(code) => (Some(code), None),
        Status::Signaled(signal) => (None, Some(signal)),
    };
    let processor_ms = u64::try_from(ended.processor.as_millis()).unwrap_or(u64::MAX);
    let status = StatusFile { code, signal, ended_at: ended.at, processor_ms };
    write_json(disk, &directory.join(STATUS), &status)
}

/// How the command ended, if its supervisor has said so.
pub(super) fn read_status(disk: &dyn Disk, directory: &Path) -> Result<Option<Ended>, ChildError> {
    let path = directory.join(STATUS);
    let file: StatusFile = match read_json(disk, &path) {
        Err(ChildError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        read => read?,
    };
    let status = match (file.code, file.signal) {
        (Some(code), None) => Status::Exited(code),
        (None, Some(signal)) => Status::Signaled(signal),
        _ => {
            let why = "it must have an exit code or a signal".to_owned();
            return Err(ChildError::Unreadable { path, why });
        }
    };
    let processor = Duration::from_millis(file.processor_ms);
    Ok(Some(Ended { status, at: file.ended_at, processor }))
}

pub(super) fn write_json(
    disk: &dyn Disk,
    path: &Path,
    value: &impl Serialize,
) -> Result<(), ChildError> {
    durable::write_durable(disk, path, &to_line(value))
        .map_err(|source| file_error("write", path, source))
}

pub(super) fn read_json<T: DeserializeOwned>(
    disk: &dyn Disk,
    path: &Path,
) -> Result<T, ChildError> {
    let bytes = durable::read(disk, path, FILE_BYTES_MAX)
        .map_err(|source| file_error("read", path, source))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ChildError::Unreadable { path: path.to_owned(), why: error.to_string() })
}

fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("only texts are keys here");
    bytes.push(b'\n');
    bytes
}

/// The beginning of a file, at most so much; nothing if there is no such file.
pub(super) fn head(disk: &dyn Disk, path: &Path, bytes_max: usize) -> Result<Vec<u8>, ChildError> {
    part(disk, path, bytes_max, |_, _| 0)
}

/// The end of a file, at most so much; nothing if there is no such file.
pub(super) fn tail(disk: &dyn Disk, path: &Path, bytes_max: usize) -> Result<Vec<u8>, ChildError> {
    part(disk, path, bytes_max, u64::saturating_sub)
}

/// As many bytes from the place that is chosen by the length of the file and the most of them.
fn part(
    disk: &dyn Disk,
    path: &Path,
    bytes_max: usize,
    from: fn(u64, u64) -> u64,
) -> Result<Vec<u8>, ChildError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = disk.open(path)?;
        let (length, most) = (file.len()?, u64::try_from(bytes_max).unwrap_or(u64::MAX));
        let mut bytes = vec![0; usize::try_from(length.min(most)).unwrap_or(bytes_max)];
        file.read_exact_at(from(length, most), &mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|source| file_error("read", path, source)),
    }
}
