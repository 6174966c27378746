//! `soter vault info`: what a vault is, what lies in it, and who may do what.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use soter_vault::ids::{StoreId, VaultId};
use soter_vault::log::Catalogue;
use soter_vault::survey::{Class, Sum, Survey};

use super::access::{VaultAccess, WholeVault};
use super::people::{People, people};
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::output::{human_bytes, table};

/// Show what a vault is, what lies in it, and who may do what.
///
/// Nothing is read but the record, the trust lists and the logs: `soter vault verify` looks closer.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct InfoArgs {
    #[command(flatten)]
    access: VaultAccess,
}

#[derive(Serialize)]
struct Info {
    vault: VaultId,
    url: String,
    /// Of the record, which is not signed; none when it is missing.
    record: Option<RecordFacts>,
    people: People,
    stores: Vec<StoreInfo>,
    trust_bytes: Sum,
    documents: Sum,
    repairs: Sum,
    foreign: Sum,
    foreign_names: Vec<String>,
    findings: Vec<String>,
}

#[derive(Serialize)]
struct RecordFacts {
    format: u32,
    needs: Vec<String>,
    single_writer: bool,
    created: jiff::Timestamp,
}

#[derive(Serialize)]
struct StoreInfo {
    name: String,
    id: StoreId,
    kind: String,
    log_entries: u64,
    backups: usize,
    retired_backups: usize,
    sessions: usize,
    holds: usize,
    sizes: BTreeMap<Class, Sum>,
    findings: Vec<String>,
}

pub(super) fn run(context: &Context, args: &InfoArgs) -> Result<(), Failure> {
    let whole = args.access.open(context, None)?;
    let info = gather(context, &whole)?;
    context.output.data(&info, in_words);
    Ok(())
}

fn gather(context: &Context, whole: &WholeVault) -> Result<Info, Failure> {
    let (trust, list) = (&whole.open.trust, whole.open.trust().newest());
    let ids: BTreeSet<StoreId> = list.stores.iter().map(|row| row.id).collect();
    let survey = Survey::read(&*whole.objects(), &ids)
        .map_err(|error| Failure::of(Ending::Failed, &error))?;
    let logs = whole.logs(context)?;
    let stores = list.stores.iter().zip(&logs).map(|(row, (name, log))| {
        let sizes = survey.stores.get(&row.id).cloned().unwrap_or_default();
        store_info((name, row.id, &row.kind), log.catalogue(), sizes)
    });
    Ok(Info {
        vault: whole.pins.vault,
        url: whole.open.url.clone(),
        record: trust.record.as_ref().map(|record| RecordFacts {
            format: record.format,
            needs: record.needs.clone(),
            single_writer: record.single_writer,
            created: record.created,
        }),
        people: people(list),
        stores: stores.collect(),
        trust_bytes: survey.trust,
        documents: survey.documents,
        repairs: survey.repairs,
        foreign: survey.foreign,
        foreign_names: survey.foreign_names,
        findings: trust.findings.iter().map(ToString::to_string).collect(),
    })
}

fn store_info(
    (name, id, kind): (&str, StoreId, &str),
    catalogue: &Catalogue,
    sizes: BTreeMap<Class, Sum>,
) -> StoreInfo {
    let live = catalogue.live().count();
    StoreInfo {
        name: name.to_owned(),
        id,
        kind: kind.to_owned(),
        log_entries: catalogue.next_sequence(),
        backups: live,
        retired_backups: catalogue.backups().len() - live,
        sessions: catalogue.sessions().count(),
        holds: catalogue.holds().count(),
        sizes,
        findings: catalogue.findings().iter().map(|it| it.problem.to_string()).collect(),
    }
}

fn in_words(info: &Info) -> String {
    let mut lines = vec![format!("vault {} at {}", info.vault, info.url)];
    match &info.record {
        None => lines.push("its record soter.vault is missing".to_owned()),
        Some(record) => {
            let writers = if record.single_writer { "one writer at a time" } else { "any writers" };
            let needs = if record.needs.is_empty() {
                String::new()
            } else {
                format!(", needs {}", record.needs.join(", "))
            };
            lines.push(format!(
                "format {}, made {}, {writers}{needs}",
                record.format, record.created
            ));
        }
    }
    lines.push(info.people.in_words());
    for store in &info.stores {
        lines.push(String::new());
        lines.push(format!(
            "{} ({}, {}): {} log entries, {} backups and {} retired, {} sessions, {} holds",
            store.name,
            store.kind,
            store.id,
            store.log_entries,
            store.backups,
            store.retired_backups,
            store.sessions,
            store.holds
        ));
        let row = |(class, sum): (&Class, &Sum)| {
            let class = format!("{class:?}").to_lowercase();
            vec![class, sum.objects.to_string(), human_bytes(sum.bytes)]
        };
        let rows: Vec<_> = store.sizes.iter().map(row).collect();
        lines.push(table(&["class", "objects", "size"], &rows));
        lines.extend(store.findings.iter().map(|finding| format!("finding: {finding}")));
    }
    if info.documents.objects > 0 {
        let Sum { objects, bytes } = info.documents;
        lines.push(format!("{objects} objects ({}) of plans and runs", human_bytes(bytes)));
    }
    if info.repairs.objects > 0 {
        lines
            .push(format!("{} objects stand beside damaged or foreign ones", info.repairs.objects));
    }
    if info.foreign.objects > 0 {
        lines.push(format!(
            "{} objects ({}) are nobody's: {}",
            info.foreign.objects,
            human_bytes(info.foreign.bytes),
            info.foreign_names.join(", ")
        ));
    }
    lines.join("\n")
}
