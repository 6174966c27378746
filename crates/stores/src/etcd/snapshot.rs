//! The bytes of a snapshot: pages of a database, and their SHA-256 behind them.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};

/// The hash at the end.
pub const HASH_LENGTH: usize = 32;

/// The database is a multiple of this many bytes; etcd's own tools tell the hash by it.
pub const PAGE_LENGTH: u64 = 512;

/// A snapshot that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSnapshot {
    /// Length of the file: database and hash.
    pub bytes: u64,
    /// SHA-256 of the database.
    pub sha256: [u8; HASH_LENGTH],
}

/// Hashes a snapshot that arrives in pieces. The last 32 bytes are known only at the end.
pub(super) struct Hashing {
    context: Context,
    tail: Vec<u8>,
    length: u64,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self { context: Context::new(&SHA256), tail: Vec::new(), length: 0 }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.tail.extend_from_slice(bytes);
        let before = self.tail.len().saturating_sub(HASH_LENGTH);
        self.context.update(&self.tail[..before]);
        self.tail.drain(..before);
    }

    /// The snapshot, if its end is the hash of the rest.
    pub(super) fn finish(self) -> Result<CheckedSnapshot, String> {
        let hash_length = u64::try_from(HASH_LENGTH).unwrap_or(0);
        let database = self.length.saturating_sub(hash_length);
        if database == 0 || !database.is_multiple_of(PAGE_LENGTH) {
            return Err(format!("it has {} bytes, which is no database and a hash", self.length));
        }
        let found = self.context.finish();
        let sha256 = <[u8; HASH_LENGTH]>::try_from(found.as_ref())
            .map_err(|_| "the hash has another length".to_owned())?;
        if self.tail == sha256 {
            Ok(CheckedSnapshot { bytes: self.length, sha256 })
        } else {
            let (stated, found) = (hex::encode(&self.tail), hex::encode(sha256));
            Err(format!("the server's hash is {stated}, that of what is here {found}"))
        }
    }
}

/// Checks a snapshot that was stored, read from its beginning to its end.
///
/// # Errors
/// What reading says; a snapshot that is not whole is `Ok(Err(why))`.
pub fn check_snapshot(mut from: impl Read) -> io::Result<Result<CheckedSnapshot, String>> {
    let mut hashing = Hashing::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hashing.finish()),
            Ok(length) => hashing.add(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(pages: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..pages * 512).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let hash = aws_lc_rs::digest::digest(&SHA256, &bytes);
        bytes.extend_from_slice(hash.as_ref());
        bytes
    }

    fn check(bytes: &[u8], piece: usize) -> Result<CheckedSnapshot, String> {
        let mut hashing = Hashing::new();
        bytes.chunks(piece).for_each(|piece| hashing.add(piece));
        hashing.finish()
    }

    #[test]
    fn the_hash_is_found_however_the_pieces_are_cut() {
        let bytes = snapshot(9);
        for piece in [1, 7, 31, 32, 33, 512, 4096, 1 << 20] {
            assert_eq!(check(&bytes, piece).unwrap().bytes, 9 * 512 + 32, "pieces of {piece}");
        }
        assert!(check_snapshot(bytes.as_slice()).unwrap().is_ok());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = snapshot(2);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(check(&damaged, 512).is_err(), "byte {at}");
            assert!(check(&bytes[..at], 512).is_err(), "length {at}");
        }
        assert!(check(&[&bytes[..], &[0; 512]].concat(), 512).is_err(), "longer");
    }
}
