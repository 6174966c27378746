//! Human time: until somebody notices, answers, agrees that it is a disaster, and is allowed to act.

use super::{Assumptions, Basis, Part};
use crate::language::{Plan, Scenario, Severity};

/// What passes before the first step of a scenario, in order.
pub(crate) fn parts(plan: &Plan, scenario: &Scenario, assumptions: &Assumptions) -> Vec<Part> {
    let mut parts = vec![detection(scenario, assumptions)];
    if scenario.automatic.is_some_and(|automatic| automatic.value) {
        return parts;
    }
    let name = scenario.severity.as_ref().map_or("", |name| &name.value);
    let severity = plan.severities.get(name);
    parts.extend(match severity {
        Some(severity) => response(severity, plan.severities.title(name)),
        None => fastest_response(plan),
    });
    parts.push(Part::assumed("to declare a disaster", "declare", assumptions.declare));
    parts.extend(severity.filter(|_| !is_approved_in_steps(scenario)).and_then(approval));
    parts
}

/// The first way in which it is noticed for certain.
fn detection(scenario: &Scenario, assumptions: &Assumptions) -> Part {
    let within = scenario.detection.iter().filter_map(|detection| detection.within);
    match within.min_by_key(|within| within.value) {
        Some(within) => Part::declared("detection", within),
        None => Part::assumed("detection", "detect", assumptions.detect),
    }
}

fn response(severity: &Severity, title: &str) -> Option<Part> {
    let first = || severity.escalation.first().and_then(|level| level.acknowledge);
    let respond = severity.respond.or_else(first)?;
    Some(Part::declared(format!("response ({title})"), respond))
}

/// A scenario that names no severity is answered no faster than the most urgent one.
fn fastest_response(plan: &Plan) -> Option<Part> {
    let responses = plan.severities.titled().filter_map(|(_, title, severity)| {
        response(severity, &format!("{title}, the fastest there is"))
    });
    responses.min_by_key(|part| part.length)
}

fn is_approved_in_steps(scenario: &Scenario) -> bool {
    scenario.phases.iter().flat_map(|phase| &phase.steps).any(|step| step.approve.is_some())
}

/// Approvers that no step asks are asked before the first one. Where nobody says how soon they answer,
/// they are taken to be no faster than those who respond.
fn approval(severity: &Severity) -> Option<Part> {
    severity.approvers.first()?;
    if let Some(within) = severity.approve_within {
        return Some(Part::declared("approval", within));
    }
    let first = severity.escalation.first().and_then(|level| level.acknowledge);
    let taken = first.or(severity.respond)?;
    let part = Part::new("approval", taken.value, Basis::Assumed(APPROVE_WITHIN));
    Some(Part { origin: Some(taken.origin), ..part })
}

/// What is no number of `assumptions`: each severity says it for itself.
pub(crate) const APPROVE_WITHIN: &str = "approve_within";
