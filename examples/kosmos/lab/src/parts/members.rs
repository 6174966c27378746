//! What is done with members of etcd after they were made: a cluster begun from a snapshot, a new member
//! in the place of one that is gone.

use std::fs;
use std::path::Path;

use serde_json::Value;
use soter_world::exec::Command;
use soter_world::{Disk, OsDisk};

use super::etcd::{TOKEN, client_url, healthy, member, peer_url, process};
use super::server_files;
use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::place::{NODES, secret};
use crate::tls;

/// Makes the data of a cluster with one member out of a snapshot. Data that is there is set aside.
pub(crate) fn begin_from(lab: &Lab, node: &str, snapshot: &Path) -> Result<(), Failure> {
    if healthy(lab, node).is_ok() {
        let what = format!("the member on {node} is at work");
        return Err(Failure::new(Ending::Input, what).hint("stop it: systemctl stop k3s"));
    }
    server_files::check(lab, node)?;
    let home = certified(lab, node)?;
    let data = home.join("data");
    if data.exists() {
        let aside = home.join(format!("data-before-{}", secret::<4>()));
        OsDisk.rename(&data, &aside).map_err(failed("set the member's data aside"))?;
        lab.say(format_args!("the data that was there is now {}", aside.display()));
    }
    let peer = peer_url(lab, node)?;
    let restore = Command::new(lab.program("etcdutl")?)
        .args(["snapshot", "restore"])
        .arg(snapshot)
        .args(["--name", node, "--initial-cluster", &format!("{node}={peer}")])
        .args(["--initial-advertise-peer-urls", &peer, "--initial-cluster-token"])
        // Another token: a member of the lost cluster that turns up again is no member of this one.
        .arg(format!("{TOKEN}-{}", secret::<4>()))
        .arg("--data-dir")
        .arg(&data);
    lab.run("restore etcd from a snapshot", restore).map(drop)
}

/// Starts the member on a node: with its data if it has some, as the first of a new cluster if that is
/// what the node is configured for, else as a new one of those at work.
pub(crate) fn start(lab: &Lab, node: &str) -> Result<(), Failure> {
    if healthy(lab, node).is_ok() {
        return Ok(());
    }
    let home = certified(lab, node)?;
    let spec = if home.join("data").exists() {
        member(lab, node, "existing", &[node])?
    } else if server_files::begins(lab, node) {
        server_files::make(lab, node)?;
        member(lab, node, "new", &[node])?
    } else {
        join(lab, node)?
    };
    lab.start(&spec)?;
    lab.wait_ready(&process(node), || healthy(lab, node))
}

/// Takes whoever had this place out of the cluster, and the new one in.
fn join(lab: &Lab, node: &str) -> Result<crate::processes::Spec, Failure> {
    let others = NODES.into_iter().filter(|other| *other != node);
    let helper = others.into_iter().find(|other| healthy(lab, other).is_ok()).ok_or_else(|| {
        Failure::new(Ending::No, "there is no cluster to join")
            .hint("begin one from a snapshot: k3s server --cluster-reset")
    })?;
    server_files::admit(lab, helper, node)?;
    let peer = peer_url(lab, node)?;
    // Asked before: with the new one added, two of two would have to answer.
    let there = members(lab, helper)?;
    // By its name, or by its address: one that was added and never came has no name.
    for gone in there.iter().filter(|one| one.name == node || one.peers.contains(&peer)) {
        let remove = control(lab, helper)?.args(["member", "remove", gone.id.as_str()]);
        lab.run("remove the member that is gone", remove)?;
    }
    // A cluster that has just lost a member may need a moment before it takes another.
    lab.wait_ready(&process(helper), || {
        let add = control(lab, helper).map_err(|failure| failure.to_string())?;
        let add = add.args(["member", "add", node, &format!("--peer-urls={peer}")]);
        lab.run("add a member", add).map(drop).map_err(|failure| failure.to_string())
    })?;
    let is_there = |one: &str| one == node || there.iter().any(|member| member.name == one);
    let known: Vec<&str> = NODES.into_iter().filter(|one| is_there(one)).collect();
    member(lab, node, "existing", &known)
}

/// A member, as another one knows it.
struct Member {
    id: String,
    name: String,
    peers: Vec<String>,
}

/// The members as a node's knows them.
fn members(lab: &Lab, node: &str) -> Result<Vec<Member>, Failure> {
    let list = control(lab, node)?.args(["member", "list", "--write-out=json"]);
    let listed = lab.run("list the members of etcd", list)?;
    let listed: Value =
        serde_json::from_slice(&listed).map_err(failed("understand the members of etcd"))?;
    let members = listed["members"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(members
        .filter_map(|member| {
            Some(Member {
                id: format!("{:x}", member["ID"].as_u64()?),
                name: text(&member["name"]),
                peers: member["peerURLs"].as_array()?.iter().map(text).collect(),
            })
        })
        .collect())
}

/// The number of the cluster that answers, as Soter writes it.
pub(super) fn cluster(lab: &Lab) -> Result<String, String> {
    let words = |failure: Failure| failure.to_string();
    let well = NODES.into_iter().find(|node| healthy(lab, node).is_ok());
    let node = well.ok_or("no member of etcd is well")?;
    let ask = control(lab, node).map_err(words)?.args(["member", "list", "--write-out=json"]);
    let said = lab.run("ask etcd who it is", ask).map_err(words)?;
    let said: Value = serde_json::from_slice(&said).map_err(|why| why.to_string())?;
    let number = said["header"]["cluster_id"].as_u64().ok_or("etcd does not say who it is")?;
    Ok(format!("{number:016x}"))
}

/// The directory of a node's member, with its certificate.
fn certified(lab: &Lab, node: &str) -> Result<std::path::PathBuf, Failure> {
    let home = lab.directory(&format!("{node}/etcd"))?;
    if !fs::exists(home.join("member.crt")).map_err(failed("look for a certificate"))? {
        tls::issue(lab, &home, "member", &format!("/CN={node}"))?;
    }
    Ok(home)
}

/// `etcdctl` on the member of a node.
fn control(lab: &Lab, node: &str) -> Result<Command, Failure> {
    let pki = lab.root().join(tls::AUTHORITY);
    // It refuses flags where the same stands in its environment, as in that of a step.
    let variables = ["ENDPOINTS", "CACERT", "CERT", "KEY"];
    let etcdctl = Command::new(lab.program("etcdctl")?);
    let etcdctl = variables
        .into_iter()
        .fold(etcdctl, |etcdctl, name| etcdctl.env_remove(format!("ETCDCTL_{name}")));
    Ok(etcdctl
        .args(["--endpoints", &client_url(lab, node)?, "--cacert"])
        .arg(pki.join("ca.crt"))
        .arg("--cert")
        .arg(pki.join("admin.crt"))
        .arg("--key")
        .arg(pki.join("admin.key")))
}
