//! Runs on several machines with one vault, and without one.

use soter_world::{Disk, OsDisk};

use super::{Desk, ended};

const PLAN: &str = "scenarios:
  lost:
    phases:
      - steps:
          - { id: first, run: 'echo first >> \"$DESK_FILE\"' }
          - { id: word, ask: Which word? }
          - { id: last, run: 'echo last >> \"$DESK_FILE\"' }
";

fn desk() -> Desk {
    let desk = Desk::with_vault(PLAN);
    let file = desk.path("effects");
    desk.put(
        "drill.yaml",
        &format!("name: lab\nkind: drill\nenvironment: {{ DESK_FILE: {file} }}\n"),
    );
    desk
}

#[test]
fn a_second_engine_is_kept_out_and_takes_the_run_only_by_a_word() {
    let desk = desk();
    let key = desk.path("keys/operator-1.key");
    let recover = ["recover", "lost", "--target", "drill.yaml", "--identity", &key];
    let mut first = desk.start("here", &recover);
    desk.wait_for_step("word");
    let run = desk.json(&["run", "show", "latest"])["run"].as_str().unwrap().to_owned();
    // The same machine has one engine, and one run of a scenario on a target at a time.
    desk.fails(&recover, 2, &format!("{run} carries out the same on lab now"));
    desk.fails(&["run", "resume", &run], 2, "another engine carries");

    // Another machine, with the binary, the vault, a key and the target's file.
    let (url, other) = (desk.url(), desk.path("keys/operator-2.key"));
    let resume = ["run", "resume", &run, "--from-vault", "--vault", &url, "--identity", &other];
    let there = |arguments: &[&str]| desk.command("there", arguments).run(super::TIMEOUT).unwrap();
    super::expect(there(&resume), 2, "name the target's file");
    let resume = [&resume[..], &["--target", "drill.yaml"]].concat();
    let mut second = desk.start("there", &resume);
    desk.wait_for("there", "\"took_over\":true");
    // The first is told when it wants to write, and begins nothing more.
    desk.fails(&["run", "answer", &run, "word", "mine"], 2, "no engine carries");
    ended(&mut first, 4, "another engine has taken the run");
    super::expect(there(&["run", "answer", &run, "word", "yours"]), 0, "");
    ended(&mut second, 0, "engine 2 took over on ");
    let log = super::expect(there(&["run", "log", &run]), 0, "");
    assert!(log.contains("has taken the run over"), "{log}");
    assert_eq!(desk.lines("effects"), ["first", "last"]);
    assert!(desk.journal("there").contains("yours") && !desk.journal("there").contains("mine"));

    // What the first had written alone is put aside, and the end is the same everywhere.
    let done = desk.soter(&["run", "resume", &run, "--take-over"]);
    super::expect(done, 2, "the run is closed");
    assert_eq!(desk.journal("here"), desk.journal("there"));
    let aside = desk.run_directory("here").join("journal.superseded-1");
    assert!(std::fs::read_to_string(aside).unwrap().contains("mine"));
}

#[test]
fn without_a_vault_a_run_is_local_and_every_screen_says_so() {
    let desk = desk();
    let key = desk.path("keys/operator-1.key");
    let drill = ["recover", "lost", "--target", "drill.yaml"];
    desk.fails(&drill, 2, "no operator's key was given");
    std::fs::remove_dir_all(desk.path("vault")).unwrap();
    let mut engine = desk.start("here", &[&drill[..], &["--identity", &key]].concat());
    desk.wait_for_step("word");
    let shown = desk.ok(&["run", "show", "latest"]);
    assert!(shown.contains("LOCAL ONLY"), "{shown}");
    assert!(desk.journal("here").contains("\"mirror\":\"local\""));
    desk.ok(&["run", "answer", "latest", "word", "alone"]);
    ended(&mut engine, 0, "does not take the journal");
    // The same, because somebody said so.
    std::fs::remove_dir_all(desk.path("here")).unwrap();
    let mut engine = desk.start("here", &[&drill[..], &["--local"]].concat());
    desk.wait_for_step("word");
    desk.ok(&["run", "answer", "latest", "word", "alone"]);
    ended(&mut engine, 0, "LOCAL ONLY");
}

#[test]
fn a_plan_that_was_published_is_enough_with_the_binary_the_vault_and_a_key() {
    let desk = desk();
    let (url, key) = (desk.url(), desk.path("keys/operator-1.key"));
    desk.ok(&["plan", "publish", "--key", &key, "--vault", &url]);
    std::fs::remove_file(desk.path("soter.yaml")).unwrap();
    desk.fails(&["recover", "lost", "--target", "drill.yaml"], 2, "--vault URL --identity");
    let mut engine = desk.start(
        "here",
        &["recover", "lost", "--target", "drill.yaml", "--vault", &url, "--identity", &key],
    );
    desk.wait_for_step("word");
    assert!(desk.journal("here").contains("\"mirror\":\"following\""));
    desk.ok(&["run", "answer", "latest", "word", "found"]);
    ended(&mut engine, 0, "plan 1 of the vault");
    assert_eq!(desk.lines("effects"), ["first", "last"]);
}

#[test]
fn what_cannot_be_taken_back_waits_for_a_vault_that_was_lost() {
    let desk = desk();
    let plan = std::fs::read_to_string(desk.path("soter.yaml")).unwrap();
    let last = "run: 'echo last >> \"$DESK_FILE\"'";
    desk.put("soter.yaml", &plan.replace(last, &format!("{last}, destructive: true")));
    let key = desk.path("keys/operator-1.key");
    let recover = ["recover", "lost", "--target", "drill.yaml", "--identity", &key];
    let mut engine = desk.start("here", &recover);
    desk.wait_for_step("word");
    let (vault, away) = (desk.path("vault"), desk.path("away"));
    let exchange = |from: &str, to: &str| OsDisk.rename(from.as_ref(), to.as_ref()).unwrap();
    exchange(&vault, &away);
    desk.ok(&["run", "answer", "latest", "word", "now"]);
    desk.wait_for("here", "\"now\":\"lost\"");
    let shown = desk.ok(&["run", "show", "latest"]);
    assert!(shown.contains("MIRROR LOST"), "{shown}");
    assert_eq!(desk.lines("effects"), ["first"]);
    exchange(&away, &vault);
    ended(&mut engine, 0, "DRILL on lab");
    assert!(desk.journal("here").contains("it is reached again"));
    assert_eq!(desk.lines("effects"), ["first", "last"]);
    // The vault has all of it.
    let resume = ["run", "resume", "latest", "--take-over"];
    desk.fails(&resume, 2, "the run is closed");
}
