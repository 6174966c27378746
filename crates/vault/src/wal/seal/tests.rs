use super::*;
use crate::ids::SessionId;
use crate::keys::ErrorKind;
use crate::objects::{Created, ObjectError, ObjectInfo, ObjectStore};
use crate::wal::Outcome;
use crate::wal::sample::{SEGMENT, Scene, content};

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
