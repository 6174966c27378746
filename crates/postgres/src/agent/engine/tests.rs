use std::path::PathBuf;

use soter_world::sim::SimDisk;

use super::*;
use crate::agent::scene::{Scene, wal_bytes};
use crate::agent::spool::Recovered;

const TIMELINE: Timeline = Timeline(1);
const ASYNC: Mode = Mode::Asynchronous { part_interval: Duration::from_millis(250) };
const MIB: u64 = 1 << 20;

/// An engine and what it stands on.
struct Bench {
    scene: Scene,
    disk: SimDisk,
    engine: Engine,
}

fn spool(disk: &SimDisk, size: SegmentSize) -> Spool {
    Spool::open(Arc::new(disk.clone()), PathBuf::from("/state/spool"), size).unwrap()
}

fn engine(scene: &Scene, disk: &SimDisk, mode: Mode, beginning: Beginning) -> Engine {
    let ground = Ground {
        clock: Arc::clone(&scene.clock) as _,
        random: Arc::clone(&scene.random) as _,
        spool: Arc::new(spool(disk, scene.size)),
        size: scene.size,
        compression: Compression::Zstd(1),
    };
    Engine::new(ground, TIMELINE, scene.writer().unwrap(), mode, beginning).unwrap()
}

impl Bench {
    fn new(seed: u64, mode: Mode) -> Self {
        let scene = Scene::new(seed);
        let disk = SimDisk::with_clock(seed, Arc::clone(&scene.clock) as _);
        let beginning = Beginning { start: Lsn(3 * MIB), received: Lsn(3 * MIB) };
        let engine = engine(&scene, &disk, mode, beginning);
        Self { scene, disk, engine }
    }

    /// The server sends the next bytes.
    fn receive(&self, length: usize) {
        let at = self.engine.received_end();
        let segment = at.segment(self.scene.size);
        let offset = u64::from(at.offset_in_segment(self.scene.size));
        let mut file = self.engine.open_file(segment).unwrap();
        file.write(self.scene.size, offset, &wal_bytes(at, length)).unwrap();
        self.engine.received(Lsn(at.0 + length as u64), &[]);
    }

    /// What a process finds in the spool after this one.
    fn recovered(&self) -> Option<Recovered> {
        spool(&self.disk, self.scene.size).recover(self.scene.archive.incarnation).unwrap()
    }
}

#[test]
fn a_spool_that_could_not_be_synced_stands_in_for_nothing_any_more() {
    for failing in 0..10 {
        let bench = Bench::new(failing, ASYNC);
        bench.receive(5000);
        bench.engine.sync_spool().unwrap();
        bench.receive(7000);
        bench.disk.fail_at(bench.disk.operations() + failing, std::io::ErrorKind::Other);
        // The system says that all is written the second time, although it is not.
        for _ in 0..2 {
            drop(bench.engine.sync_spool());
        }
        let flushed = bench.engine.standing().flushed;
        bench.disk.reboot();
        let end = bench.recovered().map(|recovered| recovered.end);
        assert!(end >= Some(flushed), "operation {failing}: {end:?} of {flushed} is left");
    }
}

#[test]
fn an_agent_whose_disk_does_not_sync_ends_so_that_the_next_one_trusts_nothing() {
    let bench = Bench::new(1, ASYNC);
    bench.receive(5000);
    bench.disk.fail_at(bench.disk.operations(), std::io::ErrorKind::Other);
    assert!(bench.engine.sync_spool().is_err());
    let fatal = bench.engine.fatal();
    assert!(matches!(&fatal, Some(Trouble::Lasting(why)) if why.contains("sync")), "{fatal:?}");
}

#[test]
fn what_the_spool_has_kept_stays_acknowledged_and_its_age_is_told() {
    for (mode, flushed) in [(ASYNC, 3 * MIB + 5000), (Mode::Synchronous, 3 * MIB)] {
        let bench = Bench::new(2, ASYNC);
        bench.receive(5000);
        bench.engine.sync_spool().unwrap();
        bench.disk.reboot();
        let Some(Recovered { start, end, .. }) = bench.recovered() else { panic!("it is gone") };
        let beginning = Beginning { start, received: end };
        let again = engine(&bench.scene, &bench.disk, mode, beginning);
        assert_eq!(again.standing().flushed, Lsn(flushed));
        bench.scene.clock.sleep(Duration::from_secs(60));
        let standing = again.standing();
        assert_eq!((standing.lag, standing.lag_bytes), (Duration::from_secs(60), 5000));
    }
}

/// As if a sealer had done it.
fn put(engine: &Engine, work: &SealWork) {
    let writer = engine.writer();
    let segments = SegmentWriter::new(engine, &writer);
    let sealed = segments.seal(work).unwrap();
    engine.segment_sealed(work.segment, &segments.put(&sealed).unwrap());
}

#[test]
fn what_the_spool_has_kept_is_believed_though_a_later_segment_was_sealed_first() {
    let bench = Bench::new(3, ASYNC);
    let engine = &bench.engine;
    let begins = || bench.recovered().map(|recovered| recovered.start);
    for length in [MIB, MIB, MIB, 100] {
        bench.receive(usize::try_from(length).unwrap());
    }
    let [third, fourth, fifth] = [0; 3].map(|_| engine.take_seal().unwrap());
    assert_eq!(third.segment, SegmentNumber(3));
    put(engine, &fourth);
    engine.sync_spool().unwrap();
    assert_eq!(engine.standing().flushed, Lsn(6 * MIB + 100));
    put(engine, &fifth);
    assert_eq!(begins(), Some(Lsn(3 * MIB)), "what only the spool has");
    assert_eq!(engine.first_unsealed(), Lsn(3 * MIB));
    put(engine, &third);
    assert_eq!(begins(), Some(Lsn(6 * MIB)));
    assert_eq!((engine.first_unsealed(), engine.standing().spool_files), (Lsn(6 * MIB), 1));
}

#[test]
fn where_commits_wait_for_the_vault_a_sealed_segment_leaves_the_spool_at_once() {
    let bench = Bench::new(4, Mode::Synchronous);
    for length in [MIB, MIB, 100] {
        bench.receive(usize::try_from(length).unwrap());
    }
    let [_, fourth] = [0; 2].map(|_| bench.engine.take_seal().unwrap());
    put(&bench.engine, &fourth);
    assert_eq!(bench.engine.standing().spool_files, 2);
}
