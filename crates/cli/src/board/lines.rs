//! A run in plain lines: for a log file, a serial console, and where there is no terminal.
//!
//! The rule it keeps: a line for each change, and everything again at the beginning, every so often
//! and at the end. Each line says whether it is the real thing. Nothing is printed here.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::page::{
    Extent, Row, Tone, clock_time, details, engine_tone, is_under_way, length, life_tone,
    mirror_tone, step_row, takeover_row, text_rows,
};
use super::{Board, Phase, Service, Step, Takeover};

/// So wide is a line between blocks: a serial console.
const COLUMNS: usize = 80;

/// A line that is longer is hard to read.
pub(crate) const COLUMNS_MAX: usize = 120;

/// Fewer are taken for so many.
const COLUMNS_MIN: usize = 40;

/// Everything is said again after so long.
const AGAIN_MS: u64 = 5 * 60_000;

/// A step that runs says after so long that it still does.
const STILL_MS: u64 = 30_000;

/// How a text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// So many columns.
    pub(crate) columns: usize,
    /// With colours.
    pub(crate) colour: bool,
}

/// A run at one moment.
pub(crate) fn show(board: &Board, extent: Extent, layout: Layout) -> String {
    let mut lines = Vec::new();
    lay(&mut lines, &Row::new(banner_tone(board), 0, board.banner()), layout);
    for row in board.head() {
        lay(&mut lines, &row, layout);
    }
    for section in board.sections(extent) {
        lines.push(String::new());
        lay(&mut lines, &Row::new(Tone::Title, 0, section.title.to_uppercase()), layout);
        for row in &section.rows {
            lay(&mut lines, row, layout);
        }
    }
    lines.join("\n")
}

/// Everything about one step, with what it does exactly; none: the run has no such step.
pub(crate) fn show_step(board: &Board, id: &str, layout: Layout) -> Option<String> {
    let step = board.steps.get(board.place(id)?)?;
    let mut lines = Vec::new();
    lay(&mut lines, &Row::new(banner_tone(board), 0, board.banner()), layout);
    lay(&mut lines, &step_row(step), layout);
    let title = Row::new(Tone::Title, 6, "what it does:");
    let text = text_rows(step);
    let title = (!text.is_empty()).then_some(title);
    for row in details(step).iter().chain(&title).chain(&text) {
        lay(&mut lines, row, layout);
    }
    Some(lines.join("\n"))
}

/// Whether it will be back in time, and nothing else: for a run that has not begun.
pub(crate) fn show_services(board: &Board, layout: Layout) -> String {
    let mut lines = Vec::new();
    for row in board.service_rows() {
        lay(&mut lines, &row, layout);
    }
    lines.join("\n")
}

/// The lines of a run that is watched.
pub(crate) struct Lines {
    layout: Layout,
    shown: Option<Board>,
    whole_at_ms: u64,
    still_at_ms: u64,
}

impl Lines {
    /// Nothing was shown so far.
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, shown: None, whole_at_ms: 0, still_at_ms: 0 }
    }

    /// What has changed since the last board, as lines; everything, if it is time for that.
    pub(crate) fn update(&mut self, board: Board) -> Vec<String> {
        let mut lines = Vec::new();
        let at = board.elapsed_ms;
        match self.shown.take() {
            Some(before) => {
                let rows = changes(&before, &board);
                if !rows.is_empty() {
                    self.still_at_ms = at;
                }
                self.lay(&mut lines, &board, &rows);
                if at >= self.still_at_ms.saturating_add(STILL_MS) {
                    self.still_at_ms = at;
                    self.lay(&mut lines, &board, &still(&board));
                }
                if at >= self.whole_at_ms.saturating_add(AGAIN_MS) {
                    self.whole_at_ms = at;
                    lines.extend(heading(&board, self.layout));
                }
            }
            None => {
                (self.whole_at_ms, self.still_at_ms) = (at, at);
                lines.extend(heading(&board, self.layout));
            }
        }
        self.shown = Some(board);
        lines
    }

    /// Everything, once more: for the end.
    pub(crate) fn end(&self) -> String {
        self.shown.as_ref().map(|board| show(board, Extent::Now, self.layout)).unwrap_or_default()
    }

    /// Rows with the time and what it is in front of each.
    fn lay(&self, lines: &mut Vec<String>, board: &Board, rows: &[Row]) {
        let front = format!("{} {}  ", clock_time(board.now), board.kind);
        let room = Layout {
            columns: self.layout.columns.max(COLUMNS_MIN).saturating_sub(front.len()),
            ..self.layout
        };
        for row in rows {
            let mut laid = Vec::new();
            lay(&mut laid, row, room);
            for (at, line) in laid.into_iter().enumerate() {
                let front = if at == 0 { front.clone() } else { " ".repeat(front.len()) };
                lines.push(format!("{front}{line}"));
            }
        }
    }
}

