//! How to reach a PostgreSQL server: `host=/run/postgresql user=soter password=${file:/etc/soter/pw}`.
//!
//! The grammar is libpq's keyword/value form. It is taken apart here, before references are
//! resolved, so that a password with a blank or a quote in it cannot change what the other words
//! mean. The rule it keeps: a password is a reference, or it is refused.

use std::fmt;
use std::ops::Range;

use crate::text::{Reference, Text, TextError};

/// The `connection` of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// All of it is kept elsewhere: `${file:/etc/soter/orders.conninfo}`.
    Whole(Reference),
    /// Keywords and values in the order written, each keyword once.
    Parameters(Vec<(String, Text)>),
}

/// Why a connection cannot be read, and which bytes of it are to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ConnectionError {
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub hint: String,
    /// The bytes of the text.
    pub span: Range<usize>,
    /// What kind of mistake it is.
    pub kind: ConnectionErrorKind,
}

/// The kinds of [`ConnectionError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionErrorKind {
    /// Not `keyword=value`, or a keyword twice.
    Invalid,
    /// A `${…}` that is none.
    Reference,
    /// A password in plain text. Do not show the text.
    PlainSecret,
}

/// Keywords whose values must never stand in a plan.
const SECRETS: [&str; 2] = ["password", "sslpassword"];

impl Connection {
    /// Reads a connection as it stands in a plan.
    pub fn parse(text: &str) -> Result<Self, ConnectionError> {
        if let Ok(whole) = Text::parse(text.trim())
            && let ([_], Some(reference)) = (whole.parts(), whole.references().next())
        {
            return Ok(Self { form: Form::Whole(reference.clone()) });
        }
        let mut scanner = Scanner { text, at: 0 };
        let mut parameters: Vec<(String, Text)> = Vec::new();
        while let Some((keyword, span, value)) = scanner.parameter()? {
            if parameters.iter().any(|(known, _)| *known == keyword) {
                let problem = format!("`{}` appears twice", crate::tree::short(&keyword));
                return Err(invalid(problem, "keep one of them", span));
            }
            let literal = value.parts().len() > value.references().count();
            if SECRETS.contains(&keyword.as_str()) && literal {
                return Err(plain_secret(span));
            }
            parameters.push((keyword, value));
        }
        if parameters.is_empty() {
            return Err(invalid("the connection is empty", SHAPE, 0..text.len()));
        }
        Ok(Self { form: Form::Parameters(parameters) })
    }

    /// The value of a keyword, if the plan says it (and not a file the plan refers to).
    pub fn parameter(&self, keyword: &str) -> Option<&Text> {
        match &self.form {
            Form::Whole(_) => None,
            Form::Parameters(parameters) => {
                parameters.iter().find(|(known, _)| known == keyword).map(|(_, value)| value)
            }
        }
    }

    /// The connection as libpq reads it, with references looked up and every value quoted. The
    /// result may hold a password: treat it as a secret.
    pub fn resolve<E>(
        &self,
        mut look_up: impl FnMut(&Reference) -> Result<String, E>,
    ) -> Result<String, E> {
        match &self.form {
            Form::Whole(reference) => Text::reference(reference.clone()).resolve(look_up),
            Form::Parameters(parameters) => {
                let mut words = Vec::new();
                for (keyword, value) in parameters {
                    let value = value.resolve(&mut look_up)?;
                    words.push(format!("{keyword}='{}'", escaped(&value)));
                }
                Ok(words.join(" "))
            }
        }
    }
}

impl fmt::Display for Connection {
    /// As it is written in a plan.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Whole(reference) => reference.fmt(f),
            Form::Parameters(parameters) => {
                for (index, (keyword, value)) in parameters.iter().enumerate() {
                    let blank = if index == 0 { "" } else { " " };
                    write!(f, "{blank}{keyword}={}", written(value))?;
                }
                Ok(())
            }
        }
    }
}

