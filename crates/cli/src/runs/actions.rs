//! The kinds of steps and questions that a run can have besides scripts, requests and messages: this is
//! the one place where they are put together.

use std::path::PathBuf;
use std::sync::Arc;

use soter_kubernetes::KubernetesSteps;
use soter_recovery::{Means, Quiesce};
use soter_runbook::procedure::Procedure;
use soter_runbook::steps::{Action, Tools};

use super::stage::Reach;
use super::workloads;
use crate::context::{Context, look_up};

/// This binary, also when its file was replaced by a newer one meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// What they take from outside.
pub(crate) fn means(context: &Context, reach: &Reach) -> Means {
    let disk = Arc::clone(&context.disk);
    let here = || std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    Means {
        program: THIS_PROGRAM.into(),
        identity: reach.identity.clone(),
        directory: reach.directory.clone().unwrap_or_else(here),
        look_up: Arc::new(move |reference| {
            look_up(&*disk, reference).map_err(|failure| failure.in_one_line())
        }),
        disk: Arc::clone(&context.disk),
        clock: Arc::clone(&context.clock),
        random: Arc::clone(&context.random),
    }
}

/// All of them.
pub(crate) fn actions(procedure: &Procedure, means: &Means) -> Vec<Arc<dyn Action>> {
    soter_recovery::actions(procedure, means)
}

/// Those that need the ways of the others.
pub(crate) fn with_tools(tools: &Tools) -> Vec<Arc<dyn Action>> {
    vec![
        Arc::new(Quiesce::new(tools.clone(), Arc::new(workloads::connect))),
        Arc::new(KubernetesSteps::new(tools.children.clone(), Arc::clone(&tools.clock))),
    ]
}
