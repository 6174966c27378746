//! Other ways that people take.

use super::*;

/// A restore that somebody else waits for, with another way of two steps.
const RESTORE: &str = "        - id: near
          run: restore --from near
          destructive: true
          obliges: [shop-stopped]
          lifts: [shop-stopped]
          instead:
            title: From the vault in London
            steps:
              - { id: fetch, run: fetch }
              - { id: far, run: restore --from far, lifts: [shop-stopped] }
        - { id: open, run: open }
";

impl Trial {
    fn branch(&mut self, step: &str) -> Result<(), String> {
        let why = "the vault does not answer".to_owned();
        self.say("anna", Event::Branched { step: id(step), why })
    }

    fn status(&self, step: &str) -> &Status {
        &self.state.step(&id(step)).unwrap().status
    }
}

#[test]
fn who_waits_for_a_step_waits_for_all_of_the_way_that_was_taken_in_its_place() {
    let mut run = Trial::of(RESTORE);
    assert_eq!(run.go(), "oblige shop-stopped, start near 1");
    assert_eq!(*run.status("fetch"), Status::Apart);
    run.failed("near");
    assert_eq!(run.go(), "pause");
    assert_eq!(run.state.unfinished(), 2);
    run.branch("near").unwrap();
    assert_eq!(run.go(), "continue, start fetch 1");
    assert!(run.state.obligations.contains_key("shop-stopped"), "what was obliged stays so");
    run.done("fetch");
    assert_eq!(run.go(), "start far 1");
    assert!(matches!(run.status("near"), Status::Branched { .. }));
    run.done("far");
    assert_eq!(run.go(), "lift shop-stopped, start open 1");
    let Status::Replaced { why } = run.status("near") else { panic!("{:?}", run.status("near")) };
    assert_eq!(why, "the vault does not answer");
    run.done("open");
    assert_eq!(run.go(), "close Success");
}

#[test]
fn a_way_that_nobody_takes_is_never_begun_and_in_nobodys_way() {
    let mut run = Trial::phases(&format!(
        "      - steps:\n{RESTORE}      - steps:\n        - {{ id: after, run: x }}\n"
    ));
    run.go();
    run.done("near");
    assert_eq!(run.go(), "lift shop-stopped, start open 1");
    run.done("open");
    assert_eq!(run.go(), "start after 1");
    run.done("after");
    assert_eq!(run.go(), "close Success");
    assert_eq!(*run.status("far"), Status::Apart);
}

#[test]
fn another_way_is_taken_only_where_the_step_is_not_over_and_does_nothing_any_more() {
    let mut run = Trial::of(&format!("        - {{ id: first, run: x }}\n{RESTORE}"));
    let refused = |run: &mut Trial, step: &str, says: &str| {
        let why = run.branch(step).unwrap_err();
        assert!(why.contains(says), "{step}: {why}");
    };
    run.go();
    refused(&mut run, "first", "no other way");
    refused(&mut run, "near", "its time has not come");
    refused(&mut run, "far", "no other way");
    run.done("first");
    run.go();
    refused(&mut run, "near", "runs: wait");
    let why = "it is not needed".to_owned();
    let skip = |step| Event::Skipped { step: id(step), why: why.clone() };
    let over = run.say("anna", skip("far")).unwrap_err();
    assert!(over.contains("which nobody has taken"), "{over}");
    run.failed("near");
    run.go();
    run.branch("near").unwrap();
    refused(&mut run, "near", "another way was taken");
    let over = run.say("anna", skip("near")).unwrap_err();
    assert!(over.contains("its steps count now"), "{over}");
    let again = run.retry("anna", "near", RetryFrom::Beginning).unwrap_err();
    assert!(again.contains("has not failed"), "{again}");
    run.say("anna", skip("fetch")).unwrap();
    assert_eq!(run.go(), "continue, start far 1");
    run.say("anna", Event::Aborted { why }).unwrap();
    assert_eq!(decide(&run.state, &run.now).cancels.len(), 1);
    run.failed("far");
    assert_eq!(run.go(), "close Aborted");
}

