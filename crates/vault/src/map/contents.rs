//! Opening contents: the frames of a leaf or of small files, each read and opened once, in the order
//! in which they lie in the vault.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use soter_world::Stop;

use crate::crypto::SymmetricKey;
use crate::frame::{FrameReader, FrameType};
use crate::ids::SessionId;
use crate::keys::KeyError;
use crate::map::bytes::Malformed;
use crate::map::entry::{
    BLOCK_LENGTH, FrameRef, LEAF_BLOCKS, LeafRef, PAGE_LENGTH, block_length, leaf_blocks,
};
use crate::map::error::{Damage, DamageCause, MapError, Part};
use crate::map::fetch::{FetchError, OpenPack, ReadRange, plan_reads};
use crate::map::leaf::{Leaf, PlacedPage};
use crate::map::path::FilePath;
use crate::map::read::LoadedMap;
use crate::names::PackClass;
use crate::pack::PackId;

/// Gives the key of a session's contents: what an operator's identity opens.
pub type SessionKeys<'a> = &'a (dyn Fn(SessionId) -> Result<SymmetricKey, KeyError> + Sync);

/// The contents of a backup.
pub(super) struct Contents<'m, 'a> {
    pub(super) map: &'m LoadedMap<'a>,
    keys: SessionKeys<'m>,
    /// Keys that were opened: a token is asked once for each session, not once for each pack.
    opened: Mutex<BTreeMap<SessionId, SymmetricKey>>,
}

/// What one thread needs to open frames.
#[derive(Default)]
pub(super) struct Opener {
    frames: FrameReader,
    raw: Vec<u8>,
}

/// Takes the content of each frame, by its index.
pub(super) type Visit<'v> =
    &'v mut dyn FnMut(usize, Result<&[u8], DamageCause>) -> Result<(), MapError>;

/// A file whose blocks are read.
#[derive(Clone, Copy)]
pub(super) struct BlockFile<'f> {
    pub(super) path: &'f FilePath,
    pub(super) size: u64,
}

/// Takes the blocks of a leaf, in no particular order, but a whole block before its newer pages.
pub(super) trait BlockTarget {
    /// The bytes of a block, or what they were before its newer pages.
    fn whole(&mut self, block: WholeBlock, bytes: &[u8]) -> Result<(), MapError>;

    /// Newer bytes, at an offset of the file.
    fn page(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MapError>;

    /// Something cannot be had. An error ends the work.
    fn damaged(&mut self, damage: Damage) -> Result<(), MapError>;
}

/// Which block was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct WholeBlock {
    /// Its number in the leaf.
    pub(super) index: usize,
    /// Its offset in the file.
    pub(super) offset: u64,
    /// Whether newer pages follow.
    pub(super) has_pages: bool,
    /// Where it was.
    pub(super) frame: FrameRef,
}

impl<'m, 'a> Contents<'m, 'a> {
    pub(super) fn new(map: &'m LoadedMap<'a>, keys: SessionKeys<'m>) -> Self {
        Self { map, keys, opened: Mutex::default() }
    }

    /// Reads all blocks of a leaf but those that are zero.
    pub(super) fn read_leaf(
        &self,
        opener: &mut Opener,
        file: BlockFile<'_>,
        (number, leaf): (u64, &LeafRef),
        target: &mut dyn BlockTarget,
        stop: &Stop,
    ) -> Result<(), MapError> {
        let leaf = match self.leaf(file, number, leaf) {
            Err(MapError::Damaged(damage)) => return target.damaged(*damage),
            other => other?,
        };
        let first = number * LEAF_BLOCKS as u64;
        let reading = LeafReading { contents: self, file, first, leaf: &leaf, stop };
        reading.read_bases(opener, target)?;
        reading.read_pages(opener, target)
    }

    fn leaf(
        &self,
        file: BlockFile<'_>,
        number: u64,
        leaf: &LeafRef,
    ) -> Result<std::sync::Arc<Leaf>, MapError> {
        let read = self.map.leaf(file.path, number, leaf)?;
        if read.blocks.len() == leaf_blocks(file.size, number) {
            return Ok(read);
        }
        let part = Part::Leaf(file.path.clone(), number);
        let cause = DamageCause::Malformed(Malformed("it has another number of blocks"));
        Err(self.map.damaged(part, PackClass::Map, leaf.frame, cause))
    }

