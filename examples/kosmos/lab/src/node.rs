//! Nodes: a directory with what every one has, made from the same image.
//!
//! What a node's image holds is written down with its hash when the node is made, outside of the
//! node, so that one can tell later what somebody has changed.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use soter_world::exec::{self, Command};

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::parts::server_home;
use crate::place::{NODES, VIEWS};
use crate::processes::NODE;

/// A program of every node's image: says that the node is there.
const BEACON: &str =
    "#!/bin/sh\n# Says that this node is there.\nprintf '%s is here\\n' \"$KOSMOS_NODE\"\n";

/// Set by Terraform: which making of the cluster a node belongs to.
const GENERATION: &str = "KOSMOS_GENERATION";

/// Where it is on a node.
pub(crate) const BEACON_PATH: &str = "sbin/beacon";

/// Enters the node's views ([`VIEWS`]), in a mount name space that ends with its last process, and becomes the program.
const ENTER: &str = r#"set -eu
for view in $KOSMOS_VIEWS; do
    mkdir -p "$KOSMOS_FILES$view" "$KOSMOS_FILES/.work$view"
    mount -t overlay kosmos-lab "$view" \
        -o "lowerdir=$view,upperdir=$KOSMOS_FILES$view,workdir=$KOSMOS_FILES/.work$view"
done
unset KOSMOS_VIEWS KOSMOS_FILES
exec "$@"
"#;

/// The node this process is on.
pub(crate) fn ours() -> Result<&'static str, Failure> {
    let name = std::env::var_os(NODE).unwrap_or_default();
    known(&name.to_string_lossy()).map_err(|_| {
        Failure::new(Ending::Input, "this runs on a node only")
            .hint("kosmos-lab exec NODE -- COMMAND")
    })
}

/// Whether there is such a node; an error names those there are.
pub(crate) fn known(name: &str) -> Result<&'static str, Failure> {
    NODES.into_iter().find(|node| *node == name).ok_or_else(|| {
        let what = format!("there is no node {name:?}");
        Failure::new(Ending::Input, what).hint(format!("the nodes are {}", NODES.join(", ")))
    })
}

/// Makes a node, unless it is there.
pub(crate) fn make(lab: &Lab, name: &str) -> Result<(), Failure> {
    let name = known(name)?;
    // Directories that the image has, and steps put files into.
    for directory in ["sbin", "files/etc/rancher/k3s", "files/etc/default", "files/etc/soter"] {
        lab.directory(&format!("{name}/{directory}"))?;
    }
    let beacon = lab.file(&format!("{name}/{BEACON_PATH}"), BEACON)?;
    // Others enter it too: PostgreSQL does not run as root.
    let open = |path: PathBuf| fs::set_permissions(path, fs::Permissions::from_mode(0o755));
    open(lab.root().join(name))
        .and_then(|()| open(beacon.clone()))
        .map_err(failed("open the node's directory"))?;
    let hash = lab.run("hash what the node has", Command::new("sha256sum").arg(&beacon))?;
    let hash = String::from_utf8_lossy(&hash).split_whitespace().next().unwrap_or("").to_owned();
    lab.directory("laptop/images")?;
    let generation = std::env::var_os(GENERATION).unwrap_or_else(|| "first".into());
    let generation = generation.to_string_lossy();
    if name == NODES[0] && !lab.is_without("postgres") {
        server_home(lab)?;
    }
    lab.file(&format!("{name}/generation"), &format!("{generation}\n"))?;
    let image = json!({"node": name, "generation": generation, "files": {BEACON_PATH: hash}});
    lab.file(&format!("laptop/images/{name}.json"), &format!("{image:#}\n")).map(drop)
}

/// Which making of the cluster a node belongs to.
pub(crate) fn generation(lab: &Lab, name: &str) -> String {
    let image = fs::read(lab.root().join(format!("laptop/images/{name}.json")));
    let image: Option<Value> = image.ok().and_then(|image| serde_json::from_slice(&image).ok());
    let generation = image.and_then(|image| image["generation"].as_str().map(str::to_owned));
    generation.unwrap_or_default()
}

/// Whether anything runs on a node.
pub(crate) fn runs_something(lab: &Lab, name: &str) -> Result<bool, Failure> {
    let hunt = lab.of_node(name)?;
    hunt.finds_any().map_err(failed(&format!("look what runs on {name}")))
}

/// Ends whatever runs on a node; what it has on disk stays.
pub(crate) fn stop(lab: &Lab, name: &str) -> Result<usize, Failure> {
    let name = known(name)?;
    let table = lab.table();
    let ended = lab.of_node(name)?.end().map_err(failed(&format!("end what runs on {name}")))?;
    for entry in table.entries()?.iter().filter(|entry| entry.spec.node == name) {
        table.forget(&entry.spec.name)?;
    }
    Ok(ended)
}

/// A node is gone: its processes, and its disk.
pub(crate) fn remove(lab: &Lab, name: &str) -> Result<usize, Failure> {
    let ended = stop(lab, name)?;
    let directory = lab.root().join(name);
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(&format!("remove {}", directory.display()))(error))
        }
        _ => Ok(ended),
    }
}

/// Where a node finds a path of its views, as in `/etc`. Without root it has none, and sees the directory
/// itself.
pub(crate) fn seen(lab: &Lab, name: &str, path: &str) -> PathBuf {
    if exec::current_owner().user == 0 {
        return PathBuf::from(path);
    }
    lab.root().join(name).join("files").join(path.trim_start_matches('/'))
}

/// Becomes a program on a node: in its directory, with its marks, and the stand-ins before the
/// machine's programs. A node that is gone does not answer.
pub(crate) fn enter(lab: &Lab, name: &str, command: &[String]) -> Result<(), Failure> {
    let name = known(name)?;
    let directory = lab.root().join(name);
    if !directory.is_dir() {
        return Err(Failure::new(Ending::Unreachable, format!("{name} does not answer"))
            .hint("the node is gone; Terraform makes a new one"));
    }
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Failure::new(Ending::Input, "say what to run on the node, after --"))?;
    let mut path = std::ffi::OsString::from(lab.root().join("bin"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let is_root = exec::current_owner().user == 0;
    let mut command = if is_root {
        // What a step writes to the machine's directories must not reach the machine.
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--", "sh", "-c", ENTER, "enter"])
            .arg(program)
            .env("KOSMOS_VIEWS", VIEWS.join(" "))
            .env("KOSMOS_FILES", directory.join("files"))
    } else {
        Command::new(program)
    };
    command = command
        .args(arguments)
        .current_dir(&directory)
        .env("PATH", path)
        .env("HOME", &directory)
        .stdin(exec::Input::Inherit)
        .stdout(exec::Output::Inherit)
        .stderr(exec::Output::Inherit);
    for (name, value) in lab.table().marks(name) {
        command = command.env(name, value);
    }
    Err(failed(&format!("run {program} on {name}"))(command.replace_this_process()))
}
