//! What the rules about drills find, and what they must not.

use crate::check::Severity;
use crate::rules::testing::{found, silent, titles};

#[test]
fn the_pages_show_what_fires_and_what_mends_it() {
    super::RULES.iter().for_each(crate::rules::testing::page_holds);
}

/// Scenarios and tests as documents have them: no line between but the words.
const AS_WRITTEN: &str = "\
scenarios:
  node: { title: Single Node Failure, rto: 15 min }
  cluster:
    title: Complete Cluster Loss
    rto: 1 h
    phases: [{ steps: [{ run: terraform apply }] }]
  database: { title: PostgreSQL Database Corruption, rto: 30 min }
services:
  gateway: { title: API Gateway, rto: 15 min }
drills:
  verification: { title: Backup Verification, kind: restore, every: weekly, scope: Restore to test env }
  failover: { title: Failover Test, kind: failover, every: monthly, scope: Single node failure, downtime: 5 min }
  full:
    title: Full DR Test
    kind: full
    every: quarterly
    scope: Complete cluster rebuild
    downtime: 4 h
    procedure:
      - { title: Schedule a window }
      - { title: Create fresh backups, run: ./scripts/create-dr-backup.sh }
      - { title: Provision, run: terraform -chdir=dr apply }
      - { title: Execute recovery procedure, run: ./scripts/dr-recovery.sh }
      - { title: Publish the report }
    criteria:
      - { measure: rto, at_most: 1 h, text: Complete service restoration }
      - { measure: function, text: All smoke tests pass }
      - { measure: other, text: No procedure gaps identified }
  table: { title: Tabletop, kind: tabletop, every: bi-annually, scope: Process walkthrough }
";

#[test]
fn a_testing_schedule_as_documents_have_it() {
    for (code, expect) in [
        ("S0501", vec!["no drill tries `PostgreSQL Database Corruption`"]),
        (
            "S0502",
            vec!["`Full DR Test` recovers by `./scripts/dr-recovery.sh`, which no scenario does"],
        ),
        ("S0503", vec!["`Full DR Test` makes the backups that it restores"]),
        ("S0504", vec!["`Full DR Test` passes within 1 h, `API Gateway` is promised in 15 min"]),
        (
            "S0505",
            vec![
                "`Full DR Test` plans an outage of 4 h, `Complete Cluster Loss` is promised in 1 h",
            ],
        ),
        ("S0506", vec!["none of 4 drills says when it was done last"]),
        (
            "S0507",
            vec![
                "nothing says when `Backup Verification` has passed",
                "nothing says when `Failover Test` has passed",
                "`Full DR Test` has a criterion that nobody can decide",
            ],
        ),
        ("S0508", vec![]),
        ("S0509", vec!["`bi-annually` is twice a year to some and every two years to others"]),
        ("S0510", vec![]),
    ] {
        assert_eq!(titles(code, AS_WRITTEN), expect, "{code}");
    }
}

#[test]
fn scenarios_that_are_tried() {
    let plan = |drill: &str| {
        format!(
            "scenarios: {{ node: {{ title: Node failure }}, dns: {{}} }}\ndrills: {{ d: {{ {drill} }} }}\n"
        )
    };
    silent(
        "S0501",
        &[
            &plan("scope: All scenarios"),
            &plan("scenarios: [node, dns]"),
            &plan("scenarios: [Node failure, DNS], kind: failover"),
            "drills: { d: {} }",
            "services: { a: {} }",
        ],
    );
    assert_eq!(titles("S0501", &plan("title: Failure of a node")), ["no drill tries `dns`"]);
    let table = plan("kind: tabletop, scenarios: [node, dns]");
    assert_eq!(
        titles("S0501", &table),
        ["`Node failure` is tried at a table only", "`dns` is tried at a table only"]
    );
    assert_eq!(found("S0501", &table)[0].severity, Severity::Note);
    assert_eq!(
        titles("S0501", "scenarios: { a: {}, b: {} }"),
        ["none of the 2 scenarios is ever tried"]
    );
}

