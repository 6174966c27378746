//! One backup of an etcd, from the first question to the committed log entry.
//!
//! ```text
//! files ─▶ members ─▶ session ─▶ base ─▶ snapshot begins ─▶ keys counted ─▶ blocks ─▶ vault
//!       ─▶ the server's hash is right ─▶ commit
//! ```
//! The snapshot goes from the member to the vault as it comes, and lies nowhere in clear meanwhile.
//! A member that fails on the way is followed by the next one.

use std::time::Duration;

use jiff::Timestamp;
use soter_vault::contents::{BaseContents, ContentsWriter};
use soter_vault::frame::Compression;
use soter_vault::ids::BackupId;
use soter_vault::keys::{StoreKeys, Trust};
use soter_vault::log::{BackupDraft, BackupRow, Duty, Log, LogError, Opening, Session, TakeOver};
use soter_vault::map::{
    Attributes, FileOwner, FilePath, MapError, PathError, Progress, SourceFile, SourceKind,
    WriteOptions, WrittenMap,
};
use soter_vault::vault::Vault;
use soter_world::{Disk, Stop};

use crate::etcd::files::TakenFiles;
use crate::etcd::record::{Counters, KIND, MemberRecord, SNAPSHOT_FILE};
use crate::etcd::source::{EtcdSource, Origin};
use crate::etcd::{
    Access, Census, CheckedSnapshot, Client, Endpoint, ErrorKind, EtcdError, EtcdRecord,
    FilesError, RecordError, Sharing, Status,
};

/// How often a snapshot is begun anew because its revision was compacted under it.
const COMPACTIONS_MAX: usize = 3;

/// Everything that a backup needs.
pub struct BackupSetup<'a> {
    /// Files.
    pub disk: &'a dyn Disk,
    /// The etcd.
    pub access: &'a Access,
    /// What is taken along: paths from the root, with `*` and `?`.
    pub files: &'a [String],
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
    /// Whether it may be another cluster than before.
    pub cluster: ClusterPolicy,
    /// How contents are compressed.
    pub compression: Compression,
}

/// When a backup must be a full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullPolicy {
    /// Now.
    Always,
    /// When the last full one is older than this.
    OlderThan(Duration),
}

/// Which cluster may be backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterPolicy {
    /// That of the last backup.
    Same,
    /// Any: a person says that this one takes the place of the one before.
    Any,
}

/// A backup that is committed.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// Its id.
    pub id: BackupId,
    /// Its record.
    pub record: EtcdRecord,
}

/// Why a backup of an etcd was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The etcd did not do what it was asked.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// What is to be taken along cannot be.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The endpoints are members of different clusters: correct the plan.
    #[error("{one} and {other} are members of different clusters")]
    Mixed {
        /// A member.
        one: Endpoint,
        /// A member of another cluster.
        other: Endpoint,
    },
    /// Another cluster than the one before: a wrong address, or one that was recovered.
    #[error("this is cluster {found}; the backups so far are of cluster {expected}")]
    OtherCluster {
        /// The cluster of the last backup.
        expected: String,
        /// The cluster that answers.
        found: String,
    },
    /// The last backup of the store is of something else.
    #[error("the store's last backup cannot be continued")]
    OtherStore(#[from] RecordError),
    /// What the server writes is compacted faster than it can be counted.
    #[error("the etcd compacts its revisions faster than they can be counted")]
    Compacted,
    /// Reading, or writing to the vault, failed.
    #[error("the contents cannot be stored")]
    Contents(#[from] MapError),
    /// The log failed or refused.
    #[error("the vault's log cannot be used")]
    Log(#[from] LogError),
    /// A path that cannot be in a backup.
    #[error("a file cannot be backed up")]
    Path(#[from] PathError),
}

impl BackupError {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> soter_vault::keys::ErrorKind {
        use soter_vault::keys::ErrorKind as Kind;
        match self {
            Self::Etcd(error) => match error.kind() {
                ErrorKind::Retry => Kind::Retry,
                ErrorKind::Input => Kind::Input,
                ErrorKind::Failed => Kind::Failed,
            },
            Self::Files(_) | Self::Mixed { .. } | Self::OtherCluster { .. } | Self::Path(_) => {
                Kind::Input
            }
            Self::OtherStore(_) => Kind::Input,
            Self::Compacted => Kind::Retry,
            Self::Log(error) => error.kind(),
            Self::Contents(_) => Kind::Failed,
        }
    }

    /// Advice, where there is any.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Etcd(EtcdError::NoMember(_)) => {
                "look at endpoints, ca_file, certificate_file and key_file in the plan; is it running?"
            }
            Self::Files(FilesError::Unreadable { .. }) => {
                "run as root, or as the owner of the file"
            }
            Self::Files(FilesError::Nothing { .. }) => {
                "correct `files` in the plan: without it the snapshot may open nowhere"
            }
            Self::Files(FilesError::LinkedDirectory { .. }) => {
                "name the directory that it leads to in `files`"
            }
            Self::Mixed { .. } => "correct `endpoints` in the plan",
            Self::OtherCluster { .. } => {
                "if it was recovered and takes the place of the old one, say so once: \
                 soter backup STORE --new-cluster; else correct `endpoints` in the plan"
            }
            Self::OtherStore(_) => "give the etcd a store of its own in the plan and the vault",
            _ => return None,
        })
    }
}

