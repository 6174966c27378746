//! `soter check`: what would fail in a plan.

mod select;
mod watch;

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use soter_plan::check::render::{self, Tool};
use soter_plan::check::{self, Report, Severity};

use crate::context::{Access, Context};
use crate::failure::{Ending, Failure};
use crate::output;
use crate::plans::{PlanFiles, published};
use select::Selection;

/// Read a plan and say what would fail when it is needed.
///
/// A PATH is a plan's YAML file, a disaster recovery document in Markdown, a directory (all *.yaml and
/// *.yml in it are one plan), or - for standard input. Exit codes: 0 nothing at or above --deny,
/// 1 findings, 2 a file that could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Files and directories; none: the plan that is published in --vault.
    #[arg(required_unless_present = "vault", value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// The least severity that makes the check fail.
    #[arg(long, value_enum, default_value_t = Deny::Error, value_name = "SEVERITY")]
    deny: Deny,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
    /// Only findings of this code (S0101) or family (S01); may be given several times.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    only: Vec<String>,
    /// No findings of this code or family; may be given several times.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    skip: Vec<String>,
    /// The day against which reviews and drills are overdue; else today (UTC).
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// Check again whenever a file changes, and print what is different; until Ctrl-C.
    #[arg(long, conflicts_with_all = ["format", "vault"])]
    watch: bool,
}

/// The least severity that makes a check fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deny {
    Note,
    Warning,
    Error,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As compilers print them.
    Text,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

pub(super) fn run(context: &Context, args: &CheckArgs) -> Result<(), Failure> {
    let selection = Selection::new(&args.only, &args.skip)?;
    if args.watch {
        return watch::run(context, args, &selection);
    }
    let plans = published::find(context, &args.paths, &args.access)?;
    let report = report(context, args, &plans, &selection)?;
    let format = if context.output.is_json() { Format::Json } else { args.format };
    match format {
        Format::Text => {
            let text = render::text(&report, output::paper());
            context.output.text(&text);
        }
        Format::Json => print_json(context, &render::json(&report)),
        Format::Sarif => {
            let tool = Tool { version: env!("CARGO_PKG_VERSION") };
            print_json(context, &render::sarif(&report, tool));
        }
    }
    verdict(args, &report)
}

fn print_json(context: &Context, value: &impl Serialize) {
    context.output.data(value, |value| {
        serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string())
    });
}

/// The report on all these plans, less what was not asked for.
fn report(
    context: &Context,
    args: &CheckArgs,
    plans: &[PlanFiles],
    selection: &Selection,
) -> Result<Report, Failure> {
    let today = || context.clock.now().to_zoned(TimeZone::UTC).date();
    let as_of = args.as_of.unwrap_or_else(today);
    let mut whole: Option<Report> = None;
    for plan in plans {
        let report = check::check(check::load(&plan.read(&*context.disk)?), as_of);
        match &mut whole {
            Some(whole) => whole.join(report),
            None => whole = Some(report),
        }
    }
    let mut report = whole.unwrap_or_else(|| check::check(check::load(&[]), as_of));
    report.findings.retain(|finding| selection.takes(finding.code));
    Ok(report)
}

/// How the process ends. What was found is on standard output already.
fn verdict(args: &CheckArgs, report: &Report) -> Result<(), Failure> {
    let least = match args.deny {
        Deny::Note => Severity::Note,
        Deny::Warning => Severity::Warning,
        Deny::Error => Severity::Error,
    };
    if report.has_unreadable() {
        return Err(Failure::new(Ending::Input, ""));
    }
    match report.findings.iter().any(|finding| finding.severity >= least) {
        true => Err(Failure::new(Ending::No, "")),
        false => Ok(()),
    }
}
