use jiff::civil::date;

use super::*;
use crate::check::{Finding, Input, Report, check, load};

fn loaded(name: &str, text: &str) -> Loaded {
    load(&[Input { name: name.to_owned(), bytes: text.as_bytes().to_vec() }])
}

const REFERENCE: &str = include_str!("../../tests/documents/kosmos.md");

fn inputs(import: &Import) -> Vec<Input> {
    let files = import.files.iter();
    files.map(|file| Input { name: file.path.clone(), bytes: file.text.clone().into() }).collect()
}

#[test]
fn an_imported_plan_reads_without_a_mistake_and_says_the_same() {
    let document = loaded("plan.md", REFERENCE);
    let whole = import(&document);
    let split = import_split(&document);
    assert_eq!(whole.open_count, split.open_count);
    let read = load(&inputs(&whole));
    assert_eq!(read.findings, []);
    let split_read = load(&inputs(&split));
    assert_eq!(split_read.findings, []);
    let sorted = |plan: &Plan| {
        let mut names: Vec<String> = plan.scenarios.names().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(sorted(&split_read.plan), sorted(&read.plan));
    assert_eq!(read.plan.to_yaml().print(), completed(&document.plan).to_yaml().print());
}

#[test]
fn each_scenario_has_a_file_and_every_file_its_schema() {
    let split = import_split(&loaded("plan.md", REFERENCE));
    let paths: Vec<&str> = split.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "plan.yaml",
            "services.yaml",
            "stores.yaml",
            "people.yaml",
            "drills.yaml",
            "scenarios/single-node-failure.yaml",
            "scenarios/complete-cluster-loss.yaml",
            "scenarios/postgresql-database-corruption.yaml",
            "scenarios/ransomware-security-breach.yaml",
        ]
    );
    for file in &split.files {
        let up = if file.path.contains('/') { "../" } else { "" };
        let line = format!("# yaml-language-server: $schema={up}soter.schema.json\n");
        assert!(file.text.starts_with(&line), "{}", file.path);
    }
}

#[test]
fn a_person_is_asked_at_each_gap() {
    let text = &import(&loaded("plan.md", REFERENCE)).files[0].text;
    for asked in [
        "`Vector DB` is declared nowhere",
        "no copy of it is described",
        "where do `CF_TOKEN`, `ZONE_ID` come from?",
        "after how long without an answer",
        "how bad is it?",
        "who leads it?",
    ] {
        assert!(text.contains(&format!("# {OPEN}: ")) && text.contains(asked), "{asked}");
    }
    assert!(!text.contains("`TARGET_TIME`"), "a step sets it");
}

/// Rules that look at the words of a document, or say so only of one: what two tables promise, what
/// a word can mean, what nothing says.
const OF_DOCUMENTS: [&str; 3] = ["S0105", "S0108", "S0509"];

#[test]
fn the_findings_of_an_import_are_those_of_the_document_but_for_its_quick_reference() {
    let document = loaded("plan.md", REFERENCE);
    let imported = load(&inputs(&import_split(&document)));
    let day = date(2026, 1, 1);
    let places: Vec<Origin> =
        document.facts.snippets.iter().map(|snippet| snippet.script.origin()).collect();
    let in_snippet =
        |at: Origin| places.iter().any(|place| place.start <= at.start && at.end <= place.end);
    let before = check(document, day);
    let after = check(imported, day);
    let is_in = |found: &Finding, report: &Report| {
        report.findings.iter().any(|other| other.code == found.code && other.title == found.title)
    };
    let lost = before.findings.iter().filter(|found| {
        !is_in(found, &after) && !in_snippet(found.origin()) && !OF_DOCUMENTS.contains(&found.code)
    });
    let new = after.findings.iter().filter(|found| !is_in(found, &before));
    let titles = |found: &Finding| format!("{} {}", found.code, found.title);
    let (lost, new): (Vec<_>, Vec<_>) = (lost.map(titles).collect(), new.map(titles).collect());
    assert_eq!((lost, new), (Vec::<String>::new(), Vec::<String>::new()));
}

#[test]
fn what_was_not_understood_is_listed_first() {
    let text = "# Plan\n\n| Colour | Taste |\n|-|-|\n| red | sweet |\n";
    let import = import(&loaded("plan.md", text));
    let expect = "plan.md:3: no table is known with the columns Colour, Taste";
    assert!(import.files[0].text.contains(expect), "{}", import.files[0].text);
    assert_eq!(load(&inputs(&import)).findings, []);
}
