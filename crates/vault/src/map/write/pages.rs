//! A leaf of which it is known what changed: only that is read, and stored in page frames.
//!
//! Reading a block must stay cheap for ever, so a block has at most three page frames. A fourth would
//! take in all of them instead, and from nine pages on the block is stored whole.

use crate::frame::FrameType;
use crate::map::entry::{
    BLOCK_LENGTH, LEAF_BLOCKS, PAGE_LENGTH, PAGES_PER_BLOCK, block_length, leaf_blocks,
};
use crate::map::leaf::{Block, PAGE_FRAMES_MAX, PageRef, UNKNOWN_ID};
use crate::map::write::leaf::{BaseLeaf, Extent, Fate, NewLeaf};
use crate::map::write::{Halt, SourceReader, Worker, WrittenLeaf};

/// A block of which more pages than this are not from its base is stored whole.
const UNION_PAGES_MAX: u32 = 8;

/// How the changes of a block are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
enum BlockPlan {
    /// It did not change.
    Same,
    /// Whole.
    Whole,
    /// In these pages, over these of the base's page frames.
    Pages { kept: Vec<PageRef>, mask: u16 },
}

/// Decides how the changed pages of a block are stored.
fn plan_block(old: &Block, changed: u16) -> BlockPlan {
    if changed == 0 {
        return BlockPlan::Same;
    }
    let mut covered = changed;
    let mut kept = Vec::new();
    for pages in old.pages.iter().rev() {
        if pages.mask & !covered != 0 {
            kept.push(*pages);
        }
        covered |= pages.mask;
    }
    kept.reverse();
    let mask = if kept.len() < PAGE_FRAMES_MAX { changed } else { covered };
    if mask == covered {
        kept.clear();
    }
    if mask.count_ones() > UNION_PAGES_MAX {
        return BlockPlan::Whole;
    }
    BlockPlan::Pages { kept, mask }
}

/// For each block of a leaf the mask of its changed pages. Pages outside the leaf are not its own.
fn masks(extent: Extent, pages: &[u32]) -> Vec<u16> {
    let mut masks = vec![0; leaf_blocks(extent.size, extent.number)];
    let first = extent.number * (LEAF_BLOCKS * PAGES_PER_BLOCK) as u64;
    for page in pages {
        let place = u64::from(*page).checked_sub(first);
        let Some(place) = place.and_then(|place| usize::try_from(place).ok()) else { continue };
        if let Some(mask) = masks.get_mut(place / PAGES_PER_BLOCK) {
            *mask |= 1 << (place % PAGES_PER_BLOCK);
        }
    }
    masks
}

/// Pages that are gathered for a frame.
#[derive(Default)]
struct Gathered {
    raw: Vec<u8>,
    /// Index of the block, its page frames that are kept, and the mask and slot of the new ones.
    blocks: Vec<(usize, Vec<PageRef>, u16, u8)>,
}

impl Worker<'_, '_> {
    /// Stores the changed pages of a leaf. `None` when the file is shorter by now than it was listed:
    /// then it must be read to know what it is.
    pub(super) fn store_pages(
        &mut self,
        extent: Extent,
        base: &mut Option<BaseLeaf>,
        pages: &[u32],
    ) -> Result<Option<WrittenLeaf>, Halt> {
        let Some(of_base) = base.as_ref() else { return Ok(None) };
        let Some(mut reader) = self.open(extent)? else { return Ok(Some(WrittenLeaf::Gone)) };
        let (mut new, mut gathered) = (NewLeaf::default(), Gathered::default());
        for (index, changed) in masks(extent, pages).into_iter().enumerate() {
            let complete = match self.plan(extent, of_base, index, changed) {
                BlockPlan::Same => {
                    self.outcome.counters.blocks += 1;
                    self.outcome.counters.same_blocks += 1;
                    new.fates.push(Fate::Same);
                    new.ids.push(of_base.ids[index]);
                    true
                }
                BlockPlan::Whole => self.whole_block(extent, &mut *reader, &mut new, of_base)?,
                BlockPlan::Pages { kept, mask } => {
                    if gathered.raw.len() / PAGE_LENGTH + mask.count_ones() as usize
                        > PAGES_PER_BLOCK
                    {
                        self.store_gathered_pages(&mut gathered, &mut new)?;
                    }
                    new.fates.push(Fate::Over(Vec::new()));
                    new.ids.push(UNKNOWN_ID);
                    self.gather(extent, &mut *reader, (index, kept, mask), &mut gathered)?
                }
            };
            if !complete {
                return Ok(None);
            }
        }
        self.store_gathered_pages(&mut gathered, &mut new)?;
        new.length = extent.end() - extent.start();
        self.finish(extent, new, base.take()).map(Some)
    }

