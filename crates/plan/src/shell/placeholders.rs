//! What people write where a value belongs: `<pod>`, `YOUR_TOKEN`, `CHANGEME`, `path/to/file`.
//!
//! The rule it keeps: to call something a placeholder that is none costs trust, so markup, patterns
//! and redirections are looked at first, and in doubt nothing is said.

use std::ops::Range;

use super::script::Word;

/// Something that a person must replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// As it is written.
    pub text: String,
    /// Where.
    pub range: Range<usize>,
    /// What it looks like.
    pub kind: PlaceholderKind,
}

/// How a placeholder is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceholderKind {
    /// `<name>`
    Angle,
    /// `[affected users]`, `[CLUSTER_NAME]`
    Bracket,
    /// `{cluster-name}`
    Brace,
    /// `YOUR_TOKEN`, `your-bucket`
    Yours,
    /// `CHANGEME`, `REPLACE_ME`, `TBD`
    Marker,
    /// `XXX-XXXX`, `10.x.x.x`
    Crosses,
    /// `…`, `...`
    Ellipsis,
    /// `path/to/file`
    Path,
    /// `YYYY-MM-DD`
    Date,
}

/// Longer texts between `<` and `>` are no names.
const NAME_CHARACTERS_MAX: usize = 48;

/// Names between angles that are HTML, a handle of a program, or what programs print for nothing.
const MARKUP: &[&str] = &[
    "a",
    "b",
    "i",
    "p",
    "br",
    "hr",
    "h1",
    "h2",
    "h3",
    "ul",
    "ol",
    "li",
    "tr",
    "td",
    "th",
    "div",
    "pre",
    "code",
    "html",
    "head",
    "body",
    "table",
    "span",
    "xml",
    "stdin",
    "stdout",
    "stderr",
    "fh",
    "none",
    "nil",
    "null",
    "unknown",
    "pending",
    "invalid",
    "empty",
    "no value",
    "not set",
    "unset",
    "not supported",
    "n/a",
];

/// The placeholders in a text that is no script, such as a sentence or a cell of a table.
pub fn placeholders(text: &str) -> Vec<Placeholder> {
    let word = Word {
        text: text.to_owned(),
        range: 0..text.len(),
        is_literal: true,
        is_quoted: true,
        parameters: Vec::new(),
        origins: (0..super::script::to_u32(text.len())).collect(),
    };
    in_word(&word, &[])
}

/// The places of `<name>` and `[some thing]` in a script: they are words, and no redirections or
/// tests.
pub(super) fn words_apart(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, sign) in text.match_indices(['<', '[']) {
        if found.last().is_some_and(|last| at < last.end) {
            continue;
        }
        let len = if sign == "<" { angle_len(text, at) } else { bracket_len(text, at) };
        found.extend(len.map(|len| at..at + len));
    }
    found
}

/// The length of `<name>` at this byte.
fn angle_len(text: &str, at: usize) -> Option<usize> {
    let inner = text.get(at + 1..)?;
    let before = text.get(..at)?.chars().next_back();
    if !inner.starts_with(|c: char| c.is_ascii_alphabetic())
        || before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '<' | '?'))
    {
        return None;
    }
    let len = inner.char_indices().take(NAME_CHARACTERS_MAX).find(|&(_, c)| !is_name(c))?;
    let (name, closed) = (inner.get(..len.0)?, len.1 == '>');
    let behind = inner.get(len.0 + 1..)?.chars().next();
    // `sort <input>output` is two redirections.
    let goes_on = behind.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '>' | '&' | '$'));
    let is_markup = MARKUP.contains(&name.to_ascii_lowercase().as_str());
    let is_redirection = name.ends_with(' ') || name.ends_with(".h") || name.starts_with("http");
    (closed && !goes_on && !is_markup && !is_redirection).then_some(len.0 + 2)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | ' ' | '.' | ':' | '/' | ',' | '\'' | '#')
}

/// The length of `[affected users]` at this byte.
fn bracket_len(text: &str, at: usize) -> Option<usize> {
    let before = text.get(..at)?.chars().next_back();
    let inner = text.get(at + 1..)?;
    let starts_word =
        before.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | '/' | '-' | ':'));
    if !starts_word || !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ' ' | '/');
    let (len, c) = inner.char_indices().take(NAME_CHARACTERS_MAX).find(|&(_, c)| !is_inner(c))?;
    let name = inner.get(..len)?;
    let words: Vec<&str> = name.split(' ').collect();
    let is_phrase = words.len() > 1
        && words.iter().all(|word| word.len() > 1 && word.chars().any(|c| c.is_ascii_alphabetic()));
    let is_constant = name.len() > 3
        && name.contains('_')
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    (c == ']' && (is_phrase || is_constant)).then_some(len + 2)
}

