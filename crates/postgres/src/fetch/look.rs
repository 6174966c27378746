//! Without an operator's key: what an agent still has on its own disk, and the proof that a file is
//! not there. What is sealed in the vault can be seen, and not opened.

use soter_vault::wal::{Behind, Segment, WalVault};

use super::{FIRST_HISTORY, FetchError};
use crate::cluster::SystemIdentifier;
use crate::lsn::{Lsn, SegmentNumber, SegmentSize, Timeline};
use crate::wal::header::SegmentHeader;
use crate::wal::name::{SegmentName, WalFileName};

/// Proves that a file is not in the vault, and that nothing is which could follow it.
///
/// # Errors
/// [`FetchError::Sealed`] when it is there, or nobody can tell without a key to the histories; else
/// as for [`WalFiles::fetch`](super::WalFiles::fetch).
pub fn prove_absent(wal: &WalVault<'_>, name: &str) -> Result<(), FetchError> {
    let timelines = wal.timelines()?;
    if timelines.is_empty() {
        return Err(FetchError::Nothing(wal.archive.incarnation));
    }
    if name == FIRST_HISTORY {
        return Ok(());
    }
    let size = SegmentSize::new(wal.archive.segment_size.bytes());
    let size = size.expect("the vault's segment sizes are PostgreSQL's");
    let not_a_name = || FetchError::Name(name.to_owned());
    let wanted = WalFileName::parse(name, size).map_err(|_| not_a_name())?;
    let file = wal.archive.file(name).ok_or_else(not_a_name)?;
    let sealed = |because: String| Err(FetchError::Sealed { name: name.to_owned(), because });
    if wal.locate(&file)?.is_some() {
        return sealed("it is in the vault".to_owned());
    }
    match wanted {
        WalFileName::Segment(wanted) => {
            nothing_follows(wal, wanted, size)?;
            let partial = WalFileName::Partial(wanted).to_file_name(size);
            if let Some(file) = wal.archive.file(&partial)
                && wal.locate(&file)?.is_some()
            {
                return sealed(format!("{partial} is in the vault"));
            }
            match timelines.iter().find(|other| **other > wanted.timeline.0) {
                Some(later) => sealed(format!("timeline {later} may have left it later")),
                None => Ok(()),
            }
        }
        WalFileName::History(timeline) if timelines.contains(&timeline.0) => {
            Err(FetchError::NoHistory(timeline))
        }
        WalFileName::History(_) | WalFileName::Partial(_) | WalFileName::BackupLabel { .. } => {
            Ok(())
        }
    }
}

fn nothing_follows(
    wal: &WalVault<'_>,
    wanted: SegmentName,
    size: SegmentSize,
) -> Result<(), FetchError> {
    let SegmentName { timeline, segment } = wanted;
    let Behind { sealed, last_part } =
        wal.behind(Segment { timeline: timeline.0, number: segment.0 })?;
    if let Some(part) = last_part {
        return Err(FetchError::Sealed {
            name: wanted.to_file_name(size),
            because: format!("a part of segment {:x} is in the vault", part.segment),
        });
    }
    match sealed {
        None => Ok(()),
        Some(sealed) => {
            let there = SegmentName { timeline, segment: SegmentNumber(sealed.number) };
            Err(FetchError::Gap {
                timeline,
                from: segment.start(size),
                because: format!("segment {} is there", there.to_file_name(size)),
            })
        }
    }
}

/// Whether these bytes are the whole segment of this name, of this cluster.
pub fn check_spooled(
    bytes: &[u8],
    name: SegmentName,
    size: SegmentSize,
    cluster: Option<SystemIdentifier>,
) -> bool {
    let is_it = |header: SegmentHeader| {
        let SegmentHeader { identity, timeline, start } = header;
        let is_of = |timeline: Timeline, start: Lsn| {
            // A segment in which a timeline began starts with pages of the one before.
            timeline <= name.timeline && start == name.segment.start(size)
        };
        identity.segment_size == size
            && cluster.is_none_or(|cluster| cluster == identity.system_identifier)
            && is_of(timeline, start)
    };
    bytes.len() as u64 == size.bytes_u64() && SegmentHeader::parse(bytes).is_ok_and(is_it)
}
