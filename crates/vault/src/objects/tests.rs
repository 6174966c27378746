//! The suite for each store, and what is particular to one of them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use soter_world::disk::{Disk, FileKind, OsDisk};
use soter_world::sim::{SimClock, SimDisk, seeds};
use soter_world::{Clock, SystemClock};

use super::conformance::check_store;
use super::*;

const ROOT: &str = "/srv/vault";

/// How many seeds a test tries.
const SEEDS: u64 = 30;

fn on_sim(disk: &SimDisk) -> DirectoryStore {
    DirectoryStore::create(Arc::new(disk.clone()), Path::new(ROOT)).unwrap()
}

fn in_memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(Arc::new(SimClock::new())))
}

#[test]
fn directories_on_the_real_disk_conform() {
    let root = tempfile::tempdir().unwrap();
    let count = Cell::new(0);
    check_store(&|| {
        count.set(count.get() + 1);
        let path = root.path().join(count.get().to_string());
        Arc::new(DirectoryStore::create(Arc::new(OsDisk), &path).unwrap())
    });
}

#[test]
fn directories_on_the_simulated_disk_conform() {
    check_store(&|| Arc::new(on_sim(&SimDisk::new(1))));
}

#[test]
fn directories_without_hard_links_conform() {
    check_store(&|| {
        let disk = SimDisk::new(1);
        disk.forbid_links();
        Arc::new(on_sim(&disk))
    });
}

#[test]
fn memory_conforms() {
    check_store(&|| in_memory());
}

#[test]
fn wrappers_conform() {
    check_store(&|| Arc::new(Metered::new(in_memory())));
    check_store(&|| Arc::new(Faulty::new(in_memory(), Faults::NONE, 1)));
}

/// What the writer of the crash tests was told.
type Answers = BTreeMap<&'static str, Result<Created, ObjectErrorKind>>;

const LONG: [u8; 3000] = [7; 3000];

/// Two objects in one new directory, one in another; the first is asked for twice.
fn write_some(store: &DirectoryStore) -> Answers {
    let mut answers = Answers::new();
    for name in ["log/a/0", "log/a/1", "log/a/0", "data/b/c/0"] {
        let answer = store.create(name, &LONG).map_err(|error| error.kind());
        if answer.is_ok() || !answers.contains_key(name) {
            answers.insert(name, answer);
        }
    }
    answers
}

fn check_answers(store: &DirectoryStore, answers: &Answers, place: &str) {
    for (name, answer) in answers {
        match store.read(name) {
            Ok(bytes) => assert_eq!(bytes, LONG, "{place}: {name} is torn"),
            Err(error) => {
                assert_eq!(error.kind(), ObjectErrorKind::NotFound, "{place}: {name}");
                assert!(answer.is_err(), "{place}: {name} was answered and is lost");
            }
        }
    }
    let listed = store.list("", None, 100).unwrap();
    assert!(listed.iter().all(|info| answers.contains_key(info.name.as_str())), "{place}");
}

/// Calls `check` with a disk that dies in each operation of `write_some` in turn, and the answers.
fn crash_everywhere(forbid_links: bool, check: impl Fn(&SimDisk, &Answers, &str)) {
    for seed in seeds(SEEDS) {
        for operation in 0.. {
            let disk = SimDisk::new(seed);
            if forbid_links {
                disk.forbid_links();
            }
            let store = on_sim(&disk);
            disk.crash_at(disk.operations() + operation);
            let answers = write_some(&store);
            let finished = !disk.has_crashed();
            check(&disk, &answers, &format!("seed {seed} operation {operation}"));
            if finished {
                assert!(operation > 20, "a writer that does nothing proves nothing");
                break;
            }
        }
    }
}

#[test]
fn after_a_power_cut_a_name_is_free_or_whole_and_what_was_answered_is_there() {
    for forbid_links in [false, true] {
        crash_everywhere(forbid_links, |disk, answers, place| {
            disk.reboot();
            let store = on_sim(disk);
            check_answers(&store, answers, place);
            // The next try finishes what the first one began, and leaves it durable.
            let clock = SimClock::new();
            for name in answers.keys() {
                let again = create_once(&store, &clock, name, &LONG).unwrap();
                assert!(matches!(again, Once::New | Once::Same), "{place}");
            }
            disk.reboot();
            let all_new = answers.keys().map(|name| (*name, Ok(Created::New))).collect();
            check_answers(&on_sim(disk), &all_new, place);
        });
    }
}

#[test]
fn after_a_killed_writer_whatever_exists_or_is_found_survives_a_power_cut() {
    crash_everywhere(false, |disk, answers, place| {
        disk.restart();
        let store = on_sim(disk);
        check_answers(&store, answers, place);
        let mut found = answers.clone();
        for (name, answer) in &mut found {
            if store.head(name).unwrap().is_some() {
                *answer = Ok(Created::Exists);
            }
        }
        disk.reboot();
        check_answers(&on_sim(disk), &found, place);
    });
    crash_everywhere(false, |disk, answers, place| {
        disk.restart();
        let store = on_sim(disk);
        let again = answers.keys().map(|name| (*name, Ok(store.create(name, &LONG).unwrap())));
        let again = again.collect();
        disk.reboot();
        check_answers(&on_sim(disk), &again, place);
    });
}

