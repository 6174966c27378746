//! A control plane for tests: one etcd, a real API server and controller manager on loopback, and a
//! kubelet that only says what it is told to.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use soter_plan::check::{Input, load};
use soter_plan::target::Target;
use soter_runbook::RunId;
use soter_runbook::child::{Children, Launcher};
use soter_runbook::driver::{Attempt, Kind, Outcome};
use soter_runbook::preflight::Objection;
use soter_runbook::procedure::{Parameters, Procedure, compile};
use soter_runbook::steps::{Action, Place, Work};
use soter_runbook::target::Bindings;
use soter_world::exec::{Child, Command, Output};
use soter_world::{Clock, OsDisk, Stop, SystemClock};

use crate::cluster::Ask;
use crate::error::Deed;
use crate::*;

/// A test waits that long only when it fails.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// The variable that says that there is Kubernetes; its programs are unpacked beside other tools.
const VARIABLE: &str = "SOTER_KUBE_DIR";

const CERTIFICATES: &str = r#"
set -eu
cd "$1"
new() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
new ca
openssl req -x509 -new -key ca.key -subj /CN=test -days 2 -out ca.crt
issue() {
    new "$1"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' > ext
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out "$1.crt" -extfile ext
}
issue api /CN=kube-apiserver
issue admin /O=system:masters/CN=admin
issue viewer /CN=viewer
openssl genrsa -out accounts.key 2048
openssl rsa -in accounts.key -pubout -out accounts.pub
"#;

/// The control plane. Its servers end with it.
pub(super) struct Control {
    pub(super) directory: tempfile::TempDir,
    port: u16,
    etcd: String,
    servers: Vec<(&'static str, Child)>,
}

/// Where the programs are; none: there is no Kubernetes here, which is said.
fn tools() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if variable(VARIABLE).is_none() {
        eprintln!("{VARIABLE} is not set: not tried on a real API server");
        return None;
    }
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
    let named = variable("SOTER_LAB_TOOLS").map(PathBuf::from);
    Some(named.or_else(|| Some(cache?.join("soter/lab-tools"))).unwrap().join("bin"))
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

impl Control {
    /// Starts it; none where there is no Kubernetes.
    pub(super) fn start() -> Option<Self> {
        let tools = tools()?;
        let directory = tempfile::tempdir().unwrap();
        let [client, peer, port, controllers] = free_ports();
        let script = Command::new("bash").args(["-c", CERTIFICATES, "bash"]);
        script.arg(directory.path()).run(LONG).unwrap().checked().unwrap();
        let etcd = format!("http://127.0.0.1:{client}");
        let mut control = Self { directory, port, etcd: etcd.clone(), servers: Vec::new() };
        for user in ["admin", "viewer"] {
            control.write(user, &control.kubeconfig(user, port).to_string());
        }
        let peers = format!("http://127.0.0.1:{peer}");
        control.run(
            "etcd",
            &tools,
            &[
                ("name", "n".to_owned()),
                ("data-dir", control.path("etcd-data")),
                ("listen-client-urls", etcd.clone()),
                ("advertise-client-urls", etcd),
                ("listen-peer-urls", peers.clone()),
                ("initial-advertise-peer-urls", peers.clone()),
                ("initial-cluster", format!("n={peers}")),
                ("unsafe-no-fsync", "true".to_owned()),
            ],
        );
        control.start_api();
        control.run(
            "kube-controller-manager",
            &tools,
            &[
                ("kubeconfig", control.path("admin")),
                ("service-account-private-key-file", control.path("accounts.key")),
                ("root-ca-file", control.path("ca.crt")),
                ("use-service-account-credentials", "false".to_owned()),
                ("leader-elect", "false".to_owned()),
                ("port", "0".to_owned()),
                ("secure-port", controllers.to_string()),
                ("bind-address", "127.0.0.1".to_owned()),
                ("cert-dir", control.path("certificates-2")),
            ],
        );
        control.wait_ready();
        Some(control)
    }

    pub(super) fn start_api(&mut self) {
        let path = |name: &str| self.path(name);
        let options = [
            ("etcd-servers", self.etcd.clone()),
            ("bind-address", "127.0.0.1".to_owned()),
            ("secure-port", self.port.to_string()),
            ("tls-cert-file", path("api.crt")),
            ("tls-private-key-file", path("api.key")),
            ("client-ca-file", path("ca.crt")),
            ("service-account-key-file", path("accounts.pub")),
            ("service-account-signing-key-file", path("accounts.key")),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("authorization-mode", "RBAC".to_owned()),
            ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
            ("disable-admission-plugins", "ServiceAccount".to_owned()),
            ("advertise-address", "127.0.0.1".to_owned()),
            ("endpoint-reconciler-type", "none".to_owned()),
            ("cert-dir", path("certificates")),
        ];
        self.run("kube-apiserver", &tools().unwrap(), &options);
    }

    /// Kills it as a crash would.
    pub(super) fn kill_api(&mut self) {
        self.servers.retain(|(name, _)| *name != "kube-apiserver");
    }

    pub(super) fn wait_ready(&self) {
        let cluster = self.cluster("admin");
        wait_for("the API server", || {
            cluster.greet(&Stop::new()).map_err(|error| error.to_string())
        });
    }

    fn run(&mut self, name: &'static str, tools: &Path, options: &[(&str, String)]) {
        let log = self.directory.path().join(format!("{name}.log"));
        let arguments = options.iter().map(|(name, value)| format!("--{name}={value}"));
        let output = || Output::append_to(&log).unwrap();
        let command = Command::new(tools.join(name)).args(arguments);
        let command = command.stdout(output()).stderr(output()).current_dir(&self.directory);
        self.servers.push((name, command.spawn().unwrap()));
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::File::create(self.directory.path().join(name))
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
    }

