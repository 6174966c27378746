//! A board in sections and rows: the words of everything a screen shows, said once.
//!
//! The rule it keeps: every fact of a [`Board`] is in one of these rows, and no renderer adds one.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use soter_runbook::forecast::spoken;

use super::{Attended, Board, Decision, Service, Step, Takeover, Way};

/// Rows that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// What they are about.
    pub(super) title: &'static str,
    /// The rows.
    pub(super) rows: Vec<Row>,
}

/// A row: a text that may be longer than a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// How it looks where there are colours.
    pub(super) tone: Tone,
    /// How far it is set in.
    pub(super) indent: usize,
    /// What it says.
    pub(super) text: String,
    /// The step it is about, by its place.
    pub(super) step: Option<usize>,
    /// It is typed or read to the letter: it is not broken between words.
    pub(super) is_literal: bool,
}

/// How something looks where there are colours; where there are none the words say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    /// As text.
    #[default]
    Plain,
    /// Not needed now.
    Dim,
    /// A name of what follows.
    Title,
    /// As it should be.
    Good,
    /// Goes on.
    Active,
    /// Look at it.
    Warn,
    /// Act.
    Bad,
}

/// How much of a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All there is.
    All,
    /// A row for each step, and all there is of those that are under way or need somebody.
    Now,
}

impl Row {
    pub(super) fn new(tone: Tone, indent: usize, text: impl Into<String>) -> Self {
        Self { tone, indent, text: text.into(), step: None, is_literal: false }
    }

    fn literal(tone: Tone, indent: usize, text: impl Into<String>) -> Self {
        Self { is_literal: true, ..Self::new(tone, indent, text) }
    }
}

/// A moment of the day, as everybody who is on the telephone has it: UTC.
pub(super) fn clock_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%SZ").to_string()
}

/// A moment, with its day.
pub(super) fn day_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

pub(super) fn length(ms: u64) -> String {
    spoken(Duration::from_millis(ms))
}

impl Board {
    /// The line that stands on every screen: whether it is the real thing, and on what.
    pub(super) fn banner(&self) -> String {
        let what = if self.kind == "REAL" { "this is the real thing" } else { "only a drill" };
        format!("{} on {}: {what}. Run {}", self.kind, self.target, self.run)
    }

    /// How the run stands, loudest first.
    pub(super) fn head(&self) -> Vec<Row> {
        let title = format!(
            "{} ({}), begun by {} at {}, for {}; now {}",
            self.title,
            self.scenario,
            self.requester,
            day_time(self.since),
            length(self.elapsed_ms),
            day_time(self.now)
        );
        let mut rows = vec![
            Row::new(life_tone(self), 0, self.life.words.clone()),
            Row::new(Tone::Title, 0, title),
            Row::new(Tone::Plain, 0, self.disaster.words.clone()),
            Row::new(engine_tone(self), 0, self.engine_row()),
            Row::new(mirror_tone(self), 0, self.mirror_row()),
        ];
        if engine_tone(self) == Tone::Bad {
            // Whatever it is, it stands still.
            rows.swap(0, 3);
        }
        rows.splice(1..1, self.copy_words.iter().map(|words| Row::new(Tone::Warn, 0, words)));
        rows.extend(self.takeovers.last().map(takeover_row));
        rows.extend(
            self.done_when
                .iter()
                .map(|text| Row::new(Tone::Dim, 0, format!("it is over when: {text}"))),
        );
        rows
    }

    /// What it is about and how far it is, in as little as fits on a line.
    pub(super) fn brief(&self) -> Row {
        let over = self.phases.iter().map(|phase| phase.steps_over).sum::<usize>();
        let text = format!(
            "{}: {over} of {} steps over, for {}; now {}",
            self.title,
            self.phases.iter().map(|phase| phase.steps).sum::<usize>(),
            length(self.elapsed_ms),
            clock_time(self.now)
        );
        Row::new(Tone::Title, 0, text)
    }

    fn engine_row(&self) -> String {
        format!(
            "{} ({} records, the last at {})",
            self.engine.words,
            self.engine.records,
            clock_time(self.engine.last_record_at)
        )
    }

    fn mirror_row(&self) -> String {
        format!("{} (since {})", self.mirror.words, clock_time(self.mirror.since))
    }

