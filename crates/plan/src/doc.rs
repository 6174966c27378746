//! The plan as documents: what people expect to read, print and hang on the wall.
//!
//! The rule they keep: a document is derived, never edited. The same plan on the same day gives the
//! same bytes; every document names the plan's digest; nothing that looks like a secret is in it.

mod calendar;
mod chapters;
mod cheatsheet;
mod contacts;
mod html;
mod inline;
mod markdown;
mod page;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::civil::Date;

pub use contacts::fill_contacts;

use crate::check::Input;
use crate::language::Plan;

/// Which plan a document was made from, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edition {
    /// The files.
    pub digest: Digest,
    /// The day that dates are counted from.
    pub as_of: Date,
}

/// A digest of a plan's files, whatever their names and order: the BLAKE3 of the sorted lines that
/// `b3sum --no-names` prints of them, so that anybody can compute it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these files.
    pub fn of(inputs: &[Input]) -> Self {
        let mut lines: Vec<String> =
            inputs.iter().map(|input| format!("{}\n", blake3::hash(&input.bytes))).collect();
        lines.sort_unstable();
        Self(*blake3::hash(lines.concat().as_bytes()).as_bytes())
    }

    /// Its beginning: enough to tell two printed documents apart.
    pub fn short(&self) -> String {
        self.to_string().chars().take(16).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The whole plan as Markdown that reads well as it stands.
pub fn document_markdown(plan: &Plan, edition: &Edition) -> String {
    markdown::render(&chapters::page(plan, edition))
}

/// The whole plan as one HTML file that needs nothing else.
pub fn document_html(plan: &Plan, edition: &Edition) -> String {
    html::render(&chapters::page(plan, edition))
}

/// The quick reference as text: at most 60 lines of 78 ASCII characters, fit for a fax.
pub fn cheatsheet_text(plan: &Plan, edition: &Edition) -> String {
    cheatsheet::text(plan, edition)
}

/// The quick reference as HTML that prints on one page.
pub fn cheatsheet_html(plan: &Plan, edition: &Edition) -> String {
    cheatsheet::html(plan, edition)
}
