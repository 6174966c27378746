//! Stores, the copies a document says are made of them, and the places they go to.
//!
//! A store is declared for what the document calls by a product that holds data, or by a name it
//! gives copies to. Jobs and settings that make copies are read by `jobs.rs`.

use super::table::Columns;
use super::{Reading, insert, jobs, parts, sections, topics};
use crate::language::{At, Copy, Domain, DomainKind, Every, Method, Store, StoreKind, Vault};
use crate::markdown::kinds::{self, Kind};
use crate::markdown::measure::{only_span, rhythm};
use crate::markdown::names::{slug, without_brackets, without_number};
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Document, Field, Item, List, Section, Table};
use crate::markdown::vocabulary::{Topic, Word, is_nothing, plain_words, word};

/// Columns that say something of copies.
const COPY_WORDS: &[Word] = &[
    Word::Backup,
    Word::Frequency,
    Word::Retention,
    Word::Method,
    Word::Location,
    Word::Offsite,
    Word::Primary,
];

/// Columns that a table of copies may have besides.
const KNOWN: &[Word] = &[
    Word::Store,
    Word::Service,
    Word::Name,
    Word::Rpo,
    Word::Rto,
    Word::Owner,
    Word::Team,
    Word::About,
    Word::Tier,
    Word::Priority,
    Word::Dependencies,
    Word::Domain,
    Word::Size,
    Word::Verification,
    Word::Number,
    Word::Last,
    Word::Status,
];

pub(super) fn read(document: &Document, reading: &mut Reading) {
    stores_of_services(reading);
    for (at, section) in sections(document) {
        let about = topics(document, at);
        let first = about.iter().find(|topic| !matches!(topic, Topic::Recovery));
        let is_backup = matches!(first, Some(Topic::Backup | Topic::Locations));
        for block in &section.blocks {
            match block {
                Block::Table(table) => copies_of_table(table, is_backup, reading),
                Block::List(list) if is_backup => copies_of_list(list, section, reading),
                _ => {}
            }
        }
        if is_backup {
            copies_of_section(section, reading);
        }
    }
    jobs::read(document, reading);
}

/// Services that are products which hold data have a store of the same name.
fn stores_of_services(reading: &mut Reading) {
    let services: Vec<(String, At<String>)> = reading
        .plan
        .services
        .iter()
        .filter(|(_, service)| service.stateless.is_none_or(|stateless| !stateless.value))
        .filter(|(_, service)| service.external.is_none_or(|external| !external.value))
        .filter_map(|(name, service)| Some((name.value.clone(), service.title.clone()?)))
        .collect();
    for (name, title) in services {
        let Some(kind) = kinds::store_kind(&title.value) else { continue };
        let store = new_store(kind, &title);
        if reading.plan.stores.insert(At::new(name.clone(), title.origin), store).is_ok() {
            reading.stores.add(&name, &title.value);
            if let Some(service) = reading.plan.services.get_mut(&name) {
                service.state.push(At::new(name.clone(), title.origin));
            }
        }
    }
}

fn new_store(kind: Kind, title: &At<String>) -> Store {
    Store {
        title: Some(title.clone()),
        kind: Some(At::new(kind.kind, title.origin)),
        product: Some(At::new(kind.product.to_owned(), title.origin)),
        ..Store::default()
    }
}

/// The store that a text names, added if it is new.
pub(super) fn store(title: &Text, reading: &mut Reading) -> String {
    if let Some(found) = reading.stores.find(title.as_str()) {
        return found.to_owned();
    }
    let kind =
        kinds::store_kind(title.as_str()).unwrap_or(Kind { kind: StoreKind::Other, product: "" });
    let mut store = new_store(kind, &title.value());
    store.product = store.product.filter(|product| !product.value.is_empty());
    let name = insert(&mut reading.plan.stores, title, store);
    reading.stores.add(&name, title.as_str());
    // A service of that name holds its data there.
    if let Some(service) = reading.services.find(title.as_str()).map(str::to_owned)
        && let Some(service) = reading.plan.services.get_mut(&service)
    {
        let own = title.at(name.clone());
        if service.state.is_empty() && service.stateless.is_none() {
            service.state.push(own);
        }
    }
    name
}

