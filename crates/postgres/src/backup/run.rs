//! One base backup, from the first question to the committed log entry.
//!
//! ```text
//! facts ─▶ marker ─▶ session ─▶ base ─▶ pg_backup_start ─▶ walk ─▶ copy ─▶ pg_control
//!       ─▶ pg_backup_stop ─▶ label ─▶ WAL durable ─▶ commit
//! ```
//! Nothing is a backup before the commit; a crash anywhere leaves only what the session owns, and
//! the next session uses it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use postgres::Client;
use soter_vault::contents::{BaseContents, ContentsWriter};
use soter_vault::frame::Compression;
use soter_vault::ids::BackupId;
use soter_vault::keys::{StoreKeys, Trust};
use soter_vault::log::{
    BackupDraft, BackupRow, Duty, Incarnation, Log, Opening, Session, TakeOver, WalRange,
};
use soter_vault::map::{Progress, WriteOptions, WrittenMap};
use soter_vault::vault::Vault;
use soter_world::{Disk, Stop, durable};

use super::error::BackupError;
use super::plan::{CopyPlan, LABEL_FILE, TABLESPACE_MAP_FILE, copy_plan, late_file};
use super::record::{BackupKind, BackupRecord, RecordCounters, Rung};
use super::source::{ClusterSource, PageFacts};
use super::tree::{CONTROL_FILE, ClusterFiles, Tablespace, walk};
use crate::connection::ConnectionInfo;
use crate::control::{ControlFile, require_backup_label};
use crate::incarnation;
use crate::lsn::Lsn;
use crate::server::checks::prevents_backup;
use crate::server::{BackupSession, Checkpoint, DatabaseContent, FinishedBackup, ServerFacts};

/// The control file is one sector, padded to a page.
const CONTROL_FILE_LENGTH_MAX: usize = 64 << 10;

/// How often the control file is read until two readings agree.
const CONTROL_FILE_READS_MAX: usize = 100;

/// When a backup must be a full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullPolicy {
    /// Now.
    Always,
    /// When the last full one is older than this.
    OlderThan(Duration),
}

/// Everything a backup needs.
pub struct BackupSetup<'a> {
    /// Files.
    pub disk: &'a dyn Disk,
    /// The server.
    pub connection: &'a ConnectionInfo,
    /// Its data directory on this machine.
    pub data_directory: &'a Path,
    /// The vault.
    pub vault: &'a Vault,
    /// Whom to believe in it.
    pub trust: &'a Trust,
    /// The agent's keys.
    pub keys: &'a StoreKeys,
    /// The agent's name, for people.
    pub agent: &'a str,
    /// Whether another agent's session may be superseded.
    pub take_over: TakeOver,
    /// Full or increment.
    pub full: FullPolicy,
    /// Threads.
    pub workers: usize,
    /// How contents are compressed.
    pub compression: Compression,
}

/// Waits until the WAL that a backup needs is durable in the vault.
///
/// Called once, when all else is there; an error means that the backup is void.
pub type WaitDurable<'a> = &'a mut dyn FnMut(&WalRange) -> Result<(), BackupError>;

/// A backup that is committed.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// Its id.
    pub id: BackupId,
    /// Its record.
    pub record: BackupRecord,
}

