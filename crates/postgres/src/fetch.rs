//! `restore_command`: a file of the WAL archive for a server that recovers, or the proof that there
//! is none.
//!
//! A server that is told "not there" ends its recovery and begins a new timeline; whatever lay behind
//! is lost without an error. So the rule is: a file is *not there* only if nothing that could follow
//! it is there either. A hole, damage, a vault that does not answer are errors.

pub mod ahead;
mod look;

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use soter_vault::ids::{ContentId, IncarnationId};
use soter_vault::keys::ReaderKeys;
use soter_vault::log::{Log, LogError};
use soter_vault::wal::{
    Behind, Finding, Segment, SegmentBytes, SessionAccess, WalError, WalReader, WalVault,
    zero_filled,
};
use soter_world::{Disk, durable};

use crate::error::ErrorKind;
use crate::lsn::{Lsn, SegmentNumber, SegmentSize, Timeline};
use crate::timeline::{HistoryError, TimelineHistory};
use crate::wal::name::{SegmentName, WalFileName};

/// Threads that decompress the file the server waits for.
pub const WORKERS: usize = 2;

/// The first timeline came from none, and has no history file. A server that ends its recovery on it
/// asks for one all the same.
const FIRST_HISTORY: &str = "00000001.history";

/// How many segments behind the last one that is whole may have parts after a crash. Parts travel
/// side by side, so those of the next segment may arrive before the rest of this one; they were
/// never acknowledged.
const ISLAND_SEGMENTS_MAX: u64 = 1;

/// The WAL of one life of a cluster, opened with an operator's key.
pub struct WalFiles<'a> {
    /// Where it is.
    pub wal: WalVault<'a>,
    /// The operator's keys for the store.
    pub keys: &'a ReaderKeys,
    /// Reads the store's log, which knows the keys of parts. Called only for what is not sealed.
    pub log: &'a (dyn Fn() -> Result<Log, LogError> + Sync),
    /// Where the WAL is known to end, if somebody has decided that. Everything before it must be
    /// there; what may lie behind it is not looked for.
    pub end: Option<Lsn>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The file.
    File(WalFile),
    /// It is not there, and nothing is that could follow it.
    NotThere {
        /// What a person should know.
        remarks: Vec<String>,
    },
}

/// A file as the server is to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalFile {
    /// Its content; a segment is always whole.
    pub bytes: Vec<u8>,
    /// The content's id, if it is a sealed file's.
    pub sealed: Option<ContentId>,
    /// What a person should know.
    pub remarks: Vec<String>,
}

/// Why nothing can be said, or what was found must not be used. Never taken for "not there".
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The name is none of the archive.
    #[error("{0:?} is not a file of a WAL archive with segments of this size")]
    Name(String),
    /// The vault does not answer, or what it has is damaged.
    #[error("the vault's WAL cannot be read")]
    Wal(#[from] WalError),
    /// The log cannot be read.
    #[error("the vault's log cannot be read")]
    Log(#[from] LogError),
    /// A part that belongs to the segment is there and cannot be used.
    #[error("{name} is whole up to {end} only: {}", list(.findings))]
    Damaged {
        /// The file.
        name: String,
        /// The end of what can be used.
        end: Lsn,
        /// What cannot.
        findings: Vec<Finding>,
    },
    /// Something is missing, for there is WAL behind it.
    #[error("WAL is missing on timeline {timeline} from {from} on: {because}")]
    Gap {
        /// The timeline.
        timeline: Timeline,
        /// The end of what is there.
        from: Lsn,
        /// How it is known that more was there.
        because: String,
    },
    /// A timeline has WAL, but nobody knows where it came from.
    #[error("the history file of timeline {0} is missing, but WAL of it is there")]
    NoHistory(Timeline),
    /// A history file is not understood.
    #[error("the history file of timeline {0} cannot be read")]
    History(Timeline, #[source] HistoryError),
    /// It is there, or might be, and only an operator's key could tell.
    #[error("{name} cannot be had without an operator's key: {because}")]
    Sealed {
        /// The file.
        name: String,
        /// What is there.
        because: String,
    },
    /// Nothing at all is there of this life of the cluster, so it is not the one that was asked for.
    #[error("the vault has no WAL of incarnation {0}")]
    Nothing(IncarnationId),
}

impl FetchError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Name(_) | Self::Nothing(_) | Self::Sealed { .. } => ErrorKind::Input,
            Self::Damaged { .. } | Self::History(..) => ErrorKind::Damaged,
            Self::Wal(_) | Self::Log(_) | Self::Gap { .. } | Self::NoHistory(_) => {
                ErrorKind::Failed
            }
        }
    }

    /// What to do, in words.
    pub fn hint(&self) -> String {
        match self {
            Self::Name(_) => "restore_command calls this with %f and %p".to_owned(),
            Self::Sealed { .. } => {
                "add --identity FILE; the agent's key opens nothing that was stored before".to_owned()
            }
            Self::Nothing(_) => {
                "look at --vault, --store and --incarnation: `soter backups` shows what there is"
                    .to_owned()
            }
            Self::Gap { from, .. } | Self::Damaged { end: from, .. } => format!(
                "look for it in another vault; to end the recovery there and lose what follows, add \
                 --end {from} to the restore_command"
            ),
            Self::NoHistory(_) | Self::History(..) => {
                "look for it in another vault, or in the pg_wal of a server that was on that timeline"
                    .to_owned()
            }
            Self::Wal(_) | Self::Log(_) => {
                "the server stops here and can be started again when the vault is well".to_owned()
            }
        }
    }
}

