//! How old a pack may be that a new backup still shares.
//!
//! A place that locks objects does so from their creation on: for `D`. A backup of today that shares a
//! pack whose lock is over can be destroyed today. So a writer shares packs younger than `A` only, and
//! stores the rest anew from its source: with `A + W <= D` everything that a new backup needs stays
//! locked for at least `W`. Nobody needs to extend a lock, and nothing is ever rewritten.

use std::time::Duration;

use jiff::Timestamp;

use crate::log::{BackupRow, Catalogue, PackSet};
use crate::pack::PackPlace;
use crate::sweep::Listing;
use crate::wal::{Archive, Segment, SegmentSize};

/// `A`: a pack older than this is not shared any more. Less reads and stores more of what did not
/// change, more needs longer locks: at 30 days a thirtieth of a store is stored anew each day.
pub const PACK_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The packs of a base that a new backup may share. A pack is taken to be as old as its session, which
/// is at most a day older. `now` is the store's time: that of the writer's own `open` entry.
pub fn shareable(
    catalogue: &Catalogue,
    base: &BackupRow,
    now: Timestamp,
    age_max: Duration,
) -> PackSet {
    let is_young = |opened: Timestamp| {
        let age = now.duration_since(opened);
        !age.is_negative() && age.unsigned_abs() < age_max
    };
    let opened = |session| catalogue.session(session).map(|row| row.stored);
    let packs = base.packs.iter().filter(|(_, pack)| opened(pack.session).is_some_and(is_young));
    packs.collect()
}

/// Until when nothing that a backup needs can be deleted, where objects are locked for `lock` from
/// their creation on. `None` when the listing lacks one of its objects.
pub fn locked_until(
    catalogue: &Catalogue,
    backup: &BackupRow,
    listing: &Listing,
    lock: Duration,
) -> Option<Timestamp> {
    let store = catalogue.place().store;
    let packs = backup.packs.iter().map(|(class, id)| PackPlace { class, store, id }.name());
    let mut needed: Vec<String> = packs.collect();
    if let Some(wal) = backup.wal {
        let segment_size = SegmentSize::new(wal.segment_bytes)?;
        let archive = Archive { store, incarnation: wal.incarnation, segment_size };
        let last = wal.to.div_ceil(u64::from(wal.segment_bytes));
        let segments = archive.segment_at(wal.from)..last;
        let segment = |number| Segment { timeline: wal.timeline, number };
        needed.extend(segments.map(|number| archive.segment_file(segment(number)).name()));
    }
    let modified: std::collections::BTreeMap<&str, Timestamp> =
        listing.objects().iter().map(|it| (it.info.name.as_str(), it.info.modified)).collect();
    let times = needed.iter().map(|name| modified.get(name.as_str()).copied());
    let oldest = times.collect::<Option<Vec<_>>>()?.into_iter().min();
    // A backup without objects lies in the log alone.
    let oldest = oldest.unwrap_or(backup.stored);
    Some(oldest.saturating_add(lock).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod calendar;
