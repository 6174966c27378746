//! A whole vault of format 1, kept for ever, and what is in it.
//!
//! `tests/fixtures/v1` was written by [`write`] when the format was settled. It holds a bit of
//! everything that a reader may meet: full and incremental backups, zero blocks, page frames, small
//! files, sealed WAL and live parts, a retired backup that was swept, a squatted log slot, repaired
//! objects. `report.json` says what a reader must find. Two readers must: this code, and the one in
//! Python that was written from the format page. To write another one: `SOTER_FIXTURE=DIR cargo test
//! -p soter-vault fixture`. age draws its own randomness, so no two are equal byte for byte.

mod handmade;
mod report;
mod write;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use soter_world::exec::{Command, Status};
use soter_world::{OsDisk, durable};

use crate::keys::{KeyFile, OperatorKey};

const REPORT_LENGTH_MAX: usize = 1 << 20;

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

/// A checkout does not keep the mode of a key file, so it is parsed without looking at it.
fn operator(directory: &Path) -> OperatorKey {
    let text = std::fs::read_to_string(directory.join("operator.key")).unwrap();
    OperatorKey::parse(&text).unwrap()
}

fn expected(directory: &Path) -> Value {
    let bytes = durable::read(&OsDisk, &directory.join("report.json"), REPORT_LENGTH_MAX).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn write_with_report(directory: &Path) -> (write::Expected, Value) {
    let expected = write::write(directory);
    let report = report::of(&directory.join("vault"), &operator(directory));
    let mut text = serde_json::to_vec_pretty(&report).unwrap();
    text.push(b'\n');
    durable::write_durable(&OsDisk, &directory.join("report.json"), &text).unwrap();
    (expected, report)
}

#[test]
fn a_vault_of_version_1_is_still_read() {
    let found = report::of(&stored().join("vault"), &operator(&stored()));
    assert_eq!(found, expected(&stored()));
}

#[test]
fn a_vault_of_today_holds_what_was_put_into_it() {
    let directory = tempfile::tempdir().unwrap();
    let (expected, report) = write_with_report(directory.path());
    assert_eq!(write::damage(&report, &expected), Vec::<String>::new());
    let store = report["stores"].as_object().unwrap().values().next().unwrap();
    assert_eq!(store["holes"], serde_json::json!([expected.squatted_slot]));
    assert_eq!(store["backups"].as_object().unwrap().len(), 3);
    if let Some(wanted) = std::env::var_os("SOTER_FIXTURE") {
        write_with_report(Path::new(&wanted));
    }
}

/// Whatever the second reader finds in a vault, the first one must, in the one that is kept and in
/// one of today.
#[test]
fn real_python_reader_agrees() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with blake3, cryptography and zstandard is here");
        eprintln!("scripts/install-test-tools installs them");
        return;
    };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let reader = repository.join("tools/read_vault.py");
    let run = |arguments: &[OsString]| {
        let command = Command::new(python.clone()).arg(reader.clone()).args(arguments);
        let finished = command.run(Duration::from_secs(120)).unwrap();
        let complaints = String::from_utf8_lossy(&finished.stderr).into_owned();
        assert_eq!(finished.status, Status::Exited(0), "{complaints}");
        finished.stdout
    };
    run(&["--vectors".into(), repository.join("docs/format/vault.md").into()]);

    let today = tempfile::tempdir().unwrap();
    write_with_report(today.path());
    for directory in [stored(), today.path().to_owned()] {
        let (vault, key) = (directory.join("vault"), directory.join("operator.key"));
        let found = run(&[vault.into(), "--identity".into(), key.into()]);
        let found: Value = serde_json::from_slice(&found).unwrap();
        assert_eq!(found, expected(&directory), "{}", directory.display());
    }
}

/// The Python that `scripts/install-test-tools` made, or the system's, if it has what is needed.
fn python() -> Option<OsString> {
    let target = std::env::current_exe().ok()?.ancestors().nth(3)?.to_owned();
    let candidates = [target.join("python/bin/python").into_os_string(), "python3".into()];
    candidates.into_iter().find(|python| {
        let command =
            Command::new(python.clone()).args(["-c", "import blake3, cryptography, zstandard"]);
        let finished = command.run(Duration::from_secs(60));
        finished.is_ok_and(|finished| finished.status == Status::Exited(0))
    })
}
