//! Scripts that outlive whoever leads them: left, taken up, ended, and gone.

use soter_world::exec::{Identity, Signal};

use super::*;

/// A part of the first try of a step, and of the one after it.
struct Parts {
    desk: Desk,
    attempt: Attempt,
}

impl Parts {
    fn new(change: impl FnOnce(&mut Step)) -> Self {
        let desk = Desk::new("hosts: { there: [env] }\n");
        Self { desk, attempt: attempt(procedure::Action::Resume(Vec::new()), change) }
    }

    fn run(&self, number: u32, part: &Part<'_>, lead: &Lead) -> Result<Vec<String>, NotDone> {
        // The binary of this test says so before it becomes a script.
        const OURS: &str = "running 1 test";
        let attempt = Attempt { number, ..self.attempt.clone() };
        match run_part(&self.desk.tools(), &attempt, part, lead) {
            Ok(lines) => Ok(lines.into_iter().filter(|line| line != OURS).collect()),
            Err(NotDone::Failed(why)) => {
                Err(NotDone::Failed(why.replace(&format!("{OURS}\n"), "")))
            }
            other => other,
        }
    }

    /// Says that it is here, and ends when it is let go.
    fn held(&self) -> String {
        let [here, go] = ["here", "go"].map(|name| self.desk.file(name).display().to_string());
        format!("echo here >> {here}; until [ -e {go} ]; do sleep 0.01; done; echo let go; exit 7")
    }

    fn until_here(&self) {
        while !self.desk.file("here").exists() {
            std::thread::yield_now();
        }
    }

    fn let_go(&self) {
        fs::File::create(self.desk.file("go")).unwrap();
    }

    /// How often it was begun.
    fn begun(&self) -> usize {
        fs::read_to_string(self.desk.file("here")).unwrap().lines().count()
    }

    /// Begins it by an engine that leaves at once.
    fn leave(&self, part: &Part<'_>) {
        let (stop, left) = (Stop::new(), Stop::new());
        let lead = Lead::new(stop.clone(), left.clone());
        std::thread::scope(|scope| {
            let leading = scope.spawn(|| self.run(1, part, &lead));
            self.until_here();
            left.stop();
            stop.stop();
            assert_eq!(leading.join().unwrap(), Err(NotDone::Left));
        });
    }

    /// The processes of its first try: the script, and the one that watches over it.
    fn processes(&self, name: &str) -> [Identity; 2] {
        let slot = self.desk.file(&format!("children/promote.1/parts/{name}/1/pid"));
        let slot: serde_json::Value = serde_json::from_slice(&fs::read(slot).unwrap()).unwrap();
        [("pid", "start_ticks"), ("supervisor", "supervisor_start_ticks")].map(|(number, start)| {
            Identity {
                process: u32::try_from(slot[number].as_u64().unwrap()).unwrap(),
                start_ticks: slot[start].as_u64().unwrap(),
            }
        })
    }
}

fn alone() -> Lead {
    Lead::new(Stop::new(), Stop::new())
}

#[test]
fn a_script_is_a_part_of_what_a_step_does_and_ends_with_it() {
    let parts = Parts::new(|_| {});
    for on in [None, Some("there")] {
        let is_there = on.is_some();
        let run = |name: &str, script: &str, lead: &Lead| {
            let name = format!("{name}{is_there}");
            parts.run(1, &Part { name: &name, on, script }, lead)
        };
        let said = run("says", "echo \"$moment $token\"; echo \"$SOTER_STEP\" >&2", &alone());
        assert_eq!(said.unwrap(), ["12:30 'quoted' ****", "promote"]);
        let why = run("fails", "echo \"key $token\"; exit 4", &alone());
        let expect = "ended with exit code 4: key ****".to_owned();
        assert_eq!(why, Err(NotDone::Failed(expect)));
        let stop = Stop::new();
        let lead = Lead::new(stop.clone(), Stop::new());
        let marker = parts.desk.file(&format!("begun-{is_there}"));
        let script = format!("touch {}; sleep 600", marker.display());
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| run("long", &script, &lead));
            while !marker.exists() {
                std::thread::yield_now();
            }
            stop.stop();
            let expect = NotDone::Failed("was ended before its time".to_owned());
            assert_eq!(ended.join().unwrap(), Err(expect.clone()));
            assert!(!parts.processes(&format!("long{is_there}"))[0].is_alive());
            // Nothing more of a stopped attempt is begun.
            assert_eq!(run("more", "true", &lead), Err(expect));
        });
        assert!(!parts.desk.file(&format!("children/promote.1/parts/more{is_there}")).exists());
    }
    let nowhere = parts.run(1, &Part { name: "x", on: Some("-x"), script: "true" }, &alone());
    assert!(matches!(&nowhere, Err(NotDone::Failed(why)) if why.contains("no name of a machine")));
}

#[test]
fn a_part_that_an_engine_left_is_taken_up_and_not_begun_twice() {
    for on in [None, Some("there")] {
        let parts = Parts::new(|_| {});
        let (name, script) = ("a service/0.stop", parts.held());
        let part = Part { name, on, script: &script };
        parts.leave(&part);
        let [process, _] = parts.processes("a_20service_2f0.stop");
        assert!(process.is_alive());
        std::thread::scope(|scope| {
            let again = scope.spawn(|| parts.run(1, &part, &alone()));
            parts.let_go();
            let NotDone::Failed(why) = again.join().unwrap().unwrap_err() else { panic!("{on:?}") };
            assert_eq!(why, "ended with exit code 7: let go");
        });
        // Its end is what is read by whoever asks later, too.
        assert!(matches!(parts.run(1, &part, &alone()), Err(NotDone::Failed(_))));
        assert_eq!(parts.begun(), 1, "{on:?}");
    }
}

#[test]
fn another_attempt_waits_for_what_the_one_before_it_left() {
    let parts = Parts::new(|_| {});
    let script = parts.held();
    parts.leave(&Part { name: "a", on: None, script: &script });
    let [first, _] = parts.processes("a");
    std::thread::scope(|scope| {
        let script = "test $(grep -c here ../here) = 1; echo ours";
        let second = Part { name: "a", on: None, script };
        let parts = &parts;
        let again = scope.spawn(move || {
            let said = parts.run(2, &second, &alone());
            assert!(!first.is_alive(), "both were alive");
            said
        });
        parts.let_go();
        assert_eq!(again.join().unwrap().unwrap(), ["ours"]);
    });
}

#[test]
fn a_part_that_is_gone_without_a_word_is_begun_again_unless_that_is_hope() {
    for destructive in [false, true] {
        let parts = Parts::new(|step| step.destructive = destructive);
        let script = parts.held();
        let part = Part { name: "a", on: None, script: &script };
        parts.leave(&part);
        // As a machine that loses its power does; the one that watches first.
        let [process, supervisor] = parts.processes("a");
        for one in [supervisor, process] {
            one.signal(Signal::Kill);
            while one.is_alive() {
                std::thread::yield_now();
            }
        }
        parts.let_go();
        let again = parts.run(1, &part, &alone()).unwrap_err();
        if destructive {
            let why = "is gone, and left no word how it ended".to_owned();
            assert_eq!((again, parts.begun()), (NotDone::Unknown(why), 1));
        } else {
            assert!(matches!(again, NotDone::Failed(why) if why.contains("code 7")));
            assert_eq!(parts.begun(), 2);
        }
    }
}
