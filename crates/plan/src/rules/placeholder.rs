//! Texts that stand where somebody meant to write something: `TBD`, `+1-XXX-XXX-XXXX`, `incidents@`.

use crate::rules::words::words;

/// Words that say that something is still to be written.
const UNWRITTEN: &[&str] = &["tbd", "tba", "tbc", "changeme", "fixme", "placeholder", "unknown"];

/// Phrases that say so.
const PHRASES: &[&str] = &[
    "to be defined",
    "to be determined",
    "to be decided",
    "to be named",
    "to be confirmed",
    "to be announced",
    "to be added",
    "to be filled",
    "fill in",
    "fill me in",
    "insert name",
    "insert number",
    "insert here",
    "your name",
    "your email",
    "your phone",
    "add contact",
    "add number",
];

/// Domains that can belong to nobody (RFC 2606), and those that stand for one's own.
const NOBODYS_DOMAINS: &[&str] = &[
    "example.com",
    "example.org",
    "example.net",
    "yourcompany.com",
    "your-company.com",
    "yourdomain.com",
    "your-domain.com",
    "mycompany.com",
];

/// Why a contact or a name is only a place kept for one; none if it is not.
pub(crate) fn placeholder(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let folded = crate::rules::words::folded(text);
    if text.is_empty() || text.chars().all(|c| matches!(c, '?' | '-' | '.' | '…' | '_')) {
        return Some("nothing is written here");
    }
    if words(text).any(|word| UNWRITTEN.contains(&word.as_str()) || word == concat!("to", "do"))
        || PHRASES.iter().any(|phrase| folded.contains(phrase))
    {
        return Some("it is still to be written");
    }
    if words(text).any(|word| word.len() >= 3 && word.bytes().all(|c| c == b'x')) {
        return Some("it stands for digits that nobody wrote");
    }
    if is_bracketed(text) {
        return Some("it stands for something that nobody wrote");
    }
    let mut tokens = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')'));
    if tokens.any(|token| token.len() > 1 && token.ends_with('@')) {
        return Some("this address has no domain");
    }
    if let Some(domain) = mail_domain(text)
        && NOBODYS_DOMAINS.iter().any(|nobody| domain.eq_ignore_ascii_case(nobody))
    {
        return Some("this domain is an example, no mail arrives there");
    }
    if is_counted(text) { Some("this number is an example") } else { None }
}

/// `<name>`, `[phone]`, `{{ contact }}`: the whole of it. `Jane <jane@shop.net>` is an address.
fn is_bracketed(text: &str) -> bool {
    let inner = [("<", ">"), ("[", "]"), ("{{", "}}"), ("${", "}")]
        .iter()
        .find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    inner.is_some_and(|inner| !inner.contains(['@', '/', ':']))
}

/// A telephone number of one digit, or of all in their order.
fn is_counted(text: &str) -> bool {
    if text.chars().any(char::is_alphabetic) {
        return false;
    }
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
    let is_one = |digits: &[u8]| digits.windows(2).all(|pair| pair[0] == pair[1]);
    let behind_country = digits.get(1..).unwrap_or(&[]);
    digits.len() >= 7
        && (is_one(&digits)
            || is_one(behind_country)
            || digits.windows(7).any(|seven| seven == b"1234567"))
}

/// The part of a mail address behind its `@`, if the text has one.
pub(crate) fn mail_domain(text: &str) -> Option<&str> {
    let (before, behind) = text.split_once('@')?;
    let end = behind.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')));
    let domain = behind.get(..end.unwrap_or(behind.len()))?.trim_end_matches('.');
    let has_name = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+'));
    (has_name && domain.contains('.')).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_something_else_is_known_and_what_is_real_is_not() {
        for text in [
            "+1-XXX-XXX-XXXX",
            "+1-XXX-XXX-XXXX (PagerDuty)",
            "incidents@",
            "TBD",
            "ops@example.com",
            "<phone>",
            "[Name]",
            "{{ contact }}",
            "???",
            "000-000-0000",
            "+1 555 555 5555 555 xxx",
            "123-456-7890",
            "to be named",
            "Jane <jane@example.org>",
        ] {
            assert!(placeholder(text).is_some(), "{text}");
        }
        for text in [
            "+49 30 901820",
            "oncall@nuvanta.net",
            "Jane <jane@shop.net>",
            "#incidents",
            "@oncall",
            "aliyun.com/support",
            "PagerDuty",
            "+1 212 664 7665",
            "Xavier Xu",
            "On-call",
            "https://status.shop.net/[region]",
            "ext. 1203",
        ] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }

    #[test]
    fn the_domain_of_an_address_is_found() {
        assert_eq!(mail_domain("Jane <jane@shop.net>"), Some("shop.net"));
        assert_eq!(mail_domain("jane@shop.net."), Some("shop.net"));
        assert_eq!(mail_domain("@oncall"), None);
        assert_eq!(mail_domain("jane@localhost"), None);
    }
}
