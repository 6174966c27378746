//! What waits for what: how one step's end opens others.
//!
//! The rule it keeps: each end is told on once to each that waits for it, so that a whole run costs as
//! much as it has steps and arrows.

use std::collections::HashMap;
use std::sync::Arc;

use super::event::{Begun, Entry, Event};
use super::next::Illegal;
use super::time::Moment;
use super::{Life, PhaseState, PhaseStatus, State, Status, StepState};

/// Something that follows from an end.
pub(super) enum Work {
    OpenPhase(usize),
    BeginPhase(usize),
    EndPhase(usize),
    OpenStep(usize),
    Finish(usize, Status),
}

impl State {
    /// A run of which only the beginning is known.
    ///
    /// # Errors
    /// When the entry is no beginning, or its procedure is not one that `compile` makes.
    pub fn begin(entry: &Entry) -> Result<Self, Illegal> {
        let Event::Begun(begun) = &entry.event else {
            return Err(Illegal::new("a journal begins with `begun`"));
        };
        let procedure = &begun.procedure;
        let mut state = Self {
            since: entry.at.clone(),
            digest: procedure.digest(),
            records: 1,
            epoch: entry.epoch,
            host: begun.host.clone(),
            engine_since: entry.at.clone(),
            engines: Vec::new(),
            last: entry.at.clone(),
            life: Life::Running,
            mirror: (begun.mirror, entry.at.clone()),
            parameters: begun.parameters.clone(),
            obligations: std::collections::BTreeMap::new(),
            captured: Vec::new(),
            steps: procedure.steps.iter().cloned().map(StepState::new).collect(),
            phases: Vec::new(),
            index: HashMap::new(),
            open: std::collections::BTreeSet::new(),
            asking: std::collections::BTreeSet::new(),
            unfinished: 0,
            undoing: 0,
            missing: std::collections::BTreeSet::new(),
            to_lift: Vec::new(),
            begun: Arc::new(Begun::clone(begun)),
        };
        state.connect()?;
        let first = (0..state.phases.len()).filter(|at| state.phases[*at].waiting == 0);
        let first = first.map(Work::OpenPhase).collect();
        state.settle(first, &entry.at);
        Ok(state)
    }

    /// The arrows, backwards: whom each end is told to.
    fn connect(&mut self) -> Result<(), Illegal> {
        let begun = Arc::clone(&self.begun);
        for (at, phase) in begun.procedure.phases.iter().enumerate() {
            self.phases.push(PhaseState {
                status: PhaseStatus::Pending,
                since: None,
                began: None,
                only_if: None,
                steps: Vec::new(),
                unfinished: 0,
                waiting: phase.after.len(),
                needed_by: Vec::new(),
            });
            for before in &phase.after {
                let known = self.phases.get_mut(*before).filter(|_| *before < at);
                known
                    .ok_or(Illegal::new("a phase waits for one that is not before it"))?
                    .needed_by
                    .push(at);
            }
        }
        for (at, step) in begun.procedure.steps.iter().enumerate() {
            if step.phase >= self.phases.len() {
                return Err(Illegal::new("a step belongs to no phase"));
            }
            for before in &step.after {
                let before = self.index.get(before).copied();
                let before =
                    before.ok_or(Illegal::new("a step waits for one that is not before it"))?;
                self.steps[before].needed_by.push(at);
                self.steps[at].waiting += 1;
            }
            if self.index.insert(step.id.clone(), at).is_some() {
                return Err(Illegal::new("two steps have one name"));
            }
        }
        self.connect_ways()?;
        for (at, step) in self.steps.iter().enumerate().filter(|(_, step)| step.of.is_none()) {
            let phase = &mut self.phases[step.step.phase];
            phase.steps.push(at);
            phase.unfinished += 1;
            self.unfinished += 1;
        }
        Ok(())
    }

    /// A step is done or skipped.
    pub(super) fn finish(&mut self, step: usize, status: Status, now: &Moment) {
        self.settle(vec![Work::Finish(step, status)], now);
    }

    /// A phase's condition said yes.
    pub(super) fn begin_phase(&mut self, phase: usize, now: &Moment) {
        self.settle(vec![Work::BeginPhase(phase)], now);
    }

    /// A phase's condition said no: its steps are skipped.
    pub(super) fn skip_phase(&mut self, phase: usize, why: &str, now: &Moment) {
        self.asking.remove(&phase);
        self.phases[phase].status = PhaseStatus::Skipped;
        self.phases[phase].since = Some(now.clone());
        let skipped = || Status::Skipped { why: why.to_owned() };
        let steps = self.phases[phase].steps.iter();
        let mut work: Vec<Work> = steps.map(|step| Work::Finish(*step, skipped())).collect();
        if work.is_empty() {
            work.push(Work::EndPhase(phase));
        }
        self.settle(work, now);
    }

