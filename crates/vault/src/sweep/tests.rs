use std::sync::Arc;

use soter_world::Clock;

use super::*;
use crate::log::sample::{Bench, opening};
use crate::log::{Duty, PackSet, Session};
use crate::names::{PackClass, VAULT_RECORD, repair_of};
use crate::objects::{Faults, Faulty, MemoryStore, ObjectError};
use crate::pack::PackPlace;

fn run(bench: &Bench) -> Collected {
    run_with(bench, &SweepPolicy::STANDARD).unwrap()
}

fn run_with(bench: &Bench, policy: &SweepPolicy) -> Result<Collected, LogError> {
    collect(
        &mut bench.log(),
        &bench.collector(),
        policy,
        bench.clock.now(),
        &Stop::new(),
        &|_, _| {},
    )
}

fn names(bench: &Bench, prefix: &str) -> Vec<String> {
    let found = bench.memory.list(prefix, None, 10_000).unwrap();
    found.into_iter().map(|info| info.name).collect()
}

fn packs(bench: &Bench) -> usize {
    names(bench, "data/").len() + names(bench, "map/").len()
}

#[test]
fn a_retired_backup_goes_after_its_delay_and_what_others_need_stays() {
    let bench = Bench::new(31);
    let session = bench.open(Duty::Wal);
    let first = bench.back_up(&session, 4, PackSet::default());
    let all: Vec<_> = session.log().catalogue().packs_in_use().iter().collect();
    let second = bench.back_up(&session, 1, all[..2].iter().copied().collect());
    bench.move_on();
    bench.days_pass(30);
    bench.retire(&[first]).unwrap();
    bench.days_pass(2);
    assert_eq!((run(&bench), packs(&bench)), (Collected::default(), 5), "not yet");
    bench.days_pass(1);
    let collected = run(&bench);
    assert!(collected.entry.is_some());
    assert_eq!((collected.deleted_count, packs(&bench)), (2, 3));
    let log = bench.log();
    for (class, id) in log.catalogue().backup(second).unwrap().packs.iter() {
        let store = bench.keys.writer.store;
        assert!(bench.has(&PackPlace { class, store, id }.name()));
    }
    assert_eq!(log.catalogue().findings(), &[]);
    assert_eq!(run(&bench), Collected::default(), "once");
}

#[test]
fn leftovers_go_when_their_session_is_long_dead_and_not_adopted() {
    let bench = Bench::new(32);
    let dead = bench.open(Duty::Wal);
    bench.store_pack(&dead, PackClass::Data);
    bench.store_pack(&dead, PackClass::Map);
    let adopter = bench.open(Duty::Wal);
    bench.days_pass(30);
    assert_eq!(run(&bench), Collected::default(), "adopted");
    bench.back_up(&adopter, 1, PackSet::default());
    let newest = bench.open(Duty::Wal);
    bench.store_pack(&newest, PackClass::Data);
    assert_eq!(run(&bench).deleted_count, 2);
    assert_eq!(packs(&bench), 2, "the backup's, and the one at work on");
    // A sleeper wakes and stores what it had in hand: garbage with an owner.
    bench.store_pack(&dead, PackClass::Data);
    assert_eq!(run(&bench), Collected::default(), "it is young");
    bench.days_pass(8);
    assert_eq!(run(&bench).deleted_count, 1);
}

#[test]
fn what_is_not_known_is_left_alone() {
    let bench = Bench::new(33);
    bench.back_up(&bench.open(Duty::Wal), 1, PackSet::default());
    let store = bench.keys.writer.store;
    let strangers = [
        format!("data/{store}/00000000000000aa/000001"),
        format!("data/{store}/notes.txt"),
        format!("wal/{store}/0101010101010101/00000001/00000000/notes.txt"),
        "data/ffffffffffffffff/00000000000000aa/000001".to_owned(),
    ];
    for name in &strangers {
        bench.memory.overwrite(name, b"?");
    }
    bench.days_pass(365);
    assert_eq!(run(&bench), Collected::default());
    assert!(strangers.iter().all(|name| bench.has(name)));
}

#[test]
fn wal_goes_below_the_oldest_backup() {
    let bench = Bench::new(34);
    let session = bench.open(Duty::Wal);
    let segments: Vec<_> = (0..8).map(|number| bench.push_wal(number)).collect();
    let history = segments[0].replace("000000010000000000000000", "00000002.history");
    bench.memory.overwrite(&history, b"history");
    let label = format!("{}.00000028.backup", segments[1]);
    bench.memory.overwrite(&label, b"label");
    bench.memory.overwrite(&repair_of(&segments[1], 1), b"repair");
    bench.days_pass(10);
    assert_eq!(run(&bench), Collected::default(), "no backup yet");
    let first = bench.back_up_with_wal(&session, 2, 3);
    bench.back_up_with_wal(&session, 5, 5);
    bench.days_pass(10);
    assert_eq!(run(&bench).deleted_count, 4, "segments 0 and 1, a label, a repair");
    assert!(bench.has(&history) && bench.has(&segments[2]));
    bench.retire(&[first]).unwrap();
    bench.move_on();
    bench.days_pass(2);
    assert_eq!(run(&bench), Collected::default());
    bench.days_pass(2);
    assert_eq!(run(&bench).deleted_count, 4, "segments 2 to 4, and the pack");
    let left: Vec<_> = segments.iter().filter(|name| bench.has(name)).collect();
    assert_eq!(left, [&segments[5], &segments[6], &segments[7]]);
    let log = bench.log();
    assert_eq!(log.catalogue().swept_wal().len(), 1, "neighbouring ranges are one");
    assert_eq!(log.catalogue().findings(), &[]);
}

