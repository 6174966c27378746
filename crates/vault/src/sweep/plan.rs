//! What to sweep: pure functions of the log and a listing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::listing::{Listed, Listing};
use super::{SealedSegments, SweepPolicy};
use crate::ids::{IncarnationId, SessionId};
use crate::log::{BackupRow, Catalogue, PackSet, Sweep, WalRange};
use crate::names::Name;
use crate::wal::{Archive, Segment, SegmentSize};

/// What a new entry would name. Of what is listed, all goes but:
/// 1. packs of live backups, and of backups retired less than `delay` ago;
/// 2. packs of the newest session of a duty and of those that it adopted; of unknown sessions;
/// 3. packs that never were in a backup, while their session's newest object is younger than
///    `dead_session_age`;
/// 4. sealed WAL behind the start of the oldest backup of its incarnation that 1. counts; all of an
///    incarnation that a newest session belongs to and that has no such backup; history files;
/// 5. parts of a segment, unless the sealed segment was found whole and they are older than
///    `part_age`, or 4. lets the segment go;
/// 6. what was named before.
pub fn plan(
    catalogue: &Catalogue,
    listing: &Listing,
    sealed: &SealedSegments,
    policy: &SweepPolicy,
    now: Timestamp,
) -> Sweep {
    let spared = Spared::of(catalogue, policy, now);
    let wal = wal_to_sweep(catalogue, listing, sealed, &spared);
    let mut parts = BTreeSet::new();
    let sizes = &sealed.sizes;
    for (archive, segment) in old_parts(catalogue, listing, sizes, policy, now) {
        let is_below = wal.iter().chain(catalogue.swept_wal()).any(|range| {
            (range.incarnation, range.timeline) == (archive.incarnation, segment.timeline)
                && range.covers_segment(segment.number)
        });
        if is_below || sealed.whole.contains(&(archive.incarnation, segment)) {
            parts.insert((archive.incarnation, segment));
        }
    }
    let packs = packs_to_sweep(catalogue, listing, policy, now, &spared);
    Sweep { packs, wal, parts: ranges(&parts, sizes) }
}

/// Listed objects that entries have named: these may be deleted, and nothing else.
pub fn doomed<'a>(catalogue: &Catalogue, listing: &'a Listing) -> Vec<&'a Listed> {
    listing.objects().iter().filter(|object| is_doomed(catalogue, &object.name)).collect()
}

/// Listed objects that such an entry would name, and none has named yet.
pub(super) fn doomed_by<'a>(
    sweep: &Sweep,
    catalogue: &Catalogue,
    listing: &'a Listing,
) -> Vec<&'a Listed> {
    let named = Named { packs: &sweep.packs, wal: &sweep.wal, parts: &sweep.parts };
    let is_new = |object: &&Listed| named.has(&object.name) && !is_doomed(catalogue, &object.name);
    listing.objects().iter().filter(is_new).collect()
}

fn is_doomed(catalogue: &Catalogue, name: &Name) -> bool {
    let named = Named {
        packs: catalogue.swept(),
        wal: catalogue.swept_wal(),
        parts: catalogue.swept_parts(),
    };
    named.has(name)
}

/// What entries have named.
struct Named<'a> {
    packs: &'a PackSet,
    wal: &'a [WalRange],
    parts: &'a [WalRange],
}

impl Named<'_> {
    fn has(&self, name: &Name) -> bool {
        match name {
            Name::Pack(class, _, session, number) => {
                let pack = crate::pack::PackId { session: *session, number: *number };
                self.packs.contains(*class, pack)
            }
            Name::Wal(wal) => self.wal.iter().any(|range| {
                (range.incarnation, range.timeline) == (wal.incarnation, wal.timeline)
                    && segment_of(wal, range.segment_bytes)
                        .is_some_and(|it| range.covers_segment(it))
            }),
            Name::WalIndex(_, incarnation, timeline, folder) => {
                let from = u64::from(*folder) << 32;
                let to = from.saturating_add(1 << 32);
                self.wal.iter().any(|range| {
                    (range.incarnation, range.timeline) == (*incarnation, *timeline)
                        && range.from <= from
                        && to <= range.to
                })
            }
            Name::Live(part) => self.parts.iter().any(|range| {
                (range.incarnation, range.timeline) == (part.incarnation, part.timeline)
                    && range.covers_segment(part.segment)
            }),
            Name::VaultRecord
            | Name::Trust(_)
            | Name::Log(..)
            | Name::Checkpoint(..)
            | Name::Plan(_)
            | Name::Run(..) => false,
        }
    }
}