    /// Everything, most important first; with `extent` less of steps that are not under way.
    pub(super) fn sections(&self, extent: Extent) -> Vec<Section> {
        let all = [
            Section { title: "Decisions needed", rows: self.decision_rows() },
            Section {
                title: match self.disaster.at {
                    Some(_) => "Will it be back in time, from the disaster on?",
                    None => "Will it be back in time, from the beginning of the run on?",
                },
                rows: self.service_rows(),
            },
            Section { title: "Steps", rows: self.step_rows(extent) },
            Section { title: "What comes next", rows: self.next_rows() },
            Section { title: "Temporary measures in place", rows: self.obligation_rows() },
            Section { title: "Values", rows: self.value_rows() },
            Section { title: "Evidence", rows: self.evidence_rows() },
            Section { title: "Engines after the first", rows: self.takeover_rows() },
        ];
        all.into_iter().filter(|section| !section.rows.is_empty()).collect()
    }

    pub(super) fn decision_rows(&self) -> Vec<Row> {
        self.decisions.iter().flat_map(|decision| self.decision(decision)).collect()
    }

    pub(super) fn decision(&self, decision: &Decision) -> Vec<Row> {
        let mut head = format!("[!] {}", decision.title);
        if let Some(until) = &decision.until_words {
            head.push_str(&format!(" -- {until}"));
        }
        let mut rows = vec![Row::new(Tone::Bad, 0, head)];
        // A step without a title of its own is called by what it asks.
        if !decision.title.ends_with(&decision.text) {
            rows.extend(decision.text.lines().map(|line| Row::new(Tone::Plain, 4, line)));
        }
        let since = decision.since.map(|since| format!(" (since {})", clock_time(since)));
        let who = format!("who: {}{}", decision.who, since.unwrap_or_default());
        rows.push(Row::new(Tone::Plain, 4, who));
        rows.extend(decision.advice.iter().map(|advice| {
            Row::new(Tone::Warn, 4, format!("the plan says, if it fails: {advice}"))
        }));
        for command in &decision.commands {
            rows.push(Row::new(Tone::Dim, 4, format!("{}:", command.words)));
            rows.push(Row::literal(Tone::Title, 6, command.line.clone()));
        }
        let at = decision.step.as_ref().and_then(|id| self.place(id));
        for row in &mut rows {
            row.step = at;
        }
        rows
    }

    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.id == id)
    }

    pub(super) fn service_rows(&self) -> Vec<Row> {
        self.services.iter().chain([&self.whole]).flat_map(service).collect()
    }

    fn step_rows(&self, extent: Extent) -> Vec<Row> {
        let mut rows = Vec::new();
        for phase in &self.phases {
            rows.push(self.phase_row(phase.number));
            let of_phase = self.steps.iter().enumerate();
            for (at, step) in of_phase.filter(|(_, step)| step.phase == phase.number) {
                let mut of_step = vec![step_row(step)];
                if extent == Extent::All || is_under_way(step) {
                    of_step.extend(details(step));
                }
                for row in &mut of_step {
                    row.step = Some(at);
                }
                rows.append(&mut of_step);
            }
        }
        rows
    }

    /// The row of a phase, by its number.
    pub(super) fn phase_row(&self, number: usize) -> Row {
        let Some(phase) = self.phases.get(number.saturating_sub(1)) else {
            return Row::new(Tone::Plain, 0, "");
        };
        let mut text = format!("Phase {number} {}: {}", phase.title, phase.words);
        if phase.is != "begun" {
            text.push_str(&format!(" ({} of {} steps over)", phase.steps_over, phase.steps));
        }
        if let Some(budget) = phase.budget_ms {
            text.push_str(&budget_words(budget, phase.is_over_budget));
        }
        if let Some(elapsed) = phase.elapsed_ms.filter(|_| phase.is == "left_out") {
            text.push_str(&format!(", after {}", length(elapsed)));
        }
        let tone = if phase.is_over_budget { Tone::Warn } else { Tone::Title };
        Row::new(tone, 0, text)
    }

    pub(super) fn next_rows(&self) -> Vec<Row> {
        let rows = self.next.iter().map(|next| {
            let text = format!("`{}` {}: {}", next.step, next.title, next.words);
            Row::new(Tone::Plain, 0, text)
        });
        rows.collect()
    }

    pub(super) fn obligation_rows(&self) -> Vec<Row> {
        let rows = self
            .obligations
            .iter()
            .map(|one| Row::new(Tone::Warn, 0, format!("{}: {}", one.name, one.words)));
        rows.collect()
    }

    fn value_rows(&self) -> Vec<Row> {
        let rows = self.values.iter();
        rows.map(|(name, value)| Row::new(Tone::Plain, 0, format!("{name} = {value}"))).collect()
    }

    fn takeover_rows(&self) -> Vec<Row> {
        // The last one stands in the head.
        let before = self.takeovers.split_last().map(|(_, before)| before).unwrap_or_default();
        before.iter().map(takeover_row).collect()
    }

    fn evidence_rows(&self) -> Vec<Row> {
        let rows = self.evidence.iter().map(|one| {
            let text = format!(
                "{} as captures/{}, {} bytes, SHA-256 {}",
                one.source, one.path, one.bytes, one.sha256
            );
            Row::new(Tone::Plain, 0, text)
        });
        rows.collect()
    }
}

