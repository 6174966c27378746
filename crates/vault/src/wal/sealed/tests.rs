use proptest::prelude::*;
use soter_world::sim::{SeededRandom, cases};

use super::*;
use crate::ids::{IncarnationId, StoreId};
use crate::keys::sample::Sample;
use crate::wal::CommitTimes;
use crate::wal::place::{Archive, Segment, SegmentSize};

fn archive(sample: &Sample) -> Archive {
    let segment_size = SegmentSize::new(1 << 20).unwrap();
    Archive { store: sample.writer.store, incarnation: IncarnationId([7; 8]), segment_size }
}

fn facts() -> WalFacts {
    let at = |text: &str| text.parse().unwrap();
    let commit_times = Some(CommitTimes {
        earliest: at("2026-11-23T09:00:00.000001Z"),
        latest: at("2026-11-23T09:01:00Z"),
    });
    WalFacts { commit_times, records: 70, commits: 3, records_end: Some(0x0100_0040) }
}

fn seal(sample: &Sample, file: &ArchiveFile, bytes: &[u8], seed: u64) -> SealedFile {
    let random = SeededRandom::new(seed);
    let sealer = Sealer::new(&sample.writer, &random, Compression::Zstd(1), 2);
    sealer.seal(file, &mut WalBytes { bytes, facts: facts() }).unwrap()
}

fn read(sample: &Sample, file: &ArchiveFile, object: &[u8]) -> Result<Vec<u8>, OpenError> {
    let head = Head::parse(object)?;
    head.check(file, &sample.trust)?;
    open(&head, file, object, &sample.reader, 2)
}

fn fault(outcome: Result<Vec<u8>, OpenError>) -> Fault {
    match outcome {
        Err(OpenError::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

fn history(sample: &Sample) -> ArchiveFile {
    archive(sample).file("00000002.history").unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(24)))]
    #[test]
    fn a_file_comes_back(
        length in prop_oneof![
            0..100usize,
            (RAW_LENGTH_MAX - 1)..(RAW_LENGTH_MAX + 2),
            (2 * RAW_LENGTH_MAX)..(3 * RAW_LENGTH_MAX),
        ],
        seed: u64,
        workers in 1..4usize,
        is_random: bool,
    ) {
        let sample = Sample::new(1);
        let file = history(&sample);
        let mut bytes = vec![0; length];
        if is_random {
            Random::fill(&SeededRandom::new(seed), &mut bytes);
        }
        let random = SeededRandom::new(seed);
        let sealer = Sealer::new(&sample.writer, &random, Compression::Zstd(1), workers);
        let sealed = sealer.seal(&file, &mut WalBytes { bytes: &bytes, facts: facts() }).unwrap();
        let head = Head::parse(&sealed.bytes).unwrap();
        head.check(&file, &sample.trust).unwrap();
        prop_assert_eq!(head.content, sealed.content);
        prop_assert_eq!(head.content, sample.writer.content_ids.id(&bytes));
        prop_assert_eq!(head.object_length(), sealed.bytes.len() as u64);
        prop_assert_eq!(head.facts(&file, &sample.writer.metadata), Ok(facts()));
        let opened = open(&head, &file, &sealed.bytes, &sample.reader, workers).unwrap();
        prop_assert!(opened == bytes);
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000), headed: bool) {
        let sample = Sample::new(1);
        let sealed = seal(&sample, &history(&sample), b"1\t0/3000000\tno reason", 2);
        let mut object = if headed { sealed.bytes[..64].to_vec() } else { Vec::new() };
        object.extend_from_slice(&bytes);
        prop_assert!(read(&sample, &history(&sample), &object).is_err());
    }
}

#[test]
fn a_whole_segment_says_where_it_is() {
    let sample = Sample::new(1);
    let file = archive(&sample).segment_file(Segment { timeline: 3, number: 5 });
    let sealed = seal(&sample, &file, &vec![1; 1 << 20], 1);
    let head = Head::parse(&sealed.bytes).unwrap();
    assert_eq!((head.timeline, head.span), (3, Some((5 << 20, 6 << 20))));
    assert_eq!(head.length, 1 << 20);
}

#[test]
fn a_segment_of_another_length_is_refused() {
    let sample = Sample::new(1);
    let file = archive(&sample).segment_file(Segment { timeline: 3, number: 5 });
    let random = SeededRandom::new(1);
    let sealer = Sealer::new(&sample.writer, &random, Compression::None, 1);
    for length in [0, (1 << 20) - 1, (1 << 20) + 1] {
        let bytes = vec![1; length];
        let outcome = sealer.seal(&file, &mut WalBytes { bytes: &bytes, facts: facts() });
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, SealError::Length { found, expected: 0x10_0000 } if found == length as u64),
            "{error:?}"
        );
    }
}

