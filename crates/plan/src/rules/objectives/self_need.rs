//! S0110: what a recovery needs lies in what it recovers: keys, prerequisites, services used too
//! early.

use std::collections::HashSet;

use super::SELF_NEED;
use crate::check::{Finding, Model};
use crate::graph::{Cause, Down, Loss, ServiceId};
use crate::language::{At, Plan, Scenario};
use crate::objectives::{How, Timeline};

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    locked_vaults(model, findings);
    for (_, title, scenario) in model.plan.scenarios.titled() {
        // What the scenario itself says is gone; a step that starts a service proves nothing.
        let (graph, domains) = (&model.objectives.graph, &model.objectives.domains);
        let loss = Loss::of(graph, domains, &Cause::of(scenario, domains));
        if !loss.is_nothing() {
            prerequisites(model, (title, scenario), &loss, findings);
            used_too_early(model, (title, scenario), &loss, findings);
        }
    }
}

/// What can be had again after everything was lost at once.
#[derive(Debug, Default)]
struct Reachable<'p> {
    services: HashSet<&'p str>,
    stores: HashSet<&'p str>,
    vaults: HashSet<&'p str>,
    credentials: HashSet<&'p str>,
}

fn locked_vaults(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let plan = model.plan;
    if plan.vaults.iter().all(|(_, vault)| vault.read_with.is_empty()) {
        return;
    }
    let reachable = Reachable::of(model);
    for (name, title, vault) in plan.vaults.titled() {
        if reachable.vaults.contains(name.value.as_str()) {
            continue;
        }
        let Some(key) = vault.read_with.first() else { continue };
        let kept = plan.credentials.get(&key.value).and_then(|key| key.kept_in.first());
        let key_title = plan.credentials.title(&key.value);
        let place = kept.map_or("", |kept| place_title(plan, &kept.value));
        let words = format!(
            "{key_title} reads {title}, is kept in {place}, and {place} comes back only with it"
        );
        let mut finding = Finding::new(&SELF_NEED, key.origin, words).here("reads this vault");
        if let Some(kept) = kept {
            finding = finding.label(kept.origin, "kept here");
        }
        findings.push(finding.hint(format!(
            "keep {key_title} in a second place that none of this has to be restored for, such as a \
             safe or an operator's own key file, and name it in `kept_in`"
        )));
    }
}

fn place_title<'p>(plan: &'p Plan, name: &'p str) -> &'p str {
    if plan.services.contains(name) { plan.services.title(name) } else { plan.stores.title(name) }
}

impl<'p> Reachable<'p> {
    /// Whatever the plan does not say counts as reachable: only what it does say can lock a door.
    fn of(model: &Model<'p>) -> Self {
        let mut reachable = Self::default();
        loop {
            let before = reachable.count();
            reachable.grow(model);
            if reachable.count() == before {
                return reachable;
            }
        }
    }

    fn count(&self) -> usize {
        self.services.len() + self.stores.len() + self.vaults.len() + self.credentials.len()
    }

    fn grow(&mut self, model: &Model<'p>) {
        let plan = model.plan;
        for (name, credential) in plan.credentials.iter() {
            let kept = &credential.kept_in;
            if kept.is_empty() || kept.iter().any(|place| self.has_place(plan, &place.value)) {
                self.credentials.insert(&name.value);
            }
        }
        for (name, vault) in plan.vaults.iter() {
            let mut keys = vault.read_with.iter().map(|key| key.value.as_str());
            let has = |key: &str| !plan.credentials.contains(key) || self.credentials.contains(key);
            if vault.read_with.is_empty() || keys.any(has) {
                self.vaults.insert(&name.value);
            }
        }
        for (name, store) in plan.stores.iter() {
            let kept = model.objectives.copies(store);
            let mut places = kept.iter().map(|kept| kept.to);
            let has = |to: Option<&str>| {
                to.is_none_or(|to| !plan.vaults.contains(to) || self.vaults.contains(to))
            };
            if kept.is_empty() || !store.rebuilt_from.is_empty() || places.any(has) {
                self.stores.insert(&name.value);
            }
        }
        let graph = &model.objectives.graph;
        // Needs come before what needs them, so one pass sees a whole chain.
        for members in graph.components() {
            for &id in members {
                self.grow_service(model, id);
            }
        }
    }

