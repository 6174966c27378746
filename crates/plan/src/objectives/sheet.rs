//! Promises against figures, per service and store and scenario: `soter objectives`.

use std::time::Duration;

use serde::Serialize;

use super::{How, Loses, Objectives, Threat, Timeline};
use crate::graph::view::short;
use crate::graph::{Loss, ServiceId, line};
use crate::language::Scenario;
use crate::units::format_duration;

/// All scenarios of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Sheet {
    /// One page for each.
    pub scenarios: Vec<Page>,
    /// What the figures take for granted, as `detect: 5 min (taken)`.
    pub assumptions: Vec<String>,
}

/// A scenario: who is back when, and what is lost.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// Its name.
    pub scenario: String,
    /// What people call it.
    pub title: String,
    /// What it promises as a whole.
    pub promised_seconds: Option<u64>,
    /// All its phases with the people before them.
    pub computed: String,
    /// Those in seconds.
    pub computed_seconds: u64,
    /// The services that are down in it.
    pub services: Vec<ServiceLine>,
    /// The stores that must be brought back.
    pub stores: Vec<StoreLine>,
}

/// When a service is back.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceLine {
    /// Its name.
    pub service: String,
    /// What people call it.
    pub title: String,
    /// Its recovery time objective.
    pub promised_seconds: Option<u64>,
    /// When it is back by the plan; none: nothing says that it comes back.
    pub computed_seconds: Option<u64>,
    /// It is not earlier than that, and may be later.
    pub at_least: bool,
    /// What is left of the promise.
    pub margin_seconds: Option<i64>,
    /// What decides.
    pub decided_by: String,
    /// The sum.
    pub sum: String,
    /// The assumptions in it.
    pub assumptions: Vec<&'static str>,
}

/// How much of a store is lost.
#[derive(Debug, Clone, Serialize)]
pub struct StoreLine {
    /// Its name.
    pub store: String,
    /// What people call it.
    pub title: String,
    /// Its recovery point objective.
    pub promised_seconds: Option<u64>,
    /// At most so much is lost, if that is known.
    pub computed_seconds: Option<u64>,
    /// No copy can be used.
    pub loses_everything: bool,
    /// What is left of the promise.
    pub margin_seconds: Option<i64>,
    /// The copy that decides, or why nothing does.
    pub decided_by: String,
    /// The assumptions in it.
    pub assumptions: Vec<&'static str>,
}

impl Sheet {
    /// Of a plan.
    pub fn new(objectives: &Objectives<'_>) -> Self {
        let scenarios = objectives.plan.scenarios.titled();
        let pages = scenarios.map(|(name, title, scenario)| {
            let timeline = objectives.timeline(scenario);
            Page::new(objectives, (&name.value, title), &timeline)
        });
        Self { scenarios: pages.collect(), assumptions: assumed(objectives) }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for page in &self.scenarios {
            page.draw(&mut text);
        }
        if self.scenarios.is_empty() {
            text.push_str("the plan has no scenario: nothing says how anything comes back\n");
        }
        line!(text, "assumptions: {}", self.assumptions.join(" · "));
        text.push_str("~ rests on an assumption · ≥ something is not known, it may take longer\n");
        text
    }
}

/// The assumptions with their values, and whether the plan or Soter says so.
fn assumed(objectives: &Objectives<'_>) -> Vec<String> {
    let of = &objectives.assumptions;
    let mut found = Vec::new();
    for (name, number) in
        [("detect", of.detect), ("declare", of.declare), ("start", of.start), ("dwell", of.dwell)]
    {
        let who = if number.origin.is_some() { "the plan's" } else { "taken" };
        found.push(format!("{name} {} ({who})", format_duration(number.value)));
    }
    let who = if of.restore_rate.origin.is_some() { "the plan's" } else { "taken" };
    found.push(format!("restore_rate {} ({who})", of.restore_rate.value));
    found
}

impl Page {
    pub(super) fn new(
        objectives: &Objectives<'_>,
        (name, title): (&str, &str),
        timeline: &Timeline<'_>,
    ) -> Self {
        let whole = timeline.whole();
        let graph = &objectives.graph;
        let services = graph.ids().filter_map(|id| service(objectives, timeline, id)).collect();
        let scenario = timeline.scenario;
        Self {
            scenario: name.to_owned(),
            title: title.to_owned(),
            promised_seconds: scenario.rto.map(|rto| rto.value.as_secs()),
            computed: whole.in_words(),
            computed_seconds: whole.total().as_secs(),
            services,
            stores: stores(objectives, scenario, &timeline.loss),
        }
    }

