//! Packs: many frames in one object, so that a store of a terabyte is some 60,000 objects.
//!
//! `header · frames · directory frame · trailer`. The directory names the contents of the pack's
//! blocks and is sealed under the store's metadata key: a later session reads it to use again what
//! a crashed one left. The trailer tells where the directory is and carries the hash of everything
//! before it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::crypto::{Place, Purpose, SymmetricKey};
use crate::frame::{Compression, FrameError, FrameRange, FrameReader, FrameType, FrameWriter};
use crate::header::{HEADER_LENGTH, Header, HeaderError, ObjectClass};
use crate::ids::{ContentId, Digest, Salt, SessionId, StoreId};
use crate::names::{Name, PackClass};

/// A writer closes a pack at this many bytes: with two workers, two open packs and two on their
/// way stay far below the memory budget, and a put takes a fraction of a second.
pub const PACK_LENGTH_TARGET: usize = 16 << 20;

/// No object is longer than this.
pub const OBJECT_LENGTH_MAX: usize = 64 << 20;

/// Length of the trailer: directory offset u64, directory length u32, magic, hash.
pub const TRAILER_LENGTH: usize = 48;

const TRAILER_MAGIC: [u8; 4] = *b"SOTE";

/// Longest directory frame's content is 1 MiB, of 23 bytes a row.
const DIRECTORY_ROW_LENGTH: usize = 23;

/// Which pack of which session.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct PackId {
    /// The session that wrote it.
    pub session: SessionId,
    /// Its number within the session and class.
    pub number: u32,
}

/// No pack has this number or a higher one: names have six hex digits.
pub const PACK_NUMBER_LIMIT: u32 = 1 << 24;

/// The next pack numbers of a session. There is one of these for each session, so that no two packs
/// of it ever have the same name. A number is given out once; a pack that is given up leaves a gap.
#[derive(Debug, Default)]
pub struct PackNumbers {
    data: AtomicU32,
    map: AtomicU32,
}

impl PackNumbers {
    /// The next number of this class. `None` after 16 million packs, which is 256 TiB in one day.
    pub fn next(&self, class: PackClass) -> Option<u32> {
        let next = match class {
            PackClass::Data => &self.data,
            PackClass::Map => &self.map,
        };
        let more = |number: u32| (number < PACK_NUMBER_LIMIT).then(|| number + 1);
        next.try_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()
    }
}

/// A pack's row in the signed table of the backup that first names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRow {
    /// Salt of the pack's header.
    pub salt: Salt,
    /// Length of the object in bytes.
    pub length: u32,
    /// BLAKE3 of the whole object.
    pub hash: Digest,
}

/// The keys a pack is sealed and read with.
#[derive(Debug, Clone)]
pub struct PackKeys {
    /// `K_session` of the session that wrote the pack; for map packs, `K_meta`.
    pub content: SymmetricKey,
    /// `K_meta` of the store.
    pub metadata: SymmetricKey,
}

/// A pack that is complete.
#[derive(Debug)]
pub struct SealedPack {
    /// Its number.
    pub number: u32,
    /// The object's name.
    pub name: String,
    /// The object's bytes.
    pub bytes: Vec<u8>,
    /// Its row.
    pub row: PackRow,
}

/// Why a pack cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The header is damaged or of another version.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The header is whole but belongs to another object.
    #[error("the object's header belongs to another pack")]
    Elsewhere,
    /// The trailer is damaged.
    #[error("the pack's trailer is damaged")]
    Trailer,
    /// A frame is damaged.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Where a pack belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackPlace {
    /// Contents or maps.
    pub class: PackClass,
    /// The store.
    pub store: StoreId,
    /// The pack.
    pub id: PackId,
}

impl PackPlace {
    /// The object's name.
    pub fn name(self) -> String {
        Name::Pack(self.class, self.store, self.id.session, self.id.number).to_string()
    }

    fn object_class(self) -> ObjectClass {
        match self.class {
            PackClass::Data => ObjectClass::DataPack,
            PackClass::Map => ObjectClass::MapPack,
        }
    }

    /// The key of the pack's frames.
    pub fn content_key(self, keys: &PackKeys, salt: Salt) -> crate::crypto::ObjectKey {
        let purpose = match self.class {
            PackClass::Data => Purpose::Content,
            PackClass::Map => Purpose::Metadata,
        };
        self.key(&keys.content, purpose, salt, &self.name())
    }

    /// The key of the pack's directory: derived under a name of its own, since in a map pack both
    /// come from `K_meta`.
    fn directory_key(self, keys: &PackKeys, salt: Salt) -> crate::crypto::ObjectKey {
        let name = format!("{}#directory", self.name());
        self.key(&keys.metadata, Purpose::Metadata, salt, &name)
    }

