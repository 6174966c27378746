//! A plan's bytes to its values, or everything that is wrong with them.
//!
//! The rule it keeps: one mistake never hides another. A reader that cannot make sense of a value
//! reports it and the others go on; a [`Reported`] in the hand proves that a finding was made, so
//! there is no failure without an explanation. Which section has which keys is in `read/sections.rs`;
//! this file knows how to read one value.

mod sections;

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::check::{Finding, Report};
use crate::findings::{Code, Raw};
use crate::language::Sources;
use crate::plan::{Limits, Plan};
use crate::suggest::nearest;
use crate::text::Text;
use crate::tree::{self, Key, Node, Value, short};
use crate::units::{ByteSize, UnitError, format_duration, parse_duration, parse_size};

/// Reads a plan. `file` is its name for the findings; nothing is opened.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Plan, Report> {
    let source = match tree::decode(bytes, tree::SOURCE_BYTES_MAX) {
        Ok(source) => source,
        Err(raw) => {
            let shown = bytes.get(..bytes.len().min(tree::SOURCE_BYTES_MAX)).unwrap_or_default();
            return Err(report(file, &String::from_utf8_lossy(shown), vec![raw], &[]));
        }
    };
    let mut reader = Reader { source, findings: Vec::new(), secrets: Vec::new() };
    let plan = match tree::read(source, &mut reader.findings) {
        Ok(root) => sections::plan(&mut reader, &root),
        Err(raw) => Err(reader.broken(raw)),
    };
    match plan {
        Ok(plan) if reader.findings.is_empty() => Ok(plan),
        _ => Err(report(file, source, reader.findings, &reader.secrets)),
    }
}

fn report(file: &str, source: &str, raw: Vec<Raw>, secrets: &[Range<usize>]) -> Report {
    let mut sources = Sources::default();
    let file = sources.add(file, source, secrets);
    let findings = raw.into_iter().map(|raw| Finding::of_reader(raw, file)).collect();
    Report::new(sources, findings, Vec::new())
}

/// Proof that a finding was made: only `report` and `broken` make one.
struct Reported(());

type Read<T> = Result<T, Reported>;

/// Collects findings while values are read.
struct Reader<'s> {
    source: &'s str,
    findings: Vec<Raw>,
    /// Parts of the source that no report may quote, beyond what `mask.rs` recognises by itself.
    secrets: Vec<Range<usize>>,
}

/// A section that is being read. It remembers which keys were asked for; what is left over at the
/// end is unknown.
struct Section<'n> {
    /// What it is, with its article: `a store`.
    what: &'static str,
    /// The key it stands behind.
    place: Range<usize>,
    entries: &'n [(Key, Node)],
    asked: Vec<&'static str>,
}

/// A key and its value.
#[derive(Clone, Copy)]
struct Field<'n> {
    key: &'n Key,
    node: &'n Node,
}

impl<'n> Section<'n> {
    fn take(&mut self, key: &'static str) -> Option<Field<'n>> {
        self.asked.push(key);
        let (key, node) = self.entries.iter().find(|(known, _)| known.text == key)?;
        Some(Field { key, node })
    }
}

impl Reader<'_> {
    fn report(&mut self, raw: Raw) -> Reported {
        self.findings.push(raw);
        Reported(())
    }

    /// Reports where the YAML stopped, unless a finding in the same line says why.
    fn broken(&mut self, raw: Raw) -> Reported {
        let same_line = |earlier: &Raw| {
            let between = earlier.span.start..raw.span.start;
            self.source.get(between).is_some_and(|text| !text.contains('\n'))
        };
        if self.findings.last().is_some_and(same_line) { Reported(()) } else { self.report(raw) }
    }

    fn section<'n>(&mut self, field: Field<'n>, what: &'static str) -> Read<Section<'n>> {
        match &field.node.value {
            Value::Mapping(entries) => {
                let place = field.key.span.clone();
                Ok(Section { what, place, entries, asked: Vec::new() })
            }
            _ => Err(self.wrong_shape(field, "a section: keys with values below it")),
        }
    }

    /// Reports the keys nobody asked for.
    fn finish(&mut self, section: &Section<'_>) {
        for (key, _) in section.entries {
            if section.asked.contains(&key.text.as_str()) {
                continue;
            }
            let title = format!("`{}` is not a key of {}", short(&key.text), section.what);
            let hint = match nearest(&key.text, section.asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its keys are {}", section.asked.join(", ")),
            };
            self.report(Raw::new(Code::UnknownKey, key.span.clone(), title).hint(hint));
        }
    }

