//! `soter backup`.

pub(super) mod etcd;

use std::sync::atomic::{AtomicU64, Ordering};

use soter_plan::{Kind, Plan, Store, StoreName};
use soter_postgres::agent::{Answer, BackupDone, Request, ask, ask_status, socket_in};
use soter_postgres::backup::BackupError;
use soter_postgres::backup::run::{
    BackupSetup, FullPolicy, WAL_WAIT_MAX, run as back_up, wal_missing,
};
use soter_postgres::connection::ConnectionInfo;
use soter_postgres::error::ErrorKind;
use soter_postgres::lsn::Lsn;
use soter_vault::frame::Compression;
use soter_vault::log::{TakeOver, WalRange};
use soter_vault::map::{Progress, Step};
use soter_vault::wal::{Archive, SegmentSize, WalVault};
use soter_world::Stop;

use super::agent::{ending_of, state_directory};
use crate::context::{Context, Writer, kept_in_the_first_only, postgres};
use crate::failure::{Ending, Failure};
use crate::output::{Meter, human_bytes, human_duration};

/// How often the vault is asked whether the WAL has come.
const WAL_POLL: std::time::Duration = std::time::Duration::from_millis(250);

/// Take a backup: of a PostgreSQL cluster that runs on this machine, as the server's user or root; of
/// an etcd, by a snapshot of whichever member answers.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The store, as the plan calls it.
    store: Option<String>,
    /// Read and store everything anew.
    #[arg(long)]
    full: bool,
    /// This etcd takes the place of the one that was kept before: it was recovered, or made anew.
    #[arg(long)]
    new_cluster: bool,
}

impl BackupArgs {
    /// A backup of this store, an increment if that will do.
    pub(super) fn of(store: &StoreName) -> Self {
        Self { store: Some(store.to_string()), full: false, new_cluster: false }
    }
}

/// Shows how much was read.
struct Shown<'a> {
    meter: Meter<'a>,
    read: AtomicU64,
}

impl<'a> Shown<'a> {
    fn new(context: &'a Context, name: &StoreName) -> Self {
        let meter = context.output.progress(&*context.clock, &format!("backing up {name}"));
        Self { meter, read: AtomicU64::new(0) }
    }
}

impl Progress for Shown<'_> {
    fn advance(&self, step: Step) {
        let read = self.read.fetch_add(step.raw_bytes, Ordering::Relaxed) + step.raw_bytes;
        self.meter.bytes(read, read);
    }
}

pub(super) fn run(context: &Context, args: &BackupArgs) -> Result<(), Failure> {
    let plan = context.plan()?;
    let (name, store) = context.store(&plan, args.store.as_deref())?;
    if let Some(what) = kept_in_the_first_only(name, store) {
        context.output.warn(&what);
    }
    if let Kind::Etcd(of_etcd) = &store.kind {
        let patient = etcd::Patient { plan: &plan, name, store, etcd: of_etcd };
        return etcd::run(context, args, patient);
    }
    if args.new_cluster {
        return Err(Failure::new(Ending::Input, "--new-cluster is said of an etcd")
            .hint("a PostgreSQL cluster that was restored is adopted: soter adopt"));
    }
    let begun = context.clock.monotonic();
    let done = match by_agent(context, args, name, store)? {
        Some(done) => done,
        None => by_ourselves(context, args, &plan, (name, store))?,
    };
    let took = human_duration(context.clock.monotonic().saturating_sub(begun));
    for page in &done.record.bad_pages {
        context
            .output
            .warn(&format!("damaged page: {} block {}: {}", page.path, page.block, page.what));
    }
    context.output.data(&done.record, |record| {
        format!(
            "backup {} ({:?}) of {name}: {} read, {} stored, WAL {} to {}, in {took}",
            done.id,
            record.kind,
            human_bytes(record.counters.read_bytes),
            human_bytes(record.counters.stored_bytes),
            record.start,
            record.stop,
        )
    });
    Ok(())
}

/// A running agent makes the backup: it knows how far its WAL is. It goes on with it even if nobody
/// waits any more.
fn by_agent(
    context: &Context,
    args: &BackupArgs,
    name: &StoreName,
    store: &Store,
) -> Result<Option<BackupDone>, Failure> {
    let socket = socket_in(&state_directory(name, store));
    if ask_status(&socket).ok().flatten().is_some() {
        context.output.say("the agent makes the backup");
    }
    let answer = ask(&socket, &Request::Backup { full: args.full }).map_err(|error| {
        Failure::of(Ending::Failed, &error)
            .during(&format!("have the agent at {} make a backup", socket.display()))
    })?;
    match answer {
        None => Ok(None),
        Some(Answer::Done(value)) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| Failure::of(Ending::Failed, &error)),
        Some(Answer::Failed { kind, what }) => Err(Failure::new(ending_of(kind), what)),
    }
}

