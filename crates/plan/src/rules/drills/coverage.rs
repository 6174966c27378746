//! Which scenarios a drill tries: those it names, else those its title and scope speak of.
//!
//! The rule it keeps: when in doubt a scenario counts as tried. Documents rarely name scenarios where
//! they list their tests.

use std::collections::BTreeSet;

use crate::language::{At, Drill, Plan, Scenario};
use crate::rules::words::{folded, mentions, words};

/// Words that say nothing about which disaster it is.
const COMMON: &[&str] = &[
    "the",
    "a",
    "an",
    "of",
    "and",
    "or",
    "in",
    "to",
    "for",
    "with",
    "test",
    "drill",
    "exercise",
    "scenario",
    "recovery",
    "disaster",
    "dr",
    "full",
    "loss",
    "failure",
    "outage",
    "restore",
    "restoration",
    "failover",
    "one",
    "single",
];

/// The scenarios a drill tries.
pub(super) fn scenarios<'p>(
    plan: &'p Plan,
    drill: &'p Drill,
) -> Vec<(&'p At<String>, &'p Scenario)> {
    let all = plan.scenarios.iter();
    if !drill.scenarios.is_empty() {
        let named: BTreeSet<String> = drill.scenarios.iter().map(|it| folded(&it.value)).collect();
        return all
            .filter(|(name, scenario)| {
                let title = scenario.title.as_ref().map(|title| folded(&title.value));
                named.contains(&folded(&name.value)) || title.is_some_and(|it| named.contains(&it))
            })
            .collect();
    }
    let said: Vec<&str> =
        drill.scope.iter().chain(&drill.title).map(|text| text.value.as_str()).collect();
    let whole = ["all scenarios", "every scenario", "each scenario", "entire plan", "whole plan"];
    if said.iter().any(|text| mentions(text, &whole)) {
        return all.collect();
    }
    all.filter(|(name, scenario)| {
        let title = scenario.title.as_ref().unwrap_or(name);
        said.iter().any(|text| speaks_of(text, &title.value))
            || drill.title.as_ref().is_some_and(|title| names_machine(&title.value, scenario))
            || (!drill.stores.is_empty() && is_about_data(&title.value))
    })
    .collect()
}

/// Whether a scenario is about wrong data: whoever restores a copy tries it.
fn is_about_data(title: &str) -> bool {
    mentions(
        title,
        &["corruption", "corrupted", "deletion", "deleted", "operator error", "data loss"],
    )
}

/// Whether a drill names a machine, such as `db01`, that the steps of a scenario work on.
fn names_machine(drill: &str, scenario: &Scenario) -> bool {
    let machines: Vec<String> = words(drill)
        .filter(|word| {
            word.len() > 3
                && word.starts_with(|c: char| c.is_ascii_alphabetic())
                && word.ends_with(|c: char| c.is_ascii_digit())
        })
        .collect();
    let scripts =
        scenario.phases.iter().flat_map(|phase| &phase.steps).filter_map(|step| step.run.as_ref());
    !machines.is_empty()
        && scripts
            .into_iter()
            .any(|script| words(&script.text).any(|word| machines.contains(&word)))
}

/// Whether most words that tell a disaster from others are in a text.
fn speaks_of(text: &str, title: &str) -> bool {
    let telling = |text: &str| -> BTreeSet<String> {
        let is_telling = |word: &String| word.len() > 2 && !COMMON.contains(&word.as_str());
        words(text).filter(is_telling).collect()
    };
    let (wanted, found) = (telling(title), telling(text));
    let common = wanted.intersection(&found).count();
    common > 0 && common * 2 >= wanted.len()
}
