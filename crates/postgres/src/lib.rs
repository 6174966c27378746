//! PostgreSQL 14 to 18: its formats, its replication protocol, base backup, restore, the agent.

pub mod adopt;
pub mod agent;
pub mod backup;
pub mod backup_label;
pub mod behind;
pub mod cluster;
pub mod connection;
pub mod control;
pub mod error;
pub mod fetch;
mod identity;
pub mod incarnation;
#[cfg(test)]
mod killed;
mod little_endian;
pub mod lsn;
pub mod page;
pub mod postmaster;
pub mod relation;
pub mod replication;
pub mod restore;
pub mod server;
mod sole;
pub mod testing;
pub mod timeline;
pub mod wal;
