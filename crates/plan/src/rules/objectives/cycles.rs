//! S0109: services that need each other, failure domains and channels that end in themselves.

use std::collections::{HashMap, HashSet};

use super::CYCLE;
use crate::check::{Finding, Model};
use crate::language::{At, Origin};

/// So many names of a way round are told; a longer one is cut.
const NAMES_MAX: usize = 8;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    services(model, findings);
    let domains = model.plan.domains.iter();
    let within = domains.map(|(name, domain)| (name, domain.within.as_ref())).collect();
    chains(
        &within,
        ("lies in", "remove one `within`, so that the largest domain lies in nothing"),
        findings,
    );
    let channels = model.plan.channels.iter();
    let fallback = channels.map(|(name, channel)| (name, channel.fallback.as_ref())).collect();
    chains(
        &fallback,
        ("falls back to", "end with a channel that needs none of the others"),
        findings,
    );
}

fn services(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let graph = &model.objectives.graph;
    for cycle in graph.cycles() {
        let Some(&first) = cycle.services.first() else { continue };
        let second = cycle.services.get(1).copied().unwrap_or(first);
        let names: Vec<&str> = cycle.services.iter().map(|id| graph.title(*id)).collect();
        let title = match names.as_slice() {
            [only] => format!("{only} needs itself"),
            _ => format!("{} need each other", way(&names)),
        };
        let mut finding = Finding::new(&CYCLE, graph.need_origin(first, second), title)
            .here(format!("{} needs {}", graph.title(first), graph.title(second)));
        for (at, id) in cycle.services.iter().enumerate().skip(1).take(NAMES_MAX) {
            let next = cycle.services[(at + 1) % cycle.services.len()];
            let text = format!("{} needs {}", graph.title(*id), graph.title(next));
            finding = finding.label(graph.need_origin(*id, next), text);
        }
        let more = cycle.knot - cycle.services.len();
        if more > 0 {
            finding = finding.proof(format!(
                "{} services are tied together; this is the shortest way round",
                cycle.knot
            ));
        }
        findings.push(finding.hint(
            "decide which of them can start without the other, and move that need to `prefers`; if \
             none can, they are one service",
        ));
    }
}

fn way(names: &[&str]) -> String {
    if names.len() <= NAMES_MAX {
        return names.join(", ");
    }
    format!("{} and {} others", names[..NAMES_MAX].join(", "), names.len() - NAMES_MAX)
}

/// Cycles of things that point to at most one other each.
fn chains(
    links: &Vec<(&At<String>, Option<&At<String>>)>,
    (verb, hint): (&str, &str),
    findings: &mut Vec<Finding>,
) {
    let next: HashMap<&str, (&str, Origin)> = links
        .iter()
        .filter_map(|(name, to)| to.map(|to| (name.value.as_str(), (to.value.as_str(), to.origin))))
        .collect();
    let mut done: HashSet<&str> = HashSet::new();
    for (name, _) in links {
        let mut way: Vec<&str> = Vec::new();
        let mut on_way: HashSet<&str> = HashSet::new();
        let mut at = name.value.as_str();
        while let Some((to, _)) = next.get(at).filter(|_| !done.contains(at) && on_way.insert(at)) {
            way.push(at);
            at = to;
        }
        if on_way.contains(at) && !done.contains(at) {
            let from = way.iter().position(|on| *on == at).unwrap_or_default();
            let names = &way[from..];
            let origin = next.get(at).map(|(_, origin)| *origin).unwrap_or_default();
            let title = match names {
                [only] => format!("`{only}` {verb} itself"),
                _ => format!("`{}` {verb} itself over `{}`", names[0], names[1..].join("`, `")),
            };
            findings.push(Finding::new(&CYCLE, origin, title).hint(hint));
        }
        done.extend(way);
    }
}
