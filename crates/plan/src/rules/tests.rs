//! The pages of the rules and what is made from the rules.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::check::{Input, Report, Severity, load};
use crate::language as plans;
use crate::{check, parse};

use super::*;

/// The parts of a page, in their order.
const PARTS: &[&str] = &["**Why it fails at 3 AM.** ", "**Fires**", "**Mended**", "**Silent** "];

/// Files that are made from the code are written anew when this variable is set.
const WRITE: &str = "SOTER_WRITE_DERIVED";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Holds a committed file against what the code says.
fn derived(path: &Path, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "a developer asks for it")]
    if std::env::var_os(WRITE).is_some() {
        fs::write(path, text).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    let path = path.display();
    assert!(found == text, "{path} is not what the code says: run `make derived` and commit it");
}

/// The index of the pages.
fn index() -> String {
    let mut text = String::from(
        "# Findings\n\nWhat `soter check` reports, by family. `soter explain S0101` shows the page of \
         one in a terminal; this list\nis made from the rules by `make derived`.\n",
    );
    for (family, title) in FAMILIES_BY_NAME {
        text.push_str(&format!("\n## {family}: {title}\n| code | what it finds | severity |\n"));
        text.push_str("|---|---|---|\n");
        for rule in all().filter(|rule| rule.code.starts_with(family)) {
            let severity = match rule.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            let code = rule.code;
            text.push_str(&format!("| [{code}]({code}.md) | {} | {severity} |\n", rule.title));
        }
    }
    text
}

#[test]
fn derived_index_of_the_pages_is_current() {
    derived(&docs().join("errors/README.md"), &index());
}

#[test]
fn derived_schema_of_plans_is_current() {
    let schema = format!("{:#}\n", plans::schema());
    derived(&docs().join("schema/soter.schema.json"), &schema);
}

/// What is under "Fires" on the pages of the language has that mistake; what is under "Mended" has
/// none. The examples of the other families are tried with their rules.
#[test]
fn the_pages_of_the_language_hold() {
    let today = jiff::civil::date(2026, 1, 1);
    let codes = |text: &str| -> Vec<&str> {
        let input = Input { name: "soter.yaml".to_owned(), bytes: text.into() };
        let mut report = check::check(load(&[input]), today);
        // What only those commands tell that work with the plan.
        let refused = parse("soter.yaml", text.as_bytes()).err();
        report.findings.extend(refused.into_iter().flat_map(|report: Report| report.findings));
        report.findings.iter().map(|finding| finding.code).collect()
    };
    // One of the pages is about bytes that no page can show.
    for rule in language::RULES.iter().filter(|rule| rule.code != "S0001") {
        let example = |part: &str| -> String {
            let lines = rule.page.split_once(part).unwrap().1.lines().skip(1);
            let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
            lines.map(|line| format!("{}\n", line.get(4..).unwrap_or(""))).collect()
        };
        assert!(codes(&example("**Fires**")).contains(&rule.code), "{}", rule.code);
        let input = Input { name: "soter.yaml".to_owned(), bytes: example("**Mended**").into() };
        let report = check::check(load(&[input]), today);
        let left: Vec<_> =
            report.findings.iter().filter(|found| found.code.starts_with("S00")).collect();
        assert!(left.is_empty(), "{}: {left:?}", rule.code);
    }
}

#[test]
fn codes_rise_and_belong_to_a_family() {
    let codes: Vec<&str> = all().map(|rule| rule.code).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "sorted, each once: {codes:?}");
    for code in codes {
        assert_eq!(code.len(), "S0101".len(), "{code}");
        assert_ne!(family(code), "", "{code} has no family");
    }
}

#[test]
fn every_rule_has_a_page_and_every_page_a_rule() {
    let mut wrong = Vec::new();
    for rule in all() {
        let page = fs::read_to_string(docs().join(format!("errors/{}.md", rule.code)));
        if page.unwrap_or_default() != rule.page {
            wrong.push(format!("{}: the rule has another page than its own", rule.code));
        }
        if rule.page.lines().next() != Some(&format!("# {}: {}", rule.code, rule.title)) {
            wrong.push(format!("{}: the page's title is not the rule's", rule.code));
        }
        let mut rest = rule.page;
        for part in PARTS {
            match rest.split_once(&format!("\n{part}")) {
                Some((_, behind)) => rest = behind,
                None => wrong.push(format!("{}: the page has no {part:?} in its place", rule.code)),
            }
        }
    }
    let known: BTreeSet<&str> = all().map(|rule| rule.code).collect();
    for entry in fs::read_dir(docs().join("errors")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let code = name.strip_suffix(".md").unwrap_or(&name);
        if code != "README" && !known.contains(code) {
            wrong.push(format!("{name}: there is no such rule"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each script is read once for all rules: they ask the model for it.
#[test]
fn rules_read_no_script_themselves() {
    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    ["rules", "objectives"].iter().for_each(|room| files(&source.join(room), &mut all));
    assert!(all.len() > 50, "{}", all.len());
    let call = concat!("shell::", "read(");
    for path in all {
        // What `trap` names is a script inside of a script.
        let allowed = usize::from(path.ends_with("people/measures/commands.rs"));
        let count = fs::read_to_string(&path).unwrap().matches(call).count();
        assert_eq!(count, allowed, "{}", path.display());
    }
}
