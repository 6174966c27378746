use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use soter_world::Disk;
use soter_world::sim::{SimDisk, cases};

use super::*;
use crate::keys::ErrorKind;
use crate::objects::{DirectoryStore, Faults, Faulty};
use crate::wal::sample::{Scene, content};
use crate::wal::{SealError, WalBytes, WalFacts};

fn history(scene: &Scene) -> ArchiveFile {
    scene.file("00000002.history")
}

fn fetch(scene: &Scene, file: &ArchiveFile) -> Result<Option<Fetched>, WalError> {
    scene.vault().fetch(file, &scene.keys.reader, 2)
}

fn bytes_of(fetched: Result<Option<Fetched>, WalError>) -> Vec<u8> {
    fetched.unwrap().unwrap().bytes
}

#[test]
fn a_file_is_fetched_as_it_was_pushed() {
    let scene = Scene::new(1);
    for name in [
        "00000002.history",
        "000000010000000000000003",
        "000000010000000000000003.00000028.backup",
        "000000010000000000000004.partial",
    ] {
        let file = scene.file(name);
        let bytes = if file.span.is_some() { content(3) } else { name.as_bytes().to_vec() };
        assert_eq!(fetch(&scene, &file).unwrap(), None, "{name}");
        let pushed = scene.push(&file, &bytes).unwrap();
        assert_eq!((pushed.outcome, &pushed.object), (Outcome::New, &file.name()));
        assert_eq!(bytes_of(fetch(&scene, &file)), bytes, "{name}");
    }
    // A partial one does not take the whole one's place.
    assert_eq!(fetch(&scene, &scene.segment(1, 4)).unwrap(), None);
}

