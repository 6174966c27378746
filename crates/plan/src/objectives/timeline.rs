//! When each service is back in a scenario: people first, then phases and steps, then what needs
//! what.
//!
//! The rule it keeps: a budget counts in full, because the plan grants it; where restoring so many
//! bytes takes longer, that counts, and all that comes behind is later. A phase without a budget makes
//! everything behind it a lower bound.

use std::collections::HashMap;
use std::time::Duration;

use super::scripted::brought_back;
use super::{Assumptions, Figure, Objectives, Part, human, restore, start};
use crate::graph::{Domains, Down, Graph, Loss, ServiceId};
use crate::language::{At, Phase, Scenario, Step};
use crate::order;
use crate::rules::words::mentions;

/// A moment counted from the first step, or the earliest it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// How long after the first step.
    pub at: Duration,
    /// Something before it has no budget: it is not earlier than that.
    pub at_least: bool,
}

/// A phase, or a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// When it begins.
    pub begin: Moment,
    /// When it is done.
    pub end: Moment,
}

/// A step that brings something back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// The phase, counted from 0.
    pub phase: usize,
    /// The step in it, counted from 0.
    pub step: usize,
    /// Stores whose data is back after it, by their place in the plan.
    pub restores: Vec<usize>,
    /// Services that run after it.
    pub starts: Vec<ServiceId>,
}

/// What decides when a service is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A step starts it or brings back its data.
    Step {
        /// The phase, counted from 0.
        phase: usize,
        /// The step in it, counted from 0.
        step: usize,
    },
    /// What it needs is back at last.
    Needs(ServiceId),
    /// No step names it: it is back when all phases are done.
    Phases,
    /// Nothing says how it comes back.
    Nothing,
}

/// When a service is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// Why it was down.
    pub down: Down,
    /// What decides.
    pub how: How,
    /// What comes on top of what decides.
    own: Vec<Part>,
    /// The whole time since the disaster.
    pub total: Duration,
    /// The part of it that rests on no assumption.
    pub known: Duration,
    /// Something that belongs to it is not known.
    pub at_least: bool,
}

/// A scenario in time.
#[derive(Debug)]
pub struct Timeline<'p> {
    /// The scenario.
    pub scenario: &'p Scenario,
    /// What passes before the first step.
    pub human: Vec<Part>,
    /// Its phases.
    pub phases: Vec<Span>,
    /// Its steps, by phase.
    pub steps: Vec<Vec<Span>>,
    /// Phases and steps as they are granted, however long the restores take.
    granted: (Vec<Span>, Vec<Vec<Span>>),
    /// By phase: the restore that takes longest.
    restores: Vec<Option<Part>>,
    /// What is gone.
    pub loss: Loss,
    /// The steps that bring something back.
    pub milestones: Vec<Milestone>,
    back: Vec<Option<Back>>,
}

impl<'p> Timeline<'p> {
    /// A scenario with what it says is gone, and what its steps bring back.
    pub fn new(
        graph: &Graph<'p>,
        domains: &Domains<'_>,
        scenario: &'p Scenario,
        milestones: Vec<Milestone>,
        assumptions: &Assumptions,
    ) -> Self {
        let mut loss = Loss::of(graph, domains, &crate::graph::Cause::of(scenario, domains));
        // Whatever is brought back was down, also where the scenario does not say so.
        let mut restored = vec![false; loss.stores.len()];
        for at in milestones.iter().flat_map(|milestone| &milestone.restores) {
            loss.stores[*at] = true;
            restored[*at] = true;
        }
        let position = |name: &At<String>| graph.plan().stores.position(&name.value);
        let restored: Vec<ServiceId> = graph
            .ids()
            .filter(|id| {
                graph.service(*id).1.state.iter().filter_map(position).any(|at| restored[at])
            })
            .collect();
        let started = milestones.iter().flat_map(|milestone| milestone.starts.iter().copied());
        loss.stop(graph, restored.into_iter().chain(started));
        Self::after(graph, scenario, loss, milestones, assumptions)
    }

    /// A scenario carried out after a loss that may be larger or smaller than its own.
    pub fn after(
        graph: &Graph<'p>,
        scenario: &'p Scenario,
        loss: Loss,
        milestones: Vec<Milestone>,
        assumptions: &Assumptions,
    ) -> Self {
        let lasting = lasting(graph, &milestones, assumptions);
        let granted = spans(&scenario.phases, &HashMap::new());
        let (phases, steps) = spans(&scenario.phases, &lasting);
        let mut restores: Vec<Option<Part>> = vec![None; phases.len()];
        for ((phase, _), part) in lasting {
            let longest = restores[phase]
                .as_ref()
                .is_none_or(|known| (known.length, &part.what) < (part.length, &known.what));
            if longest {
                restores[phase] = Some(part);
            }
        }
        let human = human::parts(graph.plan(), scenario, assumptions);
        let back = vec![None; graph.len()];
        let mut timeline =
            Self { scenario, human, phases, steps, granted, restores, loss, milestones, back };
        timeline.fill(graph, assumptions);
        timeline
    }

