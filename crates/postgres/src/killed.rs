//! Backup and restore of a cluster's files, killed at any operation of a simulated disk: the process
//! alone, or the machine with everything that was not synced.
//!
//! What must hold of a backup: afterwards it is listed, and every byte of it comes back, or it is not
//! there; the ones before it are what they were; a second try succeeds. Of a restore: what a server
//! would start is whole; what is not whole says so, and is refused as a target.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use soter_vault::frame::Compression;
use soter_vault::ids::{BackupId, IncarnationId};
use soter_vault::keys::{StoreKeys, load_trust};
use soter_vault::log::{Duty, Incarnation, Log, Opening, Session, TakeOver, WalRange};
use soter_vault::map::{LoadedMap, MapAccess, NoProgress, verify_contents};
use soter_vault::objects::DirectoryStore;
use soter_vault::testing::TestVault;
use soter_vault::vault::Vault;
use soter_vault::wal::{Archive, Sealer, Segment, SegmentSize, WalBytes, WalFacts, WalVault};
use soter_world::disk::FileKind;
use soter_world::sim::{SeededRandom, SimClock, SimDisk, seeds};
use soter_world::{Disk, Stop, durable};

use crate::backup::BackupError;
use crate::backup::run::{BackupSetup, Copying, FullPolicy, Previous, Times};
use crate::cluster::MajorVersion;
use crate::connection::ConnectionInfo;
use crate::control::{ControlFile, require_backup_label};
use crate::lsn::{Lsn, Timeline};
use crate::restore::RestoreError;
use crate::restore::choice::choose;
use crate::restore::gather::StoreReader;
use crate::restore::target::Target;
use crate::restore::write::{RestoreTarget, UNFINISHED};
use crate::server::{
    DatabaseContent, FileFacts, FinishedBackup, LibraryVersions, RoleFacts, ServerFacts, WalLevel,
};
use crate::wal::writer::{FIRST_SEGMENT, HEAP, IDENTITY, Writer, body};

const CONTROL: &[u8] = include_bytes!("../fixtures/control/15.pg_control");
const DATA: &str = "/data";
const VAULT: &str = "/vault";
const TARGET: &str = "/restored";
const SEGMENT_BYTES: u32 = 1 << 20;
const LIFE: IncarnationId = IncarnationId([9; 8]);

