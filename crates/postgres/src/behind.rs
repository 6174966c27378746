//! `archive_command` without an agent: the segments behind the one that the server hands over are
//! stored before it asks for them.
//!
//! A server that has fallen behind asks for one segment after the other and waits for each, so a
//! process would be started, and a vault opened, for each. Instead the first call leaves a worker
//! behind, which stores the following segments that are marked as ready, and leaves a note for each
//! in a directory beside the server's WAL. A later call finds the note and has nothing to do.
//!
//! ```text
//! call for 7 ── stores 7, starts the worker          pg_wal/soter.push/STORE-INCARNATION/
//! worker     ── stores 8 and 9, then 10 …              lock   held while it lives
//! call for 8 ── waits for its note, removes it         asked  what a call does by itself
//! call for 9 ── finds its note, removes it             9.coming, 8.note
//! ```
//!
//! The rule: a note is written only after the segment is durable in the vault, and holds only for the
//! very file that was read ([`note`]). Everything else here is convenience: whatever is lost, damaged
//! or in the way, a call stores its segment by itself, and two that store the same find it equal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use soter_vault::wal::Archive;
use soter_world::exec::current_owner;
use soter_world::{Clock, Disk, durable};

use self::note::NOTE_LENGTH_MAX;
pub use self::note::Place;
use crate::identity::Identity;
use crate::lsn::SegmentSize;
use crate::sole;
use crate::wal::name::{SegmentName, WalFileName};

mod note;

/// The directory's name, in the server's WAL directory.
pub const DIRECTORY: &str = "soter.push";

/// How many notes may wait for the server. It asks for 64 at most before it looks for others, and
/// more of them would gain nothing: it is faster to take a note than to store a segment.
const NOTES_MAX: usize = 64;

/// Segments that are on their way at the same time: two that are compressed and one that waits for
/// the disk.
const WORKERS: usize = 3;

/// How long the worker stays when there is nothing to store, or the server takes no notes. Starting
/// another costs some ten milliseconds.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// How long the worker lives. What it knows of keys, trust and lives of the cluster is no older.
const LIFE_MAX: Duration = Duration::from_secs(10);

/// How often an idle worker looks for more.
const POLL_IDLE: Duration = Duration::from_millis(20);

/// How often a call looks whether its segment has been stored.
const POLL_NOTE: Duration = Duration::from_millis(2);

/// How long a call waits for a segment that the worker has in hand.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A file that changed less than this ago is not stored ahead: a file system's clock moves in steps
/// of some milliseconds, and two changes within one look the same.
const SETTLED: SignedDuration = SignedDuration::from_millis(100);

/// Says which segment a call stores by itself.
const ASKED: &str = "asked";

/// Held by the worker while it lives.
const LOCK: &str = "lock";

/// Ends the name of the sign that a segment is being stored.
const COMING: &str = "coming";

/// Ends a note's name.
const NOTE: &str = "note";

/// What is stored behind a server's back, and the notes about it.
pub struct Behind<'a> {
    disk: &'a dyn Disk,
    clock: &'a dyn Clock,
    wal: PathBuf,
    directory: PathBuf,
    place: Place,
}

/// Where the worker is.
struct Course {
    next: SegmentName,
    began_at: Duration,
    active_at: Duration,
    /// Notes that may be waiting; counted anew when there may be too many.
    notes: usize,
    is_over: bool,
}

/// What to do next.
enum Step {
    Store(SegmentName),
    Wait,
    End,
}

impl<'a> Behind<'a> {
    /// The notes of the server whose WAL is in this directory. `None` when that is somebody else's: it
    /// would find files there that it cannot remove.
    pub fn new(
        disk: &'a dyn Disk,
        clock: &'a dyn Clock,
        wal: PathBuf,
        place: Place,
    ) -> Option<Self> {
        let directory = wal.join(DIRECTORY);
        let directory = directory.join(format!("{}-{}", place.store, place.incarnation));
        // The last component is followed if it is a link.
        let owner = disk.metadata(&wal.join(".")).ok()?.owner;
        let is_ours = owner.user == current_owner().user;
        is_ours.then_some(Self { disk, clock, wal, directory, place })
    }

    /// Whether these are the notes of that life of the cluster.
    pub fn is_of(&self, archive: &Archive) -> bool {
        (self.place.store, self.place.incarnation) == (archive.store, archive.incarnation)
    }

