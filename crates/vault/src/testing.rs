//! A vault made in one call, for tests and demonstrations; nothing that protects data uses this.
//!
//! Keys are generated at run time and exist in memory only.

use std::sync::Arc;

use soter_world::{Clock, Random};

use crate::ids::{StoreId, VaultId};
use crate::keys::{
    AgentDraft, AgentKey, Identity, KeyError, OperatorCount, OperatorKey, Pins, ReaderKeys,
    RootKey, Signer, StoreDraft, StoreKeys, Trust, VaultDraft, Writers, create_vault,
};
use crate::objects::ObjectStore;
use crate::vault::Vault;

/// A vault with one store, and everybody's keys.
pub struct TestVault {
    /// The vault.
    pub vault: Vault,
    /// Whom to believe.
    pub trust: Trust,
    /// The store.
    pub store: StoreId,
    /// Signs trust lists.
    pub root: RootKey,
    /// The agent's key file.
    pub agent: AgentKey,
    /// The operator's key file.
    pub operator: OperatorKey,
}

impl TestVault {
    /// Makes a vault with one store of this name.
    ///
    /// # Errors
    /// What making a vault can fail with.
    pub fn create(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        name: &str,
    ) -> Result<Self, KeyError> {
        let id = VaultId::random(&*random);
        let root = RootKey { vault: id, signer: Signer::random(&*random) };
        let pins = Pins { vault: id, roots: vec![root.signer.public()] };
        let operator = OperatorKey { pins: pins.clone(), identity: Identity::generate() };
        let (signer, identity) = (Signer::random(&*random), Identity::generate());
        let agent = AgentKey { pins: pins.clone(), signer, identity };
        let draft = VaultDraft {
            vault: id,
            operators: vec![operator.row("operator")],
            operator_count: OperatorCount::OneAccepted,
            signers: Vec::new(),
            stores: vec![StoreDraft {
                name: name.to_owned(),
                kind: "postgres".to_owned(),
                agents: vec![AgentDraft {
                    name: "agent".to_owned(),
                    key: agent.signer.public(),
                    recipient: agent.identity.recipient(),
                }],
            }],
            writers: Writers::Many,
        };
        let loaded = create_vault(&*objects, &*clock, &*random, &root, &draft)?;
        let vault = Vault { objects, clock, random, pins };
        let store = loaded.trust.newest().stores.first().map(|row| row.id);
        let store = store.expect("the draft has a store");
        Ok(Self { vault, trust: loaded.trust, store, root, agent, operator })
    }

    /// The agent's keys for the store.
    ///
    /// # Errors
    /// What opening them can fail with.
    pub fn writer_keys(&self) -> Result<StoreKeys, KeyError> {
        let signer = self.agent.signer.clone();
        self.trust.newest().store_keys(self.store, &self.agent.identity, signer)
    }

    /// The operator's keys for the store.
    ///
    /// # Errors
    /// What opening them can fail with.
    pub fn reader_keys(&self) -> Result<ReaderKeys, KeyError> {
        self.trust.newest().reader_keys(self.store, &self.operator.identity)
    }
}
