//! age: who may open it. Every wrap is one plain binary age file that `age -d` opens too.
//!
//! age draws the randomness of its keys and wraps from the operating system by itself, so a wrap is
//! the one thing in a vault that cannot be replayed from a seed.

use std::fmt;
use std::str::FromStr;

use age::DecryptError;
use age::secrecy::ExposeSecret;
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use soter_world::Secret;

use crate::crypto::SymmetricKey;
use crate::keys::KeyError;

/// No wrap is longer than this in bytes: room for about 600 recipients.
const WRAP_LENGTH_MAX: usize = 64 << 10;

/// To whom a key is wrapped: an age X25519 recipient, written `age1…`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Recipient(age::x25519::Recipient);

/// What opens wraps: an age X25519 identity, written `AGE-SECRET-KEY-1…`. Prints as `****`.
#[derive(Clone)]
pub struct Identity(age::x25519::Identity);

/// A text that is not an age key. Does not repeat the text, which may be half a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: {reason}")]
pub struct ParseAgeKeyError {
    /// What was expected.
    pub expected: &'static str,
    /// What age says about it.
    pub reason: &'static str,
}

/// A small secret in an age file, with the recipients that it was wrapped to. age does not name
/// X25519 recipients, so the list is what tells a wrong key from a damaged wrap.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Wrapped {
    /// Who can open it.
    pub to: Vec<Recipient>,
    /// The age file.
    #[serde(with = "base64_text")]
    pub age: Vec<u8>,
}

/// Wraps a key to one recipient: 32 bytes in a plain binary age file.
pub fn wrap(key: &SymmetricKey, to: &Recipient) -> Vec<u8> {
    encrypt(key.expose(), std::slice::from_ref(to))
}

impl Recipient {
    fn as_age(&self) -> &dyn age::Recipient {
        &self.0
    }
}

impl Identity {
    /// A new identity, from the randomness of the operating system.
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// The public half.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// The text of the identity, to be written into a key file or wrapped.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(self.0.to_string().expose_secret().to_owned())
    }
}

impl Wrapped {
    /// Wraps a small secret.
    ///
    /// # Panics
    /// When there is no recipient.
    pub fn new(secret: &[u8], to: Vec<Recipient>) -> Self {
        Self { age: encrypt(secret, &to), to }
    }

    /// Opens it. `what` names it in errors.
    ///
    /// # Errors
    /// [`KeyError::WrongKey`] when the identity is none of the recipients, [`KeyError::Damaged`]
    /// when it is one and the wrap does not open all the same.
    pub fn open(&self, identity: &Identity, what: &str) -> Result<Secret<Vec<u8>>, KeyError> {
        if !self.to.contains(&identity.recipient()) {
            let (what, needed) = (what.to_owned(), self.to.clone());
            return Err(KeyError::WrongKey { what, found: vec![identity.recipient()], needed });
        }
        decrypt(&self.age, std::slice::from_ref(identity))
            .map_err(|_| KeyError::Damaged { what: what.to_owned() })
    }
}

fn encrypt(secret: &[u8], to: &[Recipient]) -> Vec<u8> {
    let encryptor = age::Encryptor::with_recipients(to.iter().map(Recipient::as_age))
        .expect("X25519 recipients go together, and there is at least one");
    let mut wrapped = Vec::new();
    let mut writer = encryptor.wrap_output(&mut wrapped).expect("memory does not fail");
    std::io::Write::write_all(&mut writer, secret).expect("memory does not fail");
    writer.finish().expect("memory does not fail");
    wrapped
}

/// Opens an age file with whichever identity fits.
pub(crate) fn decrypt(
    wrapped: &[u8],
    identities: &[Identity],
) -> Result<Secret<Vec<u8>>, NotOpened> {
    if wrapped.len() > WRAP_LENGTH_MAX {
        return Err(NotOpened::Damaged);
    }
    let opened = age::Decryptor::new_buffered(wrapped).and_then(|decryptor| {
        let identities = identities.iter().map(|identity| &identity.0 as &dyn age::Identity);
        let mut reader = decryptor.decrypt(identities)?;
        let mut secret = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut secret)?;
        Ok(secret)
    });
    match opened {
        Ok(secret) => Ok(Secret::new(secret)),
        Err(DecryptError::NoMatchingKeys) => Err(NotOpened::WrongKey),
        Err(_) => Err(NotOpened::Damaged),
    }
}

/// Why an age file did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// None of the identities is a recipient (or the recipients' lines were changed).
    WrongKey,
    /// It is not an age file, or it was changed.
    Damaged,
}

/// Whether the point that a recipient's text encodes is of low order: a shared secret with it is
/// zero, whoever computes it. No key generator makes such a one, and age panics when it wraps to it.
fn is_weak(text: &str) -> bool {
    let mine = PrivateKey::from_private_key(&X25519, &[1; 32]).expect("any 32 bytes are a key");
    let theirs = UnparsedPublicKey::new(&X25519, bech32_bytes(text));
    agree(&mine, theirs, (), |_| Ok(())).is_err()
}

