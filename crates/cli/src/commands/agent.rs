//! `soter agent`: what runs beside a cluster, as a service.

mod etcd;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use soter_plan::{Kind, Plan, Store, StoreName, WalMode};
use soter_postgres::agent::{
    Ending as AgentEnding, FailureKind, Keyring, Mode, Settings, Surroundings, Trouble, World,
    run as protect,
};
use soter_postgres::connection::ConnectionInfo;
use soter_postgres::replication::SlotName;
use soter_vault::frame::Compression;
use soter_vault::log::TakeOver;
use soter_world::{Clock, Stop};

use crate::commands::backup::etcd::Patient;
use crate::context::{Context, Writer, kept_in_the_first_only, postgres};
use crate::failure::{Ending, Failure};

/// Where an agent keeps its state unless the plan names a spool.
const STATE_DIRECTORY: &str = "/var/lib/soter";

/// How long an agent may take to end: longer than all it waits for when it stops. A server that is
/// stuck can keep a thread waiting for an answer for ever, and that thread has nothing to lose.
const ENDING_MAX: Duration = Duration::from_secs(25);

/// How often the thread that watches over the end looks up; it is woken when there is one.
const WATCH: Duration = Duration::from_secs(3600);

/// Protect a store, as the server's user or root, until it is stopped (SIGTERM).
///
/// It streams WAL through a replication slot of its own, acknowledges what is durable in the vault,
/// makes base backups when they are due, and serves `wal push`, `backup` and `status` over a socket
/// in its state directory. Of an etcd it takes a snapshot when one is due. Exit code 4 means that another agent has taken over: do not restart it.
#[derive(Debug, clap::Args)]
pub(super) struct AgentArgs {
    /// The store, as the plan calls it.
    store: Option<String>,
    /// Supersede an agent with another key, which must be gone.
    #[arg(long)]
    take_over: bool,
}

pub(super) fn run(context: &Context, args: &AgentArgs) -> Result<(), Failure> {
    let plan = context.plan()?;
    let (name, store) = context.store(&plan, args.store.as_deref())?;
    if let Kind::Etcd(of_etcd) = &store.kind {
        let patient = Patient { plan: &plan, name, store, etcd: of_etcd };
        return etcd::run(context, args, patient);
    }
    let settings = settings(context, name, store, args.take_over)?;
    for what in &settings.shortfalls {
        context.output.warn(what);
    }
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    end_in_time(stop.clone(), Arc::clone(&context.clock));
    let was_open = AtomicBool::new(false);
    let open = |trust_number| {
        let opened = open_keyring(context, &plan, (name, store), trust_number);
        match opened {
            Ok(keyring) => {
                was_open.store(true, Ordering::Relaxed);
                Ok(keyring)
            }
            // A vault that was there once, be it for an agent before this one, is away: it may be
            // mounted later than we are started. A plan or a key that never fitted is a mistake.
            Err(Trouble::Input(why)) if trust_number > 0 || was_open.load(Ordering::Relaxed) => {
                Err(Trouble::Passing(why))
            }
            Err(trouble) => Err(trouble),
        }
    };
    let next_backup = |after: Timestamp| store.backup.schedule.next_after(after);
    let say = |line: &str| context.output.say(line);
    let world = World {
        disk: Arc::clone(&context.disk),
        clock: Arc::clone(&context.clock),
        random: Arc::clone(&context.random),
    };
    let around = Surroundings { world, open: &open, next_backup: &next_backup, say: &say };
    match protect(&settings, &around, &stop) {
        AgentEnding::Stopped => Ok(()),
        AgentEnding::Superseded(by) => Err(Failure::new(Ending::Superseded, by)
            .hint("if the other agent is gone for good: soter agent --take-over")),
        AgentEnding::Input(what) => Err(Failure::new(Ending::Input, what)),
        AgentEnding::Failed(what) => Err(Failure::new(Ending::Failed, what)),
    }
}

/// Ends the process if it does not end by itself once it was asked to. What is durable stays so, and
/// the rest the server keeps: nobody can tell this from a power cut, which harms nothing either.
fn end_in_time(stop: Stop, clock: Arc<dyn Clock>) {
    std::thread::spawn(move || {
        while !stop.wait(WATCH) {}
        clock.sleep(ENDING_MAX);
        let failure = Failure::new(Ending::Failed, "the agent was asked to end and could not")
            .hint("the server or the vault does not answer; what is not in the vault the server keeps");
        drop(writeln!(io::stderr(), "{failure}"));
        #[expect(clippy::exit, reason = "a thread that waits for an answer cannot be ended")]
        std::process::exit(i32::from(failure.exit_code(false)))
    });
}

/// How a command ends that an agent could not do.
pub(super) fn ending_of(kind: FailureKind) -> Ending {
    match kind {
        FailureKind::Input => Ending::Input,
        FailureKind::Failed => Ending::Failed,
        FailureKind::Superseded => Ending::Superseded,
    }
}

/// The state directory of a store's agent.
pub(super) fn state_directory(name: &StoreName, store: &Store) -> PathBuf {
    match &postgres(store).wal.spool {
        Some(spool) => spool.directory.clone(),
        None => PathBuf::from(STATE_DIRECTORY).join(name.as_str()),
    }
}

