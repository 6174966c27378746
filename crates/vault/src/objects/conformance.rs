//! What every store must do, as one suite. [`check_store`] is run for each implementation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use soter_world::sim::SimClock;

use super::*;

/// Writers that want one name at the same time, and how often they do.
const WRITERS: usize = 8;
const RACES: usize = 100;

/// Long enough that a write in place would be seen half done.
const RACE_OBJECT_LENGTH: usize = 100_000;

pub(super) type Make<'a> = &'a dyn Fn() -> Arc<dyn ObjectStore>;

/// Runs the whole suite, each part on a store of its own.
pub(super) fn check_store(make: Make<'_>) {
    one_name_has_one_winner_and_no_reader_sees_a_part(make());
    an_object_is_created_once_and_read_back(&*make());
    ranges_end_where_the_object_does(&*make());
    lists_are_sorted_and_paged(&*make());
    deletion_frees_the_name(&*make());
    bad_names_are_refused(&*make());
    objects_are_not_directories(&*make());
    a_lost_answer_is_found_out(make());
}

fn one_name_has_one_winner_and_no_reader_sees_a_part(store: Arc<dyn ObjectStore>) {
    for race in 0..RACES {
        let name = format!("log/{:02}/{race:04}", race % 7);
        let start = Barrier::new(WRITERS + 1);
        let running = AtomicUsize::new(WRITERS);
        let created: Vec<Created> = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (store, name, start, running) = (&store, &name, &start, &running);
                    scope.spawn(move || {
                        let bytes = vec![u8::try_from(writer).unwrap(); RACE_OBJECT_LENGTH];
                        start.wait();
                        let created = store.create(name, &bytes);
                        running.fetch_sub(1, Ordering::SeqCst);
                        created.unwrap()
                    })
                })
                .collect();
            start.wait();
            while running.load(Ordering::SeqCst) > 0 {
                match store.read(&name) {
                    Ok(bytes) => check_whole(&bytes),
                    Err(error) => assert_eq!(error.kind(), ObjectErrorKind::NotFound),
                }
                thread::yield_now();
            }
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let winners: Vec<usize> =
            (0..WRITERS).filter(|writer| created[*writer] == Created::New).collect();
        assert_eq!(winners.len(), 1, "race {race}: {created:?}");
        let bytes = store.read(&name).unwrap();
        check_whole(&bytes);
        assert_eq!(usize::from(bytes[0]), winners[0], "race {race}");
    }
}

fn check_whole(bytes: &[u8]) {
    assert_eq!(bytes.len(), RACE_OBJECT_LENGTH, "a reader saw a short object");
    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a reader saw two writers' bytes");
}

fn an_object_is_created_once_and_read_back(store: &dyn ObjectStore) {
    assert_eq!(store.head("soter.vault").unwrap(), None);
    assert_eq!(store.create("soter.vault", b"first").unwrap(), Created::New);
    assert_eq!(store.create("soter.vault", b"second").unwrap(), Created::Exists);
    assert_eq!(store.read("soter.vault").unwrap(), b"first");
    assert_eq!(store.head("soter.vault").unwrap().unwrap().size, 5);
    assert_eq!(store.create("data/a/b/empty", b"").unwrap(), Created::New);
    assert_eq!(store.read("data/a/b/empty").unwrap(), b"");
    let longest = crate::pack::OBJECT_LENGTH_MAX;
    let error = store.create("data/a/b/long", &vec![0; longest + 1]).unwrap_err();
    assert_eq!(error.kind(), ObjectErrorKind::Input);
    assert_eq!(store.head("data/a/b/long").unwrap(), None);
}

fn ranges_end_where_the_object_does(store: &dyn ObjectStore) {
    assert_eq!(store.create("map/x", b"0123456789").unwrap(), Created::New);
    let cases: [(u64, usize, &[u8]); 8] = [
        (0, 10, b"0123456789"),
        (3, 4, b"3456"),
        (8, 5, b"89"),
        (10, 1, b""),
        (11, 1, b""),
        (u64::MAX, 1, b""),
        (0, usize::MAX, b"0123456789"),
        (2, 0, b""),
    ];
    for (offset, length, expected) in cases {
        assert_eq!(store.read_range("map/x", offset, length).unwrap(), expected, "{offset}");
    }
    for name in ["map/y", "map", "other/z"] {
        let error = store.read_range(name, 0, 1).unwrap_err();
        assert_eq!(error.kind(), ObjectErrorKind::NotFound, "{name}");
        assert_eq!(store.read(name).unwrap_err().kind(), ObjectErrorKind::NotFound, "{name}");
    }
}

