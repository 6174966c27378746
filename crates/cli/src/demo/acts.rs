//! The play: five acts, each in a function of its own.

mod mistake;
mod prepare;
mod protect;
mod recover;
mod strike;

use std::time::Duration;

use soter_postgres::lsn::Lsn;
use soter_postgres::postmaster::Postmaster;

use super::cluster::Server;
use super::load::Load;
use super::measure::{Latency, seconds};
use super::product::Agent;
use super::report::{Report, latency};
use super::screen::grouped;
use super::{Stage, failed};
use crate::failure::{Ending, Failure};

/// How long after its start a load counts: connections are made, caches are warm.
const WARM_UP: Duration = Duration::from_secs(1);

/// How often the living line says how far the load is.
const LOOK: Duration = Duration::from_millis(200);

/// Numbers of the loads, which no two share.
const FIRST_LOAD: u32 = 0;
const SECOND_LOAD: u32 = 1;

/// A cluster that is protected, at work.
struct Protected {
    server: Server,
    agent: Agent,
    /// Where the agent began to stream.
    streamed_from: Lsn,
    /// Its base backup, as `soter backups` describes it.
    backup: serde_json::Value,
    load: Load,
}

/// All acts, one after the other.
pub(super) fn play(stage: &Stage<'_>) -> Result<Report, Failure> {
    let mut differences = Vec::new();
    let (server, postmaster): (Server, Postmaster) = prepare::cluster(stage)?;
    let load = Load::start(stage, &server, FIRST_LOAD)?;
    let without = measured(stage, &load, "commits without Soter")?;
    let (product, first) = protect::first(stage, server, load)?;
    let (first, protection) = protect::measure(stage, &product, first, without)?;
    let struck = strike::machine(stage, first, postmaster)?;
    let (recovered, machine) = recover::machine(stage, &product, &struck, &mut differences)?;
    let (second, _postmaster) = protect::again(stage, &product, &recovered)?;
    let table = mistake::drop_and_recover(stage, &product, second, &mut differences)?;
    let commits = machine.commits.and(table.commits);
    Ok(Report {
        postgres: stage.programs.version().to_string(),
        scale: stage.wishes.scale,
        protection,
        machine,
        table,
        commits,
        differences,
        total_seconds: seconds(stage.screen.elapsed()),
    })
}

/// Lets the load work for as long as was asked, and measures its commits.
fn measured(stage: &Stage<'_>, load: &Load, what: &str) -> Result<Latency, Failure> {
    let clock = &*stage.context.clock;
    stage.screen.begin(what);
    let from = clock.monotonic() + WARM_UP;
    let to = from + stage.wishes.load;
    while clock.monotonic() < to {
        load.check()?;
        let commits = grouped(load.commits());
        stage.screen.live(&format!("{what}: {commits} acknowledged so far"));
        stage.pause(LOOK)?;
    }
    let measured = Latency::of(&load.samples(), from, to);
    let measured =
        measured.ok_or_else(|| Failure::new(Ending::Failed, "not one commit was acknowledged"))?;
    stage.screen.done(&format!("{what}: {}", latency(&measured)));
    Ok(measured)
}

/// The numbers of the orders that are there.
fn orders(server: &Server) -> Result<std::collections::BTreeSet<i64>, Failure> {
    let rows = server.connect()?.query("SELECT id FROM orders", &[]);
    let rows = rows.map_err(failed("count the orders"))?;
    rows.iter().map(|row| row.try_get(0).map_err(failed("count the orders"))).collect()
}
