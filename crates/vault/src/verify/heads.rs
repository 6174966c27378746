//! Everything of a store that somebody could have put there: signatures of all WAL, needed or not, and
//! objects of sessions that nobody opened.

use std::collections::BTreeMap;

use soter_world::Stop;

use super::{Depth, store_error};
use crate::log::{Log, LogError, WalRange};
use crate::names::Name;
use crate::sweep::Listing;
use crate::wal::{Archive, ArchiveFile, Fault, Finding, SegmentSize, WalVault, check};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// WAL files whose heads were read.
    pub files_count: u64,
    /// Objects that are not what their names say.
    pub findings: Vec<Finding>,
}

/// Reads the head of every WAL file, with [`Depth::Hashed`] the whole of those that lie outside of
/// `known`, and looks for packs and parts that belong to no session.
///
/// # Errors
/// The store's, and [`LogError::Stopped`].
pub fn verify_heads(
    log: &Log,
    depth: Depth,
    known: &[WalRange],
    stop: &Stop,
) -> Result<Heads, LogError> {
    let (vault, trust, catalogue) = (log.vault(), log.trust(), log.catalogue());
    let listing = Listing::read(&*vault.objects, catalogue.place().store)?;
    let mut archives = BTreeMap::new();
    for incarnation in listing.incarnations() {
        let size = listing.read_segment_size(&*vault.objects, trust, incarnation)?;
        // Without any sealed segment only the length of names depends on it.
        let segment_size = size.unwrap_or(SegmentSize::DEFAULT);
        let store = catalogue.place().store;
        archives.insert(incarnation, Archive { store, incarnation, segment_size });
    }
    let mut found = Heads::default();
    for listed in listing.objects() {
        if stop.is_stopped() {
            return Err(LogError::Stopped);
        }
        let object = listed.info.name.clone();
        let session = match &listed.name {
            Name::Pack(_, _, session, _) => *session,
            Name::Live(part) => part.session,
            Name::Wal(wal) => {
                let archive = archives[&wal.incarnation];
                let (store, clock) = (&*vault.objects, &*vault.clock);
                let wal_vault = WalVault { store, clock, trust, archive };
                let fault = match archive.file(&wal.file) {
                    None => Some(Fault::Name),
                    Some(file) => {
                        found.files_count += 1;
                        let is_known = is_inside(&file, known);
                        look(&wal_vault, &file, &object, depth == Depth::Hashed && !is_known)?
                    }
                };
                found.findings.extend(fault.map(|fault| Finding { object, fault }));
                continue;
            }
            _ => continue,
        };
        if catalogue.session(session).is_none() {
            let fault = Fault::UnknownSession(session);
            found.findings.push(Finding { object, fault });
        }
    }
    Ok(found)
}

/// What is wrong with a file's object, if it is there.
fn look(
    wal: &WalVault<'_>,
    file: &ArchiveFile,
    object: &str,
    is_whole: bool,
) -> Result<Option<Fault>, LogError> {
    if !is_whole {
        let head = wal.head_at(file, object).map_err(store_error)?;
        return Ok(head.and_then(Result::err));
    }
    let read = wal.read(object).map_err(store_error)?;
    Ok(read.and_then(|read| read.and_then(|bytes| check(file, wal.trust, &bytes)).err()))
}

/// Whether a whole segment touches one of these ranges.
fn is_inside(file: &ArchiveFile, ranges: &[WalRange]) -> bool {
    let Some((from, to)) = file.span else { return false };
    ranges.iter().any(|range| {
        (range.incarnation, range.timeline) == (file.object.incarnation, file.object.timeline)
            && from < range.to
            && range.from < to
    })
}
