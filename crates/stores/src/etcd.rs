//! etcd: asked through its HTTP gateway, which speaks of the same calls as gRPC.
//!
//! The rule kept here: a snapshot is one only if the server's own hash of it, which comes behind its
//! last byte, is that of what has arrived. `docs/decisions/0016` says why there is no gRPC.

mod access;
pub mod backup;
mod bump;
mod census;
mod client;
mod error;
mod files;
mod gateway;
mod members;
mod record;
pub mod restore;
pub mod scratch;
mod snapshot;
mod socket;
mod source;
mod stream;

pub use access::{Access, Endpoint, EndpointError};
pub use bump::{BUMP_DEFAULT, Bump};
pub use census::{Census, GROUPS_MAX};
pub use client::{Alarm, Client, Member, Status};
pub use error::{ErrorKind, EtcdError};
pub use files::{FilesError, check_files};
pub use members::{MemberError, NewCluster, NewMember};
pub use record::{
    Counters, EtcdRecord, KIND, MemberRecord, RecordError, SNAPSHOT_FILE, Sharing, TAKEN_PREFIX,
    TakenFile, kind_of,
};
pub use snapshot::{CheckedSnapshot, HASH_LENGTH, PAGE_LENGTH, check_snapshot};
pub use stream::SnapshotStream;
