//! What a run's records add up to, and what follows from it.
//!
//! The rule it keeps: a state is made of events and of nothing else, in time that grows with their
//! number alone; [`decide`] is a function of a state and a moment. An event that does not fit is
//! refused and changes nothing.

mod agreed;
mod decide;
mod event;
mod graph;
mod load;
mod next;
mod people;
mod questions;
mod shown;
mod time;
mod undo;
mod ways;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub use decide::{Ask, Cancel, Decision, decide};
pub use event::{
    Begun, Closing, ENGINE, Ended, Entry, Event, MirrorState, Recorded, Resolution, RetryFrom,
};
pub(crate) use load::fold;
pub use load::{LoadError, Loaded, Unfollowed, load};
pub use next::Illegal;
pub use questions::{Needed, Question};
pub use shown::shown;
pub use time::Moment;

use crate::driver::effects::{Answer, Captured, Child, Which};
use crate::ids::{RunId, StepId};
use crate::procedure::{Phase, Step};

/// How an approval was given when nobody who may was there; also what its obligation's name begins
/// with.
pub const BREAK_GLASS: &str = "break-glass";

/// How an approval was given that has a signature.
pub const SIGNATURE: &str = "signature";

/// A run, as its records say it is.
#[derive(Debug, Clone)]
pub struct State {
    /// How it began.
    pub begun: Arc<Begun>,
    /// When.
    pub since: Moment,
    /// The SHA-256 over its procedure and all its amendments: what approvals are bound to.
    pub digest: String,
    /// How many records there are.
    pub records: u64,
    /// The engine that wrote the last one.
    pub epoch: u32,
    /// The machine of that engine.
    pub host: String,
    /// When that engine began.
    pub engine_since: Moment,
    /// The engines that went on with it after the first one, in order.
    pub engines: Vec<LaterEngine>,
    /// When the last one was written.
    pub last: Moment,
    /// Whether it goes on.
    pub life: Life,
    /// The second place of the journal, and since when it is so.
    pub mirror: (MirrorState, Moment),
    /// The values of parameters.
    pub parameters: BTreeMap<String, Recorded>,
    /// Temporary measures that are in place, or may be.
    pub obligations: BTreeMap<String, Obligation>,
    /// Evidence that was kept.
    pub captured: Vec<Captured>,
    steps: Vec<StepState>,
    phases: Vec<PhaseState>,
    index: HashMap<StepId, usize>,
    /// Steps that may go on: all they waited for is done, and they are not.
    open: BTreeSet<usize>,
    /// Phases whose condition is asked.
    asking: BTreeSet<usize>,
    /// Steps that are neither done nor skipped; those of other ways are not counted: who has one stands
    /// for it.
    unfinished: usize,
    /// Steps that are being taken back.
    undoing: usize,
    /// Values that a step was to give and did not, because it was found done or done by other means.
    missing: BTreeSet<String>,
    /// Measures that are to be lifted because the step that lifts them is done.
    to_lift: Vec<(String, StepId)>,
}

/// Whether a run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It does.
    Running,
    /// Nothing new is begun.
    Paused {
        /// Why.
        why: String,
        /// The engine paused it, and goes on by itself when the reason is gone.
        by_engine: bool,
    },
    /// What runs is being ended.
    Aborting,
    /// It is over.
    Closed(Closing),
}

/// An engine that went on with a run that another one had begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterEngine {
    /// Which engine of the run it is; the first has 1.
    pub epoch: u32,
    /// Its machine.
    pub host: String,
    /// When.
    pub since: Moment,
    /// It took the run from an engine that may have lived.
    pub took_over: bool,
    /// What still ran, and goes on under it, with the process that does it.
    pub adopted: Vec<(StepId, Option<u32>)>,
}

/// A temporary measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    /// The step that put it in place.
    pub step: StepId,
    /// Since when.
    pub since: Moment,
}

/// A phase.
#[derive(Debug, Clone)]
pub struct PhaseState {
    /// Where it stands.
    pub status: PhaseStatus,
    /// Since when it is begun, skipped or done.
    pub since: Option<Moment>,
    /// When it began; none: it has not, or was skipped.
    pub began: Option<Moment>,
    /// Its condition's last answer.
    pub only_if: Option<Answer>,
    steps: Vec<usize>,
    unfinished: usize,
    waiting: usize,
    needed_by: Vec<usize>,
}

