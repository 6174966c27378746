use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use soter_world::Disk;
use soter_world::sim::{SeededRandom, SimDisk, cases};

use super::*;
use crate::keys::ErrorKind;
use crate::names::repair_of;
use crate::objects::{DirectoryStore, ObjectStore};
use crate::wal::sample::{SEGMENT, SESSIONS, Scene, content, session_key};
use crate::wal::{Divergence, Island};

const PLACE: (u32, u64) = (1, 3);
const SEGMENT_3: Segment = Segment { timeline: 1, number: 3 };

fn read(scene: &Scene) -> Result<Option<SegmentBytes>, WalError> {
    scene.vault().read_segment(SEGMENT_3, scene.reader())
}

fn stitched(scene: &Scene) -> (Stitched, Vec<Finding>) {
    match read(scene).unwrap().unwrap() {
        SegmentBytes::Parts(stitched, findings) => (stitched, findings),
        SegmentBytes::Sealed(_) => panic!("it is not sealed"),
    }
}

#[test]
fn a_segment_is_read_from_its_parts_until_it_is_sealed() {
    let scene = Scene::new(1);
    assert_eq!(read(&scene).unwrap(), None);
    let one = scene.part(0, PLACE, 0, 1000);
    let two = scene.part(1, PLACE, 600, 3000);
    scene.part(1, (1, 4), 0, 100);
    scene.part(1, (2, 3), 3000, 3100);
    let (found, findings) = stitched(&scene);
    assert_eq!(found.bytes, content(3)[..3000]);
    assert_eq!((found.objects, findings), (vec![one, two], Vec::new()));
    scene.push_segment(1, 3, None);
    let sealed = read(&scene).unwrap().unwrap();
    assert!(matches!(sealed, SegmentBytes::Sealed(_)));
    assert_eq!(sealed.bytes(), content(3));
}

#[test]
fn a_partial_file_does_not_take_the_segments_place() {
    let scene = Scene::new(1);
    let garbage = vec![0xee; SEGMENT];
    scene.push(&scene.file("000000010000000000000003.partial"), &garbage).unwrap();
    assert_eq!(read(&scene).unwrap(), None);
    scene.part(0, PLACE, 0, 1000);
    assert_eq!(stitched(&scene).0.bytes, content(3)[..1000]);
}

#[test]
fn sessions_that_disagree_stop_the_segment_there() {
    let scene = Scene::new(1);
    let one = scene.part(0, PLACE, 0, 1000);
    let mut bytes = content(3)[500..2000].to_vec();
    bytes[200] ^= 1;
    let two = scene.put_part(&scene.seal_part(1, PLACE, 500, &bytes)).unwrap().object;
    let (found, findings) = stitched(&scene);
    assert_eq!(found.bytes, content(3)[..700]);
    let objects = vec![one.clone(), two.clone()];
    assert_eq!(found.divergence, Some(Divergence { position: 700, objects }));
    let islands =
        [Island { from: 700, to: 1000, object: one }, Island { from: 700, to: 2000, object: two }];
    assert_eq!((found.islands.as_slice(), findings), (&islands[..], Vec::new()));
}

#[test]
fn a_part_put_again_is_the_same_part() {
    let scene = Scene::new(1);
    let sealed = scene.seal_part(0, PLACE, 0, b"abc");
    assert_eq!(scene.put_part(&sealed).unwrap().outcome, Outcome::New);
    assert_eq!(scene.put_part(&sealed).unwrap().outcome, Outcome::New, "an answer was lost");
    let anew = scene.seal_part(0, PLACE, 0, b"abc");
    assert_eq!(scene.put_part(&anew).unwrap().outcome, Outcome::AlreadyThere);
    let error = scene.put_part(&scene.seal_part(0, PLACE, 0, b"abX")).unwrap_err();
    assert!(matches!(error, WalError::PartConflict { .. }));
    assert_eq!(error.kind(), ErrorKind::Superseded);
    assert_eq!(scene.names().len(), 1);
}

