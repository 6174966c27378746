//! From text to commands: a reader by recursive descent that notes mistakes and goes on.
//!
//! ```text
//! script ── list ── and_or ── pipeline ─┬─ simple    (simple.rs, redirections.rs, words.rs)
//!              ▲                        └─ compound  (compound.rs)
//!              └──────── $(…), {…}, if … ────┘
//! ```
//! It makes no tree: commands are written down as they end, with their place ([`Position`]). A quote
//! that is never closed cannot be read past, so it is noted, taken for the character it is, and the
//! command is read again; this happens a limited number of times. Everything else is noted and
//! skipped, always by at least one byte.

use std::collections::BTreeSet;
use std::ops::Range;

use super::options::ShellOptions;
use super::placeholders::{self, Placeholder};
use super::script::{Block, BlockKind, Comment, Nested, Operator, Position, Role, Shell, Unread};
use super::source::Source;

/// Deeper nesting is not written by people. It also bounds the stack.
pub(super) const DEPTH_MAX: usize = 40;

/// How many quotes without an end are read past before the rest is given up: each costs a second look
/// at the lines behind it, so the number bounds the time.
const UNCLOSED_MAX: usize = 20;

/// How far back a placeholder is looked for that an outer script has noted already.
const KNOWN_MAX: usize = 200;

/// Notes about one script; a text that is no shell at all would have one for every line.
const UNREAD_MAX: usize = 50;

pub(super) struct Reader<'a> {
    pub(super) source: Source,
    /// Where it reads, and where it stops: bytes of the source.
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) options: ShellOptions,
    pub(super) out: &'a mut Shell,
    pub(super) block: Option<usize>,
    pub(super) role: Role,
    pub(super) nested: Option<Nested>,
    pub(super) depth: usize,
    /// `<name>` and `[some thing]`: no redirection, no pattern.
    pub(super) words_apart: Vec<Range<usize>>,
    /// Here-documents whose lines come after the next line break.
    pub(super) documents: Vec<super::redirections::Pending>,
    /// The words that end the lists being read, innermost last.
    pub(super) stops: Vec<&'static [&'static str]>,
    taken_literally: BTreeSet<usize>,
    /// Where it began, for a script inside of a script.
    depth_start: usize,
    block_start: Option<usize>,
}

/// What ends a list besides the end of the text: a parenthesis or a word where a command could be.
pub(super) const PAREN: &[&str] = &[")"];

/// Something that was opened at this byte and never closed.
#[derive(Debug)]
pub(super) struct Unclosed {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// Where the commands of a pipeline are: indexes into the shell's commands or blocks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Member {
    Command(usize),
    Block(usize),
}

