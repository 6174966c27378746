//! Scenarios: which sections tell of a disaster and its recovery, and what they say.

use std::collections::HashSet;
use std::time::Duration;

use super::table::Columns;
use super::{Reading, insert, parts, steps, topics};
use crate::check::{SnippetRole, Subject, Target};
use crate::language::{At, Detection, Phase, Probe, Scenario};
use crate::markdown::measure::{Span, only_span, spans, target};
use crate::markdown::names::without_number;
use crate::markdown::text::Text;
use crate::markdown::tree::{Block, Code, Document, Field, LABEL, Section, Table};
use crate::markdown::vocabulary::{Topic, Word, is_nothing, is_phase, plain, plain_words, word};

pub(super) fn read(document: &Document, reading: &mut Reading) {
    let listed = listed(document, reading);
    let mut next = 0;
    while next < document.sections.len() {
        if is_listed(document, next, &listed) || is_scenario(document, next) {
            let below = document.below(next);
            reading.in_scenario.extend(next..below.end);
            scenario(document, next, reading);
            next = below.end;
        } else {
            next += 1;
        }
    }
    for section in &document.sections {
        for block in &section.blocks {
            if let Block::Table(table) = block {
                table_of_scenarios(table, reading);
            }
        }
    }
}

/// The chapters that a table of scenarios names: `S1` of its column `ID`, `8` of `Plan section`.
fn listed(document: &Document, reading: &mut Reading) -> HashSet<String> {
    const REFERENCES: &[&str] = &[
        "plan section",
        "section",
        "chapter",
        "described in",
        "see section",
        "abschnitt",
        "kapitel",
    ];
    let tables = document.sections.iter().flat_map(|section| &section.blocks);
    let mut found = HashSet::new();
    for block in tables {
        let Block::Table(table) = block else { continue };
        let columns = Columns::of(table);
        let is_reference = |title: &Text| REFERENCES.contains(&plain(title.as_str()).as_str());
        let reference = table.columns.iter().position(is_reference);
        if !columns.has(Word::Scenario) || columns.has(Word::Test) || reference.is_none() {
            continue;
        }
        reading.understand(table.origin);
        for row in &table.rows {
            let number = columns.cell(row, Word::Number).map(|cell| plain_words(cell.as_str()));
            found.extend(number.filter(|number| number.len() > 1 && !number.contains(' ')));
            let chapter = reference.and_then(|at| row.get(at)).map(|cell| cell.as_str().trim());
            let is_number = |chapter: &&str| {
                chapter.starts_with(|c: char| c.is_ascii_digit())
                    && chapter.chars().all(|c| c.is_ascii_digit() || c == '.')
            };
            found.extend(chapter.filter(is_number).map(|chapter| format!("#{chapter}")));
        }
    }
    found
}

/// A heading with the number or the letters that a table of scenarios names, and steps below.
fn is_listed(document: &Document, at: usize, listed: &HashSet<String>) -> bool {
    let Some(section) = document.sections.get(at) else { return false };
    if listed.is_empty() || section.level == 0 || section.level == LABEL {
        return false;
    }
    let written = section.title.as_str();
    let number: String = written.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let by_number =
        !number.is_empty() && listed.contains(&format!("#{}", number.trim_end_matches('.')));
    let by_code = counts(written).is_some_and(|code| listed.contains(&code));
    let below = document.sections.get(document.below(at)).unwrap_or_default();
    (by_number || by_code)
        && std::iter::once(section).chain(below).any(|own| own.blocks.iter().any(has_steps))
}

/// Words that scenarios are counted by.
const COUNTED: &[&str] = &["scenario", "szenario", "runbook", "playbook", "incident type"];

/// Headings of sections about all scenarios, or about none.
const GENERAL: &[&str] = &[
    "overview",
    "introduction",
    "general",
    "purpose",
    "summary",
    "scope",
    "roles",
    "notes",
    "definitions",
    "prerequisites",
    "contacts",
    "references",
    "index",
    "how to use",
    "before you begin",
    "common steps",
    "general steps",
    "general procedure",
    "declaration",
    "activation",
    "matrix",
    "recovery order",
    "recovery sequence",
    "order of recovery",
    "start order",
    "startup order",
    "restart order",
    "order of restart",
    "order",
    "priorities",
    "risk assessment",
];

/// Whether a heading, or what stands before `after …` in it, is about all scenarios.
fn is_general(words: &str) -> bool {
    let lead = words.split(" after ").next().unwrap_or(words);
    GENERAL.contains(&words) || GENERAL.contains(&lead)
}