/// Whether a label can be that of a store: it is one of the plan's, or a known product.
fn is_store(label: &str, reading: &Reading) -> bool {
    reading.stores.find(label).is_some()
        || reading.services.find(label).is_some()
        || kinds::store_kind(label).is_some()
}

/// A list with a store for each item, and its copies below or behind it.
fn copies_of_list(list: &List, section: &Section, reading: &mut Reading) {
    let heading = section.title.behind(without_number(section.title.as_str()));
    let mut read_any = false;
    for item in &list.items {
        let (label, value) = label(&item.text);
        let below: Vec<&Item> = item.items().collect();
        let has_copies = below.iter().any(|item| copy_of(&item.text).is_some());
        if has_copies {
            let name = store(&label, reading);
            nested(&name, &below, reading);
            read_any = true;
        } else if let Some(copy) = copy_of(&value)
            && is_store(label.as_str(), reading)
        {
            let name = store(&label, reading);
            add(&name, vec![copy], reading);
            read_any = true;
        } else if is_store(heading.as_str(), reading) && copy_of(&item.text).is_some() {
            let name = store(&heading, reading);
            nested(&name, &[item], reading);
            read_any = true;
        }
    }
    if read_any {
        reading.understand(list.origin());
    }
}

/// The copies below a store; an item that is a store itself has its own.
fn nested(name: &str, items: &[&Item], reading: &mut Reading) {
    let mut copies = Vec::new();
    let mut keep = None;
    let own = reading.plan.stores.get(name).and_then(|store| store.kind);
    let unknown = own.is_none_or(|kind| kind.value == StoreKind::Other);
    for item in items {
        let (label, value) = label(&item.text);
        let kind = kinds::store_kind(label.as_str());
        match kind {
            Some(Kind { kind: StoreKind::Git, product }) if unknown => {
                if let Some(store) = reading.plan.stores.get_mut(name) {
                    store.kind = Some(label.at(StoreKind::Git));
                    store.product = Some(label.at(product.to_owned()));
                }
                copies.extend(copy_of(&item.text));
            }
            Some(kind) if unknown && kind.kind == StoreKind::Secrets => {
                let other = store(&label, reading);
                add(&other, copy_of(&value).into_iter().collect(), reading);
            }
            _ if word(label.as_str()) == Some(Word::Retention) => keep = every_of(&value),
            _ if word(label.as_str()) == Some(Word::Location) => locate(name, &value, reading),
            _ => copies.extend(copy_of(&item.text)),
        }
    }
    for copy in &mut copies {
        copy.keep = copy.keep.or(keep);
    }
    add(name, copies, reading);
}

/// `Base Backup: Daily @ 02:00 UTC` as its two parts; what has no colon is all label.
fn label(text: &Text) -> (Text, Text) {
    let written = text.as_str();
    let colon = written.find([':', '–']).filter(|at| {
        let behind = written.get(*at..).unwrap_or("").trim_start_matches([':', '–']);
        behind.is_empty() || behind.starts_with([' ', '\n'])
    });
    match colon {
        Some(at) => {
            let waste = |c: char| c.is_whitespace() || matches!(c, ':' | '–');
            (text.slice(0..at).trim_matches(waste), text.behind(at).trim_matches(waste))
        }
        None => (text.trim(), text.trim()),
    }
}

