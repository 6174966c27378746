//! One leaf: read, find what is new, store it.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use crate::frame::FrameType;
use crate::ids::ContentId;
use crate::map::bytes::Malformed;
use crate::map::entry::{BLOCK_LENGTH, FrameRef, LEAF_LENGTH, LeafRef, leaf_blocks};
use crate::map::error::{Damage, DamageCause, MapError, Part};
use crate::map::leaf::{Block, Leaf, PageRef, UNKNOWN_ID};
use crate::map::progress::Step;
use crate::map::read::LoadedMap;
use crate::map::write::base::BaseFile;
use crate::map::write::{
    Halt, READ_LENGTH, Sharing, SourceKind, SourceReader, Worker, WrittenLeaf,
};
use crate::names::PackClass;

/// What a new leaf says about a block.
pub(super) enum Fate {
    /// What the base's leaf says.
    Same,
    /// It is zero.
    Zero,
    /// It is in this frame.
    In(FrameRef),
    /// What the base's leaf says, but for its pages, which are these.
    Over(Vec<PageRef>),
}

/// A leaf of the base.
pub(super) struct BaseLeaf {
    place: LeafRef,
    /// Length of the file in the base.
    pub(super) size: u64,
    /// Content ids of its blocks, [`UNKNOWN_ID`] where they are not known.
    pub(super) ids: Vec<ContentId>,
    /// Its blocks, once they are needed.
    pub(super) leaf: Option<Arc<Leaf>>,
}

/// A leaf that is being made.
#[derive(Default)]
pub(super) struct NewLeaf {
    pub(super) fates: Vec<Fate>,
    pub(super) ids: Vec<ContentId>,
    pub(super) length: u64,
}

/// The range of a file that a leaf describes.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) file: usize,
    /// Number of the leaf.
    pub(super) number: u64,
    /// Length of the file, as listed.
    pub(super) size: u64,
}

impl Extent {
    pub(super) fn start(self) -> u64 {
        self.number * LEAF_LENGTH
    }

    pub(super) fn end(self) -> u64 {
        self.size.min(self.start() + LEAF_LENGTH)
    }

    pub(super) fn range(self) -> Range<u64> {
        self.start()..self.end()
    }
}

impl Worker<'_, '_> {
    /// Stores what is new of 128 MiB of a file.
    pub(super) fn leaf(&mut self, file: usize, number: u64) -> Result<(), Halt> {
        let SourceKind::File { size } = self.shared.job.plan[file].kind else { return Ok(()) };
        let extent = Extent { file, number, size };
        let written = match self.store_new(extent) {
            // The base cannot be compared with, so everything is stored anew.
            Err(Halt::Failed(MapError::Damaged(damage))) => {
                self.outcome.findings.push(*damage);
                self.store_all(extent, None)?
            }
            written => written?,
        };
        self.outcome.leaves.insert((file, number), written);
        Ok(())
    }

    fn store_new(&mut self, extent: Extent) -> Result<WrittenLeaf, Halt> {
        let Some((place, size)) = self.base_place(extent) else {
            return self.store_all(extent, None);
        };
        let pages = self.shared.job.source.changed_pages(extent.file, extent.range());
        let same_end = size.min(extent.start() + LEAF_LENGTH) == extent.end();
        let may_share = self.shared.base.may_share_map(self.shared.job, place.frame.pack);
        if pages.as_ref().is_some_and(Vec::is_empty) && same_end && may_share && !self.chooses() {
            return self.unseen(extent, place);
        }
        let mut base = Some(self.base_leaf(extent, place, size)?);
        if let (Some(base_leaf), Some(pages)) = (&mut base, pages) {
            self.load(base_leaf, extent)?;
            if let Some(written) = self.store_pages(extent, &mut base, &pages)? {
                return Ok(written);
            }
        }
        self.store_all(extent, base)
    }

    /// Takes a leaf of the base of which nothing changed, without looking at it.
    fn unseen(&mut self, extent: Extent, leaf: LeafRef) -> Result<WrittenLeaf, Halt> {
        if self.open(extent)?.is_none() {
            return Ok(WrittenLeaf::Gone);
        }
        self.outcome.counters.same_leaves += 1;
        self.outcome.referenced.insert(PackClass::Map, leaf.frame.pack);
        self.outcome.unseen = true;
        Ok(WrittenLeaf::There { length: extent.end() - extent.start(), leaf: Some(leaf) })
    }

