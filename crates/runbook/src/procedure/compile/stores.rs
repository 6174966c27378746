//! The stores of a plan, as a run must know them when it has no plan at hand.

use std::collections::BTreeMap;

use soter_plan::language::{self, At, Method, Origin, StoreKind};

use super::Compiler;
use crate::procedure::{Store, StoreVault};

impl Compiler<'_> {
    /// All of them: a target may bind any.
    pub(super) fn stores(&self) -> BTreeMap<String, Store> {
        let stores = self.plan.stores.iter();
        stores.map(|(name, written)| (name.value.clone(), self.store_of(written))).collect()
    }

    fn store_of(&self, written: &language::Store) -> Store {
        let copies = written.copies.iter();
        let soter = copies.filter(|copy| copy.method.is_some_and(|of| of.value == Method::Soter));
        let named = written.vaults.iter().chain(soter.filter_map(|copy| copy.to.as_ref()));
        let mut vaults: Vec<StoreVault> = Vec::new();
        for name in named {
            let url = self.plan.vaults.get(&name.value).and_then(|vault| vault.url.as_ref());
            let is_new = vaults.iter().all(|known| known.name != name.value);
            if let Some(url) = url.filter(|_| is_new) {
                vaults.push(StoreVault { name: name.value.clone(), url: url.value.clone() });
            }
        }
        Store {
            kind: written.kind.map(|kind| kind.value.word().to_owned()).unwrap_or_default(),
            connection: written.connection.as_ref().map(|at| at.value.to_string()),
            data_directory: written.data_directory.as_ref().map(|at| at.value.0.clone()),
            vaults,
        }
    }

    /// The store that a query is put to: the one it names, else the only one that takes queries.
    pub(super) fn queried(
        &mut self,
        named: Option<&At<String>>,
        origin: Option<Origin>,
    ) -> Option<String> {
        if let Some(named) = named {
            self.store(Some(named));
            return Some(named.value.clone());
        }
        let takes_queries = |store: &language::Store| {
            store.kind.is_some_and(|kind| kind.value == StoreKind::Postgres)
        };
        let stores = self.plan.stores.iter().filter(|(_, store)| takes_queries(store));
        let names: Vec<&str> = stores.map(|(name, _)| name.value.as_str()).collect();
        if let [only] = names.as_slice() {
            return Some((*only).to_owned());
        }
        let what =
            format!("it is not said which store a query is put to: {} take some", names.len());
        let hint = match names.as_slice() {
            [] => "a store of `kind: postgres` takes queries".to_owned(),
            names => format!("add `store: …`, one of: {}", names.join(", ")),
        };
        self.complain(origin, what, hint);
        None
    }
}
