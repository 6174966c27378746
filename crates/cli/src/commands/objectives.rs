//! `soter objectives`: what is promised, what the plan makes of it, and what that rests on.

use std::path::PathBuf;

use soter_plan::objectives::{Objectives, Sheet};

use crate::context::Context;
use crate::failure::Failure;
use crate::plans;

/// Hold promises against figures, per service and store and scenario: promised, computed, margin, what
/// decides it, and which numbers are assumptions.
#[derive(Debug, clap::Args)]
pub(crate) struct ObjectivesArgs {
    /// Files and directories, as `soter check` takes them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(context: &Context, args: &ObjectivesArgs) -> Result<(), Failure> {
    let plan = plans::one(context, &args.paths)?;
    let sheet = Sheet::new(&Objectives::new(&plan));
    context.output.data(&sheet, Sheet::text);
    Ok(())
}
