//! Base backups of a cluster, taken beside its data directory.

mod error;
pub mod pages;
pub mod plan;
pub mod record;
pub mod run;
pub mod source;
pub mod tree;

pub use error::BackupError;

#[cfg(test)]
mod tests;
