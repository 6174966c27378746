//! What is heard of the world outside, as events.
//!
//! The rule it keeps: what comes too late, about an attempt that does not go on or a question that
//! was asked anew, changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use soter_world::Secret;

use super::{Engine, end_of};
use crate::approval;
use crate::driver::effects::{Asked, Completion, Outcome, Reply};
use crate::ids::StepId;
use crate::procedure::{Parameter, ParameterKind};
use crate::state::{ENGINE, Ended, Event, Recorded};

impl Engine<'_> {
    pub(super) fn hear(&mut self, heard: Completion) {
        let event = match heard {
            Completion::Answered { about, token, reply } => self.answered(about, token, &reply),
            Completion::Begun { step, attempt, child } => {
                Some(Event::ChildStarted { step, attempt, child })
            }
            Completion::Ended { step, attempt, outcome } => {
                Some(self.ended(step, attempt, outcome))
            }
        };
        if let Some(event) = event {
            // What is refused is about something that is over.
            self.record(ENGINE, event).ok();
        }
    }

    fn answered(&mut self, about: Asked, token: u64, reply: &Reply) -> Option<Event> {
        let up = self.world.clock.uptime();
        let polled = self.polls.get_mut(&about).filter(|polled| polled.token == token)?;
        let answer = polled.heard(up, reply)?;
        self.polls.remove(&about);
        Some(Event::Probe { about, answer, evidence: end_of(&reply.evidence) })
    }

    pub(super) fn ended(&mut self, step: StepId, attempt: u32, outcome: Outcome) -> Event {
        let was_cancelled = self.cancelled.remove(&(step.clone(), attempt));
        let (mut outputs, mut captured) = (BTreeMap::new(), Vec::new());
        let outcome = match outcome {
            Outcome::Done { outputs: given, captured: kept } => {
                captured = kept;
                match self.values(&step, given) {
                    Ok(values) => {
                        outputs = values;
                        Ended::Done
                    }
                    Err(why) => Ended::Failed(why),
                }
            }
            Outcome::Failed(why) if was_cancelled => Ended::Failed(format!(
                "it was ended, because it took too long or the run was given up: {}",
                end_of(&why)
            )),
            Outcome::Failed(why) => Ended::Failed(end_of(&why)),
            // What was ended here may go on elsewhere: it is not begun beside itself without a word.
            Outcome::Unknown(why) if was_cancelled && !self.is_destructive(&step) => {
                Ended::Failed(format!(
                    "it was ended, because it took too long or the run was given up; elsewhere it may \
                     go on: {}",
                    end_of(&why)
                ))
            }
            Outcome::Unknown(why) => Ended::Unknown(end_of(&why)),
        };
        Event::StepEnded { step, attempt, outcome, outputs, captured }
    }

    fn is_destructive(&self, step: &StepId) -> bool {
        self.state.step(step).is_some_and(|one| one.step.destructive)
    }

    /// The values that a step was to give, as they are recorded; or what is wrong with them.
    pub(super) fn values(
        &mut self,
        step: &StepId,
        mut given: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Recorded>, String> {
        let Some(of_step) = self.state.step(step).map(|one| Arc::clone(&one.step)) else {
            return Ok(BTreeMap::new());
        };
        if let Some(name) = of_step.gives.iter().find(|name| !given.contains_key(*name)) {
            return Err(format!(
                "it ended well, but gave no value for `{name}`, which others need"
            ));
        }
        given.retain(|name, _| of_step.keeps(name));
        let mut values = BTreeMap::new();
        for (name, value) in given {
            let recorded = self.recorded(&name, value)?;
            values.insert(name, recorded);
        }
        Ok(values)
    }

    /// A value as a journal has it. A secret stays here.
    pub(super) fn recorded(&mut self, name: &str, value: String) -> Result<Recorded, String> {
        let declared = &self.state.begun.procedure.parameters;
        let declared = declared.iter().find(|one| one.name == name);
        let kind = declared.map_or(ParameterKind::Text, |one| one.kind);
        // What was hidden once stays so: a credential is one whatever its kind.
        let was_hidden = matches!(self.state.parameters.get(name), Some(Recorded::Fingerprint(_)));
        let is_hidden = was_hidden || declared.is_some_and(Parameter::is_hidden);
        kind.check(&value).map_err(|why| match is_hidden {
            true => format!("`{name}` is not what it must be"),
            false => format!("`{name}`: {why}"),
        })?;
        if !is_hidden {
            return Ok(Recorded::Value(value));
        }
        let print = approval::fingerprint(&self.fingerprint_key, name, &value);
        self.secrets.insert(name.to_owned(), Secret::new(value));
        Ok(print)
    }
}
