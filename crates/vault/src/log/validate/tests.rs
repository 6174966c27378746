//! The rules, each with an entry that breaks it. Entries are written past the checks of a writer.

use proptest::prelude::*;
use soter_world::sim::cases;

use super::*;
use crate::crypto::SymmetricKey;
use crate::ids::{Digest, IncarnationId, Salt, VaultId};
use crate::keys::sample::Sample;
use crate::keys::{Enrolment, Signer, SignerRow};
use crate::log::Severity;
use crate::log::entry::{Author, Draft, Position};
use crate::log::event::{Attest, Duty, Hold, Level, Unhold};
use crate::log::sample::{VAULT, incarnation, wal};
use crate::pack::PackRow;

const NOW: Timestamp = Timestamp::constant(1_893_456_000, 0);

/// A log written slot by slot, whatever the rules say.
struct Writer {
    keys: Sample,
    slots: BTreeMap<u64, Vec<u8>>,
    next: u64,
    previous: Option<Digest>,
    claimed: Timestamp,
    trust_number: u32,
}

impl Writer {
    fn new() -> Self {
        let keys = Sample::new(1);
        let slots = BTreeMap::new();
        Self { keys, slots, next: 0, previous: None, claimed: NOW, trust_number: 1 }
    }

    fn place(&self) -> LogPlace {
        LogPlace { vault: VAULT, store: self.keys.writer.store }
    }

    fn agent(&self) -> Signer {
        self.keys.writer.signer.clone()
    }

    fn sign(&self, signer: &Signer, event: Event) -> Vec<u8> {
        let author =
            Author { signer: signer.clone(), metadata: None, trust_number: self.trust_number };
        let at = Position {
            place: self.place(),
            sequence: self.next,
            previous: self.previous,
            claimed: self.claimed,
            salt: Salt([0; 16]),
        };
        Draft::of(event).seal(&author, &at).unwrap()
    }

    fn push(&mut self, signer: &Signer, event: Event) -> u64 {
        let bytes = self.sign(signer, event);
        self.previous = Some(Digest::of(&bytes));
        self.put(bytes)
    }

    /// Fills a slot with something that the chain does not go through.
    fn put(&mut self, bytes: Vec<u8>) -> u64 {
        self.slots.insert(self.next, bytes);
        self.next += 1;
        self.next - 1
    }

    fn agent_does(&mut self, event: Event) -> u64 {
        self.push(&self.agent(), event)
    }

    fn collector_does(&mut self, event: Event) -> u64 {
        self.push(&self.keys.collector.clone(), event)
    }

    fn open(&mut self, session: u8) -> u64 {
        self.agent_does(open(session, &[]))
    }

    fn fold(&self) -> Catalogue {
        self.fold_with(&self.keys.trust)
    }

    fn fold_with(&self, trust: &Trust) -> Catalogue {
        let slots = self.slots.iter();
        let slots = slots.map(|(&sequence, bytes)| Slot { sequence, bytes, stored: NOW });
        validate(self.place(), trust, slots)
    }

    /// Pushes an entry that must be void, and says why it is.
    fn void(&mut self, signer: &Signer, event: Event) -> Void {
        let at = self.push(signer, event);
        let catalogue = self.fold();
        assert!(!catalogue.entries()[&at].effective, "entry {at} must be void");
        match &catalogue.findings().last().unwrap().problem {
            Problem::Void { at: found, why } if *found == at => why.clone(),
            other => panic!("{other}"),
        }
    }

    fn agent_void(&mut self, event: Event) -> Void {
        self.void(&self.agent(), event)
    }

    fn collector_void(&mut self, event: Event) -> Void {
        self.void(&self.keys.collector.clone(), event)
    }

    fn hole(&self) -> Hole {
        match &self.fold().findings().last().unwrap().problem {
            Problem::Hole { why, .. } => why.clone(),
            other => panic!("{other}"),
        }
    }
}

fn session(number: u8) -> SessionId {
    SessionId([number; 8])
}

fn open_as(number: u8, duty: Duty, adopts: &[u8]) -> Open {
    Open {
        session: session(number),
        duty,
        agent: "db1".to_owned(),
        incarnation: Some(incarnation(1)),
        adopts: adopts.iter().map(|number| session(*number)).collect(),
        commitment: SymmetricKey::from_bytes([number; 32]).commitment(),
        wrapped: vec![number; 10],
    }
}

