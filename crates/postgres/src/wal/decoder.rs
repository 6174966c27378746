//! The WAL decoder: bytes in, records out.
//!
//! It is fed the bytes of one timeline in order from the start of a segment, cut in whatever way
//! they arrive, and hands out every record that is complete and whose checksum is right. What
//! recovery would accept it accepts; where recovery would stop it stops, and says where and why.
//! The result does not depend on how the bytes were cut.
//!
//! ```text
//! page header → [rest of a record] → record → padding → record → … → [beginning of a record]
//! ```
//!
//! Feed only bytes that were written: zeros behind them are taken for the end of the log, but zeros
//! in the middle of a record are damage.

use jiff::Timestamp;
use thiserror::Error;

use super::assembly::{Assembly, Pushed, RecordError};
use super::header::{LONG_BYTES, LongHeader, PageHeader, SHORT_BYTES, WAL_PAGE_BYTES, WalIdentity};
use super::meaning::{CheckpointRecord, Meaning, TransactionEnd};
use super::record::{Record, ResourceManager};
use crate::cluster::SystemIdentifier;
use crate::lsn::{Lsn, SegmentNumber, Timeline};

/// Records begin at multiples of this.
const ALIGNMENT: u64 = 8;

/// No log comes this far; before it, positions can be computed without overflow.
const POSITION_MAX: Lsn = Lsn(u64::MAX - (1 << 32));

/// Turns bytes into records; see the module's description.
#[derive(Debug)]
pub struct WalDecoder {
    identity: WalIdentity,
    /// The newest timeline a page may be of.
    timeline: Timeline,
    /// The timeline of the page before; pages never go back to an older one.
    page_timeline: Option<Timeline>,
    /// Where the next byte belongs.
    position: Lsn,
    page_header: [u8; LONG_BYTES],
    state: State,
    record_start: Lsn,
    assembly: Assembly,
    /// Where the last complete record begins; the next one must refer to it.
    last_start: Option<Lsn>,
    /// A record that a crash left unfinished, until the server has declared it void.
    dropped: Option<Lsn>,
    facts: WalFacts,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing was read yet.
    Start,
    /// Skipping the rest of a record that began before.
    Orphan {
        remaining_bytes: u32,
    },
    /// In a record, or before one.
    Records,
    /// The rest of a segment is of no use.
    Switched {
        until: Lsn,
    },
    /// Zeros instead of a record or page.
    Ended {
        at: Lsn,
    },
    Failed(WalError),
}

/// What has become of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// They are read; there can be more.
    More,
    /// The log ends at `at`: there are only zeros. What follows is not looked at.
    End {
        /// Where the first zero is.
        at: Lsn,
    },
}

/// What the decoder has learnt so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WalFacts {
    /// How many complete records there were.
    pub records: u64,
    /// The last complete record: replay can come as far as its end.
    pub last_record: Option<RecordPlace>,
    /// The last commit.
    pub last_commit: Option<Commit>,
    /// The latest time that any commit or abort names: a recovery to an earlier time will find its
    /// end. It need not be the last one's, since clocks go back.
    pub time_max: Option<Timestamp>,
    /// The last checkpoint and where its record begins.
    pub last_checkpoint: Option<(Lsn, CheckpointRecord)>,
    /// The last beginning of a timeline.
    pub last_timeline_begin: Option<TimelineBegin>,
    /// All restore points since they were last taken by [`WalDecoder::take_restore_points`].
    pub restore_points: Vec<RestorePoint>,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// Its first byte.
    pub start: Lsn,
    /// Where the next one begins.
    pub end: Lsn,
}

/// A commit and where its record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Its record.
    pub place: RecordPlace,
    /// Which transaction, and when.
    pub transaction: TransactionEnd,
}

/// The record with which a timeline begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineBegin {
    /// Where the record begins.
    pub at: Lsn,
    /// The timeline that begins.
    pub timeline: Timeline,
    /// The one that was left.
    pub previous_timeline: Timeline,
}

/// A position with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePoint {
    /// Its record; recovery to it ends at the record's end.
    pub place: RecordPlace,
    /// The name. It need not be the only one of that name; recovery takes the first it meets.
    pub name: String,
    /// When it was made.
    pub time: Timestamp,
}

/// The bytes at `lsn` are not what recovery would go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the WAL at {lsn} cannot be read")]
pub struct WalError {
    /// The page or record that is wrong.
    pub lsn: Lsn,
    /// What is wrong with it.
    #[source]
    pub problem: WalProblem,
}

