use std::sync::Arc;
use std::thread;

use soter_world::sim::{SeededRandom, SimClock, seeds};

use super::*;
use crate::keys::{KeyError, OperatorKey, publish_trust};
use crate::objects::{Created, Faults, Faulty, MemoryStore, ObjectStore};
use crate::testing::TestVault;

/// A vault in memory whose bytes a thief can change.
struct Scene {
    memory: Arc<MemoryStore>,
    test: TestVault,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new());
        let memory = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
        let random = Arc::new(SeededRandom::new(0x7275_6e00_0000 + seed));
        let test = TestVault::create(Arc::clone(&memory) as _, clock, random, "orders").unwrap();
        Self { memory, test }
    }

    fn begin(&self) -> RunLog {
        RunLog::create(&self.test.vault, &self.test.trust, run("loss"))
    }

    fn open(&self) -> Result<RunLog, DocumentError> {
        let identity = &self.test.operator.identity;
        RunLog::open(&self.test.vault, &self.test.trust, identity, run("loss"))
    }

    fn append(&self, log: &mut RunLog, n: u64, lines: &str) -> Appended {
        log.append(&self.test.operator.signer(), n, lines.as_bytes()).unwrap()
    }

    /// A run of three pieces with four records.
    fn with_run(seed: u64) -> Self {
        let scene = Self::new(seed);
        let mut log = scene.begin();
        assert_eq!(scene.append(&mut log, 1, "one\n"), Appended::Created);
        assert_eq!(scene.append(&mut log, 2, "two\nthree\n"), Appended::Created);
        assert_eq!(scene.append(&mut log, 4, "four\n"), Appended::Created);
        scene
    }
}

fn run(name: &str) -> RunName {
    RunName::parse(name).unwrap()
}

fn name(n: u64) -> String {
    Name::Run(run("loss"), n).to_string()
}

fn lines(log: &RunLog) -> String {
    let all: Vec<u8> = log.pieces().iter().flat_map(|piece| piece.lines.clone()).collect();
    String::from_utf8(all).unwrap()
}

