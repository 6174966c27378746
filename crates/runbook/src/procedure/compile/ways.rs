//! Ways that a person may take in place of a step, or to take it back.
//!
//! The rule it keeps: whoever waits for a step finds after another way all that was promised of the
//! step: its stores, its services, its values, its measures lifted. What takes a step back lifts its
//! measures.

use std::collections::BTreeSet;

use soter_plan::language::{self, At};

use super::{Compiler, values};
use crate::ids::StepId;
use crate::procedure::{Step, Way};

/// The steps so far, each behind those it may wait for.
#[derive(Default)]
pub(super) struct Flat {
    pub(super) steps: Vec<Step>,
    /// What they are called.
    pub(super) ids: BTreeSet<StepId>,
    /// Those of them that belong to no way: they are done or left out in every run.
    pub(super) sure: BTreeSet<StepId>,
}

/// Where steps stand that follow each other.
pub(super) enum Within<'w> {
    /// They are those of a phase.
    Phase(usize),
    /// They are another way than this step, which belongs to that phase.
    Instead(usize, &'w StepId),
    /// They take a step of that phase back.
    Undo(usize),
}

impl Within<'_> {
    pub(super) fn phase(&self) -> usize {
        match self {
            Self::Phase(phase) | Self::Instead(phase, _) | Self::Undo(phase) => *phase,
        }
    }

    /// Whether they may wait for one of the steps that are over in every run. What takes something back
    /// is done at any time, so it waits for nobody.
    pub(super) fn may_wait_for(&self, sure: &BTreeSet<StepId>, id: &StepId) -> bool {
        !matches!(self, Self::Undo(_)) && sure.contains(id)
    }
}

/// What others count on after a step: its name in the plan, and the things.
type Promise<'s> = (&'static str, BTreeSet<&'s str>);

fn promises<'s>(steps: &'s [&'s language::Step]) -> [Promise<'s>; 4] {
    type Names<'s> = Vec<&'s At<String>>;
    let all = |of: fn(&'s language::Step) -> Names<'s>| -> BTreeSet<&'s str> {
        steps.iter().flat_map(|step| of(step)).map(|name| name.value.as_str()).collect()
    };
    let restored = |step: &'s language::Step| -> Names<'s> {
        let by_restore = step.restore.iter().flat_map(|restore| &restore.store);
        step.restores.iter().chain(by_restore).collect()
    };
    [
        ("restores", all(restored)),
        ("starts", all(|step| step.starts.iter().chain(&step.resume).collect())),
        ("lifts", all(|step| step.lifts.iter().collect())),
        ("writes", all(|step| step.writes.iter().collect())),
    ]
}

impl Compiler<'_> {
    /// The other way of a step. Its steps stand behind it.
    pub(super) fn instead(
        &mut self,
        written: &language::Step,
        (phase, id): (usize, &StepId),
        all: &mut Flat,
    ) -> Option<Way> {
        let way = written.instead.as_ref()?;
        let origin = written.id.as_ref().or(written.title.as_ref()).map(|at| at.origin);
        if written.approve.is_some() {
            let what = format!("`{id}` is an approval, and there is no way past one");
            let hint = "leave `instead` out; who cannot be reached is what --break-glass is for";
            self.complain(origin, what, hint);
        }
        if way.steps.is_empty() {
            let what = format!("the other way of `{id}` has no steps");
            self.complain(origin, what, "give it `steps`, or leave `instead` out");
        }
        let within = Within::Instead(phase, id);
        let counted = |at| StepId::counted_within(id, "instead", at);
        let steps = self.in_order(&way.steps, &within, &counted, all);
        let others: Vec<&language::Step> = way.steps.iter().collect();
        for ((word, own), (_, theirs)) in promises(&[written]).into_iter().zip(promises(&others)) {
            for name in own.difference(&theirs) {
                let what = format!("`{id}` {word} `{name}`, and its other way does not");
                let hint =
                    format!("add `{word}: [{name}]` to the step that does, or one that does");
                self.complain(origin, what, hint);
            }
        }
        for name in self.given_by(id) {
            if !others.iter().any(|step| values(&step.writes).contains(&name)) {
                let what = format!("`{id}` gives `{name}` its value, and its other way does not");
                let hint = format!("add `writes: [{name}]` to the step that does");
                self.complain(origin, what, hint);
            }
        }
        let title = way.title.as_ref().map(|title| title.value.clone());
        Some(Way { title: title.unwrap_or_else(|| "another way".to_owned()), steps })
    }

    /// What takes a step back. Its steps stand behind it.
    pub(super) fn undo(
        &mut self,
        written: &language::Step,
        (phase, id): (usize, &StepId),
        all: &mut Flat,
    ) -> Option<Way> {
        let way = written.undo.as_ref()?;
        let origin = written.id.as_ref().or(written.title.as_ref()).map(|at| at.origin);
        if all.steps.iter().any(|step| step.id == *id && step.action.leaves_nothing()) {
            let what = format!("`{id}` leaves nothing that could be taken back");
            self.complain(origin, what, "leave `undo` out");
        }
        if way.steps.is_empty() {
            let what = format!("what undoes `{id}` has no steps");
            self.complain(origin, what, "give it `steps`, or leave `undo` out");
        }
        let has_ways = |step: &&language::Step| step.instead.is_some() || step.undo.is_some();
        if way.steps.iter().any(|step| has_ways(&step)) {
            let what = format!("what undoes `{id}` has another way, or an undoing, itself");
            self.complain(origin, what, "leave `instead` and `undo` of those steps out");
        }
        let counted = |at| StepId::counted_within(id, "undo", at);
        let steps = self.in_order(&way.steps, &Within::Undo(phase), &counted, all);
        let lifts: BTreeSet<String> =
            way.steps.iter().flat_map(|step| values(&step.lifts)).collect();
        for name in values(&written.obliges) {
            if !lifts.contains(&name) {
                let what = format!("`{id}` obliges `{name}`, and what undoes it does not lift it");
                let hint = format!("add `lifts: [{name}]` to the step that does, or one that does");
                self.complain(origin, what, hint);
            }
        }
        let title = way.title.as_ref().map(|title| title.value.clone());
        Some(Way { title: title.unwrap_or_else(|| "taking it back".to_owned()), steps })
    }

    /// The values that a step gives in place of the one it stands in for: those it says it writes.
    pub(super) fn gives_instead(
        &self,
        written: &language::Step,
        within: &Within<'_>,
        known: &[String],
    ) -> Vec<String> {
        let Within::Instead(_, id) = within else { return Vec::new() };
        let mut gives = self.given_by(id);
        gives.retain(|name| values(&written.writes).contains(name) && !known.contains(name));
        gives
    }
}
