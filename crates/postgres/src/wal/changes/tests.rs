//! The oracle is a data directory before and after: every page that differs must be in the map.

use std::path::Path;

use proptest::prelude::*;
use soter_world::sim::cases;

use super::*;
use crate::lsn::Timeline;
use crate::relation::RelationSegment;
use crate::testing::{Shutdown, TestCluster};
use crate::wal::decoder::WalDecoder;
use crate::wal::header::SegmentHeader;
use crate::wal::workload;
use crate::wal::writer::{
    Block, FIRST_SEGMENT, HEAP, IDENTITY, Writer, body, commit_data, file, file_bytes,
};

fn map_of(writer: &Writer) -> ChangeMap {
    let mut map = ChangeMap::new(IDENTITY.version);
    let mut decoder = WalDecoder::new(IDENTITY, Timeline::FIRST, FIRST_SEGMENT);
    decoder.feed(&writer.bytes, &mut |record| map.note(record)).unwrap();
    map
}

fn touch(writer: &mut Writer, relation: u32, block: u32) {
    let (file, fork, block) = (file(relation), Fork::Main, BlockNumber(block));
    writer.record(HEAP, 0, &body(&[Block { file, fork, block, data_bytes: 0 }], &[]));
}

fn storage(writer: &mut Writer, info: u8, words: &[u32], file: RelationFile, after: u32) {
    let mut data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    data.extend(file_bytes(file));
    data.extend(after.to_le_bytes());
    writer.record(ResourceManager::STORAGE, info, &body(&[], &data));
}

fn create(writer: &mut Writer, relation: u32) {
    storage(writer, 0x10, &[], file(relation), 0);
}

fn truncate(writer: &mut Writer, relation: u32, limit: u32) {
    storage(writer, 0x20, &[limit], file(relation), 7);
}

