//! Bytes to a tree of YAML nodes that know their place.
//!
//! The rule it keeps: a scalar is the text that was written. YAML's guesses (is `no` false, is `1_0`
//! ten) are never made; the readers in `language/` know what each value should be. What the language
//! leaves out is refused here: anchors and aliases (so no document grows when read), tags, merge
//! keys, several documents. Size and depth are limited before anything is built.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};

use crate::findings::{Code, Raw};
use crate::units::ByteSize;

/// What the compiler reads: plans of ten thousand services are written by programs.
pub(crate) const PLAN_BYTES_MAX: usize = 16 << 20;

/// Deepest nesting; the language needs five levels.
const DEPTH_MAX: usize = 32;

/// A value of the document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A text. `quoted` is false for one that YAML might take for something else.
    Scalar { text: String, quoted: bool },
    /// A list.
    Sequence(Vec<Node>),
    /// A section. Keys are unique.
    Mapping(Vec<(Key, Node)>),
}

/// The key of a section's entry.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Range<usize>,
}

impl Node {
    /// True for a value that was left out: `key:`, `key: ~`, `key: null`.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, quoted: false }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// The text of the file, or why it is none.
pub(crate) fn decode(bytes: &[u8], bytes_max: usize) -> Result<&str, Raw> {
    if bytes.len() > bytes_max {
        let max = ByteSize(u64::try_from(bytes_max).unwrap_or(u64::MAX));
        let title = format!("the file has {} bytes, a plan has at most {max}", bytes.len());
        return Err(Raw::new(Code::NotText, 0..0, title).hint("is this the right file?"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let hint = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the file is UTF-16: save it as UTF-8",
            _ => "save the file as UTF-8",
        };
        Raw::new(Code::NotText, at..at, "the file is not UTF-8 text").hint(hint)
    })
}

/// Reads the one document of `source`. Findings that leave a tree to look at go to `findings`; those
/// that do not are the error.
pub(crate) fn read(source: &str, findings: &mut Vec<Raw>) -> Result<Node, Raw> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        disallow_directives: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let parser = Parser::new_from_str_with_options(source, options);
    let mut builder = Builder { source, findings, parser, depth: 0, lines: Lines::default() };
    builder.document()
}

struct Builder<'a, I: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> {
    source: &'a str,
    findings: &'a mut Vec<Raw>,
    parser: I,
    depth: usize,
    lines: Lines,
}

/// The numbers of lines, counted once however often they are asked for.
#[derive(Default)]
struct Lines {
    /// Where each line starts; filled when the first is asked for.
    starts: Vec<usize>,
}

impl Lines {
    fn line(&mut self, source: &str, offset: usize) -> usize {
        if self.starts.is_empty() {
            self.starts.push(0);
            self.starts.extend(source.match_indices('\n').map(|(at, _)| at + 1));
        }
        self.starts.partition_point(|start| *start <= offset).max(1)
    }
}

