mod guards;
mod harm;
mod undo;
mod ways;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use soter_plan::check::{Input, load};

use super::*;
use crate::approval::{Signed, Subject};
use crate::driver::effects::{Asked, Kind};
use crate::journal::FORMAT_VERSION;
use crate::procedure::{Action, compile};

/// A run whose world answers as the test says.
struct Trial {
    state: State,
    now: Moment,
    entries: Vec<Entry>,
}

fn id(text: &str) -> StepId {
    StepId::parse(text).unwrap()
}

impl Trial {
    /// A run of a scenario with one phase of these steps.
    fn of(steps: &str) -> Self {
        Self::phases(&format!("      - steps:\n{steps}"))
    }

    fn phases(phases: &str) -> Self {
        Self::with("", phases)
    }

    /// The same, with other sections of the plan.
    fn with(sections: &str, phases: &str) -> Self {
        let text = format!("{sections}scenarios:\n  lost:\n    phases:\n{phases}");
        let loaded = load(&[Input { name: "plan.yaml".to_owned(), bytes: text.into_bytes() }]);
        assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
        let procedure = compile(&loaded.plan, "lost").unwrap();
        let begun = Begun {
            journal: FORMAT_VERSION,
            run: RunId::parse("lost-20300101-0000-7q2x").unwrap(),
            kind: Kind::Drill,
            target: "laboratory".to_owned(),
            requester: "anna".to_owned(),
            disaster: None,
            host: "laptop".to_owned(),
            plan: "0".repeat(64),
            procedure,
            parameters: BTreeMap::new(),
            mirror: MirrorState::Local,
        };
        let at = "2030-01-01T00:00:00Z".parse().unwrap();
        let now = Moment { boot: "a".into(), up: Duration::ZERO, at };
        let event = Event::Begun(Box::new(begun));
        let entry = Entry { by: "anna".to_owned(), epoch: 1, at: now.clone(), event };
        let state = State::begin(&entry).unwrap();
        Self { state, now, entries: vec![entry] }
    }

    fn say(&mut self, by: &str, event: Event) -> Result<(), String> {
        let epoch = self.state.epoch + u32::from(matches!(event, Event::Engine { .. }));
        let entry = Entry { by: by.to_owned(), epoch, at: self.now.clone(), event };
        self.state.next(&entry).map_err(|error| error.to_string())?;
        self.entries.push(entry);
        Ok(())
    }

    fn told(&mut self, event: Event) {
        self.say(ENGINE, event).unwrap();
    }

    /// Decides until nothing is to be recorded any more; what was recorded, in short.
    fn go(&mut self) -> String {
        let mut done = Vec::new();
        loop {
            let decision = decide(&self.state, &self.now);
            if decision.events.is_empty() {
                break;
            }
            for event in decision.events {
                done.push(short(&event));
                self.told(event);
            }
            assert!(done.len() < 100, "{done:?}");
        }
        done.join(", ")
    }

    fn asked(&self) -> Vec<Asked> {
        decide(&self.state, &self.now).asks.into_iter().map(|ask| ask.about).collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.now.up += Duration::from_secs(seconds);
        self.now.at = self.now.at.checked_add(Duration::from_secs(seconds)).unwrap();
    }

    fn end(&mut self, step: &str, outcome: Ended) {
        let attempt = self.state.step(&id(step)).unwrap().attempt;
        let (outputs, captured) = (BTreeMap::new(), Vec::new());
        self.told(Event::StepEnded { step: id(step), attempt, outcome, outputs, captured });
    }

    fn done(&mut self, step: &str) {
        self.end(step, Ended::Done);
    }

    fn failed(&mut self, step: &str) {
        self.end(step, Ended::Failed("exit 1".to_owned()));
    }

    fn answer(&mut self, step: &str, which: Which, answer: Answer) {
        let about = Asked::Step { step: id(step), which };
        self.told(Event::Probe { about, answer, evidence: "seen".to_owned() });
    }

