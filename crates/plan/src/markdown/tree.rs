//! A document as a tree of sections with paragraphs, lists, tables and code, each with its place.
//!
//! The rule it keeps: linear time and bounded depth, whatever the bytes. Bold lines that stand as
//! headings (`**Phase 1: Infrastructure (20 minutes)**`) are sections too; `**RTO:** 1 hour` is a
//! field of its section.

mod blocks;
mod drawing;
mod fields;
mod grid;

#[cfg(test)]
mod tests;

use super::text::Text;
use super::vocabulary::Topic;
use crate::language::{FileId, Origin, Script};

pub(crate) use blocks::read;

/// A document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    /// In the order they were written; the first has no title and holds what stands above all.
    pub(crate) sections: Vec<Section>,
    /// Fields of the front matter between `---` lines.
    pub(crate) front_matter: Vec<Field>,
}

/// A heading and what stands below it, up to the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Section {
    pub(crate) title: Text,
    /// 1 to 6 for headings, [`LABEL`] for a bold line; 0 for what stands above all headings.
    pub(crate) level: u8,
    /// The section it belongs to, by its place in the document.
    pub(crate) parent: Option<usize>,
    /// What its title says it is about.
    pub(crate) topic: Option<Topic>,
    pub(crate) fields: Vec<Field>,
    pub(crate) blocks: Vec<Block>,
}

/// The level of a line that stands as a heading without being one.
pub(crate) const LABEL: u8 = 7;

/// A name and what was written behind it.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) key: Text,
    pub(crate) value: Text,
}

/// Something in a section.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    Paragraph(Text),
    List(List),
    Table(Table),
    Code(Code),
    /// Something the reader has no eyes for, such as a table in HTML.
    Foreign(Origin, &'static str),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    /// The items are numbered.
    pub(crate) ordered: bool,
    /// It was drawn with lines, or is the text of a box.
    pub(crate) drawn: bool,
    pub(crate) items: Vec<Item>,
}

/// An item of a list: its own words, and what stands below them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Item {
    pub(crate) text: Text,
    pub(crate) blocks: Vec<Block>,
}

/// A table. Every row has as many cells as there are columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Text>,
    pub(crate) rows: Vec<Vec<Text>>,
    pub(crate) origin: Origin,
}

/// Lines between fences, or indented.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    /// The first word behind the fence, in small letters.
    pub(crate) language: String,
    pub(crate) text: Text,
    /// With its fences.
    pub(crate) origin: Origin,
}

impl Document {
    /// The titles above a section, from the outside in, its own last.
    pub(crate) fn path(&self, section: usize) -> Vec<&Text> {
        let mut path = Vec::new();
        let mut next = Some(section);
        while let Some(found) = next.and_then(|at| self.sections.get(at)) {
            path.push(&found.title);
            next = found.parent;
        }
        path.reverse();
        path
    }

    /// The sections below one, however deep.
    pub(crate) fn below(&self, section: usize) -> std::ops::Range<usize> {
        let level = self.sections.get(section).map_or(0, |section| section.level);
        let rest = self.sections.iter().skip(section + 1);
        section + 1..section + 1 + rest.take_while(|below| below.level > level).count()
    }
}

impl Block {
    /// Where it was written.
    pub(crate) fn origin(&self) -> Origin {
        match self {
            Self::Paragraph(text) => text.origin(),
            Self::List(list) => list.origin(),
            Self::Table(table) => table.origin,
            Self::Code(code) => code.origin,
            Self::Foreign(origin, _) => *origin,
        }
    }
}

impl List {
    /// Where it was written.
    pub(crate) fn origin(&self) -> Origin {
        match (self.items.first(), self.items.last()) {
            (Some(first), Some(last)) => first.text.origin().to(last.origin()),
            _ => Origin::default(),
        }
    }
}

impl Item {
    /// Where it was written.
    pub(crate) fn origin(&self) -> Origin {
        let own = self.text.origin();
        self.blocks.last().map_or(own, |last| own.to(last.origin()))
    }

    /// The items below it.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Self> {
        self.blocks.iter().flat_map(|block| match block {
            Block::List(list) => list.items.as_slice(),
            _ => &[],
        })
    }
}

impl Code {
    /// What it says, as a script whose lines know their places.
    pub(crate) fn script(&self) -> Script {
        script(&self.text)
    }
}

/// A text as a script whose lines know their places.
pub(crate) fn script(text: &Text) -> Script {
    Script::new(text.as_str().to_owned(), &text.line_starts(), text.origin())
}

/// The file a document's places are in.
fn empty(file: FileId) -> Section {
    Section { title: Text::new(file), ..Section::default() }
}
