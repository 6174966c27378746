//! One step: what to do, in commands that can be copied, and how to see that it is done.

use std::collections::BTreeMap;

use super::super::inline::{Line, code, listed, own, words};
use super::super::page::{Block, Step as Shown};
use super::super::words::{length, shown};
use super::actions;
use super::{Book, is, maybe, maybe_code};
use crate::language::{At, Http, Probe, Scenario, Script, Sql, Step, Way};

/// The numbers of a scenario's steps, by their names.
pub(super) struct Numbers(BTreeMap<String, String>);

impl Numbers {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let mut numbers = BTreeMap::new();
        for (phase, described) in scenario.phases.iter().enumerate() {
            for (step, described) in described.steps.iter().enumerate() {
                number(described, format!("{}.{}", phase + 1, step + 1), &mut numbers);
            }
        }
        Self(numbers)
    }

    /// The number, or the name if there is no such step.
    pub(super) fn shown(&self, id: &str) -> String {
        self.0.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }
}

fn number(step: &Step, shown: String, numbers: &mut BTreeMap<String, String>) {
    for (other, at, _) in others(step, &shown) {
        number(other, at, numbers);
    }
    if let Some(id) = &step.id {
        numbers.entry(id.value.clone()).or_insert(shown);
    }
}

/// What is done only if somebody says so, with its number and why somebody would: `2.3/1` is the first
/// of what is done instead of 2.3, `2.3 back 1` the first of what takes it back.
fn others<'s>(step: &'s Step, number: &str) -> Vec<(&'s Step, String, Line)> {
    let ways = [(&step.instead, "/", "instead of"), (&step.undo, " back ", "to take back")];
    let mut all = Vec::new();
    for (way, sign, why) in ways {
        let Some(way) = way else { continue };
        let only = own(&format!("only if somebody decides to, {why} {number}"));
        let only = only.then(": ", maybe(way.title.as_ref()));
        let steps = way.steps.iter().zip(1..);
        all.extend(
            steps.map(|(step, count)| (step, format!("{number}{sign}{count}"), only.clone())),
        );
    }
    all
}

/// A step, and behind it what may be done instead, and what takes it back.
pub(super) fn with_ways(
    book: &Book<'_>,
    scenario: &Scenario,
    numbers: &Numbers,
    (number, described): (String, &Step),
) -> Vec<Shown> {
    let mut all = vec![step(book, scenario, numbers, &number, described)];
    for (other, at, only) in others(described, &number) {
        let mut shown = with_ways(book, scenario, numbers, (at, other));
        if let Some(first) = shown.first_mut() {
            first.remarks.insert(0, only);
        }
        all.append(&mut shown);
    }
    all
}

/// One step, without what may be done instead.
pub(super) fn step(
    book: &Book<'_>,
    scenario: &Scenario,
    numbers: &Numbers,
    number: &str,
    step: &Step,
) -> Shown {
    let title = match maybe(step.title.as_ref()) {
        title if title.is_empty() => actions::name(step),
        title => title,
    };
    Shown {
        number: number.to_owned(),
        title,
        is_approval: step.approve.is_some(),
        is_destructive: is(step.destructive),
        remarks: remarks(book, numbers, step),
        body: actions::body(book, step),
        done_when: step.verify.iter().map(|asked| probe(book, asked)).collect(),
        notes: notes(book, scenario, numbers, (number, step)),
    }
}

fn remarks(book: &Book<'_>, numbers: &Numbers, step: &Step) -> Vec<Line> {
    let mut remarks = Vec::new();
    let mut add = |what: &str, line: Line| {
        if !line.is_empty() {
            remarks.push(own(what).then("", line));
        }
    };
    add("by ", step.owner.as_ref().map_or_else(Line::new, |owner| book.who(&owner.value)));
    add("on ", maybe_code(step.on.as_ref()));
    add("after ", listed(step.after.iter().map(|id| own(&numbers.shown(&id.value)))));
    if is(step.parallel) && step.after.is_empty() {
        add("", own("at once with the others"));
    }
    add("within ", own(&step.budget.map_or_else(String::new, |budget| length(budget.value))));
    add(
        "given up after ",
        own(&step.timeout.map_or_else(String::new, |limit| length(limit.value))),
    );
    if let Some(retries) = step.retries {
        add("", own(&format!("try again up to {} times", retries.value)));
    }
    remarks
}

