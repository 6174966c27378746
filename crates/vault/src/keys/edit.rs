//! Changes to a trust list: stores, signers and operators come and go.
//!
//! All of it is bookkeeping on a value; nothing counts until a root has signed and published it.
//! Whoever shares keys that exist (a new operator, a new agent of an old store) must be able to open
//! them, so these changes take an operator's identity.

use std::collections::BTreeMap;

use soter_world::Random;

use crate::crypto::SymmetricKey;
use crate::ids::{Digest, StoreId};
use crate::keys::{
    Enrolment, Identity, KeyError, MetadataRow, Operator, PublicKey, Recipient, Role, SignerRow,
    StoreKeyRow, StoreRow, TrustList, Wrapped,
};
use crate::log::WalRange;

/// A store that is to be added.
#[derive(Debug, Clone)]
pub struct StoreDraft {
    /// Its name, as the plan calls it.
    pub name: String,
    /// What it is: `postgres`, …
    pub kind: String,
    /// The agents that protect it.
    pub agents: Vec<AgentDraft>,
}

/// An agent that is to be enrolled: the public halves of its key file.
#[derive(Debug, Clone)]
pub struct AgentDraft {
    /// A name for people: the machine.
    pub name: String,
    /// The public half of its signer.
    pub key: PublicKey,
    /// The public half of its identity.
    pub recipient: Recipient,
}

/// What a store has when a signer ends: up to here it stays believed.
#[derive(Debug, Clone, Default)]
pub struct StoreEnd {
    /// Entries of its log.
    pub entries: u64,
    /// WAL without gaps.
    pub wal: Vec<WalRange>,
}

impl TrustList {
    /// Adds a store with new keys. Its agents are enrolled from the start of its log, and so are all
    /// signers of the operators' side.
    ///
    /// # Errors
    /// [`KeyError::NameTaken`].
    pub fn add_store(
        &mut self,
        random: &dyn Random,
        draft: &StoreDraft,
    ) -> Result<StoreId, KeyError> {
        if self.store_named(&draft.name).is_some() {
            return Err(KeyError::NameTaken { name: draft.name.clone() });
        }
        let id = StoreId::random(random);
        let readers: Vec<_> = draft.agents.iter().map(|agent| agent.recipient.clone()).collect();
        let key = SymmetricKey::random(random);
        let metadata = MetadataRow {
            version: 1,
            commitment: Digest(key.commitment()),
            key: Wrapped::new(key.expose(), self.operators_and(&readers)),
        };
        self.stores.push(StoreRow {
            id,
            name: draft.name.clone(),
            kind: draft.kind.clone(),
            keys: vec![self.new_store_key(1)],
            metadata: vec![metadata],
        });
        let enrolment = Enrolment::open(id, 0);
        for row in self.signers.iter_mut().filter(|row| row.is_of_the_operators_side()) {
            row.stores.push(enrolment.clone());
        }
        for agent in &draft.agents {
            self.enrol(agent, enrolment.clone());
        }
        Ok(id)
    }

    /// Adds a signer that needs no keys: a collector, a verifier, a copier. It serves every store
    /// from these positions of their logs on.
    pub fn add_signer(
        &mut self,
        name: &str,
        key: PublicKey,
        roles: &[Role],
        heads: &BTreeMap<StoreId, u64>,
    ) {
        let from = |store: StoreId| heads.get(&store).copied().unwrap_or(0);
        let enrolments = self.stores.iter().map(|row| row.id);
        self.signers.push(SignerRow {
            name: name.to_owned(),
            key,
            recipient: None,
            roles: roles.to_vec(),
            stores: enrolments.map(|id| Enrolment::open(id, from(id))).collect(),
        });
    }

