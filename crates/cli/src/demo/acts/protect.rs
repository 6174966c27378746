//! A cluster becomes a protected one: vault, agent, synchronous commits, base backup, all under load.

use serde_json::Value;
use soter_postgres::lsn::Lsn;
use soter_postgres::postmaster::Postmaster;

use super::super::cluster::Server;
use super::super::load::Load;
use super::super::measure::{Latency, size_below};
use super::super::product::{Agent, Product, STORE, whole};
use super::super::report::{Protection, percent};
use super::super::{Stage, failed};
use super::{Protected, SECOND_LOAD, measured};
use crate::failure::{Ending, Failure};
use crate::output::human_bytes;

/// How the agent is known to the server it protects.
const APPLICATION: &str = "soter_orders";

/// Protects the first cluster, which is at work already.
pub(super) fn first(
    stage: &Stage<'_>,
    server: Server,
    load: Load,
) -> Result<(Product, Protected), Failure> {
    stage.screen.act(2, "Protected, while it works");
    stage.screen.begin("soter vault init");
    let product = Product::init(stage)?;
    stage.screen.done("soter vault init: a vault in a directory, and its keys");
    let protected = protect(stage, &product, server, load)?;
    Ok((product, protected))
}

/// Measures what protection costs, and how much was stored.
pub(super) fn measure(
    stage: &Stage<'_>,
    product: &Product,
    protected: Protected,
    latency_without: Latency,
) -> Result<(Protected, Protection), Failure> {
    let latency_with = measured(stage, &protected.load, "commits with Soter")?;
    let backup = &protected.backup;
    let status = product.wait(stage, &protected.agent, "it says how it stands", |status| {
        status["wal"].is_object()
    })?;
    let protection = Protection {
        cluster_bytes: whole(backup, "total_bytes")?,
        backup_stored_bytes: whole(backup, "new_bytes")?,
        wal_bytes: streamed(protected.streamed_from, &status)?,
        wal_segments_stored_bytes: stored(product, "wal")?,
        wal_parts_stored_bytes: stored(product, "live")?,
        latency_without,
        latency_with,
    };
    Ok((protected, protection))
}

/// Where a slot that is made now begins: at the segment of the last checkpoint.
fn first_segment(server: &Server) -> Result<Lsn, Failure> {
    let segment = "SELECT (redo_lsn - '0/0'::pg_lsn)::bigint / bytes_per_wal_segment \
                     * bytes_per_wal_segment FROM pg_control_checkpoint(), pg_control_init()";
    let row = server.connect()?.query_one(segment, &[]).map_err(failed("ask the server"))?;
    let first: i64 = row.try_get(0).map_err(failed("ask the server"))?;
    Ok(Lsn(u64::try_from(first).unwrap_or_default()))
}

/// How much WAL is durable in the vault.
fn streamed(from: Lsn, status: &Value) -> Result<u64, Failure> {
    let to: Option<Lsn> = status["wal"]["durable"].as_str().and_then(|to| to.parse().ok());
    let to =
        to.ok_or_else(|| Failure::new(Ending::Failed, "soter did not say how far the WAL is"))?;
    Ok(to.0.saturating_sub(from.0))
}

/// Takes the recovered cluster into service, protects it, and lets clients work on it.
pub(super) fn again(
    stage: &Stage<'_>,
    product: &Product,
    recovered: &Server,
) -> Result<(Protected, Postmaster), Failure> {
    let screen = stage.screen;
    screen.act(5, "Back at work, and protected again");
    screen.begin("restarting with its own configuration");
    let (server, postmaster) = stage.programs.take_over(stage, recovered)?;
    screen.done("restarted with its own configuration, as a server in service");
    screen.begin("soter adopt");
    product.write_plan(stage, &server)?;
    let data = server.data.display().to_string();
    product.json(stage, &["adopt", STORE, "--data-dir", &data])?;
    screen.done("soter adopt: it has a life of its own in the vault");
    let load = Load::start(stage, &server, SECOND_LOAD)?;
    let protected = protect(stage, product, server, load)?;
    Ok((protected, postmaster))
}

/// Starts the agent, makes commits wait for it, waits for the base backup, which `soter backups`
/// describes.
fn protect(
    stage: &Stage<'_>,
    product: &Product,
    server: Server,
    load: Load,
) -> Result<Protected, Failure> {
    let screen = stage.screen;
    screen.begin("soter agent");
    product.write_plan(stage, &server)?;
    let streamed_from = first_segment(&server)?;
    let agent = product.agent(stage)?;
    product.wait(stage, &agent, "the agent streams", |status| {
        status["wal"].is_object()
            && status["doing"].as_str().is_some_and(|doing| doing.contains("streaming"))
    })?;
    screen.done("soter agent: streams WAL through a slot of its own");
    screen.begin("commits are to wait for the vault");
    make_synchronous(stage, &server, &agent)?;
    screen.done("synchronous: a commit returns when the vault has it");
    screen.begin("base backup, under load");
    let status = product.wait(stage, &agent, "there is a base backup", |status| {
        status["backup"]["last_id"].is_string()
    })?;
    let id = status["backup"]["last_id"].clone();
    let listed = product.json(stage, &["backups", STORE])?;
    let backups = listed["backups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let made = backups.iter().find(|backup| backup["id"] == id).cloned();
    let made = made.ok_or_else(|| Failure::new(Ending::Failed, "soter lists no base backup"))?;
    let (total, new) = (whole(&made, "total_bytes")?, whole(&made, "new_bytes")?);
    screen.done(&format!(
        "base backup, meanwhile: {}, stored as {} ({})",
        human_bytes(total),
        human_bytes(new),
        percent(new, total)
    ));
    Ok(Protected { server, agent, streamed_from, backup: made, load })
}

/// Tells the server to wait for the agent, and waits until it does.
fn make_synchronous(stage: &Stage<'_>, server: &Server, agent: &Agent) -> Result<(), Failure> {
    let mut client = server.connect()?;
    client
        .batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{APPLICATION}'"))
        .and_then(|()| client.batch_execute("SELECT pg_reload_conf()"))
        .map_err(failed("make commits wait for the vault"))?;
    let state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    stage.wait("the server waits for the vault", || {
        agent.check()?;
        let row = client.query_one(state, &[]).map_err(failed("ask the server"))?;
        Ok(row.get::<_, i64>(0) == 1)
    })
}

/// Bytes of a class of the vault's objects.
fn stored(product: &Product, class: &str) -> Result<u64, Failure> {
    let directory = product.vault().join(class);
    if !directory.exists() {
        return Ok(0);
    }
    size_below(&directory).map_err(failed("measure the vault"))
}
