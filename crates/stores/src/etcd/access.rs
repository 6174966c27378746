//! Where an etcd is, and with what it is asked.

use std::fmt;
use std::str::FromStr;

use soter_world::Secret;

/// The address of one member: `https://host:port`, or `http://` on a network that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(String);

/// A text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no endpoint: https://host:port, without a path and without a password")]
pub struct EndpointError {
    /// What was read.
    pub text: String,
}

/// How an etcd is reached: any of its members, and the files' contents that TLS needs.
#[derive(Debug, Clone)]
pub struct Access {
    /// The members, in the order they are asked.
    pub endpoints: Vec<Endpoint>,
    /// Certificates of the authorities that are believed, in PEM.
    pub ca: Vec<u8>,
    /// The client's certificate and what it was signed by, in PEM, and its key.
    pub client: Option<(Vec<u8>, Secret<Vec<u8>>)>,
}

impl Endpoint {
    /// Its address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what is said to it is sealed.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = || EndpointError { text: text.to_owned() };
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        let rest = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
        let (host, port) = rest.and_then(|rest| rest.rsplit_once(':')).ok_or_else(wrong)?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let fits = !host.is_empty()
            && host.bytes().all(is_host)
            && (bracketed || !host.contains([':', '[', ']']))
            && port.parse::<u16>().is_ok_and(|port| port > 0);
        fits.then(|| Self(trimmed.to_owned())).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_a_host_and_a_port() {
        for good in ["https://127.0.0.1:2379", "http://etcd-0:1", "https://[::1]:2379"] {
            assert_eq!(good.parse::<Endpoint>().unwrap().as_str(), good);
        }
        let trimmed: Endpoint = "https://etcd.internal:2379/".parse().unwrap();
        assert_eq!(trimmed.as_str(), "https://etcd.internal:2379");
        for bad in [
            "",
            "etcd:2379",
            "https://etcd",
            "https://:2379",
            "https://etcd:0",
            "https://etcd:99999",
            "https://user:secret@etcd:2379",
            "https://etcd:2379/v3",
            "ftp://etcd:2379",
            "https://::1:2379",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
