//! A section whose keys are names that the plan gives.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::at::{At, Origin};
use super::reader::Reader;
use super::schema::Schemas;
use super::value::{Field, Value};
use super::yaml::Yaml;
use crate::findings::Code;
use crate::tree::{Node, short};

/// Named values, in the order they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T> {
    entries: Vec<(At<String>, T)>,
    index: BTreeMap<String, usize>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: BTreeMap::new() }
    }
}

impl<T> Named<T> {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(*self.index.get(name)?).map(|(_, value)| value)
    }

    /// The value of that name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.get_mut(*self.index.get(name)?).map(|(_, value)| value)
    }

    /// Its place in the order they were written.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The name and value at a place.
    pub fn at(&self, position: usize) -> Option<(&At<String>, &T)> {
        self.entries.get(position).map(|(name, value)| (name, value))
    }

    /// Whether the name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// Where the name was declared.
    pub fn declared(&self, name: &str) -> Option<Origin> {
        self.index.get(name).and_then(|at| self.entries.get(*at)).map(|(name, _)| name.origin)
    }

    /// Adds a value; if the name is taken, gives it back.
    pub fn insert(&mut self, name: At<String>, value: T) -> Result<(), (At<String>, T)> {
        if self.index.contains_key(&name.value) {
            return Err((name, value));
        }
        self.index.insert(name.value.clone(), self.entries.len());
        self.entries.push((name, value));
        Ok(())
    }

    /// All of them, in the order they were written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&At<String>, &T)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&At<String>, &mut T)> {
        self.entries.iter_mut().map(|(name, value)| (&*name, value))
    }

    /// The names, in the order they were written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.value.as_str())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds all of `other`; the names that are taken come back.
    pub(crate) fn merge(&mut self, other: Self) -> Vec<At<String>> {
        let inserted = other.entries.into_iter().map(|(name, value)| self.insert(name, value));
        inserted.filter_map(|outcome| outcome.err().map(|(name, _)| name)).collect()
    }
}

/// Longest name: it must still fit into paths and slot names.
const NAME_BYTES_MAX: usize = 64;

/// What a name looks like, for people and for the schema.
const NAME_PATTERN: &str = "^[a-z0-9][a-z0-9_.-]{0,63}$";

/// Whether a text can be a name.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}

impl<T: Value> Field for Named<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Self {
        let mut named = Self::default();
        if node.is_empty() {
            return named;
        }
        for (key, value) in reader.entries(node, "this").unwrap_or_default() {
            if !is_name(&key.text) {
                let title = format!("`{}` is no name", short(&key.text));
                let hint = "a name has 1 to 64 characters: small letters, digits, `-`, `_` and `.`";
                reader.report(Code::InvalidValue, &key.span, title, hint);
            }
            let name = At::new(key.text.clone(), reader.origin(&key.span));
            if let Some(value) = reader.under(key, |reader| T::read(value, reader)) {
                // The tree has each key once.
                drop(named.insert(name, value));
            }
        }
        named
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let value = T::schema(schemas);
        json!({
            "type": "object",
            "propertyNames": { "pattern": NAME_PATTERN },
            "additionalProperties": value,
        })
    }

    fn write(&self) -> Option<Yaml> {
        let entries = self.iter().map(|(name, value)| (name.value.clone(), value.write()));
        (!self.is_empty()).then(|| Yaml::Section(entries.collect()))
    }
}
