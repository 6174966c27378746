//! Findings as JSON. Keys are only ever added.

use serde::Serialize;

use super::shown;
use crate::check::{Report, Severity};
use crate::language::{Origin, Sources};

/// Longest text of a span: a section of many lines is known by its beginning.
const TEXT_BYTES_MAX: usize = 2000;

#[derive(Serialize)]
struct Document {
    findings: Vec<Finding>,
    unread: Vec<Unread>,
}

#[derive(Serialize)]
struct Finding {
    code: &'static str,
    severity: Severity,
    title: String,
    spans: Vec<Span>,
    why: String,
    hint: Option<String>,
    proof: Option<String>,
}

#[derive(Serialize)]
struct Unread {
    #[serde(flatten)]
    span: Span,
    why: String,
}

/// Lines and columns count from 1, columns in characters; the end is behind the last character.
#[derive(Serialize)]
struct Span {
    file: String,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    text: String,
}

/// All findings, in their order. `text` of a span is what is written there.
pub fn json(report: &Report) -> impl Serialize + use<> {
    let findings = report.findings.iter().map(|finding| {
        let finding = shown(finding);
        let spans = finding.labels.iter().map(|label| span(&report.sources, label.origin));
        Finding {
            code: finding.code,
            severity: finding.severity,
            spans: spans.collect(),
            title: finding.title,
            why: finding.why,
            hint: finding.hint,
            proof: finding.proof,
        }
    });
    let unread = report.unread.iter().map(|passage| Unread {
        span: span(&report.sources, passage.origin),
        why: passage.why.clone(),
    });
    Document { findings: findings.collect(), unread: unread.collect() }
}

fn span(sources: &Sources, origin: Origin) -> Span {
    let Some(source) = sources.file(origin.file) else {
        return Span {
            file: String::new(),
            line: 1,
            column: 1,
            end_line: 1,
            end_column: 1,
            text: String::new(),
        };
    };
    let (start, end) = (source.place(origin.range().start), source.place(origin.range().end));
    Span {
        file: source.name.clone(),
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        text: quoted(source.shown(), origin),
    }
}

/// What is written there, as it may be shown.
pub(super) fn quoted(text: &str, origin: Origin) -> String {
    let range = origin.range();
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let end = range.end.clamp(start, text.len()).min(start + TEXT_BYTES_MAX);
    text.get(start..text.floor_char_boundary(end)).unwrap_or("").to_owned()
}