fn segment_of(wal: &crate::names::WalFile, segment_bytes: u32) -> Option<u64> {
    let segment_size = SegmentSize::new(segment_bytes)?;
    let archive = Archive { store: wal.store, incarnation: wal.incarnation, segment_size };
    archive.file(&wal.file)?.segment
}

/// What backups need that are live, or were until lately.
struct Spared<'a> {
    packs: PackSet,
    backups: Vec<&'a BackupRow>,
}

impl<'a> Spared<'a> {
    fn of(catalogue: &'a Catalogue, policy: &SweepPolicy, now: Timestamp) -> Self {
        let is_spared =
            |it: &&BackupRow| it.retired.is_none_or(|at| !is_older(at, policy.delay, now));
        let backups: Vec<_> = catalogue.backups().into_iter().filter(is_spared).collect();
        let mut packs = PackSet::default();
        for backup in &backups {
            packs.add(&backup.packs);
        }
        Self { packs, backups }
    }

    /// Where the oldest needed WAL of an incarnation begins.
    fn wal_from(&self, incarnation: IncarnationId) -> Option<u64> {
        let ranges = self.backups.iter().filter_map(|backup| backup.wal);
        ranges.filter(|wal| wal.incarnation == incarnation).map(|wal| wal.from).min()
    }
}

fn is_older(at: Timestamp, age: Duration, now: Timestamp) -> bool {
    let past = now.duration_since(at);
    !past.is_negative() && past.unsigned_abs() >= age
}

fn packs_to_sweep(
    catalogue: &Catalogue,
    listing: &Listing,
    policy: &SweepPolicy,
    now: Timestamp,
    spared: &Spared<'_>,
) -> PackSet {
    let packs = || {
        listing.objects().iter().filter_map(|object| match object.name {
            Name::Pack(class, _, session, number) => {
                Some((class, crate::pack::PackId { session, number }, object.info.modified))
            }
            _ => None,
        })
    };
    let mut newest_object: BTreeMap<SessionId, Timestamp> = BTreeMap::new();
    for (_, pack, modified) in packs() {
        let newest = newest_object.entry(pack.session).or_insert(modified);
        *newest = modified.max(*newest);
    }
    let protected = catalogue.protected_sessions();
    let is_old = |session: &SessionId| {
        catalogue.session(*session).is_some()
            && !protected.contains(session)
            && is_older(newest_object[session], policy.dead_session_age, now)
    };
    let old: BTreeSet<_> = newest_object.keys().copied().filter(is_old).collect();
    let mut retired = PackSet::default();
    for backup in catalogue.backups() {
        retired.add(&backup.packs);
    }
    packs()
        .map(|(class, pack, _)| (class, pack))
        .filter(|(_, pack)| catalogue.session(pack.session).is_some())
        .filter(|(_, pack)| !protected.contains(&pack.session))
        .filter(|(class, pack)| !spared.packs.contains(*class, *pack))
        .filter(|(class, pack)| !catalogue.swept().contains(*class, *pack))
        .filter(|(class, pack)| retired.contains(*class, *pack) || old.contains(&pack.session))
        .collect()
}

/// The segment size of an incarnation, as its backups give it.
pub(super) fn segment_size(
    catalogue: &Catalogue,
    incarnation: IncarnationId,
) -> Option<SegmentSize> {
    let backups = catalogue.backups();
    let mut ranges = backups.iter().rev().filter_map(|backup| backup.wal);
    let range = ranges.find(|wal| wal.incarnation == incarnation)?;
    SegmentSize::new(range.segment_bytes)
}

