//! Keys that seal objects: derivation, commitment, AES-256-GCM.
//!
//! The rule kept here: one (key, nonce) never seals two different plaintexts. Each object has a key
//! of its own, derived from a long-lived key, the object's place and the random salt in its header;
//! within the object a frame's nonce is its byte offset.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use soter_world::Random;

use crate::ids::{ContentId, Salt, SessionId, StoreId};

/// Bytes that authenticate a sealed frame.
pub const TAG_LENGTH: usize = 16;

/// A 256-bit key from which keys of objects are derived: `K_session`, `K_meta` or `K_wal`.
#[derive(Clone, PartialEq, Eq)]
pub struct SymmetricKey([u8; 32]);

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey(****)")
    }
}

/// What the derived key is for. Each has its own derivation context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Frames of a data pack or a streamed part, under `K_session`.
    Content,
    /// Maps, directories and the sealed bodies of log entries, under `K_meta`.
    Metadata,
    /// Frames of a WAL segment, under its own `K_wal`.
    Wal,
    /// Frames of a published plan or of a run's journal, under the key of that plan or run.
    Document,
}

impl Purpose {
    fn context(self) -> &'static str {
        match self {
            Self::Content => "soter vault v1 content",
            Self::Metadata => "soter vault v1 metadata",
            Self::Wal => "soter vault v1 wal",
            Self::Document => "soter vault v1 document",
        }
    }
}

/// Where an object lies: part of its key's derivation, so that no object can stand in for another.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The store.
    pub store: StoreId,
    /// The session that wrote it; for WAL objects the incarnation's bytes.
    pub session: SessionId,
    /// The object's full name, without a repair suffix.
    pub name: &'a str,
}

impl SymmetricKey {
    /// A new random key.
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        Self(bytes)
    }

    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be wrapped for a recipient.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A public value that belongs to this key and no other. GCM alone does not bind a ciphertext
    /// to one key; this does, and tells a wrong key from damaged bytes.
    pub fn commitment(&self) -> [u8; 32] {
        blake3::derive_key("soter vault v1 key commitment", &self.0)
    }

    /// The key that names contents of the store: `K_id`.
    pub fn content_id_key(&self) -> ContentIdKey {
        ContentIdKey(blake3::derive_key("soter vault v1 content id", &self.0))
    }

    /// The key of one object:
    /// `BLAKE3_keyed(derive_key(context, K), store ‖ session ‖ u32 length of name ‖ name ‖ salt)`.
    pub fn object_key(&self, purpose: Purpose, place: Place<'_>, salt: Salt) -> ObjectKey {
        ObjectKey::new(self.object_key_bytes(purpose, place, salt))
    }

    pub(crate) fn object_key_bytes(
        &self,
        purpose: Purpose,
        place: Place<'_>,
        salt: Salt,
    ) -> [u8; 32] {
        let derived = blake3::derive_key(purpose.context(), &self.0);
        let mut hasher = blake3::Hasher::new_keyed(&derived);
        let length = u32::try_from(place.name.len()).expect("names are short");
        hasher.update(&place.store.0).update(&place.session.0);
        hasher.update(&length.to_le_bytes()).update(place.name.as_bytes());
        hasher.update(&salt.0);
        *hasher.finalize().as_bytes()
    }
}

/// The key under which contents are named; agents and operators have it.
#[derive(Clone)]
pub struct ContentIdKey([u8; 32]);

impl fmt::Debug for ContentIdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentIdKey(****)")
    }
}

impl ContentIdKey {
    /// The id of these bytes: the first 16 bytes of their keyed BLAKE3 hash.
    pub fn id(&self, bytes: &[u8]) -> ContentId {
        let hash = blake3::keyed_hash(&self.0, bytes);
        let mut id = [0; ContentId::LENGTH];
        id.copy_from_slice(&hash.as_bytes()[..ContentId::LENGTH]);
        ContentId(id)
    }

    /// A hasher for contents that come in pieces; finish it with [`ContentIdKey::finish`].
    pub fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }

    /// The id of what went through `hasher`.
    pub fn finish(hasher: &blake3::Hasher) -> ContentId {
        let mut id = [0; ContentId::LENGTH];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..ContentId::LENGTH]);
        ContentId(id)
    }
}

/// The bytes were not sealed under this key at this offset, or were changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("authentication failed: the bytes were changed, or belong elsewhere")]
pub struct NotAuthentic;

