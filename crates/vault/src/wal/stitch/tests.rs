use proptest::prelude::*;
use soter_world::sim::{SeededRandom, cases};

use super::*;

fn size() -> SegmentSize {
    SegmentSize::new(1 << 20).unwrap()
}

fn part(from: u32, bytes: &[u8], object: &str) -> Part {
    Part { from, bytes: bytes.to_vec(), object: object.to_owned() }
}

fn island(from: u32, to: u32, object: &str) -> Island {
    Island { from, to, object: object.to_owned() }
}

#[test]
fn parts_are_put_together_in_the_order_of_their_places() {
    let stitched = stitch(size(), vec![part(3, b"def", "two"), part(0, b"abc", "one")]);
    assert_eq!(stitched.bytes, b"abcdef");
    assert_eq!(stitched.objects, ["one", "two"]);
    assert_eq!((stitched.divergence, stitched.islands), (None, Vec::new()));
}

#[test]
fn what_lies_after_a_gap_is_not_used() {
    let stitched = stitch(size(), vec![part(0, b"abc", "one"), part(4, b"ef", "two")]);
    assert_eq!(stitched.bytes, b"abc");
    assert_eq!(stitched.islands, [island(4, 6, "two")]);
    assert_eq!(stitch(size(), vec![part(1, b"a", "one")]).bytes, b"");
}

#[test]
fn an_overlap_must_be_equal() {
    let equal = vec![part(0, b"abcd", "one"), part(2, b"cdef", "two"), part(1, b"bc", "three")];
    let stitched = stitch(size(), equal);
    assert_eq!(stitched.bytes, b"abcdef");
    assert_eq!(stitched.objects, ["one", "three", "two"]);

    let other = vec![part(0, b"abcd", "one"), part(2, b"cXef", "two")];
    let stitched = stitch(size(), other);
    assert_eq!(stitched.bytes, b"abc");
    let objects = vec!["one".to_owned(), "two".to_owned()];
    assert_eq!(stitched.divergence, Some(Divergence { position: 3, objects }));
    assert_eq!(stitched.islands, [island(3, 4, "one"), island(3, 6, "two")]);
}

#[test]
fn a_later_part_can_show_an_earlier_divergence() {
    let parts = vec![part(0, b"abcdef", "one"), part(1, b"bcdeX", "two"), part(2, b"cX", "three")];
    let stitched = stitch(size(), parts);
    assert_eq!(stitched.bytes, b"abc");
    assert_eq!(stitched.divergence.unwrap().position, 3);
}

#[test]
fn a_part_that_reaches_beyond_the_segment_is_none() {
    let parts = vec![part(0, b"abc", "one"), part(3, &vec![0; 1 << 20], "two")];
    assert_eq!(stitch(size(), parts).bytes, b"abc");
    assert_eq!(stitch(size(), vec![part(u32::MAX, b"abc", "one")]).bytes, b"");
}

#[test]
fn a_served_segment_has_the_whole_length() {
    let served = zero_filled(b"abc".to_vec(), size());
    assert_eq!(served.len(), 1 << 20);
    assert_eq!(&served[..5], b"abc\0\0");
}

/// The rule by definition: for each byte the set of values that parts give it.
fn oracle(length: usize, parts: &[Part]) -> (Vec<u8>, Option<u32>) {
    let mut bytes = Vec::new();
    for position in 0..length {
        let mut values: Vec<u8> = parts
            .iter()
            .filter_map(|part| part.bytes.get(position.checked_sub(part.from as usize)?))
            .copied()
            .collect();
        values.sort_unstable();
        values.dedup();
        match values.as_slice() {
            [] => break,
            [value] => bytes.push(*value),
            _ => return (bytes, Some(u32::try_from(position).unwrap())),
        }
    }
    (bytes, None)
}

/// Parts of a stream as sessions write them: each begins where it likes and goes on without gaps;
/// some parts are lost, cut, or say something else.
fn sessions(seed: u64) -> Vec<Part> {
    let random = SeededRandom::new(seed);
    let truth: Vec<u8> = (0..400u32).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
    let mut parts = Vec::new();
    for session in 0..=random.below(3) {
        let mut from = if random.chance(60) { 0 } else { random.index(200) };
        while from < truth.len() && !random.chance(5) {
            let to = (from + 1 + random.index(60)).min(truth.len());
            let mut bytes = truth[from..to].to_vec();
            if random.chance(4) {
                let at = random.index(bytes.len());
                bytes[at] ^= 1;
            }
            if random.chance(6) {
                bytes.truncate(random.index(bytes.len() + 1));
            }
            if !random.chance(8) {
                let object = format!("{session}-{from}-{}", parts.len());
                parts.push(Part { from: u32::try_from(from).unwrap(), bytes, object });
            }
            from = if random.chance(10) { to.saturating_sub(random.index(30)) } else { to };
        }
    }
    for at in (1..parts.len()).rev() {
        parts.swap(at, random.index(at + 1));
    }
    parts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]
    #[test]
    fn stitching_agrees_with_its_definition(seed: u64) {
        let parts = sessions(seed);
        let (bytes, divergence) = oracle(400, &parts);
        let stitched = stitch(size(), parts.clone());
        prop_assert_eq!(&stitched.bytes, &bytes);
        prop_assert_eq!(stitched.divergence.as_ref().map(|found| found.position), divergence);
        for part in parts.iter().filter(|part| !part.bytes.is_empty()) {
            let island = stitched.islands.iter().find(|island| island.object == part.object);
            prop_assert_eq!(island.is_some(), part.to() > bytes.len());
            let used = stitched.objects.contains(&part.object);
            prop_assert_eq!(used, (part.from as usize) < bytes.len());
        }
    }

    #[test]
    fn any_parts_are_put_together(
        parts in proptest::collection::vec((0..64u32, proptest::collection::vec(0..2u8, 0..12)), 0..12),
    ) {
        let parts: Vec<Part> = parts
            .into_iter()
            .enumerate()
            .map(|(number, (from, bytes))| Part { from, bytes, object: number.to_string() })
            .collect();
        let (bytes, divergence) = oracle(80, &parts);
        let stitched = stitch(size(), parts);
        prop_assert_eq!(stitched.bytes, bytes);
        prop_assert_eq!(stitched.divergence.map(|found| found.position), divergence);
    }
}