/// A value as it is written in a plan: quoted when it must be.
fn written(value: &Text) -> String {
    use crate::text::Part;
    let mut text = String::new();
    let mut plain = !value.parts().is_empty();
    for part in value.parts() {
        match part {
            Part::Literal(literal) => {
                plain &= !literal.contains(char::is_whitespace);
                text.push_str(&escaped(literal).replace('$', "\\$"));
            }
            Part::Reference(reference) => text.push_str(&reference.to_string()),
        }
    }
    if plain { text } else { format!("'{text}'") }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

const SHAPE: &str = "write words such as host=/run/postgresql user=soter dbname=postgres";

fn invalid(problem: impl Into<String>, hint: &str, span: Range<usize>) -> ConnectionError {
    let kind = ConnectionErrorKind::Invalid;
    ConnectionError { problem: problem.into(), hint: hint.to_owned(), span, kind }
}

fn plain_secret(span: Range<usize>) -> ConnectionError {
    ConnectionError {
        problem: "a password stands in the plan".to_owned(),
        hint: "keep it in a file and write password=${file:/path/to/it}, or ${env:NAME}, or \
               leave it to ~/.pgpass"
            .to_owned(),
        span,
        kind: ConnectionErrorKind::PlainSecret,
    }
}

impl From<TextError> for ConnectionError {
    fn from(error: TextError) -> Self {
        let kind = ConnectionErrorKind::Reference;
        Self { problem: error.problem, hint: error.hint, span: error.span, kind }
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    /// The next keyword, the place of its value, and the value.
    fn parameter(&mut self) -> Result<Option<(String, Range<usize>, Text)>, ConnectionError> {
        self.skip_blanks();
        let start = self.at;
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(None);
        }
        if ["postgresql://", "postgres://"].iter().any(|scheme| rest.starts_with(scheme)) {
            let problem = "a URL is not accepted here";
            return Err(invalid(problem, SHAPE, start..self.text.len()));
        }
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let keyword = rest.get(..end).unwrap_or("").to_owned();
        self.at += end;
        self.skip_blanks();
        if !self.rest().starts_with('=') {
            let problem = "a word without `=`";
            return Err(invalid(problem, SHAPE, start..start + end));
        }
        if keyword.is_empty() || !keyword.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            let problem = "this is no keyword of a connection";
            return Err(invalid(problem, SHAPE, start..(start + end).max(start + 1)));
        }
        self.at += 1;
        self.skip_blanks();
        let start = self.at;
        let value = self.value()?;
        Ok(Some((keyword, start..self.at, value)))
    }

    fn value(&mut self) -> Result<Text, ConnectionError> {
        let start = self.at;
        let quoted = self.rest().starts_with('\'');
        if quoted {
            self.at += 1;
        }
        let mut value = Text::default();
        loop {
            let rest = self.rest();
            let Some(next) = rest.chars().next() else {
                if quoted {
                    let hint = "close it with '";
                    return Err(invalid("a quote is never closed", hint, start..self.at));
                }
                break;
            };
            if rest.starts_with("$${") {
                value.push_literal("${");
                self.at += 3;
            } else if rest.starts_with("${") {
                // One piece, whatever is in it.
                let (reference, len) =
                    Reference::parse_start(rest).map_err(|error| shifted(error.into(), self.at))?;
                value.push_reference(reference);
                self.at += len;
            } else if next == '\\' {
                self.at += 1;
                self.literal(&mut value);
            } else if quoted && next == '\'' {
                self.at += 1;
                break;
            } else if !quoted && next.is_whitespace() {
                break;
            } else if next.is_control() {
                let hint = "remove it";
                let span = self.at..self.at + next.len_utf8();
                return Err(invalid("a control character", hint, span));
            } else {
                self.literal(&mut value);
            }
        }
        Ok(value)
    }

    /// Takes one character as it is.
    fn literal(&mut self, value: &mut Text) {
        let rest = self.rest();
        let len = rest.chars().next().map_or(0, char::len_utf8);
        value.push_literal(rest.get(..len).unwrap_or(""));
        self.at += len;
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }
}

fn shifted(error: ConnectionError, by: usize) -> ConnectionError {
    ConnectionError { span: error.span.start + by..error.span.end + by, ..error }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolved(text: &str) -> String {
        Connection::parse(text)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .resolve(|_| Ok::<_, ()>("it's a \\ secret host=evil".to_owned()))
            .unwrap()
    }

    #[test]
    fn values_are_quoted_so_that_a_secret_stays_one_value() {
        assert_eq!(
            resolved("host=/run/postgresql user = soter password=${file:/etc/my pw}"),
            "host='/run/postgresql' user='soter' \
             password='it\\'s a \\\\ secret host=evil'"
        );
        assert_eq!(
            resolved(r"application_name='a \'b\' c' user=a\ b"),
            r"application_name='a \'b\' c' user='a b'"
        );
        assert_eq!(resolved("${env:DATABASE}"), "it's a \\ secret host=evil");
        assert_eq!(resolved("host=a$${b password=''"), "host='a${b' password=''");
    }

    #[test]
    fn passwords_must_be_references() {
        for text in [
            "password=hunter2",
            "host=x password='hunter2' user=y",
            "password=${env:A}x",
            "sslpassword=x",
        ] {
            let error = Connection::parse(text).unwrap_err();
            assert_eq!(error.kind, ConnectionErrorKind::PlainSecret, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_connection_is_refused_with_its_place() {
        for (text, span) in [
            ("", 0..0),
            ("host=x user", 7..11),
            ("host=x host=y", 12..13),
            ("host='x", 5..7),
            ("host=${vault:x}", 5..15),
            ("host=${env:x", 5..7),
            ("=x", 0..1),
            ("Host=x", 0..4),
            ("a postgresql://u@h/d", 0..1),
            ("postgresql://u@h/d", 0..18),
        ] {
            assert_eq!(Connection::parse(text).unwrap_err().span, span, "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_connections_read_back(
            words in proptest::collection::vec(("[a-z]{1,8}", "([$]{0,2}[{]|\\$\\{env:A\\}|[' \\\\]|\\PC){0,8}"), 1..5)
        ) {
            let text: Vec<String> = words.iter().map(|(word, value)| format!("{word}='{value}'")).collect();
            if let Ok(connection) = Connection::parse(&text.join(" ")) {
                prop_assert_eq!(Connection::parse(&connection.to_string()), Ok(connection));
            }
        }
    }
}
