//! Tables that CommonMark does not take for tables: without a line of dashes, with one that has
//! another number of columns, drawn with `+---+`.

use super::Table;
use crate::markdown::text::Text;

/// The table that a paragraph's lines make, if they do.
pub(super) fn table(paragraph: &Text) -> Option<Table> {
    if !paragraph.as_str().contains('|') {
        return None;
    }
    let lines = paragraph.lines();
    let is_rule = |line: &Text| {
        let text = line.as_str();
        (text.contains("--") || text.contains("=="))
            && text.chars().all(|c| matches!(c, '|' | '-' | ':' | '+' | '=' | ' '))
    };
    let is_drawn = lines.first().is_some_and(|line| line.as_str().starts_with("+-"));
    let has_rule = is_drawn || lines.get(1).is_some_and(is_rule);
    let rows: Vec<&Text> = lines.iter().filter(|line| !is_rule(line)).collect();
    if rows.len() < 2 || rows.iter().any(|line| !line.as_str().contains('|')) {
        return None;
    }
    let mut cells =
        if is_drawn { drawn(&lines, is_rule) } else { rows.iter().map(|row| split(row)).collect() };
    let width = cells.first().map_or(0, Vec::len);
    let even = cells.iter().all(|row| row.len() == width);
    if width < 2 || (!has_rule && (rows.len() < 3 || !even)) {
        return None;
    }
    let columns = cells.remove(0);
    for row in &mut cells {
        row.resize_with(width, || Text::new(paragraph.file()));
    }
    Some(Table { columns, rows: cells, origin: paragraph.origin() })
}

/// Rows between rules may take several lines.
fn drawn(lines: &[Text], is_rule: impl Fn(&Text) -> bool) -> Vec<Vec<Text>> {
    let mut rows: Vec<Vec<Text>> = Vec::new();
    let mut fresh = true;
    for line in lines {
        if is_rule(line) {
            fresh = true;
            continue;
        }
        let cells = split(line);
        match rows.last_mut().filter(|_| !fresh) {
            Some(row) => {
                for (cell, more) in row.iter_mut().zip(cells).filter(|(_, more)| !more.is_blank()) {
                    let end = cell.origin().range().end;
                    cell.push("\n", end..end);
                    cell.push(more.as_str(), more.origin().range());
                }
            }
            None => rows.push(cells),
        }
        fresh = false;
    }
    rows
}

/// The cells of a line, empty ones too.
fn split(line: &Text) -> Vec<Text> {
    let text = line.as_str();
    let start = usize::from(text.starts_with('|'));
    let end = if text.len() > start && text.ends_with('|') { text.len() - 1 } else { text.len() };
    let mut cells = Vec::new();
    let mut from = start;
    for (at, _) in text.match_indices('|').filter(|(at, _)| *at >= start && *at < end) {
        cells.push(line.slice(from..at).trim());
        from = at + 1;
    }
    cells.push(line.slice(from..end).trim());
    cells
}
