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

/// How old the newest may be.
const RPO: &str = "15 min";

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
         rpo: {RPO}\n    backup: {{ schedule: \"{SCHEDULE}\" }}\n    vaults: [{vault}]\n",
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
    let (home, _) = equip(lab)?;
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    lab.start(&Spec::new(PROCESS, NODE, &us, home).args(there(lab, &["agent", STORE])?))
}

/// `soter` on the node, with the agents' plan.
fn on_node(lab: &Lab, words: &[&str]) -> Result<Command, Failure> {
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    Ok(Command::new(us).args(there(lab, words)?))
}

fn there(lab: &Lab, words: &[&str]) -> Result<Vec<String>, Failure> {
    let (root, soter) = (lab.root().display().to_string(), lab.program("soter")?);
    let (soter, plan) = (soter.display().to_string(), lab.root().join(PLAN).display().to_string());
    let enter = ["--directory", &root, "exec", NODE, "--", &soter, "--plan", &plan];
    Ok(enter.into_iter().chain(words.iter().copied()).map(str::to_owned).collect())
}

/// Whether the newest snapshot is of the cluster that is there.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let cluster = super::members::cluster(lab)?;
    let asked =
        on_node(lab, &["--json", "status", STORE]).map_err(|failure| failure.to_string())?;
    let finished = asked.run(STATUS_TIMEOUT).map_err(|error| error.to_string())?;
    let said: Value = serde_json::from_slice(&finished.stdout)
        .map_err(|_| String::from_utf8_lossy(&finished.stderr).trim().to_owned())?;
    if finished.status != Status::Exited(0) {
        let problems = said["problems"].as_array().into_iter().flatten();
        return Err(problems.filter_map(Value::as_str).collect::<Vec<_>>().join("; "));
    }
    let newest = &said["newest"];
    let (of, keys) = (newest["cluster"].as_str().unwrap_or_default(), &newest["keys"]);
    if of != cluster {
        return Err(format!("the newest snapshot is of cluster {of}, and this is {cluster}"));
    }
    let taken_at = newest["taken_at"].as_str().unwrap_or_default();
    Ok(format!("the newest snapshot is of {taken_at}, {keys} keys"))
}
