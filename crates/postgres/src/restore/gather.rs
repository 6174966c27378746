//! What a vault holds of a cluster, as the choice of a recovery needs it.

use soter_vault::ids::{BackupId, IncarnationId};
use soter_vault::keys::{ReaderKeys, Trust};
use soter_vault::log::{BackupRow, Log};
use soter_vault::vault::Vault;
use soter_vault::wal::{
    Archive, Finding, Segment, SegmentBytes, SessionAccess, Stitched, WalError, WalReader, WalVault,
};

use super::choice::{BaseBackup, Choice, Located, Recoverable, Unreadable, WalEnd, WalRange};
use super::error::RestoreError;
use super::target::Target;
use crate::backup::record::BackupRecord;
use crate::incarnation;
use crate::lsn::{Lsn, SegmentNumber, SegmentSize, Timeline};
use crate::timeline::TimelineHistory;
use crate::wal::decoder::{Fed, WalDecoder};
use crate::wal::header::WalIdentity;
use crate::wal::meaning::Meaning;
use crate::wal::record::Record;

/// Threads that decompress one segment.
const SEGMENT_WORKERS: usize = 2;

/// A store in a vault, opened with an operator's key.
pub struct StoreReader<'a> {
    /// The vault.
    pub vault: &'a Vault,
    /// Whom to believe.
    pub trust: &'a Trust,
    /// The operator's keys for the store.
    pub keys: &'a ReaderKeys,
}

/// What a vault holds of one life of a cluster.
#[derive(Debug)]
pub struct Gathered {
    /// The log.
    pub log: Log,
    /// The records of its backups, oldest first.
    pub records: Vec<(BackupId, BackupRecord)>,
    /// Where its WAL is.
    pub archive: Archive,
    /// What the choice is made from.
    pub recoverable: Recoverable,
}

impl Gathered {
    /// The record of the backup that was chosen.
    ///
    /// # Errors
    /// [`RestoreError::NothingThere`] if it is another store's choice.
    pub fn record(&self, choice: &Choice) -> Result<&BackupRecord, RestoreError> {
        let mut records = self.records.iter();
        let found = records.find(|(id, _)| *id == choice.backup);
        found.map(|(_, record)| record).ok_or(RestoreError::NothingThere)
    }
}

