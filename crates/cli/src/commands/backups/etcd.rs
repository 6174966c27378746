//! The backups of an etcd: each is a moment it can be brought back to, and there are no others.

use jiff::Timestamp;
use serde::Serialize;
use soter_stores::etcd::{EtcdRecord, Sharing};
use soter_vault::ids::BackupId;
use soter_vault::log::{BackupRow, Catalogue, Log};

use super::report::{Verified, verified_in_words};
use super::verified;
use crate::context::Context;
use crate::etcd::records;
use crate::failure::Failure;
use crate::onlooker::Onlooker;
use crate::output::{human_bytes, table};

/// What an etcd can be brought back from.
#[derive(Serialize)]
struct Report {
    store: String,
    kind: &'static str,
    backups: Vec<Row>,
}

/// A backup.
#[derive(Serialize)]
struct Row {
    id: BackupId,
    kind: Sharing,
    base: Option<BackupId>,
    taken_at: Timestamp,
    /// By the vault's clock; the other time is the agent's.
    committed_at: Timestamp,
    revision: u64,
    keys: u64,
    cluster: String,
    member: String,
    version: String,
    files: usize,
    snapshot_bytes: u64,
    new_bytes: u64,
    verified: Option<Verified>,
    held: bool,
}

pub(super) fn run(context: &Context, onlooker: &Onlooker, log: &Log) -> Result<(), Failure> {
    let Some(metadata) = &onlooker.metadata else { return Ok(()) };
    let rows = records(log, metadata)?;
    let rows = rows.iter().map(|(backup, record)| row(log.catalogue(), backup, record));
    let report = Report { store: onlooker.name.clone(), kind: "etcd", backups: rows.collect() };
    context.output.data(&report, in_words);
    Ok(())
}

fn row(catalogue: &Catalogue, backup: &BackupRow, record: &EtcdRecord) -> Row {
    Row {
        id: backup.id,
        kind: record.kind,
        base: record.base,
        taken_at: record.taken_at,
        committed_at: backup.stored,
        revision: record.revision,
        keys: record.keys.keys,
        cluster: record.cluster.clone(),
        member: record.member.clone(),
        version: record.version.clone(),
        files: record.files.len(),
        snapshot_bytes: record.snapshot_bytes,
        new_bytes: backup.new_bytes,
        verified: verified(catalogue, backup.id),
        held: catalogue.holds().any(|hold| hold.hold.backup == backup.id),
    }
}

fn in_words(report: &Report) -> String {
    let cells = |row: &Row| {
        let held = if row.held { " (held)" } else { "" };
        vec![
            row.id.to_string(),
            format!("{:?}{held}", row.kind).to_lowercase(),
            row.taken_at.to_string(),
            row.revision.to_string(),
            row.keys.to_string(),
            row.files.to_string(),
            human_bytes(row.snapshot_bytes),
            human_bytes(row.new_bytes),
            verified_in_words(row.verified.as_ref()),
            row.cluster.clone(),
        ]
    };
    let rows: Vec<_> = report.backups.iter().map(cells).collect();
    let header =
        ["id", "kind", "taken", "revision", "keys", "files", "size", "new", "verified", "cluster"];
    table(&header, &rows)
}
