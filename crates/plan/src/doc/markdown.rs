//! A document as Markdown that reads well as it stands, in an editor, in a pager, in print.
//!
//! The rule it keeps: what the plan's authors wrote comes out as they wrote it. Characters that
//! Markdown would take for its own are escaped, and a fence is longer than any inside of it.

use super::inline::{Inline, Line};
use super::page::{Block, Heading, Page, Step, Table};

/// A column is not padded beyond this: one long cell would push all others out of sight.
const PADDED_CHARACTERS_MAX: usize = 32;

pub(super) fn render(page: &Page) -> String {
    let mut out = format!("# {}\n\n> {}\n", escaped(&page.title), escaped(&page.origin));
    let mut has_contents = false;
    for block in &page.blocks {
        if let Block::Heading(Heading { level: 2, .. }) = block
            && !std::mem::replace(&mut has_contents, true)
        {
            contents(&mut out, page);
        }
        write(&mut out, block);
    }
    out.push_str(&format!("\n---\n\n{}\n", escaped(&page.footer)));
    out
}

fn contents(out: &mut String, page: &Page) {
    out.push_str("\n**Contents**\n\n");
    for block in &page.blocks {
        match block {
            Block::Heading(Heading { level: 2, text, anchor, .. }) => {
                out.push_str(&format!("- [{}](#{anchor})\n", escaped(text)));
            }
            Block::Heading(Heading { level: 3, text, anchor, .. })
                if page.procedures.contains(anchor) =>
            {
                out.push_str(&format!("  - [{}](#{anchor})\n", escaped(text)));
            }
            _ => {}
        }
    }
}

fn write(out: &mut String, block: &Block) {
    out.push('\n');
    match block {
        Block::Heading(heading) => head(out, heading),
        Block::Paragraph(text) => out.push_str(&format!("{}\n", line(text))),
        Block::Facts(facts) => {
            for (name, value) in facts {
                out.push_str(&format!("- **{name}:** {}\n", line(value)));
            }
        }
        Block::Table(described) => table(out, described),
        Block::List(items) => {
            items.iter().for_each(|item| out.push_str(&format!("- {}\n", line(item))));
        }
        Block::Code { language, text } => fence(out, language, text),
        Block::Step(described) => step(out, described),
    }
}

/// An anchor of its own stands before a heading whose words do not give it.
fn head(out: &mut String, heading: &Heading) {
    out.push_str(&format!("<a id=\"{}\"></a>\n\n", heading.anchor));
    let marks = "#".repeat(usize::from(heading.level));
    out.push_str(&format!("{marks} {}", escaped(&heading.text)));
    if let Some(aside) = &heading.aside {
        out.push_str(&format!(" ({})", escaped(aside)));
    }
    out.push('\n');
}

fn fence(out: &mut String, language: &str, text: &str) {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    out.push_str(&format!("{fence}{language}\n{text}\n{fence}\n"));
}

fn step(out: &mut String, step: &Step) {
    let mark = if step.is_approval { "APPROVAL: " } else { "" };
    out.push_str(&format!(
        "**\u{2610} {} {mark}{}**",
        step.number,
        line(&step.title).replace("**", "")
    ));
    let mut remarks: Vec<String> = step.remarks.iter().map(line).collect();
    if step.is_destructive {
        remarks.push("cannot be taken back".to_owned());
    }
    if !remarks.is_empty() {
        out.push_str(&format!(" \u{2014} {}", remarks.join("; ")));
    }
    out.push('\n');
    step.body.iter().for_each(|block| write(out, block));
    if !step.done_when.is_empty() {
        out.push_str("\nDone when:\n");
        for probe in &step.done_when {
            let mut blocks = probe.iter();
            if let Some(Block::Paragraph(first)) = blocks.next() {
                out.push_str(&format!("- {}\n", line(first)));
            }
            blocks.for_each(|block| write(out, block));
        }
    }
    if !step.notes.is_empty() {
        out.push('\n');
        for (name, value) in &step.notes {
            out.push_str(&format!("- *{name}:* {}\n", line(value)));
        }
    }
}

fn table(out: &mut String, table: &Table) {
    let cells = |row: &[Line]| row.iter().map(|cell| line(cell).replace('|', "\\|")).collect();
    let head: Vec<String> = table.head.iter().map(|name| (*name).to_owned()).collect();
    let rows: Vec<Vec<String>> = table.rows.iter().map(|row| cells(row)).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let lengths = rows.iter().chain([&head]).filter_map(|row| row.get(column));
            let longest = lengths.map(|cell| cell.chars().count()).max().unwrap_or(0);
            longest.clamp(3, PADDED_CHARACTERS_MAX)
        })
        .collect();
    let mut put = |row: &[String]| {
        for (cell, width) in row.iter().zip(&widths) {
            out.push_str(&format!("| {cell:<width$} "));
        }
        out.push_str("|\n");
    };
    put(&head);
    put(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
    rows.iter().for_each(|row| put(row));
}

fn line(line: &Line) -> String {
    line.0.iter().fold(String::new(), |text, part| {
        text + &match part {
            Inline::Text(words) => escaped(words),
            Inline::Strong(words) => format!("**{}**", escaped(words)),
            Inline::Code(words) => code(words),
            Inline::Break => "<br>".to_owned(),
        }
    })
}

/// Code within a line, between more backticks than it has in a row.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let marks = "`".repeat(longest + 1);
    let blank = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{marks}{blank}{text}{blank}{marks}")
}

/// Escapes what Markdown would take for a mark. A lone `_` or `-` within a word is none.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        let is_inner = before.is_alphanumeric() && next.is_alphanumeric();
        match c {
            '_' if is_inner => {}
            '#' | '+' | '-' if !(before == ' ' && next == ' ') => {}
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' => out.push('\\'),
            _ => {}
        }
        out.push(c);
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::inline::{code as code_line, own};
    use super::*;

    #[test]
    fn what_markdown_would_take_for_its_own_is_escaped() {
        assert_eq!(
            escaped("a <pod> of *all* [x] read_with"),
            r"a \<pod\> of \*all\* \[x\] read_with"
        );
        assert_eq!(escaped("Slack #incidents, node-1"), "Slack #incidents, node-1");
        assert_eq!(line(&code_line("a `b` c")), "``a `b` c``");
    }

    #[test]
    fn a_fence_is_longer_than_those_inside() {
        let mut out = String::new();
        fence(&mut out, "", "```\nx\n```");
        assert_eq!(out, "````\n```\nx\n```\n````\n");
    }

    #[test]
    fn a_bar_in_a_cell_does_not_end_it() {
        let described = Table { head: vec!["a", "b"], rows: vec![vec![own("x|y"), own("z")]] };
        let mut out = String::new();
        table(&mut out, &described);
        assert_eq!(out, "| a    | b   |\n| ---- | --- |\n| x\\|y | z   |\n");
    }
}
