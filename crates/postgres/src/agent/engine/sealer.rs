//! Sealers: turn a complete segment into its one object, look whether it is there, let go of the
//! spool's file.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use soter_vault::wal::{Pushed, SealError, SealedFile, Sealer, WalError, WalFacts, WalSource};
use soter_world::disk::DiskFile;

use super::super::machine::Trouble;
use super::{Board, Engine, Writer, chain, lock};
use crate::lsn::SegmentNumber;

/// How long a sealer waits before it puts a segment again that the vault did not take.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// One thread compresses: two segments can be under way, and the server needs the other cores.
const WORKERS: usize = 1;

/// A segment to be sealed.
pub(crate) struct SealWork {
    pub(crate) segment: SegmentNumber,
    file: Arc<dyn DiskFile>,
    facts: WalFacts,
}

/// What one sealer keeps between segments, for one writer.
pub(crate) struct SegmentWriter<'a> {
    engine: &'a Engine,
    writer: &'a Writer,
    sealer: Sealer<'a>,
}

/// A segment's file, read from its beginning.
struct SpooledSegment<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    facts: WalFacts,
}

impl WalSource for SpooledSegment<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.position, buffer)?;
        self.position += read as u64;
        Ok(read)
    }

    fn facts(&mut self) -> WalFacts {
        self.facts
    }
}

impl Engine {
    /// The next segment to seal, if one is complete.
    pub(crate) fn take_seal(&self) -> Option<SealWork> {
        let mut board = self.board();
        let segment = board.flow.next_seal()?;
        let file = board.files.get(&segment).map(Arc::clone);
        let file = file.expect("a segment's file stays until it is sealed");
        let facts = board.facts.get(&segment).copied().unwrap_or_default();
        Some(SealWork { segment, file, facts })
    }

    /// A segment is sealed and durable in the vault.
    pub(crate) fn segment_sealed(&self, segment: SegmentNumber, pushed: &Pushed) {
        self.find_all(&pushed.findings);
        let now = self.now();
        let mut board = self.board();
        board.facts.remove(&segment);
        board.vault_trouble = None;
        board.counts.segments += 1;
        board.counts.stored_bytes += pushed.stored_bytes;
        let may_acknowledge = board.flow.segment_sealed(segment, now);
        let done_with = board.take_files(segment);
        drop(board);
        if may_acknowledge {
            self.acknowledge();
        }
        self.progress.notify_all();
        for segment in done_with {
            if let Err(error) = self.ground.spool.remove(self.segment_name(segment)) {
                self.find(&format!("a spooled segment stays: {}", chain(&error)));
            }
        }
    }

    /// What a sealer's thread does until the engine is closed.
    pub(crate) fn run_sealer(&self) {
        let mut next = self.wait_for_seal();
        while next.is_some() {
            let writer = self.writer();
            let segments = SegmentWriter::new(self, &writer);
            while let Some(work) = next.take() {
                if !segments.store(&work) {
                    return;
                }
                next = self.wait_for_seal();
                if !Arc::ptr_eq(&writer, &lock(&self.writer)) {
                    break;
                }
            }
        }
    }

    fn wait_for_seal(&self) -> Option<SealWork> {
        loop {
            if let Some(work) = self.take_seal() {
                return Some(work);
            }
            let board = self.board();
            if board.is_closed {
                return None;
            }
            if !board.flow.has_seal() {
                drop(self.seal_work.wait(board).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }
}

impl Board {
    /// Takes the files that are not needed any more, now that a segment is sealed. Where the spool
    /// may stand in for the vault they go in order: after a crash it is believed from its last hole
    /// on, and what lies before one may be acknowledged and nowhere else.
    fn take_files(&mut self, sealed: SegmentNumber) -> Vec<SegmentNumber> {
        let done_with: Vec<_> = if self.flow.may_stand_in(sealed) {
            self.files.range(..self.flow.first_unsealed()).map(|(segment, _)| *segment).collect()
        } else {
            vec![sealed]
        };
        for segment in &done_with {
            self.files.remove(segment);
        }
        done_with
    }
}

impl<'a> SegmentWriter<'a> {
    pub(crate) fn new(engine: &'a Engine, writer: &'a Writer) -> Self {
        let (keys, random) = (writer.session.keys(), &*engine.ground.random);
        let sealer = Sealer::new(keys, random, engine.ground.compression, WORKERS);
        Self { engine, writer, sealer }
    }

    /// Reads and seals a segment.
    pub(crate) fn seal(&self, work: &SealWork) -> Result<SealedFile, SealError> {
        let file = self.writer.archive.segment_file(self.engine.vault_segment(work.segment));
        let mut source = SpooledSegment { file: &*work.file, position: 0, facts: work.facts };
        self.sealer.seal(&file, &mut source)
    }

    /// Puts a sealed segment, and looks whether it is there.
    pub(crate) fn put(&self, sealed: &SealedFile) -> Result<Pushed, WalError> {
        self.writer.wal(&*self.engine.ground.clock).put_verified(sealed)
    }

    /// Stores a segment, however long it takes. Returns whether the sealer may go on.
    fn store(&self, work: &SealWork) -> bool {
        let sealed = match self.seal(work) {
            Ok(sealed) => sealed,
            Err(error) => {
                self.engine.fail(Trouble::Lasting(chain(&error)));
                return false;
            }
        };
        loop {
            match self.put(&sealed) {
                Ok(pushed) => {
                    self.engine.segment_sealed(work.segment, &pushed);
                    self.write_index(work.segment);
                    return true;
                }
                Err(error) if self.engine.vault_failed(&error) => {
                    self.engine.ground.clock.sleep(RETRY_PAUSE);
                }
                Err(_) => return false,
            }
        }
    }

    /// Writes the index of the segment's folder when the segment is its last one.
    fn write_index(&self, segment: SegmentNumber) {
        let archive = self.writer.archive;
        let folder = archive.folder_of(segment.0);
        if archive.folder_of(segment.0 + 1) == folder {
            return;
        }
        let wal = self.writer.wal(&*self.engine.ground.clock);
        let (keys, random) = (self.writer.session.keys(), &*self.engine.ground.random);
        if let Err(error) = wal.write_index(keys, random, self.engine.timeline.0, folder) {
            // Reading works without it; the next agent or a person writes it.
            self.engine.find(&format!("the index of a folder was not written: {}", chain(&error)));
        }
    }
}
