//! `soter wal fetch`: what `restore_command` calls.
//!
//! The one rule: exit code 1 is said only when it is proven that the file is not there and that
//! nothing is which could follow it. PostgreSQL takes it for the end of the WAL and begins a new
//! timeline.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use soter_postgres::control::ControlFile;
use soter_postgres::error::ErrorKind;
use soter_postgres::fetch::ahead::{Ahead, Taken, directory_for, usual_depth};
use soter_postgres::fetch::{FetchError, Found, WalFiles, place};
use soter_postgres::incarnation::Marker;
use soter_postgres::lsn::{Lsn, SegmentSize};
use soter_postgres::wal::name::{SegmentName, WalFileName};
use soter_vault::Vault;
use soter_vault::ids::IncarnationId;
use soter_vault::log::{Log, LogError};
use soter_vault::wal::{Archive, SegmentSize as VaultSegmentSize, WalVault};
use soter_world::{durable, exec};

use super::{CONTROL_FILE_LENGTH_MAX, unkeyed};
use crate::context::{Access, Context, Reader};
use crate::failure::{Ending, Failure};

/// The name under which a server asks for a segment: it is a server then, and will ask for more.
const SERVERS_NAME: &str = "RECOVERYXLOG";

/// Bring a file of the archive back, for a server that recovers.
///
/// The server runs it in its data directory. Exit code 1 says that there is no more WAL; it is given
/// only when nothing that could follow is in the vault. All else that is not success, a gap, damage, a
/// vault that does not answer, a mistake in the command line, ends with a code above 125, which stops
/// the server instead of ending the recovery. While a server asks for one segment after the other, a
/// helper process fetches the next ones ahead into pg_wal/soter.fetch.
#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    /// The file's name, as %f names it.
    pub(super) file: String,
    /// Where it is to be put, as %p names it.
    pub(super) destination: PathBuf,
    /// The store, as the vault calls it.
    #[arg(long)]
    pub(super) store: Option<String>,
    #[command(flatten)]
    pub(super) access: Access,
    /// The life of the cluster; else that of the data directory's marker, else the newest with
    /// backups.
    #[arg(long, value_name = "ID")]
    pub(super) incarnation: Option<IncarnationId>,
    /// Where the WAL is known to end: before it all must be there, behind it nothing is looked for.
    #[arg(long, value_name = "LSN")]
    end: Option<Lsn>,
    /// How many segments are fetched ahead; 0 for none.
    #[arg(long, value_name = "N")]
    ahead: Option<u64>,
}

/// A store's WAL, open for reading.
struct Opened {
    reader: Reader,
    vault: Vault,
    archive: Archive,
    size: SegmentSize,
}

/// What became of the request.
pub(super) enum Outcome {
    Placed,
    NotThere,
}

pub(super) fn run(context: &Context, args: &FetchArgs) -> Result<(), Failure> {
    let outcome = match &args.access.identity {
        Some(_) => fetch(context, args),
        None => unkeyed::fetch(context, args),
    };
    match outcome {
        Ok(Outcome::Placed) => Ok(()),
        Ok(Outcome::NotThere) => Err(Failure::new(
            Ending::No,
            format!("{} is not in the vault, and nothing that could follow it", args.file),
        )),
        // Whatever else has an answer of "no" is not this one.
        Err(failure) if failure.ending == Ending::No => {
            Err(Failure { ending: Ending::Failed, ..failure })
        }
        Err(failure) => Err(failure),
    }
}

/// The helper's work.
pub(super) fn run_ahead(context: &Context, args: &FetchArgs) -> Result<(), Failure> {
    let opened = open(context, args)?;
    let log = || opened.log();
    let filled = opened.ahead(context, args).fill(&opened.files(&log, args.end));
    filled.map_err(|error| Failure::of(Ending::Failed, &error))
}

fn fetch(context: &Context, args: &FetchArgs) -> Result<Outcome, Failure> {
    let opened = open(context, args)?;
    let ahead = opened.ahead(context, args);
    let segment = match WalFileName::parse(&args.file, opened.size) {
        Ok(WalFileName::Segment(segment)) if ahead.depth > 0 => Some(segment),
        _ => None,
    };
    // Without a place to fetch ahead into, it goes on without.
    let asked_before = segment.and_then(|segment| ahead.ask(segment).ok().flatten());
    if let Some(segment) = segment {
        match ahead.take(segment, &opened.reader.keys, &args.destination) {
            Ok(Taken::Moved) => {
                start_helper(context, args, &opened, (segment, asked_before));
                return Ok(Outcome::Placed);
            }
            Ok(Taken::Damaged(file)) => context.output.warn(&format!(
                "{} was changed after it was fetched; it is fetched again",
                file.display()
            )),
            Ok(Taken::NotThere) | Err(_) => {}
        }
    }
    let log = || opened.log();
    let found = opened.files(&log, args.end).fetch(&args.file).map_err(|error| failure(&error))?;
    let (file, remarks) = match found {
        Found::NotThere { remarks } => (None, remarks),
        Found::File(file) => {
            put(context, &args.destination, &file.bytes)?;
            (Some(file.sealed.is_some()), file.remarks)
        }
    };
    for remark in &remarks {
        context.output.warn(remark);
    }
    match (file, segment) {
        (Some(true), Some(segment)) => {
            start_helper(context, args, &opened, (segment, asked_before));
        }
        (Some(true), None) => {}
        // The end of what there is.
        (Some(false) | None, _) => ahead.remove(),
    }
    Ok(if file.is_some() { Outcome::Placed } else { Outcome::NotThere })
}

