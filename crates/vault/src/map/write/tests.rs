use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use soter_world::sim::{SeededRandom, SimDisk, seeds};

use super::*;
use crate::map::entry::{Content, EntryKind, INLINE_LENGTH_MAX, LATE_LENGTH_MAX};
use crate::map::testing::{
    Backup, Bytes, Choice, Node, Options, Tree, Vault, attributes, path, plan, tree,
};
use crate::objects::{
    Created, DirectoryStore, Faults, Faulty, MemoryStore, Metered, ObjectError, ObjectInfo,
    ObjectStore,
};

const BLOCK: u64 = BLOCK_LENGTH as u64;
const MIB: u64 = 1 << 20;

fn file(size: u64, seed: u32) -> Node {
    Node::File(Bytes::full(size, seed))
}

fn increment(base: &Backup) -> Options<'_> {
    Options { base: Some((base, None)), ..Options::FULL }
}

#[test]
fn files_of_every_size_come_back() {
    let mut files = tree([
        ("dir", Node::Directory),
        ("dir/link", Node::Link(b"/anywhere/else".to_vec())),
        ("dir/sub", Node::Directory),
        ("empty", Node::Directory),
    ]);
    let inline = INLINE_LENGTH_MAX as u64;
    let small = EAGER_LENGTH_MAX as u64;
    let limits = [0, 1, inline, 8192, BLOCK, 3 * BLOCK, small, 2 * small];
    for (seed, limit) in (0..).step_by(1000).zip(limits) {
        for size in [limit.saturating_sub(1), limit, limit + 1] {
            files.insert(path(&format!("dir/sub/{size}")), file(size, seed));
            files.insert(path(&format!("zero{size}")), Node::File(Bytes::sparse(size)));
        }
    }
    let vault = Vault::new(1);
    let backup = vault.backup(&files, Options::FULL).unwrap();
    vault.check(&backup, &files);
    let entries = vault.with_map(&backup, |map, _| map.files().count()).unwrap();
    assert_eq!(entries, files.len());
}

#[test]
fn files_of_several_leaves_come_back() {
    let mut files = Tree::new();
    for (name, size) in [
        ("under", LEAF_LENGTH - 1),
        ("exact", LEAF_LENGTH),
        ("over", LEAF_LENGTH + 1),
        ("two", 2 * LEAF_LENGTH + 5 * BLOCK + 77),
    ] {
        let mut bytes = Bytes::sparse(size);
        let last = (size - 1) / BLOCK;
        for block in [0, 500, 1023, 1024, 1500, last] {
            if block <= last {
                bytes.blocks.insert(block, u32::try_from(size % 1000 + block).unwrap());
            }
        }
        files.insert(path(name), Node::File(bytes));
    }
    let vault = Vault::new(2);
    let backup = vault.backup(&files, Options::FULL).unwrap();
    vault.check(&backup, &files);
    assert!(backup.counters.stored_bytes < 4 * MIB, "zeros are not stored");
}

#[test]
fn an_increment_stores_what_changed() {
    let mut files = tree([
        ("large", file(2 * MIB, 0)),
        ("many", Node::File(Bytes::sparse(2 * LEAF_LENGTH))),
        ("small", file(5000, 77)),
        ("smaller", file(6000, 78)),
    ]);
    let vault = Vault::new(3);
    let first = vault.backup(&files, Options::FULL).unwrap();
    let second = vault.backup(&files, increment(&first)).unwrap();
    vault.check(&second, &files);
    assert_eq!(second.counters.new_blocks, 0);
    assert_eq!(second.counters.same_leaves, 3);
    assert_eq!(second.counters.same_shards, 1);
    assert_eq!(second.counters.stored_bytes, 0, "nothing changed, so nothing is stored");

    let before = files.clone();
    let Some(Node::File(large)) = files.get_mut(&path("large")) else { panic!("no file") };
    large.blocks.insert(3, 4711);
    files.insert(path("small"), file(5001, 79));
    let third = vault.backup(&files, increment(&second)).unwrap();
    assert_eq!(third.counters.new_blocks, 1);
    assert_eq!(third.counters.same_blocks, 15 + 2048);
    assert_eq!(third.counters.same_leaves, 2);
    vault.check(&third, &files);
    vault.check(&second, &before);
}

