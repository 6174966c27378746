//! From a document's tree to a plan, pass by pass; each marks what it understood.
//!
//! The rule it keeps: a part of the document belongs to one pass. What no pass claimed and yet looks
//! as if it meant something is listed as unread.

pub(super) mod backups;
pub(super) mod cheatsheet;
pub(super) mod derive;
pub(super) mod drills;
pub(super) mod explained;
pub(super) mod gone;
pub(super) mod header;
pub(super) mod inventory;
pub(super) mod jobs;
pub(super) mod people;
pub(super) mod scenarios;
pub(super) mod services;
pub(super) mod states;
pub(super) mod steps;
pub(super) mod table;
pub(super) mod unread;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::names::{Index, slug};
use super::text::Text;
use super::tree::{Block, Code, Document, Section};
use super::vocabulary::Topic;
use crate::check::{Facts, Snippet, SnippetRole, Statement, Subject, Target, Unread};
use crate::language::{At, FileId, Named, Origin, Plan};

/// What a document says.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) plan: Plan,
    pub(crate) facts: Facts,
    pub(crate) unread: Vec<Unread>,
}

/// Reads the plan that a document describes.
pub(crate) fn read(file: FileId, text: &str) -> Read {
    let document = super::tree::read(file, text);
    let mut reading = Reading::default();
    header::read(&document, &mut reading);
    inventory::read(&document, &mut reading);
    services::read(&document, &mut reading);
    backups::read(&document, &mut reading);
    states::read(&document, &mut reading);
    scenarios::read(&document, &mut reading);
    people::read(&document, &mut reading);
    drills::read(&document, &mut reading);
    cheatsheet::read(&document, &mut reading);
    derive::read(&mut reading);
    explained::read(&document, &mut reading);
    gone::read(&document, &mut reading);
    unread::read(&document, &mut reading);
    let Reading { plan, facts, unread, .. } = reading;
    Read { plan, facts, unread }
}

/// A plan while it is read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) plan: Plan,
    pub(crate) facts: Facts,
    pub(crate) unread: Vec<Unread>,
    pub(crate) services: Index,
    pub(crate) stores: Index,
    pub(crate) tiers: Index,
    /// What stands in tables of machines and components, by its words.
    pub(crate) inventory: Vec<String>,
    /// Where tables of services say that their data is: the service, and each part of the cell.
    pub(crate) data_of_services: Vec<(String, Text)>,
    pub(crate) scenarios: Index,
    /// The names of vaults by the buckets or hosts they are.
    pub(crate) vaults_by_address: HashMap<String, String>,
    /// What the last row of a table of steps says they take together.
    pub(crate) total: Option<At<Duration>>,
    /// Words that scenarios are counted by, such as `scenario c` and `s4`, and their names.
    pub(crate) counted: Vec<(String, String)>,
    /// Where each part began that some pass understood.
    understood: HashSet<u32>,
    /// The sections that are scenarios, and those below them.
    pub(crate) in_scenario: HashSet<usize>,
}

impl Reading {
    /// Says that a part of the document is in the plan.
    pub(crate) fn understand(&mut self, origin: Origin) {
        self.understood.insert(origin.start);
    }

    pub(crate) fn is_understood(&self, origin: Origin) -> bool {
        self.understood.contains(&origin.start)
    }

    /// Lists something that was not understood.
    pub(crate) fn cannot_read(&mut self, origin: Origin, why: impl Into<String>) {
        self.understand(origin);
        self.unread.push(Unread { origin, why: why.into() });
    }

    /// Notes a target, wherever it is stated.
    pub(crate) fn state(&mut self, subject: Subject, target: Target, value: At<Duration>) {
        self.facts.statements.push(Statement { subject, target, value });
    }

    /// Keeps code that belongs to no step.
    pub(crate) fn keep_code(&mut self, title: &Text, code: &Code, role: SnippetRole) {
        self.understand(code.origin);
        let title = super::text::one_line(title.as_str());
        let language = code.language.clone();
        self.facts.snippets.push(Snippet { title, language, script: code.script(), role });
    }
}

/// Adds a thing under the name that its title makes; a name that is taken is counted on.
pub(crate) fn insert<T>(named: &mut Named<T>, title: &Text, value: T) -> String {
    let first = slug(title.as_str());
    let name = if named.contains(&first) { counted_on(&first, named) } else { first };
    let taken = named.insert(At::new(name.clone(), title.origin()), value);
    debug_assert!(taken.is_ok(), "the name was free");
    name
}

/// `first-2`, or the next that is free: in a table of thousands of rows many may be called the same.
fn counted_on<T>(first: &str, named: &Named<T>) -> String {
    let name = |count: usize| format!("{first}-{count}");
    let (mut taken, mut free) = (1, 2);
    while named.contains(&name(free)) {
        (taken, free) = (free, free * 2);
    }
    while free - taken > 1 {
        let middle = usize::midpoint(taken, free);
        if named.contains(&name(middle)) {
            taken = middle;
        } else {
            free = middle;
        }
    }
    name(free)
}

/// The topics of a section and of those above it, the innermost first.
pub(crate) fn topics(document: &Document, section: usize) -> Vec<Topic> {
    let mut topics = Vec::new();
    let mut next = Some(section);
    while let Some(found) = next.and_then(|at| document.sections.get(at)) {
        topics.extend(found.topic);
        next = found.parent;
    }
    topics
}

/// Whether a section or one above it is about this.
pub(crate) fn is_about(document: &Document, section: usize, about: &[Topic]) -> bool {
    topics(document, section).iter().any(|topic| about.contains(topic))
}

/// The sections with their places.
pub(crate) fn sections(document: &Document) -> impl Iterator<Item = (usize, &Section)> {
    document.sections.iter().enumerate()
}

/// The paragraphs of a section as one text for a summary or a meaning; none if there is none.
pub(crate) fn prose(section: &Section) -> Option<Text> {
    section.blocks.iter().find_map(|block| match block {
        Block::Paragraph(text) => Some(text.clone()),
        _ => None,
    })
}

/// Parts of a cell between commas, semicolons, line breaks, `and`, `&` and `+`, outside of brackets.
pub(crate) fn parts(text: &Text) -> Vec<Text> {
    const SEPARATORS: [&str; 9] = [",", ";", "\n", " and ", " & ", " + ", " und ", "•", " / "];
    let written = text.as_str();
    let mut parts = Vec::new();
    let (mut depth, mut from, mut skip_to) = (0i32, 0, 0);
    for (at, c) in written
        .char_indices()
        .filter(|(at, _)| *at > 0 || written.starts_with([',', ';', '\n', '•', '(']))
    {
        if at < skip_to {
            continue;
        }
        depth += i32::from(c == '(') - i32::from(c == ')');
        let rest = written.get(at..).unwrap_or("");
        if depth <= 0
            && let Some(found) = SEPARATORS.iter().find(|sign| rest.starts_with(**sign))
        {
            parts.push(text.slice(from..at).trim());
            from = at + found.len();
            skip_to = from;
        }
    }
    parts.push(text.behind(from).trim());
    parts.retain(|part| !super::vocabulary::is_nothing(part.as_str()));
    parts
}
