//! A journal on a disk.
//!
//! The rule it keeps: a record counts once it is durable. An append that failed ends this value: what
//! the disk holds then is known only to the next one that opens it.

use std::io;
use std::path::{Path, PathBuf};

use soter_world::{Disk, DiskFile, durable};
use thiserror::Error;

use super::read::{Reading, Refused, read};
use super::record::{Draft, Hash, Record, Stamp, first_hash};
use crate::ids::RunId;

/// A run of a million records has less.
const JOURNAL_BYTES_MAX: usize = 1 << 30;

/// How many torn ends are kept beside a journal. More of them than this is a disk that fails.
const TORN_FILES_MAX: u32 = 1000;

/// A journal that can be added to.
pub struct Journal {
    file: Box<dyn DiskFile>,
    length: u64,
    next: u64,
    last: Hash,
    /// An append failed: nothing more is added by this value.
    ended: bool,
}

/// A journal that was there.
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// Its run.
    pub run: RunId,
    /// What is in it.
    pub records: Vec<Record>,
    /// Where the end was put that a crash had torn, if there was one.
    pub torn: Option<PathBuf>,
}

/// What was appended.
#[derive(Debug, Clone, PartialEq)]
pub struct Appended {
    /// The records.
    pub records: Vec<Record>,
    /// Their lines, for the mirror.
    pub lines: Vec<u8>,
}

/// A journal that cannot be gone on with.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The disk failed. Nobody knows whether the last records are durable; open the journal again.
    #[error("the journal {action} failed")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// An append failed before: this value appends nothing more.
    #[error("the journal ended with an append that failed")]
    Ended,
    /// Somebody else has written to it, which the lock should have prevented: its disk is shared with a
    /// machine that does not see the lock. Begin nothing more.
    #[error(
        "the journal has grown by itself: another engine writes to it, on a disk whose locks it does \
         not see"
    )]
    Grown,
    /// What is in it cannot be gone on with.
    #[error("the journal {} cannot be read", path.display())]
    Refused {
        /// The journal.
        path: PathBuf,
        /// Why.
        #[source]
        source: Refused,
    },
}

impl JournalError {
    fn disk(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { action, source }
    }
}

impl Journal {
    /// Begins a journal with its first records. The directory must be there.
    ///
    /// # Errors
    /// When the disk fails, also because there is a journal.
    pub fn create(
        disk: &dyn Disk,
        path: &Path,
        run: &RunId,
        stamp: &Stamp,
        drafts: Vec<Draft>,
    ) -> Result<(Self, Appended), JournalError> {
        let file = disk.create(path).map_err(JournalError::disk("creating"))?;
        let mut journal = Self { file, length: 0, next: 1, last: first_hash(run), ended: false };
        let appended = journal.append(stamp, drafts)?;
        disk.sync_dir(durable::parent(path))
            .map_err(JournalError::disk("sync of the directory"))?;
        Ok((journal, appended))
    }

    /// Copies a journal that is kept elsewhere to where none is.
    ///
    /// # Errors
    /// When it is not a journal, or the disk fails.
    pub fn copy(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
        let refused = |source| JournalError::Refused { path: path.to_owned(), source };
        read(bytes).map_err(refused)?;
        durable::write_durable(disk, path, bytes).map_err(JournalError::disk("copying"))
    }