fn open(number: u8, adopts: &[u8]) -> Event {
    Event::Open(open_as(number, Duty::Wal, adopts))
}

fn pack(session_number: u8, number: u32) -> PackId {
    PackId { session: session(session_number), number }
}

fn named(session_number: u8, number: u32) -> NamedPack {
    NamedPack(PackClass::Data, pack(session_number, number))
}

fn set(packs: &[(u8, u32)]) -> PackSet {
    packs.iter().map(|(session, number)| (PackClass::Data, pack(*session, *number))).collect()
}

fn row(byte: u8) -> PackRow {
    PackRow { salt: Salt([byte; 16]), length: 100, hash: Digest([byte; 32]) }
}

fn id(number: u8) -> BackupId {
    BackupId([number; 8])
}

fn backup_of(number: u8, session_number: u8, new: &[(u8, u32)], old: &[(u8, u32)]) -> Backup {
    let mut rows = PackRows::default();
    for (session, number) in new {
        rows.insert(PackClass::Data, pack(*session, *number), row(0));
    }
    let (id, session) = (id(number), session(session_number));
    Backup { id, session, wal: None, rows, referenced: set(old) }
}

fn backup(number: u8, session: u8, new: &[(u8, u32)], old: &[(u8, u32)]) -> Event {
    Event::Backup(backup_of(number, session, new, old))
}

fn retire(numbers: &[u8]) -> Event {
    let backups = numbers.iter().map(|number| id(*number)).collect();
    Event::Retire(Retire { backups, reason: "old".to_owned(), policy: None })
}

fn sweep(packs: &[(u8, u32)]) -> Event {
    Event::Sweep(Sweep { packs: set(packs), ..Sweep::default() })
}

fn sweep_wal(range: WalRange) -> Event {
    Event::Sweep(Sweep { wal: vec![range], ..Sweep::default() })
}

fn attest(number: u8, level: Level, passed: bool) -> Event {
    let damaged = Vec::new();
    Event::Attest(Attest { backup: id(number), level, passed, objects: 1, bytes: 1, damaged })
}

fn live(catalogue: &Catalogue) -> Vec<u8> {
    catalogue.live().map(|backup| backup.id.0[0]).collect()
}

#[test]
fn backups_share_packs_and_go_one_by_one() {
    let mut writer = Writer::new();
    writer.open(1);
    writer.agent_does(backup(1, 1, &[(1, 0), (1, 1)], &[]));
    writer.agent_does(backup(2, 1, &[(1, 2)], &[(1, 1)]));
    writer.open(2);
    writer.agent_does(backup(3, 2, &[(2, 0)], &[(1, 1), (1, 2)]));
    writer.collector_does(retire(&[1]));
    writer.collector_does(sweep(&[(1, 0)]));
    let catalogue = writer.fold();
    assert_eq!(catalogue.findings(), &[]);
    assert_eq!(live(&catalogue), [2, 3]);
    assert_eq!(catalogue.head().unwrap().sequence, 6);
    let third = catalogue.backup(id(3)).unwrap();
    assert_eq!((third.new_bytes, third.is_increment), (100, true));
    assert!(catalogue.backup(id(1)).unwrap().retired.is_some());
    assert!(catalogue.row(PackClass::Data, pack(1, 0)).is_none());
    assert!(catalogue.row(PackClass::Data, pack(1, 1)).is_some());
    assert_eq!(catalogue.session(session(1)).unwrap().superseded, Some(3));
    assert_eq!(catalogue.newest_session(Duty::Wal).unwrap().id, session(2));
}

#[test]
fn only_roles_count() {
    let mut writer = Writer::new();
    let (agent, collector) = (writer.agent(), writer.keys.collector.clone());
    assert!(matches!(writer.collector_void(open(9, &[])), Void::Role { role: Role::Agent, .. }));
    writer.open(1);
    writer.agent_does(backup(1, 1, &[(1, 0)], &[]));
    writer.agent_does(backup(2, 1, &[(1, 1)], &[]));
    for (signer, event) in [
        (&agent, retire(&[1])),
        (&agent, sweep(&[(1, 0)])),
        (&agent, attest(1, Level::Restored, true)),
        (&agent, Event::Hold(hold(1))),
        (&collector, backup(3, 1, &[], &[(1, 0)])),
    ] {
        assert!(matches!(writer.void(signer, event), Void::Role { .. }));
    }
    assert_eq!(live(&writer.fold()), [1, 2]);
    let stranger = Signer::from_seed([77; 32]);
    let bytes = writer.sign(&stranger, backup(4, 1, &[], &[]));
    writer.put(bytes);
    assert!(matches!(writer.hole(), Hole::Stranger { trust: 1, .. }));
}

