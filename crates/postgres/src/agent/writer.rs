//! The agent's side of the vault: a session, and what is stored beside the stream.

use soter_vault::ids::{IncarnationId, SessionId};
use soter_vault::keys::ErrorKind as VaultErrorKind;
use soter_vault::log::{Catalogue, Duty, Incarnation, Log, LogError, Opening};
use soter_vault::wal::{
    Archive, Sealer, SegmentSize as VaultSegmentSize, WalBytes, WalError, WalFacts,
};

use super::engine::{Writer, chain};
use super::machine::Trouble;
use super::settings::Keyring;
use super::shared::Shared;
use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::incarnation::{self, Marker, MarkerError};
use crate::lsn::SegmentSize;

/// How many sessions are remembered that could not be opened: only the last one can be the newest.
const ATTEMPTS_MAX: usize = 8;

/// Which life of the cluster a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// That of this server, whose data directory must have its marker.
    OfServer(SystemIdentifier, MajorVersion),
    /// This one, which must be the log's newest: it was written down when its WAL was received.
    Marked(IncarnationId),
}

impl Shared<'_> {
    /// Opens a session in the vault, and so supersedes the one before.
    pub(crate) fn open_writer(&self, life: Life, size: SegmentSize) -> Result<Writer, Trouble> {
        let settings = self.settings;
        let (trust_number, head) = {
            let desk = self.desk();
            (desk.memory.trust_number, desk.memory.head)
        };
        let Keyring { vault, trust, keys } = (self.around.open)(trust_number)?;
        let log = Log::open(&vault, keys.store, trust, head).map_err(|e| log_trouble(&e))?;
        let trust = log.trust().clone();
        let life = self.life(life, log.catalogue())?;
        let incarnation = life.id;
        let opening = Opening {
            duty: Duty::Wal,
            agent: settings.agent.clone(),
            incarnation: Some(life),
            take_over: settings.take_over,
            content: b"{\"reason\":\"agent\"}".to_vec(),
        };
        let store = keys.store;
        let id = SessionId::random(&*self.around.world.random);
        self.note_attempt(id);
        let session = incarnation::open_session_as(id, log, &keys, opening);
        let session = session.map_err(|error| log_trouble(&error))?;
        let head = session.log().catalogue().head();
        {
            let mut desk = self.desk();
            // Only those are of interest that came to nothing, as far as we know.
            desk.attempts.retain(|attempt| *attempt != id);
            desk.memory.head = head;
            desk.memory.trust_number = trust.newest().number;
        }
        self.save_memory();
        let segment_size = VaultSegmentSize::new(size.bytes())
            .ok_or_else(|| Trouble::Lasting("the segment size is none".to_owned()))?;
        Ok(Writer { session, trust, archive: Archive { store, incarnation, segment_size } })
    }

    fn note_attempt(&self, id: SessionId) {
        let attempts = &mut self.desk().attempts;
        if attempts.len() == ATTEMPTS_MAX {
            attempts.pop_front();
        }
        attempts.push_back(id);
    }

    /// Whether what has superseded a writer is a session that we tried to open ourselves, the answer
    /// to which was lost.
    pub(crate) fn is_superseded_by_own_attempt(&self, writer: &Writer) -> bool {
        let log = writer.session.log();
        let newest = log.catalogue().newest_session(Duty::Wal).map(|session| session.id);
        drop(log);
        newest.is_some_and(|newest| self.desk().attempts.contains(&newest))
    }

    fn life(&self, life: Life, catalogue: &Catalogue) -> Result<Incarnation, Trouble> {
        let world = &self.around.world;
        match life {
            Life::OfServer(identifier, version) => {
                let (disk, data) = (&*world.disk, &self.settings.data_directory);
                let cluster = (identifier, version);
                incarnation::establish(disk, data, catalogue, cluster, &*world.random)
                    .map_err(|error| marker_trouble(&error))
            }
            Life::Marked(id) => match incarnation::current(catalogue) {
                Some(current) if current.id == id => Ok(current),
                _ => Err(Trouble::Input(format!("the store is at another life than {id}"))),
            },
        }
    }

    /// Whether the data directory still continues the history that is being written.
    pub(crate) fn check_marker(
        &self,
        writer: &Writer,
        system_identifier: SystemIdentifier,
    ) -> Result<(), Trouble> {
        let Archive { store, incarnation, .. } = writer.archive;
        let expected = Marker { store, incarnation, system_identifier };
        let found = Marker::read(&*self.around.world.disk, &self.settings.data_directory);
        found
            .and_then(|found| Marker::check(found, &expected))
            .map_err(|error| marker_trouble(&error))
    }

    /// Stores a timeline's history file.
    pub(crate) fn push_history(
        &self,
        writer: &Writer,
        name: &str,
        content: &[u8],
    ) -> Result<(), Trouble> {
        let file = writer.archive.file(name);
        let file = file.ok_or_else(|| Trouble::Lasting(format!("{name:?} is no history file")))?;
        let world = &self.around.world;
        let compression = self.settings.compression;
        let sealer = Sealer::new(writer.session.keys(), &*world.random, compression, 1);
        let mut source = WalBytes { bytes: content, facts: WalFacts::default() };
        match writer.wal(&*world.clock).push(&sealer, &file, &mut source) {
            Ok(pushed) => {
                for finding in &pushed.findings {
                    self.find(&finding.to_string());
                }
                Ok(())
            }
            Err(error @ WalError::Conflict { .. }) => Err(Trouble::Input(format!(
                "{}: another server has begun a timeline of the same number",
                chain(&error)
            ))),
            Err(error) => Err(Trouble::Passing(chain(&error))),
        }
    }
}

