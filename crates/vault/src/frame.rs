//! Frames: the sealed pieces an object is made of. Any one can be read and opened alone.
//!
//! `codec u8 · type u8 · 0 u16 · raw length u32 · sealed length u32 · ciphertext · tag 16`, numbers
//! little endian. The sealed length counts ciphertext and tag. The 12 bytes before the ciphertext
//! are authenticated with it.

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::crypto::{NotAuthentic, ObjectKey, TAG_LENGTH};

/// Bytes before the ciphertext.
pub const FRAME_HEADER_LENGTH: usize = 12;

/// Largest content of a frame in bytes, refused before anything is allocated.
pub const RAW_LENGTH_MAX: usize = 1 << 20;

/// A padded frame's plaintext is a multiple of this many bytes.
pub const PADDING: usize = 4096;

/// In the type byte: the plaintext ends in zero bytes and its true length (u32).
const PADDED: u8 = 0x80;

const CODEC_RAW: u8 = 0;
const CODEC_ZSTD: u8 = 1;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    /// One whole block of a file.
    Block = 1,
    /// Changed pages of neighbouring blocks.
    Pages = 2,
    /// Several small files.
    Eager = 3,
    /// Where the blocks of 128 MiB of a file are.
    Leaf = 4,
    /// The content ids of those blocks.
    LeafHashes = 5,
    /// A part of the table of files.
    Shard = 6,
    /// A pack's directory.
    Directory = 7,
    /// WAL.
    Wal = 8,
    /// What is known about the WAL in an object.
    WalFacts = 9,
    /// The body of a log entry, a checkpoint or an index.
    Body = 10,
    /// A published plan, or records of a run.
    Document = 11,
}

