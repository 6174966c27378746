//! The critical path: when each service can be back at the earliest, when it must be back at the
//! latest for the promises of those that need it, and what lies between.
//!
//! The rule it keeps: one more need never gives anybody more slack. What needs itself is never back.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;

use super::{Graph, ServiceId};
use crate::units::format_duration;

/// What a service has to do for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Until its data is back; it needs nobody else for that.
    pub restore: Duration,
    /// From its start until it answers; it starts when what it needs is back.
    pub start: Duration,
}

/// How long a service may be late before a promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slack {
    /// It needs itself: it is never back.
    Never,
    /// So long; below zero the promise is broken already.
    Of(SignedDuration),
    /// Nobody promised anything.
    Unbound,
}

/// The times of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Back at the earliest, counted from the disaster; none: never.
    pub earliest: Option<Duration>,
    /// What it waits for last, if that is a service.
    pub waits_for: Option<ServiceId>,
    /// Must be back by then, for its own promise or that of a service that needs it.
    pub latest: Option<SignedDuration>,
    /// The longest promise among all that it needs, directly or not.
    pub needs_promise: Option<Duration>,
    /// What may still go wrong.
    pub slack: Slack,
}

/// The times of all services.
#[derive(Debug, Clone)]
pub struct Path {
    times: Vec<Times>,
}

impl Path {
    /// Computes the times. `work` and `rto` are by service.
    pub fn new(graph: &Graph<'_>, work: &[Work], rto: &[Option<Duration>]) -> Self {
        let blank = Times {
            earliest: None,
            waits_for: None,
            latest: None,
            needs_promise: None,
            slack: Slack::Unbound,
        };
        let mut path = Self { times: vec![blank; graph.len()] };
        for members in graph.components() {
            path.forward(graph, members, work, rto);
        }
        for members in graph.components().iter().rev() {
            path.backward(graph, members, work, rto);
        }
        for id in graph.ids() {
            path.times[id.index()].slack = path.slack(id, rto[id.index()]);
        }
        path
    }

    /// The times of a service.
    pub fn of(&self, id: ServiceId) -> &Times {
        &self.times[id.index()]
    }

    /// The way to a service: what it waits for, and what that waits for, the first one first.
    pub fn way(&self, id: ServiceId) -> Vec<ServiceId> {
        let mut way = vec![id];
        let mut at = id;
        while let Some(before) = self.of(at).waits_for {
            way.push(before);
            at = before;
        }
        way.reverse();
        way
    }

    /// The service that is back last, and so the end of the critical path.
    pub fn last(&self, graph: &Graph<'_>) -> Option<ServiceId> {
        let ready = graph.ids().filter(|id| self.of(*id).earliest.is_some());
        ready.max_by(|a, b| {
            let by_time = self.of(*a).earliest.cmp(&self.of(*b).earliest);
            by_time.then_with(|| graph.name(*b).cmp(graph.name(*a)))
        })
    }

    fn forward(
        &mut self,
        graph: &Graph<'_>,
        members: &[ServiceId],
        work: &[Work],
        rto: &[Option<Duration>],
    ) {
        let mut promise: Option<Duration> = None;
        for &id in members {
            for need in graph.needs(id) {
                let known = rto[need.index()].max(self.of(*need).needs_promise);
                promise = promise.max(known);
            }
        }
        for &id in members {
            self.times[id.index()].needs_promise = promise;
        }
        let &[id] = members else { return };
        if graph.in_cycle(id) {
            return;
        }
        let own = work[id.index()];
        let mut from: Option<(Duration, Option<ServiceId>)> = Some((own.restore, None));
        for &need in graph.needs(id) {
            from = match (from, self.of(need).earliest) {
                (Some(least), Some(ready)) => Some(later(graph, least, (ready, need))),
                _ => None,
            };
        }
        let times = &mut self.times[id.index()];
        times.earliest = from.map(|(ready, _)| ready.saturating_add(own.start));
        times.waits_for = from.and_then(|(_, waits_for)| waits_for);
    }

    /// A knot counts as one service that starts all its members one after the other.
    fn backward(
        &mut self,
        graph: &Graph<'_>,
        members: &[ServiceId],
        work: &[Work],
        rto: &[Option<Duration>],
    ) {
        let ids = || members.iter().copied();
        let own = ids().filter_map(|id| rto[id.index()]).map(signed);
        // Those that need it were seen before, and left here what they demand of what they need.
        let demanded = ids().filter_map(|id| self.of(id).latest);
        let Some(latest) = own.chain(demanded).min() else { return };
        let start: Duration =
            ids().fold(Duration::ZERO, |sum, id| sum.saturating_add(work[id.index()].start));
        let before = latest.saturating_sub(signed(start));
        for id in ids() {
            for need in graph.needs(id) {
                let demand = &mut self.times[need.index()].latest;
                *demand = Some(demand.map_or(before, |known| known.min(before)));
            }
        }
        for id in ids() {
            self.times[id.index()].latest = Some(latest);
        }
    }

    fn slack(&self, id: ServiceId, rto: Option<Duration>) -> Slack {
        let times = self.of(id);
        let Some(earliest) = times.earliest else { return Slack::Never };
        let by_work = times.latest.map(|latest| latest.saturating_sub(signed(earliest)));
        let by_promise = rto
            .zip(times.needs_promise)
            .map(|(own, needs)| signed(own).saturating_sub(signed(needs)));
        by_work.into_iter().chain(by_promise).min().map_or(Slack::Unbound, Slack::Of)
    }
}

/// The later of two; at the same time the one with the first name.
fn later(
    graph: &Graph<'_>,
    known: (Duration, Option<ServiceId>),
    (ready, need): (Duration, ServiceId),
) -> (Duration, Option<ServiceId>) {
    let wins = match known.1 {
        None => ready >= known.0,
        Some(other) => {
            ready > known.0 || (ready == known.0 && graph.name(need) < graph.name(other))
        }
    };
    if wins { (ready, Some(need)) } else { known }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

impl fmt::Display for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never back"),
            Self::Unbound => f.write_str("none promised"),
            Self::Of(slack) => {
                let sign = if slack.is_negative() { "-" } else { "" };
                write!(f, "{sign}{}", format_duration(slack.unsigned_abs()))
            }
        }
    }
}
