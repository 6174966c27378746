mod generate;
mod harm;
mod laboratory;
mod scenarios;
mod simulation;
mod two;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use soter_world::sim::{SeededRandom, SimDisk};
use soter_world::{Machine, Secret, durable};

use self::generate::{blank, procedure};
use self::laboratory::{Laboratory, MachineClock, Machinery};
use super::effects::{Adopted, Asking, Attempt, Completion, Effects, Kind, Outcome};
use super::engine::{Beginning, Engine, EngineError, Progress, World};
use super::lock::Lock;
use super::request::{self, Proof, Reception, Request, Wish};
use crate::approval::Subject;
use crate::ids::{RunId, StepId};
use crate::procedure::{Action, Given, Parameter, ParameterKind, ParameterSource, Phase, Step};
use crate::state::{Recorded, Status};

const PLACE: &str = "/state/runs/lost-20300101-0000-7q2x";

fn id(text: &str) -> StepId {
    StepId::parse(text).unwrap()
}

fn machine(boot: u32) -> Machine {
    Machine { host: "laptop".to_owned(), boot: format!("boot-{boot}") }
}

fn one_phase() -> Vec<Phase> {
    vec![Phase { title: "all".to_owned(), budget: None, after: Vec::new(), only_if: None }]
}

fn beginning(kind: Kind, steps: Vec<Step>, parameters: Vec<Parameter>) -> Beginning {
    Beginning {
        run: RunId::parse("lost-20300101-0000-7q2x").unwrap(),
        kind,
        target: "laboratory".to_owned(),
        requester: "anna".to_owned(),
        disaster: None,
        plan: "0".repeat(64),
        procedure: procedure(parameters, one_phase(), steps),
        parameters: BTreeMap::new(),
        approvers: BTreeMap::from([("bea".to_owned(), Secret::new(b"bea's".to_vec()))]),
    }
}

