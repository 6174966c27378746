//! What a node's `systemctl` knows: the servers of the laboratory as units that are started and stopped
//! on a node.

use super::{kubernetes, members, nats, postgres, protection, services, snapshots};
use crate::failure::{Ending, Failure};
use crate::lab::Lab;
use crate::services::Service;

/// The node PostgreSQL and both agents belong to.
const DATABASE_NODE: &str = "node-1";

/// A unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A member of etcd, the control plane if no other node has it, and the kubelet.
    K3s,
    /// The stream's server.
    Nats,
    /// The server of the database.
    Postgresql,
    /// Its agent.
    SoterAgent,
    /// The agent of etcd.
    SoterAgentEtcd,
    /// A service, where there is no Kubernetes to run it.
    Service(Service),
}

impl Unit {
    /// The unit of that name.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        match name {
            "k3s" => Ok(Self::K3s),
            "nats" => Ok(Self::Nats),
            "postgresql" => Ok(Self::Postgresql),
            "soter-agent" => Ok(Self::SoterAgent),
            "soter-agent-etcd" => Ok(Self::SoterAgentEtcd),
            "zeus" => Ok(Self::Service(Service::Zeus)),
            "gateway" => Ok(Self::Service(Service::Gateway)),
            _ => Err(Failure::new(Ending::Input, format!("there is no unit {name}")).hint(
                "there are k3s, nats, postgresql, soter-agent, soter-agent-etcd, zeus and gateway",
            )),
        }
    }

    /// Starts it, and waits until it works.
    pub(crate) fn start(self, lab: &Lab, node: &str) -> Result<(), Failure> {
        match self {
            Self::K3s => {
                members::start(lab, node)?;
                if lab.is_without("kubernetes") {
                    return Ok(());
                }
                kubernetes::start_control_plane(lab, node)?;
                kubernetes::start_kubelet(lab, node)
            }
            Self::Nats => nats::start(lab, node),
            Self::Postgresql => belongs(self, node).and_then(|()| postgres::start(lab)),
            Self::SoterAgent => belongs(self, node).and_then(|()| protection::start(lab)),
            Self::SoterAgentEtcd => belongs(self, node).and_then(|()| snapshots::start(lab)),
            Self::Service(service) => services::start(lab, service, node),
        }
    }

    /// Ends what it has running on that node.
    pub(crate) fn stop(self, lab: &Lab, node: &str) -> Result<(), Failure> {
        if self == Self::Postgresql && node == DATABASE_NODE {
            postgres::stop(lab)?;
        }
        let table = lab.table();
        for name in self.processes(node) {
            if table.entry(&name)?.is_some_and(|entry| entry.spec.node == node) {
                table.end(&name)?;
            }
        }
        Ok(())
    }

    /// Whether it runs on that node.
    pub(crate) fn is_active(self, lab: &Lab, node: &str) -> Result<bool, Failure> {
        let processes = self.processes(node);
        let Some(first) = processes.first() else { return Ok(false) };
        let entry = lab.table().entry(first)?;
        Ok(entry.is_some_and(|entry| entry.spec.node == node && entry.is_alive()))
    }

    /// Its processes, the one that tells whether it runs first.
    fn processes(self, node: &str) -> Vec<String> {
        match self {
            Self::K3s => vec![
                format!("etcd-{node}"),
                format!("kubelet-{node}"),
                "controllers".to_owned(),
                "apiserver".to_owned(),
            ],
            Self::Nats => vec!["nats".to_owned()],
            Self::Postgresql => vec!["postgres".to_owned()],
            Self::SoterAgent => vec!["agent".to_owned()],
            Self::SoterAgentEtcd => vec![snapshots::PROCESS.to_owned()],
            Self::Service(service) => vec![service.name().to_owned()],
        }
    }
}

fn belongs(unit: Unit, node: &str) -> Result<(), Failure> {
    if node == DATABASE_NODE {
        return Ok(());
    }
    let what = format!("{unit:?} is not on {node}");
    Err(Failure::new(Ending::Input, what).hint(format!("it belongs to {DATABASE_NODE}")))
}
