//! `synchronous_standby_names`, understood: who must have WAL before a commit returns.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the setting says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StandbyNames {
    /// How many of them must answer.
    pub required: usize,
    /// Whether any of them count alike (`ANY`), or the first ones that are connected (`FIRST`).
    pub any: bool,
    /// Their names in order; `*` is everybody.
    pub names: Vec<String>,
}

/// The setting is not one that the server would accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("synchronous_standby_names cannot be understood")]
pub struct StandbyNamesError;

impl StandbyNames {
    /// Reads `a, b`, `2 (a, b, c)`, `FIRST 2 (a, b)` or `ANY 1 (a, b)`. Empty means nobody.
    pub fn parse(text: &str) -> Result<Self, StandbyNamesError> {
        let tokens = tokens(text).ok_or(StandbyNamesError)?;
        let (rest, is_any) = match tokens.as_slice() {
            [] => return Ok(Self::default()),
            [Token::Word(word), rest @ ..] if is_keyword(word, "ANY", rest) => (rest, true),
            [Token::Word(word), rest @ ..] if is_keyword(word, "FIRST", rest) => (rest, false),
            rest => (rest, false),
        };
        let (required, list) = match rest {
            [Token::Word(number), Token::Open, list @ .., Token::Close] => {
                (number.parse().map_err(|_| StandbyNamesError)?, list)
            }
            list => (1, list),
        };
        let names = names(list).ok_or(StandbyNamesError)?;
        if required == 0 {
            Err(StandbyNamesError)
        } else {
            Ok(Self { required, any: is_any, names })
        }
    }

    /// Whether a standby of this name is one of them. Case does not matter.
    pub fn is_named(&self, application_name: &str) -> bool {
        self.names.iter().any(|name| matches(name, application_name))
    }

    /// Whether no commit returns before the standby of this name has its WAL, whoever else is
    /// connected.
    pub fn always_waits_for(&self, application_name: &str) -> bool {
        let is_alone = |name: &String| name != "*" && matches(name, application_name);
        let Some(place) = self.names.iter().position(is_alone) else { return false };
        let has_wildcard = self.names.iter().any(|name| name == "*");
        if self.required >= self.names.len() {
            // All of them. A wildcard could be others, or another of our name.
            return !has_wildcard;
        }
        // Those before us take part as long as they are connected: then we are one of the first.
        !self.any && place < self.required
    }

    /// The setting with one more name, so that commits wait for it and as before for the others.
    pub fn with(&self, application_name: &str) -> String {
        let quoted = |name: &str| match name {
            "*" => "*".to_owned(),
            name => format!("\"{}\"", name.replace('"', "\"\"")),
        };
        let others: Vec<String> = self
            .names
            .iter()
            .filter(|name| !matches(name, application_name))
            .map(|n| quoted(n))
            .collect();
        let own = quoted(application_name);
        if others.is_empty() {
            return own;
        }
        // First in the list we are always among the required ones.
        let required = self.required.min(others.len()) + 1;
        format!("FIRST {required} ({own}, {})", others.join(", "))
    }

    /// The setting without a name.
    pub fn without(&self, application_name: &str) -> String {
        let others: Vec<String> = self
            .names
            .iter()
            .filter(|name| !name.eq_ignore_ascii_case(application_name) && *name != "*")
            .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
            .collect();
        if others.is_empty() {
            return String::new();
        }
        let method = if self.any { "ANY" } else { "FIRST" };
        format!("{method} {} ({})", self.required.min(others.len()), others.join(", "))
    }
}

fn matches(name: &str, application_name: &str) -> bool {
    name == "*" || name.eq_ignore_ascii_case(application_name)
}

/// `ANY` and `FIRST` are words of the setting only before a number; else they are names.
fn is_keyword(word: &str, keyword: &str, rest: &[Token]) -> bool {
    word.eq_ignore_ascii_case(keyword) && matches!(rest, [Token::Word(_), Token::Open, ..])
}

/// Names separated by commas.
fn names(tokens: &[Token]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(name) | Token::Quoted(name) if index % 2 == 0 => names.push(name.clone()),
            Token::Comma if index % 2 == 1 => {}
            _ => return None,
        }
    }
    (tokens.len() % 2 == 1).then_some(names)
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Comma,
    Open,
    Close,
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            c if c.is_whitespace() => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '"' => {
                let mut name = String::new();
                loop {
                    match rest.next()? {
                        '"' if rest.next_if_eq(&'"').is_none() => break,
                        c => name.push(c),
                    }
                }
                Token::Quoted(name)
            }
            c => {
                let mut word = c.to_string();
                let is_word = |c: &char| !c.is_whitespace() && !",()\"".contains(*c);
                while let Some(c) = rest.next_if(is_word) {
                    word.push(c);
                }
                Token::Word(word)
            }
        });
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = StandbyNames::parse(text).map_or("error".to_owned(), |names| {
            let method = if names.any { "any" } else { "first" };
            format!("{method} {} {}", names.required, names.names.join("|"))
        });
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn every_form_of_the_setting() {
        check("", "first 0 ");
        check("soter", "first 1 soter");
        check(" a , \"B \"\"c\" ", "first 1 a|B \"c");
        check("2 (a,b, *)", "first 2 a|b|*");
        check("first 2 (a,b)", "first 2 a|b");
        check("ANY 1 (a, b)", "any 1 a|b");
        check("any", "first 1 any");
        check("first, any", "first 1 first|any");
        for text in ["a,", "a b", "0 (a)", "ANY 1 a", "2 (a", "\"a", "x (a)", "()"] {
            check(text, "error");
        }
    }

    #[test]
    fn who_is_always_waited_for() {
        let waits = |text: &str| StandbyNames::parse(text).unwrap().always_waits_for("soter");
        for text in ["soter", "SOTER", "soter, replica", "2 (replica, soter)", "ANY 2 (a, soter)"] {
            assert!(waits(text), "{text}");
        }
        for text in ["", "*", "replica", "replica, soter", "ANY 1 (soter, a)", "2 (*, soter)"] {
            assert!(!waits(text), "{text}");
        }
        assert!(StandbyNames::parse("*").unwrap().is_named("soter"));
    }

    #[test]
    fn a_name_is_added_and_taken_away() {
        let with = |text: &str| StandbyNames::parse(text).unwrap().with("soter");
        assert_eq!(with(""), "\"soter\"");
        assert_eq!(with("replica"), "FIRST 2 (\"soter\", \"replica\")");
        assert_eq!(with("ANY 1 (a, b, Soter)"), "FIRST 2 (\"soter\", \"a\", \"b\")");
        let without = |text: &str| StandbyNames::parse(text).unwrap().without("soter");
        assert_eq!(without("soter"), "");
        assert_eq!(without("ANY 2 (a, soter)"), "ANY 1 (\"a\")");
        for text in ["", "a", "2 (a, b)", "ANY 1 (a, \"b c\")", "FIRST 1 (soter, a)"] {
            let added = StandbyNames::parse(&with(text)).unwrap();
            assert!(added.always_waits_for("soter"), "{text}");
        }
    }
}
