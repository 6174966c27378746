//! A file system in memory that can lose power, space and patience.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rustix::io::Errno;

use super::clock::SimClock;
use super::content::Content;
use super::random::SeededRandom;
use super::tree::{Body, Inode, Names, Tree};
use crate::clock::Clock;
use crate::disk::{Disk, DiskFile, Entry, Metadata, Owner};

/// What an unlimited disk says it has left: 1 TiB.
const SPACE_BYTES: u64 = 1 << 40;

/// A [`Disk`] in memory that keeps what was synced, and of the rest whatever the seed says.
///
/// Every call of a method of [`Disk`] or [`DiskFile`] is one operation; they are numbered from 0.
/// A crash test runs once to learn how many there are, then once for each number:
///
/// ```text
/// disk.crash_at(n)     operation n fails, having happened or not; every later one fails too
/// disk.reboot()        the power was cut: what was not synced is kept, torn or lost by chance
/// disk.restart()       only the process was killed: nothing is lost
/// ```
///
/// Relative paths start at `/`. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

struct State {
    tree: Tree,
    random: SeededRandom,
    operations: u64,
    crash_at: Option<u64>,
    crashed: bool,
    failures: BTreeMap<u64, io::ErrorKind>,
    repetitions: BTreeSet<u64>,
    capacity_bytes: Option<u64>,
    links_supported: bool,
    /// Counts boots; a file opened in an earlier one is stale.
    boot: u64,
}

/// What becomes of one operation.
enum Fate {
    Happens,
    HappensTwice,
    Fails(io::ErrorKind),
    /// It may have happened, but nobody hears of it.
    Crashes,
    CrashesAfterwards,
}

