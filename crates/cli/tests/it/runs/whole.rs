//! A run from what it would do to its end.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;
use soter_world::exec::{Command, Input, Signal};

use super::{Desk, TOKEN, ended, expect, files};
use crate::lab::text;

const PLAN: &str = r#"
scenarios:
  lost:
    title: All of it is lost
    rto: 1h
    parameters:
      node: { about: The machine that is left, type: host, from: ask }
      token: { from: env, name: EDGE_TOKEN, type: secret }
      found: { from: step, name: look }
    phases:
      - title: Assess
        budget: 10 min
        steps:
          - id: look
            title: Look around
            run: |
              # only what is there
              test "$token" = hunter2-and-more
              echo "found=$node is up" >> "$SOTER_OUTPUT"
      - title: Bring back
        steps:
          - id: wipe
            title: Make room
            destructive: true
            owner: sre
            run: echo "$SOTER_KIND $found" >> "$DESK_FILE"
            verify: [{ title: there is room, run: 'test -s "$DESK_FILE"' }]
          - { id: left, title: Start the left half, parallel: true, run: soter version }
          - { id: right, title: Start the right half, parallel: true, run: 'true' }
          - { id: rest, wait: 10 ms }
"#;

fn desk() -> Desk {
    let desk = Desk::new(PLAN);
    let file = desk.path("effects");
    desk.put(
        "drill.yaml",
        &format!("name: lab\nkind: drill\nenvironment: {{ DESK_FILE: {file} }}\n"),
    );
    desk
}

const RECOVER: [&str; 4] = ["recover", "lost", "--target", "drill.yaml"];

