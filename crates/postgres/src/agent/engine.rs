//! The agent's engine: from bytes that came to objects that are durable.
//!
//! ```text
//!  reader ─▶ Intake ─▶ spool file ─▶ lanes (parts) ──┐
//!                          │                          ├─▶ flush position ─▶ server
//!                          └──────▶ sealers (segments)┘
//! ```
//!
//! One engine is one timeline. What to do next is [`Flow`]'s decision; this file guards it with one
//! lock, wakes whoever has something to do, and tells the server how far its WAL is safe. No lock is
//! held while anything is read, written or sent.

mod lane;
mod sealer;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use soter_vault::frame::Compression;
use soter_vault::log::Session;
use soter_vault::wal::{Archive, Finding, Segment, WalError, WalFacts, WalVault};
use soter_world::disk::DiskFile;
use soter_world::{Clock, Random};

use super::arrivals::Arrivals;
use super::findings::{Findings, Noted};
use super::flow::{Flow, Mode};
use super::lanes::WriteTime;
use super::machine::Trouble;
use super::resume::Beginning;
use super::spool::{Mark, Spool, SpoolError, SpoolFile};
use crate::lsn::{Lsn, SegmentNumber, SegmentSize, Timeline};
use crate::replication::{Acknowledger, StatusUpdate};
use crate::wal::name::SegmentName;

#[cfg(test)]
pub(crate) use lane::{PartWork, PartWriter};
#[cfg(test)]
pub(crate) use sealer::{SealWork, SegmentWriter};

/// How parts are compressed: they live until their segment is sealed, so speed is all that counts.
const PART_COMPRESSION: Compression = Compression::Zstd(1);

/// Who writes, and where to. It is replaced when the session is.
pub(crate) struct Writer {
    pub(crate) session: Session,
    pub(crate) trust: soter_vault::keys::Trust,
    pub(crate) archive: Archive,
}

impl Writer {
    /// The WAL of the vault it writes to. `clock` is for the pauses between tries.
    pub(crate) fn wal<'a>(&'a self, clock: &'a dyn Clock) -> WalVault<'a> {
        let store = &*self.session.vault().objects;
        WalVault { store, clock, trust: &self.trust, archive: self.archive }
    }
}

/// What an engine needs of the world.
#[derive(Clone)]
pub(crate) struct Ground {
    /// Its sleep must end when the agent is asked to stop.
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) size: SegmentSize,
    /// How sealed segments are compressed.
    pub(crate) compression: Compression,
}

/// The WAL of one timeline on its way.
pub(crate) struct Engine {
    ground: Ground,
    timeline: Timeline,
    writer: Mutex<Arc<Writer>>,
    board: Mutex<Board>,
    lane_work: Condvar,
    seal_work: Condvar,
    progress: Condvar,
    /// The server, while it streams.
    server: Mutex<Option<Acknowledger>>,
}

/// What the threads share.
struct Board {
    flow: Flow,
    /// Segments that are not sealed, or behind one that is not.
    files: BTreeMap<SegmentNumber, Arc<dyn DiskFile>>,
    facts: BTreeMap<SegmentNumber, WalFacts>,
    write_time: WriteTime,
    arrivals: Arrivals,
    lanes_idle: usize,
    is_lane_timed: bool,
    /// How many wait for progress. Waking nobody costs a system call for each part.
    waiters: usize,
    counts: Counts,
    findings: Findings,
    vault_trouble: Option<String>,
    fatal: Option<Trouble>,
    is_closed: bool,
}

/// What the engine has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) parts: u64,
    pub(crate) part_bytes: u64,
    pub(crate) segments: u64,
    pub(crate) stored_bytes: u64,
}

/// How things stand.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) received: Lsn,
    pub(crate) durable: Lsn,
    pub(crate) flushed: Lsn,
    pub(crate) lag_bytes: u64,
    /// Age of the oldest byte that is not durable in the vault.
    pub(crate) lag: Duration,
    pub(crate) spool_files: usize,
    pub(crate) counts: Counts,
    pub(crate) write_time: Option<Duration>,
    pub(crate) vault_trouble: Option<String>,
    pub(crate) findings: Vec<Noted>,
}

/// What went wrong with the vault, and whether it is worth trying again.
enum Verdict {
    Again(String),
    Fatal(Trouble),
}

impl Engine {
    /// An engine that begins there.
    pub(crate) fn new(
        ground: Ground,
        timeline: Timeline,
        writer: Arc<Writer>,
        mode: Mode,
        beginning: Beginning,
    ) -> Result<Self, SpoolError> {
        let Beginning { start, received } = beginning;
        let flow = Flow::new(ground.size, mode, start, received);
        let mut files = BTreeMap::new();
        let mut segment = start.segment(ground.size);
        while segment.start(ground.size) < received {
            let length = received.0.min(segment.end(ground.size).0) - segment.start(ground.size).0;
            let file = ground.spool.file(SegmentName { timeline, segment }, length)?;
            files.insert(segment, file.file);
            segment = segment.next();
        }
        let mut arrivals = Arrivals::default();
        if start < received {
            arrivals.note(received, ground.clock.monotonic());
        }
        let board = Board {
            flow,
            files,
            facts: BTreeMap::new(),
            write_time: WriteTime::default(),
            arrivals,
            lanes_idle: 0,
            is_lane_timed: false,
            waiters: 0,
            counts: Counts::default(),
            findings: Findings::default(),
            vault_trouble: None,
            fatal: None,
            is_closed: false,
        };
        Ok(Self {
            ground,
            timeline,
            writer: Mutex::new(writer),
            board: Mutex::new(board),
            lane_work: Condvar::new(),
            seal_work: Condvar::new(),
            progress: Condvar::new(),
            server: Mutex::new(None),
        })
    }

