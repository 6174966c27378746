//! `soter status` of an etcd: what the vault has of it, whether that is as old as it may be, and whether an
//! agent of this machine goes on.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use soter_plan::{Kind, Plan, Store, StoreName};
use soter_stores::etcd::EtcdRecord;
use soter_vault::ids::BackupId;
use soter_vault::log::{BackupRow, Level, Log};

use super::StatusArgs;
use crate::context::{Context, Observer, kept_in_the_first_only, log_failure};
use crate::etcd::{is_etcd, records};
use crate::failure::{Ending, Failure};
use crate::output::human_duration;
use crate::presence::Presence;

/// How long after it was due a backup may still be missing: it takes its time, and one that failed is
/// tried again within this.
const GRACE: Duration = Duration::from_secs(5 * 60);

/// How an etcd is protected.
#[derive(Serialize)]
struct Report {
    store: String,
    kind: &'static str,
    protected: bool,
    /// What keeps it from being protected as the plan says.
    problems: Vec<String>,
    /// The agent of this machine.
    agent: Option<Presence>,
    /// How many backups there are.
    backups: usize,
    newest: Option<Newest>,
    /// When the backup after the newest is due.
    due_at: Option<Timestamp>,
    /// How old the newest may be, if the plan says.
    rpo_seconds: Option<u64>,
    /// The last verification of any of them.
    verified: Option<Verified>,
}

/// The newest moment it can be brought back to.
#[derive(Serialize)]
struct Newest {
    id: BackupId,
    taken_at: Timestamp,
    age_seconds: u64,
    revision: u64,
    keys: u64,
    cluster: String,
    files: usize,
}

#[derive(Serialize)]
struct Verified {
    backup: BackupId,
    level: Level,
    passed: bool,
    at: Timestamp,
}

/// Says it, if the store is an etcd: whether it is protected.
pub(super) fn run(
    context: &Context,
    args: &StatusArgs,
) -> Result<Option<Result<(), Failure>>, Failure> {
    let plan = if args.access.vault.is_none() { Some(context.plan()?) } else { None };
    let of_plan = plan.as_ref().and_then(|plan| etcd_of(context, plan, args.store.as_deref()));
    if plan.is_some() && of_plan.is_none() {
        return Ok(None);
    }
    let name = of_plan.map(|(name, _)| name.as_str()).or(args.store.as_deref());
    let Observer { vault: open, name, store, metadata, pins } =
        context.observer(&args.access, name)?;
    let vault = context.vault(&open, pins);
    let log = Log::open(&vault, store, open.trust().clone(), None)
        .map_err(|error| log_failure(&error))?;
    if of_plan.is_none() && !is_etcd(&log, &metadata)? {
        return Ok(None);
    }
    let agent = Presence::of(context, store);
    let report = report(context, (name, of_plan), agent, (&log, &records(&log, &metadata)?));
    context.output.data(&report, |report| in_words(context, report));
    if report.protected {
        return Ok(Some(Ok(())));
    }
    let failure = Failure::new(Ending::No, "the store is not protected as the plan says");
    Ok(Some(Err(failure.hint("each line \"problem\" says why; soter doctor says what mends it"))))
}

/// The store that is meant, if it is an etcd.
fn etcd_of<'p>(
    context: &Context,
    plan: &'p Plan,
    name: Option<&str>,
) -> Option<(&'p StoreName, &'p Store)> {
    let found = context.store(plan, name).ok()?;
    matches!(found.1.kind, Kind::Etcd(_)).then_some(found)
}

fn report(
    context: &Context,
    (store, of_plan): (String, Option<(&StoreName, &Store)>),
    agent: Option<Presence>,
    (log, records): (&Log, &[(BackupRow, EtcdRecord)]),
) -> Report {
    let now = context.clock.now();
    let newest = records.last().map(|(row, record)| Newest {
        id: row.id,
        taken_at: record.taken_at,
        age_seconds: now.duration_since(record.taken_at).as_secs().try_into().unwrap_or(0),
        revision: record.revision,
        keys: record.keys.keys,
        cluster: record.cluster.clone(),
        files: record.files.len(),
    });
    let rpo = of_plan.and_then(|(_, store)| store.rpo);
    let due_at = records
        .last()
        .zip(of_plan)
        .and_then(|((row, _), (_, store))| store.backup.schedule.next_after(row.stored));
    let verified = records.iter().filter_map(|(row, _)| {
        let last = log.catalogue().attests(row.id).last()?;
        let (level, passed) = (last.attest.level, last.attest.passed);
        Some(Verified { backup: row.id, level, passed, at: last.stored })
    });
    let verified: Vec<Verified> = verified.collect();
    let mut problems = Vec::new();
    match &agent {
        None => problems.push("no agent runs on this machine".to_owned()),
        Some(agent) => {
            problems.extend(agent.failed.as_ref().map(|failed| {
                format!("the last attempt failed at {:.0}: {}", failed.at, failed.why)
            }));
        }
    }
    problems.extend(lateness(newest.as_ref(), (due_at, rpo), now));
    problems.extend(
        verified
            .iter()
            .filter(|one| !one.passed)
            .map(|one| format!("backup {} was found damaged at {:.0}", one.backup, one.at)),
    );
    problems.extend(of_plan.and_then(|(name, store)| kept_in_the_first_only(name, store)));
    Report {
        store,
        kind: "etcd",
        protected: problems.is_empty(),
        problems,
        agent,
        backups: records.len(),
        newest,
        due_at,
        rpo_seconds: rpo.map(|rpo| rpo.as_secs()),
        verified: verified.into_iter().max_by_key(|one| one.at),
    }
}

