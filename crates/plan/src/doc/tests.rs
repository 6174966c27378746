//! Documents made of the examples: nothing of a plan is missing, nothing depends on chance.

use jiff::civil::date;

use super::*;
use crate::check::load;
use crate::tests::examples::example;

/// A day on which the examples are up to date.
const AS_OF: Date = date(2026, 11, 23);

fn made<T>(inputs: &[Input], make: impl FnOnce(&Plan, &Edition) -> T) -> T {
    let edition = Edition { digest: Digest::of(inputs), as_of: AS_OF };
    make(&load(inputs).plan, &edition)
}

fn plan(yaml: &str) -> Vec<Input> {
    vec![Input { name: "soter.yaml".to_owned(), bytes: yaml.as_bytes().to_vec() }]
}

/// What stands in a document, without marks and blanks.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[test]
fn the_digest_is_what_b3sum_gives_and_names_and_order_change_nothing() {
    let file = |name: &str, text: &str| Input { name: name.to_owned(), bytes: text.into() };
    let both = Digest::of(&[file("a", "one\n"), file("b", "two\n")]);
    assert_eq!(both, Digest::of(&[file("x", "two\n"), file("y", "one\n")]));
    assert_ne!(both, Digest::of(&[file("a", "one\n"), file("b", "two")]));
    // printf 'one\n' > a; printf 'two\n' > b; b3sum --no-names a b | sort | b3sum
    let mut lines =
        [blake3::hash(b"one\n").to_hex().to_string(), blake3::hash(b"two\n").to_hex().to_string()];
    lines.sort();
    let expect =
        blake3::hash(format!("{}\n{}\n", lines[0], lines[1]).as_bytes()).to_hex().to_string();
    assert_eq!(both.to_string(), expect);
}

/// Of the small example; a digest says nothing to who reads the snapshot.
fn shop(make: fn(&Plan, &Edition) -> String) -> String {
    let inputs = example("shop");
    let digest = Digest::of(&inputs);
    let text = made(&inputs, make);
    text.replace(&digest.to_string(), "<digest>").replace(&digest.short(), "<short>")
}

#[test]
fn the_small_example_as_markdown() {
    insta::assert_snapshot!(shop(document_markdown));
}

#[test]
fn the_small_example_as_a_sheet() {
    insta::assert_snapshot!(shop(cheatsheet_text));
}

#[test]
fn every_name_title_step_and_command_of_the_plan_is_in_the_document() {
    let inputs = example("kosmos");
    let plan = load(&inputs).plan;
    let forms = [
        made(&inputs, document_markdown),
        made(&inputs, |plan, edition| unescaped(&document_html(plan, edition))),
    ];
    for text in forms.map(|form| bare(&form)) {
        let has = |what: &str| assert!(text.contains(&bare(what)), "{what} is not there");
        plan.tiers.titled().for_each(|(_, title, _)| has(title));
        plan.services.titled().for_each(|(_, title, _)| has(title));
        plan.stores.titled().for_each(|(_, title, _)| has(title));
        plan.vaults.titled().for_each(|(_, title, _)| has(title));
        plan.credentials.titled().for_each(|(_, title, _)| has(title));
        plan.domains.titled().for_each(|(_, title, _)| has(title));
        plan.people.titled().for_each(|(_, title, _)| has(title));
        plan.teams.titled().for_each(|(_, title, _)| has(title));
        plan.channels.titled().for_each(|(_, title, _)| has(title));
        plan.severities.titled().for_each(|(_, title, _)| has(title));
        plan.drills.titled().for_each(|(_, title, _)| has(title));
        for (_, title, scenario) in plan.scenarios.titled() {
            has(title);
            for phase in &scenario.phases {
                has(&phase.title.as_ref().unwrap().value);
                for step in &phase.steps {
                    has(&step.title.as_ref().unwrap().value);
                    step.run.iter().for_each(|run| has(&run.text));
                    let probes = step.verify.iter().filter_map(|probe| probe.run.as_ref());
                    probes.for_each(|run| has(&run.text));
                }
            }
        }
    }
}

/// HTML as its reader sees it.
fn unescaped(html: &str) -> String {
    let text = html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&#39;", "'").replace("&amp;", "&")
}

#[test]
fn the_same_plan_on_the_same_day_gives_the_same_bytes() {
    let inputs = example("kosmos");
    for make in [document_markdown, document_html, cheatsheet_text, cheatsheet_html] {
        assert_eq!(made(&inputs, make), made(&inputs, make));
    }
}

#[test]
fn the_html_needs_nothing_else_and_runs_nothing() {
    let inputs = plan(
        "plan: { title: \"<script>alert(1)</script>\" }\n\
         services: { a: { title: \"<img src=x onerror=y>\", tier: t } }\n\
         tiers: { t: { title: \"\\\"quoted\\\"\" } }\n",
    );
    for make in [document_html, cheatsheet_html] {
        for html in [made(&inputs, make), made(&example("kosmos"), make)] {
            for part in ["<script", "<img", "<link", "src=", "@import", "url("] {
                assert!(!html.replace("&lt;img src=x", "").contains(part), "{part}");
            }
        }
    }
}

#[test]
fn every_link_of_the_contents_leads_somewhere() {
    let html = made(&example("kosmos"), document_html);
    let links: Vec<&str> =
        html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.len() > 20);
    for link in links {
        assert!(html.contains(&format!("id=\"{link}\"")), "{link}");
    }
}

