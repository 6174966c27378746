//! Rules of the house that a compiler does not know. Each failure names the file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::exec::Command;

/// Who may depend on whom. A new arrow is a design change: edit this table in the same commit and
/// say why.
const ARROWS: &[(&str, &[&str])] = &[
    ("world", &[]),
    ("plan", &[]),
    ("vault", &["world"]),
    ("postgres", &["world", "vault"]),
    ("stores", &["world", "vault"]),
    ("runbook", &["world", "plan"]),
    ("recovery", &["world", "plan", "vault", "postgres", "stores", "runbook"]),
    ("kubernetes", &["world", "plan", "runbook"]),
    ("cli", &["world", "plan", "vault", "postgres", "stores", "runbook", "recovery", "kubernetes"]),
];

/// What is not shipped, and what it may use. Nothing that is shipped may use it.
const LABORATORY: (&str, &[&str]) = ("examples/kosmos/lab", &["world"]);

/// A file with several purposes is split before it gets here. Tests at its end do not count.
const LINES_MAX: usize = 800;

/// Larger things are made by a script, not kept in git.
const FILE_BYTES_MAX: u64 = 100 << 10;

/// 310 without the client of Kubernetes; that one is 66, of which thirteen are other systems'. And room
/// for forty. Each package is code that somebody must trust.
const PACKAGES_MAX: usize = 420;

/// There is one TLS provider, aws-lc-rs.
const FOREIGN_TLS: &[&str] = &["ring", "openssl-sys", "native-tls"];

/// What the release binary may load: the C library and what belongs to it.
const LIBRARIES: &[&str] = &["linux-vdso", "libc", "libm", "libgcc_s", "ld-linux"];

#[test]
fn crates_depend_only_along_the_arrows() {
    let crates = root().join("crates");
    for (name, allowed) in ARROWS {
        let found = internal_dependencies(&read(&crates.join(name).join("Cargo.toml")));
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let extra: Vec<_> = found.difference(&allowed).collect();
        assert!(extra.is_empty(), "crates/{name} may not depend on {extra:?}");
    }
    let named: BTreeSet<String> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let there: BTreeSet<String> = fs::read_dir(crates)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, named, "every crate is named in ARROWS");
}

#[test]
fn the_laboratory_stands_apart() {
    let (place, allowed) = LABORATORY;
    let found = internal_dependencies(&read(&root().join(place).join("Cargo.toml")));
    assert_eq!(found, allowed.iter().map(|name| (*name).to_owned()).collect(), "{place}");
    for (name, _) in ARROWS {
        let manifest = read(&root().join("crates").join(name).join("Cargo.toml"));
        assert!(!manifest.contains("kosmos-lab"), "crates/{name} may not need the laboratory");
    }
    let workspace = read(&root().join("Cargo.toml"));
    let built = workspace.lines().find(|line| line.starts_with("default-members"));
    assert_eq!(built, Some("default-members = [\"crates/*\"]"), "what is built is the product");
}

