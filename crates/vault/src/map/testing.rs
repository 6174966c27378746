//! A vault in memory, files made from seeds, and a target that holds what was restored: what tests
//! of maps compare.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use soter_world::sim::{SeededRandom, SimClock};
use soter_world::{Stop, SystemRandom};

use crate::crypto::SymmetricKey;
use crate::frame::Compression;
use crate::ids::{BackupId, SessionId, StoreId};
use crate::keys::KeyError;
use crate::log::{PackRows, PackSet};
use crate::map::*;
use crate::names::PackClass;
use crate::objects::{MemoryStore, ObjectStore};
use crate::pack::{PackId, PackNumbers};

/// The bytes of a file: zeros, and blocks made from seeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Bytes {
    pub(super) size: u64,
    /// Seed of each block that is not zero.
    pub(super) blocks: BTreeMap<u64, u32>,
}

impl Bytes {
    /// A file whose every block has content.
    pub(super) fn full(size: u64, seed: u32) -> Self {
        let blocks = size.div_ceil(BLOCK_LENGTH as u64);
        Self { size, blocks: (0..blocks).map(|block| (block, seed + low(block))).collect() }
    }

    /// A file of zeros.
    pub(super) fn sparse(size: u64) -> Self {
        Self { size, blocks: BTreeMap::new() }
    }

    /// The whole of a block.
    fn block(&self, block: u64) -> Vec<u8> {
        let length = block_length(self.size, block);
        match self.blocks.get(&block) {
            None => vec![0; length],
            Some(seed) => {
                let mut bytes = pattern(*seed);
                bytes.truncate(length);
                bytes
            }
        }
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        assert!(offset.is_multiple_of(BLOCK_LENGTH as u64));
        let end = self.size.min(offset + buffer.len() as u64);
        let length = usize::try_from(end.saturating_sub(offset)).unwrap();
        buffer[..length].fill(0);
        let first = offset / BLOCK_LENGTH as u64;
        let last = end.div_ceil(BLOCK_LENGTH as u64).max(first);
        for (block, _) in self.blocks.range(first..last) {
            let bytes = self.block(*block);
            let at = usize::try_from(block * BLOCK_LENGTH as u64 - offset).unwrap();
            let length = bytes.len().min(length.saturating_sub(at));
            buffer[at..at + length].copy_from_slice(&bytes[..length]);
        }
        length
    }
}

/// 128 KiB that belong to a seed: random, or for every other seed compressible.
pub(super) fn pattern(seed: u32) -> Vec<u8> {
    let mut reader = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut bytes = vec![0; BLOCK_LENGTH];
    if seed.is_multiple_of(2) {
        let mut piece = [0; 1024];
        reader.fill(&mut piece);
        bytes.chunks_mut(piece.len()).for_each(|chunk| chunk.copy_from_slice(&piece));
    } else {
        reader.fill(&mut bytes);
    }
    bytes
}

fn low(number: u64) -> u32 {
    u32::try_from(number % (1 << 31)).unwrap()
}

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    Link(Vec<u8>),
    File(Bytes),
}

/// Files to be backed up, or that were restored.
pub(super) type Tree = BTreeMap<FilePath, Node>;

pub(super) fn path(text: &str) -> FilePath {
    FilePath::new(text.as_bytes()).unwrap()
}

pub(super) fn tree<const N: usize>(nodes: [(&str, Node); N]) -> Tree {
    nodes.into_iter().map(|(text, node)| (path(text), node)).collect()
}

pub(super) fn attributes() -> Attributes {
    let owner = FileOwner { user: 26, group: 26, user_name: "postgres".into(), ..<_>::default() };
    let modified = Timestamp::new(1_700_000_000, 123_456_789).unwrap();
    Attributes { mode: 0o600, owner: Arc::new(owner), modified }
}

pub(super) fn plan(tree: &Tree) -> Vec<SourceFile> {
    let file = |(path, node): (&FilePath, &Node)| SourceFile {
        path: path.clone(),
        attributes: attributes(),
        kind: match node {
            Node::Directory => SourceKind::Directory,
            Node::Link(target) => SourceKind::Link { target: target.clone() },
            Node::File(bytes) => SourceKind::File { size: bytes.size },
        },
    };
    tree.iter().map(file).collect()
}

