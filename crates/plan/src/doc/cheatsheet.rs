//! The quick reference: one page for the wall, the envelope and the fax.
//!
//! The rule it keeps: it always fits. What matters least is shortened first, then left out, and the
//! page says how much was.

mod layout;
mod rows;

use super::Edition;
use super::chapters::Book;
use super::html::{escaped, open};
use crate::language::Plan;
use layout::{Fitted, ascii, fit, wrapped};

/// How the HTML page looks.
const STYLE: &str = include_str!("cheatsheet/sheet.css");

/// A fax, a terminal and a typewriter have that many characters in a line.
const TEXT_COLUMNS: usize = 78;

/// An A4 page in a typewriter's face has 66 lines, some of which a printer keeps for itself.
const TEXT_LINES: usize = 60;

/// Characters in a line of one of the two columns of the printed page, a little less than fit.
const HTML_COLUMNS: usize = 60;

/// Lines of both columns together, a little less than fit a Letter page, the shorter of the two.
const HTML_LINES: usize = 120;

/// A part of the sheet, such as the contacts.
#[derive(Debug)]
struct Section {
    title: &'static str,
    entries: Vec<Entry>,
}

/// Something on the sheet, in words of several lengths, the longest first.
#[derive(Debug)]
struct Entry {
    levels: Vec<Level>,
}

/// One of the lengths, and what it costs to do without: the cheapest goes first.
#[derive(Debug)]
struct Level {
    rows: Vec<Row>,
    price: u32,
}

/// A line before it is broken into lines.
#[derive(Debug, Clone)]
struct Row {
    /// What it is about, if it says so.
    name: String,
    /// What follows the name, with the mark between them.
    text: String,
    kind: Kind,
}

impl Row {
    fn whole(&self) -> String {
        format!("{}{}", self.name, self.text)
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It names something.
    Head,
    /// It says something about what was named before it.
    Detail,
    /// It can be copied: where it is broken, a backslash stands.
    Command,
}

/// As text.
pub(super) fn text(plan: &Plan, edition: &Edition) -> String {
    let book = Book::new(plan, edition);
    let head = [
        format!("{}: QUICK REFERENCE FOR A DISASTER", book.title().to_uppercase()),
        origin(edition),
    ];
    let mut lines: Vec<String> =
        head.iter().flat_map(|line| wrapped(&ascii(line), TEXT_COLUMNS, 0, false)).collect();
    lines.push("=".repeat(TEXT_COLUMNS));
    // Each section takes a line for its title.
    let Fitted { sections, left_out } =
        fit(rows::sections(&book), TEXT_LINES - lines.len() - 1, |row| text_lines(row).len());
    for (section, rows) in sections {
        let title = format!("-- {} ", section.to_uppercase());
        lines.push(format!("{title:-<TEXT_COLUMNS$}"));
        lines.extend(rows.iter().flat_map(text_lines));
    }
    lines.extend(remark(left_out));
    lines.truncate(TEXT_LINES);
    lines.join("\n") + "\n"
}

fn text_lines(row: &Row) -> Vec<String> {
    let indent = if row.kind == Kind::Head { 0 } else { 2 };
    let lines = wrapped(&ascii(&row.whole()), TEXT_COLUMNS - indent, 2, row.kind == Kind::Command);
    lines.into_iter().map(|line| format!("{}{line}", " ".repeat(indent))).collect()
}

fn origin(edition: &Edition) -> String {
    format!(
        "Derived by soter cheatsheet from plan {} as of {}. Change the plan, never this sheet. The \
         whole text: soter doc.",
        edition.digest.short(),
        edition.as_of
    )
}

fn remark(left_out: usize) -> Option<String> {
    (left_out > 0)
        .then(|| format!("Left out for want of room: {left_out}. They are in the document."))
}

/// As a page of HTML.
pub(super) fn html(plan: &Plan, edition: &Edition) -> String {
    let book = Book::new(plan, edition);
    let fitted = fit(rows::sections(&book), HTML_LINES, |row| {
        wrapped(&row.whole(), HTML_COLUMNS, 2, false).len()
    });
    let title = format!("{}: quick reference for a disaster", book.title());
    let mut out = String::new();
    open(&mut out, &title, STYLE);
    out.push_str(&format!("<body>\n<main>\n<h1>{}</h1>\n", escaped(&title)));
    out.push_str(&format!(
        "<p class=\"origin\">{}</p>\n<div class=\"sheet\">\n",
        escaped(&origin(edition))
    ));
    for (section, rows) in &fitted.sections {
        out.push_str(&format!("<h2>{section}</h2>\n"));
        for row in rows {
            let class = match row.kind {
                Kind::Head => "head",
                Kind::Detail => "detail",
                Kind::Command => "command",
            };
            let (name, text) = (escaped(&row.name), escaped(&row.text));
            out.push_str(&format!("<p class=\"{class}\"><b>{name}</b>{text}</p>\n"));
        }
    }
    if let Some(line) = remark(fitted.left_out) {
        out.push_str(&format!("<p class=\"detail\">{line}</p>\n"));
    }
    out.push_str("</div>\n</main>\n</body>\n</html>\n");
    out
}
