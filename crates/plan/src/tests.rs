//! What a user sees: plans that are read, reports of those that are not.

pub(crate) mod examples;
mod properties;
mod reports;

use std::path::PathBuf;
use std::time::Duration;

use crate::check::render::{self, Paper};
use crate::*;

/// The plan of the first page of the documentation.
const EXAMPLE: &str = r#"
vaults:
  main: { url: "file:///srv/soter", keys: { root: "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" } }
stores:
  orders:
    kind: postgres
    connection: "host=/run/postgresql user=soter"
    data_directory: /var/lib/postgresql/15/main
    vaults: [main]
    wal: { mode: synchronous, part_interval: 250 ms }
    backup: { schedule: "*/15 * * * *", time_zone: UTC, full_every: 7 days }
    compression: { level: 3 }
    canary: { every: 5 s }
"#;

/// A plan that says only what it must.
const SHORTEST: &str = r#"
vaults: { main: { url: "file:///srv/soter", keys: { root: "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" } } }
stores:
  my-orders: { kind: postgres, connection: dbname=x, data_directory: /data, vaults: main }
"#;

fn read(source: &str) -> Plan {
    parse("soter.yaml", source.as_bytes())
        .unwrap_or_else(|report| panic!("{}", render::text(&report, Paper::PLAIN)))
}

fn only_store(plan: &Plan) -> (&Store, &Postgres) {
    let store = plan.stores.values().next().unwrap();
    let Kind::Postgres(postgres) = &store.kind;
    (store, postgres)
}

#[test]
fn the_example_is_read() {
    let plan = read(EXAMPLE);
    let (name, vault) = plan.vaults.first_key_value().unwrap();
    assert_eq!(name.as_str(), "main");
    assert_eq!(vault.url, VaultUrl::File(PathBuf::from("/srv/soter")));
    assert_eq!(vault.root_keys, [RootKey([0; 32])]);
    assert_eq!(vault.agent_key, PathBuf::from(AGENT_KEY_DEFAULT));
    let (store, postgres) = only_store(&plan);
    assert_eq!(store.vaults, ["main".parse().unwrap()]);
    assert_eq!(postgres.connection.to_string(), "host=/run/postgresql user=soter");
    assert_eq!(postgres.data_directory, PathBuf::from("/var/lib/postgresql/15/main"));
    assert_eq!(postgres.wal.mode, WalMode::Synchronous);
    assert_eq!(postgres.wal.part_interval, Duration::from_millis(250));
    assert_eq!(store.backup.schedule.to_string(), "*/15 * * * * (UTC)");
    assert_eq!(store.backup.full_every, Duration::from_secs(7 * 86_400));
    assert_eq!(store.compression.level, 3);
    assert_eq!(store.canary, Some(Canary { every: Duration::from_secs(5) }));
}

#[test]
fn what_is_left_out_has_the_documented_defaults() {
    let plan = read(SHORTEST);
    let (store, postgres) = only_store(&plan);
    assert_eq!(
        postgres.wal,
        Wal {
            mode: WalMode::Asynchronous,
            part_interval: Duration::from_millis(250),
            slot: "soter_my_orders".to_owned(),
            application_name: "soter_my_orders".to_owned(),
            spool: None,
        }
    );
    assert_eq!(store.backup.schedule.to_string(), "0 * * * * (UTC)");
    assert_eq!(store.backup.full_every, Duration::from_secs(7 * 86_400));
    assert_eq!(store.backup.workers, 2);
    assert_eq!(store.compression, Compression { level: 3 });
    assert_eq!(store.canary, None);
    let kept = Retention { keep_for: Duration::from_secs(30 * 86_400), keep_last: 3 };
    assert_eq!(store.retention, kept);
}

#[test]
fn everything_can_be_said() {
    let source = SHORTEST.replace(
        "vaults: main }",
        "vaults: main, \
           wal: { slot: s_1, application_name: Standby-1, spool: { directory: /spool, limit: 1.5 GiB } }, \
           backup: { schedule: '@daily', time_zone: Europe/Berlin, full_every: P1D, workers: 4 }, \
           compression: { level: 19 }, canary: { every: 1min }, \
           retention: { keep_for: 1 week, keep_last: 1 } }",
    );
    let plan = read(&source);
    let (store, postgres) = only_store(&plan);
    assert_eq!(postgres.wal.slot, "s_1");
    assert_eq!(postgres.wal.application_name, "Standby-1");
    let spool = Spool { directory: PathBuf::from("/spool"), limit: ByteSize(3 << 29) };
    assert_eq!(postgres.wal.spool, Some(spool));
    assert_eq!(store.backup.schedule.time_zone().iana_name(), Some("Europe/Berlin"));
    assert_eq!(store.backup.full_every, Duration::from_secs(86_400));
    assert_eq!(store.backup.workers, 4);
    assert_eq!(store.compression.level, 19);
    assert_eq!(store.canary, Some(Canary { every: Duration::from_secs(60) }));
    assert_eq!(store.retention.keep_for, Duration::from_secs(7 * 86_400));
}

#[test]
fn what_others_protect_is_no_business_of_the_agent() {
    let source =
        SHORTEST.replace("stores:\n", "stores:\n  notes: { kind: git, vaults: [bucket] }\n");
    let source =
        source.replace("vaults: { main", "vaults: { bucket: { url: \"oss://notes/\" }, main");
    let plan = read(&source);
    assert_eq!(plan.stores.keys().map(StoreName::as_str).collect::<Vec<_>>(), ["my-orders"]);
    assert_eq!(plan.vaults.keys().map(VaultName::as_str).collect::<Vec<_>>(), ["main"]);
}

#[test]
fn what_is_said_is_written_again_the_same() {
    let input = check::Input { name: "soter.yaml".to_owned(), bytes: EXAMPLE.into() };
    let written = check::load(&[input]).plan.to_yaml().print();
    assert_eq!(read(&written), read(EXAMPLE), "{written}");
}

/// The examples of `docs/plan.md` are plans.
#[test]
fn the_page_of_the_language_names_every_default_and_its_plans_are_read() {
    let page = include_str!("../../../docs/plan.md");
    for default in
        ["250 ms", "`soter_` and the store's name", "4 GiB", "`0 * * * *`", "7 days", "30 days"]
    {
        assert!(page.contains(default), "{default} is not in docs/plan.md");
    }
    let plans: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!plans.is_empty());
    for plan in plans {
        read(plan);
    }
}