/// The copy that a line describes: it says how, or how often.
fn copy_of(text: &Text) -> Option<Copy> {
    let (label, value) = label(text);
    if matches!(word(label.as_str()), Some(Word::Retention | Word::Location)) {
        return None;
    }
    let method = kinds::method(label.as_str()).or_else(|| kinds::method(value.as_str()));
    let rhythm = rhythm(value.as_str());
    let versions = method == Some(Method::Versions);
    if method.is_none() && rhythm.is_none() || text.len() > 200 {
        return None;
    }
    let rhythm = rhythm.unwrap_or_default();
    Some(Copy {
        method: method.map(|method| text.at(method)),
        by: method.is_none().then(|| label.value()),
        schedule: rhythm.cron.map(|cron| value.at(cron)),
        every: rhythm.every.map(|every| value.at(every)),
        continuous: (rhythm.continuous || versions).then(|| value.at(true)),
        keep: retention_in(&value),
        ..Copy::default()
    })
}

/// `90 day retention`, `kept for 30 days` in a line that says more.
fn retention_in(text: &Text) -> Option<At<Every>> {
    let lower = text.as_str().to_lowercase();
    let says = ["retention", "retain", "kept", "keep", "aufbewahr"];
    if !says.iter().any(|word| lower.contains(word)) {
        return None;
    }
    every_of(text)
}

/// How long something is kept: `7 days`, `12 months`, `90 day retention`.
pub(super) fn every_of(text: &Text) -> Option<At<Every>> {
    let written = text.as_str();
    if let Some(span) = only_span(written).filter(|span| !span.is_range && !span.high.is_zero()) {
        let every = Every { months: 0, length: span.high };
        return Some(text.slice(span.at).at(every));
    }
    let words: Vec<&str> = written.split([' ', '-']).collect();
    let counted = words.windows(2).find_map(|pair| {
        let unit = pair[1].trim_end_matches(|c: char| !c.is_alphabetic());
        let every = Every::parse(&format!("{} {unit}", pair[0]))?;
        (every.months > 0).then_some(every)
    });
    counted.map(|every| text.at(every))
}

/// Adds copies to a store.
pub(super) fn add(name: &str, copies: Vec<Copy>, reading: &mut Reading) {
    if let Some(store) = reading.plan.stores.get_mut(name) {
        store.copies.extend(copies);
    }
}

/// A table with a row for each store and columns that say how it is copied.
fn copies_of_table(table: &Table, is_backup: bool, reading: &mut Reading) {
    let columns = Columns::of(table);
    let telling = COPY_WORDS.iter().filter(|word| columns.has(**word)).count();
    let Some(name_column) = columns.first(&[Word::Store, Word::Service, Word::Name]) else {
        return;
    };
    let objective = columns.has_any(&[Word::Rto, Word::Rpo]);
    let copies = columns.has_any(&[Word::Frequency, Word::Retention, Word::Offsite, Word::Backup]);
    let foreign =
        [Word::Severity, Word::Test, Word::Channel, Word::Contact, Word::Role, Word::Scenario];
    if telling == 0
        || !(is_backup || (objective && copies) || telling > 2)
        || columns.has_any(&foreign)
    {
        return;
    }
    reading.understand(table.origin);
    for row in &table.rows {
        let Some(title) = row.get(name_column).filter(|title| !is_nothing(title.as_str())) else {
            continue;
        };
        row_of_copies(&columns, row, title, reading);
    }
    let known: Vec<Word> = COPY_WORDS.iter().chain(KNOWN).copied().collect();
    for name in columns.others(&known).iter().filter(|_| !objective) {
        let why = format!("the column `{}` of a table of backups is not known", name.as_str());
        reading.cannot_read(name.origin(), why);
    }
}