/// How much had been read, to go back to.
struct Mark {
    at: usize,
    lengths: [usize; 8],
    options: ShellOptions,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: Source, options: ShellOptions, out: &'a mut Shell) -> Self {
        let words_apart = placeholders::words_apart(&source.text);
        Self {
            at: 0,
            end: source.text.len(),
            options,
            out,
            block: None,
            role: Role::Body,
            nested: None,
            depth: 0,
            words_apart,
            documents: Vec::new(),
            stops: Vec::new(),
            taken_literally: BTreeSet::new(),
            depth_start: 0,
            block_start: None,
            source,
        }
    }

    /// A reader for a script that a command of another script runs.
    pub(super) fn for_nested(
        mut self,
        nested: Option<Nested>,
        depth: usize,
        block: Option<usize>,
    ) -> Self {
        self.nested = nested;
        (self.depth, self.depth_start) = (depth, depth);
        (self.block, self.block_start) = (block, block);
        self
    }

    /// Reads a script that stands inside of this one.
    pub(super) fn read_inner(
        &mut self,
        source: Source,
        options: ShellOptions,
        nested: Option<Nested>,
        block: Option<usize>,
    ) {
        if self.depth + 1 >= DEPTH_MAX {
            let range = source.outer(0..source.text.len());
            let why = format!("nested deeper than {DEPTH_MAX} levels");
            self.out.unread.push(Unread { range, why });
            return;
        }
        let reader = Reader::new(source, options, &mut *self.out);
        reader.for_nested(nested, self.depth + 1, block).script();
    }

    /// Reads everything.
    pub(super) fn script(&mut self) {
        let first = self.source.text.lines().next().unwrap_or("");
        if let Some(options) = ShellOptions::of_first_line(first) {
            self.options = options;
        }
        let mut mark = self.mark();
        loop {
            match self.complete_command() {
                Ok(true) => mark = self.mark(),
                Ok(false) => break,
                Err(unclosed) => {
                    self.go_back(&mark);
                    self.unread(
                        unclosed.at..unclosed.at + 1,
                        format!("{} is never closed", unclosed.what),
                    );
                    self.out.unclosed_count += 1;
                    if self.out.unclosed_count >= UNCLOSED_MAX {
                        break;
                    }
                    self.taken_literally.insert(unclosed.at);
                    mark = Mark { lengths: self.lengths(), ..mark };
                }
            }
        }
    }

    /// One command with what belongs to it; false at the end.
    fn complete_command(&mut self) -> Result<bool, Unclosed> {
        self.skip_space_and_lines()?;
        if self.at >= self.end {
            return Ok(false);
        }
        if !self.skip_stray() {
            self.and_or()?;
        }
        Ok(true)
    }

    /// Commands up to one of the words that end the list, which is left to be read. True if it
    /// stands there.
    pub(super) fn list(&mut self, stop: &'static [&'static str]) -> Result<bool, Unclosed> {
        if self.depth >= DEPTH_MAX {
            let rest = self.at..self.end;
            self.unread(rest, format!("nested deeper than {DEPTH_MAX} levels"));
            self.at = self.end;
            return Ok(false);
        }
        self.depth += 1;
        self.stops.push(stop);
        let found = self.list_inside(stop);
        self.stops.pop();
        self.depth -= 1;
        found
    }

    fn list_inside(&mut self, stop: &'static [&'static str]) -> Result<bool, Unclosed> {
        loop {
            self.skip_space_and_lines()?;
            if self.at >= self.end {
                return Ok(false);
            }
            if self.stands_one_of(stop) {
                return Ok(true);
            }
            if self.stops.iter().any(|stop| self.stands_one_of(stop)) {
                return Ok(false);
            }
            if !self.skip_stray() {
                self.and_or()?;
            }
        }
    }

    /// `fi` without `if` and its kin; true if one was skipped.
    fn skip_stray(&mut self) -> bool {
        const STRAY: &[&str] = &[
            ")", "}", "fi", "then", "else", "elif", "do", "done", "esac", ";;", ";&", ";", "&", "|",
        ];
        let Some(word) = STRAY.iter().find(|word| self.stands(word)) else { return false };
        let range = self.at..self.at + word.len();
        self.unread(range, format!("`{word}` stands where a command was expected"));
        self.at += word.len();
        true
    }

    /// `a && b || c`, with the `;`, `&` or line break behind it.
    fn and_or(&mut self) -> Result<(), Unclosed> {
        self.out.lists_count += 1;
        let list = self.out.lists_count;
        let mut members: Vec<Vec<Member>> = Vec::new();
        let mut before = None;
        loop {
            let position = Position {
                block: self.block,
                role: self.role,
                list,
                step: members.len(),
                before,
                ..Position::default()
            };
            members.push(self.pipeline(position)?);
            let Some(operator) = self.operator() else { break };
            let ended = members.last().map(Vec::as_slice).unwrap_or_default();
            self.out.each_position(ended, |position| position.after = Some(operator));
            before = Some(operator);
            self.skip_space_and_lines()?;
        }
        self.skip_space();
        if self.byte() == Some(b'&') {
            for pipeline in &members {
                self.out.each_position(pipeline, |position| position.is_background = true);
            }
            self.at += 1;
        } else if self.byte() == Some(b';') && !self.rest().starts_with(";;") {
            self.at += 1;
        }
        Ok(())
    }

    fn operator(&mut self) -> Option<Operator> {
        self.skip_space();
        let operator = match self.rest() {
            rest if rest.starts_with("&&") => Operator::And,
            rest if rest.starts_with("||") => Operator::Or,
            _ => return None,
        };
        self.at += 2;
        Some(operator)
    }

    fn pipeline(&mut self, mut position: Position) -> Result<Vec<Member>, Unclosed> {
        let mut members = Vec::new();
        loop {
            self.skip_space();
            if self.stands("!") {
                position.is_negated = !position.is_negated;
                self.at += 1;
            } else if self.stands("time") {
                self.at += 4;
                self.skip_space();
                if self.stands("-p") {
                    self.at += 2;
                }
            } else {
                break;
            }
        }
        loop {
            position.pipe_index = members.len();
            let started = self.at;
            members.extend(self.command(&position)?);
            self.skip_space();
            let is_pipe = self.byte() == Some(b'|') && !self.rest().starts_with("||");
            if !is_pipe {
                // A command that begins with what no command can begin with.
                if self.at == started && self.at < self.end && !self.stands_separator() {
                    self.skip_one();
                }
                break;
            }
            self.at += if self.rest().starts_with("|&") { 2 } else { 1 };
            self.skip_space_and_lines()?;
            if self.at >= self.end {
                break;
            }
        }
        let length = members.len();
        self.out.each_position(&members, |position| position.pipe_length = length);
        Ok(members)
    }

    fn command(&mut self, position: &Position) -> Result<Option<Member>, Unclosed> {
        match self.compound(position)? {
            Some(block) => Ok(Some(Member::Block(block))),
            None => Ok(self.simple(position)?.map(Member::Command)),
        }
    }

    /// Reads commands as part of a new block.
    pub(super) fn inside<T>(
        &mut self,
        block: usize,
        role: Role,
        read: impl FnOnce(&mut Self) -> Result<T, Unclosed>,
    ) -> Result<T, Unclosed> {
        let (outer_block, outer_role) = (self.block.replace(block), self.role);
        self.role = role;
        let read = read(self);
        (self.block, self.role) = (outer_block, outer_role);
        read
    }

    /// Writes a block down; its range is set when it ends.
    pub(super) fn open_block(&mut self, kind: BlockKind, position: &Position) -> usize {
        let start = self.source.outer(self.at..self.at).start;
        self.out.blocks.push(Block {
            kind,
            position: position.clone(),
            range: start..start,
            redirections: Vec::new(),
        });
        self.out.blocks.len() - 1
    }

    pub(super) fn close_block(&mut self, block: usize) {
        let end = self.source.outer(self.at.saturating_sub(1)..self.at).end;
        if let Some(block) = self.out.blocks.get_mut(block) {
            block.range.end = end.max(block.range.start);
        }
    }

    pub(super) fn unread(&mut self, range: Range<usize>, why: impl Into<String>) {
        if self.out.unread.len() < UNREAD_MAX {
            let range = self.source.outer(self.whole_characters(range));
            self.out.unread.push(Unread { range, why: why.into() });
        }
    }

    /// Skips a character that nothing can begin with, and notes it.
    pub(super) fn skip_one(&mut self) {
        let start = self.at;
        self.at += self.rest().chars().next().map_or(1, char::len_utf8);
        let what = self.text(start..self.at).to_owned();
        self.unread(start..self.at, format!("`{what}` stands where a command was expected"));
    }

    /// Whether the quote or parenthesis at this byte was found to have no end.
    pub(super) fn is_literal_at(&self, at: usize) -> bool {
        self.taken_literally.contains(&at)
    }

    /// Notes a placeholder that a range of the source holds.
    pub(super) fn note_placeholders(&mut self, found: impl IntoIterator<Item = Placeholder>) {
        for placeholder in found {
            let mut known = self.out.placeholders.iter().rev().take(KNOWN_MAX);
            if !known.any(|known| known.range == placeholder.range) {
                self.out.placeholders.push(placeholder);
            }
        }
    }

    // What stands at the place it reads.

    pub(super) fn byte(&self) -> Option<u8> {
        self.byte_at(self.at)
    }

    pub(super) fn byte_at(&self, at: usize) -> Option<u8> {
        if at < self.end { self.source.text.as_bytes().get(at).copied() } else { None }
    }

    pub(super) fn rest(&self) -> &str {
        self.text(self.at..self.end)
    }

    pub(super) fn text(&self, range: Range<usize>) -> &str {
        self.source.text.get(range).unwrap_or("")
    }

    fn whole_characters(&self, range: Range<usize>) -> Range<usize> {
        let text = &self.source.text;
        let end = range.end.min(text.len());
        let end = (end..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
        range.start.min(end)..end
    }

    /// Whether this word or sign stands here, with nothing of a word behind it.
    pub(super) fn stands(&self, word: &str) -> bool {
        if !self.rest().starts_with(word) {
            return false;
        }
        let is_sign = !word.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '!' || c == '}');
        let next = self.byte_at(self.at + word.len());
        is_sign || next.is_none_or(|byte| ends_a_word(byte) || (word == "}" && byte == b'\r'))
    }

    pub(super) fn stands_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.stands(word))
    }

    fn stands_separator(&self) -> bool {
        matches!(self.byte(), Some(b';' | b'&' | b'\n' | b')' | b'|'))
    }

    /// Spaces and continued lines.
    pub(super) fn skip_space(&mut self) {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\\') if self.rest().starts_with("\\\n") => self.at += 2,
                Some(b'\\') if self.rest().starts_with("\\\r\n") => self.at += 3,
                _ => return,
            }
        }
    }

    /// Spaces, comments and line breaks, with the here-documents that begin behind one.
    pub(super) fn skip_space_and_lines(&mut self) -> Result<(), Unclosed> {
        loop {
            self.skip_space();
            match self.byte() {
                Some(b'\n') => {
                    self.at += 1;
                    self.here_documents()?;
                }
                Some(b'#') => self.comment(),
                _ => return Ok(()),
            }
        }
    }

    pub(super) fn comment(&mut self) {
        let start = self.at;
        let len = self.rest().find('\n').unwrap_or(self.end - start);
        self.at = start + len;
        let text = self.text(start..self.at).trim_start_matches('#').trim().to_owned();
        let range = self.source.outer(start..self.at);
        self.out.comments.push(Comment { text, range });
    }

    fn mark(&self) -> Mark {
        Mark { at: self.at, lengths: self.lengths(), options: self.options }
    }

    fn lengths(&self) -> [usize; 8] {
        let out = &*self.out;
        [
            out.commands.len(),
            out.blocks.len(),
            out.parameters.len(),
            out.assignments.len(),
            out.functions.len(),
            out.placeholders.len(),
            out.comments.len(),
            out.statements.len(),
        ]
    }

    /// Forgets what was read since, but not what was noted as unreadable.
    fn go_back(&mut self, mark: &Mark) {
        let out = &mut *self.out;
        let [commands, blocks, parameters, assignments, functions, placeholders, comments, rest] =
            mark.lengths;
        out.commands.truncate(commands);
        out.blocks.truncate(blocks);
        out.parameters.truncate(parameters);
        out.assignments.truncate(assignments);
        out.functions.truncate(functions);
        out.placeholders.truncate(placeholders);
        out.comments.truncate(comments);
        out.statements.truncate(rest);
        self.at = mark.at;
        self.options = mark.options;
        self.documents.clear();
        self.stops.clear();
        self.depth = self.depth_start;
        (self.block, self.role) = (self.block_start, Role::Body);
    }
}

/// The bytes that end a word.
pub(super) fn ends_a_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
}
