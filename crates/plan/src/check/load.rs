//! Files to one plan, through the front end that fits each.

use super::finding::{Finding, Severity, Unread};
use super::model::Facts;
use crate::findings::{Code, RAW_MAX, Raw};
use crate::language::{FileId, Plan, Reading, Sources};
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

/// So much is kept of a file that is too long to be read: more than any line that is quoted.
const SHOWN_BYTES_MAX: usize = 256 << 10;

fn load_yaml(loaded: &mut Loaded, input: &Input) {
    let text = match tree::decode(&input.bytes, PLAN_BYTES_MAX) {
        Ok(text) => text,
        Err(raw) => {
            // What is too long is not looked through for its first line to be shown.
            let is_long = input.bytes.len() > PLAN_BYTES_MAX;
            let shown_bytes_max = if is_long { SHOWN_BYTES_MAX } else { PLAN_BYTES_MAX };
            let shown = input.bytes.get(..input.bytes.len().min(shown_bytes_max));
            let shown = String::from_utf8_lossy(shown.unwrap_or_default());
            let file = loaded.sources.add(&input.name, &shown, &[]);
            loaded.findings.push(Finding::of_reader(raw, file));
            loaded.unreadable.add_file();
            return;
        }
    };
    let file = loaded.sources.add(&input.name, text, &[]);
    let Reading { plan, mut findings, secrets, unreadable } = Reading::of(file, text);
    loaded.unreadable.join(unreadable);
    if !secrets.is_empty() {
        loaded.sources.hide(file, &secrets);
    }
    if findings.len() >= RAW_MAX {
        let title = format!("more than {RAW_MAX} mistakes: the others are not listed");
        findings.push(Raw::new(Code::NotYaml, 0..0, title).hint("is this the right file?"));
    }
    loaded.findings.extend(findings.into_iter().map(|raw| Finding::of_reader(raw, file)));
    second_of_one(loaded, &plan, file, text);
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
    loaded.facts.gone.extend(facts.gone);
    loaded.facts.placed.extend(facts.placed);
    loaded.facts.data_unread |= facts.data_unread;
    loaded.unread.extend(unread);
    merge(loaded, plan);
}

/// A section that is not made of names stands in one file: what a second one says would be ignored.
fn second_of_one(loaded: &mut Loaded, plan: &Plan, file: FileId, text: &str) {
    let known = &loaded.plan;
    let sections = [
        ("plan", known.plan.is_some() && plan.plan.is_some()),
        ("assumptions", known.assumptions.is_some() && plan.assumptions.is_some()),
        ("status_page", known.status_page.is_some() && plan.status_page.is_some()),
        ("after_incident", known.after_incident.is_some() && plan.after_incident.is_some()),
    ];
    for (key, _) in sections.into_iter().filter(|(_, is_second)| *is_second) {
        let mut start = 0;
        let mut lines = text.split_inclusive('\n').map(|line| {
            start += line.len();
            (start - line.len(), line.trim_start_matches(['"', '\'']))
        });
        let at = lines
            .find(|(_, line)| line.starts_with(key))
            .map_or(0..0, |(at, _)| at..at + key.len());
        let raw = Raw::new(Code::DuplicateKey, at, format!("`{key}` stands in another file too"))
            .hint("the section stands in one file: move what is here to the other");
        loaded.findings.push(Finding::of_reader(raw, file));
    }
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
