//! What a session left that died before its backup was complete. Its packs are whole and known by
//! name; their directories say which contents are in them.

use crate::crypto::SymmetricKey;
use crate::frame::FrameRange;
use crate::ids::{ContentId, Digest, SessionId, StoreId};
use crate::log::PackSet;
use crate::map::entry::FrameRef;
use crate::names::{Name, PackClass, pack_prefix};
use crate::objects::{ObjectError, ObjectErrorKind, ObjectStore};
use crate::pack::{PackId, PackKeys, PackPlace, PackRow, pack_header, read_directory};

/// At most so many blocks are remembered, 64 GiB of contents in 14 MiB of memory: a backup that died
/// later than that is stored again beyond it.
const BLOCKS_MAX: usize = 512 << 10;

const LIST_PAGE: usize = 1000;

/// Blocks that dead sessions stored, found by their content.
#[derive(Debug, Default)]
pub struct Adopted {
    packs: Vec<(PackId, PackRow)>,
    /// Sorted.
    blocks: Vec<AdoptedBlock>,
    /// Objects that are no packs of these sessions.
    unusable: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AdoptedBlock {
    id: ContentId,
    pack: u32,
    range: FrameRange,
}

impl Adopted {
    /// Reads the data packs that these sessions left, but for those that were swept. Only the
    /// store's metadata key is needed: what is found can be referred to, not read.
    ///
    /// # Errors
    /// When the store cannot be asked. Damaged objects are passed over.
    pub fn load(
        objects: &dyn ObjectStore,
        store: StoreId,
        metadata: &SymmetricKey,
        sessions: &[SessionId],
        swept: &PackSet,
    ) -> Result<Self, ObjectError> {
        let mut adopted = Self::default();
        for session in sessions {
            let prefix = pack_prefix(PackClass::Data, store, Some(*session));
            let mut after: Option<String> = None;
            loop {
                let page = objects.list(&prefix, after.as_deref(), LIST_PAGE)?;
                let complete = page.len() < LIST_PAGE;
                after = page.last().map(|object| object.name.clone());
                for object in page {
                    let Some(place) = data_pack(store, &object.name) else { continue };
                    let is_swept = swept.contains(PackClass::Data, place.id);
                    if !is_swept && adopted.blocks.len() < BLOCKS_MAX {
                        adopted.add(objects, metadata, place)?;
                    }
                }
                if complete {
                    break;
                }
            }
        }
        adopted.blocks.sort_unstable();
        Ok(adopted)
    }

    fn add(
        &mut self,
        objects: &dyn ObjectStore,
        metadata: &SymmetricKey,
        place: PackPlace,
    ) -> Result<(), ObjectError> {
        let name = place.name();
        let bytes = match objects.read(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ObjectErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        // What a list shows may still be taken back by a crash of the store's machine.
        if objects.head(&name)?.is_none() {
            return Ok(());
        }
        let keys = PackKeys { content: metadata.clone(), metadata: metadata.clone() };
        let directory = read_directory(place, &keys, &bytes);
        let (Ok(directory), Ok(header)) = (directory, pack_header(place, &bytes)) else {
            self.unusable.push(name);
            return Ok(());
        };
        let length = u32::try_from(bytes.len()).expect("objects are at most 64 MiB");
        let row = PackRow { salt: header.salt, length, hash: Digest::of(&bytes) };
        let pack = u32::try_from(self.packs.len()).expect("a session has fewer packs");
        self.packs.push((place.id, row));
        let room = BLOCKS_MAX - self.blocks.len();
        let blocks = directory.into_iter().take(room);
        self.blocks.extend(blocks.map(|(id, range)| AdoptedBlock { id, pack, range }));
        Ok(())
    }

    /// Where contents with this id are.
    pub(super) fn find(&self, id: ContentId) -> Option<FrameRef> {
        let place = self.blocks.partition_point(|block| block.id < id);
        let block = self.blocks.get(place).filter(|block| block.id == id)?;
        let (pack, _) = self.packs.get(block.pack as usize)?;
        Some(FrameRef { pack: *pack, range: block.range })
    }

    /// All packs that were read, and their rows.
    pub fn packs(&self) -> &[(PackId, PackRow)] {
        &self.packs
    }

    /// How many blocks they hold.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Objects in the place of packs that are damaged or somebody else's.
    pub fn unusable(&self) -> &[String] {
        &self.unusable
    }
}

fn data_pack(store: StoreId, name: &str) -> Option<PackPlace> {
    match Name::parse(name)? {
        Name::Pack(class @ PackClass::Data, of, session, number) if of == store => {
            Some(PackPlace { class, store, id: PackId { session, number } })
        }
        _ => None,
    }
}
