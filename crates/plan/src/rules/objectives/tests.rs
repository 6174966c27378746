use crate::check::Severity;
use crate::rules::testing::{found, silent, titles};

#[test]
fn s0101_a_promise_earlier_than_what_it_needs() {
    let plan =
        "services:\n  a: { title: Gateway, rto: 15 min, needs: [b] }\n  b: { rto: 30 min }\n";
    assert_eq!(
        titles("S0101", plan),
        ["Gateway promises to be back in 15 min, and needs b, which may take 30 min"]
    );
    let finding = &found("S0101", plan)[0];
    assert_eq!(finding.proof.as_deref(), Some("30 min (b) - 15 min (Gateway) = 15 min too early"));
    assert_eq!(finding.labels.len(), 3);
}

#[test]
fn s0101_looks_through_needs_without_an_objective_and_at_tiers() {
    let plan = "tiers: { t: { rto: 2 h } }\nservices:\n  a: { rto: 1 h, needs: [b] }\n  b: { needs: [c] }\n  c: { tier: t }\n";
    assert_eq!(
        titles("S0101", plan),
        ["a promises to be back in 1 h, and needs c over b, which may take 2 h"]
    );
}

#[test]
fn s0101_is_silent() {
    silent(
        "S0101",
        &[
            "services: { a: { rto: 30 min, needs: [b] }, b: { rto: 30 min } }",
            "services: { a: { rto: 30 min, needs: [b] }, b: {} }",
            "services: { a: { needs: [b] }, b: { rto: 1 h } }",
            "services: { a: { rto: 1 min, prefers: [b] }, b: { rto: 1 h } }",
            // In a cycle nobody is first: that is S0109.
            "services: { a: { rto: 1 h, needs: [b] }, b: { rto: 2 h, needs: [a] } }",
            // Somebody else runs it, and nobody says how long that takes.
            "tiers: { t: { rto: 9 h } }\nservices: { a: { rto: 1 h, needs: [b] }, b: { tier: t, external: yes } }",
        ],
    );
}

#[test]
fn s0111_no_time_is_left() {
    let plan = "services: { a: { rto: 30 min, needs: [b] }, b: { rto: 30 min } }";
    assert_eq!(titles("S0111", plan), ["a has no time left after b"]);
    assert_eq!(found("S0111", plan)[0].severity, Severity::Warning);
    let plan = "services: { a: { rto: 30 min, start: 5 min, needs: [b] }, b: { rto: 28 min } }";
    assert_eq!(titles("S0111", plan), ["a has only 2 min left after b"]);
    silent(
        "S0111",
        &[
            "services: { a: { rto: 31 min, needs: [b] }, b: { rto: 30 min } }",
            "services: { a: { rto: 30 min, start: 2 min, needs: [b] }, b: { rto: 28 min } }",
        ],
    );
}

const TEAMS: &str = "severities: { p1: { respond: 5 min } }\n";

fn scenario(rto: &str, budgets: &[&str], rest: &str) -> String {
    let phases: Vec<String> =
        budgets.iter().map(|budget| format!("{{ {budget}steps: [{{ manual: work }}] }}")).collect();
    format!("{TEAMS}scenarios: {{ s: {{ rto: {rto}, phases: [{}]{rest} }} }}\n", phases.join(", "))
}

