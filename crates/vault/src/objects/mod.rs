//! Where the objects of a vault lie.
//!
//! [`ObjectStore`] is the little that a vault needs of a place: create if absent, read, list,
//! delete. [`DirectoryStore`] is one in a directory, [`MemoryStore`] one for tests; [`Metered`] and
//! [`Faulty`] wrap any. Conditional creation is what everything above rests on: the next entry of
//! a log *is* the commit, so a store that lets two writers create one name loses backups.
//!
//! Writers do not call [`ObjectStore::create`] by themselves: [`create_once`] does, which is the
//! only place where a creation may be repeated.

use jiff::Timestamp;

mod directory;
mod error;
mod faulty;
mod memory;
mod metered;
mod once;
mod url;

pub use directory::DirectoryStore;
pub use error::{ObjectError, ObjectErrorKind, Operation};
pub use faulty::{Faults, Faulty};
pub use memory::MemoryStore;
pub use metered::{Counts, Metered};
pub use once::{Once, create_once};
pub use url::{UrlError, create_url, open_url};

/// The longest name; S3 ends at 1024.
pub const NAME_LENGTH_MAX: usize = 512;

/// The longest part of a name between slashes. File systems end at 255, and a temporary name is up
/// to 38 longer than the final one.
pub const COMPONENT_LENGTH_MAX: usize = 200;

/// A place where objects are created once, read, listed and deleted.
///
/// # What an implementation promises
/// The suite in `objects/conformance.rs` checks what can be checked; run it for every new one.
///
/// 1. **Create is a condition.** Of all that ever create one name, on whatever machines, exactly one
///    is told [`Created::New`]; the others are told [`Created::Exists`] and change nothing. A store
///    that ignores the condition must not be offered as an `ObjectStore`.
/// 2. **Whole or absent.** Nobody ever sees a part of an object: not during creation, not after the
///    writer or the store's machine died in it, not when space ran out.
/// 3. **Answered means durable.** When `create` returns `Ok`, either way, the object survives the
///    loss of power; so does whatever [`head`](Self::head) has found. `read` and `list` may show an
///    object that a crash at this moment would still take back: who builds on an object that
///    another writer made calls `head` first.
/// 4. **An error is not an answer.** After a `create` that failed, the object may be there or not.
///    The implementation never repeats a creation by itself, since the second try cannot tell its
///    own first success from somebody else's; [`create_once`] can.
/// 5. **A list is a hint.** It is sorted by the bytes of the full names and complete for whatever was
///    there all the time; an object that came or went lately may be shown or not. `read` and `head`
///    decide: they see every creation that was answered.
/// 6. **Names** are checked by [`check_name`] before they go anywhere. No object's name followed by
///    `/` may begin another's; an implementation may refuse such a pair.
/// 7. **Errors are sorted** by [`ObjectErrorKind`]: `Retry` is only what a repetition may cure.
pub trait ObjectStore: Send + Sync {
    /// Creates an object if no object of that name exists.
    ///
    /// # Errors
    /// The object may exist all the same, with these bytes. `Full` and `Denied` when the store says
    /// so, `Input` for a name or a length that no store takes.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError>;

    /// The whole object.
    ///
    /// # Errors
    /// `NotFound` when there is none. `Failed` when it is longer than any object may be.
    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError>;

    /// At most `length` bytes from `offset` on: fewer only when the object ends before, none when
    /// `offset` is at or behind its end.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError>;

    /// What is known of an object; `None` when there is none. What it finds is durable.
    ///
    /// # Errors
    /// Whatever the store says; absence is not an error here.
    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError>;

    /// The first `limit` objects whose names begin with `prefix` and come behind `after`, sorted.
    /// Fewer than `limit` means that there are no more.
    ///
    /// # Errors
    /// Whatever the store says. A prefix that nothing has gives an empty list.
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError>;

    /// Deletes an object for good; its absence is a success.
    ///
    /// # Errors
    /// The object may be there or not. `Denied` when it is locked.
    fn delete(&self, name: &str) -> Result<(), ObjectError>;
}

/// The answer to a conditional creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an object that existed before has other bytes unless compared"]
pub enum Created {
    /// The object is there by this call.
    New,
    /// An object of that name was there before and is unchanged.
    Exists,
}

/// What a store knows of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Full name.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub modified: Timestamp,
}

/// Whether every store takes this name: slash-separated components of ASCII letters, digits, `-`,
/// `_` and `.`, none of them empty or beginning with a dot. That leaves no `..`, nothing absolute
/// and nothing hidden, and the hidden names are free for a store's own use.
#[must_use]
pub fn check_name(name: &str) -> bool {
    name.len() <= NAME_LENGTH_MAX && name.split('/').all(check_component)
}

fn check_component(component: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !component.is_empty()
        && component.len() <= COMPONENT_LENGTH_MAX
        && !component.starts_with('.')
        && component.bytes().all(fits)
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