fn hold(number: u8) -> Hold {
    Hold { backup: id(number), until: None, purpose: HoldPurpose::Legal }
}

#[test]
fn what_does_not_belong_into_a_slot_is_a_hole_and_the_log_goes_on() {
    let mut writer = Writer::new();
    writer.open(1);
    writer.put(b"in the way".to_vec());
    assert!(matches!(writer.hole(), Hole::Bytes(_)));
    let replayed = writer.slots[&0].clone();
    writer.put(replayed);
    assert_eq!(writer.hole(), Hole::Elsewhere { sequence: 0 });
    let mut other = Writer::new();
    other.next = writer.next;
    other.previous = writer.previous;
    other.keys.writer.store = StoreId([9; 8]);
    let foreign = other.sign(&writer.agent(), open(2, &[]));
    writer.put(foreign);
    assert_eq!(writer.hole(), Hole::Elsewhere { sequence: 3 });
    writer.trust_number = 7;
    let future = writer.sign(&writer.agent(), open(2, &[]));
    writer.put(future);
    assert_eq!(writer.hole(), Hole::NoTrustList(7));
    writer.trust_number = 1;
    writer.agent_does(backup(1, 1, &[(1, 0)], &[]));
    let catalogue = writer.fold();
    assert_eq!(live(&catalogue), [1]);
    assert_eq!((catalogue.findings().len(), catalogue.breaks()), (4, &[][..]));
    assert_eq!(catalogue.next_sequence(), 6);
}

#[test]
fn the_newest_session_of_a_duty_commits_and_no_other() {
    let mut writer = Writer::new();
    writer.open(1);
    writer.agent_does(Event::Open(open_as(2, Duty::Base, &[])));
    writer.agent_does(backup(1, 1, &[(1, 0)], &[]));
    writer.agent_does(backup(2, 2, &[(2, 0)], &[]));
    assert_eq!(writer.fold().findings(), &[], "one session of each duty");
    writer.open(3);
    let why = writer.agent_void(backup(3, 1, &[(1, 1)], &[]));
    assert_eq!(why, Void::Superseded { session: session(1), by: 4 });
    assert_eq!(writer.agent_void(open(1, &[])), Void::SessionSeen(session(1)));
    assert_eq!(writer.agent_void(backup(1, 3, &[], &[])), Void::BackupSeen(id(1)));
    assert_eq!(writer.agent_void(backup(4, 9, &[], &[])), Void::NoSession(session(9)));
    assert_eq!(live(&writer.fold()), [1, 2]);
}

#[test]
fn a_session_is_its_signers_alone() {
    let mut writer = Writer::new();
    let second = Signer::from_seed([50; 32]);
    let mut list = writer.keys.trust.newest().clone();
    let stores = vec![Enrolment::open(writer.keys.writer.store, 0)];
    list.signers.push(SignerRow {
        name: "second".to_owned(),
        key: second.public(),
        recipient: None,
        roles: vec![Role::Agent],
        stores,
    });
    writer.keys.trust = Trust::from_lists([(list, Digest([0; 32]))]).unwrap();
    writer.open(1);
    let why = writer.void(&second, backup(1, 1, &[(1, 0)], &[]));
    assert_eq!(why, Void::NotItsSession(session(1)));
}

#[test]
fn sessions_adopt_dead_ones_only() {
    let mut writer = Writer::new();
    writer.agent_does(Event::Open(open_as(1, Duty::Base, &[])));
    assert_eq!(writer.agent_void(open(2, &[1])), Void::Adopts(session(1)), "still at work");
    assert_eq!(writer.agent_void(open(2, &[8])), Void::Adopts(session(8)), "unknown");
    writer.agent_does(Event::Open(open_as(3, Duty::Base, &[1])));
    writer.agent_does(backup(1, 3, &[(1, 4), (3, 0)], &[]));
    assert_eq!(live(&writer.fold()), [1], "what a dead session left is used");
    writer.open(4);
    let why = writer.agent_void(backup(2, 4, &[(1, 5)], &[]));
    assert_eq!(why, Void::Row(named(1, 5)), "adopted by another session");
}

