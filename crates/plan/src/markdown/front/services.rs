//! Tiers with their targets, and services with objectives and needs.

use super::header::team;
use super::table::Columns;
use super::{Reading, insert, inventory, parts, prose, sections, topics};
use crate::check::{Subject, Target};
use crate::language::{At, Service, Tier};
use crate::markdown::kinds;
use crate::markdown::measure::{Unit, is_not_applicable, target};
use crate::markdown::names::{slug, without_brackets};
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Document, Section, Table};
use crate::markdown::vocabulary::{Topic, Word, is_nothing, plain_words, word};

/// Columns of a table of services that this pass reads; the backup pass reads more of them.
const KNOWN: &[Word] = &[
    Word::Service,
    Word::Store,
    Word::Name,
    Word::Rto,
    Word::Rpo,
    Word::Mttr,
    Word::Dependencies,
    Word::Prefers,
    Word::Tier,
    Word::Priority,
    Word::Owner,
    Word::Team,
    Word::About,
    Word::Purpose,
    Word::Domain,
    Word::Number,
    Word::Size,
    Word::Backup,
    Word::Frequency,
    Word::Retention,
    Word::Method,
    Word::Location,
    Word::Primary,
    Word::Offsite,
    Word::Url,
    Word::Impact,
];

/// A need as it was written, before all services are known.
struct Need {
    service: String,
    part: Text,
    /// It works without it for a while.
    is_soft: bool,
}

pub(super) fn read(document: &Document, reading: &mut Reading) {
    for (at, section) in sections(document) {
        tier_of_heading(document, at, reading);
        for block in &section.blocks {
            if let Block::Table(table) = block
                && !in_procedure(document, at)
            {
                tiers_of_table(table, reading);
            }
        }
    }
    let mut needs = Vec::new();
    for (at, section) in sections(document) {
        if in_procedure(document, at) {
            continue;
        }
        let tier = tier_above(document, at, reading);
        for block in &section.blocks {
            if let Block::Table(table) = block {
                services_of_table(table, tier.as_ref(), reading, &mut needs);
                metrics(table, reading);
            }
        }
        service_of_section(document, at, tier.as_ref(), reading, &mut needs);
        whole(document, at, section, reading);
    }
    resolve(needs, reading);
}

/// Whether a section tells what to do, or what a template or a drill looks like.
fn in_procedure(document: &Document, section: usize) -> bool {
    let not_here = [Topic::Scenarios, Topic::Drills, Topic::AfterIncident, Topic::Criteria];
    topics(document, section).iter().any(|topic| not_here.contains(topic))
}

/// The number in `Tier 2: Important Services`.
fn tier_number(title: &str) -> Option<String> {
    let words = plain_words(title);
    let mut words = words.split(' ');
    words.find(|word| matches!(*word, "tier" | "klasse" | "stufe" | "level" | "class"))?;
    let number = words.next().filter(|number| number.len() <= 2)?;
    number.chars().all(|c| c.is_ascii_alphanumeric()).then(|| number.to_owned())
}

/// The tier that a text names, added if it is new.
fn tier(title: &Text, reading: &mut Reading) -> String {
    let number = tier_number(title.as_str());
    let name = number.as_ref().map_or_else(|| slug(title.as_str()), |n| format!("tier-{n}"));
    if reading.plan.tiers.contains(&name) {
        return name;
    }
    if number.is_none()
        && let Some(found) = reading.tiers.find(title.as_str())
    {
        return found.to_owned();
    }
    let value = Tier { title: Some(title.value()), ..Tier::default() };
    let declared = reading.plan.tiers.insert(title.at(name.clone()), value);
    debug_assert!(declared.is_ok(), "the name was looked for");
    reading.tiers.add(&name, title.as_str());
    name
}

/// A heading `Tier 1: Critical Services`, what stands below it, and its fields.
fn tier_of_heading(document: &Document, at: usize, reading: &mut Reading) {
    let Some(section) = document.sections.get(at) else { return };
    if section.level == 0
        || tier_number(section.title.as_str()).is_none()
        || in_procedure(document, at)
    {
        return;
    }
    let title = plain_words(section.title.as_str());
    if !title.starts_with("tier") && !title.contains(" tier ") {
        return;
    }
    let name = tier(&section.title, reading);
    let meaning = prose(section);
    let says_critical = |text: &str| {
        let text = text.to_lowercase();
        text.contains("non-functional without") || text.contains("down without")
    };
    if let (Some(tier), Some(text)) = (reading.plan.tiers.get_mut(&name), meaning) {
        if says_critical(text.as_str()) {
            tier.critical.get_or_insert(text.at(true));
        }
        tier.meaning.get_or_insert_with(|| text.value());
        reading.understand(text.origin());
    }
    for field in &section.fields {
        tier_target(&name, word(field.key.as_str()), &field.value, None, reading);
    }
}

