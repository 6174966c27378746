//! What is looked at again before another engine goes on, and what a key at the terminal does to one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use soter_world::{Disk, OsDisk};

use super::{Desk, TIMEOUT, ended, expect};
use crate::lab::text;

#[test]
fn what_is_in_the_way_of_going_on_is_said_at_once_and_overruled_by_a_word() {
    let desk = Desk::with_vault(
        "scenarios:\n  lost:\n    phases:\n      - steps:\n          \
         - { id: first, run: first-tool }\n          - { id: word, ask: Which? }\n          \
         - { id: last, run: last-tool }\n",
    );
    let tools = desk.path("tools");
    fs::create_dir(&tools).unwrap();
    for tool in ["first-tool", "last-tool"] {
        let path = format!("tools/{tool}");
        desk.put(&path, "#!/bin/sh\n");
        fs::set_permissions(desk.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
    }
    desk.put("drill.yaml", &format!("name: lab\nkind: drill\npath: [{tools}]\n"));
    let key = desk.path("keys/operator-1.key");
    let recover = ["recover", "lost", "--target", "drill.yaml", "--identity", &key];
    let mut first = desk.start("here", &recover);
    desk.wait_for_step("word");
    // An engine that lives is spoken of before anything else.
    fs::remove_dir_all(&tools).unwrap();
    desk.fails(&["run", "resume", "latest"], 2, "another engine carries");
    first.kill();
    first.wait_timeout(TIMEOUT).unwrap();
    let (vault, away) = (desk.path("vault"), desk.path("away"));
    OsDisk.rename(vault.as_ref(), away.as_ref()).unwrap();
    let plan = fs::read_to_string(desk.path("soter.yaml")).unwrap();
    desk.put("soter.yaml", &plan.replace("Which?", "Which one?"));
    let before = desk.journal("here");
    let done = desk.soter(&["run", "resume", "latest"]);
    let said = text(&done.stderr);
    expect(done, 2, "cannot be gone on with as things are here");
    for says in [
        "BLOCKING  this machine has no program `last-tool`, which the step `last` needs",
        &format!("BLOCKING  the vault {} does not take the journal", desk.url()),
        "remark    the plan at ",
        " --anyway",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    assert!(!said.contains("first-tool"), "what is over needs nothing: {said}");
    assert_eq!(desk.journal("here"), before, "nothing was done");
    OsDisk.rename(away.as_ref(), vault.as_ref()).unwrap();
    let mut second = desk.start("here", &["run", "resume", "latest", "--anyway"]);
    desk.wait_for("here", "\"type\":\"engine\"");
    desk.ok(&["run", "answer", "latest", "word", "this"]);
    desk.wait_for("here", "`last` failed");
    desk.ok(&["run", "skip", "latest", "last", "--why", "it is gone"]);
    ended(&mut second, 0, "warning: this machine has no program `last-tool`");
}

#[test]
fn a_real_run_is_not_gone_on_with_where_nobody_who_approves_can_be_heard() {
    let desk = Desk::new("");
    desk.put(
        "soter.yaml",
        &format!(
            "people:\n  ada: {{ title: Ada }}\n  bea: {{ title: Bea, approves_with: \"${{file:{}}}\" }}\nscenarios:\n  lost:\n    \
             phases:\n      - steps:\n          - {{ id: word, ask: Which? }}\n          \
             - {{ id: agreed, approve: {{ by: [bea], text: Go? }} }}\n",
            desk.path("bea.secret")
        ),
    );
    let real = ["--target", "real.yaml", "--confirm", "second site", "--local"];
    let mut first = desk.start("here", &[&["recover", "lost"], &real[..]].concat());
    desk.wait_for_step("word");
    first.kill();
    first.wait_timeout(TIMEOUT).unwrap();
    fs::remove_file(desk.path("bea.secret")).unwrap();
    let resume = ["run", "resume", "latest", "--local"];
    desk.fails(&resume, 2, "too few codes can be checked here for the step `agreed`");
    let mut second = desk.start("here", &[&resume[..], &["--anyway"]].concat());
    desk.wait_for("here", "\"type\":\"engine\"");
    desk.ok(&["run", "abort", "latest", "--why", "that was it"]);
    ended(&mut second, 1, "was given up");
}
