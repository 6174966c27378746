//! Writing the contents of a backup: each leaf by one worker from reading to the sealed frame, then
//! small files, then the table of files.
//!
//! ```text
//! source ─▶ 1 MiB ─▶ blocks ─▶ zero? same as the base? left by a crash? ─no─▶ frame in the worker's
//! pack ─▶ uploader ─▶ vault            leaf and hashes ─▶ shared map pack ─▶ vault
//! ```
//!
//! Blocks go where a worker happens to have its pack, so the bytes of two runs differ; the map that
//! comes out says the same.

mod base;
mod leaf;
mod pages;
mod small;
mod table;

use std::collections::BTreeMap;
use std::io;
use std::ops::{AddAssign, Range};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use soter_world::Stop;

use crate::frame::{Compression, FrameWriter};
use crate::ids::ContentId;
use crate::log::{PackRows, PackSet};
use crate::map::adopt::Adopted;
use crate::map::entry::{
    Attributes, BLOCK_LENGTH, EAGER_LENGTH_MAX, EagerRef, FILE_LENGTH_MAX, FileEntry, LEAF_LENGTH,
    LeafRef, leaf_count,
};
use crate::map::error::{Damage, MapError};
use crate::map::path::{FilePath, PATH_LENGTH_MAX, Tree};
use crate::map::progress::Progress;
use crate::map::put::{DataPacks, MapPacks, NotAdded, PackTarget, PutPacks, Putting, uploads};
use crate::map::read::LoadedMap;
use crate::map::root::{LateFileError, MapRoot};
use crate::names::PackClass;
use crate::pack::PackId;
use base::BaseFiles;

/// The source is read in pieces of this length, at multiples of it: large enough for the system
/// calls not to matter, small enough to stay in a core's cache until it is compressed.
pub const READ_LENGTH: usize = 1 << 20;

/// What is backed up, and whither.
pub struct BackupJob<'j> {
    /// Everything that belongs into the backup but its late files, in the order of their paths; the
    /// directory of each file comes before it.
    pub plan: &'j [SourceFile],
    /// Gives the bytes of these files.
    pub source: &'j dyn Source,
    /// The backup that this one shares with.
    pub base: Option<Base<'j>>,
    /// What sessions that died left.
    pub adopted: Option<&'j Adopted>,
    /// Where packs go.
    pub target: &'j PackTarget<'j>,
    /// How.
    pub options: WriteOptions,
}

/// A file to be backed up, as the list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is in the backup.
    pub path: FilePath,
    /// Mode, owner, time.
    pub attributes: Attributes,
    /// What it is.
    pub kind: SourceKind,
}

/// What a file to be backed up is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link {
        /// What it says.
        target: Vec<u8>,
    },
    /// A regular file.
    File {
        /// Its length in bytes when the list was made. What it grew since is not read.
        size: u64,
    },
}

/// Gives the bytes of the files of a plan. It does its own readahead.
pub trait Source: Sync {
    /// Opens a file of the plan, by its index, to read this range in order. `None` when it is gone;
    /// it is then left out of the backup.
    ///
    /// # Errors
    /// Any error ends the backup.
    fn open(
        &self,
        file: usize,
        range: Range<u64>,
    ) -> io::Result<Option<Box<dyn SourceReader + '_>>>;

    /// The pages of a range of a file that may differ from what the base has, ascending, by their
    /// numbers in the file; `None` when they are not known, and the range is read and compared. Who
    /// gives a list vouches that everything else, up to the end of the shorter of both files, is what
    /// the base has or will be made so by replaying WAL. Nothing else of the range is then read.
    fn changed_pages(&self, file: usize, range: Range<u64>) -> Option<Vec<u32>> {
        let _ = (file, range);
        None
    }
}

/// A file that is being read.
pub trait SourceReader {
    /// Fills `buffer` from `offset` on: a multiple of [`READ_LENGTH`], or of
    /// [`PAGE_LENGTH`](crate::map::PAGE_LENGTH) where only changed pages are read. Fewer bytes than
    /// asked for are the end of the file.
    ///
    /// # Errors
    /// Any error ends the backup.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A backup that the new one shares blocks, leaves and shards with.
#[derive(Clone, Copy)]
pub struct Base<'b> {
    /// Its map.
    pub map: &'b LoadedMap<'b>,
    /// How much of it is looked at.
    pub sharing: Sharing<'b>,
}

