use insta::assert_snapshot;
use jiff::civil::date;

use super::*;
use crate::check::{Input, Report, Severity, Unread, check, load};
use crate::language::{FileId, Origin, Sources};
use crate::rules;

fn place(sources: &Sources, file: FileId, text: &str) -> Origin {
    let whole = &sources.file(file).unwrap().text;
    let at = whole.find(text).unwrap_or_else(|| panic!("{text} is not in {whole}"));
    Origin::new(file, at..at + text.len())
}

/// A report on two files, with all that a finding can have.
fn report() -> Report {
    let mut sources = Sources::default();
    let plan = "services:\n\tgateway: { needs: zeus, rto: 15 min }  # 日本 e\u{301}\n  zeus:\n    \
                rto: 30 min\n    token: swordfish\n";
    let plan = sources.add("plan.yaml", plan, &[]);
    let document = sources.add("docs/my plan.md", "| PostgreSQL | RTO 1 h |\n\nwords\n", &[]);
    let found = |severity, title: &str, labels| Finding {
        code: "S0102",
        severity,
        title: title.to_owned(),
        labels,
        why: "the gateway answers only when `zeus` does: what it promises earlier is a promise \
              that nobody can keep"
            .to_owned(),
        hint: Some("give `gateway` at least 30 min, or make `zeus` faster".to_owned()),
        proof: Some("gateway 15 min < zeus 30 min".to_owned()),
    };
    let label = |file, at: &str, text: &str| Label {
        origin: place(&sources, file, at),
        text: text.to_owned(),
    };
    let findings = vec![
        found(
            Severity::Error,
            "`gateway` is promised before `zeus`",
            vec![
                label(plan, "rto: 15 min", "promised here"),
                label(plan, "rto: 30 min", "back no earlier"),
                label(document, "RTO 1 h", "and here another number"),
            ],
        ),
        found(
            Severity::Warning,
            "many lines",
            vec![label(
                plan,
                "gateway: { needs: zeus, rto: 15 min }  # 日本 e\u{301}\n  zeus:",
                "",
            )],
        ),
        found(
            Severity::Note,
            "token: swordfish",
            vec![label(plan, "swordfish", "password=swordfish")],
        ),
    ];
    let unread = vec![Unread {
        origin: place(&sources, document, "words"),
        why: "no heading says what this is".to_owned(),
    }];
    Report::new(sources, findings, unread)
}

#[test]
fn text_looks_as_compilers_print_it() {
    assert_snapshot!(text(&report(), Paper { width: 72, colour: false }));
}

#[test]
fn colours_are_for_terminals() {
    let plain = text(&report(), Paper::PLAIN);
    let colour = text(&report(), Paper { colour: true, ..Paper::PLAIN });
    assert!(!plain.contains('\u{1b}'));
    assert!(colour.contains("\u{1b}[1m"), "{colour:?}");
}

#[test]
fn no_form_shows_a_secret() {
    let report = report();
    let json = serde_json::to_string(&json(&report)).unwrap();
    let sarif = sarif(&report, Tool { version: "1.0.0" }).to_string();
    for shown in [text(&report, Paper::PLAIN), json, sarif] {
        assert!(!shown.contains("swordfish"), "{shown}");
        assert!(shown.contains("*********"), "{shown}");
    }
}

#[test]
fn json_has_these_keys_in_this_order() {
    let mut report = report();
    report.findings.truncate(1);
    assert_snapshot!(serde_json::to_string_pretty(&json(&report)).unwrap());
}

#[test]
fn lines_that_are_data_are_told_and_not_quoted() {
    let mut sources = Sources::default();
    let line = format!("{}here{}", "x".repeat(20_000), "y".repeat(20_000));
    let file = sources.add("data.yaml", &line, &[]);
    let origin = place(&sources, file, "here");
    let rule = rules::find("S0008").unwrap();
    let found = Finding::new(rule, origin, "something").here("the label");
    let shown = finding(&sources, &found, Paper::PLAIN);
    assert!(shown.contains("--> data.yaml:1:20001"), "{shown}");
    assert!(shown.contains("the label") && shown.len() < 500, "{shown}");

    let line = format!("{}here{}", "x".repeat(2000), "y".repeat(2000));
    let file = sources.add("long.yaml", &line, &[]);
    let found = Finding::new(rule, place(&sources, file, "here"), "something").here("the label");
    let shown = finding(&sources, &found, Paper::PLAIN);
    assert!(shown.contains("xxherey"), "{shown}");
    assert!(shown.lines().take(4).all(|line| line.len() <= 80), "{shown}");
}

#[test]
fn a_fingerprint_outlives_lines_put_above_it() {
    let prints = |text: &str| {
        let input = Input { name: "a.yaml".to_owned(), bytes: text.into() };
        let report = check(load(&[input]), date(2026, 1, 1));
        let prints: Vec<_> =
            report.findings.iter().map(|found| fingerprint(&report.sources, found)).collect();
        prints
    };
    let before = prints("services: { a: { needs: b } }\n");
    assert!(!before.is_empty());
    assert_eq!(before, prints("# a comment\n\nservices: { a: { needs: b } }\n"));
    assert_ne!(before, prints("services: { a: { needs: c } }\n"));
}

#[test]
fn two_plans_are_one_report() {
    let mut first = report();
    let second = report();
    first.join(second.clone());
    assert_eq!(first.findings.len(), 2 * second.findings.len());
    assert_eq!(first.sources.files().count(), 4);
    let moved = first.findings.last().unwrap().origin();
    assert_eq!(first.sources.text(moved), "swordfish");
    assert_eq!(moved.file, first.sources.files().nth(2).unwrap().0);
}

#[test]
fn pages_are_shown_without_their_signs() {
    let rule = rules::find("S0102").unwrap();
    let shown = page(rule, Paper::PLAIN);
    assert!(shown.starts_with("S0102: a name that is declared nowhere\n"), "{shown}");
    assert!(!shown.contains("**") && shown.contains("\n    services:\n"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let list = rules(Paper::PLAIN);
    for rule in rules::all() {
        assert!(list.contains(rule.code), "{}", rule.code);
    }
}

#[test]
fn a_run_on_what_cannot_be_read_is_no_success_in_sarif() {
    let success = |bytes: &[u8]| {
        let input = Input { name: "soter.yaml".to_owned(), bytes: bytes.to_vec() };
        let report = check(load(&[input]), date(2026, 1, 1));
        let log = sarif(&report, Tool { version: "1.0.0" });
        log["runs"][0]["invocations"][0]["executionSuccessful"].as_bool().unwrap()
    };
    assert!(success(b"services: { a: { needs: [b] } }"));
    assert!(!success(b"services: [\xff"));
}