    fn interrupted(&mut self, step: &str) {
        self.told(Event::Engine { host: "laptop".to_owned(), took_over: false });
        let attempt = self.state.step(&id(step)).unwrap().attempt;
        let why = "the process is gone".to_owned();
        self.told(Event::Interrupted { step: id(step), attempt, began: true, why });
    }

    fn retry(&mut self, by: &str, step: &str, from: RetryFrom) -> Result<(), String> {
        self.say(by, Event::Retry { step: id(step), from, delay_ms: 0 })
    }
}

fn short(event: &Event) -> String {
    match event {
        Event::StepStarted { step, attempt, .. } => format!("start {step} {attempt}"),
        Event::StepEnded { step, outcome: Ended::Done, .. } => format!("done {step}"),
        Event::StepEnded { step, .. } => format!("failed {step}"),
        Event::Skipped { step, .. } => format!("skip {step}"),
        Event::Retry { step, .. } => format!("retry {step}"),
        Event::Doubt { step, .. } => format!("doubt {step}"),
        Event::Obliged { name, .. } => format!("oblige {name}"),
        Event::Lifted { name, .. } => format!("lift {name}"),
        Event::Compensated { step, .. } => format!("compensated {step}"),
        Event::Paused { .. } => "pause".to_owned(),
        Event::Continued { .. } => "continue".to_owned(),
        Event::Closed { result } => format!("close {result:?}"),
        other => format!("{other:?}"),
    }
}

const VERIFY: Which = Which::Verify(0);

#[test]
fn steps_begin_when_what_they_wait_for_is_done_and_phases_too() {
    let mut run = Trial::phases(
        "      - title: One
        steps:
          - { id: a, run: x }
          - { id: b, run: x }
          - { id: c, run: x, parallel: yes }
          - { id: d, run: x, after: [a, c] }
      - title: Two
        steps: [{ id: e, run: x }]
      - title: Beside
        after: [One]
        steps: [{ id: f, run: x }]
",
    );
    assert_eq!(run.go(), "start a 1, start c 1");
    run.done("a");
    assert_eq!(run.go(), "start b 1");
    run.done("c");
    assert_eq!(run.go(), "start d 1");
    run.done("d");
    assert_eq!(run.go(), "");
    run.done("b");
    assert_eq!(run.go(), "start e 1, start f 1");
    run.done("e");
    run.done("f");
    assert_eq!(run.go(), "close Success");
}

#[test]
fn a_condition_decides_whether_a_step_or_a_phase_is_begun() {
    let mut run = Trial::phases(
        "      - only_if: { run: x }
        steps: [{ id: a, run: x }]
      - steps:
          - { id: b, approve: { by: [bea] }, only_if: { run: x } }
          - { id: c, run: x, only_if: { run: x } }
",
    );
    assert_eq!((run.go().as_str(), run.asked()), ("", vec![Asked::Phase(0)]));
    let evidence = String::new();
    run.told(Event::Probe { about: Asked::Phase(0), answer: Answer::No, evidence });
    assert!(matches!(run.state.step(&id("a")).unwrap().status, Status::Skipped { .. }));
    run.answer("b", Which::OnlyIf, Answer::No);
    assert_eq!(run.go(), "skip b");
    run.answer("c", Which::OnlyIf, Answer::Unknown);
    assert_eq!(run.go(), "doubt c, pause");
    let why = "the node is gone".to_owned();
    run.say("anna", Event::Resolved { step: id("c"), resolution: Resolution::Run, why }).unwrap();
    assert_eq!(run.go(), "continue, start c 1");
}

