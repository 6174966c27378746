//! Which files of a backup have something in damaged packs: what a restore would miss.
//!
//! The map says it, and takes `K_meta` alone. It is told by the pack: a flipped bit may hit one frame
//! of one file, and everything in its pack is named.

use std::collections::BTreeSet;

use crate::crypto::SymmetricKey;
use crate::ids::BackupId;
use crate::log::{Log, LogError};
use crate::map::{Content, EntryKind, FileEntry, LoadedMap, MapAccess, MapError};
use crate::names::{Name, PackClass, split_repair};
use crate::pack::PackId;

/// How many files are named: enough to see what kind of files they are.
const NAMED_MAX: usize = 20;

/// What damage does to a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hurt {
    /// Files that have contents in damaged packs, or whose places are listed in one.
    pub files_count: u64,
    /// The first of them.
    pub files: Vec<String>,
    /// Why there may be more: a part of the map cannot be read.
    pub unreadable: Option<String>,
}

/// Finds what a backup has in these objects.
///
/// # Errors
/// What reading the log's entry can fail with, and the store's. A damaged map is part of the answer.
pub fn hurt_by(
    log: &Log,
    metadata: &SymmetricKey,
    backup: BackupId,
    objects: &BTreeSet<String>,
) -> Result<Hurt, LogError> {
    let catalogue = log.catalogue();
    let row = catalogue.backup(backup).ok_or(LogError::NoBackup(backup))?;
    let body = log.body(backup, metadata)?;
    let rows = |class, pack| catalogue.row(class, pack).copied();
    let access = MapAccess {
        objects: &*log.vault().objects,
        store: catalogue.place().store,
        backup,
        metadata: metadata.clone(),
        packs: row.packs.clone(),
        rows: &rows,
    };
    let mut hurt = Hurt::default();
    let damaged = packs_of(objects);
    match look(&body.map_root, access, &damaged, &mut hurt) {
        Ok(()) => Ok(hurt),
        Err(MapError::Store(error)) => Err(error.into()),
        Err(error) => {
            hurt.unreadable = Some(error.to_string());
            Ok(hurt)
        }
    }
}

fn packs_of(objects: &BTreeSet<String>) -> BTreeSet<(PackClass, PackId)> {
    let pack = |object: &String| match Name::parse(split_repair(object).0) {
        Some(Name::Pack(class, _, session, number)) => Some((class, PackId { session, number })),
        _ => None,
    };
    objects.iter().filter_map(pack).collect()
}

fn look(
    root: &[u8],
    access: MapAccess<'_>,
    damaged: &BTreeSet<(PackClass, PackId)>,
    hurt: &mut Hurt,
) -> Result<(), MapError> {
    let map = LoadedMap::open(root, access)?;
    for entry in map.files() {
        let entry = entry?;
        if is_hurt(&map, &entry, damaged)? {
            hurt.files_count += 1;
            if hurt.files.len() < NAMED_MAX {
                hurt.files.push(entry.path.to_string());
            }
        }
    }
    Ok(())
}

fn is_hurt(
    map: &LoadedMap<'_>,
    entry: &FileEntry,
    damaged: &BTreeSet<(PackClass, PackId)>,
) -> Result<bool, MapError> {
    let is_in = |class, pack| damaged.contains(&(class, pack));
    let EntryKind::File { content, .. } = &entry.kind else { return Ok(false) };
    let leaves = match content {
        Content::Inline(_) => return Ok(false),
        Content::Eager(eager) => return Ok(is_in(PackClass::Data, eager.frame.pack)),
        Content::Leaves(leaves) => leaves,
    };
    for (number, leaf) in (0..).zip(leaves) {
        if is_in(PackClass::Map, leaf.frame.pack) {
            return Ok(true);
        }
        let loaded = match map.leaf(&entry.path, number, leaf) {
            Ok(loaded) => loaded,
            Err(MapError::Damaged(_)) => return Ok(true),
            Err(error) => return Err(error),
        };
        let mut frames = loaded.blocks.iter().flat_map(crate::map::Block::frames);
        if frames.any(|frame| is_in(PackClass::Data, frame.pack)) {
            return Ok(true);
        }
    }
    Ok(false)
}
