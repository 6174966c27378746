//! Text within a line: what the plan's authors wrote, with `code` where they marked it so.

use super::words::shown;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inline {
    Text(String),
    Strong(String),
    Code(String),
    /// Starts a new line within a cell.
    Break,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line(pub(super) Vec<Inline>);

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Words of the plan: what stands in backticks is code.
    fn text(mut self, text: &str) -> Self {
        let text = one_line(text);
        let parts: Vec<&str> = text.split('`').collect();
        // Backticks come in pairs; one that is left over is only a character.
        let paired = if parts.len() % 2 == 1 { parts.len() } else { parts.len() - 1 };
        for (at, part) in parts.iter().enumerate() {
            match *part {
                part if at >= paired => self.push(Inline::Text(format!("`{part}"))),
                "" => {}
                part if at % 2 == 1 => self.push(Inline::Code(part.to_owned())),
                part => self.push(Inline::Text(part.to_owned())),
            }
        }
        self
    }

    pub(super) fn strong(mut self, text: &str) -> Self {
        self.push(Inline::Strong(one_line(text)));
        self
    }

    pub(super) fn code(mut self, text: &str) -> Self {
        self.push(Inline::Code(one_line(text)));
        self
    }

    /// Appends another, behind `between` if there is something before it.
    pub(super) fn then(mut self, between: &str, other: Self) -> Self {
        if !self.is_empty() && !other.is_empty() && !between.is_empty() {
            self.push(Inline::Text(between.to_owned()));
        }
        other.0.into_iter().for_each(|part| self.push(part));
        self
    }

    /// Appends another on a line of its own.
    pub(super) fn below(mut self, other: Self) -> Self {
        if !self.is_empty() && !other.is_empty() {
            self.push(Inline::Break);
        }
        other.0.into_iter().for_each(|part| self.push(part));
        self
    }

    fn push(&mut self, part: Inline) {
        match (self.0.last_mut(), part) {
            (Some(Inline::Text(before)), Inline::Text(text)) => before.push_str(&text),
            (_, part) => self.0.push(part),
        }
    }

    /// Without marks.
    pub(super) fn plain(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Inline::Text(text) | Inline::Strong(text) | Inline::Code(text) => text.as_str(),
            Inline::Break => "; ",
        });
        parts.collect()
    }
}

fn one_line(text: &str) -> String {
    shown(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words of the plan, if there are any.
pub(super) fn words(text: &str) -> Line {
    Line::new().text(text)
}

/// The document's own words, with the blanks they have.
pub(super) fn own(text: &str) -> Line {
    let mut line = Line::new();
    if !text.is_empty() {
        line.push(Inline::Text(text.to_owned()));
    }
    line
}

/// Something to copy.
pub(super) fn code(text: &str) -> Line {
    Line::new().code(text)
}

/// A list in a line: `a, b and c`.
pub(super) fn listed(items: impl IntoIterator<Item = Line>) -> Line {
    joined(items, " and ")
}

/// A choice in a line: `a, b or c`.
pub(super) fn choice(items: impl IntoIterator<Item = Line>) -> Line {
    joined(items, " or ")
}

fn joined(items: impl IntoIterator<Item = Line>, before_last: &str) -> Line {
    let items: Vec<Line> = items.into_iter().collect();
    let last = items.len().saturating_sub(1);
    items.into_iter().enumerate().fold(Line::new(), |line, (at, item)| {
        line.then(if at == last { before_last } else { ", " }, item)
    })
}
