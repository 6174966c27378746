//! A small writer of WAL, for tests: it puts records into pages as a server does, so that records of
//! any size and damage of any kind can be had without one.

use super::header::{LONG_BYTES, SHORT_BYTES, WAL_PAGE_BYTES, WalIdentity};
use super::record::{FIXED_BYTES, ResourceManager};
use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::lsn::{Lsn, SegmentNumber, SegmentSize, Timeline};
use crate::relation::{BlockNumber, DatabaseId, Fork, RelationFile, RelationNumber, TablespaceId};

pub(crate) const IDENTITY: WalIdentity = WalIdentity {
    system_identifier: SystemIdentifier(7_711_287_236_059_140_427),
    version: MajorVersion::V15,
    segment_size: SegmentSize::DEFAULT,
};

pub(crate) const FIRST_SEGMENT: SegmentNumber = SegmentNumber(3);

pub(crate) const HEAP: ResourceManager = ResourceManager(10);

#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    pub(super) timeline: Timeline,
    /// The start of the last record.
    pub(super) last_start: Lsn,
    /// Bytes that mean nothing, as ranges of `bytes`.
    pub(super) unused: Vec<std::ops::Range<usize>>,
    flags_next: u16,
    size: SegmentSize,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::with_segments_of(IDENTITY.segment_size)
    }

    pub(crate) fn with_segments_of(size: SegmentSize) -> Self {
        let timeline = Timeline::FIRST;
        let last_start = Lsn(0x28);
        Self { bytes: Vec::new(), timeline, last_start, unused: Vec::new(), flags_next: 0, size }
    }

    pub(crate) fn position(&self) -> Lsn {
        Lsn(FIRST_SEGMENT.start(self.size).0 + self.bytes.len() as u64)
    }

    /// Appends a record and returns where it begins.
    pub(crate) fn record(&mut self, manager: ResourceManager, info: u8, body: &[u8]) -> Lsn {
        let record = self.seal(manager, info, body);
        let start = self.append(&record);
        self.last_start = start;
        start
    }

    /// A record that would come next.
    pub(super) fn seal(&self, manager: ResourceManager, info: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(FIXED_BYTES + body.len()).unwrap();
        let mut record = length.to_le_bytes().to_vec();
        record.extend(500_u32.to_le_bytes());
        record.extend(self.last_start.0.to_le_bytes());
        record.extend([info, manager.0, 0, 0]);
        let crc = crc32c::crc32c_append(crc32c::crc32c(body), &record);
        record.extend(crc.to_le_bytes());
        record.extend(body);
        record
    }

    fn append(&mut self, record: &[u8]) -> Lsn {
        let aligned = self.bytes.len().next_multiple_of(8);
        self.unused.push(self.bytes.len()..aligned);
        self.bytes.resize(aligned, 0);
        self.begin_page_if_due(0);
        let start = self.position();
        let mut rest = record;
        while !rest.is_empty() {
            self.begin_page_if_due(u32::try_from(rest.len()).unwrap());
            let in_page = self.position().0 % WAL_PAGE_BYTES;
            let space = usize::try_from(WAL_PAGE_BYTES - in_page).unwrap();
            let (piece, after) = rest.split_at(rest.len().min(space));
            self.bytes.extend(piece);
            rest = after;
        }
        start
    }

    /// Begins a record of which only so many full pages reach the disk after the one it begins in;
    /// the record must be longer. A server goes on with [`Self::overwrite_continuation`].
    pub(super) fn crash_within(&mut self, record: &[u8], pages: usize) -> Lsn {
        let (used, ranges) = (self.bytes.len(), self.unused.len());
        let start = self.append(record);
        let page = usize::try_from(WAL_PAGE_BYTES).unwrap();
        let kept = (used.next_multiple_of(8) + 1).next_multiple_of(page) + pages * page;
        assert!(kept < self.bytes.len());
        self.bytes.truncate(kept);
        self.unused.truncate(ranges);
        self.unused.push(used..kept);
        start
    }

    /// Declares an unfinished record void.
    pub(super) fn overwrite_continuation(&mut self, overwritten: Lsn) -> Lsn {
        self.flags_next = 0x08;
        let mut data = overwritten.0.to_le_bytes().to_vec();
        data.extend([0; 8]);
        self.record(ResourceManager::XLOG, 0xD0, &body(&[], &data))
    }

    /// Appends a record after which the rest of the segment is empty.
    pub(super) fn switch(&mut self) {
        self.record(ResourceManager::XLOG, 0x40, &[]);
        let used = self.bytes.len();
        let segment = usize::try_from(self.size.bytes()).unwrap();
        self.bytes.resize(used.next_multiple_of(segment), 0);
        self.unused.push(used..self.bytes.len());
    }

    fn begin_page_if_due(&mut self, continuation_bytes: u32) {
        let position = self.position();
        if !position.0.is_multiple_of(WAL_PAGE_BYTES) {
            return;
        }
        let is_first = position.offset_in_segment(self.size) == 0;
        let mut flags = std::mem::take(&mut self.flags_next);
        flags |= if is_first { 2 } else { 0 };
        flags |= u16::from(continuation_bytes > 0);
        let start = self.bytes.len();
        self.bytes.extend(IDENTITY.version.wal_page_magic().to_le_bytes());
        self.bytes.extend(flags.to_le_bytes());
        self.bytes.extend(self.timeline.0.to_le_bytes());
        self.bytes.extend(position.0.to_le_bytes());
        self.bytes.extend(continuation_bytes.to_le_bytes());
        self.unused.push(self.bytes.len()..start + SHORT_BYTES);
        self.bytes.extend([0; 4]);
        if is_first {
            self.bytes.extend(IDENTITY.system_identifier.0.to_le_bytes());
            self.bytes.extend(self.size.bytes().to_le_bytes());
            self.bytes.extend(u32::try_from(WAL_PAGE_BYTES).unwrap().to_le_bytes());
            assert_eq!(self.bytes.len(), start + LONG_BYTES);
        }
    }
}

