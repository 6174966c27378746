//! The binary as the process that watches over a command of a run.

use std::path::PathBuf;
use std::sync::Arc;

use soter_runbook::child::{Children, Condition, Hidden, Launcher, Spec};
use soter_world::exec::Status;
use soter_world::{Machine, OsDisk, Stop, SystemClock};

#[test]
fn the_binary_watches_over_a_command_and_says_how_it_ended() {
    let place = tempfile::tempdir().unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_soter"));
    let arguments = ["run", "child"].map(Into::into).to_vec();
    let boot = Machine::this().unwrap().boot;
    let launcher = Launcher { program, arguments };
    let children = Children::new(Arc::new(OsDisk), Arc::new(SystemClock), launcher, boot);
    let start = |name: &str, program: &str| {
        let directory = place.path().join(name);
        let spec = Spec {
            program: program.to_owned(),
            arguments: vec!["-c".to_owned(), "echo words; exit 5".to_owned()],
            directory: "/".into(),
            ..Spec::default()
        };
        children.start(&directory, &spec, &Hidden::default()).unwrap();
        let Condition::Ended(ended) = children.wait(&directory, &Stop::new()).unwrap() else {
            panic!("{:?}", children.look(&directory));
        };
        (ended.status, String::from_utf8(children.tail(&directory, 1 << 10).unwrap()).unwrap())
    };
    assert_eq!(start("a.1", "/bin/sh"), (Status::Exited(5), "words\n".to_owned()));
    let (status, words) = start("b.1", "/nowhere/program");
    assert_eq!(status, Status::Exited(3));
    assert!(words.contains("cannot start /nowhere/program"), "{words}");
}
