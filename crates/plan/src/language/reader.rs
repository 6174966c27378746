//! Reads the nodes of one file, and collects what is wrong with them.
//!
//! The rule it keeps: one mistake never hides another. A value that cannot be read is reported and
//! left out; the others are read on.

use std::ops::Range;

use super::at::{FileId, Origin};
use crate::findings::{Code, Raw};
use crate::suggest::nearest;
use crate::tree::{Key, Node, Value, short};

/// Collects findings while the values of one file are read.
pub(crate) struct Reader<'s> {
    file: FileId,
    source: &'s str,
    pub(crate) findings: Vec<Raw>,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(file: FileId, source: &'s str) -> Self {
        Self { file, source, findings: Vec::new() }
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
        raw.join(&mut self.findings);
    }

    /// The text of a scalar.
    pub(crate) fn scalar<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => {
                let title = format!("{what} was expected here");
                self.report(Code::WrongShape, &node.span, title, "");
                None
            }
        }
    }

    /// The entries of a section.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        match &node.value {
            Value::Mapping(entries) => Some(entries),
            _ => {
                let title = format!("{what} is a section: keys with values below it");
                self.report(Code::WrongShape, &node.span, title, "");
                None
            }
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
    pub(crate) fn missing_key(
        &mut self,
        span: &Range<usize>,
        what: &str,
        key: &str,
        example: &str,
    ) {
        let title = format!("`{key}` is missing: {what} must have it");
        self.report(Code::MissingKey, span, title, format!("add `{example}`"));
    }
}
