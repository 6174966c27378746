//! A board on a screen of cells.
//!
//! The rule it keeps: whatever page it is and however small the screen, its first line says whether
//! this is the real thing, and on what; what cannot be shown is counted, and a key shows it.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::view::{Page, View};
use crate::board::Board;
use crate::board::lines::{indents, wrap};
use crate::board::page::{Extent, Row, Tone, details, step_row, text_rows};

/// Fewer rows show the banner and nothing else that could be read.
const ROWS_MIN: usize = 6;

/// So many rows the log has where there are enough.
const LOG_ROWS: usize = 6;

/// What can be done, on each page.
const KEYS: &str = "arrows choose  Enter its log  Tab everything  a decide  ? help  q leave";
const KEYS_OF_PAGES: &str = "arrows scroll  Enter back  Tab everything  a decide  ? help  q leave";

const HELP: [(&str, &str); 10] = [
    ("up, down", "choose a step; on other pages scroll. Page up, page down, Home, End go further"),
    ("f", "follow what matters again: what needs a person, else what runs"),
    ("Enter", "the step's log, its probes with what they saw, and its script; back"),
    ("a", "what is needed of people: who, until when, and exactly what to type"),
    ("Tab", "everything there is, as `soter run show --all` prints it; back"),
    ("Escape", "back"),
    ("r", "draw the screen anew"),
    ("q", "leave the screen: the run goes on, and an engine at work here says so in lines"),
    (
        "Ctrl-C",
        "where the engine is at work: end the engine; what runs goes on, and `soter run \
                resume` carries the run on. Elsewhere: leave",
    ),
    ("", "Nothing is decided here: what changes a run is typed at any other terminal"),
];

/// A line on the screen.
#[derive(Debug, Clone)]
struct Line {
    text: String,
    style: Style,
}

/// Draws what is looked at.
pub(super) fn draw(view: &mut View, board: &Board, buffer: &mut Buffer, area: Rect) {
    let (columns, rows) = (usize::from(area.width), usize::from(area.height));
    if columns == 0 || rows == 0 {
        return;
    }
    let mut lines = banner(board, columns);
    lines.truncate(rows);
    if rows >= ROWS_MIN {
        let room = rows.saturating_sub(lines.len() + 1);
        match view.page {
            Page::Overview => lines.extend(overview(view, board, columns, room)),
            page => lines.extend(scrolled(view, &rows_of(view, page, board), columns, room)),
        }
        lines.truncate(rows - 1);
        lines.resize(rows - 1, Line { text: String::new(), style: Style::new() });
        let keys = if view.page == Page::Overview { KEYS } else { KEYS_OF_PAGES };
        let style = Style::new().add_modifier(Modifier::DIM);
        lines.push(Line { text: keys.to_owned(), style });
    }
    for (at, line) in (area.y..).zip(&lines) {
        buffer.set_stringn(area.x, at, &line.text, columns, line.style);
    }
}

/// The first line of every page, as wide as the screen.
fn banner(board: &Board, columns: usize) -> Vec<Line> {
    let colour = if board.kind == "REAL" { Color::Red } else { Color::Cyan };
    let style = Style::new().fg(colour).add_modifier(Modifier::REVERSED | Modifier::BOLD);
    let row = Row::new(Tone::Title, 0, board.banner());
    let parts = wrap(&row, columns, (0, 0)).into_iter();
    parts
        .map(|part| {
            let gap = " ".repeat(columns.saturating_sub(part.width()));
            Line { text: format!("{part}{gap}"), style }
        })
        .collect()
}

/// A row as lines of the screen. What is read to the letter is broken where the screen ends, without
/// anything before it, so that it is copied whole.
fn lay(row: &Row, columns: usize) -> Vec<Line> {
    let style = style(row.tone);
    let (first, rest) = indents(row, columns);
    let parts = if row.is_literal {
        broken(&row.text, columns, first)
    } else {
        wrap(row, columns, (first, rest))
    };
    let lines = parts.into_iter().enumerate().map(|(at, part)| {
        let indent = match at {
            0 => first,
            _ if row.is_literal => 0,
            _ => rest,
        };
        Line { text: format!("{}{part}", " ".repeat(indent)), style }
    });
    lines.collect()
}

/// A text in parts that fit, broken anywhere.
fn broken(text: &str, columns: usize, first: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut left = columns.saturating_sub(first);
    for letter in text.chars() {
        let width = unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
        if width > left {
            parts.push(String::new());
            left = columns;
        }
        left = left.saturating_sub(width);
        parts.last_mut().expect("there is always one").push(letter);
    }
    parts
}

