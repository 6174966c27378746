//! From bytes to records. This is also the verifier: whatever is not as it was written is named.
//!
//! The rule it keeps: only what a crash can leave is called torn, and a crash leaves it only at the
//! end, in what one append wrote. Everything else is damage, and damage is never cut away.

use serde_json::Value as Json;
use thiserror::Error;

use super::record::{FORMAT_VERSION, Record, first_hash};
use crate::ids::RunId;

/// What a disk writes at once: of an append that was cut short each such piece is there or is zeros.
const SECTOR_BYTES: usize = 512;

/// A journal that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The run.
    pub run: RunId,
    /// Its records.
    pub records: Vec<Record>,
    /// How many bytes they are.
    pub good_bytes: usize,
    /// What a crash left behind them.
    pub torn: Option<Torn>,
}

/// What a crash left of an append that was never acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// The number of the first record that is not whole.
    pub n: u64,
    /// Its first byte.
    pub offset: usize,
}

/// A record that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("record {n}, at byte {offset}: {what}")]
pub struct Damage {
    /// The number of the first record that is damaged.
    pub n: u64,
    /// Its first byte.
    pub offset: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Bytes that are no journal this program can go on with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// Nothing is in it, or not even its first record is whole: the run never began, and nothing was
    /// done for it. It may be removed.
    #[error(
        "it has no whole first record: the run was never begun, and its directory may be removed"
    )]
    NotBegun,
    /// A newer program wrote it; take that one.
    #[error(
        "it is of format version {version}, and this program reads version {FORMAT_VERSION}: \
         take the newer program"
    )]
    Newer {
        /// The version it has.
        version: u64,
    },
    /// It was changed, or its disk lost something; see what the mirror has.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Reads a journal.
///
/// # Errors
/// When there is something in it that a crash cannot explain.
pub fn read(bytes: &[u8]) -> Result<Reading, Refused> {
    let mut records: Vec<Record> = Vec::new();
    let mut run = None;
    let mut offset = 0;
    while offset < bytes.len() {
        let n = records.len() as u64 + 1;
        let rest = bytes.get(offset..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        let record = match end.map(|end| Record::read(&rest[..end])) {
            Some(Ok(record)) => record,
            outcome => {
                let why = outcome.and_then(Result::err).unwrap_or("it has no end");
                if !is_torn(bytes, offset) {
                    return Err(Damage { n, offset, what: why }.into());
                }
                let run = run.ok_or(Refused::NotBegun)?;
                let torn = Some(Torn { n, offset });
                return Ok(Reading { run, records, good_bytes: offset, torn });
            }
        };
        let prev = match records.last() {
            Some(last) => last.hash,
            None => first_hash(run.insert(begun(&record, offset)?)),
        };
        if record.n != n || record.prev != prev {
            let what = "it does not follow the record before it";
            return Err(Damage { n, offset, what }.into());
        }
        offset += end.unwrap_or_default() + 1;
        records.push(record);
    }
    let run = run.ok_or(Refused::NotBegun)?;
    Ok(Reading { run, records, good_bytes: offset, torn: None })
}

/// The run that a first record begins.
fn begun(record: &Record, offset: usize) -> Result<RunId, Refused> {
    let wrong = |what| Refused::Damaged(Damage { n: 1, offset, what });
    let version = record.draft.body.get("journal").and_then(Json::as_u64);
    match version.ok_or_else(|| wrong("it does not say which format it begins"))? {
        FORMAT_VERSION => {}
        version => return Err(Refused::Newer { version }),
    }
    let run = record.draft.body.get("run").and_then(Json::as_str);
    run.and_then(|run| RunId::parse(run).ok()).ok_or_else(|| wrong("it does not name its run"))
}

/// Whether a crash explains that the line at `offset` is not whole.
///
/// An append is one write. A crash cuts it anywhere, or leaves zeros where sectors of it did not
/// arrive. So the rest either ends without a newline, or has a whole piece of zeros in its first
/// line; and what can be read behind that was written by the same append, so at the same moment.
fn is_torn(bytes: &[u8], offset: usize) -> bool {
    let rest = bytes.get(offset..).unwrap_or_default();
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        let whole = rest.split_last().is_some_and(|(last, line)| {
            // A newline that became something else: a cut leaves nothing where it was.
            *last != 0 && Record::read(line).is_ok()
        });
        return !whole;
    };
    let mut at = offset;
    let mut is_holed = false;
    while at <= offset + end {
        let next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
        let piece = bytes.get(at..next.min(bytes.len())).unwrap_or_default();
        is_holed |= piece.iter().all(|byte| *byte == 0);
        at = next;
    }
    let later = rest.get(end + 1..).unwrap_or_default().split(|byte| *byte == b'\n');
    let mut moments = later.filter_map(|line| Record::read(line).ok()).map(|record| record.stamp);
    let first = moments.next();
    is_holed && moments.all(|stamp| Some(stamp) == first)
}
