//! Names of replication slots.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::Error;

/// The longest name a server accepts (`NAMEDATALEN` less one).
const NAME_LENGTH_MAX: usize = 63;

/// The name of a replication slot: lower-case letters, digits and `_`, as the server demands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SlotName(String);

impl SlotName {
    /// Takes a name that the server would accept.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(is_allowed) {
            Ok(Self(name))
        } else {
            Err(Error::Name { what: "name of a replication slot (a-z, 0-9 and _)", name })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for SlotName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl From<SlotName> for String {
    fn from(name: SlotName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_server_accepts_and_nothing_that_ends_a_command() {
        assert_eq!(SlotName::new("soter_2").unwrap().to_string(), "soter_2");
        let long = "a".repeat(64);
        for name in ["", "Soter", "so ter", "a;b", "a\"", "ä", long.as_str()] {
            assert!(SlotName::new(name).is_err(), "{name:?}");
        }
    }
}
