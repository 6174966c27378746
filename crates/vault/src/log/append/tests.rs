//! Writers that meet each other, bad days, and thieves.

use std::sync::Arc;

use super::*;
use crate::keys::{KeyError, Signer, sign_list};
use crate::log::event::{Duty, Retire};
use crate::log::sample::{Bench, VAULT, draft as draft_of, incarnation, opening};
use crate::log::session::{Opening, Session, TakeOver};
use crate::log::{PackRows, PackSet, Problem, Void};
use crate::names::PackClass;
use crate::objects::{Created, Faults, Faulty, ObjectInfo, ObjectStore};

fn live(log: &Log) -> Vec<BackupId> {
    log.catalogue().live().map(|backup| backup.id).collect()
}

fn slot(bench: &Bench, sequence: u64) -> String {
    Name::Log(bench.keys.writer.store, sequence).to_string()
}

fn holes(log: &Log) -> Vec<Hole> {
    let problems = log.catalogue().findings().iter().map(|finding| &finding.problem);
    let holes = problems.filter_map(|problem| match problem {
        Problem::Hole { why, .. } => Some(why.clone()),
        _ => None,
    });
    holes.collect()
}

#[test]
fn a_backup_and_its_body_come_back() {
    let bench = Bench::new(1);
    let session = bench.open(Duty::Wal);
    let first = bench.back_up(&session, 2, PackSet::default());
    let packs = session.log().catalogue().packs_in_use();
    let second = bench.back_up(&session, 1, packs);
    let log = bench.log();
    assert_eq!(live(&log), [first, second]);
    assert_eq!(log.catalogue().findings(), &[]);
    let body = log.body(second, bench.metadata()).unwrap();
    assert_eq!((body.content, body.map_root), (b"content".to_vec(), b"root".to_vec()));
    let row = log.catalogue().session(session.id()).unwrap();
    let key = bench.keys.reader.unwrap(&row.wrapped, &row.commitment).unwrap();
    assert!(key == *session.key());
}

#[test]
fn the_sleeper_is_fenced_and_what_it_left_is_adopted() {
    let bench = Bench::new(2);
    let sleeper = bench.open(Duty::Wal);
    let base = bench.open(Duty::Base);
    let left = bench.store_pack(&sleeper, PackClass::Data);
    let next = bench.open(Duty::Wal);
    assert!(matches!(sleeper.check_fence(), Err(LogError::Superseded { by: 2, .. })));
    let mut rows = PackRows::default();
    rows.insert(PackClass::Data, left.0, left.1);
    let backup = draft_of(BackupId([1; 8]), rows, PackSet::default());
    assert!(matches!(sleeper.commit_backup(&backup), Err(LogError::Superseded { .. })));
    assert!(next.adopted().contains(&sleeper.id()));
    next.commit_backup(&backup).unwrap();
    base.check_fence().unwrap();
    next.check_fence().unwrap();
    let third = bench.open(Duty::Wal);
    assert!(!third.adopted().contains(&sleeper.id()), "its leftovers were used or are garbage");
    assert!(third.adopted().contains(&next.id()));
}

#[test]
fn another_agent_takes_over_on_purpose_only() {
    let bench = Bench::new(3);
    let first = bench.open(Duty::Wal);
    let mut keys = bench.keys.writer.clone();
    keys.signer = Signer::from_seed([60; 32]);
    let mut list = bench.keys.trust.newest().clone();
    let mut row = list.signers[0].clone();
    row.key = keys.signer.public();
    list.signers.push(row);
    let trust = Trust::from_lists([(list, Digest([0; 32]))]).unwrap();
    let log = || Log::open(&bench.vault, keys.store, trust.clone(), None).unwrap();
    let outcome = Session::open(log(), &keys, opening(Duty::Wal));
    assert!(matches!(outcome, Err(LogError::HeldByAnother { .. })));
    let taking_over = Opening { take_over: TakeOver::Anybody, ..opening(Duty::Wal) };
    let second = Session::open(log(), &keys, taking_over).unwrap();
    second.check_fence().unwrap();
    let known = Log::open(&bench.vault, keys.store, trust, None).unwrap();
    assert!(known.catalogue().session(first.id()).unwrap().superseded.is_some());
}