fn notes(
    book: &Book<'_>,
    scenario: &Scenario,
    numbers: &Numbers,
    (number, step): (&str, &Step),
) -> Vec<(&'static str, Line)> {
    let steps = || scenario.phases.iter().flat_map(|phase| &phase.steps);
    let with_number = |names: &[At<String>], by: fn(&Step) -> &[At<String>], word: &str| {
        listed(names.iter().map(|name| {
            let other = steps().find(|step| by(step).iter().any(|other| other.value == name.value));
            let number = other.and_then(|step| step.id.as_ref());
            let number = number.map_or_else(Line::new, |id| {
                own(&format!(" ({word} {})", numbers.shown(&id.value)))
            });
            words(&name.value.replace(['-', '_'], " ")).then("", number)
        }))
    };
    let back = book.whats(&step.restores);
    let notes = vec![
        ("Only if", step.only_if.as_ref().map_or_else(Line::new, |asked| in_a_line(book, asked))),
        (
            "Skip it if",
            step.already_done.as_ref().map_or_else(Line::new, |asked| in_a_line(book, asked)),
        ),
        ("Needs", book.whats(&step.uses)),
        ("Keep as evidence", listed(step.capture.iter().map(|name| code(&name.value)))),
        ("Data back after it", back),
        ("Runs after it", book.whats(&step.starts)),
        ("Stands still after it", book.whats(&step.stops)),
        ("Leaves open", with_number(&step.obliges, |step| &step.lifts, "until step")),
        ("Lifts", with_number(&step.lifts, |step| &step.obliges, "of step")),
        ("Gives", listed(step.writes.iter().map(|name| code(&name.value)))),
        ("If it fails", maybe(step.if_it_fails.as_ref())),
        ("Another way, if somebody decides so", way(number, step, step.instead.as_ref())),
        ("Taken back, if somebody decides so, by", way(number, step, step.undo.as_ref())),
    ];
    notes.into_iter().filter(|(_, line)| !line.is_empty()).collect()
}

fn way(number: &str, step: &Step, way: Option<&Way>) -> Line {
    let Some(way) = way else { return Line::new() };
    let is_of_way = |other: &Step| way.steps.iter().any(|one| std::ptr::eq(one, other));
    let steps = others(step, number).into_iter().filter(|(other, _, _)| is_of_way(other));
    maybe(way.title.as_ref()).then(": ", listed(steps.map(|(_, at, _)| own(&at))))
}

/// A question and the answer that means yes.
pub(super) fn probe(book: &Book<'_>, probe: &Probe) -> Vec<Block> {
    let mut blocks = Vec::new();
    match probe.run.as_ref().filter(|run| run.text.trim_end().contains('\n')) {
        Some(run) => {
            let answer = expected(&own("this says yes"), probe);
            blocks.push(Block::Paragraph(maybe(probe.title.as_ref()).then(": ", answer)));
            blocks.push(script("bash", run));
        }
        None => blocks.push(Block::Paragraph(in_a_line(book, probe))),
    }
    blocks
}

/// The same in one line.
fn in_a_line(book: &Book<'_>, probe: &Probe) -> Line {
    let asked = if let Some(run) = &probe.run {
        code(&run.text)
    } else if let Some(http) = &probe.http {
        request(http)
    } else if let Some(sql) = &probe.sql {
        query(book, sql)
    } else {
        maybe(probe.manual.as_ref())
    };
    maybe(probe.title.as_ref()).then(": ", expected(&asked, probe))
}

fn expected(asked: &Line, probe: &Probe) -> Line {
    let answer = probe.expect.as_ref().or_else(|| probe.sql.as_ref()?.expect.as_ref());
    let expect =
        answer.map_or_else(Line::new, |answer| own("gives ").then("", code(&answer.value)));
    let stable = probe.stable_for.map_or_else(Line::new, |stable| {
        own(&format!("for {} without a break", length(stable.value)))
    });
    let within = probe
        .within
        .map_or_else(Line::new, |within| own(&format!("within {}", length(within.value))));
    asked.clone().then(" ", expect).then(", ", within).then(", ", stable)
}

/// A request as a line.
pub(super) fn request(http: &Http) -> Line {
    let method = http.method.as_ref().map_or("GET", |method| method.value.as_str());
    let url = http.url.as_ref().map_or("", |url| url.value.as_str());
    let status = http.status.map_or_else(|| "2xx".to_owned(), |status| status.value.to_string());
    code(&format!("{method} {url}")).then("", own(&format!(" answers {status}")))
}

/// A query as a line.
pub(super) fn query(book: &Book<'_>, sql: &Sql) -> Line {
    let query = sql.query.as_ref().map_or_else(Line::new, |query| code(&query.text));
    let store = sql.store.as_ref().map_or_else(Line::new, |name| book.what(&name.value));
    let database = maybe_code(sql.database.as_ref());
    let place = store.then(", ", database);
    if place.is_empty() { query } else { query.then(" ", own("in ").then("", place)) }
}

/// A script as it stands.
pub(super) fn script(language: &'static str, script: &Script) -> Block {
    Block::Code { language, text: shown(script.text.trim_end()) }
}
