//! What the process takes from outside, as values: time, chance, files, child processes, signals.
//!
//! Nothing in the other crates asks the operating system for these by itself; they are handed a
//! [`Clock`], a [`Random`] or a [`Disk`], so that a test can hand them another one and replay every
//! crash from a seed. What this crate does not contain is the network.

pub mod clock;
pub mod disk;
pub mod durable;
pub mod exec;
pub mod machine;
pub mod random;
pub mod secret;
pub mod sim;
pub mod stop;

pub use clock::{Clock, SystemClock};
pub use disk::{Disk, DiskFile, OsDisk};
pub use machine::Machine;
pub use random::{Random, SystemRandom};
pub use secret::Secret;
pub use stop::Stop;