#[test]
fn parts_go_only_behind_a_sealed_segment_that_is_whole() {
    let bench = Bench::new(35);
    let session = bench.open(Duty::Wal);
    let parts: Vec<_> = (0..4).map(|number| bench.put_part(&session, number, 0)).collect();
    let sealed: Vec<_> = (0..3).map(|number| bench.push_wal(number)).collect();
    let mut damaged = bench.memory.read(&sealed[1]).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    bench.memory.overwrite(&sealed[1], &damaged);
    let young = bench.put_part(&session, 2, 100);
    assert_eq!(run(&bench), Collected::default(), "all are young");
    bench.clock.advance(Duration::from_secs(3500));
    bench.put_part(&session, 2, 200);
    bench.clock.advance(Duration::from_secs(200));
    assert_eq!(run(&bench).deleted_count, 1);
    let left: Vec<_> = parts.iter().map(|name| bench.has(name)).collect();
    assert_eq!(left, [false, true, true, true], "whole; damaged; with a young part; not sealed");
    assert!(bench.has(&young));
    bench.days_pass(1);
    assert_eq!(run(&bench).deleted_count, 3);
    assert!(bench.has(&parts[1]) && bench.has(&parts[3]));
    assert!(sealed.iter().all(|name| bench.has(name)), "the segments themselves stay");
    let after = bench.put_part(&session, 0, 300);
    assert_eq!(run(&bench).deleted_count, 1, "a late part of a swept segment");
    assert!(!bench.has(&after));
}

#[test]
fn an_old_life_of_the_cluster_goes_when_its_backups_went() {
    let bench = Bench::new(36);
    let session = bench.open(Duty::Wal);
    let segment = bench.push_wal(9);
    let old = bench.back_up_with_wal(&session, 9, 9);
    let mut reborn = opening(Duty::Wal);
    reborn.incarnation = Some(crate::log::sample::incarnation(2));
    for _ in 0..2 {
        let log = bench.log();
        let next = Session::open(log, &bench.keys.writer, reborn.clone()).unwrap();
        bench.back_up(&next, 1, PackSet::default());
    }
    bench.days_pass(30);
    assert_eq!(run(&bench), Collected::default());
    bench.retire(&[old]).unwrap();
    bench.days_pass(4);
    assert_eq!(run(&bench).deleted_count, 2);
    assert!(!bench.has(&segment));
}

#[test]
fn nothing_is_swept_from_a_broken_log_until_somebody_accepts_it() {
    let bench = Bench::new(37);
    let session = bench.open(Duty::Wal);
    let first = bench.back_up(&session, 1, PackSet::default());
    bench.back_up(&session, 1, PackSet::default());
    bench.move_on();
    bench.retire(&[first]).unwrap();
    bench.memory.overwrite(&Name::Log(bench.keys.writer.store, 2).to_string(), b"damaged");
    bench.days_pass(30);
    let outcome = run_with(&bench, &SweepPolicy::STANDARD);
    assert!(matches!(outcome, Err(LogError::Broken { at: 3 })));
    assert_eq!(packs(&bench), 2);
    let accepting = SweepPolicy { accepted_breaks: vec![3], ..SweepPolicy::STANDARD };
    assert!(run_with(&bench, &accepting).is_ok());
}

/// Objects of one prefix cannot be deleted yet.
struct Locked(Arc<MemoryStore>);

impl ObjectStore for Locked {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<crate::objects::Created, ObjectError> {
        self.0.create(name, bytes)
    }
    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        self.0.read(name)
    }
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        self.0.read_range(name, offset, length)
    }
    fn head(&self, name: &str) -> Result<Option<crate::objects::ObjectInfo>, ObjectError> {
        self.0.head(name)
    }
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<crate::objects::ObjectInfo>, ObjectError> {
        self.0.list(prefix, after, limit)
    }
    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let operation = crate::objects::Operation::Delete;
        Err(ObjectError::new(operation, name, ObjectErrorKind::Denied, "it is locked"))
    }
}

/// A store where a backup and a leftover are ready to go.
fn ready_to_sweep(seed: u8) -> Bench {
    let bench = Bench::new(seed);
    let session = bench.open(Duty::Wal);
    let first = bench.back_up(&session, 3, PackSet::default());
    bench.back_up(&session, 1, PackSet::default());
    bench.move_on();
    bench.retire(&[first]).unwrap();
    bench.days_pass(30);
    bench
}