/// An engine that went on with the run.
pub(super) fn takeover_row(takeover: &Takeover) -> Row {
    let tone = if takeover.took_over { Tone::Warn } else { Tone::Plain };
    Row::new(tone, 0, takeover.words.clone())
}

pub(super) fn life_tone(board: &Board) -> Tone {
    match board.life.is {
        "running" => Tone::Active,
        "succeeded" => Tone::Good,
        _ => Tone::Bad,
    }
}

pub(super) fn engine_tone(board: &Board) -> Tone {
    let is_over = matches!(board.life.is, "succeeded" | "given_up");
    match board.engine.is {
        Attended::Nobody if !is_over => Tone::Bad,
        _ => Tone::Dim,
    }
}

pub(super) fn mirror_tone(board: &Board) -> Tone {
    match board.mirror.is {
        "following" => Tone::Dim,
        "local" => Tone::Warn,
        _ => Tone::Bad,
    }
}

fn service(service: &Service) -> Vec<Row> {
    let (mark, tone) = match service.verdict {
        "made" => ("[x]", Tone::Good),
        "no_promise" if service.is_back => ("[x]", Tone::Good),
        "makes" | "no_promise" => ("[>]", Tone::Active),
        "unsure" => ("[?]", Tone::Warn),
        "left_out" => ("[-]", Tone::Warn),
        _ => ("[!]", Tone::Bad),
    };
    let title = if service.title == service.name {
        service.name.clone()
    } else {
        format!("{} ({})", service.title, service.name)
    };
    let mut text = format!("{mark} {title}: {}", service.words);
    let expected = service.expected_ms.map(length).unwrap_or_default();
    let bound = if service.is_at_least { "at least " } else { "" };
    let promised = service.rto_ms.map(length);
    match (service.is_back, &promised) {
        _ if service.expected_ms.is_none() => {
            text.push_str(
                &promised.as_ref().map(|rto| format!(" (promised {rto})")).unwrap_or_default(),
            );
        }
        (true, Some(rto)) => text.push_str(&format!(" (after {expected} of {rto})")),
        (true, None) => {}
        (false, Some(rto)) => {
            text.push_str(&format!(" (forecast {bound}{expected} of {rto})"));
        }
        (false, None) => text.push_str(&format!(" (forecast {bound}{expected})")),
    }
    let mut rows = vec![Row::new(tone, 0, text)];
    rows.extend(
        service
            .basis_words
            .iter()
            .map(|basis| Row::new(Tone::Dim, 4, format!("what is left is a forecast: {basis}"))),
    );
    rows
}

/// Whether something is to be seen of a step: it has begun, and is not over.
pub(super) fn is_under_way(step: &Step) -> bool {
    !matches!(step.is, "waits" | "ready" | "done" | "left_out" | "branched" | "replaced")
}

/// What stands before a step, for those who run down the column with a finger.
pub(super) fn mark(step: &Step) -> (&'static str, Tone) {
    match step.is {
        "done" => ("[x]", Tone::Good),
        "left_out" | "branched" | "replaced" => ("[-]", Tone::Dim),
        "runs" => ("[>]", Tone::Active),
        "verifies" => ("[~]", Tone::Active),
        "person" => ("[!]", Tone::Bad),
        "failed" | "undone" => ("[!]", Tone::Bad),
        "undoing" => ("[<]", Tone::Warn),
        "retries" => ("[r]", Tone::Warn),
        "doubt" => ("[?]", Tone::Bad),
        "ready" => ("[.]", Tone::Plain),
        _ => ("[ ]", Tone::Dim),
    }
}

