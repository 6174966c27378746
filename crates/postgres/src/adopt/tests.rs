//! Adopting, crashed at every step and raced.

use std::sync::Arc;

use soter_vault::ids::StoreId;
use soter_vault::log::Session;
use soter_vault::objects::{Faults, Faulty, MemoryStore, ObjectStore};
use soter_vault::testing::TestVault;
use soter_world::random;
use soter_world::sim::{SeededRandom, SimClock, SimDisk};

use super::*;
use crate::cluster::{MajorVersion, SystemIdentifier};

const DATA: &str = "/data";
const IN_PRODUCTION: u32 = 6;
const IN_ARCHIVE_RECOVERY: u32 = 5;
/// Of the fixture.
const IDENTIFIER: SystemIdentifier = SystemIdentifier(7_711_289_324_050_452_906);
const FIRST: IncarnationId = IncarnationId([1; 8]);
const HISTORY: &[u8] = b"1\t0/5000000\tno recovery target specified\n";

struct Scene {
    faulty: Arc<Faulty>,
    test: TestVault,
    keys: StoreKeys,
}

impl Scene {
    /// A store whose cluster had one life.
    fn new() -> Self {
        let scene = Self::without_history();
        let opening = Opening {
            duty: Duty::Wal,
            agent: "agent".to_owned(),
            incarnation: Some(Incarnation {
                id: FIRST,
                bound_to: incarnation::binding(IDENTIFIER, MajorVersion::V15),
            }),
            take_over: TakeOver::OwnOnly,
            content: Vec::new(),
        };
        Session::open(scene.log(), &scene.keys, opening).unwrap();
        scene
    }

    fn without_history() -> Self {
        let clock = Arc::new(SimClock::new());
        let random = Arc::new(SeededRandom::new(1));
        let memory = Arc::new(MemoryStore::new(Arc::new(SimClock::new())));
        let faulty = Arc::new(Faulty::new(memory, Faults::NONE, 1));
        let objects = Arc::clone(&faulty) as Arc<dyn ObjectStore>;
        let test = TestVault::create(objects, clock, random, "orders").unwrap();
        let keys = test.writer_keys().unwrap();
        Self { faulty, test, keys }
    }

    fn log(&self) -> Log {
        Log::open(&self.test.vault, self.test.store, self.test.trust.clone(), None).unwrap()
    }

    fn adopt(&self, disk: &SimDisk) -> Result<Adopted, AdoptError> {
        self.adopt_by(disk, self.log())
    }

    fn adopt_by(&self, disk: &SimDisk, log: Log) -> Result<Adopted, AdoptError> {
        let adoption = Adoption {
            disk,
            data_directory: Path::new(DATA),
            vault: &self.test.vault,
            keys: &self.keys,
            agent: "soter adopt",
            take_over: TakeOver::OwnOnly,
        };
        adoption.run(log)
    }

    fn lives(&self) -> Vec<IncarnationId> {
        incarnation::all(self.log().catalogue()).into_iter().map(|life| life.id).collect()
    }

    /// The one life that was begun by adopting, whose marker the directory has and whose history is
    /// in the vault.
    fn is_adopted(&self, disk: &SimDisk, adopted: &Adopted) {
        let marker = Marker::read(disk, Path::new(DATA)).unwrap().unwrap();
        assert_eq!(self.lives(), [FIRST, marker.incarnation]);
        assert_eq!(adopted.life.id, marker.incarnation);
        let segment_size = VaultSegmentSize::new(4 << 20).unwrap();
        let incarnation = marker.incarnation;
        let archive = Archive { store: self.test.store, incarnation, segment_size };
        let (store, clock) = (&*self.test.vault.objects, &*self.test.vault.clock);
        let wal = WalVault { store, clock, trust: &self.test.trust, archive };
        let file = archive.file("00000002.history").unwrap();
        let fetched = wal.fetch(&file, &self.test.reader_keys().unwrap(), 1).unwrap();
        assert_eq!(fetched.unwrap().bytes, HISTORY);
    }
}

/// A restored cluster that was promoted.
fn restored(state: u32) -> SimDisk {
    let disk = SimDisk::new(1);
    for directory in ["global", "pg_wal/archive_status"] {
        durable::create_dir_all_durable(&disk, &Path::new(DATA).join(directory)).unwrap();
    }
    let mut control = include_bytes!("../../fixtures/control/15.pg_control").to_vec();
    control[16..20].copy_from_slice(&state.to_le_bytes());
    let crc = crc32c::crc32c(&control[..288]);
    control[288..292].copy_from_slice(&crc.to_le_bytes());
    let put = |name: &str, bytes: &[u8]| {
        durable::write_durable(&disk, &Path::new(DATA).join(name), bytes).unwrap();
    };
    put("global/pg_control", &control);
    put("pg_wal/00000002.history", HISTORY);
    put("pg_wal/000000020000000000000005", b"WAL");
    disk
}

