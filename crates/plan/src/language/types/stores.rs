//! Stores, the copies made of them, and the places copies go to.

use std::time::Duration;

use crate::connection::Connection;
use crate::language::at::At;
use crate::language::define::{section, words};
use crate::language::local::{AbsolutePath, EtcdEndpoint, PathPattern};
use crate::language::map::Named;
use crate::language::scalar::{Every, Rate, Script};
use crate::language::types::{
    BackupSettings, CanarySettings, CompressionSettings, RetentionSettings, VaultKeys, WalSettings,
};
use crate::units::ByteSize;

words! {
    /// What holds the data.
    pub enum StoreKind, "a kind of store" {
        /// A PostgreSQL cluster.
        Postgres = "postgres",
        /// Another relational database.
        Sql = "sql",
        /// An etcd, also the one inside Kubernetes.
        Etcd = "etcd",
        /// A bucket of an object store.
        Bucket = "bucket",
        /// Streams of NATS JetStream, Kafka, RabbitMQ.
        Queue = "queue",
        /// A Git repository.
        Git = "git",
        /// A store of secrets.
        Secrets = "secrets",
        /// A directory of files, or a volume.
        Files = "files",
        /// An index or a vector database that could be computed again, at a price.
        Index = "index",
        /// Time series and logs.
        Metrics = "metrics",
        /// What a command writes.
        Command = "command",
        /// Anything else.
        Other = "other",
    }
}

words! {
    /// How a copy is made: it decides to which moments one can go back.
    pub enum Method, "a method" {
        /// Written out by the product itself, such as `pg_dump`: back to the moment it began.
        Dump = "dump",
        /// A snapshot of a volume or of a product, such as etcd's: back to that moment.
        Snapshot = "snapshot",
        /// A copy of the data files from which logs can be replayed (`pg_basebackup`, `xtrabackup`).
        Base = "base",
        /// A log of all changes, shipped as it is written or in pieces. Worth nothing without a base.
        Log = "log",
        /// A living copy that follows at once, mistakes and deletions too.
        Replica = "replica",
        /// Old versions kept beside the new one, in the same place.
        Versions = "versions",
        /// A copy of files or objects on a schedule.
        Copy = "copy",
        /// Protected by Soter itself.
        Soter = "soter",
    }
}

section! {
    /// A copy that is made of a store again and again.
    pub struct Copy, "a copy" {
        /// How it is made. Without it nothing is concluded about what the copy can bring back.
        method: Option<At<Method>>,
        /// The program or product that makes it.
        by: Option<At<String>>,
        /// When: a cron line in UTC.
        schedule: Option<At<String>>,
        /// How often, where there is no clock time; for a log how often it is shipped at the latest.
        every: Option<At<Every>>,
        /// It follows without a pause.
        continuous: Option<At<bool>>,
        /// Where it goes: one of `vaults`.
        to: Option<At<String>>,
        /// How long a copy is kept.
        keep: Option<At<Every>>,
        /// What it is called where it is kept; `*` stands for what changes, such as the time.
        artefact: Option<At<String>>,
        /// What it holds besides the data: `roles`, `server-token`, `ca`, `configuration`, …
        includes: Vec<At<String>>,
        /// How it is known that it can be restored, in words; a drill is better.
        verified_by: Option<At<String>>,
        /// How often it is restored to see that it can be.
        verified_every: Option<At<Every>>,
        /// The job that makes it, as a script.
        run: Option<Script>,
        /// The settings of the product that make it, such as lines of `postgresql.conf`.
        settings: Option<Script>,
        /// Parameters that the job gets from its surroundings, by name.
        environment: Vec<At<String>>,
    }
}

