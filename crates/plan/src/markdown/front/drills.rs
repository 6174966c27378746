//! Drills: how often what is tried, how, and when it has passed.

mod results;

use std::collections::HashMap;

use super::table::Columns;
use super::{Reading, insert, is_about, sections, steps, topics};
use crate::check::{Subject, Target};
use crate::language::{At, Criterion, Drill, DrillKind, Every, Measure};
use crate::markdown::measure::{date, rhythm, target};
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Document, Section, Table};
use crate::markdown::vocabulary::{Topic, Word, is_nothing, plain_words, says, word};

pub(super) fn read(document: &Document, reading: &mut Reading) {
    for section in &document.sections {
        for block in &section.blocks {
            if let Block::Table(table) = block {
                drills(table, reading);
            }
        }
    }
    for (at, section) in sections(document) {
        if reading.in_scenario.contains(&at) {
            continue;
        }
        if is_about(document, at, &[Topic::Drills, Topic::Criteria]) {
            list_of_drills(section, reading);
            details(document, at, section, reading);
        }
    }
}

/// A table with a row for each drill.
fn drills(table: &Table, reading: &mut Reading) {
    let columns = Columns::of(table);
    let tells = [Word::Frequency, Word::Last, Word::Next];
    let named = columns.position(Word::Test);
    let by_scenario =
        columns.position(Word::Scenario).filter(|_| columns.has_any(&[Word::Last, Word::Next]));
    let Some(name_column) = named.or(by_scenario) else { return };
    if !columns.has_any(&tells) || reading.is_understood(table.origin) {
        return;
    }
    reading.understand(table.origin);
    let result_column = results::column(&columns);
    let mut seen: HashMap<String, String> = HashMap::new();
    for row in &table.rows {
        let Some(title) = row.get(name_column).filter(|title| !is_nothing(title.as_str())) else {
            continue;
        };
        let cell = |word| columns.cell(row, word).filter(|cell| !is_nothing(cell.as_str()));
        let result = result_column.and_then(|at| results::read(cell(Word::Last), row.get(at)?));
        // A row for each time it was done: one drill, and what came of it.
        let known = result.as_ref().and(seen.get(&plain_words(title.as_str())));
        if let Some(drill) = known.and_then(|known| reading.plan.drills.get_mut(known)) {
            drill.last = result.as_ref().and_then(|result| result.date).or(drill.last);
            drill.results.extend(result);
            continue;
        }
        let scope =
            cell(Word::Scope).or_else(|| cell(Word::About)).or_else(|| cell(Word::Scenario));
        let scope = scope.or_else(|| cell(Word::Method));
        let every = cell(Word::Frequency).and_then(frequency);
        if let (Some(cell), None) = (cell(Word::Frequency), &every) {
            reading.cannot_read(cell.origin(), "how often was expected here, such as quarterly");
        }
        let day = |word| cell(word).and_then(|cell| Some(cell.at(date(cell.as_str())?)));
        let mut drill = Drill {
            title: Some(title.value()),
            kind: scope
                .and_then(kind)
                .filter(|kind| kind.value == DrillKind::Tabletop)
                .or_else(|| kind(title))
                .or_else(|| scope.and_then(kind)),
            scope: scope.map(Text::value),
            every,
            last: day(Word::Last),
            next: day(Word::Next),
            duration: cell(Word::Duration)
                .and_then(|cell| target(cell, columns.unit(Word::Duration))),
            downtime: cell(Word::Downtime)
                .and_then(|cell| target(cell, columns.unit(Word::Downtime))),
            ..Drill::default()
        };
        let tried = scope
            .and_then(|scope| scenario_of(scope, reading))
            .or_else(|| scenario_of(title, reading));
        drill.scenarios.extend(tried);
        if let Some(owner) = cell(Word::Owner).or_else(|| cell(Word::Members)) {
            drill.owner = Some(owner.at(super::header::team(owner, reading)));
        }
        if let Some(pass) = cell(Word::Criteria).or_else(|| cell(Word::Pass)) {
            drill.criteria.push(criterion(pass, None, None));
        }
        if result.is_some() {
            drill.stores = results::stores(title, reading);
        }
        drill.results.extend(result);
        let name = insert(&mut reading.plan.drills, title, drill);
        seen.insert(plain_words(title.as_str()), name);
    }
}

/// How often, if that is a rhythm of its own.
fn frequency(cell: &Text) -> Option<At<Every>> {
    rhythm(cell.as_str())?.every.map(|every| cell.at(every))
}

