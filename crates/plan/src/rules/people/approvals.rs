//! S0404: who must say yes, and the steps in which they are asked.

use super::NO_APPROVAL;
use super::directory::{Directory, is_nobody};
use crate::check::{Finding, Model};
use crate::language::{At, Origin, Scenario, Severity, Step};
use crate::rules::words::mentions;

/// What a step says that asks for a decision in words.
const DECISIONS: &[&str] = &[
    "approve",
    "approves",
    "approved",
    "approval",
    "approvals",
    "sign off",
    "signoff",
    "go no go",
    "authorise",
    "authorize",
    "authorisation",
    "authorization",
    "authorised",
    "authorized",
    "permission",
    "decide",
    "decision",
    "confirm with",
    "declare",
    "declares",
];

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let directory = Directory::new(model.plan);
    unasked(model, &directory, findings);
    strangers(model, &directory, findings);
}

/// The approvers of a severity, unless those who do the work are among them: they ask themselves.
fn approvers<'p>(severity: &'p Severity, directory: &Directory<'p>) -> &'p [At<String>] {
    let first = severity.escalation.first().map_or(&[][..], |level| &level.notify);
    let works =
        |name: &At<String>| first.iter().any(|it| directory.overlaps(&name.value, &it.value));
    if severity.approvers.iter().any(|name| is_nobody(&name.value) || works(name)) {
        return &[];
    }
    &severity.approvers
}

fn steps(scenario: &Scenario) -> impl Iterator<Item = &Step> {
    scenario.phases.iter().flat_map(|phase| &phase.steps)
}

/// Whether a recovery asks anybody, in whatever form.
fn asks(scenario: &Scenario) -> bool {
    let phases = scenario.phases.iter().filter_map(|phase| phase.title.as_ref());
    phases.into_iter().any(|title| mentions(&title.value, DECISIONS))
        || steps(scenario).any(asks_in)
}

fn asks_in(step: &Step) -> bool {
    let words = step.title.iter().chain(&step.ask).map(|text| text.value.as_str());
    let manual = step.manual.iter().map(|text| text.text.as_str());
    step.approve.is_some() || words.chain(manual).any(|text| mentions(text, DECISIONS))
}

/// Nobody has to decide about what mends itself, or about what has no steps.
fn is_done_by_people(scenario: &Scenario) -> bool {
    scenario.automatic.is_none_or(|it| !it.value) && steps(scenario).next().is_some()
}

/// Severities whose approvers no step asks.
fn unasked(model: &Model<'_>, directory: &Directory<'_>, findings: &mut Vec<Finding>) {
    let scenarios = &model.plan.scenarios;
    let is_connected = scenarios.iter().any(|(_, scenario)| scenario.severity.is_some());
    if !is_connected {
        return unasked_anywhere(model, directory, findings);
    }
    for (name, severity) in model.plan.severities.iter() {
        let Some(first) = approvers(severity, directory).first() else { continue };
        let of_this = scenarios.iter().filter(|(_, scenario)| {
            scenario.severity.as_ref().is_some_and(|severity| severity.value == name.value)
        });
        for (scenario_name, scenario) in of_this.filter(|(_, s)| is_done_by_people(s) && !asks(s)) {
            let who = directory.shown(&first.value);
            let shown = scenario.title.as_ref().unwrap_or(scenario_name);
            let title = format!("`{}` needs a yes of `{who}`, and no step asks", shown.value);
            findings.push(
                Finding::new(&NO_APPROVAL, scenario_name.origin, title)
                    .here("no step of this is an approval")
                    .label(first.origin, "whose yes it needs")
                    .hint(hint(who))
                    .proof(proof(steps(scenario).count(), destructive(scenario))),
            );
        }
    }
}

/// The same where no scenario has a severity: one finding for all.
fn unasked_anywhere(model: &Model<'_>, directory: &Directory<'_>, findings: &mut Vec<Finding>) {
    let by_people = || {
        let all = model.plan.scenarios.iter().map(|(_, scenario)| scenario);
        all.filter(|scenario| is_done_by_people(scenario))
    };
    let of_all =
        model.plan.severities.iter().flat_map(|(_, severity)| approvers(severity, directory));
    let mut origins: Vec<(Origin, &str)> =
        of_all.map(|name| (name.origin, directory.shown(&name.value))).collect();
    origins.dedup_by_key(|(_, who)| *who);
    let Some((origin, who)) = origins.first().copied() else { return };
    if by_people().next().is_none() || by_people().any(asks) {
        return;
    }
    let title = format!("recoveries need a yes of `{who}`, and no step of any scenario asks");
    let finding = Finding::new(&NO_APPROVAL, origin, title).here("whose yes is needed");
    let finding = origins
        .iter()
        .skip(1)
        .fold(finding, |finding, (origin, who)| finding.label(*origin, format!("`{who}` too")));
    let count = by_people().map(|scenario| steps(scenario).count()).sum();
    let cannot_be_undone = by_people().map(destructive).sum();
    findings.push(finding.hint(hint(who)).proof(proof(count, cannot_be_undone)));
}

fn hint(who: &str) -> String {
    format!(
        "put a step `approve: {{ by: {who} }}` in front of the first step that cannot be undone, and \
         count the time it takes into the objective"
    )
}

fn destructive(scenario: &Scenario) -> usize {
    steps(scenario).filter(|step| step.destructive.is_some_and(|it| it.value)).count()
}

fn proof(steps: usize, destructive: usize) -> String {
    match (steps, destructive) {
        (1, _) => "its one step asks nobody".to_owned(),
        (steps, 0) => format!("none of the {steps} steps asks anybody"),
        (steps, some) => {
            format!("none of the {steps} steps asks anybody; {some} of them cannot be undone")
        }
    }
}

/// Approvals that nobody of those who are asked may give.
fn strangers(model: &Model<'_>, directory: &Directory<'_>, findings: &mut Vec<Finding>) {
    for (name, scenario) in model.plan.scenarios.iter() {
        let severity = scenario.severity.as_ref();
        let Some(severity) = severity.and_then(|it| model.plan.severities.get(&it.value)) else {
            continue;
        };
        let Some(first) = severity.approvers.first() else { continue };
        let may = |by: &At<String>| {
            severity.approvers.iter().any(|who| directory.overlaps(&by.value, &who.value))
        };
        for approve in steps(scenario).filter_map(|step| step.approve.as_ref()) {
            let Some(by) = approve.by.first().filter(|_| !approve.by.iter().any(may)) else {
                continue;
            };
            let shown = scenario.title.as_ref().unwrap_or(name);
            let who = directory.shown(&by.value);
            let title =
                format!("`{who}` is asked for a yes in `{}`, and may not say it", shown.value);
            findings.push(
                Finding::new(&NO_APPROVAL, by.origin, title)
                    .here("asked here")
                    .label(first.origin, "who may say yes")
                    .why(
                        "either the step asks somebody who has no say, or the list of those who \
                         may is wrong: it is found out when they answer that it is not theirs to \
                         decide",
                    )
                    .hint(format!(
                        "ask `{}` in the step, or add `{who}` to the `approvers` of the severity",
                        directory.shown(&first.value)
                    ))
                    .proof(format!(
                        "none of the {} asked is among the approvers of the severity, a member or a \
                         deputy of them",
                        approve.by.len()
                    )),
            );
        }
    }
}
