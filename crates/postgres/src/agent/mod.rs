//! The agent: what runs beside a cluster and keeps its WAL safe, second by second.

#![expect(dead_code, reason = "the threads that drive it come next")]

mod arrivals;
mod engine;
mod facts;
mod flow;
mod intake;
mod lanes;
mod machine;
mod progress;
mod resume;
#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::clone_on_ref_ptr,
    reason = "a test's small world"
)]
mod scene;
#[cfg(test)]
#[expect(clippy::clone_on_ref_ptr, reason = "a test's small world")]
mod simulation;
mod spool;

pub use flow::{Mode, PART_BYTES_MAX};
pub use machine::{Ending, Event, Illegal, Phase, PhaseName, State, Trouble};
pub use resume::{Decision, Fork, Held, Offered};
