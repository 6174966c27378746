//! What a verification found, as data and in words: every damaged object once, with what it costs and
//! what to do.

use std::collections::BTreeMap;

use serde::Serialize;
use soter_postgres::lsn::{Lsn, Timeline};
use soter_vault::ids::{BackupId, IncarnationId};
use soter_vault::log::{Catalogue, Level, Severity, WalRange};
use soter_vault::names::{Name, split_repair};
use soter_vault::verify::{Checked, CheckedWal, Damage, Hurt, unreachable};
use soter_vault::wal::{Archive, SegmentSize};

use crate::failure::{Ending, Failure};
use crate::output::{human_bytes, table};

/// How many files of a damaged object are named in words.
const FILES_SHOWN: usize = 5;

/// What was found, by the library's words.
pub(super) struct Found {
    pub(super) backups: Vec<Checked>,
    pub(super) wal: Vec<CheckedWal>,
    /// By backup and damaged object.
    pub(super) hurt: BTreeMap<(BackupId, String), Hurt>,
    /// Whether streamed parts could be opened.
    pub(super) parts_opened: bool,
}

/// What is said.
#[derive(Serialize)]
pub(super) struct Report {
    store: String,
    pub(super) passed: bool,
    attested: bool,
    pub(super) backups: Vec<BackupLine>,
    wal: Vec<WalLine>,
    damaged: Vec<DamagedObject>,
    gaps: Vec<Gap>,
    log_findings: Vec<String>,
    /// WAL that was not looked into although it is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

/// A backup that was looked at.
#[derive(Serialize)]
pub(super) struct BackupLine {
    id: BackupId,
    level: Level,
    passed: bool,
    objects: u64,
    bytes: u64,
}

/// The WAL of a timeline.
#[derive(Serialize)]
struct WalLine {
    incarnation: IncarnationId,
    timeline: Timeline,
    from: Lsn,
    to: Lsn,
    sealed_to: Option<Lsn>,
}

/// WAL that is missing.
#[derive(Serialize)]
struct Gap {
    timeline: Timeline,
    from: Lsn,
    to: Lsn,
    lost: Lost,
}

/// Which moments are lost.
#[derive(Serialize)]
struct Lost {
    /// Nothing behind this position can be reached.
    from: Lsn,
    /// Up to the end of a backup that begins later; none if there is no such backup.
    to: Option<Lsn>,
}

/// An object that is not as it should be.
#[derive(Serialize)]
struct DamagedObject {
    object: String,
    what: String,
    /// A repair of it is good: nothing is lost.
    repaired: bool,
    /// Backups that need it.
    backups: Vec<BackupId>,
    /// Of all these backups, how many files have something in it at most; none when no key told.
    files_count: Option<u64>,
    files: Vec<String>,
    unreadable: Option<String>,
    /// Moments that are lost, if it is WAL.
    lost: Option<Lost>,
    #[serde(rename = "do")]
    advice: String,
}

impl Report {
    pub(super) fn of(store: &str, catalogue: &Catalogue, found: &Found, attested: bool) -> Self {
        let severe = catalogue.findings().iter().filter(|it| it.severity() == Severity::Error);
        let log_findings: Vec<_> = severe.map(|finding| finding.problem.to_string()).collect();
        let mut damaged: Vec<DamagedObject> = of_backups(store, catalogue, found);
        damaged.extend(found.wal.iter().flat_map(|checked| of_wal(store, catalogue, checked)));
        let gaps: Vec<_> = found.wal.iter().flat_map(|it| gaps(catalogue, it)).collect();
        let is_damaged = damaged.iter().any(|object| !object.repaired);
        let is_known_by_name = |it: &&CheckedWal| it.range.sealed_to != Some(it.range.to);
        let by_name = found.wal.iter().find(is_known_by_name).filter(|_| !found.parts_opened);
        Self {
            store: store.to_owned(),
            passed: !is_damaged && gaps.is_empty() && log_findings.is_empty(),
            attested,
            backups: found.backups.iter().map(backup_line).collect(),
            wal: found.wal.iter().map(wal_line).collect(),
            damaged,
            gaps,
            log_findings,
            remark: by_name.map(|checked| {
                let from = Lsn(checked.range.sealed_to.unwrap_or(checked.range.from));
                format!(
                    "streamed parts behind {from} are known by their names; with --identity they \
                     are opened"
                )
            }),
        }
    }

