//! What K3s keeps on its servers besides etcd: the token, the authority, the key of the service
//! accounts, and the key that seals secrets. Without it a snapshot of etcd opens on no new machine, and a
//! server is not let in.
//!
//! A new server gets it from those at work, if it knows their token.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use soter_world::exec::Command;
use soter_world::{SystemRandom, random};

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::place::secret;
use crate::tls;

/// Where K3s has it on a server.
const DIRECTORY: &str = "var/lib/rancher/k3s/server";

/// Where a new server finds the token of the cluster it joins.
const TOKEN_TO_JOIN: &str = "etc/rancher/k3s/token";

/// Where a new server reads what it shall be.
const CONFIGURATION: &str = "etc/rancher/k3s/config.yaml";

/// With whoever recovers: the token by which Terraform's image joins.
pub(crate) const TOKEN: &str = "laptop/k3s/token";

/// Where it is, seen from outside of the node.
pub(super) fn directory(lab: &Lab, node: &str) -> PathBuf {
    files(lab, node).join(DIRECTORY)
}

fn files(lab: &Lab, node: &str) -> PathBuf {
    lab.root().join(node).join("files")
}

/// Makes what a new cluster has, on its first server.
pub(super) fn make(lab: &Lab, node: &str) -> Result<(), Failure> {
    let base = format!("{node}/files/{DIRECTORY}");
    let token = format!("K10{}::server:{}", secret::<32>(), secret::<16>());
    lab.directory(&base)?;
    lab.file(&format!("{base}/token"), &format!("{token}\n"))?;
    lab.directory("laptop/k3s")?;
    lab.file(TOKEN, &format!("{token}\n"))?;
    let key = STANDARD.encode(random::bytes::<32>(&SystemRandom));
    let sealed = json!({"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1",
        "resources": [{"resources": ["secrets"], "providers": [
            {"secretbox": {"keys": [{"name": "key-1", "secret": key}]}}, {"identity": {}}]}]});
    lab.directory(&format!("{base}/cred"))?;
    lab.file(&format!("{base}/cred/encryption-config.json"), &format!("{sealed:#}\n"))?;
    lab.directory(&format!("{base}/tls/etcd"))?;
    let authority = lab.root().join(tls::AUTHORITY);
    let copies = [
        ("ca.crt", "server-ca.crt"),
        ("ca.key", "server-ca.key"),
        ("ca.crt", "etcd/server-ca.crt"),
        ("admin.crt", "etcd/client.crt"),
        ("admin.key", "etcd/client.key"),
    ];
    let above = lab.root().join(format!("{base}/tls"));
    for (from, to) in copies {
        fs::copy(authority.join(from), above.join(to))
            .map_err(failed("give the server its certificates"))?;
    }
    let make_key = Command::new(lab.program("openssl")?)
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .arg("-out")
        .arg(above.join("service.key"));
    lab.run("make the key of service accounts", make_key)?;
    fs::set_permissions(directory(lab, node), fs::Permissions::from_mode(0o700))
        .map_err(failed("close the server's directory"))
}

/// Gives a server what another one has, without asking for anything: as it is when both are made.
pub(super) fn share(lab: &Lab, from: &str, to: &str) -> Result<(), Failure> {
    let (from, to) = (directory(lab, from), directory(lab, to));
    let above = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(above).map_err(failed("make room for what a server keeps"))?;
    let copy = Command::new("cp").args(["--archive", "--no-target-directory"]).arg(from).arg(to);
    lab.run("give a server what the others have", copy).map(drop)
}

/// Lets a new server in: it has to know the token.
pub(super) fn admit(lab: &Lab, from: &str, to: &str) -> Result<(), Failure> {
    let expected = token(&directory(lab, from).join("token")).ok_or_else(|| {
        Failure::new(Ending::Failed, format!("{from} has no token: it is no server of K3s"))
    })?;
    let known = [directory(lab, to).join("token"), files(lab, to).join(TOKEN_TO_JOIN)];
    if !known.iter().any(|path| token(path).is_some_and(|known| known == expected)) {
        let what = format!("{to} does not know the cluster's token, and is not let in");
        return Err(Failure::new(Ending::Failed, what)
            .hint(format!("put the one of {from} into /{TOKEN_TO_JOIN}")));
    }
    share(lab, from, to)
}

/// Whether a server is there whose files can open a snapshot.
pub(super) fn check(lab: &Lab, node: &str) -> Result<(), Failure> {
    if token(&directory(lab, node).join("token")).is_some() {
        return Ok(());
    }
    let what = format!("{node} has no token: it is what a snapshot's certificates are sealed with");
    Err(Failure::new(Ending::Failed, what)
        .hint(format!("put the one that was copied with it into /{DIRECTORY}/token")))
}

/// Whether a server is to begin a cluster of its own.
pub(super) fn begins(lab: &Lab, node: &str) -> bool {
    let text = fs::read_to_string(files(lab, node).join(CONFIGURATION)).unwrap_or_default();
    text.lines().any(|line| line.trim() == "cluster-init: true")
}

fn token(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