#[test]
fn a_step_is_done_when_all_its_probes_say_yes() {
    let mut run = Trial::of("          - { id: a, run: x, verify: [{ run: x }, { run: y }] }\n");
    run.go();
    run.done("a");
    let asked = |at| Asked::Step { step: id("a"), which: Which::Verify(at) };
    assert_eq!(run.asked(), [asked(0), asked(1)]);
    run.answer("a", Which::Verify(1), Answer::Yes);
    assert_eq!((run.go().as_str(), run.asked()), ("", vec![asked(0)]));
    run.answer("a", VERIFY, Answer::No);
    assert_eq!(run.go(), "pause");
    run.retry("anna", "a", RetryFrom::Verification).unwrap();
    assert_eq!((run.go().as_str(), run.asked()), ("continue", vec![asked(0), asked(1)]));
    run.answer("a", VERIFY, Answer::Yes);
    run.answer("a", Which::Verify(1), Answer::Yes);
    assert_eq!(run.go(), "close Success");
}

#[test]
fn tries_are_finite_and_further_apart_each_time() {
    let mut run = Trial::of("          - { id: a, run: x, retries: 2 }\n");
    let mut delays = Vec::new();
    assert_eq!(run.go(), "start a 1");
    for attempt in 2..4 {
        run.failed("a");
        assert_eq!(run.go(), "retry a");
        let delay = decide(&run.state, &run.now).wake.unwrap();
        run.now.up += delay.saturating_sub(Duration::from_millis(1));
        assert_eq!(run.go(), "", "not before");
        run.now.up += Duration::from_millis(1);
        assert_eq!(run.go(), format!("start a {attempt}"));
        delays.push(delay.as_millis());
    }
    assert!((500..=1000).contains(&delays[0]) && (1000..=2000).contains(&delays[1]), "{delays:?}");
    run.failed("a");
    assert_eq!(run.go(), "pause");
    assert!(run.retry(ENGINE, "a", RetryFrom::Beginning).is_err());
    run.retry("anna", "a", RetryFrom::Beginning).unwrap();
    assert_eq!(run.go(), "continue, start a 4");
    run.failed("a");
    assert_eq!(run.go(), "retry a", "a person's word gives all tries again");
}

/// After an interrupted attempt of something that cannot be taken back.
#[test]
fn in_doubt_a_probe_or_a_person_decides() {
    let step = "          - { id: a, run: x, destructive: yes, already_done: { run: x }, verify: [{ run: x }] }\n";
    let fresh = |answer| {
        let mut run = Trial::of(step);
        run.answer("a", Which::AlreadyDone, Answer::No);
        assert_eq!(run.go(), "start a 1");
        run.interrupted("a");
        assert_eq!(run.go(), "", "the probe comes first");
        run.answer("a", Which::AlreadyDone, answer);
        run
    };
    assert_eq!(fresh(Answer::No).go(), "start a 2");
    let run = fresh(Answer::Yes);
    assert_eq!(run.state.step(&id("a")).unwrap().status, Status::Verifying);
    for (resolution, then) in [
        (Resolution::Run, "continue, start a 2"),
        (Resolution::Done, "continue"),
        (Resolution::Skip, "continue, close Success"),
    ] {
        let mut run = fresh(Answer::Unknown);
        assert_eq!(run.go(), "doubt a, pause");
        assert_eq!(run.state.questions()[0].needed, Needed::Resolution);
        let why = "seen on the console".to_owned();
        run.say("anna", Event::Resolved { step: id("a"), resolution, why }).unwrap();
        assert_eq!(run.go(), then);
    }
}

#[test]
fn what_cannot_be_taken_back_is_never_begun_twice_on_hope() {
    let mut run = Trial::of("          - { id: a, run: x, destructive: yes, retries: 3 }\n");
    assert_eq!(run.go(), "start a 1");
    run.interrupted("a");
    // Nobody can sneak past the doubt, not even the engine itself.
    let start = Event::StepStarted { step: id("a"), attempt: 2, destructive: true };
    assert_eq!(run.say(ENGINE, start).unwrap_err(), "`a` cannot be begun now");
    assert_eq!(run.go(), "doubt a, pause");
    let why = "not there".to_owned();
    run.say("anna", Event::Resolved { step: id("a"), resolution: Resolution::Run, why }).unwrap();
    assert_eq!(run.go(), "continue, start a 2");
    run.failed("a");
    assert_eq!(run.go(), "pause", "no probe can tell, so its tries are a person's to give");
    run.retry("anna", "a", RetryFrom::Beginning).unwrap();
    assert_eq!(run.go(), "continue, start a 3");
}

