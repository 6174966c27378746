//! Drills: what is tried, how often, when it has passed, and the days on which it is due.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::super::calendar;
use super::super::inline::{Line, code, listed, own, words};
use super::super::page::{Block, Page};
use super::super::words::length;
use super::scenarios::cadence;
use super::steps::{self, Numbers};
use super::{Book, maybe};
use crate::language::{At, Criterion, Drill, Measure, Phase, Scenario};

pub(super) fn write(book: &Book<'_>, page: &mut Page) {
    if book.plan.drills.is_empty() {
        return;
    }
    page.chapter("Drills");
    overview(book, page);
    dates(book, page);
    for (_, title, drill) in book.plan.drills.titled() {
        page.part(title, drill.every.map(|_| cadence(drill.every)));
        one(book, page, drill);
    }
}

fn overview(book: &Book<'_>, page: &mut Page) {
    let rows = book.plan.drills.titled().map(|(_, title, drill)| {
        let last = drill.last.map_or_else(String::new, |last| last.value.to_string());
        let due = calendar::drill(book.plan, drill, book.edition.as_of);
        vec![
            Line::new().strong(title),
            words(drill.kind.map_or("", |kind| kind.value.word())),
            own(&cadence(drill.every)),
            own(&last),
            own(&due.shown()),
            own(&drill.downtime.map_or_else(String::new, |time| length(time.value))),
        ]
    });
    page.table(&["Drill", "Kind", "How often", "Last", "Next", "Users notice"], rows.collect());
}

fn dates(book: &Book<'_>, page: &mut Page) {
    let mut days: BTreeMap<Date, Vec<usize>> = BTreeMap::new();
    for (day, at) in calendar::year(book.plan, book.edition.as_of) {
        days.entry(day).or_default().push(at);
    }
    if days.is_empty() {
        return;
    }
    page.part("Calendar of the coming year", None);
    let named = |at: &usize| {
        let name = book.plan.drills.at(*at).map_or("", |(name, _)| name.value.as_str());
        words(book.plan.drills.title(name))
    };
    let rows = days
        .iter()
        .map(|(day, drills)| vec![own(&day.to_string()), listed(drills.iter().map(named))]);
    page.table(&["At the latest on", "Drill"], rows.collect());
}

fn one(book: &Book<'_>, page: &mut Page, drill: &Drill) {
    page.say(maybe(drill.scope.as_ref()));
    let scenarios =
        drill.scenarios.iter().map(|name| words(book.plan.scenarios.title(&name.value)));
    let announced = drill
        .announced_before
        .map_or_else(Line::new, |before| own(&format!("{} before", length(before.value))));
    let target = drill
        .target
        .as_ref()
        .map_or_else(Line::new, |target| words(book.plan.domains.title(&target.value)));
    let time = |value: Option<At<std::time::Duration>>| {
        own(&value.map_or_else(String::new, |value| length(value.value)))
    };
    page.facts(vec![
        ("Scenarios", listed(scenarios)),
        ("Stores", book.whats(&drill.stores)),
        ("Where", target),
        ("Led by", drill.owner.as_ref().map_or_else(Line::new, |name| book.who(&name.value))),
        ("Takes", time(drill.duration)),
        ("Announced", announced.then(", to ", book.whos(&drill.announced_to))),
        ("Report", maybe(drill.report_to.as_ref())),
    ]);
    let rows = drill.criteria.iter().map(criterion);
    page.table(&["Passed when", "At most", "Shown by"], rows.collect());
    procedure(book, page, drill);
}

fn criterion(criterion: &Criterion) -> Vec<Line> {
    let measure = criterion.measure.map_or("", |measure| match measure.value {
        Measure::Rto => "Time until everything is back",
        Measure::Rpo => "Data that was lost",
        Measure::Function => "Function",
        Measure::Other => "",
    });
    vec![
        own(measure).then(": ", maybe(criterion.text.as_ref())),
        own(&criterion.at_most.map_or_else(String::new, |most| length(most.value))),
        criterion.run.as_ref().map_or_else(Line::new, |run| code(&run.text)),
    ]
}

fn procedure(book: &Book<'_>, page: &mut Page, drill: &Drill) {
    if drill.procedure.is_empty() {
        return;
    }
    page.say(Line::new().strong("Besides the scenario's own steps"));
    // Its steps are numbered as those of a scenario with one phase.
    let steps = drill.procedure.clone();
    let phases = vec![Phase { steps, ..Phase::default() }];
    let scenario = Scenario { phases, ..Scenario::default() };
    let numbers = Numbers::of(&scenario);
    for (at, step) in drill.procedure.iter().enumerate() {
        let step = steps::step(book, &scenario, &numbers, &format!("1.{}", at + 1), step);
        page.blocks.push(Block::Step(step));
    }
}