/// Changes a tree in some of the ways in which a database changes its files.
fn change(files: &mut Tree, random: &SeededRandom) {
    let sizes = [0, 1, 512, 513, 8192, BLOCK, BLOCK + 1, MIB, MIB + 1, 5 * BLOCK + 3, 3 * MIB];
    let seed = |random: &SeededRandom| u32::try_from(random.below(1 << 20)).unwrap();
    for _ in 0..random.below(8) + 1 {
        let name = path(&format!("dir{}/{}", random.below(2), random.below(12)));
        let size = sizes[random.index(sizes.len())];
        let kind = random.below(10);
        match files.get_mut(&name) {
            None if kind == 0 => drop(files.insert(name, Node::Link(b"x".to_vec()))),
            None => drop(files.insert(name, file(size, seed(random)))),
            Some(_) if kind == 0 => drop(files.remove(&name)),
            Some(node) if kind == 1 => *node = file(size, seed(random)),
            Some(Node::File(bytes)) if kind == 2 => {
                bytes.size = size;
                bytes.blocks.retain(|block, _| block * BLOCK < size);
            }
            Some(Node::File(bytes)) => {
                let blocks = bytes.size.div_ceil(BLOCK);
                for _ in 0..random.below(3) + 1 {
                    let block = random.below(blocks.max(1));
                    match random.below(3) {
                        0 => drop(bytes.blocks.remove(&block)),
                        _ if block < blocks => drop(bytes.blocks.insert(block, seed(random))),
                        _ => {}
                    }
                }
            }
            Some(_) => {}
        }
    }
}

#[test]
fn increments_over_increments_stay_what_they_were() {
    for seed in seeds(6) {
        println!("seed {seed}");
        let random = SeededRandom::new(seed);
        let vault = Vault::new(seed);
        let mut files = tree([("dir0", Node::Directory), ("dir1", Node::Directory)]);
        let mut made: Vec<(Backup, Tree)> = Vec::new();
        let mut session = vault.session();
        for _ in 0..6 {
            change(&mut files, &random);
            if random.chance(50) {
                session = vault.session();
            }
            let unlucky = random.below(3);
            let chosen = |_, pack: PackId| u64::from(pack.session.0[0]) % 3 != unlucky;
            let base = made.last().map(|(backup, _)| backup).filter(|_| random.chance(90));
            let sharing: Option<Choice<'_>> = if random.chance(50) { Some(&chosen) } else { None };
            let options = Options {
                workers: random.index(3) + 1,
                base: base.map(|base| (base, sharing)),
                ..Options::FULL
            };
            let backup = vault.backup_in(&session, (&plan(&files), &files), options).unwrap();
            if base.is_some() && sharing.is_some() {
                for (class, pack) in backup.packs.iter() {
                    assert!(pack.session == session.id || chosen(class, pack), "{pack:?}");
                }
            }
            made.push((backup, files.clone()));
        }
        for (backup, files) in &made {
            vault.check(backup, files);
        }
    }
}

