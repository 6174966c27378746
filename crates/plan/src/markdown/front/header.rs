//! What a document says of itself: owner, versions, reviews.

use jiff::civil::Date;

use super::table::Columns;
use super::{Reading, insert, is_about, parts, prose, sections};
use crate::language::{At, Change, Every, Header, Person, Team};
use crate::markdown::measure::{date, rhythm};
use crate::markdown::names::slug;
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Document, Field, Section};
use crate::markdown::vocabulary::{Topic, Word, is_nothing, plain_words, word};

pub(super) fn read(document: &Document, reading: &mut Reading) {
    let mut header = Header { title: title(document), ..Header::default() };
    let mut before_chapters = true;
    for (at, section) in sections(document) {
        before_chapters &= section.level <= 1;
        if before_chapters || is_about(document, at, &[Topic::Header]) {
            section.fields.iter().for_each(|field| take(field, &mut header, reading));
            section.blocks.iter().for_each(|block| changes(block, &mut header, reading));
        }
        if header.summary.is_none() && is_summary(section) {
            header.summary = prose(section).map(|text| text.value());
        }
    }
    for field in &document.front_matter {
        take(field, &mut header, reading);
    }
    if header.title.is_none() {
        header.title = header.summary.as_ref().and_then(named_in_summary);
    }
    if header != Header::default() {
        reading.plan.plan = Some(header);
    }
}

fn is_summary(section: &Section) -> bool {
    const WORDS: [&str; 6] =
        ["summary", "purpose", "introduction", "overview", "zusammenfassung", "zweck"];
    let title = plain_words(section.title.as_str());
    section.level > 0 && title.split(' ').any(|own| WORDS.contains(&own))
}

/// Words that every such document has in its title.
const GENERIC: &[&str] = &[
    "disaster",
    "recovery",
    "plan",
    "dr",
    "drp",
    "it",
    "business",
    "continuity",
    "bcp",
    "runbook",
    "document",
    "the",
    "for",
    "of",
    "and",
    "procedure",
    "procedures",
    "notfallplan",
    "notfallhandbuch",
    "wiederanlaufplan",
    "strategy",
    "policy",
];

/// The first heading without the words that every such document has in its title.
fn title(document: &Document) -> Option<At<String>> {
    let heading = &document.sections.iter().find(|section| section.level == 1)?.title;
    let text = heading.as_str();
    let mut telling = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !GENERIC.contains(&word.to_lowercase().as_str()));
    let first = telling.clone().next()?;
    let last = telling.next_back()?;
    let start = text.find(first)?;
    let end = text.rfind(last)? + last.len();
    Some(heading.slice(start..end.max(start)).value())
}

/// `for the KOSMOS AI Operating System`: what a summary calls what it is about.
fn named_in_summary(summary: &At<String>) -> Option<At<String>> {
    let text = summary.value.as_str();
    let behind = ["for the ", "of the "].iter().find_map(|lead| text.split_once(lead))?.1;
    let mut named: Vec<&str> = Vec::new();
    for word in behind.split(' ').take_while(|word| word.starts_with(char::is_uppercase)) {
        let plain = word.trim_end_matches(['.', ',', ';', ':']);
        named.push(plain);
        if plain.len() < word.len() {
            break;
        }
    }
    (!named.is_empty()).then(|| At::new(named.join(" "), summary.origin))
}

/// Takes a field that says something of the document.
fn take(field: &Field, header: &mut Header, reading: &mut Reading) {
    let value = &field.value;
    let is_review = plain_words(field.key.as_str()).contains("review");
    let known = match word(field.key.as_str()) {
        _ if is_nothing(value.as_str()) => return,
        Some(Word::Contact) => set(&mut header.contact, value),
        Some(Word::Owner) if value.as_str().contains('@') => set(&mut header.contact, value),
        Some(Word::EmergencyContact) => set(&mut header.emergency_contact, value),
        Some(Word::Classification) => set(&mut header.classification, value),
        Some(Word::DocumentType) => set(&mut header.r#type, value),
        Some(Word::Version) => set(&mut header.version, value),
        Some(Word::Title) => set(&mut header.title, value),
        Some(Word::Status) => {
            set(&mut header.status, &value.trim_matches(|c: char| !c.is_alphanumeric()))
        }
        Some(Word::Owner) => {
            let name = team(value, reading);
            header.owner.get_or_insert(value.at(name));
            true
        }
        Some(Word::Reviewers) => {
            for part in parts(value) {
                header.reviewers.push(part.at(person(&part, reading)));
            }
            true
        }
        Some(Word::Updated | Word::Date) => set_date(&mut header.updated, value),
        Some(Word::Next) => set_date(&mut header.next_review, value),
        Some(Word::ReviewEvery) => cadence(header, value),
        Some(Word::Frequency) if is_review => cadence(header, value),
        _ => false,
    };
    if known {
        reading.understand(field.key.origin());
    }
}

fn cadence(header: &mut Header, value: &Text) -> bool {
    let every = rhythm(value.as_str()).and_then(|rhythm| rhythm.every);
    let every = every.or_else(|| Every::parse(value.as_str()));
    if let Some(every) = every {
        header.review_every.get_or_insert(value.at(every));
    }
    every.is_some()
}

fn set(slot: &mut Option<At<String>>, value: &Text) -> bool {
    slot.get_or_insert_with(|| value.value());
    true
}

fn set_date(slot: &mut Option<At<Date>>, value: &Text) -> bool {
    let found = date(value.as_str());
    if let Some(found) = found {
        slot.get_or_insert(value.at(found));
    }
    found.is_some()
}

/// The table of versions.
fn changes(block: &Block, header: &mut Header, reading: &mut Reading) {
    let Block::Table(table) = block else { return };
    let columns = Columns::of(table);
    if !columns.has(Word::Version) || !columns.has_any(&[Word::Date, Word::Changes, Word::Author]) {
        return;
    }
    reading.understand(table.origin);
    for row in &table.rows {
        let text = |word| columns.cell(row, word).map(Text::value);
        let dated = columns.cell(row, Word::Date);
        let change = Change {
            version: text(Word::Version),
            date: dated.and_then(|cell| Some(cell.at(date(cell.as_str())?))),
            by: text(Word::Author),
            what: text(Word::Changes).or_else(|| text(Word::About)),
        };
        if change != Change::default() {
            header.changes.push(change);
        }
    }
    // Newest first, as the language has them.
    header
        .changes
        .sort_by_key(|change| std::cmp::Reverse(change.date.as_ref().map(|date| date.value)));
    let newest = header.changes.first().and_then(|change| change.version.clone());
    header.version = header.version.take().or(newest);
}

/// The team of that title; one that is named is one of the plan's.
pub(super) fn team(title: &Text, reading: &mut Reading) -> String {
    let name = slug(title.as_str());
    let plan = &mut reading.plan;
    if plan.people.contains(&name) || plan.teams.contains(&name) {
        return name;
    }
    insert(&mut plan.teams, title, Team { title: Some(title.value()), ..Team::default() })
}

/// The person or role of that title; one that is named is one of the plan's.
pub(super) fn person(title: &Text, reading: &mut Reading) -> String {
    let name = slug(title.as_str());
    let plan = &mut reading.plan;
    if plan.people.contains(&name) || plan.teams.contains(&name) {
        return name;
    }
    insert(&mut plan.people, title, Person { title: Some(title.value()), ..Person::default() })
}