/// A block in a record, with so many bytes of data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(super) file: RelationFile,
    pub(super) fork: Fork,
    pub(super) block: BlockNumber,
    pub(super) data_bytes: u16,
}

pub(super) fn file(relation: u32) -> RelationFile {
    let (tablespace, database) = (TablespaceId::DEFAULT, DatabaseId(5));
    RelationFile { tablespace, database, relation: RelationNumber(relation) }
}

pub(super) fn file_bytes(file: RelationFile) -> Vec<u8> {
    let parts = [file.tablespace.0, file.database.0, file.relation.0];
    parts.iter().flat_map(|part| part.to_le_bytes()).collect()
}

/// What follows a record's fixed header.
pub(crate) fn body(blocks: &[Block], main_data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (id, block) in (0..).zip(blocks) {
        let has_data = if block.data_bytes > 0 { 0x20 } else { 0 };
        body.extend([id, block.fork.number() | has_data]);
        body.extend(block.data_bytes.to_le_bytes());
        body.extend(file_bytes(block.file));
        body.extend(block.block.0.to_le_bytes());
    }
    match u8::try_from(main_data.len()) {
        Ok(0) => {}
        Ok(length) => body.extend([255, length]),
        Err(_) => {
            body.push(254);
            body.extend(u32::try_from(main_data.len()).unwrap().to_le_bytes());
        }
    }
    for block in blocks {
        body.extend(vec![0xDA; usize::from(block.data_bytes)]);
    }
    body.extend(main_data);
    body
}

/// The main data of a commit in that many microseconds after 2000 began, with parts.
pub(super) fn commit_data(micros: i64, subtransactions: u32, removed: &[RelationFile]) -> Vec<u8> {
    let mut data = micros.to_le_bytes().to_vec();
    data.extend(0b110_u32.to_le_bytes());
    data.extend(subtransactions.to_le_bytes());
    data.resize(data.len() + 4 * usize::try_from(subtransactions).unwrap(), 7);
    data.extend(u32::try_from(removed.len()).unwrap().to_le_bytes());
    removed.iter().for_each(|file| data.extend(file_bytes(*file)));
    data
}