#[test]
fn s0103_phases_and_people_must_fit() {
    let minutes = |list: &[u32]| -> Vec<String> {
        list.iter().map(|count| format!("budget: {count} min, ")).collect()
    };
    let check = |rto, list: &[u32], rest, expect: &[&str]| {
        let budgets = minutes(list);
        let budgets: Vec<&str> = budgets.iter().map(String::as_str).collect();
        assert_eq!(titles("S0103", &scenario(rto, &budgets, rest)), expect);
    };
    check(
        "1 h",
        &[20, 30, 10],
        ", severity: p1",
        &["the phases of s fill its 1 h: nothing is left to notice and decide"],
    );
    check("1 h", &[40, 30], "", &["the phases of s take 70 min, and 1 h are promised"]);
    let people = ", severity: p1, detection: [{ what: x, within: 6 min }]";
    check(
        "1 h",
        &[20, 30],
        people,
        &["s takes 71 min with the people before it, and 1 h are promised"],
    );
    // 50 + 6 + 5 = 61 min are declared, only then comes what is assumed.
    let plan = scenario("1 h", &["budget: 50 min, "], people);
    assert_eq!(found("S0103", &plan)[0].severity, Severity::Error);
    let plan = scenario("1 h", &["budget: 45 min, "], people);
    assert_eq!(found("S0103", &plan)[0].severity, Severity::Warning);
    check("1 h", &[35], people, &["s leaves 4 min of 1 h, less than 10 % for surprises"]);
}

#[test]
fn s0103_an_assumed_restore_is_no_proof() {
    let plan = "\
stores: { d: { kind: files, size: 200 GiB } }
scenarios: { s: { rto: 1 h, phases: [{ budget: 10 min, steps: [{ restore: { store: d } }] }] } }
";
    let findings = found("S0103", plan);
    assert_eq!(
        findings[0].title,
        "s takes 1h23m16s with the people before it, and 1 h are promised"
    );
    assert_eq!(findings[0].severity, Severity::Warning);
    let measured = plan.replace("200 GiB", "200 GiB, restore_rate: 50 MiB/s");
    assert_eq!(found("S0103", &measured)[0].severity, Severity::Error);
}

#[test]
fn s0103_is_silent() {
    let people = ", severity: p1, detection: [{ what: x, within: 1 min }]";
    silent(
        "S0103",
        &[
            &scenario("1 h", &["budget: 35 min, "], people),
            // It mends itself: nobody decides.
            &scenario("1 h", &["budget: 45 min, "], ", automatic: yes"),
            // Where a budget is missing there is no sum, only a lower bound.
            &scenario("1 h", &["budget: 38 min, ", ""], people),
            &scenario("1 h", &[""], ""),
            // What is learned afterwards is no part of the recovery.
            "scenarios: { s: { rto: 1 h, phases: [{ budget: 20 min, steps: [{ manual: x }] }, { title: Lessons learned, budget: 5 days, steps: [{ manual: y }] }] } }",
        ],
    );
}

#[test]
fn s0114_a_promise_without_budgets() {
    assert_eq!(
        titles("S0114", &scenario("1 h", &["", ""], "")),
        ["nothing says how s gets done in 1 h"]
    );
    silent(
        "S0114",
        &[
            &scenario("1 h", &["budget: 5 min, ", ""], ""),
            &scenario("1 h", &[""], ", automatic: yes"),
            "scenarios: { s: { rto: 1 h } }",
            "scenarios: { s: { phases: [{ steps: [{ manual: x }] }] } }",
        ],
    );
}

const RECOVERY: &str = "\
services:
  db: { title: Database, rto: 30 min, state: [data] }
  api: { rto: 35 min, needs: [db] }
  web: { rto: 3 h, needs: [api] }
stores: { data: { kind: postgres } }
scenarios:
  loss:
    destroys: [data]
    phases:
      - { title: Machines, budget: 20 min, steps: [{ manual: order }] }
      - { title: Data, budget: 30 min, steps: [{ restore: { store: data } }] }
";

#[test]
fn s0104_a_service_is_back_too_late() {
    let findings = found("S0104", RECOVERY);
    let titles: Vec<_> = findings.iter().map(|finding| finding.title.as_str()).collect();
    assert_eq!(titles, ["loss: Database is back after 65 min, and promises 30 min"]);
    assert_eq!(findings[0].severity, Severity::Error);
    assert_eq!(
        findings[0].proof.as_deref(),
        Some(
            "5 min detection (assumed) + 10 min to declare a disaster (assumed) + 20 min Machines \
             + 30 min Data = 65 min; api later still"
        )
    );
    // What rests on assumptions alone is a warning.
    let findings = found("S0104", &RECOVERY.replace("rto: 30 min, state", "rto: 60 min, state"));
    assert_eq!(findings[0].severity, Severity::Warning);
}