    /// Enrols an agent for a store that exists, from this position of its log on. `operator` must be
    /// able to open the store's `K_meta`, which the agent needs.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn add_agent(
        &mut self,
        agent: &AgentDraft,
        store: StoreId,
        from: u64,
        operator: &Identity,
    ) -> Result<(), KeyError> {
        let mut readers = self.agents_of(store);
        readers.push(agent.recipient.clone());
        self.wrap_metadata(store, &readers, operator)?;
        self.enrol(agent, Enrolment::open(store, from));
        Ok(())
    }

    /// Ends a signer: it is believed up to these positions of its stores' logs and no further, and
    /// for the WAL that is there now. What it could read it still can.
    ///
    /// # Errors
    /// [`KeyError::UnknownSigner`].
    pub fn remove_signer(
        &mut self,
        key: &PublicKey,
        ends: &BTreeMap<StoreId, StoreEnd>,
    ) -> Result<(), KeyError> {
        if !self.signers.iter().any(|row| row.key == *key) {
            return Err(KeyError::UnknownSigner { signer: *key });
        }
        for row in self.signers.iter_mut().filter(|row| row.key == *key) {
            for enrolment in row.stores.iter_mut().filter(|it| it.until.is_none()) {
                let end = ends.get(&enrolment.store).cloned().unwrap_or_default();
                (enrolment.until, enrolment.wal) = (Some(end.entries), end.wal);
            }
        }
        // One that never had a store leaves nothing that must stay believed.
        self.signers.retain(|row| row.key != *key || !row.stores.is_empty());
        Ok(())
    }

    /// Adds an operator, who can then open everything, old backups too. `operator` is one who
    /// already can.
    ///
    /// # Errors
    /// See [`KeyError`]; the list is then half changed and must not be published.
    pub fn add_operator(&mut self, new: Operator, operator: &Identity) -> Result<(), KeyError> {
        self.operators.push(new);
        self.wrap_everything(operator)
    }

    /// Removes an operator: it cannot open what is written from now on under the new store keys that
    /// this makes, nor find the old keys here. Whoever kept a copy of an older list can still open
    /// what was written before.
    ///
    /// # Errors
    /// See [`KeyError`]; the list is then half changed and must not be published.
    pub fn remove_operator(
        &mut self,
        removed: &Recipient,
        operator: &Identity,
    ) -> Result<(), KeyError> {
        let before = self.operators.len();
        self.operators.retain(|row| row.recipient != *removed);
        if self.operators.len() == before {
            return Err(KeyError::UnknownOperator { operator: removed.clone() });
        }
        if self.operators.is_empty() {
            return Err(KeyError::LastOperator);
        }
        self.wrap_everything(operator)?;
        for index in 0..self.stores.len() {
            let version = self.stores[index].keys.last().map_or(1, |row| row.version + 1);
            let key = self.new_store_key(version);
            self.stores[index].keys.push(key);
        }
        Ok(())
    }

    /// Wraps all keys anew, to those who are operators and agents now.
    fn wrap_everything(&mut self, operator: &Identity) -> Result<(), KeyError> {
        let to = self.operators_and(&[]);
        for row in &mut self.stores {
            for key in &mut row.keys {
                let what = format!("the key of store {} (version {})", row.id, key.version);
                let secret = key.secret.open(operator, &what)?;
                key.secret = Wrapped::new(secret.expose(), to.clone());
            }
        }
        let stores: Vec<StoreId> = self.stores.iter().map(|row| row.id).collect();
        for store in stores {
            let readers = self.agents_of(store);
            self.wrap_metadata(store, &readers, operator)?;
        }
        Ok(())
    }

    fn wrap_metadata(
        &mut self,
        store: StoreId,
        readers: &[Recipient],
        operator: &Identity,
    ) -> Result<(), KeyError> {
        let to = self.operators_and(readers);
        let row = self.stores.iter_mut().find(|row| row.id == store);
        for metadata in &mut row.ok_or(KeyError::UnknownStore { store })?.metadata {
            let key = metadata.open(store, operator)?;
            metadata.key = Wrapped::new(key.expose(), to.clone());
        }
        Ok(())
    }

    fn enrol(&mut self, agent: &AgentDraft, enrolment: Enrolment) {
        let known = self.signers.iter_mut().find(|row| {
            row.key == agent.key
                && row.roles == [Role::Agent]
                && row.recipient.as_ref() == Some(&agent.recipient)
        });
        match known {
            Some(row) => row.stores.push(enrolment),
            None => self.signers.push(SignerRow {
                name: agent.name.clone(),
                key: agent.key,
                recipient: Some(agent.recipient.clone()),
                roles: vec![Role::Agent],
                stores: vec![enrolment],
            }),
        }
    }

    fn new_store_key(&self, version: u32) -> StoreKeyRow {
        let identity = Identity::generate();
        let secret = Wrapped::new(identity.to_text().expose().as_bytes(), self.operators_and(&[]));
        StoreKeyRow { version, recipient: identity.recipient(), secret }
    }

    /// All operators, and these others.
    fn operators_and(&self, others: &[Recipient]) -> Vec<Recipient> {
        let operators = self.operators.iter().map(|row| &row.recipient);
        let mut all: Vec<Recipient> = Vec::new();
        for recipient in operators.chain(others) {
            if !all.contains(recipient) {
                all.push(recipient.clone());
            }
        }
        all
    }

    /// Who reads the store's metadata because it is enrolled for the store.
    fn agents_of(&self, store: StoreId) -> Vec<Recipient> {
        let enrolled =
            |row: &&SignerRow| row.stores.iter().any(|it| it.store == store && it.until.is_none());
        self.signers.iter().filter(enrolled).filter_map(|row| row.recipient.clone()).collect()
    }
}

impl SignerRow {
    /// Whether it serves every store: not an agent, and not ended.
    fn is_of_the_operators_side(&self) -> bool {
        let ended = !self.stores.is_empty() && self.stores.iter().all(|it| it.until.is_some());
        !self.roles.contains(&Role::Agent) && !ended
    }
}

#[cfg(test)]
mod tests;
