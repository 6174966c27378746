//! A world that is made from a seed.
//!
//! Tests of any crate hand these values to code that takes a [`Clock`](crate::Clock), a
//! [`Random`](crate::Random) or a [`Disk`](crate::Disk), and replay a run from the seed that a failure
//! printed. Replay is exact as long as one thread uses them; with several threads only what each
//! operation may do is decided here, not their order.

mod clock;
mod content;
mod disk;
mod random;
mod seeds;
mod tree;

pub use clock::SimClock;
pub use disk::SimDisk;
pub use random::SeededRandom;
pub use seeds::{CASES_VARIABLE, SEEDS_LOG_VARIABLE, SEEDS_VARIABLE, cases, seeds};
