//! From a plan to what a run executes.
//!
//! The rule it keeps: what a run would have to guess is a complaint, all of them at once, each with
//! its place. Nothing is left to be looked up later but values of parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use soter_plan::language::{self, At, Origin, Person, Plan, Scenario, Script};
use soter_plan::objectives::Objectives;
use soter_plan::order;

use super::parameters::{Parameter, ParameterKind, ParameterSource, names_in};
use super::{Action, Phase, Procedure, Question, Service, Step};
use crate::ids::{NameError, StepId};

mod step;
mod stoppable;
mod stores;
mod ways;

use ways::{Flat, Within};

/// Something that a run would have to guess.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// Where it is written; none: it is not.
    pub origin: Option<Origin>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// Makes of a scenario what a run executes.
///
/// # Errors
/// All that is in the way.
pub fn compile(plan: &Plan, scenario: &str) -> Result<Procedure, Vec<Complaint>> {
    let Some(of_plan) = plan.scenarios.get(scenario) else {
        let known: Vec<&str> = plan.scenarios.names().collect();
        return Err(vec![Complaint {
            origin: None,
            what: format!("the plan has no scenario `{scenario}`"),
            hint: format!("take one of: {}", known.join(", ")),
        }]);
    };
    let mut compiler = Compiler { plan, scenario: of_plan, complaints: Vec::new() };
    let procedure = compiler.procedure(scenario);
    compiler.complaints.sort();
    if compiler.complaints.is_empty() { Ok(procedure) } else { Err(compiler.complaints) }
}

struct Compiler<'p> {
    plan: &'p Plan,
    scenario: &'p Scenario,
    complaints: Vec<Complaint>,
}