#[test]
fn what_is_locked_is_tried_again() {
    let mut bench = ready_to_sweep(38);
    let memory = Arc::clone(&bench.memory);
    bench.vault.objects = Arc::new(Locked(Arc::clone(&memory)));
    let collected = run(&bench);
    assert_eq!((collected.locked.len(), collected.deleted_count), (3, 0));
    bench.vault.objects = memory;
    let collected = run(&bench);
    assert_eq!((collected.entry, collected.deleted_count), (None, 3));
}

#[test]
fn where_one_writer_is_safe_alone_nothing_is_swept() {
    let bench = ready_to_sweep(53);
    let mut record =
        Record::new(bench.vault.pins.vault, bench.vault.pins.roots.clone(), Timestamp::UNIX_EPOCH);
    record.single_writer = true;
    for bytes in [record.to_bytes(), b"damaged".to_vec()] {
        bench.memory.overwrite(VAULT_RECORD, &bytes);
        let refused = run_with(&bench, &SweepPolicy::STANDARD);
        assert!(matches!(refused, Err(LogError::Unsweepable { .. })), "{refused:?}");
        let now = bench.clock.now();
        let seen = preview(&mut bench.log(), &SweepPolicy::STANDARD, now, &Stop::new());
        assert!(matches!(seen, Err(LogError::Unsweepable { .. })), "{seen:?}");
    }
    record.single_writer = false;
    bench.memory.overwrite(VAULT_RECORD, &record.to_bytes());
    assert_eq!(run(&bench).deleted_count, 3);
}

#[test]
fn what_is_foreseen_is_what_is_done() {
    let bench = ready_to_sweep(54);
    let (mut log, now) = (bench.log(), bench.clock.now());
    let before = names(&bench, "");
    let seen = preview(&mut log, &SweepPolicy::STANDARD, now, &Stop::new()).unwrap();
    assert_eq!((names(&bench, ""), seen.left), (before.clone(), vec![]), "nothing is done");
    let foreseen: Vec<_> = seen.new.into_iter().map(|object| object.info.name).collect();
    let stop = Stop::new();
    stop.stop();
    let policy = SweepPolicy::STANDARD;
    collect(&mut log, &bench.collector(), &policy, now, &stop, &|_, _| {}).unwrap();
    let seen = preview(&mut log, &policy, now, &Stop::new()).unwrap();
    assert_eq!((seen.new.len(), seen.left.len()), (0, foreseen.len()), "named, and still there");
    run(&bench);
    let after = names(&bench, "");
    let gone: Vec<_> = before.into_iter().filter(|name| !after.contains(name)).collect();
    assert_eq!(gone, foreseen);
}

/// A collector whose clock runs ahead goes by the newest object.
#[test]
fn the_stores_time_is_that_of_its_newest_object() {
    let bench = Bench::new(55);
    let session = bench.open(Duty::Wal);
    assert_eq!(store_time(&bench.log()).unwrap(), Some(bench.clock.now()));
    bench.days_pass(1);
    bench.back_up(&session, 1, PackSet::default());
    let newest = bench.clock.now();
    bench.days_pass(100);
    assert_eq!(store_time(&bench.log()).unwrap(), Some(newest));
}

#[test]
fn a_stopped_run_ends_and_the_next_goes_on() {
    let bench = ready_to_sweep(39);
    let stop = Stop::new();
    stop.stop();
    let (mut log, now) = (bench.log(), bench.clock.now());
    let policy = SweepPolicy::STANDARD;
    let collected = collect(&mut log, &bench.collector(), &policy, now, &stop, &|_, _| {}).unwrap();
    assert_eq!((collected.entry.is_some(), collected.deleted_count), (true, 0));
    assert_eq!(run(&bench).deleted_count, 3);
}

#[test]
fn a_crash_anywhere_is_finished_by_the_next_run() {
    let mut operation = 0;
    loop {
        let mut bench = ready_to_sweep(40);
        let faulty = Arc::new(Faulty::new(
            Arc::<MemoryStore>::clone(&bench.memory),
            Faults::NONE,
            operation,
        ));
        let memory =
            std::mem::replace(&mut bench.vault.objects, Arc::<Faulty>::clone(&faulty) as _);
        faulty.crash_at(operation);
        let attempt =
            Log::open(&bench.vault, bench.keys.writer.store, bench.keys.trust.clone(), None)
                .and_then(|mut log| {
                    let policy = SweepPolicy::STANDARD;
                    collect(
                        &mut log,
                        &bench.collector(),
                        &policy,
                        bench.clock.now(),
                        &Stop::new(),
                        &|_, _| {},
                    )
                });
        bench.vault.objects = memory;
        if !faulty.has_crashed() {
            assert_eq!(attempt.unwrap().deleted_count, 3);
            break;
        }
        run(&bench);
        assert_eq!(packs(&bench), 1, "crash at {operation}");
        let log = bench.log();
        let sweeps = log.catalogue().entries().values().filter(|it| it.kind == "sweep").count();
        assert_eq!((sweeps, log.catalogue().findings()), (1, &[][..]), "crash at {operation}");
        operation += 1;
    }
    assert!(operation > 10, "there were only {operation} operations");
}
