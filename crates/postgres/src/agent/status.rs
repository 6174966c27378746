//! How a store's protection stands, as a value: for people, for programs, over the socket.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_vault::ids::IncarnationId;
use soter_vault::log::{Catalogue, Duty};

use super::findings::Noted;
use super::machine::PhaseName;
use super::memory::Gap;
use crate::cluster::MajorVersion;
use crate::lsn::{Lsn, Timeline};

/// What a running agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The store's name in the plan.
    pub store: String,
    /// The agent's process.
    pub process: u32,
    /// What it is doing.
    pub phase: PhaseName,
    /// The same, for people.
    pub doing: String,
    /// Since when.
    pub since: Timestamp,
    /// The server, once it was asked.
    pub server: Option<ServerStatus>,
    /// The WAL, once it streams.
    pub wal: Option<WalStatus>,
    /// Canaries, if they are written.
    pub canary: Option<CanaryStatus>,
    /// Base backups.
    pub backup: BackupStatus,
    /// What the vault has, as the agent last saw it.
    pub vault: Option<VaultView>,
    /// WAL on the server's disk.
    pub queue: Option<QueueStatus>,
    /// WAL that was never received.
    pub gaps: Vec<Gap>,
    /// Why the store is not protected as its plan says; none when it is.
    #[serde(default)]
    pub problems: Vec<String>,
    /// What a person should look at.
    pub findings: Vec<Noted>,
}

/// The server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its version.
    pub version: MajorVersion,
    /// The timeline it was on when it was asked.
    pub timeline: Timeline,
    /// Whether it was a standby.
    pub is_standby: bool,
}

/// WAL on its way to the vault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WalStatus {
    /// `asynchronous` or `synchronous`.
    pub mode: String,
    /// The timeline.
    pub timeline: Timeline,
    /// Up to where the server said it has WAL.
    pub server: Lsn,
    /// Up to where it was received.
    pub received: Lsn,
    /// Up to where it is durable in the vault.
    pub durable: Lsn,
    /// Up to where the server was told that its WAL is safe.
    pub flushed: Lsn,
    /// Bytes the server has and the vault has not.
    pub lag_bytes: u64,
    /// Age of the oldest byte that was received and is not durable in the vault.
    pub lag_seconds: f64,
    /// How long ago the server was heard of last. What it has written since then nobody knows.
    #[serde(default)]
    pub silent_seconds: f64,
    /// The latest commit time that was received.
    pub last_commit: Option<Timestamp>,
    /// The end of the last complete record that was received.
    pub records_end: Option<Lsn>,
    /// How long a part takes to become durable, smoothed.
    pub write_seconds: Option<f64>,
    /// Parts stored by this run of the agent.
    pub parts: u64,
    /// WAL bytes in them.
    pub part_bytes: u64,
    /// Segments sealed by this run of the agent.
    pub segments: u64,
    /// Bytes of their objects.
    pub stored_bytes: u64,
    /// Segments that wait in the spool, the one in the making included.
    pub spooled_segments: usize,
    /// Why the vault does not take WAL, while it does not.
    pub vault_trouble: Option<String>,
}

/// WAL that waits longer than this is not on its way, it waits.
const LAG_SECONDS_MAX: f64 = 10.0;

/// A server answers our signs of life, the longest time between which is a third of this.
const SILENT_SECONDS_MAX: f64 = 30.0;

/// So many canaries may be missing until it is more than bad luck.
const CANARIES_MISSING_MAX: f64 = 3.0;

impl Status {
    /// Why the store is not protected as its plan says, as far as the agent knows at `now`.
    /// `known` is what the plan promises and no agent does, and what the last look at the server's
    /// settings found.
    pub(crate) fn find_problems(&self, known: &[String], now: Timestamp) -> Vec<String> {
        let mut problems = known.to_vec();
        let streams = self.phase == PhaseName::Stream;
        if !streams {
            problems.push(format!("no WAL flows: {}", self.doing));
        }
        if let Some(wal) = &self.wal {
            let (lag, silent) = (wal.lag_seconds, wal.silent_seconds);
            if let Some(why) = &wal.vault_trouble {
                problems.push(format!("the vault does not take WAL: {why}"));
            } else if lag > LAG_SECONDS_MAX {
                problems.push(format!("WAL has waited for {lag:.0} s to get into the vault"));
            }
            if streams && silent > SILENT_SECONDS_MAX {
                problems.push(format!("the server has said nothing for {silent:.0} s"));
            }
        }
        if self.vault.as_ref().is_none_or(|vault| vault.recoverable.is_none()) {
            let why = "nothing can be brought back yet: no backup has its WAL up to now";
            problems.push(why.to_owned());
        }
        if let Some(why) = &self.backup.failed {
            problems.push(format!("the last try of a backup failed: {why}"));
        }
        let writes_canaries = streams && self.server.is_some_and(|server| !server.is_standby);
        if let Some(canary) = self.canary.filter(|_| writes_canaries) {
            problems.extend(canary.problem(now.duration_since(self.since).as_secs_f64()));
        }
        problems
    }
}

