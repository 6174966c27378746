//! S0207: each failure domain alone, and each pair: is there a scenario, is there a copy left?

use std::collections::{BTreeMap, HashMap};

use super::NO_SCENARIO;
use crate::check::{Finding, Model, Severity};
use crate::graph::{Cause, DomainId, Domains, Loss};
use crate::language::{At, Plan};

/// So many names are told in one finding.
const NAMES_MAX: usize = 5;

/// For so many losses it is reckoned what they take down; each walks the whole graph.
const WALKED_MAX: usize = 50;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    // Without any scenario the plan is an outline, and each loss is missing.
    if model.plan.scenarios.is_empty() {
        return;
    }
    let covered = covered(model);
    singles(model, &covered, findings);
    pairs(model, &covered, findings);
}

/// By domain: a scenario loses it, or something that it lies in; or its loss is accepted.
fn covered(model: &Model<'_>) -> Vec<bool> {
    let domains = &model.objectives.domains;
    let lost = model.plan.scenarios.iter().flat_map(|(_, scenario)| &scenario.loses);
    let lost: Vec<DomainId> = lost.filter_map(|name| domains.id(&name.value)).collect();
    let mut covered = domains.closure(&lost);
    for id in domains.ids() {
        let declared = domains.declared(id);
        covered[id.index()] |=
            declared.is_some_and(|domain| domain.accepted.is_some() || domain.scenario.is_some());
    }
    covered
}

fn singles(model: &Model<'_>, covered: &[bool], findings: &mut Vec<Finding>) {
    let domains = &model.objectives.domains;
    let hit = hit(model.plan, domains);
    let mut walked = 0;
    for id in domains.ids() {
        // The largest domain that nothing covers stands for those in it.
        let outer = domains.outward(id).into_iter().skip(1).any(|outer| !covered[outer.index()]);
        if covered[id.index()] || outer || !hit[id.index()] {
            continue;
        }
        walked += 1;
        let what = if walked <= WALKED_MAX { takes_down(model, id) } else { String::new() };
        let title = domains.title(id);
        let words = format!("no scenario recovers from the loss of {title}{what}");
        findings.push(
            Finding::new(&NO_SCENARIO, domains.name(id).origin, words)
                .here("what if it is gone?")
                .hint(format!(
                    "write a scenario with `loses: [{0}]`; if this loss is accepted, say by whom \
                     and why: `domains: {{ {0}: {{ accepted: … }} }}`",
                    domains.name(id).value
                )),
        );
    }
}

/// By domain: its loss alone takes a service, a store or a vault.
fn hit(plan: &Plan, domains: &Domains<'_>) -> Vec<bool> {
    let mut hit = vec![false; domains.len()];
    let mut member = |names: &[At<String>], survives: Option<At<u32>>| {
        let survives = survives.map_or(0, |count| count.value as usize);
        let mut counts: HashMap<DomainId, usize> = HashMap::new();
        for id in names.iter().filter_map(|name| domains.id(&name.value)) {
            for outer in domains.outward(id) {
                *counts.entry(outer).or_default() += 1;
            }
        }
        for (id, count) in counts {
            hit[id.index()] |= count > survives;
        }
    };
    for (_, service) in plan.services.iter() {
        member(&service.domains, service.survives);
    }
    for (_, store) in plan.stores.iter() {
        member(&store.domains, store.survives);
    }
    for (_, vault) in plan.vaults.iter() {
        member(&vault.domains, None);
    }
    hit
}

