//! Real processes: this test's own binary is supervisor, beginner and engine, by the names of tests.

use std::fs;

use soter_world::{OsDisk, Stop, SystemClock};

use super::*;

pub(crate) const BOOT: &str = "this boot";

/// A test waits that long only when it fails.
const LONG: Duration = Duration::from_secs(60);

/// Not a test of anything: what a launcher starts. Its last arguments are a directory and, for the
/// beginner, the number of the supervisor.
#[test]
fn be_the_supervisor() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(at) = arguments.iter().position(|word| word.ends_with("::be_the_supervisor")) else {
        return;
    };
    match &arguments[at + 1..] {
        // A runner of tests has options of its own behind the name.
        [directory] if !directory.starts_with('-') => {
            supervise(&OsDisk, &SystemClock, &launcher(), Path::new(directory)).unwrap();
        }
        [directory, supervisor] => {
            let begun = begin(&OsDisk, BOOT, Path::new(directory), supervisor.parse().unwrap());
            panic!("{begun:?}");
        }
        _ => {}
    }
}

/// Not a test of anything: an engine that starts a child and stays, to be killed.
#[test]
fn be_the_engine() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(at) = arguments.iter().position(|word| word.ends_with("::be_the_engine")) else {
        return;
    };
    let [directory, script] = &arguments[at + 1..] else { return };
    start(Path::new(directory), script).unwrap();
    SystemClock.sleep(LONG);
}

fn this_test(name: &str) -> Launcher {
    let arguments = ["--exact", "--nocapture", name].map(OsString::from).to_vec();
    Launcher { program: std::env::current_exe().unwrap(), arguments }
}

pub(crate) fn launcher() -> Launcher {
    this_test("child::tests::be_the_supervisor")
}

fn children() -> Children {
    Children::new(Arc::new(OsDisk), Arc::new(SystemClock), launcher(), BOOT.to_owned())
}

fn bash(script: &str) -> Spec {
    let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
    Spec {
        program: "bash".to_owned(),
        arguments: ["-euo", "pipefail", "-c", script].map(str::to_owned).to_vec(),
        directory: PathBuf::from("/"),
        environment: BTreeMap::from([("PATH".to_owned(), path)]),
        ..Spec::default()
    }
}

fn start(directory: &Path, script: &str) -> Result<Identity, ChildError> {
    children().start(directory, &bash(script), &Hidden::default())
}

fn wait(directory: &Path) -> Condition {
    children().wait(directory, &Stop::new()).unwrap()
}

fn status(directory: &Path) -> Status {
    match wait(directory) {
        Condition::Ended(ended) => ended.status,
        other => panic!("{other:?}: {}", text(directory)),
    }
}

fn text(directory: &Path) -> String {
    String::from_utf8(children().tail(directory, 1 << 20).unwrap()).unwrap()
}

fn supervisor_of(directory: &Path) -> Identity {
    let slot: serde_json::Value =
        serde_json::from_slice(&fs::read(directory.join(files::SLOT)).unwrap()).unwrap();
    Identity {
        process: u32::try_from(slot["supervisor"].as_u64().unwrap()).unwrap(),
        start_ticks: slot["supervisor_start_ticks"].as_u64().unwrap(),
    }
}

/// Waits until a file is there that a script makes when it has come to that point.
fn until_there(path: &Path) {
    let until = SystemClock.monotonic() + LONG;
    while !path.exists() {
        assert!(SystemClock.monotonic() < until, "{} does not appear", path.display());
        SystemClock.sleep(Duration::from_millis(2));
    }
}

fn until_gone(identity: Identity) {
    let until = SystemClock.monotonic() + LONG;
    while identity.is_alive() {
        assert!(SystemClock.monotonic() < until, "{identity:?} does not end");
        SystemClock.sleep(Duration::from_millis(2));
    }
}

