//! Reading a log out of a vault, and taking its next slot.
//!
//! A list is a hint; a slot is free only when a read of it says so, and ours only when its creation
//! says so. Whoever finds it taken folds in what is there and decides again: that is the whole of
//! the coordination between writers.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::ids::{BackupId, Digest, Salt, StoreId};
use crate::keys::{Trust, load_trust};
use crate::log::catalogue::Catalogue;
use crate::log::entry::{Author, Body, Draft, Entry, Position};
use crate::log::error::LogError;
use crate::log::event::{Event, LogHead, LogPlace};
use crate::log::finding::Hole;
use crate::log::validate::authentic;
use crate::names::{self, Name, REPAIRS_MAX};
use crate::objects::{ObjectError, ObjectErrorKind, Once, create_once};
use crate::vault::Vault;

/// How many taken slots an append steps over. Honest writers meet a handful; a stranger who squats
/// slots pays for each, and this many need a person.
const SLOTS_MAX: u32 = 1000;

/// How many objects behind the end of a log are looked into. Only one that lies there although
/// slots before it are empty, which is damage or an attack, or junk somebody put there.
const BEHIND_THE_END_MAX: usize = 256;

/// How many names a list call asks for: what S3 gives at once.
const LIST_PAGE: usize = 1000;

/// A store's log, read up to its end.
pub struct Log {
    vault: Vault,
    trust: Trust,
    catalogue: Catalogue,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.catalogue.place();
        f.debug_struct("Log").field("place", &place).field("head", &self.catalogue.head()).finish()
    }
}

impl Log {
    /// Reads the log of `store`. `remembered` is the newest head that the caller has seen before: a
    /// vault that shows less has lost or hides something.
    ///
    /// # Errors
    /// [`LogError::TailCut`], or the store's. Whatever is wrong *in* the log is a finding of its
    /// [`Catalogue`].
    pub fn open(
        vault: &Vault,
        store: StoreId,
        trust: Trust,
        remembered: Option<LogHead>,
    ) -> Result<Self, LogError> {
        let mut log = Self::unread(vault, store, trust);
        log.read_all()?;
        match remembered {
            Some(head) if !log.contains(head) => {
                Err(LogError::TailCut { remembered: head, found: log.catalogue.head() })
            }
            _ => Ok(log),
        }
    }

    /// A log of which nothing was read.
    pub(super) fn unread(vault: &Vault, store: StoreId, trust: Trust) -> Self {
        let place = LogPlace { vault: vault.pins.vault, store };
        Self { vault: vault.clone(), trust, catalogue: Catalogue::empty(place) }
    }

    /// The same log for another who reads it: simulations of years cannot read it anew each day.
    #[cfg(test)]
    pub(crate) fn duplicate(&self) -> Self {
        let Self { vault, trust, catalogue } = self;
        Self { vault: vault.clone(), trust: trust.clone(), catalogue: catalogue.clone() }
    }

    /// What the log amounts to, as far as it was read.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The trust lists it was read with.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The vault it lies in.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Reads what was appended since.
    ///
    /// # Errors
    /// The store's.
    pub fn refresh(&mut self) -> Result<(), LogError> {
        while let Some(found) = self.look(self.catalogue.next_sequence())? {
            if self.fold(self.catalogue.next_sequence(), found)? == Fold::TrustChanged {
                return self.read_all();
            }
        }
        Ok(())
    }

    /// Appends what `decide` wants, once. `decide` is asked again, with the newer state, whenever
    /// somebody else took the slot; `None` means that there is nothing to append (any more), and is
    /// how it recognises its own entry after an error that left it in doubt.
    ///
    /// # Errors
    /// What `decide` says; [`LogError::Refused`] when the entry would be void; the store's, after
    /// which the entry may be there or not: append again, and decide by what is there.
    pub fn append(
        &mut self,
        author: &Author,
        decide: &mut dyn FnMut(&Catalogue) -> Result<Option<Draft>, LogError>,
    ) -> Result<Option<LogHead>, LogError> {
        for _ in 0..SLOTS_MAX {
            self.refresh()?;
            self.check_writable(author)?;
            let Some(draft) = decide(&self.catalogue)? else { return Ok(None) };
            let (sequence, bytes) = self.seal(author, &draft)?;
            let name = Name::Log(self.catalogue.place().store, sequence).to_string();
            match create_once(&*self.vault.objects, &*self.vault.clock, &name, &bytes)? {
                Once::New | Once::Same => return self.fold_own(sequence, &bytes).map(Some),
                Once::Taken(_) => {}
            }
        }
        Err(LogError::Jammed { slots: SLOTS_MAX })
    }