    fn key(
        self,
        key: &SymmetricKey,
        purpose: Purpose,
        salt: Salt,
        name: &str,
    ) -> crate::crypto::ObjectKey {
        let place = Place { store: self.store, session: self.id.session, name };
        key.object_key(purpose, place, salt)
    }
}

/// Fills one pack.
pub struct PackWriter {
    place: PackPlace,
    salt: Salt,
    keys: PackKeys,
    key: crate::crypto::ObjectKey,
    bytes: Vec<u8>,
    directory: Vec<(ContentId, FrameRange)>,
}

impl PackWriter {
    /// An empty pack. `salt` must be fresh from a random source; `buffer` is reused memory.
    pub fn new(place: PackPlace, keys: PackKeys, salt: Salt, mut buffer: Vec<u8>) -> Self {
        let header = Header {
            class: place.object_class(),
            store: place.store,
            session: place.id.session,
            number: u64::from(place.id.number),
            salt,
            flags: 0,
        };
        buffer.clear();
        buffer.extend_from_slice(&header.to_bytes());
        let key = place.content_key(&keys, salt);
        Self { place, salt, keys, key, bytes: buffer, directory: Vec::new() }
    }

    /// Which pack this is.
    pub fn id(&self) -> PackId {
        self.place.id
    }

    /// Bytes so far.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the pack has reached its target length.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= PACK_LENGTH_TARGET
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_LENGTH
    }

    /// Adds a frame. With `content`, the directory names it so that it can be used again.
    pub fn add(
        &mut self,
        frames: &mut FrameWriter,
        kind: FrameType,
        raw: &[u8],
        content: Option<ContentId>,
    ) -> FrameRange {
        let range = frames.append(&mut self.bytes, &self.key, kind, raw);
        if let Some(content) = content {
            self.directory.push((content, range));
        }
        range
    }

    /// Closes the pack.
    pub fn finish(mut self, frames: &mut FrameWriter) -> SealedPack {
        self.directory.sort_unstable();
        let rows_max = crate::frame::RAW_LENGTH_MAX / DIRECTORY_ROW_LENGTH;
        self.directory.truncate(rows_max);
        let mut raw = Vec::with_capacity(self.directory.len() * DIRECTORY_ROW_LENGTH);
        for (content, range) in &self.directory {
            raw.extend_from_slice(&content.0);
            raw.extend_from_slice(&range.offset.to_le_bytes());
            raw.extend_from_slice(&range.length.to_le_bytes()[..3]);
        }
        let key = self.place.directory_key(&self.keys, self.salt);
        let range = frames.append(&mut self.bytes, &key, FrameType::Directory, &raw);
        let mut hasher = blake3::Hasher::new();
        let mut trailer = [0; TRAILER_LENGTH];
        trailer[0..8].copy_from_slice(&u64::from(range.offset).to_le_bytes());
        trailer[8..12].copy_from_slice(&range.length.to_le_bytes());
        trailer[12..16].copy_from_slice(&TRAILER_MAGIC);
        self.bytes.extend_from_slice(&trailer[..16]);
        hasher.update(&self.bytes);
        let before = *hasher.finalize().as_bytes();
        hasher.update(&before);
        self.bytes.extend_from_slice(&before);
        let hash = Digest(*hasher.finalize().as_bytes());
        let length = u32::try_from(self.bytes.len()).expect("objects are at most 64 MiB");
        SealedPack {
            number: self.place.id.number,
            name: self.place.name(),
            bytes: self.bytes,
            row: PackRow { salt: self.salt, length, hash },
        }
    }
}

/// Reads the header of a pack's bytes and checks that it belongs to `place`.
///
/// # Errors
/// See [`PackError`].
pub fn pack_header(place: PackPlace, bytes: &[u8]) -> Result<Header, PackError> {
    let header = Header::parse(bytes)?;
    let belongs = header.class == place.object_class()
        && header.store == place.store
        && header.session == place.id.session
        && header.number == u64::from(place.id.number);
    if belongs { Ok(header) } else { Err(PackError::Elsewhere) }
}

