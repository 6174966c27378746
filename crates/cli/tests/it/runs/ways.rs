//! A run that goes another way, because somebody says so from a second terminal.

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
