//! A store with its keys, and a whole vault, for tests of everything that needs some.

use std::sync::Arc;

use jiff::Timestamp;
use soter_world::sim::{SeededRandom, SimClock};

use crate::crypto::SymmetricKey;
use crate::ids::{Digest, StoreId, VaultId};
use crate::keys::{
    AgentDraft, AgentKey, CollectorKey, Enrolment, Identity, LoadedTrust, MetadataRow, Operator,
    OperatorCount, OperatorKey, Pins, ReaderKeys, Role, RootKey, Signer, SignerDraft, SignerRow,
    StoreDraft, StoreKeyRow, StoreKeys, StoreRow, Trust, TrustList, VaultDraft, Wrapped, Writers,
    create_vault,
};
use crate::objects::MemoryStore;
use crate::record::FORMAT;

/// One store, enrolled in one trust list.
pub(crate) struct Sample {
    pub(crate) writer: StoreKeys,
    pub(crate) reader: ReaderKeys,
    pub(crate) collector: Signer,
    pub(crate) trust: Trust,
}

impl Sample {
    /// Samples of different seeds have nothing in common; age's keys differ each time.
    pub(crate) fn new(seed: u8) -> Self {
        let secret = Identity::generate();
        let metadata = SymmetricKey::from_bytes([seed; 32]);
        let store = StoreId([seed; 8]);
        let writer = StoreKeys {
            store,
            content_ids: metadata.content_id_key(),
            metadata: metadata.clone(),
            recipient: secret.recipient(),
            signer: Signer::from_seed([seed; 32]),
            trust_number: 1,
        };
        let collector = Signer::from_seed([seed ^ 0x80; 32]);
        let trust = Trust::from_lists([(list(&writer, &secret, &collector), Digest([0; 32]))]);
        let reader = ReaderKeys {
            store,
            content_ids: metadata.content_id_key(),
            metadata,
            secrets: vec![secret],
        };
        Self { writer, reader, collector, trust: trust.unwrap() }
    }
}

fn list(writer: &StoreKeys, secret: &Identity, collector: &Signer) -> TrustList {
    let operator = Identity::generate().recipient();
    let stores = vec![Enrolment::open(writer.store, 0)];
    TrustList {
        format: FORMAT,
        needs: Vec::new(),
        claimed_time: Timestamp::UNIX_EPOCH,
        number: 1,
        previous: None,
        root: Signer::from_seed([0xff; 32]).public(),
        vaults: vec![VaultId([1; 16])],
        operators: vec![Operator {
            name: "alice".to_owned(),
            recipient: operator.clone(),
            signer: None,
        }],
        stores: vec![StoreRow {
            id: writer.store,
            name: "orders".to_owned(),
            kind: "postgres".to_owned(),
            keys: vec![StoreKeyRow {
                version: 1,
                recipient: secret.recipient(),
                secret: Wrapped::new(secret.to_text().expose().as_bytes(), vec![operator.clone()]),
            }],
            metadata: vec![MetadataRow {
                version: 1,
                commitment: Digest(writer.metadata.commitment()),
                key: Wrapped::new(writer.metadata.expose(), vec![operator]),
            }],
        }],
        signers: vec![
            SignerRow {
                name: "agent".to_owned(),
                key: writer.signer.public(),
                recipient: None,
                roles: vec![Role::Agent],
                stores: stores.clone(),
            },
            SignerRow {
                name: "collector".to_owned(),
                key: collector.public(),
                recipient: None,
                roles: vec![Role::Collector, Role::Verifier, Role::Copier, Role::Operator],
                stores,
            },
        ],
    }
}

/// A vault in memory with one store, as `soter init` makes it, and all its key files.
pub(crate) struct SampleVault {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) objects: MemoryStore,
    pub(crate) root: RootKey,
    pub(crate) operator: OperatorKey,
    pub(crate) agent: AgentKey,
    pub(crate) collector: CollectorKey,
    pub(crate) loaded: LoadedTrust,
}

impl SampleVault {
    pub(crate) fn new(seed: u8) -> Self {
        let clock = Arc::new(SimClock::new());
        let vault = VaultId([seed; 16]);
        let root = RootKey { vault, signer: Signer::from_seed([seed; 32]) };
        let pins = Pins { vault, roots: vec![root.signer.public()] };
        let operator = OperatorKey { pins: pins.clone(), identity: Identity::generate() };
        let agent = AgentKey {
            pins: pins.clone(),
            signer: Signer::from_seed([seed ^ 0x40; 32]),
            identity: Identity::generate(),
        };
        let collector = CollectorKey { pins, signer: Signer::from_seed([seed ^ 0x80; 32]) };
        let objects = MemoryStore::new(Arc::clone(&clock) as _);
        let draft = draft(&operator, &agent, &collector);
        let random = SeededRandom::new(u64::from(seed));
        let loaded = create_vault(&objects, &*clock, &random, &root, &draft).unwrap();
        Self { clock, objects, root, operator, agent, collector, loaded }
    }
}

/// One store, `orders`, protected by one agent.
pub(crate) fn draft(
    operator: &OperatorKey,
    agent: &AgentKey,
    collector: &CollectorKey,
) -> VaultDraft {
    VaultDraft {
        vault: operator.pins.vault,
        operators: vec![operator.row("alice")],
        operator_count: OperatorCount::OneAccepted,
        signers: vec![SignerDraft {
            name: "collector".to_owned(),
            key: collector.signer.public(),
            roles: vec![Role::Collector, Role::Verifier, Role::Copier, Role::Operator],
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
