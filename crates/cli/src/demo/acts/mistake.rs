//! A table is dropped on the recovered cluster, and brought back as it was just before.

use std::collections::BTreeSet;

use super::super::cluster::Server;
use super::super::load::first_number;
use super::super::product::Product;
use super::super::report::{Commits, Mistake};
use super::super::screen::grouped;
use super::super::{Stage, failed};
use super::recover::restore;
use super::{LOOK, Protected, SECOND_LOAD, orders};
use crate::failure::Failure;

/// Orders that clients place on the recovered cluster before somebody makes a mistake.
const ORDERS_BEFORE: u64 = 500;

/// Of the table: how many rows, and a sum over all that is in them.
const CONTENT: &str = "SELECT count(*), \
                       coalesce(md5(string_agg(o::text, E'\\n' ORDER BY id)), '') FROM orders o";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    rows: i64,
    sum: String,
}

/// What is known of the dropped table.
struct Dropped {
    transaction: String,
    content: Content,
    /// What clients had been told is done before.
    acknowledged: BTreeSet<i64>,
}

/// Does it and mends it.
pub(super) fn drop_and_recover(
    stage: &Stage<'_>,
    product: &Product,
    protected: Protected,
    differences: &mut Vec<String>,
) -> Result<Mistake, Failure> {
    let screen = stage.screen;
    let dropped = drop_table(stage, protected)?;
    screen.act(7, "Brought back, to just before the DROP TABLE");
    let to = format!("xid:{}", dropped.transaction);
    let (server, recovery) = restore(stage, product, "before", &["--to", &to, "--exclusive"])?;
    screen.begin("comparing every row");
    let there = content(&mut server.connect()?)?;
    let is_equal = there == dropped.content;
    let commits = Commits::compare(&dropped.acknowledged, &own_orders(&server)?);
    if is_equal {
        screen.done(&format!("{} rows, every one as it was", grouped(count(there.rows))));
    } else {
        let what = format!(
            "the table had {} rows ({}) and has {} ({})",
            dropped.content.rows, dropped.content.sum, there.rows, there.sum
        );
        screen.differs(&what);
        differences.push(what);
    }
    if commits.lost > 0 {
        let lost = grouped(commits.lost);
        differences.push(format!("{lost} acknowledged commits were lost with the table"));
    }
    Ok(Mistake {
        transaction: dropped.transaction,
        rows: count(dropped.content.rows),
        rows_recovered: count(there.rows),
        is_equal,
        commits,
        recovery,
    })
}

/// Somebody drops the table that clients are writing to. What was in it is looked up in the same
/// transaction, behind the lock, so that it is what the table had at its end.
fn drop_table(stage: &Stage<'_>, protected: Protected) -> Result<Dropped, Failure> {
    let screen = stage.screen;
    let Protected { server, agent, load, .. } = protected;
    while load.commits() < ORDERS_BEFORE {
        load.check()?;
        screen.live(&format!("{} orders on the recovered cluster", grouped(load.commits())));
        stage.pause(LOOK)?;
    }
    screen.note(&format!("clients have placed {} more orders", grouped(load.commits())));
    screen.act(6, "A table is lost");
    let mut client = server.connect()?;
    let cannot = failed::<postgres::Error>;
    let mut transaction = client.transaction().map_err(cannot("drop a table"))?;
    let lock = "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE";
    transaction.batch_execute(lock).map_err(cannot("drop a table"))?;
    let content = content(&mut transaction)?;
    transaction.batch_execute("DROP TABLE orders").map_err(cannot("drop a table"))?;
    let row = transaction.query_one("SELECT pg_current_xact_id()::text", &[]);
    let id: String = row.and_then(|row| row.try_get(0)).map_err(cannot("drop a table"))?;
    transaction.commit().map_err(cannot("drop a table"))?;
    let acknowledged = load.stop()?;
    screen.drill(&format!(
        "DROP TABLE orders, transaction {id}, {} rows, under load",
        grouped(count(content.rows))
    ));
    // It goes on working: what comes back comes back beside it.
    drop(agent);
    Ok(Dropped { transaction: id, content, acknowledged })
}

fn content(client: &mut impl postgres::GenericClient) -> Result<Content, Failure> {
    let row = client.query_one(CONTENT, &[]).map_err(failed("look into the table"))?;
    Ok(Content { rows: row.get(0), sum: row.get(1) })
}

/// The orders of the load that ran when the table was dropped.
fn own_orders(server: &Server) -> Result<BTreeSet<i64>, Failure> {
    Ok(orders(server)?.split_off(&first_number(SECOND_LOAD)))
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or_default()
}
