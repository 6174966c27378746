//! The bytes of one record. `docs/format/journal.md` says the same in words.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::ids::RunId;

/// The version of the format, in the body of a journal's first record as `"journal"`.
pub const FORMAT_VERSION: u64 = 1;

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// When, where and by whom records were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The engine, counted from 1 in each run.
    pub epoch: u32,
    /// The boot of its machine.
    pub boot: String,
    /// The time of day, in whole milliseconds.
    pub at: Timestamp,
    /// Time since that boot, in whole milliseconds.
    pub up: Duration,
}

/// A record before it has a place in a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Who says so: a person, or `engine`.
    pub by: String,
    /// What kind of thing happened.
    pub kind: String,
    /// What happened.
    pub body: Json,
}

/// A line of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number, from 1.
    pub n: u64,
    /// When and where it was made.
    pub stamp: Stamp,
    /// What it says.
    pub draft: Draft,
    /// The hash of the record before it.
    pub prev: Hash,
    /// Its own.
    pub hash: Hash,
}

/// What stands between the hashed part of a line and its hash.
const HASH_KEY: &[u8] = b",\"hash\":\"";

/// What ends a line, without the newline.
const LINE_END: &[u8] = b"\"}";

/// A hash in hexadecimal.
const HASH_LENGTH: usize = 64;

/// What the first record has for the hash of the one before it.
#[must_use]
pub fn first_hash(run: &RunId) -> Hash {
    Hash::of(format!("soter journal 1\n{run}").as_bytes())
}

impl Hash {
    fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(hash)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        // Hexadecimal has two ways to write a letter, a line has one.
        let small = |c: &u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).ok()?;
        text.iter().all(small).then_some(Self(hash))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Record {
    /// The next record, and its line with the newline behind it.
    pub(crate) fn make(n: u64, stamp: Stamp, draft: Draft, prev: Hash) -> (Self, Vec<u8>) {
        let text = |text: &str| Json::from(text).to_string();
        let mut line = format!(
            "{{\"n\":{n},\"epoch\":{},\"boot\":{},\"at\":\"{:.3}\",\"up_ms\":{},\"by\":{},\
             \"type\":{},\"body\":{},\"prev\":\"{prev}\"",
            stamp.epoch,
            text(&stamp.boot),
            stamp.at,
            stamp.up.as_millis(),
            text(&draft.by),
            text(&draft.kind),
            draft.body,
        )
        .into_bytes();
        let hash = Hash::of(&line);
        line.extend_from_slice(HASH_KEY);
        line.extend_from_slice(hash.to_string().as_bytes());
        line.extend_from_slice(LINE_END);
        line.push(b'\n');
        (Self { n, stamp, draft, prev, hash }, line)
    }

    /// Reads a line without its newline. It is what it was when it was written if this succeeds, and
    /// belongs to its journal if `prev` is right; that is for the caller to see.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn read(line: &[u8]) -> Result<Self, &'static str> {
        let split = line.len().checked_sub(HASH_KEY.len() + HASH_LENGTH + LINE_END.len());
        let (hashed, rest) = line.split_at(split.ok_or("it is too short to be a record")?);
        let hash = rest
            .strip_prefix(HASH_KEY)
            .and_then(|rest| rest.strip_suffix(LINE_END))
            .and_then(Hash::parse)
            .ok_or("it does not end with its hash")?;
        if Hash::of(hashed) != hash {
            return Err("its hash does not fit what it says");
        }
        let shape = "its hash fits, but it is not made as a record is";
        let parsed: Line = serde_json::from_slice(line).map_err(|_| shape)?;
        let prev = Hash::parse(parsed.prev.as_bytes()).ok_or(shape)?;
        let stamp = Stamp {
            epoch: parsed.epoch,
            boot: parsed.boot,
            at: parsed.at,
            up: Duration::from_millis(parsed.up_ms),
        };
        let draft = Draft { by: parsed.by, kind: parsed.kind, body: parsed.body };
        Ok(Self { n: parsed.n, stamp, draft, prev, hash })
    }
}

impl Stamp {
    /// With both times in whole milliseconds, as they will be read again.
    #[must_use]
    pub fn rounded(self) -> Self {
        let at = Timestamp::from_millisecond(self.at.as_millisecond()).unwrap_or(self.at);
        let up = u64::try_from(self.up.as_millis()).unwrap_or(u64::MAX);
        Self { at, up: Duration::from_millis(up), ..self }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    n: u64,
    epoch: u32,
    boot: String,
    at: Timestamp,
    up_ms: u64,
    by: String,
    #[serde(rename = "type")]
    kind: String,
    body: Json,
    prev: String,
    #[serde(rename = "hash")]
    _hash: String,
}