fn blocks(map: &ChangeMap, relation: u32) -> (Option<u32>, Vec<u32>) {
    match map.changes(file(relation), Fork::Main) {
        Changes::Blocks(changes) => {
            (changes.limit().map(|limit| limit.0), changes.blocks().map(|block| block.0).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn blocks_and_limits() {
    let mut writer = Writer::new();
    for block in [0, 511, 512, 9_999_999, u32::MAX, 512] {
        touch(&mut writer, 1, block);
    }
    touch(&mut writer, 2, 5);
    touch(&mut writer, 2, 100);
    truncate(&mut writer, 2, 50);
    touch(&mut writer, 2, 200);
    truncate(&mut writer, 2, 60);
    touch(&mut writer, 3, 1);
    create(&mut writer, 3);
    let map = map_of(&writer);
    assert_eq!(blocks(&map, 1), (None, vec![0, 511, 512, 9_999_999, u32::MAX]));
    assert_eq!(blocks(&map, 2), (Some(50), vec![5]));
    assert_eq!(map.changes(file(3), Fork::Main), Changes::Everything);
    assert_eq!(map.changes(file(4), Fork::Main), Changes::None);
    assert_eq!(map.changes(file(4), Fork::VisibilityMap), Changes::Everything);
    assert_eq!(map.leaves, 5);
    let Changes::Blocks(second) = map.changes(file(2), Fork::Main) else { panic!() };
    let contained = [4, 5, 6, 49, 50, 1000].map(|block| second.contains(BlockNumber(block)));
    assert_eq!(contained, [false, true, false, false, true, true]);
}

#[test]
fn files_removed_by_a_commit_are_new_afterwards() {
    let mut writer = Writer::new();
    touch(&mut writer, 1, 1);
    let data = commit_data(1, 2, &[file(1), file(2)]);
    writer.record(ResourceManager::TRANSACTION, 0x81, &body(&[], &data));
    let map = map_of(&writer);
    assert_eq!(map.changes(file(1), Fork::Main), Changes::Everything);
    assert_eq!(map.changes(file(2), Fork::Main), Changes::Everything);
    assert_eq!(map.distrust(), None);
}

#[test]
fn databases_are_taken_whole() {
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    for (info, data) in [
        (0x00, words(&[5, 1663, 1, 1663])),
        (0x11, words(&[5, 1663])),
        (0x21, words(&[5, 2, 1663, 20_000])),
    ] {
        let mut writer = Writer::new();
        writer.record(ResourceManager::DATABASE, info, &body(&[], &data));
        let map = map_of(&writer);
        assert_eq!(map.changes(file(1), Fork::Main), Changes::Everything, "{info:X}");
        let elsewhere = RelationFile { database: DatabaseId(6), ..file(1) };
        assert_eq!(map.changes(elsewhere, Fork::Main), Changes::None);
        assert_eq!(map.databases().count(), if info == 0x21 { 2 } else { 1 });
    }
}

#[test]
fn what_cannot_be_trusted_says_everything() {
    let check = |manager: ResourceManager, info: u8, data: &[u8], reason: DistrustReason| {
        let mut writer = Writer::new();
        touch(&mut writer, 1, 1);
        let lsn = writer.record(manager, info, &body(&[], data));
        touch(&mut writer, 1, 2);
        let map = map_of(&writer);
        assert_eq!(map.distrust(), Some(Distrust { lsn, reason }));
        assert_eq!(map.changes(file(9), Fork::Main), Changes::Everything);
        assert_eq!(map.relations().count(), 0);
    };
    let unknown = |manager, info| DistrustReason::UnknownRecord { manager, info };
    let unreadable = |manager, info| DistrustReason::Unreadable { manager, info };
    for manager in [ResourceManager(128), HEAP, ResourceManager(5)] {
        check(manager, 0x01, &[], unknown(manager, 0x01));
    }
    for (manager, info) in [(ResourceManager::STORAGE, 0x30), (ResourceManager::DATABASE, 0x30)] {
        check(manager, info, &[0; 40], unknown(manager, info));
    }
    for (manager, info) in [(ResourceManager::STORAGE, 0x10), (ResourceManager::DATABASE, 0x20)] {
        check(manager, info, &[1; 8], unreadable(manager, info));
    }
    check(ResourceManager::XLOG, 0x60, &[0; 28], DistrustReason::WalLevelMinimal);
}

#[test]
fn a_commit_of_too_many_files_says_everything() {
    let mut writer = Writer::new();
    let data = commit_data(1, 17 << 20, &[file(1)]);
    writer.record(ResourceManager::TRANSACTION, 0x81, &body(&[], &data));
    let reason = map_of(&writer).distrust().unwrap().reason;
    let (manager, info) = (ResourceManager::TRANSACTION, 0x81);
    assert_eq!(reason, DistrustReason::Unreadable { manager, info });
}

#[test]
fn maps_are_joined_only_without_a_gap() {
    let mut writer = Writer::new();
    let mut decoder = WalDecoder::new(IDENTITY, Timeline::FIRST, FIRST_SEGMENT);
    let mut maps = Vec::new();
    for block in 0..3 {
        let before = writer.bytes.len();
        touch(&mut writer, 1, block);
        let mut map = ChangeMap::new(IDENTITY.version);
        decoder.feed(&writer.bytes[before..], &mut |record| map.note(record)).unwrap();
        maps.push(map);
    }
    let mut all = maps[0].clone();
    all.append(&maps[1]);
    all.append(&maps[2]);
    assert_eq!(all, map_of(&writer));
    let mut with_gap = maps[0].clone();
    with_gap.append(&maps[2]);
    assert_eq!(with_gap.distrust().unwrap().reason, DistrustReason::Gap);
    let mut again = all.clone();
    again.append(&maps[2]);
    assert_eq!(again, all, "the same records twice change nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    /// Against a plain set of blocks, in one map and joined from two.
    #[test]
    fn a_map_is_a_set_of_blocks(
        steps in proptest::collection::vec((any::<bool>(), 0_u32..2000), 1..60), split: usize,
    ) {
        let (mut set, mut limit) = (BTreeSet::new(), None::<u32>);
        let mut maps = [ChangeMap::new(IDENTITY.version), ChangeMap::new(IDENTITY.version)];
        let mut decoder = WalDecoder::new(IDENTITY, Timeline::FIRST, FIRST_SEGMENT);
        let mut writer = Writer::new();
        for (index, (is_cut, block)) in steps.iter().enumerate() {
            let before = writer.bytes.len();
            if *is_cut && block % 3 == 0 {
                truncate(&mut writer, 1, *block + 1);
                limit = Some(limit.unwrap_or(u32::MAX).min(*block + 1));
            } else {
                touch(&mut writer, 1, *block);
                set.insert(*block);
            }
            let map = &mut maps[usize::from(index >= split % steps.len())];
            decoder.feed(&writer.bytes[before..], &mut |record| map.note(record)).unwrap();
        }
        let [mut joined, second] = maps;
        joined.append(&second);
        let whole = map_of(&writer);
        let expected: Vec<u32> =
            set.into_iter().filter(|block| limit.is_none_or(|limit| *block < limit)).collect();
        prop_assert_eq!(blocks(&whole, 1), (limit, expected));
        prop_assert_eq!(joined, whole);
    }
}

type Files = HashMap<String, Vec<u8>>;

/// All relation files of a stopped cluster.
fn relation_files(cluster: &TestCluster) -> Files {
    fn visit(root: &Path, directory: &Path, found: &mut Files, cluster: &TestCluster) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                visit(root, &path, found, cluster);
            } else if RelationSegment::parse(&name, cluster.binaries().version()).is_some() {
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut found = Files::new();
    visit(cluster.data_directory(), cluster.data_directory(), &mut found, cluster);
    found
}

fn map_from(cluster: &TestCluster, first: &str) -> ChangeMap {
    let directory = cluster.data_directory().join("pg_wal");
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.len() == 24 && name.as_str() >= first)
        .collect();
    names.sort();
    let header = SegmentHeader::parse(&std::fs::read(directory.join(first)).unwrap()).unwrap();
    let segment = header.start.segment(workload::segment_size());
    let mut decoder = WalDecoder::new(header.identity, Timeline::FIRST, segment);
    let mut map = ChangeMap::new(header.identity.version);
    for name in names {
        let bytes = std::fs::read(directory.join(name)).unwrap();
        // Behind the last record there may be an old segment that waits to be used again.
        if decoder.feed(&bytes, &mut |record| map.note(record)).is_err() {
            break;
        }
    }
    map
}

#[test]
fn real_map_has_every_page_that_changed() {
    let mut cluster = workload::cluster();
    cluster.start().unwrap();
    cluster
        .psql("create table old as select generate_series(1, 30000) i; create index on old (i)")
        .unwrap();
    cluster.psql("create table quiet as select generate_series(1, 30000) i").unwrap();
    let first = cluster.psql("checkpoint; select pg_walfile_name(pg_switch_wal() + 1)").unwrap();
    cluster.stop(Shutdown::Fast).unwrap();
    let before = relation_files(&cluster);
    cluster.start().unwrap();
    cluster.psql("update old set i = 0 where i = 77; delete from old where i > 20000").unwrap();
    workload::run(&mut cluster);
    cluster.psql("vacuum old; select sum(i) from old; select sum(i) from quiet").unwrap();
    cluster.stop(Shutdown::Fast).unwrap();
    let after = relation_files(&cluster);

    let map = map_from(&cluster, &first);
    assert_eq!(map.distrust(), None);
    let (mut pages, mut pages_saved) = (0_u32, 0);
    for (name, bytes) in &after {
        let place = RelationSegment::parse(name, cluster.binaries().version()).unwrap();
        let old = before.get(name).map_or(&[][..], Vec::as_slice);
        let changes = map.changes(place.file, place.fork);
        for (block, page) in (0..).map(BlockNumber).zip(bytes.chunks(8192)) {
            let at = usize::try_from(block.0).unwrap() * 8192;
            let is_same = old.get(at..at + 8192) == Some(page);
            let is_mapped = match changes {
                Changes::None => false,
                Changes::Blocks(changes) => changes.contains(block),
                Changes::Everything => true,
            };
            // A page that was added and never written is all zeros, in any map or none.
            let is_zero = page.iter().all(|&byte| byte == 0);
            assert!(is_same || is_mapped || is_zero, "{name} block {block}");
            pages += 1;
            pages_saved += u32::from(!is_mapped);
        }
    }
    assert!(pages_saved > pages / 4, "of {pages} pages {pages_saved} need not be read");
}
