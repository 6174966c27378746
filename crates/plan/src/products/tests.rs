//! The data is whole, and says of real commands what is true of them.

use std::collections::BTreeSet;

use super::*;
use crate::shell;

fn kinds(text: &str) -> Vec<FactKind> {
    let shell = shell::read(text);
    let command = &shell.commands[0];
    let invocation = Invocation::of(command).unwrap();
    let facts = invocation.program.facts.iter();
    facts.filter(|fact| invocation.holds(fact.when.as_ref())).filter_map(|fact| fact.kind).collect()
}

#[test]
fn every_file_can_be_read_and_is_listed() {
    let mut found = Vec::new();
    for (name, text) in files::PROGRAMS {
        found.extend(
            read_with_findings::<Program>(text).1.iter().map(|why| format!("{name}: {why}")),
        );
    }
    for (name, text) in files::FAMILIES {
        let (_, whys) = read_with_findings::<FamilyFile>(text);
        found.extend(whys.iter().map(|why| format!("{name}: {why}")));
    }
    for (name, text) in files::RESTORES {
        let (_, whys) = read_with_findings::<RestoresFile>(text);
        found.extend(whys.iter().map(|why| format!("{name}: {why}")));
    }
    found.extend(read_with_findings::<ProductsFile>(files::PRODUCTS).1);
    found.extend(read_with_findings::<SettingsFiles>(files::SETTINGS).1);
    assert_eq!(found, Vec::<String>::new());

    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/products");
    for (name, listed) in [
        ("programs", files::PROGRAMS),
        ("families", files::FAMILIES),
        ("restores", files::RESTORES),
    ] {
        let there: BTreeSet<String> = std::fs::read_dir(folder.join(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let listed: BTreeSet<String> = listed.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(there, listed, "products/files.rs lists every file of {name}/");
    }
}

#[test]
fn every_fact_says_what_a_finding_needs() {
    let mut names = BTreeSet::new();
    for program in programs() {
        let name = program.names.first().unwrap();
        for name in &program.names {
            assert!(names.insert(name), "{name} stands in two files");
        }
        for fact in &program.facts {
            let kind = fact.kind.unwrap();
            let says = |text: &Option<String>, key: &str| {
                let text = text.as_deref().unwrap_or("");
                assert!(!text.is_empty(), "{name}: {kind} says no `{key}`");
                assert!(!text.ends_with('.') || text.contains(". "), "{name}: {text}");
            };
            let finding =
                matches!(kind, FactKind::Misuse | FactKind::Endless | FactKind::NeverFails);
            if finding {
                says(&fact.why, "why");
                says(&fact.instead, "instead");
            }
            if finding || matches!(kind, FactKind::Destructive | FactKind::Interactive) {
                says(&fact.what, "what");
            }
            if kind == FactKind::Misuse {
                assert!(fact.severity.is_some(), "{name}: a misuse has a severity");
            }
        }
    }
}

#[test]
fn every_need_belongs_to_a_product() {
    for product in KNOWLEDGE.restores.keys() {
        assert!(products().iter().any(|known| known.name.as_deref() == Some(product)), "{product}");
    }
    assert_eq!(restore_needs("k3s")[0].what.as_deref(), Some("the token of the server"));
    assert_eq!(restore_needs("nothing"), []);
}

#[test]
fn uses_are_told_apart_by_subcommand_and_options() {
    use FactKind::*;
    for (text, expect) in [
        ("kubectl -n db logs -f postgres-0", vec![Endless, Shows]),
        ("kubectl logs --tail=100 postgres-0", vec![Shows]),
        ("kubectl delete pod postgres-0 -n db", vec![Changes]),
        ("kubectl delete pvc data-0", vec![Destructive, Destructive]),
        ("kubectl delete node node-1", vec![Destructive]),
        ("kubectl delete node node-1 --dry-run=server", vec![]),
        ("terraform -chdir=x apply -auto-approve", vec![Destructive, Provisions]),
        ("terraform apply plan.out", vec![Provisions]),
        ("pg_restore -d kosmos -c /tmp/x", vec![Restores, Destructive, Misuse, Misuse]),
        ("pg_restore -Fc -ec1 --if-exists -d kosmos /tmp/x", vec![Restores, Destructive]),
        ("curl https://x/health", vec![NeverFails]),
        ("curl -fsS https://x/health", vec![]),
        ("curl -sS -o /dev/null -w '%{http_code}' https://x", vec![Copies]),
        ("find /backup -mtime +7 -delete", vec![Deletes, Misuse]),
        ("find /backup -name '*.dump' -mtime +7 -delete", vec![Deletes]),
        ("rsync -a --delete a/ b/", vec![Destructive, Copies]),
        ("psql -tAc 'select 1'", vec![]),
        ("psql -tAc 'select a from b'", vec![Shows]),
        ("psql db", vec![Interactive]),
        ("psql -v ON_ERROR_STOP=1 -f x.sql", vec![Restores]),
        ("ssh -i key host", vec![Interactive]),
        ("ssh host uptime", vec![]),
    ] {
        assert_eq!(kinds(text), expect, "{text}");
    }
}

#[test]
fn what_a_command_reads_and_writes_is_known() {
    for (text, reads, writes) in [
        ("aliyun oss cp oss://b/x /tmp/", vec!["oss://b/x"], vec!["/tmp/"]),
        ("aws s3 cp --region eu a s3://b/a", vec!["a"], vec!["s3://b/a"]),
        ("pg_dump -Fc -f x.dump db", vec![], vec!["x.dump"]),
        ("pg_restore -d db /tmp/x.dump", vec!["/tmp/x.dump"], vec![]),
        ("scp a b host:/c", vec!["a", "b"], vec!["host:/c"]),
    ] {
        let shell = shell::read(text);
        let artefacts = Invocation::of(&shell.commands[0]).unwrap().artefacts();
        let texts = |found: &[(String, &shell::Word)]| -> Vec<String> {
            found.iter().map(|(text, _)| text.clone()).collect()
        };
        assert_eq!(texts(&artefacts.reads), reads, "{text}");
        assert_eq!(texts(&artefacts.writes), writes, "{text}");
    }
}

#[test]
fn products_are_recognised_by_the_words_people_use() {
    for (text, expect) in [
        ("PostgreSQL (Primary)", Some("postgres")),
        ("etcd (K3s)", Some("etcd")),
        ("etcd snapshots", Some("etcd")),
        ("MinIO (Object Storage)", Some("minio")),
        ("NATS JetStream", Some("nats")),
        ("Dragonfly (Cache)", Some("dragonfly")),
        ("RDS MySQL", Some("mysql")),
        ("orders database (Aurora PostgreSQL)", Some("postgres")),
        ("Vector DB", Some("vectors")),
        ("API Gateway", None),
        ("Zeus Orchestrator", None),
        ("possession", None),
    ] {
        assert_eq!(recognise(text).and_then(|product| product.name.as_deref()), expect, "{text}");
    }
    assert_eq!(recognise("Redis").unwrap().state, Some(ProductState::Cache));
}

#[test]
fn invented_programs_are_told_from_real_ones() {
    assert!(invented_member("pg_wal_replay").is_some());
    for real in ["pg_dump", "pg_repack", "pg_lsclusters", "psql", "pg_dump-16", "kubectl"] {
        assert!(invented_member(real).is_none(), "{real}");
    }
}

#[test]
fn patterns_match_with_stars_alone() {
    for (text, pattern, expect) in [
        ("abc", "abc", true),
        ("abc", "a*", true),
        ("abc", "*c", true),
        ("abc", "a*b*c", true),
        ("abc", "*d*", false),
        ("aba", "*a", true),
        ("ab", "ab*b", false),
        ("", "*", true),
    ] {
        assert_eq!(is_like(text, pattern), expect, "{text} {pattern}");
    }
}
