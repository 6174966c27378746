//! What the plan says reaches the agent; what it says and no agent does is said aloud.

use std::fs;

use soter_world::exec::Status as ExitStatus;

use super::{lab, lab_with};
use crate::lab::{Lab, overwrite, text};

/// Names a second vault in the lab's plan.
fn name_another_vault(lab: &Lab) {
    let path = lab.root.join("soter.yaml");
    let plan = fs::read_to_string(&path).unwrap();
    let main = plan.lines().find(|line| line.starts_with("  main: ")).unwrap();
    let other = main.replace("main:", "other:").replace("/vault\"", "/other\"");
    let plan = plan.replace(main, &format!("{main}\n{other}")).replace("[main]", "[main, other]");
    overwrite(&path, plan.as_bytes());
}

#[test]
fn real_a_second_vault_is_said_to_hold_nothing() {
    let lab = lab("asynchronous", &["fsync = on"]);
    name_another_vault(&lab);
    let what = "orders is kept in the vault main only: nothing is stored in other";
    let agent = lab.streaming_agent();
    agent.wait_for_line(&format!("warning: {what}"));
    lab.wait(&agent, "everything else is in order", |status| status.problems == [what]);
    let done = lab.soter(&["status", "orders"]);
    assert_eq!(done.status, ExitStatus::Exited(1), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains(&format!("problem: {what}")), "{}", text(&done.stdout));

    let warns = |arguments: &[&str]| {
        let said = text(&lab.soter(arguments).stderr);
        assert!(said.contains(&format!("warning: {what}")), "{arguments:?}: {said}");
    };
    warns(&["backup", "orders"]);
    let doctor = text(&lab.soter(&["doctor", "orders"]).stdout);
    assert!(doctor.contains(&format!("warning: {what}")), "{doctor}");
    assert_eq!(agent.stop(), 0);
    warns(&["status", "orders"]);
    let removed = lab.ok(&["store", "remove", "orders"]);
    assert!(removed.contains("all backups and WAL, in the vault main\n"), "{removed}");
}

/// Whoever hides the newest trust list hides whom it has removed.
#[test]
fn real_a_trust_list_older_than_one_that_was_seen_ends_the_agent() {
    let lab = lab("asynchronous", &[]);
    let agent = lab.streaming_agent();
    assert_eq!(agent.stop(), 0);
    let path = lab.root.join("state/memory.json");
    let memory = fs::read_to_string(&path).unwrap();
    let seen = memory.replacen("\"trust_number\": 1,", "\"trust_number\": 9,", 1);
    assert_ne!(memory, seen);
    overwrite(&path, seen.as_bytes());
    let mut agent = lab.agent();
    assert_eq!(agent.ended(), 3, "{}", agent.log());
    let said = "the vault shows trust list 1, and list 9 was there before: it was rolled back";
    assert!(agent.log().contains(said), "{}", agent.log());
}

#[test]
fn real_the_next_backup_is_due_when_the_plan_says() {
    let yearly = "    backup: { schedule: \"30 4 1 1 *\", time_zone: Asia/Tokyo }\n";
    let lab = lab_with("asynchronous", &[], yearly);
    let agent = lab.streaming_agent();
    let status = lab.wait(&agent, "it knows when", |status| status.backup.next_at.is_some());
    let next = status.backup.next_at.unwrap().to_string();
    assert!(next.ends_with("-12-31T19:30:00Z"), "{next}");
    assert_eq!(agent.stop(), 0);
}
