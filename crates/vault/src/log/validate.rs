//! The fold: from entries to a [`Catalogue`]. Pure and total; the rules are those of section 8 of
//! the format page, in the same order.
//!
//! Whether an entry is *linked* depends on nothing that can change later, so that all readers agree
//! on the chain for ever. Whether it is *effective* may change when a newer trust list ends an
//! enrolment at an earlier position. Clocks are shown and never asked.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::{BackupId, SessionId, StoreId};
use crate::keys::{PublicKey, Role, Trust};
use crate::log::catalogue::{Catalogue, EntryRow};
use crate::log::entry::Entry;
use crate::log::event::{
    Backup, Event, Head, HoldPurpose, Import, Incarnation, LogHead, LogPlace, Open, Retire, Sweep,
    WalRange,
};
use crate::log::finding::{Finding, Floor, Hole, NamedPack, Problem, Void};
use crate::log::packs::{PackRows, PackSet};
use crate::names::PackClass;
use crate::pack::PackId;

/// A claimed time further than this from the store's is a finding.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(300);

/// What a slot of a log holds.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// Its sequence.
    pub sequence: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// When it was created, by the store's clock.
    pub stored: Timestamp,
}

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It changed the state.
    Effective,
    /// It is in the chain and changed nothing.
    Void,
    /// It is not in the chain.
    Hole,
    /// It lies behind the end of the log and proves nothing, or was folded before.
    Ignored,
}

/// The state of a log: folds these slots, which are in ascending order.
pub fn validate<'a>(
    place: LogPlace,
    trust: &Trust,
    slots: impl IntoIterator<Item = Slot<'a>>,
) -> Catalogue {
    let mut catalogue = Catalogue::empty(place);
    for slot in slots {
        catalogue.fold(trust, slot);
    }
    catalogue
}

/// Whether the bytes are an entry that could only have been written at this place in this log, by
/// somebody enrolled: everything linked entries must be, but for the chain itself.
///
/// # Errors
/// Why not.
pub fn authentic(
    place: LogPlace,
    trust: &Trust,
    sequence: u64,
    bytes: &[u8],
) -> Result<Entry, Hole> {
    let entry = Entry::parse(bytes).map_err(Hole::Bytes)?;
    let head = &entry.head;
    if head.place != place || head.sequence != sequence {
        return Err(Hole::Elsewhere { sequence: head.sequence });
    }
    if trust.at(head.trust).is_none() {
        return Err(Hole::NoTrustList(head.trust));
    }
    if !is_enrolled(trust, head.trust, &head.signer, place.store, sequence) {
        return Err(Hole::Stranger { trust: head.trust, signer: head.signer });
    }
    Ok(entry)
}

fn is_enrolled(
    trust: &Trust,
    number: u32,
    signer: &PublicKey,
    store: StoreId,
    position: u64,
) -> bool {
    const ROLES: [Role; 5] =
        [Role::Agent, Role::Collector, Role::Verifier, Role::Copier, Role::Operator];
    let list = trust.at(number);
    list.is_some_and(|list| {
        ROLES.into_iter().any(|role| list.may_at(signer, role, store, position))
    })
}

impl Catalogue {
    /// Folds the next slot in.
    pub fn fold(&mut self, trust: &Trust, slot: Slot<'_>) -> Verdict {
        let read = authentic(self.place, trust, slot.sequence, slot.bytes);
        self.fold_read(trust, slot.sequence, slot.stored, read)
    }

    /// The same for a slot that was read and judged [`authentic`] or not.
    pub(super) fn fold_read(
        &mut self,
        trust: &Trust,
        sequence: u64,
        stored: Timestamp,
        read: Result<Entry, Hole>,
    ) -> Verdict {
        let Some(after) = sequence.checked_add(1).filter(|_| sequence >= self.next) else {
            return Verdict::Ignored;
        };
        let is_behind_gap = sequence > self.next;
        let entry = match read.and_then(|entry| self.check_trust_number(entry)) {
            Ok(entry) => entry,
            Err(_) if is_behind_gap => return Verdict::Ignored,
            Err(why) => {
                self.next = after;
                self.report(sequence, Problem::Hole { at: sequence, why });
                return Verdict::Hole;
            }
        };
        if is_behind_gap {
            self.report(self.next, Problem::Missing { first: self.next, last: sequence - 1 });
        }
        self.next = after;
        self.chain(&entry, stored);
        if let Some(feature) = entry.unknown() {
            let feature = feature.to_owned();
            self.unknown.insert(feature.clone());
            self.report(sequence, Problem::Unknown { at: sequence, feature });
            return Verdict::Void;
        }
        match self.judge(trust, &entry.head, &entry.event) {
            Ok(()) => {
                self.change(trust, entry, stored);
                Verdict::Effective
            }
            Err(why) => {
                self.report(sequence, Problem::Void { at: sequence, why });
                Verdict::Void
            }
        }
    }

