//! What follows from titles: which domain a disaster takes, which store it destroys, whether
//! somebody got in.
//!
//! The rule it keeps: a word decides only what it says. "Complete cluster loss" takes the cluster and
//! all that runs in it; "node failure" takes a node, and what runs on it only where that is said.

use super::Reading;
use crate::language::{At, Domain, DomainKind, Origin};
use crate::markdown::kinds;
use crate::markdown::names::slug;
use crate::markdown::vocabulary::{self, plain_words};

pub(super) fn read(reading: &mut Reading) {
    let scenarios: Vec<(String, At<String>, Option<At<String>>)> = reading
        .plan
        .scenarios
        .iter()
        .filter_map(|(name, scenario)| {
            Some((name.value.clone(), scenario.title.clone()?, scenario.impact.clone()))
        })
        .collect();
    for (name, title, impact) in scenarios {
        let words = plain_words(&title.value);
        if says(&words, HOSTILE)
            && !says(&words, OUTSIDE)
            && let Some(scenario) = reading.plan.scenarios.get_mut(&name)
        {
            scenario.hostile = Some(At::new(true, title.origin));
        }
        let damaged = says(&words, DAMAGE);
        if damaged || says(&words, LOSS) {
            let stores = named_stores(&words, damaged, reading);
            if stores.is_empty() {
                lost_domain(&name, &words, &title, impact.as_ref(), reading);
            }
            if let Some(scenario) = reading.plan.scenarios.get_mut(&name) {
                scenario.destroys = stores.into_iter().map(|s| At::new(s, title.origin)).collect();
            }
        }
    }
    nodes_of_clusters(reading);
}

/// Words in the title of a scenario that say that somebody got in.
const HOSTILE: &[&str] = &[
    "ransomware",
    "breach",
    "compromise",
    "compromised",
    "intrusion",
    "malware",
    "attack",
    "cyberattack",
    "cyber",
    "hacked",
    "unauthorized",
    "unauthorised",
    "insider",
];

/// Words of attacks that nobody gets in by, and of breaches of something else than a system.
const OUTSIDE: &[&str] =
    &["ddos", "dos", "denial of service", "denial-of-service", "sla", "contract"];

/// Words that say that data is gone or wrong.
const DAMAGE: &[&str] = &[
    "corruption",
    "corrupted",
    "deletion",
    "deleted",
    "data loss",
    "dropped",
    "destroyed",
    "wiped",
    "damage",
    "beschädigung",
    "datenverlust",
];

/// Words that say that something does not work or is not there.
const LOSS: &[&str] = &[
    "failure",
    "loss",
    "outage",
    "down",
    "unavailable",
    "unavailability",
    "fire",
    "flood",
    "destruction",
    "lost",
    "offline",
    "disaster",
    "ausfall",
    "verlust",
    "brand",
];

/// Words that say that all of something is meant.
const WHOLE: &[&str] =
    &["complete", "total", "full", "entire", "whole", "all", "kompletter", "totaler"];

fn says(words: &str, wanted: &[&str]) -> bool {
    wanted.iter().any(|word| vocabulary::says(words, word))
}

/// The stores whose data a damage is about.
fn named_stores(words: &str, damaged: bool, reading: &Reading) -> Vec<String> {
    if !damaged {
        return Vec::new();
    }
    let mut stores: Vec<String> =
        reading.stores.mentioned(words).into_iter().map(str::to_owned).collect();
    for service in reading.services.mentioned(words) {
        let state = reading.plan.services.get(service).map(|service| service.state.as_slice());
        stores.extend(state.unwrap_or_default().iter().map(|store| store.value.clone()));
    }
    stores.sort_unstable();
    stores.dedup();
    stores
}

/// The domain that a title says is lost. All that runs in it is lost with it only if the title or
/// the impact say that everything is.
fn lost_domain(
    scenario: &str,
    words: &str,
    title: &At<String>,
    impact: Option<&At<String>>,
    reading: &mut Reading,
) {
    let stopped: Vec<String> =
        reading.services.mentioned(words).into_iter().map(str::to_owned).collect();
    if !stopped.is_empty() {
        if let Some(scenario) = reading.plan.scenarios.get_mut(scenario) {
            scenario.stops = stopped.into_iter().map(|s| At::new(s, title.origin)).collect();
        }
        return;
    }
    let Some((kind, general)) = kinds::domain(words) else { return };
    let named = reading.plan.domains.iter().find(|(name, domain)| {
        domain.kind.is_some_and(|own| own.value == kind)
            && says(words, &[name.value.replace('-', " ").as_str(), name.value.as_str()])
    });
    let name = named.map_or_else(|| general.to_owned(), |(name, _)| name.value.clone());
    declare(&name, kind, title.origin, reading);
    if let Some(scenario) = reading.plan.scenarios.get_mut(scenario) {
        scenario.loses.push(At::new(name.clone(), title.origin));
    }
    let impact = impact.map(|impact| plain_words(&impact.value)).unwrap_or_default();
    let everything = matches!(kind, DomainKind::Cluster | DomainKind::Zone | DomainKind::Region)
        && (says(words, WHOLE) || says(&impact, WHOLE));
    if everything {
        everything_in(&name, title.origin, reading);
    }
}

fn declare(name: &str, kind: DomainKind, origin: Origin, reading: &mut Reading) {
    let domain = Domain { kind: Some(At::new(kind, origin)), ..Domain::default() };
    // It may be declared: then it keeps what is known of it.
    drop(reading.plan.domains.insert(At::new(slug(name), origin), domain));
}

/// Services and stores that are said to run nowhere else run in what takes everything with it.
fn everything_in(domain: &str, origin: Origin, reading: &mut Reading) {
    let here = || At::new(domain.to_owned(), origin);
    for (_, service) in reading.plan.services.iter_mut() {
        if service.domains.is_empty() && service.external.is_none() {
            service.domains.push(here());
        }
    }
    for (_, store) in reading.plan.stores.iter_mut() {
        // A path is one on the machines that are lost.
        let elsewhere = store.location.as_ref().is_some_and(|place| !place.value.starts_with('/'));
        if store.domains.is_empty() && !elsewhere {
            store.domains.push(here());
        }
    }
}

/// Nodes lie in the cluster, where a document speaks of one.
fn nodes_of_clusters(reading: &mut Reading) {
    let of_kind = |kind: DomainKind, reading: &Reading| {
        let mut found = reading
            .plan
            .domains
            .iter()
            .filter(|(_, domain)| domain.kind.is_some_and(|own| own.value == kind));
        match (found.next(), found.next()) {
            (Some((name, _)), None) => Some(name.clone()),
            _ => None,
        }
    };
    let (Some(node), Some(cluster)) =
        (of_kind(DomainKind::Node, reading), of_kind(DomainKind::Cluster, reading))
    else {
        return;
    };
    if let Some(domain) = reading.plan.domains.get_mut(&node.value) {
        domain.within.get_or_insert(At::new(cluster.value, node.origin));
    }
}
