//! A snapshot on its way: pulled from a member piece by piece, so that whoever stores it decides how
//! fast it comes and nothing of it lies anywhere meanwhile.

use std::io::{BufRead, BufReader, Read};

use crate::etcd::gateway::{self, LINE_LENGTH_MAX, LineFault};
use crate::etcd::snapshot::{HASH_LENGTH, Hashing};
use crate::etcd::{CheckedSnapshot, Endpoint, EtcdError};

/// A snapshot that a member sends. What was read counts only when [`finish`](Self::finish) says so.
pub struct SnapshotStream {
    endpoint: Endpoint,
    lines: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    /// What was received and not read yet, from `at` on.
    piece: Vec<u8>,
    at: usize,
    /// What follows the piece, as the member says.
    remaining: u64,
    length: u64,
    hashing: Hashing,
}

impl std::fmt::Debug for SnapshotStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SnapshotStream");
        shown.field("endpoint", &self.endpoint).field("length", &self.length);
        shown.finish_non_exhaustive()
    }
}

impl SnapshotStream {
    /// Waits for the first piece: from then on the snapshot is of one revision.
    pub(super) fn begin(
        endpoint: Endpoint,
        body: impl Read + Send + 'static,
    ) -> Result<Self, EtcdError> {
        let lines = BufReader::new(Box::new(body) as Box<dyn Read + Send>);
        let mut stream = Self {
            endpoint,
            lines,
            line: Vec::new(),
            piece: Vec::new(),
            at: 0,
            remaining: u64::MAX,
            length: 0,
            hashing: Hashing::new(),
        };
        if !stream.receive()? {
            return Err(EtcdError::Damaged("it ended before it began".to_owned()));
        }
        let hash = stream.piece.len() + HASH_LENGTH;
        stream.length = stream.remaining.saturating_add(u64::try_from(hash).unwrap_or(u64::MAX));
        Ok(stream)
    }

    /// How long it will be: database and hash.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fills the buffer, or as much of it as the snapshot has left.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, EtcdError> {
        let mut done = 0;
        while done < buffer.len() {
            if self.at == self.piece.len() && !self.receive()? {
                break;
            }
            let ready = &self.piece[self.at..];
            let count = ready.len().min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&ready[..count]);
            self.at += count;
            done += count;
        }
        Ok(done)
    }

    /// The snapshot, if all of it was read and the server's hash is that of what arrived.
    ///
    /// # Errors
    /// [`EtcdError::Damaged`].
    pub fn finish(mut self) -> Result<CheckedSnapshot, EtcdError> {
        let mut behind = [0; 1];
        if self.read(&mut behind)? > 0 {
            return Err(EtcdError::Damaged("it is longer than it was said to be".to_owned()));
        }
        let checked = self.hashing.finish().map_err(EtcdError::Damaged)?;
        if checked.bytes == self.length {
            Ok(checked)
        } else {
            let Self { length, .. } = self;
            let found = checked.bytes;
            Err(EtcdError::Damaged(format!("{length} bytes were announced, {found} came")))
        }
    }

    /// The next piece; false at the end.
    fn receive(&mut self) -> Result<bool, EtcdError> {
        self.line.clear();
        let limit = u64::try_from(LINE_LENGTH_MAX).unwrap_or(u64::MAX);
        let read = self.lines.by_ref().take(limit).read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| EtcdError::Connection {
            endpoint: self.endpoint.clone(),
            reason: error.to_string(),
        })?;
        if read == 0 {
            return Ok(false);
        }
        let piece = gateway::piece(&self.line).map_err(|fault| self.fault(fault))?;
        // What the server said would follow, less what came: it may not grow on the way.
        if piece.remaining > self.remaining {
            return Err(EtcdError::Damaged("it has more to send than it said".to_owned()));
        }
        self.remaining = piece.remaining;
        self.hashing.add(&piece.bytes);
        (self.piece, self.at) = (piece.bytes, 0);
        Ok(true)
    }

    fn fault(&self, fault: LineFault) -> EtcdError {
        let endpoint = self.endpoint.clone();
        match fault {
            LineFault::Refused(code, message) => EtcdError::Refused { endpoint, code, message },
            LineFault::Senseless(reason) => EtcdError::Senseless { endpoint, reason },
        }
    }
}