/// The tier whose heading stands above a section.
fn tier_above(document: &Document, at: usize, reading: &Reading) -> Option<At<String>> {
    let path = document.path(at);
    let heading = path.iter().rev().find(|title| {
        let words = plain_words(title.as_str());
        (words.starts_with("tier") || words.contains(" tier ")) && tier_number(&words).is_some()
    })?;
    let name = format!("tier-{}", tier_number(heading.as_str())?);
    reading.plan.tiers.contains(&name).then(|| heading.at(name))
}

/// States and keeps a target of a tier.
fn tier_target(
    name: &str,
    kind: Option<Word>,
    cell: &Text,
    unit: Option<Unit>,
    reading: &mut Reading,
) {
    let Some(target_kind) = target_kind(kind) else { return };
    let Some(value) = target(cell, unit) else { return };
    reading.state(Subject::Tier(name.to_owned()), target_kind, value);
    reading.understand(cell.origin());
    let Some(tier) = reading.plan.tiers.get_mut(name) else { return };
    let slot = match target_kind {
        Target::Rto => &mut tier.rto,
        Target::Rpo => &mut tier.rpo,
        Target::Mttr => &mut tier.mttr,
    };
    slot.get_or_insert(value);
}

fn target_kind(word: Option<Word>) -> Option<Target> {
    match word? {
        Word::Rto => Some(Target::Rto),
        Word::Rpo => Some(Target::Rpo),
        Word::Mttr => Some(Target::Mttr),
        _ => None,
    }
}

/// A table with a row for each tier: `Tier | RTO | RPO | Systems`.
fn tiers_of_table(table: &Table, reading: &mut Reading) {
    let columns = Columns::of(table);
    let is_tiers = columns.position(Word::Tier) == Some(0)
        || (columns.position(Word::Priority) == Some(0) && !columns.has(Word::Response));
    let targets = columns.has_any(&[Word::Rto, Word::Rpo]);
    let mut seen: Vec<&str> = table.rows.iter().map(|row| row[0].as_str()).collect();
    seen.sort_unstable();
    seen.dedup();
    if !is_tiers || !targets || seen.len() != table.rows.len() {
        return;
    }
    reading.understand(table.origin);
    for row in &table.rows {
        let Some(title) = row.first().filter(|title| !title.is_blank()) else { continue };
        let name = tier(title, reading);
        for (column, cell) in row.iter().enumerate() {
            let unit = table.columns.get(column).and_then(|name| Unit::of_column(name.as_str()));
            tier_target(&name, columns.word(column), cell, unit, reading);
        }
        if let Some(meaning) = columns.cell(row, Word::About)
            && let Some(tier) = reading.plan.tiers.get_mut(&name)
        {
            tier.meaning.get_or_insert_with(|| meaning.value());
        }
        // Names of services in it: `Orders, Payments`.
        for part in columns.cell(row, Word::Service).map(parts).unwrap_or_default() {
            let service = declare(&part, reading);
            if let Some(service) = reading.plan.services.get_mut(&service) {
                service.tier.get_or_insert_with(|| title.at(name.clone()));
            }
        }
    }
}

/// The service of that title, added if it is new.
fn declare(title: &Text, reading: &mut Reading) -> String {
    let words = plain_words(title.as_str());
    if let Some(found) = reading.services.find(&words)
        && reading.plan.services.get(found).is_some_and(|service| {
            service.title.as_ref().is_some_and(|own| same_thing(&own.value, title.as_str()))
        })
    {
        return found.to_owned();
    }
    let mut service = Service { title: Some(title.value()), ..Service::default() };
    if kinds::is_cache(title.as_str()) {
        service.stateless = Some(title.at(true));
    }
    let name = insert(&mut reading.plan.services, title, service);
    reading.services.add(&name, title.as_str());
    name
}

