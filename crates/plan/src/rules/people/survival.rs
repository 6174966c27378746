//! What is still there in a scenario: domains, services, and the channels that need them.
//!
//! The rule it keeps: what the plan does not place is taken to survive; only what is said is held
//! against a channel.

use std::collections::BTreeSet;

use super::directory::{Directory, Who};
use crate::check::Model;
use crate::graph::{self, Down, Loss};
use crate::language::{At, Channel, Scenario};

/// What a scenario takes away.
pub(crate) struct Losses<'m, 'p> {
    model: &'m Model<'p>,
    loss: Loss,
}

/// Why something is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause<'p> {
    /// The place that says so.
    pub(crate) at: &'p At<String>,
    /// The chain that leads there, in words.
    pub(crate) because: String,
}

impl<'m, 'p> Losses<'m, 'p> {
    pub(crate) fn new(model: &'m Model<'p>, scenario: &'p Scenario) -> Self {
        let (graph, domains) = (&model.objectives.graph, &model.objectives.domains);
        let loss = Loss::of(graph, domains, &graph::Cause::of(scenario, domains));
        Self { model, loss }
    }

    /// Whether it takes anything away at all.
    pub(crate) fn is_empty(&self) -> bool {
        !self.loss.domains.contains(&true) && self.loss.is_nothing()
    }

    /// The first of these domains that is lost.
    fn domain(&self, domains: &'p [At<String>]) -> Option<&'p At<String>> {
        let known = &self.model.objectives.domains;
        domains
            .iter()
            .find(|name| known.id(&name.value).is_some_and(|id| self.loss.domains[id.index()]))
    }

    /// Why a service is down: it runs where nothing is left, it was stopped, its data is gone, or it
    /// needs one that is down.
    fn service(&self, name: &'p At<String>) -> Option<Cause<'p>> {
        let graph = &self.model.objectives.graph;
        let (mut at, mut id) = (name, graph.id(&name.value)?);
        let mut way = vec![format!("`{}`", name.value)];
        loop {
            let service = graph.service(id).1;
            let why = match self.loss.services[id.index()]? {
                Down::Needs(need) => {
                    let needed = graph.name(need);
                    at = service.needs.iter().find(|own| own.value == needed).unwrap_or(at);
                    way.push(format!("`{needed}`"));
                    id = need;
                    continue;
                }
                Down::Domains => match self.domain(&service.domains) {
                    Some(domain) => format!("which runs in `{}`", domain.value),
                    None => "which runs in what is lost".to_owned(),
                },
                Down::Store(store) => {
                    let store = self.model.plan.stores.at(store);
                    format!("whose data `{}` is gone", store.map_or("", |(name, _)| &name.value))
                }
                Down::Stopped => "which stands still".to_owned(),
            };
            return Some(Cause { at, because: format!("{} {why}", way.join(", that needs ")) });
        }
    }

    /// Why a channel itself is down, whatever takes over for it.
    pub(crate) fn channel(&self, channel: &'p Channel) -> Option<Cause<'p>> {
        if let Some(at) = self.domain(&channel.domains) {
            return Some(Cause { at, because: format!("it lies in `{}`", at.value) });
        }
        channel
            .needs
            .iter()
            .find_map(|need| self.service(need))
            .map(|cause| Cause { because: format!("it needs {}", cause.because), ..cause })
    }

    /// Why neither a channel nor what takes over for it works.
    pub(crate) fn with_fallback(
        &self,
        channel: &'p Channel,
        directory: &Directory<'p>,
    ) -> Option<Cause<'p>> {
        let cause = self.channel(channel)?;
        let mut seen = BTreeSet::new();
        let mut next = channel.fallback.as_ref();
        while let Some(name) = next.filter(|name| seen.insert(name.value.as_str())) {
            match directory.find(&name.value).map(|entry| entry.who) {
                Some(Who::Channel(other)) => {
                    self.channel(other)?;
                    next = other.fallback.as_ref();
                }
                // What is no channel of the plan is not known to fail.
                _ => return None,
            }
        }
        Some(cause)
    }
}
