//! `laptop/target.yaml`: what a run of the plan of KOSMOS has to know so that its steps, as they are,
//! reach this laboratory and nothing else.

use std::path::Path;

use serde_json::json;

use crate::failure::{Failure, failed};
use crate::lab::Lab;
use crate::place::{Description, NODES};
use crate::tls;

/// The address that users of KOSMOS have, in its plan.
pub(crate) const USERS_ADDRESS: &str = "https://api.kosmos.example";

/// Where the rules of the edge are changed, in its plan.
pub(crate) const EDGE_ADDRESS: &str = "https://api.cloudflare.com";

/// The channels of the plan: in a drill a message goes into a file.
const CHANNELS: [&str; 6] = ["pagerduty", "slack", "status", "mail", "telephone", "bridge"];

/// Where programs are found: stand-ins first, then those that the laboratory runs by.
fn directories(description: &Description, stand_ins: &str) -> Vec<String> {
    let programs = &description.programs;
    let servers = programs.get("postgres").cloned();
    let of_etcd = programs.get("etcdctl").and_then(|path| path.parent()).map(Path::to_owned);
    let found = servers.into_iter().chain(of_etcd).map(|path| path.display().to_string());
    let mut all = vec![stand_ins.to_owned()];
    for path in found.filter(|path| !path.is_empty()) {
        if !all.contains(&path) {
            all.push(path);
        }
    }
    all
}

/// Writes it.
pub(crate) fn write(lab: &Lab) -> Result<(), Failure> {
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    let root = lab.root();
    let description = lab.description();
    let address = |name: &str| description.addresses.get(name).cloned();
    let path = |name: &str| root.join(name).display().to_string();
    let mut text = String::from(
        "# Where a drill of the plan of KOSMOS happens: the laboratory in this directory.\n\
         # Written by `kosmos-lab up`; a run takes it with --target.\n",
    );
    let mut line = |key: &str, value: serde_json::Value| {
        // JSON is YAML.
        text.push_str(&format!("{key}: {value}\n"));
    };
    line("name", json!("laboratory"));
    line("kind", json!("drill"));
    line("about", json!(format!("real servers on loopback, below {}", root.display())));
    line("path", json!(directories(&description, &path("bin"))));
    let mut variables = json!({"TF_CLI_CONFIG_FILE": "/dev/null", "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1", "AWS_DEFAULT_REGION": "us-east-1"});
    let named = [
        ("KUBECONFIG", address("kubeconfig")),
        ("AWS_ENDPOINT_URL", address("s3")),
        ("AWS_ACCESS_KEY_ID", description.secrets.get("s3-access-key").cloned()),
        ("AWS_SECRET_ACCESS_KEY", description.secrets.get("s3-secret-key").cloned()),
        ("NATS_URL", address("nats")),
        // PostgreSQL's own programs come through the socket, as the superuser.
        ("PGHOST", Some(path("node-1/postgres"))),
        ("PGPORT", Some(lab.port("postgres")?.to_string())),
        ("PGUSER", Some("postgres".to_owned())),
        ("ETCDCTL_ENDPOINTS", address("etcd")),
        ("ETCDCTL_CACERT", Some(path("laptop/pki/ca.crt"))),
        ("ETCDCTL_CERT", Some(path("laptop/pki/admin.crt"))),
        ("ETCDCTL_KEY", Some(path("laptop/pki/admin.key"))),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            variables[name] = json!(value);
        }
    }
    line("environment", variables);
    let enter = |node: &str| json!([us, "--directory", root, "exec", node, "--"]);
    line("hosts", NODES.into_iter().map(|node| (node.to_owned(), enter(node))).collect());
    line("stores", stores(lab));
    let edge = address("edge").or_else(|| address("gateway"));
    line("endpoints", json!({USERS_ADDRESS: edge, EDGE_ADDRESS: edge}));
    lab.directory("laptop/messages")?;
    let message = |name: &str| {
        let file = path(&format!("laptop/messages/{name}.txt"));
        (name.to_owned(), json!({"command": ["tee", "--append", file]}))
    };
    line("channels", CHANNELS.into_iter().map(message).collect());
    line("credentials", json!({"dns-token": "${env:KOSMOS_DNS_TOKEN}"}));
    if let Some(kubeconfig) = address("kubeconfig") {
        line("kubeconfig", json!(kubeconfig));
    }
    let file = lab.file("laptop/target.yaml", &text)?;
    lab.describe(|description| {
        description.addresses.insert("target".to_owned(), file.display().to_string());
    })
}

/// Where the stores of the plan are.
fn stores(lab: &Lab) -> serde_json::Value {
    let addresses = lab.description().addresses;
    let path = |name: &str| lab.root().join(name).display().to_string();
    let mut stores = json!({"postgres": {"connection": addresses.get("postgres-admin"),
        "data_directory": path("node-1/postgres/data")}});
    if !lab.is_without("etcd") {
        let (etcd, pki) = (addresses.get("etcd").cloned(), format!("laptop/pki/{}", tls::ADMIN));
        let etcd = etcd.unwrap_or_default();
        // What is restored of it is opened on the laptop, and goes to the nodes from there.
        stores["etcd"] = json!({"endpoints": etcd.split(',').collect::<Vec<_>>(),
            "ca_file": path("laptop/pki/ca.crt"), "certificate_file": path(&format!("{pki}.crt")),
            "key_file": path(&format!("{pki}.key")), "data_directory": path("laptop/etcd/data")});
    }
    if let (Some(vault), Some(stores)) = (addresses.get("vault"), stores.as_object_mut()) {
        stores.values_mut().for_each(|store| store["vault"] = json!(vault));
    }
    stores
}