#[test]
fn a_dry_run_says_what_would_be_done_and_what_is_in_the_way_and_writes_nothing() {
    let desk = desk();
    let before = files(desk.root.path());
    let dry = [&["--json"], &RECOVER[..], &["--dry-run", "--param", "node=n1"]].concat();
    let shown: Value = serde_json::from_str(&desk.ok(&dry)).unwrap();
    assert_eq!((&shown["kind"], &shown["target"]), (&"DRILL".into(), &"lab".into()));
    assert_eq!(shown["parameters"][1]["value"], "****");
    let ids: Vec<&str> = shown["phases"][1]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["wipe", "left", "right", "rest"]);
    let wipe = &shown["phases"][1]["steps"][0];
    assert_eq!((&wipe["destructive"], &wipe["owner"]), (&true.into(), &"sre".into()));
    assert_eq!(
        shown["phases"][0]["steps"][0]["does"],
        "test \"$token\" = hunter2-and-more  (and 2 lines)"
    );
    let in_words = desk.ok(&[&RECOVER[..], &["--dry-run", "--param", "node=n1"]].concat());
    assert!(in_words.starts_with("DRILL on lab: All of it is lost (lost)\n"), "{in_words}");
    assert!(in_words.contains("CANNOT BE TAKEN BACK") && in_words.contains("LOCAL ONLY"));

    // Everything that is in the way is said at once.
    let done =
        desk.soter(&[&["--json"], &RECOVER[..], &["--dry-run", "--param", "node=-x"]].concat());
    let shown: Value = serde_json::from_str(&expect(done, 1, "could not begin")).unwrap();
    let blocking =
        shown["objections"].as_array().unwrap().iter().filter(|it| it["blocking"] == true);
    let what: Vec<&str> = blocking.map(|it| it["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["the parameter `node`: `-x` is not a name or an address of a machine"]);
    desk.fails(&[&RECOVER[..], &["--param", "node=-x"]].concat(), 2, "one thing is in the way");
    assert_eq!(files(desk.root.path()), before);
}

#[test]
fn what_was_mistyped_is_answered_with_what_was_meant() {
    let desk = desk();
    desk.fails(&["recover", "lsot"], 2, "did you mean lost?");
    desk.fails(&[&RECOVER[..], &["--param", "nod=n1"]].concat(), 2, "did you mean node?");
    desk.fails(&[&RECOVER[..], &["--param", "node"]].concat(), 2, "NAME=VALUE");
    desk.fails(&["recover", "lost", "--target", "nowhere.yaml"], 2, "read the target");
    desk.fails(&["recover", "lost", "--vault", "fra"], 2, "the plan has no vault");
    desk.fails(&["run", "show", "latest"], 2, "there is no run here");
    desk.put("drill.yaml", "name: lab\nkind: dril\n");
    desk.fails(&[&RECOVER[..], &["--param", "node=n1"]].concat(), 2, "drill.yaml:2");
    desk.put("soter.yaml", "scenarios: { lost: { phases: [{ steps: [{ id: a }] }] } }\n");
    desk.fails(&["recover", "lost"], 2, "soter.yaml:1:");
}

#[test]
fn a_run_is_carried_out_to_its_end_and_every_command_tells_the_same_of_it() {
    let desk = desk();
    let done = desk.json(&[&RECOVER[..], &["--param", "node=n1"]].concat());
    assert_eq!((&done["result"], &done["mirror"]), (&"success".into(), &"local".into()));
    assert_eq!(desk.lines("effects"), ["DRILL n1 is up"]);
    let run = done["run"].as_str().unwrap();
    let shown = desk.json(&["run", "show", "latest"]);
    assert_eq!((&shown["run"], &shown["life"]["is"]), (&run.into(), &"succeeded".into()));
    assert!(shown["steps"].as_array().unwrap().iter().all(|step| step["is"] == "done"));
    assert_eq!(desk.json(&["runs"])[0]["status"], "over: success");
    let log = desk.ok(&["run", "log", "lost"]);
    assert!(log.contains("wipe (Make room) begins") && log.contains("the run is over"), "{log}");
    let records = desk.ok(&["--json", "run", "log", run]);
    assert_eq!(records, desk.journal("here"), "with --json these are the records themselves");
    let verdict = desk.json(&["journal", "verify", done["journal"].as_str().unwrap()]);
    assert_eq!((&verdict["whole"], &verdict["records"]), (&true.into(), &done["records"]));
    desk.fails(&["run", "resume", run], 2, "the run is closed");
    desk.fails(&["run", "pause", run], 2, "no engine carries");
}

#[test]
fn secrets_are_found_nowhere() {
    let desk = Desk::with_vault(
        r#"
credentials:
  edge: { read_from: "${env:EDGE_TOKEN}" }
scenarios:
  lost:
    parameters:
      token: { from: credential, name: edge, type: secret }
      made: { from: step, name: make, type: secret }
    phases:
      - steps:
          - { id: make, run: 'printf "made=hunter2-%s\n" again >> "$SOTER_OUTPUT"' }
          - id: use
            run: 'test "$made" = "hunter2-""again"'
            verify: [{ run: 'echo "${token}" | base64; test -n "$token"' }]
          - { id: fails, run: 'echo "no ${token}" >&2; echo "${made}"; exit 7' }
"#,
    );
    let edge = "credentials: { edge: \"${env:EDGE_TOKEN}\" }";
    desk.put("drill.yaml", &format!("name: lab\nkind: drill\n{edge}\n"));
    let key = desk.path("keys/operator-1.key");
    let arguments = [&RECOVER[..], &["--identity", &key]].concat();
    let mut engine = desk.start("here", &arguments);
    desk.wait_for("here", "\"paused\"");
    desk.ok(&["run", "skip", "latest", "fails", "--why", "tried"]);
    let out = ended(&mut engine, 0, "fails: FAILED");
    assert!(!out.contains(TOKEN));
    // What a command writes itself lies in its own file, as it wrote it, for its owner alone.
    let by_the_step =
        |path: &std::path::Path| path.ends_with("output") || path.ends_with("results");
    let kept = |path: &std::path::PathBuf| path.ends_with("fails.1/shown");
    let here = files(desk.root.path().join("here").as_path());
    let elsewhere = files(desk.root.path().join("vault").as_path());
    assert!(
        here.len() > 10
            && elsewhere.iter().any(|path| path.display().to_string().contains("/run/"))
    );
    let shown = here.iter().find(|path| kept(path)).expect("what others may see is kept");
    assert_eq!(std::fs::read_to_string(shown).unwrap(), "no ****\n****\n");
    for path in here.iter().chain(&elsewhere).filter(|path| !by_the_step(path)) {
        let bytes = std::fs::read(path).unwrap();
        for secret in [TOKEN, "hunter2-again", "aHVudGVyMi1hbmQtbW9yZQ"] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{secret} is in {}", path.display());
        }
        assert!(!path.display().to_string().contains("hunter2"));
    }
    let journal = desk.journal("here");
    assert!(journal.contains("no ****"), "the reason is kept, the secret is not: {journal}");
}

