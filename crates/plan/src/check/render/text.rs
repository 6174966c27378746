//! Findings as compilers print them: what, where with the line and a caret under it, why, the proof
//! and what to do.
//!
//! Drawn by `annotate-snippets`, which draws rustc's own. It is given only the lines that are
//! pointed at: a document of five megabytes is not read again for each finding.

use std::ops::Range;

use annotate_snippets::renderer::Renderer;
use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin as Head, Snippet,
    normalize_untrusted_str,
};
use unicode_width::UnicodeWidthStr;

use super::wrap::wrap;
use super::{Paper, shown, summary};
use crate::check::{Finding, Label, Report, Severity};
use crate::language::{FileId, Source, Sources};

/// Nobody mends more at a sitting; JSON and SARIF have them all.
const FINDINGS_MAX: usize = 1000;

/// So many passages that were not understood are listed.
const UNREAD_MAX: usize = 50;

/// Labels of a file that are farther apart are quoted apart.
const WINDOW_BYTES_MAX: usize = 32 << 10;

/// Longer lines are data: their place is told, they are not quoted.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Narrower than this a quote cannot be read.
const WIDTH_MIN: usize = 40;

/// The whole report, with what was not understood, and a last line that counts.
pub fn text(report: &Report, paper: Paper) -> String {
    let mut text = String::new();
    for found in report.findings.iter().take(FINDINGS_MAX) {
        text.push_str(&finding(&report.sources, found, paper));
        text.push_str("\n\n");
    }
    if let Some(more @ 1..) = report.findings.len().checked_sub(FINDINGS_MAX) {
        text.push_str(&format!("… and {more} more findings: --format json has them all\n\n"));
    }
    text.push_str(&unread(report, paper));
    text.push_str(&summary(report));
    text
}

/// One finding, without a line break at its end.
pub fn finding(sources: &Sources, finding: &Finding, paper: Paper) -> String {
    let finding = shown(finding);
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = Group::with_title(level.primary_title(&finding.title).id(finding.code));
    let mut lines_max = 1;
    for window in windows(sources, &finding.labels) {
        lines_max = lines_max.max(window.line_last);
        group = window.elements().into_iter().fold(group, Group::element);
    }
    // `12 | `: the number, a blank, the bar; then the name of what follows.
    let indentation = lines_max.to_string().len() + " = ".len();
    let notes = [("why", Some(&finding.why)), ("proof", finding.proof.as_ref())];
    let notes = notes.map(|(name, text)| (Level::NOTE.with_name(name), name, text));
    let help = (Level::HELP, "help", finding.hint.as_ref());
    for (level, name, text) in notes.into_iter().chain([help]) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
        let width = paper.width.max(WIDTH_MIN) - indentation - name.width() - ": ".len();
        let lines: Vec<_> =
            wrap(text, width).iter().map(|line| normalize_untrusted_str(line)).collect();
        group = group.element(level.message(lines.join("\n")));
    }
    renderer(paper).render(&[group])
}

