//! Canaries: a row written on a schedule, so that what a recovery lost is read off the data itself.
//!
//! The youngest row that came back says up to when everything did. Its time is the server's.

use jiff::Timestamp;
use postgres::Client;

use super::error::{Error, cannot};
use super::quote::quote_identifier;

/// How many rows are kept: a row every ten seconds for a day, more than any recovery looks back by
/// canaries, and nothing that a database would notice.
const ROWS_MAX: i64 = 10_000;

/// The table that canaries live in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    schema: String,
    table: String,
}

/// A canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryRow {
    /// Grows from row to row, not always by one.
    pub id: i64,
    /// When it was written, by the server's clock.
    pub written_at: Timestamp,
    /// Who wrote it.
    pub writer: String,
}

impl Canary {
    /// Names the table; nothing is made yet.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }

    /// Makes schema and table unless they are there.
    pub fn create(&self, client: &mut Client) -> Result<(), Error> {
        let schema = quote_identifier(&self.schema);
        let table = self.name();
        // Asked first: even `IF NOT EXISTS` wants the right to create.
        let statements = format!(
            "DO $$ BEGIN
               IF to_regclass({name}) IS NULL THEN
                 CREATE SCHEMA IF NOT EXISTS {schema};
                 CREATE TABLE IF NOT EXISTS {table} (
                   id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                   written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                   writer text NOT NULL);
               END IF;
             END $$",
            name = super::quote::quote_literal(&table),
        );
        client.batch_execute(&statements).map_err(cannot("create the table for canaries"))
    }

    /// Writes a row, and removes the oldest beyond the number that is kept.
    ///
    /// As with every commit, this waits for a synchronous standby if there is one, for ever if that
    /// is away, and no timeout of the server ends the wait.
    pub fn write(&self, client: &mut Client, writer: &str) -> Result<CanaryRow, Error> {
        const ACTION: &str = "write a canary";
        let table = self.name();
        let statement = format!(
            "WITH removed AS (DELETE FROM {table}
               WHERE id <= (SELECT max(id) FROM {table}) - {ROWS_MAX})
             INSERT INTO {table} (writer) VALUES ($1) RETURNING {COLUMNS}"
        );
        let row = client.query_one(&statement, &[&writer]).map_err(cannot(ACTION))?;
        read(&row, ACTION)
    }

    /// The youngest row.
    pub fn latest(&self, client: &mut Client) -> Result<Option<CanaryRow>, Error> {
        const ACTION: &str = "read the latest canary";
        let statement = format!("SELECT {COLUMNS} FROM {} ORDER BY id DESC LIMIT 1", self.name());
        let row = client.query_opt(&statement, &[]).map_err(cannot(ACTION))?;
        row.map(|row| read(&row, ACTION)).transpose()
    }

    fn name(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.table))
    }
}

/// Time as microseconds, which no setting of the session changes.
const COLUMNS: &str = "id, (extract(epoch FROM written_at) * 1000000)::bigint, writer";

fn read(row: &postgres::Row, action: &'static str) -> Result<CanaryRow, Error> {
    let micros: i64 = row.try_get(1).map_err(cannot(action))?;
    let written_at = Timestamp::from_microsecond(micros)
        .map_err(|_| Error::Answer { what: "time of a canary", text: micros.to_string() })?;
    Ok(CanaryRow {
        id: row.try_get(0).map_err(cannot(action))?,
        written_at,
        writer: row.try_get(2).map_err(cannot(action))?,
    })
}
