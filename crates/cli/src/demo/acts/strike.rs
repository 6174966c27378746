//! The machine dies under load: server, agent, data directory, WAL, spool. Nothing is told before.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use soter_postgres::postmaster::Postmaster;

use super::super::processes::kill_below;
use super::super::screen::grouped;
use super::super::{Stage, failed};
use super::Protected;
use crate::failure::Failure;

/// What is known of a lost machine.
pub(super) struct Struck {
    /// When, by the clock that people read.
    pub(super) at: Timestamp,
    /// The same, to measure by.
    pub(super) moment: Duration,
    /// What clients had been told is done.
    pub(super) acknowledged: BTreeSet<i64>,
}

/// Does it.
pub(super) fn machine(
    stage: &Stage<'_>,
    protected: Protected,
    postmaster: Postmaster,
) -> Result<Struck, Failure> {
    let screen = stage.screen;
    screen.act(3, "The machine is lost");
    let Protected { server, agent, load, .. } = protected;
    let at = stage.context.clock.now();
    let moment = stage.context.clock.monotonic();
    let killed = kill_below(&server.data, &*stage.context.clock)
        .map_err(failed("kill the server's processes"))?;
    screen.drill(&format!("SIGKILL to all {killed} processes of the server, under load"));
    agent.kill();
    drop(postmaster);
    screen.drill("SIGKILL to the agent beside it");
    let acknowledged = load.stop()?;
    for directory in [&server.socket_directory, &stage.place.path("agent")] {
        fs::remove_dir_all(directory).map_err(failed("delete what was there"))?;
    }
    screen.drill("data directory, pg_wal and the agent's spool deleted");
    let count = grouped(acknowledged.len() as u64);
    screen.note(&format!("left: the vault, a key, clients with {count} acknowledged commits"));
    Ok(Struck { at, moment, acknowledged })
}
