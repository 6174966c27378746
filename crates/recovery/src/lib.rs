//! What a run does to stores and services: the steps that know what a vault and a database are.
//!
//! Each kind of step is an [`Action`](soter_runbook::steps::Action) of its own file, and [`actions`] has
//! them all. What takes long is a command of the same binary, so that it outlives the engine and is
//! adopted like any other.

mod actions;
mod objections;

mod stores;

mod restore;

mod etcd;

mod sql;

mod terraform;
mod there;

pub mod capture;

pub mod mirror;

mod quiesce;

#[cfg(test)]
mod testing;

pub use actions::{LookUp, Means, actions};
pub use objections::objections;
pub use quiesce::{Connect, Quiesce, Standing, Trouble, Which, Workloads};
