//! Segments in the making, as files on local disk.
//!
//! Every byte that comes is written here first: parts are cut and segments sealed from these files,
//! so that memory does not grow with the segment size or with an outage of the vault. They need not
//! survive a crash, as the server keeps what was not acknowledged. Only when WAL is acknowledged
//! that is *not* in the vault does the spool become the place where it is safe: then the files are
//! synced, and after them a mark that says up to where. After a crash what the mark covers is
//! believed and all else is removed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use soter_vault::ids::IncarnationId;
use soter_world::disk::{Disk, DiskFile, FileKind};
use soter_world::durable;
use thiserror::Error;

use crate::lsn::{Lsn, SegmentNumber, SegmentSize, Timeline};
use crate::wal::name::{SegmentName, WalFileName};

/// The mark's file.
const MARK: &str = "mark.json";

/// A mark is two numbers.
const MARK_BYTES_MAX: usize = 1024;

/// Bytes compared at once with what is there.
const COMPARE_BYTES: usize = 64 << 10;

/// The directory.
pub(crate) struct Spool {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    size: SegmentSize,
    /// A sync has failed. The system then calls written what may not be, so that later syncs which
    /// succeed prove nothing.
    is_distrusted: AtomicBool,
}

/// What the spool still has after a crash, and will not lose in the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub(crate) timeline: Timeline,
    /// The beginning of its first segment.
    pub(crate) start: Lsn,
    pub(crate) end: Lsn,
}

/// What the spool was told last to be safe in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The life of the cluster whose WAL it is.
    pub(crate) incarnation: IncarnationId,
    pub(crate) timeline: Timeline,
    pub(crate) segment_size: SegmentSize,
    /// Everything before this is here, unless it is in the vault.
    pub(crate) synced: Lsn,
}

/// A segment's file, written by one thread and read by any.
pub(crate) struct SpoolFile {
    path: PathBuf,
    pub(crate) segment: SegmentNumber,
    pub(crate) file: Arc<dyn DiskFile>,
    /// How many bytes from the segment's beginning it holds.
    length: u64,
}

/// Why bytes cannot be put into the spool.
#[derive(Debug, Error)]
pub(crate) enum SpoolError {
    /// The disk is full, or broken.
    #[error("the spool {}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    /// The disk did not sync, so nothing in the spool can be believed any more.
    #[error(
        "the disk of the spool {} does not sync: what it calls written may be lost; look at the \
         disk, the server keeps what is not in the vault",
        path.display()
    )]
    Unsynced { path: PathBuf, source: io::Error },
    /// The spool has acknowledged WAL of another life of the cluster. It is not thrown away.
    #[error(
        "the spool {} has WAL of another life of the cluster ({found}): move it away to go on",
        path.display()
    )]
    OtherLife { path: PathBuf, found: IncarnationId },
    /// The server sends other WAL than it did before for the same place.
    #[error("the server sends other WAL at {at} than it did before")]
    Differs { at: Lsn },
}

