use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use soter_vault::map::{NoProgress, Step};
use soter_vault::objects::{MemoryStore, ObjectStore};
use soter_vault::testing::TestVault;
use soter_world::exec::Command;
use soter_world::{OsDisk, SystemClock, SystemRandom};

use super::*;
use crate::etcd::members::NewCluster;
use crate::etcd::restore::{MEMBERS_DIRECTORY, RESTORED_FILE, RestoreError, RestoreTarget, Target};
use crate::etcd::scratch::{Scratch, Tried};
use crate::etcd::{Bump, TAKEN_PREFIX, check_snapshot};
use crate::testing::{TestEtcd, programs};

/// An etcd, a vault in memory, and files to be taken along.
struct Bench {
    place: tempfile::TempDir,
    programs: PathBuf,
    etcd: TestEtcd,
    kept: TestVault,
    keys: StoreKeys,
    files: Vec<String>,
}

impl Bench {
    fn new(members: usize) -> Option<Self> {
        let programs = programs()?;
        let place = tempfile::tempdir().unwrap();
        let servers = place.path().join("servers");
        fs::create_dir(&servers).unwrap();
        let objects: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let kept = TestVault::create(objects, clock, random, "cluster").unwrap();
        let token = place.path().join("token");
        fs::File::create(&token).unwrap().write_all(b"K10word").unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o640)).unwrap();
        Some(Self {
            etcd: TestEtcd::start(&programs, &servers, members).unwrap(),
            keys: kept.writer_keys().unwrap(),
            files: vec![token.display().to_string()],
            programs,
            place,
            kept,
        })
    }

    fn put(&self, prefix: &str, count: usize, bytes: usize) {
        let value = |it: usize| -> Vec<u8> {
            // Bytes that compress like those of real objects, and differ.
            let line = format!("{prefix}{it} has a value of its own, number {it}; ");
            line.bytes().cycle().take(bytes).collect()
        };
        self.etcd.put((0..count).map(|it| (format!("{prefix}{it:06}"), value(it)))).unwrap();
    }

    fn back_up(
        &self,
        full: FullPolicy,
        progress: &dyn Progress,
    ) -> Result<FinishedRun, BackupError> {
        let access = self.etcd.access().unwrap();
        let setup = BackupSetup {
            disk: &OsDisk,
            access: &access,
            files: &self.files,
            vault: &self.kept.vault,
            trust: &self.kept.trust,
            keys: &self.keys,
            agent: "test",
            take_over: TakeOver::OwnOnly,
            full,
            cluster: ClusterPolicy::Same,
            compression: Compression::Zstd(3),
        };
        run(&setup, progress, &Stop::new())
    }

    fn increment(&self) -> FinishedRun {
        self.back_up(FullPolicy::OlderThan(Duration::from_hours(24)), &NoProgress).unwrap()
    }

    fn target<'a>(&self, directory: &'a Path) -> RestoreTarget<'a> {
        RestoreTarget {
            disk: &OsDisk,
            directory,
            mark: None,
            files_to: None,
            cluster: None,
            bump: None,
            owner: None,
            keeps_owners: false,
        }
    }

    /// What a scratch member made of a snapshot has.
    fn tried(&self, snapshot: &Path, record: &EtcdRecord) -> Tried {
        let directory = tempfile::tempdir_in(self.place.path()).unwrap();
        let root = soter_world::exec::current_owner().user == 0;
        let nobody = soter_world::disk::Owner { user: 65534, group: 65534 };
        let scratch = Scratch {
            disk: &OsDisk,
            clock: &SystemClock,
            programs: Some(&self.programs),
            directory: directory.path(),
            owner: root.then_some(nobody),
        };
        for above in [self.place.path(), directory.path()] {
            fs::set_permissions(above, fs::Permissions::from_mode(0o711)).unwrap();
        }
        scratch.try_snapshot(snapshot, record, &Stop::new()).unwrap()
    }

    fn restore(
        &self,
        target: &RestoreTarget<'_>,
        done: &FinishedRun,
    ) -> Result<crate::etcd::restore::Restored, RestoreError> {
        let log = Log::open(&self.kept.vault, self.keys.store, self.kept.trust.clone(), None);
        let reader = self.kept.reader_keys().unwrap();
        let of = (done.id, &done.record);
        target.write((&log.unwrap(), &reader), of, &NoProgress, &Stop::new())
    }
}

