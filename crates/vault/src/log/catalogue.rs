//! What a store's log amounts to: backups, sessions, holds, and what is wrong.
//!
//! A [`Catalogue`] is made by the fold in [`validate`](super::validate) alone and is never changed
//! otherwise.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ids::{BackupId, Digest, IncarnationId, SessionId, VaultId};
use crate::keys::PublicKey;
use crate::log::event::{
    Attest, Duty, Hold, Incarnation, Level, LogHead, LogPlace, WalRange, Witness,
};
use crate::log::finding::Finding;
use crate::log::packs::{PackRows, PackSet};
use crate::names::PackClass;
use crate::pack::PackId;

/// The state of a store.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub(super) place: LogPlace,
    pub(super) next: u64,
    pub(super) head: Option<LogHead>,
    pub(super) trust: u32,
    pub(super) entries: BTreeMap<u64, EntryRow>,
    pub(super) backups: BTreeMap<BackupId, BackupRow>,
    pub(super) live: BTreeMap<u64, BackupId>,
    pub(super) sessions: BTreeMap<SessionId, SessionRow>,
    pub(super) newest: BTreeMap<Duty, SessionId>,
    pub(super) incarnations: BTreeMap<IncarnationId, String>,
    pub(super) rows: PackRows,
    /// The packs of `rows`, for quick comparison.
    pub(super) described: PackSet,
    pub(super) holds: BTreeMap<u64, HoldRow>,
    pub(super) attests: BTreeMap<BackupId, Vec<AttestRow>>,
    pub(super) swept: PackSet,
    pub(super) swept_wal: Vec<WalRange>,
    pub(super) swept_parts: Vec<WalRange>,
    pub(super) witnesses: BTreeMap<VaultId, Witness>,
    pub(super) breaks: Vec<u64>,
    pub(super) unknown: BTreeSet<String>,
    pub(super) findings: Vec<Finding>,
}

/// A linked entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// What it does.
    pub kind: String,
    /// BLAKE3 of its bytes.
    pub hash: Digest,
    /// Who wrote it.
    pub signer: PublicKey,
    /// The author's clock.
    pub claimed: Timestamp,
    /// The store's clock: when the object was created.
    pub stored: Timestamp,
    /// Whether it changed anything; a void entry does not.
    pub effective: bool,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupRow {
    /// Its id.
    pub id: BackupId,
    /// The entry that committed it.
    pub sequence: u64,
    /// Who made it.
    pub session: SessionId,
    /// The author's clock at the commit.
    pub claimed: Timestamp,
    /// The store's clock at the commit.
    pub stored: Timestamp,
    /// The WAL without which it cannot be restored.
    pub wal: Option<WalRange>,
    /// All packs it refers to.
    pub packs: PackSet,
    /// Bytes of the packs that came with it.
    pub new_bytes: u64,
    /// Whether it refers to packs of backups before it.
    pub is_increment: bool,
    /// When it was let go, by the store's clock.
    pub retired: Option<Timestamp>,
    /// The vault it was copied from.
    pub imported_from: Option<VaultId>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// The entry that opened it.
    pub sequence: u64,
    /// What for.
    pub duty: Duty,
    /// The agent's name.
    pub agent: String,
    /// Who signed.
    pub signer: PublicKey,
    /// The life of the cluster.
    pub incarnation: Option<Incarnation>,
    /// Sessions whose packs it may use.
    pub adopts: BTreeSet<SessionId>,
    /// Commitment to its key.
    pub commitment: [u8; 32],
    /// Its key, wrapped to the store key.
    pub wrapped: Vec<u8>,
    /// When it was opened, by the store's clock.
    pub stored: Timestamp,
    /// The entry that superseded it. `None` for the newest of its duty, and for imported ones.
    pub superseded: Option<u64>,
    /// Whether it was opened in another vault.
    pub imported: bool,
}

/// A hold that was not lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// The entry; it is lifted by this number.
    pub sequence: u64,
    /// What is held.
    pub hold: Hold,
    /// Who holds it.
    pub signer: PublicKey,
    /// When, by the store's clock.
    pub stored: Timestamp,
}

/// Somebody looked at a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestRow {
    /// The entry.
    pub sequence: u64,
    /// What was found.
    pub attest: Attest,
    /// Who looked.
    pub signer: PublicKey,
    /// When, by the store's clock.
    pub stored: Timestamp,
}

