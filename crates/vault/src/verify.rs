//! Looking at what backups need, without any key to their contents.
//!
//! The tables that say what must be there are signed; the objects are compared with them. It proves
//! that the vault kept what the agent stored, not that the agent stored the truth: only a restore
//! does. What was found becomes an `attest` entry, so that the next one knows.

mod archive;
mod heads;
mod hurt;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jiff::Timestamp;
use soter_world::Stop;

pub use archive::{
    CheckedWal, WalFault, WalRequest, check_parts, unreachable, usable_wal, verify_wal,
};
pub use heads::{Heads, verify_heads};
pub use hurt::{Hurt, hurt_by};

use crate::ids::{BackupId, Digest};
use crate::log::{
    Attest, Author, BackupRow, Catalogue, DAMAGED_NAMES_MAX, Draft, Event, Level, Log, LogError,
    PackSet, WalRange,
};
use crate::names::{self, PackClass, REPAIRS_MAX, repair_of};
use crate::objects::{ObjectError, ObjectErrorKind, ObjectStore};
use crate::pack::{PackId, PackPlace, PackRow};
use crate::wal::{self, Archive, ArchiveFile, Segment, SegmentSize, Span, WalError, WalVault};

/// How many names a list call asks for: what S3 gives at once.
const LIST_PAGE: usize = 1000;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every object is there, with its length.
    Present,
    /// Every object is read, and has its hash; WAL has its signature too.
    Hashed,
}

/// What to look at.
#[derive(Debug, Clone)]
pub struct Request {
    /// How closely.
    pub depth: Depth,
    /// Which live backups; none means all.
    pub backups: Option<BTreeSet<BackupId>>,
    /// With [`Depth::Hashed`]: packs that were hashed and found good since then, by the store's
    /// time, are only looked for. None reads everything.
    pub hashed_since: Option<Timestamp>,
    /// How many threads read at once. Each holds one object of at most 64 MiB.
    pub lanes: usize,
}

/// What was found at a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Which.
    pub backup: BackupId,
    /// How closely it was looked at.
    pub depth: Depth,
    /// Objects that it needs.
    pub objects_count: u64,
    /// Their length, as far as they are there.
    pub objects_bytes: u64,
    /// WAL of it that only streamed parts hold, by their names: nobody has sealed it yet, and
    /// without a key to the contents it cannot be read.
    pub unsealed: Vec<Span>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// An object that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its name.
    pub object: String,
    /// A backup that needs it.
    pub backup: BackupId,
    /// What is wrong.
    pub damage: Damage,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It has another length than the signed table says.
    Length {
        /// What the table says.
        expected_bytes: u64,
        /// What is there.
        found_bytes: u64,
    },
    /// Its bytes are not those of the signed table.
    Hash,
    /// WAL that is damaged or not signed by an agent of the store.
    Wal(wal::Fault),
    /// No readable entry of the log describes it.
    Undescribed,
    /// It is damaged, and a repair of it is good: nothing is lost.
    Repaired {
        /// The object that is good.
        by: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (needed by backup {}): {}", self.object, self.backup, self.damage)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is missing"),
            Self::Length { expected_bytes, found_bytes } => {
                write!(f, "it has {found_bytes} bytes instead of {expected_bytes}")
            }
            Self::Hash => f.write_str("its bytes are not those that were stored"),
            Self::Wal(fault) => fault.fmt(f),
            Self::Undescribed => f.write_str("no readable log entry describes it"),
            Self::Repaired { by } => write!(f, "it is damaged, {by} is good"),
        }
    }
}

impl Checked {
    /// How closely all of it was looked at: streamed parts are known by their names alone.
    pub fn level(&self) -> Level {
        match self.depth {
            Depth::Hashed if self.unsealed.is_empty() => Level::Hashed,
            Depth::Hashed | Depth::Present => Level::Present,
        }
    }

    /// Whether the backup can be restored as far as was looked.
    pub fn passed(&self) -> bool {
        self.faults.iter().all(|fault| matches!(fault.damage, Damage::Repaired { .. }))
    }
}

