use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use soter_runbook::StepId;
use soter_runbook::driver::{
    Adopted, Asking, Attempt, Beginning, Completion, Effects, Engine, EngineError, Kind, Lock,
    Progress, Request, Resuming, Wish, World,
};
use soter_runbook::procedure::{Action, Phase, Procedure, Step};
use soter_runbook::state::{Closing, MirrorState};
use soter_vault::objects::create_url;
use soter_vault::testing::TestVault;
use soter_world::sim::{SeededRandom, SimClock};
use soter_world::{Disk, Machine, OsDisk};

use super::*;

/// A vault in a directory, and machines that have runs in others.
struct Scene {
    place: tempfile::TempDir,
    clock: Arc<SimClock>,
    random: Arc<SeededRandom>,
    vault: TestVault,
    away: Arc<AtomicBool>,
}

/// Nothing is done: the run waits for people.
struct Nothing;

impl Effects for Nothing {
    fn probe(&self, _: Asking) {}

    fn start(&self, _: Attempt) {}

    fn adopt(&self, _: Attempt) -> Adopted {
        Adopted::NeverBegan
    }

    fn cancel(&self, _: &StepId, _: u32) {}

    fn next(&self, _: Duration) -> Option<Completion> {
        None
    }
}

impl Scene {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let (clock, random) = (Arc::new(SimClock::new()), Arc::new(SeededRandom::new(7)));
        let url = format!("file://{}/vault", place.path().display());
        let objects = create_url(&url, Arc::new(OsDisk)).unwrap();
        let vault =
            TestVault::create(objects, Arc::clone(&clock) as _, Arc::clone(&random) as _, "orders");
        let away = Arc::new(AtomicBool::new(false));
        Self { place, clock, random, vault: vault.unwrap(), away }
    }

    fn mirror(&self) -> VaultMirror {
        let (vault, away) = (self.vault.vault.clone(), Arc::clone(&self.away));
        let open = move || match away.load(Ordering::Relaxed) {
            true => Err("no route to it".to_owned()),
            false => Ok(vault.clone()),
        };
        VaultMirror::new(Box::new(open), self.vault.operator.clone(), &run()).unwrap()
    }

    fn world<'w>(&'w self, host: &str, mirror: &'w VaultMirror) -> World<'w> {
        World {
            disk: &OsDisk,
            clock: &*self.clock,
            random: &*self.random,
            effects: &Nothing,
            mirror: Some(mirror),
            machine: Machine { host: host.to_owned(), boot: format!("boot of {host}") },
        }
    }

    /// The run's directory on a machine, and its lock.
    fn directory(&self, host: &str) -> (std::path::PathBuf, Lock) {
        let path = self.place.path().join(host);
        fs::create_dir_all(&path).unwrap();
        let lock = Lock::take(&path).unwrap().expect("nobody else has it");
        (path, lock)
    }

    fn begin<'w>(&'w self, mirror: &'w VaultMirror) -> Result<Engine<'w>, EngineError> {
        let (path, lock) = self.directory("first");
        Engine::begin(self.world("first", mirror), (&path, lock), beginning())
    }

    fn resume<'w>(
        &'w self,
        mirror: &'w VaultMirror,
        take_over: bool,
    ) -> Result<Engine<'w>, EngineError> {
        let (path, lock) = self.directory("second");
        let resuming = Resuming { take_over, ..Resuming::default() };
        Engine::resume(self.world("second", mirror), (&path, lock), resuming)
    }

    fn journal(&self, host: &str) -> Vec<u8> {
        fs::read(self.place.path().join(host).join("journal")).unwrap()
    }
}

fn run() -> RunId {
    RunId::parse("lost-20300101-0000-7q2x").unwrap()
}

fn step() -> StepId {
    StepId::parse("done").unwrap()
}

fn beginning() -> Beginning {
    let step = Step {
        id: step(),
        title: "by hand".to_owned(),
        phase: 0,
        after: Vec::new(),
        action: Action::Manual("Press the button.".to_owned()),
        on: None,
        budget: None,
        timeout: None,
        retries: 0,
        only_if: None,
        already_done: None,
        verify: Vec::new(),
        destructive: false,
        capture: Vec::new(),
        gives: Vec::new(),
        uses: Vec::new(),
        obliges: Vec::new(),
        lifts: Vec::new(),
        owner: None,
        if_it_fails: None,
        instead: None,
        undo: None,
    };
    let title = "All of it".to_owned();
    let procedure = Procedure {
        scenario: "lost".to_owned(),
        title: "Lost".to_owned(),
        severity: None,
        rto: None,
        rpo: None,
        prerequisites: Vec::new(),
        parameters: Vec::new(),
        phases: vec![Phase { title, budget: None, after: Vec::new(), only_if: None }],
        steps: vec![step],
        services: Vec::new(),
        teams: BTreeMap::new(),
        approvals: BTreeMap::new(),
        signers: BTreeMap::new(),
        credentials: BTreeMap::new(),
        stores: BTreeMap::new(),
        done_when: None,
    };
    Beginning {
        run: run(),
        kind: Kind::Drill,
        target: "lab".to_owned(),
        requester: "ada".to_owned(),
        disaster: None,
        plan: String::new(),
        procedure,
        parameters: BTreeMap::new(),
        approvers: BTreeMap::new(),
    }
}

