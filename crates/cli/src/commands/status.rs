//! `soter status`: how the protection of a store stands, from its agent, else from the vault.

mod etcd;

use soter_postgres::agent::{Status, VaultView, ask_status, socket_in};
use soter_postgres::incarnation;
use soter_postgres::lsn::{Lsn, Timeline};
use soter_vault::log::{Catalogue, Log};
use soter_vault::wal::{Archive, SegmentSize, WalVault};
use soter_world::Clock;

use super::agent::state_directory;
use crate::context::{Access, Context, Observer, kept_in_the_first_only};
use crate::failure::{Ending, Failure};
use crate::output::{human_bytes, human_duration};

/// Say how the protection of a store stands.
///
/// A running agent is asked. Without one, the vault says what it has; then nobody knows what the
/// server has that the vault has not. The exit code is 0 only while the store is protected as the plan
/// says.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// The store, as the plan calls it.
    store: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// What is said.
#[derive(serde::Serialize)]
struct Report {
    /// What a running agent says.
    agent: Option<Status>,
    /// What the vault has.
    vault: Option<VaultView>,
}

pub(super) fn run(context: &Context, args: &StatusArgs) -> Result<(), Failure> {
    if let Some(told) = etcd::run(context, args)? {
        return told;
    }
    let report = match ask_agent(context, args)? {
        Some(status) => Report { vault: status.vault.clone(), agent: Some(status) },
        None => Report { agent: None, vault: Some(look_into_vault(context, args)?) },
    };
    if let Some(what) = shortfall(context, args)?
        && !report.agent.as_ref().is_some_and(|status| status.problems.contains(&what))
    {
        context.output.warn(&what);
    }
    context.output.data(&report, |report| in_words(report, &*context.clock));
    match &report.agent {
        None => Err(Failure::new(Ending::No, "no agent runs here for this store")
            .hint("start it: soter agent")),
        Some(status) => match status.problems.len() {
            0 => Ok(()),
            _ => Err(Failure::new(Ending::No, "the store is not protected as the plan says")
                .hint("each line \"problem\" says why")),
        },
    }
}

fn ask_agent(context: &Context, args: &StatusArgs) -> Result<Option<Status>, Failure> {
    if args.access.vault.is_some() {
        return Ok(None);
    }
    let plan = context.plan()?;
    let (name, store) = context.postgres_store(&plan, args.store.as_deref())?;
    let socket = socket_in(&state_directory(name, store));
    ask_status(&socket).map_err(|error| {
        Failure::of(Ending::Failed, &error)
            .during(&format!("ask the agent at {}", socket.display()))
    })
}

/// What the plan promises and nobody does. A running agent says it of the plan that it was started
/// with.
fn shortfall(context: &Context, args: &StatusArgs) -> Result<Option<String>, Failure> {
    if args.access.vault.is_some() {
        return Ok(None);
    }
    let plan = context.plan()?;
    let (name, store) = context.postgres_store(&plan, args.store.as_deref())?;
    Ok(kept_in_the_first_only(name, store))
}

fn look_into_vault(context: &Context, args: &StatusArgs) -> Result<VaultView, Failure> {
    let Observer { vault: open, store, pins, .. } =
        context.observer(&args.access, args.store.as_deref())?;
    let vault = context.vault(&open, pins);
    let log = Log::open(&vault, store, open.trust().clone(), None)
        .map_err(|error| Failure::of(Ending::Failed, &error))?;
    let catalogue = log.catalogue();
    let incarnation = incarnation::current(catalogue).map(|life| life.id);
    let archive = incarnation.and_then(|incarnation| {
        let segment_size = segment_size(catalogue)?;
        Some(Archive { store, incarnation, segment_size })
    });
    let Some(archive) = archive else {
        return Ok(VaultView::of(catalogue, incarnation, None));
    };
    let (store, clock) = (&*vault.objects, &*vault.clock);
    let wal = WalVault { store, clock, trust: open.trust(), archive };
    let ranges = wal.ranges().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let newest = ranges.into_iter().max_by_key(|range| range.timeline);
    let end_from = |from: Lsn| newest.as_ref()?.contiguous_end(from.0).map(Lsn);
    let wal = newest.as_ref().map(|range| (Timeline(range.timeline), &end_from as _));
    Ok(VaultView::of(catalogue, incarnation, wal))
}

