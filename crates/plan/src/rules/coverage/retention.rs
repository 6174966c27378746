//! S0206: how far back the copies reach when somebody was inside for weeks, and whether they are
//! still there.
//!
//! Asked only where the plan has a scenario in which somebody got in.

use std::collections::BTreeSet;

use super::TOO_SHORT;
use crate::check::{Finding, Model, Severity};
use crate::language::{Method, Vault};
use crate::objectives::Kept;
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    policies(model, findings);
    gaps(model, findings);
    let hostile = model.plan.scenarios.titled().find_map(|(_, title, scenario)| {
        Some((title, scenario.hostile.filter(|hostile| hostile.value)?, scenario))
    });
    let Some((title, hostile, scenario)) = hostile else { return };
    let assumptions = &model.objectives.assumptions;
    let within = scenario.detection.iter().filter_map(|detection| detection.within);
    let detect = within.map(|within| within.value).min().unwrap_or(assumptions.detect.value);
    let needed = assumptions.dwell.value.saturating_add(detect);
    for (at, (_, store_title, store)) in model.plan.stores.titled().enumerate() {
        let owners = model.objectives.owners(at);
        let graph = &model.objectives.graph;
        let is_again = |id| !graph.service(id).1.rebuilt_from.is_empty();
        let is_nobodys = !owners.is_empty() && owners.iter().all(|id| is_again(*id));
        if is_nobodys || !store.rebuilt_from.is_empty() {
            continue;
        }
        let kept = model.objectives.copies(store);
        let keeps: Option<Vec<_>> = kept
            .iter()
            .filter(|kept| kept.method != Some(Method::Replica))
            .map(|kept| kept.copy.and_then(|copy| copy.keep))
            .collect();
        // A copy whose retention is not said may be kept long enough.
        let longest = keeps.and_then(|keeps| keeps.into_iter().max_by_key(|keep| keep.about()));
        // Where the stay is assumed, a few minutes more are no argument.
        let least =
            if assumptions.dwell.origin.is_some() { needed } else { assumptions.dwell.value };
        let Some(longest) = longest.filter(|keep| keep.about() < least) else { continue };
        let words = format!(
            "no copy of {store_title} is older than {}, and whoever got in may have been there for {}",
            longest.value,
            format_duration(assumptions.dwell.value)
        );
        let dwell = if assumptions.dwell.origin.is_some() { "as the plan says" } else { "assumed" };
        findings.push(
            Finding::new(&TOO_SHORT, longest.origin, words)
                .here(format!("kept for {}", longest.value))
                .label(hostile.origin, format!("{title} needs a copy from before"))
                .hint(
                    "keep some of the copies longer, for example one of each week for a quarter, \
                     or say in `assumptions.dwell` how soon an intruder is noticed",
                )
                .proof(format!(
                    "{} inside ({dwell}) + {} until it is noticed = {}; kept are {}",
                    format_duration(assumptions.dwell.value),
                    format_duration(detect),
                    format_duration(needed),
                    longest.value
                )),
        );
    }
    unlocked(model, (title, hostile.origin), findings);
}

/// A full copy that is gone before the next one is made.
fn gaps(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (_, title, store) in model.plan.stores.titled() {
        let kept = model.objectives.copies(store);
        let full: Vec<&Kept<'_>> =
            kept.iter().filter(|kept| kept.is_full() && !is_increment(kept)).collect();
        let span = |kept: &Kept<'_>| {
            let keep = kept.copy?.keep?;
            Some((keep, model.objectives.interval(kept)?))
        };
        // Another full copy, or one of which not all is said, may be there in the meantime.
        let spans: Option<Vec<_>> = full.iter().map(|kept| span(kept)).collect();
        let Some(spans) = spans.filter(|spans| !spans.is_empty()) else { continue };
        if spans.iter().any(|(keep, interval)| keep.about() >= interval.length)
            || kept.iter().any(|kept| kept.method.is_none())
        {
            continue;
        }
        let Some((keep, interval)) = spans.first() else { continue };
        let every = format_duration(interval.length);
        let gap = format_duration(interval.length.saturating_sub(keep.about()));
        let words = format!(
            "a full copy of {title} is made every {every} and kept for {}: for {gap} there is none",
            keep.value
        );
        let mut finding = Finding::new(&TOO_SHORT, keep.origin, words)
            .severity(Severity::Error)
            .here(format!("deleted after {}", keep.value))
            .why("what is deleted before its successor is made leaves days without any copy")
            .proof(format!("{} are less than {every}", keep.value))
            .hint("keep each full copy at least until two newer ones are known to be good");
        if let Some(origin) = interval.origin {
            finding = finding.label(origin, format!("the next one comes after {every}"));
        }
        for kept in kept.iter().filter(|kept| is_increment(kept)) {
            finding =
                finding.label(kept.origin, "these build on it, and are worth nothing without");
        }
        findings.push(finding);
    }
}

