//! What the readers of a file find, before it is known which of the plan's files it was.
//!
//! The rule it keeps: a finding is made where the mistake is read, with the bytes it is about. What
//! becomes of it is in `check/finding.rs`: there is one kind of finding outside.

use std::ops::Range;

use crate::rules;

/// The rules of the language: `rules/language.rs` says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
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
    /// A vault that is declared nowhere.
    UnknownVault,
    /// A secret written into the plan.
    PlainSecret,
    /// `${…}` where none is allowed, or of an unknown kind.
    BadReference,
    /// The same value twice in a list.
    RepeatedValue,
}

impl Code {
    /// The stable name, such as `S0005`.
    pub(crate) fn as_str(self) -> &'static str {
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
            Self::UnknownVault => "S0010",
            Self::PlainSecret => "S0011",
            Self::BadReference => "S0012",
            Self::RepeatedValue => "S0013",
        }
    }

    /// Why it matters.
    pub(crate) fn why(self) -> &'static str {
        rules::find(self.as_str()).map_or("", |rule| rule.why)
    }
}

/// A finding before its file is known, as the readers make it.
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
}

/// A reader stops to collect here: a file of 16 MiB can hold millions of mistakes, each of which
/// takes memory, and nobody reads the thousandth.
pub(crate) const RAW_MAX: usize = 100_000;
