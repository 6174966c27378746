//! S0504 and S0507: when a drill has passed, held against what is promised.

use std::time::Duration;

use super::coverage::scenarios;
use super::{PASSES_ANYWAY, UNDECIDED};
use crate::check::{Finding, Model, Severity};
use crate::graph::Graph;
use crate::language::{At, Criterion, Drill, DrillKind, Measure, Origin, Scenario};
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, drill) in model.plan.drills.iter() {
        let shown = &drill.title.as_ref().unwrap_or(name).value;
        let tried = scenarios(model.plan, drill);
        for criterion in &drill.criteria {
            against_scenarios(shown, criterion, &tried, findings);
        }
        undecided(name, shown, drill, findings);
    }
    against_services(model, findings);
}

/// A limit of a criterion, if it is one of time.
fn limit(criterion: &Criterion) -> Option<(Measure, At<Duration>)> {
    let measure = criterion.measure.map(|measure| measure.value)?;
    let is_time = matches!(measure, Measure::Rto | Measure::Rpo);
    criterion.at_most.filter(|_| is_time).map(|limit| (measure, limit))
}

fn against_scenarios(
    shown: &str,
    criterion: &Criterion,
    tried: &[(&At<String>, &Scenario)],
    findings: &mut Vec<Finding>,
) {
    let Some((measure, limit)) = limit(criterion) else { return };
    for (name, scenario) in tried {
        let promised = if measure == Measure::Rto { scenario.rto } else { scenario.rpo };
        let Some(promised) = promised.filter(|promised| promised.value != limit.value) else {
            continue;
        };
        let scenario = &scenario.title.as_ref().unwrap_or(name).value;
        let (allowed, kept) = (format_duration(limit.value), format_duration(promised.value));
        let is_loose = limit.value > promised.value;
        // One limit for several scenarios cannot fit each of them; only what is too loose counts.
        if !is_loose && (tried.len() > 1 || measure == Measure::Rpo) {
            continue;
        }
        let title = if is_loose {
            format!("`{shown}` passes within {allowed}, `{scenario}` is promised in {kept}")
        } else {
            format!("`{shown}` fails after {allowed}, although `{scenario}` may take {kept}")
        };
        let title = if measure == Measure::Rpo {
            format!("`{shown}` passes with {allowed} lost, `{scenario}` promises {kept} at most")
        } else {
            title
        };
        let finding = Finding::new(&PASSES_ANYWAY, limit.origin, title)
            .here("what the drill asks for")
            .label(promised.origin, "what is promised")
            .proof(format!("{allowed} is {} than {kept}", if is_loose { "more" } else { "less" }));
        findings.push(if is_loose {
            finding.hint(format!("ask for what is promised: `at_most: {kept}`"))
        } else {
            finding
                .severity(Severity::Note)
                .why("if the drill fails, nobody can say whether the promise was broken")
                .hint(format!("ask for {kept}, or promise {allowed}"))
        });
    }
}

/// A drill of everything that passes although services are not back when they are promised.
fn against_services(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let is_full = |drill: &Drill| drill.kind.is_some_and(|it| it.value == DrillKind::Full);
    if !model.plan.drills.iter().any(|(_, drill)| is_full(drill)) {
        return;
    }
    let graph = Graph::new(model.plan);
    for (name, drill) in model.plan.drills.iter().filter(|(_, drill)| is_full(drill)) {
        let shown = &drill.title.as_ref().unwrap_or(name).value;
        let tried = scenarios(model.plan, drill);
        let loses_all = tried.iter().any(|(_, scenario)| is_total(scenario));
        let is_relaxed = tried.iter().any(|(_, scenario)| scenario.relaxes.is_some());
        let limit = drill.criteria.iter().filter_map(limit).find(|(it, _)| *it == Measure::Rto);
        let Some((_, limit)) = limit.filter(|_| loses_all && !is_relaxed) else { continue };
        let services = graph.ids().filter_map(|id| Some((graph.title(id), graph.rto(id)?)));
        let mut earlier: Vec<(&str, Duration, Origin)> = services
            .filter(|(_, rto)| rto.value < limit.value)
            .map(|(title, rto)| (title, rto.value, rto.origin))
            .collect();
        earlier.sort_by_key(|(_, rto, origin)| (*rto, *origin));
        let Some((service, rto, origin)) = earlier.first().copied() else { continue };
        let (allowed, promised) = (format_duration(limit.value), format_duration(rto));
        let title =
            format!("`{shown}` passes within {allowed}, `{service}` is promised in {promised}");
        let count = earlier.len();
        findings.push(
            Finding::new(&PASSES_ANYWAY, limit.origin, title)
                .here("one limit for everything")
                .label(origin, "this one is promised sooner")
                .hint(
                    "measure each tier, or each service, against its own objective: one criterion \
                     for each",
                )
                .proof(format!(
                    "{count} service{} promised in less than {allowed}",
                    if count == 1 { " is" } else { "s are" }
                )),
        );
    }
}

/// Whether a scenario says that everything is lost.
fn is_total(scenario: &Scenario) -> bool {
    let wanted = ["total", "complete", "entire", "whole", "full", "all services"];
    let said = scenario.title.iter().chain(&scenario.impact);
    said.into_iter().any(|text| crate::rules::words::mentions(&text.value, &wanted))
}

/// S0507.
fn undecided(name: &At<String>, shown: &str, drill: &Drill, findings: &mut Vec<Finding>) {
    let is_real = drill.kind.is_some_and(|it| it.value != DrillKind::Tabletop);
    if drill.criteria.is_empty() {
        // Where a result is recorded somebody has decided it.
        let is_decided = drill.results.iter().any(|result| result.outcome.is_some());
        if is_real && !is_decided {
            findings.push(
                Finding::new(
                    &UNDECIDED,
                    name.origin,
                    format!("nothing says when `{shown}` has passed"),
                )
                .here("passed when?")
                .hint(
                    "add `criteria:`, at least the time it may take and a probe of what must work",
                )
                .proof("the drill has no criterion"),
            );
        }
        return;
    }
    let open: Vec<&At<String>> = drill
        .criteria
        .iter()
        .filter(|it| it.run.is_none())
        .filter(|it| matches!(it.measure.map(|m| m.value), Some(Measure::Rpo | Measure::Function)))
        .filter_map(|it| it.text.as_ref())
        .collect();
    let Some((first, more)) = open.split_first().filter(|_| is_real || drill.kind.is_none()) else {
        return;
    };
    let title = match more.len() {
        0 => format!("`{shown}` has a criterion that nobody can decide"),
        more => format!("`{shown}` has {} criteria that nobody can decide", more + 1),
    };
    let finding = Finding::new(&UNDECIDED, first.origin, title).here("decided by what?");
    let finding = more.iter().fold(finding, |finding, it| finding.label(it.origin, "and this?"));
    findings.push(
        finding
            .hint("add the probe that decides it: `run:`, a command that fails when it is not so")
            .proof(format!("of {} criteria {} are words alone", drill.criteria.len(), open.len())),
    );
}
