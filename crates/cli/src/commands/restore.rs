//! `soter restore`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use soter_postgres::lsn::{Lsn, Timeline};
use soter_postgres::restore::RestoreError;
use soter_postgres::restore::choice::choose;
use soter_postgres::restore::gather::StoreReader;
use soter_postgres::restore::target::Target;
use soter_postgres::restore::write::RestoreTarget;
use soter_vault::ids::BackupId;
use soter_vault::map::{Progress, Step};
use soter_world::{Stop, exec};

use crate::context::{Access, Context};
use crate::failure::{Ending, Failure};
use crate::output::{Meter, human_bytes, human_duration};

/// The user that runs servers on Debian.
const SERVER_USER: &str = "postgres";

/// Bring a cluster back, in a new directory. The server is not started; it comes up as a standby,
/// replays up to the target, and is promoted with pg_promote().
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
    /// Do not replay what is exactly at the target.
    #[arg(long)]
    exclusive: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
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
}

struct Shown<'a> {
    meter: Meter<'a>,
    written: AtomicU64,
    total: u64,
}

impl Progress for Shown<'_> {
    fn advance(&self, step: Step) {
        let done = self.written.fetch_add(step.raw_bytes, Ordering::Relaxed) + step.raw_bytes;
        self.meter.bytes(done, self.total.max(done));
    }
}

pub(super) fn run(context: &Context, args: &RestoreArgs) -> Result<(), Failure> {
    let target: Target =
        args.to.parse().map_err(|error: soter_postgres::restore::target::TargetError| {
            Failure::of(Ending::Input, &error).hint(error.hint())
        })?;
    let reader = context.reader(&args.access, args.store.as_deref())?;
    let vault = context.vault(&reader.vault, reader.pins.clone());
    let source = StoreReader { vault: &vault, trust: reader.vault.trust(), keys: &reader.keys };
    let gathered = source.gather(&target).map_err(|error| failure(&error))?;
    let choice = choose(&gathered.recoverable, &target, !args.exclusive)
        .map_err(|refusal| failure(&RestoreError::Refused(refusal)))?;
    let record = gathered.records.iter().find(|(id, _)| *id == choice.backup);
    let plan = Plan {
        store: reader.name.clone(),
        backup: choice.backup,
        timeline: choice.timeline,
        target: target.to_string(),
        end: choice.end,
        total_bytes: record.map_or(0, |(_, record)| record.counters.total_bytes),
        target_dir: args.target_dir.clone(),
    };
    if args.dry_run {
        context.output.data(&plan, |plan| describe(plan, "would restore"));
        return Ok(());
    }
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let begun = context.clock.monotonic();
    let shown = Shown {
        meter: context.output.progress(&*context.clock, &format!("restoring {}", plan.store)),
        written: AtomicU64::new(0),
        total: plan.total_bytes,
    };
    let owner = server_owner(context);
    let restore =
        RestoreTarget { disk: &*context.disk, directory: &args.target_dir, owner, workers: 2 };
    let outcome = restore.write(&source, &gathered, &choice, &shown, &stop);
    shown.meter.finish();
    outcome.map_err(|error| failure(&error))?;
    let took = human_duration(context.clock.monotonic().saturating_sub(begun));
    context.output.data(&plan, |plan| describe(plan, "restored"));
    context.output.say(&format!(
        "written and durable in {took}, not started. Next: start the server on {}; it replays as a \
         standby and stops at the target. When pg_last_wal_replay_lsn() has reached it: \
         SELECT pg_promote()",
        args.target_dir.display()
    ));
    Ok(())
}

fn describe(plan: &Plan, done: &str) -> String {
    format!(
        "{done} {} to {}: backup {}, timeline {}, WAL up to {}, {} into {}",
        plan.store,
        plan.target,
        plan.backup,
        plan.timeline.0,
        plan.end,
        human_bytes(plan.total_bytes),
        plan.target_dir.display()
    )
}

/// As root, files go to the server's user; else they stay ours.
fn server_owner(context: &Context) -> Option<soter_world::disk::Owner> {
    if exec::current_owner().user != 0 {
        return None;
    }
    let passwd = std::path::Path::new("/etc/passwd");
    let passwd = soter_world::durable::read(&*context.disk, passwd, 1 << 20).ok()?;
    exec::owner_in_passwd(&String::from_utf8_lossy(&passwd), SERVER_USER)
}

fn failure(error: &RestoreError) -> Failure {
    let ending = match error {
        RestoreError::NothingThere => Ending::No,
        RestoreError::Refused(_)
        | RestoreError::NotEmpty { .. }
        | RestoreError::Tablespace { .. } => Ending::Input,
        _ => Ending::Failed,
    };
    let failure = Failure::of(ending, error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