#[test]
fn a_source_that_fails_is_told() {
    struct Failing(u32);
    impl WalSource for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 2 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(buffer.len()) }
        }
        fn facts(&mut self) -> WalFacts {
            panic!("not all was read")
        }
    }
    let sample = Sample::new(1);
    for workers in 1..4 {
        let random = SeededRandom::new(1);
        let sealer = Sealer::new(&sample.writer, &random, Compression::None, workers);
        let outcome = sealer.seal(&history(&sample), &mut Failing(0));
        assert!(matches!(outcome, Err(SealError::Read(_))));
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let sample = Sample::new(1);
    let (file, bytes) = (history(&sample), vec![5; 3000]);
    let sealed = seal(&sample, &file, &bytes, 3);
    for bit in 0..sealed.bytes.len() * 8 {
        let mut damaged = sealed.bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fault(read(&sample, &file, &damaged));
    }
}

#[test]
fn a_cut_or_longer_object_is_noticed() {
    let sample = Sample::new(1);
    let file = history(&sample);
    let sealed = seal(&sample, &file, &[5; 300], 4);
    for length in 0..sealed.bytes.len() {
        fault(read(&sample, &file, &sealed.bytes[..length]));
    }
    let longer = [sealed.bytes.as_slice(), b"x"].concat();
    assert!(matches!(fault(read(&sample, &file, &longer)), Fault::Length { .. }));
}

#[test]
fn an_object_under_another_name_is_refused() {
    let sample = Sample::new(1);
    let archive = archive(&sample);
    let file = archive.segment_file(Segment { timeline: 3, number: 5 });
    let sealed = seal(&sample, &file, &vec![1; 1 << 20], 5);
    let mut others = vec![
        archive.segment_file(Segment { timeline: 4, number: 5 }),
        archive.segment_file(Segment { timeline: 3, number: 6 }),
        archive.file(&format!("{}.partial", file.object.file)).unwrap(),
    ];
    let incarnation = IncarnationId([8; 8]);
    others
        .push(Archive { incarnation, ..archive }.segment_file(Segment { timeline: 3, number: 5 }));
    let store = StoreId([9; 8]);
    others.push(Archive { store, ..archive }.segment_file(Segment { timeline: 3, number: 5 }));
    for other in others {
        let fault = fault(read(&sample, &other, &sealed.bytes));
        assert_eq!(fault, Fault::Elsewhere, "{}", other.name());
    }
    // Two files that share every field of the head differ in the name that was signed.
    let label = archive.file(&format!("{}.00000028.backup", file.object.file)).unwrap();
    let partial = archive.file(&format!("{}.partial", file.object.file)).unwrap();
    let sealed = seal(&sample, &label, b"START WAL LOCATION", 6);
    let fault = fault(read(&sample, &partial, &sealed.bytes));
    assert_eq!(fault, Fault::Signature(sample.writer.signer.public()));
}

#[test]
fn only_an_agent_of_the_store_is_believed() {
    let (sample, other) = (Sample::new(1), Sample::new(2));
    let file = history(&sample);
    // All that is public is the store key's public half: a thief seals to it and signs as he can.
    let forged = |signer: crate::keys::Signer, trust_number| {
        let mut thief = Sample::new(3).writer;
        (thief.store, thief.recipient) = (sample.writer.store, sample.writer.recipient.clone());
        (thief.signer, thief.trust_number) = (signer, trust_number);
        let random = SeededRandom::new(7);
        let sealer = Sealer::new(&thief, &random, Compression::None, 1);
        sealer.seal(&file, &mut WalBytes { bytes: b"forged", facts: facts() }).unwrap().bytes
    };
    for (who, signer, trust_number) in [
        ("a stranger", Sample::new(4).writer.signer, 1),
        ("an agent of another store", other.writer.signer, 1),
        ("the collector", sample.collector.clone(), 1),
        ("our agent, before it was enrolled", sample.writer.signer.clone(), 0),
    ] {
        let public = signer.public();
        let expected = Fault::Signer { signer: public, trust_number };
        assert_eq!(fault(read(&sample, &file, &forged(signer, trust_number))), expected, "{who}");
    }
    // Naming our agent as the signer does not help.
    let mut bytes = forged(Sample::new(4).writer.signer, 1);
    bytes[192..224].copy_from_slice(&sample.writer.signer.public().0);
    let expected = Fault::Signature(sample.writer.signer.public());
    assert_eq!(fault(read(&sample, &file, &bytes)), expected);
}

#[test]
fn a_wrong_key_is_told_from_damage() {
    let (sample, other) = (Sample::new(1), Sample::new(2));
    let file = history(&sample);
    let sealed = seal(&sample, &file, b"1\t0/3000000\tno reason", 8);
    let head = Head::parse(&sealed.bytes).unwrap();
    let outcome = open(&head, &file, &sealed.bytes, &other.reader, 1);
    assert!(matches!(outcome, Err(OpenError::Key(KeyError::WrongKey { .. }))));
}