/// The placeholders in a word of a script, outside of the scripts that are part of it.
pub(super) fn in_word(word: &Word, scripts: &[Range<usize>]) -> Vec<Placeholder> {
    let text = word.text.as_str();
    // `</p>`, `/>`, `(?<name>…)`: markup or a pattern, in which nothing is a placeholder.
    let is_markup = text.contains("</") || text.contains("/>") || text.contains("(?<");
    let mut found: Vec<(Range<usize>, PlaceholderKind)> = Vec::new();
    if !is_markup {
        for range in words_apart(text) {
            let is_angle = text.get(range.clone()).is_some_and(|text| text.starts_with('<'));
            let kind = if is_angle { PlaceholderKind::Angle } else { PlaceholderKind::Bracket };
            found.push((range, kind));
        }
    }
    for range in tokens(text) {
        let token = text.get(range.clone()).unwrap_or("");
        if let Some(kind) = token_kind(token) {
            found.push((range, kind));
        }
    }
    if !word.is_quoted {
        found.extend(braced(text).map(|range| (range, PlaceholderKind::Brace)));
        found.extend(dates(text).map(|range| (range, PlaceholderKind::Date)));
    }
    found.extend(path(text).map(|range| (range, PlaceholderKind::Path)));
    found.extend(ellipsis(word).map(|range| (range, PlaceholderKind::Ellipsis)));
    found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let is_own = |range: &Range<usize>| {
        let behind = scripts.partition_point(|script| script.start <= range.start);
        let before = behind.checked_sub(1).and_then(|before| scripts.get(before));
        before.is_none_or(|script| script.end <= range.start)
    };
    found.retain(|(range, _)| is_own(range));
    let mut end = 0;
    found.retain(|(range, _)| {
        let is_new = range.start >= end;
        end = end.max(range.end);
        is_new
    });
    found
        .into_iter()
        .filter_map(|(range, kind)| {
            let (text, range) = word.part(range)?;
            Some(Placeholder { text: text.to_owned(), range, kind })
        })
        .collect()
}

/// Runs of letters, digits, `_`, `-`, `.`, `+`.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
    let mut at = 0;
    text.split(move |c: char| !is_token(c)).filter_map(move |token| {
        let start = at;
        let end = start + token.len();
        at = end + text.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        (!token.is_empty()).then_some(start..end)
    })
}

/// Words that say that something is missing.
const MARKERS: &[&str] = &[
    "CHANGEME",
    "CHANGE_ME",
    "CHANGE-ME",
    "REPLACEME",
    "REPLACE_ME",
    "REPLACE-ME",
    "REPLACE_WITH",
    "REPLACE-WITH",
    "FILLME",
    "FILL_ME",
    "FILL_IN",
    "INSERT_HERE",
    "TBD",
    "TBC",
    "TBA",
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
];

fn token_kind(token: &str) -> Option<PlaceholderKind> {
    let token = token.trim_matches(['.', '-', '+']);
    let upper = token.to_ascii_uppercase();
    let is_marker = MARKERS.iter().any(|marker| {
        let rest = token.strip_prefix(marker);
        rest.is_some_and(|rest| {
            rest.is_empty() || (marker.len() > 4 && rest.starts_with(['_', '-']))
        })
    });
    if is_marker || matches!(token, "changeme" | "change_me" | "change-me" | "replaceme") {
        return Some(PlaceholderKind::Marker);
    }
    let yours = upper.strip_prefix("YOUR_").or_else(|| upper.strip_prefix("YOUR-"));
    if yours.is_some_and(|rest| !rest.is_empty()) {
        return Some(PlaceholderKind::Yours);
    }
    is_crossed(token).then_some(PlaceholderKind::Crosses)
}

/// `XXX-XXXX`, `i-xxxxxxxx`, `10.x.x.x`: a part of at least three crosses, or two single ones between
/// dots.
fn is_crossed(token: &str) -> bool {
    // `data.XXXXXX` is the template of a temporary file.
    let mut parts = token.split(['-', '_', '+']).flat_map(|part| part.split('.').take(1));
    let is_run = |part: &str, least: usize| {
        part.len() >= least && (part.chars().all(|c| c == 'X') || part.chars().all(|c| c == 'x'))
    };
    let single = token.split('.').filter(|part| matches!(*part, "x" | "X")).count();
    parts.any(|part| is_run(part, 3))
        || (single >= 2 && token.split('.').count() == 4 && !token.contains('-'))
}

/// `{cluster-name}` without a `$` before it or a comma in it.
fn braced(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices('{').filter_map(|(at, _)| {
        let before = text.get(..at)?.chars().next_back();
        let inner = text.get(at + 1..)?;
        let len = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))?;
        let name = inner.get(..len)?;
        let is_closed = inner.get(len..)?.starts_with('}');
        let is_name = name.len() > 2 && name.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_own = !matches!(before, Some('$' | '{' | '@' | '%' | '#' | '^'));
        (is_closed && is_name && is_own && !inner.get(len + 1..)?.starts_with('}'))
            .then_some(at..at + len + 2)
    })
}

fn dates(text: &str) -> impl Iterator<Item = Range<usize>> {
    const DATES: &[&str] = &["YYYY-MM-DD", "YYYYMMDD", "YYYY_MM_DD", "yyyy-mm-dd", "yyyymmdd"];
    DATES
        .iter()
        .flat_map(move |date| text.match_indices(date).map(|(at, found)| at..at + found.len()))
}

/// `path/to/file`, to the end of the path.
fn path(text: &str) -> Option<Range<usize>> {
    let at = text.find("path/to/")?;
    let before = text.get(..at)?.chars().next_back();
    let start = if before == Some('/') { at - 1 } else { at };
    let is_own = before.is_none_or(|c| !c.is_ascii_alphanumeric());
    let rest = text.get(at..)?;
    let len = rest.find(|c: char| c.is_whitespace() || "'\"`,;)".contains(c)).unwrap_or(rest.len());
    is_own.then_some(start..at + len)
}

/// A word that is nothing but dots, or that has an ellipsis in it.
fn ellipsis(word: &Word) -> Option<Range<usize>> {
    let text = word.text.as_str();
    if word.is_quoted {
        return None;
    }
    if text == "..." {
        return Some(0..3);
    }
    text.find('…').map(|at| at..at + '…'.len_utf8())
}
