//! Leaves: where the blocks of 128 MiB of a file are. Written in columns, since neighbouring blocks
//! lie in one pack one behind the other and the columns then hardly differ from row to row.

use crate::header::HEADER_LENGTH;
use crate::ids::ContentId;
use crate::map::bytes::{
    Bytes, Malformed, Table, VERSION, frame_range, packs, put_count, put_number, put_packs,
    put_signed,
};
use crate::map::entry::{FrameRef, LEAF_BLOCKS, PAGES_PER_BLOCK};

/// More page frames than this are never needed to read a block.
pub const PAGE_FRAMES_MAX: usize = 3;

/// Where a block's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// The frame that holds it whole; zeros when there is none.
    pub base: Option<FrameRef>,
    /// Pages that are newer, oldest first; at most [`PAGE_FRAMES_MAX`].
    pub pages: Vec<PageRef>,
}

/// Some pages of a block in a page frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRef {
    /// The frame.
    pub frame: FrameRef,
    /// Bit n: page n of the block is in the frame.
    pub mask: u16,
    /// Which slot of the frame holds the first of them; the others follow.
    pub slot: u8,
}

/// A page of a block, and where its newest bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedPage {
    /// Which page of the block.
    pub page: usize,
    /// Index in [`Block::pages`].
    pub source: usize,
    /// Slot in that frame.
    pub slot: usize,
}

/// The blocks of one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The blocks, at most [`LEAF_BLOCKS`].
    pub blocks: Vec<Block>,
}

const BASE: u8 = 4;
const PAGE_FRAMES: u8 = 3;

impl Block {
    /// Whether it is all zeros without reading anything.
    pub fn is_zero(&self) -> bool {
        self.base.is_none() && self.pages.is_empty()
    }

    /// All frames it is read from.
    pub fn frames(&self) -> impl Iterator<Item = FrameRef> {
        self.base.into_iter().chain(self.pages.iter().map(|pages| pages.frame))
    }

    /// For each page that is newer than the base, its newest place: every page at most once, so
    /// that the frames may be read in any order.
    pub fn placed_pages(&self) -> Vec<PlacedPage> {
        let mut placed = Vec::new();
        let mut seen = 0u16;
        for (source, pages) in self.pages.iter().enumerate().rev() {
            let of_frame = (0..PAGES_PER_BLOCK).filter(|page| pages.mask >> page & 1 == 1);
            for (slot, page) in (usize::from(pages.slot)..).zip(of_frame) {
                if seen >> page & 1 == 0 {
                    seen |= 1 << page;
                    placed.push(PlacedPage { page, source, slot });
                }
            }
        }
        placed
    }
}

impl Leaf {
    /// The leaf's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut table = Table::default();
        let mut ends = Vec::new();
        let [mut kinds, mut indexes, mut offsets] = [const { Vec::new() }; 3];
        let [mut lengths, mut masks, mut slots] = [const { Vec::new() }; 3];
        for block in &self.blocks {
            let base = if block.base.is_some() { BASE } else { 0 };
            let page_frames = u8::try_from(block.pages.len()).expect("at most three");
            kinds.push(base | page_frames);
            for FrameRef { pack, range } in block.frames() {
                let index = table.index(&pack);
                ends.resize(table.rows().len(), FIRST_OFFSET);
                put_count(&mut indexes, index);
                put_signed(&mut offsets, i64::from(range.offset) - ends[index]);
                put_number(&mut lengths, u64::from(range.length));
                ends[index] = i64::from(range.offset) + i64::from(range.length);
            }
            for pages in &block.pages {
                masks.extend_from_slice(&pages.mask.to_le_bytes());
                slots.push(pages.slot);
            }
        }
        let mut bytes = vec![VERSION];
        put_count(&mut bytes, self.blocks.len());
        put_packs(&mut bytes, &[table.rows()]);
        for column in [kinds, indexes, offsets, lengths, masks, slots] {
            bytes.extend_from_slice(&column);
        }
        bytes
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// For anything [`Leaf::to_bytes`] does not make.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes::new(bytes);
        bytes.version()?;
        let count = bytes.count(LEAF_BLOCKS)?;
        let [packs] = packs(&mut bytes)?;
        let kinds = bytes.take(count)?;
        if count == 0 || kinds.iter().any(|kind| kind & !(BASE | PAGE_FRAMES) != 0) {
            return Err(Malformed("a block is of an unknown kind"));
        }
        let frames = kinds.iter().map(|kind| usize::from(kind & BASE != 0) + page_frames(*kind));
        let frame_count = frames.sum();
        let page_frame_count = kinds.iter().map(|kind| page_frames(*kind)).sum();
        let mut frames = parse_frames(&mut bytes, &packs, frame_count)?.into_iter();
        let mut pages = parse_pages(&mut bytes, page_frame_count)?.into_iter();
        bytes.end()?;
        let mut blocks = Vec::with_capacity(count);
        for kind in kinds {
            let base = if kind & BASE == 0 { None } else { frames.next() };
            let of_block = frames.by_ref().zip(pages.by_ref()).take(page_frames(*kind));
            let pages = of_block.map(|(frame, (mask, slot))| PageRef { frame, mask, slot });
            blocks.push(Block { base, pages: pages.collect() });
        }
        Ok(Self { blocks })
    }
}

/// Right behind the header.
const FIRST_OFFSET: i64 = 64;
const _: () = assert!(HEADER_LENGTH == 64);