    /// When a service is back; none: it was never down.
    pub fn back(&self, id: ServiceId) -> Option<&Back> {
        self.back.get(id.index())?.as_ref()
    }

    /// When everything is back, from the disaster on: what is learned of it afterwards takes nobody's
    /// time who waits.
    pub fn whole(&self) -> Figure {
        let mut figure = Figure { parts: self.human.clone(), at_least: false };
        let phases = self.phases.iter().enumerate();
        let recovers = phases.filter(|(at, _)| !is_afterwards(&self.scenario.phases[*at]));
        if let Some((at, last)) = recovers.max_by_key(|(at, span)| (span.end.at, *at)) {
            figure.parts.extend(self.before(at));
            figure.parts.extend(self.whole_phase(at));
            figure.at_least = last.end.at_least;
        } else {
            figure.at_least = true;
        }
        figure
    }

    /// The parts of the time until a service is back.
    pub fn figure(&self, id: ServiceId) -> Option<Figure> {
        let back = self.back(id)?;
        let mut figure = Figure { parts: Vec::new(), at_least: back.at_least };
        let mut own = Vec::new();
        let mut at = back;
        loop {
            own.push(&at.own);
            match at.how {
                How::Needs(need) => match self.back(need) {
                    Some(next) => at = next,
                    None => break,
                },
                _ => break,
            }
        }
        figure.parts = own.into_iter().rev().flatten().cloned().collect();
        Some(figure)
    }

    /// The phases that must be done before a phase begins, the ones that decide when.
    fn before(&self, phase: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut begin = self.phases[phase].begin.at;
        let mut upto = phase;
        while begin > Duration::ZERO {
            let deciding = (0..upto).rev().find(|at| self.phases[*at].end.at == begin);
            let Some(at) = deciding else { break };
            parts.extend(self.whole_phase(at).into_iter().rev());
            (begin, upto) = (self.phases[at].begin.at, at);
        }
        parts.reverse();
        parts
    }

    fn whole_phase(&self, at: usize) -> Vec<Part> {
        self.phase_parts(at, span_length(&self.phases[at]), span_length(&self.granted.0[at]))
    }

    /// So much of a phase: what is granted, and the restore if it takes more than that.
    fn phase_parts(&self, at: usize, length: Duration, granted: Duration) -> Vec<Part> {
        let longer =
            self.restores[at].clone().filter(|part| length > granted && part.length <= length);
        let rest = longer.as_ref().map_or(length, |part| length.saturating_sub(part.length));
        let phase = &self.scenario.phases[at];
        let title = phase.title.as_ref();
        let what = title.map_or_else(|| format!("phase {}", at + 1), |title| title.value.clone());
        let origin = phase.budget.map(|budget| budget.origin).or(title.map(|title| title.origin));
        let part = Part { origin, ..Part::new(what, rest, super::Basis::Declared) };
        (!rest.is_zero()).then_some(part).into_iter().chain(longer).collect()
    }

    fn fill(&mut self, graph: &Graph<'_>, assumptions: &Assumptions) {
        let by_service = self.milestones_by_service(graph);
        for members in graph.components() {
            for &id in members {
                if let Some(down) = self.loss.services[id.index()] {
                    let own = self.own(graph, id, (down, by_service.get(&id)), assumptions);
                    self.back[id.index()] = Some(self.after_needs(graph, id, own, assumptions));
                }
            }
        }
    }

    /// For each service the milestones that start it or restore its stores.
    fn milestones_by_service(&self, graph: &Graph<'_>) -> HashMap<ServiceId, Vec<usize>> {
        let mut owners: HashMap<usize, Vec<ServiceId>> = HashMap::new();
        for id in graph.ids() {
            for name in &graph.service(id).1.state {
                if let Some(at) = graph.plan().stores.position(&name.value) {
                    owners.entry(at).or_default().push(id);
                }
            }
        }
        let mut found: HashMap<ServiceId, Vec<usize>> = HashMap::new();
        for (at, milestone) in self.milestones.iter().enumerate() {
            let of_stores =
                milestone.restores.iter().filter_map(|store| owners.get(store)).flatten();
            for id in of_stores.chain(&milestone.starts) {
                found.entry(*id).or_default().push(at);
            }
        }
        found
    }