    /// The timeline.
    pub(crate) fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// What it needs of the world.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Who writes now.
    pub(crate) fn writer(&self) -> Arc<Writer> {
        Arc::clone(&lock(&self.writer))
    }

    /// From now on this one writes. Parts under way are still the old one's.
    pub(crate) fn replace_writer(&self, writer: Arc<Writer>) {
        *lock(&self.writer) = writer;
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }

    fn now(&self) -> Duration {
        self.ground.clock.monotonic()
    }

    fn segment_name(&self, segment: SegmentNumber) -> SegmentName {
        SegmentName { timeline: self.timeline, segment }
    }

    fn vault_segment(&self, segment: SegmentNumber) -> Segment {
        Segment { timeline: self.timeline.0, number: segment.0 }
    }

    // The reader's side.

    /// The end of what was received.
    pub(crate) fn received_end(&self) -> Lsn {
        self.board().flow.received_end()
    }

    /// Whether the spool may have one more file.
    pub(crate) fn has_room(&self, files_max: usize) -> bool {
        self.board().files.len() < files_max
    }

    /// Waits for anything to become durable, a moment at most.
    pub(crate) fn wait_for_progress(&self, timeout: Duration) {
        let mut is_first_look = true;
        drop(self.wait_while(timeout, |_| std::mem::take(&mut is_first_look)));
    }