impl Spool {
    /// The spool in a directory, which is made if need be.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        size: SegmentSize,
    ) -> Result<Self, SpoolError> {
        durable::create_dir_all_durable(&*disk, &directory).map_err(at(&directory))?;
        Ok(Self { disk, directory, size, is_distrusted: AtomicBool::new(false) })
    }

    /// Finds out what a former process left that can be believed, and removes the rest.
    pub(crate) fn recover(
        &self,
        incarnation: IncarnationId,
    ) -> Result<Option<Recovered>, SpoolError> {
        let files = self.files()?;
        let mark = Self::read_mark(&*self.disk, &self.directory)?;
        let recovered = match mark {
            Some(mark) => self.covered(mark, &files)?,
            None => None,
        };
        if let (Some(Mark { incarnation: found, .. }), Some(_)) = (mark, recovered)
            && found != incarnation
        {
            return Err(SpoolError::OtherLife { path: self.directory.clone(), found });
        }
        for (name, _) in files {
            let start = name.segment.start(self.size);
            let is_covered = recovered.is_some_and(|kept| {
                name.timeline == kept.timeline && kept.start <= start && start < kept.end
            });
            if !is_covered {
                self.remove(name)?;
            }
        }
        Ok(recovered)
    }

    /// The whole segments that end at the mark, and the beginning of one that it cuts.
    fn covered(
        &self,
        mark: Mark,
        files: &[(SegmentName, u64)],
    ) -> Result<Option<Recovered>, SpoolError> {
        let Mark { timeline, synced: end, .. } = mark;
        let holds = |segment, bytes| {
            let name = SegmentName { timeline, segment };
            files.iter().any(|(known, length)| *known == name && *length >= bytes)
        };
        let rest = u64::from(end.offset_in_segment(self.size));
        let mut first = end.segment(self.size);
        if rest > 0 {
            if !holds(first, rest) {
                return Ok(None);
            }
            let path = self.path(SegmentName { timeline, segment: first });
            let cut = self.disk.open_write(&path).and_then(|file| file.set_len(rest));
            cut.map_err(at(&path))?;
        }
        while first.0 > 0 && holds(SegmentNumber(first.0 - 1), self.size.bytes_u64()) {
            first.0 -= 1;
        }
        let start = first.start(self.size);
        Ok((start < end).then_some(Recovered { timeline, start, end }))
    }

    /// The file of a segment: the one that is there with `length` bytes in it, or a new one.
    pub(crate) fn file(&self, name: SegmentName, length: u64) -> Result<SpoolFile, SpoolError> {
        let path = self.path(name);
        if length == 0 {
            // A former stream of this process may have left it without anything that counts.
            ignore_absence(self.disk.remove_file(&path)).map_err(at(&path))?;
        }
        let file = if length == 0 { self.disk.create(&path) } else { self.disk.open_write(&path) };
        let file = file.map_err(at(&path))?;
        Ok(SpoolFile { path, segment: name.segment, file: Arc::from(file), length })
    }

    /// Makes durable what these files hold, and then the mark that says so. Once that has failed it
    /// fails for ever: a later sync would not write what this one should have.
    pub(crate) fn sync(&self, files: &[Arc<dyn DiskFile>], mark: Mark) -> Result<(), SpoolError> {
        let unsynced = |source| {
            self.is_distrusted.store(true, Ordering::Relaxed);
            SpoolError::Unsynced { path: self.directory.clone(), source }
        };
        if self.is_distrusted.load(Ordering::Relaxed) {
            return Err(unsynced(io::Error::other("it has failed before")));
        }
        for file in files {
            file.sync().map_err(unsynced)?;
        }
        self.disk.sync_dir(&self.directory).map_err(unsynced)?;
        let path = self.directory.join(MARK);
        let mark = serde_json::to_vec(&mark).expect("numbers and a position are JSON");
        match durable::write_durable(&*self.disk, &path, &mark) {
            Ok(()) => Ok(()),
            // It has no room for the new mark, and the old one is there: it may get room again.
            Err(source) if is_full(&source) => Err(SpoolError::Disk { path, source }),
            Err(source) => Err(unsynced(source)),
        }
    }

    /// Removes a segment's file; it was sealed.
    pub(crate) fn remove(&self, name: SegmentName) -> Result<(), SpoolError> {
        let path = self.path(name);
        ignore_absence(self.disk.remove_file(&path)).map_err(at(&path))
    }

    fn files(&self) -> Result<Vec<(SegmentName, u64)>, SpoolError> {
        let entries = self.disk.list(&self.directory).map_err(at(&self.directory))?;
        let mut files = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.kind == FileKind::File) {
            let path = self.directory.join(&entry.name);
            if durable::is_temporary(&entry.name) {
                ignore_absence(self.disk.remove_file(&path)).map_err(at(&path))?;
                continue;
            }
            let name =
                entry.name.to_str().and_then(|name| WalFileName::parse(name, self.size).ok());
            if let Some(WalFileName::Segment(name)) = name {
                let found = self.disk.metadata(&path).map_err(at(&path))?;
                files.push((name, found.size));
            }
        }
        Ok(files)
    }

    /// The mark in a spool's directory.
    pub(crate) fn read_mark(disk: &dyn Disk, directory: &Path) -> Result<Option<Mark>, SpoolError> {
        let path = directory.join(MARK);
        match durable::read(disk, &path, MARK_BYTES_MAX) {
            Ok(bytes) => {
                let mark = serde_json::from_slice(&bytes);
                mark.map(Some).map_err(|error| at(&path)(io::Error::other(error)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Where a segment's file is, or would be.
    pub(crate) fn path(&self, name: SegmentName) -> PathBuf {
        self.directory.join(name.to_file_name(self.size))
    }
}

impl SpoolFile {
    /// How many bytes it holds.
    #[cfg(test)]
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Puts bytes at their place. Those that are there already are compared, the others must follow
    /// on what is there.
    pub(crate) fn write(
        &mut self,
        size: SegmentSize,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), SpoolError> {
        let path = self.path.clone();
        let fail = at(&path);
        let known = self.length.saturating_sub(offset).min(bytes.len() as u64);
        let (known, fresh) = bytes.split_at(usize::try_from(known).unwrap_or(bytes.len()));
        let mut position = offset;
        let mut buffer = [0; COMPARE_BYTES];
        for expected in known.chunks(COMPARE_BYTES) {
            let found = &mut buffer[..expected.len()];
            self.file.read_exact_at(position, found).map_err(&fail)?;
            let differs = found.iter().zip(expected).position(|(found, sent)| found != sent);
            if let Some(differs) = differs {
                let at = self.segment.start(size).0 + position + differs as u64;
                return Err(SpoolError::Differs { at: Lsn(at) });
            }
            position += expected.len() as u64;
        }
        if !fresh.is_empty() {
            self.file.write_at(position, fresh).map_err(&fail)?;
            self.length = position + fresh.len() as u64;
        }
        Ok(())
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Disk { path: path.clone(), source }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn ignore_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "a test's small numbers")]
mod tests {
    use soter_world::sim::SimDisk;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn size() -> SegmentSize {
        SegmentSize::new(1 << 20).unwrap()
    }

    fn spool(disk: &SimDisk) -> Spool {
        Spool::open(Arc::new(disk.clone()), PathBuf::from("/state/spool"), size()).unwrap()
    }

    const LIFE: IncarnationId = IncarnationId([7; 8]);

    fn mark(synced: u64) -> Mark {
        let (timeline, synced) = (Timeline(1), Lsn(synced));
        Mark { incarnation: LIFE, timeline, segment_size: size(), synced }
    }

    fn name(segment: u64) -> SegmentName {
        SegmentName { timeline: Timeline(1), segment: SegmentNumber(segment) }
    }

    fn wal(at: u64, length: u64) -> Vec<u8> {
        (at..at + length).map(|at| (at * 31 % 251) as u8).collect()
    }

    fn filled(spool: &Spool, segment: u64, length: u64) -> SpoolFile {
        let mut file = spool.file(name(segment), 0).unwrap();
        file.write(size(), 0, &wal(segment * MIB, length)).unwrap();
        file
    }

    #[test]
    fn what_the_mark_covers_survives_and_the_rest_goes() {
        for seed in 0..30 {
            let disk = SimDisk::new(seed);
            let before = spool(&disk);
            let [a, mut b] = [filled(&before, 3, MIB), filled(&before, 4, 100)];
            before.sync(&[Arc::clone(&a.file), Arc::clone(&b.file)], mark(4 * MIB + 100)).unwrap();
            b.write(size(), 100, &wal(4 * MIB + 100, 500)).unwrap();
            filled(&before, 5, 10);
            disk.reboot();
            let after = spool(&disk);
            let (start, end) = (Lsn(3 * MIB), Lsn(4 * MIB + 100));
            let expected = Recovered { timeline: Timeline(1), start, end };
            assert_eq!(after.recover(LIFE).unwrap(), Some(expected), "seed {seed}");
            let mut found = vec![0; 100];
            let file = after.file(name(4), 100).unwrap();
            file.file.read_exact_at(0, &mut found).unwrap();
            assert_eq!((found, file.file.len().unwrap()), (wal(4 * MIB, 100), 100));
            assert_eq!(after.files().unwrap().len(), 2, "seed {seed}");
        }
    }

    #[test]
    fn without_a_mark_nothing_is_believed() {
        let disk = SimDisk::new(1);
        filled(&spool(&disk), 3, MIB);
        disk.restart();
        let after = spool(&disk);
        assert_eq!(after.recover(LIFE).unwrap(), None);
        assert_eq!(after.files().unwrap(), []);
    }

    #[test]
    fn a_hole_ends_what_is_believed() {
        let disk = SimDisk::new(1);
        let before = spool(&disk);
        let files = [filled(&before, 2, MIB), filled(&before, 3, MIB), filled(&before, 4, MIB)];
        let files = files.map(|file| file.file);
        before.sync(&files, mark(5 * MIB)).unwrap();
        before.remove(name(3)).unwrap();
        let (start, end) = (Lsn(4 * MIB), Lsn(5 * MIB));
        let expected = Recovered { timeline: Timeline(1), start, end };
        assert_eq!(before.recover(LIFE).unwrap(), Some(expected));
        before.remove(name(4)).unwrap();
        assert_eq!(before.recover(LIFE).unwrap(), None);
    }

    #[test]
    fn wal_of_another_life_is_neither_used_nor_thrown_away() {
        let disk = SimDisk::new(1);
        let before = spool(&disk);
        let file = filled(&before, 3, 100);
        before.sync(&[file.file], mark(3 * MIB + 100)).unwrap();
        let error = before.recover(IncarnationId([8; 8])).unwrap_err();
        assert!(matches!(error, SpoolError::OtherLife { found: LIFE, .. }), "{error}");
        assert!(before.recover(LIFE).unwrap().is_some());
    }

    #[test]
    fn what_comes_again_must_be_the_same() {
        let disk = SimDisk::new(1);
        let mut file = filled(&spool(&disk), 3, 1000);
        file.write(size(), 500, &wal(3 * MIB + 500, 700)).unwrap();
        assert_eq!(file.length(), 1200);
        let mut other = wal(3 * MIB + 1000, 300);
        other[150] ^= 1;
        let error = file.write(size(), 1000, &other).unwrap_err();
        assert!(
            matches!(error, SpoolError::Differs { at } if at == Lsn(3 * MIB + 1150)),
            "{error}"
        );
    }

    #[test]
    fn a_crash_in_a_sync_leaves_the_old_mark_or_the_new() {
        let prepare = |seed| {
            let disk = SimDisk::new(seed);
            let spool = spool(&disk);
            let mut file = filled(&spool, 3, 100);
            spool.sync(&[Arc::clone(&file.file)], mark(3 * MIB + 100)).unwrap();
            file.write(size(), 100, &wal(3 * MIB + 100, 100)).unwrap();
            (disk, spool, file)
        };
        let again = |spool: &Spool, file: &SpoolFile| {
            spool.sync(&[Arc::clone(&file.file)], mark(3 * MIB + 200))
        };
        let (disk, spool_once, file) = prepare(0);
        let first = disk.operations();
        again(&spool_once, &file).unwrap();
        for operation in first..disk.operations() {
            for seed in 0..8 {
                let (disk, before, file) = prepare(seed);
                disk.crash_at(operation);
                let said = again(&before, &file);
                disk.reboot();
                let end = spool(&disk).recover(LIFE).unwrap().unwrap().end;
                assert!(end == Lsn(3 * MIB + 200) || end == Lsn(3 * MIB + 100) && said.is_err());
                let mut found = vec![0; (end.0 - 3 * MIB) as usize];
                let length = found.len() as u64;
                let file = spool(&disk).file(name(3), length).unwrap();
                file.file.read_exact_at(0, &mut found).unwrap();
                assert_eq!(found, wal(3 * MIB, length), "seed {seed}, operation {operation}");
            }
        }
    }
}