fn is_scenario(document: &Document, at: usize) -> bool {
    let Some(section) = document.sections.get(at) else { return false };
    if section.level == 0 || section.level == LABEL {
        return false;
    }
    let title = plain_words(section.title.as_str());
    let words = plain_words(section.title.behind(without_number(section.title.as_str())).as_str());
    let below = document.below(at);
    let all =
        || std::iter::once(section).chain(document.sections.get(below.clone()).unwrap_or_default());
    let says_steps = || all().any(|section| section.blocks.iter().any(has_steps));
    let says_targets = || {
        all().flat_map(|section| &section.fields).any(|field| {
            matches!(
                word(field.key.as_str()),
                Some(Word::Rto | Word::Rpo | Word::Impact | Word::Detection)
            )
        })
    };
    // "Scenario 3: Compromised credentials" is one, whatever its words are about elsewhere.
    let is_called_so = ["scenario ", "szenario "].iter().any(|word| title.starts_with(word));
    let from = section.parent.filter(|_| is_called_so && title != words).unwrap_or(at);
    let about = topics(document, from);
    let outer = about.iter().find(|topic| !matches!(topic, Topic::Recovery));
    let elsewhere = outer.is_some_and(|topic| {
        !matches!(topic, Topic::Scenarios | Topic::Services | Topic::Backup | Topic::Tier)
    });
    let counted = COUNTED.iter().any(|word| {
        title.strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')) && title != words
    });
    if elsewhere {
        return false;
    }
    if counted {
        return says_steps() || says_targets();
    }
    let parent = section.parent.and_then(|at| document.sections.get(at));
    let is_child =
        parent.is_some_and(|parent| parent.topic == Some(Topic::Scenarios) && parent.level > 0);
    let general = is_general(&words);
    if is_child && !general && section.topic != Some(Topic::Scenarios) {
        return says_steps() || says_targets();
    }
    let alone = section.topic == Some(Topic::Recovery)
        && section.level > 1
        && !general
        && outer.is_none_or(|topic| matches!(topic, Topic::Scenarios | Topic::Services))
        && word(section.title.as_str()).is_none();
    let only_parts =
        document.sections.get(below.clone()).unwrap_or_default().iter().all(|section| {
            section.level == LABEL
                || is_phase(section.title.as_str())
                || word(section.title.as_str()).is_some_and(Word::is_heading)
        });
    alone && only_parts && says_steps()
}

/// Whether a block tells what to do.
fn has_steps(block: &Block) -> bool {
    match block {
        Block::Code(code) => steps::is_shell(code),
        Block::List(list) => list.ordered && !list.drawn,
        Block::Table(table) => {
            let columns = Columns::of(table);
            columns.has_any(&[Word::Step, Word::Phase])
                && (columns.has_any(&[Word::Action, Word::Command])
                    || columns.has(Word::Duration) && columns.has(Word::Store))
        }
        _ => false,
    }
}

/// What the sections of a scenario are for.
enum Part {
    Detection,
    Prerequisites,
    Phase,
    /// It tells of the scenario, but nothing to do.
    Other,
}

fn part(section: &Section, inside: &Part) -> Part {
    let title = section.title.as_str();
    if is_phase(title) {
        return Part::Phase;
    }
    match word(plain(title).as_str()) {
        Some(Word::Detection) => return Part::Detection,
        Some(Word::Prerequisites) => return Part::Prerequisites,
        Some(Word::Procedure | Word::Verification) => return Part::Phase,
        Some(Word::Impact | Word::Criteria | Word::Contact | Word::About) => return Part::Other,
        _ => {}
    }
    let words = plain_words(title);
    let other = [
        "communication",
        "rollback",
        "notes",
        "note",
        "escalation",
        "references",
        "contacts",
        "lessons",
        "warning",
        "assumptions",
        "root cause",
        "post-incident",
        "related",
    ];
    if other.iter().any(|own| words.split(' ').any(|word| word == *own)) {
        return Part::Other;
    }
    let does = section.blocks.iter().any(has_steps) || in_brackets(&section.title).is_some();
    if does
        || (section.level == LABEL
            && matches!(inside, Part::Phase)
            && section.blocks.iter().any(|block| matches!(block, Block::List(_))))
    {
        return Part::Phase;
    }
    Part::Other
}

