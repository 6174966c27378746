//! The graph for a terminal: a table for each tier, and the critical path in one line.

use super::{Mood, ServiceView, View};

/// Narrower than that is no terminal.
const WIDTH_MIN: usize = 60;

/// A name longer than that is cut.
const TITLE_MAX: usize = 34;

pub(super) fn draw(view: &View, width: usize) -> String {
    let width = width.max(WIDTH_MIN);
    let mut text = String::new();
    let columns = columns(view);
    for tier in &view.tiers {
        let rule = "─".repeat(width.saturating_sub(length(&tier.title) + 4).min(90));
        line!(text, "── {} {rule}", tier.title);
        line!(text, "{}", row(&columns, HEAD.map(str::to_owned), "", width));
        for service in &tier.services {
            let mark = if service.is_critical { "●" } else { " " };
            let flag = flag(service);
            let cells = [
                format!("{mark} {}", cut(&service.title, TITLE_MAX)),
                service.rto(),
                service.earliest(),
                service.latest(),
                format!("{}{flag}", service.slack()),
            ];
            line!(text, "{}", row(&columns, cells, &service.needs.join(", "), width));
        }
        text.push('\n');
    }
    if !view.critical_path.is_empty() {
        line!(text, "● critical path: {}", view.critical_path.join(" → "));
    }
    for cycle in &view.cycles {
        let first = cycle.first().map_or("", String::as_str);
        line!(text, "✗ cycle: {} → {first}", cycle.join(" → "));
    }
    if !view.unknown.is_empty() {
        line!(text, "? needed and declared nowhere: {}", view.unknown.join(", "));
    }
    text.push_str(LEGEND);
    text
}

const HEAD: [&str; 5] = ["  service", "RTO", "earliest", "due", "slack"];

const LEGEND: &str = "\
earliest: own restore and start after what it needs, without people (~ rests on assumptions) · due: by
then for all promises that stand on it · slack: ✗ broken already, ! none left, · less than a tenth\n";

fn flag(service: &ServiceView) -> &'static str {
    match service.mood() {
        Mood::Broken => " ✗",
        Mood::None => " !",
        Mood::Little => " ·",
        Mood::Enough | Mood::Unbound => "",
    }
}

/// The widths that all tables share.
fn columns(view: &View) -> [usize; 5] {
    let mut widths = HEAD.map(length);
    for service in view.services() {
        let cells = [
            2 + length(&cut(&service.title, TITLE_MAX)),
            length(&service.rto()),
            length(&service.earliest()),
            length(&service.latest()),
            length(&service.slack()) + length(flag(service)),
        ];
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell);
        }
    }
    widths
}

fn row(widths: &[usize; 5], cells: [String; 5], needs: &str, width: usize) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width.saturating_sub(length(cell)) + 2));
    }
    if !needs.is_empty() {
        let room = width.saturating_sub(length(&line) + 2);
        line.push_str(&format!("← {}", cut(needs, room.max(12))));
    }
    line.trim_end().to_owned()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
