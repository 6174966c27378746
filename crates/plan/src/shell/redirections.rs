//! Redirections and here-documents, whose lines stand behind the line that asks for them.

use super::nested;
use super::reader::{Reader, Unclosed};
use super::script::{HereDocument, Redirection, RedirectionKind};
use super::words::Builder;

/// A here-document whose lines have not been reached yet.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    tag: String,
    /// `<<-`: tabs at the beginning of lines do not count.
    is_indented: bool,
    /// `<<'END'`: the lines stand for themselves.
    is_literal: bool,
    opened: usize,
    /// The command, and which of its redirections.
    pub(super) command: Option<(usize, usize)>,
    pub(super) block: Option<(usize, usize)>,
}

const OPERATORS: &[(&str, RedirectionKind)] = &[
    ("<<<", RedirectionKind::HereDocument),
    ("<<-", RedirectionKind::HereDocument),
    ("<<", RedirectionKind::HereDocument),
    ("<&", RedirectionKind::Duplicate),
    ("<>", RedirectionKind::ReadWrite),
    ("<", RedirectionKind::Read),
    ("&>>", RedirectionKind::Append),
    ("&>", RedirectionKind::Write),
    (">>", RedirectionKind::Append),
    (">&", RedirectionKind::Duplicate),
    (">|", RedirectionKind::Write),
    (">", RedirectionKind::Write),
];

impl Reader<'_> {
    /// The redirection that stands here, and the here-document it asks for.
    pub(super) fn redirection(
        &mut self,
    ) -> Result<Option<(Redirection, Option<Pending>)>, Unclosed> {
        let start = self.at;
        let digits = self.rest().bytes().take(3).take_while(u8::is_ascii_digit).count();
        let behind = self.text(start + digits..self.end);
        let is_substitution = behind.starts_with("<(") || behind.starts_with(">(");
        let operator = OPERATORS.iter().find(|(sign, _)| behind.starts_with(sign));
        let Some(&(sign, kind)) = operator.filter(|_| !is_substitution) else { return Ok(None) };
        if self.stands_word_apart() || self.is_literal_at(start) {
            return Ok(None);
        }
        let descriptor = self.text(start..start + digits).parse().ok();
        self.at = start + digits + sign.len();
        self.skip_space();
        let target = self.word()?;
        let range = self.source.outer(start..self.at);
        let mut redirection = Redirection { kind, descriptor, target, range, document: None };
        if redirection.target.range.is_empty() && redirection.target.text.is_empty() {
            self.unread(start..self.at, format!("`{sign}` says no file"));
        } else if sign == "<<<" {
            let body = redirection.target.clone();
            redirection.document = Some(HereDocument { body });
        } else if kind == RedirectionKind::HereDocument {
            let pending = Pending {
                tag: redirection.target.text.clone(),
                is_indented: sign == "<<-",
                is_literal: redirection.target.is_quoted,
                opened: start,
                command: None,
                block: None,
            };
            return Ok(Some((redirection, Some(pending))));
        } else if kind == RedirectionKind::Duplicate
            && !redirection.target.text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        {
            redirection.kind = RedirectionKind::Write;
        }
        Ok(Some((redirection, None)))
    }

    /// `done < file`
    pub(super) fn block_redirections(&mut self, block: usize) -> Result<(), Unclosed> {
        loop {
            let before = self.at;
            self.skip_space();
            let Some((redirection, document)) = self.redirection()? else {
                self.at = before;
                return Ok(());
            };
            if let Some(known) = self.out.blocks.get_mut(block) {
                let place = (block, known.redirections.len());
                known.redirections.push(redirection);
                self.documents
                    .extend(document.map(|document| Pending { block: Some(place), ..document }));
            }
        }
    }

    /// Reads the lines of the here-documents that were asked for, from the beginning of a line.
    pub(super) fn here_documents(&mut self) -> Result<(), Unclosed> {
        for pending in std::mem::take(&mut self.documents) {
            let document = self.here_document(&pending)?;
            if let Some((command, redirection)) = pending.command {
                let command_found = self.out.commands.get_mut(command);
                let place = command_found.and_then(|found| found.redirections.get_mut(redirection));
                if let Some(place) = place {
                    place.document = Some(document);
                }
                nested::read_document(self, command);
            } else if let Some((block, redirection)) = pending.block {
                let block = self.out.blocks.get_mut(block);
                if let Some(place) = block.and_then(|found| found.redirections.get_mut(redirection))
                {
                    place.document = Some(document);
                }
            }
        }
        Ok(())
    }

    fn here_document(&mut self, pending: &Pending) -> Result<HereDocument, Unclosed> {
        let start = self.at;
        let mut builder = Builder::new(start);
        let mut lines = Vec::new();
        let mut ends = None;
        let mut at = start;
        while at < self.end {
            let rest = self.text(at..self.end);
            let len = rest.find('\n').map_or(rest.len(), |len| len + 1);
            let line = rest.get(..len).unwrap_or("").trim_end_matches(['\n', '\r']);
            let tabs = if pending.is_indented {
                line.len() - line.trim_start_matches('\t').len()
            } else {
                0
            };
            let bare = line.get(tabs..).unwrap_or("");
            // A tag that is indented ends nothing; a script pasted from an indented list means it to.
            if bare == pending.tag || bare.trim() == pending.tag {
                if bare != pending.tag {
                    let tag = &pending.tag;
                    let why = format!("`{tag}` is indented: to the shell the text goes on");
                    self.unread(at..at + line.len(), why);
                }
                ends = Some(at + len);
                break;
            }
            lines.push(at + tabs..at + len);
            at += len;
        }
        let body_end = at;
        if !pending.is_indented {
            lines.clear();
            lines.push(start..body_end);
        }
        let outer_end = self.end;
        let read = lines.into_iter().try_for_each(|line| {
            (self.at, self.end) = (line.start, line.end);
            self.document_lines(&mut builder, pending.is_literal)
        });
        self.end = outer_end;
        read?;
        self.at = body_end;
        // What only an unquoted word could mean is a text of its own kind here.
        builder.quote();
        let mut body = self.finish(builder);
        body.is_quoted = pending.is_literal;
        self.at = ends.unwrap_or(body_end);
        if ends.is_none() {
            let tag = &pending.tag;
            let opened = pending.opened..pending.opened + 2;
            self.unread(opened, format!("the here-document has no line `{tag}` that ends it"));
        }
        Ok(HereDocument { body })
    }

    fn document_lines(&mut self, builder: &mut Builder, is_literal: bool) -> Result<(), Unclosed> {
        if is_literal {
            self.take(builder, self.at..self.end);
            self.at = self.end;
            Ok(())
        } else {
            let opened = self.at;
            self.double_quoted(builder, opened, false)
        }
    }
}
