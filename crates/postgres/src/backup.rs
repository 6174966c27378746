//! Base backups of a cluster, taken beside its data directory.

pub mod pages;
pub mod tree;
