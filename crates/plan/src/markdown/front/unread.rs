//! What no pass understood and yet looks as if it meant something, so that silence about it is not
//! taken for praise.

use super::table::Columns;
use super::{Reading, sections, steps, topics};
use crate::check::SnippetRole;
use crate::markdown::measure::spans;
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Code, Document, Item, Section};
use crate::markdown::vocabulary::{Topic, Word, word};

/// More is not read by anybody.
const UNREAD_MAX: usize = 1000;

pub(super) fn read(document: &Document, reading: &mut Reading) {
    for (at, section) in sections(document) {
        for block in &section.blocks {
            if reading.is_understood(block.origin()) {
                continue;
            }
            match block {
                Block::Table(table) => {
                    let names: Vec<&str> = table.columns.iter().map(Text::as_str).collect();
                    let why = format!("no table is known with the columns {}", names.join(", "));
                    let columns = Columns::of(table);
                    let of_data = [Word::Store, Word::Backup, Word::Offsite, Word::Retention];
                    reading.facts.data_unread |= columns.has_any(&of_data);
                    reading.cannot_read(table.origin, why);
                }
                Block::Foreign(origin, what) => {
                    reading.cannot_read(*origin, format!("{what}: only Markdown is read"));
                }
                Block::Code(code) => self::code(document, at, section, code, reading),
                Block::List(list) => {
                    for item in list.items.iter().filter(|item| says_something(item)) {
                        let why = "it states a time, and nothing says of what";
                        reading.cannot_read(item.text.origin(), why);
                    }
                }
                Block::Paragraph(text) => prose(text, reading),
            }
        }
        for field in &section.fields {
            if !reading.is_understood(field.key.origin()) {
                let key = field.key.as_str();
                let why = match word(key) {
                    Some(_) => {
                        format!("`{key}` is known, and this value of it or its place here is not")
                    }
                    None => format!("`{key}` is no field that is known"),
                };
                reading.cannot_read(field.key.origin().to(field.value.origin()), why);
            }
        }
    }
    reading.unread.sort_by_key(|unread| unread.origin);
    reading.unread.truncate(UNREAD_MAX);
}

/// Code that belongs to no step: kept for the rules that read code, and listed if it is run.
fn code(document: &Document, at: usize, section: &Section, code: &Code, reading: &mut Reading) {
    let about = topics(document, at);
    let role = match code.language.as_str() {
        "markdown" | "md" => SnippetRole::Template,
        "yaml" | "yml" | "json" | "toml" | "ini" | "conf" | "hcl" | "properties" | "xml" => {
            SnippetRole::Configuration
        }
        _ if steps::is_shell(code) && about.contains(&Topic::Cheatsheet) => SnippetRole::Reference,
        _ if steps::is_shell(code) => {
            reading.keep_code(&section.title, code, SnippetRole::Reference);
            return reading.cannot_read(code.origin, "commands that belong to no scenario");
        }
        _ => SnippetRole::Illustration,
    };
    let is_unknown = role == SnippetRole::Illustration;
    reading.keep_code(&section.title, code, role);
    if is_unknown {
        reading.cannot_read(code.origin, "text between fences without a language that is read");
    }
}

/// Whether an item states a time.
fn says_something(item: &Item) -> bool {
    !spans(item.text.as_str()).is_empty() || item.items().any(says_something)
}

/// Prose that states a target or a rhythm of copies.
fn prose(text: &Text, reading: &mut Reading) {
    let lower = text.as_str().to_lowercase();
    let speaks =
        ["rto", "rpo", "recovery time", "recovery point", "backup", "retention", "restore"];
    let names = |word: &str| {
        lower.split(|c: char| !c.is_alphanumeric() && c != ' ').any(|part| part.contains(word))
    };
    if speaks.iter().any(|word| names(word)) && !spans(text.as_str()).is_empty() {
        reading.cannot_read(
            text.origin(),
            "a sentence that states a time: only tables, lists and fields are read",
        );
    }
}