#[test]
fn an_incarnation_belongs_to_one_cluster() {
    let mut writer = Writer::new();
    writer.open(1);
    let mut clone = open_as(2, Duty::Wal, &[]);
    clone.incarnation.as_mut().unwrap().bound_to = "postgres 2".to_owned();
    let why = writer.agent_void(Event::Open(clone));
    assert!(matches!(why, Void::Incarnation { .. }));
    let mut parents = backup_of(1, 1, &[(1, 0)], &[]);
    parents.wal = Some(WalRange { incarnation: IncarnationId([9; 8]), ..wal(1, 2) });
    let why = writer.agent_void(Event::Backup(parents));
    assert!(matches!(why, Void::Incarnation { .. }), "a clone backs up into its parent's history");
}

#[test]
fn a_backup_refers_to_what_is_there_and_described() {
    let mut writer = Writer::new();
    writer.open(1);
    writer.agent_does(backup(1, 1, &[(1, 0), (1, 1)], &[]));
    writer.agent_does(backup(2, 1, &[(1, 2)], &[]));
    writer.open(2);
    let why = writer.agent_void(backup(3, 2, &[(2, 0)], &[(1, 7)]));
    assert_eq!(why, Void::Undescribed(named(1, 7)));
    let why = writer.agent_void(backup(3, 2, &[(2, 0)], &[(2, 1)]));
    assert_eq!(why, Void::Undescribed(named(2, 1)), "its own, but without a row");
    let mut other = backup_of(3, 2, &[], &[]);
    other.rows.insert(PackClass::Data, pack(1, 1), row(0));
    assert_eq!(writer.agent_void(Event::Backup(other)), Void::Row(named(1, 1)));
    writer.collector_does(retire(&[1]));
    let why = writer.agent_void(backup(3, 2, &[(2, 0)], &[(1, 0)]));
    assert_eq!(why, Void::Reference(named(1, 0)), "retired");
    writer.agent_does(backup(3, 2, &[(2, 0)], &[(1, 2)]));
    writer.collector_does(sweep(&[(1, 0), (1, 1)]));
    let why = writer.agent_void(backup(4, 2, &[], &[(1, 1)]));
    assert_eq!(why, Void::Swept(named(1, 1)));
    let mut twice = backup_of(4, 2, &[], &[]);
    twice.rows.insert(PackClass::Data, pack(2, 0), row(5));
    assert_eq!(writer.agent_void(Event::Backup(twice)), Void::Row(named(2, 0)), "another row");
    assert_eq!(live(&writer.fold()), [2, 3]);
}

#[test]
fn nobody_retires_the_newest_the_newest_attested_or_the_held() {
    let mut writer = Writer::new();
    writer.open(1);
    for number in 1..=5 {
        writer.agent_does(backup(number, 1, &[(1, u32::from(number))], &[]));
    }
    writer.collector_does(attest(2, Level::Hashed, true));
    writer.collector_does(attest(3, Level::Hashed, true));
    writer.collector_does(attest(3, Level::Restored, false));
    writer.collector_does(attest(4, Level::Present, true));
    let held = writer.collector_does(Event::Hold(hold(1)));
    let floor = |number, floor| Void::Floor(id(number), floor);
    assert_eq!(writer.collector_void(retire(&[5])), floor(5, Floor::Newest));
    assert_eq!(writer.collector_void(retire(&[4, 2])), floor(2, Floor::NewestAttested));
    assert_eq!(writer.collector_void(retire(&[1])), floor(1, Floor::Held));
    assert_eq!(writer.collector_void(retire(&[9])), Void::NotLive(id(9)));
    writer.collector_does(Event::Unhold(Unhold { hold: held }));
    let again = Event::Unhold(Unhold { hold: held });
    assert_eq!(writer.collector_void(again), Void::NoHold(held));
    writer.collector_does(retire(&[1, 3, 4]));
    assert_eq!(writer.collector_void(retire(&[1])), Void::NotLive(id(1)));
    assert_eq!(live(&writer.fold()), [2, 5]);
}

