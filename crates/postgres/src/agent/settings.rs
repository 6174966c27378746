//! What an agent is told: settings as data, and what it takes from outside.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use soter_vault::frame::Compression;
use soter_vault::keys::{StoreKeys, Trust};
use soter_vault::log::TakeOver;
use soter_vault::vault::Vault;
use soter_world::{Clock, Disk, Random};

use super::flow::Mode;
use super::machine::Trouble;
use crate::connection::ConnectionInfo;
use crate::replication::SlotName;

/// How a store is protected.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The store's name in the plan.
    pub store: String,
    /// The agent's name, for people: the machine.
    pub agent: String,
    /// The server. Its application name is what `synchronous_standby_names` must match.
    pub connection: ConnectionInfo,
    /// The server's data directory on this machine.
    pub data_directory: PathBuf,
    /// Where the agent keeps its spool, its socket and what it remembers.
    pub state_directory: PathBuf,
    /// The slot that holds WAL for it.
    pub slot: SlotName,
    /// What commits wait for.
    pub mode: Mode,
    /// How many bytes of WAL may wait on local disk while the vault is away. With none it waits in
    /// the server's `pg_wal`, and nothing is acknowledged that is not in the vault, unless the
    /// server is stopping. More bridges a longer outage.
    pub spool_bytes_max: Option<u64>,
    /// How sealed segments and backups are compressed.
    pub compression: Compression,
    /// How often a canary is written; none for never.
    pub canary_every: Option<Duration>,
    /// How old the last full backup may be before the next is a full one.
    pub full_every: Duration,
    /// How many threads read and compress a backup.
    pub backup_workers: usize,
    /// Whether another agent may be superseded.
    pub take_over: TakeOver,
    /// What of the plan no agent does: every status has it among its problems.
    pub shortfalls: Vec<String>,
}

/// What the process takes from outside.
#[derive(Clone)]
pub struct World {
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

/// A vault that is open for writing.
#[derive(Clone)]
pub struct Keyring {
    /// The vault.
    pub vault: Vault,
    /// Whom to believe in it.
    pub trust: Trust,
    /// The agent's keys for the store.
    pub keys: StoreKeys,
}

/// What the agent asks of whoever runs it.
pub struct Surroundings<'a> {
    /// The world.
    pub world: World,
    /// Opens the vault, which must not show an older trust list than the one of this number.
    pub open: &'a (dyn Fn(u32) -> Result<Keyring, Trouble> + Sync),
    /// When the first backup after this moment is due.
    pub next_backup: &'a (dyn Fn(Timestamp) -> Option<Timestamp> + Sync),
    /// Says something to a person: one line.
    pub say: &'a (dyn Fn(&str) + Sync),
}

impl Settings {
    /// Where WAL waits.
    pub(crate) fn spool_directory(&self) -> PathBuf {
        self.state_directory.join("spool")
    }

    /// The socket on which a running agent answers.
    pub fn socket(&self) -> PathBuf {
        socket_in(&self.state_directory)
    }
}

/// The socket of the agent with this state directory.
pub fn socket_in(state_directory: &std::path::Path) -> PathBuf {
    state_directory.join("agent.sock")
}
