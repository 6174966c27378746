//! S0202: the recovery point that is promised against the one that the copies can reach.

use std::time::Duration;

use super::POINT_MISSED;
use super::described::counted;
use crate::check::{Finding, Model, Severity};
use crate::language::{At, Method, Origin, Store};
use crate::objectives::{Kept, Loses, Part, Threat};
use crate::rules::words::mentions;
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
        if let Some(promise) = &promise {
            findings.extend(copied_before_it_is_made(model, (title, store), promise));
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

/// A daily copy of the dumps that runs before the dump of the day is made: it takes yesterday's.
fn copied_before_it_is_made(
    model: &Model<'_>,
    (title, store): (&str, &Store),
    promise: &Promise<'_>,
) -> Option<Finding> {
    const DAY_MINUTES: u32 = 24 * 60;
    let kept = model.objectives.copies(store);
    let daily = |kept: &Kept<'_>| {
        let interval = model.objectives.interval(kept)?;
        let is_daily = interval.length == Duration::from_secs(u64::from(DAY_MINUTES) * 60);
        let origin = interval.origin.filter(|_| is_daily)?;
        Some((clock(model.text(origin))?, origin))
    };
    let says = |kept: &Kept<'_>, wanted: &[&str]| {
        let by = kept.copy.and_then(|copy| copy.by.as_ref());
        by.is_some_and(|by| mentions(&by.value, wanted))
    };
    let is_second = |kept: &Kept<'_>| {
        says(
            kept,
            &[
                "copy of the dumps",
                "copy of the dump",
                "copies of the dumps",
                "copy of dumps",
                "copy of the backup",
                "copy of the backups",
            ],
        )
    };
    let second = kept.iter().find(|kept| is_second(kept))?;
    let mut first =
        kept.iter().filter(|kept| kept.method == Some(Method::Dump) && !is_second(kept));
    let (first, None) = (first.next()?, first.next()) else { return None };
    let ((made, made_at), (copied, copied_at)) = (daily(first)?, daily(second)?);
    if copied >= made {
        return None;
    }
    let minutes = DAY_MINUTES - (made - copied) + DAY_MINUTES;
    let length = Duration::from_secs(u64::from(minutes) * 60);
    if length <= promise.value {
        return None;
    }
    let (does, may) =
        (format!("{} h {} min", minutes / 60, minutes % 60), format_duration(promise.value));
    let words = format!(
        "the copy of {title} elsewhere is made before the dump of the day: up to {does} are lost with the \
         place, and {may} may be"
    );
    Some(
        Finding::new(&POINT_MISSED, copied_at, words)
            .severity(Severity::Warning)
            .here("takes the dump of the day before")
            .label(made_at, "made later")
            .label(promise.origin, format!("at most {may}"))
            .proof(format!("{does}: the age of the dump when it is copied, and a day until the next copy"))
            .hint("begin the copy when the dump has ended, best in the same job, and only if it worked"),
    )
}

/// The minute of the day in `daily 02:30`.
fn clock(text: &str) -> Option<u32> {
    let colon = text.find(':')?;
    let before = text.get(..colon)?;
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let hour: u32 = before.get(before.len() - digits..)?.parse().ok()?;
    let minute: u32 = text.get(colon + 1..colon + 3)?.parse().ok()?;
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
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
