//! S0205: do the copies of a store fail together: by place, by number, by credential? And is there
//! one in each vault that the plan names for Soter's own?
//!
//! Stores with the same defect are told in one finding.

use std::collections::{BTreeMap, BTreeSet};

use super::TOO_CLOSE;
use super::losses::{alone, common};
use crate::check::{Finding, Model, Severity};
use crate::graph::DomainId;
use crate::language::{At, Method, Origin, Plan, Policy, Store, Vault};
use crate::objectives::Kept;

/// The living data and two copies, where no policy says another number.
const COPIES_MIN: usize = 3;

/// So many stores are told by name.
const NAMES_MAX: usize = 5;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let mut with_all: BTreeMap<DomainId, Vec<(&str, Origin)>> = BTreeMap::new();
    let mut copies_only: BTreeMap<DomainId, Vec<(&str, Origin)>> = BTreeMap::new();
    let mut by_key: BTreeMap<&str, Vec<(&str, Origin)>> = BTreeMap::new();
    let mut few: BTreeMap<Vec<usize>, Vec<(&str, Origin)>> = BTreeMap::new();
    for (_, title, store) in model.plan.stores.titled() {
        findings.extend(only_the_first(model.plan, title, store));
        let kept: Vec<Kept<'_>> = model
            .objectives
            .copies(store)
            .into_iter()
            .filter(|kept| kept.method != Some(Method::Versions))
            .collect();
        let (Some(first), true) = (kept.first(), store.rebuilt_from.is_empty()) else { continue };
        let told = (title, first.origin);
        let Some(vaults) = vaults(model.plan, &kept) else { continue };
        let living = alone(model, &store.domains, store.survives);
        let places: Vec<Vec<DomainId>> =
            vaults.iter().map(|(_, vault)| alone(model, &vault.domains, None)).collect();
        let everything: Vec<Vec<DomainId>> = places.iter().cloned().chain([living]).collect();
        if let Some(domain) = common(&everything) {
            with_all.entry(domain).or_default().push(told);
        }
        if let Some(key) = key_to_all(model.plan, &vaults) {
            by_key.entry(key).or_default().push(told);
        }
        let at: BTreeSet<usize> = vaults.iter().map(|(at, _)| *at).collect();
        let policy = store.policy.as_ref().and_then(|name| model.plan.policies.get(&name.value));
        let one_is_enough = policy.and_then(|policy| policy.copies_min).is_some();
        if let Some(finding) = demanded(model, (title, store), policy, at.len()) {
            findings.push(finding);
        } else if common(&everything).is_some() || (one_is_enough && at.len() < 2) {
            // Told above, or agreed to.
        } else if let Some(domain) = outermost(model, &places) {
            copies_only.entry(domain).or_default().push(told);
        } else if at.len() + 1 < COPIES_MIN {
            few.entry(at.into_iter().collect()).or_default().push(told);
        }
    }
    for (domain, stores) in &with_all {
        findings.push(lost_with(model, *domain, stores));
    }
    for (vaults, stores) in &few {
        findings.push(too_few(model, vaults, stores));
    }
    for (domain, stores) in &copies_only {
        findings.push(all_copies_in(model, *domain, stores));
    }
    for (key, stores) in &by_key {
        findings.push(one_key(model, key, stores));
    }
}

/// Soter writes to one vault: what else `vaults` names, holds nothing.
fn only_the_first(plan: &Plan, title: &str, store: &Store) -> Option<Finding> {
    let (first, others) = store.vaults.split_first()?;
    let origin = others.first()?.origin;
    let titles: Vec<&str> = others.iter().map(|vault| plan.vaults.title(&vault.value)).collect();
    let first = plan.vaults.title(&first.value);
    let words = format!(
        "Soter keeps {title} in {first} only: nothing of it is stored in {}",
        titles.join(", ")
    );
    Some(
        Finding::new(&TOO_CLOSE, origin, words)
            .here("no copy is made here")
            .hint(
                "name one vault; let another program copy that vault to another place, or the store, \
                 and write it under `copies`",
            )
            .proof("this version of Soter writes to the first of `vaults` and to no other"),
    )
}

/// The largest domain that all copies lie in.
fn outermost(model: &Model<'_>, places: &[Vec<DomainId>]) -> Option<DomainId> {
    let inner = common(places)?;
    model.objectives.domains.outward(inner).last().copied()
}

/// The vaults of all copies; none if the place of one is not known.
fn vaults<'p>(plan: &'p Plan, kept: &[Kept<'p>]) -> Option<Vec<(usize, &'p Vault)>> {
    kept.iter()
        .map(|kept| {
            let at = plan.vaults.position(kept.to?)?;
            Some((at, plan.vaults.at(at)?.1))
        })
        .collect()
}

