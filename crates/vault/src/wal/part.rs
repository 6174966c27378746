//! Live parts: bytes of a segment on their way, sealed under their session's key.
//!
//! A part has no signature: only who holds the session's key can make one, and that key is bound to
//! its signer by the session's `open` entry. The name says which bytes of which segment it holds and
//! is part of the key, so a part that was renamed does not open.

use soter_world::Random;

use super::error::Fault;
use crate::crypto::{ObjectKey, Place, Purpose, SymmetricKey};
use crate::frame::{Compression, FrameReader, FrameType, FrameWriter, RAW_LENGTH_MAX};
use crate::header::{HEADER_LENGTH, Header, ObjectClass};
use crate::ids::Salt;
use crate::names::{LivePart, Name};

/// A part's object. Who tries again to put it sends the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPart {
    /// Which bytes.
    pub part: LivePart,
    /// The object's name.
    pub name: String,
    /// The object's bytes.
    pub bytes: Vec<u8>,
}

/// Seals parts of one session. Keep one for each thread.
pub struct PartSealer<'a> {
    key: SymmetricKey,
    random: &'a dyn Random,
    frames: FrameWriter,
}

impl<'a> PartSealer<'a> {
    /// A sealer with the session's key.
    pub fn new(key: SymmetricKey, random: &'a dyn Random, compression: Compression) -> Self {
        Self { key, random, frames: FrameWriter::for_wal(compression) }
    }

    /// Seals the bytes of a part.
    ///
    /// # Panics
    /// When `bytes` are not `part.to − part.from` bytes long, or none.
    pub fn seal(&mut self, part: LivePart, bytes: &[u8]) -> SealedPart {
        assert_eq!(bytes.len(), length_of(part).unwrap_or(0), "a part holds what its name says");
        assert!(!bytes.is_empty(), "a part holds something");
        let header = header_of(part, Salt::random(self.random));
        let name = Name::Live(part).to_string();
        let key = object_key(&self.key, part, &name, header.salt);
        let mut object = header.to_bytes().to_vec();
        for chunk in bytes.chunks(RAW_LENGTH_MAX) {
            self.frames.append_padded(&mut object, &key, FrameType::Wal, chunk);
        }
        SealedPart { part, name, bytes: object }
    }
}

/// Opens a part.
///
/// # Errors
/// See [`Fault`].
pub fn open_part(part: LivePart, key: &SymmetricKey, object: &[u8]) -> Result<Vec<u8>, Fault> {
    let header = Header::parse(object)?;
    if header != header_of(part, header.salt) {
        return Err(Fault::Elsewhere);
    }
    let length = length_of(part).ok_or(Fault::Elsewhere)?;
    let key = object_key(key, part, &Name::Live(part).to_string(), header.salt);
    let (mut frames, mut raw, mut bytes) = (FrameReader::new(), Vec::new(), Vec::new());
    let mut offset = HEADER_LENGTH;
    while offset < object.len() {
        let (kind, frame) = frames.open(&key, offset as u64, &object[offset..], &mut raw)?;
        bytes.extend_from_slice(&raw);
        if kind != FrameType::Wal || bytes.len() > length {
            return Err(Fault::Content);
        }
        offset += frame;
    }
    if bytes.len() == length {
        Ok(bytes)
    } else {
        // Frames open alone, so an object that lost its last ones shows only here.
        Err(Fault::Length { found: bytes.len() as u64, expected: length as u64 })
    }
}

fn length_of(part: LivePart) -> Option<usize> {
    part.to.checked_sub(part.from).map(|length| length as usize)
}

fn header_of(part: LivePart, salt: Salt) -> Header {
    Header {
        class: ObjectClass::LivePart,
        store: part.store,
        session: part.session,
        number: part.segment,
        salt,
        flags: 0,
    }
}

fn object_key(key: &SymmetricKey, part: LivePart, name: &str, salt: Salt) -> ObjectKey {
    let place = Place { store: part.store, session: part.session, name };
    key.object_key(Purpose::Content, place, salt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soter_world::sim::SeededRandom;

    use super::*;
    use crate::ids::{IncarnationId, SessionId, StoreId};

    fn key() -> SymmetricKey {
        SymmetricKey::from_bytes([6; 32])
    }

    fn part(from: u32, to: u32) -> LivePart {
        LivePart {
            store: StoreId([1; 8]),
            incarnation: IncarnationId([2; 8]),
            timeline: 1,
            segment: 9,
            from,
            to,
            session: SessionId([3; 8]),
        }
    }

    fn seal(part: LivePart, bytes: &[u8], seed: u64) -> SealedPart {
        let random = SeededRandom::new(seed);
        PartSealer::new(key(), &random, Compression::Zstd(1)).seal(part, bytes)
    }

    #[test]
    fn a_part_comes_back() {
        for (seed, length) in [1u32, 5000, 1 << 20, (2 << 20) + 3].into_iter().enumerate() {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251).to_le_bytes()[0]).collect();
            let part = part(7, 7 + length);
            let sealed = seal(part, &bytes, seed as u64);
            assert_eq!(open_part(part, &key(), &sealed.bytes), Ok(bytes));
        }
    }

    #[test]
    fn small_parts_have_one_size() {
        let one = seal(part(0, 1), b"a", 10);
        let many = seal(part(0, 3000), &[7; 3000], 11);
        assert_eq!(one.bytes.len(), many.bytes.len());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let part = part(0, 40);
        let sealed = seal(part, &[9; 40], 12);
        for bit in 0..sealed.bytes.len() * 8 {
            let mut damaged = sealed.bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open_part(part, &key(), &damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_part_is_noticed() {
        let part = part(0, (1 << 20) + 5);
        let sealed = seal(part, &vec![9; (1 << 20) + 5], 13);
        for length in (0..sealed.bytes.len()).step_by(61) {
            assert!(open_part(part, &key(), &sealed.bytes[..length]).is_err(), "length {length}");
        }
        let first_frame = sealed.bytes.len() - (4096 + 28);
        let outcome = open_part(part, &key(), &sealed.bytes[..first_frame]);
        let expected = Fault::Length { found: 1 << 20, expected: (1 << 20) + 5 };
        assert_eq!(outcome, Err(expected));
    }

    #[test]
    fn a_part_that_was_renamed_does_not_open() {
        let sealed = seal(part(0, 40), &[9; 40], 14);
        let original = part(0, 40);
        for other in [
            part(40, 80),
            LivePart { timeline: 2, ..original },
            LivePart { segment: 10, ..original },
            LivePart { incarnation: IncarnationId([4; 8]), ..original },
            LivePart { session: SessionId([4; 8]), ..original },
            LivePart { store: StoreId([4; 8]), ..original },
        ] {
            assert!(open_part(other, &key(), &sealed.bytes).is_err(), "{other:?}");
        }
        let other_session = SymmetricKey::from_bytes([7; 32]);
        assert!(open_part(original, &other_session, &sealed.bytes).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            headed: bool,
            from: u32,
            to: u32,
        ) {
            let part = part(from, to);
            let header = header_of(part, Salt([5; 16])).to_bytes();
            let object = if headed { [&header[..], &bytes].concat() } else { bytes };
            let outcome = open_part(part, &key(), &object);
            prop_assert!(outcome.is_err() || (outcome == Ok(Vec::new()) && from == to));
        }
    }
}