    fn draw(&self, text: &mut String) {
        let promised = self.promised_seconds.map_or_else(|| "nothing".to_owned(), short);
        line!(text, "── {} ─ promised {promised}, computed {}", self.title, self.computed);
        if !self.services.is_empty() {
            let rows = self.services.iter().map(ServiceLine::cells).collect();
            text.push_str(&table(
                ["service", "promised", "back after", "margin", "decided by"],
                rows,
            ));
        }
        if !self.stores.is_empty() {
            let rows = self.stores.iter().map(StoreLine::cells).collect();
            text.push_str(&table(["store", "may lose", "loses", "margin", "decided by"], rows));
        }
        if self.services.is_empty() && self.stores.is_empty() {
            text.push_str("  nothing says what is down in it (`loses`, `destroys`, `stops`)\n");
        }
        text.push('\n');
    }
}

fn service(
    objectives: &Objectives<'_>,
    timeline: &Timeline<'_>,
    id: ServiceId,
) -> Option<ServiceLine> {
    let graph = &objectives.graph;
    let back = timeline.back(id)?;
    let figure = timeline.figure(id)?;
    let own = graph.rto(id).map(|rto| rto.value);
    // A scenario that relaxes promises binds by its own.
    let relaxed = timeline.scenario.relaxes.as_ref().and(timeline.scenario.rto);
    let rto = own.map(|own| relaxed.map_or(own, |relaxed| own.max(relaxed.value)));
    let decided_by = match back.how {
        How::Needs(need) => format!("needs {}", graph.title(need)),
        How::Step { phase, step } => step_title(timeline.scenario, phase, step),
        How::Phases => "no step names it: the end".to_owned(),
        How::Nothing => "nothing says how".to_owned(),
    };
    let is_known = back.how != How::Nothing;
    let computed = is_known.then_some(back.total);
    Some(ServiceLine {
        service: graph.name(id).to_owned(),
        title: graph.title(id).to_owned(),
        promised_seconds: rto.map(|rto| rto.as_secs()),
        computed_seconds: computed.map(|total| total.as_secs()),
        at_least: back.at_least,
        margin_seconds: rto.zip(computed).map(margin),
        decided_by,
        sum: figure.in_words(),
        assumptions: figure.assumptions(),
    })
}

fn step_title(scenario: &Scenario, phase: usize, step: usize) -> String {
    let of_phase = scenario.phases.get(phase);
    let title = of_phase.and_then(|phase| phase.title.as_ref());
    let title = title.map_or_else(|| format!("phase {}", phase + 1), |title| title.value.clone());
    let id = of_phase.and_then(|phase| phase.steps.get(step)).and_then(|step| step.id.as_ref());
    id.map_or_else(|| format!("{title}, step {}", step + 1), |id| format!("{title}, {}", id.value))
}

fn margin((promised, computed): (Duration, Duration)) -> i64 {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    seconds(promised).saturating_sub(seconds(computed))
}

/// What is lost of each store that is gone in the scenario.
pub(super) fn stores(
    objectives: &Objectives<'_>,
    scenario: &Scenario,
    loss: &Loss,
) -> Vec<StoreLine> {
    let hostile = scenario.hostile.is_some_and(|hostile| hostile.value);
    let is_destroyed = |name: &str| scenario.destroys.iter().any(|one| one.value == name);
    let plan = objectives.plan;
    let gone = plan.stores.titled().enumerate().filter(|(at, _)| loss.stores[*at]);
    gone.map(|(at, (name, _, _))| {
        let corrupt = is_destroyed(&name.value) || hostile;
        let threat = Threat { loss: Some(loss), corrupt, place_lost: !corrupt, hostile };
        store(objectives, at, &threat, relaxed_rpo(scenario))
    })
    .collect()
}

/// What binds instead of the stores' own promises, in a scenario that relaxes them.
pub(super) fn relaxed_rpo(scenario: &Scenario) -> Option<Duration> {
    scenario.relaxes.as_ref().and(scenario.rpo).map(|rpo| rpo.value)
}

