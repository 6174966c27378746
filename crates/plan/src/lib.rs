//! What must be recoverable and how: the plan, its types, reading and writing it.
//!
//! Pure: bytes in, values or findings out. It opens no file, asks no clock, knows no secret.

mod plan;

mod connection;
mod names;
mod schedule;
mod text;
mod units;
mod vault;

pub mod check;
pub mod doc;
pub mod products;
pub mod shell;

mod findings;
pub mod graph;
pub mod import;
pub mod language;
pub mod objectives;
pub mod order;
mod protection;
mod write;

mod markdown;
mod mask;
pub mod rules;
mod suggest;
pub mod target;
mod tree;

#[cfg(test)]
mod tests;

pub use connection::{Connection, ConnectionError, ConnectionErrorKind};
pub use names::{NameError, StoreName, VaultName};
pub use plan::{
    Backup, Canary, ClientFiles, Compression, Etcd, Kind, Plan, Postgres, Retention, Spool, Store,
    Wal, WalMode,
};
pub use protection::{parse, protected};
pub use schedule::Schedule;
pub use suggest::nearest;
pub use text::{Part, Reference, Text, TextError};
pub use units::{ByteSize, UnitError, format_duration, parse_duration, parse_size};
pub use vault::{AGENT_KEY_DEFAULT, PublicKey, PublicKeyError, UrlError, Vault, VaultUrl};
pub use write::{Facts, write};
