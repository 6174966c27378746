//! A laboratory's directory: what is in it, and the description that makes it one.
//!
//! ```text
//! lab.json      what it is: ports, addresses, programs, secrets; mode 0600
//! processes/    the table of its processes
//! node-1/ …     what a node has; gone when the node is
//! outside/      what is not in the cluster: the vault, S3, the Git remote, metrics
//! laptop/       what the person who recovers has: keys, the plan, the target
//! bin/          stand-ins for programs that a real KOSMOS has
//! ```
//!
//! Nothing of it lies anywhere else, so removing the directory removes it all.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_world::disk::Owner;
use soter_world::{Clock, OsDisk, SystemClock, SystemRandom, durable, random};

use crate::failure::{Ending, Failure, failed};
use crate::ports;

/// The description's file.
pub(crate) const FILE: &str = "lab.json";

/// The description's format.
const FORMAT: u32 = 1;

/// Longest description that is read.
const LENGTH_MAX: usize = 1 << 20;

/// Paths of Unix sockets end at 107 bytes, and the longest one below has 40.
const PATH_LENGTH_MAX: usize = 65;

/// Directories of the machine that every node has its own view of: what a node writes there lies in its
/// `files/`, and the machine's own stay as they are.
pub(crate) const VIEWS: [&str; 2] = ["/etc", "/var/lib"];

/// The nodes of the cluster.
pub(crate) const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

/// Where everything is that is in no node.
pub(crate) const OUTSIDE: &str = "outside";

/// What a laboratory is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Description {
    /// The format of this description.
    pub(crate) lab: u32,
    /// Its name, which no other laboratory has.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) directory: PathBuf,
    /// When it was begun.
    pub(crate) made_at: Timestamp,
    /// Whether all of it was made; one that was not is begun anew.
    pub(crate) complete: bool,
    /// User and group that run PostgreSQL.
    pub(crate) server_owner: (u32, u32),
    /// Ports on 127.0.0.1, by what listens.
    pub(crate) ports: BTreeMap<String, u16>,
    /// How to reach its parts: connection strings and URLs.
    pub(crate) addresses: BTreeMap<String, String>,
    /// The programs it uses.
    pub(crate) programs: BTreeMap<String, PathBuf>,
    /// Passwords and access keys, made for it.
    pub(crate) secrets: BTreeMap<String, String>,
    /// The parts it does not have, and why.
    pub(crate) without: BTreeMap<String, String>,
    /// What was broken, in order.
    pub(crate) broken: Vec<Broken>,
}

/// Something that was broken on purpose.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Broken {
    /// When.
    pub(crate) at: Timestamp,
    /// What, in a sentence.
    pub(crate) what: String,
}

/// What is at the path of a laboratory.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing, or an empty directory.
    Nothing,
    /// A laboratory.
    Lab(Box<Description>),
}

/// Who holds this is the only one that changes the laboratory.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl Description {
    /// A new one; nothing is written.
    pub(crate) fn new(root: &Path, owner: Owner, port_names: &[String]) -> Result<Self, Failure> {
        if root.as_os_str().len() > PATH_LENGTH_MAX {
            let what = format!("{} is too long a path for sockets in it", root.display());
            let hint = format!("name one of at most {PATH_LENGTH_MAX} bytes with --directory");
            return Err(Failure::new(Ending::Input, what).hint(hint));
        }
        if VIEWS.iter().any(|view| root.starts_with(view)) {
            let what = format!("{} lies where nodes have a view of their own", root.display());
            let hint = format!("name a directory outside of {} with --directory", VIEWS.join(", "));
            return Err(Failure::new(Ending::Input, what).hint(hint));
        }
        Ok(Self {
            lab: FORMAT,
            name: format!("kosmos-lab-{}", secret::<6>()),
            directory: root.to_owned(),
            made_at: SystemClock.now(),
            complete: false,
            server_owner: (owner.user, owner.group),
            ports: ports::choose(port_names.iter().map(String::as_str), &SystemRandom)?,
            addresses: BTreeMap::new(),
            programs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            without: BTreeMap::new(),
            broken: Vec::new(),
        })
    }

    /// Writes it into its directory.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(self).map_err(failed("describe the laboratory"))?;
        durable::write_durable(&OsDisk, &self.directory.join(FILE), &bytes)
            .map_err(failed("write the laboratory's description"))
    }
}

