//! Files to one plan, through the front end that fits each.

use super::finding::{Finding, Severity, Unread};
use super::model::Facts;
use crate::findings::{Code, Raw};
use crate::language::{Plan, Reading, Sources};
use crate::markdown;
use crate::protection::Unreadable;
use crate::tree::{self, PLAN_BYTES_MAX};

/// A file, as it was read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name, as people know it.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A plan and all that was found while it was read.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The files.
    pub sources: Sources,
    /// The plan.
    pub plan: Plan,
    /// What documents say beyond it.
    pub facts: Facts,
    /// What is wrong with the files themselves.
    pub findings: Vec<Finding>,
    /// What no front end understood.
    pub unread: Vec<Unread>,
    /// The keys whose values could not be read, so that they are not called missing.
    pub(crate) unreadable: Unreadable,
}

/// Reads the files of one plan.
pub fn load(inputs: &[Input]) -> Loaded {
    let mut loaded = Loaded::default();
    for input in inputs {
        if markdown::is_document(&input.name, &input.bytes) {
            load_document(&mut loaded, input);
        } else {
            load_yaml(&mut loaded, input);
        }
    }
    loaded
}

fn load_yaml(loaded: &mut Loaded, input: &Input) {
    let text = match tree::decode(&input.bytes, PLAN_BYTES_MAX) {
        Ok(text) => text,
        Err(raw) => {
            let shown = input.bytes.get(..input.bytes.len().min(PLAN_BYTES_MAX));
            let shown = String::from_utf8_lossy(shown.unwrap_or_default());
            let file = loaded.sources.add(&input.name, &shown, &[]);
            loaded.findings.push(Finding::of_reader(raw, file));
            loaded.unreadable.add_file();
            return;
        }
    };
    let file = loaded.sources.add(&input.name, text, &[]);
    let Reading { plan, findings, secrets, unreadable } = Reading::of(file, text);
    loaded.unreadable.join(unreadable);
    if !secrets.is_empty() {
        loaded.sources.hide(file, &secrets);
    }
    loaded.findings.extend(findings.into_iter().map(|raw| Finding::of_reader(raw, file)));
    merge(loaded, plan);
}

fn load_document(loaded: &mut Loaded, input: &Input) {
    let (text, told) = match markdown::decode(&input.bytes) {
        Ok(decoded) => decoded,
        Err(raw) => {
            let file = loaded.sources.add(&input.name, "", &[]);
            loaded.findings.push(Finding::of_reader(raw, file));
            return;
        }
    };
    let file = loaded.sources.add(&input.name, &text, &[]);
    // It was read all the same: worth mending, no reason to stop.
    let told = told.map(|raw| Finding::of_reader(raw, file).severity(Severity::Warning));
    loaded.findings.extend(told);
    let markdown::Read { plan, facts, unread } = markdown::read(file, &text);
    loaded.facts.statements.extend(facts.statements);
    loaded.facts.snippets.extend(facts.snippets);
    loaded.facts.described.extend(facts.described);
    loaded.facts.explained.extend(facts.explained);
    loaded.facts.without_deputy.extend(facts.without_deputy);
    loaded.unread.extend(unread);
    merge(loaded, plan);
}

fn merge(loaded: &mut Loaded, plan: Plan) {
    for repeated in loaded.plan.merge(plan) {
        let at = repeated.name.origin;
        let title =
            format!("`{}` is declared twice among the {}", repeated.name.value, repeated.section);
        let raw = Raw::new(Code::DuplicateKey, at.range(), title)
            .hint("one name, one declaration: keep one of them, or give it another name");
        loaded.findings.push(Finding::of_reader(raw, at.file));
    }
}
