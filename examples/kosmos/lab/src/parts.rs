//! The parts of a laboratory: how each is made, and how one sees that it works.

mod edge;
mod etcd;
mod git;
mod kubernetes;
pub(crate) mod members;
mod nats;
mod objects;
mod postgres;
mod prometheus;
mod protection;
mod server_files;
mod services;
mod snapshots;
mod terraform;
pub(crate) mod units;

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;
use crate::lab::Lab;
use crate::place::NODES;
use crate::tools;

pub(crate) use self::kubernetes::{is_ready, list};
pub(crate) use self::postgres::{
    connect, data as server_data, home as server_home, stop as stop_server,
};
pub(crate) use self::protection::{CONFIGURATION, configure as configure_laptop};
pub(crate) use self::terraform::make as make_nodes;

/// How long one look at a part may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A part. The order is the one in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Part {
    /// Terraform, which provides the nodes.
    Terraform,
    /// PostgreSQL, the primary, on node-1.
    Postgres,
    /// Its agent, which every commit waits for, with a vault outside.
    Protection,
    /// Three members of etcd.
    Etcd,
    /// An API server with controllers on node-1, and a kubelet on each node.
    Kubernetes,
    /// NATS JetStream, on node-2.
    Nats,
    /// Zeus and the gateway; pods where there is Kubernetes.
    Services,
    /// The agent of etcd, on node-1, which takes a snapshot of it into the vault when one is due.
    Snapshots,
    /// What users reach, outside; it can turn them away.
    Edge,
    /// SeaweedFS as S3, outside.
    Objects,
    /// A Git remote, outside.
    Git,
    /// Prometheus, outside.
    Prometheus,
}

/// The names of the ports on loopback that a laboratory has.
pub(crate) fn port_names() -> Vec<String> {
    let single = [
        "postgres",
        "nats",
        "nats-monitor",
        "zeus",
        "gateway",
        "edge",
        "kubernetes",
        "controllers",
    ];
    let of_nodes = NODES
        .into_iter()
        .flat_map(|node| [format!("etcd-client-{node}"), format!("etcd-peer-{node}")]);
    let more = objects::PORTS.into_iter().chain(["prometheus"]);
    single.into_iter().chain(more).map(str::to_owned).chain(of_nodes).collect()
}

/// What the Git remote has of the cluster: what is applied to it.
fn kubernetes_objects(lab: &Lab) -> Result<String, Failure> {
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List",
        "items": kubernetes::objects(lab)?});
    Ok(format!("{list:#}\n"))
}

