use super::*;
use crate::language::{FileId, read};

fn plan(text: &str) -> Plan {
    let (plan, findings) = read(FileId(0), text);
    assert_eq!(findings.len(), 0, "{findings:?}\n{text}");
    plan
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

/// Who is back when in the only scenario, and how that is reckoned.
fn back(plan: &Plan) -> Vec<(String, String)> {
    let objectives = Objectives::new(plan);
    let graph = &objectives.graph;
    let timeline = objectives.timeline(plan.scenarios.iter().next().unwrap().1);
    let figures = graph.ids().filter_map(|id| Some((id, timeline.figure(id)?)));
    figures.map(|(id, figure)| (graph.name(id).to_owned(), figure.in_words())).collect()
}

const LOSS: &str = "\
domains: { cluster: {} }
services:
  db: { rto: 30 min, state: [data], domains: [cluster] }
  api: { rto: 30 min, needs: [db], domains: [cluster], start: 2 min }
  cache: { domains: [cluster] }
  far: {}
stores:
  data: { kind: postgres, domains: [cluster] }
severities:
  p1: { respond: 5 min, escalation: [{ notify: [on-call], acknowledge: 15 min }], approvers: [lead] }
scenarios:
  loss:
    loses: [cluster]
    severity: p1
    detection: [{ what: an alert, within: 3 min }, { what: a customer }]
    phases:
      - { title: Machines, budget: 20 min, steps: [{ manual: order them }] }
      - { title: Data, budget: 30 min, steps: [{ restore: { store: data } }] }
      - { title: Checks, budget: 10 min, steps: [{ manual: look }] }
";

#[test]
fn people_come_first_then_phases_then_what_needs_what() {
    let human = "3 min detection + 5 min response (p1) + 10 min to declare a disaster (assumed) + \
                 15 min approval (assumed)";
    assert_eq!(
        back(&plan(LOSS)),
        [
            ("db".to_owned(), format!("{human} + 20 min Machines + 30 min Data = 83 min")),
            (
                "api".to_owned(),
                format!("{human} + 20 min Machines + 30 min Data + 2 min start of api = 85 min")
            ),
            (
                "cache".to_owned(),
                format!("{human} + 20 min Machines + 30 min Data + 10 min Checks = 93 min")
            ),
        ]
    );
}

#[test]
fn data_that_takes_longer_than_its_budget_takes_longer() {
    // 90 GiB at 50 MiB/s are 30 min 44 s.
    let assumed = back(&plan(&LOSS.replace("kind: postgres,", "kind: postgres, size: 90 GiB,")));
    assert!(
        assumed[0]
            .1
            .ends_with("+ 30m44s restoring 90 GiB of data at 50 MiB/s (assumed) = 1h23m44s"),
        "{}",
        assumed[0].1
    );
    let measured = "kind: postgres, size: 90 GiB, restore_rate: 20 MiB/s,";
    let measured = back(&plan(&LOSS.replace("kind: postgres,", measured)));
    assert!(measured[0].1.contains("1h16m48s restoring 90 GiB of data at 20 MiB/s (measured)"));
}

#[test]
fn steps_with_budgets_are_done_before_their_phase_and_side_by_side() {
    let text = LOSS.replace(
        "steps: [{ restore: { store: data } }]",
        "steps: [{ id: fetch, manual: fetch, budget: 5 min }, \
         { id: a, restore: { store: data }, budget: 10 min }, \
         { id: b, manual: dns, budget: 2 min, parallel: yes }, \
         { starts: [cache], manual: start it, after: [b], budget: 3 min }]",
    );
    let back = back(&plan(&text));
    assert!(back[0].1.ends_with("20 min Machines + 15 min Data = 68 min"), "{}", back[0].1);
    assert!(back[2].1.ends_with("20 min Machines + 5 min Data = 58 min"), "{}", back[2].1);
}

#[test]
fn a_phase_without_budget_makes_the_rest_a_lower_bound() {
    let back = back(&plan(&LOSS.replace("title: Data, budget: 30 min,", "title: Data,")));
    assert!(back[0].1.ends_with("20 min Machines = at least 53 min"), "{}", back[0].1);
}

#[test]
fn what_mends_itself_waits_for_nobody() {
    let text = "services: { a: { domains: [n] } }\nscenarios:\n  s: { loses: [n], automatic: yes, phases: [{ budget: 6 min, steps: [{ manual: wait }] }] }\n";
    assert_eq!(
        back(&plan(text)),
        [("a".to_owned(), "5 min detection (assumed) + 6 min phase 1 = 11 min".to_owned())]
    );
}

#[test]
fn a_scenario_without_severity_is_answered_no_faster_than_the_most_urgent() {
    let text = LOSS.replace("    severity: p1\n", "");
    assert!(back(&plan(&text))[0].1.contains("5 min response (p1, the fastest there is)"));
}

/// What is lost of the only store.
fn lost(store: &str, threat: Threat<'_>) -> String {
    let text = format!(
        "stores: {{ s: {store} }}\nvaults: {{ v: {{ url: \"file:///v\", domains: [d] }} }}\n"
    );
    let plan = plan(&text);
    let store = plan.stores.get("s").unwrap();
    match Objectives::new(&plan).loses(store, &threat) {
        Loses::Everything => "everything".to_owned(),
        Loses::Unknown => "unknown".to_owned(),
        Loses::UpTo(part, _) => part.in_words(),
    }
}

const PLACE: Threat<'static> =
    Threat { loss: None, corrupt: false, place_lost: true, hostile: false };
const CORRUPT: Threat<'static> =
    Threat { loss: None, corrupt: true, place_lost: false, hostile: false };

#[test]
fn what_is_lost_follows_from_kind_and_schedule() {
    let check = |store: &str, expect: &str| assert_eq!(lost(store, PLACE), expect, "{store}");
    let dump = "{ method: dump, schedule: \"0 2 * * *\", to: v }";
    let log = "{ method: log, every: 60 s, to: v }";
    let base = "{ method: base, every: weekly, to: v }";
    check(&format!("{{ kind: postgres, copies: [{dump}] }}"), "1 day between two dumps");
    // Logs cannot be replayed on a PostgreSQL dump, on a MySQL dump they can.
    check(&format!("{{ kind: postgres, copies: [{dump}, {log}] }}"), "1 day between two dumps");
    check(&format!("{{ kind: sql, copies: [{dump}, {log}] }}"), "1 min until the log is shipped");
    check(
        &format!("{{ kind: postgres, copies: [{base}, {log}] }}"),
        "1 min until the log is shipped",
    );
    check(&format!("{{ kind: postgres, copies: [{log}] }}"), "everything");
    check("{ kind: postgres, vaults: [v] }", "250 ms until the agent has sent it (assumed)");
    check("{ kind: files, copies: [{ method: copy, to: v }] }", "unknown");
    check("{ kind: files }", "everything");
}

#[test]
fn a_replica_follows_mistakes_and_versions_lie_where_the_data_lies() {
    let replica = "{ kind: bucket, copies: [{ method: replica, continuous: yes, to: v }] }";
    assert_eq!(lost(replica, PLACE), "0 s until the replica follows");
    assert_eq!(lost(replica, CORRUPT), "everything");
    let versions = "{ kind: bucket, copies: [{ method: versions, continuous: yes }] }";
    assert_eq!(lost(versions, PLACE), "everything");
    assert_eq!(lost(versions, CORRUPT), "0 s until the next version");
}

#[test]
fn the_longest_pause_of_a_schedule_counts() {
    let schedules = Schedules::default();
    let check = |line, hours| {
        assert_eq!(schedules.pause(line), Some(Duration::from_hours(hours)), "{line}");
    };
    check("0 2 * * *", 24);
    check("0 2 * * 1-5", 72);
    check("0 8,20 * * *", 12);
    check("0 0 1 * *", 31 * 24);
    // However often in a day: the night and the weekend count.
    assert_eq!(schedules.pause("*/10 8-18 * * *"), Some(minutes(13 * 60 + 10)));
    assert_eq!(schedules.pause("*/5 9-17 * * 1-5"), Some(minutes(63 * 60 + 5)));
    assert_eq!(schedules.pause("0 0,12 * * *"), Some(minutes(12 * 60)));
    assert_eq!(schedules.pause("* * * * *"), Some(minutes(1)));
    assert_eq!(schedules.pause("nonsense"), None);
}

#[test]
fn the_margin_is_a_share_of_the_objective() {
    let of = |text: &str| Assumptions::of(&plan(text)).margin_of(minutes(60));
    assert_eq!(of("{}"), minutes(6));
    assert_eq!(of("assumptions: { margin: 25 % }"), minutes(15));
}

#[test]
fn what_comes_behind_a_restore_waits_for_it() {
    let measured = "kind: postgres, size: 90 GiB, restore_rate: 20 MiB/s,";
    let back = back(&plan(&LOSS.replace("kind: postgres,", measured)));
    let restored = "+ 20 min Machines + 1h16m48s restoring 90 GiB of data at 20 MiB/s (measured)";
    assert!(back[0].1.ends_with(&format!("{restored} = 2h9m48s")), "{}", back[0].1);
    assert!(
        back[2].1.ends_with(&format!("{restored} + 10 min Checks = 2h19m48s")),
        "{}",
        back[2].1
    );
}

#[test]
fn a_yes_that_a_step_asks_for_takes_as_long_as_it_may() {
    let asked = "steps: [{ approve: { by: [lead], within: 25 min } }, \
                 { restore: { store: data }, budget: 10 min }]";
    let text = LOSS.replace("steps: [{ restore: { store: data } }]", asked);
    let back = back(&plan(&text));
    // 3 + 5 + 10 minutes of people, 20 for machines, then 25 and 10.
    assert!(back[0].1.ends_with("20 min Machines + 35 min Data = 73 min"), "{}", back[0].1);
}

#[test]
fn what_is_learned_afterwards_keeps_nobody_waiting() {
    let more =
        "      - { title: Post-incident review, budget: 7 days, steps: [{ manual: write }] }\n";
    assert_eq!(back(&plan(&format!("{LOSS}{more}"))), back(&plan(LOSS)));
}

#[test]
fn data_that_no_step_brings_back_makes_a_lower_bound() {
    let back = back(&plan(&LOSS.replace("restore: { store: data }", "manual: look at it")));
    assert!(back[0].1.ends_with("10 min Checks = at least 93 min"), "{}", back[0].1);
    assert!(back[1].1.ends_with("2 min start of api = at least 95 min"), "{}", back[1].1);
    assert!(back[2].1.ends_with("10 min Checks = 93 min"), "{}", back[2].1);
}

/// How the loss of the cluster ends.
fn ends(text: &str) -> Verdict {
    let plan = plan(text);
    let objectives = Objectives::new(&plan);
    let cluster = objectives.domains.id("cluster").unwrap();
    let outcome = Outcome::new(&objectives, &[cluster]);
    assert_eq!(Matrix::new(&objectives).rows[0].verdict, outcome.row().verdict);
    outcome.row().verdict
}

#[test]
fn only_what_is_known_is_in_time() {
    let copies = "copies: [{ method: dump, every: daily, to: far }],";
    let vault = "vaults: { far: { url: \"s3://far\" } }\n";
    let kept = |rpo: &str| {
        let store = format!("kind: postgres, {rpo}{copies}");
        let text = LOSS.replace("rto: 30 min", "rto: 2 h").replace("kind: postgres,", &store);
        format!("{text}{vault}")
    };
    assert_eq!(ends(&kept("")), Verdict::Recovered);
    assert_eq!(ends(&kept("rpo: 1 h, ")), Verdict::LosesTooMuch);
    assert_eq!(ends(&kept("").replace("rto: 2 h", "rto: 1 h")), Verdict::Late);
    assert_eq!(ends(&kept("").replace(", every: daily", "")), Verdict::Open);
    assert_eq!(ends(&kept("").replace("restore: { store: data }", "manual: x")), Verdict::Open);
    assert_eq!(
        ends(&kept("").replace("title: Data, budget: 30 min", "title: Data")),
        Verdict::Open
    );
}

#[test]
fn where_somebody_got_in_the_newest_data_is_lost_too() {
    let text = "\
services: { db: { rpo: 1 h, state: [data] } }
stores: { data: { kind: postgres, copies: [{ method: dump, every: daily, to: far }] } }
vaults: { far: { url: \"s3://far\" } }
assumptions: { dwell: 20 days }
scenarios: { breach: { hostile: yes, destroys: [data], relaxes: agreed, rpo: 3 weeks } }
";
    let plan = plan(text);
    let sheet = Sheet::new(&Objectives::new(&plan));
    let line = &sheet.scenarios[0].stores[0];
    assert_eq!(line.computed_seconds, Some(21 * 86_400));
    assert_eq!(line.promised_seconds, Some(21 * 86_400));
    assert_eq!(line.assumptions, ["dwell"]);
    assert!(line.decided_by.starts_with("20 days inside, "), "{}", line.decided_by);
}
