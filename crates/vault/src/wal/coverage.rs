//! What WAL there is.
//!
//! Anybody who can write to the bucket can make a name look taken. Where it decides something, the
//! heads of sealed segments are read: at both ends of every run, and for all that an agent would not
//! stream again. Parts are known by their names alone, which is enough to plan with and to say what
//! is missing; an agent must not report a position as flushed because of them.

use super::archive::WalVault;
use super::error::WalError;
use super::place::Segment;
use crate::names::{LivePart, Name, live_prefix, split_repair, wal_prefix};

/// A stretch of positions, the second one excluded.
pub type Span = (u64, u64);

/// The WAL of one timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The timeline.
    pub timeline: u32,
    /// Position of the first byte there is.
    pub from: u64,
    /// Position after the last byte there is.
    pub to: u64,
    /// Position after the last sealed segment; what lies behind it is known by parts' names alone.
    pub sealed_to: Option<u64>,
    /// What is missing in between.
    pub gaps: Vec<Span>,
}

/// Up to where everything from a position on is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContiguousEnd {
    /// In sealed segments that an agent of the store signed.
    pub sealed: u64,
    /// With what parts say by their names alone, and what is sealed behind those; never less.
    pub hinted: u64,
}

/// What the names say of the WAL behind a segment, on its timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The first sealed segment behind it.
    pub sealed: Option<Segment>,
    /// The last part of the segment itself or behind it.
    pub last_part: Option<LivePart>,
}

impl Range {
    /// Up to where everything from `position` on is there. `None` when nothing is there.
    pub fn contiguous_end(&self, position: u64) -> Option<u64> {
        let is_gap = |&&(from, to): &&Span| from <= position && position < to;
        if !(self.from..self.to).contains(&position) || self.gaps.iter().any(|gap| is_gap(&gap)) {
            return None;
        }
        let next = self.gaps.iter().find(|(from, _)| position < *from);
        Some(next.map_or(self.to, |(from, _)| *from))
    }
}

