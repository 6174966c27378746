//! Names of files in `pg_wal` and in a WAL archive.
//!
//! `archive_command` and `restore_command` hand over these names. They are made and parsed only
//! here, and strictly: a name that PostgreSQL would not have made is refused, so that no part of a
//! path can be smuggled in and every name has exactly one meaning.

use thiserror::Error;

use crate::lsn::{SegmentNumber, SegmentSize, Timeline, hex_u32};

/// What a file of the WAL archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WalFileName {
    /// A whole segment: `000000010000000A000000FE`.
    Segment(SegmentName),
    /// The last segment of an abandoned timeline, possibly with garbage after its end. It must
    /// never take the place of a whole segment.
    Partial(SegmentName),
    /// Where a timeline comes from: `00000002.history`. Timeline 1 has none.
    History(Timeline),
    /// A copy of a backup's label, named by the position where the backup began.
    BackupLabel {
        /// The segment in which the backup began.
        segment: SegmentName,
        /// Where in that segment it began.
        offset: u32,
    },
}

/// A segment of one timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The timeline that wrote it.
    pub timeline: Timeline,
    /// Its place in the log.
    pub segment: SegmentNumber,
}

impl SegmentName {
    /// The file name, which depends on the segment size.
    pub fn to_file_name(self, size: SegmentSize) -> String {
        let per_half = u64::from(size.segments_per_upper_half());
        let (high, low) = (self.segment.0 / per_half, self.segment.0 % per_half);
        format!("{:08X}{high:08X}{low:08X}", self.timeline.0)
    }

    fn parse(name: &str, size: SegmentSize) -> Option<Self> {
        let timeline = upper_hex(name.get(..8)?)?;
        let high = upper_hex(name.get(8..16)?)?;
        let low = upper_hex(name.get(16..)?)?;
        let per_half = size.segments_per_upper_half();
        if timeline == 0 || low >= per_half {
            return None;
        }
        let segment = u64::from(high) * u64::from(per_half) + u64::from(low);
        Some(Self { timeline: Timeline(timeline), segment: SegmentNumber(segment) })
    }
}

/// PostgreSQL would not give this name to a file of its archive; do not store or serve it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name:?} is not the name of a WAL file (with segments of {} bytes)", .size.bytes())]
pub struct WalFileNameError {
    /// What was given.
    pub name: String,
    /// The segment size it was read with: names that fit one size may not fit another.
    pub size: SegmentSize,
}

impl WalFileName {
    /// Reads a file name (no path) of a cluster with this segment size.
    pub fn parse(name: &str, size: SegmentSize) -> Result<Self, WalFileNameError> {
        parse(name, size).ok_or_else(|| WalFileNameError { name: name.to_owned(), size })
    }

    /// The file name, which depends on the segment size.
    pub fn to_file_name(self, size: SegmentSize) -> String {
        match self {
            Self::Segment(segment) => segment.to_file_name(size),
            Self::Partial(segment) => format!("{}.partial", segment.to_file_name(size)),
            Self::History(timeline) => format!("{:08X}.history", timeline.0),
            Self::BackupLabel { segment, offset } => {
                format!("{}.{offset:08X}.backup", segment.to_file_name(size))
            }
        }
    }

    /// The timeline that the file belongs to.
    pub fn timeline(self) -> Timeline {
        match self {
            Self::Segment(segment) | Self::Partial(segment) | Self::BackupLabel { segment, .. } => {
                segment.timeline
            }
            Self::History(timeline) => timeline,
        }
    }
}

fn parse(name: &str, size: SegmentSize) -> Option<WalFileName> {
    match name.split_once('.') {
        None => SegmentName::parse(name, size).map(WalFileName::Segment),
        Some((segment, "partial")) => SegmentName::parse(segment, size).map(WalFileName::Partial),
        Some((timeline, "history")) => {
            let timeline = upper_hex(timeline)?;
            (timeline > 1).then_some(WalFileName::History(Timeline(timeline)))
        }
        Some((segment, rest)) => {
            let offset = upper_hex(rest.strip_suffix(".backup")?)?;
            let segment = SegmentName::parse(segment, size)?;
            (offset < size.bytes()).then_some(WalFileName::BackupLabel { segment, offset })
        }
    }
}

