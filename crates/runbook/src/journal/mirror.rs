//! A second place for a journal, which is also the fence between two engines.
//!
//! The rule it keeps: a slot is created once. Whoever finds something else in the slot they wanted
//! has been replaced, and does nothing more.

use thiserror::Error;

/// Where a journal is kept besides the disk of the engine's machine. One value is about one run.
///
/// A slot holds what one append wrote: whole lines. It is called by the number of its first record.
/// No method may take long without end: an engine waits for it. Half a minute is long.
pub trait Mirror: Send + Sync {
    /// Creates the slot with these bytes, durably, if nothing is in it.
    ///
    /// # Errors
    /// When it is not known whether that happened; calling it again with the same bytes is safe.
    fn append(&self, n: u64, lines: &[u8]) -> Result<Stored, MirrorError>;

    /// All slots there are, in the order of their numbers.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read_all(&self) -> Result<Vec<Slot>, MirrorError>;
}

/// A slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The number of its first record.
    pub n: u64,
    /// Its lines.
    pub lines: Vec<u8>,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The slot was created.
    Created,
    /// The slot had exactly these bytes: an earlier try had succeeded.
    AlreadySame,
    /// The slot has something else: another engine has taken the run.
    Superseded,
}

/// A mirror that cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the mirror of the journal cannot be reached: {0}")]
pub struct MirrorError(pub String);