#[test]
fn a_run_is_read_as_it_was_written_and_goes_on_elsewhere() {
    let scene = Scene::with_run(1);
    let mut elsewhere = scene.open().unwrap();
    assert_eq!(lines(&elsewhere), "one\ntwo\nthree\nfour\n");
    assert_eq!(elsewhere.pieces().iter().map(|piece| piece.n).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(scene.append(&mut elsewhere, 5, "five\n"), Appended::Created);
    assert_eq!(lines(&scene.open().unwrap()), "one\ntwo\nthree\nfour\nfive\n");
    assert_eq!(list(&scene.test.vault).unwrap(), [run("loss")]);
    assert_eq!(elsewhere.findings, []);
}

#[test]
fn the_same_lines_again_are_no_second_piece_and_others_mean_another_engine() {
    let scene = Scene::with_run(2);
    let mut log = scene.open().unwrap();
    assert_eq!(scene.append(&mut log, 2, "two\nthree\n"), Appended::AlreadySame);
    assert_eq!(scene.append(&mut log, 2, "two\nother\n"), Appended::Superseded);
    assert_eq!(scene.append(&mut log, 3, "three\n"), Appended::Superseded, "within a piece");
    let gap = log.append(&scene.test.operator.signer(), 7, b"seven\n").unwrap_err();
    assert!(matches!(gap, DocumentError::Gap { next: 5, found: 7 }), "{gap}");
    for unfit in [&b""[..], b"half a line"] {
        let refused = log.append(&scene.test.operator.signer(), 5, unfit).unwrap_err();
        assert!(matches!(refused, DocumentError::Unfit { .. }), "{refused}");
    }
}

#[test]
fn the_second_engine_on_a_run_takes_it_or_is_refused() {
    let scene = Scene::with_run(3);
    let (mut first, mut second) = (scene.open().unwrap(), scene.open().unwrap());
    assert_eq!(scene.append(&mut second, 5, "engine 2\n"), Appended::Created);
    assert_eq!(scene.append(&mut first, 5, "step\n"), Appended::Superseded);
    assert_eq!(scene.append(&mut first, 5, "step\n"), Appended::Superseded, "for good");
    assert_eq!(scene.append(&mut second, 6, "step\n"), Appended::Created);
    assert_eq!(lines(&scene.open().unwrap()), "one\ntwo\nthree\nfour\nengine 2\nstep\n");
    // Two that begin a run of one name: the second finds that it is not its own.
    assert_eq!(scene.append(&mut scene.begin(), 1, "one\n"), Appended::Superseded);
}

#[test]
fn of_engines_that_race_one_has_each_slot() {
    for seed in seeds(20) {
        let scene = Scene::with_run(1000 + seed);
        let created: usize = thread::scope(|scope| {
            let engines: Vec<_> = (0..4)
                .map(|engine| {
                    let scene = &scene;
                    scope.spawn(move || {
                        let mut log = scene.open().unwrap();
                        (0..10)
                            .take_while(|step| {
                                let line = format!("engine {engine} step {step}\n");
                                let next = log.next();
                                scene.append(&mut log, next, &line) == Appended::Created
                            })
                            .count()
                    })
                })
                .collect();
            engines.into_iter().map(|engine| engine.join().unwrap()).sum()
        });
        let log = scene.open().unwrap();
        assert_eq!(log.pieces().len(), 3 + created, "seed {seed}: each success is a piece");
    }
}

#[test]
fn answers_that_get_lost_make_no_second_piece() {
    for seed in seeds(20) {
        let mut scene = Scene::new(2000 + seed);
        let faults = Faults { errors_percent: 20, lost_answers_percent: 30, ..Faults::NONE };
        let memory = Arc::clone(&scene.memory);
        scene.test.vault.objects = Arc::new(Faulty::new(memory, faults, seed));
        let mut log = scene.begin();
        let mut expected = String::new();
        for n in 1..30 {
            let line = format!("record {n}\n");
            expected.push_str(&line);
            let signer = scene.test.operator.signer();
            // Eight tries and still no answer: the engine asks again.
            while log.append(&signer, n, line.as_bytes()).is_err() {}
        }
        scene.test.vault.objects = Arc::clone(&scene.memory) as _;
        assert_eq!(lines(&scene.open().unwrap()), expected, "seed {seed}");
    }
}

#[test]
fn every_damaged_byte_is_named_with_its_piece() {
    let scene = Scene::with_run(4);
    let bytes = scene.memory.read(&name(2)).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        scene.memory.overwrite(&name(2), &damaged);
        let DocumentError::Damaged { finding } = scene.open().unwrap_err() else {
            panic!("byte {at}");
        };
        assert_eq!(finding.name, name(2), "byte {at}");
    }
    scene.memory.overwrite(&name(2), &bytes);
    scene.memory.delete(&name(2)).unwrap();
    let error = scene.open().unwrap_err();
    assert!(error.to_string().starts_with(&name(2)), "{error}");
}

#[test]
fn strangers_are_in_the_way_and_no_more() {
    let scene = Scene::with_run(5);
    let mut log = scene.open().unwrap();
    let copied = scene.memory.read(&name(4)).unwrap();
    assert_eq!(scene.memory.create(&name(5), &copied).unwrap(), Created::New);
    assert_eq!(scene.memory.create(&repair_of(&name(5), 1), b"junk").unwrap(), Created::New);
    assert_eq!(scene.append(&mut log, 5, "five\n"), Appended::Created);
    assert_eq!(scene.memory.create(&name(9), b"junk").unwrap(), Created::New);
    let again = scene.open().unwrap();
    assert_eq!(lines(&again), "one\ntwo\nthree\nfour\nfive\n");
    let signer = scene.test.operator.signer().public();
    let expected = [
        (name(5), Fault::BadSignature(signer)),
        (repair_of(&name(5), 1), Fault::NotADocument),
        (name(9), Fault::NotADocument),
    ];
    let found: Vec<_> = again.findings.into_iter().map(|it| (it.name, it.fault)).collect();
    assert_eq!(found, expected);
    for repair in 0..=TRIES_MAX {
        let object = if repair == 0 { name(6) } else { repair_of(&name(6), repair) };
        assert_eq!(scene.memory.create(&object, b"junk").unwrap(), Created::New);
    }
    let jammed = log.append(&scene.test.operator.signer(), 6, b"six\n").unwrap_err();
    assert!(matches!(jammed, DocumentError::Squatted { .. }), "{jammed}");
}

