//! What follows from a state at a moment.
//!
//! The rule it keeps: the same state and moment give the same decision, nothing is remembered in
//! between, and it costs as much as there is open, not as much as there is.

use std::sync::Arc;
use std::time::Duration;

use super::event::{Closing, Ended, Event, MirrorState, RetryFrom};
use super::next::Gate;
use super::time::Moment;
use super::{Life, State, Status, StepState};
use crate::driver::effects::{Answer, Asked, Which};
use crate::ids::StepId;
use crate::procedure::{Action, Probe, Question, Step};

/// So many attempts go on at once: each is a process, and somebody watches them.
const RUNNING_MAX: usize = 64;

/// So many conditions are asked at once.
const GATES_MAX: usize = 64;

/// Before the second try; twice as long before each further one.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Never longer than this.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

/// So long something that cannot be taken back waits for a mirror that was lost.
const MIRROR_WAIT: Duration = Duration::from_mins(5);

/// What is done next. Events come first: as long as there are any, they are made part of the state
/// and it is decided again; then the rest counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// What is recorded. A [`Event::StepStarted`] is begun once that is durable.
    pub events: Vec<Event>,
    /// What should be being asked.
    pub asks: Vec<Ask>,
    /// What should be ended.
    pub cancels: Vec<Cancel>,
    /// After so long it is to be decided again, if nothing happens before.
    pub wake: Option<Duration>,
}

/// A question that is to be asked until it is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// What it is about.
    pub about: Asked,
    /// The attempt it is about; a new one is asked anew.
    pub attempt: u32,
    /// The question.
    pub probe: Arc<Probe>,
    /// The machine it is asked on.
    pub on: Option<String>,
    /// It has so long to say yes; none: it is asked once.
    pub within: Option<Duration>,
}

/// An attempt that should end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
}

/// What a probe without `within` is given.
const WITHIN: Duration = Duration::from_secs(30);

/// What follows from a state at a moment.
#[must_use]
pub fn decide(state: &State, now: &Moment) -> Decision {
    let mut decision = Decision::default();
    match state.life {
        Life::Closed(_) => return decision,
        Life::Aborting => {
            decision.give_up(state);
            return decision;
        }
        Life::Running | Life::Paused { .. } => {}
    }
    decision.events.extend(state.to_lift.iter().map(|(name, step)| {
        let why = format!("`{step}` is done");
        Event::Lifted { name: name.clone(), why }
    }));
    if !decision.events.is_empty() {
        return decision;
    }
    for step in state.open() {
        decision.go_on(state, step, now);
    }
    decision.compensated(state);
    decision.ask_phases(state);
    decision.pause_or_continue(state, now);
    if state.is_undoing() {
        decision.begin(state, now);
    } else if state.life == Life::Running
        && !matches!(decision.events.last(), Some(Event::Paused { .. }))
    {
        decision.begin(state, now);
        if state.unfinished == 0 && decision.events.is_empty() {
            if state.mirror.0 == MirrorState::Lost {
                // Another engine may have taken the run meanwhile.
                decision.wake_after(now.left(&state.mirror.1, MIRROR_WAIT));
            } else {
                decision.events.push(Event::Closed { result: Closing::Success });
            }
        }
    }
    decision
}

impl Decision {
    fn give_up(&mut self, state: &State) {
        for step in state.open().filter(|step| step.status == Status::Running) {
            let (id, attempt) = (step.step.id.clone(), step.attempt);
            if step.step.action.is_effect() {
                self.cancels.push(Cancel { step: id, attempt });
            } else {
                let outcome = Ended::Failed("the run was given up".to_owned());
                self.end(step, outcome);
            }
        }
        if self.cancels.is_empty() && self.events.is_empty() {
            self.events.push(Event::Closed { result: Closing::Aborted });
        }
    }

    fn end(&mut self, step: &StepState, outcome: Ended) {
        self.events.push(Event::StepEnded {
            step: step.step.id.clone(),
            attempt: step.attempt,
            outcome,
            outputs: std::collections::BTreeMap::new(),
            captured: Vec::new(),
        });
    }

    fn wake_after(&mut self, left: Duration) {
        self.wake = Some(self.wake.map_or(left, |wake| wake.min(left)));
    }

