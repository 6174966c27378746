//! The engine is killed at a record of its journal, with real commands alive, and another goes on.

use std::fs;

use serde_json::Value;
use soter_postgres::testing::wait_until;
use soter_world::exec::{Signal, Status};
use soter_world::sim::seeds;

use super::{Desk, TIMEOUT, expect};
use crate::lab::text;

/// Steps beside each other, one that cannot be taken back, one that gives a value, one that fails once.
const PLAN: &str = r#"
scenarios:
  lost:
    parameters:
      made: { from: step, name: make }
    phases:
      - title: First
        steps:
          - { id: make, run: 'sleep 0.2; echo make >> "$DESK_FILE"; echo "made=it" >> "$SOTER_OUTPUT"' }
          - { id: left, parallel: true, run: 'sleep 0.1; echo left >> "$DESK_FILE"' }
      - title: Second
        steps:
          - id: wipe
            destructive: true
            run: 'echo "wipe $made" >> "$DESK_FILE"; sleep 0.2'
            already_done: { title: it is gone, run: 'grep -q wipe "$DESK_FILE"' }
            obliges: [closed]
          - id: again
            retries: 1
            run: 'if test -e "$DESK_FILE.tried"; then echo again >> "$DESK_FILE"; else touch "$DESK_FILE.tried"; exit 9; fi'
          - id: open
            run: echo open >> "$DESK_FILE"
            lifts: [closed]
            verify: [{ title: it is open, run: 'grep -q open "$DESK_FILE"' }]
"#;

/// Services that stand still and work again by scripts, here and on another machine. What is stopped
/// is marked as what cannot be taken back: nothing of it may be done again on hope.
const SERVICES: &str = r#"
services:
  web: { needs: [data], runs_as: { stop: 'echo stop web >> "$DESK_FILE"; sleep 0.1', start: 'echo start web >> "$DESK_FILE"' } }
  data: { runs_as: { on: there, stop: 'echo stop data >> "$DESK_FILE"; sleep 0.1', start: 'sleep 0.1; echo start data >> "$DESK_FILE"' } }
scenarios:
  lost:
    phases:
      - steps:
          - { id: held, quiesce: [web, data], destructive: true, already_done: { title: x, run: exit 1 } }
          - { id: back, resume: [web, data] }
"#;

/// What all of it does, each once, whatever becomes of engines.
const SERVED: [&str; 4] = ["start data", "start web", "stop data", "stop web"];

/// What all of it does, each once, whatever becomes of engines.
const EFFECTS: [&str; 5] = ["again", "left", "make", "open", "wipe it"];

fn desk(plan: &str) -> Desk {
    let desk = Desk::with_vault(plan);
    let file = desk.path("effects");
    let lines = format!("environment: {{ DESK_FILE: {file} }}\nhosts: {{ there: [env] }}\n");
    desk.put("drill.yaml", &format!("name: lab\nkind: drill\n{lines}"));
    desk
}

fn recover(desk: &Desk) -> Vec<String> {
    let key = desk.path("keys/operator-1.key");
    let words = ["recover", "lost", "--target", "drill.yaml", "--identity", &key];
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn words(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

fn effects(desk: &Desk) -> Vec<String> {
    let mut effects = desk.lines("effects");
    effects.sort();
    effects
}

/// The state without times: how every step ended.
fn state(desk: &Desk) -> Value {
    let shown = desk.json(&["run", "show", "latest"]);
    let steps = shown["steps"].as_array().unwrap().iter();
    let steps: Vec<Value> =
        steps.map(|step| serde_json::json!([step["id"], step["is"], step["why"]])).collect();
    let obligations = shown["obligations"].as_array().unwrap().iter();
    let obligations: Vec<&Value> = obligations.map(|one| &one["name"]).collect();
    serde_json::json!({
        "life": shown["life"],
        "steps": steps,
        "obligations": obligations,
        "values": shown["values"],
    })
}

/// How many appends an undisturbed run makes: records of one moment are one.
fn appends(journal: &str) -> u64 {
    let moment = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["up_ms"].clone(), record["epoch"].clone())
    };
    let mut moments: Vec<_> = journal.lines().map(moment).map(|it| format!("{it:?}")).collect();
    moments.dedup();
    moments.len() as u64
}

/// A script that says it is here, and ends when it is let go.
const HELD: &str = r#"
services:
  web: { runs_as: { ON stop: 'echo begun >> "$DESK_FILE"; until test -e "$DESK_FILE.go"; do sleep 0.02; done; echo "ended $SOTER_STEP" >> "$DESK_FILE"', start: 'true' } }
scenarios:
  lost:
    phases: [ { steps: [ { id: held, quiesce: web, DESTRUCTIVE timeout: 5 min } ] } ]
"#;

