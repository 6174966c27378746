//! What is needed of people: who, what exactly to type, and until when.

use jiff::Timestamp;
use soter_runbook::StepId;
use soter_runbook::driver::{Asked, Kind, Which};
use soter_runbook::forecast::spoken;
use soter_runbook::procedure::{Action, Procedure};
use soter_runbook::state::{
    Life, MirrorState, Moment, Needed, Question, RetryFrom, State, Status, StepState,
};

use super::commands::Commands;
use super::make::{clean, shown, whole};
use super::page::clock_time;
use super::{Command, Decision};

/// All that people are needed for; what ends by itself soonest comes first.
pub(super) fn all(state: &State, now: &Moment, commands: &Commands<'_>) -> Vec<Decision> {
    let maker = Maker { state, now, commands };
    let mut found: Vec<Decision> =
        state.questions().iter().map(|question| maker.decision(question)).collect();
    found.extend(maker.mirror());
    // Stable: what has no end stays in the order of urgency it came in.
    found.sort_by_key(|decision| decision.until.unwrap_or(Timestamp::MAX));
    found
}

struct Maker<'s> {
    state: &'s State,
    now: &'s Moment,
    commands: &'s Commands<'s>,
}

impl Maker<'_> {
    fn decision(&self, question: &Question) -> Decision {
        let step = question.step.as_ref().and_then(|id| self.state.step(id));
        let id = question.step.as_ref().map(StepId::as_str).unwrap_or_default();
        let title = |what: &str| match step {
            Some(step) => format!("{what} `{id}`: {}", shown(&step.step.title, self.state)),
            None => what.to_owned(),
        };
        let anybody = || "anybody who works on this run".to_owned();
        let (needs, title, who, commands) = match &question.needed {
            Needed::Approval { by, missing } => {
                let who = self.approvers(step, by, *missing);
                ("approval", title("approve"), who, self.approval(id))
            }
            Needed::Answer(_) => {
                let commands = self.or_branch(vec![self.commands.answer(id)], step);
                ("answer", title("answer"), self.owner(step), commands)
            }
            Needed::Value(name) => {
                let title = format!("give `{name}` a value");
                ("value", title, anybody(), vec![self.commands.give(name)])
            }
            Needed::Deed => {
                let commands = self.or_branch(vec![self.deed(step, id)], step);
                ("deed", title("do"), self.owner(step), commands)
            }
            Needed::Look(about) => {
                let title = match about {
                    Asked::Phase(at) => format!("look whether phase {} is needed", at + 1),
                    Asked::Step { .. } => title("look, for"),
                };
                let about = about_words(about);
                let answers = ["yes", "no", "unknown"];
                let commands = answers.map(|answer| self.commands.look(&about, answer));
                ("look", title, anybody(), commands.to_vec())
            }
            Needed::Decision => {
                ("decision", title("decide about"), self.owner(step), self.failed(step, id))
            }
            Needed::Resolution => {
                let mut commands = self.or_branch(self.commands.resolve(id).to_vec(), step);
                commands.extend(self.undoable());
                ("resolution", title("was it done?"), self.owner(step), commands)
            }
            Needed::Lifting(names) => {
                let commands = names.iter().map(|name| self.commands.lift(name)).collect();
                ("lifting", "lift what is still in place".to_owned(), anybody(), commands)
            }
            Needed::Continuing => {
                let mut commands = vec![self.commands.go_on()];
                commands.extend(self.undoable());
                commands.push(self.commands.abort());
                ("continuing", "let the paused run go on".to_owned(), anybody(), commands)
            }
        };
        let until = step.and_then(|step| self.until(step));
        Decision {
            needs,
            step: question.step.as_ref().map(ToString::to_string),
            title,
            text: whole(&question.text),
            who,
            commands,
            advice: step
                .and_then(|step| step.step.if_it_fails.as_deref())
                .map(|text| shown(text, self.state)),
            since: question.since.as_ref().map(|since| since.at),
            until: until.as_ref().map(|(at, _)| *at),
            until_words: until.map(|(_, words)| words),
        }
    }

    /// A mirror that is lost holds up what cannot be taken back.
    fn mirror(&self) -> Option<Decision> {
        let is_lost = self.state.mirror.0 == MirrorState::Lost;
        let is_paused = matches!(self.state.life, Life::Paused { by_engine: true, .. });
        (is_lost && is_paused).then(|| Decision {
            needs: "continuing",
            step: None,
            title: "go on without the mirror of the journal, or mend it".to_owned(),
            text: "the vault with the second place of the journal cannot be reached".to_owned(),
            who: "anybody who works on this run".to_owned(),
            commands: vec![self.commands.local()],
            advice: None,
            since: Some(self.state.mirror.1.at),
            until: None,
            until_words: None,
        })
    }

    /// Who may say yes, by name where a team is meant.
    fn approvers(&self, step: Option<&StepState>, by: &[String], missing: u32) -> String {
        let procedure: &Procedure = &self.state.begun.procedure;
        let named = by.iter().map(|name| match procedure.teams.get(name) {
            Some(members) => format!("{name} ({})", members.join(", ")),
            None => name.clone(),
        });
        let named: Vec<String> = named.collect();
        let is_first = step.is_none_or(|step| step.approvals.is_empty());
        let more = if is_first { "" } else { " more" };
        let mut who = format!("{missing}{more} of: {}", named.join(", "));
        let requester = &self.state.begun.requester;
        if by.iter().any(|name| procedure.is_one_of(requester, name)) {
            who.push_str(&format!("; not {requester}, who began the run"));
        }
        let given: Vec<&str> = step
            .iter()
            .flat_map(|step| &step.approvals)
            .map(|(person, _)| person.as_str())
            .collect();
        if !given.is_empty() {
            who.push_str(&format!("; {} said yes already", given.join(", ")));
        }
        clean(&who)
    }

    fn approval(&self, id: &str) -> Vec<Command> {
        let mut commands = match self.state.begun.kind {
            Kind::Real => vec![self.commands.code(id), self.commands.approve(id)],
            Kind::Drill => vec![self.commands.agree(id)],
        };
        commands.extend([self.commands.refuse(id), self.commands.break_glass(id)]);
        commands
    }

    fn deed(&self, step: Option<&StepState>, id: &str) -> Command {
        if step.is_some_and(|step| step.step.destructive) {
            self.commands.deed_for_good(id, &self.state.begun.target)
        } else {
            self.commands.deed(id)
        }
    }

    fn failed(&self, step: Option<&StepState>, id: &str) -> Vec<Command> {
        let mut commands = Vec::new();
        let failed_at = step.map(|step| &step.status);
        if matches!(failed_at, Some(Status::Failed { at: RetryFrom::Verification, .. })) {
            commands.push(self.commands.ask_again(id));
        }
        commands.push(self.commands.retry(id));
        let is_half = matches!(failed_at, Some(Status::Failed { .. }))
            && step.is_some_and(|step| step.step.undo.is_none() && step.step.action.is_effect());
        if is_half && step.is_some_and(|step| self.state.may_undo(&step.step.id, true).is_ok()) {
            commands.push(self.commands.undo_by_hand(id));
        }
        commands = self.or_branch(commands, step);
        let action = step.map(|step| &step.step.action);
        // An approval is not stepped over: it is asked for again, and then the glass can be broken.
        if !matches!(action, Some(Action::Approve { .. })) {
            commands.extend([self.commands.mark_done(id), self.commands.skip(id)]);
        }
        if matches!(action, Some(Action::Run(_))) {
            commands.push(self.commands.amend(id));
        }
        commands.extend(self.undoable());
        commands.push(self.commands.abort());
        commands
    }

    /// What could be taken back now. A run that is given up leaves it as it is.
    fn undoable(&self) -> Vec<Command> {
        let all = self.state.steps().filter(|step| {
            step.step.undo.is_some() && self.state.may_undo(&step.step.id, false).is_ok()
        });
        let commands = all.filter_map(|step| {
            let way = step.step.undo.as_ref()?;
            Some(self.commands.undo(step.step.id.as_str(), &clean(&way.title)))
        });
        commands.collect()
    }

    /// The same, and the other way if there is one that may be taken now.
    fn or_branch(&self, mut commands: Vec<Command>, step: Option<&StepState>) -> Vec<Command> {
        let open = step.filter(|step| self.state.may_branch(&step.step.id).is_ok());
        if let Some(step) = open
            && let Some(way) = &step.step.instead
        {
            commands.push(self.commands.branch(step.step.id.as_str(), &clean(&way.title)));
        }
        commands
    }

    fn owner(&self, step: Option<&StepState>) -> String {
        match step.and_then(|step| step.step.owner.as_deref()) {
            Some(owner) => clean(owner),
            None => "anybody who works on this run".to_owned(),
        }
    }

    /// Until when an approval stands, and what happens then.
    fn until(&self, step: &StepState) -> Option<(Timestamp, String)> {
        let Action::Approve { within: Some(within), .. } = step.step.action else { return None };
        if step.status != Status::Person {
            return None;
        }
        let left = self.state.left_to_agree(step, within, self.now);
        let at = self.now.at.checked_add(left).ok()?;
        let words =
            format!("until {}, {} from now; then it has failed", clock_time(at), spoken(left));
        Some((at, words))
    }
}

/// What was looked at, as it is typed: the step or phase, a gap for the answer, and the question.
fn about_words(about: &Asked) -> String {
    match about {
        Asked::Phase(at) => format!("phase:{} ", at + 1),
        Asked::Step { step, which: Which::OnlyIf } => format!("{step} --probe only-if"),
        Asked::Step { step, which: Which::AlreadyDone } => format!("{step} --probe already-done"),
        Asked::Step { step, which: Which::Verify(at) } => {
            format!("{step} --probe verify:{}", at + 1)
        }
    }
}
