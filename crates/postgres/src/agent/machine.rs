//! What the agent is doing: one total function from a state and an event to the next state.
//!
//! ```text
//!   Probe ──▶ Prepare ──▶ Stream ──▶ Draining ──▶ Ended
//!     ▲          │  ▲        │          ▲
//!     │          ▼  │        ▼          │ (a stop, from anywhere)
//!     │        Gap, Fork ◀───┤
//!     └──────── Backoff ◀────┘
//! ```
//!
//! The rules it keeps: nothing is streamed before server and vault were asked; a gap is recorded
//! before WAL behind it is taken; what a person must mend or what was superseded ends the agent,
//! everything else is tried again with a pause that grows.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use soter_world::Random;
use soter_world::random::bytes;
use thiserror::Error;

use super::resume::Fork;
use crate::lsn::{Lsn, Timeline};

/// The first pause after a failure, and the longest one: short enough that a server's restart is
/// hardly noticed, long enough not to be a burden to one that is down for hours.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The agent's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// What it is doing.
    pub(crate) phase: Phase,
    /// How often it has failed since WAL flowed last.
    pub(crate) failures: u32,
}

/// What the agent is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Asking the server what it is and has.
    Probe,
    /// Opening a session, looking what the vault has, making the slot ready.
    Prepare,
    /// WAL is flowing.
    Stream {
        /// The timeline.
        timeline: Timeline,
        /// Where this stream began.
        from: Lsn,
    },
    /// Something failed; it will be tried again.
    Backoff {
        /// What failed.
        why: String,
    },
    /// WAL that was never received is gone from the server: being recorded.
    Gap {
        /// The first byte that was wanted.
        from: Lsn,
        /// Its timeline.
        timeline: Timeline,
    },
    /// The server's history is not ours: being recorded.
    Fork(Fork),
    /// Asked to stop: sending what is there.
    Draining,
    /// Over.
    Ended(Ending),
}

/// How the agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to.
    Stopped,
    /// Another agent has taken over: do not start it again.
    Superseded(String),
    /// A person must change something: the plan, the server's settings, privileges.
    Input(String),
    /// It cannot go on for a reason of its own.
    Failed(String),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The server was asked, and can be protected.
    Probed,
    /// All is ready to stream from here.
    Prepared {
        /// The timeline.
        timeline: Timeline,
        /// The first byte.
        from: Lsn,
    },
    /// WAL has come.
    Flowed,
    /// The stream ended in order: the server has shut down, or the timeline has ended.
    StreamEnded(String),
    /// The WAL from here on is not on the server any more.
    WalRemoved {
        /// The first byte that was wanted.
        from: Lsn,
        /// Its timeline.
        timeline: Timeline,
    },
    /// The server's history is not ours.
    Forked(Fork),
    /// A gap or a fork was recorded, and a way on was made.
    Recorded,
    /// Something failed.
    Failed(Trouble),
    /// The pause is over.
    Waited,
    /// The agent was asked to stop.
    StopRequested,
    /// What was there is safe, or the time for it is over.
    Drained,
}

/// A failure, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Trying again may help.
    Passing(String),
    /// A person must change something first.
    Input(String),
    /// Another agent has taken over.
    Superseded(String),
    /// Neither.
    Lasting(String),
}

/// An event that cannot happen in this state: a mistake in the agent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{event:?} cannot happen in {phase:?}")]
pub(crate) struct Illegal {
    /// The state.
    pub(crate) phase: Phase,
    /// The event.
    pub(crate) event: Event,
}

impl State {
    /// Before anything.
    pub(crate) const START: Self = Self { phase: Phase::Probe, failures: 0 };

