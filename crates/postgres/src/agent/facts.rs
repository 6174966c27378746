//! What the WAL says, noted segment by segment while it passes.
//!
//! The stream is decoded once, in order, so that a record which reaches into the next segment is
//! counted where it ends. WAL that cannot be decoded is kept all the same: it is the server's, and
//! this is only what we know about it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use soter_vault::wal::{CommitTimes, WalFacts};

use crate::lsn::{Lsn, SegmentNumber, Timeline};
use crate::wal::decoder::{WalDecoder, WalError};
use crate::wal::header::WalIdentity;
use crate::wal::meaning::Meaning;

/// Segments whose facts were not asked for are forgotten beyond this number, oldest first.
const SEGMENTS_MAX: usize = 64;

/// Notes facts about one timeline's WAL.
#[derive(Debug)]
pub(crate) struct FactsKeeper {
    identity: WalIdentity,
    timeline: Timeline,
    decoder: Option<WalDecoder>,
    segments: BTreeMap<SegmentNumber, WalFacts>,
    last_commit: Option<Timestamp>,
    records_end: Option<Lsn>,
    problem: Option<WalError>,
}

impl FactsKeeper {
    /// Knows nothing yet.
    pub(crate) fn new(identity: WalIdentity, timeline: Timeline) -> Self {
        Self {
            identity,
            timeline,
            decoder: None,
            segments: BTreeMap::new(),
            last_commit: None,
            records_end: None,
            problem: None,
        }
    }

    /// The next bytes. Bytes that came before are left out; after a jump, or when the decoder gave
    /// up, it begins anew with the next segment.
    pub(crate) fn feed(&mut self, at: Lsn, bytes: &[u8]) {
        let (mut at, mut bytes) = (at, bytes);
        if let Some(decoder) = &self.decoder {
            let known = decoder.position().0.saturating_sub(at.0);
            let known = usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len());
            (at, bytes) = (Lsn(at.0 + known as u64), &bytes[known..]);
        }
        if bytes.is_empty() {
            return;
        }
        if self.decoder.as_ref().is_some_and(|decoder| decoder.position() == at) {
            self.decode(bytes);
            return;
        }
        self.decoder = None;
        let size = self.identity.segment_size;
        let next = Lsn(at.0.next_multiple_of(size.bytes_u64()));
        let skipped = usize::try_from(next.0 - at.0).unwrap_or(usize::MAX);
        if let Some(bytes) = bytes.get(skipped..) {
            let decoder = WalDecoder::new(self.identity, self.timeline, next.segment(size));
            self.decoder = Some(decoder);
            self.decode(bytes);
        }
    }

    fn decode(&mut self, bytes: &[u8]) {
        let size = self.identity.segment_size;
        let Some(decoder) = &mut self.decoder else { return };
        let (mut current, mut facts) = (SegmentNumber(u64::MAX), WalFacts::default());
        let (segments, last_commit) = (&mut self.segments, &mut self.last_commit);
        let mut records_end = self.records_end;
        let fed = decoder.feed(bytes, &mut |record| {
            let segment = record.end.segment_before(size);
            if segment != current {
                if facts.records > 0 {
                    segments.insert(current, facts);
                }
                (current, facts) = (segment, segments.get(&segment).copied().unwrap_or_default());
            }
            facts.records += 1;
            facts.records_end = Some(record.end.0);
            records_end = Some(record.end);
            if let Meaning::Commit(commit) = record.meaning {
                let time = commit.time;
                facts.commits += 1;
                let this = CommitTimes { earliest: time, latest: time };
                facts.commit_times = CommitTimes::join(facts.commit_times, Some(this));
                *last_commit = Some(last_commit.map_or(time, |last| last.max(time)));
            }
        });
        if facts.records > 0 {
            segments.insert(current, facts);
        }
        self.records_end = records_end;
        while self.segments.len() > SEGMENTS_MAX {
            self.segments.pop_first();
        }
        if let Err(problem) = fed {
            self.problem = Some(problem);
            self.decoder = None;
        }
    }

    /// What is known about a segment whose last byte has come; it is not kept any longer.
    pub(crate) fn take(&mut self, segment: SegmentNumber) -> WalFacts {
        self.segments.remove(&segment).unwrap_or_default()
    }

    /// The latest commit time.
    pub(crate) fn last_commit(&self) -> Option<Timestamp> {
        self.last_commit
    }

    /// The end of the last complete record.
    pub(crate) fn records_end(&self) -> Option<Lsn> {
        self.records_end
    }

    /// What could not be decoded, said once.
    pub(crate) fn take_problem(&mut self) -> Option<WalError> {
        self.problem.take()
    }
}
