//! All WAL that a store has, whoever wrote it: what stays believed when an agent is removed.

use super::archive::WalVault;
use super::coverage::Range;
use super::error::WalError;
use super::place::{Archive, SegmentSize};
use super::stretch::whole;
use crate::ids::IncarnationId;
use crate::log::{Log, LogError, WalRange};
use crate::sweep::Listing;

/// The WAL of every life of the store's cluster, without its gaps. Of a life that has neither a backup
/// nor a sealed segment nothing is known: its parts bring nothing back.
///
/// # Errors
/// The store's.
pub fn stored_wal(log: &Log) -> Result<Vec<WalRange>, LogError> {
    let (vault, store) = (log.vault(), log.catalogue().place().store);
    let listing = Listing::read(&*vault.objects, store)?;
    let mut stored = Vec::new();
    for incarnation in listing.incarnations() {
        let size = match known_size(log, incarnation) {
            Some(size) => Some(size),
            None => listing.read_segment_size(&*vault.objects, log.trust(), incarnation)?,
        };
        let Some(segment_size) = size else { continue };
        let archive = Archive { store, incarnation, segment_size };
        let (store, clock) = (&*vault.objects, &*vault.clock);
        let ranges = WalVault { store, clock, trust: log.trust(), archive }.ranges();
        let ranges = ranges.map_err(|error| match error {
            WalError::Store(error) => LogError::Store(error),
            other => LogError::Wal(Box::new(other)),
        })?;
        stored.extend(ranges.iter().flat_map(|range| without_gaps(archive, range)));
    }
    Ok(stored)
}

fn known_size(log: &Log, incarnation: IncarnationId) -> Option<SegmentSize> {
    let backups = log.catalogue().backups();
    let mut ranges = backups.iter().rev().filter_map(|backup| backup.wal);
    SegmentSize::new(ranges.find(|wal| wal.incarnation == incarnation)?.segment_bytes)
}

fn without_gaps(archive: Archive, range: &Range) -> Vec<WalRange> {
    let of = |(from, to): (u64, u64)| WalRange {
        incarnation: archive.incarnation,
        timeline: range.timeline,
        from,
        to,
        segment_bytes: archive.segment_size.bytes(),
    };
    whole(range).into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{StoreEnd, Trust};
    use crate::log::Duty;
    use crate::log::sample::{Bench, wal};
    use crate::wal::{Fault, Segment};
    use std::collections::BTreeMap;

    /// A removed agent still has its key, an old trust list, and may write to the bucket.
    #[test]
    fn what_a_removed_agent_writes_later_is_not_believed() {
        let mut bench = Bench::new(52);
        let session = bench.open(Duty::Wal);
        [3, 4, 6].iter().for_each(|number| drop(bench.push_wal(*number)));
        bench.back_up_with_wal(&session, 3, 4);
        let stored = stored_wal(&bench.log()).unwrap();
        assert_eq!(stored, [wal(3, 4), wal(6, 6)]);

        let store = bench.keys.writer.store;
        let mut list = bench.keys.trust.newest().clone();
        let ends = BTreeMap::from([(store, StoreEnd { entries: 9, wal: stored })]);
        list.remove_signer(&bench.keys.writer.signer.public(), &ends).unwrap();
        list.number = 2;
        let old = bench.keys.trust.all().cloned();
        let new = (list, crate::ids::Digest([0; 32]));
        // What it signs with the old list in its hands.
        [5, 7].iter().for_each(|number| drop(bench.push_wal(*number)));
        bench.keys.trust = Trust::from_lists(old.chain([new])).unwrap();

        let (objects, clock) = (&*bench.vault.objects, &*bench.vault.clock);
        let (trust, archive) = (&bench.keys.trust, bench.archive());
        let vault = WalVault { store: objects, clock, trust, archive };
        let is_there = |number| {
            let file = archive.segment_file(Segment { timeline: 1, number });
            match vault.locate(&file) {
                Ok(located) => located.is_some(),
                Err(WalError::Damaged { findings, .. }) => {
                    assert!(matches!(findings[0].fault, Fault::Ended { .. }), "{findings:?}");
                    false
                }
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!([3, 4, 5, 6, 7].map(is_there), [true, true, false, true, false]);
    }
}
