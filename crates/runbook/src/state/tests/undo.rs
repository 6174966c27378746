//! Steps that people have taken back.

use super::*;

/// The edge is closed, the data is mended, the edge is opened. Both that change something can be undone.
const BREACH: &str = "      - steps:
          - id: close
            run: edge deny
            obliges: [edge-closed]
            undo:
              title: The rule at the edge is taken away
              steps:
                - { id: reopen, run: edge allow, lifts: [edge-closed] }
          - { id: seen, title: Look, verify: [{ run: probe }] }
      - steps:
          - id: mend
            run: mend
            undo: { steps: [{ run: unmend, destructive: true }, { manual: Look at it }] }
      - steps:
          - { id: open, run: edge allow, lifts: [edge-closed] }
";

impl Trial {
    fn undo(&mut self, step: &str) -> Result<(), String> {
        let why = "it was the wrong one".to_owned();
        self.say("anna", Event::Compensating { step: id(step), why })
    }

    fn undone_by_hand(&mut self, step: &str) -> Result<(), String> {
        let why = "I took it away".to_owned();
        self.say("anna", Event::Compensated { step: id(step), why })
    }

    fn is(&self, step: &str) -> &'static str {
        match self.state.step(&id(step)).unwrap().status {
            Status::Pending => "pending",
            Status::Ready { .. } => "ready",
            Status::Running => "running",
            Status::Failed { .. } => "failed",
            Status::Done => "done",
            Status::Undoing { .. } => "undoing",
            Status::Undone { .. } => "undone",
            Status::Apart => "apart",
            Status::Branched { .. } => "branched",
            Status::Replaced { .. } => "replaced",
            Status::Skipped { .. } => "skipped",
            _ => "other",
        }
    }

    fn all(&self, steps: &[&str]) -> String {
        steps.iter().map(|step| self.is(step)).collect::<Vec<_>>().join(" ")
    }
}

/// To where the last step runs.
fn opening() -> Trial {
    let mut run = Trial::phases(BREACH);
    assert_eq!(run.go(), "oblige edge-closed, start close 1");
    run.done("close");
    run.go();
    run.answer("seen", VERIFY, Answer::Yes);
    assert_eq!(run.go(), "start mend 1");
    run.done("mend");
    assert_eq!(run.go(), "start open 1");
    run
}

#[test]
fn what_is_undone_is_undone_in_order_and_whatever_stood_on_it_waits_again() {
    let mut run = opening();
    let under_way = run.undo("mend").unwrap_err();
    assert_eq!(under_way, "`open` depends on `mend`, and runs: that comes first");
    run.failed("open");
    assert_eq!(run.go(), "pause");
    let order = run.undo("close").unwrap_err();
    assert!(order.ends_with("undo it first, in this order: `mend`"), "{order}");
    run.undo("mend").unwrap();
    assert_eq!(run.all(&["mend", "open", "mend-undo1"]), "undoing pending ready");
    assert_eq!(run.go(), "pause, start mend-undo1 1");
    run.done("mend-undo1");
    assert_eq!(run.go(), "start mend-undo2 1");
    let done =
        Event::Answered { step: id("mend-undo2"), values: BTreeMap::new(), why: String::new() };
    run.say("bea", done).unwrap();
    assert_eq!(run.go(), "compensated mend, pause");
    assert_eq!(run.is("mend"), "undone");
    // A look that stood on it is looked at again.
    run.undo("close").unwrap();
    assert_eq!(run.all(&["close", "seen", "mend", "open"]), "undoing pending undone pending");
    assert_eq!(run.go(), "pause, start reopen 1");
    run.done("reopen");
    assert_eq!(run.go(), "lift edge-closed, compensated close, pause");
    assert!(run.state.obligations.is_empty());
    // It begins again from where it was taken back to, and what was undone waits for a word.
    run.retry("anna", "close", RetryFrom::Beginning).unwrap();
    assert_eq!(run.go(), "continue, oblige edge-closed, start close 2");
    run.done("close");
    run.go();
    run.answer("seen", VERIFY, Answer::Yes);
    assert_eq!(run.go(), "pause");
    run.retry("anna", "mend", RetryFrom::Beginning).unwrap();
    assert_eq!(run.go(), "continue, start mend 2");
    run.done("mend");
    assert_eq!(run.go(), "start open 2");
    run.done("open");
    assert_eq!(run.go(), "lift edge-closed, close Success");
}

