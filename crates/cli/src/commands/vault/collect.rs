//! `soter vault collect`: retires what the policy does not keep, and deletes what nobody needs.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use soter_plan::Store;
use soter_vault::ids::BackupId;
use soter_vault::keys::{CollectorKey, Role};
use soter_vault::log::{Author, Log};
use soter_vault::retention::{Interval, Policy, Rule, Verdict, keep, retire};
use soter_vault::sweep::{Listed, SweepPolicy, collect, preview, store_time};
use soter_world::Stop;

use crate::context::{Access, Context, log_failure};
use crate::failure::{Ending, Failure};
use crate::onlooker::Signing;
use crate::output::{human_bytes, human_duration, table};

/// How many objects are named in words.
const NAMED_MAX: usize = 20;

/// How long the intervals of a rule are, the shortest first.
const INTERVALS: [(Interval, u64); 4] = [
    (Interval::Hour, 3600),
    (Interval::Day, 24 * 3600),
    (Interval::Week, 7 * 24 * 3600),
    (Interval::Month, 31 * 24 * 3600),
];

/// Retire backups that the plan's retention does not keep, and delete what no backup needs.
///
/// What is retired stays for 72 hours, so that somebody can notice; a later run deletes it, after an
/// entry of the log has named it. The newest backup, the newest verified one, what is held, and
/// everything younger than seven days stay, whatever the plan says. It can be stopped at any moment:
/// the next run goes on.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct CollectArgs {
    /// The store, as the plan calls it.
    store: Option<String>,
    #[command(flatten)]
    signing: Signing,
    /// Say what would be retired and deleted, and why, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on although the log is broken before this entry; look with `soter vault verify` first.
    #[arg(long, value_name = "ENTRY")]
    accept_break: Vec<u64>,
}

#[derive(Serialize)]
struct Report {
    store: String,
    dry_run: bool,
    /// Ages are counted up to here: when the store's newest object was made.
    now: Timestamp,
    backups: Vec<Line>,
    /// When what is retired now may be deleted.
    deleted_after: Option<Timestamp>,
    delete: Sum,
    /// The first objects that are, or would be, deleted.
    objects: Vec<String>,
    /// Objects that the place does not delete yet.
    locked: Vec<String>,
}

/// What becomes of a backup.
#[derive(Serialize)]
struct Line {
    backup: BackupId,
    committed: Option<Timestamp>,
    kept: bool,
    why: Vec<String>,
}

#[derive(Serialize, Default)]
struct Sum {
    objects: u64,
    bytes: u64,
}

pub(super) fn run(context: &Context, args: &CollectArgs) -> Result<(), Failure> {
    let plan = context.plan()?;
    let (name, store) = context.store(&plan, args.store.as_deref())?;
    let Some(key) = args.signing.key(context)? else {
        return Err(Failure::new(Ending::Input, "only the collector's key retires and deletes")
            .hint("give it with --collector FILE; `soter vault init` made it"));
    };
    let (mut log, author) = open(context, name.as_str(), &key)?;
    let policy = policy(store, context.clock.now());
    let sweep = SweepPolicy { accepted_breaks: args.accept_break.clone(), ..SweepPolicy::STANDARD };
    let latest = store_time(&log).map_err(|error| log_failure(&error))?;
    let now = latest.unwrap_or(Timestamp::MIN).min(context.clock.now());
    let verdicts = keep(log.catalogue(), &policy, now);
    let is_retiring = verdicts.iter().any(|verdict| !verdict.is_kept());
    let mut report = Report {
        store: name.to_string(),
        dry_run: args.dry_run,
        now,
        backups: verdicts.iter().map(|verdict| line(&log, verdict)).collect(),
        deleted_after: is_retiring.then(|| later(now, sweep.delay)),
        delete: Sum::default(),
        objects: Vec::new(),
        locked: Vec::new(),
    };
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let seen = preview(&mut log, &sweep, now, &stop).map_err(|error| log_failure(&error))?;
    let listed = || seen.left.iter().chain(&seen.new);
    report.objects = listed().take(NAMED_MAX).map(|it| it.info.name.clone()).collect();
    if args.dry_run {
        report.delete = sum(listed());
    } else {
        retire(&mut log, &author, &policy, now).map_err(|error| log_failure(&error))?;
        let meter = context.output.progress(&*context.clock, &format!("deleting from {name}"));
        let told = |done, total| meter.bytes(done, total);
        let outcome = collect(&mut log, &author, &sweep, now, &stop, &told);
        meter.finish();
        let collected = outcome.map_err(|error| log_failure(&error))?;
        report.delete = Sum { objects: collected.deleted_count, bytes: collected.deleted_bytes };
        report.locked = collected.locked;
    }
    context.output.data(&report, in_words);
    tell_age(context, latest);
    if stop.is_stopped() {
        return Err(Failure::new(Ending::Failed, "stopped before everything was deleted")
            .hint("run it again: it goes on with what the log has named"));
    }
    Ok(())
}

