//! A backup looked over before it is restored: how large it is where, and how fast its contents can
//! be read and opened here.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use soter_vault::contents::with_map;
use soter_vault::map::{
    EntryKind, FileEntry, LoadedMap, NoProgress, RestoreOptions, SessionKeys, Sink, SinkFile,
    restore,
};
use soter_world::{Clock, Stop};

use super::choice::Choice;
use super::error::RestoreError;
use super::gather::{Gathered, StoreReader};
use crate::backup::tree::TABLESPACES_PREFIX;

/// Contents that a probe reads and opens: enough for a rate, read in a second or two.
const PROBE_BYTES_MAX: u64 = 64 << 20;

/// How many bytes of files a backup has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sizes {
    /// In the data directory, configuration from elsewhere among them.
    pub data_bytes: u64,
    /// In tablespaces, by number.
    pub tablespace_bytes: BTreeMap<String, u64>,
}

/// Contents that were read and opened, and written nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// How much.
    pub bytes: u64,
    /// In what time.
    pub took: Duration,
}

impl Probe {
    /// How long so much more would take at the same rate; `None` if too little was read to say.
    pub fn forecast(&self, bytes: u64) -> Option<Duration> {
        let part = bytes as f64 / self.bytes as f64;
        let seconds = self.took.as_secs_f64() * part;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

impl StoreReader<'_> {
    /// Opens the map of the chosen backup.
    pub(super) fn with_map<T>(
        &self,
        gathered: &Gathered,
        choice: &Choice,
        act: impl FnOnce(&LoadedMap<'_>, SessionKeys<'_>) -> Result<T, RestoreError>,
    ) -> Result<T, RestoreError> {
        with_map(&gathered.log, self.keys, choice.backup, act)
    }

    /// How large the chosen backup is where.
    ///
    /// # Errors
    /// When its table of files cannot be read.
    pub fn sizes(&self, gathered: &Gathered, choice: &Choice) -> Result<Sizes, RestoreError> {
        self.with_map(gathered, choice, |map, _| {
            let mut sizes = Sizes::default();
            for entry in map.files() {
                let entry = entry?;
                let EntryKind::File { size, .. } = entry.kind else { continue };
                let inside = entry.path.as_path().strip_prefix(TABLESPACES_PREFIX).ok();
                let tablespace = inside.and_then(|inside| inside.components().next());
                match tablespace {
                    Some(number) => {
                        let number = number.as_os_str().to_string_lossy().into_owned();
                        *sizes.tablespace_bytes.entry(number).or_default() += size;
                    }
                    None => sizes.data_bytes += size,
                }
            }
            Ok(sizes)
        })
    }

    /// Reads and opens some of the chosen backup's contents, and writes nothing; `None` if there is
    /// nothing small enough for it.
    ///
    /// # Errors
    /// As a restore, which would fail at the same place.
    pub fn probe(
        &self,
        gathered: &Gathered,
        choice: &Choice,
        workers: usize,
        clock: &dyn Clock,
    ) -> Result<Option<Probe>, RestoreError> {
        let left = AtomicU64::new(PROBE_BYTES_MAX);
        let take = |size: u64| {
            let without = |left: u64| left.checked_sub(size);
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, without).is_ok()
        };
        let select = |entry: &FileEntry| match entry.kind {
            EntryKind::File { size, .. } => take(size),
            _ => false,
        };
        let options = RestoreOptions { workers, select: &select };
        let begun = clock.monotonic();
        let restored = self.with_map(gathered, choice, |map, keys| {
            Ok(restore(map, keys, &Nowhere, options, &NoProgress, &Stop::new())?)
        })?;
        let took = clock.monotonic().saturating_sub(begun);
        Ok((restored.bytes > 0).then_some(Probe { bytes: restored.bytes, took }))
    }
}

/// Files that are not written.
struct Nowhere;

impl Sink for Nowhere {
    fn directory(&self, _: &FileEntry) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, _: &FileEntry, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn file(&self, _: &FileEntry, _: u64) -> io::Result<Box<dyn SinkFile>> {
        Ok(Box::new(Self))
    }
}

impl SinkFile for Nowhere {
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_much_takes_twice_as_long() {
        let probe = Probe { bytes: 1 << 20, took: Duration::from_millis(10) };
        assert_eq!(probe.forecast(200 << 20), Some(Duration::from_secs(2)));
        assert_eq!(probe.forecast(0), Some(Duration::ZERO));
    }
}
