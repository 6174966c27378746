//! A snapshot tried: a member is made of it, started, counted and thrown away.
//!
//! The rule it keeps: nobody else gets at what is in it. The member has no port, only sockets in a
//! directory that lets nobody in, and runs as nobody in particular.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use soter_world::disk::Owner;
use soter_world::exec::{Child, Command, ExecError, Finished, Output};
use soter_world::{Clock, Disk, Stop};

use crate::etcd::members::program;
use crate::etcd::{Census, Client, EtcdError, EtcdRecord, Status};

/// The largest database there should be, 8 GiB, is indexed in minutes.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// How often it is looked at while it starts.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is told of what differs.
const DIFFERENCES_MAX: usize = 20;

/// So much of what a member said last is told when it does not start.
const LAST_WORDS_BYTES: u64 = 1 << 10;

/// The member's sockets, as etcd makes their names.
const CLIENT_SOCKET: &str = "client:0";
const PEER_URL: &str = "unix://peer:0";

/// Where and how a snapshot is tried.
pub struct Scratch<'a> {
    /// Files.
    pub disk: &'a dyn Disk,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Where `etcd` and `etcdutl` are, if not where programs are.
    pub programs: Option<&'a Path>,
    /// A directory of its own, to be made. It goes with everything in it when this is over.
    pub directory: &'a Path,
    /// Whose process the member is to be; none: ours.
    pub owner: Option<Owner>,
}

/// What a scratch member has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The version of the program that was started.
    pub version: String,
    /// The revision it came up with.
    pub revision: u64,
    /// The keys at the revision that was recorded.
    pub keys: Census,
    /// What is not as it was recorded. Nothing, if all is well.
    pub differences: Vec<String>,
    /// What a person may want to know.
    pub remarks: Vec<String>,
}

