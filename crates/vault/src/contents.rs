//! The contents of a backup, between a session and a map: what a new one shares with the one before,
//! and how one that is committed is opened again. The same for every kind of store.

use std::collections::BTreeMap;

use soter_world::Stop;

use crate::ids::BackupId;
use crate::keys::{KeyError, ReaderKeys};
use crate::log::{BackupRow, Catalogue, Log, LogError, PackSet, Session};
use crate::map::{
    Adopted, BackupJob, Base, LoadedMap, MapAccess, MapError, PackTarget, Progress, SessionKeys,
    Sharing, Source, SourceFile, WriteOptions, WrittenMap, write_backup,
};
use crate::names::PackClass;
use crate::pack::{PackId, PackRow};
use crate::refresh::{PACK_AGE_MAX, shareable};

/// The contents that a new backup shares with.
#[derive(Debug, Clone)]
pub struct BaseContents {
    backup: BackupId,
    map_root: Vec<u8>,
    packs: PackSet,
    rows: BTreeMap<(PackClass, PackId), PackRow>,
    /// Those of its packs that are young enough to be shared.
    young: PackSet,
}

/// How the contents of a backup are written.
pub struct ContentsWriter<'a> {
    /// Who writes.
    pub session: &'a Session,
    /// What is shared with.
    pub base: Option<&'a BaseContents>,
    /// Threads, compression.
    pub options: WriteOptions,
}

impl BaseContents {
    /// The contents of a live backup, as this session may share them. `map_root` is of its entry.
    #[must_use]
    pub fn of(session: &Session, backup: &BackupRow, map_root: Vec<u8>) -> Self {
        let log = session.log();
        let catalogue = log.catalogue();
        // By the time at which the vault stored this session's first entry. It is in the log that it
        // was opened in; were it not, nothing would be shared.
        let now = catalogue.session(session.id()).map(|row| row.stored);
        let young = now.map(|now| shareable(catalogue, backup, now, PACK_AGE_MAX));
        Self {
            backup: backup.id,
            map_root,
            packs: backup.packs.clone(),
            rows: pack_rows(catalogue, backup),
            young: young.unwrap_or_default(),
        }
    }
}

fn pack_rows(catalogue: &Catalogue, backup: &BackupRow) -> BTreeMap<(PackClass, PackId), PackRow> {
    let row = |(class, id)| catalogue.row(class, id).map(|row| ((class, id), *row));
    backup.packs.iter().filter_map(row).collect()
}

impl ContentsWriter<'_> {
    /// Stores all files of the plan but what the base has.
    ///
    /// # Errors
    /// See [`write_backup`].
    pub fn write(
        &self,
        plan: &[SourceFile],
        source: &dyn Source,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<WrittenMap, MapError> {
        let (session, keys, vault) = (self.session, self.session.keys(), self.session.vault());
        let dead: Vec<_> = session.adopted().iter().copied().collect();
        let swept = session.log().catalogue().swept().clone();
        let objects = &*vault.objects;
        let adopted = Adopted::load(objects, keys.store, &keys.metadata, &dead, &swept)?;
        let target = PackTarget {
            objects,
            clock: &*vault.clock,
            random: &*vault.random,
            store: keys.store,
            session: session.id(),
            session_key: session.key().clone(),
            metadata: keys.metadata.clone(),
            content_ids: keys.content_ids.clone(),
            numbers: session.pack_numbers(),
        };
        let lookup = |class, id| self.base.and_then(|base| base.rows.get(&(class, id)).copied());
        let access = |base: &BaseContents| MapAccess {
            objects,
            store: keys.store,
            backup: base.backup,
            metadata: keys.metadata.clone(),
            packs: base.packs.clone(),
            rows: &lookup,
        };
        let base_map = match self.base {
            None => None,
            Some(base) => Some(LoadedMap::open(&base.map_root, access(base))?),
        };
        let is_young = |class, pack| self.base.is_some_and(|base| base.young.contains(class, pack));
        // To choose, every leaf is read; without anything old there is nothing to choose.
        let are_all_young = self
            .base
            .is_none_or(|base| base.packs.iter().all(|(class, pack)| is_young(class, pack)));
        let sharing = if are_all_young { Sharing::All } else { Sharing::Chosen(&is_young) };
        let job = BackupJob {
            plan,
            source,
            base: base_map.as_ref().map(|map| Base { map, sharing }),
            adopted: Some(&adopted),
            target: &target,
            options: self.options,
        };
        write_backup(&job, progress, stop)
    }
}

/// Opens the map of a live backup, with what opens its contents, and acts on it.
///
/// # Errors
/// [`LogError::NoBackup`], a map that is damaged, and what the action says.
pub fn with_map<T, E: From<LogError> + From<MapError>>(
    log: &Log,
    keys: &ReaderKeys,
    backup: BackupId,
    act: impl FnOnce(&LoadedMap<'_>, SessionKeys<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let catalogue = log.catalogue();
    let row = catalogue.backup(backup).ok_or(LogError::NoBackup(backup))?;
    let body = log.body(backup, &keys.metadata)?;
    let rows = |class, pack| catalogue.row(class, pack).copied();
    let access = MapAccess {
        objects: &*log.vault().objects,
        store: keys.store,
        backup,
        metadata: keys.metadata.clone(),
        packs: row.packs.clone(),
        rows: &rows,
    };
    let map = LoadedMap::open(&body.map_root, access)?;
    let session_key = |session| match catalogue.session(session) {
        Some(row) => keys.unwrap(&row.wrapped, &row.commitment),
        None => Err(KeyError::UnknownStore { store: keys.store }),
    };
    act(&map, &session_key)
}
