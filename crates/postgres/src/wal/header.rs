//! Page headers of the WAL: every 8 KiB begin with one, and those of a segment's first page say
//! which cluster, version and segment size it is.

use thiserror::Error;

use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::little_endian::{u16_at, u32_at, u64_at};
use crate::lsn::{Lsn, SegmentSize, Timeline};

/// Bytes in a page of WAL. PostgreSQL can be built with others; nobody does.
pub const WAL_PAGE_BYTES: u64 = 8192;

/// Header of every page but a segment's first.
pub(super) const SHORT_BYTES: usize = 24;
/// Header of a segment's first page.
pub(super) const LONG_BYTES: usize = 40;

/// The page begins with the rest of a record.
const CONTINUES: u16 = 0x0001;
const LONG: u16 = 0x0002;
/// The page begins with a record that replaces the unfinished one before.
const OVERWRITES: u16 = 0x0008;
const FLAGS_KNOWN: u16 = 0x000F;

/// What WAL belongs to, known from the cluster or from a segment's first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalIdentity {
    /// Whose WAL.
    pub system_identifier: SystemIdentifier,
    /// Which version wrote it: formats differ.
    pub version: MajorVersion,
    /// The size of its segments.
    pub segment_size: SegmentSize,
}

/// What the first page of a segment says of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Whose, and in which format.
    pub identity: WalIdentity,
    /// The timeline that wrote the first page. A segment in which a timeline branched off begins
    /// with pages of its parent, so this may be below the timeline in the file's name.
    pub timeline: Timeline,
    /// Where the segment begins.
    pub start: Lsn,
}

impl SegmentHeader {
    /// Reads the beginning of a segment, of which 40 bytes are needed.
    pub fn parse(segment: &[u8]) -> Result<Self, SegmentHeaderError> {
        parse_segment(segment).ok_or(SegmentHeaderError::Short)?
    }
}

/// The bytes do not begin a WAL segment of a supported version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SegmentHeaderError {
    /// Fewer bytes than a header has.
    #[error("a WAL segment begins with 40 bytes of header")]
    Short,
    /// Not WAL, or of another version.
    #[error("no supported version begins a WAL page with {magic:04X}")]
    Magic {
        /// The page's first two bytes.
        magic: u16,
    },
    /// A page, but not a segment's first.
    #[error("not the first page of a WAL segment")]
    NotFirst,
    /// The sizes are impossible or not supported.
    #[error("WAL segments of {segment} bytes with pages of {page} bytes are not supported")]
    Sizes {
        /// The segment size.
        segment: u32,
        /// The page size.
        page: u32,
    },
}

fn parse_segment(bytes: &[u8]) -> Option<Result<SegmentHeader, SegmentHeaderError>> {
    let header = PageHeader::parse(bytes)?;
    let (long, magic) = (LongHeader::parse(bytes)?, header.magic);
    let version = MajorVersion::ALL.into_iter().find(|v| v.wal_page_magic() == magic);
    let Some(version) = version else {
        return Some(Err(SegmentHeaderError::Magic { magic }));
    };
    let size = SegmentSize::new(long.segment_size).ok();
    let size = size.filter(|_| u64::from(long.page_size) == WAL_PAGE_BYTES);
    let Some(segment_size) = size else {
        let (segment, page) = (long.segment_size, long.page_size);
        return Some(Err(SegmentHeaderError::Sizes { segment, page }));
    };
    if !header.is_long() || header.address.offset_in_segment(segment_size) != 0 {
        return Some(Err(SegmentHeaderError::NotFirst));
    }
    let system_identifier = long.system_identifier;
    let identity = WalIdentity { system_identifier, version, segment_size };
    Some(Ok(SegmentHeader { identity, timeline: header.timeline, start: header.address }))
}

/// What every page begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageHeader {
    pub(super) magic: u16,
    pub(super) flags: u16,
    pub(super) timeline: Timeline,
    pub(super) address: Lsn,
    /// How many bytes are still to come of the record that continues here.
    pub(super) continuation_bytes: u32,
}

impl PageHeader {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            magic: u16_at(bytes, 0)?,
            flags: u16_at(bytes, 2)?,
            timeline: Timeline(u32_at(bytes, 4)?),
            address: Lsn(u64_at(bytes, 8)?),
            continuation_bytes: u32_at(bytes, 16)?,
        })
    }

    pub(super) fn has_only_known_flags(&self) -> bool {
        self.flags & !FLAGS_KNOWN == 0
    }

    pub(super) fn is_long(&self) -> bool {
        self.flags & LONG != 0
    }

    pub(super) fn continues(&self) -> bool {
        self.flags & CONTINUES != 0
    }

    pub(super) fn overwrites(&self) -> bool {
        self.flags & OVERWRITES != 0
    }
}

/// What a segment's first page says besides.
#[derive(Debug, Clone, Copy)]
pub(super) struct LongHeader {
    pub(super) system_identifier: SystemIdentifier,
    pub(super) segment_size: u32,
    pub(super) page_size: u32,
}

impl LongHeader {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            system_identifier: SystemIdentifier(u64_at(bytes, 24)?),
            segment_size: u32_at(bytes, 32)?,
            page_size: u32_at(bytes, 36)?,
        })
    }
}
