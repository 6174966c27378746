//! Fetching ahead, with real files and a vault in memory.

use std::sync::atomic::{AtomicBool, Ordering};

use soter_vault::log::{Log, LogError};
use soter_world::{OsDisk, SystemClock};

use super::super::tests::{MIB, Scene, content, segment};
use super::*;
use crate::lsn::{Lsn, Timeline};

struct Lab {
    scene: Scene,
    root: tempfile::TempDir,
}

impl Lab {
    fn new(segments: std::ops::Range<u64>) -> Self {
        let scene = Scene::new();
        for number in segments {
            scene.seal(1, number);
        }
        Self { scene, root: tempfile::tempdir().unwrap() }
    }

    fn destination(&self) -> PathBuf {
        self.root.path().join("RECOVERYXLOG")
    }

    fn ahead(&self, depth: u64) -> Ahead<'_> {
        let directory = directory_for(&self.destination(), &self.scene.archive);
        let size = SegmentSize::new(1 << 20).unwrap();
        Ahead { disk: &OsDisk, clock: &SystemClock, directory, size, depth }
    }

    /// Runs the helper while the server does something.
    fn with_helper(&self, depth: u64, server: impl FnOnce(&Ahead<'_>)) {
        let log = || -> Result<Log, LogError> { panic!("what is sealed needs no log") };
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                self.ahead(depth).fill(&self.scene.files(&log, None)).unwrap();
                is_over.store(true, Ordering::Relaxed);
            });
            server(&self.ahead(depth));
            // It ends by itself.
        });
        assert!(is_over.load(Ordering::Relaxed));
    }

    fn take(&self, ahead: &Ahead<'_>, number: u64) -> Taken {
        ahead.take(name(number), &self.scene.keys, &self.destination()).unwrap()
    }
}

fn name(number: u64) -> SegmentName {
    SegmentName { timeline: Timeline(1), segment: SegmentNumber(number) }
}

fn wait_until(reached: impl Fn() -> bool) {
    let until = SystemClock.monotonic() + Duration::from_secs(60);
    while !reached() {
        assert!(SystemClock.monotonic() < until, "it does not come");
        thread::yield_now();
    }
}

