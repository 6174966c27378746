use std::path::Path;
use std::sync::Arc;

use soter_world::Disk;
use soter_world::sim::SimDisk;

use super::*;
use crate::ids::SessionId;
use crate::keys::ErrorKind;
use crate::objects::{Created, DirectoryStore, ObjectError, ObjectInfo, ObjectStore};
use crate::wal::Outcome;
use crate::wal::sample::{SEGMENT, SESSIONS, Scene, content, session_key};

const SEGMENT_3: Segment = Segment { timeline: 1, number: 3 };

fn seal(scene: &Scene) -> Result<SealedSegment, WalError> {
    let facts = |bytes: &[u8]| WalFacts { records: bytes.len() as u64, ..WalFacts::default() };
    scene.vault().seal_parts(SEGMENT_3, scene.reader(), &scene.sealer(), facts)
}

#[test]
fn complete_parts_become_a_sealed_segment() {
    let scene = Scene::new(1);
    let parts = [scene.part(0, (1, 3), 0, 5000), scene.part(1, (1, 3), 4096, SEGMENT)];
    let sealed = seal(&scene).unwrap();
    assert_eq!(sealed.pushed.outcome, Outcome::New);
    assert_eq!(sealed.covered, parts);
    let file = scene.segment(1, 3);
    let fetched = scene.vault().fetch(&file, &scene.keys.reader, 1).unwrap().unwrap();
    assert_eq!(fetched.bytes, content(3));
    let head = scene.vault().locate(&file).unwrap().unwrap().head;
    let facts = head.facts(&file, &scene.keys.writer.metadata).unwrap();
    assert_eq!(facts.records, SEGMENT as u64);
    assert_eq!(seal(&scene).unwrap().pushed.outcome, Outcome::AlreadyThere);
}

#[test]
fn incomplete_or_divergent_parts_are_not_sealed() {
    let scene = Scene::new(1);
    scene.part(0, (1, 3), 0, 5000);
    scene.part(0, (1, 3), 6000, SEGMENT);
    let error = seal(&scene).unwrap_err();
    let message = "segment 3 of timeline 1 is known up to byte 5000 only";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::NotFound, message));
    let mut other = content(3)[4000..7000].to_vec();
    other[500] ^= 1;
    scene.put_part(&scene.seal_part(1, (1, 3), 4000, &other)).unwrap();
    let error = seal(&scene).unwrap_err();
    assert!(error.to_string().contains("4500 only, where live/"), "{error}");
    assert!(!scene.names().iter().any(|name| name.starts_with("wal/")));
}

#[test]
fn a_segment_that_is_there_with_other_bytes_is_a_conflict() {
    let scene = Scene::new(1);
    scene.push(&scene.segment(1, 3), &content(4)).unwrap();
    scene.part(0, (1, 3), 0, SEGMENT);
    assert!(matches!(seal(&scene), Err(WalError::Conflict { .. })));
}

#[test]
fn without_the_sessions_key_nothing_is_sealed() {
    let scene = Scene::new(1);
    scene.part(0, (1, 3), 0, SEGMENT);
    let nobody = |_: SessionId| None;
    let reader = WalReader { sessions: &nobody, ..scene.reader() };
    let facts = |_: &[u8]| WalFacts::default();
    let outcome = scene.vault().seal_parts(SEGMENT_3, reader, &scene.sealer(), facts);
    assert!(matches!(outcome, Err(WalError::Incomplete { end: 0, .. })));
}

#[test]
fn a_store_that_keeps_something_else_is_noticed() {
    struct Forgetful<'a>(&'a dyn ObjectStore);
    impl ObjectStore for Forgetful<'_> {
        fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
            self.0.create(name, &bytes[..bytes.len() - 1])
        }
        fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
            self.0.read(name)
        }
        fn read_range(&self, n: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
            self.0.read_range(n, offset, length)
        }
        fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
            self.0.head(name)
        }
        fn list(
            &self,
            prefix: &str,
            after: Option<&str>,
            limit: usize,
        ) -> Result<Vec<ObjectInfo>, ObjectError> {
            self.0.list(prefix, after, limit)
        }
        fn delete(&self, name: &str) -> Result<(), ObjectError> {
            self.0.delete(name)
        }
    }
    let scene = Scene::new(1);
    let sealed = scene.seal(&scene.segment(1, 3), &content(3));
    let error = scene.vault_in(&Forgetful(&*scene.memory)).put_verified(&sealed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
}

/// Whenever sealing dies, the segment can still be read whole, and sealing again succeeds.
#[test]
fn sealing_can_die_at_any_operation() {
    let scene = Scene::new(1);
    let (truth, half) = (content(3), SEGMENT / 2);
    let parts = [
        scene.seal_part(0, (1, 3), 0, &truth[..half]),
        scene.seal_part(1, (1, 3), half, &truth[half..]),
    ];
    for operation in 0.. {
        let disk = Arc::new(SimDisk::new(operation));
        let open = || {
            let disk: Arc<dyn Disk> = Arc::<SimDisk>::clone(&disk);
            DirectoryStore::create(disk, Path::new("/vault")).unwrap()
        };
        let seal = |store: &DirectoryStore| {
            let facts = |_: &[u8]| WalFacts::default();
            scene.vault_in(store).seal_parts(SEGMENT_3, scene.reader(), &scene.sealer(), facts)
        };
        let store = open();
        for (part, session) in parts.iter().zip(SESSIONS) {
            scene.vault_in(&store).put_part(part, &session_key(session).unwrap()).unwrap();
        }
        disk.crash_at(disk.operations() + operation);
        let sealed = seal(&store);
        let crashed = disk.has_crashed();
        assert!(crashed || sealed.is_ok(), "operation {operation}: {sealed:?}");
        disk.reboot();
        let store = open();
        if sealed.is_ok() {
            let file = scene.segment(1, 3);
            let located = scene.vault_in(&store).locate(&file).unwrap();
            assert!(located.is_some(), "operation {operation}: parts were called covered");
        }
        let read = scene.vault_in(&store).read_segment(SEGMENT_3, scene.reader()).unwrap();
        assert!(read.unwrap().bytes() == truth, "operation {operation}");
        assert_eq!(seal(&store).unwrap().covered.len(), 2, "operation {operation}");
        if !crashed {
            assert!(operation > 10, "{operation} operations");
            return;
        }
    }
}
