//! Looking at all WAL that the live backups can be continued with, not only at what they need.
//!
//! What a backup needs is a part of its own verification. What lies between and behind backups is
//! what brings a cluster back to a moment: gaps and damage there cost moments, not backups.

use std::collections::BTreeMap;

use soter_world::Stop;

use super::{Damage, Depth, Examiner, Job, Told, Work, list_sizes, store_error};
use crate::ids::IncarnationId;
use crate::log::{Catalogue, Log, LogError, WalRange};
use crate::wal::{Archive, ArchiveFile, Range, Segment, SegmentSize, Span, WalReader, WalVault};

/// What WAL to look at.
#[derive(Debug, Clone)]
pub struct WalRequest {
    /// How closely.
    pub depth: Depth,
    /// Ranges that were looked at as a part of backups; their segments are not read again.
    pub except: Vec<WalRange>,
    /// How many threads read at once.
    pub lanes: usize,
}

/// What was found of the WAL of one timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedWal {
    /// The life of the cluster, and the size of its segments.
    pub archive: Archive,
    /// What is there, by names; both ends of sealed runs were looked at. It begins where the oldest
    /// backup does: what lies before brings nothing back.
    pub range: Range,
    /// Sealed segments, and the timeline's history, that were looked at.
    pub objects_count: u64,
    /// Their length.
    pub objects_bytes: u64,
    /// What is wrong with them.
    pub faults: Vec<WalFault>,
}

/// A segment that is not as it should be, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalFault {
    /// The object.
    pub object: String,
    /// The positions it stands for.
    pub span: Span,
    /// What is wrong.
    pub damage: Damage,
}

impl CheckedWal {
    /// From where to where it was looked at.
    pub fn looked_at(&self) -> WalRange {
        WalRange {
            incarnation: self.archive.incarnation,
            timeline: self.range.timeline,
            from: self.range.from,
            to: self.range.to,
            segment_bytes: self.archive.segment_size.bytes(),
        }
    }

    /// Whether everything is there and as it should be.
    pub fn passed(&self) -> bool {
        let is_lost = |fault: &WalFault| !matches!(fault.damage, Damage::Repaired { .. });
        self.range.gaps.is_empty() && !self.faults.iter().any(is_lost)
    }
}

/// Looks at the WAL of every incarnation that has live backups, from the oldest of them on.
///
/// # Errors
/// The store's, and [`LogError::Stopped`]. Damage is what is found, not an error.
pub fn verify_wal(
    log: &Log,
    request: &WalRequest,
    stop: &Stop,
    progress: Told<'_>,
) -> Result<Vec<CheckedWal>, LogError> {
    let mut checked = Vec::new();
    for (archive, range) in usable_wal(log)? {
        let segments = wal_of(log, archive).sealed_in(&range).map_err(store_error)?;
        checked.push(look(log, request, (archive, range), &segments, (stop, progress))?);
    }
    Ok(checked)
}

/// The WAL of each timeline of every incarnation that has live backups, from the oldest of them on.
///
/// # Errors
/// The store's.
pub fn usable_wal(log: &Log) -> Result<Vec<(Archive, Range)>, LogError> {
    let mut found = Vec::new();
    for (archive, from) in archives(log.catalogue()) {
        let ranges = wal_of(log, archive).ranges().map_err(store_error)?;
        let ranges = ranges.into_iter().filter_map(|range| range_from(range, from));
        found.extend(ranges.map(|range| (archive, range)));
    }
    Ok(found)
}

/// The WAL of an archive of the log's vault.
fn wal_of(log: &Log, archive: Archive) -> WalVault<'_> {
    let (store, clock) = (&*log.vault().objects, &*log.vault().clock);
    WalVault { store, clock, trust: log.trust(), archive }
}

/// Opens the streamed parts behind the sealed segments of a range; with the keys of their sessions
/// this is what their names alone do not say.
///
/// # Errors
/// The store's.
pub fn check_parts(
    wal: &WalVault<'_>,
    range: &Range,
    reader: WalReader<'_>,
) -> Result<Vec<WalFault>, LogError> {
    let mut faults = Vec::new();
    let archive = wal.archive;
    let from = range.sealed_to.unwrap_or(range.from);
    for number in archive.segment_at(from)..archive.segment_at(range.to.saturating_sub(1)) + 1 {
        let segment = Segment { timeline: range.timeline, number };
        let promised = wal.parts_of(segment).map_err(store_error)?;
        let Some(&(from, to)) = promised.first() else { continue };
        let (stitched, findings) = wal.read_parts(segment, reader).map_err(store_error)?;
        let name = archive.segment_file(segment).name();
        let reached = archive.start_of(number) + u64::from(stitched.end());
        if findings.is_empty() && reached < to && from < to {
            let object = stitched.divergence.map_or(name, |other| other.objects.join(" and "));
            faults.push(WalFault { object, span: (reached.max(from), to), damage: Damage::Hash });
        }
        faults.extend(findings.into_iter().map(|finding| WalFault {
            object: finding.object,
            span: (reached, to),
            damage: Damage::Wal(finding.fault),
        }));
    }
    Ok(faults)
}

