//! Where a vault is, and which root keys vouch for it.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A vault of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    /// Where its objects are.
    pub url: VaultUrl,
    /// `keys.root`: one to three keys, any of which may have signed the vault's trust lists. The
    /// pin is what makes a vault *this* vault: without it, whoever can write to the bucket could
    /// put another in its place.
    pub root_keys: Vec<PublicKey>,
    /// `keys.agent`: the agent's key file on its machine; an absolute path. Default:
    /// `/etc/soter/agent.key`.
    pub agent_key: PathBuf,
}

/// Where an agent's key file is unless the plan says otherwise.
pub const AGENT_KEY_DEFAULT: &str = "/etc/soter/agent.key";

/// The address of a vault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum VaultUrl {
    /// `file:///srv/soter`: a local directory; an absolute path.
    File(PathBuf),
}

/// A public key, written `ed25519:<base64 of 32 bytes>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// Most root keys a vault may have: the old, the new, and one in the safe.
pub(crate) const ROOT_KEYS_MAX: usize = 3;

/// Why a text is no address of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Write the address with a scheme.
    #[error("a vault's address is a URL")]
    NoScheme,
    /// Use a directory; object stores are not there yet.
    #[error("vaults are directories (file://) in this version")]
    UnsupportedScheme,
    /// Write the path from the root: three slashes.
    #[error("a directory is written file:///path, with three slashes")]
    NotAbsolute,
    /// Mend the `%` escape, or write `%25` for a plain `%`.
    #[error("a `%` is followed by two hexadecimal digits")]
    BadEscape,
    /// Remove it, or write it as a `%` escape.
    #[error("`?`, `#` and control characters cannot stand in the path")]
    BadCharacter,
    /// Name a directory of its own.
    #[error("the root directory cannot be a vault")]
    RootDirectory,
}

/// Why a text is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Write the algorithm in front.
    #[error("a public key starts with `ed25519:`")]
    NoAlgorithm,
    /// Copy the key again: it is not whole.
    #[error("behind `ed25519:` come 32 bytes in base64 (44 characters)")]
    NotThirtyTwoBytes,
}

impl FromStr for VaultUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once(':').ok_or(UrlError::NoScheme)?;
        match scheme {
            "file" => {}
            _ if scheme.is_empty() || scheme.contains('/') => return Err(UrlError::NoScheme),
            _ => return Err(UrlError::UnsupportedScheme),
        }
        let path = rest.strip_prefix("//").filter(|path| path.starts_with('/'));
        let path = path.ok_or(UrlError::NotAbsolute)?;
        if path.contains(|c: char| c.is_control() || matches!(c, '?' | '#')) {
            return Err(UrlError::BadCharacter);
        }
        let bytes = unescape(path.as_bytes())?;
        let end = bytes.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
        match bytes.get(..end) {
            None | Some([]) => Err(UrlError::RootDirectory),
            Some(path) => Ok(Self::File(PathBuf::from(OsString::from_vec(path.to_vec())))),
        }
    }
}

fn unescape(text: &[u8]) -> Result<Vec<u8>, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |at: usize| {
            let digit = after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
            digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(UrlError::BadEscape)
        };
        match digit(0)? << 4 | digit(1)? {
            0 => return Err(UrlError::BadCharacter),
            byte => bytes.push(byte),
        }
        rest = after.get(2..).unwrap_or_default();
    }
    Ok(bytes)
}

impl fmt::Display for VaultUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::File(path) = self;
        f.write_str("file://")?;
        for &byte in path.as_os_str().as_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let key = text.strip_prefix("ed25519:").ok_or(PublicKeyError::NoAlgorithm)?;
        let bytes = STANDARD.decode(key).map_err(|_| PublicKeyError::NotThirtyTwoBytes)?;
        bytes.try_into().map(Self).map_err(|_| PublicKeyError::NotThirtyTwoBytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read() {
        let read = |text: &str| text.parse::<VaultUrl>();
        let file = |path: &str| Ok(VaultUrl::File(PathBuf::from(path)));
        assert_eq!(read("file:///srv/soter"), file("/srv/soter"));
        assert_eq!(read("file:///srv/soter//"), file("/srv/soter"));
        assert_eq!(read("file:///a%20b%25/ä"), file("/a b%/ä"));
        assert_eq!(read("/srv/soter"), Err(UrlError::NoScheme));
        assert_eq!(read("s3://bucket"), Err(UrlError::UnsupportedScheme));
        assert_eq!(read("file://srv/soter"), Err(UrlError::NotAbsolute));
        assert_eq!(read("file:///"), Err(UrlError::RootDirectory));
        assert_eq!(read("file:///a%2"), Err(UrlError::BadEscape));
        assert_eq!(read("file:///a%00"), Err(UrlError::BadCharacter));
        assert_eq!(read("file:///a?b"), Err(UrlError::BadCharacter));
    }

    proptest! {
        #[test]
        fn written_addresses_and_keys_read_back(path in "/[^\0]{0,20}[^/\0]", key: [u8; 32]) {
            let url = VaultUrl::File(PathBuf::from(path));
            prop_assert_eq!(url.to_string().parse(), Ok(url));
            let key = PublicKey(key);
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
    }
}
