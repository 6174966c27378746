//! Up to where a store's log was read for a data directory, so that archiving a segment need not
//! read all of it again.
//!
//! A file beside the marker, written by whoever read the whole log. It says nothing that the log
//! does not say, so it may be lost, stale or damaged: then the log is read. The rule: it is believed
//! only as long as the marker says the same, the trust lists are those of then, and nothing was
//! appended since that names another incarnation.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use soter_vault::ids::IncarnationId;
use soter_vault::keys::Trust;
use soter_vault::log::{Catalogue, Event, LogError, LogHead, Tail};
use soter_vault::vault::Vault;
use soter_world::{Disk, durable};

use super::{Marker, current, owned_temporary};

/// The file's name in the data directory.
pub const SEEN_NAME: &str = "soter.seen";

/// It is one line; a longer file is something else.
const LENGTH_MAX: usize = 4096;

/// After so many entries more the file is written anew. Each entry costs every segment a read;
/// writing costs about as much as twenty of them.
const TAIL_MAX: usize = 32;

/// Up to where a log was read, and what it amounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    head: LogHead,
    /// The newest trust list of then: another one may judge old entries otherwise.
    trust_number: u32,
    incarnation: IncarnationId,
}

impl Seen {
    /// What a log amounts to that was read as a whole; `None` while it names no incarnation.
    pub fn of(catalogue: &Catalogue, trust: &Trust) -> Option<Self> {
        let (head, trust_number) = (catalogue.head()?, trust.newest().number);
        current(catalogue).map(|it| Self { head, trust_number, incarnation: it.id })
    }

    /// The incarnation whose history the directory with this marker continues, if what was seen
    /// before and what came since say so. `None`: read the whole log.
    ///
    /// # Errors
    /// The store's.
    pub fn incarnation(
        disk: &dyn Disk,
        data_directory: &Path,
        marker: &Marker,
        vault: &Vault,
        trust: &Trust,
    ) -> Result<Option<IncarnationId>, LogError> {
        let Some(seen) = Self::load(disk, data_directory) else { return Ok(None) };
        let is_of_now = seen.trust_number == trust.newest().number;
        if !is_of_now || seen.incarnation != marker.incarnation {
            return Ok(None);
        }
        let Some(tail) = Tail::read(vault, marker.store, trust, seen.head)? else {
            return Ok(None);
        };
        if tail.events.iter().any(|event| names_another(event, seen.incarnation)) {
            return Ok(None);
        }
        if tail.events.len() >= TAIL_MAX {
            Self { head: tail.head, ..seen }.save(disk, data_directory);
        }
        Ok(Some(seen.incarnation))
    }

    /// Remembers it, with the data directory's owner. When that fails the log is read once more.
    pub fn save(&self, disk: &dyn Disk, data_directory: &Path) {
        drop(self.write(disk, data_directory));
    }

    fn write(&self, disk: &dyn Disk, data_directory: &Path) -> io::Result<()> {
        let path = data_directory.join(SEEN_NAME);
        let text = serde_json::to_string(self).expect("ids and numbers can be written") + "\n";
        let temporary = owned_temporary(disk, &path, text.as_bytes())?;
        let renamed = disk.rename(&temporary, &path);
        renamed.inspect_err(|_| drop(disk.remove_file(&temporary)))
    }