#[test]
fn an_unknown_answer_before_a_first_attempt_stops_only_what_cannot_be_taken_back() {
    for (destructive, then) in [("no", "start a 1"), ("yes", "doubt a, pause")] {
        let step = format!(
            "          - {{ id: a, run: x, destructive: {destructive}, already_done: {{ run: x }} }}\n"
        );
        let mut run = Trial::of(&step);
        assert_eq!(run.go(), "");
        run.answer("a", Which::AlreadyDone, Answer::Unknown);
        assert_eq!(run.go(), then);
    }
}

#[test]
fn what_is_interrupted_and_harmless_is_done_again() {
    let mut run = Trial::of("          - { id: a, run: x }\n");
    run.go();
    run.interrupted("a");
    assert_eq!(run.go(), "start a 2");
    let stale =
        Event::ChildStarted { step: id("a"), attempt: 1, child: Child { pid: 1, start_ticks: 1 } };
    assert_eq!(run.say(ENGINE, stale).unwrap_err(), "attempt 1 of `a` does not go on");
}

#[test]
fn enough_people_agree_but_never_the_one_who_began_it() {
    let step =
        "          - { id: a, approve: { by: [bea, cleo, anna], count: 2, within: 5 min } }\n";
    let approve = |how: &str| Event::Approved { step: id("a"), how: how.to_owned(), signed: None };
    let mut run = Trial::of(step);
    assert_eq!(run.go(), "start a 1");
    let needed =
        Needed::Approval { by: ["bea", "cleo", "anna"].map(str::to_owned).to_vec(), missing: 2 };
    assert_eq!(run.state.questions()[0].needed, needed);
    for (person, refusal) in [
        ("anna", Some("anna began the run, so somebody else must approve `a`")),
        ("dora", Some("dora may not approve `a`; bea, cleo, anna may")),
        ("bea", None),
        ("bea", Some("bea has approved `a` already")),
    ] {
        let said = run.say(person, approve("code")).err();
        assert_eq!(said.as_deref(), refusal);
    }
    assert_eq!(run.go(), "");
    run.say("cleo", approve("code")).unwrap();
    assert_eq!(run.go(), "done a, close Success");

    let mut run = Trial::of(step);
    run.go();
    let why = "not today".to_owned();
    run.say("bea", Event::Refused { step: id("a"), why }).unwrap();
    assert_eq!(run.go(), "pause");
    run.retry("anna", "a", RetryFrom::Beginning).unwrap();
    assert_eq!(run.go(), "continue, start a 2");
    run.pass(300);
    assert_eq!(run.go(), "failed a, pause", "the question stood for five minutes");
}

