//! Which stores hold the data of which service, where a table of services says it in a column such
//! as `Data store`.
//!
//! The rule it keeps: the words of both tables must agree, "Aurora MySQL `orders`" with "Aurora
//! `orders`". A store that the tables of copies do not have is declared only if nothing about
//! backups speaks of it anywhere; otherwise it is only noted that the document says where the data is.

use std::collections::BTreeSet;

use super::{Reading, backups, is_about, sections};
use crate::language::At;
use crate::markdown::kinds;
use crate::markdown::names::{GENERIC, without_brackets, without_number};
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Document, Item};
use crate::markdown::vocabulary::{Topic, plain_words};
use crate::units::parse_size;

/// Words of a place or a make-up that tell no store from another.
const COMMON: &[&str] =
    &["on", "in", "of", "set", "replica", "local", "disk", "disks", "volume", "bucket", "table"];

/// More stores than this are not compared word by word with each cell.
const STORES_MAX: usize = 2000;

pub(super) fn read(document: &Document, reading: &mut Reading) {
    told_elsewhere(document, reading);
    let said = std::mem::take(&mut reading.data_of_services);
    if said.is_empty() {
        return;
    }
    let stores = stores(reading);
    let mut spoken_of: Option<BTreeSet<String>> = None;
    for (service, part) in said {
        let found = matching(&service, &part, &stores, reading);
        let is_new = found.is_empty() && {
            let known = spoken_of.get_or_insert_with(|| words_on_backups(document));
            is_forgotten(&part, known, reading)
        };
        let found = if is_new { vec![backups::store(&name_of(&part), reading)] } else { found };
        if let [only] = found.as_slice() {
            size(only, &part, reading);
        }
        if found.is_empty() {
            reading.facts.placed.insert(service);
        } else if let Some(service) = reading.plan.services.get_mut(&service) {
            for store in found {
                if !service.state.iter().any(|own| own.value == store) {
                    service.state.push(part.at(store));
                }
            }
        }
    }
}

/// What services need, if it is no service: a store and a chapter of the document are declared, and
/// a network or a site is a place.
fn told_elsewhere(document: &Document, reading: &mut Reading) {
    let stores = stores(reading);
    let titles = sections(document).map(|(_, section)| section.title.as_str());
    let titles: BTreeSet<String> =
        titles.map(|title| plain_words(title.get(without_number(title)..).unwrap_or(""))).collect();
    let services: BTreeSet<String> = reading.plan.services.names().map(str::to_owned).collect();
    let is_told = |need: &At<String>| {
        let words = telling(&need.value);
        let is_store = || stores.iter().any(|(_, own)| !words.is_empty() && words.is_subset(own));
        let is_place = || plain_words(&need.value).ends_with(" network");
        !services.contains(&need.value)
            && (titles.contains(&plain_words(&need.value)) || is_place() || is_store())
    };
    let mut told = Vec::new();
    for (_, service) in reading.plan.services.iter_mut() {
        let lists = [&mut service.needs, &mut service.prefers];
        for list in lists {
            told.extend(list.extract_if(.., |need| is_told(need)));
        }
    }
    for need in told {
        let why = "it is told of elsewhere, and nothing says when it is back";
        reading.cannot_read(need.origin, why);
    }
}

/// The stores with the words that tell them apart.
fn stores(reading: &Reading) -> Vec<(String, BTreeSet<String>)> {
    let titled = reading.plan.stores.iter().take(STORES_MAX).map(|(name, store)| {
        let title = store.title.as_ref().map_or(name.value.as_str(), |title| &title.value);
        (name.value.clone(), telling(title))
    });
    titled.filter(|(_, words)| !words.is_empty()).collect()
}

fn telling(text: &str) -> BTreeSet<String> {
    let words = plain_words(without_brackets(text));
    let words = words
        .split(' ')
        .filter(|word| !word.is_empty() && !GENERIC.contains(word) && !COMMON.contains(word));
    words.map(str::to_owned).collect()
}

/// The stores that a cell speaks of.
fn matching(
    service: &str,
    part: &Text,
    stores: &[(String, BTreeSet<String>)],
    reading: &Reading,
) -> Vec<String> {
    let own = telling(part.as_str());
    let title = reading.plan.services.get(service).and_then(|service| service.title.as_ref());
    let of_service = title.map(|title| plain_words(&title.value)).unwrap_or_default();
    let mut all = own.clone();
    all.extend(of_service.split(' ').map(str::to_owned));
    // `orders-documents` is one word of the cell and two of a title.
    all.extend(own.iter().flat_map(|word| word.split('-').map(str::to_owned)).collect::<Vec<_>>());
    let fits = |words: &BTreeSet<String>| {
        words.is_subset(&all) || (!own.is_empty() && own.is_subset(words))
    };
    stores.iter().filter(|(_, words)| fits(words)).map(|(name, _)| name.clone()).collect()
}

/// It is a store by its kind, the document lists what is copied, and nothing there speaks of it.
fn is_forgotten(part: &Text, spoken_of: &BTreeSet<String>, reading: &Reading) -> bool {
    let words = telling(part.as_str());
    let names: Vec<&String> =
        words.iter().filter(|word| kinds::store_kind(word).is_none() && word.len() > 3).collect();
    let copied = reading.plan.stores.iter().filter(|(_, store)| !store.copies.is_empty()).count();
    copied > 1
        && kinds::store_kind(part.as_str()).is_some()
        && !names.is_empty()
        && !names.iter().any(|word| spoken_of.contains(*word))
}

/// All words of the sections on backups.
fn words_on_backups(document: &Document) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, section) in sections(document) {
        if is_about(document, at, &[Topic::Backup, Topic::Locations]) {
            section.blocks.iter().for_each(|block| words_of(block, &mut found));
        }
    }
    found
}

fn words_of(block: &Block, found: &mut BTreeSet<String>) {
    let mut add = |text: &Text| {
        let words = text.as_str().split(|c: char| !(c.is_alphanumeric() || c == '-'));
        found.extend(words.map(str::to_lowercase));
    };
    match block {
        Block::Paragraph(text) => add(text),
        Block::Table(table) => table.rows.iter().flatten().for_each(add),
        Block::Code(code) => add(&code.text),
        Block::List(list) => list.items.iter().for_each(|item| words_of_item(item, found)),
        Block::Foreign(..) => {}
    }
}

fn words_of_item(item: &Item, found: &mut BTreeSet<String>) {
    words_of(&Block::Paragraph(item.text.clone()), found);
    item.blocks.iter().for_each(|block| words_of(block, found));
}

/// The name of a store, without what stands in brackets behind it.
fn name_of(part: &Text) -> Text {
    let outside = without_brackets(part.as_str());
    let at = part.as_str().find(outside).unwrap_or(0);
    part.slice(at..at + outside.len()).trim()
}

/// `(2.1 TB)` behind a store.
fn size(store: &str, part: &Text, reading: &mut Reading) {
    let inside = part.as_str().split_once('(').map_or("", |(_, inside)| inside);
    let sizes = inside.split([',', ')', ';']).map(str::trim);
    let Some(bytes) = sizes.into_iter().find_map(|text| parse_size(text).ok()) else { return };
    if let Some(store) = reading.plan.stores.get_mut(store) {
        store.size.get_or_insert(At::new(bytes, part.origin()));
    }
}
