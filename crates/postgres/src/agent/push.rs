//! `archive_command`: a file of `pg_wal` into the vault, by an agent or without one.
//!
//! The file is read once. What streaming has brought to the vault already is only compared: equal
//! bytes are success, other bytes are an error, and nothing is ever overwritten.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use soter_vault::wal::{
    Archive, ArchiveFile, Outcome, Pushed, SealError, SealedFile, Sealer, WalError, WalFacts,
    WalSource, WalVault,
};
use soter_world::Disk;
use soter_world::disk::{DiskFile, FileKind};
use thiserror::Error;

use super::engine::Engine;
use super::facts::FactsKeeper;
use super::protocol::PushDone;
use super::shared::Shared;
use crate::error::ErrorKind;
use crate::lsn::{Lsn, SegmentSize};
use crate::wal::header::{SegmentHeader, WalIdentity};
use crate::wal::name::{SegmentName, WalFileName};

/// How long a push waits for the stream to bring and seal the same segment. After that it stores it
/// by itself, and the stream finds it there.
const STREAM_PATIENCE: Duration = Duration::from_secs(30);

/// How many threads compress a file.
const WORKERS: usize = 2;

/// Enough of a segment to know whose it is.
const HEADER_BYTES: usize = 40;

/// Why a file was not stored. The server keeps it and asks again.
#[derive(Debug, Error)]
pub enum PushError {
    /// The name is not one of the archive: call it as `wal push %p`.
    #[error("{name:?} is not a file of a WAL archive")]
    Name {
        /// What was given.
        name: String,
    },
    /// The file is not in the `pg_wal` of the cluster that this agent protects.
    #[error("{} is not in the cluster's pg_wal", path.display())]
    Elsewhere {
        /// What was given.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// What was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The vault did not take it, or has other bytes under its name.
    #[error("cannot store {name}")]
    Vault {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: WalError,
    },
    /// The agent has no session yet: the server or the vault is away.
    #[error("the agent does not stream yet")]
    NotReady,
}

impl PushError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Name { .. } | Self::Elsewhere { .. } | Self::File { .. } => ErrorKind::Input,
            Self::NotReady => ErrorKind::Retry,
            Self::Vault { source, .. } => match source.kind() {
                soter_vault::keys::ErrorKind::Superseded => ErrorKind::Superseded,
                soter_vault::keys::ErrorKind::Input => ErrorKind::Input,
                _ => ErrorKind::Failed,
            },
        }
    }
}

/// Whether what is there already is believed by its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trusting {
    /// Yes: its signature is right, and it has the length that was signed.
    Heads,
    /// No: it is read, and if it is damaged the file is stored beside it.
    WholeObjects,
}

/// Stores a file of the archive in a vault.
///
/// # Errors
/// See [`PushError`].
pub fn push_file(
    wal: &WalVault<'_>,
    sealer: &Sealer<'_>,
    disk: &dyn Disk,
    path: &Path,
    trusting: Trusting,
) -> Result<Pushed, PushError> {
    let (file, mut source) = open(wal.archive, disk, path)?;
    let pushed = match trusting {
        Trusting::Heads => wal.push(sealer, &file, &mut source),
        Trusting::WholeObjects => wal.mend(sealer, &file, &mut source),
    };
    pushed.map_err(|source| PushError::Vault { name: file.object.file, source })
}

/// The same in two steps, for one that compresses the next file while the last is made durable:
/// `seal` does the first.
///
/// # Errors
/// See [`PushError`].
pub fn push_file_in_steps(
    wal: &WalVault<'_>,
    disk: &dyn Disk,
    path: &Path,
    seal: impl FnOnce(&ArchiveFile, &mut dyn WalSource) -> Result<SealedFile, SealError>,
) -> Result<Pushed, PushError> {
    let (file, mut source) = open(wal.archive, disk, path)?;
    let sealed = seal(&file, &mut source).map_err(WalError::from);
    let pushed = sealed.and_then(|sealed| wal.put(&sealed));
    pushed.map_err(|source| PushError::Vault { name: file.object.file, source })
}

fn open(
    archive: Archive,
    disk: &dyn Disk,
    path: &Path,
) -> Result<(ArchiveFile, ArchiveSource), PushError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let Some(file) = archive.file(&name) else { return Err(PushError::Name { name }) };
    let unreadable = |source| PushError::File { path: path.to_owned(), source };
    let opened = disk.open(path).map_err(unreadable)?;
    if opened.metadata().map_err(unreadable)?.kind != FileKind::File {
        return Err(PushError::Elsewhere { path: path.to_owned() });
    }
    let source = ArchiveSource::new(opened, &name).map_err(unreadable)?;
    Ok((file, source))
}

