//! Two engines of one run on two machines, with one mirror between them.

use std::path::Path;
use std::time::Duration;

use soter_world::sim::{SeededRandom, seeds};

use super::PLACE;
use super::laboratory::{Fact, Laboratory, SharedMirror};
use super::simulation::{Site, drawn};
use crate::driver::engine::{Engine, EngineError, Progress, Resuming};
use crate::driver::lock::Lock;
use crate::driver::request::{Request, Wish};
use crate::journal;
use crate::state::{Closing, Life, MirrorState};

fn place() -> (&'static Path, Lock) {
    (Path::new(PLACE), Lock::simulated())
}

fn take_over() -> Resuming {
    Resuming { take_over: true, ..Resuming::default() }
}

/// After the second has taken the run, the first begins nothing that cannot be taken back, and ends
/// as soon as it reaches the mirror; the run ends as without.
fn contest(seed: u64, fault_percent: u64) {
    let context = format!("seed {seed} faults {fault_percent}");
    let (procedure, beginning) = drawn(seed);
    let laboratory = Laboratory::new(seed, &procedure);
    let mirror = SharedMirror::new(seed, 0);
    let random = SeededRandom::new(seed ^ 0x2222);
    let mut first = Site::new(&laboratory, 0, seed);
    let mut second = Site::new(&laboratory, 1, seed + 1);
    (first.mirror, second.mirror) = (Some(&mirror), Some(&mirror));
    let (of_first, of_second) = (first.effects(), second.effects());
    let mut old = Engine::begin(first.world(&of_first), place(), beginning).unwrap();
    assert_eq!(old.state().mirror.0, MirrorState::Following);
    *mirror.fault_percent.lock().unwrap() = fault_percent;
    for _ in 0..random.below(40) {
        if let Progress::Closed(_) = first.turn(&mut old).unwrap() {
            return;
        }
    }
    *mirror.fault_percent.lock().unwrap() = 0;
    if mirror.numbers().is_empty() {
        return;
    }
    let refused = Engine::resume(second.world(&of_second), place(), Resuming::default());
    assert!(matches!(refused, Err(EngineError::Elsewhere)), "{context}");
    let mut new = match Engine::resume(second.world(&of_second), place(), take_over()) {
        Ok(new) => new,
        // A late write of the first one came in between: it has the run still.
        Err(EngineError::Superseded) => return,
        // The first one's last record had arrived, and it did not hear so.
        Err(EngineError::Closed) => return,
        Err(error) => panic!("{context}: {error}"),
    };
    laboratory.note(Fact::TakenOver);
    *mirror.fault_percent.lock().unwrap() = fault_percent;
    let mut old = Some(old);
    for turn in 0..3000 {
        if turn == 1000 {
            laboratory.calm();
            *mirror.fault_percent.lock().unwrap() = 0;
        }
        if let Some(engine) = &mut old {
            match first.turn(engine) {
                Ok(Progress::Going) => {}
                Ok(Progress::Closed(_)) => panic!("{context}: the first closed what it had lost"),
                Err(EngineError::Superseded) => {
                    assert!(matches!(engine.turn(Duration::ZERO), Err(EngineError::Ended)));
                    old = None;
                }
                Err(error) => panic!("{context}: {error}"),
            }
        }
        if let Progress::Closed(closing) = second.turn(&mut new).unwrap() {
            assert_eq!(closing, Closing::Success, "{context}");
            assert_eq!(mirror_or_local(&mirror, &second), second.journal(), "{context}");
            laboratory.check_destructive(&context);
            check_fence(&laboratory, &context);
            return;
        }
    }
    panic!("{context}: no end: {:?}", new.state().questions());
}

/// A run may close while its mirror is lost; what is there is then a beginning of it.
fn mirror_or_local(mirror: &SharedMirror, site: &Site<'_>) -> Vec<u8> {
    let (there, here) = (mirror.bytes(), site.journal());
    assert!(here.starts_with(&there));
    journal::read(&there).unwrap();
    here
}

