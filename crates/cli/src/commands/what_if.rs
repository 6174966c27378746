//! `soter what-if`: who is down after a loss, who comes back, how, when, and with what loss.

use std::path::PathBuf;

use soter_plan::graph::DomainId;
use soter_plan::objectives::{Matrix, Objectives, Outcome};

use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::plans;

/// Take failure domains away and say which services come back, how, when, and with what loss.
#[derive(Debug, clap::Args)]
pub(crate) struct WhatIfArgs {
    /// Files and directories, as `soter check` takes them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The failure domains that are lost at once, by name.
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',', required_unless_present = "all")]
    lose: Vec<String>,
    /// Every single and every double failure, a line for each.
    #[arg(long, conflicts_with = "lose")]
    all: bool,
}

pub(super) fn run(context: &Context, args: &WhatIfArgs) -> Result<(), Failure> {
    let plan = plans::one(context, &args.paths)?;
    let objectives = Objectives::new(&plan);
    if objectives.domains.is_empty() {
        let what = "the plan names no failure domain";
        return Err(Failure::new(Ending::Input, what).hint(
            "say under `domains` what fails together, and where services, stores and vaults lie",
        ));
    }
    if args.all {
        context.output.data(&Matrix::new(&objectives), Matrix::text);
        return Ok(());
    }
    let lost: Vec<DomainId> =
        args.lose.iter().map(|name| domain(&objectives, name)).collect::<Result<_, _>>()?;
    context.output.data(&Outcome::new(&objectives, &lost), Outcome::text);
    Ok(())
}

fn domain(objectives: &Objectives<'_>, name: &str) -> Result<DomainId, Failure> {
    let domains = &objectives.domains;
    domains.id(name).ok_or_else(|| {
        let known: Vec<&str> = domains.ids().map(|id| domains.name(id).value.as_str()).collect();
        Failure::new(Ending::Input, format!("the plan has no failure domain {name:?}"))
            .hint(format!("it has: {}", known.join(", ")))
    })
}
