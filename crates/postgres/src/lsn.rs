//! Positions in the write-ahead log: LSN, timeline, segment size, segment number.
//!
//! An LSN is a byte offset in one endless log. It is printed as PostgreSQL prints it, and stored
//! (JSON, metadata) as that text, because people compare it with the output of `psql`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A position in the write-ahead log, in bytes from its beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// What PostgreSQL calls `InvalidXLogRecPtr`: no position.
    pub const INVALID: Self = Self(0);

    /// Whether this is a position at all; zero stands for "none" in PostgreSQL's structures.
    pub fn is_valid(self) -> bool {
        self != Self::INVALID
    }

    /// The segment that holds the byte at this position.
    pub fn segment(self, size: SegmentSize) -> SegmentNumber {
        SegmentNumber(self.0 / size.bytes_u64())
    }

    /// The segment that holds the byte *before* this position: for a position that is an end.
    pub fn segment_before(self, size: SegmentSize) -> SegmentNumber {
        SegmentNumber(self.0.saturating_sub(1) / size.bytes_u64())
    }

    /// How far into its segment this position is.
    pub fn offset_in_segment(self, size: SegmentSize) -> u32 {
        u32::try_from(self.0 % size.bytes_u64()).expect("a remainder is below the segment size")
    }

    /// This position rounded down to the start of its segment.
    pub fn start_of_segment(self, size: SegmentSize) -> Self {
        Self(self.0 - self.0 % size.bytes_u64())
    }

    /// The position `bytes` further on, unless the log ends before.
    pub fn checked_add(self, bytes: u64) -> Option<Self> {
        self.0.checked_add(bytes).map(Self)
    }

    /// The position `bytes` earlier, unless that is before the beginning of the log.
    pub fn checked_sub(self, bytes: u64) -> Option<Self> {
        self.0.checked_sub(bytes).map(Self)
    }

    /// How many bytes lie between `earlier` and this position, if it is not after it.
    pub fn bytes_since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lsn({self})")
    }
}

/// The text is not an LSN; say it as `16/B374D848`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a WAL position (expected two hexadecimal numbers as in 16/B374D848)")]
pub struct LsnParseError {
    /// What was given.
    pub text: String,
}

impl FromStr for Lsn {
    type Err = LsnParseError;

    fn from_str(text: &str) -> Result<Self, LsnParseError> {
        let half = |part: &str| hex_u32(part, 1..=8);
        let parsed = text.split_once('/').and_then(|(high, low)| {
            Some(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
        });
        parsed.ok_or_else(|| LsnParseError { text: text.to_owned() })
    }
}

impl Serialize for Lsn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A hexadecimal number without sign, with an allowed number of digits; both cases of letters.
pub(crate) fn hex_u32(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let is_hex = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex { u32::from_str_radix(text, 16).ok() } else { None }
}

/// A line of history of a cluster: every promotion and point-in-time recovery begins a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline(pub u32);

impl Timeline {
    /// The timeline a new cluster begins with. It has no history file.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The size of a cluster's WAL segment files: a power of two from 1 MiB to 1 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SegmentSize(u32);

impl SegmentSize {
    /// 16 MiB, what `initdb` chooses unless told.
    pub const DEFAULT: Self = Self(16 << 20);

    /// A segment size in bytes, refused unless PostgreSQL would accept it.
    pub fn new(bytes: u32) -> Result<Self, SegmentSizeError> {
        if bytes.is_power_of_two() && (1 << 20..=1 << 30).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(SegmentSizeError { bytes })
        }
    }

    /// The size in bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }

    /// The size in bytes, in the width of WAL arithmetic.
    pub fn bytes_u64(self) -> u64 {
        u64::from(self.0)
    }

