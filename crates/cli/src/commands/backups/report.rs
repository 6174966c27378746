//! The list of backups, as data and as a table.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use soter_postgres::backup::record::BackupKind;
use soter_postgres::lsn::{Lsn, Timeline};
use soter_vault::ids::{BackupId, IncarnationId};
use soter_vault::log::Level;

use crate::output::{human_bytes, table};

/// What a store can be brought back from.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) store: String,
    pub(super) backups: Vec<Row>,
    pub(super) recoverable: Vec<Recoverable>,
    pub(super) gaps: Vec<Gap>,
}

/// A backup.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) id: BackupId,
    /// The life of the cluster: a restored and adopted one has another than its parent.
    pub(super) incarnation: IncarnationId,
    pub(super) kind: BackupKind,
    /// The backup it shares with.
    pub(super) base: Option<BackupId>,
    pub(super) timeline: Timeline,
    pub(super) start: Lsn,
    pub(super) stop: Lsn,
    pub(super) started_at: Timestamp,
    pub(super) stopped_at: Timestamp,
    /// By the vault's clock; the other times are the server's.
    pub(super) committed_at: Timestamp,
    pub(super) version: String,
    pub(super) files: u64,
    pub(super) total_bytes: u64,
    pub(super) new_bytes: u64,
    pub(super) bad_pages: usize,
    /// What the last verification found.
    pub(super) verified: Option<Verified>,
    pub(super) held: bool,
}

/// What a verification found.
#[derive(Serialize)]
pub(super) struct Verified {
    pub(super) level: Level,
    pub(super) passed: bool,
    pub(super) at: Timestamp,
}

/// Positions that can be brought back.
#[derive(Serialize)]
pub(super) struct Recoverable {
    pub(super) incarnation: IncarnationId,
    pub(super) timeline: Timeline,
    pub(super) from: Lsn,
    pub(super) to: Lsn,
    /// In sealed segments.
    pub(super) newest_commit: Option<Timestamp>,
}

/// WAL that is missing.
#[derive(Serialize)]
pub(super) struct Gap {
    pub(super) incarnation: IncarnationId,
    pub(super) timeline: Timeline,
    pub(super) from: Lsn,
    pub(super) to: Lsn,
    pub(super) recoverable_again_from: Option<Lsn>,
}

impl Report {
    pub(super) fn in_words(&self) -> String {
        let lives: BTreeSet<_> = self.backups.iter().map(|row| row.incarnation).collect();
        // Nobody needs to see the life of a cluster that has but one.
        let has_several = lives.len() > 1;
        let mut header = vec!["id", "kind", "timeline", "start", "stop", "ended"];
        header.extend(["size", "new", "verified", "bad pages"]);
        if has_several {
            header.insert(1, "incarnation");
        }
        let cells = |row: &Row| {
            let mut cells = row.cells();
            if has_several {
                cells.insert(1, row.incarnation.to_string());
            }
            cells
        };
        let rows: Vec<_> = self.backups.iter().map(cells).collect();
        let mut lines = vec![table(&header, &rows)];
        let life = |incarnation: IncarnationId| {
            if has_several { format!(" of {incarnation}") } else { String::new() }
        };
        for it in &self.recoverable {
            let at = it.newest_commit.map(|at| format!("; newest sealed commit {at}"));
            lines.push(format!(
                "recoverable: {} to {} on timeline {}{}{}",
                it.from,
                it.to,
                it.timeline,
                life(it.incarnation),
                at.unwrap_or_default()
            ));
        }
        for gap in &self.gaps {
            let again = match gap.recoverable_again_from {
                Some(from) => format!("recoverable again from {from} on"),
                None => "nothing behind it can be reached: make a backup".to_owned(),
            };
            lines.push(format!(
                "gap: {} to {} on timeline {}{}; {again}",
                gap.from,
                gap.to,
                gap.timeline,
                life(gap.incarnation)
            ));
        }
        lines.join("\n")
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let verified = verified_in_words(self.verified.as_ref());
        let held = if self.held { " (held)" } else { "" };
        vec![
            self.id.to_string(),
            format!("{:?}{held}", self.kind).to_lowercase(),
            self.timeline.to_string(),
            self.start.to_string(),
            self.stop.to_string(),
            self.stopped_at.to_string(),
            human_bytes(self.total_bytes),
            human_bytes(self.new_bytes),
            verified,
            self.bad_pages.to_string(),
        ]
    }
}

/// What the last verification found, in a word.
pub(super) fn verified_in_words(verified: Option<&Verified>) -> String {
    match verified {
        None => "-".to_owned(),
        Some(it) if it.passed => format!("{:?}", it.level).to_lowercase(),
        Some(it) => format!("DAMAGED ({})", format!("{:?}", it.level).to_lowercase()),
    }
}
