//! Two years of a store, day by day: an agent that is away at times, drills, a collector with a policy,
//! a place that locks objects for sixty days, and a thief of the agent's key who commits fakes.
//!
//! After every day each live backup has all its objects; what the agent committed that day stays
//! locked as long as is wanted; no backup that a drill has proved is let go early or because of fakes;
//! and what a new backup is to share is still there, so that the log never refuses one. Order and crashes within a day are the business of the sweep's own simulation.
//!
//! `SOTER_SEEDS` sets the seeds.

use std::collections::BTreeSet;
use std::sync::Arc;

use soter_world::Clock;
use soter_world::Stop;
use soter_world::sim::{SeededRandom, SimClock, seeds};

use super::*;
use crate::ids::BackupId;
use crate::log::sample::{Bench, opening};
use crate::log::{Attest, Draft, Duty, Event, Level, Log, LogError, Retire, Session, Void};
use crate::objects::{
    Created, MemoryStore, ObjectError, ObjectErrorKind, ObjectInfo, ObjectStore, Operation,
};
use crate::retention::{Interval, Policy, Rule, retire};
use crate::sweep::{SweepPolicy, collect};

const DAY: Duration = Duration::from_secs(24 * 3600);
const YEARS_DAYS: u32 = 730;

/// `D` and `W`: with `A` of thirty days there is nothing to spare.
const LOCK: Duration = Duration::from_secs(60 * 24 * 3600);
const WANTED: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the policy keeps: everything for this long, then one for each of so many days, and so on.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
const KEPT_DAYS: u32 = 14;

/// How many fakes a thief commits in a day.
const FAKES: usize = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    None,
    /// The agent shares whatever the base has.
    SharesAll,
    /// The policy counts entries instead of intervals.
    CountsEntries,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    backups: usize,
    fakes: usize,
    retired: usize,
    deleted: u64,
    locked: usize,
}

/// A place that deletes nothing before its lock is over.
struct Locked {
    memory: Arc<MemoryStore>,
    clock: Arc<SimClock>,
}

impl ObjectStore for Locked {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
        self.memory.create(name, bytes)
    }
    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        self.memory.read(name)
    }
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        self.memory.read_range(name, offset, length)
    }
    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        self.memory.head(name)
    }
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        self.memory.list(prefix, after, limit)
    }
    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let age = |info: ObjectInfo| self.clock.now().duration_since(info.modified).unsigned_abs();
        match self.memory.head(name)?.map(age) {
            Some(age) if age < LOCK => {
                let (operation, kind) = (Operation::Delete, ObjectErrorKind::Denied);
                Err(ObjectError::new(operation, name, kind, "it is locked"))
            }
            _ => self.memory.delete(name),
        }
    }
}

struct Store {
    bench: Bench,
    random: SeededRandom,
    mutant: Mutant,
    session: Session,
    /// As the collector knows it.
    log: Log,
    tally: Tally,
}

impl Store {
    fn new(seed: u64, mutant: Mutant) -> Self {
        let mut bench = Bench::new(60);
        let (memory, clock) = (Arc::clone(&bench.memory), Arc::clone(&bench.clock));
        bench.vault.objects = Arc::new(Locked { memory, clock });
        bench.vault.random = Arc::new(SeededRandom::new(seed));
        let (session, log) = (bench.open(Duty::Wal), bench.log());
        let random = SeededRandom::new(seed.wrapping_add(1 << 40));
        Self { bench, random, mutant, session, log, tally: Tally::default() }
    }

    fn year_after_year(&mut self, days: u32) -> Result<(), String> {
        let mut away_days = 0;
        for day in 0..days {
            self.bench.days_pass(1);
            if away_days > 0 {
                away_days -= 1;
            } else {
                if day % 7 == 0 {
                    self.rotate();
                }
                let committed = self.back_up()?;
                self.check_lock(committed)?;
                if self.random.chance(30) {
                    self.drill(committed);
                }
                if self.random.chance(1) {
                    away_days = self.random.below(20);
                }
            }
            if self.random.chance(2) {
                self.steal();
            }
            if self.random.chance(90) {
                self.clean()?;
            }
            self.check_objects()?;
        }
        Ok(())
    }

    fn steal(&mut self) {
        self.tally.fakes += FAKES;
        for _ in 0..FAKES {
            self.bench.back_up(&self.session, 0, PackSet::default());
        }
    }

