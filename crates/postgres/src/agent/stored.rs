//! Where a timeline's WAL in the vault ends, as an agent must see it that is about to go on.
//!
//! A crash leaves islands: parts behind a gap, which were never acknowledged. An island must not be
//! taken for the place to go on from, or the gap stays for ever. So the vault is looked at from a
//! place on that is surely before the first gap: some segments before the last sealed one, and
//! before what the server keeps for us.

use soter_vault::wal::{WalError, WalVault};

use crate::lsn::{Lsn, SegmentSize, Timeline};

/// How many segments before the last sealed one may still be unsealed after a crash: more than are
/// ever sealed at once.
const UNSEALED_MAX: u64 = 16;

/// Where the vault's WAL of a timeline ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) timeline: Timeline,
    /// The beginning of the first segment that is not sealed.
    pub(crate) unsealed: Lsn,
    /// The end of what has no gap, parts included, by their names.
    pub(crate) end: Lsn,
}

/// The newest timeline's WAL. `kept_from` is where the server's slot begins; `gap` ends the last gap
/// that is known and will not be filled.
pub(crate) fn newest(
    wal: &WalVault<'_>,
    size: SegmentSize,
    kept_from: Lsn,
    gap: Option<(Timeline, Lsn)>,
) -> Result<Option<Stored>, WalError> {
    let ranges = wal.ranges()?;
    let Some(newest) = ranges.iter().max_by_key(|range| range.timeline) else { return Ok(None) };
    let timeline = Timeline(newest.timeline);
    let sealed = newest.sealed_to.unwrap_or(newest.from);
    let near = sealed.min(kept_from.0).saturating_sub(UNSEALED_MAX * size.bytes_u64());
    let gap_end = gap.filter(|(of, _)| *of == timeline).map_or(Lsn::INVALID, |(_, end)| end);
    let from = Lsn(near.max(newest.from)).max(gap_end).start_of_segment(size);
    at(wal, size, timeline, from).map(Some)
}

/// A timeline's WAL, looked at from a place on that is before the first gap.
pub(crate) fn at(
    wal: &WalVault<'_>,
    size: SegmentSize,
    timeline: Timeline,
    from: Lsn,
) -> Result<Stored, WalError> {
    let end = wal.contiguous_end(timeline.0, from.0)?;
    let unsealed = Lsn(end.sealed).start_of_segment(size);
    Ok(Stored { timeline, unsealed, end: Lsn(end.hinted) })
}