/// Gives the files of a tree, which may be another than the plan was made from.
pub(super) struct TreeSource<'t> {
    pub(super) tree: &'t Tree,
    pub(super) paths: Vec<FilePath>,
}

impl<'t> TreeSource<'t> {
    pub(super) fn new(tree: &'t Tree, plan: &[SourceFile]) -> Self {
        Self { tree, paths: plan.iter().map(|file| file.path.clone()).collect() }
    }
}

struct TreeReader<'t>(&'t Bytes);

impl Source for TreeSource<'_> {
    fn open(
        &self,
        file: usize,
        range: Range<u64>,
    ) -> io::Result<Option<Box<dyn SourceReader + '_>>> {
        assert!(range.start.is_multiple_of(READ_LENGTH as u64) && range.start < range.end);
        Ok(match self.tree.get(&self.paths[file]) {
            Some(Node::File(bytes)) => Some(Box::new(TreeReader(bytes))),
            _ => None,
        })
    }
}

impl SourceReader for TreeReader<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.0.read_at(offset, buffer))
    }
}

/// Holds what was restored.
#[derive(Default)]
pub(super) struct MemorySink {
    files: Mutex<BTreeMap<FilePath, Arc<MemoryFile>>>,
    others: Mutex<BTreeMap<FilePath, Node>>,
}

struct MemoryFile {
    size: u64,
    blocks: Mutex<BTreeMap<u64, Vec<u8>>>,
    finished: Mutex<u32>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink for MemorySink {
    fn directory(&self, entry: &FileEntry) -> io::Result<()> {
        assert_eq!(entry.attributes, attributes());
        let before = locked(&self.others).insert(entry.path.clone(), Node::Directory);
        assert_eq!(before, None);
        Ok(())
    }

    fn link(&self, entry: &FileEntry, target: &[u8]) -> io::Result<()> {
        locked(&self.others).insert(entry.path.clone(), Node::Link(target.to_vec()));
        Ok(())
    }

    fn file(&self, entry: &FileEntry, size: u64) -> io::Result<Box<dyn SinkFile>> {
        if let Some(parent) = entry.path.parent() {
            let parent = FilePath::new(parent).unwrap();
            assert!(locked(&self.others).contains_key(&parent), "{parent} is not there");
        }
        let file = MemoryFile { size, blocks: Mutex::default(), finished: Mutex::default() };
        let file = Arc::new(file);
        let before = locked(&self.files).insert(entry.path.clone(), Arc::clone(&file));
        assert!(before.is_none());
        Ok(Box::new(Shared(file)))
    }
}

struct Shared(Arc<MemoryFile>);

impl SinkFile for Shared {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(offset + bytes.len() as u64 <= self.0.size);
        let mut blocks = locked(&self.0.blocks);
        let mut rest = bytes;
        let mut offset = offset;
        while !rest.is_empty() {
            let block = offset / BLOCK_LENGTH as u64;
            let at = usize::try_from(offset % BLOCK_LENGTH as u64).unwrap();
            let length = rest.len().min(BLOCK_LENGTH - at);
            let whole = block_length(self.0.size, block);
            let of_block = blocks.entry(block).or_insert_with(|| vec![0; whole]);
            of_block[at..at + length].copy_from_slice(&rest[..length]);
            rest = &rest[length..];
            offset += length as u64;
        }
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        *locked(&self.0.finished) += 1;
        Ok(())
    }
}

impl MemorySink {
    /// Compares with the files that should be there.
    pub(super) fn check(&self, expected: &Tree) {
        let files = locked(&self.files);
        let others = locked(&self.others);
        let found: Vec<_> = files.keys().chain(others.keys()).collect();
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(sorted, expected.keys().collect::<Vec<_>>());
        for (path, node) in expected {
            match node {
                Node::File(bytes) => files[path].check(path, bytes),
                other => assert_eq!(&others[path], other, "{path}"),
            }
        }
    }

    /// Everything that was written must be right, even if not all was.
    pub(super) fn check_written(&self, expected: &Tree) {
        for (path, file) in &*locked(&self.files) {
            let Some(Node::File(bytes)) = expected.get(path) else { panic!("{path} is new") };
            for (block, written) in &*locked(&file.blocks) {
                assert!(*written == bytes.block(*block), "block {block} of {path}");
            }
        }
    }
}

