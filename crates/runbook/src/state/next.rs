//! One event more.
//!
//! The rule it keeps: an event is looked at first and only then takes effect, so one that is refused
//! has changed nothing. What must never happen is refused here, whoever asks for it: an attempt of
//! something destructive that may have happened already, an approval by the one who asked for it, a
//! success with something left open.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::decide::retry_delay;
use super::event::{Closing, ENGINE, Ended, Entry, Event, Recorded, RetryFrom};
use super::time::Moment;
use super::{LaterEngine, Life, Obligation, PhaseStatus, State, Status, StepState};
use crate::driver::effects::{Answer, Asked, Which};
use crate::ids::StepId;
use crate::procedure::Action;

/// So often a step whose end nobody knows is done again by itself, also if its plan has no retries:
/// connections break, and there is nothing in that a person could decide.
const LOST_TRIES: u32 = 3;

/// An event that does not fit, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Illegal(String);

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Illegal {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// What keeps a step from beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gate {
    /// This is asked first.
    Ask(Which),
    /// Its condition says no.
    Closed,
    /// A person must say.
    Unsure(&'static str),
    /// Nothing.
    Open,
}

impl StepState {
    /// What keeps it from beginning, once its time has come.
    pub(super) fn gate(&self) -> Gate {
        if self.step.only_if.is_some() {
            match self.answer(Which::OnlyIf) {
                None => return Gate::Ask(Which::OnlyIf),
                Some(Answer::No) => return Gate::Closed,
                Some(Answer::Unknown) => {
                    return Gate::Unsure("nobody can tell whether it is needed");
                }
                Some(Answer::Yes) => {}
            }
        }
        if self.cleared {
            return Gate::Open;
        }
        match (&self.step.already_done, self.answer(Which::AlreadyDone)) {
            (Some(_), None) => Gate::Ask(Which::AlreadyDone),
            (Some(_), Some(Answer::Unknown)) if self.step.destructive => {
                Gate::Unsure("it cannot be taken back, and nobody can tell whether it was done")
            }
            (None, _) if self.may_have_happened => Gate::Unsure(
                "it cannot be taken back, an earlier attempt may have done it, and no probe can tell",
            ),
            _ => Gate::Open,
        }
    }
}

impl State {
    /// Adds what happened.
    ///
    /// # Errors
    /// When it does not fit; nothing has changed then.
    pub fn next(&mut self, entry: &Entry) -> Result<(), Illegal> {
        if let Life::Closed(_) = self.life {
            return Err(Illegal::new("the run is closed"));
        }
        let is_engine = matches!(entry.event, Event::Engine { .. });
        if entry.epoch < self.epoch || (entry.epoch == self.epoch) == is_engine {
            return Err(Illegal::new("it is by another engine than the one that has the run"));
        }
        self.step_event(entry).unwrap_or_else(|| self.run_event(entry))?;
        self.records += 1;
        self.epoch = entry.epoch;
        self.last = entry.at.clone();
        Ok(())
    }

    /// What is about the run as a whole.
    fn run_event(&mut self, entry: &Entry) -> Result<(), Illegal> {
        let now = &entry.at;
        match &entry.event {
            Event::Engine { host, took_over } => {
                self.host.clone_from(host);
                self.engine_since = now.clone();
                self.engines.push(LaterEngine {
                    epoch: entry.epoch,
                    host: host.clone(),
                    since: now.clone(),
                    took_over: *took_over,
                    adopted: Vec::new(),
                });
            }
            Event::Mirror { now: state, .. } => self.mirror = (*state, now.clone()),
            Event::Parameter { name, value } => {
                self.missing.remove(name);
                let before = self.parameters.insert(name.clone(), value.clone());
                if before.is_some_and(|before| before != *value) {
                    self.agreed_to_another(now);
                }
            }
            Event::Probe { about: Asked::Phase(phase), answer, .. } => {
                self.phase_answered(*phase, *answer, now)?;
            }
            Event::Obliged { name, step } => {
                self.place(step)?;
                let new = || Obligation { step: step.clone(), since: now.clone() };
                self.obligations.entry(name.clone()).or_insert_with(new);
            }
            Event::Lifted { name, .. } => {
                let lifted = self.obligations.remove(name);
                lifted.ok_or_else(|| Illegal::new(format!("`{name}` is not in place")))?;
                self.to_lift.retain(|(other, _)| other != name);
            }
            Event::Paused { why, .. } => {
                let by_engine = entry.by == ENGINE;
                match self.life {
                    Life::Running => {}
                    // It has another reason now.
                    Life::Paused { by_engine: true, .. } if by_engine => {}
                    _ => {
                        return Err(Illegal::new("the run does not go on, so it cannot be paused"));
                    }
                }
                self.life = Life::Paused { why: why.clone(), by_engine };
            }
            Event::Continued { .. } => match self.life {
                Life::Paused { .. } => self.life = Life::Running,
                _ => return Err(Illegal::new("the run is not paused")),
            },
            Event::Aborted { .. } if self.life == Life::Aborting => {
                return Err(Illegal::new("the run is being given up already"));
            }
            Event::Aborted { .. } => self.life = Life::Aborting,
            Event::Closed { result } => {
                self.may_close(*result)?;
                self.life = Life::Closed(*result);
            }
            _ => return Err(Illegal::new("a run begins once")),
        }
        Ok(())
    }

    fn may_close(&self, result: Closing) -> Result<(), Illegal> {
        let is_running = self.open().any(|step| step.status == Status::Running);
        match result {
            Closing::Aborted if self.life == Life::Aborting && !is_running => Ok(()),
            Closing::Aborted => Err(Illegal::new("what runs must have ended before")),
            Closing::Success if self.unfinished > 0 => Err(Illegal::new("steps are left")),
            Closing::Success if !self.obligations.is_empty() => {
                Err(Illegal::new("temporary measures are still in place"))
            }
            Closing::Success if self.life != Life::Running => {
                Err(Illegal::new("the run does not go on"))
            }
            Closing::Success => Ok(()),
        }
    }

    fn phase_answered(&mut self, at: usize, answer: Answer, now: &Moment) -> Result<(), Illegal> {
        let phase = self.phases.get_mut(at);
        let phase = phase.filter(|phase| phase.status == PhaseStatus::Asking);
        phase.ok_or(Illegal::new("the phase has no question open"))?.only_if = Some(answer);
        match answer {
            Answer::Yes => self.begin_phase(at, now),
            Answer::No => self.skip_phase(at, "the condition of its phase said no", now),
            Answer::Unknown => {}
        }
        Ok(())
    }

    /// What is about one step; none: it is not.
    fn step_event(&mut self, entry: &Entry) -> Option<Result<(), Illegal>> {
        let now = &entry.at;
        Some(match &entry.event {
            Event::StepStarted { step, attempt, .. } => self.started(step, *attempt, now),
            Event::ChildStarted { step, attempt, child } => {
                let at = self.attempt(step, *attempt);
                at.map(|at| self.steps[at].child = Some(child.clone()))
            }
            Event::Adopted { step, attempt } => self.adopted(step, *attempt),
            Event::Interrupted { step, attempt, began, .. } => {
                self.attempt(step, *attempt).map(|at| self.interrupted(at, *began, now))
            }
            Event::StepEnded { step, attempt, outcome, outputs, captured } => {
                let ended = self.ended(step, *attempt, (outcome, outputs), now);
                ended.map(|()| self.captured.extend(captured.iter().cloned()))
            }
            Event::Probe { about: Asked::Step { step, which }, answer, evidence } => {
                self.answered_probe((step, *which), (*answer, evidence), now)
            }
            Event::Retry { step, from, delay_ms } => {
                let delay = Duration::from_millis(*delay_ms);
                self.retry(step, (*from, delay), entry.by == ENGINE, now)
            }
            Event::Doubt { step, why } => self.doubt(step, why, now),
            Event::Resolved { step, resolution, why } => self.resolved(step, *resolution, why, now),
            Event::Approved { step, how, signed } => self
                .signed(step, (&entry.by, how, signed.as_ref()), now)
                .and_then(|()| self.approved(step, (&entry.by, how), now)),
            Event::Refused { step, why } => self.refused(step, (&entry.by, why), now),
            Event::Answered { step, values, .. } => self.answered(step, values, now),
            Event::Skipped { step, why } => self.skipped(step, (&entry.by, why), now),
            Event::MarkedDone { step, .. } => self.marked_done(step, now),
            Event::Amended { step, .. } => self.amended(step, now),
            Event::Branched { step, why } => {
                self.branching(step).map(|at| self.branch(at, why, now))
            }
            Event::Compensating { step, why } => {
                self.undoing(step, false).map(|at| self.undo(at, why, now))
            }
            Event::Compensated { step, why } if entry.by == ENGINE => self.undone(step).map(|at| {
                self.undoing -= 1;
                self.turn(at, Status::Undone { why: why.clone() }, now);
            }),
            Event::Compensated { step, why } => {
                self.undoing(step, true).map(|at| self.undo_by_hand(at, why, now))
            }
            _ => return None,
        })
    }

    pub(super) fn place(&self, id: &StepId) -> Result<usize, Illegal> {
        let place = self.index.get(id).copied();
        place.ok_or_else(|| Illegal::new(format!("the run has no step `{id}`")))
    }

    /// A step of which that attempt goes on.
    pub(super) fn attempt(&self, id: &StepId, attempt: u32) -> Result<usize, Illegal> {
        let at = self.place(id)?;
        let step = &self.steps[at];
        if step.status == Status::Running && step.attempt == attempt {
            return Ok(at);
        }
        Err(Illegal::new(format!("attempt {attempt} of `{id}` does not go on")))
    }

    fn adopted(&mut self, id: &StepId, attempt: u32) -> Result<(), Illegal> {
        let at = self.attempt(id, attempt)?;
        let step = &mut self.steps[at];
        step.adopted_by = Some(self.epoch);
        let process = step.child.as_ref().map(|child| child.pid);
        if let Some(engine) = self.engines.last_mut() {
            engine.adopted.push((id.clone(), process));
        }
        Ok(())
    }

    pub(super) fn turn(&mut self, at: usize, status: Status, now: &Moment) {
        self.steps[at].status = status;
        self.steps[at].since = Some(now.clone());
    }

    pub(super) fn started(
        &mut self,
        id: &StepId,
        attempt: u32,
        now: &Moment,
    ) -> Result<(), Illegal> {
        let at = self.place(id)?;
        let undoes = self.is_undoing_step(at);
        if self.life != Life::Running && !(undoes && matches!(self.life, Life::Paused { .. })) {
            return Err(Illegal::new("the run does not go on, so nothing is begun"));
        }
        if !undoes && self.is_undoing() {
            return Err(Illegal::new("something is being undone, so nothing else is begun"));
        }
        let host = self.host.clone();
        let step = &mut self.steps[at];
        if !matches!(step.status, Status::Ready { .. }) || step.gate() != Gate::Open {
            return Err(Illegal::new(format!("`{id}` cannot be begun now")));
        }
        if attempt != step.attempt + 1 {
            return Err(Illegal::new(format!("the next attempt of `{id}` is another one")));
        }
        step.attempt = attempt;
        step.host = host;
        step.child = None;
        step.adopted_by = None;
        step.began.get_or_insert_with(|| now.clone());
        step.tried = Some(now.clone());
        step.approvals.clear();
        (step.may_have_happened, step.cleared) = (false, false);
        step.answers.remove(&Which::AlreadyDone);
        match step.step.action {
            Action::Look => self.begin_to_verify(at, now),
            Action::Manual(_) | Action::Approve { .. } | Action::Ask { .. } => {
                self.turn(at, Status::Person, now);
            }
            _ => self.turn(at, Status::Running, now),
        }
        Ok(())
    }

    /// What it does is done; its probes are left, if it has any.
    pub(super) fn begin_to_verify(&mut self, at: usize, now: &Moment) {
        let step = &mut self.steps[at];
        step.verified.clear();
        step.answers.retain(|which, _| !matches!(which, Which::Verify(_)));
        step.may_have_happened = false;
        if step.step.verify.is_empty() {
            self.finish(at, Status::Done, now);
        } else {
            self.turn(at, Status::Verifying, now);
        }
    }

    pub(super) fn fail(&mut self, at: usize, why: &str, from: RetryFrom, now: &Moment) {
        let step = &mut self.steps[at];
        step.failures = step.failures.saturating_add(1);
        step.may_have_happened = step.step.destructive;
        self.turn(at, Status::Failed { why: why.to_owned(), at: from }, now);
    }

    pub(super) fn interrupted(&mut self, at: usize, began: bool, now: &Moment) {
        let step = &mut self.steps[at];
        step.child = None;
        step.may_have_happened = began && step.step.destructive;
        self.turn(at, Status::Ready { delay: Duration::ZERO }, now);
    }

    /// An attempt ended in a way nobody knows, and its engine lives. That counts as a try: what never
    /// says how it ended would else be done without end.
    pub(super) fn lost(&mut self, at: usize, why: &str, now: &Moment) {
        let step = &mut self.steps[at];
        let tries = step.step.retries.max(LOST_TRIES);
        let asks_person = step.step.destructive && step.step.already_done.is_none();
        if step.failures >= tries && !asks_person {
            let why = format!("nobody knows how it ended: {why}");
            return self.fail(at, &why, RetryFrom::Beginning, now);
        }
        step.failures = step.failures.saturating_add(1);
        let delay = if asks_person { Duration::ZERO } else { retry_delay(step) };
        self.interrupted(at, true, now);
        self.turn(at, Status::Ready { delay }, now);
    }

    fn ended(
        &mut self,
        id: &StepId,
        attempt: u32,
        (outcome, outputs): (&Ended, &BTreeMap<String, Recorded>),
        now: &Moment,
    ) -> Result<(), Illegal> {
        let at = self.place(id)?;
        let step = &self.steps[at];
        let goes_on = matches!(step.status, Status::Running | Status::Person);
        if !goes_on || step.attempt != attempt {
            return Err(Illegal::new(format!("attempt {attempt} of `{id}` does not go on")));
        }
        if step.status == Status::Person && *outcome == Ended::Done && !step.is_approved() {
            return Err(Illegal::new(format!("`{id}` waits for a person")));
        }
        match outcome {
            Ended::Done => {
                self.parameters.extend(outputs.clone());
                self.begin_to_verify(at, now);
            }
            Ended::Failed(why) => self.fail(at, why, RetryFrom::Beginning, now),
            Ended::Unknown(why) => self.lost(at, why, now),
        }
        Ok(())
    }

    fn answered_probe(
        &mut self,
        (id, which): (&StepId, Which),
        (answer, evidence): (Answer, &str),
        now: &Moment,
    ) -> Result<(), Illegal> {
        let at = self.place(id)?;
        let step = &mut self.steps[at];
        let is_open = match which {
            Which::Verify(number) => {
                step.status == Status::Verifying
                    && number < step.step.verify.len()
                    && !step.verified.contains(&number)
            }
            gate => matches!(step.status, Status::Ready { .. }) && step.gate() == Gate::Ask(gate),
        };
        if !is_open {
            return Err(Illegal::new(format!("`{id}` is not asked that now")));
        }
        step.answers.insert(which, (answer, evidence.to_owned()));
        match (which, answer) {
            (Which::OnlyIf, _) => {}
            (Which::AlreadyDone, Answer::Yes) => {
                step.tried = None;
                self.begin_to_verify(at, now);
            }
            (Which::AlreadyDone, Answer::No) => step.may_have_happened = false,
            (Which::AlreadyDone, Answer::Unknown) => {}
            (Which::Verify(number), Answer::Yes) => {
                step.verified.insert(number);
                if step.verified.len() == step.step.verify.len() {
                    self.finish(at, Status::Done, now);
                }
            }
            (Which::Verify(number), _) => {
                let word = if answer == Answer::No { "said no" } else { "could not be answered" };
                let why = format!("`{}` {word}", step.step.verify[number].title);
                self.fail(at, &why, RetryFrom::Verification, now);
            }
        }
        Ok(())
    }

    fn retry(
        &mut self,
        id: &StepId,
        (from, delay): (RetryFrom, Duration),
        by_engine: bool,
        now: &Moment,
    ) -> Result<(), Illegal> {
        let at = self.place(id)?;
        if matches!(self.steps[at].status, Status::Undone { .. }) && !by_engine {
            self.redo(at, now);
            return Ok(());
        }
        let step = &mut self.steps[at];
        let Status::Failed { at: failed_at, .. } = &step.status else {
            return Err(Illegal::new(format!("`{id}` has not failed, so it is not tried again")));
        };
        if by_engine && !step.may_retry() {
            return Err(Illegal::new(format!("`{id}` is not tried again by itself")));
        }
        if from == RetryFrom::Verification && *failed_at != RetryFrom::Verification {
            return Err(Illegal::new(format!("`{id}` failed before its probes were asked")));
        }
        if !by_engine {
            step.failures = 0;
            // Their word counts as much as a probe's `no`; a probe is asked all the same.
            step.may_have_happened = false;
        }
        step.answers.remove(&Which::AlreadyDone);
        match from {
            RetryFrom::Beginning => self.turn(at, Status::Ready { delay }, now),
            RetryFrom::Verification => self.begin_to_verify(at, now),
        }
        Ok(())
    }

    fn doubt(&mut self, id: &StepId, why: &str, now: &Moment) -> Result<(), Illegal> {
        let at = self.place(id)?;
        if !matches!(self.steps[at].status, Status::Ready { .. }) {
            return Err(Illegal::new(format!("`{id}` is not about to begin")));
        }
        self.turn(at, Status::Doubt { why: why.to_owned() }, now);
        Ok(())
    }
}

impl StepState {
    /// Whether enough people have approved.
    pub(super) fn is_approved(&self) -> bool {
        match &self.step.action {
            Action::Approve { count, .. } => {
                self.approvals.len() >= usize::try_from(*count).unwrap_or(usize::MAX)
            }
            _ => false,
        }
    }
}
