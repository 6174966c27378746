//! A document before it is Markdown or HTML: headings, paragraphs, tables, steps.
//!
//! The rule it keeps: what a document says is decided once, in `chapters`; how it looks is decided
//! by the two writers, which cannot say different things.

use std::collections::{BTreeMap, BTreeSet};

use super::inline::Line;

/// A document.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) title: String,
    /// The line that says what it was made from.
    pub(super) origin: String,
    /// What the last line of every page says.
    pub(super) footer: String,
    pub(super) blocks: Vec<Block>,
    /// The anchors of procedures: they are looked for in a hurry, and stand in the contents by name.
    pub(super) procedures: BTreeSet<String>,
    /// How often an anchor was wanted.
    anchors: BTreeMap<String, usize>,
}

/// A piece of a document.
#[derive(Debug)]
pub(super) enum Block {
    Heading(Heading),
    Paragraph(Line),
    /// Names with values.
    Facts(Vec<(&'static str, Line)>),
    Table(Table),
    List(Vec<Line>),
    /// Something to copy, as it stands.
    Code {
        language: &'static str,
        text: String,
    },
    Step(Step),
}

/// A heading; those of level 2 are chapters, of level 3 their parts.
#[derive(Debug)]
pub(super) struct Heading {
    pub(super) level: u8,
    /// By which the contents lead to it.
    pub(super) anchor: String,
    pub(super) text: String,
    /// A short word beside it, such as a budget.
    pub(super) aside: Option<String>,
}

/// A table; rows have as many cells as the head.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Line>>,
}

/// A step of a procedure: a box to tick.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) number: String,
    pub(super) title: Line,
    /// Somebody must say yes before it goes on.
    pub(super) is_approval: bool,
    /// It cannot be taken back.
    pub(super) is_destructive: bool,
    /// Short remarks: who, after what, how long.
    pub(super) remarks: Vec<Line>,
    pub(super) body: Vec<Block>,
    /// Probes: it is done when all of them say yes.
    pub(super) done_when: Vec<Vec<Block>>,
    /// What it leaves open, or lifts, and what to do if it fails.
    pub(super) notes: Vec<(&'static str, Line)>,
}

impl Page {
    pub(super) fn new(title: String, origin: String, footer: String) -> Self {
        Self { title, origin, footer, ..Self::default() }
    }

    pub(super) fn chapter(&mut self, text: &str) {
        self.heading(2, text, None);
    }

    pub(super) fn part(&mut self, text: &str, aside: Option<String>) {
        self.heading(3, text, aside);
    }

    /// The heading of a procedure.
    pub(super) fn procedure(&mut self, text: &str, aside: Option<String>) {
        self.part(text, aside);
        if let Some(Block::Heading(heading)) = self.blocks.last() {
            self.procedures.insert(heading.anchor.clone());
        }
    }

    /// A heading; its anchor is unique in the page.
    pub(super) fn heading(&mut self, level: u8, text: &str, aside: Option<String>) {
        let wanted = anchor(text);
        let count = self.anchors.entry(wanted.clone()).or_default();
        *count += 1;
        // A dot stands in no anchor, so that a counted one is never somebody else's.
        let anchor = if *count == 1 { wanted } else { format!("{wanted}.{count}") };
        let text = super::words::plain(text);
        self.blocks.push(Block::Heading(Heading { level, anchor, text, aside }));
    }

    pub(super) fn say(&mut self, line: Line) {
        if !line.is_empty() {
            self.blocks.push(Block::Paragraph(line));
        }
    }

    /// Those of the facts that have a value.
    pub(super) fn facts(&mut self, facts: Vec<(&'static str, Line)>) {
        let facts: Vec<_> = facts.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        if !facts.is_empty() {
            self.blocks.push(Block::Facts(facts));
        }
    }

    /// A table without its empty columns, unless it has no rows at all.
    pub(super) fn table(&mut self, head: &[&'static str], rows: Vec<Vec<Line>>) {
        let used = |column: usize| {
            rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()))
        };
        let keep: Vec<usize> = (0..head.len()).filter(|column| used(*column)).collect();
        if keep.is_empty() {
            return;
        }
        let head = keep.iter().map(|column| head[*column]).collect();
        let rows = rows
            .into_iter()
            .map(|row| {
                let kept = row.into_iter().enumerate().filter(|(at, _)| keep.contains(at));
                kept.map(|(_, cell)| cell).collect()
            })
            .collect();
        self.blocks.push(Block::Table(Table { head, rows }));
    }

    pub(super) fn list(&mut self, items: Vec<Line>) {
        if !items.is_empty() {
            self.blocks.push(Block::List(items));
        }
    }
}

/// A heading as a name that can stand in an address.
fn anchor(text: &str) -> String {
    let mut anchor = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_alphanumeric() => anchor.push(c),
            _ if anchor.ends_with('-') || anchor.is_empty() => {}
            _ => anchor.push('-'),
        }
    }
    let anchor = anchor.trim_end_matches('-');
    if anchor.is_empty() { "part".to_owned() } else { anchor.to_owned() }
}
