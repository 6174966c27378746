//! Segments that are fetched before the server asks for them.
//!
//! A server asks for one segment after the other and waits for each. So once two in a row were asked
//! for, a helper process fetches the next ones into a directory beside the server's WAL, at most
//! `depth` of them, and ends when nobody asks any more. Handing one over is then a rename.
//!
//! What lies in the directory is convenience, never truth: a file appears there whole, its name
//! carries the keyed hash of its content, and it is compared with that before it is used, unless a
//! note says that since this start of the machine nobody has touched the very file that was written.
//! So nothing here is synced: what a power cut leaves of a file is found out, and the server itself
//! syncs each segment that it was given when it gives it its real name.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use soter_vault::crypto::ContentIdKey;
use soter_vault::ids::ContentId;
use soter_vault::keys::ReaderKeys;
use soter_vault::wal::Archive;
use soter_world::{Clock, Disk, Machine, durable};

use super::WalFiles;
use crate::identity::Identity;
use crate::lsn::{SegmentNumber, SegmentSize};
use crate::sole;
use crate::wal::name::{SegmentName, WalFileName};

/// The directory's name, in the directory that the server wants its file in.
pub const DIRECTORY: &str = "soter.fetch";

/// How many bytes are fetched ahead: enough for two workers to be busy while the server replays.
const AHEAD_BYTES: u64 = 128 << 20;

/// Of small segments no more than this many.
const AHEAD_SEGMENTS_MAX: u64 = 32;

/// Threads that fetch ahead.
const WORKERS: usize = 2;

/// How long the helper stays when the server asks for nothing: replaying one segment is rarely
/// slower, and starting another helper costs little.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// How often the helper looks whether the server has gone on.
const POLL: Duration = Duration::from_millis(3);

/// How long a segment that the helper is fetching is waited for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How much of a file is read at once to compare it: a part of every segment, and small enough to
/// stay in the processor's cache.
const READ_BYTES: usize = 256 << 10;

/// Says what the server has asked for last.
const ASKED: &str = "asked";

/// Held by the helper while it lives.
const LOCK: &str = "lock";

/// Ends the name of the sign that a segment is being fetched.
const COMING: &str = "coming";

/// Ends the name of the note about the file that was written.
const NOTE: &str = "note";

/// A note is one line; a longer file is something else.
const NOTE_LENGTH_MAX: usize = 4096;

/// The segments that were fetched ahead of a server.
pub struct Ahead<'a> {
    /// Files.
    pub disk: &'a dyn Disk,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Where they are.
    pub directory: PathBuf,
    /// The size of each.
    pub size: SegmentSize,
    /// How many there may be.
    pub depth: u64,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The file is where it was wanted.
    Moved,
    /// It was not fetched ahead.
    NotThere,
    /// It was, but is not any more what was fetched; it is gone.
    Damaged(PathBuf),
}

/// Where the helper is.
struct Course {
    timeline: crate::lsn::Timeline,
    next: SegmentNumber,
    asked: SegmentNumber,
    asked_at: Duration,
    is_over: bool,
}

/// What to do next.
enum Step {
    Fetch(SegmentNumber),
    Wait,
    End,
}

/// How many segments of this size are fetched ahead.
pub fn usual_depth(size: SegmentSize) -> u64 {
    (AHEAD_BYTES / size.bytes_u64()).clamp(1, AHEAD_SEGMENTS_MAX)
}

/// The directory for a server that wants its file at `destination`; one for each life of a cluster,
/// so that nothing of another one is ever found in it.
pub fn directory_for(destination: &Path, archive: &Archive) -> PathBuf {
    let life = format!("{}-{}", archive.store, archive.incarnation);
    durable::parent(destination).join(DIRECTORY).join(life)
}