fn open(context: &Context, name: &str, key: &CollectorKey) -> Result<(Log, Author), Failure> {
    let access = Access { vault: None, identity: None };
    let onlooker = context.onlooker(&access, Some(key), Some(name))?;
    let author = onlooker.author(key, Role::Collector)?;
    Ok((onlooker.log(context)?, author))
}

/// What the plan wants. "The newest N, one per scheduled slot" becomes one for each of the newest N
/// hours, days, weeks or months, whichever is the shortest that holds a slot: who commits more often
/// than the schedule wins nothing by it.
fn policy(store: &Store, now: Timestamp) -> Policy {
    let schedule = &store.backup.schedule;
    let first = schedule.next_after(now);
    let second = first.and_then(|first| schedule.next_after(first));
    let slot = match (first, second) {
        (Some(first), Some(second)) => second.duration_since(first).unsigned_abs(),
        _ => Duration::MAX,
    };
    let is_within = |(_, seconds): &(Interval, u64)| slot <= Duration::from_secs(*seconds);
    let every = INTERVALS.into_iter().find(is_within).map_or(Interval::Year, |(every, _)| every);
    let count = u32::try_from(store.retention.keep_last).unwrap_or(u32::MAX);
    Policy { age_min: store.retention.keep_for, rules: vec![Rule { every, count }] }
}

fn line(log: &Log, verdict: &Verdict) -> Line {
    Line {
        backup: verdict.backup,
        committed: log.catalogue().backup(verdict.backup).map(|row| row.stored),
        kept: verdict.is_kept(),
        why: verdict.why.iter().map(ToString::to_string).collect(),
    }
}

fn sum<'a>(listed: impl Iterator<Item = &'a Listed>) -> Sum {
    listed.fold(Sum::default(), |sum, object| Sum {
        objects: sum.objects + 1,
        bytes: sum.bytes + object.info.size,
    })
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Ages do not grow in a store that nobody writes to.
fn tell_age(context: &Context, latest: Option<Timestamp>) {
    let Some(latest) = latest else { return };
    let age: Duration = context.clock.now().duration_since(latest).try_into().unwrap_or_default();
    if age > Duration::from_secs(24 * 3600) {
        context.output.say(&format!(
            "the newest object of the store is {} old, and ages are counted up to it; \
             `soter verify --collector FILE` makes a newer one",
            human_duration(age)
        ));
    }
}

fn in_words(report: &Report) -> String {
    let row = |line: &Line| {
        let fate = match (line.kept, report.dry_run) {
            (true, _) => "kept",
            (false, true) => "would be retired",
            (false, false) => "retired",
        };
        let why = if line.kept {
            line.why.join(", ")
        } else {
            "the plan's retention does not keep it".to_owned()
        };
        let committed = line.committed.map(|at| at.to_string()).unwrap_or_default();
        vec![line.backup.to_string(), committed, fate.to_owned(), why]
    };
    let rows: Vec<_> = report.backups.iter().map(row).collect();
    let mut lines = vec![table(&["backup", "committed", "", "why"], &rows)];
    if let Some(after) = report.deleted_after {
        let would = if report.dry_run { "would be" } else { "is" };
        lines.push(format!(
            "what only these need {would} deleted by a run after {after}, unless somebody objects"
        ));
    }
    let done = if report.dry_run { "would be deleted now" } else { "deleted" };
    let Sum { objects, bytes } = report.delete;
    lines.push(format!("{done}: {objects} objects, {}", human_bytes(bytes)));
    if report.dry_run {
        lines.extend(report.objects.iter().map(|name| format!("  {name}")));
        if report.delete.objects > report.objects.len() as u64 {
            lines.push("  …".to_owned());
        }
    }
    if !report.locked.is_empty() {
        let count = report.locked.len();
        lines.push(format!("{count} objects are locked; the next run tries again"));
    }
    lines.join("\n")
}
