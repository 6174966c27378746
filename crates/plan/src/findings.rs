//! What is wrong with a plan, all of it at once, each finding with its place and what to do.
//!
//! The rule it keeps: a finding never shows a secret. The source it quotes is masked before it is
//! stored (`mask.rs`), so whatever renders it later, a terminal, a log or JSON, cannot leak.

use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity,
    SourceCode,
};
use serde::Serialize;

use crate::mask::mask;

/// Everything that is wrong with a plan, in the order of its lines. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}", summary(findings.len(), *left_out))]
pub struct Findings {
    file: String,
    masked_source: String,
    findings: Vec<Finding>,
    left_out: usize,
}

/// One thing that is wrong: what, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which rule was broken; stable, explained in `docs/plan.md`.
    pub code: Code,
    /// What is wrong, one line. Contains no value of the plan that could be secret.
    pub title: String,
    /// What to do.
    pub hint: Option<String>,
    /// Where it starts.
    pub place: Place,
    /// The bytes of the source it is about.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// A place in a file, counted from 1 as editors do; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

/// The rules of the language; `docs/plan.md` has a paragraph for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The file is not UTF-8 text, or too large to be a plan.
    NotText,
    /// The file is not YAML, or not one document.
    NotYaml,
    /// Anchors, aliases, tags, merge keys: YAML that the language leaves out.
    NotInTheLanguage,
    /// A key appears twice in one section.
    DuplicateKey,
    /// A key the section does not have.
    UnknownKey,
    /// A key the section must have.
    MissingKey,
    /// A text where a section was expected, a list where a text was, and so on.
    WrongShape,
    /// A value that cannot be read: no unit, bad name, bad cron line.
    InvalidValue,
    /// A value that can be read and is too small or too large.
    OutOfRange,
    /// A name that is declared nowhere.
    UnknownName,
    /// A secret written into the plan.
    PlainSecret,
    /// `${…}` where none is allowed, or of an unknown kind.
    BadReference,
    /// The same value twice in a list.
    RepeatedValue,
}

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// No colour: for files, pipes and tests.
    Plain,
    /// ANSI colours: for a terminal.
    Colour,
}

impl Findings {
    /// Sorts the findings by place and masks the source. There must be at least one.
    pub(crate) fn new(
        file: &str,
        source: &str,
        mut raw: Vec<Raw>,
        secrets: &[Range<usize>],
    ) -> Self {
        raw.sort_by(|a, b| (a.span.start, a.code, &a.title).cmp(&(b.span.start, b.code, &b.title)));
        let left_out = raw.len().saturating_sub(FINDINGS_MAX);
        raw.truncate(FINDINGS_MAX);
        let findings = raw.into_iter().map(|raw| raw.placed(source)).collect();
        let masked_source = mask(source, secrets);
        Self { file: file.to_owned(), masked_source, findings, left_out }
    }

    /// The findings, by place.
    pub fn all(&self) -> &[Finding] {
        &self.findings
    }

    /// The name of the file as it was given to the parser.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The report for people: each finding with file, line, column, the quoted line, a caret and
    /// the hint.
    pub fn render(&self, ink: Ink) -> String {
        let handler = GraphicalReportHandler::new_themed(theme(ink))
            .with_width(REPORT_WIDTH)
            .with_context_lines(1)
            .without_cause_chain()
            .with_links(false);
        let source = NamedSource::new(&self.file, self.masked_source.clone());
        let mut text = String::new();
        for finding in &self.findings {
            let report = Report { finding, source: &source };
            let mut drawn = String::new();
            if self.is_quotable(finding) && handler.render_report(&mut drawn, &report).is_ok() {
                text.push_str(&drawn);
            } else {
                // No frame can be drawn: the facts alone, rather than nothing.
                text.push_str(&finding.facts(&self.file));
            }
            text.push('\n');
        }
        text.push_str(&format!("{self}\n"));
        text
    }