    /// The sealed part of a backup's entry.
    ///
    /// # Errors
    /// [`LogError::NoBackup`], [`LogError::Entry`] when the key does not open it or the object was
    /// changed since the log was read.
    pub fn body(
        &self,
        backup: BackupId,
        metadata: &crate::crypto::SymmetricKey,
    ) -> Result<Body, LogError> {
        let row = self.catalogue.backup(backup).ok_or(LogError::NoBackup(backup))?;
        let sequence = row.sequence;
        let hash = self.catalogue.entries().get(&sequence).map(|row| row.hash);
        let entry = match self.read_authentic(sequence)? {
            Some(Ok(entry)) if Some(entry.hash) == hash => entry,
            _ => return Err(LogError::NoBackup(backup)),
        };
        // An import holds the entry of the vault that it was copied from.
        let entry = match entry.event {
            Event::Import(import) => Entry::parse(&import.backup),
            _ => Ok(entry),
        };
        let body = entry.and_then(|entry| entry.body(metadata));
        body.map_err(|source| LogError::Entry { sequence, source })
    }

    fn contains(&self, head: LogHead) -> bool {
        let entry = self.catalogue.entries().get(&head.sequence);
        entry.is_some_and(|entry| entry.hash == head.hash)
    }

    fn check_writable(&self, author: &Author) -> Result<(), LogError> {
        let unknown = self.catalogue.unknown();
        if !unknown.is_empty() {
            return Err(LogError::Newer { features: unknown.iter().cloned().collect() });
        }
        let (own, log) = (author.trust_number, self.catalogue.trust_number());
        if own < log { Err(LogError::OldKeys { own, log }) } else { Ok(()) }
    }

    /// The bytes of the next entry, checked by the rules that every reader will apply.
    fn seal(&self, author: &Author, draft: &Draft) -> Result<(u64, Vec<u8>), LogError> {
        let position = Position {
            place: self.catalogue.place(),
            sequence: self.catalogue.next_sequence(),
            previous: self.catalogue.head().map(|head| head.hash),
            claimed: self.vault.clock.now(),
            salt: Salt::random(&*self.vault.random),
        };
        let (sequence, place) = (position.sequence, position.place);
        let bytes = draft.seal(author, &position)?;
        match authentic(place, &self.trust, sequence, &bytes) {
            Ok(entry) => self
                .catalogue
                .judge(&self.trust, &entry.head, &entry.event)
                .map_err(|why| LogError::Refused { why })?,
            Err(Hole::Bytes(source)) => return Err(LogError::Entry { sequence, source }),
            Err(_) => {
                let (signer, store) = (author.signer.public(), place.store);
                return Err(crate::keys::KeyError::NotEnrolled { signer, store }.into());
            }
        }
        Ok((sequence, bytes))
    }

    fn fold_own(&mut self, sequence: u64, bytes: &[u8]) -> Result<LogHead, LogError> {
        let place = self.catalogue.place();
        let name = Name::Log(place.store, sequence).to_string();
        // It is committed whatever the store says to this question.
        let known = self.vault.objects.head(&name).ok().flatten();
        let stored = known.map_or_else(|| self.vault.clock.now(), |info| info.modified);
        let read = authentic(place, &self.trust, sequence, bytes);
        self.catalogue.fold_read(&self.trust, sequence, stored, read);
        Ok(LogHead { sequence, hash: Digest::of(bytes) })
    }

    /// Reads everything anew.
    fn read_all(&mut self) -> Result<(), LogError> {
        let listed = self.list()?;
        self.catalogue = Catalogue::empty(self.catalogue.place());
        let last = listed.keys().next_back().copied();
        loop {
            let next = self.catalogue.next_sequence();
            // The newest entry's durability is what matters to those who build on it; whoever wrote
            // it has made sure of the one before.
            let found = match listed.get(&next) {
                Some(stored) if last != Some(next) => self.read(next, *stored)?,
                _ => self.look(next)?,
            };
            let Some(found) = found else { break };
            if self.fold(next, found)? == Fold::TrustChanged {
                return self.read_all();
            }
        }
        self.read_behind_the_end(&listed)
    }

