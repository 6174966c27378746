use super::*;
use crate::names::repair_of;
use crate::wal::sample::{SEGMENT, SESSIONS, Scene};

const MIB: u64 = 1 << 20;

fn range(timeline: u32, (from, to): Span, sealed_to: Option<u64>, gaps: &[Span]) -> Range {
    Range { timeline, from, to, sealed_to, gaps: gaps.to_vec() }
}

#[test]
fn nothing_is_covered_at_first() {
    let scene = Scene::new(1);
    assert_eq!(scene.vault().ranges().unwrap(), []);
    let end = scene.vault().contiguous_end(1, 5 * MIB).unwrap();
    assert_eq!(end, ContiguousEnd { sealed: 5 * MIB, hinted: 5 * MIB });
}

#[test]
fn ranges_name_their_gaps() {
    let scene = Scene::new(1);
    for number in [2, 3, 5, 9] {
        scene.push_segment(1, number, None);
    }
    scene.push(&scene.file("00000002.history"), b"history").unwrap();
    scene.push(&scene.file("000000010000000000000007.partial"), b"partial").unwrap();
    scene.push_segment(2, 9, None);
    // Parts fill the gap at 4 and lengthen the ends; those at 3 are left over.
    scene.part(0, (1, 3), 0, 100);
    scene.part(0, (1, 4), 0, SEGMENT);
    scene.part(0, (1, 6), 0, 100);
    scene.part(0, (1, 10), 0, 300);
    scene.part(1, (1, 10), 200, 500);
    scene.part(1, (1, 10), 600, 700);
    // A timeline that has parts only.
    scene.part(1, (3, 12), 0, 10);
    let expected = [
        range(
            1,
            (2 * MIB, 10 * MIB + 700),
            Some(10 * MIB),
            &[(6 * MIB + 100, 9 * MIB), (10 * MIB + 500, 10 * MIB + 600)],
        ),
        range(2, (9 * MIB, 10 * MIB), Some(10 * MIB), &[]),
        range(3, (12 * MIB, 12 * MIB + 10), None, &[]),
    ];
    let ranges = scene.vault().ranges().unwrap();
    assert_eq!(ranges, expected);
    assert_eq!(ranges[0].contiguous_end(3 * MIB), Some(6 * MIB + 100));
    assert_eq!(ranges[0].contiguous_end(7 * MIB), None);
    assert_eq!(ranges[0].contiguous_end(9 * MIB), Some(10 * MIB + 500));
    assert_eq!(ranges[0].contiguous_end(10 * MIB + 650), Some(10 * MIB + 700));
    assert_eq!(ranges[0].contiguous_end(MIB), None);
    assert_eq!(ranges[0].contiguous_end(11 * MIB), None);
}

#[test]
fn a_restarted_agent_finds_where_it_stopped() {
    let scene = Scene::new(1);
    // Beyond one page of names and over the edge of a folder, which has 4096 of these segments.
    for number in 4094..4098 {
        scene.push_segment(1, number, None);
    }
    scene.part(0, (1, 4098), 0, SEGMENT);
    scene.part(0, (1, 4099), 0, 500);
    let end = |position| scene.vault().contiguous_end(1, position).unwrap();
    let expected = ContiguousEnd { sealed: 4098 * MIB, hinted: 4099 * MIB + 500 };
    assert_eq!(end(4094 * MIB), expected);
    assert_eq!(end(4096 * MIB + 77), expected);
    let expected = ContiguousEnd { sealed: 4099 * MIB + 200, hinted: 4099 * MIB + 500 };
    assert_eq!(end(4099 * MIB + 200), expected);
    let expected = ContiguousEnd { sealed: 4099 * MIB + 501, hinted: 4099 * MIB + 501 };
    assert_eq!(end(4099 * MIB + 501), expected);
}

#[test]
fn a_segment_may_be_sealed_behind_one_that_was_left_as_parts() {
    let scene = Scene::new(1);
    scene.push_segment(1, 3, None);
    scene.part(0, (1, 4), 0, 700);
    scene.part(1, (1, 4), 600, SEGMENT);
    // The rest of this one came with its seal.
    scene.part(1, (1, 5), 0, 500);
    scene.push_segment(1, 5, None);
    scene.push_segment(1, 6, None);
    scene.part(1, (1, 7), 0, SEGMENT);
    scene.part(1, (1, 8), 0, 300);
    scene.push_segment(1, 10, None);
    let end = scene.vault().contiguous_end(1, 3 * MIB).unwrap();
    assert_eq!(end, ContiguousEnd { sealed: 4 * MIB, hinted: 8 * MIB + 300 });
}

#[test]
fn a_squatted_segment_covers_nothing() {
    let scene = Scene::new(1);
    scene.push_segment(1, 3, None);
    let whole = crate::objects::ObjectStore::read(&*scene.memory, &scene.segment(1, 3).name());
    for number in [1, 2, 4, 5, 900] {
        scene.memory.overwrite(&scene.segment(1, number).name(), whole.as_ref().unwrap());
    }
    scene.memory.overwrite(&scene.segment(8, 3).name(), b"junk");
    let ranges = scene.vault().ranges().unwrap();
    assert_eq!(ranges, [range(1, (3 * MIB, 4 * MIB), Some(4 * MIB), &[])]);
    let end = scene.vault().contiguous_end(1, 3 * MIB).unwrap();
    assert_eq!(end, ContiguousEnd { sealed: 4 * MIB, hinted: 4 * MIB });
    // What the agent then writes beside it counts.
    scene.push_segment(1, 4, None);
    assert!(scene.names().contains(&repair_of(&scene.segment(1, 4).name(), 1)));
    assert_eq!(scene.vault().ranges().unwrap()[0].to, 5 * MIB);
    assert_eq!(scene.vault().contiguous_end(1, 3 * MIB).unwrap().sealed, 5 * MIB);
}

#[test]
fn any_name_is_survived() {
    let scene = Scene::new(1);
    let last = Segment { timeline: u32::MAX, number: u64::from(u32::MAX) * 4096 + 4095 };
    scene.memory.overwrite(&scene.archive.segment_file(last).name(), b"junk");
    let segment = Segment { timeline: u32::MAX, number: u64::MAX };
    let part = scene.archive.live_part(segment, (0, 1), SESSIONS[0]);
    scene.memory.overwrite(&Name::Live(part).to_string(), b"junk");
    for name in ["wal/junk", "~", "000000010000000000000001", "idx", "0/0/0"] {
        for prefix in [
            wal_prefix(scene.archive.store, scene.archive.incarnation, None),
            live_prefix(scene.archive.store, scene.archive.incarnation, None),
        ] {
            scene.memory.overwrite(&format!("{prefix}{name}"), b"junk");
        }
    }
    scene.vault().ranges().unwrap();
    scene.vault().contiguous_end(u32::MAX, u64::MAX).unwrap();
}

#[test]
fn parts_are_covered_only_by_a_sealed_segment_that_counts() {
    let scene = Scene::new(1);
    let segment = Segment { timeline: 1, number: 3 };
    let covered = || scene.vault().covered_parts(segment).unwrap();
    let mut parts = vec![scene.part(0, (1, 3), 0, 100), scene.part(1, (1, 3), 50, 300)];
    scene.part(0, (1, 4), 0, 100);
    parts.sort();
    assert_eq!(covered(), Vec::<String>::new());
    scene.memory.overwrite(&scene.segment(1, 3).name(), b"junk");
    assert!(scene.vault().covered_parts(segment).is_err());
    scene.push_segment(1, 3, None);
    assert_eq!(covered(), parts);
}
