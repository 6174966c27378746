//! `soter wal`: what `archive_command` calls.

use std::path::{Path, PathBuf};

use soter_postgres::cluster::SystemIdentifier;
use soter_postgres::control::ControlFile;
use soter_postgres::incarnation;
use soter_vault::frame::Compression;
use soter_vault::log::{Duty, Log, Opening, Session, TakeOver};
use soter_vault::wal::{Archive, Outcome, Sealer, SegmentSize, WalBytes, WalFacts, WalVault};
use soter_world::durable;

use crate::context::{Context, Writer, postgres};
use crate::failure::{Ending, Failure};

/// The longest file of an archive: a segment of 1 GiB.
const FILE_LENGTH_MAX: usize = 1 << 30;

/// Threads that compress one segment.
const WORKERS: usize = 2;

#[derive(Debug, clap::Subcommand)]
pub(super) enum WalCommand {
    /// Store a file of the archive: archive_command = 'soter --plan … wal push %p'.
    Push(PushArgs),
}

/// Store a file of the archive; returns when it is durable in the vault.
#[derive(Debug, clap::Args)]
pub(super) struct PushArgs {
    /// The file, relative to the data directory, as %p names it.
    file: PathBuf,
    /// The store, as the plan calls it.
    #[arg(long)]
    store: Option<String>,
}

pub(super) fn run(context: &Context, command: &WalCommand) -> Result<(), Failure> {
    let WalCommand::Push(args) = command;
    push(context, args)
}

fn push(context: &Context, args: &PushArgs) -> Result<(), Failure> {
    let plan = context.plan()?;
    let (name, store) = context.store(&plan, args.store.as_deref())?;
    let described = postgres(store);
    let data = &described.data_directory;
    let path = data.join(&args.file);
    let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let bytes = read(context, &path, FILE_LENGTH_MAX)?;
    let control = read(context, &data.join("global/pg_control"), 64 << 10)?;
    let control = ControlFile::parse(&control).map_err(|e| Failure::of(Ending::Failed, &e))?;

    let Writer { vault: open, keys, pins } = context.writer(&plan, name, store)?;
    let vault = context.vault(&open, pins);
    let log = Log::open(&vault, keys.store, open.trust().clone(), None)
        .map_err(|error| Failure::of(Ending::Failed, &error))?;
    let is_first = incarnation::current(log.catalogue()).is_none();
    let cluster: (SystemIdentifier, _) = (control.system_identifier, control.version);
    let life =
        incarnation::establish(&*context.disk, data, log.catalogue(), cluster, &*context.random)
            .map_err(|error| Failure::of(Ending::Input, &error).hint(error.hint()))?;
    let segment_size = SegmentSize::new(control.wal_segment_size.bytes())
        .ok_or_else(|| Failure::new(Ending::Failed, "the segment size is none"))?;
    let archive = Archive { store: keys.store, incarnation: life.id, segment_size };
    let file = archive.file(file_name).ok_or_else(|| {
        Failure::new(Ending::Input, format!("{file_name:?} is not a file of a WAL archive"))
            .hint("archive_command calls this with %p")
    })?;
    if is_first {
        // The history begins with an entry, so that a clone is told from it.
        let opening = Opening {
            duty: Duty::Wal,
            agent: "soter wal push".to_owned(),
            incarnation: Some(life),
            take_over: TakeOver::OwnOnly,
            content: b"{\"reason\":\"first WAL\"}".to_vec(),
        };
        Session::open(log, &keys, opening).map_err(|e| Failure::of(Ending::Failed, &e))?;
    }
    let wal =
        WalVault { store: &*vault.objects, clock: &*vault.clock, trust: open.trust(), archive };
    let compression = Compression::Zstd(store.compression.level);
    let sealer = Sealer::new(&keys, &*vault.random, compression, WORKERS);
    let mut source = WalBytes { bytes: &bytes, facts: WalFacts::default() };
    let pushed = wal.push(&sealer, &file, &mut source).map_err(|error| {
        Failure::of(Ending::Failed, &error).during(&format!("store {file_name}"))
    })?;
    for finding in &pushed.findings {
        context.output.warn(&format!("{}: {}", finding.object, finding.fault));
    }
    if pushed.outcome == Outcome::AlreadyThere {
        context.output.say(&format!("{file_name} was in the vault already, byte for byte"));
    }
    Ok(())
}

fn read(context: &Context, path: &Path, length_max: usize) -> Result<Vec<u8>, Failure> {
    durable::read(&*context.disk, path, length_max).map_err(|error| {
        Failure::of(Ending::Input, &error)
            .during(&format!("read {}", path.display()))
            .hint("run as the server's user; the plan's data_directory must be the server's")
    })
}