fn scenario(document: &Document, at: usize, reading: &mut Reading) {
    let Some(section) = document.sections.get(at) else { return };
    let title = section.title.behind(without_number(section.title.as_str())).trim();
    let mut scenario = Scenario { title: Some(title.value()), ..Scenario::default() };
    let mut ranges: Vec<Option<Span>> = Vec::new();
    fields(section, &mut scenario, None, reading);
    body(section, None, &mut scenario, &mut ranges, reading);
    let mut inside = Part::Other;
    for below in document.sections.get(document.below(at)).unwrap_or_default() {
        let part = part(below, &inside);
        match &part {
            Part::Detection => detections(below, &mut scenario, reading),
            Part::Prerequisites => prerequisites(below, &mut scenario, reading),
            Part::Phase => {
                let before = scenario.phases.len();
                body(below, Some(&below.title), &mut scenario, &mut ranges, reading);
                let phase = scenario.phases.get_mut(before);
                fields(below, &mut Scenario::default(), phase, reading);
            }
            Part::Other if word(below.title.as_str()) == Some(Word::Impact) => {
                scenario.impact = scenario.impact.take().or_else(|| {
                    let text = super::prose(below)?;
                    reading.understand(text.origin());
                    Some(text.value())
                });
            }
            Part::Other => {}
        }
        if !matches!(part, Part::Phase) {
            fields(below, &mut scenario, None, reading);
        }
        inside = part;
    }
    budgets(&mut scenario, &ranges);
    let name = finish(scenario, &title, reading);
    let counts = counts(section.title.as_str());
    reading.counted.extend(counts.into_iter().map(|count| (count, name.clone())));
}

/// What a scenario is counted by: `scenario c` of "7.3 Scenario C: …", `s4` of "8.4 S4: …".
fn counts(title: &str) -> Option<String> {
    let title = title.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '));
    let (lead, _) = title.split_once([':', '–', '—'])?;
    let count = plain_words(lead);
    let mut words = count.split(' ');
    let (first, second) = (words.next()?, words.next());
    let is_code = second.is_none()
        && first.len() <= 5
        && first.starts_with(char::is_alphabetic)
        && first.ends_with(|c: char| c.is_ascii_digit());
    let is_counted = COUNTED.contains(&first)
        && second.is_some_and(|number| number.len() <= 2)
        && words.next().is_none();
    (is_code || is_counted).then_some(count)
}

fn finish(scenario: Scenario, title: &Text, reading: &mut Reading) -> String {
    let (rto, rpo) = (scenario.rto, scenario.rpo);
    let name = insert(&mut reading.plan.scenarios, title, scenario);
    reading.scenarios.add(&name, title.as_str());
    for (target, value) in [(Target::Rto, rto), (Target::Rpo, rpo)] {
        if let Some(value) = value {
            reading.state(Subject::Scenario(name.clone()), target, value);
        }
    }
    name
}

/// What the fields of a section say of a scenario, or of the phase it is.
fn fields(
    section: &Section,
    scenario: &mut Scenario,
    mut phase: Option<&mut Phase>,
    reading: &mut Reading,
) {
    for field in &section.fields {
        let known = match phase.as_deref_mut() {
            Some(phase) => phase_field(field, phase),
            None => scenario_field(field, scenario),
        };
        if known {
            reading.understand(field.key.origin());
        }
    }
}

fn phase_field(field: &Field, phase: &mut Phase) -> bool {
    let Some(Word::Duration | Word::Rto | Word::Time) = word(field.key.as_str()) else {
        return false;
    };
    let value = target(&field.value, None);
    if phase.budget.is_none() {
        phase.budget = value;
    }
    value.is_some()
}

fn scenario_field(field: &Field, scenario: &mut Scenario) -> bool {
    let value = &field.value;
    if is_nothing(value.as_str()) {
        return word(field.key.as_str()).is_some();
    }
    match word(field.key.as_str()) {
        Some(Word::Impact) => {
            scenario.impact.get_or_insert_with(|| value.value());
        }
        Some(Word::Rto) => return keep(&mut scenario.rto, target(value, None)),
        Some(Word::Rpo) => return keep(&mut scenario.rpo, target(value, None)),
        Some(Word::Automatic) => {
            let words = plain_words(value.as_str());
            let answer = match words.split(' ').next().unwrap_or("") {
                "yes" | "ja" | "automatic" | "full" | "fully" | "true" => true,
                "no" | "nein" | "manual" | "none" | "false" => false,
                _ => return false,
            };
            scenario.automatic.get_or_insert_with(|| value.at(answer));
        }
        Some(Word::Severity) => {
            scenario.severity.get_or_insert_with(|| value.value());
        }
        Some(Word::Priority) => match severity_like(value.as_str()) {
            true => scenario.severity = scenario.severity.take().or_else(|| Some(value.value())),
            false => scenario.priority = scenario.priority.take().or_else(|| Some(value.value())),
        },
        Some(Word::Detection) => {
            scenario
                .detection
                .push(Detection { what: Some(value.value()), ..Detection::default() });
        }
        Some(Word::Prerequisites) => {
            scenario.prerequisites.extend(parts(value).iter().map(Text::value));
        }
        Some(Word::Criteria | Word::Verification) => {
            scenario.done_when.get_or_insert_with(|| value.value());
        }
        _ => return false,
    }
    true
}

