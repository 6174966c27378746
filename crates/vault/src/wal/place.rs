//! Where WAL lies: from positions and segment numbers to names of objects and back.
//!
//! This is all the vault knows of PostgreSQL's file names: a whole segment's is 24 upper-case hex
//! digits, timeline, upper half and lower half of the segment's number; every other file of the
//! archive is text that is kept and given back.

use std::fmt;
use std::ops::Range;

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

/// A file of an archive: a segment, or one of the small files beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFile {
    /// Its object.
    pub object: WalFile,
    /// Number of the segment it belongs to; none for a history file.
    pub segment: Option<u64>,
    /// For a whole segment, the positions of its first byte and after its last. Only that takes the
    /// segment's place: a `.partial` may hold garbage after its end.
    pub span: Option<(u64, u64)>,
}

impl ArchiveFile {
    /// The object's name.
    pub fn name(&self) -> String {
        Name::Wal(self.object.clone()).to_string()
    }
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
    /// The file of this name. `None` when PostgreSQL would not archive a file of this name, or not
    /// with this segment size.
    pub fn file(&self, file: &str) -> Option<ArchiveFile> {
        let object = WalFile {
            store: self.store,
            incarnation: self.incarnation,
            timeline: upper_hex(file, 0..8)?,
            file: file.to_owned(),
        };
        let known =
            Name::parse(&Name::Wal(object.clone()).to_string()) == Some(Name::Wal(object.clone()));
        let segment = match (file.get(8..9)?, file.get(24..25)) {
            (".", _) => None,
            (_, None | Some(".")) => Some(self.segment_number(file)?),
            _ => return None,
        };
        let is_whole = file.len() == 24;
        let span = segment.filter(|_| is_whole).map(|n| (self.start_of(n), self.end_of(n)));
        known.then_some(ArchiveFile { object, segment, span })
    }

    /// A whole segment's file.
    pub fn segment_file(&self, segment: Segment) -> ArchiveFile {
        let per_folder = u64::from(self.segment_size.per_folder());
        let (high, low) = (segment.number / per_folder, segment.number % per_folder);
        let object = WalFile {
            store: self.store,
            incarnation: self.incarnation,
            timeline: segment.timeline,
            file: format!("{:08X}{high:08X}{low:08X}", segment.timeline),
        };
        let span = Some((self.start_of(segment.number), self.end_of(segment.number)));
        ArchiveFile { object, segment: Some(segment.number), span }
    }

    /// Which segment a file is, if it is a whole one.
    pub fn whole_segment(&self, file: &str) -> Option<Segment> {
        let timeline = upper_hex(file, 0..8)?;
        let number = self.segment_number(file)?;
        (file.len() == 24).then_some(Segment { timeline, number })
    }

    fn segment_number(&self, file: &str) -> Option<u64> {
        let (high, low) = (upper_hex(file, 8..16)?, upper_hex(file, 16..24)?);
        let per_folder = self.segment_size.per_folder();
        (low < per_folder).then(|| u64::from(high) * u64::from(per_folder) + u64::from(low))
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

fn upper_hex(file: &str, range: Range<usize>) -> Option<u32> {
    let digits = file.get(range)?;
    let is_digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
    digits.bytes().all(is_digit).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
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
                assert_eq!(archive.whole_segment(&file.object.file), Some(segment), "{file:?}");
                assert_eq!(archive.file(&file.object.file), Some(file.clone()));
                let folder = archive.folder_prefix(7, archive.folder_of(number));
                assert!(file.name().starts_with(&folder), "{folder}");
                assert_eq!(archive.segment_at(archive.end_of(number) - 1), number);
            }
        }
    }

    #[test]
    fn names_are_postgresqls() {
        let segment = Segment { timeline: 3, number: 0x1fe };
        let file = archive(SegmentSize::DEFAULT).segment_file(segment);
        assert_eq!(file.object.file, "0000000300000001000000FE");
    }

    #[test]
    fn other_files_are_no_whole_segments() {
        let archive = archive(SegmentSize::DEFAULT);
        for (file, segment) in [
            ("00000002.history", None),
            ("0000000300000001000000FE.partial", Some(0x1fe)),
            ("0000000300000001000000FE.00000028.backup", Some(0x1fe)),
        ] {
            assert_eq!(archive.whole_segment(file), None, "{file}");
            let found = archive.file(file).unwrap();
            assert_eq!((found.segment, found.span), (segment, None), "{file}");
        }
    }

    #[test]
    fn names_that_are_not_postgresqls_are_refused() {
        let archive = archive(SegmentSize::DEFAULT);
        for file in [
            "",
            "idx",
            "0000000300000001000000fe",
            "000000030000000100000100",
            "+000000300000001000000FE",
            "0000000300000001000000FE0",
            "0000000300000001000000FE/../x",
            "0000000300000001000000FE.r1",
            "00000002 history",
        ] {
            assert_eq!(archive.file(file), None, "{file}");
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
