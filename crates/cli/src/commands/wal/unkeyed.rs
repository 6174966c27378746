//! `soter wal fetch` without an operator's key: from the agent's own disk, or the proof that there is
//! nothing.

use std::path::Path;

use soter_plan::{Store, StoreName};
use soter_postgres::agent::{Answer, FetchDone, Request, ask, socket_in};
use soter_postgres::control::ControlFile;
use soter_postgres::fetch::{check_spooled, prove_absent};
use soter_postgres::incarnation::{self, Marker};
use soter_postgres::lsn::SegmentSize;
use soter_postgres::wal::name::{SegmentName, WalFileName};
use soter_vault::log::Log;
use soter_vault::wal::{Archive, SegmentSize as VaultSegmentSize, WalVault};
use soter_world::durable;

use super::super::agent::state_directory;
use super::fetch::{FetchArgs, Outcome, failure, put, read_control};
use crate::context::{Context, Writer, postgres};
use crate::failure::{Ending, Failure};

pub(super) fn fetch(context: &Context, args: &FetchArgs) -> Result<Outcome, Failure> {
    if args.access.vault.is_some() {
        return Err(Failure::new(Ending::Input, "--vault needs --identity")
            .hint("the operator's key file says which vault and root to believe"));
    }
    let plan = context.plan()?;
    let (name, store) = context.postgres_store(&plan, args.store.as_deref())?;
    // The server that asks; by hand, the plan's.
    let control = read_control(context, Path::new("."))
        .or_else(|| read_control(context, &postgres(store).data_directory));
    let control = control.ok_or_else(|| {
        Failure::new(Ending::Input, "no cluster's control file is here, nor where the plan says")
            .hint("restore_command calls this in the data directory; or give --identity FILE")
    })?;
    if let Ok(WalFileName::Segment(segment)) =
        WalFileName::parse(&args.file, control.wal_segment_size)
        && let Some(bytes) = from_agent(context, (name, store), segment, &control)
    {
        put(context, &args.destination, &bytes)?;
        return Ok(Outcome::Placed);
    }
    let Writer { vault: open, keys, pins } = context.writer(&plan, name, store)?;
    let vault = context.vault(&open, pins);
    let log = Log::open(&vault, keys.store, open.trust().clone(), None)
        .map_err(|error| Failure::of(Ending::Failed, &error).during("read the log"))?;
    let marker = Marker::read(&*context.disk, Path::new("."))
        .map_err(|error| Failure::of(Ending::Input, &error).hint(error.hint()))?;
    let marked = marker.filter(|marker| marker.store == keys.store);
    let incarnation = args.incarnation.or(marked.map(|marker| marker.incarnation));
    let incarnation =
        incarnation.or_else(|| incarnation::current(log.catalogue()).map(|life| life.id));
    let incarnation = incarnation.ok_or_else(|| {
        Failure::new(Ending::Input, "the store has no history yet")
            .hint("`soter backups` shows what there is")
    })?;
    let segment_size = vault_size(control.wal_segment_size)?;
    let archive = Archive { store: keys.store, incarnation, segment_size };
    let (objects, clock) = (&*vault.objects, &*vault.clock);
    let wal = WalVault { store: objects, clock, trust: log.trust(), archive };
    prove_absent(&wal, &args.file).map_err(|error| failure(&error))?;
    Ok(Outcome::NotThere)
}

fn vault_size(size: SegmentSize) -> Result<VaultSegmentSize, Failure> {
    VaultSegmentSize::new(size.bytes())
        .ok_or_else(|| Failure::new(Ending::Failed, "the segment size is none"))
}

/// A whole segment that a running agent has not sealed yet. Without an agent, or when the file has
/// just gone into the vault, the vault decides.
fn from_agent(
    context: &Context,
    (name, store): (&StoreName, &Store),
    segment: SegmentName,
    control: &ControlFile,
) -> Option<Vec<u8>> {
    let size = control.wal_segment_size;
    let socket = socket_in(&state_directory(name, store));
    let request = Request::Fetch { name: segment.to_file_name(size) };
    let Ok(Some(Answer::Done(found))) = ask(&socket, &request) else { return None };
    let FetchDone { path } = serde_json::from_value(found).ok()?;
    let length_max = usize::try_from(size.bytes()).ok()?;
    let bytes = durable::read(&*context.disk, &path?, length_max).ok()?;
    check_spooled(&bytes, segment, size, Some(control.system_identifier)).then_some(bytes)
}
