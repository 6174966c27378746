//! What can go wrong with a store, sorted by what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

/// A store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {name:?} in the vault's store")]
pub struct ObjectError {
    operation: Operation,
    name: String,
    kind: ObjectErrorKind,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

/// What to do about an [`ObjectError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectErrorKind {
    /// There is no such object.
    NotFound,
    /// Try again: the network, a timeout, a server that is busy.
    Retry,
    /// Make room.
    Full,
    /// Give the credential this right, or wait until the object's lock has run out.
    Denied,
    /// The name or the length is none that a store takes: an error of the caller.
    Input,
    /// None of these; a person must look.
    Failed,
}

/// What a store was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`ObjectStore::create`](super::ObjectStore::create)
    Create,
    /// [`ObjectStore::read`](super::ObjectStore::read) and its ranges
    Read,
    /// [`ObjectStore::head`](super::ObjectStore::head)
    Head,
    /// [`ObjectStore::list`](super::ObjectStore::list)
    List,
    /// [`ObjectStore::delete`](super::ObjectStore::delete)
    Delete,
}

impl ObjectError {
    /// An error with its cause.
    pub fn new(
        operation: Operation,
        name: &str,
        kind: ObjectErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { operation, name: name.to_owned(), kind, source: source.into() }
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ObjectErrorKind {
        self.kind
    }

    /// What the store was asked for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The name, or for a list the prefix, that it was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn not_found(operation: Operation, name: &str) -> Self {
        Self::new(operation, name, ObjectErrorKind::NotFound, "there is no such object")
    }

    pub(super) fn bad_name(operation: Operation, name: &str) -> Self {
        Self::new(operation, name, ObjectErrorKind::Input, "no object can have that name")
    }

    pub(super) fn too_long(operation: Operation, name: &str) -> Self {
        let kind = match operation {
            Operation::Create => ObjectErrorKind::Input,
            _ => ObjectErrorKind::Failed,
        };
        Self::new(operation, name, kind, "it is longer than an object may be")
    }

    pub(super) fn from_io(operation: Operation, name: &str, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                if operation == Operation::Read =>
            {
                ObjectErrorKind::NotFound
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ObjectErrorKind::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                ObjectErrorKind::Denied
            }
            io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::StaleNetworkFileHandle => ObjectErrorKind::Retry,
            _ => ObjectErrorKind::Failed,
        };
        Self::new(operation, name, kind, error)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Head => "look at",
            Self::List => "list",
            Self::Delete => "delete",
        })
    }
}
