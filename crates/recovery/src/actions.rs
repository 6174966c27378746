//! All kinds of steps and questions that know stores and services, in one list.

use std::path::PathBuf;
use std::sync::Arc;

use soter_plan::Reference;
use soter_runbook::procedure::Procedure;
use soter_runbook::steps::Action;
use soter_world::{Clock, Disk, Random};

use crate::capture::Evidence;
use crate::etcd::EtcdRestores;
use crate::restore::Restores;
use crate::sql::Queries;
use crate::stores::Stores;
use crate::terraform::Infrastructure;

/// Finds what stands for a reference of the plan; in words why it cannot.
pub type LookUp = Arc<dyn Fn(&Reference) -> Result<String, String> + Send + Sync>;

/// What the steps take from outside.
#[derive(Clone)]
pub struct Means {
    /// This program: what takes long is a command of it.
    pub program: PathBuf,
    /// The operator's key file, by which a vault is read; none: contents cannot be.
    pub identity: Option<PathBuf>,
    /// Where directories of the plan that are not absolute count from.
    pub directory: PathBuf,
    /// Finds what stands for secrets of the plan.
    pub look_up: LookUp,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for words that nobody knows before.
    pub random: Arc<dyn Random>,
}

/// The kinds of steps and questions of this crate, each one an entry, for a run of this procedure.
#[must_use]
pub fn actions(procedure: &Procedure, means: &Means) -> Vec<Arc<dyn Action>> {
    let stores = Stores::of(procedure, means);
    vec![
        Arc::new(Restores { stores: stores.clone(), means: means.clone() }),
        Arc::new(EtcdRestores { stores: stores.clone(), means: means.clone() }),
        Arc::new(Queries { stores }),
        Arc::new(Infrastructure { means: means.clone() }),
        Arc::new(Evidence { means: means.clone() }),
    ]
}
