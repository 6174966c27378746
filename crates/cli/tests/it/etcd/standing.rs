//! `soter status` and `soter doctor` of an etcd: whether it is protected, and what keeps it from being so.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use serde_json::Value;
use soter_stores::testing::wait_until;
use soter_world::disk::Owner;
use soter_world::exec::{Command, Signal, Status, current_owner};

use super::{Keep, TIMEOUT};
use crate::lab::text;

/// What status says, and whether it says that all is well.
fn status(keep: &Keep) -> (bool, Value) {
    let done = keep.soter(&["--json", "status", "cluster"]);
    let Status::Exited(code) = done.status else { panic!("{:?}", done.status) };
    assert!(code < 2, "{}", text(&done.stderr));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["protected"], code == 0, "{said}");
    (code == 0, said)
}

fn problems(said: &Value) -> String {
    let problems = said["problems"].as_array().unwrap().iter();
    problems.map(|it| it.as_str().unwrap()).collect::<Vec<_>>().join("; ")
}

/// All that the doctor says; the exit code says whether any of it is to be mended.
fn rows(keep: &Keep) -> Vec<Value> {
    let done = keep.soter(&["--json", "doctor", "cluster"]);
    let rows: Vec<Value> = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|_| panic!("{:?}: {}", done.status, text(&done.stderr)));
    let is_well = rows.iter().all(|row| row["severity"] == "notice");
    assert_eq!(done.status, Status::Exited(i32::from(!is_well)), "{rows:#?}");
    rows
}

fn named<'r>(rows: &'r [Value], code: &str) -> &'r Value {
    rows.iter().find(|row| row["code"] == code).unwrap_or_else(|| panic!("{code}: {rows:#?}"))
}

