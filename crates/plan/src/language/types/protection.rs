//! How Soter itself protects a store: what its agent and its commands read.

use crate::language::at::At;
use crate::language::define::{section, words};
use crate::language::limited::{
    CanaryEvery, CompressionLevel, FullEvery, KeepFor, KeepLast, PartInterval, SpoolLimit, Workers,
};
use crate::language::local::{AbsolutePath, ApplicationName, SlotName};
use crate::vault::PublicKey;

words! {
    /// What a commit waits for.
    pub enum WalMode, "a mode" {
        /// Nothing: a disaster loses what was not sent yet.
        Asynchronous = "asynchronous",
        /// Its WAL is durable in the vault: a disaster loses nothing that was acknowledged; a
        /// commit takes as long as the vault, and waits while the vault is away.
        Synchronous = "synchronous",
    }
}

section! {
    /// How the write-ahead log is taken.
    pub struct WalSettings, "`wal`" {
        /// What a commit waits for. `asynchronous` if it is left out.
        mode: Option<At<WalMode>>,
        /// In asynchronous mode, how long WAL may collect before it is sent; nothing is sent when
        /// there is nothing new. Less loses less in a disaster, and makes more objects; more is
        /// cheaper, and loses up to this much.
        part_interval: Option<At<PartInterval>>,
        /// The agent's replication slot. `soter_` and the store's name if it is left out.
        slot: Option<At<SlotName>>,
        /// The name the agent connects with, matched by `synchronous_standby_names`. The same as
        /// the slot if it is left out.
        application_name: Option<At<ApplicationName>>,
        /// Where WAL waits on local disk while no vault can be reached. Without one it waits in
        /// the server's `pg_wal`, which fills the server's disk.
        spool: Option<SpoolSettings>,
    }
}

section! {
    /// A place on local disk where WAL waits.
    pub struct SpoolSettings, "`spool`" {
        /// A path, not inside the data directory, best on another disk.
        directory: Option<At<AbsolutePath>> = "directory: /var/spool/soter",
        /// Most bytes it may take. More bridges a longer outage.
        limit: Option<At<SpoolLimit>>,
    }
}

section! {
    /// When backups are made, and how.
    pub struct BackupSettings, "`backup`" {
        /// When an increment is due: minute, hour, day of month, month, day of week, in quotes.
        /// `0 * * * *` if it is left out. More often makes recovery faster (less WAL to replay),
        /// and reads the changed files more often.
        schedule: Option<At<String>>,
        /// Whose clock the schedule reads, such as `Europe/Berlin`. UTC if it is left out. In the
        /// hour a clock skips, what is due runs when the clock has moved on; in the hour it
        /// repeats, once.
        time_zone: Option<At<String>>,
        /// How old the last full backup may be before the next backup is a full one. Less stores
        /// more; a restore is as fast either way.
        full_every: Option<At<FullEvery>>,
        /// How many files are read and compressed at once. More is faster, takes about one core
        /// each from the server, and 8 MiB of memory.
        workers: Option<At<Workers>>,
    }
}

section! {
    /// How hard contents are compressed.
    pub struct CompressionSettings, "`compression`" {
        /// zstd's level. More makes backups smaller and slower; above 9 much slower.
        level: Option<At<CompressionLevel>>,
    }
}

section! {
    /// The heartbeat: a row written on a schedule, so that loss is measured in the data itself.
    pub struct CanarySettings, "`canary`" {
        /// How often. Less measures loss more finely and writes more.
        every: Option<At<CanaryEvery>>,
    }
}

section! {
    /// How long backups are kept. What no policy can remove: the newest complete backup, the newest
    /// verified one, what is held, and everything younger than 7 days.
    pub struct RetentionSettings, "`retention`" {
        /// Backups, and the WAL behind them, are kept at least this long. More lets you go back
        /// further, and costs storage.
        keep_for: Option<At<KeepFor>>,
        /// At least this many of the newest backups are kept, whatever their age, counted one per
        /// scheduled slot.
        keep_last: Option<At<KeepLast>>,
    }
}

section! {
    /// Who vouches for a vault.
    pub struct VaultKeys, "a vault's keys" {
        /// One to three keys, any of which may have signed the vault's trust lists, as `soter vault
        /// init` prints them. Without the pin, whoever can write to the bucket could put another
        /// vault in its place.
        root: Vec<At<PublicKey>> = "root: \"ed25519:…\"",
        /// The agent's key file on its machine. `/etc/soter/agent.key` if it is left out.
        agent: Option<At<AbsolutePath>>,
    }
}