/// What is wrong with the age of the newest recovery point.
fn lateness(
    newest: Option<&Newest>,
    (due_at, rpo): (Option<Timestamp>, Option<Duration>),
    now: Timestamp,
) -> Vec<String> {
    let Some(newest) = newest else { return vec!["the vault has no backup".to_owned()] };
    let mut found = Vec::new();
    if let Some(due_at) = due_at
        && due_at.checked_add(GRACE).is_ok_and(|until| now > until)
    {
        found.push(format!("a backup was due at {due_at:.0} and is not there"));
    }
    // Its age is not known then, and it would look new until that time has come.
    if newest.taken_at.checked_sub(GRACE).is_ok_and(|at| at > now) {
        let at = newest.taken_at;
        found.push(format!("the newest backup is of {at:.0}, which is to come: a clock is wrong"));
    }
    let age = Duration::from_secs(newest.age_seconds);
    if let Some(rpo) = rpo.filter(|rpo| age > *rpo) {
        let (age, rpo) = (human_duration(age), human_duration(rpo));
        found.push(format!("the newest recovery point is {age} old, the plan promises {rpo}"));
    }
    found
}

fn in_words(context: &Context, report: &Report) -> String {
    let since = |at: Timestamp| {
        human_duration(context.clock.now().duration_since(at).try_into().unwrap_or_default())
    };
    let mut lines = vec![match &report.agent {
        Some(agent) => format!(
            "{}: an agent runs since {:.0} (process {})",
            report.store, agent.since, agent.process
        ),
        None => format!("{}: no agent runs on this machine", report.store),
    }];
    lines.extend(report.problems.iter().map(|problem| format!("problem: {problem}")));
    if let Some(newest) = &report.newest {
        let Newest { id, taken_at, revision, keys, cluster, files, .. } = newest;
        lines.push(format!(
            "newest recovery point (RPO): {} old, backup {id} of {taken_at:.0}: revision {revision}, \
             {keys} keys, {files} files, of cluster {cluster}",
            since(*taken_at)
        ));
    }
    lines.push(format!("backups: {}", report.backups));
    lines.push(match &report.verified {
        None => "verified: never; soter verify".to_owned(),
        Some(one) => {
            let passed = if one.passed { "" } else { ", found DAMAGED" };
            let (level, ago) = (format!("{:?}", one.level).to_lowercase(), since(one.at));
            format!("verified: backup {}, {level}{passed}, {ago} ago", one.backup)
        }
    });
    let next_at = report.agent.as_ref().and_then(|agent| agent.next_at).or(report.due_at);
    lines.extend(next_at.map(|at| format!("the next backup is due at {at:.0}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_or_too_old_is_said() {
        let at = |text: &str| -> Timestamp { format!("2026-11-23T{text}Z").parse().unwrap() };
        let newest = |age_seconds| Newest {
            id: "0000000000000000".parse().unwrap(),
            taken_at: at("10:00:00"),
            age_seconds,
            revision: 1,
            keys: 1,
            cluster: String::new(),
            files: 0,
        };
        let rpo = Some(Duration::from_secs(900));
        let says = |age, due: Option<&str>, rpo, now: &str| {
            lateness(Some(&newest(age)), (due.map(at), rpo), at(now)).join("; ")
        };
        assert_eq!(lateness(None, (None, None), at("10:00:00")), ["the vault has no backup"]);
        assert_eq!(says(840, Some("10:10:00"), rpo, "10:14:00"), "");
        let ahead =
            "the newest backup is of 2026-11-23T10:00:00Z, which is to come: a clock is wrong";
        assert_eq!(says(0, None, rpo, "09:54:59"), ahead);
        let late = "a backup was due at 2026-11-23T10:10:00Z and is not there";
        assert_eq!(says(901, Some("10:10:00"), None, "10:15:01"), late);
        let old = "the newest recovery point is 15 min 1 s old, the plan promises 15 min 0 s";
        assert_eq!(says(901, None, rpo, "10:15:01"), old);
    }
}
