//! A disk on which an engine dies at a chosen record of its journal, for the tests that look at what
//! becomes of a run then. No released binary has it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use soter_world::disk::{Entry, Metadata, Owner};
use soter_world::exec::{Signal, signal_process};
use soter_world::{Disk, DiskFile};

use super::variable;

/// `APPEND:MOMENT`: the how manieth append, from 1, and `before` it is written, `written` but not durable,
/// or `durable`. What is written over itself, as an engine does that goes on, is no append.
/// `everywhere:DIRECTORY`: at the first append at which none died yet, that is with other types of
/// records or about other steps: before it is written, and the next time once it is written, durable or
/// not; the directory has a file for each death.
const VARIABLE: &str = "SOTER_TEST_KILL_ENGINE";

/// When in an append it dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    Written,
    Durable,
}

struct DoomedDisk {
    disk: Arc<dyn Disk>,
    fate: Arc<Fate>,
}

enum Fate {
    Once { append: u64, moment: Moment, appends: AtomicU64 },
    Everywhere { disk: Arc<dyn Disk>, deaths: PathBuf },
}

struct DoomedFile {
    file: Box<dyn DiskFile>,
    fate: Arc<Fate>,
    /// What the last append was about; nothing yet: none has been made.
    last: Mutex<String>,
}

/// The disk of an engine: a doomed one if that is asked for.
pub(crate) fn disk(disk: &Arc<dyn Disk>) -> Arc<dyn Disk> {
    let disk = Arc::clone(disk);
    match variable(VARIABLE).as_deref().and_then(|fate| Fate::parse(fate, &disk)) {
        Some(fate) => Arc::new(DoomedDisk { disk, fate: Arc::new(fate) }),
        None => disk,
    }
}

impl Fate {
    fn parse(text: &str, disk: &Arc<dyn Disk>) -> Option<Self> {
        let (append, moment) = text.split_once(':')?;
        if append == "everywhere" {
            return Some(Self::Everywhere { disk: Arc::clone(disk), deaths: moment.into() });
        }
        let moment = match moment {
            "before" => Moment::Before,
            "written" => Moment::Written,
            "durable" => Moment::Durable,
            _ => return None,
        };
        Some(Self::Once { append: append.parse().ok()?, moment, appends: AtomicU64::new(0) })
    }

    fn append(&self) {
        if let Self::Once { appends, .. } = self {
            appends.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn at(&self, moment: Moment, about: &str) {
        let is_now = match self {
            Self::Once { append, moment: chosen, appends } => {
                *chosen == moment && appends.load(Ordering::Relaxed) == *append
            }
            Self::Everywhere { disk, deaths } => {
                // What was written is not written again, so that it is either with it or without.
                let is_due = match moment {
                    Moment::Before => !about.is_empty(),
                    Moment::Written => about.len() % 2 == 1,
                    Moment::Durable => !about.is_empty() && about.len().is_multiple_of(2),
                };
                let name = format!("{about}{moment:?}").to_lowercase();
                is_due && disk.create(&deaths.join(name)).is_ok()
            }
        };
        if is_now {
            drop(signal_process(std::process::id(), Signal::Kill));
            // The signal is on its way, and nothing more is done.
            loop {
                std::thread::park();
            }
        }
    }
}

/// The types of the records of an append, and the steps or names that they are about.
fn about(lines: &[u8]) -> String {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let records = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let words = records.map(|record| {
        let body = &record["body"];
        let asked = &body["about"]["step"];
        let about = [&body["step"], &body["name"], &asked["step"]];
        let about = about.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned();
        let which = if asked.is_null() { String::new() } else { asked["which"].to_string() };
        let words = format!("{} {about} {which}", record["type"].as_str().unwrap_or_default());
        words.split(|one: char| !one.is_alphanumeric()).collect::<Vec<_>>().join("-")
    });
    words.fold(String::new(), |all, words| format!("{all}{words}."))
}

impl DoomedDisk {
    fn watched(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        match path.file_name() {
            Some(name) if name == "journal" => {
                Box::new(DoomedFile { file, fate: Arc::clone(&self.fate), last: Mutex::default() })
            }
            _ => file,
        }
    }
}

impl DoomedFile {
    fn at(&self, moment: Moment) {
        let last = self.last.lock().expect("nobody panics with it");
        self.fate.at(moment, &last);
    }
}

impl DiskFile for DoomedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset < self.file.metadata()?.size {
            return self.file.write_at(offset, bytes);
        }
        self.fate.append();
        *self.last.lock().expect("nobody panics with it") = about(bytes);
        self.at(Moment::Before);
        self.file.write_at(offset, bytes)?;
        self.at(Moment::Written);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        self.at(Moment::Durable);
        Ok(())
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }
}

impl Disk for DoomedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.watched(path, self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.watched(path, self.disk.open_write(path)?))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename_noreplace(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        self.disk.symlink(target, path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.disk.read_link(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(directory)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.disk.metadata(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.disk.set_mode(path, mode)
    }

    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()> {
        self.disk.set_owner(path, owner)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.disk.sync_dir(directory)
    }

    fn sync_filesystem(&self, directory: &Path) -> io::Result<()> {
        self.disk.sync_filesystem(directory)
    }

    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        self.disk.available_bytes(directory)
    }
}