fn check_fence(laboratory: &Laboratory, context: &str) {
    let facts = laboratory.facts();
    let taken = facts.iter().position(|fact| *fact == Fact::TakenOver).unwrap();
    for fact in &facts[taken..] {
        if let Fact::Started { machine: 0, step, destructive: true, .. } = fact {
            panic!("{context}: `{step}` was begun by an engine that had lost the run");
        }
    }
}

#[test]
fn an_engine_that_lost_the_run_begins_nothing_that_cannot_be_taken_back() {
    for seed in seeds(60) {
        contest(seed, 0);
        contest(seed, 30);
    }
}

#[test]
fn without_faults_the_old_engine_begins_nothing_at_all() {
    for seed in seeds(40) {
        let (procedure, beginning) = drawn(seed);
        let laboratory = Laboratory::new(seed, &procedure);
        let mirror = SharedMirror::new(seed, 0);
        let mut first = Site::new(&laboratory, 0, seed);
        let mut second = Site::new(&laboratory, 1, seed + 1);
        (first.mirror, second.mirror) = (Some(&mirror), Some(&mirror));
        let (of_first, of_second) = (first.effects(), second.effects());
        let mut old = Engine::begin(first.world(&of_first), place(), beginning).unwrap();
        for _ in 0..seed % 20 {
            first.turn(&mut old).ok();
        }
        let Ok(_new) = Engine::resume(second.world(&of_second), place(), take_over()) else {
            continue;
        };
        let before = laboratory.facts();
        let count = |facts: &[Fact]| {
            facts.iter().filter(|fact| matches!(fact, Fact::Started { machine: 0, .. })).count()
        };
        let mut is_superseded = false;
        for _ in 0..200 {
            match first.turn(&mut old) {
                Ok(_) => {}
                Err(EngineError::Superseded | EngineError::Ended) => is_superseded = true,
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        assert_eq!(count(&before), count(&laboratory.facts()), "seed {seed}");
        assert!(is_superseded, "seed {seed}: it never noticed");
    }
}

/// A mirror that stays away: what cannot be taken back waits until a person says to go on without.
#[test]
fn without_a_mirror_a_person_decides() {
    let mut decided = 0;
    for seed in seeds(20) {
        let (procedure, beginning) = drawn(seed);
        let laboratory = Laboratory::new(seed, &procedure);
        laboratory.calm();
        let mirror = SharedMirror::new(seed, 0);
        let mut site = Site::new(&laboratory, 0, seed);
        (site.mirror, site.rough) = (Some(&mirror), false);
        let effects = site.effects();
        let mut engine = Engine::begin(site.world(&effects), place(), beginning).unwrap();
        *mirror.fault_percent.lock().unwrap() = 100;
        let mut is_local = false;
        for turn in 0..3000 {
            assert!(turn < 2999, "seed {seed}: no end: {:?}", engine.state().life);
            let life = engine.state().life.clone();
            if matches!(&life, Life::Paused { why, .. } if why.contains("--local")) {
                decided += 1;
                is_local = true;
                let wish = Wish::Local { why: "the vault is gone".to_owned() };
                engine.request(&Request { by: "anna".to_owned(), wish }).unwrap().unwrap();
            }
            if let Progress::Closed(_) = site.turn(&mut engine).unwrap() {
                break;
            }
            let destructive = |fact: &Fact| matches!(fact, Fact::Started { destructive: true, .. });
            let begun = laboratory.facts().iter().any(destructive);
            assert!(is_local || !begun, "seed {seed}: begun without a mirror");
        }
        assert!(is_local, "seed {seed}: it was closed without a mirror and without a word");
    }
    assert!(decided > 0);
}

/// A mirror that is away also when the run is gone on with gets all that it lacks once it is back.
#[test]
fn a_mirror_that_comes_back_gets_what_an_earlier_engine_owed_it() {
    let mut owed = 0;
    for seed in seeds(20) {
        let (procedure, beginning) = drawn(seed);
        let laboratory = Laboratory::new(seed, &procedure);
        let mirror = SharedMirror::new(seed, 0);
        let mut site = Site::new(&laboratory, 0, seed);
        (site.mirror, site.rough) = (Some(&mirror), false);
        let effects = site.effects();
        let mut engine = Engine::begin(site.world(&effects), place(), beginning).unwrap();
        for turn in 0..9 {
            if turn == 3 {
                *mirror.fault_percent.lock().unwrap() = 100;
            }
            // The shortest of them are over before that.
            site.turn(&mut engine).ok();
        }
        drop(engine);
        site.die(false);
        owed += usize::from(site.journal().len() > mirror.bytes().len());
        let effects = site.effects();
        let resumed = Engine::resume(site.world(&effects), place(), Resuming::default());
        let mut engine = match resumed {
            Err(EngineError::Closed) => continue,
            resumed => resumed.unwrap(),
        };
        site.turn(&mut engine).unwrap();
        *mirror.fault_percent.lock().unwrap() = 0;
        for turn in 0.. {
            assert!(turn < 3000, "seed {seed}: no end: {:?}", engine.state().questions());
            if turn == 1000 {
                laboratory.calm();
            }
            if let Progress::Closed(_) = site.turn(&mut engine).unwrap() {
                break;
            }
        }
        assert_eq!(mirror.bytes(), site.journal(), "seed {seed}");
        journal::read(&mirror.bytes()).unwrap();
    }
    assert!(owed > 0, "no engine owed anything");
}

/// The laptop of the one who began it comes back: what it has is put aside, what the other did counts.
#[test]
fn the_first_machine_can_take_the_run_back() {
    let mut put_aside = 0;
    for seed in seeds(20) {
        let (procedure, beginning) = drawn(seed);
        let laboratory = Laboratory::new(seed, &procedure);
        let mirror = SharedMirror::new(seed, 0);
        let mut first = Site::new(&laboratory, 0, seed);
        let mut second = Site::new(&laboratory, 1, seed + 1);
        (first.mirror, second.mirror) = (Some(&mirror), Some(&mirror));
        let (of_first, of_second) = (first.effects(), second.effects());
        let mut old = Engine::begin(first.world(&of_first), place(), beginning).unwrap();
        for _ in 0..5 {
            first.turn(&mut old).ok();
        }
        // The first loses its way to the mirror, and goes on alone for a while.
        *mirror.fault_percent.lock().unwrap() = 100;
        for _ in 0..5 {
            first.turn(&mut old).ok();
        }
        drop(old);
        first.die(false);
        *mirror.fault_percent.lock().unwrap() = 0;
        let Ok(mut new) = Engine::resume(second.world(&of_second), place(), take_over()) else {
            continue;
        };
        for _ in 0..5 {
            second.turn(&mut new).ok();
        }
        drop(new);
        second.die(true);
        let of_first = first.effects();
        let alone = Engine::resume(first.world(&of_first), place(), Resuming::default());
        match alone {
            Err(EngineError::Elsewhere | EngineError::Closed) => {}
            Err(error) => panic!("seed {seed}: {error}"),
            Ok(_) => panic!("seed {seed}: it went on with what was no longer true"),
        }
        match Engine::resume(first.world(&of_first), place(), take_over()) {
            Ok(engine) => assert!(engine.state().epoch >= 3, "seed {seed}"),
            Err(EngineError::Closed) => {}
            Err(error) => panic!("seed {seed}: {error}"),
        }
        assert!(first.journal().starts_with(&mirror.bytes()), "seed {seed}");
        let names = soter_world::Disk::list(&first.disk, Path::new(PLACE)).unwrap();
        let is_aside = |name: &std::ffi::OsString| name.to_string_lossy().contains("superseded");
        put_aside += names.iter().filter(|one| is_aside(&one.name)).count();
    }
    assert!(put_aside > 0, "no engine had written what another replaced");
}