/// An engine on a quiet machine, and what the test does with it.
fn with_engine(beginning: Beginning, test: impl FnOnce(&mut Engine<'_>, &SimDisk, &MachineClock)) {
    let laboratory = Laboratory::new(1, &beginning.procedure);
    laboratory.calm();
    let disk = SimDisk::new(1);
    let clock = MachineClock::new(&laboratory.clock);
    let effects = Machinery { laboratory: &laboratory, machine: 0 };
    let random = SeededRandom::new(1);
    let world = World {
        disk: &disk,
        clock: &clock,
        random: &random,
        effects: &effects,
        mirror: None,
        machine: machine(0),
    };
    let place = (Path::new(PLACE), Lock::simulated());
    let mut engine = Engine::begin(world, place, beginning).unwrap();
    test(&mut engine, &disk, &clock);
}

fn turns(engine: &mut Engine<'_>, count: usize) -> Progress {
    let mut progress = Progress::Going;
    for _ in 0..count {
        if progress == Progress::Going {
            progress = engine.turn(Duration::from_secs(10)).unwrap();
        }
    }
    progress
}

fn ask(engine: &mut Engine<'_>, by: &str, wish: Wish) -> Result<(), String> {
    engine.request(&Request { by: by.to_owned(), wish }).unwrap()
}

#[test]
fn approvals_need_a_code_in_a_real_run_and_a_word_in_a_drill() {
    let approve = || {
        let by = vec!["bea".to_owned(), "cleo".to_owned()];
        let action = Action::Approve { by, count: 1, text: "Go?".to_owned(), within: None };
        vec![blank(id("agreed"), 0, action)]
    };
    let wish = |proof| Wish::Approve { step: id("agreed"), proof };
    with_engine(beginning(Kind::Drill, approve(), Vec::new()), |engine, _, _| {
        turns(engine, 1);
        assert_eq!(ask(engine, "cleo", wish(Proof::Word)), Ok(()));
    });
    with_engine(beginning(Kind::Real, approve(), Vec::new()), |engine, _, clock| {
        turns(engine, 1);
        let refused =
            |engine: &mut Engine<'_>, by, proof| ask(engine, by, wish(proof)).unwrap_err();
        assert!(refused(engine, "bea", Proof::Word).contains("a drill only"));
        let code = Proof::Code("00000000".to_owned());
        assert!(refused(engine, "bea", code.clone()).contains("not right"));
        assert!(refused(engine, "cleo", code).contains("nobody knows a secret of cleo"));
        let secret = Secret::new(b"bea's".to_vec());
        let made = Subject::of(engine.state(), &id("agreed")).code_at(&secret, engine.now().at);
        clock.jump(3600);
        assert!(refused(engine, "bea", Proof::Code(made)).contains("at most half an hour"));
        let now = engine.now().at;
        let made = Subject::of(engine.state(), &id("agreed")).code_at(&secret, now);
        assert_eq!(ask(engine, "bea", wish(Proof::Code(made.to_lowercase()))), Ok(()));
        assert!(matches!(turns(engine, 2), Progress::Closed(_)));
    });
    // Whoever tries codes is soon not believed any more, even with the right one.
    with_engine(beginning(Kind::Real, approve(), Vec::new()), |engine, _, _| {
        turns(engine, 1);
        let secret = Secret::new(b"bea's".to_vec());
        let made = Subject::of(engine.state(), &id("agreed")).code_at(&secret, engine.now().at);
        for guess in 0..20 {
            assert!(ask(engine, "bea", wish(Proof::Code(format!("{guess:08}")))).is_err());
        }
        let refused = ask(engine, "bea", wish(Proof::Code(made))).unwrap_err();
        assert!(refused.contains("too many wrong codes"), "{refused}");
    });
}

#[test]
fn nobody_agrees_to_a_text_with_gaps_and_what_was_agreed_to_keeps_its_values() {
    let by = vec!["bea".to_owned(), "cleo".to_owned()];
    let text = "Back to ${before}?".to_owned();
    let action = Action::Approve { by, count: 1, text, within: None };
    let later = Action::Ask { text: "?".to_owned(), gives: Vec::new() };
    let steps = vec![blank(id("agreed"), 0, action), blank(id("later"), 0, later)];
    let parameters = vec![Parameter {
        name: "before".to_owned(),
        about: None,
        kind: ParameterKind::Text,
        from: ParameterSource::Step,
        source: None,
        value: None,
        example: None,
    }];
    with_engine(beginning(Kind::Drill, steps, parameters), |engine, _, _| {
        turns(engine, 1);
        let approve = |engine: &mut Engine<'_>, by, proof| {
            ask(engine, by, Wish::Approve { step: id("agreed"), proof })
        };
        let give = |engine: &mut Engine<'_>, value: &str| {
            let (name, value) = ("before".to_owned(), value.to_owned());
            ask(engine, "anna", Wish::Give { name, value })
        };
        for proof in [Proof::Word, Proof::BreakGlass] {
            let refused = approve(engine, "bea", proof).unwrap_err();
            assert!(refused.contains("soter run give lost-"), "{refused}");
        }
        assert_eq!(give(engine, "noon"), Ok(()));
        assert_eq!(give(engine, "one"), Ok(()), "nobody has agreed yet");
        assert_eq!(approve(engine, "bea", Proof::Word), Ok(()));
        let refused = give(engine, "two").unwrap_err();
        assert!(refused.contains("stands in what was agreed to as `agreed`"), "{refused}");
        assert_eq!(give(engine, "one"), Ok(()), "the same");
        turns(engine, 2);
        assert!(give(engine, "two").is_err(), "also when the step is over");
    });
}