impl FrameType {
    fn from_byte(byte: u8) -> Option<Self> {
        const ALL: [FrameType; 11] = [
            FrameType::Block,
            FrameType::Pages,
            FrameType::Eager,
            FrameType::Leaf,
            FrameType::LeafHashes,
            FrameType::Shard,
            FrameType::Directory,
            FrameType::Wal,
            FrameType::WalFacts,
            FrameType::Body,
            FrameType::Document,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// How content is compressed before it is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// zstd at this level, 1 to 19.
    Zstd(i32),
}

/// Why a frame cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end before the frame does.
    #[error("the object ends within a frame")]
    Short,
    /// A length or a code no writer of this version makes.
    #[error("the frame's header is damaged or of an unknown kind")]
    Header,
    /// Wrong key, wrong place, or changed bytes.
    #[error(transparent)]
    NotAuthentic(#[from] NotAuthentic),
    /// It opened, but does not unpack to what its header says: a writer's mistake.
    #[error("the frame's content does not unpack: {0}")]
    Content(&'static str),
}

/// Where a frame lies in its object.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct FrameRange {
    /// Offset of the frame's header in bytes.
    pub offset: u32,
    /// Length of the whole frame, header and tag with it, in bytes.
    pub length: u32,
}

/// Content that is compressed but not sealed yet: threads compress at once what must then be sealed
/// in order, since a frame's nonce is its offset.
#[derive(Debug)]
pub struct Packed {
    codec: u8,
    raw_length: usize,
    content: Vec<u8>,
}

/// Makes frames. Holds the compressor's memory, so keep one for each thread.
pub struct FrameWriter {
    compressor: Option<Compressor<'static>>,
    scratch: Vec<u8>,
}

impl FrameWriter {
    /// A writer that compresses so.
    ///
    /// # Panics
    /// When the level is none of zstd's.
    pub fn new(compression: Compression) -> Self {
        let compressor = match compression {
            Compression::None => None,
            Compression::Zstd(level) => {
                let mut compressor = Compressor::new(level).expect("memory for a compressor");
                for parameter in
                    [CParameter::ContentSizeFlag(false), CParameter::ChecksumFlag(false)]
                {
                    compressor.set_parameter(parameter).expect("a parameter every zstd has");
                }
                Some(compressor)
            }
        };
        Self { compressor, scratch: Vec::new() }
    }

    /// A writer for WAL. At level 3, the default, it looks for matches as zstd's faster levels do,
    /// with a table small enough for the processor's cache: of WAL, which is full-page images and
    /// short records, that makes 4 % less than zstd's own level 3, in less time. Other levels are
    /// zstd's own.
    ///
    /// # Panics
    /// When the level is none of zstd's.
    pub fn for_wal(compression: Compression) -> Self {
        let mut writer = Self::new(compression);
        if let (Compression::Zstd(3), Some(compressor)) = (compression, &mut writer.compressor) {
            for parameter in [
                CParameter::Strategy(zstd::zstd_safe::Strategy::ZSTD_fast),
                CParameter::HashLog(15),
                CParameter::MinMatch(5),
            ] {
                compressor.set_parameter(parameter).expect("a parameter every zstd has");
            }
        }
        writer
    }

    /// Appends a frame with this content to `object`, which holds the object's bytes so far.
    ///
    /// # Panics
    /// When `raw` is longer than [`RAW_LENGTH_MAX`].
    pub fn append(
        &mut self,
        object: &mut Vec<u8>,
        key: &ObjectKey,
        kind: FrameType,
        raw: &[u8],
    ) -> FrameRange {
        self.append_frame(object, key, kind as u8, raw)
    }

    /// The same, with the plaintext padded to a multiple of [`PADDING`], which blurs its size.
    ///
    /// # Panics
    /// When `raw` is longer than [`RAW_LENGTH_MAX`].
    pub fn append_padded(
        &mut self,
        object: &mut Vec<u8>,
        key: &ObjectKey,
        kind: FrameType,
        raw: &[u8],
    ) -> FrameRange {
        self.append_frame(object, key, kind as u8 | PADDED, raw)
    }

    /// Compresses content for [`Packed::append`]. `buffer` is reused memory.
    ///
    /// # Panics
    /// When `raw` is longer than [`RAW_LENGTH_MAX`].
    pub fn pack(&mut self, raw: &[u8], mut buffer: Vec<u8>) -> Packed {
        assert!(raw.len() <= RAW_LENGTH_MAX, "a frame holds at most 1 MiB");
        buffer.clear();
        let codec = self.append_content(&mut buffer, raw);
        Packed { codec, raw_length: raw.len(), content: buffer }
    }

    fn append_frame(
        &mut self,
        object: &mut Vec<u8>,
        key: &ObjectKey,
        kind: u8,
        raw: &[u8],
    ) -> FrameRange {
        assert!(raw.len() <= RAW_LENGTH_MAX, "a frame holds at most 1 MiB");
        let offset = object.len();
        object.resize(offset + FRAME_HEADER_LENGTH, 0);
        let codec = self.append_content(object, raw);
        if kind & PADDED != 0 {
            pad(object, offset + FRAME_HEADER_LENGTH);
        }
        seal(object, offset, key, [codec, kind], raw.len())
    }

    /// Appends the content, compressed if that saves more than 3 %.
    fn append_content(&mut self, object: &mut Vec<u8>, raw: &[u8]) -> u8 {
        if let Some(compressor) = &mut self.compressor {
            self.scratch.clear();
            self.scratch.reserve(zstd::zstd_safe::compress_bound(raw.len()));
            compressor
                .compress_to_buffer(raw, &mut self.scratch)
                .expect("the buffer is as large as the bound");
            if self.scratch.len() * 100 <= raw.len() * 97 {
                object.extend_from_slice(&self.scratch);
                return CODEC_ZSTD;
            }
        }
        object.extend_from_slice(raw);
        CODEC_RAW
    }
}

impl Packed {
    /// Appends the frame to `object`, which holds the object's bytes so far, and returns the memory.
    pub fn append(
        self,
        object: &mut Vec<u8>,
        key: &ObjectKey,
        kind: FrameType,
    ) -> (FrameRange, Vec<u8>) {
        let offset = object.len();
        object.resize(offset + FRAME_HEADER_LENGTH, 0);
        object.extend_from_slice(&self.content);
        (seal(object, offset, key, [self.codec, kind as u8], self.raw_length), self.content)
    }
}

/// Completes the frame at `offset`, whose plaintext is all that follows the place of its header.
fn seal(
    object: &mut Vec<u8>,
    offset: usize,
    key: &ObjectKey,
    [codec, kind]: [u8; 2],
    raw_length: usize,
) -> FrameRange {
    let sealed_length = object.len() - offset - FRAME_HEADER_LENGTH + TAG_LENGTH;
    let mut header = [0; FRAME_HEADER_LENGTH];
    header[0] = codec;
    header[1] = kind;
    header[4..8].copy_from_slice(&u32_of(raw_length).to_le_bytes());
    header[8..12].copy_from_slice(&u32_of(sealed_length).to_le_bytes());
    object[offset..offset + FRAME_HEADER_LENGTH].copy_from_slice(&header);
    let content = &mut object[offset + FRAME_HEADER_LENGTH..];
    let tag = key.seal(u64::from(u32_of(offset)), &header, content);
    object.extend_from_slice(&tag);
    FrameRange { offset: u32_of(offset), length: u32_of(object.len() - offset) }
}

fn pad(object: &mut Vec<u8>, start: usize) {
    let length = object.len() - start;
    let padded = (length + 4).next_multiple_of(PADDING);
    object.resize(start + padded - 4, 0);
    object.extend_from_slice(&u32_of(length).to_le_bytes());
}

fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("objects are at most 64 MiB")
}

/// Opens frames. Holds the decompressor's memory, so keep one for each thread.
pub struct FrameReader {
    decompressor: Decompressor<'static>,
    scratch: Vec<u8>,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameReader {
    /// A reader.
    ///
    /// # Panics
    /// When there is no memory.
    pub fn new() -> Self {
        let decompressor = Decompressor::new().expect("memory for a decompressor");
        Self { decompressor, scratch: Vec::new() }
    }

    /// Opens the frame at the start of `bytes`, which lies at `offset` of its object, into `raw`
    /// (replacing what is there). Returns what it holds and how long the frame is.
    ///
    /// # Errors
    /// See [`FrameError`]. `raw` is then empty.
    pub fn open(
        &mut self,
        key: &ObjectKey,
        offset: u64,
        bytes: &[u8],
        raw: &mut Vec<u8>,
    ) -> Result<(FrameType, usize), FrameError> {
        raw.clear();
        let frame = FrameHeader::parse(bytes)?;
        let end = FRAME_HEADER_LENGTH + frame.sealed_length;
        let sealed = bytes.get(FRAME_HEADER_LENGTH..end).ok_or(FrameError::Short)?;
        self.scratch.clear();
        self.scratch.extend_from_slice(sealed);
        let plain = key.open(offset, &bytes[..FRAME_HEADER_LENGTH], &mut self.scratch)?;
        let content = if frame.padded { unpad(plain)? } else { &*plain };
        match frame.codec {
            CODEC_RAW if content.len() == frame.raw_length => raw.extend_from_slice(content),
            CODEC_RAW => return Err(FrameError::Content("its length is another")),
            _ => {
                raw.reserve(frame.raw_length);
                let outcome = self.decompressor.decompress_to_buffer(content, raw);
                if !matches!(outcome, Ok(length) if length == frame.raw_length) {
                    raw.clear();
                    return Err(FrameError::Content(match outcome {
                        Ok(_) => "its length is another",
                        Err(_) => "zstd refuses it",
                    }));
                }
            }
        }
        Ok((frame.kind, end))
    }

    /// The same, when the frame must hold `kind` and fill `bytes`.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn open_as(
        &mut self,
        kind: FrameType,
        key: &ObjectKey,
        offset: u64,
        bytes: &[u8],
        raw: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let (found, length) = self.open(key, offset, bytes, raw)?;
        if found != kind || length != bytes.len() {
            raw.clear();
            return Err(FrameError::Header);
        }
        Ok(())
    }
}

/// Lengths of a frame, as its clear header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLengths {
    /// Of its content.
    pub raw: usize,
    /// Of the whole frame, header and tag with it.
    pub frame: usize,
}