impl SimDisk {
    /// An empty disk with a clock of its own, which stands still.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_clock(seed, Arc::new(SimClock::new()))
    }

    /// An empty disk whose files are dated by `clock`.
    #[must_use]
    pub fn with_clock(seed: u64, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            tree: Tree::new(clock.now()),
            random: SeededRandom::new(seed),
            operations: 0,
            crash_at: None,
            crashed: false,
            failures: BTreeMap::new(),
            repetitions: BTreeSet::new(),
            capacity_bytes: None,
            links_supported: true,
            boot: 0,
        };
        Self { shared: Arc::new(Mutex::new(state)), clock }
    }

    /// How many operations there were, which is the number of the next one.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets the machine die in the operation of that number.
    pub fn crash_at(&self, operation: u64) {
        self.lock().crash_at = Some(operation);
    }

    /// Whether the operation given to [`SimDisk::crash_at`] was reached.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Lets one operation fail without effect. A sync that fails loses what it should have synced
    /// for ever, though it can still be read until the next crash.
    pub fn fail_at(&self, operation: u64, kind: io::ErrorKind) {
        self.lock().failures.insert(operation, kind);
    }

    /// Carries one operation out twice and gives the second answer, as an NFS server does when its
    /// first answer was lost: a link then says `AlreadyExists`, a removal `NotFound`.
    pub fn repeat_at(&self, operation: u64) {
        self.lock().repetitions.insert(operation);
    }

    /// Leaves room for only `bytes` more. `u64::MAX` takes the limit away.
    pub fn full_after(&self, bytes: u64) {
        let mut state = self.lock();
        state.capacity_bytes = state.tree.used_bytes().checked_add(bytes);
    }

    /// Makes [`Disk::link`] fail as on a file system without hard links.
    pub fn forbid_links(&self) {
        self.lock().links_supported = false;
    }

    /// The power was cut, now or by [`SimDisk::crash_at`], and is back. Open files are stale.
    pub fn reboot(&self) {
        let mut state = self.lock();
        let State { tree, random, .. } = &mut *state;
        tree.crash(random);
        state.start_anew();
    }

    /// The process was killed, now or by [`SimDisk::crash_at`], and started again on a machine that
    /// went on running: nothing is lost, nothing more is durable. Open files are stale.
    pub fn restart(&self) {
        self.lock().start_anew();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform<T>(&self, act: impl FnMut(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.perform_or(act, |_| ())
    }

    /// One operation; `on_failure` is what a failure by [`SimDisk::fail_at`] does.
    fn perform_or<T>(
        &self,
        mut act: impl FnMut(&mut State) -> io::Result<T>,
        on_failure: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        let mut state = self.lock();
        match state.next_fate() {
            Fate::Happens => act(&mut state),
            Fate::HappensTwice => act(&mut state).and_then(|_| act(&mut state)),
            Fate::Fails(kind) => {
                on_failure(&mut state);
                Err(kind.into())
            }
            Fate::Crashes => Err(crash_error()),
            Fate::CrashesAfterwards => act(&mut state).and_then(|_| Err(crash_error())),
        }
    }

    fn handle(&self, state: &State, inode: Inode) -> Box<dyn DiskFile> {
        Box::new(SimFile { disk: self.clone(), inode, boot: state.boot })
    }
}

impl State {
    fn next_fate(&mut self) -> Fate {
        let number = self.operations;
        self.operations += 1;
        if self.crashed {
            Fate::Crashes
        } else if self.crash_at.is_some_and(|at| number >= at) {
            self.crashed = true;
            if self.random.chance(50) { Fate::CrashesAfterwards } else { Fate::Crashes }
        } else if let Some(kind) = self.failures.remove(&number) {
            Fate::Fails(kind)
        } else if self.repetitions.remove(&number) {
            Fate::HappensTwice
        } else {
            Fate::Happens
        }
    }

    fn start_anew(&mut self) {
        self.crash_at = None;
        self.crashed = false;
        self.failures.clear();
        self.repetitions.clear();
        self.boot += 1;
    }

    fn free_bytes(&self) -> u64 {
        match self.capacity_bytes {
            Some(capacity) => capacity.saturating_sub(self.tree.used_bytes()),
            None => SPACE_BYTES,
        }
    }

    /// A new name needs a little room in its directory.
    fn check_room_for_name(&self) -> io::Result<()> {
        if self.free_bytes() == 0 { Err(Errno::NOSPC.into()) } else { Ok(()) }
    }

    fn add(&mut self, path: &Path, body: Body, now: Timestamp) -> io::Result<Inode> {
        let place = self.tree.place(path)?;
        if self.tree.at(&place).is_err() {
            self.check_room_for_name()?;
        }
        self.tree.add(place, body, now)
    }

    /// Writes what fits.
    fn write(&mut self, inode: Inode, offset: u64, bytes: &[u8], now: Timestamp) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| Errno::FBIG)?;
        let length = self.tree.content(inode)?.current().len();
        let free = usize::try_from(self.free_bytes()).unwrap_or(usize::MAX);
        let end_max = length.saturating_add(free);
        let fitting = end_max.saturating_sub(offset).min(bytes.len());
        if fitting > 0 {
            self.tree.content_mut(inode, now)?.write(offset, &bytes[..fitting]);
        }
        if fitting < bytes.len() { Err(Errno::NOSPC.into()) } else { Ok(()) }
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let now = self.clock.now();
        self.perform(|state| {
            let inode = state.add(path, Body::File(Content::default()), now)?;
            Ok(self.handle(state, inode))
        })
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.perform(|state| Ok(self.handle(state, state.tree.follow(path)?)))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.perform(|state| {
            let inode = state.tree.follow(path)?;
            state.tree.content(inode)?;
            Ok(self.handle(state, inode))
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(|state| {
            if !state.links_supported {
                return Err(Errno::PERM.into());
            }
            let inode = state.tree.at(&state.tree.place(from)?)?;
            let to = state.tree.place(to)?;
            if state.tree.at(&to).is_err() {
                state.check_room_for_name()?;
            }
            state.tree.link(inode, to)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(|state| {
            let (from, to) = (state.tree.place(from)?, state.tree.place(to)?);
            state.tree.rename(from, to)
        })
    }

    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(|state| {
            let (from, to) = (state.tree.place(from)?, state.tree.place(to)?);
            state.tree.at(&from)?;
            if state.tree.at(&to).is_ok() {
                return Err(Errno::EXIST.into());
            }
            state.tree.rename(from, to)
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.perform(|state| {
            let place = state.tree.place(path)?;
            state.tree.remove_file(place)
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let now = self.clock.now();
        self.perform(|state| state.add(path, Body::Directory(Names::default()), now).map(drop))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.perform(|state| {
            let place = state.tree.place(path)?;
            state.tree.remove_dir(place)
        })
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        let now = self.clock.now();
        self.perform(|state| state.add(path, Body::Symlink(target.to_owned()), now).map(drop))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.perform(|state| state.tree.read_link(state.tree.at(&state.tree.place(path)?)?))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.perform(|state| {
            let entries = state.tree.list(state.tree.follow(directory)?)?;
            Ok(entries.into_iter().map(|(name, kind)| Entry { name, kind }).collect())
        })
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.perform(|state| {
            let inode = match path.file_name() {
                Some(_) => state.tree.at(&state.tree.place(path)?)?,
                None => state.tree.follow(path)?,
            };
            state.tree.metadata(inode)
        })
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.perform(|state| {
            let inode = state.tree.follow(path)?;
            state.tree.set_mode(inode, mode)
        })
    }

    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()> {
        self.perform(|state| {
            let inode = state.tree.at(&state.tree.place(path)?)?;
            state.tree.set_owner(inode, owner)
        })
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.perform_or(
            |state| {
                let inode = state.tree.follow(directory)?;
                state.tree.sync_dir(inode)
            },
            |state| {
                if let Ok(inode) = state.tree.follow(directory) {
                    state.tree.fail_to_sync_dir(inode);
                }
            },
        )
    }

    fn sync_filesystem(&self, directory: &Path) -> io::Result<()> {
        self.perform(|state| {
            state.tree.follow(directory)?;
            state.tree.sync_all();
            Ok(())
        })
    }

    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        self.perform(|state| {
            state.tree.follow(directory)?;
            Ok(state.free_bytes())
        })
    }
}

struct SimFile {
    disk: SimDisk,
    inode: Inode,
    boot: u64,
}

impl SimFile {
    fn perform<T>(&self, mut act: impl FnMut(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.disk.perform(|state| {
            self.check_boot(state)?;
            act(state)
        })
    }

    fn check_boot(&self, state: &State) -> io::Result<()> {
        if state.boot == self.boot { Ok(()) } else { Err(Errno::STALE.into()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.perform(|state| {
            let bytes = state.tree.content(self.inode)?.current();
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let count = buffer.len().min(bytes.len() - start);
            buffer[..count].copy_from_slice(&bytes[start..start + count]);
            Ok(count)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let now = self.disk.clock.now();
        self.perform(|state| state.write(self.inode, offset, bytes, now))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let now = self.disk.clock.now();
        let length = usize::try_from(length).map_err(|_| Errno::FBIG)?;
        self.perform(|state| {
            let grown = length.saturating_sub(state.tree.content(self.inode)?.current().len());
            if grown as u64 > state.free_bytes() {
                return Err(Errno::NOSPC.into());
            }
            state.tree.content_mut(self.inode, now)?.set_length(length);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.perform_or(
            |state| {
                self.check_boot(state)?;
                state.tree.sync_file(self.inode)
            },
            |state| state.tree.fail_to_sync_file(self.inode),
        )
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.perform(|state| state.tree.metadata(self.inode))
    }
}

fn crash_error() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}

#[cfg(test)]
mod tests;