/// Takes a snapshot and commits it.
///
/// # Errors
/// See [`BackupError`]. Nothing is committed then, unless the error is the store's answer to the
/// commit itself: the next look at the log tells.
pub fn run(
    setup: &BackupSetup<'_>,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<FinishedRun, BackupError> {
    let clock = &*setup.vault.clock;
    let started_at = clock.now();
    let files = TakenFiles::find(setup.disk, setup.files)?;
    let client = Client::new(setup.access)?;
    let survey = Survey::of(&client, &setup.access.endpoints)?;
    let log = Log::open(setup.vault, setup.keys.store, setup.trust.clone(), None)?;
    let opening = Opening {
        duty: Duty::Base,
        agent: setup.agent.to_owned(),
        incarnation: None,
        take_over: setup.take_over,
        content: br#"{"reason":"snapshot of an etcd"}"#.to_vec(),
    };
    let previous = Previous::look(&log, setup)?;
    if let (Some(previous), ClusterPolicy::Same) = (&previous, setup.cluster) {
        previous.check_cluster(&survey)?;
    }
    let session = Session::open(log, setup.keys, opening)?;
    let base = previous.and_then(|previous| previous.shared_by(&session, setup.full));
    let taking = Taking { setup, client: &client, session: &session, progress, stop };
    let taken = taking.of_any_member(&survey, &files, base)?;
    let id = BackupId::random(&*setup.vault.random);
    let members = client.members().unwrap_or_default();
    let record = taken.record(&survey, files, members, started_at);
    let draft = BackupDraft {
        id,
        rows: taken.map.rows,
        referenced: taken.map.referenced,
        wal: None,
        content: record.to_bytes(),
        map_root: taken.map.root.to_bytes(),
    };
    session.commit_backup(&draft)?;
    Ok(FinishedRun { id, record })
}

/// What the members say about themselves.
struct Survey {
    /// Those that answer: first those that know a leader, each time in the plan's order.
    answering: Vec<(Endpoint, Status)>,
    remarks: Vec<String>,
}

impl Survey {
    fn of(client: &Client, endpoints: &[Endpoint]) -> Result<Self, BackupError> {
        let (mut answering, mut failed) = (Vec::new(), Vec::new());
        for endpoint in endpoints {
            match client.status_of(endpoint) {
                Ok(status) => answering.push((endpoint.clone(), status)),
                Err(error) => failed.push((endpoint.clone(), Box::new(error))),
            }
        }
        let Some((one, first)) = answering.first() else {
            return Err(EtcdError::NoMember(failed).into());
        };
        if let Some((other, _)) =
            answering.iter().find(|(_, status)| status.cluster != first.cluster)
        {
            return Err(BackupError::Mixed { one: one.clone(), other: other.clone() });
        }
        let mut remarks: Vec<String> =
            failed.iter().map(|(_, error)| format!("a member does not answer: {error}")).collect();
        if answering.iter().all(|(_, status)| status.leader == 0) {
            remarks.push("no member leads: what one of them has may not be the newest".to_owned());
        }
        answering.sort_by_key(|(_, status)| status.leader == 0);
        Ok(Self { answering, remarks })
    }

    fn cluster(&self) -> String {
        hex_id(self.answering.first().map_or(0, |(_, status)| status.cluster))
    }
}

/// Numbers of clusters and members are known to people as etcd's tools print them.
fn hex_id(number: u64) -> String {
    format!("{number:016x}")
}

/// The newest live backup.
struct Previous {
    id: BackupId,
    row: BackupRow,
    record: EtcdRecord,
    map_root: Vec<u8>,
}

