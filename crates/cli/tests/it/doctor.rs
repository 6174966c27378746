//! `soter init` and `soter doctor`: from a cluster that nobody prepared to one that is protected, by
//! doing nothing but what the doctor says.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use soter_postgres::testing::{Shutdown, TestCluster, wait_until};
use soter_world::exec::Status as ExitStatus;

use crate::lab::{Agent, Lab, overwrite, text};

/// What the doctor finds: its exit code, and code and severity of each row.
fn look(lab: &Lab) -> (i32, Vec<Value>) {
    let done = lab.soter(&["--json", "doctor", "orders"]);
    let ExitStatus::Exited(code) = done.status else { panic!("{:?}", done.status) };
    let rows = serde_json::from_slice(&done.stdout);
    (code, rows.unwrap_or_else(|_| panic!("{}", text(&done.stderr))))
}

fn codes(rows: &[Value]) -> Vec<&str> {
    let rows = rows.iter().filter(|row| row["severity"] != "notice");
    rows.map(|row| row["code"].as_str().unwrap()).collect()
}

/// Does what the doctor says about one thing.
fn mend(lab: &mut Lab, row: &Value, agent: &mut Option<Agent>) {
    for command in row["commands"].as_array().unwrap() {
        let command = command.as_str().unwrap();
        if command.ends_with(';') {
            lab.cluster.psql(command).unwrap();
        } else if row["code"] == "replication-refused" {
            let path = lab.cluster.data_directory().join("pg_hba.conf");
            let rules = fs::read_to_string(&path).unwrap();
            overwrite(&path, format!("{command}\n{rules}").as_bytes());
        } else {
            assert_eq!(row["code"], "agent-not-running", "{row}");
            assert!(command.ends_with("soter.yaml agent orders"), "{command}");
            *agent = Some(lab.agent());
        }
    }
    if row["hint"].as_str().unwrap().contains("restart PostgreSQL") {
        lab.cluster.stop(Shutdown::Fast).unwrap();
        lab.cluster.start().unwrap();
    }
}

/// Does what the doctor says until it is content. Returns what it had found on the way.
fn mend_all(lab: &mut Lab) -> (Agent, Vec<String>) {
    let (mut agent, mut seen) = (None, Vec::new());
    // The agent last, when the server is ready; a reload takes a moment.
    wait_until("the doctor is content", || {
        let (code, rows) = look(lab);
        let mut to_mend: Vec<Value> =
            rows.into_iter().filter(|row| row["severity"] != "notice").collect();
        if to_mend.len() > 1 {
            to_mend.retain(|row| row["code"] != "agent-not-running");
        }
        for row in &to_mend {
            assert!(!row["commands"].as_array().unwrap().is_empty(), "{row}");
            seen.push(row["code"].as_str().unwrap().to_owned());
            mend(lab, row, &mut agent);
        }
        code == 0
    })
    .unwrap();
    (agent.unwrap(), seen)
}

#[test]
fn real_what_the_doctor_says_makes_a_cluster_ready() {
    let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    let wrong = ["wal_level = minimal", "max_wal_senders = 0", "wal_sender_timeout = 0"];
    cluster.configure(&wrong).unwrap();
    let rules = cluster.data_directory().join("pg_hba.conf");
    fs::remove_file(&rules).unwrap();
    fs::File::create_new(&rules).unwrap();
    overwrite(&rules, b"local all all trust\n");
    std::os::unix::fs::chown(&rules, Some(cluster.owner().user), None).unwrap();
    let mut lab = Lab::around(cluster, "");
    lab.cluster.psql("CREATE ROLE soter LOGIN PASSWORD 'secret' CONNECTION LIMIT 2").unwrap();
    let password = lab.root.join("password");
    fs::File::create_new(&password).unwrap();
    overwrite(&password, b"secret");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();

    let connection = format!(
        "host={} port=5432 user=soter dbname=postgres password=${{file:{}}}",
        lab.cluster.directory().display(),
        password.display()
    );
    let (url, key) = (lab.url(), lab.path("keys/agent.key"));
    let init = ["init", "--connection", &connection, "--vault", &url, "--key", &key];
    lab.fails(&init, 2, "is there already");
    fs::remove_file(lab.root.join("soter.yaml")).unwrap();
    lab.fails(&["init", "--connection", "password=x", "--vault", &url, "--key", &key], 2, "hint:");
    lab.fails(&init, 2, "GRANT pg_read_all_settings TO soter;");
    assert!(!lab.root.join("soter.yaml").exists());
    lab.cluster.psql("GRANT pg_read_all_settings TO soter").unwrap();
    lab.ok(&init);
    lab.fails(&init, 2, "is there already");
    // The agent's state goes into the lab, by lifting the line that the plan has for it.
    let path = lab.root.join("soter.yaml");
    let plan = fs::read_to_string(&path).unwrap();
    let spool = format!("{}/state, limit: 64 MiB", lab.root.display());
    let lifted = plan.replace("#spool: { directory: /var/spool/soter, limit: 4 GiB", &{
        format!("spool: {{ directory: {spool}")
    });
    assert_ne!(plan, lifted);
    fs::remove_file(&path).unwrap();
    fs::File::create_new(&path).unwrap();
    overwrite(&path, lifted.as_bytes());

    let (code, rows) = look(&lab);
    assert_eq!(code, 1);
    let found = codes(&rows);
    for expected in [
        "role-cannot-replicate",
        "role-cannot-back-up",
        "role-connection-limit",
        "wal-level-minimal",
        "wal-senders-exhausted",
        "wal-sender-timeout-off",
        "fsync-off",
        "agent-not-running",
    ] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
    let (agent, seen) = mend_all(&mut lab);
    assert!(seen.contains(&"replication-refused".to_owned()), "{seen:?}");
    lab.wait(&agent, "it streams", |status| status.doing.contains("streaming"));
    assert_eq!(codes(&look(&lab).1), Vec::<&str>::new());
    let said = lab.ok(&["doctor"]);
    assert!(said.contains("nothing keeps orders from being protected"), "{said}");
    assert_eq!(agent.stop(), 0);
}

