//! Procedures drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use soter_world::sim::SeededRandom;

use crate::ids::StepId;
use crate::procedure::{
    Action, Parameter, ParameterKind, ParameterSource, Phase, Probe, Procedure, Question, Step, Way,
};

pub(super) fn blank(id: StepId, phase: usize, action: Action) -> Step {
    Step { phase, ..Step::plain(id, action) }
}

pub(super) fn probe() -> Probe {
    let question = Question::Run("true".to_owned());
    Probe { title: "is it?".to_owned(), question, expect: None, stable_for: None, within: None }
}

pub(super) fn procedure(
    parameters: Vec<Parameter>,
    phases: Vec<Phase>,
    steps: Vec<Step>,
) -> Procedure {
    Procedure {
        scenario: "lost".to_owned(),
        title: "All is lost".to_owned(),
        severity: None,
        rto: None,
        rpo: None,
        prerequisites: Vec::new(),
        parameters,
        phases,
        steps,
        services: Vec::new(),
        stores: BTreeMap::new(),
        teams: BTreeMap::new(),
        approvals: BTreeMap::new(),
        signers: BTreeMap::new(),
        credentials: BTreeMap::new(),
        done_when: None,
    }
}

pub(super) fn generate(random: &SeededRandom) -> Procedure {
    let phases_count = 1 + random.index(3);
    let phases: Vec<Phase> = (0..phases_count)
        .map(|at| Phase {
            title: format!("phase {at}"),
            budget: None,
            after: if at > 0 && random.chance(70) { vec![at - 1] } else { Vec::new() },
            only_if: random.chance(15).then(probe),
        })
        .collect();
    let mut steps: Vec<Step> = Vec::new();
    for phase in 0..phases_count {
        for at in 0..2 + random.index(4) {
            let mut step = draw(random, StepId::counted(phase, at), phase);
            let before: Vec<StepId> =
                steps.iter().filter(|one| one.phase == phase).map(|one| one.id.clone()).collect();
            for other in before {
                if random.chance(40) {
                    step.after.push(other);
                }
            }
            steps.push(step);
        }
    }
    oblige(random, &mut steps);
    let steps = steps.into_iter().flat_map(|step| with_other_way(random, step, 0));
    let steps: Vec<Step> = steps.flat_map(|step| with_undo(random, step)).collect();
    let names: BTreeSet<&String> = steps.iter().flat_map(|step| &step.gives).collect();
    let given = names.into_iter().map(|name| Parameter {
        name: name.clone(),
        about: None,
        kind: if random.chance(30) { ParameterKind::Secret } else { ParameterKind::Text },
        from: ParameterSource::Step,
        source: None,
        value: None,
        example: None,
    });
    let given = given.collect();
    procedure(given, phases, steps)
}

fn draw(random: &SeededRandom, id: StepId, phase: usize) -> Step {
    let text = || "text".to_owned();
    let action = match random.below(20) {
        0 => Action::Look,
        1 => Action::Wait { duration: Duration::from_secs(random.below(90)) },
        2 => Action::Approve {
            by: vec!["bea".to_owned(), "cleo".to_owned()],
            count: 1 + u32::from(random.chance(50)),
            text: text(),
            within: random.chance(50).then(|| Duration::from_mins(5)),
        },
        3 => Action::Ask { text: text(), gives: vec![format!("answer-{id}")] },
        4 => Action::Manual(text()),
        _ => Action::Run(text()),
    };
    let is_effect = action.is_effect();
    let mut step = blank(id, phase, action);
    if let Action::Ask { gives, .. } = &step.action {
        step.gives.clone_from(gives);
    }
    let is_look = step.action == Action::Look;
    step.verify = (0..u64::from(is_look) + random.below(3)).map(|_| probe()).collect();
    for one in &mut step.verify {
        one.stable_for = random.chance(30).then(|| Duration::from_secs(random.below(30)));
        one.within = random.chance(30).then(|| Duration::from_secs(random.below(120)));
    }
    step.only_if = random.chance(15).then(probe);
    if is_effect {
        step.destructive = random.chance(40);
        step.already_done = random.chance(60).then(probe);
        step.retries = u32::try_from(random.below(3)).unwrap();
        step.timeout = random.chance(50).then(|| Duration::from_secs(10 + random.below(120)));
        if random.chance(20) {
            step.gives = vec![format!("out-{}", step.id)];
        }
    }
    step
}

/// Some steps have another way, which gives and lifts what they do; it may have another way itself.
fn with_other_way(random: &SeededRandom, mut step: Step, depth: usize) -> Vec<Step> {
    const DEPTH_MAX: usize = 2;
    let is_approval = matches!(step.action, Action::Approve { .. });
    if is_approval || depth == DEPTH_MAX || !random.chance(20) {
        return vec![step];
    }
    let mut others: Vec<Step> = Vec::new();
    for at in 0..1 + random.index(3) {
        let id = StepId::counted_within(&step.id, "instead", at).unwrap();
        let mut other = draw(random, id, step.phase);
        let before = others.iter().filter(|_| random.chance(50)).map(|one| one.id.clone());
        other.after = before.collect();
        others.push(other);
    }
    let giving = &mut others[0];
    if !step.gives.is_empty() {
        giving.action = Action::Run("text".to_owned());
        giving.gives.clone_from(&step.gives);
    }
    giving.lifts.clone_from(&step.lifts);
    let steps = others.iter().map(|other| other.id.clone()).collect();
    // It comes to that.
    step.retries = 0;
    step.instead = Some(Way { title: "another way".to_owned(), steps });
    let others = others.into_iter().flat_map(|other| with_other_way(random, other, depth + 1));
    std::iter::once(step).chain(others).collect()
}

/// Some steps can be taken back. The first of the steps that do it is the one that does.
fn with_undo(random: &SeededRandom, mut step: Step) -> Vec<Step> {
    if step.action.leaves_nothing() || !random.chance(20) {
        return vec![step];
    }
    let mut undo: Vec<Step> = Vec::new();
    for at in 0..1 + random.index(2) {
        let id = StepId::counted_within(&step.id, "undo", at).unwrap();
        let mut other = draw(random, id, step.phase);
        if at == 0 {
            other.action = Action::Run("text".to_owned());
            other.only_if = None;
        } else if random.chance(70) {
            other.after = vec![undo[0].id.clone()];
        }
        undo.push(other);
    }
    undo[0].lifts.clone_from(&step.obliges);
    let steps = undo.iter().map(|other| other.id.clone()).collect();
    step.undo = Some(Way { title: "taking it back".to_owned(), steps });
    std::iter::once(step).chain(undo).collect()
}

/// Some steps put something in place that a later one lifts.
fn oblige(random: &SeededRandom, steps: &mut [Step]) {
    for at in 0..steps.len() {
        if !steps[at].action.is_effect() || !random.chance(25) {
            continue;
        }
        let name = format!("measure-{at}");
        let later = at + 1 + random.index(steps.len());
        if let Some(lifting) = steps.get_mut(later) {
            lifting.lifts.push(name.clone());
        }
        steps[at].obliges.push(name);
    }
}
