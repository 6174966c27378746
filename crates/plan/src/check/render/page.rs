//! The pages of the rules, as a terminal shows them.

use annotate_snippets::renderer::{AnsiColor, Effects, Style};

use super::Paper;
use super::wrap::wrap;
use crate::check::{Rule, Severity};
use crate::rules;

const BOLD: Style = Style::new().effects(Effects::BOLD);
const CODE: Style = AnsiColor::Cyan.on_default();

/// The page of a rule.
pub fn page(rule: &Rule, paper: Paper) -> String {
    let mut text = String::new();
    for paragraph in paragraphs(rule.page) {
        if !text.is_empty() {
            text.push('\n');
        }
        match paragraph.as_slice() {
            [line] if line.starts_with('#') => {
                text.push_str(&painted(line.trim_start_matches('#').trim(), BOLD, paper));
                text.push('\n');
            }
            lines if lines.iter().all(|line| line.starts_with("    ") || line.is_empty()) => {
                for line in lines {
                    text.push_str(&painted(line, CODE, paper));
                    text.push('\n');
                }
            }
            lines => {
                for line in wrap(&lines.join(" "), paper.width) {
                    text.push_str(&emphasised(&line, paper));
                    text.push('\n');
                }
            }
        }
    }
    text
}

/// All rules, family by family, a line each.
pub fn rules(paper: Paper) -> String {
    let mut text = String::new();
    for (family, title) in rules::FAMILIES_BY_NAME {
        text.push_str(&format!("{}\n", painted(&format!("{family}  {title}"), BOLD, paper)));
        for rule in rules::all().filter(|rule| rule.code.starts_with(family)) {
            let severity = word(rule.severity);
            text.push_str(&format!("  {}  {severity:7}  {}\n", rule.code, rule.title));
        }
        text.push('\n');
    }
    text.push_str("`soter explain S0101` shows the page of one\n");
    text
}

/// The word of a severity, as reports say it.
pub(super) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Paragraphs of Markdown; a block of code is one, with its empty lines.
fn paragraphs(page: &str) -> Vec<Vec<&str>> {
    let is_code = |line: &str| line.starts_with("    ");
    let mut all: Vec<Vec<&str>> = Vec::new();
    let mut current: Vec<&str> = Vec::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let inside_code = current.first().is_some_and(|first| is_code(first));
        if !line.trim().is_empty() {
            current.push(line);
        } else if inside_code && lines.peek().is_some_and(|next| is_code(next)) {
            current.push("");
        } else if !current.is_empty() {
            all.push(std::mem::take(&mut current));
        }
    }
    all.extend((!current.is_empty()).then_some(current));
    all
}

/// `**bold**` and `` `code` `` of a line: painted on a terminal, else left as they are.
fn emphasised(line: &str, paper: Paper) -> String {
    if !paper.colour {
        return line.replace("**", "");
    }
    let mut text = String::new();
    for (at, part) in line.split("**").enumerate() {
        if at % 2 == 1 {
            text.push_str(&painted(part, BOLD, paper));
            continue;
        }
        for (at, part) in part.split('`').enumerate() {
            let style = if at % 2 == 1 { CODE } else { Style::new() };
            text.push_str(&painted(part, style, paper));
        }
    }
    text
}

fn painted(text: &str, style: Style, paper: Paper) -> String {
    if paper.colour && !text.is_empty() && style != Style::new() {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}