pub(super) fn store(
    objectives: &Objectives<'_>,
    at: usize,
    threat: &Threat<'_>,
    relaxed: Option<Duration>,
) -> StoreLine {
    let (name, of_plan) =
        objectives.plan.stores.at(at).expect("the caller counts the stores of the plan");
    let title = objectives.plan.stores.title(&name.value).to_owned();
    let own = objectives.rpo(at).map(|(rpo, _)| rpo.value);
    let promised = own.map(|own| relaxed.map_or(own, |relaxed| own.max(relaxed)));
    let is_made_again = !of_plan.rebuilt_from.is_empty();
    let lost = objectives.loses(of_plan, threat);
    let (computed, decided_by, assumptions) = match &lost {
        _ if is_made_again => (Some(Duration::ZERO), "made again".to_owned(), Vec::new()),
        Loses::Everything => (None, "no copy that can be used".to_owned(), Vec::new()),
        Loses::Unknown => (None, "the plan does not say how often".to_owned(), Vec::new()),
        Loses::UpTo(part, kept) => {
            let vault = kept.to.map(|to| format!(" in {}", objectives.plan.vaults.title(to)));
            let words = format!("{}{}", part.what, vault.unwrap_or_default());
            let mut assumed = if part.is_assumed() { vec!["wal"] } else { Vec::new() };
            if threat.hostile {
                // What is newer than the day somebody got in is not trusted.
                let dwell = objectives.assumptions.dwell.value;
                assumed.push("dwell");
                let words = format!("{} inside, {words}", format_duration(dwell));
                (Some(part.length.saturating_add(dwell)), words, assumed)
            } else {
                (Some(part.length), words, assumed)
            }
        }
    };
    StoreLine {
        store: name.value.clone(),
        title,
        promised_seconds: promised.map(|rpo| rpo.as_secs()),
        // A quarter of a second is not nothing.
        computed_seconds: computed
            .map(|length| length.as_secs() + u64::from(length.subsec_nanos() > 0)),
        loses_everything: !is_made_again && lost == Loses::Everything,
        margin_seconds: promised.zip(computed).map(margin),
        decided_by,
        assumptions,
    }
}

fn signed(seconds: Option<i64>) -> String {
    seconds.map_or_else(String::new, |seconds| {
        let sign = if seconds < 0 { "-" } else { "" };
        let mark = if seconds < 0 { " ✗" } else { "" };
        format!("{sign}{}{mark}", short(seconds.unsigned_abs()))
    })
}

impl ServiceLine {
    fn cells(&self) -> [String; 5] {
        let least = if self.at_least { "≥ " } else { "" };
        let about = if self.assumptions.is_empty() { "" } else { "~" };
        let computed =
            self.computed_seconds.map(|seconds| format!("{least}{about}{}", short(seconds)));
        [
            self.title.clone(),
            self.promised_seconds.map_or_else(|| "-".to_owned(), short),
            computed.unwrap_or_else(|| "?".to_owned()),
            format!("{}{}", self.at_most(), signed(self.margin_seconds)),
            self.decided_by.clone(),
        ]
    }

    /// What is left is no more than that, where it may take longer.
    fn at_most(&self) -> &'static str {
        let is_left = self.margin_seconds.is_some_and(|left| left >= 0);
        if self.at_least && is_left { "≤ " } else { "" }
    }
}

impl StoreLine {
    /// Whether more is lost than is promised.
    pub(super) fn loses_too_much(&self) -> bool {
        self.margin_seconds.is_some_and(|left| left < 0)
    }

    fn cells(&self) -> [String; 5] {
        let about = if self.assumptions.is_empty() { "" } else { "~" };
        let computed = self.computed_seconds.map(|seconds| format!("{about}{}", short(seconds)));
        let without = if self.loses_everything { "everything ✗" } else { "?" };
        [
            self.title.clone(),
            self.promised_seconds.map_or_else(|| "-".to_owned(), short),
            computed.unwrap_or_else(|| without.to_owned()),
            signed(self.margin_seconds),
            self.decided_by.clone(),
        ]
    }
}

/// Cells under their heads.
pub(super) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(head.map(str::to_owned)).chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| {
            format!("{cell}{}", " ".repeat(width.saturating_sub(cell.chars().count()) + 2))
        });
        line!(text, "  {}", cells.collect::<String>().trim_end());
    }
    text
}
