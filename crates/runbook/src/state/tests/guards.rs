//! What a state refuses whoever asks, also what no decision ever leads to: a journal may be written by a
//! program with a fault.

use super::*;

fn started(step: &str, attempt: u32) -> Event {
    Event::StepStarted { step: id(step), attempt, destructive: false }
}

fn ended(step: &str, attempt: u32) -> Event {
    let (outputs, captured) = (BTreeMap::new(), Vec::new());
    Event::StepEnded { step: id(step), attempt, outcome: Ended::Done, outputs, captured }
}

fn resolved(resolution: Resolution) -> Event {
    Event::Resolved { step: id("a"), resolution, why: "looked at it".to_owned() }
}

fn amended(run: &Trial, change: impl FnOnce(&mut Step)) -> Event {
    let mut new = Step::clone(&run.state.step(&id("a")).unwrap().step);
    change(&mut new);
    Event::Amended { step: Box::new(new), why: "it was wrong".to_owned() }
}

fn pause() -> Event {
    Event::Paused { step: None, why: "lunch".to_owned() }
}

fn proceed() -> Event {
    Event::Continued { why: "back".to_owned() }
}

fn approve() -> Event {
    Event::Approved { step: id("a"), how: "code".to_owned(), signed: None }
}

#[track_caller]
fn refused(run: &mut Trial, by: &str, event: Event, why: &str) {
    let said = run.say(by, event.clone());
    assert_eq!(said.unwrap_err(), why, "{event:?}");
}

#[test]
fn attempts_begin_one_after_the_other_and_not_while_the_run_stands() {
    let mut run = Trial::of("          - { id: a, run: x, retries: 1 }\n");
    refused(&mut run, ENGINE, started("a", 2), "the next attempt of `a` is another one");
    run.say("anna", pause()).unwrap();
    refused(&mut run, ENGINE, started("a", 1), "the run does not go on, so nothing is begun");
    run.say("anna", proceed()).unwrap();
    run.go();
    run.failed("a");
    run.go();
    run.pass(60);
    assert_eq!(run.go(), "start a 2");
    refused(&mut run, ENGINE, ended("a", 1), "attempt 1 of `a` does not go on");
}

#[test]
fn only_people_end_what_waits_for_people() {
    for step in ["ask: Which word?", "manual: Turn it off", "approve: { by: [bea] }"] {
        let mut run = Trial::of(&format!("          - {{ id: a, {step} }}\n"));
        run.go();
        refused(&mut run, ENGINE, ended("a", 1), "`a` waits for a person");
    }
    let mut run = Trial::of("          - { id: a, ask: Which word? }\n");
    run.go();
    let no = Event::Refused { step: id("a"), why: "no".to_owned() };
    refused(&mut run, "bea", no, "`a` does not wait for an approval now");
}

#[test]
fn an_approval_is_given_and_not_said_or_changed_or_kept_for_another_try() {
    let mut run = Trial::of(
        "          - { id: a, approve: { by: [bea, cleo], count: 2 }, only_if: { run: x } }\n",
    );
    run.answer("a", Which::OnlyIf, Answer::Unknown);
    run.go();
    let why = "an approval is given, not said to be done";
    refused(&mut run, "anna", resolved(Resolution::Done), why);
    let harmless = amended(&run, |step| step.action = Action::Run("x".to_owned()));
    refused(&mut run, "anna", harmless, "an approval is not changed");
    run.say("anna", resolved(Resolution::Run)).unwrap();
    assert_eq!(run.go(), "continue, start a 1");
    run.say("bea", approve()).unwrap();
    run.say("cleo", Event::Refused { step: id("a"), why: "not yet".to_owned() }).unwrap();
    run.retry("anna", "a", RetryFrom::Beginning).unwrap();
    assert_eq!(run.go(), "start a 2");
    run.say("cleo", approve()).unwrap();
    assert_eq!(run.go(), "", "bea said yes to another try");
}

/// One word is for one attempt.
#[test]
fn a_persons_word_lets_something_destructive_be_done_once() {
    let mut run = Trial::of("          - { id: a, run: x, destructive: yes }\n");
    run.go();
    run.interrupted("a");
    assert_eq!(run.go(), "doubt a, pause");
    run.say("anna", resolved(Resolution::Run)).unwrap();
    assert_eq!(run.go(), "continue, start a 2");
    run.interrupted("a");
    assert_eq!(run.go(), "doubt a, pause");
    // Nor is it for what the step is changed into.
    run.say("anna", resolved(Resolution::Run)).unwrap();
    let why = "`a` may have happened and cannot be taken back; say so still";
    let harmless = amended(&run, |step| step.destructive = false);
    refused(&mut run, "anna", harmless, why);
    let other = amended(&run, |step| step.action = Action::Run("y".to_owned()));
    run.say("anna", other).unwrap();
    assert_eq!(run.go(), "continue, doubt a, pause");
}

#[test]
fn what_a_probe_said_is_asked_again_of_a_step_that_was_changed() {
    let mut run = Trial::of("          - { id: a, run: x, already_done: { run: x } }\n");
    run.say("anna", pause()).unwrap();
    run.answer("a", Which::AlreadyDone, Answer::No);
    let other = amended(&run, |step| step.action = Action::Run("y".to_owned()));
    run.say("anna", other).unwrap();
    run.say("anna", proceed()).unwrap();
    let about = Asked::Step { step: id("a"), which: Which::AlreadyDone };
    assert_eq!((run.go().as_str(), run.asked()), ("", vec![about]));
}

#[test]
fn only_what_failed_at_its_probes_is_tried_again_from_there() {
    let mut run = Trial::of("          - { id: a, run: x, verify: [{ run: x }] }\n");
    run.go();
    run.failed("a");
    let said = run.retry("anna", "a", RetryFrom::Verification).unwrap_err();
    assert_eq!(said, "`a` failed before its probes were asked");
}

#[test]
fn a_run_that_stands_is_not_closed_and_an_older_engine_writes_nothing() {
    let mut run = Trial::of("          - { id: a, run: x }\n");
    run.go();
    run.done("a");
    run.say("anna", pause()).unwrap();
    let close = Event::Closed { result: Closing::Success };
    refused(&mut run, ENGINE, close, "the run does not go on");
    run.told(Event::Engine { host: "laptop".to_owned(), took_over: false });
    run.told(Event::Engine { host: "laptop".to_owned(), took_over: false });
    let event = Event::Engine { host: "ghost".to_owned(), took_over: true };
    let late = Entry { by: ENGINE.to_owned(), epoch: 2, at: run.now.clone(), event };
    assert!(run.state.next(&late).is_err());
    assert_eq!((run.state.epoch, run.state.host.as_str()), (3, "laptop"));
}

#[test]
fn what_pauses_the_run_lets_nothing_be_begun_in_the_same_moment() {
    let mut run = Trial::of(
        "          - { id: a, run: x }
          - { id: b, run: x, parallel: yes }
          - { id: c, run: x, after: [b] }
",
    );
    assert_eq!(run.go(), "start a 1, start b 1");
    run.failed("a");
    run.done("b");
    assert_eq!(run.go(), "pause");
}

#[test]
fn not_more_goes_on_at_once_than_can_be_watched() {
    let steps: String =
        (0..70).map(|at| format!("          - {{ id: s{at}, run: x, parallel: yes }}\n")).collect();
    let mut run = Trial::of(&steps);
    assert_eq!(run.go().split(", ").count(), 64);
    run.done("s0");
    assert_eq!(run.go(), "start s64 1");
}