#[test]
fn a_sweep_takes_only_what_nobody_needs() {
    let mut writer = Writer::new();
    writer.open(1);
    writer.open(2);
    writer.agent_does(backup(1, 2, &[(2, 0)], &[]));
    writer.agent_does(open(3, &[1]));
    let why = writer.collector_void(sweep(&[(9, 0)]));
    assert_eq!(why, Void::SweepsUnknown(named(9, 0)), "a stale list, or the future");
    for (session, number) in [(2, 0), (3, 0), (1, 0)] {
        let why = writer.collector_void(sweep(&[(session, number)]));
        assert_eq!(why, Void::SweepsUsed(named(session, number)));
    }
    writer.collector_does(sweep(&[(2, 1)]));
    assert!(writer.fold().swept().contains(PackClass::Data, pack(2, 1)));
}

#[test]
fn wal_is_swept_below_what_is_needed() {
    let mut writer = Writer::new();
    writer.open(1);
    let why = writer.collector_void(sweep_wal(wal(0, 1)));
    assert_eq!(why, Void::SweepsUsedWal(incarnation(1).id), "before the first backup");
    let with_wal = |number: u8, first, last| {
        let mut backup = backup_of(number, 1, &[(1, u32::from(number))], &[]);
        backup.wal = Some(wal(first, last));
        Event::Backup(backup)
    };
    writer.agent_does(with_wal(1, 10, 12));
    writer.agent_does(with_wal(2, 20, 22));
    for range in [wal(0, 10), wal(11, 11), wal(12, 13), wal(19, 20), wal(30, 40)] {
        let why = writer.collector_void(sweep_wal(range));
        assert_eq!(why, Void::SweepsUsedWal(incarnation(1).id), "{range:?}");
    }
    let senseless = WalRange { segment_bytes: 3, ..wal(0, 9) };
    assert_eq!(writer.collector_void(sweep_wal(senseless)), Void::WalRange);
    writer.collector_does(sweep_wal(wal(0, 9)));
    writer.collector_does(sweep_wal(wal(13, 19)));
    assert_eq!(writer.agent_void(with_wal(3, 9, 14)), Void::SweptWal);
    writer.agent_does(with_wal(3, 23, 24));
    assert_eq!(live(&writer.fold()), [1, 2, 3]);
}

#[test]
fn a_break_is_reported_and_what_follows_is_still_readable() {
    let mut writer = Writer::new();
    writer.open(1);
    writer.agent_does(backup(1, 1, &[(1, 0)], &[]));
    writer.agent_does(backup(2, 1, &[(1, 1)], &[(1, 0)]));
    for damage in ["flipped", "missing"] {
        let whole = writer.slots[&1].clone();
        match damage {
            "flipped" => writer.slots.get_mut(&1).unwrap()[50] ^= 1,
            _ => drop(writer.slots.remove(&1)),
        }
        let catalogue = writer.fold();
        assert_eq!((catalogue.breaks(), live(&catalogue)), (&[2][..], vec![2]), "{damage}");
        let problems: Vec<_> = catalogue.findings().iter().map(|it| &it.problem).collect();
        let pack = named(1, 0);
        assert!(problems.contains(&&Problem::Undescribed { backup: id(2), pack }), "{damage}");
        assert!(catalogue.findings().iter().any(|it| it.severity() == Severity::Error));
        writer.slots.insert(1, whole);
    }
    assert_eq!(writer.fold().findings(), &[]);
}

#[test]
fn junk_behind_the_end_is_not_the_log() {
    let mut writer = Writer::new();
    writer.open(1);
    writer.next = 1 << 60;
    writer.put(b"junk".to_vec());
    writer.next = u64::MAX;
    writer.slots.insert(u64::MAX, writer.sign(&writer.agent(), open(2, &[])));
    let catalogue = writer.fold();
    assert_eq!((catalogue.findings(), catalogue.next_sequence()), (&[][..], 1));
}

