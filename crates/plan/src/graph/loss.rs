//! What a loss takes down: domains, the stores and vaults in them, services, and all that need those.

use super::{DomainId, Domains, Graph, ServiceId};
use crate::language::{At, Scenario};

/// What happened.
#[derive(Debug, Clone, Default)]
pub struct Cause<'p> {
    /// Failure domains that are gone.
    pub domains: Vec<DomainId>,
    /// Stores whose data is gone or wrong, beyond those in lost domains.
    pub destroys: Vec<&'p str>,
    /// Services that are down, beyond those in lost domains.
    pub stops: Vec<&'p str>,
}

/// Why a service is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// It lies in domains that are gone.
    Domains,
    /// It was stopped by what happened.
    Stopped,
    /// Its data is gone: the store, by its place in the plan.
    Store(usize),
    /// Something that it needs is down.
    Needs(ServiceId),
}

/// What is gone.
#[derive(Debug, Clone)]
pub struct Loss {
    /// By [`DomainId::index`]: containment is counted in.
    pub domains: Vec<bool>,
    /// By the place of the store in the plan: its living data is gone.
    pub stores: Vec<bool>,
    /// By the place of the vault in the plan.
    pub vaults: Vec<bool>,
    /// By service; none: it works.
    pub services: Vec<Option<Down>>,
}

impl<'p> Cause<'p> {
    /// What a scenario says happened.
    pub fn of(scenario: &'p Scenario, domains: &Domains<'_>) -> Self {
        fn names(list: &[At<String>]) -> Vec<&str> {
            list.iter().map(|name| name.value.as_str()).collect()
        }
        Self {
            domains: scenario.loses.iter().filter_map(|name| domains.id(&name.value)).collect(),
            destroys: names(&scenario.destroys),
            stops: names(&scenario.stops),
        }
    }

    /// Whether nothing happened, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.destroys.is_empty() && self.stops.is_empty()
    }
}

impl Loss {
    /// What is gone when that happened.
    pub fn of(graph: &Graph<'_>, domains: &Domains<'_>, cause: &Cause<'_>) -> Self {
        let plan = graph.plan();
        let lost = domains.closure(&cause.domains);
        let beyond = |names: &[At<String>], survives: Option<At<u32>>| {
            let survives = survives.map_or(0, |count| count.value as usize);
            domains.count_lost(names, &lost) > survives
        };
        let mut stores: Vec<bool> =
            plan.stores.iter().map(|(_, store)| beyond(&store.domains, store.survives)).collect();
        for at in cause.destroys.iter().filter_map(|name| plan.stores.position(name)) {
            stores[at] = true;
        }
        let vaults = plan.vaults.iter().map(|(_, vault)| beyond(&vault.domains, None)).collect();
        let mut services = vec![None; graph.len()];
        for id in graph.ids() {
            let service = graph.service(id).1;
            let gone = service
                .state
                .iter()
                .filter_map(|store| plan.stores.position(&store.value))
                .find(|at| stores[*at]);
            services[id.index()] = if beyond(&service.domains, service.survives) {
                Some(Down::Domains)
            } else {
                gone.map(Down::Store)
            };
        }
        for id in cause.stops.iter().filter_map(|name| graph.id(name)) {
            services[id.index()].get_or_insert(Down::Stopped);
        }
        let mut loss = Self { domains: lost, stores, vaults, services };
        loss.spread(graph);
        loss
    }

    /// Takes more services down, and all that need them.
    pub fn stop(&mut self, graph: &Graph<'_>, ids: impl IntoIterator<Item = ServiceId>) {
        for id in ids {
            self.services[id.index()].get_or_insert(Down::Stopped);
        }
        self.spread(graph);
    }

    /// The services that are down, as declared.
    pub fn down(&self) -> impl Iterator<Item = (ServiceId, Down)> {
        let all = self.services.iter().enumerate();
        all.filter_map(|(at, down)| down.map(|why| (ServiceId::new(at), why)))
    }

    /// Whether everything works.
    pub fn is_nothing(&self) -> bool {
        self.services.iter().all(Option::is_none) && !self.stores.contains(&true)
    }

    /// Whoever needs what is down is down; the reason told is the way that is shortest, so that the
    /// reasons lead to what was lost and never round in a circle.
    fn spread(&mut self, graph: &Graph<'_>) {
        for down in &mut self.services {
            down.take_if(|down| matches!(down, Down::Needs(_)));
        }
        let mut work: Vec<ServiceId> = self.down().map(|(id, _)| id).collect();
        while !work.is_empty() {
            let mut next: Vec<ServiceId> = Vec::new();
            // Of several needs that are down for the same number of steps the first name is told.
            work.sort_by_key(|id| graph.name(*id));
            for &id in &work {
                for &user in graph.needed_by(id) {
                    let down = &mut self.services[user.index()];
                    if down.is_none() {
                        *down = Some(Down::Needs(id));
                        next.push(user);
                    }
                }
            }
            work = next;
        }
    }
}
