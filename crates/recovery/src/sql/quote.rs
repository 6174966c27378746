//! Values of parameters in the text of a query, each as its place wants it.
//!
//! The rule it keeps: a value never ends the text it stands in. In quotes it is escaped; outside of
//! them only a number or a plain word may stand, and nothing of it reaches a comment.

use soter_runbook::procedure::{Parameters, UnknownName};

/// Where a value would stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot<'t> {
    Plain,
    /// `'…'`
    Text,
    /// `E'…'` and `U&'…'`, in which backslashes mean something.
    Escaped,
    /// `"…"`
    Name,
    /// `$tag$…$tag$`
    Dollar(&'t str),
    Comment,
}

/// Why a query cannot be put.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CannotQuote(pub(super) String);

impl From<UnknownName> for CannotQuote {
    fn from(error: UnknownName) -> Self {
        Self(error.to_string())
    }
}

/// A query with the values of its parameters in their places.
pub(super) fn fill(parameters: &Parameters, query: &str) -> Result<String, CannotQuote> {
    parameters.fill_by(query, |filled, name, value| {
        let quoted = match spot(filled) {
            Spot::Comment => String::new(),
            Spot::Text => value.replace('\'', "''"),
            Spot::Escaped => value.replace('\\', "\\\\").replace('\'', "''"),
            Spot::Name => value.replace('"', "\"\""),
            Spot::Dollar(_) if !value.contains('$') => value.to_owned(),
            Spot::Dollar(tag) => {
                let why = format!("`${{{name}}}` stands between `{tag}`, and its value has a `$`");
                return Err(CannotQuote(format!("{why}: put it into '…'")));
            }
            Spot::Plain => bare(value).ok_or_else(|| {
                CannotQuote(format!(
                    "`${{{name}}}` stands outside of quotes, and its value is neither a number nor a \
                     word: write '${{{name}}}'"
                ))
            })?,
        };
        filled.push_str(&quoted);
        Ok(())
    })
}

/// A number or a word as it may stand outside of quotes. Two minus signs would begin a comment.
fn bare(value: &str) -> Option<String> {
    let is_number = value.parse::<f64>().is_ok_and(f64::is_finite)
        && value.bytes().all(|c| c.is_ascii_digit() || b".+-eE".contains(&c));
    if is_number {
        return Some(if value.starts_with(['-', '+']) {
            format!("({value})")
        } else {
            value.into()
        });
    }
    let begins = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_word = begins && value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    is_word.then(|| value.to_owned())
}

/// Where one is behind a text.
fn spot(text: &str) -> Spot<'_> {
    let mut rest = text;
    let mut before = "";
    loop {
        let Some((at, found)) = next_opening(rest) else { return Spot::Plain };
        let (head, behind) = (rest.get(..at).unwrap_or(""), rest.get(at + found.len()..));
        let behind = behind.unwrap_or("");
        let (spot, closed) = match found {
            "--" => (Spot::Comment, behind.split_once('\n').map(|(_, rest)| rest)),
            "/*" => (Spot::Comment, behind_comment(behind)),
            "\"" => (Spot::Name, behind_quote(behind, '"', false)),
            "'" => {
                let is_escaped = has_prefix(if head.is_empty() { before } else { head });
                let spot = if is_escaped { Spot::Escaped } else { Spot::Text };
                (spot, behind_quote(behind, '\'', is_escaped))
            }
            tag => (Spot::Dollar(tag), behind.split_once(tag).map(|(_, rest)| rest)),
        };
        match closed {
            Some(closed) => (before, rest) = (found, closed),
            None => return spot,
        }
    }
}

/// The first thing that begins a quotation or a comment, and where.
fn next_opening(text: &str) -> Option<(usize, &str)> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find_map(|at| {
        let length = match (bytes[at], bytes.get(at + 1)) {
            (b'\'' | b'"', _) => 1,
            (b'-', Some(b'-')) | (b'/', Some(b'*')) => 2,
            // Within a name a dollar is a letter like others.
            (b'$', _) if at == 0 || !is_of_name(bytes[at - 1]) => tag_length(&bytes[at..])?,
            _ => return None,
        };
        Some((at, text.get(at..at + length)?))
    })
}