/// Looks what is there. A directory that holds something else is never touched.
pub(crate) fn find(root: &Path) -> Result<Found, Failure> {
    let file = root.join(FILE);
    match durable::read(&OsDisk, &file, LENGTH_MAX) {
        Ok(bytes) => understand(&file, &bytes).map(|description| Found::Lab(Box::new(description))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if holds_something(root)? {
                let what = format!("{} is not a laboratory: it has no {FILE}", root.display());
                let hint = "name an empty directory, or one that is not there, with --directory";
                return Err(Failure::new(Ending::Input, what).hint(hint));
            }
            Ok(Found::Nothing)
        }
        Err(error) => Err(failed(&format!("read {}", file.display()))(error)),
    }
}

fn understand(file: &Path, bytes: &[u8]) -> Result<Description, Failure> {
    let format = serde_json::from_slice::<serde_json::Value>(bytes)
        .map(|value| value["lab"].as_u64())
        .map_err(failed(&format!("understand {}", file.display())))?;
    if format != Some(u64::from(FORMAT)) {
        let what = format!("{} was made by another version of kosmos-lab", file.display());
        return Err(Failure::new(Ending::Input, what).hint("end it with the kosmos-lab it is of"));
    }
    serde_json::from_slice(bytes).map_err(failed(&format!("understand {}", file.display())))
}

/// Whether a directory holds anything but what a killed writer leaves of a first description.
fn holds_something(root: &Path) -> Result<bool, Failure> {
    match fs::read_dir(root) {
        Ok(entries) => {
            let mut names = entries.flatten().map(|entry| entry.file_name());
            Ok(names.any(|name| !durable::is_temporary(&name) && name != LOCK))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(&format!("look into {}", root.display()))(error)),
    }
}

/// Held by whoever changes a laboratory.
pub(crate) const LOCK: &str = ".lock";

/// Takes the directory for ourselves; it is made if it is not there.
pub(crate) fn hold(root: &Path) -> Result<Held, Failure> {
    let cannot = || failed::<io::Error>(&format!("use {}", root.display()));
    fs::create_dir_all(root).map_err(cannot())?;
    let file = File::options().create(true).append(true).open(root.join(LOCK)).map_err(cannot())?;
    match file.try_lock() {
        Ok(()) => Ok(Held(file)),
        Err(TryLockError::WouldBlock) => {
            let what = format!("another kosmos-lab is at work on {}", root.display());
            Err(Failure::new(Ending::Input, what).hint("wait for it, or end it with Ctrl-C"))
        }
        Err(TryLockError::Error(error)) => Err(cannot()(error)),
    }
}

/// Random bytes as text: a password, a name.
pub(crate) fn secret<const N: usize>() -> String {
    hex::encode(random::bytes::<N>(&SystemRandom))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { user: 1, group: 1 }
    }

    #[test]
    fn a_description_is_found_again_and_names_what_it_was_given() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(find(root.path()).unwrap(), Found::Nothing));
        let made = Description::new(root.path(), owner(), &["zeus".to_owned()]).unwrap();
        made.write().unwrap();
        let Found::Lab(found) = find(root.path()).unwrap() else { panic!("no laboratory") };
        assert_eq!((&found.name, &found.ports), (&made.name, &made.ports));
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let root = tempfile::tempdir().unwrap();
        File::create(root.path().join("thesis.tex")).unwrap();
        let failure = find(root.path()).unwrap_err();
        assert_eq!(failure.ending, Ending::Input);
        assert!(failure.to_string().contains("is not a laboratory"), "{failure}");
    }

    #[test]
    fn another_version_is_refused() {
        let failure = understand(Path::new(FILE), br#"{"lab": 2}"#).unwrap_err();
        assert!(failure.to_string().contains("another version"), "{failure}");
    }

    #[test]
    fn one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let held = hold(root.path()).unwrap();
        assert!(hold(root.path()).unwrap_err().to_string().contains("another kosmos-lab"));
        drop(held);
        hold(root.path()).unwrap();
    }

    #[test]
    fn a_path_that_nodes_see_otherwise_is_refused() {
        let failure = Description::new(Path::new("/var/lib/lab"), owner(), &[]).unwrap_err();
        assert!(failure.to_string().contains("view of their own"), "{failure}");
    }

    #[test]
    fn a_path_that_no_socket_could_have_is_refused() {
        let long = PathBuf::from("/tmp").join("x".repeat(80));
        let failure = Description::new(&long, owner(), &[]).unwrap_err();
        assert!(failure.to_string().contains("too long a path"), "{failure}");
    }
}
