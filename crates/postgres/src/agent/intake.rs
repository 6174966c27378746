//! Where WAL comes in: into the files of the spool, past the decoder.
//!
//! One thread does this. The bytes of a stream follow on each other; after a new connection the last
//! segment comes again from its beginning, and what is there already is compared.

use jiff::Timestamp;

use super::engine::Engine;
use super::facts::FactsKeeper;
use super::spool::{SpoolError, SpoolFile};
use crate::lsn::{Lsn, SegmentNumber};
use crate::wal::decoder::WalError;

/// The reader's hands.
pub(crate) struct Intake<'a> {
    engine: &'a Engine,
    facts: &'a mut FactsKeeper,
    file: Option<SpoolFile>,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(engine: &'a Engine, facts: &'a mut FactsKeeper) -> Self {
        Self { engine, facts, file: None }
    }

    /// Takes bytes that begin at `at`.
    pub(crate) fn take(&mut self, at: Lsn, bytes: &[u8]) -> Result<(), SpoolError> {
        self.facts.feed(at, bytes);
        let size = self.engine.ground().size;
        let (mut at, mut bytes) = (at, bytes);
        let mut complete = Vec::new();
        while !bytes.is_empty() {
            let segment = at.segment(size);
            let left = usize::try_from(segment.end(size).0 - at.0).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at(left.min(bytes.len()));
            let offset = u64::from(at.offset_in_segment(size));
            self.file(segment)?.write(size, offset, piece)?;
            at = Lsn(at.0 + piece.len() as u64);
            bytes = rest;
            if at == segment.end(size) {
                complete.push((segment, self.facts.take(segment)));
            }
        }
        self.engine.received(at, &complete);
        Ok(())
    }

    /// The latest commit time, the end of the last record, and what could not be decoded.
    pub(crate) fn facts(&mut self) -> (Option<Timestamp>, Option<Lsn>, Option<WalError>) {
        (self.facts.last_commit(), self.facts.records_end(), self.facts.take_problem())
    }

    /// The file of a segment. What the engine has received of it is there already.
    fn file(&mut self, segment: SegmentNumber) -> Result<&mut SpoolFile, SpoolError> {
        if self.file.as_ref().is_some_and(|file| file.segment != segment) {
            self.file = None;
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => self.engine.open_file(segment)?,
        };
        Ok(self.file.insert(file))
    }
}
