//! The oracle is `pg_waldump`: of each version as fixtures (the beginning of a segment and what
//! `pg_waldump --bkp-details` said of it, reduced to what [`describe`] says), and of a live server.
//! Properties are tested on WAL made by a small writer of our own.

use std::fmt::Write;

use proptest::prelude::*;
use soter_world::sim::cases;

use super::*;
use crate::cluster::MajorVersion;
use crate::control::WalLevel;
use crate::relation::{BlockNumber, Fork};
use crate::testing::{Shutdown, TestCluster};
use crate::timeline::TimelineHistory;
use crate::wal::changes::{ChangeMap, RelationChanges};
use crate::wal::header::{SegmentHeader, SegmentHeaderError};
use crate::wal::record::{PageImage, RecordLayoutError, TransactionId};
use crate::wal::workload;
use crate::wal::writer::{Block, FIRST_SEGMENT, HEAP, IDENTITY, Writer, body, commit_data, file};

mod oracle;

/// All that a decoder made of some bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Decoded {
    records: Vec<String>,
    facts: WalFacts,
    unfinished: Option<Lsn>,
    result: Option<Result<Fed, WalError>>,
}

/// One record in the words of `pg_waldump --bkp-details`.
fn describe(record: &Record<'_>) -> String {
    let mut text = format!(
        "{} {} tx {} at {} after {}",
        record.resource_manager,
        record.length_bytes,
        record.transaction,
        record.start,
        record.previous
    );
    for block in record.blocks {
        let fork = match block.fork.suffix() {
            "" => "main",
            suffix => suffix.trim_start_matches('_'),
        };
        let image = match block.image {
            PageImage::None => "",
            PageImage::Restored => " (FPW)",
            PageImage::Compared => " (FPW for WAL verification)",
        };
        write!(text, ", {} {fork} {}{image}", block.file, block.block).unwrap();
    }
    if let Meaning::Commit(_) = record.meaning {
        text.push_str(", commit");
    }
    text
}

fn decode<'a>(mut decoder: WalDecoder, chunks: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let mut records = Vec::new();
    let mut result = Ok(Fed::More);
    for chunk in chunks {
        result = decoder.feed(chunk, &mut |record| records.push(describe(record)));
    }
    let (facts, unfinished) = (decoder.facts().clone(), decoder.unfinished());
    Decoded { records, facts, unfinished, result: Some(result) }
}

const FIXTURES: [(&[u8], &str); 5] = [
    (
        include_bytes!("../../../fixtures/wal/14.wal"),
        include_str!("../../../fixtures/wal/14.pg_waldump.txt"),
    ),
    (
        include_bytes!("../../../fixtures/wal/15.wal"),
        include_str!("../../../fixtures/wal/15.pg_waldump.txt"),
    ),
    (
        include_bytes!("../../../fixtures/wal/16.wal"),
        include_str!("../../../fixtures/wal/16.pg_waldump.txt"),
    ),
    (
        include_bytes!("../../../fixtures/wal/17.wal"),
        include_str!("../../../fixtures/wal/17.pg_waldump.txt"),
    ),
    (
        include_bytes!("../../../fixtures/wal/18.wal"),
        include_str!("../../../fixtures/wal/18.pg_waldump.txt"),
    ),
];

#[test]
fn records_of_every_version_are_those_of_pg_waldump() {
    for ((bytes, expected), version) in FIXTURES.into_iter().zip(MajorVersion::ALL) {
        let SegmentHeader { identity, timeline, start } = SegmentHeader::parse(bytes).unwrap();
        assert_eq!(identity.version, version);
        let mut map = ChangeMap::new(version);
        let mut decoder = WalDecoder::new(identity, timeline, start.segment(identity.segment_size));
        let mut found = Vec::new();
        let result = decoder.feed(bytes, &mut |record| {
            found.push(describe(record));
            map.note(record);
        });
        assert_eq!(result, Ok(Fed::More), "{version}");
        assert_eq!(found, expected.lines().collect::<Vec<_>>(), "{version}");
        assert_eq!(map.distrust(), None, "{version}");
        // Two tables were dropped, by a prepared transaction and by an ordinary one, one truncated.
        let is_new = |(_, changes): &(_, &RelationChanges)| changes.limit() == Some(BlockNumber(0));
        assert!(map.relations().filter(is_new).count() >= 4, "{version}");
        assert_eq!(map.databases().count(), 1, "{version}");
        assert_eq!(decoder.take_restore_points()[0].name, "named");
        let (_, checkpoint) = decoder.facts().last_checkpoint.unwrap();
        let level = (version >= MajorVersion::V17).then_some(WalLevel::Replica);
        assert_eq!((checkpoint.is_shutdown, checkpoint.wal_level), (true, level));
    }
}

