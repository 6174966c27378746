//! What Soter itself protects in a plan: the stores that say how they are reached, and the vaults they
//! are kept in, as values that an agent and the commands work with.
//!
//! The rule it keeps: whatever is not right is a finding, and after a finding there is no plan to
//! work with. What the readers could not read is known, so that it is not called missing.

mod convert;

use std::collections::BTreeSet;

use crate::check::{Finding, Input, Loaded, Report, load};
use crate::findings::{Code, Raw};
use crate::language::{self, Origin};
use crate::plan::Plan;
use convert::Converter;

/// The keys whose values could not be read, so that they are not called missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unreadable {
    /// Each as its path: `stores/orders/connection`.
    paths: BTreeSet<String>,
    /// A file of the plan could not be read at all.
    has_file: bool,
}

impl Unreadable {
    /// Adds a key.
    pub(crate) fn add(&mut self, path: String) {
        self.paths.insert(path);
    }

    /// A file could not be read: it may hold any key.
    pub(crate) fn add_file(&mut self) {
        self.has_file = true;
    }

    /// Adds those of another file.
    pub(crate) fn join(&mut self, other: Self) {
        self.paths.extend(other.paths);
        self.has_file |= other.has_file;
    }

    /// Whether the value at this path, or a part of it, could not be read.
    pub(crate) fn has(&self, path: &[&str]) -> bool {
        let path = path.join("/");
        let below = format!("{path}/");
        self.has_file
            || self.paths.contains(&path)
            || self.paths.range(below.clone()..).next().is_some_and(|key| key.starts_with(&below))
    }
}

/// Reads the files of a plan for the commands that protect and recover: every store with
/// `kind: postgres` and a `connection`, or with `kind: etcd` and `endpoints`.
pub fn protected(inputs: &[Input]) -> Result<Plan, Report> {
    let Loaded { sources, plan, mut findings, unread, unreadable, .. } = load(inputs);
    let mut converter = Converter::new(&plan, &unreadable);
    let converted = converter.plan();
    findings.append(&mut converter.findings);
    findings.extend(missing_sections(&plan, &unreadable));
    if findings.is_empty() && converted.stores.is_empty() {
        let title = "no store of this plan is protected by Soter";
        let hint = "give one of them `kind: postgres` and `connection: \"host=… user=…\"` \
                    (`soter init` writes both), or `kind: etcd` and `endpoints: [\"https://…\"]`";
        findings.push(at_the_beginning(title.to_owned(), hint.to_owned()));
    }
    if findings.is_empty() { Ok(converted) } else { Err(Report::new(sources, findings, unread)) }
}

/// Reads a plan of one file. `file` is its name for the findings; nothing is opened.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Plan, Report> {
    protected(&[Input { name: file.to_owned(), bytes: bytes.to_vec() }])
}

/// What is wrong with the stores that Soter protects, for the compiler.
pub(crate) fn findings(plan: &language::Plan, unreadable: &Unreadable) -> Vec<Finding> {
    let mut converter = Converter::new(plan, unreadable);
    converter.plan();
    // S0102 tells of names in all sections; here it is told only if there is no section to be in.
    converter
        .findings
        .retain(|found| plan.vaults.is_empty() || found.code != Code::UnknownVault.as_str());
    converter.findings
}

/// A file of the compiler may leave out anything; one that an agent works with may not.
fn missing_sections(plan: &language::Plan, unreadable: &Unreadable) -> Vec<Finding> {
    let sections = [
        ("vaults", plan.vaults.is_empty(), "vaults: { main: { … } }"),
        ("stores", plan.stores.is_empty(), "stores: { orders: { … } }"),
    ];
    let missing = sections.iter().filter(|(key, empty, _)| *empty && !unreadable.has(&[key]));
    missing
        .map(|(key, _, example)| {
            let title = format!("`{key}` is missing: a plan must have it");
            at_the_beginning(title, format!("add `{example}`"))
        })
        .collect()
}

fn at_the_beginning(title: String, hint: String) -> Finding {
    let origin = Origin::default();
    Finding::of_reader(Raw::new(Code::MissingKey, origin.range(), title).hint(hint), origin.file)
}

/// A finding of this file, at a place that is known.
pub(crate) fn found(code: Code, origin: Origin, title: String, hint: &str) -> Finding {
    let raw = Raw::new(code, origin.range(), title);
    Finding::of_reader(if hint.is_empty() { raw } else { raw.hint(hint) }, origin.file)
}