/// The key of one object.
pub struct ObjectKey {
    key: LessSafeKey,
    #[cfg(test)]
    fingerprint: [u8; 32],
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectKey(****)")
    }
}

impl ObjectKey {
    fn new(bytes: [u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &bytes).expect("the key has 32 bytes");
        Self {
            key: LessSafeKey::new(key),
            #[cfg(test)]
            fingerprint: *blake3::hash(&bytes).as_bytes(),
        }
    }

    /// Encrypts `bytes` in place and returns the tag. `offset` is the frame's place in its object.
    pub fn seal(&self, offset: u64, header: &[u8], bytes: &mut [u8]) -> [u8; TAG_LENGTH] {
        #[cfg(test)]
        audit::note(self.fingerprint, offset, header, bytes);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(offset), Aad::from(header), bytes)
            .expect("a frame is far below the limit of GCM");
        tag.as_ref().try_into().expect("the tag of AES-GCM has 16 bytes")
    }

    /// Decrypts `sealed` (ciphertext and tag) in place and returns the plaintext.
    ///
    /// # Errors
    /// [`NotAuthentic`]; nothing of the plaintext may then be used.
    pub fn open<'a>(
        &self,
        offset: u64,
        header: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], NotAuthentic> {
        self.key.open_in_place(nonce(offset), Aad::from(header), sealed).map_err(|_| NotAuthentic)
    }
}

fn nonce(offset: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&offset.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Remembers every (key, nonce) that sealed something, so that tests find a second use with other
/// bytes.
#[cfg(test)]
pub(crate) mod audit {
    use std::collections::HashMap;
    use std::sync::Mutex;

    type Used = HashMap<([u8; 32], u64), [u8; 32]>;

    static USED: Mutex<Option<Used>> = Mutex::new(None);

    /// What a seal did: panics in the test that breaks the rule.
    pub(super) fn note(key: [u8; 32], offset: u64, header: &[u8], bytes: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        let hash = *hasher.update(header).update(bytes).finalize().as_bytes();
        let mut used = USED.lock().unwrap();
        let before = used.get_or_insert_with(HashMap::new).insert((key, offset), hash);
        drop(used);
        assert!(
            before.is_none_or(|before| before == hash),
            "one key and nonce sealed two different plaintexts (offset {offset})"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place<'_> {
        Place { store: StoreId([1; 8]), session: SessionId([2; 8]), name }
    }

    fn sealed(key: &ObjectKey, offset: u64) -> Vec<u8> {
        let mut bytes = b"forty-two pages of a heap".to_vec();
        let tag = key.seal(offset, b"header", &mut bytes);
        bytes.extend_from_slice(&tag);
        bytes
    }

    #[test]
    fn what_was_sealed_opens_only_in_its_place() {
        let key = SymmetricKey::from_bytes([7; 32]);
        let object = |name, salt| key.object_key(Purpose::Content, place(name), Salt([salt; 16]));
        let bytes = sealed(&object("a", 1), 64);
        let open = |key: &ObjectKey, offset, header: &[u8]| {
            key.open(offset, header, &mut bytes.clone()).map(|plain| plain.to_vec())
        };
        assert_eq!(open(&object("a", 1), 64, b"header").unwrap(), b"forty-two pages of a heap");
        assert_eq!(open(&object("a", 1), 65, b"header"), Err(NotAuthentic), "another offset");
        assert_eq!(open(&object("a", 2), 64, b"header"), Err(NotAuthentic), "another salt");
        assert_eq!(open(&object("b", 1), 64, b"header"), Err(NotAuthentic), "another name");
        assert_eq!(open(&object("a", 1), 64, b"Header"), Err(NotAuthentic), "another header");
        let other = key.object_key(Purpose::Wal, place("a"), Salt([1; 16]));
        assert_eq!(open(&other, 64, b"header"), Err(NotAuthentic), "another purpose");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let key = SymmetricKey::from_bytes([7; 32]);
        let key = key.object_key(Purpose::Content, place("a"), Salt([1; 16]));
        let bytes = sealed(&key, 64);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(64, b"header", &mut damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_nonce_used_twice_is_caught() {
        let key = SymmetricKey::from_bytes([8; 32]);
        let key = key.object_key(Purpose::Content, place("twice"), Salt([1; 16]));
        key.seal(64, b"header", &mut b"one".to_vec());
        let twice = std::panic::catch_unwind(|| key.seal(64, b"header", &mut b"two".to_vec()));
        assert!(twice.is_err());
    }
}
