//! Creating an object although answers get lost.
//!
//! A repeated creation that says "exists" may have met its own first try. The bytes tell: equal ones
//! are ours, and no others ever are, because everything we store is sealed or signed with something
//! that nobody else has. This is the one place that repeats a conditional creation.

use std::time::Duration;

use soter_world::Clock;

use super::error::{ObjectError, ObjectErrorKind};
use super::{Created, ObjectStore};

/// How often a creation is tried. With the waits below that is some 13 seconds: longer than the
/// usual hiccup of a store, and short enough for the caller to notice what happened meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// The wait before the second try; it doubles with each further one.
const WAIT_FIRST: Duration = Duration::from_millis(100);

/// What became of a creation. In each case the object is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the name may belong to somebody else"]
pub enum Once {
    /// It was created by this call.
    New,
    /// An object with equal bytes is there: an earlier try of ours.
    Same,
    /// Somebody else has the name; these are the bytes.
    Taken(Vec<u8>),
}

/// Creates an object if absent, repeats what a repetition may cure, and says whose it is.
///
/// # Errors
/// What cannot be cured, or still failed in the last try. The object may be there all the same:
/// call it again with the *same bytes*, never with others.
pub fn create_once(
    store: &dyn ObjectStore,
    clock: &dyn Clock,
    name: &str,
    bytes: &[u8],
) -> Result<Once, ObjectError> {
    let mut wait = WAIT_FIRST;
    for _ in 1..ATTEMPTS_MAX {
        match create_and_compare(store, name, bytes) {
            Err(error) if error.kind() == ObjectErrorKind::Retry => {}
            // It existed and was deleted since.
            Err(error) if error.kind() == ObjectErrorKind::NotFound => {}
            answer => return answer,
        }
        clock.sleep(wait);
        wait *= 2;
    }
    create_and_compare(store, name, bytes)
}

fn create_and_compare(
    store: &dyn ObjectStore,
    name: &str,
    bytes: &[u8],
) -> Result<Once, ObjectError> {
    if store.create(name, bytes)? == Created::New {
        return Ok(Once::New);
    }
    let found = store.read(name)?;
    Ok(if found == bytes { Once::Same } else { Once::Taken(found) })
}
