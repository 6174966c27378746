//! A piece of a document's text, without its decoration, that knows where each part was written.

use std::ops::Range;

use crate::language::{At, FileId, Origin};

/// Text without emphasis, and where it stands in the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text {
    text: String,
    pieces: Vec<Piece>,
    /// Parts that were written bold, in order, none inside another.
    strong: Vec<Range<usize>>,
    file: FileId,
}

/// A part of a text and its place in the document; they differ in length where one was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    at: Range<usize>,
    source: Range<usize>,
}

impl Text {
    pub(crate) fn new(file: FileId) -> Self {
        Self { file, ..Self::default() }
    }

    /// A text that stands in the document as it is.
    pub(crate) fn plain(file: FileId, text: &str, start: usize) -> Self {
        let mut plain = Self::new(file);
        plain.push(text, start..start + text.len());
        plain
    }

    /// Adds what was written at `source`.
    pub(crate) fn push(&mut self, text: &str, source: Range<usize>) {
        let start = self.text.len();
        self.text.push_str(text);
        let at = start..self.text.len();
        match self.pieces.last_mut() {
            // Runs that follow each other are one piece.
            Some(last)
                if last.source.end == source.start
                    && last.at.len() == last.source.len()
                    && at.len() == source.len() =>
            {
                last.at.end = at.end;
                last.source.end = source.end;
            }
            _ if at.is_empty() => {}
            _ => self.pieces.push(Piece { at, source }),
        }
    }

    /// Says that a part was written bold.
    pub(crate) fn embolden(&mut self, range: Range<usize>) {
        while self.strong.last().is_some_and(|last| last.start >= range.start) {
            self.strong.pop();
        }
        self.strong.push(range);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    pub(crate) fn file(&self) -> FileId {
        self.file
    }

    /// Where it was written.
    pub(crate) fn origin(&self) -> Origin {
        match (self.pieces.first(), self.pieces.last()) {
            (Some(first), Some(last)) => {
                Origin::new(self.file, first.source.start..last.source.end.max(first.source.start))
            }
            _ => Origin::new(self.file, 0..0),
        }
    }

    /// A value read from it.
    pub(crate) fn at<T>(&self, value: T) -> At<T> {
        At::new(value, self.origin())
    }

    /// Its own words as a value, in one line.
    pub(crate) fn value(&self) -> At<String> {
        self.at(one_line(&self.text))
    }

    /// How much of its beginning was written bold; 0 if it begins plain.
    pub(crate) fn strong_start(&self) -> usize {
        let lead = self.text.len() - self.text.trim_start().len();
        let mut end = lead;
        for range in &self.strong {
            let gap = self.text.get(end..range.start.max(end)).unwrap_or("");
            if range.start > end && !gap.trim().is_empty() {
                break;
            }
            end = end.max(range.end);
        }
        if end == lead { 0 } else { end }
    }

    /// A part of it.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let range = range.start.min(self.text.len())..range.end.min(self.text.len());
        let text = self.text.get(range.clone()).unwrap_or("").to_owned();
        let first = self.pieces.partition_point(|piece| piece.at.end <= range.start);
        let pieces = self.pieces.iter().skip(first).take_while(|piece| piece.at.start < range.end);
        let pieces = pieces
            .map(|piece| {
                let at = piece.at.start.max(range.start)..piece.at.end.min(range.end);
                let source = if piece.at.len() == piece.source.len() {
                    let start = piece.source.start + (at.start - piece.at.start);
                    start..start + at.len()
                } else {
                    piece.source.clone()
                };
                Piece { at: at.start - range.start..at.end - range.start, source }
            })
            .collect();
        let first = self.strong.partition_point(|s| s.end <= range.start);
        let strong = self.strong.iter().skip(first).take_while(|s| s.start < range.end);
        let strong = strong
            .map(|s| s.start.max(range.start) - range.start..s.end.min(range.end) - range.start)
            .collect();
        Self { text, pieces, strong, file: self.file }
    }

    /// From a byte on.
    pub(crate) fn behind(&self, start: usize) -> Self {
        self.slice(start..self.text.len())
    }

    /// Without these characters at its ends.
    pub(crate) fn trim_matches(&self, is_waste: impl Fn(char) -> bool + Copy) -> Self {
        let start = self.text.len() - self.text.trim_start_matches(is_waste).len();
        let end = start + self.text.trim_matches(is_waste).len();
        self.slice(start..end)
    }

    pub(crate) fn trim(&self) -> Self {
        self.trim_matches(char::is_whitespace)
    }

    /// Its lines, trimmed; empty ones are left out.
    pub(crate) fn lines(&self) -> Vec<Self> {
        self.split(|rest| rest.find('\n').map(|at| at..at + 1))
    }

    /// The parts between what `separator` finds in the rest, trimmed; empty ones are left out.
    pub(crate) fn split(&self, separator: impl Fn(&str) -> Option<Range<usize>>) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at <= self.text.len() {
            let found = self.text.get(at..).and_then(&separator).filter(|found| found.end > 0);
            let (end, next) = match found {
                Some(found) => (at + found.start, at + found.end),
                None => (self.text.len(), self.text.len() + 1),
            };
            parts.push(self.slice(at..end).trim());
            at = next;
        }
        parts.retain(|part| !part.is_blank());
        parts
    }

    /// The places of its lines in the document, for a script; none if they cannot be told.
    pub(crate) fn line_starts(&self) -> Vec<usize> {
        let starts = std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1));
        starts.map(|at| self.source_of(at)).collect()
    }

    /// Where a byte of it stands in the document.
    pub(crate) fn source_of(&self, at: usize) -> usize {
        let next = self.pieces.partition_point(|piece| piece.at.end <= at);
        match self.pieces.get(next).or(self.pieces.last()) {
            Some(piece) if at >= piece.at.end => piece.source.end,
            Some(piece) if piece.at.len() == piece.source.len() => {
                piece.source.start + at.saturating_sub(piece.at.start)
            }
            Some(piece) => piece.source.start,
            None => 0,
        }
    }
}

/// In one line, with single spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_know_their_places() {
        let source = "a **bold** c &amp; d";
        let mut text = Text::new(FileId(0));
        text.push("a ", 0..2);
        text.push("bold", 4..8);
        text.embolden(2..6);
        text.push(" c ", 10..13);
        text.push("&", 13..18);
        text.push(" d", 18..20);
        assert_eq!(text.as_str(), "a bold c & d");
        let part = |range: Range<usize>| source.get(text.slice(range).origin().range()).unwrap();
        assert_eq!(part(2..6), "bold");
        assert_eq!(part(4..8), "ld** c");
        assert_eq!(part(9..10), "&amp;");
        assert_eq!(text.slice(2..12).strong_start(), 4);
        assert_eq!(text.strong_start(), 0);
        let parts = text.split(|rest| rest.find(' ').map(|at| at..at + 1));
        assert_eq!(
            parts.iter().map(Text::as_str).collect::<Vec<_>>(),
            ["a", "bold", "c", "&", "d"]
        );
        assert_eq!(source.get(parts[4].origin().range()), Some("d"));
    }
}