    fn check_trust_number(&self, entry: Entry) -> Result<Entry, Hole> {
        let (trust, before) = (entry.head.trust, self.trust);
        if trust < before { Err(Hole::OldTrustList { trust, before }) } else { Ok(entry) }
    }

    /// What being linked means for the state, whatever the entry does.
    fn chain(&mut self, entry: &Entry, stored: Timestamp) {
        let (head, at) = (&entry.head, entry.head.sequence);
        if head.previous != self.head.map(|head| head.hash) {
            self.breaks.push(at);
            self.report(at, Problem::Break { at });
        }
        let claimed = head.claimed;
        if claimed.duration_since(stored).unsigned_abs() > CLOCK_DIFFERENCE_MAX {
            self.report(at, Problem::Clock { at, claimed, stored });
        }
        self.trust = head.trust;
        self.head = Some(LogHead { sequence: at, hash: entry.hash });
        for witness in &head.witness {
            let known = self.witnesses.get(&witness.vault);
            if known.is_none_or(|known| known.head.sequence < witness.head.sequence) {
                self.witnesses.insert(witness.vault, witness.clone());
            }
        }
        let row = EntryRow {
            kind: entry.event.kind().to_owned(),
            hash: entry.hash,
            signer: head.signer,
            claimed,
            stored,
            effective: false,
        };
        self.entries.insert(at, row);
    }

    pub(super) fn report(&mut self, sequence: u64, problem: Problem) {
        self.findings.push(Finding { sequence, problem });
    }