/// What is wrong with a page or record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum WalProblem {
    #[error("a page begins with {found:04X} instead of {expected:04X}")]
    Magic { found: u16, expected: u16 },
    #[error("a page has impossible flags {flags:04X}")]
    Flags { flags: u16 },
    #[error("a page belongs to {found}")]
    Address { found: Lsn },
    #[error("a page belongs to timeline {found}, after timeline {before} and up to {newest}")]
    Timeline { found: Timeline, before: Timeline, newest: Timeline },
    #[error("a segment belongs to the cluster {found}")]
    Cluster { found: SystemIdentifier },
    #[error("a segment says it has {segment} bytes and pages of {page}")]
    Sizes { segment: u32, page: u32 },
    #[error("the rest of the record is missing")]
    ContinuationMissing,
    #[error("a page goes on with a record that did not begin")]
    ContinuationUnexpected,
    #[error("{found} bytes of the record are said to follow, {expected} are missing")]
    ContinuationLength { found: u32, expected: u32 },
    #[error("the record refers to one at {found}, but the one before is at {expected}")]
    Previous { found: Lsn, expected: Lsn },
    #[error("the record belongs to the unknown resource manager {}", .0.0)]
    ResourceManager(ResourceManager),
    #[error(
        "the record declares the one at {found} void instead of the unfinished one at {expected}"
    )]
    Overwritten { found: Lsn, expected: Lsn },
    #[error("the log cannot be that long")]
    Beyond,
    #[error(transparent)]
    Record(RecordError),
}

impl WalDecoder {
    /// A decoder for the WAL on the way to `timeline`, from the beginning of a segment.
    pub fn new(identity: WalIdentity, timeline: Timeline, segment: SegmentNumber) -> Self {
        Self {
            identity,
            timeline,
            page_timeline: None,
            position: segment.start(identity.segment_size),
            page_header: [0; LONG_BYTES],
            state: State::Start,
            record_start: Lsn::INVALID,
            assembly: Assembly::new(identity.version),
            last_start: None,
            dropped: None,
            facts: WalFacts::default(),
        }
    }

    /// Where the next byte belongs.
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// What was learnt so far.
    pub fn facts(&self) -> &WalFacts {
        &self.facts
    }

    /// Hands out the restore points found since the last call. Take them once a segment, so that
    /// the list stays short.
    pub fn take_restore_points(&mut self) -> Vec<RestorePoint> {
        std::mem::take(&mut self.facts.restore_points)
    }

    /// Where the record begins whose end has not come yet.
    pub fn unfinished(&self) -> Option<Lsn> {
        (!self.assembly.is_empty()).then_some(self.record_start)
    }

