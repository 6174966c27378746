//! Drawings of box characters: trees and framed lists are text that means something.
//!
//! `│  ├── Base Backup: Daily @ 02:00 UTC   │` is an item of a list. Boxes beside each other, with
//! arrows between them, are pictures and stay what they are.

use super::{Block, Code, Item, List};
use crate::markdown::text::Text;

/// What frames are made of.
fn is_frame(c: char) -> bool {
    ('\u{2500}'..='\u{257f}').contains(&c)
}

/// A line that stands upright, at the side of a frame.
fn is_side(c: char) -> bool {
    matches!(c, '│' | '║' | '┃' | '▏' | '▕' | '|')
}

/// What stands before an item.
fn is_bullet(c: char) -> bool {
    matches!(c, '•' | '▪' | '●' | '◦' | '‣' | '✓' | '☐' | '□')
}

/// Code, or the lists that are drawn in it.
pub(super) fn blocks(code: Code) -> Vec<Block> {
    let drawn = matches!(code.language.as_str(), "" | "text" | "txt" | "plaintext" | "ascii")
        && code.text.as_str().contains(is_frame);
    match drawn.then(|| lines(&code.text)).flatten() {
        Some(lines) => vec![Block::List(list(&lines))],
        None => vec![Block::Code(code)],
    }
}

/// A line of a drawing without its frame.
struct Line {
    /// Where its words begin, in characters.
    column: usize,
    /// It hangs on a branch or behind a bullet.
    hangs: bool,
    text: Text,
}

/// The lines of a drawing; none if it is a picture.
fn lines(text: &Text) -> Option<Vec<Line>> {
    let raw = raw_lines(text);
    let is_framed = |line: &Text| {
        let line = line.as_str().trim();
        line.chars().count() > 1 && line.starts_with(is_side) && line.ends_with(is_side)
    };
    let words = raw.iter().filter(|line| line.as_str().contains(char::is_alphanumeric)).count();
    let framed = raw
        .iter()
        .filter(|line| line.as_str().contains(char::is_alphanumeric) && is_framed(line))
        .count();
    let boxed = framed * 2 > words;
    let mut lines = Vec::new();
    let mut pictures = 0;
    for line in raw {
        let inner = if boxed && is_framed(&line) { unframed(&line) } else { line };
        let line = branch(&inner);
        if line.text.as_str().contains(|c| is_frame(c) || matches!(c, '▼' | '▲' | '►' | '◄'))
        {
            if line.text.as_str().contains(char::is_alphanumeric) {
                pictures += 1;
            }
            continue;
        }
        lines.push(line);
    }
    let said = lines.iter().filter(|line| !line.text.is_blank()).count();
    (said > pictures * 4).then_some(lines)
}

/// The lines, empty ones too.
fn raw_lines(text: &Text) -> Vec<Text> {
    let mut at = 0;
    let mut lines = Vec::new();
    for line in text.as_str().split_inclusive('\n') {
        lines.push(text.slice(at..at + line.trim_end_matches(['\n', '\r']).len()));
        at += line.len();
    }
    lines
}

/// Without the sides of the frame; spaces at the beginning stay, they are the column.
fn unframed(line: &Text) -> Text {
    let text = line.as_str();
    let start = text.find(is_side).map_or(0, |at| {
        at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
    });
    let end = text.trim_end().trim_end_matches(is_side).len().max(start);
    let end = start + text.get(start..end).unwrap_or("").trim_end().len();
    line.slice(start..end)
}

/// Takes the branch or bullet off, and counts the column of the words.
fn branch(line: &Text) -> Line {
    let text = line.as_str();
    let mut hangs = false;
    let mut start = text.len();
    for (at, c) in text.char_indices() {
        if matches!(c, '├' | '└' | '╰' | '┣' | '┗' | '╠' | '╚') || is_bullet(c) {
            hangs = true;
        } else if !(c.is_whitespace() || is_frame(c)) {
            start = at;
            break;
        }
    }
    let column = text.get(..start).unwrap_or("").chars().count();
    Line { column, hangs, text: line.behind(start).trim() }
}

/// Lines to a list: what stands further right belongs to what stands above it, and plain lines
/// below a `HEADING:` are its text.
fn list(lines: &[Line]) -> List {
    let mut open: Vec<(usize, Item)> = Vec::new();
    let mut root = List { drawn: true, ..List::default() };
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if line.text.is_blank() {
            continue;
        }
        close(&mut open, &mut root, line.column);
        open.push((line.column, Item { text: line.text.clone(), blocks: Vec::new() }));
        if !line.hangs && line.text.as_str().ends_with(':') {
            let (code, next) = plain_lines(lines, at);
            if let (Some(code), Some((_, item))) = (code, open.last_mut()) {
                item.blocks.push(Block::Code(code));
            }
            at = next;
        }
    }
    close(&mut open, &mut root, 0);
    root
}

/// Closes the items that a line at this column does not belong to.
fn close(open: &mut Vec<(usize, Item)>, root: &mut List, column: usize) {
    while open.last().is_some_and(|(above, _)| *above >= column) {
        let Some((_, item)) = open.pop() else { return };
        match open.last_mut() {
            None => root.items.push(item),
            Some((_, parent)) => match parent.blocks.last_mut() {
                Some(Block::List(list)) => list.items.push(item),
                _ => {
                    let list = List { drawn: true, items: vec![item], ..List::default() };
                    parent.blocks.push(Block::List(list));
                }
            },
        }
    }
}

/// The lines from `from` on that hang on nothing, up to the next heading, as one piece of text.
fn plain_lines(lines: &[Line], from: usize) -> (Option<Code>, usize) {
    let is_plain =
        |line: &Line| line.text.is_blank() || (!line.hangs && !line.text.as_str().ends_with(':'));
    let plain: Vec<&Line> = lines.iter().skip(from).take_while(|line| is_plain(line)).collect();
    let first = plain.iter().position(|line| !line.text.is_blank());
    let last = plain.iter().rposition(|line| !line.text.is_blank());
    let (Some(first), Some(last)) = (first, last) else { return (None, from) };
    let said = &plain[first..=last];
    let margin = said.iter().filter(|line| !line.text.is_blank()).map(|line| line.column).min();
    let mut text = Text::new(plain[first].text.file());
    for line in said {
        let end = text.origin().range().end;
        if text.len() > 0 {
            text.push("\n", end..end);
        }
        let origin = line.text.origin().range();
        if !line.text.is_blank() {
            let indent = line.column - margin.unwrap_or(line.column);
            text.push(&" ".repeat(indent), origin.start.saturating_sub(indent)..origin.start);
            text.push(line.text.as_str(), origin);
        }
    }
    let origin = text.origin();
    (Some(Code { language: String::new(), text, origin }), from + plain.len())
}
