//! S0201 and S0212: data that nothing copies, or only what follows it at once.

use super::{NO_BACKUP, REPLICA_ONLY};
use crate::check::{Finding, Model};
use crate::graph::{Graph, ServiceId};
use crate::language::{Method, Service, Store};
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let objectives = &model.objectives;
    for (at, (name, title, store)) in model.plan.stores.titled().enumerate() {
        if is_made_again(model, at, store) {
            continue;
        }
        let kept = objectives.copies(store);
        let follows = |method| matches!(method, Some(Method::Replica | Method::Versions));
        if kept.is_empty() {
            let lost = objectives.rpo(at).map_or_else(String::new, |(rpo, _)| {
                format!(", although at most {} may be lost", format_duration(rpo.value))
            });
            let words = format!("nothing copies {title}{lost}");
            findings.push(
                Finding::new(&NO_BACKUP, name.origin, words)
                    .here("no copy, no policy, no vault")
                    .hint(
                        "give it `copies` or `vaults`, or a `policy`; if it can be made again, say \
                         `rebuilt_from`",
                    ),
            );
        } else if kept.iter().all(|kept| follows(kept.method)) {
            let words = format!("{title} has no copy that stays as it was, only what follows it");
            let mut finding = Finding::new(&REPLICA_ONLY, kept[0].origin, words);
            for kept in kept.iter().skip(1) {
                finding = finding.label(kept.origin, "follows too");
            }
            findings.push(finding.hint(
                "add a copy on a schedule, kept longer than a mistake goes unnoticed, in another \
                 failure domain",
            ));
        }
    }
    for id in objectives.graph.ids() {
        findings.extend(without_store(model, id));
    }
}

fn is_made_again(model: &Model<'_>, at: usize, store: &Store) -> bool {
    let graph = &model.objectives.graph;
    let owners = model.objectives.owners(at);
    let is = |id: &ServiceId| {
        let service = graph.service(*id).1;
        is_true(service.external) || is_true(service.stateless) || !service.rebuilt_from.is_empty()
    };
    !store.rebuilt_from.is_empty() || (!owners.is_empty() && owners.iter().all(is))
}

fn is_true(flag: Option<crate::language::At<bool>>) -> bool {
    flag.is_some_and(|flag| flag.value)
}

/// A service that promises a recovery point and has no data, and needs nobody who has.
fn without_store(model: &Model<'_>, id: ServiceId) -> Option<Finding> {
    let graph = &model.objectives.graph;
    let service = graph.service(id).1;
    let rpo = service.rpo?;
    let is_free = is_true(service.stateless) || is_true(service.external);
    if is_free || !service.state.is_empty() || !service.rebuilt_from.is_empty() {
        return None;
    }
    if data_may_be_elsewhere(graph, id, service) {
        return None;
    }
    let title = graph.title(id);
    let words = format!(
        "{title} may lose at most {}, and nothing says where its data is or what copies it",
        format_duration(rpo.value)
    );
    Some(Finding::new(&NO_BACKUP, rpo.origin, words).here(format!("{title} holds data")).hint(
        format!(
            "declare the store and name it in `state` of {title}, with its copies; if it holds \
             nothing that must be kept, say `stateless: yes`"
        ),
    ))
}

/// Its data may be kept by what it needs; what is not declared may be that.
fn data_may_be_elsewhere(graph: &Graph<'_>, id: ServiceId, service: &Service) -> bool {
    let has_data = |need: &ServiceId| {
        let needed = graph.service(*need).1;
        !needed.state.is_empty() || needed.rpo.is_some()
    };
    graph.needs(id).iter().any(has_data)
        || !service.writes.is_empty()
        || service.needs.iter().any(|need| graph.id(&need.value).is_none())
}
