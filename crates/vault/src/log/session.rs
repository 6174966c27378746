//! A session: one run of a writer, which owns every object it writes.
//!
//! Its `open` entry precedes its first object, so that every object has a known owner. It is
//! superseded by the next `open` of its duty and finds that out before it commits; no clock decides
//! anything. What a session that died has left is *adopted* by the next one, which may use it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::crypto::SymmetricKey;
use crate::ids::{BackupId, SessionId};
use crate::keys::{PublicKey, Role, StoreKeys, Trust, probe, wrap};
use crate::log::append::Log;
use crate::log::catalogue::Catalogue;
use crate::log::entry::{Author, Body, Draft};
use crate::log::error::LogError;
use crate::log::event::{Backup, Duty, Event, Incarnation, LogHead, Open, WalRange};
use crate::log::packs::{PackRows, PackSet};
use crate::pack::PackNumbers;
use crate::vault::Vault;

/// How long a session is used. It is what a thief who is in the agent's memory can decrypt.
pub const SESSION_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// How often a running agent looks whether it was superseded, when it does not commit.
pub const FENCE_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How many dead sessions a new one adopts, the latest first. Each costs it two lists and some
/// reads; what older ones left is collected.
const ADOPTED_MAX: usize = 32;

/// How a session is opened.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What for.
    pub duty: Duty,
    /// The agent's name, for people.
    pub agent: String,
    /// The life of the cluster; none for stores without WAL.
    pub incarnation: Option<Incarnation>,
    /// Whether another agent may be superseded.
    pub take_over: TakeOver,
    /// What is told to who can read metadata: host, reason.
    pub content: Vec<u8>,
}

/// Chooses the dead sessions to adopt.
type Adopting<'a> = &'a dyn Fn(&Catalogue, Duty) -> BTreeSet<SessionId>;

/// Whose session may be superseded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeOver {
    /// One's own: the same key, the agent that was restarted.
    OwnOnly,
    /// Anybody's: a person says, or has seen, that the other agent is gone.
    Anybody,
}

/// A backup that is complete but for its commit: all its objects are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupDraft {
    /// Its id.
    pub id: BackupId,
    /// Packs that no entry describes yet: new ones, and adopted ones that it uses.
    pub rows: PackRows,
    /// All other packs that it refers to.
    pub referenced: PackSet,
    /// The WAL without which it cannot be restored.
    pub wal: Option<WalRange>,
    /// What the kind of store says about it.
    pub content: Vec<u8>,
    /// Root of its map.
    pub map_root: Vec<u8>,
}

/// A writer at work.
pub struct Session {
    id: SessionId,
    duty: Duty,
    key: SymmetricKey,
    keys: StoreKeys,
    adopted: BTreeSet<SessionId>,
    vault: Vault,
    log: Mutex<Log>,
    opened: Duration,
    numbers: PackNumbers,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("duty", &self.duty).finish()
    }
}

impl Session {
    /// Opens a session and so supersedes the newest one of its duty.
    ///
    /// # Errors
    /// [`LogError::HeldByAnother`] when another agent holds the duty; [`LogError::Key`] when the
    /// place lets several writers create one name; what appending can fail with.
    pub fn open(log: Log, keys: &StoreKeys, opening: Opening) -> Result<Self, LogError> {
        let id = SessionId::random(&*log.vault().random);
        Self::open_as(id, log, keys, opening, &|_| true)
    }

    /// The same under an id that the caller has chosen, a random one that was never used: when this
    /// fails without an answer, the session may be in the log all the same, and is known by it. It
    /// is opened if `still` holds for what the log amounts to when it is this entry's turn: others
    /// may append after the log was read that decided about this session.
    ///
    /// # Errors
    /// [`LogError::Overtaken`] when it does not; else as for [`Session::open`].
    pub fn open_as(
        id: SessionId,
        log: Log,
        keys: &StoreKeys,
        opening: Opening,
        still: &dyn Fn(&Catalogue) -> bool,
    ) -> Result<Self, LogError> {
        Self::open_with(id, log, keys, opening, (&to_adopt, still))
    }

    /// The same with another choice of whom to adopt. It is a matter of economy alone: no choice
    /// can lose anything.
    #[cfg(test)]
    pub(crate) fn open_adopting(
        log: Log,
        keys: &StoreKeys,
        opening: Opening,
        choose: &dyn Fn(&Catalogue, Duty) -> BTreeSet<SessionId>,
    ) -> Result<Self, LogError> {
        let id = SessionId::random(&*log.vault().random);
        Self::open_with(id, log, keys, opening, (choose, &|_| true))
    }

