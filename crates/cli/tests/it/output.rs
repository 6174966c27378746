//! A result that did not reach the file it was meant for is no success.

use std::fs::OpenOptions;
use std::time::Duration;

use soter_world::exec::{Command, Output, Status};

const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn a_result_on_a_full_disk_is_a_failure_and_a_closed_pipe_is_none() {
    let version = || Command::new(env!("CARGO_BIN_EXE_soter")).arg("version");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let done = version().stdout(Output::File(full)).run(TIMEOUT).unwrap();
    assert_eq!(done.status, Status::Exited(3));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("cannot write the result"), "{said}");

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let closed = std::fs::File::from(std::os::fd::OwnedFd::from(writer));
    let done = version().stdout(Output::File(closed)).run(TIMEOUT).unwrap();
    assert_eq!(done.status, Status::Exited(0));
}
