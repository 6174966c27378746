//! Soter beside PostgreSQL: a vault outside of the cluster, an agent on node-1, and a server that
//! lets no commit return before its WAL is in the vault. The same vault and the same plan are those of
//! the agent of etcd.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use soter_world::exec::{Command, Status};
use soter_world::{OsDisk, durable};

use super::postgres::{self, connect};
use super::snapshots;
use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::processes::Spec;

/// The store's name, as in the plan of KOSMOS.
const STORE: &str = "postgres";

/// The vault's name, as in the plan of KOSMOS.
const VAULT: &str = "vault-dublin";

/// The agents' plan.
pub(super) const PLAN: &str = "node-1/soter/soter.yaml";

/// The same plan on the laptop.
pub(crate) const CONFIGURATION: &str = "laptop/soter.yaml";

/// How the agent is known to the server.
const APPLICATION: &str = "soter_postgres";

/// How long an answer of `soter status` may take.
pub(super) const STATUS_TIMEOUT: Duration = Duration::from_secs(20);

/// Makes the vault, starts the agent, makes commits wait for it, and waits for the base backup.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    lab.directory("outside")?;
    lab.directory("laptop")?;
    let (vault, keys) = (lab.root().join("outside/vault"), lab.root().join("laptop/keys"));
    let url = format!("file://{}", vault.display());
    let soter = lab.program("soter")?;
    let init = Command::new(&soter)
        .args(["--json", "vault", "init", "--url", &url, "--store", STORE])
        .args(snapshots::store(lab).into_iter().flat_map(|store| ["--store", store]))
        .arg("--keys")
        .arg(&keys)
        .current_dir(lab.root());
    let printed = lab.run("make a vault with soter vault init", init)?;
    let printed: Value =
        serde_json::from_slice(&printed).map_err(failed("understand what soter printed"))?;
    let root = printed["root"].as_str().unwrap_or_default();
    lab.describe(|description| {
        let addresses = &mut description.addresses;
        addresses.insert("vault".to_owned(), url.clone());
        addresses.insert("vault-root".to_owned(), root.to_owned());
        let identity = keys.join("operator-1.key").display().to_string();
        addresses.insert("vault-identity".to_owned(), identity);
    })?;
    configure(lab)?;
    let admin = lab.address("postgres-admin")?;
    // Before the agent is there: it looks at the settings when it comes, then seldom. What commits
    // from here on waits for it.
    let mut client = connect(&admin).map_err(|why| Failure::new(Ending::Failed, why))?;
    client
        .batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{APPLICATION}'"))
        .and_then(|()| client.batch_execute("SELECT pg_reload_conf()"))
        .map_err(failed("make commits wait for the vault"))?;
    start(lab)?;
    lab.wait_ready("agent", || look(lab).map(drop))
}

/// Writes what Soter is configured with on the laptop, for whoever recovers: they adopt what was restored
/// before there is an agent again.
pub(crate) fn configure(lab: &Lab) -> Result<(), Failure> {
    let key = lab.root().join("laptop/keys/agent.key");
    lab.file(CONFIGURATION, &plan(lab, &key)?).map(drop)
}

/// Starts the agent.
pub(super) fn start(lab: &Lab) -> Result<(), Failure> {
    let (home, plan) = equip(lab)?;
    let spec = Spec::new("agent", "node-1", &lab.program("soter")?, home);
    lab.start(&spec.args(["--plan".to_owned(), plan.display().to_string()]).args(["agent", STORE]))
}

/// Gives the node the plan and the key that its agents need: the directory, and the plan in it.
pub(super) fn equip(lab: &Lab) -> Result<(PathBuf, PathBuf), Failure> {
    let home = lab.directory("node-1/soter")?;
    let key = home.join("agent.key");
    let kept = lab.root().join("laptop/keys/agent.key");
    // By renaming: the other agent may read it just now.
    let ours = std::fs::read(kept).map_err(failed("give the agents their key"))?;
    durable::write_durable(&OsDisk, &key, &ours).map_err(failed("give the agents their key"))?;
    let plan = lab.file(PLAN, &plan(lab, &key)?)?;
    Ok((home, plan))
}

/// The plan for what is kept, with that key for its agents.
fn plan(lab: &Lab, key: &Path) -> Result<String, Failure> {
    let postgres = format!(
        "vaults:\n  {VAULT}:\n    url: \"{url}\"\n    \
         keys: {{ root: \"{root}\", agent: \"{key}\" }}\n\
         stores:\n  {STORE}:\n    kind: postgres\n    connection: \"{admin}\"\n    \
         data_directory: {data}\n    vaults: [{VAULT}]\n    \
         wal: {{ mode: synchronous, spool: {{ directory: {state}, limit: 1 GiB }} }}\n    \
         backup: {{ schedule: \"0 3 * * *\" }}\n    canary: {{ every: 1 s }}\n",
        url = lab.address("vault")?,
        root = lab.address("vault-root")?,
        admin = lab.address("postgres-admin")?,
        key = key.display(),
        data = postgres::data(lab).display(),
        state = lab.root().join("node-1/soter/agent").display(),
    );
    Ok(postgres + &snapshots::plan(lab, VAULT)?)
}

/// Whether the store is protected as its plan says.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let (status, said) = ask(lab)?;
    let agent = &said["agent"];
    if agent.is_null() {
        return Err("no agent answers".to_owned());
    }
    let problems: Vec<&str> =
        agent["problems"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if status != Status::Exited(0) {
        return Err(problems.join("; "));
    }
    if agent["wal"]["synchronous"] == Value::Bool(false) {
        return Err("commits do not wait for the vault yet".to_owned());
    }
    Ok(agent["doing"].as_str().unwrap_or("protected").to_owned())
}

/// What `soter status` says.
fn ask(lab: &Lab) -> Result<(Status, Value), String> {
    let soter = lab.program("soter").map_err(|failure| failure.to_string())?;
    let plan = lab.root().join(PLAN);
    let command = Command::new(soter).arg("--plan").arg(plan).args(["--json", "status", STORE]);
    let finished = command.run(STATUS_TIMEOUT).map_err(|error| error.to_string())?;
    let said = serde_json::from_slice(&finished.stdout)
        .map_err(|_| String::from_utf8_lossy(&finished.stderr).trim().to_owned())?;
    Ok((finished.status, said))
}
