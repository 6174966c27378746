//! Bringing the contents of a backup back, or comparing them with what the map says: leaf by leaf,
//! by several threads, in memory that does not grow with the backup.
//!
//! ```text
//! this thread: table of files ─▶ directories, links, new files ─▶ units ─▶ workers: frames ─▶ sink
//! ```

mod produce;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, bounded};
use soter_world::Stop;

use crate::crypto::ContentIdKey;
use crate::frame::FrameType;
use crate::ids::ContentId;
use crate::map::contents::{BlockFile, BlockTarget, Contents, Opener, SessionKeys, WholeBlock};
use crate::map::entry::{Content, EagerRef, EntryKind, FileEntry, LeafRef};
use crate::map::error::{Damage, DamageCause, MapError, Part};
use crate::map::leaf::UNKNOWN_ID;
use crate::map::path::FilePath;
use crate::map::progress::{Progress, Step};
use crate::map::read::LoadedMap;
use crate::names::PackClass;
use produce::Producer;

/// Where restored files go. Entries come in the order of their paths, each directory before what is
/// in it; contents come from several threads.
pub trait Sink: Sync {
    /// Makes a directory. Set its time when everything in it is there.
    ///
    /// # Errors
    /// Any error ends the restore.
    fn directory(&self, entry: &FileEntry) -> io::Result<()>;

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// Any error ends the restore.
    fn link(&self, entry: &FileEntry, target: &[u8]) -> io::Result<()>;

    /// Makes a file of `size` zero bytes.
    ///
    /// # Errors
    /// Any error ends the restore.
    fn file(&self, entry: &FileEntry, size: u64) -> io::Result<Box<dyn SinkFile>>;
}

/// A file that is being restored. Bytes that are not written are zero.
pub trait SinkFile: Send + Sync {
    /// Writes bytes that were authenticated.
    ///
    /// # Errors
    /// Any error ends the restore.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Everything was written. Called once.
    ///
    /// # Errors
    /// Any error ends the restore.
    fn finish(&self) -> io::Result<()>;
}

/// What is restored, and how.
#[derive(Clone, Copy)]
pub struct RestoreOptions<'o> {
    /// Threads that read, open and write. Each holds up to five megabytes.
    pub workers: usize,
    /// Which files and links are restored. Directories around them are made in any case, and others
    /// if this says so.
    pub select: &'o (dyn Fn(&FileEntry) -> bool + Sync),
}

/// What was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Files.
    pub files: u64,
    /// Bytes of these files, zeros that were not written among them.
    pub bytes: u64,
}

/// Restores the selected entries into a sink.
///
/// # Errors
/// The first one ends the restore. [`MapError::Damaged`] names what is damaged; nothing of a damaged
/// frame was written.
pub fn restore(
    map: &LoadedMap<'_>,
    keys: SessionKeys<'_>,
    sink: &dyn Sink,
    options: RestoreOptions<'_>,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Restored, MapError> {
    let run = Run::new(Contents::new(map, keys), Output::Sink(sink), progress, stop);
    run.all(options)
}