    /// Reads the next bytes and hands out every record that they complete. After an error or the
    /// end of the log nothing more is read, and every call says the same again.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        on_record: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Fed, WalError> {
        let mut bytes = bytes;
        loop {
            match self.state {
                State::Failed(error) => return Err(error),
                State::Ended { at } => return Ok(Fed::End { at }),
                _ if bytes.is_empty() => return Ok(Fed::More),
                State::Start | State::Orphan { .. } | State::Records | State::Switched { .. } => {}
            }
            match self.step(bytes, on_record) {
                Ok(taken) => {
                    self.position.0 += taken as u64;
                    bytes = &bytes[taken..];
                }
                Err(error) => self.state = State::Failed(error),
            }
        }
    }

    /// Reads some of the bytes, at most to the end of the page, and says how many.
    fn step(
        &mut self,
        bytes: &[u8],
        on_record: &mut dyn FnMut(&Record<'_>),
    ) -> Result<usize, WalError> {
        if self.position > POSITION_MAX {
            return Err(WalError { lsn: self.position, problem: WalProblem::Beyond });
        }
        if let State::Switched { until } = self.state {
            let taken = at_most(bytes, until.0 - self.position.0).len();
            if self.position.0 + taken as u64 == until.0 {
                self.state = State::Records;
            }
            return Ok(taken);
        }
        let in_page = self.position.0 % WAL_PAGE_BYTES;
        let header_bytes = if self.is_in_first_page() { LONG_BYTES } else { SHORT_BYTES } as u64;
        if in_page < header_bytes {
            return self.read_page_header(bytes, in_page, header_bytes);
        }
        let bytes = at_most(bytes, WAL_PAGE_BYTES - in_page);
        if let State::Orphan { remaining_bytes } = &mut self.state {
            let taken = at_most(bytes, u64::from(*remaining_bytes)).len();
            *remaining_bytes -= u32::try_from(taken).expect("not more than remained");
            if *remaining_bytes == 0 {
                self.state = State::Records;
            }
            return Ok(taken);
        }
        if self.assembly.is_empty() {
            let padding = self.position.0.next_multiple_of(ALIGNMENT) - self.position.0;
            if padding > 0 {
                return Ok(at_most(bytes, padding).len());
            }
            self.record_start = self.position;
        }
        self.read_record(bytes, on_record)
    }

    fn read_record(
        &mut self,
        bytes: &[u8],
        on_record: &mut dyn FnMut(&Record<'_>),
    ) -> Result<usize, WalError> {
        let lsn = self.record_start;
        let (taken, pushed) = self.assembly.push(bytes).map_err(record_error(lsn))?;
        match pushed {
            Pushed::More => {}
            Pushed::Zero => {
                self.assembly.clear();
                self.state = State::Ended { at: lsn };
            }
            Pushed::Header => self.check_fixed_header()?,
            Pushed::Complete => {}
        }
        if self.assembly.is_complete() {
            self.finish_record(Lsn(self.position.0 + taken as u64), on_record)?;
        }
        Ok(taken)
    }

    /// Judges a record before its length is believed.
    fn check_fixed_header(&self) -> Result<(), WalError> {
        let lsn = self.record_start;
        let Some(fixed) = self.assembly.fixed() else { return Ok(()) };
        if !fixed.manager.is_known(self.identity.version) {
            return Err(WalError { lsn, problem: WalProblem::ResourceManager(fixed.manager) });
        }
        let found = fixed.previous;
        match self.last_start {
            Some(expected) if found != expected => {
                Err(WalError { lsn, problem: WalProblem::Previous { found, expected } })
            }
            None if found >= lsn => {
                let problem = WalProblem::Previous { found, expected: Lsn::INVALID };
                Err(WalError { lsn, problem })
            }
            _ => Ok(()),
        }
    }

    fn finish_record(
        &mut self,
        end: Lsn,
        on_record: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), WalError> {
        let start = self.record_start;
        let assembled = self.assembly.finish().map_err(record_error(start))?;
        let mut end = Lsn(end.0.next_multiple_of(ALIGNMENT));
        match assembled.meaning {
            Meaning::Switch => {
                let size = self.identity.segment_size;
                let until = end.segment_before(size).end(size);
                if end < until {
                    self.state = State::Switched { until };
                }
                end = until;
            }
            Meaning::OverwriteContinuation { overwritten: found } => {
                if let Some(expected) = self.dropped.take().filter(|dropped| *dropped != found) {
                    let problem = WalProblem::Overwritten { found, expected };
                    return Err(WalError { lsn: start, problem });
                }
            }
            _ => {}
        }
        let record = Record {
            start,
            end,
            previous: assembled.fixed.previous,
            length_bytes: assembled.length_bytes,
            transaction: assembled.fixed.transaction,
            resource_manager: assembled.fixed.manager,
            info: assembled.fixed.info,
            blocks: assembled.blocks,
            meaning: assembled.meaning,
            main_data: assembled.main_data.bytes,
            is_main_data_cut: assembled.main_data.is_cut,
        };
        self.facts.note(&record);
        on_record(&record);
        self.last_start = Some(start);
        self.assembly.clear();
        Ok(())
    }

    fn is_in_first_page(&self) -> bool {
        let offset = self.position.offset_in_segment(self.identity.segment_size);
        u64::from(offset) < WAL_PAGE_BYTES
    }

    fn read_page_header(
        &mut self,
        bytes: &[u8],
        in_page: u64,
        header_bytes: u64,
    ) -> Result<usize, WalError> {
        let piece = at_most(bytes, header_bytes - in_page);
        let at = usize::try_from(in_page).expect("within a page header");
        self.page_header[at..at + piece.len()].copy_from_slice(piece);
        if in_page + piece.len() as u64 == header_bytes {
            let lsn = Lsn(self.position.0 - in_page);
            self.enter_page(lsn).map_err(|problem| WalError { lsn, problem })?;
        }
        Ok(piece.len())
    }

    /// Judges a page by its header, and what it goes on with by what the page before ended with.
    fn enter_page(&mut self, address: Lsn) -> Result<(), WalProblem> {
        let is_first = self.is_in_first_page();
        let header_bytes = if is_first { LONG_BYTES } else { SHORT_BYTES };
        if self.page_header[..header_bytes].iter().all(|&byte| byte == 0) {
            self.state = State::Ended { at: address };
            return Ok(());
        }
        let header = PageHeader::parse(&self.page_header).expect("it is long enough");
        self.check_page(&header, address, is_first)?;
        if is_first {
            self.check_segment()?;
        }
        self.page_timeline = Some(header.timeline);
        if matches!(self.state, State::Start) {
            self.state = if header.continues() {
                State::Orphan { remaining_bytes: header.continuation_bytes }
            } else {
                State::Records
            };
            return Ok(());
        }
        self.check_continuation(&header)
    }

    fn check_page(
        &self,
        header: &PageHeader,
        address: Lsn,
        is_first: bool,
    ) -> Result<(), WalProblem> {
        let (found, expected) = (header.magic, self.identity.version.wal_page_magic());
        if found != expected {
            return Err(WalProblem::Magic { found, expected });
        }
        let says_rest = header.continues() == (header.continuation_bytes > 0);
        let says_both = header.continues() && header.overwrites();
        let is_known = header.has_only_known_flags() && header.is_long() == is_first;
        if !is_known || !says_rest || says_both {
            return Err(WalProblem::Flags { flags: header.flags });
        }
        if header.address != address {
            return Err(WalProblem::Address { found: header.address });
        }
        let (found, newest) = (header.timeline, self.timeline);
        let before = self.page_timeline.unwrap_or(Timeline(0));
        if found < before || found > newest || found == Timeline(0) {
            return Err(WalProblem::Timeline { found, before, newest });
        }
        Ok(())
    }

    fn check_segment(&self) -> Result<(), WalProblem> {
        let long = LongHeader::parse(&self.page_header).expect("it is long enough");
        if long.system_identifier != self.identity.system_identifier {
            return Err(WalProblem::Cluster { found: long.system_identifier });
        }
        let (segment, page) = (long.segment_size, long.page_size);
        if segment != self.identity.segment_size.bytes() || u64::from(page) != WAL_PAGE_BYTES {
            return Err(WalProblem::Sizes { segment, page });
        }
        Ok(())
    }

    fn check_continuation(&mut self, header: &PageHeader) -> Result<(), WalProblem> {
        let expected = match self.state {
            State::Orphan { remaining_bytes } => remaining_bytes,
            _ if self.assembly.is_empty() => 0,
            _ => self.assembly.remaining_bytes(),
        };
        if header.overwrites() {
            self.dropped = self.unfinished();
            self.assembly.clear();
            self.state = State::Records;
            return Ok(());
        }
        match (expected, header.continuation_bytes) {
            (0, 0) => Ok(()),
            (0, _) => Err(WalProblem::ContinuationUnexpected),
            (_, 0) => Err(WalProblem::ContinuationMissing),
            (expected, found) if expected == found => Ok(()),
            (expected, found) => Err(WalProblem::ContinuationLength { found, expected }),
        }
    }
}

impl WalFacts {
    fn note(&mut self, record: &Record<'_>) {
        let place = RecordPlace { start: record.start, end: record.end };
        self.records += 1;
        self.last_record = Some(place);
        match record.meaning {
            Meaning::Commit(transaction) => {
                self.last_commit = Some(Commit { place, transaction });
                self.time_max = self.time_max.max(Some(transaction.time));
            }
            Meaning::Abort(transaction) => {
                self.time_max = self.time_max.max(Some(transaction.time));
            }
            Meaning::RestorePoint { name, time } => {
                let name = name.to_owned();
                self.restore_points.push(RestorePoint { place, name, time });
            }
            Meaning::Checkpoint(checkpoint) => {
                self.last_checkpoint = Some((record.start, checkpoint));
                self.note_timeline(place, checkpoint.timeline, checkpoint.previous_timeline);
            }
            Meaning::EndOfRecovery { timeline, previous_timeline, .. } => {
                self.note_timeline(place, timeline, previous_timeline);
            }
            _ => {}
        }
    }

    fn note_timeline(&mut self, place: RecordPlace, timeline: Timeline, previous: Timeline) {
        if timeline != previous {
            let (at, previous_timeline) = (place.start, previous);
            self.last_timeline_begin = Some(TimelineBegin { at, timeline, previous_timeline });
        }
    }
}

fn at_most(bytes: &[u8], count: u64) -> &[u8] {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    &bytes[..bytes.len().min(count)]
}

fn record_error(lsn: Lsn) -> impl FnOnce(RecordError) -> WalError {
    move |error| WalError { lsn, problem: WalProblem::Record(error) }
}

#[cfg(test)]
mod tests;