    fn load(disk: &dyn Disk, data_directory: &Path) -> Option<Self> {
        let bytes = durable::read(disk, &data_directory.join(SEEN_NAME), LENGTH_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Whether an entry may make another incarnation the current one.
fn names_another(event: &Event, known: IncarnationId) -> bool {
    match event {
        Event::Open(open) => open.incarnation.as_ref().is_some_and(|named| named.id != known),
        // The one carries a session of another vault, the other who knows what.
        Event::Import(_) | Event::Unknown(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use soter_vault::log::{Duty, Incarnation, Log, Opening, Session, TakeOver};
    use soter_vault::objects::{MemoryStore, Metered, ObjectStore};
    use soter_vault::testing::TestVault;
    use soter_world::OsDisk;
    use soter_world::sim::{SeededRandom, SimClock};

    use super::*;
    use crate::cluster::SystemIdentifier;

    /// A vault whose requests are counted, and a data directory.
    struct Scene {
        metered: Arc<Metered>,
        vault: TestVault,
        directory: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let clock = Arc::new(SimClock::new());
            let memory = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
            let metered = Arc::new(Metered::new(memory));
            let objects = Arc::clone(&metered) as Arc<dyn ObjectStore>;
            let random = Arc::new(SeededRandom::new(5));
            let vault = TestVault::create(objects, clock, random, "orders").unwrap();
            Self { metered, vault, directory: tempfile::tempdir().unwrap() }
        }

        fn log(&self) -> Log {
            let TestVault { vault, store, trust, .. } = &self.vault;
            Log::open(vault, *store, trust.clone(), None).unwrap()
        }

        fn open(&self, incarnation: u8) -> Session {
            let (id, bound_to) = (IncarnationId([incarnation; 8]), "postgres".to_owned());
            let opening = Opening {
                duty: Duty::Base,
                agent: "db1".to_owned(),
                incarnation: Some(Incarnation { id, bound_to }),
                take_over: TakeOver::OwnOnly,
                content: Vec::new(),
            };
            Session::open(self.log(), &self.vault.writer_keys().unwrap(), opening).unwrap()
        }

        fn read_all(&self) {
            let seen = Seen::of(self.log().catalogue(), &self.vault.trust).unwrap();
            seen.save(&OsDisk, self.directory.path());
        }

        /// What is said to a directory of this life, and how many reads that took.
        fn ask(&self, incarnation: u8) -> (Option<IncarnationId>, u64) {
            let marker = Marker {
                store: self.vault.store,
                incarnation: IncarnationId([incarnation; 8]),
                system_identifier: SystemIdentifier(1),
            };
            let before = self.metered.counts().reads;
            let TestVault { vault, trust, .. } = &self.vault;
            let directory = self.directory.path();
            let said = Seen::incarnation(&OsDisk, directory, &marker, vault, trust).unwrap();
            (said, self.metered.counts().reads - before)
        }
    }

    #[test]
    fn the_log_is_not_read_again_however_long_it_is() {
        let scene = Scene::new();
        assert_eq!(scene.ask(1), (None, 0), "nothing was seen");
        scene.open(1);
        scene.read_all();
        for appended in 0..3 * TAIL_MAX as u64 {
            let (said, reads) = scene.ask(1);
            assert_eq!(said, Some(IncarnationId([1; 8])), "after {appended}");
            assert!(reads <= 1 + TAIL_MAX as u64, "{reads} reads after {appended}");
            scene.open(1);
        }
    }

    #[test]
    fn another_incarnation_is_never_overlooked() {
        let scene = Scene::new();
        scene.open(1);
        scene.read_all();
        assert_eq!(scene.ask(2).0, None, "the marker is of another life");
        scene.open(2);
        assert_eq!(scene.ask(1).0, None, "another life was begun");
        scene.read_all();
        assert_eq!(scene.ask(1).0, None, "and is the current one");
        assert_eq!(scene.ask(2).0, Some(IncarnationId([2; 8])));
    }

    #[test]
    fn other_trust_lists_and_other_files_do_not_count() {
        let scene = Scene::new();
        scene.open(1);
        scene.read_all();
        let path = scene.directory.path().join(SEEN_NAME);
        let whole = std::fs::read_to_string(&path).unwrap();
        let older = whole.replace("\"trust_number\":1", "\"trust_number\":0");
        assert_ne!(older, whole);
        for text in [older.as_str(), "", "{}", whole.trim_end_matches("}\n")] {
            let file = std::fs::File::create(&path).unwrap();
            io::Write::write_all(&mut &file, text.as_bytes()).unwrap();
            assert_eq!(scene.ask(1).0, None, "{text}");
        }
    }
}
