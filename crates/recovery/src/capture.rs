//! `capture`: evidence, kept so that it can be shown later that it is what was there.
//!
//! ```text
//!  captures/STEP.ATTEMPT/files/…       what a step names, as it was
//!                        output.txt    what its script wrote; what its attempt left as evidence
//!                        custody.json  of each: whence, whose, how long, its SHA-256; when, and by whom
//! ```
//!
//! The rules it keeps: what is not there is a failure, never left out. A directory of evidence appears
//! whole or not at all, and nothing in it is written again. Files are kept as they were; what the run
//! itself wrote has its secrets covered. The hashes, and that of `custody.json`, stand in the journal.

mod copy;
mod custody;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use soter_runbook::driver::{Asking, Attempt, Captured, Outcome, Reply};
use soter_runbook::procedure::{self, Step};
use soter_runbook::steps::{Action, Place, Redactor, Work};
use soter_world::disk::FileKind;
use soter_world::{Disk, Machine, durable, exec};

pub use custody::{Custody, Kept, problems};

use self::copy::{Copied, Source};
use crate::actions::Means;

/// The directory of a run's evidence.
pub const CAPTURES: &str = "captures";

/// What an attempt leaves as evidence by itself, in its directory.
pub(crate) const EVIDENCE: &str = "evidence";

/// Behind the name of a directory that is not whole yet.
const PARTIAL: &str = ".partial";

/// What a command writes, in the directory of its attempt.
const OUTPUT: &str = "output";

/// The largest file that is kept; the largest that a person still looks through. What is larger is
/// an image of a disk, and belongs into a vault.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

/// How much of what the run itself wrote is kept, from its end.
const OUTPUT_BYTES_MAX: u64 = 16 << 20;

/// Keeps evidence.
pub(crate) struct Evidence {
    pub(crate) means: Means,
}

impl Action for Evidence {
    fn carries_out(&self, step: &Step) -> bool {
        matches!(step.action, procedure::Action::Capture)
    }

    fn keeps_evidence(&self) -> bool {
        true
    }

    fn work(&self, attempt: &Attempt, _: &Place) -> Option<Result<Work, String>> {
        let is_capture = matches!(attempt.step.action, procedure::Action::Capture);
        // What there is to do comes behind it, as for every other step that names evidence.
        let nothing = |_: &_| Outcome::Done { outputs: BTreeMap::new(), captured: Vec::new() };
        is_capture.then(|| Ok(Work::Here(Box::new(nothing))))
    }

    fn answer(&self, _: &Asking, _: &Place) -> Option<Reply> {
        None
    }

    fn capture(&self, attempt: &Attempt, place: &Place) -> Option<Result<Vec<Captured>, String>> {
        let keeper = Keeper { means: &self.means, attempt, place };
        match keeper.left() {
            Ok(left) if left.is_empty() && attempt.step.capture.is_empty() => None,
            Ok(left) => Some(keeper.keep(&left)),
            Err(why) => Some(Err(why)),
        }
    }
}

struct Keeper<'k> {
    means: &'k Means,
    attempt: &'k Attempt,
    place: &'k Place,
}

