//! The plan as values. Each field says its unit, its default, and what more and less of it costs;
//! `docs/plan.md` is the same for people who write plans.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::connection::Connection;
pub use crate::language::WalMode;
use crate::names::{StoreName, VaultName};
use crate::schedule::Schedule;
use crate::units::ByteSize;
use crate::vault::Vault;

/// A whole plan. Every name it uses is declared in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where recovery points are kept. At least one.
    pub vaults: BTreeMap<VaultName, Vault>,
    /// What is protected. At least one.
    pub stores: BTreeMap<StoreName, Store>,
}

/// Something that holds data to protect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The vaults that the plan names, at least one, each once. The first keeps it and is read at a
    /// restore; this version writes no other, see [`Store::unkept`].
    pub vaults: Vec<VaultName>,
    /// What it is, and what only that kind has.
    pub kind: Kind,
    /// When backups are made, and how.
    pub backup: Backup,
    /// How hard its contents are compressed.
    pub compression: Compression,
    /// The heartbeat that measures loss in the data itself. None by default: it writes a row.
    pub canary: Option<Canary>,
    /// How long backups are kept.
    pub retention: Retention,
    /// How old the newest recovery point may be, if the plan says.
    pub rpo: Option<Duration>,
}

impl Store {
    /// The vault that keeps it.
    pub fn vault(&self) -> Option<&VaultName> {
        self.vaults.first()
    }

    /// The vaults that the plan names and nothing is stored in. Whoever protects the store says so.
    pub fn unkept(&self) -> &[VaultName] {
        self.vaults.get(1..).unwrap_or_default()
    }
}

/// The kinds of stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `kind: postgres`: a PostgreSQL cluster.
    Postgres(Postgres),
    /// `kind: etcd`: an etcd, also the one inside Kubernetes.
    Etcd(Etcd),
}

/// What only an etcd has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// Its members, in the order they are asked: `https://HOST:PORT`. At least one.
    pub endpoints: Vec<String>,
    /// Certificates of the authorities that are believed; there if an endpoint has TLS.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, and its key.
    pub client: Option<ClientFiles>,
    /// Files of the agent's machine that are taken along: paths from the root, in which `*` and `?`
    /// stand for what changes in a name. Of a directory everything is taken.
    pub files: Vec<String>,
}

/// With what a client shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// Its certificate, in PEM.
    pub certificate: PathBuf,
    /// The certificate's key, in PEM.
    pub key: PathBuf,
}

/// What only a PostgreSQL cluster has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// How the agent connects.
    pub connection: Connection,
    /// The cluster's data directory on the machine of the agent; an absolute path.
    pub data_directory: PathBuf,
    /// How its write-ahead log is taken.
    pub wal: Wal,
}

/// How the write-ahead log is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wal {
    /// What a commit waits for. Default: asynchronous.
    pub mode: WalMode,
    /// In asynchronous mode, how long WAL may collect before it is sent; nothing is sent when there
    /// is nothing new. Default 250 ms. Less loses less in a disaster, and makes more objects; more
    /// is cheaper, and loses up to this much.
    pub part_interval: Duration,
    /// The agent's replication slot. Default: `soter_` and the store's name.
    pub slot: String,
    /// The name the agent connects with, matched by `synchronous_standby_names`. Default: the same
    /// as the slot.
    pub application_name: String,
    /// Where WAL waits on local disk while no vault can be reached. Without one it waits in the
    /// server's `pg_wal`, which fills the server's disk.
    pub spool: Option<Spool>,
}

/// A place on local disk where WAL waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// An absolute path, not inside the data directory, best on another disk.
    pub directory: PathBuf,
    /// Most bytes it may take. Default 4 GiB. More bridges a longer outage.
    pub limit: ByteSize,
}

/// When backups are made, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// When an increment is due. Default: each hour, `0 * * * *` in UTC. More often makes recovery
    /// faster (less WAL to replay), and reads the changed files more often.
    pub schedule: Schedule,
    /// How old the last full backup may be before the next backup is a full one. Default 7 days.
    /// Less stores more; a restore is as fast either way.
    pub full_every: Duration,
    /// How many files are read and compressed at once. Default 2. More is faster, takes about one
    /// core each from the server, and 8 MiB of memory.
    pub workers: usize,
}

/// How hard contents are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// zstd's level, 1 to 19. Default 3. More makes backups smaller and slower; above 9 much
    /// slower.
    pub level: i32,
}

/// The heartbeat: a row written on a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canary {
    /// How often. Default 5 s. Less measures loss more finely and writes more.
    pub every: Duration,
}

/// How long backups are kept. What no policy can remove: the newest complete backup, the newest
/// verified one, what is held, and everything younger than 7 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Backups, and the WAL behind them, are kept at least this long. At least 7 days; default
    /// 30 days. More lets you go back further, and costs storage.
    pub keep_for: Duration,
    /// At least this many of the newest backups are kept, whatever their age, counted one per
    /// scheduled slot. Default 3.
    pub keep_last: usize,
}

/// A default and the range it lies in.
pub(crate) struct Limits<T> {
    pub(crate) default: T,
    pub(crate) least: T,
    pub(crate) most: T,
}

const DAY: Duration = Duration::from_hours(24);

/// Below 10 ms parts are smaller than their own headers; above a minute it is archiving.
pub(crate) const PART_INTERVAL: Limits<Duration> = Limits {
    default: Duration::from_millis(250),
    least: Duration::from_millis(10),
    most: Duration::from_mins(1),
};

/// Below four segments the spool ends before an outage is noticed.
pub(crate) const SPOOL_LIMIT: Limits<ByteSize> =
    Limits { default: ByteSize(4 << 30), least: ByteSize(64 << 20), most: ByteSize(1 << 50) };

/// More often than hourly is not "every so often full" but a full backup each time.
pub(crate) const FULL_EVERY: Limits<Duration> = Limits {
    default: DAY.saturating_mul(7),
    least: Duration::from_hours(1),
    most: DAY.saturating_mul(366),
};

/// More than 64 readers wait for each other.
pub(crate) const WORKERS: Limits<usize> = Limits { default: 2, least: 1, most: 64 };

/// zstd's range without its "ultra" levels, which take gigabytes of memory.
pub(crate) const LEVEL: Limits<i32> = Limits { default: 3, least: 1, most: 19 };

/// Rarer than daily measures nothing.
pub(crate) const CANARY_EVERY: Limits<Duration> =
    Limits { default: Duration::from_secs(5), least: Duration::from_secs(1), most: DAY };

/// The floor is the vault's own: it keeps everything younger than this whatever a policy says.
pub(crate) const KEEP_FOR: Limits<Duration> = Limits {
    default: DAY.saturating_mul(30),
    least: DAY.saturating_mul(7),
    most: DAY.saturating_mul(36_525),
};

pub(crate) const KEEP_LAST: Limits<usize> = Limits { default: 3, least: 1, most: 10_000 };

/// When an increment is due if the plan does not say.
pub(crate) const SCHEDULE: &str = "0 * * * *";