impl MemoryFile {
    fn check(&self, path: &FilePath, expected: &Bytes) {
        assert_eq!(self.size, expected.size, "size of {path}");
        assert_eq!(*locked(&self.finished), 1, "{path} must be finished once");
        let blocks = locked(&self.blocks);
        for block in 0..expected.size.div_ceil(BLOCK_LENGTH as u64) {
            match blocks.get(&block) {
                Some(found) => assert!(*found == expected.block(block), "block {block} of {path}"),
                // A pattern cut to one byte may happen to be zero.
                None => {
                    let is_zero = expected.block(block).iter().all(|byte| *byte == 0);
                    assert!(is_zero, "block {block} of {path}");
                }
            }
        }
    }
}

/// A store of a vault, and who wrote into it.
pub(super) struct Vault {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) clock: Arc<SimClock>,
    pub(super) random: SeededRandom,
    pub(super) store: StoreId,
    pub(super) metadata: SymmetricKey,
    pub(super) sessions: Mutex<BTreeMap<SessionId, SymmetricKey>>,
    /// The rows of all log entries.
    pub(super) rows: Mutex<PackRows>,
}

/// A committed backup: what its log entry says.
#[derive(Debug, Clone)]
pub(super) struct Backup {
    pub(super) root: Vec<u8>,
    pub(super) packs: PackSet,
    pub(super) counters: Counters,
    pub(super) findings: Vec<Damage>,
}

/// Says which packs of a base may be shared.
pub(super) type Choice<'o> = &'o (dyn Fn(PackClass, PackId) -> bool + Sync);

/// How a test writes a backup.
#[derive(Clone, Copy)]
pub(super) struct Options<'o> {
    pub(super) workers: usize,
    pub(super) compression: Compression,
    pub(super) base: Option<(&'o Backup, Option<Choice<'o>>)>,
    pub(super) adopted: Option<&'o Adopted>,
}

impl Options<'_> {
    pub(super) const FULL: Self =
        Self { workers: 2, compression: Compression::Zstd(1), base: None, adopted: None };
}

/// A session at work.
pub(super) struct Session {
    pub(super) id: SessionId,
    key: SymmetricKey,
    numbers: PackNumbers,
}