fn by_ourselves(
    context: &Context,
    args: &BackupArgs,
    plan: &Plan,
    (name, store): (&StoreName, &Store),
) -> Result<BackupDone, Failure> {
    let described = postgres(store);
    let text = context.connection(described)?;
    let connection = ConnectionInfo::parse(text.expose())
        .map_err(|error| Failure::of(Ending::Input, &error).hint(error.hint()))?;
    let Writer { vault: open, keys, pins } = context.writer(plan, name, store)?;
    let vault = context.vault(&open, pins);
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let (full, workers, compression) = how(args, store);
    let setup = BackupSetup {
        disk: &*context.disk,
        connection: &connection,
        data_directory: &described.data_directory,
        vault: &vault,
        trust: open.trust(),
        keys: &keys,
        agent: "soter backup",
        take_over: TakeOver::OwnOnly,
        full,
        workers,
        compression,
    };
    let shown = Shown::new(context, name);
    let mut wait = |wal: &WalRange| wait_durable(context, &open, &keys, wal, &stop);
    let done = back_up(&setup, &mut wait, &shown, &stop);
    shown.meter.finish();
    let done = done.map_err(|error| failure(&error))?;
    Ok(BackupDone { id: done.id, record: done.record })
}

/// What the plan and the command line say about a backup.
fn how(args: &BackupArgs, store: &Store) -> (FullPolicy, usize, Compression) {
    let full = match args.full {
        true => FullPolicy::Always,
        false => FullPolicy::OlderThan(store.backup.full_every),
    };
    (full, store.backup.workers, Compression::Zstd(store.compression.level))
}

/// Asks the vault until the backup's WAL is there.
fn wait_durable(
    context: &Context,
    open: &crate::context::OpenVault,
    keys: &soter_vault::keys::StoreKeys,
    wal: &WalRange,
    stop: &Stop,
) -> Result<(), BackupError> {
    let Some(segment_size) = SegmentSize::new(wal.segment_bytes) else {
        return Err(wal_missing(wal, None));
    };
    let archive = Archive { store: keys.store, incarnation: wal.incarnation, segment_size };
    let store = &*open.objects;
    let vault = WalVault { store, clock: &*context.clock, trust: open.trust(), archive };
    let until = context.clock.monotonic() + WAL_WAIT_MAX;
    let mut is_told = false;
    loop {
        // Sealed segments prove that they are there; a part's name alone does not. The server has
        // switched to another segment at the backup's end, so the last one is sealed soon.
        let reached = match vault.contiguous_end(wal.timeline, wal.from) {
            Ok(end) if end.sealed >= wal.to => return Ok(()),
            Ok(end) => Some(end.sealed),
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    context.output.warn(&format!("the vault does not say where WAL ends: {error}"));
                }
                None
            }
        };
        if stop.wait(WAL_POLL) {
            return Err(BackupError::Stopped);
        }
        if context.clock.monotonic() >= until {
            return Err(wal_missing(wal, reached.map(Lsn)));
        }
    }
}

/// A failed backup in words.
fn failure(error: &BackupError) -> Failure {
    let ending = match error.kind() {
        ErrorKind::Input => Ending::Input,
        ErrorKind::Superseded => Ending::Superseded,
        _ => Ending::Failed,
    };
    let failure = Failure::of(ending, error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_backup_is_made_as_the_plan_says() {
        let root = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let text = format!(
            "vaults:\n  main: {{ url: \"file:///v\", keys: {{ root: \"{root}\" }} }}\n\
             stores:\n  orders:\n    kind: postgres\n    connection: \"host=/run user=soter\"\n    \
             data_directory: /data\n    vaults: [main]\n    \
             backup: {{ full_every: 50 h, workers: 5 }}\n    compression: {{ level: 11 }}\n"
        );
        let plan = soter_plan::parse("soter.yaml", text.as_bytes()).unwrap();
        let (name, store) = plan.stores.iter().next().unwrap();
        let (full, workers, compression) = how(&BackupArgs::of(name), store);
        assert!(matches!(full, FullPolicy::OlderThan(age) if age == Duration::from_hours(50)));
        assert_eq!(workers, 5);
        assert!(matches!(compression, Compression::Zstd(11)), "{compression:?}");
        let args = BackupArgs { full: true, ..BackupArgs::of(name) };
        assert!(matches!(how(&args, store).0, FullPolicy::Always));
    }
}
