//! `soter doc` and `soter cheatsheet`, as somebody who prints them meets them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use soter_world::exec::{Command, Status};

use crate::lab::text;

const TIMEOUT: Duration = Duration::from_secs(60);

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// Runs it among the examples, expects this exit code, and gives what it printed and what it said.
fn soter(code: i32, arguments: &[&str]) -> (String, String) {
    let command = Command::new(env!("CARGO_BIN_EXE_soter")).args(arguments);
    let done = command.current_dir(examples()).run(TIMEOUT).unwrap();
    let (printed, said) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status, Status::Exited(code), "{arguments:?}\n{printed}\n{said}");
    (printed, said)
}

#[test]
fn a_plan_is_printed_and_names_its_digest_and_the_day() {
    let json = soter(0, &["doc", "kosmos", "--as-of", "2026-11-23", "--json"]).0;
    let json: Value = serde_json::from_str(&json).unwrap();
    let digest = json["digest"].as_str().unwrap();
    assert_eq!((digest.len(), &json["as_of"]), (64, &Value::from("2026-11-23")));
    let forms = [
        vec!["doc", "kosmos"],
        vec!["doc", "kosmos", "--format", "html"],
        vec!["cheatsheet", "kosmos"],
        vec!["cheatsheet", "kosmos", "--format", "html"],
    ];
    for mut arguments in forms {
        arguments.extend(["--as-of", "2026-11-23"]);
        let (printed, said) = soter(0, &arguments);
        let origin = format!("from plan {} as of 2026-11-23", digest.get(..16).unwrap());
        assert!(printed.contains(&origin) && printed.contains("The cluster is lost"), "{printed}");
        assert_eq!(said, "");
        assert_eq!(soter(0, &arguments).0, printed);
    }
}

#[test]
fn the_digest_does_not_depend_on_how_the_files_are_named() {
    let digest = |path: &str| {
        let json = soter(0, &["cheatsheet", path, "--json"]).0;
        serde_json::from_str::<Value>(&json).unwrap()["digest"].clone()
    };
    assert_eq!(digest("shop"), digest("shop/soter.yaml"));
    assert_eq!(digest("shop"), digest(examples().join("shop").to_str().unwrap()));
    assert_ne!(digest("shop"), digest("kosmos"));
}

#[test]
fn numbers_come_from_the_environment_of_whoever_prints() {
    let command = Command::new(env!("CARGO_BIN_EXE_soter"))
        .args(["cheatsheet", "shop", "--fill-contacts"])
        .env("SHOP_ON_CALL", "+30 210 0000000");
    let done = command.current_dir(examples()).run(TIMEOUT).unwrap();
    let (printed, said) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status, Status::Exited(0), "{said}");
    assert!(printed.contains("+30 210 0000000") && printed.contains("${env:SHOP_SECOND}"));
    assert!(said.contains("does not have SHOP_SECOND"), "{said}");
}

#[test]
fn nothing_is_made_of_a_plan_with_gaps_or_of_two_plans() {
    let broken = tempfile::tempdir().unwrap();
    let path = broken.path().join("soter.yaml");
    File::create(&path).unwrap().write_all(b"services: { a: { rto: 5 } }\n").unwrap();
    let (printed, said) = soter(2, &["doc", path.to_str().unwrap()]);
    assert_eq!(printed, "");
    assert!(said.contains("soter.yaml:1: ") && said.contains("soter check"), "{said}");
    let (_, said) = soter(2, &["cheatsheet", "shop", "kosmos"]);
    assert!(said.contains("2 plans are named") && said.contains("one document for each"), "{said}");
    let (_, said) = soter(2, &["doc", "shop", "--as-of", "yesterday"]);
    assert!(said.contains("--as-of"), "{said}");
}
