//! What would do harm: an answer to another question, a word that counts twice, a request that stops the
//! engine, a value that is shown.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard};

use soter_world::Disk;
use soter_world::sim::SimClock;

use super::*;
use crate::driver::effects::{Answer, Reply};
use crate::driver::engine::Resuming;
use crate::procedure::{Probe, Question};
use crate::state::RetryFrom;

/// Effects that do nothing but what the test says.
#[derive(Default)]
struct Puppets {
    asked: Mutex<Vec<Asking>>,
    started: Mutex<Vec<u32>>,
    heard: Mutex<VecDeque<Completion>>,
    /// How many requests lay in the inbox when an attempt was begun.
    waiting: Mutex<Vec<usize>>,
    disk: Option<SimDisk>,
}

impl Puppets {
    fn asked(&self) -> MutexGuard<'_, Vec<Asking>> {
        self.asked.lock().unwrap()
    }

    fn say(&self, completion: Completion) {
        self.heard.lock().unwrap().push_back(completion);
    }

    fn answer(&self, asking: &Asking, answer: Answer) {
        let reply = Reply { answer, evidence: "seen".to_owned() };
        let (about, token) = (asking.about.clone(), asking.token);
        self.say(Completion::Answered { about, token, reply });
    }
}

impl Effects for Puppets {
    fn probe(&self, asking: Asking) {
        self.asked().push(asking);
    }

    fn start(&self, attempt: Attempt) {
        let waiting = self
            .disk
            .as_ref()
            .map_or(0, |disk| disk.list(&request::inbox(Path::new(PLACE))).unwrap().len());
        self.waiting.lock().unwrap().push(waiting);
        self.started.lock().unwrap().push(attempt.number);
    }

    fn adopt(&self, _: Attempt) -> Adopted {
        Adopted::NeverBegan
    }

    fn cancel(&self, _: &StepId, _: u32) {}

    fn next(&self, _: Duration) -> Option<Completion> {
        self.heard.lock().unwrap().pop_front()
    }
}

struct Stage {
    disk: SimDisk,
    clock: SimClock,
    random: SeededRandom,
    puppets: Puppets,
}

impl Stage {
    fn new() -> Self {
        let disk = SimDisk::new(1);
        let puppets = Puppets { disk: Some(disk.clone()), ..Puppets::default() };
        Self { disk, clock: SimClock::new(), random: SeededRandom::new(1), puppets }
    }

    fn world(&self) -> World<'_> {
        World {
            disk: &self.disk,
            clock: &self.clock,
            random: &self.random,
            effects: &self.puppets,
            mirror: None,
            machine: machine(0),
        }
    }

    fn begin(&self, beginning: Beginning) -> Engine<'_> {
        let place = (Path::new(PLACE), Lock::simulated());
        Engine::begin(self.world(), place, beginning).unwrap()
    }

    fn send(&self, wish: Wish) -> String {
        let request = Request { by: "anna".to_owned(), wish };
        let chance: (&dyn soter_world::Clock, _) = (&self.clock, &self.random);
        request::send(&self.disk, Path::new(PLACE), (chance.0, chance.1), &request).unwrap()
    }

    fn reception(&self, name: &str) -> Option<Reception> {
        request::reception(&self.disk, Path::new(PLACE), name).unwrap()
    }

    fn journal(&self) -> String {
        let path = Path::new(PLACE).join("journal");
        String::from_utf8(durable::read(&self.disk, &path, 1 << 20).unwrap()).unwrap()
    }
}

fn asks(script: &str) -> Probe {
    let question = Question::Run(script.to_owned());
    let within = Some(Duration::from_secs(600));
    Probe { title: script.to_owned(), question, expect: None, stable_for: None, within }
}

fn drill(steps: Vec<Step>) -> Beginning {
    beginning(Kind::Drill, steps, Vec::new())
}

#[test]
fn the_answer_to_a_question_that_was_changed_is_not_the_answer_to_the_new_one() {
    let mut step = blank(id("a"), 0, Action::Run("x".to_owned()));
    step.already_done = Some(asks("old"));
    let stage = Stage::new();
    let mut engine = stage.begin(drill(vec![step.clone()]));
    turns(&mut engine, 1);
    step.already_done = Some(asks("new"));
    let why = "it asked for something else".to_owned();
    assert_eq!(ask(&mut engine, "anna", Wish::Amend { step: Box::new(step), why }), Ok(()));
    let old = stage.puppets.asked()[0].clone();
    stage.puppets.answer(&old, Answer::Yes);
    turns(&mut engine, 2);
    assert_ne!(engine.state().step(&id("a")).unwrap().status, Status::Done);
    let new = stage.puppets.asked().last().unwrap().clone();
    assert_eq!(new.probe.question, Question::Run("new".to_owned()));
    stage.puppets.answer(&new, Answer::Yes);
    assert!(matches!(turns(&mut engine, 1), Progress::Closed(_)));
}

/// An engine that dies in between finds the request no more, and does not take one word for two.
#[test]
fn a_request_is_gone_before_what_it_asked_for_is_begun() {
    let stage = Stage::new();
    let mut engine = stage.begin(drill(vec![blank(id("a"), 0, Action::Run("x".to_owned()))]));
    turns(&mut engine, 1);
    let outcome = Outcome::Failed("exit 1".to_owned());
    stage.puppets.say(Completion::Ended { step: id("a"), attempt: 1, outcome });
    turns(&mut engine, 1);
    let name = stage.send(Wish::Retry { step: id("a"), from: RetryFrom::Beginning });
    turns(&mut engine, 1);
    assert_eq!(*stage.puppets.started.lock().unwrap(), [1, 2]);
    assert_eq!(*stage.puppets.waiting.lock().unwrap(), [0, 0]);
    assert_eq!(stage.reception(&name), Some(Reception::Accepted));
}