/// The files of a directory by their paths.
type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// A cluster's files on one disk, a vault on another.
struct Bench {
    cluster: SimDisk,
    disk: SimDisk,
    clock: Arc<SimClock>,
    random: Arc<SeededRandom>,
    vault: TestVault,
    facts: ServerFacts,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new());
        let random = Arc::new(SeededRandom::new(seed));
        let disk = SimDisk::with_clock(seed, Arc::clone(&clock) as _);
        let cluster = SimDisk::with_clock(seed, Arc::clone(&clock) as _);
        let store = DirectoryStore::create(Arc::new(disk.clone()), Path::new(VAULT)).unwrap();
        let (objects, own_clock) = (Arc::new(store), Arc::clone(&clock) as _);
        let vault = TestVault::create(objects, own_clock, Arc::clone(&random) as _, "orders");
        let this = Self { cluster, disk, clock, random, vault: vault.unwrap(), facts: facts() };
        for directory in ["", "base", "base/5", "global", "pg_wal", "pg_xact"] {
            this.cluster.create_dir(&Path::new(DATA).join(directory)).unwrap();
        }
        this.put("PG_VERSION", b"15\n");
        this.put("global/pg_control", CONTROL);
        this.put("postgresql.conf", b"max_connections = 30\n");
        this.put("pg_xact/0000", &this.noise(8192));
        for relation in 0..4 + this.random.below(8) {
            this.put(&format!("base/5/{}", 16384 + relation), &this.noise(300_000));
        }
        this
    }

    /// As many pages of nonsense as there is luck.
    fn noise(&self, bytes_max: u64) -> Vec<u8> {
        let pages = 1 + self.random.below(bytes_max.div_ceil(8192));
        let first = self.random.below(1 << 40);
        let mut bytes = Vec::new();
        for page in first..first + pages {
            bytes.extend_from_slice(&[u8::try_from(page % 251).unwrap(); 8192]);
        }
        bytes
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let file = self.cluster.create(&Path::new(DATA).join(name)).unwrap();
        file.write_at(0, bytes).unwrap();
    }

    /// The server has worked.
    fn change(&self) {
        for relation in 0..self.random.below(4) {
            let name = format!("base/5/{}", 16384 + relation);
            self.cluster.remove_file(&Path::new(DATA).join(&name)).unwrap();
            self.put(&name, &self.noise(300_000));
        }
        self.put(&self.new_relation(), &self.noise(9000));
    }

    /// A name that no relation has, as a server chooses it.
    fn new_relation(&self) -> String {
        let mut names =
            (20_000 + self.random.below(1000)..).map(|number| format!("base/5/{number}"));
        let is_free = |name: &String| self.cluster.metadata(&Path::new(DATA).join(name)).is_err();
        names.find(is_free).expect("there are more numbers than files")
    }

    /// A process that has just been started opens the vault.
    fn reopened(&self) -> Vault {
        let store = DirectoryStore::open(Arc::new(self.disk.clone()), Path::new(VAULT)).unwrap();
        let clock = Arc::clone(&self.clock) as _;
        let (objects, random) = (Arc::new(store), Arc::clone(&self.random) as _);
        Vault { objects, clock, random, pins: self.vault.vault.pins.clone() }
    }

    fn keys(&self) -> StoreKeys {
        self.vault.writer_keys().unwrap()
    }

    /// What `backup::run` does, but for the questions to the server.
    fn back_up(&self, vault: &Vault, id: BackupId, full: FullPolicy) -> Result<(), BackupError> {
        let keys = self.keys();
        let trust = load_trust(&*vault.objects, &vault.pins, 0)
            .map_err(|error| BackupError::from(soter_vault::log::LogError::from(error)))?
            .trust;
        let setup = BackupSetup {
            disk: &self.cluster,
            connection: &ConnectionInfo::parse("user=nobody").unwrap(),
            data_directory: Path::new(DATA),
            vault,
            trust: &trust,
            keys: &keys,
            agent: "test",
            take_over: TakeOver::OwnOnly,
            full,
            workers: 1,
            compression: Compression::Zstd(1),
        };
        let log = Log::open(vault, keys.store, trust.clone(), None)?;
        let life = Incarnation { id: LIFE, bound_to: "postgres 15 1".to_owned() };
        let opening = Opening {
            duty: Duty::Base,
            agent: "test".to_owned(),
            incarnation: Some(life.clone()),
            take_over: TakeOver::OwnOnly,
            content: Vec::new(),
        };
        let session = Session::open(log, &keys, opening)?;
        let previous = Previous::find(&session, &life, full)?;
        let (facts, stop) = (&self.facts, &Stop::new());
        let copying =
            Copying { setup: &setup, facts, session: &session, progress: &NoProgress, stop };
        let control = ControlFile::parse(CONTROL).unwrap();
        let start = first_record();
        let files = copying.copy_files(previous.as_ref(), &control, start)?;
        let mut guarded = CONTROL.to_vec();
        require_backup_label(&mut guarded).unwrap();
        let stop = last_record_end();
        let backup_label = b"START WAL LOCATION: 0/300028\n".to_vec();
        let finished = FinishedBackup { stop, backup_label, tablespace_map: Vec::new() };
        let mut copied = copying.add_late_files(files, guarded, finished)?;
        let wal = WalRange {
            incarnation: LIFE,
            timeline: 1,
            from: start.0,
            to: stop.0,
            segment_bytes: SEGMENT_BYTES,
        };
        let now = Timestamp::UNIX_EPOCH;
        let times = Times { start, started_at: now, stopped_at: now };
        let contents: Vec<(String, DatabaseContent)> = Vec::new();
        let record = copying.record(previous.as_ref(), &wal, times, contents, &mut copied);
        copying.commit(id, wal, &record, copied.map)
    }

    /// Stores the segment that the backups need.
    fn push_wal(&self, vault: &Vault) {
        let keys = self.keys();
        let mut bytes = wal().bytes;
        bytes.resize(SEGMENT_BYTES as usize, 0);
        let trust = &self.vault.trust;
        let archive = archive(keys.store);
        let wal = WalVault { store: &*vault.objects, clock: &*vault.clock, trust, archive };
        let sealer = Sealer::new(&keys, &*vault.random, Compression::Zstd(1), 1);
        let file = archive.segment_file(Segment { timeline: 1, number: FIRST_SEGMENT.0 });
        let mut source = WalBytes { bytes: &bytes, facts: WalFacts::default() };
        wal.push(&sealer, &file, &mut source).unwrap();
    }

    /// The backups that are listed, each of which must come back byte for byte.
    fn check_backups(&self, vault: &Vault, expected: &BTreeMap<BackupId, Tree>) -> Vec<BackupId> {
        let keys = self.vault.reader_keys().unwrap();
        let log = Log::open(vault, keys.store, self.vault.trust.clone(), None).unwrap();
        assert_eq!(log.catalogue().findings(), [], "the log is whole");
        let listed: Vec<BackupId> = log.catalogue().live().map(|row| row.id).collect();
        for id in &listed {
            let body = log.body(*id, &keys.metadata).unwrap();
            let catalogue = log.catalogue();
            let rows = |class, pack| catalogue.row(class, pack).copied();
            let access = MapAccess {
                objects: &*vault.objects,
                store: keys.store,
                backup: *id,
                metadata: keys.metadata.clone(),
                packs: catalogue.backup(*id).unwrap().packs.clone(),
                rows: &rows,
            };
            let map = LoadedMap::open(&body.map_root, access).unwrap();
            let session_key = |session| {
                let row = catalogue.session(session).unwrap();
                keys.unwrap(&row.wrapped, &row.commitment)
            };
            let ids = &keys.content_ids;
            let found = verify_contents(&map, &session_key, ids, 1, &NoProgress, &Stop::new());
            assert_eq!(found.unwrap(), [], "backup {id} is damaged");
            let restored = SimDisk::new(1);
            self.restore(vault, &Target::Backup(*id), &restored).unwrap();
            let mut files = tree(&restored, Path::new(TARGET));
            files.retain(|path, _| path.starts_with("base") || path.starts_with("pg_xact"));
            assert!(files == expected[id], "backup {id} is another cluster");
        }
        listed
    }

    /// The files of the cluster that are compared.
    fn files(&self) -> Tree {
        let mut files = tree(&self.cluster, Path::new(DATA));
        files.retain(|path, _| path.starts_with("base") || path.starts_with("pg_xact"));
        files
    }

    fn restore(&self, vault: &Vault, target: &Target, disk: &SimDisk) -> Result<(), RestoreError> {
        let keys = self.vault.reader_keys().unwrap();
        let reader = StoreReader { vault, trust: &self.vault.trust, keys: &keys };
        let gathered = reader.gather(target)?;
        let choice = choose(&gathered.recoverable, target, true)?;
        let directory = Path::new(TARGET);
        let restore = RestoreTarget {
            disk,
            directory,
            owner: None,
            workers: 1,
            tablespaces: &[],
            claim: None,
        };
        restore.write(&reader, &gathered, &choice, &NoProgress, &Stop::new())?;
        Ok(())
    }
}