/// Opens everything in a backup and compares it with the content ids that its map gives.
///
/// # Errors
/// When the vault cannot be asked, a key is missing, or it was stopped. Damage is no error: it is
/// what is returned, the first thousand of it. After a damaged part of the table of files the files
/// behind it are not looked at.
pub fn verify_contents(
    map: &LoadedMap<'_>,
    keys: SessionKeys<'_>,
    content_ids: &ContentIdKey,
    workers: usize,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Vec<Damage>, MapError> {
    let run = Run::new(Contents::new(map, keys), Output::Check(content_ids), progress, stop);
    match run.all(RestoreOptions { workers, select: &|_| true }) {
        Ok(_) => {}
        Err(MapError::Damaged(damage)) => run.findings().push(*damage),
        Err(error) => return Err(error),
    }
    Ok(std::mem::take(&mut *run.findings()))
}

/// Units that wait for a worker: enough to keep all busy while a directory is made, few enough to
/// hold only a few files open.
const UNITS_WAITING_MAX: usize = 16;

/// More findings than this do not help anybody.
const FINDINGS_MAX: usize = 1000;

#[derive(Clone, Copy)]
enum Output<'o> {
    Sink(&'o dyn Sink),
    Check(&'o ContentIdKey),
}

/// What a worker does at once.
enum Unit {
    Leaf { file: Arc<OpenFile>, number: u64, leaf: LeafRef },
    Small(Vec<SmallFile>),
}

/// A file that several units write.
struct OpenFile {
    path: FilePath,
    size: u64,
    sink: Option<Box<dyn SinkFile>>,
    units_left: AtomicU64,
}

struct SmallFile {
    entry: FileEntry,
    size: u64,
    place: SmallPlace,
}

#[derive(Clone, Copy)]
enum SmallPlace {
    Inline,
    Eager(EagerRef),
}

struct Run<'r, 'm, 'a> {
    contents: Contents<'m, 'a>,
    output: Output<'r>,
    progress: &'r dyn Progress,
    stop: &'r Stop,
    failed: AtomicBool,
    failure: Mutex<Option<MapError>>,
    findings: Mutex<Vec<Damage>>,
}

impl<'r, 'm, 'a> Run<'r, 'm, 'a> {
    fn new(
        contents: Contents<'m, 'a>,
        output: Output<'r>,
        progress: &'r dyn Progress,
        stop: &'r Stop,
    ) -> Self {
        let (failed, failure, findings) =
            (AtomicBool::new(false), Mutex::default(), Mutex::default());
        Self { contents, output, progress, stop, failed, failure, findings }
    }

    fn all(&self, options: RestoreOptions<'_>) -> Result<Restored, MapError> {
        let (send, receive) = bounded(UNITS_WAITING_MAX);
        let produced = std::thread::scope(|scope| {
            for _ in 0..options.workers.max(1) {
                let receive = receive.clone();
                scope.spawn(move || self.work(&receive));
            }
            // Only workers hold the channel now: when all have failed, sending fails too.
            drop(receive);
            let outcome = Producer::new(self, options, send).produce();
            if let Err(error) = outcome {
                self.fail(error);
                return None;
            }
            outcome.ok()
        });
        match (produced, self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()) {
            (_, Some(error)) => Err(error),
            (Some(restored), None) => Ok(restored),
            (None, None) => Err(MapError::Stopped),
        }
    }

    fn work(&self, units: &Receiver<Unit>) {
        let mut opener = Opener::default();
        for unit in units {
            if self.is_over() {
                return;
            }
            let outcome = match unit {
                Unit::Leaf { file, number, leaf } => self.leaf(&mut opener, &file, number, &leaf),
                Unit::Small(files) => self.small_files(&mut opener, &files),
            };
            if let Err(error) = outcome {
                self.fail(error);
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn fail(&self, error: MapError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.failed.store(true, Ordering::Relaxed);
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, Vec<Damage>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A restore ends at damage; a check goes on.
    fn damaged(&self, damage: Damage) -> Result<(), MapError> {
        let mut findings = self.findings();
        if matches!(self.output, Output::Sink(_)) || findings.len() + 1 >= FINDINGS_MAX {
            return Err(MapError::Damaged(Box::new(damage)));
        }
        findings.push(damage);
        Ok(())
    }

    fn leaf(
        &self,
        opener: &mut Opener,
        file: &OpenFile,
        number: u64,
        leaf: &LeafRef,
    ) -> Result<(), MapError> {
        let of_file = BlockFile { path: &file.path, size: file.size };
        match (self.output, &file.sink) {
            (Output::Check(key), _) => {
                let ids = match self.contents.map.hashes(&file.path, number, leaf) {
                    Ok(ids) => ids,
                    Err(MapError::Damaged(damage)) => {
                        self.damaged(*damage)?;
                        Vec::new()
                    }
                    Err(error) => return Err(error),
                };
                let mut target = Checking { run: self, file, number, key, ids };
                self.contents.read_leaf(opener, of_file, (number, leaf), &mut target, self.stop)?;
            }
            (Output::Sink(_), Some(sink)) => {
                let mut target = Writing { run: self, path: &file.path, sink: &**sink };
                self.contents.read_leaf(opener, of_file, (number, leaf), &mut target, self.stop)?;
            }
            (Output::Sink(_), None) => {}
        }
        self.unit_done(file)
    }

    fn unit_done(&self, file: &OpenFile) -> Result<(), MapError> {
        if file.units_left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        if let Some(sink) = &file.sink {
            sink.finish().map_err(|source| sink_error(&file.path, source))?;
        }
        self.progress.advance(Step { files: 1, ..Step::default() });
        Ok(())
    }

    fn small_files(&self, opener: &mut Opener, files: &[SmallFile]) -> Result<(), MapError> {
        let mut eager = Vec::with_capacity(files.len());
        for file in files {
            match (&file.place, &file.entry.kind) {
                (SmallPlace::Eager(place), _) => eager.push((file, *place)),
                (_, EntryKind::File { content: Content::Inline(bytes), .. }) => {
                    self.small_file(file, bytes)?;
                }
                _ => {}
            }
        }
        let frames: Vec<_> = eager.iter().map(|(_, place)| place.frame).collect();
        let mut visit = |at: usize, bytes: Result<&[u8], DamageCause>| {
            let (file, place): &(&SmallFile, EagerRef) = &eager[at];
            let start = place.offset as usize;
            let length = usize::try_from(file.size).unwrap_or(usize::MAX);
            let of_file = bytes.and_then(|bytes| {
                let of_file = bytes.get(start..start.saturating_add(length));
                of_file.ok_or(DamageCause::OtherContent)
            });
            let cause = match (of_file, self.output) {
                (Ok(bytes), Output::Check(key)) if key.id(bytes) != place.id => {
                    DamageCause::OtherContent
                }
                (Ok(bytes), _) => return self.small_file(file, bytes),
                (Err(cause), _) => cause,
            };
            let part = Part::SmallFile(file.entry.path.clone());
            self.damaged(self.contents.map.damage(part, PackClass::Data, place.frame, cause))
        };
        self.contents.each_frame(opener, FrameType::Eager, &frames, self.stop, &mut visit)
    }

    fn small_file(&self, file: &SmallFile, bytes: &[u8]) -> Result<(), MapError> {
        if let Output::Sink(sink) = self.output {
            let write = || {
                let target = sink.file(&file.entry, file.size)?;
                if !bytes.is_empty() {
                    target.write_at(0, bytes)?;
                }
                target.finish()
            };
            write().map_err(|source| sink_error(&file.entry.path, source))?;
        }
        self.progress.advance(Step { raw_bytes: file.size, files: 1, ..Step::default() });
        Ok(())
    }
}

fn sink_error(path: &FilePath, source: io::Error) -> MapError {
    MapError::Sink { path: path.clone(), source }
}

/// Writes the blocks of a leaf.
struct Writing<'w, 'r, 'm, 'a> {
    run: &'w Run<'r, 'm, 'a>,
    path: &'w FilePath,
    sink: &'w dyn SinkFile,
}

impl Writing<'_, '_, '_, '_> {
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), MapError> {
        if self.run.is_over() {
            return Err(MapError::Stopped);
        }
        let outcome = self.sink.write_at(offset, bytes);
        outcome.map_err(|source| sink_error(self.path, source))?;
        self.run.progress.advance(Step { raw_bytes: bytes.len() as u64, ..Step::default() });
        Ok(())
    }
}

impl BlockTarget for Writing<'_, '_, '_, '_> {
    fn whole(&mut self, block: WholeBlock, bytes: &[u8]) -> Result<(), MapError> {
        self.write(block.offset, bytes)
    }

    fn page(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MapError> {
        self.write(offset, bytes)
    }

    fn damaged(&mut self, damage: Damage) -> Result<(), MapError> {
        self.run.damaged(damage)
    }
}

/// Compares the blocks of a leaf with its hashes.
struct Checking<'c, 'r, 'm, 'a> {
    run: &'c Run<'r, 'm, 'a>,
    file: &'c OpenFile,
    number: u64,
    key: &'c ContentIdKey,
    ids: Vec<ContentId>,
}

impl BlockTarget for Checking<'_, '_, '_, '_> {
    fn whole(&mut self, block: WholeBlock, bytes: &[u8]) -> Result<(), MapError> {
        if self.run.is_over() {
            return Err(MapError::Stopped);
        }
        self.run.progress.advance(Step { raw_bytes: bytes.len() as u64, ..Step::default() });
        let id = self.ids.get(block.index).filter(|id| **id != UNKNOWN_ID);
        if block.has_pages || id.is_none_or(|id| *id == self.key.id(bytes)) {
            return Ok(());
        }
        let first = self.number * crate::map::entry::LEAF_BLOCKS as u64;
        let part = Part::Block(self.file.path.clone(), first + block.index as u64);
        let map = self.run.contents.map;
        self.damaged(map.damage(part, PackClass::Data, block.frame, DamageCause::OtherContent))
    }

    fn page(&mut self, _: u64, bytes: &[u8]) -> Result<(), MapError> {
        self.run.progress.advance(Step { raw_bytes: bytes.len() as u64, ..Step::default() });
        Ok(())
    }

    fn damaged(&mut self, damage: Damage) -> Result<(), MapError> {
        self.run.damaged(damage)
    }
}

#[cfg(test)]
mod tests;
