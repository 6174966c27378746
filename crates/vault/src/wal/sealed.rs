//! Sealed files: from a source of bytes to an object, and back.
//!
//! Writing reads the source once: whoever takes the next MiB hashes it while it is in the
//! processor's cache, then compresses it while another worker takes the one after. Frames are
//! sealed in order, because a frame's nonce is its offset. Reading gives nothing back before
//! signature, signer and the hash of all frames were found right.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

use soter_world::Random;

use super::error::Fault;
use super::head::{Head, HeadFields, HeadStart, PLAINTEXT_LENGTH_MAX, WalFacts, frames_key};
use super::place::ArchiveFile;
use crate::crypto::{ContentIdKey, ObjectKey, SymmetricKey};
use crate::frame::{
    Compression, FrameLengths, FrameReader, FrameType, FrameWriter, Packed, RAW_LENGTH_MAX, measure,
};
use crate::ids::{ContentId, Digest, Salt};
use crate::keys::{KeyError, ReaderKeys, StoreKeys, Trust, wrap};
use crate::pack::OBJECT_LENGTH_MAX;

/// Where a file's bytes come from.
pub trait WalSource: Send {
    /// Reads the next bytes into `buffer`; 0 means the end.
    ///
    /// # Errors
    /// Whatever the source says.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// What is known about the WAL in the file, asked once all of it was read.
    fn facts(&mut self) -> WalFacts;
}

/// A file in memory.
#[derive(Debug, Clone, Copy)]
pub struct WalBytes<'a> {
    /// What has not been read yet.
    pub bytes: &'a [u8],
    /// What is known about it.
    pub facts: WalFacts,
}

impl WalSource for WalBytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.bytes, buffer)
    }

    fn facts(&mut self) -> WalFacts {
        self.facts
    }
}

/// A file's object, ready to be put into any vault.
#[derive(Debug)]
pub struct SealedFile {
    /// Which file.
    pub file: ArchiveFile,
    /// Its content id.
    pub content: ContentId,
    /// Length of the file in bytes.
    pub length: u64,
    /// The object's bytes.
    pub bytes: Vec<u8>,
}

/// Why a file cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// A segment of another length is not what its name says.
    #[error("the file is {found} bytes long, not {expected}")]
    Length {
        /// Its length in bytes.
        found: u64,
        /// The segment size, or the most a file may have.
        expected: u64,
    },
    /// The file does not compress into one object; segments of 64 MiB and more may not.
    #[error("the file makes an object of {found} bytes; no object is longer than {max}")]
    ObjectLength {
        /// Length of the object in bytes.
        found: usize,
        /// The longest there is.
        max: usize,
    },
}

/// Why a sealed file does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The object is damaged.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The object may be whole, but this key does not open it.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Seals files. Keeps the memory of its compressors between files.
pub struct Sealer<'a> {
    keys: &'a StoreKeys,
    random: &'a dyn Random,
    compression: Compression,
    workers: usize,
    writers: Mutex<Vec<FrameWriter>>,
}

impl<'a> Sealer<'a> {
    /// A sealer that lets `workers` threads compress.
    pub fn new(
        keys: &'a StoreKeys,
        random: &'a dyn Random,
        compression: Compression,
        workers: usize,
    ) -> Self {
        let workers = workers.max(1);
        Self { keys, random, compression, workers, writers: Mutex::new(Vec::new()) }
    }

