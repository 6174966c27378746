//! The server: whether it is reached, its settings, and whether the data directory is its.

use soter_plan::WalMode;
use soter_postgres::connection::ConnectionInfo;
use soter_postgres::control::ControlFile;
use soter_postgres::server::checks::{
    Desired, Protection, ReplicationProbe, checks, unsupported_version,
};
use soter_postgres::server::{Error as ServerError, ServerFacts};
use soter_world::{Stop, durable};

use super::super::agent::{connection, slot};
use super::places::AgentState;
use super::{Patient, Row};
use crate::context::postgres;
use crate::failure::{Ending, Failure};

/// The control file is one sector, padded to a page.
const CONTROL_FILE_LENGTH_MAX: usize = 64 << 10;

/// What is known of the server.
pub(super) struct Known {
    pub(super) facts: ServerFacts,
    /// How large all its databases are, if we may know.
    pub(super) bytes: Option<u64>,
}

/// Looks at the server.
pub(super) fn look(patient: &Patient<'_>, agent: AgentState, rows: &mut Vec<Row>) -> Option<Known> {
    let known = match ask(patient, agent, rows) {
        Ok(known) => known,
        Err(failure) => {
            rows.push(Row::of("server-unreachable", failure));
            None
        }
    };
    data_directory(patient, known.as_ref().map(|known| &known.facts), rows);
    known
}

fn ask(
    patient: &Patient<'_>,
    agent: AgentState,
    rows: &mut Vec<Row>,
) -> Result<Option<Known>, Failure> {
    let info = connection(patient.context, patient.store)?;
    let slot = slot(patient.store)?;
    let mut sql = info.connect_sql().map_err(|error| {
        Failure::of(Ending::Input, &error)
            .during("connect to the server")
            .hint("start it; look at the plan's connection, the role and pg_hba.conf")
    })?;
    let facts = match ServerFacts::read(&mut sql) {
        Ok(facts) => facts,
        Err(ServerError::Version(version)) => {
            rows.push(unsupported_version(version).into());
            return Ok(None);
        }
        Err(error) => return Err(Failure::of(Ending::Failed, &error)),
    };
    let protection = protection(patient, &facts, agent);
    let probe = match protection {
        Protection::ArchiveCommand(_) => ReplicationProbe::NotTried,
        Protection::Asynchronous | Protection::Synchronous => try_replication(&info),
    };
    let application_name = postgres(patient.store).wal.application_name.clone();
    let desired = Desired { slot, application_name, protection };
    rows.extend(checks(&facts, &probe, &desired).into_iter().map(Row::from));
    if agent == AgentState::NotThere && !matches!(desired.protection, Protection::ArchiveCommand(_))
    {
        rows.push(
            Row::error("agent-not-running", "no agent runs")
                .why("WAL is not streamed, and no backup is made when it is due")
                .hint("start it, as a service")
                .command(patient.command(&format!("agent {}", patient.name))),
        );
    }
    let size = "SELECT sum(pg_database_size(oid))::int8 FROM pg_database";
    let size = sql.query_one(size, &[]).ok().and_then(|row| row.try_get::<_, i64>(0).ok());
    Ok(Some(Known { facts, bytes: size.and_then(|size| u64::try_from(size).ok()) }))
}

/// Whoever archives by `wal push` without an agent wants no stream.
fn protection(patient: &Patient<'_>, facts: &ServerFacts, agent: AgentState) -> Protection {
    let command = facts.setting("archive_command").unwrap_or_default();
    let archives = facts.setting("archive_mode") != Some("off") && command.contains("wal push");
    match postgres(patient.store).wal.mode {
        _ if archives && agent == AgentState::NotThere => {
            Protection::ArchiveCommand(command.to_owned())
        }
        WalMode::Synchronous => Protection::Synchronous,
        WalMode::Asynchronous => Protection::Asynchronous,
    }
}

fn try_replication(info: &ConnectionInfo) -> ReplicationProbe {
    ReplicationProbe::try_now(info, &Stop::new())
}

/// The data directory must be there, ours to read, and that of the server.
fn data_directory(patient: &Patient<'_>, facts: Option<&ServerFacts>, rows: &mut Vec<Row>) {
    let data = &postgres(patient.store).data_directory;
    let path = data.join("global/pg_control");
    let read = durable::read(&*patient.context.disk, &path, CONTROL_FILE_LENGTH_MAX);
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) => {
            let what = format!("cannot read {}: {error}", path.display());
            let hint = "run as the server's user; look at the plan's data_directory";
            rows.push(Row::error("data-directory-unreadable", what).hint(hint));
            return;
        }
    };
    // Torn while it is written: nothing can be said of it now.
    let Ok(control) = ControlFile::parse(&bytes) else { return };
    if let Some(facts) = facts
        && facts.system_identifier != control.system_identifier
    {
        let what = format!(
            "the server is cluster {}, {} is of cluster {}",
            facts.system_identifier,
            data.display(),
            control.system_identifier
        );
        let hint = "the plan's connection and data_directory must be of one cluster";
        rows.push(Row::error("data-directory-other", what).hint(hint));
    }
}