/// `P1`, `SEV-2`, `Critical`: a word for how bad it is, and nothing else.
fn severity_like(text: &str) -> bool {
    let words = plain_words(text);
    let first = words.split(' ').next().unwrap_or("");
    let digits = first.trim_start_matches(|c: char| !c.is_ascii_digit());
    let counted = ["p", "sev", "s", "prio"].iter().any(|lead| {
        first
            .strip_prefix(lead)
            .is_some_and(|rest| rest.trim_start_matches('-') == digits && digits.len() == 1)
    });
    counted || matches!(words.as_str(), "critical" | "high" | "medium" | "low" | "major" | "minor")
}

fn keep(slot: &mut Option<At<Duration>>, value: Option<At<Duration>>) -> bool {
    let known = value.is_some();
    *slot = slot.take().or(value);
    known
}

/// How it is noticed: each item, or what a command shows.
fn detections(section: &Section, scenario: &mut Scenario, reading: &mut Reading) {
    for block in &section.blocks {
        match block {
            Block::List(list) => {
                reading.understand(list.origin());
                scenario.detection.extend(list.items.iter().map(|item| Detection {
                    what: Some(item.text.value()),
                    within: within(&item.text),
                    ..Detection::default()
                }));
            }
            Block::Code(code) if steps::is_shell(code) => {
                reading.understand(code.origin);
                scenario.detection.push(Detection {
                    what: comment(code),
                    run: Some(code.script()),
                    ..Detection::default()
                });
            }
            Block::Code(code) => reading.keep_code(&section.title, code, SnippetRole::Illustration),
            Block::Paragraph(text) if text.len() < 400 => {
                reading.understand(text.origin());
                let within = within(text);
                scenario.detection.push(Detection {
                    what: Some(text.value()),
                    within,
                    ..Detection::default()
                });
            }
            _ => {}
        }
    }
}

/// `within 5 minutes`: the latest it is noticed.
fn within(text: &Text) -> Option<At<Duration>> {
    let lower = text.as_str().to_ascii_lowercase();
    let at = lower.find("within ")? + "within ".len();
    let span =
        spans(text.as_str().get(at..)?).into_iter().next().filter(|span| span.at.start == 0)?;
    Some(text.slice(at..at + span.at.end).at(span.high))
}

/// The first comment of a script.
fn comment(code: &Code) -> Option<At<String>> {
    let first = code.text.lines().into_iter().next()?;
    let words = first.trim_matches(|c| c == '#' || c.is_whitespace());
    (first.as_str().starts_with('#') && !words.is_blank()).then(|| words.value())
}

fn prerequisites(section: &Section, scenario: &mut Scenario, reading: &mut Reading) {
    for block in &section.blocks {
        if let Block::List(list) = block {
            reading.understand(list.origin());
            scenario.prerequisites.extend(list.items.iter().map(|item| item.text.value()));
        }
    }
}

/// The steps of a section as a phase, if it has any.
fn body(
    section: &Section,
    title: Option<&Text>,
    scenario: &mut Scenario,
    ranges: &mut Vec<Option<Span>>,
    reading: &mut Reading,
) {
    let is_told = |block: &&Block| match block {
        Block::List(list) => list.ordered || title.is_some(),
        Block::Table(_) | Block::Code(_) => true,
        Block::Paragraph(_) | Block::Foreign(..) => false,
    };
    let range = title.and_then(in_brackets);
    let told = section.blocks.iter().any(|block| is_told(&block));
    if !told && range.is_none() {
        return;
    }
    let blocks: Vec<Block> = section
        .blocks
        .iter()
        .filter(|block| is_told(block) || matches!(block, Block::Paragraph(_)))
        .cloned()
        .collect();
    let steps = steps::of_blocks(title.unwrap_or(&section.title), &blocks, reading);
    if steps.is_empty() && range.is_none() {
        return;
    }
    let mut phase = Phase { steps, budget: reading.total.take(), ..Phase::default() };
    if let Some(title) = title {
        let (words, condition) = phase_title(title);
        phase.title = Some(words.value());
        phase.only_if = condition
            .map(|condition| Probe { manual: Some(condition.value()), ..Probe::default() });
        let stated = range.as_ref().map(|span| title.slice(span.at.clone()).at(span.high));
        phase.budget = stated.or(phase.budget);
    }
    ranges.push(range);
    scenario.phases.push(phase);
}

