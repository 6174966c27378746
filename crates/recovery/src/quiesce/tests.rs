use std::fs;
use std::sync::{Mutex, MutexGuard};

use soter_plan::check::{Input, load};
use soter_plan::target::Target;
use soter_runbook::RunId;
use soter_runbook::child::Children;
use soter_runbook::driver::Kind;
use soter_runbook::procedure::compile;
use soter_runbook::steps::Requests;
use soter_runbook::target::Bindings;
use soter_world::sim::{SeededRandom, SimClock, seeds};
use soter_world::{Disk, OsDisk, SystemClock};

use super::*;
use crate::testing::{BOOT, launcher};

/// Three services, two of them of Kubernetes, the second with two parts; the web needs the api.
const PLAN: &str = "
services:
  web: { needs: [proxy], runs_as: { kubernetes: { object: deployment/web, namespace: shop } } }
  proxy: { needs: [api] }
  api: { runs_as: [ { kubernetes: { object: deployment/api, namespace: shop, replicas: 2 } },
                    { kubernetes: { object: deployment/worker } } ] }
scenarios:
  lost:
    phases: [ { steps: [ { id: held, quiesce: [web, api] }, { id: back, resume: [api, web] } ] } ]
";

/// Something with replicas: its controller makes and ends one pod at each look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Thing {
    wanted: u32,
    pods: u32,
    noted: Option<u32>,
}

/// A cluster that counts what is asked of it, and after so many operations does nothing more.
#[derive(Default)]
struct Cluster {
    things: BTreeMap<String, Thing>,
    operations: u64,
    ends_after: Option<u64>,
    /// Decides when it is away.
    chance: Option<Arc<SeededRandom>>,
    /// Who must be ready before somebody is started.
    order: Vec<(&'static str, &'static str)>,
    broken: Vec<String>,
    /// Nothing gets more pods than this.
    pods_max: Option<u32>,
    clock: Option<Arc<SimClock>>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Cluster>>);

impl Shared {
    fn new() -> Self {
        let shared = Self::default();
        for (name, wanted) in
            [("shop/deployment/web", 3), ("shop/deployment/api", 4), ("deployment/worker", 1)]
        {
            let thing = Thing { wanted, pods: wanted, noted: None };
            shared.lock().things.insert(name.to_owned(), thing);
        }
        shared.lock().order = vec![
            ("shop/deployment/web", "shop/deployment/api"),
            ("shop/deployment/web", "deployment/worker"),
        ];
        shared
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap()
    }

    fn wanted(&self) -> Vec<u32> {
        self.lock().things.values().map(|thing| thing.wanted).collect()
    }

    fn pods(&self) -> u32 {
        self.lock().things.values().map(|thing| thing.pods).sum()
    }

    fn notes(&self) -> usize {
        self.lock().things.values().filter(|thing| thing.noted.is_some()).count()
    }

    fn connect(&self) -> Connect {
        let shared = self.clone();
        Arc::new(move |_| Ok(Box::new(shared.clone()) as Box<dyn Workloads>))
    }
}

impl Cluster {
    /// One operation; refused when the one that would do it is dead.
    fn operation(&mut self) -> Result<(), Trouble> {
        self.operations += 1;
        if self.ends_after.is_some_and(|last| self.operations > last) {
            return Err(Trouble { why: "nobody is there to ask".to_owned(), passes: false });
        }
        if self.chance.as_ref().is_some_and(|chance| chance.chance(20)) {
            return Err(Trouble { why: "it does not answer".to_owned(), passes: true });
        }
        Ok(())
    }
}

impl Workloads for Shared {
    fn standing(&self, which: &Which, _: &Stop) -> Result<Standing, Trouble> {
        let mut cluster = self.lock();
        let cluster = &mut *cluster;
        if let Some(clock) = &cluster.clock {
            clock.advance(Duration::from_secs(30));
        }
        cluster.operation()?;
        let Some(thing) = cluster.things.get_mut(&which.to_string()) else {
            return Err(Trouble { why: format!("there is no {which}"), passes: false });
        };
        let may_grow = cluster.pods_max.is_none_or(|most| thing.pods < most);
        let seen = Standing {
            wanted: thing.wanted,
            ready: thing.pods.min(thing.wanted),
            noted: thing.noted,
            left: (thing.pods > 0).then(|| format!("{} pods are left", thing.pods)),
            ails: None,
        };
        match thing.pods.cmp(&thing.wanted) {
            std::cmp::Ordering::Less => thing.pods += u32::from(may_grow),
            std::cmp::Ordering::Greater => thing.pods -= 1,
            std::cmp::Ordering::Equal => {}
        }
        Ok(seen)
    }

