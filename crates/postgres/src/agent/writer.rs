//! The agent's side of the vault: a session, and what is stored beside the stream.

use soter_vault::ids::IncarnationId;
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
        let session =
            incarnation::open_session(log, &keys, opening).map_err(|error| log_trouble(&error))?;
        let head = session.log().catalogue().head();
        {
            let mut desk = self.desk();
            desk.memory.head = head;
            desk.memory.trust_number = trust.newest().number;
        }
        self.save_memory();
        let segment_size = VaultSegmentSize::new(size.bytes())
            .ok_or_else(|| Trouble::Lasting("the segment size is none".to_owned()))?;
        Ok(Writer { session, trust, archive: Archive { store, incarnation, segment_size } })
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
