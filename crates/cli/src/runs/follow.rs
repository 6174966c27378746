//! A journal read line by line while an engine adds to it.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;
use soter_runbook::state::Event;
use soter_world::Disk;

/// Read at once; the first line, with the procedure, may be longer.
const PIECE_BYTES: usize = 64 << 10;

/// A record as it is shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    /// Its number.
    pub(crate) n: u64,
    /// When it was made.
    pub(crate) at: Timestamp,
    /// Who says so.
    pub(crate) by: String,
    /// What happened; none: this program does not know such things.
    #[serde(skip)]
    pub(crate) event: Option<Event>,
    /// The line itself.
    #[serde(skip)]
    pub(crate) text: String,
}

/// Where in a journal its reader is.
pub(crate) struct Follower {
    path: PathBuf,
    offset: u64,
    /// What is not yet a line.
    held: Vec<u8>,
}

impl Follower {
    /// From the first record on.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, held: Vec::new() }
    }

    /// The records that have been added since.
    pub(crate) fn more(&mut self, disk: &dyn Disk) -> io::Result<Vec<Line>> {
        let file = disk.open(&self.path)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = file.read_at(self.offset, &mut piece)?;
            if count == 0 {
                break;
            }
            self.offset += count as u64;
            self.held.extend_from_slice(piece.get(..count).unwrap_or_default());
        }
        let whole = self.held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.held.drain(..whole).collect();
        let texts = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(texts.filter_map(line).collect())
    }
}

/// The records of a whole journal that are behind number `after`.
pub(crate) fn lines_behind(journal: &[u8], after: u64) -> Vec<Line> {
    let texts = journal.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    texts.filter_map(line).filter(|line| line.n > after).collect()
}

fn line(bytes: &[u8]) -> Option<Line> {
    let mut line: Line = serde_json::from_slice(bytes).ok()?;
    line.event = serde_json::from_slice(bytes).ok();
    line.text = String::from_utf8_lossy(bytes).into_owned();
    Some(line)
}