    /// What goes on also when nothing new is begun.
    fn go_on(&mut self, state: &State, step: &StepState, now: &Moment) {
        let since = step.since.as_ref().unwrap_or(now);
        match (&step.status, &step.step.action) {
            (Status::Running, Action::Wait { duration }) => {
                let left = now.left(since, *duration);
                if left.is_zero() {
                    self.end(step, Ended::Done);
                } else {
                    self.wake_after(left);
                }
            }
            (Status::Running, _) => {
                let Some(timeout) = step.step.timeout else { return };
                let left = now.left(since, timeout);
                if left.is_zero() {
                    let (id, attempt) = (step.step.id.clone(), step.attempt);
                    self.cancels.push(Cancel { step: id, attempt });
                } else {
                    self.wake_after(left);
                }
            }
            (Status::Person, Action::Approve { .. }) if step.is_approved() => {
                self.end(step, Ended::Done);
            }
            (Status::Person, Action::Approve { within: Some(within), .. }) => {
                let left = state.left_to_agree(step, *within, now);
                if left.is_zero() {
                    let given = within.as_secs();
                    let why = format!("not enough people agreed within {given} s");
                    self.end(step, Ended::Failed(why));
                } else {
                    self.wake_after(left);
                }
            }
            (Status::Verifying, _) => self.verify(step),
            (Status::Failed { .. }, _) if step.may_retry() => self.events.push(Event::Retry {
                step: step.step.id.clone(),
                from: RetryFrom::Beginning,
                delay_ms: u64::try_from(retry_delay(step).as_millis()).unwrap_or(u64::MAX),
            }),
            _ => {}
        }
    }

    fn verify(&mut self, step: &StepState) {
        for (at, probe) in step.step.verify.iter().enumerate() {
            if !step.verified.contains(&at) {
                self.ask(step, Which::Verify(at), probe, Some(probe.within.unwrap_or(WITHIN)));
            }
        }
    }

    fn ask(&mut self, step: &StepState, which: Which, probe: &Probe, within: Option<Duration>) {
        if let Question::Person(_) = probe.question {
            return;
        }
        self.asks.push(Ask {
            about: Asked::Step { step: step.step.id.clone(), which },
            attempt: step.attempt,
            probe: Arc::new(probe.clone()),
            on: step.step.on.clone(),
            within,
        });
    }

    fn ask_phases(&mut self, state: &State) {
        for at in &state.asking {
            let phase = &state.begun.procedure.phases[*at];
            let probe = phase.only_if.as_ref();
            let is_open = state.phases[*at].only_if.is_none() && state.life == Life::Running;
            let for_engine = |probe: &&Probe| !matches!(probe.question, Question::Person(_));
            if let Some(probe) = probe.filter(for_engine).filter(|_| is_open) {
                self.asks.push(Ask {
                    about: Asked::Phase(*at),
                    attempt: 0,
                    probe: Arc::new(probe.clone()),
                    on: None,
                    within: probe.within,
                });
            }
        }
    }

    /// A step that only a person can bring on pauses the run; once none is left it goes on.
    fn pause_or_continue(&mut self, state: &State, now: &Moment) {
        if !self.events.is_empty() {
            return;
        }
        let reason = blocked(state, now);
        match (&state.life, reason) {
            (Life::Running, Some((step, why))) => self.events.push(Event::Paused { step, why }),
            // Another reason, once the first is gone.
            (Life::Paused { by_engine: true, why: known }, Some((step, why))) if *known != why => {
                self.events.push(Event::Paused { step, why });
            }
            (Life::Paused { by_engine: true, .. }, None) => {
                self.events
                    .push(Event::Continued { why: "nothing is in the way any more".to_owned() });
            }
            _ => {}
        }
    }

    /// What undoes a step is over, so that is undone.
    fn compensated(&mut self, state: &State) {
        let undoing = state.open().filter(|_| state.is_undoing()).filter_map(|step| {
            let is_undone = state.undone(&step.step.id).is_ok();
            is_undone.then(|| step.step.id.clone())
        });
        self.events.extend(undoing.map(|step| {
            let why = "all that undoes it is over".to_owned();
            Event::Compensated { step, why }
        }));
    }

    /// What can be begun; while something is being undone, what undoes it and nothing else.
    fn begin(&mut self, state: &State, now: &Moment) {
        let running = state.open().filter(|step| step.status == Status::Running).count();
        let mut room = RUNNING_MAX.saturating_sub(running);
        let may_begin = |step: &&StepState| !state.is_undoing() || state.undone_by(step).is_some();
        for step in state.open().filter(may_begin) {
            let Status::Ready { delay } = step.status else { continue };
            let left = now.left(step.since.as_ref().unwrap_or(now), delay);
            if !left.is_zero() {
                self.wake_after(left);
                continue;
            }
            let id = || step.step.id.clone();
            match step.gate() {
                Gate::Ask(Which::OnlyIf) => {
                    self.ask_gate(step, Which::OnlyIf, step.step.only_if.as_ref());
                }
                Gate::Ask(which) => self.ask_gate(step, which, step.step.already_done.as_ref()),
                Gate::Closed => {
                    let why = "its condition said no".to_owned();
                    self.events.push(Event::Skipped { step: id(), why });
                }
                Gate::Unsure(why) => {
                    self.events.push(Event::Doubt { step: id(), why: why.to_owned() });
                }
                Gate::Open if room == 0 && step.step.action.is_effect() => {}
                Gate::Open if is_waiting_for_mirror(state, &step.step) => {
                    self.wake_after(now.left(&state.mirror.1, MIRROR_WAIT));
                }
                Gate::Open => {
                    room = room.saturating_sub(usize::from(step.step.action.is_effect()));
                    self.start(state, step);
                }
            }
        }
    }

