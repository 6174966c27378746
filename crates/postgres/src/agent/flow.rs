//! What becomes of the bytes of one timeline: received, cut into parts, durable, sealed.
//!
//! ```text
//!  start            durable      cut         received
//!    ├────────────────┼───────────┼─────────────┤
//!    │ acknowledged   │ in flight │ waiting     │
//! ```
//!
//! Bookkeeping without IO: threads and the simulation ask it what to do next and tell it what was
//! done. The rules it keeps: `flush` never says more than is durable without a gap, and never goes
//! back; a part never reaches across the end of a segment; every byte is covered by a part or by the
//! seal of its segment.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::progress::Progress;
use crate::lsn::{Lsn, SegmentNumber, SegmentSize};

/// The longest part in bytes. With eight lanes and two seals under way it keeps the agent's memory
/// well below 100 MiB, and it is long enough that a request costs nothing beside it.
pub(crate) const PART_BYTES_MAX: u32 = 2 << 20;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: parts are cut at an interval.
    Asynchronous {
        /// How long bytes wait for more to come before they are sent. Less loses less in a disaster
        /// and makes more objects.
        part_interval: Duration,
    },
    /// Its WAL is durable in the vault: what is there is sent as soon as a lane is free.
    Synchronous,
}

/// Some bytes of a segment, to be stored as a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartRange {
    pub(crate) segment: SegmentNumber,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next<T> {
    /// This, now.
    Now(T),
    /// Something, but not for so long.
    In(Duration),
    /// Nothing until something happens.
    Nothing,
}

/// The state of one timeline's WAL.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    size: SegmentSize,
    mode: Mode,
    received: Lsn,
    cut: Lsn,
    progress: Progress,
    /// Up to where the spool was synced to disk. Counts as flushed only if the mode allows it.
    spooled: Lsn,
    /// When the first byte came that has not been cut yet.
    waiting_since: Option<Duration>,
    /// Whoever waits for an end of this does not want to wait for more bytes.
    is_hurried: bool,
    parts_in_flight: usize,
    /// Complete segments that are not sealed.
    unsealed: BTreeMap<SegmentNumber, Unsealed>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Unsealed {
    is_running: bool,
    /// Some of its bytes are in no part: they become durable by the seal.
    is_awaited: bool,
}

impl Flow {
    /// The WAL from `start`, the beginning of a segment, of which what lies before `received` is
    /// synced in the spool already, but is not known to be durable in the vault.
    pub(crate) fn new(size: SegmentSize, mode: Mode, start: Lsn, received: Lsn) -> Self {
        let mut flow = Self {
            size,
            mode,
            received: start,
            cut: start,
            progress: Progress::new(start),
            spooled: Lsn::INVALID,
            waiting_since: None,
            is_hurried: false,
            parts_in_flight: 0,
            unsealed: BTreeMap::new(),
        };
        flow.received(received.max(start), Duration::ZERO);
        // It was acknowledged when it was synced, and stays so.
        flow.spool_synced(flow.received);
        flow
    }

    /// Bytes up to `to` are there.
    pub(crate) fn received(&mut self, to: Lsn, now: Duration) {
        if to <= self.received {
            return;
        }
        let first_incomplete = self.received.segment(self.size).0;
        for segment in first_incomplete..to.segment(self.size).0 {
            self.unsealed.insert(SegmentNumber(segment), Unsealed::default());
        }
        self.received = to;
        self.waiting_since = self.waiting_since.or(Some(now));
        self.pass_whole_segments(now);
    }

    /// A complete segment of which nothing was cut needs no parts: its seal makes it durable, or has
    /// done so.
    fn pass_whole_segments(&mut self, now: Duration) {
        let mut segment = self.cut.segment(self.size);
        if self.cut != segment.start(self.size) {
            return;
        }
        while segment.end(self.size) <= self.received {
            if let Some(unsealed) = self.unsealed.get_mut(&segment) {
                unsealed.is_awaited = true;
            }
            segment = segment.next();
        }
        if segment.start(self.size) > self.cut {
            self.move_cut(segment.start(self.size), now);
        }
    }

    /// The rest of a complete segment becomes durable by its seal.
    fn leave_to_seal(&mut self, segment: SegmentNumber, now: Duration) {
        if let Some(unsealed) = self.unsealed.get_mut(&segment) {
            unsealed.is_awaited = true;
        }
        self.move_cut(segment.end(self.size), now);
        self.pass_whole_segments(now);
    }

    /// What lies before `to` needs no part any more; what lies behind it begins to wait.
    fn move_cut(&mut self, to: Lsn, now: Duration) {
        self.cut = to;
        self.waiting_since = (self.cut < self.received).then_some(now);
    }

    /// The next part to store, if fewer than `lanes` are under way.
    pub(crate) fn next_part(&mut self, now: Duration, lanes: usize) -> Next<PartRange> {
        let segment = self.cut.segment(self.size);
        if self.may_wait_for_seal() && segment.end(self.size) <= self.received {
            self.leave_to_seal(segment, now);
        }
        if self.cut >= self.received || self.parts_in_flight >= lanes {
            return Next::Nothing;
        }
        let waited = now.saturating_sub(self.waiting_since.unwrap_or(now));
        if let Mode::Asynchronous { part_interval } = self.mode
            && !self.is_hurried
            && waited < part_interval
        {
            return Next::In(part_interval - waited);
        }
        let segment = self.cut.segment(self.size);
        let end = self.received.min(segment.end(self.size));
        let from = self.cut.offset_in_segment(self.size);
        let length = (end.0 - self.cut.0).min(u64::from(PART_BYTES_MAX));
        let length = u32::try_from(length).expect("it is at most PART_BYTES_MAX");
        self.cut.0 += u64::from(length);
        self.parts_in_flight += 1;
        if self.cut == self.received {
            self.waiting_since = None;
        }
        self.pass_whole_segments(now);
        Next::Now(PartRange { segment, from, to: from + length })
    }