pub(crate) fn facts() -> ServerFacts {
    ServerFacts {
        version: MajorVersion::V15,
        build: "PostgreSQL 15".to_owned(),
        system_identifier: IDENTITY.system_identifier,
        database: "postgres".to_owned(),
        timeline: Timeline::FIRST,
        in_recovery: false,
        wal_level: WalLevel::Replica,
        wal_segment_size: segments(),
        block_size: 8192,
        data_checksums: false,
        settings: BTreeMap::new(),
        files: FileFacts::default(),
        tablespaces: Vec::new(),
        slots: Vec::new(),
        receivers: Vec::new(),
        synchronous_commit_overrides: Vec::new(),
        databases: Vec::new(),
        libraries: LibraryVersions::default(),
        role: RoleFacts {
            name: "soter".to_owned(),
            superuser: false,
            lacks: Vec::new(),
            connection_limit: None,
        },
    }
}

fn segments() -> crate::lsn::SegmentSize {
    crate::lsn::SegmentSize::new(SEGMENT_BYTES).unwrap()
}

fn archive(store: soter_vault::ids::StoreId) -> Archive {
    let segment_size = SegmentSize::new(SEGMENT_BYTES).unwrap();
    Archive { store, incarnation: LIFE, segment_size }
}

/// The WAL of the one segment that every backup needs.
fn wal() -> Writer {
    let mut writer = Writer::with_segments_of(segments());
    for number in 0..20_u8 {
        writer.record(HEAP, 0, &body(&[], &[number; 100]));
    }
    writer
}

fn first_record() -> Lsn {
    Writer::with_segments_of(segments()).record(HEAP, 0, &body(&[], &[0; 100]))
}

fn last_record_end() -> Lsn {
    wal().position()
}

/// All files below a directory; what is unfinished is told by the marker alone.
fn tree(disk: &SimDisk, root: &Path) -> Tree {
    let (mut files, mut directories) = (Tree::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in disk.list(&directory).unwrap_or_default() {
            let path = directory.join(&entry.name);
            match entry.kind {
                FileKind::Directory => directories.push(path),
                _ => {
                    let bytes = durable::read(disk, &path, 64 << 20).unwrap();
                    files.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
                }
            }
        }
    }
    files
}

/// The process ends, or the machine with it.
fn end(disk: &SimDisk, random: &SeededRandom) -> &'static str {
    if random.chance(50) {
        disk.reboot();
        "the power was cut"
    } else {
        disk.restart();
        "the process was killed"
    }
}