#[test]
fn while_something_is_undone_nothing_else_is_begun_and_afterwards_somebody_decides() {
    let mut run = Trial::of(
        "          - { id: a, run: x, undo: { steps: [{ id: un-a, run: y, retries: 1 }] } }
          - { id: b, run: x, parallel: true }
          - { id: c, run: x, after: [b] }
",
    );
    run.go();
    run.done("a");
    run.undo("a").unwrap();
    assert_eq!(run.go(), "pause, start un-a 1", "also where the run went on");
    run.done("b");
    assert_eq!(run.go(), "");
    assert_eq!(run.is("c"), "ready");
    run.failed("un-a");
    assert_eq!(run.go(), "retry un-a", "what undoes it is tried again like any other");
    run.pass(60);
    assert_eq!(run.go(), "start un-a 2");
    run.failed("un-a");
    assert_eq!(run.go(), "pause");
    let why = "the edge is gone, too".to_owned();
    run.say("bea", Event::Skipped { step: id("un-a"), why }).unwrap();
    assert_eq!(run.go(), "compensated a, pause");
    let question = &run.state.questions()[0];
    assert_eq!((&question.step, &question.needed), (&Some(id("a")), &Needed::Decision));
    let why = "it is not needed".to_owned();
    run.say("bea", Event::Skipped { step: id("a"), why }).unwrap();
    assert_eq!(run.go(), "continue, start c 1");
}

#[test]
fn a_person_who_has_paused_the_run_still_has_a_step_undone_and_then_gives_it_up() {
    let mut run = opening();
    run.failed("open");
    run.go();
    let why = "no more".to_owned();
    run.say("anna", Event::Continued { why: why.clone() }).unwrap();
    run.say("anna", Event::Paused { step: None, why: why.clone() }).unwrap();
    run.undo("mend").unwrap();
    assert_eq!(run.go(), "start mend-undo1 1");
    run.interrupted("mend-undo1");
    assert_eq!(run.go(), "doubt mend-undo1", "what undoes it for good is not done twice on hope");
    let resolution = Resolution::Done;
    let step = id("mend-undo1");
    run.say("bea", Event::Resolved { step, resolution, why: why.clone() }).unwrap();
    assert_eq!(run.go(), "start mend-undo2 1");
    run.say("anna", Event::Aborted { why }).unwrap();
    assert_eq!(run.go(), "close Aborted");
    assert!(run.undo("close").unwrap_err().contains("the run is closed"));
}

#[test]
fn what_was_done_by_hand_is_undone_by_hand() {
    let mut run = Trial::of(
        "          - { id: a, run: x }
          - { id: told, notify: { text: hello } }
          - { id: b, run: x, only_if: { run: x } }
          - { id: c, run: x }
",
    );
    run.go();
    run.done("a");
    run.go();
    run.done("told");
    run.answer("b", Which::OnlyIf, Answer::No);
    run.go();
    run.failed("c");
    run.go();
    let how = run.undo("a").unwrap_err();
    assert!(how.contains("soter run undo lost-20300101-0000-7q2x a --by-hand"), "{how}");
    assert!(run.undone_by_hand("told").unwrap_err().contains("leaves nothing"));
    run.undone_by_hand("a").unwrap();
    assert_eq!(run.all(&["a", "told", "b", "c"]), "undone pending pending pending");
    assert_eq!(run.go(), "pause");
    run.say("anna", Event::MarkedDone { step: id("a"), why: "it is there".to_owned() }).unwrap();
    assert_eq!(run.go(), "continue, start told 2");
    run.done("told");
    assert_eq!(run.go(), "");
    assert_eq!(run.asked(), [Asked::Step { step: id("b"), which: Which::OnlyIf }], "asked anew");
}