/// What the new backup shares with.
struct BaseBackup {
    id: BackupId,
    full_at: Timestamp,
    contents: BaseContents,
}

impl Previous {
    fn look(log: &Log, setup: &BackupSetup<'_>) -> Result<Option<Self>, BackupError> {
        let Some(row) = log.catalogue().live().next_back().cloned() else { return Ok(None) };
        let body = log.body(row.id, &setup.keys.metadata)?;
        let record = EtcdRecord::parse(&body.content)?;
        Ok(Some(Self { id: row.id, row, record, map_root: body.map_root }))
    }

    fn check_cluster(&self, survey: &Survey) -> Result<(), BackupError> {
        let (expected, found) = (self.record.cluster.clone(), survey.cluster());
        if expected == found {
            return Ok(());
        }
        Err(BackupError::OtherCluster { expected, found })
    }

    fn shared_by(self, session: &Session, full: FullPolicy) -> Option<BaseBackup> {
        let FullPolicy::OlderThan(age_max) = full else { return None };
        let age = session.vault().clock.now().duration_since(self.record.full_at);
        if Duration::try_from(age).is_ok_and(|age| age > age_max) {
            return None;
        }
        let contents = BaseContents::of(session, &self.row, self.map_root);
        Some(BaseBackup { id: self.id, full_at: self.record.full_at, contents })
    }
}

/// The part of a backup between the session's beginning and its commit.
struct Taking<'a> {
    setup: &'a BackupSetup<'a>,
    client: &'a Client,
    session: &'a Session,
    progress: &'a dyn Progress,
    stop: &'a Stop,
}

/// A snapshot whose blocks are all in the vault.
struct Taken {
    endpoint: Endpoint,
    status: Status,
    begun: Begun,
    checked: CheckedSnapshot,
    map: WrittenMap,
    base: Option<BaseBackup>,
    taken_at: Timestamp,
    remarks: Vec<String>,
}

/// What is known of a snapshot when it has begun.
struct Begun {
    revision: u64,
    revision_max: u64,
    keys: Census,
}

/// Why a try failed.
enum Failed {
    /// The member; another one may do it.
    Member(EtcdError),
    /// The base is damaged: without it the backup can be made.
    Base,
    /// All else.
    Lasting(BackupError),
}

impl<E: Into<BackupError>> From<E> for Failed {
    fn from(error: E) -> Self {
        match error.into() {
            BackupError::Etcd(error) if error.kind() != ErrorKind::Failed => Self::Member(error),
            error => Self::Lasting(error),
        }
    }
}

impl Taking<'_> {
    fn of_any_member(
        &self,
        survey: &Survey,
        files: &TakenFiles,
        mut base: Option<BaseBackup>,
    ) -> Result<Taken, BackupError> {
        let (mut tried, mut remarks) = (Vec::new(), Vec::new());
        let mut members = survey.answering.iter();
        let mut member = members.next();
        while let Some((endpoint, _)) = member {
            match self.of_member(endpoint, files, base.as_ref()) {
                Ok((status, begun, checked, map)) => {
                    return Ok(Taken {
                        endpoint: endpoint.clone(),
                        status,
                        begun,
                        checked,
                        map,
                        base,
                        taken_at: self.setup.vault.clock.now(),
                        remarks,
                    });
                }
                Err(Failed::Base) => {
                    remarks
                        .push("the backup before is damaged: nothing of it is shared".to_owned());
                    base = None;
                }
                Err(Failed::Member(error)) => {
                    remarks.push(format!("another member was asked: {error}"));
                    tried.push((endpoint.clone(), Box::new(error)));
                    member = members.next();
                }
                Err(Failed::Lasting(error)) => return Err(error),
            }
        }
        Err(EtcdError::NoMember(tried).into())
    }

    fn of_member(
        &self,
        endpoint: &Endpoint,
        files: &TakenFiles,
        base: Option<&BaseBackup>,
    ) -> Result<(Status, Begun, CheckedSnapshot, WrittenMap), Failed> {
        let mut compactions = 0;
        let (status, begun, stream) = loop {
            let status = self.client.status_of(endpoint)?;
            let stream = self.client.open_snapshot(endpoint)?;
            match self.begun(endpoint, &status) {
                Ok(begun) => break (status, begun, stream),
                Err(error) if error.is_compacted() && compactions < COMPACTIONS_MAX => {
                    compactions += 1;
                }
                Err(error) if error.is_compacted() => {
                    return Err(Failed::Lasting(BackupError::Compacted));
                }
                Err(error) => return Err(error.into()),
            }
        };
        let (plan, origins) = plan(files, stream.length(), self.setup.vault.clock.now())?;
        let source = EtcdSource::new(self.setup.disk, origins, stream);
        let writer = ContentsWriter {
            session: self.session,
            base: base.map(|base| &base.contents),
            // A stream is read by one.
            options: WriteOptions { workers: 1, compression: self.setup.compression },
        };
        match writer.write(&plan, &source, self.progress, self.stop) {
            Ok(map) => Ok((status, begun, source.finish()?, map)),
            Err(_) if base.is_some() && source.is_wanted_again() => Err(Failed::Base),
            Err(MapError::Damaged(_)) if base.is_some() => Err(Failed::Base),
            Err(error) => match source.take_failure() {
                Some(failure) => Err(failure.into()),
                None => Err(Failed::Lasting(error.into())),
            },
        }
    }

    /// Counts the keys while the snapshot waits: what can be counted now was not compacted when it
    /// began, so that a restore of it can count the same.
    fn begun(&self, endpoint: &Endpoint, before: &Status) -> Result<Begun, EtcdError> {
        let after = self.client.status_of(endpoint)?;
        let keys = Census::take(self.client, endpoint, before.revision)?;
        let (revision, revision_max) = (before.revision, after.revision);
        Ok(Begun { revision, revision_max, keys })
    }
}

