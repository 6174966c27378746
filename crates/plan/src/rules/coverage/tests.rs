use crate::check::Severity;
use crate::rules::testing::{found, page_holds, silent, titles};

#[test]
fn the_examples_of_the_pages_are_true() {
    for rule in super::RULES {
        page_holds(rule);
    }
}

const FAR: &str = "vaults: { far: { url: \"s3://far/\" } }\n";

/// A store of this kind with these copies.
fn store(kind: &str, rest: &str) -> String {
    format!("{FAR}stores: {{ s: {{ kind: {kind}, {rest} }} }}\n")
}

#[test]
fn s0201_finds_services_and_stores_without_copies() {
    let plan = "services: { bus: { title: NATS, rpo: 15 min }, api: { rto: 1 h } }";
    assert_eq!(
        titles("S0201", plan),
        ["NATS may lose at most 15 min, and nothing says where its data is or what copies it"]
    );
    let plan = "services: { a: { rpo: 1 h, state: [d] } }\nstores: { d: { kind: files } }\n";
    assert_eq!(titles("S0201", plan), ["nothing copies d, although at most 1 h may be lost"]);
    silent(
        "S0201",
        &[
            "services: { a: { rpo: 1 h, stateless: yes } }",
            "services: { a: { rpo: 1 h, rebuilt_from: [git] } }",
            "services: { a: { rpo: 1 h, external: yes } }",
            // Its data may be kept by what it needs, known or not.
            "services: { a: { rpo: 1 h, needs: [b] }, b: { rpo: 1 h, stateless: yes } }",
            "services: { a: { rpo: 1 h, needs: [nowhere] } }",
            "tiers: { t: { rpo: 1 h } }\nservices: { a: { tier: t } }",
            "services: { a: { state: [d], external: yes } }\nstores: { d: { kind: files } }",
            &store("index", "rebuilt_from: [the documents]"),
            &store("files", "vaults: [far]"),
            &format!(
                "{FAR}policies: {{ p: {{ copies: [{{ method: copy, to: far }}] }} }}\nstores: {{ s: {{ kind: files, policy: p }} }}\n"
            ),
        ],
    );
}

const DUMP: &str = "{ method: dump, schedule: \"0 2 * * *\", to: far }";
const JOB: &str = "{ method: dump, schedule: \"0 2 * * *\", to: far, run: pg_dump x > y }";
const LOG: &str = "{ method: log, every: 1 min, to: far }";
const BASE: &str = "{ method: base, schedule: \"0 2 * * *\", to: far }";
const WEEKLY: &str = "{ method: base, every: weekly, to: far }";

fn postgres(copies: &[&str]) -> String {
    store("postgres", &format!("rpo: 15 min, copies: [{}]", copies.join(", ")))
}

#[test]
fn s0202_counts_what_the_jobs_make() {
    let missed = ["s may lose 15 min, and its copies lose up to 1 day"];
    assert_eq!(titles("S0202", &postgres(&[DUMP])), missed);
    assert_eq!(titles("S0202", &postgres(&[DUMP, LOG])), missed);
    // A base is described, and the job that runs then makes a dump.
    let shown = postgres(&[BASE, LOG, JOB]);
    assert_eq!(titles("S0202", &shown), missed);
    let finding = &found("S0202", &shown)[0];
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(
        finding.proof.as_deref(),
        Some("1 day between two dumps is the best of its copies; 15 min are promised")
    );
    silent(
        "S0202",
        &[
            &postgres(&[BASE, LOG]),
            &postgres(&[DUMP, BASE, LOG]),
            &postgres(&["{ method: copy, to: far }"]),
            &store("postgres", "rpo: 15 min, vaults: [far]"),
            &store("postgres", &format!("copies: [{DUMP}]")),
        ],
    );
}

#[test]
fn s0202_asks_scenarios_and_groups_too() {
    let copies = format!("{FAR}stores: {{ s: {{ kind: postgres, copies: [{DUMP}] }} }}\n");
    let group = format!("{copies}groups: {{ g: {{ stores: [s], rpo: 1 h }} }}\n");
    assert_eq!(titles("S0202", &group), ["s may lose 1 h (g), and its copies lose up to 1 day"]);
    let scenario = format!("{copies}scenarios: {{ broken: {{ destroys: [s], rpo: 15 min }} }}\n");
    assert_eq!(
        titles("S0202", &scenario),
        ["s may lose 15 min (broken), and its copies lose up to 1 day"]
    );
    silent("S0202", &[&scenario.replace("destroys: [s]", "impact: none")]);
}

