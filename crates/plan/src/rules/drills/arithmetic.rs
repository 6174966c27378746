//! S0505, as far as lengths of time are concerned: phases, drills, templates.

use std::time::Duration;

use super::DOES_NOT_ADD_UP;
use super::coverage::scenarios;
use super::text_times::{Moment, between, moments, stated};
use crate::check::{Finding, Model, Severity};
use crate::language::{DrillKind, Origin, Phase, Script};
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, scenario) in model.plan.scenarios.iter() {
        let shown = &scenario.title.as_ref().unwrap_or(name).value;
        for phase in &scenario.phases {
            findings.extend(phase_budget(shown, phase));
        }
    }
    drills(model, findings);
    templates(model, findings);
}

/// The steps of a phase that follow each other, against its budget.
fn phase_budget(scenario: &str, phase: &Phase) -> Option<Finding> {
    let budget = phase.budget?;
    let one_by_one = phase
        .steps
        .iter()
        .all(|step| step.after.is_empty() && step.parallel.is_none_or(|parallel| !parallel.value));
    if !one_by_one {
        return None;
    }
    let times = || phase.steps.iter().filter_map(|step| step.budget.or(step.wait));
    let sum = times().fold(Duration::ZERO, |sum, time| sum.saturating_add(time.value));
    let longest = times().max_by_key(|time| time.value)?;
    if sum <= budget.value {
        return None;
    }
    let (needed, given) = (format_duration(sum), format_duration(budget.value));
    Some(
        Finding::new(
            &DOES_NOT_ADD_UP,
            budget.origin,
            match &phase.title {
                Some(title) => format!(
                    "the steps of `{}` in `{scenario}` need {needed}, its budget is {given}",
                    title.value
                ),
                None => format!("the steps of `{scenario}` need {needed}, and {given} are stated"),
            },
        )
        .here("what they are said to take")
        .label(longest.origin, "the longest of its steps")
        .hint("give the phase the time of its steps, or let some of them run side by side: `parallel`")
        .proof(format!("{} steps one after the other: {needed} > {given}", times().count())),
    )
}

/// An outage that a drill plans, against what the recovery is promised in.
fn drills(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, drill) in model.plan.drills.iter() {
        let Some(downtime) = drill.downtime else { continue };
        let shown = &drill.title.as_ref().unwrap_or(name).value;
        if drill.kind.is_some_and(|kind| kind.value == DrillKind::Tabletop) {
            continue;
        }
        let shortest = scenarios(model.plan, drill)
            .into_iter()
            .filter_map(|(name, scenario)| {
                Some((scenario.rto?, &scenario.title.as_ref().unwrap_or(name).value))
            })
            .max_by_key(|(rto, _)| rto.value);
        let Some((rto, scenario)) = shortest.filter(|(rto, _)| rto.value < downtime.value) else {
            continue;
        };
        let (planned, promised) = (format_duration(downtime.value), format_duration(rto.value));
        let title = format!(
            "`{shown}` plans an outage of {planned}, `{scenario}` is promised in {promised}"
        );
        findings.push(
            Finding::new(&DOES_NOT_ADD_UP, downtime.origin, title)
                .here("planned here")
                .label(rto.origin, "promised here")
                .why(
                    "a drill that needs more time than the promise shows that the promise is not \
                     kept; if it runs beside the living system, nobody need notice it at all",
                )
                .hint("plan what is promised, or promise what is needed")
                .proof(format!("{planned} > {promised}")),
        );
    }
}

/// Words in front of the length of an outage.
const LENGTHS: &[&str] = &[
    "total downtime",
    "downtime:",
    "downtime was",
    "outage lasted",
    "outage duration",
    "total duration",
    "lasted",
];

/// A text that people begin from.
struct Text<'p> {
    script: &'p Script,
    moments: Vec<Moment>,
}

impl Text<'_> {
    fn place(&self, moment: &Moment) -> Origin {
        self.script.place(moment.range.clone())
    }
}

