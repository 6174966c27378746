//! All kinds of steps and questions that know stores and services, in one list.

use std::path::PathBuf;
use std::sync::Arc;

use soter_runbook::steps::Action;
use soter_world::{Clock, Disk};

/// What the steps take from outside.
#[derive(Clone)]
pub struct Means {
    /// This program: what takes long is a command of it.
    pub program: PathBuf,
    /// The operator's key file, by which a vault is read; none: contents cannot be.
    pub identity: Option<PathBuf>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The kinds of steps and questions of this crate, each one an entry.
#[must_use]
pub fn actions(means: &Means) -> Vec<Arc<dyn Action>> {
    let _ = means;
    Vec::new()
}