#[test]
fn what_a_person_left_out_stays_left_out() {
    let mut run = Trial::of(
        "          - { id: a, run: x, undo: { steps: [{ run: y }] } }
          - { id: b, run: x }
          - { id: c, run: x }
",
    );
    run.go();
    let why = "nobody misses it".to_owned();
    run.say("anna", Event::Skipped { step: id("b"), why }).unwrap();
    run.done("a");
    assert_eq!(run.go(), "start c 1");
    run.failed("c");
    run.go();
    run.undo("a").unwrap();
    run.go();
    run.done("a-undo1");
    run.go();
    run.retry("anna", "a", RetryFrom::Beginning).unwrap();
    run.go();
    run.done("a");
    assert_eq!(run.go(), "start c 2");
    assert_eq!(run.is("b"), "skipped");
}

#[test]
fn a_step_of_another_way_is_undone_and_the_other_way_goes_on_again() {
    let mut run = Trial::of(
        "          - id: near
            run: x
            instead:
              steps:
                - { id: fetch, run: x, undo: { steps: [{ run: y }] } }
                - { id: far, run: x }
          - { id: open, run: x }
",
    );
    run.go();
    run.failed("near");
    run.go();
    let why = String::new();
    run.say("anna", Event::Branched { step: id("near"), why: "x".to_owned() }).unwrap();
    run.go();
    run.done("fetch");
    run.go();
    run.done("far");
    assert_eq!(run.go(), "start open 1");
    run.failed("open");
    run.go();
    assert!(run.undo("near").unwrap_err().contains("another way was taken"));
    assert!(run.undo("fetch").unwrap_err().contains("in this order: `far`"));
    run.undone_by_hand("far").unwrap();
    assert_eq!(run.all(&["near", "fetch", "far", "open"]), "branched done undone pending");
    run.undo("fetch").unwrap();
    run.go();
    run.done("fetch-undo1");
    run.go();
    run.retry("anna", "fetch", RetryFrom::Beginning).unwrap();
    run.retry("anna", "far", RetryFrom::Beginning).unwrap();
    assert_eq!(run.go(), "continue, start fetch 2");
    run.done("fetch");
    assert_eq!(run.go(), "start far 2");
    run.done("far");
    assert_eq!(run.go(), "start open 2");
    assert_eq!(run.is("near"), "replaced");
    run.say("anna", Event::Aborted { why }).unwrap();
}

#[test]
fn only_what_was_done_is_undone_and_only_when_it_does_nothing_any_more() {
    let mut run = opening();
    let refused = |run: &mut Trial, step: &str, says: &str| {
        let why = run.undo(step).unwrap_err();
        assert!(why.contains(says), "{step}: {why}");
    };
    refused(&mut run, "open", "runs: wait");
    refused(&mut run, "reopen", "nobody has asked for that");
    refused(&mut run, "seen", "leaves nothing");
    run.failed("open");
    run.go();
    refused(&mut run, "open", "--by-hand");
    run.undo("mend").unwrap();
    refused(&mut run, "mend", "is being undone already");
    refused(&mut run, "close", "`mend` depends on `close`, and is being undone");
    let skip = Event::Skipped { step: id("mend"), why: "x".to_owned() };
    assert!(run.say("anna", skip).unwrap_err().contains("is being undone"));
    let early = Event::Compensated { step: id("mend"), why: "x".to_owned() };
    assert!(run.say(ENGINE, early).unwrap_err().contains("is not undone yet"));
    let other = Event::StepStarted { step: id("open"), attempt: 2, destructive: false };
    assert!(run.say(ENGINE, other).is_err());
    refused(&mut run, "open", "has not been done");
}
