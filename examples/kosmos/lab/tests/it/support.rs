//! A laboratory for a test, which is gone when the test is, however that ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use soter_world::exec::{Command, Finished, Status};
use soter_world::{Clock, SystemClock};

/// Longer than anything takes on a slow machine: it bounds a test that hangs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(180);

/// How long between two looks at a state that is waited for.
const POLL: Duration = Duration::from_millis(20);

/// A directory, and the commands on the laboratory in it.
pub(crate) struct Bench {
    root: PathBuf,
    _parent: tempfile::TempDir,
}

impl Bench {
    /// Nothing is in it yet.
    pub(crate) fn new() -> Self {
        // PostgreSQL's user must get through to it.
        let parent = tempfile::Builder::new().prefix("kosmos-").tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(parent.path(), open).unwrap();
        Self { root: parent.path().canonicalize().unwrap().join("lab"), _parent: parent }
    }

    /// Where the laboratory is, or will be.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A command on it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_kosmos-lab"));
        let soter = binary.with_file_name("soter");
        assert!(
            soter.exists(),
            "these tests need soter beside {}: cargo build --package soter-cli",
            binary.display()
        );
        Command::new(binary).arg("--directory").arg(&self.root).args(arguments)
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).run(TIMEOUT).unwrap()
    }

    /// Runs it; it must go well. What it printed as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let finished = self.run(&[&["--json"], arguments].concat());
        let said = String::from_utf8_lossy(&finished.stderr).into_owned();
        assert_eq!(finished.status, Status::Exited(0), "{arguments:?}: {said}");
        serde_json::from_slice(&finished.stdout).unwrap()
    }

    /// The description of the laboratory.
    pub(crate) fn description(&self) -> Value {
        serde_json::from_slice(&fs::read(self.root.join("lab.json")).unwrap()).unwrap()
    }

    /// How it is, well or not.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_slice(&self.run(&["--json", "status"]).stdout).unwrap()
    }

    /// The number of a process of it.
    pub(crate) fn process(&self, name: &str) -> u32 {
        let file = self.root.join(format!("processes/{name}.json"));
        let entry: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        u32::try_from(entry["identity"]["process"].as_u64().unwrap()).unwrap()
    }

    /// Asks a service: status and body.
    pub(crate) fn ask(&self, method: &str, name: &str, path: &str, body: &str) -> (u16, String) {
        let url = self.description()["addresses"][name].as_str().unwrap().to_owned() + path;
        let curl = Command::new("curl").args(["-sS", "--max-time", "20", "-X", method]);
        let curl = curl.args(["--data-binary", body, "-w", "\n%{http_code}", &url]);
        let finished = curl.env("no_proxy", "127.0.0.1").run(TIMEOUT).unwrap().checked().unwrap();
        let said = String::from_utf8(finished.stdout).unwrap();
        let (body, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// Runs SQL as the superuser.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let finished = self.psql(sql).checked().unwrap();
        String::from_utf8(finished.stdout).unwrap().trim().to_owned()
    }

    /// Runs SQL that must fail: what the server says.
    pub(crate) fn sql_error(&self, sql: &str) -> String {
        let finished = self.psql(sql);
        assert_ne!(finished.status, Status::Exited(0), "{sql}");
        String::from_utf8(finished.stderr).unwrap()
    }

    fn psql(&self, sql: &str) -> Finished {
        let description = self.description();
        let address = description["addresses"]["postgres-admin"].as_str().unwrap();
        let psql = Command::new("psql").args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", address]);
        psql.args(["-c", sql]).run(TIMEOUT).unwrap()
    }

    /// The numbers of all processes that carry its name.
    pub(crate) fn marked(name: &str) -> Vec<u32> {
        let mark = format!("KOSMOS_LAB={name}");
        let numbers = fs::read_dir("/proc").unwrap().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|number: &u32| {
                let environment = fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
                environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())
            })
            .collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that has failed already has something better to say.
        self.command(&["down"]).run(TIMEOUT).ok();
    }
}

/// Looks again and again until a state is reached.
pub(crate) fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = SystemClock.monotonic() + TIMEOUT;
    while !reached() {
        assert!(SystemClock.monotonic() < deadline, "gave up waiting until {what}");
        SystemClock.sleep(POLL);
    }
}
