//! Bringing a cluster back: where to, from what, and by which steps.

pub mod checks;
pub mod choice;
pub mod claim;
pub mod configure;
mod error;
pub mod feed;
pub mod gather;
pub mod start;
pub mod survey;
pub mod tablespaces;
pub mod target;
pub mod write;

pub use error::RestoreError;

#[cfg(test)]
mod tests;
