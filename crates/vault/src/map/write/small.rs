//! Small files: many in one frame.

use crate::frame::{FrameType, RAW_LENGTH_MAX};
use crate::ids::ContentId;
use crate::map::entry::{EagerRef, INLINE_LENGTH_MAX};
use crate::map::progress::Step;
use crate::map::write::{Halt, SourceKind, Worker, WrittenSmall};
use crate::names::PackClass;

/// A small file in the frame that is being gathered.
struct Gathered {
    file: usize,
    offset: usize,
    size: usize,
    id: ContentId,
}

impl Worker<'_, '_> {
    /// Stores small files, in frames of their own pack.
    pub(super) fn small_files(&mut self, files: &[usize]) -> Result<(), Halt> {
        if !self.writes_small {
            self.packs.close(&mut self.frames)?;
            self.writes_small = true;
        }
        self.buffer.clear();
        let mut gathered = Vec::new();
        for file in files {
            self.shared.check()?;
            let SourceKind::File { size } = self.shared.job.plan[*file].kind else { continue };
            let size = usize::try_from(size).unwrap_or(RAW_LENGTH_MAX);
            if self.buffer.len() + size > RAW_LENGTH_MAX {
                self.store_gathered(&mut gathered)?;
            }
            let written = self.small_file(*file, size, &mut gathered)?;
            if let Some(written) = written {
                self.outcome.small.insert(*file, written);
            }
        }
        self.store_gathered(&mut gathered)
    }

    /// Reads a small file behind those gathered so far, and takes it back out if it need not be
    /// stored.
    fn small_file(
        &mut self,
        file: usize,
        size: usize,
        gathered: &mut Vec<Gathered>,
    ) -> Result<Option<WrittenSmall>, Halt> {
        let start = self.buffer.len();
        if size > 0 {
            let opened = self.shared.job.source.open(file, 0..size as u64);
            let opened = opened.map_err(|error| self.source_error(file, 0, error))?;
            let Some(mut reader) = opened else { return Ok(Some(WrittenSmall::Gone)) };
            self.buffer.resize(start + size, 0);
            let read = reader.read_at(0, &mut self.buffer[start..]);
            let read = read.map_err(|error| self.source_error(file, 0, error))?;
            self.buffer.truncate(start + read);
            self.outcome.counters.read_bytes += read as u64;
            let raw_bytes = read as u64;
            self.shared.putting.progress.advance(Step { raw_bytes, files: 1, ..Step::default() });
        }
        let bytes = &self.buffer[start..];
        if bytes.len() <= INLINE_LENGTH_MAX {
            let written = WrittenSmall::Inline(bytes.into());
            self.buffer.truncate(start);
            return Ok(Some(written));
        }
        let (id, length) = (self.shared.job.target.content_ids.id(bytes), bytes.len());
        match self.shared.base.small(self.shared.job, file) {
            Some((place, size)) if place.id == id && size == length as u64 => {
                self.buffer.truncate(start);
                self.outcome.referenced.insert(PackClass::Data, place.frame.pack);
                Ok(Some(WrittenSmall::Eager { size, place }))
            }
            _ => {
                gathered.push(Gathered { file, offset: start, size: length, id });
                Ok(None)
            }
        }
    }

    fn store_gathered(&mut self, gathered: &mut Vec<Gathered>) -> Result<(), Halt> {
        if gathered.is_empty() {
            return Ok(());
        }
        let frame = self.packs.add(&mut self.frames, FrameType::Eager, &self.buffer, None)?;
        for Gathered { file, offset, size, id } in gathered.drain(..) {
            let offset = u32::try_from(offset).expect("a frame holds at most 1 MiB");
            let place = EagerRef { frame, offset, id };
            self.outcome.small.insert(file, WrittenSmall::Eager { size: size as u64, place });
        }
        self.buffer.clear();
        Ok(())
    }
}
