//! A map that can be read: the table of files one shard at a time, leaves when they are asked for.
//!
//! Only the store's metadata key is needed here. Contents are opened in
//! [`restore`](crate::map::restore).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::crypto::SymmetricKey;
use crate::frame::{FrameReader, FrameType};
use crate::ids::{BackupId, ContentId, StoreId};
use crate::log::PackSet;
use crate::map::bytes::Malformed;
use crate::map::entry::{FileEntry, FrameRef, LeafRef};
use crate::map::error::{Damage, DamageCause, MapError, Part};
use crate::map::fetch::{Fetch, FetchError, PackLookup};
use crate::map::leaf::{Leaf, parse_hashes};
use crate::map::path::{FilePath, Tree};
use crate::map::root::{MapRoot, ShardRow};
use crate::map::shard::{ShardKind, parse_shard};
use crate::names::PackClass;
use crate::objects::ObjectStore;

/// This many leaves are kept: a sequential reader needs one, and some hundred kilobytes each are well
/// within what a mount may hold.
const LEAVES_KEPT: usize = 32;

/// Where a map and what it refers to are.
#[derive(Clone)]
pub struct MapAccess<'a> {
    /// The vault.
    pub objects: &'a dyn ObjectStore,
    /// The store.
    pub store: StoreId,
    /// The backup, to name it in errors.
    pub backup: BackupId,
    /// `K_meta` of the store.
    pub metadata: SymmetricKey,
    /// All packs of the backup, by its log entry.
    pub packs: PackSet,
    /// Their rows.
    pub rows: PackLookup<'a>,
}

/// The map of a backup.
pub struct LoadedMap<'a> {
    access: MapAccess<'a>,
    root: MapRoot,
    leaves: Mutex<VecDeque<(FrameRef, Arc<Leaf>)>>,
}

impl<'a> LoadedMap<'a> {
    /// Opens the map with these root bytes.
    ///
    /// # Errors
    /// [`MapError::Damaged`] when they are not a root.
    pub fn open(root: &[u8], access: MapAccess<'a>) -> Result<Self, MapError> {
        let root = MapRoot::parse(root).map_err(|malformed| {
            let (store, backup) = (access.store, access.backup);
            let cause = DamageCause::Malformed(malformed);
            MapError::Damaged(Box::new(Damage {
                store,
                backup,
                part: Part::Root,
                place: None,
                cause,
            }))
        })?;
        Ok(Self { access, root, leaves: Mutex::default() })
    }

    /// The root.
    pub fn root(&self) -> &MapRoot {
        &self.root
    }

