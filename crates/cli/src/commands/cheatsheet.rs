//! `soter cheatsheet`: the quick reference on one page.

use clap::ValueEnum;
use soter_plan::doc;

use super::doc::{Source, print};
use crate::context::Context;
use crate::failure::Failure;

/// Print the quick reference: whom to call, what to do first, where copies and keys are.
///
/// As text it survives a fax: 60 lines of 78 ASCII characters. As HTML it prints on one page. It is
/// derived and never edited: it names the plan's digest and the day.
#[derive(Debug, clap::Args)]
pub(crate) struct CheatsheetArgs {
    #[command(flatten)]
    source: Source,
    /// What it is made as.
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Plain text.
    Text,
    /// One HTML file that prints on one page.
    Html,
}

pub(super) fn run(context: &Context, args: &CheatsheetArgs) -> Result<(), Failure> {
    let make = match args.format {
        Format::Text => doc::cheatsheet_text,
        Format::Html => doc::cheatsheet_html,
    };
    print(context, &args.source, make)
}
