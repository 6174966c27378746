//! `soter backups`: what a store can be brought back from, and to which moments.

mod etcd;
mod report;

use jiff::Timestamp;
use soter_postgres::backup::record::BackupRecord;
use soter_postgres::lsn::{Lsn, Timeline};
use soter_vault::ids::BackupId;
use soter_vault::log::{BackupRow, Catalogue, Log, WalRange};
use soter_vault::verify::{unreachable, usable_wal};
use soter_vault::wal::{Archive, Range, Segment, WalVault, stretches};

use self::report::{Gap, Recoverable, Report, Row, Verified};
use crate::context::{Access, Context, log_failure};
use crate::etcd::is_etcd;
use crate::failure::{Ending, Failure};
use crate::onlooker::Onlooker;

/// How many segments are looked at for the time of the newest commit: an idle server writes some
/// without any.
const SEGMENTS_LOOKED_AT: u64 = 8;

/// List the backups of a store, the positions that can be brought back, and what is missing.
#[derive(Debug, clap::Args)]
pub(super) struct BackupsArgs {
    /// The store, as the plan calls it.
    store: Option<String>,
    #[command(flatten)]
    access: Access,
}

pub(super) fn run(context: &Context, args: &BackupsArgs) -> Result<(), Failure> {
    let onlooker = context.onlooker(&args.access, None, args.store.as_deref())?;
    let log = onlooker.log(context)?;
    let catalogue = log.catalogue();
    for finding in catalogue.findings() {
        context.output.warn(&format!("the log of {}: {}", onlooker.name, finding.problem));
    }
    if let Some(metadata) = &onlooker.metadata
        && is_etcd(&log, metadata)?
    {
        return etcd::run(context, &onlooker, &log);
    }
    let wal = usable_wal(&log).map_err(|error| log_failure(&error))?;
    let report = Report {
        store: onlooker.name.clone(),
        backups: rows(&onlooker, &log)?,
        recoverable: recoverable(&onlooker, &log, &wal)?,
        gaps: wal.iter().flat_map(|(archive, range)| gaps(catalogue, *archive, range)).collect(),
    };
    context.output.data(&report, Report::in_words);
    if report.backups.is_empty() {
        return Err(Failure::new(Ending::No, format!("{} has no backup", onlooker.name))
            .hint(format!("make one: soter backup {}", onlooker.name)));
    }
    Ok(())
}

fn rows(onlooker: &Onlooker, log: &Log) -> Result<Vec<Row>, Failure> {
    let Some(metadata) = &onlooker.metadata else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    for backup in log.catalogue().live() {
        let body = log.body(backup.id, metadata).map_err(|error| log_failure(&error))?;
        let record = BackupRecord::parse(&body.content).map_err(|error| {
            Failure::of(Ending::Failed, &error)
                .during(&format!("read the record of backup {}", backup.id))
                .hint("a newer Soter may have written it: use that one")
        })?;
        rows.push(row(log.catalogue(), backup, record));
    }
    Ok(rows)
}

/// What the last verification found.
fn verified(catalogue: &Catalogue, backup: BackupId) -> Option<Verified> {
    let last = catalogue.attests(backup).last()?;
    Some(Verified { level: last.attest.level, passed: last.attest.passed, at: last.stored })
}

fn row(catalogue: &Catalogue, backup: &BackupRow, record: BackupRecord) -> Row {
    Row {
        id: backup.id,
        incarnation: record.incarnation,
        kind: record.kind,
        base: record.base,
        timeline: record.timeline,
        start: record.start,
        stop: record.stop,
        started_at: record.started_at,
        stopped_at: record.stopped_at,
        committed_at: backup.stored,
        version: record.version.to_string(),
        files: record.counters.files,
        total_bytes: record.counters.total_bytes,
        new_bytes: backup.new_bytes,
        bad_pages: record.bad_pages.len(),
        verified: verified(catalogue, backup.id),
        held: catalogue.holds().any(|hold| hold.hold.backup == backup.id),
    }
}

fn recoverable(
    onlooker: &Onlooker,
    log: &Log,
    wal: &[(Archive, Range)],
) -> Result<Vec<Recoverable>, Failure> {
    let live: Vec<WalRange> = log.catalogue().live().filter_map(|backup| backup.wal).collect();
    let mut found = Vec::new();
    for of_life in wal.chunk_by(|one, other| one.0.incarnation == other.0.incarnation) {
        let archive = of_life[0].0;
        let ranges: Vec<Range> = of_life.iter().map(|(_, range)| range.clone()).collect();
        let of_this = live.iter().filter(|range| range.incarnation == archive.incarnation);
        let of_this: Vec<WalRange> = of_this.copied().collect();
        for stretch in stretches(&of_this, &ranges) {
            let (timeline, span) = (stretch.timeline, (stretch.from, stretch.to));
            found.push(Recoverable {
                incarnation: archive.incarnation,
                timeline: Timeline(timeline),
                from: Lsn(stretch.from),
                to: Lsn(stretch.to),
                newest_commit: newest_commit(onlooker, log, archive, (timeline, span))?,
            });
        }
    }
    Ok(found)
}

/// When the newest commit in the sealed segments of a stretch was made; streamed parts are not asked.
fn newest_commit(
    onlooker: &Onlooker,
    log: &Log,
    archive: Archive,
    (timeline, (from, to)): (u32, (u64, u64)),
) -> Result<Option<Timestamp>, Failure> {
    let Some(metadata) = &onlooker.metadata else { return Ok(None) };
    let (store, clock) = (&*log.vault().objects, &*log.vault().clock);
    let wal = WalVault { store, clock, trust: log.trust(), archive };
    let last = archive.segment_at(to.saturating_sub(1));
    let first = archive.segment_at(from).max((last + 1).saturating_sub(SEGMENTS_LOOKED_AT));
    for number in (first..=last).rev() {
        let file = archive.segment_file(Segment { timeline, number });
        let located = match wal.locate(&file) {
            Ok(Some(located)) => located,
            Ok(None) | Err(soter_vault::wal::WalError::Damaged { .. }) => continue,
            Err(error) => return Err(Failure::of(Ending::Failed, &error)),
        };
        let facts = located.head.facts(&file, metadata).unwrap_or_default();
        if let Some(times) = facts.commit_times {
            return Ok(Some(times.latest));
        }
    }
    Ok(None)
}

fn gaps(catalogue: &Catalogue, archive: Archive, range: &Range) -> Vec<Gap> {
    let gap = |&(from, to): &(u64, u64)| {
        let (incarnation, timeline) = (archive.incarnation, range.timeline);
        let segment_bytes = archive.segment_size.bytes();
        let lost = WalRange { incarnation, timeline, from, to, segment_bytes };
        Gap {
            incarnation,
            timeline: Timeline(timeline),
            from: Lsn(from),
            to: Lsn(to),
            recoverable_again_from: unreachable(catalogue, &lost).1.map(Lsn),
        }
    };
    range.gaps.iter().map(gap).collect()
}
