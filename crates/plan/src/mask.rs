//! Secrets that people wrote into a plan against the rules must not come back out of an error
//! message: everything that looks like one is replaced by `*`, byte for byte, so that carets stay
//! where they were.
//!
//! Two sources of knowledge: values the reader found to hold a secret, and, for files too broken to
//! read, words such as `password` followed by `=` or `:`, and `user:secret@host` in URLs. When in
//! doubt it masks.

use std::ops::Range;

/// Words after which a value is taken for a secret.
const SECRET_WORDS: [&[u8]; 5] = [b"password", b"passwd", b"secret", b"token", b"apikey"];

/// How far `in_url` looks ahead; longer ones are no URLs, and looking costs time at each `://`.
const URL_BYTES_MAX: usize = 512;

/// Replaces what looks like a secret, and what lies in `secrets`, by `*`.
pub(crate) fn mask(source: &str, secrets: &[Range<usize>]) -> String {
    let mut bytes = source.as_bytes().to_vec();
    for secret_at in [behind_word, in_url] {
        let mut at = 0;
        while at < source.len() {
            let found = secret_at(source.as_bytes(), at);
            at = found.as_ref().map_or(at + 1, |range| range.end.max(at + 1));
            found.into_iter().for_each(|range| cover(&mut bytes, range));
        }
    }
    for range in secrets {
        cover(&mut bytes, range.clone());
    }
    quiet(&String::from_utf8(bytes).unwrap_or_default())
}

/// A terminal must not obey what a file contains: control characters become `?`, byte for byte.
fn quiet(text: &str) -> String {
    let mut quiet = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => quiet.push(c),
            c if c.is_control() => quiet.extend(std::iter::repeat_n('?', c.len_utf8())),
            c => quiet.push(c),
        }
    }
    quiet
}

/// Line breaks stay, so that lines keep their numbers; whole characters are covered.
fn cover(bytes: &mut [u8], range: Range<usize>) {
    let end = range.end.min(bytes.len());
    if let Some(part) = bytes.get_mut(range.start.min(end)..end) {
        for byte in part.iter_mut().filter(|byte| !matches!(byte, b'\n' | b'\r')) {
            *byte = b'*';
        }
    }
}

/// Whether a text speaks of a secret at all.
pub(crate) fn mentions_secret(text: &str) -> bool {
    (0..text.len()).any(|at| secret_word(text.as_bytes(), at).is_some())
}

/// The end of a secret's word that starts at `at`, if there is one.
fn secret_word(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    SECRET_WORDS
        .iter()
        .find(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
        .map(|word| at + word.len())
}

/// The value behind `password=` and its kin, if the word starts at `at`.
fn behind_word(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let next = skip(bytes, secret_word(bytes, at)?, b" \t\"'");
    if !matches!(bytes.get(next), Some(b'=' | b':')) {
        return None;
    }
    let start = skip(bytes, next + 1, b" \t");
    Some(start..value_end(bytes, start))
}

/// `secret` in `scheme://user:secret@host`, if the `://` starts at `at`.
fn in_url(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = bytes.get(at..)?.strip_prefix(b"://")?;
    let rest = rest.get(..URL_BYTES_MAX).unwrap_or(rest);
    let url = rest.split(|byte| matches!(byte, b'\n' | b' ')).next()?;
    let host = url.iter().rposition(|&byte| byte == b'@')?;
    let colon = url[..host].iter().position(|&byte| byte == b':')?;
    Some(at + 3 + colon + 1..at + 3 + host)
}

/// The end of a value: a quoted one ends with its quote, a reference is not a secret, anything else
/// ends at white space or a quote.
fn value_end(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    if rest.starts_with(b"${env:") || rest.starts_with(b"${file:") {
        return start;
    }
    let quote: &[u8] = match rest {
        [b'\'', b'\'', ..] => b"''",
        [b'\'', ..] => b"'",
        [b'\\', b'"', ..] => b"\\\"",
        [b'"', ..] => b"\"",
        _ => b"",
    };
    let mut at = start + quote.len();
    while let Some(&byte) = bytes.get(at) {
        let here = bytes.get(at..).unwrap_or_default();
        let ended = match quote {
            b"" => matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\''),
            quote => byte == b'\n' || here.starts_with(quote),
        };
        if ended {
            break;
        }
        // A backslash takes the next character with it, unless that would end the line.
        at += if byte == b'\\' && here.get(1).is_some_and(|&next| next != b'\n') { 2 } else { 1 };
    }
    at
}

fn skip(bytes: &[u8], start: usize, any_of: &[u8]) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| any_of.contains(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expect: &str) {
        let masked = mask(source, &[]);
        assert_eq!(masked, expect);
        assert_eq!(masked.len(), source.len());
    }

    #[test]
    fn secrets_are_covered_and_references_are_not() {
        check("password=hunter2 host=x", "password=******* host=x");
        check("PASSWORD = 'a b' x", "PASSWORD = **** x".replace("****", "****'").as_str());
        check("sslpassword='it\\'s' x", "sslpassword=******' x");
        check("'password=''a b'' host=x'", "'password=*****'' host=x'");
        check("\"password=\\\"a b\\\" x\"", "\"password=*****\\\" x\"");
        check("password: hunter2\nnext: 1", "password: *******\nnext: 1");
        check("\"password\": \"a b\"", "\"password\": ****\"");
        check("password=${file:/etc/pw} host=x", "password=${file:/etc/pw} host=x");
        check("postgresql://me:pw@host/db", "postgresql://me:**@host/db");
        check("password=pässwörd", "password=**********");
        check("no secrets here", "no secrets here");
        check("password", "password");
        check("a\u{1b}[31m\u{9b}", "a?[31m??");
    }

    #[test]
    fn what_is_known_to_be_secret_is_covered() {
        let secret = 3..7;
        assert_eq!(mask("a: bc\nd", &[secret]), "a: **\n*");
    }
}
