//! The write-ahead log: names of its files, and what its bytes say.
//!
//! Nothing here reads or writes: bytes come in, values go out.

mod assembly;
pub mod changes;
pub mod decoder;
pub mod header;
pub mod meaning;
pub mod name;
pub mod record;

pub use assembly::RecordError;

#[cfg(test)]
mod workload;
#[cfg(test)]
pub(crate) mod writer;
