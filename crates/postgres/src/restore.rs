//! Bringing a cluster back: where to, from what, and by which steps.

pub mod choice;
pub mod target;
