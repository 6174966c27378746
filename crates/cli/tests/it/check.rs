//! `soter check`, `explain` and `schema`, as somebody with a plan and no agent meets them.

mod schemas;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use soter_world::exec::{Command, Finished, Input, Output, Signal, Status};
use tempfile::TempDir;

use crate::lab::text;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A directory to check in.
struct Desk {
    directory: TempDir,
}

impl Desk {
    fn with(files: &[(&str, &str)]) -> Self {
        let desk = Self { directory: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            desk.put(name, text);
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // At once, as editors do: a reader sees the old text or the new one.
        let new = self.path(".new");
        fs::File::create(&new).unwrap().write_all(text.as_bytes()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test has nothing to lose")]
        fs::rename(new, path).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let soter = Command::new(env!("CARGO_BIN_EXE_soter")).args(arguments);
        soter.current_dir(self.directory.path())
    }

    fn soter(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).run(TIMEOUT).unwrap()
    }

    /// Runs it, expects this exit code, and gives what it printed.
    fn run(&self, code: i32, arguments: &[&str]) -> String {
        let done = self.soter(arguments);
        let (said, printed) = (text(&done.stderr), text(&done.stdout));
        assert_eq!(done.status, Status::Exited(code), "{arguments:?}\n{printed}\n{said}");
        printed
    }

    fn json(&self, code: i32, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(code, arguments)).unwrap()
    }
}

const WRONG: &str = "services:\n  web: { needs: [databse], rto: 1 h }\n  database: {}\n";

/// Only what the tests below look for.
const ONE: &[&str] = &["--only", "S00,S0102"];

fn codes(document: &Value) -> Vec<&str> {
    let findings = document["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn a_finding_is_printed_with_its_line_and_ends_with_one() {
    let desk = Desk::with(&[("plan.yaml", WRONG)]);
    let printed = desk.run(1, &[&["check", "plan.yaml"], ONE].concat());
    let expect = "\
error[S0102]: `web` needs `databse`, which is declared nowhere
 --> plan.yaml:2:18
  |
2 |   web: { needs: [databse], rto: 1 h }
  |                  ^^^^^^^ ";
    assert!(printed.starts_with(expect), "{printed}");
    assert!(printed.contains("  = help: did you mean `database`?\n"), "{printed}");
    assert!(printed.ends_with("`soter explain S0102` says more about a finding\n"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "{printed}");
}

#[test]
fn json_says_all_of_it() {
    let desk = Desk::with(&[("plan.yaml", WRONG)]);
    for format in [&["--format", "json"][..], &["--json"]] {
        let document = desk.json(1, &[&["check", "plan.yaml"], ONE, format].concat());
        let finding = &document["findings"][0];
        let keys: Vec<&str> = finding.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "hint", "proof", "severity", "spans", "title", "why"]);
        assert_eq!(finding["severity"], "error");
        let span = serde_json::json!({
            "file": "plan.yaml", "line": 2, "column": 18, "end_line": 2, "end_column": 25,
            "text": "databse",
        });
        assert_eq!(finding["spans"][0], span);
        assert_eq!(document["unread"], serde_json::json!([]));
    }
}

#[test]
fn what_is_denied_decides_the_exit_code() {
    let desk = Desk::with(&[("plan.yaml", WRONG), ("clean.yaml", "services: { web: {} }\n")]);
    desk.run(0, &["check", "plan.yaml", "--skip", "S01,S02,S03,S04,S05"]);
    desk.run(0, &["check", "clean.yaml", "--only", "S0102", "--deny", "note"]);
    desk.run(1, &["check", "plan.yaml", "--only", "s0102"]);
    desk.run(0, &["check", "plan.yaml", "--only", "S01", "--skip", "S01"]);
    let done = desk.soter(&["check", "plan.yaml", "--only", "S0999"]);
    assert_eq!(done.status, Status::Exited(2));
    assert!(text(&done.stderr).contains("soter explain"), "{}", text(&done.stderr));
}

#[test]
fn a_directory_is_one_plan_and_hidden_files_are_none() {
    let desk = Desk::with(&[
        ("plan/services.yaml", WRONG),
        ("plan/below/more.yml", "services: { databse: {} }\n"),
        ("plan/.git/config.yaml", "not: a plan\n"),
        ("plan/notes.txt", "words"),
        ("empty/notes.txt", "words"),
    ]);
    fn only<'a>(paths: &[&'a str]) -> Vec<&'a str> {
        [&["check"], paths, &["--only", "S00,S0102", "--json"]].concat()
    }
    assert_eq!(codes(&desk.json(0, &only(&["plan"]))), [""; 0]);
    // Files of one plan, named one by one.
    let files = ["plan/services.yaml", "plan/below/more.yml"];
    assert_eq!(codes(&desk.json(0, &only(&files))), [""; 0]);
    // Two directories are two plans.
    let (one, two) = (desk.path("plan"), desk.path("plan/below"));
    let both = [one.to_str().unwrap(), two.to_str().unwrap()];
    assert_eq!(codes(&desk.json(0, &only(&both))), [""; 0]);
    let done = desk.soter(&["check", "empty"]);
    assert_eq!(done.status, Status::Exited(2));
    assert!(text(&done.stderr).contains("has no plan in it"), "{}", text(&done.stderr));
}

