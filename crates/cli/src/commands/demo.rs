//! `soter demo`.

use std::path::PathBuf;
use std::time::Duration;

use soter_world::Stop;

use crate::context::Context;
use crate::demo::{self, Wishes, guard, table};
use crate::failure::{Ending, Failure};

/// Show it: protect a real cluster, lose it under load, bring it back, measure everything.
///
/// A PostgreSQL cluster is made for it in a directory of its own; no other is touched, and no port is
/// opened. Nothing of it stays, also after Ctrl-C. Exit code 0 means that no acknowledged commit was
/// lost and everything compared equal.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// How large: 100 000 accounts, about 15 MB, for each.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    scale: u32,
    /// How long commits are measured, without and with protection each.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    load_seconds: u64,
    /// Make its directory in this one. A commit's latency is that of this disk.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Leave the directory: logs, vault, recovered clusters.
    #[arg(long)]
    keep: bool,
    /// Be the process that clears up.
    #[arg(long, value_name = "DIR", hide = true)]
    guard: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &DemoArgs) -> Result<(), Failure> {
    if let Some(directory) = &args.guard {
        return guard(directory, &*context.clock);
    }
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let wishes = Wishes {
        scale: args.scale,
        load: Duration::from_secs(args.load_seconds),
        parent: args.directory.clone(),
        keep: args.keep,
    };
    let report = demo::run(context, &wishes, &stop)?;
    context.output.say("");
    context.output.data(&report, table);
    if report.differences.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Ending::Failed, report.differences.join("; "))
        .hint("run again with --keep, and look at the logs in its directory"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: DemoArgs,
    }

    #[test]
    fn it_is_no_toy_unless_it_is_asked_to_be() {
        let args = |words: &[&str]| Line::parse_from([&["demo"], words].concat()).args;
        assert!(args(&[]).scale >= 50, "{}", args(&[]).scale);
        assert_eq!(args(&["--scale=1"]).scale, 1);
    }
}