impl Ahead<'_> {
    /// Notes what the server asks for, and returns what it asked for before.
    ///
    /// # Errors
    /// When the directory cannot be written: nothing is fetched ahead then.
    pub fn ask(&self, name: SegmentName) -> io::Result<Option<SegmentName>> {
        let before = self.asked();
        let asked = name.to_file_name(self.size);
        let path = self.directory.join(ASKED);
        let file = match self.disk.open_write(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                durable::create_dir_all_durable(self.disk, &self.directory)?;
                self.disk.create(&path)?
            }
            opened => opened?,
        };
        // Always as long as before. Whoever reads half of the old and half of the new goes wrong by
        // some segments, and fetches in vain.
        file.write_at(0, asked.as_bytes())?;
        Ok(before)
    }

    /// What the server has asked for last.
    fn asked(&self) -> Option<SegmentName> {
        let bytes = durable::read(self.disk, &self.directory.join(ASKED), 64).ok()?;
        let name = String::from_utf8(bytes).ok()?;
        match WalFileName::parse(&name, self.size) {
            Ok(WalFileName::Segment(name)) => Some(name),
            _ => None,
        }
    }

    /// Hands a segment over, if it was fetched ahead; waits for one that is just being fetched. The
    /// file is complete, and comes to its place by a rename.
    ///
    /// # Errors
    /// Whatever the disk says; fetch it anew then.
    pub fn take(
        &self,
        name: SegmentName,
        keys: &ReaderKeys,
        destination: &Path,
    ) -> io::Result<Taken> {
        self.wait_for(name);
        let wanted = name.to_file_name(self.size);
        for (file, segment, content) in self.files()? {
            if segment < name || segment.timeline != name.timeline {
                // The server is past it.
                drop(self.disk.remove_file(&file));
                drop(self.disk.remove_file(&self.beside(segment, NOTE)));
            } else if segment == name {
                let is_it = self.is_untouched(&file, name, &content)
                    || self.id_of(&file, keys).is_ok_and(|id| id == content);
                drop(self.disk.remove_file(&self.beside(name, NOTE)));
                if !is_it {
                    self.disk.remove_file(&file)?;
                    return Ok(Taken::Damaged(self.directory.join(wanted)));
                }
                self.disk.rename(&file, destination)?;
                return Ok(Taken::Moved);
            }
        }
        Ok(Taken::NotThere)
    }

    /// Whether nobody has touched the file since it was written with that content.
    fn is_untouched(&self, file: &Path, name: SegmentName, content: &str) -> bool {
        let note = durable::read(self.disk, &self.beside(name, NOTE), NOTE_LENGTH_MAX);
        let expected = self.note(file, content);
        matches!((note, expected), (Ok(note), Some(expected)) if note == expected)
    }

    /// What is noted of a file. What was not synced is not believed after a power cut.
    fn note(&self, file: &Path, content: &str) -> Option<Vec<u8>> {
        let identity = Identity::of(self.disk, file).ok()?;
        serde_json::to_vec(&(content, identity, Machine::this().ok()?.boot)).ok()
    }

    /// The content id of a file of the size of a segment.
    fn id_of(&self, file: &Path, keys: &ReaderKeys) -> io::Result<String> {
        let file = self.disk.open(file)?;
        let length = file.len()?;
        if length != self.size.bytes_u64() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut hasher = keys.content_ids.hasher();
        let mut buffer = vec![0; READ_BYTES];
        for offset in (0..length).step_by(READ_BYTES) {
            file.read_exact_at(offset, &mut buffer)?;
            hasher.update(&buffer);
        }
        Ok(ContentIdKey::finish(&hasher).to_string())
    }

    /// Whether a helper is to be started, after `name` was handed over and `before` the one before.
    pub fn wants_helper(&self, name: SegmentName, before: Option<SegmentName>) -> bool {
        let follows = before.is_some_and(|before| {
            before.timeline == name.timeline && before.segment.next() == name.segment
        });
        let files = self.files().unwrap_or_default();
        let there: BTreeSet<SegmentNumber> =
            files.into_iter().map(|(_, segment, _)| segment.segment).collect();
        let window = name.segment.0 + 1..=name.segment.0 + self.depth;
        let is_full = window.into_iter().all(|number| there.contains(&SegmentNumber(number)));
        self.depth > 0 && follows && !is_full && !self.is_filling()
    }

    /// Removes everything: the server has all there is.
    pub fn remove(&self) {
        // What is left over is removed by the next one that fetches ahead, or stays harmless.
        if let Ok(entries) = self.disk.list(&self.directory) {
            for entry in entries {
                drop(self.disk.remove_file(&self.directory.join(entry.name)));
            }
        }
        drop(self.disk.remove_dir(&self.directory));
        drop(self.disk.remove_dir(durable::parent(&self.directory)));
    }

    /// The helper's work: fetches what comes behind the segment that was asked for last, until there
    /// is no more, or the server does not ask any more. One helper works at a time.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn fill(&self, files: &WalFiles<'_>) -> io::Result<()> {
        let Some(_lock) = sole::take(&self.directory.join(LOCK))? else { return Ok(()) };
        let Some(asked) = self.asked() else { return Ok(()) };
        self.tidy()?;
        // The server's WAL must not run out of space because of what is only convenient.
        let needed = 2 * self.depth * self.size.bytes_u64();
        if self.disk.available_bytes(&self.directory)? < needed {
            return Ok(());
        }
        let course = Mutex::new(Course {
            timeline: asked.timeline,
            next: asked.segment.next(),
            asked: asked.segment,
            asked_at: self.clock.monotonic(),
            is_over: false,
        });
        thread::scope(|scope| {
            for _ in 1..WORKERS {
                scope.spawn(|| self.work(files, &course));
            }
            self.work(files, &course);
        });
        Ok(())
    }

    fn work(&self, files: &WalFiles<'_>, course: &Mutex<Course>) {
        loop {
            match self.step(course) {
                Step::End => return,
                Step::Wait => self.clock.sleep(POLL),
                Step::Fetch(segment) => {
                    if !self.fetch(files, course, segment) {
                        lock(course).is_over = true;
                    }
                }
            }
        }
    }

    fn step(&self, course: &Mutex<Course>) -> Step {
        let mut course = lock(course);
        let asked = self.asked();
        // Whoever goes back or elsewhere begins anew, with a helper of their own.
        let Some(asked) = asked
            .filter(|asked| asked.timeline == course.timeline && asked.segment >= course.asked)
        else {
            return Step::End;
        };
        let now = self.clock.monotonic();
        if asked.segment > course.asked {
            (course.asked, course.asked_at) = (asked.segment, now);
        }
        course.next = course.next.max(asked.segment.next());
        if course.is_over || now.saturating_sub(course.asked_at) > IDLE_MAX {
            return Step::End;
        }
        if course.next.0 > asked.segment.0 + self.depth {
            return Step::Wait;
        }
        let next = course.next;
        course.next = next.next();
        Step::Fetch(next)
    }

    /// Fetches one segment. Returns whether there may be more.
    fn fetch(&self, files: &WalFiles<'_>, course: &Mutex<Course>, segment: SegmentNumber) -> bool {
        let name = SegmentName { timeline: lock(course).timeline, segment };
        if self.files().is_ok_and(|there| there.iter().any(|(_, known, _)| *known == name)) {
            return true;
        }
        let sign = self.beside(name, COMING);
        drop(self.disk.create(&sign));
        // Why it cannot be had is said to the server, when it asks.
        let fetched = files.fetch_sealed(name).ok().flatten();
        let stored = fetched.and_then(|file| {
            let content = file.sealed?;
            let wanted = self.file(name, content);
            self.put(&wanted, &file.bytes).ok()?;
            let note = self.beside(name, NOTE);
            drop(self.disk.remove_file(&note));
            if let Some(text) = self.note(&wanted, &content.to_string()) {
                // Without a whole note the file is compared.
                drop(self.disk.create(&note).and_then(|file| file.write_at(0, &text)));
            }
            Some(())
        });
        drop(self.disk.remove_file(&sign));
        stored.is_some()
    }

    /// Makes a file appear whole, not synced.
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (temporary, file) = durable::create_temporary(self.disk, path)?;
        let written = file.write_at(0, bytes).and_then(|()| self.disk.rename(&temporary, path));
        written.inspect_err(|_| drop(self.disk.remove_file(&temporary)))
    }

    fn wait_for(&self, name: SegmentName) {
        let sign = self.beside(name, COMING);
        let until = self.clock.monotonic() + WAIT_MAX;
        while self.disk.metadata(&sign).is_ok()
            && self.is_filling()
            && self.clock.monotonic() < until
        {
            self.clock.sleep(POLL);
        }
    }

    /// A small file that belongs to a segment.
    fn beside(&self, name: SegmentName, end: &str) -> PathBuf {
        self.directory.join(format!("{}.{end}", name.to_file_name(self.size)))
    }

    fn file(&self, name: SegmentName, content: ContentId) -> PathBuf {
        self.directory.join(format!("{}.{content}", name.to_file_name(self.size)))
    }

    /// What was fetched, with the content that each file must have.
    fn files(&self) -> io::Result<Vec<(PathBuf, SegmentName, String)>> {
        let entries = match self.disk.list(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let parse = |name: &OsStr| {
            let (segment, content) = name.to_str()?.split_once('.')?;
            match WalFileName::parse(segment, self.size) {
                Ok(WalFileName::Segment(segment)) if ![COMING, NOTE].contains(&content) => {
                    Some((self.directory.join(name), segment, content.to_owned()))
                }
                _ => None,
            }
        };
        Ok(entries.iter().filter_map(|entry| parse(&entry.name)).collect())
    }

    /// Removes what dead helpers have left, of this life of the cluster and of others.
    fn tidy(&self) -> io::Result<()> {
        for entry in self.disk.list(&self.directory)? {
            let is_sign = entry.name.to_str().is_some_and(|name| name.ends_with(COMING));
            if is_sign || durable::is_temporary(&entry.name) {
                drop(self.disk.remove_file(&self.directory.join(entry.name)));
            }
        }
        let all = durable::parent(&self.directory);
        for entry in self.disk.list(all)? {
            let directory = all.join(entry.name);
            if directory != self.directory {
                let other = Ahead { directory, ..*self };
                if !other.is_filling() {
                    other.remove();
                }
            }
        }
        Ok(())
    }

    /// Whether a helper is at work.
    fn is_filling(&self) -> bool {
        sole::is_taken(&self.directory.join(LOCK))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
