//! S0508: days of the past where the day of the incident belongs.

use super::OTHER_DAY;
use super::text_times::{Moment, moments};
use crate::check::{Finding, Model, Severity};
use crate::language::{Script, Step};

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, scenario) in model.plan.scenarios.iter() {
        let shown = &scenario.title.as_ref().unwrap_or(name).value;
        for step in scenario.phases.iter().flat_map(|phase| &phase.steps) {
            step_moments(shown, step, findings);
        }
        for (name, parameter) in scenario.parameters.iter() {
            let Some(value) = &parameter.value else { continue };
            if let Some(moment) = moments(&value.value).first() {
                let title =
                    format!("`{}` of `{shown}` is {}", name.value, text(&value.value, moment));
                findings.push(in_step(Finding::new(&OTHER_DAY, value.origin, title)));
            }
        }
    }
    templates(model, findings);
}

fn text<'t>(text: &'t str, moment: &Moment) -> &'t str {
    text.get(moment.range.clone()).unwrap_or("")
}

fn in_step(finding: Finding) -> Finding {
    finding
        .severity(Severity::Error)
        .here("the same moment, whenever it is run")
        .hint(
            "make it a parameter that somebody is asked for: `parameters: { target_time: { type: \
               time, from: ask } }`, and `${target_time}` in the step",
        )
        .proof("it is a fixed day and time in a step that will be run on another day")
}

/// Moments in what a step runs: the first of each step.
fn step_moments(scenario: &str, step: &Step, findings: &mut Vec<Finding>) {
    if let Some(to) = step.restore.as_ref().and_then(|restore| restore.to.as_ref())
        && let Some(moment) = moments(&to.value).first()
    {
        let title = format!("`{scenario}` always goes back to {}", text(&to.value, moment));
        findings.push(in_step(Finding::new(&OTHER_DAY, to.origin, title)));
    }
    let sql = step.sql.as_ref().and_then(|sql| sql.query.as_ref());
    for script in step.run.iter().chain(sql) {
        let is_run = |moment: &&Moment| !is_shown(script, moment);
        let found = moments(&script.text);
        let Some(moment) = found.iter().find(is_run) else { continue };
        let title = format!("`{scenario}` always works with {}", text(&script.text, moment));
        let origin = script.place(moment.range.clone());
        findings.push(in_step(Finding::new(&OTHER_DAY, origin, title)));
    }
}

/// Whether a moment stands in a comment, which only shows what things look like.
fn is_shown(script: &Script, moment: &Moment) -> bool {
    let before = script.text.get(..moment.range.start).unwrap_or("");
    let line = before.rsplit('\n').next().unwrap_or("");
    let line = line.trim_start();
    line.starts_with('#') || line.starts_with("--") || line.contains(" # ")
}

/// Moments in texts to begin from: one finding for each text.
fn templates(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let page = model.plan.status_page.iter().flat_map(|page| &page.templates);
    let page = page.filter_map(|template| template.text.as_ref().map(|text| (text, "a template")));
    let report = model.plan.after_incident.iter().filter_map(|after| after.report.as_ref());
    let all: Vec<(&Script, &str)> =
        page.chain(report.map(|report| (report, "the template of the report"))).collect();
    for (script, what) in all {
        let found = moments(&script.text);
        let Some((first, more)) = found.split_first() else { continue };
        let title = format!("{what} holds {}", text(&script.text, first));
        let finding = Finding::new(&OTHER_DAY, script.place(first.range.clone()), title)
            .here("the day of an example");
        let finding = more.iter().take(2).fold(finding, |finding, moment| {
            finding.label(script.place(moment.range.clone()), "and here")
        });
        let times = if found.len() == 1 { "time is" } else { "times are" };
        findings.push(
            finding
                .hint("write `<date and time, UTC>` in its place")
                .proof(format!("{} {times} written out; nothing marks an example", found.len())),
        );
    }
}