fn drilled(kind: &str, steps: &str) -> String {
    format!(
        "scenarios: {{ s: {{ phases: [{{ steps: [{{ run: \"pg_restore -d a\\n./verify.sh\" }}] }}] }} }}\n\
         drills: {{ d: {{ {kind} scenarios: [s], procedure: [{steps}] }} }}\n"
    )
}

#[test]
fn what_a_drill_may_do_besides() {
    let own = "{ title: Restore, run: restore-all }";
    assert_eq!(
        titles("S0502", &drilled("kind: full,", own)),
        ["`d` recovers by `restore-all`, which no scenario does"]
    );
    assert_eq!(titles("S0502", &drilled("", own)).len(), 1);
    silent(
        "S0502",
        &[
            &drilled("kind: restore,", own),
            &drilled("kind: tabletop,", own),
            &drilled("kind: full,", "{ title: Restore, run: \"# as always\\n pg_restore -d a\" }"),
            &drilled("kind: full,", "{ title: Restore as the scenario says, manual: Run it }"),
            &drilled("kind: full,", "{ title: Publish the recovery report, run: ./publish }"),
            &drilled("kind: full,", "{ title: Verify the restore, run: ./check-all }"),
            &drilled("kind: full,", "{ title: Provision, run: terraform apply }"),
        ],
    );
}

#[test]
fn backups_that_a_drill_makes() {
    let after = ", { title: Restore, run: pg_restore -d a }";
    for step in [
        "{ title: Take a full backup }",
        "{ run: ./scripts/create-backup.sh }",
        "{ run: \"# prepare\\npg_dump -Fc a > a.dump\" }",
        "{ manual: Make sure there is a fresh snapshot }",
        "{ run: velero backup create drill }",
    ] {
        assert_eq!(
            titles("S0503", &drilled("kind: full,", &format!("{step}{after}"))),
            ["`d` makes the backups that it restores"],
            "{step}"
        );
        silent(
            "S0503",
            &[
                &drilled("kind: failover,", &format!("{step}{after}")),
                &drilled(
                    "kind: full,",
                    &format!("{{ title: Restore, run: pg_restore -d a }}, {step}"),
                ),
            ],
        );
    }
    for step in [
        "{ title: Note when the last backup was made }",
        "{ title: Do not make a backup, manual: Take the latest backup as it is }",
        "{ run: ls -l /backup }",
        "{ run: ./backup-status }",
    ] {
        silent("S0503", &[&drilled("kind: full,", &format!("{step}{after}"))]);
    }
}

#[test]
fn criteria_and_promises() {
    let plan = |scenario: &str, drill: &str| {
        format!(
            "scenarios: {{ s: {{ {scenario} }}, t: {{ rto: 3 h }} }}\ndrills: {{ d: {{ {drill} }} }}\n"
        )
    };
    let rpo = plan("rpo: 15 min", "scenarios: s, criteria: [{ measure: rpo, at_most: 1 h }]");
    assert_eq!(titles("S0504", &rpo), ["`d` passes with 1 h lost, `s` promises 15 min at most"]);
    let tight = plan("rto: 1 h", "scenarios: s, criteria: [{ measure: rto, at_most: 30 min }]");
    assert_eq!(titles("S0504", &tight), ["`d` fails after 30 min, although `s` may take 1 h"]);
    assert_eq!(found("S0504", &tight)[0].severity, Severity::Note);
    silent(
        "S0504",
        &[
            &plan("rto: 1 h", "scenarios: s, criteria: [{ measure: rto, at_most: 1 h }]"),
            &plan("rto: 1 h", "criteria: [{ measure: rto, at_most: 4 h }]"),
            &plan("rto: 1 h", "scenarios: [s, t], criteria: [{ measure: rto, at_most: 1 h }]"),
            &plan("rpo: 1 h", "scenarios: s, criteria: [{ measure: rpo, at_most: 1 min }]"),
            &plan("rto: 1 h", "scenarios: s, criteria: [{ measure: function, at_most: 4 h }]"),
        ],
    );
    let services = |scenario: &str, kind: &str| {
        format!(
            "scenarios: {{ s: {{ {scenario} }} }}\nservices: {{ a: {{ rto: 15 min }} }}\ndrills: {{ d: {{ \
             kind: {kind}, scenarios: s, criteria: [{{ measure: rto, at_most: 1 h }}] }} }}\n"
        )
    };
    assert_eq!(titles("S0504", &services("title: Complete loss", "full")).len(), 1);
    silent(
        "S0504",
        &[
            &services("title: Node failure", "full"),
            &services("title: Complete loss", "failover"),
            &services("title: Complete loss, relaxes: agreed", "full"),
        ],
    );
    silent(
        "S0507",
        &[
            "drills: { d: { kind: tabletop } }",
            "drills: { d: { scope: something } }",
            "drills: { d: { kind: full, criteria: [{ measure: rto, at_most: 1 h, text: all }] } }",
            "drills: { d: { kind: full, criteria: [{ measure: rpo, text: all, run: ./probe }] } }",
            "drills: { d: { kind: full, criteria: [{ measure: other, text: nobody is lost }] } }",
        ],
    );
}