fn segments(cluster: &TestCluster) -> Vec<(String, Vec<u8>)> {
    let directory = cluster.data_directory().join("pg_wal");
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.len() == 24)
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| (name.clone(), std::fs::read(directory.join(&name)).unwrap()))
        .collect()
}

#[test]
fn real_records_are_those_of_pg_waldump() {
    let mut cluster = workload::cluster();
    cluster.start().unwrap();
    workload::run(&mut cluster);
    cluster.stop(Shutdown::Fast).unwrap();

    let segments = segments(&cluster);
    let header = SegmentHeader::parse(&segments[0].1).unwrap();
    assert_eq!(header.identity.version, cluster.binaries().version());
    assert_eq!(header.identity.segment_size, workload::segment_size());
    let first = header.start.segment(header.identity.segment_size);
    let decoder = || WalDecoder::new(header.identity, Timeline::FIRST, first);
    let found = decode(decoder(), segments.iter().map(|(_, bytes)| bytes.as_slice()));
    let (expected, commits) =
        oracle::pg_waldump(&cluster, [&segments[0].0, &segments.last().unwrap().0]);
    for (found, expected) in found.records.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.records.len(), expected.len());
    assert!(expected.len() > 10_000, "{}", expected.len());
    check_facts(&found.facts, &commits);

    let all: Vec<u8> = segments.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    assert_eq!(decode(decoder(), all.chunks(99_991)), found);
}

fn check_facts(facts: &WalFacts, commits: &[String]) {
    let last = facts.last_commit.unwrap();
    let time = last.transaction.time.strftime("%Y-%m-%d %H:%M:%S%.6f UTC").to_string();
    assert!(commits.last().unwrap().contains(&time), "{time} in {:?}", commits.last());
    assert!(facts.time_max.unwrap() >= last.transaction.time);
    let names: Vec<_> = facts.restore_points.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(names, ["before the mistake", "after the mistake"]);
    let (at, checkpoint) = facts.last_checkpoint.unwrap();
    assert!(checkpoint.is_shutdown && checkpoint.redo == at);
    assert_eq!(facts.last_record.unwrap().start, at);
}

#[test]
fn real_timeline_begins_where_its_history_says() {
    let mut cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    cluster.start().unwrap();
    cluster.psql("create table t as select generate_series(1, 5000) i").unwrap();
    cluster.stop(Shutdown::Fast).unwrap();
    std::fs::File::create(cluster.data_directory().join("standby.signal")).unwrap();
    cluster.start().unwrap();
    cluster.psql("select pg_promote()").unwrap();
    cluster.psql("insert into t select generate_series(1, 5000)").unwrap();
    cluster.stop(Shutdown::Fast).unwrap();

    let history = cluster.data_directory().join("pg_wal/00000002.history");
    let new = Timeline(2);
    let history = TimelineHistory::parse(new, &std::fs::read(history).unwrap()).unwrap();
    let switch = history.switch_point(Timeline::FIRST).unwrap();
    let mut segments = segments(&cluster);
    segments.retain(|(name, _)| name.starts_with("00000002"));
    let header = SegmentHeader::parse(&segments[0].1).unwrap();
    assert_eq!(header.timeline, Timeline::FIRST, "its first pages are those of its parent");
    let first = switch.segment(header.identity.segment_size);
    let decoder = |timeline| WalDecoder::new(header.identity, timeline, first);
    let chunks = || segments.iter().map(|(_, bytes)| bytes.as_slice());
    let facts = decode(decoder(new), chunks()).facts;
    let begin = facts.last_timeline_begin.unwrap();
    let expected =
        TimelineBegin { at: begin.at, timeline: new, previous_timeline: Timeline::FIRST };
    assert_eq!(begin, expected);
    assert!((switch..Lsn(switch.0 + 100)).contains(&begin.at), "{switch} {begin:?}");
    assert!(facts.last_record.unwrap().end > begin.at);

    let refused = decode(decoder(Timeline::FIRST), chunks()).result.unwrap().unwrap_err();
    assert!(matches!(refused.problem, WalProblem::Timeline { found: Timeline(2), .. }));
}

