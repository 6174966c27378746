//! The trust list: which stores there are, who may sign what for them, and their wrapped keys.
//!
//! A list is complete, not a change to the one before; the highest valid number wins. What a signer
//! signed stays valid until the log position that the newest list gives as its end.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::ids::{Digest, IncarnationId, StoreId, VaultId};
use crate::keys::{PublicKey, Recipient, Wrapped};
use crate::log::WalRange;

/// What a signer may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Opens sessions, commits backups, writes WAL.
    Agent,
    /// Retires and sweeps.
    Collector,
    /// Attests.
    Verifier,
    /// Imports from another vault.
    Copier,
    /// Holds, and lets go of what is held.
    Operator,
}

/// A trust list as its signed bytes say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TrustList {
    /// The vault's format.
    pub format: u32,
    /// Features that a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Its number, from 1; the object's name ends in it.
    #[serde(rename = "n")]
    pub number: u32,
    /// BLAKE3 of the valid list before it; none for the first.
    pub previous: Option<Digest>,
    /// The root that signed it.
    pub root: PublicKey,
    /// The vaults it holds for: the same list lies in every vault of a plan.
    pub vaults: Vec<VaultId>,
    /// When it was made, by the clock of who made it.
    pub claimed_time: Timestamp,
    /// Who can read.
    pub operators: Vec<Operator>,
    /// The stores.
    pub stores: Vec<StoreRow>,
    /// Who can sign.
    pub signers: Vec<SignerRow>,
}

/// A person or device that can open the contents of every store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Operator {
    /// A name for people.
    pub name: String,
    /// The public half.
    pub recipient: Recipient,
    /// What they sign plans and runs with, if they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<PublicKey>,
}

/// A store and its keys.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoreRow {
    /// Its id.
    pub id: StoreId,
    /// Its name, as the plan calls it.
    pub name: String,
    /// What it is: `postgres`, …
    pub kind: String,
    /// Store keys, oldest version first; writers use the last.
    pub keys: Vec<StoreKeyRow>,
    /// `K_meta`, oldest version first.
    pub metadata: Vec<MetadataRow>,
}

/// One version of a store key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoreKeyRow {
    /// Its version, from 1.
    pub version: u32,
    /// The public half: agents wrap to it.
    pub recipient: Recipient,
    /// The secret half, wrapped to the operators: the text of the age identity.
    pub secret: Wrapped,
}

/// One version of `K_meta`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MetadataRow {
    /// Its version, from 1.
    pub version: u32,
    /// The commitment to the key.
    pub commitment: Digest,
    /// The 32 bytes, wrapped to the operators and the store's agents.
    pub key: Wrapped,
}

/// Somebody who signs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SignerRow {
    /// A name for people.
    pub name: String,
    /// The public half of the signing key.
    pub key: PublicKey,
    /// The age recipient to which `K_meta` is wrapped for it, if it reads metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Recipient>,
    /// What it may do.
    pub roles: Vec<Role>,
    /// For which stores, and from and until which position of their logs.
    pub stores: Vec<Enrolment>,
}

/// For which part of a store's log a signer is believed, and for which of its WAL.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Enrolment {
    /// The store.
    pub store: StoreId,
    /// The first log position.
    pub from: u64,
    /// The first position at which it is believed no more; none while it is enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Once it has ended: the WAL that was in the vault then, which alone is still believed. WAL has
    /// no position in the log that could tell old from new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wal: Vec<WalRange>,
}

/// Which WAL somebody signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalPlace {
    /// The store.
    pub store: StoreId,
    /// The life of the cluster.
    pub incarnation: IncarnationId,
    /// Timeline.
    pub timeline: u32,
    /// First position and the one behind the last; none for a small file of the archive, which
    /// belongs to its timeline as a whole.
    pub span: Option<(u64, u64)>,
}

impl Enrolment {
    /// One that has not ended.
    pub fn open(store: StoreId, from: u64) -> Self {
        Self { store, from, until: None, wal: Vec::new() }
    }

    /// Whether WAL is believed: all of it while enrolled, then what is named.
    fn covers(&self, place: &WalPlace) -> bool {
        let covers = |range: &WalRange| {
            (range.incarnation, range.timeline) == (place.incarnation, place.timeline)
                && place.span.is_none_or(|(from, to)| range.from <= from && to <= range.to)
        };
        self.until.is_none() || self.wal.iter().any(covers)
    }
}

impl TrustList {
    /// The store's row.
    pub fn store(&self, store: StoreId) -> Option<&StoreRow> {
        self.stores.iter().find(|row| row.id == store)
    }

    /// The row of the store of this name.
    pub fn store_named(&self, name: &str) -> Option<&StoreRow> {
        self.stores.iter().find(|row| row.name == name)
    }

    /// Whether this signer may say what is to be recovered and how, and record that it is: the root,
    /// an operator who signs, or a signer in the role of one. Plans and runs belong to no store, so
    /// an enrolment for any store that has not ended is enough.
    pub fn may_direct(&self, public: &PublicKey) -> bool {
        let ended = |row: &SignerRow| {
            !row.stores.is_empty() && row.stores.iter().all(|it| it.until.is_some())
        };
        self.root == *public
            || self.operators.iter().any(|row| row.signer == Some(*public))
            || self
                .signers
                .iter()
                .any(|row| row.key == *public && row.roles.contains(&Role::Operator) && !ended(row))
    }

