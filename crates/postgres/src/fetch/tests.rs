//! What is proven before a server is told that there is no more WAL.

use std::sync::Arc;

use soter_vault::frame::Compression;
use soter_vault::log::{Duty, Incarnation, Opening, Session, TakeOver};
use soter_vault::objects::{Created, Faults, Faulty, MemoryStore, ObjectStore};
use soter_vault::testing::TestVault;
use soter_vault::vault::Vault;
use soter_vault::wal::{Archive, PartSealer, Sealer, WalBytes, WalFacts};
use soter_world::sim::{SeededRandom, SimClock, SimDisk};

use super::*;
use crate::cluster::{MajorVersion, SystemIdentifier};

pub(super) const MIB: usize = 1 << 20;

/// An archive with segments of 1 MiB, and everybody's keys.
pub(super) struct Scene {
    pub(super) memory: Arc<MemoryStore>,
    faulty: Arc<Faulty>,
    test: TestVault,
    session: Session,
    pub(super) archive: Archive,
    pub(super) keys: ReaderKeys,
}

impl Scene {
    pub(super) fn new() -> Self {
        let clock = Arc::new(SimClock::new());
        let random = Arc::new(SeededRandom::new(1));
        let memory = Arc::new(MemoryStore::new(Arc::new(SimClock::new())));
        let under = Arc::clone(&memory) as Arc<dyn ObjectStore>;
        let faulty = Arc::new(Faulty::new(under, Faults::NONE, 1));
        let objects = Arc::clone(&faulty) as Arc<dyn ObjectStore>;
        let test = TestVault::create(objects, clock, random, "orders").unwrap();
        let id = IncarnationId([7; 8]);
        let opening = Opening {
            duty: Duty::Wal,
            agent: "test".to_owned(),
            incarnation: Some(Incarnation { id, bound_to: "postgres 15 1".to_owned() }),
            take_over: TakeOver::OwnOnly,
            content: Vec::new(),
        };
        let log = Log::open(&test.vault, test.store, test.trust.clone(), None).unwrap();
        let session = Session::open(log, &test.writer_keys().unwrap(), opening).unwrap();
        let segment_size = soter_vault::wal::SegmentSize::new(1 << 20).unwrap();
        let archive = Archive { store: test.store, incarnation: id, segment_size };
        let keys = test.reader_keys().unwrap();
        Self { memory, faulty, test, session, archive, keys }
    }

    fn vault(&self) -> &Vault {
        &self.test.vault
    }

    fn wal(&self) -> WalVault<'_> {
        let Vault { objects, clock, .. } = self.vault();
        WalVault {
            store: &**objects,
            clock: &**clock,
            trust: &self.test.trust,
            archive: self.archive,
        }
    }

    pub(super) fn push(&self, name: &str, bytes: &[u8]) {
        let keys = self.test.writer_keys().unwrap();
        let sealer = Sealer::new(&keys, &*self.vault().random, Compression::Zstd(1), 1);
        let mut source = WalBytes { bytes, facts: WalFacts::default() };
        let file = self.archive.file(name).unwrap();
        self.wal().push(&sealer, &file, &mut source).unwrap();
    }

    pub(super) fn seal(&self, timeline: u32, number: u64) {
        self.push(&segment(timeline, number), &content(number));
    }

    fn part(&self, (timeline, number): (u32, u64), from: usize, to: usize) -> String {
        let key = self.session.key().clone();
        let mut sealer = PartSealer::new(key, &*self.vault().random, Compression::Zstd(1));
        let range = (u32::try_from(from).unwrap(), u32::try_from(to).unwrap());
        let part = self.archive.live_part(Segment { timeline, number }, range, self.session.id());
        let sealed = sealer.seal(part, &content(number)[from..to]);
        self.wal().put_part(&sealed, self.session.key()).unwrap().object
    }

    /// Flips a bit in the middle of an object.
    pub(super) fn damage(&self, object: &str) {
        let mut bytes = self.memory.read(object).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.memory.delete(object).unwrap();
        assert_eq!(self.memory.create(object, &bytes).unwrap(), Created::New);
    }

    fn fetch_to(&self, name: &str, end: Option<u64>) -> Result<Found, FetchError> {
        let log = || Log::open(self.vault(), self.test.store, self.test.trust.clone(), None);
        self.files(&log, end.map(Lsn)).fetch(name)
    }

    pub(super) fn files<'a>(
        &'a self,
        log: &'a (dyn Fn() -> Result<Log, LogError> + Sync),
        end: Option<Lsn>,
    ) -> WalFiles<'a> {
        WalFiles { wal: self.wal(), keys: &self.keys, log, end }
    }

    /// What is said, in a few words.
    fn says(&self, name: &str) -> String {
        self.says_to(name, None)
    }

    fn says_to(&self, name: &str, end: Option<u64>) -> String {
        match self.fetch_to(name, end) {
            Ok(Found::NotThere { .. }) => "not there".to_owned(),
            Ok(Found::File(file)) => {
                let filled = file.bytes.len() - trimmed(&file.bytes).len();
                format!("{} bytes and {filled} zeros", trimmed(&file.bytes).len())
            }
            Err(error) => error.to_string(),
        }
    }
}

