//! A run that goes another way, or has a step undone, because somebody says so from a second terminal.

use soter_postgres::testing::wait_until;

use super::{Desk, ended};

/// Two vaults, of which the first has nothing; what is restored is read by the step behind it.
const PLAN: &str = r#"
scenarios:
  lost:
    title: The shop is lost
    phases:
      - title: Data
        steps:
          - id: data
            title: Bring the orders back
            run: cp "${DESK}near/orders" "${DESK}orders"
            destructive: true
            obliges: [shop-stopped]
            lifts: [shop-stopped]
            if_it_fails: Take it from London.
            instead:
              title: From the vault in London
              steps:
                - id: fetch
                  title: Fetch them from London
                  run: |
                    echo fetch >> "${DESK}effects"
                    cp "${DESK}far/orders" "${DESK}fetched"
                - id: london
                  title: Put them in their place
                  run: echo london >> "${DESK}effects"; cp "${DESK}fetched" "${DESK}orders"
                  lifts: [shop-stopped]
                  verify: [{ title: they are there, run: 'test -s "${DESK}orders"' }]
      - title: Open
        steps:
          - { id: open, title: Open the shop, run: 'cat "${DESK}orders" >> "${DESK}effects"' }
"#;

fn desk() -> Desk {
    let desk = Desk::new(PLAN);
    let (name, kind) = ("name: lab", "kind: drill");
    let own = desk.path("");
    desk.put("drill.yaml", &format!("{name}\n{kind}\nenvironment: {{ DESK: {own} }}\n"));
    std::fs::create_dir(desk.path("far")).unwrap();
    desk.put("far/orders", "order 4711\n");
    desk
}

const RECOVER: [&str; 4] = ["recover", "lost", "--target", "drill.yaml"];

#[test]
fn a_restore_that_fails_is_taken_from_elsewhere_by_the_word_of_a_second_terminal() {
    let desk = desk();
    let shown = desk.ok(&[&RECOVER[..], &["--dry-run"]].concat());
    assert!(
        shown.contains("or, if a person takes it instead: From the vault in London"),
        "{shown}"
    );
    let mut first = desk.start("here", &RECOVER);
    desk.wait_for("here", "`data` failed");
    let shown = desk.json(&["run", "show", "latest"]);
    let lines = shown["decisions"][0]["commands"].as_array().unwrap().iter();
    let mut lines = lines.map(|command| command["line"].as_str().unwrap());
    let run = shown["run"].as_str().unwrap();
    let line = format!("soter run branch {run} data --why WHY");
    assert!(lines.any(|offered| offered == line), "{shown}");
    let ids = |shown: &serde_json::Value| -> Vec<String> {
        let steps = shown["steps"].as_array().unwrap().iter();
        steps.map(|step| format!("{} {}", step["id"], step["is"]).replace('"', "")).collect()
    };
    assert_eq!(ids(&shown), ["data failed", "open waits"], "what nobody takes is not shown");

    desk.fails(&["run", "branch", run, "open", "--why", "x"], 1, "no other way for `open`");
    desk.fails(&["run", "branch", run, "data", "--why", " "], 1, "say why");
    desk.fails(&["run", "skip", run, "london", "--why", "x"], 1, "which nobody has taken");
    let branch = ["run", "branch", run, "data", "--why", "the near vault is empty", "--as", "bea"];
    desk.ok(&branch);
    ended(&mut first, 0, "left for another way");
    assert_eq!(desk.lines("effects"), ["fetch", "london", "order 4711"]);
    let shown = desk.json(&["run", "show", run]);
    assert_eq!(ids(&shown), ["data replaced", "fetch done", "london done", "open done"]);
    assert_eq!(shown["steps"][0]["why"], "the near vault is empty");
    assert_eq!(shown["steps"][1]["in_place_of"], "data");
    let log = desk.ok(&["run", "log", run]);
    let said = "another way is taken in place of data: the near vault is empty (bea)";
    assert!(log.contains(said), "{log}");
    let journal = desk.run_directory("here").join("journal");
    desk.ok(&["journal", "verify", &journal.display().to_string()]);
}

#[test]
fn a_way_that_was_taken_is_gone_on_with_by_the_next_engine_without_the_plan() {
    let desk = desk();
    let mut first = desk.start("here", &RECOVER);
    desk.wait_for("here", "`data` failed");
    desk.ok(&["run", "branch", "latest", "data", "--why", "the near vault is empty"]);
    first.kill();
    first.wait_timeout(super::TIMEOUT).unwrap();
    std::fs::remove_file(desk.path("soter.yaml")).unwrap();
    let mut second = desk.start("here", &["run", "resume", "latest"]);
    ended(&mut second, 0, "closed it");
    assert_eq!(desk.lines("effects"), ["fetch", "london", "order 4711"]);
}

