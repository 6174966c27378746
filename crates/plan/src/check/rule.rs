//! A rule: what a code stands for.

use super::finding::Severity;

/// A rule of the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its number, such as `S0101`: family 01, rule 01.
    pub code: &'static str,
    /// What it finds, in one line.
    pub title: &'static str,
    /// How bad it is, unless the case says otherwise.
    pub severity: Severity,
    /// Why that fails when it is needed, in a sentence or two.
    pub why: &'static str,
    /// The page of `docs/errors/` that explains it.
    pub page: &'static str,
}