/// The bytes in a Bech32 text whose checksum is known to be right.
fn bech32_bytes(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const CHECKSUM_LENGTH: usize = 6;
    let data = text.rsplit_once('1').map_or("", |(_, data)| data).to_ascii_lowercase();
    let digits = data.len().saturating_sub(CHECKSUM_LENGTH);
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0_u32);
    for letter in data.bytes().take(digits) {
        let digit = ALPHABET.iter().position(|known| *known == letter).unwrap_or(0);
        bits = bits << 5 | u32::try_from(digit).unwrap_or(0);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count).unwrap_or(0));
            bits &= (1 << count) - 1;
        }
    }
    bytes
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(****)")
    }
}

impl FromStr for Recipient {
    type Err = ParseAgeKeyError;

    fn from_str(text: &str) -> Result<Self, ParseAgeKeyError> {
        let wrong =
            |reason| ParseAgeKeyError { expected: "an age X25519 recipient (age1…)", reason };
        let recipient = text.parse().map_err(wrong)?;
        if is_weak(text) {
            return Err(wrong("everybody could open what is wrapped to it"));
        }
        Ok(Self(recipient))
    }
}

impl FromStr for Identity {
    type Err = ParseAgeKeyError;

    fn from_str(text: &str) -> Result<Self, ParseAgeKeyError> {
        let expected = "an age X25519 identity (AGE-SECRET-KEY-1…)";
        text.parse().map(Self).map_err(|reason| ParseAgeKeyError { expected, reason })
    }
}

impl serde::Serialize for Recipient {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Recipient {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

mod base64_text {
    use super::{BASE64, Engine};

    pub(super) fn serialize<S: serde::Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        BASE64.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wrong_key_is_told_from_a_damaged_wrap() {
        let (mine, other) = (Identity::generate(), Identity::generate());
        let wrapped = Wrapped::new(&[7; 32], vec![mine.recipient()]);
        assert_eq!(wrapped.open(&mine, "it").unwrap().expose(), &[7; 32]);
        assert!(matches!(wrapped.open(&other, "it"), Err(KeyError::WrongKey { .. })));
        for at in 0..wrapped.age.len() {
            let mut damaged = wrapped.clone();
            damaged.age[at] ^= 0x10;
            let outcome = damaged.open(&mine, "it");
            assert!(matches!(outcome, Err(KeyError::Damaged { .. })), "byte {at}");
        }
    }

    #[test]
    fn a_text_is_read_back_as_it_was_written_and_secrets_are_not_printed() {
        let identity = Identity::generate();
        let again: Identity = identity.to_text().expose().parse().unwrap();
        assert_eq!(again.recipient(), identity.recipient());
        assert_eq!(identity.recipient().to_string().parse(), Ok(identity.recipient()));
        assert_eq!(format!("{identity:?}"), "Identity(****)");
    }

    /// The text of a recipient with these bytes.
    fn bech32(bytes: &[u8; 32]) -> String {
        const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
        let bits: Vec<u8> =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
        let digit =
            |group: &[u8]| group.iter().fold(0, |digit, bit| digit << 1 | bit) << (5 - group.len());
        let data: Vec<u8> = bits.chunks(5).map(digit).collect();
        let polymod = |values: &[u8]| {
            values.iter().fold(1_u32, |sum, value| {
                let generator = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
                let next = (sum & 0x01ff_ffff) << 5 ^ u32::from(*value);
                (0..5)
                    .filter(|bit| sum >> 25 >> bit & 1 == 1)
                    .fold(next, |n, bit| n ^ generator[bit])
            })
        };
        let prefix = [3, 3, 3, 0, 1, 7, 5];
        let sum = polymod(&[&prefix[..], &data, &[0; 6]].concat()) ^ 1;
        let checksum = (0..6).map(|index| u8::try_from(sum >> (5 * (5 - index)) & 31).unwrap());
        let digits = data.iter().copied().chain(checksum);
        format!(
            "age1{}",
            digits.map(|digit| char::from(ALPHABET[usize::from(digit)])).collect::<String>()
        )
    }

    #[test]
    fn a_recipient_that_everybody_could_open_is_refused() {
        let good = Identity::generate().recipient().to_string();
        let bytes = <[u8; 32]>::try_from(bech32_bytes(&good)).unwrap();
        assert_eq!(bech32(&bytes), good);
        let mut one = [0; 32];
        one[0] = 1;
        let order_8: [u8; 32] =
            hex::decode("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
                .unwrap()
                .try_into()
                .unwrap();
        for weak in [[0; 32], one, order_8] {
            let error = bech32(&weak).parse::<Recipient>().unwrap_err();
            assert_eq!(error.reason, "everybody could open what is wrapped to it");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            with_magic: bool,
        ) {
            let mut wrapped = if with_magic { b"age-encryption.org/v1\n-> ".to_vec() } else { vec![] };
            wrapped.extend_from_slice(&bytes);
            prop_assert!(decrypt(&wrapped, &[Identity::generate()]).is_err());
        }
    }
}
