//! Quick references: where backups and credentials are, commands to copy, whom to call.

use super::people::add_contacts;
use super::{Reading, backups, insert, is_about, sections, steps};
use crate::check::SnippetRole;
use crate::language::{At, Credential};
use crate::markdown::kinds;
use crate::markdown::names::slug;
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Document, Item};
use crate::markdown::vocabulary::{Topic, is_nothing, plain_words};

pub(super) fn read(document: &Document, reading: &mut Reading) {
    for (at, section) in sections(document) {
        let here =
            is_about(document, at, &[Topic::Cheatsheet, Topic::Contacts, Topic::Credentials]);
        if !here || reading.in_scenario.contains(&at) {
            continue;
        }
        for block in &section.blocks {
            match block {
                Block::List(list) => {
                    let title = plain_words(section.title.as_str());
                    if let Some(part) = part(&title).filter(|_| !list.ordered) {
                        reading.understand(list.origin());
                        list.items.iter().for_each(|item| entry(part, item, reading));
                    } else {
                        list.items.iter().for_each(|item| heading(item, &section.title, reading));
                        reading.understand(list.origin());
                    }
                }
                Block::Code(code) if steps::is_shell(code) => {
                    reading.keep_code(&section.title, code, SnippetRole::Reference);
                }
                _ => {}
            }
        }
    }
}

/// What a part of a quick reference lists.
#[derive(Clone, Copy)]
enum Part {
    Locations,
    Credentials,
    Contacts,
}

fn part(title: &str) -> Option<Part> {
    let says = |words: &[&str]| words.iter().any(|word| title.contains(word));
    if says(&["backup location", "backup storage", "where backups"]) {
        Some(Part::Locations)
    } else if says(&["credential", "access keys", "zugangsdaten"]) {
        Some(Part::Credentials)
    } else if says(&["contact", "who to call", "kontakt", "phone numbers"]) {
        Some(Part::Contacts)
    } else {
        None
    }
}

/// A heading inside of a box, with its entries or commands below.
fn heading(item: &Item, section: &Text, reading: &mut Reading) {
    let found = part(&plain_words(item.text.as_str()));
    for block in &item.blocks {
        if let Block::Code(code) = block {
            let title = item.text.trim_matches(|c| c == ':' || c.is_whitespace());
            let title = if title.is_blank() { section } else { &title };
            let mut code = code.clone();
            // Commands that stand in a drawing are for a shell if they look like it.
            if steps::is_shell(&code) || plain_words(title.as_str()).contains("command") {
                code.language = "bash".to_owned();
                reading.keep_code(title, &code, SnippetRole::Reference);
            }
        }
    }
    if let Some(found) = found {
        item.items().for_each(|item| entry(found, item, reading));
    }
}

/// `PostgreSQL: oss://backups/postgres/`, `CTO: cto@example.org`.
fn entry(part: Part, item: &Item, reading: &mut Reading) {
    let Some(colon) = item.text.as_str().find(':').filter(|at| {
        item.text.as_str().get(*at..).is_some_and(|rest| rest.starts_with(": ") || rest == ":")
    }) else {
        return;
    };
    let title = item.text.slice(0..colon).trim_matches(|c: char| !c.is_alphanumeric());
    let value = item.text.behind(colon + 1).trim();
    if title.is_blank() || is_nothing(value.as_str()) {
        return;
    }
    match part {
        Part::Locations => location(&title, &value, reading),
        Part::Credentials => credential(&title, &value, reading),
        Part::Contacts => {
            let known = slug(title.as_str());
            let name = if reading.plan.teams.contains(&known) || !is_team(title.as_str()) {
                super::header::person(&title, reading)
            } else {
                super::header::team(&title, reading)
            };
            add_contacts(&name, vec![value.value()], None, reading);
        }
    }
}

fn is_team(title: &str) -> bool {
    let words = plain_words(title);
    words.split(' ').any(|word| matches!(word, "team" | "support" | "desk" | "noc" | "helpdesk"))
}

/// Where a store's copies are: for those that no table gave a place.
fn location(title: &Text, value: &Text, reading: &mut Reading) {
    let alias = match plain_words(title.as_str()).as_str() {
        "config" | "configs" => Some("configuration"),
        _ => None,
    };
    let found = reading.stores.find(title.as_str()).or_else(|| reading.stores.find(alias?));
    let Some(name) = found.map(str::to_owned) else {
        if kinds::store_kind(title.as_str()).is_some() {
            let name = backups::store(title, reading);
            backups::locate(&name, value, reading);
        }
        return;
    };
    let without_place = reading.plan.stores.get(&name).is_some_and(|store| {
        store.copies.is_empty() || store.copies.iter().all(|copy| copy.to.is_none())
    });
    if without_place {
        backups::locate(&name, value, reading);
    }
}

fn credential(title: &Text, value: &Text, reading: &mut Reading) {
    let service =
        reading.services.find(title.as_str()).or_else(|| reading.stores.find(title.as_str()));
    let kept_in: At<String> = match service {
        Some(service) => title.at(service.to_owned()),
        None => title.value(),
    };
    let credential = Credential {
        title: Some(title.value()),
        kept_in: vec![kept_in],
        address: Some(value.value()),
        ..Credential::default()
    };
    insert(&mut reading.plan.credentials, title, credential);
}
