//! Two writers that crash, sleep and adopt, and two collectors, in one store, step by step.
//!
//! Every actor runs the real code in a thread of its own, and stops before each operation on the
//! store until the scheduler lets it go on; one seed is one order of all operations. There is no
//! grace of any kind, lists are stale and answers get lost. After every step each live backup has all
//! its objects, and nobody has written an entry that is not effective.
//!
//! `SOTER_SEEDS` sets how many seeds are tried, `SOTER_SEED` the first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use soter_world::sim::SeededRandom;

use super::*;
use crate::ids::{BackupId, Digest, Salt};
use crate::keys::ErrorKind;
use crate::log::sample::{Bench, draft, opening};
use crate::log::validate::Slot;
use crate::log::{BackupRow, Duty, PackRows, PackSet, Retire, Session};
use crate::names::{PackClass, pack_prefix};
use crate::objects::{
    Created, Faults, Faulty, MemoryStore, ObjectError, ObjectInfo, Operation, create_once,
};
use crate::pack::{PackId, PackPlace, PackRow};

/// Operations of one seed.
const STEPS: usize = 1500;

/// How often an actor sleeps after an operation, and how long at most.
const SLEEP_PERCENT: u64 = 3;
const SLEEP_STEPS_MAX: usize = 300;

/// How often a deletion is slow, and how many turns it then takes.
const SLOW_DELETE_PERCENT: u64 = 15;
const SLOW_DELETE_STEPS: u64 = 40;

const SEEDS_USUAL: u64 = 12;

/// What a collector leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    None,
    /// Lists, decides, deletes.
    NoEntry,
    /// Deletes, and then says so.
    EntryAfterwards,
    /// Goes by the age of objects instead of the end of their sessions. (Keeping the newest version
    /// of a name, the other mistake of its kind, needs a place with versions: a directory has none.)
    ByAge,
}

/// What happened in one seed.
#[derive(Debug, Default)]
struct Tally {
    backups: usize,
    adopted: usize,
    refused: usize,
    sweeps: usize,
    deleted: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Go {
    On,
    /// The process dies before or after the operation, by chance.
    Crash,
    /// The simulation is over.
    Exit,
}

/// How an actor and the scheduler hand each other the turn.
struct Turns {
    parked: SyncSender<()>,
    go: Mutex<Receiver<Go>>,
    over: AtomicBool,
}

/// The store as one life of one actor sees it.
struct Gate {
    store: Arc<dyn ObjectStore>,
    turns: Arc<Turns>,
    random: SeededRandom,
    dead: AtomicBool,
    deleted: Arc<Mutex<Vec<String>>>,
}

impl Turns {
    fn wait(&self) -> Go {
        if self.over.load(Ordering::Relaxed) || self.parked.send(()).is_err() {
            return Go::Exit;
        }
        let go = self.go.lock().unwrap().recv().unwrap_or(Go::Exit);
        if go == Go::Exit {
            self.over.store(true, Ordering::Relaxed);
        }
        go
    }
}

impl Gate {
    fn pass<T>(
        &self,
        operation: Operation,
        name: &str,
        act: impl FnOnce() -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let is_dead = self.dead.load(Ordering::Relaxed);
        let go = if is_dead { Go::Exit } else { self.turns.wait() };
        if go == Go::On {
            return act();
        }
        self.dead.store(true, Ordering::Relaxed);
        if go == Go::Crash && self.random.chance(50) {
            drop(act());
        }
        Err(ObjectError::new(operation, name, ObjectErrorKind::Failed, "the process died"))
    }
}

impl ObjectStore for Gate {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
        self.pass(Operation::Create, name, || self.store.create(name, bytes))
    }
    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        // What an entry says never changes: reading the log anew need not take turns.
        if name.starts_with("log/") && !self.dead.load(Ordering::Relaxed) {
            return self.store.read(name);
        }
        self.pass(Operation::Read, name, || self.store.read(name))
    }
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        self.pass(Operation::Read, name, || self.store.read_range(name, offset, length))
    }
    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        self.pass(Operation::Head, name, || self.store.head(name))
    }
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        self.pass(Operation::List, prefix, || self.store.list(prefix, after, limit))
    }
    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        // Some deletions are slow: whole lives of writers go by meanwhile.
        let is_slow = self.random.chance(SLOW_DELETE_PERCENT);
        for _ in 0..if is_slow { SLOW_DELETE_STEPS } else { 0 } {
            self.pass(Operation::Delete, name, || Ok(()))?;
        }
        self.pass(Operation::Delete, name, || {
            self.deleted.lock().unwrap().push(name.to_owned());
            self.store.delete(name)
        })
    }
}

/// One actor: lives, dies, and lives again.
struct Actor {
    bench: Arc<Bench>,
    turns: Arc<Turns>,
    random: SeededRandom,
    mutant: Mutant,
    tally: Arc<Mutex<Tally>>,
    deleted: Arc<Mutex<Vec<String>>>,
}