fn said(by: &str) -> Request {
    Request { by: by.to_owned(), wish: Wish::Answer { step: step(), value: "it is".to_owned() } }
}

#[test]
fn a_run_is_taken_over_from_the_vault_and_the_first_engine_appends_nothing_more() {
    let scene = Scene::new();
    let (of_first, of_second) = (scene.mirror(), scene.mirror());
    of_first.may_write().unwrap();
    let mut first = scene.begin(&of_first).unwrap();
    assert_eq!(first.state().mirror.0, MirrorState::Following);
    first.turn(Duration::ZERO).unwrap();
    let refused = scene.resume(&of_second, false);
    assert!(matches!(refused, Err(EngineError::Elsewhere)), "{:?}", refused.err());
    drop(refused);
    let mut second = scene.resume(&of_second, true).unwrap();
    let before = scene.journal("second").len();
    assert_eq!(scene.journal("second")[..scene.journal("first").len()], scene.journal("first"));
    let late = first.request(&said("ada"));
    assert!(matches!(late, Err(EngineError::Superseded)), "{late:?}");
    second.request(&said("bea")).unwrap().unwrap();
    assert!(scene.journal("second").len() > before);
    let progress = second.turn(Duration::ZERO).unwrap();
    assert_eq!(progress, Progress::Closed(Closing::Success));
    let slots = scene.mirror().read_all().unwrap();
    let there: Vec<u8> = slots.iter().flat_map(|slot| slot.lines.clone()).collect();
    assert_eq!(there, scene.journal("second"));
    assert_eq!(of_second.findings(), Vec::<String>::new());
}

#[test]
fn what_is_in_the_way_in_the_vault_is_stepped_over_and_said_once() {
    let scene = Scene::new();
    let object = scene.place.path().join("vault/run/lost-20300101-0000-7q2x/0000000000000001");
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    let file = OsDisk.create(&object).unwrap();
    file.write_at(0, b"a stranger was here").unwrap();
    let mirror = scene.mirror();
    let mut engine = scene.begin(&mirror).unwrap();
    engine.turn(Duration::ZERO).unwrap();
    let findings = mirror.findings();
    assert!(findings.len() == 1 && findings[0].contains("0000000000000001"), "{findings:?}");
    assert_eq!(mirror.read_all().unwrap().len(), 2);
    assert_eq!(mirror.findings(), Vec::<String>::new());
    assert_eq!(lines_there(&scene), scene.journal("first"));
}

fn lines_there(scene: &Scene) -> Vec<u8> {
    scene.mirror().read_all().unwrap().into_iter().flat_map(|slot| slot.lines).collect()
}

#[test]
fn a_vault_that_comes_back_gets_what_it_missed() {
    let scene = Scene::new();
    let mirror = scene.mirror();
    let mut engine = scene.begin(&mirror).unwrap();
    engine.turn(Duration::ZERO).unwrap();
    // What it holds open makes no difference: the directory itself is away.
    let (vault, aside) = (scene.place.path().join("vault"), scene.place.path().join("aside"));
    let exchange = |from: &Path, to: &Path| OsDisk.rename(from, to).unwrap();
    exchange(&vault, &aside);
    let wish = Wish::Pause { why: "lunch".to_owned() };
    engine.request(&Request { by: "ada".to_owned(), wish }).unwrap().unwrap();
    assert_eq!(engine.state().mirror.0, MirrorState::Lost);
    exchange(&aside, &vault);
    scene.clock.advance(Duration::from_secs(10));
    engine.turn(Duration::ZERO).unwrap();
    assert_eq!(engine.state().mirror.0, MirrorState::Following);
    assert_eq!(lines_there(&scene), scene.journal("first"));
}

/// What a mirror knows of the vault is not kept when the vault contradicts it.
#[test]
fn what_another_wrote_is_seen_after_it_was_in_the_way() {
    let scene = Scene::new();
    let (one, other) = (scene.mirror(), scene.mirror());
    assert_eq!(one.append(1, b"a\n"), Ok(Stored::Created));
    assert_eq!(other.append(2, b"b\n"), Ok(Stored::Created));
    assert!(one.append(3, b"c\n").is_err(), "it would leave a hole, as far as it knows");
    assert_eq!(one.append(3, b"c\n"), Ok(Stored::Created));
}

#[test]
fn without_a_vault_a_run_is_local_and_an_unenrolled_key_is_told_so() {
    let scene = Scene::new();
    scene.away.store(true, Ordering::Relaxed);
    let mirror = scene.mirror();
    let engine = scene.begin(&mirror).unwrap();
    assert_eq!(engine.state().mirror.0, MirrorState::Local);
    let error = mirror.may_write().unwrap_err();
    assert!(error.to_string().contains("no route to it"), "{error}");
    let vault = scene.vault.vault.clone();
    let stranger = OperatorKey {
        pins: scene.vault.operator.pins.clone(),
        identity: soter_vault::keys::Identity::generate(),
    };
    let mirror = VaultMirror::new(Box::new(move || Ok(vault.clone())), stranger, &run()).unwrap();
    let error = mirror.may_write().unwrap_err();
    assert!(error.to_string().contains("may not sign plans and runs"), "{error}");
}