    /// Whether there is something to cut, now or later, for one more lane.
    pub(crate) fn wants_lane(&self, lanes: usize) -> bool {
        self.cut < self.received && self.parts_in_flight < lanes
    }

    /// When nobody waits for it, the rest of a segment that is complete travels with its seal, which
    /// comes at once.
    fn may_wait_for_seal(&self) -> bool {
        matches!(self.mode, Mode::Asynchronous { .. }) && !self.is_hurried
    }

    /// A part was stored. Returns whether more may be acknowledged.
    pub(crate) fn part_stored(&mut self, part: PartRange) -> bool {
        self.parts_in_flight = self.parts_in_flight.saturating_sub(1);
        let start = part.segment.start(self.size);
        let range = Lsn(start.0 + u64::from(part.from))..Lsn(start.0 + u64::from(part.to));
        self.durable(range)
    }

    /// The next segment to seal: first those that hold up acknowledgement, in order.
    pub(crate) fn next_seal(&mut self) -> Option<SegmentNumber> {
        let mut idle = self.unsealed.iter_mut().filter(|(_, unsealed)| !unsealed.is_running);
        let first = idle.next()?;
        let (segment, unsealed) = if first.1.is_awaited {
            first
        } else {
            idle.find(|(_, unsealed)| unsealed.is_awaited).unwrap_or(first)
        };
        unsealed.is_running = true;
        Some(*segment)
    }

    /// A segment was sealed. Returns whether more may be acknowledged.
    pub(crate) fn segment_sealed(&mut self, segment: SegmentNumber, now: Duration) -> bool {
        self.unsealed.remove(&segment);
        if self.cut.segment(self.size) == segment {
            self.leave_to_seal(segment, now);
        }
        self.durable(segment.start(self.size)..segment.end(self.size))
    }

    /// The spool is synced up to here. Returns whether more may be acknowledged.
    pub(crate) fn spool_synced(&mut self, to: Lsn) -> bool {
        let before = self.flush();
        self.spooled = self.spooled.max(to.min(self.received));
        self.flush() > before
    }

    fn durable(&mut self, range: Range<Lsn>) -> bool {
        let before = self.flush();
        self.progress.add(range);
        self.flush() > before
    }

    /// No more bytes will come soon: what is there is cut without waiting for more.
    pub(crate) fn hurry(&mut self) {
        self.is_hurried = true;
    }

    /// Bytes come again.
    pub(crate) fn relax(&mut self) {
        self.is_hurried = false;
    }

    /// Up to where the server may be told that its WAL is safe.
    pub(crate) fn flush(&self) -> Lsn {
        match self.mode {
            Mode::Synchronous => self.durable_end(),
            Mode::Asynchronous { .. } => self.durable_end().max(self.spooled),
        }
    }

    /// The end of what is durable in the vault without a gap.
    pub(crate) fn durable_end(&self) -> Lsn {
        self.progress.prefix()
    }

    /// The end of what is there.
    pub(crate) fn received_end(&self) -> Lsn {
        self.received
    }

    /// How long the oldest byte that was not cut has waited.
    #[cfg(test)]
    pub(crate) fn waiting_since(&self) -> Option<Duration> {
        self.waiting_since
    }

    /// Bytes that are there and not durable in the vault.
    pub(crate) fn lag_bytes(&self) -> u64 {
        self.received.0 - self.durable_end().0.min(self.received.0)
    }

    /// Whether all that was received is durable in the vault.
    pub(crate) fn is_drained(&self) -> bool {
        self.durable_end() >= self.received
    }

    /// The end of what was synced in the spool.
    pub(crate) fn spooled_end(&self) -> Lsn {
        self.spooled
    }

    /// What a commit waits for.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a segment is complete and not sealed.
    pub(crate) fn is_unsealed(&self, segment: SegmentNumber) -> bool {
        self.unsealed.contains_key(&segment)
    }

    /// The first segment that is not sealed, complete or not.
    pub(crate) fn first_unsealed(&self) -> SegmentNumber {
        let in_the_making = self.received.segment(self.size);
        self.unsealed.keys().next().copied().unwrap_or(in_the_making)
    }

    /// Whether the spool stands in for the vault with a segment, or may come to do so.
    pub(crate) fn may_stand_in(&self, segment: SegmentNumber) -> bool {
        matches!(self.mode, Mode::Asynchronous { .. }) || segment.start(self.size) < self.spooled
    }

    /// Whether a segment waits for somebody to seal it.
    pub(crate) fn has_seal(&self) -> bool {
        self.unsealed.values().any(|unsealed| !unsealed.is_running)
    }

    /// Complete segments that are not sealed.
    #[cfg(test)]
    pub(crate) fn unsealed(&self) -> usize {
        self.unsealed.len()
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "a test's small numbers")]
mod tests;