#[test]
fn a_restored_cluster_gets_a_life_of_its_own_once() {
    let scene = Scene::new();
    let disk = restored(IN_PRODUCTION);
    let adopted = scene.adopt(&disk).unwrap();
    assert_eq!(adopted.replaced.as_ref().map(|life| life.id), Some(FIRST));
    assert!(!adopted.is_another_cluster);
    scene.is_adopted(&disk, &adopted);
    let again = scene.adopt(&disk).unwrap();
    assert_eq!((again.life, again.replaced), (adopted.life, None));
    assert_eq!(scene.lives().len(), 2);
}

#[test]
fn a_crash_at_any_step_is_mended_by_adopting_again() {
    let (mut of_disk, mut of_vault) = (0, 0);
    for operation in 0.. {
        let (scene, disk) = (Scene::new(), restored(IN_PRODUCTION));
        disk.crash_at(disk.operations() + operation);
        let outcome = scene.adopt(&disk);
        let has_crashed = disk.has_crashed();
        disk.reboot();
        scene.is_adopted(&disk, &scene.adopt(&disk).unwrap());
        if !has_crashed {
            outcome.unwrap();
            break;
        }
        of_disk += 1;
    }
    for operation in 0.. {
        let (scene, disk) = (Scene::new(), restored(IN_PRODUCTION));
        let log = scene.log();
        scene.faulty.crash_at(scene.faulty.operations() + operation);
        let outcome = scene.adopt_by(&disk, log);
        let has_crashed = scene.faulty.has_crashed();
        scene.faulty.revive();
        scene.is_adopted(&disk, &scene.adopt(&disk).unwrap());
        if !has_crashed {
            outcome.unwrap();
            break;
        }
        of_vault += 1;
    }
    assert!(of_disk > 10 && of_vault > 5, "{of_disk} and {of_vault} steps");
}

#[test]
fn of_two_directories_that_are_adopted_at_once_one_is_refused_and_stays_as_it_was() {
    let scene = Scene::new();
    let (one, other) = (restored(IN_PRODUCTION), restored(IN_PRODUCTION));
    let seen_before = scene.log();
    let adopted = scene.adopt(&one).unwrap();
    let error = scene.adopt_by(&other, seen_before).unwrap_err();
    assert!(matches!(error, AdoptError::Log(LogError::Overtaken { .. })), "{error}");
    assert_eq!(error.kind(), ErrorKind::Superseded);
    assert_eq!(Marker::read(&other, Path::new(DATA)).unwrap(), None);
    scene.is_adopted(&one, &adopted);
}

#[test]
fn a_writer_of_the_earlier_life_does_not_bring_it_back() {
    let scene = Scene::new();
    let (before, after) = (scene.log(), scene.log());
    let disk = restored(IN_PRODUCTION);
    let adopted = scene.adopt(&disk).unwrap();
    let opening = |id| Opening {
        duty: Duty::Base,
        agent: "late".to_owned(),
        incarnation: Some(Incarnation { id, bound_to: adopted.life.bound_to.clone() }),
        take_over: TakeOver::OwnOnly,
        content: Vec::new(),
    };
    let error = incarnation::open_session(before, &scene.keys, opening(FIRST)).unwrap_err();
    assert!(matches!(error, LogError::Overtaken { .. }), "{error}");
    // Even if it did: the life that was begun last is the present one.
    Session::open(after, &scene.keys, opening(FIRST)).unwrap();
    let present = incarnation::current(scene.log().catalogue()).unwrap();
    assert_eq!(present.id, adopted.life.id);
}

#[test]
fn what_must_not_be_adopted_is_refused_and_left_alone() {
    let scene = Scene::new();
    let refuses = |disk: &SimDisk, says: &str| {
        let marker = Marker::read(disk, Path::new(DATA)).unwrap();
        let error = scene.adopt(disk).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(!error.hint().is_empty());
        assert_eq!(Marker::read(disk, Path::new(DATA)).unwrap(), marker);
        assert_eq!(scene.lives(), [FIRST]);
    };
    refuses(&restored(IN_ARCHIVE_RECOVERY), "still in recovery");
    let disk = restored(IN_PRODUCTION);
    durable::write_durable(&disk, &Path::new(DATA).join(UNFINISHED), b"").unwrap();
    refuses(&disk, "unfinished restore");
    refuses(&SimDisk::new(1), "cannot read /data/global/pg_control");
    let disk = restored(IN_PRODUCTION);
    let (store, system_identifier) = (scene.test.store, IDENTIFIER);
    let random = random::bytes::<8>(&SeededRandom::new(9));
    let marker = Marker { store: StoreId(random), incarnation: FIRST, system_identifier };
    marker.create(&disk, Path::new(DATA)).unwrap();
    refuses(&disk, "its store differs");

    // The original is still there when its copy was adopted.
    let original = restored(IN_PRODUCTION);
    Marker { store, incarnation: FIRST, system_identifier }
        .create(&original, Path::new(DATA))
        .unwrap();
    scene.adopt(&restored(IN_PRODUCTION)).unwrap();
    let error = scene.adopt(&original).unwrap_err();
    assert!(matches!(error, AdoptError::EarlierLife(FIRST)), "{error}");

    let fresh = Scene::without_history();
    let error = fresh.adopt(&restored(IN_PRODUCTION)).unwrap_err();
    assert!(matches!(error, AdoptError::NoHistory), "{error}");
}
