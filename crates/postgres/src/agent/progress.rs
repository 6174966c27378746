//! What is durable of a timeline's WAL: a beginning without gaps, and islands behind it.
//!
//! Parts become durable in any order. What may be acknowledged is the beginning alone: a restore
//! cannot use what lies behind a gap.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::lsn::Lsn;

/// Ranges that are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    prefix: Lsn,
    /// Ends by starts; no two of them touch, and none touches the prefix.
    islands: BTreeMap<Lsn, Lsn>,
}

impl Progress {
    /// Everything before `prefix` is durable, or is somebody else's business.
    pub(crate) fn new(prefix: Lsn) -> Self {
        Self { prefix, islands: BTreeMap::new() }
    }

    /// The end of what is durable without a gap.
    pub(crate) fn prefix(&self) -> Lsn {
        self.prefix
    }

    /// Bytes that are durable, but behind a gap.
    #[cfg(test)]
    pub(crate) fn island_bytes(&self) -> u64 {
        self.islands.iter().map(|(start, end)| end.0 - start.0).sum()
    }

    /// A range has become durable. Returns whether the prefix has grown.
    pub(crate) fn add(&mut self, range: Range<Lsn>) -> bool {
        let Range { mut start, mut end } = range;
        if start >= end || end <= self.prefix {
            return false;
        }
        // Islands that begin within the range or where it ends; at most one begins before it.
        while let Some((&from, &to)) = self.islands.range(..=end).next_back()
            && to >= start
        {
            start = start.min(from);
            end = end.max(to);
            self.islands.remove(&from);
        }
        if start > self.prefix {
            self.islands.insert(start, end);
            return false;
        }
        self.prefix = end;
        true
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "a test's small numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(from: u64, to: u64) -> Range<Lsn> {
        Lsn(from)..Lsn(to)
    }

    #[test]
    fn only_what_has_no_gap_counts() {
        let mut progress = Progress::new(Lsn(10));
        assert!(!progress.add(range(20, 30)));
        assert!(!progress.add(range(40, 50)));
        assert_eq!((progress.prefix(), progress.island_bytes()), (Lsn(10), 20));
        assert!(progress.add(range(10, 20)));
        assert_eq!((progress.prefix(), progress.island_bytes()), (Lsn(30), 10));
        assert!(!progress.add(range(5, 25)));
        assert!(progress.add(range(25, 45)));
        assert_eq!((progress.prefix(), progress.island_bytes()), (Lsn(50), 0));
    }

    proptest! {
        #[test]
        fn it_is_what_a_map_of_bytes_says(
            ranges in prop::collection::vec((0_u64..60, 0_u64..20), 0..30),
        ) {
            let mut progress = Progress::new(Lsn(7));
            let mut bytes: Vec<bool> = (0..100).map(|at| at < 7).collect();
            for (from, length) in ranges {
                bytes[from as usize..(from + length) as usize].fill(true);
                let before = progress.prefix();
                let grown = progress.add(range(from, from + length));
                let first_missing = bytes.iter().position(|known| !known).unwrap() as u64;
                prop_assert_eq!(progress.prefix(), Lsn(first_missing));
                prop_assert_eq!(grown, progress.prefix() > before);
                let behind = bytes[first_missing as usize..].iter().filter(|known| **known);
                prop_assert_eq!(progress.island_bytes(), behind.count() as u64);
            }
        }
    }
}