#[test]
fn an_entry_is_written_once_however_often_answers_are_lost() {
    for seed in soter_world::sim::seeds(20) {
        let mut bench = Bench::new(4);
        let faulty = Arc::new(Faulty::new(Arc::clone(&bench.vault.objects), Faults::ROUGH, seed));
        bench.vault.objects = faulty;
        let until_done = |mut attempt: Box<dyn FnMut() -> bool + '_>| while !attempt() {};
        let store = bench.keys.writer.store;
        let mut session = None;
        until_done(Box::new(|| {
            let trust = bench.keys.trust.clone();
            session = Log::open(&bench.vault, store, trust, None)
                .and_then(|log| Session::open(log, &bench.keys.writer, opening(Duty::Wal)))
                .ok();
            session.is_some()
        }));
        let session = session.unwrap();
        for number in 1..=5 {
            let backup = draft_of(BackupId([number; 8]), PackRows::default(), PackSet::default());
            until_done(Box::new(|| session.commit_backup(&backup).is_ok()));
        }
        bench.vault.objects = Arc::<crate::objects::MemoryStore>::clone(&bench.memory);
        let log = bench.log();
        let expected: Vec<_> = (1..=5).map(|number| BackupId([number; 8])).collect();
        assert_eq!(live(&log), expected, "seed {seed}");
        assert_eq!(log.catalogue().findings(), &[], "seed {seed}");
    }
}

/// The store dies in every operation in turn, the writer starts again, and the log is as if nothing
/// had happened.
#[test]
fn a_crash_anywhere_leaves_a_log_that_goes_on() {
    let run = |bench: &Bench| -> Result<(), LogError> {
        let store = bench.keys.writer.store;
        let log = Log::open(&bench.vault, store, bench.keys.trust.clone(), None)?;
        let done: Vec<_> = live(&log);
        let session = Session::open(log, &bench.keys.writer, opening(Duty::Wal))?;
        for number in 1..=3 {
            let backup = draft_of(BackupId([number; 8]), PackRows::default(), PackSet::default());
            if !done.contains(&backup.id) {
                session.commit_backup(&backup)?;
            }
        }
        Ok(())
    };
    let mut operation = 0;
    loop {
        let mut bench = Bench::new(5);
        let store = Arc::clone(&bench.vault.objects);
        let faulty = Arc::new(Faulty::new(store, Faults::NONE, operation));
        bench.vault.objects = Arc::<Faulty>::clone(&faulty);
        faulty.crash_at(operation);
        let outcome = run(&bench);
        if !faulty.has_crashed() {
            outcome.unwrap();
            break;
        }
        faulty.revive();
        run(&bench).unwrap();
        let log = bench.log();
        assert_eq!(live(&log).len(), 3, "crash at {operation}");
        assert_eq!(log.catalogue().findings(), &[], "crash at {operation}");
        operation += 1;
    }
    assert!(operation > 10, "there were only {operation} operations");
}

#[test]
fn squatted_slots_are_stepped_over_and_reported() {
    let bench = Bench::new(6);
    let session = bench.open(Duty::Wal);
    for sequence in 1..20 {
        bench.memory.overwrite(&slot(&bench, sequence), b"squatted");
    }
    let backup = bench.back_up(&session, 1, PackSet::default());
    let log = bench.log();
    assert_eq!((live(&log), holes(&log).len()), (vec![backup], 19));
    assert_eq!(log.catalogue().backup(backup).unwrap().sequence, 20);
}

/// Takes every slot just before the writer does.
struct Squatter(Arc<dyn ObjectStore>);

impl ObjectStore for Squatter {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
        if name.starts_with("log/") {
            self.0.create(name, b"squatted").map(|_| ())?;
        }
        self.0.create(name, bytes)
    }
    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        self.0.read(name)
    }
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        self.0.read_range(name, offset, length)
    }
    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        self.0.head(name)
    }
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        self.0.list(prefix, after, limit)
    }
    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.0.delete(name)
    }
}