impl Compiler<'_> {
    fn complain(&mut self, origin: Option<Origin>, what: impl Display, hint: impl Display) {
        let (what, hint) = (what.to_string(), hint.to_string());
        self.complaints.push(Complaint { origin, what, hint });
    }

    fn procedure(&mut self, name: &str) -> Procedure {
        let scenario = self.scenario;
        if scenario.phases.iter().all(|phase| phase.steps.is_empty()) {
            let origin = self.plan.scenarios.declared(name);
            let hint = "give it phases with steps; what has none cannot be run";
            self.complain(origin, format!("`{name}` has no steps"), hint);
        }
        let parameters = self.parameters();
        let phases = self.phases();
        let steps = self.steps();
        self.obligations(&steps);
        self.names_of_texts(&parameters, &steps);
        let services = self.services(&steps);
        let text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
        Procedure {
            scenario: name.to_owned(),
            title: text(&scenario.title).unwrap_or_else(|| name.to_owned()),
            severity: text(&scenario.severity),
            rto: scenario.rto.map(|rto| rto.value),
            rpo: scenario.rpo.map(|rpo| rpo.value),
            prerequisites: values(&scenario.prerequisites),
            teams: self.teams(&steps),
            approvals: self.of_approvers(&steps, |person| person.approves_with.as_ref()),
            signers: self.of_approvers(&steps, |person| person.signs_with.as_ref()),
            credentials: self.credentials(&parameters, &phases, &steps),
            parameters,
            phases,
            steps,
            services,
            stores: self.stores(),
            done_when: text(&scenario.done_when),
        }
    }

    fn parameters(&mut self) -> Vec<Parameter> {
        let mut found = Vec::new();
        for (name, written) in self.scenario.parameters.iter() {
            let kind = written.r#type.map_or(ParameterKind::Text, |kind| kind.value.into());
            let from = written.from.map_or(ParameterSource::Ask, |from| from.value.into());
            let value = written.value.as_ref();
            if from == ParameterSource::Value && value.is_none() {
                let what = format!(
                    "`{name}` has its value in the plan, and there is none",
                    name = name.value
                );
                self.complain(Some(name.origin), what, "add `value: …`, or another `from`");
            }
            if let Some(value) = value
                && let Err(what) = kind.check(&value.value)
            {
                self.complain(Some(value.origin), what, "write the value as its type wants it");
            }
            let text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
            found.push(Parameter {
                name: name.value.clone(),
                about: text(&written.about),
                kind,
                from,
                source: text(&written.name),
                value: text(&written.value),
                example: text(&written.example),
            });
        }
        found
    }

    fn phases(&mut self) -> Vec<Phase> {
        let written = &self.scenario.phases;
        let mut found = Vec::new();
        let mut titles = BTreeSet::new();
        for ((at, phase), after) in written.iter().enumerate().zip(order::phases(written)) {
            for name in &phase.after {
                if !titles.contains(name.value.as_str()) {
                    let what = format!("no phase before this one is called `{}`", name.value);
                    self.complain(Some(name.origin), what, "name an earlier phase by its title");
                }
            }
            let title = phase.title.as_ref().map(|title| title.value.clone());
            titles.extend(phase.title.as_ref().map(|title| title.value.as_str()));
            let only_if = phase.only_if.as_ref().map(|probe| self.probe(probe));
            found.push(Phase {
                title: title.unwrap_or_else(|| format!("phase {}", at + 1)),
                budget: phase.budget.map(|budget| budget.value),
                after,
                only_if,
            });
        }
        found
    }

    fn steps(&mut self) -> Vec<Step> {
        let mut all = Flat::default();
        for (phase, of_phase) in self.scenario.phases.iter().enumerate() {
            let counted = |at| Ok(StepId::counted(phase, at));
            self.in_order(&of_phase.steps, &Within::Phase(phase), &counted, &mut all);
        }
        all.steps
    }

    /// Steps that follow each other, each with its other way behind it. Answers what they are called.
    fn in_order(
        &mut self,
        written: &[language::Step],
        within: &Within<'_>,
        counted: &dyn Fn(usize) -> Result<StepId, NameError>,
        all: &mut Flat,
    ) -> Vec<StepId> {
        let mut ids: Vec<StepId> = Vec::new();
        for ((at, step), before) in written.iter().enumerate().zip(order::steps(written)) {
            let id = self.id(step, counted(at));
            if !all.ids.insert(id.clone()) {
                let origin = step.id.as_ref().map(|id| id.origin);
                let what = format!("two steps are called `{id}`");
                self.complain(origin, what, "give each its own `id`");
            }
            let mut after: BTreeSet<StepId> =
                before.into_iter().map(|at| ids[at].clone()).collect();
            for name in &step.after {
                let named = StepId::parse(&name.value).ok();
                let is_sure = |id: &StepId| within.may_wait_for(&all.sure, id) || ids.contains(id);
                match named.filter(|other| *other != id && is_sure(other)) {
                    Some(other) => drop(after.insert(other)),
                    None => self.not_before(name, within, all),
                }
            }
            let phase = within.phase();
            let mut made = self.step(step, (phase, id.clone()), after.into_iter().collect());
            made.gives.extend(self.gives_instead(step, within, &made.gives));
            let place = all.steps.len();
            all.steps.push(made);
            all.steps[place].instead = self.instead(step, (phase, &id), all);
            all.steps[place].undo = self.undo(step, (phase, &id), all);
            if let Within::Phase(_) = within {
                all.sure.insert(id.clone());
            }
            ids.push(id);
        }
        ids
    }

    fn not_before(&mut self, name: &At<String>, within: &Within<'_>, all: &Flat) {
        let known = StepId::parse(&name.value).ok().filter(|id| all.ids.contains(id));
        let is_sure = known.as_ref().is_some_and(|id| all.sure.contains(id));
        let (what, hint) = if is_sure && matches!(within, Within::Undo(_)) {
            let what =
                format!("what undoes a step does not wait for others, such as `{}`", name.value);
            (what, "leave it out: it is done when somebody says so")
        } else if known.is_some() {
            let what =
                format!("`{}` is a step of another way, which may never be taken", name.value);
            (what, "name the step that it stands in for: it is over when the other way is")
        } else {
            let what = format!("no step before this one is called `{}`", name.value);
            (what, "name a step that stands before it, by its `id`")
        };
        self.complain(Some(name.origin), what, hint);
    }

    fn id(&mut self, written: &language::Step, counted: Result<StepId, NameError>) -> StepId {
        let origin = written.id.as_ref().or(written.title.as_ref()).map(|at| at.origin);
        let named = written.id.as_ref().map(|id| StepId::parse(&id.value));
        match named.unwrap_or_else(|| counted.clone()) {
            Ok(id) => id,
            Err(error) => {
                self.complain(origin, error, "give the step an `id` that is a name");
                counted.unwrap_or_else(|_| StepId::counted(0, 0))
            }
        }
    }

    /// A measure that nothing lifts would keep the run from ever being closed.
    fn obligations(&mut self, steps: &[Step]) {
        // What only another way lifts may stay; what another way lifts itself does not.
        let lifts = |steps: &[language::Step]| -> BTreeSet<String> {
            steps.iter().flat_map(|step| values(&step.lifts)).collect()
        };
        let of_ways: BTreeSet<&StepId> =
            steps.iter().flat_map(Step::ways).flat_map(|way| &way.steps).collect();
        let sure = steps.iter().filter(|step| !of_ways.contains(&step.id));
        let sure: BTreeSet<String> = sure.flat_map(|step| step.lifts.clone()).collect();
        let mut open = Vec::new();
        let mut groups: Vec<&[language::Step]> =
            self.scenario.phases.iter().map(|phase| phase.steps.as_slice()).collect();
        while let Some(group) = groups.pop() {
            let own = lifts(group);
            let obliged = group.iter().flat_map(|step| &step.obliges);
            let left =
                obliged.filter(|name| !sure.contains(&name.value) && !own.contains(&name.value));
            open.extend(left.map(|name| (name.origin, name.value.clone())));
            let ways = group.iter().flat_map(|step| step.instead.iter().chain(&step.undo));
            groups.extend(ways.map(|way| &way.steps[..]));
        }
        for (origin, name) in open {
            let what = format!("no step lifts `{name}`, so the run could never be closed");
            self.complain(
                Some(origin),
                what,
                format!("add `lifts: [{name}]` to the step that does"),
            );
        }
    }

    /// Texts, unlike scripts, have nothing but parameters to be filled in from.
    fn names_of_texts(&mut self, parameters: &[Parameter], steps: &[Step]) {
        let mut known: BTreeSet<&str> =
            parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        known.extend(steps.iter().flat_map(|step| &step.gives).map(String::as_str));
        let written = self.scenario.every_step();
        let mut unknown = Vec::new();
        for (step, written) in steps.iter().zip(written) {
            let texts = step.action.texts().into_iter().chain(step.on.as_deref());
            let probes = step.only_if.iter().chain(&step.already_done).chain(&step.verify);
            let texts = texts.chain(probes.flat_map(super::Probe::texts));
            for name in texts.flat_map(names_in).filter(|name| !known.contains(name)) {
                let origin = written.id.as_ref().or(written.title.as_ref()).map(|at| at.origin);
                unknown.push((
                    origin,
                    format!("`{}` names `${{{name}}}`, and nothing gives it a value", step.id),
                ));
            }
        }
        for (origin, what) in unknown {
            self.complain(origin, what, "declare it among the scenario's `parameters`");
        }
    }

    fn services(&self, steps: &[Step]) -> Vec<Service> {
        let objectives = Objectives::new(self.plan);
        let graph = &objectives.graph;
        let timeline = objectives.timeline(self.scenario);
        let mut firsts = Vec::new();
        for phase in &self.scenario.phases {
            firsts.push(firsts.last().copied().unwrap_or(0) + phase.steps.len());
        }
        let of_ways: BTreeSet<&StepId> =
            steps.iter().flat_map(Step::ways).flat_map(|way| &way.steps).collect();
        let steps: Vec<&Step> = steps.iter().filter(|one| !of_ways.contains(&one.id)).collect();
        let place = |phase: usize, step: usize| {
            step + phase.checked_sub(1).and_then(|before| firsts.get(before)).copied().unwrap_or(0)
        };
        let down = graph.ids().filter_map(|id| Some((id, timeline.back(id)?)));
        let found = down.map(|(id, back)| {
            let brings = timeline.milestones.iter().filter(|milestone| {
                milestone.starts.contains(&id)
                    || milestone
                        .restores
                        .iter()
                        .any(|store| objectives.owners(*store).contains(&id))
            });
            let of_steps = brings.filter_map(|one| steps.get(place(one.phase, one.step)));
            let needs = graph.needs(id).iter().filter(|need| timeline.back(**need).is_some());
            Service {
                name: graph.name(id).to_owned(),
                title: graph.title(id).to_owned(),
                rto: graph.rto(id).map(|rto| rto.value).or(self.scenario.rto.map(|rto| rto.value)),
                steps: of_steps.map(|step| step.id.clone()).collect(),
                needs: needs.map(|need| graph.name(*need).to_owned()).collect(),
                planned: (!back.at_least).then_some(back.total),
            }
        });
        found.collect()
    }

    fn teams(&self, steps: &[Step]) -> BTreeMap<String, Vec<String>> {
        let names = steps.iter().flat_map(|step| match &step.action {
            Action::Approve { by, .. } => by.as_slice(),
            _ => &[],
        });
        let known = names.filter_map(|name| Some((name.clone(), self.plan.teams.get(name)?)));
        known.map(|(name, team)| (name, values(&team.members))).collect()
    }

    /// What those who may approve something do it with.
    fn of_approvers<T: ToString>(
        &self,
        steps: &[Step],
        with: impl Fn(&Person) -> Option<&At<T>>,
    ) -> BTreeMap<String, String> {
        let names = steps.iter().flat_map(|step| match &step.action {
            Action::Approve { by, .. } => by.as_slice(),
            _ => &[],
        });
        let people = names.flat_map(|name| match self.plan.teams.get(name) {
            Some(team) => values(&team.members),
            None => vec![name.clone()],
        });
        let known = people.filter_map(|name| {
            let found = with(self.plan.people.get(&name)?)?;
            Some((name, found.value.to_string()))
        });
        known.collect()
    }

    /// Where the credentials are read that parameters, requests and their probes name.
    fn credentials(
        &self,
        parameters: &[Parameter],
        phases: &[Phase],
        steps: &[Step],
    ) -> BTreeMap<String, String> {
        let of_parameters = parameters
            .iter()
            .filter(|parameter| parameter.from == ParameterSource::Credential)
            .map(|parameter| parameter.source.as_deref().unwrap_or(&parameter.name));
        let of_actions = steps.iter().filter_map(|step| match &step.action {
            Action::Http(http) => http.with.as_deref(),
            _ => None,
        });
        let probes = steps
            .iter()
            .flat_map(|step| step.only_if.iter().chain(&step.already_done).chain(&step.verify))
            .chain(phases.iter().filter_map(|phase| phase.only_if.as_ref()));
        let of_probes = probes.filter_map(|probe| match &probe.question {
            Question::Http(http) => http.with.as_deref(),
            _ => None,
        });
        let known = of_parameters.chain(of_actions).chain(of_probes).filter_map(|name| {
            let reference = self.plan.credentials.get(name)?.read_from.as_ref()?;
            Some((name.to_owned(), reference.value.to_string()))
        });
        known.collect()
    }
}

fn values(names: &[At<String>]) -> Vec<String> {
    names.iter().map(|name| name.value.clone()).collect()
}

fn trimmed(script: &Script) -> String {
    script.text.trim_end().to_owned()
}
