//! Names that people give to stores and vaults.
//!
//! They appear in paths, slot names, metrics and on the telephone, so they are short and plain.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// Longest name: with a prefix it must still fit into PostgreSQL's 63 bytes.
const NAME_BYTES_MAX: usize = 40;

/// A text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to {NAME_BYTES_MAX} characters: small letters, digits, `-` and `_`, and starts with a letter"
)]
pub struct NameError;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_name(text) { Ok(Self(text.to_owned())) } else { Err(NameError) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The name of a store.
    StoreName
}

name! {
    /// The name of a vault.
    VaultName
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for text in ["a", "orders", "orders-2_b"] {
            assert_eq!(text.parse::<StoreName>().unwrap().as_str(), text);
        }
        for text in ["", "2a", "-a", "Orders", "a b", "a/b", "ä", &"a".repeat(41)] {
            assert_eq!(text.parse::<VaultName>(), Err(NameError), "{text}");
        }
    }
}
