//! What people say to a run from other terminals and other machines.

use serde_json::Value;
use soter_world::exec::Child;

use super::{Desk, ended};

const PLAN: &str = r#"
people:
  ada: { title: Ada, approves_with: "${env:NOWHERE}" }
  bea: { title: Bea, approves_with: "${file:@/bea.secret}" }
  cleo: { title: Cleo }
teams:
  leads: { members: [ada, bea, cleo] }
scenarios:
  lost:
    parameters:
      since: { from: step, name: when, type: time }
    phases:
      - steps:
          - { id: when, ask: Since when? }
          - { id: agreed, approve: { by: [leads], text: Wipe it? } }
          - { id: wipe, run: 'echo "$since" >> "$DESK_FILE"' }
          - { id: by-hand, manual: Pull the plug. , destructive: true }
          - { id: seen, title: Look, verify: [{ title: the light is green, manual: Is it green? }] }
"#;

fn desk(plan: &str) -> Desk {
    let desk = Desk::with_vault("");
    let url = desk.url();
    let plan = plan.replace('@', &desk.path(""));
    desk.put("soter.yaml", &format!("{plan}vaults:\n  near: {{ url: \"{url}\" }}\n"));
    let file = desk.path("effects");
    for (name, kind) in [("drill", "drill"), ("real", "real")] {
        let text =
            format!("name: second site\nkind: {kind}\nenvironment: {{ DESK_FILE: {file} }}\n");
        desk.put(&format!("{name}.yaml"), &text);
    }
    desk
}

fn engine(desk: &Desk, more: &[&str]) -> Child {
    let key = desk.path("keys/operator-1.key");
    desk.start("here", &[&["recover", "lost", "--identity", &key], more].concat())
}