/// Which packs of a base may be shared.
#[derive(Clone, Copy)]
pub enum Sharing<'b> {
    /// All. Leaves without a change are not read, so the new backup refers to every pack of the base,
    /// used or not.
    All,
    /// Only those for which this says so; blocks in others are stored anew. Every leaf is read, so
    /// that the new backup refers exactly to what it uses.
    Chosen(&'b (dyn Fn(PackClass, PackId) -> bool + Sync)),
}

/// How a backup is written.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// Threads that read, hash, compress and seal. Each costs up to 40 MiB: two packs of 16 MiB and
    /// what it reads.
    pub workers: usize,
    /// How contents are compressed.
    pub compression: Compression,
}

/// A backup whose packs are all in the vault. It becomes one when its log entry is there.
#[derive(Debug)]
pub struct WrittenMap {
    /// The root of its map, for the log entry.
    pub root: MapRoot,
    /// The packs that no log entry has described so far: those of this backup, and those of dead
    /// sessions that it uses.
    pub rows: PackRows,
    /// All other packs that it refers to.
    pub referenced: PackSet,
    /// What was done.
    pub counters: Counters,
    /// Parts of the base that turned out to be damaged. What they describe was stored anew.
    pub findings: Vec<Damage>,
}

/// What a backup took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Files in the backup.
    pub files: u64,
    /// Files of the plan that were gone.
    pub vanished: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Bytes of the packs that were put.
    pub stored_bytes: u64,
    /// Blocks that were looked at.
    pub blocks: u64,
    /// Of these, blocks that were stored.
    pub new_blocks: u64,
    /// Blocks that are in the base.
    pub same_blocks: u64,
    /// Blocks of which some pages were stored.
    pub page_blocks: u64,
    /// Pages that were stored for these.
    pub pages: u64,
    /// Blocks that a dead session had stored.
    pub adopted_blocks: u64,
    /// Blocks of zeros that the base does not have.
    pub zero_blocks: u64,
    /// Leaves that are the base's.
    pub same_leaves: u64,
    /// Shards that are the base's.
    pub same_shards: u64,
}

impl WrittenMap {
    /// Adds a file that could be read only when all others were. `plan` is the one that was backed
    /// up.
    ///
    /// # Errors
    /// When the plan has the file already or not its directory, and as
    /// [`MapRoot::add_late_file`].
    pub fn add_late_file(
        &mut self,
        plan: &[SourceFile],
        file: FileEntry,
    ) -> Result<(), LateFileError> {
        let find = |path: &FilePath| plan.binary_search_by(|entry| entry.path.cmp(path)).ok();
        let parent = file.path.parent().map(FilePath::new);
        let in_directory = match parent {
            None => true,
            Some(Err(_)) => false,
            Some(Ok(parent)) => {
                find(&parent).is_some_and(|place| plan[place].kind == SourceKind::Directory)
            }
        };
        let reason = match find(&file.path) {
            Some(_) => "it is in the plan already",
            None if !in_directory => "what it is in is not a directory of the plan",
            None => return self.root.add_late_file(file),
        };
        Err(LateFileError { path: file.path, reason })
    }
}

/// Writes all packs of a backup.
///
/// # Errors
/// The first one ends the backup; what was put so far belongs to the session and can be
/// [adopted](Adopted).
pub fn write_backup(
    job: &BackupJob<'_>,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<WrittenMap, MapError> {
    check_plan(job.plan)?;
    let put = PutPacks::default();
    let putting = Putting { target: job.target, packs: &put, progress };
    let base = BaseFiles::load(job)?;
    let shared = Shared::new(job, &base, putting, stop);
    let outcomes = run_workers(&shared);
    if let Some(error) = shared.take_failure() {
        return Err(error);
    }
    let mut outcome = Outcome::default();
    for of_worker in outcomes {
        outcome.merge(of_worker);
    }
    let map_packs = shared.map_packs.into_inner().unwrap_or_else(PoisonError::into_inner);
    let table = table::write(job, &base, map_packs, outcome)?;
    table.finish(job, base, put)
}

