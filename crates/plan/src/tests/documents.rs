//! Three documents of other companies, written by somebody who did not know the rules, with lists of
//! what is wrong in them and of what only looks wrong.
//!
//! The rule it keeps: what is found stays found, and nothing is said of what is right. A finding that
//! is new is judged by a person and written into the list, with what it is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::{self, Input, Report};
use crate::language::Origin;

/// A document and its lists.
struct Case {
    name: &'static str,
    document: &'static str,
    /// Rows of known defects.
    defects: &'static str,
    /// Rows of what is right.
    traps: &'static str,
    /// `S0101@63 1`: a finding of that code at that line is about defect 1. Instead of a number:
    /// `true` (right, and on no list) or `debatable`.
    found: &'static str,
    /// How many defects the list has, and how many of them are found.
    known: usize,
    recall: usize,
}

const CASES: &[Case] = &[
    Case {
        name: "tessaline.md",
        document: include_str!("../../tests/documents/tessaline.md"),
        defects: include_str!("../../tests/documents/tessaline.defects.md"),
        traps: include_str!("../../tests/documents/tessaline.traps.md"),
        found: include_str!("../../tests/documents/tessaline.found.txt"),
        known: 35,
        recall: 13,
    },
    Case {
        name: "moorweg.md",
        document: include_str!("../../tests/documents/moorweg.md"),
        defects: include_str!("../../tests/documents/moorweg.defects.md"),
        traps: include_str!("../../tests/documents/moorweg.traps.md"),
        found: include_str!("../../tests/documents/moorweg.found.txt"),
        known: 35,
        recall: 12,
    },
    Case {
        name: "brennholm.md",
        document: include_str!("../../tests/documents/brennholm.md"),
        defects: include_str!("../../tests/documents/brennholm.defects.md"),
        traps: include_str!("../../tests/documents/brennholm.traps.md"),
        found: include_str!("../../tests/documents/brennholm.found.txt"),
        known: 30,
        recall: 23,
    },
];

/// So many findings may wait for somebody to judge them.
const UNJUDGED_MAX: usize = 3;

fn report(case: &Case) -> Report {
    let input = Input { name: case.name.to_owned(), bytes: case.document.as_bytes().to_vec() };
    check::check(check::load(&[input]), "2026-01-15".parse().unwrap())
}

fn line(report: &Report, origin: Origin) -> usize {
    report.sources.file(origin.file).unwrap().place(origin.range().start).line
}

/// `S0101@63` for each finding, with its title.
fn findings(report: &Report) -> BTreeMap<String, String> {
    let named = report.findings.iter().map(|finding| {
        let line = line(report, finding.origin());
        (format!("{}@{line}", finding.code), finding.title.clone())
    });
    named.collect()
}

/// The first cells of a table's counted rows: the number and the lines.
fn rows(table: &str) -> BTreeMap<usize, BTreeSet<usize>> {
    let listed = table.split("\n## ").next().unwrap();
    let cells = listed.lines().filter_map(|row| {
        let mut cells = row.trim_start_matches('|').split('|').map(str::trim);
        let number: usize = cells.next()?.parse().ok()?;
        let lines = cells.next()?.split(',').filter_map(|line| line.trim().parse().ok());
        Some((number, lines.collect()))
    });
    cells.collect()
}

/// What each pair of the list is about.
fn judged(case: &Case) -> BTreeMap<&str, &str> {
    let lines = case.found.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).collect()
}

#[test]
fn what_is_found_in_documents_of_others_stays_found() {
    for case in CASES {
        let found = findings(&report(case));
        let judged = judged(case);
        let lost: Vec<&&str> = judged.keys().filter(|pair| !found.contains_key(**pair)).collect();
        assert!(lost.is_empty(), "{}: not found any more: {lost:?}", case.name);
        let new: Vec<_> =
            found.iter().filter(|(pair, _)| !judged.contains_key(pair.as_str())).collect();
        assert!(new.len() <= UNJUDGED_MAX, "{}: judge these and list them: {new:#?}", case.name);
    }
}

#[test]
fn nothing_is_said_of_what_is_right() {
    for case in CASES {
        let judged = judged(case);
        let traps: BTreeSet<usize> = rows(case.traps).into_values().flatten().collect();
        assert!(traps.len() > 20, "{}: the list of traps is read", case.name);
        let report = report(case);
        let said: Vec<String> = report
            .findings
            .iter()
            .filter(|finding| traps.contains(&line(&report, finding.origin())))
            .map(|finding| format!("{}@{}", finding.code, line(&report, finding.origin())))
            .filter(|pair| !judged.contains_key(pair.as_str()))
            .collect();
        assert!(said.is_empty(), "{}: {said:?}", case.name);
    }
}

#[test]
fn the_defects_that_are_found_are_counted() {
    for case in CASES {
        let defects = rows(case.defects);
        assert_eq!(defects.len(), case.known, "{}: the list of defects is read", case.name);
        let numbers: BTreeSet<usize> =
            judged(case).values().filter_map(|about| about.parse().ok()).collect();
        assert!(numbers.iter().all(|number| defects.contains_key(number)), "{}", case.name);
        assert_eq!(numbers.len(), case.recall, "{}", case.name);
    }
}
