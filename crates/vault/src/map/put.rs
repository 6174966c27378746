//! Filling packs and putting them into the vault, so that a worker compresses while the pack before
//! becomes durable.
//!
//! Memory is what this file bounds: each worker has exactly two pack buffers, one that is filled and
//! one on its way. They go round between the worker and its uploader; when both are away the worker
//! waits.

use std::sync::Mutex;

use crossbeam_channel::{Receiver, Sender, bounded};
use soter_world::{Clock, Random};

use crate::crypto::{ContentIdKey, SymmetricKey};
use crate::frame::{FrameType, FrameWriter, RAW_LENGTH_MAX};
use crate::ids::{ContentId, Salt, SessionId, StoreId};
use crate::map::entry::{FrameRef, LeafRef};
use crate::map::error::MapError;
use crate::map::leaf::hashes_to_bytes;
use crate::map::progress::{Progress, Step};
use crate::names::{PackClass, REPAIRS_MAX, repair_of};
use crate::objects::{ObjectStore, Once, create_once};
use crate::pack::{
    METADATA_COMPRESSION, PACK_LENGTH_TARGET, PackId, PackKeys, PackNumbers, PackPlace, PackRow,
    PackWriter, SealedPack,
};

/// Pack buffers of each worker.
const BUFFERS_PER_WORKER: usize = 2;

/// Map packs are closed earlier than data packs: all workers share one and wait while it is put, and
/// two hundred leaves are enough for one object.
pub(super) const MAP_PACK_LENGTH_TARGET: usize = 4 << 20;

/// Room for a full pack, a last frame that goes beyond it, and the directory: a buffer never grows.
const PACK_BUFFER_LENGTH: usize = PACK_LENGTH_TARGET + 2 * RAW_LENGTH_MAX + (64 << 10);

/// Where the packs of a session go.
pub struct PackTarget<'t> {
    /// The vault.
    pub objects: &'t dyn ObjectStore,
    /// Waits between the tries of a put.
    pub clock: &'t dyn Clock,
    /// Draws salts.
    pub random: &'t dyn Random,
    /// The store.
    pub store: StoreId,
    /// The session that writes.
    pub session: SessionId,
    /// `K_session`, under which contents are sealed.
    pub session_key: SymmetricKey,
    /// `K_meta`, under which maps are.
    pub metadata: SymmetricKey,
    /// `K_id`, which names contents.
    pub content_ids: ContentIdKey,
    /// The session's next pack numbers.
    pub numbers: &'t PackNumbers,
}

impl PackTarget<'_> {
    fn next_number(&self, class: PackClass) -> Result<u32, MapError> {
        let number = self.numbers.next(class);
        number.ok_or(MapError::TooLarge("its session has no pack numbers left"))
    }

    fn open(&self, class: PackClass, buffer: Vec<u8>) -> Result<PackWriter, MapError> {
        let id = PackId { session: self.session, number: self.next_number(class)? };
        let content = match class {
            PackClass::Data => self.session_key.clone(),
            PackClass::Map => self.metadata.clone(),
        };
        let keys = PackKeys { content, metadata: self.metadata.clone() };
        let place = PackPlace { class, store: self.store, id };
        Ok(PackWriter::new(place, keys, Salt::random(self.random), buffer))
    }

    /// Puts a pack. When a stranger has its name it goes under a repair's name, where readers look
    /// next: the bytes are sealed for the pack, not for the name.
    fn put(&self, pack: &SealedPack) -> Result<(), MapError> {
        for repair in 0..=REPAIRS_MAX {
            let name = match repair {
                0 => pack.name.clone(),
                number => repair_of(&pack.name, number),
            };
            match create_once(self.objects, self.clock, &name, &pack.bytes)? {
                Once::New | Once::Same => return Ok(()),
                Once::Taken(_) => {}
            }
        }
        Err(MapError::Taken { name: pack.name.clone() })
    }
}

/// Rows of packs that were put.
#[derive(Default)]
pub(super) struct PutPacks(Mutex<Vec<(PackClass, u32, PackRow)>>);

impl PutPacks {
    fn add(&self, class: PackClass, pack: &SealedPack) {
        let mut rows = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        rows.push((class, pack.number, pack.row));
    }

    pub(super) fn into_rows(self) -> Vec<(PackClass, u32, PackRow)> {
        self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What packs are put with.
#[derive(Clone, Copy)]
pub(super) struct Putting<'p> {
    pub(super) target: &'p PackTarget<'p>,
    pub(super) packs: &'p PutPacks,
    pub(super) progress: &'p dyn Progress,
}

impl Putting<'_> {
    fn put(&self, class: PackClass, pack: &SealedPack) -> Result<(), MapError> {
        self.target.put(pack)?;
        self.packs.add(class, pack);
        let stored_bytes = pack.bytes.len() as u64;
        self.progress.advance(Step { stored_bytes, ..Step::default() });
        Ok(())
    }
}

