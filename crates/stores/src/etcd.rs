//! etcd: asked through its HTTP gateway, which speaks of the same calls as gRPC.
//!
//! The rule kept here: a snapshot is one only if the server's own hash of it, which comes behind its
//! last byte, is that of what has arrived. `docs/decisions/0016` says why there is no gRPC.

mod access;
mod client;
mod error;
mod gateway;
mod snapshot;

pub use access::{Access, Endpoint, EndpointError};
pub use client::{Client, Member, Status};
pub use error::{ErrorKind, EtcdError};
pub use snapshot::{CheckedSnapshot, HASH_LENGTH, PAGE_LENGTH, check_snapshot};