#[test]
fn trust_does_not_fall_and_may_end_in_the_past() {
    let mut writer = Writer::new();
    let first = writer.keys.trust.newest().clone();
    let mut second = first.clone();
    second.number = 2;
    writer.keys.trust =
        Trust::from_lists([(first.clone(), Digest([1; 32])), (second.clone(), Digest([2; 32]))])
            .unwrap();
    writer.open(1);
    writer.agent_does(backup(1, 1, &[(1, 0)], &[]));
    writer.trust_number = 2;
    writer.agent_does(backup(2, 1, &[(1, 1)], &[]));
    writer.trust_number = 1;
    let old = writer.sign(&writer.agent(), backup(3, 1, &[(1, 2)], &[]));
    writer.put(old);
    assert_eq!(writer.hole(), Hole::OldTrustList { trust: 1, before: 2 });
    writer.trust_number = 2;
    writer.agent_does(backup(4, 1, &[(1, 3)], &[]));
    assert_eq!(live(&writer.fold()), [1, 2, 4]);
    // The key was stolen before entry 2: a third list disowns what it signed since.
    let mut third = second.clone();
    third.number = 3;
    third.signers[0].stores[0].until = Some(2);
    let lists = [(first, Digest([1; 32])), (second, Digest([2; 32])), (third, Digest([3; 32]))];
    let catalogue = writer.fold_with(&Trust::from_lists(lists).unwrap());
    assert_eq!((live(&catalogue), catalogue.breaks()), (vec![1], &[][..]));
}

#[test]
fn what_a_newer_version_wrote_stops_writers_not_readers() {
    let mut writer = Writer::new();
    writer.open(1);
    writer.agent_does(backup(1, 1, &[(1, 0)], &[]));
    writer.agent_does(Event::Unknown("leap".to_owned()));
    writer.agent_does(backup(2, 1, &[(1, 1)], &[]));
    let catalogue = writer.fold();
    assert_eq!((live(&catalogue), catalogue.breaks()), (vec![1, 2], &[][..]));
    assert_eq!(catalogue.unknown().iter().collect::<Vec<_>>(), ["leap"]);
}

#[test]
fn a_wrong_clock_is_shown_and_changes_nothing() {
    let mut writer = Writer::new();
    writer.open(1);
    writer.claimed = Timestamp::constant(4_070_908_800, 0);
    writer.agent_does(backup(1, 1, &[(1, 0)], &[]));
    let catalogue = writer.fold();
    assert_eq!(live(&catalogue), [1]);
    assert!(matches!(catalogue.findings()[0].problem, Problem::Clock { at: 1, .. }));
    assert_eq!(catalogue.backup(id(1)).unwrap().stored, NOW);
}

#[test]
fn a_backup_is_imported_with_its_session() {
    let source = LogPlace { vault: VaultId([2; 16]), store: Sample::new(1).writer.store };
    let mut writer = Writer::new();
    let sign_there = |sequence, event| {
        let author = Author { signer: writer.agent(), metadata: None, trust_number: 1 };
        let salt = Salt([0; 16]);
        let at = Position { place: source, sequence, previous: None, claimed: NOW, salt };
        Draft::of(event).seal(&author, &at).unwrap()
    };
    let import = |sequence, event: Event, rows: &[(u8, u32)]| {
        let open = sign_there(3, open(7, &[]));
        let backup = sign_there(sequence, event);
        let rows = backup_of(0, 0, rows, &[]).rows;
        Event::Import(Import { source: source.vault, open, backup, rows })
    };
    let first = import(5, backup(1, 7, &[(7, 0)], &[]), &[]);
    let second = import(6, backup(2, 7, &[(7, 1)], &[(7, 0), (6, 3)]), &[(6, 3)]);
    let no_row = import(7, backup(3, 7, &[], &[(5, 5)]), &[]);
    let too_early = import(2, backup(3, 7, &[], &[(7, 0)]), &[]);
    let other_row = import(8, backup(3, 7, &[], &[]), &[(7, 0)]);
    writer.collector_does(first.clone());
    writer.collector_does(second);
    let catalogue = writer.fold();
    assert_eq!((catalogue.findings(), live(&catalogue)), (&[][..], vec![1, 2]));
    assert!(catalogue.session(session(7)).unwrap().imported);
    assert_eq!(catalogue.backup(id(2)).unwrap().imported_from, Some(source.vault));
    assert_eq!(writer.collector_void(first.clone()), Void::BackupSeen(id(1)));
    assert_eq!(writer.collector_void(no_row), Void::Undescribed(named(5, 5)));
    assert!(matches!(writer.collector_void(too_early), Void::Import(_)));
    writer.collector_does(other_row);
    assert!(matches!(writer.agent_void(first), Void::Role { role: Role::Copier, .. }));
    let why = writer.agent_void(backup(9, 7, &[(7, 9)], &[]));
    assert_eq!(why, Void::NoSession(session(7)), "an imported session writes nothing here");
}