#[test]
fn a_squatted_part_is_put_beside() {
    let scene = Scene::new(1);
    let sealed = scene.seal_part(0, PLACE, 0, b"abc");
    // A part of another session under our name, and junk.
    let mut other = scene.seal_part(1, PLACE, 0, b"xyz");
    scene.memory.overwrite(&sealed.name, &other.bytes);
    other.bytes.truncate(70);
    scene.memory.overwrite(&repair_of(&sealed.name, 1), &other.bytes);
    let put = scene.put_part(&sealed).unwrap();
    assert_eq!((put.object, put.findings.len()), (repair_of(&sealed.name, 2), 2));
    let (found, findings) = stitched(&scene);
    assert_eq!(found.bytes, b"abc");
    let objects: Vec<&str> = findings.iter().map(|finding| finding.object.as_str()).collect();
    assert_eq!(objects, [sealed.name.clone(), repair_of(&sealed.name, 1)]);
}

#[test]
fn strangers_parts_are_named_and_not_used() {
    let scene = Scene::new(1);
    scene.part(0, PLACE, 0, 1000);
    let prefix = live_prefix(scene.archive.store, scene.archive.incarnation, Some((1, Some(3))));
    let unknown = format!("{prefix}000003e8-000003f0.{}", SessionId([0xbb; 8]));
    let empty = format!("{prefix}000003e8-000003e8.{}", SESSIONS[0]);
    let beyond = format!("{prefix}000003e8-00100001.{}", SESSIONS[0]);
    let junk = format!("{prefix}junk");
    let moved = format!("{prefix}000003e8-000007d0.{}", SESSIONS[0]);
    let part = scene.part(0, (1, 9), 1000, 2000);
    let theirs = scene.memory.read(&part).unwrap();
    for name in [&unknown, &empty, &beyond, &junk, &moved] {
        scene.memory.overwrite(name, &theirs);
    }
    let (found, mut findings) = stitched(&scene);
    assert_eq!(found.bytes, content(3)[..1000]);
    findings.sort_by(|one, other| one.object.cmp(&other.object));
    let mut expected = [
        Finding { object: unknown, fault: Fault::UnknownSession(SessionId([0xbb; 8])) },
        Finding { object: empty, fault: Fault::Name },
        Finding { object: beyond, fault: Fault::Name },
        Finding { object: junk, fault: Fault::Name },
        Finding { object: moved, fault: Fault::Elsewhere },
    ];
    expected.sort_by(|one, other| one.object.cmp(&other.object));
    assert_eq!(findings, expected);
}

#[test]
fn parts_serve_when_the_sealed_segment_is_damaged() {
    let scene = Scene::new(1);
    scene.push_segment(1, 3, None);
    let name = scene.segment(1, 3).name();
    let mut damaged = scene.memory.read(&name).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    scene.memory.overwrite(&name, &damaged);
    assert_eq!(read(&scene).unwrap_err().kind(), ErrorKind::Damaged);
    scene.part(0, PLACE, 0, SEGMENT);
    let (found, findings) = stitched(&scene);
    assert_eq!(found.bytes, content(3));
    assert_eq!(findings, [Finding { object: name, fault: Fault::Frames }]);
}

/// Objects as sessions, faults and strangers leave them, and the bytes of the parts that count.
fn scatter(scene: &Scene, seed: u64) -> Vec<Part> {
    let (random, truth) = (SeededRandom::new(seed), content(3));
    let mut parts = Vec::new();
    for session in 0..SESSIONS.len() {
        let mut from = if random.chance(50) { 0 } else { random.index(300) };
        while from < 900 && !random.chance(8) {
            let to = from + 1 + random.index(300);
            let mut bytes = truth[from..to].to_vec();
            if random.chance(4) {
                let at = random.index(bytes.len());
                bytes[at] ^= 1;
            }
            let sealed = scene.seal_part(session, PLACE, from, &bytes);
            match random.below(10) {
                0 => {}
                1 => {
                    let length = random.index(sealed.bytes.len());
                    scene.memory.overwrite(&sealed.name, &sealed.bytes[..length]);
                }
                2 => scene.memory.overwrite(&format!("{}.r7x", sealed.name), &sealed.bytes),
                _ => {
                    scene.memory.overwrite(&sealed.name, &sealed.bytes);
                    let from = u32::try_from(from).unwrap();
                    parts.push(Part { from, bytes, object: sealed.name });
                }
            }
            from = if random.chance(15) { to.saturating_sub(random.index(100)) } else { to };
        }
    }
    parts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(60)))]
    #[test]
    fn what_is_read_is_what_the_whole_parts_agree_on(seed: u64) {
        let scene = Scene::new(1);
        let parts = scatter(&scene, seed);
        let (found, _) = scene.vault().read_parts(SEGMENT_3, scene.reader()).unwrap();
        let mut expected = Vec::new();
        for position in 0..2000 {
            let mut values: Vec<u8> = parts
                .iter()
                .filter_map(|part| part.bytes.get(usize::checked_sub(position, part.from as usize)?))
                .copied()
                .collect();
            values.sort_unstable();
            values.dedup();
            let [value] = values.as_slice() else { break };
            expected.push(*value);
        }
        prop_assert_eq!(found.bytes, expected);
    }
}