/// Takes a base backup and commits it.
///
/// # Errors
/// See [`BackupError`]. Nothing is committed then, unless the error is the store's answer to the
/// commit itself: the next look at the log tells.
pub fn run(
    setup: &BackupSetup<'_>,
    wait_durable: WaitDurable<'_>,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<FinishedRun, BackupError> {
    let mut client = setup.connection.connect_sql().map_err(BackupError::connect)?;
    let facts = ServerFacts::read(&mut client)?;
    if let Some(finding) = prevents_backup(&facts) {
        return Err(BackupError::Prevented(Box::new(finding)));
    }
    let control = read_control(setup.disk, setup.data_directory)?;
    check_same_cluster(&facts, &control.1)?;
    let log = Log::open(setup.vault, setup.keys.store, setup.trust.clone(), None)?;
    let incarnation = incarnation::establish(
        setup.disk,
        setup.data_directory,
        log.catalogue(),
        (facts.system_identifier, facts.version),
        &*setup.vault.random,
    )?;
    let session = incarnation::open_session(log, setup.keys, opening(setup, &incarnation))?;
    let previous = Previous::find(&session, &incarnation, setup.full)?;
    let contents = vec![(facts.database.clone(), DatabaseContent::read(&mut client)?)];

    let copying = Copying { setup, facts: &facts, session: &session, progress, stop };
    let started_at = server_time(&mut client)?;
    let id = BackupId::random(&*setup.vault.random);
    let label = format!("soter {id}");
    let held = BackupSession::start(setup.connection, &label, Checkpoint::Fast, stop)?;
    let start = held.start_position();
    let mut copied = copying.copy(previous.as_ref(), &control.1, held)?;
    let stopped_at = server_time(&mut client)?;

    let wal = WalRange {
        incarnation: incarnation.id,
        timeline: facts.timeline.0,
        from: start.0,
        to: copied.finished.stop.0,
        segment_bytes: facts.wal_segment_size.bytes(),
    };
    wait_durable(&wal)?;
    let times = Times { start, started_at, stopped_at };
    let record = copying.record(previous.as_ref(), &wal, times, contents, &mut copied);
    copying.commit(id, wal, &record, copied.map)?;
    Ok(FinishedRun { id, record })
}

fn opening(setup: &BackupSetup<'_>, incarnation: &Incarnation) -> Opening {
    Opening {
        duty: Duty::Base,
        agent: setup.agent.to_owned(),
        incarnation: Some(incarnation.clone()),
        take_over: setup.take_over,
        content: b"{\"reason\":\"base backup\"}".to_vec(),
    }
}

/// The agent must lie beside the very cluster it is connected to.
fn check_same_cluster(facts: &ServerFacts, control: &ControlFile) -> Result<(), BackupError> {
    if facts.system_identifier == control.system_identifier {
        return Ok(());
    }
    Err(BackupError::OtherCluster {
        server: facts.system_identifier,
        directory: control.system_identifier,
    })
}

/// Reads `pg_control` until two readings agree: the server writes it in place.
fn read_control(disk: &dyn Disk, data: &Path) -> Result<(Vec<u8>, ControlFile), BackupError> {
    let path = data.join("global/pg_control");
    let read = || {
        durable::read(disk, &path, CONTROL_FILE_LENGTH_MAX)
            .map_err(|source| BackupError::File { path: path.clone(), source })
    };
    let mut last = read()?;
    for _ in 0..CONTROL_FILE_READS_MAX {
        let again = read()?;
        if again == last
            && let Ok(control) = ControlFile::parse(&again)
        {
            return Ok((again, control));
        }
        last = again;
    }
    let control = ControlFile::parse(&last)?;
    Ok((last, control))
}

fn server_time(client: &mut Client) -> Result<Timestamp, BackupError> {
    const QUERY: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let row = client.query_one(QUERY, &[]).map_err(BackupError::connect)?;
    let microseconds = row.try_get(0).map_err(BackupError::connect)?;
    Timestamp::from_microsecond(microseconds).map_err(|_| BackupError::ServerClock)
}

/// The backup that the new one shares with.
pub(crate) struct Previous {
    id: BackupId,
    record: BackupRecord,
    contents: BaseContents,
}

impl Previous {
    /// The newest live backup of the same incarnation, unless a full backup is due.
    pub(crate) fn find(
        session: &Session,
        incarnation: &Incarnation,
        full: FullPolicy,
    ) -> Result<Option<Self>, BackupError> {
        let FullPolicy::OlderThan(age_max) = full else { return Ok(None) };
        let of_this_life = |row: &&BackupRow| {
            row.wal.is_some_and(|wal| wal.incarnation == incarnation.id) && row.retired.is_none()
        };
        let (row, body) = {
            let log = session.log();
            let Some(row) = log.catalogue().live().rev().find(of_this_life) else {
                return Ok(None);
            };
            (row.clone(), log.body(row.id, &session.keys().metadata)?)
        };
        let Ok(record) = BackupRecord::parse(&body.content) else { return Ok(None) };
        let now = session.vault().clock.now();
        let age = now.duration_since(record.full_at);
        if Duration::try_from(age).is_ok_and(|age| age > age_max) {
            return Ok(None);
        }
        let contents = BaseContents::of(session, &row, body.map_root);
        Ok(Some(Self { id: row.id, record, contents }))
    }
}