#[test]
fn what_a_dead_writer_left_is_swept_when_it_is_old() {
    let swept_total = Cell::new(0);
    crash_everywhere(false, |disk, answers, place| {
        disk.restart();
        let store = on_sim(disk);
        let before = count_files(disk, Path::new(ROOT));
        let objects = store.list("", None, 100).unwrap().len();
        assert_eq!(store.sweep_temporaries(Timestamp::MIN).unwrap(), 0);
        let swept = store.sweep_temporaries(Timestamp::MAX).unwrap();
        swept_total.set(swept_total.get() + swept);
        assert_eq!(before, objects + usize::try_from(swept).unwrap(), "{place}");
        assert_eq!(count_files(disk, Path::new(ROOT)), objects, "{place}");
        check_answers(&store, answers, place);
    });
    assert!(swept_total.get() > 0);
}

fn count_files(disk: &dyn Disk, directory: &Path) -> usize {
    let entries = disk.list(directory).unwrap();
    let count = |entry: &soter_world::disk::Entry| match entry.kind {
        FileKind::Directory => count_files(disk, &directory.join(&entry.name)),
        _ => 1,
    };
    entries.iter().map(count).sum()
}

#[test]
fn an_error_in_any_operation_leaves_nothing_torn_and_can_be_repeated() {
    let kinds = [
        io::ErrorKind::Other,
        io::ErrorKind::StorageFull,
        io::ErrorKind::TimedOut,
        io::ErrorKind::NotFound,
    ];
    for kind in kinds {
        for operation in 0..40 {
            let disk = SimDisk::new(operation);
            let store = on_sim(&disk);
            disk.fail_at(disk.operations() + operation, kind);
            let answers = write_some(&store);
            check_answers(&store, &answers, &format!("{kind:?} in {operation}"));
            for name in answers.keys() {
                let again = create_once(&store, &SimClock::new(), name, &LONG).unwrap();
                assert!(matches!(again, Once::New | Once::Same));
            }
        }
    }
}

#[test]
fn a_request_that_the_server_carries_out_twice_still_wins() {
    for forbid_links in [false, true] {
        for operation in 0..40 {
            let disk = SimDisk::new(1);
            if forbid_links {
                disk.forbid_links();
            }
            let store = on_sim(&disk);
            disk.repeat_at(disk.operations() + operation);
            let created = store.create("log/a/0", &LONG).unwrap();
            assert_eq!(created, Created::New, "operation {operation}");
            assert_eq!(store.create("log/a/0", &LONG).unwrap(), Created::Exists);
        }
    }
}

#[test]
fn a_full_disk_leaves_nothing_under_the_final_name() {
    for free in [0, 1, 512, 2999] {
        let disk = SimDisk::new(free);
        let store = on_sim(&disk);
        disk.full_after(free);
        let error = store.create("log/a/0", &LONG).unwrap_err();
        assert_eq!(error.kind(), ObjectErrorKind::Full, "{free}");
        assert_eq!(store.head("log/a/0").unwrap(), None);
        assert_eq!(count_files(&disk, Path::new(ROOT)), 0, "{free}");
        disk.full_after(u64::MAX);
        assert_eq!(store.create("log/a/0", &LONG).unwrap(), Created::New);
    }
}

#[test]
fn files_are_private_and_strangers_are_not_listed() {
    let root = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(Arc::new(OsDisk), root.path()).unwrap();
    assert_eq!(store.create("log/a", b"x").unwrap(), Created::New);
    let mode = |path: &str| OsDisk.metadata(&root.path().join(path)).unwrap().mode;
    assert_eq!((mode("log"), mode("log/a")), (0o700, 0o600));
    for stranger in [".hidden", "with space", "log/.a.1-2.new"] {
        OsDisk.create(&root.path().join(stranger)).unwrap();
    }
    OsDisk.symlink(Path::new("log"), &root.path().join("link")).unwrap();
    let names: Vec<_> =
        store.list("", None, 9).unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["log/a"]);
    let now = SystemClock.now();
    assert_eq!(store.sweep_temporaries(now - Duration::from_secs(3600)).unwrap(), 0);
    assert_eq!(store.sweep_temporaries(now + Duration::from_secs(3600)).unwrap(), 1);
}

#[test]
fn a_vault_whose_disk_was_unmounted_is_not_written_beside_it() {
    let disk = SimDisk::new(1);
    let missing = DirectoryStore::open(Arc::new(disk.clone()), Path::new(ROOT)).err().unwrap();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    let store = on_sim(&disk);
    disk.rename(Path::new(ROOT), Path::new("/srv/unmounted")).unwrap();
    assert_eq!(store.create("log/a", b"x").unwrap_err().kind(), ObjectErrorKind::Failed);
    disk.create_dir(Path::new(ROOT)).unwrap();
    let error = store.create("log/a", b"x").unwrap_err();
    assert_eq!(error.kind(), ObjectErrorKind::Failed);
    assert_eq!(disk.list(Path::new(ROOT)).unwrap(), []);
}