/// Where a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseStatus {
    /// Others must be done before.
    Pending,
    /// Its condition is asked.
    Asking,
    /// Its steps may begin.
    Begun,
    /// Its condition said no.
    Skipped,
    /// Its steps are done or skipped.
    Done,
}

/// A step.
#[derive(Debug, Clone)]
pub struct StepState {
    /// What it does, with its amendments.
    pub step: Arc<Step>,
    /// Where it stands.
    pub status: Status,
    /// Since when.
    pub since: Option<Moment>,
    /// When its first attempt began.
    pub began: Option<Moment>,
    /// When the attempt began that does it, or did it; none: none has begun, or it was done by other
    /// means.
    pub tried: Option<Moment>,
    /// The last attempt, from 1; 0: none was begun.
    pub attempt: u32,
    /// The machine on which it was begun.
    pub host: String,
    /// What does it.
    pub child: Option<Child>,
    /// The engine under which its attempt goes on, if another one began it.
    pub adopted_by: Option<u32>,
    /// Who approved it, and when.
    pub approvals: Vec<(String, Moment)>,
    /// The last answer to each of its questions, with what it rests on.
    pub answers: BTreeMap<Which, (Answer, String)>,
    /// It was amended so often.
    pub amendments: u32,
    /// Attempts that failed since a person last said to try again.
    failures: u32,
    /// An attempt of a destructive step ended otherwise than done, so that it may have happened, and
    /// since then neither a probe said no nor a person to go on.
    may_have_happened: bool,
    /// A person said to run it: what is not known holds it up no longer.
    cleared: bool,
    /// A person said to leave it out when its time comes.
    skip: Option<String>,
    verified: BTreeSet<usize>,
    waiting: usize,
    needed_by: Vec<usize>,
    /// The steps of its other way.
    instead: Vec<usize>,
    /// The steps that take it back.
    undo: Vec<usize>,
    /// What it is carried out for, if only a person's word begins it.
    of: Option<Role>,
}

/// What a step is for that is carried out only when a person says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It is done in place of the one of that place.
    Instead(usize),
    /// It takes that one back.
    Undo(usize),
}

impl Role {
    fn owner(self) -> usize {
        match self {
            Self::Instead(owner) | Self::Undo(owner) => owner,
        }
    }
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Others must be done before.
    Pending,
    /// It can begin, after a delay if it is tried again.
    Ready {
        /// The delay, counted from `since`.
        delay: Duration,
    },
    /// An attempt goes on.
    Running,
    /// A person must act.
    Person,
    /// Its probes are asked.
    Verifying,
    /// It failed, and is not tried again by itself, or will be.
    Failed {
        /// Why.
        why: String,
        /// What it was in when it failed.
        at: RetryFrom,
    },
    /// Nobody knows; a person must say.
    Doubt {
        /// What is not known.
        why: String,
    },
    /// It is done.
    Done,
    /// It was left out.
    Skipped {
        /// Why.
        why: String,
    },
    /// It belongs to another way that nobody has taken, or takes back what nobody has wanted back.
    Apart,
    /// Another way was taken in its place, and goes on.
    Branched {
        /// Why.
        why: String,
    },
    /// Another way was taken in its place, and is over.
    Replaced {
        /// Why it was taken.
        why: String,
    },
    /// It is being taken back.
    Undoing {
        /// Why.
        why: String,
    },
    /// It was taken back, and a person must decide what follows.
    Undone {
        /// Why.
        why: String,
    },
}

impl Status {
    /// Whether nobody waits for it any more: it is done, skipped, or another way is.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Done | Self::Skipped { .. } | Self::Replaced { .. })
    }
}

impl StepState {
    fn new(step: Step) -> Self {
        Self {
            step: Arc::new(step),
            status: Status::Pending,
            since: None,
            began: None,
            tried: None,
            attempt: 0,
            host: String::new(),
            child: None,
            adopted_by: None,
            approvals: Vec::new(),
            answers: BTreeMap::new(),
            amendments: 0,
            failures: 0,
            may_have_happened: false,
            cleared: false,
            skip: None,
            verified: BTreeSet::new(),
            waiting: 0,
            needed_by: Vec::new(),
            instead: Vec::new(),
            undo: Vec::new(),
            of: None,
        }
    }

    fn answer(&self, which: Which) -> Option<Answer> {
        self.answers.get(&which).map(|(answer, _)| *answer)
    }

