//! Failure domains: what fails together, and what lies in what.
//!
//! A domain that is only named, by a service, a store or a vault, is one too.

use std::collections::HashMap;

use crate::language::{At, Domain, Plan};

/// A failure domain, by its place in the order of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(u32);

/// The failure domains of a plan.
#[derive(Debug)]
pub struct Domains<'p> {
    plan: &'p Plan,
    /// By name, so that ids do not depend on the order of declaration.
    names: Vec<&'p At<String>>,
    ids: HashMap<&'p str, DomainId>,
    within: Vec<Option<DomainId>>,
}

impl DomainId {
    /// Its place in the order of names.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl<'p> Domains<'p> {
    /// All domains that are declared or named.
    pub fn new(plan: &'p Plan) -> Self {
        let declared = plan.domains.iter().map(|(name, _)| name);
        let within = plan.domains.iter().filter_map(|(_, domain)| domain.within.as_ref());
        let services = plan.services.iter().flat_map(|(_, service)| &service.domains);
        let stores = plan.stores.iter().flat_map(|(_, store)| &store.domains);
        let vaults = plan.vaults.iter().flat_map(|(_, vault)| &vault.domains);
        let channels = plan.channels.iter().flat_map(|(_, channel)| &channel.domains);
        let lost = plan.scenarios.iter().flat_map(|(_, scenario)| &scenario.loses);
        let all = declared.chain(within).chain(services).chain(stores).chain(vaults);
        let mut names: Vec<&At<String>> = all.chain(channels).chain(lost).collect();
        // The declaration comes first among equals: the sort is stable.
        names.sort_by_key(|name| name.value.as_str());
        names.dedup_by_key(|name| name.value.as_str());
        let ids: HashMap<&str, DomainId> =
            (0..).zip(&names).map(|(at, name)| (name.value.as_str(), DomainId(at))).collect();
        let within = names
            .iter()
            .map(|name| plan.domains.get(&name.value)?.within.as_ref())
            .map(|outer| ids.get(outer?.value.as_str()).copied())
            .collect();
        Self { plan, names, ids, within }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All of them, by name.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = DomainId> + use<> {
        (0..u32::try_from(self.names.len()).unwrap_or(u32::MAX)).map(DomainId)
    }

    /// The domain of that name.
    pub fn id(&self, name: &str) -> Option<DomainId> {
        self.ids.get(name).copied()
    }

    /// Its name, where it was declared or first used.
    pub fn name(&self, id: DomainId) -> &'p At<String> {
        self.names[id.index()]
    }

    /// What people call it.
    pub fn title(&self, id: DomainId) -> &'p str {
        let titled = self.declared(id).and_then(|domain| domain.title.as_ref());
        titled.map_or(&self.name(id).value, |title| &title.value)
    }

    /// Its declaration, if it has one.
    pub fn declared(&self, id: DomainId) -> Option<&'p Domain> {
        self.plan.domains.get(&self.name(id).value)
    }

    /// The domain and all it lies in, from the inside out.
    pub fn outward(&self, id: DomainId) -> Vec<DomainId> {
        let mut way = vec![id];
        let mut at = id;
        while let Some(outer) = self.within[at.index()] {
            // A domain that lies in itself is a mistake that S0109 tells.
            if way.contains(&outer) {
                break;
            }
            way.push(outer);
            at = outer;
        }
        way
    }

    /// What is gone when these are: they and all that lie in them, by [`DomainId::index`].
    pub fn closure(&self, lost: &[DomainId]) -> Vec<bool> {
        let mut gone = vec![None; self.names.len()];
        for id in lost {
            gone[id.index()] = Some(true);
        }
        for id in self.ids() {
            let mut way = vec![id];
            let mut at = id;
            let outcome = loop {
                if let Some(known) = gone[at.index()] {
                    break known;
                }
                match self.within[at.index()] {
                    Some(outer) if !way.contains(&outer) => {
                        way.push(outer);
                        at = outer;
                    }
                    _ => break false,
                }
            };
            for on_way in way {
                gone[on_way.index()].get_or_insert(outcome);
            }
        }
        gone.into_iter().map(|gone| gone.unwrap_or(false)).collect()
    }

    /// How many of these are among the lost ones.
    pub fn count_lost(&self, names: &[At<String>], lost: &[bool]) -> usize {
        let known = names.iter().filter_map(|name| self.id(&name.value));
        known.filter(|id| lost.get(id.index()).copied().unwrap_or(false)).count()
    }
}
