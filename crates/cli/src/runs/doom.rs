//! A disk on which an engine dies at a chosen record of its journal, for the tests that look at what
//! becomes of a run then. No released binary has it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use soter_world::disk::{Entry, Metadata, Owner};
use soter_world::exec::{Signal, signal_process};
use soter_world::{Disk, DiskFile};

use super::variable;

/// `APPEND:MOMENT`: the how manieth append, from 1, and `before` it is written, `written` but not durable,
/// or `durable`.
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

struct Fate {
    append: u64,
    moment: Moment,
    appends: AtomicU64,
}

struct DoomedFile {
    file: Box<dyn DiskFile>,
    fate: Arc<Fate>,
}

/// The disk of an engine: a doomed one if that is asked for.
pub(crate) fn disk(disk: &Arc<dyn Disk>) -> Arc<dyn Disk> {
    let disk = Arc::clone(disk);
    match variable(VARIABLE).as_deref().and_then(Fate::parse) {
        Some(fate) => Arc::new(DoomedDisk { disk, fate: Arc::new(fate) }),
        None => disk,
    }
}

impl Fate {
    fn parse(text: &str) -> Option<Self> {
        let (append, moment) = text.split_once(':')?;
        let moment = match moment {
            "before" => Moment::Before,
            "written" => Moment::Written,
            "durable" => Moment::Durable,
            _ => return None,
        };
        Some(Self { append: append.parse().ok()?, moment, appends: AtomicU64::new(0) })
    }

    fn at(&self, moment: Moment) {
        if self.moment == moment && self.appends.load(Ordering::Relaxed) == self.append {
            drop(signal_process(std::process::id(), Signal::Kill));
            // The signal is on its way, and nothing more is done.
            loop {
                std::thread::park();
            }
        }
    }
}

impl DoomedDisk {
    fn watched(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        match path.file_name() {
            Some(name) if name == "journal" => {
                Box::new(DoomedFile { file, fate: Arc::clone(&self.fate) })
            }
            _ => file,
        }
    }
}

impl DiskFile for DoomedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.fate.appends.fetch_add(1, Ordering::Relaxed);
        self.fate.at(Moment::Before);
        self.file.write_at(offset, bytes)?;
        self.fate.at(Moment::Written);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        self.fate.at(Moment::Durable);
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
