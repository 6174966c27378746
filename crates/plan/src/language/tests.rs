//! A plan reads, describes itself and writes back the same.

use super::*;

const SMALL: &str = "\
plan: { title: Shop, review_every: quarterly, next_review: 2026-03-13 }
tiers:
  critical: { title: Critical, rto: 1 h, rpo: 15 min }
services:
  database:
    title: PostgreSQL (primary)
    tier: critical
    rto: 30 min
    state: [orders]
  api: { needs: database, tier: critical, stateless: yes }
stores:
  orders:
    kind: postgres
    size: 40 GiB
    copies:
      - { method: dump, schedule: \"0 2 * * *\", to: bucket, keep: 7 days, artefact: \"orders_*.dump\" }
vaults:
  bucket: { url: \"s3://backups/\" }
scenarios:
  corruption:
    rto: 30 min
    phases:
      - title: Restore
        budget: 20 min
        steps:
          - id: fetch
            run: |
              set -e
              aws s3 cp s3://backups/latest.dump /tmp/

              pg_restore -d orders /tmp/latest.dump
";

fn parse(text: &str) -> (Plan, Vec<Raw>) {
    read(FileId(0), text)
}

#[test]
fn a_plan_reads_and_writes_back_the_same() {
    let (plan, findings) = parse(SMALL);
    assert_eq!(findings.len(), 0, "{findings:?}");
    let written = plan.to_yaml().print();
    let (again, findings) = parse(&written);
    assert_eq!(findings.len(), 0, "{findings:?}\n{written}");
    assert_eq!(again.to_yaml().print(), written);
    assert_eq!(again.services.get("api").unwrap().needs[0].value, "database");
}

#[test]
fn a_script_knows_where_its_lines_stand() {
    let (plan, _) = parse(SMALL);
    let step = &plan.scenarios.get("corruption").unwrap().phases[0].steps[0];
    let script = step.run.as_ref().unwrap();
    let at = script.text.find("pg_restore").unwrap();
    let origin = script.place(at..at + "pg_restore".len());
    assert_eq!(SMALL.get(origin.range()), Some("pg_restore"));
    assert_eq!(script.text.lines().count(), 4);
}

#[test]
fn mistakes_are_all_told_at_once() {
    let text = "services:\n  a: { rto: 5, tire: x }\n  B: {}\nstores:\n  s: {}\n";
    let (_, findings) = parse(text);
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["S0008", "S0005", "S0008", "S0006"]);
    assert_eq!(findings[1].hint.as_deref(), Some("did you mean `tier`?"));
}

#[test]
fn the_schema_names_every_section_and_describes_every_key() {
    let schema = schema();
    let sections = schema["$defs"].as_object().unwrap();
    assert!(sections.len() > 30);
    for (name, section) in sections {
        assert!(section.is_object(), "{name}");
        for (key, property) in section["properties"].as_object().into_iter().flatten() {
            let described = property["description"].as_str().unwrap_or("");
            assert!(described.len() > 3, "{name}.{key}");
        }
    }
}