/// The part of a backup between the session's beginning and its commit.
pub(crate) struct Copying<'a> {
    pub(crate) setup: &'a BackupSetup<'a>,
    pub(crate) facts: &'a ServerFacts,
    pub(crate) session: &'a Session,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) stop: &'a Stop,
}

/// When a backup began and ended, by the server's clock, and where its replay begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) start: Lsn,
    pub(crate) started_at: Timestamp,
    pub(crate) stopped_at: Timestamp,
}

/// The files that were copied while the server worked.
pub(crate) struct CopiedFiles {
    map: WrittenMap,
    plan: CopyPlan,
    bad_pages: Vec<super::pages::BadPage>,
    remarks: Vec<String>,
}

/// What was copied.
pub(crate) struct Copied {
    pub(crate) map: WrittenMap,
    finished: FinishedBackup,
    total_bytes: u64,
    bad_pages: Vec<super::pages::BadPage>,
    remarks: Vec<String>,
}

impl Copied {
    fn counters(&self) -> RecordCounters {
        let counters = self.map.counters;
        RecordCounters {
            files: counters.files,
            total_bytes: self.total_bytes,
            read_bytes: counters.read_bytes,
            stored_bytes: counters.stored_bytes,
            same_blocks: counters.same_blocks,
            new_blocks: counters.new_blocks,
        }
    }
}