/// The two ends of a worker's upload.
pub(super) fn uploads<'p>(putting: Putting<'p>) -> (DataPacks<'p>, Uploader<'p>) {
    let (send_full, full) = bounded(1);
    let (send_spare, spare) = bounded(BUFFERS_PER_WORKER);
    for _ in 0..BUFFERS_PER_WORKER {
        // Allocated when it is filled first: a small backup never needs it whole.
        send_spare.send(Vec::new()).expect("there is room for all of them");
    }
    (
        DataPacks { target: putting.target, open: None, full: send_full, spare },
        Uploader { putting, full, spare: send_spare },
    )
}

/// A worker's open data pack.
pub(super) struct DataPacks<'p> {
    target: &'p PackTarget<'p>,
    open: Option<PackWriter>,
    full: Sender<SealedPack>,
    spare: Receiver<Vec<u8>>,
}

/// The other half, in a thread of its own.
pub(super) struct Uploader<'p> {
    putting: Putting<'p>,
    full: Receiver<SealedPack>,
    spare: Sender<Vec<u8>>,
}

impl Uploader<'_> {
    /// Puts packs until the worker is done.
    pub(super) fn run(self) -> Result<(), MapError> {
        for pack in &self.full {
            self.putting.put(PackClass::Data, &pack)?;
            // A worker that has ended needs no buffer.
            drop(self.spare.send(pack.bytes));
        }
        Ok(())
    }
}

impl DataPacks<'_> {
    /// Adds a frame, and sends the pack off when it is full.
    pub(super) fn add(
        &mut self,
        frames: &mut FrameWriter,
        kind: FrameType,
        raw: &[u8],
        content: Option<ContentId>,
    ) -> Result<FrameRef, NotAdded> {
        let pack = match &mut self.open {
            Some(pack) => pack,
            none => {
                let mut buffer = self.spare.recv().map_err(|_| NotAdded::UploaderGone)?;
                buffer.clear();
                buffer.reserve(PACK_BUFFER_LENGTH);
                none.insert(self.target.open(PackClass::Data, buffer)?)
            }
        };
        let range = pack.add(frames, kind, raw, content);
        let frame = FrameRef { pack: pack.id(), range };
        if pack.is_full() {
            self.close(frames)?;
        }
        Ok(frame)
    }

    /// Sends the open pack off, if there is one.
    pub(super) fn close(&mut self, frames: &mut FrameWriter) -> Result<(), NotAdded> {
        let Some(pack) = self.open.take() else { return Ok(()) };
        self.full.send(pack.finish(frames)).map_err(|_| NotAdded::UploaderGone)
    }
}

/// Why a frame was not added.
#[derive(Debug)]
pub(super) enum NotAdded {
    /// The uploader failed, and tells why itself.
    UploaderGone,
    /// No pack could be opened.
    Failed(MapError),
}

impl From<MapError> for NotAdded {
    fn from(error: MapError) -> Self {
        Self::Failed(error)
    }
}

/// The map pack that all workers share.
pub(super) struct MapPacks<'p> {
    putting: Putting<'p>,
    frames: FrameWriter,
    open: Option<PackWriter>,
    buffer: Vec<u8>,
}

impl<'p> MapPacks<'p> {
    pub(super) fn new(putting: Putting<'p>) -> Self {
        let frames = FrameWriter::new(METADATA_COMPRESSION);
        Self { putting, frames, open: None, buffer: Vec::new() }
    }

    /// Adds a leaf and its hashes, in this order and in one pack.
    pub(super) fn add_leaf(&mut self, leaf: &[u8], ids: &[ContentId]) -> Result<LeafRef, MapError> {
        let frame = self.append(FrameType::Leaf, leaf)?;
        let hashes = self.append(FrameType::LeafHashes, &hashes_to_bytes(ids))?;
        self.close_if_full()?;
        Ok(LeafRef { frame, hashes_length: hashes.range.length })
    }

    pub(super) fn add_shard(&mut self, shard: &[u8]) -> Result<FrameRef, MapError> {
        let frame = self.append(FrameType::Shard, shard)?;
        self.close_if_full()?;
        Ok(frame)
    }

    fn append(&mut self, kind: FrameType, raw: &[u8]) -> Result<FrameRef, MapError> {
        let pack = match &mut self.open {
            Some(pack) => pack,
            none => {
                let buffer = std::mem::take(&mut self.buffer);
                none.insert(self.putting.target.open(PackClass::Map, buffer)?)
            }
        };
        let range = pack.add(&mut self.frames, kind, raw, None);
        Ok(FrameRef { pack: pack.id(), range })
    }

    fn close_if_full(&mut self) -> Result<(), MapError> {
        let full = self.open.as_ref().is_some_and(|pack| pack.length() >= MAP_PACK_LENGTH_TARGET);
        if full { self.close() } else { Ok(()) }
    }

    /// Puts the open pack, if there is one.
    pub(super) fn close(&mut self) -> Result<(), MapError> {
        let Some(pack) = self.open.take() else { return Ok(()) };
        let pack = pack.finish(&mut self.frames);
        self.putting.put(PackClass::Map, &pack)?;
        self.buffer = pack.bytes;
        Ok(())
    }
}
