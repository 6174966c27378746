//! Lanes: cut a part, seal it, put it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use soter_vault::wal::{PartSealer, PutPart, SealedPart, WalError};
use soter_world::disk::DiskFile;

use super::super::flow::{Next, PartRange};
use super::super::machine::Trouble;
use super::{Board, Engine, PART_COMPRESSION, Writer, chain, lock};

/// How long a lane waits before it puts a part again that the vault did not take. The store's own
/// repetitions have taken some seconds by then.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A part to be stored.
pub(crate) struct PartWork {
    pub(crate) range: PartRange,
    file: Arc<dyn DiskFile>,
}

/// What one lane keeps between parts, for one writer.
pub(crate) struct PartWriter<'a> {
    engine: &'a Engine,
    writer: &'a Writer,
    sealer: PartSealer<'a>,
    bytes: Vec<u8>,
}

impl Engine {
    /// The next part, if one is due.
    #[cfg(test)]
    pub(crate) fn take_part(&self) -> Next<PartWork> {
        self.board().take_part(self.now())
    }

    /// A part is durable in the vault.
    pub(crate) fn part_stored(&self, range: PartRange, put: &PutPart, took: Duration) {
        self.find_all(&put.findings);
        let mut board = self.board();
        board.write_time.measured(took);
        board.vault_trouble = None;
        board.counts.parts += 1;
        board.counts.part_bytes += u64::from(range.to - range.from);
        let may_acknowledge = board.flow.part_stored(range);
        let is_awaited = board.waiters > 0;
        drop(board);
        if may_acknowledge {
            self.acknowledge();
        }
        if is_awaited {
            self.progress.notify_all();
        }
    }

    /// What a lane's thread does until the engine is closed.
    pub(crate) fn run_lane(&self) {
        let mut next = self.wait_for_part();
        while let Some(first) = next {
            let writer = self.writer();
            let mut parts = PartWriter::new(self, &writer);
            next = Some(first);
            while let Some(work) = next.take() {
                if !parts.store(&work) {
                    return;
                }
                next = self.wait_for_part();
                if !Arc::ptr_eq(&writer, &lock(&self.writer)) {
                    break;
                }
            }
        }
    }

    fn wait_for_part(&self) -> Option<PartWork> {
        let mut board = self.board();
        while !board.is_closed {
            board = match board.take_part(self.now()) {
                Next::Now(work) => {
                    // There may be more to cut than one part.
                    if board.wants_lane() {
                        self.lane_work.notify_one();
                    }
                    return Some(work);
                }
                Next::In(pause) if !board.is_lane_timed => {
                    board.is_lane_timed = true;
                    let waited = self.lane_work.wait_timeout(board, pause);
                    let (mut board, _) = waited.unwrap_or_else(PoisonError::into_inner);
                    board.is_lane_timed = false;
                    board
                }
                Next::In(_) | Next::Nothing => {
                    board.lanes_idle += 1;
                    let waited = self.lane_work.wait(board);
                    let mut board = waited.unwrap_or_else(PoisonError::into_inner);
                    board.lanes_idle -= 1;
                    board
                }
            };
        }
        None
    }
}

impl Board {
    fn take_part(&mut self, now: Duration) -> Next<PartWork> {
        let lanes = self.write_time.lanes();
        match self.flow.next_part(now, lanes) {
            Next::Now(range) => {
                let file = self.files.get(&range.segment).map(Arc::clone);
                let file = file.expect("a segment's file stays until it is sealed");
                Next::Now(PartWork { range, file })
            }
            Next::In(pause) => Next::In(pause),
            Next::Nothing => Next::Nothing,
        }
    }

    /// Whether an idle lane would find something to do, be it to wait for the interval to end.
    pub(super) fn wants_lane(&self) -> bool {
        self.lanes_idle > 0 && !self.is_lane_timed && self.flow.wants_lane(self.write_time.lanes())
    }
}

impl<'a> PartWriter<'a> {
    pub(crate) fn new(engine: &'a Engine, writer: &'a Writer) -> Self {
        let key = writer.session.key().clone();
        let sealer = PartSealer::new(key, &*engine.ground.random, PART_COMPRESSION);
        Self { engine, writer, sealer, bytes: Vec::new() }
    }

    /// Reads and seals a part.
    pub(crate) fn seal(&mut self, work: &PartWork) -> std::io::Result<SealedPart> {
        let PartRange { segment, from, to } = work.range;
        let length = (to - from) as usize;
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        let bytes = &mut self.bytes[..length];
        work.file.read_exact_at(u64::from(from), bytes)?;
        let segment = self.engine.vault_segment(segment);
        let session = self.writer.session.id();
        let part = self.writer.archive.live_part(segment, (from, to), session);
        Ok(self.sealer.seal(part, bytes))
    }

    /// Puts a sealed part.
    pub(crate) fn put(&self, sealed: &SealedPart) -> Result<PutPart, WalError> {
        let wal = self.writer.wal(&*self.engine.ground.clock);
        wal.put_part(sealed, self.writer.session.key())
    }

    /// Stores a part, however long it takes. Returns whether the lane may go on.
    fn store(&mut self, work: &PartWork) -> bool {
        let sealed = match self.seal(work) {
            Ok(sealed) => sealed,
            Err(error) => {
                let what = format!("the spool cannot be read: {}", chain(&error));
                self.engine.fail(Trouble::Lasting(what));
                return false;
            }
        };
        let began = self.engine.now();
        loop {
            match self.put(&sealed) {
                Ok(put) => {
                    let took = self.engine.now().saturating_sub(began);
                    self.engine.part_stored(work.range, &put, took);
                    return true;
                }
                Err(error) if self.engine.vault_failed(&error) => {
                    self.engine.ground.clock.sleep(RETRY_PAUSE);
                }
                Err(_) => return false,
            }
        }
    }
}