#[test]
fn requests_of_other_terminals_are_answered_in_words() {
    let steps = vec![blank(id("word"), 0, Action::Ask { text: "?".to_owned(), gives: Vec::new() })];
    with_engine(beginning(Kind::Real, steps, Vec::new()), |engine, disk, clock| {
        turns(engine, 1);
        let place = Path::new(PLACE);
        let send = |by: &str, wish, seed| {
            let request = Request { by: by.to_owned(), wish };
            request::send(disk, place, (clock, &SeededRandom::new(seed)), &request).unwrap()
        };
        let skip = |why: &str| Wish::Skip { step: id("word"), why: why.to_owned() };
        let unexplained = send("anna", skip(" "), 1);
        let nobody = send("engine", skip("x"), 2);
        durable::write_durable(disk, &request::inbox(place).join("z"), b"{").unwrap();
        assert_eq!(request::reception(disk, place, &nobody).unwrap(), None);
        turns(engine, 1);
        let refusals = [
            (unexplained.as_str(), "say why"),
            (nobody.as_str(), "say who asks"),
            ("z", "the request is not understood"),
        ];
        for (name, expect) in refusals {
            let reception = request::reception(disk, place, name).unwrap();
            let Some(Reception::Refused(why)) = reception else { panic!("{reception:?}") };
            assert!(why.starts_with(expect), "{why}");
        }
        // What a terminal asked that was killed is not carried out in another hour.
        let stale = send("anna", skip("too late"), 4);
        clock.jump(6 * 60);
        turns(engine, 1);
        let reception = request::reception(disk, place, &stale).unwrap();
        let Some(Reception::Refused(why)) = reception else { panic!("{reception:?}") };
        assert!(why.starts_with("it was asked 6 minutes before"), "{why}");
        let accepted = send("anna", skip("nobody knows"), 3);
        assert!(matches!(turns(engine, 1), Progress::Closed(_)));
        let reception = request::reception(disk, place, &accepted).unwrap();
        assert_eq!(reception, Some(Reception::Accepted));
        assert_eq!(soter_world::Disk::list(disk, &request::inbox(place)).unwrap(), []);
    });
}

#[test]
fn what_cannot_be_taken_back_by_hand_wants_the_targets_name() {
    let mut step = blank(id("hand"), 0, Action::Manual("Pull the plug".to_owned()));
    step.destructive = true;
    with_engine(beginning(Kind::Real, vec![step], Vec::new()), |engine, _, _| {
        turns(engine, 1);
        let answer = |value: &str| Wish::Answer { step: id("hand"), value: value.to_owned() };
        let refused = ask(engine, "anna", answer("yes")).unwrap_err();
        assert!(refused.contains("the target's name, laboratory"), "{refused}");
        assert_eq!(ask(engine, "anna", answer("laboratory")), Ok(()));
    });
}

#[test]
fn a_run_that_is_given_up_ends_what_runs() {
    let steps = vec![
        blank(id("a"), 0, Action::Run("x".to_owned())),
        blank(id("b"), 0, Action::Wait { duration: Duration::from_hours(1) }),
    ];
    with_engine(beginning(Kind::Drill, steps, Vec::new()), |engine, _, _| {
        turns(engine, 1);
        assert_eq!(ask(engine, "anna", Wish::Abort { why: "false alarm".to_owned() }), Ok(()));
        assert_eq!(turns(engine, 5), Progress::Closed(crate::state::Closing::Aborted));
        let Status::Failed { why, .. } = &engine.state().step(&id("a")).unwrap().status else {
            panic!("{:?}", engine.state().step(&id("a")))
        };
        assert!(why.contains("the run was given up"), "{why}");
    });
}

/// Gives two values, one of them a secret, and ends at once.
struct Giving;

impl Effects for Giving {
    fn probe(&self, _: Asking) {}

    fn start(&self, _: Attempt) {}

    fn adopt(&self, attempt: Attempt) -> Adopted {
        assert_eq!(attempt.step.id, id("gives"));
        let outputs = [("token", "hunter2"), ("when", "2030-01-01T00:00:00Z"), ("noise", "x")];
        let outputs = outputs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Adopted::Ended(Outcome::Done { outputs: BTreeMap::from(outputs), captured: Vec::new() })
    }

    fn cancel(&self, _: &StepId, _: u32) {}

    fn next(&self, _: Duration) -> Option<Completion> {
        let attempt = Attempt {
            run: RunId::parse("x").unwrap(),
            kind: Kind::Drill,
            step: std::sync::Arc::new(blank(id("gives"), 0, Action::Look)),
            number: 1,
            parameters: std::sync::Arc::default(),
        };
        let Adopted::Ended(outcome) = self.adopt(attempt) else { unreachable!() };
        Some(Completion::Ended { step: id("gives"), attempt: 1, outcome })
    }
}

