//! Journals that are not as they were written.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use soter_world::exec::{Command, Input};
use soter_world::random;
use soter_world::sim::{SeededRandom, seeds};

use super::{Desk, expect};
use crate::lab::{overwrite, text};

/// A run that is over, and its journal.
fn closed() -> (Desk, String) {
    let desk = Desk::new(
        "scenarios: { lost: { phases: [{ steps: [{ id: one, run: 'true' }, { id: two, run: 'true' }] }] } }\n",
    );
    let done = desk.json(&["recover", "lost", "--target", "drill.yaml"]);
    (desk, done["journal"].as_str().unwrap().to_owned())
}

#[test]
fn every_flipped_bit_names_its_record() {
    let (desk, journal) = closed();
    let bytes = fs::read(&journal).unwrap();
    for seed in seeds(12) {
        let chance = SeededRandom::new(seed);
        let drawn = u64::from_le_bytes(random::bytes::<8>(&chance));
        let bit = usize::try_from(drawn % (bytes.len() as u64 * 8)).unwrap();
        let (at, mut flipped) = (bit / 8, bytes.clone());
        flipped[at] ^= 1 << (bit % 8);
        overwrite(Path::new(&journal), &flipped);
        let done = desk.soter(&["--json", "journal", "verify", &journal]);
        let context = format!("seed {seed}, bit {bit}");
        let verdict: Value = serde_json::from_str(&expect(done, 1, "not whole")).unwrap();
        let before = bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(verdict["fault"]["n"], before + 1, "{context}: {verdict}");
        let begins = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |it| it + 1);
        assert_eq!(verdict["fault"]["byte"], begins, "{context}: {verdict}");
    }
    overwrite(Path::new(&journal), &bytes);
    desk.ok(&["journal", "verify", &journal]);
}

#[test]
fn a_torn_end_is_said_and_damage_is_not_gone_on_with() {
    let (desk, journal) = closed();
    let bytes = fs::read(&journal).unwrap();
    let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    let cut = fs::OpenOptions::new().write(true).open(&journal).unwrap();
    cut.set_len(last as u64 + 20).unwrap();
    desk.fails(&["journal", "verify", &journal], 1, "not whole");
    // The end was never acknowledged: the run is not over, and goes on.
    desk.ok(&["run", "resume", "latest"]);
    let torn = Path::new(&journal).with_file_name("journal.torn-1");
    assert_eq!(fs::read(torn).unwrap(), bytes[last + 1..last + 20]);

    let mut damaged = fs::read(&journal).unwrap();
    damaged[40] ^= 4;
    overwrite(Path::new(&journal), &damaged);
    desk.fails(&["run", "resume", "latest"], 3, "record 1, at byte 0");
    desk.fails(&["run", "show", "latest"], 3, "record 1, at byte 0");
    assert!(desk.ok(&["runs"]).contains("record 1, at byte 0"));
    assert_eq!(fs::read(&journal).unwrap(), damaged, "nothing is cut away");
}

#[test]
fn the_journal_of_a_newer_version_is_refused_by_name() {
    let (desk, journal) = closed();
    let all = fs::read_to_string(&journal).unwrap();
    let first = all.lines().next().unwrap().replace("\"journal\":1", "\"journal\":2");
    let (hashed, _) = first.rsplit_once(",\"hash\":").unwrap();
    let sum = Command::new("sha256sum").stdin(Input::Bytes(hashed.as_bytes().to_vec()));
    let sum = text(&sum.run(Duration::from_secs(60)).unwrap().stdout);
    let sum = sum.split(' ').next().unwrap();
    let newer = format!("{hashed},\"hash\":\"{sum}\"}}\n");
    let file = fs::OpenOptions::new().write(true).truncate(true).open(&journal).unwrap();
    std::io::Write::write_all(&mut &file, newer.as_bytes()).unwrap();
    for command in [["journal", "verify", &journal], ["run", "resume", "latest"]] {
        desk.fails(&command, 2, "format version 2, and this program reads version 1");
    }
}
