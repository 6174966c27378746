//! Who has left and which machines are gone, as a document says itself in some sentence, and where
//! it still counts on them.
//!
//! The rule it keeps: only a full name that stands in a table of people is a person, and only the
//! name nearest before "has left" is meant. A machine is gone where a sentence says that it was
//! replaced or decommissioned; it is counted on where a script of another section names it.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Columns;
use super::{Reading, sections};
use crate::check::Gone;
use crate::language::Origin;
use crate::markdown::text::{Text, one_line};
use crate::markdown::tree::{Block, Code, Document, Item, Table};
use crate::markdown::vocabulary::Word;

/// Words that say that somebody works elsewhere now.
const LEFT: &[&str] = &[
    "had left",
    "has left",
    "have left",
    "left the company",
    "left us",
    "no longer with",
    "no longer works",
    "retired",
    "resigned",
    "ausgeschieden",
    "hat das unternehmen verlassen",
];

/// Words that say that a machine is no more.
const ENDED: &[&str] = &[
    "was replaced by",
    "has been replaced by",
    "were replaced by",
    "replaced by",
    "powered off",
    "decommissioned",
    "scrapped",
    "ausgemustert",
    "wurde ersetzt durch",
];

/// A document names no more people and machines than this that matter here.
const NAMES_MAX: usize = 500;

pub(super) fn read(document: &Document, reading: &mut Reading) {
    let mut all = Said::default();
    for (at, section) in sections(document) {
        section.blocks.iter().for_each(|block| all.take(at, block));
    }
    let mut gone = Vec::new();
    people(&all, &mut gone);
    machines(&all, &mut gone);
    gone.sort_by_key(|gone: &Gone| (gone.place, gone.used));
    reading.facts.gone = gone;
}

/// What a document says, by what it is said in; with the section.
#[derive(Default)]
struct Said<'d> {
    sentences: Vec<(usize, Text)>,
    tables: Vec<&'d Table>,
    codes: Vec<(usize, &'d Code)>,
}

impl<'d> Said<'d> {
    fn take(&mut self, section: usize, block: &'d Block) {
        match block {
            Block::Paragraph(text) => self.sentences(section, text),
            Block::List(list) => list.items.iter().for_each(|item| self.item(section, item)),
            Block::Table(table) => {
                self.tables.push(table);
                table.rows.iter().flatten().for_each(|cell| self.sentences(section, cell));
            }
            Block::Code(code) => self.codes.push((section, code)),
            Block::Foreign(..) => {}
        }
    }

    fn item(&mut self, section: usize, item: &'d Item) {
        self.sentences(section, &item.text);
        item.blocks.iter().for_each(|block| self.take(section, block));
    }

    fn sentences(&mut self, section: usize, text: &Text) {
        let lower = one_line(text.as_str()).to_lowercase();
        if LEFT.iter().chain(ENDED).any(|word| lower.contains(word)) {
            let parts = text.split(|rest| {
                let end = rest.match_indices(". ").map(|(at, _)| at).next()?;
                Some(end..end + 2)
            });
            self.sentences.extend(parts.into_iter().map(|part| (section, part)));
        }
    }
}

/// Columns whose cells are people.
fn is_of_people(word: Option<Word>, title: &str) -> bool {
    let by_title = ["name", "holder", "holders", "person", "deputy", "backup"];
    matches!(word, Some(Word::Name | Word::Person | Word::Deputy))
        || by_title.contains(&title.trim().to_lowercase().as_str())
}

/// `Ada Lovelace`: two or three words that begin with a capital and are letters.
fn is_full_name(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_name = |word: &&str| {
        word.chars().count() > 1
            && word.starts_with(char::is_uppercase)
            && word.chars().skip(1).all(|c| c.is_lowercase() || matches!(c, '-' | '\'' | '.'))
    };
    (2..=3).contains(&words.len()) && words.iter().all(is_name)
}

fn people(all: &Said<'_>, gone: &mut Vec<Gone>) {
    let mut cells: Vec<(&Table, &Text)> = Vec::new();
    for table in &all.tables {
        let columns = Columns::of(table);
        let of_people: Vec<bool> = table
            .columns
            .iter()
            .enumerate()
            .map(|(at, title)| is_of_people(columns.word(at), title.as_str()))
            .collect();
        for row in &table.rows {
            let named =
                row.iter().zip(&of_people).filter(|(cell, is)| **is && is_full_name(cell.as_str()));
            cells.extend(named.map(|(cell, _)| (*table, cell)));
        }
    }
    let names: BTreeSet<&str> =
        cells.iter().map(|(_, cell)| cell.as_str().trim()).take(NAMES_MAX).collect();
    let left = leavers(&all.sentences, &names);
    for (table, cell) in &cells {
        if let Some(said) = left.get(cell.as_str().trim()) {
            gone.push(entry(cell.as_str().trim(), *said, cell.origin(), table.origin, false));
        }
    }
    for (name, said) in &left {
        for (_, code) in &all.codes {
            for at in mails(code.text.as_str(), name) {
                gone.push(entry(name, *said, code.text.slice(at).origin(), code.origin, false));
            }
        }
    }
}