    fn ask_gate(&mut self, step: &StepState, which: Which, probe: Option<&Probe>) {
        if let Some(probe) = probe.filter(|_| self.asks.len() < GATES_MAX) {
            self.ask(step, which, probe, probe.within);
        }
    }

    fn start(&mut self, state: &State, step: &StepState) {
        let spec = &step.step;
        for name in &spec.obliges {
            if !state.obligations.contains_key(name) {
                self.events.push(Event::Obliged { name: name.clone(), step: spec.id.clone() });
            }
        }
        self.events.push(Event::StepStarted {
            step: spec.id.clone(),
            attempt: step.attempt + 1,
            destructive: spec.destructive,
        });
    }
}

fn is_waiting_for_mirror(state: &State, step: &Step) -> bool {
    state.mirror.0 == MirrorState::Lost && step.destructive
}

/// Why only a person can bring the run on, and the step it is about.
fn blocked(state: &State, now: &Moment) -> Option<(Option<StepId>, String)> {
    for step in state.open() {
        let id = &step.step.id;
        match &step.status {
            Status::Failed { why, .. } if !step.may_retry() => {
                return Some((Some(id.clone()), format!("`{id}` failed: {why}")));
            }
            Status::Doubt { why } => {
                return Some((Some(id.clone()), format!("`{id}` is in doubt: {why}")));
            }
            Status::Ready { .. }
                if is_waiting_for_mirror(state, &step.step)
                    && now.left(&state.mirror.1, MIRROR_WAIT).is_zero() =>
            {
                let why = format!(
                    "`{id}` cannot be taken back, and the mirror of the journal is lost: `soter run \
                     resume --local` goes on without it"
                );
                return Some((Some(id.clone()), why));
            }
            _ => {}
        }
    }
    if let Some(found) = undone(state) {
        return Some(found);
    }
    let unsure = state.asking.iter().find(|at| state.phases[**at].only_if == Some(Answer::Unknown));
    if let Some(at) = unsure {
        let title = &state.begun.procedure.phases[*at].title;
        return Some((None, format!("nobody can tell whether the phase {title} is needed")));
    }
    if let Some(name) = state.missing.first() {
        let why =
            format!("`{name}` has no value: the step that gives it was not done by the engine");
        return Some((None, why));
    }
    if state.unfinished == 0
        && state.mirror.0 == MirrorState::Lost
        && now.left(&state.mirror.1, MIRROR_WAIT).is_zero()
    {
        let why = "all is done, and the mirror of the journal is lost: `soter run resume --local` \
                   closes the run without it";
        return Some((None, why.to_owned()));
    }
    if state.unfinished == 0 && !state.obligations.is_empty() {
        let names: Vec<&str> = state.obligations.keys().map(String::as_str).collect();
        return Some((None, format!("still in place, and must be lifted: {}", names.join(", "))));
    }
    None
}

/// A step that is being taken back, or was, so that a person must say what follows.
fn undone(state: &State) -> Option<(Option<StepId>, String)> {
    let mut waiting = None;
    for at in &state.open {
        let id = &state.steps[*at].step.id;
        match &state.steps[*at].status {
            Status::Undoing { .. } => {
                return Some((Some(id.clone()), format!("`{id}` is being undone")));
            }
            Status::Undone { .. } if waiting.is_none() && state.is_free(*at) => {
                waiting = Some((Some(id.clone()), format!("`{id}` was undone")));
            }
            _ => {}
        }
    }
    waiting
}

/// Doubles, and differs by up to a half from step to step, so that not all come at once. It is drawn
/// from the step's name: the same state gives the same delay.
pub(super) fn retry_delay(step: &StepState) -> Duration {
    let doubled = RETRY_DELAY.saturating_mul(1 << step.failures.saturating_sub(1).min(16));
    let most = u64::try_from(doubled.min(RETRY_DELAY_MAX).as_millis()).unwrap_or(u64::MAX);
    let seed = format!("{} {}", step.step.id, step.attempt);
    // FNV-1a.
    let drawn = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Duration::from_millis(most / 2 + drawn % (most / 2 + 1))
}