    /// Whether the lines a report shows, the finding's and one on each side, fit on a screen.
    fn is_quotable(&self, finding: &Finding) -> bool {
        let first = finding.place.line.saturating_sub(2);
        let lines = self.masked_source.split('\n').skip(first).take(3);
        let mut shown = lines.chain(self.masked_source.get(finding.span.clone()));
        shown.all(|line| line.len() <= QUOTED_BYTES_MAX)
    }
}

/// A reader stops to collect here: a file of 16 MiB can hold millions of mistakes, each of which
/// takes memory, and nobody reads the thousandth. More than a file of an agent can hold.
pub(crate) const RAW_MAX: usize = 100_000;

/// Nobody mends more at once, and each costs a look through the source.
const FINDINGS_MAX: usize = 100;

/// Longer lines are not quoted: they are data, not a plan.
const QUOTED_BYTES_MAX: usize = 1000;

/// Columns of a report: fits a terminal of 80 with room for a prefix.
const REPORT_WIDTH: usize = 79;

fn summary(shown: usize, left_out: usize) -> String {
    match (shown, left_out) {
        (1, 0) => "1 error".to_owned(),
        (count, 0) => format!("{count} errors"),
        (shown, left_out) => format!("{} errors, the first {shown} shown", shown + left_out),
    }
}

fn theme(ink: Ink) -> GraphicalTheme {
    let mut theme = match ink {
        Ink::Plain => GraphicalTheme::unicode_nocolor(),
        Ink::Colour => GraphicalTheme::unicode(),
    };
    // Carets, as compilers print them.
    theme.characters.underline = '^';
    theme.characters.underbar = '^';
    theme.characters.uarrow = '^';
    theme
}

impl Finding {
    /// File, line, column, code, title and hint, without a quote.
    fn facts(&self, file: &str) -> String {
        let Place { line, column } = self.place;
        let facts = format!("{file}:{line}:{column}: {} {}\n", self.code, self.title);
        match &self.hint {
            Some(hint) => format!("{facts}  help: {hint}\n"),
            None => facts,
        }
    }
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::NotText,
        Self::NotYaml,
        Self::NotInTheLanguage,
        Self::DuplicateKey,
        Self::UnknownKey,
        Self::MissingKey,
        Self::WrongShape,
        Self::InvalidValue,
        Self::OutOfRange,
        Self::UnknownName,
        Self::PlainSecret,
        Self::BadReference,
        Self::RepeatedValue,
    ];

    /// The stable name, such as `S0005`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotText => "S0001",
            Self::NotYaml => "S0002",
            Self::NotInTheLanguage => "S0003",
            Self::DuplicateKey => "S0004",
            Self::UnknownKey => "S0005",
            Self::MissingKey => "S0006",
            Self::WrongShape => "S0007",
            Self::InvalidValue => "S0008",
            Self::OutOfRange => "S0009",
            Self::UnknownName => "S0010",
            Self::PlainSecret => "S0011",
            Self::BadReference => "S0012",
            Self::RepeatedValue => "S0013",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A finding before its place is counted, as the readers make it.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) code: Code,
    pub(crate) title: String,
    pub(crate) hint: Option<String>,
    pub(crate) span: Range<usize>,
}

impl Raw {
    pub(crate) fn new(code: Code, span: Range<usize>, title: impl Into<String>) -> Self {
        Self { code, title: title.into(), hint: None, span }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts it with the others, unless there are too many already.
    pub(crate) fn join(self, findings: &mut Vec<Self>) {
        if findings.len() < RAW_MAX {
            findings.push(self);
        }
    }

    fn placed(self, source: &str) -> Finding {
        let end = source.len();
        let span = self.span.start.min(end)..self.span.end.min(end);
        Finding {
            code: self.code,
            title: self.title,
            hint: self.hint,
            place: place(source, span.start),
            span,
        }
    }
}

/// Counts lines and characters up to a byte.
pub(crate) fn place(source: &str, offset: usize) -> Place {
    let before = source.as_bytes().get(..offset).unwrap_or(source.as_bytes());
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
    Place { line, column }
}

/// One finding as miette wants it.
struct Report<'a> {
    finding: &'a Finding,
    source: &'a NamedSource<String>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding.fmt(f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.title)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.code))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(None, self.finding.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}
