use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::language::{FileId, read};

fn plan(text: &str) -> Plan {
    let (plan, findings) = read(FileId(0), text);
    assert_eq!(findings.len(), 0, "{findings:?}\n{text}");
    plan
}

/// Services `s0`… with an objective in minutes (0: none), a start in minutes and needs.
fn services(rows: &[(u64, u64)], edges: &[(usize, usize)], order: &[usize]) -> Plan {
    let mut text = "services:\n".to_owned();
    for &at in order {
        let (rto, start) = rows[at];
        let needs: Vec<String> =
            edges.iter().filter(|edge| edge.0 == at).map(|edge| format!("s{}", edge.1)).collect();
        let rto = if rto == 0 { String::new() } else { format!("rto: {rto} min, ") };
        text += &format!("  s{at}: {{ {rto}start: {start} min, needs: [{}] }}\n", needs.join(", "));
    }
    plan(&text)
}

fn path(graph: &Graph<'_>) -> Path {
    let start = |id| graph.service(id).1.start.map_or(Duration::ZERO, |start| start.value);
    let work: Vec<Work> =
        graph.ids().map(|id| Work { restore: Duration::ZERO, start: start(id) }).collect();
    let rto: Vec<_> = graph.ids().map(|id| graph.rto(id).map(|rto| rto.value)).collect();
    Path::new(graph, &work, &rto)
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

#[test]
fn a_service_is_back_after_what_it_needs() {
    let rows = [(30, 2), (30, 3), (15, 1)];
    let plan = services(&rows, &[(1, 0), (2, 1)], &[2, 0, 1]);
    let graph = Graph::new(&plan);
    let path = path(&graph);
    let of = |name: &str| *path.of(graph.id(name).unwrap());
    assert_eq!(of("s2").earliest, Some(minutes(6)));
    // s2 promises 15 min and starts in 1, so s1 must be back at minute 14, and s0 at minute 11.
    assert_eq!(of("s0").latest, Some(SignedDuration::from_mins(11)));
    assert_eq!(of("s0").slack, Slack::Of(SignedDuration::from_mins(9)));
    // What it needs may take 30 min by its own promise.
    assert_eq!(of("s2").slack, Slack::Of(SignedDuration::from_mins(-15)));
    assert_eq!(of("s1").slack, Slack::Of(SignedDuration::ZERO));
    let way: Vec<_> = path.way(graph.id("s2").unwrap()).iter().map(|id| graph.name(*id)).collect();
    assert_eq!(way, ["s0", "s1", "s2"]);
}

#[test]
fn an_objective_is_the_services_own_or_its_tiers() {
    let plan = plan(
        "tiers: { a: { rto: 1 h, rpo: 5 min } }\nservices:\n  x: { tier: a }\n  y: { tier: a, rto: 2 h, stateless: yes }\n  z: { tier: a, external: yes }\n  u: { tier: b }\n",
    );
    let graph = Graph::new(&plan);
    let of = |name: &str| {
        let id = graph.id(name).unwrap();
        (graph.rto(id).map(|rto| rto.value), graph.rpo(id).map(|rpo| rpo.value))
    };
    assert_eq!(of("x"), (Some(minutes(60)), Some(minutes(5))));
    assert_eq!(of("y"), (Some(minutes(120)), None));
    assert_eq!(of("z"), (None, None));
    assert_eq!(of("u"), (None, None));
}

#[test]
fn a_loss_takes_down_what_lies_in_it_and_what_needs_that() {
    let plan = plan("\
domains: { region: {}, n1: { within: region }, n2: { within: region }, n3: { within: region }, other: {} }
services:
  web: { needs: [api], domains: [other] }
  api: { needs: [db], domains: [n1, n2, n3], survives: 2 }
  db: { state: [data] }
  free: { domains: [other] }
stores: { data: { kind: postgres, domains: [n1] } }
vaults: { far: { url: 's3://far', domains: [other] }, near: { url: 's3://near', domains: [n2] } }
");
    let (graph, domains) = (Graph::new(&plan), Domains::new(&plan));
    let lose = |names: &[&str]| {
        let cause = Cause {
            domains: names.iter().map(|name| domains.id(name).unwrap()).collect(),
            ..Cause::default()
        };
        let loss = Loss::of(&graph, &domains, &cause);
        let down: Vec<_> = loss.down().map(|(id, why)| (graph.name(id), why)).collect();
        (down, loss.stores, loss.vaults)
    };
    let (db, api) = (graph.id("db").unwrap(), graph.id("api").unwrap());
    let (down, stores, vaults) = lose(&["n1"]);
    assert_eq!(down, [("web", Down::Needs(api)), ("api", Down::Needs(db)), ("db", Down::Store(0))]);
    assert_eq!((stores, vaults), (vec![true], vec![false, false]));
    let (down, stores, vaults) = lose(&["n2", "n3"]);
    assert_eq!((down.len(), stores, vaults), (0, vec![false], vec![false, true]));
    let (down, _, vaults) = lose(&["region"]);
    assert_eq!((down[1], vaults), (("api", Down::Domains), vec![false, true]));
}

#[test]
fn domains_that_lie_in_each_other_do_not_hang() {
    let plan = plan("domains: { a: { within: b }, b: { within: a }, c: { within: c } }\n");
    let domains = Domains::new(&plan);
    let a = domains.id("a").unwrap();
    assert_eq!(domains.outward(a).len(), 2);
    assert_eq!(domains.closure(&[a]), [true, true, false]);
    assert_eq!(domains.closure(&[]), [false, false, false]);
}

#[test]
fn a_chain_of_a_hundred_thousand_services_needs_no_deep_stack() {
    use crate::language::{FileId, Origin};
    let here = Origin::new(FileId(0), 0..0);
    let count = 100_000;
    let mut plan = Plan::default();
    for at in 0..count {
        let needs = vec![At::new(format!("s{}", (at + 1) % count), here)];
        let service = Service { needs, ..Service::default() };
        plan.services.insert(At::new(format!("s{at}"), here), service).unwrap();
    }
    let cycles = Graph::new(&plan).cycles();
    assert_eq!(cycles.len(), 1);
    assert_eq!((cycles[0].services.len(), cycles[0].knot), (count, count));
}

/// What can be seen from outside, by names.
fn seen(plan: &Plan) -> (BTreeMap<String, String>, Vec<Vec<String>>) {
    let graph = Graph::new(plan);
    let path = path(&graph);
    let name = |id: &ServiceId| graph.name(*id).to_owned();
    let times = graph.ids().map(|id| {
        let times = path.of(id);
        let waits_for = times.waits_for.as_ref().map(name);
        let rest = (times.earliest, times.latest, times.needs_promise, times.slack);
        (name(&id), format!("{rest:?} {waits_for:?}"))
    });
    let cycles = graph.cycles();
    (times.collect(), cycles.iter().map(|c| c.services.iter().map(name).collect()).collect())
}

/// Objectives and starts, and who needs whom.
type Rows = (Vec<(u64, u64)>, Vec<(usize, usize)>);

/// Up to nine services with up to fourteen edges.
fn any_graph() -> impl Strategy<Value = Rows> {
    (2usize..9).prop_flat_map(|count| {
        let rows = proptest::collection::vec((0u64..60, 0u64..5), count);
        (rows, proptest::collection::vec((0..count, 0..count), 0..14))
    })
}

proptest! {
    #[test]
    fn one_more_need_never_gives_anybody_more_slack(
        (rows, mut edges) in any_graph(),
        more in (0usize..9, 0usize..9),
    ) {
        let order: Vec<usize> = (0..rows.len()).collect();
        let before = services(&rows, &edges, &order);
        edges.push((more.0 % rows.len(), more.1 % rows.len()));
        let after = services(&rows, &edges, &order);
        let (one, two) = (Graph::new(&before), Graph::new(&after));
        let (earlier, later) = (path(&one), path(&two));
        for id in one.ids() {
            prop_assert!(later.of(id).slack <= earlier.of(id).slack, "{} in {edges:?}", one.name(id));
        }
    }

    #[test]
    fn a_cycle_of_any_length_is_reported_once(length in 1usize..40, tail in 0usize..5) {
        let mut edges: Vec<_> = (0..length).map(|at| (at, (at + 1) % length)).collect();
        edges.extend((0..tail).map(|at| (length + at, at % length)));
        let rows = vec![(10, 1); length + tail];
        let plan = services(&rows, &edges, &(0..rows.len()).collect::<Vec<_>>());
        let cycles = Graph::new(&plan).cycles();
        prop_assert_eq!(cycles.len(), 1);
        prop_assert_eq!(cycles[0].services.len(), length);
    }

    #[test]
    fn each_knot_is_reported_once_and_its_cycle_is_one((rows, edges) in any_graph()) {
        let plan = services(&rows, &edges, &(0..rows.len()).collect::<Vec<_>>());
        let graph = Graph::new(&plan);
        let mut told = std::collections::BTreeSet::new();
        for cycle in graph.cycles() {
            for (at, id) in cycle.services.iter().enumerate() {
                let next = cycle.services[(at + 1) % cycle.services.len()];
                prop_assert!(graph.needs(*id).contains(&next));
                prop_assert!(told.insert(*id), "two cycles share a service");
            }
        }
        let tied = graph.ids().filter(|id| graph.in_cycle(*id));
        prop_assert_eq!(tied.count(), graph.cycles().iter().map(|cycle| cycle.knot).sum::<usize>());
    }

    #[test]
    fn the_order_of_declaration_changes_nothing(
        (rows, edges) in any_graph(),
        turn in 0usize..9,
        back in any::<bool>(),
    ) {
        let straight: Vec<usize> = (0..rows.len()).collect();
        let mut turned = straight.clone();
        turned.rotate_left(turn % rows.len());
        if back {
            turned.reverse();
        }
        let (one, two) = (services(&rows, &edges, &straight), services(&rows, &edges, &turned));
        prop_assert_eq!(seen(&one), seen(&two));
    }
}

#[test]
fn the_reasons_of_a_loss_lead_to_what_was_lost() {
    // `a` and `b` need each other, and `z` is what is gone.
    let plan = plan(
        "domains: { d: {} }\nservices: { a: { needs: [b, z] }, b: { needs: [a] }, z: { domains: [d] } }\n",
    );
    let graph = Graph::new(&plan);
    let domains = Domains::new(&plan);
    let cause = Cause { domains: vec![domains.id("d").unwrap()], ..Cause::default() };
    let loss = Loss::of(&graph, &domains, &cause);
    let why = |name: &str| match loss.services[graph.id(name).unwrap().index()] {
        Some(Down::Needs(need)) => graph.name(need).to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!([why("a"), why("b"), why("z")], ["z", "a", "Some(Domains)"]);
}
