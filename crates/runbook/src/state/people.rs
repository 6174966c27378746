//! What people say of steps, as changes of a state.
//!
//! The rule it keeps: their word is taken where the run asks for it, and never past an approval, an effect
//! that may still go on, or what cannot be taken back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::event::{ENGINE, Recorded, Resolution, RetryFrom};
use super::next::{Gate, Illegal};
use super::time::Moment;
use super::{Obligation, State, Status, ways};
use crate::driver::effects::{Answer, Which};
use crate::ids::StepId;
use crate::procedure::{Action, Step};

impl State {
    pub(super) fn resolved(
        &mut self,
        id: &StepId,
        resolution: Resolution,
        why: &str,
        now: &Moment,
    ) -> Result<(), Illegal> {
        let at = self.place(id)?;
        let step = &mut self.steps[at];
        if !matches!(step.status, Status::Doubt { .. }) {
            return Err(Illegal::new(format!("`{id}` is not in doubt")));
        }
        let is_approval = matches!(step.step.action, Action::Approve { .. });
        match resolution {
            Resolution::Done if is_approval => {
                return Err(Illegal::new("an approval is given, not said to be done"));
            }
            Resolution::Run if step.answer(Which::OnlyIf) == Some(Answer::Unknown) => {
                step.answers.insert(Which::OnlyIf, (Answer::Yes, why.to_owned()));
                self.turn(at, Status::Ready { delay: Duration::ZERO }, now);
            }
            Resolution::Run => {
                step.cleared = true;
                self.turn(at, Status::Ready { delay: Duration::ZERO }, now);
            }
            Resolution::Done => {
                step.tried = None;
                self.begin_to_verify(at, now);
            }
            Resolution::Skip => self.finish(at, Status::Skipped { why: why.to_owned() }, now),
            Resolution::Failed => {
                self.fail(at, why, RetryFrom::Beginning, now);
                // A person said it: a person says what follows.
                self.steps[at].failures = u32::MAX;
            }
        }
        Ok(())
    }

    pub(super) fn approved(
        &mut self,
        id: &StepId,
        (person, how): (&str, &str),
        now: &Moment,
    ) -> Result<(), Illegal> {
        let at = self.place(id)?;
        let step = &self.steps[at];
        let Action::Approve { by, .. } = &step.step.action else {
            return Err(Illegal::new(format!("`{id}` asks for no approval")));
        };
        if step.status != Status::Person {
            return Err(Illegal::new(format!("`{id}` does not wait for an approval now")));
        }
        let procedure = &self.begun.procedure;
        if how == super::BREAK_GLASS {
            let name = format!("{}-{id}", super::BREAK_GLASS);
            self.obligations.insert(name, Obligation { step: id.clone(), since: now.clone() });
            self.begin_to_verify(at, now);
            return Ok(());
        }
        if person == self.begun.requester {
            let what = format!("{person} began the run, so somebody else must approve `{id}`");
            return Err(Illegal::new(what));
        }
        if !by.iter().any(|name| procedure.is_one_of(person, name)) {
            let what = format!("{person} may not approve `{id}`; {} may", by.join(", "));
            return Err(Illegal::new(what));
        }
        if step.approvals.iter().any(|(other, _)| other == person) {
            return Err(Illegal::new(format!("{person} has approved `{id}` already")));
        }
        self.steps[at].approvals.push((person.to_owned(), now.clone()));
        Ok(())
    }

    pub(super) fn refused(
        &mut self,
        id: &StepId,
        (person, why): (&str, &str),
        now: &Moment,
    ) -> Result<(), Illegal> {
        let at = self.place(id)?;
        let step = &self.steps[at];
        let is_approval = matches!(step.step.action, Action::Approve { .. });
        if step.status != Status::Person || !is_approval {
            return Err(Illegal::new(format!("`{id}` does not wait for an approval now")));
        }
        self.fail(at, &format!("{person} said no: {why}"), RetryFrom::Beginning, now);
        Ok(())
    }

