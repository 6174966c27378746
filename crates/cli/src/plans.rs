//! The files of plans: which they are, and what is in them.
//!
//! The rule it keeps: a directory is one plan, whatever order the file system lists it in. Files that
//! are named together are one plan; a document without YAML beside it is a plan of its own.

pub(crate) mod published;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use soter_plan::check::{self, Input};
use soter_plan::language::Plan;
use soter_world::{Disk, disk::FileKind, durable};

use crate::context::Context;
use crate::failure::{Ending, Failure};

/// Longer files are no plans: what reads them says so, and needs a little more to see it.
const FILE_BYTES_MAX: usize = (16 << 20) + 1;

/// Deeper directories are not searched: a plan is kept in a few folders.
const DEPTH_MAX: usize = 16;

/// More files than that are not a plan: somebody named the wrong directory.
const FILES_MAX: usize = 10_000;

/// Standard input, on the command line.
const STDIN: &str = "-";

/// The files of one plan, by their names, sorted within each directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PlanFiles {
    paths: Vec<PathBuf>,
    /// Files that come from a vault and have been read there.
    published: Vec<(String, Vec<u8>)>,
}

/// What tells that a file has changed: nothing if it is not there.
type Stamp = Option<(u64, Timestamp, u64)>;

/// The plans that these paths name.
pub(crate) fn find(disk: &dyn Disk, paths: &[PathBuf]) -> Result<Vec<PlanFiles>, Failure> {
    let (mut directories, mut files, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        match directory(disk, path)? {
            Some(found) => directories.push(PlanFiles::at(found)),
            None if is_document(path) => documents.push(path.clone()),
            None => files.push(path.clone()),
        }
    }
    let mut plans = directories;
    match (plans.as_mut_slice(), files.is_empty() && documents.is_empty()) {
        (_, true) => {}
        // What is named beside one directory belongs to it.
        ([only], false) => only.paths.extend(files.into_iter().chain(documents)),
        (_, false) if files.is_empty() => {
            plans.extend(documents.into_iter().map(|path| PlanFiles::at(vec![path])));
        }
        (_, false) => {
            plans.push(PlanFiles::at(files.into_iter().chain(documents).collect()));
        }
    }
    Ok(plans)
}

/// The YAML files of a directory and those below it; none if it is not a directory.
fn directory(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<PathBuf>>, Failure> {
    if path == Path::new(STDIN) {
        return Ok(None);
    }
    match disk.list(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(cannot_read(path, &error)),
        Ok(_) => {}
    }
    let mut found = Vec::new();
    search(disk, path, 0, &mut found).map_err(|error| cannot_read(path, &error))?;
    match found.len() {
        0 => Err(Failure::new(Ending::Input, format!("{} has no plan in it", path.display()))
            .hint(
                "a plan is all *.yaml and *.yml files of a directory; name documents themselves",
            )),
        count if count > FILES_MAX => {
            let what = format!("{} holds more than {FILES_MAX} YAML files", path.display());
            Err(Failure::new(Ending::Input, what).hint("name the directory of the plan itself"))
        }
        _ => Ok(Some(found)),
    }
}

fn search(
    disk: &dyn Disk,
    directory: &Path,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> io::Result<()> {
    for entry in disk.list(directory)? {
        let name = entry.name.to_string_lossy();
        if name.starts_with('.') || found.len() > FILES_MAX {
            continue;
        }
        let path = directory.join(&entry.name);
        match entry.kind {
            FileKind::Directory if depth < DEPTH_MAX => search(disk, &path, depth + 1, found)?,
            FileKind::File | FileKind::Symlink if is_yaml(&path) => found.push(path),
            _ => {}
        }
    }
    Ok(())
}

fn is_yaml(path: &Path) -> bool {
    has_extension(path, &["yaml", "yml"])
}

fn is_document(path: &Path) -> bool {
    has_extension(path, &["md", "markdown", "mdown", "mkd", "mdx", "txt"])
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|found| known.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

impl PlanFiles {
    fn at(paths: Vec<PathBuf>) -> Self {
        Self { paths, published: Vec::new() }
    }

    /// Reads them all.
    pub(crate) fn read(&self, disk: &dyn Disk) -> Result<Vec<Input>, Failure> {
        let input =
            |(name, bytes): &(String, Vec<u8>)| Input { name: name.clone(), bytes: bytes.clone() };
        let published = self.published.iter().map(input).map(Ok);
        published.chain(self.paths.iter().map(|path| read(disk, path))).collect()
    }

    /// What tells whether one of them has changed.
    pub(crate) fn stamps(&self, disk: &dyn Disk) -> Vec<(PathBuf, Stamp)> {
        let stamp = |path: &PathBuf| {
            let metadata = disk.open(path).and_then(|file| file.metadata()).ok()?;
            Some((metadata.size, metadata.modified, metadata.inode))
        };
        self.paths.iter().map(|path| (path.clone(), stamp(path))).collect()
    }

    /// Whether standard input is one of them: it can be read once only.
    pub(crate) fn has_stdin(&self) -> bool {
        self.paths.iter().any(|path| path == Path::new(STDIN))
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Input, Failure> {
    if path == Path::new(STDIN) {
        let mut bytes = Vec::new();
        let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
        let read = io::stdin().lock().take(limit).read_to_end(&mut bytes);
        read.map_err(|error| cannot_read(path, &error))?;
        return Ok(Input { name: "stdin".to_owned(), bytes });
    }
    let bytes = durable::read(disk, path, FILE_BYTES_MAX);
    let bytes = bytes.map_err(|error| cannot_read(path, &error))?;
    Ok(Input { name: name(path), bytes })
}

/// As people know it: relative to where they are, if it lies there.
fn name(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_ref().and_then(|here| path.strip_prefix(here).ok());
    let name = below.unwrap_or(path).display().to_string();
    name.strip_prefix("./").map_or(name.clone(), str::to_owned)
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    let failure =
        Failure::of(Ending::Input, error).during(&format!("read the plan {}", path.display()));
    match error.kind() {
        io::ErrorKind::FileTooLarge => failure.hint("a plan's file has at most 16 MiB"),
        io::ErrorKind::NotFound => {
            failure.hint("name a file, a directory with YAML files in it, or - for standard input")
        }
        _ => failure,
    }
}

/// The one plan that these paths name, as far as it can be read. What is wrong with it is not told
/// here, only that something is.
pub(crate) fn one(context: &Context, paths: &[PathBuf]) -> Result<Plan, Failure> {
    let mut plans = find(&*context.disk, paths)?;
    let (Some(files), true) = (plans.pop(), plans.is_empty()) else {
        return Err(Failure::new(Ending::Input, "these paths name several plans")
            .hint("name one directory, or the files of one plan"));
    };
    let loaded = check::load(&files.read(&*context.disk)?);
    let mistakes = loaded.findings.len();
    if mistakes > 0 {
        let what =
            if mistakes == 1 { "a mistake".to_owned() } else { format!("{mistakes} mistakes") };
        context.output.warn(&format!("the plan has {what}; `soter check` shows what"));
    }
    Ok(loaded.plan)
}
