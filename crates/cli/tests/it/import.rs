//! `soter import`, as somebody with a document meets it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use soter_world::exec::{Command, Finished, Status};

use crate::lab::text;

const TIMEOUT: Duration = Duration::from_secs(60);

fn document() -> String {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    crates.join("plan/tests/documents/kosmos.md").to_str().unwrap().to_owned()
}

fn soter(directory: &Path, arguments: &[&str]) -> Finished {
    let soter = Command::new(env!("CARGO_BIN_EXE_soter")).args(arguments);
    soter.current_dir(directory).run(TIMEOUT).unwrap()
}

fn files(directory: &Path) -> Vec<String> {
    let list = |directory: &Path| -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let mut names = list(directory);
    names.sort();
    names
}

#[test]
fn a_document_becomes_the_files_of_a_plan_once() {
    let desk = tempfile::tempdir().unwrap();
    let document = document();
    let dry = soter(desk.path(), &["import", &document, "--out", "plan", "--dry-run"]);
    assert_eq!(dry.status, Status::Exited(0), "{}", text(&dry.stderr));
    assert!(text(&dry.stdout).contains("would write plan/services.yaml"));
    assert!(files(desk.path()).is_empty());

    let done = soter(desk.path(), &["import", &document, "--out", "plan"]);
    assert_eq!(done.status, Status::Exited(0), "{}", text(&done.stderr));
    let expect = [
        "drills.yaml",
        "people.yaml",
        "plan.yaml",
        "scenarios",
        "services.yaml",
        "soter.schema.json",
        "stores.yaml",
    ];
    assert_eq!(files(&desk.path().join("plan")), expect);
    assert_eq!(files(&desk.path().join("plan/scenarios")).len(), 4);

    // What it wrote is read without a mistake of the language, and checked.
    let arguments = ["check", "plan", "--only", "S00", "--deny", "note", "--as-of", "2026-01-01"];
    let checked = soter(desk.path(), &arguments);
    assert_eq!(checked.status, Status::Exited(0), "{}", text(&checked.stdout));

    let again = soter(desk.path(), &["import", &document, "--out", "plan"]);
    assert_eq!(again.status, Status::Exited(2));
    assert!(text(&again.stderr).contains("is there already"), "{}", text(&again.stderr));
}

#[test]
fn a_document_goes_to_standard_output() {
    let desk = tempfile::tempdir().unwrap();
    let printed = soter(desk.path(), &["import", &document()]);
    assert_eq!(printed.status, Status::Exited(0));
    let yaml = text(&printed.stdout);
    assert!(yaml.starts_with("# yaml-language-server: $schema=soter.schema.json\n"), "{yaml}");
    assert!(text(&printed.stderr).contains("places to decide"));
    let json = soter(desk.path(), &["--json", "import", &document()]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["files"][0]["text"].as_str().map(str::trim_end), Some(yaml.trim_end()));
    assert_eq!(json["unread"], 0);
}

#[test]
fn what_is_not_there_is_refused_with_a_hint() {
    let desk = tempfile::tempdir().unwrap();
    let done = soter(desk.path(), &["import", "missing.md"]);
    assert_eq!(done.status, Status::Exited(2), "{}", text(&done.stderr));
}