    /// JSON is YAML.
    fn kubeconfig(&self, user: &str, port: u16) -> Value {
        let path = |name: String| self.path(&name);
        json!({"apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority": path("ca.crt".to_owned())}}],
            "users": [{"name": user, "user": {"client-certificate": path(format!("{user}.crt")),
                "client-key": path(format!("{user}.key"))}}],
            "contexts": [{"name": "test",
                "context": {"cluster": "test", "user": user, "namespace": "shop"}}]})
    }

    pub(super) fn cluster(&self, user: &str) -> Cluster {
        Cluster::connect(&access(&self.path(user))).unwrap()
    }

    /// A run at this cluster as a user.
    pub(super) fn desk(&self, user: &str) -> Desk {
        Desk::new(&format!("kubeconfig: {}\n", self.path(user)))
    }

    /// What a kubelet or a scheduler would send.
    pub(super) fn send(
        &self,
        method: http::Method,
        path: &str,
        body: (&'static str, Value),
    ) -> Value {
        let deed = Deed {
            verb: "play",
            what: path.to_owned(),
            name: None,
            namespace: None,
            changes: true,
        };
        let ask = Ask { method, path: path.to_owned(), body: Some(body), deed };
        self.cluster("admin").ask(ask, &Stop::new()).unwrap()
    }
}

pub(super) fn access(kubeconfig: &str) -> Access {
    Access { kubeconfigs: vec![kubeconfig.into()], context: None }
}

/// Looks until it is so.
pub(super) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let never = Stop::new();
    for _ in 0..LONG.as_secs() * 10 {
        if let Ok(found) = look() {
            return found;
        }
        assert!(!never.wait(Duration::from_millis(100)));
    }
    panic!("{what}: {}", look().err().unwrap())
}

/// A run with steps of a plan.
pub(super) struct Desk {
    directory: tempfile::TempDir,
    target: String,
}

impl Desk {
    pub(super) fn new(target: &str) -> Self {
        let target = format!("name: test\nkind: drill\n{target}");
        Self { directory: tempfile::tempdir().unwrap(), target }
    }

    pub(super) fn place(&self) -> Place {
        let target = Target::read("test.yaml", self.target.as_bytes()).unwrap();
        let bindings =
            Bindings::of(&target, self.directory.path(), |_| Err(String::new())).unwrap();
        Place::new(self.directory.path().to_owned(), bindings, [])
    }

    /// Carries out what a plan would say.
    pub(super) fn run(&self, step: &str, parameters: &Parameters, stop: &Stop) -> Outcome {
        let procedure = procedure(&format!("{{ kubernetes: {step} }}"));
        let directory = Arc::new(procedure.steps[0].clone());
        let (step, place) = (directory, self.place());
        let number = (1..).find(|number| !place.attempt(&step.id, *number).exists()).unwrap();
        let attempt = Attempt {
            run: RunId::parse("test").unwrap(),
            kind: Kind::Drill,
            step,
            number,
            parameters: Arc::new(parameters.clone()),
        };
        let (steps, children) = steps();
        match steps.work(&attempt, &place).unwrap() {
            Err(why) => Outcome::Failed(why),
            Ok(Work::Command { .. } | Work::Led(_)) => panic!("it is done here"),
            Ok(Work::Here(work)) => {
                children.begin_here(&place.attempt(&attempt.step.id, number)).unwrap();
                work(stop)
            }
        }
    }

    /// What is in the way of a run here.
    pub(super) fn objections(&self, procedure: &Procedure) -> Vec<Objection> {
        let (steps, _) = steps();
        assert!(procedure.steps.iter().all(|step| steps.carries_out(step)));
        steps.objections(procedure, &self.place())
    }

    /// What was written by the newest attempt.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.newest().join("output")).unwrap_or_default()
    }

    /// Where everything about the newest attempt is.
    pub(super) fn newest(&self) -> PathBuf {
        let place = self.directory.path().join("children");
        let newest = (1..).map(|number| place.join(format!("p1s1.{number}")));
        newest.take_while(|path| path.exists()).last().unwrap()
    }

    /// It must have been done.
    pub(super) fn done(&self, step: &str) {
        let outcome = self.run(step, &Parameters::default(), &Stop::new());
        assert!(matches!(outcome, Outcome::Done { .. }), "{step}: {outcome:?}");
    }

    /// It must not have been done: why.
    pub(super) fn failed(&self, step: &str) -> String {
        failed(self.run(step, &Parameters::default(), &Stop::new()))
    }
}

fn steps() -> (KubernetesSteps, Children) {
    let launcher = Launcher { program: "/bin/false".into(), arguments: Vec::new() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let children = Children::new(Arc::new(OsDisk), Arc::clone(&clock), launcher, "boot".to_owned());
    (KubernetesSteps::new(children.clone(), clock), children)
}

pub(super) fn failed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

/// The procedure of one step.
pub(super) fn procedure(step: &str) -> Procedure {
    let text = format!(
        "scenarios: {{ lost: {{ parameters: {{ x: {{ from: ask }} }}, phases: [ {{ steps: [ {step} ] }} ] }} }}\n"
    );
    let loaded = load(&[Input { name: "plan.yaml".to_owned(), bytes: text.into_bytes() }]);
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    compile(&loaded.plan, "lost").unwrap()
}
