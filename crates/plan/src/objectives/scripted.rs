//! What scripts bring back, by what is known of their programs.
//!
//! The rule it keeps: a command counts for a store only if the plan has exactly one store of that
//! product. Two databases and one `pg_restore` prove nothing.

use crate::graph::{Graph, ServiceId};
use crate::language::{Plan, Script, Store};
use crate::products::{FactKind, Invocation, recognise};
use crate::shell;

/// The stores and services that a script brings back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BroughtBack {
    pub(super) stores: Vec<usize>,
    pub(super) services: Vec<ServiceId>,
}

pub(super) fn brought_back(graph: &Graph<'_>, script: &Script) -> BroughtBack {
    let shell = shell::read(&script.text);
    let mut found = BroughtBack::default();
    for invocation in shell.commands.iter().filter_map(Invocation::of) {
        for fact in invocation.facts(FactKind::Restores) {
            let program = &invocation.program;
            let texts = fact.what.iter().chain(&program.needs);
            let names = texts.map(String::as_str).chain(invocation.command.program());
            let mut stores = names.filter_map(|text| only_store(graph.plan(), text));
            found.stores.extend(stores.next());
        }
        if invocation.fact(FactKind::Starts).is_some() {
            let operands = invocation.operands.iter();
            found.services.extend(operands.filter_map(|word| service(graph, &word.text)));
        }
    }
    found.stores.sort_unstable();
    found.stores.dedup();
    found.services.sort_unstable();
    found.services.dedup();
    found
}

/// The only store of the product that a text speaks of.
fn only_store(plan: &Plan, text: &str) -> Option<usize> {
    let product = recognise(text)?.name.as_deref()?;
    let mut of_product = plan
        .stores
        .titled()
        .enumerate()
        .filter(|(_, (_, title, store))| is_of(store, title, product));
    let (at, _) = of_product.next()?;
    of_product.next().is_none().then_some(at)
}

fn is_of(store: &Store, title: &str, product: &str) -> bool {
    let named = store.product.as_ref().map(|name| name.value.as_str());
    let by_kind = store.kind.map(|kind| kind.value.word());
    let by_title = || recognise(title).and_then(|known| known.name.as_deref());
    match named {
        Some(name) => name == product || by_kind == Some(product),
        None => by_kind == Some(product) || by_title() == Some(product),
    }
}

/// The service that a command calls by its name: `deployment/zeus`, `zeus`.
fn service(graph: &Graph<'_>, word: &str) -> Option<ServiceId> {
    let name = word.rsplit('/').next().unwrap_or(word);
    let also =
        || graph.ids().find(|id| graph.service(*id).1.also.iter().any(|also| also.value == name));
    graph.id(name).or_else(also)
}
