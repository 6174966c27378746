//! Where a timeline's WAL in the vault ends, as an agent must see it that is about to go on.
//!
//! A crash leaves islands: parts behind a gap, which were never acknowledged. An island must not be
//! taken for the place to go on from, or the gap stays for ever. So the vault is looked at from a
//! place on that is surely before the first gap: some segments before the last sealed one, and not
//! behind what the server or the spool keeps because it was not safe yet.

use soter_vault::ids::SessionId;
use soter_vault::log::Session;
use soter_vault::wal::{WalError, WalVault};

use super::memory::Stand;
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
    /// The end of what this agent has stored itself, if it remembers; names prove nothing.
    pub(crate) known: Lsn,
}

/// Where WAL is besides the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// Where the server's slot begins.
    pub(crate) kept_from: Lsn,
    /// Where the spool begins, if it has anything.
    pub(crate) spooled_from: Option<(Timeline, Lsn)>,
    /// The end of the last gap that is known and will not be filled.
    pub(crate) gap: Option<(Timeline, Lsn)>,
}

/// The newest timeline's WAL. When the spool alone has any of it, nothing is stored from where the
/// spool begins: what the server would send lies behind what was acknowledged.
pub(crate) fn find(
    wal: &WalVault<'_>,
    session: &Session,
    size: SegmentSize,
    elsewhere: Elsewhere,
    stand: Option<Stand>,
) -> Result<Option<Stored>, WalError> {
    let stored = in_vault(wal, session, size, elsewhere, stand)?;
    match elsewhere.spooled_from {
        Some((timeline, start)) if stored.is_none_or(|stored| stored.timeline < timeline) => {
            at(wal, size, timeline, start).map(Some)
        }
        _ => Ok(stored),
    }
}

/// By what this agent remembers if nobody else has written since, else by what is listed.
fn in_vault(
    wal: &WalVault<'_>,
    session: &Session,
    size: SegmentSize,
    elsewhere: Elsewhere,
    stand: Option<Stand>,
) -> Result<Option<Stored>, WalError> {
    let predecessor = predecessor(session);
    let is_ours = |stand: &Stand| {
        Some(stand.session) == predecessor && stand.incarnation == wal.archive.incarnation
    };
    let Some(stand) = stand.filter(is_ours) else { return newest(wal, size, elsewhere) };
    let found = at(wal, size, stand.timeline, stand.unsealed)?;
    Ok(Some(Stored { known: stand.durable.max(found.unsealed), ..found }))
}

/// The session that this one has superseded.
fn predecessor(session: &Session) -> Option<SessionId> {
    let log = session.log();
    let catalogue = log.catalogue();
    let own = catalogue.session(session.id())?.sequence;
    let superseded = catalogue.sessions().find(|other| other.superseded == Some(own));
    superseded.map(|other| other.id)
}

fn newest(
    wal: &WalVault<'_>,
    size: SegmentSize,
    elsewhere: Elsewhere,
) -> Result<Option<Stored>, WalError> {
    let Elsewhere { kept_from, spooled_from, gap } = elsewhere;
    let ranges = wal.ranges()?;
    let Some(newest) = ranges.iter().max_by_key(|range| range.timeline) else { return Ok(None) };
    let timeline = Timeline(newest.timeline);
    let kept_from = kept_from.min(spooled_from.map_or(kept_from, |(_, start)| start)).0;
    let sealed = newest.sealed_to.unwrap_or(newest.from);
    let near = sealed.min(kept_from).saturating_sub(UNSEALED_MAX * size.bytes_u64());
    // What the vault has may begin with an island.
    let begin = newest.from.min(kept_from);
    let gap_end = gap.filter(|(of, _)| *of == timeline).map_or(Lsn::INVALID, |(_, end)| end);
    let from = Lsn(near.max(begin)).max(gap_end).start_of_segment(size);
    at(wal, size, timeline, from).map(Some)
}

/// A timeline's WAL, looked at from a place on that is before the first gap.
fn at(
    wal: &WalVault<'_>,
    size: SegmentSize,
    timeline: Timeline,
    from: Lsn,
) -> Result<Stored, WalError> {
    let end = wal.contiguous_end(timeline.0, from.0)?;
    let unsealed = Lsn(end.sealed).start_of_segment(size);
    let end = Lsn(end.hinted);
    Ok(Stored { timeline, unsealed, end, known: end })
}

#[cfg(test)]
mod tests {
    use soter_vault::frame::Compression;
    use soter_vault::wal::{PartSealer, Segment};

    use super::*;
    use crate::agent::scene::{Scene, wal_bytes};

    const MIB: u64 = 1 << 20;

    fn ends(found: Option<Stored>) -> Option<(u32, u64, u64)> {
        found.map(|found| (found.timeline.0, found.unsealed.0, found.end.0))
    }

    #[test]
    fn wal_that_the_spool_alone_has_is_not_taken_for_stored() {
        let scene = Scene::new(1);
        let writer = scene.writer().unwrap();
        let wal = writer.wal(&*scene.clock);
        let elsewhere = |timeline, start| Elsewhere {
            kept_from: Lsn(5 * MIB),
            spooled_from: Some((Timeline(timeline), Lsn(start))),
            gap: None,
        };
        let listed = |timeline, start| {
            let elsewhere = elsewhere(timeline, start);
            ends(find(&wal, &writer.session, scene.size, elsewhere, None).unwrap())
        };
        let nothing = Elsewhere { spooled_from: None, ..elsewhere(1, 0) };
        assert_eq!(find(&wal, &writer.session, scene.size, nothing, None).unwrap(), None);
        assert_eq!(listed(1, 3 * MIB), Some((1, 3 * MIB, 3 * MIB)));

        let segment = Segment { timeline: 1, number: 5 };
        let part = writer.archive.live_part(segment, (0, 100), writer.session.id());
        let key = writer.session.key();
        let mut sealer = PartSealer::new(key.clone(), &*scene.random, Compression::Zstd(1));
        wal.put_part(&sealer.seal(part, &wal_bytes(Lsn(5 * MIB), 100)), key).unwrap();
        assert_eq!(listed(1, 5 * MIB), Some((1, 5 * MIB, 5 * MIB + 100)));
        assert_eq!(listed(1, 3 * MIB), Some((1, 3 * MIB, 3 * MIB)));

        // The server has gone on to another timeline, of which the agent did not remember anything.
        assert_eq!(listed(2, 4 * MIB), Some((2, 4 * MIB, 4 * MIB)));
        let stand = Stand {
            session: writer.session.id(),
            incarnation: scene.archive.incarnation,
            timeline: Timeline(1),
            unsealed: Lsn(5 * MIB),
            durable: Lsn(5 * MIB + 100),
        };
        let next = scene.writer().unwrap();
        let (on_second, stand) = (elsewhere(2, 4 * MIB), Some(stand));
        let found = find(&wal, &next.session, scene.size, on_second, stand).unwrap();
        assert_eq!(ends(found), Some((2, 4 * MIB, 4 * MIB)));
    }
}
