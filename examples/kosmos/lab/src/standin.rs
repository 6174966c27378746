//! Stand-ins: programs of a real KOSMOS that the steps of its plan call, as far as they are called.
//! They lie in `bin/`, which a run at this target has before its `PATH`, so that the steps stay as
//! they are.

mod aliyun;
mod curl;
mod k3s;
mod nats;
mod soter;
mod ssh;
mod systemctl;

use std::os::unix::fs::PermissionsExt;

use crate::failure::{Failure, failed};
use crate::lab::Lab;

/// A program that is stood in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Program {
    /// The provider's command line: `ecs DescribeInstances` by looking at the nodes.
    Aliyun,
    /// The machine's own, with the addresses of KOSMOS bound.
    Curl,
    /// A cluster of etcd begun from a snapshot.
    K3s,
    /// What is in the stream.
    Nats,
    /// The real one, configured as the laptop is.
    Soter,
    /// A command on a node.
    Ssh,
    /// Starts and stops what a node runs.
    Systemctl,
}

impl Program {
    const ALL: [Self; 7] =
        [Self::Aliyun, Self::Curl, Self::K3s, Self::Nats, Self::Soter, Self::Ssh, Self::Systemctl];

    fn name(self) -> &'static str {
        match self {
            Self::Aliyun => "aliyun",
            Self::Curl => "curl",
            Self::K3s => "k3s",
            Self::Nats => "nats",
            Self::Soter => "soter",
            Self::Ssh => "ssh",
            Self::Systemctl => "systemctl",
        }
    }
}

/// Puts them into `bin/`.
pub(crate) fn write(lab: &Lab) -> Result<(), Failure> {
    lab.directory("bin")?;
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    for program in Program::ALL {
        let name = program.name();
        let script = format!(
            "#!/bin/sh\nexec '{}' --directory '{}' as {name} -- \"$@\"\n",
            us.display(),
            lab.root().display()
        );
        let file = lab.file(&format!("bin/{name}"), &script)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))
            .map_err(failed(&format!("make {} a program", file.display())))?;
    }
    Ok(())
}

/// Does what the program would do.
pub(crate) fn run(lab: &Lab, program: Program, arguments: &[String]) -> Result<(), Failure> {
    match program {
        Program::Aliyun => aliyun::run(lab, arguments),
        Program::Curl => curl::run(lab, arguments),
        Program::K3s => k3s::run(lab, arguments),
        Program::Nats => nats::run(lab, arguments),
        Program::Soter => soter::run(lab, arguments),
        Program::Ssh => ssh::run(lab, arguments),
        Program::Systemctl => systemctl::run(lab, arguments),
    }
}