    pub(super) fn settle(&mut self, mut work: Vec<Work>, now: &Moment) {
        while let Some(next) = work.pop() {
            match next {
                // What its condition once said stands, unless it waits again.
                Work::OpenPhase(phase) if self.phases[phase].status != PhaseStatus::Pending => {}
                Work::OpenPhase(phase) => {
                    if self.begun.procedure.phases[phase].only_if.is_some() {
                        self.phases[phase].status = PhaseStatus::Asking;
                        self.asking.insert(phase);
                    } else {
                        work.push(Work::BeginPhase(phase));
                    }
                }
                Work::BeginPhase(phase) => {
                    self.asking.remove(&phase);
                    let of_phase = &mut self.phases[phase];
                    of_phase.status = PhaseStatus::Begun;
                    of_phase.since = Some(now.clone());
                    of_phase.began = Some(now.clone());
                    if of_phase.unfinished == 0 {
                        work.push(Work::EndPhase(phase));
                    }
                    let free = |step: &&usize| self.steps[**step].waiting == 0;
                    let steps = self.phases[phase].steps.iter().filter(free);
                    work.extend(steps.map(|step| Work::OpenStep(*step)));
                }
                Work::EndPhase(phase) => {
                    if self.phases[phase].status == PhaseStatus::Begun {
                        self.phases[phase].status = PhaseStatus::Done;
                        self.phases[phase].since = Some(now.clone());
                    }
                    for later in self.phases[phase].needed_by.clone() {
                        self.phases[later].waiting -= 1;
                        if self.phases[later].waiting == 0 {
                            work.push(Work::OpenPhase(later));
                        }
                    }
                }
                Work::OpenStep(step) => work.extend(self.open_step(step, now)),
                Work::Finish(step, status) => self.finish_one(step, status, now, &mut work),
            }
        }
    }

    fn open_step(&mut self, at: usize, now: &Moment) -> Vec<Work> {
        if !self.is_free(at) {
            return Vec::new();
        }
        let step = &mut self.steps[at];
        if let Status::Branched { .. } = step.status {
            return step.instead.iter().map(|other| Work::OpenStep(*other)).collect();
        }
        if step.status != Status::Pending {
            return Vec::new();
        }
        if let Some(why) = step.skip.take() {
            return vec![Work::Finish(at, Status::Skipped { why })];
        }
        step.status = Status::Ready { delay: std::time::Duration::ZERO };
        step.since = Some(now.clone());
        self.open.insert(at);
        Vec::new()
    }

    fn finish_one(&mut self, at: usize, status: Status, now: &Moment, work: &mut Vec<Work>) {
        let step = &mut self.steps[at];
        if step.status.is_finished() {
            return;
        }
        let is_done = status == Status::Done;
        step.status = status;
        step.since = Some(now.clone());
        step.child = None;
        let spec = Arc::clone(&step.step);
        let needed_by = step.needed_by.clone();
        self.open.remove(&at);
        if is_done {
            let gives = spec.gives.iter().filter(|name| !self.parameters.contains_key(*name));
            self.missing.extend(gives.cloned());
            // Another step may have lifted it in the same moment: it is lifted once.
            let is_to_lift = |name: &String| self.to_lift.iter().any(|(other, _)| other == name);
            let lifts = spec.lifts.iter().filter(|name| self.obligations.contains_key(*name));
            let lifts: Vec<&String> = lifts.filter(|name| !is_to_lift(name)).collect();
            self.to_lift.extend(lifts.into_iter().map(|name| (name.clone(), spec.id.clone())));
        }
        for later in needed_by {
            self.steps[later].waiting -= 1;
            work.push(Work::OpenStep(later));
        }
        if let Some(role) = self.steps[at].of {
            let owner = role.owner();
            let is_over = |other: &usize| self.steps[*other].status.is_finished();
            let owner_is = &self.steps[owner];
            if let Status::Branched { why } = &owner_is.status
                && owner_is.instead.iter().all(is_over)
            {
                work.push(Work::Finish(owner, Status::Replaced { why: why.clone() }));
            }
            return;
        }
        self.unfinished -= 1;
        let phase = &mut self.phases[spec.phase];
        phase.unfinished -= 1;
        if phase.unfinished == 0 {
            work.push(Work::EndPhase(spec.phase));
        }
    }
}
