//! A pod, as far as the small kubelet understands one: its first container.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::{Failure, failed};
use crate::http;
use crate::lab::Lab;
use crate::processes::Spec;

/// How long a pod may take to say that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// A pod as the API server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) namespace: String,
    /// Empty while it has none.
    pub(super) node: String,
    /// It is to end.
    pub(super) ends: bool,
    /// How often its process was started again.
    pub(super) restarts: u64,
    /// The API server has it as ready.
    pub(super) ready: bool,
    container: String,
    image: String,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    /// Port and path that say whether it is ready.
    probe: Option<(u16, String)>,
}

/// How a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) ready: bool,
    pub(super) restarts: u64,
}

impl Pod {
    /// `None` for what has no name or no container.
    pub(super) fn read(object: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let container = &object["spec"]["containers"][0];
        let words = |name: &str| container[name].as_array().into_iter().flatten().filter_map(text);
        let get = &container["readinessProbe"]["httpGet"];
        let port = get["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let variables = container["env"].as_array().into_iter().flatten();
        let conditions = object["status"]["conditions"].as_array();
        let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
        Some(Self {
            name: text(&object["metadata"]["name"])?,
            namespace: text(&object["metadata"]["namespace"])?,
            node: text(&object["spec"]["nodeName"]).unwrap_or_default(),
            ends: object["metadata"]["deletionTimestamp"].is_string(),
            restarts: object["status"]["containerStatuses"][0]["restartCount"]
                .as_u64()
                .unwrap_or_default(),
            ready: conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"),
            container: text(&container["name"])?,
            image: text(&container["image"]).unwrap_or_default(),
            command: words("command").chain(words("args")).collect(),
            environment: variables
                .filter_map(|one| Some((text(&one["name"])?, text(&one["value"])?)))
                .collect(),
            probe: port.map(|port| (port, text(&get["path"]).unwrap_or_else(|| "/".to_owned()))),
        })
    }

    /// Whether it waits for a node.
    pub(super) fn is_homeless(&self) -> bool {
        self.node.is_empty() && !self.ends
    }

    /// Where the API server has it.
    pub(super) fn url(&self, server: &str) -> String {
        format!("{server}/api/v1/namespaces/{}/pods/{}", self.namespace, self.name)
    }

    /// The process it is on a node. `kosmos-lab` is this program, with its directory.
    pub(super) fn process(&self, lab: &Lab, node: &str, name: &str) -> Result<Spec, Failure> {
        let (first, rest) = match self.command.split_first() {
            Some((first, rest)) => (first.as_str(), rest),
            None => ("false", [].as_slice()),
        };
        let home = lab.directory(&format!("{node}/pods/{}", self.name))?;
        let mut spec = if first == "kosmos-lab" {
            let us = std::env::current_exe().map_err(failed("find this program"))?;
            let root = lab.root().display().to_string();
            Spec::new(name, node, &us, home).args(["--directory", &root])
        } else {
            Spec::new(name, node, &PathBuf::from(first), home)
        };
        for (name, value) in &self.environment {
            spec = spec.env(name, value);
        }
        Ok(spec.args(rest))
    }

    /// Whether its probe is answered; one without a probe is ready.
    pub(super) fn is_ready(&self) -> bool {
        self.probe.as_ref().is_none_or(|(port, path)| {
            http::ask(*port, "GET", path, "", READY_TIMEOUT).is_ok_and(|(status, _)| status == 200)
        })
    }

    /// What the API server is told of it.
    pub(super) fn status(&self, state: State, now: &str) -> Value {
        let ready = if state.ready { "True" } else { "False" };
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": now});
        json!({"status": {"phase": "Running", "hostIP": "127.0.0.1", "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}], "startTime": now,
            "conditions": [condition("Initialized", "True"), condition("Ready", ready),
                condition("ContainersReady", ready), condition("PodScheduled", "True")],
            "containerStatuses": [{"name": self.container, "image": self.image,
                "imageID": self.image, "ready": state.ready, "started": true,
                "restartCount": state.restarts, "state": {"running": {"startedAt": now}}}]}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_read_and_one_without_a_container_is_none() {
        let mut object = json!({"metadata": {"name": "a", "namespace": "b"},
            "spec": {"containers": [{"name": "c", "command": ["x", "y"], "args": ["z"],
                "env": [{"name": "N", "value": "V"}, {"name": "SECRET", "valueFrom": {}}],
                "readinessProbe": {"httpGet": {"port": 80, "path": "/health"}}}]}});
        let pod = Pod::read(&object).unwrap();
        assert_eq!(pod.command, ["x", "y", "z"]);
        assert_eq!(pod.environment, [("N".to_owned(), "V".to_owned())]);
        assert_eq!(pod.probe, Some((80, "/health".to_owned())));
        assert!(pod.is_homeless());
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(!Pod::read(&object).unwrap().is_homeless());
        object["spec"]["containers"] = json!([]);
        assert_eq!(Pod::read(&object), None);
    }
}
