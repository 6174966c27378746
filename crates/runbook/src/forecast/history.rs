//! How long steps took in earlier runs.
//!
//! The rule it keeps: only what an attempt did from its beginning until it was verified is a
//! measurement. What was found done, said to be done, or changed for one run is none.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::estimate::{Estimate, Source};
use crate::driver::effects::Kind;
use crate::ids::StepId;
use crate::procedure::Step;
use crate::state::{Life, State, Status};

/// What earlier runs of one scenario took.
#[derive(Debug, Clone, Default)]
pub struct History {
    scenario: String,
    runs: u32,
    steps: HashMap<StepId, Vec<Known>>,
}

/// What is known of a step of that name and title: a counted name may stand for another step once the
/// plan has changed.
#[derive(Debug, Clone)]
struct Known {
    title: String,
    /// What follows from all of it.
    estimate: Estimate,
    /// How long it took, the shortest first.
    took: Vec<Duration>,
    drills: u32,
    newest: Timestamp,
}

impl History {
    /// Of a scenario, and empty so far.
    #[must_use]
    pub fn of(scenario: &str) -> Self {
        Self { scenario: scenario.to_owned(), runs: 0, steps: HashMap::new() }
    }

    /// How many runs it was learnt from.
    #[must_use]
    pub fn runs(&self) -> u32 {
        self.runs
    }

    /// Adds what a run took, if it is over and was one of this scenario; whether it was.
    pub fn learn(&mut self, run: &State) -> bool {
        let procedure = &run.begun.procedure;
        if procedure.scenario != self.scenario || !matches!(run.life, Life::Closed(_)) {
            return false;
        }
        self.runs += 1;
        for step in run.steps() {
            let (Status::Done, Some(since), Some(tried)) = (&step.status, &step.since, &step.tried)
            else {
                continue;
            };
            if step.amendments == 0 {
                self.add(&step.step, since.since(tried), since.at, run.begun.kind);
            }
        }
        true
    }

    fn add(&mut self, step: &Step, took: Duration, ended: Timestamp, kind: Kind) {
        let known = self.steps.entry(step.id.clone()).or_default();
        let at = known.iter().position(|known| known.title == step.title);
        let at = at.unwrap_or_else(|| {
            let title = step.title.clone();
            let estimate = Estimate { duration: took, source: Source::Assumed };
            known.push(Known { title, estimate, took: Vec::new(), drills: 0, newest: ended });
            known.len() - 1
        });
        let known = &mut known[at];
        let place = known.took.partition_point(|other| *other <= took);
        known.took.insert(place, took);
        known.drills += u32::from(kind == Kind::Drill);
        known.newest = known.newest.max(ended);
        let runs = u32::try_from(known.took.len()).unwrap_or(u32::MAX);
        known.estimate = Estimate {
            duration: known.took[known.took.len() / 2],
            source: Source::Measured { runs, drills: known.drills, newest: known.newest },
        };
    }

    /// How long a step takes, if it was measured: the middle of what it took; of an even number the
    /// longer one.
    pub(super) fn estimate(&self, step: &Step) -> Option<Estimate> {
        let known = self.steps.get(&step.id)?.iter().find(|known| known.title == step.title)?;
        Some(known.estimate)
    }
}
