//! A store that behaves as badly as the ones outside, by a seed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soter_world::sim::SeededRandom;

use super::error::{ObjectError, ObjectErrorKind, Operation};
use super::{Created, ObjectInfo, ObjectStore};

/// How many of the latest creations and deletions a stale list may not know of.
const STALE_CHANGES_MAX: usize = 32;

/// How many objects of the wrapped store a list asks for at once.
const LIST_PAGE: usize = 1000;

/// A store whose answers are lost, late and cut, and which dies at a given operation.
///
/// Every call is one operation; they are numbered from 0, so that a test can run once to learn how
/// many there are and then let the store die at each:
///
/// ```text
/// store.crash_at(n)    operation n fails, having happened or not; every later one fails too
/// store.revive()       it answers again; nothing that was answered is lost
/// ```
pub struct Faulty {
    store: Arc<dyn ObjectStore>,
    state: Mutex<State>,
}

/// How often a store misbehaves, in percent of the operations concerned.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// It refuses with an error that a repetition cures, and nothing has happened.
    pub errors_percent: u64,
    /// A creation or a deletion happens and is answered by an error.
    pub lost_answers_percent: u64,
    /// A list does not show some objects that were created lately, and shows some that were deleted.
    pub stale_lists_percent: u64,
    /// A read gives fewer bytes than there are and calls it a success. No honest store does; readers
    /// must notice all the same.
    pub short_reads_percent: u64,
}

struct State {
    faults: Faults,
    random: SeededRandom,
    operations: u64,
    crash_at: Option<u64>,
    crashed: bool,
    changes: VecDeque<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Created(String),
    Deleted(ObjectInfo),
}

/// What becomes of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Happens,
    Fails,
    HappensUnanswered,
    Crashes,
    CrashesAfterwards,
}

impl Faults {
    /// None, which leaves only [`Faulty::crash_at`].
    pub const NONE: Self = Self {
        errors_percent: 0,
        lost_answers_percent: 0,
        stale_lists_percent: 0,
        short_reads_percent: 0,
    };

    /// A store on a bad day that still keeps its promises.
    pub const ROUGH: Self = Self {
        errors_percent: 5,
        lost_answers_percent: 5,
        stale_lists_percent: 50,
        short_reads_percent: 0,
    };
}

impl Faulty {
    /// Lets `store` misbehave by the numbers of a seed.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, faults: Faults, seed: u64) -> Self {
        let state = State {
            faults,
            random: SeededRandom::new(seed),
            operations: 0,
            crash_at: None,
            crashed: false,
            changes: VecDeque::new(),
        };
        Self { store, state: Mutex::new(state) }
    }

    /// How many operations there were, which is the number of the next one.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets the store die in the operation of that number.
    pub fn crash_at(&self, operation: u64) {
        self.lock().crash_at = Some(operation);
    }

    /// Whether the operation given to [`Faulty::crash_at`] was reached.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Lets the store answer again.
    pub fn revive(&self) {
        let mut state = self.lock();
        state.crash_at = None;
        state.crashed = false;
    }

    /// Changes how it misbehaves from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform<T>(
        &self,
        operation: Operation,
        name: &str,
        act: impl FnOnce() -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let fate = self.lock().next_fate(operation);
        let (kind, reason) = match fate {
            Fate::Happens => return act(),
            Fate::Fails => (ObjectErrorKind::Retry, "the simulated store is busy"),
            Fate::HappensUnanswered => {
                act()?;
                (ObjectErrorKind::Retry, "the simulated store's answer was lost")
            }
            Fate::Crashes => (ObjectErrorKind::Failed, "the simulated store is dead"),
            Fate::CrashesAfterwards => {
                act()?;
                (ObjectErrorKind::Failed, "the simulated store is dead")
            }
        };
        Err(ObjectError::new(operation, name, kind, reason))
    }

    fn remember(&self, change: Change) {
        let mut state = self.lock();
        if state.changes.len() == STALE_CHANGES_MAX {
            state.changes.pop_front();
        }
        state.changes.push_back(change);
    }

    fn cut(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let state = self.lock();
        if state.random.chance(state.faults.short_reads_percent) && !bytes.is_empty() {
            bytes.truncate(state.random.index(bytes.len()));
        }
        bytes
    }

    /// Which of the latest creations this list will hide, and which deletions it will undo.
    fn choose_stale(&self) -> Vec<Change> {
        let state = self.lock();
        if !state.random.chance(state.faults.stale_lists_percent) {
            return Vec::new();
        }
        state.changes.iter().filter(|_| state.random.chance(50)).cloned().collect()
    }

    fn list_stale(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        stale: &[Change],
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        let is_hidden = |info: &ObjectInfo| {
            stale.iter().any(|change| matches!(change, Change::Created(name) if *name == info.name))
        };
        let mut found: Vec<ObjectInfo> = Vec::new();
        let mut from = after.map(str::to_owned);
        while found.len() < limit {
            let page = self.store.list(prefix, from.as_deref(), LIST_PAGE)?;
            let is_last = page.len() < LIST_PAGE;
            from = page.last().map(|info| info.name.clone());
            found.extend(page.into_iter().filter(|info| !is_hidden(info)));
            if is_last {
                break;
            }
        }
        for change in stale {
            let Change::Deleted(info) = change else { continue };
            let is_asked = info.name.starts_with(prefix)
                && after.is_none_or(|after| info.name.as_str() > after);
            if is_asked && found.iter().all(|other| other.name != info.name) {
                found.push(info.clone());
            }
        }
        found.sort_by(|left, right| left.name.cmp(&right.name));
        found.truncate(limit);
        Ok(found)
    }
}

impl State {
    fn next_fate(&mut self, operation: Operation) -> Fate {
        let number = self.operations;
        self.operations += 1;
        let changes = matches!(operation, Operation::Create | Operation::Delete);
        if self.crashed {
            Fate::Crashes
        } else if self.crash_at.is_some_and(|at| number >= at) {
            self.crashed = true;
            if self.random.chance(50) { Fate::CrashesAfterwards } else { Fate::Crashes }
        } else if self.random.chance(self.faults.errors_percent) {
            Fate::Fails
        } else if changes && self.random.chance(self.faults.lost_answers_percent) {
            Fate::HappensUnanswered
        } else {
            Fate::Happens
        }
    }
}

impl ObjectStore for Faulty {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
        self.perform(Operation::Create, name, || {
            let created = self.store.create(name, bytes)?;
            if created == Created::New {
                self.remember(Change::Created(name.to_owned()));
            }
            Ok(created)
        })
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        self.perform(Operation::Read, name, || Ok(self.cut(self.store.read(name)?)))
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        self.perform(Operation::Read, name, || {
            Ok(self.cut(self.store.read_range(name, offset, length)?))
        })
    }

    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        self.perform(Operation::Head, name, || self.store.head(name))
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        self.perform(Operation::List, prefix, || {
            let stale = self.choose_stale();
            if stale.is_empty() {
                return self.store.list(prefix, after, limit);
            }
            self.list_stale(prefix, after, limit, &stale)
        })
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.perform(Operation::Delete, name, || {
            let before = self.store.head(name)?;
            self.store.delete(name)?;
            before.map(Change::Deleted).into_iter().for_each(|change| self.remember(change));
            Ok(())
        })
    }
}