fn entry(name: &str, said: Origin, used: Origin, place: Origin, is_machine: bool) -> Gone {
    Gone { name: name.to_owned(), said, used, place, is_machine }
}

/// The people whom sentences say to have left, by their full names.
fn leavers<'n>(
    sentences: &[(usize, Text)],
    names: &BTreeSet<&'n str>,
) -> BTreeMap<&'n str, Origin> {
    let first = |name: &str| name.split(' ').next().unwrap_or("").to_owned();
    let mut firsts: BTreeMap<String, usize> = BTreeMap::new();
    names.iter().for_each(|name| *firsts.entry(first(name)).or_default() += 1);
    let mut left = BTreeMap::new();
    for (_, sentence) in sentences {
        let text = &one_line(sentence.as_str());
        let lower = text.to_lowercase();
        // Small letters may be longer than large ones; then places cannot be compared.
        let Some(end) = LEFT
            .iter()
            .filter_map(|word| lower.find(word))
            .min()
            .filter(|end| lower.len() == text.len() && text.is_char_boundary(*end))
        else {
            continue;
        };
        let before = text.get(..end).unwrap_or("");
        let mut nearest: Option<(usize, &'n str)> = None;
        for name in names {
            let by_full = before.rfind(name);
            let only = first(name);
            let by_first =
                || word_at(before, &only).filter(|_| firsts.get(&only).copied() == Some(1));
            if let Some(at) = by_full.or_else(by_first)
                && nearest.is_none_or(|(known, _)| at > known)
            {
                nearest = Some((at, name));
            }
        }
        if let Some((_, name)) = nearest {
            left.entry(name).or_insert_with(|| sentence.origin());
        }
    }
    left
}

/// Where a word stands last in a text, as a word of its own.
fn word_at(text: &str, word: &str) -> Option<usize> {
    let is_inner = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '-');
    let found = text.match_indices(word).filter(|(at, _)| {
        let behind = text.get(at + word.len()..).and_then(|rest| rest.chars().next());
        let before = text.get(..*at).and_then(|rest| rest.chars().next_back());
        !word.is_empty() && !is_inner(before) && !is_inner(behind)
    });
    found.last().map(|(at, _)| at)
}

/// Addresses such as `ada.lovelace@…` in a script.
fn mails(script: &str, name: &str) -> Vec<std::ops::Range<usize>> {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'ö' | 'ø' | 'ó' => 'o',
            'ä' | 'å' | 'á' => 'a',
            'ü' | 'ú' => 'u',
            'é' | 'è' => 'e',
            ' ' => '.',
            c => c,
        })
        .collect();
    let wanted = format!("{plain}@");
    let is_start = |at: &usize| {
        script.get(..*at).is_some_and(|before| {
            !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
        })
    };
    let found = script.match_indices(&wanted).map(|(at, _)| at).filter(is_start);
    found
        .map(|at| {
            let rest = script.get(at..).unwrap_or("");
            let end = rest.find(|c: char| c.is_whitespace() || "\"'>,;".contains(c));
            at..at + end.unwrap_or(rest.len())
        })
        .collect()
}

fn machines(all: &Said<'_>, gone: &mut Vec<Gone>) {
    let mut ended: BTreeMap<String, (usize, Origin)> = BTreeMap::new();
    for (section, sentence) in &all.sentences {
        // A sentence may go on in the next line.
        let lower = one_line(sentence.as_str()).to_lowercase();
        let Some(end) = ENDED.iter().filter_map(|word| lower.find(word)).min() else { continue };
        let mut words =
            lower.get(..end).unwrap_or("").split(|c: char| !(c.is_alphanumeric() || c == '-'));
        let Some(machine) = words.rfind(|word| is_machine(word)) else { continue };
        if ended.len() < NAMES_MAX {
            ended.entry(machine.to_owned()).or_insert((*section, sentence.origin()));
        }
    }
    for (machine, (section, said)) in &ended {
        for (_, code) in all.codes.iter().filter(|(at, _)| at != section) {
            let text = code.text.as_str();
            if let Some(start) = word_at(text, machine) {
                let used = code.text.slice(start..start + machine.len()).origin();
                gone.push(entry(machine, *said, used, code.origin, true));
            }
        }
    }
}

/// `wms-db-01`, `app04`: letters, and a number at the end.
fn is_machine(word: &str) -> bool {
    word.len() > 3
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.ends_with(|c: char| c.is_ascii_digit())
        && word.chars().filter(char::is_ascii_alphabetic).count() > 1
}