impl Copying<'_> {
    fn copy(
        &self,
        previous: Option<&Previous>,
        control: &ControlFile,
        mut held: BackupSession,
    ) -> Result<Copied, BackupError> {
        let files = self.copy_files(previous, control, held.start_position())?;
        held.check()?;
        let (mut control, _) = read_control(self.setup.disk, self.setup.data_directory)?;
        require_backup_label(&mut control)?;
        let finished = held.stop()?;
        self.add_late_files(files, control, finished)
    }

    /// Everything but what is only known when the backup ends.
    pub(crate) fn copy_files(
        &self,
        previous: Option<&Previous>,
        control: &ControlFile,
        backup_start: Lsn,
    ) -> Result<CopiedFiles, BackupError> {
        let disk = self.setup.disk;
        let tree = walk(disk, &self.cluster_files()?)?;
        let remarks = tree.remarks.clone();
        let plan = copy_plan(tree)?;
        let page_facts = PageFacts {
            page_length: control.block_size_bytes as usize,
            pages_per_file: control.relation_segment_blocks,
            checksums: control.page_checksums(),
            backup_start,
        };
        let source = ClusterSource::new(disk, &plan.entries, page_facts);
        let map = self.write(&plan, &source, previous)?;
        let bad_pages = source.into_bad_pages();
        Ok(CopiedFiles { map, plan, bad_pages, remarks })
    }

    /// The control file, which must be unusable without a label, and what the server said at the
    /// end.
    pub(crate) fn add_late_files(
        &self,
        files: CopiedFiles,
        control: Vec<u8>,
        finished: FinishedBackup,
    ) -> Result<Copied, BackupError> {
        let CopiedFiles { mut map, plan, bad_pages, remarks } = files;
        let disk = self.setup.disk;
        let like = disk
            .metadata(&self.setup.data_directory.join("PG_VERSION"))
            .map_err(|source| BackupError::File { path: "PG_VERSION".into(), source })?;
        map.add_late_file(&plan.files, late_file(CONTROL_FILE, control, &like)?)?;
        let label = finished.backup_label.clone();
        map.add_late_file(&plan.files, late_file(LABEL_FILE, label, &like)?)?;
        if !finished.tablespace_map.is_empty() {
            let places = finished.tablespace_map.clone();
            map.add_late_file(&plan.files, late_file(TABLESPACE_MAP_FILE, places, &like)?)?;
        }
        Ok(Copied { map, finished, total_bytes: plan.total_bytes, bad_pages, remarks })
    }

    /// What is told about the backup. It takes the lists out of what was copied.
    pub(crate) fn record(
        &self,
        previous: Option<&Previous>,
        wal: &WalRange,
        times: Times,
        contents: Vec<(String, DatabaseContent)>,
        copied: &mut Copied,
    ) -> BackupRecord {
        let findings = copied.map.findings.drain(..).map(|damage| format!("in the base: {damage}"));
        copied.remarks.extend(findings);
        let facts = self.facts;
        let Times { start, started_at, stopped_at } = times;
        BackupRecord {
            kind: if previous.is_some() { BackupKind::Increment } else { BackupKind::Full },
            base: previous.map(|previous| previous.id),
            full_at: previous.map_or(started_at, |previous| previous.record.full_at),
            rung: Rung::Hash,
            rung_reason: "the map of changed blocks is not recorded yet".to_owned(),
            incarnation: wal.incarnation,
            system_identifier: facts.system_identifier,
            version: facts.version,
            timeline: facts.timeline,
            start,
            stop: copied.finished.stop,
            started_at,
            stopped_at,
            segment_size: facts.wal_segment_size,
            from_standby: facts.in_recovery,
            contents,
            data_directory: self.setup.data_directory.display().to_string(),
            counters: copied.counters(),
            bad_pages: std::mem::take(&mut copied.bad_pages),
            remarks: std::mem::take(&mut copied.remarks),
            server: facts.clone(),
        }
    }

    /// From here on it is a backup.
    pub(crate) fn commit(
        &self,
        id: BackupId,
        wal: WalRange,
        record: &BackupRecord,
        map: WrittenMap,
    ) -> Result<(), BackupError> {
        let draft = BackupDraft {
            id,
            rows: map.rows,
            referenced: map.referenced,
            wal: Some(wal),
            content: record.to_bytes(),
            map_root: map.root.to_bytes(),
        };
        self.session.commit_backup(&draft)?;
        Ok(())
    }

    fn cluster_files(&self) -> Result<ClusterFiles, BackupError> {
        let mut tablespaces = Vec::new();
        for tablespace in &self.facts.tablespaces {
            let location = tablespace.path.clone().ok_or(BackupError::HiddenPath {
                what: format!("tablespace {}", tablespace.name),
            })?;
            tablespaces.push(Tablespace { oid: tablespace.id.0, location });
        }
        let files = &self.facts.files;
        let named = [&files.config_file, &files.hba_file, &files.ident_file];
        let mut configuration: Vec<PathBuf> = named.into_iter().flatten().cloned().collect();
        configuration.extend(files.sources.iter().cloned());
        let data_directory = self.setup.data_directory.to_owned();
        let version = self.facts.version;
        Ok(ClusterFiles { data_directory, version, tablespaces, configuration })
    }

    fn write(
        &self,
        plan: &CopyPlan,
        source: &ClusterSource<'_>,
        previous: Option<&Previous>,
    ) -> Result<WrittenMap, BackupError> {
        let writer = ContentsWriter {
            session: self.session,
            base: previous.map(|previous| &previous.contents),
            options: WriteOptions {
                workers: self.setup.workers,
                compression: self.setup.compression,
            },
        };
        Ok(writer.write(&plan.files, source, self.progress, self.stop)?)
    }
}

/// How long the WAL of a backup may take to arrive, when nobody in this process ships it.
pub const WAL_WAIT_MAX: Duration = Duration::from_secs(120);

/// Says that the WAL did not arrive.
pub fn wal_missing(wal: &WalRange, reached: Option<Lsn>) -> BackupError {
    BackupError::WalMissing { needed: Lsn(wal.to), reached }
}