    /// What the service's own steps take, without what it needs.
    fn own(
        &self,
        graph: &Graph<'_>,
        id: ServiceId,
        (down, milestones): (Down, Option<&Vec<usize>>),
        assumptions: &Assumptions,
    ) -> Back {
        let back = |how, own: Vec<Part>, at_least| Back {
            down,
            how,
            total: own.iter().fold(Duration::ZERO, |sum, part| sum.saturating_add(part.length)),
            known: Duration::ZERO,
            own,
            at_least,
        };
        let last = milestones.into_iter().flatten().map(|at| &self.milestones[*at]).max_by_key(
            |milestone| (self.steps[milestone.phase][milestone.step].end.at, milestone.phase),
        );
        let found = if let Some(milestone) = last {
            let span = &self.steps[milestone.phase][milestone.step];
            let mut own = self.human.clone();
            own.extend(self.before(milestone.phase));
            own.extend(self.work(graph, id, milestone, assumptions));
            let how = How::Step { phase: milestone.phase, step: milestone.step };
            back(how, own, span.end.at_least)
        } else if graph.needs(id).iter().any(|need| self.back(*need).is_some()) {
            // It starts by itself as soon as what it needs is there: nothing says that it is later.
            back(How::Nothing, Vec::new(), false)
        } else if self.scenario.phases.is_empty() {
            back(How::Nothing, self.human.clone(), true)
        } else {
            let whole = self.whole();
            back(How::Phases, whole.parts, whole.at_least)
        };
        let at_least = found.at_least || self.is_without_data(graph, id);
        Back { known: known(&found.own), at_least, ..found }
    }

    /// Whether some of its data is gone, and nothing says how that comes back.
    fn is_without_data(&self, graph: &Graph<'_>, id: ServiceId) -> bool {
        let stores = &graph.plan().stores;
        let mut state = graph.service(id).1.state.iter();
        state.any(|name| {
            let Some(at) = stores.position(&name.value).filter(|at| self.loss.stores[*at]) else {
                return false;
            };
            let is_made_again =
                stores.at(at).is_some_and(|(_, store)| !store.rebuilt_from.is_empty());
            !is_made_again && !self.milestones.iter().any(|step| step.restores.contains(&at))
        })
    }

    /// The time in the phase of a milestone, and the start if the step only brings back data.
    fn work(
        &self,
        graph: &Graph<'_>,
        id: ServiceId,
        milestone: &Milestone,
        assumptions: &Assumptions,
    ) -> Vec<Part> {
        let (phase, step) = (milestone.phase, milestone.step);
        let upto = |phases: &[Span], steps: &[Vec<Span>]| {
            steps[phase][step].end.at.saturating_sub(phases[phase].begin.at)
        };
        let length = upto(&self.phases, &self.steps);
        let mut parts = self.phase_parts(phase, length, upto(&self.granted.0, &self.granted.1));
        let own_start = graph.service(id).1.start;
        if !milestone.starts.contains(&id) && own_start.is_some() {
            parts.extend(start(graph, id, assumptions));
        }
        parts
    }

    /// The later of its own steps and of what it needs with its own start behind it.
    fn after_needs(
        &self,
        graph: &Graph<'_>,
        id: ServiceId,
        own: Back,
        assumptions: &Assumptions,
    ) -> Back {
        let needs = graph.needs(id).iter().filter_map(|need| Some((*need, self.back(*need)?)));
        let mut open = own.at_least;
        let mut last: Option<(ServiceId, &Back)> = None;
        for (need, back) in needs {
            open |= back.at_least;
            let later = last.is_none_or(|(known, other)| {
                (back.total, graph.name(known)) > (other.total, graph.name(need))
            });
            if later {
                last = Some((need, back));
            }
        }
        let Some((need, back)) = last else { return own };
        let start = start(graph, id, assumptions);
        let length = start.as_ref().map_or(Duration::ZERO, |part| part.length);
        let total = back.total.saturating_add(length);
        if total <= own.total {
            return Back { at_least: open, ..own };
        }
        let parts: Vec<Part> = start.into_iter().collect();
        Back {
            down: own.down,
            how: How::Needs(need),
            known: back.known.saturating_add(known(&parts)),
            own: parts,
            total,
            at_least: open,
        }
    }
}

fn known(parts: &[Part]) -> Duration {
    let known = parts.iter().filter(|part| !part.is_assumed());
    known.fold(Duration::ZERO, |sum, part| sum.saturating_add(part.length))
}

fn span_length(span: &Span) -> Duration {
    span.end.at.saturating_sub(span.begin.at)
}

/// How long each step restores at least, by phase and step, as far as sizes are known.
fn lasting(
    graph: &Graph<'_>,
    milestones: &[Milestone],
    assumptions: &Assumptions,
) -> HashMap<(usize, usize), Part> {
    let stores = &graph.plan().stores;
    let longest = |milestone: &Milestone| {
        let restored = milestone.restores.iter().filter_map(|at| stores.at(*at));
        let parts = restored
            .filter_map(|(name, store)| restore(store, stores.title(&name.value), assumptions));
        parts.max_by_key(|part| part.length)
    };
    let with_place =
        |milestone: &Milestone| Some(((milestone.phase, milestone.step), longest(milestone)?));
    milestones.iter().filter_map(with_place).collect()
}

