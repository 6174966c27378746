//! Notes and the worker, with real files; the vault is a list of what was stored.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use soter_vault::ids::{IncarnationId, StoreId};
use soter_world::{OsDisk, SystemClock};

use super::*;
use crate::cluster::SystemIdentifier;

/// A directory like `pg_wal` with segments of 1 MiB that are all ready.
struct Lab {
    root: tempfile::TempDir,
    stored: Mutex<Vec<String>>,
}

impl Lab {
    fn new(segments: std::ops::Range<u64>) -> Self {
        let lab = Self { root: tempfile::tempdir().unwrap(), stored: Mutex::default() };
        fs::create_dir(lab.root.path().join("archive_status")).unwrap();
        for number in segments {
            lab.ready(number);
        }
        lab
    }

    fn ready(&self, number: u64) {
        let file = fs::File::create_new(self.segment(number)).unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_at(&number.to_le_bytes(), 0).unwrap();
        fs::File::create_new(self.status(number)).unwrap();
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.root.path().join(name(number))
    }

    fn status(&self, number: u64) -> PathBuf {
        self.root.path().join(format!("archive_status/{}.ready", name(number)))
    }

    fn behind(&self) -> Behind<'static> {
        Behind::new(&OsDisk, &SystemClock, self.root.path().to_owned(), place()).unwrap()
    }

    fn note(&self, number: u64) -> PathBuf {
        self.behind().path(&name(number), NOTE)
    }

    fn is_noted(&self, number: u64) -> bool {
        self.note(number).exists()
    }

    fn take(&self, number: u64) -> bool {
        self.behind().take(&name(number))
    }

    /// Runs the worker behind a segment while the server does something.
    fn with_worker(&self, after: u64, server: impl FnOnce()) {
        self.with_worker_that(after, |_| true, server);
    }

    /// The same; what is stored is so when this says so.
    fn with_worker_that(
        &self,
        after: u64,
        is_stored: impl Fn(&str) -> bool + Sync,
        server: impl FnOnce(),
    ) {
        let store = |path: &Path| {
            let file = path.file_name().unwrap().to_str().unwrap();
            let is_stored = is_stored(file);
            if is_stored {
                lock(&self.stored).push(file.to_owned());
            }
            is_stored
        };
        thread::scope(|scope| {
            scope.spawn(|| self.behind().run(&name(after), &store).unwrap());
            server();
        });
    }

    fn stored(&self) -> Vec<String> {
        let mut stored = lock(&self.stored).clone();
        stored.sort();
        stored
    }
}

fn place() -> Place {
    Place {
        vault: "file:///srv/soter".to_owned(),
        roots: vec!["ed25519:root".to_owned()],
        store: StoreId([1; 8]),
        incarnation: IncarnationId([2; 8]),
        system_identifier: SystemIdentifier(3),
    }
}

fn name(number: u64) -> String {
    format!("{:08X}{:08X}{number:08X}", 1, 0)
}

fn names(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(name).collect()
}

fn wait_until(reached: impl Fn() -> bool) {
    let until = SystemClock.monotonic() + Duration::from_secs(60);
    while !reached() {
        assert!(SystemClock.monotonic() < until, "it does not come");
        thread::yield_now();
    }
}

#[test]
fn what_follows_is_stored_once_and_its_calls_have_nothing_to_do() {
    let lab = Lab::new(3..9);
    assert!(lab.behind().wants_worker(&name(3)));
    assert!(!lab.behind().wants_worker(&name(8)), "nothing is behind the last");
    assert!(!lab.behind().wants_worker("00000002.history"));
    lab.with_worker(3, || {
        wait_until(|| lab.is_noted(8));
        assert!(!lab.behind().wants_worker(&name(3)), "one is there");
        // One more comes while it is there.
        lab.ready(9);
        wait_until(|| lab.is_noted(9));
        for number in 4..9 {
            assert!(lab.take(number), "{number}");
            assert!(!lab.is_noted(number), "a note is used once");
        }
    });
    assert_eq!(lab.stored(), names(4..10));
    assert!(lab.is_noted(9), "it has ended, its last note stays");
    assert!(lab.take(9));
    assert!(!lab.root.path().join(DIRECTORY).exists(), "nothing stays");
}