/// A script that says it is here, and ends when it is let go.
fn held(directory: &Path) -> String {
    let [here, go] = ["here", "go"].map(|name| directory.with_extension(name));
    let (here, go) = (here.display(), go.display());
    format!("echo words; touch {here}; until [ -e {go} ]; do sleep 0.01; done; exit 7")
}

fn let_go(directory: &Path) {
    fs::File::create(directory.with_extension("go")).unwrap();
}

/// An engine in a process of its own that has started a held child.
fn engine(directory: &Path) -> exec::Child {
    let engine = this_test("child::tests::be_the_engine");
    let engine = exec::Command::new(engine.program)
        .args(engine.arguments)
        .arg(directory)
        .arg(held(directory))
        .spawn()
        .unwrap();
    until_there(&directory.with_extension("here"));
    engine
}

fn kill(engine: exec::Child) {
    engine.kill();
    assert_eq!(engine.wait().status, Status::Signaled(9));
}

#[test]
fn a_command_gets_what_it_was_given_and_its_end_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("restore.1");
    let mut spec = bash("pwd; env | sort; cat; echo complaint >&2; exit 3");
    spec.environment.insert("PLAIN".to_owned(), "seen".to_owned());
    let hidden = Hidden {
        environment: BTreeMap::from([("TOKEN".to_owned(), Secret::new("hunter2".to_owned()))]),
        input: Some(Secret::new("from the input\n".to_owned())),
    };
    let identity = children().start(&directory, &spec, &hidden).unwrap();
    assert_eq!(status(&directory), Status::Exited(3));
    assert!(!identity.is_alive());
    let text = text(&directory);
    for line in ["/", "PLAIN=seen", "TOKEN=hunter2", "from the input", "complaint"] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(!text.contains("CARGO") && !text.contains("HOME="), "not a clean environment: {text}");
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let holds = fs::read_to_string(&path).unwrap().contains("hunter2");
        assert!(!holds || path.ends_with(files::OUTPUT), "{}", path.display());
    }
    // Asked again, and by an engine of the next boot, it is the same end.
    let mut later = children();
    later.boot = "another boot".to_owned();
    assert_eq!(later.look(&directory).unwrap(), children().look(&directory).unwrap());
}

#[test]
fn the_engine_dies_and_the_next_one_adopts() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    kill(engine(&directory));
    let Condition::Running(child) = children().look(&directory).unwrap() else { panic!() };
    assert!(child.is_alive());
    let_go(&directory);
    assert_eq!(status(&directory), Status::Exited(7));
    assert!(text(&directory).contains("words"));
}

#[test]
fn engine_and_supervisor_die_and_the_child_is_watched_until_it_vanishes() {
    for engine_first in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("a.1");
        let engine = engine(&directory);
        let supervisor = supervisor_of(&directory);
        if engine_first {
            kill(engine);
            supervisor.signal(Signal::Kill);
        } else {
            supervisor.signal(Signal::Kill);
            until_gone(supervisor);
            kill(engine);
        }
        until_gone(supervisor);
        assert!(matches!(children().look(&directory).unwrap(), Condition::Running(_)));
        let_go(&directory);
        assert_eq!(wait(&directory), Condition::Vanished);
    }
}

#[test]
fn the_child_is_killed_before_or_after_its_engine() {
    for engine_first in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("a.1");
        let engine = engine(&directory);
        let Condition::Running(child) = children().look(&directory).unwrap() else { panic!() };
        if engine_first {
            kill(engine);
            child.signal(Signal::Kill);
        } else {
            child.signal(Signal::Kill);
            assert_eq!(status(&directory), Status::Signaled(9));
            kill(engine);
        }
        assert_eq!(status(&directory), Status::Signaled(9));
    }
}