/// Words that kinds of drills are called by, the more telling first.
const KINDS: &[(&str, DrillKind)] = &[
    (
        "tabletop|table-top|table top|walkthrough|walk-through|planspiel|discussion",
        DrillKind::Tabletop,
    ),
    ("full|complete|end-to-end|entire|simulation|full-scale|parallel", DrillKind::Full),
    ("failover|switchover|chaos|game day|failback", DrillKind::Failover),
    (
        "restore|backup verification|backup|restoration|recovery test|wiederherstellung",
        DrillKind::Restore,
    ),
];

fn kind(title: &Text) -> Option<At<DrillKind>> {
    let text = plain_words(title.as_str());
    let says = |word: &str| says(&text, word);
    let found = KINDS.iter().find(|(words, _)| words.split('|').any(says));
    found.map(|(_, kind)| title.at(*kind))
}

/// Words that tell nothing of which disaster is meant.
const EMPTY: &[&str] = &[
    "the",
    "of",
    "a",
    "an",
    "and",
    "to",
    "test",
    "tests",
    "drill",
    "recovery",
    "rebuild",
    "restore",
    "failure",
    "loss",
    "outage",
    "dr",
    "full",
    "scenario",
    "exercise",
    "simulation",
    "failover",
];

/// The scenario that words speak of: it shares the most telling words with them, and more than any
/// other scenario.
fn scenario_of(words: &Text, reading: &Reading) -> Option<At<String>> {
    if let Some(found) = reading.scenarios.find(words.as_str()) {
        return Some(words.at(found.to_owned()));
    }
    let said = plain_words(words.as_str());
    let padded = format!(" {said} ");
    let by_count = |(count, _): &&(String, String)| padded.contains(&format!(" {count} "));
    if let Some((_, name)) = reading.counted.iter().find(by_count) {
        return Some(words.at(name.clone()));
    }
    let said: Vec<&str> = said.split(' ').filter(|word| !EMPTY.contains(word)).collect();
    let mut best: Option<(usize, &str)> = None;
    let mut tied = false;
    for (name, scenario) in reading.plan.scenarios.iter() {
        let title = plain_words(scenario.title.as_ref().map_or("", |title| title.value.as_str()));
        let own: Vec<&str> = title.split(' ').filter(|word| !EMPTY.contains(word)).collect();
        let shared = own.iter().filter(|word| said.contains(word)).count();
        if shared == 0 || shared * 2 < own.len().min(said.len()) + 1 && shared < 2 {
            continue;
        }
        tied = best.is_some_and(|(most, _)| most == shared);
        if best.is_none_or(|(most, _)| shared > most) {
            best = Some((shared, &name.value));
        }
    }
    best.filter(|_| !tied).map(|(_, name)| words.at(name.to_owned()))
}

/// A list with an item for each drill: `**Quarterly:** restore of the database`.
fn list_of_drills(section: &Section, reading: &mut Reading) {
    for block in &section.blocks {
        let Block::List(list) = block else { continue };
        if list.ordered || reading.is_understood(list.origin()) {
            continue;
        }
        let mut read_any = false;
        for item in &list.items {
            let text = &item.text;
            let Some(every) = frequency(text).filter(|_| text.len() < 200) else { continue };
            let Some(kind) = kind(text) else { continue };
            let drill = Drill {
                title: Some(text.value()),
                kind: Some(kind),
                every: Some(every),
                scenarios: scenario_of(text, reading).into_iter().collect(),
                ..Drill::default()
            };
            insert(&mut reading.plan.drills, text, drill);
            read_any = true;
        }
        if read_any {
            reading.understand(list.origin());
        }
    }
}

/// Procedures and criteria, given to the drill their heading names, else to the one that runs it all.
fn details(document: &Document, at: usize, section: &Section, reading: &mut Reading) {
    let Some(name) = drill_of(document, at, reading) else { return };
    let procedure = section.blocks.iter().any(|block| match block {
        Block::Code(code) => steps::is_shell(code),
        Block::List(list) => list.ordered,
        _ => false,
    });
    if procedure {
        let blocks: Vec<Block> = section
            .blocks
            .iter()
            .filter(|block| !matches!(block, Block::Table(_)))
            .cloned()
            .collect();
        let steps = steps::of_blocks(&section.title, &blocks, reading);
        if let Some(drill) = reading.plan.drills.get_mut(&name) {
            drill.procedure.extend(steps);
        }
    }
    if topics(document, at).contains(&Topic::Criteria) {
        for block in &section.blocks {
            match block {
                Block::Table(table) => criteria(&name, table, reading),
                Block::List(list) => {
                    reading.understand(list.origin());
                    let criteria = list.items.iter().map(|item| criterion(&item.text, None, None));
                    if let Some(drill) = reading.plan.drills.get_mut(&name) {
                        drill.criteria.extend(criteria);
                    }
                }
                _ => {}
            }
        }
    }
    let fields: Vec<(Option<Word>, &Text, &Text)> = section
        .fields
        .iter()
        .map(|field| (word(field.key.as_str()), &field.key, &field.value))
        .collect();
    let Some(drill) = reading.plan.drills.get_mut(&name) else { return };
    let mut read = Vec::new();
    for (kind, key, value) in fields {
        let known = match kind {
            Some(Word::Frequency) => slot(&mut drill.every, frequency(value)),
            Some(Word::Last) => {
                slot(&mut drill.last, date(value.as_str()).map(|day| value.at(day)))
            }
            Some(Word::Next) => {
                slot(&mut drill.next, date(value.as_str()).map(|day| value.at(day)))
            }
            Some(Word::Duration) => slot(&mut drill.duration, target(value, None)),
            Some(Word::Downtime) => slot(&mut drill.downtime, target(value, None)),
            Some(Word::Scope) => slot(&mut drill.scope, Some(value.value())),
            _ => false,
        };
        read.extend(known.then(|| key.origin()));
    }
    read.into_iter().for_each(|origin| reading.understand(origin));
}