#[test]
fn a_note_holds_for_the_very_file_and_place_only() {
    type Change = fn(&Lab);
    let rewrite = |note: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(note).unwrap();
        change(&mut bytes);
        fs::remove_file(note).unwrap();
        fs::File::create_new(note).unwrap().write_all_at(&bytes, 0).unwrap();
    };
    let changes: [(&str, Change); 6] = [
        ("written to", |lab| {
            let file = fs::OpenOptions::new().write(true).open(lab.segment(4)).unwrap();
            file.write_at(b"x", 77).unwrap();
        }),
        ("longer", |lab| {
            let file = fs::OpenOptions::new().write(true).open(lab.segment(4)).unwrap();
            file.set_len(2 << 20).unwrap();
        }),
        ("touched", |lab| {
            let file = fs::OpenOptions::new().write(true).open(lab.segment(4)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("named anew", |lab| {
            OsDisk.rename(&lab.segment(4), &lab.segment(77)).unwrap();
            OsDisk.rename(&lab.segment(77), &lab.segment(4)).unwrap();
        }),
        ("a copy", |lab| {
            fs::copy(lab.segment(4), lab.segment(77)).unwrap();
            OsDisk.rename(&lab.segment(77), &lab.segment(4)).unwrap();
        }),
        ("no file", |lab| {
            OsDisk.rename(&lab.segment(4), &lab.segment(77)).unwrap();
            OsDisk.symlink(&lab.segment(77), &lab.segment(4)).unwrap();
        }),
    ];
    thread::scope(|scope| {
        for (what, change) in changes {
            scope.spawn(move || {
                let lab = Lab::new(3..5);
                lab.with_worker(3, || wait_until(|| lab.is_noted(4)));
                change(&lab);
                assert!(!lab.take(4), "{what}");
                assert!(!lab.is_noted(4), "{what}");
            });
        }
    });
    // Damage of each byte, and a note that ends early or goes on.
    let lab = Lab::new(3..5);
    lab.with_worker(3, || wait_until(|| lab.is_noted(4)));
    let whole = fs::read(lab.note(4)).unwrap();
    assert!(lab.behind().holds(&name(4)));
    for at in 0..whole.len() {
        rewrite(&lab.note(4), &|bytes| bytes[at] ^= 1);
        assert!(!lab.behind().holds(&name(4)), "{at}");
        rewrite(&lab.note(4), &|bytes| bytes[at] ^= 1);
        rewrite(&lab.note(4), &|bytes| bytes.truncate(at));
        assert!(!lab.behind().holds(&name(4)), "{at}");
        rewrite(&lab.note(4), &|bytes| whole.clone_into(bytes));
    }
    rewrite(&lab.note(4), &|bytes| bytes.push(b'\n'));
    assert!(!lab.behind().holds(&name(4)));
    rewrite(&lab.note(4), &|bytes| whole.clone_into(bytes));
    assert!(lab.take(4), "whole again it would have held");
}

#[test]
fn a_note_of_another_place_or_segment_is_none() {
    let lab = Lab::new(3..6);
    lab.with_worker(3, || wait_until(|| lab.is_noted(4) && lab.is_noted(5)));
    let changes: [fn(&mut Place); 5] = [
        |place| place.vault.push('2'),
        |place| place.roots.push("ed25519:another".to_owned()),
        |place| place.store = StoreId([9; 8]),
        |place| place.incarnation = IncarnationId([9; 8]),
        |place| place.system_identifier = SystemIdentifier(9),
    ];
    for change in changes {
        let mut other = place();
        change(&mut other);
        let wal = lab.root.path().to_owned();
        let other = Behind::new(&OsDisk, &SystemClock, wal, other).unwrap();
        // Even if it lay where theirs are.
        let other = Behind { directory: lab.behind().directory, ..other };
        assert!(!other.holds(&name(4)));
    }
    assert!(lab.behind().holds(&name(4)));
    OsDisk.rename(&lab.note(5), &lab.note(4)).unwrap();
    assert!(!lab.take(4), "the note for another segment");
}

#[test]
fn a_call_waits_for_what_is_being_stored_and_does_what_cannot_be() {
    let lab = Lab::new(3..7);
    let (goes_on, has_begun) = (AtomicBool::new(false), AtomicBool::new(false));
    let slow = |file: &str| {
        if file == name(4) {
            has_begun.store(true, Ordering::Relaxed);
            wait_until(|| goes_on.load(Ordering::Relaxed));
        }
        file != name(6)
    };
    lab.with_worker_that(3, slow, || {
        wait_until(|| has_begun.load(Ordering::Relaxed));
        thread::scope(|scope| {
            let call = scope.spawn(|| lab.take(4));
            // It has said that it is there, so it waits by now or soon.
            wait_until(|| lab.behind().directory.join(ASKED).exists());
            assert!(!call.is_finished());
            goes_on.store(true, Ordering::Relaxed);
            assert!(call.join().unwrap());
        });
        assert!(lab.take(5));
        assert!(!lab.take(6), "it could not be stored");
    });
    assert_eq!(lab.stored(), names(4..6));
}

#[test]
fn a_file_that_changes_while_it_is_stored_gets_no_note() {
    let lab = Lab::new(3..5);
    let change = |_: &str| {
        let file = fs::OpenOptions::new().write(true).open(lab.segment(4)).unwrap();
        file.write_at(b"x", 77).unwrap();
        true
    };
    lab.with_worker_that(3, change, || {});
    assert_eq!(lab.stored(), names(4..5));
    assert!(!lab.take(4));
}

#[test]
fn no_more_notes_wait_than_agreed() {
    let notes_max = NOTES_MAX as u64;
    let lab = Lab::new(0..notes_max + 10);
    lab.with_worker(0, || {
        wait_until(|| lab.is_noted(notes_max));
        assert_eq!(lab.behind().notes(), NOTES_MAX);
        assert!(lab.take(1) && lab.take(2));
        wait_until(|| lab.is_noted(notes_max + 2));
    });
    assert_eq!(lab.stored(), names(1..notes_max + 3));
    // The next one goes on where it was, and forgets what nobody will ask for.
    fs::remove_file(lab.status(3)).unwrap();
    lab.with_worker(3, || wait_until(|| lab.is_noted(notes_max + 3)));
    assert_eq!(lab.stored(), names(1..notes_max + 4));
    assert!(!lab.is_noted(3));
}

#[test]
fn what_dead_workers_left_is_in_nobodys_way() {
    let lab = Lab::new(3..6);
    let behind = lab.behind();
    let other = lab.root.path().join(DIRECTORY).join("0123456789abcdef-0123456789abcdef");
    for directory in [&behind.directory, &other] {
        fs::create_dir_all(directory).unwrap();
        for left in [LOCK.to_owned(), format!("{}.{COMING}", name(4))] {
            fs::File::create_new(directory.join(left)).unwrap();
        }
    }
    assert!(behind.wants_worker(&name(3)), "a lock that nobody holds is none");
    assert!(!lab.take(4), "a sign of the dead is not waited for");
    lab.with_worker(3, || wait_until(|| lab.is_noted(4) && lab.is_noted(5)));
    assert!(!other.exists());
    assert!(lab.take(4) && lab.take(5));
    assert!(!lab.root.path().join(DIRECTORY).exists());
}

#[test]
fn the_worker_leaves_to_a_call_what_that_does_by_itself() {
    let lab = Lab::new(3..8);
    fs::remove_file(lab.status(5)).unwrap();
    lab.with_worker(3, || {
        wait_until(|| lab.is_noted(4));
        assert!(!lab.take(6), "nobody has begun it");
        wait_until(|| lab.is_noted(7));
    });
    assert_eq!(lab.stored(), [name(4), name(7)]);
}

#[test]
fn one_worker_lives_at_a_time() {
    let lab = Lab::new(3..5);
    lab.with_worker(3, || {
        wait_until(|| lab.is_noted(4));
        // Returns at once, and takes nothing away.
        lab.behind().run(&name(3), &|_| panic!("another one is there")).unwrap();
        assert!(lab.is_noted(4));
    });
}
