//! What is still there in a scenario: domains, services, and the channels that need them.
//!
//! The rule it keeps: what the plan does not place is taken to survive; only what is said is held
//! against a channel.

use std::collections::{BTreeMap, BTreeSet};

use super::directory::{Directory, Who};
use crate::language::{At, Channel, Plan, Scenario};

/// What a scenario takes away.
pub(crate) struct Losses<'p> {
    plan: &'p Plan,
    lost: BTreeSet<&'p str>,
    stopped: BTreeSet<&'p str>,
}

/// Why something is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause<'p> {
    /// The place that says so.
    pub(crate) at: &'p At<String>,
    /// The chain that leads there, in words.
    pub(crate) because: String,
}

impl<'p> Losses<'p> {
    pub(crate) fn new(plan: &'p Plan, scenario: &'p Scenario) -> Self {
        let given: BTreeSet<&str> = scenario.loses.iter().map(|name| name.value.as_str()).collect();
        let mut lost: BTreeSet<&str> = given.clone();
        let mut safe: BTreeSet<&str> = BTreeSet::new();
        for name in plan.domains.names() {
            let mut path = Vec::new();
            let mut at = Some(name);
            // A chain that bites its own tail ends where it meets itself.
            while let Some(domain) = at.filter(|d| !lost.contains(d) && !safe.contains(d)) {
                if path.contains(&domain) {
                    break;
                }
                path.push(domain);
                let within = plan.domains.get(domain).and_then(|domain| domain.within.as_ref());
                at = within.map(|within| within.value.as_str());
            }
            if at.is_some_and(|domain| lost.contains(domain)) {
                lost.extend(path);
            } else {
                safe.extend(path);
            }
        }
        let stopped = scenario.stops.iter().map(|name| name.value.as_str()).collect();
        Self { plan, lost, stopped }
    }

    /// Whether it takes anything away at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.stopped.is_empty()
    }

    /// The first of these domains that is lost, if more are lost than may be.
    fn domain(&self, domains: &'p [At<String>], survives: usize) -> Option<&'p At<String>> {
        let mut lost = domains.iter().filter(|name| self.lost.contains(name.value.as_str()));
        lost.nth(survives)
            .and_then(|_| domains.iter().find(|name| self.lost.contains(name.value.as_str())))
    }

    /// Why a service is down: it runs where nothing is left, it was stopped, or needs one that is.
    fn service(&self, name: &'p At<String>) -> Option<Cause<'p>> {
        let mut seen: BTreeMap<&str, Option<&str>> = BTreeMap::from([(name.value.as_str(), None)]);
        let mut open = vec![name];
        while let Some(at) = open.pop() {
            let Some(service) = self.plan.services.get(&at.value) else { continue };
            let survives = service.survives.map_or(0, |it| usize::try_from(it.value).unwrap_or(0));
            let down = self.domain(&service.domains, survives);
            if down.is_some() || self.stopped.contains(at.value.as_str()) {
                let why = match down {
                    Some(domain) => format!("which runs in `{}`", domain.value),
                    None => "which stands still".to_owned(),
                };
                return Some(Cause { at, because: format!("{} {why}", path(&seen, &at.value)) });
            }
            for need in service.needs.iter().rev() {
                if !seen.contains_key(need.value.as_str()) {
                    seen.insert(&need.value, Some(&at.value));
                    open.push(need);
                }
            }
        }
        None
    }

    /// Why a channel itself is down, whatever takes over for it.
    pub(crate) fn channel(&self, channel: &'p Channel) -> Option<Cause<'p>> {
        if let Some(at) = self.domain(&channel.domains, 0) {
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

/// `single-sign-on`, or `chat, that needs single-sign-on`: from the first need to the one at fault.
fn path(seen: &BTreeMap<&str, Option<&str>>, last: &str) -> String {
    let mut names = vec![last];
    let mut at = seen.get(last).copied().flatten();
    while let Some(name) = at {
        names.push(name);
        at = seen.get(name).copied().flatten();
    }
    names.reverse();
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", that needs ")
}
