//! Tables that say where services keep their data, and what is not copied on purpose.

use super::*;
use crate::rules::testing::{silent, titles};

const DOCUMENT: &str = "# Plan

## Objectives

| Service | RTO | RPO | Business owner |
|-|-|-|-|
| Orders (shop) | 1 h | 5 min | Sales |
| POD / CMR archive | 24 h | 24 h | Finance |
| Search | 4 h | n/a (derived) | Sales |
| Assistant | 8 h | 24 h | Sales |

## Inventory

| Service | Runs on | Data store | Hard dependencies | Soft dependencies |
|-|-|-|-|-|
| Orders | EKS ns `orders` | Aurora MySQL `orders-db` (2.1 TB) | Aurora, DNS, Office network | Search, redis-quotes |
| Archive | S3 | `acme-pod` | S3 | – |
| Search | EKS ns `search` | OpenSearch | Aurora | – |
| Assistant | EKS ns `ai` | PVC `model-x` (gp3, 300 GB) | EKS | – |

## Backups

| Data | Method | Schedule | Retention |
|-|-|-|-|
| Aurora `orders-db` | continuous (PITR) | continuous | 35 days |
| POD archive | s3 sync | Mon–Sat 04:00 | 30 days |
| ElastiCache redis-quotes | none (cache) | – | – |
| OpenSearch | none (derived) | – | – |

## DNS

Names are changed by hand.

```
```
";

#[test]
fn an_inventory_joins_services_and_stores() {
    let plan = read(FileId(0), DOCUMENT).plan;
    let state: Vec<(&str, Vec<&str>)> = plan
        .services
        .iter()
        .map(|(name, service)| {
            (name.value.as_str(), service.state.iter().map(|own| own.value.as_str()).collect())
        })
        .filter(|(_, state): &(&str, Vec<&str>)| !state.is_empty())
        .collect();
    assert_eq!(
        state,
        [
            ("orders", vec!["aurora-orders-db"]),
            ("pod-cmr-archive", vec!["pod-archive"]),
            ("search", vec!["opensearch"]),
            ("assistant", vec!["pvc-model-x"]),
        ]
    );
    let size = plan.stores.get("aurora-orders-db").unwrap().size.unwrap();
    assert_eq!(size.value.to_string(), "2100 GB");
    let orders = plan.services.get("orders").unwrap();
    assert!(orders.needs.is_empty(), "a store, a chapter and a network are no services");
    assert_eq!(orders.prefers.len(), 1, "the search; the cache is a store");
    assert!(plan.domains.is_empty(), "a namespace is no place that fails");
}

#[test]
fn nothing_is_said_of_what_an_inventory_tells() {
    assert_eq!(
        titles("S0201", DOCUMENT),
        ["nothing copies PVC model-x, although at most 1 day may be lost"]
    );
    silent("S0210", &[DOCUMENT]);
    silent("S0102", &[DOCUMENT]);
    // A table that was not understood may say where the data is.
    let unread = "# Plan\n\n## Objectives\n\n| Service | RTO | RPO |\n|-|-|-|\n| Shop | 1 h | 5 min |\n\n\
                  | Data | Colour |\n|-|-|\n| Orders | red |\n\n```\n```\n";
    silent("S0201", &[unread]);
    assert_eq!(titles("S0201", &unread.replace("| Data |", "| Wall |")).len(), 1);
}

#[test]
fn a_history_of_results_is_one_drill() {
    let plan = read(
        FileId(0),
        "# Plan\n\n## Tests\n\n| Test | Planned | Executed | Result |\n|-|-|-|-|\n\
         | Full failover | 2021-10 | 2021-10-16 | partly, aborted after the database |\n\
         | Full failover | 2022-10 | – | postponed (peak season) |\n\
         | Orders restore | 2024-09 | 2024-09-18 | PASS, 6 min with the 40 GB test set, RTO 4 h met |\n",
    )
    .plan;
    assert_eq!(plan.drills.len(), 2);
    let results = &plan.drills.get("full-failover").unwrap().results;
    let outcomes: Vec<&str> =
        results.iter().map(|result| result.outcome.unwrap().value.word()).collect();
    assert_eq!(outcomes, ["aborted", "not_done"]);
    let restore = &plan.drills.get("orders-restore").unwrap().results[0];
    assert_eq!(restore.took.unwrap().value, Duration::from_secs(6 * 60));
    assert_eq!(restore.size.unwrap().value.to_string(), "40 GB");
}

#[test]
fn a_table_of_scenarios_says_which_chapters_tell_of_them() {
    let document = |column: &str| {
        format!(
            "# Plan\n\n## 1. Threats\n\n| ID | Scenario | {column} |\n|-|-|-|\n| S1 | Loss of the region | 2 |\n\
             | S2 | Ransomware | 3 |\n\n## 2. Failover\n\n### 2.1 Steps\n\n1. Restore:\n   ```bash\n   ls /x\n   ```\n\n\
             ## S2 – ransomware\n\n1. Call Security.\n\n## 4. Order\n\n1. Nothing.\n"
        )
    };
    let scenarios = |text: &str| -> Vec<String> {
        let plan = read(FileId(0), text).plan;
        plan.scenarios.names().map(str::to_owned).collect()
    };
    assert_eq!(scenarios(&document("Plan section")), ["failover", "s2-ransomware"]);
    assert!(scenarios(&document("Colour")).iter().all(|name| name != "s2-ransomware"));
}