fn check_plan(plan: &[SourceFile]) -> Result<(), MapError> {
    let mut tree = Tree::default();
    for file in plan {
        let wrong = |reason| MapError::Plan { path: file.path.clone(), reason };
        tree.add(&file.path, file.kind == SourceKind::Directory).map_err(wrong)?;
        let Attributes { mode, owner, .. } = &file.attributes;
        match &file.kind {
            _ if *mode > 0o7777 => return Err(wrong("its mode has unknown bits")),
            _ if owner.user_name.len() > 256 || owner.group_name.len() > 256 => {
                return Err(wrong("the name of its owner is too long"));
            }
            SourceKind::Link { target } if target.is_empty() || target.contains(&0) => {
                return Err(wrong("it is a link that points to what cannot be a path"));
            }
            SourceKind::Link { target } if target.len() > PATH_LENGTH_MAX => {
                return Err(wrong("it is a link that points to a path that is too long"));
            }
            SourceKind::File { size } if *size > FILE_LENGTH_MAX => {
                return Err(wrong("it is longer than 4 TiB"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A small unit is closed at this many bytes or files, so that several workers share many small
/// files while few go into one pack.
const SMALL_UNIT_LENGTH: u64 = 16 << 20;
const SMALL_UNIT_FILES_MAX: usize = 4096;

/// What a worker does at once.
#[derive(Debug, Clone)]
enum Unit {
    /// 128 MiB of a file.
    Leaf { file: usize, leaf: u64 },
    /// Files that share frames.
    Small(Vec<usize>),
}

/// Leaves, the longest first, then small files: the workers end together.
fn plan_units(plan: &[SourceFile]) -> Vec<Unit> {
    let mut leaves = Vec::new();
    let mut small = vec![(Vec::new(), 0)];
    for (file, entry) in plan.iter().enumerate() {
        let SourceKind::File { size } = entry.kind else { continue };
        if size > EAGER_LENGTH_MAX as u64 {
            for leaf in 0..leaf_count(size) {
                let length = (size - leaf * LEAF_LENGTH).min(LEAF_LENGTH);
                leaves.push((length, Unit::Leaf { file, leaf }));
            }
            continue;
        }
        if let Some((files, bytes)) = small.last_mut() {
            files.push(file);
            *bytes += size;
            if *bytes >= SMALL_UNIT_LENGTH || files.len() == SMALL_UNIT_FILES_MAX {
                small.push((Vec::new(), 0));
            }
        }
    }
    leaves.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    let small = small.into_iter().filter(|(files, _)| !files.is_empty());
    leaves
        .into_iter()
        .map(|(_, unit)| unit)
        .chain(small.map(|(files, _)| Unit::Small(files)))
        .collect()
}

/// What all workers see.
struct Shared<'s> {
    job: &'s BackupJob<'s>,
    base: &'s BaseFiles,
    putting: Putting<'s>,
    stop: &'s Stop,
    units: Vec<Unit>,
    next: AtomicUsize,
    map_packs: Mutex<MapPacks<'s>>,
    /// The content id of a whole block of zeros.
    zero_id: ContentId,
    failed: AtomicBool,
    failure: Mutex<Option<MapError>>,
}

/// Why a worker ends before its work does.
enum Halt {
    /// Another one failed, and says so itself.
    Elsewhere,
    /// It failed.
    Failed(MapError),
}

impl From<MapError> for Halt {
    fn from(error: MapError) -> Self {
        Self::Failed(error)
    }
}

impl From<NotAdded> for Halt {
    fn from(error: NotAdded) -> Self {
        match error {
            NotAdded::UploaderGone => Self::Elsewhere,
            NotAdded::Failed(error) => Self::Failed(error),
        }
    }
}

impl<'s> Shared<'s> {
    fn new(
        job: &'s BackupJob<'s>,
        base: &'s BaseFiles,
        putting: Putting<'s>,
        stop: &'s Stop,
    ) -> Self {
        Self {
            job,
            base,
            putting,
            stop,
            units: plan_units(job.plan),
            next: AtomicUsize::new(0),
            map_packs: Mutex::new(MapPacks::new(putting)),
            zero_id: job.target.content_ids.id(&[0; BLOCK_LENGTH]),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
        }
    }

    fn fail(&self, error: MapError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.failed.store(true, Ordering::Relaxed);
    }

    fn take_failure(&self) -> Option<MapError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether to go on.
    fn check(&self) -> Result<(), Halt> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Halt::Elsewhere);
        }
        if self.stop.is_stopped() {
            return Err(Halt::Failed(MapError::Stopped));
        }
        Ok(())
    }
}

fn run_workers(shared: &Shared<'_>) -> Vec<Outcome> {
    std::thread::scope(|scope| {
        let workers = shared.job.options.workers.clamp(1, shared.units.len().max(1));
        let start = |_| {
            let (packs, uploader) = uploads(shared.putting);
            scope.spawn(move || uploader.run().map_err(|error| shared.fail(error)));
            scope.spawn(move || Worker::new(shared, packs).run())
        };
        let workers: Vec<_> = (0..workers).map(start).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).collect()
    })
}

/// One thread's hands.
struct Worker<'w, 's> {
    shared: &'w Shared<'s>,
    packs: DataPacks<'s>,
    frames: FrameWriter,
    /// What was read last, or the small files of the next frame.
    buffer: Vec<u8>,
    /// Whether the open pack is one of small files.
    writes_small: bool,
    outcome: Outcome,
}

impl<'w, 's> Worker<'w, 's> {
    fn new(shared: &'w Shared<'s>, packs: DataPacks<'s>) -> Self {
        let frames = FrameWriter::new(shared.job.options.compression);
        let outcome = Outcome::default();
        Self { shared, packs, frames, buffer: Vec::new(), writes_small: false, outcome }
    }

    fn run(mut self) -> Outcome {
        match self.all_units() {
            Ok(()) | Err(Halt::Elsewhere) => {}
            Err(Halt::Failed(error)) => self.shared.fail(error),
        }
        self.outcome
    }

    fn all_units(&mut self) -> Result<(), Halt> {
        loop {
            let unit = self.shared.next.fetch_add(1, Ordering::Relaxed);
            match self.shared.units.get(unit) {
                Some(Unit::Leaf { file, leaf }) => self.leaf(*file, *leaf)?,
                Some(Unit::Small(files)) => self.small_files(files)?,
                None => break,
            }
        }
        Ok(self.packs.close(&mut self.frames)?)
    }

    fn source_error(&self, file: usize, offset: u64, source: io::Error) -> Halt {
        let path = self.shared.job.plan[file].path.clone();
        Halt::Failed(MapError::Source { path, offset, source })
    }
}

/// What became of the files of a plan.
#[derive(Debug, Default)]
struct Outcome {
    leaves: BTreeMap<(usize, u64), WrittenLeaf>,
    small: BTreeMap<usize, WrittenSmall>,
    /// Packs of the base and of dead sessions that blocks are in.
    referenced: PackSet,
    /// Whether a leaf of the base was taken unseen, so that any pack of the base may be needed.
    unseen: bool,
    findings: Vec<Damage>,
    counters: Counters,
}

/// What became of 128 MiB of a file.
#[derive(Debug, Clone, Copy)]
enum WrittenLeaf {
    /// The file is gone.
    Gone,
    /// So many bytes of it were there; no leaf when there were none.
    There { length: u64, leaf: Option<LeafRef> },
}

/// What became of a small file.
#[derive(Debug, Clone)]
enum WrittenSmall {
    Gone,
    Inline(Box<[u8]>),
    Eager { size: u64, place: EagerRef },
}

impl Outcome {
    fn merge(&mut self, mut other: Self) {
        self.leaves.append(&mut other.leaves);
        self.small.append(&mut other.small);
        self.referenced.add(&other.referenced);
        self.unseen |= other.unseen;
        self.findings.append(&mut other.findings);
        self.counters += other.counters;
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.vanished += other.vanished;
        self.read_bytes += other.read_bytes;
        self.stored_bytes += other.stored_bytes;
        self.blocks += other.blocks;
        self.new_blocks += other.new_blocks;
        self.same_blocks += other.same_blocks;
        self.page_blocks += other.page_blocks;
        self.pages += other.pages;
        self.adopted_blocks += other.adopted_blocks;
        self.zero_blocks += other.zero_blocks;
        self.same_leaves += other.same_leaves;
        self.same_shards += other.same_shards;
    }
}

#[cfg(test)]
mod tests;