/// What the loss of a domain takes down, in words.
fn takes_down(model: &Model<'_>, id: DomainId) -> String {
    let graph = &model.objectives.graph;
    let cause = Cause { domains: vec![id], ..Cause::default() };
    let loss = Loss::of(graph, &model.objectives.domains, &cause);
    let mut names: Vec<&str> = loss.down().map(|(id, _)| graph.title(id)).collect();
    if names.is_empty() {
        let stores = model.plan.stores.titled().zip(&loss.stores).filter(|(_, lost)| **lost);
        let vaults = model.plan.vaults.titled().zip(&loss.vaults).filter(|(_, lost)| **lost);
        names = stores.map(|((_, title, _), _)| title).collect();
        names.extend(vaults.map(|((_, title, _), _)| title));
    }
    format!(", which takes {}", listed(&names))
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Two losses at once that leave no copy of a store, where no single one does.
fn pairs(model: &Model<'_>, covered: &[bool], findings: &mut Vec<Finding>) {
    let domains = &model.objectives.domains;
    let mut found: BTreeMap<(DomainId, DomainId), Vec<&str>> = BTreeMap::new();
    for (_, title, store) in model.plan.stores.titled() {
        let Some(places) = places(model, store) else { continue };
        if places.iter().any(Vec::is_empty) || places.len() < 2 || common(&places).is_some() {
            continue;
        }
        // One loss takes the living data, the other all copies that it does not take.
        let living = places[0][0];
        let rest: Vec<Vec<DomainId>> =
            places.into_iter().skip(1).filter(|place| !place.contains(&living)).collect();
        if let Some(other) = common(&rest).filter(|other| *other != living) {
            let pair = (living.min(other), living.max(other));
            found.entry(pair).or_default().push(title);
        }
    }
    for ((one, two), stores) in found {
        let is_known =
            |id: DomainId| domains.declared(id).is_some_and(|domain| domain.accepted.is_some());
        if is_known(one) || is_known(two) || in_one_scenario(model, one, two) {
            continue;
        }
        let words = format!(
            "the loss of {} and {} at once destroys {} for good",
            domains.title(one),
            domains.title(two),
            listed(&stores)
        );
        let both = covered[one.index()] && covered[two.index()];
        let known = if both { "each of them has a scenario, both together have none" } else { "" };
        let finding = Finding::new(&NO_SCENARIO, domains.name(one).origin, words)
            .severity(Severity::Note)
            .label(domains.name(two).origin, "and this one")
            .hint(
                "keep a third copy elsewhere, or accept this in `accepted` of one of the domains, \
                 with the name of who does",
            );
        findings.push(if both { finding.proof(known) } else { finding });
    }
}

fn in_one_scenario(model: &Model<'_>, one: DomainId, two: DomainId) -> bool {
    let domains = &model.objectives.domains;
    model.plan.scenarios.iter().any(|(_, scenario)| {
        let lost = scenario.loses.iter().filter_map(|name| domains.id(&name.value));
        let lost = domains.closure(&lost.collect::<Vec<_>>());
        lost[one.index()] && lost[two.index()]
    })
}

/// For the living data and for each copy: the domains whose loss alone takes it, from the inside
/// out. None, if the place of a copy is not known.
fn places(model: &Model<'_>, store: &crate::language::Store) -> Option<Vec<Vec<DomainId>>> {
    let plan = model.plan;
    let mut places = vec![alone(model, &store.domains, store.survives)];
    for kept in model.objectives.copies(store) {
        let vault = plan.vaults.get(kept.to?)?;
        if vault.offline.is_some_and(|offline| offline.value) || vault.domains.is_empty() {
            return None;
        }
        places.push(alone(model, &vault.domains, None));
    }
    Some(places)
}

/// The domains whose loss alone takes all that lies in these, from the inside out.
pub(super) fn alone(
    model: &Model<'_>,
    names: &[At<String>],
    survives: Option<At<u32>>,
) -> Vec<DomainId> {
    let domains = &model.objectives.domains;
    let survives = survives.map_or(0, |count| count.value as usize);
    let ways: Vec<Vec<DomainId>> = names
        .iter()
        .filter_map(|name| domains.id(&name.value))
        .map(|id| domains.outward(id))
        .collect();
    let mut counts: HashMap<DomainId, usize> = HashMap::new();
    for id in ways.iter().flatten() {
        *counts.entry(*id).or_default() += 1;
    }
    let mut found: Vec<DomainId> = Vec::new();
    for id in ways.iter().flatten() {
        if counts.get(id).is_some_and(|count| *count > survives) && !found.contains(id) {
            found.push(*id);
        }
    }
    found
}

/// The first domain that is in all of these.
pub(super) fn common(places: &[Vec<DomainId>]) -> Option<DomainId> {
    let (first, rest) = places.split_first()?;
    first.iter().copied().find(|id| rest.iter().all(|place| place.contains(id)))
}
