use proptest::prelude::*;

use super::*;
use crate::frame::FrameRange;
use crate::ids::{ContentId, SessionId};

fn any_frame() -> impl Strategy<Value = FrameRef> {
    (0..3u8, 0..5u32, 64..60_000_000u32, 28..1_000_000u32).prop_map(
        |(session, number, offset, length)| FrameRef {
            pack: PackId { session: SessionId([session; 8]), number },
            range: FrameRange { offset, length },
        },
    )
}

fn any_kind() -> impl Strategy<Value = EntryKind> {
    let bytes = |range| proptest::collection::vec(any::<u8>(), range);
    let leaf = (any_frame(), 0..20_000u32).prop_map(|(frame, hashes_length)| LeafRef {
        frame,
        hashes_length: if hashes_length < 28 { 0 } else { hashes_length },
    });
    prop_oneof![
        Just(EntryKind::Directory),
        "[^\0]{1,50}".prop_map(|target| EntryKind::Link { target: target.into_bytes() }),
        bytes(0..=INLINE_LENGTH_MAX).prop_map(|bytes| EntryKind::File {
            size: bytes.len() as u64,
            content: Content::Inline(bytes)
        }),
        (any_frame(), 0..500_000u32, 0..500_000u64, any::<[u8; 16]>()).prop_map(
            |(frame, offset, size, id)| EntryKind::File {
                size,
                content: Content::Eager(EagerRef { frame, offset, id: ContentId(id) })
            }
        ),
        (proptest::collection::vec(leaf, 1..5), 1..=(128u64 << 20)).prop_map(|(leaves, rest)| {
            let size = (leaves.len() as u64 - 1) * (128 << 20) + rest;
            EntryKind::File { size, content: Content::Leaves(leaves) }
        }),
    ]
}

prop_compose! {
    fn any_entry()(
        path in "[a-z]{1,3}(/[a-z.-]{3,9}){0,3}",
        mode in 0..=0o7777u32,
        owner in 0..3u32,
        seconds in -100_000_000_000..100_000_000_000i64,
        nanoseconds in 0..1_000_000_000i32,
        kind in any_kind(),
    ) -> FileEntry {
        let owner = FileOwner {
            user: owner,
            group: owner + 1,
            user_name: format!("user{owner}"),
            group_name: String::new(),
        };
        FileEntry {
            path: FilePath::new(path.as_bytes()).unwrap_or_else(|_| FilePath::new(b"x").unwrap()),
            attributes: Attributes {
                mode,
                owner: Arc::new(owner),
                modified: Timestamp::new(seconds, nanoseconds).unwrap(),
            },
            kind,
        }
    }
}

fn shards(entries: &[FileEntry]) -> Vec<FinishedShard> {
    let mut writer = ShardWriter::default();
    let mut shards: Vec<_> = entries.iter().filter_map(|entry| writer.add(entry)).collect();
    shards.extend(writer.finish());
    shards
}

fn read(shards: &[FinishedShard]) -> Vec<FileEntry> {
    shards.iter().flat_map(|shard| parse_shard(&shard.bytes, ShardKind::Table).unwrap()).collect()
}

proptest! {
    #[test]
    fn entries_are_read_back_as_they_were_written(
        mut entries in proptest::collection::vec(any_entry(), 1..40),
        cut in any::<proptest::sample::Index>(),
        flip in any::<(proptest::sample::Index, u8)>(),
    ) {
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        let shards = shards(&entries);
        prop_assert_eq!(read(&shards), entries);
        for shard in shards {
            let cut = &shard.bytes[..cut.index(shard.bytes.len())];
            prop_assert!(parse_shard(cut, ShardKind::Table).is_err());
            let mut changed = shard.bytes;
            let at = flip.0.index(changed.len());
            changed[at] ^= flip.1;
            drop(parse_shard(&changed, ShardKind::Table));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(entries) = parse_shard(&bytes, ShardKind::Table) {
            prop_assert!(entries.len() <= bytes.len());
        }
    }
}

fn file(number: usize, bytes: usize) -> FileEntry {
    FileEntry {
        path: FilePath::new(format!("f{number:06}").as_bytes()).unwrap(),
        attributes: Attributes {
            mode: 0o600,
            owner: Arc::default(),
            modified: Timestamp::UNIX_EPOCH,
        },
        kind: EntryKind::File { size: bytes as u64, content: Content::Inline(vec![7; bytes]) },
    }
}

#[test]
fn shards_stay_below_their_limits() {
    for (count, bytes) in [(20_000, 1), (3000, INLINE_LENGTH_MAX)] {
        let entries: Vec<_> = (0..count).map(|number| file(number, bytes)).collect();
        let shards = shards(&entries);
        assert!(shards.len() > 1);
        for shard in &shards {
            assert!(shard.entries <= SHARD_ENTRIES_MAX);
            assert!(shard.bytes.len() <= SHARD_LENGTH_MAX + 100, "{}", shard.bytes.len());
        }
        assert_eq!(read(&shards), entries);
    }
}

#[test]
fn a_new_file_changes_only_the_shards_around_it() {
    let mut entries: Vec<_> = (0..20_000).map(|number| file(number, 1)).collect();
    let before: Vec<_> = shards(&entries).into_iter().map(|shard| shard.bytes).collect();
    entries.remove(10_000);
    let after: Vec<_> = shards(&entries).into_iter().map(|shard| shard.bytes).collect();
    let same = after.iter().filter(|bytes| before.contains(bytes)).count();
    assert!(same >= before.len() - 3, "{same} of {} shards are the same", before.len());
}

#[test]
fn the_longest_file_fits_into_a_shard() {
    let frame = FrameRef {
        pack: PackId { session: SessionId([1; 8]), number: 0xff_ffff },
        range: FrameRange { offset: 60_000_000, length: 40_000 },
    };
    let leaf = LeafRef { frame, hashes_length: 17_000 };
    let leaves = vec![leaf; usize::try_from(leaf_count(FILE_LENGTH_MAX)).unwrap()];
    let mut entry = file(0, 1);
    entry.kind = EntryKind::File { size: FILE_LENGTH_MAX, content: Content::Leaves(leaves) };
    let shards = shards(std::slice::from_ref(&entry));
    assert!(shards[0].bytes.len() <= RAW_LENGTH_MAX);
    assert_eq!(read(&shards), [entry]);
}

#[test]
fn late_files_may_be_longer() {
    let entry = file(0, LATE_LENGTH_MAX);
    let bytes = &shards(std::slice::from_ref(&entry))[0].bytes;
    assert_eq!(parse_shard(bytes, ShardKind::Late).unwrap(), [entry]);
    assert!(parse_shard(bytes, ShardKind::Table).is_err());
}