#[test]
fn a_plan_in_several_files_is_one_for_every_command() {
    let key = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let vaults =
        format!("vaults:\n  main: {{ url: \"file:///srv/soter\", keys: {{ root: \"{key}\" }} }}\n");
    let stores = "stores:\n  orders: { kind: postgres, connection: user=soter, data_directory: /data, \
                  vaults: main }\n  notes: { kind: git }\n";
    let desk = Desk::with(&[("plan/vaults.yaml", &vaults), ("plan/stores.yaml", stores)]);
    let says = |plan: &str, words: &str| {
        let done = desk.soter(&["--plan", plan, "status", "nothing"]);
        assert_eq!(done.status, Status::Exited(2));
        let said = text(&done.stderr);
        assert!(said.contains(words), "{said}");
    };
    // The other store is none of Soter's business.
    says("plan", "its stores are: orders\n");
    says("plan/stores.yaml", "error[S0006]: `vaults` is missing");
    says("plan/vaults.yaml", "error[S0006]: `stores` is missing");
    says("nowhere", "soter init");
    desk.put("plan/stores.yaml", "stores:\n  notes: { kind: git }\n");
    says("plan", "no store of this plan is protected by Soter");
    desk.put("plan/stores.yaml", &stores.replace("user=soter", "password=hunter2"));
    says("plan", "a password stands in the plan");
}

#[test]
fn what_cannot_be_read_ends_with_two() {
    let desk = Desk::with(&[("broken.yaml", "a: [b\n"), ("empty.yaml", "")]);
    assert_eq!(codes(&desk.json(2, &["check", "broken.yaml", "--json"])), ["S0002"]);
    assert_eq!(codes(&desk.json(2, &["check", "empty.yaml", "--json"])), ["S0002"]);
    let mut old = fs::File::create(desk.path("old.yaml")).unwrap();
    old.write_all(b"a: m\xfcller\n").unwrap();
    assert_eq!(codes(&desk.json(2, &["check", "old.yaml", "--json"])), ["S0001"]);
    let done = desk.soter(&["check", "nowhere.yaml"]);
    assert_eq!(done.status, Status::Exited(2));
    assert!(text(&done.stderr).contains("nowhere.yaml"), "{}", text(&done.stderr));
}

#[test]
fn standard_input_is_a_plan() {
    let desk = Desk::with(&[("plan.yaml", WRONG)]);
    let file = fs::File::open(desk.path("plan.yaml")).unwrap();
    let check = desk.command(&["check", "-", "--json", "--only", "S0102"]);
    let done = check.stdin(Input::File(file)).run(TIMEOUT).unwrap();
    let document: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(done.status, Status::Exited(1));
    assert_eq!(document["findings"][0]["spans"][0]["file"], "stdin");
}

#[test]
fn a_watched_plan_is_checked_when_it_changes() {
    let desk = Desk::with(&[("plan.yaml", WRONG)]);
    let log = desk.path("watched.log");
    let written = Output::File(fs::File::create(&log).unwrap());
    let watch = desk.command(&["check", "plan.yaml", "--watch", "--only", "S0102"]);
    let mut child = watch.stdout(written).spawn().unwrap();
    let said = |words: &str| {
        soter_postgres::testing::wait_until(words, || {
            fs::read_to_string(&log).unwrap().contains(words)
        })
        .unwrap();
    };
    said("`web` needs `databse`");
    desk.put("plan.yaml", &WRONG.replace("databse", "datbase"));
    said("`web` needs `datbase`");
    said("mended  S0102: `web` needs `databse`");
    desk.put("plan.yaml", &WRONG.replace("databse", "database"));
    said("mended  S0102: `web` needs `datbase`");
    child.signal(Signal::Interrupt);
    let ended = child.wait_timeout(TIMEOUT).unwrap();
    assert_eq!(ended.status, Status::Exited(0), "{}", text(&ended.stderr));
}

#[test]
fn every_code_is_explained() {
    let desk = Desk::with(&[]);
    let list = desk.json(0, &["explain", "--json"]);
    let rules = list.as_array().unwrap();
    assert!(rules.len() > 13);
    for rule in rules {
        let code = rule["code"].as_str().unwrap();
        let page = desk.run(0, &["explain", code]);
        assert!(page.starts_with(&format!("{code}: ")), "{page}");
    }
    let done = desk.soter(&["explain", "S9999"]);
    assert_eq!(done.status, Status::Exited(2));
}
