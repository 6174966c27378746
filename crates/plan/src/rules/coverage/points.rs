//! S0202: the recovery point that is promised against the one that the copies can reach.

use std::time::Duration;

use super::POINT_MISSED;
use super::described::counted;
use crate::check::{Finding, Model, Severity};
use crate::language::{At, Method, Origin, Store};
use crate::objectives::{Kept, Loses, Part, Threat};
use crate::units::format_duration;

/// A promise about data, and who makes it.
struct Promise<'p> {
    value: Duration,
    origin: Origin,
    who: &'p str,
}

const PLACE_LOST: Threat<'static> =
    Threat { loss: None, corrupt: false, place_lost: true, hostile: false };

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (at, (_, title, store)) in model.plan.stores.titled().enumerate() {
        if !store.rebuilt_from.is_empty() {
            continue;
        }
        let promise = model.objectives.rpo(at).map(|(rpo, who)| Promise {
            value: rpo.value,
            origin: rpo.origin,
            who,
        });
        if let Some(promise) = &promise {
            findings.extend(missed(model, (title, store), promise, &PLACE_LOST));
        }
        // A store that has an objective of its own is held to that: it may lose more than others.
        for (scenario, rpo) in in_scenarios(model, at) {
            if promise.is_none() {
                let promise = Promise { value: rpo.value, origin: rpo.origin, who: scenario };
                findings.extend(missed(model, (title, store), &promise, &PLACE_LOST));
            }
        }
        findings.extend(follows_the_damage(model, (title, store), at, promise.as_ref()));
    }
    groups(model, findings);
}

/// The scenarios that promise a recovery point and bring this store back.
fn in_scenarios<'p>(model: &Model<'p>, at: usize) -> Vec<(&'p str, At<Duration>)> {
    let scenarios = model.plan.scenarios.titled();
    let promising = scenarios.filter_map(|(_, title, scenario)| {
        let rpo = scenario.rpo?;
        let (name, _) = model.plan.stores.at(at)?;
        let is_destroyed = scenario.destroys.iter().any(|store| store.value == name.value);
        let mut steps = scenario.phases.iter().flat_map(|phase| &phase.steps);
        let is_restored = steps.any(|step| {
            let by_restore = step.restore.as_ref().and_then(|restore| restore.store.as_ref());
            step.restores.iter().chain(by_restore).any(|store| store.value == name.value)
        });
        (is_destroyed || is_restored).then_some((title, rpo))
    });
    promising.collect()
}

fn missed<'p>(
    model: &Model<'p>,
    (title, store): (&str, &'p Store),
    promise: &Promise<'_>,
    threat: &Threat<'_>,
) -> Option<Finding> {
    let kept = model.objectives.copies(store);
    let described = model.objectives.loses_with(store, threat, &kept);
    if let Loses::UpTo(part, kept) = &described
        && part.length > promise.value
    {
        return Some(finding(title, promise, (part, kept), Severity::Error));
    }
    // What is described would do; what the jobs make may not.
    let counted = counted(model, &kept);
    let Loses::UpTo(part, kept) = model.objectives.loses_with(store, threat, &counted) else {
        return None;
    };
    let is_shown = kept.copy.is_some_and(|copy| copy.run.is_some());
    (part.length > promise.value)
        .then(|| finding(title, promise, (&part, &kept), severity_of(is_shown)))
}

/// A job that is shown proves it; otherwise it follows only from what is not shown.
fn severity_of(is_shown: bool) -> Severity {
    if is_shown { Severity::Error } else { Severity::Warning }
}

fn finding(
    title: &str,
    promise: &Promise<'_>,
    (part, kept): (&Part, &Kept<'_>),
    severity: Severity,
) -> Finding {
    let (may, does) = (format_duration(promise.value), format_duration(part.length));
    let who = if promise.who == title { String::new() } else { format!(" ({})", promise.who) };
    let words = format!("{title} may lose {may}{who}, and its copies lose up to {does}");
    let way = match kept.method {
        Some(Method::Dump | Method::Snapshot | Method::Copy) => {
            "ship its log as well, on a base that the log fits, or copy it as often as that"
        }
        _ => "copy it at least as often as that",
    };
    Finding::new(&POINT_MISSED, promise.origin, words)
        .severity(severity)
        .here(format!("at most {may}"))
        .label(part.origin.unwrap_or(kept.origin), format!("up to {}", part.in_words()))
        .proof(format!("{} is the best of its copies; {may} are promised", part.in_words()))
        .hint(format!("{way}; or promise {does} and say so to those whose data it is"))
}

/// Where data becomes wrong and not only lost, replicas have it wrong too.
fn follows_the_damage(
    model: &Model<'_>,
    (title, store): (&str, &Store),
    at: usize,
    promise: Option<&Promise<'_>>,
) -> Option<Finding> {
    let promise = promise?;
    let (name, _) = model.plan.stores.at(at)?;
    let kept = model.objectives.copies(store);
    let (scenario, origin, hostile) =
        model.plan.scenarios.titled().find_map(|(place, scenario_title, scenario)| {
            let destroyed = scenario.destroys.iter().find(|one| one.value == name.value);
            let hostile = scenario.hostile.filter(|hostile| hostile.value);
            let origin = destroyed.map(|one| one.origin).or(hostile.map(|at| at.origin))?;
            let origin = if origin == Origin::default() { place.origin } else { origin };
            Some((scenario_title, origin, hostile.is_some()))
        })?;
    let threat = Threat { loss: None, corrupt: true, place_lost: false, hostile };
    let only_followers =
        kept.iter().all(|kept| matches!(kept.method, Some(Method::Replica | Method::Versions)));
    let lost = model.objectives.loses_with(store, &threat, &kept);
    let has_replica = kept.iter().any(|kept| kept.method == Some(Method::Replica));
    let (does, severity) = match lost {
        Loses::Everything if only_followers && !kept.is_empty() => {
            ("everything".to_owned(), Severity::Error)
        }
        Loses::UpTo(part, _) if has_replica && part.length > promise.value => {
            (format!("up to {}", part.in_words()), Severity::Error)
        }
        _ => return None,
    };
    let may = format_duration(promise.value);
    let words = format!("{scenario}: {title} loses {does}, because its replica follows the damage");
    Some(
        Finding::new(&POINT_MISSED, origin, words)
            .severity(severity)
            .label(promise.origin, format!("at most {may}"))
            .label(kept.first().map_or(origin, |kept| kept.origin), "follows at once")
            .hint(
                "keep copies that stay as they were, such as a log with a base, as often as the \
                 objective asks, where the damage cannot follow",
            ),
    )
}

/// The worst member decides for its group.
fn groups(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, group) in model.plan.groups.iter() {
        let Some(rpo) = group.rpo else { continue };
        for member in &group.stores {
            let Some(store) = model.plan.stores.get(&member.value) else { continue };
            let Loses::UpTo(part, kept) = model.objectives.loses(store, &PLACE_LOST) else {
                continue;
            };
            if part.length > rpo.value {
                let title = model.plan.stores.title(&member.value);
                let promise = Promise { value: rpo.value, origin: rpo.origin, who: &name.value };
                findings.push(finding(title, &promise, (&part, &kept), Severity::Error));
            }
        }
    }
}
