//! Every package we ship is under a licence that asks for no more than attribution.
//!
//! Read from `cargo metadata`, offline: what was built was downloaded. A package without a licence
//! expression fails; there are no exceptions to skip over.

use std::time::Duration;

use serde_json::Value;
use soter_world::exec::Command;

use crate::tidy::root;

/// The list in `deny.toml` is the same.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn every_package_has_a_permissive_licence() {
    let rustc = Command::new("rustc").arg("-vV").current_dir(root());
    let version = rustc.run(Duration::from_secs(60)).unwrap().checked().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", host])
        .current_dir(root());
    let output = cargo.run(Duration::from_secs(120)).unwrap().checked().unwrap().stdout;
    let metadata: Value = serde_json::from_slice(&output).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "the metadata was not understood");
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_permissive))
        .map(|package| {
            format!("{} {}: {}", package["name"], package["version"], package["license"])
        })
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn the_list_is_the_one_in_deny_toml() {
    let deny = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let list = deny.split("allow = [").nth(1).unwrap().split(']').next().unwrap();
    let list: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(list, ALLOWED);
}

#[test]
fn licence_expressions_are_understood() {
    for (expression, expect) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only", true),
        ("(MIT OR GPL-2.0-only) AND Unicode-3.0", true),
        ("(MIT AND GPL-2.0-only) OR AGPL-3.0-only", false),
        ("MIT OR GPL-2.0-only AND GPL-3.0-only", true),
        ("", false),
        ("MIT AND", false),
        ("(MIT", false),
    ] {
        assert_eq!(is_permissive(expression), expect, "{expression}");
    }
}

/// Whether an SPDX expression can be met by the licences allowed.
fn is_permissive(expression: &str) -> bool {
    // Cargo once took `/` for `OR`.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any_of(&mut rest);
    rest.is_empty() && met == Some(true)
}

fn any_of(rest: &mut &[&str]) -> Option<bool> {
    let mut met = all_of(rest)?;
    while let Some(("OR", after)) = next(rest) {
        *rest = after;
        met |= all_of(rest)?;
    }
    Some(met)
}

fn all_of(rest: &mut &[&str]) -> Option<bool> {
    let mut met = licence(rest)?;
    while let Some(("AND", after)) = next(rest) {
        *rest = after;
        met &= licence(rest)?;
    }
    Some(met)
}

fn licence(rest: &mut &[&str]) -> Option<bool> {
    let (name, after) = next(rest)?;
    *rest = after;
    if name == "(" {
        let met = any_of(rest)?;
        let (")", after) = next(rest)? else { return None };
        *rest = after;
        return Some(met);
    }
    if let [with @ "WITH", exception, after @ ..] = *rest {
        *rest = after;
        return Some(ALLOWED.contains(&format!("{name} {with} {exception}").as_str()));
    }
    Some(ALLOWED.contains(&name))
}

fn next<'a, 'w>(rest: &'a [&'w str]) -> Option<(&'w str, &'a [&'w str])> {
    rest.split_first().map(|(word, after)| (*word, after))
}