impl StoreReader<'_> {
    /// Reads what there is of the newest life that has a backup, and finds what the target names.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn gather(&self, target: &Target) -> Result<Gathered, RestoreError> {
        self.gather_life(target, None)
    }

    /// The same of a certain life of the cluster.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn gather_life(
        &self,
        target: &Target,
        life: Option<IncarnationId>,
    ) -> Result<Gathered, RestoreError> {
        let log = Log::open(self.vault, self.keys.store, self.trust.clone(), None)?;
        let records = self.records(&log, target, life)?;
        let Some((_, newest)) = records.last() else { return Err(RestoreError::NothingThere) };
        let segment_size = soter_vault::wal::SegmentSize::new(newest.segment_size.bytes())
            .ok_or(RestoreError::SegmentSize)?;
        let incarnation = newest.incarnation;
        let archive = Archive { store: self.keys.store, incarnation, segment_size };
        let wal = self.wal_vault(archive);
        let ranges = wal.ranges()?;
        let timeline = ranges.iter().map(|range| range.timeline).max();
        let timeline = Timeline(timeline.unwrap_or(newest.timeline.0).max(newest.timeline.0));
        let history = self.history(&wal, timeline)?;
        let ranges: Vec<WalRange> = ranges.iter().flat_map(without_gaps).collect();
        let recoverable = Recoverable {
            backups: records.iter().map(|(id, record)| base_backup(*id, record)).collect(),
            wal: ranges,
            history,
            end: None,
            unreadable: None,
            located: None,
            located_at: None,
        };
        let mut gathered = Gathered { log, records, archive, recoverable };
        self.read_end(&mut gathered, target)?;
        Ok(gathered)
    }

    /// The WAL of an archive.
    pub fn wal_vault(&self, archive: Archive) -> WalVault<'_> {
        let store = &*self.vault.objects;
        WalVault { store, clock: &*self.vault.clock, trust: self.trust, archive }
    }

    /// Records of the live backups of one life: the one that is wanted, that of the backup that is,
    /// else the newest that has any.
    fn records(
        &self,
        log: &Log,
        target: &Target,
        wanted: Option<IncarnationId>,
    ) -> Result<Vec<(BackupId, BackupRecord)>, RestoreError> {
        let live: Vec<&BackupRow> = log.catalogue().live().collect();
        let life_of = |row: &BackupRow| row.wal.map(|wal| wal.incarnation);
        let of_target = live.iter().find(|row| *target == Target::Backup(row.id));
        let newest = || {
            let lives = incarnation::all(log.catalogue()).into_iter().rev().map(|life| life.id);
            lives.into_iter().find(|id| live.iter().any(|row| life_of(row) == Some(*id)))
        };
        let of_target = of_target.and_then(|row| life_of(row));
        let Some(life) = wanted.or(of_target).or_else(newest) else { return Ok(Vec::new()) };
        let of_life = |row: &&&BackupRow| life_of(row) == Some(life);
        let mut records = Vec::new();
        for row in live.iter().filter(of_life) {
            let body = log.body(row.id, &self.keys.metadata)?;
            let record = BackupRecord::parse(&body.content)
                .map_err(|source| RestoreError::Record { backup: row.id, source })?;
            records.push((row.id, record));
        }
        Ok(records)
    }

    fn history(
        &self,
        wal: &WalVault<'_>,
        timeline: Timeline,
    ) -> Result<TimelineHistory, RestoreError> {
        if timeline == Timeline::FIRST {
            return Ok(TimelineHistory::first());
        }
        let name = format!("{:08X}.history", timeline.0);
        let file = wal.archive.file(&name).ok_or(RestoreError::NoHistory { timeline })?;
        let fetched = wal.fetch(&file, self.keys, 1)?;
        let fetched = fetched.ok_or(RestoreError::NoHistory { timeline })?;
        Ok(TimelineHistory::parse(timeline, &fetched.bytes)?)
    }

    /// Reads the WAL from a backup on to its end: where the last record ends, and where the target's
    /// record is.
    fn read_end(&self, gathered: &mut Gathered, target: &Target) -> Result<(), RestoreError> {
        let Some(start) = read_from(&gathered.recoverable.backups, target) else { return Ok(()) };
        let Some((_, record)) = gathered.records.last() else { return Ok(()) };
        let identity = WalIdentity {
            system_identifier: record.system_identifier,
            version: record.version,
            segment_size: record.segment_size,
        };
        let timeline = gathered.recoverable.history.timeline();
        let first = start.segment(record.segment_size);
        let mut decoder = WalDecoder::new(identity, timeline, first);
        let mut search = Search::new(target);
        let mut number = first;
        let mut seen: Option<WalRange> = None;
        let hidden = loop {
            let Read { bytes, hidden, timeline: of } = self.read(gathered, number)?;
            let Some(bytes) = bytes else { break hidden };
            if of == Some(timeline) {
                see(&mut seen, timeline, number.start(record.segment_size), bytes.len() as u64);
            }
            let outcome = decoder.feed(&bytes, &mut |record| search.see(record));
            // They were seen as they came.
            decoder.take_restore_points();
            let is_whole = bytes.len() as u64 == record.segment_size.bytes_u64();
            number = number.next();
            if !is_whole {
                break hidden;
            }
            if !matches!(outcome, Ok(Fed::More)) {
                // Where WAL ends, nothing follows.
                let Read { bytes, hidden, .. } = self.read(gathered, number)?;
                let start = number.start(record.segment_size).0;
                let end = |bytes: Vec<u8>| (Lsn(start + bytes.len() as u64), Vec::new());
                break hidden.or(bytes.map(end));
            }
        };
        if let Some(seen) = seen {
            add_range(&mut gathered.recoverable.wal, seen);
        }
        let facts = decoder.facts();
        gathered.recoverable.end = facts.last_record.map(|place| WalEnd {
            record_end: place.end,
            last_commit: facts.time_max,
            known_until: facts.time_max,
        });
        let from = facts.last_record.map_or(start, |place| place.end);
        gathered.recoverable.unreadable =
            hidden.map(|(to, objects)| Unreadable { from, to, objects });
        gathered.recoverable.located = search.located;
        gathered.recoverable.located_at = search.located_at;
        Ok(())
    }

    /// The bytes of a segment on the way to the timeline, as far as there are any.
    pub fn segment(
        &self,
        gathered: &Gathered,
        number: SegmentNumber,
    ) -> Result<Option<Vec<u8>>, RestoreError> {
        let found = self.find(gathered, number)?;
        Ok(found.map(|(_, found)| found.into_bytes()))
    }

    fn find(
        &self,
        gathered: &Gathered,
        number: SegmentNumber,
    ) -> Result<Option<(Segment, SegmentBytes)>, RestoreError> {
        let size = segment_size(gathered)?;
        let history = &gathered.recoverable.history;
        let newest = history.timeline_at(Lsn(number.end(size).0.saturating_sub(1)));
        let sessions = |id| SessionAccess::of(gathered.log.catalogue(), self.keys, id);
        let reader = WalReader { keys: self.keys, sessions: &sessions, workers: SEGMENT_WORKERS };
        let wal = self.wal_vault(gathered.archive);
        let mut timelines = vec![newest];
        timelines.extend(history.ancestors().iter().rev().map(|ancestor| ancestor.timeline));
        for timeline in timelines.into_iter().filter(|timeline| *timeline <= newest) {
            let segment = Segment { timeline: timeline.0, number: number.0 };
            if let Some(found) = wal.read_segment(segment, reader)? {
                return Ok(Some((segment, found)));
            }
        }
        Ok(None)
    }

    /// The same, with what is there and cannot be used: its end, and what is wrong with it.
    fn read(&self, gathered: &Gathered, number: SegmentNumber) -> Result<Read, RestoreError> {
        let size = segment_size(gathered)?;
        let (start, end) = (number.start(size), number.end(size));
        let (segment, found) = match self.find(gathered, number) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Read::default()),
            Err(RestoreError::Wal(WalError::Damaged { findings, .. })) => {
                let objects = findings.iter().map(ToString::to_string).collect();
                return Ok(Read { hidden: Some((end, objects)), ..Read::default() });
            }
            Err(error) => return Err(error),
        };
        let (length, timeline) = (found.bytes().len(), Some(Timeline(segment.timeline)));
        if length as u64 == size.bytes_u64() {
            return Ok(Read { bytes: Some(found.into_bytes()), hidden: None, timeline });
        }
        let wal = self.wal_vault(gathered.archive);
        let hides = |finding: &&Finding| wal.may_hold_more(finding, length);
        let hiding: Vec<&Finding> = found.findings().iter().filter(hides).collect();
        let mut objects: Vec<String> = hiding.iter().map(ToString::to_string).collect();
        let part_end = |finding: &&Finding| {
            wal.part_named(&finding.object).map_or(end, |part| Lsn(start.0 + u64::from(part.to)))
        };
        let mut to = hiding.iter().map(part_end).max();
        if let SegmentBytes::Parts(Stitched { divergence: Some(divergence), .. }, _) = &found {
            objects.push(format!("{segment}: {} disagree", divergence.objects.join(" and ")));
            to = to.or(Some(end));
        }
        let hidden = to.map(|to| (to, objects));
        Ok(Read { bytes: Some(found.into_bytes()), hidden, timeline })
    }
}