    /// How many segments one value of an LSN's upper half covers; file names count so.
    pub fn segments_per_upper_half(self) -> u32 {
        u32::try_from((1_u64 << 32) / self.bytes_u64()).expect("sizes are 1 MiB or more")
    }
}

/// No cluster has segments of this size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a WAL segment cannot have {bytes} bytes (a power of two from 1 MiB to 1 GiB)")]
pub struct SegmentSizeError {
    /// What was given.
    pub bytes: u32,
}

impl TryFrom<u32> for SegmentSize {
    type Error = SegmentSizeError;

    fn try_from(bytes: u32) -> Result<Self, SegmentSizeError> {
        Self::new(bytes)
    }
}

impl From<SegmentSize> for u32 {
    fn from(size: SegmentSize) -> Self {
        size.0
    }
}

/// Which segment of the log, counted from its beginning in units of the segment size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentNumber(pub u64);

impl SegmentNumber {
    /// The segment's first byte. Numbers beyond the end of the log give its end.
    pub fn start(self, size: SegmentSize) -> Lsn {
        Lsn(self.0.saturating_mul(size.bytes_u64()))
    }

    /// The first byte after the segment.
    pub fn end(self, size: SegmentSize) -> Lsn {
        Lsn(self.start(size).0.saturating_add(size.bytes_u64()))
    }

    /// The segment after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_like_postgresql() {
        assert_eq!(Lsn(0x0300_0060).to_string(), "0/3000060");
        assert_eq!(Lsn(0x16_B374_D848).to_string(), "16/B374D848");
        assert_eq!(Lsn(u64::MAX).to_string(), "FFFFFFFF/FFFFFFFF");
        assert_eq!(serde_json::to_string(&Lsn(0x1_0000_0000)).unwrap(), "\"1/0\"");
    }

    #[test]
    fn parses_only_positions() {
        assert_eq!("16/b374d848".parse(), Ok(Lsn(0x16_B374_D848)));
        assert_eq!("0/03000060".parse(), Ok(Lsn(0x0300_0060)));
        for text in ["", "/", "0", "0/", "/0", "+1/0", "0/123456789", "0/1 ", "x/1", "1/2/3"] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn segment_arithmetic() {
        let size = SegmentSize::DEFAULT;
        let lsn = Lsn(0x0300_0060);
        assert_eq!(lsn.segment(size), SegmentNumber(3));
        assert_eq!(lsn.offset_in_segment(size), 0x60);
        assert_eq!(lsn.start_of_segment(size), Lsn(0x0300_0000));
        assert_eq!(Lsn(0x0300_0000).segment_before(size), SegmentNumber(2));
        assert_eq!(SegmentNumber(2).end(size), SegmentNumber(3).start(size));
        assert_eq!(Lsn(u64::MAX).checked_add(1), None);
        assert_eq!(lsn.bytes_since(Lsn(0x0300_0000)), Some(0x60));
        assert_eq!(Lsn(1).bytes_since(lsn), None);
    }

    #[test]
    fn segment_sizes_are_those_of_initdb() {
        for bytes in [0, 1, 512 << 10, (16 << 20) + 1, 24 << 20, 1 << 31] {
            assert!(SegmentSize::new(bytes).is_err(), "{bytes}");
        }
        for shift in 20..=30 {
            assert!(SegmentSize::new(1 << shift).is_ok());
        }
        assert!(serde_json::from_str::<SegmentSize>("3").is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips(value: u64) {
            let lsn = Lsn(value);
            prop_assert_eq!(lsn.to_string().parse::<Lsn>(), Ok(lsn));
            let json = serde_json::to_string(&lsn).unwrap();
            prop_assert_eq!(serde_json::from_str::<Lsn>(&json).unwrap(), lsn);
        }

        #[test]
        fn a_position_is_its_segment_and_offset(value: u64, shift in 20_u32..=30) {
            let size = SegmentSize::new(1 << shift).unwrap();
            let lsn = Lsn(value);
            let start = lsn.segment(size).start(size);
            prop_assert_eq!(start, lsn.start_of_segment(size));
            prop_assert_eq!(
                start.checked_add(u64::from(lsn.offset_in_segment(size))), Some(lsn));
        }
    }
}