impl Catalogue {
    /// The state of a log without entries.
    pub fn empty(place: LogPlace) -> Self {
        Self {
            place,
            next: 0,
            head: None,
            trust: 0,
            entries: BTreeMap::new(),
            backups: BTreeMap::new(),
            live: BTreeMap::new(),
            sessions: BTreeMap::new(),
            newest: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            rows: PackRows::default(),
            described: PackSet::default(),
            holds: BTreeMap::new(),
            attests: BTreeMap::new(),
            swept: PackSet::default(),
            swept_wal: Vec::new(),
            swept_parts: Vec::new(),
            witnesses: BTreeMap::new(),
            breaks: Vec::new(),
            unknown: BTreeSet::new(),
            findings: Vec::new(),
        }
    }

    /// Whose log.
    pub fn place(&self) -> LogPlace {
        self.place
    }

    /// The newest linked entry.
    pub fn head(&self) -> Option<LogHead> {
        self.head
    }

    /// The first slot that was not read.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Number of the trust list the newest linked entry goes by.
    pub fn trust_number(&self) -> u32 {
        self.trust
    }

    /// The linked entries.
    pub fn entries(&self) -> &BTreeMap<u64, EntryRow> {
        &self.entries
    }

    /// A backup, live or retired.
    pub fn backup(&self, id: BackupId) -> Option<&BackupRow> {
        self.backups.get(&id)
    }

    /// All backups, in order of their commits.
    pub fn backups(&self) -> Vec<&BackupRow> {
        let mut all: Vec<_> = self.backups.values().collect();
        all.sort_unstable_by_key(|backup| backup.sequence);
        all
    }

    /// The live backups, in order of their commits.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = &BackupRow> {
        self.live.values().filter_map(|id| self.backups.get(id))
    }

    /// A session.
    pub fn session(&self, id: SessionId) -> Option<&SessionRow> {
        self.sessions.get(&id)
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionRow> {
        self.sessions.values()
    }

    /// The newest session of a duty: the only one that may commit.
    pub fn newest_session(&self, duty: Duty) -> Option<&SessionRow> {
        self.newest.get(&duty).and_then(|id| self.sessions.get(id))
    }

    /// The row of a pack that was not swept.
    pub fn row(&self, class: PackClass, pack: PackId) -> Option<&crate::pack::PackRow> {
        self.rows.get(class, pack)
    }

    /// All holds that were not lifted.
    pub fn holds(&self) -> impl Iterator<Item = &HoldRow> {
        self.holds.values()
    }

    /// What was found at a backup, oldest first.
    pub fn attests(&self, backup: BackupId) -> &[AttestRow] {
        self.attests.get(&backup).map_or(&[], Vec::as_slice)
    }

    /// The newest backup that was hashed or restored and found good.
    pub fn newest_attested(&self) -> Option<&BackupRow> {
        self.live().rev().find(|backup| {
            let sound =
                self.attests(backup.id).iter().rev().find(|row| row.attest.level >= Level::Hashed);
            sound.is_some_and(|row| row.attest.passed)
        })
    }

    /// Packs that were swept, and may be gone.
    pub fn swept(&self) -> &PackSet {
        &self.swept
    }

    /// Sealed WAL that was swept.
    pub fn swept_wal(&self) -> &[WalRange] {
        &self.swept_wal
    }

    /// Streamed parts that were swept.
    pub fn swept_parts(&self) -> &[WalRange] {
        &self.swept_parts
    }

    /// The newest known heads of this store's logs in other vaults.
    pub fn witnesses(&self) -> impl Iterator<Item = &Witness> {
        self.witnesses.values()
    }

    /// Entries before which the log is broken.
    pub fn breaks(&self) -> &[u64] {
        &self.breaks
    }

    /// Kinds and features that this version does not know. If there are any, it must not write.
    pub fn unknown(&self) -> &BTreeSet<String> {
        &self.unknown
    }

    /// Everything that is wrong, in order of the slots.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// All packs that live backups refer to.
    pub fn packs_in_use(&self) -> PackSet {
        let mut packs = PackSet::default();
        for backup in self.live() {
            packs.add(&backup.packs);
        }
        packs
    }

    /// Sessions whose packs no sweep may touch: the newest of each duty, and what those adopted.
    pub fn protected_sessions(&self) -> BTreeSet<SessionId> {
        let newest = self.newest.values().filter_map(|id| self.sessions.get(id));
        newest.flat_map(|row| row.adopts.iter().copied().chain([row.id])).collect()
    }
}
