//! A store in memory, for tests and simulations.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use soter_world::Clock;

use super::error::{ObjectError, ObjectErrorKind, Operation};
use super::{Created, ObjectInfo, ObjectStore, check_name};
use crate::pack::OBJECT_LENGTH_MAX;

/// A perfect store: nothing fails, and lists are never stale. [`Faulty`](super::Faulty) makes it
/// like the ones outside.
pub struct MemoryStore {
    objects: Mutex<BTreeMap<String, Object>>,
    clock: Arc<dyn Clock>,
}

struct Object {
    bytes: Vec<u8>,
    modified: Timestamp,
}

impl MemoryStore {
    /// An empty store that dates its objects by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { objects: Mutex::default(), clock }
    }

    /// Puts an object whatever was there, as a thief does on a store without conditions.
    pub fn overwrite(&self, name: &str, bytes: &[u8]) {
        let object = Object { bytes: bytes.to_vec(), modified: self.clock.now() };
        self.lock().insert(name.to_owned(), object);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_bytes<T>(&self, name: &str, read: impl FnOnce(&[u8]) -> T) -> Result<T, ObjectError> {
        check(Operation::Read, name)?;
        let objects = self.lock();
        let object = objects.get(name);
        object
            .map(|object| read(&object.bytes))
            .ok_or_else(|| ObjectError::not_found(Operation::Read, name))
    }
}

impl ObjectStore for MemoryStore {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
        check(Operation::Create, name)?;
        if bytes.len() > OBJECT_LENGTH_MAX {
            return Err(ObjectError::too_long(Operation::Create, name));
        }
        let mut objects = self.lock();
        if is_nested(&objects, name) {
            let reason = "an object's name cannot be the directory of another";
            return Err(ObjectError::new(Operation::Create, name, ObjectErrorKind::Failed, reason));
        }
        match objects.entry(name.to_owned()) {
            Entry::Occupied(_) => Ok(Created::Exists),
            Entry::Vacant(place) => {
                place.insert(Object { bytes: bytes.to_vec(), modified: self.clock.now() });
                Ok(Created::New)
            }
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        self.read_bytes(name, <[u8]>::to_vec)
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        self.read_bytes(name, |bytes| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            bytes[start..bytes.len().min(start.saturating_add(length))].to_vec()
        })
    }

    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        check(Operation::Head, name)?;
        Ok(self.lock().get(name).map(|object| object.describe(name)))
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let objects = self.lock();
        let found = objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix))
            .take(limit)
            .map(|(name, object)| object.describe(name));
        Ok(found.collect())
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        check(Operation::Delete, name)?;
        self.lock().remove(name);
        Ok(())
    }
}

impl Object {
    fn describe(&self, name: &str) -> ObjectInfo {
        let size = self.bytes.len() as u64;
        ObjectInfo { name: name.to_owned(), size, modified: self.modified }
    }
}

fn check(operation: Operation, name: &str) -> Result<(), ObjectError> {
    if check_name(name) { Ok(()) } else { Err(ObjectError::bad_name(operation, name)) }
}

/// Whether a name lies below an object's or above one, which a directory could not store.
fn is_nested(objects: &BTreeMap<String, Object>, name: &str) -> bool {
    let below = format!("{name}/");
    let has_below = objects
        .range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded))
        .next()
        .is_some_and(|(other, _)| other.starts_with(&below));
    let mut above = name;
    let mut has_above = false;
    while let Some((parent, _)) = above.rsplit_once('/') {
        has_above |= objects.contains_key(parent);
        above = parent;
    }
    has_below || has_above
}