fn row_of_copies(columns: &Columns<'_>, row: &[Text], title: &Text, reading: &mut Reading) {
    let cell = |word| columns.cell(row, word).filter(|cell| !is_nothing(cell.as_str()));
    let frequency = cell(Word::Frequency);
    let how = cell(Word::Method).or_else(|| cell(Word::Backup));
    let places: Vec<Text> = cell(Word::Location).map(|cell| vec![cell.clone()]).unwrap_or_default();
    if frequency.is_none() && how.is_none() && places.is_empty() && cell(Word::Primary).is_none() {
        return;
    }
    let name = store(title, reading);
    if let Some(why) = how.filter(|how| needs_no_copy(how.as_str())) {
        if let Some(store) = reading.plan.stores.get_mut(&name) {
            store.rebuilt_from.push(why.value());
        }
        return;
    }
    let rhythm = frequency
        .and_then(|cell| rhythm(cell.as_str()))
        .or_else(|| how.and_then(|cell| rhythm(cell.as_str())));
    let method = how
        .and_then(|cell| Some(cell.at(kinds::method(cell.as_str())?)))
        .or_else(|| frequency.and_then(|cell| Some(cell.at(kinds::method(cell.as_str())?))));
    // The provider keeps base and log: of one of them alone nothing could be concluded.
    let said = how.map_or("", Text::as_str);
    let is_both = kinds::is_managed_point_in_time(&format!("{} {said}", title.as_str()));
    let method = method.filter(|method| !(is_both && method.value == Method::Log));
    // A copy that is kept as the source is now follows it, deletions too.
    let follows = cell(Word::Retention).filter(|cell| follows_the_source(cell.as_str()));
    let method = match (method, follows) {
        (Some(method), Some(_)) if method.value == Method::Copy => {
            Some(At::new(Method::Replica, method.origin))
        }
        (method, _) => method,
    };
    if let (Some(cell), None, None) = (frequency, &rhythm, &method) {
        reading.cannot_read(cell.origin(), "how often was expected here, such as daily");
    }
    if rhythm.is_some() || method.is_some() {
        let rhythm = rhythm.unwrap_or_default();
        let source = frequency.or(how).unwrap_or(title);
        let copy = Copy {
            method,
            by: how.map(Text::value),
            schedule: rhythm.cron.map(|cron| source.at(cron)),
            every: rhythm.every.map(|every| source.at(every)),
            continuous: rhythm.continuous.then(|| source.at(true)),
            keep: cell(Word::Retention).and_then(every_of),
            ..Copy::default()
        };
        add(&name, vec![copy], reading);
    }
    if let Some(primary) = cell(Word::Primary) {
        live(&name, primary, reading);
    }
    for place in places {
        locate(&name, &place, reading);
    }
    if let Some(place) = cell(Word::Offsite) {
        second(&name, place, reading);
    }
}

/// A further copy of the newest: `gra-store, Sunday`. `Yes` names no place.
fn second(name: &str, cell: &Text, reading: &mut Reading) {
    const NO_PLACE: &[&str] = &["yes", "ja", "true", "x", "planned"];
    let Some(place) = parts(cell).into_iter().next() else { return };
    if NO_PLACE.contains(&plain_words(place.as_str()).as_str())
        || !place.as_str().contains(char::is_alphabetic)
    {
        return;
    }
    let to = place.at(vault(&place, reading));
    let rhythm = rhythm(cell.as_str()).unwrap_or_default();
    let Some(store) = reading.plan.stores.get_mut(name) else { return };
    let Some(newest) = store.copies.last().cloned() else { return };
    let every = rhythm.every.map(|every| cell.at(every));
    let own = every.is_some();
    store.copies.push(Copy {
        to: Some(to),
        every: every.or(newest.every),
        schedule: newest.schedule.clone().filter(|_| !own),
        continuous: newest.continuous.filter(|_| !own),
        run: None,
        ..newest
    });
}

/// `none (cache)`, `none (derived)`: no copy, and why none is wanted.
fn needs_no_copy(cell: &str) -> bool {
    const REASONS: &[&str] = &[
        "cache",
        "caches",
        "derived",
        "rebuilt",
        "rebuild",
        "rebuildable",
        "recomputed",
        "reindex",
        "reindexed",
        "regenerated",
        "recreated",
        "re-created",
        "stateless",
        "ephemeral",
        "scratch",
    ];
    let outside = without_brackets(cell);
    let reason = plain_words(cell.get(outside.len()..).unwrap_or(""));
    is_nothing(outside) && reason.split(' ').any(|word| REASONS.contains(&word))
}

