//! The streaming replication protocol, as far as physical WAL needs it: a connection of our own.
//!
//! ```text
//!             ReplicationClient::connect ── IDENTIFY_SYSTEM, slots, TIMELINE_HISTORY
//!                       │ stream
//!                       ▼                      ┌──────────────┐
//!   server ──WAL, keepalives──▶ WalStream ──▶  │ whoever keeps │
//!          ◀──status updates── Acknowledger ◀──│   the WAL     │
//!                       │                      └──────────────┘
//!                       ▼ end of timeline, or stopped: the client takes commands again
//! ```
//!
//! Reading and acknowledging have an owner each, so that neither waits for the other. What the
//! messages are is decided without IO (`frame`, `message`, `authentication`); `wire` moves bytes.
//!
//! Every byte of the server is checked and none can make this code panic or allocate without bound.

mod authentication;
mod client;
mod error;
mod frame;
mod message;
mod slot;
mod stream;
mod wire;

pub use client::{HistoryFile, ReplicationClient, SlotPosition, SystemIdentity};
pub use error::{AuthenticationError, Error, ProtocolError, Refusal, ServerError};
pub use slot::SlotName;
pub use stream::{Event, Start, WalStream};
pub use wire::{Acknowledger, StatusUpdate};

#[cfg(test)]
mod tests;