/// Times inside of templates, and between them.
fn templates(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let page = model.plan.status_page.as_ref();
    let posts = page.into_iter().flat_map(|page| &page.templates);
    let posts = posts.filter_map(|template| template.text.as_ref());
    let posts: Vec<Text<'_>> = posts.map(read).collect();
    let report = model.plan.after_incident.as_ref().and_then(|after| after.report.as_ref());
    let report = report.map(read);
    let first = posts.iter().find_map(|text| text.moments.first().map(|it| (text, it)));
    let last = posts.iter().rev().find_map(|text| text.moments.last().map(|it| (text, it)));
    let whole = first.zip(last).and_then(|((from, start), (to, end))| {
        Some((from.place(start), to.place(end), start.at, between(start.at, end.at)?))
    });
    if let Some((start, end, _, length)) = whole {
        for text in &posts {
            findings.extend(length_of(text, (start, end), length));
        }
    }
    if let Some(report) = &report
        && let [start, end, ..] = &report.moments[..]
        && let Some(length) = between(start.at, end.at)
    {
        findings.extend(length_of(report, (report.place(start), report.place(end)), length));
        if let Some((_, page_end, page_start, page_length)) = whole
            && page_start == start.at
            && page_length != length
            && !page_length.is_zero()
        {
            findings.push(two_lengths(report.place(end), page_end, length, page_length));
        }
    }
    if let Some(every) = page.and_then(|page| page.every) {
        gaps(&posts, every.value.about(), every.origin, findings);
    }
}

fn read(script: &Script) -> Text<'_> {
    Text { script, moments: moments(&script.text) }
}

/// The length that a text states, against the moments around it.
fn length_of(text: &Text<'_>, (start, end): (Origin, Origin), length: Duration) -> Option<Finding> {
    let (stated, range) = stated(&text.script.text, LENGTHS)?;
    if stated == length || length.is_zero() {
        return None;
    }
    let (said, counted) = (format_duration(stated), format_duration(length));
    Some(
        Finding::new(
            &DOES_NOT_ADD_UP,
            text.script.place(range),
            format!("a template says {said} where its times make {counted}"),
        )
        .here("stated")
        .label(start, "from here")
        .label(end, "to here")
        .hint("put `<…>` in the place of examples, or make them agree")
        .proof(format!("from the first time to the last are {counted}")),
    )
}

fn two_lengths(report: Origin, page: Origin, in_report: Duration, on_page: Duration) -> Finding {
    let (report_length, page_length) = (format_duration(in_report), format_duration(on_page));
    Finding::new(
        &DOES_NOT_ADD_UP,
        report,
        format!("the same incident lasts {report_length} in the report, {page_length} on the status page"),
    )
    .severity(Severity::Note)
    .here("the end, as the report has it")
    .label(page, "the end, as customers are told")
    .why("both are examples that begin at the same minute; whoever learns from them learns that the \
          two need not agree")
    .hint("put `<…>` in the place of examples, or make them agree")
    .proof(format!("the same beginning, and {report_length} ≠ {page_length}"))
}

/// Posts that lie further apart than is promised.
fn gaps(posts: &[Text<'_>], promised: Duration, origin: Origin, findings: &mut Vec<Finding>) {
    let all: Vec<(&Text<'_>, &Moment)> =
        posts.iter().flat_map(|text| text.moments.iter().map(move |it| (text, it))).collect();
    for pair in all.windows(2) {
        let [(_, before), (text, after)] = pair else { continue };
        let Some(gap) = between(before.at, after.at).filter(|gap| *gap > promised) else {
            continue;
        };
        let (apart, promised) = (format_duration(gap), format_duration(promised));
        let title =
            format!("templates are {apart} apart, and an update is promised every {promised}");
        findings.push(
            Finding::new(&DOES_NOT_ADD_UP, text.place(after), title)
                .severity(Severity::Note)
                .here(format!("{apart} after the one before"))
                .label(origin, "what is promised")
                .hint("put `<…>` in the place of examples, or make them agree")
                .proof(format!("{apart} > {promised}")),
        );
        return;
    }
}
