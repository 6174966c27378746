//! Getting frames out of packs: neighbours in one read, and from a repair when the pack itself does
//! not give them.

use crate::crypto::{ObjectKey, SymmetricKey};
use crate::frame::{FrameError, FrameReader, FrameType};
use crate::ids::StoreId;
use crate::map::entry::FrameRef;
use crate::map::error::DamageCause;
use crate::names::{PackClass, REPAIRS_MAX, repair_of};
use crate::objects::{ObjectError, ObjectErrorKind, ObjectStore};
use crate::pack::{PackId, PackKeys, PackPlace, PackRow};

/// One read of an object is at most this long: few requests, and little memory for each worker.
pub(super) const READ_LENGTH_MAX: u32 = 4 << 20;

/// Frames with this little between them are read together: on a remote store the bytes cost less
/// than another request.
const READ_GAP_MAX: u32 = 64 << 10;

/// The packs of a store, as the signed tables of its log describe them.
pub type PackLookup<'a> = &'a (dyn Fn(PackClass, PackId) -> Option<PackRow> + Sync);

/// Frames of one or several packs that are one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadRange {
    pub(super) pack: PackId,
    pub(super) offset: u32,
    pub(super) length: u32,
    /// Which of the frames it was planned from: `first..end`.
    pub(super) first: usize,
    pub(super) end: usize,
}

/// Gathers frames, which must be sorted, into reads.
pub(super) fn plan_reads(frames: &[FrameRef]) -> Vec<ReadRange> {
    let mut reads: Vec<ReadRange> = Vec::new();
    for (index, FrameRef { pack, range }) in frames.iter().enumerate() {
        let end = range.offset + range.length;
        if let Some(last) = reads.last_mut()
            && last.pack == *pack
            && range.offset <= last.offset + last.length + READ_GAP_MAX
            && end.max(last.offset + last.length) - last.offset <= READ_LENGTH_MAX
        {
            last.length = end.max(last.offset + last.length) - last.offset;
            last.end = index + 1;
        } else {
            let (offset, length) = (range.offset, range.length);
            reads.push(ReadRange { pack: *pack, offset, length, first: index, end: index + 1 });
        }
    }
    reads
}

/// Why a frame was not had.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The vault does not have it.
    Damaged(DamageCause),
    /// The vault could not be asked.
    Store(ObjectError),
}

/// Reads packs of one store.
#[derive(Clone, Copy)]
pub(super) struct Fetch<'a> {
    pub(super) objects: &'a dyn ObjectStore,
    pub(super) store: StoreId,
    pub(super) rows: PackLookup<'a>,
}

/// A pack that is open for reading.
pub(super) struct OpenPack<'a> {
    objects: &'a dyn ObjectStore,
    pub(super) name: String,
    key: ObjectKey,
}

impl<'a> Fetch<'a> {
    /// The name of a pack.
    pub(super) fn name(&self, class: PackClass, pack: PackId) -> String {
        self.place(class, pack).name()
    }

    fn place(&self, class: PackClass, id: PackId) -> PackPlace {
        PackPlace { class, store: self.store, id }
    }

    /// Derives the key of a pack. Reads nothing: the salt is in the signed table.
    pub(super) fn pack(
        &self,
        class: PackClass,
        pack: PackId,
        key: &SymmetricKey,
    ) -> Result<OpenPack<'a>, DamageCause> {
        let row = (self.rows)(class, pack).ok_or(DamageCause::Unknown)?;
        let place = self.place(class, pack);
        let keys = PackKeys { content: key.clone(), metadata: key.clone() };
        let key = place.content_key(&keys, row.salt);
        Ok(OpenPack { objects: self.objects, name: place.name(), key })
    }
}