#[test]
fn a_writer_that_never_gets_a_slot_gives_up_by_name() {
    let mut bench = Bench::new(7);
    bench.vault.objects = Arc::new(Squatter(Arc::clone(&bench.vault.objects)));
    let outcome = Session::open(bench.log(), &bench.keys.writer, opening(Duty::Wal));
    assert!(matches!(outcome, Err(LogError::Jammed { slots: SLOTS_MAX })));
}

#[test]
fn a_thief_without_a_key_commits_nothing() {
    let bench = Bench::new(8);
    let session = bench.open(Duty::Wal);
    let good = bench.back_up(&session, 1, PackSet::default());
    let thief = Author { signer: Signer::from_seed([66; 32]), metadata: None, trust_number: 1 };
    let retire = Retire { backups: vec![good], reason: String::new(), policy: None };
    let forge = |author: &Author, sequence, event| {
        let at = Position {
            place: bench.place(),
            sequence,
            previous: bench.log().catalogue().head().map(|head| head.hash),
            claimed: Timestamp::UNIX_EPOCH,
            salt: Salt([0; 16]),
        };
        let bytes = Draft::of(event).seal(author, &at).unwrap();
        bench.memory.overwrite(&slot(&bench, sequence), &bytes);
    };
    forge(&thief, 2, Event::Retire(retire.clone()));
    // A trust list of its own making, which enrols it.
    let mut list = bench.keys.trust.newest().clone();
    list.number = 2;
    list.signers[1].key = thief.signer.public();
    let name = Name::Trust(2).to_string();
    bench.memory.overwrite(&name, &sign_list(&list, &thief.signer));
    bench.memory.overwrite(&Name::Trust(1).to_string(), &first_list(&bench));
    let own_list = Author { trust_number: 2, ..thief };
    forge(&own_list, 3, Event::Retire(retire.clone()));
    // An agent's key, stolen, and a replay of an honest entry.
    forge(&bench.author(), 4, Event::Retire(retire));
    let replayed = bench.memory.read(&slot(&bench, 1)).unwrap();
    bench.memory.overwrite(&slot(&bench, 5), &replayed);
    let next = bench.back_up(&session, 1, PackSet::default());
    let log = bench.log();
    assert_eq!(live(&log), [good, next]);
    let stranger = Hole::Stranger { trust: 1, signer: own_list.signer.public() };
    assert_eq!(holes(&log), [stranger, Hole::NoTrustList(2), Hole::Elsewhere { sequence: 1 }]);
    let is_role =
        |problem: &Problem| matches!(problem, Problem::Void { why: Void::Role { .. }, .. });
    assert!(log.catalogue().findings().iter().any(|finding| is_role(&finding.problem)));
}

/// The sample's list as the root signs it.
fn first_list(bench: &Bench) -> Vec<u8> {
    sign_list(bench.keys.trust.newest(), &Signer::from_seed([0xff; 32]))
}

#[test]
fn the_end_of_the_log_cannot_be_hidden_from_who_has_seen_it() {
    let bench = Bench::new(9);
    let session = bench.open(Duty::Wal);
    for _ in 0..10 {
        bench.back_up(&session, 1, PackSet::default());
    }
    let head = bench.log().catalogue().head().unwrap();
    for sequence in 5..=10 {
        bench.memory.delete(&slot(&bench, sequence)).unwrap();
    }
    let trust = bench.keys.trust.clone();
    let store = bench.keys.writer.store;
    let outcome = Log::open(&bench.vault, store, trust.clone(), Some(head));
    let Err(LogError::TailCut { remembered, found }) = outcome else { panic!("not noticed") };
    assert_eq!((remembered, found.unwrap().sequence), (head, 4));
    // Another history of the same length is not the one that was seen.
    let again = bench.open(Duty::Wal);
    for _ in 0..10 {
        bench.back_up(&again, 1, PackSet::default());
    }
    let outcome = Log::open(&bench.vault, store, trust, Some(head));
    assert!(matches!(outcome, Err(LogError::TailCut { .. })));
}

