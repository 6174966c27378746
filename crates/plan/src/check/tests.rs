//! The compiler as a whole: files in, findings out.

mod inputs;
mod properties;

use jiff::civil::date;

use super::*;

fn checked(text: &str) -> Report {
    let input = Input { name: "soter.yaml".to_owned(), bytes: text.as_bytes().to_vec() };
    check(load(&[input]), date(2026, 1, 1))
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_need_that_is_declared_nowhere_is_found_and_a_declared_one_is_not() {
    let report = checked("services:\n  a: { needs: [b, datebase] }\n  b: {}\n  database: {}\n");
    assert_eq!(codes(&report), ["S0102"]);
    let found = &report.findings[0];
    assert_eq!(report.sources.text(found.origin()), "datebase");
    assert_eq!(found.hint.as_deref(), Some("did you mean `database`?"));
}

#[test]
fn two_files_are_one_plan() {
    let file = |name: &str, text: &str| Input { name: name.to_owned(), bytes: text.into() };
    let inputs = [
        file("a.yaml", "services: { a: { needs: b } }"),
        file("b.yaml", "services: { b: {}, a: {} }"),
    ];
    let report = check(load(&inputs), date(2026, 1, 1));
    assert_eq!(codes(&report), ["S0004"]);
    assert_eq!(report.findings[0].origin().file, report.sources.files().nth(1).unwrap().0);
}
