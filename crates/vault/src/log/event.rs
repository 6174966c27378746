//! What entries of a log say.

use std::fmt;

use jiff::Timestamp;

use crate::ids::{BackupId, Digest, IncarnationId, SessionId, StoreId, VaultId};
use crate::keys::{PublicKey, Role};
use crate::log::packs::{PackRows, PackSet};

/// Whose log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogPlace {
    /// The vault.
    pub vault: VaultId,
    /// The store.
    pub store: StoreId,
}

/// A linked entry: with it, everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogHead {
    /// Its sequence.
    pub sequence: u64,
    /// BLAKE3 of its bytes.
    pub hash: Digest,
}

/// What every entry says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whose log this is.
    pub place: LogPlace,
    /// The number in the object's name.
    pub sequence: u64,
    /// BLAKE3 of the linked entry before.
    pub previous: Option<Digest>,
    /// Number of the trust list the author went by.
    pub trust: u32,
    /// The author.
    pub signer: PublicKey,
    /// The time by the author's clock: for people to see, never to decide by.
    pub claimed: Timestamp,
    /// Features a reader must know.
    pub needs: Vec<String>,
    /// Heads of this store's logs in other vaults.
    pub witness: Vec<Witness>,
    /// Program and version.
    pub tool: String,
}

/// The head of this store's log in another vault.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Witness {
    /// The other vault.
    pub vault: VaultId,
    /// Its newest entry, as far as the author knew.
    #[serde(flatten)]
    pub head: LogHead,
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A writer begins, and supersedes the one before it.
    Open(Open),
    /// A backup is complete.
    Backup(Backup),
    /// Backups are let go.
    Retire(Retire),
    /// Objects are about to be deleted.
    Sweep(Sweep),
    /// A backup must be kept.
    Hold(Hold),
    /// It need not any more.
    Unhold(Unhold),
    /// Somebody looked at a backup.
    Attest(Attest),
    /// A backup was copied from another vault.
    Import(Import),
    /// A kind this version does not know, or one with a feature that it does not know.
    Unknown(String),
}

/// What a session is there for. There is one newest session of each duty.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Duty {
    /// Streams WAL, and backs up: what an agent does.
    Wal,
    /// Backs up only: a backup made while no agent runs.
    Base,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wal => "wal",
            Self::Base => "base",
        })
    }
}

/// A writer begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The new session.
    pub session: SessionId,
    /// What for.
    pub duty: Duty,
    /// The agent's name, for people.
    pub agent: String,
    /// The life of the cluster it protects; none for stores without WAL.
    pub incarnation: Option<Incarnation>,
    /// Dead sessions whose packs it may use.
    pub adopts: Vec<SessionId>,
    /// Commitment to the session's key.
    pub commitment: [u8; 32],
    /// The session's key, wrapped to the store key.
    pub wrapped: Vec<u8>,
}

/// One life of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Incarnation {
    /// Its id.
    pub id: IncarnationId,
    /// Which cluster it is a life of: kind, system identifier, version. Compared, not interpreted.
    pub bound_to: String,
}

/// A backup needs fewer segments than this: 16 TiB of WAL, at the usual size, while it is made.
const SEGMENTS_MAX: u64 = 1 << 20;

/// A range of WAL of one timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WalRange {
    /// The life of the cluster.
    pub incarnation: IncarnationId,
    /// Timeline.
    pub timeline: u32,
    /// First position.
    pub from: u64,
    /// First position behind it.
    pub to: u64,
    /// Size of the cluster's segments.
    pub segment_bytes: u32,
}

/// A backup is complete: everything it names was stored before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// The session that made it.
    pub session: SessionId,
    /// The WAL without which it cannot be restored.
    pub wal: Option<WalRange>,
    /// Packs that no entry before described.
    pub rows: PackRows,
    /// All other packs it refers to, perhaps more than it uses.
    pub referenced: PackSet,
}

/// Backups are let go. What only they used is swept later.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Retire {
    /// Which.
    pub backups: Vec<BackupId>,
    /// Why, for people.
    pub reason: String,
    /// BLAKE3 of the policy that says so.
    #[serde(default)]
    pub policy: Option<Digest>,
}

