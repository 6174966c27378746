//! Lines such as `**RTO:** 1 hour` as fields, and bold lines as headings.

use super::{Block, Field, LABEL, List, Section, Table};
use crate::markdown::text::Text;
use crate::markdown::vocabulary::{self, Word};

/// Longer ones are sentences.
const KEY_BYTES_MAX: usize = 48;

/// Longer ones are paragraphs that somebody wanted to shout.
const LABEL_BYTES_MAX: usize = 120;

/// Takes the fields and labels out of a section's blocks; labels become sections behind it.
pub(super) fn split(mut section: Section, sections: &mut Vec<Section>) {
    let blocks = std::mem::take(&mut section.blocks);
    sections.push(section);
    for block in blocks {
        match block {
            Block::Paragraph(text) => paragraph(&text, sections),
            Block::List(list) => push_list(list, sections),
            Block::Table(table) => push_table(table, sections),
            block => push(block, sections),
        }
    }
}

fn push(block: Block, sections: &mut [Section]) {
    sections.last_mut().into_iter().for_each(|section| section.blocks.push(block.clone()));
}

fn push_field(field: Field, sections: &mut [Section]) {
    sections.last_mut().into_iter().for_each(|section| section.fields.push(field.clone()));
}

fn paragraph(text: &Text, sections: &mut Vec<Section>) {
    let mut prose: Option<std::ops::Range<usize>> = None;
    let mut at = 0;
    let flush = |prose: &mut Option<std::ops::Range<usize>>, sections: &mut [Section]| {
        if let Some(range) = prose.take() {
            push(Block::Paragraph(text.slice(range).trim()), sections);
        }
    };
    for line in text.as_str().split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        let line = text.slice(range.clone()).trim();
        if let Some(field) = of_line(&line) {
            flush(&mut prose, sections);
            push_field(field, sections);
        } else if let Some(title) = label(&line) {
            flush(&mut prose, sections);
            sections.push(Section { title, level: LABEL, ..Section::default() });
        } else {
            prose.get_or_insert_with(|| range.clone()).end = range.end;
        }
    }
    flush(&mut prose, sections);
}

/// `**Key:** value`, `**Key**: value`, or `Key: value` with a key that is known.
pub(super) fn of_line(line: &Text) -> Option<Field> {
    let strong = line.strong_start();
    if strong > 0 {
        let key = line.slice(0..strong).trim();
        let rest = line.behind(strong).trim();
        let colon = key.as_str().ends_with([':', '：']) || rest.as_str().starts_with([':', '：']);
        let value = rest.trim_matches(|c| c.is_whitespace() || matches!(c, ':' | '：'));
        let key = key.trim_matches(|c| c.is_whitespace() || matches!(c, ':' | '：'));
        let is_field = colon && !value.is_blank() && key.len() <= KEY_BYTES_MAX;
        return is_field.then_some(Field { key, value });
    }
    of_plain_line(line).filter(|field| vocabulary::word(field.key.as_str()).is_some())
}

/// `key: value`, whatever the key.
pub(super) fn of_plain_line(line: &Text) -> Option<Field> {
    let (key, value) = line.as_str().split_once(':')?;
    if key.len() > KEY_BYTES_MAX || value.trim().is_empty() || !value.starts_with([' ', '\t']) {
        return None;
    }
    let at = key.len();
    let quotes = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    Some(Field { key: line.slice(0..at).trim(), value: line.behind(at + 1).trim_matches(quotes) })
}

/// A line that stands as a heading: bold from end to end, or a known word with a colon behind it.
fn label(line: &Text) -> Option<Text> {
    let title = line.trim_matches(|c| c.is_whitespace() || matches!(c, ':' | '：'));
    if title.is_blank() || title.len() > LABEL_BYTES_MAX {
        return None;
    }
    let is_bold = line.strong_start() >= title.len();
    let ends = line.as_str().ends_with([':', '：']);
    let known = ends
        && (vocabulary::word(title.as_str()).is_some_and(Word::is_heading)
            || vocabulary::is_phase(title.as_str()));
    (is_bold || known).then_some(title)
}

/// A list of fields is taken apart; any other stays a list.
fn push_list(list: List, sections: &mut [Section]) {
    let fields: Vec<Option<Field>> = list
        .items
        .iter()
        .map(|item| of_line(&item.text).filter(|_| item.blocks.is_empty()))
        .collect();
    let known = fields.iter().flatten().filter(|field| is_attribute(field)).count();
    if list.ordered || list.drawn || known == 0 || known * 3 < fields.len() * 2 {
        return push(Block::List(list), sections);
    }
    for (field, item) in fields.into_iter().zip(list.items) {
        match field {
            Some(field) => push_field(field, sections),
            None => push(Block::Paragraph(item.text), sections),
        }
    }
}

fn is_attribute(field: &Field) -> bool {
    vocabulary::word(field.key.as_str()).is_some_and(Word::is_attribute)
}

/// A table of two columns whose first names attributes is a list of fields.
fn push_table(table: Table, sections: &mut [Section]) {
    let [key, value] = table.columns.as_slice() else {
        return push(Block::Table(table), sections);
    };
    let header = Field { key: key.clone(), value: value.clone() };
    let generic = key.is_blank() || vocabulary::word(key.as_str()) == Some(Word::Attribute);
    let header_is_field = is_attribute(&header) && vocabulary::word(value.as_str()).is_none();
    let rows: Vec<Field> = table
        .rows
        .iter()
        .filter_map(|row| match row.as_slice() {
            [key, value] => Some(Field { key: key.clone(), value: value.clone() }),
            _ => None,
        })
        .collect();
    let known = rows.iter().filter(|field| is_attribute(field)).count();
    if !(generic || header_is_field) || known * 2 < rows.len() || known == 0 {
        return push(Block::Table(table), sections);
    }
    let fields = header_is_field.then_some(header).into_iter().chain(rows);
    for field in fields.filter(|field| !field.value.is_blank()) {
        push_field(field, sections);
    }
}