#[test]
fn the_same_name_again_is_success_only_with_the_same_content() {
    let scene = Scene::new(1);
    let file = history(&scene);
    scene.push(&file, b"one").unwrap();
    let before = scene.names();
    assert_eq!(scene.push(&file, b"one").unwrap().outcome, Outcome::AlreadyThere);
    let outcome = scene.push(&file, b"two");
    let error = outcome.unwrap_err();
    assert!(matches!(error, WalError::Conflict { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("holds another file"), "{error}");
    assert_eq!(scene.names(), before);
    assert_eq!(bytes_of(fetch(&scene, &file)), b"one");
}

#[test]
fn what_is_damaged_behind_its_head_is_mended_with_the_same_content_alone() {
    let scene = Scene::new(2);
    let file = scene.segment(1, 3);
    scene.push(&file, &content(3)).unwrap();
    let mend = |bytes: &[u8]| {
        let mut source = WalBytes { bytes, facts: WalFacts::default() };
        scene.vault().mend(&scene.sealer(), &file, &mut source)
    };
    assert_eq!(mend(&content(3)).unwrap().outcome, Outcome::AlreadyThere);
    assert!(matches!(mend(&content(4)), Err(WalError::Conflict { .. })));
    let mut bytes = scene.memory.read(&file.name()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    scene.memory.overwrite(&file.name(), &bytes);
    assert!(fetch(&scene, &file).is_err());
    assert_eq!(scene.push(&file, &content(3)).unwrap().outcome, Outcome::AlreadyThere);
    assert!(matches!(mend(&content(4)), Err(WalError::Conflict { .. })), "its head is whole");
    let mended = mend(&content(3)).unwrap();
    assert_eq!((mended.outcome, mended.object), (Outcome::New, repair_of(&file.name(), 1)));
    assert_eq!(bytes_of(fetch(&scene, &file)), content(3));
}

#[test]
fn a_file_sealed_once_goes_into_several_vaults() {
    let (scene, other) = (Scene::new(1), MemoryStoreIn::new());
    let file = history(&scene);
    let sealed = scene.seal(&file, b"one");
    assert_eq!(scene.vault().put(&sealed).unwrap().outcome, Outcome::New);
    assert_eq!(scene.vault_in(&other.0).put(&sealed).unwrap().outcome, Outcome::New);
    assert_eq!(scene.vault().put(&sealed).unwrap().outcome, Outcome::AlreadyThere);
    assert_eq!(scene.vault().locate(&file).unwrap().unwrap().head.content, sealed.content);
}

struct MemoryStoreIn(crate::objects::MemoryStore);

impl MemoryStoreIn {
    fn new() -> Self {
        Self(crate::objects::MemoryStore::new(Arc::new(soter_world::sim::SimClock::new())))
    }
}

#[test]
fn a_squatted_name_does_not_stop_the_archive() {
    let scene = Scene::new(1);
    let file = history(&scene);
    let stranger = {
        let mut thief = Scene::new(2);
        thief.archive = scene.archive;
        thief.keys.writer.store = scene.keys.writer.store;
        thief.seal(&file, b"forged").bytes
    };
    let other_name = scene.seal(&scene.file("00000003.history"), b"other").bytes;
    for (number, squat) in
        [b"junk".to_vec(), stranger, other_name, Vec::new()].into_iter().enumerate()
    {
        let object = names(&file.name()).nth(number).unwrap();
        scene.memory.overwrite(&object, &squat);
    }
    let pushed = scene.push(&file, b"one").unwrap();
    assert_eq!(pushed.object, repair_of(&file.name(), 4));
    assert_eq!(pushed.findings.len(), 4);
    assert_eq!(pushed.findings[0].object, file.name());
    let again = scene.push(&file, b"one").unwrap();
    assert_eq!((again.outcome, again.object), (Outcome::AlreadyThere, pushed.object.clone()));
    assert!(matches!(scene.push(&file, b"two"), Err(WalError::Conflict { .. })));
    let fetched = fetch(&scene, &file).unwrap().unwrap();
    assert_eq!((fetched.bytes.as_slice(), fetched.object), (&b"one"[..], pushed.object));
    assert_eq!(fetched.findings.len(), 4);
}

#[test]
fn a_name_that_is_squatted_through_and_through_is_told() {
    let scene = Scene::new(1);
    let file = history(&scene);
    for object in names(&file.name()) {
        scene.memory.overwrite(&object, b"junk");
    }
    let error = scene.push(&file, b"one").unwrap_err();
    assert!(matches!(&error, WalError::Taken { findings, .. } if findings.len() == 10), "{error}");
    let error = fetch(&scene, &file).unwrap_err();
    assert!(matches!(&error, WalError::Damaged { findings, .. } if findings.len() == 10));
}

#[test]
fn an_object_too_long_to_be_read_does_not_stop_the_archive() {
    let scene = Scene::new(1);
    let file = history(&scene);
    scene.memory.overwrite(&file.name(), &vec![0; OBJECT_LENGTH_MAX + 1]);
    let pushed = scene.push(&file, b"one").unwrap();
    assert_eq!(pushed.object, repair_of(&file.name(), 1));
    assert_eq!(bytes_of(fetch(&scene, &file)), b"one");
    // Also when it comes between the look and the creation.
    let (store, sealed) = (MemoryStoreIn::new(), scene.seal(&file, b"one"));
    let search = scene.vault_in(&store.0).search(&file).unwrap();
    store.0.overwrite(&file.name(), &vec![0; OBJECT_LENGTH_MAX + 1]);
    let pushed = scene.vault_in(&store.0).create(&sealed, search).unwrap();
    assert_eq!((pushed.object, pushed.findings.len()), (repair_of(&file.name(), 1), 1));
}

#[test]
fn who_comes_between_the_look_and_the_creation_is_compared_with() {
    let scene = Scene::new(1);
    let file = history(&scene);
    let search = || scene.vault().search(&file).unwrap();
    let (first, second) = (search(), search());
    scene.vault().put(&scene.seal(&file, b"one")).unwrap();
    let same = scene.vault().create(&scene.seal(&file, b"one"), first).unwrap();
    assert_eq!(same.outcome, Outcome::AlreadyThere);
    let other = scene.vault().create(&scene.seal(&file, b"two"), second);
    assert!(matches!(other, Err(WalError::Conflict { .. })));
}

#[test]
fn a_damaged_object_is_named_and_never_served() {
    let scene = Scene::new(1);
    let file = history(&scene);
    scene.push(&file, b"one").unwrap();
    let whole = scene.memory.read(&file.name()).unwrap();
    for bit in (0..whole.len() * 8).step_by(5) {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        scene.memory.overwrite(&file.name(), &damaged);
        let error = fetch(&scene, &file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "bit {bit}: {error}");
        assert!(error.to_string().contains(&file.name()), "{error}");
    }
    scene.memory.overwrite(&repair_of(&file.name(), 1), &whole);
    let fetched = fetch(&scene, &file).unwrap().unwrap();
    assert_eq!((fetched.bytes.as_slice(), fetched.findings.len()), (&b"one"[..], 1));
}

#[test]
fn a_repair_serves_when_the_object_is_gone() {
    let scene = Scene::new(1);
    let file = history(&scene);
    let sealed = scene.seal(&file, b"one");
    scene.memory.overwrite(&repair_of(&file.name(), 1), &sealed.bytes);
    assert_eq!(bytes_of(fetch(&scene, &file)), b"one");
}

#[test]
fn a_wrong_key_and_an_unreachable_vault_are_told_apart() {
    let (scene, other) = (Scene::new(1), Scene::new(2));
    let file = history(&scene);
    scene.push(&file, b"one").unwrap();
    let error = scene.vault().fetch(&file, &other.keys.reader, 1).unwrap_err();
    assert!(matches!(error, WalError::Key(_)), "{error}");
    assert_eq!(error.kind(), ErrorKind::Input);
    let faults = Faults {
        errors_percent: 100,
        lost_answers_percent: 0,
        stale_lists_percent: 0,
        short_reads_percent: 0,
    };
    let memory = Arc::clone(&scene.memory);
    let faulty = Faulty::new(memory, faults, 1);
    let error = scene.vault_in(&faulty).fetch(&file, &scene.keys.reader, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry);
}

#[test]
fn a_swapped_object_is_refused() {
    // Between timelines, incarnations and stores; the object itself is whole and signed.
    let scene = Scene::new(1);
    let whole = {
        scene.push(&scene.segment(1, 3), &content(3)).unwrap();
        scene.memory.read(&scene.segment(1, 3).name()).unwrap()
    };
    let mut elsewhere = Scene::new(1);
    elsewhere.archive.incarnation = crate::ids::IncarnationId([9; 8]);
    for file in [scene.segment(2, 3), scene.segment(1, 4), elsewhere.segment(1, 3)] {
        scene.memory.overwrite(&file.name(), &whole);
        let error = fetch(&scene, &file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        let pushed = scene.push(&file, &content(4)).unwrap();
        assert_eq!(pushed.findings[0].fault, Fault::Elsewhere);
    }
}

#[test]
fn a_short_segment_is_refused() {
    let scene = Scene::new(1);
    let outcome = scene.push(&scene.segment(1, 3), &content(3)[1..]);
    assert!(matches!(outcome, Err(WalError::Seal(SealError::Length { .. }))));
    assert_eq!(scene.names(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(40)))]
    #[test]
    fn a_push_survives_a_store_that_misbehaves(seed: u64) {
        let scene = Scene::new(1);
        let faults = Faults {
            errors_percent: 20,
            lost_answers_percent: 30,
            stale_lists_percent: 30,
            short_reads_percent: 10,
        };
        let memory = Arc::clone(&scene.memory);
        let faulty = Faulty::new(memory, faults, seed);
        let vault = scene.vault_in(&faulty);
        let file = history(&scene);
        let source = || WalBytes { bytes: b"one", facts: WalFacts::default() };
        let pushed = (0..20).find_map(|_| vault.push(&scene.sealer(), &file, &mut source()).ok());
        prop_assert!(pushed.is_some(), "20 pushes failed");
        prop_assert_eq!(bytes_of(fetch(&scene, &file)), b"one");
        // A read that was cut looks like damage, so there may be repairs, all with one content.
        for object in scene.names() {
            let head = check(&file, &scene.keys.trust, &scene.memory.read(&object).unwrap());
            prop_assert_eq!(head.unwrap().content, scene.keys.writer.content_ids.id(b"one"));
        }
    }
}

/// A directory on a disk that can lose what was not synced.
fn directory(disk: &Arc<SimDisk>) -> DirectoryStore {
    let disk: Arc<dyn Disk> = Arc::<SimDisk>::clone(disk);
    DirectoryStore::create(disk, Path::new("/vault")).unwrap()
}

#[test]
fn a_push_that_dies_at_any_operation_leaves_all_or_nothing() {
    let scene = Scene::new(1);
    let file = history(&scene);
    let push = |store: &dyn ObjectStore| {
        let mut source = WalBytes { bytes: b"one", facts: WalFacts::default() };
        scene.vault_in(store).push(&scene.sealer(), &file, &mut source)
    };
    let mut survived = 0;
    for operation in 0.. {
        let disk = Arc::new(SimDisk::new(operation));
        drop(directory(&disk));
        disk.crash_at(disk.operations() + operation);
        let outcome = match DirectoryStore::open(
            Arc::<SimDisk>::clone(&disk) as Arc<dyn Disk>,
            Path::new("/vault"),
        ) {
            Ok(store) => push(&store).ok(),
            Err(_) => None,
        };
        let crashed = disk.has_crashed();
        disk.reboot();
        let store = directory(&disk);
        let fetched = scene.vault_in(&store).fetch(&file, &scene.keys.reader, 1).unwrap();
        assert!(fetched.is_some() || outcome.is_none(), "operation {operation}: lost");
        survived += u32::from(fetched.is_some());
        let again = push(&store).unwrap();
        assert_eq!(again.object, file.name(), "operation {operation}");
        let fetched = scene.vault_in(&store).fetch(&file, &scene.keys.reader, 1).unwrap();
        assert_eq!(fetched.unwrap().bytes, b"one");
        if !crashed {
            assert!(operation > 5 && survived > 0, "{operation} operations, {survived} survived");
            return;
        }
    }
}