#[test]
fn real_a_backup_under_load_comes_back_as_it_was_counted() {
    let Some(bench) = Bench::new(1) else { return };
    bench.put("/registry/pods/default/", 2000, 1500);
    let over = AtomicBool::new(false);
    let (first, second) = std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                bench.put(&format!("/registry/events/{round}/"), 50, 600);
            }
        });
        let first = bench.increment();
        let second = bench.increment();
        over.store(true, Ordering::Relaxed);
        (first, second)
    });
    assert_eq!((first.record.kind, second.record.kind), (Sharing::Full, Sharing::Increment));
    assert!(second.record.revision > first.record.revision, "somebody wrote");
    assert_eq!(second.record.keys.groups["/registry/pods/"], 2000);
    assert!(second.record.counters.same_blocks > 0, "{:?}", second.record.counters);

    let place = bench.place.path().join("back");
    let target = bench.target(&place);
    let restored = bench.restore(&target, &first).unwrap();
    let file = fs::File::open(&restored.snapshot).unwrap();
    assert_eq!(hex::encode(check_snapshot(file).unwrap().unwrap().sha256), first.record.sha256);
    let tried = bench.tried(&restored.snapshot, &first.record);
    assert!(tried.passed(), "{tried:?}");
    assert_eq!(tried.keys, first.record.keys);
    let range = first.record.revision..=first.record.revision_max;
    assert!(range.contains(&tried.revision), "{tried:?}");
    // Anything else than was recorded is told.
    let mut other = first.record;
    other.keys.keys += 1;
    other.keys.groups.insert("/registry/nodes/".to_owned(), 1);
    let tried = bench.tried(&restored.snapshot, &other);
    assert_eq!((tried.differences.len(), tried.passed()), (2, false), "{tried:?}");

    let token = place.join(TAKEN_PREFIX).join(bench.files[0].trim_start_matches('/'));
    assert_eq!(fs::read(&token).unwrap(), b"K10word");
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::metadata(&restored.snapshot).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn real_a_restore_finds_its_own_work_and_touches_nobody_elses() {
    let Some(bench) = Bench::new(1) else { return };
    bench.put("/a/b/", 10, 100);
    let done = bench.increment();
    let place = bench.place.path().join("deep/new");
    let root = bench.place.path().join("root");
    let token = root.join(bench.files[0].trim_start_matches('/'));
    let cluster = NewCluster {
        members: vec![
            "m0=http://127.0.0.1:1".parse().unwrap(),
            "m1=http://127.0.0.1:2".parse().unwrap(),
        ],
        here: vec!["m1".to_owned()],
        token: "again".to_owned(),
        programs: Some(bench.programs.clone()),
    };
    let bump = Bump { by: 1000, programs: Some(bench.programs.clone()) };
    let target = RestoreTarget {
        mark: Some("run-1/etcd"),
        files_to: Some(&root),
        cluster: Some(&cluster),
        bump: Some(&bump),
        ..bench.target(&place)
    };
    // What an attempt left that was cut off makes way for the same asking.
    let partial = place.with_file_name(".new.soter-restoring");
    fs::create_dir_all(partial.join("files")).unwrap();
    fs::File::create(partial.join("files/x")).unwrap();
    let unmarked = RestoreTarget { mark: None, ..bench.target(&place) };
    let error = bench.restore(&unmarked, &done).unwrap_err();
    assert!(matches!(error, RestoreError::Unfinished { .. }), "{error}");
    let restored = bench.restore(&target, &done).unwrap();
    assert!(!partial.exists());
    assert_eq!(restored.members[0].data_directory, place.join(MEMBERS_DIRECTORY).join("m1"));
    assert!(place.join("members/m1/member/snap/db").exists());
    assert!(!place.join("members/m0").exists(), "that one is another machine's");
    assert_eq!(fs::read(&token).unwrap(), b"K10word");

    // Again it is found; a file that is gone is put again.
    fs::remove_file(&token).unwrap();
    assert_eq!(bench.restore(&target, &done).unwrap(), restored);
    assert_eq!(fs::read(&token).unwrap(), b"K10word");
    // Another asking does not take it for its own, and overwrites nothing.
    for mark in [None, Some("run-2/etcd")] {
        let error = bench.restore(&RestoreTarget { mark, ..bench.target(&place) }, &done);
        assert!(matches!(error.unwrap_err(), RestoreError::NotEmpty { .. }), "{mark:?}");
    }
    OsDisk.open_write(&token).unwrap().write_at(0, b"k").unwrap();
    let other = bench.place.path().join("other");
    let to_root = RestoreTarget { files_to: Some(&root), ..bench.target(&other) };
    let error = bench.restore(&to_root, &done).unwrap_err();
    assert!(matches!(error, RestoreError::FileThere { .. }), "{error}");
    assert_eq!(fs::read(&token).unwrap(), b"k10word");
    assert!(fs::read_to_string(place.join(RESTORED_FILE)).unwrap().contains("run-1/etcd"));
}