/// It holds only what changed since another copy.
fn is_increment(kept: &Kept<'_>) -> bool {
    let by = kept.copy.and_then(|copy| copy.by.as_ref());
    by.is_some_and(|by| {
        let words = by.value.to_lowercase();
        ["increment", "differential", "inkrement"].iter().any(|word| words.contains(word))
    })
}

fn is_locked(vault: &Vault) -> bool {
    vault.immutable_for.is_some() || vault.offline.is_some_and(|offline| offline.value)
}

/// No vault that holds copies is locked against deletion.
fn unlocked(
    model: &Model<'_>,
    (title, origin): (&str, crate::language::Origin),
    findings: &mut Vec<Finding>,
) {
    let vaults = &model.plan.vaults;
    let mut open: BTreeSet<usize> = BTreeSet::new();
    let mut exposed: Vec<&str> = Vec::new();
    let stores = model.plan.stores.titled();
    for (_, store_title, store) in stores.filter(|(_, _, store)| store.rebuilt_from.is_empty()) {
        let kept: Vec<Kept<'_>> = model.objectives.copies(store);
        let places: Vec<usize> = kept.iter().filter_map(|kept| vaults.position(kept.to?)).collect();
        let is_safe = places.iter().filter_map(|at| vaults.at(*at)).any(|(_, v)| is_locked(v));
        if !places.is_empty()
            && places.len() == kept.iter().filter(|k| k.to.is_some()).count()
            && !is_safe
        {
            exposed.push(store_title);
            open.extend(places);
        }
    }
    let Some((first, _)) = open.iter().next().and_then(|at| vaults.at(*at)) else { return };
    let words = format!(
        "{title}: nothing keeps an intruder from deleting all copies of {}",
        exposed.join(", ")
    );
    let mut finding = Finding::new(&TOO_SHORT, origin, words);
    for (name, vault) in open.iter().filter_map(|at| vaults.at(*at)) {
        let place = vault.url.as_ref().map_or(name.origin, |url| url.origin);
        let text = format!("{} is neither locked nor offline", vaults.title(&name.value));
        finding = finding.label(place, text);
    }
    findings.push(finding.hint(format!(
        "lock the objects of one vault for as long as an intruder may stay unnoticed (object lock, \
         WORM) and say so: `{}: {{ immutable_for: 35 days }}`; or keep one copy offline",
        first.value
    )));
}

/// A policy that demands a lock against the vaults its copies go to.
fn policies(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let plan = model.plan;
    for (_, title, store) in plan.stores.titled() {
        let policy = store.policy.as_ref().and_then(|name| plan.policies.get(&name.value));
        let Some(demand) = policy.and_then(|policy| policy.immutable_for) else { continue };
        let kept = model.objectives.copies(store);
        let vaults = kept.iter().filter_map(|kept| plan.vaults.get(kept.to?));
        let is_kept = vaults.into_iter().any(|vault| {
            let locked = vault.immutable_for.is_some_and(|lock| lock.about() >= demand.about());
            locked || vault.offline.is_some_and(|offline| offline.value)
        });
        if !is_kept && !kept.is_empty() {
            let words =
                format!("no copy of {title} is locked for {}, as its policy asks", demand.value);
            let place = store.policy.as_ref().map_or(demand.origin, |policy| policy.origin);
            findings.push(
                Finding::new(&TOO_SHORT, place, words)
                    .severity(Severity::Error)
                    .label(demand.origin, "asked for here")
                    .hint("send one copy to a vault whose `immutable_for` is at least that"),
            );
        }
    }
}
