//! Ways that a person takes in place of a step.
//!
//! The rule it keeps: who waits for a step waits for it still when another way was taken: the step is over
//! when all of the way is. Nobody else knows that there are ways.

use std::sync::Arc;

use super::graph::Work;
use super::next::Illegal;
use super::time::Moment;
use super::{Life, Role, State, Status, StepState};
use crate::ids::StepId;
use crate::procedure::{Action, Step, Way};

impl State {
    /// Steps of other ways stand apart: no phase counts them, and nobody outside waits for them.
    pub(super) fn connect_ways(&mut self) -> Result<(), Illegal> {
        for at in 0..self.steps.len() {
            let step = Arc::clone(&self.steps[at].step);
            if step.ways().next().is_none() {
                continue;
            }
            if matches!(step.action, Action::Approve { .. }) {
                return Err(Illegal::new("there is no way past an approval"));
            }
            if matches!(self.steps[at].of, Some(Role::Undo(_))) {
                return Err(Illegal::new("what takes a step back has no ways"));
            }
            if let Some(way) = &step.instead {
                self.steps[at].instead = self.connect_way(way, &step, Role::Instead(at))?;
            }
            if let Some(way) = &step.undo {
                self.steps[at].undo = self.connect_way(way, &step, Role::Undo(at))?;
            }
        }
        for step in &self.steps {
            for before in step.step.after.iter().filter_map(|id| self.index.get(id)) {
                let of = self.steps[*before].of;
                let is_undo = matches!(step.of, Some(Role::Undo(_)));
                if (of.is_some() || is_undo) && of != step.of {
                    return Err(Illegal::new("a step waits for one that may never be done"));
                }
            }
        }
        Ok(())
    }

    fn connect_way(&mut self, way: &Way, owner: &Step, role: Role) -> Result<Vec<usize>, Illegal> {
        if way.steps.is_empty() {
            return Err(Illegal::new("a way has no steps"));
        }
        let mut places = Vec::new();
        for id in &way.steps {
            let found = self.index.get(id).copied().filter(|found| *found > role.owner());
            let found = found.ok_or(Illegal::new("a way has a step that is not behind it"))?;
            let other = &mut self.steps[found];
            if other.of.is_some() || other.step.phase != owner.phase {
                return Err(Illegal::new("a step belongs to two ways, or two phases"));
            }
            (other.of, other.status) = (Some(role), Status::Apart);
            places.push(found);
        }
        Ok(places)
    }

    /// The place of a step whose other way may be taken now.
    pub(super) fn branching(&self, id: &StepId) -> Result<usize, Illegal> {
        let at = self.place(id)?;
        let step = &self.steps[at];
        let refused = |what: String| Err(Illegal::new(what));
        if step.instead.is_empty() {
            return refused(format!("the plan has no other way for `{id}`"));
        }
        if !matches!(self.life, Life::Running | Life::Paused { .. }) {
            return refused("the run is being given up".to_owned());
        }
        let may_go_on = step.may_have_happened && !step.cleared;
        match &step.status {
            Status::Failed { .. } | Status::Person => Ok(at),
            Status::Undone { .. } if self.is_free(at) => Ok(at),
            Status::Ready { .. } if !may_go_on => Ok(at),
            Status::Doubt { .. } if !step.step.destructive => Ok(at),
            Status::Doubt { .. } => refused(format!(
                "`{id}` is in doubt and cannot be taken back: say first what became of it, such as \
                 `soter run resolve {} {id} failed --why …`",
                self.begun.run
            )),
            Status::Ready { .. } => {
                refused(format!("nobody knows yet whether `{id}` was done: its probe is asked"))
            }
            Status::Running => refused(format!("`{id}` runs: wait for its end")),
            Status::Verifying => refused(format!("`{id}` is asked about: wait for the answer")),
            Status::Undoing { .. } => refused(format!("`{id}` is being undone: wait for its end")),
            Status::Pending | Status::Undone { .. } => {
                refused(format!("`{id}` waits for others; its time has not come"))
            }
            Status::Done | Status::Skipped { .. } => refused(format!("`{id}` is over already")),
            Status::Apart => refused(apart(step)),
            Status::Branched { .. } | Status::Replaced { .. } => refused(taken(id)),
        }
    }

    /// Another way is taken in place of a step.
    pub(super) fn branch(&mut self, at: usize, why: &str, now: &Moment) {
        let step = &mut self.steps[at];
        step.status = Status::Branched { why: why.to_owned() };
        step.since = Some(now.clone());
        step.child = None;
        let way = step.instead.clone();
        self.open.remove(&at);
        for other in &way {
            self.steps[*other].status = Status::Pending;
        }
        self.settle(way.into_iter().map(Work::OpenStep).collect(), now);
    }
}

pub(super) fn apart(step: &StepState) -> String {
    let id = &step.step.id;
    match step.of {
        Some(Role::Undo(_)) => format!("`{id}` takes a step back, and nobody has asked for that"),
        _ => format!("`{id}` belongs to another way, which nobody has taken"),
    }
}

pub(super) fn taken(id: &StepId) -> String {
    format!("another way was taken in place of `{id}`: its steps count now")
}