/// Why a snapshot could not be tried. Nothing is said about the snapshot by it.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// Something cannot be made there.
    #[error("cannot write {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program is missing, or does not do it.
    #[error("the scratch member cannot be made")]
    Exec(#[from] ExecError),
    /// It ended, or did not answer.
    #[error("the scratch member does not start: {words}")]
    Start {
        /// Its last words.
        words: String,
    },
    /// It does not say what it has.
    #[error("the scratch member cannot be asked")]
    Ask(#[from] EtcdError),
    /// Asked to stop.
    #[error("stopped before the snapshot was tried")]
    Stopped,
}

impl ScratchError {
    /// Whether a program is missing.
    #[must_use]
    pub fn lacks_program(&self) -> bool {
        matches!(self, Self::Exec(ExecError::Start { .. }))
    }
}

impl Tried {
    /// Whether the snapshot has what was recorded.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

impl Scratch<'_> {
    /// Makes a member of a snapshot, starts it, and compares what it has with the record.
    ///
    /// # Errors
    /// See [`ScratchError`].
    pub fn try_snapshot(
        &self,
        snapshot: &Path,
        record: &EtcdRecord,
        stop: &Stop,
    ) -> Result<Tried, ScratchError> {
        let home = self.directory.join("member");
        let failed = |source| ScratchError::File { path: home.clone(), source };
        self.disk.create_dir(&home).map_err(failed)?;
        let restore = Command::new(program(self.programs, "etcdutl"))
            .args(["snapshot", "restore"])
            .arg(snapshot)
            .args(["--data-dir", "data", "--name", "scratch"])
            .args(["--initial-cluster", &format!("scratch={PEER_URL}")])
            .args(["--initial-advertise-peer-urls", PEER_URL])
            .current_dir(&home);
        restore.run(START_TIMEOUT).and_then(Finished::checked)?;
        if let Some(owner) = self.owner {
            let owner = format!("{}:{}", owner.user, owner.group);
            let chown = Command::new("chown").args(["-R", &owner, "--"]).arg(&home);
            chown.run(START_TIMEOUT).and_then(Finished::checked)?;
            // It has to come through to its own.
            self.disk.set_mode(self.directory, 0o711).map_err(failed)?;
        }
        let log = self.directory.join("etcd.log");
        let mut member = self.start(&home, &log)?;
        let client = Client::over_socket(&home.join(CLIENT_SOCKET));
        let status = self.wait(&client, &mut member, &log, stop)?;
        compare(&client, &status, record)
    }

    fn start(&self, home: &Path, log: &Path) -> Result<Child, ScratchError> {
        let output = Output::append_to(log)
            .map_err(|source| ScratchError::File { path: log.to_owned(), source })?;
        let client = format!("unix://{CLIENT_SOCKET}");
        let mut command = Command::new(self.server()?)
            .args(["--name", "scratch", "--data-dir", "data", "--unsafe-no-fsync"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", PEER_URL, "--initial-advertise-peer-urls", PEER_URL])
            .args(["--initial-cluster", &format!("scratch={PEER_URL}")])
            .current_dir(home)
            .stdout(Output::Null)
            .stderr(output);
        // What somebody has in a shell for another etcd means nothing here.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"ETCD_") {
                command = command.env_remove(name);
            }
        }
        if let Some(owner) = self.owner {
            command = command.run_as(owner);
        }
        Ok(command.spawn()?)
    }

    /// The program of the server. Who runs it may not come to where it lies: then it is copied.
    fn server(&self) -> Result<PathBuf, ScratchError> {
        let named = program(self.programs, "etcd");
        let there =
            if self.programs.is_some() { Some(named.clone()) } else { self.in_path(&named) };
        let Some(there) = there.filter(|there| self.owner.is_some() && !self.is_open(there)) else {
            return Ok(named);
        };
        let here = self.directory.join("etcd");
        let copy = Command::new("cp").arg("--").arg(there).arg(&here);
        copy.run(START_TIMEOUT).and_then(Finished::checked)?;
        Ok(here)
    }

    fn in_path(&self, name: &Path) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        let mut places = std::env::split_paths(&path).map(|directory| directory.join(name));
        places.find(|place| self.disk.metadata(place).is_ok())
    }

    /// Whether everybody gets to a program.
    fn is_open(&self, program: &Path) -> bool {
        let open = |path: &Path| self.disk.metadata(path).is_ok_and(|found| found.mode & 1 != 0);
        program.is_absolute() && program.ancestors().all(open)
    }

    /// Until it answers and can be asked.
    fn wait(
        &self,
        client: &Client,
        member: &mut Child,
        log: &Path,
        stop: &Stop,
    ) -> Result<Status, ScratchError> {
        let until = self.clock.monotonic() + START_TIMEOUT;
        loop {
            if let Ok((_, status)) = client.status()
                && status.leader != 0
            {
                return Ok(status);
            }
            if member.try_wait().is_some() || self.clock.monotonic() >= until {
                return Err(ScratchError::Start { words: last_words(log) });
            }
            if stop.wait(LOOK_EVERY) {
                return Err(ScratchError::Stopped);
            }
        }
    }
}

fn compare(client: &Client, status: &Status, record: &EtcdRecord) -> Result<Tried, ScratchError> {
    let (endpoint, _) = client.status()?;
    let (mut differences, mut remarks) = (Vec::new(), Vec::new());
    if status.revision < record.revision {
        differences.push(format!(
            "revision {} was recorded, it has come up with {}",
            record.revision, status.revision
        ));
    }
    if status.revision > record.revision_max {
        remarks.push("leases have ended in it since it was started".to_owned());
    }
    let keys = Census::take(client, &endpoint, record.revision)?;
    differences.extend(record.keys.differences(&keys, DIFFERENCES_MAX));
    let (version, revision) = (status.version.clone(), status.revision);
    Ok(Tried { version, revision, keys, differences, remarks })
}

/// What it said last; nothing if that cannot be read.
fn last_words(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = OpenOptions::new().read(true).open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}