fn wal_to_sweep(
    catalogue: &Catalogue,
    listing: &Listing,
    sealed: &SealedSegments,
    spared: &Spared<'_>,
) -> Vec<WalRange> {
    let mut ends: BTreeMap<(IncarnationId, u32), u64> = BTreeMap::new();
    for object in listing.objects() {
        let Name::Wal(wal) = &object.name else { continue };
        let Some(size) = sealed.sizes.get(&wal.incarnation) else { continue };
        let Some(segment) = segment_of(wal, size.bytes()) else { continue };
        let end = (segment + 1).saturating_mul(u64::from(size.bytes()));
        let is_needed = match spared.wal_from(wal.incarnation) {
            Some(from) => from < end,
            None => !is_over(catalogue, wal.incarnation),
        };
        if !is_needed && !is_doomed(catalogue, &object.name) {
            let furthest = ends.entry((wal.incarnation, wal.timeline)).or_default();
            *furthest = end.max(*furthest);
        }
    }
    let range = |((incarnation, timeline), to): ((IncarnationId, u32), u64)| WalRange {
        incarnation,
        timeline,
        from: 0,
        to,
        segment_bytes: sealed.sizes[&incarnation].bytes(),
    };
    ends.into_iter().map(range).collect()
}

/// Whether an incarnation without backups has had some and is nobody's any more.
fn is_over(catalogue: &Catalogue, incarnation: IncarnationId) -> bool {
    let is_current = catalogue.sessions().any(|session| {
        let of_it = session.incarnation.as_ref().is_some_and(|it| it.id == incarnation);
        of_it && session.superseded.is_none() && !session.imported
    });
    let had_backups = catalogue
        .backups()
        .iter()
        .any(|backup| backup.wal.is_some_and(|wal| wal.incarnation == incarnation));
    had_backups && !is_current
}

/// Segments with parts that are old enough, and were not named before.
pub(super) fn old_parts(
    catalogue: &Catalogue,
    listing: &Listing,
    sizes: &BTreeMap<IncarnationId, SegmentSize>,
    policy: &SweepPolicy,
    now: Timestamp,
) -> Vec<(Archive, Segment)> {
    let mut newest: BTreeMap<(IncarnationId, Segment), (Archive, Timestamp)> = BTreeMap::new();
    for object in listing.objects() {
        let Name::Live(part) = &object.name else { continue };
        let Some(&segment_size) = sizes.get(&part.incarnation) else { continue };
        if is_doomed(catalogue, &object.name) {
            continue;
        }
        let archive = Archive { store: part.store, incarnation: part.incarnation, segment_size };
        let segment = Segment { timeline: part.timeline, number: part.segment };
        let modified = object.info.modified;
        let entry = newest.entry((part.incarnation, segment)).or_insert((archive, modified));
        entry.1 = entry.1.max(modified);
    }
    let old = newest.into_iter().filter(|(_, (_, at))| is_older(*at, policy.part_age, now));
    old.map(|((_, segment), (archive, _))| (archive, segment)).collect()
}

/// Neighbouring segments as ranges.
fn ranges(
    segments: &BTreeSet<(IncarnationId, Segment)>,
    sizes: &BTreeMap<IncarnationId, SegmentSize>,
) -> Vec<WalRange> {
    let mut ranges: Vec<WalRange> = Vec::new();
    for (incarnation, segment) in segments {
        let Some(size) = sizes.get(incarnation).map(|size| u64::from(size.bytes())) else {
            continue;
        };
        let Some(to) = segment.number.checked_add(1).and_then(|next| next.checked_mul(size)) else {
            continue;
        };
        let from = to - size;
        match ranges.last_mut() {
            Some(last)
                if (last.incarnation, last.timeline, last.to)
                    == (*incarnation, segment.timeline, from) =>
            {
                last.to = to;
            }
            _ => ranges.push(WalRange {
                incarnation: *incarnation,
                timeline: segment.timeline,
                from,
                to,
                segment_bytes: sizes[incarnation].bytes(),
            }),
        }
    }
    ranges
}