fn names(stores: &[(&str, Origin)]) -> String {
    let shown: Vec<&str> = stores.iter().take(NAMES_MAX).map(|(title, _)| *title).collect();
    match stores.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn labelled(finding: Finding, stores: &[(&str, Origin)]) -> Finding {
    stores.iter().skip(1).take(NAMES_MAX).fold(finding, |finding, (title, origin)| {
        finding.label(*origin, format!("so does {title}"))
    })
}

fn first_origin(stores: &[(&str, Origin)]) -> Origin {
    stores.first().map(|(_, origin)| *origin).unwrap_or_default()
}

fn lost_with(model: &Model<'_>, domain: DomainId, stores: &[(&str, Origin)]) -> Finding {
    let domains = &model.objectives.domains;
    let title = domains.title(domain);
    let words = format!("{} and all copies are lost with {title}", names(stores));
    let is_accepted = domains.declared(domain).is_some_and(|domain| domain.accepted.is_some());
    let severity = if is_accepted { Severity::Note } else { Severity::Error };
    labelled(Finding::new(&TOO_CLOSE, first_origin(stores), words).severity(severity), stores)
        .here("kept where it lives")
        .label(domains.name(domain).origin, format!("all of it lies in {title}"))
        .hint(format!("keep one copy in a vault outside of {title}"))
}

fn all_copies_in(model: &Model<'_>, domain: DomainId, stores: &[(&str, Origin)]) -> Finding {
    let domains = &model.objectives.domains;
    let title = domains.title(domain);
    let words = format!("all copies of {} lie in {title}", names(stores));
    labelled(Finding::new(&TOO_CLOSE, first_origin(stores), words), stores)
        .label(domains.name(domain).origin, "they are lost with this")
        .hint(format!("keep one copy in a vault outside of {title}, under another account"))
}

fn too_few(model: &Model<'_>, vaults: &[usize], stores: &[(&str, Origin)]) -> Finding {
    let place = vaults.first().and_then(|at| model.plan.vaults.at(*at));
    let title = place.map_or("", |(name, _)| model.plan.vaults.title(&name.value));
    let words = format!("all copies of {} are in one place: {title}", names(stores));
    let finding = labelled(Finding::new(&TOO_CLOSE, first_origin(stores), words), stores);
    let finding = match place {
        Some((name, vault)) => {
            let url = vault.url.as_ref().map_or(name.origin, |url| url.origin);
            finding.label(url, "the only place")
        }
        None => finding,
    };
    finding
        .hint(
            "keep a second copy with another provider, or offline, under another credential; if one \
             is enough, say so in a policy: `copies_min: 2`",
        )
        .proof("the living data and 1 place are 2 copies; 3 are usual, one of them elsewhere")
}

/// What a policy asks for in so many words.
fn demanded(
    model: &Model<'_>,
    (title, store): (&str, &Store),
    policy: Option<&Policy>,
    places: usize,
) -> Option<Finding> {
    let demand: At<u32> = policy?.copies_min?;
    if places + 1 >= demand.value as usize {
        return None;
    }
    let words = format!(
        "{title} has {} copies with the living one, and its policy asks for {}",
        places + 1,
        demand.value
    );
    let place = store.policy.as_ref().map_or(demand.origin, |policy| policy.origin);
    let name = store.policy.as_ref().map_or("", |policy| policy.value.as_str());
    Some(
        Finding::new(&TOO_CLOSE, place, words)
            .severity(Severity::Error)
            .label(demand.origin, format!("asked for by {}", model.plan.policies.title(name)))
            .hint("add a copy in another vault, or ask for fewer"),
    )
}

/// The credential that can delete every copy.
fn key_to_all<'p>(plan: &'p Plan, vaults: &[(usize, &'p Vault)]) -> Option<&'p str> {
    let is_safe = |vault: &Vault| {
        vault.immutable_for.is_some() || vault.offline.is_some_and(|offline| offline.value)
    };
    if vaults.iter().any(|(_, vault)| is_safe(vault)) {
        return None;
    }
    let deletes = |key: &str, at: usize, vault: &Vault| {
        let by_vault = vault.deleted_with.iter().any(|name| name.value == key);
        let name = plan.vaults.at(at).map_or("", |(name, _)| name.value.as_str());
        by_vault
            || plan
                .credentials
                .get(key)
                .is_some_and(|key| key.can_delete.iter().any(|target| target.value == name))
    };
    let (_, first) = vaults.first()?;
    let declared = plan.credentials.names();
    let candidates = first.deleted_with.iter().map(|key| key.value.as_str()).chain(declared);
    let mut all =
        candidates.filter(|key| vaults.iter().all(|(at, vault)| deletes(key, *at, vault)));
    all.next()
}

fn one_key(model: &Model<'_>, key: &str, stores: &[(&str, Origin)]) -> Finding {
    let title = model.plan.credentials.title(key);
    let words = format!("{title} can delete every copy of {}", names(stores));
    let finding = labelled(Finding::new(&TOO_CLOSE, first_origin(stores), words), stores);
    let finding = match model.plan.credentials.declared(key) {
        Some(origin) => finding.label(origin, "whoever has this"),
        None => finding,
    };
    finding.hint(
        "let another account own one of the vaults, or lock its objects (`immutable_for`), so that \
         one stolen credential does not reach all of them",
    )
}