fn renderer(paper: Paper) -> Renderer {
    let renderer = if paper.colour { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(paper.width.max(WIDTH_MIN))
}

/// Lines of a file that are quoted together.
struct Window<'s> {
    source: &'s Source,
    labels: Vec<(&'s Label, Range<usize>, bool)>,
    bytes: Range<usize>,
    line_first: usize,
    line_last: usize,
}

/// The lines to quote: those of the first label first, then file by file.
fn windows<'s>(sources: &'s Sources, labels: &'s [Label]) -> Vec<Window<'s>> {
    let mut sorted: Vec<(usize, &Label)> = labels.iter().enumerate().collect();
    let first_file = labels.first().map_or(FileId::default(), |label| label.origin.file);
    sorted.sort_by_key(|(_, label)| (label.origin.file != first_file, label.origin));
    let mut windows: Vec<Window<'_>> = Vec::new();
    for (number, label) in sorted {
        let Some(source) = sources.file(label.origin.file) else { continue };
        let span = quotable(source, label.origin.range());
        let is_first = number == 0;
        let near = windows.last_mut().filter(|window| {
            std::ptr::eq(window.source, source) && span.start < window.bytes.end + WINDOW_BYTES_MAX
        });
        match near {
            Some(window) => window.add(label, span, is_first),
            None => windows.push(Window::new(source, label, span, is_first)),
        }
    }
    windows.sort_by_key(|window| !window.labels.iter().any(|(_, _, is_first)| *is_first));
    windows
}

/// The part of a span that can be drawn: inside the text, on whole characters, without the line
/// break and the blanks it ends with.
fn quotable(source: &Source, span: Range<usize>) -> Range<usize> {
    let text = source.shown();
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    let inside = text.get(start..end).unwrap_or("").trim_end();
    // A blank alone may be what is wrong.
    if inside.is_empty() { start..start } else { start..start + inside.len() }
}

impl<'s> Window<'s> {
    fn new(source: &'s Source, label: &'s Label, span: Range<usize>, is_first: bool) -> Self {
        let line = source.place(span.start).line;
        let bytes = span.clone();
        let mut window =
            Self { source, labels: Vec::new(), bytes, line_first: line, line_last: line };
        window.add(label, span, is_first);
        window
    }

    fn add(&mut self, label: &'s Label, span: Range<usize>, is_first: bool) {
        self.bytes = self.bytes.start.min(span.start)..self.bytes.end.max(span.end);
        self.line_last = self.line_last.max(self.source.place(span.end).line);
        self.labels.push((label, span, is_first));
    }

    fn elements(self) -> Vec<Element<'s>> {
        let text = self.source.shown();
        let start = text.get(..self.bytes.start).and_then(|before| before.rfind('\n'));
        let start = start.map_or(0, |at| at + 1);
        let end = text.get(self.bytes.end..).and_then(|behind| behind.find('\n'));
        let end = end.map_or(text.len(), |at| self.bytes.end + at);
        let quoted = text.get(start..end).unwrap_or("");
        if quoted.split('\n').any(|line| line.len() > LINE_BYTES_MAX) {
            return self.unquoted();
        }
        let annotations = self.labels.into_iter().map(|(label, span, is_first)| {
            annotation(label, span.start - start..span.end - start, is_first)
        });
        let snippet = Snippet::source(quoted)
            .path(self.source.name.as_str())
            .line_start(self.line_first)
            .annotations(annotations);
        vec![snippet.into()]
    }

    /// The places alone, where the lines are too long to be drawn.
    fn unquoted(self) -> Vec<Element<'s>> {
        let mut elements = Vec::new();
        for (label, span, _) in self.labels {
            let place = self.source.place(span.start);
            let head = Head::path(self.source.name.as_str());
            elements.push(head.line(place.line).char_column(place.column).into());
            if !label.text.is_empty() {
                let text = normalize_untrusted_str(&label.text);
                elements.push(Level::NOTE.with_name("here").message(text).into());
            }
        }
        elements
    }
}

fn annotation(label: &Label, span: Range<usize>, is_first: bool) -> Annotation<'_> {
    let kind = if is_first { AnnotationKind::Primary } else { AnnotationKind::Context };
    let text = Some(label.text.as_str()).filter(|text| !text.is_empty());
    kind.span(span).label(text)
}

/// What no front end understood, so that silence about it is not taken for praise.
fn unread(report: &Report, paper: Paper) -> String {
    if report.unread.is_empty() {
        return String::new();
    }
    let mut text = String::from("not understood, and so not checked:\n");
    for passage in report.unread.iter().take(UNREAD_MAX) {
        let Some(source) = report.sources.file(passage.origin.file) else { continue };
        let place = source.place(passage.origin.range().start);
        let at = format!("  {}:{}:{}: ", source.name, place.line, place.column);
        let width = paper.width.max(WIDTH_MIN).saturating_sub(at.width()).max(WIDTH_MIN);
        let lines = wrap(&passage.why, width);
        let behind = format!("\n{}", " ".repeat(at.width()));
        let lines: Vec<_> = lines.iter().map(|line| normalize_untrusted_str(line)).collect();
        text.push_str(&format!("{at}{}\n", lines.join(&behind)));
    }
    if let Some(more @ 1..) = report.unread.len().checked_sub(UNREAD_MAX) {
        text.push_str(&format!("  … and {more} more: --format json has them all\n"));
    }
    text.push('\n');
    text
}