    /// How the command ends.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        if self.passed {
            return Ok(());
        }
        let lost = self.damaged.iter().filter(|object| !object.repaired).count();
        let counts = [
            (lost, "damaged or missing objects"),
            (self.gaps.len(), "gaps in the WAL"),
            (self.log_findings.len(), "findings in the log"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, what)| format!("{what}: {count}")).collect();
        let store = &self.store;
        Err(Failure::new(Ending::No, format!("{store} is not whole: {}", counts.join(", ")))
            .hint("each is named above, with what it costs and what to do"))
    }

    pub(super) fn in_words(&self) -> String {
        let cells = |line: &BackupLine| {
            vec![
                line.id.to_string(),
                if line.passed { "good" } else { "DAMAGED" }.to_owned(),
                format!("{:?}", line.level).to_lowercase(),
                line.objects.to_string(),
                human_bytes(line.bytes),
            ]
        };
        let rows: Vec<_> = self.backups.iter().map(cells).collect();
        let mut lines = vec![table(&["backup", "result", "level", "objects", "size"], &rows)];
        for wal in &self.wal {
            let sealed = match wal.sealed_to {
                Some(to) if to == wal.to => String::new(),
                Some(to) => format!(", sealed up to {to}"),
                None => ", nothing of it sealed".to_owned(),
            };
            lines.push(format!(
                "WAL of timeline {}: {} to {}{sealed}",
                wal.timeline, wal.from, wal.to
            ));
        }
        lines.extend(self.remark.clone());
        lines.extend(self.damaged.iter().flat_map(DamagedObject::in_words));
        for gap in &self.gaps {
            lines.push(format!("gap: {} to {} on timeline {}", gap.from, gap.to, gap.timeline));
            lines.push(format!("  costs: {}", gap.lost.in_words()));
            lines.push(format!("  do: {}", again(&self.store)));
        }
        lines.extend(self.log_findings.iter().map(|finding| format!("log: {finding}")));
        if self.attested {
            lines.push("signed into the log".to_owned());
        }
        lines.join("\n")
    }
}

impl DamagedObject {
    fn in_words(&self) -> Vec<String> {
        let mut lines = vec![format!("damaged: {}: {}", self.object, self.what)];
        if !self.backups.is_empty() {
            let ids: Vec<_> = self.backups.iter().map(ToString::to_string).collect();
            lines.push(format!("  needed by: {}", ids.join(", ")));
        }
        if let Some(count) = self.files_count {
            let shown = self.files.iter().take(FILES_SHOWN).cloned().collect::<Vec<_>>();
            let more = if self.files.len() > shown.len() { ", …" } else { "" };
            lines.push(format!("  files with something in it: {count} {}{more}", shown.join(", ")));
        }
        if let Some(why) = &self.unreadable {
            lines.push(format!("  the map cannot be read on: {why}"));
        }
        if let Some(lost) = &self.lost {
            lines.push(format!("  costs: {}", lost.in_words()));
        }
        lines.push(format!("  do: {}", self.advice));
        lines
    }
}

impl Lost {
    fn of(catalogue: &Catalogue, lost: &WalRange) -> Self {
        let (from, to) = unreachable(catalogue, lost);
        Self { from: Lsn(from), to: to.map(Lsn) }
    }

    fn in_words(&self) -> String {
        match self.to {
            Some(to) => format!("no point between {} and {to} can be reached", self.from),
            None => format!("no point behind {} can be reached", self.from),
        }
    }
}

fn backup_line(checked: &Checked) -> BackupLine {
    BackupLine {
        id: checked.backup,
        level: checked.level(),
        passed: checked.passed(),
        objects: checked.objects_count,
        bytes: checked.objects_bytes,
    }
}