    /// Whether a segment is durable in the vault already, as it lies in the server's directory now.
    /// Waits for one that is just being stored. A note is used once.
    pub fn take(&self, file: &str) -> bool {
        if self.take_note(file) {
            return true;
        }
        if !sole::is_taken(&self.directory.join(LOCK)) {
            return false;
        }
        // Whatever the worker has not begun by now it leaves to this call.
        drop(self.ask(file));
        self.wait_for(file);
        self.take_note(file)
    }

    /// Whether a worker is to be started, once this segment is about to be stored.
    pub fn wants_worker(&self, file: &str) -> bool {
        let next = self.segment(file).map(|(name, size)| following(name).to_file_name(size));
        next.is_some_and(|next| self.is_ready(&next)) && !sole::is_taken(&self.directory.join(LOCK))
    }

    /// The worker's life: stores what is ready behind this segment, in order, until there is nothing
    /// more to do for a while. `store` returns whether the file at a path is durable in the vault.
    /// One worker lives at a time.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn run(&self, after: &str, store: &(dyn Fn(&Path) -> bool + Sync)) -> io::Result<()> {
        let Some((after, size)) = self.segment(after) else { return Ok(()) };
        for directory in [durable::parent(&self.directory), &self.directory] {
            match self.disk.create_dir(directory) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => created?,
            }
        }
        let Some(_lock) = sole::take(&self.directory.join(LOCK))? else { return Ok(()) };
        self.tidy();
        let now = self.clock.monotonic();
        let course = Mutex::new(Course {
            next: following(after),
            began_at: now,
            active_at: now,
            notes: NOTES_MAX,
            is_over: false,
        });
        thread::scope(|scope| {
            for _ in 1..WORKERS {
                scope.spawn(|| self.work(&course, size, store));
            }
            self.work(&course, size, store);
        });
        self.tidy();
        for name in [ASKED, LOCK] {
            drop(self.disk.remove_file(&self.directory.join(name)));
        }
        self.remove_directory();
        Ok(())
    }

    fn work(
        &self,
        course: &Mutex<Course>,
        size: SegmentSize,
        store: &(dyn Fn(&Path) -> bool + Sync),
    ) {
        loop {
            let step = self.step(&mut lock(course), size);
            match step {
                Step::End => return,
                Step::Wait => self.clock.sleep(POLL_IDLE),
                Step::Store(segment) => {
                    let file = segment.to_file_name(size);
                    if !self.store(&file, store) {
                        lock(course).is_over = true;
                    }
                }
            }
        }
    }

    fn step(&self, course: &mut Course, size: SegmentSize) -> Step {
        let now = self.clock.monotonic();
        if course.is_over
            || now.saturating_sub(course.active_at) > IDLE_MAX
            || now.saturating_sub(course.began_at) > LIFE_MAX
        {
            return Step::End;
        }
        if let Some(asked) = self.asked(size) {
            if asked.timeline != course.next.timeline {
                return Step::End;
            }
            if asked.segment >= course.next.segment {
                (course.next, course.active_at) = (following(asked), now);
            }
        }
        if course.notes >= NOTES_MAX {
            let notes = self.notes();
            if notes >= NOTES_MAX {
                return Step::Wait;
            }
            course.notes = notes;
        }
        let file = course.next.to_file_name(size);
        if !self.is_ready(&file) || !self.is_settled(&file) {
            return Step::Wait;
        }
        let segment = course.next;
        (course.next, course.active_at) = (following(segment), now);
        if self.holds(&file) {
            // By the worker before.
            return self.step(course, size);
        }
        course.notes += 1;
        // Now, as long as the others wait: a call that comes must not begin it, too.
        match self.disk.create(&self.path(&file, COMING)) {
            Ok(_) => Step::Store(segment),
            Err(_) => Step::End,
        }
    }

    /// Stores one segment and leaves its note. Returns whether to go on.
    fn store(&self, file: &str, store: &(dyn Fn(&Path) -> bool + Sync)) -> bool {
        let (path, sign) = (self.wal.join(file), self.path(file, COMING));
        // Why it cannot be stored is said to the server, when it asks.
        let noted = Identity::of(self.disk, &path).and_then(|before| {
            if !store(&path) || Identity::of(self.disk, &path)? != before {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.disk.open_write(&sign)?.write_at(0, &note::text(&self.place, file, &before))?;
            self.disk.rename(&sign, &self.path(file, NOTE))
        });
        if noted.is_err() {
            drop(self.disk.remove_file(&sign));
        }
        noted.is_ok()
    }

    fn take_note(&self, file: &str) -> bool {
        let holds = self.holds(file);
        // Whether it holds or not. If it cannot be removed it will not hold for another file.
        if self.disk.remove_file(&self.path(file, NOTE)).is_ok() {
            // The last one, and nobody there any more.
            self.remove_directory();
        }
        holds
    }

    fn holds(&self, file: &str) -> bool {
        let Ok(note) = durable::read(self.disk, &self.path(file, NOTE), NOTE_LENGTH_MAX) else {
            return false;
        };
        Identity::of(self.disk, &self.wal.join(file))
            .is_ok_and(|identity| note == note::text(&self.place, file, &identity))
    }

    fn wait_for(&self, file: &str) {
        let (sign, lock) = (self.path(file, COMING), self.directory.join(LOCK));
        let until = self.clock.monotonic() + WAIT_MAX;
        while self.disk.metadata(&sign).is_ok()
            && sole::is_taken(&lock)
            && self.clock.monotonic() < until
        {
            self.clock.sleep(POLL_NOTE);
        }
    }

    fn ask(&self, file: &str) -> io::Result<()> {
        let path = self.directory.join(ASKED);
        let asked = match self.disk.open_write(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.create(&path)?,
            opened => opened?,
        };
        // Always as long as before. Whoever reads half of the old and half of the new skips some
        // segments, which are then stored by the calls for them.
        asked.write_at(0, file.as_bytes())
    }

    fn asked(&self, size: SegmentSize) -> Option<SegmentName> {
        let bytes = durable::read(self.disk, &self.directory.join(ASKED), 64).ok()?;
        segment_named(std::str::from_utf8(&bytes).ok()?, size)
    }

    /// A whole segment of the server's directory; how long it is says what its name means.
    fn segment(&self, file: &str) -> Option<(SegmentName, SegmentSize)> {
        let found = self.disk.metadata(&self.wal.join(file)).ok()?;
        let size = SegmentSize::new(u32::try_from(found.size).ok()?).ok()?;
        Some((segment_named(file, size)?, size))
    }

    /// Whether the server has marked it as ready to be archived.
    fn is_ready(&self, file: &str) -> bool {
        self.disk.metadata(&self.wal.join("archive_status").join(format!("{file}.ready"))).is_ok()
    }

    fn is_settled(&self, file: &str) -> bool {
        Identity::of(self.disk, &self.wal.join(file))
            .is_ok_and(|identity| self.clock.now().duration_since(identity.changed) > SETTLED)
    }

    fn path(&self, file: &str, end: &str) -> PathBuf {
        self.directory.join(format!("{file}.{end}"))
    }

    /// How many notes there are, and will be of what is being stored.
    fn notes(&self) -> usize {
        let entries = self.disk.list(&self.directory).unwrap_or_default();
        let names = entries.iter().filter_map(|entry| entry.name.to_str()?.split_once('.'));
        names.filter(|(_, end)| [NOTE, COMING].contains(end)).count()
    }

    /// Removes what dead workers have left, of this life of the cluster and of others, and notes that
    /// nobody will ask for.
    fn tidy(&self) {
        self.remove_where(&self.directory, |file, end| {
            end == COMING || (end == NOTE && !self.is_ready(file))
        });
        let all = durable::parent(&self.directory);
        for entry in self.disk.list(all).unwrap_or_default() {
            let other = all.join(entry.name);
            if other != self.directory && !sole::is_taken(&other.join(LOCK)) {
                self.remove_where(&other, |_, _| true);
                drop(self.disk.remove_dir(&other));
            }
        }
    }

    /// Removes files by their name before its dot, and behind it.
    fn remove_where(&self, directory: &Path, is_left: impl Fn(&str, &str) -> bool) {
        for entry in self.disk.list(directory).unwrap_or_default() {
            let name = entry.name.to_string_lossy();
            let (file, end) = name.split_once('.').unwrap_or((&name, ""));
            if is_left(file, end) {
                drop(self.disk.remove_file(&directory.join(&entry.name)));
            }
        }
    }

    /// Removes the directory if nothing is in it.
    fn remove_directory(&self) {
        if self.disk.remove_dir(&self.directory).is_ok() {
            drop(self.disk.remove_dir(durable::parent(&self.directory)));
        }
    }
}

fn segment_named(file: &str, size: SegmentSize) -> Option<SegmentName> {
    match WalFileName::parse(file, size) {
        Ok(WalFileName::Segment(name)) => Some(name),
        _ => None,
    }
}

fn following(name: SegmentName) -> SegmentName {
    SegmentName { segment: name.segment.next(), ..name }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
