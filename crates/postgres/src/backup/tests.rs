//! Backups of a real server, compared with what the server's files say.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use soter_vault::frame::Compression;
use soter_vault::ids::BackupId;
use soter_vault::log::{Log, TakeOver};
use soter_vault::map::{
    FileEntry, LoadedMap, MapAccess, NoProgress, RestoreOptions, Sink, SinkFile, restore,
};
use soter_vault::objects::DirectoryStore;
use soter_vault::testing::TestVault;
use soter_world::{OsDisk, Stop, SystemClock, SystemRandom};

use super::record::{BackupKind, BackupRecord};
use super::run::{BackupSetup, FinishedRun, FullPolicy, run};
use crate::connection::ConnectionInfo;
use crate::testing::{Shutdown, TestCluster};

/// A cluster and a vault for it.
struct Bench {
    cluster: TestCluster,
    vault: TestVault,
    _directory: tempfile::TempDir,
}

fn bench() -> Bench {
    let mut cluster = TestCluster::initdb(&["--data-checksums"]).unwrap();
    cluster.start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let objects = DirectoryStore::create(Arc::new(OsDisk), &directory.path().join("vault"));
    let vault = TestVault::create(
        Arc::new(objects.unwrap()),
        Arc::new(SystemClock),
        Arc::new(SystemRandom),
        "orders",
    );
    Bench { cluster, vault: vault.unwrap(), _directory: directory }
}

fn back_up(bench: &Bench, full: FullPolicy) -> FinishedRun {
    let connection = ConnectionInfo::parse(&bench.cluster.connection_string()).unwrap();
    let setup = BackupSetup {
        disk: &OsDisk,
        connection: &connection,
        data_directory: bench.cluster.data_directory(),
        vault: &bench.vault.vault,
        trust: &bench.vault.trust,
        keys: &bench.vault.writer_keys().unwrap(),
        agent: "test",
        take_over: TakeOver::OwnOnly,
        full,
        workers: 2,
        compression: Compression::Zstd(1),
    };
    run(&setup, &mut |_| Ok(()), &NoProgress, &Stop::new()).unwrap()
}

/// Restored files in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Arc<Mutex<Vec<u8>>>>>);

struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl Sink for Memory {
    fn directory(&self, _: &FileEntry) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, entry: &FileEntry, _: &[u8]) -> io::Result<()> {
        panic!("a backup of a cluster has no links: {:?}", entry.path)
    }

    fn file(&self, entry: &FileEntry, size: u64) -> io::Result<Box<dyn SinkFile>> {
        let bytes = Arc::new(Mutex::new(vec![0; usize::try_from(size).unwrap()]));
        let path = entry.path.as_path().display().to_string();
        self.0.lock().unwrap().insert(path, Arc::clone(&bytes));
        Ok(Box::new(MemoryFile(bytes)))
    }
}

impl SinkFile for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
}

/// All files of a backup, and its record as an operator reads it.
fn read_back(bench: &Bench, id: BackupId) -> (BTreeMap<String, Vec<u8>>, BackupRecord) {
    let TestVault { vault, trust, store, .. } = &bench.vault;
    let keys = bench.vault.reader_keys().unwrap();
    let log = Log::open(vault, *store, trust.clone(), None).unwrap();
    let body = log.body(id, &keys.metadata).unwrap();
    let catalogue = log.catalogue();
    let rows = |class, pack| catalogue.row(class, pack).copied();
    let access = MapAccess {
        objects: &*vault.objects,
        store: *store,
        backup: id,
        metadata: keys.metadata.clone(),
        packs: catalogue.backup(id).unwrap().packs.clone(),
        rows: &rows,
    };
    let map = LoadedMap::open(&body.map_root, access).unwrap();
    let session_key = |session| {
        let row = catalogue.session(session).unwrap();
        keys.unwrap(&row.wrapped, &row.commitment)
    };
    let sink = Memory::default();
    let options = RestoreOptions { workers: 2, select: &|_| true };
    restore(&map, &session_key, &sink, options, &NoProgress, &Stop::new()).unwrap();
    let files = sink.0.into_inner().unwrap();
    let files = files.into_iter().map(|(path, bytes)| (path, bytes.lock().unwrap().clone()));
    (files.collect(), BackupRecord::parse(&body.content).unwrap())
}

/// Compares the relations of a backup of an idle server with its files.
fn assert_equals_files(files: &BTreeMap<String, Vec<u8>>, data: &Path) {
    let mut compared = 0;
    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with("data/base/")) {
        let on_disk = std::fs::read(data.join(path.strip_prefix("data/").unwrap())).unwrap();
        assert!(bytes == &on_disk, "{path}");
        compared += 1;
    }
    assert!(compared > 500, "only {compared} relations");
}

#[test]
fn real_a_full_backup_and_an_increment_hold_what_the_server_has() {
    let mut bench = bench();
    bench.cluster.pgbench(&["--initialize", "--quiet", "--scale=5"]).unwrap();
    bench.cluster.psql("CREATE UNLOGGED TABLE gone AS SELECT 1; CHECKPOINT").unwrap();
    let first = back_up(&bench, FullPolicy::Always);
    assert_eq!(first.record.kind, BackupKind::Full);
    assert!(first.record.counters.read_bytes >= 60_000_000, "{:?}", first.record.counters);
    assert_eq!(first.record.bad_pages, []);

    bench.cluster.psql("UPDATE pgbench_branches SET bbalance = 7; CHECKPOINT").unwrap();
    let second = back_up(&bench, FullPolicy::OlderThan(Duration::from_secs(3600)));
    assert_eq!(second.record.kind, BackupKind::Increment);
    assert_eq!(second.record.base, Some(first.id));
    let counters = second.record.counters;
    assert!(counters.same_blocks > 10 * counters.new_blocks, "{counters:?}");
    assert!(counters.stored_bytes * 5 < first.record.counters.stored_bytes, "{counters:?}");

    bench.cluster.stop(Shutdown::Fast).unwrap();
    let (files, record) = read_back(&bench, second.id);
    assert_eq!(record, second.record);
    assert_equals_files(&files, bench.cluster.data_directory());
    assert!(files["data/backup_label"].starts_with(b"START WAL LOCATION"));
    let control = crate::control::ControlFile::parse(&files["data/global/pg_control"]).unwrap();
    assert_eq!(control.system_identifier, record.system_identifier);
    assert!(!files.contains_key("data/soter.incarnation"));
    let (older, _) = read_back(&bench, first.id);
    assert_eq!(older.len(), files.len());
}

#[test]
fn real_a_damaged_page_is_named_and_the_backup_succeeds() {
    let mut bench = bench();
    bench.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 10000)").unwrap();
    let path = bench.cluster.psql("CHECKPOINT; SELECT pg_relation_filepath('t')").unwrap();
    bench.cluster.stop(Shutdown::Fast).unwrap();
    let file = bench.cluster.data_directory().join(path.trim());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[2 * 8192 + 5000] ^= 1;
    let mut damaged = std::fs::File::create(&file).unwrap();
    io::Write::write_all(&mut damaged, &bytes).unwrap();
    bench.cluster.start().unwrap();
    let done = back_up(&bench, FullPolicy::Always);
    let bad: Vec<_> = done.record.bad_pages.iter().map(|p| (p.path.as_str(), p.block)).collect();
    assert_eq!(bad, [(format!("data/{}", path.trim()).as_str(), 2)]);
}
