//! What people ask for, as events; or why not, in words.

use super::Engine;
use crate::approval::Subject;
use crate::driver::effects::{Answer, Asked, Kind, Which};
use crate::driver::request::{Proof, Request, Wish};
use crate::ids::StepId;
use crate::procedure::{Action, Probe, Question};
use crate::state::{BREAK_GLASS, ENGINE, Event, MirrorState, Recorded, SIGNATURE};

/// So many wrong codes an engine hears before it believes none: forty bits are not found out by so
/// few tries.
const WRONG_CODES_MAX: u32 = 20;

impl Engine<'_> {
    pub(super) fn grant(&mut self, request: &Request) -> Result<(), String> {
        let by = request.by.trim();
        if by.is_empty() || by == ENGINE {
            return Err("say who asks, with --as NAME".to_owned());
        }
        let event = self.event(by, &request.wish)?;
        self.record(by, event).map_err(|error| error.to_string())
    }

    fn event(&mut self, by: &str, wish: &Wish) -> Result<Event, String> {
        Ok(match wish.clone() {
            Wish::Approve { step, proof } => {
                self.readable(&step)?;
                let how = self.proved(by, &step, &proof)?;
                let signed = match proof {
                    Proof::Signature(signed) => Some(signed),
                    Proof::Code(_) | Proof::BreakGlass | Proof::Word => None,
                };
                Event::Approved { step, how, signed }
            }
            Wish::Refuse { step, why } => Event::Refused { step, why },
            Wish::Answer { step, value } => self.answer(step, value)?,
            Wish::Give { name, value } => {
                if !self.state.knows(&name) {
                    return Err(format!("the run has no parameter `{name}`"));
                }
                let value = self.recorded(&name, value)?;
                self.may_change(&name, &value)?;
                Event::Parameter { name, value }
            }
            Wish::Look { about, answer, evidence } => self.look(about, answer, evidence)?,
            Wish::Skip { step, why } => Event::Skipped { step, why: reason(why)? },
            Wish::MarkDone { step, why } => Event::MarkedDone { step, why: reason(why)? },
            Wish::Branch { step, why } => Event::Branched { step, why: reason(why)? },
            Wish::Undo { step, by_hand: false, why } => {
                Event::Compensating { step, why: reason(why)? }
            }
            Wish::Undo { step, by_hand: true, why } => {
                Event::Compensated { step, why: reason(why)? }
            }
            Wish::Amend { step, why } => Event::Amended { step, why: reason(why)? },
            Wish::Retry { step, from } => Event::Retry { step, from, delay_ms: 0 },
            Wish::Resolve { step, resolution, why } => {
                Event::Resolved { step, resolution, why: reason(why)? }
            }
            Wish::Lift { name, why } => Event::Lifted { name, why: reason(why)? },
            Wish::Pause { why } => Event::Paused { step: None, why },
            Wish::Continue { why } => Event::Continued { why },
            Wish::Local { why } => Event::Mirror { now: MirrorState::Local, why },
            Wish::Abort { why } => Event::Aborted { why: reason(why)? },
        })
    }

    /// Nobody agrees to a text with gaps in it.
    fn readable(&self, step: &StepId) -> Result<(), String> {
        let Some(Action::Approve { text, .. }) = self.state.step(step).map(|it| &it.step.action)
        else {
            return Ok(());
        };
        match self.state.unknown_in(text).next() {
            Some(name) => Err(format!(
                "what is to be agreed to names `{name}`, which has no value yet: give it one first, \
                 soter run give {} {name} VALUE",
                self.state.run()
            )),
            None => Ok(()),
        }
    }

    /// What somebody has agreed to is what is carried out.
    fn may_change(&self, name: &str, value: &Recorded) -> Result<(), String> {
        let known = self.state.parameters.get(name);
        match self.state.agreed_to(name) {
            Some(step) if known.is_some_and(|known| known != value) => Err(format!(
                "`{name}` stands in what was agreed to as `{step}`, so it keeps its value; if that \
                 is wrong, give the run up and begin it again"
            )),
            _ => Ok(()),
        }
    }

    /// How it is known that it is them who approve.
    fn proved(&mut self, by: &str, step: &StepId, proof: &Proof) -> Result<String, String> {
        match proof {
            Proof::BreakGlass => Ok(BREAK_GLASS.to_owned()),
            Proof::Word if self.state.begun.kind == Kind::Drill => Ok("their word".to_owned()),
            Proof::Word => Err("a word is enough for a drill only: give the code".to_owned()),
            // Whether it is right the state says, so that whoever reads the journal can say it too.
            Proof::Signature(_) => Ok(SIGNATURE.to_owned()),
            Proof::Code(code) => {
                let secret = self.approvers.get(by).ok_or_else(|| {
                    format!("nobody knows a secret of {by}, so no code of theirs can be checked")
                })?;
                if self.wrong_codes >= WRONG_CODES_MAX {
                    return Err("too many wrong codes: resume the run to have codes checked again"
                        .to_owned());
                }
                if Subject::of(&self.state, step).is_right(secret, code, self.now.at) {
                    return Ok("code".to_owned());
                }
                self.wrong_codes += 1;
                Err("the code is not right: it is good for this step, these values of the \
                     parameters, this engine, and at most half an hour; make a new one"
                    .to_owned())
            }
        }
    }

    fn answer(&mut self, step: StepId, value: String) -> Result<Event, String> {
        let known = self.state.step(&step).map(|one| &one.step);
        let (action, destructive) = match known {
            Some(known) => (&known.action, known.destructive),
            None => return Err(format!("the run has no step `{step}`")),
        };
        if let Action::Ask { gives, .. } = action {
            let given = gives.iter().map(|name| (name.clone(), value.clone())).collect();
            let values = self.values(&step, given)?;
            return Ok(Event::Answered { step, values, why: String::new() });
        }
        let target = &self.state.begun.target;
        if destructive && value.trim() != target {
            return Err(format!(
                "it cannot be taken back: answer with the target's name, {target}"
            ));
        }
        Ok(Event::Answered { step, values: std::collections::BTreeMap::new(), why: value })
    }

    /// People say what machines cannot: where a plan asks them to look, or nobody could tell.
    fn look(&self, about: Asked, answer: Answer, evidence: String) -> Result<Event, String> {
        let is_persons = |probe: &Probe| matches!(probe.question, Question::Person(_));
        let may = match &about {
            Asked::Phase(at) => self.state.phases().nth(*at).is_some_and(|(phase, state)| {
                state.only_if == Some(Answer::Unknown)
                    || phase.only_if.as_ref().is_some_and(is_persons)
            }),
            Asked::Step { step, which } => self.state.step(step).is_some_and(|one| {
                let probe = match which {
                    Which::OnlyIf => one.step.only_if.as_ref(),
                    Which::AlreadyDone => one.step.already_done.as_ref(),
                    Which::Verify(number) => one.step.verify.get(*number),
                };
                probe.is_some_and(is_persons)
            }),
        };
        if may {
            Ok(Event::Probe { about, answer, evidence })
        } else {
            Err("nobody is asked to look at that".to_owned())
        }
    }
}

fn reason(why: String) -> Result<String, String> {
    if why.trim().is_empty() {
        Err("say why, for those who read the journal".to_owned())
    } else {
        Ok(why)
    }
}
