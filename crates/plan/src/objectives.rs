//! The arithmetic of promises: how long a recovery takes, and how much it loses.
//!
//! The rule it keeps: every figure is a sum of parts, and each part says whether the plan declares
//! it, somebody measured it, or it is an assumption, and which one. What is not known makes a figure
//! a lower bound; it is never filled in.

pub(crate) mod copies;
mod figure;
pub(crate) mod human;
pub(crate) mod points;
mod scripted;
mod sheet;
pub(crate) mod timeline;
mod what_if;

#[cfg(test)]
mod tests;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::graph::{Domains, Graph, Loss, Objective, Path, ServiceId, Work};
use crate::language::{At, Origin, Percent, Plan, Rate, Scenario, Script, Store};
use crate::shell::{Shell, Shells};
use crate::units::ByteSize;

use scripted::StoresByProduct;

pub use copies::{Interval, Kept, Schedules};
pub use figure::{Basis, Figure, Part};
pub use points::{Loses, Threat};
pub use sheet::{Page, ServiceLine, Sheet, StoreLine};
pub use timeline::{Back, How, Milestone, Moment, Span, Timeline};
pub use what_if::{DownLine, Matrix, Outcome, Row, Verdict};

/// A number of `assumptions`, or what it is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumed<T> {
    /// The number.
    pub value: T,
    /// Where the plan says it; none: it is what Soter takes.
    pub origin: Option<Origin>,
}

/// The numbers nobody measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumptions {
    /// Until somebody notices.
    pub detect: Assumed<Duration>,
    /// Until people agree that it is a disaster.
    pub declare: Assumed<Duration>,
    /// How long an attacker was inside.
    pub dwell: Assumed<Duration>,
    /// How fast data comes back.
    pub restore_rate: Assumed<Rate>,
    /// From the start of a service until it answers.
    pub start: Assumed<Duration>,
    /// The share of an objective that stays free.
    pub margin: Assumed<Percent>,
}

impl Assumptions {
    /// Those of the plan, and what its gaps are taken for.
    pub fn of(plan: &Plan) -> Self {
        fn or<T>(written: Option<At<T>>, taken: T) -> Assumed<T> {
            match written {
                Some(at) => Assumed { value: at.value, origin: Some(at.origin) },
                None => Assumed { value: taken, origin: None },
            }
        }
        let of = plan.assumptions.as_ref();
        let day = Duration::from_hours(24);
        Self {
            detect: or(of.and_then(|of| of.detect), Duration::from_mins(5)),
            declare: or(of.and_then(|of| of.declare), Duration::from_mins(10)),
            dwell: or(of.and_then(|of| of.dwell), day * 30),
            restore_rate: or(
                of.and_then(|of| of.restore_rate),
                Rate { bytes_per_second: 50 << 20 },
            ),
            start: or(of.and_then(|of| of.start), Duration::from_mins(1)),
            margin: or(of.and_then(|of| of.margin), Percent(10)),
        }
    }

    /// What must stay free of an objective.
    pub fn margin_of(&self, objective: Duration) -> Duration {
        objective.saturating_mul(self.margin.value.0) / 100
    }
}

/// How long it takes until a store's data is back, if its size is known.
pub fn restore(store: &Store, title: &str, assumptions: &Assumptions) -> Option<Part> {
    let size = store.size?;
    let (rate, basis) = match store.restore_rate {
        Some(rate) => (rate.value, Basis::Measured),
        None => (assumptions.restore_rate.value, Basis::Assumed("restore_rate")),
    };
    let seconds = size.value.0.div_ceil(rate.bytes_per_second.max(1));
    let what = format!("restoring {} of {title} at {rate}", ByteSize(size.value.0));
    let part = Part::new(what, Duration::from_secs(seconds), basis);
    Some(Part { origin: Some(size.origin), ..part })
}

/// From the start of a service until it answers. What others run is not started by anybody here.
pub fn start(graph: &Graph<'_>, id: ServiceId, assumptions: &Assumptions) -> Option<Part> {
    let service = graph.service(id).1;
    let what = format!("start of {}", graph.title(id));
    if service.external.is_some_and(|external| external.value) {
        return None;
    }
    Some(match service.start {
        Some(start) => Part::declared(what, start),
        None => Part::assumed(what, "start", assumptions.start),
    })
}

/// The longest restore among the stores of a service: they come back side by side.
pub fn restore_of(graph: &Graph<'_>, id: ServiceId, assumptions: &Assumptions) -> Option<Part> {
    let plan = graph.plan();
    let stores = graph.service(id).1.state.iter();
    let parts = stores.filter_map(|name| {
        let store = plan.stores.get(&name.value)?;
        restore(store, plan.stores.title(&name.value), assumptions)
    });
    parts.max_by_key(|part| part.length)
}

/// The critical path of the whole plan when everything is started anew: no scenario, no people.
pub fn path(graph: &Graph<'_>, assumptions: &Assumptions) -> Path {
    let length = |part: Option<Part>| part.map_or(Duration::ZERO, |part| part.length);
    let work: Vec<Work> = graph
        .ids()
        .map(|id| Work {
            restore: length(restore_of(graph, id, assumptions)),
            start: length(start(graph, id, assumptions)),
        })
        .collect();
    let rto: Vec<_> = graph.ids().map(|id| graph.rto(id).map(|rto| rto.value)).collect();
    Path::new(graph, &work, &rto)
}

