//! S0403: the channels that a scenario uses, and what is left of them in it.

use std::collections::{BTreeMap, BTreeSet};

use super::LOST_CHANNEL;
use super::directory::{Directory, Who};
use super::survival::{Cause, Losses};
use crate::check::{Finding, Model};
use crate::language::{At, Origin, Plan, Scenario};

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    if model.plan.channels.is_empty() {
        return;
    }
    let directory = Directory::new(model.plan);
    for (name, scenario) in model.plan.scenarios.iter() {
        let losses = Losses::new(model, scenario);
        if losses.is_empty() {
            continue;
        }
        let shown = scenario.title.as_ref().unwrap_or(name);
        let mut told = BTreeSet::new();
        for ways in ways(model.plan, scenario) {
            if let Some((cause, channel)) = all_down(&ways.by, &losses, &directory)
                && told.insert(channel.value.clone())
            {
                findings.push(lost(&cause, channel, &ways, (shown, &directory)));
            }
        }
    }
}

/// Channels of which one must work, and what for.
struct Ways<'p> {
    by: Vec<&'p At<String>>,
    what_for: &'static str,
}

/// Everything in a scenario that goes through channels.
fn ways<'p>(plan: &'p Plan, scenario: &'p Scenario) -> Vec<Ways<'p>> {
    let mut ways = Vec::new();
    let mut add = |by: Vec<&'p At<String>>, what_for| {
        if !by.is_empty() {
            ways.push(Ways { by, what_for });
        }
    };
    add(scenario.detection.iter().filter_map(|it| it.by.as_ref()).collect(), "notice it");
    let severity = scenario.severity.as_ref().and_then(|it| plan.severities.get(&it.value));
    for level in severity.into_iter().flat_map(|severity| &severity.escalation) {
        add(level.by.iter().collect(), "call people");
    }
    let steps = scenario.phases.iter().flat_map(|phase| &phase.steps);
    for notify in steps.filter_map(|step| step.notify.as_ref()) {
        add(notify.by.iter().collect(), "tell people");
    }
    let page = plan.status_page.as_ref().and_then(|page| page.channel.as_ref());
    add(page.into_iter().collect(), "tell customers");
    ways
}

/// The first of the channels and why it is down, if all are.
fn all_down<'p>(
    by: &[&'p At<String>],
    losses: &Losses<'_, 'p>,
    directory: &Directory<'p>,
) -> Option<(Cause<'p>, &'p At<String>)> {
    let mut first = None;
    for name in by {
        let Some(Who::Channel(channel)) = directory.find(&name.value).map(|entry| entry.who) else {
            return None;
        };
        let cause = losses.with_fallback(channel, directory)?;
        first.get_or_insert((cause, *name));
    }
    first
}

fn lost(
    cause: &Cause<'_>,
    channel: &At<String>,
    ways: &Ways<'_>,
    (scenario, directory): (&At<String>, &Directory<'_>),
) -> Finding {
    let shown = directory.shown(&channel.value);
    let title =
        format!("`{}` takes away `{shown}`, which is to {} in it", scenario.value, ways.what_for);
    let others = match ways.by.len() {
        1 => String::new(),
        2 => "; the other channel named here is down too".to_owned(),
        more => format!("; the {} other channels named here are down too", more - 1),
    };
    Finding::new(&LOST_CHANNEL, channel.origin, title)
        .here(format!("used here to {}", ways.what_for))
        .label(cause.at.origin, "what it fails with")
        .hint(format!(
            "use a channel that shares nothing with what is lost, or name one as its `fallback`: a \
             telephone list on paper is one{}",
            if ways.what_for == "tell customers" {
                ", a status page at another provider"
            } else {
                ""
            }
        ))
        .proof(format!("`{shown}`: {}, and this is lost{others}", cause.because))
}

/// Who is told by name in a scenario.
pub(super) fn told<'p>(plan: &'p Plan, scenario: &'p Scenario) -> Vec<&'p At<String>> {
    let severity = scenario.severity.as_ref().and_then(|it| plan.severities.get(&it.value));
    let mut told: BTreeMap<Origin, &At<String>> = BTreeMap::new();
    if let Some(severity) = severity {
        let levels =
            severity.escalation.iter().flat_map(|level| level.notify.iter().chain(&level.deputy));
        told.extend(levels.chain(&severity.approvers).map(|name| (name.origin, name)));
    }
    let steps = scenario.every_step();
    for step in steps {
        let notify = step.notify.iter().flat_map(|notify| &notify.to);
        let approve = step.approve.iter().flat_map(|approve| &approve.by);
        told.extend(notify.chain(approve).map(|name| (name.origin, name)));
    }
    told.into_values().collect()
}
