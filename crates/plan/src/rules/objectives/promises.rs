//! S0101 and S0111: the promise of a service against the promises of what it needs.
//!
//! A need without an objective is looked through: its own needs count. Cycles are S0109's.

use std::time::Duration;

use super::{NO_SLACK, PROMISED_TOO_EARLY};
use crate::check::{Finding, Model};
use crate::graph::{Graph, Objective, ServiceId};
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let graph = &model.objectives.graph;
    let through = through(graph);
    for id in graph.ids() {
        let Some(own) = graph.rto(id).filter(|_| !graph.in_cycle(id)) else { continue };
        let mut tight: Vec<(ServiceId, Promise)> = Vec::new();
        for &need in graph.needs(id) {
            let Some(promise) = promise(graph, need, &through) else { continue };
            if promise.objective.value > own.value {
                findings.push(too_early(graph, (id, own), need, promise));
            } else if own.value - promise.objective.value < start(graph, id) {
                tight.push((need, promise));
            }
        }
        if !tight.is_empty() {
            findings.push(no_slack(graph, (id, own), &tight));
        }
    }
}

/// The objective of a need, or of what stands behind it.
#[derive(Debug, Clone, Copy)]
struct Promise {
    of: ServiceId,
    objective: Objective,
}

/// For services without an objective: the longest promise among what they need.
fn through(graph: &Graph<'_>) -> Vec<Option<Promise>> {
    let mut found: Vec<Option<Promise>> = vec![None; graph.len()];
    for members in graph.components() {
        for &id in members {
            if graph.rto(id).is_some() || graph.in_cycle(id) {
                continue;
            }
            let promises = graph.needs(id).iter().filter_map(|need| promise(graph, *need, &found));
            let longest = promises.max_by_key(|promise| {
                (promise.objective.value, std::cmp::Reverse(graph.name(promise.of)))
            });
            found[id.index()] = longest;
        }
    }
    found
}

fn promise(graph: &Graph<'_>, id: ServiceId, through: &[Option<Promise>]) -> Option<Promise> {
    let own = graph.rto(id).map(|objective| Promise { of: id, objective });
    own.or(through[id.index()])
}

/// What the service surely needs for itself: a declared start, else any time at all.
fn start(graph: &Graph<'_>, id: ServiceId) -> Duration {
    graph.service(id).1.start.map_or(Duration::from_nanos(1), |start| start.value)
}

fn too_early(
    graph: &Graph<'_>,
    (id, own): (ServiceId, Objective),
    need: ServiceId,
    promise: Promise,
) -> Finding {
    let (title, other) = (graph.title(id), graph.title(promise.of));
    let (rto, longer) = (format_duration(own.value), format_duration(promise.objective.value));
    let over =
        if need == promise.of { String::new() } else { format!(" over {}", graph.title(need)) };
    let name = format!(
        "{title} promises to be back in {rto}, and needs {other}{over}, which may take {longer}"
    );
    Finding::new(&PROMISED_TOO_EARLY, own.origin, name)
        .here(format!("{title}: {rto}"))
        .label(graph.need_origin(id, need), "needed here")
        .label(promise.objective.origin, format!("{other}: {longer}"))
        .hint(format!(
            "promise {longer} or more for {title}, or less than {rto} for {other}, if that can be \
             kept"
        ))
        .proof(format!(
            "{longer} ({other}) - {rto} ({title}) = {} too early",
            format_duration(promise.objective.value - own.value)
        ))
}

fn no_slack(
    graph: &Graph<'_>,
    (id, own): (ServiceId, Objective),
    tight: &[(ServiceId, Promise)],
) -> Finding {
    let (title, rto) = (graph.title(id), format_duration(own.value));
    let needs: Vec<&str> = tight.iter().map(|(_, promise)| graph.title(promise.of)).collect();
    let longest =
        tight.iter().map(|(_, promise)| promise.objective.value).max().unwrap_or_default();
    let left = own.value - longest;
    let left_words = if left.is_zero() {
        "no time".to_owned()
    } else {
        format!("only {}", format_duration(left))
    };
    let name = format!("{title} has {left_words} left after {}", needs.join(", "));
    let declared = graph.service(id).1.start;
    let start = declared.map_or_else(
        || "its own start".to_owned(),
        |start| format!("its own start of {}", format_duration(start.value)),
    );
    let mut finding = Finding::new(&NO_SLACK, own.origin, name).here(format!("{title}: {rto}"));
    for (need, promise) in tight {
        let other = graph.title(promise.of);
        finding = finding.label(
            graph.need_origin(id, *need),
            format!("{other}: {}", format_duration(promise.objective.value)),
        );
    }
    finding
        .hint(format!(
            "promise more than {rto} for {title}, or less for {}, so that {start} fits between",
            needs.join(" and ")
        ))
        .proof(format!(
            "{rto} ({title}) - {} ({}) = {}",
            format_duration(longest),
            needs.first().unwrap_or(&""),
            format_duration(left)
        ))
}