    /// Seals one file.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal(
        &self,
        file: &ArchiveFile,
        source: &mut dyn WalSource,
    ) -> Result<SealedFile, SealError> {
        let key = SymmetricKey::random(self.random);
        let start = HeadStart {
            salt: Salt::random(self.random),
            commitment: key.commitment(),
            wrapped: wrap(&key, &self.keys.recipient),
        };
        let line = Line {
            key: frames_key(file, &key, start.salt),
            intake: Mutex::new(Intake {
                source,
                hasher: self.keys.content_ids.hasher(),
                next: 0,
                length: 0,
                outcome: Ok(Reading::More),
            }),
            output: Mutex::new(Output {
                object: vec![0; start.head_length()],
                hasher: blake3::Hasher::new(),
                next: 0,
            }),
            appended: Condvar::new(),
        };
        thread::scope(|scope| {
            for _ in 1..self.workers {
                scope.spawn(|| self.work(&line));
            }
            self.work(&line);
        });
        let intake = line.intake.into_inner().expect("a worker that panics ends the process");
        let output = line.output.into_inner().expect("a worker that panics ends the process");
        intake.outcome.map_err(SealError::Read)?;
        let expected = file.span.map_or(PLAINTEXT_LENGTH_MAX, |(from, to)| to - from);
        if intake.length > expected || (file.span.is_some() && intake.length < expected) {
            return Err(SealError::Length { found: intake.length, expected });
        }
        let content = ContentIdKey::finish(&intake.hasher);
        let mut bytes = output.object;
        if bytes.len() > OBJECT_LENGTH_MAX {
            return Err(SealError::ObjectLength { found: bytes.len(), max: OBJECT_LENGTH_MAX });
        }
        let fields = HeadFields {
            length: intake.length,
            frames_length: (bytes.len() - start.head_length()) as u64,
            content,
            frames_hash: Digest(*output.hasher.finalize().as_bytes()),
            facts: intake.source.facts(),
        };
        let head = start.finish(file, self.keys, &fields);
        bytes[..head.len()].copy_from_slice(&head);
        Ok(SealedFile { file: file.clone(), content, length: intake.length, bytes })
    }

    /// The content id of a file that need not be sealed, because an object of its name exists.
    ///
    /// # Errors
    /// [`SealError::Read`]; [`SealError::Length`] when it is longer than any file.
    pub fn content_of(&self, source: &mut dyn WalSource) -> Result<ContentId, SealError> {
        let (mut hasher, mut raw) = (self.keys.content_ids.hasher(), vec![0; RAW_LENGTH_MAX]);
        let mut found = 0;
        loop {
            let length = fill(source, &mut raw).map_err(SealError::Read)?;
            found += length as u64;
            if length == 0 {
                return Ok(ContentIdKey::finish(&hasher));
            }
            if found > PLAINTEXT_LENGTH_MAX {
                return Err(SealError::Length { found, expected: PLAINTEXT_LENGTH_MAX });
            }
            hasher.update(&raw[..length]);
        }
    }

    fn work(&self, line: &Line<'_>) {
        let pooled = lock(&self.writers).pop();
        let mut frames = pooled.unwrap_or_else(|| FrameWriter::for_wal(self.compression));
        let (mut raw, mut buffer) = (vec![0; RAW_LENGTH_MAX], Vec::new());
        while let Some((number, length)) = line.take(&mut raw) {
            let packed = frames.pack(&raw[..length], buffer);
            buffer = line.append(number, packed);
        }
        lock(&self.writers).push(frames);
    }
}

/// What the workers on one file share.
struct Line<'a> {
    key: ObjectKey,
    intake: Mutex<Intake<'a>>,
    output: Mutex<Output>,
    appended: Condvar,
}

struct Intake<'a> {
    source: &'a mut dyn WalSource,
    hasher: blake3::Hasher,
    next: u64,
    length: u64,
    outcome: io::Result<Reading>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    More,
    End,
}

struct Output {
    object: Vec<u8>,
    hasher: blake3::Hasher,
    next: u64,
}

