//! Values that mean something on the machine of an agent: paths, connections, keys, names that
//! PostgreSQL keeps.
//!
//! The rule it keeps: a password is a reference, or it is refused and never shown.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::reader::Reader;
use super::schema::Schemas;
use super::value::Value;
use super::yaml::Yaml;
use crate::connection::{Connection, ConnectionErrorKind};
use crate::findings::{Code, Raw};
use crate::mask::mentions_secret;
use crate::text::{Part, Reference, Text};
use crate::tree::Node;
use crate::vault::PublicKey;

/// A path from the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsolutePath(pub PathBuf);

/// The address of a member of an etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdEndpoint(pub String);

/// A path from the root, with `*` and `?` in names that change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(pub String);

/// The name of a replication slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotName(pub String);

/// The name a client of PostgreSQL goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationName(pub String);

/// A text without references: they are for secrets.
pub(crate) fn literal(text: &str, node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let text = match Text::parse(text) {
        Ok(text) => text,
        Err(error) => {
            let span = reader.within(node, &error.span);
            reader.report(Code::BadReference, &span, error.problem, error.hint);
            return None;
        }
    };
    let Some(text) = text.as_literal() else {
        let title = format!("`{}` cannot be a reference", reader.key());
        let hint = "references are for secrets: write the value itself";
        reader.report(Code::BadReference, &node.span, title, hint);
        return None;
    };
    if text.is_empty() || text.contains(char::is_control) {
        let title = "an empty text, or one with control characters";
        reader.report(Code::InvalidValue, &node.span, title, "");
        return None;
    }
    Some(text.to_owned())
}

impl Value for AbsolutePath {
    const WHAT: &'static str = "a path from the root, /var/lib/…";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.scalar(node, Self::WHAT)?;
        let path = PathBuf::from(literal(text, node, reader)?);
        if path.is_absolute() {
            return Some(Self(path));
        }
        let hint = "write it from the root: /var/lib/…";
        reader.report(Code::InvalidValue, &node.span, "this path is not absolute", hint);
        None
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let schema = json!({ "type": "string", "pattern": "^/" });
        schemas.value("Path", "A path from the root.", schema)
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.0.to_string_lossy().replace("${", "$${"))
    }
}

impl Value for EtcdEndpoint {
    const WHAT: &'static str = "an address such as https://10.0.0.1:2379";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = literal(reader.scalar(node, Self::WHAT)?, node, reader)?;
        if is_endpoint(&text) {
            return Some(Self(text.strip_suffix('/').unwrap_or(&text).to_owned()));
        }
        let hint = "write https://HOST:PORT, without a path and without a password";
        reader.report(Code::InvalidValue, &node.span, "this is no address of a member", hint);
        None
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let schema = json!({ "type": "string", "pattern": "^https?://[^/@]+:[0-9]+/?$" });
        schemas.value("EtcdEndpoint", "The address of a member of an etcd.", schema)
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.0)
    }
}

/// A scheme, a host and a port, and nothing else: what a client of etcd takes.
fn is_endpoint(text: &str) -> bool {
    let text = text.strip_suffix('/').unwrap_or(text);
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some((host, port)) = rest.and_then(|rest| rest.rsplit_once(':')) else { return false };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let bracketed = host.starts_with('[') && host.ends_with(']');
    !host.is_empty()
        && host.bytes().all(is_host)
        && (bracketed || !host.contains([':', '[', ']']))
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

impl Value for PathPattern {
    const WHAT: &'static str = "a path from the root, `*` for what changes in a name";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = literal(reader.scalar(node, Self::WHAT)?, node, reader)?;
        let mut names = text.split('/').skip(1).filter(|name| !name.is_empty()).peekable();
        let problem = if !text.starts_with('/') {
            "this path is not absolute"
        } else if names.peek().is_none() {
            "this is everything there is"
        } else if names.any(|name| matches!(name, "." | ".." | "**")) {
            "a path to take along has no `.`, `..` or `**` in it"
        } else {
            return Some(Self(text));
        };
        let hint = "write it from the root, such as /var/lib/rancher/k3s/server/tls";
        reader.report(Code::InvalidValue, &node.span, problem, hint);
        None
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let schema = json!({ "type": "string", "pattern": "^/." });
        let doc = "A path from the root; `*` and `?` stand for what changes in a name.";
        schemas.value("PathPattern", doc, schema)
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.0.replace("${", "$${"))
    }
}

