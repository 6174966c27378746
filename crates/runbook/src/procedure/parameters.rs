//! What steps are told: where a value comes from, and how it gets into a text.
//!
//! The rule it keeps: a secret is known by its name alone. It is a [`Secret`] in memory, a keyed
//! fingerprint in a journal, and never a part of a script's text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use soter_plan::language;
use soter_world::Secret;
use thiserror::Error;

/// What the steps must be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, as steps write it: `${name}`.
    pub name: String,
    /// What it is, for the one who is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What it may be.
    pub kind: ParameterKind,
    /// Where it comes from.
    pub from: ParameterSource,
    /// Which file, variable, credential or step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The value, or what is taken if nothing is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// An example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// A moment, with its zone.
    Time,
    /// A name of a machine.
    Host,
    /// A number.
    Number,
    /// Something nobody may read over a shoulder.
    Secret,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterSource {
    /// A person is asked when the run begins.
    Ask,
    /// The environment of the one who begins it.
    Environment,
    /// A file.
    File,
    /// A step of the run.
    Step,
    /// A credential of the plan.
    Credential,
    /// The plan.
    Value,
}

impl From<language::ParameterType> for ParameterKind {
    fn from(written: language::ParameterType) -> Self {
        match written {
            language::ParameterType::Text => Self::Text,
            language::ParameterType::Time => Self::Time,
            language::ParameterType::Host => Self::Host,
            language::ParameterType::Number => Self::Number,
            language::ParameterType::Secret => Self::Secret,
        }
    }
}

impl From<language::ParameterSource> for ParameterSource {
    fn from(written: language::ParameterSource) -> Self {
        match written {
            language::ParameterSource::Ask => Self::Ask,
            language::ParameterSource::Environment => Self::Environment,
            language::ParameterSource::File => Self::File,
            language::ParameterSource::Step => Self::Step,
            language::ParameterSource::Credential => Self::Credential,
            language::ParameterSource::Value => Self::Value,
        }
    }
}

impl Parameter {
    /// Whether its value may be shown and written down by nobody.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.kind == ParameterKind::Secret || self.from == ParameterSource::Credential
    }
}

impl ParameterKind {
    /// What is wrong with a value of this kind, in words.
    ///
    /// # Errors
    /// When it is none.
    pub fn check(self, value: &str) -> Result<(), String> {
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
        let right = match self {
            Self::Text | Self::Secret => return Ok(()),
            Self::Time => value.parse::<jiff::Timestamp>().is_ok(),
            Self::Number => value.parse::<f64>().is_ok_and(f64::is_finite),
            // What begins with a dash would be an option of the program it is handed to.
            Self::Host => {
                !value.is_empty() && !value.starts_with('-') && value.chars().all(is_host)
            }
        };
        let expected = match self {
            Self::Time => "a moment with its zone, such as 2026-01-15T14:30:00Z",
            Self::Number => "a number",
            _ => "a name or an address of a machine",
        };
        if right { Ok(()) } else { Err(format!("`{value}` is not {expected}")) }
    }
}

/// A value.
#[derive(Debug, Clone)]
pub enum Given {
    /// One that may be shown.
    Plain(String),
    /// One that may not.
    Hidden(Secret<String>),
}

impl Given {
    /// The value itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(value) => value,
            Self::Hidden(secret) => secret.expose(),
        }
    }
}

/// The values that are known, by name.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    values: BTreeMap<String, Given>,
    has_unseen_secrets: bool,
}

/// A text names something that has no value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`${{{0}}}` has no value: nothing gave one yet")]
pub struct UnknownName(pub String);

impl Parameters {
    /// Adds a value, or replaces it.
    pub fn insert(&mut self, name: &str, value: Given) {
        self.values.insert(name.to_owned(), value);
    }

    /// Notes that somebody may write a secret whose value is not among these: one that another engine
    /// was given, or that is about to be made. What cannot be recognised cannot be covered, so nothing
    /// of what is written may be shown.
    pub fn note_unseen_secrets(&mut self) {
        self.has_unseen_secrets = true;
    }

    /// Whether somebody may write a secret that is not among these.
    #[must_use]
    pub fn has_unseen_secrets(&self) -> bool {
        self.has_unseen_secrets
    }

    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Given> {
        self.values.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Given)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A text with the values in the places of their names. The result holds secrets if the text
    /// names some.
    ///
    /// # Errors
    /// When it names something that has no value.
    pub fn fill(&self, text: &str) -> Result<String, UnknownName> {
        self.fill_by(text, |filled, _, value| {
            filled.push_str(value);
            Ok(())
        })
    }

    /// The same, with `put` to put a value behind what is filled in before it: it is told the name
    /// and the value, and may quote that as its place wants it.
    ///
    /// # Errors
    /// When the text names something that has no value, and when `put` refuses.
    pub fn fill_by<E: From<UnknownName>>(
        &self,
        text: &str,
        mut put: impl FnMut(&mut String, &str, &str) -> Result<(), E>,
    ) -> Result<String, E> {
        fill_names(text, |filled, name| {
            let value = self.values.get(name).ok_or_else(|| UnknownName(name.to_owned()))?;
            put(filled, name, value.expose())
        })
    }
}

/// A text with something else in the places of the names it has as `${name}`: `put` puts it behind
/// what stands before.
///
/// # Errors
/// When `put` refuses.
pub fn fill_names<E>(
    text: &str,
    mut put: impl FnMut(&mut String, &str) -> Result<(), E>,
) -> Result<String, E> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, behind)) = next_name(rest) {
        filled.push_str(before);
        put(&mut filled, name)?;
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The names that a text has as `${name}`.
pub fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, name, behind) = next_name(rest)?;
        rest = behind;
        Some(name)
    })
}

/// What stands before the first `${name}`, the name, and what stands behind it. `${env:…}` and
/// `${file:…}` are references to places outside, not parameters.
fn next_name(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find("${")?;
        let (name, behind) = text.get(at + 2..)?.split_once('}')?;
        let is_name = !name.is_empty()
            && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'));
        if is_name {
            return Some((text.get(..at)?, name, behind));
        }
        from = at + 2;
    }
}