#[test]
fn s0104_is_silent() {
    silent(
        "S0104",
        &[
            &RECOVERY.replace("rto: 30 min, state", "rto: 2 h, state").replace("35 min", "2h10m"),
            &RECOVERY
                .replace("    destroys:", "    relaxes: agreed with the customers\n    destroys:"),
            // No step says that it brings anything back: nothing is known of its time.
            &RECOVERY.replace("restore: { store: data }", "manual: restore"),
        ],
    );
}

#[test]
fn s0113_bytes_take_their_time() {
    let plan = "services: { a: { rto: 10 min, state: [d] } }\nstores: { d: { kind: files, size: 60 GiB, restore_rate: 50 MiB/s } }\n";
    assert_eq!(
        titles("S0113", plan),
        ["a promises to be back in 10 min, and restoring 60 GiB of d at 50 MiB/s takes 20m29s"]
    );
    assert_eq!(found("S0113", plan)[0].severity, Severity::Error);
    let guessed = plan.replace(", restore_rate: 50 MiB/s", "");
    assert_eq!(found("S0113", &guessed)[0].severity, Severity::Warning);
    let phase =
        RECOVERY.replace("kind: postgres", "kind: postgres, size: 100 GiB, restore_rate: 50 MiB/s");
    let phase = phase.replace("rto: 30 min, state", "rto: 2 h, state");
    assert_eq!(
        titles("S0113", &phase),
        ["restoring 100 GiB of data at 50 MiB/s takes 34m8s, and its budget is 30 min"]
    );
    silent("S0113", &[RECOVERY, &plan.replace("60 GiB", "6 GiB")]);
}

#[test]
fn s0105_a_tier_and_its_services_disagree() {
    let tier = "tiers: { t: { title: Critical, rto: 1 h, mttr: 20 min } }\nservices:\n";
    let looser = format!("{tier}  a: {{ tier: t, rto: 2 h }}\n  b: {{ tier: t }}\n");
    assert_eq!(
        titles("S0105", &looser),
        ["a is in Critical, whose recovery time is 1 h, and promises 2 h"]
    );
    let repair = format!("{tier}  a: {{ tier: t, rto: 15 min }}\n  b: {{ tier: t }}\n");
    assert_eq!(
        titles("S0105", &repair),
        ["the mean time to repair in Critical is 20 min, longer than a may take"]
    );
    silent(
        "S0105",
        &[
            &format!("{tier}  a: {{ tier: t, rto: 30 min }}\n  b: {{ tier: t }}\n"),
            // A limit that everybody undercuts is a limit.
            &format!("{tier}  a: {{ tier: t, rto: 30 min }}\n  b: {{ tier: t, rto: 40 min }}\n"),
            &format!("{tier}  a: {{ tier: t, rto: 1 h }}\n  b: {{ tier: t, rto: 30 min }}\n"),
        ],
    );
}

#[test]
fn s0106_a_critical_service_outside_the_graph() {
    let tiers = "tiers: { one: { title: Critical }, two: {} }\nservices:\n";
    let plan = format!(
        "{tiers}  bus: {{ title: NATS, tier: one }}\n  db: {{ tier: one }}\n  api: {{ tier: one, needs: [db] }}\n  cache: {{ tier: two }}\n"
    );
    assert_eq!(
        titles("S0106", &plan),
        ["NATS is critical, yet nothing needs it and it needs nothing"]
    );
    silent(
        "S0106",
        &[
            // Nobody named any need: there is no graph yet.
            &format!("{tiers}  bus: {{ tier: one }}\n  db: {{ tier: one }}\n"),
            &plan.replace("needs: [db]", "needs: [db], prefers: [bus]"),
            &plan.replace("title: Critical", "critical: no"),
            &plan.replace(", two: {}", "").replace("tier: two", "tier: one, needs: [bus]"),
        ],
    );
}