/// The arithmetic of one plan: what all its rules and commands reckon with.
#[derive(Debug)]
pub struct Objectives<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// Its services.
    pub graph: Graph<'p>,
    /// Its failure domains.
    pub domains: Domains<'p>,
    /// What nobody measured.
    pub assumptions: Assumptions,
    schedules: Schedules,
    /// By the place of the store in the plan: the services whose data it holds.
    owners: Vec<Vec<ServiceId>>,
    /// By product: the stores of it.
    of_product: OnceCell<StoresByProduct>,
    /// The scripts of the plan, read once.
    shells: Shells,
    /// By scenario: what its steps bring back.
    milestones: RefCell<HashMap<usize, Vec<Milestone>>>,
}

impl<'p> Objectives<'p> {
    /// Of a plan.
    pub fn new(plan: &'p Plan) -> Self {
        let graph = Graph::new(plan);
        let mut owners = vec![Vec::new(); plan.stores.len()];
        for id in graph.ids() {
            let state = graph.service(id).1.state.iter();
            for at in state.filter_map(|name| plan.stores.position(&name.value)) {
                owners[at].push(id);
            }
        }
        Self {
            plan,
            graph,
            domains: Domains::new(plan),
            assumptions: Assumptions::of(plan),
            schedules: Schedules::default(),
            owners,
            of_product: OnceCell::new(),
            shells: Shells::default(),
            milestones: RefCell::default(),
        }
    }

    /// What a script of the plan would do.
    pub(crate) fn shell(&self, script: &Script) -> Rc<Shell> {
        self.shells.of(&script.text)
    }

    /// The services whose data a store holds.
    pub fn owners(&self, store: usize) -> &[ServiceId] {
        self.owners.get(store).map_or(&[], Vec::as_slice)
    }

    /// How much of a store may be lost: its own word, its policy's, or that of the strictest service
    /// whose data it holds; with who says so.
    pub fn rpo(&self, at: usize) -> Option<(Objective, &'p str)> {
        let (name, store) = self.plan.stores.at(at)?;
        let own =
            |rpo: At<Duration>| Objective { value: rpo.value, origin: rpo.origin, of_tier: false };
        if let Some(rpo) = store.rpo {
            return Some((own(rpo), self.plan.stores.title(&name.value)));
        }
        let policy = store.policy.as_ref().map(|policy| policy.value.as_str());
        if let Some(policy) = policy
            && let Some(rpo) = self.plan.policies.get(policy).and_then(|policy| policy.rpo)
        {
            return Some((own(rpo), self.plan.policies.title(policy)));
        }
        let of_services = self.owners(at).iter().filter_map(|id| {
            let rpo = self.graph.rpo(*id)?;
            Some((rpo, self.graph.title(*id)))
        });
        of_services.min_by_key(|(rpo, title)| (rpo.value, *title))
    }

    /// All copies of a store.
    pub fn copies(&self, store: &'p Store) -> Vec<Kept<'p>> {
        copies::of(self.plan, store)
    }

    /// The longest time between two copies, if the plan says it.
    pub fn interval(&self, kept: &Kept<'_>) -> Option<Interval> {
        kept.interval(&self.schedules)
    }

    /// How much of a store is lost.
    pub fn loses(&self, store: &'p Store, threat: &Threat<'_>) -> Loses<'p> {
        Loses::of(self.plan, store, threat, (&self.copies(store), &self.schedules))
    }

    /// How much is lost with some of the copies only.
    pub fn loses_with(
        &self,
        store: &'p Store,
        threat: &Threat<'_>,
        kept: &[Kept<'p>],
    ) -> Loses<'p> {
        Loses::of(self.plan, store, threat, (kept, &self.schedules))
    }

    /// The critical path of the whole plan.
    pub fn path(&self) -> Path {
        path(&self.graph, &self.assumptions)
    }

    /// A scenario in time.
    pub fn timeline(&self, scenario: &'p Scenario) -> Timeline<'p> {
        let milestones = self.milestones(scenario);
        Timeline::new(&self.graph, &self.domains, scenario, milestones, &self.assumptions)
    }

    /// A scenario carried out after another loss.
    pub fn timeline_after(&self, scenario: &'p Scenario, loss: Loss) -> Timeline<'p> {
        let milestones = self.milestones(scenario);
        Timeline::after(&self.graph, scenario, loss, milestones, &self.assumptions)
    }

    /// The steps of a scenario of this plan that bring something back.
    pub fn milestones(&self, scenario: &'p Scenario) -> Vec<Milestone> {
        // A scenario of the plan stays where it is as long as the plan is borrowed.
        let place = std::ptr::from_ref(scenario).addr();
        if let Some(known) = self.milestones.borrow().get(&place) {
            return known.clone();
        }
        let found = timeline::milestones(self, scenario);
        self.milestones.borrow_mut().insert(place, found.clone());
        found
    }
}