    /// Opens frames, which must be sorted and may repeat, and shows each to `visit` by its index.
    pub(super) fn each_frame(
        &self,
        opener: &mut Opener,
        kind: FrameType,
        frames: &[FrameRef],
        stop: &Stop,
        visit: Visit<'_>,
    ) -> Result<(), MapError> {
        let mut pack: Option<(PackId, Result<OpenPack<'a>, DamageCause>)> = None;
        for read in plan_reads(frames) {
            if stop.is_stopped() {
                return Err(MapError::Stopped);
            }
            if pack.as_ref().is_none_or(|(id, _)| *id != read.pack) {
                pack = Some((read.pack, self.pack(read.pack)?));
            }
            match &pack {
                Some((_, Ok(pack))) => opener.each_of(pack, kind, (&read, frames), visit)?,
                Some((_, Err(cause))) => {
                    for index in read.first..read.end {
                        visit(index, Err(cause.clone()))?;
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    fn pack(&self, id: PackId) -> Result<Result<OpenPack<'a>, DamageCause>, MapError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match opened.get(&id.session) {
            Some(key) => key.clone(),
            None => {
                let key = (self.keys)(id.session);
                let key = key.map_err(|source| MapError::Key { session: id.session, source })?;
                opened.insert(id.session, key.clone());
                key
            }
        };
        drop(opened);
        Ok(self.map.fetcher().pack(PackClass::Data, id, &key))
    }
}

impl Opener {
    fn each_of(
        &mut self,
        pack: &OpenPack<'_>,
        kind: FrameType,
        (read, frames): (&ReadRange, &[FrameRef]),
        visit: Visit<'_>,
    ) -> Result<(), MapError> {
        let bytes = pack.read(read);
        let mut outcome = Ok(());
        for index in read.first..read.end {
            let frame = &frames[index];
            if index == read.first || frames[index - 1] != *frame {
                let opened = match &bytes {
                    Ok(bytes) => {
                        pack.open(&mut self.frames, kind, frame, (read, bytes), &mut self.raw)
                    }
                    // Asks again for one frame alone, and then for its repairs.
                    Err(_) => pack.fetch(&mut self.frames, kind, frame, &mut self.raw),
                };
                outcome = match opened {
                    Ok(()) => Ok(()),
                    Err(FetchError::Damaged(cause)) => Err(cause),
                    Err(FetchError::Store(error)) => return Err(error.into()),
                };
            }
            visit(index, outcome.clone().map(|()| self.raw.as_slice()))?;
        }
        Ok(())
    }
}

/// One leaf whose blocks are read.
struct LeafReading<'r, 'm, 'a> {
    contents: &'r Contents<'m, 'a>,
    file: BlockFile<'r>,
    /// Number of the leaf's first block in the file.
    first: u64,
    leaf: &'r Leaf,
    stop: &'r Stop,
}

impl LeafReading<'_, '_, '_> {
    fn read_bases(
        &self,
        opener: &mut Opener,
        target: &mut dyn BlockTarget,
    ) -> Result<(), MapError> {
        let bases = self.leaf.blocks.iter().enumerate();
        let mut bases: Vec<(FrameRef, usize)> =
            bases.filter_map(|(index, block)| Some((block.base?, index))).collect();
        bases.sort_unstable();
        let frames: Vec<_> = bases.iter().map(|(frame, _)| *frame).collect();
        let mut visit = |at: usize, bytes: Result<&[u8], DamageCause>| {
            let (frame, index) = bases[at];
            let length = block_length(self.file.size, self.first + index as u64);
            let has_pages = !self.leaf.blocks[index].pages.is_empty();
            let block = WholeBlock { index, offset: self.offset(index), has_pages, frame };
            match bytes {
                Ok(bytes) if has_pages => target.whole(block, &bytes[..bytes.len().min(length)]),
                Ok(bytes) if bytes.len() == length => target.whole(block, bytes),
                Ok(_) => target.damaged(self.damage(index, frame, WRONG_LENGTH)),
                Err(cause) => target.damaged(self.damage(index, frame, cause)),
            }
        };
        self.contents.each_frame(opener, FrameType::Block, &frames, self.stop, &mut visit)
    }

    fn read_pages(
        &self,
        opener: &mut Opener,
        target: &mut dyn BlockTarget,
    ) -> Result<(), MapError> {
        let mut pages: Vec<(FrameRef, usize, PlacedPage)> = Vec::new();
        for (index, block) in self.leaf.blocks.iter().enumerate() {
            let placed = block.placed_pages();
            pages.extend(placed.iter().map(|page| (block.pages[page.source].frame, index, *page)));
        }
        pages.sort_unstable_by_key(|(frame, index, page)| (*frame, *index, page.page));
        let frames: Vec<_> = pages.iter().map(|(frame, _, _)| *frame).collect();
        let mut visit = |at: usize, bytes: Result<&[u8], DamageCause>| {
            let (frame, index, page) = pages[at];
            let start = page.slot * PAGE_LENGTH;
            let length = block_length(self.file.size, self.first + index as u64);
            // A page that lies behind the end of the file, or is cut by it.
            let length = length.saturating_sub(page.page * PAGE_LENGTH).min(PAGE_LENGTH);
            match bytes.map(|bytes| bytes.get(start..start + length)) {
                Ok(Some([])) => Ok(()),
                Ok(Some(bytes)) => {
                    target.page(self.offset(index) + (page.page * PAGE_LENGTH) as u64, bytes)
                }
                Ok(None) => target.damaged(self.damage(index, frame, WRONG_LENGTH)),
                Err(cause) => target.damaged(self.damage(index, frame, cause)),
            }
        };
        self.contents.each_frame(opener, FrameType::Pages, &frames, self.stop, &mut visit)
    }

    fn offset(&self, index: usize) -> u64 {
        (self.first + index as u64) * BLOCK_LENGTH as u64
    }

    fn damage(&self, index: usize, frame: FrameRef, cause: DamageCause) -> Damage {
        let part = Part::Block(self.file.path.clone(), self.first + index as u64);
        self.contents.map.damage(part, PackClass::Data, frame, cause)
    }
}

const WRONG_LENGTH: DamageCause = DamageCause::Malformed(Malformed("its length is another"));
