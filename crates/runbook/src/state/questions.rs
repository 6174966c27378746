//! What a run needs of people now, and what they can say.

use super::time::Moment;
use super::{Life, PhaseStatus, State, Status, StepState};
use crate::driver::effects::{Answer, Asked, Which};
use crate::ids::StepId;
use crate::procedure::{Action, Probe, Question as Asking};

/// Something that people are needed for.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The step it is about, if it is one.
    pub step: Option<StepId>,
    /// What it is, in words, with the values of parameters in their places.
    pub text: String,
    /// What is needed.
    pub needed: Needed,
    /// Since when.
    pub since: Option<Moment>,
}

/// What is needed of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// So many more of these must say yes.
    Approval {
        /// People or teams.
        by: Vec<String>,
        /// How many more.
        missing: u32,
    },
    /// An answer that becomes the value of these parameters.
    Answer(Vec<String>),
    /// The value of a parameter, because the step that gives it was found done.
    Value(String),
    /// Something is done by hand, and said to be done.
    Deed,
    /// Somebody looks, and says yes, no or unknown.
    Look(Asked),
    /// A step that failed or was undone: retry, amend, skip, or mark it done.
    Decision,
    /// A step in doubt: it is to be run, it is done, or it is skipped.
    Resolution,
    /// A measure is lifted, and said to be.
    Lifting(Vec<String>),
    /// A pause is ended.
    Continuing,
}

impl State {
    /// What the run needs of people now, the most urgent first.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        let mut found = Vec::new();
        if matches!(self.life, Life::Closed(_) | Life::Aborting) {
            return found;
        }
        for step in self.open() {
            let is_early = self.place_of(&step.step.id).is_some_and(|at| !self.is_free(at));
            if !(is_early && matches!(step.status, Status::Undone { .. })) {
                of_step(self, step, &mut found);
            }
        }
        for (at, (phase, state)) in self.phases().enumerate() {
            let probe = phase.only_if.as_ref().filter(|_| state.status == PhaseStatus::Asking);
            let is_persons = |probe: &&Probe| {
                matches!(probe.question, Asking::Person(_))
                    || state.only_if == Some(Answer::Unknown)
            };
            found.extend(probe.filter(is_persons).map(|probe| Question {
                step: None,
                text: self.shown(match &probe.question {
                    Asking::Person(text) => text,
                    _ => &probe.title,
                }),
                needed: Needed::Look(Asked::Phase(at)),
                since: state.since.clone(),
            }));
        }
        found.extend(self.missing.iter().map(|name| Question {
            step: None,
            text: format!("what is the value of `{name}`?"),
            needed: Needed::Value(name.clone()),
            since: None,
        }));
        if self.unfinished() == 0 && !self.obligations.is_empty() {
            found.push(Question {
                step: None,
                text: "temporary measures are still in place".to_owned(),
                needed: Needed::Lifting(self.obligations.keys().cloned().collect()),
                since: None,
            });
        }
        if let Life::Paused { why, by_engine: false } = &self.life {
            let (text, needed) = (why.clone(), Needed::Continuing);
            found.push(Question { step: None, text, needed, since: None });
        }
        found
    }
}

fn of_step(state: &State, step: &StepState, found: &mut Vec<Question>) {
    let mut add = |text: &str, needed| {
        let (step_id, since) = (Some(step.step.id.clone()), step.since.clone());
        found.push(Question { step: step_id, text: text.to_owned(), needed, since });
    };
    match (&step.status, &step.step.action) {
        (Status::Person, Action::Approve { by, count, text, .. }) => {
            let given = u32::try_from(step.approvals.len()).unwrap_or(u32::MAX);
            let missing = count.saturating_sub(given);
            add(&state.shown(text), Needed::Approval { by: by.clone(), missing });
        }
        (Status::Person, Action::Ask { text, gives }) => {
            add(&state.shown(text), Needed::Answer(gives.clone()));
        }
        (Status::Person, Action::Manual(text)) => add(&state.shown(text), Needed::Deed),
        (Status::Failed { why, .. }, _) if !step.may_retry() => add(why, Needed::Decision),
        (Status::Undone { why }, _) => add(why, Needed::Decision),
        (Status::Doubt { why }, _) => add(why, Needed::Resolution),
        (Status::Verifying, _) => {
            for (at, probe) in step.step.verify.iter().enumerate() {
                look(state, (step, probe, Which::Verify(at)), &mut add);
            }
        }
        (Status::Ready { .. }, _) => {
            let gates = [
                (Which::OnlyIf, step.step.only_if.as_ref()),
                (Which::AlreadyDone, step.step.already_done.as_ref()),
            ];
            for (which, probe) in gates {
                let is_asked = step.gate() == super::next::Gate::Ask(which);
                if let Some(probe) = probe.filter(|_| is_asked) {
                    look(state, (step, probe, which), &mut add);
                }
            }
        }
        _ => {}
    }
}

fn look(
    state: &State,
    (step, probe, which): (&StepState, &Probe, Which),
    add: &mut impl FnMut(&str, Needed),
) {
    let is_done = matches!(which, Which::Verify(at) if step.verified.contains(&at));
    if let Asking::Person(text) = &probe.question
        && !is_done
    {
        let about = Asked::Step { step: step.step.id.clone(), which };
        add(&state.shown(text), Needed::Look(about));
    }
}