#[test]
fn a_sheet_of_any_plan_fits_the_page() {
    let many: String = (0..500)
        .map(|at| format!("  s{at}: {{ title: Scenario number {at}, severity: p, phases: [{{ steps: [{{ title: Do it, manual: now }}] }}] }}\n"))
        .collect();
    let large = format!("severities: {{ p: {{ title: Bad }} }}\nscenarios:\n{many}");
    for inputs in [example("kosmos"), example("shop"), plan(&large), plan("plan: {}\n")] {
        let text = made(&inputs, cheatsheet_text);
        assert!(text.is_ascii());
        assert!(text.lines().count() <= 60, "{}", text.lines().count());
        let longest = text.lines().map(str::len).max().unwrap();
        assert!(longest <= 78, "{longest}");
        assert!(text.contains("soter cheatsheet") && text.contains("as of 2026-11-23"));
    }
    let text = made(&plan(&large), cheatsheet_text);
    assert!(text.contains("Left out for want of room: 4"), "{text}");
}

#[test]
fn the_sheet_of_the_example_says_whom_to_call_and_what_to_do_first() {
    let text = made(&example("kosmos"), cheatsheet_text);
    for part in [
        "P1, critical: On call 5 min > Team lead 3 min > CTO 3 min",
        "The cluster is lost",
        "1.1 APPROVAL:",
        "s3://kosmos-vault-dublin/",
        "envelope in the office safe: Soter's operator key (envelope KOSMOS 1)",
        "soter restore postgres --vault s3://kosmos-vault-dublin/",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_store_is_brought_back_by_the_words_of_its_kind() {
    let inputs = plan(
        "vaults: { v: { url: \"file:///srv/v\" } }\nstores: { c: { kind: etcd, vaults: [v] }, o: { kind: \
         postgres, vaults: [v] } }\nscenarios:\n  x:\n    phases: [{ steps: [{ restore: { store: c, \
         target: /new, bump_revision: yes } }, { restore: { store: o, target: /pg } }] }]\n",
    );
    let text = made(&inputs, document_markdown);
    for line in ["--target-dir /new --to latest --bump-revision\n", "/pg --to latest --start\n"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn what_looks_like_a_secret_is_in_no_document() {
    let inputs = plan(
        "services: { db: {} }\nseverities: { p: { escalation: [{ notify: [someone] }] } }\n\
         people: { someone: { contacts: [\"token: hunter2secret\"] } }\n\
         vaults: { v: { url: \"s3://me:hunter2secret@bucket/\" } }\n\
         stores: { s: { kind: postgres, copies: [{ method: dump, to: v, run: \"PGPASSWORD=hunter2secret pg_dump\" }] } }\n\
         scenarios:\n  x:\n    prerequisites: [\"password=hunter2secret\"]\n    parameters:\n      \
         p: { from: value, type: secret, value: hunter2secret }\n    \
         phases: [{ steps: [{ run: \"curl --header apikey:hunter2secret https://x\" }] }]\n",
    );
    for make in [document_markdown, document_html, cheatsheet_text, cheatsheet_html] {
        let text = made(&inputs, make);
        assert!(!text.contains("hunter2secret"), "{text}");
    }
}

#[test]
fn dates_are_counted_from_the_day_of_the_edition() {
    let inputs = plan(
        "plan: { updated: 2026-11-01, review_every: quarterly }\ndrills:\n  \
         late: { every: monthly, last: 2026-09-30 }\n  \
         soon: { every: quarterly, last: 2026-10-31 }\n  \
         fixed: { every: yearly, next: 2027-01-07 }\n  \
         never: { every: half-yearly }\n  \
         weekly: { every: weekly, last: 2026-11-20 }\n",
    );
    let text = made(&inputs, document_markdown);
    for part in [
        "- **Next review:** 2027-02-01",
        "overdue since 2026-10-30",
        "2027-01-31",
        "2027-01-07",
        "by 2027-05-01",
        "2026-11-27",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let calendar = text.split("Calendar of the coming year").nth(1).unwrap();
    assert!(!calendar.split("###").next().unwrap().contains("weekly"), "{calendar}");
}

#[test]
fn contacts_are_filled_in_and_commands_keep_their_references() {
    let inputs = plan(
        "plan: { emergency_contact: \"${env:A}\" }\n\
         people: { p: { contacts: [\"call ${env:A} or ${env:B}\", \"${env:open\"] } }\n\
         teams: { t: { contacts: [\"${env:C}\"] } }\n\
         channels: { c: { address: \"x ${env:A}\" } }\n\
         stores: { s: { kind: postgres, copies: [{ method: dump, run: \"echo ${env:A}\" }] } }\n",
    );
    let mut described = load(&inputs).plan;
    let missing = fill_contacts(&mut described, |name| match name {
        "A" => Some("+30 210 1".to_owned()),
        "B" => Some("the door".to_owned()),
        _ => None,
    });
    assert_eq!(missing.into_iter().collect::<Vec<_>>(), ["C"]);
    let text = described.to_yaml().print();
    for part in [
        "+30 210 1\n",
        "call +30 210 1 or the door",
        "${env:open",
        "${env:C}",
        "x +30 210 1",
        "echo ${env:A}",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn an_empty_plan_makes_a_document() {
    let text = made(&plan("plan: {}\n"), document_markdown);
    assert!(text.contains("# Disaster recovery plan: disaster recovery plan"), "{text}");
}