/// Is told how many bytes of objects were just dealt with, and how many there are in all.
pub type Told<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Looks at backups.
///
/// # Errors
/// The store's, and [`LogError::Stopped`]. Damage is what is found, not an error.
pub fn verify(
    log: &Log,
    request: &Request,
    stop: &Stop,
    progress: Told<'_>,
) -> Result<Vec<Checked>, LogError> {
    let catalogue = log.catalogue();
    let wanted = |backup: &&BackupRow| {
        request.backups.as_ref().is_none_or(|wanted| wanted.contains(&backup.id))
    };
    let backups: Vec<&BackupRow> = catalogue.live().filter(wanted).collect();
    let work = Work::of(catalogue, request, &backups);
    let sizes = list_sizes(&*log.vault().objects, &work)?;
    let outcomes = Examiner { log, sizes: &sizes, progress }.run(&work, request.lanes, stop)?;
    let checked = |backup| collect(catalogue, request.depth, backup, &outcomes);
    Ok(backups.into_iter().map(checked).collect())
}

/// Writes what was found into the log: one entry for each backup that is still there.
///
/// # Errors
/// What appending can fail with.
pub fn attest(log: &mut Log, author: &Author, checked: &[Checked]) -> Result<(), LogError> {
    for found in checked {
        let damaged = found.faults.iter().map(|fault| fault.object.clone());
        let attest = Attest {
            backup: found.backup,
            level: found.level(),
            passed: found.passed(),
            objects: found.objects_count,
            bytes: found.objects_bytes,
            damaged: damaged.take(DAMAGED_NAMES_MAX).collect(),
        };
        log.append(author, &mut |catalogue| {
            let known = catalogue.backup(found.backup).is_some();
            Ok(known.then(|| Draft::of(Event::Attest(attest.clone()))))
        })?;
    }
    Ok(())
}

/// What is to be said of a backup that was found whole, restored, and compared.
#[must_use]
pub fn restored(found: &Checked, passed: bool) -> Attest {
    Attest {
        backup: found.backup,
        level: Level::Restored,
        passed,
        objects: found.objects_count,
        bytes: found.objects_bytes,
        damaged: Vec::new(),
    }
}

/// Writes into the log what came of restoring a backup, if it is still there.
///
/// # Errors
/// What appending can fail with.
pub fn attest_restored(log: &mut Log, author: &Author, attest: &Attest) -> Result<(), LogError> {
    let appended = log.append(author, &mut |catalogue| {
        let known = catalogue.backup(attest.backup).is_some();
        Ok(known.then(|| Draft::of(Event::Attest(attest.clone()))))
    });
    appended.map(|_| ())
}

/// An object to look at.
#[derive(Debug, Clone)]
enum Job {
    Pack {
        name: String,
        row: Option<PackRow>,
        depth: Depth,
    },
    /// A whole segment, or a small file beside them.
    Wal {
        archive: Archive,
        segment: Option<Segment>,
        file: ArchiveFile,
        depth: Depth,
    },
}

/// Everything that the backups need, each object once.
struct Work {
    jobs: Vec<Job>,
    prefixes: BTreeSet<String>,
}

/// What was found at an object.
#[derive(Debug, Clone, Default)]
struct Outcome {
    bytes: u64,
    damage: Option<Damage>,
    /// Of a segment that is not there: what the names of its parts promise.
    parts: Vec<Span>,
}

impl Work {
    fn of(catalogue: &Catalogue, request: &Request, backups: &[&BackupRow]) -> Self {
        let (mut packs, mut prefixes) = (PackSet::default(), BTreeSet::new());
        for backup in backups {
            packs.add(&backup.packs);
        }
        let store = catalogue.place().store;
        for session in packs.sessions() {
            for class in [PackClass::Data, PackClass::Map] {
                prefixes.insert(names::pack_prefix(class, store, Some(session)));
            }
        }
        let known = hashed_since(catalogue, request.hashed_since);
        let pack_job = |(class, id): (PackClass, PackId)| {
            let is_known = known.contains(class, id);
            let depth = if is_known { Depth::Present } else { request.depth };
            let name = PackPlace { class, store, id }.name();
            Job::Pack { name, row: catalogue.row(class, id).copied(), depth }
        };
        let mut jobs: Vec<Job> = packs.iter().map(pack_job).collect();
        let mut segments = BTreeMap::new();
        for range in backups.iter().filter_map(|backup| backup.wal) {
            for (archive, segment) in segments_of(catalogue, &range) {
                let folder = archive.folder_of(segment.number);
                prefixes.insert(archive.folder_prefix(segment.timeline, folder));
                segments.insert((archive.incarnation, segment), archive);
            }
        }
        let wal = segments.into_iter().map(|((_, segment), archive)| {
            let file = archive.segment_file(segment);
            Job::Wal { archive, segment: Some(segment), file, depth: request.depth }
        });
        jobs.extend(wal);
        Self { jobs, prefixes }
    }
}