#[test]
fn a_signature_counts_under_what_is_approved_and_whoever_reads_the_journal_checks_it() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let public = format!("ed25519:{}", STANDARD.encode(pair.public_key()));
    let signing = |of: &Trial| {
        let expires = Subject::expiry(of.now.at);
        let statement = Subject::of(&of.state, &id("a")).statement(expires);
        Some(Signed::new(expires, pair.sign(&statement).as_ref()))
    };
    let approved = |signed| Event::Approved { step: id("a"), how: "signature".to_owned(), signed };
    let plan = format!("people:\n  bea: {{ signs_with: \"{public}\" }}\n  cleo: {{ title: C }}\n");
    let mut run = Trial::with(
        &plan,
        "      - steps:\n          - { id: a, approve: { by: [bea, cleo], count: 2 } }\n",
    );
    run.go();
    let early = signing(&run);
    run.told(Event::Engine { host: "laptop".to_owned(), took_over: false });
    let refused = run.say("bea", approved(early)).unwrap_err();
    assert!(refused.contains("the signature is not right"), "{refused}");
    let right = signing(&run);
    let refused = run.say("cleo", approved(right.clone())).unwrap_err();
    assert!(refused.contains("what cleo signs with"), "{refused}");
    let mut forged = right.clone().unwrap();
    forged.signature = STANDARD.encode([7; 64]);
    assert!(run.say("bea", approved(Some(forged))).is_err());
    let refused = run.say("bea", approved(None)).unwrap_err();
    assert!(refused.contains("spoken of"), "{refused}");
    let unspoken = Event::Approved { step: id("a"), how: "code".to_owned(), signed: right.clone() };
    assert!(run.say("bea", unspoken).is_err());
    run.say("bea", approved(right)).unwrap();
}

#[test]
fn time_without_an_engine_is_none_in_which_people_could_have_agreed() {
    let mut run = Trial::of("          - { id: a, approve: { by: [bea], within: 5 min } }\n");
    assert_eq!(run.go(), "start a 1");
    run.pass(290);
    // The engine dies; it takes long until another goes on.
    run.pass(600);
    run.told(Event::Engine { host: "laptop".to_owned(), took_over: false });
    assert_eq!(run.go(), "");
    run.pass(299);
    assert_eq!(run.go(), "");
    run.pass(1);
    assert_eq!(run.go(), "failed a, pause");
}

#[test]
fn glass_that_is_broken_leaves_an_obligation_and_is_the_only_way_past_an_approval() {
    let mut run = Trial::of("          - { id: a, approve: { by: [bea] } }\n");
    run.go();
    let why = "she sleeps".to_owned();
    let skip = Event::Skipped { step: id("a"), why: why.clone() };
    assert!(run.say("anna", skip).unwrap_err().contains("--break-glass"));
    assert!(run.say("anna", Event::MarkedDone { step: id("a"), why }).is_err());
    let how = BREAK_GLASS.to_owned();
    run.say("anna", Event::Approved { step: id("a"), how, signed: None }).unwrap();
    assert_eq!(run.go(), "pause");
    let name = "break-glass-a".to_owned();
    assert_eq!(run.state.questions()[0].needed, Needed::Lifting(vec![name.clone()]));
    run.say("cto", Event::Lifted { name, why: "reviewed".to_owned() }).unwrap();
    assert_eq!(run.go(), "continue, close Success");
}

#[test]
fn measures_are_recorded_before_they_are_taken_and_keep_the_run_open_until_lifted() {
    let mut run = Trial::of(
        "          - { id: a, run: x, obliges: [closed, dark] }
          - { id: b, run: x, lifts: [closed] }
          - { id: c, run: x, lifts: [dark] }
",
    );
    assert_eq!(run.go(), "oblige closed, oblige dark, start a 1");
    run.done("a");
    run.go();
    run.done("b");
    assert_eq!(run.go(), "lift closed, start c 1");
    run.done("c");
    assert_eq!(run.go(), "lift dark, close Success");

    let mut run = Trial::of(
        "          - { id: a, run: x, obliges: [closed] }
          - { id: b, run: x, lifts: [closed] }
",
    );
    run.go();
    run.done("a");
    run.go();
    run.failed("b");
    run.go();
    run.say("anna", Event::Skipped { step: id("b"), why: "by hand".to_owned() }).unwrap();
    assert_eq!(run.go(), "pause", "what is skipped lifts nothing");
    let close = Event::Closed { result: Closing::Success };
    assert_eq!(run.say(ENGINE, close).unwrap_err(), "temporary measures are still in place");
}

