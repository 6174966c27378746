//! S0104 and S0113: when each service is back in a scenario, and how long its data takes alone.
//!
//! Accused is what a step decides. What is late only because it needs that is named beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{READY_TOO_LATE, RESTORE_TOO_SLOW};
use crate::check::{Finding, Model, Severity};
use crate::graph::{Objective, ServiceId};
use crate::language::Scenario;
use crate::objectives::{How, Part, Timeline, restore, restore_of};
use crate::units::format_duration;

/// So many of those that wait are told by name.
const NAMES_MAX: usize = 5;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    slow_restores(model, findings);
    for (name, title, scenario) in model.plan.scenarios.titled() {
        let timeline = model.objectives.timeline(scenario);
        slow_phases(model, scenario, &timeline, findings);
        if scenario.relaxes.is_none() && !timeline.milestones.is_empty() {
            let origin = scenario.title.as_ref().map_or(name.origin, |title| title.origin);
            late(model, (title, origin), &timeline, findings);
        }
    }
}

fn slow_restores(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let (graph, assumptions) = (&model.objectives.graph, &model.objectives.assumptions);
    for id in graph.ids() {
        let Some(rto) = graph.rto(id) else { continue };
        let Some(part) = restore_of(graph, id, assumptions) else { continue };
        if part.length <= rto.value {
            continue;
        }
        let words = format_duration(rto.value);
        let title = format!(
            "{} promises to be back in {words}, and {} takes {}",
            graph.title(id),
            part.what,
            format_duration(part.length)
        );
        findings.push(too_slow(title, &part, (rto.origin, format!("promised: {words}"))));
    }
}

fn too_slow(title: String, part: &Part, place: (crate::language::Origin, String)) -> Finding {
    let severity = if part.is_assumed() { Severity::Warning } else { Severity::Error };
    let finding = Finding::new(&RESTORE_TOO_SLOW, place.0, title).severity(severity).here(place.1);
    let finding = match part.origin {
        Some(origin) => finding.label(origin, "so much must come back"),
        None => finding,
    };
    finding.proof(part.in_words()).hint(if part.is_assumed() {
        "measure how fast it comes back and write it as `restore_rate` of the store; if that is too \
         slow, promise more time, restore less at first, or restore in parallel"
    } else {
        "promise more time, restore what matters first, or find a faster way, such as a replica \
         that takes over or a backup that is mounted"
    })
}

/// Steps that restore more than their budget has time for.
fn slow_phases(
    model: &Model<'_>,
    scenario: &Scenario,
    timeline: &Timeline<'_>,
    findings: &mut Vec<Finding>,
) {
    for milestone in &timeline.milestones {
        let phase = &scenario.phases[milestone.phase];
        let Some(budget) = phase.steps[milestone.step].budget.or(phase.budget) else { continue };
        for at in &milestone.restores {
            let Some((name, store)) = model.plan.stores.at(*at) else { continue };
            let title = model.plan.stores.title(&name.value);
            let Some(part) = restore(store, title, &model.objectives.assumptions) else { continue };
            if part.length > budget.value {
                let words = format_duration(budget.value);
                let length = format_duration(part.length);
                let title = format!("{} takes {length}, and its budget is {words}", part.what);
                findings.push(too_slow(title, &part, (budget.origin, format!("budget: {words}"))));
            }
        }
    }
}

/// A service that is late, and who waits for it.
struct Late {
    rto: Objective,
    total: Duration,
    known: Duration,
    waiting: Vec<ServiceId>,
}

fn late(
    model: &Model<'_>,
    (scenario, origin): (&str, crate::language::Origin),
    timeline: &Timeline<'_>,
    findings: &mut Vec<Finding>,
) {
    let graph = &model.objectives.graph;
    let mut found: BTreeMap<ServiceId, Late> = BTreeMap::new();
    let mut by_others: Vec<(ServiceId, ServiceId)> = Vec::new();
    for id in graph.ids() {
        let (Some(rto), Some(back)) = (graph.rto(id), timeline.back(id)) else { continue };
        if back.total <= rto.value {
            continue;
        }
        let Some(root) = root(timeline, id) else { continue };
        if root != id {
            by_others.push((root, id));
        }
        let late = Late { rto, total: back.total, known: back.known, waiting: Vec::new() };
        found.insert(id, late);
    }
    for (root, id) in by_others {
        if let Some(late) = found.get_mut(&root) {
            late.waiting.push(id);
            found.remove(&id);
        }
    }
    for (id, late) in found {
        findings.push(finding(model, (scenario, origin), timeline, (id, late)));
    }
}

/// The service whose step decides; none if no step does.
fn root(timeline: &Timeline<'_>, id: ServiceId) -> Option<ServiceId> {
    let mut at = id;
    loop {
        match timeline.back(at)?.how {
            How::Needs(need) => at = need,
            How::Step { .. } => return Some(at),
            How::Phases | How::Nothing => return None,
        }
    }
}

fn finding(
    model: &Model<'_>,
    (scenario, origin): (&str, crate::language::Origin),
    timeline: &Timeline<'_>,
    (id, late): (ServiceId, Late),
) -> Finding {
    let graph = &model.objectives.graph;
    let figure = timeline.figure(id).unwrap_or_default();
    let least = if figure.at_least { "at least " } else { "" };
    let (title, rto) = (graph.title(id), format_duration(late.rto.value));
    let total = format_duration(late.total);
    let waiting: Vec<&str> = late.waiting.iter().map(|id| graph.title(*id)).collect();
    let others = match waiting.len() {
        0 => String::new(),
        count if count <= NAMES_MAX => format!("; {} later still", waiting.join(", ")),
        count => format!(
            "; {} and {} others later still",
            waiting[..NAMES_MAX].join(", "),
            count - NAMES_MAX
        ),
    };
    let name = format!("{scenario}: {title} is back after {least}{total}, and promises {rto}");
    let severity = if late.known > late.rto.value { Severity::Error } else { Severity::Warning };
    let mut finding = Finding::new(&READY_TOO_LATE, origin, name).severity(severity);
    for part in &figure.parts {
        if let Some(place) = part.origin.filter(|place| *place != origin) {
            finding = finding.label(place, part.in_words());
        }
    }
    finding
        .label(late.rto.origin, format!("{title}: {rto}"))
        .proof(format!("{}{others}", figure.in_words()))
        .hint(format!(
            "bring {title} back in an earlier phase or a shorter one, promise {total} or more, or \
             say in `relaxes` why this scenario may take longer"
        ))
}