impl Part {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::Terraform,
        Self::Postgres,
        Self::Protection,
        Self::Etcd,
        Self::Kubernetes,
        Self::Nats,
        Self::Services,
        Self::Snapshots,
        Self::Edge,
        Self::Objects,
        Self::Git,
        Self::Prometheus,
    ];

    /// Its name, for `--without` and for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terraform => "terraform",
            Self::Postgres => "postgres",
            Self::Protection => "protection",
            Self::Etcd => "etcd",
            Self::Kubernetes => "kubernetes",
            Self::Nats => "nats",
            Self::Services => "services",
            Self::Snapshots => "snapshots",
            Self::Edge => "edge",
            Self::Objects => "objects",
            Self::Git => "git",
            Self::Prometheus => "prometheus",
        }
    }

    /// The parts that must work before it can be made.
    pub(crate) fn needs(self) -> &'static [Self] {
        match self {
            Self::Protection => &[Self::Postgres],
            Self::Kubernetes => &[Self::Etcd],
            Self::Services => &[Self::Postgres, Self::Nats],
            Self::Snapshots => &[Self::Protection, Self::Etcd],
            Self::Prometheus => &[Self::Services],
            Self::Terraform
            | Self::Postgres
            | Self::Etcd
            | Self::Nats
            | Self::Edge
            | Self::Objects
            | Self::Git => &[],
        }
    }

    /// The parts it waits for if they are there.
    pub(crate) fn prefers(self) -> &'static [Self] {
        match self {
            Self::Services => &[Self::Kubernetes],
            Self::Prometheus => &[Self::Etcd],
            // The first snapshot has what was put into it by then.
            Self::Snapshots => &[Self::Kubernetes, Self::Services],
            _ => &[],
        }
    }

    /// Whether a laboratory can do without it when its programs are missing. They cannot be had from
    /// any package.
    pub(crate) fn is_optional(self) -> bool {
        matches!(self, Self::Terraform | Self::Kubernetes)
    }

    /// The process whose end is its end, if it has one.
    pub(crate) fn process(self, lab: &Lab) -> Option<&'static str> {
        match self {
            Self::Terraform | Self::Git => None,
            Self::Postgres => Some("postgres"),
            Self::Protection => Some("agent"),
            Self::Etcd => Some("etcd-node-1"),
            Self::Kubernetes => Some("apiserver"),
            Self::Nats => Some("nats"),
            Self::Services if lab.is_without("kubernetes") => Some("zeus"),
            Self::Services => Some("apiserver"),
            Self::Snapshots => Some(snapshots::PROCESS),
            Self::Edge => Some("edge"),
            Self::Objects => Some("objects"),
            Self::Prometheus => Some("prometheus"),
        }
    }

    /// The programs it uses, by the names the description has for them. What is missing is said
    /// before anything is made.
    pub(crate) fn find_programs(self) -> Result<Vec<(&'static str, PathBuf)>, Failure> {
        let find = |names: &[&'static str]| {
            names.iter().map(|&name| Ok((name, tools::find(name)?))).collect()
        };
        match self {
            Self::Terraform => find(&["terraform"]),
            Self::Postgres => Ok(vec![("postgres", tools::postgres()?)]),
            Self::Protection => Ok(vec![("soter", tools::soter()?)]),
            Self::Etcd => find(&["etcd", "etcdctl", "etcdutl", "openssl", "curl"]),
            Self::Kubernetes => {
                find(&["kube-apiserver", "kube-controller-manager", "openssl", "curl"])
            }
            Self::Nats => find(&["nats-server"]),
            Self::Services | Self::Snapshots => Ok(Vec::new()),
            Self::Edge => find(&["curl"]),
            Self::Objects => find(&["weed", "curl"]),
            Self::Git => find(&["git"]),
            Self::Prometheus => find(&["prometheus"]),
        }
    }

    /// Makes it and starts it. When this returns it works.
    pub(crate) fn make(self, lab: &Lab) -> Result<(), Failure> {
        match self {
            // The nodes were there before anything could be made on them.
            Self::Terraform => Ok(()),
            Self::Postgres => postgres::make(lab),
            Self::Protection => protection::make(lab),
            Self::Etcd => etcd::make(lab),
            Self::Kubernetes => kubernetes::make(lab),
            Self::Nats => nats::make(lab),
            Self::Services => services::make(lab),
            Self::Snapshots => snapshots::make(lab),
            Self::Edge => edge::make(lab),
            Self::Objects => objects::make(lab),
            Self::Git => git::make(lab),
            Self::Prometheus => prometheus::make(lab),
        }
    }

    /// Whether it works: a sentence either way.
    pub(crate) fn look(self, lab: &Lab) -> Result<String, String> {
        match self {
            Self::Terraform => terraform::look(lab),
            Self::Postgres => postgres::look(lab),
            Self::Protection => protection::look(lab),
            Self::Etcd => etcd::look(lab),
            Self::Kubernetes => kubernetes::look(lab),
            Self::Nats => nats::look(lab),
            Self::Services => services::look(lab),
            Self::Snapshots => snapshots::look(lab),
            Self::Edge => edge::look(lab),
            Self::Objects => objects::look(lab),
            Self::Git => git::look(lab),
            Self::Prometheus => prometheus::look(lab),
        }
    }
}