/// The edge is closed, something behind it fails.
const BREACH: &str = r#"
scenarios:
  lost:
    title: Somebody got in
    phases:
      - title: Contain
        steps:
          - id: edge
            title: Close the edge
            run: touch "${DESK}rule"; echo close >> "${DESK}effects"
            obliges: [edge-closed]
            undo:
              title: The rule is taken away
              steps:
                - id: open-edge
                  title: Take the rule away
                  run: |
                    echo undo >> "${DESK}effects"
                    while ! test -e "${DESK}go"; do sleep 0.05; done
                    rm -f "${DESK}rule"
                  lifts: [edge-closed]
                  verify: [{ title: the rule is gone, run: '! test -e "${DESK}rule"' }]
      - title: Mend
        steps:
          - { id: mended, title: Mend it, run: exit 3 }
          - { id: open, title: Open the edge, run: 'rm "${DESK}rule"', lifts: [edge-closed] }
"#;

#[test]
fn a_step_is_undone_over_the_death_of_an_engine_and_the_run_is_given_up() {
    let desk = desk();
    desk.put("soter.yaml", BREACH);
    let shown = desk.ok(&[&RECOVER[..], &["--dry-run"]].concat());
    assert!(shown.contains("or, if a person has it undone: The rule is taken away"), "{shown}");
    let mut first = desk.start("here", &RECOVER);
    desk.wait_for("here", "`mended` failed");
    let shown = desk.json(&["run", "show", "latest"]);
    let run = shown["run"].as_str().unwrap();
    let lines = shown["decisions"][0]["commands"].as_array().unwrap().iter();
    let lines: Vec<&str> = lines.map(|command| command["line"].as_str().unwrap()).collect();
    assert!(lines.contains(&format!("soter run undo {run} edge --why WHY").as_str()), "{lines:?}");
    desk.fails(&["run", "undo", run, "mended", "--why", "x"], 1, "--by-hand");
    desk.fails(&["run", "undo", run, "open", "--why", "x"], 1, "has not been done");
    desk.ok(&["run", "undo", run, "edge", "--why", "a false alarm", "--as", "bea"]);
    let undoes = || desk.lines("effects").contains(&"undo".to_owned());
    wait_until("what undoes it runs", undoes).unwrap();
    first.kill();
    first.wait_timeout(super::TIMEOUT).unwrap();

    let mut second = desk.start("here", &["run", "resume", run]);
    desk.wait_for("here", "\"type\":\"adopted\"");
    let shown = desk.json(&["run", "show", run]);
    let step = |at: usize| (&shown["steps"][at]["id"], &shown["steps"][at]["is"]);
    assert_eq!(step(0), (&"edge".into(), &"undoing".into()));
    assert_eq!(step(1), (&"open-edge".into(), &"runs".into()));
    assert_eq!(step(2), (&"mended".into(), &"waits".into()), "what stood on it waits again");
    desk.fails(&["run", "retry", run, "mended"], 1, "has not failed");
    desk.put("go", "");
    desk.wait_for("here", "\"type\":\"compensated\"");
    desk.wait_for("here", "`edge` was undone");
    let shown = desk.json(&["run", "show", run]);
    assert_eq!(shown["obligations"].as_array().unwrap().len(), 0, "{shown}");
    assert_eq!(shown["decisions"][0]["step"], "edge");
    desk.ok(&["run", "abort", run, "--why", "a false alarm"]);
    ended(&mut second, 1, "was given up");
    assert_eq!(desk.lines("effects"), ["close", "undo"], "each once");
    let log = desk.ok(&["run", "log", run]);
    assert!(log.contains("edge is being undone: a false alarm (bea)"), "{log}");
    assert!(!std::fs::exists(desk.path("rule")).unwrap());
}

#[test]
fn what_was_undone_is_done_again_by_a_word_and_what_is_left_at_the_end_is_named() {
    let desk = desk();
    desk.put("soter.yaml", BREACH);
    desk.put("go", "");
    let mut engine = desk.start("here", &RECOVER);
    desk.wait_for("here", "`mended` failed");
    desk.ok(&["run", "undo", "latest", "edge", "--why", "the wrong rule"]);
    desk.wait_for("here", "`edge` was undone");
    desk.ok(&["run", "retry", "latest", "edge"]);
    let has_failed_again = || {
        let step = &desk.json(&["run", "show", "latest"])["steps"][2];
        (&step["is"], &step["attempt"]) == (&"failed".into(), &2.into())
    };
    wait_until("it fails again", has_failed_again).unwrap();
    let left = "though the plan says how to undo it: `edge`";
    desk.fails(&["run", "abort", "latest", "--why", "enough"], 0, left);
    ended(&mut engine, 1, "was given up");
    assert_eq!(desk.lines("effects"), ["close", "undo", "close"]);
}
