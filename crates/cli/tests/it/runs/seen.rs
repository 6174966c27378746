//! What people are shown before they say yes, and what a second machine sees.

use serde_json::Value;

use super::{Desk, TIMEOUT, TOKEN, ended, expect};
use crate::lab::text;

const PLAN: &str = r#"
people:
  ada: { title: Ada }
  bea: { title: Bea, approves_with: "${file:@/bea.secret}" }
scenarios:
  lost:
    title: The shop at ${site} is lost
    rto: 1h
    parameters:
      site: { from: ask }
      token: { from: ask, type: secret }
      before: { from: step, name: when }
    phases:
      - title: Back to ${before}
        steps:
          - { id: when, ask: "Which moment at ${site}?" }
          - id: agreed
            title: Agree to ${before}
            approve: { by: [bea], text: "Bring ${site} back to ${before} with ${token}?" }
          - { id: back, run: 'echo "$site $before" >> "$DESK_FILE"' }
"#;

/// What Bea says yes to.
const AGREED: &str = "Bring shop-2 back to noon with ****?";

fn desk() -> Desk {
    let desk = Desk::with_vault("");
    let plan = PLAN.replace('@', &desk.path(""));
    let url = desk.url();
    desk.put("soter.yaml", &format!("{plan}vaults:\n  near: {{ url: \"{url}\" }}\n"));
    let file = desk.path("effects");
    desk.put(
        "real.yaml",
        &format!("name: second site\nkind: real\nenvironment: {{ DESK_FILE: {file} }}\n"),
    );
    desk
}

fn recover<'a>(key: &'a str, token: &'a str) -> Vec<&'a str> {
    let words = ["recover", "lost", "--target", "real.yaml", "--confirm", "second site"];
    [&words[..], &["--identity", key, "--param", "site=shop-2", "--param", token]].concat()
}

#[test]
fn what_is_approved_reads_the_same_everywhere_and_is_what_is_carried_out() {
    let desk = desk();
    let (key, token) = (desk.path("keys/operator-1.key"), format!("token={TOKEN}"));
    let recover = recover(&key, &token);
    let dry = desk.ok(&[&recover[..], &["--dry-run"]].concat());
    let unknown = "Bring shop-2 back to (before: not known yet) with ****?";
    assert!(dry.contains("REAL on second site: The shop at ${site}") || dry.contains("shop-2"));
    assert!(dry.contains(unknown) && dry.contains("Which moment at shop-2?"), "{dry}");

    let mut engine = desk.start("here", &recover);
    desk.wait_for_step("when");
    let shown = desk.ok(&["run", "show", "latest", "agreed"]);
    assert!(shown.contains(unknown), "{shown}");
    // Nobody makes a code for a text with a gap in it.
    let code = ["run", "code", "latest", "agreed", "--as", "bea"];
    desk.fails(&code, 2, "names `before`, which has no value yet");
    desk.ok(&["run", "answer", "latest", "when", "noon"]);
    desk.wait_for_step("agreed");

    let shown = desk.json(&["run", "show", "latest"]);
    assert_eq!(shown["decisions"][0]["text"], AGREED);
    assert_eq!(shown["title"], "The shop at shop-2 is lost");
    assert_eq!(shown["phases"][0]["title"], "Back to noon");
    assert_eq!(shown["steps"][1]["text"][0], AGREED);
    assert!(desk.ok(&["run", "show", "latest"]).contains(AGREED));
    assert!(desk.ok(&["run", "log", "latest"]).contains("agreed (Agree to noon) begins"));
    let made = desk.json(&code);
    assert_eq!(made["text"], AGREED);
    assert!(desk.ok(&code).contains(AGREED));
    // What was made before a step was changed was made for another thing.
    desk.put("worse.sh", "rm -rf /\n");
    desk.ok(&["run", "amend", "latest", "back", "--script", "worse.sh", "--why", "in a hurry"]);
    let approve = ["run", "approve", "latest", "agreed", "--as", "bea", "--code"];
    let with = |made: &Value| made["code"].as_str().unwrap().to_owned();
    desk.fails(&[&approve[..], &[&with(&made)]].concat(), 1, "code is not right");
    desk.put("better.sh", "echo \"$site $before\" >> \"$DESK_FILE\"\n");
    desk.ok(&["run", "amend", "latest", "back", "--script", "better.sh", "--why", "in peace"]);
    desk.ok(&["run", "pause", "latest", "--why", "to look"]);
    let said = desk.soter(&[&approve[..], &[&with(&desk.json(&code))]].concat());
    assert!(text(&said.stderr).contains(&format!("bea says yes to: {AGREED}")));
    expect(said, 0, "");
    // What was agreed to is carried out, and nothing else.
    desk.fails(&["run", "give", "latest", "before", "midnight"], 1, "stands in what was agreed to");
    desk.ok(&["run", "continue", "latest", "--why", "looked"]);
    let done = engine.wait_timeout(TIMEOUT).unwrap();
    let said = text(&done.stderr);
    expect(done, 0, &format!("{AGREED}\n"));
    assert!(!said.contains("${") && !said.contains(TOKEN), "{said}");
    assert_eq!(desk.lines("effects"), ["shop-2 noon"]);
}