/// Packs of backups that were read and found good since then.
fn hashed_since(catalogue: &Catalogue, since: Option<Timestamp>) -> PackSet {
    let mut packs = PackSet::default();
    let Some(since) = since else { return packs };
    for backup in catalogue.live() {
        let hashed = catalogue.attests(backup.id).iter().rev();
        let last = hashed.into_iter().find(|row| row.attest.level >= Level::Hashed);
        if last.is_some_and(|row| row.attest.passed && row.stored >= since) {
            packs.add(&backup.packs);
        }
    }
    packs
}

/// The segments that hold a range.
fn segments_of(
    catalogue: &Catalogue,
    range: &WalRange,
) -> impl Iterator<Item = (Archive, Segment)> + use<> {
    let segment_size = SegmentSize::new(range.segment_bytes).expect("the fold checked the range");
    let (store, incarnation) = (catalogue.place().store, range.incarnation);
    let archive = Archive { store, incarnation, segment_size };
    let numbers = archive.segment_at(range.from)..range.to.div_ceil(range.segment_bytes.into());
    let timeline = range.timeline;
    numbers.map(move |number| (archive, Segment { timeline, number }))
}

fn list_sizes(
    objects: &dyn ObjectStore,
    work: &Work,
) -> Result<BTreeMap<String, u64>, ObjectError> {
    let mut sizes = BTreeMap::new();
    for prefix in &work.prefixes {
        let mut after: Option<String> = None;
        loop {
            let page = objects.list(prefix, after.as_deref(), LIST_PAGE)?;
            let is_last = page.len() < LIST_PAGE;
            after = page.last().map(|info| info.name.clone());
            sizes.extend(page.into_iter().map(|info| (info.name, info.size)));
            if is_last {
                break;
            }
        }
    }
    Ok(sizes)
}

struct Examiner<'a> {
    log: &'a Log,
    sizes: &'a BTreeMap<String, u64>,
    progress: Told<'a>,
}

