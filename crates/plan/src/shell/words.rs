//! Words: quotes, escapes, parameters, substitutions.
//!
//! The rule it keeps: the text of a word is what a program would be given, as far as that can be
//! known; what cannot be known stands as it was written, and the word is not literal.

use std::ops::Range;

use super::placeholders;
use super::reader::{Reader, Unclosed, ends_a_word};
use super::script::{Assignment, AssignmentKind, BlockKind, Form, Parameter, Position, Word};
use super::source::Source;

/// Longer arithmetic is none: the search for its end must not look through the rest of a script again
/// and again.
pub(super) const ARITHMETIC_BYTES_MAX: usize = 1000;

/// How far back a parameter is looked for that an outer script has used already.
const KNOWN_MAX: usize = 200;

/// A word while it is read.
pub(super) struct Builder {
    word: Word,
    start: usize,
    /// The parts of the text that are scripts of their own.
    scripts: Vec<Range<usize>>,
}

impl Builder {
    pub(super) fn new(start: usize) -> Self {
        Self { word: Word { is_literal: true, ..Word::default() }, start, scripts: Vec::new() }
    }

    /// Takes the word for quoted.
    pub(super) fn quote(&mut self) {
        self.word.is_quoted = true;
    }
}

impl Reader<'_> {
    /// The word that stands here; empty if none does.
    pub(super) fn word(&mut self) -> Result<Word, Unclosed> {
        let mut builder = Builder::new(self.at);
        while let Some(byte) = self.byte() {
            let apart = self.apart_here().map(|apart| apart.end);
            if let Some(end) = apart {
                self.take(&mut builder, self.at..end);
                self.at = end;
            } else if byte == b'(' && self.is_extended_pattern(&builder) {
                self.balanced(&mut builder)?;
            } else if ends_a_word(byte) {
                if !self.process_substitution(&mut builder)? {
                    break;
                }
            } else {
                self.piece(&mut builder)?;
            }
        }
        Ok(self.finish(builder))
    }

    /// Whether `<name>` stands here, which is no redirection.
    pub(super) fn stands_word_apart(&self) -> bool {
        self.apart_here().is_some()
    }

    fn apart_here(&self) -> Option<&Range<usize>> {
        let at = self.words_apart.partition_point(|apart| apart.start < self.at);
        self.words_apart.get(at).filter(|apart| apart.start == self.at && apart.end <= self.end)
    }

    /// One unquoted character, or all that a quote or a `$` begins.
    fn piece(&mut self, builder: &mut Builder) -> Result<(), Unclosed> {
        match self.byte() {
            Some(b'\'') if !self.is_literal_at(self.at) => self.single_quoted(builder),
            Some(b'"') if !self.is_literal_at(self.at) => {
                builder.word.is_quoted = true;
                let opened = self.at;
                self.at += 1;
                self.double_quoted(builder, opened, true)
            }
            Some(b'\\') => {
                self.at += 1;
                if self.rest().starts_with("\r\n") {
                    self.at += 2;
                } else if self.byte() == Some(b'\n') {
                    self.at += 1;
                } else {
                    builder.word.is_quoted = true;
                    self.take_character(builder);
                }
                Ok(())
            }
            Some(b'$' | b'`') => self.expansion(builder, false),
            _ => {
                self.take_character(builder);
                Ok(())
            }
        }
    }

    fn single_quoted(&mut self, builder: &mut Builder) -> Result<(), Unclosed> {
        builder.word.is_quoted = true;
        let start = self.at + 1;
        let len = self.text(start..self.end).find('\'');
        let len = len.ok_or(Unclosed { at: self.at, what: "the quote" })?;
        self.take(builder, start..start + len);
        self.at = start + len + 1;
        Ok(())
    }

    /// Text in which only `$`, `` ` `` and `\` mean something, up to the quote that ends it, or to
    /// the end (the lines of a here-document).
    pub(super) fn double_quoted(
        &mut self,
        builder: &mut Builder,
        opened: usize,
        is_in_quotes: bool,
    ) -> Result<(), Unclosed> {
        while let Some(byte) = self.byte() {
            match byte {
                b'"' if is_in_quotes => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    let next = self.byte_at(self.at + 1);
                    match next {
                        Some(b'\n') => self.at += 2,
                        Some(b'$' | b'`' | b'\\') => {
                            self.at += 1;
                            self.take_character(builder);
                        }
                        Some(b'"') if is_in_quotes => {
                            self.at += 1;
                            self.take_character(builder);
                        }
                        _ => self.take_character(builder),
                    }
                }
                b'$' | b'`' => self.expansion(builder, true)?,
                _ => self.take_character(builder),
            }
        }
        if is_in_quotes { Err(Unclosed { at: opened, what: "the quote" }) } else { Ok(()) }
    }

    /// What begins with `$` or a backquote; the sign itself if nothing does.
    fn expansion(&mut self, builder: &mut Builder, is_quoted: bool) -> Result<(), Unclosed> {
        let start = self.at;
        let rest = self.rest();
        if self.is_literal_at(start) {
            self.take_character(builder);
        } else if let Some(len) = self.arithmetic_len() {
            self.at += len;
            self.parameters_inside(start + 3..self.at);
            builder.word.is_literal = false;
            self.take(builder, start..self.at);
        } else if rest.starts_with("$(") {
            builder.word.is_literal = false;
            self.at += 2;
            let position = Position { block: self.block, role: self.role, ..Position::default() };
            self.substitution(BlockKind::Substitution, &position, start)?;
            self.take_script(builder, start..self.at);
        } else if rest.starts_with("${") {
            self.braced_parameter(builder)?;
        } else if rest.starts_with('`') {
            self.backquoted(builder)?;
        } else if rest.starts_with("$'") && !is_quoted {
            self.at += 1;
            self.ansi_quoted(builder)?;
        } else if rest.starts_with("$\"") && !is_quoted {
            self.at += 1;
        } else {
            self.plain_parameter(builder);
        }
        Ok(())
    }

    fn substitution(
        &mut self,
        kind: BlockKind,
        position: &Position,
        opened: usize,
    ) -> Result<usize, Unclosed> {
        // Here-documents that were begun outside have their lines behind the substitution.
        let documents = std::mem::take(&mut self.documents);
        let position = Position { pipe_length: 1, ..position.clone() };
        let block = self.subshell(kind, &position, opened)?;
        self.documents = documents;
        Ok(block)
    }

    /// `<( … )`; false if it is not one.
    fn process_substitution(&mut self, builder: &mut Builder) -> Result<bool, Unclosed> {
        let rest = self.rest();
        let is_one = rest.starts_with("<(") || rest.starts_with(">(");
        if !is_one || self.is_literal_at(self.at) {
            return Ok(false);
        }
        let start = self.at;
        self.at += 2;
        builder.word.is_literal = false;
        let position = Position { block: self.block, role: self.role, ..Position::default() };
        self.substitution(BlockKind::ProcessSubstitution, &position, start)?;
        self.take_script(builder, start..self.at);
        Ok(true)
    }

    /// `` `…` ``: a script of its own, in which a backslash goes before a backquote.
    fn backquoted(&mut self, builder: &mut Builder) -> Result<(), Unclosed> {
        let opened = self.at;
        let mut at = opened + 1;
        let mut ranges = Vec::new();
        let mut start = at;
        loop {
            match self.byte_at(at) {
                None => return Err(Unclosed { at: opened, what: "the backquote" }),
                Some(b'`') => break,
                Some(b'\\') if matches!(self.byte_at(at + 1), Some(b'`' | b'\\' | b'$')) => {
                    ranges.push(start..at);
                    start = at + 1;
                    at += 2;
                }
                Some(_) => at += 1,
            }
        }
        ranges.push(start..at);
        builder.word.is_literal = false;
        let position =
            Position { block: self.block, role: self.role, pipe_length: 1, ..Position::default() };
        let block = self.open_block(BlockKind::Substitution, &position);
        let inner = Source::of_parts(&self.source, &ranges);
        self.read_inner(inner, self.options, self.nested, Some(block));
        self.at = at + 1;
        self.close_block(block);
        self.take_script(builder, opened..self.at);
        Ok(())
    }

    /// `$'…'`; escapes that make a character stand as they are written.
    fn ansi_quoted(&mut self, builder: &mut Builder) -> Result<(), Unclosed> {
        builder.word.is_quoted = true;
        let opened = self.at;
        self.at += 1;
        loop {
            match self.byte() {
                None => return Err(Unclosed { at: opened, what: "the quote" }),
                Some(b'\'') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') if matches!(self.byte_at(self.at + 1), Some(b'\'' | b'\\' | b'"')) => {
                    self.at += 1;
                    self.take_character(builder);
                }
                Some(_) => self.take_character(builder),
            }
        }
    }

    /// `$X`, `$1`, `$?`, or a `$` that means itself.
    fn plain_parameter(&mut self, builder: &mut Builder) {
        let start = self.at;
        let rest = self.text(start + 1..self.end);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let len = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        match rest.chars().next() {
            Some(first) if first.is_ascii_digit() || "?#@*!$-".contains(first) => {
                builder.word.is_literal = false;
                self.at += 2;
            }
            Some(_) if len > 0 => {
                let name = rest.get(..len).unwrap_or("").to_owned();
                self.at += 1 + len;
                self.use_parameter(builder, name, start, Form::Plain);
            }
            _ => self.at += 1,
        }
        self.take(builder, start..self.at);
    }

    /// `${X}`, `${X:-default}`, `${#X}`…
    fn braced_parameter(&mut self, builder: &mut Builder) -> Result<(), Unclosed> {
        let start = self.at;
        let end = self.matching_brace().ok_or(Unclosed { at: start, what: "`${`" })?;
        let inner = self.text(start + 2..end);
        let name_start = inner.len() - inner.trim_start_matches(['#', '!']).len();
        let named = inner.get(name_start..).unwrap_or("");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let len = named.find(|c: char| !is_name(c)).unwrap_or(named.len());
        let name = named.get(..len).unwrap_or("").to_owned();
        let operation = named.get(len..).unwrap_or("");
        let form = form(operation);
        let assigns = operation.starts_with(":=") || operation.starts_with('=');
        builder.word.is_literal = false;
        let is_digit = name.starts_with(|c: char| c.is_ascii_digit());
        // `${!X}` asks for the parameter that `X` names.
        let is_indirect = self.text(start + 2..start + 3) == "!";
        if !name.is_empty() && !is_digit && !is_indirect {
            self.at = end + 1;
            if assigns {
                let range = self.source.outer(start..self.at);
                let kind = AssignmentKind::Default;
                self.out.assignments.push(Assignment {
                    name: name.clone(),
                    value: None,
                    range,
                    kind,
                });
            }
            self.use_parameter(builder, name, start, form);
        }
        self.parameters_inside(start + 2 + name_start + len..end);
        self.at = end + 1;
        self.take(builder, start..self.at);
        Ok(())
    }

    fn use_parameter(&mut self, builder: &mut Builder, name: String, start: usize, form: Form) {
        builder.word.is_literal = false;
        builder.word.parameters.push(name.clone());
        let range = self.source.outer(start..self.at);
        // The outer shell of `bash -c "… $X"` has put the value in its place already.
        let is_known = self.nested.is_some()
            && self.out.parameters.iter().rev().take(KNOWN_MAX).any(|known| known.range == range);
        if !is_known {
            self.out.parameters.push(Parameter { name, range, form });
        }
    }

    /// Uses of parameters in arithmetic, and in the default of another: `${X:-$Y}`.
    fn parameters_inside(&mut self, range: Range<usize>) {
        let text = self.text(range.clone()).to_owned();
        for (at, _) in text.match_indices('$') {
            let rest = text.get(at + 1..).unwrap_or("");
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let len = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
            let name = rest.get(..len).unwrap_or("");
            if len > 0 && !name.starts_with(|c: char| c.is_ascii_digit()) {
                let start = range.start + at;
                let end = start + 1 + (text.len() - at - 1 - rest.len()) + len;
                let range = self.source.outer(start..end);
                let (name, form) = (name.to_owned(), Form::Plain);
                self.out.parameters.push(Parameter { name, range, form });
            }
        }
    }

    /// The byte of the `}` that closes the `${` here.
    fn matching_brace(&self) -> Option<usize> {
        let mut at = self.at + 2;
        let mut open = 1usize;
        while let Some(byte) = self.byte_at(at) {
            match byte {
                b'\\' => at += 1,
                b'{' => open += 1,
                b'}' => open -= 1,
                b'\n' if open == 1 => return None,
                _ => {}
            }
            if open == 0 {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    /// The length of `$((…))` here, if it is one.
    fn arithmetic_len(&self) -> Option<usize> {
        if !self.rest().starts_with("$((") {
            return None;
        }
        let mut open = 0usize;
        for (at, byte) in self.rest().bytes().enumerate().skip(1).take(ARITHMETIC_BYTES_MAX) {
            match byte {
                b'(' => open += 1,
                b')' => open -= 1,
                b'\n' => return None,
                _ => {}
            }
            if open == 0 {
                let is_arithmetic = self.rest().get(..at).is_some_and(|text| text.ends_with(')'));
                return is_arithmetic.then_some(at + 1);
            }
        }
        None
    }

    /// `?(a|b)`, `!(x)`, and the value of an array, `X=(a b)`.
    fn is_extended_pattern(&self, builder: &Builder) -> bool {
        let text = &builder.word.text;
        !self.is_literal_at(self.at)
            && (text.ends_with(['?', '*', '+', '@', '!']) || is_array_name(text))
    }

    /// Everything up to the parenthesis that closes the one here.
    fn balanced(&mut self, builder: &mut Builder) -> Result<(), Unclosed> {
        let opened = self.at;
        self.take_character(builder);
        loop {
            match self.byte() {
                None => return Err(Unclosed { at: opened, what: "the parenthesis" }),
                Some(b')') => {
                    self.take_character(builder);
                    return Ok(());
                }
                Some(b'#') if builder.word.text.ends_with([' ', '\n']) => self.comment(),
                Some(_) => self.piece(builder)?,
            }
        }
    }

    fn take_character(&mut self, builder: &mut Builder) {
        let len = self.rest().chars().next().map_or(0, char::len_utf8);
        self.take(builder, self.at..self.at + len);
        self.at += len;
    }

    pub(super) fn take(&self, builder: &mut Builder, range: Range<usize>) {
        builder.word.text.push_str(self.text(range.clone()));
        builder.word.origins.extend(self.source.origins(range));
    }

    fn take_script(&self, builder: &mut Builder, range: Range<usize>) {
        let start = builder.word.text.len();
        self.take(builder, range);
        builder.scripts.push(start..builder.word.text.len());
    }

    pub(super) fn finish(&mut self, builder: Builder) -> Word {
        let Builder { mut word, start, scripts } = builder;
        word.range = self.source.outer(start..self.at);
        let found = placeholders::in_word(&word, &scripts);
        self.note_placeholders(found);
        word
    }
}

fn is_array_name(text: &str) -> bool {
    let name = text.strip_suffix('=').map(|name| name.strip_suffix('+').unwrap_or(name));
    name.is_some_and(|name| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// What `:-default` and its kin ask for.
fn form(operation: &str) -> Form {
    let operation = operation.strip_prefix(':').unwrap_or(operation);
    match operation.chars().next() {
        Some('-' | '=') => Form::Default(operation.chars().skip(1).collect()),
        Some('?') => Form::Required,
        Some('+') => Form::Alternative,
        _ => Form::Plain,
    }
}