#[test]
fn a_script_that_stops_a_service_is_begun_once_however_many_engines_die() {
    for (on, destructive) in
        [("", ""), ("on: there,", "destructive: true, already_done: { title: x, run: exit 1 },")]
    {
        let desk = desk(&HELD.replace("ON", on).replace("DESTRUCTIVE", destructive));
        let adopted = |count: usize| {
            let says = || desk.journal("here").matches("\"type\":\"adopted\"").count() >= count;
            wait_until("the script is adopted", says).unwrap();
        };
        let mut first = desk.start("here", &words(&recover(&desk)));
        wait_until("the script is here", || desk.lines("effects") == ["begun"]).unwrap();
        // One is asked to leave, one is killed; what runs goes on.
        first.signal(Signal::Interrupt);
        super::ended(&mut first, 5, "");
        let second = desk.start("here", &["run", "resume", "latest"]);
        adopted(1);
        second.kill();
        drop(second.wait());
        let mut third = desk.start("here", &["run", "resume", "latest"]);
        adopted(2);
        assert_eq!(desk.lines("effects"), ["begun"]);
        desk.put("effects.go", "");
        super::ended(&mut third, 0, "");
        assert_eq!(desk.lines("effects"), ["begun", "ended held"]);
    }
}

#[test]
fn a_run_that_is_given_up_ends_the_script_that_another_engine_began() {
    let desk = desk(&HELD.replace("ON", "").replace("DESTRUCTIVE", ""));
    let first = desk.start("here", &words(&recover(&desk)));
    wait_until("the script is here", || desk.lines("effects") == ["begun"]).unwrap();
    first.kill();
    drop(first.wait());
    let mut second = desk.start("here", &["run", "resume", "latest"]);
    desk.wait_for("here", "\"type\":\"adopted\"");
    desk.ok(&["run", "abort", "latest", "--why", "enough"]);
    super::ended(&mut second, 1, "");
    desk.put("effects.go", "");
    // Nobody is left who could go on: its own directory says that it was ended.
    let part = desk.run_directory("here").join("children/held.1/parts/web.0.stop/1/status");
    assert!(fs::read_to_string(part).unwrap().contains("\"signal\":15"));
    assert_eq!(desk.lines("effects"), ["begun"]);
}

#[test]
fn an_engine_killed_at_any_record_is_followed_by_one_that_ends_the_run_the_same() {
    check(PLAN, &EFFECTS, 10);
}

#[test]
fn an_engine_killed_at_any_record_of_a_standstill_is_followed_by_one_that_ends_it_the_same() {
    check(SERVICES, &SERVED, 6);
}

fn check(plan: &str, expected_effects: &[&str], count: u64) {
    let undisturbed = desk(plan);
    undisturbed.ok(&words(&recover(&undisturbed)));
    assert_eq!(effects(&undisturbed), expected_effects);
    let (expected, appends) = (state(&undisturbed), appends(&undisturbed.journal("here")));
    assert!(appends > 3, "{appends}");
    let moments = ["before", "written", "durable"];
    // There are no more points than that.
    for seed in seeds(count).filter(|seed| *seed < appends * 3) {
        // Every point once, in an order in which a few of them lie far from each other.
        let point = seed * 7_919 % (appends * 3);
        let (append, moment) = (point / 3 + 1, moments[usize::try_from(point % 3).unwrap()]);
        let context = format!("seed {seed}: append {append}, {moment}");
        let desk = desk(plan);
        let fate = format!("{append}:{moment}");
        let killed = desk.command("here", &words(&recover(&desk)));
        let killed = killed.env("SOTER_TEST_KILL_ENGINE", &fate).run(TIMEOUT).unwrap();
        // The last appends of one run may be fewer in another.
        let was_killed = killed.status == Status::Signaled(9);
        assert!(
            was_killed || killed.status == Status::Exited(0),
            "{context}: {}",
            text(&killed.stderr)
        );
        if was_killed {
            let here = super::files(desk.root.path().join("here").as_path());
            let begun = here.iter().find(|path| path.ends_with("journal"));
            let begun = begun.is_some_and(|path| path.metadata().unwrap().len() > 0);
            if begun {
                let resumed = desk.soter(&["run", "resume", "latest"]);
                let closed = text(&resumed.stderr).contains("the run is closed");
                if !closed {
                    expect(resumed, 0, "");
                }
            } else {
                // Not even its first record: nothing was done, and it is begun again.
                assert_eq!(effects(&desk), Vec::<String>::new(), "{context}");
                desk.fails(&["run", "resume", "latest"], 2, "never begun");
                fs::remove_dir_all(desk.path("here")).unwrap();
                desk.ok(&words(&recover(&desk)));
            }
        }
        assert_eq!(effects(&desk), expected_effects, "{context}");
        assert_eq!(state(&desk), expected, "{context}");
        let journal = desk.run_directory("here").join("journal").display().to_string();
        assert_eq!(desk.json(&["journal", "verify", &journal])["whole"], true, "{context}");
    }
}
