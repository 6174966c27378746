//! Waiting until the replay stands at its target, and judging whether it does.

use std::time::Duration;

use postgres::Client;

use super::{Start, cannot};
use crate::connection::ConnectionInfo;
use crate::lsn::Lsn;
use crate::postmaster::Postmaster;
use crate::restore::choice::{Choice, StopAt};
use crate::restore::error::RestoreError;
use crate::server::Error;

/// How long between two looks.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// After so long without a step a server that waits for WAL has all it can read: forty times the
/// interval at which it looks again.
const STILL: Duration = Duration::from_secs(2);

/// What the server says of its replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    in_recovery: bool,
    is_paused: bool,
    replayed: Option<Lsn>,
    /// It has replayed what it could read, and looks for more from time to time.
    waits_for_wal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    OnItsWay,
    Arrived,
    Astray,
}

/// A server on its way to the target.
pub(super) struct Watch<'a> {
    pub(super) start: &'a Start<'a>,
    pub(super) postmaster: &'a Postmaster,
    pub(super) choice: &'a Choice,
}

impl Watch<'_> {
    /// Waits until the replay stands at the target; a connection, and where it stands.
    pub(super) fn until_it_stands(
        &self,
        connection: &ConnectionInfo,
        replayed: &dyn Fn(Lsn),
    ) -> Result<(Client, Lsn), RestoreError> {
        let mut client = self.connect(connection)?;
        let clock = self.start.clock;
        let mut last_step = (None, clock.monotonic());
        loop {
            self.start.go_on(self.postmaster)?;
            let seen = match look(&mut client) {
                Ok(seen) => seen,
                // If it has ended, its log says more than a broken connection.
                Err(error) => return Err(self.reason().unwrap_or(error)),
            };
            if let Some(position) = seen.replayed {
                replayed(position);
            }
            match (judge(self.choice, &seen), seen.replayed) {
                (Judgement::Arrived, Some(position)) => return Ok((client, position)),
                (Judgement::Astray, _) => return Err(self.astray(&seen)),
                _ => {}
            }
            let now = clock.monotonic();
            if !seen.waits_for_wal || last_step.0 != seen.replayed {
                last_step = (seen.replayed, now);
            } else if now.saturating_sub(last_step.1) > STILL {
                return Err(self.astray(&seen));
            }
            clock.sleep(POLL);
        }
    }

    /// Until the server is consistent it lets nobody in; how long that takes depends on how long the
    /// backup took.
    fn connect(&self, connection: &ConnectionInfo) -> Result<Client, RestoreError> {
        while !self.postmaster.is_accepting(self.start.disk) {
            self.start.go_on(self.postmaster)?;
            self.start.clock.sleep(POLL);
        }
        match connection.connect_sql() {
            Ok(mut client) => {
                // A lock that the replay holds must not hold us.
                let settings = "SET lock_timeout = '2s'; SET statement_timeout = 0";
                client.batch_execute(settings).map_err(cannot("set up the session"))?;
                Ok(client)
            }
            Err(source) => {
                let error = RestoreError::Connect { to: connection.to_string(), source };
                Err(self.reason().unwrap_or(error))
            }
        }
    }

    /// Why the server does not answer, if it has ended or is ending.
    fn reason(&self) -> Option<RestoreError> {
        self.start.clock.sleep(Duration::from_millis(200));
        self.postmaster.check(self.start.disk).err().map(RestoreError::Postmaster)
    }

    fn astray(&self, seen: &Seen) -> RestoreError {
        let reached = match seen.replayed {
            Some(position) if seen.is_paused => format!("{position}, and paused"),
            Some(position) => position.to_string(),
            None => "nothing".to_owned(),
        };
        let reached =
            if seen.in_recovery { reached } else { format!("{reached}, and left recovery") };
        RestoreError::Astray {
            expected: self.choice.stands.to_string(),
            reached,
            log: self.postmaster.log_tail(self.start.disk),
        }
    }
}