/// A segment as far as it can be read.
#[derive(Default)]
struct Read {
    bytes: Option<Vec<u8>>,
    /// Of which timeline these are.
    timeline: Option<Timeline>,
    /// Up to where there is more, and why it cannot be used.
    hidden: Option<(Lsn, Vec<String>)>,
}

fn segment_size(gathered: &Gathered) -> Result<SegmentSize, RestoreError> {
    SegmentSize::new(gathered.archive.segment_size.bytes()).map_err(|_| RestoreError::SegmentSize)
}

/// From where the WAL is read: far enough back for what the target names to be met.
fn read_from(backups: &[BaseBackup], target: &Target) -> Option<Lsn> {
    let starts = || backups.iter().map(|backup| backup.start);
    match target {
        Target::Name(_) | Target::Xid(_) | Target::Time(_) => starts().min(),
        Target::Lsn(lsn) => {
            let before = backups.iter().filter(|backup| backup.stop <= *lsn);
            before.map(|backup| backup.start).max().or_else(|| starts().min())
        }
        Target::Latest => starts().next_back(),
        // The server itself knows when a backup is consistent; nothing behind that matters.
        Target::Immediate | Target::Backup(_) => None,
    }
}

/// Looks for the record that decides where a replay to the target stops.
struct Search<'a> {
    target: &'a Target,
    /// Where the record before ends.
    before: Option<Lsn>,
    located: Option<Located>,
    located_at: Option<Located>,
}