impl CanaryStatus {
    fn problem(&self, streaming_seconds: f64) -> Option<String> {
        let limit = CANARIES_MISSING_MAX * self.every_seconds + LAG_SECONDS_MAX;
        match self.age_seconds {
            Some(age) if age > limit => {
                Some(format!("the youngest canary in the vault is {age:.0} s old"))
            }
            None if streaming_seconds > limit => {
                Some(format!("no canary has arrived for {streaming_seconds:.0} s"))
            }
            _ => None,
        }
    }
}

/// The canary: what a disaster at this moment would lose, read off the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CanaryStatus {
    /// The age of the youngest canary that is durable in the vault: the RPO.
    pub age_seconds: Option<f64>,
    /// When it was written, by the server's clock.
    pub written_at: Option<Timestamp>,
    /// Its number.
    pub id: Option<i64>,
    /// How often one is written, in seconds.
    pub every_seconds: f64,
}

/// What a vault has of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultView {
    /// How many backups can be restored.
    pub backups: usize,
    /// The newest one.
    pub last_backup: Option<LastBackup>,
    /// To which positions the newest timeline can be brought back.
    pub recoverable: Option<Recoverable>,
    /// The agent that last opened a session.
    pub agent: Option<String>,
    /// When it did, by the vault's clock.
    pub agent_since: Option<Timestamp>,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastBackup {
    /// Its id.
    pub id: String,
    /// When it was committed, by the vault's clock.
    pub at: Timestamp,
    /// Whether it shares with others.
    pub is_increment: bool,
}

/// Positions that a cluster can be brought back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recoverable {
    /// The timeline.
    pub timeline: Timeline,
    /// The end of the oldest backup from which WAL goes on without a gap.
    pub from: Lsn,
    /// The end of the WAL.
    pub to: Lsn,
}

/// Up to where WAL goes on without a gap from a position on; `None` when nothing is there.
pub type EndFrom<'a> = &'a dyn Fn(Lsn) -> Option<Lsn>;

impl VaultView {
    /// What the log amounts to. `wal` is a timeline of one life of the cluster, and up to where its
    /// WAL goes on without a gap from a position on.
    pub fn of(
        catalogue: &Catalogue,
        incarnation: Option<IncarnationId>,
        wal: Option<(Timeline, EndFrom<'_>)>,
    ) -> Self {
        let backups: Vec<_> = catalogue.live().collect();
        let newest = backups.last();
        let of_this_life = backups
            .iter()
            .filter_map(|backup| backup.wal)
            .filter(|needed| Some(needed.incarnation) == incarnation);
        let recoverable = wal.and_then(|(timeline, end_from)| {
            let reached = of_this_life.filter_map(|needed| {
                let to = end_from(Lsn(needed.from))?;
                let is_usable = needed.timeline == timeline.0 && needed.to <= to.0;
                is_usable.then_some((Lsn(needed.to), to))
            });
            let reached: Vec<_> = reached.collect();
            let to = reached.iter().map(|(_, to)| *to).max()?;
            let from = reached.iter().filter(|(_, end)| *end == to).map(|(from, _)| *from).min()?;
            Some(Recoverable { timeline, from, to })
        });
        let holder = catalogue.newest_session(Duty::Wal);
        Self {
            backups: backups.len(),
            last_backup: newest.map(|backup| LastBackup {
                id: backup.id.to_string(),
                at: backup.stored,
                is_increment: backup.is_increment,
            }),
            recoverable,
            agent: holder.map(|session| session.agent.clone()),
            agent_since: holder.map(|session| session.stored),
        }
    }
}

/// Base backups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStatus {
    /// The last one of this run of the agent.
    pub last_id: Option<String>,
    /// When it was committed.
    pub last_at: Option<Timestamp>,
    /// Why one is being made now.
    pub running: Option<String>,
    /// When the next one is due.
    pub next_at: Option<Timestamp>,
    /// Why the last try failed.
    pub failed: Option<String>,
}

