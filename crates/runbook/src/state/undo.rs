//! Steps that are taken back.
//!
//! The rule it keeps: a step is taken back before what it stands on. Whatever waits for it waits again,
//! as if it had never been done, and goes on by itself only when somebody has said what follows. While
//! something is being taken back nothing else is begun.

use std::collections::BTreeSet;
use std::time::Duration;

use super::graph::Work;
use super::next::Illegal;
use super::time::Moment;
use super::{Life, PhaseStatus, Role, State, Status, ways};
use crate::driver::effects::{Answer, Which};
use crate::ids::StepId;

impl State {
    /// Whether a step is being taken back.
    pub(super) fn is_undoing(&self) -> bool {
        self.undoing > 0
    }

    /// Whether this one takes a step back now.
    pub(super) fn is_undoing_step(&self, at: usize) -> bool {
        matches!(self.steps[at].of, Some(Role::Undo(owner))
            if matches!(self.steps[owner].status, Status::Undoing { .. }))
    }

    /// Whether its time has come: all it waits for is over, its phase has begun, and, if only a person's
    /// word begins it, a person has said it.
    pub(super) fn is_free(&self, at: usize) -> bool {
        let step = &self.steps[at];
        step.waiting == 0
            && match step.of {
                None => self.phases[step.step.phase].status == PhaseStatus::Begun,
                Some(Role::Undo(_)) => self.is_undoing_step(at),
                Some(Role::Instead(owner)) => {
                    let is_taken = matches!(self.steps[owner].status, Status::Branched { .. });
                    is_taken && self.is_free(owner)
                }
            }
    }

    /// The place of a step that may be taken back now, by the plan's steps or by hand.
    pub(super) fn undoing(&self, id: &StepId, by_hand: bool) -> Result<usize, Illegal> {
        let at = self.place(id)?;
        let step = &self.steps[at];
        let refused = |what: String| Err(Illegal::new(what));
        if !matches!(self.life, Life::Running | Life::Paused { .. }) {
            return refused("the run is being given up".to_owned());
        }
        match &step.status {
            Status::Done | Status::Failed { .. } | Status::Doubt { .. } => {}
            Status::Running => return refused(format!("`{id}` runs: wait for its end")),
            Status::Verifying => {
                return refused(format!("`{id}` is asked about: wait for the answer"));
            }
            Status::Undoing { .. } => return refused(format!("`{id}` is being undone already")),
            Status::Undone { .. } => return refused(format!("`{id}` was undone already")),
            Status::Apart => return refused(ways::apart(step)),
            Status::Branched { .. } | Status::Replaced { .. } => return refused(ways::taken(id)),
            Status::Pending | Status::Ready { .. } | Status::Person | Status::Skipped { .. } => {
                return refused(format!("`{id}` has not been done"));
            }
        }
        if step.step.action.leaves_nothing() || matches!(step.of, Some(Role::Undo(_))) {
            return refused(format!("`{id}` leaves nothing that could be taken back"));
        }
        if step.undo.is_empty() && !by_hand {
            return refused(format!(
                "the plan does not say how `{id}` is undone: do it by hand, then say so with \
                 `soter run undo {} {id} --by-hand --why …`",
                self.begun.run
            ));
        }
        self.nothing_stands_on(at)?;
        Ok(at)
    }

    /// Refuses what would pull the ground away from under something that is done or goes on.
    fn nothing_stands_on(&self, at: usize) -> Result<(), Illegal> {
        let id = &self.steps[at].step.id;
        let mut done = Vec::new();
        for other in self.behind(at) {
            let other = &self.steps[other];
            let name = &other.step.id;
            let under_way = match &other.status {
                Status::Running => "runs",
                Status::Verifying => "is asked about",
                Status::Undoing { .. } => "is being undone",
                Status::Doubt { .. } if other.step.destructive => "is in doubt",
                Status::Done if !other.step.action.leaves_nothing() => {
                    done.push(format!("`{name}`"));
                    continue;
                }
                _ => continue,
            };
            let what = format!("`{name}` depends on `{id}`, and {under_way}: that comes first");
            return Err(Illegal::new(what));
        }
        if done.is_empty() {
            return Ok(());
        }
        done.reverse();
        Err(Illegal::new(format!(
            "what depends on `{id}` is done: undo it first, in this order: {}",
            done.join(", ")
        )))
    }

    /// All that waits for a step, directly or not, in the order of the plan.
    fn behind(&self, start: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut phases = BTreeSet::new();
        // Beside each whether it was reached only because another way of it is not over any more.
        let mut open = vec![(start, true)];
        while let Some((at, is_owner)) = open.pop() {
            let step = &self.steps[at];
            let mut next: Vec<(usize, bool)> =
                step.needed_by.iter().map(|later| (*later, false)).collect();
            if !is_owner {
                next.extend(step.instead.iter().map(|other| (*other, false)));
            }
            match step.of {
                Some(Role::Instead(owner)) => next.push((owner, true)),
                Some(Role::Undo(_)) => {}
                None => {
                    let mut later = self.phases[step.step.phase].needed_by.clone();
                    while let Some(phase) = later.pop() {
                        if phases.insert(phase) {
                            next.extend(self.phases[phase].steps.iter().map(|one| (*one, false)));
                            later.extend(&self.phases[phase].needed_by);
                        }
                    }
                }
            }
            open.extend(next.into_iter().filter(|(at, _)| *at != start && found.insert(*at)));
        }
        found
    }

