//! What is in the way of going on with a run that has begun.
//!
//! The rule it keeps: only what is left to be done is looked at, and only what may have changed since
//! the run began, or is another thing on another machine. A restore that was begun finds its directory
//! taken, which is as it should be.

use super::{Beginning, Objection, Preflight, Surroundings};
use crate::procedure::{Parameters, Procedure};
use crate::state::{PhaseStatus, State};
use crate::steps::Place;

/// Everything that is in the way of what is left of a run, the worst first. `parameters` are the values
/// that are known.
#[must_use]
pub fn preflight_again(
    state: &State,
    place: &Place,
    parameters: &Parameters,
    surroundings: &dyn Surroundings,
) -> Vec<Objection> {
    let beginning = Beginning { parameters, can_ask: false, requester: &state.begun.requester };
    let of = |procedure| Preflight {
        procedure,
        place,
        beginning: &beginning,
        surroundings,
        objections: Vec::new(),
    };
    let (left, untouched) = (left(state, false), left(state, true));
    let mut found = of(&left);
    found.programs();
    found.credentials();
    found.channels();
    let mut objections = found.objections;
    let mut found = of(&untouched);
    found.targets();
    objections.append(&mut found.objections);
    objections.sort();
    objections.dedup();
    objections
}

/// What is left to be done, with its amendments; or only what was never tried.
fn left(state: &State, untouched: bool) -> Procedure {
    let mut left = state.begun.procedure.clone();
    let steps = state.steps().filter(|step| !step.status.is_finished());
    let steps = steps.filter(|step| !untouched || step.attempt == 0);
    left.steps = steps.map(|step| (*step.step).clone()).collect();
    for (phase, (_, known)) in left.phases.iter_mut().zip(state.phases()) {
        if !matches!(known.status, PhaseStatus::Pending | PhaseStatus::Asking) {
            phase.only_if = None;
        }
    }
    left
}