#[test]
fn days_that_are_over() {
    for (plan, expect) in [
        ("plan: { next_review: 2025-12-31 }", "the plan should have been reviewed on 2025-12-31"),
        (
            "plan: { updated: 2025-06-01, review_every: quarterly }",
            "the plan should have been reviewed by 2025-09-01",
        ),
        (
            "drills: { d: { last: 2025-11-30, every: monthly } }",
            "`d` should have been done by 2025-12-30",
        ),
        ("drills: { d: { next: 2025-12-31 } }", "`d` should have been done on 2025-12-31"),
        (
            "after_incident: { actions: [{ what: Alert, owner: sre, due: 2025-12-16 }] }",
            "`Alert` should have been done by 2025-12-16",
        ),
    ] {
        assert_eq!(titles("S0506", plan), [expect], "{plan}");
    }
    silent(
        "S0506",
        &[
            "plan: { next_review: 2026-01-01 }",
            "plan: { updated: 2025-06-01, review_every: quarterly, next_review: 2026-02-01 }",
            "plan: { updated: 2020-06-01 }",
            "drills: { d: { last: 2025-12-01, every: monthly }, e: { every: weekly } }",
            "drills: { d: { last: 2025-12-31, every: 6 h } }",
            "drills: { d: { next: 2025-12-31, last: 2025-12-31 } }",
            "after_incident: { actions: [{ due: 2025-12-16, done: yes }, { due: 2026-01-01 }] }",
        ],
    );
}

#[test]
fn days_that_contradict_each_other() {
    for (plan, expect) in [
        (
            "plan: { updated: 2025-12-13, review_every: quarterly, next_review: 2026-06-13 }",
            "the next review is planned for 2026-06-13, and due on 2026-03-13",
        ),
        (
            "plan: { updated: 2025-12-13, review_every: quarterly, next_review: 2025-12-01 }",
            "the next review, 2025-12-01, is before the last change",
        ),
        (
            "plan: { updated: 2026-02-01 }",
            "the plan was changed last on 2026-02-01, which is still to come",
        ),
        (
            "plan: { updated: 2025-12-01, changes: [{ date: 2025-12-05 }, { date: 2025-11-01 }] }",
            "the plan has a change of 2025-12-05, and was changed last on 2025-12-01",
        ),
        (
            "drills: { d: { last: 2026-01-02 } }",
            "`d` was done last on 2026-01-02, which is still to come",
        ),
        (
            "drills: { d: { last: 2025-12-02, next: 2025-12-01 } }",
            "`d` is planned for 2025-12-01, and was done on 2025-12-02",
        ),
        (
            "drills: { d: { last: 2025-12-02, next: 2026-06-01, every: quarterly } }",
            "`d` is planned for 2026-06-01, and due on 2026-03-02",
        ),
    ] {
        assert_eq!(titles("S0505", plan), [expect], "{plan}");
    }
    silent(
        "S0505",
        &[
            "plan: { updated: 2025-12-13, review_every: quarterly, next_review: 2026-03-13 }",
            "plan: { updated: 2025-12-13, review_every: quarterly, next_review: 2026-01-13 }",
            "plan: { updated: 2025-12-13, changes: [{ date: 2025-12-13 }] }",
            "drills: { d: { last: 2025-12-02, next: 2026-03-09, every: quarterly } }",
        ],
    );
}