impl<'a, I: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Builder<'a, I> {
    fn document(&mut self) -> Result<Node, Raw> {
        loop {
            match self.next()? {
                (Event::StreamEnd, span) => return Err(empty_document(self.range(&span))),
                (Event::DocumentStart(..), _) => break,
                _ => {}
            }
        }
        let (event, span) = self.next()?;
        let root = self.node(event, &span)?;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::DocumentStart(..), span) => {
                    let title = "a second document starts here: a plan is one document";
                    return Err(Raw::new(Code::NotYaml, self.range(&span), title)
                        .hint("remove the `---` line, or split the file"));
                }
                _ => {}
            }
        }
        if root.is_empty() { Err(empty_document(root.span)) } else { Ok(root) }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Raw> {
        match self.parser.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(syntax(self.source, &error)),
            None => Err(Raw::new(Code::NotYaml, self.end(), "the document ends too early")),
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, Raw> {
        let range = self.range(span);
        self.refuse_decoration(&event, span);
        let value = match event {
            Event::Scalar(text, style, ..) => {
                let quoted = !matches!(style, ScalarStyle::Plain);
                Value::Scalar { text: text.into_owned(), quoted }
            }
            Event::SequenceStart(..) => self.nested(&range, Self::sequence)?,
            Event::MappingStart(..) => self.nested(&range, Self::mapping)?,
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                alias(self.source, &range).join(self.findings);
                Value::Scalar { text: String::new(), quoted: false }
            }
            _ => {
                return Err(Raw::new(Code::NotYaml, range, "a value was expected here"));
            }
        };
        Ok(Node { span: range, value })
    }

    fn nested(
        &mut self,
        range: &Range<usize>,
        read: fn(&mut Self) -> Result<Value, Raw>,
    ) -> Result<Value, Raw> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep(range.clone()));
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn sequence(&mut self) -> Result<Value, Raw> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Sequence(items)),
                (event, span) => items.push(self.node(event, &span)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Value, Raw> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut lines: BTreeMap<String, Range<usize>> = BTreeMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::Mapping(entries));
            }
            let key = self.node(event, &span)?;
            let (event, span) = self.next()?;
            let node = self.node(event, &span)?;
            let Value::Scalar { text, .. } = key.value else {
                let title = "a key is a plain word here";
                Raw::new(Code::WrongShape, key.span, title).join(self.findings);
                continue;
            };
            if text == "<<" {
                let title = "merge keys (`<<`) are not part of the language";
                Raw::new(Code::NotInTheLanguage, key.span, title)
                    .hint("write the keys out")
                    .join(self.findings);
            } else if let Some(first) = lines.get(&text) {
                let title = format!("`{}` appears twice", short(&text));
                let raw = Raw::new(Code::DuplicateKey, key.span, title);
                let first = self.lines.line(self.source, first.start);
                raw.hint(format!("the first one is in line {first}: keep one of them"))
                    .join(self.findings);
            } else {
                lines.insert(text.clone(), key.span.clone());
                entries.push((Key { text, span: key.span }, node));
            }
        }
    }

    fn refuse_decoration(&mut self, event: &Event<'a>, span: &Span) {
        if event.tag().is_some() {
            let start = span.tag_start().and_then(|mark| mark.byte_offset());
            let range = self.range(span);
            let start = start.unwrap_or(range.start).min(range.start);
            let written = self.source.get(start..range.start.max(start)).unwrap_or("");
            let len = written.find(char::is_whitespace).unwrap_or(written.len());
            let title = "tags (`!…`) are not part of the language";
            Raw::new(Code::NotInTheLanguage, start..start + len, title)
                .hint("remove the tag: each key knows the type of its value")
                .join(self.findings);
        }
        if event.anchor_id().is_some() {
            let title = "anchors (`&…`) are not part of the language";
            Raw::new(Code::NotInTheLanguage, self.range(span), title)
                .hint("remove the anchor, and write the value out where it is used")
                .join(self.findings);
        }
    }

    fn range(&self, span: &Span) -> Range<usize> {
        span.byte_range().unwrap_or_else(|| self.end())
    }

    fn end(&self) -> Range<usize> {
        self.source.len()..self.source.len()
    }
}

fn empty_document(span: Range<usize>) -> Raw {
    Raw::new(Code::NotYaml, span, "the plan is empty")
        .hint("`soter init` writes one from a running cluster")
}

fn too_deep(span: Range<usize>) -> Raw {
    Raw::new(Code::NotYaml, span, format!("nested deeper than {DEPTH_MAX} levels"))
}

/// `*/15 * * * *` without quotes looks like an alias to YAML: the most common slip of all.
fn alias(source: &str, span: &Range<usize>) -> Raw {
    let written = source.get(span.clone()).unwrap_or("");
    let raw = Raw::new(
        Code::NotInTheLanguage,
        span.clone(),
        "aliases (`*…`) are not part of the language",
    );
    if written.starts_with("*/") {
        raw.hint("to YAML this is an alias: quote a schedule, \"*/15 * * * *\"")
    } else {
        raw.hint("write the value out, or quote it if it is a text")
    }
}

fn syntax(source: &str, error: &ScanError) -> Raw {
    let at = error.marker().byte_offset().unwrap_or(source.len()).min(source.len());
    let title = match error.kind() {
        ErrorKind::RecursionLimitExceeded => return too_deep(at..at),
        ErrorKind::DirectiveDisallowed => {
            let title = "directives (`%…`) are not part of the language";
            return Raw::new(Code::NotInTheLanguage, at..at, title).hint("remove the line");
        }
        kind => format!("this is not YAML: {kind}"),
    };
    let raw = Raw::new(Code::NotYaml, at..at, title);
    let line_start = source.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |nl| nl + 1);
    let line = source.get(line_start..).unwrap_or("").lines().next().unwrap_or("");
    let indentation = line.len() - line.trim_start().len();
    if line.get(..indentation).is_some_and(|space| space.contains('\t')) {
        return raw.hint("indent with spaces, not with tabs");
    }
    match error.kind() {
        ErrorKind::TabInBlockIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabInIndentation => raw.hint("use spaces, not tabs"),
        ErrorKind::UnclosedFlowCollection { .. } => {
            raw.hint("close the bracket that was opened here")
        }
        ErrorKind::UnclosedQuotedScalar => raw.hint("close the quote that was opened here"),
        _ if line.contains(": *") || line.contains(":*") => {
            raw.hint("a value that starts with `*`, such as a schedule, needs quotes")
        }
        _ => raw.hint("a key and its value are `key: value`, with a space behind the colon"),
    }
}

/// A key or a word as it may appear in a title: short, quiet, and without a secret.
pub(crate) fn short(text: &str) -> String {
    const SHOWN: usize = 40;
    let masked = crate::mask::mask(text, &[]);
    let clean: String =
        masked.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect();
    if masked.chars().nth(SHOWN).is_some() { format!("{clean}…") } else { clean }
}
