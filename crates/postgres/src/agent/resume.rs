//! Where to go on streaming: a decision from what the server has and what we hold.
//!
//! We always ask for our own position, never for "the current one": a slot that was lost and is
//! reserved again would otherwise leave a gap that nobody sees. What we hold is never cut back: if
//! the server has less, or another history, that is said.

use std::fmt;

use crate::lsn::{Lsn, SegmentSize, Timeline};
use crate::timeline::TimelineHistory;

/// What is in the vault or synced in the spool of one timeline, the newest we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// The timeline.
    pub(crate) timeline: Timeline,
    /// The beginning of the first segment that is not sealed.
    pub(crate) start: Lsn,
    /// The end of what we hold.
    pub(crate) end: Lsn,
}

/// What is where after a start of the agent, of the newest timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// The beginning of the first segment that is not sealed in the vault.
    pub(crate) unsealed: Lsn,
    /// The end of what the vault has, parts included, by their names.
    pub(crate) stored: Lsn,
    /// What the spool has for sure: the beginning of its first segment, and its end.
    pub(crate) spooled: Option<(Lsn, Lsn)>,
    /// The beginning of the first segment that the server still has, as far as known.
    pub(crate) available: Lsn,
}

/// Where an engine begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The first segment it seals.
    pub(crate) start: Lsn,
    /// Up to where the spool has bytes already.
    pub(crate) received: Lsn,
}

impl Found {
    /// Where to begin: at the first segment that is not sealed, so that nothing which another
    /// session stored is taken for durable. If the server has it no more, what is durable by parts
    /// is left as parts.
    pub(crate) fn beginning(&self, size: SegmentSize) -> Beginning {
        let Self { unsealed, stored, spooled, available } = *self;
        let has_parts = |from: Lsn| from < available && available <= stored;
        match spooled {
            // The spool's last segment goes on where it is cut, unless it is of no use any more.
            Some((start, received))
                if received > unsealed
                    && !(has_parts(received.start_of_segment(size)) && received <= stored) =>
            {
                Beginning { start: start.max(unsealed), received }
            }
            _ if has_parts(unsealed) => Beginning { start: available, received: available },
            _ => Beginning { start: unsealed, received: unsealed },
        }
    }
}

/// What the server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    /// The timeline it is on.
    pub(crate) timeline: Timeline,
    /// How that one came about; for the first one [`TimelineHistory::first`].
    pub(crate) history: TimelineHistory,
    /// Up to where it can stream now.
    pub(crate) flushed: Lsn,
    /// Whether it is a standby, which may be behind others.
    pub(crate) is_standby: bool,
    /// The beginning of the segment from which on its slot keeps WAL.
    pub(crate) kept_from: Lsn,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Stream from here; it is the beginning of a segment.
    Stream {
        /// The timeline to follow.
        timeline: Timeline,
        /// The first byte.
        from: Lsn,
    },
    /// The server will have more soon: ask it again.
    Wait {
        /// What it has.
        flushed: Lsn,
        /// What we hold.
        held: Lsn,
    },
    /// The server's history is not ours.
    Fork(Fork),
}

/// Two histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fork {
    /// The server left our timeline before the end of what we hold, as after a failover to a standby
    /// that was behind. What lies behind the switch stays in the vault, on its own timeline; the
    /// server's next timeline can be followed.
    Abandoned {
        /// Ours.
        timeline: Timeline,
        /// Where it was left.
        switch: Lsn,
        /// The end of what we hold.
        held: Lsn,
        /// The one to follow.
        next: Timeline,
    },
    /// The server is on our timeline and has less than we were sent: it lost WAL that it had called
    /// durable, or was replaced by an older copy. What it writes now is other WAL at the same place.
    Lost {
        /// The timeline.
        timeline: Timeline,
        /// What it has.
        flushed: Lsn,
        /// What we hold.
        held: Lsn,
    },
    /// The server is on a timeline that does not descend from ours.
    Foreign {
        /// Ours.
        ours: Timeline,
        /// The server's.
        theirs: Timeline,
    },
}

