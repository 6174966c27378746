//! WAL on its way from the vault into `pg_wal`: as far ahead of the replay as is needed to never keep
//! it waiting, and no farther, so that the room it takes does not grow with the WAL.
//!
//! ```text
//! replay ──▶ allowed up to ──▶ claimed ──▶ fetched, opened, written, synced ──▶ renamed
//! ```
//!
//! A segment appears under its name whole or not at all. Only what lies on the way to the chosen
//! timeline is fed, from the backup's start to the target, never over a gap: what is missing in
//! between ends the feeding with an error. The last segment is filled up with zeros.
//!
//! Replayed segments are removed by the server, at its restart points.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use soter_world::{Disk, durable};

use super::choice::{Choice, StopAt};
use super::error::RestoreError;
use super::gather::{Gathered, StoreReader};
use super::write::RestoreTarget;
use crate::backup::record::BackupRecord;
use crate::lsn::{Lsn, SegmentNumber, SegmentSize};
use crate::wal::name::SegmentName;

/// How far the feeding may be ahead of the replay: 1 GiB of segments of 16 MiB, which a replay takes
/// seconds for; enough to sit out a vault that pauses.
pub const SEGMENTS_AHEAD_MAX: u64 = 64;

/// How far the feeding is. It is shared between those who feed and the one who watches the replay.
#[derive(Debug)]
pub struct Feed {
    segment_size: SegmentSize,
    last: SegmentNumber,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The next segment that nobody has taken.
    next: SegmentNumber,
    /// Up to this one they may be taken.
    allowed: SegmentNumber,
    /// All before this one are in their place.
    fed_to: SegmentNumber,
    /// Those behind it that are, too.
    ahead: BTreeSet<SegmentNumber>,
    is_complete: bool,
    is_over: bool,
    failure: Option<RestoreError>,
}

impl Feed {
    /// Nothing is fed yet; it will be as the replay goes on.
    pub fn new(choice: &Choice, record: &BackupRecord) -> Self {
        let size = record.segment_size;
        let (first, last) = (record.start.segment(size), choice.wal_to.segment_before(size));
        let allowed = SegmentNumber(first.0 + SEGMENTS_AHEAD_MAX);
        Self::between(first, last, allowed, size)
    }

    /// Everything will be fed at once.
    pub fn whole(choice: &Choice, record: &BackupRecord) -> Self {
        let feed = Self::new(choice, record);
        feed.state().allowed = feed.last;
        feed
    }

    fn between(
        first: SegmentNumber,
        last: SegmentNumber,
        allowed: SegmentNumber,
        segment_size: SegmentSize,
    ) -> Self {
        let state = State {
            next: first,
            allowed,
            fed_to: first,
            ahead: BTreeSet::new(),
            is_complete: false,
            is_over: false,
            failure: None,
        };
        Self { segment_size, last, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The replay has come this far.
    pub fn replayed(&self, position: Lsn) {
        let SegmentNumber(segment) = position.segment(self.segment_size);
        self.allow(SegmentNumber(segment + SEGMENTS_AHEAD_MAX));
    }

    /// The server needs WAL up to here before it can say how far it is.
    pub fn needed(&self, position: Lsn) {
        self.allow(position.segment(self.segment_size));
    }

    fn allow(&self, segment: SegmentNumber) {
        let mut state = self.state();
        if state.allowed < segment {
            state.allowed = segment;
            self.changed.notify_all();
        }
    }

    /// Everything before this is in its place.
    pub fn fed_to(&self) -> Lsn {
        self.state().fed_to.start(self.segment_size)
    }

    /// Whether everything up to the target is in its place, durable.
    pub fn is_complete(&self) -> bool {
        self.state().is_complete
    }

    /// Why it ended early, if it did. It is handed out once.
    pub fn take_failure(&self) -> Option<RestoreError> {
        self.state().failure.take()
    }

    /// When what this returns is dropped, nothing more is needed.
    #[must_use]
    pub fn ending(&self) -> Ending<'_> {
        Ending(self)
    }

    /// Takes the next segment, as soon as it is allowed; `None` when there is nothing more to do.
    fn claim(&self) -> Option<SegmentNumber> {
        let may_not = |state: &mut State| {
            !state.is_over && state.next <= self.last && state.next > state.allowed
        };
        let waited = self.changed.wait_while(self.state(), may_not);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_over || state.next > self.last {
            return None;
        }
        let segment = state.next;
        state.next = segment.next();
        Some(segment)
    }

    fn placed(&self, segment: SegmentNumber) {
        let mut state = self.state();
        state.ahead.insert(segment);
        while let fed_to = state.fed_to
            && state.ahead.remove(&fed_to)
        {
            state.fed_to = fed_to.next();
        }
    }

    fn failed(&self, error: RestoreError) {
        let mut state = self.state();
        state.is_over = true;
        state.failure.get_or_insert(error);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a feed when it is dropped.
pub struct Ending<'a>(&'a Feed);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_all();
    }
}

/// Brings WAL from a vault into a data directory.
pub struct Feeder<'a> {
    /// The vault.
    pub reader: &'a StoreReader<'a>,
    /// What is in it.
    pub gathered: &'a Gathered,
    /// Where to, and so which WAL.
    pub choice: &'a Choice,
    /// Where it goes.
    pub target: &'a RestoreTarget<'a>,
}

