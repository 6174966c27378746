//! What runs and steps are called: names that can be said on a telephone and be names of directories.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use soter_world::{Random, random};
use thiserror::Error;

/// A run: `SCENARIO-YYYYMMDD-HHMM-xxxx`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// A step of a run, as the plan calls it, or counted: `p1s2` is the second step of the first phase.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StepId(String);

/// Something that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no name: letters, digits, `-`, `_` and `.`, at most {NAME_BYTES_MAX}, the first a letter or a digit"
)]
pub struct NameError(String);

/// Longest name: with a number behind it, it is still the name of a directory.
const NAME_BYTES_MAX: usize = 96;

/// The digits of the end of a run's name: nothing that sounds or looks like another.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// How many of them.
const DIGITS_COUNT: usize = 4;

impl RunId {
    /// A new run of a scenario.
    ///
    /// # Errors
    /// When the scenario's name cannot be part of a name.
    pub fn new(scenario: &str, now: Timestamp, chance: &dyn Random) -> Result<Self, NameError> {
        let when = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M").to_string();
        let drawn = random::bytes::<DIGITS_COUNT>(chance);
        let end: String =
            drawn.iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect();
        Self::parse(&format!("{scenario}-{when}-{end}"))
    }

    /// A name as somebody typed it.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StepId {
    /// A name as the plan or somebody writes it.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text).map(Self)
    }

    /// The name of a step that has none: where it stands, counted from 0 here and from 1 there.
    #[must_use]
    pub fn counted(phase: usize, step: usize) -> Self {
        Self(format!("p{}s{}", phase + 1, step + 1))
    }

    /// The name of a step of another way that has none: after the one it stands in for, and counted.
    ///
    /// # Errors
    /// When it is too long for a name.
    pub fn counted_within(owner: &Self, way: &str, step: usize) -> Result<Self, NameError> {
        Self::parse(&format!("{owner}-{way}{}", step + 1))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<String, NameError> {
    let is_name = text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    if is_name { Ok(text.to_owned()) } else { Err(NameError(text.to_owned())) }
}

macro_rules! name {
    ($($name:ident)+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    )+};
}

name!(RunId StepId);

#[cfg(test)]
mod tests {
    use super::*;
    use soter_world::sim::SeededRandom;

    #[test]
    fn a_run_is_called_by_its_scenario_and_the_minute() {
        let now = "2030-01-02T03:04:05Z".parse().unwrap();
        let run = RunId::new("cluster-loss", now, &SeededRandom::new(1)).unwrap();
        let (front, end) = run.as_str().split_at(27);
        assert_eq!(front, "cluster-loss-20300102-0304-");
        assert!(end.len() == 4 && end.bytes().all(|digit| DIGITS.contains(&digit)), "{end}");
        assert_eq!(RunId::parse(run.as_str()).unwrap(), run);
    }

    #[test]
    fn what_would_leave_a_directory_is_no_name() {
        for text in ["", ".", "..", "a/b", "-x", "a b", "ä", &"x".repeat(97)] {
            assert!(StepId::parse(text).is_err(), "{text}");
            assert!(serde_json::from_value::<RunId>(text.into()).is_err(), "{text}");
        }
        assert_eq!(StepId::counted(0, 1).as_str(), "p1s2");
    }
}