/// What is to be mended, by its codes.
pub(super) fn findings(keep: &Keep) -> Vec<String> {
    let rows = rows(keep).into_iter().filter(|row| row["severity"] != "notice");
    rows.map(|row| row["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn real_status_says_whether_an_etcd_is_protected() {
    let Some(mut keep) = Keep::new(1) else { return };
    keep.put("/a/b/", 30);
    let said = problems(&status(&keep).1);
    assert_eq!(said, "no agent runs on this machine; the vault has no backup");
    let agent = keep.agent();
    wait_until("it is protected", || status(&keep).0).unwrap();
    let (_, said) = status(&keep);
    assert_eq!((&said["newest"]["keys"], &said["newest"]["files"]), (&30.into(), &2.into()));
    assert_eq!((&said["agent"]["process"], &said["backups"]), (&agent.id().into(), &1.into()));
    assert!(said["verified"].is_null() && said["due_at"].is_string(), "{said}");
    keep.ok(&["verify", "cluster"]);
    let words = keep.ok(&["status"]);
    for part in ["an agent runs since", "newest recovery point (RPO): ", "30 keys", "next backup"] {
        assert!(words.contains(part), "{part} is not in {words}");
    }

    // What the plan promises is compared with what is there.
    let plan = fs::read_to_string(keep.path("soter.yaml")).unwrap();
    keep.write("soter.yaml", &plan.replace("kind: etcd", "kind: etcd\n    rpo: 1 s"));
    let is_old = || problems(&status(&keep).1).contains("old, the plan promises 1.00 s");
    wait_until("it is older than promised", is_old).unwrap();
    keep.write("soter.yaml", &plan);
    assert!(status(&keep).0);

    // An agent is a service, whose environment is not that of a shell.
    let shell = keep.command(&["status", "cluster"]).env("SOTER_STATE", keep.path("shell"));
    let shell = shell.env("HOME", keep.path("home")).run(TIMEOUT).unwrap();
    assert_eq!(shell.status, Status::Exited(0), "{}", text(&shell.stdout));

    // From elsewhere nobody knows of an agent, and what the vault has is said all the same.
    let (url, key) = (keep.url(), keep.path("keys/operator-1.key"));
    let elsewhere = ["--json", "status", "--vault", &url, "--identity", &key];
    let done = keep.command(&elsewhere).env("SOTER_STATE", keep.path("elsewhere"));
    let done = done.env("HOME", keep.path("elsewhere")).run(TIMEOUT).unwrap();
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((done.status, &said["newest"]["keys"]), (Status::Exited(1), &30.into()));

    agent.signal(Signal::Kill);
    drop(agent.wait());
    assert_eq!(problems(&status(&keep).1), "no agent runs on this machine");

    // One that is there and cannot do what it is for does not protect.
    let Some(mut other) = Keep::new(1) else { return };
    other.etcd.kill(0);
    keep.etcd.kill(0);
    let agent = other.agent();
    let has_failed = || problems(&status(&other).1).contains("the last attempt failed at");
    wait_until("the attempt has failed", has_failed).unwrap();
    agent.signal(Signal::Terminate);
    drop(agent.wait());
}

#[test]
fn real_the_doctor_says_what_keeps_an_etcd_from_being_protected() {
    let Some(mut keep) = Keep::new(3) else { return };
    keep.put("/a/b/", 30);
    assert_eq!(findings(&keep), ["agent-not-running"]);
    assert!(
        named(&rows(&keep), "agent-not-running")["commands"][0]
            .as_str()
            .unwrap()
            .ends_with("agent cluster")
    );
    let agent = keep.agent();
    wait_until("nothing is to be mended", || findings(&keep).is_empty()).unwrap();
    wait_until("a backup is there", || status(&keep).0).unwrap();
    let well = rows(&keep);
    let says = |code: &str| named(&well, code)["what"].as_str().unwrap();
    assert!(says("versions").starts_with("3 members answer, of etcd 3."), "{}", says("versions"));
    assert!(says("database-size").ends_with("of 2.0 GiB, 0 %"), "{}", says("database-size"));
    assert_eq!(says("taken-along"), "2 files are taken along");

    // An alarm is raised as etcd itself raises it, and stays until somebody lifts it.
    let member = keep.etcd.client().status().unwrap().1.member;
    let alarm = |action: &str| {
        let words = format!(r#"{{"action":"{action}","memberID":"{member}","alarm":"NOSPACE"}}"#);
        let curl = Command::new("curl").args(["-sSf", "--noproxy", "*", "-d", &words]);
        let curl = curl.args(["--cacert", "ca.crt", "--cert", "n.crt", "--key", "n.key"]);
        let url = format!("{}/v3/maintenance/alarm", keep.etcd.endpoints[0]);
        let raised = curl.arg(url).current_dir(keep.etcd.directory()).run(TIMEOUT).unwrap();
        raised.checked().unwrap();
    };
    alarm("ACTIVATE");
    assert_eq!(findings(&keep), ["alarm"]);
    let what = named(&rows(&keep), "alarm")["what"].to_string();
    assert!(what.contains(&format!("NOSPACE of member {member:016x}")), "{what}");
    alarm("DEACTIVATE");

    fs::remove_file(keep.path("k3s/token")).unwrap();
    assert_eq!(findings(&keep), ["files-missing"]);
    keep.write("k3s/token", "K10secret::server:word");
    let plan = fs::read_to_string(keep.path("soter.yaml")).unwrap();
    keep.write("soter.yaml", &plan.replace("servers/ca.crt", "k3s/token"));
    assert_eq!(findings(&keep), ["files-of-tls"]);
    keep.write("soter.yaml", &plan);
    read_only(&keep);

    keep.etcd.kill(0);
    assert_eq!(findings(&keep), ["member-unreachable"]);
    keep.etcd.kill(1);
    let found = findings(&keep);
    assert!(found.iter().any(|code| code == "no-leader" || code == "alarms-unknown"), "{found:?}");
    agent.signal(Signal::Terminate);
    drop(agent.wait());
}

/// A vault that takes no writes of whoever asks. Root may write everywhere, so it is somebody else.
fn read_only(keep: &Keep) {
    let mode = |path: &str, mode| {
        fs::set_permissions(keep.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    let doctor = keep.command(&["--json", "doctor", "cluster"]);
    let is_root = current_owner().user == 0;
    let doctor = if is_root {
        let open = Command::new("chmod").args(["-R", "a+rX"]).arg(keep.path(""));
        open.run(TIMEOUT).unwrap().checked().unwrap();
        mode("keys/agent.key", 0o600);
        chown(keep.path("keys/agent.key"), Some(65534), None).unwrap();
        doctor.run_as(Owner { user: 65534, group: 65534 })
    } else {
        mode("vault", 0o555);
        doctor
    };
    let done = doctor.run(TIMEOUT).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|_| panic!("{:?}: {}", done.status, text(&done.stderr)));
    mode("vault", 0o755);
    if is_root {
        chown(keep.path("keys/agent.key"), Some(0), None).unwrap();
    }
    named(&rows, "vault-not-writable");
}
