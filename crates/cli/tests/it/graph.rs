//! `soter graph`, `what-if` and `objectives`, on a small plan.

use std::io::Write;
use std::path::PathBuf;

use soter_world::exec::{Command, Status};

const PLAN: &str = "\
tiers: { critical: { title: Critical }, other: { title: Other <ones> } }
domains: { cluster: {}, office: { accepted: by the board } , bucket: {} }
services:
  orders: { title: Orders & more, tier: critical, rto: 2 h, rpo: 5 min, state: [orders], domains: [cluster], start: 2 min }
  api: { tier: critical, rto: 1 h, needs: [orders], domains: [cluster] }
  reports: { tier: other, rto: 8 h, needs: [api] }
stores:
  orders: { kind: postgres, size: 10 GiB, domains: [cluster], copies: [{ method: dump, every: daily, to: far }] }
vaults: { far: { url: \"s3://far/\", domains: [bucket] } }
scenarios:
  loss:
    title: The cluster is lost
    rto: 3 h
    loses: [cluster]
    phases:
      - { title: Machines, budget: 20 min, steps: [{ manual: order them }] }
      - { title: Data, budget: 30 min, steps: [{ restore: { store: orders } }] }
";

/// The plan in a directory of its own.
fn plan() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("soter.yaml");
    std::fs::File::create(&path).unwrap().write_all(PLAN.as_bytes()).unwrap();
    (directory, path)
}

fn soter(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_soter"))
        .args(words)
        .run(std::time::Duration::from_secs(20))
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = match output.status {
        Status::Exited(code) => code,
        Status::Signaled(signal) => panic!("ended by {signal:?}"),
    };
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn the_graph_shows_slack_and_the_critical_path() {
    let (_directory, path) = plan();
    let path = path.to_str().unwrap();
    let (code, text, _) = soter(&["graph", path]);
    assert_eq!(code, 0);
    for expected in ["── Critical ", "● critical path: orders → api → reports", "-1 h ✗", "~5m25s"]
    {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let (_, svg, _) = soter(&["graph", path, "--format", "svg"]);
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("Orders &amp; more") && svg.contains("Other &lt;ones&gt;"), "{svg}");
    let (_, dot, _) = soter(&["graph", path, "--format", "dot"]);
    assert!(dot.contains("\"api\" -> \"orders\" [style=bold];"), "{dot}");
    let (_, json, _) = soter(&["graph", path, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["tiers"][0]["services"][1]["slack_seconds"], -3600);
    assert_eq!(json["critical_path"][2], "reports");
}

#[test]
fn what_if_says_who_comes_back_when_and_with_what_loss() {
    let (_directory, path) = plan();
    let path = path.to_str().unwrap();
    let (code, text, _) = soter(&["what-if", path, "--lose", "cluster"]);
    assert_eq!(code, 0);
    for expected in
        ["recovered too late", "The cluster is lost", "~1h8m ✗", "between two dumps in far"]
    {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let (_, json, _) = soter(&["what-if", path, "--all", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let verdict = |names: &[&str]| {
        let rows = json["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["lost"] == serde_json::json!(names)).unwrap();
        row["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict(&["bucket"]), "unharmed");
    assert_eq!(verdict(&["cluster"]), "late");
    assert_eq!(verdict(&["bucket", "cluster"]), "data-gone");
    let (code, _, words) = soter(&["what-if", path, "--lose", "moon"]);
    assert_eq!(code, 2);
    assert!(words.contains("it has: bucket, cluster, office"), "{words}");
}

#[test]
fn objectives_say_what_decides_and_what_is_assumed() {
    let (_directory, path) = plan();
    let path = path.to_str().unwrap();
    let (code, text, _) = soter(&["objectives", path]);
    assert_eq!(code, 0);
    for expected in
        ["promised 3 h", "needs Orders & more", "Data, step 1", "restore_rate 50 MiB/s (taken)"]
    {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let (_, json, _) = soter(&["objectives", path, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let orders = &json["scenarios"][0]["services"][0];
    // 5 + 10 + 20 + 30 + 2 minutes.
    assert_eq!(orders["computed_seconds"], 67 * 60);
    assert_eq!(orders["assumptions"], serde_json::json!(["detect", "declare"]));
    assert_eq!(json["scenarios"][0]["stores"][0]["computed_seconds"], 86_400);
}
