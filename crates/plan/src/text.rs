//! Texts that may hold references to secrets: `${env:NAME}` and `${file:PATH}`.
//!
//! The rule it keeps: the plan never holds a secret, and this crate never reads one. A reference is
//! resolved by the caller, at the moment it is used. `$${` stands for a `${` that is meant literally.

use std::fmt;
use std::ops::Range;

/// A text in parts, in order; neighbouring literals are one. No part means the empty text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    parts: Vec<Part>,
}

/// A part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Stands for itself.
    Literal(String),
    /// Stands for what the caller finds there.
    Reference(Reference),
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// `${env:NAME}`: an environment variable.
    Env(String),
    /// `${file:PATH}`: the contents of a file; an absolute path.
    File(String),
}

/// Why a text cannot be read, and which bytes of it are to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct TextError {
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub hint: String,
    /// The bytes of the text.
    pub span: Range<usize>,
}

impl Text {
    /// A text that is one reference.
    pub fn reference(reference: Reference) -> Self {
        Self { parts: vec![Part::Reference(reference)] }
    }

    /// Reads a text with `${…}` in it.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut parsed = Self::default();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with("$${") {
                parsed.push_literal("${");
                at += 3;
            } else if rest.starts_with("${") {
                let (reference, len) = Reference::parse_start(rest).map_err(|mut error| {
                    error.span = at + error.span.start..at + error.span.end;
                    error
                })?;
                parsed.push_reference(reference);
                at += len;
            } else {
                let len = rest.chars().next().map_or(1, char::len_utf8);
                parsed.push_literal(rest.get(..len).unwrap_or(rest));
                at += len;
            }
        }
        Ok(parsed)
    }

    pub(crate) fn push_literal(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Literal(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }

    pub(crate) fn push_reference(&mut self, reference: Reference) {
        self.parts.push(Part::Reference(reference));
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The references, in order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.parts.iter().filter_map(|part| match part {
            Part::Reference(reference) => Some(reference),
            Part::Literal(_) => None,
        })
    }

    /// The text itself if it needs nothing resolved.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Puts the parts together, asking `look_up` for each reference. The result may be a secret:
    /// treat it as one. One line break at the end of a file's contents is dropped, since editors
    /// put it there.
    pub fn resolve<E>(
        &self,
        mut look_up: impl FnMut(&Reference) -> Result<String, E>,
    ) -> Result<String, E> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Reference(reference) => {
                    let found = look_up(reference)?;
                    text.push_str(match reference {
                        Reference::Env(_) => &found,
                        Reference::File(_) => without_line_break(&found),
                    });
                }
            }
        }
        Ok(text)
    }
}

fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

impl Reference {
    /// Reads a reference at the start of `text`, and says how long it is.
    pub(crate) fn parse_start(text: &str) -> Result<(Self, usize), TextError> {
        let shape = |problem: &str, span: Range<usize>| TextError {
            problem: problem.to_owned(),
            hint: "references are ${env:NAME} and ${file:/path}; write $${ for a plain ${"
                .to_owned(),
            span,
        };
        let Some(end) = text.find('}') else {
            return Err(shape("`${` is never closed by `}`", 0..2));
        };
        let inner = text.get(2..end).unwrap_or("");
        let (kind, name) =
            inner.split_once(':').ok_or_else(|| shape("a reference has a kind", 0..end + 1))?;
        let reference = match kind {
            "env" if is_variable(name) => Self::Env(name.to_owned()),
            "env" => return Err(shape("this is no name of a variable", 0..end + 1)),
            "file" if is_path(name) => Self::File(name.to_owned()),
            "file" => return Err(shape("the path is not absolute", 0..end + 1)),
            _ => return Err(shape("there is no such kind of reference", 0..end + 1)),
        };
        Ok((reference, end + 1))
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path.contains(char::is_control)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{path}}}"),
        }
    }
}

impl fmt::Display for Text {
    /// As it is written in a plan.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(text) => f.write_str(&text.replace("${", "$${"))?,
                Part::Reference(reference) => reference.fmt(f)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolved(text: &str) -> String {
        Text::parse(text)
            .unwrap()
            .resolve(|reference| match reference {
                Reference::Env(name) => Ok::<_, ()>(format!("<{name}>")),
                Reference::File(path) => Ok(format!("[{path}]\n")),
            })
            .unwrap()
    }

    #[test]
    fn references_are_resolved_in_their_places() {
        assert_eq!(resolved("plain"), "plain");
        assert_eq!(resolved("a ${env:B_1} c${file:/d e}"), "a <B_1> c[/d e]");
        assert_eq!(resolved("$${env:B} $ {} $"), "${env:B} $ {} $");
        assert_eq!(resolved(""), "");
    }

    #[test]
    fn what_is_no_reference_is_refused_with_its_place() {
        for (text, span) in [
            ("a ${", 2..4),
            ("${}", 0..3),
            ("ä ${vault:x}", 3..13),
            ("${env:}", 0..7),
            ("${env:1A}", 0..9),
            ("${file:relative}", 0..16),
        ] {
            assert_eq!(Text::parse(text).unwrap_err().span, span, "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_texts_read_back(text in "([$]{0,2}[{]|[}]|\\$\\{env:A\\}|\\PC){0,12}") {
            if let Ok(parsed) = Text::parse(&text) {
                prop_assert_eq!(Text::parse(&parsed.to_string()), Ok(parsed));
            }
        }
    }
}
