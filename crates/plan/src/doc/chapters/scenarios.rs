//! Disasters as procedures: how one is noticed, what must be at hand, phases and steps, and when it is
//! over.

use super::super::inline::{Line, code, listed, own, words};
use super::super::page::Page;
use super::super::words::{duration, every, length};
use super::steps::{self, Numbers};
use super::{Book, is, maybe, maybe_code};
use crate::language::{At, Detection, Every, Parameter, ParameterSource, ParameterType, Scenario};
use crate::objectives::{Moment, Span, Timeline};

pub(super) fn write(book: &Book<'_>, page: &mut Page) {
    if book.plan.scenarios.is_empty() {
        return;
    }
    page.chapter("Disasters and what is done");
    for (_, title, scenario) in book.plan.scenarios.titled() {
        let rto = scenario.rto.map(|rto| format!("RTO {}", length(rto.value)));
        page.procedure(title, rto);
        page.say(maybe(scenario.impact.as_ref()));
        facts(book, page, scenario);
        detection(book, page, scenario);
        prerequisites(book, page, scenario);
        parameters(book, page, scenario);
        phases(book, page, scenario);
        if let Some(done) = &scenario.done_when {
            page.say(Line::new().strong("It is over when: ").then("", words(&done.value)));
        }
    }
}

fn facts(book: &Book<'_>, page: &mut Page, scenario: &Scenario) {
    let plan = book.plan;
    let severity = scenario.severity.as_ref().map(|name| name.value.as_str());
    let approvers = severity.and_then(|name| plan.severities.get(name));
    let approvers = approvers.map_or_else(Line::new, |severity| book.whos(&severity.approvers));
    let timeline = book.objectives.timeline(scenario);
    let whole = timeline.whole();
    let planned = if whole.parts.is_empty() || scenario.phases.is_empty() {
        Line::new()
    } else {
        own(&whole.in_words())
    };
    let hostile = if is(scenario.hostile) {
        own("somebody got in; nothing that ran, and no newer copy, can be trusted")
    } else {
        Line::new()
    };
    let automatic =
        if is(scenario.automatic) { own("it mends itself; watch it") } else { Line::new() };
    page.facts(vec![
        ("Severity", words(severity.map_or("", |name| plan.severities.title(name)))),
        ("Approved by", approvers),
        ("Lost", book.domains(&scenario.loses)),
        ("Data lost or wrong", book.whats(&scenario.destroys)),
        ("Down", book.whats(&scenario.stops)),
        ("Attack", hostile),
        ("By itself", automatic),
        ("Comes first", maybe(scenario.priority.as_ref())),
        ("Back within (RTO)", own(&duration(scenario.rto))),
        ("Planned", planned),
        ("Loses at most (RPO)", own(&duration(scenario.rpo))),
        ("Other promises", maybe(scenario.relaxes.as_ref())),
    ]);
}

fn detection(book: &Book<'_>, page: &mut Page, scenario: &Scenario) {
    let sign = |detection: &Detection| {
        let by = detection.by.as_ref().map_or_else(Line::new, |by| book.who(&by.value));
        let by = own("through ").then("", by);
        let within = detection
            .within
            .map_or_else(String::new, |within| format!("within {}", length(within.value)));
        let by = if detection.by.is_some() { by } else { Line::new() };
        let how = own(&within).then(", ", by);
        let run = detection.run.as_ref().map_or_else(Line::new, |run| code(&run.text));
        maybe(detection.what.as_ref()).then("; ", how).then(": ", run)
    };
    let signs: Vec<Line> = scenario.detection.iter().map(sign).collect();
    if !signs.is_empty() {
        page.say(Line::new().strong("How it is noticed"));
        page.list(signs);
    }
}