#[test]
fn the_next_segments_wait_for_the_server_and_no_more_than_agreed() {
    let lab = Lab::new(3..20);
    let ahead = lab.ahead(4);
    assert_eq!(ahead.ask(name(3)).unwrap(), None);
    assert!(!ahead.wants_helper(name(3), None), "one file is not a recovery");
    assert_eq!(ahead.ask(name(4)).unwrap(), Some(name(3)));
    assert!(ahead.wants_helper(name(4), Some(name(3))));
    assert!(!ahead.wants_helper(name(4), Some(name(2))));
    lab.with_helper(4, |ahead| {
        let there = || {
            let files = ahead.files().unwrap();
            files.iter().map(|(_, name, _)| name.segment.0).collect::<Vec<_>>()
        };
        wait_until(|| there() == [5, 6, 7, 8]);
        assert!(!ahead.wants_helper(name(4), Some(name(3))));
        for number in 5..20 {
            ahead.ask(name(number)).unwrap();
            wait_until(|| there().contains(&number));
            assert!(there().len() <= 5, "{:?}", there());
            assert_eq!(lab.take(ahead, number), Taken::Moved);
            assert_eq!(std::fs::read(lab.destination()).unwrap(), content(number));
        }
    });
    assert_eq!(ahead.files().unwrap(), []);
    ahead.remove();
    let left: Vec<_> = std::fs::read_dir(lab.root.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only what the server wanted: {left:?}");
}

#[test]
fn what_was_changed_meanwhile_is_not_handed_over() {
    let lab = Lab::new(3..8);
    let ahead = lab.ahead(4);
    ahead.ask(name(3)).unwrap();
    lab.with_helper(4, |_| ());
    let files = ahead.files().unwrap();
    assert_eq!(files.len(), 4);
    let mut bytes = content(4);
    bytes[MIB / 2] ^= 1;
    OsDisk.open_write(&files[0].0).unwrap().write_at(0, &bytes).unwrap();
    assert!(matches!(lab.take(&ahead, 4), Taken::Damaged(_)));
    assert!(!lab.destination().exists());
    assert_eq!(lab.take(&ahead, 4), Taken::NotThere);
    OsDisk.open_write(&files[1].0).unwrap().set_len(MIB as u64 - 1).unwrap();
    assert!(matches!(lab.take(&ahead, 5), Taken::Damaged(_)));
    // The server has gone past one.
    assert_eq!(lab.take(&ahead, 7), Taken::Moved);
    assert_eq!(ahead.files().unwrap(), []);
}

#[test]
fn only_the_very_file_that_was_written_since_the_machine_started_is_not_compared() {
    let lab = Lab::new(3..8);
    let ahead = lab.ahead(4);
    ahead.ask(name(3)).unwrap();
    lab.with_helper(4, |_| ());
    let files = ahead.files().unwrap();
    let is_untouched = |at: usize| ahead.is_untouched(&files[at].0, files[at].1, &files[at].2);
    assert!((0..4).all(is_untouched));
    // Written with what was there, cut, copied; and a note of another start of the machine.
    OsDisk.open_write(&files[0].0).unwrap().write_at(0, &content(4)[..1]).unwrap();
    OsDisk.open_write(&files[1].0).unwrap().set_len(1).unwrap();
    let copy = ahead.directory.join("copy");
    std::fs::copy(&files[2].0, &copy).unwrap();
    OsDisk.rename(&copy, &files[2].0).unwrap();
    let note = ahead.beside(files[3].1, NOTE);
    let mut text = std::fs::read(&note).unwrap();
    let boot = text.len() - 3;
    text[boot] = if text[boot] == b'0' { b'1' } else { b'0' };
    OsDisk.open_write(&note).unwrap().write_at(0, &text).unwrap();
    assert!(!(0..4).any(is_untouched));
    assert_eq!(lab.take(&ahead, 4), Taken::Moved);
    assert!(matches!(lab.take(&ahead, 5), Taken::Damaged(_)));
    assert_eq!(lab.take(&ahead, 6), Taken::Moved);
    assert_eq!(lab.take(&ahead, 7), Taken::Moved);
    assert_eq!(std::fs::read(lab.destination()).unwrap(), content(7));
}

#[test]
fn damage_in_the_vault_is_left_to_the_servers_own_question() {
    let lab = Lab::new(3..8);
    let object = lab.scene.archive.file(&segment(1, 5)).unwrap().name();
    lab.scene.damage(&object);
    let ahead = lab.ahead(4);
    ahead.ask(name(3)).unwrap();
    lab.with_helper(4, |_| ());
    assert_eq!(lab.take(&ahead, 4), Taken::Moved);
    assert_eq!(lab.take(&ahead, 5), Taken::NotThere);
}

#[test]
fn a_helper_tidies_up_after_dead_ones_and_goes_when_the_server_goes_elsewhere() {
    let lab = Lab::new(3..20);
    let ahead = lab.ahead(2);
    ahead.ask(name(3)).unwrap();
    let old = ahead.directory.join(".00000001.12-34.new");
    let sign = ahead.beside(name(4), COMING);
    let other = durable::parent(&ahead.directory).join("0011223344556677-0011223344556677");
    durable::create_dir_all_durable(&OsDisk, &other).unwrap();
    for path in [&old, &sign, &other.join("asked")] {
        OsDisk.create(path).unwrap();
    }
    // Nobody fetches it, whatever the sign says.
    assert_eq!(lab.take(&ahead, 4), Taken::NotThere);
    lab.with_helper(2, |ahead| {
        wait_until(|| ahead.files().unwrap().len() == 2);
        ahead.ask(SegmentName { timeline: Timeline(2), segment: SegmentNumber(5) }).unwrap();
    });
    assert!(!old.exists() && !sign.exists() && !other.exists());
    let size = ahead.size;
    assert!(name(4).segment.start(size) < Lsn(5 << 20));
}

#[test]
fn the_depth_follows_the_segment_size() {
    let depth = |bytes: u32| usual_depth(SegmentSize::new(bytes).unwrap());
    assert_eq!([depth(1 << 20), depth(16 << 20), depth(1 << 30)], [32, 8, 1]);
}