impl Examiner<'_> {
    fn objects(&self) -> &dyn ObjectStore {
        &*self.log.vault().objects
    }

    /// What was found, by the object's own name. The first error of the store ends it.
    fn run(
        &self,
        work: &Work,
        lanes: usize,
        stop: &Stop,
    ) -> Result<BTreeMap<String, Outcome>, LogError> {
        let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let total = work.jobs.iter().filter_map(|job| self.sizes.get(&job.name())).sum();
        let lane = || -> Result<(), LogError> {
            while let Some(job) = work.jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.is_stopped() {
                    return Err(LogError::Stopped);
                }
                let outcome = self.examine(job).inspect_err(|_| {
                    next.store(work.jobs.len(), Ordering::Relaxed);
                })?;
                (self.progress)(outcome.bytes, total);
                let mut found = found.lock().expect("no lane panics while it holds the lock");
                found.insert(job.name(), outcome);
            }
            Ok(())
        };
        thread::scope(|scope| {
            let lanes: Vec<_> = (0..lanes.max(1)).map(|_| scope.spawn(lane)).collect();
            let joined = lanes.into_iter().map(|lane| lane.join().expect("a lane does not panic"));
            joined.collect::<Result<(), LogError>>()
        })?;
        Ok(found.into_inner().expect("no lane panicked"))
    }

    fn examine(&self, job: &Job) -> Result<Outcome, LogError> {
        let first = job.name();
        let (bytes, damage) = self.look_at(job, &first)?;
        let Some(damage) = damage else { return Ok(Outcome { bytes, ..Outcome::default() }) };
        if damage != Damage::Undescribed {
            for number in 1..=REPAIRS_MAX {
                let repair = repair_of(&first, number);
                match self.look_at(job, &repair)? {
                    (_, Some(Damage::Missing)) => break,
                    (_, Some(_)) => {}
                    (bytes, None) => {
                        let damage = Some(Damage::Repaired { by: repair });
                        return Ok(Outcome { bytes, damage, parts: Vec::new() });
                    }
                }
            }
        }
        let parts = match job {
            Job::Wal { archive, segment: Some(segment), .. } if damage == Damage::Missing => {
                self.parts_of(*archive, *segment)?
            }
            _ => Vec::new(),
        };
        Ok(Outcome { bytes, damage: Some(damage), parts })
    }

    fn parts_of(&self, archive: Archive, segment: Segment) -> Result<Vec<Span>, LogError> {
        let vault = self.log.vault();
        let (store, clock, trust) = (self.objects(), &*vault.clock, self.log.trust());
        WalVault { store, clock, trust, archive }.parts_of(segment).map_err(store_error)
    }

    fn look_at(&self, job: &Job, name: &str) -> Result<(u64, Option<Damage>), LogError> {
        // A list is a hint: what it does not show may be there.
        let size = match self.sizes.get(name) {
            Some(size) => Some(*size),
            None => self.objects().head(name)?.map(|info| info.size),
        };
        let Some(found_bytes) = size else { return Ok((0, Some(Damage::Missing))) };
        let damage = match job {
            Job::Pack { row: None, .. } => Some(Damage::Undescribed),
            Job::Pack { row: Some(row), .. } if u64::from(row.length) != found_bytes => {
                Some(Damage::Length { expected_bytes: row.length.into(), found_bytes })
            }
            Job::Pack { depth: Depth::Present, .. } | Job::Wal { depth: Depth::Present, .. } => {
                None
            }
            Job::Pack { row: Some(row), .. } => {
                self.read(name)?.map_or(Some(Damage::Missing), |bytes| {
                    (Digest::of(&bytes) != row.hash).then_some(Damage::Hash)
                })
            }
            Job::Wal { file, .. } => self.read(name)?.map_or(Some(Damage::Missing), |bytes| {
                wal::check(file, self.log.trust(), &bytes).err().map(Damage::Wal)
            }),
        };
        Ok((found_bytes, damage))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        match self.objects().read(name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ObjectErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Listing and looking at WAL fails with the store's errors alone; damage is found, not an error.
fn store_error(error: WalError) -> LogError {
    match error {
        WalError::Store(error) => error.into(),
        WalError::Key(error) => error.into(),
        other => LogError::Wal(Box::new(other)),
    }
}

impl Job {
    fn name(&self) -> String {
        match self {
            Self::Pack { name, .. } => name.clone(),
            Self::Wal { file, .. } => file.name(),
        }
    }
}

fn collect(
    catalogue: &Catalogue,
    depth: Depth,
    backup: &BackupRow,
    outcomes: &BTreeMap<String, Outcome>,
) -> Checked {
    let store = catalogue.place().store;
    let packs = backup.packs.iter().map(|(class, id)| PackPlace { class, store, id }.name());
    let mut checked = Checked {
        backup: backup.id,
        depth,
        objects_count: 0,
        objects_bytes: 0,
        unsealed: Vec::new(),
        faults: Vec::new(),
    };
    for object in packs {
        checked.add(object, outcomes, None);
    }
    if let Some(range) = backup.wal {
        for (archive, segment) in segments_of(catalogue, &range) {
            let from = archive.start_of(segment.number).max(range.from);
            let to = archive.end_of(segment.number).min(range.to);
            checked.add(archive.segment_file(segment).name(), outcomes, Some((from, to)));
        }
    }
    checked
}

impl Checked {
    /// Counts an object in; of WAL, the backup needs these positions.
    fn add(&mut self, object: String, outcomes: &BTreeMap<String, Outcome>, needed: Option<Span>) {
        let Some(outcome) = outcomes.get(&object) else { return };
        self.objects_count += 1;
        self.objects_bytes += outcome.bytes;
        let Some(damage) = outcome.damage.clone() else { return };
        let covers =
            |(from, to): Span| outcome.parts.iter().any(|part| part.0 <= from && to <= part.1);
        match needed.filter(|needed| covers(*needed)) {
            Some(span) => self.unsealed.push(span),
            None => self.faults.push(Fault { object, backup: self.backup, damage }),
        }
    }
}

#[cfg(test)]
mod tests;
