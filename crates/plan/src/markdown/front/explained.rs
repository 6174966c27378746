//! Sentences that say where the value of a placeholder comes from: "`<T>` is the time determined in
//! A1", "`ZONE_ID` is set by `source dns/env.sh`".
//!
//! The rule it keeps: only a sentence that begins with the name and says what it is counts. A name
//! that is merely mentioned is explained by nothing.

use super::{Reading, sections};
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Document, Item};

/// Words that a sentence goes on with behind the name.
const SAYS: &[&str] = &["is ", "are ", "comes from ", "stands for ", "means ", "ist ", "steht "];

pub(super) fn read(document: &Document, reading: &mut Reading) {
    for (_, section) in sections(document) {
        sentences(&section.title, reading);
        for block in &section.blocks {
            match block {
                Block::Paragraph(text) => sentences(text, reading),
                Block::List(list) => list.items.iter().for_each(|item| of_item(item, reading)),
                _ => {}
            }
        }
    }
}

fn of_item(item: &Item, reading: &mut Reading) {
    sentences(&item.text, reading);
    item.items().for_each(|below| of_item(below, reading));
}

fn sentences(text: &Text, reading: &mut Reading) {
    for sentence in text.as_str().split(['.', ';', '\n']) {
        let sentence = sentence.trim().replace('`', "");
        let (name, behind) = match sentence.strip_prefix('<') {
            Some(rest) => match rest.split_once('>') {
                Some((name, behind)) => (format!("<{name}>"), behind),
                None => continue,
            },
            None => match sentence.split_once(' ') {
                Some((name, behind)) => (name.trim_start_matches('$').to_owned(), behind),
                None => continue,
            },
        };
        let is_name = name.starts_with('<')
            || (name.len() > 1
                && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        let behind = behind.trim_start();
        if is_name && SAYS.iter().any(|says| behind.starts_with(says)) {
            reading.facts.explained.insert(name);
        }
    }
}
