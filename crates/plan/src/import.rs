//! A plan that was read from a document, written as YAML for people to go on with.
//!
//! The rule it keeps: what is written reads back without a finding of the language, and says what
//! the document said, no more. Where a person must decide stands a comment that begins with the
//! word for open work, and where the language wants a value that nobody stated, so does the value.

mod gaps;

#[cfg(test)]
mod tests;

use crate::check::Loaded;
use crate::language::{At, Origin, Plan, Yaml};
use gaps::{Gaps, OPEN};

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFile {
    /// Its path below the directory of the plan.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// What an import makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The files; one, if it was not to be split.
    pub files: Vec<ImportFile>,
    /// How many places a person must decide.
    pub open_count: usize,
}

/// Where the schema stands beside the plan.
pub const SCHEMA_FILE: &str = "soter.schema.json";

/// Sections that stand together in a file.
const FILES: &[(&str, &[&str])] = &[
    ("plan.yaml", &["plan", "assumptions", "tiers"]),
    ("services.yaml", &["services", "groups"]),
    ("stores.yaml", &["stores", "policies", "vaults", "domains", "credentials"]),
    (
        "people.yaml",
        &["people", "teams", "channels", "severities", "status_page", "after_incident"],
    ),
    ("drills.yaml", &["drills"]),
];

/// The section whose entries have a file each.
const SCENARIOS: &str = "scenarios";

/// Writes a plan as one document.
pub fn import(loaded: &Loaded) -> Import {
    let (sections, open_count) = sections(loaded);
    let text = document(loaded, sections, 0);
    Import { files: vec![ImportFile { path: "soter.yaml".to_owned(), text }], open_count }
}

/// Writes a plan as the files of a directory.
pub fn import_split(loaded: &Loaded) -> Import {
    let (mut sections, open_count) = sections(loaded);
    let mut files = Vec::new();
    let scenarios = take(&mut sections, &[SCENARIOS]);
    for (at, (path, names)) in FILES.iter().enumerate() {
        let own = take(&mut sections, names);
        if at == 0 {
            files.push(ImportFile { path: (*path).to_owned(), text: document(loaded, own, 0) });
        } else if !own.is_empty() {
            files.push(ImportFile { path: (*path).to_owned(), text: with_schema(own, 0) });
        }
    }
    for (_, scenarios) in scenarios {
        let Yaml::Section(entries) = scenarios else { continue };
        for (name, value) in entries {
            let path = format!("{SCENARIOS}/{name}.yaml");
            let section = vec![(SCENARIOS.to_owned(), Yaml::Section(vec![(name, value)]))];
            files.push(ImportFile { path, text: with_schema(section, 1) });
        }
    }
    Import { files, open_count }
}

type Sections = Vec<(String, Yaml)>;

/// The sections of the plan with a note at each gap, and how many notes there are.
fn sections(loaded: &Loaded) -> (Sections, usize) {
    let gaps = Gaps::of(loaded);
    let Yaml::Section(entries) = completed(&loaded.plan).to_yaml() else { return (Vec::new(), 0) };
    let open_count = gaps.count();
    let noted = entries.into_iter().map(|(section, value)| {
        let value = match value {
            Yaml::Section(entries) if gaps.names_entries(&section) => {
                let entries = entries.into_iter().map(|(name, value)| {
                    let value = noted(gaps.note(&section, &name), value);
                    (name, value)
                });
                Yaml::Section(entries.collect())
            }
            value => value,
        };
        let value = noted(gaps.note(&section, ""), value);
        (section, value)
    });
    (noted.collect(), open_count)
}

fn noted(note: Option<String>, value: Yaml) -> Yaml {
    match note {
        Some(note) => Yaml::Noted(note, Box::new(value)),
        None => value,
    }
}

fn take(sections: &mut Sections, names: &[&str]) -> Sections {
    let (own, rest) =
        std::mem::take(sections).into_iter().partition(|(name, _)| names.contains(&name.as_str()));
    *sections = rest;
    own
}

/// A file with the line that tells editors what completes it; `depth` directories below the plan's.
fn with_schema(sections: Sections, depth: usize) -> String {
    let up = "../".repeat(depth);
    let schema = format!("# yaml-language-server: $schema={up}{SCHEMA_FILE}\n\n");
    schema + &Yaml::Section(sections).print()
}

/// The first file: it also lists what was not understood.
fn document(loaded: &Loaded, sections: Sections, depth: usize) -> String {
    let text = if sections.is_empty() { "plan: {}\n".to_owned() } else { String::new() };
    let written = if text.is_empty() { with_schema(sections, depth) } else { text };
    if loaded.unread.is_empty() {
        return written;
    }
    let mut head = format!("# {OPEN}: these parts of the document were not understood:\n");
    for unread in &loaded.unread {
        let Some(source) = loaded.sources.file(unread.origin.file) else { continue };
        let line = source.place(unread.origin.range().start).line;
        let why: String = unread.why.chars().filter(|c| !c.is_control()).collect();
        head.push_str(&format!("#   {}:{line}: {why}\n", one_line(&source.name)));
    }
    // The line for editors stands first.
    match written.split_once("\n\n") {
        Some((schema, rest)) if schema.starts_with("# yaml") => {
            format!("{schema}\n\n{head}\n{rest}")
        }
        _ => head + "\n" + &written,
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The plan with a value wherever the language wants one: what nobody stated says so itself.
fn completed(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let open = || Some(At::new(OPEN.to_owned(), Origin::default()));
    for (_, vault) in plan.vaults.iter_mut() {
        vault.url = vault.url.take().or_else(open);
    }
    plan
}
