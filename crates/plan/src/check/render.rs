//! Findings on the outside: as text for people, as JSON and as SARIF for programs.
//!
//! The rule it keeps: all three say the same, and none shows a secret. Sources are quoted as
//! [`Source::shown`](crate::language::Source::shown) gives them; what rules wrote passes the same
//! mask.

mod json;
mod page;
mod sarif;
mod summary;
mod text;
mod wrap;

#[cfg(test)]
mod tests;

pub use json::json;
pub use page::{page, rules};
pub use sarif::{Tool, fingerprint, sarif};
pub use summary::summary;
pub use text::{finding, text};

use super::finding::{Finding, Label};
use crate::mask::mask;

/// What text is written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paper {
    /// Columns of a line.
    pub width: usize,
    /// Whether colours are understood, as by a terminal.
    pub colour: bool,
}

impl Paper {
    /// A file, a pipe or a test: 80 columns, no colour.
    pub const PLAIN: Self = Self { width: 80, colour: false };
}

/// A finding whose words hold no secret that can be recognised.
fn shown(finding: &Finding) -> Finding {
    let quiet = |text: &str| mask(text, &[]);
    let label = |label: &Label| Label { origin: label.origin, text: quiet(&label.text) };
    Finding {
        title: quiet(&finding.title),
        labels: finding.labels.iter().map(label).collect(),
        hint: finding.hint.as_deref().map(quiet),
        proof: finding.proof.as_deref().map(quiet),
        ..finding.clone()
    }
}