/// Two titles call one thing if they are the same but for what stands in brackets.
fn same_thing(a: &str, b: &str) -> bool {
    plain_words(without_brackets(a)) == plain_words(without_brackets(b))
        && (a.contains('(') != b.contains('(') || plain_words(a) == plain_words(b))
}

/// The service of another table that a row adds to: `Document archive` for `POD document archive`,
/// if all its words are in that title, and no other row is that service.
fn known_as(title: &Text, table: &Table, reading: &Reading) -> Option<String> {
    let found = reading.services.find(title.as_str())?;
    let own = &reading.plan.services.get(found)?.title.as_ref()?.value;
    let own_words = format!(" {} ", plain_words(own));
    let words = plain_words(without_brackets(title.as_str()));
    let is_part = words.split(' ').all(|word| own_words.contains(&format!(" {word} ")));
    let is_another_row = |row: &Vec<Text>| {
        let others = row.iter().filter(|cell| cell.origin() != title.origin());
        others.into_iter().any(|cell| same_thing(cell.as_str(), own))
    };
    (is_part && !table.rows.iter().any(is_another_row)).then(|| found.to_owned())
}

/// A table with a row for each service.
fn services_of_table(
    table: &Table,
    above: Option<&At<String>>,
    reading: &mut Reading,
    needs: &mut Vec<Need>,
) {
    let columns = Columns::of(table);
    if reading.is_understood(table.origin) {
        return;
    }
    let Some(name_column) = columns.first(&[Word::Service, Word::Store, Word::Name]) else {
        return;
    };
    let objective = columns.has_any(&[Word::Rto, Word::Rpo, Word::Dependencies]);
    let classed = columns.has_any(&[Word::Tier, Word::Priority]) && columns.has(Word::Service);
    if !(objective || classed) || columns.has_any(&[Word::Severity, Word::Scenario, Word::Response])
    {
        return;
    }
    reading.understand(table.origin);
    for name in columns.others(KNOWN) {
        let why = format!("the column `{}` of a table of services is not known", name.as_str());
        reading.cannot_read(name.origin(), why);
    }
    let is_addition = !columns.has_any(&[Word::Rto, Word::Rpo]);
    // What runs where and keeps its data where: these are no domains that fail.
    let is_inventory = columns.position(Word::Store).is_some_and(|at| at != name_column);
    for row in &table.rows {
        let Some(title) = row.get(name_column).filter(|title| !is_nothing(title.as_str())) else {
            continue;
        };
        let name = match is_addition.then(|| known_as(title, table, reading)).flatten() {
            Some(known) => known,
            None => declare(title, reading),
        };
        let class = columns.cell(row, Word::Tier).or_else(|| columns.cell(row, Word::Priority));
        let class = class.filter(|class| !is_nothing(class.as_str()));
        let own_tier = class.map(|class| class.at(tier(class, reading)));
        for (column, cell) in row.iter().enumerate().filter(|(column, _)| *column != name_column) {
            if is_inventory && columns.word(column) == Some(Word::Domain) {
                reading.inventory.push(format!(" {} ", plain_words(cell.as_str())));
                continue;
            }
            let unit = table.columns.get(column).and_then(|name| Unit::of_column(name.as_str()));
            attribute(&name, columns.word(column), cell, unit, (reading, needs));
        }
        if let Some(service) = reading.plan.services.get_mut(&name) {
            service.tier = service.tier.take().or(own_tier).or_else(|| above.cloned());
        }
    }
}