impl Fork {
    /// Whether there is a timeline that can be followed, and from where.
    pub(crate) fn way_on(&self) -> Option<(Timeline, Lsn)> {
        match *self {
            Self::Abandoned { next, switch, .. } => Some((next, switch)),
            Self::Lost { .. } | Self::Foreign { .. } => None,
        }
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abandoned { timeline, switch, held, next } => write!(
                f,
                "the server left timeline {timeline} at {switch} for timeline {next}; the vault has \
                 WAL of timeline {timeline} up to {held}: the server lost what lies between"
            ),
            Self::Lost { timeline, flushed, held } => write!(
                f,
                "the server has WAL of timeline {timeline} up to {flushed} only; the vault has it up \
                 to {held}: the server lost WAL, or is an older copy"
            ),
            Self::Foreign { ours, theirs } => write!(
                f,
                "the server is on timeline {theirs}, which does not descend from timeline {ours} of \
                 the vault"
            ),
        }
    }
}

/// Decides where to go on.
pub(crate) fn decide(offered: &Offered, held: Option<Held>) -> Decision {
    let Some(held) = held else {
        return Decision::Stream { timeline: offered.timeline, from: offered.kept_from };
    };
    let Held { timeline, start, end } = held;
    if offered.timeline == timeline {
        return match offered.flushed >= end {
            true => Decision::Stream { timeline, from: start },
            false if offered.is_standby => Decision::Wait { flushed: offered.flushed, held: end },
            false => Decision::Fork(Fork::Lost { timeline, flushed: offered.flushed, held: end }),
        };
    }
    match offered.history.switch_point(timeline) {
        Some(switch) if offered.timeline > timeline => {
            if end <= switch {
                return Decision::Stream { timeline, from: start };
            }
            let next = following(&offered.history, timeline);
            Decision::Fork(Fork::Abandoned { timeline, switch, held: end, next })
        }
        _ => Decision::Fork(Fork::Foreign { ours: timeline, theirs: offered.timeline }),
    }
}

