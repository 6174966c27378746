//! A vault in memory with one store and everybody's keys, for tests of the agent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use soter_vault::frame::Compression;
use soter_vault::ids::{IncarnationId, StoreId, VaultId};
use soter_vault::keys::{
    AgentDraft, AgentKey, Identity, Operator, OperatorCount, Pins, ReaderKeys, Role, RootKey,
    Signer, SignerDraft, StoreDraft, StoreKeys, Trust, VaultDraft, Writers, create_vault,
};
use soter_vault::log::{Duty, Incarnation, Log, LogError, Opening, Session, TakeOver};
use soter_vault::objects::{Faults, Faulty, MemoryStore};
use soter_vault::vault::Vault;
use soter_vault::wal::{
    Archive, Segment, SegmentSize as VaultSegmentSize, SessionAccess, WalReader,
};
use soter_world::OsDisk;
use soter_world::sim::{SeededRandom, SimClock};

use super::engine::Writer;
use super::flow::Mode;
use super::settings::{Keyring, Settings, World};
use crate::connection::ConnectionInfo;
use crate::lsn::{Lsn, SegmentNumber, SegmentSize, Timeline};
use crate::replication::SlotName;

/// A vault and its people.
pub(crate) struct Scene {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) random: Arc<SeededRandom>,
    pub(crate) store: Arc<Faulty>,
    pub(crate) vault: Vault,
    pub(crate) trust: Trust,
    pub(crate) keys: StoreKeys,
    pub(crate) reader: ReaderKeys,
    pub(crate) archive: Archive,
    pub(crate) size: SegmentSize,
}

impl Scene {
    /// A scene made from a seed; age's keys differ each time, which no test can see.
    pub(crate) fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new());
        let random = Arc::new(SeededRandom::new(seed));
        let memory = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
        let id = VaultId::random(&*random);
        let root = RootKey { vault: id, signer: Signer::random(&*random) };
        let pins = Pins { vault: id, roots: vec![root.signer.public()] };
        let operator = Identity::generate();
        let signer = Signer::random(&*random);
        let agent = AgentKey { pins: pins.clone(), signer, identity: Identity::generate() };
        let draft = draft(id, &operator, &agent, &Signer::random(&*random));
        let trust = create_vault(&*memory, &*clock, &*random, &root, &draft).unwrap().trust;
        let list = trust.newest();
        let store_id: StoreId = list.store_named("orders").unwrap().id;
        let keys = list.store_keys(store_id, &agent.identity, agent.signer).unwrap();
        let reader = list.reader_keys(store_id, &operator).unwrap();
        let store = Arc::new(Faulty::new(memory, Faults::NONE, seed ^ 0xfa17));
        let objects = Arc::clone(&store) as _;
        let vault = Vault {
            objects,
            clock: Arc::clone(&clock) as _,
            random: Arc::clone(&random) as _,
            pins,
        };
        let segment_size = VaultSegmentSize::new(1 << 20).unwrap();
        let incarnation = IncarnationId::random(&*random);
        let archive = Archive { store: store_id, incarnation, segment_size };
        let size = SegmentSize::new(1 << 20).unwrap();
        Self { clock, random, store, vault, trust, keys, reader, archive, size }
    }

    /// An agent's settings, for a server that is not there.
    pub(crate) fn settings(state_directory: &Path) -> Settings {
        Settings {
            store: "orders".to_owned(),
            agent: "db1".to_owned(),
            connection: ConnectionInfo::parse("user=nobody").unwrap(),
            data_directory: "/nowhere".into(),
            state_directory: state_directory.to_owned(),
            slot: SlotName::new("soter_orders").unwrap(),
            mode: Mode::Synchronous,
            spool_bytes_max: None,
            compression: Compression::Zstd(1),
            canary_every: None,
            full_every: Duration::MAX,
            backup_workers: 1,
            take_over: TakeOver::OwnOnly,
            shortfalls: Vec::new(),
        }
    }

    /// The scene's time and chance, and real files.
    pub(crate) fn world(&self) -> World {
        World {
            disk: Arc::new(OsDisk),
            clock: Arc::clone(&self.clock) as _,
            random: Arc::clone(&self.random) as _,
        }
    }

    /// The vault as an agent opens it.
    pub(crate) fn keyring(&self) -> Keyring {
        Keyring { vault: self.vault.clone(), trust: self.trust.clone(), keys: self.keys.clone() }
    }

    /// Opens a session.
    pub(crate) fn writer(&self) -> Result<Arc<Writer>, LogError> {
        let log = Log::open(&self.vault, self.keys.store, self.trust.clone(), None)?;
        let bound_to = "postgres".to_owned();
        let opening = Opening {
            duty: Duty::Wal,
            agent: "db1".to_owned(),
            incarnation: Some(Incarnation { id: self.archive.incarnation, bound_to }),
            take_over: TakeOver::OwnOnly,
            content: Vec::new(),
        };
        let session = Session::open(log, &self.keys, opening)?;
        Ok(Arc::new(Writer { session, trust: self.trust.clone(), archive: self.archive }))
    }

    /// What an operator can read of a timeline, segment by segment from `from` on, to the first byte
    /// that is not there.
    pub(crate) fn stitched(&self, timeline: Timeline, from: SegmentNumber) -> Vec<u8> {
        let log = Log::open(&self.vault, self.keys.store, self.trust.clone(), None).unwrap();
        let catalogue = log.catalogue();
        let key = |session| SessionAccess::of(catalogue, &self.reader, session);
        let reader = WalReader { keys: &self.reader, sessions: &key, workers: 1 };
        let (store, clock) = (&*self.vault.objects, &*self.clock);
        let (trust, archive) = (&self.trust, self.archive);
        let wal = soter_vault::wal::WalVault { store, clock, trust, archive };
        let mut bytes = Vec::new();
        for number in from.0.. {
            let segment = Segment { timeline: timeline.0, number };
            let Some(found) = wal.read_segment(segment, reader).unwrap() else { break };
            assert_eq!(found.findings(), [], "{segment}");
            let length = found.bytes().len();
            bytes.extend(found.into_bytes());
            if length < self.archive.segment_size.bytes() as usize {
                break;
            }
        }
        bytes
    }
}