#[test]
fn an_agents_key_records_nothing_and_a_strangers_run_is_not_there() {
    let scene = Scene::new(6);
    let agent = &scene.test.agent.signer;
    let refused = scene.begin().append(agent, 1, b"one\n").unwrap_err();
    assert!(matches!(refused, DocumentError::NotEnrolled { .. }), "{refused}");
    // The thief has a trust list of his own making.
    let mut list = scene.test.trust.newest().clone();
    list.operators[0].signer = Some(agent.public());
    let forged = Trust::from_lists([(list, Digest([0; 32]))]).unwrap();
    let mut log = RunLog::create(&scene.test.vault, &forged, run("loss"));
    assert_eq!(log.append(agent, 1, b"one\n").unwrap(), Appended::Created);
    let missing = scene.open().unwrap_err();
    let expected = format!(
        "there is no run loss in this vault that can be believed; {}: {} may not sign plans and runs",
        name(1),
        agent.public()
    );
    assert_eq!(missing.to_string(), expected);
    assert_eq!(scene.append(&mut scene.begin(), 1, "one\n"), Appended::Created);
    assert_eq!(lines(&scene.open().unwrap()), "one\n");
}

#[test]
fn who_was_removed_cannot_go_on_with_a_run() {
    let mut scene = Scene::new(7);
    let pins = scene.test.vault.pins.clone();
    let bob = OperatorKey { pins, identity: Identity::generate() };
    let mut list = scene.test.trust.newest().clone();
    list.add_operator(bob.row("bob"), &scene.test.operator.identity).unwrap();
    let sign = |scene: &Scene, list| {
        let TestVault { vault, trust, root, .. } = &scene.test;
        publish_trust(&*vault.objects, &*vault.clock, root, trust, list).unwrap()
    };
    scene.test.trust = sign(&scene, list.clone());
    let mut of_alice = scene.begin();
    assert_eq!(scene.append(&mut of_alice, 1, "one\n"), Appended::Created);
    let mut of_bob =
        RunLog::open(&scene.test.vault, &scene.test.trust, &bob.identity, run("loss")).unwrap();
    let mut without = scene.test.trust.newest().clone();
    let removed = bob.identity.recipient();
    without.remove_operator(&removed, &scene.test.operator.identity).unwrap();
    scene.test.trust = sign(&scene, without);

    assert_eq!(of_bob.append(&bob.signer(), 2, b"bob's\n").unwrap(), Appended::Created);
    let mut log = scene.open().unwrap();
    assert_eq!(lines(&log), "one\n");
    let ended = Finding { name: name(2), fault: Fault::Ended(bob.signer().public()) };
    assert_eq!(log.findings, [ended]);
    assert_eq!(scene.append(&mut log, 2, "two\n"), Appended::Created);
    assert_eq!(lines(&scene.open().unwrap()), "one\ntwo\n");
}

#[test]
fn who_is_no_operator_does_not_read_it() {
    let scene = Scene::with_run(8);
    let (vault, trust) = (&scene.test.vault, &scene.test.trust);
    let other = RunLog::open(vault, trust, &Identity::generate(), run("loss")).unwrap_err();
    assert!(matches!(other, DocumentError::Key(KeyError::WrongKey { .. })), "{other}");
    let another = run("another");
    let missing = RunLog::open(vault, trust, &scene.test.operator.identity, another);
    assert!(matches!(missing.unwrap_err(), DocumentError::Missing { .. }));
    let bytes = scene.memory.read(&name(2)).unwrap();
    assert!(!bytes.windows(3).any(|window| window == b"two"), "it is sealed");
}