    /// The steps that take one back begin.
    pub(super) fn undo(&mut self, at: usize, why: &str, now: &Moment) {
        let undo = self.steps[at].undo.clone();
        for other in &undo {
            self.steps[*other].status = Status::Pending;
            self.steps[*other].skip = None;
            self.steps[*other].may_have_happened = false;
            self.forget(*other);
        }
        self.undoing += 1;
        self.take_back(at, Status::Undoing { why: why.to_owned() }, now);
        self.settle(undo.into_iter().map(Work::OpenStep).collect(), now);
    }

    /// A person has taken it back.
    pub(super) fn undo_by_hand(&mut self, at: usize, why: &str, now: &Moment) {
        self.take_back(at, Status::Undone { why: why.to_owned() }, now);
    }

    /// The place of a step of which all that takes it back is over.
    pub(super) fn undone(&self, id: &StepId) -> Result<usize, Illegal> {
        let at = self.place(id)?;
        let step = &self.steps[at];
        let is_over = step.undo.iter().all(|other| self.steps[*other].status.is_finished());
        if matches!(step.status, Status::Undoing { .. }) && is_over {
            return Ok(at);
        }
        Err(Illegal::new(format!("`{id}` is not undone yet")))
    }

    /// It is over no more, and whatever waits for it waits again.
    fn take_back(&mut self, at: usize, status: Status, now: &Moment) {
        for other in self.behind(at) {
            self.wait_again(other);
        }
        self.forget(at);
        self.steps[at].may_have_happened = false;
        self.turn(at, status, now);
        self.count_anew();
    }

    fn wait_again(&mut self, at: usize) {
        let step = &mut self.steps[at];
        let is_condition = step.answer(Which::OnlyIf) == Some(Answer::No)
            || self.phases[step.step.phase].status == PhaseStatus::Skipped;
        step.status = match step.status.clone() {
            kept @ (Status::Apart | Status::Undone { .. } | Status::Branched { .. }) => kept,
            Status::Replaced { why } => Status::Branched { why },
            Status::Skipped { why } => {
                // What a person has said of it still holds; a condition is asked again.
                step.skip = Some(why).filter(|_| !is_condition);
                Status::Pending
            }
            _ => Status::Pending,
        };
        self.forget(at);
    }

    /// What was asked and tried before says nothing any more.
    fn forget(&mut self, at: usize) {
        let step = &mut self.steps[at];
        step.child = None;
        step.approvals.clear();
        step.answers.clear();
        step.verified.clear();
        step.failures = 0;
        step.cleared = false;
        for name in &step.step.gives {
            self.missing.remove(name);
        }
    }

    /// Who waits for how much, from what is over now.
    fn count_anew(&mut self) {
        self.unfinished = 0;
        for phase in &mut self.phases {
            phase.unfinished = 0;
        }
        for at in 0..self.steps.len() {
            let step = &self.steps[at];
            let after = step.step.after.iter().filter_map(|id| self.index.get(id));
            let waiting = after.filter(|before| !self.steps[**before].status.is_finished()).count();
            let is_counted = step.of.is_none() && !step.status.is_finished();
            let phase = &mut self.phases[step.step.phase];
            phase.unfinished += usize::from(is_counted);
            self.unfinished += usize::from(is_counted);
            self.steps[at].waiting = waiting;
        }
        for at in 0..self.phases.len() {
            let is_over = |before: &&usize| {
                matches!(self.phases[**before].status, PhaseStatus::Done | PhaseStatus::Skipped)
            };
            let after = &self.begun.procedure.phases[at].after;
            let waiting = after.len() - after.iter().filter(is_over).count();
            let phase = &mut self.phases[at];
            phase.waiting = waiting;
            if waiting > 0 {
                (phase.status, phase.since, phase.only_if) = (PhaseStatus::Pending, None, None);
                self.asking.remove(&at);
            } else if phase.status == PhaseStatus::Done && phase.unfinished > 0 {
                phase.status = PhaseStatus::Begun;
            }
        }
        let is_open = |step: &super::StepState| match step.status {
            Status::Pending | Status::Apart | Status::Branched { .. } => false,
            _ => !step.status.is_finished(),
        };
        let steps = self.steps.iter().enumerate();
        self.open = steps.filter(|(_, step)| is_open(step)).map(|(at, _)| at).collect();
    }

    /// Somebody has a step that was taken back done again.
    pub(super) fn redo(&mut self, at: usize, now: &Moment) {
        if self.is_free(at) {
            self.turn(at, Status::Ready { delay: Duration::ZERO }, now);
        } else {
            self.turn(at, Status::Pending, now);
            self.open.remove(&at);
        }
    }
}