/// Keeps one thing that is said of a service.
fn attribute(
    name: &str,
    kind: Option<Word>,
    cell: &Text,
    unit: Option<Unit>,
    (reading, needs): (&mut Reading, &mut Vec<Need>),
) {
    match kind {
        Some(Word::Rto | Word::Rpo | Word::Mttr) => objective(name, kind, cell, unit, reading),
        Some(Word::Dependencies) => needs.extend(needed(cell).into_iter().map(|part| Need {
            service: name.to_owned(),
            part,
            is_soft: false,
        })),
        Some(Word::Prefers) => needs.extend(parts(cell).into_iter().map(|part| Need {
            service: name.to_owned(),
            part,
            is_soft: true,
        })),
        Some(Word::Owner | Word::Team) if !is_nothing(cell.as_str()) => {
            let owner = team(cell, reading);
            if let Some(service) = reading.plan.services.get_mut(name) {
                service.owner.get_or_insert_with(|| cell.at(owner));
            }
        }
        Some(Word::About | Word::Purpose) if !is_nothing(cell.as_str()) => {
            if let Some(service) = reading.plan.services.get_mut(name) {
                service.about.get_or_insert_with(|| cell.value());
            }
        }
        Some(Word::Store) => {
            reading.inventory.push(format!(" {} ", plain_words(cell.as_str())));
            let parts = parts(cell).into_iter().map(|part| (name.to_owned(), part));
            reading.data_of_services.extend(parts);
        }
        Some(Word::Domain) => {
            for part in parts(cell) {
                let domain = super::backups::domain_of(&part, reading);
                if let Some(service) = reading.plan.services.get_mut(name) {
                    service.domains.push(part.at(domain));
                }
            }
        }
        _ => {}
    }
}

/// The parts of a cell that name what a service cannot start without. `WL Core DB (only for the
/// replay)` and `label archive for reprints only` are needed for something else.
fn needed(cell: &Text) -> Vec<Text> {
    const RESTRICTED: &[&str] =
        &["only for", "for restores", "for restore", "for backups", "optional", "nur für"];
    parts(cell)
        .into_iter()
        .filter(|part| {
            let words = plain_words(part.as_str());
            let only = words.contains(" for ") && words.ends_with(" only");
            !only && !RESTRICTED.iter().any(|word| words.contains(word))
        })
        .collect()
}

/// An objective of a service, or that it has none because it has no data.
fn objective(
    name: &str,
    kind: Option<Word>,
    cell: &Text,
    unit: Option<Unit>,
    reading: &mut Reading,
) {
    let Some(target_kind) = target_kind(kind) else { return };
    if target_kind == Target::Rpo
        && is_made_again(cell.as_str())
        && let Some(service) = reading.plan.services.get_mut(name)
        && service.rebuilt_from.is_empty()
    {
        service.rebuilt_from.push(cell.value());
    }
    if target_kind == Target::Rpo && is_not_applicable(cell.as_str()) {
        if let Some(service) = reading.plan.services.get_mut(name) {
            service.stateless.get_or_insert_with(|| cell.at(true));
        }
        return;
    }
    if matches!(cell.as_str().trim(), "vendor" | "Vendor" | "provider" | "Provider" | "SaaS") {
        if let Some(service) = reading.plan.services.get_mut(name) {
            service.external.get_or_insert_with(|| cell.at(true));
        }
        return;
    }
    let Some(value) = target(cell, unit) else {
        if !is_nothing(cell.as_str()) && !is_made_again(cell.as_str()) {
            reading.cannot_read(cell.origin(), "a target was expected here, such as 30 min");
        }
        return;
    };
    reading.state(Subject::Service(name.to_owned()), target_kind, value);
    if let Some(service) = reading.plan.services.get_mut(name) {
        match target_kind {
            Target::Rto => service.rto.get_or_insert(value),
            Target::Rpo => service.rpo.get_or_insert(value),
            Target::Mttr => return,
        };
    }
}

/// A table of targets on its side: a row for each target, a column for each tier.
fn metrics(table: &Table, reading: &mut Reading) {
    let columns = Columns::of(table);
    let rows: Vec<(&Vec<Text>, Word)> = table
        .rows
        .iter()
        .filter_map(|row| Some((row, word(row.first()?.as_str())?)))
        .filter(|(_, word)| target_kind(Some(*word)).is_some())
        .collect();
    if rows.is_empty() || reading.is_understood(table.origin) || columns.has(Word::Pass) {
        return;
    }
    reading.understand(table.origin);
    for (at, title) in table.columns.iter().enumerate().skip(1) {
        let is_tier = tier_number(title.as_str()).is_some()
            || (columns.word(at).is_none() && reading.tiers.find(title.as_str()).is_some());
        for (row, kind) in &rows {
            let Some(cell) = row.get(at) else { continue };
            if is_tier {
                let name = tier(title, reading);
                tier_target(&name, Some(*kind), cell, None, reading);
            } else if matches!(columns.word(at), Some(Word::Target))
                && let (Some(kind), Some(value)) = (target_kind(Some(*kind)), target(cell, None))
            {
                reading.state(Subject::Whole, kind, value);
            }
        }
    }
}