#[test]
fn s0202_a_replica_follows_the_damage() {
    let replica = "{ method: replica, continuous: yes, to: far }";
    let plan = |copies: &str| {
        let store = store("bucket", &format!("rpo: 1 h, copies: [{copies}]"));
        format!("{store}scenarios: {{ breach: {{ hostile: yes }} }}\n")
    };
    assert_eq!(
        titles("S0202", &plan(replica)),
        ["breach: s loses everything, because its replica follows the damage"]
    );
    let both = format!("{replica}, {{ method: copy, every: daily, to: far }}");
    assert_eq!(
        titles("S0202", &plan(&both)),
        ["breach: s loses up to 1 day between two copies, because its replica follows the damage"]
    );
    silent("S0202", &[&plan(&format!("{replica}, {{ method: copy, every: 30 min, to: far }}"))]);
}

#[test]
fn s0210_and_s0211_hold_descriptions_against_jobs() {
    let logs = "the logs of s can be replayed on nothing: a dump is no base for them";
    assert_eq!(titles("S0210", &postgres(&[BASE, WEEKLY, LOG, JOB])), [logs]);
    assert_eq!(
        titles("S0210", &postgres(&[LOG])),
        ["the logs of s can be replayed on nothing: there is no base"]
    );
    assert_eq!(
        titles("S0211", &postgres(&[BASE, WEEKLY, LOG, JOB])),
        [
            "a base of s is described; the job that runs then makes a dump",
            "a base of s is described, and no job makes it"
        ]
    );
    let mixed = BASE.replace("to: far", "to: far, run: pg_dump x > y");
    assert_eq!(
        titles("S0211", &postgres(&[&mixed])),
        ["a base of s is described, and its job makes a dump"]
    );
    let named = BASE.replace("to: far", "to: far, by: pgbackrest");
    silent(
        "S0211",
        &[&postgres(&[BASE, LOG]), &postgres(&[&named, LOG, JOB]), &postgres(&[DUMP, JOB])],
    );
    silent(
        "S0210",
        &[
            &postgres(&[&named, LOG, JOB]),
            &postgres(&[BASE, LOG]),
            &postgres(&[DUMP]),
            &store("sql", &format!("copies: [{DUMP}, {LOG}]")),
        ],
    );
}

#[test]
fn s0212_versions_beside_the_data_are_no_backup() {
    let versions = "{ method: versions, keep: 90 days }";
    let replica = "{ method: replica, continuous: yes, to: far }";
    let plan = store("bucket", &format!("copies: [{replica}, {versions}]"));
    assert_eq!(
        titles("S0212", &plan),
        ["s has no copy that stays as it was, only what follows it"]
    );
    silent(
        "S0212",
        &[
            &store("bucket", &format!("copies: [{replica}, {DUMP}]")),
            &store("bucket", "size: 1 GiB"),
        ],
    );
}

#[test]
fn s0205_tells_what_fails_together_once() {
    let plan = format!(
        "{FAR}stores:\n  a: {{ kind: files, copies: [{DUMP}] }}\n  b: {{ kind: files, copies: [{DUMP}] }}\n"
    );
    assert_eq!(titles("S0205", &plan), ["all copies of a, b are in one place: far"]);
    let key = "vaults: { v: { url: \"s3://v/\", deleted_with: [admin] }, w: { url: \"s3://w/\" } }\ncredentials: { admin: { can_delete: [w] } }\nstores: { a: { kind: files, copies: [{ method: copy, to: v }, { method: copy, to: w }] } }\n";
    assert_eq!(titles("S0205", key), ["admin can delete every copy of a"]);
    let region = "domains: { p: { title: Provider }, r1: { within: p }, r2: { within: p } }\nvaults: { v: { url: \"s3://v/\", domains: [r1] }, w: { url: \"s3://w/\", domains: [r2] } }\nstores: { a: { kind: files, copies: [{ method: copy, to: v }, { method: copy, to: w }] } }\n";
    assert_eq!(titles("S0205", region), ["all copies of a lie in Provider"]);
    let policy = format!(
        "{FAR}policies: {{ p: {{ copies_min: 3, copies: [{DUMP}] }} }}\nstores: {{ a: {{ kind: files, policy: p }} }}\n"
    );
    assert_eq!(
        titles("S0205", &policy),
        ["a has 2 copies with the living one, and its policy asks for 3"]
    );
    silent(
        "S0205",
        &[
            &key.replace("url: \"s3://w/\"", "url: \"s3://w/\", immutable_for: 30 days"),
            &key.replace("can_delete: [w]", "kept_in: [safe]"),
            &region.replace("r2: { within: p }", "r2: {}"),
            &policy.replace("copies_min: 3", "copies_min: 2"),
            "stores: { a: { kind: files, copies: [{ method: copy, every: daily }] } }",
        ],
    );
}

