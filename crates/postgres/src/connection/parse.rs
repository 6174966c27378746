//! Connection strings in both forms that libpq reads: `key=value` pairs and URLs.
//!
//! A string may hold a password, so no error repeats more of it than the name of a parameter.

use std::path::PathBuf;
use std::time::Duration;

use soter_world::Secret;
use thiserror::Error;

use super::{
    APPLICATION_NAME_DEFAULT, Authorities, CONNECT_TIMEOUT_DEFAULT, ConnectionInfo, Demand, Host,
    Tls,
};

/// Where Debian and Red Hat put the Unix socket; upstream's own default is `/tmp`.
const SOCKET_DIRECTORY_DEFAULT: &str = "/var/run/postgresql";

const PORT_DEFAULT: u16 = 5432;

/// The longest name a server keeps (`NAMEDATALEN` less one); the rest it would cut off silently.
const NAME_LENGTH_MAX: usize = 63;

/// Libpq rounds shorter timeouts up to this.
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_secs(2);

/// The parameters that are understood.
const PARAMETERS: &str = "host, port, user, password, dbname, application_name, connect_timeout, \
                          sslmode, sslrootcert, sslcert, sslkey";

/// `sslrootcert` for the authorities that the machine believes.
const SYSTEM: &str = "system";

/// The connection string cannot be used; [`ConnectionStringError::hint`] says what to write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectionStringError {
    /// Neither pairs nor a URL.
    #[error("the connection string breaks off or lacks a '=' after {after:?}")]
    Syntax {
        /// The last parameter that was read.
        after: String,
    },
    /// A URL with a broken `%` sequence, port or bracket.
    #[error("the {part} of the connection URL is malformed")]
    Url {
        /// Which part.
        part: &'static str,
    },
    /// A parameter that is not supported.
    #[error("the connection parameter {name:?} is not supported")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A value that the parameter cannot have.
    #[error("the connection parameter {name:?} must be {expected}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What it can be.
        expected: &'static str,
    },
    /// TLS is demanded, and there is none here yet.
    #[error("sslmode={mode} demands TLS, which only the queries of runs have so far")]
    Tls {
        /// The mode that was given.
        mode: &'static str,
    },
    /// Several hosts: a store is one server, and which one was backed up must not be chance.
    #[error("the connection string names several hosts")]
    SeveralHosts,
    /// No role.
    #[error("the connection string names no user")]
    UserMissing,
}

impl ConnectionStringError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Syntax { .. } => {
                "write pairs as in \"host=/var/run/postgresql user=soter\" (quote values that hold \
                 spaces with ''), or a URL as in postgres://soter@db.example:5432/postgres"
                    .to_owned()
            }
            Self::Url { .. } => {
                "write reserved characters as %XX, an IPv6 address in [], a socket \
                                 directory as ?host=/var/run/postgresql"
                    .to_owned()
            }
            Self::Unknown { .. } => format!("the parameters are {PARAMETERS}"),
            Self::Value { name, expected } => format!("give {name} as {expected}"),
            Self::Tls { .. } => {
                "connect over the Unix socket (host=/var/run/postgresql), or, on a \
                                 private network, with sslmode=disable or sslmode=prefer"
                    .to_owned()
            }
            Self::SeveralHosts => "name the one server that this store is".to_owned(),
            Self::UserMissing => "add user=soter, or the role that was made for it".to_owned(),
        }
    }
}

/// A string that does not demand TLS.
pub(super) fn parse_plain(text: &str) -> Result<ConnectionInfo, ConnectionStringError> {
    let info = parse(text)?;
    let mode = match info.tls.demand {
        Demand::Nothing => return Ok(info),
        Demand::Secrecy => "require",
        Demand::KnownAuthority => "verify-ca",
        Demand::KnownServer => "verify-full",
    };
    Err(ConnectionStringError::Tls { mode })
}

pub(super) fn parse(text: &str) -> Result<ConnectionInfo, ConnectionStringError> {
    let text = text.trim();
    let url = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let pairs = match url {
        Some(rest) => url_pairs(rest)?,
        None => keyword_pairs(text)?,
    };
    resolve(pairs)
}

