//! A figure: a sum of parts, each with how it is known.

use std::time::Duration;

use super::Assumed;
use crate::language::{At, Origin};
use crate::units::format_duration;

/// Where a number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The plan says so.
    Declared,
    /// Somebody saw it.
    Measured,
    /// Nobody measured it: the key of `assumptions`, or of a default.
    Assumed(&'static str),
}

/// A part of a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What takes so long.
    pub what: String,
    /// How long.
    pub length: Duration,
    /// How that is known.
    pub basis: Basis,
    /// Where it was written.
    pub origin: Option<Origin>,
}

/// A sum of parts that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figure {
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// Something that belongs to it is not known: it is at least so long.
    pub at_least: bool,
}

impl Part {
    pub(crate) fn new(what: impl Into<String>, length: Duration, basis: Basis) -> Self {
        Self { what: what.into(), length, basis, origin: None }
    }

    pub(crate) fn declared(what: impl Into<String>, at: At<Duration>) -> Self {
        let part = Self::new(what, at.value, Basis::Declared);
        Self { origin: Some(at.origin), ..part }
    }

    pub(crate) fn assumed(
        what: impl Into<String>,
        key: &'static str,
        number: Assumed<Duration>,
    ) -> Self {
        let part = Self::new(what, number.value, Basis::Assumed(key));
        Self { origin: number.origin, ..part }
    }

    /// Whether it rests on an assumption.
    pub fn is_assumed(&self) -> bool {
        matches!(self.basis, Basis::Assumed(_))
    }

    /// Such as `20 min Infrastructure` or `5 min detection (assumed)`.
    pub fn in_words(&self) -> String {
        let mark = match self.basis {
            Basis::Declared => "",
            Basis::Measured => " (measured)",
            Basis::Assumed(_) => " (assumed)",
        };
        format!("{} {}{mark}", format_duration(self.length), self.what)
    }
}

impl Figure {
    /// The sum.
    pub fn total(&self) -> Duration {
        self.parts.iter().fold(Duration::ZERO, |sum, part| sum.saturating_add(part.length))
    }

    /// The sum of what is no assumption.
    pub fn known(&self) -> Duration {
        let known = self.parts.iter().filter(|part| !part.is_assumed());
        known.fold(Duration::ZERO, |sum, part| sum.saturating_add(part.length))
    }

    /// The assumptions it rests on, each once.
    pub fn assumptions(&self) -> Vec<&'static str> {
        let mut keys: Vec<&'static str> = Vec::new();
        for part in &self.parts {
            if let Basis::Assumed(key) = part.basis
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
        keys
    }

    /// The sum as people write it down: `5 min detection (assumed) + 20 min … = 25 min`.
    pub fn in_words(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(Part::in_words).collect();
        let least = if self.at_least { "at least " } else { "" };
        let total = format_duration(self.total());
        match parts.as_slice() {
            [] => format!("{least}{total}"),
            [only] => format!("{least}{only}"),
            _ => format!("{} = {least}{total}", parts.join(" + ")),
        }
    }
}