#[test]
fn one_writer_gets_each_name_although_the_store_is_rough() {
    for seed in seeds(SEEDS) {
        let store = Arc::new(Faulty::new(in_memory(), Faults::ROUGH, seed));
        let clock = SimClock::new();
        let (mut mine, mut yours) = (0, 0);
        for number in 0..50 {
            let name = format!("log/{number}");
            let first = create_once(&*store, &clock, &name, b"mine").unwrap();
            let second = create_once(&*store, &clock, &name, b"yours").unwrap();
            assert!(matches!(first, Once::New | Once::Same), "seed {seed}");
            assert_eq!(second, Once::Taken(b"mine".to_vec()), "seed {seed}");
            mine += usize::from(first == Once::New);
            yours += usize::from(first == Once::Same);
        }
        assert_eq!(mine + yours, 50);
    }
}

#[test]
fn a_store_that_stays_away_is_given_up_after_a_while() {
    let faults = Faults { errors_percent: 100, ..Faults::NONE };
    let store = Faulty::new(in_memory(), faults, 1);
    let clock = SimClock::new();
    let error = create_once(&store, &clock, "log/1", b"x").unwrap_err();
    assert_eq!(error.kind(), ObjectErrorKind::Retry);
    assert_eq!(store.operations(), 8);
    assert_eq!(clock.monotonic(), Duration::from_millis(12_700));
}

#[test]
fn a_stale_list_hides_only_what_is_new_and_shows_only_what_was_there() {
    let faults = Faults { stale_lists_percent: 100, ..Faults::NONE };
    let inner = in_memory();
    let store = Faulty::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, faults, 1);
    for number in 0..100 {
        assert_eq!(store.create(&format!("log/{number:03}"), b"x").unwrap(), Created::New);
    }
    store.delete("log/099").unwrap();
    let (mut hidden, mut undead) = (false, false);
    for _ in 0..50 {
        let listed = store.list("log/", Some("log/009"), 75).unwrap();
        assert_eq!(listed[0].name, "log/010");
        assert!(listed.is_sorted_by(|left, right| left.name < right.name));
        assert!(listed.iter().any(|info| info.name == "log/060"), "old objects are never hidden");
        let all = store.list("log/", None, 1000).unwrap();
        hidden |= all.len() < 99;
        undead |= all.iter().any(|info| info.name == "log/099");
    }
    assert!(hidden && undead);
    assert_eq!(inner.list("log/", None, 1000).unwrap().len(), 99);
}

#[test]
fn a_store_dies_at_an_operation_and_comes_back() {
    let store = Faulty::new(in_memory(), Faults::NONE, 3);
    store.crash_at(1);
    assert_eq!(store.create("a", b"x").unwrap(), Created::New);
    assert!(store.create("b", b"x").is_err());
    assert!(store.read("a").is_err());
    assert!(store.has_crashed());
    store.revive();
    assert_eq!(store.read("a").unwrap(), b"x");
    let faults = Faults { short_reads_percent: 100, ..Faults::NONE };
    store.set_faults(faults);
    assert_eq!(store.read("a").unwrap(), b"");
}

#[test]
fn requests_and_bytes_are_counted() {
    let store = Metered::new(in_memory());
    assert_eq!(store.create("a", b"12345").unwrap(), Created::New);
    assert_eq!(store.create("a", b"12345").unwrap(), Created::Exists);
    store.read_range("a", 1, 2).unwrap();
    store.read("a").unwrap();
    store.read("b").unwrap_err();
    store.read("..").unwrap_err();
    store.head("a").unwrap();
    store.list("", None, 1).unwrap();
    store.delete("a").unwrap();
    let expected = Counts {
        creates: 2,
        reads: 4,
        heads: 1,
        lists: 1,
        deletes: 1,
        errors: 1,
        written_bytes: 5,
        read_bytes: 7,
    };
    assert_eq!(store.counts(), expected);
}

#[test]
fn a_url_leads_to_a_directory_or_says_why_not() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let store = create_url("file:///srv/my%20vault", Arc::clone(&disk)).unwrap();
    assert_eq!(store.create("a", b"x").unwrap(), Created::New);
    assert!(disk.metadata(&PathBuf::from("/srv/my vault/a")).is_ok());
    let store = open_url("file:///srv/my%20vault", Arc::clone(&disk)).unwrap();
    assert_eq!(store.read("a").unwrap(), b"x");
    let says = |url: &str| open_url(url, Arc::clone(&disk)).err().unwrap().to_string();
    assert_eq!(says("file:///none"), "cannot open the vault's directory /none");
    assert!(says("s3://bucket/path").contains("\"s3\" cannot be reached by this version"));
    for malformed in
        ["/srv/vault", "file:/srv", "file://host/srv", "file:///a%2", "file:///a?b", "file:///%00"]
    {
        assert!(says(malformed).contains("is not the URL of a vault"), "{malformed}");
    }
}
