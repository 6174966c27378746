//! Whether everything a run does is something that somebody here can do.
//!
//! The rule it keeps: a step of a kind that nobody carries out is found before the first effect, not
//! when its turn comes.

use std::sync::Arc;

use super::{Objection, Weight};
use crate::procedure::{Action, Probe, Procedure, Question, Step};
use crate::steps::{self, Place};

/// What to do about something that this program cannot do.
const HINT: &str = "take a newer soter, or write the step as a script: `run: …`";

/// What nothing here carries out, puts or keeps, and what is in the way of the rest.
pub(super) fn unable(
    actions: &[Arc<dyn steps::Action>],
    procedure: &Procedure,
    place: &Place,
) -> Vec<Objection> {
    let mut found: Vec<Objection> = Vec::new();
    let mut block = |what: String| {
        let hint = HINT.to_owned();
        found.push(Objection { weight: Weight::Blocking, what, hint });
    };
    for step in &procedure.steps {
        let id = &step.id;
        if !is_carried_out(actions, step) {
            let word = step.action.word();
            block(format!(
                "nothing here carries out the step `{id}`, which is of the kind `{word}`"
            ));
        }
        let is_kept = step.capture.is_empty() || actions.iter().any(|one| one.keeps_evidence());
        if !is_kept && !matches!(step.action, Action::Capture) {
            block(format!("nothing here keeps the evidence that the step `{id}` names"));
        }
        for probe in step.only_if.iter().chain(&step.already_done).chain(&step.verify) {
            if !is_put(actions, probe) {
                block(format!(
                    "nothing here puts the question `{}` of the step `{id}`",
                    probe.title
                ));
            }
        }
    }
    for phase in &procedure.phases {
        if let Some(probe) = phase.only_if.as_ref().filter(|probe| !is_put(actions, probe)) {
            let (question, phase) = (&probe.title, &phase.title);
            block(format!("nothing here puts the question `{question}` of the phase {phase}"));
        }
    }
    found.extend(actions.iter().flat_map(|action| action.objections(procedure, place)));
    found
}

fn is_carried_out(actions: &[Arc<dyn steps::Action>], step: &Step) -> bool {
    let is_ours = matches!(step.action, Action::Run(_) | Action::Http(_) | Action::Notify(_));
    !step.action.is_effect() || is_ours || actions.iter().any(|action| action.carries_out(step))
}

fn is_put(actions: &[Arc<dyn steps::Action>], probe: &Probe) -> bool {
    let is_ours = !matches!(probe.question, Question::Sql(_));
    is_ours || actions.iter().any(|action| action.can_answer(&probe.question))
}
