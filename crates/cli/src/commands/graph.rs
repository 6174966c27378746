//! `soter graph`: services by tier, with critical path and slack.

use std::path::PathBuf;

use clap::ValueEnum;
use soter_plan::graph::View;
use soter_plan::objectives::Objectives;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::plans;

/// Show the services of a plan by tier: what each promises, when it can be back at the earliest, by
/// when it must be back, and the slack between; and the critical path.
#[derive(Debug, clap::Args)]
pub(crate) struct GraphArgs {
    /// Files and directories, as `soter check` takes them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How it is drawn.
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for a terminal.
    Text,
    /// A picture.
    Svg,
    /// For Graphviz.
    Dot,
}

pub(super) fn run(context: &Context, args: &GraphArgs) -> Result<(), Failure> {
    let plan = plans::one(context, &args.paths)?;
    let view = View::new(&Objectives::new(&plan));
    context.output.data(&view, |view| match args.format {
        Format::Text => view.text(output::paper().width),
        Format::Svg => view.svg(),
        Format::Dot => view.dot(),
    });
    Ok(())
}
