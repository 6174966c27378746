use soter_world::Clock;

use super::*;
use crate::log::sample::{Bench, wal};
use crate::log::{Duty, PackRows, Session};

fn request(depth: Depth) -> Request {
    Request { depth, backups: None, hashed_since: None, lanes: 2 }
}

fn look(bench: &Bench, request: &Request) -> Vec<Checked> {
    verify(&bench.log(), request, &Stop::new(), &|_, _| {}).unwrap()
}

/// Two backups that share a pack, and the WAL of the second.
fn store(seed: u8) -> (Bench, Session, [BackupId; 2]) {
    let bench = Bench::new(seed);
    let session = bench.open(Duty::Wal);
    let first = bench.back_up(&session, 2, PackSet::default());
    let shared = session.log().catalogue().packs_in_use().iter().next().unwrap();
    let (id, row) = bench.store_pack(&session, PackClass::Map);
    let mut rows = PackRows::default();
    rows.insert(PackClass::Map, id, row);
    let shared = [shared].into_iter().collect();
    let second = BackupId::random(&*bench.vault.random);
    let mut draft = crate::log::sample::draft(second, rows, shared);
    draft.wal = Some(wal(3, 5));
    (3..=5).for_each(|number| drop(bench.push_wal(number)));
    session.commit_backup(&draft).unwrap();
    (bench, session, [first, second])
}

fn pack_name(bench: &Bench, session: &Session, class: PackClass, number: u32) -> String {
    let id = PackId { session: session.id(), number };
    PackPlace { class, store: bench.keys.writer.store, id }.name()
}

fn wal_name(bench: &Bench, number: u64) -> String {
    bench.archive().segment_file(Segment { timeline: 1, number }).name()
}

fn faults(bench: &Bench, depth: Depth) -> Vec<(String, BackupId, Damage)> {
    let checked = look(bench, &request(depth)).into_iter().flat_map(|checked| checked.faults);
    checked.map(|fault| (fault.object, fault.backup, fault.damage)).collect()
}

#[test]
fn a_whole_store_passes() {
    let (bench, _, [first, second]) = store(41);
    for depth in [Depth::Present, Depth::Hashed] {
        let checked = look(&bench, &request(depth));
        let counts: Vec<_> = checked.iter().map(|it| (it.backup, it.objects_count)).collect();
        assert_eq!(counts, [(first, 2), (second, 5)]);
        assert!(checked.iter().all(|checked| checked.passed() && checked.objects_bytes > 0));
    }
}

