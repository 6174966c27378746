use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;

use soter_world::sim::{SeededRandom, SimClock, seeds};

use super::*;
use crate::frame::FrameRange;
use crate::ids::{Salt, SessionId};
use crate::log::PackSet;
use crate::map::entry::{BLOCK_LENGTH, FrameRef, PAGE_LENGTH, PAGES_PER_BLOCK};
use crate::map::leaf::{Block, Leaf, PageRef};
use crate::map::put::{MapPacks, PutPacks, Putting};
use crate::map::root::{MapRoot, ShardRow};
use crate::map::shard::ShardWriter;
use crate::map::testing::{
    Backup, Bytes, MemorySink, Node, Options, Tree, Vault, attributes, path, tree,
};
use crate::map::{Counters, NoProgress};
use crate::objects::{MemoryStore, ObjectStore};
use crate::pack::{PackId, PackKeys, PackPlace, PackWriter};

const MIB: u64 = 1 << 20;

fn file(size: u64, seed: u32) -> Node {
    Node::File(Bytes::full(size, seed))
}

#[test]
fn only_what_is_selected_is_restored() {
    let files = tree([
        ("a", Node::Directory),
        ("a/b", Node::Directory),
        ("a/b/c", file(2 * MIB, 1)),
        ("a/b/d", file(600, 2)),
        ("a/e", Node::Directory),
        ("f", file(3, 3)),
    ]);
    let vault = Vault::new(1);
    let backup = vault.backup(&files, Options::FULL).unwrap();
    let sink = MemorySink::default();
    let select = |entry: &FileEntry| entry.path == path("a/b/d");
    let options = RestoreOptions { workers: 1, select: &select };
    let restored = vault
        .with_map(&backup, |map, keys| {
            restore(map, keys, &sink, options, &NoProgress, &Stop::new()).unwrap()
        })
        .unwrap();
    assert_eq!(restored, Restored { directories: 2, links: 0, files: 1, bytes: 600 });
    sink.check(&tree([("a", Node::Directory), ("a/b", Node::Directory), ("a/b/d", file(600, 2))]));
}

/// A backup whose objects a test may damage.
fn small_backup() -> (Arc<MemoryStore>, Vault, Backup, Backup, Tree) {
    let memory = Arc::new(MemoryStore::new(Arc::new(SimClock::new())));
    let vault = Vault::on(Arc::clone(&memory) as Arc<dyn ObjectStore>, 2);
    let mut files = tree([
        ("dir", Node::Directory),
        ("dir/large", Node::File(Bytes::sparse(MIB + 5))),
        ("dir/small", file(700, 4)),
        ("link", Node::Link(b"dir".to_vec())),
        ("tiny", file(40, 6)),
    ]);
    let first = vault.backup(&files, Options::FULL).unwrap();
    let Some(Node::File(large)) = files.get_mut(&path("dir/large")) else { panic!("no file") };
    large.blocks.extend([(1, 8), (8, 10)]);
    let options = Options { base: Some((&first, None)), ..Options::FULL };
    let second = vault.backup(&files, options).unwrap();
    (memory, vault, first, second, files)
}

#[test]
fn every_changed_byte_is_found_and_named_or_does_no_harm() {
    let (memory, vault, _, backup, files) = small_backup();
    for object in memory.list("", None, 100).unwrap() {
        let good = memory.read(&object.name).unwrap();
        let (mut found, mut harmless) = (0, 0);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            memory.overwrite(&object.name, &bad);
            match vault.restore(&backup) {
                Ok(sink) => {
                    // The header, the directory, the trailer, what only older backups use, and hashes,
                    // which a restore does not look at.
                    sink.check(&files);
                    let findings = vault.verify(&backup).unwrap();
                    let hashes = |found: &Damage| matches!(found.part, Part::LeafHashes(..));
                    assert!(findings.iter().all(hashes), "byte {at} of {}", object.name);
                    found += findings.len();
                    harmless += usize::from(findings.is_empty());
                }
                Err(failed) => {
                    let (error, sink) = *failed;
                    let MapError::Damaged(damage) = error else { panic!("{error}") };
                    let (name, offset) = damage.place.clone().unwrap();
                    assert_eq!(name, object.name);
                    let offset = usize::try_from(offset).unwrap();
                    assert!(offset <= at && offset >= 64, "byte {at} is not in {damage}");
                    sink.check_written(&files);
                    assert!(!vault.verify(&backup).unwrap().is_empty());
                    found += 1;
                }
            }
        }
        memory.overwrite(&object.name, &good);
        println!("{}: {found} bytes found, {harmless} harmless", object.name);
    }
    vault.check(&backup, &files);
}