impl Keeper<'_> {
    fn disk(&self) -> &dyn Disk {
        &*self.means.disk
    }

    /// What the attempt itself left: its output, if the step keeps evidence, and files of its own.
    fn left(&self) -> Result<Vec<(PathBuf, String)>, String> {
        let attempt = self.place.attempt(&self.attempt.step.id, self.attempt.number);
        let mut left = Vec::new();
        let output = attempt.join(OUTPUT);
        if !self.attempt.step.capture.is_empty() && self.disk().metadata(&output).is_ok() {
            left.push((output, "output.txt".to_owned()));
        }
        let own = attempt.join(EVIDENCE);
        match self.disk().list(&own) {
            Ok(entries) => left.extend(
                entries
                    .into_iter()
                    .filter(|entry| entry.kind == FileKind::File)
                    .filter(|entry| !durable::is_temporary(&entry.name))
                    .map(|entry| {
                        (own.join(&entry.name), entry.name.to_string_lossy().into_owned())
                    }),
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot("look into", &own, &error)),
        }
        Ok(left)
    }

    fn keep(&self, left: &[(PathBuf, String)]) -> Result<Vec<Captured>, String> {
        let name = format!("{}.{}", self.attempt.step.id, self.attempt.number);
        let captures = self.place.run_directory.join(CAPTURES);
        let whole = captures.join(&name);
        if self.disk().metadata(&whole).is_ok() {
            // Whoever put it there may have died before its name was durable.
            let synced = self.disk().sync_dir(&captures);
            synced.map_err(|error| cannot("keep", &whole, &error))?;
            return custody::recorded(self.disk(), &whole, &name);
        }
        let partial = captures.join(format!("{name}{PARTIAL}"));
        self.clear(&partial)?;
        self.make_directory(&partial)?;
        let mut custody = self.begin()?;
        for written in &self.attempt.step.capture {
            let kept = self.named(written, &partial)?;
            custody.files.push(kept);
        }
        let redactor = self.redactor();
        for (path, name) in left {
            custody.files.push(self.own(path, name, &partial, &redactor)?);
        }
        custody::write(self.disk(), &partial, &custody)?;
        self.disk()
            .rename_noreplace(&partial, &whole)
            .and_then(|()| self.disk().set_mode(&whole, 0o500))
            .and_then(|()| self.disk().sync_dir(&captures))
            .map_err(|error| cannot("put in place", &whole, &error))?;
        custody::recorded(self.disk(), &whole, &name)
    }

    fn begin(&self) -> Result<Custody, String> {
        let machine = Machine::this().map_err(|error| format!("cannot say where: {error}"))?;
        Ok(Custody {
            run: self.attempt.run.to_string(),
            kind: self.attempt.kind.to_string(),
            step: self.attempt.step.id.to_string(),
            title: self.attempt.step.title.clone(),
            attempt: self.attempt.number,
            target: self.place.bindings.title().to_owned(),
            responsible: self.attempt.step.owner.clone(),
            taken_at: self.means.clock.now(),
            taken_by: custody::user_name(self.disk(), exec::current_owner().user),
            taken_on: machine.host,
            files: Vec::new(),
        })
    }

    /// A file that the step names.
    fn named(&self, written: &str, partial: &Path) -> Result<Kept, String> {
        let name = self.attempt.parameters.fill(written).map_err(|error| error.to_string())?;
        let inside = PathBuf::from("files").join(inside(&name)?);
        let target = partial.join(&inside);
        self.make_directory(durable::parent(&target))?;
        let host = self.attempt.step.on.as_ref();
        let host = host.map(|host| self.attempt.parameters.fill(host));
        let host = host.transpose().map_err(|error| error.to_string())?;
        let source = match &host {
            Some(host) => Source::There { host, name: &name },
            None => Source::Here(self.place.work_directory().join(&name)),
        };
        let copied = copy::copy(self.disk(), self.place, &source, &target)?;
        self.kept(copied, &name, host, &inside)
    }

    /// Something the run itself wrote.
    fn own(
        &self,
        path: &Path,
        name: &str,
        partial: &Path,
        redactor: &Redactor,
    ) -> Result<Kept, String> {
        let target = partial.join(name);
        let copied = copy::copy_covered(self.disk(), path, &target, OUTPUT_BYTES_MAX, redactor)?;
        self.kept(copied, &path.display().to_string(), None, Path::new(name))
    }

    fn kept(
        &self,
        copied: Copied,
        source: &str,
        host: Option<String>,
        inside: &Path,
    ) -> Result<Kept, String> {
        Ok(Kept {
            source: source.to_owned(),
            on: host,
            path: inside.display().to_string(),
            bytes: copied.bytes,
            sha256: copied.sha256,
            modified: copied.modified,
            owner: copied.owner,
            mode: copied.mode,
            changed_meanwhile: copied.changed_meanwhile,
            left_out_bytes: copied.left_out_bytes,
        })
    }

    fn redactor(&self) -> Redactor {
        self.place.redactor(&self.attempt.parameters)
    }

    fn make_directory(&self, path: &Path) -> Result<(), String> {
        durable::create_dir_all_durable(self.disk(), path)
            .map_err(|error| cannot("make", path, &error))
    }

    /// What an attempt to keep this left behind when it was cut off; nobody was told of it.
    fn clear(&self, partial: &Path) -> Result<(), String> {
        durable::remove_tree(self.disk(), partial)
            .map_err(|error| cannot("remove", partial, &error))
    }
}

/// Where a named file goes below the directory of evidence: where it was below the root.
fn inside(name: &str) -> Result<PathBuf, String> {
    let mut inside = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => inside.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(format!("`{name}` climbs out of its directory: write its whole path"));
            }
        }
    }
    if inside.as_os_str().is_empty() || name.ends_with('/') {
        return Err(format!("`{name}` is no name of a file"));
    }
    Ok(inside)
}

/// Whether it is of an attempt that was cut off while it kept evidence: nobody was told of that.
fn is_partial(captures: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(captures).ok().and_then(|path| path.components().next());
    inside.is_some_and(|first| first.as_os_str().to_string_lossy().ends_with(PARTIAL))
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}

/// Everything that is wrong with the evidence of a run: what its journal recorded must be there as it
/// was, and nothing else.
#[must_use]
pub fn verify(disk: &dyn Disk, run_directory: &Path, recorded: &[Captured]) -> Vec<String> {
    let captures = run_directory.join(CAPTURES);
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for captured in recorded {
        known.insert(captures.join(&captured.path));
        found.extend(custody::problem_of(disk, &captures, captured));
    }
    match custody::files_below(disk, &captures) {
        Ok(files) => found.extend(
            files
                .into_iter()
                .filter(|path| !known.contains(path) && !is_partial(&captures, path))
                .map(|path| format!("{}: the journal does not know it", path.display())),
        ),
        Err(error) => found.push(cannot("look into", &captures, &error)),
    }
    found
}
