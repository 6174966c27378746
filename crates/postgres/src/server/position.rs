//! Where a server stands in its WAL, and making a standby the primary.

use std::time::Duration;

use postgres::Client;

use super::error::{Error, cannot};
use crate::lsn::Lsn;

/// Whether the server replays WAL instead of writing it.
pub fn is_in_recovery(client: &mut Client) -> Result<bool, Error> {
    let row = client
        .query_one("SELECT pg_catalog.pg_is_in_recovery()", &[])
        .map_err(cannot("ask whether the server is in recovery"))?;
    row.try_get(0).map_err(cannot("ask whether the server is in recovery"))
}

/// Up to where a primary has its own WAL on disk. A standby refuses to answer.
pub fn flush_position(client: &mut Client) -> Result<Lsn, Error> {
    const ACTION: &str = "ask for the flush position";
    let row = client
        .query_one("SELECT pg_catalog.pg_current_wal_flush_lsn()::text", &[])
        .map_err(cannot(ACTION))?;
    parse_lsn(row.try_get(0).map_err(cannot(ACTION))?)
}

/// Up to where a standby has replayed, or where replay ended on a server that was one; `None` on a
/// server that has not replayed anything since it was started.
pub fn replay_position(client: &mut Client) -> Result<Option<Lsn>, Error> {
    const ACTION: &str = "ask for the replay position";
    let row = client
        .query_one("SELECT pg_catalog.pg_last_wal_replay_lsn()::text", &[])
        .map_err(cannot(ACTION))?;
    let text: Option<String> = row.try_get(0).map_err(cannot(ACTION))?;
    text.map(parse_lsn).transpose()
}

/// Makes a standby leave recovery and waits until it accepts writes.
pub fn promote(client: &mut Client, wait: Duration) -> Result<(), Error> {
    const ACTION: &str = "promote the server";
    let seconds = i32::try_from(wait.as_secs().max(1)).unwrap_or(i32::MAX);
    let row = client
        .query_one("SELECT pg_catalog.pg_promote(true, $1)", &[&seconds])
        .map_err(cannot(ACTION))?;
    if row.try_get(0).map_err(cannot(ACTION))? {
        Ok(())
    } else {
        Err(Error::NotPromoted { seconds: wait.as_secs() })
    }
}

pub(super) fn parse_lsn(text: String) -> Result<Lsn, Error> {
    text.parse().map_err(|_| Error::Answer { what: "WAL position", text })
}