type Pairs = Vec<(String, String)>;

/// Gives parameters their meaning. As in libpq the last one of a name wins, and an empty value
/// stands for the default.
fn resolve(pairs: Pairs) -> Result<ConnectionInfo, ConnectionStringError> {
    let mut user = None;
    let mut info = ConnectionInfo {
        host: Host::Directory(SOCKET_DIRECTORY_DEFAULT.into()),
        port: PORT_DEFAULT,
        user: String::new(),
        password: None,
        database: "postgres".to_owned(),
        application_name: APPLICATION_NAME_DEFAULT.to_owned(),
        connect_timeout: CONNECT_TIMEOUT_DEFAULT,
        tls: Tls::default(),
    };
    let (mut certificate, mut key) = (None, None);
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        if value.contains('\0') {
            return Err(ConnectionStringError::Value { name: "value", expected: "free of NUL" });
        }
        match name.as_str() {
            "host" | "hostaddr" => info.host = host(value)?,
            "port" => info.port = port(&value)?,
            "user" => user = Some(value),
            "password" => info.password = Some(Secret::new(value)),
            "dbname" => info.database = value,
            "application_name" => info.application_name = application_name(value)?,
            "connect_timeout" => info.connect_timeout = connect_timeout(&value)?,
            "sslmode" => info.tls.demand = demand(&value)?,
            "sslrootcert" if value == SYSTEM => info.tls.authorities = Some(Authorities::System),
            "sslrootcert" => {
                info.tls.authorities = Some(Authorities::File(file("sslrootcert", value)?));
            }
            "sslcert" => certificate = Some(file("sslcert", value)?),
            "sslkey" => key = Some(file("sslkey", value)?),
            _ => return Err(ConnectionStringError::Unknown { name }),
        }
    }
    info.user = user.ok_or(ConnectionStringError::UserMissing)?;
    info.tls.own = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(together("sslkey")),
        (None, Some(_)) => return Err(together("sslcert")),
    };
    // As libpq has it: who names those that vouch wants them asked.
    if info.tls.demand == Demand::Secrecy && info.tls.authorities.is_some() {
        info.tls.demand = Demand::KnownAuthority;
    }
    Ok(info)
}

fn together(name: &'static str) -> ConnectionStringError {
    ConnectionStringError::Value { name, expected: "given where its certificate or key is" }
}

/// A path that is the same wherever a run goes on.
fn file(name: &'static str, value: String) -> Result<PathBuf, ConnectionStringError> {
    let path = PathBuf::from(value);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(ConnectionStringError::Value { name, expected: "an absolute path" })
}

fn host(value: String) -> Result<Host, ConnectionStringError> {
    if value.contains(',') {
        Err(ConnectionStringError::SeveralHosts)
    } else if value.starts_with('/') {
        Ok(Host::Directory(value.into()))
    } else {
        Ok(Host::Name(value))
    }
}

fn port(value: &str) -> Result<u16, ConnectionStringError> {
    match value.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ if value.contains(',') => Err(ConnectionStringError::SeveralHosts),
        _ => Err(ConnectionStringError::Value { name: "port", expected: "a number up to 65535" }),
    }
}

/// The server replaces what is not printable ASCII and cuts off what is too long. Then our name in
/// `synchronous_standby_names` would never match, and every commit would wait for ever.
fn application_name(value: String) -> Result<String, ConnectionStringError> {
    let is_kept = value.len() <= NAME_LENGTH_MAX && value.bytes().all(|b| (32..127).contains(&b));
    if is_kept {
        return Ok(value);
    }
    Err(ConnectionStringError::Value {
        name: "application_name",
        expected: "at most 63 printable ASCII characters",
    })
}