fn open(context: &Context, args: &FetchArgs) -> Result<Opened, Failure> {
    let reader = context.reader(&args.access, args.store.as_deref())?;
    let vault = context.vault(&reader.vault, reader.pins.clone());
    let store = reader.keys.store;
    // What the server knows of itself needs not be looked up in the log.
    let here = Path::new(".");
    let incarnation = match args.incarnation {
        Some(incarnation) => Some(incarnation),
        None => {
            let marker = Marker::read(&*context.disk, here)
                .map_err(|error| Failure::of(Ending::Input, &error).hint(error.hint()))?;
            marker.filter(|marker| marker.store == store).map(|marker| marker.incarnation)
        }
    };
    let size = read_control(context, here).map(|control| control.wal_segment_size);
    let (incarnation, size) = match (incarnation, size) {
        (Some(incarnation), Some(size)) => (incarnation, size),
        (incarnation, size) => {
            let log = open_log(&vault, &reader)
                .map_err(|error| Failure::of(Ending::Failed, &error).during("read the log"))?;
            let mut backups = log.catalogue().live().rev().filter_map(|row| row.wal);
            let newest = backups.find(|wal| incarnation.is_none_or(|of| of == wal.incarnation));
            let newest = newest.ok_or_else(|| {
                Failure::new(Ending::Input, "the vault has no backup of this life of the cluster")
                    .hint("`soter backups` shows what there is")
            })?;
            let recorded = SegmentSize::new(newest.segment_bytes)
                .map_err(|error| Failure::of(Ending::Failed, &error))?;
            (newest.incarnation, size.unwrap_or(recorded))
        }
    };
    let segment_size = VaultSegmentSize::new(size.bytes())
        .ok_or_else(|| Failure::new(Ending::Failed, "the segment size is none"))?;
    Ok(Opened { archive: Archive { store, incarnation, segment_size }, reader, vault, size })
}

/// The control file of the server that asks. It may be torn just now; the log knows the segment size,
/// too.
pub(super) fn read_control(context: &Context, data: &Path) -> Option<ControlFile> {
    let path = data.join("global/pg_control");
    let bytes = durable::read(&*context.disk, &path, CONTROL_FILE_LENGTH_MAX).ok()?;
    ControlFile::parse(&bytes).ok()
}

fn open_log(vault: &Vault, reader: &Reader) -> Result<Log, LogError> {
    Log::open(vault, reader.keys.store, reader.vault.trust().clone(), None)
}

impl Opened {
    fn log(&self) -> Result<Log, LogError> {
        open_log(&self.vault, &self.reader)
    }

    fn files<'a>(
        &'a self,
        log: &'a (dyn Fn() -> Result<Log, LogError> + Sync),
        end: Option<Lsn>,
    ) -> WalFiles<'a> {
        let (store, clock) = (&*self.vault.objects, &*self.vault.clock);
        let trust = self.reader.vault.trust();
        let wal = WalVault { store, clock, trust, archive: self.archive };
        WalFiles { wal, keys: &self.reader.keys, log, end }
    }

    fn ahead<'a>(&self, context: &'a Context, args: &FetchArgs) -> Ahead<'a> {
        let is_server = args.destination.file_name().is_some_and(|name| name == SERVERS_NAME);
        let usual = if is_server { usual_depth(self.size) } else { 0 };
        Ahead {
            disk: &*context.disk,
            clock: &*context.clock,
            directory: directory_for(&args.destination, &self.archive),
            size: self.size,
            depth: args.ahead.unwrap_or(usual),
        }
    }
}

/// Starts the helper that fetches ahead, if one is of use. Without it everything is only slower.
fn start_helper(
    context: &Context,
    args: &FetchArgs,
    opened: &Opened,
    (segment, before): (SegmentName, Option<SegmentName>),
) {
    let ahead = opened.ahead(context, args);
    if !ahead.wants_helper(segment, before) {
        return;
    }
    let Ok(binary) = std::env::current_exe() else { return };
    let mut words: Vec<OsString> = vec!["--quiet".into(), "--plan".into()];
    words.push(context.plan_path.clone().into());
    words.extend(["wal".into(), "ahead".into(), args.file.clone().into()]);
    words.push(args.destination.clone().into());
    let mut option = |name: &str, value: Option<OsString>| {
        if let Some(value) = value {
            words.extend([OsString::from(name), value]);
        }
    };
    option("--store", Some(opened.reader.name.clone().into()));
    option("--vault", args.access.vault.clone().map(OsString::from));
    option("--identity", args.access.identity.clone().map(OsString::from));
    option("--incarnation", Some(opened.archive.incarnation.to_string().into()));
    option("--ahead", Some(ahead.depth.to_string().into()));
    let helper = exec::Command::new(binary).args(words);
    match helper.stdout(exec::Output::Null).stderr(exec::Output::Null).spawn() {
        // It goes on when we end, which is now.
        Ok(helper) => drop(helper.release()),
        Err(error) => context.output.warn(&format!("nothing is fetched ahead: {error}")),
    }
}

/// Puts a file where the server wants it.
pub(super) fn put(context: &Context, destination: &Path, bytes: &[u8]) -> Result<(), Failure> {
    place(&*context.disk, destination, bytes).map_err(|error| {
        Failure::of(Ending::Failed, &error)
            .during(&format!("write {}", destination.display()))
            .hint("restore_command calls this with %f and %p, in the data directory")
    })
}

pub(super) fn failure(error: &FetchError) -> Failure {
    let ending = match error.kind() {
        ErrorKind::Input => Ending::Input,
        _ => Ending::Failed,
    };
    Failure::of(ending, error).hint(error.hint())
}