/// How long the frame at the start of `bytes` is, so that frames can be opened by several threads.
///
/// # Errors
/// [`FrameError::Short`] when it does not end within `bytes`; [`FrameError::Header`].
pub fn measure(bytes: &[u8]) -> Result<FrameLengths, FrameError> {
    let header = FrameHeader::parse(bytes)?;
    let frame = FRAME_HEADER_LENGTH + header.sealed_length;
    if frame > bytes.len() {
        return Err(FrameError::Short);
    }
    Ok(FrameLengths { raw: header.raw_length, frame })
}

/// The 12 bytes before the ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameHeader {
    codec: u8,
    kind: FrameType,
    padded: bool,
    raw_length: usize,
    sealed_length: usize,
}

impl FrameHeader {
    fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let header: &[u8; FRAME_HEADER_LENGTH] = bytes.first_chunk().ok_or(FrameError::Short)?;
        let [codec, kind, zero_a, zero_b, r0, r1, r2, r3, s0, s1, s2, s3] = *header;
        let raw_length = u32::from_le_bytes([r0, r1, r2, r3]) as usize;
        let sealed_length = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        let padding = if kind & PADDED == 0 { 0 } else { PADDING + 4 };
        let fits = codec <= CODEC_ZSTD
            && zero_a == 0
            && zero_b == 0
            && raw_length <= RAW_LENGTH_MAX
            && sealed_length >= TAG_LENGTH
            && sealed_length <= raw_length + TAG_LENGTH + padding;
        let kind_known = FrameType::from_byte(kind & !PADDED);
        match kind_known {
            Some(kind_known) if fits => Ok(Self {
                codec,
                kind: kind_known,
                padded: kind & PADDED != 0,
                raw_length,
                sealed_length,
            }),
            _ => Err(FrameError::Header),
        }
    }
}