/// In seconds. Zero is libpq's word for "for ever", which nothing here may wait.
fn connect_timeout(value: &str) -> Result<Duration, ConnectionStringError> {
    match value.parse().map(Duration::from_secs) {
        Ok(timeout) if (1..=3600).contains(&timeout.as_secs()) => {
            Ok(timeout.max(CONNECT_TIMEOUT_MIN))
        }
        _ => Err(ConnectionStringError::Value {
            name: "connect_timeout",
            expected: "a number of seconds from 1 to 3600",
        }),
    }
}

fn demand(mode: &str) -> Result<Demand, ConnectionStringError> {
    Ok(match mode {
        "disable" | "allow" | "prefer" => Demand::Nothing,
        "require" => Demand::Secrecy,
        "verify-ca" => Demand::KnownAuthority,
        "verify-full" => Demand::KnownServer,
        _ => {
            let expected = "disable, allow, prefer, require, verify-ca or verify-full";
            return Err(ConnectionStringError::Value { name: "sslmode", expected });
        }
    })
}

/// `key = value` pairs. A value may be quoted by `'`; a backslash takes the next character as it is.
fn keyword_pairs(text: &str) -> Result<Pairs, ConnectionStringError> {
    let mut pairs = Pairs::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let after =
            || pairs.last().map_or(String::new(), |(name, _): &(String, String)| name.clone());
        let (name, value) =
            rest.split_once('=').ok_or_else(|| ConnectionStringError::Syntax { after: after() })?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(ConnectionStringError::Syntax { after: after() });
        }
        let (value, remaining) = keyword_value(value.trim_start())
            .ok_or_else(|| ConnectionStringError::Syntax { after: name.to_owned() })?;
        pairs.push((name.to_owned(), value));
        rest = remaining.trim_start();
    }
    Ok(pairs)
}

/// One value and what follows it, or `None` if a quote or a backslash is left open.
fn keyword_value(text: &str) -> Option<(String, &str)> {
    let (is_quoted, text) = match text.strip_prefix('\'') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        let before = characters.as_str();
        match characters.next() {
            Some('\'') if is_quoted => return Some((value, characters.as_str())),
            Some(c) if !is_quoted && c.is_whitespace() => return Some((value, before)),
            Some('\\') => value.push(characters.next()?),
            Some(c) => value.push(c),
            None if is_quoted => return None,
            None => return Some((value, "")),
        }
    }
}

/// `[user[:password]@][host][:port][/dbname][?name=value&…]`, each part with `%XX` decoded.
fn url_pairs(text: &str) -> Result<Pairs, ConnectionStringError> {
    let mut pairs = Pairs::new();
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let (authority, database) = address.split_once('/').unwrap_or((address, ""));
    let (credentials, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (host, port) = url_place(place)?;
    let parts = [
        ("user", user, "user"),
        ("password", password, "password"),
        ("host", host, "host"),
        ("port", port, "port"),
        ("dbname", database, "database"),
    ];
    for (name, text, part) in parts {
        pairs.push((name.to_owned(), decoded(text, part)?));
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) =
            parameter.split_once('=').ok_or(ConnectionStringError::Url { part: "query" })?;
        pairs.push((decoded(name, "query")?, decoded(value, "query")?));
    }
    Ok(pairs)
}

/// A host, which may be an IPv6 address in brackets, and a port.
fn url_place(place: &str) -> Result<(&str, &str), ConnectionStringError> {
    if place.contains(',') {
        return Err(ConnectionStringError::SeveralHosts);
    }
    let malformed = ConnectionStringError::Url { part: "host" };
    match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(|| malformed.clone())?;
            match after.strip_prefix(':') {
                Some(port) => Ok((host, port)),
                None if after.is_empty() => Ok((host, "")),
                None => Err(malformed),
            }
        }
        None => match place.split_once(':') {
            Some((_, port)) if port.contains(':') => Err(malformed),
            Some(parts) => Ok(parts),
            None => Ok((place, "")),
        },
    }
}

fn decoded(text: &str, part: &'static str) -> Result<String, ConnectionStringError> {
    let malformed = || ConnectionStringError::Url { part };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2).ok_or_else(malformed)?;
            bytes.extend(hex::decode(digits).map_err(|_| malformed())?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests;
