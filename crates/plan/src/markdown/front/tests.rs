use super::*;

mod inventories;
mod layouts;
mod properties;

#[test]
fn cells_fall_apart_where_people_mean_it() {
    let parts = |text: &str| -> Vec<String> {
        parts(&Text::plain(FileId(0), text, 0))
            .iter()
            .map(|part| part.as_str().to_owned())
            .collect()
    };
    assert_eq!(parts("PostgreSQL, Vector DB"), ["PostgreSQL", "Vector DB"]);
    assert_eq!(parts("Auth (SSO, LDAP) and Redis"), ["Auth (SSO, LDAP)", "Redis"]);
    assert_eq!(parts("A; B\nC & D + E"), ["A", "B", "C", "D", "E"]);
    assert!(parts("None").is_empty());
    assert!(parts(" – ").is_empty());
}

const REFERENCE: &str = include_str!("../../../tests/documents/kosmos.md");

fn line_of(text: &str, origin: Origin) -> usize {
    1 + text.get(..origin.range().start).unwrap().matches('\n').count()
}

/// The whole plan that the reference document describes. Look at every line that changes.
#[test]
fn the_reference_document_is_read_as_it_is_meant() {
    let read = read(FileId(0), REFERENCE);
    insta::assert_snapshot!("kosmos", read.plan.to_yaml().print());
    let unread: Vec<_> = read.unread.iter().map(|unread| unread.why.as_str()).collect();
    assert_eq!(unread, Vec::<&str>::new());
}

#[test]
fn values_point_at_the_words_that_say_them() {
    let read = read(FileId(0), REFERENCE);
    let at = |origin: Origin| REFERENCE.get(origin.range()).unwrap();
    let plan = &read.plan;
    let gateway = plan.services.get("api-gateway").unwrap();
    assert_eq!(at(gateway.rto.unwrap().origin), "15 min");
    assert_eq!(line_of(REFERENCE, gateway.rto.unwrap().origin), 38);
    assert_eq!(at(gateway.needs[0].origin), "Zeus");
    let athena = plan.services.get("athena").unwrap();
    assert_eq!(at(athena.needs[1].origin), "Vector DB");
    let dump = &plan.stores.get("postgresql").unwrap().copies[1];
    let run = dump.run.as_ref().unwrap();
    let place = run.text.find("find /backup").unwrap();
    assert_eq!(line_of(REFERENCE, run.place(place..place + 4)), 131);
    assert_eq!(at(dump.schedule.as_ref().unwrap().origin), "\"0 2 * * *\"");
    let loss = plan.scenarios.get("complete-cluster-loss").unwrap();
    let steps: Vec<usize> = loss.phases.iter().map(|phase| phase.steps.len()).collect();
    assert_eq!(steps, [4, 3, 4]);
    assert_eq!(at(loss.phases[0].budget.unwrap().origin), "20 minutes");
    let join = loss.phases[0].steps[3].run.as_ref().unwrap();
    let token = join.text.find("<token>").unwrap();
    assert_eq!(line_of(REFERENCE, join.place(token..token + 7)), 261);
    let cheatsheet = &read.facts.snippets[0].script;
    let pod = cheatsheet.text.find("<pod>").unwrap();
    assert_eq!(at(cheatsheet.place(pod..pod + 5)), "<pod>");
    let every = plan.status_page.as_ref().unwrap().every.unwrap();
    assert_eq!((at(every.origin), line_of(REFERENCE, every.origin)), ("30 minutes", 455));
}

/// Every finding on the reference document, by line. Each was looked at and is true; look at the
/// document before a line is added here.
#[test]
fn the_findings_on_the_reference_document_are_these() {
    let input = crate::check::Input { name: "kosmos.md".to_owned(), bytes: REFERENCE.into() };
    let report = crate::check::check(crate::check::load(&[input]), jiff::civil::date(2026, 11, 23));
    let line = |found: &crate::check::Finding| {
        format!("{:>3} {} {}", line_of(REFERENCE, found.origin()), found.code, found.title)
    };
    let lines: Vec<String> = report.findings.iter().map(line).collect();
    insta::assert_snapshot!("kosmos_findings", lines.join("\n"));
}

#[test]
fn an_attack_from_outside_is_nobody_inside() {
    let hostile = |title: &str| {
        let text = format!("# Plan\n## Scenarios\n### Scenario 1: {title}\n1. Call the provider\n");
        let plan = read(FileId(0), &text).plan;
        plan.scenarios.iter().next().unwrap().1.hostile.is_some_and(|hostile| hostile.value)
    };
    for title in ["Ransomware attack", "Cyber attack", "Data breach", "Compromised credentials"] {
        assert!(hostile(title), "{title}");
    }
    for title in ["DDoS attack", "Denial of service attack", "Breach of an SLA", "Loss of a node"] {
        assert!(!hostile(title), "{title}");
    }
}

#[test]
fn people_whose_names_have_other_letters_stay_apart() {
    let text = "# Plan\n## Contacts\n| Role | Phone |\n|---|---|\n| Иванов | 1 |\n| Петров | 2 |\n";
    let plan = read(FileId(0), text).plan;
    let people: Vec<(&str, usize)> = plan
        .people
        .iter()
        .map(|(_, person)| (person.title.as_ref().unwrap().value.as_str(), person.contacts.len()))
        .collect();
    assert_eq!(people, [("Иванов", 1), ("Петров", 1)]);
}

#[test]
fn things_that_are_called_the_same_are_counted_on() {
    let mut named: Named<u32> = Named::default();
    let title = Text::plain(FileId(0), "Orders", 0);
    let names: Vec<String> = (0..5).map(|at| insert(&mut named, &title, at)).collect();
    assert_eq!(names, ["orders", "orders-2", "orders-3", "orders-4", "orders-5"]);
    // Thousands of them take no longer, each.
    (0..50_000).for_each(|at| drop(insert(&mut named, &title, at)));
    assert_eq!(named.len(), 50_005);
}