#[test]
fn people_answer_do_and_look() {
    let mut run = Trial::of(
        "          - { id: word, ask: Which word? }
          - { id: hand, manual: Turn it off, verify: [{ manual: is it dark? }] }
",
    );
    assert_eq!(run.go(), "start word 1");
    let needed = |run: &Trial| run.state.questions()[0].needed.clone();
    assert_eq!(needed(&run), Needed::Answer(vec!["word".to_owned()]));
    let values = BTreeMap::from([("word".to_owned(), Recorded::Value("now".to_owned()))]);
    let answer = |step, values| Event::Answered { step: id(step), values, why: String::new() };
    run.say("anna", answer("word", values)).unwrap();
    assert_eq!(run.state.parameters["word"], Recorded::Value("now".to_owned()));
    assert_eq!(run.go(), "start hand 1");
    assert_eq!(needed(&run), Needed::Deed);
    run.say("anna", answer("hand", BTreeMap::new())).unwrap();
    assert_eq!(run.asked(), [], "no machine is asked what a person sees");
    let about = Asked::Step { step: id("hand"), which: VERIFY };
    assert_eq!(needed(&run), Needed::Look(about));
    run.answer("hand", VERIFY, Answer::Yes);
    assert_eq!(run.go(), "close Success");
}

#[test]
fn a_value_that_was_not_given_is_asked_for() {
    let mut run = Trial::phases(
        "      - steps: [{ id: a, run: x, already_done: { run: x } }, { id: b, ask: What? }]
",
    );
    let give = |name: &str| Event::Parameter {
        name: name.to_owned(),
        value: Recorded::Value("x".to_owned()),
    };
    run.answer("a", Which::AlreadyDone, Answer::Yes);
    assert_eq!(run.go(), "start b 1");
    run.say("anna", Event::MarkedDone { step: id("b"), why: "known".to_owned() }).unwrap();
    assert_eq!(run.go(), "pause");
    assert_eq!(run.state.questions()[0].needed, Needed::Value("b".to_owned()));
    run.say("anna", give("b")).unwrap();
    assert_eq!(run.go(), "continue, close Success");
}

#[test]
fn time_passes_for_waits_and_timeouts() {
    let mut run = Trial::of(
        "          - { id: a, wait: 5 min }
          - { id: b, run: x, timeout: 1 min }
",
    );
    run.go();
    run.pass(299);
    assert_eq!(run.go(), "");
    assert_eq!(decide(&run.state, &run.now).wake, Some(Duration::from_secs(1)));
    // Another engine after a reboot, whose clock was set back meanwhile: the wait is not longer.
    run.told(Event::Engine { host: "laptop".to_owned(), took_over: false });
    run.pass(1);
    assert_eq!(run.go(), "done a, start b 1");
    run.pass(59);
    assert_eq!(decide(&run.state, &run.now).cancels, []);
    run.pass(1);
    assert_eq!(decide(&run.state, &run.now).cancels, [Cancel { step: id("b"), attempt: 1 }]);
}

#[test]
fn people_change_what_has_not_begun_and_step_over_what_does_not_run() {
    let mut run = Trial::of(
        "          - { id: a, run: x }
          - { id: b, run: x }
          - { id: c, run: x }
",
    );
    run.go();
    let why = || "no longer needed".to_owned();
    let skip = |step| Event::Skipped { step: id(step), why: why() };
    let mark = |step| Event::MarkedDone { step: id(step), why: why() };
    let amend = |run: &Trial, step: &str, script: &str| {
        let mut new = Step::clone(&run.state.step(&id(step)).unwrap().step);
        new.action = Action::Run(script.to_owned());
        Event::Amended { step: Box::new(new), why: why() }
    };
    for (event, refusal) in [
        (skip("a"), "`a` runs: wait, or give the run up"),
        (mark("a"), "`a` runs: wait, or give the run up"),
        (amend(&run, "a", "y"), "`a` is under way or over, so it is not changed"),
        (mark("c"), "`c` waits for others; its time has not come"),
        (skip("d"), "the run has no step `d`"),
    ] {
        assert_eq!(run.say("anna", event).unwrap_err(), refusal);
    }
    run.say("anna", skip("b")).unwrap();
    let amended = amend(&run, "c", "y");
    run.say("anna", amended).unwrap();
    run.failed("a");
    assert_eq!(run.go(), "pause");
    run.say("anna", mark("a")).unwrap();
    assert_eq!(run.go(), "continue, start c 1");
    assert_eq!(run.state.step(&id("c")).unwrap().step.action, Action::Run("y".to_owned()));
    assert!(matches!(run.state.step(&id("b")).unwrap().status, Status::Skipped { .. }));
}

