use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use soter_world::sim::{SeededRandom, SimDisk, seeds};
use soter_world::{Disk, exec};

use super::*;
use crate::ids::RunId;

const PATH: &str = "/journal";

fn run() -> RunId {
    RunId::parse("server-loss-20300101-0000-7q2x").unwrap()
}

fn stamp(up: u64) -> Stamp {
    Stamp {
        epoch: 1,
        boot: "3b1f".to_owned(),
        at: "2030-01-01T00:00:00.5Z".parse().unwrap(),
        up: Duration::from_millis(up),
    }
}

fn draft(kind: &str, body: serde_json::Value) -> Draft {
    Draft { by: "first \"operator\"".to_owned(), kind: kind.to_owned(), body }
}

fn begun() -> Draft {
    draft("begun", json!({ "journal": FORMAT_VERSION, "run": run() }))
}

/// A journal of several appends, one of them of three records.
fn written(disk: &SimDisk) -> Vec<u8> {
    let path = Path::new(PATH);
    let (mut journal, _) = Journal::create(disk, path, &run(), &stamp(1), vec![begun()]).unwrap();
    for at in 2..5 {
        let pieces = if at == 3 { 3 } else { 1 };
        let drafts = (0..pieces)
            .map(|piece| draft("probe", json!({ "at": at, "piece": piece, "text": "ä\n\u{0}" })));
        journal.append(&stamp(at), drafts.collect()).unwrap();
    }
    soter_world::durable::read(disk, path, 1 << 20).unwrap()
}

#[test]
fn a_number_that_is_left_out_is_damage_though_every_hash_fits() {
    let (first, mut bytes) = Record::make(1, stamp(1), begun(), first_hash(&run()));
    let at = bytes.len();
    let (_, line) = Record::make(3, stamp(2), draft("paused", json!({})), first.hash);
    bytes.extend(line);
    let Err(Refused::Damaged(damage)) = read(&bytes) else { panic!("it was read") };
    assert_eq!((damage.n, damage.offset), (2, at));
}

#[test]
fn what_is_written_is_read_again() {
    let bytes = written(&SimDisk::new(0));
    let reading = read(&bytes).unwrap();
    assert_eq!(reading.run, run());
    assert_eq!(reading.torn, None);
    assert_eq!(reading.good_bytes, bytes.len());
    let numbers: Vec<u64> = reading.records.iter().map(|record| record.n).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!(reading.records[3].draft.body, json!({ "at": 3, "piece": 1, "text": "ä\n\u{0}" }));
    assert_eq!(reading.records[3].stamp, stamp(3));
}

/// The page has a whole journal of two lines, so that page and code cannot part.
#[test]
fn lines_are_as_the_format_page_shows() {
    let page = include_str!("../../../../docs/format/journal.md");
    let draft =
        |by: &str, kind: &str, body| Draft { by: by.to_owned(), kind: kind.to_owned(), body };
    let body = json!({ "journal": 1, "run": run() });
    let (first, mut lines) =
        Record::make(1, stamp(123), draft("anna", "begun", body), first_hash(&run()));
    let body = json!({ "why": "a person has to decide" });
    let (_, second) = Record::make(2, stamp(4567), draft("engine", "paused", body), first.hash);
    lines.extend(second);
    let lines = String::from_utf8(lines).unwrap();
    assert!(page.contains(&lines), "the page lacks:\n{lines}");
}