    fn plan(&self, extent: Extent, base: &BaseLeaf, index: usize, changed: u16) -> BlockPlan {
        let block = extent.number * LEAF_BLOCKS as u64 + index as u64;
        let old = base.leaf.as_ref().and_then(|leaf| leaf.blocks.get(index));
        match old {
            Some(old)
                if block_length(base.size, block) == block_length(extent.size, block)
                    && self.shared.may_share_block(old) =>
            {
                plan_block(old, changed)
            }
            _ => BlockPlan::Whole,
        }
    }

    /// Reads and stores a whole block; says whether all of it was there.
    fn whole_block(
        &mut self,
        extent: Extent,
        reader: &mut dyn SourceReader,
        new: &mut NewLeaf,
        base: &BaseLeaf,
    ) -> Result<bool, Halt> {
        let offset = extent.start() + (new.ids.len() * BLOCK_LENGTH) as u64;
        let length = block_length(extent.size, offset / BLOCK_LENGTH as u64);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(BLOCK_LENGTH.max(buffer.len()), 0);
        let read = self.read(reader, extent, offset, &mut buffer[..length])?;
        if read == length {
            self.block(new, &buffer[..length], Some(base))?;
        }
        self.buffer = buffer;
        Ok(read == length)
    }

    /// Reads the pages of a block behind those gathered so far; says whether all of them were there.
    fn gather(
        &mut self,
        extent: Extent,
        reader: &mut dyn SourceReader,
        (index, kept, mask): (usize, Vec<PageRef>, u16),
        gathered: &mut Gathered,
    ) -> Result<bool, Halt> {
        let slot = u8::try_from(gathered.raw.len() / PAGE_LENGTH).expect("at most 16 slots");
        let offset = extent.start() + (index * BLOCK_LENGTH) as u64;
        let (mut pages, mut behind_end) = (0, 0);
        for page in (0..PAGES_PER_BLOCK).filter(|page| mask >> page & 1 == 1) {
            let offset = offset + (page * PAGE_LENGTH) as u64;
            let rest = extent.size.saturating_sub(offset);
            let length = usize::try_from(rest).unwrap_or(PAGE_LENGTH).min(PAGE_LENGTH);
            if length == 0 {
                // A page that the list names and the file does not have.
                behind_end |= 1 << page;
                continue;
            }
            let start = gathered.raw.len();
            gathered.raw.resize(start + PAGE_LENGTH, 0);
            let page = &mut gathered.raw[start..start + length];
            if self.read(reader, extent, offset, page)? < length {
                return Ok(false);
            }
            pages += 1;
        }
        self.outcome.counters.blocks += 1;
        self.outcome.counters.page_blocks += 1;
        self.outcome.counters.pages += pages;
        gathered.blocks.push((index, kept, mask & !behind_end, slot));
        Ok(true)
    }

    fn store_gathered_pages(
        &mut self,
        gathered: &mut Gathered,
        new: &mut NewLeaf,
    ) -> Result<(), Halt> {
        let frame = match gathered.raw.as_slice() {
            [] => None,
            raw => Some(self.packs.add(&mut self.frames, FrameType::Pages, raw, None)?),
        };
        for (index, mut pages, mask, slot) in gathered.blocks.drain(..) {
            if let Some(frame) = frame
                && mask != 0
            {
                pages.push(PageRef { frame, mask, slot });
            }
            new.fates[index] = Fate::Over(pages);
        }
        gathered.raw.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
