//! What a store's log amounts to: backups, sessions, holds, and what is wrong.
//!
//! A [`Catalogue`] is made by the fold in [`validate`](super::validate) alone and is never changed
//! otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use crate::ids::{BackupId, Digest, IncarnationId, SessionId, VaultId};
use crate::keys::{PublicKey, Role};
use crate::log::entry::EntryError;
use crate::log::event::{
    Attest, Duty, Hold, Incarnation, Level, LogHead, LogPlace, WalRange, Witness,
};
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

/// Something in the log that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The slot.
    pub sequence: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Somebody or something does what it should not; nothing is lost by it.
    Warning,
    /// What the log says may not be all there was, or somebody who may sign does harm.
    Error,
}

/// What is wrong with a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The slot holds nothing that belongs to this log.
    #[error("log slot {at} is a hole: {why}")]
    Hole {
        /// The slot.
        at: u64,
        /// Why.
        why: Hole,
    },
    /// A linked entry has no effect.
    #[error("log entry {at} has no effect: {why}")]
    Void {
        /// The slot.
        at: u64,
        /// Why.
        why: Void,
    },
    /// The entry does not follow the one before it.
    #[error(
        "the log is broken before entry {at}: an entry before it is missing, damaged or exchanged"
    )]
    Break {
        /// The slot.
        at: u64,
    },
    /// Slots are empty although later ones are not.
    #[error("log entries {first} to {last} are missing")]
    Missing {
        /// The first slot.
        first: u64,
        /// The last slot.
        last: u64,
    },
    /// A newer Soter wrote this: use that one.
    #[error("log entry {at} needs {feature:?}, which this Soter does not know")]
    Unknown {
        /// The slot.
        at: u64,
        /// The kind or the feature.
        feature: String,
    },
    /// The author's clock is wrong: set it.
    #[error("log entry {at} claims {claimed}, but was stored at {stored}")]
    Clock {
        /// The slot.
        at: u64,
        /// The author's clock.
        claimed: Timestamp,
        /// The store's clock.
        stored: Timestamp,
    },
    /// After a break: a backup refers to a pack that no entry describes.
    #[error("backup {backup} refers to {pack}, which no readable entry describes")]
    Undescribed {
        /// The backup.
        backup: BackupId,
        /// The first such pack.
        pack: NamedPack,
    },
}

/// Why a slot is a hole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hole {
    /// Its bytes are no entry.
    #[error("{0}")]
    Bytes(EntryError),
    /// An entry of another log or slot, copied here.
    #[error("it holds entry {sequence} of another log or place")]
    Elsewhere {
        /// The sequence it was signed for.
        sequence: u64,
    },
    /// The trust list it names is not there.
    #[error("it names trust list {0}, which is not there")]
    NoTrustList(u32),
    /// Its trust list does not know the signer.
    #[error("trust list {trust} does not enrol {signer}")]
    Stranger {
        /// The list.
        trust: u32,
        /// The signer.
        signer: PublicKey,
    },
    /// An older trust list than an entry before it.
    #[error("it goes by trust list {trust}, an entry before it by {before}")]
    OldTrustList {
        /// Its list.
        trust: u32,
        /// The list of the entry before.
        before: u32,
    },
}

/// Why a linked entry has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// Its signer may not do this.
    #[error("{signer} may not {kind}: it needs the role {role:?}")]
    Role {
        /// The signer.
        signer: PublicKey,
        /// What it tried.
        kind: String,
        /// The role it needs.
        role: Role,
    },
    /// The session id was used before.
    #[error("session {0} was opened before")]
    SessionSeen(SessionId),
    /// It adopts a session that is unknown or still at work.
    #[error("it adopts session {0}, which is not a dead one")]
    Adopts(SessionId),
    /// The incarnation is another cluster's.
    #[error("incarnation {id} belongs to {bound_to:?}")]
    Incarnation {
        /// The incarnation.
        id: IncarnationId,
        /// The cluster it is bound to; empty if the session has another incarnation.
        bound_to: String,
    },
    /// There is no such session.
    #[error("session {0} was never opened")]
    NoSession(SessionId),
    /// Somebody else has taken over.
    #[error("session {session} was superseded by entry {by}")]
    Superseded {
        /// The session.
        session: SessionId,
        /// The entry that superseded it.
        by: u64,
    },
    /// The session is another signer's.
    #[error("session {0} was opened by another signer")]
    NotItsSession(SessionId),
    /// The backup id was used before.
    #[error("backup {0} exists")]
    BackupSeen(BackupId),
    /// It describes a pack that is not its to describe, or otherwise than before.
    #[error("it describes {0}, which is not its own, or otherwise than an entry before")]
    Row(NamedPack),
    /// It refers to a pack that no live backup holds.
    #[error("it refers to {0}, which no live backup holds and its session may not use")]
    Reference(NamedPack),
    /// It refers to a pack that is gone or about to go.
    #[error("it refers to {0}, which was swept")]
    Swept(NamedPack),
    /// It refers to a pack that no entry describes.
    #[error("it refers to {0}, which no entry describes")]
    Undescribed(NamedPack),
    /// The WAL range makes no sense.
    #[error("its WAL range makes no sense")]
    WalRange,
    /// It needs WAL that was swept.
    #[error("it needs WAL that was swept")]
    SweptWal,
    /// The backup is not there, or let go.
    #[error("backup {0} is not a live one")]
    NotLive(BackupId),
    /// The backup must stay.
    #[error("backup {0} must stay: {1}")]
    Floor(BackupId, Floor),
    /// The pack's session is not known: it may be from the future.
    #[error("it sweeps {0}, whose session is not known")]
    SweepsUnknown(NamedPack),
    /// The pack is in use.
    #[error("it sweeps {0}, which a live backup or a session needs")]
    SweepsUsed(NamedPack),
    /// The WAL is in use.
    #[error("it sweeps WAL of incarnation {0} that is needed")]
    SweepsUsedWal(IncarnationId),
    /// There is no such hold.
    #[error("entry {0} is not a hold, or was lifted")]
    NoHold(u64),
    /// What was imported is not what it should be.
    #[error("what it imports is not valid: {0}")]
    Import(String),
}

/// Why a backup may not be retired, whoever wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Floor {
    /// It is the newest.
    #[error("it is the newest")]
    Newest,
    /// It is the newest that was looked into and found good.
    #[error("it is the newest that passed verification")]
    NewestAttested,
    /// Somebody holds it without end.
    #[error("it is held")]
    Held,
}

/// A pack and its class, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPack(pub PackClass, pub PackId);

impl fmt::Display for NamedPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.0 {
            PackClass::Data => "data",
            PackClass::Map => "map",
        };
        write!(f, "{class} pack {}/{:06x}", self.1.session, self.1.number)
    }
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match &self.problem {
            Problem::Clock { .. } => Severity::Note,
            Problem::Hole { why: Hole::Bytes(_) | Hole::Stranger { .. }, .. } => Severity::Warning,
            Problem::Hole { .. }
            | Problem::Void { .. }
            | Problem::Break { .. }
            | Problem::Missing { .. }
            | Problem::Unknown { .. }
            | Problem::Undescribed { .. } => Severity::Error,
        }
    }
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