#[test]
fn lengths_that_do_not_add_up() {
    let phase = |steps: &str| {
        format!(
            "scenarios: {{ s: {{ phases: [{{ title: Data, budget: 30 min, steps: [{steps}] }}] }} }}"
        )
    };
    assert_eq!(
        titles("S0505", &phase("{ budget: 20 min }, { wait: 15 min }")),
        ["the steps of `Data` in `s` need 35 min, its budget is 30 min"]
    );
    silent(
        "S0505",
        &[
            &phase("{ budget: 20 min }, { wait: 10 min }"),
            &phase("{ budget: 20 min }, { budget: 15 min, parallel: yes }"),
            &phase("{ id: a, budget: 20 min }, { budget: 15 min, after: [b] }"),
            "scenarios: { s: { rto: 1 h } }\ndrills: { d: { scenarios: s, downtime: 5 min } }",
            "scenarios: { s: { rto: 1 h } }\ndrills: { d: { scenarios: s, duration: 5 h } }",
            "scenarios: { s: { rto: 1 h } }\ndrills: { d: { downtime: 5 h } }",
        ],
    );
}

fn page(posts: &[&str], report: &str) -> String {
    let posts: Vec<_> = posts.iter().map(|text| format!("{{ text: {text:?} }}")).collect();
    format!(
        "status_page: {{ every: 30 min, owner: a, templates: [{}] }}\nafter_incident: {{ report: {report:?} }}\n",
        posts.join(", ")
    )
}

#[test]
fn times_in_templates() {
    let posts = ["Posted: 2025-12-13 14:30 UTC", "Posted: 2025-12-13 14:45 UTC"];
    let end =
        |minutes: u32| format!("Posted: 2025-12-13 15:10 UTC\nTotal downtime: {minutes} minutes.");
    let wrong = end(90);
    assert_eq!(
        titles("S0505", &page(&[posts[0], posts[1], &wrong], "none")),
        ["a template says 90 min where its times make 40 min"]
    );
    let right = end(40);
    let whole = [posts[0], posts[1], right.as_str()];
    let report = "- Duration: 2025-12-13 14:30 to 2025-12-13 16:45";
    assert_eq!(
        titles("S0505", &page(&whole, report)),
        ["the same incident lasts 135 min in the report, 40 min on the status page"]
    );
    let apart = ["Posted: 2025-12-13 14:30 UTC", "Posted: 2025-12-13 15:30 UTC"];
    assert_eq!(
        titles("S0505", &page(&apart, "none")),
        ["templates are 1 h apart, and an update is promised every 30 min"]
    );
    silent(
        "S0505",
        &[
            &page(&whole, "- Duration: 2025-12-13 14:30 to 2025-12-13 15:10"),
            &page(&whole, "- Duration: 2026-12-13 14:30 to 2026-12-13 16:45"),
            &page(&["Posted: <time>", "Total downtime: 5 minutes"], "From <time> to <time>"),
        ],
    );
}

#[test]
fn days_that_were_left() {
    let posts = page(&["Posted: 2025-12-13 14:30 UTC"], "- 2025-12-13 14:30 to 2025-12-13 16:45");
    assert_eq!(
        titles("S0508", &posts),
        ["a template holds 2025-12-13 14:30", "the template of the report holds 2025-12-13 14:30"]
    );
    let step = |step: &str| format!("scenarios: {{ s: {{ phases: [{{ steps: [{step}] }}] }} }}");
    for (text, expect) in [
        ("{ run: \"T='2025-12-13 14:30:00 UTC'\" }", "`s` always works with 2025-12-13 14:30"),
        (
            "{ restore: { store: a, to: 2025-12-13T14:30:00Z } }",
            "`s` always goes back to 2025-12-13T14:30",
        ),
    ] {
        assert_eq!(titles("S0508", &step(text)), [expect]);
    }
    let parameter =
        "scenarios: { s: { parameters: { at: { from: value, value: \"2025-12-13 14:30\" } } } }";
    assert_eq!(titles("S0508", parameter), ["`at` of `s` is 2025-12-13 14:30"]);
    silent(
        "S0508",
        &[
            &step("{ run: \"# such as 2025-12-13 14:30\\ntrue # or 2025-12-13 14:30\" }"),
            &step("{ run: \"curl -H 'x-ms-version: 2021-08-06'\" }"),
            &step("{ run: \"aws --since 2025-12-13\" }"),
            &step("{ manual: \"As on 2025-12-13 14:30\" }"),
            &page(&["Posted: <date and time, UTC>"], "From <time>"),
        ],
    );
}

