//! "Will I make it?": when each service is expected back, against what was promised.
//!
//! The rule it keeps: a forecast is a function of a state, a moment and what was measured before, and
//! says of each part whether that was measured, declared or assumed. Where something is not known, a
//! time is a lower bound and says why; nothing is made up to fill the gap. It takes time that grows
//! with the steps and arrows of a run alone.
//!
//! When something is back counts from the disaster, as promises do; if nobody said when that was, from
//! the beginning of the run. Steps count from the beginning of the run.

mod estimate;
mod history;
mod path;
mod words;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

pub use estimate::{Declared, Estimate, Source};
pub use history::History;
pub use words::spoken;

use crate::ids::StepId;
use crate::procedure::Service;
use crate::state::{Closing, Life, Moment, State, Status};

use path::{Bases, Mark, Path};

/// When everything is expected back.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// When the run is over: all its steps, against the scenario's RTO.
    pub whole: Outlook,
    /// The services that must come back, in the order of the procedure.
    pub services: Vec<Outlook>,
    /// The steps, in the order of the plan.
    pub steps: Vec<Expected>,
}

/// When a step is expected to begin and to be over, counted from the beginning of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// How long it is thought to take, and how that is known.
    pub estimate: Estimate,
    /// When it began, or is expected to.
    pub begin: Duration,
    /// When it was over, or is expected to be.
    pub end: Duration,
}

/// When something is expected back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// When it is back, counted from the disaster, or if nobody said when that was from the beginning
    /// of the run.
    pub at: Duration,
    /// It is.
    pub is_back: bool,
    /// Its steps were all left out: nothing was done for it.
    pub is_left_out: bool,
    /// Why it may take longer than that.
    pub unknown: Option<Unknown>,
    /// It was promised to be back after so long.
    pub rto: Option<Duration>,
    /// What the time that is left rests on.
    pub basis: Basis,
}

/// Why a time is a lower bound, or none at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// The run was given up.
    GivenUp,
    /// Nothing new is begun, and a person must let it go on.
    Paused,
    /// A person must decide about a step that failed.
    Failed(StepId),
    /// A person must say whether a step was done.
    Doubt(StepId),
    /// A person must decide about a step that was taken back, or is.
    Undone(StepId),
    /// A step takes longer than was expected of it.
    Overdue(StepId),
    /// Nobody can tell whether a phase is needed: its title.
    Phase(String),
    /// It waits for something that waits for it.
    Knot,
}

/// What a time that is still to come rests on: the parts of its critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Basis {
    /// Was measured in earlier runs.
    pub measured: Duration,
    /// Was declared in the plan.
    pub declared: Duration,
    /// Is assumed, because nobody said anything.
    pub assumed: Duration,
    /// The fewest runs that a measured part rests on.
    pub runs: Option<u32>,
    /// How old the oldest of the measurements is on which a part rests: each part takes its newest.
    pub since: Option<Timestamp>,
    /// Some of it was measured in drills only.
    pub is_of_drills: bool,
}

/// How an outlook and its promise compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is back, and was so long before its promise.
    Made(Duration),
    /// It is back, and was late by so much.
    Missed(Duration),
    /// It makes it, with so much to spare.
    Makes(Duration),
    /// It is late by so much.
    Late(Duration),
    /// It is late by so much at least.
    LateAtLeast(Duration),
    /// Nobody can tell.
    Unsure,
    /// Nothing was done for it.
    LeftOut,
    /// Nothing was promised.
    NoPromise,
}

impl Outlook {
    /// How it and its promise compare.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.is_left_out {
            return Verdict::LeftOut;
        }
        let is_bound = self.unknown.is_some();
        let Some(rto) = self.rto else {
            return if is_bound { Verdict::Unsure } else { Verdict::NoPromise };
        };
        let (spare, late) = (rto.saturating_sub(self.at), self.at.saturating_sub(rto));
        match (self.is_back, is_bound, late.is_zero()) {
            (true, _, true) => Verdict::Made(spare),
            (true, _, false) => Verdict::Missed(late),
            (false, true, true) => Verdict::Unsure,
            (false, true, false) => Verdict::LateAtLeast(late),
            (false, false, true) => Verdict::Makes(spare),
            (false, false, false) => Verdict::Late(late),
        }
    }
}