/// The block that says how everything stands, without the steps that are not under way.
fn heading(board: &Board, layout: Layout) -> Vec<String> {
    let mut lines = vec!["=".repeat(layout.columns.clamp(COLUMNS_MIN, COLUMNS))];
    let mut rows = vec![Row::new(banner_tone(board), 0, board.banner())];
    rows.extend(board.head());
    rows.extend(board.decision_rows());
    rows.extend(board.service_rows());
    rows.extend(board.phases.iter().map(|phase| board.phase_row(phase.number)));
    rows.extend(board.steps.iter().filter(|step| is_under_way(step)).map(step_row));
    rows.extend(board.obligation_rows());
    rows.extend(
        board.next_rows().into_iter().map(|row| Row { text: format!("next: {}", row.text), ..row }),
    );
    for row in &rows {
        lay(&mut lines, row, layout);
    }
    lines.push("=".repeat(layout.columns.clamp(COLUMNS_MIN, COLUMNS)));
    lines
}

/// What runs, still, with its last line.
fn still(board: &Board) -> Vec<Row> {
    let under_way = board.steps.iter().filter(|step| matches!(step.is, "runs" | "verifies"));
    let rows = under_way.map(|step| {
        let mut row = step_row(step);
        row.indent = 0;
        if let Some(last) = step.log.last() {
            row.text.push_str(&format!(": {last}"));
        }
        row
    });
    rows.collect()
}

/// A row for each difference, in the order in which a person wants to know.
fn changes(before: &Board, now: &Board) -> Vec<Row> {
    let mut rows = Vec::new();
    if (before.life.is, &before.life.words) != (now.life.is, &now.life.words) {
        rows.push(Row::new(life_tone(now), 0, format!("the run: {}", now.life.words)));
    }
    if (before.engine.epoch, before.engine.is) != (now.engine.epoch, now.engine.is) {
        rows.push(Row::new(engine_tone(now), 0, now.engine.words.clone()));
    }
    let is_known = |takeover: &&Takeover| before.takeovers.contains(takeover);
    rows.extend(now.takeovers.iter().filter(|it| !is_known(it)).map(takeover_row));
    if before.mirror.is != now.mirror.is {
        rows.push(Row::new(mirror_tone(now), 0, now.mirror.words.clone()));
    }
    for (at, phase) in now.phases.iter().enumerate() {
        if before.phases.get(at).map(phase_key) != Some(phase_key(phase)) {
            rows.push(now.phase_row(phase.number));
        }
    }
    for (at, step) in now.steps.iter().enumerate() {
        if before.steps.get(at).map(step_key) != Some(step_key(step)) {
            let mut row = step_row(step);
            row.indent = 0;
            if let Some(why) = &step.why {
                row.text.push_str(&format!("; why: {why}"));
            }
            rows.push(row);
        }
    }
    for obligation in &now.obligations {
        if !before.obligations.iter().any(|one| one.name == obligation.name) {
            let text = format!("temporary measure {}: {}", obligation.name, obligation.words);
            rows.push(Row::new(Tone::Warn, 0, text));
        }
    }
    for obligation in &before.obligations {
        if !now.obligations.iter().any(|one| one.name == obligation.name) {
            let text = format!("temporary measure {} is over", obligation.name);
            rows.push(Row::new(Tone::Good, 0, text));
        }
    }
    let services = now.services.iter().chain([&now.whole]);
    let known = before.services.iter().chain([&before.whole]);
    for (service, known) in services.zip(known) {
        if service.verdict != known.verdict {
            rows.push(verdict(service));
        }
    }
    for decision in &now.decisions {
        let is_same = |one: &&super::Decision| {
            (one.needs, &one.step, &one.who, &one.text)
                == (decision.needs, &decision.step, &decision.who, &decision.text)
        };
        if before.decisions.iter().find(is_same).is_none() {
            rows.extend(now.decision(decision));
        }
    }
    rows
}