/// Where recovery ends because these positions of a timeline are missing: from the first of them to
/// the end of the next backup that begins behind them, if there is one.
pub fn unreachable(catalogue: &Catalogue, lost: &WalRange) -> (u64, Option<u64>) {
    let of_timeline = catalogue.live().filter_map(|backup| backup.wal).filter(|wal| {
        (wal.incarnation, wal.timeline) == (lost.incarnation, lost.timeline) && lost.to <= wal.from
    });
    (lost.from, of_timeline.map(|wal| wal.to).min())
}

/// Incarnations with live backups, and where the oldest of each begins.
fn archives(catalogue: &Catalogue) -> Vec<(Archive, u64)> {
    let mut found: BTreeMap<IncarnationId, (Archive, u64)> = BTreeMap::new();
    let store = catalogue.place().store;
    for wal in catalogue.live().filter_map(|backup| backup.wal) {
        let segment_size = SegmentSize::new(wal.segment_bytes).expect("the fold checked the range");
        let archive = Archive { store, incarnation: wal.incarnation, segment_size };
        let entry = found.entry(wal.incarnation).or_insert((archive, wal.from));
        entry.1 = entry.1.min(wal.from);
    }
    found.into_values().collect()
}

/// Without what lies before a position; `None` when nothing is left.
fn range_from(mut range: Range, from: u64) -> Option<Range> {
    range.gaps.retain(|(_, to)| from < *to);
    range.from = range.from.max(from);
    (range.from < range.to).then_some(range)
}

fn look(
    log: &Log,
    request: &WalRequest,
    (archive, range): (Archive, Range),
    segments: &[Segment],
    (stop, progress): (&Stop, Told<'_>),
) -> Result<CheckedWal, LogError> {
    let is_known = |segment: &Segment| {
        request.except.iter().any(|known| {
            (known.incarnation, known.timeline) == (archive.incarnation, segment.timeline)
                && known.from < archive.end_of(segment.number)
                && archive.start_of(segment.number) < known.to
        })
    };
    let unknown = segments.iter().copied().filter(|segment| !is_known(segment));
    let span_of = |number| (archive.start_of(number), archive.end_of(number));
    let mut files: Vec<_> = unknown
        .clone()
        .map(|it| (archive.segment_file(it), Some(it), span_of(it.number)))
        .collect();
    // Without its history nobody knows where a timeline branched off, and nothing of it is used.
    let history = (range.timeline > 1).then(|| format!("{:08X}.history", range.timeline));
    let history = history.and_then(|name| archive.file(&name));
    files.extend(history.map(|file| (file, None, (range.from, range.to))));
    let job = |(file, segment, _): &(ArchiveFile, Option<Segment>, Span)| Job::Wal {
        archive,
        segment: *segment,
        file: file.clone(),
        depth: request.depth,
    };
    let jobs = files.iter().map(job).collect();
    let folders = unknown.clone().map(|it| (it.timeline, archive.folder_of(it.number)));
    let prefixes = folders.map(|(timeline, folder)| archive.folder_prefix(timeline, folder));
    let work = Work { jobs, prefixes: prefixes.collect() };
    let sizes = list_sizes(&*log.vault().objects, &work)?;
    let outcomes = Examiner { log, sizes: &sizes, progress }.run(&work, request.lanes, stop)?;
    let mut checked =
        CheckedWal { archive, range, objects_count: 0, objects_bytes: 0, faults: Vec::new() };
    for (file, _, span) in files {
        let object = file.name();
        let Some(outcome) = outcomes.get(&object) else { continue };
        checked.objects_count += 1;
        checked.objects_bytes += outcome.bytes;
        if let Some(damage) = outcome.damage.clone() {
            checked.faults.push(WalFault { object, span, damage });
        }
    }
    Ok(checked)
}