fn budget_words(budget_ms: u64, is_over: bool) -> String {
    let over = if is_over { ", OVER ITS BUDGET" } else { "" };
    format!(", budget {}{over}", length(budget_ms))
}

/// A step in one row.
pub(super) fn step_row(step: &Step) -> Row {
    let (mark, tone) = mark(step);
    let mut text = format!("{mark} {}: {} -- {}", step.id, step.words, step.title);
    if let Some(budget) = step.budget_ms {
        text.push_str(&budget_words(budget, step.is_over_budget));
    }
    Row::new(if step.is_over_budget { Tone::Warn.worse(tone) } else { tone }, 2, text)
}

impl Tone {
    /// The louder of two.
    fn worse(self, other: Self) -> Self {
        if other == Self::Bad { other } else { self }
    }
}

/// What a person may have done besides, and what it is done for if a person wanted it.
fn ways(step: &Step) -> Vec<String> {
    let names = |way: &Way| format!("{} ({})", way.title, way.steps.join(", "));
    let mut rows = Vec::new();
    let instead = step.instead.as_ref().map(names);
    rows.extend(instead.map(|way| format!("another way, if somebody takes it: {way}")));
    let undo = step.undo.as_ref().map(names);
    rows.extend(undo.map(|way| format!("undone, if somebody says so, by: {way}")));
    rows.extend(step.in_place_of.iter().map(|other| format!("in place of {other}")));
    rows.extend(step.undoes.iter().map(|other| format!("takes {other} back")));
    rows
}

/// Everything else about a step.
pub(super) fn details(step: &Step) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(step.why.iter().map(|why| Row::new(Tone::Bad, 6, format!("why: {why}"))));
    let mut facts = vec![format!("action: {}", step.action)];
    facts.extend(step.on.iter().map(|on| format!("on {on}")));
    facts.extend(step.owner.iter().map(|owner| format!("owner {owner}")));
    if step.is_destructive {
        facts.push("CANNOT BE TAKEN BACK".to_owned());
    }
    facts.push(match (step.attempt, step.attempts_max) {
        (0, 1) => "not tried yet".to_owned(),
        (0, most) => format!("not tried yet, at most {most} times by itself"),
        (attempt, most) if attempt <= most => format!("attempt {attempt} of {most}"),
        (attempt, most) => format!("attempt {attempt}, {most} of them by itself"),
    });
    let elapsed = step.elapsed_ms.map(length);
    let is_new = |elapsed: &String| !step.words.contains(elapsed.as_str());
    facts.extend(elapsed.filter(is_new).map(|elapsed| format!("{elapsed} since it began")));
    if step.amendments > 0 {
        facts.push(format!("amended {} times", step.amendments));
    }
    if !step.approved_by.is_empty() {
        facts.push(format!("approved by {}", step.approved_by.join(", ")));
    }
    rows.push(Row::new(Tone::Dim, 6, facts.join("; ")));
    rows.extend(
        step.estimate_words
            .iter()
            .map(|estimate| Row::new(Tone::Dim, 6, format!("it takes: {estimate}"))),
    );
    rows.extend(
        step.if_it_fails
            .iter()
            .map(|advice| Row::new(Tone::Dim, 6, format!("if it fails: {advice}"))),
    );
    rows.extend(ways(step).into_iter().map(|text| Row::new(Tone::Dim, 6, text)));
    for probe in &step.probes {
        let (which, tone) = match (probe.which, probe.answer) {
            ("only_if", _) => ("only if", Tone::Plain),
            ("already_done", _) => ("already done", Tone::Plain),
            (_, "no") => ("verify", Tone::Bad),
            (_, "unknown") => ("verify", Tone::Warn),
            (_, "yes") => ("verify", Tone::Good),
            _ => ("verify", Tone::Plain),
        };
        rows.push(Row::new(tone, 6, format!("{which}: {}: {}", probe.title, probe.words)));
        rows.extend(probe.evidence.iter().map(|line| Row::literal(Tone::Dim, 10, line.clone())));
    }
    if !step.log.is_empty() {
        rows.push(Row::new(Tone::Plain, 6, "its last lines:"));
        rows.extend(step.log.iter().map(|line| Row::literal(Tone::Plain, 8, line.clone())));
    }
    rows
}

/// What a step does, exactly.
pub(super) fn text_rows(step: &Step) -> Vec<Row> {
    step.text.iter().map(|line| Row::literal(Tone::Plain, 8, line.clone())).collect()
}