/// The duration in the brackets of a heading: `Phase 1: Nodes (20 minutes)`.
fn in_brackets(title: &Text) -> Option<Span> {
    let written = title.as_str();
    let start = written.rfind('(')? + 1;
    let inner = written.get(start..)?.split(')').next()?;
    let span = only_span(inner)?;
    Some(Span { at: start + span.at.start..start + span.at.end, ..span })
}

/// `Phase 2: Rebuild (if compromised)` as its words and its condition.
fn phase_title(title: &Text) -> (Text, Option<Text>) {
    let words = title.behind(without_number(title.as_str())).trim();
    let written = words.as_str();
    let Some(open) = written.rfind('(').filter(|at| *at > 0) else { return (words, None) };
    let inner = words.behind(open).trim_matches(|c| matches!(c, '(' | ')' | ':' | ' '));
    let lower = inner.as_str().to_ascii_lowercase();
    if lower.starts_with("if ") || lower.starts_with("only if ") {
        let start = lower.find("if ").unwrap_or(0) + "if ".len();
        return (words.slice(0..open).trim(), Some(inner.behind(start).trim()));
    }
    if spans(inner.as_str()).is_empty() {
        (words, None)
    } else {
        (words.slice(0..open).trim(), None)
    }
}

/// Brackets that count from the beginning (`0-15 min`, `15-45 min`) are no estimates from to: each
/// phase takes what lies between.
fn budgets(scenario: &mut Scenario, ranges: &[Option<Span>]) {
    let said: Vec<&Span> = ranges.iter().flatten().collect();
    let from_zero = said.first().is_some_and(|first| first.low.is_zero());
    let follows = said.windows(2).all(|pair| pair[0].high == pair[1].low);
    if said.len() < 2 || !from_zero || !follows {
        return;
    }
    for (phase, range) in scenario.phases.iter_mut().zip(ranges) {
        if let (Some(budget), Some(range)) = (&mut phase.budget, range) {
            budget.value = range.high.saturating_sub(range.low);
        }
    }
}

/// A table with a row for each scenario: it completes the sections, and stands for those that have
/// a target but no section.
fn table_of_scenarios(table: &Table, reading: &mut Reading) {
    let columns = Columns::of(table);
    let Some(name_column) = columns.position(Word::Scenario) else { return };
    if reading.is_understood(table.origin)
        || !columns.has_any(&[Word::Rto, Word::Rpo, Word::Severity, Word::Impact, Word::Automatic])
        || columns.has(Word::Test)
    {
        return;
    }
    reading.understand(table.origin);
    for row in &table.rows {
        let Some(title) = row.get(name_column).filter(|title| !title.is_blank()) else { continue };
        let cell = |word| columns.cell(row, word).filter(|cell| !is_nothing(cell.as_str()));
        let objective = |word| cell(word).and_then(|cell| target(cell, columns.unit(word)));
        let (rto, rpo) = (objective(Word::Rto), objective(Word::Rpo));
        let found = reading.scenarios.find(title.as_str()).map(str::to_owned);
        let name = match found {
            Some(name) => name,
            None if rto.is_some() => {
                let scenario = Scenario { title: Some(title.value()), ..Scenario::default() };
                let name = insert(&mut reading.plan.scenarios, title, scenario);
                reading.scenarios.add(&name, title.as_str());
                name
            }
            None => continue,
        };
        for (target, value) in [(Target::Rto, rto), (Target::Rpo, rpo)] {
            if let Some(value) = value {
                reading.state(Subject::Scenario(name.clone()), target, value);
            }
        }
        if let Some(scenario) = reading.plan.scenarios.get_mut(&name) {
            scenario.rto = scenario.rto.or(rto);
            scenario.rpo = scenario.rpo.or(rpo);
            scenario.impact =
                scenario.impact.take().or_else(|| cell(Word::Impact).map(Text::value));
            let severity = cell(Word::Severity).map(Text::value);
            scenario.severity = scenario.severity.take().or(severity);
        }
    }
}
