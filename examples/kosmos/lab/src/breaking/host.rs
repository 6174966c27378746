//! A compromised host: what somebody who has got in leaves behind. All of it is harmless.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::Damage;
use crate::failure::{Failure, failed};
use crate::lab::Lab;
use crate::node::BEACON_PATH;
use crate::parts::connect;
use crate::processes::Spec;

/// What the stranger calls its process.
const STRANGER: &str = "stranger";

/// The superuser that nobody of ours made.
const ROLE: &str = "support";

/// Leaves a process, a changed program, a key, and a superuser if the database answers.
pub(super) fn compromise(lab: &Lab, node: &str) -> Result<Damage, Failure> {
    let home = lab.directory(&format!("{node}/tmp"))?;
    // Under the name of a kernel's thread, as such programs have it.
    let program = home.join("kworkerd");
    std::fs::copy("/bin/sleep", &program).map_err(failed("put a program on the node"))?;
    let name = format!("{STRANGER}-{node}");
    lab.start(&Spec::new(&name, node, &program, home).args(["infinity"]))?;
    let beacon = lab.root().join(node).join(BEACON_PATH);
    append(&beacon, "# and tells somebody else\n: \"${KOSMOS_NODE}\" >/dev/null\n")?;
    lab.directory(&format!("{node}/root/.ssh"))?;
    let keys = lab.root().join(node).join("root/.ssh/authorized_keys");
    append(&keys, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKosmosDrill support@elsewhere\n")?;
    let superuser = lab.address("postgres-admin").ok().and_then(|admin| {
        let mut client = connect(&admin).ok()?;
        client.batch_execute(&format!("CREATE ROLE {ROLE} SUPERUSER LOGIN")).ok()?;
        Some(ROLE)
    });
    Ok(Damage {
        what: format!("{node} is compromised: a strange process, a changed program, a key"),
        details: json!({"node": node, "process": name, "program": program,
            "changed": beacon, "key": keys, "superuser": superuser}),
    })
}

fn append(path: &Path, text: &str) -> Result<(), Failure> {
    let file = File::options().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed(&format!("change {}", path.display())))
}
