//! A WAL record: who wrote it, which blocks it touches, what it says.
//!
//! A record is a fixed header, the headers of its blocks, the blocks' data and images, and the main
//! data. Only the headers and, for a few resource managers, the main data are of use to us; images
//! and data, which are nearly all of the bytes, are only counted.

use std::fmt;

use thiserror::Error;

use super::meaning::Meaning;
use crate::cluster::MajorVersion;
use crate::little_endian::{u16_at, u32_at};
use crate::lsn::Lsn;
use crate::relation::{BlockNumber, DatabaseId, Fork, RelationFile, RelationNumber, TablespaceId};

/// Length, transaction, previous record, kind, checksum.
pub(super) const FIXED_BYTES: usize = 24;

/// More than all headers of a record can have: 33 blocks of at most 27 bytes and three ids.
pub(super) const HEADERS_BYTES_MAX: usize = 1024;

const BLOCK_ID_MAX: u8 = 32;
const MAIN_DATA_SHORT: u8 = 255;
const MAIN_DATA_LONG: u8 = 254;
const ORIGIN: u8 = 253;
const TOPLEVEL_TRANSACTION: u8 = 252;

const FORK_MASK: u8 = 0x0F;
const HAS_IMAGE: u8 = 0x10;
const HAS_DATA: u8 = 0x20;
const SAME_RELATION: u8 = 0x80;

const IMAGE_HAS_HOLE: u8 = 0x01;

/// A complete record whose checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its first byte: what `pg_waldump` calls `lsn`.
    pub start: Lsn,
    /// Where the next one begins: replaying up to here has replayed this record.
    pub end: Lsn,
    /// Where the record before begins.
    pub previous: Lsn,
    /// Its length without page headers in it.
    pub length_bytes: u32,
    /// The transaction that wrote it; zero if none.
    pub transaction: TransactionId,
    /// Which part of the server replays it.
    pub resource_manager: ResourceManager,
    /// What it is to the resource manager, and flags.
    pub info: u8,
    /// The blocks it touches.
    pub blocks: &'a [BlockReference],
    /// What it says that matters beyond its blocks.
    pub meaning: Meaning<'a>,
    /// Its own data, if [`ResourceManager::has_meaning`]; else empty.
    pub main_data: &'a [u8],
    /// Whether the main data was too long to be kept whole.
    pub is_main_data_cut: bool,
}

/// A transaction's number, which wraps around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub u32);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A block that a record touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockReference {
    /// Of which relation.
    pub file: RelationFile,
    /// Of which fork.
    pub fork: Fork,
    /// Which block.
    pub block: BlockNumber,
    /// Whether the record carries the whole page.
    pub image: PageImage,
}

/// Whether a record carries the page it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageImage {
    /// It does not.
    None,
    /// Replay puts it in place: the page need not be read before.
    Restored,
    /// Only to compare the replayed page with it.
    Compared,
}

/// Which part of the server wrote a record and replays it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceManager(pub u8);

impl ResourceManager {
    /// Checkpoints and the like.
    pub const XLOG: Self = Self(0);
    /// Commits and aborts.
    pub const TRANSACTION: Self = Self(1);
    /// Creation and truncation of relations.
    pub const STORAGE: Self = Self(2);
    /// Creation and removal of databases.
    pub const DATABASE: Self = Self(4);

    /// The names `pg_waldump` prints, in the order of the numbers; the same in 14 to 18.
    const NAMES: [&'static str; 22] = [
        "XLOG",
        "Transaction",
        "Storage",
        "CLOG",
        "Database",
        "Tablespace",
        "MultiXact",
        "RelMap",
        "Standby",
        "Heap2",
        "Heap",
        "Btree",
        "Hash",
        "Gin",
        "Gist",
        "Sequence",
        "SPGist",
        "BRIN",
        "CommitTs",
        "ReplicationOrigin",
        "Generic",
        "LogicalMessage",
    ];

    /// Extensions can have their own from 15 on.
    const CUSTOM_FIRST: u8 = 128;

    /// Whether its records say things that matter beyond the blocks they name.
    pub fn has_meaning(self) -> bool {
        matches!(self, Self::XLOG | Self::TRANSACTION | Self::STORAGE | Self::DATABASE)
    }

    pub(super) fn is_known(self, version: MajorVersion) -> bool {
        let is_custom = self.0 >= Self::CUSTOM_FIRST && version >= MajorVersion::V15;
        usize::from(self.0) < Self::NAMES.len() || is_custom
    }
}

impl fmt::Display for ResourceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "custom{:03}", self.0),
        }
    }
}