/// How many operations something takes, by doing it once.
fn operations_of(disk: &SimDisk, act: impl FnOnce()) -> u64 {
    let before = disk.operations();
    act();
    disk.operations() - before
}

fn backup_killed(seed: u64) {
    let hour = FullPolicy::OlderThan(Duration::from_secs(3600));
    let [first, second, third] = [1, 2, 3].map(|number| BackupId([number; 8]));
    let made = || {
        let bench = Bench::new(seed);
        let vault = bench.reopened();
        bench.push_wal(&vault);
        bench.back_up(&vault, first, FullPolicy::Always).unwrap();
        let mut expected = BTreeMap::from([(first, bench.files())]);
        bench.change();
        expected.insert(second, bench.files());
        (bench, expected)
    };
    let (rehearsal, _) = made();
    let vault = rehearsal.reopened();
    let operations =
        operations_of(&rehearsal.disk, || rehearsal.back_up(&vault, second, hour).unwrap());

    let (bench, mut expected) = made();
    let random = SeededRandom::new(seed ^ 0xdead);
    let at = random.below(operations + 1);
    let vault = bench.reopened();
    bench.disk.crash_at(bench.disk.operations() + at);
    let outcome = bench.back_up(&vault, second, hour);
    let how = end(&bench.disk, &random);
    let told = format!("at operation {at} of {operations} {how}: {outcome:?}");
    let vault = bench.reopened();
    let listed = bench.check_backups(&vault, &expected);
    let is_there = listed == [first, second];
    assert!(is_there || listed == [first], "{told}: {listed:?}");
    assert!(is_there || outcome.is_err(), "it was said to be committed; {told}");

    bench.change();
    expected.insert(third, bench.files());
    bench.back_up(&vault, third, hour).unwrap_or_else(|error| panic!("{told}: {error}"));
    let listed = bench.check_backups(&bench.reopened(), &expected);
    assert_eq!(listed.last(), Some(&third), "{told}");
}

fn restore_killed(seed: u64) {
    let bench = Bench::new(seed);
    let vault = bench.reopened();
    bench.push_wal(&vault);
    bench.back_up(&vault, BackupId([1; 8]), FullPolicy::Always).unwrap();
    let whole = SimDisk::new(seed);
    let latest = Target::Latest;
    let operations = operations_of(&whole, || bench.restore(&vault, &latest, &whole).unwrap());
    let root = Path::new(TARGET);
    let expected = tree(&whole, root);
    assert!(!expected.contains_key(Path::new(UNFINISHED)));

    let random = SeededRandom::new(seed ^ 0xdead);
    let at = random.below(operations + 1);
    let disk = SimDisk::new(seed ^ 0xd15c);
    disk.crash_at(at);
    let outcome = bench.restore(&vault, &latest, &disk);
    let how = end(&disk, &random);
    let told = format!("at operation {at} of {operations} {how}: {outcome:?}");
    let mut found = tree(&disk, root);
    let is_marked = found.remove(Path::new(UNFINISHED)).is_some();
    let is_whole = found == expected;
    // What `postgres` looks for first.
    let would_start = found.contains_key(Path::new("global/pg_control"));
    assert!(is_whole || !would_start, "a server would start half a cluster; {told}");
    assert!(is_whole || is_marked || found.is_empty(), "nothing says that it is half; {told}");
    assert!(is_whole || outcome.is_err(), "it was said to be whole; {told}");
    match bench.restore(&vault, &latest, &disk) {
        Ok(()) => assert!(!is_marked && tree(&disk, root) == expected, "{told}"),
        Err(RestoreError::NotEmpty { unfinished, .. }) => {
            assert_eq!(unfinished, is_marked, "{told}");
            assert!(is_marked || is_whole, "{told}");
        }
        Err(error) => panic!("{told}: {error}"),
    }
}

fn for_seeds(count: u64, act: fn(u64)) {
    for seed in seeds(count) {
        let outcome = std::panic::catch_unwind(|| act(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_server_works_as_long_as_it_likes() {
    let bench = Bench::new(0);
    let before = bench.files().len();
    // So many that the same number is drawn more than once.
    for _ in 0..100 {
        bench.change();
    }
    assert_eq!(bench.files().len(), before + 100);
}

#[test]
fn a_backup_that_is_killed_is_there_or_is_not() {
    for_seeds(12, backup_killed);
}

#[test]
fn a_restore_that_is_killed_never_leaves_half_a_cluster_that_starts() {
    for_seeds(24, restore_killed);
}