/// WAL on the server's disk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// Bytes in `pg_wal`.
    pub pg_wal_bytes: u64,
    /// Bytes the server keeps because they are not safe yet.
    pub kept_bytes: u64,
    /// Files that wait for `archive_command`.
    pub ready_files: u64,
    /// Bytes that are left on that disk.
    pub available_bytes: u64,
    /// A forecast: how long until the disk is full if nothing becomes safe any more and WAL comes as
    /// fast as it did lately.
    pub full_in_seconds: Option<f64>,
}

/// Seconds, for JSON.
pub(crate) fn seconds(duration: Duration) -> f64 {
    // Thousandths are what anybody reads.
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that is protected.
    fn healthy() -> Status {
        let at = Lsn(1000);
        Status {
            store: "orders".to_owned(),
            process: 1,
            phase: PhaseName::Stream,
            doing: "streaming".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            server: Some(ServerStatus {
                version: MajorVersion::V15,
                timeline: Timeline::FIRST,
                is_standby: false,
            }),
            wal: Some(WalStatus {
                mode: "synchronous".to_owned(),
                timeline: Timeline::FIRST,
                server: at,
                received: at,
                durable: at,
                flushed: at,
                lag_bytes: 0,
                lag_seconds: 0.0,
                silent_seconds: 9.0,
                last_commit: None,
                records_end: None,
                write_seconds: None,
                parts: 1,
                part_bytes: 1,
                segments: 0,
                stored_bytes: 0,
                spooled_segments: 1,
                vault_trouble: None,
            }),
            canary: Some(CanaryStatus {
                age_seconds: Some(1.0),
                written_at: None,
                id: None,
                every_seconds: 5.0,
            }),
            backup: BackupStatus::default(),
            vault: Some(VaultView {
                backups: 1,
                recoverable: Some(Recoverable { timeline: Timeline::FIRST, from: at, to: at }),
                ..VaultView::default()
            }),
            queue: None,
            gaps: Vec::new(),
            problems: Vec::new(),
            findings: Vec::new(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Status, &mut WalStatus), expected: &[&str]) {
        let mut status = healthy();
        let mut wal = status.wal.take().unwrap();
        change(&mut status, &mut wal);
        status.wal = Some(wal);
        let now = Timestamp::from_second(60).unwrap();
        assert_eq!(status.find_problems(&[], now), expected);
    }

    #[test]
    fn whatever_keeps_a_commit_from_the_vault_is_a_problem() {
        check(|_, _| {}, &[]);
        let backoff = |status: &mut Status, _: &mut WalStatus| {
            status.phase = PhaseName::Backoff;
            status.doing = "waiting to try again: it is away".to_owned();
        };
        check(backoff, &["no WAL flows: waiting to try again: it is away"]);
        check(
            |_, wal| wal.vault_trouble = Some("no space".to_owned()),
            &["the vault does not take WAL: no space"],
        );
        check(|_, wal| wal.lag_seconds = 11.0, &["WAL has waited for 11 s to get into the vault"]);
        check(|_, wal| wal.silent_seconds = 31.0, &["the server has said nothing for 31 s"]);
        let nothing = "nothing can be brought back yet: no backup has its WAL up to now";
        check(|status, _| status.vault = None, &[nothing]);
        check(|status, _| status.vault = Some(VaultView::default()), &[nothing]);
        check(
            |status, _| status.backup.failed = Some("no".to_owned()),
            &["the last try of a backup failed: no"],
        );
    }

    #[test]
    fn a_canary_that_does_not_arrive_is_a_problem_on_a_primary() {
        let age = |age: Option<f64>| {
            move |status: &mut Status, _: &mut WalStatus| {
                status.canary.as_mut().unwrap().age_seconds = age;
            }
        };
        check(age(Some(25.0)), &[]);
        check(age(Some(26.0)), &["the youngest canary in the vault is 26 s old"]);
        check(age(None), &["no canary has arrived for 60 s"]);
        let standby = |status: &mut Status, wal: &mut WalStatus| {
            age(None)(status, wal);
            status.server.as_mut().unwrap().is_standby = true;
        };
        check(standby, &[]);
    }

    #[test]
    fn what_the_server_is_set_to_comes_first() {
        let mut status = healthy();
        status.phase = PhaseName::Probe;
        let errors = ["synchronous_standby_names does not name soter".to_owned()];
        let problems = status.find_problems(&errors, Timestamp::UNIX_EPOCH);
        assert_eq!(problems, [errors[0].as_str(), "no WAL flows: streaming"]);
    }
}