fn decoder() -> WalDecoder {
    WalDecoder::new(IDENTITY, Timeline::FIRST, FIRST_SEGMENT)
}

fn decode_all(bytes: &[u8]) -> Decoded {
    decode(decoder(), std::iter::once(bytes))
}

fn problem(bytes: &[u8]) -> (Lsn, WalProblem) {
    match decode_all(bytes).result.unwrap() {
        Err(WalError { lsn, problem }) => (lsn, problem),
        Ok(fed) => panic!("{fed:?}"),
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Heap(Vec<Block>, usize),
    Commit { micros: i64, subtransactions: u32 },
    RestorePoint,
    Crash { pages: usize },
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let block = (1_u32..5, 0_u8..4, any::<u32>(), prop_oneof![Just(0_u16), any::<u16>()]);
    let block = block.prop_map(|(relation, fork, block, data_bytes)| Block {
        file: file(relation),
        fork: Fork::from_number(fork).unwrap(),
        block: BlockNumber(block),
        data_bytes,
    });
    let blocks = proptest::collection::vec(block, 0..4);
    let main_bytes = prop_oneof![0_usize..300, 1000..1100_usize, 8000..30_000_usize];
    let operation = prop_oneof![
        6 => (blocks, main_bytes).prop_map(|(blocks, bytes)| Operation::Heap(blocks, bytes)),
        3 => (any::<i32>(), 0_u32..3000).prop_map(|(micros, subtransactions)| {
            Operation::Commit { micros: i64::from(micros), subtransactions }
        }),
        1 => Just(Operation::RestorePoint),
        1 => (0_usize..4).prop_map(|pages| Operation::Crash { pages }),
    ];
    proptest::collection::vec(operation, 1..12)
}

fn restore_point(name: &[u8]) -> Vec<u8> {
    let mut data = [[0; 8].as_slice(), name].concat();
    data.resize(72, 0);
    body(&[], &data)
}

fn write_all(operations: &[Operation]) -> Writer {
    let mut writer = Writer::new();
    for operation in operations {
        match operation {
            Operation::Heap(blocks, bytes) => {
                writer.record(HEAP, 0, &body(blocks, &vec![0x3C; *bytes]));
            }
            Operation::Commit { micros, subtransactions } => {
                let data = commit_data(*micros, *subtransactions, &[file(1)]);
                writer.record(ResourceManager::TRANSACTION, 0x80, &body(&[], &data));
            }
            Operation::RestorePoint => {
                writer.record(ResourceManager::XLOG, 0x70, &restore_point(b"here"));
            }
            Operation::Crash { pages } => {
                let lost = writer.seal(HEAP, 0, &body(&[], &[0; 70_000]));
                let overwritten = writer.crash_within(&lost, *pages);
                writer.overwrite_continuation(overwritten);
            }
        }
    }
    writer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    #[test]
    fn the_result_does_not_depend_on_how_the_bytes_are_cut(
        operations in operations(),
        cuts in proptest::collection::vec(1_usize..10_000, 1..40),
    ) {
        let bytes = write_all(&operations).bytes;
        let whole = decode_all(&bytes);
        prop_assert_eq!(whole.result, Some(Ok(Fed::More)));
        let records = operations.len() as u64;
        prop_assert_eq!(whole.facts.records, records);
        let mut rest = bytes.as_slice();
        let mut sizes = cuts.iter().cycle();
        let chunks = std::iter::from_fn(|| {
            let size = rest.len().min(*sizes.next().expect("a cycle"));
            let (chunk, after) = rest.split_at(size);
            rest = after;
            (size > 0).then_some(chunk)
        });
        prop_assert_eq!(decode(decoder(), chunks), whole);
    }

    #[test]
    fn single_bytes_give_the_same_as_all_at_once(operations in operations()) {
        let mut bytes = write_all(&operations).bytes;
        bytes.truncate(50_000);
        prop_assert_eq!(decode(decoder(), bytes.chunks(1)), decode_all(&bytes));
    }

    #[test]
    fn a_flipped_bit_is_noticed(operations in operations(), places: Vec<(usize, u8)>) {
        let writer = write_all(&operations);
        let whole = decode_all(&writer.bytes);
        for (place, bit) in places {
            let place = place % writer.bytes.len();
            let mut damaged = writer.bytes.clone();
            damaged[place] ^= 1 << (bit % 8);
            let found = decode_all(&damaged);
            if found.result == Some(Ok(Fed::More)) {
                // Either nothing that means anything was hit, or the end is now missing.
                let is_unused = writer.unused.iter().any(|range| range.contains(&place));
                // Two flags of pages mean nothing unless a record was left unfinished.
                let is_idle_flag = place as u64 % WAL_PAGE_BYTES == 2 && matches!(bit % 8, 2 | 3);
                let is_cut_short = found.unfinished.is_some();
                prop_assert!(is_unused || is_idle_flag || is_cut_short, "byte {place}");
                if !is_cut_short { prop_assert_eq!(&found.records, &whole.records); }
            } else {
                prop_assert!(whole.records.starts_with(&found.records));
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(
        operations in operations(),
        noise in proptest::collection::vec(any::<u8>(), 0..3000),
        at: usize,
    ) {
        decode_all(&noise);
        let mut bytes = write_all(&operations).bytes;
        let at = at % bytes.len();
        let end = bytes.len().min(at + noise.len());
        bytes[at..end].copy_from_slice(&noise[..end - at]);
        decode_all(&bytes);
    }

    #[test]
    fn records_of_random_bytes_never_panic(
        body in proptest::collection::vec(any::<u8>(), 0..200), manager in 0_u8..6, info: u8,
    ) {
        let mut writer = Writer::new();
        writer.record(ResourceManager(manager), info, &body);
        decode_all(&writer.bytes);
    }
}

#[test]
fn begins_in_the_middle_of_a_record() {
    let mut writer = Writer::new();
    let segment = usize::try_from(IDENTITY.segment_size.bytes()).unwrap();
    writer.record(HEAP, 0, &body(&[], &vec![1; segment + 20_000]));
    let start = writer.record(HEAP, 0, &body(&[], &[2]));
    let second = WalDecoder::new(IDENTITY, Timeline::FIRST, FIRST_SEGMENT.next());
    let found = decode(second, std::iter::once(&writer.bytes[segment..]));
    assert_eq!(found.result, Some(Ok(Fed::More)));
    assert_eq!((found.facts.records, found.facts.last_record.unwrap().start), (1, start));
}

#[test]
fn a_switch_ends_the_segment() {
    let mut writer = Writer::new();
    writer.record(HEAP, 0, &body(&[], &[1]));
    writer.switch();
    let border = FIRST_SEGMENT.end(IDENTITY.segment_size);
    assert_eq!(writer.position(), border);
    let found = decode_all(&writer.bytes);
    assert_eq!(found.facts.last_record.unwrap().end, border);
    assert_eq!(found.result, Some(Ok(Fed::More)));
    writer.record(HEAP, 0, &body(&[], &[1]));
    assert_eq!(decode_all(&writer.bytes).facts.records, 3);
}

#[test]
fn zeros_are_the_end() {
    let mut writer = Writer::new();
    writer.record(HEAP, 0, &body(&[], &[1; 5]));
    let end = Lsn(writer.position().0.next_multiple_of(8));
    let mut bytes = writer.bytes.clone();
    bytes.resize(60_000, 0);
    assert_eq!(decode_all(&bytes).result, Some(Ok(Fed::End { at: end })));

    // Zeros from a page on, with a record unfinished before.
    let start = writer.record(HEAP, 0, &body(&[], &[1; 30_000]));
    writer.bytes.truncate(2 * 8192);
    let at = writer.position();
    writer.bytes.resize(60_000, 0);
    let found = decode_all(&writer.bytes);
    assert_eq!(found.result, Some(Ok(Fed::End { at })));
    assert_eq!(found.unfinished, Some(start));
}

#[test]
fn a_record_left_unfinished_by_a_crash_is_dropped() {
    let mut writer = Writer::new();
    writer.record(HEAP, 0, &body(&[], &[1]));
    let lost = writer.seal(HEAP, 0, &body(&[], &[0; 70_000]));
    let (mut other, mut silent) = (writer.clone(), writer.clone());
    let overwritten = writer.crash_within(&lost, 1);
    writer.overwrite_continuation(overwritten);
    writer.record(HEAP, 0, &body(&[], &[1]));
    let found = decode_all(&writer.bytes);
    assert_eq!((found.facts.records, found.result), (3, Some(Ok(Fed::More))));

    let expected = other.crash_within(&lost, 1);
    let found = Lsn(expected.0 - 8);
    let at = other.overwrite_continuation(found);
    assert_eq!(problem(&other.bytes), (at, WalProblem::Overwritten { found, expected }));

    // Without the declaration the page does not fit.
    silent.crash_within(&lost, 1);
    silent.record(HEAP, 0, &body(&[], &[1]));
    assert_eq!(problem(&silent.bytes).1, WalProblem::ContinuationMissing);
}

#[test]
fn meanings_are_kept() {
    let mut writer = Writer::new();
    let commit = |micros, subtransactions| body(&[], &commit_data(micros, subtransactions, &[]));
    writer.record(ResourceManager::TRANSACTION, 0x80, &commit(5_000_000, 3));
    let at = writer.record(ResourceManager::TRANSACTION, 0x80, &commit(2_000_000, 1000));
    writer.record(ResourceManager::TRANSACTION, 0x20, &body(&[], &7_000_000_i64.to_le_bytes()));
    writer.record(ResourceManager::XLOG, 0x70, &restore_point(b"first"));
    writer.record(ResourceManager::XLOG, 0x70, &restore_point(b"\xFF\xFE"));
    let recovery = [[0; 8].as_slice(), &[2, 0, 0, 0, 1, 0, 0, 0]].concat();
    let begin = writer.record(ResourceManager::XLOG, 0x90, &body(&[], &recovery));
    let facts = decode_all(&writer.bytes).facts;
    let second = |second: i64| Timestamp::from_second(946_684_800 + second).unwrap();
    let commit = facts.last_commit.unwrap();
    assert_eq!(commit.place.start, at);
    assert_eq!(commit.transaction.transaction, TransactionId(500));
    assert_eq!(commit.transaction.time, second(2));
    assert_eq!(facts.time_max, Some(second(7)));
    let names: Vec<_> = facts.restore_points.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(names, ["first", ""]);
    let timeline = facts.last_timeline_begin.unwrap();
    assert_eq!((timeline.at, timeline.timeline), (begin, Timeline(2)));
}

#[test]
fn huge_records_are_not_kept() {
    let mut writer = Writer::new();
    // A message of an extension, and a commit of more subtransactions than anyone has.
    writer.record(ResourceManager(21), 0, &body(&[], &vec![9; 40 << 20]));
    let subtransactions = 17 << 20;
    let data = commit_data(1, subtransactions, &[file(1)]);
    writer.record(ResourceManager::TRANSACTION, 0x80, &body(&[], &data));
    let mut decoder = decoder();
    let mut cut = Vec::new();
    for chunk in writer.bytes.chunks(128 << 10) {
        decoder.feed(chunk, &mut |record| cut.push(record.is_main_data_cut)).unwrap();
        if decoder.position().0 - FIRST_SEGMENT.start(IDENTITY.segment_size).0 < 40 << 20 {
            assert!(decoder.assembly.memory_bytes() < 4096);
        }
    }
    assert_eq!(cut, [false, true]);
    assert!(decoder.assembly.memory_bytes() < 2 << 20, "given back");
    assert!(decoder.facts().last_commit.is_some(), "the time stands at the beginning");
}

#[test]
fn damage_is_named() {
    let mut writer = Writer::new();
    let first = writer.record(HEAP, 0, &body(&[], &[1; 40]));
    let second = writer.record(HEAP, 0, &body(&[], &[1; 9000]));
    let page = FIRST_SEGMENT.start(IDENTITY.segment_size);
    let next_page = Lsn(page.0 + WAL_PAGE_BYTES);
    let at = |lsn: Lsn| usize::try_from(lsn.0 - page.0).unwrap();
    let with = |place: usize, value: &[u8]| {
        let mut bytes = writer.bytes.clone();
        bytes[place..place + value.len()].copy_from_slice(value);
        problem(&bytes)
    };
    let record = |error| WalProblem::Record(error);
    assert_eq!(
        with(0, &[0x0D, 0xD1]),
        (page, WalProblem::Magic { found: 0xD10D, expected: 0xD110 })
    );
    assert_eq!(with(2, &[0x12]), (page, WalProblem::Flags { flags: 0x12 }));
    assert_eq!(
        with(24, &[1; 8]).1,
        WalProblem::Cluster { found: SystemIdentifier(0x0101_0101_0101_0101) }
    );
    assert_eq!(with(35, &[2]).1, WalProblem::Sizes { segment: 2 << 24, page: 8192 });
    let found = Lsn(next_page.0 + 1);
    assert_eq!(with(at(next_page) + 8, &[1]), (next_page, WalProblem::Address { found }));
    let timeline = with(at(next_page) + 4, &[2]).1;
    assert!(matches!(timeline, WalProblem::Timeline { found: Timeline(2), .. }));
    let length = with(at(next_page) + 16, &[1]).1;
    assert!(matches!(length, WalProblem::ContinuationLength { found, expected }
        if found != expected && found % 256 == 1));
    let missing = with(at(next_page) + 2, &[0]).1;
    assert_eq!(missing, WalProblem::Flags { flags: 0 }, "bytes left, but of nothing");
    let expected = first;
    assert_eq!(
        with(at(second) + 8, &[7]).1,
        WalProblem::Previous { found: Lsn(first.0 - first.0 % 256 + 7), expected }
    );
    assert_eq!(with(at(first) + 17, &[40]).1, WalProblem::ResourceManager(ResourceManager(40)));
    assert_eq!(with(at(first), &[23]), (first, record(RecordError::Length(23))));
    assert_eq!(with(at(first) + 3, &[0x7F]).1, record(RecordError::Length(0x7F00_0042)));
    let checksum = with(at(first) + 30, &[2]);
    assert!(
        matches!(checksum, (lsn, WalProblem::Record(RecordError::Checksum { .. })) if lsn == first)
    );
    let error = WalError { lsn: first, problem: checksum.1 };
    assert_eq!(error.to_string(), "the WAL at 0/3000028 cannot be read");
}

#[test]
fn damage_behind_a_right_checksum_is_named() {
    let check = |info: u8, body: &[u8], expected: RecordError| {
        let mut writer = Writer::new();
        let at = writer.record(ResourceManager::XLOG, info, body);
        assert_eq!(problem(&writer.bytes), (at, WalProblem::Record(expected)));
    };
    let layout = |info, body: &[u8], error| check(info, body, RecordError::Layout(error));
    layout(0xB0, &[255, 9, 1], RecordLayoutError::Lengths);
    layout(0xB0, &[40, 0, 0], RecordLayoutError::Header(40));
    layout(0xB0, &[0, 0x80, 0, 0, 1, 0, 0, 0], RecordLayoutError::NoRelation);
    layout(0xB0, &[0, 0x20, 0, 0], RecordLayoutError::Lengths);
    let mut blocks = body(
        &[Block { file: file(1), fork: Fork::Main, block: BlockNumber(1), data_bytes: 0 }],
        &[],
    );
    blocks[1] = 7;
    layout(0xB0, &blocks, RecordLayoutError::Fork(7));
    blocks[1] = 0;
    layout(0xB0, &[blocks.as_slice(), &blocks].concat(), RecordLayoutError::Order(0));
    let (manager, info) = (ResourceManager::XLOG, 0x10);
    check(info, &[255, 1, 1], RecordError::Short { manager, info });
}

#[test]
fn a_segment_says_what_it_is() {
    let mut writer = Writer::new();
    writer.record(HEAP, 0, &body(&[], &[1; 9000]));
    let parse = |bytes: &[u8]| SegmentHeader::parse(bytes);
    let start = FIRST_SEGMENT.start(IDENTITY.segment_size);
    let expected = SegmentHeader { identity: IDENTITY, timeline: Timeline::FIRST, start };
    assert_eq!(parse(&writer.bytes), Ok(expected));
    assert_eq!(parse(&writer.bytes[..39]), Err(SegmentHeaderError::Short));
    assert_eq!(parse(&[0; 40]), Err(SegmentHeaderError::Magic { magic: 0 }));
    let mut odd = writer.bytes.clone();
    odd[37] = 0x40;
    let sizes = SegmentHeaderError::Sizes { segment: 16 << 20, page: 0x4000 };
    assert_eq!(parse(&odd), Err(sizes));
    let mut second_page = writer.bytes[8192..].to_vec();
    second_page[32..40].copy_from_slice(&writer.bytes[32..40]);
    assert_eq!(parse(&second_page), Err(SegmentHeaderError::NotFirst));
}
