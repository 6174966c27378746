//! `soter restore`.

mod again;
mod checks;
mod etcd;
mod start;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use soter_postgres::error::ErrorKind;
use soter_postgres::lsn::{Lsn, Timeline};
use soter_postgres::restore::RestoreError;
use soter_postgres::restore::choice::choose;
use soter_postgres::restore::feed::Feeder;
use soter_postgres::restore::gather::StoreReader;
use soter_postgres::restore::start::Started;
use soter_postgres::restore::tablespaces::{TablespaceMapping, tablespace_places};
use soter_postgres::restore::target::{Target, TargetError};
use soter_postgres::restore::write::RestoreTarget;
use soter_vault::ids::{BackupId, IncarnationId};
use soter_vault::map::{Progress, Step};
use soter_world::disk::Owner;
use soter_world::{Stop, exec};

use crate::context::{Access, Context};
use crate::failure::{Ending, Failure};
use crate::output::{Meter, human_bytes, human_duration};
use again::{AgainArgs, Taking};
use checks::Forecast;
use start::{StartArgs, StartedReport, Starting, Times};

/// Long enough for a program that looks up a user.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(30);

/// The user that runs servers on Debian.
const SERVER_USER: &str = "postgres";

/// Bring a store back, in a new directory. Of an etcd, the snapshot and what was taken along; with
/// --member new members are made of it. Of PostgreSQL, the cluster: with --start the server is started, watched until it
/// stands at the target, compared with the plan and promoted; until then nobody else gets in.
/// Without, it is for you to start: it comes up as a standby, replays up to the target, and is
/// promoted with pg_promote().
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The store.
    store: Option<String>,
    #[command(flatten)]
    access: Access,
    /// The data directory to make: absent or empty.
    #[arg(long, value_name = "DIR")]
    target_dir: PathBuf,
    /// Where to end: latest, immediate, time:…, lsn:…, xid:…, name:…, backup:ID.
    #[arg(long, value_name = "TARGET", default_value = "latest")]
    to: String,
    /// The life of the cluster, if not the newest that has a backup; `soter backups` names them.
    #[arg(long, value_name = "ID")]
    incarnation: Option<IncarnationId>,
    /// Do not replay what is exactly at the target.
    #[arg(long)]
    exclusive: bool,
    /// Where a tablespace goes: its number, its name or its old directory, and the new one. Without,
    /// to its old place, if nothing is there. May be repeated.
    #[arg(long, value_name = "OLD=NEW")]
    tablespace: Vec<TablespaceMapping>,
    /// Whose the files are to be, by name; as root without it: postgres.
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Say what would be done, what is in the way, and how long it may take; write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    start: StartArgs,
    #[command(flatten)]
    again: AgainArgs,
    #[command(flatten)]
    etcd: etcd::EtcdArgs,
}

#[derive(Serialize)]
struct Plan {
    store: String,
    backup: BackupId,
    timeline: Timeline,
    target: String,
    end: Lsn,
    total_bytes: u64,
    target_dir: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<Forecast>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<StartedReport>,
}

struct Shown<'a> {
    meter: Meter<'a>,
    written: AtomicU64,
    total: u64,
}

impl<'a> Shown<'a> {
    fn new(context: &'a Context, store: &str, total: u64) -> Self {
        let meter = context.output.progress(&*context.clock, &format!("restoring {store}"));
        Self { meter, written: AtomicU64::new(0), total }
    }
}

impl Progress for Shown<'_> {
    fn advance(&self, step: Step) {
        let done = self.written.fetch_add(step.raw_bytes, Ordering::Relaxed) + step.raw_bytes;
        self.meter.bytes(done, self.total.max(done));
    }
}

