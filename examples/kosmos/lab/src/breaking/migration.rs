//! A bad migration, as it comes with a release: it runs without an error, is committed, and is wrong.

use jiff::Timestamp;
use serde_json::json;

use super::Damage;
use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::parts::connect;

/// It was meant to trim texts and to drop a column that nobody uses.
const MIGRATION: &str = "
BEGIN;
ALTER TABLE agent_sessions DROP COLUMN agent;
UPDATE conversations SET text = left(text, 0), updated_at = clock_timestamp();
COMMIT;
";

/// Runs it. The details say until when all was well, by the server's clock.
pub(super) fn run(lab: &Lab) -> Result<Damage, Failure> {
    let admin = lab.address("postgres-admin")?;
    let mut client = connect(&admin).map_err(|why| Failure::new(Ending::Failed, why))?;
    let ask = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, \
               (SELECT count(*) FROM conversations)";
    let row = client.query_one(ask, &[]).map_err(failed("ask the server"))?;
    let before = Timestamp::from_microsecond(row.get(0)).map_err(failed("read the time"))?;
    let rows: i64 = row.get(1);
    client.batch_execute(MIGRATION).map_err(failed("run the migration"))?;
    Ok(Damage {
        what: format!("a migration has emptied {rows} conversations and dropped a column"),
        details: json!({"before": before.to_string(), "rows": rows,
            "dropped": "agent_sessions.agent", "overwritten": "conversations.text"}),
    })
}
