//! The table of files becomes work: directories and links at once, files in units for the workers.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crossbeam_channel::{SendError, Sender};

use crate::map::entry::{Content, EntryKind, FileEntry, LeafRef};
use crate::map::error::MapError;
use crate::map::restore::{
    OpenFile, Output, RestoreOptions, Restored, Run, SmallFile, SmallPlace, Unit, sink_error,
};

/// Small files are gathered until there are so many, then sorted by where they lie.
const SMALL_FILES_MAX: usize = 1024;

/// A unit of small files is closed at this many bytes.
const SMALL_UNIT_LENGTH: u64 = 4 << 20;

/// Goes through the table of files and makes units of it.
pub(super) struct Producer<'p, 'r, 'm, 'a> {
    run: &'p Run<'r, 'm, 'a>,
    select: &'p (dyn Fn(&FileEntry) -> bool + Sync),
    units: Sender<Unit>,
    /// Files whose leaves are not all sent, at most one for each worker.
    files: Vec<FileLeaves>,
    files_max: usize,
    small: Vec<SmallFile>,
    /// Directories around the current entry that nobody asked for so far, outermost first.
    directories: Vec<FileEntry>,
    restored: Restored,
}

impl<'p, 'r, 'm, 'a> Producer<'p, 'r, 'm, 'a> {
    pub(super) fn new(
        run: &'p Run<'r, 'm, 'a>,
        options: RestoreOptions<'p>,
        units: Sender<Unit>,
    ) -> Self {
        Self {
            run,
            select: options.select,
            units,
            files: Vec::new(),
            files_max: options.workers.max(1),
            small: Vec::new(),
            directories: Vec::new(),
            restored: Restored::default(),
        }
    }

    /// Goes through all entries.
    pub(super) fn produce(mut self) -> Result<Restored, MapError> {
        for entry in self.run.contents.map.files() {
            if self.run.stop.is_stopped() {
                return Err(MapError::Stopped);
            }
            self.entry(entry?)?;
        }
        while !self.files.is_empty() {
            self.send_round()?;
        }
        self.flush_small()?;
        Ok(self.restored)
    }

    fn entry(&mut self, entry: FileEntry) -> Result<(), MapError> {
        self.directories.retain(|directory| entry.path.is_below(directory.path.as_bytes()));
        let selected = (self.select)(&entry);
        if !selected {
            if entry.kind == EntryKind::Directory {
                self.directories.push(entry);
            }
            return Ok(());
        }
        for directory in std::mem::take(&mut self.directories) {
            self.directory(&directory)?;
        }
        match &entry.kind {
            EntryKind::Directory => self.directory(&entry),
            EntryKind::Link { target } => {
                self.restored.links += 1;
                match self.run.output {
                    Output::Sink(sink) => {
                        let outcome = sink.link(&entry, target);
                        outcome.map_err(|source| sink_error(&entry.path, source))
                    }
                    Output::Check(_) => Ok(()),
                }
            }
            EntryKind::File { size, content } => {
                self.restored.files += 1;
                self.restored.bytes += *size;
                let (size, place) = (
                    *size,
                    match content {
                        Content::Inline(_) => SmallPlace::Inline,
                        Content::Eager(place) => SmallPlace::Eager(*place),
                        Content::Leaves(leaves) => return self.blocks(&entry, *size, leaves),
                    },
                );
                self.small.push(SmallFile { entry, size, place });
                if self.small.len() >= SMALL_FILES_MAX { self.flush_small() } else { Ok(()) }
            }
        }
    }

    fn directory(&mut self, entry: &FileEntry) -> Result<(), MapError> {
        self.restored.directories += 1;
        match self.run.output {
            Output::Sink(sink) => {
                sink.directory(entry).map_err(|source| sink_error(&entry.path, source))
            }
            Output::Check(_) => Ok(()),
        }
    }

    fn blocks(&mut self, entry: &FileEntry, size: u64, leaves: &[LeafRef]) -> Result<(), MapError> {
        let sink = match self.run.output {
            Output::Sink(sink) => {
                let file = sink.file(entry, size);
                Some(file.map_err(|source| sink_error(&entry.path, source))?)
            }
            Output::Check(_) => None,
        };
        // One more for the sender, so that a file without leaves is finished too.
        let units_left = AtomicU64::new(leaves.len() as u64 + 1);
        let file = Arc::new(OpenFile { path: entry.path.clone(), size, sink, units_left });
        self.files.push(FileLeaves { file, leaves: leaves.to_vec(), next: 0 });
        while self.files.len() >= self.files_max {
            self.send_round()?;
        }
        Ok(())
    }

    /// Sends one leaf of each file. Two workers in one file would wait for each other: a file system
    /// lets only one write to a file at a time.
    fn send_round(&mut self) -> Result<(), MapError> {
        for of_file in &mut self.files {
            if let Some(leaf) = of_file.leaves.get(of_file.next) {
                let (file, number) = (Arc::clone(&of_file.file), of_file.next as u64);
                of_file.next += 1;
                let unit = Unit::Leaf { file, number, leaf: *leaf };
                self.units.send(unit).map_err(all_failed)?;
            }
        }
        for done in self.files.extract_if(.., |of_file| of_file.next >= of_file.leaves.len()) {
            self.run.unit_done(&done.file)?;
        }
        Ok(())
    }

    fn flush_small(&mut self) -> Result<(), MapError> {
        let mut small = std::mem::take(&mut self.small);
        small.sort_by_key(|file| match file.place {
            SmallPlace::Inline => None,
            SmallPlace::Eager(place) => Some((place.frame, place.offset)),
        });
        let frame = |file: &SmallFile| match file.place {
            SmallPlace::Inline => None,
            SmallPlace::Eager(place) => Some(place.frame),
        };
        let (mut unit, mut bytes) = (Vec::new(), 0);
        for file in small {
            let other_frame = unit.last().is_some_and(|last| frame(last) != frame(&file));
            if bytes >= SMALL_UNIT_LENGTH && other_frame {
                self.send(Unit::Small(std::mem::take(&mut unit)))?;
                bytes = 0;
            }
            bytes += file.size;
            unit.push(file);
        }
        if unit.is_empty() { Ok(()) } else { self.send(Unit::Small(unit)) }
    }

    fn send(&self, unit: Unit) -> Result<(), MapError> {
        self.units.send(unit).map_err(all_failed)
    }
}

/// Nobody takes a unit any more. The failure is the workers' to tell.
fn all_failed(_: SendError<Unit>) -> MapError {
    MapError::Stopped
}

/// A file whose leaves are being sent.
struct FileLeaves {
    file: Arc<OpenFile>,
    leaves: Vec<LeafRef>,
    next: usize,
}