impl<'a> Search<'a> {
    fn new(target: &'a Target) -> Self {
        Self { target, before: None, located: None, located_at: None }
    }

    fn see(&mut self, record: &Record<'_>) {
        let place = Located {
            before: self.before.unwrap_or(record.start),
            start: record.start,
            end: record.end,
        };
        self.before = Some(record.end);
        let ended_at = match record.meaning {
            Meaning::Commit(end) | Meaning::Abort(end) => Some(end.time),
            _ => None,
        };
        let is_it = match (self.target, &record.meaning) {
            (Target::Xid(xid), Meaning::Commit(end)) => end.transaction.0 == *xid,
            (Target::Name(wanted), Meaning::RestorePoint { name, .. }) => name == wanted,
            (Target::Lsn(lsn), _) => record.start >= *lsn,
            (Target::Time(time), _) => {
                if self.located_at.is_none() && ended_at.is_some_and(|at| at >= *time) {
                    self.located_at = Some(place);
                }
                ended_at.is_some_and(|at| at > *time)
            }
            _ => false,
        };
        if is_it && self.located.is_none() {
            self.located = Some(place);
        }
    }
}

/// Adds what was read to what was read before it, if nothing is between.
fn see(seen: &mut Option<WalRange>, timeline: Timeline, from: Lsn, bytes: u64) {
    let to = Lsn(from.0 + bytes);
    match seen {
        None => *seen = Some(WalRange { timeline, from, to }),
        Some(seen) if seen.to == from => seen.to = to,
        Some(_) => {}
    }
}

/// Adds WAL that was read: an agent may have stored more of it since the ranges were listed.
fn add_range(ranges: &mut Vec<WalRange>, read: WalRange) {
    let touches = |range: &WalRange| {
        range.timeline == read.timeline && range.from <= read.to && read.from <= range.to
    };
    let mut union = read.clone();
    for range in ranges.extract_if(.., |range| touches(range)) {
        (union.from, union.to) = (union.from.min(range.from), union.to.max(range.to));
    }
    ranges.push(union);
}

fn base_backup(id: BackupId, record: &BackupRecord) -> BaseBackup {
    BaseBackup {
        id,
        timeline: record.timeline,
        start: record.start,
        stop: record.stop,
        stopped_at: record.stopped_at,
    }
}

fn without_gaps(range: &soter_vault::wal::Range) -> Vec<WalRange> {
    let timeline = Timeline(range.timeline);
    let mut from = range.from;
    let mut ranges = Vec::new();
    for (gap, behind) in &range.gaps {
        ranges.push(WalRange { timeline, from: Lsn(from), to: Lsn(*gap) });
        from = *behind;
    }
    ranges.push(WalRange { timeline, from: Lsn(from), to: Lsn(range.to) });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(timeline: u32, from: u64, to: u64) -> WalRange {
        WalRange { timeline: Timeline(timeline), from: Lsn(from), to: Lsn(to) }
    }

    #[test]
    fn what_was_read_is_there_whenever_it_came() {
        let added = |ranges: &[WalRange], read| {
            let mut ranges = ranges.to_vec();
            add_range(&mut ranges, read);
            ranges
        };
        // More came behind the end, a gap was filled, and other timelines are others.
        assert_eq!(added(&[range(1, 10, 20)], range(1, 16, 32)), [range(1, 10, 32)]);
        let filled = added(&[range(1, 10, 20), range(1, 24, 30)], range(1, 16, 32));
        assert_eq!(filled, [range(1, 10, 32)]);
        let others = added(&[range(2, 10, 20), range(1, 0, 4)], range(1, 16, 32));
        assert_eq!(others, [range(2, 10, 20), range(1, 0, 4), range(1, 16, 32)]);
        assert_eq!(added(&[range(1, 10, 40)], range(1, 16, 32)), [range(1, 10, 40)]);
    }

    #[test]
    fn only_what_follows_what_was_read_is_read_with_it() {
        let mut seen = None;
        see(&mut seen, Timeline(1), Lsn(16), 16);
        see(&mut seen, Timeline(1), Lsn(32), 4);
        see(&mut seen, Timeline(1), Lsn(48), 16);
        assert_eq!(seen, Some(range(1, 16, 36)));
    }
}
