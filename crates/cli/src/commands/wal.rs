//! `soter wal`: what `archive_command` and `restore_command` call.

mod behind;
mod fetch;
mod unkeyed;

use std::path::{Path, PathBuf};

use soter_plan::{Plan, Store, StoreName};
use soter_postgres::agent::{Answer, PushDone, Request, Trusting, ask, push_file, socket_in};
use soter_postgres::control::ControlFile;
use soter_postgres::incarnation::{self, Marker, MarkerError, Seen};
use soter_vault::Vault;
use soter_vault::frame::Compression;
use soter_vault::ids::IncarnationId;
use soter_vault::log::{Duty, Log, LogError, Opening, TakeOver};
use soter_vault::wal::{Archive, Outcome, Sealer, SegmentSize, WalVault};
use soter_world::durable;

use super::agent::{ending_of, state_directory};
use crate::context::{Context, Writer, postgres};
use crate::failure::{Ending, Failure};

/// The control file is one sector, padded to a page.
const CONTROL_FILE_LENGTH_MAX: usize = 64 << 10;

/// Threads that compress one segment.
const WORKERS: usize = 2;

#[derive(Debug, clap::Subcommand)]
pub(super) enum WalCommand {
    /// Store a file of the archive: archive_command = 'soter --plan … wal push %p'.
    Push(PushArgs),
    /// Store what follows behind a server that archives; `push` starts it.
    #[command(hide = true)]
    Behind(PushArgs),
    /// Bring a file of the archive back: restore_command = 'soter wal fetch %f %p …'.
    Fetch(fetch::FetchArgs),
    /// Fetch ahead of a server that recovers; `fetch` starts it.
    #[command(hide = true)]
    Ahead(fetch::FetchArgs),
}

/// Store a file of the archive; returns when it is durable in the vault.
///
/// A running agent is asked to: what it has streamed is only compared. Without one the file is
/// stored directly; while others are waiting behind it, a process of its own stores those, and the
/// calls for them have nothing left to do.
#[derive(Debug, clap::Args)]
pub(super) struct PushArgs {
    /// The file, relative to the data directory, as %p names it.
    file: PathBuf,
    /// The store, as the plan calls it.
    #[arg(long)]
    store: Option<String>,
    /// Read what the vault has of it; if that is damaged, store the file again beside it.
    #[arg(long)]
    mend: bool,
}

pub(super) fn run(context: &Context, command: &WalCommand) -> Result<(), Failure> {
    match command {
        WalCommand::Push(args) => push(context, args),
        WalCommand::Behind(args) => {
            // Nobody reads what it says; what is wrong is said when the server asks.
            drop(behind::run(context, args));
            Ok(())
        }
        WalCommand::Fetch(args) => fetch::run(context, args),
        WalCommand::Ahead(args) => {
            // Nobody reads what it says; what is wrong is said when the server asks.
            drop(fetch::run_ahead(context, args));
            Ok(())
        }
    }
}

fn push(context: &Context, args: &PushArgs) -> Result<(), Failure> {
    let plan = context.plan()?;
    let (name, store) = context.postgres_store(&plan, args.store.as_deref())?;
    let path = postgres(store).data_directory.join(&args.file);
    let by_agent = if args.mend { None } else { push_by_agent(name, store, &path)? };
    let done = match by_agent {
        Some(done) => done,
        None if args.mend => {
            let direct = Direct::open(context, (&plan, name, store))?;
            direct.push(context, &path, Trusting::WholeObjects)?
        }
        None => {
            let notes = behind::notes(context, &plan, store, &path);
            if notes.as_ref().is_some_and(|(notes, file)| notes.take(file)) {
                return Ok(());
            }
            let direct = Direct::open(context, (&plan, name, store))?;
            // The first call of a cluster has had no life to make notes for.
            let notes = notes.or_else(|| behind::notes(context, &plan, store, &path));
            if let Some((notes, file)) = notes {
                behind::start(context, (&notes, &file), (name, args));
            }
            direct.push(context, &path, Trusting::Heads)?
        }
    };
    for finding in &done.findings {
        context.output.warn(finding);
    }
    if done.was_there {
        let file = args.file.display();
        context.output.say(&format!("{file} was in the vault already, byte for byte"));
    }
    Ok(())
}

fn push_by_agent(
    name: &StoreName,
    store: &Store,
    path: &Path,
) -> Result<Option<PushDone>, Failure> {
    let socket = socket_in(&state_directory(name, store));
    let doing = || format!("have the agent at {} store {}", socket.display(), path.display());
    let answer = ask(&socket, &Request::Push { path: path.to_owned() });
    match answer.map_err(|error| Failure::of(Ending::Failed, &error).during(&doing()))? {
        None => Ok(None),
        Some(Answer::Done(value)) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| Failure::of(Ending::Failed, &error).during(&doing())),
        Some(Answer::Failed { kind, what }) => Err(Failure::new(ending_of(kind), what)),
    }
}