impl OpenPack<'_> {
    /// The bytes of a planned read; fewer when the object ends before.
    pub(super) fn read(&self, read: &ReadRange) -> Result<Vec<u8>, ObjectError> {
        self.objects.read_range(&self.name, u64::from(read.offset), read.length as usize)
    }

    /// Opens one frame of a read that was made; from a repair if it does not open.
    pub(super) fn open(
        &self,
        frames: &mut FrameReader,
        kind: FrameType,
        frame: &FrameRef,
        (read, bytes): (&ReadRange, &[u8]),
        raw: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        let start = (frame.range.offset - read.offset) as usize;
        let sealed = bytes.get(start..start + frame.range.length as usize).unwrap_or_default();
        let offset = u64::from(frame.range.offset);
        match frames.open_as(kind, &self.key, offset, sealed, raw) {
            Ok(()) => Ok(()),
            Err(error) => self.fetch_repair(frames, kind, frame, error, raw),
        }
    }

    /// Reads and opens one frame.
    pub(super) fn fetch(
        &self,
        frames: &mut FrameReader,
        kind: FrameType,
        frame: &FrameRef,
        raw: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        let read = plan_reads(std::slice::from_ref(frame))[0];
        match self.read(&read) {
            Ok(bytes) => self.open(frames, kind, frame, (&read, &bytes), raw),
            Err(error) => self.fetch_elsewhere(frames, kind, frame, error, raw),
        }
    }

    /// After the object itself could not be read: the same frame from a repair.
    pub(super) fn fetch_elsewhere(
        &self,
        frames: &mut FrameReader,
        kind: FrameType,
        frame: &FrameRef,
        error: ObjectError,
        raw: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        if error.kind() != ObjectErrorKind::NotFound {
            return Err(FetchError::Store(error));
        }
        match self.fetch_repair(frames, kind, frame, FrameError::Short, raw) {
            Err(FetchError::Damaged(DamageCause::Frame(FrameError::Short))) => {
                Err(FetchError::Damaged(DamageCause::Missing))
            }
            other => other,
        }
    }

    /// A repair has the same bytes as the object should have, and a frame that opens under the
    /// object's key is the right one.
    fn fetch_repair(
        &self,
        frames: &mut FrameReader,
        kind: FrameType,
        frame: &FrameRef,
        first_error: FrameError,
        raw: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        let offset = u64::from(frame.range.offset);
        for number in 1..=REPAIRS_MAX {
            let name = repair_of(&self.name, number);
            let bytes = match self.objects.read_range(&name, offset, frame.range.length as usize) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ObjectErrorKind::NotFound => continue,
                Err(error) => return Err(FetchError::Store(error)),
            };
            if frames.open_as(kind, &self.key, offset, &bytes, raw).is_ok() {
                return Ok(());
            }
        }
        Err(FetchError::Damaged(first_error.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::FrameRange;
    use crate::ids::SessionId;

    proptest! {
        #[test]
        fn every_frame_is_in_its_read(
            places in proptest::collection::vec((0..3u32, 64..30_000_000u32, 28..200_000u32), 0..60)
        ) {
            let mut frames: Vec<_> = places
                .into_iter()
                .map(|(number, offset, length)| FrameRef {
                    pack: PackId { session: SessionId([1; 8]), number },
                    range: FrameRange { offset, length },
                })
                .collect();
            frames.sort_unstable();
            let reads = plan_reads(&frames);
            let mut next = 0;
            for read in &reads {
                prop_assert_eq!(read.first, next);
                prop_assert!(read.length <= READ_LENGTH_MAX);
                for FrameRef { pack, range } in &frames[read.first..read.end] {
                    prop_assert_eq!(*pack, read.pack);
                    prop_assert!(range.offset >= read.offset);
                    prop_assert!(range.offset + range.length <= read.offset + read.length);
                }
                next = read.end;
            }
            prop_assert_eq!(next, frames.len());
        }
    }

    #[test]
    fn neighbours_are_read_together() {
        let frame = |number, offset| FrameRef {
            pack: PackId { session: SessionId([1; 8]), number },
            range: FrameRange { offset, length: 40_000 },
        };
        let frames: Vec<_> = (0..200).map(|n| frame(0, 64 + n * 40_000)).collect();
        assert_eq!(plan_reads(&frames).len(), 2, "8 MB in reads of up to 4 MiB");
        assert_eq!(plan_reads(&[frame(0, 64), frame(0, 500_000), frame(1, 64)]).len(), 3);
    }
}
