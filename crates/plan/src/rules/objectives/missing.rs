//! S0112: services without a recovery time, data without a recovery point.
//!
//! Told only in plans that have objectives: an outline without any is no mistake yet.

use super::NO_OBJECTIVE;
use crate::check::{Finding, Model};

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let objectives = &model.objectives;
    let graph = &objectives.graph;
    let any = graph.ids().any(|id| graph.rto(id).is_some());
    for id in graph.ids().filter(|_| any) {
        let (name, service) = graph.service(id);
        let is_external = service.external.is_some_and(|external| external.value);
        if graph.rto(id).is_none() && !is_external {
            let title = format!("{} has no recovery time objective", graph.title(id));
            findings.push(Finding::new(&NO_OBJECTIVE, name.origin, title).hint(
                "give it a `tier` that has one, or an `rto` of its own; if somebody else runs it, \
                 say `external: yes`",
            ));
        }
    }
    let any = (0..model.plan.stores.len()).any(|at| objectives.rpo(at).is_some());
    for (at, (name, title, store)) in model.plan.stores.titled().enumerate() {
        let is_rebuilt = |id| !graph.service(id).1.rebuilt_from.is_empty();
        let owners = objectives.owners(at);
        let is_again = !owners.is_empty() && owners.iter().all(|id| is_rebuilt(*id));
        let is_kept = store.rebuilt_from.is_empty() && !is_again;
        if any && is_kept && objectives.rpo(at).is_none() && !objectives.owners(at).is_empty() {
            let title = format!("nobody says how much of {title} may be lost");
            findings.push(Finding::new(&NO_OBJECTIVE, name.origin, title).hint(
                "give the store an `rpo`, or a `policy` that has one, or the services whose data it \
                 is",
            ));
        }
    }
}