#[test]
fn promises_count_from_the_disaster_that_was_named() {
    let desk = Desk::new(
        "services: { shop: { title: The shop, rto: 30 min } }\nscenarios:\n  lost:\n    rto: 1h\n    \
         loses: [shop]\n    phases:\n      - steps:\n          - { id: word, ask: Which?, starts: [shop] }\n",
    );
    let recover = ["recover", "lost", "--target", "drill.yaml", "--local"];
    let since = |when| [&recover[..], &["--since", when]].concat();
    desk.fails(&since("yesterday"), 2, "`yesterday` is no moment");
    desk.fails(&since("2999-01-01T00:00:00Z"), 2, "still to come");
    let mut engine = desk.start("here", &since("45 minutes ago"));
    desk.wait_for_step("word");
    let shown = desk.json(&["run", "show", "latest"]);
    let before = shown["disaster"]["before_ms"].as_u64().unwrap();
    assert!((2_700_000..2_760_000).contains(&before), "{before}");
    assert!(shown["services"][0]["expected_ms"].as_u64().unwrap() > before);
    assert_eq!(shown["services"][0]["verdict"], "late");
    let words = shown["disaster"]["words"].as_str().unwrap();
    assert!(words.contains(", 45 min before the run"), "{words}");
    let all = desk.ok(&["run", "show", "latest"]);
    assert!(all.contains("WILL IT BE BACK IN TIME, FROM THE DISASTER ON?"), "{all}");
    assert!(desk.ok(&["run", "log", "latest"]).contains("the disaster was at"));
    desk.ok(&["run", "answer", "latest", "word", "this"]);
    ended(&mut engine, 0, ", 45 min before the run");
    let shown = desk.json(&["run", "show", "latest"]);
    assert_eq!(shown["services"][0]["verdict"], "missed", "{shown}");
    // Without a word it counts from the beginning, and says so.
    let shown = desk.ok(&since("2020-01-01T00:00:00Z")[..5]
        .iter()
        .copied()
        .chain(["--dry-run"])
        .collect::<Vec<_>>());
    assert!(!shown.contains("disaster at"), "{shown}");
    assert!(desk.journal("here").contains("\"disaster\":\"20"));
}

#[test]
fn another_laptop_watches_the_copy_in_the_vault_and_changes_nothing() {
    let desk = desk();
    let (key, token) = (desk.path("keys/operator-1.key"), format!("token={TOKEN}"));
    let mut engine = desk.start("here", &recover(&key, &token));
    desk.wait_for_step("when");
    desk.ok(&["run", "answer", "latest", "when", "noon"]);
    desk.wait_for_step("agreed");
    let run = desk.json(&["run", "show", "latest"])["run"].as_str().unwrap().to_owned();
    let (url, other) = (desk.url(), desk.path("keys/operator-2.key"));
    let access = ["--vault", &url, "--identity", &other];
    let there = |words: &[&str], code, says: &str| {
        let done = desk.command("laptop", &[words, &access].concat()).run(TIMEOUT).unwrap();
        expect(done, code, says)
    };
    let shown = there(&["run", "show", "latest"], 0, "");
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for says in ["A COPY, read at ", &url, "its last record is ", AGREED, "nobody can tell whether"]
    {
        assert!(shown.contains(says), "{says}: {shown}");
    }
    let shown: Value =
        serde_json::from_str(&there(&["--json", "run", "show", &run, "agreed"], 0, "")).unwrap();
    assert_eq!((&shown["is"], &shown["text"][0]), (&"person".into(), &AGREED.into()));
    let shown: Value =
        serde_json::from_str(&there(&["--json", "run", "show", "lost"], 0, "")).unwrap();
    assert_eq!(
        (&shown["run"], &shown["engine"]["is"]),
        (&run.as_str().into(), &"elsewhere".into())
    );
    assert!(shown["copy_words"].as_str().unwrap().starts_with("A COPY"));
    let log = there(&["run", "log", &run], 0, "a copy of lost-");
    assert_eq!(log, desk.ok(&["run", "log", &run]));
    assert_eq!(there(&["--json", "run", "log", &run], 0, ""), desk.journal("here"));
    let rows = there(&["runs"], 0, "copies, read at ");
    assert!(rows.contains(&run) && rows.contains("when its last record was made on "), "{rows}");
    there(&["run", "show", "gone"], 2, "the vault has no run gone");
    // To the end, in lines.
    let mut watching =
        desk.start("laptop", &[&["run", "show", &run, "--watch"], &access[..]].concat());
    let mut following =
        desk.start("laptop", &[&["run", "log", &run, "--follow"], &access[..]].concat());
    let made = desk.json(&["run", "code", "latest", "agreed", "--as", "bea"]);
    let made = made["code"].as_str().unwrap();
    desk.ok(&["run", "approve", "latest", "agreed", "--as", "bea", "--code", made]);
    ended(&mut engine, 0, "");
    ended(&mut watching, 0, "DONE: every step is over");
    assert!(ended(&mut following, 0, "").contains("the run is over: success"));
    assert!(there(&["run", "show", &run], 0, "").contains("engine 1 on "));
    assert!(!std::path::Path::new(&desk.path("laptop")).exists(), "nothing was written there");
    let done =
        desk.command("laptop", &["run", "show", &run, "--vault", &url]).run(TIMEOUT).unwrap();
    expect(done, 2, "--identity operator.key");
}
