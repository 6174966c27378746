//! Waiting until the replay stands at its target, and judging whether it does.

use std::path::Path;
use std::time::Duration;

use postgres::Client;
use soter_world::Disk;

use super::{Start, cannot};
use crate::backup::record::BackupRecord;
use crate::connection::ConnectionInfo;
use crate::lsn::{Lsn, SegmentSize};
use crate::postmaster::Postmaster;
use crate::restore::choice::{Choice, StopAt};
use crate::restore::error::RestoreError;
use crate::restore::feed::Feed;
use crate::server::Error;
use crate::wal::name::{SegmentName, WalFileName};

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
    pub(super) record: &'a BackupRecord,
    pub(super) feed: &'a Feed,
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
            self.go_on()?;
            let seen = match look(&mut client) {
                Ok(seen) => seen,
                // If it has ended, its log says more than a broken connection.
                Err(error) => return Err(self.reason().unwrap_or(error)),
            };
            if let Some(position) = seen.replayed {
                self.feed.replayed(position);
                replayed(position);
            }
            let is_fed = self.feed.is_complete();
            match (judge(self.choice, &seen), seen.replayed) {
                // Promoted before all WAL is durable, it could lose it to a power cut.
                (Judgement::Arrived, Some(position)) if is_fed => return Ok((client, position)),
                (Judgement::Astray, _) => return Err(self.astray(&seen)),
                _ => {}
            }
            let now = clock.monotonic();
            if !is_fed || !seen.waits_for_wal || last_step.0 != seen.replayed {
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
            self.go_on()?;
            match self.reading() {
                Some(position) => self.feed.replayed(position),
                // As far as it must come before it lets us ask.
                None => self.feed.needed(self.record.stop),
            }
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

    /// Which segment the server reads, by the title of its process: it says nothing else before it is
    /// consistent.
    fn reading(&self) -> Option<Lsn> {
        let disk = self.start.disk;
        let process = self.postmaster.id();
        let children = format!("/proc/{process}/task/{process}/children");
        let children = first_bytes(disk, &children)?;
        let mut children = children.split_whitespace();
        children.find_map(|child| {
            let title = first_bytes(disk, &format!("/proc/{child}/cmdline"))?;
            segment_in_title(&title, self.record.segment_size)
        })
    }

    fn go_on(&self) -> Result<(), RestoreError> {
        self.start.go_on_feeding(self.feed)?;
        self.start.go_on(self.postmaster)
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

/// The beginning of a file of the kernel's, which has no length.
fn first_bytes(disk: &dyn Disk, path: &str) -> Option<String> {
    let mut bytes = [0; 4096];
    let length = disk.open(Path::new(path)).ok()?.read_at(0, &mut bytes).ok()?;
    Some(String::from_utf8_lossy(bytes.get(..length)?).into_owned())
}

/// The segment in `postgres: startup recovering 000000010000000000000007`, or `… waiting for …`.
fn segment_in_title(title: &str, size: SegmentSize) -> Option<Lsn> {
    let title = title.trim_end_matches(['\0', ' ']);
    let (before, name) = title.rsplit_once(' ')?;
    if !before.starts_with("postgres: ") || !before.contains("startup") {
        return None;
    }
    match WalFileName::parse(name, size).ok()? {
        WalFileName::Segment(SegmentName { segment, .. }) => Some(segment.start(size)),
        _ => None,
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
    fn the_title_of_the_process_says_what_it_reads() {
        let size = SegmentSize::new(1 << 20).unwrap();
        let segment = |title: &str| segment_in_title(title, size).map(|lsn| lsn.0 >> 20);
        let name = "000000010000000000000007";
        assert_eq!(segment(&format!("postgres: startup recovering {name}\0\0")), Some(7));
        assert_eq!(segment(&format!("postgres: main: startup waiting for {name}")), Some(7));
        assert_eq!(segment("postgres: startup"), None);
        assert_eq!(segment(&format!("postgres: walsender streaming {name}")), None);
        assert_eq!(segment(&format!("cat startup {name}")), None);
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
