//! S0415: services that a step stops, and whether anybody knows how.

use std::collections::BTreeSet;

use super::NO_STANDSTILL;
use crate::check::{Finding, Model};
use crate::language::{At, Plan, RunsAs, Service};

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let mut found = BTreeSet::new();
    let steps = model.plan.scenarios.iter().flat_map(|(_, scenario)| scenario.every_step());
    for named in steps.flat_map(|step| &step.quiesce) {
        for (name, service) in stopped(model.plan, named) {
            let Some(what) = missing(name, service) else { continue };
            if !found.insert(&name.value) {
                continue;
            }
            findings.push(
                Finding::new(&NO_STANDSTILL, named.origin, what)
                    .here("is to stand still here")
                    .label(name.origin, "this is it")
                    .hint(
                        "give it `runs_as: { kubernetes: { object: deployment/…, namespace: … } }`, or \
                         `stop` and `start` with scripts",
                    ),
            );
        }
    }
}

/// The services that a name of a step means. `writers of` a store to which nobody is said to write are
/// its own services.
fn stopped<'p>(plan: &'p Plan, named: &At<String>) -> Vec<(&'p At<String>, &'p Service)> {
    let Some(store) = named.value.strip_prefix("writers of ").map(str::trim) else {
        return plan.services.iter().filter(|(name, _)| name.value == named.value).collect();
    };
    let those = |stores: fn(&Service) -> &Vec<At<String>>| -> Vec<_> {
        let services = plan.services.iter();
        services.filter(|(_, one)| stores(one).iter().any(|name| name.value == store)).collect()
    };
    let writers = those(|service| &service.writes);
    if writers.is_empty() { those(|service| &service.state) } else { writers }
}

fn missing(name: &At<String>, service: &Service) -> Option<String> {
    let shown = &service.title.as_ref().unwrap_or(name).value;
    if service.runs_as.is_empty() {
        return Some(format!("`{shown}` is to stand still, and nothing says what it runs as"));
    }
    let is_whole = |part: &RunsAs| {
        let is_object = part.kubernetes.is_some();
        is_object != part.stop.is_some() && is_object != part.start.is_some()
    };
    let half = service.runs_as.iter().any(|part| !is_whole(part));
    half.then(|| {
        format!(
            "`{shown}` is to stand still, and a part of it is neither an object nor both scripts"
        )
    })
}
