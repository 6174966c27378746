//! From how long steps take to when they are over: the longest way to each through what waits for
//! what.
//!
//! The rule it keeps: what is over counts as it was, and nothing that is not over ends before now. A
//! longer step never makes anything earlier.

use std::time::Duration;

use super::estimate::{Estimate, Source};
use super::{Basis, Unknown};
use crate::driver::effects::Answer;
use crate::procedure::Phase;
use crate::state::{Life, Moment, PhaseState, PhaseStatus, State, Status, StepState};

/// When something is over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    /// Counted from the beginning of the run.
    pub(super) at: Duration,
    /// Why it may be later.
    pub(super) unknown: Option<Open>,
    /// The step that decides it, if that is not over.
    pub(super) last: Option<usize>,
}

/// Why a time may be later, by places in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Paused,
    Failed(usize),
    Doubt(usize),
    Undone(usize),
    Overdue(usize),
    Phase(usize),
    Knot,
}

/// A step in time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) begin: Duration,
    pub(super) end: Mark,
    /// What of it is still to come.
    left: Duration,
    /// The step that it waits for at last, if that is not over.
    before: Option<usize>,
}

/// What is known already of the parts of critical paths, by step: each is walked once.
pub(super) struct Bases(Vec<Option<Basis>>);

impl Bases {
    pub(super) fn of(path: &Path) -> Self {
        Self(vec![None; path.steps.len()])
    }
}

/// A run in time.
pub(super) struct Path {
    pub(super) steps: Vec<Span>,
    /// When all steps are over; a phase without any is waited for by nobody.
    pub(super) whole: Mark,
}

impl Mark {
    /// Both are over: the later one decides, and what is not known of either stays so.
    pub(super) fn join(&mut self, other: &Self) {
        let unknown = self.unknown.or(other.unknown);
        if other.at > self.at {
            (self.at, self.last) = (other.at, other.last);
        }
        self.unknown = unknown;
    }
}

impl Path {
    /// What the time that is left until something rests on: the parts of its critical path.
    pub(super) fn basis(&self, mark: Mark, estimates: &[Estimate], known: &mut Bases) -> Basis {
        let mut way = Vec::new();
        let mut next = mark.last;
        let mut basis = Basis::default();
        while let Some(at) = next {
            if let Some(found) = known.0[at] {
                basis = found;
                break;
            }
            way.push(at);
            next = self.steps[at].before;
        }
        for at in way.into_iter().rev() {
            basis = basis.with(&estimates[at], self.steps[at].left);
            known.0[at] = Some(basis);
        }
        basis
    }

    /// What is not known, by the names of the run.
    pub(super) fn name(&self, state: &State, open: Open) -> Unknown {
        let step = |at: usize| state.step_at(at).step.id.clone();
        match open {
            Open::Paused => Unknown::Paused,
            Open::Failed(at) => Unknown::Failed(step(at)),
            Open::Doubt(at) => Unknown::Doubt(step(at)),
            Open::Undone(at) => Unknown::Undone(step(at)),
            Open::Overdue(at) => Unknown::Overdue(step(at)),
            Open::Phase(at) => Unknown::Phase(state.begun.procedure.phases[at].title.clone()),
            Open::Knot => Unknown::Knot,
        }
    }
}

/// Something whose time can be told now.
enum Work {
    Phase(usize),
    Step(usize),
}

struct Walk<'s> {
    state: &'s State,
    now: &'s Moment,
    /// Counted from the beginning of the run.
    passed: Duration,
    estimates: &'s [Estimate],
    steps: Vec<Option<Span>>,
    /// The latest of what each step waits for, as far as it is known, and how much is not.
    before: Vec<(Mark, usize)>,
    /// The same of phases.
    phases_before: Vec<(Mark, usize)>,
    /// The latest of the steps of each phase, and how many are not known.
    phases_end: Vec<(Mark, usize)>,
    /// The phases that wait for each.
    later: Vec<Vec<usize>>,
    steps_of: Vec<Vec<usize>>,
    /// By the step in whose place they are: the latest of the steps of other ways, and how many are not
    /// known.
    ways_end: Vec<(Mark, usize)>,
    /// The steps of its other way have been told that it was reached.
    is_reached: Vec<bool>,
}