#[test]
fn an_amendment_makes_what_was_agreed_to_another_thing() {
    let mut run = Trial::of("          - { id: a, run: x }\n          - { id: b, run: y }\n");
    run.go();
    let before = run.state.digest.clone();
    assert_eq!(before, run.state.begun.procedure.digest());
    let mut step = Step::clone(&run.state.step(&id("b")).unwrap().step);
    step.action = Action::Run("z".to_owned());
    let amended = Event::Amended { step: Box::new(step), why: "a slip".to_owned() };
    run.say("anna", amended.clone()).unwrap();
    let once = run.state.digest.clone();
    run.say("anna", amended).unwrap();
    assert!(before != once && once != run.state.digest, "{before} {once} {}", run.state.digest);
}

#[test]
fn engines_that_go_on_are_known_with_what_they_adopted() {
    let mut run = Trial::of("          - { id: a, run: x, retries: 1 }\n");
    run.go();
    let child = Child { pid: 4711, start_ticks: 9 };
    run.told(Event::ChildStarted { step: id("a"), attempt: 1, child });
    run.told(Event::Engine { host: "other".to_owned(), took_over: true });
    run.told(Event::Adopted { step: id("a"), attempt: 1 });
    let [later] = run.state.engines.as_slice() else { panic!("{:?}", run.state.engines) };
    assert_eq!((later.epoch, later.host.as_str(), later.took_over), (2, "other", true));
    assert_eq!(later.adopted, [(id("a"), Some(4711))]);
    assert_eq!(run.state.step(&id("a")).unwrap().adopted_by, Some(2));
    // The next attempt is this engine's own.
    run.failed("a");
    run.go();
    run.pass(60);
    assert_eq!(run.go(), "start a 2");
    assert_eq!(run.state.step(&id("a")).unwrap().adopted_by, None);
}

#[test]
fn texts_for_people_have_values_in_them_and_nothing_that_would_look_like_others() {
    let mut run = Trial::phases(
        "      - steps:\n          - { id: a, ask: Which? }\n          \
         - { id: b, manual: 'Stop ${host}, to ${before}' }\n    parameters:\n      \
         host: { from: ask }\n      token: { from: ask, type: secret }\n      \
         before: { from: step, name: a }\n",
    );
    run.go();
    let shown = |run: &Trial| run.state.shown("Stop ${host} by ${token} to ${before}, ${HOME} ${x");
    assert_eq!(
        shown(&run),
        "Stop (host: not known yet) by (token: not known yet) to (before: not known yet), ${HOME} ${x"
    );
    let unknown: Vec<&str> = run.state.unknown_in("${before} ${HOME} ${host}").collect();
    assert_eq!(unknown, ["before", "host"]);
    let give = |run: &mut Trial, name: &str, value| {
        run.say("anna", Event::Parameter { name: name.to_owned(), value }).unwrap();
    };
    give(&mut run, "host", Recorded::Value("node\u{202e}-\u{1b}[2J${before}\n".to_owned()));
    give(&mut run, "token", Recorded::Fingerprint("5f".repeat(16)));
    give(&mut run, "before", Recorded::Value("12:00".to_owned()));
    assert_eq!(
        shown(&run),
        "Stop node\\u{202e}-\\u{1b}[2J${before}\\n by **** to 12:00, ${HOME} ${x"
    );
    run.say("anna", Event::Answered { step: id("a"), values: BTreeMap::new(), why: String::new() })
        .unwrap();
    run.go();
    let questions = run.state.questions();
    assert!(questions[0].text.ends_with(", to 12:00"), "{questions:?}");
}

