//! What Soter prints for other programs is what they expect, and the schema of plans takes plans: a
//! second opinion, by Python's `jsonschema`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::exec::{Command, Status};

use super::Desk;
use crate::lab::text;
use crate::tidy::root;

const TIMEOUT: Duration = Duration::from_secs(60);

/// What the tool says against these files; none if there is no Python to run it.
fn complaints(schema: &Path, files: &[PathBuf]) -> Option<String> {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with jsonschema and PyYAML is here");
        eprintln!("scripts/install-test-tools installs them");
        return None;
    };
    let tool = Command::new(python).arg(root().join("tools/validate.py")).arg(schema).args(files);
    let done = tool.run(TIMEOUT).unwrap();
    assert!(matches!(done.status, Status::Exited(0 | 1)), "{}", text(&done.stderr));
    Some(text(&done.stdout))
}

/// The Python that `scripts/install-test-tools` made, or the system's, if it has what is needed.
fn python() -> Option<OsString> {
    let target = std::env::current_exe().ok()?.ancestors().nth(3)?.to_owned();
    let candidates = [target.join("python/bin/python").into_os_string(), "python3".into()];
    candidates.into_iter().find(|python| {
        let command = Command::new(python.clone()).args(["-c", "import jsonschema, yaml"]);
        command.run(TIMEOUT).is_ok_and(|done| done.status == Status::Exited(0))
    })
}

/// All files below a directory that end so.
fn below(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|path| if path.is_dir() { below(&path, ending) } else { vec![path] })
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

#[test]
fn sarif_is_what_its_schema_says() {
    let schema = root().join("crates/plan/tests/schemas/sarif-schema-2.1.0.json");
    let document = root().join("crates/plan/tests/documents/kosmos.md");
    let desk = Desk::with(&[
        ("my plan.yaml", "services: { a: { needs: [b], rto: 1 }, ä: {} }\ncredentials: 1\n"),
        ("clean.yaml", "services: { a: {} }\n"),
    ]);
    let inputs = [document.to_str().unwrap(), "my plan.yaml", "clean.yaml"];
    let logs = inputs.iter().enumerate().map(|(number, input)| {
        let done = desk.soter(&["check", input, "--format", "sarif"]);
        let log = desk.path(&format!("{number}.sarif"));
        fs::File::create(&log).unwrap();
        crate::lab::overwrite(&log, &done.stdout);
        log
    });
    let logs: Vec<PathBuf> = logs.collect();
    let Some(said) = complaints(&schema, &logs) else { return };
    assert_eq!(said, "");
    // The tool does complain.
    let wrong = desk.path("wrong.sarif");
    fs::File::create(&wrong).unwrap();
    let text = fs::read_to_string(&logs[1]).unwrap();
    crate::lab::overwrite(&wrong, text.replace("\"startLine\": ", "\"startLine\": -").as_bytes());
    assert_ne!(complaints(&schema, &[wrong]).unwrap(), "");
}

#[test]
fn sarif_results_point_to_rules_and_lines() {
    let desk = Desk::with(&[("my plan.yaml", "services:\n  a: { needs: [b] }\n")]);
    let log = desk.json(1, &["check", "my plan.yaml", "--only", "S0102", "--format", "sarif"]);
    let run = &log["runs"][0];
    let result = &run["results"][0];
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    let rule = &run["tool"]["driver"]["rules"][index];
    assert_eq!((&rule["id"], &result["ruleId"]), (&"S0102".into(), &"S0102".into()));
    assert!(rule["help"]["markdown"].as_str().unwrap().contains("3 AM"));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "my%20plan.yaml");
    let region = &place["region"];
    assert_eq!((&region["startLine"], &region["startColumn"]), (&2.into(), &16.into()));
    assert_eq!(result["level"], "error");
    assert_eq!(run["artifacts"][0]["location"]["uri"], "my%20plan.yaml");
}

#[test]
fn the_schema_takes_the_plans_that_the_reader_takes() {
    let schema = root().join("docs/schema/soter.schema.json");
    let plans = below(&root().join("examples"), ".yaml");
    assert!(plans.len() > 2);
    let Some(said) = complaints(&schema, &plans) else { return };
    assert_eq!(said, "");
    let desk = Desk::with(&[("wrong.yaml", "services: { web: { tire: critical } }\n")]);
    let said = complaints(&schema, &[desk.path("wrong.yaml")]).unwrap();
    assert!(said.contains("services/web"), "{said}");
}
