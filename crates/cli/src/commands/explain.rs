//! `soter explain`: the page of a rule, or all rules.

use serde::Serialize;
use soter_plan::check::{Rule, Severity, render};
use soter_plan::rules;

use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::output;

/// Explain a finding: why it matters at night, an example, how it is mended, when it is silent.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The code of a finding, such as S0101; none: all codes, by family.
    code: Option<String>,
}

#[derive(Serialize)]
struct Explained {
    code: &'static str,
    family: &'static str,
    severity: Severity,
    title: &'static str,
    why: &'static str,
    page: &'static str,
}

impl From<&Rule> for Explained {
    fn from(rule: &Rule) -> Self {
        let Rule { code, title, severity, why, page } = *rule;
        Self { code, family: rules::family(code), severity, title, why, page }
    }
}

pub(super) fn run(context: &Context, args: &ExplainArgs) -> Result<(), Failure> {
    let paper = output::paper();
    let Some(code) = &args.code else {
        let all: Vec<Explained> = rules::all().map(Explained::from).collect();
        context.output.data(&all, |_| render::rules(paper));
        return Ok(());
    };
    let rule = rules::find(code.trim()).ok_or_else(|| {
        Failure::new(Ending::Input, format!("there is no rule {code:?}"))
            .hint("`soter explain` lists them all")
    })?;
    context.output.data(&Explained::from(rule), |_| render::page(rule, paper));
    Ok(())
}