fn unpad(plain: &[u8]) -> Result<&[u8], FrameError> {
    let wrong = FrameError::Content("its padding is wrong");
    let Some((rest, length)) = plain.split_last_chunk::<4>() else { return Err(wrong) };
    rest.get(..u32::from_le_bytes(*length) as usize).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::{Place, Purpose, SymmetricKey};
    use crate::ids::{Salt, SessionId, StoreId};

    fn key(salt: u8) -> ObjectKey {
        let place = Place { store: StoreId([1; 8]), session: SessionId([2; 8]), name: "frames" };
        SymmetricKey::from_bytes([9; 32]).object_key(Purpose::Content, place, Salt([salt; 16]))
    }

    fn random_key() -> ObjectKey {
        let place = Place { store: StoreId([1; 8]), session: SessionId([2; 8]), name: "frames" };
        let mut salt = [0; 16];
        aws_lc_rs::rand::fill(&mut salt).unwrap();
        SymmetricKey::from_bytes([9; 32]).object_key(Purpose::Content, place, Salt(salt))
    }

    proptest! {
        #[test]
        fn contents_come_back(
            raw in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..3000),
                (any::<u8>(), 0..300_000usize).prop_map(|(byte, length)| vec![byte; length]),
            ],
            padded: bool,
            compressed: bool,
        ) {
            let compression = if compressed { Compression::Zstd(3) } else { Compression::None };
            let (key, mut object) = (random_key(), vec![0; 64]);
            let mut writer = FrameWriter::new(compression);
            let range = if padded {
                writer.append_padded(&mut object, &key, FrameType::Block, &raw)
            } else {
                writer.append(&mut object, &key, FrameType::Block, &raw)
            };
            prop_assert_eq!(range.offset as usize + range.length as usize, object.len());
            prop_assert!(!padded || (range.length as usize - FRAME_HEADER_LENGTH - TAG_LENGTH).is_multiple_of(PADDING));
            let mut read = Vec::new();
            let outcome = FrameReader::new().open(&key, 64, &object[64..], &mut read);
            prop_assert_eq!(outcome, Ok((FrameType::Block, range.length as usize)));
            prop_assert_eq!(read, raw);
        }

        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(FrameReader::new().open(&key(1), 0, &bytes, &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (key, mut object) = (key(2), Vec::new());
        FrameWriter::new(Compression::Zstd(3)).append(
            &mut object,
            &key,
            FrameType::Block,
            &[5; 200],
        );
        for bit in 0..object.len() * 8 {
            let mut damaged = object.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let outcome = FrameReader::new().open(&key, 0, &damaged, &mut Vec::new());
            assert!(outcome.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_frame_is_noticed() {
        let (key, mut object) = (key(3), Vec::new());
        FrameWriter::new(Compression::None).append(&mut object, &key, FrameType::Block, &[5; 200]);
        for length in 0..object.len() {
            let outcome = FrameReader::new().open(&key, 0, &object[..length], &mut Vec::new());
            assert_eq!(outcome, Err(FrameError::Short), "length {length}");
        }
    }
}