fn page_frames(kind: u8) -> usize {
    usize::from(kind & PAGE_FRAMES)
}

fn parse_frames(
    bytes: &mut Bytes<'_>,
    packs: &[crate::pack::PackId],
    count: usize,
) -> Result<Vec<FrameRef>, Malformed> {
    let mut ends = vec![FIRST_OFFSET; packs.len()];
    let mut indexes = Vec::with_capacity(count);
    for _ in 0..count {
        indexes.push(bytes.index(packs.len())?);
    }
    let mut offsets = Vec::with_capacity(count);
    for _ in 0..count {
        offsets.push(bytes.signed()?);
    }
    let mut frames = Vec::with_capacity(count);
    for (index, delta) in indexes.into_iter().zip(offsets) {
        let offset = ends[index].checked_add(delta).and_then(|offset| u64::try_from(offset).ok());
        let offset = offset.ok_or(Malformed("a frame lies outside its pack"))?;
        let range = frame_range(offset, bytes.number()?)?;
        ends[index] = i64::from(range.offset) + i64::from(range.length);
        frames.push(FrameRef { pack: packs[index], range });
    }
    Ok(frames)
}

fn parse_pages(bytes: &mut Bytes<'_>, count: usize) -> Result<Vec<(u16, u8)>, Malformed> {
    let masks = bytes.take(2 * count)?.chunks_exact(2);
    let slots = bytes.take(count)?;
    let mut pages = Vec::with_capacity(count);
    for (mask, slot) in masks.zip(slots) {
        let mask = u16::from_le_bytes([mask[0], mask[1]]);
        if mask == 0 || usize::from(*slot) + mask.count_ones() as usize > PAGES_PER_BLOCK {
            return Err(Malformed("pages lie outside their frame"));
        }
        pages.push((mask, *slot));
    }
    Ok(pages)
}

/// The bytes of a frame of leaf hashes.
pub(super) fn hashes_to_bytes(ids: &[ContentId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0).collect()
}

/// Reads a frame of leaf hashes. [`UNKNOWN_ID`] stands where a hash is not known.
pub(super) fn parse_hashes(bytes: &[u8]) -> Result<Vec<ContentId>, Malformed> {
    let (ids, rest) = bytes.as_chunks();
    if !rest.is_empty() || ids.len() > LEAF_BLOCKS {
        return Err(Malformed("its length is wrong"));
    }
    Ok(ids.iter().map(|id| ContentId(*id)).collect())
}

/// Stands for the id of a block that was never read whole.
pub const UNKNOWN_ID: ContentId = ContentId([0; ContentId::LENGTH]);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::FrameRange;
    use crate::ids::SessionId;
    use crate::pack::PackId;

    fn any_frame() -> impl Strategy<Value = FrameRef> {
        (0..3u8, 0..5u32, 64..60_000_000u32, 28..1_000_000u32).prop_map(
            |(session, number, offset, length)| FrameRef {
                pack: PackId { session: SessionId([session; 8]), number },
                range: FrameRange { offset, length },
            },
        )
    }

    fn any_pages() -> impl Strategy<Value = PageRef> {
        (any_frame(), 1..=u16::MAX, 0..16u8).prop_map(|(frame, mask, slot)| {
            let room = 16 - u8::try_from(mask.count_ones()).unwrap();
            PageRef { frame, mask, slot: slot % (room + 1) }
        })
    }

    prop_compose! {
        fn any_block()(
            base in proptest::option::weighted(0.8, any_frame()),
            pages in proptest::collection::vec(any_pages(), 0..=PAGE_FRAMES_MAX),
        ) -> Block {
            Block { base, pages }
        }
    }

    proptest! {
        #[test]
        fn a_leaf_is_read_back_as_it_was_written(
            blocks in proptest::collection::vec(any_block(), 1..40),
            cut in any::<proptest::sample::Index>(),
            flip in any::<(proptest::sample::Index, u8)>(),
        ) {
            let leaf = Leaf { blocks };
            let bytes = leaf.to_bytes();
            prop_assert_eq!(Leaf::parse(&bytes), Ok(leaf));
            prop_assert!(Leaf::parse(&bytes[..cut.index(bytes.len())]).is_err());
            let mut changed = bytes;
            let at = flip.0.index(changed.len());
            changed[at] ^= flip.1;
            if let Ok(other) = Leaf::parse(&changed) {
                // Tables may be spelled in another order; what is read is always a valid leaf.
                prop_assert_eq!(Leaf::parse(&other.to_bytes()), Ok(other));
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(leaf) = Leaf::parse(&bytes) {
                prop_assert!(leaf.blocks.len() <= LEAF_BLOCKS);
            }
        }

        #[test]
        fn each_page_comes_from_its_newest_frame(block in any_block()) {
            let mut expected = [None; PAGES_PER_BLOCK];
            for (source, pages) in block.pages.iter().enumerate() {
                let mut slot = usize::from(pages.slot);
                for (page, place) in expected.iter_mut().enumerate() {
                    if pages.mask & 1 << page != 0 {
                        *place = Some(PlacedPage { page, source, slot });
                        slot += 1;
                    }
                }
            }
            let mut found = block.placed_pages();
            found.sort_unstable_by_key(|placed| placed.page);
            prop_assert_eq!(found, expected.into_iter().flatten().collect::<Vec<_>>());
        }
    }
}