    pub(super) fn answered(
        &mut self,
        id: &StepId,
        values: &BTreeMap<String, Recorded>,
        now: &Moment,
    ) -> Result<(), Illegal> {
        let at = self.place(id)?;
        let step = &self.steps[at];
        let is_asked = matches!(step.step.action, Action::Ask { .. } | Action::Manual(_));
        if step.status != Status::Person || !is_asked {
            return Err(Illegal::new(format!("`{id}` waits for no answer now")));
        }
        self.parameters.extend(values.clone());
        self.begin_to_verify(at, now);
        Ok(())
    }

    pub(super) fn skipped(
        &mut self,
        id: &StepId,
        (by, why): (&str, &str),
        now: &Moment,
    ) -> Result<(), Illegal> {
        let at = self.place(id)?;
        let step = &self.steps[at];
        let is_ready = matches!(step.status, Status::Ready { .. });
        // Also an approval is left out when the plan's own condition says so.
        if by != ENGINE || !is_ready || step.gate() != Gate::Closed {
            self.may_be_stepped_over(at)?;
        }
        let step = &mut self.steps[at];
        if step.status == Status::Pending {
            step.skip = Some(why.to_owned());
        } else {
            self.finish(at, Status::Skipped { why: why.to_owned() }, now);
        }
        Ok(())
    }

    pub(super) fn marked_done(&mut self, id: &StepId, now: &Moment) -> Result<(), Illegal> {
        let at = self.place(id)?;
        self.may_be_stepped_over(at)?;
        let is_early = match self.steps[at].status {
            Status::Undone { .. } => !self.is_free(at),
            _ => self.steps[at].status == Status::Pending,
        };
        if is_early {
            return Err(Illegal::new(format!("`{id}` waits for others; its time has not come")));
        }
        self.steps[at].tried = None;
        self.begin_to_verify(at, now);
        Ok(())
    }

    fn may_be_stepped_over(&self, at: usize) -> Result<(), Illegal> {
        let step = &self.steps[at];
        let id = &step.step.id;
        match step.status {
            Status::Running => Err(Illegal::new(format!("`{id}` runs: wait, or give the run up"))),
            Status::Done | Status::Skipped { .. } => {
                Err(Illegal::new(format!("`{id}` is over already")))
            }
            Status::Undoing { .. } => {
                Err(Illegal::new(format!("`{id}` is being undone: wait for its end")))
            }
            Status::Apart => Err(Illegal::new(ways::apart(step))),
            Status::Branched { .. } | Status::Replaced { .. } => Err(Illegal::new(ways::taken(id))),
            _ if matches!(step.step.action, Action::Approve { .. }) => {
                let what = "an approval is not stepped over: approve it with --break-glass, which \
                            leaves an obligation";
                Err(Illegal::new(what))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn amended(&mut self, new: &Step, now: &Moment) -> Result<(), Illegal> {
        let at = self.place(&new.id)?;
        let step = &mut self.steps[at];
        let id = &new.id;
        let is_still = matches!(
            step.status,
            Status::Pending
                | Status::Apart
                | Status::Ready { .. }
                | Status::Failed { .. }
                | Status::Undone { .. }
                | Status::Doubt { .. }
        );
        if !is_still {
            return Err(Illegal::new(format!("`{id}` is under way or over, so it is not changed")));
        }
        let ways = |step: &Step| (step.instead.clone(), step.undo.clone());
        let is_there = (new.phase, &new.after) == (step.step.phase, &step.step.after);
        if !is_there || ways(new) != ways(&step.step) {
            let what = format!(
                "`{id}` keeps its phase, what it waits for, its other way and what undoes it"
            );
            return Err(Illegal::new(what));
        }
        let is_approval = |step: &Step| matches!(step.action, Action::Approve { .. });
        if is_approval(new) || is_approval(&step.step) {
            return Err(Illegal::new("an approval is not changed"));
        }
        if step.may_have_happened && !new.destructive {
            let what = format!("`{id}` may have happened and cannot be taken back; say so still");
            return Err(Illegal::new(what));
        }
        step.step = Arc::new(new.clone());
        step.answers.clear();
        step.cleared = false;
        step.amendments += 1;
        self.amended_to(new, now);
        Ok(())
    }
}
