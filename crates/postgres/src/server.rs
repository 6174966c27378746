//! A server asked and told by SQL: what it is and how it is set, base backups, promotion, canaries.
//!
//! [`ServerFacts`] is a value; what is wrong with it is decided by [`checks`] without a server.

mod backup_session;
mod canary;
pub mod checks;
mod error;
mod facts;
mod position;
mod quote;
mod standby_names;

pub use backup_session::{BackupSession, Checkpoint, FinishedBackup};
pub use canary::{Canary, CanaryRow};
pub use error::Error;
pub use facts::{
    CollationFacts, DatabaseContent, DatabaseFacts, ExtensionFacts, FileFacts, LibraryVersions,
    Privilege, ReceiverFacts, RoleFacts, ServerFacts, SlotFacts, SlotState,
    SynchronousCommitOverride, TablespaceFacts, WalLevel,
};
pub use position::{flush_position, is_in_recovery, promote, replay_position};
pub use quote::{quote_identifier, quote_literal};
pub use standby_names::{StandbyNames, StandbyNamesError};

#[cfg(test)]
mod tests;