/// Eight hexadecimal digits as PostgreSQL prints them; lower case is somebody else's file.
fn upper_hex(text: &str) -> Option<u32> {
    let is_upper = !text.bytes().any(|b| b.is_ascii_lowercase());
    if is_upper { hex_u32(text, 8..=8) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(timeline: u32, segment: u64) -> SegmentName {
        SegmentName { timeline: Timeline(timeline), segment: SegmentNumber(segment) }
    }

    #[test]
    fn names_of_postgresql() {
        let size = SegmentSize::DEFAULT;
        let cases = [
            ("000000010000000000000001", WalFileName::Segment(segment(1, 1))),
            ("000000020000000A000000FE", WalFileName::Segment(segment(2, 0xAFE))),
            ("000000020000000A000000FE.partial", WalFileName::Partial(segment(2, 0xAFE))),
            ("0000000B.history", WalFileName::History(Timeline(11))),
            (
                "000000010000000000000002.00000028.backup",
                WalFileName::BackupLabel { segment: segment(1, 2), offset: 0x28 },
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(WalFileName::parse(name, size), Ok(expected));
            assert_eq!(expected.to_file_name(size), name);
        }
    }

    #[test]
    fn the_segment_size_is_part_of_the_meaning() {
        let mebi = SegmentSize::new(1 << 20).unwrap();
        let name = "000000010000000200000FFF";
        assert_eq!(WalFileName::parse(name, mebi), Ok(WalFileName::Segment(segment(1, 0x2FFF))));
        assert!(WalFileName::parse(name, SegmentSize::DEFAULT).is_err());
    }

    #[test]
    fn anything_else_is_refused() {
        let names = [
            "",
            ".",
            "../000000010000000000000001",
            "00000001000000000000000",
            "0000000100000000000000010",
            "00000001000000000000000a",
            "00000000000000000000000100",
            "000000000000000000000001",
            "+00000010000000000000001",
            "00000001000000000000000\u{e9}",
            "000000010000000000000001.partial.partial",
            "000000010000000000000001.gz",
            "000000010000000000000001.",
            "00000001.history",
            "00000002.history.tmp",
            "2.history",
            "000000010000000000000002.00000028",
            "000000010000000000000002.28.backup",
            "000000010000000000000002.01000000.backup",
            "RECOVERYXLOG",
            "archive_status",
        ];
        for name in names {
            assert!(WalFileName::parse(name, SegmentSize::DEFAULT).is_err(), "{name:?}");
        }
    }

    fn any_name() -> impl Strategy<Value = (SegmentSize, WalFileName)> {
        let parts = (20_u32..=30, 1_u32.., any::<u32>(), any::<u32>(), 0..4_u8);
        parts.prop_map(|(shift, timeline, high, any, kind)| {
            let size = SegmentSize::new(1 << shift).unwrap();
            let per_half = size.segments_per_upper_half();
            let number = u64::from(high) * u64::from(per_half) + u64::from(any % per_half);
            let segment = segment(timeline, number);
            let name = match kind {
                0 => WalFileName::Segment(segment),
                1 => WalFileName::Partial(segment),
                2 => WalFileName::History(Timeline(timeline.max(2))),
                _ => WalFileName::BackupLabel { segment, offset: any % size.bytes() },
            };
            (size, name)
        })
    }

    proptest! {
        #[test]
        fn names_round_trip((size, name) in any_name()) {
            prop_assert_eq!(WalFileName::parse(&name.to_file_name(size), size), Ok(name));
        }

        #[test]
        fn what_is_parsed_is_printed_the_same(text in "[0-9A-F]{8}([0-9A-F]{13}0[0-9A-F]{2})?(\\.(partial|history|[0-9A-F]{8}\\.backup))?") {
            if let Ok(name) = WalFileName::parse(&text, SegmentSize::DEFAULT) {
                prop_assert_eq!(name.to_file_name(SegmentSize::DEFAULT), text);
            }
        }

        #[test]
        fn any_text_is_answered(text: String) {
            prop_assert!(WalFileName::parse(&text, SegmentSize::DEFAULT).is_err());
        }
    }
}