    /// Where the base has this leaf, and how long its file is.
    fn base_place(&self, extent: Extent) -> Option<(LeafRef, u64)> {
        let BaseFile::Leaves(leaves, size) = self.shared.base.of(extent.file) else { return None };
        let place = leaves.get(usize::try_from(extent.number).ok()?)?;
        Some((*place, *size))
    }

    fn base_map(&self) -> Option<&LoadedMap<'_>> {
        self.shared.job.base.as_ref().map(|base| base.map)
    }

    fn base_leaf(&self, extent: Extent, place: LeafRef, size: u64) -> Result<BaseLeaf, MapError> {
        let Extent { file, number, .. } = extent;
        let map = self.base_map().expect("a file has a base only in a base");
        let path = &self.shared.job.plan[file].path;
        let mut ids = map.hashes(path, number, &place)?;
        if ids.is_empty() {
            ids.resize(leaf_blocks(size, number), UNKNOWN_ID);
        }
        if ids.len() != leaf_blocks(size, number) {
            return Err(other_number(map, Part::LeafHashes(path.clone(), number), place));
        }
        let mut base = BaseLeaf { place, size, ids, leaf: None };
        if self.chooses() {
            self.load(&mut base, extent)?;
        }
        Ok(base)
    }

    /// Whether packs of the base are looked at one by one.
    fn chooses(&self) -> bool {
        let sharing = self.shared.job.base.as_ref().map(|base| base.sharing);
        matches!(sharing, Some(Sharing::Chosen(_)))
    }

    fn load(&self, base: &mut BaseLeaf, extent: Extent) -> Result<(), MapError> {
        let Extent { file, number, .. } = extent;
        let Some(map) = self.base_map() else { return Ok(()) };
        let path = &self.shared.job.plan[file].path;
        let leaf = map.leaf(path, number, &base.place)?;
        if leaf.blocks.len() != base.ids.len() {
            return Err(other_number(map, Part::Leaf(path.clone(), number), base.place));
        }
        base.leaf = Some(leaf);
        Ok(())
    }

    /// Reads everything and stores what the base does not have.
    fn store_all(&mut self, extent: Extent, base: Option<BaseLeaf>) -> Result<WrittenLeaf, Halt> {
        let Some(mut reader) = self.open(extent)? else { return Ok(WrittenLeaf::Gone) };
        let mut new = NewLeaf::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(READ_LENGTH, 0);
        let mut offset = extent.start();
        while offset < extent.end() {
            let wanted = usize::try_from(extent.end() - offset).unwrap_or(READ_LENGTH);
            let wanted = wanted.min(READ_LENGTH);
            let read = self.read(&mut *reader, extent, offset, &mut buffer[..wanted])?;
            for block in buffer[..read].chunks(BLOCK_LENGTH) {
                self.block(&mut new, block, base.as_ref())?;
            }
            offset += read as u64;
            new.length += read as u64;
            if read < wanted {
                break;
            }
        }
        self.buffer = buffer;
        self.finish(extent, new, base)
    }

    pub(super) fn open<'o>(
        &self,
        extent: Extent,
    ) -> Result<Option<Box<dyn SourceReader + 'o>>, Halt>
    where
        Self: 'o,
    {
        let opened = self.shared.job.source.open(extent.file, extent.range());
        opened.map_err(|error| self.source_error(extent.file, extent.start(), error))
    }

    /// Reads from the source, and tells of it.
    pub(super) fn read(
        &mut self,
        reader: &mut dyn SourceReader,
        extent: Extent,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Halt> {
        self.shared.check()?;
        let read = reader.read_at(offset, buffer);
        let read = read.map_err(|error| self.source_error(extent.file, offset, error))?;
        let raw_bytes = read as u64;
        self.outcome.counters.read_bytes += raw_bytes;
        self.shared.putting.progress.advance(Step { raw_bytes, ..Step::default() });
        Ok(read)
    }

    /// Decides about the next block of a leaf.
    pub(super) fn block(
        &mut self,
        new: &mut NewLeaf,
        bytes: &[u8],
        base: Option<&BaseLeaf>,
    ) -> Result<(), Halt> {
        let zero = is_zero(bytes);
        let id = match zero {
            true if bytes.len() == BLOCK_LENGTH => self.shared.zero_id,
            _ => self.shared.job.target.content_ids.id(bytes),
        };
        let index = new.ids.len();
        let counters = &mut self.outcome.counters;
        counters.blocks += 1;
        let fate = if base.is_some_and(|base| self.shared.is_same(base, index, id)) {
            counters.same_blocks += 1;
            Fate::Same
        } else if zero {
            counters.zero_blocks += 1;
            Fate::Zero
        } else if let Some(frame) = self.shared.job.adopted.and_then(|left| left.find(id)) {
            counters.adopted_blocks += 1;
            Fate::In(frame)
        } else {
            counters.new_blocks += 1;
            Fate::In(self.packs.add(&mut self.frames, FrameType::Block, bytes, Some(id))?)
        };
        new.ids.push(id);
        new.fates.push(fate);
        Ok(())
    }

    /// Makes the leaf, or takes the base's.
    pub(super) fn finish(
        &mut self,
        extent: Extent,
        new: NewLeaf,
        base: Option<BaseLeaf>,
    ) -> Result<WrittenLeaf, Halt> {
        let length = new.length;
        if new.ids.is_empty() {
            return Ok(WrittenLeaf::There { length, leaf: None });
        }
        let all_same = new.fates.iter().all(|fate| matches!(fate, Fate::Same));
        let any_same = new.fates.iter().any(|fate| matches!(fate, Fate::Same));
        let mut base = base;
        if let Some(base) = &mut base {
            let pack = base.place.frame.pack;
            let may_share = self.shared.base.may_share_map(self.shared.job, pack);
            if all_same && may_share && new.ids == base.ids {
                self.outcome.counters.same_leaves += 1;
                self.outcome.referenced.insert(PackClass::Map, pack);
                match &base.leaf {
                    Some(leaf) => leaf.blocks.iter().for_each(|block| self.refer(block)),
                    None => self.outcome.unseen = true,
                }
                return Ok(WrittenLeaf::There { length, leaf: Some(base.place) });
            }
            if any_same && base.leaf.is_none() {
                self.load(base, extent)?;
            }
        }
        let of_base = base.and_then(|base| base.leaf);
        let old = |index: usize| {
            let leaf = of_base.as_ref().expect("what is the same is the same as the base's");
            &leaf.blocks[index]
        };
        let fates = new.fates.into_iter().enumerate();
        let blocks = fates.map(|(index, fate)| match fate {
            Fate::Zero => Block::default(),
            Fate::In(frame) => Block { base: Some(frame), pages: Vec::new() },
            Fate::Same => old(index).clone(),
            Fate::Over(pages) => Block { base: old(index).base, pages },
        });
        let leaf = Leaf { blocks: blocks.collect() };
        leaf.blocks.iter().for_each(|block| self.refer(block));
        let mut packs = self.shared.map_packs.lock().unwrap_or_else(PoisonError::into_inner);
        let leaf = packs.add_leaf(&leaf.to_bytes(), &new.ids)?;
        Ok(WrittenLeaf::There { length, leaf: Some(leaf) })
    }

    fn refer(&mut self, block: &Block) {
        for frame in block.frames() {
            self.outcome.referenced.insert(PackClass::Data, frame.pack);
        }
    }
}

impl crate::map::write::Shared<'_> {
    /// Whether a block is what the base has there, in packs that may be shared.
    fn is_same(&self, base: &BaseLeaf, index: usize, id: ContentId) -> bool {
        let same = id != UNKNOWN_ID && base.ids.get(index) == Some(&id);
        same && base.leaf.as_ref().is_none_or(|leaf| self.may_share_block(&leaf.blocks[index]))
    }

    /// Whether all packs that a block of the base is in may be shared.
    pub(super) fn may_share_block(&self, block: &Block) -> bool {
        block.frames().all(|frame| self.job.may_share(PackClass::Data, frame.pack))
    }
}

fn other_number(map: &LoadedMap<'_>, part: Part, leaf: LeafRef) -> MapError {
    let cause = DamageCause::Malformed(Malformed("it has another number of blocks"));
    let damage: Damage = map.damage(part, PackClass::Map, leaf.frame, cause);
    MapError::Damaged(Box::new(damage))
}

/// Whether all bytes are zero. Most blocks show that they are not in the first few.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}
