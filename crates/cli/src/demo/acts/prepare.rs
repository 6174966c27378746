//! A cluster with work to do, as yet without protection.

use soter_postgres::postmaster::Postmaster;

use super::super::cluster::Server;
use super::super::load::ORDERS;
use super::super::screen::grouped;
use super::super::{Stage, failed};
use crate::failure::Failure;
use crate::output::human_bytes;

/// Accounts of each unit of pgbench's scale.
const ACCOUNTS_PER_SCALE: u64 = 100_000;

/// Makes it, fills it, starts it.
pub(super) fn cluster(stage: &Stage<'_>) -> Result<(Server, Postmaster), Failure> {
    let (screen, programs) = (stage.screen, stage.programs);
    screen.act(1, "A cluster at work");
    screen.begin("initdb");
    let server = programs.make_cluster(stage)?;
    let postmaster = programs.start(stage.context, &server, stage.stop)?;
    screen.done("a new cluster, fsync on, page checksums on");
    let accounts = grouped(u64::from(stage.wishes.scale) * ACCOUNTS_PER_SCALE);
    screen.begin(&format!("pgbench makes {accounts} accounts"));
    let fill = programs
        .client("pgbench", &server)
        .args(["--initialize", "--init-steps=dtGvp", "--quiet"])
        .arg(format!("--scale={}", stage.wishes.scale))
        .current_dir(stage.place.root());
    stage.finish("pgbench --initialize", fill)?;
    server.execute(ORDERS)?;
    // What was made is written out before anything is measured, as it would be on a cluster that has
    // been at work for a while.
    server.execute("CHECKPOINT")?;
    screen.done(&format!("pgbench: {accounts} accounts, {}", human_bytes(size(&server)?)));
    Ok((server, postmaster))
}

fn size(server: &Server) -> Result<u64, Failure> {
    let row = server.connect()?.query_one("SELECT pg_database_size(current_database())", &[]);
    let size: i64 =
        row.and_then(|row| row.try_get(0)).map_err(failed("ask how large the database is"))?;
    Ok(u64::try_from(size).unwrap_or_default())
}
