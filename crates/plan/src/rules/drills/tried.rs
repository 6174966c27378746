//! S0501: scenarios and the drills that try them.

use std::collections::BTreeMap;

use super::NEVER_TRIED;
use super::coverage::scenarios;
use crate::check::{Finding, Model, Severity};
use crate::language::{At, Drill, DrillKind, Origin};

/// So many places are shown; more say nothing new.
const LABELS_MAX: usize = 6;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let plan = model.plan;
    if plan.scenarios.is_empty() {
        return;
    }
    if plan.drills.is_empty() {
        findings.extend(nothing_is_tried(model));
        return;
    }
    // The drills of each scenario, by where it is declared.
    let mut tried: BTreeMap<Origin, Vec<(&At<String>, &Drill)>> = BTreeMap::new();
    for (name, drill) in plan.drills.iter() {
        for (scenario, _) in scenarios(plan, drill) {
            tried.entry(scenario.origin).or_default().push((name, drill));
        }
    }
    for (name, scenario) in plan.scenarios.iter() {
        let shown = &scenario.title.as_ref().unwrap_or(name).value;
        let of_it = tried.get(&name.origin).map_or(&[][..], |drills| drills);
        let is_table = |drill: &Drill| drill.kind.is_some_and(|it| it.value == DrillKind::Tabletop);
        let real = of_it.iter().any(|(_, drill)| !is_table(drill));
        if real {
            continue;
        }
        let finding = match of_it.first() {
            None => Finding::new(&NEVER_TRIED, name.origin, format!("no drill tries `{shown}`"))
                .here("never tried")
                .proof(format!("of {} drills none names it or speaks of it", plan.drills.len())),
            Some((drill_name, drill)) => {
                let table = &drill.title.as_ref().unwrap_or(drill_name).value;
                let title = format!("`{shown}` is tried at a table only");
                Finding::new(&NEVER_TRIED, name.origin, title)
                    .severity(Severity::Note)
                    .here("its commands were never run")
                    .label(drill_name.origin, "here people talk about it")
                    .proof(format!("`{table}` is a tabletop exercise, and no other drill tries it"))
            }
        };
        findings.push(finding.hint(format!(
            "add a drill that runs the scenario on another target: `drills: {{ {}-drill: {{ kind: \
             full, scenarios: [{}], every: quarterly }} }}`",
            name.value, name.value
        )));
    }
}

/// The plan has no drills: one finding says it.
fn nothing_is_tried(model: &Model<'_>) -> Option<Finding> {
    let scenarios = &model.plan.scenarios;
    let (first, scenario) = scenarios.iter().next()?;
    let title = match scenarios.len() {
        1 => format!("`{}` is never tried", scenario.title.as_ref().unwrap_or(first).value),
        count => format!("none of the {count} scenarios is ever tried"),
    };
    let finding = Finding::new(&NEVER_TRIED, first.origin, title).here("never tried");
    let others = scenarios.iter().skip(1).take(LABELS_MAX);
    let finding = others.fold(finding, |finding, (name, _)| finding.label(name.origin, "nor this"));
    Some(
        finding
            .hint("begin with the one that is most likely: `drills:` with `kind: full`, its scenario, \
                   and how often")
            .proof("the plan has no drills"),
    )
}
