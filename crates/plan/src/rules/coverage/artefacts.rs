//! S0203: an object that a recovery reads must be one that some copy or step writes.
//!
//! Looked at are objects of a store elsewhere (`s3://…`, `oss://…`); files on the machine come from
//! anywhere. `${X}` and `%f` stand for anything.

use super::READ_NEVER_WRITTEN;
use crate::check::{Finding, Model, Severity};
use crate::language::{Copy, Plan, Scenario};
use crate::products::{Invocation, is_like};
use crate::shell::Shell;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let copies = written_by_copies(model);
    for (_, title, scenario) in model.plan.scenarios.titled() {
        let own = written_by_steps(model, scenario);
        for step in scenario.every_step() {
            let Some(script) = &step.run else { continue };
            for (text, range) in objects(&model.shell(script), false) {
                let text = text.to_lowercase();
                let is_written = |pattern: &String| fits(&text, pattern);
                if copies.iter().any(is_written) || own.iter().any(is_written) {
                    continue;
                }
                let place = script.place(range);
                findings.push(finding(model.text(place), (title, place), &copies, &text));
            }
        }
    }
}

/// Whether what is read is what is written: the same name, or the directory above it.
fn fits(read: &str, written: &str) -> bool {
    is_like(read, written) || (read.ends_with('/') && written.starts_with(read))
}

fn finding(
    shown: &str,
    (title, place): (&str, crate::language::Origin),
    copies: &[String],
    text: &str,
) -> Finding {
    let shown = shown.trim_matches(['"', '\'']);
    let words = format!("{title} reads {shown}, which nothing in the plan writes");
    let directory = text.rsplit_once('/').map_or(text, |(directory, _)| directory);
    let beside = copies
        .iter()
        .find(|written| written.rsplit_once('/').is_some_and(|(written, _)| written == directory));
    let finding = Finding::new(&READ_NEVER_WRITTEN, place, words).here("no copy has this name");
    match beside {
        Some(written) => {
            finding.proof(format!("what is written there is called {written}")).hint(format!(
                "read the newest of {written}, or let the job write a pointer of this name when a \
                 copy is complete"
            ))
        }
        None => finding.severity(Severity::Warning).hint(
            "show the job that writes it (`copies`, `artefact`), or the step that does (`writes`)",
        ),
    }
}

/// What the copies of the plan write, as patterns.
fn written_by_copies(model: &Model<'_>) -> Vec<String> {
    let plan = model.plan;
    let of_stores = plan.stores.iter().flat_map(|(_, store)| &store.copies);
    let of_policies = plan.policies.iter().flat_map(|(_, policy)| &policy.copies);
    let mut found = Vec::new();
    for copy in of_stores.chain(of_policies) {
        found.extend(declared(plan, copy));
        if let Some(run) = &copy.run {
            let written = objects(&model.shell(run), true);
            found.extend(written.into_iter().map(|(text, _)| pattern(&text)));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The artefact as it is called where it is kept.
fn declared(plan: &Plan, copy: &Copy) -> Option<String> {
    let artefact = copy.artefact.as_ref()?.value.to_lowercase();
    if artefact.contains("://") {
        return Some(pattern(&artefact));
    }
    let vault = copy.to.as_ref().and_then(|to| plan.vaults.get(&to.value));
    let url = vault.and_then(|vault| vault.url.as_ref())?.value.to_lowercase();
    Some(pattern(&format!("{}/{}", url.trim_end_matches('/'), artefact.trim_start_matches('/'))))
}

fn written_by_steps(model: &Model<'_>, scenario: &Scenario) -> Vec<String> {
    let mut found = Vec::new();
    for step in scenario.every_step() {
        found.extend(step.writes.iter().map(|name| pattern(&name.value)));
        if let Some(run) = &step.run {
            let written = objects(&model.shell(run), true);
            found.extend(written.into_iter().map(|(text, _)| pattern(&text)));
        }
    }
    found
}

/// The objects that a script writes or reads. Names with gaps are read as patterns by others only.
fn objects(shell: &Shell, written: bool) -> Vec<(String, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    for invocation in shell.commands.iter().filter_map(Invocation::of) {
        let artefacts = invocation.artefacts();
        let words = if written { artefacts.writes } else { artefacts.reads };
        for (text, word) in words {
            let is_elsewhere = text.contains("://") && !text.starts_with("http");
            let has_gap = text.contains(['$', '%', '*', '<', '{']);
            if is_elsewhere && (written || !has_gap) {
                found.push((text, word.range.clone()));
            }
        }
    }
    found
}

/// A name in small letters in which `*` stands for whatever is filled in: `${X}`, `$(date)`, `%f`.
fn pattern(text: &str) -> String {
    let mut found = String::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        let closing = match (next, rest.peek()) {
            ('$', Some('{')) => Some('}'),
            ('$', Some('(')) => Some(')'),
            ('{', Some('{')) => Some('}'),
            ('<', _) => Some('>'),
            _ => None,
        };
        if let Some(closing) = closing {
            rest.by_ref().find(|c| *c == closing);
            found.push('*');
        } else if next == '$' {
            while rest.next_if(|c| c.is_alphanumeric() || *c == '_').is_some() {}
            found.push('*');
        } else if next == '%' {
            rest.next();
            found.push('*');
        } else {
            found.extend(next.to_lowercase());
        }
    }
    // A directory that is written holds whatever is in it.
    if found.ends_with('/') {
        found.push('*');
    }
    while found.contains("**") {
        found = found.replace("**", "*");
    }
    found
}
