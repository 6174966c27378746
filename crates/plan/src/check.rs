//! The compiler: files in, findings out.
//!
//! The rule it keeps: nothing stops at the first mistake, and the same files give the same findings
//! in the same order. Two front ends, YAML and Markdown, make one [`Plan`]; the rules see only that.

mod finding;
mod load;
mod model;
pub mod render;
mod rule;

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::civil::Date;

pub use finding::{Finding, Label, Severity, Unread};
pub use load::{Input, Loaded, load};
pub use model::{Described, Facts, Gone, Model, Snippet, SnippetRole, Statement, Subject, Target};
pub use rule::Rule;

use crate::findings::Code;
use crate::language::{Origin, Plan, Sources};
use crate::{protection, rules};

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
    let Loaded { sources, plan, facts, mut findings, unread, unreadable } = loaded;
    findings.extend(protection::findings(&plan, &unreadable));
    findings.extend(run(&plan, &sources, &facts, as_of));
    Report::new(sources, findings, unread)
}

impl Report {
    /// Findings in the order people read in: by file, place and code.
    pub(crate) fn new(sources: Sources, mut findings: Vec<Finding>, unread: Vec<Unread>) -> Self {
        findings.sort_by(|a, b| a.order().cmp(&b.order()));
        Self { sources, findings, unread }
    }

    /// Adds the report on another plan.
    pub fn join(&mut self, other: Self) {
        let moved = self.sources.join(other.sources);
        let origin = |origin: Origin| Origin { file: moved(origin.file), ..origin };
        self.findings.extend(other.findings.into_iter().map(|mut finding| {
            for label in &mut finding.labels {
                label.origin = origin(label.origin);
            }
            finding
        }));
        let unread = other.unread.into_iter();
        self.unread.extend(unread.map(|one| Unread { origin: origin(one.origin), ..one }));
    }

    /// Whether a file could not be read at all, so that what it says was not checked.
    pub fn has_unreadable(&self) -> bool {
        let unreadable = [Code::NotText, Code::NotYaml].map(Code::as_str);
        let is_unreadable = |finding: &Finding| {
            finding.severity == Severity::Error && unreadable.contains(&finding.code)
        };
        self.findings.iter().any(is_unreadable)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(render::summary(self).lines().next().unwrap_or(""))
    }
}

impl std::error::Error for Report {}

fn run(plan: &Plan, sources: &Sources, facts: &Facts, as_of: Date) -> Vec<Finding> {
    let model = Model::new(plan, sources, facts, as_of);
    let mut findings = Vec::new();
    for check in rules::CHECKS {
        check(&model, &mut findings);
    }
    findings
}