#[test]
fn s0205_takes_no_vault_for_a_copy_that_soter_does_not_write_to() {
    let plan = "vaults: { v: { url: \"s3://v/\" }, w: { url: \"s3://w/\", title: Elsewhere } }\n\
                stores: { a: { kind: postgres, vaults: [v, w] } }\n";
    assert_eq!(
        titles("S0205", plan),
        [
            "all copies of a are in one place: v",
            "Soter keeps a in v only: nothing of it is stored in Elsewhere",
        ]
    );
    let copied = plan.replace("[v, w]", "[v], copies: [{ method: base, every: daily, to: w }]");
    silent("S0205", &[&copied]);
}

#[test]
fn s0206_asks_how_far_back_the_copies_reach() {
    let plan = |keep: &str, lock: &str, scenario: &str| {
        format!(
            "vaults: {{ far: {{ url: \"s3://far/\"{lock} }} }}\nstores: {{ s: {{ kind: etcd, copies: [{{ method: snapshot, every: 6 h, to: far{keep} }}] }} }}\nscenarios: {{ x: {{ {scenario} }} }}\n"
        )
    };
    let (week, lock, hostile) = (", keep: 7 days", ", immutable_for: 40 days", "hostile: yes");
    assert_eq!(
        titles("S0206", &plan(week, lock, hostile)),
        ["no copy of s is older than 7 days, and whoever got in may have been there for 30 days"]
    );
    assert_eq!(
        titles("S0206", &plan("", "", hostile)),
        ["x: nothing keeps an intruder from deleting all copies of s"]
    );
    silent(
        "S0206",
        &[
            &plan(week, "", "impact: none"),
            &plan("", lock, hostile),
            &plan(", keep: 3 months", ", offline: yes", hostile),
            &format!("{}assumptions: {{ dwell: 3 days }}\n", plan(week, lock, hostile)),
            &plan(week, "", hostile).replace("kind: etcd,", "kind: index, rebuilt_from: [git],"),
        ],
    );
}

