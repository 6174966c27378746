//! PostgreSQL 14 to 18: its formats, its replication protocol, base backup, restore, the agent.

pub mod backup;
pub mod cluster;
pub mod lsn;
pub mod restore;
pub mod testing;
pub mod timeline;
pub mod wal;