/// Reads a whole pack's directory: what a crashed session left that can be used again.
///
/// # Errors
/// See [`PackError`]; a wrong hash of the object is [`PackError::Trailer`].
pub fn read_directory(
    place: PackPlace,
    keys: &PackKeys,
    bytes: &[u8],
) -> Result<Vec<(ContentId, FrameRange)>, PackError> {
    let header = pack_header(place, bytes)?;
    let (body, hash) = bytes.split_last_chunk::<32>().ok_or(PackError::Trailer)?;
    let (_, trailer) = body.split_last_chunk::<16>().ok_or(PackError::Trailer)?;
    if trailer[12..16] != TRAILER_MAGIC || Digest::of(body).0 != *hash {
        return Err(PackError::Trailer);
    }
    let (offset, length) = trailer_range(trailer);
    let end = offset.checked_add(u64::from(length)).ok_or(PackError::Trailer)?;
    let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
    let frame = range.and_then(|(from, to)| body.get(from..to)).ok_or(PackError::Trailer)?;
    let key = place.directory_key(keys, header.salt);
    let mut raw = Vec::new();
    FrameReader::new().open_as(FrameType::Directory, &key, offset, frame, &mut raw)?;
    Ok(raw.chunks_exact(DIRECTORY_ROW_LENGTH).map(directory_row).collect())
}

fn trailer_range(trailer: &[u8; 16]) -> (u64, u32) {
    let [o0, o1, o2, o3, o4, o5, o6, o7, l0, l1, l2, l3, ..] = *trailer;
    let offset = u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
    (offset, u32::from_le_bytes([l0, l1, l2, l3]))
}

fn directory_row(row: &[u8]) -> (ContentId, FrameRange) {
    let mut content = [0; ContentId::LENGTH];
    content.copy_from_slice(&row[..16]);
    let offset = u32::from_le_bytes([row[16], row[17], row[18], row[19]]);
    let length = u32::from_le_bytes([row[20], row[21], row[22], 0]);
    (ContentId(content), FrameRange { offset, length })
}

/// The compression of maps and directories, whatever the contents' is: they are small and their
/// columns compress well.
pub const METADATA_COMPRESSION: Compression = Compression::Zstd(3);

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> PackPlace {
        let id = PackId { session: SessionId([2; 8]), number: 7 };
        PackPlace { class: PackClass::Data, store: StoreId([1; 8]), id }
    }

    fn keys() -> PackKeys {
        PackKeys {
            content: SymmetricKey::from_bytes([3; 32]),
            metadata: SymmetricKey::from_bytes([4; 32]),
        }
    }

    fn pack() -> (SealedPack, Vec<(ContentId, FrameRange)>) {
        let mut frames = FrameWriter::new(Compression::Zstd(3));
        let mut pack = PackWriter::new(place(), keys(), Salt([5; 16]), Vec::new());
        let mut rows = Vec::new();
        for byte in [9, 8, 7u8] {
            let content = ContentId([byte; 16]);
            let range = pack.add(&mut frames, FrameType::Block, &[byte; 5000], Some(content));
            rows.push((content, range));
        }
        rows.sort_unstable();
        (pack.finish(&mut frames), rows)
    }

    #[test]
    fn a_pack_tells_what_it_holds() {
        let (sealed, rows) = pack();
        assert_eq!(read_directory(place(), &keys(), &sealed.bytes), Ok(rows.clone()));
        assert_eq!(sealed.row.hash, Digest::of(&sealed.bytes));
        assert_eq!(sealed.row.length as usize, sealed.bytes.len());
        let header = pack_header(place(), &sealed.bytes).unwrap();
        let key = place().content_key(&keys(), header.salt);
        let (_, range) = rows[0];
        let at = range.offset as usize;
        let mut raw = Vec::new();
        FrameReader::new()
            .open(&key, u64::from(range.offset), &sealed.bytes[at..], &mut raw)
            .unwrap();
        assert_eq!(raw, [7; 5000]);
    }

    #[test]
    fn numbers_end_before_they_come_round() {
        let numbers =
            PackNumbers { data: AtomicU32::new(PACK_NUMBER_LIMIT - 1), ..Default::default() };
        let given = [0, 1, 2].map(|_| numbers.next(PackClass::Data));
        assert_eq!(given, [Some(PACK_NUMBER_LIMIT - 1), None, None]);
        assert_eq!(numbers.next(PackClass::Map), Some(0));
    }

    #[test]
    fn a_pack_in_another_place_is_refused() {
        let (sealed, _) = pack();
        let mut elsewhere = place();
        elsewhere.id.number = 8;
        let outcome = read_directory(elsewhere, &keys(), &sealed.bytes);
        assert_eq!(outcome, Err(PackError::Elsewhere));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let (sealed, _) = pack();
        for at in 0..sealed.bytes.len() {
            let mut damaged = sealed.bytes.clone();
            damaged[at] ^= 0x10;
            assert!(read_directory(place(), &keys(), &damaged).is_err(), "byte {at}");
        }
    }
}