/// How to reach a store's server under the agent's name.
pub(super) fn connection(context: &Context, store: &Store) -> Result<ConnectionInfo, Failure> {
    let described = postgres(store);
    let text = context.connection(described)?;
    let mut connection = ConnectionInfo::parse(text.expose())
        .map_err(|error| Failure::of(Ending::Input, &error).hint(error.hint()))?;
    connection.application_name.clone_from(&described.wal.application_name);
    Ok(connection)
}

/// The slot of a store's agent.
pub(super) fn slot(store: &Store) -> Result<SlotName, Failure> {
    SlotName::new(postgres(store).wal.slot.clone())
        .map_err(|error| Failure::of(Ending::Input, &error))
}

fn settings(
    context: &Context,
    name: &StoreName,
    store: &Store,
    take_over: bool,
) -> Result<Settings, Failure> {
    let described = postgres(store);
    let wal = &described.wal;
    let host = rustix::system::uname();
    Ok(Settings {
        store: name.to_string(),
        agent: host.nodename().to_string_lossy().into_owned(),
        connection: connection(context, store)?,
        data_directory: described.data_directory.clone(),
        state_directory: state_directory(name, store),
        slot: slot(store)?,
        mode: match wal.mode {
            WalMode::Synchronous => Mode::Synchronous,
            WalMode::Asynchronous => Mode::Asynchronous { part_interval: wal.part_interval },
        },
        spool_bytes_max: wal.spool.as_ref().map(|spool| spool.limit.0),
        compression: Compression::Zstd(store.compression.level),
        canary_every: store.canary.map(|canary| canary.every),
        full_every: store.backup.full_every,
        backup_workers: store.backup.workers,
        take_over: if take_over { TakeOver::Anybody } else { TakeOver::OwnOnly },
        shortfalls: kept_in_the_first_only(name, store).into_iter().collect(),
    })
}

fn open_keyring(
    context: &Context,
    plan: &Plan,
    (name, store): (&StoreName, &Store),
    trust_number: u32,
) -> Result<Keyring, Trouble> {
    let opened = context.writer(plan, name, store).map_err(|failure| match failure.ending {
        Ending::Input => Trouble::Input(failure.in_one_line()),
        _ => Trouble::Passing(failure.in_one_line()),
    });
    let Writer { vault: open, keys, pins } = opened?;
    let newest = open.trust().newest().number;
    if newest < trust_number {
        return Err(Trouble::Lasting(format!(
            "the vault shows trust list {newest}, and list {trust_number} was there before: it was \
             rolled back, or somebody hides what is new"
        )));
    }
    let vault = context.vault(&open, pins);
    let trust = open.trust().clone();
    Ok(Keyring { vault, trust, keys })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;

    /// Settings of a store with these lines.
    fn settings_of(lines: &str) -> Settings {
        let root = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let text = format!(
            "vaults:\n  main: {{ url: \"file:///v\", keys: {{ root: \"{root}\" }} }}\n\
             stores:\n  orders:\n    kind: postgres\n    connection: \"host=/run user=soter\"\n    \
             data_directory: /data\n    vaults: [main]\n{lines}"
        );
        let plan = soter_plan::parse("soter.yaml", text.as_bytes()).unwrap();
        let context = Context::new(Output::new(false, true), "soter.yaml".into());
        let (name, store) = context.store(&plan, None).unwrap();
        settings(&context, name, store, false).unwrap()
    }

    #[test]
    fn what_the_plan_says_is_what_the_agent_is_told() {
        let told = settings_of(
            "    wal:\n      part_interval: 730 ms\n      slot: other_slot\n      \
             application_name: other-name\n      spool: { directory: /spool, limit: 77 MiB }\n    \
             backup: { full_every: 50 h, workers: 5 }\n    compression: { level: 11 }\n    \
             canary: { every: 42 s }\n",
        );
        let part_interval = Duration::from_millis(730);
        assert_eq!(told.mode, Mode::Asynchronous { part_interval });
        assert_eq!(told.slot.to_string(), "other_slot");
        assert_eq!(told.connection.application_name, "other-name");
        assert_eq!(told.state_directory, PathBuf::from("/spool"));
        assert_eq!(told.spool_bytes_max, Some(77 << 20));
        assert_eq!(told.full_every, Duration::from_hours(50));
        assert_eq!(told.backup_workers, 5);
        assert!(matches!(told.compression, Compression::Zstd(11)), "{:?}", told.compression);
        assert_eq!(told.canary_every, Some(Duration::from_secs(42)));
        assert_eq!((told.store.as_str(), told.data_directory), ("orders", "/data".into()));
        let synchronous = settings_of("    wal: { mode: synchronous }\n");
        assert_eq!(synchronous.mode, Mode::Synchronous);
        assert_eq!(synchronous.state_directory, PathBuf::from("/var/lib/soter/orders"));
        assert_eq!((synchronous.spool_bytes_max, synchronous.canary_every), (None, None));
    }
}
