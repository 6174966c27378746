//! A snapshot on its way, and the files beside it, as the map's writer reads them.
//!
//! The rule it keeps: a stream is read once, from its beginning to its end. So one thread writes such a
//! backup, and what would be read again is an error that says so.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use soter_vault::map::{Source, SourceReader};
use soter_world::{Disk, DiskFile};

use crate::etcd::{CheckedSnapshot, EtcdError, SnapshotStream};

/// From where each file of a plan is read.
pub(super) enum Origin {
    /// It is a directory.
    Nowhere,
    /// A file of this machine.
    File(PathBuf),
    /// The snapshot.
    Snapshot,
}

/// The files of a plan, by their index.
pub(super) struct EtcdSource<'a> {
    disk: &'a dyn Disk,
    origins: Vec<Origin>,
    stream: Mutex<Reading>,
}

struct Reading {
    stream: SnapshotStream,
    /// Up to where it was read.
    position: u64,
    failure: Option<EtcdError>,
    /// Somebody wanted to read a part again.
    is_wanted_again: bool,
}

impl<'a> EtcdSource<'a> {
    pub(super) fn new(disk: &'a dyn Disk, origins: Vec<Origin>, stream: SnapshotStream) -> Self {
        let reading = Reading { stream, position: 0, failure: None, is_wanted_again: false };
        Self { disk, origins, stream: Mutex::new(reading) }
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the snapshot would have to be read a second time: the base is damaged.
    pub(super) fn is_wanted_again(&self) -> bool {
        self.reading().is_wanted_again
    }

    /// What the member did not do, if that is why reading failed.
    pub(super) fn take_failure(&self) -> Option<EtcdError> {
        self.reading().failure.take()
    }

    /// The snapshot, if it arrived whole.
    pub(super) fn finish(self) -> Result<CheckedSnapshot, EtcdError> {
        self.stream.into_inner().unwrap_or_else(PoisonError::into_inner).stream.finish()
    }
}

impl Source for EtcdSource<'_> {
    fn open(&self, file: usize, _: Range<u64>) -> io::Result<Option<Box<dyn SourceReader + '_>>> {
        match self.origins.get(file) {
            Some(Origin::Snapshot) => Ok(Some(Box::new(OfStream(self)))),
            Some(Origin::File(path)) => match self.disk.open(path) {
                Ok(opened) => Ok(Some(Box::new(OfFile(opened)))),
                Err(error) => Err(error),
            },
            Some(Origin::Nowhere) | None => Err(io::Error::other("this file has no source")),
        }
    }
}

struct OfStream<'a>(&'a EtcdSource<'a>);

impl SourceReader for OfStream<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut reading = self.0.reading();
        if offset != reading.position {
            reading.is_wanted_again = true;
            return Err(io::Error::other("a snapshot that is sent cannot be read again"));
        }
        match reading.stream.read(buffer) {
            Ok(length) => {
                reading.position += length as u64;
                Ok(length)
            }
            Err(error) => {
                let words = io::Error::other(error.to_string());
                reading.failure = Some(error);
                Err(words)
            }
        }
    }
}

struct OfFile(Box<dyn DiskFile>);

impl SourceReader for OfFile {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(offset + done as u64, &mut buffer[done..]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}