fn draft(vault: VaultId, operator: &Identity, agent: &AgentKey, other: &Signer) -> VaultDraft {
    let name = || "alice".to_owned();
    VaultDraft {
        vault,
        operators: vec![Operator { name: name(), recipient: operator.recipient(), signer: None }],
        operator_count: OperatorCount::OneAccepted,
        signers: vec![SignerDraft {
            name: "collector".to_owned(),
            key: other.public(),
            roles: vec![Role::Collector],
        }],
        stores: vec![StoreDraft {
            name: "orders".to_owned(),
            kind: "postgres".to_owned(),
            agents: vec![AgentDraft {
                name: "db1".to_owned(),
                key: agent.signer.public(),
                recipient: agent.identity.recipient(),
            }],
        }],
        writers: Writers::Many,
    }
}

/// What a server of the simulation has written at a position: pages of one pattern, each with its
/// own number at its beginning.
pub(crate) fn wal_bytes(at: Lsn, length: usize) -> Vec<u8> {
    const PAGE: usize = 4096;
    let pattern: [u8; PAGE] = std::array::from_fn(|n| u8::try_from(n * n % 251).unwrap());
    let mut bytes = Vec::with_capacity(length + 2 * PAGE);
    let mut page = at.0 / PAGE as u64;
    while bytes.len() < length + PAGE {
        let from = bytes.len();
        bytes.extend_from_slice(&pattern);
        bytes[from..from + 8].copy_from_slice(&page.to_le_bytes());
        page += 1;
    }
    bytes.drain(..usize::try_from(at.0 % PAGE as u64).unwrap());
    bytes.truncate(length);
    bytes
}
