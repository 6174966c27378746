use std::collections::BTreeMap;

use soter_world::sim::{SeededRandom, seeds};

use super::*;
use crate::driver::effects::{Answer, Asked, Kind};
use crate::ids::RunId;
use crate::journal::FORMAT_VERSION;
use crate::procedure::{Action, Phase, Probe, Procedure, Question, Step, Way};
use crate::state::{
    Begun, ENGINE, Ended, Entry, Event, MirrorState, Resolution, RetryFrom, decide,
};

fn id(text: &str) -> StepId {
    StepId::parse(text).unwrap()
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn run_step(name: &str, after: &[&str]) -> Step {
    let after = after.iter().map(|name| id(name)).collect();
    Step { after, ..Step::plain(id(name), Action::Run("true".to_owned())) }
}

fn service(name: &str, rto: u64, steps: &[&str], needs: &[&str]) -> Service {
    Service {
        name: name.to_owned(),
        title: name.to_owned(),
        rto: Some(minutes(rto)),
        steps: steps.iter().map(|name| id(name)).collect(),
        needs: needs.iter().map(|name| (*name).to_owned()).collect(),
        planned: None,
    }
}

fn phase(budget: Option<Duration>, after: &[usize]) -> Phase {
    Phase { title: "Data".to_owned(), budget, after: after.to_vec(), only_if: None }
}

fn procedure(phases: Vec<Phase>, steps: Vec<Step>, services: Vec<Service>) -> Procedure {
    let named = serde_json::json!({
        "scenario": "lost", "title": "All is lost", "phases": [], "steps": [],
    });
    let named: Procedure = serde_json::from_value(named).unwrap();
    Procedure { rto: Some(minutes(60)), phases, steps, services, ..named }
}

/// A run whose world does as the test says.
struct Trial {
    state: State,
    now: Moment,
}

impl Trial {
    fn of(procedure: Procedure) -> Self {
        Self::since(procedure, None)
    }

    /// With a disaster that happened then.
    fn since(procedure: Procedure, disaster: Option<&str>) -> Self {
        let begun = Begun {
            journal: FORMAT_VERSION,
            run: RunId::parse("lost-20300101-0000-7q2x").unwrap(),
            kind: Kind::Drill,
            target: "laboratory".to_owned(),
            requester: "anna".to_owned(),
            disaster: disaster.map(|at| at.parse().unwrap()),
            host: "laptop".to_owned(),
            plan: String::new(),
            procedure,
            parameters: BTreeMap::new(),
            mirror: MirrorState::Local,
        };
        let at = "2030-01-01T00:00:00Z".parse().unwrap();
        let now = Moment { boot: "a".into(), up: Duration::from_secs(77), at };
        let event = Event::Begun(Box::new(begun));
        let entry = Entry { by: "anna".to_owned(), epoch: 1, at: now.clone(), event };
        Self { state: State::begin(&entry).unwrap(), now }
    }

    fn pass(&mut self, time: Duration) {
        self.now.up += time;
        self.now.at = self.now.at.checked_add(time).unwrap();
    }

    fn say(&mut self, by: &str, event: Event) {
        let epoch = self.state.epoch;
        let entry = Entry { by: by.to_owned(), epoch, at: self.now.clone(), event };
        self.state.next(&entry).unwrap();
    }

    /// Records what follows by itself.
    fn settle(&mut self) {
        loop {
            let decision = decide(&self.state, &self.now);
            if decision.events.is_empty() {
                return;
            }
            for event in decision.events {
                self.say(ENGINE, event);
            }
        }
    }

    fn end(&mut self, step: &str, outcome: Ended) {
        let attempt = self.state.step(&id(step)).unwrap().attempt;
        let (step, outputs, captured) = (id(step), BTreeMap::new(), Vec::new());
        self.say(ENGINE, Event::StepEnded { step, attempt, outcome, outputs, captured });
        self.settle();
    }

    fn forecast(&self) -> Forecast {
        forecast(&self.state, &self.now, &History::of("lost"))
    }

    fn words(&self) -> Vec<String> {
        self.forecast().services.iter().map(Outlook::words).collect()
    }
}

/// Two ways to a service: `a` then `b`, and `c`; another service needs it.
fn small() -> Procedure {
    let mut a = run_step("a", &[]);
    a.budget = Some(minutes(10));
    let mut c = run_step("c", &[]);
    c.budget = Some(minutes(20));
    let steps = vec![a, run_step("b", &["a"]), c];
    let services = vec![service("web", 30, &[], &["db"]), service("db", 25, &["b", "c"], &[])];
    procedure(vec![phase(None, &[])], steps, services)
}

#[test]
fn the_longest_way_decides_and_every_part_is_labelled() {
    let mut trial = Trial::of(small());
    trial.settle();
    assert_eq!(trial.words(), ["makes it with 10 min to spare", "makes it with 5 min to spare"]);
    let seen = trial.forecast();
    assert_eq!(seen.whole.at, minutes(20));
    assert_eq!(seen.steps[1].begin, minutes(10));
    assert_eq!(seen.steps[1].end, minutes(12), "assumed to take two minutes");
    assert_eq!(seen.services[0].basis.words(trial.now.at).unwrap(), "20 min declared");
    assert_eq!(seen.steps[1].estimate.words(trial.now.at), "2 min assumed (nobody said)");
    trial.pass(minutes(5));
    trial.end("c", Ended::Done);
    assert_eq!(trial.words()[1], "makes it with 13 min to spare");
    let basis = trial.forecast().services[1].basis.words(trial.now.at).unwrap();
    assert_eq!(basis, "5 min declared, 2 min assumed");
    trial.pass(minutes(20));
    assert_eq!(
        trial.words()[1],
        "late by at least 2 min: `a` takes longer than expected",
        "what is overdue ends now at the earliest, and `b` is still to come"
    );
    trial.end("a", Ended::Done);
    trial.pass(minutes(1));
    trial.end("b", Ended::Done);
    assert_eq!(
        trial.words(),
        ["back after 26 min, 4 min before its promise", "back after 26 min, 1 min too late"]
    );
    assert_eq!(trial.state.life, Life::Closed(Closing::Success));
    assert_eq!(trial.forecast().whole.basis.words(trial.now.at), None);
}

#[test]
fn promises_count_from_the_disaster_where_somebody_said_when_that_was() {
    let mut trial = Trial::since(small(), Some("2029-12-31T23:48:00Z"));
    trial.settle();
    assert_eq!(trial.state.before(), minutes(12));
    assert_eq!(trial.words(), ["late by 2 min", "late by 7 min"], "20 min, after 12 min");
    let seen = trial.forecast();
    assert_eq!((seen.whole.at, seen.whole.rto), (minutes(32), Some(minutes(60))));
    assert_eq!(seen.steps[1].begin, minutes(10), "steps count from the beginning of the run");
    trial.pass(minutes(15));
    for step in ["c", "a", "b"] {
        trial.end(step, Ended::Done);
    }
    assert_eq!(
        trial.words(),
        ["back after 27 min, 3 min before its promise", "back after 27 min, 2 min too late"]
    );
    // A clock that was wrong makes no run begin before its disaster.
    assert_eq!(Trial::since(small(), Some("2030-01-01T00:10:00Z")).state.before(), minutes(0));
}

#[test]
fn what_only_a_person_can_say_makes_a_lower_bound() {
    let mut trial = Trial::of(small());
    trial.settle();
    trial.end("a", Ended::Failed("exit 1".to_owned()));
    let why = "cannot tell, because `a` failed, and somebody must decide; hardly before 20 min";
    assert_eq!(trial.words()[1], why);
    trial.say("anna", Event::Retry { step: id("a"), from: RetryFrom::Beginning, delay_ms: 0 });
    trial.settle();
    assert_eq!(trial.words()[1], "makes it with 5 min to spare");
    trial.say("anna", Event::Paused { step: None, why: "wait".to_owned() });
    let paused = "cannot tell, because the run is paused; hardly before 20 min";
    assert_eq!(trial.words()[1], paused, "`b` cannot begin");
    trial.say("anna", Event::Aborted { why: "enough".to_owned() });
    assert_eq!(trial.words()[1], "not brought back: the run was given up");
    for step in ["a", "c"] {
        trial.end(step, Ended::Failed("ended".to_owned()));
    }
    assert_eq!(trial.state.life, Life::Closed(Closing::Aborted));
    assert_eq!(trial.words()[0], "not brought back: the run was given up");
}

#[test]
fn doubt_and_an_unsure_phase_are_named() {
    let mut procedure = small();
    procedure.steps[0].destructive = true;
    let mut trial = Trial::of(procedure.clone());
    trial.settle();
    trial.say(
        ENGINE,
        Event::StepEnded {
            step: id("a"),
            attempt: 1,
            outcome: Ended::Unknown("the connection broke".to_owned()),
            outputs: BTreeMap::new(),
            captured: Vec::new(),
        },
    );
    trial.settle();
    let doubt = "cannot tell, because nobody knows whether `a` was done; hardly before 20 min";
    assert_eq!(trial.words()[1], doubt);
    let (step, why) = (id("a"), "seen".to_owned());
    trial.say("anna", Event::Resolved { step, resolution: Resolution::Done, why });
    trial.settle();
    assert_eq!(trial.words()[1], "makes it with 5 min to spare");

    procedure.phases[0].only_if = Some(probe());
    let mut trial = Trial::of(procedure);
    let (about, evidence) = (Asked::Phase(0), String::new());
    assert_eq!(trial.words()[1], "makes it with 5 min to spare", "it is thought to be needed");
    trial.say(ENGINE, Event::Probe { about, answer: Answer::Unknown, evidence });
    trial.settle();
    let unsure = "cannot tell, because nobody can tell whether the phase Data is needed; hardly \
                  before 20 min";
    assert_eq!(trial.words()[1], unsure);
    let (about, evidence) = (Asked::Phase(0), String::new());
    trial.say("anna", Event::Probe { about, answer: Answer::No, evidence });
    let left_out = "nothing was done for it: its steps were left out";
    assert_eq!(trial.words()[1], left_out);
}

fn probe() -> Probe {
    let question = Question::Run("true".to_owned());
    Probe { title: "is it?".to_owned(), question, expect: None, stable_for: None, within: None }
}

#[test]
fn a_budget_of_a_phase_is_shared_by_steps_that_have_none() {
    let mut steps = vec![run_step("a", &[]), run_step("b", &["a"]), run_step("c", &["b"])];
    steps[1].budget = Some(minutes(4));
    steps[2].verify = vec![Probe { stable_for: Some(minutes(6)), ..probe() }];
    let services = vec![service("db", 20, &["c"], &[])];
    let trial = Trial::of(procedure(vec![phase(Some(minutes(14)), &[])], steps, services));
    let ends: Vec<Duration> = trial.forecast().steps.iter().map(|step| step.end).collect();
    assert_eq!(ends, [minutes(5), minutes(9), minutes(15)], "what must hold six minutes takes six");
}

#[test]
fn what_was_measured_counts_before_what_was_declared() {
    let mut history = History::of("lost");
    for taken in [3, 9, 4] {
        let mut trial = Trial::of(small());
        trial.settle();
        assert!(!history.learn(&trial.state), "it is not over");
        trial.pass(minutes(taken));
        trial.end("a", Ended::Done);
        trial.end("b", Ended::Done);
        trial.end("c", Ended::Done);
        assert!(history.learn(&trial.state));
    }
    assert_eq!(history.runs(), 3);
    let mut other = small();
    other.scenario = "found".to_owned();
    assert!(!history.learn(&Trial::of(other).state));
    let mut changed = small();
    changed.steps[2].title = "another step of that name".to_owned();
    let mut trial = Trial::of(changed);
    trial.settle();
    trial.pass(Duration::from_secs(2 * 86_400));
    let seen = forecast(&trial.state, &trial.now, &history);
    let shown = |at: usize| seen.steps[at].estimate.words(trial.now.at);
    assert_eq!(shown(0), "4 min measured (3 runs, 47 h ago, in drills)");
    assert_eq!(shown(1), "0 s measured (3 runs, 47 h ago, in drills)");
    assert_eq!(shown(2), "20 min declared (its budget)");
}

#[test]
fn what_was_done_by_other_means_was_not_measured() {
    let mut trial = Trial::of(small());
    trial.settle();
    trial.pass(minutes(1));
    trial.end("a", Ended::Failed("exit 1".to_owned()));
    let (step, why) = (id("a"), "by hand".to_owned());
    trial.say("anna", Event::MarkedDone { step, why });
    trial.settle();
    trial.end("b", Ended::Done);
    trial.end("c", Ended::Done);
    let mut history = History::of("lost");
    assert!(history.learn(&trial.state));
    assert!(history.estimate(&trial.state.step(&id("a")).unwrap().step).is_none());
    assert!(history.estimate(&trial.state.step(&id("b")).unwrap().step).is_some());
}

#[test]
fn services_that_need_each_other_are_a_knot_and_not_an_endless_loop() {
    let mut knot = small();
    knot.services[1].needs = vec!["web".to_owned()];
    let trial = Trial::of(knot);
    let why = "cannot tell, because it waits for something that waits for it; hardly before ";
    for words in trial.words() {
        assert!(words.starts_with(why), "{words}");
    }
}

/// Phases, steps and services drawn from a seed.
fn draw(random: &SeededRandom) -> Procedure {
    let phases: Vec<Phase> = (0..1 + random.index(4))
        .map(|at| Phase {
            only_if: random.chance(20).then(probe),
            ..phase(
                random.chance(50).then(|| minutes(random.below(40))),
                &(0..at).filter(|_| random.chance(50)).collect::<Vec<_>>(),
            )
        })
        .collect();
    let mut steps: Vec<Step> = Vec::new();
    for of_phase in 0..phases.len() {
        for at in 0..random.index(6) {
            let name = StepId::counted(of_phase, at);
            let action = match random.below(5) {
                0 => Action::Wait { duration: minutes(random.below(9)) },
                1 => Action::Manual("do it".to_owned()),
                _ => Action::Run("true".to_owned()),
            };
            let mut step = Step { phase: of_phase, ..Step::plain(name, action) };
            step.budget = random.chance(50).then(|| minutes(random.below(20)));
            step.only_if = random.chance(10).then(probe);
            step.already_done = random.chance(20).then(probe);
            step.verify = (0..random.below(3)).map(|_| probe()).collect();
            step.retries = u32::try_from(random.below(3)).unwrap();
            step.destructive = random.chance(20);
            step.after =
                steps.iter().filter(|_| random.chance(30)).map(|one| one.id.clone()).collect();
            steps.push(step);
        }
    }
    let services = (0..random.index(5)).map(|at| {
        let needs: Vec<String> =
            (0..at).filter(|_| random.chance(40)).map(|need| format!("s{need}")).collect();
        let brought = steps.iter().filter(|_| random.chance(25));
        Service {
            steps: brought.map(|step| step.id.clone()).collect(),
            needs,
            ..service(&format!("s{at}"), random.below(90), &[], &[])
        }
    });
    let services = services.collect();
    procedure(phases, steps, services)
}

impl Trial {
    /// Something that may happen now happens; false: nothing can any more.
    fn happen(&mut self, random: &SeededRandom) -> bool {
        self.settle();
        self.pass(Duration::from_millis(random.below(200_000)));
        self.settle();
        let asks = decide(&self.state, &self.now).asks;
        if let Some(ask) = asks.get(random.index(asks.len().max(1))) {
            let answer = [Answer::Yes, Answer::Yes, Answer::Yes, Answer::No, Answer::Unknown]
                [random.index(5)];
            let about = ask.about.clone();
            self.say(ENGINE, Event::Probe { about, answer, evidence: String::new() });
            return true;
        }
        let open: Vec<_> =
            self.state.open().map(|one| (one.step.id.clone(), one.clone())).collect();
        for (step, one) in open {
            let outcome = if random.chance(80) { Ended::Done } else { Ended::Failed("no".into()) };
            let why = "seen".to_owned();
            let event = match (&one.status, &one.step.action) {
                (Status::Running, Action::Run(_)) => Event::StepEnded {
                    step,
                    attempt: one.attempt,
                    outcome,
                    outputs: BTreeMap::new(),
                    captured: Vec::new(),
                },
                (Status::Person, _) => Event::Answered { step, values: BTreeMap::new(), why },
                (Status::Failed { .. }, _) if !one.may_retry() => {
                    if random.chance(50) {
                        Event::Retry { step, from: RetryFrom::Beginning, delay_ms: 5 }
                    } else {
                        Event::Skipped { step, why }
                    }
                }
                (Status::Doubt { .. }, _) => {
                    let all = [Resolution::Run, Resolution::Done, Resolution::Skip];
                    Event::Resolved { step, resolution: all[random.index(3)], why }
                }
                _ => continue,
            };
            let by = if matches!(event, Event::StepEnded { .. }) { ENGINE } else { "anna" };
            self.say(by, event);
            return true;
        }
        let unsure = self.state.phases().position(|(_, phase)| {
            phase.status == crate::state::PhaseStatus::Asking
                && phase.only_if == Some(Answer::Unknown)
        });
        if let Some(at) = unsure {
            let answer = if random.chance(50) { Answer::Yes } else { Answer::No };
            let about = Asked::Phase(at);
            self.say("anna", Event::Probe { about, answer, evidence: String::new() });
            return true;
        }
        !matches!(self.state.life, Life::Closed(_))
    }

    /// At any moment: nothing that is not over ends before now, and nothing comes earlier because
    /// a step takes longer.
    fn check(&self, random: &SeededRandom, seed: u64) {
        let passed = self.now.since(&self.state.since);
        let estimates = estimate::all(&self.state, &History::of("lost"));
        let seen = lay_out(&self.state, &self.now, estimates.clone());
        for (step, expected) in self.state.steps().zip(&seen.steps) {
            let is_over = step.status.is_finished();
            assert!(is_over || expected.end >= passed, "seed {seed}: {}", step.step.id);
            for before in step.step.after.iter().filter(|_| !is_over) {
                let before = &seen.steps[self.state.place_of(before).unwrap()];
                assert!(before.end <= expected.end, "seed {seed}: {}", step.step.id);
            }
        }
        for outlook in seen.services.iter().chain([&seen.whole]) {
            assert!(outlook.is_back || outlook.at >= passed, "seed {seed}");
            assert!(outlook.at <= seen.whole.at.max(passed), "seed {seed}");
        }
        let mut longer = estimates;
        for estimate in &mut longer {
            if random.chance(30) {
                estimate.duration += Duration::from_millis(random.below(900_000));
            }
        }
        let later = lay_out(&self.state, &self.now, longer);
        let pairs = seen.services.iter().zip(&later.services);
        for (one, other) in pairs.chain([(&seen.whole, &later.whole)]) {
            assert!(one.at <= other.at, "seed {seed}: a longer step made it earlier");
        }
        for (one, other) in seen.steps.iter().zip(&later.steps) {
            assert!(one.end <= other.end, "seed {seed}: a longer step made another earlier");
        }
    }

    /// Of a run that is over, all is as it was.
    fn check_what_happened(&self, seed: u64) {
        let seen = self.forecast();
        let since = |moment: &Option<Moment>| moment.as_ref().unwrap().since(&self.state.since);
        let mut last = Duration::ZERO;
        for (step, expected) in self.state.steps().zip(&seen.steps) {
            assert_eq!(expected.end, since(&step.since), "seed {seed}: {}", step.step.id);
            last = last.max(expected.end);
        }
        for (service, outlook) in self.state.begun.procedure.services.iter().zip(&seen.services) {
            assert!(outlook.is_back && outlook.unknown.is_none(), "seed {seed}");
            assert_eq!(outlook.basis, Basis::default(), "seed {seed}");
            let own = service.steps.iter().map(|id| since(&self.state.step(id).unwrap().since));
            assert!(own.max().unwrap_or_default() <= outlook.at, "seed {seed}");
            assert!(outlook.at <= seen.whole.at, "seed {seed}");
        }
        assert_eq!((seen.whole.at, seen.whole.is_back), (last, true), "seed {seed}");
    }
}

#[test]
fn a_longer_step_makes_nothing_earlier_and_what_is_over_is_as_it_was() {
    let mut closed = 0;
    let all = seeds(150);
    let count = all.clone().count();
    for seed in all {
        let random = SeededRandom::new(seed);
        let mut trial = Trial::of(draw(&random));
        let mut left = 2000;
        trial.check(&random, seed);
        while trial.happen(&random) {
            trial.check(&random, seed);
            left -= 1;
            assert!(left > 0, "seed {seed}: it never ends");
        }
        if trial.state.life == Life::Closed(Closing::Success) {
            trial.check_what_happened(seed);
            closed += 1;
        }
    }
    assert!(closed * 10 > count * 9, "{closed} of {count} came to their end");
}

#[test]
fn what_nobody_takes_takes_no_time_and_what_is_taken_decides() {
    let mut procedure = small();
    let other = |name: &str, after: &[&str], budget| {
        let mut step = run_step(name, after);
        step.budget = Some(minutes(budget));
        step
    };
    procedure.steps.push(other("d", &[], 30));
    procedure.steps.push(other("e", &["d"], 15));
    let steps = vec![id("d"), id("e")];
    procedure.steps[2].instead = Some(Way { title: "slowly".to_owned(), steps });
    let mut trial = Trial::of(procedure);
    trial.settle();
    let seen = trial.forecast();
    assert_eq!((seen.whole.at, seen.services[1].at), (minutes(20), minutes(20)));
    trial.pass(minutes(5));
    trial.end("c", Ended::Failed("exit 1".to_owned()));
    trial.say("anna", Event::Branched { step: id("c"), why: "as planned".to_owned() });
    trial.settle();
    let seen = trial.forecast();
    assert_eq!((seen.whole.at, seen.services[1].at), (minutes(50), minutes(50)));
    assert_eq!(seen.services[1].basis.words(trial.now.at).unwrap(), "45 min declared");
    let of = |seen: &Forecast, name: &str| {
        let at = trial.state.place_of(&id(name)).unwrap();
        (seen.steps[at].begin, seen.steps[at].end)
    };
    assert_eq!(of(&seen, "e"), (minutes(35), minutes(50)));
    assert_eq!(of(&seen, "c"), (minutes(5), minutes(50)));
    for step in ["d", "e", "a", "b"] {
        trial.pass(minutes(10));
        trial.end(step, Ended::Done);
    }
    let seen = trial.forecast();
    assert_eq!((seen.whole.at, seen.whole.is_back), (minutes(45), true));
    assert_eq!(seen.services[1].at, minutes(45));
    assert_eq!(trial.state.life, Life::Closed(Closing::Success));
}

#[test]
fn what_was_undone_is_still_to_come_and_waits_for_a_word() {
    let mut procedure = small();
    procedure.steps.push(run_step("un-a", &[]));
    let steps = vec![id("un-a")];
    procedure.steps[0].undo = Some(Way { title: "back".to_owned(), steps });
    let mut trial = Trial::of(procedure);
    trial.settle();
    trial.pass(minutes(5));
    trial.end("a", Ended::Done);
    trial.end("b", Ended::Failed("exit 1".to_owned()));
    trial.end("c", Ended::Done);
    trial.say("anna", Event::Compensating { step: id("a"), why: "the wrong one".to_owned() });
    trial.settle();
    trial.pass(minutes(1));
    let undone = Some(Unknown::Undone(id("a")));
    // Ten minutes for `a`, two for `b`, from now on at the earliest.
    let seen = trial.forecast();
    assert_eq!((seen.whole.at, &seen.whole.unknown), (minutes(18), &undone));
    trial.end("un-a", Ended::Done);
    let seen = trial.forecast();
    assert_eq!((seen.whole.at, &seen.whole.unknown), (minutes(18), &undone));
    trial.say("anna", Event::Retry { step: id("a"), from: RetryFrom::Beginning, delay_ms: 0 });
    trial.settle();
    let seen = trial.forecast();
    assert_eq!((seen.whole.at, &seen.whole.unknown), (minutes(18), &None));
}

#[test]
fn lengths_are_spoken() {
    let shown = [0, 59, 60, 61, 599, 600, 3599, 3600, 3660, 172_799, 172_800, 180_000]
        .map(|seconds| spoken(Duration::from_secs(seconds)));
    let expect = [
        "0 s",
        "59 s",
        "1 min",
        "1 min 1 s",
        "9 min 59 s",
        "10 min",
        "59 min",
        "1 h",
        "1 h 1 min",
        "47 h 59 min",
        "2 days",
        "2 days 2 h",
    ];
    assert_eq!(shown, expect);
}
