//! Any bytes are read or refused, and what is written is read back.

use proptest::prelude::*;

use super::{EXAMPLE, only_store};
use crate::check::render::{self, Paper};
use crate::*;

/// A report is made for whatever is refused, so that drawing it is tried too.
fn never_panics(bytes: &[u8]) {
    if let Err(report) = parse("soter.yaml", bytes) {
        assert!(!report.findings.is_empty());
        assert!(!render::text(&report, Paper::PLAIN).is_empty());
        assert!(!render::text(&report, Paper { width: 20, colour: true }).is_empty());
        if report.findings.len() > 1000 {
            return;
        }
        assert!(serde_json::to_string(&render::json(&report)).is_ok());
        assert!(!render::sarif(&report, render::Tool { version: "1.0.0" }).is_null());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        never_panics(&bytes);
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(
        text in "([a-z]{1,3}|: |:|\n|\n  |\n    |- |\\[|\\]|\\{|\\}|, |'|\"|&a |\\*a|!t |#|\\||>|\\$\\{|\t|\r|---\n|ä|%|\\?|<<|~){0,60}"
    ) {
        never_panics(text.as_bytes());
    }

    #[test]
    fn any_damage_to_a_plan_is_read_or_refused(
        cuts in proptest::collection::vec((0..EXAMPLE.len(), 0usize..4, "[^a]{0,3}"), 1..5)
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for (at, len, put) in cuts {
            let at = at.min(bytes.len());
            let end = (at + len).min(bytes.len());
            bytes.splice(at..end, put.bytes());
        }
        never_panics(&bytes);
    }

    #[test]
    fn any_value_of_any_key_is_read_or_refused(
        key in "(url|root|kind|connection|data_directory|mode|part_interval|schedule|time_zone|full_every|level|every)",
        value in "('[^']{0,12}'|\"[^\"\\\\]{0,12}\"|[^\n]{0,12}|\\[[^\n]{0,6}\\])"
    ) {
        let source: String = EXAMPLE
            .replace("{ ", "{")
            .replace(&format!("{key}: "), &format!("{key}: {value} , x: "));
        never_panics(source.as_bytes());
        let line = format!("    {key}: {value}\n");
        never_panics((EXAMPLE.to_owned() + &line).as_bytes());
    }

    #[test]
    fn a_password_never_appears_in_a_report(
        before in "(host=a )?",
        quote in "(''|'|)",
        secret in "[A-Z]{6,12}",
        damage in "(|:|\\]|\"|\t|&a)"
    ) {
        let source = format!("stores:\n  a:\n    connection: {damage}\"{before}password={quote}{secret}{quote}\"\n    b: [{damage}\n");
        let report = parse("soter.yaml", source.as_bytes()).unwrap_err();
        let text = render::text(&report, Paper::PLAIN);
        prop_assert!(!text.contains(&secret), "{}", text);
        let json = serde_json::to_string(&render::json(&report)).unwrap();
        prop_assert!(!json.contains(&secret), "{}", json);
        let sarif = render::sarif(&report, render::Tool { version: "1.0.0" }).to_string();
        prop_assert!(!sarif.contains(&secret), "{}", sarif);
    }

    #[test]
    fn a_written_plan_reads_back(
        vault in "[a-z][a-z0-9_-]{0,39}",
        store in "[a-z][a-z0-9_-]{0,39}",
        path in "/[^/\0]{1,10}(/[^\0]{0,20}[^/\0])?",
        data_directory in "/d(\\$\\{|\\$|\\{url\\}|\"|\\\\|\\PC){0,20}",
        agent_key in "/k(\\$\\{|\\$|\\{url\\}|\"|\\\\|\\PC){0,20}",
        host in "(\\$\\{|'|\\\\|\\PC){1,20}",
        keys in proptest::collection::btree_set(any::<[u8; 32]>(), 1..=3),
        synchronous: bool,
    ) {
        let host = host.replace('\\', "\\\\").replace('\'', "\\'").replace('$', "\\$");
        let facts = Facts {
            vault: vault.parse().unwrap(),
            url: VaultUrl::File(path.into()),
            root_keys: keys.into_iter().map(PublicKey).collect(),
            agent_key,
            store: store.parse().unwrap(),
            connection: Connection::parse(&format!("host='{host}' password=${{file:/a b}}")).unwrap(),
            data_directory,
            mode: if synchronous { WalMode::Synchronous } else { WalMode::Asynchronous },
        };
        let text = write(&facts);
        let plan = parse("soter.yaml", text.as_bytes()).map_err(|report| {
            TestCaseError::fail(format!("{text}\n{}", render::text(&report, Paper::PLAIN)))
        })?;
        prop_assert_eq!(plan.vaults.len(), 1);
        let vault = &plan.vaults[&facts.vault];
        prop_assert_eq!(&vault.url, &facts.url);
        prop_assert_eq!(&vault.root_keys, &facts.root_keys);
        prop_assert_eq!(vault.agent_key.to_str(), Some(facts.agent_key.as_str()));
        let (store, postgres) = only_store(&plan);
        prop_assert!(plan.stores.contains_key(&facts.store));
        prop_assert_eq!(&store.vaults, &[facts.vault]);
        prop_assert_eq!(&postgres.connection, &facts.connection);
        prop_assert_eq!(postgres.data_directory.to_str(), Some(facts.data_directory.as_str()));
        prop_assert_eq!(postgres.wal.mode, facts.mode);
    }
}

/// The commented keys of a written plan are the defaults: lifting them changes nothing.
#[test]
fn the_comments_of_a_written_plan_are_its_defaults() {
    let facts = Facts {
        vault: "main".parse().unwrap(),
        url: "file:///srv/soter".parse().unwrap(),
        root_keys: vec![PublicKey([7; 32])],
        agent_key: "/etc/soter/agent.key".to_owned(),
        store: "orders".parse().unwrap(),
        connection: Connection::parse("host=/run/postgresql user=soter").unwrap(),
        data_directory: "/var/lib/postgresql/15/main".to_owned(),
        mode: WalMode::Synchronous,
    };
    let text = write(&facts);
    let lifted: String = text
        .lines()
        .filter(|line| !line.contains("#spool"))
        .map(|line| match line.split_once('#') {
            Some((indent, key)) if key.starts_with(|c: char| c.is_ascii_lowercase()) => {
                format!("{indent}{key}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(text, lifted);
    let read = |text: &str| parse("soter.yaml", text.as_bytes()).unwrap();
    assert_eq!(read(&text), read(&lifted));
}

/// Files of the largest size, each bad in its own way, are refused in a time nobody notices; what
/// is measured here is only that the test ends.
#[test]
fn large_files_do_not_take_long() {
    for piece in [
        "a: &a b\n",
        "- *a\n",
        "a: ",
        "password='",
        "://",
        "{",
        "[a, ",
        "? ",
        "\"",
        "# x\n",
        "a\n: ",
    ] {
        let source = piece.repeat((256 << 10) / piece.len());
        never_panics(source.as_bytes());
        never_panics(format!("vaults:\n  main: {source}").as_bytes());
    }
}
