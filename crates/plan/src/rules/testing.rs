//! For the tests of rules: a plan as text in, the findings of one rule out.

use jiff::civil::{Date, date};

use crate::check::{Finding, Input, Rule, check, load};

/// The day the tests of rules take for today.
pub(crate) const TODAY: Date = date(2026, 1, 1);

/// What a rule finds in a plan of one file. The plan itself must be without mistakes.
pub(crate) fn found(code: &str, plan: &str) -> Vec<Finding> {
    // What only a document can say is shown in one.
    let name = if plan.contains("```") { "plan.md" } else { "soter.yaml" };
    let input = Input { name: name.to_owned(), bytes: plan.as_bytes().to_vec() };
    let loaded = load(&[input]);
    assert_eq!(loaded.findings, [], "the plan of the test is no plan:\n{plan}");
    let mut findings = check(loaded, TODAY).findings;
    findings.retain(|finding| finding.code == code);
    findings
}

/// The titles of what a rule finds.
pub(crate) fn titles(code: &str, plan: &str) -> Vec<String> {
    let findings = found(code, plan);
    for finding in &findings {
        assert!(finding.hint.is_some(), "{}: what is to be done?", finding.title);
        assert!(!finding.why.is_empty(), "{}: why is that bad?", finding.title);
        assert!(finding.origin().end > 0, "{}: where is that?", finding.title);
    }
    findings.into_iter().map(|finding| finding.title).collect()
}

/// A rule has nothing to say about any of these plans.
pub(crate) fn silent(code: &str, plans: &[&str]) {
    for plan in plans {
        assert_eq!(titles(code, plan), [""; 0], "{plan}");
    }
}

/// The plan under "Fires" on a rule's page is found, the one under "Mended" is not.
pub(crate) fn page_holds(rule: &Rule) {
    let example = |part: &str| -> String {
        let rest = rule.page.split_once(part).expect("each page has its parts").1;
        let lines = rest.trim_start_matches('\n').lines();
        let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
        lines.map(|line| format!("{}\n", line.get(4..).unwrap_or(""))).collect()
    };
    let fires = titles(rule.code, &example("**Fires**\n"));
    assert!(!fires.is_empty(), "{}: what fires does not fire", rule.code);
    silent(rule.code, &[&example("**Mended**\n")]);
}
