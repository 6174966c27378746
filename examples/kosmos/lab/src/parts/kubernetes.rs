//! Kubernetes: a real API server and controller manager on node-1, their state in etcd, and on each
//! node a small kubelet of ours that runs pods as processes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use soter_world::exec::Command;

use super::server_files;
use crate::failure::{Failure, failed};
use crate::lab::Lab;
use crate::place::NODES;
use crate::processes::Spec;
use crate::tls;

/// The node of the control plane.
const NODE: &str = "node-1";

/// The name space of the services, as in the plan of KOSMOS.
pub(super) const NAMESPACE: &str = "kosmos-core";

/// How long pods stay bound to a node that is gone. A real cluster waits five minutes.
const TOLERATION_SECONDS: u32 = 5;

/// The deployments: name, service, replicas.
const DEPLOYMENTS: [(&str, &str, u32); 2] =
    [("zeus-orchestrator", "zeus", 2), ("api-gateway", "gateway", 1)];

/// Starts the control plane and the kubelets, and waits until the nodes are ready.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    let url = format!("https://127.0.0.1:{}", lab.port("kubernetes")?);
    let kubeconfig = lab.file("laptop/kubeconfig", &kubeconfig(lab, &url).to_string())?;
    lab.describe(|description| {
        description.addresses.insert("kubernetes".to_owned(), url.clone());
        let path = kubeconfig.display().to_string();
        description.addresses.insert("kubeconfig".to_owned(), path);
    })?;
    start_control_plane(lab, NODE)?;
    for node in NODES {
        start_kubelet(lab, node)?;
    }
    lab.wait_ready("controllers", || look(lab).map(drop))
}

/// Starts API server and controllers on a node, unless they run on another one.
pub(super) fn start_control_plane(lab: &Lab, node: &str) -> Result<(), Failure> {
    let url = lab.address("kubernetes")?;
    let home = lab.directory(&format!("{node}/kubernetes"))?;
    if lab.table().entry("apiserver")?.is_some_and(|entry| entry.is_alive()) {
        return Ok(());
    }
    tls::issue(lab, &home, "api", "/CN=kube-apiserver")?;
    let (kept, public) = (server_files::directory(lab, node), home.join("accounts.pub"));
    lab.directory(&format!("{node}/files/var/lib/rancher/k3s/server/logs"))?;
    let show_key = Command::new(lab.program("openssl")?).arg("pkey").arg("-in");
    let show_key = show_key.arg(kept.join("tls/service.key")).args(["-pubout", "-out"]);
    lab.run("show the key of service accounts", show_key.arg(&public))?;
    lab.start(&api_server(lab, node)?)?;
    lab.wait_ready("apiserver", || tls::get(lab, &format!("{url}/readyz")).map(drop))?;
    lab.start(&controllers(lab, node)?)
}

/// Starts the kubelet of a node.
pub(super) fn start_kubelet(lab: &Lab, node: &str) -> Result<(), Failure> {
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    let root = lab.root().display().to_string();
    let home = lab.directory(&format!("{node}/kubelet"))?;
    let spec = Spec::new(&format!("kubelet-{node}"), node, &us, home);
    lab.start(&spec.args(["--directory", &root, "kubelet", node]))
}

/// Whether all nodes are ready.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let url = lab.address("kubernetes").map_err(|failure| failure.to_string())?;
    let nodes = list(lab, &format!("{url}/api/v1/nodes"))?;
    let ready = nodes.iter().filter(|node| is_ready(node)).count();
    if ready < NODES.len() {
        return Err(format!("{ready} of {} nodes are ready", NODES.len()));
    }
    let pods = list(lab, &format!("{url}/api/v1/pods"))?;
    let ready_pods = pods.iter().filter(|pod| is_ready(pod)).count();
    Ok(format!("{ready} nodes are ready, {ready_pods} of {} pods", pods.len()))
}

/// Makes the services' objects, unless they are there.
pub(super) fn apply(lab: &Lab) -> Result<(), String> {
    let url = lab.address("kubernetes").map_err(|failure| failure.to_string())?;
    let secret = password(lab).map_err(|failure| failure.to_string())?;
    let objects = objects(lab).map_err(|failure| failure.to_string())?;
    for object in objects.into_iter().chain([secret]) {
        let kind = object["kind"].as_str().unwrap_or_default();
        let place = match kind {
            "Namespace" => "/api/v1/namespaces".to_owned(),
            "Secret" => format!("/api/v1/namespaces/{NAMESPACE}/secrets"),
            _ => format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments"),
        };
        let body = object.to_string();
        let asked = tls::ask(lab, "POST", &(url.clone() + &place), Some((tls::JSON, &body)))?;
        if !matches!(asked.0, 201 | 409) {
            return Err(format!("{kind} is refused: {} {}", asked.0, asked.1.trim()));
        }
    }
    Ok(())
}

/// Whether all replicas of the services are available.
pub(super) fn services_available(lab: &Lab) -> Result<(), String> {
    let url = lab.address("kubernetes").map_err(|failure| failure.to_string())?;
    let deployments = list(lab, &format!("{url}/apis/apps/v1/namespaces/{NAMESPACE}/deployments"))?;
    for deployment in &deployments {
        let (wanted, available) =
            (&deployment["spec"]["replicas"], &deployment["status"]["availableReplicas"]);
        if wanted != available && wanted != &json!(0) {
            let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
            let available = available.as_u64().unwrap_or_default();
            return Err(format!("{available} of {wanted} of {name} are available"));
        }
    }
    Ok(())
}

