//! Whatever the bytes, a check ends with findings: it never stops, and it says the same each time.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value as Json;

use crate::check::{Input, Severity, check, load};
use crate::language;

const SMALL: &str = include_str!("../../../../../examples/shop/soter.yaml");
const LARGE: &str = include_str!("../../../../../examples/kosmos/people.yaml");
const DRILLS: &str = include_str!("../../../../../examples/kosmos/drills.yaml");
const SCENARIO: &str = include_str!("../../../../../examples/kosmos/scenarios/breach.yaml");

/// Checks files twice, and looks at what must hold of any report.
fn holds(files: &[&[u8]]) {
    let inputs: Vec<Input> = files
        .iter()
        .enumerate()
        .map(|(at, bytes)| Input { name: format!("{at}.yaml"), bytes: bytes.to_vec() })
        .collect();
    let run = || check(load(&inputs), super::date(2026, 1, 1));
    let report = run();
    for finding in &report.findings {
        assert!(!finding.labels.is_empty() && !finding.title.is_empty(), "{finding:?}");
        for label in &finding.labels {
            let file = report.sources.file(label.origin.file).expect("a place in a file");
            assert!(label.origin.start <= label.origin.end, "{finding:?}");
            assert!(label.origin.range().end <= file.text.len(), "{finding:?}");
            assert!(file.text.get(label.origin.range()).is_some(), "{finding:?}");
        }
        assert!(finding.severity >= Severity::Note);
    }
    assert_eq!(report.findings, run().findings, "the same files, the same findings");
}

/// A plan made by walking through the schema: every key may be there, with values that fit, nearly
/// fit, or do not. It reaches what no damage to a sensible plan reaches.
struct Wild<'s> {
    schema: &'s Json,
    state: u64,
    out: String,
}

/// What stands behind a key that takes a text; names come up often, so that they meet.
const TEXTS: &[&str] = &[
    "a",
    "b",
    "c",
    "writers of a",
    "On-call",
    "Team Lead",
    "Self",
    "legal",
    "15 min",
    "1h30m",
    "0 s",
    "999999999 weeks",
    "PT15M",
    "weekly",
    "bi-annually",
    "4000000000 months",
    "quarterly",
    "2025-12-13",
    "9999-12-31",
    "2026-01-01",
    "yes",
    "no",
    "0",
    "4294967295",
    "16 MiB",
    "10 %",
    "17179869184 GiB",
    "1 B/s",
    "\"0 2 * * *\"",
    "s3://a/b",
    "file:///a",
    "pg_dump -Fc a > a.dump",
    "kubectl scale deployment a --replicas=0",
    "\"T='2025-12-13 14:30'; a\"",
    "Pause alerts",
    "~",
    "ops@",
    "x@example.com",
    "postgres",
    "full",
    "tabletop",
    "log",
    "dump",
    "ask",
    "apply",
    "/",
];

impl Wild<'_> {
    fn next(&mut self, below: usize) -> usize {
        // xorshift: the seed decides everything, so that a failure comes back.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % u64::try_from(below.max(1)).unwrap()).unwrap()
    }

    fn key(&mut self, key: &str) {
        self.out.push_str(key);
        self.out.push_str(": ");
    }

    fn value(&mut self, schema: &Json, depth: usize) {
        if let Some(name) = schema["$ref"].as_str().and_then(|it| it.strip_prefix("#/$defs/")) {
            return self.value(&self.schema["$defs"][name], depth);
        }
        if let Some(all) = schema["allOf"].as_array().and_then(|all| all.first()) {
            return self.value(all, depth);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let chosen = self.next(any.len());
            return self.value(&any[chosen], depth);
        }
        if let Some(words) = schema["oneOf"].as_array() {
            let chosen = self.next(words.len());
            self.out.push_str(words[chosen]["const"].as_str().unwrap_or("a"));
        } else if schema["properties"].is_object() {
            self.section(schema, depth);
        } else if schema["additionalProperties"].is_object() {
            self.out.push('{');
            for name in ["a", "b", "c", "d"] {
                if self.next(3) > 0 {
                    self.key(name);
                    self.value(&schema["additionalProperties"], depth + 1);
                    self.out.push_str(", ");
                }
            }
            self.out.push('}');
        } else if schema["type"] == "array" {
            self.out.push('[');
            for _ in 0..self.next(4) {
                self.value(&schema["items"], depth + 1);
                self.out.push_str(", ");
            }
            self.out.push(']');
        } else {
            self.scalar(schema);
        }
    }

    /// Mostly one of the examples the schema gives, or a text.
    fn scalar(&mut self, schema: &Json) {
        let examples = schema["examples"].as_array().filter(|_| !self.state.is_multiple_of(4));
        let text = match examples {
            Some(examples) if !examples.is_empty() => {
                let chosen = self.next(examples.len());
                examples[chosen].as_str().unwrap_or("1").to_owned()
            }
            _ => TEXTS[self.next(TEXTS.len())].to_owned(),
        };
        self.out.push_str(&text);
    }

    fn section(&mut self, schema: &Json, depth: usize) {
        self.out.push('{');
        let properties = schema["properties"].as_object().unwrap();
        let rarely = if depth > 5 { 6 } else { 2 };
        for (key, property) in properties {
            if self.next(rarely) == 0 || depth == 0 {
                self.key(key);
                self.value(property, depth + 1);
                self.out.push_str(", ");
            }
        }
        self.out.push('}');
    }
}