section! {
    /// A thing that holds data to protect.
    pub struct Store, "a store" {
        /// Its name for people.
        title: Option<At<String>>,
        /// What it is.
        kind: Option<At<StoreKind>> = "kind: postgres",
        /// The product, where the kind does not say it, such as `nats`, `minio`, `infisical`.
        product: Option<At<String>>,
        /// How much data it holds: decides how long a restore takes.
        size: Option<At<ByteSize>>,
        /// How fast it was seen to come back.
        restore_rate: Option<At<Rate>>,
        /// How much of the newest data may be lost; else that of the services whose data it is.
        rpo: Option<At<Duration>>,
        /// The failure domains its data lies in. It is lost with them.
        domains: Vec<At<String>>,
        /// Where its data lies, for people: a path, a disk, a page.
        location: Option<At<String>>,
        /// How many of its failure domains it may lose and still have all data. Taken for 0.
        survives: Option<At<u32>>,
        /// Stores whose rows or files it points to.
        points_to: Vec<At<String>>,
        /// It can be made again from these: services, stores, or words. Then it needs no copy.
        rebuilt_from: Vec<At<String>>,
        /// One of `policies`: the copies, vaults and demands that stand there.
        policy: Option<At<String>>,
        /// The copies that are made of it by other programs than Soter.
        copies: Vec<Copy>,
        /// The vault Soter keeps it in. It is a list, of which this version writes the first and no
        /// other; wherever more stand in it, Soter says so.
        vaults: Vec<At<String>>,
        /// How Soter's agent connects to it. A PostgreSQL cluster with a connection is protected by
        /// Soter; the keys below say how.
        connection: Option<At<Connection>>,
        /// The members of an etcd, such as `https://10.0.0.1:2379`, in the order they are asked. An
        /// etcd with endpoints is protected by Soter, by snapshots.
        endpoints: Vec<At<EtcdEndpoint>>,
        /// The certificates of the authorities that vouch for its members, in PEM.
        ca_file: Option<At<AbsolutePath>>,
        /// The client certificate that it is asked with, in PEM.
        certificate_file: Option<At<AbsolutePath>>,
        /// The key of this certificate, in PEM.
        key_file: Option<At<AbsolutePath>>,
        /// Files of the agent's machine without which a snapshot opens nowhere, such as the server
        /// token and the keys of K3s: taken along with each, owner and mode kept. `*` and `?` stand
        /// for what changes in a name; of a directory everything is taken.
        files: Vec<At<PathPattern>>,
        /// The cluster's data directory on the machine of the agent.
        data_directory: Option<At<AbsolutePath>>,
        /// How its write-ahead log is taken.
        wal: Option<WalSettings>,
        /// When Soter makes backups, and how.
        backup: Option<BackupSettings>,
        /// How hard Soter compresses what it stores.
        compression: Option<CompressionSettings>,
        /// The heartbeat that measures loss in the data itself. None if it is left out: it writes a
        /// row. `{}` writes one every 5 s.
        canary: Option<CanarySettings>,
        /// How long Soter keeps its backups.
        retention: Option<RetentionSettings>,
    }
}

section! {
    /// Demands and copies that several stores share.
    pub struct Policy, "a policy" {
        /// What it is for.
        title: Option<At<String>>,
        /// How much of the newest data may be lost.
        rpo: Option<At<Duration>>,
        /// The copies that are made.
        copies: Vec<Copy>,
        /// How many copies there must be, the living one counted. Taken for 3.
        copies_min: Option<At<u32>>,
        /// How many of them must lie outside the failure domains of the store. Taken for 1.
        offsite_min: Option<At<u32>>,
        /// How long one copy must be safe from everybody's deletion. Taken for 0.
        immutable_for: Option<At<Every>>,
    }
}

section! {
    /// Where copies are kept: a repository of Soter, a bucket, a directory, a repository elsewhere.
    pub struct Vault, "a vault" {
        /// Its name for people.
        title: Option<At<String>>,
        /// Where it is, such as `file:///srv/soter`, `oss://backups/postgres/`.
        url: Option<At<String>> = "url: \"file:///srv/soter\"",
        /// Who vouches for it, if it is a vault of Soter.
        keys: Option<VaultKeys>,
        /// The failure domains it lies in.
        domains: Vec<At<String>>,
        /// The credentials that write to it.
        written_with: Vec<At<String>>,
        /// The credentials that read it at a recovery.
        read_with: Vec<At<String>>,
        /// The credentials that can delete in it.
        deleted_with: Vec<At<String>>,
        /// How long an object in it cannot be deleted by anybody (object lock, WORM).
        immutable_for: Option<At<Every>>,
        /// It has no connection to anything: a disk in a safe.
        offline: Option<At<bool>>,
    }
}

/// Stores by name.
pub type Stores = Named<Store>;
