//! What would do harm: a yes to something else, a try without end, a decision that contradicts itself.

use super::*;

fn agree(step: &str) -> Event {
    Event::Approved { step: id(step), how: "code".to_owned(), signed: None }
}

fn amend(run: &Trial, step: &str, script: &str) -> Event {
    let mut new = Step::clone(&run.state.step(&id(step)).unwrap().step);
    new.action = Action::Run(script.to_owned());
    Event::Amended { step: Box::new(new), why: "it was wrong".to_owned() }
}

fn give(name: &str, value: &str) -> Event {
    Event::Parameter { name: name.to_owned(), value: Recorded::Value(value.to_owned()) }
}

fn lost() -> Ended {
    Ended::Unknown("the way there broke".to_owned())
}

#[test]
fn a_step_that_never_says_how_it_ended_is_not_done_again_without_end() {
    let mut run = Trial::of("          - { id: a, run: x }\n");
    assert_eq!(run.go(), "start a 1");
    for attempt in 2..=4 {
        run.end("a", lost());
        assert_eq!(run.go(), "", "not at once");
        run.pass(60);
        assert_eq!(run.go(), format!("start a {attempt}"));
    }
    run.end("a", lost());
    assert_eq!(run.go(), "pause");
    let question = &run.state.questions()[0];
    assert_eq!(question.needed, Needed::Decision);
    assert!(question.text.contains("the way there broke"), "{}", question.text);
    run.retry("anna", "a", RetryFrom::Beginning).unwrap();
    assert_eq!(run.go(), "continue, start a 5");
}

#[test]
fn a_probe_that_says_no_each_time_lets_nothing_be_done_without_end() {
    let step = "          - { id: a, run: x, destructive: yes, already_done: { run: x } }\n";
    let mut run = Trial::of(step);
    for attempt in 1..=4 {
        run.answer("a", Which::AlreadyDone, Answer::No);
        assert_eq!(run.go(), format!("start a {attempt}"));
        run.end("a", lost());
        run.go();
        run.pass(60);
    }
    assert_eq!(run.state.questions()[0].needed, Needed::Decision);
    // Without a probe a person is asked each time.
    let mut run = Trial::of("          - { id: a, run: x, destructive: yes }\n");
    assert_eq!(run.go(), "start a 1");
    run.end("a", lost());
    assert_eq!(run.go(), "doubt a, pause");
}

#[test]
fn who_agreed_to_some_steps_has_not_agreed_to_others() {
    let mut run = Trial::of(
        "          - { id: a, approve: { by: [bea, cleo], count: 2 } }
          - { id: b, run: x }
",
    );
    run.go();
    let before = Subject::of(&run.state, &id("a"));
    run.say("bea", agree("a")).unwrap();
    let amended = amend(&run, "b", "rm -r /");
    run.say("anna", amended).unwrap();
    assert_ne!(Subject::of(&run.state, &id("a")), before, "a code would still be good");
    run.say("cleo", agree("a")).unwrap();
    assert_eq!(run.go(), "", "bea has agreed to something else");
    run.say("bea", agree("a")).unwrap();
    assert_eq!(run.go(), "done a, start b 1");
}

#[test]
fn who_agreed_to_a_value_has_not_agreed_to_another() {
    let mut run = Trial::of("          - { id: a, approve: { by: [bea, cleo], count: 2 } }\n");
    run.go();
    run.say("anna", give("since", "monday")).unwrap();
    run.say("bea", agree("a")).unwrap();
    run.say("anna", give("since", "monday")).unwrap();
    run.say("cleo", agree("a")).unwrap();
    assert_eq!(run.state.step(&id("a")).unwrap().approvals.len(), 2, "nothing has changed");
    run.say("anna", give("since", "sunday")).unwrap();
    assert_eq!(run.go(), "");
}

#[test]
fn what_was_agreed_to_and_then_changed_is_looked_at_before_the_end() {
    let begun = || {
        let mut run = Trial::of(
            "          - { id: a, approve: { by: [bea] } }
          - { id: b, run: x }
",
        );
        run.go();
        run.say("anna", give("since", "monday")).unwrap();
        run.say("bea", agree("a")).unwrap();
        assert_eq!(run.go(), "done a, start b 1");
        run.failed("b");
        run.go();
        run
    };
    for change in [|run: &Trial| amend(run, "b", "y"), |_: &Trial| give("since", "sunday")] {
        let mut run = begun();
        let change = change(&run);
        run.say("anna", change).unwrap();
        run.retry("anna", "b", RetryFrom::Beginning).unwrap();
        assert_eq!(run.go(), "continue, start b 2");
        run.done("b");
        assert_eq!(run.go(), "pause");
        let name = "changed-after-a".to_owned();
        assert_eq!(run.state.questions()[0].needed, Needed::Lifting(vec![name.clone()]));
        run.say("bea", Event::Lifted { name, why: "I have seen it".to_owned() }).unwrap();
        assert_eq!(run.go(), "continue, close Success");
    }
    let mut run = begun();
    run.say("anna", give("since", "monday")).unwrap();
    run.say("anna", give("until", "friday")).unwrap();
    assert!(run.state.obligations.is_empty(), "what was agreed to is as it was");
}

#[test]
fn two_steps_that_lift_one_measure_contradict_nobody() {
    let mut run = Trial::of(
        "          - { id: a, run: x, obliges: [closed] }
          - { id: b, run: x, after: [a], lifts: [closed] }
          - { id: c, run: x, after: [a], lifts: [closed] }
",
    );
    run.go();
    run.done("a");
    assert_eq!(run.go(), "start b 1, start c 1");
    run.done("b");
    run.done("c");
    assert_eq!(run.go(), "lift closed, close Success");
}