#[test]
fn child_and_supervisor_die_together_and_nobody_knows_how_it_ended() {
    for supervisor_first in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("a.1");
        let engine = engine(&directory);
        let Condition::Running(child) = children().look(&directory).unwrap() else { panic!() };
        let supervisor = supervisor_of(&directory);
        // Standing still, it cannot write how the child ended.
        supervisor.signal(Signal::Stop);
        let order = if supervisor_first { [supervisor, child] } else { [child, supervisor] };
        order.iter().for_each(|process| process.signal(Signal::Kill));
        order.into_iter().for_each(until_gone);
        assert_eq!(wait(&directory), Condition::Vanished);
        kill(engine);
        assert_eq!(wait(&directory), Condition::Vanished);
    }
}

#[test]
fn while_the_supervisor_is_about_to_say_how_it_ended_it_is_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    let child = start(&directory, &held(&directory)).unwrap();
    let supervisor = supervisor_of(&directory);
    supervisor.signal(Signal::Stop);
    child.signal(Signal::Kill);
    until_gone(child);
    assert_eq!(children().look(&directory).unwrap(), Condition::Running(child));
    supervisor.signal(Signal::Continue);
    assert_eq!(status(&directory), Status::Signaled(9));
}

#[test]
fn another_process_with_the_number_of_the_child_is_not_the_child() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    fs::create_dir(&directory).unwrap();
    let other = exec::Command::new("sleep").arg("1000").spawn().unwrap();
    let real = Identity::of(other.id()).unwrap();
    let look = |identity: Identity, boot: &str| {
        let slot = Slot::Taken(Owner::new(identity, identity, boot.to_owned()));
        files::write_json(&OsDisk, &directory.join(files::SLOT), &slot).unwrap();
        (children().look(&directory).unwrap(), children().cancel(&directory).unwrap())
    };
    let stranger = Identity { start_ticks: real.start_ticks + 1, ..real };
    assert_eq!(look(stranger, BOOT), (Condition::Vanished, Condition::Vanished));
    assert_eq!(look(real, "an earlier boot"), (Condition::Vanished, Condition::Vanished));
    assert!(real.is_alive(), "a stranger was ended");
}

#[test]
fn what_was_not_begun_when_somebody_asked_never_begins() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    assert_eq!(children().look(&directory).unwrap(), Condition::NeverBegan);
    let mark = place.path().join("mark");
    let error = start(&directory, &format!("touch {}", mark.display())).unwrap_err();
    assert!(matches!(error, ChildError::NotBegun(_)), "{error}");
    // The supervisor has ended, and so has everything it could have started.
    assert!(matches!(children().look(&directory).unwrap(), Condition::NeverBegan));
    assert!(!mark.exists());
    assert!(children().begin_here(&directory).is_err());
}

#[test]
fn of_many_starts_and_looks_at_once_one_decides() {
    for round in 0..10 {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("a.1");
        fs::create_dir(&directory).unwrap();
        let mark = place.path().join("mark");
        let script = format!("echo x >> {}", mark.display());
        let (started, looked) = std::thread::scope(|scope| {
            let starter = scope.spawn(|| start(&directory, &script));
            let looker = scope.spawn(|| {
                SystemClock.sleep(Duration::from_millis(round * 5));
                children().look(&directory)
            });
            (starter.join().unwrap(), looker.join().unwrap().unwrap())
        });
        let never = looked == Condition::NeverBegan;
        assert_eq!(started.is_err(), never, "round {round}: {started:?} {looked:?}");
        if !never {
            assert_eq!(status(&directory), Status::Exited(0));
        }
        let marks = fs::read_to_string(&mark).unwrap_or_default();
        assert_eq!(marks, if never { "" } else { "x\n" }, "round {round}");
    }
}

#[test]
fn a_directory_serves_once() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    start(&directory, &held(&directory)).unwrap();
    assert!(matches!(start(&directory, "exit 1"), Err(ChildError::NotBegun(_))));
    // Also if two got past that: the supervisor of the one that was late says nothing.
    let late = exec::Command::new(launcher().program).args(launcher().arguments).arg(&directory);
    let handed = Handed::of(&Hidden::default()).to_bytes();
    let late = late.in_our_group().stdin(Input::Bytes(handed)).spawn().unwrap();
    assert_eq!(late.wait().status, Status::Exited(0));
    assert!(matches!(children().look(&directory).unwrap(), Condition::Running(_)));
    let_go(&directory);
    assert_eq!(status(&directory), Status::Exited(7));
}