fn marker_trouble(error: &MarkerError) -> Trouble {
    Trouble::Input(format!("{}; {}", chain(error), error.hint()))
}

/// What follows from an error of the log.
fn log_trouble(error: &LogError) -> Trouble {
    let said = chain(error);
    if let LogError::HeldByAnother { .. } = error {
        return Trouble::Superseded(said);
    }
    match error.kind() {
        VaultErrorKind::Superseded => Trouble::Superseded(said),
        VaultErrorKind::Input => Trouble::Input(said),
        VaultErrorKind::Damaged => Trouble::Lasting(said),
        VaultErrorKind::Retry | VaultErrorKind::NotFound | VaultErrorKind::Failed => {
            Trouble::Passing(said)
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use soter_vault::objects::ObjectStore;
    use soter_world::{OsDisk, Stop};

    use super::*;
    use crate::agent::memory::Memory;
    use crate::agent::scene::Scene;
    use crate::agent::settings::Surroundings;

    /// Opens a second session while the vault dies in the n-th operation, and asks the first one
    /// who has superseded it. `None` when it was not.
    fn opening_dies_in(operation: u64, seed: u64, is_over: &mut bool) -> Option<bool> {
        let scene = Scene::new(1000 * seed + operation);
        drop(scene.writer().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let settings = Scene::settings(directory.path());
        let open = |_| Ok(scene.keyring());
        let (world, next_backup) = (scene.world(), |_: Timestamp| None);
        let around = Surroundings { world, open: &open, next_backup: &next_backup, say: &|_| () };
        let shared = Shared::new(&settings, &around, Memory::default(), Stop::new());
        let life = Life::Marked(scene.archive.incarnation);
        let first = shared.open_writer(life, scene.size).unwrap();
        scene.store.crash_at(scene.store.operations() + operation);
        let second = shared.open_writer(life, scene.size);
        *is_over = !scene.store.has_crashed();
        scene.store.revive();
        let outcome = match first.session.check_fence() {
            Err(LogError::Superseded { .. }) if second.is_err() => {
                Some(shared.is_superseded_by_own_attempt(&first))
            }
            _ => None,
        };
        // Somebody else is somebody else.
        drop(scene.writer().unwrap());
        assert!(first.session.check_fence().is_err());
        assert!(!shared.is_superseded_by_own_attempt(&first));
        outcome
    }

    #[test]
    fn a_session_whose_opening_was_not_answered_is_known_again() {
        let mut known = 0;
        for seed in 0..4 {
            let (mut is_over, mut operations) = (false, 0..);
            while !is_over && let Some(operation) = operations.next() {
                if let Some(is_own) = opening_dies_in(operation, seed, &mut is_over) {
                    assert!(is_own, "operation {operation} of seed {seed}");
                    known += 1;
                }
            }
        }
        assert!(known > 0, "it was never opened without an answer");
    }

    /// Ten entries of the log are taken back: the next agent, of another process, is not fooled.
    #[test]
    fn a_log_that_was_rolled_back_is_noticed_by_the_agent_that_comes_next() {
        let scene = Scene::new(77);
        let directory = tempfile::tempdir().unwrap();
        let settings = Scene::settings(directory.path());
        let open = |_| Ok(scene.keyring());
        let (world, next_backup) = (scene.world(), |_: Timestamp| None);
        let around = Surroundings { world, open: &open, next_backup: &next_backup, say: &|_| () };
        let life = Life::Marked(scene.archive.incarnation);
        let open_as_agent = || {
            let memory = Memory::load(&OsDisk, directory.path()).unwrap();
            let shared = Shared::new(&settings, &around, memory, Stop::new());
            shared.open_writer(life, scene.size)
        };
        drop(scene.writer().unwrap());
        for _ in 0..12 {
            drop(open_as_agent().unwrap());
        }
        let entries = scene.store.list("log/", None, 1000).unwrap();
        for entry in entries.iter().rev().take(10) {
            scene.store.delete(&entry.name).unwrap();
        }
        match open_as_agent() {
            Err(Trouble::Lasting(why)) => assert!(why.contains("log"), "{why}"),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("the agent goes on in a log that was rolled back"),
        }
    }
}