/// Puts a file where the server wants it: under another name, synced, renamed. The server syncs the
/// directory when it gives the file its real name. What a fetch that was killed has left is removed;
/// a server asks for one file at a time.
///
/// # Errors
/// Whatever the disk says; nothing is at the destination then that was not there before.
pub fn place(disk: &dyn Disk, destination: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = destination.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    for entry in disk.list(durable::parent(destination))? {
        let is_ours = entry.name.as_bytes().strip_prefix(b".").is_some_and(|rest| {
            rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"."))
        });
        if is_ours && durable::is_temporary(&entry.name) {
            drop(disk.remove_file(&destination.with_file_name(entry.name)));
        }
    }
    let (temporary, file) = durable::create_temporary(disk, destination)?;
    let write = || {
        file.write_at(0, bytes)?;
        file.sync()?;
        disk.rename(&temporary, destination)
    };
    let written = write();
    if written.is_err() {
        // The cause is worth more than what the tidying says.
        drop(disk.remove_file(&temporary));
    }
    written
}

pub use look::{check_spooled, prove_absent};

impl WalFiles<'_> {
    /// The file of this name, for the server.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn fetch(&self, name: &str) -> Result<Found, FetchError> {
        if name == FIRST_HISTORY {
            return self.unless_nothing_is_there(not_there());
        }
        let wanted = self.parse(name)?;
        let file = self.wal.archive.file(name).ok_or_else(|| FetchError::Name(name.to_owned()))?;
        let sealed = match self.wal.fetch(&file, self.keys, WORKERS) {
            Ok(sealed) => sealed,
            // Its parts may still be there.
            Err(WalError::Damaged { .. }) if file.span.is_some() => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(fetched) = sealed {
            let remarks = told(&fetched.findings);
            let (bytes, sealed) = (fetched.bytes, Some(fetched.content));
            return Ok(Found::File(WalFile { bytes, sealed, remarks }));
        }
        let found = match wanted {
            WalFileName::Segment(segment) => self.stitched(segment)?,
            WalFileName::History(timeline) => self.no_history(timeline)?,
            // A server decides nothing by these.
            WalFileName::Partial(_) | WalFileName::BackupLabel { .. } => not_there(),
        };
        self.unless_nothing_is_there(found)
    }

    /// That a file is not there is no answer in an archive that has none at all.
    fn unless_nothing_is_there(&self, found: Found) -> Result<Found, FetchError> {
        if matches!(found, Found::NotThere { .. }) && self.wal.timelines()?.is_empty() {
            return Err(FetchError::Nothing(self.wal.archive.incarnation));
        }
        Ok(found)
    }

    /// The sealed segment of this name alone, as it is fetched before anybody asks for it.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn fetch_sealed(&self, name: SegmentName) -> Result<Option<WalFile>, FetchError> {
        let segment = Segment { timeline: name.timeline.0, number: name.segment.0 };
        let fetched = self.wal.fetch(&self.wal.archive.segment_file(segment), self.keys, 1)?;
        Ok(fetched.map(|fetched| WalFile {
            remarks: told(&fetched.findings),
            bytes: fetched.bytes,
            sealed: Some(fetched.content),
        }))
    }

    /// The segment size.
    pub fn size(&self) -> SegmentSize {
        let bytes = self.wal.archive.segment_size.bytes();
        SegmentSize::new(bytes).expect("the vault's segment sizes are PostgreSQL's")
    }

    fn parse(&self, name: &str) -> Result<WalFileName, FetchError> {
        WalFileName::parse(name, self.size()).map_err(|_| FetchError::Name(name.to_owned()))
    }

    /// A segment that is not sealed: from its parts, if it is whole or the last one.
    fn stitched(&self, name: SegmentName) -> Result<Found, FetchError> {
        let size = self.size();
        let start = name.segment.start(size);
        if self.end.is_some_and(|end| end <= start) {
            return Ok(not_there());
        }
        let log = (self.log)()?;
        let sessions = |id| SessionAccess::of(log.catalogue(), self.keys, id);
        let reader = WalReader { keys: self.keys, sessions: &sessions, workers: WORKERS };
        let segment = Segment { timeline: name.timeline.0, number: name.segment.0 };
        let (bytes, findings) = match self.wal.read_segment(segment, reader)? {
            None => (Vec::new(), Vec::new()),
            // Sealed a moment ago.
            Some(SegmentBytes::Sealed(fetched)) => (fetched.bytes, fetched.findings),
            Some(SegmentBytes::Parts(stitched, findings)) => {
                if let Some(divergence) = stitched.divergence {
                    let error = WalError::Incomplete {
                        segment,
                        end: divergence.position,
                        divergence: Some(divergence),
                    };
                    return Err(error.into());
                }
                (stitched.bytes, findings)
            }
        };
        let mut remarks = told(&findings);
        let end = Lsn(start.0 + bytes.len() as u64);
        if end < name.segment.end(size) {
            self.check_usable(name, end, findings)?;
            remarks.extend(self.check_last(name, end)?);
        }
        if bytes.is_empty() {
            return Ok(Found::NotThere { remarks });
        }
        let bytes = zero_filled(bytes, self.wal.archive.segment_size);
        Ok(Found::File(WalFile { bytes, sealed: None, remarks }))
    }

    /// Nothing that is there and cannot be used may have been longer than what can.
    fn check_usable(
        &self,
        name: SegmentName,
        end: Lsn,
        findings: Vec<Finding>,
    ) -> Result<(), FetchError> {
        let length = end.0.saturating_sub(name.segment.start(self.size()).0);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let hides = |finding: &Finding| self.wal.may_hold_more(finding, length);
        let findings: Vec<Finding> = findings.into_iter().filter(hides).collect();
        if findings.is_empty() || self.end.is_some_and(|known| known <= end) {
            return Ok(());
        }
        Err(FetchError::Damaged { name: name.to_file_name(self.size()), end, findings })
    }

    /// That a timeline's WAL ends there, within or before this segment: nothing that could follow is
    /// there.
    fn check_last(&self, name: SegmentName, end: Lsn) -> Result<Vec<String>, FetchError> {
        let size = self.size();
        let SegmentName { timeline, segment } = name;
        let gap = |because| Err(FetchError::Gap { timeline, from: end, because });
        if let Some(known) = self.end {
            return match known <= end {
                true => Ok(Vec::new()),
                false => gap(format!("it is known to go up to {known}")),
            };
        }
        let place = Segment { timeline: timeline.0, number: segment.0 };
        let Behind { sealed, last_part } = self.wal.behind(place)?;
        if let Some(sealed) = sealed {
            let there = SegmentName { timeline, segment: SegmentNumber(sealed.number) };
            return gap(format!("segment {} is there", there.to_file_name(size)));
        }
        let left_at = self.left_after(timeline, end)?;
        if let Some((next, switch)) = left_at.filter(|(_, switch)| *switch > end) {
            return gap(format!("timeline {next} left it at {switch}"));
        }
        let partial = WalFileName::Partial(name).to_file_name(size);
        let partial_file = self.wal.archive.file(&partial);
        if left_at.is_none()
            && let Some(partial_file) = partial_file
            && self.wal.locate(&partial_file)?.is_some()
        {
            return gap(format!("{partial} is there, which may be longer and must not be used"));
        }
        let mut remarks = Vec::new();
        if let Some(part) = last_part {
            let to = SegmentNumber(part.segment).start(size).0 + u64::from(part.to);
            if part.segment > segment.0 + ISLAND_SEGMENTS_MAX {
                return gap(format!("a part up to {} is there", Lsn(to)));
            }
            if to > end.0 {
                remarks.push(format!(
                    "parts up to {} lie behind a gap at {end}: a crash left them, they were never \
                     acknowledged, and they are not used",
                    Lsn(to)
                ));
            }
        }
        Ok(remarks)
    }

    /// The timeline that left this one last, at or behind the beginning of what is asked for.
    fn left_after(
        &self,
        timeline: Timeline,
        end: Lsn,
    ) -> Result<Option<(Timeline, Lsn)>, FetchError> {
        let segment_start = end.start_of_segment(self.size());
        let mut left = None;
        for other in self.wal.timelines()?.into_iter().map(Timeline) {
            if other <= timeline {
                continue;
            }
            let history = self.history(other)?;
            let switch = history.switch_point(timeline).filter(|switch| *switch >= segment_start);
            if let Some(switch) = switch {
                left = left.filter(|(_, known)| *known >= switch).or(Some((other, switch)));
            }
        }
        Ok(left)
    }

    fn history(&self, timeline: Timeline) -> Result<TimelineHistory, FetchError> {
        let name = WalFileName::History(timeline).to_file_name(self.size());
        let file = self.wal.archive.file(&name).ok_or(FetchError::NoHistory(timeline))?;
        let fetched = self.wal.fetch(&file, self.keys, 1)?;
        let fetched = fetched.ok_or(FetchError::NoHistory(timeline))?;
        TimelineHistory::parse(timeline, &fetched.bytes)
            .map_err(|source| FetchError::History(timeline, source))
    }

    /// A history file is not there, if nothing else is of its timeline.
    fn no_history(&self, timeline: Timeline) -> Result<Found, FetchError> {
        match self.wal.timelines()?.contains(&timeline.0) {
            true => Err(FetchError::NoHistory(timeline)),
            false => Ok(not_there()),
        }
    }
}

fn not_there() -> Found {
    Found::NotThere { remarks: Vec::new() }
}

fn told(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

fn list(findings: &[Finding]) -> String {
    told(findings).join("; ")
}

#[cfg(test)]
mod tests;
