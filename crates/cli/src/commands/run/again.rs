//! Whether a run can be gone on with here: what is looked at again before another engine has its first
//! effect.
//!
//! The rule it keeps: all that is in the way is said at once, and nothing that runs is touched by it.
//! Somebody who says so goes on in spite of it.

use soter_plan::doc::Digest;
use soter_runbook::driver::Kind;
use soter_runbook::preflight::{Objection, Reach as Reaching, Weight, preflight_again};
use soter_runbook::procedure::{Given, Parameters};
use soter_runbook::state::{Life, Recorded, State};

use super::super::recover::listed;
use super::resume::{Again, ResumeArgs};
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::plans;
use crate::runs::approvers::unheard;

/// Says all that is in the way of going on; what only a word can overrule stops it without one.
pub(super) fn look(context: &Context, args: &ResumeArgs, again: &Again<'_>) -> Result<(), Failure> {
    if matches!(again.state.life, Life::Closed(_)) {
        return Ok(());
    }
    let mut found = objections(context, again);
    found.sort();
    found.dedup();
    let is_blocked = found.iter().any(|one| one.weight == Weight::Blocking);
    if is_blocked && !args.anyway {
        let run = again.state.run();
        let what = format!("{run} cannot be gone on with as things are here");
        let mut failure = Failure::new(Ending::Input, what);
        failure.rendered = Some(format!(
            "error: {}\n{}\nwhat runs goes on by itself meanwhile; in spite of it: soter run resume {run} \
             --anyway",
            failure.what,
            listed(&found)
        ));
        return Err(failure);
    }
    for objection in &found {
        context.output.warn(&format!("{}\n  hint: {}", objection.what, objection.hint));
    }
    Ok(())
}

fn objections(context: &Context, again: &Again<'_>) -> Vec<Objection> {
    let Again { state, stage, approvers, secrets, .. } = again;
    let mut parameters = Parameters::default();
    for (name, value) in &state.parameters {
        match (value, secrets.get(name)) {
            (Recorded::Value(value), _) => parameters.insert(name, Given::Plain(value.clone())),
            (Recorded::Fingerprint(_), Some(secret)) => {
                parameters.insert(name, Given::Hidden(secret.clone()));
            }
            (Recorded::Fingerprint(_), None) => {}
        }
    }
    let reaching = Reaching { tools: &stage.tools, run: state.run().clone() };
    let mut found = preflight_again(state, &stage.tools.place, &parameters, &reaching);
    if state.begun.kind == Kind::Real {
        let mut left = state.begun.procedure.clone();
        left.steps.retain(|step| state.step(&step.id).is_none_or(|it| !it.status.is_finished()));
        found.extend(unheard(&left, approvers, &state.begun.requester, Weight::Blocking));
    }
    if let Some(mirror) = &stage.mirror
        && let Err(error) = mirror.may_write()
    {
        found.push(Objection {
            weight: Weight::Blocking,
            what: format!("the vault {} does not take the journal: {}", again.vault, error.0),
            hint: "mend that; or --local, and nothing keeps a second engine out; or --anyway, and what \
                   cannot be taken back waits for it"
                .to_owned(),
        });
    }
    found.extend(another_plan(context, state));
    found
}

/// The plan's files, if some are here and they are not those of the run.
fn another_plan(context: &Context, state: &State) -> Option<Objection> {
    let found = plans::find(&*context.disk, std::slice::from_ref(&context.plan_path)).ok()?;
    let [files] = found.as_slice() else { return None };
    let digest = Digest::of(&files.read(&*context.disk).ok()?).to_string();
    (digest != state.begun.plan).then(|| Objection {
        weight: Weight::Remark,
        what: format!(
            "the plan at {} is another one than the run was begun with: it goes on as it was begun",
            context.plan_path.display()
        ),
        hint: format!(
            "soter run amend {} STEP --why WHY takes a step as it stands there now",
            state.run()
        ),
    })
}