/// No byte of it is zero.
pub(super) fn content(number: u64) -> Vec<u8> {
    (0..MIB as u64).map(|at| u8::try_from((at * 31 + number) % 250 + 1).unwrap()).collect()
}

pub(super) fn segment(timeline: u32, number: u64) -> String {
    format!("{timeline:08X}00000000{number:08X}")
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

#[test]
fn files_come_back_as_they_were_stored() {
    let scene = Scene::new();
    scene.seal(1, 3);
    scene.push("00000002.history", b"1\t0/400000\treason\n");
    let Found::File(file) = scene.fetch_to(&segment(1, 3), None).unwrap() else { panic!() };
    assert_eq!(file.bytes, content(3));
    let Found::File(file) = scene.fetch_to("00000002.history", None).unwrap() else { panic!() };
    assert_eq!(file.bytes, b"1\t0/400000\treason\n");
}

#[test]
fn the_end_is_the_end_only_if_nothing_follows() {
    let scene = Scene::new();
    scene.seal(1, 3);
    assert_eq!(scene.says(&segment(1, 4)), "not there");
    assert_eq!(scene.says(&segment(1, 9)), "not there");
    assert_eq!(scene.says("00000001.history"), "not there");
    assert_eq!(scene.says("00000002.history"), "not there");
    scene.seal(1, 6);
    assert_eq!(
        scene.says(&segment(1, 4)),
        format!(
            "WAL is missing on timeline 1 from 0/400000 on: segment {} is there",
            segment(1, 6)
        )
    );
    assert_eq!(scene.says(&segment(1, 7)), "not there");
    assert_eq!(scene.says(&segment(2, 7)), "not there");
}

#[test]
fn the_last_segment_is_stitched_and_filled_with_zeros() {
    let scene = Scene::new();
    scene.seal(1, 3);
    scene.part((1, 4), 0, 300);
    scene.part((1, 4), 200, 500);
    assert_eq!(scene.says(&segment(1, 4)), format!("500 bytes and {} zeros", MIB - 500));
    assert_eq!(scene.says(&segment(1, 5)), "not there");
    // Whole, but not sealed.
    scene.part((1, 4), 400, MIB);
    scene.part((1, 5), 0, 77);
    assert_eq!(scene.says(&segment(1, 4)), format!("{MIB} bytes and 0 zeros"));
    assert_eq!(scene.says(&segment(1, 5)), format!("77 bytes and {} zeros", MIB - 77));
}

#[test]
fn what_a_crash_left_behind_a_gap_is_not_used_and_not_a_hole() {
    let scene = Scene::new();
    scene.part((1, 4), 0, 300);
    scene.part((1, 4), 400, 500);
    scene.part((1, 5), 0, 100);
    let Found::File(file) = scene.fetch_to(&segment(1, 4), None).unwrap() else { panic!() };
    assert_eq!(trimmed(&file.bytes), &content(4)[..300]);
    assert!(file.remarks[0].contains("parts up to 0/500064 lie behind a gap at 0/40012C"));
    // Farther than parts travel side by side.
    scene.part((1, 6), 0, 100);
    let said = scene.says(&segment(1, 4));
    assert_eq!(
        said,
        "WAL is missing on timeline 1 from 0/40012C on: a part up to 0/600064 is there"
    );
}

#[test]
fn a_timeline_that_was_left_must_be_there_up_to_where_it_was() {
    let scene = Scene::new();
    scene.seal(1, 3);
    scene.part((1, 4), 0, 300);
    scene.push("00000002.history", format!("1\t0/{:X}\treason\n", (4 << 20) + 300).as_bytes());
    assert_eq!(scene.says(&segment(1, 4)), format!("300 bytes and {} zeros", MIB - 300));
    scene.push("00000003.history", format!("1\t0/{:X}\treason\n", (4 << 20) + 301).as_bytes());
    let said = scene.says(&segment(1, 4));
    assert_eq!(
        said,
        "WAL is missing on timeline 1 from 0/40012C on: timeline 3 left it at 0/40012D"
    );
    // What was left before does not matter.
    assert_eq!(scene.says(&segment(1, 5)), "not there");
}

#[test]
fn a_timeline_without_its_history_is_an_error() {
    let scene = Scene::new();
    scene.seal(1, 3);
    scene.seal(2, 4);
    let said = "the history file of timeline 2 is missing, but WAL of it is there";
    assert_eq!(scene.says("00000002.history"), said);
    assert_eq!(scene.says(&segment(1, 4)), said);
    assert_eq!(scene.says(&segment(2, 5)), "not there");
}

#[test]
fn a_partial_file_is_neither_used_nor_overlooked() {
    let scene = Scene::new();
    scene.seal(1, 3);
    let partial = format!("{}.partial", segment(1, 4));
    scene.push(&partial, &content(4)[..1000]);
    let said = scene.says(&segment(1, 4));
    assert!(said.contains(".partial is there, which may be longer"), "{said}");
    // The timeline was left where the parts end, so nothing is missing.
    scene.part((1, 4), 0, 300);
    assert!(scene.says(&segment(1, 4)).contains("may be longer"));
    scene.push("00000002.history", format!("1\t0/{:X}\treason\n", (4 << 20) + 300).as_bytes());
    assert_eq!(scene.says(&segment(1, 4)), format!("300 bytes and {} zeros", MIB - 300));
    assert_eq!(scene.says(&format!("{}.partial", segment(1, 9))), "not there");
}

#[test]
fn damage_is_named_and_never_the_end() {
    let scene = Scene::new();
    scene.seal(1, 3);
    let object = scene.archive.file(&segment(1, 3)).unwrap().name();
    scene.damage(&object);
    let Err(FetchError::Wal(error)) = scene.fetch_to(&segment(1, 3), None) else { panic!() };
    assert!(error.to_string().contains(&object), "{error}");
    let first = scene.part((1, 4), 0, 300);
    let second = scene.part((1, 4), 300, 500);
    scene.damage(&second);
    let said = scene.says(&segment(1, 4));
    assert!(said.contains(&second) && said.contains("up to 0/40012C only"), "{said}");
    scene.damage(&first);
    assert!(scene.says(&segment(1, 4)).contains(&first));
    // Another part has the same bytes.
    scene.part((1, 4), 0, 500);
    assert_eq!(scene.says(&segment(1, 4)), format!("500 bytes and {} zeros", MIB - 500));
    scene.push("00000002.history", b"1\t0/400000\treason\n");
    scene.damage(&scene.archive.file("00000002.history").unwrap().name());
    assert!(scene.says("00000002.history").contains("cannot be read"));
}

#[test]
fn a_known_end_decides() {
    let scene = Scene::new();
    scene.seal(1, 3);
    scene.part((1, 4), 0, 300);
    scene.part((1, 4), 400, 500);
    scene.seal(1, 6);
    let at = |offset: u64| Some((4 << 20) + offset);
    let whole = format!("300 bytes and {} zeros", MIB - 300);
    assert_eq!(scene.says_to(&segment(1, 4), at(300)), whole);
    assert_eq!(scene.says_to(&segment(1, 5), at(300)), "not there");
    assert_eq!(scene.says_to(&segment(1, 4), at(0)), "not there");
    let said = "WAL is missing on timeline 1 from 0/40012C on: it is known to go up to 0/40012D";
    assert_eq!(scene.says_to(&segment(1, 4), at(301)), said);
    assert!(scene.says(&segment(1, 4)).contains("WAL is missing"));
}

#[test]
fn another_life_of_the_cluster_is_a_mistake_not_an_end() {
    let mut scene = Scene::new();
    scene.seal(1, 3);
    scene.archive.incarnation = IncarnationId([8; 8]);
    for name in [segment(1, 3), "00000001.history".to_owned(), "00000002.history".to_owned()] {
        let error = scene.fetch_to(&name, None).unwrap_err();
        assert!(matches!(error, FetchError::Nothing(_)), "{error}");
        assert_eq!(error.kind(), ErrorKind::Input);
    }
    for name in ["", "pg_control", "0000000100000000", "../../etc/passwd"] {
        assert!(matches!(scene.fetch_to(name, None), Err(FetchError::Name(_))), "{name}");
    }
}

#[test]
fn without_a_key_only_what_is_surely_not_there_is_not_there() {
    let scene = Scene::new();
    let says = |name: &str| match prove_absent(&scene.wal(), name) {
        Ok(()) => "not there".to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(says(&segment(1, 3)).contains("no WAL of incarnation"));
    scene.seal(1, 3);
    scene.seal(1, 5);
    assert!(says(&segment(1, 3)).contains("it is in the vault"));
    assert!(says(&segment(1, 4)).contains("WAL is missing on timeline 1 from 0/400000"));
    for name in [&segment(1, 6), "00000001.history", "00000002.history", &segment(2, 9)] {
        assert_eq!(says(name), "not there", "{name}");
    }
    scene.part((1, 6), 0, 10);
    assert!(says(&segment(1, 6)).contains("a part of segment 6 is in the vault"));
    assert_eq!(says(&segment(1, 7)), "not there");
    scene.push(&format!("{}.partial", segment(1, 8)), &content(8)[..10]);
    assert!(says(&segment(1, 8)).contains(".partial is in the vault"));
    // Where another timeline left this one cannot be read.
    scene.push("00000002.history", b"1\t0/400000\treason\n");
    assert!(says(&segment(1, 7)).contains("timeline 2 may have left it later"));
    assert_eq!(says("00000003.history"), "not there");
    assert!(says("nonsense").contains("not a file of a WAL archive"));
    scene.damage(&scene.archive.file(&segment(1, 3)).unwrap().name());
    scene.faulty.crash_at(scene.faulty.operations());
    assert!(prove_absent(&scene.wal(), &segment(1, 9)).is_err());
    scene.faulty.revive();
}

#[test]
fn what_a_spool_has_must_be_the_segment() {
    let size = SegmentSize::new(1 << 20).unwrap();
    let name = |timeline, number| SegmentName {
        timeline: Timeline(timeline),
        segment: SegmentNumber(number),
    };
    let (ours, other) = (SystemIdentifier(7), SystemIdentifier(8));
    let mut bytes = vec![0; MIB];
    bytes[0..2].copy_from_slice(&MajorVersion::V15.wal_page_magic().to_le_bytes());
    bytes[2..4].copy_from_slice(&2_u16.to_le_bytes());
    bytes[4..8].copy_from_slice(&1_u32.to_le_bytes());
    bytes[8..16].copy_from_slice(&(3_u64 << 20).to_le_bytes());
    bytes[24..32].copy_from_slice(&ours.0.to_le_bytes());
    bytes[32..36].copy_from_slice(&(1_u32 << 20).to_le_bytes());
    bytes[36..40].copy_from_slice(&8192_u32.to_le_bytes());
    assert!(check_spooled(&bytes, name(1, 3), size, Some(ours)));
    assert!(check_spooled(&bytes, name(2, 3), size, None), "its timeline began in it");
    assert!(!check_spooled(&bytes, name(1, 3), size, Some(other)));
    assert!(!check_spooled(&bytes, name(1, 4), size, Some(ours)));
    assert!(!check_spooled(&bytes, name(1, 3), SegmentSize::DEFAULT, Some(ours)));
    assert!(!check_spooled(&bytes[1..], name(1, 3), size, Some(ours)));
    assert!(!check_spooled(&content(3), name(1, 3), size, None), "no page of WAL");
}

#[test]
fn a_vault_that_fails_at_any_moment_never_says_not_there() {
    let scene = Scene::new();
    scene.seal(1, 3);
    scene.part((1, 4), 0, 300);
    scene.push("00000002.history", format!("1\t0/{:X}\treason\n", 3 << 20).as_bytes());
    let whole = format!("300 bytes and {} zeros", MIB - 300);
    let cases = [
        (segment(1, 4), whole.as_str()),
        (segment(1, 5), "not there"),
        (segment(2, 3), "not there"),
    ];
    for (name, expected) in cases {
        assert_eq!(scene.says(&name), expected);
        for operation in 0.. {
            scene.faulty.crash_at(scene.faulty.operations() + operation);
            let found = scene.fetch_to(&name, None);
            if !scene.faulty.has_crashed() {
                assert!(operation > 5, "{name}: the vault was asked {operation} times only");
                break;
            }
            assert!(found.is_err(), "{name}, operation {operation}: {found:?}");
            scene.faulty.revive();
        }
        scene.faulty.revive();
    }
}

#[test]
fn a_file_comes_to_its_place_whole_or_not_at_all() {
    let destination = Path::new("/data/pg_wal/RECOVERYXLOG");
    for operation in 0..12 {
        let disk = SimDisk::new(3);
        durable::create_dir_all_durable(&disk, durable::parent(destination)).unwrap();
        disk.crash_at(disk.operations() + operation);
        let placed = place(&disk, destination, &content(1));
        disk.reboot();
        let found = durable::read(&disk, destination, 2 * MIB);
        assert!(found.is_err() || found.is_ok_and(|found| found == content(1)), "{operation}");
        // The next one tidies up.
        place(&disk, destination, &content(2)).unwrap();
        let left = disk.list(durable::parent(destination)).unwrap();
        assert_eq!(left.len(), 1, "operation {operation}, {placed:?}: {left:?}");
        assert_eq!(durable::read(&disk, destination, 2 * MIB).unwrap(), content(2));
    }
}
