//! The reports as they are printed.

use insta::assert_snapshot;

use super::{EXAMPLE, SHORTEST};
use crate::check::Report;
use crate::check::render::{self, Paper};
use crate::language::Place;
use crate::*;

fn refused(source: impl AsRef<[u8]>) -> Report {
    parse("soter.yaml", source.as_ref()).unwrap_err()
}

/// What is printed for a plan that is wrong.
fn report(source: impl AsRef<[u8]>) -> String {
    render::text(&refused(source), Paper::PLAIN)
}

/// What is printed for the example with one thing replaced.
fn with(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    report(EXAMPLE.replace(from, to))
}

/// The findings for the example with one thing replaced, a line each.
fn titles(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    list(&EXAMPLE.replace(from, to))
}

/// Place, code, title and hint of each finding.
fn list(source: &str) -> String {
    let report = refused(source);
    let lines = report.findings.iter().map(|finding| {
        let origin = finding.origin();
        let source = report.sources.file(origin.file).unwrap();
        let Place { line, column } = source.place(origin.range().start);
        let hint = finding.hint.as_deref().unwrap_or("-");
        format!("{line}:{column} {} {} | {hint}\n", finding.code, finding.title)
    });
    lines.collect()
}

#[test]
fn a_key_with_a_slip() {
    assert_snapshot!(with("compression:", "compresion:"), @r"
    error[S0005]: `compresion` is not a key of a store
      --> soter.yaml:12:5
       |
    12 |     compresion: { level: 3 }
       |     ^^^^^^^^^^
       |
       = why: a key with a slip in it sets nothing: what it was meant to say would
              silently be left out
       = help: did you mean `compression`?

    soter.yaml: 1 error
    `soter explain S0005` says more about a finding
    ");
}

#[test]
fn all_mistakes_at_once() {
    assert_snapshot!(
        list(
            "vaults:\n  main:\n    url: /srv/soter\n    keys: { root: [] }\nstores:\n  Orders:\n    \
             kind: postgresql\n    vaults: [mian]\n    wal: { mode: sync, part_interval: 250 }\n    \
             backup:\n    compression: 3\n    unknown: true\n"
        ),
        @r#"
    3:10 S0008 a vault's address is a URL | write it as file:///srv/soter
    4:13 S0007 `root` is an empty list here | write a list with at least one entry
    6:3 S0006 `connection` is missing: a store that Soter protects must have it | add `connection: "host=/run/postgresql user=soter"`
    6:3 S0006 `data_directory` is missing: a store that Soter protects must have it | add `data_directory: /var/lib/postgresql/15/main`
    6:3 S0008 `Orders` is no name | a name has 1 to 64 characters: small letters, digits, `-`, `_` and `.`
    7:11 S0008 `postgresql` is not a kind of store | did you mean `postgres`?
    8:14 S0010 no vault is called `mian` | did you mean `main`?
    9:18 S0008 `sync` is not a mode | it is one of: asynchronous, synchronous
    9:39 S0008 `250` has no unit | say what it counts: 5 s, 250 ms, 15 min
    10:5 S0007 `backup` has no value | write a section: keys with values below it, or remove the key
    11:5 S0007 `compression` is a text here | write a section: keys with values below it
    12:5 S0005 `unknown` is not a key of a store | its keys are title, kind, product, size, restore_rate, rpo, domains, location, survives, points_to, rebuilt_from, policy, copies, vaults, connection, endpoints, ca_file, certificate_file, key_file, files, data_directory, wal, backup, compression, canary, retention
    "#);
}

#[test]
fn a_plain_password_is_reported_and_never_shown() {
    let shown = with("user=soter", "user=soter password=hunter2 dbname=x");
    assert!(!shown.contains("hunter2"));
    assert_snapshot!(shown, @r#"
    error[S0011]: a password stands in the plan
     --> soter.yaml:7:59
      |
    7 |     connection: "host=/run/postgresql user=soter password=******* dbname=x"
      |                                                           ^^^^^^^
      |
      = why: plans are copied, printed and mailed: whoever has one has the password
      = help: keep it in a file and write password=${file:/path/to/it}, or
              ${env:NAME}, or leave it to ~/.pgpass

    soter.yaml: 1 error
    `soter explain S0011` says more about a finding
    "#);
}

#[test]
fn a_password_behind_escapes_is_never_shown() {
    for connection in [
        "\"pass\\x77ord=hunter2\"",
        "\"user host=a pass\\x77ord='hunter2'\"",
        "'password=''my password hunter2'''",
        "'user sslpassword=''my password hunter2'''",
        "x\n    host=a password=hunter2: y",
        "|\n      host=a\n      password='a\n       hunter2'\n",
    ] {
        let shown = with("\"host=/run/postgresql user=soter\"", connection);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn an_unquoted_schedule() {
    assert_snapshot!(with("\"*/15 * * * *\"", "*/15 * * * *"), @r#"
    error[S0003]: aliases (`*…`) are not part of the language
      --> soter.yaml:11:25
       |
    11 |     backup: { schedule: */15 * * * *, time_zone: UTC, full_every: 7 days }
       |                         ^^^^
       |
       = why: whoever reads the plan on paper does not see what such a sign stands
              for
       = help: to YAML this is an alias: quote a schedule, "*/15 * * * *"

    soter.yaml: 1 error
    `soter explain S0003` says more about a finding
    "#);
}

#[test]
fn units_and_ranges() {
    assert_snapshot!(titles("part_interval: 250 ms", "part_interval: 250"), @r"10:46 S0008 `250` has no unit | say what it counts: 5 s, 250 ms, 15 min");
    assert_snapshot!(titles("part_interval: 250 ms", "part_interval: 1 month"), @r"10:46 S0008 `month` is no unit of time | months and years differ in length: write days");
    assert_snapshot!(titles("part_interval: 250 ms", "part_interval: 0 s"), @r"10:46 S0009 `part_interval` is between 10 ms and 1 min | the default is 250 ms");
    assert_snapshot!(titles("full_every: 7 days", "full_every: [7 days]"), @r"11:57 S0007 `full_every` is a list here | write a duration such as 15 min");
    assert_snapshot!(titles("level: 3", "level: 22"), @r"12:27 S0009 `level` is between 1 and 19 | the default is 3");
    assert_snapshot!(titles("level: 3", "level: '3'"), @r"12:27 S0008 this is no whole number | write digits only, without quotes and without a unit");
    assert_snapshot!(titles("level: 3", "level: 99999999999999999999999999999999999999999"), @r"12:27 S0009 `level` is between 1 and 19 | the default is 3");
    assert_snapshot!(titles("    canary:", "    retention: { keep_for: 3 days }\n    canary:"), @r"13:28 S0009 `keep_for` is between 7 days and 36525 days | the default is 30 days");
    assert_snapshot!(titles("synchronous,", "synchronous, spool: { directory: spool, limit: 1000 },"), @r"
    10:51 S0008 this path is not absolute | write it from the root: /var/lib/…
    10:65 S0008 `1000` has no unit | say what it counts: 16 MiB, 4 GB
    ");
}

#[test]
fn names_and_places() {
    assert_snapshot!(titles("vaults: [main]", "vaults: [mian]"), @r"9:14 S0010 no vault is called `mian` | did you mean `main`?");
    assert_snapshot!(titles("vaults: [main]", "vaults: [main, main]"), @r"9:20 S0013 the same entry twice | remove one of them");
    assert_snapshot!(titles("UTC", "Berlin"), @r"11:52 S0008 there is no time zone `Berlin` | did you mean Europe/Berlin?");
    assert_snapshot!(titles("\"*/15 * * * *\"", "\"*/15 * * *\""), @r#"11:25 S0008 this is no schedule: a schedule has 5 fields, not 4 | five fields: minute hour day month weekday, as in "*/15 * * * *""#);
    assert_snapshot!(titles("\"*/15 * * * *\"", "0 0 31 2 *"), @r#"11:25 S0008 this is no schedule: this day never comes | five fields: minute hour day month weekday, as in "*/15 * * * *""#);
    assert_snapshot!(titles("file:///srv/soter", "s3://bucket"), @r"3:16 S0008 vaults are directories (file://) in this version | write it as file:///srv/soter");
    assert_snapshot!(titles("file:///srv/soter", "file:///var/lib/postgresql/15/main/soter"), @r"5:3 S0008 vault `main` lies inside the data directory it protects | what destroys the data directory would destroy it too");
    assert_snapshot!(titles("ed25519:AAAA", "ed25519:AAA"), @r"3:51 S0008 behind `ed25519:` come 32 bytes in base64 (44 characters) | `soter vault info` prints a vault's root key, `soter vault keygen` that of a key");
    assert_snapshot!(titles("synchronous,", "synchronous, slot: Soter, application_name: 'a b',"), @r"
    10:37 S0008 PostgreSQL takes no such name | 1 to 63 characters: small letters, digits and `_`
    10:62 S0008 PostgreSQL takes no such name | 1 to 63 characters: letters, digits, `_` and `-`
    ");
    assert_snapshot!(titles("/var/lib/postgresql/15/main", "main"), @r"8:21 S0008 this path is not absolute | write it from the root: /var/lib/…");
}

#[test]
fn references() {
    assert_snapshot!(titles("file:///srv/soter", "${env:VAULT}"), @r"3:16 S0012 `url` cannot be a reference | references are for secrets: write the value itself");
    assert_snapshot!(titles("user=soter", "user=${vault:soter}"), @r"7:44 S0012 there is no such kind of reference | references are ${env:NAME} and ${file:/path}; write $${ for a plain ${");
    assert_snapshot!(titles("user=soter", "user=${env:SOTER"), @r"7:44 S0012 `${` is never closed by `}` | references are ${env:NAME} and ${file:/path}; write $${ for a plain ${");
    assert_snapshot!(titles("user=soter", "user"), @r"7:39 S0008 a word without `=` | write words such as host=/run/postgresql user=soter dbname=postgres");
}

#[test]
fn yaml_that_is_not_in_the_language() {
    assert_snapshot!(titles("level: 3", "level: &level 3"), @r"12:34 S0003 anchors (`&…`) are not part of the language | remove the anchor, and write the value out where it is used");
    assert_snapshot!(titles("level: 3", "level: !!int 3"), @r"12:27 S0003 tags (`!…`) are not part of the language | remove the tag: each key knows the type of its value");
    assert_snapshot!(titles("canary:", "<<: { a: 1 }\n    canary:"), @r"13:5 S0003 merge keys (`<<`) are not part of the language | write the keys out");
    assert_snapshot!(titles("canary:", "? [a]\n    : b\n    canary:"), @r"13:7 S0007 a key is a plain word here | -");
    assert_snapshot!(titles("canary:", "kind: postgres\n    canary:"), @r"13:5 S0004 `kind` appears twice | the first one is in line 6: keep one of them");
    assert_snapshot!(titles("\nvaults", "%YAML 1.1\n---\nvaults"), @r"1:1 S0003 directives (`%…`) are not part of the language | remove the line");
}

#[test]
fn files_that_are_no_plan() {
    assert_snapshot!(report(""), @r"
    error[S0002]: the plan is empty
     --> soter.yaml:1:1
      |
    1 |
      | ^
      |
      = why: everything behind this place is unknown: it is in the file, and not in
             the plan
      = help: `soter init` writes one from a running cluster

    soter.yaml: 1 error
    `soter explain S0002` says more about a finding
    ");
    assert_snapshot!(report("# nothing\n"), @r"
    error[S0002]: the plan is empty
     --> soter.yaml:2:1
      |
    2 |
      | ^
      |
      = why: everything behind this place is unknown: it is in the file, and not in
             the plan
      = help: `soter init` writes one from a running cluster

    soter.yaml: 1 error
    `soter explain S0002` says more about a finding
    ");
    assert_snapshot!(report("{}"), @r"
    error[S0006]: `stores` is missing: a plan must have it
     --> soter.yaml:1:1
      |
    1 | {}
      | ^
      |
      = why: without it the section means nothing, and somebody would have to guess
             under pressure
      = help: add `stores: { orders: { … } }`

    error[S0006]: `vaults` is missing: a plan must have it
     --> soter.yaml:1:1
      |
    1 | {}
      | ^
      |
      = why: without it the section means nothing, and somebody would have to guess
             under pressure
      = help: add `vaults: { main: { … } }`

    soter.yaml: 2 errors
    `soter explain S0006` says more about a finding
    ");
    assert_snapshot!(report("just a text"), @r"
    error[S0007]: a plan is a section: keys with values below it
     --> soter.yaml:1:1
      |
    1 | just a text
      | ^^^^^^^^^^^
      |
      = why: what is written here would not be taken for what it was meant to be

    soter.yaml: 1 error
    `soter explain S0007` says more about a finding
    ");
}

#[test]
fn yaml_that_is_broken() {
    assert_snapshot!(report("vaults:\n\tmain: x\n"), @r"
    error[S0002]: this is not YAML: tabs disallowed within this context (block indentation)
     --> soter.yaml:2:2
      |
    2 |     main: x
      |     ^
      |
      = why: everything behind this place is unknown: it is in the file, and not in
             the plan
      = help: indent with spaces, not with tabs

    soter.yaml: 1 error
    `soter explain S0002` says more about a finding
    ");
    assert_snapshot!(report("vaults:\n  main: \"x\n"), @r#"
    error[S0002]: this is not YAML: unclosed quote
     --> soter.yaml:2:9
      |
    2 |   main: "x
      |         ^
      |
      = why: everything behind this place is unknown: it is in the file, and not in
             the plan
      = help: close the quote that was opened here

    soter.yaml: 1 error
    `soter explain S0002` says more about a finding
    "#);
    assert_snapshot!(report("vaults:\n  main: [x\n"), @r"
    error[S0002]: this is not YAML: unclosed bracket '['
     --> soter.yaml:2:9
      |
    2 |   main: [x
      |         ^
      |
      = why: everything behind this place is unknown: it is in the file, and not in
             the plan
      = help: close the bracket that was opened here

    soter.yaml: 1 error
    `soter explain S0002` says more about a finding
    ");
    assert_snapshot!(report("vaults:\n  password: hunter2: x\n"), @r"
    error[S0002]: this is not YAML: mapping values are not allowed in this context
     --> soter.yaml:2:20
      |
    2 |   password: ******** x
      |                    ^
      |
      = why: everything behind this place is unknown: it is in the file, and not in
             the plan
      = help: a key and its value are `key: value`, with a space behind the colon

    soter.yaml: 1 error
    `soter explain S0002` says more about a finding
    ");
}

#[test]
fn files_of_another_kind() {
    assert_snapshot!(report(SHORTEST.to_owned() + "---\nmore: 1\n"), @r"
    error[S0002]: a second document starts here: a plan is one document
     --> soter.yaml:5:1
      |
    5 | ---
      | ^^^
      |
      = why: everything behind this place is unknown: it is in the file, and not in
             the plan
      = help: remove the `---` line, or split the file

    soter.yaml: 1 error
    `soter explain S0002` says more about a finding
    ");
    assert_snapshot!(report(b"vaults:\n  m\xfcller: 1\n"), @r"
    error[S0001]: the file is not UTF-8 text
     --> soter.yaml:2:4
      |
    2 |   m�ller: 1
      |    ^
      |
      = why: what cannot be read is not checked, and nobody can follow it either
      = help: save the file as UTF-8

    soter.yaml: 1 error
    `soter explain S0001` says more about a finding
    ");
    assert_snapshot!(report(b"\xff\xfev\0a\0"), @r"
    error[S0001]: the file is not UTF-8 text
     --> soter.yaml:1:1
      |
    1 | ��v?a?
      | ^
      |
      = why: what cannot be read is not checked, and nobody can follow it either
      = help: the file is UTF-16: save it as UTF-8

    soter.yaml: 1 error
    `soter explain S0001` says more about a finding
    ");
    assert_snapshot!(report(vec![b' '; (16 << 20) + 1]), @r"
    error[S0001]: the file has 16777217 bytes, a plan has at most 16 MiB
    --> soter.yaml:1:1
     = why: what cannot be read is not checked, and nobody can follow it either
     = help: is this the right file?

    soter.yaml: 1 error
    `soter explain S0001` says more about a finding
    ");
    assert_snapshot!(report("[".repeat(100)), @r"
    error[S0002]: nested deeper than 32 levels
     --> soter.yaml:1:33
      |
    1 | [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[...
      |                                 ^
      |
      = why: everything behind this place is unknown: it is in the file, and not in
             the plan

    soter.yaml: 1 error
    `soter explain S0002` says more about a finding
    ");
}

/// Nothing grows when it is read: aliases are refused, not followed.
#[test]
fn a_billion_laughs_are_not_laughed() {
    let mut source = String::from("a: &a [x, x]\n");
    for (from, to) in ('a'..'y').zip('b'..'z') {
        source += &format!("{to}: &{to} [*{from}, *{from}, *{from}, *{from}]\n");
    }
    let shown = report(&source);
    assert!(shown.contains("aliases (`*…`) are not part of the language"));
    assert!(shown.contains("soter.yaml: 148 errors"), "{shown}");
}

#[test]
fn findings_are_data() {
    let report = refused(b"vaults: 1");
    assert_eq!(report.to_string(), "soter.yaml: 2 errors");
    let finding = &report.findings[0];
    assert_eq!((finding.code, finding.origin().range()), ("S0006", 0..0));
}

#[test]
fn a_terminal_does_not_obey_a_file_and_data_is_not_quoted() {
    let shown = report("a: \u{1b}[31m");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let shown = report(format!("a: {}", "x".repeat(5000)));
    assert!(shown.len() < 1500, "{shown}");
    assert!(shown.contains("--> soter.yaml:1:1"), "{shown}");
    let shown = report(format!("a: {}", "x".repeat(50_000)));
    assert!(shown.len() < 1500, "{shown}");
}