/// Words of phases that begin when everything is back.
const AFTERWARDS: &[&str] = &[
    "post incident",
    "postincident",
    "post mortem",
    "postmortem",
    "lessons learned",
    "retrospective",
    "root cause",
    "after action",
    "follow up",
    "nachbereitung",
];

fn is_afterwards(phase: &Phase) -> bool {
    phase.title.as_ref().is_some_and(|title| mentions(&title.value, AFTERWARDS))
}

/// When phases and steps begin and end. Steps that restore take as long as that lasts.
fn spans(phases: &[Phase], lasting: &HashMap<(usize, usize), Part>) -> (Vec<Span>, Vec<Vec<Span>>) {
    let mut found: Vec<Span> = Vec::new();
    let mut steps = Vec::new();
    for (at, (phase, before)) in phases.iter().zip(order::phases(phases)).enumerate() {
        let ends = before.iter().map(|at| found[*at].end);
        let begin = ends.reduce(Moment::later).unwrap_or_default();
        let restores = |step| lasting.get(&(at, step)).map(|part: &Part| part.length);
        let (span, of_steps) = phase_span(phase, begin, restores);
        found.push(span);
        steps.push(of_steps);
    }
    (found, steps)
}

/// A phase takes its budget, or the sum of the budgets of its steps if that is longer or all there is.
fn phase_span(
    phase: &Phase,
    begin: Moment,
    restores: impl Fn(usize) -> Option<Duration>,
) -> (Span, Vec<Span>) {
    let steps = step_lengths(&phase.steps, restores);
    let longest = steps.iter().map(|(_, end)| end.at).max().unwrap_or_default();
    let all_known = !steps.is_empty() && steps.iter().all(|(_, end)| !end.at_least);
    let length = phase.budget.map_or(longest, |budget| budget.value.max(longest));
    let at_least = begin.at_least || !(phase.budget.is_some() || all_known);
    let end = Moment { at: begin.at.saturating_add(length), at_least };
    let placed = steps.into_iter().map(|(from, upto)| Span {
        begin: begin.then(from),
        // A step without a budget may take all that its phase has.
        end: if upto.at_least { end } else { begin.then(upto) },
    });
    (Span { begin, end }, placed.collect())
}

/// When steps begin and end, counted from the beginning of their phase.
fn step_lengths(
    steps: &[Step],
    restores: impl Fn(usize) -> Option<Duration>,
) -> Vec<(Moment, Moment)> {
    let mut found: Vec<(Moment, Moment)> = Vec::new();
    for (at, (step, before)) in steps.iter().zip(order::steps(steps)).enumerate() {
        let ends = before.iter().map(|at| found[*at].1);
        let before = ends.reduce(Moment::later).unwrap_or_default();
        // Who is asked for a yes may take all the time the question stands.
        let asked = || step.approve.as_ref().and_then(|approve| approve.within);
        let own = step.budget.or(step.wait).or_else(asked);
        let least = restores(at).unwrap_or_default();
        let length =
            Moment { at: own.map_or(least, |own| own.value.max(least)), at_least: own.is_none() };
        found.push((before, before.then(length)));
    }
    found
}

impl Moment {
    fn later(self, other: Self) -> Self {
        Self { at: self.at.max(other.at), at_least: self.at_least || other.at_least }
    }

    fn then(self, length: Self) -> Self {
        Self { at: self.at.saturating_add(length.at), at_least: self.at_least || length.at_least }
    }
}

/// What the steps of a scenario bring back: what they say themselves, and what their programs do.
pub(super) fn milestones(objectives: &Objectives<'_>, scenario: &Scenario) -> Vec<Milestone> {
    let (graph, plan) = (&objectives.graph, objectives.plan);
    let mut found = Vec::new();
    for (phase, of_phase) in scenario.phases.iter().enumerate() {
        for (step, declared) in of_phase.steps.iter().enumerate() {
            let scripted = declared.run.as_ref().map(|run| brought_back(objectives, run));
            let scripted = scripted.unwrap_or_default();
            let by_restore = declared.restore.as_ref().and_then(|restore| restore.store.as_ref());
            let restores = declared.restores.iter().chain(by_restore);
            let mut restores: Vec<usize> =
                restores.filter_map(|name| plan.stores.position(&name.value)).collect();
            restores.extend(scripted.stores);
            let starts = declared.starts.iter().chain(&declared.resume);
            let mut starts: Vec<ServiceId> =
                starts.filter_map(|name| graph.id(&name.value)).collect();
            starts.extend(scripted.services);
            if !restores.is_empty() || !starts.is_empty() {
                found.push(Milestone { phase, step, restores, starts });
            }
        }
    }
    found
}