#[test]
fn real_a_snapshot_whose_revisions_are_moved_on_is_one_as_etcd_makes_them() {
    let Some(bench) = Bench::new(1) else { return };
    bench.put("/a/b/", 10, 100);
    let done = bench.increment();
    let place = bench.place.path().join("moved");
    let bump = Bump { by: 5000, programs: Some(bench.programs.clone()) };
    let target = RestoreTarget { bump: Some(&bump), ..bench.target(&place) };
    let restored = bench.restore(&target, &done).unwrap();
    assert_eq!((restored.bumped_by, restored.keys), (Some(5000), 10));
    let snapshot = fs::File::open(&restored.snapshot).unwrap();
    let checked = check_snapshot(snapshot).unwrap().unwrap();
    assert_ne!(hex::encode(checked.sha256), done.record.sha256, "it is another database");
    let status = Command::new(bench.programs.join("etcdutl"))
        .args(["snapshot", "status", "--write-out", "json"])
        .arg(&restored.snapshot)
        .run(Duration::from_secs(60));
    let status: serde_json::Value =
        serde_json::from_slice(&status.unwrap().checked().unwrap().stdout).unwrap();
    assert!(status["revision"].as_u64().unwrap() >= done.record.revision + 5000, "{status}");
    let left: Vec<_> = fs::read_dir(&place).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "the snapshot, the files, and what all this is: {left:?}");
    // Without the tool nothing appears, and it is said what is missing.
    let (nowhere, other) = (bench.place.path().to_owned(), bench.place.path().join("other"));
    let bump = Bump { by: 5000, programs: Some(nowhere) };
    let target = RestoreTarget { bump: Some(&bump), ..bench.target(&other) };
    let error = bench.restore(&target, &done).unwrap_err();
    assert!(error.is_input() && error.hint().unwrap().contains("install etcdutl"), "{error}");
    assert!(!other.exists());
}

/// Hears how much was read, and kills a member in the middle.
struct Striking<'a> {
    read: AtomicU64,
    at: u64,
    strike: &'a (dyn Fn() + Sync),
}

impl Progress for Striking<'_> {
    fn advance(&self, step: Step) {
        let before = self.read.fetch_add(step.raw_bytes, Ordering::Relaxed);
        if before < self.at && before + step.raw_bytes >= self.at {
            (self.strike)();
        }
    }
}

#[test]
fn real_a_member_that_dies_on_the_way_is_followed_by_the_next() {
    let Some(mut bench) = Bench::new(3) else { return };
    bench.put("/registry/pods/default/", 4000, 3000);
    let pid = bench.etcd.process(0).unwrap();
    let kill = || soter_world::exec::signal_process(pid, soter_world::exec::Signal::Kill).unwrap();
    let striking = Striking { read: AtomicU64::new(0), at: 4 << 20, strike: &kill };
    let done = bench.back_up(FullPolicy::Always, &striking).unwrap();
    assert_eq!(done.record.endpoint, bench.etcd.endpoints[1].to_string());
    assert!(done.record.remarks[0].starts_with("another member was asked"), "{:?}", done.record);
    assert_eq!(done.record.keys.keys, 4000);
    let place = bench.place.path().join("back");
    bench.restore(&bench.target(&place), &done).unwrap();
    for member in 1..3 {
        bench.etcd.kill(member);
    }
    let error = bench.back_up(FullPolicy::Always, &NoProgress).unwrap_err();
    assert_eq!(error.kind(), soter_vault::keys::ErrorKind::Retry, "{error}");
}

#[test]
fn a_target_names_a_backup_or_says_which_there_are() {
    let record = |taken: &str| {
        let (_, rest) = include_str!("../../../../../docs/format/vault.md")
            .split_once("```etcd-record\n")
            .unwrap();
        let text = rest.split_once("```").unwrap().0;
        let record = EtcdRecord::parse(text.as_bytes()).unwrap();
        EtcdRecord { taken_at: taken.parse().unwrap(), ..record }
    };
    let id = |number: u8| BackupId([number; BackupId::LENGTH]);
    let backups =
        [(id(1), record("2026-11-01T00:00:00Z")), (id(2), record("2026-11-02T00:00:00Z"))];
    let choose = |text: &str| -> Result<BackupId, RestoreError> {
        let target: Target = text.parse().unwrap();
        assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        target.choose(&backups, |id| *id).map(|(id, _)| *id)
    };
    assert_eq!(choose("latest").unwrap(), id(2));
    assert_eq!(choose(&format!("backup:{}", id(1))).unwrap(), id(1));
    assert_eq!(choose("time:2026-11-01T23:00:00+00:00").unwrap(), id(1));
    let error = choose("time:2026-10-31T23:00:00Z").unwrap_err();
    assert!(error.to_string().contains("2026-11-01T00:00:00Z to 2026-11-02"), "{error}");
    assert!(matches!(choose(&format!("backup:{}", id(3))), Err(RestoreError::NoSuch { .. })));
    for bad in ["", "newest", "time:yesterday", "lsn:0/1", "backup:x"] {
        assert!(bad.parse::<Target>().is_err(), "{bad}");
    }
}