/// The items of a list.
pub(crate) fn list(lab: &Lab, url: &str) -> Result<Vec<Value>, String> {
    let body = tls::get(lab, url)?;
    let mut value: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
    match value["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Err(format!("{url} is no list")),
    }
}

/// Whether a node or a pod says of itself that it is ready.
pub(crate) fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// What the cluster runs.
pub(super) fn objects(lab: &Lab) -> Result<Vec<Value>, Failure> {
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE}})];
    for (name, service, replicas) in DEPLOYMENTS {
        let labels = json!({"app": name, "app.kubernetes.io/part-of": "kosmos"});
        let container = json!({
            "name": service,
            "image": format!("kosmos.example/{service}:1"),
            "command": ["kosmos-lab", "service", service],
            "readinessProbe": {"httpGet": {"path": "/health", "port": lab.port(service)?}},
        });
        objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": labels},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}}}));
    }
    Ok(objects)
}

/// The database's password as the cluster keeps it: in etcd, sealed. It is not in Git.
fn password(lab: &Lab) -> Result<Value, Failure> {
    let password = STANDARD.encode(lab.secret("postgres-kosmos")?);
    Ok(json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "database", "namespace": NAMESPACE}, "data": {"password": password}}))
}

fn api_server(lab: &Lab, node: &str) -> Result<Spec, Failure> {
    let home = lab.root().join(node).join("kubernetes");
    let path = |name: &str| home.join(name).display().to_string();
    let kept = server_files::directory(lab, node);
    let kept = |name: &str| kept.join(name).display().to_string();
    let etcd = lab.root().join(node).join("etcd");
    let of_etcd = |name: &str| etcd.join(name).display().to_string();
    Ok(Spec::new("apiserver", node, &lab.program("kube-apiserver")?, home.clone()).args([
        format!("--etcd-servers={}", lab.address("etcd")?),
        format!("--etcd-cafile={}", of_etcd("ca.crt")),
        format!("--etcd-certfile={}", of_etcd("member.crt")),
        format!("--etcd-keyfile={}", of_etcd("member.key")),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", lab.port("kubernetes")?),
        format!("--tls-cert-file={}", path("api.crt")),
        format!("--tls-private-key-file={}", path("api.key")),
        format!("--client-ca-file={}", path("ca.crt")),
        format!("--service-account-key-file={}", path("accounts.pub")),
        format!("--service-account-signing-key-file={}", kept("tls/service.key")),
        // What is in etcd of secrets opens with this file alone.
        format!("--encryption-provider-config={}", kept("cred/encryption-config.json")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        // Pods here use no account, and need not wait for one.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        format!("--default-not-ready-toleration-seconds={TOLERATION_SECONDS}"),
        format!("--default-unreachable-toleration-seconds={TOLERATION_SECONDS}"),
        format!("--audit-log-path={}", kept("logs/audit.log")),
        format!(
            "--audit-policy-file={}",
            lab.file(&format!("{node}/kubernetes/audit.yaml"), AUDIT)?.display()
        ),
        format!("--cert-dir={}", path("certs")),
    ]))
}

/// Everything that changes something is written down, with who asked for it.
const AUDIT: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [
  {"level": "None", "verbs": ["get", "list", "watch"]},
  {"level": "None", "userGroups": ["system:masters"], "resources": [{"group": "",
    "resources": ["nodes/status", "pods/status", "events"]}]},
  {"level": "Metadata"}]}
"#;

fn controllers(lab: &Lab, node: &str) -> Result<Spec, Failure> {
    let home = lab.root().join(node).join("kubernetes");
    let path = |name: &str| home.join(name).display().to_string();
    let program = lab.program("kube-controller-manager")?;
    let key = server_files::directory(lab, node).join("tls/service.key");
    Ok(Spec::new("controllers", node, &program, home.clone()).args([
        format!("--kubeconfig={}", lab.address("kubeconfig")?),
        format!("--service-account-private-key-file={}", key.display()),
        format!("--root-ca-file={}", path("ca.crt")),
        "--use-service-account-credentials=false".to_owned(),
        "--leader-elect=false".to_owned(),
        "--port=0".to_owned(),
        format!("--secure-port={}", lab.port("controllers")?),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--cert-dir={}", path("controllers-certs")),
        // A drill does not wait for minutes to see that a node is gone.
        "--node-monitor-period=1s".to_owned(),
        "--node-monitor-grace-period=8s".to_owned(),
        "--node-startup-grace-period=15s".to_owned(),
    ]))
}

/// JSON is YAML.
fn kubeconfig(lab: &Lab, url: &str) -> Value {
    let pki = lab.root().join(tls::AUTHORITY);
    json!({"apiVersion": "v1", "kind": "Config", "current-context": "kosmos-lab",
        "clusters": [{"name": "kosmos-lab", "cluster": {"server": url,
            "certificate-authority": pki.join("ca.crt")}}],
        "users": [{"name": tls::ADMIN, "user": {"client-certificate": pki.join("admin.crt"),
            "client-key": pki.join("admin.key")}}],
        "contexts": [{"name": "kosmos-lab",
            "context": {"cluster": "kosmos-lab", "user": tls::ADMIN}}]})
}