pub(super) fn run(context: &Context, args: &RestoreArgs) -> Result<(), Failure> {
    let begun = context.clock.monotonic();
    let target = parse_target(&args.to)?;
    let reader = context.reader(&args.access, args.store.as_deref())?;
    if args.etcd.is_meant(&reader) {
        return etcd::run(context, args, &reader);
    }
    args.again.check(&args.start)?;
    let vault = context.vault(&reader.vault, reader.pins.clone());
    let source = StoreReader { vault: &vault, trust: reader.vault.trust(), keys: &reader.keys };
    let gathered =
        source.gather_life(&target, args.incarnation).map_err(|error| failure(&error))?;
    let choice = choose(&gathered.recoverable, &target, !args.exclusive)
        .map_err(|refusal| failure(&RestoreError::Refused(refusal)))?;
    let record = gathered.record(&choice).map_err(|error| failure(&error))?;
    let directory = absolute(&args.target_dir)?;
    let tablespaces = tablespace_places(&record.server.tablespaces, &args.tablespace, &directory)
        .map_err(|error| failure(&error))?;
    let mut plan = Plan {
        store: reader.name.clone(),
        backup: choice.backup,
        timeline: choice.timeline,
        target: target.to_string(),
        end: choice.end,
        total_bytes: record.counters.total_bytes,
        target_dir: directory.clone(),
        forecast: None,
        bytes_read: None,
        started: None,
    };
    let claim = args.again.claim(args, &plan, &reader.vault.url);
    let restore = RestoreTarget {
        disk: &*context.disk,
        directory: &directory,
        owner: server_owner(context, args.owner.as_deref())?,
        workers: 2,
        tablespaces: &tablespaces,
        claim: claim.as_ref(),
    };
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    if let Some(claim) = claim.as_ref().filter(|_| !args.dry_run) {
        let taking = Taking { context, args, claim, restore: &restore, record, stop: &stop };
        if taking.take_up(&mut plan, begun)? {
            return Ok(());
        }
    }
    let feeder = Feeder { reader: &source, gathered: &gathered, choice: &choice, target: &restore };
    let (starting, findings) = checks::check(context, &args.start, &feeder)?;
    if args.dry_run {
        plan.forecast = checks::forecast(context, &feeder, plan.total_bytes)?;
        context.output.data(&plan, |plan| describe(plan, "would restore"));
    }
    checks::report(context, findings)?;
    if args.dry_run {
        return Ok(());
    }
    let carrying = Carrying { context, feeder: &feeder, starting, stop: &stop, begun };
    let written = carrying.carry_out(&mut plan)?;
    plan.bytes_read = Some(reader.vault.objects.counts().read_bytes);
    let report = carrying.finish(&plan, written.started)?;
    context.output.data(&plan, |plan| describe(plan, "restored"));
    context.output.say(&next_steps(&plan, written.at.saturating_sub(begun)));
    args.again.leave(context, &report)
}

/// A restore with everything decided.
struct Carrying<'a> {
    context: &'a Context,
    feeder: &'a Feeder<'a>,
    starting: Option<Starting<'a>>,
    stop: &'a Stop,
    begun: Duration,
}

/// What is written, and the server on it, which is stopped with this value.
struct Written {
    at: Duration,
    started: Option<Started>,
}

impl Carrying<'_> {
    /// Writes, and starts the server if that was asked for.
    fn carry_out(&self, plan: &mut Plan) -> Result<Written, Failure> {
        let Self { context, feeder, stop, .. } = self;
        let Feeder { reader, gathered, choice, target } = feeder;
        let gathered_at = context.clock.monotonic();
        let shown = Shown::new(context, &plan.store, plan.total_bytes);
        let outcome = match &self.starting {
            None => target.write(reader, gathered, choice, &shown, stop),
            Some(_) => target.write_unfinished(reader, gathered, choice, &shown, stop),
        };
        shown.meter.finish();
        outcome.map_err(|error| failure(&error))?;
        let written_at = context.clock.monotonic();
        let Some(starting) = &self.starting else {
            return Ok(Written { at: written_at, started: None });
        };
        let started = starting.run(context, stop, feeder).map_err(|error| failure(&error))?;
        let times = Times { begun: self.begun, gathered_at, written_at };
        starting.warn(context, &started);
        plan.started = Some(starting.report(context, &started, times));
        Ok(Written { at: written_at, started: Some(started) })
    }

    /// Says in the directory that it is done, and lets the server go on; what came of it.
    fn finish(&self, plan: &Plan, started: Option<Started>) -> Result<Value, Failure> {
        let target = self.feeder.target;
        let report = match (target.claim, &started) {
            (Some(claim), _) => again::keep(claim, target, plan)?,
            (None, None) => Value::Null,
            (None, Some(_)) => {
                target.finish().map_err(|error| failure(&error))?;
                Value::Null
            }
        };
        if let Some(started) = started {
            started.server.release();
        }
        Ok(report)
    }
}

