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
                 15 min approval";
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
    assert_eq!(schedules.pause("nonsense"), None);
}

#[test]
fn the_margin_is_a_share_of_the_objective() {
    let of = |text: &str| Assumptions::of(&plan(text)).margin_of(minutes(60));
    assert_eq!(of("{}"), minutes(6));
    assert_eq!(of("assumptions: { margin: 25 % }"), minutes(15));
}