#[test]
fn a_missing_object_is_named() {
    let (memory, vault, _, backup, files) = small_backup();
    for object in memory.list("", None, 100).unwrap() {
        let good = memory.read(&object.name).unwrap();
        memory.delete(&object.name).unwrap();
        match vault.restore(&backup) {
            Ok(sink) => sink.check(&files),
            Err(failed) => {
                let text = failed.0.to_string();
                assert!(text.contains(&object.name) && text.contains("missing"), "{text}");
            }
        }
        memory.overwrite(&object.name, &good);
        let cut = good.len() / 2;
        memory.overwrite(&object.name, &good[..cut]);
        match vault.restore(&backup) {
            Ok(sink) => sink.check(&files),
            Err(failed) => assert!(failed.0.to_string().contains(&object.name)),
        }
        memory.overwrite(&object.name, &good);
    }
}

#[test]
fn a_repair_stands_in_for_a_damaged_object() {
    let (memory, vault, _, backup, files) = small_backup();
    for object in memory.list("", None, 100).unwrap() {
        let good = memory.read(&object.name).unwrap();
        let repair = crate::names::repair_of(&object.name, 2);
        assert_eq!(memory.create(&repair, &good).unwrap(), crate::objects::Created::New);
        memory.overwrite(&object.name, &vec![1; good.len()]);
    }
    vault.check(&backup, &files);
}

#[test]
fn a_missing_key_is_said() {
    let (_, vault, _, backup, _) = small_backup();
    let vault = Vault { sessions: Mutex::default(), ..vault };
    let failed = vault.restore(&backup).map(drop).unwrap_err();
    assert!(matches!(failed.0, MapError::Key { .. }), "{}", failed.0);
}