    fn required<'n>(
        &mut self,
        section: &mut Section<'n>,
        key: &'static str,
        example: &str,
    ) -> Read<Field<'n>> {
        section.take(key).ok_or_else(|| {
            let title = format!("`{key}` is missing: {} must have it", section.what);
            let raw = Raw::new(Code::MissingKey, section.place.clone(), title);
            self.report(raw.hint(format!("add `{example}`")))
        })
    }

    /// A text without references.
    fn text(&mut self, field: Field<'_>) -> Read<String> {
        let written = self.scalar(field, "a text")?;
        let text = Text::parse(written).map_err(|error| {
            let span = self.within(field.node, &error.span);
            self.report(Raw::new(Code::BadReference, span, error.problem).hint(error.hint))
        })?;
        let Some(text) = text.as_literal() else {
            let title = format!("`{}` cannot be a reference", short(&field.key.text));
            let raw = Raw::new(Code::BadReference, field.node.span.clone(), title);
            return Err(self.report(raw.hint("references are for secrets: write the value itself")));
        };
        if text.is_empty() || text.contains(char::is_control) {
            return Err(self.invalid(field, "an empty text, or one with control characters", ""));
        }
        Ok(text.to_owned())
    }

    fn path(&mut self, field: Field<'_>) -> Read<PathBuf> {
        let path = PathBuf::from(self.text(field)?);
        if path.is_absolute() {
            Ok(path)
        } else {
            let hint = "write it from the root: /var/lib/…";
            Err(self.invalid(field, "this path is not absolute", hint))
        }
    }

    /// One of a few words.
    fn choice<T: Copy>(&mut self, field: Field<'_>, words: &[(&str, T)]) -> Read<T> {
        let text = self.text(field)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let hint = match nearest(&text, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                format!("it is one of: {}", words.join(", "))
            }
        };
        let problem = format!("`{}` is no {}", short(&text), short(&field.key.text));
        Err(self.invalid(field, problem, hint))
    }

    fn duration(&mut self, field: Field<'_>, limits: &Limits<Duration>) -> Read<Duration> {
        let text = self.scalar(field, "a duration such as 15 min")?;
        let value = parse_duration(text).map_err(|error| self.unit(field, error))?;
        self.in_range(field, value, limits, |value| format_duration(*value))
    }

    fn size(&mut self, field: Field<'_>, limits: &Limits<ByteSize>) -> Read<ByteSize> {
        let text = self.scalar(field, "a size such as 16 MiB")?;
        let value = parse_size(text).map_err(|error| self.unit(field, error))?;
        self.in_range(field, value, limits, ByteSize::to_string)
    }

    fn integer<T>(&mut self, field: Field<'_>, limits: &Limits<T>) -> Read<T>
    where
        T: Copy + PartialOrd + ToString + TryFrom<i128>,
    {
        let text = self.scalar(field, "a whole number")?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let quoted = matches!(field.node.value, Value::Scalar { quoted: true, .. });
        if quoted || digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let hint = "write digits only, without quotes and without a unit";
            return Err(self.invalid(field, "this is no whole number", hint));
        }
        match text.parse::<i128>().ok().and_then(|value| T::try_from(value).ok()) {
            Some(value) => self.in_range(field, value, limits, T::to_string),
            None => Err(self.out_of_range(field, limits, T::to_string)),
        }
    }

    /// One value, or a list of them; at least one.
    fn list<'n>(&mut self, field: Field<'n>) -> Read<Vec<Field<'n>>> {
        let key = field.key;
        let items = match &field.node.value {
            Value::Sequence(items) => items.iter().map(|node| Field { key, node }).collect(),
            Value::Scalar { .. } if !field.node.is_empty() => vec![field],
            _ => Vec::new(),
        };
        if items.is_empty() {
            Err(self.wrong_shape(field, "a list with at least one entry"))
        } else {
            Ok(items)
        }
    }

    fn scalar<'n>(&mut self, field: Field<'n>, expected: &str) -> Read<&'n str> {
        match &field.node.value {
            Value::Scalar { text, .. } if !field.node.is_empty() => Ok(text),
            _ => Err(self.wrong_shape(field, expected)),
        }
    }

    fn wrong_shape(&mut self, field: Field<'_>, expected: &str) -> Reported {
        let key = short(&field.key.text);
        if field.node.is_empty() {
            let title = format!("`{key}` has no value");
            let raw = Raw::new(Code::WrongShape, field.key.span.clone(), title);
            return self.report(raw.hint(format!("write {expected}, or remove the key")));
        }
        let found = match &field.node.value {
            Value::Scalar { .. } => "a text",
            Value::Sequence(items) if items.is_empty() => "an empty list",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a section",
        };
        let title = format!("`{key}` is {found} here");
        let raw = Raw::new(Code::WrongShape, field.key.span.clone(), title);
        self.report(raw.hint(format!("write {expected}")))
    }

    fn unit(&mut self, field: Field<'_>, error: UnitError) -> Reported {
        self.invalid(field, error.problem, error.hint)
    }

    fn invalid(
        &mut self,
        field: Field<'_>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Reported {
        let raw = Raw::new(Code::InvalidValue, field.node.span.clone(), problem);
        let hint = hint.into();
        self.report(if hint.is_empty() { raw } else { raw.hint(hint) })
    }

    fn in_range<T: PartialOrd>(
        &mut self,
        field: Field<'_>,
        value: T,
        limits: &Limits<T>,
        show: impl Fn(&T) -> String,
    ) -> Read<T> {
        if value < limits.least || value > limits.most {
            return Err(self.out_of_range(field, limits, show));
        }
        Ok(value)
    }

    fn out_of_range<T>(
        &mut self,
        field: Field<'_>,
        limits: &Limits<T>,
        show: impl Fn(&T) -> String,
    ) -> Reported {
        let (least, most) = (show(&limits.least), show(&limits.most));
        let title = format!("`{}` is between {least} and {most}", short(&field.key.text));
        let hint = format!("the default is {}", show(&limits.default));
        self.report(Raw::new(Code::OutOfRange, field.node.span.clone(), title).hint(hint))
    }

    /// The place of a part of a scalar, if it stands in the source as it reads; else all of it.
    fn within(&self, node: &Node, part: &Range<usize>) -> Range<usize> {
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
}
