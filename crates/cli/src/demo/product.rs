//! Soter as a person runs it: this very binary, its commands, what they print.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;
use soter_postgres::agent::{ask_status, socket_in};
use soter_world::exec::{Child, Command, Output, Status};

use super::cluster::Server;
use super::{Stage, failed};
use crate::failure::{Ending, Failure};

/// The store's name in the demonstration's plan.
pub(super) const STORE: &str = "orders";

/// How often a canary is written.
pub(super) const CANARY_SECONDS: u32 = 1;

/// The binary, and where its files are.
pub(super) struct Product {
    binary: PathBuf,
    root_key: String,
    vault: PathBuf,
    keys: PathBuf,
}

/// A running agent. It dies with this.
pub(super) struct Agent {
    child: Child,
    log: PathBuf,
}

impl Product {
    /// Makes the vault with its keys.
    pub(super) fn init(stage: &Stage<'_>) -> Result<Self, Failure> {
        let binary = std::env::current_exe().map_err(failed("find this binary"))?;
        let (vault, keys) = (stage.place.path("vault"), stage.place.path("keys"));
        let mut product = Self { binary, root_key: String::new(), vault, keys };
        let (url, keys) = (product.url(), product.keys.display().to_string());
        let init = ["vault", "init", "--url", &url, "--keys", &keys, "--store", STORE];
        let made = product.json(stage, &init)?;
        text(&made, "root")?.clone_into(&mut product.root_key);
        Ok(product)
    }

    /// Where the vault is.
    pub(super) fn url(&self) -> String {
        format!("file://{}", self.vault.display())
    }

    /// The directory it is in.
    pub(super) fn vault(&self) -> &Path {
        &self.vault
    }

    /// The key that reads it.
    pub(super) fn identity(&self) -> String {
        self.keys.join("operator-1.key").display().to_string()
    }

    /// Writes the plan that protects a server.
    pub(super) fn write_plan(&self, stage: &Stage<'_>, server: &Server) -> Result<(), Failure> {
        let plan = format!(
            "vaults:\n  main:\n    url: \"{url}\"\n    \
             keys: {{ root: \"{root}\", agent: \"{key}\" }}\n\
             stores:\n  {STORE}:\n    kind: postgres\n    connection: \"{connection}\"\n    \
             data_directory: {data}\n    vaults: [main]\n    \
             wal: {{ mode: synchronous, spool: {{ directory: {state}, limit: 1 GiB }} }}\n    \
             backup: {{ schedule: \"0 3 * * *\" }}\n    canary: {{ every: {CANARY_SECONDS} s }}\n",
            url = self.url(),
            root = self.root_key,
            key = self.keys.join("agent.key").display(),
            connection = server.connection(),
            data = server.data.display(),
            state = stage.place.path("agent").display(),
        );
        let file = std::fs::File::create(stage.place.path("soter.yaml"));
        file.and_then(|mut file| file.write_all(plan.as_bytes())).map_err(failed("write the plan"))
    }

    fn command(&self, stage: &Stage<'_>, arguments: &[&str]) -> Command {
        let plan = stage.place.path("soter.yaml");
        Command::new(&self.binary)
            .arg("--plan")
            .arg(plan)
            .args(arguments)
            .current_dir(stage.place.root())
    }

    /// Runs a command and reads what it prints as data.
    pub(super) fn json(&self, stage: &Stage<'_>, arguments: &[&str]) -> Result<Value, Failure> {
        let command = self.command(stage, &[&["--json"], arguments].concat());
        let printed = stage.finish(&format!("soter {}", arguments.join(" ")), command)?;
        serde_json::from_slice(&printed).map_err(failed("understand what soter printed"))
    }

    /// Starts the agent.
    pub(super) fn agent(&self, stage: &Stage<'_>) -> Result<Agent, Failure> {
        let log = stage.place.path("agent.log");
        let output = || Output::append_to(&log).map_err(failed("write the agent's log"));
        let command = self.command(stage, &["agent", STORE]);
        let command = command.stdout(output()?).stderr(output()?);
        let child = command.spawn().map_err(failed("start the agent"))?;
        Ok(Agent { child, log })
    }

    /// Waits until the agent says what is waited for, and returns all it says.
    pub(super) fn wait(
        &self,
        stage: &Stage<'_>,
        agent: &Agent,
        what: &str,
        reached: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let socket = socket_in(&stage.place.path("agent"));
        let mut found = None;
        let waited = stage.wait(what, || {
            agent.check()?;
            // What the command `status` prints, without a process for each look.
            let status = ask_status(&socket).ok().flatten();
            let Some(status) = status.and_then(|status| serde_json::to_value(status).ok()) else {
                return Ok(false);
            };
            if let Some(why) = status["backup"]["failed"].as_str() {
                return Err(Failure::new(Ending::Failed, format!("no backup: {why}")));
            }
            let is_reached = reached(&status);
            found = Some(status);
            Ok(is_reached)
        });
        waited.map_err(|mut failure| {
            failure.causes.push(agent.last_words());
            failure
        })?;
        found.ok_or_else(|| missing("status"))
    }
}

impl Agent {
    /// Kills it at once.
    pub(super) fn kill(self) {
        self.child.kill();
        // How it ended is known.
        drop(self.child.wait());
    }

    /// Whether it still runs.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.child.try_wait() {
            None => Ok(()),
            Some(status) => {
                let what = format!("the agent ended with {status}; {}", self.last_words());
                Err(Failure::new(Ending::Failed, what))
            }
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        format!("the agent said: {}", last_lines(&log))
    }
}

/// What a program said last.
pub(super) fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(6)..).unwrap_or_default().join(" | ")
}

/// A field of what a command printed.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> Result<&'v str, Failure> {
    value[field].as_str().ok_or_else(|| missing(field))
}

/// A field of what a command printed.
pub(super) fn whole(value: &Value, field: &str) -> Result<u64, Failure> {
    value[field].as_u64().ok_or_else(|| missing(field))
}

/// A field of what a command printed.
pub(super) fn fraction(value: &Value, field: &str) -> Result<f64, Failure> {
    value[field].as_f64().ok_or_else(|| missing(field))
}

fn missing(field: &str) -> Failure {
    Failure::new(Ending::Failed, format!("soter did not print {field:?}"))
}

/// What a finished program printed, if it did what it was asked to.
pub(super) fn printed(
    what: &str,
    finished: soter_world::exec::Finished,
) -> Result<Vec<u8>, Failure> {
    if finished.status == Status::Exited(0) {
        return Ok(finished.stdout);
    }
    let said = last_lines(&String::from_utf8_lossy(&finished.stderr));
    Err(Failure::new(Ending::Failed, format!("{what} ended with {}: {said}", finished.status)))
}
