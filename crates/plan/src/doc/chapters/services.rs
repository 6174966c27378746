//! Services by tier, what each needs, the order in which they come back, and what can fail.

use std::collections::BTreeMap;

use super::super::inline::{Line, listed, own, words};
use super::super::page::Page;
use super::super::words::length;
use super::{Book, is, maybe};
use crate::graph::{Graph, ServiceId};
use crate::language::{At, Domain};

pub(super) fn write(book: &Book<'_>, page: &mut Page) {
    let graph = &book.objectives.graph;
    if !graph.is_empty() {
        page.chapter("Services");
        by_tier(book, page);
        order(book, page);
    }
    domains(book, page);
}

fn by_tier(book: &Book<'_>, page: &mut Page) {
    let graph = &book.objectives.graph;
    let (external, mut ours): (Vec<_>, Vec<_>) =
        graph.ids().partition(|id| is(graph.service(*id).1.external));
    for (name, title, tier) in book.plan.tiers.titled() {
        let of_tier =
            |id: &ServiceId| graph.tier(*id).is_some_and(|(at, _)| at.value == name.value);
        let (members, others): (Vec<_>, Vec<_>) = ours.into_iter().partition(of_tier);
        ours = others;
        page.part(title, None);
        page.say(maybe(tier.meaning.as_ref()));
        table(book, page, &members);
    }
    if !ours.is_empty() {
        if !book.plan.tiers.is_empty() {
            page.part("Without a tier", None);
        }
        table(book, page, &ours);
    }
    if !external.is_empty() {
        page.part("Run by others", None);
        table(book, page, &external);
    }
}

fn table(book: &Book<'_>, page: &mut Page, members: &[ServiceId]) {
    let graph = &book.objectives.graph;
    let rows = members.iter().map(|id| {
        let (_, service) = graph.service(*id);
        let rpo = match graph.rpo(*id) {
            Some(rpo) => length(rpo.value),
            None if is(service.stateless) => "no data".to_owned(),
            None => String::new(),
        };
        let owner = service.owner.as_ref().map_or_else(Line::new, |owner| book.who(&owner.value));
        let mut data = book.whats(&service.state);
        if data.is_empty() && !service.rebuilt_from.is_empty() {
            data = own("made again from ").then("", book.whats(&service.rebuilt_from));
        }
        vec![
            Line::new().strong(graph.title(*id)).below(maybe(service.about.as_ref())),
            own(&graph.rto(*id).map_or_else(String::new, |rto| length(rto.value))),
            own(&rpo),
            book.whats(&service.needs),
            data,
            owner,
        ]
    });
    page.table(&["Service", "RTO", "RPO", "Needs", "Data", "Owner"], rows.collect());
}

/// In waves: each needs only what is in those before it.
fn order(book: &Book<'_>, page: &mut Page) {
    let graph = &book.objectives.graph;
    let mut waves: BTreeMap<usize, Vec<ServiceId>> = BTreeMap::new();
    for (id, wave) in graph.ids().zip(waves_of(graph)) {
        if !is(graph.service(id).1.external) {
            waves.entry(wave).or_default().push(id);
        }
    }
    if waves.len() < 2 {
        return;
    }
    page.part("Order of recovery", None);
    page.say(own("Each row needs only what stands above it; within a row all come back at once."));
    let rows = waves.into_values().zip(1..).map(|(ids, number)| {
        let number: u32 = number;
        vec![own(&number.to_string()), listed(ids.iter().map(|id| words(graph.title(*id))))]
    });
    page.table(&["", "Services"], rows.collect());
}

/// For each service how many needs stand before it; services that need each other come together.
fn waves_of(graph: &Graph<'_>) -> Vec<usize> {
    let mut waves = vec![None; graph.len()];
    for together in graph.components() {
        let needs = together.iter().flat_map(|id| graph.needs(*id));
        // A service of the same knot has no wave yet.
        let before = needs.filter_map(|need| waves[need.index()]);
        let wave: usize = before.map(|wave: usize| wave + 1).max().unwrap_or(0);
        for id in together {
            waves[id.index()] = Some(wave);
        }
    }
    waves.into_iter().map(Option::unwrap_or_default).collect()
}

fn domains(book: &Book<'_>, page: &mut Page) {
    let plan = book.plan;
    if plan.domains.is_empty() {
        return;
    }
    page.chapter("What can fail");
    let mut lost_by: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, scenario) in plan.scenarios.iter() {
        for lost in &scenario.loses {
            lost_by.entry(&lost.value).or_insert(&name.value);
        }
    }
    let answer = |name: &At<String>, domain: &Domain| {
        let named = domain.scenario.as_ref().map(|name| name.value.as_str());
        let scenario = named.or_else(|| lost_by.get(name.value.as_str()).copied());
        let scenario = scenario.map_or_else(Line::new, |name| words(plan.scenarios.title(name)));
        let accepted = domain.accepted.as_ref();
        scenario.below(
            accepted.map_or_else(Line::new, |why| own("Accepted: ").then("", words(&why.value))),
        )
    };
    let rows = plan.domains.titled().map(|(name, title, domain)| {
        let within = domain.within.as_ref();
        vec![
            Line::new().strong(title),
            words(domain.kind.map_or("", |kind| kind.value.word())),
            within.map_or_else(Line::new, |name| words(plan.domains.title(&name.value))),
            answer(name, domain),
        ]
    });
    page.table(&["Failure domain", "Kind", "Within", "Answer"], rows.collect());
}