/// Whatever signers sign, and whatever happens to the slots, the fold ends, and what it says holds
/// together.
#[derive(Debug, Clone)]
enum Step {
    Open(u8, bool, Vec<u8>),
    Backup(u8, u8, Vec<(u8, u32)>, Vec<(u8, u32)>, Option<(u64, u64)>),
    Retire(Vec<u8>),
    Sweep(Vec<(u8, u32)>, Option<(u64, u64)>),
    Attest(u8, bool),
    Hold(u8),
    Unhold(u64),
    Junk,
    Lose,
    Flip,
}

fn any_step() -> impl Strategy<Value = Step> {
    let packs = || proptest::collection::vec((1..5u8, 0..4u32), 0..4);
    let range = || proptest::option::of((0..6u64, 0..6u64));
    let adopts = proptest::collection::vec(1..5u8, 0..2);
    prop_oneof![
        3 => (1..5u8, any::<bool>(), adopts).prop_map(|(a, b, c)| Step::Open(a, b, c)),
        8 => (1..9u8, 1..5u8, packs(), packs(), range())
            .prop_map(|(a, b, c, d, e)| Step::Backup(a, b, c, d, e)),
        2 => proptest::collection::vec(1..9u8, 1..3).prop_map(Step::Retire),
        3 => (packs(), range()).prop_map(|(a, b)| Step::Sweep(a, b)),
        1 => (1..9u8, any::<bool>()).prop_map(|(a, b)| Step::Attest(a, b)),
        1 => (1..9u8).prop_map(Step::Hold),
        1 => (0..30u64).prop_map(Step::Unhold),
        1 => Just(Step::Junk),
        1 => Just(Step::Lose),
        1 => Just(Step::Flip),
    ]
}

impl Step {
    fn take(self, writer: &mut Writer) {
        let range = |range: Option<(u64, u64)>| range.map(|(from, to)| wal(from, to));
        match self {
            Self::Open(number, base, adopts) => {
                let duty = if base { Duty::Base } else { Duty::Wal };
                writer.agent_does(Event::Open(open_as(number, duty, &adopts)));
            }
            Self::Backup(number, session, new, old, needs) => {
                let mut backup = backup_of(number, session, &new, &old);
                backup.wal = range(needs);
                writer.agent_does(Event::Backup(backup));
            }
            Self::Retire(numbers) => drop(writer.collector_does(retire(&numbers))),
            Self::Sweep(packs, wal) => {
                let (packs, wal) = (set(&packs), range(wal).into_iter().collect());
                writer.collector_does(Event::Sweep(Sweep { packs, wal, parts: Vec::new() }));
            }
            Self::Attest(number, passed) => {
                writer.collector_does(attest(number, Level::Hashed, passed));
            }
            Self::Hold(number) => drop(writer.collector_does(Event::Hold(hold(number)))),
            Self::Unhold(hold) => drop(writer.collector_does(Event::Unhold(Unhold { hold }))),
            Self::Junk => drop(writer.put(b"junk".to_vec())),
            Self::Lose => drop(writer.slots.remove(&(writer.next / 2))),
            Self::Flip => {
                if let Some(bytes) = writer.slots.get_mut(&(writer.next / 2)) {
                    *bytes.last_mut().unwrap() ^= 1;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    #[test]
    fn whatever_is_signed_the_state_holds_together(
        steps in proptest::collection::vec(any_step(), 0..40),
    ) {
        let mut writer = Writer::new();
        for step in steps {
            step.take(&mut writer);
        }
        let catalogue = writer.fold();
        let (live, swept) = (catalogue.packs_in_use(), catalogue.swept());
        prop_assert_eq!(live.common(swept), None);
        for (class, pack) in live.iter().filter(|_| catalogue.breaks().is_empty()) {
            prop_assert!(catalogue.row(class, pack).is_some());
        }
        let wal: Vec<_> = catalogue.live().filter_map(|backup| backup.wal).collect();
        for swept in catalogue.swept_wal() {
            prop_assert!(!wal.iter().any(|wal| wal.touches(swept)));
        }
        for duty in [Duty::Wal, Duty::Base] {
            let newest = catalogue.newest_session(duty);
            prop_assert!(newest.is_none_or(|session| session.superseded.is_none()));
        }
        prop_assert!(catalogue.backups().is_empty() || catalogue.live().count() > 0);
    }
}