#[test]
fn s0108_stores_that_belong_together() {
    let plan = "\
stores:
  rows: { kind: postgres, points_to: [objects], rpo: 15 min }
  objects: { kind: bucket, rpo: 1 h }
";
    assert_eq!(
        titles("S0108", plan),
        ["rows points to objects, and they are restored to different moments"]
    );
    let group = format!("{plan}groups: {{ g: {{ stores: [rows, objects] }} }}\n");
    assert_eq!(titles("S0108", &group), ["nothing says how the stores of `g` get to one moment"]);
    silent(
        "S0108",
        &[
            &group.replace("objects] }", "objects], aligned_by: the log of the database }"),
            "stores: { a: { kind: postgres, rpo: 15 min }, b: { kind: bucket, rpo: 1 h } }",
        ],
    );
}

#[test]
fn s0109_cycles_are_told_once() {
    let plan = "services: { a: { needs: [b] }, b: { needs: [c] }, c: { needs: [a], title: C }, d: { needs: [a] } }";
    assert_eq!(titles("S0109", plan), ["a, b, C need each other"]);
    assert_eq!(titles("S0109", "services: { a: { needs: [a] } }"), ["a needs itself"]);
    let domains = "domains: { a: { within: b }, b: { within: a }, c: { within: a } }";
    assert_eq!(titles("S0109", domains), ["`a` lies in itself over `b`"]);
    let channels = "channels: { x: { fallback: y }, y: { fallback: y } }";
    assert_eq!(titles("S0109", channels), ["`y` falls back to itself"]);
    silent(
        "S0109",
        &[
            "services: { a: { needs: [b], prefers: [c] }, b: {}, c: { needs: [a] } }",
            "domains: { a: { within: c }, b: { within: c }, c: {} }",
        ],
    );
}

