//! The plans in `examples/`: they are what the language looks like when it is used well, so nothing
//! may be found in them.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::{Date, date};

use crate::check::{Input, check, load};

/// The day the examples were looked at last; their dates count from it.
const AS_OF: Date = date(2026, 11, 23);

/// The files of an example, as `soter check` would read the directory.
pub(crate) fn example(name: &str) -> Vec<Input> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut paths = Vec::new();
    collect(&root.join(name), &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    paths.iter().map(|path| Input { name: name(path), bytes: fs::read(path).unwrap() }).collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            paths.push(path);
        }
    }
}

fn findings(name: &str) -> Vec<String> {
    let inputs = example(name);
    assert!(!inputs.is_empty(), "there are no files in {name}");
    let report = check(load(&inputs), AS_OF);
    let shown = report.findings.iter().map(|finding| {
        let origin = finding.origin();
        let file = report.sources.file(origin.file).unwrap();
        let line = file.place(origin.range().start).line;
        format!("{}:{line} {} {}", file.name, finding.code, finding.title)
    });
    let unread = report.unread.iter().map(|unread| format!("unread: {}", unread.why));
    shown.chain(unread).collect()
}

#[test]
fn nothing_is_found_in_the_example_for_kosmos() {
    assert_eq!(findings("kosmos"), Vec::<String>::new());
}

#[test]
fn nothing_is_found_in_the_small_example() {
    assert_eq!(findings("shop"), Vec::<String>::new());
}

#[test]
fn every_file_of_the_examples_says_where_its_schema_is() {
    for input in example("kosmos").iter().chain(&example("shop")) {
        let text = String::from_utf8(input.bytes.clone()).unwrap();
        let depth = input.name.matches('/').count() + 1;
        let schema = format!("$schema={}docs/schema/soter.schema.json", "../".repeat(depth));
        assert!(text.lines().next().unwrap().ends_with(&schema), "{}", input.name);
    }
}