fn lists_are_sorted_and_paged(store: &dyn ObjectStore) {
    // `-` and `.` come before the slash and digits after it, which a walk of directories gets wrong.
    let mut names = [
        "a-1", "a.1", "a/1", "a/2", "a/b/c", "a0", "b/c-d", "b/c.d/e", "b/c/d", "b/c/e", "b/cc/a",
        "B", "z/z/z/z",
    ];
    for name in names {
        assert_eq!(store.create(name, name.as_bytes()).unwrap(), Created::New);
    }
    names.sort_unstable();
    let prefixes =
        ["", "a", "a/", "a/b", "b/c", "b/c/", "b/c/d", "z/z", "nothing", "a/1/", "../a/"];
    for prefix in prefixes {
        let mut afters: Vec<Option<&str>> = names.iter().copied().map(Some).collect();
        afters.extend([None, Some(""), Some("a/"), Some("b/c"), Some("~"), Some("b/c0")]);
        for after in afters {
            let is_asked =
                |name: &&str| name.starts_with(prefix) && after.is_none_or(|after| *name > after);
            let expected: Vec<&str> = names.iter().copied().filter(is_asked).collect();
            for limit in [0, 1, 2, 5, 100] {
                let found = store.list(prefix, after, limit).unwrap();
                let found: Vec<&str> = found.iter().map(|info| info.name.as_str()).collect();
                let expected = &expected[..expected.len().min(limit)];
                assert_eq!(found, expected, "{prefix:?} after {after:?} limit {limit}");
            }
        }
    }
    for info in store.list("", None, 100).unwrap() {
        assert_eq!(info.size, info.name.len() as u64);
        assert_eq!(store.head(&info.name).unwrap(), Some(info));
    }
}

fn deletion_frees_the_name(store: &dyn ObjectStore) {
    store.delete("live/none").unwrap();
    assert_eq!(store.create("live/one", b"1").unwrap(), Created::New);
    store.delete("live/one").unwrap();
    store.delete("live/one").unwrap();
    assert_eq!(store.head("live/one").unwrap(), None);
    assert_eq!(store.list("", None, 10).unwrap(), []);
    assert_eq!(store.create("live/one", b"2").unwrap(), Created::New);
    assert_eq!(store.read("live/one").unwrap(), b"2");
}

fn bad_names_are_refused(store: &dyn ObjectStore) {
    let long_component = "c".repeat(COMPONENT_LENGTH_MAX + 1);
    let long_name = "c/".repeat(NAME_LENGTH_MAX / 2) + "c";
    let names = [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/..",
        "../a",
        "a/../b",
        ".hidden",
        "a/.b",
        "a\0b",
        "a b",
        "a\\b",
        "a:b",
        "ä",
        "%2e%2e",
        "a\n",
        &long_component,
        &long_name,
    ];
    for name in names {
        let kinds = [
            store.create(name, b"x").unwrap_err().kind(),
            store.read(name).unwrap_err().kind(),
            store.read_range(name, 0, 1).unwrap_err().kind(),
            store.head(name).unwrap_err().kind(),
            store.delete(name).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ObjectErrorKind::Input; 5], "{name:?}");
    }
    let longest = "c".repeat(COMPONENT_LENGTH_MAX);
    assert_eq!(store.create(&longest, b"x").unwrap(), Created::New);
    assert_eq!(store.list("", None, 10).unwrap().len(), 1);
}

fn objects_are_not_directories(store: &dyn ObjectStore) {
    assert_eq!(store.create("a/b", b"x").unwrap(), Created::New);
    for name in ["a", "a/b/c", "a/b/c/d"] {
        let error = store.create(name, b"y").unwrap_err();
        assert_eq!(error.kind(), ObjectErrorKind::Failed, "{name}");
        assert_eq!(store.head(name).unwrap(), None, "{name}");
        store.delete(name).unwrap();
        assert_eq!(store.read(name).unwrap_err().kind(), ObjectErrorKind::NotFound, "{name}");
    }
    assert_eq!(store.list("", None, 10).unwrap().len(), 1);
}

fn a_lost_answer_is_found_out(store: Arc<dyn ObjectStore>) {
    let faults = Faults { lost_answers_percent: 100, ..Faults::NONE };
    let faulty = Faulty::new(Arc::clone(&store), faults, 1);
    let error = faulty.create("log/1", b"mine").unwrap_err();
    assert_eq!(error.kind(), ObjectErrorKind::Retry);
    assert_eq!(store.create("log/1", b"mine").unwrap(), Created::Exists);
    assert_eq!(store.read("log/1").unwrap(), b"mine");
    let clock = SimClock::new();
    assert_eq!(create_once(&*store, &clock, "log/1", b"mine").unwrap(), Once::Same);
    let taken = create_once(&*store, &clock, "log/1", b"yours").unwrap();
    assert_eq!(taken, Once::Taken(b"mine".to_vec()));
}
