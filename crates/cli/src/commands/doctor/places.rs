//! Places: the key, the vault, the spool, the agent; whether they can be used, and have room.

use std::io;
use std::path::{Path, PathBuf};

use soter_plan::VaultUrl;
use soter_postgres::agent::{ask_status, socket_in};
use soter_postgres::cluster::SystemIdentifier;
use soter_postgres::incarnation::{self, Marker};
use soter_postgres::server::checks::Severity;
use soter_vault::keys::{AgentKey, KeyFile};
use soter_vault::log::Log;
use soter_world::{Disk, durable};

use super::super::agent::state_directory;
use super::server::Known;
use super::{Patient, Row};
use crate::context::{Writer, file_failure, kept_in_the_first_only, postgres};
use crate::output::human_bytes;

/// Whether an agent answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AgentState {
    Running,
    NotThere,
}

/// Looks for the agent. That it is missing is said with the server's findings: with
/// `archive_command` none is needed.
pub(super) fn agent(patient: &Patient<'_>, rows: &mut Vec<Row>) -> AgentState {
    let socket = socket_in(&state_directory(patient.name, patient.store));
    match ask_status(&socket) {
        Ok(Some(_)) => AgentState::Running,
        Ok(None) => AgentState::NotThere,
        Err(error) => {
            let what = format!("the agent at {} does not answer: {error}", socket.display());
            rows.push(
                Row::error("agent-silent", what)
                    .hint("run this as the agent's user or root; see the agent's log"),
            );
            AgentState::Running
        }
    }
}

/// Looks at the agent's key, at the vault, and at the room for both.
pub(super) fn vault(patient: &Patient<'_>, known: Option<&Known>, rows: &mut Vec<Row>) {
    one_vault_only(patient, rows);
    let first = patient.store.vault();
    let Some(described) = first.and_then(|name| patient.plan.vaults.get(name)) else { return };
    let disk = &*patient.context.disk;
    let VaultUrl::File(directory) = &described.url;
    room(patient, directory, known, rows);
    if let Err(error) = AgentKey::load(disk, &described.agent_key) {
        rows.push(Row::of("key-unusable", file_failure(&error)));
        return;
    }
    let writer = match patient.context.writer(patient.plan, patient.name, patient.store) {
        Ok(writer) => writer,
        Err(failure) => {
            rows.push(Row::of("vault-unusable", failure));
            return;
        }
    };
    if let Err(error) = try_to_write(disk, directory, &writer) {
        let what = format!("cannot write to the vault in {}: {error}", directory.display());
        let owner = disk.metadata(&postgres(patient.store).data_directory);
        let owner = owner.map_or(String::new(), |found| found.owner.user.to_string());
        rows.push(
            Row::error("vault-not-writable", what)
                .hint("it must be writable for the agent's user, in a shell as root")
                .command(format!("chown -R {owner} {}", directory.display())),
        );
    }
    life(patient, &writer, known.map(|known| known.facts.system_identifier), rows);
}

/// What the plan promises and this version does not do.
pub(super) fn one_vault_only(patient: &Patient<'_>, rows: &mut Vec<Row>) {
    if let Some(what) = kept_in_the_first_only(patient.name, patient.store) {
        rows.push(
            Row::error("one-vault-only", what)
                .severity(Severity::Warning)
                .why("this version writes to the first vault that the plan names and to no other")
                .hint(
                    "name one vault in the plan; have the vault's place copied elsewhere by other \
                     means, and say so under `copies`",
                ),
        );
    }
}

/// Writing what no reader takes for an object, where the vault and where its log grows.
pub(super) fn try_to_write(disk: &dyn Disk, directory: &Path, writer: &Writer) -> io::Result<()> {
    let log = directory.join("log").join(writer.keys.store.to_string());
    for place in [directory, &log] {
        match durable::create_temporary(disk, &place.join("doctor")) {
            Ok((temporary, _)) => disk.remove_file(&temporary)?,
            // Nothing was logged yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound && place == log => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the data directory is the store's present life.
fn life(
    patient: &Patient<'_>,
    writer: &Writer,
    cluster: Option<SystemIdentifier>,
    rows: &mut Vec<Row>,
) {
    let context = patient.context;
    let vault = context.vault(&writer.vault, writer.pins.clone());
    let log = match Log::open(&vault, writer.keys.store, writer.vault.trust().clone(), None) {
        Ok(log) => log,
        Err(error) => {
            let what = format!("the log of the store cannot be read: {error}");
            rows.push(Row::error("log-unreadable", what).hint("soter vault verify"));
            return;
        }
    };
    let Some(present) = incarnation::current(log.catalogue()) else { return };
    let Some(system_identifier) = cluster else { return };
    let data = &postgres(patient.store).data_directory;
    let (store, incarnation) = (writer.keys.store, present.id);
    let expected = Marker { store, incarnation, system_identifier };
    let found = Marker::read(&*context.disk, data);
    if let Err(error) = found.and_then(|found| Marker::check(found, &expected)) {
        rows.push(
            Row::error("not-adopted", error.to_string())
                .why("nothing is written to the vault for it")
                .hint(error.hint())
                .command(patient.command(&format!(
                    "adopt {} --data-dir {}",
                    patient.name,
                    data.display()
                ))),
        );
    }
}

fn room(patient: &Patient<'_>, vault: &Path, known: Option<&Known>, rows: &mut Vec<Row>) {
    let disk = &*patient.context.disk;
    let free = |path: &Path| disk.available_bytes(&existing(disk, path)).ok();
    let size = known.and_then(|known| known.bytes);
    if let (Some(free), Some(size)) = (free(vault), size)
        && free < size
    {
        let what = format!(
            "the vault's disk has {} free, the databases have {}",
            human_bytes(free),
            human_bytes(size)
        );
        rows.push(
            Row::error("vault-space", what)
                .severity(Severity::Warning)
                .why("a full backup and the WAL of its days may not fit")
                .hint("make room, or put the vault on a larger disk"),
        );
    }
    if let Some(spool) = &postgres(patient.store).wal.spool
        && let Some(free) = free(&spool.directory)
        && free < spool.limit.0
    {
        let what = format!(
            "the spool may have {}, its disk has {} free",
            human_bytes(spool.limit.0),
            human_bytes(free)
        );
        rows.push(
            Row::error("spool-space", what)
                .severity(Severity::Warning)
                .why("WAL that waits for the vault fills the disk")
                .hint("make room, or lower the plan's wal.spool.limit"),
        );
    }
    let device = |path: &Path| disk.metadata(&existing(disk, path)).ok().map(|found| found.device);
    let data = &postgres(patient.store).data_directory;
    if let (Some(one), Some(other)) = (device(vault), device(data))
        && one == other
    {
        rows.push(
            Row::error("vault-beside-data", "the vault is on the disk of the data directory")
                .severity(Severity::Notice)
                .why("what destroys that disk destroys both")
                .hint("put the vault on another disk, better on another machine"),
        );
    }
}

/// The place itself, or where it would be made.
pub(super) fn existing(disk: &dyn Disk, path: &Path) -> PathBuf {
    let there = path.ancestors().find(|path| disk.metadata(path).is_ok());
    there.unwrap_or(Path::new("/")).to_owned()
}