impl Feeder<'_> {
    /// Feeds until everything is in its place, or somebody says that it is over. The outcome is in
    /// `feed`.
    pub fn run(&self, feed: &Feed) {
        std::thread::scope(|scope| {
            for _ in 0..self.target.workers.max(1) {
                scope.spawn(|| self.work(feed));
            }
        });
        if feed.state().fed_to <= feed.last {
            return;
        }
        let directory = self.target.directory.join("pg_wal");
        match self.target.disk.sync_dir(&directory) {
            Ok(()) => feed.state().is_complete = true,
            Err(source) => feed.failed(RestoreError::File { path: directory, source }),
        }
    }

    fn work(&self, feed: &Feed) {
        while let Some(segment) = feed.claim() {
            match self.place(segment, feed.segment_size) {
                Ok(()) => feed.placed(segment),
                Err(error) => return feed.failed(error),
            }
        }
    }

    fn place(&self, number: SegmentNumber, size: SegmentSize) -> Result<(), RestoreError> {
        let wal_to = self.choice.wal_to;
        let bytes = self.reader.segment(self.gathered, number)?;
        let mut bytes = bytes.ok_or(RestoreError::WalEnds { at: number.start(size) })?;
        let reached = Lsn(number.start(size).0 + bytes.len() as u64);
        let needed = number.end(size).min(wal_to);
        if reached < needed {
            return Err(RestoreError::WalEnds { at: reached });
        }
        if self.choice.stop_at == StopAt::EndOfWal {
            // An agent may have stored more since the end was decided: the replay ends there all the same.
            bytes.truncate(usize::try_from(needed.0 - number.start(size).0).unwrap_or(usize::MAX));
        }
        let bytes = soter_vault::wal::zero_filled(bytes, self.gathered.archive.segment_size);
        let history = &self.gathered.recoverable.history;
        let timeline = history.timeline_at(Lsn(needed.0.saturating_sub(1)));
        let name = SegmentName { timeline, segment: number }.to_file_name(size);
        self.target.wal_file(&name, &bytes)
    }
}

impl RestoreTarget<'_> {
    /// Puts a file into `pg_wal`, whole or not at all; the name is durable when its directory is
    /// synced.
    pub(super) fn wal_file(&self, name: &str, bytes: &[u8]) -> Result<(), RestoreError> {
        let path = self.directory.join("pg_wal").join(name);
        self.put_whole(&path, bytes).map_err(|source| RestoreError::File { path, source })
    }

    fn put_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let disk: &dyn Disk = self.disk;
        let (temporary, file) = durable::create_temporary(disk, path)?;
        file.write_at(0, bytes)?;
        self.own(&temporary)?;
        file.sync()?;
        disk.rename(&temporary, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u32 = 1 << 20;

    fn feed(first: u64, last: u64) -> Feed {
        let size = SegmentSize::new(SIZE).unwrap();
        let allowed = SegmentNumber(first + SEGMENTS_AHEAD_MAX);
        Feed::between(SegmentNumber(first), SegmentNumber(last), allowed, size)
    }

    fn in_segment(segment: u64) -> Lsn {
        Lsn(segment * u64::from(SIZE) + 5)
    }

    /// What is taken without waiting.
    fn claim_allowed(feed: &Feed) -> Vec<u64> {
        let count = {
            let state = feed.state();
            (state.allowed.min(feed.last).0 + 1).saturating_sub(state.next.0)
        };
        (0..count).map(|_| feed.claim().unwrap().0).collect()
    }

    #[test]
    fn no_more_is_taken_than_the_replay_allows() {
        let feed = feed(10, 200);
        assert_eq!(claim_allowed(&feed), (10..=74).collect::<Vec<_>>());
        feed.replayed(in_segment(10));
        assert!(claim_allowed(&feed).is_empty());
        feed.replayed(in_segment(13));
        assert_eq!(claim_allowed(&feed), [75, 76, 77]);
        feed.replayed(in_segment(11));
        assert!(claim_allowed(&feed).is_empty(), "a replay does not go back");
        feed.needed(in_segment(80));
        assert_eq!(claim_allowed(&feed), [78, 79, 80]);
        feed.replayed(in_segment(199));
        assert_eq!(claim_allowed(&feed), (81..=200).collect::<Vec<_>>(), "the target is the end");
        assert_eq!(feed.claim(), None);
    }

    #[test]
    fn what_is_fed_counts_only_without_a_gap() {
        let feed = feed(5, 9);
        claim_allowed(&feed);
        let fed_to = |segment: u64| {
            feed.placed(SegmentNumber(segment));
            feed.fed_to().0 / u64::from(SIZE)
        };
        assert_eq!([6, 8, 5, 7, 9].map(fed_to), [5, 5, 7, 9, 10]);
        assert!(!feed.is_complete(), "it is not durable yet");
    }

    #[test]
    fn a_waiting_worker_is_let_go() {
        let feed = feed(1, 1000);
        claim_allowed(&feed);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| feed.claim());
            feed.failed(RestoreError::NothingThere);
            assert_eq!(waiting.join().unwrap(), None);
        });
        assert!(matches!(feed.take_failure(), Some(RestoreError::NothingThere)));
        assert!(feed.take_failure().is_none());
    }
}