impl Value for Connection {
    const WHAT: &'static str = "a text such as \"host=/run/postgresql user=soter\"";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.scalar(node, Self::WHAT)?;
        let whole = node.span.clone();
        if mentions_secret(text) && reader.within(node, &(0..text.len())) == whole {
            // Escapes may hide the word from the mask.
            reader.secrets.push(whole);
        }
        let error = match Self::parse(text) {
            Ok(connection) => return Some(connection),
            Err(error) => error,
        };
        let code = match error.kind {
            ConnectionErrorKind::Invalid => Code::InvalidValue,
            ConnectionErrorKind::Reference => Code::BadReference,
            ConnectionErrorKind::PlainSecret => Code::PlainSecret,
        };
        let span = reader.within(node, &error.span);
        if code == Code::PlainSecret {
            reader.secrets.push(span.clone());
        }
        reader.add(Raw::new(code, span, error.problem).hint(error.hint));
        None
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let doc = "How to reach a PostgreSQL server, in libpq's words. A password is a reference: \
                   `${file:/path}` or `${env:NAME}`; `${file:…}` alone holds all of it.";
        let example = "host=/run/postgresql user=soter password=${file:/etc/soter/password}";
        schemas.text("Connection", doc, &[example])
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.to_string())
    }
}

impl Value for Reference {
    const WHAT: &'static str = "a reference, `${file:/path}` or `${env:NAME}`";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.scalar(node, Self::WHAT)?;
        match Text::parse(text) {
            Ok(text) => {
                if let [Part::Reference(reference)] = text.parts() {
                    return Some(reference.clone());
                }
                // It may be the secret itself.
                reader.secrets.push(node.span.clone());
                let title = format!("`{}` says where a secret is, not what it is", reader.key());
                let hint =
                    "put it into a file or a variable, and write `${file:/path}` or `${env:NAME}`";
                reader.add(Raw::new(Code::PlainSecret, node.span.clone(), title).hint(hint));
            }
            Err(error) => {
                let span = reader.within(node, &error.span);
                reader.report(Code::BadReference, &span, error.problem, error.hint);
            }
        }
        None
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let doc = "Where a secret is: `${file:/path}` or `${env:NAME}`.";
        let pattern = r"^\$\{(env|file):.+\}$";
        schemas.value("Reference", doc, json!({ "type": "string", "pattern": pattern }))
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.to_string())
    }
}

impl Value for PublicKey {
    const WHAT: &'static str = "a public key: `ed25519:` and 32 bytes in base64";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.scalar(node, Self::WHAT)?;
        let key = literal(text, node, reader)?.parse::<Self>();
        key.map_err(|error| {
            let hint =
                "`soter vault info` prints a vault's root key, `soter vault keygen` that of a key";
            reader.report(Code::InvalidValue, &node.span, error.to_string(), hint);
        })
        .ok()
    }

    fn schema(schemas: &mut Schemas) -> Json {
        let schema = json!({ "type": "string", "pattern": "^ed25519:[A-Za-z0-9+/]{43}=$" });
        schemas.value("PublicKey", "A public key.", schema)
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.to_string())
    }
}

/// `NAMEDATALEN` less its end.
const SERVER_NAME_BYTES_MAX: usize = 63;

/// A name that PostgreSQL keeps: at most 63 bytes of the characters it allows.
fn server_name(
    node: &Node,
    reader: &mut Reader<'_>,
    allowed: &str,
    is_allowed: impl Fn(char) -> bool,
) -> Option<String> {
    let text = literal(reader.scalar(node, "a name")?, node, reader)?;
    if text.len() <= SERVER_NAME_BYTES_MAX && text.chars().all(is_allowed) {
        return Some(text);
    }
    let hint = format!("1 to {SERVER_NAME_BYTES_MAX} characters: {allowed}");
    reader.report(Code::InvalidValue, &node.span, "PostgreSQL takes no such name", hint);
    None
}

impl Value for SlotName {
    const WHAT: &'static str = "a name";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        server_name(node, reader, "small letters, digits and `_`", is_allowed).map(Self)
    }

    fn schema(_: &mut Schemas) -> Json {
        json!({ "type": "string", "pattern": "^[a-z0-9_]{1,63}$" })
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.0)
    }
}

impl Value for ApplicationName {
    const WHAT: &'static str = "a name";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        server_name(node, reader, "letters, digits, `_` and `-`", is_allowed).map(Self)
    }

    fn schema(_: &mut Schemas) -> Json {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,63}$" })
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.0)
    }
}