#[test]
fn a_secret_is_in_no_record_and_found_again_by_the_next_engine() {
    let declared = |name: &str, kind| Parameter {
        name: name.to_owned(),
        about: None,
        kind,
        from: ParameterSource::Step,
        source: None,
        value: None,
        example: None,
    };
    let mut gives = blank(id("gives"), 0, Action::Run("x".to_owned()));
    gives.gives = vec!["token".to_owned(), "when".to_owned()];
    let mut last = blank(id("last"), 0, Action::Manual("x".to_owned()));
    last.after = vec![id("gives")];
    let parameters =
        vec![declared("token", ParameterKind::Secret), declared("when", ParameterKind::Time)];
    let mut beginning = beginning(Kind::Drill, vec![gives, last], parameters);
    let given = Given::Hidden(Secret::new("opensesame".to_owned()));
    beginning.parameters.insert("password".to_owned(), given);
    let (disk, random) = (SimDisk::new(1), SeededRandom::new(1));
    let clock = soter_world::sim::SimClock::new();
    let world = || World {
        disk: &disk,
        clock: &clock,
        random: &random,
        effects: &Giving,
        mirror: None,
        machine: machine(0),
    };
    let place = || (Path::new(PLACE), Lock::simulated());
    let mut engine = Engine::begin(world(), place(), beginning).unwrap();
    engine.turn(Duration::ZERO).unwrap();
    let value = |engine: &Engine<'_>, name: &str| engine.state().parameters.get(name).cloned();
    let when = Recorded::Value("2030-01-01T00:00:00Z".to_owned());
    assert_eq!(value(&engine, "when"), Some(when));
    assert_eq!(value(&engine, "noise"), None, "nobody asked for it");
    assert_eq!(engine.state().step(&id("gives")).unwrap().status, Status::Done);
    let journal = durable::read(&disk, &Path::new(PLACE).join("journal"), 1 << 20).unwrap();
    let journal = String::from_utf8(journal).unwrap();
    assert!(journal.contains("fingerprint"));
    assert!(!journal.contains("hunter2") && !journal.contains("opensesame"), "{journal}");
    drop(engine);
    let secrets = BTreeMap::from([("password".to_owned(), Secret::new("opensesame".to_owned()))]);
    let resuming = super::engine::Resuming { secrets, ..super::engine::Resuming::default() };
    let engine = Engine::resume(world(), place(), resuming).unwrap();
    assert_eq!(engine.missing_secrets().count(), 0);
    drop(engine);
    let engine = Engine::resume(world(), place(), super::engine::Resuming::default()).unwrap();
    assert_eq!(engine.missing_secrets().collect::<Vec<_>>(), ["password"]);
}

#[test]
fn a_closed_run_and_a_damaged_journal_are_refused() {
    let steps = vec![blank(id("a"), 0, Action::Look)];
    with_engine(beginning(Kind::Drill, steps, Vec::new()), |engine, disk, clock| {
        assert!(matches!(turns(engine, 1), Progress::Closed(_)));
        assert!(matches!(engine.turn(Duration::ZERO), Err(EngineError::Ended)));
        let effects = Giving;
        let random = SeededRandom::new(2);
        let world = || World {
            disk,
            clock,
            random: &random,
            effects: &effects,
            mirror: None,
            machine: machine(0),
        };
        let place = || (Path::new(PLACE), Lock::simulated());
        let resumed = Engine::resume(world(), place(), super::engine::Resuming::default());
        assert!(matches!(resumed, Err(EngineError::Closed)));
        let path = Path::new(PLACE).join("journal");
        let mut bytes = durable::read(disk, &path, 1 << 20).unwrap();
        bytes[100] ^= 1;
        durable::write_durable(disk, &path, &bytes).unwrap();
        let Err(error) = Engine::resume(world(), place(), super::engine::Resuming::default())
        else {
            panic!("a damaged journal was taken")
        };
        assert_eq!(error.kind(), super::engine::EngineErrorKind::Damaged);
    });
}
