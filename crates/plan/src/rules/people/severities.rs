//! S0405: scenarios and severities, and the line between them.

use super::NO_SEVERITY;
use crate::check::{Finding, Model, Severity};
use crate::language::{At, Named};

/// So many places are shown; more say nothing new.
const LABELS_MAX: usize = 6;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let (scenarios, severities) = (&model.plan.scenarios, &model.plan.severities);
    let Some((worst_name, worst)) = severities.iter().next() else { return };
    let without: Vec<_> = scenarios
        .iter()
        .filter(|(_, scenario)| scenario.severity.is_none())
        .map(|(name, scenario)| (name, scenario.title.as_ref().unwrap_or(name)))
        .collect();
    if without.len() == scenarios.len() && without.len() > 1 {
        findings.push(none_has_one(&without, severities));
        return;
    }
    for (name, shown) in &without {
        let title = format!("`{}` has no severity", shown.value);
        findings.push(
            Finding::new(&NO_SEVERITY, name.origin, title)
                .here("who is told, and who says yes?")
                .hint(format!("give it one: `severity: {}`", worst_name.value))
                .proof(format!("the plan has {} severities, and it names none", severities.len())),
        );
    }
    let is_used = |name: &str| {
        scenarios.iter().any(|(_, s)| s.severity.as_ref().is_some_and(|it| it.value == name))
    };
    if !scenarios.is_empty() && without.is_empty() && !is_used(&worst_name.value) {
        let shown = worst.title.as_ref().unwrap_or(worst_name);
        let title = format!("no scenario is as severe as `{}`", shown.value);
        findings.push(
            Finding::new(&NO_SEVERITY, worst_name.origin, title)
                .severity(Severity::Note)
                .here("the worst there is")
                .why(
                    "what the plan prepares for its worst cases, its escalation and its approvals, \
                     belongs to no scenario: either a scenario is rated too low, or one is missing",
                )
                .hint("rate the scenarios again, or write the one that is that bad")
                .proof(format!("{} scenarios, none with this severity", scenarios.len())),
        );
    }
}

fn none_has_one(
    without: &[(&At<String>, &At<String>)],
    severities: &Named<crate::language::Severity>,
) -> Finding {
    let names: Vec<_> = severities.names().take(LABELS_MAX).map(|n| format!("`{n}`")).collect();
    let title = format!("none of the {} scenarios says how severe it is", without.len());
    let origin = without.first().map(|(name, _)| name.origin).unwrap_or_default();
    let finding = Finding::new(&NO_SEVERITY, origin, title).here("which severity is this?");
    without
        .iter()
        .skip(1)
        .take(LABELS_MAX)
        .fold(finding, |finding, (name, _)| finding.label(name.origin, "and this?"))
        .hint(format!("give each a `severity`, one of {}", names.join(", ")))
        .proof(format!(
            "{} severities say who is told and who approves; no scenario has one",
            severities.len()
        ))
}
