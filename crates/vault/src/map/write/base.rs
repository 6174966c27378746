//! What the base has of the files of a plan.

use std::collections::BTreeSet;

use crate::map::entry::{Content, EAGER_LENGTH_MAX, EagerRef, EntryKind, LeafRef, leaf_count};
use crate::map::error::{Damage, MapError};
use crate::map::write::{BackupJob, Base, Sharing, SourceFile, SourceKind};
use crate::names::PackClass;
use crate::pack::{PACK_LENGTH_TARGET, PackId};

/// Small files may be spread over this many packs, or twice what they would fill: a mount reads
/// them all before it is ready, and each pack is a request.
const EAGER_PACKS_MAX: usize = 8;

/// Map packs a backup may refer to, beside twice what its leaves would fill.
const MAP_PACKS_MAX: usize = 64;

/// Leaf and hashes of 128 MiB, as they are stored, about.
const STORED_LEAF_LENGTH: u64 = 24 << 10;

/// For each file of the plan what the base has of it, and which parts of the base are not used.
#[derive(Default)]
pub(super) struct BaseFiles {
    files: Vec<BaseFile>,
    /// Whether all small files are stored anew.
    small_anew: bool,
    /// Map packs whose leaves are stored anew.
    map_packs_anew: BTreeSet<PackId>,
    /// Damage of the base's table of files.
    pub(super) findings: Vec<Damage>,
}

/// What the base has of one file.
#[derive(Debug, Clone, Default)]
pub(super) enum BaseFile {
    /// Nothing that could be shared.
    #[default]
    Nothing,
    Eager(EagerRef, u64),
    Leaves(Vec<LeafRef>, u64),
}

impl BaseFiles {
    /// Goes through the tables of files of plan and base side by side.
    pub(super) fn load(job: &BackupJob<'_>) -> Result<Self, MapError> {
        let Some(Base { map, .. }) = &job.base else { return Ok(Self::default()) };
        let mut found = Self { files: vec![BaseFile::Nothing; job.plan.len()], ..Self::default() };
        let mut plan = job.plan.iter().enumerate().peekable();
        for entry in map.files() {
            let entry = match entry {
                // What the table says behind it cannot be known; it is stored anew.
                Err(MapError::Damaged(damage)) => {
                    found.findings.push(*damage);
                    break;
                }
                entry => entry?,
            };
            while plan.next_if(|(_, file)| file.path < entry.path).is_some() {}
            if let Some((index, file)) = plan.next_if(|(_, file)| file.path == entry.path) {
                found.files[index] = shareable(file, entry.kind);
            }
        }
        found.small_anew = found.is_small_spread(job.plan);
        found.map_packs_anew = too_many_map_packs(job.plan, &map.root().map_packs);
        Ok(found)
    }

    /// What the base has of a file of the plan.
    pub(super) fn of(&self, file: usize) -> &BaseFile {
        self.files.get(file).unwrap_or(&BaseFile::Nothing)
    }

    /// The base's copy of a small file, if it may be shared.
    pub(super) fn small(&self, job: &BackupJob<'_>, file: usize) -> Option<(EagerRef, u64)> {
        match self.of(file) {
            BaseFile::Eager(place, size)
                if !self.small_anew && job.may_share(PackClass::Data, place.frame.pack) =>
            {
                Some((*place, *size))
            }
            _ => None,
        }
    }

    /// Whether leaves and shards in this map pack may be shared.
    pub(super) fn may_share_map(&self, job: &BackupJob<'_>, pack: PackId) -> bool {
        !self.map_packs_anew.contains(&pack) && job.may_share(PackClass::Map, pack)
    }

    fn is_small_spread(&self, plan: &[SourceFile]) -> bool {
        let mut packs = BTreeSet::new();
        let mut bytes = 0;
        for (file, base) in plan.iter().zip(&self.files) {
            match (&file.kind, base) {
                (SourceKind::File { size }, _) if *size > EAGER_LENGTH_MAX as u64 => {}
                (SourceKind::File { size }, base) => {
                    bytes += size;
                    if let BaseFile::Eager(place, _) = base {
                        packs.insert(place.frame.pack);
                    }
                }
                _ => {}
            }
        }
        let filled = bytes.div_ceil(PACK_LENGTH_TARGET as u64);
        packs.len() >= EAGER_PACKS_MAX.max(usize::try_from(2 * filled).unwrap_or(usize::MAX))
    }
}

impl BackupJob<'_> {
    /// Whether a pack of the base may be shared.
    pub(super) fn may_share(&self, class: PackClass, pack: PackId) -> bool {
        match self.base {
            None => false,
            Some(Base { sharing: Sharing::All, .. }) => true,
            Some(Base { sharing: Sharing::Chosen(may), .. }) => may(class, pack),
        }
    }
}

/// What of an entry the file can share: a file that became small or large shares nothing.
fn shareable(file: &SourceFile, base: EntryKind) -> BaseFile {
    let (SourceKind::File { size: now }, EntryKind::File { size, content }) = (&file.kind, base)
    else {
        return BaseFile::Nothing;
    };
    let is_small = *now <= EAGER_LENGTH_MAX as u64;
    match content {
        Content::Eager(place) if is_small => BaseFile::Eager(place, size),
        Content::Leaves(leaves) if !is_small => BaseFile::Leaves(leaves, size),
        _ => BaseFile::Nothing,
    }
}

/// The older half of the map packs, when there are too many: a restore reads them all.
fn too_many_map_packs(plan: &[SourceFile], map_packs: &[PackId]) -> BTreeSet<PackId> {
    let leaves = plan.iter().map(|file| match file.kind {
        SourceKind::File { size } => leaf_count(size),
        _ => 0,
    });
    let filled =
        leaves.sum::<u64>() * STORED_LEAF_LENGTH / crate::map::put::MAP_PACK_LENGTH_TARGET as u64;
    let filled = usize::try_from(filled).unwrap_or(usize::MAX);
    if map_packs.len() <= MAP_PACKS_MAX.saturating_add(filled.saturating_mul(2)) {
        return BTreeSet::new();
    }
    map_packs[..map_packs.len() / 2].iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::map::testing::{attributes, path};

    #[test]
    fn the_older_half_of_too_many_map_packs_is_written_anew() {
        let pack = |number| PackId { session: SessionId([1; 8]), number };
        let packs: Vec<_> = (0..65).map(pack).collect();
        assert!(too_many_map_packs(&[], &packs[..64]).is_empty());
        assert_eq!(too_many_map_packs(&[], &packs), packs[..32].iter().copied().collect());
        // A store of a terabyte fills 48 map packs by itself.
        let kind = SourceKind::File { size: 1 << 40 };
        let large = [SourceFile { path: path("large"), attributes: attributes(), kind }];
        assert!(too_many_map_packs(&large, &packs).is_empty());
    }
}