#[test]
fn real_the_doctor_looks_at_key_vault_directory_and_server() {
    let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    let lines = Lab::wal_lines(cluster.directory(), "asynchronous");
    let mut lab = Lab::around(cluster, &lines);
    let has = |lab: &Lab, expected: &str| {
        let (code, rows) = look(lab);
        assert_eq!(code, 1);
        let row = rows.iter().find(|row| row["code"] == expected);
        row.unwrap_or_else(|| panic!("{expected}: {rows:#?}")).clone()
    };
    let key = lab.root.join("keys/agent.key");
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&key, 0);
    has(&lab, "key-unusable");
    mode(&key, 0o600);
    lab.vault_away(true);
    has(&lab, "vault-unusable");
    lab.vault_away(false);
    mode(&lab.root.join("vault"), 0o500);
    let row = has(&lab, "vault-not-writable");
    assert!(row["commands"][0].as_str().unwrap().starts_with("chown -R "), "{row}");
    mode(&lab.root.join("vault"), 0o700);

    // Room. No disk has a pebibyte; the vault lies where the data lies, which is a notice.
    let plan = fs::read_to_string(lab.root.join("soter.yaml")).unwrap();
    let roomy = plan.replace("limit: 64 MiB", "limit: 1024 TiB");
    assert_ne!(plan, roomy);
    overwrite(&lab.root.join("soter.yaml"), roomy.as_bytes());
    let row = has(&lab, "spool-space");
    assert_eq!(row["severity"], "warning", "{row}");
    assert!(row["what"].as_str().unwrap().contains("the spool may have 1.0 PiB"), "{row}");
    assert_eq!(has(&lab, "vault-beside-data")["severity"], "notice");
    fs::remove_file(lab.root.join("soter.yaml")).unwrap();
    lab.write_plan("soter.yaml", &lines);

    // A directory that was not adopted.
    let agent = lab.streaming_agent();
    assert_eq!(agent.stop(), 0);
    let marker = lab.cluster.data_directory().join("soter.incarnation");
    fs::remove_file(marker).unwrap();
    let (code, rows) = look(&lab);
    assert_eq!(code, 1);
    let row = rows.iter().find(|row| row["code"] == "not-adopted").unwrap();
    let command = row["commands"][0].as_str().unwrap();
    assert!(command.contains("adopt orders --data-dir "), "{row}");
    lab.cluster.stop(Shutdown::Fast).unwrap();
    let found = codes(&look(&lab).1).join(" ");
    assert!(found.contains("server-unreachable"), "{found}");
    // An archiver that hands WAL over needs no agent.
    let push = "archive_command = 'soter --plan x wal push %p'";
    lab.cluster.configure(&["archive_mode = on", push, "fsync = on"]).unwrap();
    lab.cluster.start().unwrap();
    lab.ok(&["adopt", "orders"]);
    let (code, rows) = look(&lab);
    assert_eq!((code, codes(&rows)), (0, Vec::new()), "{rows:#?}");
}