    /// Whether an entry that says this would be effective in the next slot.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn judge(&self, trust: &Trust, head: &Head, event: &Event) -> Result<(), Void> {
        if let Some(role) = event.role() {
            let (signer, store) = (head.signer, self.place.store);
            if !trust.may_at(head.trust, &signer, role, store, head.sequence) {
                return Err(Void::Role { signer, kind: event.kind().to_owned(), role });
            }
        }
        match event {
            Event::Open(open) => self.judge_open(open),
            Event::Backup(backup) => self.judge_backup(&head.signer, backup),
            Event::Retire(retire) => self.judge_retire(retire),
            Event::Sweep(sweep) => self.judge_sweep(sweep),
            Event::Hold(hold) => self.judge_live(hold.backup),
            Event::Unhold(unhold) if self.holds.contains_key(&unhold.hold) => Ok(()),
            Event::Unhold(unhold) => Err(Void::NoHold(unhold.hold)),
            Event::Attest(attest) if self.backups.contains_key(&attest.backup) => Ok(()),
            Event::Attest(attest) => Err(Void::NotLive(attest.backup)),
            Event::Import(import) => self.judge_import(trust, import),
            Event::Unknown(_) => Ok(()),
        }
    }

    fn judge_open(&self, open: &Open) -> Result<(), Void> {
        if self.sessions.contains_key(&open.session) {
            return Err(Void::SessionSeen(open.session));
        }
        let superseded = self.newest.get(&open.duty);
        let is_dead = |id: &SessionId| {
            let row = self.sessions.get(id);
            row.is_some_and(|row| row.superseded.is_some()) || superseded == Some(id)
        };
        if let Some(session) = open.adopts.iter().find(|id| !is_dead(id)) {
            return Err(Void::Adopts(*session));
        }
        self.judge_incarnation(open.incarnation.as_ref())
    }

    fn judge_incarnation(&self, incarnation: Option<&Incarnation>) -> Result<(), Void> {
        let Some(Incarnation { id, bound_to }) = incarnation else { return Ok(()) };
        match self.incarnations.get(id) {
            Some(known) if known != bound_to => {
                Err(Void::Incarnation { id: *id, bound_to: known.clone() })
            }
            _ => Ok(()),
        }
    }

    fn judge_backup(&self, signer: &PublicKey, backup: &Backup) -> Result<(), Void> {
        if self.backups.contains_key(&backup.id) {
            return Err(Void::BackupSeen(backup.id));
        }
        let session = self.sessions.get(&backup.session).filter(|session| !session.imported);
        let session = session.ok_or(Void::NoSession(backup.session))?;
        if let Some(by) = session.superseded {
            return Err(Void::Superseded { session: session.id, by });
        }
        if session.signer != *signer {
            return Err(Void::NotItsSession(session.id));
        }
        let may_use = |id: SessionId| id == session.id || session.adopts.contains(&id);
        self.judge_rows(&backup.rows, may_use)?;
        let packs = backup.packs();
        self.judge_packs(&packs, &backup.rows)?;
        if self.breaks.is_empty()
            && let Some((class, pack)) = self.not_live(packs, may_use)
        {
            return Err(Void::Reference(NamedPack(class, pack)));
        }
        if let Some(wal) = &backup.wal {
            let own = session.incarnation.as_ref().map(|incarnation| incarnation.id);
            if own != Some(wal.incarnation) {
                let (id, bound_to) = (wal.incarnation, String::new());
                return Err(Void::Incarnation { id, bound_to });
            }
            self.judge_wal(wal)?;
        }
        Ok(())
    }

    fn judge_rows(&self, rows: &PackRows, may_use: impl Fn(SessionId) -> bool) -> Result<(), Void> {
        for (class, pack, row) in rows.iter() {
            let known = self.rows.get(class, pack);
            if !may_use(pack.session) || known.is_some_and(|known| known != row) {
                return Err(Void::Row(NamedPack(class, pack)));
            }
        }
        Ok(())
    }

    /// None was swept, all are described. (After a break what described them may be what is lost.)
    fn judge_packs(&self, packs: &PackSet, rows: &PackRows) -> Result<(), Void> {
        if let Some((class, pack)) = packs.common(&self.swept) {
            return Err(Void::Swept(NamedPack(class, pack)));
        }
        match self.undescribed(packs, rows) {
            Some(pack) if self.breaks.is_empty() => Err(Void::Undescribed(pack)),
            _ => Ok(()),
        }
    }

    pub(super) fn undescribed(&self, packs: &PackSet, rows: &PackRows) -> Option<NamedPack> {
        let mut packs = packs.clone();
        packs.remove(&self.described);
        packs.iter().find(|(class, pack)| rows.get(*class, *pack).is_none()).map(NamedPack::from)
    }

    /// The first pack that is neither usable by itself nor held by a live backup. Mostly the newest
    /// backup holds them all, so it is asked first.
    fn not_live(
        &self,
        mut packs: PackSet,
        may_use: impl Fn(SessionId) -> bool,
    ) -> Option<(PackClass, PackId)> {
        packs.retain_sessions(|session| !may_use(session));
        for backup in self.live().rev() {
            if packs.is_empty() {
                break;
            }
            packs.remove(&backup.packs);
        }
        packs.iter().next()
    }

    fn judge_wal(&self, wal: &WalRange) -> Result<(), Void> {
        if !wal.is_sound() || !wal.is_short() {
            return Err(Void::WalRange);
        }
        if self.swept_wal.iter().any(|swept| swept.touches(wal)) {
            return Err(Void::SweptWal);
        }
        Ok(())
    }

    fn judge_live(&self, id: BackupId) -> Result<(), Void> {
        let live = self.backups.get(&id).is_some_and(|backup| backup.retired.is_none());
        if live { Ok(()) } else { Err(Void::NotLive(id)) }
    }

    fn judge_retire(&self, retire: &Retire) -> Result<(), Void> {
        let floors = self.floors();
        for id in &retire.backups {
            self.judge_live(*id)?;
            if let Some(floor) = floors.get(id).copied() {
                return Err(Void::Floor(*id, floor));
            }
        }
        Ok(())
    }

    /// The backups that nobody may retire, whatever a policy says.
    pub fn floors(&self) -> BTreeMap<BackupId, Floor> {
        let mut floors = BTreeMap::new();
        for row in self.holds() {
            let hold = &row.hold;
            if hold.until.is_none() && hold.purpose != HoldPurpose::Mount {
                floors.insert(hold.backup, Floor::Held);
            }
        }
        if let Some(attested) = self.newest_attested() {
            floors.insert(attested.id, Floor::NewestAttested);
        }
        if let Some(newest) = self.live().next_back() {
            floors.insert(newest.id, Floor::Newest);
        }
        floors
    }

    fn judge_sweep(&self, sweep: &Sweep) -> Result<(), Void> {
        let named = |found: Option<_>| found.map(NamedPack::from);
        let of_session = |fits: &dyn Fn(SessionId) -> bool| {
            let mut packs = sweep.packs.clone();
            packs.retain_sessions(fits);
            packs.iter().next()
        };
        let unknown = of_session(&|session| !self.sessions.contains_key(&session));
        if let Some(pack) = named(unknown) {
            return Err(Void::SweepsUnknown(pack));
        }
        let protected = self.protected_sessions();
        let used = of_session(&|session| protected.contains(&session));
        let used = used.or_else(|| self.live().find_map(|it| sweep.packs.common(&it.packs)));
        if let Some(pack) = named(used) {
            return Err(Void::SweepsUsed(pack));
        }
        if !sweep.wal.iter().chain(&sweep.parts).all(WalRange::is_sound) {
            return Err(Void::WalRange);
        }
        match sweep.wal.iter().find(|range| self.needs_wal(range)) {
            Some(range) => Err(Void::SweepsUsedWal(range.incarnation)),
            None => Ok(()),
        }
    }

    /// Whether something of the range is needed: by a live backup, to go on from the newest one, or
    /// by a writer whose first backup is still to come.
    fn needs_wal(&self, range: &WalRange) -> bool {
        let of_incarnation = |wal: &&WalRange| wal.incarnation == range.incarnation;
        let mut newest = None;
        for wal in self.live().filter_map(|backup| backup.wal.as_ref()).filter(of_incarnation) {
            if wal.touches(range) {
                return true;
            }
            newest = Some(wal);
        }
        match newest {
            Some(newest) => newest.from < range.to,
            None => self.newest.values().filter_map(|id| self.sessions.get(id)).any(|session| {
                session.incarnation.as_ref().is_some_and(|it| it.id == range.incarnation)
            }),
        }
    }

    fn judge_import(&self, trust: &Trust, import: &Import) -> Result<(), Void> {
        let imported = Imported::parse(self.place, trust, import).map_err(Void::Import)?;
        let Imported { open, backup, .. } = &imported;
        if self.backups.contains_key(&backup.id) {
            return Err(Void::BackupSeen(backup.id));
        }
        let known = self.sessions.get(&open.session);
        if known.is_some_and(|known| known.commitment != open.commitment) {
            return Err(Void::SessionSeen(open.session));
        }
        self.judge_incarnation(open.incarnation.as_ref())?;
        self.judge_rows(&imported.rows, |_| true)?;
        self.judge_packs(&backup.packs(), &imported.rows)?;
        backup.wal.as_ref().map_or(Ok(()), |wal| self.judge_wal(wal))
    }
}

