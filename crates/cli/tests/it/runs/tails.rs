//! What a step writes is seen at every terminal, and its secrets at none.

use soter_postgres::testing::wait_until;

use super::{Desk, TIMEOUT, TOKEN, ended, files};
use crate::lab::text;

/// A secret of the target, which no parameter has.
const OF_TARGET: &str = "swordfish-of-the-target";

/// A secret that a step makes; the text of the plan has it in two parts.
const MADE: &str = "made-by-the-step-itself";

fn desk(steps: &str) -> Desk {
    let made = match steps.contains("id: make") {
        true => "      made: { from: step, name: make, type: secret }\n",
        false => "",
    };
    let desk = Desk::new(&format!(
        "scenarios:\n  lost:\n    parameters:\n      token: {{ from: ask, type: secret }}\n{made}    \
         phases:\n      - steps:\n{steps}"
    ));
    desk.put("target.secret", OF_TARGET);
    let (file, secret) = (desk.path("effects"), desk.path("target.secret"));
    desk.put(
        "drill.yaml",
        &format!(
            "name: lab\nkind: drill\nenvironment: {{ DESK_FILE: {file}, INNER: \"${{file:{secret}}}\" }}\n"
        ),
    );
    desk
}

/// Writes all it knows, and goes on until it is let go.
const TALKS: &str = r#"          - id: talks
            run: |
              echo "to ${token} and ${INNER}, the first"
              echo "$token" | base64
              while ! test -e "$DESK_FILE.go"; do sleep 0.05; done
              echo "to ${token} again" >&2
              exit 4
"#;

fn recover() -> Vec<String> {
    let token = format!("token={TOKEN}");
    let words = ["recover", "lost", "--target", "drill.yaml", "--local", "--param", &token];
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn words(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

/// Every form of every secret that could be seen anywhere but where a step itself wrote it.
fn found_nowhere(desk: &Desk, said: &str) {
    let encoded = ["aHVudGVyMi1hbmQtbW9yZQ", TOKEN, OF_TARGET, MADE];
    for secret in encoded {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    let raw = |path: &std::path::Path| path.ends_with("output") || path.ends_with("results");
    for path in files(desk.path("here").as_ref()).iter().filter(|path| !raw(path)) {
        let bytes = std::fs::read(path).unwrap();
        let held = String::from_utf8_lossy(&bytes);
        for secret in encoded {
            assert!(!held.contains(secret), "{secret} is in {}", path.display());
        }
    }
}

#[test]
fn a_second_terminal_shows_the_log_without_secrets_whatever_becomes_of_the_engine() {
    let desk = desk(TALKS);
    let mut first = desk.start("here", &words(&recover()));
    desk.wait_for_step("talks");
    let seen = || desk.ok(&["run", "show", "latest", "talks"]);
    wait_until("the log is seen", || seen().contains("and ****, the first")).unwrap();
    let shown = seen();
    assert!(shown.contains("to **** and ****, the first"), "{shown}");
    found_nowhere(&desk, &shown);
    let json = desk.ok(&["--json", "run", "show", "latest"]);
    assert!(json.contains("to **** and ****, the first"), "{json}");
    found_nowhere(&desk, &json);
    first.kill();
    first.wait_timeout(TIMEOUT).unwrap();
    let shown = seen();
    assert!(
        shown.contains("the first") && shown.contains("when the last engine looked"),
        "{shown}"
    );
    // The next engine does not know the secret: then nobody is shown what is written, not even it.
    let mut second = desk.start("here", &["run", "resume", "latest", "--local"]);
    desk.wait_for("here", "adopted");
    wait_until("nothing is shown", || seen().contains("is not known here")).unwrap();
    desk.put("effects.go", "");
    desk.wait_for("here", "`talks` failed");
    let journal = desk.journal("here");
    assert!(journal.contains("a secret of this run is not known here"), "{journal}");
    found_nowhere(&desk, &desk.ok(&["run", "show", "latest", "--all"]));
    desk.ok(&["run", "skip", "latest", "talks", "--why", "seen enough"]);
    let done = second.wait_timeout(TIMEOUT).unwrap();
    found_nowhere(&desk, &text(&done.stderr));
}

#[test]
fn what_a_step_writes_that_makes_a_secret_is_shown_when_the_secret_is_known() {
    let desk = desk(
        r#"          - id: make
            retries: 1
            run: |
              made="made-by-the""-step-itself"
              echo "it is $made"
              while ! test -e "$DESK_FILE.go"; do sleep 0.05; done
              if ! test -e "$DESK_FILE.again"; then touch "$DESK_FILE.again"; exit 5; fi
              echo "made=$made" >> "$SOTER_OUTPUT"
            verify: [{ title: somebody looks, manual: Is it there? }]
"#,
    );
    let mut engine = desk.start("here", &words(&recover()));
    desk.wait_for_step("make");
    let seen = || desk.ok(&["run", "show", "latest", "make"]);
    wait_until("it is said why", || seen().contains("is not known here")).unwrap();
    found_nowhere(&desk, &seen());
    desk.put("effects.go", "");
    desk.wait_for("here", "\"outputs\"");
    wait_until("it is shown", || seen().contains("it is ****")).unwrap();
    found_nowhere(&desk, &seen());
    desk.ok(&["run", "look", "latest", "make", "yes"]);
    let done = engine.wait_timeout(TIMEOUT).unwrap();
    let said = text(&done.stderr);
    assert!(said.contains("attempt 2"), "{said}");
    found_nowhere(&desk, &said);
}

#[test]
fn a_run_without_secret_parameters_shows_no_secret_of_its_target() {
    let desk = desk(TALKS);
    let plan = std::fs::read_to_string(desk.path("soter.yaml")).unwrap();
    let (front, back) = plan.split_once("    parameters:").unwrap();
    let (_, back) = back.split_once("    phases:").unwrap();
    desk.put("soter.yaml", &format!("{front}    phases:{back}").replace("${token}", "nobody"));
    desk.put(
        "soter.yaml",
        &std::fs::read_to_string(desk.path("soter.yaml")).unwrap().replace("$token", "x"),
    );
    let mut engine = desk.start("here", &["recover", "lost", "--target", "drill.yaml", "--local"]);
    desk.wait_for_step("talks");
    let seen = || desk.ok(&["run", "show", "latest", "talks"]);
    wait_until("the log is seen", || seen().contains("to nobody and ****, the first")).unwrap();
    desk.put("effects.go", "");
    desk.wait_for("here", "`talks` failed");
    desk.ok(&["run", "abort", "latest", "--why", "seen"]);
    ended(&mut engine, 1, "to nobody again");
    found_nowhere(&desk, "");
}
