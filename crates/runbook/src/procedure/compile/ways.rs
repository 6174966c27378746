//! Ways that a person may take in place of a step.
//!
//! The rule it keeps: whoever waits for a step finds after another way all that was promised of the
//! step: its stores, its services, its values, its measures lifted.

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
pub(super) struct Within<'w> {
    pub(super) phase: usize,
    /// They are another way than this step.
    pub(super) way: Option<&'w StepId>,
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
        let within = Within { phase, way: Some(id) };
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

    /// The values that a step gives in place of the one it stands in for: those it says it writes.
    pub(super) fn gives_instead(
        &self,
        written: &language::Step,
        way: Option<&StepId>,
        known: &[String],
    ) -> Vec<String> {
        let of_other = way.map(|id| self.given_by(id)).unwrap_or_default();
        let mut gives = of_other;
        gives.retain(|name| values(&written.writes).contains(name) && !known.contains(name));
        gives
    }
}
