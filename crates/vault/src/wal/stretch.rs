//! To which positions a cluster can be brought back: a pure function of backups and WAL.

use super::coverage::{Range, Span};
use crate::log::WalRange;

/// Positions of one timeline that can all be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The timeline.
    pub timeline: u32,
    /// The first: the end of the oldest backup that leads here. Where a timeline without one of its
    /// own goes on from an earlier one, the start of its first segment, which holds the branch.
    pub from: u64,
    /// One behind the last.
    pub to: u64,
}

/// What `backups` and the WAL of one life of a cluster reach, in order of the timelines. A position is
/// reached from a backup that ends at or before it if the WAL from the backup's start on is there
/// without a gap, on its own timeline or on one that branches off it.
pub fn stretches(backups: &[WalRange], ranges: &[Range]) -> Vec<Stretch> {
    let mut ranges: Vec<&Range> = ranges.iter().collect();
    ranges.sort_unstable_by_key(|range| range.timeline);
    let mut reached: Vec<Stretch> = Vec::new();
    for range in ranges {
        let timeline = range.timeline;
        let mut new = Vec::new();
        for (from, to) in whole(range) {
            let own = backups.iter().filter(|backup| {
                backup.timeline == timeline && from <= backup.from && backup.to <= to
            });
            let own = own.map(|backup| backup.to).min();
            // The first segment of a timeline begins with a copy of the one it branched off in.
            let is_first = from == range.from && timeline > 1;
            let parents = reached.iter().filter(|it| is_first && it.from <= to && from <= it.to);
            let inherited = parents.map(|parent| parent.from.max(from)).min();
            if let Some(from) = own.into_iter().chain(inherited).min() {
                new.push(Stretch { timeline, from, to });
            }
        }
        reached.extend(new);
    }
    reached
}

/// The parts of a range between its gaps.
pub(crate) fn whole(range: &Range) -> Vec<Span> {
    let mut from = range.from;
    let mut spans = Vec::new();
    for (gap, behind) in &range.gaps {
        spans.push((from, *gap));
        from = *behind;
    }
    spans.push((from, range.to));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::sample::incarnation;

    fn backup(timeline: u32, from: u64, to: u64) -> WalRange {
        WalRange { incarnation: incarnation(1).id, timeline, from, to, segment_bytes: 1 << 20 }
    }

    fn range(timeline: u32, from: u64, to: u64, gaps: &[Span]) -> Range {
        Range { timeline, from, to, sealed_to: Some(to), gaps: gaps.to_vec() }
    }

    fn check(backups: &[WalRange], ranges: &[Range], expected: &[(u32, u64, u64)]) {
        let found: Vec<_> =
            stretches(backups, ranges).iter().map(|it| (it.timeline, it.from, it.to)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stretch_begins_where_the_first_backup_ends_and_ends_at_a_gap() {
        let backups = [backup(1, 20, 25), backup(1, 40, 45), backup(1, 62, 70)];
        check(&backups, &[range(1, 10, 100, &[])], &[(1, 25, 100)]);
        check(&backups, &[range(1, 10, 100, &[(50, 60)])], &[(1, 25, 50), (1, 70, 100)]);
        check(&backups, &[range(1, 10, 100, &[(22, 30)])], &[(1, 45, 100)]);
        check(&backups, &[range(1, 65, 100, &[])], &[]);
        check(&[], &[range(1, 10, 100, &[])], &[]);
    }

    #[test]
    fn a_later_timeline_goes_on_where_it_branched_off() {
        let backups = [backup(1, 20, 25)];
        let first = range(1, 10, 100, &[]);
        check(&backups, &[range(2, 90, 200, &[]), first.clone()], &[(1, 25, 100), (2, 90, 200)]);
        let behind = range(2, 110, 200, &[]);
        check(&backups, &[first.clone(), behind], &[(1, 25, 100)]);
        let with_gap = range(2, 90, 200, &[(120, 130)]);
        check(&backups, &[first, with_gap], &[(1, 25, 100), (2, 90, 120)]);
    }
}