impl Actor {
    fn run(&self, is_writer: bool) {
        while !self.turns.over.load(Ordering::Relaxed) {
            let gate = Gate {
                store: Arc::clone(&self.bench.vault.objects),
                turns: Arc::clone(&self.turns),
                random: SeededRandom::new(self.random.next()),
                dead: AtomicBool::new(false),
                deleted: Arc::clone(&self.deleted),
            };
            let mut vault = self.bench.vault.clone();
            vault.objects = Arc::new(gate);
            vault.random = Arc::new(SeededRandom::new(self.random.next()));
            let trust = self.bench.keys.trust.clone();
            let outcome = Log::open(&vault, self.bench.keys.writer.store, trust, None)
                .and_then(|log| if is_writer { self.write(log) } else { self.clean(log) });
            if let Err(LogError::Refused { .. }) = outcome {
                self.tally.lock().unwrap().refused += 1;
            }
        }
    }

    fn idle(&self, steps: u64) {
        for _ in 0..steps {
            if self.turns.wait() != Go::On {
                return;
            }
        }
    }

    fn write(&self, log: Log) -> Result<(), LogError> {
        // Two duties are two writers that do not fence each other.
        let duty = if self.random.chance(50) { Duty::Wal } else { Duty::Base };
        let session = self.open(log, duty)?;
        for _ in 0..=self.random.below(3) {
            let mut referenced = PackSet::default();
            {
                let log = session.log();
                let live: Vec<_> = log.catalogue().live().collect();
                // Mostly the newest; a reader of older maps may choose another.
                let base = if self.random.chance(70) { live.last() } else { live.first() };
                if let Some(base) = base {
                    let kept = base.packs.iter().filter(|_| self.random.chance(70));
                    referenced.extend(kept);
                }
            }
            let mut rows = self.adopt(&session)?;
            for _ in 0..=self.random.below(3) {
                let (id, row) = self.store_pack(&session)?;
                rows.insert(PackClass::Data, id, row);
            }
            if self.random.chance(30) {
                return Ok(());
            }
            let id = BackupId::random(&*session.vault().random);
            self.commit(&session, &draft(id, rows, referenced))?;
        }
        Ok(())
    }

    /// Some sessions adopt as real ones do, the others any that died lately.
    fn open(&self, log: Log, duty: Duty) -> Result<Session, LogError> {
        let keys = &self.bench.keys.writer;
        if self.random.chance(30) {
            return Session::open(log, keys, opening(duty));
        }
        let any_dead = |catalogue: &Catalogue, _| {
            let mut dead: Vec<_> =
                catalogue.sessions().filter(|session| session.superseded.is_some()).collect();
            dead.sort_unstable_by_key(|session| std::cmp::Reverse(session.sequence));
            let latest = dead.into_iter().take(4).map(|session| session.id);
            latest.filter(|_| self.random.chance(50)).collect()
        };
        Session::open_adopting(log, keys, opening(duty), &any_dead)
    }

    fn commit(&self, session: &Session, draft: &crate::log::BackupDraft) -> Result<(), LogError> {
        loop {
            match session.commit_backup(draft) {
                Ok(_) => break,
                Err(LogError::Refused { why }) => return Err(LogError::Refused { why }),
                Err(error) if error.kind() == ErrorKind::Retry => {}
                Err(error) => return Err(error),
            }
        }
        self.tally.lock().unwrap().backups += 1;
        Ok(())
    }

    fn store_pack(&self, session: &Session) -> Result<(PackId, PackRow), LogError> {
        let number = session.pack_numbers().next(PackClass::Data).unwrap();
        let id = PackId { session: session.id(), number };
        let (vault, name) = (session.vault(), place(&self.bench, id).name());
        let bytes = name.clone().into_bytes();
        let stored = create_once(&*vault.objects, &*vault.clock, &name, &bytes)?;
        assert_ne!(stored, crate::objects::Once::Taken(Vec::new()));
        Ok((id, row(&bytes)))
    }

    /// Some of what dead sessions left, as a list shows it.
    fn adopt(&self, session: &Session) -> Result<PackRows, LogError> {
        let (mut rows, objects) = (PackRows::default(), &*session.vault().objects);
        for dead in session.adopted() {
            let prefix = pack_prefix(PackClass::Data, self.bench.keys.writer.store, Some(*dead));
            for info in objects.list(&prefix, None, 1000)? {
                let Some(Name::Pack(class, _, of, number)) = Name::parse(&info.name) else {
                    continue;
                };
                let id = PackId { session: of, number };
                let is_swept = session.log().catalogue().swept().contains(class, id);
                if is_swept || self.random.chance(50) || objects.head(&info.name)?.is_none() {
                    continue;
                }
                rows.insert(class, id, row(info.name.as_bytes()));
                self.tally.lock().unwrap().adopted += 1;
            }
        }
        Ok(rows)
    }