/// When everything is expected back, as it looks at this moment.
#[must_use]
pub fn forecast(state: &State, now: &Moment, history: &History) -> Forecast {
    let estimates = estimate::all(state, history);
    lay_out(state, now, estimates)
}

/// The same with estimates that are given.
fn lay_out(state: &State, now: &Moment, estimates: Vec<Estimate>) -> Forecast {
    let path = path::walk(state, now, &estimates);
    let mut bases = Bases::of(&path);
    let (passed, before) = (now.since(&state.since), state.before());
    let is_over = matches!(state.life, Life::Aborting | Life::Closed(Closing::Aborted));
    let mut outlook = |back: &Back, rto: Option<Duration>| {
        let unknown = match back.mark.unknown {
            _ if back.is_back => None,
            _ if is_over => Some(Unknown::GivenUp),
            unknown => unknown.map(|unknown| path.name(state, unknown)),
        };
        Outlook {
            // Whatever is not back is not earlier than now.
            at: before + if back.is_back { back.mark.at } else { back.mark.at.max(passed) },
            is_back: back.is_back,
            is_left_out: back.is_left_out,
            unknown,
            rto,
            basis: path.basis(back.mark, &estimates, &mut bases),
        }
    };
    let procedure = &state.begun.procedure;
    let is_done = state.unfinished() == 0;
    let whole = Back { mark: path.whole, is_back: is_done, is_left_out: false };
    let whole = outlook(&whole, procedure.rto);
    let services = procedure.services.iter().zip(services(state, &path));
    let services = services.map(|(service, back)| outlook(&back, service.rto)).collect();
    let steps = path.steps.iter().zip(estimates);
    let steps = steps
        .map(|(span, estimate)| Expected { estimate, begin: span.begin, end: span.end.at })
        .collect();
    Forecast { whole, services, steps }
}

/// What is known of a service's coming back.
struct Back {
    mark: Mark,
    is_back: bool,
    is_left_out: bool,
}

/// The services in an order in which each comes behind those it needs; what is in a knot is not in it.
fn services(state: &State, path: &Path) -> Vec<Back> {
    let all = &state.begun.procedure.services;
    let by_name: HashMap<&str, usize> =
        all.iter().enumerate().map(|(at, service)| (service.name.as_str(), at)).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
    let mut waiting: Vec<usize> = vec![0; all.len()];
    for (at, service) in all.iter().enumerate() {
        for need in service.needs.iter().filter_map(|need| by_name.get(need.as_str())) {
            needed_by[*need].push(at);
            waiting[at] += 1;
        }
    }
    let mut found: Vec<Back> = all.iter().map(|service| own(state, path, service)).collect();
    let mut ready: Vec<usize> = (0..all.len()).filter(|at| waiting[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        let (mark, is_back) = (found[at].mark, found[at].is_back);
        for later in &needed_by[at] {
            found[*later].mark.join(&mark);
            found[*later].is_back &= is_back;
            waiting[*later] -= 1;
            if waiting[*later] == 0 {
                ready.push(*later);
            }
        }
    }
    for (back, _) in found.iter_mut().zip(waiting).filter(|(_, waiting)| *waiting > 0) {
        back.mark.unknown.get_or_insert(path::Open::Knot);
        back.is_back = false;
    }
    found
}

/// A service by its own steps. One that no step names and that needs none is back when all is done.
fn own(state: &State, path: &Path, service: &Service) -> Back {
    if service.steps.is_empty() {
        let is_bare = service.needs.is_empty();
        let mark = if is_bare { path.whole } else { Mark::default() };
        return Back { mark, is_back: !is_bare || state.unfinished() == 0, is_left_out: false };
    }
    let mut back = Back { mark: Mark::default(), is_back: true, is_left_out: true };
    for at in service.steps.iter().filter_map(|id| state.place_of(id)) {
        let step = state.step_at(at);
        back.mark.join(&path.steps[at].end);
        back.is_back &= step.status.is_finished();
        back.is_left_out &= matches!(step.status, Status::Skipped { .. });
    }
    back
}
