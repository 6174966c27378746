use proptest::prelude::*;
use soter_world::Clock;
use soter_world::sim::cases;

use super::*;
use crate::log::sample::{Bench, draft};
use crate::log::{Attest, Duty, Hold, PackSet, Session, Unhold};
use crate::names::Name;
use crate::objects::ObjectStore;

fn back_up(bench: &Bench, session: &Session) -> BackupId {
    bench.back_up(session, 1, PackSet::default())
}

fn policy(rules: &[(Interval, u32)]) -> Policy {
    let rules = rules.iter().map(|(every, count)| Rule { every: *every, count: *count }).collect();
    Policy { age_min: Duration::ZERO, rules }
}

fn attest(bench: &Bench, backup: BackupId, level: Level, passed: bool) {
    let attest = Attest { backup, level, passed, objects: 1, bytes: 1, damaged: Vec::new() };
    bench.append(&bench.collector(), Event::Attest(attest)).unwrap();
}

fn kept(bench: &Bench, policy: &Policy) -> Vec<BackupId> {
    let verdicts = keep(bench.log().catalogue(), policy, bench.clock.now());
    verdicts.into_iter().filter(Verdict::is_kept).map(|verdict| verdict.backup).collect()
}

fn why(bench: &Bench, policy: &Policy, backup: BackupId) -> Vec<Reason> {
    let verdicts = keep(bench.log().catalogue(), policy, bench.clock.now());
    verdicts.into_iter().find(|verdict| verdict.backup == backup).unwrap().why
}

/// One backup a day for so many days, then a week in which nothing happens.
fn daily(bench: &Bench, days: usize) -> Vec<BackupId> {
    let session = bench.open(Duty::Wal);
    let mut backups = Vec::new();
    for _ in 0..days {
        backups.push(back_up(bench, &session));
        bench.days_pass(1);
    }
    bench.days_pass(7);
    backups
}

#[test]
fn rules_keep_one_for_each_interval() {
    let bench = Bench::new(21);
    // From Tuesday, 1 January 2030.
    let backups = daily(&bench, 70);
    assert_eq!(kept(&bench, &policy(&[])), backups[69..], "without rules the floors hold");
    let days = kept(&bench, &policy(&[(Interval::Day, 3)]));
    assert_eq!(days, backups[67..]);
    let weeks = kept(&bench, &policy(&[(Interval::Week, 2)]));
    assert_eq!(weeks, [backups[62], backups[69]], "the last is a Monday's");
    let months = kept(&bench, &policy(&[(Interval::Month, 12)]));
    assert_eq!(months, [backups[0], backups[31], backups[59], backups[69]]);
    assert_eq!(
        why(&bench, &policy(&[(Interval::Year, 1)]), backups[0]),
        [Reason::Rule(Interval::Year)]
    );
    assert_eq!(why(&bench, &policy(&[]), backups[69]), [Reason::Newest, Reason::NewestSound]);
}

#[test]
fn what_is_young_or_held_is_kept() {
    let bench = Bench::new(22);
    let backups = daily(&bench, 5);
    let nothing = policy(&[]);
    let fresh = back_up(&bench, &bench.open(Duty::Wal));
    let newer = back_up(&bench, &bench.open(Duty::Wal));
    assert_eq!(kept(&bench, &nothing), [fresh, newer]);
    assert_eq!(why(&bench, &nothing, fresh), [Reason::Young]);
    let hold = |backup, until, purpose| {
        let hold = Hold { backup, until, purpose };
        bench.append(&bench.collector(), Event::Hold(hold)).unwrap().sequence
    };
    let until = bench.clock.now() + Duration::from_secs(30 * 24 * 3600);
    let legal = hold(backups[0], None, HoldPurpose::Legal);
    hold(backups[1], Some(until), HoldPurpose::Pin);
    hold(backups[2], None, HoldPurpose::Mount);
    assert_eq!(kept(&bench, &nothing), [&backups[..3], &[fresh, newer]].concat());
    bench.days_pass(8);
    assert_eq!(kept(&bench, &nothing), [&backups[..2], &[newer]].concat(), "the mount is gone");
    bench.days_pass(30);
    assert_eq!(kept(&bench, &nothing), [backups[0], newer]);
    bench.append(&bench.collector(), Event::Unhold(Unhold { hold: legal })).unwrap();
    assert_eq!(kept(&bench, &nothing), [newer]);
}