#[test]
fn damage_names_the_object_and_every_backup_that_needs_it() {
    let (bench, session, [first, second]) = store(42);
    let shared = pack_name(&bench, &session, PackClass::Data, 0);
    let missing = pack_name(&bench, &session, PackClass::Data, 1);
    let cut = pack_name(&bench, &session, PackClass::Map, 0);
    let (gone, forged) = (wal_name(&bench, 4), wal_name(&bench, 5));
    let mut flipped = bench.memory.read(&shared).unwrap();
    flipped[3] ^= 1;
    bench.memory.overwrite(&shared, &flipped);
    bench.memory.delete(&missing).unwrap();
    bench.memory.overwrite(&cut, b"cut");
    bench.memory.delete(&gone).unwrap();
    let mut bytes = bench.memory.read(&forged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    bench.memory.overwrite(&forged, &bytes);
    let expected_bytes = cut.len() as u64;
    let length = Damage::Length { expected_bytes, found_bytes: 3 };
    let present = [
        (missing.clone(), first, Damage::Missing),
        (cut.clone(), second, length.clone()),
        (gone.clone(), second, Damage::Missing),
    ];
    assert_eq!(faults(&bench, Depth::Present), present);
    let hashed = faults(&bench, Depth::Hashed);
    assert_eq!(
        hashed[..4],
        [
            (shared.clone(), first, Damage::Hash),
            (missing, first, Damage::Missing),
            (shared.clone(), second, Damage::Hash),
            (cut, second, length),
        ]
    );
    assert_eq!(hashed[4], (gone, second, Damage::Missing));
    assert!(matches!(&hashed[5], (name, _, Damage::Wal(_)) if *name == forged));
    let fault = Fault { object: shared, backup: first, damage: Damage::Hash };
    assert!(fault.to_string().ends_with("its bytes are not those that were stored"));
}

#[test]
fn a_good_repair_is_a_note_and_not_a_loss() {
    let (bench, session, _) = store(43);
    let name = pack_name(&bench, &session, PackClass::Data, 1);
    let good = bench.memory.read(&name).unwrap();
    bench.memory.overwrite(&name, &vec![0; good.len()]);
    bench.memory.overwrite(&repair_of(&name, 1), b"bad too");
    let good_repair = repair_of(&name, 2);
    bench.memory.overwrite(&good_repair, &good);
    let checked = look(&bench, &request(Depth::Hashed));
    assert_eq!(checked[0].faults[0].damage, Damage::Repaired { by: good_repair });
    assert!(checked[0].passed());
}

#[test]
fn what_was_hashed_lately_is_not_read_again() {
    let (bench, session, [first, _]) = store(44);
    let only_first = Request { backups: Some([first].into()), ..request(Depth::Hashed) };
    let checked = look(&bench, &only_first);
    let mut log = bench.log();
    attest(&mut log, &bench.collector(), &checked).unwrap();
    let row = &log.catalogue().attests(first)[0];
    assert_eq!((row.attest.level, row.attest.passed, row.attest.objects), (Level::Hashed, true, 2));
    assert_eq!(log.catalogue().newest_attested().unwrap().id, first);
    let name = pack_name(&bench, &session, PackClass::Data, 1);
    let length = bench.memory.read(&name).unwrap().len();
    bench.memory.overwrite(&name, &vec![0; length]);
    let hashed_since = Some(bench.clock.now());
    let lately = Request { hashed_since, ..request(Depth::Hashed) };
    assert!(look(&bench, &lately)[0].passed());
    bench.days_pass(1);
    let hashed_since = Some(bench.clock.now());
    let checked = look(&bench, &Request { hashed_since, ..lately });
    assert!(!checked[0].passed());
    attest(&mut log, &bench.collector(), &checked).unwrap();
    let row = log.catalogue().attests(first).last().unwrap();
    assert_eq!(row.attest.damaged, [name]);
    assert_ne!(log.catalogue().newest_attested().map(|backup| backup.id), Some(first));
}

/// Whoever may write to the bucket exchanges good objects for each other.
#[test]
fn packs_swapped_between_sessions_and_segments_are_named() {
    let (bench, session, _) = store(46);
    let other = bench.open(Duty::Base);
    bench.back_up(&other, 1, PackSet::default());
    let pairs = [
        (
            pack_name(&bench, &session, PackClass::Data, 0),
            pack_name(&bench, &other, PackClass::Data, 0),
        ),
        (wal_name(&bench, 3), wal_name(&bench, 4)),
    ];
    for (left, right) in &pairs {
        let (first, second) = (bench.memory.read(left).unwrap(), bench.memory.read(right).unwrap());
        bench.memory.overwrite(left, &second);
        bench.memory.overwrite(right, &first);
    }
    let named: BTreeSet<_> = faults(&bench, Depth::Hashed).into_iter().map(|it| it.0).collect();
    assert_eq!(named, pairs.into_iter().flat_map(|(left, right)| [left, right]).collect());
}

/// The same between two stores, in one bucket or in two.
#[test]
fn objects_swapped_between_stores_are_named() {
    let ((ours, session, _), (theirs, other, _)) = (store(52), store(53));
    assert_ne!(ours.keys.writer.store, theirs.keys.writer.store);
    let pairs = [
        (
            pack_name(&ours, &session, PackClass::Data, 0),
            pack_name(&theirs, &other, PackClass::Data, 0),
        ),
        (
            pack_name(&ours, &session, PackClass::Map, 0),
            pack_name(&theirs, &other, PackClass::Map, 0),
        ),
        (wal_name(&ours, 3), wal_name(&theirs, 3)),
    ];
    for (left, right) in &pairs {
        let (first, second) = (ours.memory.read(left).unwrap(), theirs.memory.read(right).unwrap());
        assert_ne!(first, second);
        ours.memory.overwrite(left, &second);
        theirs.memory.overwrite(right, &first);
    }
    let named = |bench| faults(bench, Depth::Hashed).into_iter().map(|it| it.0).collect();
    let (at_ours, at_theirs): (BTreeSet<_>, BTreeSet<_>) = (named(&ours), named(&theirs));
    let (left, right): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    assert_eq!(at_ours, left.into_iter().collect());
    assert_eq!(at_theirs, right.into_iter().collect());
}

fn put_whole_part(bench: &Bench, session: &Session, number: u64) {
    let segment = Segment { timeline: 1, number };
    let part = bench.archive().live_part(segment, (0, 1 << 20), session.id());
    let name = names::Name::Live(part).to_string();
    assert_eq!(bench.memory.create(&name, b"part").unwrap(), crate::objects::Created::New);
}

#[test]
fn wal_that_only_parts_hold_is_there_and_not_hashed() {
    let (bench, session, [_, second]) = store(47);
    bench.memory.delete(&wal_name(&bench, 5)).unwrap();
    put_whole_part(&bench, &session, 5);
    for depth in [Depth::Present, Depth::Hashed] {
        let checked = look(&bench, &request(depth)).pop().unwrap();
        assert_eq!((checked.backup, checked.passed()), (second, true));
        assert_eq!(checked.level(), Level::Present, "a part cannot be read here");
        assert_eq!(checked.unsealed, [(5 << 20, 6 << 20)]);
    }
}

#[test]
fn gaps_and_damage_between_backups_are_found_and_say_where_recovery_ends() {
    let (bench, session, _) = store(48);
    (6..=9).for_each(|number| drop(bench.push_wal(number)));
    bench.back_up_with_wal(&session, 8, 9);
    // Before the oldest backup nothing is brought back, and nothing is missed.
    drop(bench.push_wal(1));
    let damaged = wal_name(&bench, 6);
    let mut bytes = bench.memory.read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    bench.memory.overwrite(&damaged, &bytes);
    bench.memory.delete(&wal_name(&bench, 7)).unwrap();
    let log = bench.log();
    let live = log.catalogue().live();
    let except = live.filter_map(|backup| backup.wal).collect();
    let request = WalRequest { depth: Depth::Hashed, except, lanes: 2 };
    let checked = verify_wal(&log, &request, &Stop::new(), &|_, _| {}).unwrap();
    let [found] = checked.as_slice() else { panic!("one timeline: {checked:?}") };
    assert_eq!((found.range.from, found.range.to), (3 << 20, 10 << 20));
    assert_eq!(found.range.gaps, [(7 << 20, 8 << 20)]);
    assert_eq!(found.objects_count, 1, "the rest was looked at with the backups");
    assert_eq!(found.faults[0].object, damaged, "timeline 1 has no history");
    assert!(!found.passed());
    let lost = wal(6, 7);
    assert_eq!(unreachable(log.catalogue(), &lost), (6 << 20, Some(10 << 20)));
    let at_the_end = wal(9, 9);
    assert_eq!(unreachable(log.catalogue(), &at_the_end), (9 << 20, None));
}

#[test]
fn it_can_be_stopped() {
    let (bench, _, _) = store(45);
    let stop = Stop::new();
    stop.stop();
    let outcome = verify(&bench.log(), &request(Depth::Present), &stop, &|_, _| {});
    assert!(matches!(outcome, Err(LogError::Stopped)));
}