#[test]
fn a_sink_that_fails_is_named() {
    struct Full;
    impl Sink for Full {
        fn directory(&self, _: &FileEntry) -> io::Result<()> {
            Ok(())
        }
        fn link(&self, _: &FileEntry, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn file(&self, _: &FileEntry, _: u64) -> io::Result<Box<dyn SinkFile>> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    let (_, vault, _, backup, _) = small_backup();
    let options = RestoreOptions { workers: 2, select: &|_| true };
    let outcome = vault.with_map(&backup, |map, keys| {
        restore(map, keys, &Full, options, &NoProgress, &Stop::new())
    });
    assert!(matches!(outcome.unwrap(), Err(MapError::Sink { .. })));
}

#[test]
fn a_stopped_restore_ends() {
    let (_, vault, _, backup, _) = small_backup();
    let (stop, sink) = (Stop::new(), MemorySink::default());
    stop.stop();
    let options = RestoreOptions { workers: 2, select: &|_| true };
    let outcome =
        vault.with_map(&backup, |map, keys| restore(map, keys, &sink, options, &NoProgress, &stop));
    assert!(matches!(outcome.unwrap(), Err(MapError::Stopped)));
}

/// Makes a map by hand, as a writer would that this code is not.
struct HandMade {
    vault: Vault,
    session: crate::map::testing::Session,
    put: PutPacks,
}

impl HandMade {
    fn new(seed: u64) -> Self {
        let vault = Vault::new(seed);
        let session = vault.session();
        Self { vault, session, put: PutPacks::default() }
    }

    /// Stores entries as they are, however wrong, and leaves before them.
    fn backup(
        self,
        leaves: &[(Leaf, Vec<ContentId>)],
        entries: impl FnOnce(&[LeafRef]) -> Vec<FileEntry>,
    ) -> (Vault, Backup) {
        let target = self.vault.target(&self.session);
        let putting = Putting { target: &target, packs: &self.put, progress: &NoProgress };
        let mut packs = MapPacks::new(putting);
        let leaves: Vec<_> = leaves
            .iter()
            .map(|(leaf, ids)| packs.add_leaf(&leaf.to_bytes(), ids).unwrap())
            .collect();
        let mut shard = ShardWriter::default();
        entries(&leaves).iter().for_each(|entry| shard.append(entry));
        let shard = shard.finish().unwrap();
        let frame = packs.add_shard(&shard.bytes).unwrap();
        packs.close().unwrap();
        let row =
            ShardRow { frame, id: ContentId([0; 16]), entries: shard.entries, first: shard.first };
        let root = MapRoot { map_packs: vec![frame.pack], shards: vec![row], ..MapRoot::default() };
        let mut packs = PackSet::default();
        let mut rows = self.vault.rows.lock().unwrap();
        for (class, number, row) in self.put.into_rows() {
            let pack = PackId { session: target.session, number };
            rows.insert(class, pack, row);
            packs.insert(class, pack);
        }
        for (class, pack) in rows.packs().iter() {
            packs.insert(class, pack);
        }
        drop(rows);
        let backup = Backup {
            root: root.to_bytes(),
            packs,
            counters: Counters::default(),
            findings: Vec::new(),
        };
        (self.vault, backup)
    }
}

fn entry(text: &str, kind: EntryKind) -> FileEntry {
    FileEntry { path: path(text), attributes: attributes(), kind }
}

#[test]
fn a_hostile_table_of_files_is_refused() {
    let link = || EntryKind::Link { target: b"/etc".to_vec() };
    let small = || EntryKind::File { size: 1, content: Content::Inline(vec![1]) };
    let tables = [
        vec![entry("a", link()), entry("a/passwd", small())],
        vec![entry("a", small()), entry("a/b", small())],
        vec![entry("a", small()), entry("a", link())],
        vec![entry("a/b", small())],
        vec![entry("b", small()), entry("a", small())],
        vec![entry("a", EntryKind::Directory), entry("a", link()), entry("a/b", small())],
    ];
    for entries in tables {
        let (vault, backup) = HandMade::new(3).backup(&[], |_| entries);
        let failed = vault.restore(&backup).map(drop).unwrap_err();
        assert!(matches!(failed.0, MapError::Damaged(_)), "{}", failed.0);
        assert_eq!(vault.verify(&backup).unwrap().len(), 1);
    }
}

#[test]
fn a_leaf_that_does_not_fit_its_file_is_refused() {
    for (blocks, size) in [(1, BLOCK_LENGTH as u64 + 1), (2, 5), (1, 0)] {
        let leaf = Leaf { blocks: vec![Block::default(); blocks] };
        let (vault, backup) = HandMade::new(4).backup(&[(leaf, Vec::new())], |leaves| {
            let content = Content::Leaves(leaves.to_vec());
            vec![entry("a", EntryKind::File { size, content })]
        });
        let failed = vault.restore(&backup).map(drop).unwrap_err();
        assert!(matches!(failed.0, MapError::Damaged(_)), "{}", failed.0);
    }
}

#[test]
fn frames_that_are_elsewhere_or_of_another_kind_are_refused() {
    let frame = |number, offset, length| FrameRef {
        pack: PackId { session: SessionId([9; 8]), number },
        range: FrameRange { offset, length },
    };
    let hand = HandMade::new(5);
    let map_pack = PackId { session: hand.session.id, number: 0 };
    let own = FrameRef { pack: map_pack, range: FrameRange { offset: 64, length: 100 } };
    let blocks = [frame(0, 64, 100), frame(77, 1_000_000, 100), own];
    let blocks = blocks.map(|base| Block { base: Some(base), pages: Vec::new() });
    let size = blocks.len() as u64 * BLOCK_LENGTH as u64;
    let leaf = Leaf { blocks: blocks.to_vec() };
    let (vault, backup) = hand.backup(&[(leaf, Vec::new())], |leaves| {
        let content = Content::Leaves(leaves.to_vec());
        vec![entry("a", EntryKind::File { size, content })]
    });
    let outcome = vault.verify(&backup);
    assert!(matches!(outcome, Err(MapError::Key { .. })), "the session is unknown");
    let key = crate::crypto::SymmetricKey::from_bytes([1; 32]);
    vault.sessions.lock().unwrap().insert(SessionId([9; 8]), key);
    assert_eq!(vault.verify(&backup).unwrap().len(), 3);
}

/// What a block was made of, page by page.
struct PageModel {
    block: Block,
    bytes: Vec<u8>,
}

/// Frames for blocks with up to three layers of pages over a base, in several packs.
struct PageFrames<'v> {
    vault: &'v Vault,
    session: SessionId,
    key: crate::crypto::SymmetricKey,
    next: AtomicU32,
}

impl PageFrames<'_> {
    /// Stores frames in one pack.
    fn store(&self, frames: &[(FrameType, Vec<u8>)]) -> Vec<FrameRef> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = PackId { session: self.session, number };
        let place = PackPlace { class: PackClass::Data, store: self.vault.store, id };
        let keys = PackKeys { content: self.key.clone(), metadata: self.vault.metadata.clone() };
        let salt = Salt::random(&self.vault.random);
        let mut pack = PackWriter::new(place, keys, salt, Vec::new());
        let mut writer = crate::frame::FrameWriter::new(crate::frame::Compression::Zstd(1));
        let add = |(kind, raw): &(FrameType, Vec<u8>)| FrameRef {
            pack: id,
            range: pack.add(&mut writer, *kind, raw, None),
        };
        let frames = frames.iter().map(add).collect();
        let sealed = pack.finish(&mut writer);
        let created = self.vault.objects.create(&sealed.name, &sealed.bytes).unwrap();
        assert_eq!(created, crate::objects::Created::New);
        self.vault.rows.lock().unwrap().insert(PackClass::Data, id, sealed.row);
        frames
    }
}

