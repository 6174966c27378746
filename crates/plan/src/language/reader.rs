//! Reads the nodes of one file, and collects what is wrong with them.
//!
//! The rule it keeps: one mistake never hides another. A value that cannot be read is reported and
//! left out; the others are read on.

use std::ops::Range;

use super::at::{FileId, Origin};
use crate::findings::{Code, Raw};
use crate::protection::Unreadable;
use crate::suggest::nearest;
use crate::tree::{Key, Node, Value, short};

/// Collects findings while the values of one file are read.
pub(crate) struct Reader<'s> {
    file: FileId,
    source: &'s str,
    pub(crate) findings: Vec<Raw>,
    /// Parts of the file that no report may quote, beyond what the mask recognises by itself.
    pub(crate) secrets: Vec<Range<usize>>,
    /// The keys whose values could not be read.
    pub(crate) unreadable: Unreadable,
    /// The keys above what is being read, the innermost last; none for an entry of a list.
    keys: Vec<Option<Range<usize>>>,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(file: FileId, source: &'s str) -> Self {
        Self {
            file,
            source,
            findings: Vec::new(),
            secrets: Vec::new(),
            unreadable: Unreadable::default(),
            keys: Vec::new(),
        }
    }

    /// What the file says.
    pub(crate) fn source(&self) -> &'s str {
        self.source
    }

    /// The place of a node.
    pub(crate) fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::new(self.file, span.clone())
    }

    /// Adds a finding; an empty hint is none.
    pub(crate) fn report(
        &mut self,
        code: Code,
        span: &Range<usize>,
        title: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (raw, hint) = (Raw::new(code, span.clone(), title), hint.into());
        let raw = if hint.is_empty() { raw } else { raw.hint(hint) };
        self.add(raw);
    }

    /// Adds a finding about the value that is being read.
    pub(crate) fn add(&mut self, raw: Raw) {
        let path: Vec<&str> = self.keys.iter().flatten().map(|key| self.written(key)).collect();
        self.unreadable.add(path.join("/"));
        raw.join(&mut self.findings);
    }

    /// Reads what stands behind a key, so that what is wrong with it can name the key.
    pub(crate) fn under<T>(&mut self, key: &Key, read: impl FnOnce(&mut Self) -> T) -> T {
        self.keys.push(Some(key.span.clone()));
        let value = read(self);
        self.keys.pop();
        value
    }

    /// Reads the entries of a list: they have no key of their own.
    pub(crate) fn items<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.keys.push(None);
        let value = read(self);
        self.keys.pop();
        value
    }

    /// Where the key stands whose value is being read; none inside of a list.
    fn key_span(&self) -> Option<Range<usize>> {
        self.keys.last().cloned().flatten()
    }

    fn written(&self, key: &Range<usize>) -> &'s str {
        self.source.get(key.clone()).unwrap_or("this").trim_matches(['"', '\''])
    }

    /// The key whose value is being read, as it may be shown.
    pub(crate) fn key(&self) -> String {
        self.key_span().map_or_else(|| "this".to_owned(), |key| short(self.written(&key)))
    }

    /// The text of a scalar.
    pub(crate) fn scalar<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => {
                self.wrong_shape(node, what);
                None
            }
        }
    }

    /// The entries of a section.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        match &node.value {
            Value::Mapping(entries) => Some(entries),
            _ if self.key_span().is_none() => {
                let title = format!("{what} is a section: keys with values below it");
                self.report(Code::WrongShape, &node.span, title, "");
                None
            }
            _ => {
                self.wrong_shape(node, SECTION);
                None
            }
        }
    }

    /// A value that is something else than it should be, or is not there.
    pub(crate) fn wrong_shape(&mut self, node: &Node, expected: &str) {
        let found = match &node.value {
            _ if node.is_empty() => "no value",
            Value::Scalar { .. } => "a text",
            Value::Sequence(items) if items.is_empty() => "an empty list",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a section",
        };
        let Some(span) = self.key_span() else {
            let (title, hint) = (format!("{found} stands here"), format!("write {expected}"));
            return self.report(Code::WrongShape, &node.span, title, hint);
        };
        let key = self.key();
        let (title, hint) = if node.is_empty() {
            (format!("`{key}` has no value"), format!("write {expected}, or remove the key"))
        } else {
            (format!("`{key}` is {found} here"), format!("write {expected}"))
        };
        self.report(Code::WrongShape, &span, title, hint);
    }

    /// Where something is required, an empty list is not something.
    pub(crate) fn not_an_empty_list(&mut self, node: &Node, required: Option<&str>) {
        let is_empty = matches!(&node.value, Value::Sequence(items) if items.is_empty());
        if required.is_some() && is_empty {
            self.wrong_shape(node, "a list with at least one entry");
        }
    }

    /// The place of a part of a scalar, if it stands in the source as it reads; else all of it.
    pub(crate) fn within(&self, node: &Node, part: &Range<usize>) -> Range<usize> {
        let Value::Scalar { text, .. } = &node.value else { return node.span.clone() };
        let written = self.source.get(node.span.clone()).unwrap_or("");
        match written.find(text.as_str()) {
            Some(start @ 0..=1) => {
                let start = node.span.start + start;
                start + part.start..start + part.end
            }
            _ => node.span.clone(),
        }
    }

    /// Reports where the YAML stopped, unless a finding in the same line says why.
    pub(crate) fn broken(&mut self, raw: Raw) {
        let same_line = |earlier: &Raw| {
            let between = earlier.span.start..raw.span.start;
            self.source.get(between).is_some_and(|text| !text.contains('\n'))
        };
        if !self.findings.last().is_some_and(same_line) {
            raw.join(&mut self.findings);
        }
    }

    /// A key that the section does not have.
    pub(crate) fn unknown_key(&mut self, key: &Key, what: &str, known: &[&str]) {
        let title = format!("`{}` is not a key of {what}", short(&key.text));
        let hint = match nearest(&key.text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its keys are {}", known.join(", ")),
        };
        self.report(Code::UnknownKey, &key.span, title, hint);
    }

    /// A key that the section must have.
    pub(crate) fn missing_key(&mut self, node: &Node, what: &str, key: &str, example: &str) {
        let title = format!("`{key}` is missing: {what} must have it");
        let first = match &node.value {
            Value::Mapping(entries) => entries.first().map(|(key, _)| key.span.clone()),
            _ => None,
        };
        let span = self.key_span().or(first).unwrap_or_else(|| node.span.clone());
        self.report(Code::MissingKey, &span, title, format!("add `{example}`"));
    }
}

/// What a section is, for the one who wrote something else.
pub(crate) const SECTION: &str = "a section: keys with values below it";