fn wild(seed: u64) -> String {
    static SCHEMA: LazyLock<Json> = LazyLock::new(language::schema);
    let mut wild = Wild { schema: &SCHEMA, state: seed | 1, out: String::new() };
    wild.value(&SCHEMA, 0);
    wild.out
}

/// A whole check takes longer than a parser: a part of the cases that are asked for.
fn fewer() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.div_ceil(16), ..config }
}

proptest! {
    #![proptest_config(fewer())]

    #[test]
    fn any_bytes_are_checked(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        holds(&[&bytes]);
    }

    #[test]
    fn any_yaml_like_text_is_checked(
        text in "(plan|services|scenarios|[a-z]{1,3}|: |:|\n|\n  |\n    |\n    - |\\[|\\]|\\{|\\}|, |'|\"|&a |\\*a|!t |#|\\||>|\\$\\{|\t|\r|---\n|ä|%|\\?|<<|~){0,60}"
    ) {
        holds(&[text.as_bytes()]);
    }

    #[test]
    fn any_damage_to_a_plan_is_checked(
        which in 0usize..4,
        cuts in proptest::collection::vec((0usize..20_000, 0usize..30, "[^a]{0,3}"), 1..6)
    ) {
        let mut bytes = [SMALL, LARGE, DRILLS, SCENARIO][which].as_bytes().to_vec();
        for (at, len, put) in cuts {
            let at = at % bytes.len();
            let end = (at + len).min(bytes.len());
            bytes.splice(at..end, put.bytes());
        }
        holds(&[&bytes]);
    }

    #[test]
    fn any_two_files_are_one_plan(seed: u64, other: u64) {
        holds(&[wild(seed).as_bytes(), wild(other).as_bytes()]);
    }

    #[test]
    fn any_plan_that_fits_the_schema_is_checked(seed: u64) {
        holds(&[wild(seed).as_bytes()]);
    }
}

/// The plans that are made up are plans: otherwise nothing would be tried by them.
#[test]
fn made_up_plans_reach_the_rules() {
    let mut families = std::collections::BTreeSet::new();
    for seed in 0..40u64 {
        let input = Input { name: "a.yaml".to_owned(), bytes: wild(seed * 7_919 + 1).into_bytes() };
        let report = check(load(&[input]), super::date(2026, 1, 1));
        families.extend(report.findings.iter().map(|it| it.code.get(..3).unwrap_or("")));
    }
    assert_eq!(
        families.into_iter().collect::<Vec<_>>(),
        ["S00", "S01", "S02", "S03", "S04", "S05"]
    );
}

/// Large files, each hard in its own way.
fn hard(count: usize) -> Vec<(&'static str, String)> {
    let names = |at: usize| format!("  s{at}: {{ needs: [s{}, x{at}] }}\n", at + 1);
    let names: String = (0..count / 4).map(names).collect();
    let step = "          - { obliges: [x], manual: Pause alerts }\n";
    vec![
        ("a block", format!("plan:\n  summary: |\n{}", "    a\n\n    a a\n".repeat(count))),
        ("a folded text", format!("plan:\n  summary: >\n{}", "    a a a\n".repeat(count))),
        ("a quoted text", format!("plan:\n  summary: \"{}\"\n", "a ".repeat(count))),
        ("a key again and again", "plan: {}\n".repeat(count)),
        ("keys that are not known", format!("plan: {{ {} }}", "k: 1, ".repeat(count))),
        ("services", format!("services:\n{names}")),
        (
            "steps",
            format!(
                "scenarios:\n  a:\n    phases:\n      - steps:\n{}",
                step.repeat(count.min(8_000) / 4)
            ),
        ),
    ]
}

/// They end in a time nobody notices; what is measured here is only that the test ends.
#[test]
fn large_files_do_not_take_long() {
    for (what, text) in hard(2_000) {
        let input = Input { name: what.to_owned(), bytes: text.into_bytes() };
        let report = check(load(&[input]), super::date(2026, 1, 1));
        assert!(report.findings.len() < 10_000, "{what}");
    }
}