#[test]
fn every_flipped_bit_is_named_by_its_record() {
    let bytes = written(&SimDisk::new(0));
    let ends: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let record = ends.iter().filter(|end| **end < at).count() as u64 + 1;
            match read(&flipped) {
                Err(Refused::Damaged(damage)) => {
                    assert_eq!(damage.n, record, "byte {at} bit {bit}: {damage}");
                }
                other => panic!("byte {at} bit {bit}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_journal_cut_anywhere_is_torn_there_and_keeps_what_was_whole() {
    let whole = written(&SimDisk::new(0));
    let records = read(&whole).unwrap().records;
    for length in 0..=whole.len() {
        let disk = SimDisk::new(0);
        let path = Path::new(PATH);
        disk.create(path).unwrap().write_at(0, &whole[..length]).unwrap();
        let count = whole[..length].iter().filter(|byte| **byte == b'\n').count();
        match Journal::open(&disk, path) {
            Ok(mut opened) => {
                assert_eq!(opened.records, records[..count], "length {length}");
                let is_torn = length > 0 && whole[length - 1] != b'\n';
                assert_eq!(opened.torn.is_some(), is_torn, "length {length}");
                opened.journal.append(&stamp(9), vec![draft("paused", json!({}))]).unwrap();
                let again = Journal::open(&disk, path).unwrap();
                assert_eq!(again.records.len(), count + 1, "length {length}");
            }
            Err(JournalError::Refused { source: Refused::NotBegun, .. }) => assert_eq!(count, 0),
            Err(error) => panic!("length {length}: {error:?}"),
        }
    }
}

/// What a power cut leaves of an append is torn or whole; what was acknowledged before is there, and
/// the next engine can go on, whichever operation it was.
#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_acknowledged() {
    let mut outcomes = BTreeSet::new();
    for seed in seeds(60) {
        for operation in 0..40 {
            let disk = SimDisk::new(seed * 1000 + operation);
            let path = Path::new(PATH);
            disk.crash_at(operation);
            let mut acknowledged = 0;
            let long = "x".repeat(usize::try_from(seed).unwrap() * 37 % 3000);
            let mut go = || -> Result<(), JournalError> {
                let (mut journal, _) =
                    Journal::create(&disk, path, &run(), &stamp(1), vec![begun()])?;
                acknowledged = 1;
                for at in 2..5 {
                    let one = || draft("probe", json!({ "text": long }));
                    journal.append(&stamp(at), vec![one(), one(), one()])?;
                    acknowledged += 3;
                }
                Ok(())
            };
            let finished = go().is_ok();
            disk.reboot();
            match Journal::open(&disk, path) {
                Ok(mut opened) => {
                    let count = opened.records.len();
                    assert!(count >= acknowledged, "seed {seed} operation {operation}: {count}");
                    opened.journal.append(&stamp(9), vec![draft("paused", json!({}))]).unwrap();
                    assert_eq!(Journal::open(&disk, path).unwrap().records.len(), count + 1);
                    outcomes.insert(opened.torn.is_some());
                }
                Err(
                    JournalError::Refused { source: Refused::NotBegun, .. }
                    | JournalError::Disk { .. },
                ) => assert_eq!(acknowledged, 0),
                Err(error) => panic!("seed {seed} operation {operation}: {error:?}"),
            }
            if finished {
                break;
            }
        }
    }
    assert_eq!(outcomes.len(), 2, "some ends were torn, and some were not");
}

#[test]
fn a_failed_sync_ends_the_journal_and_the_next_opening_makes_it_durable() {
    let disk = SimDisk::new(3);
    let path = Path::new(PATH);
    let (mut journal, _) = Journal::create(&disk, path, &run(), &stamp(1), vec![begun()]).unwrap();
    // An append is a look at its length, a write and a sync.
    disk.fail_at(disk.operations() + 2, io::ErrorKind::Other);
    let failed = journal.append(&stamp(2), vec![draft("paused", json!({}))]);
    assert!(matches!(failed, Err(JournalError::Disk { .. })), "{failed:?}");
    let ended = journal.append(&stamp(3), vec![draft("continued", json!({}))]);
    assert!(matches!(ended, Err(JournalError::Ended)), "{ended:?}");
    // The kernel shows the record all the same; it counts only once it was written anew.
    assert_eq!(Journal::open(&disk, path).unwrap().records.len(), 2);
    disk.reboot();
    assert_eq!(Journal::open(&disk, path).unwrap().records.len(), 2);
}

#[test]
fn a_full_disk_ends_the_journal_and_leaves_it_readable() {
    let disk = SimDisk::new(4);
    let path = Path::new(PATH);
    let (mut journal, _) = Journal::create(&disk, path, &run(), &stamp(1), vec![begun()]).unwrap();
    disk.full_after(50);
    assert!(journal.append(&stamp(2), vec![draft("paused", json!({}))]).is_err());
    disk.full_after(u64::MAX);
    let opened = Journal::open(&disk, path).unwrap();
    assert_eq!(opened.records.len(), 1);
    let aside = opened.torn.unwrap();
    assert_eq!(soter_world::durable::read(&disk, &aside, 100).unwrap().len(), 50);
}

#[test]
fn a_newer_version_is_refused_by_its_number() {
    let body = json!({ "journal": 2, "run": run() });
    let (_, line) = Record::make(1, stamp(1), draft("begun", body), first_hash(&run()));
    assert_eq!(read(&line), Err(Refused::Newer { version: 2 }));
}

#[test]
fn a_record_of_another_journal_does_not_follow() {
    let bytes = written(&SimDisk::new(0));
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for (left_out, damaged) in [(1, 2), (2, 3), (4, 5)] {
        let mut fewer = lines.clone();
        fewer.remove(left_out);
        let Err(Refused::Damaged(damage)) = read(&fewer.concat()) else { panic!("{left_out}") };
        assert_eq!(damage.n, damaged);
    }
}

#[test]
fn what_another_engine_replaced_is_put_aside() {
    let disk = SimDisk::new(5);
    let bytes = written(&disk);
    let aside = Journal::cut(&disk, Path::new(PATH), 4).unwrap();
    let rest = soter_world::durable::read(&disk, &aside, 1 << 20).unwrap();
    assert!(bytes.ends_with(&rest));
    assert_eq!(Journal::open(&disk, Path::new(PATH)).unwrap().records.len(), 3);
    assert_eq!(rest.iter().filter(|byte| **byte == b'\n').count(), 3);
}

/// The verifier in another language says of random damage what this one says.
#[test]
fn the_verifier_in_another_language_agrees() {
    let bytes = written(&SimDisk::new(0));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let random = SeededRandom::new(1);
    for round in 0..8 {
        let mut changed = bytes.clone();
        if round > 0 {
            let at = random.index(changed.len() - 1);
            changed[at] ^= 1 << random.below(8);
        }
        let file = soter_world::OsDisk.create(&path).unwrap();
        file.write_at(0, &changed).unwrap();
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/verify_journal.py");
        let output = exec::Command::new("python3")
            .args([tool.as_os_str(), path.as_os_str()])
            .run(Duration::from_secs(30))
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        match read(&changed) {
            Ok(reading) => assert_eq!(said.trim(), format!("{} records", reading.records.len())),
            Err(Refused::Damaged(damage)) => {
                assert_eq!(said.trim(), format!("record {} is damaged", damage.n));
            }
            Err(other) => panic!("{other}"),
        }
        std::fs::remove_file(&path).unwrap();
    }
}
