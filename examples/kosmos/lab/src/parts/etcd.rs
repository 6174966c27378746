//! Three members of etcd, one on each node, that believe nobody without a certificate.

use super::server_files;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::place::NODES;
use crate::processes::Spec;
use crate::tls;

/// What tells this cluster from another on the same ports.
pub(super) const TOKEN: &str = "kosmos-lab";

/// Makes the authority and the members, and waits until they agree.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    tls::make_authority(lab)?;
    let [first, others @ ..] = &NODES;
    server_files::make(lab, first)?;
    for node in others {
        server_files::share(lab, first, node)?;
    }
    let endpoints: Result<Vec<String>, Failure> =
        NODES.into_iter().map(|node| client_url(lab, node)).collect();
    let endpoints = endpoints?.join(",");
    lab.describe(|description| {
        description.addresses.insert("etcd".to_owned(), endpoints.clone());
    })?;
    for node in NODES {
        let home = lab.directory(&format!("{node}/etcd"))?;
        tls::issue(lab, &home, "member", &format!("/CN={node}"))?;
        lab.start(&member(lab, node, "new", &NODES)?)?;
    }
    for node in NODES {
        lab.wait_ready(&process(node), || healthy(lab, node))?;
    }
    Ok(())
}

/// Whether all members are well; every one that is not is named.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let ill = NODES.into_iter().filter_map(|node| {
        healthy(lab, node).err().map(|why| format!("the member on {node}: {}", why.trim_end()))
    });
    let ill: Vec<String> = ill.collect();
    if ill.is_empty() { Ok("three members are healthy".to_owned()) } else { Err(ill.join("; ")) }
}

/// The name of a member's process.
pub(super) fn process(node: &str) -> String {
    format!("etcd-{node}")
}

/// What a member is started with; `state` is `new` for a first start, `existing` for one that joins
/// those that are there. One that has data knows both by itself.
pub(super) fn member(
    lab: &Lab,
    node: &str,
    state: &str,
    members: &[&str],
) -> Result<Spec, Failure> {
    let home = lab.root().join(node).join("etcd");
    let (client, peer) = (client_url(lab, node)?, peer_url(lab, node)?);
    let cluster: Result<Vec<String>, Failure> =
        members.iter().map(|node| peer_url(lab, node).map(|url| format!("{node}={url}"))).collect();
    let path = |name: &str| home.join(name).display().to_string();
    let spec = Spec::new(&process(node), node, &lab.program("etcd")?, home.clone())
        .args(["--name", node, "--data-dir", &path("data"), "--logger", "zap"])
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &cluster?.join(","), "--initial-cluster-token", TOKEN])
        .args(["--initial-cluster-state", state, "--client-cert-auth", "--peer-client-cert-auth"])
        .args(["--cert-file", &path("member.crt"), "--key-file", &path("member.key")])
        .args(["--peer-cert-file", &path("member.crt"), "--peer-key-file", &path("member.key")])
        .args(["--trusted-ca-file", &path("ca.crt"), "--peer-trusted-ca-file", &path("ca.crt")])
        // Processes are killed here, the machine is not: what was written stays.
        .args(["--unsafe-no-fsync"]);
    Ok(spec)
}

pub(super) fn client_url(lab: &Lab, node: &str) -> Result<String, Failure> {
    Ok(format!("https://127.0.0.1:{}", lab.port(&format!("etcd-client-{node}"))?))
}

pub(super) fn peer_url(lab: &Lab, node: &str) -> Result<String, Failure> {
    Ok(format!("https://127.0.0.1:{}", lab.port(&format!("etcd-peer-{node}"))?))
}

pub(super) fn healthy(lab: &Lab, node: &str) -> Result<(), String> {
    let url = client_url(lab, node).map_err(|failure| failure.to_string())?;
    let body = tls::get(lab, &format!("{url}/health"))?;
    if body.contains("\"health\":\"true\"") { Ok(()) } else { Err(body) }
}