    fn grow_service(&mut self, model: &Model<'p>, id: ServiceId) {
        let (graph, plan) = (&model.objectives.graph, model.plan);
        let (name, service) = graph.service(id);
        let mut needs = graph.needs(id).iter().map(|need| graph.name(*need));
        let needs = graph.in_cycle(id) || needs.all(|need| self.services.contains(need));
        let mut state = service.state.iter().map(|store| store.value.as_str());
        let state = state.all(|store| !plan.stores.contains(store) || self.stores.contains(store));
        if service.external.is_some_and(|external| external.value) || (needs && state) {
            self.services.insert(&name.value);
        }
    }

    fn has_place(&self, plan: &Plan, place: &str) -> bool {
        match (plan.services.contains(place), plan.stores.contains(place)) {
            (true, _) => self.services.contains(place),
            (_, true) => self.stores.contains(place),
            // Words, such as a safe: somebody can go there.
            _ => true,
        }
    }
}

/// What must be at hand before it begins is itself down.
fn prerequisites(
    model: &Model<'_>,
    (title, scenario): (&str, &Scenario),
    loss: &Loss,
    findings: &mut Vec<Finding>,
) {
    let (plan, graph) = (model.plan, &model.objectives.graph);
    for wanted in &scenario.prerequisites {
        let service = graph.id(&wanted.value);
        let is_down = service.is_some_and(|id| loss.services[id.index()].is_some());
        let store = plan.stores.position(&wanted.value).filter(|_| service.is_none());
        let is_lost = store.is_some_and(|at| loss.stores[at]);
        let key = plan.credentials.get(&wanted.value).filter(|_| service.is_none());
        let kept = key.map_or(&[][..], |key| &key.kept_in);
        let is_locked = !kept.is_empty()
            && kept.iter().all(|place| {
                let down = graph.id(&place.value);
                let down = down.is_some_and(|id| loss.services[id.index()].is_some());
                let lost = plan.stores.position(&place.value);
                down || lost.is_some_and(|at| loss.stores[at])
            });
        let what = place_title(plan, &wanted.value);
        let words = if is_down || is_lost {
            format!("{title} begins with {what}, which is gone in it")
        } else if is_locked {
            let places: Vec<&str> =
                kept.iter().map(|place| place_title(plan, &place.value)).collect();
            let key = plan.credentials.title(&wanted.value);
            format!("{title} begins with {key}, kept in {}, which is gone in it", places.join(", "))
        } else {
            continue;
        };
        findings.push(Finding::new(&SELF_NEED, wanted.origin, words).here("must be at hand").hint(
            "name a way that works when it is gone: a copy elsewhere, an address instead of a name, \
             a key on paper",
        ));
    }
}

/// A step uses a service that is down, before any step brings it back.
fn used_too_early(
    model: &Model<'_>,
    (title, scenario): (&str, &Scenario),
    loss: &Loss,
    findings: &mut Vec<Finding>,
) {
    let graph = &model.objectives.graph;
    let timeline = model.objectives.timeline(scenario);
    for (phase, of_phase) in scenario.phases.iter().enumerate() {
        for (step, declared) in of_phase.steps.iter().enumerate() {
            let used = declared.uses.iter().chain(&declared.on);
            for (name, id) in used.filter_map(|name| Some((name, graph.id(&name.value)?))) {
                let down = loss.services[id.index()];
                if down.is_some_and(|down| !is_back(&timeline, id, (phase, step), down)) {
                    findings.push(too_early(title, (name, graph.title(id))));
                }
            }
        }
    }
}

fn is_back(timeline: &Timeline<'_>, id: ServiceId, at: (usize, usize), down: Down) -> bool {
    let Some(back) = timeline.back(id) else { return true };
    match back.how {
        How::Step { phase, step } => (phase, step) <= at,
        How::Needs(need) => {
            let why = timeline.loss.services[need.index()];
            why.is_none_or(|why| is_back(timeline, need, at, why))
        }
        // What no step names may come back by itself, if it was only stopped.
        How::Phases | How::Nothing => !matches!(down, Down::Domains | Down::Store(_)),
    }
}

fn too_early(title: &str, (name, service): (&At<String>, &str)) -> Finding {
    let words = format!("{title}: a step uses {service}, which is down and not back yet");
    Finding::new(&SELF_NEED, name.origin, words).here("used here").hint(format!(
        "bring {service} back in an earlier step and say so there with `starts` or `restores`, or \
         do this step without it"
    ))
}
