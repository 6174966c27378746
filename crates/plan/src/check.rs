//! The compiler: files in, findings out.
//!
//! The rule it keeps: nothing stops at the first mistake, and the same files give the same findings
//! in the same order. Two front ends, YAML and Markdown, make one [`Plan`]; the rules see only that.

mod finding;
mod load;
mod model;
mod rule;

#[cfg(test)]
mod tests;

use jiff::civil::Date;

pub use finding::{Finding, Label, Severity, Unread};
pub use load::{Input, Loaded, load};
pub use model::{Facts, Model, Snippet, SnippetRole, Statement, Subject, Target};
pub use rule::Rule;

use crate::language::{Plan, Sources};
use crate::rules;

/// What a check found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The files, for showing what findings point at.
    pub sources: Sources,
    /// All findings: by file, place and code.
    pub findings: Vec<Finding>,
    /// What no front end understood, so that silence about it is not taken for praise.
    pub unread: Vec<Unread>,
}

/// Checks a plan that was loaded. `as_of` is the day against which reviews and drills are overdue.
pub fn check(loaded: Loaded, as_of: Date) -> Report {
    let Loaded { sources, plan, facts, mut findings, unread } = loaded;
    findings.extend(run(&plan, &sources, &facts, as_of));
    sort(&mut findings);
    Report { sources, findings, unread }
}

fn run(plan: &Plan, sources: &Sources, facts: &Facts, as_of: Date) -> Vec<Finding> {
    let model = Model::new(plan, sources, facts, as_of);
    let mut findings = Vec::new();
    for check in rules::CHECKS {
        check(&model, &mut findings);
    }
    findings
}

/// By file, place and code: the order people read in.
fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
}