/// A store that is written to without an agent.
struct Direct {
    writer: Writer,
    vault: Vault,
    archive: Archive,
    compression: Compression,
}

impl Direct {
    /// Opens it for the cluster's data directory, which must continue the store's history.
    fn open(
        context: &Context,
        (plan, name, store): (&Plan, &StoreName, &Store),
    ) -> Result<Self, Failure> {
        let writer = context.writer(plan, name, store)?;
        let data = &postgres(store).data_directory;
        let control = read_control(context, data)?;
        let vault = context.vault(&writer.vault, writer.pins.clone());
        let segment_size = SegmentSize::new(control.wal_segment_size.bytes())
            .ok_or_else(|| Failure::new(Ending::Failed, "the segment size is none"))?;
        let incarnation = life(context, &writer, &vault, data, &control)?;
        let archive = Archive { store: writer.keys.store, incarnation, segment_size };
        let compression = Compression::Zstd(store.compression.level);
        Ok(Self { writer, vault, archive, compression })
    }

    fn wal(&self) -> WalVault<'_> {
        WalVault {
            store: &*self.vault.objects,
            clock: &*self.vault.clock,
            trust: self.writer.vault.trust(),
            archive: self.archive,
        }
    }

    fn sealer(&self, workers: usize) -> Sealer<'_> {
        Sealer::new(&self.writer.keys, &*self.vault.random, self.compression, workers)
    }

    fn push(&self, context: &Context, path: &Path, trust: Trusting) -> Result<PushDone, Failure> {
        let sealer = self.sealer(WORKERS);
        let pushed =
            push_file(&self.wal(), &sealer, &*context.disk, path, trust).map_err(|error| {
                let ending = match error.kind() {
                    soter_postgres::error::ErrorKind::Input => Ending::Input,
                    _ => Ending::Failed,
                };
                Failure::of(ending, &error)
                    .hint("archive_command calls this with %p, as the server's user")
            })?;
        Ok(PushDone {
            object: pushed.object,
            was_there: pushed.outcome == Outcome::AlreadyThere,
            findings: pushed.findings.iter().map(ToString::to_string).collect(),
        })
    }
}

/// The incarnation that the directory continues. The log is read as a whole only when what was seen
/// of it before does not suffice; the first time, the history begins with an entry of its own, so
/// that a clone is told from it.
fn life(
    context: &Context,
    writer: &Writer,
    vault: &Vault,
    data: &Path,
    control: &ControlFile,
) -> Result<IncarnationId, Failure> {
    let Writer { vault: open, keys, .. } = writer;
    let (disk, trust) = (&*context.disk, open.trust());
    let unreadable = |error: LogError| Failure::of(Ending::Failed, &error);
    let refused = |error: MarkerError| Failure::of(Ending::Input, &error).hint(error.hint());
    let system_identifier = control.system_identifier;
    let marker = Marker::read(disk, data).map_err(refused)?;
    let is_ours = |marker: &Marker| {
        marker.store == keys.store && marker.system_identifier == system_identifier
    };
    if let Some(marker) = marker.filter(is_ours)
        && let Some(known) =
            Seen::incarnation(disk, data, &marker, vault, trust).map_err(unreadable)?
    {
        return Ok(known);
    }
    let log = Log::open(vault, keys.store, trust.clone(), None).map_err(unreadable)?;
    let seen = Seen::of(log.catalogue(), log.trust());
    let cluster = (system_identifier, control.version);
    let life = incarnation::establish(disk, data, log.catalogue(), cluster, &*context.random);
    let life = life.map_err(refused)?;
    let id = life.id;
    match seen {
        Some(seen) => seen.save(disk, data),
        None => {
            let opening = Opening {
                duty: Duty::Wal,
                agent: "soter wal push".to_owned(),
                incarnation: Some(life),
                take_over: TakeOver::OwnOnly,
                content: b"{\"reason\":\"first WAL\"}".to_vec(),
            };
            incarnation::open_session(log, keys, opening).map_err(unreadable)?;
        }
    }
    Ok(id)
}

fn read_control(context: &Context, data: &Path) -> Result<ControlFile, Failure> {
    let path = data.join("global/pg_control");
    let bytes = durable::read(&*context.disk, &path, CONTROL_FILE_LENGTH_MAX).map_err(|error| {
        Failure::of(Ending::Input, &error)
            .during(&format!("read {}", path.display()))
            .hint("run as the server's user; the plan's data_directory must be the server's")
    })?;
    ControlFile::parse(&bytes).map_err(|error| Failure::of(Ending::Failed, &error))
}