/// The code as somebody makes it on their own machine, which has the vault, a key and their secret.
fn code(desk: &Desk, run: &str, step: &str) -> String {
    let (url, key, secret) =
        (desk.url(), desk.path("keys/operator-2.key"), desk.path("bea.secret"));
    let made = ["--json", "run", "code", run, step, "--as", "bea", "--vault", &url];
    let made = [&made[..], &["--identity", &key, "--secret", &secret]].concat();
    let done = desk.command("laptop", &made).run(super::TIMEOUT).unwrap();
    let made: Value = serde_json::from_str(&super::expect(done, 0, "")).unwrap();
    assert_eq!((&made["kind"], &made["target"]), (&"REAL".into(), &"second site".into()));
    made["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_real_run_is_begun_with_a_word_and_approved_with_a_code_from_another_machine() {
    let desk = desk(PLAN);
    let key = desk.path("keys/operator-1.key");
    let recover = ["recover", "lost", "--target", "real.yaml", "--identity", &key];
    desk.fails(&recover, 2, "--confirm \"second site\"");
    desk.fails(&[&recover[..], &["--confirm", "first site"]].concat(), 2, "is not the name");
    let confirmed = [&recover[..], &["--confirm", "second site"]].concat();
    // Under a name that the plan does not know, who begins it could approve it under another.
    desk.fails(&[&confirmed[..], &["--as", "root"]].concat(), 2, "nobody called root");
    let mut engine = engine(&desk, &["--target", "real.yaml", "--confirm", "second site"]);
    desk.wait_for_step("when");
    let shown = desk.json(&["run", "show", "latest"]);
    let run = shown["run"].as_str().unwrap();
    let is = |what: &str| &shown[what]["is"];
    assert_eq!((is("engine"), is("mirror")), (&"here".into(), &"following".into()));
    let line = shown["decisions"][0]["commands"][0]["line"].as_str().unwrap();
    assert!(line.starts_with(&format!("soter run answer {run} when ")), "{line}");

    desk.fails(&["run", "answer", run, "when", "yesterday"], 1, "is not a moment");
    desk.ok(&["run", "answer", run, "when", "2030-01-01T00:00:00Z"]);
    desk.wait_for_step("agreed");
    let approve = ["run", "approve", run, "agreed", "--as"];
    desk.fails(&[&approve[..], &["bea"]].concat(), 2, "soter run code");
    desk.fails(&[&approve[..], &["bea", "--code", "AAAA-AAAA"]].concat(), 1, "code is not right");
    let made = code(&desk, run, "agreed");
    desk.fails(
        &[&approve[..], &["ada", "--code", &made]].concat(),
        1,
        "nobody knows a secret of ada",
    );
    desk.fails(
        &[&approve[..], &["cleo", "--code", &made]].concat(),
        1,
        "nobody knows a secret of cleo",
    );
    desk.ok(&[&approve[..], &["bea", "--code", &made.to_lowercase().replace('-', " ")]].concat());

    desk.wait_for_step("by-hand");
    desk.fails(&["run", "answer", run, "by-hand", "done"], 1, "second site");
    desk.ok(&["run", "answer", run, "by-hand", "second site"]);
    desk.wait_for_step("seen");
    desk.fails(&["run", "look", run, "wipe", "yes"], 2, "nobody is asked to look");
    desk.ok(&["run", "look", run, "seen", "yes", "--evidence", "green as grass", "--as", "cleo"]);
    ended(&mut engine, 0, "REAL on second site");
    assert_eq!(desk.lines("effects"), ["2030-01-01T00:00:00Z"]);
    let journal = desk.journal("here");
    assert!(journal.contains("green as grass") && !journal.contains("the secret of bea"));
    let run = desk.run_directory("here");
    let left: Vec<_> =
        ["inbox", "outbox"].iter().flat_map(|it| super::files(&run.join(it))).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_approval_is_signed_here_or_elsewhere_and_anybody_can_see_later_that_it_was() {
    let desk = Desk::with_vault("");
    let (like, made) = (desk.path("keys/operator-1.key"), desk.path("cleo.key"));
    let keygen = ["vault", "keygen", "agent", "--out", &made, "--like", &like];
    let signer = desk.json(&keygen)["signer"].as_str().unwrap().to_owned();
    let plan =
        PLAN.replace("{ title: Cleo }", &format!("{{ title: Cleo, signs_with: \"{signer}\" }}"));
    let plan = plan.replace('@', &desk.path(""));
    let (url, file) = (desk.url(), desk.path("effects"));
    desk.put("soter.yaml", &format!("{plan}vaults:\n  near: {{ url: \"{url}\" }}\n"));
    desk.put(
        "real.yaml",
        &format!("name: second site\nkind: real\nenvironment: {{ DESK_FILE: {file} }}\n"),
    );
    let mut engine = engine(&desk, &["--target", "real.yaml", "--confirm", "second site"]);
    desk.wait_for_step("when");
    let run = desk.json(&["run", "show", "latest"])["run"].as_str().unwrap().to_owned();
    desk.ok(&["run", "answer", &run, "when", "2030-01-01T00:00:00Z"]);
    desk.wait_for_step("agreed");

    desk.put("other.sh", "true");
    desk.ok(&["run", "amend", &run, "wipe", "--script", "other.sh", "--why", "not all of it"]);

    let approve = ["run", "approve", &run, "agreed", "--as"];
    let other = desk.path("keys/operator-2.key");
    desk.fails(&[&approve[..], &["cleo", "--key", &other]].concat(), 1, "signature is not right");
    desk.fails(&[&approve[..], &["ada", "--key", &made]].concat(), 1, "what ada signs with");
    // On a laptop that has the vault and the key; what it says is sent by chat.
    let code = ["--json", "run", "code", &run, "agreed", "--as", "cleo", "--vault", &url];
    let code = [&code[..], &["--identity", &other, "--key", &made]].concat();
    let code = desk.command("laptop", &code).run(super::TIMEOUT).unwrap();
    let code: Value = serde_json::from_str(&super::expect(code, 0, "")).unwrap();
    let sent = code["code"].as_str().unwrap();
    // Who says yes sees that it is not what the plan has.
    assert!(code["amended"][0].as_str().unwrap().starts_with("wipe: "), "{code}");
    desk.fails(&[&approve[..], &["bea", "--code", sent]].concat(), 1, "what bea signs with");
    desk.ok(&[&approve[..], &["cleo", "--code", sent]].concat());
    desk.wait_for_step("by-hand");
    desk.ok(&["run", "abort", &run, "--why", "that was it"]);
    ended(&mut engine, 1, "was given up");
    let journal = desk.run_directory("here").join("journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    assert!(text.contains(sent.rsplit(':').next().unwrap()), "the journal has the signature");
    let verified = desk.json(&["journal", "verify", &journal.display().to_string()]);
    assert_eq!(verified["whole"], true);
}

#[test]
fn a_code_is_worth_nothing_once_what_was_agreed_to_is_another_thing() {
    let desk = desk(PLAN);
    let real = ["--target", "real.yaml", "--confirm", "second site"];
    let mut first = engine(&desk, &real);
    desk.wait_for_step("when");
    let run = desk.json(&["run", "show", "latest"])["run"].as_str().unwrap().to_owned();
    desk.ok(&["run", "answer", &run, "when", "2030-01-01T00:00:00Z"]);
    desk.wait_for_step("agreed");
    let made = code(&desk, &run, "agreed");
    // Another value, another engine, another step: each makes another code.
    desk.ok(&["run", "give", &run, "since", "2031-01-01T00:00:00Z"]);
    let approve = ["run", "approve", &run, "agreed", "--as", "bea", "--code"];
    desk.fails(&[&approve[..], &[&made]].concat(), 1, "code is not right");
    let made = code(&desk, &run, "agreed");
    first.kill();
    first.wait_timeout(super::TIMEOUT).unwrap();
    let mut second = desk.start("here", &["run", "resume", &run]);
    desk.wait_for("here", "\"type\":\"engine\"");
    desk.fails(&[&approve[..], &[&made]].concat(), 1, "code is not right");
    let made = code(&desk, &run, "agreed");
    desk.ok(&[&approve[..], &[&made]].concat());
    desk.ok(&["run", "abort", &run, "--why", "enough was tried"]);
    ended(&mut second, 1, "was given up");
}

#[test]
fn a_plan_that_was_changed_makes_another_code_of_the_same_words() {
    let plan = PLAN
        .replace("    parameters:\n      since: { from: step, name: when, type: time }\n", "")
        .replace("          - { id: when, ask: Since when? }\n", "")
        .replace("echo \"$since\"", "echo now");
    let desk = desk(&plan);
    let real = ["--target", "real.yaml", "--confirm", "second site"];
    let mut one = engine(&desk, &real);
    desk.wait_for_step("agreed");
    let run = desk.json(&["run", "show", "latest"])["run"].as_str().unwrap().to_owned();
    let made = code(&desk, &run, "agreed");
    one.kill();
    one.wait_timeout(super::TIMEOUT).unwrap();
    desk.put(
        "soter.yaml",
        &format!(
            "{}vaults:\n  near: {{ url: \"{}\" }}\n",
            plan.replace('@', &desk.path("")).replace("echo now", "rm -rf /"),
            desk.url()
        ),
    );
    let key = desk.path("keys/operator-1.key");
    let recover = [&["recover", "lost", "--identity", &key], &real[..]].concat();
    let mut other = desk.start("here", &recover);
    soter_postgres::testing::wait_until("the other run asks", || {
        let shown = desk.json(&["run", "show", "latest"]);
        let decisions = shown["decisions"].as_array().unwrap().len();
        shown["engine"]["is"] == "here" && decisions == 1
    })
    .unwrap();
    let approve = ["run", "approve", "latest", "agreed", "--as", "bea", "--code", &made];
    desk.fails(&approve, 1, "code is not right");
    desk.ok(&["run", "abort", "latest", "--why", "that was it"]);
    ended(&mut other, 1, "was given up");
}

#[test]
fn breaking_the_glass_is_possible_and_must_be_looked_at_before_the_end() {
    let desk = desk(
        "scenarios:\n  lost:\n    phases:\n      - steps:\n          \
         - { id: agreed, approve: { by: [bea], text: Go?, within: 1s } }\n",
    );
    let real = ["--target", "real.yaml", "--confirm", "second site"];
    let key = desk.path("keys/operator-1.key");
    let recover = [&["recover", "lost", "--identity", &key], &real[..]].concat();
    desk.fails(&recover, 2, "too few codes can be checked here for the step `agreed`");
    assert_eq!(desk.ok(&["runs"]).trim(), "there is no run here", "nothing was begun");
    let mut engine = engine(&desk, &[&real[..], &["--break-glass"]].concat());
    // Nobody says anything in time.
    desk.wait_for("here", "not enough people agreed within 1 s");
    desk.fails(&["run", "skip", "latest", "agreed", "--why", "no"], 1, "not stepped over");
    desk.ok(&["run", "retry", "latest", "agreed"]);
    desk.ok(&["run", "approve", "latest", "agreed", "--break-glass"]);
    desk.wait_for("here", "still in place");
    let shown = desk.json(&["run", "show", "latest"]);
    let obligations = shown["obligations"].as_array().unwrap();
    assert_eq!(obligations.len(), 1);
    assert_eq!(obligations[0]["name"], "break-glass-agreed");
    desk.ok(&["run", "lift", "latest", "break-glass-agreed", "--why", "bea was told"]);
    ended(&mut engine, 0, "break-glass");
}

#[test]
fn a_step_that_fails_is_amended_tried_again_left_out_or_said_to_be_done() {
    let desk = desk(
        "scenarios:\n  lost:\n    phases:\n      - steps:\n          \
         - { id: one, run: 'exit 3' }\n          - { id: two, run: 'exit 4' }\n          \
         - { id: three, run: 'echo 3 >> \"$DESK_FILE\"', obliges: [door], verify: [{ title: never, run: 'exit 1', within: 100 ms }] }\n          \
         - { id: four, run: 'true', lifts: [door] }\n",
    );
    let mut engine = engine(&desk, &["--target", "drill.yaml"]);
    desk.wait_for("here", "`one` failed");
    desk.fails(&["run", "retry", "latest", "two"], 1, "has not failed");
    desk.put("better.sh", "echo 1 >> \"$DESK_FILE\"\n");
    desk.ok(&["run", "amend", "latest", "one", "--script", "better.sh", "--why", "a slip"]);
    desk.ok(&["run", "retry", "latest", "one"]);
    desk.wait_for("here", "`two` failed");
    desk.fails(&["run", "skip", "latest", "two", "--why", " "], 1, "say why");
    desk.ok(&["run", "skip", "latest", "two", "--why", "not needed in a drill"]);
    desk.wait_for("here", "`three` failed");
    let plan = std::fs::read_to_string(desk.path("soter.yaml")).unwrap();
    desk.put("soter.yaml", &plan.replace("run: 'exit 1'", "run: 'true'"));
    desk.ok(&["run", "amend", "latest", "three", "--why", "the question was wrong"]);
    desk.ok(&["run", "retry", "latest", "three", "--verification"]);
    ended(&mut engine, 0, "four");
    assert_eq!(desk.lines("effects"), ["1", "3"]);
    desk.fails(&["run", "resolve", "latest", "one", "done", "--why", "x"], 2, "no engine carries");
}

#[test]
fn a_pause_holds_a_run_until_somebody_lets_it_go_on() {
    let desk = desk(
        "scenarios:\n  lost:\n    phases:\n      - steps:\n          \
         - { id: one, ask: Which? }\n          - { id: two, run: 'true' }\n",
    );
    let mut engine = engine(&desk, &["--target", "drill.yaml"]);
    desk.wait_for_step("one");
    desk.ok(&["run", "pause", "latest", "--why", "lunch"]);
    desk.ok(&["run", "answer", "latest", "one", "this"]);
    let shown = desk.json(&["run", "show", "latest"]);
    assert_eq!(
        (&shown["life"]["words"], &shown["steps"][1]["attempt"]),
        (&"PAUSED by a person: lunch".into(), &0.into())
    );
    desk.ok(&["run", "continue", "latest", "--why", "fed"]);
    ended(&mut engine, 0, "PAUSED by a person: lunch");
}

#[test]
fn a_secret_is_in_no_journal_so_the_engine_that_goes_on_is_given_it_again() {
    let desk = desk(
        "scenarios:\n  lost:\n    parameters:\n      token: { from: ask, type: secret }\n    \
         phases:\n      - steps:\n          - { id: one, ask: Which? }\n          \
         - { id: two, run: 'test \"${token}\" = hunter2-\"and-more\"; echo two >> \"$DESK_FILE\"' }\n",
    );
    let token = format!("token={}", super::TOKEN);
    desk.fails(&["recover", "lost", "--target", "drill.yaml", "--local"], 2, "at a terminal");
    let mut first = engine(&desk, &["--target", "drill.yaml", "--param", &token]);
    desk.wait_for_step("one");
    first.kill();
    let said = first.wait_timeout(super::TIMEOUT).unwrap();
    assert!(crate::lab::text(&said.stderr).contains("where others may read it"));
    let key = desk.path("keys/operator-1.key");
    let again = ["recover", "lost", "--target", "drill.yaml", "--identity", &key, "--dry-run"];
    assert!(desk.ok(&[&again[..], &["--param", &token]].concat()).contains("is not over"));
    let mut second = desk.start("here", &["run", "resume", "latest"]);
    desk.wait_for("here", "\"type\":\"engine\"");
    desk.ok(&["run", "answer", "latest", "one", "this"]);
    desk.wait_for("here", "`two` failed");
    desk.ok(&["run", "give", "latest", "token", super::TOKEN]);
    desk.ok(&["run", "retry", "latest", "two"]);
    ended(&mut second, 0, "no value is known of: token");
    assert_eq!(desk.lines("effects"), ["two"]);
    assert!(!desk.journal("here").contains(super::TOKEN));
    // The same by an option, without a word in between.
    std::fs::remove_dir_all(desk.path("here")).unwrap();
    let mut first = engine(&desk, &["--target", "drill.yaml", "--param", &token]);
    desk.wait_for_step("one");
    first.kill();
    first.wait_timeout(super::TIMEOUT).unwrap();
    let mut second = desk.start("here", &["run", "resume", "latest", "--param", &token]);
    desk.wait_for("here", "\"type\":\"engine\"");
    desk.ok(&["run", "answer", "latest", "one", "that"]);
    ended(&mut second, 0, "closed it");
    assert_eq!(desk.lines("effects"), ["two", "two"]);
}