#[test]
fn a_thousand_fakes_do_not_push_out_the_good_ones() {
    let bench = Bench::new(23);
    let good = daily(&bench, 3);
    attest(&bench, good[1], Level::Restored, true);
    let session = bench.open(Duty::Wal);
    for _ in 0..100 {
        back_up(&bench, &session);
    }
    bench.days_pass(8);
    let rule = policy(&[(Interval::Day, 3)]);
    let kept = kept(&bench, &rule);
    assert_eq!(kept[..2], good[1..], "the fakes of one day count as one");
    assert_eq!(kept.len(), 4, "and their first and their newest are kept too");
    // However long they go on: what passed verification stays.
    for _ in 0..10 {
        bench.days_pass(1);
        back_up(&bench, &session);
    }
    bench.days_pass(8);
    assert_eq!(why(&bench, &rule, good[1]), [Reason::NewestAttested]);
}

#[test]
fn within_an_interval_the_verified_wins_and_then_the_earlier() {
    let bench = Bench::new(24);
    let session = bench.open(Duty::Wal);
    let backups: Vec<_> = (0..4).map(|_| back_up(&bench, &session)).collect();
    bench.days_pass(1);
    let last = back_up(&bench, &session);
    bench.days_pass(8);
    let rule = policy(&[(Interval::Day, 9)]);
    assert_eq!(kept(&bench, &rule), [backups[0], last]);
    attest(&bench, backups[0], Level::Present, false);
    assert_eq!(kept(&bench, &rule), [backups[1], last]);
    attest(&bench, backups[2], Level::Hashed, true);
    assert_eq!(kept(&bench, &rule), [backups[2], last]);
    attest(&bench, last, Level::Hashed, false);
    assert!(why(&bench, &rule, backups[3]).contains(&Reason::NewestSound));
}

#[test]
fn a_vault_copied_without_its_times_is_left_alone() {
    let bench = Bench::new(25);
    let backups = daily(&bench, 10);
    bench.days_pass(60);
    for sequence in 0..=10 {
        let name = Name::Log(bench.keys.writer.store, sequence).to_string();
        let bytes = bench.memory.read(&name).unwrap();
        bench.memory.overwrite(&name, &bytes);
    }
    bench.days_pass(60);
    assert_eq!(kept(&bench, &policy(&[(Interval::Day, 1)])), backups);
    assert_eq!(why(&bench, &policy(&[]), backups[0]), [Reason::Redated]);
}

#[test]
fn what_is_not_kept_is_retired_once() {
    let bench = Bench::new(26);
    let backups = daily(&bench, 10);
    let rule = policy(&[(Interval::Day, 4)]);
    let (mut log, now) = (bench.log(), bench.clock.now());
    assert!(retire(&mut log, &bench.collector(), &rule, now).unwrap().is_some());
    assert_eq!(retire(&mut log, &bench.collector(), &rule, now).unwrap(), None);
    let live: Vec<_> = log.catalogue().live().map(|backup| backup.id).collect();
    assert_eq!((live, log.catalogue().findings()), (backups[6..].to_vec(), &[][..]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(12)))]

    /// Whatever a policy wants, the log accepts the retirement of what it does not keep.
    #[test]
    fn no_policy_goes_below_the_floors(
        days in proptest::collection::vec(0..40u64, 1..12),
        attests in proptest::collection::vec((0..12usize, any::<bool>()), 0..4),
        held in proptest::option::of(0..12usize),
        count in 0..4u32,
        every in prop::sample::select(vec![
            Interval::Hour, Interval::Day, Interval::Week, Interval::Month, Interval::Year,
        ]),
    ) {
        let bench = Bench::new(27);
        let session = bench.open(Duty::Wal);
        let mut backups = Vec::new();
        for pause in days {
            let id = BackupId::random(&*bench.vault.random);
            let rows = crate::log::PackRows::default();
            session.commit_backup(&draft(id, rows, PackSet::default())).unwrap();
            backups.push(id);
            bench.days_pass(pause);
        }
        for (index, passed) in attests {
            attest(&bench, backups[index % backups.len()], Level::Hashed, passed);
        }
        if let Some(index) = held {
            let backup = backups[index % backups.len()];
            let hold = Hold { backup, until: None, purpose: HoldPurpose::Pin };
            bench.append(&bench.collector(), Event::Hold(hold)).unwrap();
        }
        let mut log = bench.log();
        let rule = policy(&[(every, count)]);
        let outcome = retire(&mut log, &bench.collector(), &rule, bench.clock.now());
        prop_assert!(outcome.is_ok(), "{outcome:?}");
        prop_assert_eq!(log.catalogue().live().count(), kept(&bench, &rule).len());
    }
}
