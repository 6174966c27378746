use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::keys::wrap;
use crate::names::repair_of;
use crate::objects::{Metered, ObjectStore};
use crate::wal::WalFacts;
use crate::wal::head::{HeadFields, HeadStart};
use crate::wal::place::SegmentSize;
use crate::wal::sample::Scene;

/// A scene with four segments in a folder.
fn scene() -> Scene {
    let mut scene = Scene::new(1);
    scene.archive.segment_size = SegmentSize::new(1 << 30).unwrap();
    scene
}

/// Puts the head of a segment of a gigabyte; an index needs no more of it.
fn put(scene: &Scene, number: u64, seconds: Option<(i64, i64)>) {
    let at = |second| Timestamp::from_second(second).unwrap();
    let commit_times = seconds.map(|(from, to)| CommitTimes { earliest: at(from), latest: at(to) });
    let key = SymmetricKey::random(&scene.random);
    let start = HeadStart {
        salt: Salt::random(&scene.random),
        commitment: key.commitment(),
        wrapped: wrap(&key, &scene.keys.writer.recipient),
    };
    let file = scene.segment(1, number);
    let fields = HeadFields {
        length: 1 << 30,
        frames_length: 0,
        content: ContentId([number.to_le_bytes()[0]; 16]),
        frames_hash: Digest::of(b""),
        facts: WalFacts { commit_times, ..WalFacts::default() },
    };
    let bytes = start.finish(&file, &scene.keys.writer, &fields);
    scene.memory.overwrite(&file.name(), &bytes);
}

fn write(scene: &Scene, folder: u32) -> Option<Outcome> {
    let keys = &scene.keys.writer;
    scene.vault().write_index(keys, &scene.random, 1, folder).unwrap()
}

fn read(scene: &Scene, folder: u32) -> Result<Option<Vec<IndexRow>>, WalError> {
    scene.vault().read_index(&scene.keys.writer.metadata, 1, folder)
}

fn index_name(scene: &Scene, folder: u32) -> String {
    Name::WalIndex(scene.archive.store, scene.archive.incarnation, 1, folder).to_string()
}

fn first_after(scene: &Scene, (from, to): (u64, u64), second: i64) -> Option<u64> {
    let time = Timestamp::from_second(second).unwrap();
    let metadata = &scene.keys.writer.metadata;
    let found = scene.vault().first_commit_after(metadata, 1, (from, to), time);
    found.unwrap().map(|segment| segment.number)
}

#[test]
fn an_index_says_what_the_heads_say() {
    let scene = scene();
    for number in 4..8 {
        assert_eq!(write(&scene, 1), None, "segment {number} is missing");
        put(&scene, number, (number != 6).then_some((100, 100 + i64::from(number == 7))));
    }
    assert_eq!(read(&scene, 1).unwrap(), None);
    assert_eq!(write(&scene, 1), Some(Outcome::New));
    assert_eq!(write(&scene, 1), Some(Outcome::AlreadyThere));
    let rows = read(&scene, 1).unwrap().unwrap();
    assert_eq!(rows.iter().map(|row| row.segment).collect::<Vec<_>>(), [4, 5, 6, 7]);
    for row in rows {
        let located = scene.vault().locate(&scene.segment(1, row.segment)).unwrap().unwrap();
        assert_eq!(u64::from(row.object_length), located.head.object_length());
        assert_eq!((row.content, row.head_hash), (located.head.content, located.head.hash()));
        assert_eq!(row.commit_times.is_some(), row.segment != 6);
    }
}

#[test]
fn a_folder_with_a_gap_gets_no_index() {
    let scene = scene();
    for number in [4, 6, 7] {
        put(&scene, number, None);
    }
    assert_eq!(write(&scene, 1), None);
    // A timeline may begin within a folder.
    for number in [10, 11] {
        put(&scene, number, None);
    }
    assert_eq!(write(&scene, 2), Some(Outcome::New));
    assert_eq!(read(&scene, 2).unwrap().unwrap().len(), 2);
}

#[test]
fn a_forged_or_damaged_index_is_not_believed() {
    let scene = scene();
    for number in 0..8 {
        put(&scene, number, Some((100, 200)));
    }
    assert_eq!(write(&scene, 0), Some(Outcome::New));
    let whole = scene.memory.read(&index_name(&scene, 0)).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        scene.memory.overwrite(&index_name(&scene, 0), &damaged);
        assert!(read(&scene, 0).is_err(), "bit {bit}");
    }
    for length in 0..whole.len() {
        scene.memory.overwrite(&index_name(&scene, 0), &whole[..length]);
        assert!(read(&scene, 0).is_err(), "length {length}");
    }
    // The heads serve instead, and a new index is put beside.
    assert_eq!(first_after(&scene, (0, 4), 150), Some(0));
    assert_eq!(write(&scene, 0), Some(Outcome::New));
    assert!(scene.names().contains(&repair_of(&index_name(&scene, 0), 1)));
    assert_eq!(read(&scene, 0).unwrap().unwrap().len(), 4);
    // The index of another folder, and one by the collector.
    scene.memory.overwrite(&index_name(&scene, 1), &whole);
    assert!(read(&scene, 1).is_err());
    let mut keys = scene.keys.writer.clone();
    keys.signer = scene.keys.collector.clone();
    assert_eq!(scene.vault().write_index(&keys, &scene.random, 1, 1).unwrap(), Some(Outcome::New));
    assert!(read(&scene, 1).is_err());
}

#[test]
fn a_search_for_a_time_reads_few_objects() {
    let scene = scene();
    for number in 0..64 {
        let second = i64::try_from(number).unwrap() * 10;
        put(&scene, number, (number % 4 != 3).then_some((second, second + 5)));
    }
    for folder in 0..15 {
        assert_eq!(write(&scene, folder), Some(Outcome::New));
    }
    for second in -1..640 {
        let expected = (0..64).find(|n| n % 4 != 3 && i64::try_from(*n).unwrap() * 10 + 5 > second);
        assert_eq!(first_after(&scene, (0, 64), second), expected, "{second}");
    }
    assert_eq!(first_after(&scene, (5, 64), 0), Some(5));
    assert_eq!(first_after(&scene, (0, 5), 100), None);
    assert_eq!(first_after(&scene, (7, 7), 0), None);
    let metered = Metered::new(Arc::<crate::objects::MemoryStore>::clone(&scene.memory));
    let (metadata, time) = (&scene.keys.writer.metadata, Timestamp::from_second(333).unwrap());
    let vault = scene.vault_in(&metered);
    let found = vault.first_commit_after(metadata, 1, (0, 64), time).unwrap();
    assert_eq!(found.unwrap().number, 33);
    assert!(metered.counts().reads <= 6, "{:?}", metered.counts());
    let times = vault.commit_times(metadata, 1, (3, 62)).unwrap().unwrap();
    let seconds = (times.earliest.as_second(), times.latest.as_second());
    assert_eq!(seconds, (40, 615));
}

proptest! {
    #[test]
    fn any_bytes_are_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        rows in 0..6000u32,
        headed: bool,
    ) {
        let scene = scene();
        let folder = Folder { timeline: 1, number: 0 };
        let mut object = Vec::new();
        if headed {
            let header = scene.vault().index_header(folder, Salt([1; 16]));
            object.extend_from_slice(&header.to_bytes());
            object.extend_from_slice(&1u32.to_le_bytes());
            object.extend_from_slice(&[0; 36]);
            object.extend_from_slice(&rows.to_le_bytes());
        }
        object.extend_from_slice(&bytes);
        prop_assert!(scene.vault().parse(folder, &scene.keys.writer.metadata, &object).is_err());
    }
}