const PLACES: &str = "\
domains: { region: {}, n1: { within: region }, n2: { within: region }, bucket: {} }
services: { api: { domains: [n1, n2], survives: 1 }, web: { needs: [api] } }
stores: { data: { kind: files, domains: [n1], vaults: [v] } }
vaults: { v: { url: \"s3://v/\", domains: [bucket] } }
scenarios: { fire: { loses: [office] } }
";

#[test]
fn s0207_takes_away_each_domain_and_each_pair() {
    assert_eq!(
        titles("S0207", PLACES),
        [
            "no scenario recovers from the loss of region, which takes api, web",
            "no scenario recovers from the loss of bucket, which takes v",
            "the loss of bucket and n1 at once destroys data for good",
        ]
    );
    let scenarios = "scenarios: { a: { loses: [region] }, b: { loses: [bucket] } }";
    let covered = PLACES.replace("scenarios: { fire: { loses: [office] } }", scenarios);
    let pair = "the loss of bucket and n1 at once destroys data for good";
    assert_eq!(titles("S0207", &covered), [pair]);
    assert_eq!(found("S0207", &covered)[0].severity, Severity::Note);
    silent(
        "S0207",
        &[
            &covered.replace("loses: [bucket]", "loses: [n1, bucket]"),
            &covered.replace("bucket: {}", "bucket: { accepted: by the board }"),
            &covered.replace("domains: [bucket]", "domains: [bucket], offline: yes"),
            &PLACES.replace("scenarios:", "after_incident: {}\n#"),
            "domains: { a: {} }\nscenarios: { s: { rto: 1 h } }\n",
        ],
    );
}

#[test]
fn a_store_of_which_one_machine_is_known_is_perhaps_elsewhere_too() {
    let plan = "domains: { box: { kind: node } }\n\
        stores: { files: { kind: files, domains: [box] } }\n\
        scenarios: { dead: { loses: [box], phases: [{ steps: [{ run: reboot }] }] } }\n";
    let title = "dead takes the only place named for files, and no step brings it back";
    assert_eq!(titles("S0208", plan), [title]);
    let many = plan.replace("[box] }", "[box], survives: 1 }");
    silent("S0208", &[&many]);
    let said = plan.replace("loses: [box]", "destroys: [files]");
    assert_eq!(titles("S0208", &said), ["dead destroys files, and no step brings it back"]);
}

#[test]
fn s0208_believes_a_step_in_words() {
    let plan = "\
stores: { streams: { kind: queue, title: NATS JetStream, domains: [site], vaults: [near] } }
vaults: { near: { url: \"file:///x\", domains: [site] } }
scenarios: { loss: { loses: [site], phases: [{ steps: [{ manual: wait }] }] } }
";
    assert_eq!(titles("S0208", plan), ["loss destroys NATS JetStream, and no step brings it back"]);
    let told = plan.replace("manual: wait", "manual: restore the streams of NATS by hand");
    assert_eq!(titles("S0208", &told), ["loss: all copies of NATS JetStream are lost with it"]);
    silent(
        "S0208",
        &[
            &told.replace("file:///x\", domains: [site]", "file:///x\""),
            &plan.replace("steps: [{ manual: wait }]", "budget: 5 min"),
            &plan.replace("vaults: [near]", "rebuilt_from: [nothing]"),
            &plan.replace("loses: [site]", "impact: none"),
        ],
    );
}

#[test]
fn s0209_counts_drills_and_checks() {
    let plan = |copy: &str, rest: &str| {
        format!(
            "{}{rest}",
            store(
                "postgres",
                &format!("copies: [{{ method: dump, every: daily, to: far{copy} }}]")
            )
        )
    };
    assert_eq!(titles("S0209", &plan("", "")), ["no drill and no check ever restores a copy of s"]);
    let scenario = "scenarios: { x: { phases: [{ steps: [{ restore: { store: s } }] }] } }\n";
    let drill =
        |kind: &str| format!("{scenario}drills: {{ d: {{ kind: {kind}, scenarios: [x] }} }}\n");
    assert_eq!(titles("S0209", &plan("", &drill("tabletop"))).len(), 1);
    silent(
        "S0209",
        &[
            &plan(", verified_every: weekly", ""),
            &plan("", &drill("full")),
            &plan("", "drills: { d: { kind: restore } }\n"),
        ],
    );
}

#[test]
fn s0203_follows_names_from_job_to_step() {
    let plan = |job: &str, step: &str| {
        format!(
            "{FAR}stores: {{ s: {{ kind: postgres, copies: [{{ method: dump, to: far, run: \"{job}\" }}] }} }}\nscenarios: {{ x: {{ phases: [{{ steps: [{{ run: \"{step}\" }}] }}] }} }}\n"
        )
    };
    let job = "aws s3 cp a s3://far/db/orders_${STAMP}.dump";
    let wrong = plan(job, "aws s3 cp s3://far/db/latest.dump /tmp/");
    assert_eq!(
        titles("S0203", &wrong),
        ["x reads s3://far/db/latest.dump, which nothing in the plan writes"]
    );
    let elsewhere = plan(job, "aws s3 cp s3://other/latest.dump /tmp/");
    assert_eq!(found("S0203", &elsewhere)[0].severity, Severity::Warning);
    silent(
        "S0203",
        &[
            &plan(job, "aws s3 cp s3://far/db/orders_2026.dump /tmp/"),
            &plan(job, "aws s3 cp s3://far/db/$NEWEST /tmp/"),
            &plan(job, "aws s3 cp --recursive s3://far/db/ /tmp/"),
            &plan(job, "cp /backup/latest.dump /tmp/"),
            &plan(
                job,
                "aws s3 cp b s3://far/db/latest.dump; aws s3 cp s3://far/db/latest.dump /tmp/",
            ),
            &format!(
                "{}# ",
                wrong.replace(
                    "method: dump, to: far,",
                    "method: dump, to: far, artefact: db/latest.dump,"
                )
            ),
        ],
    );
}

#[test]
fn s0204_knows_what_products_need() {
    let plan = |includes: &str, scenario: &str| {
        format!(
            "{FAR}stores: {{ s: {{ kind: etcd, title: etcd (K3s), copies: [{{ method: snapshot, every: 6 h, to: far{includes} }}] }} }}\nscenarios: {{ x: {{ {scenario} }} }}\n"
        )
    };
    let found = titles("S0204", &plan("", "destroys: [s]"));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("a restore of etcd (K3s) needs the token of the server"),
        "{found:?}"
    );
    let all = ", includes: [server-token, k3s-config, k3s-version]";
    silent(
        "S0204",
        &[
            &plan(all, "destroys: [s]"),
            &plan("", "impact: none"),
            &plan("", "destroys: [s]").replace("kind: etcd, title: etcd (K3s)", "kind: other"),
        ],
    );
}

#[test]
fn a_cache_that_holds_the_only_copy() {
    let plan = |service: &str, from: &str| {
        format!(
            "services: {{ dispatch: {{ {service} }} }}\nstores: {{ jobs: {{ kind: queue, rebuilt_from: [{from}] }} }}"
        )
    };
    assert_eq!(
        titles("S0201", &plan("rpo: 15 min, state: [jobs]", "none (cache)")),
        [
            "jobs is called a cache and not copied, and dispatch keeps its data there: at most 15 min may \
          be lost"
        ]
    );
    for (service, from) in [
        ("rpo: 15 min, state: [jobs]", "the orders"),
        ("state: [jobs]", "none (cache)"),
        ("rpo: 15 min, stateless: yes, state: [jobs]", "none (cache)"),
        ("rpo: 15 min, rebuilt_from: [orders], state: [jobs]", "none (cache)"),
        ("stateless: yes", "none (cache)"),
    ] {
        silent("S0201", &[&plan(service, from)]);
    }
}

#[test]
fn full_copies_that_are_gone_before_the_next() {
    let plan = |copies: &str| format!("stores: {{ orders: {{ kind: sql, copies: [{copies}] }} }}");
    let full = "{ method: base, every: weekly, keep: 5 days }";
    let increments = "{ method: base, by: xtrabackup incremental, every: daily, keep: 14 days }";
    for copies in [full.to_owned(), format!("{full}, {increments}")] {
        assert_eq!(
            titles("S0206", &plan(&copies)),
            [
                "a full copy of orders is made every 7 days and kept for 5 days: for 2 days there is none"
            ]
        );
    }
    for copies in [
        "{ method: base, every: weekly, keep: 14 days }".to_owned(),
        "{ method: base, every: weekly, keep: 7 days }".to_owned(),
        format!("{full}, {{ method: dump, every: daily, keep: 3 days }}"),
        format!("{full}, {{ method: dump, every: daily }}"),
        format!("{full}, {{ by: AWS Backup, continuous: yes }}"),
    ] {
        silent("S0206", &[&plan(&copies)]);
    }
}

#[test]
fn a_copy_that_is_made_before_the_dump() {
    let document = |copied: &str, rpo: &str| {
        format!(
            "# Plan\n\n## Objectives\n\n| Service | RTO | RPO | Data store |\n|-|-|-|-|\n\
             | Billing | 24 h | {rpo} | RDS `billing` |\n\n## Backups\n\n\
             | Data | Method | Schedule | Stored in |\n|-|-|-|-|\n\
             | RDS `billing` | mysqldump | daily 02:30 | bkp-01 |\n\
             | RDS `billing` | copy of the dumps to the other region | daily {copied} | s3://far/ |\n\n```\n```\n"
        )
    };
    let found = titles("S0202", &document("01:00", "24 h"));
    assert_eq!(
        found,
        [
            "the copy of RDS billing elsewhere is made before the dump of the day: up to 46 h 30 min are lost \
          with the place, and 1 day may be"
        ]
    );
    silent("S0202", &[&document("04:00", "24 h"), &document("01:00", "48 h")]);
}

#[test]
fn a_copy_that_follows_its_source() {
    let document = |keep: &str| {
        format!(
            "# Plan\n\n## Backups\n\n| Data | Method | Schedule | Retention |\n|-|-|-|-|\n\
             | Documents | aws s3 sync | daily 04:00 | {keep} |\n\n```\n```\n"
        )
    };
    assert_eq!(
        titles("S0212", &document("current state")),
        ["Documents has no copy that stays as it was, only what follows it"]
    );
    silent("S0212", &[&document("90 days"), &document("–")]);
}
