//! Writing a restored cluster: a new directory, never an existing one.
//!
//! Until everything is durable a marker says that the restore is unfinished, and the control file,
//! without which no server starts, has another name. In a backup it does not start without
//! `backup_label` either.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use soter_vault::map::{FileEntry, Progress, RestoreOptions, Restored, Sink, SinkFile, restore};
use soter_world::disk::{FileKind, Owner};
use soter_world::{Disk, DiskFile, Stop, durable};

use super::choice::{Choice, StopAt};
use super::claim::{Claim, Stage};
use super::configure::{auto_conf, disarm, place_of};
use super::error::RestoreError;
use super::feed::{Feed, Feeder};
use super::gather::{Gathered, StoreReader};
use crate::backup::record::BackupRecord;
use crate::backup::tree::{CONFIGURATION_PREFIX, DATA_PREFIX, TABLESPACES_PREFIX};
use crate::backup_label::{TablespacePlace, format_tablespace_map};
use crate::lsn::Timeline;

/// Says that a restore has not come to its end.
pub(crate) const UNFINISHED: &str = "soter.restoring";

/// The control file, and its name until all else is durable.
const CONTROL: &str = "global/pg_control";
const CONTROL_WAITING: &str = "global/soter.pg_control";

/// Where configuration files go that did not lie beside the main one: for a person to look at.
const KEPT_CONFIGURATION: &str = "soter.configuration";

/// Longest configuration file that is rewritten.
const CONFIGURATION_LENGTH_MAX: usize = 4 << 20;

/// Where a cluster is restored to.
pub struct RestoreTarget<'a> {
    /// Files.
    pub disk: &'a dyn Disk,
    /// The data directory: absent or empty.
    pub directory: &'a Path,
    /// Whose the files are to be; as root, the server's user.
    pub owner: Option<Owner>,
    /// Threads.
    pub workers: usize,
    /// Where each tablespace goes: absent or empty directories.
    pub tablespaces: &'a [TablespacePlace],
    /// Its name, if it is to be taken up again by it.
    pub claim: Option<&'a Claim>,
}

