//! What a store was asked for, counted: requests cost money, and tests hold us to a number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ObjectError;
use super::{Created, ObjectInfo, ObjectStore};

/// A store that counts.
pub struct Metered {
    store: Arc<dyn ObjectStore>,
    creates: AtomicU64,
    reads: AtomicU64,
    heads: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
    errors: AtomicU64,
    written_bytes: AtomicU64,
    read_bytes: AtomicU64,
}

/// What was counted until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Creations asked for.
    pub creates: u64,
    /// Reads of whole objects and of ranges.
    pub reads: u64,
    /// Looks at one object.
    pub heads: u64,
    /// Lists, each of at most one `limit`.
    pub lists: u64,
    /// Deletions asked for.
    pub deletes: u64,
    /// Requests of any kind that failed; a missing object is not counted.
    pub errors: u64,
    /// Bytes of the objects that were created by us, not of those that existed.
    pub written_bytes: u64,
    /// Bytes that reads returned.
    pub read_bytes: u64,
}

impl Metered {
    /// Counts what goes to `store` from now on.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            creates: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            heads: AtomicU64::new(0),
            lists: AtomicU64::new(0),
            deletes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
        }
    }

    /// What was counted until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            creates: load(&self.creates),
            reads: load(&self.reads),
            heads: load(&self.heads),
            lists: load(&self.lists),
            deletes: load(&self.deletes),
            errors: load(&self.errors),
            written_bytes: load(&self.written_bytes),
            read_bytes: load(&self.read_bytes),
        }
    }

    fn count<T>(
        &self,
        counter: &AtomicU64,
        result: Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        add(counter, 1);
        if result.as_ref().is_err_and(|e| e.kind() != super::ObjectErrorKind::NotFound) {
            add(&self.errors, 1);
        }
        result
    }

    fn count_read(&self, result: Result<Vec<u8>, ObjectError>) -> Result<Vec<u8>, ObjectError> {
        let bytes = self.count(&self.reads, result)?;
        add(&self.read_bytes, bytes.len() as u64);
        Ok(bytes)
    }
}

impl ObjectStore for Metered {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
        let created = self.count(&self.creates, self.store.create(name, bytes))?;
        if created == Created::New {
            add(&self.written_bytes, bytes.len() as u64);
        }
        Ok(created)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        self.count_read(self.store.read(name))
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        self.count_read(self.store.read_range(name, offset, length))
    }

    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        self.count(&self.heads, self.store.head(name))
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        self.count(&self.lists, self.store.list(prefix, after, limit))
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.count(&self.deletes, self.store.delete(name))
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
