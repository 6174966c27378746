//! Bringing a cluster back: where to, from what, and by which steps.

pub mod choice;
pub mod configure;
pub mod target;