/// Tells of each step when it is over.
pub(super) fn walk(state: &State, now: &Moment, estimates: &[Estimate]) -> Path {
    let phases: Vec<(&Phase, &PhaseState)> = state.phases().collect();
    let mut walk = Walk {
        state,
        now,
        passed: now.since(&state.since),
        estimates,
        steps: vec![None; state.steps().len()],
        // One more: its phase.
        before: state.steps().map(|step| (Mark::default(), step.step.after.len() + 1)).collect(),
        phases_before: phases
            .iter()
            .map(|(phase, _)| (Mark::default(), phase.after.len()))
            .collect(),
        phases_end: vec![(Mark::default(), 0); phases.len()],
        later: vec![Vec::new(); phases.len()],
        steps_of: vec![Vec::new(); phases.len()],
        ways_end: state.steps().map(|step| (Mark::default(), step.other_way().len())).collect(),
        is_reached: vec![false; state.steps().len()],
    };
    for (at, (phase, _)) in phases.iter().enumerate() {
        for before in &phase.after {
            walk.later[*before].push(at);
        }
    }
    for (at, step) in state.steps().enumerate().filter(|(_, step)| !step.is_of_way()) {
        walk.steps_of[step.step.phase].push(at);
        walk.phases_end[step.step.phase].1 += 1;
    }
    let mut work: Vec<Work> =
        (0..phases.len()).filter(|at| phases[*at].0.after.is_empty()).map(Work::Phase).collect();
    while let Some(next) = work.pop() {
        match next {
            Work::Phase(at) => walk.begin_phase(at, phases[at].1, &mut work),
            Work::Step(at) => walk.end_step(at, &mut work),
        }
    }
    walk.finish()
}