impl Vault {
    pub(super) fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new());
        Self::on(Arc::new(MemoryStore::new(clock)), seed)
    }

    pub(super) fn on(objects: Arc<dyn ObjectStore>, seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        Self {
            objects,
            clock: Arc::new(SimClock::new()),
            store: StoreId::random(&random),
            // Not from the seed: two tests with one seed would seal other bytes under one key.
            metadata: SymmetricKey::random(&SystemRandom),
            random,
            sessions: Mutex::default(),
            rows: Mutex::default(),
        }
    }

    /// The same machine once more, as it was before it wrote anything, in front of an empty vault:
    /// restored from a snapshot, or cloned. Chance is another from here on.
    pub(super) fn fork(&self, session: &Session, seed: u64) -> (Self, Session) {
        let clock = Arc::new(SimClock::new());
        let machine = Self {
            objects: Arc::new(MemoryStore::new(Arc::clone(&clock) as _)),
            clock,
            random: SeededRandom::new(seed),
            store: self.store,
            metadata: self.metadata.clone(),
            sessions: Mutex::new(locked(&self.sessions).clone()),
            rows: Mutex::default(),
        };
        let (id, key) = (session.id, session.key.clone());
        (machine, Session { id, key, numbers: PackNumbers::default() })
    }

    pub(super) fn session(&self) -> Session {
        let id = SessionId::random(&self.random);
        let key = SymmetricKey::random(&SystemRandom);
        locked(&self.sessions).insert(id, key.clone());
        Session { id, key, numbers: PackNumbers::default() }
    }

    pub(super) fn target<'t>(&'t self, session: &'t Session) -> PackTarget<'t> {
        PackTarget {
            objects: &*self.objects,
            clock: &*self.clock,
            random: &self.random,
            store: self.store,
            session: session.id,
            session_key: session.key.clone(),
            metadata: self.metadata.clone(),
            content_ids: self.metadata.content_id_key(),
            numbers: &session.numbers,
        }
    }

    /// Backs a tree up in a session of its own.
    pub(super) fn backup(&self, tree: &Tree, options: Options<'_>) -> Result<Backup, MapError> {
        self.backup_in(&self.session(), (&plan(tree), tree), options)
    }

    /// Backs up by a plan that was made from a tree which may be another by now.
    pub(super) fn backup_in(
        &self,
        session: &Session,
        (plan, tree): (&[SourceFile], &Tree),
        options: Options<'_>,
    ) -> Result<Backup, MapError> {
        let source = TreeSource::new(tree, plan);
        self.write(session, plan, &source, options).map(|written| self.commit(written))
    }

    pub(super) fn write(
        &self,
        session: &Session,
        plan: &[SourceFile],
        source: &dyn Source,
        options: Options<'_>,
    ) -> Result<WrittenMap, MapError> {
        let target = self.target(session);
        let rows = |class, pack| locked(&self.rows).get(class, pack).copied();
        let map = options
            .base
            .map(|(base, _)| LoadedMap::open(&base.root, self.access(base, &rows)).unwrap());
        let chosen = options.base.and_then(|(_, chosen)| chosen);
        let sharing = chosen.map_or(Sharing::All, Sharing::Chosen);
        let Options { workers, compression, adopted, .. } = options;
        let job = BackupJob {
            plan,
            source,
            base: map.as_ref().map(|map| Base { map, sharing }),
            adopted,
            target: &target,
            options: WriteOptions { workers, compression },
        };
        write_backup(&job, &NoProgress, &Stop::new())
    }

    /// What the log does.
    pub(super) fn commit(&self, written: WrittenMap) -> Backup {
        let mut rows = locked(&self.rows);
        for (class, pack) in written.referenced.iter() {
            assert!(rows.get(class, pack).is_some(), "no entry describes {pack:?}");
        }
        for (class, pack, row) in written.rows.iter() {
            assert!(rows.get(class, pack).is_none_or(|before| before == row));
            rows.insert(class, pack, *row);
        }
        let mut packs = written.referenced;
        packs.add(&written.rows.packs());
        let (root, counters) = (written.root.to_bytes(), written.counters);
        Backup { root, packs, counters, findings: written.findings }
    }

    pub(super) fn access<'a>(&'a self, backup: &Backup, rows: PackLookup<'a>) -> MapAccess<'a> {
        MapAccess {
            objects: &*self.objects,
            store: self.store,
            backup: BackupId([7; 8]),
            metadata: self.metadata.clone(),
            packs: backup.packs.clone(),
            rows,
        }
    }

    /// Does something with a map; only packs that the backup's entry names are found.
    pub(super) fn with_map<T>(
        &self,
        backup: &Backup,
        act: impl FnOnce(&LoadedMap<'_>, SessionKeys<'_>) -> T,
    ) -> Result<T, MapError> {
        let rows = |class, pack| {
            let row = locked(&self.rows).get(class, pack).copied();
            row.filter(|_| backup.packs.contains(class, pack))
        };
        let keys = |session| {
            let unknown = KeyError::UnknownStore { store: self.store };
            locked(&self.sessions).get(&session).cloned().ok_or(unknown)
        };
        let map = LoadedMap::open(&backup.root, self.access(backup, &rows))?;
        Ok(act(&map, &keys))
    }

    /// Restores everything.
    pub(super) fn restore(
        &self,
        backup: &Backup,
    ) -> Result<MemorySink, Box<(MapError, MemorySink)>> {
        let sink = MemorySink::default();
        let options = RestoreOptions { workers: 2, select: &|_| true };
        let outcome = self.with_map(backup, |map, keys| {
            restore(map, keys, &sink, options, &NoProgress, &Stop::new())
        });
        match outcome.and_then(|outcome| outcome) {
            Ok(_) => Ok(sink),
            Err(error) => Err(Box::new((error, sink))),
        }
    }

    /// What [`verify_contents`] finds.
    pub(super) fn verify(&self, backup: &Backup) -> Result<Vec<Damage>, MapError> {
        self.with_map(backup, |map, keys| {
            let ids = self.metadata.content_id_key();
            verify_contents(map, keys, &ids, 2, &NoProgress, &Stop::new())
        })?
    }

    /// The backup must be exactly this tree, and whole.
    pub(super) fn check(&self, backup: &Backup, expected: &Tree) {
        match self.restore(backup) {
            Ok(sink) => sink.check(expected),
            Err(failed) => panic!("{}", failed.0),
        }
        assert_eq!(self.verify(backup).unwrap(), []);
    }
}