/// `current state`: nothing older is kept than what the source has.
fn follows_the_source(cell: &str) -> bool {
    const WORDS: &[&str] = &[
        "current state",
        "current state only",
        "current version",
        "as source",
        "as the source",
        "same as source",
        "like the source",
        "mirror",
        "mirrored",
        "latest state",
        "latest state only",
    ];
    WORDS.contains(&plain_words(cell).as_str())
}

/// Where a store's data lives.
fn live(name: &str, place: &Text, reading: &mut Reading) {
    let known =
        kinds::provider(place.as_str()).is_some() || kinds::domain(place.as_str()).is_some();
    let domain = known.then(|| domain_of(place, reading));
    if let Some(store) = reading.plan.stores.get_mut(name) {
        store.location.get_or_insert_with(|| place.value());
        if let Some(domain) = domain.filter(|_| store.domains.is_empty()) {
            store.domains.push(place.at(domain));
        }
    }
}

/// Where a store's copies go: to those that have no place yet.
pub(super) fn locate(name: &str, place: &Text, reading: &mut Reading) {
    let vaults: Vec<At<String>> =
        parts(place).iter().map(|part| part.at(vault(part, reading))).collect();
    let Some(first) = vaults.first() else { return };
    let Some(store) = reading.plan.stores.get_mut(name) else { return };
    let moves = |copy: &Copy| copy.method.is_none_or(|method| method.value != Method::Versions);
    if !store.copies.iter().any(moves) {
        store.copies.push(Copy::default());
    }
    let mut more = Vec::new();
    for copy in store.copies.iter_mut().filter(|copy| moves(copy) && copy.to.is_none()) {
        copy.to = Some(first.clone());
        for other in vaults.iter().skip(1) {
            more.push(Copy { to: Some(other.clone()), ..copy.clone() });
        }
    }
    store.copies.extend(more);
}

/// The vault that a place names, added if it is new.
pub(super) fn vault(place: &Text, reading: &mut Reading) -> String {
    let written = place.as_str();
    let url = address(written);
    let root = url.map(bucket);
    let known = match root {
        Some(root) => reading.vaults_by_address.get(root).cloned(),
        None => Some(slug(written)).filter(|name| reading.plan.vaults.contains(name)),
    };
    if let Some(known) = known {
        return known;
    }
    let mut vault = Vault::default();
    match root {
        Some(root) => vault.url = Some(place.at(root.to_owned())),
        None => vault.title = Some(place.value()),
    }
    if let Some(provider) = kinds::provider(written) {
        vault.domains.push(place.at(provider_domain(provider, place, reading)));
    }
    let title = root.map_or(without_brackets(written), |root| root.trim_end_matches('/'));
    let mut name = slug(&title.replace("://", "-"));
    while reading.plan.vaults.contains(&name) {
        name.push_str("-2");
    }
    if let Some(root) = root {
        reading.vaults_by_address.insert(root.to_owned(), name.clone());
    }
    let added = reading.plan.vaults.insert(place.at(name.clone()), vault);
    debug_assert!(added.is_ok(), "the name is free");
    name
}

/// The address in a text.
pub(super) fn address(text: &str) -> Option<&str> {
    let scheme_end = text.find("://")?;
    let before = text.get(..scheme_end)?;
    let start =
        before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '+')).map_or(0, |at| at + 1);
    let rest = text.get(start..)?;
    let end =
        rest.find(|c: char| c.is_whitespace() || "\"'`<>),;|".contains(c)).unwrap_or(rest.len());
    rest.get(..end).filter(|url| !url.starts_with("://"))
}

