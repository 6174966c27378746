//! S0201 and S0212: data that nothing copies, or only what follows it at once.

use super::{NO_BACKUP, REPLICA_ONLY};
use crate::check::{Finding, Model};
use crate::graph::{Graph, ServiceId};
use crate::language::{Method, Origin, Service, Store};
use crate::rules::words::mentions;
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let objectives = &model.objectives;
    for (at, (name, title, store)) in model.plan.stores.titled().enumerate() {
        findings.extend(called_a_cache(model, at, (name.origin, title), store));
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

/// It is said to be a cache, and a service that may lose only so much keeps its data there.
fn called_a_cache(
    model: &Model<'_>,
    at: usize,
    (origin, title): (Origin, &str),
    store: &Store,
) -> Option<Finding> {
    let said = store.rebuilt_from.iter().find(|from| mentions(&from.value, &["cache"]))?;
    if !model.objectives.copies(store).is_empty() {
        return None;
    }
    let graph = &model.objectives.graph;
    let promises = model.objectives.owners(at).iter().filter_map(|id| {
        let service = graph.service(*id).1;
        let is_free = is_true(service.stateless)
            || is_true(service.external)
            || !service.rebuilt_from.is_empty();
        let own =
            service.state.iter().find(|own| model.plan.stores.position(&own.value) == Some(at))?;
        service.rpo.filter(|_| !is_free).map(|rpo| (graph.title(*id), rpo, own.origin))
    });
    let (service, rpo, own) = promises.min_by_key(|(_, rpo, _)| rpo.value)?;
    let words = format!(
        "{title} is called a cache and not copied, and {service} keeps its data there: at most {} \
         may be lost",
        format_duration(rpo.value)
    );
    Some(
        Finding::new(&NO_BACKUP, origin, words)
            .here("no copy, no policy, no vault")
            .label(said.origin, "this is why")
            .label(own, format!("what {service} keeps its data in"))
            .label(rpo.origin, "promised here")
            .hint(
                "copy it; if everything in it stands elsewhere too, say where, and name that as the \
                 data of the service",
            ),
    )
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
    // A document may say it in words, or in a table that was not understood.
    let facts = model.facts;
    if facts.data_unread || facts.placed.contains(graph.name(id)) {
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