#[test]
fn blocks_in_packs_that_are_not_chosen_are_stored_anew() {
    let files = tree([("large", file(2 * MIB, 0)), ("small", file(5000, 77))]);
    let vault = Vault::new(4);
    let first = vault.backup(&files, Options::FULL).unwrap();
    let none = |_, _| false;
    let base = Some((&first, Some(&none as Choice<'_>)));
    let second = vault.backup(&files, Options { base, ..Options::FULL }).unwrap();
    assert_eq!(second.counters.new_blocks, 16);
    assert_eq!(second.packs.sessions().len(), 1);
    for (class, pack) in first.packs.iter() {
        vault
            .objects
            .delete(&crate::pack::PackPlace { class, store: vault.store, id: pack }.name())
            .unwrap();
    }
    vault.check(&second, &files);
}

#[test]
fn a_file_that_changes_its_length_meanwhile_is_what_was_read() {
    let listed = tree([
        ("gone", file(2 * MIB, 0)),
        ("gone-small", file(5000, 1)),
        ("grown", file(2 * MIB, 100)),
        ("grown-small", file(5000, 200)),
        ("shrunk", file(3 * MIB, 300)),
        ("shrunk-small", file(5000, 400)),
        ("shrunk-to-nothing", file(2 * MIB, 500)),
        ("shrunk-to-a-leaf", Node::File(Bytes::sparse(2 * LEAF_LENGTH + 1))),
    ]);
    let found = tree([
        ("grown", file(2 * MIB + 3 * BLOCK, 100)),
        ("grown-small", file(9000, 200)),
        ("shrunk", file(BLOCK + 5, 300)),
        ("shrunk-small", file(4000, 400)),
        ("shrunk-to-nothing", file(0, 500)),
        ("shrunk-to-a-leaf", Node::File(Bytes::sparse(LEAF_LENGTH))),
    ]);
    let mut expected = found.clone();
    expected.insert(path("grown"), file(2 * MIB, 100));
    expected.insert(path("grown-small"), file(5000, 200));
    let vault = Vault::new(5);
    let session = vault.session();
    let backup = vault.backup_in(&session, (&plan(&listed), &found), Options::FULL).unwrap();
    assert_eq!(backup.counters.vanished, 2);
    vault.check(&backup, &expected);
    let again = vault.backup(&found, increment(&backup)).unwrap();
    vault.check(&again, &found);
}

#[test]
fn small_files_are_stored_anew_when_they_are_spread() {
    let mut files: Tree =
        (0..20).map(|n| (path(&format!("f{n:02}")), file(2000, n * 10))).collect();
    let vault = Vault::new(6);
    let mut last = vault.backup(&files, Options::FULL).unwrap();
    let data_packs = |backup: &Backup| {
        let data = backup.packs.iter().filter(|(class, _)| *class == PackClass::Data);
        data.count()
    };
    for n in 0..20u32 {
        files.insert(path(&format!("f{n:02}")), file(2000, 1000 + n * 10));
        let none_unseen = |_, _| true;
        let base = Some((&last, Some(&none_unseen as Choice<'_>)));
        last = vault.backup(&files, Options { base, ..Options::FULL }).unwrap();
        assert!(data_packs(&last) <= 8, "{} packs", data_packs(&last));
        vault.check(&last, &files);
    }
}

#[test]
fn late_files_are_part_of_the_backup() {
    let files = tree([("global", Node::Directory), ("x", file(3000, 1))]);
    let vault = Vault::new(7);
    let session = vault.session();
    let (plan, late_bytes) = (plan(&files), vec![5; 8192]);
    let source = crate::map::testing::TreeSource::new(&files, &plan);
    let mut written = vault.write(&session, &plan, &source, Options::FULL).unwrap();
    let late = |name: &str, bytes: Vec<u8>| FileEntry {
        path: path(name),
        attributes: attributes(),
        kind: EntryKind::File { size: bytes.len() as u64, content: Content::Inline(bytes) },
    };
    written.add_late_file(&plan, late("global/pg_control", late_bytes)).unwrap();
    written.add_late_file(&plan, late("backup_label", vec![7; 100])).unwrap();
    for (name, length) in [("x", 1), ("x/y", 1), ("nowhere/z", 1), ("a", LATE_LENGTH_MAX + 1)] {
        assert!(written.add_late_file(&plan, late(name, vec![0; length])).is_err(), "{name}");
    }
    let backup = vault.commit(written);
    let paths: Vec<_> = vault
        .with_map(&backup, |map, _| {
            map.files().map(|entry| entry.unwrap().path.to_string()).collect::<Vec<_>>()
        })
        .unwrap();
    assert_eq!(paths, ["backup_label", "global", "global/pg_control", "x"]);
    assert_eq!(vault.verify(&backup).unwrap(), []);
}

#[test]
fn a_plan_that_cannot_be_restored_is_refused() {
    let vault = Vault::new(8);
    let directory = |name| SourceFile {
        path: path(name),
        attributes: attributes(),
        kind: SourceKind::Directory,
    };
    let below_link = {
        let mut link = directory("a");
        link.kind = SourceKind::Link { target: b"x".to_vec() };
        vec![link, directory("a/b")]
    };
    let mut too_long = vec![directory("a")];
    too_long[0].kind = SourceKind::File { size: FILE_LENGTH_MAX + 1 };
    let mut bad_mode = vec![directory("a")];
    bad_mode[0].attributes.mode = 0o10_000;
    let unsorted = vec![directory("b"), directory("a")];
    let orphan = vec![directory("a"), directory("b/c")];
    for plan in [below_link, too_long, bad_mode, unsorted, orphan] {
        let files = Tree::new();
        let outcome = vault.backup_in(&vault.session(), (&plan, &files), Options::FULL);
        assert!(matches!(outcome, Err(MapError::Plan { .. })), "{outcome:?}");
    }
}

/// Files of a backup that crashes: enough for several packs of each kind of frame.
fn crash_files() -> Tree {
    tree([
        ("a", file(2 * MIB, 1)),
        ("b", file(3 * MIB, 101)),
        ("c", file(9000, 201)),
        ("d", Node::File(Bytes::sparse(5 * MIB))),
    ])
}

#[test]
fn a_crash_at_any_operation_loses_nothing_and_is_adopted() {
    let files = crash_files();
    let mut adopted_blocks = Vec::new();
    for crash_at in 0.. {
        let clock = Arc::new(soter_world::sim::SimClock::new());
        let memory: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new(clock));
        let faulty = Arc::new(Faulty::new(memory, Faults::NONE, crash_at));
        let vault = Vault::on(Arc::clone(&faulty) as Arc<dyn ObjectStore>, crash_at);
        faulty.crash_at(crash_at);
        let dead = vault.session();
        let outcome = vault.backup_in(&dead, (&plan(&files), &files), Options::FULL);
        let crashed = faulty.has_crashed();
        faulty.revive();
        if !crashed {
            vault.check(&outcome.unwrap(), &files);
            break;
        }
        assert!(outcome.is_err(), "crash at {crash_at}");
        let none = PackSet::default();
        let adopted =
            Adopted::load(&*vault.objects, vault.store, &vault.metadata, &[dead.id], &none);
        let options = Options { adopted: Some(&adopted.unwrap()), ..Options::FULL };
        let backup = vault.backup(&files, options).unwrap();
        adopted_blocks.push(backup.counters.adopted_blocks);
        vault.check(&backup, &files);
    }
    assert!(
        adopted_blocks.contains(&40),
        "all blocks of a late crash are adopted: {adopted_blocks:?}"
    );
}

/// Two machines with one session, one writing number and other data: what they seal under the same
/// names has other salts, and so other keys. The audit of `crypto` sees every (key, nonce).
#[test]
fn a_cloned_writer_seals_nothing_under_a_key_and_nonce_of_its_twin() {
    let write = |machine: &Vault, session: &_, seed| {
        let files = tree([("a", file(2 * MIB, seed)), ("b", file(9000, seed + 100))]);
        let options = Options { workers: 1, ..Options::FULL };
        let backup = machine.backup_in(session, (&plan(&files), &files), options).unwrap();
        machine.check(&backup, &files);
    };
    for seed in seeds(4) {
        let origin = Vault::new(seed);
        let session = origin.session();
        for twin in 0..3 {
            let (machine, session) = origin.fork(&session, 1000 * seed + twin);
            write(&machine, &session, 1000 * u32::try_from(twin).unwrap());
        }
        // With the chance of its twin, and so its salts, it is found out.
        let (machine, session) = origin.fork(&session, 1000 * seed);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            write(&machine, &session, 5000);
        }));
        assert!(caught.is_err(), "seed {seed}: the same salts were not noticed");
    }
}

#[test]
fn a_machine_that_loses_power_at_any_operation_loses_no_backup() {
    let files = crash_files();
    let mut crash_at = 0;
    loop {
        let disk = SimDisk::new(crash_at);
        let root = std::path::Path::new("/vault");
        let open = || Arc::new(DirectoryStore::create(Arc::new(disk.clone()), root).unwrap());
        let vault = Vault::on(open(), crash_at);
        let before = disk.operations();
        disk.crash_at(before + crash_at);
        let outcome = vault.backup(&files, Options { workers: 1, ..Options::FULL });
        let crashed = disk.has_crashed();
        disk.reboot();
        let vault = Vault { objects: open(), ..vault };
        if let Ok(backup) = outcome {
            vault.check(&backup, &files);
        }
        if !crashed {
            break;
        }
        let backup = vault.backup(&files, Options::FULL).unwrap();
        vault.check(&backup, &files);
        crash_at += 3;
    }
}

#[test]
fn lost_answers_and_busy_stores_do_no_harm() {
    for seed in seeds(6) {
        println!("seed {seed}");
        let clock = Arc::new(soter_world::sim::SimClock::new());
        let memory: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new(clock));
        let faulty = Arc::new(Faulty::new(memory, Faults::ROUGH, seed));
        let vault = Vault::on(Arc::clone(&faulty) as Arc<dyn ObjectStore>, seed);
        let files = crash_files();
        let backup = vault.backup(&files, Options::FULL).unwrap();
        faulty.set_faults(Faults::NONE);
        vault.check(&backup, &files);
    }
}

#[test]
fn a_name_that_a_stranger_took_is_gone_round() {
    let vault = Vault::new(9);
    let session = vault.session();
    let store = vault.store;
    for class in [PackClass::Data, PackClass::Map] {
        let id = PackId { session: session.id, number: 0 };
        let name = crate::pack::PackPlace { class, store, id }.name();
        assert_eq!(vault.objects.create(&name, b"junk").unwrap(), Created::New);
    }
    let files = crash_files();
    let backup = vault.backup_in(&session, (&plan(&files), &files), Options::FULL).unwrap();
    vault.check(&backup, &files);
}

#[test]
fn a_damaged_base_is_stored_anew() {
    let clock = Arc::new(soter_world::sim::SimClock::new());
    let memory = Arc::new(MemoryStore::new(clock));
    let vault = Vault::on(Arc::clone(&memory) as Arc<dyn ObjectStore>, 10);
    let files = crash_files();
    let first = vault.backup(&files, Options::FULL).unwrap();
    let map_pack = memory.list("map/", None, 10).unwrap().remove(0).name;
    let good = memory.read(&map_pack).unwrap();
    for at in (64..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        memory.overwrite(&map_pack, &bad);
        let mut changed = files.clone();
        changed.insert(path("a"), file(2 * MIB, 900));
        let second = vault.backup(&changed, increment(&first)).unwrap();
        memory.overwrite(&map_pack, &good);
        vault.check(&second, &changed);
    }
    memory.delete(&map_pack).unwrap();
    let second = vault.backup(&files, increment(&first)).unwrap();
    assert!(!second.findings.is_empty());
    vault.check(&second, &files);
}

/// Counts what a backup holds at one time.
struct Gauge {
    objects: MemoryStore,
    now: AtomicU64,
    most: AtomicU64,
}

impl ObjectStore for Gauge {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
        let length = bytes.len() as u64;
        let now = self.now.fetch_add(length, Ordering::SeqCst) + length;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::yield_now();
        let outcome = self.objects.create(name, bytes);
        self.now.fetch_sub(length, Ordering::SeqCst);
        outcome
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        self.objects.read(name)
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        self.objects.read_range(name, offset, length)
    }

    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        self.objects.head(name)
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        self.objects.list(prefix, after, limit)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.objects.delete(name)
    }
}

