//! `soter backups`.

use serde::Serialize;
use soter_postgres::backup::record::{BackupKind, BackupRecord};
use soter_postgres::lsn::{Lsn, Timeline};
use soter_vault::ids::{BackupId, IncarnationId};
use soter_vault::log::Log;

use crate::context::{Access, Context};
use crate::failure::{Ending, Failure};
use crate::output::{human_bytes, table};

/// List the backups of a store.
#[derive(Debug, clap::Args)]
pub(super) struct BackupsArgs {
    /// The store, as the plan calls it.
    store: Option<String>,
    #[command(flatten)]
    access: Access,
}

#[derive(Serialize)]
struct Row {
    id: BackupId,
    /// The life of the cluster: a restored and adopted one has another than its parent.
    incarnation: IncarnationId,
    kind: BackupKind,
    timeline: Timeline,
    start: Lsn,
    stop: Lsn,
    stopped_at: jiff::Timestamp,
    total_bytes: u64,
    new_bytes: u64,
    bad_pages: usize,
}

pub(super) fn run(context: &Context, args: &BackupsArgs) -> Result<(), Failure> {
    let observer = context.observer(&args.access, args.store.as_deref())?;
    let vault = context.vault(&observer.vault, observer.pins.clone());
    let log = Log::open(&vault, observer.store, observer.vault.trust().clone(), None)
        .map_err(|error| Failure::of(Ending::Failed, &error))?;
    for finding in log.catalogue().findings() {
        context.output.warn(&format!("the log of {}: {finding:?}", observer.name));
    }
    let mut rows = Vec::new();
    for row in log.catalogue().live() {
        let body = log.body(row.id, &observer.metadata);
        let body = body.map_err(|error| Failure::of(Ending::Failed, &error))?;
        let record = BackupRecord::parse(&body.content)
            .map_err(|error| Failure::of(Ending::Failed, &error))?;
        rows.push(Row {
            id: row.id,
            incarnation: record.incarnation,
            kind: record.kind,
            timeline: record.timeline,
            start: record.start,
            stop: record.stop,
            stopped_at: record.stopped_at,
            total_bytes: record.counters.total_bytes,
            new_bytes: row.new_bytes,
            bad_pages: record.bad_pages.len(),
        });
    }
    context.output.data(&rows, |rows| {
        let cells = |row: &Row| {
            vec![
                row.id.to_string(),
                row.incarnation.to_string(),
                format!("{:?}", row.kind).to_lowercase(),
                row.timeline.0.to_string(),
                row.start.to_string(),
                row.stop.to_string(),
                row.stopped_at.to_string(),
                human_bytes(row.total_bytes),
                human_bytes(row.new_bytes),
                row.bad_pages.to_string(),
            ]
        };
        let header = [
            "id",
            "incarnation",
            "kind",
            "timeline",
            "start",
            "stop",
            "ended",
            "size",
            "new",
            "bad pages",
        ];
        table(&header, &rows.iter().map(cells).collect::<Vec<_>>())
    });
    if rows.is_empty() {
        return Err(Failure::new(Ending::No, format!("{} has no backup", observer.name)));
    }
    Ok(())
}