fn phase_key(phase: &Phase) -> (&str, bool) {
    (phase.is, phase.is_over_budget)
}

fn step_key(step: &Step) -> (&str, u32, u32, bool, Option<&str>, usize) {
    let why = step.why.as_deref();
    let yes = step.probes.iter().filter(|probe| probe.answer == "yes").count();
    (step.is, step.attempt, step.amendments, step.is_over_budget, why, yes)
}

fn verdict(service: &Service) -> Row {
    let tone = match service.verdict {
        "made" | "makes" => Tone::Good,
        "unsure" | "no_promise" => Tone::Plain,
        _ => Tone::Bad,
    };
    let mut text = format!("{}: {}", service.title, service.words);
    if let (Some(expected), Some(rto)) = (service.expected_ms, service.rto_ms) {
        text.push_str(&format!(" ({} of {})", length(expected), length(rto)));
    }
    Row::new(tone, 0, text)
}

fn banner_tone(board: &Board) -> Tone {
    if board.kind == "REAL" { Tone::Bad } else { Tone::Title }
}

/// A row as lines of at most so many columns; what goes on is set in further.
fn lay(lines: &mut Vec<String>, row: &Row, layout: Layout) {
    let columns = layout.columns.max(COLUMNS_MIN);
    let (first, rest) = indents(row, columns);
    for (at, part) in wrap(row, columns, (first, rest)).into_iter().enumerate() {
        let indent = if at == 0 { first } else { rest };
        let text = format!("{}{part}", " ".repeat(indent));
        lines.push(match (layout.colour, colour(row.tone)) {
            (true, Some(code)) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.trim_end().to_owned(),
        });
    }
}

/// How far a row's first line is set in, and how far the others. What is read to the letter is set in
/// less if that makes it fit.
pub(super) fn indents(row: &Row, columns: usize) -> (usize, usize) {
    let indent = row.indent.min(columns / 2);
    if row.is_literal {
        return (indent.min(columns.saturating_sub(row.text.width())), 0);
    }
    (indent, (row.indent + 4).min(columns / 2))
}

fn colour(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Dim => Some("2"),
        Tone::Title => Some("1"),
        Tone::Good => Some("32"),
        Tone::Active => Some("36"),
        Tone::Warn => Some("33"),
        Tone::Bad => Some("1;31"),
    }
}

/// The parts of a row. What is typed or read to the letter is never broken: whoever copies it gets
/// all of it.
pub(super) fn wrap(row: &Row, columns: usize, (first, rest): (usize, usize)) -> Vec<String> {
    if row.is_literal {
        return vec![row.text.clone()];
    }
    let mut lines: Vec<String> = vec![String::new()];
    let mut left = columns.saturating_sub(first).max(1);
    let room = columns.saturating_sub(rest).max(1);
    for word in row.text.split(' ') {
        let mut word = word.to_owned();
        loop {
            let line = lines.last_mut().expect("there is always one");
            let gap = usize::from(!line.is_empty());
            let width = word.width() + gap;
            if width <= left {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(&word);
                left -= width;
                break;
            }
            if !line.is_empty() {
                lines.push(String::new());
                left = room;
                continue;
            }
            // A word that is longer than a line.
            let (front, back) = split(&word, left);
            line.push_str(&front);
            lines.push(String::new());
            left = room;
            word = back;
        }
    }
    lines
}

/// As much of a word as there is room for, at least one letter, and the rest.
fn split(word: &str, room: usize) -> (String, String) {
    let mut width = 0;
    let fits = |(at, letter): &(usize, char)| {
        width += letter.width().unwrap_or(0);
        *at == 0 || width <= room
    };
    let front: String = word.char_indices().take_while(fits).map(|(_, letter)| letter).collect();
    let back = word.get(front.len()..).unwrap_or_default().to_owned();
    (front, back)
}
