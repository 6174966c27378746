//! S0408: what a scenario puts in place for a while, and whether it takes it back.
//!
//! The rule it keeps: a scenario is read as one list of events in the order of its steps. A measure
//! is lifted by an event behind it that is its opposite; where a rebuild replaces what the measure
//! was put on, it is taken to be gone. What a person declared (`obliges`) is not guessed at again.

mod commands;
mod pairs;
mod prose;

use std::collections::BTreeSet;

use super::NOT_LIFTED;
use crate::check::{Finding, Model, Severity};
use crate::language::{At, Origin, Scenario, Step};
use crate::suggest::nearest;

/// Something that happens to a measure.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// What kind of measure, so that only its own opposite lifts it.
    kind: &'static str,
    /// What it was put on; `*` for all there is. Empty where the kind says it all.
    object: String,
    /// Put in place or taken back.
    change: Change,
    origin: Origin,
}

/// What happens.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// It is put in place.
    Put {
        /// What it is, for the title: `` `deployment/api` is scaled to 0 ``.
        what: String,
        /// What lifts it.
        hint: String,
        /// How it is known.
        source: Source,
    },
    /// It is taken back.
    Lift,
}

/// How a measure is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The plan declares it.
    Declared,
    /// A command does it.
    Command,
    /// A sentence says it.
    Words,
}

impl Event {
    fn lift(kind: &'static str, object: impl Into<String>, origin: Origin) -> Self {
        Self { kind, object: object.into(), change: Change::Lift, origin }
    }

    /// Whether this lifts `put`.
    fn lifts(&self, put: &Self) -> bool {
        matches!(self.change, Change::Lift)
            && self.kind == put.kind
            && (self.object == put.object || self.object == "*")
    }
}

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, scenario) in model.plan.scenarios.iter() {
        let shown = scenario.title.as_ref().unwrap_or(name);
        let events: Vec<Event> = steps(scenario).flat_map(|step| events(model, step)).collect();
        // The last place at which each kind and object is lifted decides for all before it.
        for (at, event) in events.iter().enumerate() {
            let Change::Put { what, hint, source } = &event.change else { continue };
            let behind = events.get(at + 1..).unwrap_or(&[]);
            if is_lifted(event, behind) {
                continue;
            }
            findings.push(
                Finding::new(
                    &NOT_LIFTED,
                    event.origin,
                    format!("in `{}`, {what}, and nothing lifts it", shown.value),
                )
                .severity(if *source == Source::Words {
                    Severity::Warning
                } else {
                    Severity::Error
                })
                .here("put in place here")
                .hint(hint)
                .proof(proof(*source, &shown.value, behind)),
            );
        }
        unknown(shown, scenario, findings);
    }
}

/// Looking through all that follows is quadratic; more events than this are no runbook.
const EVENTS_MAX: usize = 2_000;

fn is_lifted(put: &Event, behind: &[Event]) -> bool {
    behind.iter().take(EVENTS_MAX).any(|event| event.lifts(put)) || behind.len() > EVENTS_MAX
}

fn proof(source: Source, scenario: &str, behind: &[Event]) -> String {
    let lifts = behind.iter().filter(|event| matches!(event.change, Change::Lift)).count();
    let how = match source {
        Source::Declared => "the step says so",
        Source::Command => "the command does it",
        Source::Words => "the step says so in words",
    };
    match lifts {
        0 => format!("{how}; no step of `{scenario}` behind it takes anything back"),
        _ => format!("{how}; of what steps behind it take back, nothing is this"),
    }
}

fn steps(scenario: &Scenario) -> impl Iterator<Item = &Step> {
    scenario.phases.iter().flat_map(|phase| &phase.steps)
}

fn events(model: &Model<'_>, step: &Step) -> Vec<Event> {
    let mut events = declared(step);
    let shell = step.run.as_ref().map(|run| model.shell(run));
    let mut recognised = commands::events(step, shell.as_deref());
    if recognised.is_empty() && !commands::has_any(step, shell.as_deref()) {
        recognised = prose::events(step);
    }
    // What the step declares is all that it puts; what its commands take back counts in any case.
    let is_declared = !step.obliges.is_empty() || !step.quiesce.is_empty();
    events.extend(
        recognised.into_iter().filter(|event| !is_declared || matches!(event.change, Change::Lift)),
    );
    events
}

/// What the step itself declares.
fn declared(step: &Step) -> Vec<Event> {
    let mut events = Vec::new();
    let lifted = step.lifts.iter().map(|name| ("declared", name));
    let resumed = step.resume.iter().chain(&step.starts).map(|name| ("stopped", name));
    for (kind, name) in lifted.chain(resumed) {
        events.push(Event::lift(kind, name.value.clone(), name.origin));
    }
    if let Some(first) = step.resume.first() {
        // Whoever writes `writers of orders` in one place and their names in another means the same.
        events.push(Event::lift("writers", "*", first.origin));
    }
    for name in &step.obliges {
        events.push(Event {
            kind: "declared",
            object: name.value.clone(),
            origin: name.origin,
            change: Change::Put {
                what: format!("`{}` is put in place", name.value),
                hint: format!(
                    "add a step that takes it back, with `lifts: [{}]` and a probe that shows it",
                    name.value
                ),
                source: Source::Declared,
            },
        });
    }
    for name in step.quiesce.iter().chain(&step.stops) {
        let kind = if name.value.starts_with("writers of ") { "writers" } else { "stopped" };
        events.push(Event {
            kind,
            object: name.value.clone(),
            origin: name.origin,
            change: Change::Put {
                what: match kind {
                    "writers" => format!("the {} stand still", name.value),
                    _ => format!("`{}` stands still", name.value),
                },
                hint: format!("add a step with `resume: [{}]` behind the last restore", name.value),
                source: Source::Declared,
            },
        });
    }
    events
}

/// Names that are lifted and that nothing put in place: a slip of the finger.
fn unknown(shown: &At<String>, scenario: &Scenario, findings: &mut Vec<Finding>) {
    let put: BTreeSet<&str> =
        steps(scenario).flat_map(|step| &step.obliges).map(|name| name.value.as_str()).collect();
    for name in steps(scenario).flat_map(|step| &step.lifts) {
        if put.contains(name.value.as_str()) {
            continue;
        }
        let hint = match nearest(&name.value, put.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("name it where it is put in place: `obliges: [{}]`", name.value),
        };
        let title =
            format!("`{}` lifts `{}`, which no step puts in place", shown.value, name.value);
        findings.push(
            Finding::new(&NOT_LIFTED, name.origin, title)
                .severity(Severity::Warning)
                .here("what is this?")
                .why("either the measure has another name, and stays, or the step does nothing")
                .hint(hint)
                .proof("no step of the scenario has this name behind `obliges`"),
        );
    }
}
