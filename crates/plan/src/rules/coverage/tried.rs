//! S0209: copies that were never restored to see whether they can be.

use std::collections::HashSet;

use super::NEVER_TRIED;
use crate::check::{Finding, Model};
use crate::language::{DrillKind, Method};
use crate::objectives::Kept;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let Some(tried) = tried(model) else { return };
    for (at, (name, title, store)) in model.plan.stores.titled().enumerate() {
        let kept = model.objectives.copies(store);
        let full: Vec<&Kept<'_>> = kept.iter().filter(|kept| kept.is_full()).collect();
        let is_verified = |kept: &&Kept<'_>| {
            kept.copy
                .is_some_and(|copy| copy.verified_every.is_some() || copy.verified_by.is_some())
        };
        let Some(first) = full.first() else { continue };
        if tried.contains(&at) || full.iter().any(is_verified) || !store.rebuilt_from.is_empty() {
            continue;
        }
        let words = format!("no drill and no check ever restores a copy of {title}");
        let by = match first.method {
            Some(Method::Soter) => "`soter verify` looks at the bytes; a drill restores them",
            _ => "looking at its size proves nothing",
        };
        findings.push(Finding::new(&NEVER_TRIED, first.origin, words).hint(format!(
            "add a drill of the kind `restore` that names it in `stores`, or say how it is tried \
             (`verified_by`, `verified_every`); {by}; for `{}` say who looks at the result",
            name.value
        )));
    }
}

/// The stores that some drill restores; none if a drill restores backups without saying which.
fn tried(model: &Model<'_>) -> Option<HashSet<usize>> {
    let stores = &model.plan.stores;
    let mut found = HashSet::new();
    for (_, drill) in model.plan.drills.iter() {
        found.extend(drill.stores.iter().filter_map(|name| stores.position(&name.value)));
        let kind = drill.kind.map(|kind| kind.value);
        if kind == Some(DrillKind::Restore) && drill.stores.is_empty() {
            return None;
        }
        if kind == Some(DrillKind::Tabletop) {
            continue;
        }
        for scenario in &drill.scenarios {
            if let Some(scenario) = model.plan.scenarios.get(&scenario.value) {
                let milestones = model.objectives.milestones(scenario);
                found.extend(milestones.into_iter().flat_map(|milestone| milestone.restores));
            }
        }
    }
    Some(found)
}