    fn clean(&self, mut log: Log) -> Result<(), LogError> {
        let author = self.bench.collector();
        log.append(&author, &mut |catalogue| {
            let live: Vec<_> = catalogue.live().map(|backup| backup.id).collect();
            let Some((oldest, _)) = live.split_first().filter(|(_, rest)| !rest.is_empty()) else {
                return Ok(None);
            };
            let reason = "test".to_owned();
            let retire = Retire { backups: vec![*oldest], reason, policy: None };
            Ok(Some(Draft::of(Event::Retire(retire))))
        })?;
        self.idle(self.random.below(10));
        let policy = SweepPolicy {
            delay: Duration::ZERO,
            dead_session_age: Duration::ZERO,
            part_age: Duration::ZERO,
            accepted_breaks: Vec::new(),
        };
        let now = log.vault().clock.now();
        if self.mutant == Mutant::None {
            let collected = collect(&mut log, &author, &policy, now, &Stop::new(), &|_, _| {})?;
            let mut tally = self.tally.lock().unwrap();
            tally.sweeps += usize::from(collected.entry.is_some());
            tally.deleted += usize::try_from(collected.deleted_count).unwrap();
            return Ok(());
        }
        let store = self.bench.keys.writer.store;
        if self.mutant == Mutant::ByAge {
            let objects = &*log.vault().objects;
            let old = objects.list(&pack_prefix(PackClass::Data, store, None), None, 1000)?;
            log.refresh()?;
            let needed = needed(log.catalogue());
            for info in old.iter().filter(|info| info.modified <= now) {
                if !needed.contains_key(&info.name) {
                    log.vault().objects.delete(&info.name)?;
                }
            }
            return Ok(());
        }
        let listing = Listing::read(&*log.vault().objects, store)?;
        log.refresh()?;
        let sealed = SealedSegments::default();
        let sweep = plan(log.catalogue(), &listing, &sealed, &policy, now);
        for (class, id) in sweep.packs.iter() {
            log.vault().objects.delete(&PackPlace { class, store, id }.name())?;
        }
        if self.mutant == Mutant::EntryAfterwards {
            log.append(&author, &mut |catalogue| {
                let sweep = plan(catalogue, &listing, &sealed, &policy, now);
                Ok((!sweep.packs.is_empty()).then(|| Draft::of(Event::Sweep(sweep))))
            })?;
        }
        Ok(())
    }
}

fn place(bench: &Bench, id: PackId) -> PackPlace {
    PackPlace { class: PackClass::Data, store: bench.keys.writer.store, id }
}

fn row(bytes: &[u8]) -> PackRow {
    let length = u32::try_from(bytes.len()).unwrap();
    PackRow { salt: Salt([0; 16]), length, hash: Digest::of(bytes) }
}

/// Looks at everything after every step: at all objects when the log has grown, and otherwise at
/// those that were deleted, since nothing else makes one vanish.
struct Checker {
    catalogue: Catalogue,
    needed: HashMap<String, BackupId>,
    deleted: Arc<Mutex<Vec<String>>>,
}

impl Checker {
    fn check(&mut self, bench: &Bench) -> Result<(), String> {
        let deleted = std::mem::take(&mut *self.deleted.lock().unwrap());
        if self.read_log(bench)? {
            self.needed = needed(&self.catalogue);
            if let Some((name, backup)) = self.needed.iter().find(|(name, _)| !bench.has(name)) {
                return Err(format!("backup {backup} has lost {name}"));
            }
        }
        match deleted.iter().find_map(|name| self.needed.get_key_value(name)) {
            Some((name, backup)) => Err(format!("backup {backup} has lost {name}")),
            None => Ok(()),
        }
    }

    /// Whether there was anything new.
    fn read_log(&mut self, bench: &Bench) -> Result<bool, String> {
        let before = self.catalogue.next_sequence();
        loop {
            let sequence = self.catalogue.next_sequence();
            let name = Name::Log(bench.keys.writer.store, sequence).to_string();
            let Ok(bytes) = bench.memory.read(&name) else { break };
            let stored = bench.memory.head(&name).unwrap().unwrap().modified;
            self.catalogue.fold(&bench.keys.trust, Slot { sequence, bytes: &bytes, stored });
        }
        match self.catalogue.findings().iter().find(|it| !is_clock(it)) {
            Some(finding) => Err(finding.problem.to_string()),
            None => Ok(before != self.catalogue.next_sequence()),
        }
    }
}