    /// Where it is.
    pub fn access(&self) -> &MapAccess<'a> {
        &self.access
    }

    /// All entries in the order of their paths, late files among them. At most one shard is in
    /// memory. After an error nothing follows.
    pub fn files(&self) -> Files<'_, 'a> {
        Files {
            map: self,
            frames: FrameReader::new(),
            shards: self.root.shards.iter(),
            shard: Vec::new().into_iter().peekable(),
            late: self.root.late.iter().peekable(),
            tree: Tree::default(),
            failed: false,
        }
    }

    /// Reads a leaf of a file, or takes it from memory.
    ///
    /// # Errors
    /// [`MapError::Damaged`], [`MapError::Store`].
    pub fn leaf(
        &self,
        path: &FilePath,
        number: u64,
        leaf: &LeafRef,
    ) -> Result<Arc<Leaf>, MapError> {
        if let Some(found) = self.kept_leaf(leaf.frame) {
            return Ok(found);
        }
        let part = || Part::Leaf(path.clone(), number);
        let bytes = self.read(FrameType::Leaf, leaf.frame, part)?;
        let parsed = Leaf::parse(&bytes);
        let parsed = Arc::new(parsed.map_err(|error| self.malformed(part(), leaf.frame, error))?);
        let mut kept = self.lock();
        kept.truncate(LEAVES_KEPT - 1);
        kept.push_front((leaf.frame, Arc::clone(&parsed)));
        Ok(parsed)
    }

    /// Reads the content ids of a leaf's blocks; none when the leaf has no hashes.
    ///
    /// # Errors
    /// [`MapError::Damaged`], [`MapError::Store`].
    pub fn hashes(
        &self,
        path: &FilePath,
        number: u64,
        leaf: &LeafRef,
    ) -> Result<Vec<ContentId>, MapError> {
        let Some(frame) = leaf.hashes() else { return Ok(Vec::new()) };
        let part = || Part::LeafHashes(path.clone(), number);
        let bytes = self.read(FrameType::LeafHashes, frame, part)?;
        parse_hashes(&bytes).map_err(|error| self.malformed(part(), frame, error))
    }

    fn kept_leaf(&self, frame: FrameRef) -> Option<Arc<Leaf>> {
        let mut kept = self.lock();
        let place = kept.iter().position(|(of, _)| *of == frame)?;
        let entry = kept.remove(place)?;
        let leaf = Arc::clone(&entry.1);
        kept.push_front(entry);
        Some(leaf)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(FrameRef, Arc<Leaf>)>> {
        self.leaves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, frames: &mut FrameReader, row: &ShardRow) -> Result<Vec<FileEntry>, MapError> {
        let part = || Part::Shard(row.first.clone());
        let bytes = self.read_with(frames, FrameType::Shard, row.frame, part)?;
        let entries = parse_shard(&bytes, ShardKind::Table)
            .map_err(|error| self.malformed(part(), row.frame, error))?;
        if entries.len() == row.entries && entries.first().map(|e| &e.path) == Some(&row.first) {
            return Ok(entries);
        }
        let error = Malformed("its entries are not those the root names");
        Err(self.malformed(part(), row.frame, error))
    }

    fn read(
        &self,
        kind: FrameType,
        frame: FrameRef,
        part: impl Fn() -> Part,
    ) -> Result<Vec<u8>, MapError> {
        self.read_with(&mut FrameReader::new(), kind, frame, part)
    }

    fn read_with(
        &self,
        frames: &mut FrameReader,
        kind: FrameType,
        frame: FrameRef,
        part: impl Fn() -> Part,
    ) -> Result<Vec<u8>, MapError> {
        let pack = self.fetcher().pack(PackClass::Map, frame.pack, &self.access.metadata);
        let pack = pack.map_err(|cause| self.damaged(part(), PackClass::Map, frame, cause))?;
        let mut raw = Vec::new();
        match pack.fetch(frames, kind, &frame, &mut raw) {
            Ok(()) => Ok(raw),
            Err(FetchError::Store(error)) => Err(error.into()),
            Err(FetchError::Damaged(cause)) => {
                Err(self.damaged(part(), PackClass::Map, frame, cause))
            }
        }
    }

    pub(super) fn fetcher(&self) -> Fetch<'a> {
        let MapAccess { objects, store, rows, .. } = self.access;
        Fetch { objects, store, rows }
    }

    fn malformed(&self, part: Part, frame: FrameRef, error: Malformed) -> MapError {
        self.damaged(part, PackClass::Map, frame, DamageCause::Malformed(error))
    }

    pub(super) fn damaged(
        &self,
        part: Part,
        class: PackClass,
        frame: FrameRef,
        cause: DamageCause,
    ) -> MapError {
        MapError::Damaged(Box::new(self.damage(part, class, frame, cause)))
    }

    pub(super) fn damage(
        &self,
        part: Part,
        class: PackClass,
        frame: FrameRef,
        cause: DamageCause,
    ) -> Damage {
        let name = self.fetcher().name(class, frame.pack);
        let place = Some((name, u64::from(frame.range.offset)));
        Damage { store: self.access.store, backup: self.access.backup, part, place, cause }
    }
}

/// Entries of a map, in the order of their paths.
pub struct Files<'m, 'a> {
    map: &'m LoadedMap<'a>,
    frames: FrameReader,
    shards: std::slice::Iter<'m, ShardRow>,
    shard: std::iter::Peekable<std::vec::IntoIter<FileEntry>>,
    late: std::iter::Peekable<std::slice::Iter<'m, FileEntry>>,
    tree: Tree,
    failed: bool,
}

impl Iterator for Files<'_, '_> {
    type Item = Result<FileEntry, MapError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_entry().transpose()?;
        self.failed = next.is_err();
        Some(next)
    }
}

impl Files<'_, '_> {
    fn next_entry(&mut self) -> Result<Option<FileEntry>, MapError> {
        while self.shard.peek().is_none() {
            let Some(row) = self.shards.next() else { break };
            self.shard = self.map.shard(&mut self.frames, row)?.into_iter().peekable();
        }
        let late_first = match (self.late.peek(), self.shard.peek()) {
            (Some(late), Some(entry)) => late.path < entry.path,
            (late, _) => late.is_some(),
        };
        let entry = if late_first { self.late.next().cloned() } else { self.shard.next() };
        let Some(entry) = entry else { return Ok(None) };
        let is_directory = entry.kind == crate::map::entry::EntryKind::Directory;
        match self.tree.add(&entry.path, is_directory) {
            Ok(()) => Ok(Some(entry)),
            Err(reason) => Err(MapError::Damaged(Box::new(Damage {
                store: self.map.access.store,
                backup: self.map.access.backup,
                part: Part::Entry(entry.path),
                place: None,
                cause: DamageCause::Malformed(Malformed(reason)),
            }))),
        }
    }
}
