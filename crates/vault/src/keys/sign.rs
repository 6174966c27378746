//! Ed25519: who says so.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use soter_world::{Random, Secret};

/// Length of a signature in bytes.
pub const SIGNATURE_LENGTH: usize = 64;

const PREFIX: &str = "ed25519:";

/// The public half of a signing key, written `ed25519:` and 44 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// A text that is not a public signing key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a public key: ed25519: and 44 characters of base64")]
pub struct ParsePublicKeyError {
    /// What was read.
    pub text: String,
}

impl PublicKey {
    /// Whether `signature` was made over exactly these bytes by the key's other half.
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(bytes, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = ParsePublicKeyError;

    fn from_str(text: &str) -> Result<Self, ParsePublicKeyError> {
        text.strip_prefix(PREFIX)
            .and_then(|encoded| BASE64.decode(encoded).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| ParsePublicKeyError { text: text.to_owned() })
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A signing key. Shows its public half only.
#[derive(Clone)]
pub struct Signer {
    pair: Arc<Ed25519KeyPair>,
    seed: Secret<[u8; 32]>,
    public: PublicKey,
}

impl Signer {
    /// A new random key.
    pub fn random(random: &dyn Random) -> Self {
        Self::from_seed(soter_world::random::bytes(random))
    }

    /// The key with this seed.
    ///
    /// # Panics
    /// Never: every 32 bytes are a seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed has 32 bytes");
        let public = pair.public_key().as_ref().try_into().expect("a public key has 32 bytes");
        Self { pair: Arc::new(pair), seed: Secret::new(seed), public: PublicKey(public) }
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs exactly these bytes.
    ///
    /// # Panics
    /// Never: Ed25519 signs whatever there is.
    pub fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE_LENGTH] {
        self.pair.sign(bytes).as_ref().try_into().expect("a signature has 64 bytes")
    }

    /// The seed, to be written into a key file.
    pub fn seed(&self) -> &Secret<[u8; 32]> {
        &self.seed
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_and_key_alone() {
        let signer = Signer::from_seed([1; 32]);
        let signature = signer.sign(b"entry");
        assert!(signer.public().verify(b"entry", &signature));
        assert!(!signer.public().verify(b"Entry", &signature));
        assert!(!signer.public().verify(b"entry", &signature[..63]));
        assert!(!Signer::from_seed([2; 32]).public().verify(b"entry", &signature));
    }

    #[test]
    fn a_public_key_is_read_back_as_it_was_written() {
        let public = Signer::from_seed([1; 32]).public();
        assert_eq!(public.to_string().parse(), Ok(public));
        for text in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA"] {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_seed_is_not_printed() {
        let printed = format!("{:?}", Signer::from_seed([0xee; 32]));
        assert!(printed.starts_with("Signer(ed25519:") && !printed.contains("238"), "{printed}");
    }
}