fn wal_line(checked: &CheckedWal) -> WalLine {
    WalLine {
        incarnation: checked.archive.incarnation,
        timeline: Timeline(checked.range.timeline),
        from: Lsn(checked.range.from),
        to: Lsn(checked.range.to),
        sealed_to: checked.range.sealed_to.map(Lsn),
    }
}

/// Objects that backups need, each once.
fn of_backups(store: &str, catalogue: &Catalogue, found: &Found) -> Vec<DamagedObject> {
    let mut objects: BTreeMap<&str, DamagedObject> = BTreeMap::new();
    for fault in found.backups.iter().flat_map(|checked| &checked.faults) {
        let entry = objects.entry(&fault.object).or_insert_with(|| {
            let range = catalogue.backup(fault.backup).and_then(|backup| backup.wal);
            let lost = range.and_then(|range| segment_of(&fault.object, &range));
            object(store, &fault.object, &fault.damage, lost.map(|it| Lost::of(catalogue, &it)))
        });
        entry.backups.push(fault.backup);
        if let Some(hurt) = found.hurt.get(&(fault.backup, fault.object.clone())) {
            entry.files_count = entry.files_count.max(Some(hurt.files_count));
            let new = hurt.files.iter().filter(|file| !entry.files.contains(file));
            let new: Vec<_> = new.cloned().collect();
            entry.files.extend(new);
            entry.unreadable = entry.unreadable.take().or_else(|| hurt.unreadable.clone());
        }
    }
    objects.into_values().collect()
}

/// The positions of a whole segment of a backup's WAL.
fn segment_of(object: &str, range: &WalRange) -> Option<WalRange> {
    let Some(Name::Wal(wal)) = Name::parse(split_repair(object).0) else { return None };
    let segment_size = SegmentSize::new(range.segment_bytes)?;
    let archive = Archive { store: wal.store, incarnation: wal.incarnation, segment_size };
    let segment = archive.whole_segment(&wal.file)?;
    let (from, to) = (archive.start_of(segment.number), archive.end_of(segment.number));
    Some(WalRange { timeline: segment.timeline, from, to, ..*range })
}

fn of_wal<'a>(
    store: &'a str,
    catalogue: &'a Catalogue,
    checked: &'a CheckedWal,
) -> impl Iterator<Item = DamagedObject> + 'a {
    checked.faults.iter().map(move |fault| {
        let lost = Lost::of(catalogue, &range_of(checked, fault.span));
        object(store, &fault.object, &fault.damage, Some(lost))
    })
}

fn gaps(catalogue: &Catalogue, checked: &CheckedWal) -> Vec<Gap> {
    let gap = |&(from, to): &(u64, u64)| Gap {
        timeline: Timeline(checked.range.timeline),
        from: Lsn(from),
        to: Lsn(to),
        lost: Lost::of(catalogue, &range_of(checked, (from, to))),
    };
    checked.range.gaps.iter().map(gap).collect()
}

fn range_of(checked: &CheckedWal, (from, to): (u64, u64)) -> WalRange {
    let (incarnation, timeline) = (checked.archive.incarnation, checked.range.timeline);
    let segment_bytes = checked.archive.segment_size.bytes();
    WalRange { incarnation, timeline, from, to, segment_bytes }
}

fn object(store: &str, object: &str, damage: &Damage, lost: Option<Lost>) -> DamagedObject {
    let repaired = matches!(damage, Damage::Repaired { .. });
    let advice = match Name::parse(split_repair(object).0) {
        _ if repaired => "nothing: a good copy stands in for it".to_owned(),
        Some(Name::Wal(wal)) => format!(
            "if the server still has it: soter wal push --mend pg_wal/{}; else {}",
            wal.file,
            again(store)
        ),
        _ => format!(
            "another copy of the object can stand in for it as {object}.r1; else {}",
            again(store)
        ),
    };
    DamagedObject {
        object: object.to_owned(),
        what: damage.to_string(),
        repaired,
        backups: Vec::new(),
        files_count: None,
        files: Vec::new(),
        unreadable: None,
        lost: lost.filter(|_| !repaired),
        advice,
    }
}

fn again(store: &str) -> String {
    format!("make a backup that needs nothing of it: soter backup {store} --full")
}