    /// Whether it may be tried again without anybody being asked: tries are left, and doing it twice
    /// does no harm, or a probe can tell whether it was done.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        let is_safe = !self.step.destructive || self.step.already_done.is_some();
        self.failures <= self.step.retries && is_safe && !self.step.action.is_persons()
    }

    /// Why a person said to leave it out when its time comes, if one did.
    #[must_use]
    pub fn to_be_skipped(&self) -> Option<&str> {
        self.skip.as_deref()
    }

    /// The place of the step whose other way it belongs to, if it does.
    pub(crate) fn in_place_of(&self) -> Option<usize> {
        match self.of {
            Some(Role::Instead(owner)) => Some(owner),
            _ => None,
        }
    }

    /// The places of the steps that take it back.
    pub(crate) fn undoing_steps(&self) -> &[usize] {
        &self.undo
    }

    /// The places of the steps of its other way.
    pub(crate) fn other_way(&self) -> &[usize] {
        &self.instead
    }

    /// Whether it is carried out only when a person says so.
    #[must_use]
    pub fn is_of_way(&self) -> bool {
        self.of.is_some()
    }

    /// Which of its `verify` have said yes since its last attempt.
    pub fn verified(&self) -> impl Iterator<Item = usize> {
        self.verified.iter().copied()
    }
}

impl State {
    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.begun.run
    }

    /// Whether anything of the run has to do with a parameter of that name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
            || self.begun.procedure.parameters.iter().any(|one| one.name == name)
            || self.steps.iter().any(|one| one.step.gives.iter().any(|given| given == name))
    }

    /// How much time passed between the disaster and the beginning of the run: nothing, if nobody
    /// said when it happened.
    #[must_use]
    pub fn before(&self) -> Duration {
        let Some(disaster) = self.begun.disaster else { return Duration::ZERO };
        self.since.at.duration_since(disaster).try_into().unwrap_or(Duration::ZERO)
    }

    /// A step by its name.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&StepState> {
        self.index.get(id).and_then(|at| self.steps.get(*at))
    }

    /// All steps, in the order of the plan.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &StepState> {
        self.steps.iter()
    }

    /// The places of the steps that wait for the one of this place.
    pub(crate) fn waiting_for(&self, step: usize) -> &[usize] {
        self.steps.get(step).map_or(&[], |step| &step.needed_by)
    }

    /// The step of a place.
    pub(crate) fn step_at(&self, at: usize) -> &StepState {
        &self.steps[at]
    }

    /// The step in whose place another is done.
    #[must_use]
    pub fn replaced_by(&self, step: &StepState) -> Option<&StepState> {
        self.steps.get(step.in_place_of()?)
    }

    /// The step that another takes back.
    #[must_use]
    pub fn undone_by(&self, step: &StepState) -> Option<&StepState> {
        match step.of {
            Some(Role::Undo(owner)) => self.steps.get(owner),
            _ => None,
        }
    }

    /// Whether a person may have a step taken back now, or say that it was by hand; else why not.
    ///
    /// # Errors
    /// In words, when it cannot be.
    pub fn may_undo(&self, id: &StepId, by_hand: bool) -> Result<(), Illegal> {
        self.undoing(id, by_hand).map(drop)
    }

    /// Whether a person may take the other way of a step now; else why not.
    ///
    /// # Errors
    /// In words, when it cannot be taken.
    pub fn may_branch(&self, id: &StepId) -> Result<(), Illegal> {
        self.branching(id).map(drop)
    }

    /// Where a step stands in the plan's order.
    pub(crate) fn place_of(&self, id: &StepId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The steps that may go on, in the order of the plan: those that run, wait for a delay or a
    /// person, are asked about, or can begin.
    pub fn open(&self) -> impl Iterator<Item = &StepState> {
        self.open.iter().filter_map(|at| self.steps.get(*at))
    }

    /// All phases, in the order of the plan.
    pub fn phases(&self) -> impl ExactSizeIterator<Item = (&Phase, &PhaseState)> {
        self.begun.procedure.phases.iter().zip(&self.phases)
    }

    /// How much of the time is left in which people may agree to a step. It counts from when the engine
    /// at work began, if that is later: without one nobody could say anything.
    #[must_use]
    pub fn left_to_agree(&self, step: &StepState, within: Duration, now: &Moment) -> Duration {
        let asked = step.since.as_ref().map_or(Duration::ZERO, |since| now.since(since));
        within.saturating_sub(asked.min(now.since(&self.engine_since)))
    }

    /// How many steps are neither done nor skipped.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }
}