/// The part of an address that names the bucket or host: copies in it fail together.
pub(super) fn bucket(url: &str) -> &str {
    let behind = url.find("://").map_or(0, |at| at + 3);
    let slash = url.get(behind..).and_then(|rest| rest.find('/'));
    slash.map_or(url, |at| url.get(..=behind + at).unwrap_or(url))
}

fn provider_domain(provider: kinds::Provider, place: &Text, reading: &mut Reading) -> String {
    let domain = Domain {
        title: Some(place.at(provider.title.to_owned())),
        kind: Some(place.at(DomainKind::Provider)),
        ..Domain::default()
    };
    // The name may be there: it is the same provider then.
    drop(reading.plan.domains.insert(place.at(provider.name.to_owned()), domain));
    provider.name.to_owned()
}

/// The failure domain that a place names, added if it is new.
pub(super) fn domain_of(place: &Text, reading: &mut Reading) -> String {
    if let Some(provider) = kinds::provider(place.as_str()) {
        return provider_domain(provider, place, reading);
    }
    let (kind, name) = match kinds::domain(place.as_str()) {
        Some((kind, name)) => (Some(kind), name.to_owned()),
        None => (None, slug(place.as_str())),
    };
    let domain = Domain {
        // A general word is no title: "node" is not called "node local SSD".
        title: kind.is_none().then(|| place.value()),
        kind: kind.map(|kind| place.at(kind)),
        ..Domain::default()
    };
    drop(reading.plan.domains.insert(place.at(name.clone()), domain));
    name
}

/// A section of its own for a store: fields such as `**Frequency:** daily`.
fn copies_of_section(section: &Section, reading: &mut Reading) {
    let find = |wanted: Word| {
        let is_it = |field: &&Field| word(field.key.as_str()) == Some(wanted);
        section.fields.iter().find(is_it).filter(|field| !is_nothing(field.value.as_str()))
    };
    let frequency = find(Word::Frequency);
    let how = find(Word::Method).or_else(|| find(Word::Backup));
    let title = section.title.behind(without_number(section.title.as_str()));
    if !(frequency.is_some() || how.is_some()) || !is_store(title.as_str(), reading) {
        return;
    }
    let name = store(&title, reading);
    let rhythm =
        frequency.or(how).and_then(|field| rhythm(field.value.as_str())).unwrap_or_default();
    let source = frequency.or(how).map_or(&title, |field| &field.value);
    let method = how.and_then(|field| Some(field.value.at(kinds::method(field.value.as_str())?)));
    let copy = Copy {
        method: method.or_else(|| Some(title.at(kinds::method(title.as_str())?))),
        by: how.map(|field| field.value.value()),
        schedule: rhythm.cron.map(|cron| source.at(cron)),
        every: rhythm.every.map(|every| source.at(every)),
        continuous: rhythm.continuous.then(|| source.at(true)),
        keep: find(Word::Retention).and_then(|field| every_of(&field.value)),
        ..Copy::default()
    };
    add(&name, vec![copy], reading);
    if let Some(place) = find(Word::Primary) {
        live(&name, &place.value, reading);
    }
    if let Some(place) = find(Word::Location) {
        locate(&name, &place.value, reading);
    }
    let read = [
        Word::Frequency,
        Word::Method,
        Word::Backup,
        Word::Retention,
        Word::Primary,
        Word::Location,
    ];
    for field in &section.fields {
        if word(field.key.as_str()).is_some_and(|word| read.contains(&word)) {
            reading.understand(field.key.origin());
        }
    }
}

/// Whether a text speaks of something a store could be: used where no list or table says so.
pub(super) fn mentioned_store(text: &Text, reading: &mut Reading) -> Option<String> {
    let plain = plain_words(text.as_str());
    let found = reading.stores.mentioned(&plain).first().map(|name| (*name).to_owned());
    found.or_else(|| kinds::store_kind(&plain).map(|_| store(text, reading)))
}
