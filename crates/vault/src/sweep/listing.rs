//! What a store has in a vault, as a list shows it: a hint.

use std::collections::BTreeSet;

use crate::ids::{IncarnationId, StoreId};
use crate::keys::Trust;
use crate::names::{self, Name, PackClass, split_repair};
use crate::objects::{ObjectError, ObjectErrorKind, ObjectInfo, ObjectStore};
use crate::wal::{Archive, Head, SegmentSize};

/// How many names a list call asks for: what S3 gives at once.
const LIST_PAGE: usize = 1000;

/// A head of a WAL file is at most this long.
const HEAD_LENGTH: usize = 16 << 10;

/// Objects that may become garbage: packs, WAL, parts. Others never do.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    objects: Vec<Listed>,
}

/// An object and what its name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the place knows of it.
    pub info: ObjectInfo,
    /// Its name without a repair's number.
    pub name: Name,
}

impl Listing {
    /// Lists everything of `store` that may become garbage.
    ///
    /// # Errors
    /// The place's.
    pub fn read(objects: &dyn ObjectStore, store: StoreId) -> Result<Self, ObjectError> {
        let mut listing = Self::default();
        for prefix in [
            names::pack_prefix(PackClass::Data, store, None),
            names::pack_prefix(PackClass::Map, store, None),
            format!("wal/{store}/"),
            format!("live/{store}/"),
        ] {
            let mut after: Option<String> = None;
            loop {
                let page = objects.list(&prefix, after.as_deref(), LIST_PAGE)?;
                let is_last = page.len() < LIST_PAGE;
                after = page.last().map(|info| info.name.clone());
                listing.objects.extend(page.into_iter().filter_map(Listed::of));
                if is_last {
                    break;
                }
            }
        }
        Ok(listing)
    }

    /// The objects.
    pub fn objects(&self) -> &[Listed] {
        &self.objects
    }

    /// The incarnations that have WAL here.
    pub(crate) fn incarnations(&self) -> BTreeSet<IncarnationId> {
        self.objects.iter().filter_map(Listed::incarnation).collect()
    }

    /// The size of an incarnation's segments, from the first sealed one that can be believed.
    pub(crate) fn read_segment_size(
        &self,
        objects: &dyn ObjectStore,
        trust: &Trust,
        incarnation: IncarnationId,
    ) -> Result<Option<SegmentSize>, ObjectError> {
        for listed in &self.objects {
            let Name::Wal(wal) = &listed.name else { continue };
            if wal.incarnation != incarnation || wal.file.len() != 24 {
                continue;
            }
            let bytes = match objects.read_range(&listed.info.name, 0, HEAD_LENGTH) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ObjectErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let Ok(head) = Head::parse(&bytes) else { continue };
            let size = head.span.and_then(|(from, to)| u32::try_from(to - from).ok());
            let Some(segment_size) = size.and_then(SegmentSize::new) else { continue };
            let archive = Archive { store: wal.store, incarnation, segment_size };
            let file = archive.file(&wal.file);
            if file.is_some_and(|file| head.check(&file, trust).is_ok()) {
                return Ok(Some(segment_size));
            }
        }
        Ok(None)
    }
}

impl Listed {
    fn of(info: ObjectInfo) -> Option<Self> {
        // Whatever is not ours is left alone.
        let name = Name::parse(split_repair(&info.name).0)?;
        Some(Self { info, name })
    }

    fn incarnation(&self) -> Option<IncarnationId> {
        match &self.name {
            Name::Wal(wal) => Some(wal.incarnation),
            Name::WalIndex(_, incarnation, _, _) => Some(*incarnation),
            Name::Live(part) => Some(part.incarnation),
            Name::VaultRecord
            | Name::Trust(_)
            | Name::Log(..)
            | Name::Checkpoint(..)
            | Name::Pack(..)
            | Name::Plan(_)
            | Name::Run(..) => None,
        }
    }
}