fn parse_target(text: &str) -> Result<Target, Failure> {
    text.parse().map_err(|error: TargetError| Failure::of(Ending::Input, &error).hint(error.hint()))
}

/// What is there now, and what to do with it.
fn next_steps(plan: &Plan, took: Duration) -> String {
    let directory = plan.target_dir.display();
    match &plan.started {
        Some(started) => started.words(&directory.to_string()),
        None => format!(
            "written and durable in {}, not started. Next: start the server on {directory}; it \
             replays as a standby and stops at the target. When pg_last_wal_replay_lsn() has \
             reached it: SELECT pg_promote()",
            human_duration(took)
        ),
    }
}

/// The server is told where its directory is, and works elsewhere.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        Failure::of(Ending::Input, &error).hint("name the directory by its whole path")
    })
}

fn describe(plan: &Plan, done: &str) -> String {
    let forecast = plan.forecast.as_ref().map(Forecast::words).unwrap_or_default();
    format!(
        "{done} {} to {}: backup {}, timeline {}, WAL up to {}, {} into {}{forecast}",
        plan.store,
        plan.target,
        plan.backup,
        plan.timeline.0,
        plan.end,
        human_bytes(plan.total_bytes),
        plan.target_dir.display()
    )
}

/// Whose the files are to be: as root, the server's user's; else they stay ours.
fn server_owner(context: &Context, name: Option<&str>) -> Result<Option<Owner>, Failure> {
    let current = exec::current_owner();
    if let Some(name) = name {
        let owner = look_up(name)?;
        if current.user != 0 && owner != current {
            let what = format!("only root can hand files to {name}");
            return Err(
                Failure::new(Ending::Input, what).hint("run it as root, or without --owner")
            );
        }
        return Ok(Some(owner));
    }
    if current.user != 0 {
        return Ok(None);
    }
    let passwd = soter_world::durable::read(&*context.disk, Path::new("/etc/passwd"), 1 << 20);
    let Ok(passwd) = passwd else { return Ok(None) };
    Ok(exec::owner_in_passwd(&String::from_utf8_lossy(&passwd), SERVER_USER))
}

/// A user by name, wherever the operating system keeps its users.
fn look_up(name: &str) -> Result<Owner, Failure> {
    let number = |which: &str| {
        let asked = exec::Command::new("id").args([which, "--", name]).run(LOOK_UP_TIMEOUT);
        let found = asked.and_then(exec::Finished::checked).ok()?;
        String::from_utf8_lossy(&found.stdout).trim().parse().ok()
    };
    let owner = number("-u").zip(number("-g")).map(|(user, group)| Owner { user, group });
    owner.ok_or_else(|| {
        Failure::new(Ending::Input, format!("there is no user {name:?} here"))
            .hint("install PostgreSQL, or name another with --owner")
    })
}

fn failure(error: &RestoreError) -> Failure {
    let ending = match error {
        RestoreError::NothingThere => Ending::No,
        RestoreError::Postmaster(error) if error.kind() == ErrorKind::Input => Ending::Input,
        RestoreError::Refused(_)
        | RestoreError::NotEmpty { .. }
        | RestoreError::Otherwise { .. }
        | RestoreError::Tablespace { .. }
        | RestoreError::UnknownTablespace { .. }
        | RestoreError::SharedPlace { .. } => Ending::Input,
        _ => Ending::Failed,
    };
    let failure = Failure::of(ending, error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
