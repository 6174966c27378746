//! Collecting what no backup needs: a `sweep` entry names it, and then, only then, it is deleted.
//!
//! The entry is what protects data. A writer that was about to refer to something finds it in the
//! log before it commits; a collector whose slot was taken plans again. Neither a stale list, nor a
//! sleeper, nor a crash between the entry and the last deletion can lose anything: the next run
//! deletes what is left of what was named. Ages only spare what a reader may still be reading.

mod listing;
mod plan;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use soter_world::Stop;

pub use listing::{Listed, Listing};
pub use plan::{doomed, plan};

use crate::ids::IncarnationId;
use crate::keys::read_record;
use crate::log::{Author, Catalogue, Draft, Event, Log, LogError, LogHead, Sweep};
use crate::names::{Name, REPAIRS_MAX};
use crate::objects::{ObjectErrorKind, ObjectStore};
use crate::record::Record;
use crate::wal::{Segment, SegmentSize};

/// How many sealed segments one run reads to check them before their parts go: 64 GiB at most.
const CHECKED_MAX: usize = 4096;

/// What a collector spares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepPolicy {
    /// How long after its retirement a backup's objects stay: for a restore that runs, and for
    /// somebody to notice a retirement that nobody wanted.
    pub delay: Duration,
    /// How long after its last object a dead session's leftovers stay.
    pub dead_session_age: Duration,
    /// How long parts stay behind their sealed segment.
    pub part_age: Duration,
    /// Breaks of the log that an operator has looked at and accepts.
    pub accepted_breaks: Vec<u64>,
}

/// Sealed segments that were read and found whole, with the size of their cluster's segments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedSegments {
    /// Sizes of segments, by incarnation.
    pub sizes: BTreeMap<IncarnationId, SegmentSize>,
    /// Segments behind which parts are of no use.
    pub whole: std::collections::BTreeSet<(IncarnationId, Segment)>,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// The entry, if there was anything new to sweep.
    pub entry: Option<LogHead>,
    /// Objects deleted.
    pub deleted_count: u64,
    /// Their length.
    pub deleted_bytes: u64,
    /// Objects that the place would not delete yet: they are locked, and the next run tries again.
    pub locked: Vec<String>,
}

/// What a run would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// Objects that a new entry would name.
    pub new: Vec<Listed>,
    /// Objects that entries have named and that are still there.
    pub left: Vec<Listed>,
}

impl SweepPolicy {
    /// What is right for a vault: 72 hours span a weekend.
    pub const STANDARD: Self = Self {
        delay: Duration::from_secs(72 * 3600),
        dead_session_age: Duration::from_secs(7 * 24 * 3600),
        part_age: Duration::from_secs(3600),
        accepted_breaks: Vec::new(),
    };
}

/// Sweeps: lists, plans, appends the entry, deletes. `now` is the store's time. It ends early, and
/// tidily, when `stop` says so. `told` hears how many bytes are deleted, and how many are to be.
///
/// # Errors
/// [`LogError::Broken`], [`LogError::Unsweepable`]; what appending can fail with; the store's, except for locked objects. After
/// any of them nothing is lost, and the next run goes on.
pub fn collect(
    log: &mut Log,
    author: &Author,
    policy: &SweepPolicy,
    now: Timestamp,
    stop: &Stop,
    told: &dyn Fn(u64, u64),
) -> Result<Collected, LogError> {
    log.refresh()?;
    check_place(log)?;
    check_breaks(log.catalogue(), policy)?;
    let store = log.catalogue().place().store;
    let listing = Listing::read(&*log.vault().objects, store)?;
    let sealed = check_sealed(log, &listing, policy, now, stop)?;
    let entry = log.append(author, &mut |catalogue| {
        check_breaks(catalogue, policy)?;
        let sweep = plan(catalogue, &listing, &sealed, policy, now);
        Ok((sweep != Sweep::default()).then(|| Draft::of(Event::Sweep(sweep))))
    })?;
    let mut collected = Collected { entry, ..Collected::default() };
    let doomed = doomed(log.catalogue(), &listing);
    let total = doomed.iter().map(|object| object.info.size).sum();
    let mut tell = |done| told(done, total);
    delete(&*log.vault().objects, &doomed, stop, &mut collected, &mut tell)?;
    Ok(collected)
}

