//! Files that are bad in the ways people make them bad: each is a finding at its place, never a stop.

use super::{checked, codes};
use crate::check::{Input, Report, check, load};
use crate::tree::PLAN_BYTES_MAX;

fn report(bytes: &[u8]) -> Report {
    let input = Input { name: "soter.yaml".to_owned(), bytes: bytes.to_vec() };
    check(load(&[input]), super::date(2026, 1, 1))
}

/// The one finding of a file: its code, the text it points at, its title and its hint.
fn only(text: &str) -> (&'static str, String, String, String) {
    let report = checked(text);
    assert_eq!(report.findings.len(), 1, "{text:?}: {:#?}", report.findings);
    let found = &report.findings[0];
    let at = report.sources.text(found.origin()).to_owned();
    (found.code, at, found.title.clone(), found.hint.clone().unwrap_or_default())
}

#[test]
fn what_is_not_text() {
    let cases: [(&[u8], u32, &str); 5] = [
        (b"plan: { title: Sch\xe4den }", 18, "save the file as UTF-8"),
        (b"\xff\xfep\0l\0a\0n\0", 0, "the file is UTF-16: save it as UTF-8"),
        (b"\xfe\xff\0p\0l", 0, "the file is UTF-16: save it as UTF-8"),
        (b"\x1f\x8b\x08\x00\x00", 1, "save the file as UTF-8"),
        (b"plan: { title: \xed\xa0\x80 }", 15, "save the file as UTF-8"),
    ];
    for (bytes, at, hint) in cases {
        let report = report(bytes);
        let found = &report.findings[0];
        assert_eq!(found.code, "S0001", "{bytes:?}");
        assert_eq!(found.origin().start, at, "{bytes:?}");
        assert_eq!(found.hint.as_deref(), Some(hint));
    }
}

#[test]
fn what_is_too_large() {
    let report = report(&vec![b'#'; PLAN_BYTES_MAX + 1]);
    assert_eq!(codes(&report), ["S0001"]);
    assert!(report.findings[0].title.ends_with("a plan has at most 16 MiB"));
}

/// What the file says, the code, what the finding points at, and a part of what it hints.
const CASES: &[(&str, &str, &str, &str)] = &[
    // Keys that stand twice.
    ("plan: { title: a }\nplan: { title: b }", "S0004", "plan", "the first one is in line 1"),
    ("services: { a: {}, b: {}, a: {} }", "S0004", "a", "the first one is in line 1"),
    ("services:\n  a:\n    rto: 1 h\n    rto: 2 h\n", "S0004", "rto", "the first one is in line 3"),
    // What YAML has and the language does not.
    ("services: { a: &x {}, b: {} }", "S0003", "{", "remove the anchor"),
    ("plan: { title: *x }", "S0003", "*x", "write the value out"),
    ("plan: { title: !!str a }", "S0003", "!!str", "remove the tag"),
    ("services: { a: { <<: {} } }", "S0003", "<<", "write the keys out"),
    ("%YAML 1.2\n---\nplan: { title: a }", "S0003", "", "remove the line"),
    ("plan: { title: a }\n---\nplan: { title: b }", "S0002", "---", "split the file"),
    // Slips of form.
    ("services:\n\ta: {}\n", "S0002", "", "not with tabs"),
    ("services:\n  a:\n\t  rto: 1 h\n", "S0002", "", "not with tabs"),
    ("services: { a: {}", "S0002", "", "close the bracket"),
    ("plan: { title: \"a }", "S0002", "", "close the quote"),
    ("", "S0002", "", "soter init"),
    ("# nothing yet\n", "S0002", "", "soter init"),
    // Keys and names.
    ("services: { a: { tire: critical } }", "S0005", "tire", "did you mean `tier`?"),
    ("service: { a: {} }", "S0005", "service", "did you mean `services`?"),
    ("plan: { colour: red }", "S0005", "colour", "its keys are title"),
    ("services: { My Service: {} }", "S0008", "My Service", "small letters"),
    ("stores: { a: {} }", "S0006", "", "add `kind: postgres`"),
    ("drills: { a: { kind: fulll } }", "S0008", "fulll", "did you mean `full`?"),
    (
        "drills: { a: { kind: rehearsal } }",
        "S0008",
        "rehearsal",
        "tabletop, restore, failover, full",
    ),
    // Shapes.
    ("services: a", "S0007", "services", ""),
    ("services: [a, b]", "S0007", "services", ""),
    ("plan: { title: [a] }", "S0007", "title", ""),
    ("plan: { title: }", "S0007", "", ""),
    ("plan: { title: \"\" }", "S0008", "\"\"", "leave the key out"),
    // Values with units.
    ("services: { a: { rto: 15 } }", "S0008", "15", "15 min"),
    ("services: { a: { rto: 15 minutos } }", "S0008", "15 minutos", "units are ms, s, min"),
    ("services: { a: { rto: 30m1h } }", "S0008", "30m1h", "largest first"),
    ("services: { a: { rto: 1 month } }", "S0008", "1 month", "write days"),
    ("services: { a: { rto: P1M } }", "S0008", "P1M", "write days"),
    ("services: { a: { rto: soon } }", "S0008", "soon", "a number and a unit"),
    ("services: { a: { rto: -5 min } }", "S0008", "-5 min", "a number and a unit"),
    ("services: { a: { rto: \"1,5 h\" } }", "S0008", "\"1,5 h\"", "a number and a unit"),
    ("services: { a: { rto: 15 MiB } }", "S0008", "15 MiB", "units are ms, s, min"),
    ("stores: { a: { kind: git, size: 40 } }", "S0008", "40", "16 MiB"),
    ("stores: { a: { kind: git, size: 40 gigs } }", "S0008", "40 gigs", "units are B, KiB"),
    ("stores: { a: { kind: git, restore_rate: 50 MiB } }", "S0008", "50 MiB", "100 MiB/s"),
    ("assumptions: { margin: 10 }", "S0008", "10", "20 %"),
    ("plan: { updated: 13.12.2025 }", "S0008", "13.12.2025", "year-month-day"),
    ("plan: { updated: 2025-02-30 }", "S0008", "2025-02-30", "year-month-day"),
    ("plan: { review_every: sometimes }", "S0008", "sometimes", "quarterly"),
    ("services: { a: { survives: two } }", "S0008", "two", "digits only"),
    ("services: { a: { external: maybe } }", "S0008", "maybe", "yes or no"),
];

