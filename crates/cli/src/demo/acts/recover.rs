//! From the vault and a key to a server that answers, and what is on it.

use serde_json::Value;
use soter_postgres::agent::{CANARY_SCHEMA, CANARY_TABLE};

use super::super::cluster::Server;
use super::super::measure::seconds;
use super::super::product::{CANARY_SECONDS, Product, STORE, fraction, text, whole};
use super::super::report::{Commits, Disaster, Recovery};
use super::super::screen::grouped;
use super::super::{Stage, failed};
use super::orders;
use super::strike::Struck;
use crate::failure::{Ending, Failure};

/// pgbench's books: what every transaction adds in one place it adds in three others.
const BOOKS: &str = "SELECT
    (SELECT sum(abalance) FROM pgbench_accounts)::bigint,
    (SELECT sum(tbalance) FROM pgbench_tellers)::bigint,
    (SELECT sum(bbalance) FROM pgbench_branches)::bigint,
    (SELECT coalesce(sum(delta), 0) FROM pgbench_history)::bigint";

/// The lost machine's cluster, somewhere else.
pub(super) fn machine(
    stage: &Stage<'_>,
    product: &Product,
    struck: &Struck,
    differences: &mut Vec<String>,
) -> Result<(Server, Disaster), Failure> {
    let screen = stage.screen;
    screen.act(4, "Brought back, to the last acknowledged commit");
    let (server, recovery) = restore(stage, product, "recovered", &["--to", "latest"])?;
    screen.begin("the first order on the recovered server");
    let insert = "INSERT INTO orders (id, client, what) VALUES (-1, -1, 'the first one after')";
    server.execute(insert)?;
    let outage = stage.context.clock.monotonic().saturating_sub(struck.moment);
    let there = {
        let mut there = orders(&server)?;
        there.remove(&-1);
        there
    };
    let commits = Commits::compare(&struck.acknowledged, &there);
    if commits.lost > 0 {
        differences.push(format!(
            "{} acknowledged commits were lost with the machine",
            grouped(commits.lost)
        ));
    }
    screen.done(&format!(
        "orders: {} acknowledged, {} there, {} lost",
        grouped(commits.acknowledged),
        grouped(commits.recovered),
        grouped(commits.lost)
    ));
    if commits.unacknowledged > 0 {
        screen.note(&format!(
            "also there, though no client had been told yet: {}",
            commits.unacknowledged
        ));
    }
    check_books(stage, &server, differences)?;
    let age = canary_age(&server, struck)?;
    let disaster = Disaster {
        commits,
        rpo_by_canary_seconds: age,
        canary_every_seconds: CANARY_SECONDS,
        outage_seconds: seconds(outage),
        recovery,
    };
    Ok((server, disaster))
}

/// Runs `soter restore --start`.
pub(super) fn restore(
    stage: &Stage<'_>,
    product: &Product,
    name: &str,
    to: &[&str],
) -> Result<(Server, Recovery), Failure> {
    let what = format!("soter restore {} --start", to.join(" "));
    stage.screen.begin(&what);
    let (url, target) = (product.url(), stage.place.path(name).display().to_string());
    let identity = product.identity();
    let access = ["restore", STORE, "--vault", &url, "--identity", &identity];
    let programs = stage.programs.directory();
    let whither = ["--target-dir", &target, "--start", "--bin-dir", &programs];
    let said = product.json(stage, &[&access[..], &whither, to].concat())?;
    let started = &said["started"];
    let port = whole(started, "port")?;
    let port = u16::try_from(port).map_err(failed("understand what soter printed"))?;
    let server = Server {
        data: target.into(),
        socket_directory: text(started, "socket_directory")?.into(),
        port,
    };
    let recovery = Recovery {
        end: text(started, "end_reached")?.to_owned(),
        timeline: whole(started, "timeline")?,
        bytes_read: whole(&said, "bytes_read")?,
        rto_seconds: fraction(started, "rto_seconds")?,
    };
    stage.screen.done(&format!("{what}: it answers"));
    stage.screen.note(&phases(started));
    Ok((server, recovery))
}

/// `write 2.1 s, replay 1.0 s`
fn phases(started: &Value) -> String {
    let phases = started["phases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = phases.iter().filter_map(|phase| {
        Some(format!("{} {:.1} s", phase["name"].as_str()?, phase["seconds"].as_f64()?))
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Transactions are there whole or not at all.
fn check_books(
    stage: &Stage<'_>,
    server: &Server,
    differences: &mut Vec<String>,
) -> Result<(), Failure> {
    stage.screen.begin("adding up pgbench's books");
    let row = server.connect()?.query_one(BOOKS, &[]).map_err(failed("add up the books"))?;
    let sums: [i64; 4] = std::array::from_fn(|column| row.get(column));
    if sums.iter().all(|sum| *sum == sums[0]) {
        stage.screen.done("pgbench's books balance: accounts, tellers, branches, history");
    } else {
        let what = format!("pgbench's books do not balance: {sums:?}");
        stage.screen.differs(&what);
        differences.push(what);
    }
    Ok(())
}

/// How old the youngest canary was that came back, when the machine died.
fn canary_age(server: &Server, struck: &Struck) -> Result<f64, Failure> {
    let micros = format!(
        "SELECT (extract(epoch FROM max(written_at)) * 1000000)::bigint \
         FROM {CANARY_SCHEMA}.{CANARY_TABLE}"
    );
    let row = server.connect()?.query_one(&micros, &[]).map_err(failed("read the canary"))?;
    let micros: Option<i64> = row.get(0);
    let micros =
        micros.ok_or_else(|| Failure::new(Ending::Failed, "no canary was written in time"))?;
    let age = struck.at.as_microsecond().saturating_sub(micros);
    Ok(seconds(std::time::Duration::from_micros(u64::try_from(age).unwrap_or_default())))
}