    fn scale(
        &self,
        which: &Which,
        replicas: u32,
        before: Option<u32>,
        _: &Stop,
    ) -> Result<(), Trouble> {
        let mut cluster = self.lock();
        let name = which.to_string();
        if let Some(before) = before {
            cluster.operation()?;
            cluster.things.get_mut(&name).unwrap().noted = Some(before);
        }
        cluster.operation()?;
        let needed = cluster.order.iter().filter(|(one, _)| *one == name);
        let early: Vec<String> = needed
            .filter(|(_, needed)| {
                let needed = &cluster.things[*needed];
                replicas > 0 && needed.pods < needed.wanted.max(1)
            })
            .map(|(one, needed)| format!("{one} was started before {needed}"))
            .collect();
        cluster.broken.extend(early);
        cluster.things.get_mut(&name).unwrap().wanted = replicas;
        if before.is_none() {
            cluster.operation()?;
            cluster.things.get_mut(&name).unwrap().noted = None;
        }
        Ok(())
    }
}

/// A run in a directory of its own.
struct Desk {
    directory: tempfile::TempDir,
    connect: Connect,
    clock: Arc<dyn soter_world::Clock>,
    parameters: Parameters,
    plan: String,
}

impl Desk {
    fn new(plan: &str, connect: Connect) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            connect,
            clock: Arc::new(SystemClock),
            parameters: Parameters::default(),
            plan: plan.to_owned(),
        }
    }

    fn tools(&self) -> Tools {
        let target = b"name: test\nkind: drill\nhosts: { there: [env] }\n";
        let target = Target::read("test.yaml", target).unwrap();
        let bindings =
            Bindings::of(&target, self.directory.path(), |_| Err(String::new())).unwrap();
        let environment = std::env::vars();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        Tools {
            children: Children::new(
                Arc::clone(&disk),
                Arc::new(SystemClock),
                launcher(),
                BOOT.to_owned(),
            ),
            clock: Arc::clone(&self.clock),
            random: Arc::new(SeededRandom::new(1)),
            place: Arc::new(Place::new(self.directory.path().to_owned(), bindings, environment)),
            requests: Arc::new(Requests::new(disk, None)),
            credential: Arc::new(|name| Err(format!("there is no credential `{name}`"))),
            actions: Vec::new(),
        }
    }

    /// An attempt of a step, as an engine would carry it out.
    fn run(&self, id: &str, stop: &Stop) -> Outcome {
        let input = Input { name: "plan.yaml".to_owned(), bytes: self.plan.clone().into_bytes() };
        let loaded = load(&[input]);
        assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
        let procedure = compile(&loaded.plan, "lost").unwrap();
        let step = procedure.steps.into_iter().find(|step| step.id.as_str() == id).unwrap();
        let tools = self.tools();
        let number = (1..).find(|number| !tools.place.attempt(&step.id, *number).exists()).unwrap();
        let attempt = Attempt {
            run: RunId::parse("lost").unwrap(),
            kind: Kind::Drill,
            step: Arc::new(step),
            number,
            parameters: Arc::new(self.parameters.clone()),
        };
        let place = Arc::clone(&tools.place);
        tools.children.begin_here(&place.attempt(&attempt.step.id, number)).unwrap();
        let steps = Quiesce {
            look_every: Duration::ZERO,
            ..Quiesce::new(tools, Arc::clone(&self.connect))
        };
        match steps.work(&attempt, &place).unwrap() {
            Err(why) => Outcome::Failed(why),
            Ok(Work::Led(work)) => work(&Lead::new(stop.clone(), Stop::new())).unwrap(),
            Ok(_) => panic!("it is led"),
        }
    }

    /// An attempt that must end well; what it gives is known from then on.
    fn done(&mut self, id: &str) -> BTreeMap<String, String> {
        match self.run(id, &Stop::new()) {
            Outcome::Done { outputs, .. } => {
                for (name, value) in &outputs {
                    self.parameters.insert(name, Given::Plain(value.clone()));
                }
                outputs
            }
            other => panic!("{id}: {other:?}"),
        }
    }

    fn failed(&self, id: &str) -> String {
        match self.run(id, &Stop::new()) {
            Outcome::Failed(why) => why,
            other => panic!("{id}: {other:?}"),
        }
    }

    fn said(&self, attempt: &str) -> String {
        let path = self.directory.path().join("children").join(attempt).join("output");
        fs::read_to_string(path).unwrap()
    }
}

