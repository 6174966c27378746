//! What a user sees: plans that are read, reports of those that are not.

mod documents;
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
    let Kind::Postgres(postgres) = &store.kind else { panic!("{:?}", store.kind) };
    (store, postgres)
}

#[test]
fn the_example_is_read() {
    let plan = read(EXAMPLE);
    let (name, vault) = plan.vaults.first_key_value().unwrap();
    assert_eq!(name.as_str(), "main");
    assert_eq!(vault.url, VaultUrl::File(PathBuf::from("/srv/soter")));
    assert_eq!(vault.root_keys, [PublicKey([0; 32])]);
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

/// The examples of `docs/plan.md` are one plan in which nothing is found; every section of the
/// language has its chapter there, and every default is named.
#[test]
fn the_page_of_the_language_is_a_plan_and_says_all_there_is() {
    let page = include_str!("../../../docs/plan.md");
    let files = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let inputs: Vec<check::Input> = files
        .zip(1..)
        .map(|(text, number)| check::Input { name: format!("{number}.yaml"), bytes: text.into() })
        .collect();
    let report = check::check(check::load(&inputs), jiff::civil::date(2026, 11, 23));
    let text = render::text(&report, Paper::PLAIN);
    assert!(report.findings.is_empty(), "{text}");
    let first = inputs.first().unwrap();
    assert_eq!(parse("1.yaml", &first.bytes).unwrap().stores.len(), 1);

    for default in
        ["250 ms", "`soter_` and the store's name", "4 GiB", "`0 * * * *`", "7 days", "30 days"]
    {
        assert!(page.contains(default), "{default} is not in docs/plan.md");
    }
    let schema = language::schema();
    let sections = schema["$defs"]["Plan"]["properties"].as_object().unwrap();
    for section in sections.keys() {
        let is_chapter = |line: &str| line.starts_with("## ") && line.contains(section.as_str());
        assert!(page.lines().any(is_chapter), "`{section}` has no chapter in docs/plan.md");
    }
}

/// What the guide shows of a check was printed by one.
#[test]
fn the_excerpt_in_the_guide_is_what_is_printed() {
    let bytes = include_bytes!("../tests/documents/kosmos.md").to_vec();
    let input = check::Input { name: "kosmos.md".to_owned(), bytes };
    let report = check::check(check::load(&[input]), jiff::civil::date(2026, 11, 23));
    let printed = render::text(&report, Paper { width: 100, colour: false });
    let guide = include_str!("../../../docs/operating/check.md");
    let excerpt = guide.split("<!-- excerpt: soter check kosmos.md -->").nth(1).unwrap();
    let excerpt = excerpt.split("<!-- end -->").next().unwrap();
    let shown: String = excerpt.lines().map(|line| format!("{}\n", unindented(line))).collect();
    let mut parts: Vec<&str> = shown.split("\n…\n").map(str::trim).collect();
    // The numbers of the last line change with every rule.
    let last = parts.pop().unwrap();
    assert!(last.starts_with("kosmos.md: ") && last.contains(" errors, "), "{last}");
    assert!(parts.len() > 2, "{parts:?}");
    for part in parts {
        assert!(printed.contains(part), "not printed by `soter check`:\n{part}");
    }
}

fn unindented(line: &str) -> &str {
    line.strip_prefix("    ").unwrap_or(line)
}

/// A plan with an etcd beside nothing else.
const ETCD: &str = r#"
vaults: { main: { url: "file:///srv/soter", keys: { root: "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" } } }
stores:
  cluster:
    kind: etcd
    endpoints: ["https://10.0.0.1:2379/", "https://[::1]:2379"]
    ca_file: /tls/ca.crt
    certificate_file: /tls/client.crt
    key_file: /tls/client.key
    files: [/server/token, /server/tls/*.key]
    backup: { schedule: "*/10 * * * *" }
    vaults: [main]
"#;

#[test]
fn an_etcd_with_endpoints_is_protected() {
    let plan = read(ETCD);
    let store = plan.stores.values().next().unwrap();
    let Kind::Etcd(etcd) = &store.kind else { panic!("{:?}", store.kind) };
    assert_eq!(etcd.endpoints, ["https://10.0.0.1:2379", "https://[::1]:2379"]);
    assert_eq!(etcd.ca_file, Some(PathBuf::from("/tls/ca.crt")));
    let client =
        ClientFiles { certificate: "/tls/client.crt".into(), key: "/tls/client.key".into() };
    assert_eq!(etcd.client, Some(client));
    assert_eq!(etcd.files, ["/server/token", "/server/tls/*.key"]);
    assert_eq!(store.backup.schedule.line(), "*/10 * * * *");
}

#[test]
fn what_an_etcd_lacks_or_has_too_much_is_told() {
    let says = |from: &str, to: &str, words: &str| {
        let report = parse("soter.yaml", ETCD.replace(from, to).as_bytes()).unwrap_err();
        let text = render::text(&report, Paper::PLAIN);
        assert!(text.contains(words), "{from} -> {to}: {text}");
    };
    says("    ca_file: /tls/ca.crt\n", "", "`ca_file` is missing");
    says("    key_file: /tls/client.key\n", "", "`key_file` is missing");
    says("    certificate_file: /tls/client.crt\n", "", "`certificate_file` is missing");
    says("kind: etcd", "kind: postgres", "`endpoints` is a key of an etcd");
    says("kind: etcd", "kind: bucket", "cannot protect a store of the kind `bucket`");
    says("ca_file", "wal: { mode: synchronous }\n    ca_file", "`wal` is a key of a PostgreSQL");
    says("\"https://[::1]:2379\"", "\"https://ada:word@etcd:2379\"", "no address of a member");
    says("/server/token", "server/token", "not absolute");
    says("/server/token", "/server/../token", "no `.`, `..` or `**`");
    says(
        "    endpoints: [\"https://10.0.0.1:2379/\", \"https://[::1]:2379\"]\n",
        "",
        "`endpoints` is missing",
    );
}