/// Random blocks, made by the rules of the format page and by nothing of the code that reads them.
fn page_models(
    frames: &PageFrames<'_>,
    random: &SeededRandom,
    lengths: &[usize],
) -> Vec<PageModel> {
    let page = |seed: u64| {
        let mut bytes = vec![0; PAGE_LENGTH];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    };
    let mut models = Vec::new();
    let mut bases = Vec::new();
    for length in lengths {
        let has_base = random.chance(80);
        let mut bytes = vec![0; BLOCK_LENGTH];
        if has_base {
            // A base of a block with pages may be shorter or longer than the block is by now.
            let base = [*length, BLOCK_LENGTH, PAGE_LENGTH, 100][random.index(4)];
            let whole: Vec<u8> = (0..16).flat_map(|_| page(random.next())).collect();
            bytes[..base].copy_from_slice(&whole[..base]);
            bases.push((FrameType::Block, whole[..base].to_vec()));
        }
        models.push((PageModel { block: Block::default(), bytes }, has_base));
    }
    let mut bases = frames.store(&bases).into_iter();
    let layers = random.index(3) + 1;
    for (model, has_base) in &mut models {
        model.block.base = if *has_base { bases.next() } else { None };
    }
    for _ in 0..layers {
        let mut raw: Vec<Vec<u8>> = vec![Vec::new()];
        let mut places = Vec::new();
        for (index, (model, _)) in models.iter_mut().enumerate() {
            let mask = u16::try_from(random.below(1 << 16) & random.below(1 << 16)).unwrap() | 1;
            let pages = mask.count_ones() as usize;
            if raw.last().unwrap().len() / PAGE_LENGTH + pages > PAGES_PER_BLOCK {
                raw.push(Vec::new());
            }
            let slot = raw.last().unwrap().len() / PAGE_LENGTH;
            places.push((index, raw.len() - 1, mask, slot));
            for number in (0..PAGES_PER_BLOCK).filter(|number| mask & 1 << number != 0) {
                let bytes = page(random.next());
                model.bytes[number * PAGE_LENGTH..][..PAGE_LENGTH].copy_from_slice(&bytes);
                raw.last_mut().unwrap().extend_from_slice(&bytes);
            }
        }
        let raw: Vec<_> = raw.into_iter().map(|raw| (FrameType::Pages, raw)).collect();
        let stored = frames.store(&raw);
        for (index, frame, mask, slot) in places {
            let slot = u8::try_from(slot).unwrap();
            let pages = PageRef { frame: stored[frame], mask, slot };
            models[index].0.block.pages.push(pages);
        }
    }
    models.into_iter().map(|(model, _)| model).collect()
}

