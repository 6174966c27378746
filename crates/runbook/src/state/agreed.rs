//! What a yes is worth: whether it is theirs, and what becomes of it when what it was said to becomes
//! another thing.
//!
//! The rule it keeps: who agreed has agreed to the steps and values as they were then. As long as others
//! are to agree too, all are asked anew. Where the run has gone on already it does go on, for it may be
//! the change that saves it; but it leaves an obligation, so that somebody looks at it before the end.

use super::next::Illegal;
use super::time::Moment;
use super::{Obligation, State, Status};
use crate::approval::{Signed, Subject};
use crate::ids::StepId;
use crate::procedure::{Action, Step};

/// What the obligation's name begins with; the approval's follows.
const CHANGED: &str = "changed-after-";

impl State {
    /// A signature is under what is approved now, and by who says so; and where one is spoken of, there
    /// is one.
    pub(super) fn signed(
        &self,
        id: &StepId,
        (person, how, signed): (&str, &str, Option<&Signed>),
        now: &Moment,
    ) -> Result<(), Illegal> {
        let signed = match (signed, how == super::SIGNATURE) {
            (Some(signed), true) => signed,
            (None, false) => return Ok(()),
            _ => {
                return Err(Illegal::new(
                    "a signature that is spoken of and one that is there differ",
                ));
            }
        };
        let Some(key) = self.begun.procedure.signers.get(person) else {
            return Err(Illegal::new(format!(
                "the plan does not say what {person} signs with: give them a `signs_with`, or a code"
            )));
        };
        if Subject::of(self, id).is_signed(key, signed, now.at) {
            return Ok(());
        }
        Err(Illegal::new(
            "the signature is not right: it is good under this step, these values of the parameters, \
             this engine, by the key that the plan names, and for at most half an hour; make a new one",
        ))
    }

    /// A step was amended: codes for what was there before are good no more.
    pub(super) fn amended_to(&mut self, new: &Step, now: &Moment) {
        let mut said = self.digest.clone().into_bytes();
        said.extend(serde_json::to_vec(new).expect("a step has only texts as keys"));
        self.digest = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &said));
        self.agreed_to_another(now);
    }

    /// A step or a value that was there is another one now.
    pub(super) fn agreed_to_another(&mut self, now: &Moment) {
        for step in &mut self.steps {
            let is_approval = matches!(step.step.action, Action::Approve { .. });
            match step.status {
                Status::Person if is_approval => step.approvals.clear(),
                Status::Done if is_approval && !step.approvals.is_empty() => {
                    let name = format!("{CHANGED}{}", step.step.id);
                    let new = || Obligation { step: step.step.id.clone(), since: now.clone() };
                    self.obligations.entry(name).or_insert_with(new);
                }
                _ => {}
            }
        }
    }
}
