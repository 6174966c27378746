//! What has happened in a run: lines that are only ever added, each of them chained to the one before.
//!
//! The format is `docs/format/journal.md`. The rule it keeps: what was appended is durable when
//! [`Journal::append`] returns, and no byte of it can change without its record being named. What the
//! records mean is not known here: a body is JSON.

mod file;
mod mirror;
mod read;
mod record;

#[cfg(test)]
mod tests;

pub use file::{Appended, Journal, JournalError, Opened};
pub use mirror::{Mirror, MirrorError, Slot, Stored};
pub use read::{Damage, Reading, Refused, Torn, read};
pub use record::{Draft, FORMAT_VERSION, Hash, Record, Stamp, first_hash};
