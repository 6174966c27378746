//! A store's log: what was agreed on, in order, signed.
//!
//! Everything that needs agreement is an entry, and taking the next slot is the agreement. There are
//! no locks, no leases and no clocks in it: a writer that was superseded finds the slot taken. The
//! state is a fold of the entries by one pure total function, the same for writer, reader, collector
//! and test. Nothing here knows what a backup contains.

mod append;
mod catalogue;
mod effect;
mod entry;
mod error;
mod event;
mod finding;
mod packs;
#[cfg(test)]
pub(crate) mod sample;
mod session;
mod tail;
pub mod validate;

pub use append::Log;
pub use catalogue::{AttestRow, BackupRow, Catalogue, EntryRow, HoldRow, SessionRow};
pub use entry::{Author, Body, Draft, Entry, EntryError, Position, TooLong};
pub use error::LogError;
pub use event::{
    Attest, Backup, DAMAGED_NAMES_MAX, Duty, Event, Head, Hold, HoldPurpose, Import, Incarnation,
    Level, LogHead, LogPlace, Open, Retire, Sweep, Unhold, WalRange, Witness,
};
pub use finding::{Finding, Floor, Hole, NamedPack, Problem, Severity, Void};
pub use packs::{PackRows, PackSet, TableError};
pub use session::{BackupDraft, FENCE_CHECK_INTERVAL, Opening, SESSION_AGE_MAX, Session, TakeOver};
pub use tail::Tail;