#[test]
fn memory_does_not_grow_with_the_backup() {
    let clock = Arc::new(soter_world::sim::SimClock::new());
    let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
    let gauge = Arc::new(Gauge { objects: MemoryStore::new(clock), now, most });
    let vault = Vault::on(Arc::clone(&gauge) as Arc<dyn ObjectStore>, 11);
    let files: Tree = (0..6).map(|n| (path(&format!("f{n}")), file(25 * MIB, n * 1000))).collect();
    let backup = vault.backup(&files, Options { compression: Compression::None, ..Options::FULL });
    let backup = backup.unwrap();
    assert!(backup.counters.stored_bytes > 150 * MIB);
    // Beside what is on its way, each worker fills one pack of the same length, and reads 1 MiB.
    let pack = (crate::pack::PACK_LENGTH_TARGET as u64) + MIB;
    let in_flight = gauge.most.load(Ordering::SeqCst);
    assert!(in_flight <= 2 * pack + 4 * MIB, "{in_flight} bytes on their way");
}

#[test]
fn a_stopped_backup_ends() {
    let vault = Vault::new(12);
    let files = crash_files();
    let (session, plan) = (vault.session(), plan(&files));
    let source = crate::map::testing::TreeSource::new(&files, &plan);
    let stop = Stop::new();
    stop.stop();
    let job = BackupJob {
        plan: &plan,
        source: &source,
        base: None,
        adopted: None,
        target: &vault.target(&session),
        options: WriteOptions { workers: 2, compression: Compression::None },
    };
    let outcome = write_backup(&job, &crate::map::NoProgress, &stop);
    assert!(matches!(outcome, Err(MapError::Stopped)));
}

