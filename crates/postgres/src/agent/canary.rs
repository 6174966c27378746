//! Canaries: a row written every few seconds, whose age in the vault is what a disaster would lose.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use postgres::Client;

use super::engine::chain;
use super::shared::Shared;
use super::status::{CanaryStatus, seconds};
use crate::lsn::Lsn;
use crate::server::{self, Canary, CanaryRow};

/// Where canaries live.
pub const CANARY_SCHEMA: &str = "soter";
/// Their table.
pub const CANARY_TABLE: &str = "canary";

/// How many canaries may be on their way; older ones are as good as none.
const PENDING_MAX: usize = 10_000;

/// Canaries on their way to the vault.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canaries {
    pending: VecDeque<Sent>,
    arrived: Option<Sent>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    id: i64,
    written_at: Timestamp,
    sent: Duration,
    /// Everything up to here has the canary's commit in it.
    end: Lsn,
}

impl Canaries {
    /// A canary was committed by `now`, and its commit ends before `end`.
    pub(crate) fn sent(&mut self, row: &CanaryRow, now: Duration, end: Lsn) {
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(Sent { id: row.id, written_at: row.written_at, sent: now, end });
    }

    /// Those on their way may never arrive, although WAL behind them does.
    pub(crate) fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// How old the youngest one is that is durable.
    pub(crate) fn status(
        &mut self,
        every: Duration,
        durable: Option<Lsn>,
        now: Duration,
    ) -> CanaryStatus {
        while let Some(first) = self.pending.front()
            && durable.is_some_and(|durable| first.end <= durable)
        {
            self.arrived = self.pending.pop_front();
        }
        CanaryStatus {
            age_seconds: self.arrived.map(|sent| seconds(now.saturating_sub(sent.sent))),
            written_at: self.arrived.map(|sent| sent.written_at),
            id: self.arrived.map(|sent| sent.id),
            every_seconds: seconds(every),
        }
    }
}

impl Shared<'_> {
    /// Writes canaries until the agent ends.
    pub(crate) fn keep_canaries(&self, every: Duration) {
        let mut client = None;
        while !self.stop.wait(every) {
            let is_primary = self.desk().server.is_some_and(|server| !server.is_standby);
            if self.streaming_engine().is_none() || !is_primary {
                client = None;
                continue;
            }
            match self.write_canary(client.take()) {
                Ok(connected) => client = Some(connected),
                // While the server restarts this is normal; the age of the last one tells.
                Err(error) if error.kind() == crate::error::ErrorKind::Retry => {}
                Err(error) => self.find(&format!("no canary is written: {}", chain(&error))),
            }
        }
    }

    fn write_canary(&self, client: Option<Client>) -> Result<Client, server::Error> {
        let canary = Canary::new(CANARY_SCHEMA, CANARY_TABLE);
        let mut client = match client {
            Some(client) => client,
            None => {
                let cannot = |source| server::Error::Sql { action: "connect", source };
                let mut client = self.settings.connection.connect_sql().map_err(cannot)?;
                // A canary measures the vault, so it does not wait for it.
                let settings = "SET synchronous_commit = local; SET statement_timeout = '10s'";
                client.batch_execute(settings).map_err(cannot)?;
                canary.create(&mut client)?;
                client
            }
        };
        let row = canary.write(&mut client, &self.settings.agent)?;
        let now = self.now();
        let end = server::flush_position(&mut client)?;
        self.desk().canaries.sent(&row, now, end);
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_durable_counts() {
        let every = Duration::from_secs(5);
        let mut canaries = Canaries::default();
        let row = |id| CanaryRow { id, written_at: Timestamp::UNIX_EPOCH, writer: String::new() };
        canaries.sent(&row(1), Duration::from_secs(10), Lsn(100));
        canaries.sent(&row(2), Duration::from_secs(15), Lsn(200));
        let at = |canaries: &mut Canaries, durable, now| {
            let status = canaries.status(every, Some(Lsn(durable)), Duration::from_secs(now));
            (status.id, status.age_seconds)
        };
        assert_eq!(at(&mut canaries, 99, 16), (None, None));
        assert_eq!(at(&mut canaries, 199, 16), (Some(1), Some(6.0)));
        assert_eq!(at(&mut canaries, 200, 17), (Some(2), Some(2.0)));
    }

    #[test]
    fn a_canary_in_a_gap_never_arrives() {
        let every = Duration::from_secs(5);
        let mut canaries = Canaries::default();
        let row = |id| CanaryRow { id, written_at: Timestamp::UNIX_EPOCH, writer: String::new() };
        canaries.sent(&row(1), Duration::from_secs(10), Lsn(100));
        canaries.status(every, Some(Lsn(100)), Duration::from_secs(11));
        canaries.sent(&row(2), Duration::from_secs(15), Lsn(200));
        canaries.forget_pending();
        let status = canaries.status(every, Some(Lsn(900)), Duration::from_secs(30));
        assert_eq!((status.id, status.age_seconds), (Some(1), Some(20.0)));
    }
}
