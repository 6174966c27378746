//! S0510: where drills run.

use std::collections::BTreeMap;

use super::IN_PRODUCTION;
use crate::check::{Finding, Model};
use crate::language::{At, DrillKind};
use crate::rules::words::{folded, mentions, words};

/// Words that say that it is somewhere else after all.
const ELSEWHERE: &[&str] = &[
    "not",
    "non",
    "without",
    "no",
    "separate",
    "separated",
    "isolated",
    "own",
    "away",
    "copy",
    "clone",
    "like",
    "pre",
    "outside",
    "beside",
    "never",
    "staging",
    "test",
    "drill",
    "sandbox",
    "replica",
];

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let drills = model.plan.drills.iter().filter(|(_, drill)| {
        let kind = drill.kind.map(|kind| kind.value);
        matches!(kind, Some(DrillKind::Full | DrillKind::Restore))
    });
    let with_place: Vec<_> =
        drills.filter_map(|(name, drill)| Some((name, drill, drill.target.as_ref()?))).collect();
    if with_place.is_empty() {
        return;
    }
    let mut lived_in: BTreeMap<&str, &At<String>> = BTreeMap::new();
    for (name, service) in model.plan.services.iter() {
        for domain in &service.domains {
            lived_in.entry(&domain.value).or_insert(service.title.as_ref().unwrap_or(name));
        }
    }
    for (name, drill, target) in with_place {
        let shown = &drill.title.as_ref().unwrap_or(name).value;
        let (title, proof) = match lived_in.get(target.value.as_str()) {
            Some(service) => (
                format!("`{shown}` runs in `{}`, where `{}` lives", target.value, service.value),
                format!("`{}` has this failure domain too", service.value),
            ),
            None if is_production(&target.value) => (
                format!("`{shown}` runs in `{}`", target.value),
                "the plan's own word for where it runs".to_owned(),
            ),
            None => continue,
        };
        findings.push(
            Finding::new(&IN_PRODUCTION, target.origin, title)
                .here("this is the living system")
                .hint(
                    "give the drill a place of its own: an account, a cluster or a region in which \
                     nothing lives",
                )
                .proof(proof),
        );
    }
}

/// Whether a place in words is the living system itself.
fn is_production(place: &str) -> bool {
    let is_named = ["production", "prod", "live"].iter().any(|name| {
        let words: Vec<String> = words(place).take(2).collect();
        words.iter().any(|word| word == name)
    });
    is_named && !mentions(&folded(place), ELSEWHERE)
}