/// The names behind `soter-` at the beginning of a line of a manifest, in any of its tables.
fn internal_dependencies(manifest: &str) -> BTreeSet<String> {
    let names = manifest.lines().filter_map(|line| line.trim_start().strip_prefix("soter-"));
    names
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_arrows_of_a_manifest_are_found() {
    let manifest = "[package]\nname = \"soter-cli\"\n[dependencies]\nsoter-plan.workspace = true\n\
                    [dev-dependencies]\nsoter-vault = { path = \"../vault\" }\n";
    let expect = ["plan", "vault"].map(str::to_owned);
    assert_eq!(internal_dependencies(manifest), BTreeSet::from(expect));
}

#[test]
fn rust_files_are_whole_short_and_introduce_themselves() {
    // Put together here, so that this file does not contain them.
    let unfinished = [
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("#[ign", "ore"),
    ];
    let mut findings = Vec::new();
    for file in tracked().iter().filter(|file| file.ends_with(".rs")) {
        let text = read(&root().join(file));
        if let Some(word) = unfinished.iter().find(|word| text.contains(**word)) {
            findings.push(format!("{file}: contains {word}"));
        }
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or("");
        let lines = code.lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{file}: {lines} lines, at most {LINES_MAX}"));
        }
        let first = text.lines().find(|line| !line.starts_with("#!") && !line.is_empty());
        if !first.is_some_and(|line| line.starts_with("//!")) && !is_test_module(file) {
            findings.push(format!("{file}: opens with `//!` and what it is for"));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// `x/tests.rs` needs no words of its own: it is the tests of `x.rs`.
fn is_test_module(file: &str) -> bool {
    file.ends_with("/tests.rs")
}

#[test]
fn nothing_large_is_kept_in_git() {
    let mut findings = Vec::new();
    for file in tracked() {
        let bytes = fs::symlink_metadata(root().join(&file)).unwrap().len();
        if bytes > FILE_BYTES_MAX && file != "Cargo.lock" {
            findings.push(format!("{file}: {bytes} bytes, at most {FILE_BYTES_MAX}"));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn packages_are_few_and_bring_one_tls_provider() {
    let lock = read(&root().join("Cargo.lock"));
    let packages: Vec<&str> = lock
        .split("[[package]]")
        .skip(1)
        .filter_map(|package| package.split("name = \"").nth(1)?.split('"').next())
        .collect();
    assert!(packages.len() > 100, "Cargo.lock was not understood");
    assert!(packages.len() <= PACKAGES_MAX, "{} packages, at most {PACKAGES_MAX}", packages.len());
    let built = built();
    assert!(built.contains("aws-lc-rs"), "what is built was not understood: {built:?}");
    for foreign in FOREIGN_TLS {
        assert!(!built.contains(*foreign), "{foreign} is built: aws-lc-rs is the one");
    }
}

/// The packages of the workspace that are built here. Cargo.lock also names some that are not: what a
/// package would take if another one were asked for.
fn built() -> BTreeSet<String> {
    let arguments = ["tree", "--workspace", "--prefix", "none", "--locked", "--offline"];
    let tree = Command::new(env!("CARGO")).args(arguments).current_dir(root());
    let output = tree.run(Duration::from_secs(60)).unwrap().checked().unwrap().stdout;
    let output = String::from_utf8(output).unwrap();
    output.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The binary that is tested is linked as the released one; that one is looked at too if it was
/// built.
#[test]
fn the_binary_loads_the_c_library_and_nothing_else() {
    let tested = PathBuf::from(env!("CARGO_BIN_EXE_soter"));
    let released = tested.parent().unwrap().with_file_name("release").join("soter");
    for binary in [tested, released].iter().filter(|binary| binary.exists()) {
        let output = Command::new("ldd").arg(binary).run(Duration::from_secs(60)).unwrap();
        let output = String::from_utf8(output.checked().unwrap().stdout).unwrap();
        let loaded: Vec<&str> = output.lines().filter_map(library).collect();
        assert!(loaded.contains(&"libc"), "ldd was not understood: {output}");
        for library in loaded {
            assert!(LIBRARIES.contains(&library), "{} loads {library}", binary.display());
        }
    }
}

/// `libc` of `libc.so.6 => /lib/… (0x…)`, `ld-linux` of `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn library(line: &str) -> Option<&str> {
    let file = line.split_whitespace().next()?.rsplit('/').next()?;
    let name = file.split(".so").next()?;
    Some(
        LIBRARIES
            .iter()
            .copied()
            .find(|known| name.starts_with("ld-linux") && *known == "ld-linux")
            .unwrap_or(name),
    )
}

/// `make fuzz` tries every property: what holds for any input, it has to hold for many.
#[test]
fn every_property_is_fuzzed() {
    let script = root().join("scripts/fuzz");
    let listed = Command::new("bash").arg(script).arg("--list").run(Duration::from_secs(60));
    let listed = String::from_utf8(listed.unwrap().checked().unwrap().stdout).unwrap();
    let listed: BTreeSet<(&str, &str)> =
        listed.lines().map(|line| line.split_once("::").unwrap()).collect();
    let mut missing = Vec::new();
    for file in tracked().iter().filter(|file| file.ends_with(".rs") && file.contains("/src/")) {
        let text = read(&root().join(file));
        let package = file.split('/').nth(1).unwrap();
        // A property takes its inputs by `in`; ordinary tests take nothing.
        let tests = text.split("#[test]").skip(1).filter_map(|test| test.split_once("fn "));
        let named = tests.filter_map(|(_, test)| test.split_once('('));
        let properties = named.filter(|(_, rest)| !rest.starts_with(')'));
        let unknown = properties.filter(|(name, _)| !listed.contains(&(package, *name)));
        missing.extend(unknown.map(|(name, _)| format!("{file}: {name}")));
    }
    assert!(listed.len() > 60, "scripts/fuzz --list was not understood: {listed:?}");
    assert_eq!(missing, Vec::<String>::new(), "not found by scripts/fuzz");
}

/// What git knows: committed, or added.
fn tracked() -> Vec<String> {
    let git = Command::new("git").args(["ls-files", "-z"]).current_dir(root());
    let output = git.run(Duration::from_secs(60)).unwrap().checked().unwrap().stdout;
    let files: Vec<String> = String::from_utf8(output)
        .unwrap()
        .split_terminator('\0')
        .map(str::to_owned)
        .filter(|file| root().join(file).symlink_metadata().is_ok())
        .collect();
    assert!(files.iter().any(|file| file == "Cargo.toml"), "git does not know this directory");
    files
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
