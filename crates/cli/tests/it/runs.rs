//! Runs through the binary: carried out, left, killed, resumed, taken over, approved and looked at.

mod damage;
mod etcd;
mod guide;
mod killed;
mod people;
mod places;
mod resumed;
mod screen;
mod seen;
mod tails;
mod ways;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use soter_postgres::testing::wait_until;
use soter_world::exec::{Child, Command, Finished, Status};
use soter_world::{OsDisk, durable};

use crate::lab::text;

const TIMEOUT: Duration = Duration::from_secs(120);

/// A secret that must be found nowhere.
pub(super) const TOKEN: &str = "hunter2-and-more";

/// A directory with a plan, a target and people's secrets; machines have their runs in others.
pub(super) struct Desk {
    root: tempfile::TempDir,
}

impl Desk {
    /// With this plan, and without a vault.
    pub(super) fn new(plan: &str) -> Self {
        let desk = Self { root: tempfile::tempdir().unwrap() };
        desk.put("soter.yaml", plan);
        desk.put("drill.yaml", "name: lab\nkind: drill\n");
        desk.put("real.yaml", "name: second site\nkind: real\n");
        for person in ["ada", "bea", "cleo"] {
            desk.put(&format!("{person}.secret"), &format!("the secret of {person}\n"));
        }
        desk
    }

    /// With a vault, which the plan names.
    pub(super) fn with_vault(plan: &str) -> Self {
        let desk = Self::new("");
        let (url, keys) = (desk.url(), desk.path("keys"));
        desk.ok(&["vault", "init", "--url", &url, "--keys", &keys, "--store", "orders"]);
        desk.put("soter.yaml", &format!("{plan}vaults:\n  near: {{ url: \"{url}\" }}\n"));
        desk
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.path("vault"))
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.root.path().join(name).display().to_string()
    }

    pub(super) fn put(&self, name: &str, contents: &str) {
        let path = self.root.path().join(name);
        durable::write_durable(&OsDisk, &path, contents.as_bytes()).unwrap();
    }

    /// What the steps wrote into a file, line by line.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.root.path().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A command on a machine, which is a directory for its runs.
    pub(super) fn command(&self, machine: &str, arguments: &[&str]) -> Command {
        Command::new(env!("CARGO_BIN_EXE_soter"))
            .args(arguments)
            .current_dir(self.root.path())
            .env("SOTER_STATE", self.path(machine))
            .env("SOTER_AS", "ada")
            .env("DESK", self.path(""))
            .env("EDGE_TOKEN", TOKEN)
            .env_remove("SOTER_IDENTITY")
    }

    pub(super) fn soter(&self, arguments: &[&str]) -> Finished {
        self.command("here", arguments).run(TIMEOUT).unwrap()
    }

    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        expect(self.soter(arguments), 0, "")
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[&["--json"], arguments].concat())).unwrap()
    }

    pub(super) fn fails(&self, arguments: &[&str], code: i32, says: &str) {
        expect(self.soter(arguments), code, says);
    }

    /// An engine that goes on by itself.
    pub(super) fn start(&self, machine: &str, arguments: &[&str]) -> Child {
        self.command(machine, arguments).spawn().unwrap()
    }

    /// The directory of the only run of a machine, once it has a journal.
    pub(super) fn run_directory(&self, machine: &str) -> PathBuf {
        let runs = self.root.path().join(machine).join("runs");
        let mut found = None;
        wait_until("a run begins", || {
            let entries = fs::read_dir(&runs).into_iter().flatten().flatten();
            let mut begun = entries.map(|entry| entry.path());
            found = begun.find(|path| path.join("journal").metadata().is_ok_and(|it| it.len() > 0));
            found.is_some()
        })
        .unwrap();
        found.unwrap()
    }

    pub(super) fn journal(&self, machine: &str) -> String {
        fs::read_to_string(self.run_directory(machine).join("journal")).unwrap()
    }

    /// Waits until the first engine has begun a step.
    pub(super) fn wait_for_step(&self, step: &str) {
        self.wait_for("here", &format!("\"step\":\"{step}\"}}"));
    }

    /// Waits until the journal of the only run of a machine says so.
    pub(super) fn wait_for(&self, machine: &str, says: &str) {
        let path = self.run_directory(machine).join("journal");
        let what = format!("the journal says {says}");
        wait_until(&what, || fs::read_to_string(&path).unwrap().contains(says)).unwrap();
    }
}

/// What it printed, if it ended like that.
pub(super) fn expect(done: Finished, code: i32, says: &str) -> String {
    let said = text(&done.stderr);
    assert_eq!(done.status, Status::Exited(code), "{said}");
    assert!(said.contains(says), "not `{says}` but: {said}");
    text(&done.stdout)
}

/// What an engine printed that has ended by itself.
pub(super) fn ended(engine: &mut Child, code: i32, says: &str) -> String {
    let done = engine.wait_timeout(TIMEOUT).expect("the engine ends");
    expect(done, code, says)
}

/// Every file below a directory.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