impl Shared<'_> {
    /// Stores a file for the server.
    pub(crate) fn push(&self, path: &Path) -> Result<Value, PushError> {
        let path = self.in_pg_wal(path)?;
        let engine = self.engine().ok_or(PushError::NotReady)?;
        wait_for_stream(&engine, &path);
        let writer = engine.writer();
        let world = &self.around.world;
        let (keys, random) = (writer.session.keys(), &*world.random);
        let sealer = Sealer::new(keys, random, self.settings.compression, WORKERS);
        let clock = Arc::clone(&world.clock);
        let clock = super::shared::PatientClock { clock, abandon: self.stop.clone() };
        let pushed = push_file(&writer.wal(&clock), &sealer, &*world.disk, &path, Trusting::Heads)?;
        let done = PushDone {
            object: pushed.object,
            was_there: pushed.outcome == Outcome::AlreadyThere,
            findings: pushed.findings.iter().map(ToString::to_string).collect(),
        };
        for finding in &done.findings {
            self.find(finding);
        }
        Ok(serde_json::to_value(done).unwrap_or_default())
    }

    /// The file as it lies in the cluster's `pg_wal`. Whoever may ask for a push may not make the
    /// agent read other files.
    fn in_pg_wal(&self, path: &Path) -> Result<PathBuf, PushError> {
        let elsewhere = || PushError::Elsewhere { path: path.to_owned() };
        let directory = self.settings.data_directory.join("pg_wal");
        let asked = self.settings.data_directory.join(path);
        let same = |a: &Path, b: &Path| {
            let (a, b) = (std::fs::canonicalize(a).ok()?, std::fs::canonicalize(b).ok()?);
            (a == b).then_some(())
        };
        let parent = asked.parent().ok_or_else(elsewhere)?;
        same(parent, &directory).ok_or_else(elsewhere)?;
        Ok(directory.join(asked.file_name().ok_or_else(elsewhere)?))
    }
}

/// A segment that the stream is bringing is left to it: it would be stored twice.
fn wait_for_stream(engine: &Engine, path: &Path) {
    let size = engine.ground().size;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Ok(WalFileName::Segment(SegmentName { timeline, segment })) =
        WalFileName::parse(name, size)
    else {
        return;
    };
    let start = segment.start(size);
    if timeline == engine.timeline() && engine.received_end() > start {
        let _durable = engine.wait_durable(segment.end(size), STREAM_PATIENCE);
        let _sealed = engine.wait_sealed(segment, STREAM_PATIENCE);
    }
}

/// A file of the archive; a segment is decoded while it is read.
struct ArchiveSource {
    file: Box<dyn DiskFile>,
    position: u64,
    segment: Option<Decoded>,
}

struct Decoded {
    start: Lsn,
    size: SegmentSize,
    facts: FactsKeeper,
}

impl ArchiveSource {
    fn new(file: Box<dyn DiskFile>, name: &str) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        let is_whole_header = match file.read_exact_at(0, &mut header) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        // What cannot be decoded is stored all the same.
        let header = if is_whole_header { SegmentHeader::parse(&header).ok() } else { None };
        let segment = header.and_then(|header| Decoded::of(header.identity, name));
        Ok(Self { file, position: 0, segment })
    }
}

impl Decoded {
    fn of(identity: WalIdentity, name: &str) -> Option<Self> {
        let size = identity.segment_size;
        match WalFileName::parse(name, size) {
            Ok(WalFileName::Segment(name)) => {
                let facts = FactsKeeper::new(identity, name.timeline);
                Some(Self { start: name.segment.start(size), size, facts })
            }
            _ => None,
        }
    }
}

impl WalSource for ArchiveSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.position, buffer)?;
        if let Some(Decoded { start, facts, .. }) = &mut self.segment {
            facts.feed(Lsn(start.0 + self.position), &buffer[..read]);
        }
        self.position += read as u64;
        Ok(read)
    }

    fn facts(&mut self) -> WalFacts {
        match &mut self.segment {
            Some(Decoded { start, size, facts }) => facts.take(start.segment(*size)),
            None => WalFacts::default(),
        }
    }
}
