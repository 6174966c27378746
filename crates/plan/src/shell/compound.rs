//! Commands made of commands: `if`, loops, functions, groups, `[[ … ]]`.

use super::reader::{PAREN, Reader, Unclosed};
use super::script::{Assignment, AssignmentKind, BlockKind, Position, Role};
use super::words::ARITHMETIC_BYTES_MAX;

const THEN: &[&str] = &["then"];
const BRANCH_END: &[&str] = &["elif", "else", "fi"];
const FI: &[&str] = &["fi"];
const DO: &[&str] = &["do"];
const DONE: &[&str] = &["done"];
const BRACE: &[&str] = &["}"];
const CASE_ITEM_END: &[&str] = &[";;&", ";;", ";&", "esac"];

impl Reader<'_> {
    /// Reads a compound command if one stands here: its index in `blocks`.
    pub(super) fn compound(&mut self, position: &Position) -> Result<Option<usize>, Unclosed> {
        let block = match self.byte() {
            Some(b'(') if self.is_literal_at(self.at) => return Ok(None),
            Some(b'(') if self.rest().starts_with("((") && self.skip_arithmetic() => {
                self.open_block(BlockKind::Group, position)
            }
            Some(b'(') => {
                self.at += 1;
                self.subshell(BlockKind::Subshell, position, self.at - 1)?
            }
            Some(b'{') if self.stands_word("{") => self.group(position)?,
            Some(b'i') if self.stands("if") => self.if_clause(position)?,
            Some(b'w') if self.stands("while") => {
                self.loop_clause("while", BlockKind::While, position)?
            }
            Some(b'u') if self.stands("until") => {
                self.loop_clause("until", BlockKind::Until, position)?
            }
            Some(b'f') if self.stands("for") => self.for_clause("for", position)?,
            Some(b's') if self.stands("select") => self.for_clause("select", position)?,
            Some(b'c') if self.stands("case") => self.case_clause(position)?,
            Some(b'f') if self.stands("function") => self.function(position)?,
            _ if self.stands_function() => self.function(position)?,
            _ => return Ok(None),
        };
        self.block_redirections(block)?;
        self.close_block(block);
        Ok(Some(block))
    }

    /// A sign that is only a word of the shell when it stands alone.
    fn stands_word(&self, word: &str) -> bool {
        let next = self.byte_at(self.at + word.len());
        self.rest().starts_with(word)
            && next.is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
    }

    /// `(( … ))`; false if this is no arithmetic, and nothing was read.
    fn skip_arithmetic(&mut self) -> bool {
        let mut open = 0usize;
        for (at, byte) in self.rest().bytes().enumerate().take(ARITHMETIC_BYTES_MAX) {
            match byte {
                b'(' => open += 1,
                b')' => open -= 1,
                b'\n' => return false,
                _ => {}
            }
            if open == 0 {
                let is_arithmetic = self.rest().get(..at).is_some_and(|text| text.ends_with(')'));
                if is_arithmetic {
                    self.at += at + 1;
                }
                return is_arithmetic;
            }
        }
        false
    }

    /// `( … )` behind its parenthesis. What it changes ends with it.
    pub(super) fn subshell(
        &mut self,
        kind: BlockKind,
        position: &Position,
        opened: usize,
    ) -> Result<usize, Unclosed> {
        let block = self.open_block(kind, position);
        let options = self.options;
        let closed = self.inside(block, Role::Body, |reader| reader.list(PAREN))?;
        self.options = options;
        if closed {
            self.at += 1;
        } else if self.at >= self.end {
            return Err(Unclosed { at: opened, what: "the parenthesis" });
        }
        self.close_block(block);
        Ok(block)
    }

    fn group(&mut self, position: &Position) -> Result<usize, Unclosed> {
        let block = self.open_block(BlockKind::Group, position);
        let opened = self.at;
        self.at += 1;
        let closed = self.inside(block, Role::Body, |reader| reader.list(BRACE))?;
        self.expect(closed, "}", "`{`", opened);
        Ok(block)
    }

    fn if_clause(&mut self, position: &Position) -> Result<usize, Unclosed> {
        let block = self.open_block(BlockKind::If, position);
        let opened = self.at;
        self.at += 2;
        loop {
            let found = self.inside(block, Role::IfCondition, |reader| reader.list(THEN))?;
            if !self.expect(found, "then", "`if`", opened) {
                return Ok(block);
            }
            let found = self.inside(block, Role::Body, |reader| reader.list(BRANCH_END))?;
            if found && self.stands("elif") {
                self.at += 4;
                continue;
            }
            if found && self.stands("else") {
                self.at += 4;
                let found = self.inside(block, Role::Body, |reader| reader.list(FI))?;
                self.expect(found, "fi", "`if`", opened);
            } else {
                self.expect(found, "fi", "`if`", opened);
            }
            return Ok(block);
        }
    }

    fn loop_clause(
        &mut self,
        word: &'static str,
        kind: BlockKind,
        position: &Position,
    ) -> Result<usize, Unclosed> {
        let block = self.open_block(kind, position);
        let opened = self.at;
        self.at += word.len();
        let found = self.inside(block, Role::LoopCondition, |reader| reader.list(DO))?;
        if self.expect(found, "do", word, opened) {
            self.loop_body(block, word, opened)?;
        }
        Ok(block)
    }

    fn loop_body(&mut self, block: usize, word: &str, opened: usize) -> Result<(), Unclosed> {
        let found = self.inside(block, Role::Body, |reader| reader.list(DONE))?;
        self.expect(found, "done", word, opened);
        Ok(())
    }

    fn for_clause(&mut self, word: &'static str, position: &Position) -> Result<usize, Unclosed> {
        let block = self.open_block(BlockKind::For, position);
        let opened = self.at;
        self.at += word.len();
        self.skip_space();
        if self.rest().starts_with("((") && self.skip_arithmetic() {
            self.skip_separator()?;
        } else {
            self.for_words()?;
        }
        if self.stands("{") {
            self.at += 1;
            let found = self.inside(block, Role::Body, |reader| reader.list(BRACE))?;
            self.expect(found, "}", word, opened);
        } else {
            let found = self.stands("do");
            if self.expect(found, "do", word, opened) {
                self.loop_body(block, word, opened)?;
            }
        }
        Ok(block)
    }

    /// `X in a b c;`
    fn for_words(&mut self) -> Result<(), Unclosed> {
        let name = self.word()?;
        self.skip_space_and_lines()?;
        let mut value = None;
        if self.stands("in") {
            self.at += 2;
            loop {
                self.skip_space();
                match self.byte() {
                    None | Some(b';' | b'\n' | b'&' | b'|' | b')' | b'#') => break,
                    Some(b'(' | b'<' | b'>') if !self.stands_word_apart() => break,
                    _ => value = Some(self.word()?),
                }
            }
        }
        self.out.assignments.push(Assignment {
            range: name.range.clone(),
            name: name.text,
            value,
            kind: AssignmentKind::Loop,
        });
        self.skip_separator()
    }

    fn skip_separator(&mut self) -> Result<(), Unclosed> {
        self.skip_space();
        if self.byte() == Some(b';') {
            self.at += 1;
        }
        self.skip_space_and_lines()
    }

    fn case_clause(&mut self, position: &Position) -> Result<usize, Unclosed> {
        let block = self.open_block(BlockKind::Case, position);
        let opened = self.at;
        self.at += 4;
        self.skip_space();
        self.word()?;
        self.skip_space_and_lines()?;
        let found = self.stands("in");
        if !self.expect(found, "in", "`case`", opened) {
            return Ok(block);
        }
        loop {
            self.skip_space_and_lines()?;
            if self.at >= self.end || self.stands("esac") {
                break;
            }
            let started = self.at;
            if self.case_patterns()? {
                let found = self.inside(block, Role::Body, |reader| reader.list(CASE_ITEM_END))?;
                if found && !self.stands("esac") {
                    self.at += if self.rest().starts_with(";;&") { 3 } else { 2 };
                } else if !found {
                    break;
                }
            }
            if self.at == started {
                break;
            }
        }
        let found = self.stands("esac");
        self.expect(found, "esac", "`case`", opened);
        Ok(block)
    }

    /// `a|b)`; false if no parenthesis closes it.
    fn case_patterns(&mut self) -> Result<bool, Unclosed> {
        if self.byte() == Some(b'(') {
            self.at += 1;
        }
        loop {
            self.skip_space();
            match self.byte() {
                Some(b')') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(b'|') => self.at += 1,
                None | Some(b';' | b'&' | b'<' | b'>' | b'\n' | b'(') => return Ok(false),
                _ => {
                    self.word()?;
                }
            }
        }
    }

    /// `name()`
    fn stands_function(&self) -> bool {
        let rest = self.rest();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
        let len = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let behind = rest.get(len..).unwrap_or("").trim_start_matches([' ', '\t']);
        let inner = behind.strip_prefix('(').map(|inner| inner.trim_start_matches([' ', '\t']));
        len > 0 && inner.is_some_and(|inner| inner.starts_with(')'))
    }

    fn function(&mut self, position: &Position) -> Result<usize, Unclosed> {
        if self.stands("function") {
            self.at += "function".len();
            self.skip_space();
        }
        let is_name = |c: char| !c.is_whitespace() && !"()<>;&|{}'\"$".contains(c);
        let len = self.rest().find(|c: char| !is_name(c)).unwrap_or(self.rest().len());
        let name = self.text(self.at..self.at + len).to_owned();
        let opened = self.at;
        let block = self.open_block(BlockKind::Function(name.clone()), position);
        self.at += len;
        self.out.functions.push(name);
        self.skip_space();
        if self.byte() == Some(b'(') {
            self.at += 1;
            self.skip_space();
            if self.byte() == Some(b')') {
                self.at += 1;
            }
        }
        self.skip_space_and_lines()?;
        let inner = Position { block: Some(block), pipe_length: 1, ..Position::default() };
        if self.depth >= super::reader::DEPTH_MAX {
            let rest = self.at..self.end;
            self.unread(rest, "nested too deeply");
            self.at = self.end;
            return Ok(block);
        }
        self.depth += 1;
        let options = self.options;
        let body = self.inside(block, Role::Body, |reader| reader.compound(&inner));
        self.options = options;
        self.depth -= 1;
        if body?.is_none() {
            self.unread(opened..opened + len.max(1), "this function has no body");
        }
        Ok(block)
    }

    /// Reads the word that closes something, or notes that it is missing.
    fn expect(&mut self, found: bool, word: &str, opened_by: &str, opened: usize) -> bool {
        if found {
            self.at += word.len();
        } else {
            let opened_by = opened_by.trim_matches('`');
            let range = opened..opened + opened_by.len();
            self.unread(range, format!("`{opened_by}` has no `{word}`"));
        }
        found
    }
}