/// The snapshot and what is taken along, in the order of paths, and from where each is read.
fn plan(
    files: &TakenFiles,
    snapshot_bytes: u64,
    now: Timestamp,
) -> Result<(Vec<SourceFile>, Vec<Origin>), PathError> {
    let snapshot = SourceFile {
        path: FilePath::new(SNAPSHOT_FILE.as_bytes())?,
        attributes: Attributes {
            mode: 0o600,
            owner: std::sync::Arc::new(FileOwner::default()),
            modified: now,
        },
        kind: SourceKind::File { size: snapshot_bytes },
    };
    let origin = |source: &Option<std::path::PathBuf>| match source {
        Some(path) => Origin::File(path.clone()),
        None => Origin::Nowhere,
    };
    let mut plan = files.plan.clone();
    let mut origins: Vec<Origin> = files.sources.iter().map(origin).collect();
    // Everything else is below `files/`, which comes before.
    plan.push(snapshot);
    origins.push(Origin::Snapshot);
    Ok((plan, origins))
}

impl Taken {
    fn record(
        &self,
        survey: &Survey,
        files: TakenFiles,
        members: Vec<crate::etcd::Member>,
        started_at: Timestamp,
    ) -> EtcdRecord {
        let damaged = self.map.findings.iter().map(|damage| format!("in the base: {damage}"));
        let mut remarks = survey.remarks.clone();
        remarks.extend(files.remarks);
        remarks.extend(self.remarks.iter().cloned());
        remarks.extend(damaged);
        let counters = self.map.counters;
        EtcdRecord {
            store: KIND.to_owned(),
            kind: if self.base.is_some() { Sharing::Increment } else { Sharing::Full },
            base: self.base.as_ref().map(|base| base.id),
            full_at: self.base.as_ref().map_or(started_at, |base| base.full_at),
            started_at,
            taken_at: self.taken_at,
            endpoint: self.endpoint.to_string(),
            version: self.status.version.clone(),
            cluster: hex_id(self.status.cluster),
            member: hex_id(self.status.member),
            members: members
                .into_iter()
                .map(|member| MemberRecord {
                    id: hex_id(member.id),
                    name: member.name,
                    peer_urls: member.peer_urls,
                })
                .collect(),
            snapshot_bytes: self.checked.bytes,
            sha256: hex::encode(self.checked.sha256),
            revision: self.begun.revision,
            revision_max: self.begun.revision_max,
            keys: self.begun.keys.clone(),
            files: files.record,
            counters: Counters {
                read_bytes: counters.read_bytes,
                stored_bytes: counters.stored_bytes,
                same_blocks: counters.same_blocks,
                new_blocks: counters.new_blocks,
                zero_blocks: counters.zero_blocks,
            },
            remarks,
        }
    }
}

/// What a caller of [`run`] is told when it is stopped.
#[must_use]
pub fn is_stopped(error: &BackupError) -> bool {
    matches!(error, BackupError::Contents(MapError::Stopped))
}

#[cfg(test)]
mod tests;