    /// What comes next.
    pub(crate) fn next(self, event: Event) -> Result<Self, Illegal> {
        let failures = self.failures;
        let keep = |phase| Ok(Self { phase, failures });
        let end = |ending| Ok(Self { phase: Phase::Ended(ending), failures });
        match (self.phase, event) {
            // Over is over.
            (phase @ Phase::Ended(_), Event::StopRequested | Event::Failed(_)) => keep(phase),
            (_, Event::Failed(Trouble::Superseded(by))) => end(Ending::Superseded(by)),
            (_, Event::Failed(Trouble::Input(what))) => end(Ending::Input(what)),
            (_, Event::Failed(Trouble::Lasting(what))) => end(Ending::Failed(what)),
            (Phase::Draining, Event::Failed(Trouble::Passing(_)) | Event::Drained) => {
                end(Ending::Stopped)
            }
            (_, Event::Failed(Trouble::Passing(why))) => {
                Ok(Self { phase: Phase::Backoff { why }, failures: failures.saturating_add(1) })
            }
            (_, Event::StopRequested) => keep(Phase::Draining),
            (Phase::Probe, Event::Probed) => keep(Phase::Prepare),
            (Phase::Prepare, Event::Prepared { timeline, from }) => {
                keep(Phase::Stream { timeline, from })
            }
            (Phase::Prepare, Event::Forked(fork)) => keep(Phase::Fork(fork)),
            (phase @ Phase::Stream { .. }, Event::Flowed) => Ok(Self { phase, failures: 0 }),
            (Phase::Stream { .. }, Event::StreamEnded(why)) => keep(Phase::Backoff { why }),
            (Phase::Stream { .. }, Event::WalRemoved { from, timeline }) => {
                keep(Phase::Gap { from, timeline })
            }
            (Phase::Gap { .. }, Event::Recorded) => keep(Phase::Prepare),
            (Phase::Fork(fork), Event::Recorded) if fork.way_on().is_some() => keep(Phase::Prepare),
            (Phase::Fork(fork), Event::Recorded) => end(Ending::Input(fork.to_string())),
            (Phase::Backoff { .. }, Event::Waited) => keep(Phase::Probe),
            (phase, event) => Err(Illegal { phase, event }),
        }
    }

    /// How long to wait before trying again: it doubles with every failure, and differs by chance so
    /// that many agents do not come back together.
    pub(crate) fn pause(&self, random: &dyn Random) -> Duration {
        let doubled = PAUSE_MIN.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        let longest = doubled.min(PAUSE_MAX);
        let [chance] = bytes::<1>(random);
        longest / 2 + longest / 512 * u32::from(chance)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe => f.write_str("asking the server"),
            Self::Prepare => f.write_str("preparing"),
            Self::Stream { timeline, from } => {
                write!(f, "streaming timeline {timeline} from {from} on")
            }
            Self::Backoff { why } => write!(f, "waiting to try again: {why}"),
            Self::Gap { from, timeline } => {
                write!(f, "WAL of timeline {timeline} from {from} on is gone from the server")
            }
            Self::Fork(fork) => fork.fmt(f),
            Self::Draining => f.write_str("stopping"),
            Self::Ended(Ending::Stopped) => f.write_str("stopped"),
            Self::Ended(Ending::Superseded(by)) => write!(f, "superseded: {by}"),
            Self::Ended(Ending::Input(what) | Ending::Failed(what)) => f.write_str(what),
        }
    }
}

/// A phase in one word, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are the phases")]
pub enum PhaseName {
    Probe,
    Prepare,
    Stream,
    Backoff,
    Gap,
    Fork,
    Draining,
    Ended,
}

impl Phase {
    /// The phase in one word.
    pub(crate) fn name(&self) -> PhaseName {
        match self {
            Self::Probe => PhaseName::Probe,
            Self::Prepare => PhaseName::Prepare,
            Self::Stream { .. } => PhaseName::Stream,
            Self::Backoff { .. } => PhaseName::Backoff,
            Self::Gap { .. } => PhaseName::Gap,
            Self::Fork(_) => PhaseName::Fork,
            Self::Draining => PhaseName::Draining,
            Self::Ended(_) => PhaseName::Ended,
        }
    }
}

#[cfg(test)]
mod tests;