/// The timeline that comes after `timeline` in a history that has it.
fn following(history: &TimelineHistory, timeline: Timeline) -> Timeline {
    let ancestors = history.ancestors().iter().map(|ancestor| ancestor.timeline);
    ancestors.chain([history.timeline()]).find(|other| *other > timeline).unwrap_or(timeline)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn offered(timeline: u32, history: &str, flushed: u64) -> Offered {
        let timeline = Timeline(timeline);
        let history = match timeline {
            Timeline::FIRST => TimelineHistory::first(),
            _ => TimelineHistory::parse(timeline, history.as_bytes()).unwrap(),
        };
        let (flushed, kept_from) = (Lsn(flushed), Lsn(2 * MIB));
        Offered { timeline, history, flushed, is_standby: false, kept_from }
    }

    fn held(timeline: u32, start: u64, end: u64) -> Option<Held> {
        Some(Held { timeline: Timeline(timeline), start: Lsn(start), end: Lsn(end) })
    }

    fn stream(timeline: u32, from: u64) -> Decision {
        Decision::Stream { timeline: Timeline(timeline), from: Lsn(from) }
    }

    fn found(unsealed: u64, stored: u64, spooled: Option<(u64, u64)>, available: u64) -> Found {
        let spooled = spooled.map(|(from, to)| (Lsn(from), Lsn(to)));
        let (unsealed, stored, available) = (Lsn(unsealed), Lsn(stored), Lsn(available));
        Found { unsealed, stored, spooled, available }
    }

    #[test]
    fn it_begins_where_nothing_is_sealed_if_it_can() {
        let begins = |found: Found| {
            let Beginning { start, received } = found.beginning(SegmentSize::new(1 << 20).unwrap());
            (start.0, received.0)
        };
        assert_eq!(begins(found(4 * MIB, 4 * MIB + 9, None, 2 * MIB)), (4 * MIB, 4 * MIB));
        assert_eq!(begins(found(4 * MIB, 6 * MIB + 9, None, 6 * MIB)), (6 * MIB, 6 * MIB));
        // A gap, which the server will tell.
        assert_eq!(begins(found(4 * MIB, 4 * MIB + 9, None, 6 * MIB)), (4 * MIB, 4 * MIB));
        let spooled = |from, to| found(4 * MIB, 5 * MIB, Some((from, to)), 7 * MIB);
        assert_eq!(begins(spooled(4 * MIB, 7 * MIB + 9)), (4 * MIB, 7 * MIB + 9));
        assert_eq!(begins(spooled(3 * MIB, 7 * MIB + 9)), (4 * MIB, 7 * MIB + 9));
        assert_eq!(begins(spooled(5 * MIB, 7 * MIB + 9)), (5 * MIB, 7 * MIB + 9));
        assert_eq!(begins(spooled(2 * MIB, 3 * MIB)), (4 * MIB, 4 * MIB));
        // All that the spool has is durable by parts, and the server has gone on.
        let found = found(4 * MIB, 9 * MIB, Some((4 * MIB, 5 * MIB + 9)), 7 * MIB);
        assert_eq!(begins(found), (7 * MIB, 7 * MIB));
        // What was acknowledged is stored, whatever is missing before it.
        assert_eq!(begins(spooled(6 * MIB, 7 * MIB)), (6 * MIB, 7 * MIB));
    }

    #[test]
    fn a_first_stream_begins_where_the_slot_keeps_wal() {
        assert_eq!(decide(&offered(1, "", 9 * MIB), None), stream(1, 2 * MIB));
        assert_eq!(decide(&offered(3, "1\t0/5\tx\n2\t0/6\tx", 9 * MIB), None), stream(3, 2 * MIB));
    }

    #[test]
    fn it_goes_on_where_we_stopped_whatever_the_slot_says() {
        let ours = held(1, 4 * MIB, 4 * MIB + 10);
        assert_eq!(decide(&offered(1, "", 4 * MIB + 10), ours), stream(1, 4 * MIB));
        let ours = held(1, MIB, MIB + 10);
        assert_eq!(decide(&offered(1, "", 9 * MIB), ours), stream(1, MIB));
    }

    #[test]
    fn a_timeline_is_followed_to_its_end_first() {
        let server = offered(3, "1\t0/500000\tx\n2\t0/600000\tx", 9 * MIB);
        assert_eq!(decide(&server, held(1, 4 * MIB, 4 * MIB + 10)), stream(1, 4 * MIB));
        assert_eq!(decide(&server, held(1, 5 * MIB, 5 * MIB)), stream(1, 5 * MIB));
        assert_eq!(decide(&server, held(2, 5 * MIB, 6 * MIB)), stream(2, 5 * MIB));
    }

    #[test]
    fn a_server_with_less_than_we_hold_is_a_fork_or_a_slow_standby() {
        let mut server = offered(1, "", 4 * MIB);
        let ours = held(1, 4 * MIB, 4 * MIB + 10);
        let Decision::Fork(fork) = decide(&server, ours) else { panic!() };
        assert_eq!(fork.way_on(), None);
        assert!(
            fork.to_string().starts_with("the server has WAL of timeline 1 up to 0/400000 only")
        );
        server.is_standby = true;
        let waits = Decision::Wait { flushed: Lsn(4 * MIB), held: Lsn(4 * MIB + 10) };
        assert_eq!(decide(&server, ours), waits);
    }

    #[test]
    fn a_failover_that_lost_wal_is_said_and_followed() {
        let server = offered(3, "1\t0/500000\tx\n2\t0/600000\tx", 9 * MIB);
        let Decision::Fork(fork) = decide(&server, held(1, 5 * MIB, 5 * MIB + 1)) else { panic!() };
        assert_eq!(fork.way_on(), Some((Timeline(2), Lsn(5 * MIB))));
        let Decision::Fork(fork) = decide(&server, held(2, 6 * MIB, 7 * MIB)) else { panic!() };
        assert_eq!(fork.way_on(), Some((Timeline(3), Lsn(6 * MIB))));
    }

    #[test]
    fn a_history_that_is_not_ours_is_never_followed() {
        for (server, ours) in [
            (offered(1, "", 9 * MIB), held(2, MIB, MIB)),
            (offered(3, "1\t0/500000\tx", 9 * MIB), held(2, MIB, MIB)),
            (offered(3, "1\t0/500000\tx", 9 * MIB), held(4, MIB, MIB)),
        ] {
            let decision = decide(&server, ours);
            assert!(matches!(decision, Decision::Fork(Fork::Foreign { .. })), "{decision:?}");
        }
    }
}