impl From<(PackClass, PackId)> for NamedPack {
    fn from((class, pack): (PackClass, PackId)) -> Self {
        Self(class, pack)
    }
}

/// What an import entry carries.
pub(super) struct Imported {
    pub(super) open: Open,
    /// Who signed the session's entry.
    pub(super) opener: PublicKey,
    pub(super) backup: Backup,
    /// All rows that come with it.
    pub(super) rows: PackRows,
}

impl Imported {
    pub(super) fn parse(here: LogPlace, trust: &Trust, import: &Import) -> Result<Self, String> {
        let source = LogPlace { vault: import.source, store: here.store };
        let read = |bytes: &[u8]| {
            let entry = Entry::parse(bytes).map_err(|error| error.to_string())?;
            let Head { trust: number, signer, sequence, .. } = entry.head;
            if entry.head.place != source || source.vault == here.vault {
                return Err("it holds an entry of another store or vault".to_owned());
            }
            if !trust.may_at(number, &signer, Role::Agent, here.store, sequence) {
                return Err(format!("{signer} was no agent of the store there"));
            }
            Ok(entry)
        };
        let (first, second) = (read(&import.open)?, read(&import.backup)?);
        let (opener, in_order) = (first.head.signer, first.head.sequence < second.head.sequence);
        let same_signer = opener == second.head.signer;
        match (first.event, second.event) {
            (Event::Open(open), Event::Backup(backup))
                if in_order && same_signer && open.session == backup.session =>
            {
                let mut rows = import.rows.clone();
                for (class, pack, row) in backup.rows.iter() {
                    rows.insert(class, pack, *row);
                }
                Ok(Self { open, opener, backup, rows })
            }
            _ => Err("it does not hold a session and its backup".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