/// What runs is seen; else the note at the object itself is newer than what an earlier step gave.
#[test]
fn what_there_was_before_is_taken_from_who_knows_it_best() {
    let standing = |wanted, noted| Standing { wanted, ready: 0, noted, left: None, ails: None };
    assert_eq!(hold::before(&standing(2, Some(3)), Some(4), Some(5)), 2);
    assert_eq!(hold::before(&standing(0, Some(3)), Some(4), Some(5)), 3);
    assert_eq!(hold::before(&standing(0, None), Some(4), Some(5)), 4);
    assert_eq!(hold::before(&standing(0, None), None, Some(5)), 5);
    assert_eq!(hold::before(&standing(0, None), None, None), 0);
    let back = release::goes_back_to;
    assert_eq!(back(&standing(0, Some(3)), Some(4), Some(5)), Some(4));
    assert_eq!(back(&standing(0, Some(3)), None, Some(5)), Some(3));
    assert_eq!(back(&standing(0, None), None, Some(5)), Some(5));
    assert_eq!(back(&standing(2, None), Some(4), Some(5)), Some(2), "somebody started it");
    assert_eq!(back(&standing(2, Some(3)), Some(4), Some(5)), Some(4), "half brought back");
}

#[test]
fn who_stood_still_goes_back_to_what_it_was() {
    let shared = Shared::new();
    let mut desk = Desk::new(PLAN, shared.connect());
    let outputs = desk.done("held");
    let expect = [
        ("replicas.api", "deployment/worker=1 shop/deployment/api=4"),
        ("replicas.web", "shop/deployment/web=3"),
    ];
    assert_eq!(outputs, expect.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    assert_eq!((shared.wanted(), shared.pods(), shared.notes()), (vec![0, 0, 0], 0, 3));
    let said = desk.said("held.1");
    assert!(said.starts_with("web: shop/deployment/web had 3, is to have none\n"), "{said}");
    assert!(said.contains("web: shop/deployment/web: 2 pods are left\n"), "{said}");
    assert!(desk.done("back").is_empty());
    assert_eq!((shared.wanted(), shared.pods(), shared.notes()), (vec![1, 4, 3], 8, 0));
    assert_eq!(shared.lock().broken, Vec::<String>::new());
    // The same twice more changes nothing.
    desk.done("back");
    desk.done("held");
    desk.done("held");
    desk.done("back");
    assert_eq!(shared.wanted(), [1, 4, 3]);
}

#[test]
fn a_service_that_lacks_one_of_its_parts_does_not_work_yet() {
    let shared = Shared::new();
    let clock = Arc::new(SimClock::new());
    let mut desk = Desk::new(PLAN, shared.connect());
    desk.clock = Arc::clone(&clock) as _;
    desk.done("held");
    (shared.lock().clock, shared.lock().pods_max) = (Some(clock), Some(3));
    let why = desk.failed("back");
    assert!(why.contains("shop/deployment/api: 3 of 4 work"), "{why}");
    shared.lock().pods_max = None;
    desk.done("back");
    assert_eq!(shared.pods(), 8);
}

/// What is done by an attempt that dies after so many operations, and what the next ones make of it.
#[test]
fn an_interruption_anywhere_loses_no_number() {
    let mut count = 0;
    for seed in seeds(40) {
        let chance = Arc::new(SeededRandom::new(seed));
        let shared = Shared::new();
        let mut desk = Desk::new(PLAN, shared.connect());
        let before = shared.wanted();
        shared.lock().chance = Some(Arc::clone(&chance));
        for id in ["held", "back"] {
            for _ in 0..chance.below(4) {
                let last = shared.lock().operations + chance.below(30);
                shared.lock().ends_after = Some(last);
                // The engine is dead with it: nobody hears how it ended.
                drop(desk.run(id, &Stop::new()));
                count += 1;
            }
            shared.lock().ends_after = None;
            desk.done(id);
            if id == "held" {
                assert_eq!(shared.pods(), 0, "seed {seed}: still writing");
            }
        }
        assert_eq!((shared.wanted(), shared.notes()), (before, 0), "seed {seed}");
        assert_eq!(shared.lock().broken, Vec::<String>::new(), "seed {seed}");
    }
    assert!(count > 0, "nothing was interrupted");
}

#[test]
fn without_one_record_another_one_tells() {
    // The journal is lost: the note at the object knows.
    let shared = Shared::new();
    let mut desk = Desk::new(PLAN, shared.connect());
    desk.done("held");
    let mut other = Desk::new(PLAN, shared.connect());
    other.done("back");
    assert_eq!(shared.wanted(), [1, 4, 3]);
    // The notes are lost, as with an older state of the cluster: the journal knows.
    desk.done("held");
    shared.lock().things.values_mut().for_each(|thing| thing.noted = None);
    desk.done("back");
    assert_eq!(shared.wanted(), [1, 4, 3]);
    // Both are: the plan knows of one.
    desk.done("held");
    shared.lock().things.values_mut().for_each(|thing| thing.noted = None);
    let other = Desk::new(PLAN, shared.connect());
    let why = other.failed("back");
    let expect = "api: nobody wrote down how many deployment/worker had: scale it by hand";
    assert!(why.starts_with(expect) && why.contains("web was not begun: it needs api"), "{why}");
    assert_eq!(shared.wanted(), [0, 2, 0]);
    // What a person has started since stays as it is.
    shared.lock().things.get_mut("deployment/worker").unwrap().wanted = 5;
    shared.lock().things.get_mut("shop/deployment/web").unwrap().wanted = 1;
    let mut other = Desk::new(PLAN, shared.connect());
    other.done("back");
    assert_eq!(shared.wanted(), [5, 2, 1]);
}

#[test]
fn one_that_cannot_be_stopped_does_not_keep_the_others_from_it() {
    let shared = Shared::new();
    let thing = shared.lock().things.remove("shop/deployment/web").unwrap();
    let mut desk = Desk::new(PLAN, shared.connect());
    assert_eq!(desk.failed("held"), "web: there is no shop/deployment/web");
    assert_eq!((shared.wanted(), shared.pods()), (vec![0, 0], 0));
    shared.lock().things.insert("shop/deployment/web".to_owned(), thing);
    desk.done("held");
    desk.done("back");
    assert_eq!(shared.wanted(), [1, 4, 3]);
}

#[test]
fn a_wait_ends_by_the_token_and_by_itself() {
    let shared = Shared::new();
    let clock = Arc::new(SimClock::new());
    shared.lock().clock = Some(Arc::clone(&clock));
    shared.lock().things.get_mut("shop/deployment/web").unwrap().pods = 1_000;
    let mut desk = Desk::new(PLAN, shared.connect());
    desk.clock = clock;
    let why = desk.failed("held");
    assert!(
        why.starts_with("web: shop/deployment/web: 9") && why.ends_with("pods are left"),
        "{why}"
    );
    let stop = Stop::new();
    stop.stop();
    desk.clock = Arc::new(SystemClock);
    assert!(matches!(desk.run("held", &stop), Outcome::Failed(_)));
}

#[test]
fn scripts_stop_and_start_what_is_no_object() {
    let no_cluster: Connect = Arc::new(|_| Err("there is no cluster".to_owned()));
    let plan = "
services:
  first: { runs_as: { stop: 'echo stop first >> DIR/log', start: 'echo start first >> DIR/log' } }
  second: { needs: [first], runs_as: { on: there, stop: 'echo stop second >> DIR/log; echo bye',
            start: 'echo start second >> DIR/log; test ! -e DIR/ill' } }
  silent: {}
  object: { runs_as: { kubernetes: { object: deployment/a } } }
scenarios:
  lost:
    phases:
      - steps:
          - { id: held, quiesce: [first, second] }
          - { id: back, resume: [second, first] }
          - { id: silence, quiesce: silent }
          - { id: objects, resume: object }
";
    let mut desk = Desk::new("", no_cluster);
    let directory = desk.directory.path().display().to_string();
    desk.plan = plan.replace("DIR", &directory);
    let log = || fs::read_to_string(format!("{directory}/log")).unwrap();
    assert!(desk.done("held").is_empty());
    assert_eq!(log(), "stop second\nstop first\n");
    let said = desk.said("held.1").replace("  running 1 test\n", "");
    assert_eq!(said, "second: its script stops it\n  bye\nfirst: its script stops it\n");
    desk.done("back");
    assert!(log().ends_with("stop first\nstart first\nstart second\n"), "{}", log());
    fs::File::create(format!("{directory}/ill")).unwrap();
    let why = desk.failed("back");
    assert!(why.starts_with("second: its script to start it ended with exit code 1"), "{why}");
    let why = desk.failed("silence");
    assert_eq!(why, "the plan does not say what runs as silent: add `runs_as` to the service");
    assert_eq!(desk.failed("objects"), "there is no cluster");
}