fn needed(catalogue: &Catalogue) -> HashMap<String, BackupId> {
    let store = catalogue.place().store;
    let of_backup = |backup: &BackupRow| {
        let name = |(class, id)| PackPlace { class, store, id }.name();
        let id = backup.id;
        backup.packs.iter().map(name).map(move |name| (name, id)).collect::<Vec<_>>()
    };
    catalogue.live().flat_map(of_backup).collect()
}

fn is_clock(finding: &crate::log::Finding) -> bool {
    matches!(finding.problem, crate::log::Problem::Clock { .. })
}

/// Runs one seed. The error says after which step what was wrong.
fn simulate(seed: u64, mutant: Mutant) -> Result<Tally, String> {
    let random = SeededRandom::new(seed);
    let mut bench = Bench::new(u8::try_from(random.below(128)).unwrap());
    let faults = Faults { errors_percent: 0, lost_answers_percent: 5, ..Faults::ROUGH };
    let memory = Arc::<MemoryStore>::clone(&bench.memory);
    bench.vault.objects = Arc::new(Faulty::new(memory, faults, random.next()));
    let bench = Arc::new(bench);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let deleted = Arc::new(Mutex::new(Vec::new()));
    let mut actors = Vec::new();
    for number in 0..4 {
        let (parked, is_parked) = sync_channel(1);
        let (go, next) = sync_channel(1);
        let turns = Turns { parked, go: Mutex::new(next), over: AtomicBool::new(false) };
        let actor = Actor {
            bench: Arc::clone(&bench),
            turns: Arc::new(turns),
            random: SeededRandom::new(random.next()),
            mutant,
            tally: Arc::clone(&tally),
            deleted: Arc::clone(&deleted),
        };
        let thread = thread::spawn(move || actor.run(number < 2));
        is_parked.recv().expect("an actor begins with an operation");
        actors.push((go, is_parked, thread));
    }
    let catalogue = Catalogue::empty(bench.place());
    let mut checker = Checker { catalogue, needed: HashMap::new(), deleted };
    let mut outcome = Ok(());
    let mut asleep_until = vec![0; actors.len()];
    for step in 0..STEPS {
        let awake: Vec<_> = (0..actors.len()).filter(|it| asleep_until[*it] <= step).collect();
        let chosen = if awake.is_empty() { 0 } else { awake[random.index(awake.len())] };
        if random.chance(SLEEP_PERCENT) {
            asleep_until[chosen] = step + random.index(SLEEP_STEPS_MAX);
        }
        let (go, is_parked, _) = &actors[chosen];
        let what = if random.below(200) == 0 { Go::Crash } else { Go::On };
        go.send(what).expect("the actor waits");
        if is_parked.recv().is_err() {
            outcome = Err(format!("an actor panicked in step {step}"));
            break;
        }
        if let Err(what) = checker.check(&bench) {
            outcome = Err(format!("step {step}: {what}"));
            break;
        }
    }
    for (go, is_parked, thread) in actors {
        // An actor that panicked does not wait any more; its panic was printed.
        go.send(Go::Exit).unwrap_or_default();
        drop(is_parked);
        if thread.join().is_err() && outcome.is_ok() {
            outcome = Err("an actor panicked".to_owned());
        }
    }
    outcome.map(|()| std::mem::take(&mut *tally.lock().unwrap()))
}

fn number_from_environment(name: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test's size is chosen by its caller")]
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn no_live_backup_ever_loses_an_object() {
    let first = number_from_environment("SOTER_SEED", 0);
    let seeds = first..first + number_from_environment("SOTER_SEEDS", SEEDS_USUAL);
    let mut sum = Tally::default();
    for seed in seeds.clone() {
        match simulate(seed, Mutant::None) {
            Ok(tally) => {
                sum.backups += tally.backups;
                sum.adopted += tally.adopted;
                sum.refused += tally.refused;
                sum.sweeps += tally.sweeps;
                sum.deleted += tally.deleted;
            }
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    println!("seeds {seeds:?}: {sum:?}");
    let usual = usize::try_from(seeds.end - seeds.start).unwrap();
    assert!(sum.backups > 5 * usual && sum.sweeps > usual, "too little happened: {sum:?}");
    assert!(sum.adopted > usual && sum.deleted > usual, "too little happened: {sum:?}");
}

#[test]
fn a_collector_without_an_entry_before_it_is_found_out() {
    for mutant in [Mutant::NoEntry, Mutant::EntryAfterwards, Mutant::ByAge] {
        let lost = (0..20).find_map(|seed| simulate(seed, mutant).err());
        let what = lost.unwrap_or_else(|| panic!("{mutant:?} was not found in 20 seeds"));
        assert!(what.contains("has lost"), "{mutant:?}: {what}");
    }
}

#[test]
fn a_seed_is_one_order_of_operations() {
    let once = |_| format!("{:?}", simulate(5, Mutant::None).unwrap());
    assert_eq!(once(1), once(2));
}
