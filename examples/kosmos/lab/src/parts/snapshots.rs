//! Soter beside etcd: an agent on node-1 that takes a snapshot into the vault when one is due, with what
//! K3s keeps on its servers along, as `docs/operating/etcd.md` has it.

use serde_json::Value;
use soter_world::exec::{Command, Status};

use super::etcd::client_url;
use super::protection::{PLAN, STATUS_TIMEOUT, equip};
use crate::failure::{Failure, failed};
use crate::lab::Lab;
use crate::node;
use crate::place::NODES;
use crate::processes::Spec;

/// The agent's process.
pub(super) const PROCESS: &str = "agent-etcd";

/// The store's name, as in the plan of KOSMOS.
const STORE: &str = "etcd";

/// The node that it is on.
const NODE: &str = "node-1";

/// Where K3s keeps what a snapshot opens with, on a server.
const SERVER: &str = "/var/lib/rancher/k3s/server";

/// When a snapshot is due.
const SCHEDULE: &str = "*/10 * * * *";

/// What a vault is told of it when it is made: its name, and what it is.
pub(super) fn store(lab: &Lab) -> Option<&'static str> {
    (!lab.is_without("snapshots")).then_some("etcd:etcd")
}

/// Its part of the agents' plan.
pub(super) fn plan(lab: &Lab, vault: &str) -> Result<String, Failure> {
    if lab.is_without("snapshots") {
        return Ok(String::new());
    }
    let endpoints: Result<Vec<String>, Failure> =
        NODES.into_iter().map(|node| client_url(lab, node)).collect();
    let there = node::seen(lab, NODE, SERVER);
    Ok(format!(
        "  {STORE}:\n    kind: etcd\n    endpoints: [\"{endpoints}\"]\n    \
         ca_file: {there}/tls/etcd/server-ca.crt\n    \
         certificate_file: {there}/tls/etcd/client.crt\n    \
         key_file: {there}/tls/etcd/client.key\n    \
         files: [{there}/token, {there}/tls, {there}/cred]\n    \
         backup: {{ schedule: \"{SCHEDULE}\" }}\n    vaults: [{vault}]\n",
        endpoints = endpoints?.join("\", \""),
        there = there.display(),
    ))
}

/// Starts the agent, and waits until the first snapshot is in the vault.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    start(lab)?;
    lab.wait_ready(PROCESS, || look(lab).map(drop))
}

/// Starts the agent, where it sees what the node has.
pub(super) fn start(lab: &Lab) -> Result<(), Failure> {
    let (home, plan) = equip(lab)?;
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    let (root, soter) = (lab.root().display().to_string(), lab.program("soter")?);
    let (soter, plan) = (soter.display().to_string(), plan.display().to_string());
    let spec = Spec::new(PROCESS, NODE, &us, home)
        .args(["--directory", &root, "exec", NODE, "--"])
        .args([&soter, "--plan", &plan, "agent", STORE]);
    lab.start(&spec)
}

/// Whether the newest snapshot is of the cluster that is there.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let words = |failure: Failure| failure.to_string();
    if !lab.table().entry(PROCESS).map_err(words)?.is_some_and(|entry| entry.is_alive()) {
        return Err("no agent runs".to_owned());
    }
    let cluster = super::members::cluster(lab)?;
    let plan = lab.root().join(PLAN);
    let soter = Command::new(lab.program("soter").map_err(words)?);
    let asked = soter.arg("--plan").arg(plan).args(["--json", "backups", STORE]);
    let finished = asked.run(STATUS_TIMEOUT).map_err(|error| error.to_string())?;
    if finished.status != Status::Exited(0) {
        return Err(String::from_utf8_lossy(&finished.stderr).trim().to_owned());
    }
    let said: Value = serde_json::from_slice(&finished.stdout).map_err(|why| why.to_string())?;
    let backups = said["backups"].as_array().into_iter().flatten();
    let newest = backups.last().ok_or("there is no backup")?;
    let (of, keys) = (newest["cluster"].as_str().unwrap_or_default(), &newest["keys"]);
    if of != cluster {
        return Err(format!("the newest snapshot is of cluster {of}, and this is {cluster}"));
    }
    let taken_at = newest["taken_at"].as_str().unwrap_or_default();
    Ok(format!("the newest snapshot is of {taken_at}, {keys} keys"))
}
