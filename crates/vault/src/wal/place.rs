//! Where WAL lies: from positions and segment numbers to names of objects and back.
//!
//! This is all the vault knows of PostgreSQL's file names: a whole segment's is 24 upper-case hex
//! digits, timeline, upper half and lower half of the segment's number; every other file of the
//! archive is text that is kept and given back.

use std::fmt;

use crate::ids::{IncarnationId, SessionId, StoreId};
use crate::names::{LivePart, Name, WalFile};

/// Length of a segment in bytes: a power of two from 1 MiB to 1 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentSize(u32);

/// The WAL of one life of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Archive {
    /// The store.
    pub store: StoreId,
    /// The life of the cluster.
    pub incarnation: IncarnationId,
    /// Length of its segments, which is fixed for a cluster's life.
    pub segment_size: SegmentSize,
}

/// A segment of one timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// The timeline that wrote it.
    pub timeline: u32,
    /// Position of its first byte divided by the segment size.
    pub number: u64,
}

impl SegmentSize {
    /// PostgreSQL's default.
    pub const DEFAULT: Self = Self(16 << 20);

    /// `None` for a size no cluster has.
    pub fn new(bytes: u32) -> Option<Self> {
        let fits = bytes.is_power_of_two() && (1 << 20..=1 << 30).contains(&bytes);
        fits.then_some(Self(bytes))
    }

    /// The length in bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }

    /// How many segments share the upper half of their numbers: a folder's.
    pub fn per_folder(self) -> u32 {
        // 2^32 divided by a power of two of at least 2^20.
        1 << (32 - self.0.trailing_zeros())
    }
}

impl Archive {
    /// The object of a file of this archive.
    pub fn file(&self, timeline: u32, file: &str) -> WalFile {
        WalFile {
            store: self.store,
            incarnation: self.incarnation,
            timeline,
            file: file.to_owned(),
        }
    }

    /// The object of a whole segment.
    pub fn segment_file(&self, segment: Segment) -> WalFile {
        let per_folder = u64::from(self.segment_size.per_folder());
        let (high, low) = (segment.number / per_folder, segment.number % per_folder);
        self.file(segment.timeline, &format!("{:08X}{high:08X}{low:08X}", segment.timeline))
    }

    /// Which segment a file is, if it is a whole one.
    pub fn whole_segment(&self, file: &str) -> Option<Segment> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
        if file.len() != 24 || !file.bytes().all(is_digit) {
            return None;
        }
        let field = |range| u32::from_str_radix(file.get(range)?, 16).ok();
        let (timeline, high, low) = (field(0..8)?, field(8..16)?, field(16..24)?);
        let per_folder = self.segment_size.per_folder();
        let number = u64::from(high) * u64::from(per_folder) + u64::from(low);
        (low < per_folder).then_some(Segment { timeline, number })
    }

    /// Position of the first byte of a segment.
    pub fn start_of(&self, segment: u64) -> u64 {
        segment.saturating_mul(u64::from(self.segment_size.bytes()))
    }

    /// Position after the last byte of a segment.
    pub fn end_of(&self, segment: u64) -> u64 {
        self.start_of(segment.saturating_add(1))
    }

    /// The segment that holds the byte at this position.
    pub fn segment_at(&self, position: u64) -> u64 {
        position / u64::from(self.segment_size.bytes())
    }

    /// The folder a segment's object lies in.
    pub fn folder_of(&self, segment: u64) -> u32 {
        let folder = segment / u64::from(self.segment_size.per_folder());
        u32::try_from(folder).unwrap_or(u32::MAX)
    }

    /// The prefix of the objects of one folder.
    pub fn folder_prefix(&self, timeline: u32, folder: u32) -> String {
        let index = Name::WalIndex(self.store, self.incarnation, timeline, folder).to_string();
        index.trim_end_matches("idx").to_owned()
    }

    /// The name of a part of a segment.
    pub fn live_part(&self, segment: Segment, (from, to): (u32, u32), by: SessionId) -> LivePart {
        LivePart {
            store: self.store,
            incarnation: self.incarnation,
            timeline: segment.timeline,
            segment: segment.number,
            from,
            to,
            session: by,
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {:x} of timeline {}", self.number, self.timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(segment_size: SegmentSize) -> Archive {
        Archive { store: StoreId([1; 8]), incarnation: IncarnationId([2; 8]), segment_size }
    }

    #[test]
    fn a_segments_name_is_read_back_at_every_size() {
        for shift in 20..=30 {
            let archive = archive(SegmentSize::new(1 << shift).unwrap());
            for number in [0, 1, 3, 255, 256, 4095, 4096, 0x0012_3456, 0xffff_ffff] {
                let segment = Segment { timeline: 7, number };
                let file = archive.segment_file(segment);
                assert_eq!(archive.whole_segment(&file.file), Some(segment), "{file:?}");
                let folder = archive.folder_prefix(7, archive.folder_of(number));
                assert!(Name::Wal(file).to_string().starts_with(&folder), "{folder}");
                assert_eq!(archive.segment_at(archive.end_of(number) - 1), number);
            }
        }
    }

    #[test]
    fn names_are_postgresqls() {
        let segment = Segment { timeline: 3, number: 0x1fe };
        let file = archive(SegmentSize::DEFAULT).segment_file(segment);
        assert_eq!(file.file, "0000000300000001000000FE");
    }

    #[test]
    fn other_files_are_no_segments() {
        let archive = archive(SegmentSize::DEFAULT);
        for file in [
            "00000002.history",
            "0000000300000001000000FE.partial",
            "0000000300000001000000FE.00000028.backup",
            "0000000300000001000000fe",
            "000000030000000100000100",
            "+000000300000001000000FE",
        ] {
            assert_eq!(archive.whole_segment(file), None, "{file}");
        }
    }

    #[test]
    fn other_sizes_are_refused() {
        for bytes in [0, 1, 1 << 19, (16 << 20) + 1, 3 << 20, 1 << 31] {
            assert_eq!(SegmentSize::new(bytes), None, "{bytes}");
        }
    }
}
