//! Services and what they need, as numbers: order, cycles, times, and what a loss takes down.
//!
//! The rule it keeps: the order of declaration changes nothing, and everything is linear in services
//! and edges. What is unknown is left out, not guessed; the rules say what that means.

/// Adds a line to a text.
macro_rules! line {
    ($text:expr, $($words:tt)+) => {{
        $text.push_str(&format!($($words)+));
        $text.push('\n');
    }};
}

mod cycles;
pub(crate) mod domains;
pub(crate) mod loss;
pub(crate) mod path;
pub(crate) mod view;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use line;

use crate::language::{At, Origin, Plan, Service, Tier};

pub use cycles::Cycle;
pub use domains::{DomainId, Domains};
pub use loss::{Cause, Down, Loss};
pub use path::{Path, Slack, Times, Work};
pub use view::{ServiceView, TierView, View};

/// A service, by its place among the services of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(u32);

/// The services of a plan and what they need.
#[derive(Debug)]
pub struct Graph<'p> {
    plan: &'p Plan,
    needs: Edges,
    needed_by: Edges,
    /// Services that need each other stand together; what is needed stands before.
    components: Vec<Vec<ServiceId>>,
    component_of: Vec<u32>,
}

/// Edges from each service, in one piece of memory.
#[derive(Debug, Default)]
struct Edges {
    starts: Vec<u32>,
    targets: Vec<ServiceId>,
}

/// An objective and where it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objective {
    /// At most so long.
    pub value: Duration,
    /// Where that was written.
    pub origin: Origin,
    /// It is that of the tier.
    pub of_tier: bool,
}

impl ServiceId {
    fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Its place among the services of the plan.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Edges {
    fn new(count: usize, pairs: &[(ServiceId, ServiceId)]) -> Self {
        let mut sorted = pairs.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut starts = vec![0; count + 1];
        for (from, _) in &sorted {
            starts[from.index() + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        Self { starts, targets: sorted.into_iter().map(|(_, to)| to).collect() }
    }

    fn of(&self, id: ServiceId) -> &[ServiceId] {
        let bounds = self.starts.get(id.index()).zip(self.starts.get(id.index() + 1));
        bounds.and_then(|(a, b)| self.targets.get(*a as usize..*b as usize)).unwrap_or(&[])
    }
}

impl<'p> Graph<'p> {
    /// The graph of a plan. Names that are declared nowhere are left out.
    pub fn new(plan: &'p Plan) -> Self {
        let services = &plan.services;
        let mut pairs = Vec::new();
        for (index, (_, service)) in services.iter().enumerate() {
            let from = ServiceId::new(index);
            let known = service.needs.iter().filter_map(|need| services.position(&need.value));
            pairs.extend(known.map(|to| (from, ServiceId::new(to))));
        }
        let back: Vec<_> = pairs.iter().map(|&(from, to)| (to, from)).collect();
        let needs = Edges::new(services.len(), &pairs);
        let needed_by = Edges::new(services.len(), &back);
        let components = cycles::components(&needs, services.len());
        let mut component_of = vec![0; services.len()];
        for (number, members) in (0..).zip(&components) {
            for member in members {
                component_of[member.index()] = number;
            }
        }
        Self { plan, needs, needed_by, components, component_of }
    }

    /// The plan.
    pub fn plan(&self) -> &'p Plan {
        self.plan
    }

    /// How many services there are.
    pub fn len(&self) -> usize {
        self.plan.services.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.plan.services.is_empty()
    }

    /// All services, as declared.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = ServiceId> + use<> {
        (0..self.len()).map(ServiceId::new)
    }

    /// The service of that name.
    pub fn id(&self, name: &str) -> Option<ServiceId> {
        self.plan.services.position(name).map(ServiceId::new)
    }

    /// Name and declaration of a service of this graph.
    pub fn service(&self, id: ServiceId) -> (&'p At<String>, &'p Service) {
        self.plan.services.at(id.index()).expect("ids are made from the services of the plan")
    }

    /// The name of a service.
    pub fn name(&self, id: ServiceId) -> &'p str {
        &self.service(id).0.value
    }

    /// What people call a service.
    pub fn title(&self, id: ServiceId) -> &'p str {
        let (name, service) = self.service(id);
        service.title.as_ref().map_or(&name.value, |title| &title.value)
    }

    /// What a service needs.
    pub fn needs(&self, id: ServiceId) -> &[ServiceId] {
        self.needs.of(id)
    }

    /// What needs a service.
    pub fn needed_by(&self, id: ServiceId) -> &[ServiceId] {
        self.needed_by.of(id)
    }

    /// How many needs there are.
    pub fn edges(&self) -> usize {
        self.needs.targets.len()
    }

    /// Where it was written that `from` needs `to`.
    pub fn need_origin(&self, from: ServiceId, to: ServiceId) -> Origin {
        let ((name, service), to) = (self.service(from), self.name(to));
        let need = service.needs.iter().find(|need| need.value == to);
        need.map_or(name.origin, |need| need.origin)
    }

    /// Services that need each other, each of them once; what is needed comes before.
    pub(crate) fn components(&self) -> &[Vec<ServiceId>] {
        &self.components
    }

    /// Whether the service needs itself, over others or at once.
    pub fn in_cycle(&self, id: ServiceId) -> bool {
        let together = self.component_of.get(id.index()).map(|at| &self.components[*at as usize]);
        together.is_some_and(|members| members.len() > 1) || self.needs(id).contains(&id)
    }

    /// The services that need each other: one cycle for each knot, however many go through it.
    pub fn cycles(&self) -> Vec<Cycle> {
        cycles::find(self)
    }

    /// The tier of a service, if it is declared.
    pub fn tier(&self, id: ServiceId) -> Option<(&'p At<String>, &'p Tier)> {
        let tier = self.service(id).1.tier.as_ref()?;
        let at = self.plan.tiers.position(&tier.value)?;
        self.plan.tiers.at(at)
    }

    /// Back after at most so long: the service's own word, else its tier's. What others run has none.
    pub fn rto(&self, id: ServiceId) -> Option<Objective> {
        let service = self.service(id).1;
        if service.external.is_some_and(|external| external.value) {
            return service.rto.map(Objective::own);
        }
        let of_tier = || self.tier(id).and_then(|(_, tier)| tier.rto).map(Objective::of_tier);
        service.rto.map(Objective::own).or_else(of_tier)
    }

    /// At most so much is lost: the service's own word, else its tier's. What is stateless has none.
    pub fn rpo(&self, id: ServiceId) -> Option<Objective> {
        let service = self.service(id).1;
        let is = |flag: Option<At<bool>>| flag.is_some_and(|flag| flag.value);
        if is(service.stateless) || (is(service.external) && service.rpo.is_none()) {
            return None;
        }
        let of_tier = || self.tier(id).and_then(|(_, tier)| tier.rpo).map(Objective::of_tier);
        service.rpo.map(Objective::own).or_else(of_tier)
    }
}

impl Objective {
    fn own(at: At<Duration>) -> Self {
        Self { value: at.value, origin: at.origin, of_tier: false }
    }

    fn of_tier(at: At<Duration>) -> Self {
        Self { value: at.value, origin: at.origin, of_tier: true }
    }
}
