//! Identifiers of the vault. Every id is its own type, written as lower-case hex.

use std::fmt;
use std::str::FromStr;

use soter_world::Random;

/// A text that is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected} hex digits")]
pub struct ParseIdError {
    /// What was read.
    pub text: String,
    /// How many hex digits the id has.
    pub expected: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Length in bytes.
            pub const LENGTH: usize = $bytes;

            /// A new random id.
            pub fn random(random: &dyn Random) -> Self {
                let mut bytes = [0; $bytes];
                random.fill(&mut bytes);
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let wrong = || ParseIdError { text: text.to_owned(), expected: 2 * $bytes };
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(wrong());
                }
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| wrong())?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A vault.
    VaultId, 16
);
id!(
    /// A store: one thing that holds data to protect.
    StoreId, 8
);
id!(
    /// A session: one run of a writer, which owns every object it wrote.
    SessionId, 8
);
id!(
    /// An incarnation: one life of one database cluster. A clone of a cluster is another
    /// incarnation, although its system identifier is the same.
    IncarnationId, 8
);
id!(
    /// A backup.
    BackupId, 8
);
id!(
    /// A keyed hash of content: equal contents of one store have equal ids, and nobody without the
    /// store's metadata key can compute them.
    ContentId, 16
);
id!(
    /// A BLAKE3 hash of stored bytes.
    Digest, 32
);
id!(
    /// The random part of an object's header, which makes its key unlike any other.
    Salt, 16
);

impl Digest {
    /// The BLAKE3 hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_as_it_was_written() {
        let id = StoreId([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        assert_eq!(id.to_string(), "0123456789abcdef");
        assert_eq!("0123456789abcdef".parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdeg", "../4567890123456"]
        {
            assert!(text.parse::<StoreId>().is_err(), "{text}");
        }
    }
}