    /// Opens a journal. What a crash has torn is put aside; what remains is durable afterwards.
    ///
    /// # Errors
    /// When the disk fails, or something is in it that no crash explains.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Opened, JournalError> {
        let bytes =
            durable::read(disk, path, JOURNAL_BYTES_MAX).map_err(JournalError::disk("reading"))?;
        let refused = |source| JournalError::Refused { path: path.to_owned(), source };
        let Reading { run, records, good_bytes, torn } = read(&bytes).map_err(refused)?;
        let (good, rest) = bytes.split_at(good_bytes);
        let torn = match torn {
            Some(_) => Some(put_aside(disk, path, "torn", rest)?),
            None => None,
        };
        let file = disk.open_write(path).map_err(JournalError::disk("opening"))?;
        // Whoever wrote the last records may have died, or failed, before they were durable, and
        // after a sync that failed the kernel shows bytes that it will never write: they are written
        // again.
        let again = last_append(&records, good);
        file.set_len(good.len() as u64)
            .and_then(|()| file.write_at((good.len() - again.len()) as u64, again))
            .and_then(|()| file.sync())
            .and_then(|()| disk.sync_dir(durable::parent(path)))
            .map_err(JournalError::disk("making what is there durable"))?;
        let last = records.last().map_or_else(|| first_hash(&run), |record| record.hash);
        let next = records.len() as u64 + 1;
        let journal = Self { file, length: good.len() as u64, next, last, ended: false };
        Ok(Opened { journal, run, records, torn })
    }

    /// Puts aside everything from record `n` on: another engine has written something else there.
    ///
    /// # Errors
    /// When the disk fails, or the journal cannot be read.
    pub fn cut(disk: &dyn Disk, path: &Path, n: u64) -> Result<PathBuf, JournalError> {
        let bytes =
            durable::read(disk, path, JOURNAL_BYTES_MAX).map_err(JournalError::disk("reading"))?;
        let keep = usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
        let good: usize =
            bytes.split_inclusive(|byte| *byte == b'\n').take(keep).map(<[u8]>::len).sum();
        let aside = put_aside(disk, path, "superseded", bytes.get(good..).unwrap_or_default())?;
        durable::write_durable(disk, path, bytes.get(..good).unwrap_or_default())
            .map_err(JournalError::disk("cutting"))?;
        Ok(aside)
    }

    /// The number the next record gets.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Adds records that belong to one decision: one write, durable when this returns.
    ///
    /// # Errors
    /// When the disk fails; nothing more is appended by this value then.
    pub fn append(&mut self, stamp: &Stamp, drafts: Vec<Draft>) -> Result<Appended, JournalError> {
        if self.ended {
            return Err(JournalError::Ended);
        }
        let (mut next, mut last) = (self.next, self.last);
        let mut appended =
            Appended { records: Vec::with_capacity(drafts.len()), lines: Vec::new() };
        for draft in drafts {
            let (record, line) = Record::make(next, stamp.clone().rounded(), draft, last);
            (next, last) = (next + 1, record.hash);
            appended.records.push(record);
            appended.lines.extend_from_slice(&line);
        }
        self.ended = true;
        // Where a lock is not seen everywhere, two engines would write over each other's records.
        if self.file.len().map_err(JournalError::disk("append"))? != self.length {
            return Err(JournalError::Grown);
        }
        self.file
            .write_at(self.length, &appended.lines)
            .and_then(|()| self.file.sync())
            .map_err(JournalError::disk("append"))?;
        self.ended = false;
        self.length += appended.lines.len() as u64;
        (self.next, self.last) = (next, last);
        Ok(appended)
    }
}

/// The lines of the last append: those of the last record's moment. There may be more of them than
/// were written together, never fewer.
fn last_append<'b>(records: &[Record], good: &'b [u8]) -> &'b [u8] {
    let moment = records.last().map(|last| &last.stamp);
    let count = records.iter().rev().take_while(|one| Some(&one.stamp) == moment).count();
    let mut from = good.len();
    for line in good.rsplit(|byte| *byte == b'\n').skip(1).take(count) {
        from -= line.len() + 1;
    }
    good.get(from..).unwrap_or_default()
}

/// Keeps bytes beside the journal, under the first name that is free.
fn put_aside(
    disk: &dyn Disk,
    path: &Path,
    why: &str,
    bytes: &[u8],
) -> Result<PathBuf, JournalError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for number in 1..=TORN_FILES_MAX {
        let aside = path.with_file_name(format!("{name}.{why}-{number}"));
        match disk.metadata(&aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                durable::write_durable(disk, &aside, bytes)
                    .map_err(JournalError::disk("putting its end aside"))?;
                return Ok(aside);
            }
            // An earlier opening was cut short between keeping these bytes and cutting them off.
            Ok(_) if durable::read(disk, &aside, bytes.len()).is_ok_and(|kept| kept == bytes) => {
                return Ok(aside);
            }
            Ok(_) => {}
            Err(source) => {
                return Err(JournalError::Disk { action: "putting its end aside", source });
            }
        }
    }
    let source = io::Error::other("a thousand ends were put aside before: the disk is failing");
    Err(JournalError::Disk { action: "putting its end aside", source })
}