#[test]
fn what_may_have_happened_for_good_is_cleared_up_before_another_way_is_taken() {
    let mut run = Trial::of(RESTORE);
    run.go();
    run.interrupted("near");
    assert_eq!(run.go(), "doubt near, pause");
    let why = run.branch("near").unwrap_err();
    assert!(why.contains("soter run resolve lost-20300101-0000-7q2x near failed"), "{why}");
    let resolution = Resolution::Failed;
    let why = "half of it is there, and nothing runs".to_owned();
    run.say("bea", Event::Resolved { step: id("near"), resolution, why }).unwrap();
    // What a person said has failed is not tried again by anybody else.
    assert_eq!(run.go(), "pause");
    run.branch("near").unwrap();
    assert_eq!(run.go(), "continue, start fetch 1");
}

#[test]
fn a_probe_that_can_tell_is_asked_before_another_way_is_taken() {
    let mut run = Trial::of(&RESTORE.replace(
        "destructive: true",
        "destructive: true\n          retries: 1\n          already_done: { title: there, run: x }",
    ));
    run.go();
    run.answer("near", Which::AlreadyDone, Answer::No);
    run.go();
    run.failed("near");
    run.go();
    let why = run.branch("near").unwrap_err();
    assert!(why.contains("its probe is asked"), "{why}");
}

#[test]
fn a_step_of_another_way_may_have_another_way() {
    let mut run = Trial::of(
        "        - id: a
          manual: Ring the first
          instead:
            steps:
              - id: b
                manual: Ring the second
                instead: { steps: [{ run: mail }, { run: page, parallel: true }] }
        - { id: c, run: x, after: [a] }
",
    );
    assert_eq!(run.go(), "start a 1");
    run.branch("a").unwrap();
    assert_eq!(run.go(), "start b 1");
    run.branch("b").unwrap();
    assert_eq!(run.go(), "start b-instead1 1, start b-instead2 1");
    run.done("b-instead2");
    run.failed("b-instead1");
    assert_eq!(run.go(), "pause");
    run.retry("anna", "b-instead1", RetryFrom::Beginning).unwrap();
    assert_eq!(run.go(), "continue, start b-instead1 2");
    run.done("b-instead1");
    assert_eq!(run.go(), "start c 1");
    assert!(run.status("a").is_finished() && run.status("b").is_finished());
}

#[test]
fn a_step_keeps_its_other_way_when_it_is_changed() {
    let mut run = Trial::of(RESTORE);
    run.go();
    run.failed("near");
    run.go();
    let step = |run: &Trial, name: &str| Step::clone(&run.state.step(&id(name)).unwrap().step);
    let amend = |step| Event::Amended { step: Box::new(step), why: "typo".to_owned() };
    let without = Step { instead: None, ..step(&run, "near") };
    let why = run.say("anna", amend(without)).unwrap_err();
    assert!(why.contains("its other way"), "{why}");
    // What nobody has taken yet can be mended, too.
    let better = Step { action: Action::Run("better".to_owned()), ..step(&run, "far") };
    run.say("anna", amend(better)).unwrap();
    run.branch("near").unwrap();
    assert_eq!(run.state.step(&id("far")).unwrap().amendments, 1);
}

#[test]
fn a_procedure_whose_ways_lead_astray_is_no_run() {
    let run = Trial::of(RESTORE);
    let begun = |change: fn(&mut Vec<Step>)| {
        let Event::Begun(mut begun) = run.entries[0].event.clone() else { unreachable!() };
        change(&mut begun.procedure.steps);
        let entry = Entry { event: Event::Begun(begun), ..run.entries[0].clone() };
        State::begin(&entry).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(begun(|_| {}), Ok(()));
    let refused = [
        begun(|steps| steps[0].instead.as_mut().unwrap().steps.clear()),
        begun(|steps| steps[0].instead.as_mut().unwrap().steps.push(id("nobody"))),
        begun(|steps| steps[0].instead.as_mut().unwrap().steps.push(id("near"))),
        begun(|steps| steps[3].after.push(id("far"))),
        begun(|steps| steps[1].instead = steps[0].instead.clone()),
        begun(|steps| {
            let by = vec!["bea".to_owned()];
            let text = String::new();
            steps[0].action = Action::Approve { by, count: 1, text, within: None };
        }),
    ];
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
}