/// An agent writes the segment in parts and is told which are durable; it dies at some operation,
/// another one begins again at the beginning. What the first was told is there, and all agrees.
#[test]
fn acknowledged_parts_survive_a_crash_at_any_operation() {
    let scene = Scene::new(1);
    let (cuts, truth) = ([0, 700, 1500, 2100], content(3));
    let write = |store: &dyn ObjectStore, session: usize| {
        let mut acknowledged = 0;
        for cut in cuts.windows(2) {
            let sealed = scene.seal_part(session, PLACE, cut[0], &truth[cut[0]..cut[1]]);
            let key = session_key(SESSIONS[session]).unwrap();
            if scene.vault_in(store).put_part(&sealed, &key).is_err() {
                break;
            }
            acknowledged = cut[1];
        }
        acknowledged
    };
    for operation in 0.. {
        let disk = Arc::new(SimDisk::new(operation));
        let open = || {
            let disk: Arc<dyn Disk> = Arc::<SimDisk>::clone(&disk);
            DirectoryStore::create(disk, Path::new("/vault"))
        };
        let store = open().unwrap();
        disk.crash_at(disk.operations() + operation);
        let acknowledged = write(&store, 0);
        let crashed = disk.has_crashed();
        disk.reboot();
        let store = open().unwrap();
        let read = || scene.vault_in(&store).read_parts(SEGMENT_3, scene.reader()).unwrap().0;
        let found = read();
        assert!(found.bytes.len() >= acknowledged, "operation {operation}");
        assert_eq!(found.bytes, truth[..found.bytes.len()], "operation {operation}");
        assert_eq!(write(&store, 1), 2100);
        let found = read();
        assert_eq!(found.bytes, truth[..2100], "operation {operation}");
        assert_eq!((found.divergence, found.islands), (None, Vec::new()));
        if !crashed {
            assert!(operation > 20, "{operation} operations");
            return;
        }
    }
}

/// Whoever was in an agent's memory has the key of its last session, and can make more parts of it.
#[test]
fn parts_of_a_removed_agent_count_as_far_as_they_were_there() {
    let mut scene = Scene::new(9);
    scene.part(0, (1, 3), 0, 5000);
    let later = scene.part(0, (1, 3), 5000, 9000);
    let elsewhere = scene.part(0, (1, 4), 0, 5000);
    let before = scene.vault().read_parts(SEGMENT_3, scene.reader()).unwrap();
    assert_eq!((before.0.end(), before.1.len()), (9000, 0));

    let wal = crate::log::WalRange {
        incarnation: scene.archive.incarnation,
        timeline: 1,
        from: scene.archive.start_of(3),
        to: scene.archive.start_of(3) + 5000,
        segment_bytes: scene.archive.segment_size.bytes(),
    };
    let end = crate::keys::StoreEnd { entries: 1, wal: vec![wal] };
    let mut list = scene.keys.trust.newest().clone();
    let signer = scene.keys.writer.signer.public();
    list.remove_signer(&signer, &[(scene.archive.store, end)].into()).unwrap();
    list.number = 2;
    let lists = scene.keys.trust.all().cloned().chain([(list, crate::ids::Digest([0; 32]))]);
    scene.keys.trust = crate::keys::Trust::from_lists(lists).unwrap();
    let ended =
        |object: &str| vec![Finding { object: object.to_owned(), fault: Fault::Ended { signer } }];
    let (stitched, findings) = scene.vault().read_parts(SEGMENT_3, scene.reader()).unwrap();
    assert_eq!((stitched.end(), findings), (5000, ended(&later)));
    let four = Segment { timeline: 1, number: 4 };
    let (stitched, findings) = scene.vault().read_parts(four, scene.reader()).unwrap();
    assert_eq!((stitched.end(), findings), (0, ended(&elsewhere)));
}
