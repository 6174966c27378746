//! What scripts bring back, by what is known of their programs.
//!
//! The rule it keeps: a command counts for a store only if the plan has exactly one store of that
//! product. Two databases and one `pg_restore` prove nothing.

use std::collections::HashMap;

use super::Objectives;
use crate::graph::{Graph, ServiceId};
use crate::language::{Plan, Script};
use crate::products::{FactKind, Invocation, recognise};

/// The stores and services that a script brings back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BroughtBack {
    pub(super) stores: Vec<usize>,
    pub(super) services: Vec<ServiceId>,
}

pub(super) fn brought_back(objectives: &Objectives<'_>, script: &Script) -> BroughtBack {
    let shell = objectives.shell(script);
    let of_product = || objectives.of_product.get_or_init(|| StoresByProduct::of(objectives.plan));
    let mut found = BroughtBack::default();
    for invocation in shell.commands.iter().filter_map(Invocation::of) {
        for fact in invocation.facts(FactKind::Restores) {
            let program = &invocation.program;
            let texts = fact.what.iter().chain(&program.needs);
            let names = texts.map(String::as_str).chain(invocation.command.program());
            let mut stores = names.filter_map(|text| of_product().only(text));
            found.stores.extend(stores.next());
        }
        if invocation.fact(FactKind::Starts).is_some() {
            let operands = invocation.operands.iter();
            found
                .services
                .extend(operands.filter_map(|word| service(&objectives.graph, &word.text)));
        }
    }
    found.stores.sort_unstable();
    found.stores.dedup();
    found.services.sort_unstable();
    found.services.dedup();
    found
}

/// The stores of each product, by their place in the plan.
#[derive(Debug)]
pub(super) struct StoresByProduct(HashMap<String, Vec<usize>>);

impl StoresByProduct {
    fn of(plan: &Plan) -> Self {
        let mut found: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, (_, title, store)) in plan.stores.titled().enumerate() {
            let named = match &store.product {
                Some(name) => Some(name.value.as_str()),
                None => recognise(title).and_then(|known| known.name.as_deref()),
            };
            let by_kind = store.kind.map(|kind| kind.value.word());
            let both = named.into_iter().chain(by_kind.filter(|kind| named != Some(*kind)));
            for product in both {
                found.entry(product.to_owned()).or_default().push(at);
            }
        }
        Self(found)
    }

    /// The only store of the product that a text speaks of.
    fn only(&self, text: &str) -> Option<usize> {
        let product = recognise(text)?.name.as_deref()?;
        match self.0.get(product)?.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }
}

/// The service that a command calls by its name: `deployment/zeus`, `zeus`.
fn service(graph: &Graph<'_>, word: &str) -> Option<ServiceId> {
    let name = word.rsplit('/').next().unwrap_or(word);
    let also =
        || graph.ids().find(|id| graph.service(*id).1.also.iter().any(|also| also.value == name));
    graph.id(name).or_else(also)
}