/// Objects are about to be deleted. From now on no backup may refer to them, so nothing is lost if
/// a writer was about to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Packs.
    pub packs: PackSet,
    /// Sealed WAL files whose whole segment lies in such a range.
    pub wal: Vec<WalRange>,
    /// Streamed parts whose whole segment lies in such a range.
    pub parts: Vec<WalRange>,
}

/// A backup must be kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hold {
    /// Which.
    pub backup: BackupId,
    /// Until when; none is for ever.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// What for.
    pub purpose: HoldPurpose,
}

/// What a backup is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldPurpose {
    /// The law wants it.
    Legal,
    /// Somebody wants it.
    Pin,
    /// It is mounted. Renewed daily, and forgotten seven days after the last time.
    Mount,
}

/// A hold is lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unhold {
    /// Sequence of the hold's entry.
    pub hold: u64,
}

/// How closely somebody looked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every object is there and has its length.
    Present,
    /// Every object has the hash of the signed tables.
    Hashed,
    /// It was restored and compared.
    Restored,
}

/// Somebody looked at a backup.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attest {
    /// Which.
    pub backup: BackupId,
    /// How closely.
    pub level: Level,
    /// Whether all was well.
    pub passed: bool,
    /// How many objects were looked at.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Names of objects that are missing or damaged: the first [`DAMAGED_NAMES_MAX`].
    #[serde(default)]
    pub damaged: Vec<String>,
}

/// How many names an [`Attest`] lists: enough to see what kind of damage it is.
pub const DAMAGED_NAMES_MAX: usize = 100;

/// A backup was copied from another vault, where its session and commit were these entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The other vault.
    pub source: VaultId,
    /// The bytes of the `open` entry there.
    pub open: Vec<u8>,
    /// The bytes of the `backup` entry there.
    pub backup: Vec<u8>,
    /// Rows of packs that the entry does not describe.
    pub rows: PackRows,
}

impl Event {
    /// The kind's name in the head.
    pub fn kind(&self) -> &str {
        match self {
            Self::Open(_) => "open",
            Self::Backup(_) => "backup",
            Self::Retire(_) => "retire",
            Self::Sweep(_) => "sweep",
            Self::Hold(_) => "hold",
            Self::Unhold(_) => "unhold",
            Self::Attest(_) => "attest",
            Self::Import(_) => "import",
            Self::Unknown(kind) => kind,
        }
    }

    /// The role an author needs. `None` for an unknown kind.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Open(_) | Self::Backup(_) => Some(Role::Agent),
            Self::Retire(_) | Self::Sweep(_) => Some(Role::Collector),
            Self::Hold(_) | Self::Unhold(_) => Some(Role::Operator),
            Self::Attest(_) => Some(Role::Verifier),
            Self::Import(_) => Some(Role::Copier),
            Self::Unknown(_) => None,
        }
    }

    /// The session named in the head.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Open(open) => Some(open.session),
            Self::Backup(backup) => Some(backup.session),
            _ => None,
        }
    }
}

impl Backup {
    /// All packs it refers to.
    pub fn packs(&self) -> PackSet {
        let mut packs = self.referenced.clone();
        packs.add(&self.rows.packs());
        packs
    }
}

impl WalRange {
    /// Whether the two have a position of one timeline in common.
    pub fn touches(&self, other: &Self) -> bool {
        self.incarnation == other.incarnation
            && self.timeline == other.timeline
            && self.from < other.to
            && other.from < self.to
    }

    /// Whether the segment with this number lies in the range as a whole.
    pub fn covers_segment(&self, segment: u64) -> bool {
        let size = u64::from(self.segment_bytes);
        segment.checked_mul(size).is_some_and(|start| {
            self.from <= start && start.checked_add(size).is_some_and(|end| end <= self.to)
        })
    }

    /// Whether a backup may need it: whoever verifies looks at every segment.
    pub fn is_short(&self) -> bool {
        self.to.saturating_sub(self.from) / u64::from(self.segment_bytes.max(1)) < SEGMENTS_MAX
    }

    /// Whether the numbers make sense: PostgreSQL's segments have 1 MiB to 1 GiB.
    pub fn is_sound(&self) -> bool {
        self.from <= self.to
            && self.segment_bytes.is_power_of_two()
            && (1 << 20..=1 << 30).contains(&self.segment_bytes)
    }
}