    /// Waits while a condition holds, until something makes progress or the time is over.
    fn wait_while(
        &self,
        timeout: Duration,
        holds: impl FnMut(&mut Board) -> bool,
    ) -> MutexGuard<'_, Board> {
        let mut board = self.board();
        board.waiters += 1;
        let waited = self.progress.wait_timeout_while(board, timeout, holds);
        let (mut board, _) = waited.unwrap_or_else(PoisonError::into_inner);
        board.waiters -= 1;
        board
    }

    /// The file of a segment, to write what comes; what was received of it is there already.
    pub(crate) fn open_file(&self, segment: SegmentNumber) -> Result<SpoolFile, SpoolError> {
        let size = self.ground.size;
        let received = self.received_end();
        let known = received.0.saturating_sub(segment.start(size).0).min(size.bytes_u64());
        let file = self.ground.spool.file(self.segment_name(segment), known)?;
        self.board().files.insert(segment, Arc::clone(&file.file));
        Ok(file)
    }

    /// Where a complete segment lies that is not sealed yet.
    pub(crate) fn whole_segment(&self, name: SegmentName) -> Option<std::path::PathBuf> {
        let is_there =
            name.timeline == self.timeline && self.board().flow.is_unsealed(name.segment);
        is_there.then(|| self.ground.spool.path(name))
    }

    /// Bytes up to `to` are in the files, and these segments are complete.
    pub(crate) fn received(&self, to: Lsn, complete: &[(SegmentNumber, WalFacts)]) {
        let now = self.now();
        let mut board = self.board();
        board.facts.extend(complete.iter().copied());
        board.flow.received(to, now);
        board.arrivals.note(to, now);
        if !complete.is_empty() {
            self.seal_work.notify_all();
        }
        if board.wants_lane() {
            self.lane_work.notify_one();
        }
    }

    // The server's side.

    /// The server streams, and hears from now on how far its WAL is safe.
    pub(crate) fn attach(&self, server: Acknowledger) {
        self.board().flow.relax();
        *lock(&self.server) = Some(server);
        self.acknowledge();
    }

    /// The server streams no more.
    pub(crate) fn detach(&self) {
        *lock(&self.server) = None;
    }

    /// Tells the server how far its WAL is safe.
    pub(crate) fn acknowledge(&self) {
        self.report(false);
    }

    /// The same, and asks for an answer.
    pub(crate) fn give_sign_of_life(&self) {
        self.report(true);
    }

    fn report(&self, reply_requested: bool) {
        let flushed = self.board().flow.flush();
        let server = lock(&self.server).clone();
        if let Some(server) = server {
            let update = StatusUpdate {
                written: flushed,
                flushed,
                applied: None,
                reply_requested,
                sent_at: self.ground.clock.now(),
            };
            // The reader learns of a broken connection by itself.
            drop(server.report(&update));
        }
    }

    /// Whoever waits for the vault does not want to wait for more bytes.
    pub(crate) fn hurry(&self) {
        self.board().flow.hurry();
        self.lane_work.notify_all();
    }

    /// Syncs the spool, so that it may stand in for the vault where the mode allows it.
    pub(crate) fn sync_spool(&self) -> Result<(), SpoolError> {
        let (to, files) = {
            let board = self.board();
            let first = board.flow.spooled_end().segment(self.ground.size);
            let files: Vec<_> =
                board.files.range(first..).map(|(_, file)| Arc::clone(file)).collect();
            (board.flow.received_end(), files)
        };
        let mark = Mark {
            incarnation: self.writer().archive.incarnation,
            timeline: self.timeline,
            segment_size: self.ground.size,
            synced: to,
        };
        if let Err(error) = self.ground.spool.sync(&files, mark) {
            if let SpoolError::Unsynced { .. } = error {
                self.fail(Trouble::Lasting(chain(&error)));
            }
            return Err(error);
        }
        if self.board().flow.spool_synced(to) {
            self.acknowledge();
        }
        Ok(())
    }

    // For whoever looks after it.

    /// Waits until all that was received is durable in the vault, or the time is over.
    pub(crate) fn drain(&self, timeout: Duration) -> bool {
        self.hurry();
        let is_open = |board: &mut Board| !board.flow.is_drained() && board.fatal.is_none();
        self.wait_while(timeout, is_open).flow.is_drained()
    }

    /// Waits until everything before `position` is durable in the vault, or the time is over.
    pub(crate) fn wait_durable(&self, position: Lsn, timeout: Duration) -> bool {
        let is_open = |board: &mut Board| board.flow.durable_end() < position && !board.is_closed;
        self.wait_while(timeout, is_open).flow.durable_end() >= position
    }

    /// Waits until a segment is sealed, if it is on its way; returns whether it is not any more.
    pub(crate) fn wait_sealed(&self, segment: SegmentNumber, timeout: Duration) -> bool {
        let is_open = |board: &mut Board| board.flow.is_unsealed(segment) && !board.is_closed;
        !self.wait_while(timeout, is_open).flow.is_unsealed(segment)
    }

    /// The beginning of the first segment that is not sealed.
    pub(crate) fn first_unsealed(&self) -> Lsn {
        self.board().flow.first_unsealed().start(self.ground.size)
    }

    /// Lets go of the files of an engine that is closed and has everything in the vault.
    pub(crate) fn forget_files(&self) {
        let files = std::mem::take(&mut self.board().files);
        for segment in files.keys() {
            if let Err(error) = self.ground.spool.remove(self.segment_name(*segment)) {
                self.find(&format!("a spooled segment stays: {}", chain(&error)));
            }
        }
    }

    /// Ends all threads that work for it, when they have finished what they do.
    pub(crate) fn close(&self) {
        self.board().is_closed = true;
        self.lane_work.notify_all();
        self.seal_work.notify_all();
        self.progress.notify_all();
    }

    /// What ended it, if something did.
    pub(crate) fn fatal(&self) -> Option<Trouble> {
        self.board().fatal.clone()
    }

    /// How things stand.
    pub(crate) fn standing(&self) -> Standing {
        let now = self.now();
        let mut board = self.board();
        let durable = board.flow.durable_end();
        Standing {
            received: board.flow.received_end(),
            durable,
            flushed: board.flow.flush(),
            lag_bytes: board.flow.lag_bytes(),
            lag: board.arrivals.age(durable, now),
            spool_files: board.files.len(),
            counts: board.counts,
            write_time: board.write_time.smoothed(),
            vault_trouble: board.vault_trouble.clone(),
            findings: board.findings.all().collect(),
        }
    }

    /// Whether commits wait for the vault.
    pub(crate) fn mode(&self) -> Mode {
        self.board().flow.mode()
    }

    /// Something that a person should see.
    pub(crate) fn find(&self, finding: &str) {
        let now = self.ground.clock.now();
        self.board().findings.note(finding, now);
    }

    fn find_all(&self, findings: &[Finding]) {
        for finding in findings {
            self.find(&finding.to_string());
        }
    }

    fn fail(&self, trouble: Trouble) {
        let mut board = self.board();
        board.fatal.get_or_insert(trouble);
        drop(board);
        self.progress.notify_all();
    }

    /// The vault did not take something. Returns whether to try again.
    fn vault_failed(&self, error: &WalError) -> bool {
        match judge(error) {
            Verdict::Again(why) => {
                let mut board = self.board();
                board.vault_trouble = Some(why);
                !board.is_closed
            }
            Verdict::Fatal(trouble) => {
                self.fail(trouble);
                false
            }
        }
    }
}

/// Nothing that a store says is for ever, but what other writers did is.
fn judge(error: &WalError) -> Verdict {
    let said = chain(error);
    match error {
        WalError::PartConflict { .. } => Verdict::Fatal(Trouble::Superseded(said)),
        WalError::Conflict { .. } => Verdict::Fatal(Trouble::Input(said)),
        WalError::Seal(_) | WalError::Key(_) => Verdict::Fatal(Trouble::Lasting(said)),
        WalError::Store(_)
        | WalError::Taken { .. }
        | WalError::Damaged { .. }
        | WalError::Incomplete { .. } => Verdict::Again(said),
    }
}

/// An error with all it came from, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panics ends the agent; until then the others may finish what they do.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