#[test]
fn an_unreadable_source_is_named() {
    struct Broken;
    impl Source for Broken {
        fn open(&self, _: usize, _: Range<u64>) -> io::Result<Option<Box<dyn SourceReader + '_>>> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let vault = Vault::new(13);
    let plan = plan(&crash_files());
    let outcome = vault.write(&vault.session(), &plan, &Broken, Options::FULL);
    assert!(matches!(outcome, Err(MapError::Source { .. })), "{outcome:?}");
}

#[test]
fn a_full_backup_takes_few_objects() {
    let clock = Arc::new(soter_world::sim::SimClock::new());
    let memory: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new(clock));
    let metered = Arc::new(Metered::new(memory));
    let vault = Vault::on(Arc::clone(&metered) as Arc<dyn ObjectStore>, 14);
    let files: Tree = (0..100).map(|n| (path(&format!("f{n}")), file(5000, n))).collect();
    let backup = vault.backup(&files, Options::FULL).unwrap();
    assert_eq!(backup.packs.count(), 2, "one pack of small files, one of the map");
    vault.check(&backup, &files);
}

#[test]
fn swept_and_damaged_packs_are_not_adopted() {
    let memory = Arc::new(MemoryStore::new(Arc::new(soter_world::sim::SimClock::new())));
    let vault = Vault::on(Arc::clone(&memory) as Arc<dyn ObjectStore>, 15);
    let dead = vault.session();
    let files = crash_files();
    let options = Options { workers: 1, ..Options::FULL };
    let left = vault.backup_in(&dead, (&plan(&files), &files), options).unwrap();
    let load = |swept: &PackSet| {
        Adopted::load(&*vault.objects, vault.store, &vault.metadata, &[dead.id], swept).unwrap()
    };
    assert_eq!(load(&PackSet::default()).block_count(), 40);
    assert_eq!(load(&left.packs).block_count(), 0);
    let names = memory.list("data/", None, 10).unwrap();
    for object in &names {
        let mut bytes = memory.read(&object.name).unwrap();
        bytes[100] ^= 1;
        memory.overwrite(&object.name, &bytes);
    }
    let adopted = load(&PackSet::default());
    assert_eq!((adopted.block_count(), adopted.unusable().len()), (0, names.len()));
}

#[test]
fn a_map_is_never_spread_over_too_many_packs() {
    let vault = Vault::new(16);
    let name = |n: u32| path(&format!("f{n:02}"));
    let sparse = || Bytes::sparse(MIB + 1);
    let mut files: Tree = (0..70).map(|n| (name(n), Node::File(sparse()))).collect();
    let mut last = vault.backup(&files, Options::FULL).unwrap();
    let mut most = 0;
    for n in 0..70 {
        let mut bytes = sparse();
        bytes.blocks.insert(0, 2 * n);
        files.insert(name(n), Node::File(bytes));
        last = vault.backup(&files, Options { workers: 1, ..increment(&last) }).unwrap();
        let packs = vault.with_map(&last, |map, _| map.root().map_packs.len()).unwrap();
        assert!(packs <= 65, "{packs} map packs");
        most = most.max(packs);
    }
    assert!(most > 60, "{most} map packs");
    vault.check(&last, &files);
}
