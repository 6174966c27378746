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