#[test]
fn a_hole_torn_into_the_log_is_found_and_mended_by_a_repair() {
    let bench = Bench::new(10);
    let session = bench.open(Duty::Wal);
    let backups: Vec<_> = (0..4).map(|_| bench.back_up(&session, 1, PackSet::default())).collect();
    let torn = bench.memory.read(&slot(&bench, 2)).unwrap();
    bench.memory.delete(&slot(&bench, 2)).unwrap();
    let log = bench.log();
    assert_eq!((live(&log).len(), log.catalogue().breaks()), (3, &[3][..]));
    assert_eq!(log.catalogue().next_sequence(), 5, "the empty slot is not the end");
    let next = bench.back_up(&bench.open(Duty::Wal), 1, PackSet::default());
    bench.memory.overwrite(&slot(&bench, 2), b"damaged");
    bench.memory.overwrite(&names::repair_of(&slot(&bench, 2), 1), b"damaged too");
    bench.memory.overwrite(&names::repair_of(&slot(&bench, 2), 2), &torn);
    let log = bench.log();
    assert_eq!(live(&log), [&backups[..], &[next]].concat());
    assert_eq!(log.catalogue().findings(), &[]);
}

#[test]
fn junk_behind_the_end_does_not_stop_writers() {
    let bench = Bench::new(11);
    bench.memory.overwrite(&slot(&bench, 1 << 40), b"junk");
    bench.memory.overwrite(&format!("log/{}/notes", bench.keys.writer.store), b"junk");
    let backup = bench.back_up(&bench.open(Duty::Wal), 1, PackSet::default());
    assert_eq!(live(&bench.log()), [backup]);
}

#[test]
fn a_new_trust_list_is_learned_when_an_entry_names_it() {
    let bench = Bench::new(12);
    bench.memory.overwrite(&Name::Trust(1).to_string(), &first_list(&bench));
    let session = bench.open(Duty::Wal);
    let first = bench.back_up(&session, 1, PackSet::default());
    bench.back_up(&session, 1, PackSet::default());
    let mut list = bench.keys.trust.newest().clone();
    (list.number, list.previous) = (2, Some(Digest::of(&first_list(&bench))));
    let bytes = sign_list(&list, &Signer::from_seed([0xff; 32]));
    bench.memory.overwrite(&Name::Trust(2).to_string(), &bytes);
    let newest = load_trust(&*bench.vault.objects, &bench.vault.pins, 1).unwrap().trust;
    assert_eq!((newest.newest().number, VAULT), (2, bench.vault.pins.vault));
    let collector = Author { trust_number: 2, ..bench.collector() };
    let retire = Retire { backups: vec![first], reason: String::new(), policy: None };
    let mut log = Log::open(&bench.vault, bench.keys.writer.store, newest, None).unwrap();
    let draft = Draft::of(Event::Retire(retire));
    log.append(&collector, &mut |_| Ok(Some(draft.clone()))).unwrap();
    session.check_fence().unwrap();
    assert_eq!(session.log().trust().newest().number, 2);
    assert_eq!(session.log().catalogue().live().count(), 1);
    let backup =
        super::super::sample::draft(BackupId([9; 8]), PackRows::default(), PackSet::default());
    let outcome = session.commit_backup(&backup);
    assert!(matches!(outcome, Err(LogError::OldKeys { own: 1, log: 2 })));
}

#[test]
fn a_writer_refuses_what_readers_would() {
    let bench = Bench::new(13);
    let session = bench.open(Duty::Wal);
    let only = bench.back_up(&session, 1, PackSet::default());
    assert!(matches!(bench.retire(&[only]), Err(LogError::Refused { why: Void::Floor(..) })));
    let stranger = Author { signer: Signer::from_seed([5; 32]), ..bench.collector() };
    let event = Event::Retire(Retire { backups: vec![], reason: String::new(), policy: None });
    let outcome = bench.append(&stranger, event);
    assert!(matches!(outcome, Err(LogError::Key(KeyError::NotEnrolled { .. }))));
    let entries = bench.log().catalogue().entries().len();
    assert_eq!(entries, 2, "nothing was written");
    let mut clone = opening(Duty::Wal);
    clone.incarnation.as_mut().unwrap().bound_to = incarnation(2).bound_to;
    let outcome = Session::open(bench.log(), &bench.keys.writer, clone);
    assert!(matches!(outcome, Err(LogError::Refused { why: Void::Incarnation { .. } })));
}