/// Both ways to use a credential: a step is told it, and a request is sent with it.
#[test]
fn a_drill_never_reads_the_credentials_of_the_real_thing() {
    let desk = Desk::new("");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let plan = r#"
credentials:
  edge: { read_from: "${file:REAL}" }
scenarios:
  lost:
    parameters:
      token: { from: credential, name: edge, type: secret }
    phases:
      - steps:
          - { id: told, run: 'printf %s "$token" | sha256sum > "$PLACE/told"' }
          - { id: sent, http: { url: "http://127.0.0.1:PORT/", with: edge } }
"#;
    desk.put("real.token", TOKEN);
    desk.put("drill.token", "a token for drills\n");
    let plan = plan.replace("REAL", &desk.path("real.token")).replace("PORT", &port.to_string());
    desk.put("soter.yaml", &plan);
    let lines = |kind: &str| {
        format!("name: lab\nkind: {kind}\nenvironment: {{ PLACE: {} }}\n", desk.path(""))
    };
    desk.put("drill.yaml", &lines("drill"));
    // Not bound: nothing is begun, and it is said what to do.
    desk.fails(&RECOVER, 2, "give `edge` under `credentials` of the target `lab`");
    assert!(files(desk.root.path().join("here").as_path()).is_empty(), "something was begun");
    let answer = || {
        let (mut connection, _) = server.accept().unwrap();
        let mut asked = [0; 4096];
        let count = connection.read(&mut asked).unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&asked[..count]).into_owned()
    };
    let bound = format!("credentials: {{ edge: \"${{file:{}}}\" }}\n", desk.path("drill.token"));
    for (kind, bound, token) in
        [("drill", bound.as_str(), "a token for drills"), ("real", "", TOKEN)]
    {
        desk.put("drill.yaml", &format!("{}{bound}", lines(kind)));
        std::thread::scope(|scope| {
            let asked = scope.spawn(answer);
            desk.ok(&[&RECOVER[..], &["--confirm", "lab"]].concat());
            let asked = asked.join().unwrap();
            assert!(asked.contains(token), "{kind}: {asked}");
        });
        let sum = Command::new("sha256sum").stdin(Input::Bytes(token.as_bytes().to_vec()));
        let sum = text(&sum.run(super::TIMEOUT).unwrap().stdout);
        assert_eq!(desk.lines("told"), [sum.trim_end()], "{kind}");
        std::fs::remove_dir_all(desk.path("here")).unwrap();
    }
}

#[test]
fn who_leaves_changes_nothing_and_what_ran_is_adopted() {
    let desk = desk();
    desk.put(
        "soter.yaml",
        "scenarios: { lost: { phases: [{ steps: [\
           { id: long, run: 'echo begun >> \"$DESK_FILE\"; for _ in $(seq 2000); do test ! -e \"$DESK_FILE.go\" || break; sleep 0.05; done; echo ended >> \"$DESK_FILE\"' }\
         ] }] } }\n",
    );
    let mut engine = desk.start("here", &RECOVER);
    desk.wait_for("here", "child_started");
    // It is recorded before the first word of the script is carried out.
    soter_postgres::testing::wait_until("it has begun", || desk.lines("effects") == ["begun"])
        .unwrap();
    engine.signal(Signal::Interrupt);
    let done = engine.wait_timeout(super::TIMEOUT).unwrap();
    let said = text(&done.stderr);
    expect(done, 5, "is left and not over");
    let process = desk.json(&["run", "show", "latest"])["run"].as_str().unwrap().to_owned();
    assert!(said.contains("`long` goes on by itself (process "), "{said}");
    assert!(said.contains(&format!("go on with it: soter run resume {process}")), "{said}");
    assert_eq!(desk.lines("effects"), ["begun"]);
    let rows = desk.json(&["runs"]);
    assert_eq!(rows[0]["engine"], false);
    let mut again = desk.start("here", &["run", "resume", "latest"]);
    desk.wait_for("here", "adopted");
    let shown = desk.json(&["run", "show", "latest"]);
    let engine = &shown["takeovers"][0];
    let words = engine["words"].as_str().unwrap();
    assert!(words.contains("it adopted `long` (process "), "{words}");
    assert_eq!((&engine["epoch"], &engine["took_over"]), (&2.into(), &false.into()));
    desk.put("effects.go", "");
    // Where a line ends depends on how long the names are.
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let done = again.wait_timeout(super::TIMEOUT).unwrap();
    let said = one_line(&text(&done.stderr));
    assert!(said.contains(&one_line(words)), "{words}: {said}");
    expect(done, 0, "");
    let log = desk.ok(&["run", "log", "latest"]);
    assert!(log.contains("its process lives"), "{log}");
    assert_eq!(desk.lines("effects"), ["begun", "ended"]);
}