fn slot<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let known = value.is_some();
    *slot = slot.take().or(value);
    known
}

/// The drill that a section is about: by the words of its heading, else the only full one.
fn drill_of(document: &Document, at: usize, reading: &mut Reading) -> Option<String> {
    let title = document.sections.get(at)?.title.clone();
    let said = plain_words(title.as_str());
    let said: Vec<&str> = said.split(' ').collect();
    let telling =
        |word: &str| !matches!(word, "test" | "tests" | "drill" | "dr" | "exercise" | "procedure");
    let by_words = only(reading, |drill| {
        let own = plain_words(drill.title.as_ref().map_or("", |title| title.value.as_str()));
        let mut own = own.split(' ').filter(|word| telling(word)).peekable();
        own.peek().is_some() && own.all(|word| said.contains(&word))
    });
    let full = |drill: &Drill| drill.kind.is_some_and(|kind| kind.value == DrillKind::Full);
    if let Some(name) = by_words.or_else(|| only(reading, full)) {
        return Some(name);
    }
    // A heading with a rhythm and steps is a drill of its own.
    let section = document.sections.get(at)?;
    let says = section.fields.iter().any(|field| word(field.key.as_str()) == Some(Word::Frequency))
        || frequency(&title).is_some();
    if !says || section.level < 3 {
        return None;
    }
    let drill = Drill {
        title: Some(title.value()),
        kind: kind(&title),
        every: frequency(&title),
        scenarios: scenario_of(&title, reading).into_iter().collect(),
        ..Drill::default()
    };
    Some(insert(&mut reading.plan.drills, &title, drill))
}

/// The only drill of which something is true.
fn only(reading: &Reading, is_it: impl Fn(&Drill) -> bool) -> Option<String> {
    let mut fits = reading.plan.drills.iter().filter(|(_, drill)| is_it(drill));
    match (fits.next(), fits.next()) {
        (Some((name, _)), None) => Some(name.value.clone()),
        _ => None,
    }
}

/// A table of criteria: `Metric | Target | Pass criteria`.
fn criteria(name: &str, table: &Table, reading: &mut Reading) {
    let columns = Columns::of(table);
    let Some(metric) = columns.position(Word::Metric) else { return };
    reading.understand(table.origin);
    for row in &table.rows {
        let Some(title) = row.get(metric).filter(|title| !title.is_blank()) else { continue };
        let limit = columns.cell(row, Word::Target).and_then(|cell| target(cell, None));
        let pass = columns.cell(row, Word::Pass).or_else(|| columns.cell(row, Word::Criteria));
        let criterion = criterion(pass.unwrap_or(title), Some(title), limit);
        let measured = match criterion.measure.map(|measure| measure.value) {
            Some(Measure::Rto) => Some(Target::Rto),
            Some(Measure::Rpo) => Some(Target::Rpo),
            _ => None,
        };
        if let (Some(target), Some(value)) = (measured, limit) {
            reading.state(Subject::Drill(name.to_owned()), target, value);
        }
        if let Some(drill) = reading.plan.drills.get_mut(name) {
            drill.criteria.push(criterion);
        }
    }
}

fn criterion(
    text: &Text,
    metric: Option<&Text>,
    limit: Option<At<std::time::Duration>>,
) -> Criterion {
    let named = metric.unwrap_or(text);
    let measure = match word(named.as_str()) {
        Some(Word::Rto) => Measure::Rto,
        Some(Word::Rpo) => Measure::Rpo,
        _ if plain_words(named.as_str()).contains("function") => Measure::Function,
        _ => Measure::Other,
    };
    Criterion {
        measure: Some(named.at(measure)),
        at_most: limit,
        text: Some(text.value()),
        run: None,
    }
}