#[test]
fn what_took_too_long_elsewhere_is_not_begun_beside_itself() {
    for destructive in [false, true] {
        let mut step = blank(id("a"), 0, Action::Run("x".to_owned()));
        (step.timeout, step.destructive) = (Some(Duration::from_secs(60)), destructive);
        let stage = Stage::new();
        let mut engine = stage.begin(drill(vec![step]));
        turns(&mut engine, 1);
        stage.clock.advance(Duration::from_secs(60));
        turns(&mut engine, 1);
        let outcome = Outcome::Unknown("no word of its end has come".to_owned());
        stage.puppets.say(Completion::Ended { step: id("a"), attempt: 1, outcome });
        for _ in 0..5 {
            stage.clock.advance(Duration::from_secs(60));
            turns(&mut engine, 1);
        }
        assert_eq!(*stage.puppets.started.lock().unwrap(), [1]);
        let status = &engine.state().step(&id("a")).unwrap().status;
        match status {
            Status::Failed { why, .. } => {
                assert!(!destructive && why.contains("may go on"), "{why}");
            }
            Status::Doubt { .. } => assert!(destructive),
            other => panic!("{other:?}"),
        }
    }
}

/// What certainly never began is begun without anybody being asked, also if it cannot be taken back.
#[test]
fn what_never_began_is_in_no_doubt() {
    let mut step = blank(id("a"), 0, Action::Run("x".to_owned()));
    step.destructive = true;
    let stage = Stage::new();
    let mut engine = stage.begin(drill(vec![step]));
    turns(&mut engine, 1);
    drop(engine);
    let place = (Path::new(PLACE), Lock::simulated());
    let mut engine = Engine::resume(stage.world(), place, Resuming::default()).unwrap();
    turns(&mut engine, 1);
    assert_eq!(*stage.puppets.started.lock().unwrap(), [1, 2]);
}

/// On a disk whose locks are not seen from everywhere.
#[test]
fn an_engine_does_not_write_over_the_records_of_another() {
    let stage = Stage::new();
    let mut first = stage.begin(drill(vec![blank(id("a"), 0, Action::Run("x".to_owned()))]));
    let place = (Path::new(PLACE), Lock::simulated());
    let second = Engine::resume(stage.world(), place, Resuming::default()).unwrap();
    drop(second);
    let before = stage.journal();
    let error = first.turn(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), crate::driver::engine::EngineErrorKind::Superseded, "{error}");
    assert_eq!(stage.journal(), before);
    assert!(stage.puppets.started.lock().unwrap().is_empty());
}

#[test]
fn what_cannot_be_read_in_the_inbox_stops_nobody() {
    let stage = Stage::new();
    let mut engine = stage.begin(drill(vec![blank(id("a"), 0, Action::Run("x".to_owned()))]));
    turns(&mut engine, 1);
    let inbox = request::inbox(Path::new(PLACE));
    stage.disk.create_dir(&inbox.join("somebody's directory")).unwrap();
    turns(&mut engine, 1);
    // The request of another user: its file may be seen and not be read. The first operation of a
    // turn lists, the next one looks into it.
    let closed = stage.send(Wish::Pause { why: "x".to_owned() });
    let next = stage.disk.operations();
    stage.disk.fail_at(next + 1, io::ErrorKind::PermissionDenied);
    turns(&mut engine, 1);
    let Some(Reception::Refused(why)) = stage.reception(&closed) else { panic!("it was taken") };
    assert!(why.contains("cannot be read"), "{why}");
    // One that was taken back between two looks.
    let gone = stage.send(Wish::Pause { why: "x".to_owned() });
    let next = stage.disk.operations();
    stage.disk.fail_at(next + 1, io::ErrorKind::NotFound);
    turns(&mut engine, 1);
    assert_eq!(stage.reception(&gone), None);
    turns(&mut engine, 1);
    assert_eq!(stage.reception(&gone), Some(Reception::Accepted));
}

#[test]
fn what_was_hidden_stays_hidden_when_it_is_given_again() {
    let declared = Parameter {
        name: "password".to_owned(),
        about: None,
        kind: ParameterKind::Text,
        from: ParameterSource::Credential,
        source: Some("db".to_owned()),
        value: None,
        example: None,
    };
    let steps = vec![blank(id("a"), 0, Action::Run("x".to_owned()))];
    let mut beginning = beginning(Kind::Drill, steps, vec![declared]);
    let given = Given::Hidden(Secret::new("opensesame".to_owned()));
    beginning.parameters.insert("password".to_owned(), given);
    let stage = Stage::new();
    drop(stage.begin(beginning));
    let place = (Path::new(PLACE), Lock::simulated());
    let mut engine = Engine::resume(stage.world(), place, Resuming::default()).unwrap();
    assert_eq!(engine.missing_secrets().collect::<Vec<_>>(), ["password"]);
    let give = |name: &str| Wish::Give { name: name.to_owned(), value: "opensesame".to_owned() };
    assert_eq!(ask(&mut engine, "anna", give("password")), Ok(()));
    assert_eq!(engine.missing_secrets().count(), 0);
    assert!(!stage.journal().contains("opensesame"), "{}", stage.journal());
    let refused = ask(&mut engine, "anna", give("pasword")).unwrap_err();
    assert!(refused.contains("`pasword`"), "{refused}");
    assert!(!stage.journal().contains("opensesame"), "{}", stage.journal());
}