/// Keeps the bytes of one file.
#[derive(Default)]
struct Flat(Arc<Mutex<Vec<u8>>>);

impl Sink for Flat {
    fn directory(&self, _: &FileEntry) -> io::Result<()> {
        Ok(())
    }
    fn link(&self, _: &FileEntry, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn file(&self, _: &FileEntry, size: u64) -> io::Result<Box<dyn SinkFile>> {
        *self.0.lock().unwrap() = vec![0; usize::try_from(size).unwrap()];
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }
}

impl SinkFile for Flat {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn pages_are_laid_over_their_blocks() {
    for seed in seeds(20) {
        println!("seed {seed}");
        let random = SeededRandom::new(seed);
        let hand = HandMade::new(seed);
        let session = SessionId([8; 8]);
        let key = crate::crypto::SymmetricKey::random(&soter_world::SystemRandom);
        hand.vault.sessions.lock().unwrap().insert(session, key.clone());
        let frames = PageFrames { vault: &hand.vault, session, key, next: AtomicU32::new(0) };
        let last = [BLOCK_LENGTH, 1, PAGE_LENGTH, 3 * PAGE_LENGTH + 17][random.index(4)];
        let mut lengths = vec![BLOCK_LENGTH; random.index(12)];
        lengths.push(last);
        let models = page_models(&frames, &random, &lengths);
        let leaf = Leaf { blocks: models.iter().map(|model| model.block.clone()).collect() };
        let mut expected: Vec<u8> = models.into_iter().flat_map(|model| model.bytes).collect();
        expected.truncate(lengths.iter().sum());
        let size = expected.len() as u64;
        let (vault, backup) = hand.backup(&[(leaf, Vec::new())], |leaves| {
            let content = Content::Leaves(leaves.to_vec());
            vec![entry("a", EntryKind::File { size, content })]
        });
        let (sink, options) = (Flat::default(), RestoreOptions { workers: 1, select: &|_| true });
        vault
            .with_map(&backup, |map, keys| {
                restore(map, keys, &sink, options, &NoProgress, &Stop::new()).unwrap()
            })
            .unwrap();
        assert!(*sink.0.lock().unwrap() == expected);
        assert_eq!(vault.verify(&backup).unwrap(), []);
    }
}

#[test]
fn other_content_than_the_map_says_is_found() {
    let (_, vault, _, backup, _) = small_backup();
    let other = crate::crypto::SymmetricKey::from_bytes([9; 32]).content_id_key();
    let findings = vault.with_map(&backup, |map, keys| {
        verify_contents(map, keys, &other, 2, &NoProgress, &Stop::new()).unwrap()
    });
    let parts: BTreeSet<_> = findings.unwrap().iter().map(|found| found.part.to_string()).collect();
    let expected = ["block 1 of dir/large", "block 8 of dir/large", "dir/small"];
    assert_eq!(parts.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