impl WalVault<'_> {
    /// The WAL of each timeline, by listing all of it: some thousand names a request.
    ///
    /// # Errors
    /// [`WalError::Store`].
    pub fn ranges(&self) -> Result<Vec<Range>, WalError> {
        let mut segments = self.sealed_segments()?;
        segments.extend(self.live_timelines()?.into_iter().map(|timeline| (timeline, None)));
        segments.sort_unstable();
        let mut ranges = Vec::new();
        for of_timeline in segments.chunk_by(|one, other| one.0 == other.0) {
            let timeline = of_timeline[0].0;
            let mut sealed: Vec<u64> = of_timeline.iter().filter_map(|(_, n)| *n).collect();
            sealed.dedup();
            let sealed = self.trim(timeline, &sealed)?;
            let mut spans = self.sealed_spans(&sealed);
            for hole in holes(&sealed) {
                spans.extend(self.part_spans(timeline, hole)?);
            }
            let sealed_to = sealed.last().map(|last| self.archive.end_of(*last));
            ranges.extend(range_of(timeline, sealed_to, join(spans)));
        }
        Ok(ranges)
    }

    /// The timelines of which anything is there, be it a history file alone: by their names, and
    /// with a small list for each.
    ///
    /// # Errors
    /// [`WalError::Store`].
    pub fn timelines(&self) -> Result<Vec<u32>, WalError> {
        let (store, incarnation) = (self.archive.store, self.archive.incarnation);
        let wal = |timeline| wal_prefix(store, incarnation, timeline);
        let live = |timeline: Option<u32>| {
            live_prefix(store, incarnation, timeline.map(|timeline| (timeline, None)))
        };
        let mut timelines = self.timelines_below(&wal)?;
        timelines.extend(self.timelines_below(&live)?);
        timelines.sort_unstable();
        timelines.dedup();
        Ok(timelines)
    }

    /// What the names say of the WAL behind a segment. Whoever must not overlook any takes even what
    /// a stranger may have put there for WAL.
    ///
    /// # Errors
    /// [`WalError::Store`].
    pub fn behind(&self, segment: Segment) -> Result<Behind, WalError> {
        let (store, incarnation) = (self.archive.store, self.archive.incarnation);
        let Segment { timeline, number } = segment;
        let mut sealed = None;
        // Behind all repairs of the segment: no digit and no dot sorts after a tilde.
        let after = format!("{}~", self.archive.segment_file(segment).name());
        self.scan(&wal_prefix(store, incarnation, Some(timeline)), Some(&after), |info| {
            sealed = self.segment_named(&info.name).filter(|found| found.number > number);
            sealed.is_none()
        })?;
        let mut last_part: Option<LivePart> = None;
        let after = live_prefix(store, incarnation, Some((timeline, Some(number))));
        let prefix = live_prefix(store, incarnation, Some((timeline, None)));
        self.scan(&prefix, Some(&after), |info| {
            if let Some(part) = self.part_named(&info.name) {
                let place = |part: &LivePart| (part.segment, part.to);
                last_part = last_part.filter(|last| place(last) > place(&part)).or(Some(part));
            }
            true
        })?;
        Ok(Behind { sealed, last_part })
    }

    /// Up to where everything from `position` on is there; `position` itself when nothing is. It
    /// lists and looks from there on only, at parts only of segments that are not sealed: an agent
    /// that was killed may have left one as parts, and its successor has sealed those behind it.
    ///
    /// # Errors
    /// [`WalError::Store`].
    pub fn contiguous_end(&self, timeline: u32, position: u64) -> Result<ContiguousEnd, WalError> {
        let archive = self.archive;
        let mut open = archive.segment_at(position);
        while self.is_sealed(Segment { timeline, number: open })? {
            open += 1;
        }
        let sealed = archive.start_of(open).max(position);
        let mut hinted = sealed;
        loop {
            let Some(end) = self.end_of_parts(Segment { timeline, number: open }, hinted)? else {
                return Ok(ContiguousEnd { sealed, hinted });
            };
            hinted = end;
            if hinted < archive.end_of(open) {
                return Ok(ContiguousEnd { sealed, hinted });
            }
            open += 1;
            while self.is_sealed(Segment { timeline, number: open })? {
                open += 1;
                hinted = archive.start_of(open);
            }
        }
    }

    /// Up to where a segment's parts go on from a position in it, if there is one with that byte.
    fn end_of_parts(&self, segment: Segment, position: u64) -> Result<Option<u64>, WalError> {
        let spans = self.parts_of(segment)?;
        let span = spans.iter().find(|(from, to)| (*from..*to).contains(&position));
        Ok(span.map(|(_, to)| *to))
    }

    /// The names of a segment's parts that are not needed any more, because the sealed segment is
    /// there: signed, of the right length, durable. Empty when it is not.
    ///
    /// # Errors
    /// [`WalError::Store`]; [`WalError::Damaged`] when only damaged or forged ones are there.
    pub fn covered_parts(&self, segment: Segment) -> Result<Vec<String>, WalError> {
        if self.locate(&self.archive.segment_file(segment))?.is_none() {
            return Ok(Vec::new());
        }
        let place = Some((segment.timeline, Some(segment.number)));
        let listed =
            self.list(&live_prefix(self.archive.store, self.archive.incarnation, place))?;
        Ok(listed
            .into_iter()
            .map(|info| info.name)
            .filter(|name| self.part_named(name).is_some())
            .collect())
    }

    /// The sealed segments that lie in a range, at least with one byte.
    pub(crate) fn sealed_in(&self, range: &Range) -> Result<Vec<Segment>, WalError> {
        let of_timeline = |(timeline, number): (u32, Option<u64>)| {
            let number = number.filter(|_| timeline == range.timeline)?;
            let is_inside = range.from < self.archive.end_of(number)
                && self.archive.start_of(number) < range.to;
            is_inside.then_some(Segment { timeline, number })
        };
        let mut segments: Vec<_> =
            self.sealed_segments()?.into_iter().filter_map(of_timeline).collect();
        segments.sort_unstable();
        segments.dedup();
        Ok(segments)
    }

    /// What the names of a segment's parts promise, those that touch joined.
    pub(crate) fn parts_of(&self, segment: Segment) -> Result<Vec<Span>, WalError> {
        self.part_spans(segment.timeline, (segment.number, Some(segment.number + 1))).map(join)
    }

    /// The whole segment that an object is by its name, or would be if it is a repair.
    pub(crate) fn segment_named(&self, object: &str) -> Option<Segment> {
        match Name::parse(split_repair(object).0) {
            Some(Name::Wal(wal)) => self
                .archive
                .whole_segment(&wal.file)
                .filter(|segment| segment.timeline == wal.timeline),
            _ => None,
        }
    }

    /// Whether a segment is there in a sealed form that may be believed.
    fn is_sealed(&self, segment: Segment) -> Result<bool, WalError> {
        match self.locate(&self.archive.segment_file(segment)) {
            Ok(located) => Ok(located.is_some()),
            Err(WalError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Without what strangers put at the ends of runs.
    fn trim(&self, timeline: u32, sealed: &[u64]) -> Result<Vec<u64>, WalError> {
        let mut kept = Vec::new();
        for mut run in sealed.chunk_by(|one, next| one + 1 == *next) {
            while let [rest @ .., last] = run
                && !self.is_sealed(Segment { timeline, number: *last })?
            {
                run = rest;
            }
            while let [first, rest @ ..] = run
                && !self.is_sealed(Segment { timeline, number: *first })?
            {
                run = rest;
            }
            kept.extend_from_slice(run);
        }
        Ok(kept)
    }

    fn sealed_segments(&self) -> Result<Vec<(u32, Option<u64>)>, WalError> {
        let mut segments = Vec::new();
        let prefix = wal_prefix(self.archive.store, self.archive.incarnation, None);
        self.scan(&prefix, None, |info| {
            let segment = self.segment_named(&info.name);
            segments.extend(segment.map(|segment| (segment.timeline, Some(segment.number))));
            true
        })?;
        Ok(segments)
    }

    /// The timelines that have parts, one small list for each.
    fn live_timelines(&self) -> Result<Vec<u32>, WalError> {
        let (store, incarnation) = (self.archive.store, self.archive.incarnation);
        self.timelines_below(&|timeline| {
            live_prefix(store, incarnation, timeline.map(|timeline| (timeline, None)))
        })
    }

    fn timelines_below(
        &self,
        prefix: &dyn Fn(Option<u32>) -> String,
    ) -> Result<Vec<u32>, WalError> {
        let (mut timelines, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.store.list(&prefix(None), after.as_deref(), 1)?;
            let Some(info) = page.first() else { return Ok(timelines) };
            let timeline = match Name::parse(split_repair(&info.name).0) {
                Some(Name::Wal(wal)) => Some(wal.timeline),
                Some(Name::Live(_)) => self.part_named(&info.name).map(|part| part.timeline),
                _ => None,
            };
            timelines.extend(timeline);
            // Behind all names of this timeline: no digit sorts after a tilde.
            after = Some(match timeline {
                Some(timeline) => format!("{}~", prefix(Some(timeline))),
                None => info.name.clone(),
            });
        }
    }

    fn sealed_spans(&self, sealed: &[u64]) -> Vec<Span> {
        sealed.iter().map(|n| (self.archive.start_of(*n), self.archive.end_of(*n))).collect()
    }

    /// What the names of parts promise for the segments from the first one to before the second.
    fn part_spans(
        &self,
        timeline: u32,
        (first, end): (u64, Option<u64>),
    ) -> Result<Vec<Span>, WalError> {
        let (store, incarnation) = (self.archive.store, self.archive.incarnation);
        let prefix = match end {
            Some(end) if end == first.saturating_add(1) => Some((timeline, Some(first))),
            _ => Some((timeline, None)),
        };
        let after = live_prefix(store, incarnation, Some((timeline, Some(first))));
        let mut spans = Vec::new();
        self.scan(&live_prefix(store, incarnation, prefix), Some(&after), |info| {
            let Some(part) = self.part_named(&info.name) else { return true };
            if end.is_some_and(|end| part.segment >= end) {
                return false;
            }
            let start = self.archive.start_of(part.segment);
            let at = |offset: u32| start.saturating_add(u64::from(offset));
            spans.push((at(part.from), at(part.to)));
            true
        })?;
        Ok(spans)
    }
}

/// The segments that are not sealed: before the first, between, after the last.
fn holes(sealed: &[u64]) -> Vec<(u64, Option<u64>)> {
    let mut holes = Vec::new();
    let mut next = 0;
    for &number in sealed {
        if next < number {
            holes.push((next, Some(number)));
        }
        next = number.saturating_add(1);
    }
    holes.push((next, None));
    holes
}

/// Spans in order, those that touch joined.
fn join(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::new();
    for (from, to) in spans {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

fn range_of(timeline: u32, sealed_to: Option<u64>, spans: Vec<Span>) -> Option<Range> {
    let ((from, _), (_, to)) = (*spans.first()?, *spans.last()?);
    let gaps = spans.windows(2).map(|pair| (pair[0].1, pair[1].0)).collect();
    Some(Range { timeline, from, to, sealed_to, gaps })
}

#[cfg(test)]
mod tests;