#[test]
fn work_of_this_process_is_known_as_begun() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    children().begin_here(&directory).unwrap();
    assert!(matches!(children().look(&directory).unwrap(), Condition::Running(_)));
    // To end it would be to end ourselves.
    assert!(matches!(children().cancel(&directory).unwrap(), Condition::Running(_)));
    let mut later = children();
    later.boot = "another boot".to_owned();
    assert_eq!(later.look(&directory).unwrap(), Condition::Vanished);
}

#[test]
fn a_program_that_is_not_there_says_so_in_the_output() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    let spec = Spec { program: "/nowhere/program".to_owned(), ..bash("") };
    children().start(&directory, &spec, &Hidden::default()).unwrap();
    assert_ne!(status(&directory), Status::Exited(0));
    assert!(text(&directory).contains("/nowhere/program"), "{}", text(&directory));
}

#[test]
fn a_launcher_that_cannot_supervise_is_an_error_and_nothing_begins() {
    let place = tempfile::tempdir().unwrap();
    let mut children = children();
    children.launcher = Launcher { program: "false".into(), arguments: Vec::new() };
    let directory = place.path().join("a.1");
    let error = children.start(&directory, &bash("true"), &Hidden::default()).unwrap_err();
    assert_eq!(error.to_string(), "it was not begun");
    assert_eq!(children.look(&directory).unwrap(), Condition::NeverBegan);
}

#[test]
fn what_ignores_being_asked_is_killed_with_all_it_started() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    let here = place.path().join("here");
    // The job in the background has a group of its own (`set -m`), so the group's KILL misses it.
    let script = format!(
        "trap '' TERM; set -m; bash -c 'trap \"\" TERM; touch {}; sleep 1000' & wait; sleep 1000",
        here.display()
    );
    let leader = start(&directory, &script).unwrap();
    until_there(&here);
    let members = leader.session();
    assert!(members.len() >= 2, "{members:?}");
    let before = SystemClock.monotonic();
    let condition = children().cancel(&directory).unwrap();
    assert!(SystemClock.monotonic() - before >= TERMINATE_GRACE);
    let Condition::Ended(ended) = condition else { panic!("{condition:?}") };
    assert_eq!(ended.status, Status::Signaled(9));
    members.into_iter().for_each(until_gone);
}

#[test]
fn what_ends_when_asked_is_not_waited_for_longer() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    start(&directory, "sleep 1000").unwrap();
    let before = SystemClock.monotonic();
    let condition = children().cancel(&directory).unwrap();
    assert!(matches!(condition, Condition::Ended(Ended { status: Status::Signaled(15), .. })));
    assert!(SystemClock.monotonic() - before < TERMINATE_GRACE);
}

#[test]
fn much_output_goes_past_the_memory_of_all_who_watch() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a.1");
    let megabytes = 100;
    let write = format!("head -c {megabytes}000000 /dev/zero | tr '\\0' y; echo");
    start(&directory, &format!("{write}; {}", held(&directory))).unwrap();
    until_there(&directory.with_extension("here"));
    let supervisor = supervisor_of(&directory);
    let status_text = fs::read_to_string(format!("/proc/{}/status", supervisor.process)).unwrap();
    let peak = status_text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 64 << 10, "the supervisor took {peak_kib} KiB");
    let tail = children().tail(&directory, 1000).unwrap();
    assert_eq!(tail.len(), 1000);
    assert!(tail.ends_with(b"y\nwords\n"), "{}", String::from_utf8_lossy(&tail));
    let_go(&directory);
    let Condition::Ended(ended) = wait(&directory) else { panic!() };
    assert!(ended.processor > Duration::ZERO);
    assert!(fs::metadata(directory.join(files::OUTPUT)).unwrap().len() >= megabytes * 1_000_000);
}
