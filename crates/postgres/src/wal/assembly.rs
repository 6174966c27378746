//! One record, put together from the pieces that pages and reads cut it into.
//!
//! A record can be a gibibyte, nearly all of it images and data that nobody here looks at. Kept are
//! its headers and, where it has a meaning, its main data up to a limit; the checksum is computed
//! along the way. The buffers are used again for every record.

use thiserror::Error;

use super::meaning::{MainData, Meaning};
use super::record::{
    BlockReference, FIXED_BYTES, HEADERS_BYTES_MAX, Layout, RecordLayoutError, ResourceManager,
    TransactionId, read_headers,
};
use crate::cluster::MajorVersion;
use crate::little_endian::{u32_at, u64_at};
use crate::lsn::Lsn;

/// PostgreSQL allocates a record at once and never more than this.
const RECORD_BYTES_MAX: u32 = 1 << 30;

/// The longest main data we need is the list of files a commit removes: this is five million.
const MAIN_DATA_BYTES_MAX: usize = 64 << 20;

/// A buffer that grew for one large record is given back when larger than this.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

/// The bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// No record has this length.
    #[error("a record cannot have {0} bytes")]
    Length(u32),
    /// The record is torn or damaged.
    #[error("the record fails its checksum (found {found:08X}, expected {expected:08X})")]
    Checksum {
        /// What the record says.
        found: u32,
        /// What its bytes give.
        expected: u32,
    },
    /// The headers contradict each other.
    #[error("the record's headers make no sense: {0}")]
    Layout(RecordLayoutError),
    /// The main data is too short for what the record says it is.
    #[error("the record of {manager} with info {info:02X} is too short")]
    Short {
        /// Whose.
        manager: ResourceManager,
        /// Of which kind.
        info: u8,
    },
}

#[derive(Debug)]
pub(super) struct Assembly {
    version: MajorVersion,
    /// The record's beginning, at most [`HEADERS_BYTES_MAX`].
    head: Vec<u8>,
    /// The main data of a record that does not fit into `head`, if it has a meaning.
    main_data: Vec<u8>,
    blocks: Vec<BlockReference>,
    length: u32,
    received: u32,
    /// Of what follows the fixed header; that comes last.
    crc: u32,
    layout: Option<Layout>,
}

/// How far the record has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    More,
    /// There is no record: its length is zero.
    Zero,
    /// The fixed header is complete, for the first time.
    Header,
    Complete,
}

/// The fixed header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fixed {
    pub(super) transaction: TransactionId,
    pub(super) previous: Lsn,
    pub(super) info: u8,
    pub(super) manager: ResourceManager,
    crc: u32,
}

/// A complete record.
#[derive(Debug)]
pub(super) struct Assembled<'a> {
    pub(super) fixed: Fixed,
    pub(super) length_bytes: u32,
    pub(super) blocks: &'a [BlockReference],
    pub(super) main_data: MainData<'a>,
    pub(super) meaning: Meaning<'a>,
}

impl Assembly {
    pub(super) fn new(version: MajorVersion) -> Self {
        Self {
            version,
            head: Vec::with_capacity(HEADERS_BYTES_MAX),
            main_data: Vec::new(),
            blocks: Vec::new(),
            length: 0,
            received: 0,
            crc: 0,
            layout: None,
        }
    }

    /// Forgets the record, finished or not.
    pub(super) fn clear(&mut self) {
        self.head.clear();
        self.main_data.clear();
        self.main_data.shrink_to(BUFFER_KEPT_BYTES);
        self.blocks.clear();
        (self.length, self.received, self.crc, self.layout) = (0, 0, 0, None);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.received == 0
    }

    pub(super) fn is_complete(&self) -> bool {
        self.received >= fixed_bytes() && self.received == self.length
    }

    /// How many bytes are still to come.
    pub(super) fn remaining_bytes(&self) -> u32 {
        self.length - self.received
    }