/// What [`collect`] would do now, without doing it.
///
/// # Errors
/// As for [`collect`].
pub fn preview(
    log: &mut Log,
    policy: &SweepPolicy,
    now: Timestamp,
    stop: &Stop,
) -> Result<Preview, LogError> {
    log.refresh()?;
    check_place(log)?;
    check_breaks(log.catalogue(), policy)?;
    let listing = Listing::read(&*log.vault().objects, log.catalogue().place().store)?;
    let sealed = check_sealed(log, &listing, policy, now, stop)?;
    let sweep = plan(log.catalogue(), &listing, &sealed, policy, now);
    let new = plan::doomed_by(&sweep, log.catalogue(), &listing);
    let new = new.into_iter().cloned().collect();
    let left = doomed(log.catalogue(), &listing).into_iter().cloned().collect();
    Ok(Preview { new, left })
}

/// How late it is by the store's clock, as far as that is known without writing: when its newest
/// object was made. A collector whose own clock runs ahead must not take young things for old ones.
///
/// # Errors
/// The store's.
pub fn store_time(log: &Log) -> Result<Option<Timestamp>, LogError> {
    let (objects, store) = (&*log.vault().objects, log.catalogue().place().store);
    let listing = Listing::read(objects, store)?;
    let head = log.catalogue().head().map(|head| Name::Log(store, head.sequence).to_string());
    let head = head.map(|name| objects.head(&name)).transpose()?.flatten();
    let times = listing.objects().iter().map(|object| object.info.modified);
    Ok(times.chain(head.map(|info| info.modified)).max())
}

/// Where create-if-absent is no promise, a commit and a sweep can both win one slot.
fn check_place(log: &Log) -> Result<(), LogError> {
    let bytes = read_record(&*log.vault().objects)?;
    let record = bytes.and_then(|bytes| Record::parse(&bytes).ok());
    match record {
        Some(record) if !record.single_writer => Ok(()),
        Some(_) => Err(LogError::Unsweepable {
            reason: "the place cannot create an object only if it is absent, so a backup that is \
                     committed at the same moment could lose what it needs",
        }),
        None => Err(LogError::Unsweepable {
            reason: "soter.vault is missing or damaged, so nobody knows what the place promises",
        }),
    }
}

fn check_breaks(catalogue: &Catalogue, policy: &SweepPolicy) -> Result<(), LogError> {
    let unaccepted = catalogue.breaks().iter().find(|at| !policy.accepted_breaks.contains(at));
    unaccepted.map_or(Ok(()), |at| Err(LogError::Broken { at: *at }))
}

fn delete(
    objects: &dyn ObjectStore,
    doomed: &[&Listed],
    stop: &Stop,
    collected: &mut Collected,
    tell: &mut dyn FnMut(u64),
) -> Result<(), LogError> {
    for object in doomed {
        if stop.is_stopped() {
            break;
        }
        match objects.delete(&object.info.name) {
            Ok(()) => {
                collected.deleted_count += 1;
                collected.deleted_bytes += object.info.size;
                tell(collected.deleted_bytes);
            }
            Err(error) if error.kind() == ObjectErrorKind::Denied => {
                collected.locked.push(object.info.name.clone());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Reads the sealed segments whose parts are old enough to go.
fn check_sealed(
    log: &Log,
    listing: &Listing,
    policy: &SweepPolicy,
    now: Timestamp,
    stop: &Stop,
) -> Result<SealedSegments, LogError> {
    let (objects, store) = (&*log.vault().objects, log.catalogue().place().store);
    let mut sealed = SealedSegments::default();
    for incarnation in listing.incarnations() {
        if let Some(size) = plan::segment_size(log.catalogue(), incarnation) {
            sealed.sizes.insert(incarnation, size);
        } else if let Some(size) = listing.read_segment_size(objects, log.trust(), incarnation)? {
            sealed.sizes.insert(incarnation, size);
        }
    }
    let candidates = plan::old_parts(log.catalogue(), listing, &sealed.sizes, policy, now);
    for (archive, segment) in candidates.into_iter().take(CHECKED_MAX) {
        if stop.is_stopped() {
            break;
        }
        debug_assert_eq!(archive.store, store, "the listing is of one store");
        let file = archive.segment_file(segment);
        if is_whole(objects, log.trust(), &file)? {
            sealed.whole.insert((archive.incarnation, segment));
        }
    }
    Ok(sealed)
}

fn is_whole(
    objects: &dyn ObjectStore,
    trust: &crate::keys::Trust,
    file: &crate::wal::ArchiveFile,
) -> Result<bool, LogError> {
    let name = file.name();
    let repairs = (1..=REPAIRS_MAX).map(|number| crate::names::repair_of(&name, number));
    for candidate in std::iter::once(name.clone()).chain(repairs) {
        match objects.read(&candidate) {
            // What a crash of the store's machine may take back is not there yet.
            Ok(bytes) if crate::wal::check(file, trust, &bytes).is_ok() => {
                return Ok(objects.head(&candidate)?.is_some());
            }
            Ok(_) => {}
            Err(error) if error.kind() == ObjectErrorKind::NotFound => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
