//! S0103 and S0114: the recovery time of a scenario against its phases and the people before them.

use std::time::Duration;

use super::{BUDGETS_EXCEED, NO_BUDGET};
use crate::check::{Finding, Model, Severity};
use crate::language::{At, Scenario};
use crate::objectives::human::APPROVE_WITHIN;
use crate::objectives::{Figure, Timeline};
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (_, title, scenario) in model.plan.scenarios.titled() {
        let Some(rto) = scenario.rto else { continue };
        let has_steps = scenario.phases.iter().any(|phase| !phase.steps.is_empty());
        if !has_any_budget(scenario) {
            let is_automatic = scenario.automatic.is_some_and(|automatic| automatic.value);
            if has_steps && !is_automatic {
                findings.push(no_budget(title, rto));
            }
            continue;
        }
        let timeline = model.objectives.timeline(scenario);
        findings.extend(exceeds(model, (title, &timeline), rto, &timeline.whole()));
    }
}

fn has_any_budget(scenario: &Scenario) -> bool {
    let mut phases = scenario.phases.iter();
    phases.any(|phase| phase.budget.is_some() || phase.steps.iter().any(|s| s.budget.is_some()))
}

fn no_budget(title: &str, rto: At<Duration>) -> Finding {
    let rto_words = format_duration(rto.value);
    let name = format!("nothing says how {title} gets done in {rto_words}");
    Finding::new(&NO_BUDGET, rto.origin, name).hint(
        "divide the steps into phases and give each a `budget`; what people need to notice and to \
         decide comes before the first",
    )
}

fn exceeds(
    model: &Model<'_>,
    (title, timeline): (&str, &Timeline<'_>),
    rto: At<Duration>,
    figure: &Figure,
) -> Option<Finding> {
    let total = figure.total();
    let margin = model.objectives.assumptions.margin_of(rto.value);
    let words = format_duration(rto.value);
    // What behind the people is granted or was measured: an assumption alone fills no hour.
    let phases = figure.parts.iter().skip(timeline.human.len()).filter(|part| !part.is_assumed());
    let phases: Duration = phases.map(|part| part.length).sum();
    let (severity, name) = if phases > rto.value {
        let name = format!(
            "the phases of {title} take {}, and {words} are promised",
            format_duration(phases)
        );
        (Severity::Error, name)
    } else if phases == rto.value {
        let name =
            format!("the phases of {title} fill its {words}: nothing is left to notice and decide");
        (Severity::Error, name)
    } else if total > rto.value {
        let least = if figure.at_least { "at least " } else { "" };
        let name = format!(
            "{title} takes {least}{} with the people before it, and {words} are promised",
            format_duration(total)
        );
        let severity = if figure.known() > rto.value { Severity::Error } else { Severity::Warning };
        (severity, name)
    } else if total.saturating_add(margin) > rto.value && !figure.at_least {
        let left = format_duration(rto.value - total);
        let share = model.objectives.assumptions.margin.value.0;
        let name = format!("{title} leaves {left} of {words}, less than {share} % for surprises");
        (Severity::Warning, name)
    } else {
        return None;
    };
    let mut finding = Finding::new(&BUDGETS_EXCEED, rto.origin, name)
        .severity(severity)
        .here(format!("promised: {words}"));
    for part in &figure.parts {
        if let Some(origin) = part.origin.filter(|origin| *origin != rto.origin) {
            finding = finding.label(origin, part.in_words());
        }
    }
    let (of_severity, assumed): (Vec<&str>, Vec<&str>) =
        figure.assumptions().into_iter().partition(|key| *key == APPROVE_WITHIN);
    let mut measure = String::new();
    if !assumed.is_empty() {
        let keys = assumed.join(", ");
        measure += &format!("; declare in `assumptions` what you know of: {keys}");
    }
    if !of_severity.is_empty() {
        measure += "; say in `approve_within` of the severity how soon a yes is given";
    }
    Some(
        finding
            .hint(format!(
                "promise {} or more, or shorten the phases until people fit before them{measure}",
                format_duration(total.saturating_add(margin_above(model, total)))
            ))
            .proof(figure.in_words()),
    )
}

/// What must come on top so that the margin stays free.
fn margin_above(model: &Model<'_>, total: Duration) -> Duration {
    let share = model.objectives.assumptions.margin.value.0.min(90);
    let above = total.saturating_mul(share) / (100 - share);
    // In whole minutes: nobody promises seconds.
    Duration::from_mins(above.as_secs().div_ceil(60))
}