    /// Takes what it needs of the next bytes and says how many these were. It stops behind the fixed
    /// header, so that it can be judged before a wrong length is believed.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(usize, Pushed), RecordError> {
        if self.received < fixed_bytes() {
            return self.push_fixed(bytes);
        }
        let piece = first(bytes, self.remaining_bytes());
        self.crc = crc32c::crc32c_append(self.crc, piece);
        let head = first(piece, self.head_bytes() - self.received.min(self.head_bytes()));
        self.head.extend_from_slice(head);
        let before = self.received;
        self.received += length_of(piece);
        if self.length > self.head_bytes() && self.fixed().is_some_and(|f| f.manager.has_meaning())
        {
            self.push_main_data(before, piece)?;
        }
        Ok((piece.len(), if self.is_complete() { Pushed::Complete } else { Pushed::More }))
    }

    fn push_fixed(&mut self, bytes: &[u8]) -> Result<(usize, Pushed), RecordError> {
        let piece = first(bytes, fixed_bytes() - self.received);
        self.head.extend_from_slice(piece);
        self.received += length_of(piece);
        match u32_at(&self.head, 0) {
            None => return Ok((piece.len(), Pushed::More)),
            Some(0) => return Ok((piece.len(), Pushed::Zero)),
            Some(length) if (fixed_bytes()..=RECORD_BYTES_MAX).contains(&length) => {
                self.length = length;
            }
            Some(length) => return Err(RecordError::Length(length)),
        }
        let is_whole = self.received == fixed_bytes();
        Ok((piece.len(), if is_whole { Pushed::Header } else { Pushed::More }))
    }

    /// Keeps the main data in a piece of a record too long for `head`. `before` is where in the
    /// record the piece begins.
    fn push_main_data(&mut self, before: u32, piece: &[u8]) -> Result<(), RecordError> {
        if length_of(&self.head) < self.head_bytes() {
            return Ok(());
        }
        let (from, bytes) = match self.layout {
            Some(_) => (before, piece),
            None => {
                self.layout = Some(self.read_headers()?);
                // What precedes the end of `head` may have come in earlier pieces.
                let kept = self.head_bytes();
                let beyond = kept.saturating_sub(before);
                let at = self.main_data_at();
                let in_head = self.head.get(index(at)..).unwrap_or_default();
                self.main_data.extend_from_slice(in_head);
                (before + beyond, piece.get(index(beyond)..).unwrap_or_default())
            }
        };
        let skipped = self.main_data_at().saturating_sub(from);
        let bytes = bytes.get(index(skipped)..).unwrap_or_default();
        let space = MAIN_DATA_BYTES_MAX - self.main_data.len();
        self.main_data.extend_from_slice(&bytes[..bytes.len().min(space)]);
        Ok(())
    }

    /// The complete record, once its checksum is found right.
    pub(super) fn finish(&mut self) -> Result<Assembled<'_>, RecordError> {
        let fixed = self.fixed().ok_or(RecordError::Length(self.length))?;
        let expected = crc32c::crc32c_append(self.crc, &self.head[..FIXED_BYTES - 4]);
        if fixed.crc != expected {
            return Err(RecordError::Checksum { found: fixed.crc, expected });
        }
        if self.layout.is_none() {
            self.layout = Some(self.read_headers()?);
        }
        let main_data = self.main_data(fixed.manager);
        let (manager, info) = (fixed.manager, fixed.info);
        let meaning = Meaning::read(manager, info, fixed.transaction, main_data, self.version)
            .ok_or(RecordError::Short { manager, info })?;
        let (length_bytes, blocks) = (self.length, self.blocks.as_slice());
        Ok(Assembled { fixed, length_bytes, blocks, main_data, meaning })
    }

    fn main_data(&self, manager: ResourceManager) -> MainData<'_> {
        if !manager.has_meaning() {
            return MainData { bytes: &[], is_cut: false };
        }
        let at = self.main_data_at();
        if self.length <= self.head_bytes() {
            return MainData { bytes: &self.head[index(at)..], is_cut: false };
        }
        let is_cut = self.main_data.len() < index(self.length - at);
        MainData { bytes: &self.main_data, is_cut }
    }

    pub(super) fn fixed(&self) -> Option<Fixed> {
        let [info, manager] = *self.head.get(16..)?.first_chunk()?;
        Some(Fixed {
            transaction: TransactionId(u32_at(&self.head, 4)?),
            previous: Lsn(u64_at(&self.head, 8)?),
            info,
            manager: ResourceManager(manager),
            crc: u32_at(&self.head, 20)?,
        })
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.head.capacity() + self.main_data.capacity()
    }

    fn read_headers(&mut self) -> Result<Layout, RecordError> {
        read_headers(&self.head, self.length, self.version, &mut self.blocks)
            .map_err(RecordError::Layout)
    }

    fn main_data_at(&self) -> u32 {
        self.layout.map_or(self.length, |layout| layout.main_data_at)
    }

    /// How much of this record `head` holds in the end.
    fn head_bytes(&self) -> u32 {
        self.length.min(u32::try_from(HEADERS_BYTES_MAX).expect("a kibibyte"))
    }
}

fn fixed_bytes() -> u32 {
    u32::try_from(FIXED_BYTES).expect("24")
}

fn first(bytes: &[u8], count: u32) -> &[u8] {
    &bytes[..bytes.len().min(index(count))]
}

fn index(offset: u32) -> usize {
    usize::try_from(offset).expect("32 bits fit on every platform PostgreSQL runs on")
}

/// The length of what lies within one record.
fn length_of(piece: &[u8]) -> u32 {
    u32::try_from(piece.len()).expect("pieces of a record are at most as long as a record")
}