    /// An entry that lies behind empty slots shows that entries are missing.
    fn read_behind_the_end(&mut self, listed: &BTreeMap<u64, Timestamp>) -> Result<(), LogError> {
        let end = self.catalogue.next_sequence();
        let behind: Vec<_> = listed.range(end..).take(BEHIND_THE_END_MAX).collect();
        for (&sequence, &stored) in behind {
            if let Some(found) = self.read(sequence, stored)?
                && found.entry.is_ok()
                && self.fold(sequence, found)? == Fold::TrustChanged
            {
                return self.read_all();
            }
        }
        if self.catalogue.next_sequence() == end { Ok(()) } else { self.refresh() }
    }

    fn list(&self) -> Result<BTreeMap<u64, Timestamp>, LogError> {
        let store = self.catalogue.place().store;
        let (prefix, mut after) = (names::log_prefix(store), None::<String>);
        let mut listed = BTreeMap::new();
        loop {
            let page = self.vault.objects.list(&prefix, after.as_deref(), LIST_PAGE)?;
            for info in &page {
                if let Some(Name::Log(of, sequence)) = Name::parse(&info.name)
                    && of == store
                {
                    listed.insert(sequence, info.modified);
                }
            }
            after = page.last().map(|info| info.name.clone());
            if page.len() < LIST_PAGE {
                return Ok(listed);
            }
        }
    }

    /// What is in a slot, and durable.
    pub(super) fn look(&self, sequence: u64) -> Result<Option<Found>, LogError> {
        let name = Name::Log(self.catalogue.place().store, sequence).to_string();
        match self.vault.objects.head(&name)? {
            Some(info) => self.read(sequence, info.modified),
            None => Ok(None),
        }
    }

    fn read(&self, sequence: u64, stored: Timestamp) -> Result<Option<Found>, LogError> {
        Ok(self.read_authentic(sequence)?.map(|entry| Found { stored, entry }))
    }

    /// The entry in a slot, or the first authentic repair of it.
    pub(super) fn read_authentic(
        &self,
        sequence: u64,
    ) -> Result<Option<Result<Entry, Hole>>, LogError> {
        let place = self.catalogue.place();
        let name = Name::Log(place.store, sequence).to_string();
        let Some(bytes) = absent_as_none(self.vault.objects.read(&name))? else {
            return Ok(None);
        };
        let found = authentic(place, &self.trust, sequence, &bytes);
        if found.is_err() {
            for number in 1..=REPAIRS_MAX {
                let repair = self.vault.objects.read(&names::repair_of(&name, number));
                let Some(bytes) = absent_as_none(repair)? else { break };
                if let Ok(entry) = authentic(place, &self.trust, sequence, &bytes) {
                    return Ok(Some(Ok(entry)));
                }
            }
        }
        Ok(Some(found))
    }

    fn fold(&mut self, sequence: u64, found: Found) -> Result<Fold, LogError> {
        if let Err(Hole::NoTrustList(number)) = &found.entry
            && self.learn_trust(*number)?
        {
            return Ok(Fold::TrustChanged);
        }
        self.catalogue.fold_read(&self.trust, sequence, found.stored, found.entry);
        Ok(Fold::Done)
    }

    /// An entry names a list that was not there when the lists were loaded. A list is published
    /// before anybody goes by it, so if it is not there now either, the entry is a stranger's.
    fn learn_trust(&mut self, number: u32) -> Result<bool, LogError> {
        let newest = self.trust.newest().number;
        if number <= newest {
            return Ok(false);
        }
        let loaded = load_trust(&*self.vault.objects, &self.vault.pins, newest)?;
        let is_newer = loaded.trust.newest().number > newest;
        if is_newer {
            self.trust = loaded.trust;
        }
        Ok(is_newer)
    }
}

/// A slot that is taken.
pub(super) struct Found {
    stored: Timestamp,
    pub(super) entry: Result<Entry, Hole>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    Done,
    /// Newer trust lists may judge old entries otherwise: read all again.
    TrustChanged,
}

fn absent_as_none(read: Result<Vec<u8>, ObjectError>) -> Result<Option<Vec<u8>>, ObjectError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ObjectErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