/// A row on one line: what does not fit is cut, and says so.
fn cut(row: &Row, columns: usize) -> Line {
    let text = format!("{}{}", " ".repeat(row.indent.min(columns / 2)), row.text);
    let mut parts = broken(&text, columns, 0);
    let is_cut = parts.len() > 1;
    let mut text = std::mem::take(&mut parts[0]);
    if is_cut {
        text = broken(&text, columns.saturating_sub(1).max(1), 0).swap_remove(0);
        text.push('…');
    }
    Line { text, style: style(row.tone) }
}

fn style(tone: Tone) -> Style {
    let plain = Style::new();
    match tone {
        Tone::Plain => plain,
        Tone::Dim => plain.add_modifier(Modifier::DIM),
        Tone::Title => plain.add_modifier(Modifier::BOLD),
        Tone::Good => plain.fg(Color::Green),
        Tone::Active => plain.fg(Color::Cyan),
        Tone::Warn => plain.fg(Color::Yellow),
        Tone::Bad => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

fn more(count: usize, what: &str, key: &str) -> Line {
    let text = format!("    … and {count} more {what}: {key}");
    Line { text, style: style(Tone::Dim) }
}

/// What matters now: how it stands, what is needed, whether it makes it, what runs.
fn overview(view: &View, board: &Board, columns: usize, room: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let is_tall = room >= 30;
    let head = board.head();
    let wanted = |row: &&Row| is_tall || matches!(row.tone, Tone::Bad | Tone::Warn);
    // How it stands comes first, and is always there.
    lines.extend(head.first().into_iter().flat_map(|row| lay(row, columns)));
    if !is_tall {
        lines.push(cut(&board.brief(), columns));
    }
    let rest = head.iter().skip(1).filter(wanted);
    lines.extend(rest.map(|row| cut(row, columns)));
    lines.extend(decisions(board, columns, is_tall));
    lines.extend(services(board, columns, (room / 5).max(3)));
    if is_tall {
        let rows = board.obligation_rows().into_iter().chain(
            board
                .next_rows()
                .into_iter()
                .map(|row| Row { text: format!("next: {}", row.text), ..row }),
        );
        lines.extend(rows.map(|row| cut(&row, columns)));
    } else if !board.obligations.is_empty() {
        let names: Vec<&str> = board.obligations.iter().map(|one| one.name.as_str()).collect();
        let text = format!("temporary measures in place: {}", names.join(", "));
        lines.push(cut(&Row::new(Tone::Warn, 0, text), columns));
    }
    let left = room.saturating_sub(lines.len());
    let log_rows = if left >= LOG_ROWS * 2 { LOG_ROWS } else { left / 3 };
    lines.extend(steps(view, board, columns, left.saturating_sub(log_rows)));
    lines.resize(
        lines.len().max(room.saturating_sub(log_rows)),
        Line { text: String::new(), style: Style::new() },
    );
    lines.extend(log(view, board, columns, log_rows));
    lines
}

/// Each decision in a line or two; the first one with what to type.
fn decisions(board: &Board, columns: usize, is_tall: bool) -> Vec<Line> {
    const SHOWN_MAX: usize = 3;
    let mut lines = Vec::new();
    for (at, decision) in board.decisions.iter().take(SHOWN_MAX).enumerate() {
        let rows = board.decision(decision);
        lines.extend(rows.first().into_iter().flat_map(|row| lay(row, columns)));
        if at > 0 {
            continue;
        }
        let commands = if is_tall { decision.commands.len() } else { 1 };
        let who = rows.iter().find(|row| row.text.starts_with("who: "));
        lines.extend(who.map(|row| cut(row, columns)));
        for command in decision.commands.iter().take(commands) {
            let row = Row::new(Tone::Dim, 4, format!("{}:", command.words));
            lines.push(cut(&row, columns));
            let row = Row { is_literal: true, ..Row::new(Tone::Title, 6, command.line.clone()) };
            lines.extend(lay(&row, columns));
        }
        let others = decision.commands.len() - commands.min(decision.commands.len());
        if others > 0 {
            lines.push(more(others, "ways to decide it", "press a"));
        }
    }
    let hidden = board.decisions.len().saturating_sub(SHOWN_MAX);
    if hidden > 0 {
        lines.push(more(hidden, "decisions", "press a"));
    }
    lines
}

/// The whole run, and the services that are worst off.
fn services(board: &Board, columns: usize, most: usize) -> Vec<Line> {
    let rank = |verdict: &str| match verdict {
        "missed" | "late" | "late_at_least" => 0,
        "unsure" | "left_out" => 1,
        "makes" | "no_promise" => 2,
        _ => 3,
    };
    let rows = board.service_rows();
    let mut rows: Vec<&Row> = rows.iter().filter(|row| row.indent == 0).collect();
    let mut all: Vec<_> = board.services.iter().chain([&board.whole]).zip(rows.drain(..)).collect();
    all.sort_by_key(|(service, _)| rank(service.verdict));
    let shown = all.iter().take(most).map(|(_, row)| cut(row, columns));
    let mut lines: Vec<Line> = shown.collect();
    let hidden = all.len().saturating_sub(most);
    if hidden > 0 {
        lines.push(more(hidden, "services", "Tab"));
    }
    lines
}

/// Phases and steps, as many as there is room for around the one that is looked at.
fn steps(view: &View, board: &Board, columns: usize, room: usize) -> Vec<Line> {
    let chosen = view.step(board);
    let (mut lines, mut at_chosen) = (Vec::new(), 0);
    for phase in &board.phases {
        lines.push(cut(&board.phase_row(phase.number), columns));
        for (at, step) in board.steps.iter().enumerate() {
            if step.phase != phase.number {
                continue;
            }
            let mut line = cut(&step_row(step), columns);
            if chosen == Some(at) {
                at_chosen = lines.len();
                line.style = line.style.add_modifier(Modifier::REVERSED);
                let gap = columns.saturating_sub(line.text.width());
                line.text.push_str(&" ".repeat(gap));
            }
            lines.push(line);
        }
    }
    let from = at_chosen.saturating_sub(room / 2).min(lines.len().saturating_sub(room));
    lines.into_iter().skip(from).take(room).collect()
}

/// The end of what the step that is looked at has written, or why it stands as it does.
fn log(view: &View, board: &Board, columns: usize, room: usize) -> Vec<Line> {
    let Some(step) = view.step(board).and_then(|at| board.steps.get(at)) else { return Vec::new() };
    let Some(room) = room.checked_sub(1) else { return Vec::new() };
    let title = match (&step.why, step.log.is_empty()) {
        (Some(why), _) => format!("-- {}: why: {why}", step.id),
        (None, false) => format!("-- {}, its last lines:", step.id),
        (None, true) => format!("-- {}: {}", step.id, step.words),
    };
    let mut lines = vec![cut(&Row::new(Tone::Title, 0, title), columns)];
    let from = step.log.len().saturating_sub(room);
    let rows = step.log.iter().skip(from).map(|line| Row::new(Tone::Plain, 2, line.clone()));
    lines.extend(rows.map(|row| cut(&row, columns)));
    lines
}

/// The rows of a page that is scrolled.
fn rows_of(view: &View, page: Page, board: &Board) -> Vec<Row> {
    let title = |text: &str| Row::new(Tone::Title, 0, text);
    match page {
        Page::Help => HELP
            .iter()
            .map(|(key, words)| Row::new(Tone::Plain, 0, format!("{key:<10}{words}")))
            .collect(),
        Page::Decisions if board.decisions.is_empty() => {
            vec![Row::new(Tone::Plain, 0, "nothing is needed of anybody now")]
        }
        Page::Decisions => board.decision_rows(),
        Page::Step => match view.step(board).and_then(|at| board.steps.get(at)) {
            Some(step) => {
                let mut rows = vec![step_row(step)];
                rows.extend(details(step));
                let text = text_rows(step);
                if !text.is_empty() {
                    rows.push(Row::new(Tone::Title, 6, "what it does:"));
                }
                rows.extend(text);
                rows
            }
            None => vec![title("the run has no steps")],
        },
        Page::Overview | Page::Everything => {
            let mut rows = board.head();
            for section in board.sections(Extent::All) {
                rows.push(Row::new(Tone::Plain, 0, ""));
                rows.push(title(&section.title.to_uppercase()));
                rows.extend(section.rows);
            }
            rows
        }
    }
}

/// As much of the rows as there is room for, and how much there is besides.
fn scrolled(view: &mut View, rows: &[Row], columns: usize, room: usize) -> Vec<Line> {
    let all: Vec<Line> = rows.iter().flat_map(|row| lay(row, columns)).collect();
    (view.rows, view.room) = (all.len(), room);
    if all.len() <= room {
        view.from = 0;
        return all;
    }
    // One line says where one is.
    view.room = room.saturating_sub(1).max(1);
    view.from = view.from.min(all.len() - view.room);
    let to = view.from + view.room;
    let text = format!("lines {} to {to} of {}", view.from + 1, all.len());
    let mut lines: Vec<Line> = all.into_iter().skip(view.from).take(view.room).collect();
    lines.push(Line { text, style: style(Tone::Dim) });
    lines
}
