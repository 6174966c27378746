//! What would fail: one finding, with everything a person needs to believe and to mend it.

use serde::Serialize;

use super::rule::Rule;
use crate::findings::Raw;
use crate::language::{FileId, Origin};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It may fail, or nobody could tell.
    Warning,
    /// The plan cannot work as it is written.
    Error,
}

/// Something that would fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule, such as `S0101`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line, with the plan's own names and numbers.
    pub title: String,
    /// Where: the first is the place, the others belong to it. Never empty.
    pub labels: Vec<Label>,
    /// Why it fails when it is needed.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What proves it: a figure computed, a fact with its source.
    pub proof: Option<String>,
}

/// A place in a file and what it has to do with the finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub origin: Origin,
    /// What stands under the caret; may be empty.
    pub text: String,
}

/// Something that no front end understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The place.
    pub origin: Origin,
    /// Why it was not understood.
    pub why: String,
}

impl Finding {
    /// A finding of a rule at a place.
    pub fn new(rule: &Rule, origin: Origin, title: impl Into<String>) -> Self {
        Self {
            code: rule.code,
            severity: rule.severity,
            title: title.into(),
            labels: vec![Label { origin, text: String::new() }],
            why: rule.why.to_owned(),
            hint: None,
            proof: None,
        }
    }

    /// What the reader of a file found.
    pub(crate) fn of_reader(raw: Raw, file: FileId) -> Self {
        let origin = Origin::new(file, raw.span);
        Self {
            code: raw.code.as_str(),
            severity: Severity::Error,
            title: raw.title,
            labels: vec![Label { origin, text: String::new() }],
            why: raw.code.why().to_owned(),
            hint: raw.hint,
            proof: None,
        }
    }

    /// What stands under the first caret.
    pub fn here(mut self, text: impl Into<String>) -> Self {
        if let Some(first) = self.labels.first_mut() {
            first.text = text.into();
        }
        self
    }

    /// Another place that belongs to it.
    pub fn label(mut self, origin: Origin, text: impl Into<String>) -> Self {
        self.labels.push(Label { origin, text: text.into() });
        self
    }

    /// Why it fails, where the rule's own words are not enough.
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// What to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What proves it.
    #[must_use]
    pub fn proof(mut self, proof: impl Into<String>) -> Self {
        self.proof = Some(proof.into());
        self
    }

    /// How bad, where that depends on the case.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The place it is about.
    pub fn origin(&self) -> Origin {
        self.labels.first().map(|label| label.origin).unwrap_or_default()
    }

    /// What findings are sorted by.
    pub(crate) fn order(&self) -> (Origin, &'static str, &str) {
        (self.origin(), self.code, &self.title)
    }
}