impl RestoreTarget<'_> {
    /// Restores the chosen backup, its WAL and its configuration, for a person to start the server
    /// on it: it will come up as a standby and stop at the target.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn write(
        &self,
        reader: &StoreReader<'_>,
        gathered: &Gathered,
        choice: &Choice,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<Restored, RestoreError> {
        let restored = self.write_files(reader, gathered, choice, progress, stop)?;
        let feed = Feed::whole(choice, gathered.record(choice)?);
        Feeder { reader, gathered, choice, target: self }.run(&feed);
        if let Some(error) = feed.take_failure() {
            return Err(error);
        }
        self.make_startable()?;
        self.finish()?;
        Ok(restored)
    }

    /// The same without the WAL, and the directory stays marked as unfinished: the server is to be
    /// started by [`Start`](super::start::Start) with a [`Feeder`], and [`RestoreTarget::finish`]
    /// called when it is back.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn write_unfinished(
        &self,
        reader: &StoreReader<'_>,
        gathered: &Gathered,
        choice: &Choice,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<Restored, RestoreError> {
        let restored = self.write_files(reader, gathered, choice, progress, stop)?;
        self.make_startable()?;
        Ok(restored)
    }

    /// Everything but WAL segments, not durable yet.
    fn write_files(
        &self,
        reader: &StoreReader<'_>,
        gathered: &Gathered,
        choice: &Choice,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<Restored, RestoreError> {
        for directory in self.directories() {
            self.require_empty(directory)?;
        }
        for directory in self.directories() {
            self.prepare(directory)?;
        }
        let record = gathered.record(choice)?;
        let restored = self.contents(reader, gathered, choice, record, (progress, stop))?;
        self.history(reader, gathered)?;
        self.configuration(choice)?;
        self.links()?;
        Ok(restored)
    }

    /// The data directory, and those of tablespaces.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        let places = self.tablespaces.iter().map(|place| place.directory.as_path());
        std::iter::once(self.directory).chain(places)
    }

    /// Where tablespaces are: as links, and in the file by which a server that recovers from a backup
    /// makes these links anew.
    fn links(&self) -> Result<(), RestoreError> {
        if self.tablespaces.is_empty() {
            return Ok(());
        }
        for TablespacePlace { tablespace, directory } in self.tablespaces {
            let path = self.directory.join("pg_tblspc").join(tablespace.to_string());
            let linked = self.disk.symlink(directory, &path).and_then(|()| self.own(&path));
            linked.map_err(|source| RestoreError::File { path, source })?;
        }
        let path = self.directory.join("tablespace_map");
        let map = format_tablespace_map(self.tablespaces);
        let written = durable::write_durable(self.disk, &path, &map);
        written.and_then(|()| self.own(&path)).map_err(|source| RestoreError::File { path, source })
    }

    /// Makes everything durable, and only then something that a server would start.
    fn make_startable(&self) -> Result<(), RestoreError> {
        let (disk, directory) = (self.disk, self.directory);
        let control = directory.join(CONTROL);
        self.directories()
            .try_for_each(|directory| disk.sync_filesystem(directory))
            .and_then(|()| disk.rename(&directory.join(CONTROL_WAITING), &control))
            .and_then(|()| disk.sync_dir(durable::parent(&control)))
            .map_err(|source| RestoreError::File { path: directory.to_owned(), source })
    }

    /// Takes away what says that the restore is unfinished.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn finish(&self) -> Result<(), RestoreError> {
        for directory in self.directories() {
            let removed = match self.disk.remove_file(&directory.join(UNFINISHED)) {
                // Cut off here before, it is finished again.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.claim.is_some() => {
                    Ok(())
                }
                removed => removed,
            };
            removed
                .and_then(|()| self.disk.sync_dir(directory))
                .map_err(|source| RestoreError::File { path: directory.to_owned(), source })?;
        }
        Ok(())
    }

    /// Whether nothing is there that could be lost.
    ///
    /// # Errors
    /// [`RestoreError::NotEmpty`] when something is.
    pub fn require_empty(&self, path: &Path) -> Result<(), RestoreError> {
        match self.disk.list(path) {
            Ok(entries) if entries.is_empty() => Ok(()),
            Ok(entries) => {
                let unfinished = entries.iter().any(|entry| entry.name == UNFINISHED);
                Err(RestoreError::NotEmpty { path: path.to_owned(), unfinished })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(RestoreError::File { path: path.to_owned(), source }),
        }
    }

    fn prepare(&self, path: &Path) -> Result<(), RestoreError> {
        let failed = |source| RestoreError::File { path: path.to_owned(), source };
        durable::create_dir_all_durable(self.disk, path).map_err(failed)?;
        self.disk.set_mode(path, 0o700).map_err(failed)?;
        self.own(path).map_err(failed)?;
        // Under its own name from the beginning: whatever is left of a restore has it.
        if let Some(claim) = self.claim {
            return claim.write(self.disk, path, Stage::Writing, None);
        }
        self.disk
            .create(&path.join(UNFINISHED))
            .and_then(|marker| marker.sync())
            .map_err(failed)?;
        self.disk.sync_dir(path).map_err(failed)
    }

    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        self.owner.map_or(Ok(()), |owner| self.disk.set_owner(path, owner))
    }

    fn contents(
        &self,
        reader: &StoreReader<'_>,
        gathered: &Gathered,
        choice: &Choice,
        record: &BackupRecord,
        (progress, stop): (&dyn Progress, &Stop),
    ) -> Result<Restored, RestoreError> {
        let main = record.server.files.config_file.clone();
        let sink = TargetSink { target: self, main };
        let options = RestoreOptions { workers: self.workers, select: &|_| true };
        reader.with_map(gathered, choice, |map, session_key| {
            Ok(restore(map, session_key, &sink, options, progress, stop)?)
        })
    }

    /// The file that says how the timeline came about: without it no server finds the way there.
    fn history(&self, reader: &StoreReader<'_>, gathered: &Gathered) -> Result<(), RestoreError> {
        let timeline = gathered.recoverable.history.timeline();
        if timeline == Timeline::FIRST {
            return Ok(());
        }
        let name = format!("{:08X}.history", timeline.0);
        let wal = reader.wal_vault(gathered.archive);
        let file = wal.archive.file(&name).ok_or(RestoreError::NoHistory { timeline })?;
        let fetched = wal.fetch(&file, reader.keys, 1)?;
        let fetched = fetched.ok_or(RestoreError::NoHistory { timeline })?;
        self.wal_file(&name, &fetched.bytes)
    }

    fn file(&self, path: &Path, bytes: &[u8]) -> Result<(), RestoreError> {
        let write = || {
            self.disk.create(path)?.write_at(0, bytes)?;
            self.own(path)
        };
        write().map_err(|source| RestoreError::File { path: path.to_owned(), source })
    }

    fn configuration(&self, choice: &Choice) -> Result<(), RestoreError> {
        for name in ["postgresql.conf", "postgresql.auto.conf"] {
            let path = self.directory.join(name);
            let text = match durable::read(self.disk, &path, CONFIGURATION_LENGTH_MAX) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                Err(source) => return Err(RestoreError::File { path, source }),
            };
            let text = match name {
                "postgresql.conf" => disarm(&text).0,
                _ => auto_conf(&text, &settings(choice)),
            };
            let failed = |source| RestoreError::File { path: path.clone(), source };
            durable::write_durable(self.disk, &path, text.as_bytes()).map_err(failed)?;
            self.own(&path).map_err(failed)?;
        }
        self.file(&self.directory.join("standby.signal"), b"")
    }
}

