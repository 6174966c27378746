//! S0105: the same target stated twice, a tier that none of its services follows, repairs that take
//! longer than promised.

use std::collections::BTreeMap;
use std::time::Duration;

use super::TWO_TARGETS;
use crate::check::{Finding, Model, Severity, Subject, Target};
use crate::graph::{Objective, ServiceId};
use crate::language::{At, Tier};
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    statements(model, findings);
    let graph = &model.objectives.graph;
    let mut members: BTreeMap<usize, Vec<ServiceId>> = BTreeMap::new();
    for id in graph.ids() {
        let tier = graph.service(id).1.tier.as_ref();
        if let Some(at) = tier.and_then(|tier| model.plan.tiers.position(&tier.value)) {
            members.entry(at).or_default().push(id);
        }
    }
    for (at, (_, title, tier)) in model.plan.tiers.titled().enumerate() {
        let ids = members.get(&at).map_or(&[][..], Vec::as_slice);
        for target in [Target::Rto, Target::Rpo] {
            findings.extend(unlike_its_services(model, (title, tier), target, ids));
        }
        findings.extend(repair(model, (title, tier), ids));
    }
}

fn word(target: Target) -> &'static str {
    match target {
        Target::Rto => "recovery time",
        Target::Rpo => "recovery point",
        Target::Mttr => "time to repair",
    }
}

/// Targets by what they are stated of, each place once.
fn statements(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let mut stated: BTreeMap<(&Subject, Target), Vec<At<Duration>>> = BTreeMap::new();
    for statement in &model.facts.statements {
        if !matches!(statement.subject, Subject::Drill(_)) {
            stated.entry((&statement.subject, statement.target)).or_default().push(statement.value);
        }
    }
    for ((subject, target), mut places) in stated {
        places.extend(in_plan(model, subject, target));
        places.sort_by_key(|at| at.origin);
        places.dedup_by_key(|at| at.origin);
        let mut values: Vec<Duration> = places.iter().map(|at| at.value).collect();
        values.sort_unstable();
        values.dedup();
        let Some(first) = places.first().filter(|_| values.len() > 1) else { continue };
        let words: Vec<String> = values.iter().map(|value| format_duration(*value)).collect();
        let title =
            format!("the {} of {} is {}", word(target), name(model, subject), words.join(" and "));
        let mut finding = Finding::new(&TWO_TARGETS, first.origin, title)
            .here(format!("here {}", format_duration(first.value)))
            .hint("decide which of them holds, state it in one place, and refer to it elsewhere");
        for place in places.iter().skip(1) {
            let text = format!("here {}", format_duration(place.value));
            finding = finding.label(place.origin, text);
        }
        findings.push(finding);
    }
}

fn in_plan(model: &Model<'_>, subject: &Subject, target: Target) -> Option<At<Duration>> {
    let plan = model.plan;
    match (subject, target) {
        (Subject::Tier(name), Target::Rto) => plan.tiers.get(name)?.rto,
        (Subject::Tier(name), Target::Rpo) => plan.tiers.get(name)?.rpo,
        (Subject::Tier(name), Target::Mttr) => plan.tiers.get(name)?.mttr,
        (Subject::Service(name), Target::Rto) => plan.services.get(name)?.rto,
        (Subject::Service(name), Target::Rpo) => plan.services.get(name)?.rpo,
        (Subject::Store(name), Target::Rpo) => plan.stores.get(name)?.rpo,
        (Subject::Scenario(name), Target::Rto) => plan.scenarios.get(name)?.rto,
        (Subject::Scenario(name), Target::Rpo) => plan.scenarios.get(name)?.rpo,
        _ => None,
    }
}

fn name(model: &Model<'_>, subject: &Subject) -> String {
    let plan = model.plan;
    match subject {
        Subject::Whole => "the whole system".to_owned(),
        Subject::Tier(name) => plan.tiers.title(name).to_owned(),
        Subject::Service(name) => plan.services.title(name).to_owned(),
        Subject::Store(name) => plan.stores.title(name).to_owned(),
        Subject::Scenario(name) => plan.scenarios.title(name).to_owned(),
        Subject::Drill(name) => plan.drills.title(name).to_owned(),
    }
}

/// A service that promises less than its tier, or a tier whose figure is nobody's.
fn unlike_its_services(
    model: &Model<'_>,
    (title, tier): (&str, &Tier),
    target: Target,
    members: &[ServiceId],
) -> Option<Finding> {
    let of_tier = if target == Target::Rto { tier.rto } else { tier.rpo }?;
    let graph = &model.objectives.graph;
    let own: Vec<(ServiceId, Objective)> = members
        .iter()
        .filter_map(|id| {
            let objective = if target == Target::Rto { graph.rto(*id) } else { graph.rpo(*id) };
            Some((*id, objective?))
        })
        .collect();
    let looser: Vec<_> = own.iter().filter(|(_, own)| own.value > of_tier.value).collect();
    let words = format_duration(of_tier.value);
    let (name, severity, told) = if let Some((id, worst)) = looser.first() {
        let name = format!(
            "{} is in {title}, whose {} is {words}, and promises {}",
            graph.title(*id),
            word(target),
            format_duration(worst.value)
        );
        (name, Severity::Error, looser)
    } else if is_stated(model)
        && own.len() > 1
        && own.iter().all(|(_, own)| !own.of_tier && own.value != of_tier.value)
    {
        let name = format!(
            "the {} of {title} is {words}, and none of its {} services says so",
            word(target),
            own.len()
        );
        (name, Severity::Warning, own.iter().collect())
    } else {
        return None;
    };
    let mut finding = Finding::new(&TWO_TARGETS, of_tier.origin, name)
        .severity(severity)
        .here(format!("{title}: {words}"));
    for (id, own) in told {
        let text = format!("{}: {}", graph.title(*id), format_duration(own.value));
        finding = finding.label(own.origin, text);
    }
    Some(finding.hint(
        "let services leave out what their tier says, or give the tier the figure that its services \
         keep",
    ))
}

/// In the language a tier's figure is a limit that services may undercut; in a document it is one of
/// two tables that people read.
fn is_stated(model: &Model<'_>) -> bool {
    model.facts.statements.iter().any(|stated| matches!(stated.subject, Subject::Tier(_)))
}

/// A repair that on the average takes longer than what is promised at the worst.
fn repair(
    model: &Model<'_>,
    (title, tier): (&str, &Tier),
    members: &[ServiceId],
) -> Option<Finding> {
    let mttr = tier.mttr?;
    let graph = &model.objectives.graph;
    let promises = members.iter().filter_map(|id| Some((*id, graph.rto(*id)?)));
    let shorter: Vec<_> = promises.filter(|(_, rto)| rto.value < mttr.value).collect();
    let (first, _) = shorter.first()?;
    let words = format_duration(mttr.value);
    let names: Vec<&str> = shorter.iter().map(|(id, _)| graph.title(*id)).collect();
    let name = format!(
        "the mean time to repair in {title} is {words}, longer than {} may take",
        if names.len() > 1 { names.join(", ") } else { graph.title(*first).to_owned() }
    );
    let mut finding = Finding::new(&TWO_TARGETS, mttr.origin, name)
        .severity(Severity::Warning)
        .here(format!("on the average {words}"))
        .why(
            "if the average repair takes longer than the promise, most incidents break it, and the \
             target of the team says that this is fine",
        );
    for (id, rto) in shorter {
        let text = format!("{}: at most {}", graph.title(id), format_duration(rto.value));
        finding = finding.label(rto.origin, text);
    }
    Some(finding.hint("aim for a mean well below the shortest objective of the tier"))
}