    /// Whether this signer is enrolled in this role for the store now.
    pub fn may(&self, public: &PublicKey, role: Role, store: StoreId) -> bool {
        self.enrolments(public, role, store).any(|enrolment| enrolment.until.is_none())
    }

    /// Whether this signer is enrolled in this role for position `position` of the store's log.
    pub fn may_at(&self, public: &PublicKey, role: Role, store: StoreId, position: u64) -> bool {
        self.enrolments(public, role, store).any(|enrolment| {
            enrolment.from <= position && enrolment.until.is_none_or(|until| position < until)
        })
    }

    fn enrolments(
        &self,
        public: &PublicKey,
        role: Role,
        store: StoreId,
    ) -> impl Iterator<Item = &Enrolment> {
        self.signers
            .iter()
            .filter(move |row| row.key == *public && row.roles.contains(&role))
            .flat_map(|row| &row.stores)
            .filter(move |enrolment| enrolment.store == store)
    }
}

/// All valid trust lists of a vault: log entries name the number of the one they were made under.
#[derive(Debug, Clone)]
pub struct Trust {
    lists: BTreeMap<u32, (TrustList, Digest)>,
    newest: u32,
}

impl Trust {
    /// These lists, each with the BLAKE3 of its object; they must have been checked. `None` when
    /// there is none.
    pub fn from_lists(lists: impl IntoIterator<Item = (TrustList, Digest)>) -> Option<Self> {
        let lists: BTreeMap<_, _> = lists.into_iter().map(|row| (row.0.number, row)).collect();
        let newest = *lists.keys().next_back()?;
        Some(Self { lists, newest })
    }

    /// The list with this number, if it is there and valid.
    pub fn at(&self, number: u32) -> Option<&TrustList> {
        self.lists.get(&number).map(|(list, _)| list)
    }

    /// The list that counts now.
    ///
    /// # Panics
    /// Never.
    pub fn newest(&self) -> &TrustList {
        &self.newest_row().0
    }

    /// The BLAKE3 of the newest list's object, which the next list states.
    pub fn newest_hash(&self) -> Digest {
        self.newest_row().1
    }

    /// All lists, oldest first, each with the BLAKE3 of its object.
    pub fn all(&self) -> impl Iterator<Item = &(TrustList, Digest)> {
        self.lists.values()
    }

    /// The same with one list more.
    pub(crate) fn with(&self, row: (TrustList, Digest)) -> Self {
        let mut lists = self.lists.clone();
        let newest = self.newest.max(row.0.number);
        lists.insert(row.0.number, row);
        Self { lists, newest }
    }

    /// Whether WAL of this agent is believed: enrolled now, or it was there when the enrolment ended.
    /// (Otherwise a removed agent could go on by naming an old list.)
    pub fn may_wal(&self, public: &PublicKey, place: &WalPlace) -> bool {
        let mut of_store = self.newest().enrolments(public, Role::Agent, place.store);
        of_store.any(|enrolment| enrolment.covers(place))
    }

    /// Whether a plan or a record of a run, made under list `number`, is believed: that list must
    /// let its signer direct, and the newest still must.
    pub fn may_direct(&self, number: u32, public: &PublicKey) -> bool {
        self.at(number).is_some_and(|list| list.may_direct(public))
            && self.newest().may_direct(public)
    }

    fn newest_row(&self) -> &(TrustList, Digest) {
        self.lists.get(&self.newest).expect("a Trust has at least one list")
    }

    /// Whether an entry at `position` of the store's log, made under list `number`, is believed: that
    /// list must enrol its signer for the position, and the newest list must not have ended it
    /// before. (Otherwise a removed agent could go on by naming an old list.)
    pub fn may_at(
        &self,
        number: u32,
        public: &PublicKey,
        role: Role,
        store: StoreId,
        position: u64,
    ) -> bool {
        self.at(number).is_some_and(|list| list.may_at(public, role, store, position))
            && self.newest().may_at(public, role, store, position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::sample::Sample;

    #[test]
    fn a_signer_may_do_its_own_work_for_its_own_store_only() {
        let sample = Sample::new(3);
        let (list, agent) = (sample.trust.newest(), sample.writer.signer.public());
        let store = sample.writer.store;
        assert!(list.may(&agent, Role::Agent, store));
        assert!(!list.may(&agent, Role::Collector, store));
        assert!(!list.may(&agent, Role::Agent, StoreId([0; 8])));
        assert!(!list.may(&PublicKey([9; 32]), Role::Agent, store));
        assert!(list.may(&sample.collector.public(), Role::Collector, store));
    }

    #[test]
    fn a_removed_agent_cannot_go_on_under_an_old_list() {
        let sample = Sample::new(4);
        let (agent, store) = (sample.writer.signer.public(), sample.writer.store);
        let first = sample.trust.newest().clone();
        let mut second = first.clone();
        second.number = 2;
        second.signers[0].stores[0].until = Some(10);
        let trust = Trust::from_lists([first, second].map(|list| (list, Digest([0; 32])))).unwrap();
        assert!(trust.may_at(1, &agent, Role::Agent, store, 9));
        assert!(!trust.may_at(1, &agent, Role::Agent, store, 10));
        assert!(!trust.may_at(3, &agent, Role::Agent, store, 9), "a list that is not there");
        assert!(!trust.newest().may(&agent, Role::Agent, store));
    }
}