fn judge(choice: &Choice, seen: &Seen) -> Judgement {
    let Some(replayed) = seen.replayed else { return Judgement::OnItsWay };
    let stands = choice.stands.allows(replayed);
    match choice.stop_at {
        _ if !seen.in_recovery => Judgement::Astray,
        // There is nothing behind the end, so to be there is to stand there.
        StopAt::EndOfWal if seen.is_paused || replayed > choice.end => Judgement::Astray,
        StopAt::EndOfWal if stands => Judgement::Arrived,
        StopAt::EndOfWal => Judgement::OnItsWay,
        _ if !seen.is_paused => Judgement::OnItsWay,
        _ if stands => Judgement::Arrived,
        _ => Judgement::Astray,
    }
}

fn look(client: &mut Client) -> Result<Seen, RestoreError> {
    const ACTION: &str = "ask how far the replay is";
    // In this order: once it is paused, the position is the one it has paused at.
    let statement = "SELECT pg_catalog.pg_is_in_recovery(),
        CASE WHEN pg_catalog.pg_is_in_recovery()
          THEN pg_catalog.pg_get_wal_replay_pause_state() = 'paused' ELSE false END,
        pg_catalog.pg_last_wal_replay_lsn()::text,
        EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE backend_type = 'startup'
          AND wait_event IN ('RecoveryRetrieveRetryInterval', 'RecoveryWalStream'))";
    let row = client.query_one(statement, &[]).map_err(cannot(ACTION))?;
    let replayed: Option<String> = row.try_get(2).map_err(cannot(ACTION))?;
    let answer = |text| Error::Answer { what: "WAL position", text };
    let replayed = replayed.map(|text| text.parse().map_err(|_| answer(text))).transpose()?;
    Ok(Seen {
        in_recovery: row.try_get(0).map_err(cannot(ACTION))?,
        is_paused: row.try_get(1).map_err(cannot(ACTION))?,
        replayed,
        waits_for_wal: row.try_get(3).map_err(cannot(ACTION))?,
    })
}

#[cfg(test)]
mod tests {
    use soter_vault::ids::BackupId;

    use super::*;
    use crate::lsn::Timeline;
    use crate::restore::choice::Stands;

    fn choice(stop_at: StopAt, stands: Stands) -> Choice {
        Choice {
            backup: BackupId([1; 8]),
            timeline: Timeline(1),
            stop_at,
            inclusive: true,
            end: Lsn(100),
            wal_to: Lsn(100),
            stands,
        }
    }

    fn at(position: u64, is_paused: bool) -> Seen {
        let replayed = Some(Lsn(position));
        Seen { in_recovery: true, is_paused, replayed, waits_for_wal: true }
    }

    #[test]
    fn the_end_is_the_end_and_nothing_else() {
        let choice = choice(StopAt::EndOfWal, Stands::At(Lsn(100)));
        assert_eq!(judge(&choice, &at(99, false)), Judgement::OnItsWay);
        assert_eq!(judge(&choice, &at(100, false)), Judgement::Arrived);
        assert_eq!(judge(&choice, &at(101, false)), Judgement::Astray);
        assert_eq!(judge(&choice, &at(100, true)), Judgement::Astray, "something paused it");
        let promoted = Seen { in_recovery: false, ..at(100, false) };
        assert_eq!(judge(&choice, &promoted), Judgement::Astray, "we did not promote it");
        let nothing = Seen { replayed: None, ..at(0, false) };
        assert_eq!(judge(&choice, &nothing), Judgement::OnItsWay);
    }

    #[test]
    fn at_a_target_it_pauses_at_the_right_place() {
        let exact = choice(StopAt::Xid(7), Stands::At(Lsn(90)));
        assert_eq!(judge(&exact, &at(90, false)), Judgement::OnItsWay);
        assert_eq!(judge(&exact, &at(90, true)), Judgement::Arrived);
        assert_eq!(judge(&exact, &at(80, true)), Judgement::Astray);
        let later = choice(StopAt::Consistent, Stands::From(Lsn(90)));
        assert_eq!(judge(&later, &at(95, true)), Judgement::Arrived);
        assert_eq!(judge(&later, &at(85, true)), Judgement::Astray);
    }
}