    fn rotate(&mut self) {
        let log = self.session.log().duplicate();
        self.session = Session::open(log, &self.bench.keys.writer, opening(Duty::Wal)).unwrap();
    }

    /// Most of what the base has did not change.
    fn back_up(&mut self) -> Result<BackupId, String> {
        let (mut referenced, mut anew) = (PackSet::default(), 1);
        {
            let log = self.session.log();
            let catalogue = log.catalogue();
            // As if the base were the agent's own last one, whatever a thief has committed since.
            let base = catalogue.live().rev().find(|backup| !backup.packs.is_empty());
            if let Some(base) = base {
                let age =
                    if self.mutant == Mutant::SharesAll { Duration::MAX } else { PACK_AGE_MAX };
                let young = shareable(catalogue, base, self.bench.clock.now(), age);
                let unchanged: Vec<_> =
                    base.packs.iter().filter(|_| !self.random.chance(10)).collect();
                let (kept, old): (Vec<_>, Vec<_>) =
                    unchanged.into_iter().partition(|(class, pack)| young.contains(*class, *pack));
                referenced.extend(kept);
                anew += u32::try_from(old.len()).unwrap();
            }
        }
        self.tally.backups += 1;
        match self.bench.try_back_up(&self.session, anew, referenced) {
            Ok(id) => Ok(id),
            Err(LogError::Refused { why: why @ (Void::Reference(_) | Void::Swept(_)) }) => {
                Err(format!("a backup was refused: {why}"))
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn drill(&mut self, backup: BackupId) {
        let level = Level::Restored;
        let (passed, objects, bytes, damaged) = (true, 1, 1, Vec::new());
        let attest = Event::Attest(Attest { backup, level, passed, objects, bytes, damaged });
        let author = self.bench.collector();
        self.log.append(&author, &mut |_| Ok(Some(Draft::of(attest.clone())))).unwrap();
    }

    fn clean(&mut self) -> Result<(), String> {
        let (author, now) = (self.bench.collector(), self.bench.clock.now());
        self.log.refresh().unwrap();
        let before: BTreeSet<BackupId> = self.log.catalogue().live().map(|it| it.id).collect();
        if self.mutant == Mutant::CountsEntries {
            self.retire_by_count();
        } else {
            let rules = [(Interval::Day, KEPT_DAYS), (Interval::Week, 8), (Interval::Month, 6)];
            let rules = rules.map(|(every, count)| Rule { every, count }).to_vec();
            let policy = Policy { age_min: KEPT, rules };
            retire(&mut self.log, &author, &policy, now).unwrap();
        }
        let after: BTreeSet<BackupId> = self.log.catalogue().live().map(|it| it.id).collect();
        for gone in before.difference(&after) {
            self.tally.retired += 1;
            self.check_retired(*gone, now)?;
        }
        let (sweep, stop) = (SweepPolicy::STANDARD, Stop::new());
        let done = collect(&mut self.log, &author, &sweep, now, &stop, &|_, _| {}).unwrap();
        self.tally.deleted += done.deleted_count;
        self.tally.locked += done.locked.len();
        Ok(())
    }

    /// The newest so many, and what the log itself protects.
    fn retire_by_count(&mut self) {
        let author = self.bench.collector();
        let appended = self.log.append(&author, &mut |catalogue| {
            let attested = catalogue.newest_attested().map(|backup| backup.id);
            let live: Vec<_> = catalogue.live().map(|backup| backup.id).collect();
            let old = &live[..live.len().saturating_sub(28)];
            let backups: Vec<_> = old.iter().copied().filter(|id| Some(*id) != attested).collect();
            let retire = Retire { backups, reason: "mutant".to_owned(), policy: None };
            Ok((!retire.backups.is_empty()).then(|| Draft::of(Event::Retire(retire.clone()))))
        });
        appended.unwrap();
    }

    /// A proved backup goes by age and calendar alone.
    fn check_retired(&self, id: BackupId, now: Timestamp) -> Result<(), String> {
        let catalogue = self.log.catalogue();
        if catalogue.attests(id).is_empty() {
            return Ok(());
        }
        let at = catalogue.backup(id).unwrap().stored;
        if now.duration_since(at).unsigned_abs() < KEPT {
            return Err(format!("proved backup {id} of {at} was let go at {now}"));
        }
        let day = |at: Timestamp| at.as_second() / 86_400;
        let newer = catalogue.live().map(|backup| backup.stored).filter(|it| *it > at);
        let days: BTreeSet<i64> = newer.map(day).collect();
        if days.len() < KEPT_DAYS as usize {
            return Err(format!(
                "proved backup {id} was let go for backups of {} days",
                days.len()
            ));
        }
        Ok(())
    }

    fn check_lock(&self, committed: BackupId) -> Result<(), String> {
        let log = self.session.log();
        let catalogue = log.catalogue();
        let store = catalogue.place().store;
        let listing = Listing::read(&*self.bench.memory, store).unwrap();
        let backup = catalogue.backup(committed).unwrap();
        let until = locked_until(catalogue, backup, &listing, LOCK);
        let wanted = self.bench.clock.now().saturating_add(WANTED).unwrap();
        match until {
            Some(until) if until >= wanted => Ok(()),
            _ => Err(format!("backup {committed} is locked until {until:?}, wanted {wanted}")),
        }
    }

    fn check_objects(&mut self) -> Result<(), String> {
        self.log.refresh().unwrap();
        let catalogue = self.log.catalogue();
        if let Some(finding) = catalogue.findings().first() {
            return Err(finding.problem.to_string());
        }
        let listing = Listing::read(&*self.bench.memory, catalogue.place().store).unwrap();
        let lost =
            catalogue.live().find(|it| locked_until(catalogue, it, &listing, LOCK).is_none());
        lost.map_or(Ok(()), |backup| Err(format!("backup {} has lost an object", backup.id)))
    }
}

fn live(seed: u64, mutant: Mutant, days: u32) -> Result<Tally, String> {
    let mut store = Store::new(seed, mutant);
    store.year_after_year(days)?;
    Ok(store.tally)
}

#[test]
fn for_two_years_everything_proved_stays_and_all_that_is_new_is_locked() {
    for seed in seeds(1) {
        let tally = live(seed, Mutant::None, YEARS_DAYS);
        let tally = tally.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        // Something has happened.
        assert!(tally.backups > 400 && tally.retired > 300, "seed {seed}: {tally:?}");
        assert!(tally.fakes > 0 && tally.deleted > 300, "seed {seed}: {tally:?}");
    }
}

#[test]
fn an_agent_that_shares_old_packs_and_a_policy_that_counts_entries_are_found() {
    for mutant in [Mutant::SharesAll, Mutant::CountsEntries] {
        // A short time does not bring every seed the backup that it takes.
        let (found, missed): (Vec<u64>, Vec<u64>) =
            seeds(1).partition(|&seed| live(seed, mutant, 200).is_err());
        assert!(found.len() > missed.len(), "{mutant:?} was not found with seeds {missed:?}");
    }
}

/// Nobody has proved the agent's last backup, so only the next one tells that it is gone.
#[test]
fn a_policy_that_lets_go_of_the_base_is_found_by_the_refusal_of_the_next_backup() {
    let next_is_refused = |mutant| {
        let mut store = Store::new(0, mutant);
        // A session may share what the ones before it have stored as long as it is held alone.
        for _ in 0..4 {
            store.rotate();
            store.back_up().unwrap();
        }
        store.steal();
        store.clean().unwrap();
        store.back_up().is_err_and(|why| why.starts_with("a backup was refused"))
    };
    assert!(next_is_refused(Mutant::CountsEntries));
    assert!(!next_is_refused(Mutant::None));
}

#[test]
fn the_oldest_object_that_is_needed_decides_and_a_missing_one_is_no_answer() {
    let bench = Bench::new(61);
    let session = bench.open(Duty::Wal);
    let segment = bench.push_wal(3);
    let pushed = bench.clock.now();
    bench.days_pass(2);
    bench.push_wal(4);
    let id = bench.back_up_with_wal(&session, 3, 4);
    let log = bench.log();
    let backup = log.catalogue().backup(id).unwrap();
    let until = || {
        let listing = Listing::read(&*bench.memory, log.catalogue().place().store).unwrap();
        locked_until(log.catalogue(), backup, &listing, 10 * DAY)
    };
    assert_eq!(until(), Some(pushed.saturating_add(10 * DAY).unwrap()), "its first segment's");
    bench.memory.delete(&segment).unwrap();
    assert_eq!(until(), None);
}
