use std::io::{Read, Seek, Write};

use super::*;

/// Long enough for any child here on a busy machine; a test waits that long only when it fails.
const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Command {
    Command::new("sh").arg("-c").arg(script)
}

#[test]
fn output_is_captured_and_the_code_reported() {
    let finished = shell("echo words; echo complaints >&2; exit 3").run(LONG).unwrap();
    assert_eq!(finished.stdout, b"words\n");
    assert_eq!(finished.status, Status::Exited(3));
    let error = finished.checked().unwrap_err();
    assert_eq!(error.to_string(), "sh ended with exit code 3: complaints");
}

#[test]
fn input_environment_and_directory_reach_the_child() {
    let finished = shell("pwd; echo $GREETING $HOME; cat")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("GREETING", "hello")
        .current_dir("/")
        .stdin(Input::Bytes(b"input".to_vec()))
        .run(LONG)
        .unwrap();
    assert_eq!(finished.stdout, b"/\nhello\ninput");
}

#[test]
fn large_input_that_is_not_read_and_large_output_do_not_block() {
    let finished =
        shell("head -c 1000000 /dev/zero").stdin(Input::Bytes(vec![0; 1 << 20])).run(LONG).unwrap();
    assert_eq!(finished.stdout.len(), 1_000_000);
}

#[test]
fn files_can_be_input_and_output() {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(b"through files").unwrap();
    input.rewind().unwrap();
    let mut output = tempfile::tempfile().unwrap();
    Command::new("cat")
        .stdin(Input::File(input))
        .stdout(Output::File(output.try_clone().unwrap()))
        .run(LONG)
        .unwrap();
    let mut text = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through files");
}

#[test]
fn a_program_that_is_not_there_cannot_start() {
    let error = Command::new("/nowhere/program").run(LONG).unwrap_err();
    assert_eq!(error.to_string(), "cannot start /nowhere/program");
}

#[test]
fn a_child_that_runs_out_of_time_is_stopped() {
    let error = shell("echo started >&2; exec sleep 1000").run(Duration::from_millis(200));
    let error = error.unwrap_err();
    assert!(matches!(error, ExecError::Timeout { .. }), "{error}");
}

#[test]
fn kill_ends_the_whole_group_and_nothing_stays_a_zombie() {
    let mut member = tempfile::NamedTempFile::new().unwrap();
    let child = shell("sleep 1000 & echo $!; echo started >&2; wait")
        .stdout(Output::File(member.reopen().unwrap()))
        .spawn()
        .unwrap();
    let leader = child.id();
    let mut text = String::new();
    while !text.ends_with('\n') {
        member.read_to_string(&mut text).unwrap();
    }
    assert!(is_running(leader));
    assert_eq!(child.try_wait(), None);
    child.kill();
    let finished = child.wait();
    assert_eq!(finished.status, Status::Signaled(9));
    assert!(!is_running(leader), "a zombie would still be there");
    // The other member is init's to collect, so here it may stay a zombie.
    let stat = format!("/proc/{}/stat", text.trim());
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::yield_now();
    }
}

#[test]
fn a_signal_reaches_the_child_and_dropping_it_kills() {
    let child = shell("exec sleep 1000").spawn().unwrap();
    child.signal(Signal::Terminate);
    assert_eq!(child.wait().status, Status::Signaled(15));

    let mut child = shell("exec sleep 1000").spawn().unwrap();
    assert!(child.wait_timeout(Duration::from_millis(1)).is_none());
    let shared = child.try_wait();
    assert_eq!(shared, None);
    let process = child.id();
    drop(child);
    while is_running(process) {
        std::thread::yield_now();
    }
}

#[test]
fn a_daemon_that_keeps_the_pipe_does_not_keep_us() {
    let finished = shell("sleep 1000 & echo $!").run(LONG).unwrap();
    let daemon = String::from_utf8(finished.stdout).unwrap().trim().parse().unwrap();
    signal_process(daemon, Signal::Kill).unwrap();
}

#[test]
fn a_child_runs_as_another_user() {
    // Only root can become somebody else; for others it must at least be refused, not ignored.
    let nobody = Owner { user: 65_534, group: 65_534 };
    let ran = shell("id -u; id -g; id -G").run_as(nobody).current_dir("/").run(LONG);
    if current_owner().user == 0 {
        assert_eq!(ran.unwrap().stdout, b"65534\n65534\n65534\n");
    } else {
        assert!(ran.is_err());
    }
    let same = shell("id -u").run_as(current_owner()).run(LONG).unwrap();
    assert_eq!(same.stdout, format!("{}\n", current_owner().user).into_bytes());
}

#[test]
fn users_are_found_in_a_passwd_file() {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\npostgres:x:70:71::/:/bin/sh\n";
    assert_eq!(owner_in_passwd(passwd, "postgres"), Some(Owner { user: 70, group: 71 }));
    assert_eq!(owner_in_passwd(passwd, "broken"), None);
    assert_eq!(owner_in_passwd(passwd, "nobody"), None);
}

#[test]
fn numbers_that_would_mean_a_group_are_refused() {
    assert!(!is_running(0));
    assert!(signal_process(0, Signal::Terminate).is_err());
    assert!(signal_process(u32::MAX, Signal::Terminate).is_err());
}

#[test]
fn a_released_child_goes_on_and_its_end_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let input = tempfile::tempfile().unwrap();
    let sleeping = Command::new("sleep").arg("600").stdin(Input::File(input));
    let sleeping = sleeping.stdout(Output::append_to(&log).unwrap()).spawn().unwrap();
    let process = sleeping.release();
    assert!(is_running(process));
    signal_process(process, Signal::Kill).unwrap();
    while is_running(process) {
        std::thread::yield_now();
    }
    shell("echo 1").stdout(Output::append_to(&log).unwrap()).run(LONG).unwrap();
    shell("echo 2").stdout(Output::append_to(&log).unwrap()).run(LONG).unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "1\n2\n");
}