/// Every backup says how long the segments of its cluster are.
fn segment_size(catalogue: &Catalogue) -> Option<SegmentSize> {
    let newest = catalogue.live().next_back()?;
    SegmentSize::new(newest.wal?.segment_bytes)
}

fn in_words(report: &Report, clock: &dyn Clock) -> String {
    let mut lines = Vec::new();
    if let Some(status) = &report.agent {
        lines.push(format!("{}: {} (process {})", status.store, status.doing, status.process));
        lines.extend(status.problems.iter().map(|problem| format!("problem: {problem}")));
        lines.extend(wal_in_words(status));
    }
    if let Some(vault) = &report.vault {
        lines.extend(vault_in_words(vault, clock));
    }
    if let Some(status) = &report.agent {
        lines.extend(rest_in_words(status));
    }
    lines.join("\n")
}

fn wal_in_words(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(wal) = &status.wal {
        lines.push(format!(
            "durable in the vault up to {} (timeline {}, {}); behind the server by {}, oldest {:.2} s",
            wal.durable, wal.timeline, wal.mode, human_bytes(wal.lag_bytes), wal.lag_seconds
        ));
        if let Some(why) = &wal.vault_trouble {
            lines.push(format!("the vault does not take WAL: {why}"));
        }
    }
    match status.canary.map(|canary| canary.age_seconds) {
        Some(Some(age)) => lines.push(format!("canary (RPO): {age:.1} s old")),
        Some(None) => lines.push("canary (RPO): none has arrived yet".to_owned()),
        None => {}
    }
    lines
}

fn vault_in_words(vault: &VaultView, clock: &dyn Clock) -> Vec<String> {
    let mut lines = Vec::new();
    match &vault.last_backup {
        None => lines.push("the vault has no backup".to_owned()),
        Some(last) => {
            let age = clock.now().duration_since(last.at);
            let age = human_duration(age.try_into().unwrap_or_default());
            let kind = if last.is_increment { "increment" } else { "full" };
            let (count, id) = (vault.backups, &last.id);
            lines.push(format!("backups: {count}, the last one {id} ({kind}) {age} ago"));
        }
    }
    match &vault.recoverable {
        None => lines.push("recoverable: nothing".to_owned()),
        Some(range) => lines.push(format!(
            "recoverable: {} to {} on timeline {}",
            range.from, range.to, range.timeline
        )),
    }
    lines
}

fn rest_in_words(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(reason) = &status.backup.running {
        lines.push(format!("a backup is being made: {reason}"));
    }
    if let Some(why) = &status.backup.failed {
        lines.push(format!("the last try of a backup failed: {why}"));
    }
    if let Some(next) = status.backup.next_at {
        lines.push(format!("the next backup is due at {next}"));
    }
    if let Some(queue) = &status.queue {
        let full = queue.full_in_seconds.map_or_else(String::new, |seconds| {
            let duration = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
            format!("; full in {} at the rate of late (a forecast)", human_duration(duration))
        });
        lines.push(format!(
            "pg_wal: {}, {} kept for us, {} files wait for archive_command, {} left{full}",
            human_bytes(queue.pg_wal_bytes),
            human_bytes(queue.kept_bytes),
            queue.ready_files,
            human_bytes(queue.available_bytes)
        ));
    }
    for gap in &status.gaps {
        lines.push(format!(
            "gap: {} to {} on timeline {} ({}): {}",
            gap.from, gap.to, gap.timeline, gap.noticed_at, gap.reason
        ));
    }
    lines.extend(status.findings.iter().map(|finding| format!("finding: {}", finding.what)));
    lines
}
