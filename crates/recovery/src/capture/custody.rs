//! What is known of kept files: whence, whose, how long, and what their bytes add up to.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_runbook::driver::Captured;
use soter_world::disk::FileKind;
use soter_world::{Disk, durable};

use super::{cannot, copy};

/// The file that says it.
pub(super) const CUSTODY: &str = "custody.json";

/// A page about each file, of which a step names a handful.
const CUSTODY_BYTES_MAX: usize = 4 << 20;

/// What is known of the evidence of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// The run.
    pub run: String,
    /// `REAL` or `DRILL`.
    pub kind: String,
    /// The target of the run.
    pub target: String,
    /// The step.
    pub step: String,
    /// What it does, in a sentence.
    pub title: String,
    /// Which try of it.
    pub attempt: u32,
    /// Who answers for the step, by the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<String>,
    /// When the evidence was taken, by the clock of the machine that did.
    pub taken_at: Timestamp,
    /// The operating system's user who took it.
    pub taken_by: String,
    /// The machine that did.
    pub taken_on: String,
    /// The files.
    pub files: Vec<Kept>,
}

/// A file that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where it was.
    pub source: String,
    /// On which machine, if not on the one that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Where it is now, below the directory of this file.
    pub path: String,
    /// How long it is.
    pub bytes: u64,
    /// The SHA-256 of what is kept, in hexadecimal.
    pub sha256: String,
    /// When its contents last changed, by the clock of where it was.
    pub modified: Timestamp,
    /// Whose it was: user and group, by number.
    pub owner: (u32, u32),
    /// Its permissions, in octal.
    pub mode: String,
    /// It changed while it was copied, as a log does that is still written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changed_meanwhile: bool,
    /// So much of its beginning is not kept: only of what the run itself wrote.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// Writes it, and takes away the right to write here.
pub(super) fn write(disk: &dyn Disk, directory: &Path, custody: &Custody) -> Result<(), String> {
    let path = directory.join(CUSTODY);
    let mut bytes = serde_json::to_vec_pretty(custody).map_err(|error| error.to_string())?;
    bytes.push(b'\n');
    durable::write_durable(disk, &path, &bytes)
        .and_then(|()| disk.set_mode(&path, 0o400))
        .map_err(|error| cannot("write", &path, &error))
}

/// What was kept in a directory, as a journal records it: the files, and what says so.
pub(super) fn recorded(
    disk: &dyn Disk,
    directory: &Path,
    name: &str,
) -> Result<Vec<Captured>, String> {
    let path = directory.join(CUSTODY);
    let bytes = durable::read(disk, &path, CUSTODY_BYTES_MAX)
        .map_err(|error| cannot("read", &path, &error))?;
    let custody: Custody = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} is not what was written: {error}", path.display()))?;
    let mut recorded: Vec<Captured> = custody
        .files
        .into_iter()
        .map(|kept| Captured {
            source: match kept.on {
                Some(host) => format!("{host}:{}", kept.source),
                None => kept.source,
            },
            path: format!("{name}/{}", kept.path),
            bytes: kept.bytes,
            sha256: kept.sha256,
        })
        .collect();
    recorded.push(Captured {
        source: "who took it, when and whence".to_owned(),
        path: format!("{name}/{CUSTODY}"),
        bytes: bytes.len() as u64,
        sha256: copy::sha256(&bytes),
    });
    Ok(recorded)
}

/// What is wrong with one kept file.
pub(super) fn problem_of(disk: &dyn Disk, captures: &Path, captured: &Captured) -> Option<String> {
    let path = captures.join(&captured.path);
    match copy::hash_file(disk, &path) {
        Ok((bytes, sha256)) if (bytes, &sha256) == (captured.bytes, &captured.sha256) => None,
        Ok((bytes, sha256)) => Some(format!(
            "{}: it has {bytes} bytes with the SHA-256 {sha256}; recorded were {} with {}",
            path.display(),
            captured.bytes,
            captured.sha256
        )),
        Err(error) => Some(cannot("read", &path, &error)),
    }
}

/// What is wrong with a directory of evidence by its own word, without a journal.
#[must_use]
pub fn problems(disk: &dyn Disk, directory: &Path) -> Vec<String> {
    match recorded(disk, directory, ".") {
        Ok(recorded) => {
            recorded.iter().filter_map(|one| problem_of(disk, directory, one)).collect()
        }
        Err(why) => vec![why],
    }
}

/// All files below a directory; none if it is not there.
pub(super) fn files_below(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut waiting) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = waiting.pop() {
        let entries = match disk.list(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = directory.join(&entry.name);
            match entry.kind {
                FileKind::Directory => waiting.push(path),
                _ => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What a user is called here, with the number.
pub(super) fn user_name(disk: &dyn Disk, user: u32) -> String {
    let passwd = durable::read(disk, Path::new("/etc/passwd"), 1 << 20).unwrap_or_default();
    let passwd = String::from_utf8_lossy(&passwd);
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == user.to_string()).then(|| name.to_owned())
    });
    name.map_or_else(|| format!("user {user}"), |name| format!("{name} ({user})"))
}