#[test]
fn every_bad_file_is_a_finding_at_its_place() {
    for (text, code, at, hint) in CASES {
        let report = checked(text);
        let found = report.findings.iter().find(|finding| finding.code == *code);
        let found = found.unwrap_or_else(|| panic!("{text:?}: {:#?}", report.findings));
        let pointed = report.sources.text(found.origin());
        assert!(pointed.starts_with(at) || at.is_empty(), "{text:?}: {pointed:?}");
        let said = found.hint.as_deref().unwrap_or("");
        assert!(said.contains(hint), "{text:?}: {said:?}");
    }
}

#[test]
fn durations_in_every_usual_spelling_are_understood() {
    for text in ["15 min", "15m", "1h30m", "1 h 30 min", "PT15M", "P1DT2H", "90 minutes", "0.5 h"] {
        let report = checked(&format!("services: {{ a: {{ rto: {text} }} }}"));
        assert!(report.findings.iter().all(|it| !it.code.starts_with("S00")), "{text}");
    }
}

/// Ten aliases of ten aliases of… would be a thousand million values: none of them is followed.
#[test]
fn a_document_that_would_grow_without_end_does_not() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for pair in ["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi"] {
        let (from, to) = pair.split_at(1);
        let aliases = vec![format!("*{from}"); 10].join(", ");
        text.push_str(&format!("{to}: &{to} [{aliases}]\n"));
    }
    let report = checked(&text);
    assert!(report.findings.iter().all(|finding| matches!(finding.code, "S0003" | "S0005")));
    assert_eq!(report.findings.iter().filter(|finding| finding.code == "S0003").count(), 9 + 80);
}

#[test]
fn what_is_nested_without_end_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        let text = format!("plan: {}{}", open.repeat(10_000), close.repeat(10_000));
        assert!(codes(&checked(&text)).contains(&"S0002"), "{open}");
    }
}

#[test]
fn a_section_that_stands_in_one_file_is_not_lost_in_another() {
    let file = |name: &str, text: &str| Input { name: name.to_owned(), bytes: text.into() };
    let inputs =
        [file("a.yaml", "plan: { title: a }"), file("b.yaml", "# b\nplan: { owner: b }\n")];
    let report = check(load(&inputs), super::date(2026, 1, 1));
    let found = report.findings.iter().find(|finding| finding.code == "S0004").unwrap();
    assert_eq!(found.title, "`plan` stands in another file too");
    assert_eq!(report.sources.text(found.origin()), "plan");
    assert_eq!(report.sources.file(found.origin().file).unwrap().name, "b.yaml");
}

#[test]
fn one_mistake_hides_no_other() {
    let text = "services:\n  a: { rto: 5, tire: x, needs: [b] }\nstores: { s: {} }\nplan: { updated: now }\n";
    let report = checked(text);
    let of_language: Vec<_> =
        codes(&report).into_iter().filter(|it| it.starts_with("S00")).collect();
    assert_eq!(of_language, ["S0008", "S0005", "S0006", "S0008"]);
    assert!(codes(&report).contains(&"S0102"));
    let (code, at, title, hint) = only("people: { a: { contact: x } }");
    assert_eq!((code, at.as_str()), ("S0005", "contact"));
    assert_eq!(title, "`contact` is not a key of a person");
    assert_eq!(hint, "did you mean `contacts`?");
}