fn prerequisites(book: &Book<'_>, page: &mut Page, scenario: &Scenario) {
    let credentials = &book.plan.credentials;
    let item = |name: &str| {
        let kept = credentials.get(name).map_or_else(Line::new, |credential| {
            let kept = book.whats(&credential.kept_in);
            kept.then("; ", maybe(credential.address.as_ref()))
        });
        book.what(name).then(": ", kept)
    };
    let items: Vec<Line> = scenario.prerequisites.iter().map(|name| item(&name.value)).collect();
    if !items.is_empty() {
        page.say(Line::new().strong("At hand before it begins"));
        page.list(items);
    }
}

fn parameters(book: &Book<'_>, page: &mut Page, scenario: &Scenario) {
    if scenario.parameters.is_empty() {
        return;
    }
    page.say(Line::new().strong("To be known before it begins"));
    let numbers = Numbers::of(scenario);
    let rows = scenario.parameters.iter().map(|(name, parameter)| {
        vec![
            code(&format!("${{{}}}", name.value)),
            maybe(parameter.about.as_ref()),
            source(book, &numbers, parameter),
            maybe_code(parameter.example.as_ref()),
            own("\u{a0}"),
        ]
    });
    page.table(&["Name", "What", "From", "Such as", "Value"], rows.collect());
}

/// Where the value of a parameter comes from. A secret's value is never shown.
fn source(book: &Book<'_>, numbers: &Numbers, parameter: &Parameter) -> Line {
    let name = parameter.name.as_ref().map_or("", |name| name.value.as_str());
    let is_secret = parameter.r#type.is_some_and(|kind| kind.value == ParameterType::Secret);
    let given = if is_secret { Line::new() } else { maybe_code(parameter.value.as_ref()) };
    let from = match parameter.from.map(|from| from.value) {
        Some(ParameterSource::Ask) => own("whoever leads the recovery"),
        Some(ParameterSource::Environment) => own("the environment, ").then("", code(name)),
        Some(ParameterSource::File) => own("the file ").then("", code(name)),
        Some(ParameterSource::Step) => own("step ").then("", own(&numbers.shown(name))),
        Some(ParameterSource::Credential) => book.what(name),
        Some(ParameterSource::Value) => own("the plan"),
        None => Line::new(),
    };
    from.then(": ", given)
}

fn phases(book: &Book<'_>, page: &mut Page, scenario: &Scenario) {
    let timeline = book.objectives.timeline(scenario);
    let numbers = Numbers::of(scenario);
    for (at, phase) in scenario.phases.iter().enumerate() {
        let title = phase.title.as_ref().map_or("", |title| title.value.as_str());
        let budget = phase.budget.map(|budget| length(budget.value));
        page.heading(4, format!("Phase {}: {title}", at + 1).trim_end_matches([':', ' ']), budget);
        let mut remark =
            timeline.phases.get(at).map_or_else(Line::new, |span| clock(&timeline, span));
        if !phase.after.is_empty() {
            let after = listed(phase.after.iter().map(|title| words(&title.value)));
            remark = remark.then(" ", own("It begins after ").then("", after).then("", own(".")));
        }
        page.say(remark);
        if let Some(probe) = &phase.only_if {
            page.say(Line::new().strong("Only if: "));
            page.blocks.extend(steps::probe(book, probe));
        }
        for (number, step) in phase.steps.iter().enumerate() {
            let number = format!("{}.{}", at + 1, number + 1);
            let shown = steps::with_ways(book, scenario, &numbers, (number, step));
            page.blocks.extend(shown.into_iter().map(super::super::page::Block::Step));
        }
    }
}

/// When a phase begins and must be done, counted from the disaster.
fn clock(timeline: &Timeline<'_>, span: &Span) -> Line {
    let human = timeline.human.iter().map(|part| part.length).sum();
    let moment = |moment: Moment| length(moment.at.saturating_add(human));
    if span.begin.at_least || span.end.at_least {
        return Line::new();
    }
    let (begin, end) = (moment(span.begin), moment(span.end));
    own(&format!("Planned to begin {begin} after the disaster, and to be done after {end}."))
}

/// How often, for chapters that speak of cadence.
pub(super) fn cadence(often: Option<At<Every>>) -> String {
    often.map_or_else(String::new, |often| every(often.value))
}
