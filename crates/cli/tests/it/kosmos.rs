//! The plans among the examples: what they say of themselves holds.

use std::path::Path;
use std::time::Duration;

use soter_world::exec::{Command, Status};

/// Longer than a check takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Before a review or a drill of any of them is overdue.
const AS_OF: &str = "2026-11-24";

fn example(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path)
}

#[test]
fn the_examples_have_no_finding() {
    for plan in ["kosmos", "kosmos-lab", "shop"] {
        let check = Command::new(env!("CARGO_BIN_EXE_soter")).arg("check").arg(example(plan));
        let checked = check.args(["--deny", "note", "--as-of", AS_OF]).run(TIMEOUT).unwrap();
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert_eq!(checked.status, Status::Exited(0), "{plan}: {said}");
    }
}