const LOCKED: &str = "\
services: { secrets: { state: [secrets] } }
stores: { secrets: { kind: secrets, copies: [{ method: dump, every: daily, to: v }] } }
vaults: { v: { url: \"s3://v\", read_with: [key] } }
credentials: { key: { title: The key, kept_in: [secrets] } }
";

#[test]
fn s0110_the_key_is_in_the_locked_room() {
    assert_eq!(
        titles("S0110", LOCKED),
        ["The key reads v, is kept in secrets, and secrets comes back only with it"]
    );
    silent(
        "S0110",
        &[
            &LOCKED.replace("[secrets] } }\nstores", "[secrets], external: yes } }\nstores"),
            &LOCKED.replace("kept_in: [secrets]", "kept_in: [secrets, safe in the office]"),
            &LOCKED.replace("to: v }", "to: v }, { method: dump, every: weekly, to: w }"),
            &LOCKED.replace(", read_with: [key]", ""),
        ],
    );
}

#[test]
fn s0110_a_step_uses_what_is_not_back_yet() {
    let plan = "\
domains: { site: {} }
services: { dns: { domains: [site] }, git: { domains: [site], needs: [dns] } }
scenarios:
  loss:
    loses: [site]
    prerequisites: [git]
    phases:
      - steps: [{ manual: clone, uses: [git] }, { manual: start, starts: [dns, git] }, { manual: look, uses: [git] }]
";
    assert_eq!(
        titles("S0110", plan),
        [
            "loss begins with git, which is gone in it",
            "loss: a step uses git, which is down and not back yet"
        ]
    );
    silent(
        "S0110",
        &[
            &plan.replace("loses: [site]", "impact: none"),
            &plan
                .replace("[git]\n    phases", "[phone]\n    phases")
                .replace("manual: clone, uses: [git]", "manual: clone"),
        ],
    );
}

#[test]
fn s0112_no_objective() {
    let plan = "services: { a: { rto: 1 h, rpo: 5 min, state: [x] }, b: {}, c: { external: yes } , d: { rto: 1 h, state: [y] } }\nstores: { x: { kind: files }, y: { kind: files }, z: { kind: files } }\n";
    assert_eq!(
        titles("S0112", plan),
        ["b has no recovery time objective", "nobody says how much of y may be lost"]
    );
    silent(
        "S0112",
        &[
            "services: { a: {}, b: {} }",
            &plan
                .replace("b: {}, ", "")
                .replace("y: { kind: files }", "y: { kind: files, rpo: 1 h }"),
        ],
    );
}

#[test]
fn s0102_names_of_all_sections() {
    let check = |plan: &str, expect: &[&str]| assert_eq!(titles("S0102", plan), expect, "{plan}");
    check("tiers: { one: {} }\nservices: { a: { tier: on } }\n", &["`on` is not among the tiers"]);
    check(
        "stores: { a: { kind: files, copies: [{ method: copy, to: buket }] } }\nvaults: { bucket: { url: \"s3://b\" } }\n",
        &["`buket` is not among the vaults"],
    );
    check(
        "services: { a: {} }\nscenarios: { s: { severity: p1, stops: [b], phases: [{ steps: [{ manual: x, uses: [c] }] }] } }\n",
        &["`b` is not among the services", "`c` is not among the services"],
    );
    silent("S0102", &["services: { a: { tier: gold, domains: [n1], state: [s] } }"]);
}

#[test]
fn the_examples_of_the_pages_are_true() {
    for rule in super::RULES {
        crate::rules::testing::page_holds(rule);
    }
}

#[test]
fn s0107_what_the_steps_use_is_in_the_plan() {
    let plan = |services: &str, run: &str| {
        format!(
            "services: {{ {services} }}\nscenarios: {{ x: {{ phases: [{{ steps: [{{ run: {run} }}] }}] }} }}\n"
        )
    };
    assert_eq!(
        titles("S0107", &plan("a: {}", "kubectl get pods")),
        ["the steps use the Kubernetes API, which is no service of the plan"]
    );
    silent(
        "S0107",
        &[
            &plan("k3s: {}", "kubectl get pods"),
            &plan("a: { also: [kubernetes] }", "kubectl get pods"),
            &plan("db: { title: PostgreSQL (primary) }", "psql -c 'SELECT 1'"),
            &plan("a: {}", "ls /tmp"),
            &plan("a: {}", "our-own-program --now"),
        ],
    );
}

#[test]
fn s0104_reads_what_programs_bring_back() {
    let scripted = RECOVERY.replace("restore: { store: data }", "run: pg_restore -d x y.dump");
    assert_eq!(
        titles("S0104", &scripted),
        ["loss: Database is back after 65 min, and promises 30 min"]
    );
    // With two databases one `pg_restore` proves nothing.
    let two = scripted
        .replace("data: { kind: postgres }", "data: { kind: postgres }, b: { kind: postgres }");
    silent("S0104", &[&two]);
}

#[test]
fn s0102_tells_once_what_many_need() {
    let check = |needs: usize, expect: &str| {
        let all: Vec<String> = (0..needs).map(|at| format!("s{at}: {{ needs: [auth] }}")).collect();
        let plan = format!("services: {{ {} }}", all.join(", "));
        let findings = found("S0102", &plan);
        assert_eq!(findings.iter().map(|found| &found.title).collect::<Vec<_>>(), [expect]);
        assert_eq!(findings[0].labels.len(), needs.min(6));
    };
    check(1, "`s0` needs `auth`, which is declared nowhere");
    check(2, "`s0` and one other need `auth`, which is declared nowhere");
    check(40, "`s0` and 39 others need `auth`, which is declared nowhere");
}