#[test]
fn words_with_two_meanings() {
    let plan = |every: &str| format!("drills: {{ d: {{ every: {every} }} }}");
    for word in ["biweekly", "bi-weekly", "Biannually"] {
        assert_eq!(titles("S0509", &plan(word)).len(), 1, "{word}");
    }
    silent(
        "S0509",
        &[&plan("twice a year"), &plan("6 months"), &plan("half-yearly"), &plan("weekly")],
    );
}

#[test]
fn where_drills_run() {
    let plan = |drill: &str| {
        format!(
            "domains: {{ live: {{}}, spare: {{}} }}\nservices: {{ a: {{ domains: [live] }} }}\ndrills: {{ d: {{ {drill} }} }}"
        )
    };
    for (drill, expect) in [
        ("kind: full, target: live", "`d` runs in `live`, where `a` lives"),
        ("kind: restore, target: Production", "`d` runs in `Production`"),
        ("kind: full, target: the production cluster", "`d` runs in `the production cluster`"),
    ] {
        assert_eq!(titles("S0510", &plan(drill)), [expect]);
    }
    for drill in [
        "kind: full, target: spare",
        "kind: failover, target: live",
        "kind: full, target: a copy of production",
        "kind: full, target: production-like staging",
        "kind: full, target: \"an account of its own, without a way to production\"",
        "kind: full",
    ] {
        silent("S0510", &[&plan(drill)]);
    }
}

#[test]
fn results_against_promises() {
    let plan = |result: &str| {
        format!(
            "services: {{ shop: {{ rto: 1 h, state: [orders] }} }}\nstores: {{ orders: {{ kind: sql, size: 2 TB }} }}\n\
             drills: {{ d: {{ kind: restore, stores: [orders], results: [{{ {result} }}] }} }}"
        )
    };
    for (result, expect) in [
        (
            "outcome: passed, took: 5 h 40 min",
            "`d` passed after 5 h 40 min, and shop is promised in 1 h",
        ),
        (
            "outcome: passed, took: 6 min, size: 40 GB",
            "`d` passed with 40 GB, and there are 2 TB: at that rate shop is not back in 1 h",
        ),
    ] {
        assert_eq!(titles("S0504", &plan(result)), [expect]);
    }
    for result in [
        "outcome: failed, took: 5 h",
        "outcome: passed, took: 50 min",
        "outcome: passed, took: 6 min, size: 1.9 TB",
        "outcome: passed, took: 30 s, size: 40 GB",
        "outcome: passed, size: 40 GB",
    ] {
        silent("S0504", &[&plan(result)]);
        silent("S0507", &[&plan(result)]);
    }
}

#[test]
fn drills_that_never_came_to_their_end() {
    let plan = |results: &str| {
        let results: Vec<String> = results
            .split(' ')
            .map(|outcome| format!("{{ outcome: {outcome}, text: so it was }}"))
            .collect();
        format!("drills: {{ d: {{ results: [{}] }} }}", results.join(", "))
    };
    assert_eq!(
        titles("S0506", &plan("aborted not_done not_done")),
        ["`d` was planned 3 times and never came to its end"]
    );
    for results in
        ["not_done", "passed not_done not_done", "not_done not_done passed", "failed failed"]
    {
        silent("S0506", &[&plan(results)]);
    }
}
