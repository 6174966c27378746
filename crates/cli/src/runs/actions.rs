//! The kinds of steps and questions that a run can have besides scripts, requests and messages: this is
//! the one place where they are put together.

use std::path::PathBuf;
use std::sync::Arc;

use soter_kubernetes::KubernetesSteps;
use soter_recovery::{Means, Quiesce};
use soter_runbook::steps::{Action, Tools};

use super::workloads;
use crate::context::Context;
use crate::failure::{Ending, Failure};

/// All of them.
pub(crate) fn actions(
    context: &Context,
    identity: Option<PathBuf>,
) -> Result<Vec<Arc<dyn Action>>, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::of(Ending::Failed, &error).during("find this program"))?;
    let means = Means {
        program,
        identity,
        disk: Arc::clone(&context.disk),
        clock: Arc::clone(&context.clock),
    };
    Ok(soter_recovery::actions(&means))
}

/// Those that need the ways of the others.
pub(crate) fn with_tools(tools: &Tools) -> Vec<Arc<dyn Action>> {
    vec![
        Arc::new(Quiesce::new(tools.clone(), Arc::new(workloads::connect))),
        Arc::new(KubernetesSteps::new(tools.children.clone(), Arc::clone(&tools.clock))),
    ]
}
