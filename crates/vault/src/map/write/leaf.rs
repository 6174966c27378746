//! One leaf: read, find what is new, store it.

use std::sync::{Arc, PoisonError};

use crate::frame::FrameType;
use crate::ids::ContentId;
use crate::map::bytes::Malformed;
use crate::map::entry::{BLOCK_LENGTH, FrameRef, LEAF_LENGTH, LeafRef, leaf_blocks};
use crate::map::error::{Damage, DamageCause, MapError, Part};
use crate::map::leaf::{Block, Leaf, UNKNOWN_ID};
use crate::map::progress::Step;
use crate::map::read::LoadedMap;
use crate::map::write::base::BaseFile;
use crate::map::write::{Halt, READ_LENGTH, Sharing, SourceKind, Worker, WrittenLeaf};
use crate::names::PackClass;

/// What a new leaf says about a block.
enum Fate {
    /// What the base's leaf says.
    Same,
    /// It is zero.
    Zero,
    /// It is in this frame.
    In(FrameRef),
}

/// A leaf of the base.
struct BaseLeaf {
    place: LeafRef,
    /// Content ids of its blocks; empty when they are not known.
    ids: Vec<ContentId>,
    /// Its blocks, once they are needed.
    leaf: Option<Arc<Leaf>>,
}

/// A leaf that is being made.
#[derive(Default)]
struct NewLeaf {
    fates: Vec<Fate>,
    ids: Vec<ContentId>,
    length: u64,
}

impl Worker<'_, '_> {
    /// Stores what is new of 128 MiB of a file.
    pub(super) fn leaf(&mut self, file: usize, number: u64) -> Result<(), Halt> {
        let base = match self.base_leaf(file, number) {
            // It cannot be compared with, so everything is stored anew.
            Err(Halt::Failed(MapError::Damaged(damage))) => {
                self.outcome.findings.push(*damage);
                None
            }
            base => base?,
        };
        let written = match self.store_leaf(file, number, base) {
            Err(Halt::Failed(MapError::Damaged(damage))) => {
                self.outcome.findings.push(*damage);
                self.store_leaf(file, number, None)?
            }
            written => written?,
        };
        self.outcome.leaves.insert((file, number), written);
        Ok(())
    }

    fn base_map(&self) -> Option<&LoadedMap<'_>> {
        self.shared.job.base.as_ref().map(|base| base.map)
    }

    fn base_leaf(&self, file: usize, number: u64) -> Result<Option<BaseLeaf>, Halt> {
        let (Some(map), BaseFile::Leaves(leaves, size)) =
            (self.base_map(), self.shared.base.of(file))
        else {
            return Ok(None);
        };
        let place = usize::try_from(number).ok().and_then(|number| leaves.get(number));
        let Some(place) = place.copied() else { return Ok(None) };
        let path = &self.shared.job.plan[file].path;
        let ids = map.hashes(path, number, &place)?;
        if !ids.is_empty() && ids.len() != leaf_blocks(*size, number) {
            let part = Part::LeafHashes(path.clone(), number);
            return Err(other_number(map, part, place).into());
        }
        let mut base = BaseLeaf { place, ids, leaf: None };
        if self.chooses() {
            self.load(&mut base, file, number)?;
        }
        Ok(Some(base))
    }

    /// Whether packs of the base are looked at one by one.
    fn chooses(&self) -> bool {
        let sharing = self.shared.job.base.as_ref().map(|base| base.sharing);
        matches!(sharing, Some(Sharing::Chosen(_)))
    }

    fn load(&self, base: &mut BaseLeaf, file: usize, number: u64) -> Result<(), MapError> {
        let Some(map) = self.base_map() else { return Ok(()) };
        let path = &self.shared.job.plan[file].path;
        let leaf = map.leaf(path, number, &base.place)?;
        if leaf.blocks.len() < base.ids.len() {
            return Err(other_number(map, Part::Leaf(path.clone(), number), base.place));
        }
        base.leaf = Some(leaf);
        Ok(())
    }

    fn store_leaf(
        &mut self,
        file: usize,
        number: u64,
        base: Option<BaseLeaf>,
    ) -> Result<WrittenLeaf, Halt> {
        let SourceKind::File { size } = self.shared.job.plan[file].kind else {
            return Ok(WrittenLeaf::Gone);
        };
        let start = number * LEAF_LENGTH;
        let end = size.min(start + LEAF_LENGTH);
        let opened = self.shared.job.source.open(file, start..end);
        let opened = opened.map_err(|error| self.source_error(file, start, error))?;
        let Some(mut reader) = opened else { return Ok(WrittenLeaf::Gone) };
        let mut new = NewLeaf::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(READ_LENGTH, 0);
        let mut offset = start;
        while offset < end {
            self.shared.check()?;
            let wanted = usize::try_from(end - offset).unwrap_or(READ_LENGTH).min(READ_LENGTH);
            let read = reader.read_at(offset, &mut buffer[..wanted]);
            let read = read.map_err(|error| self.source_error(file, offset, error))?;
            for block in buffer[..read].chunks(BLOCK_LENGTH) {
                self.block(&mut new, block, base.as_ref())?;
            }
            self.outcome.counters.read_bytes += read as u64;
            let raw_bytes = read as u64;
            self.shared.putting.progress.advance(Step { raw_bytes, ..Step::default() });
            offset += read as u64;
            new.length += read as u64;
            if read < wanted {
                break;
            }
        }
        self.buffer = buffer;
        let leaf =
            if new.ids.is_empty() { None } else { Some(self.finish(file, number, &new, base)?) };
        Ok(WrittenLeaf::There { length: new.length, leaf })
    }

    fn block(
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
            self.outcome.referenced.insert(PackClass::Data, frame.pack);
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
    fn finish(
        &mut self,
        file: usize,
        number: u64,
        new: &NewLeaf,
        base: Option<BaseLeaf>,
    ) -> Result<LeafRef, Halt> {
        let mut base = base;
        if let Some(base) = &mut base {
            let all_same = new.ids == base.ids
                && new.fates.iter().all(|fate| matches!(fate, Fate::Same))
                && self.shared.base.may_share_map(self.shared.job, base.place.frame.pack);
            if all_same {
                self.outcome.counters.same_leaves += 1;
                self.outcome.referenced.insert(PackClass::Map, base.place.frame.pack);
                match &base.leaf {
                    Some(leaf) => leaf.blocks.iter().for_each(|block| self.refer(block)),
                    None => self.outcome.unseen = true,
                }
                return Ok(base.place);
            }
            let any_same = new.fates.iter().any(|fate| matches!(fate, Fate::Same));
            if any_same && base.leaf.is_none() {
                self.load(base, file, number)?;
            }
        }
        let of_base = base.and_then(|base| base.leaf);
        let mut blocks = Vec::with_capacity(new.fates.len());
        for (index, fate) in new.fates.iter().enumerate() {
            blocks.push(match fate {
                Fate::Zero => Block::default(),
                Fate::In(frame) => Block { base: Some(*frame), pages: Vec::new() },
                Fate::Same => {
                    let leaf = of_base.as_ref().expect("a block is the same as one of the base");
                    self.refer(&leaf.blocks[index]);
                    leaf.blocks[index].clone()
                }
            });
        }
        let mut packs = self.shared.map_packs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(packs.add_leaf(&Leaf { blocks }.to_bytes(), &new.ids)?)
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
        same && base.leaf.as_ref().is_none_or(|leaf| {
            leaf.blocks[index].frames().all(|frame| self.job.may_share(PackClass::Data, frame.pack))
        })
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