/// A record's headers contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordLayoutError {
    /// The headers promise more bytes than the record has, or fewer.
    #[error("the lengths do not add up")]
    Lengths,
    /// A header of a kind that does not exist.
    #[error("no header has the number {0}")]
    Header(u8),
    /// Blocks are numbered upwards.
    #[error("block {0} comes out of order")]
    Order(u8),
    /// A fork that does not exist.
    #[error("no fork has the number {0}")]
    Fork(u8),
    /// The first block of a record must say its relation.
    #[error("a block refers to the relation of a block that is not there")]
    NoRelation,
}

/// Where the main data lies in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) main_data_at: u32,
}

/// Reads a record's headers, of which `head` has all (it is the whole record or its first
/// [`HEADERS_BYTES_MAX`] bytes), and appends its blocks.
pub(super) fn read_headers(
    head: &[u8],
    length: u32,
    version: MajorVersion,
    blocks: &mut Vec<BlockReference>,
) -> Result<Layout, RecordLayoutError> {
    let mut reader = Reader { head, at: FIXED_BYTES, payload_bytes: 0, version };
    let mut relation = None;
    let mut block_id_next = 0;
    let mut main_data_bytes = 0;
    while reader.at as u64 + reader.payload_bytes < u64::from(length) {
        match reader.u8()? {
            MAIN_DATA_SHORT => {
                main_data_bytes = u32::from(reader.u8()?);
                break;
            }
            MAIN_DATA_LONG => {
                main_data_bytes = reader.u32()?;
                break;
            }
            ORIGIN => reader.skip(2),
            TOPLEVEL_TRANSACTION => reader.skip(4),
            id @ 0..=BLOCK_ID_MAX => {
                if id < block_id_next {
                    return Err(RecordLayoutError::Order(id));
                }
                block_id_next = id + 1;
                blocks.push(reader.block(&mut relation)?);
            }
            other => return Err(RecordLayoutError::Header(other)),
        }
    }
    let used = reader.at as u64 + reader.payload_bytes + u64::from(main_data_bytes);
    if used != u64::from(length) {
        return Err(RecordLayoutError::Lengths);
    }
    Ok(Layout { main_data_at: length - main_data_bytes })
}

struct Reader<'a> {
    head: &'a [u8],
    at: usize,
    /// What the headers read so far say will follow them.
    payload_bytes: u64,
    version: MajorVersion,
}

impl Reader<'_> {
    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn u8(&mut self) -> Result<u8, RecordLayoutError> {
        let value = self.head.get(self.at).copied().ok_or(RecordLayoutError::Lengths)?;
        self.at += 1;
        Ok(value)
    }

    fn u16(&mut self) -> Result<u16, RecordLayoutError> {
        let value = u16_at(self.head, self.at).ok_or(RecordLayoutError::Lengths)?;
        self.at += 2;
        Ok(value)
    }

    fn u32(&mut self) -> Result<u32, RecordLayoutError> {
        let value = u32_at(self.head, self.at).ok_or(RecordLayoutError::Lengths)?;
        self.at += 4;
        Ok(value)
    }

    fn block(
        &mut self,
        relation: &mut Option<RelationFile>,
    ) -> Result<BlockReference, RecordLayoutError> {
        let flags = self.u8()?;
        let data_bytes = self.u16()?;
        if (flags & HAS_DATA != 0) != (data_bytes != 0) {
            return Err(RecordLayoutError::Lengths);
        }
        self.payload_bytes += u64::from(data_bytes);
        let image = if flags & HAS_IMAGE == 0 { PageImage::None } else { self.image()? };
        if flags & SAME_RELATION == 0 {
            *relation = Some(RelationFile {
                tablespace: TablespaceId(self.u32()?),
                database: DatabaseId(self.u32()?),
                relation: RelationNumber(self.u32()?),
            });
        }
        let file = relation.ok_or(RecordLayoutError::NoRelation)?;
        let number = flags & FORK_MASK;
        let fork = Fork::from_number(number).ok_or(RecordLayoutError::Fork(number))?;
        Ok(BlockReference { file, fork, block: BlockNumber(self.u32()?), image })
    }

    fn image(&mut self) -> Result<PageImage, RecordLayoutError> {
        let image_bytes = self.u16()?;
        let _hole_at = self.u16()?;
        let info = self.u8()?;
        self.payload_bytes += u64::from(image_bytes);
        // 15 gave compression methods bits of their own and moved "apply" for it.
        let (compressed, applied) =
            if self.version == MajorVersion::V14 { (0x02, 0x04) } else { (0x1C, 0x02) };
        if info & compressed != 0 && info & IMAGE_HAS_HOLE != 0 {
            let _hole_bytes = self.u16()?;
        }
        Ok(if info & applied == 0 { PageImage::Compared } else { PageImage::Restored })
    }
}
