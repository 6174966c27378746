//! `soter doc`: the plan as the document people expect.

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use soter_plan::check;
use soter_plan::doc::{self, Digest, Edition};
use soter_plan::language::Plan;

use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::plans::{self, PlanFiles};

/// Print the plan as the document people expect: services, copies, procedures, people, drills.
///
/// It is derived and never edited: it names the plan's digest and the day, and the same plan on the
/// same day gives the same bytes.
#[derive(Debug, clap::Args)]
pub(crate) struct DocArgs {
    #[command(flatten)]
    source: Source,
    /// What it is made as.
    #[arg(long, value_enum, default_value_t = Format::Md, value_name = "FORMAT")]
    format: Format,
}

/// Which plan, and on which day.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// A plan: a file, several files, or a directory (all *.yaml and *.yml in it), or - for standard
    /// input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The day that due dates are counted from; else today (UTC).
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// Put in the telephone numbers and addresses that stand as ${env:NAME} in the plan.
    #[arg(long)]
    fill_contacts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Markdown.
    Md,
    /// One HTML file that needs no other.
    Html,
}

/// A document, for programs.
#[derive(Serialize)]
struct Printed {
    digest: String,
    as_of: Date,
    text: String,
}

pub(super) fn run(context: &Context, args: &DocArgs) -> Result<(), Failure> {
    let make = match args.format {
        Format::Md => doc::document_markdown,
        Format::Html => doc::document_html,
    };
    print(context, &args.source, make)
}

/// Prints what is made of the plan.
pub(super) fn print(
    context: &Context,
    source: &Source,
    make: fn(&Plan, &Edition) -> String,
) -> Result<(), Failure> {
    let plans = plans::find(&*context.disk, &source.paths)?;
    let files = only(&plans)?;
    let inputs = files.read(&*context.disk)?;
    let mut loaded = check::load(&inputs);
    refuse_gaps(&loaded)?;
    if source.fill_contacts {
        fill_contacts(context, &mut loaded.plan);
    }
    let as_of = source.as_of.unwrap_or_else(|| context.clock.now().to_zoned(TimeZone::UTC).date());
    let edition = Edition { digest: Digest::of(&inputs), as_of };
    let text = make(&loaded.plan, &edition);
    let printed = Printed { digest: edition.digest.to_string(), as_of, text };
    context.output.data(&printed, |printed| printed.text.clone());
    Ok(())
}

/// A sheet that lacks a number is still better than none, if somebody knows that it does.
fn fill_contacts(context: &Context, plan: &mut Plan) {
    #[expect(clippy::disallowed_methods, reason = "the plan asks for these variables")]
    let known = |name: &str| std::env::var(name).ok();
    let missing = doc::fill_contacts(plan, known);
    if !missing.is_empty() {
        let names = missing.into_iter().collect::<Vec<_>>().join(", ");
        context
            .output
            .warn(&format!("the environment does not have {names}: they stand as before"));
    }
}

/// The one plan that is named.
fn only(plans: &[PlanFiles]) -> Result<&PlanFiles, Failure> {
    match plans {
        [only] => Ok(only),
        several => Err(Failure::new(
            Ending::Input,
            format!("{} plans are named, and a document is made of one", several.len()),
        )
        .hint("make one document for each")),
    }
}

/// A document that lacks what could not be read would be believed.
fn refuse_gaps(loaded: &check::Loaded) -> Result<(), Failure> {
    let is_error = |finding: &&check::Finding| finding.severity == check::Severity::Error;
    let errors: Vec<_> = loaded.findings.iter().filter(is_error).collect();
    let Some(first) = errors.first() else { return Ok(()) };
    let origin = first.origin();
    let place = loaded.sources.file(origin.file).map_or_else(String::new, |file| {
        format!("{}:{}: ", file.name, file.place(origin.range().start).line)
    });
    let others = match errors.len() - 1 {
        0 => String::new(),
        1 => ", and one more".to_owned(),
        more => format!(", and {more} more"),
    };
    let what = format!("a part of the plan cannot be read: {place}{}{others}", first.title);
    Err(Failure::new(Ending::Input, what).hint("`soter check` shows them; mend them first"))
}
