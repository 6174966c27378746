//! How long a step is thought to take, and how that is known.

use std::time::Duration;

use jiff::Timestamp;

use super::history::History;
use crate::procedure::{Action, Step};
use crate::state::State;

/// What a step takes of which nobody said anything.
const ASSUMED: Duration = Duration::from_mins(2);

/// What a person takes to answer, agree, or do something by hand.
const ASSUMED_PERSON: Duration = Duration::from_mins(5);

/// What it takes to look whether something is so.
const ASSUMED_LOOK: Duration = Duration::from_secs(30);

/// How long a step is thought to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// So long.
    pub duration: Duration,
    /// How that is known.
    pub source: Source,
}

/// How the length of a step is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It took so long in earlier runs.
    Measured {
        /// In so many.
        runs: u32,
        /// So many of them were drills.
        drills: u32,
        /// When the newest ended.
        newest: Timestamp,
    },
    /// The plan says so.
    Declared(Declared),
    /// Nobody said anything: it is what such steps are taken to need.
    Assumed,
}

/// Where a plan says how long a step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// Its budget.
    Budget,
    /// It waits for so long.
    Wait,
    /// The question stands for so long.
    Within,
    /// A person said to leave it out when its time comes.
    LeftOut,
    /// Its share of what the budget of its phase leaves.
    Phase,
}

/// Of all steps, in their order. What a person said to leave out takes no time.
pub(super) fn all(state: &State, history: &History) -> Vec<Estimate> {
    let (shares, phases) = (shares(state), &state.begun.procedure.phases);
    let estimates = state.steps().map(|step| {
        let spec = &*step.step;
        if step.to_be_skipped().is_some() {
            return Estimate {
                duration: Duration::ZERO,
                source: Source::Declared(Declared::LeftOut),
            };
        }
        let measured = (step.amendments == 0).then(|| history.estimate(spec)).flatten();
        let share = shares.get(spec.phase).copied().flatten();
        let budget = phases.get(spec.phase).and_then(|phase| phase.budget);
        measured.unwrap_or_else(|| declared(spec, budget).unwrap_or_else(|| shared(spec, share)))
    });
    estimates.collect()
}

/// What the plan says of the step itself. A probe that must hold for some time is not done earlier. A
/// question that stands for longer than its phase is thought to be answered within that.
fn declared(step: &Step, phase: Option<Duration>) -> Option<Estimate> {
    let (duration, how) = match (&step.action, step.budget) {
        (Action::Wait { duration }, _) => (*duration, Declared::Wait),
        (_, Some(budget)) => (budget, Declared::Budget),
        (Action::Approve { within: Some(within), .. }, None) => {
            (phase.map_or(*within, |phase| phase.min(*within)), Declared::Within)
        }
        _ => return None,
    };
    let duration = duration.max(stable_for(step));
    Some(Estimate { duration, source: Source::Declared(how) })
}

/// A step of which only its phase says something, or nobody.
fn shared(step: &Step, share: Option<Duration>) -> Estimate {
    let (duration, source) = match share {
        Some(share) => (share, Source::Declared(Declared::Phase)),
        None if step.action.is_persons() => (ASSUMED_PERSON, Source::Assumed),
        None if step.action == Action::Look => (ASSUMED_LOOK, Source::Assumed),
        None => (ASSUMED, Source::Assumed),
    };
    Estimate { duration: duration.max(stable_for(step)), source }
}

fn stable_for(step: &Step) -> Duration {
    step.verify.iter().filter_map(|probe| probe.stable_for).max().unwrap_or_default()
}

/// By phase: what its budget leaves for each of its steps that has none, as if one came after the
/// other.
fn shares(state: &State) -> Vec<Option<Duration>> {
    let phases = &state.begun.procedure.phases;
    let mut left: Vec<(Duration, u32)> =
        phases.iter().map(|phase| (phase.budget.unwrap_or_default(), 0)).collect();
    for step in state.steps().filter(|step| !step.is_of_way()) {
        let Some((budget, without)) = left.get_mut(step.step.phase) else { continue };
        match declared(&step.step, phases[step.step.phase].budget) {
            Some(of_step) => *budget = budget.saturating_sub(of_step.duration),
            None => *without += 1,
        }
    }
    let shares = left.into_iter().map(|(budget, without)| budget.checked_div(without));
    shares.map(|share| share.filter(|share| !share.is_zero())).collect()
}
