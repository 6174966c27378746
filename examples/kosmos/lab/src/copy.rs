//! The job that makes copies of etcd, as the plan of this laboratory has it: on a node, with what a node
//! has. A timer would run it; here it is run when somebody asks, and once when the laboratory is made.

use soter_world::exec::Command;

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::parts::{is_well_on, server_files};
use crate::place::NODES;

/// The same text stands in the plan; a test compares them.
const SCRIPT: &str = include_str!("../copies/etcd.sh");

/// Where the certificate is on a node that the copies are sealed to.
const RECIPIENT: &str = "etc/soter/recovery.crt";

/// Makes a copy, on the first node whose member is well. What it is called.
pub(crate) fn run(lab: &Lab) -> Result<String, Failure> {
    let node = NODES.into_iter().find(|node| is_well_on(lab, node)).ok_or_else(|| {
        Failure::new(Ending::No, "no member of etcd is well, so there is nothing to copy from")
    })?;
    lab.directory(&format!("{node}/files/etc/soter"))?;
    let recipient = lab.root().join(server_files::RECOVERY).with_extension("crt");
    let there = lab.root().join(node).join("files").join(RECIPIENT);
    std::fs::copy(recipient, there).map_err(failed("give the node the seal of its copies"))?;
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    let job = Command::new(us)
        .arg("--directory")
        .arg(lab.root())
        .args(["exec", node, "--", "bash", "-euo", "pipefail", "-c", SCRIPT])
        .env("AWS_ENDPOINT_URL", lab.address("s3")?)
        .env("AWS_ACCESS_KEY_ID", lab.secret("s3-access-key")?)
        .env("AWS_SECRET_ACCESS_KEY", lab.secret("s3-secret-key")?)
        .env("AWS_DEFAULT_REGION", "us-east-1");
    let said = lab.run("make a copy of etcd", job)?;
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok(said.lines().last().unwrap_or_default().to_owned())
}