/// The length of `$$` or `$tag$`; none if it is another dollar.
fn tag_length(bytes: &[u8]) -> Option<usize> {
    let inner = bytes.get(1..)?;
    let end = inner.iter().position(|c| *c == b'$')?;
    let is_tag = inner[..end].iter().all(|c| is_of_name(*c) && *c != b'$')
        && inner.first().is_none_or(|c| !c.is_ascii_digit());
    is_tag.then_some(end + 2)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Whether what stands before a quote makes backslashes mean something.
fn has_prefix(head: &str) -> bool {
    let bytes = head.as_bytes();
    let (length, is_prefix) = match bytes {
        [.., b'e' | b'E'] => (1, true),
        [.., b'u' | b'U', b'&'] => (2, true),
        _ => (0, false),
    };
    let one_before = bytes.len().checked_sub(length + 1).map(|at| bytes[at]);
    is_prefix && one_before.is_none_or(|byte| !is_of_name(byte))
}

/// What follows a quotation; none if it does not end. A doubled quote is part of it.
fn behind_quote(text: &str, quote: char, has_backslashes: bool) -> Option<&str> {
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if has_backslashes && letter == '\\' {
            letters.next();
        } else if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return text.get(at + 1..);
        }
    }
    None
}

/// What follows a comment; none if it does not end. Comments are nested.
fn behind_comment(text: &str) -> Option<&str> {
    let (mut depth, mut at) = (1_u32, 0);
    while depth > 0 {
        let rest = text.get(at..)?;
        let (opens, closes) = (rest.find("/*"), rest.find("*/")?);
        match opens.filter(|opens| *opens < closes) {
            Some(opens) => (depth, at) = (depth + 1, at + opens + 2),
            None => (depth, at) = (depth - 1, at + closes + 2),
        }
    }
    text.get(at..)
}

#[cfg(test)]
mod tests {
    use soter_runbook::procedure::Given;

    use super::*;

    fn check(query: &str, value: &str, expect: Result<&str, &str>) {
        let mut parameters = Parameters::default();
        parameters.insert("x", Given::Plain(value.to_owned()));
        match (fill(&parameters, query), expect) {
            (Ok(filled), Ok(expect)) => assert_eq!(filled, expect),
            (Err(error), Err(says)) => assert!(error.0.contains(says), "{query}: {error:?}"),
            (found, _) => panic!("{query} with {value}: {found:?}"),
        }
    }

    #[test]
    fn a_value_never_ends_the_text_it_stands_in() {
        let bad = "a'; DROP TABLE t --";
        check("SELECT '${x}'", bad, Ok("SELECT 'a''; DROP TABLE t --'"));
        check("SELECT 'it''s ${x}'", bad, Ok("SELECT 'it''s a''; DROP TABLE t --'"));
        check("SELECT '\\', '${x}'", bad, Ok("SELECT '\\', 'a''; DROP TABLE t --'"));
        check("SELECT E'\\'${x}'", "\\'", Ok("SELECT E'\\'\\\\'''"));
        check("SELECT U&'${x}'", "\\0041", Ok("SELECT U&'\\\\0041'"));
        check("SELECT made'${x}'", "\\", Ok("SELECT made'\\'"));
        check("SELECT \"${x}\"", "a\"b", Ok("SELECT \"a\"\"b\""));
        check("SELECT $q$${x}$q$", "it's", Ok("SELECT $q$it's$q$"));
        check("SELECT $q$${x}$q$", "$q$", Err("stands between `$q$`"));
        check("SELECT ${x}", bad, Err("write '${x}'"));
        check("-- '${x}\nSELECT '${x}'", "a\nb", Ok("-- '\nSELECT 'a\nb'"));
        check("/* /* ' */ ${x} */ SELECT ${x}", "7", Ok("/* /* ' */  */ SELECT 7"));
        check("SELECT 1 -${x}", "-1", Ok("SELECT 1 -(-1)"));
        check("SELECT * FROM ${x}", "orders_2", Ok("SELECT * FROM orders_2"));
        check("SELECT ${x}", "1--", Err("outside of quotes"));
        check("SELECT ${x}", "", Err("outside of quotes"));
        check("SELECT a$1$b, ${x}", "a b", Err("outside of quotes"));
        check("SELECT 'ä', '${x}'", "'", Ok("SELECT 'ä', ''''"));
        check("SELECT ${y}", "1", Err("`${y}` has no value"));
    }
}