impl Line<'_> {
    /// The next MiB of the file: its number and length. `None` at the end or after an error.
    fn take(&self, raw: &mut [u8]) -> Option<(u64, usize)> {
        let mut intake = lock(&self.intake);
        if !matches!(intake.outcome, Ok(Reading::More)) {
            return None;
        }
        let length = match fill(intake.source, raw) {
            Ok(length) => length,
            Err(error) => {
                intake.outcome = Err(error);
                return None;
            }
        };
        intake.length += length as u64;
        if length < raw.len() || intake.length > PLAINTEXT_LENGTH_MAX {
            intake.outcome = Ok(Reading::End);
        }
        if length == 0 {
            return None;
        }
        intake.hasher.update(&raw[..length]);
        let number = intake.next;
        intake.next += 1;
        Some((number, length))
    }

    /// Seals the frame as soon as all before it are. Returns the memory.
    fn append(&self, number: u64, packed: Packed) -> Vec<u8> {
        let mut output = lock(&self.output);
        while output.next != number {
            output = self.appended.wait(output).expect("a worker that panics ends the process");
        }
        let Output { object, hasher, next } = &mut *output;
        let (range, buffer) = packed.append(object, &self.key, FrameType::Wal);
        hasher.update(&object[range.offset as usize..]);
        *next += 1;
        drop(output);
        self.appended.notify_all();
        buffer
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a worker that panics ends the process")
}

fn fill(source: &mut dyn WalSource, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Checks a whole object without any key to its contents: that an agent of the store signed it for
/// this file, and that it is what was signed.
///
/// # Errors
/// See [`Fault`].
pub fn check(file: &ArchiveFile, trust: &Trust, object: &[u8]) -> Result<Head, Fault> {
    let head = Head::parse(object)?;
    head.check(file, trust)?;
    check_frames(&head, object)?;
    Ok(head)
}

/// Opens the whole object of a file whose head was checked, with `workers` threads.
///
/// # Errors
/// See [`OpenError`]. Nothing of the file is given back then.
pub fn open(
    head: &Head,
    file: &ArchiveFile,
    object: &[u8],
    keys: &ReaderKeys,
    workers: usize,
) -> Result<Vec<u8>, OpenError> {
    let frames = check_frames(head, object)?;
    let key = head.frames_key(file, &keys.unwrap(&head.wrapped, &head.commitment)?);
    let length = usize::try_from(head.length).map_err(|_| Fault::Field("length"))?;
    let ranges = frame_ranges(frames, length)?;
    let mut plaintext = vec![0; length];
    let jobs = plaintext.chunks_mut(RAW_LENGTH_MAX).zip(ranges);
    let (jobs, outcome) = (Mutex::new(jobs), Mutex::new(Ok(())));
    let work = || {
        let (mut reader, mut raw) = (FrameReader::new(), Vec::new());
        loop {
            let Some((chunk, (from, to))) = lock(&jobs).next() else { break };
            let offset = (head.head_length() + from) as u64;
            let opened = reader.open_as(FrameType::Wal, &key, offset, &frames[from..to], &mut raw);
            match opened {
                Ok(()) => chunk.copy_from_slice(&raw),
                Err(error) => *lock(&outcome) = Err(error),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.max(1) {
            scope.spawn(work);
        }
        work();
    });
    outcome.into_inner().expect("a worker that panics ends the process").map_err(Fault::Frame)?;
    if keys.content_ids.id(&plaintext) != head.content {
        return Err(Fault::Content.into());
    }
    Ok(plaintext)
}

/// The frames of an object, if they are those that its head was signed for.
fn check_frames<'a>(head: &Head, object: &'a [u8]) -> Result<&'a [u8], Fault> {
    let (found, expected) = (object.len() as u64, head.object_length());
    let frames = object.get(head.head_length()..).unwrap_or(&[]);
    if found != expected {
        return Err(Fault::Length { found, expected });
    }
    if Digest::of(frames) != head.frames_hash {
        return Err(Fault::Frames);
    }
    Ok(frames)
}

/// Where each frame lies: all full but the last, none missing, nothing after them.
fn frame_ranges(frames: &[u8], length: usize) -> Result<Vec<(usize, usize)>, Fault> {
    let (mut ranges, mut from, mut left) = (Vec::new(), 0, length);
    while left > 0 {
        let FrameLengths { raw, frame } = measure(&frames[from..])?;
        if raw != left.min(RAW_LENGTH_MAX) {
            return Err(Fault::Content);
        }
        ranges.push((from, from + frame));
        (from, left) = (from + frame, left - raw);
    }
    if from == frames.len() { Ok(ranges) } else { Err(Fault::Content) }
}

#[cfg(test)]
mod tests;