/// A section of its own for a service: its title is its name, its fields what is said of it.
fn service_of_section(
    document: &Document,
    at: usize,
    above: Option<&At<String>>,
    reading: &mut Reading,
    needs: &mut Vec<Need>,
) {
    let Some(section) = document.sections.get(at) else { return };
    let about = topics(document, at);
    let mut others = about.iter().filter(|topic| !matches!(topic, Topic::Recovery));
    let is_here = others.next().is_some_and(|topic| matches!(topic, Topic::Services | Topic::Tier));
    let says =
        |wanted: Word| section.fields.iter().any(|field| word(field.key.as_str()) == Some(wanted));
    let is_service = says(Word::Rto) || says(Word::Rpo) || says(Word::Dependencies);
    let own_topic = tier_number(section.title.as_str()).is_some();
    if !is_here || !is_service || own_topic || section.level < 2 {
        return;
    }
    let skipped = crate::markdown::names::without_number(section.title.as_str());
    let title = section.title.behind(skipped).trim();
    let name = declare(&title, reading);
    for field in &section.fields {
        let kind = word(field.key.as_str());
        if matches!(kind, Some(Word::Tier | Word::Priority)) {
            let tier = field.value.at(tier(&field.value, reading));
            if let Some(service) = reading.plan.services.get_mut(&name) {
                service.tier.get_or_insert(tier);
            }
        } else {
            attribute(&name, kind, &field.value, None, (reading, needs));
        }
        if kind.is_some_and(|kind| KNOWN.contains(&kind)) {
            reading.understand(field.key.origin());
        }
    }
    if let Some(service) = reading.plan.services.get_mut(&name) {
        service.tier = service.tier.take().or_else(|| above.cloned());
        service.about = service.about.take().or_else(|| prose(section).map(|text| text.value()));
    }
}

/// Targets of the system as a whole, in fields that belong to no service and no scenario.
fn whole(document: &Document, at: usize, section: &Section, reading: &mut Reading) {
    let about = topics(document, at);
    let general = about
        .iter()
        .all(|topic| matches!(topic, Topic::Services | Topic::Recovery | Topic::Header));
    let is_title = |topic: &Topic| matches!(topic, Topic::Recovery);
    if !general || (section.level > 2 && !about.iter().any(|topic| !is_title(topic))) {
        return;
    }
    for field in &section.fields {
        if let (Some(kind), false, Some(value)) = (
            target_kind(word(field.key.as_str())),
            reading.is_understood(field.key.origin()),
            target(&field.value, None),
        ) {
            reading.state(Subject::Whole, kind, value);
            reading.understand(field.key.origin());
        }
    }
}

/// Whether a cell says that what is lost comes back from elsewhere, without a copy.
fn is_made_again(cell: &str) -> bool {
    let words = plain_words(cell);
    let says = [
        "rebuilt from",
        "rebuild from",
        "recreated from",
        "published again",
        "sent again",
        "send again",
        "re-sent",
        "resend",
        "gets them again",
        "fetched again",
        "replayed from",
        "reimported from",
    ];
    says.iter().any(|word| words.contains(word))
}

/// Whether a text is the name of a service, and not a part of its title.
fn is_named(text: &str, service: &str) -> bool {
    slug(text) == service
}

/// Needs by the names of the plan; what is not declared stays as it was written.
fn resolve(needs: Vec<Need>, reading: &mut Reading) {
    for Need { service, part, is_soft } in needs {
        let found = reading.services.find(part.as_str()).map(str::to_owned);
        // What is left of "Ceph" in "Label archive (Ceph S3)" is what the archive lies in.
        let found = found.filter(|found| *found != service || is_named(part.as_str(), &service));
        let need = match found {
            Some(found) => part.at(found),
            None => match inventory::known(&part, reading) {
                Some(inventory::Known::External(name)) => part.at(name),
                Some(inventory::Known::Part) => {
                    let why =
                        "it is among the machines and parts, and nothing says when it is back";
                    reading.cannot_read(part.origin(), why);
                    continue;
                }
                None => part.value(),
            },
        };
        if let Some(service) = reading.plan.services.get_mut(&service) {
            let list = if is_soft { &mut service.prefers } else { &mut service.needs };
            if !list.iter().any(|own| own.value == need.value) {
                list.push(need);
            }
        }
    }
}