impl Walk<'_> {
    fn begin_phase(&mut self, at: usize, phase: &PhaseState, work: &mut Vec<Work>) {
        let mut begin = self.phases_before[at].0;
        if let Some(began) = &phase.began {
            begin = self.over(began);
        } else if let (PhaseStatus::Skipped, Some(since)) = (phase.status, &phase.since) {
            begin = self.over(since);
        } else {
            begin.at = begin.at.max(self.passed);
            if phase.only_if == Some(Answer::Unknown) {
                begin.unknown.get_or_insert(Open::Phase(at));
            }
        }
        self.phases_end[at].0.join(&begin);
        for step in std::mem::take(&mut self.steps_of[at]) {
            self.before[step].0.join(&begin);
            self.tell_step(step, work);
        }
        if self.phases_end[at].1 == 0 {
            self.end_phase(at, work);
        }
    }

    fn tell_step(&mut self, step: usize, work: &mut Vec<Work>) {
        self.before[step].1 -= 1;
        if self.before[step].1 == 0 {
            work.push(Work::Step(step));
        }
    }

    fn end_phase(&mut self, at: usize, work: &mut Vec<Work>) {
        let end = self.phases_end[at].0;
        for later in std::mem::take(&mut self.later[at]) {
            self.phases_before[later].0.join(&end);
            self.phases_before[later].1 -= 1;
            if self.phases_before[later].1 == 0 {
                work.push(Work::Phase(later));
            }
        }
    }

    fn end_step(&mut self, at: usize, work: &mut Vec<Work>) {
        let step = self.state.step_at(at);
        if !std::mem::replace(&mut self.is_reached[at], true) {
            self.reach_other_way(at, step, work);
            if matches!(step.status, Status::Branched { .. }) {
                // The last step of the other way comes back to it.
                return;
            }
        }
        let span = self.span(at, step);
        for later in self.state.waiting_for(at) {
            self.before[*later].0.join(&span.end);
            self.tell_step(*later, work);
        }
        self.steps[at] = Some(span);
        if let Some(owner) = step.in_place_of() {
            self.ways_end[owner].0.join(&span.end);
            self.ways_end[owner].1 -= 1;
            let is_branched = matches!(self.state.step_at(owner).status, Status::Branched { .. });
            if is_branched && self.ways_end[owner].1 == 0 {
                work.push(Work::Step(owner));
            }
            return;
        }
        let phase = step.step.phase;
        self.phases_end[phase].0.join(&span.end);
        self.phases_end[phase].1 -= 1;
        if self.phases_end[phase].1 == 0 {
            self.end_phase(phase, work);
        }
    }

    /// The steps of another way begin where the one does that has it; what nobody takes takes no time.
    fn reach_other_way(&mut self, at: usize, step: &StepState, work: &mut Vec<Work>) {
        let begin = self.before[at].0;
        for other in step.other_way() {
            if self.state.step_at(*other).status == Status::Apart {
                self.steps[*other] = Some(Span::default());
            } else {
                self.before[*other].0.join(&begin);
                self.tell_step(*other, work);
            }
        }
        // What takes it back is in nobody's way to anywhere.
        for other in step.undoing_steps() {
            let since = self.state.step_at(*other).since.as_ref();
            let at = since.map_or(self.passed, |since| since.since(&self.state.since));
            let is_over = self.state.step_at(*other).status.is_finished();
            let end = Mark { at: if is_over { at } else { Duration::ZERO }, ..Mark::default() };
            self.steps[*other] = Some(Span { begin: at, end, ..Span::default() });
        }
    }

    /// Something that is over.
    fn over(&self, at: &Moment) -> Mark {
        Mark { at: at.since(&self.state.since), ..Mark::default() }
    }

    fn span(&self, at: usize, step: &StepState) -> Span {
        let since = step.since.as_ref().unwrap_or(self.now);
        let counted = |moment: &Moment| moment.since(&self.state.since);
        if step.status.is_finished() {
            let end = self.over(since);
            let begin = step.tried.as_ref().map_or(end.at, counted);
            return Span { begin, end, ..Span::default() };
        }
        if matches!(step.status, Status::Branched { .. }) {
            let end = self.ways_end[at].0;
            return Span { begin: counted(since), end, before: end.last, ..Span::default() };
        }
        let before = self.before[at].0;
        let mut begin = before.at.max(self.passed);
        let unknown = match &step.status {
            Status::Running | Status::Person | Status::Verifying => {
                return self.goes_on(at, counted(step.tried.as_ref().unwrap_or(since)));
            }
            Status::Ready { delay } => {
                begin = begin.max(counted(since) + *delay);
                self.held_up()
            }
            // As if somebody said at once that it is to be tried again.
            Status::Failed { .. } if !step.may_retry() => Some(Open::Failed(at)),
            Status::Doubt { .. } => Some(Open::Doubt(at)),
            Status::Undoing { .. } | Status::Undone { .. } => Some(Open::Undone(at)),
            _ => self.held_up(),
        };
        let estimate = &self.estimates[at];
        let unknown = before.unknown.or(unknown);
        let end = Mark { at: begin + estimate.duration, unknown, last: Some(at) };
        Span { begin, end, left: estimate.duration, before: before.last }
    }

    /// Why nothing is begun.
    fn held_up(&self) -> Option<Open> {
        matches!(self.state.life, Life::Paused { .. }).then_some(Open::Paused)
    }

    /// A step that is under way since then.
    fn goes_on(&self, at: usize, begin: Duration) -> Span {
        let estimate = &self.estimates[at];
        let expected = begin + estimate.duration;
        let left = expected.saturating_sub(self.passed);
        let unknown = (expected < self.passed).then_some(Open::Overdue(at));
        let end = Mark { at: self.passed + left, unknown, last: Some(at) };
        Span { begin, end, left, before: None }
    }

    /// What was never reached waits for itself.
    fn finish(self) -> Path {
        let knot = || {
            let end = Mark { at: self.passed, unknown: Some(Open::Knot), ..Mark::default() };
            Span { begin: self.passed, end, ..Span::default() }
        };
        let steps: Vec<Span> = self.steps.iter().map(|span| span.unwrap_or_else(knot)).collect();
        let mut whole = Mark::default();
        for span in &steps {
            whole.join(&span.end);
        }
        Path { steps, whole }
    }
}

impl Basis {
    /// With one more part.
    fn with(self, estimate: &Estimate, part: Duration) -> Self {
        let mut sum = self;
        match estimate.source {
            _ if part.is_zero() => {}
            Source::Measured { runs, drills, newest } => {
                sum.measured += part;
                sum.runs = Some(sum.runs.map_or(runs, |fewest| fewest.min(runs)));
                sum.since = Some(sum.since.map_or(newest, |oldest| oldest.min(newest)));
                sum.is_of_drills |= runs == drills;
            }
            Source::Declared(_) => sum.declared += part,
            Source::Assumed => sum.assumed += part,
        }
        sum
    }
}
