//! Base backups of a cluster, taken beside its data directory.

pub mod relation;
pub mod tree;