#[test]
fn a_pause_begins_nothing_and_giving_up_ends_what_runs() {
    let mut run = Trial::of(
        "          - { id: a, run: x }
          - { id: b, run: x, parallel: yes }
          - { id: c, run: x }
",
    );
    run.go();
    run.say("anna", Event::Paused { step: None, why: "lunch".to_owned() }).unwrap();
    run.done("b");
    assert_eq!(run.go(), "");
    run.say("anna", Event::Continued { why: "back".to_owned() }).unwrap();
    assert_eq!(run.go(), "start c 1");
    run.say("anna", Event::Aborted { why: "false alarm".to_owned() }).unwrap();
    assert_eq!(run.go(), "");
    let cancels = decide(&run.state, &run.now).cancels;
    assert_eq!(cancels.iter().map(|one| one.step.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    run.failed("a");
    run.done("c");
    assert_eq!(run.go(), "close Aborted");
    let late = Event::Paused { step: None, why: String::new() };
    assert_eq!(run.say("anna", late).unwrap_err(), "the run is closed");
}

#[test]
fn without_its_mirror_only_what_can_be_taken_back_is_begun() {
    let mut run = Trial::of(
        "          - { id: a, run: x, destructive: yes }
          - { id: b, run: x, parallel: yes }
",
    );
    run.told(Event::Mirror { now: MirrorState::Lost, why: "no route".to_owned() });
    assert_eq!(run.go(), "start b 1");
    run.pass(299);
    assert_eq!(run.go(), "");
    run.pass(1);
    assert_eq!(run.go(), "pause");
    run.say("anna", Event::Mirror { now: MirrorState::Local, why: "--local".to_owned() }).unwrap();
    assert_eq!(run.go(), "continue, start a 1");
    run.told(Event::Mirror { now: MirrorState::Lost, why: "no route".to_owned() });
    run.done("a");
    run.done("b");
    assert_eq!(run.go(), "", "another engine may have taken it");
    run.told(Event::Mirror { now: MirrorState::Following, why: "a route".to_owned() });
    assert_eq!(run.go(), "close Success");
}

#[test]
fn records_are_events_and_events_are_records() {
    let mut run = Trial::of(
        "          - { id: a, run: x, destructive: yes, retries: 1, already_done: { run: x } }\n",
    );
    run.answer("a", Which::AlreadyDone, Answer::No);
    run.go();
    run.failed("a");
    run.go();
    let disk = soter_world::sim::SimDisk::new(0);
    let path = std::path::Path::new("/journal");
    let stamp = |entry: &Entry| crate::journal::Stamp {
        epoch: entry.epoch,
        boot: entry.at.boot.to_string(),
        at: entry.at.at,
        up: entry.at.up,
    };
    let drafts = run.entries.iter().map(|entry| entry.event.draft(&entry.by)).collect();
    let (_, appended) = crate::journal::Journal::create(
        &disk,
        path,
        run.state.run(),
        &stamp(&run.entries[0]),
        drafts,
    )
    .unwrap();
    let loaded = super::load(&appended.lines).unwrap();
    assert_eq!(loaded.entries, run.entries);
    assert_eq!(format!("{:?}", loaded.state), format!("{:?}", run.state));
    // Somebody who watches may come while an engine writes.
    let cut = &appended.lines[..appended.lines.len() - 3];
    let loaded = super::load(cut).unwrap();
    assert_eq!(loaded.entries, run.entries[..run.entries.len() - 1]);
    assert!(loaded.torn.is_some());
}