/// What a restored cluster is told.
fn settings(choice: &Choice) -> Vec<(&'static str, String)> {
    let inclusive = if choice.inclusive { "on" } else { "off" };
    let mut settings = vec![
        ("archive_mode", "off".to_owned()),
        ("synchronous_standby_names", String::new()),
        ("recovery_target_timeline", choice.timeline.0.to_string()),
        ("recovery_target_action", "pause".to_owned()),
        ("wal_retrieve_retry_interval", "200ms".to_owned()),
    ];
    let target = match &choice.stop_at {
        StopAt::EndOfWal => None,
        StopAt::Consistent => Some(("recovery_target", "immediate".to_owned())),
        StopAt::Time(time) => Some(("recovery_target_time", server_time(*time))),
        StopAt::Lsn(lsn) => Some(("recovery_target_lsn", lsn.to_string())),
        StopAt::Xid(xid) => Some(("recovery_target_xid", xid.to_string())),
        StopAt::Name(name) => Some(("recovery_target_name", name.clone())),
    };
    let inclusive = match choice.stop_at {
        StopAt::Lsn(_) => "off",
        _ => inclusive,
    };
    if let Some(target) = target {
        settings.push(target);
        settings.push(("recovery_target_inclusive", inclusive.to_owned()));
    }
    settings
}

/// A time as a server understands it that reads its configuration: it knows no names of zones yet,
/// and "Z" is one of them. Its own times end at the microsecond.
fn server_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

struct TargetSink<'a> {
    target: &'a RestoreTarget<'a>,
    /// The original's main configuration file.
    main: Option<PathBuf>,
}

impl TargetSink<'_> {
    /// Where an entry of the backup goes; `None` for what is not restored.
    fn place(&self, entry: &FileEntry) -> Option<PathBuf> {
        let path = entry.path.as_path();
        if let Ok(inside) = path.strip_prefix(DATA_PREFIX) {
            let inside =
                if inside == Path::new(CONTROL) { CONTROL_WAITING.as_ref() } else { inside };
            return Some(self.target.directory.join(inside));
        }
        if let Ok(inside) = path.strip_prefix(TABLESPACES_PREFIX) {
            let number = inside.components().next()?.as_os_str().to_str()?;
            let mut places = self.target.tablespaces.iter();
            let place = places.find(|place| place.tablespace.to_string() == number)?;
            return Some(place.directory.join(inside.strip_prefix(number).ok()?));
        }
        let outside = path.strip_prefix(CONFIGURATION_PREFIX).ok()?;
        let original = Path::new("/").join(outside);
        let beside = self.main.as_deref().and_then(|main| place_of(main, &original));
        let inside = beside.unwrap_or_else(|| Path::new(KEPT_CONFIGURATION).join(outside));
        Some(self.target.directory.join(inside))
    }

    /// Makes the directories above a file from outside the data directory.
    fn parents(&self, place: &Path) -> io::Result<()> {
        let disk = self.target.disk;
        let inside = |path: &&Path| path.starts_with(self.target.directory);
        let mut missing: Vec<&Path> = place.ancestors().skip(1).take_while(inside).collect();
        missing.retain(
            |path| !matches!(disk.metadata(path), Ok(found) if found.kind == FileKind::Directory),
        );
        for directory in missing.into_iter().rev() {
            disk.create_dir(directory)?;
            self.target.own(directory)?;
        }
        Ok(())
    }
}

impl Sink for TargetSink<'_> {
    fn directory(&self, entry: &FileEntry) -> io::Result<()> {
        let disk = self.target.disk;
        let Some(place) = self.place(entry) else { return Ok(()) };
        let is_there = self.target.directories().any(|directory| directory == place);
        if is_there || entry.path.as_path().starts_with(CONFIGURATION_PREFIX) {
            return Ok(());
        }
        disk.create_dir(&place)?;
        disk.set_mode(&place, entry.attributes.mode)?;
        self.target.own(&place)
    }

    fn link(&self, _: &FileEntry, _: &[u8]) -> io::Result<()> {
        // A backup of a cluster has none: what links led to was kept.
        Ok(())
    }

    fn file(&self, entry: &FileEntry, size: u64) -> io::Result<Box<dyn SinkFile>> {
        let disk = self.target.disk;
        let Some(place) = self.place(entry) else { return Ok(Box::new(NoFile)) };
        if entry.path.as_path().starts_with(CONFIGURATION_PREFIX) {
            self.parents(&place)?;
        }
        let file = disk.create(&place)?;
        disk.set_mode(&place, entry.attributes.mode)?;
        self.target.own(&place)?;
        file.set_len(size)?;
        Ok(Box::new(TargetFile(file)))
    }
}

struct TargetFile(Box<dyn DiskFile>);

impl SinkFile for TargetFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn finish(&self) -> io::Result<()> {
        // One sync of the file system follows when everything is written.
        Ok(())
    }
}

/// A file that is not restored.
struct NoFile;

impl SinkFile for NoFile {
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
}