    fn open_with(
        id: SessionId,
        mut log: Log,
        keys: &StoreKeys,
        opening: Opening,
        (choose, still): (Adopting<'_>, &dyn Fn(&Catalogue) -> bool),
    ) -> Result<Self, LogError> {
        let (vault, trust) = (log.vault().clone(), log.trust().clone());
        probe(&*vault.objects)?;
        let key = SymmetricKey::random(&*vault.random);
        let (commitment, wrapped) = (key.commitment(), wrap(&key, &keys.recipient));
        let signer = keys.signer.public();
        let mut adopted = BTreeSet::new();
        log.append(&Author::of(keys), &mut |catalogue| {
            if catalogue.session(id).is_some() {
                return Ok(None);
            }
            check_holder(catalogue, &trust, &opening, &signer)?;
            if !still(catalogue) {
                return Err(LogError::Overtaken { at: catalogue.next_sequence() });
            }
            adopted = choose(catalogue, opening.duty);
            let open = Open {
                session: id,
                duty: opening.duty,
                agent: opening.agent.clone(),
                incarnation: opening.incarnation.clone(),
                adopts: adopted.iter().copied().collect(),
                commitment,
                wrapped: wrapped.clone(),
            };
            let body = Body { content: opening.content.clone(), map_root: Vec::new() };
            Ok(Some(Draft { event: Event::Open(open), body, witness: Vec::new() }))
        })?;
        Ok(Self {
            id,
            duty: opening.duty,
            key,
            keys: keys.clone(),
            adopted,
            opened: vault.clock.monotonic(),
            vault,
            log: Mutex::new(log),
            numbers: PackNumbers::default(),
        })
    }

    /// Its id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// `K_session`: seals its data packs and live parts.
    pub fn key(&self) -> &SymmetricKey {
        &self.key
    }

    /// The keys it was opened with.
    pub fn keys(&self) -> &StoreKeys {
        &self.keys
    }

    /// The vault it writes to.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Dead sessions whose packs it may use.
    pub fn adopted(&self) -> &BTreeSet<SessionId> {
        &self.adopted
    }

    /// Whether it is time for a new session.
    pub fn is_old(&self) -> bool {
        self.vault.clock.monotonic().saturating_sub(self.opened) >= SESSION_AGE_MAX
    }

    /// Gives out the numbers of its packs.
    pub fn pack_numbers(&self) -> &PackNumbers {
        &self.numbers
    }

    /// Looks whether the session was superseded.
    ///
    /// # Errors
    /// [`LogError::Superseded`]: stop at once. The store's: nothing is known, look again soon.
    pub fn check_fence(&self) -> Result<(), LogError> {
        let mut log = self.log();
        log.refresh()?;
        self.fence(log.catalogue())
    }

    /// Commits a backup. All its objects must have been stored and answered for.
    ///
    /// # Errors
    /// [`LogError::Superseded`]; [`LogError::Refused`], with the kind `Retry` when something it
    /// refers to was swept meanwhile and has to be stored again. After an error of the store the
    /// backup may be committed: call again with the same draft, which then only finds that out.
    pub fn commit_backup(&self, draft: &BackupDraft) -> Result<LogHead, LogError> {
        let mut log = self.log();
        let mut committed = None;
        let appended = log.append(&Author::of(&self.keys), &mut |catalogue| {
            committed = self.find_commit(catalogue, draft.id);
            if committed.is_some() {
                return Ok(None);
            }
            self.fence(catalogue)?;
            let backup = Backup {
                id: draft.id,
                session: self.id,
                wal: draft.wal,
                rows: draft.rows.clone(),
                referenced: draft.referenced.clone(),
            };
            let body = Body { content: draft.content.clone(), map_root: draft.map_root.clone() };
            Ok(Some(Draft { event: Event::Backup(backup), body, witness: Vec::new() }))
        })?;
        appended.or(committed).ok_or(LogError::NoBackup(draft.id))
    }

    /// The log as this session last saw it. Nobody else of the session can append meanwhile, so do
    /// not keep it long.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        // A panic elsewhere left at worst a catalogue that misses entries; it is read on.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fence(&self, catalogue: &Catalogue) -> Result<(), LogError> {
        match catalogue.session(self.id).map(|row| row.superseded) {
            Some(None) => Ok(()),
            Some(Some(by)) => Err(LogError::Superseded { session: self.id, by }),
            // A newer trust list has ended this agent's enrolment before it opened the session.
            None => Err(LogError::Superseded { session: self.id, by: catalogue.next_sequence() }),
        }
    }

    fn find_commit(&self, catalogue: &Catalogue, id: BackupId) -> Option<LogHead> {
        let row = catalogue.backup(id).filter(|row| row.session == self.id)?;
        let entry = catalogue.entries().get(&row.sequence)?;
        Some(LogHead { sequence: row.sequence, hash: entry.hash })
    }
}

fn check_holder(
    catalogue: &Catalogue,
    trust: &Trust,
    opening: &Opening,
    signer: &PublicKey,
) -> Result<(), LogError> {
    // Whoever is enrolled no more can commit nothing more, and holds nothing.
    let store = catalogue.place().store;
    let holder = catalogue
        .newest_session(opening.duty)
        .filter(|holder| trust.newest().may(&holder.signer, Role::Agent, store));
    match holder {
        Some(holder) if holder.signer != *signer && opening.take_over == TakeOver::OwnOnly => {
            Err(LogError::HeldByAnother { agent: holder.agent.clone(), signer: holder.signer })
        }
        _ => Ok(()),
    }
}

/// Dead sessions that nobody has adopted and then committed a backup: after that, what was useful of
/// them belongs to the backup, and the rest is garbage.
fn to_adopt(catalogue: &Catalogue, duty: Duty) -> BTreeSet<SessionId> {
    let committed: BTreeSet<SessionId> =
        catalogue.backups().iter().map(|backup| backup.session).collect();
    let done: BTreeSet<SessionId> = catalogue
        .sessions()
        .filter(|session| committed.contains(&session.id))
        .flat_map(|session| session.adopts.iter().copied())
        .collect();
    let about_to_die = catalogue.newest_session(duty).map(|session| session.id);
    let mut dead: Vec<_> = catalogue
        .sessions()
        .filter(|session| session.superseded.is_some() || about_to_die == Some(session.id))
        .filter(|session| !session.imported && !done.contains(&session.id))
        .collect();
    dead.sort_unstable_by_key(|session| std::cmp::Reverse(session.sequence));
    dead.into_iter().take(ADOPTED_MAX).map(|session| session.id).collect()
}
