//! The engine is killed at a record of its journal, with real commands alive, and another goes on.

use std::fs;

use serde_json::Value;
use soter_world::exec::Status;
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

/// What all of it does, each once, whatever becomes of engines.
const EFFECTS: [&str; 5] = ["again", "left", "make", "open", "wipe it"];

fn desk() -> Desk {
    let desk = Desk::with_vault(PLAN);
    let file = desk.path("effects");
    desk.put(
        "drill.yaml",
        &format!("name: lab\nkind: drill\nenvironment: {{ DESK_FILE: {file} }}\n"),
    );
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

#[test]
fn an_engine_killed_at_any_record_is_followed_by_one_that_ends_the_run_the_same() {
    let undisturbed = desk();
    undisturbed.ok(&words(&recover(&undisturbed)));
    assert_eq!(effects(&undisturbed), EFFECTS);
    let (expected, appends) = (state(&undisturbed), appends(&undisturbed.journal("here")));
    assert!(appends > 10, "{appends}");
    let moments = ["before", "written", "durable"];
    // There are no more points than that.
    for seed in seeds(10).filter(|seed| *seed < appends * 3) {
        // Every point once, in an order in which a few of them lie far from each other.
        let point = seed * 7_919 % (appends * 3);
        let (append, moment) = (point / 3 + 1, moments[usize::try_from(point % 3).unwrap()]);
        let context = format!("seed {seed}: append {append}, {moment}");
        let desk = desk();
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
        assert_eq!(effects(&desk), EFFECTS, "{context}");
        assert_eq!(state(&desk), expected, "{context}");
        let journal = desk.run_directory("here").join("journal").display().to_string();
        assert_eq!(desk.json(&["journal", "verify", &journal])["whole"], true, "{context}");
    }
}
