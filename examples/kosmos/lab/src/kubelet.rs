//! A small kubelet: keeps its node ready, takes pods that have no node yet, and runs the first
//! container of each as a process of the laboratory's table.
//!
//! It looks at what is wanted and at what is, again and again, and remembers nothing that matters:
//! killed and started again it finds its pods' processes by their names. While the API server is away
//! everything stays as it is.

mod pod;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use soter_world::{Clock, SystemClock};

use self::pod::Pod;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::parts::{is_ready, list};
use crate::tls;

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(600);

/// How often the node says that it is there; less than a third of the controllers' patience.
const HEARTBEAT_ROUNDS: u64 = 4;

/// What its pods' processes are called.
pub(crate) const PREFIX: &str = "pod-";

/// The kubelet of one node.
struct Kubelet<'a> {
    lab: &'a Lab,
    node: &'static str,
    url: String,
    /// What was last said of each pod.
    said: BTreeMap<String, pod::State>,
}

/// Runs for ever.
pub(crate) fn run(lab: &Lab, node: &'static str) -> Result<(), Failure> {
    let url = lab.address("kubernetes")?;
    let mut kubelet = Kubelet { lab, node, url, said: BTreeMap::new() };
    let mut round = 0;
    let mut silent = false;
    loop {
        match kubelet.round(round) {
            Ok(()) => silent = false,
            // Once: its log is read by people.
            Err(why) if !silent => {
                lab.say(format_args!("{why}"));
                silent = true;
            }
            Err(_) => {}
        }
        round += 1;
        SystemClock.sleep(PAUSE);
    }
}

impl Kubelet<'_> {
    fn round(&mut self, round: u64) -> Result<(), String> {
        if round.is_multiple_of(HEARTBEAT_ROUNDS) {
            self.heartbeat()?;
        }
        let listed = list(self.lab, &format!("{}/api/v1/pods", self.url))?;
        let pods: Vec<Pod> = listed.iter().filter_map(Pod::read).collect();
        if pods.iter().any(Pod::is_homeless) {
            self.take_pods(&pods)?;
        }
        let node = self.node;
        for pod in pods.iter().filter(|pod| pod.node == node) {
            self.keep(pod)?;
        }
        self.end_the_rest(&pods)
    }

    /// Says that the node is ready; makes it known if it is not.
    fn heartbeat(&self) -> Result<(), String> {
        let now = SystemClock.now().to_string();
        let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "pods run as processes", "lastHeartbeatTime": now});
        let status = json!({"status": {"conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": self.node}],
            "allocatable": {"cpu": "2", "memory": "2Gi", "pods": "20"},
            "capacity": {"cpu": "2", "memory": "2Gi", "pods": "20"}}});
        let place = format!("{}/api/v1/nodes/{}/status", self.url, self.node);
        if self.patch(&place, &status)? == 404 {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node,
                "labels": {"kubernetes.io/hostname": self.node}}});
            self.post(&format!("{}/api/v1/nodes", self.url), &node)?;
            self.patch(&place, &status)?;
        }
        Ok(())
    }

    /// Takes the pods that are this node's to take. All kubelets come to the same answer from the
    /// same lists; when these differ, the API server lets only one of them have a pod.
    fn take_pods(&self, pods: &[Pod]) -> Result<(), String> {
        let nodes = list(self.lab, &format!("{}/api/v1/nodes", self.url))?;
        let ready = nodes.iter().filter(|node| is_ready(node));
        let names = ready.filter_map(|node| node["metadata"]["name"].as_str());
        for (pod, node) in assign(pods, &names.collect::<Vec<_>>()) {
            if node == self.node {
                let binding = json!({"apiVersion": "v1", "kind": "Binding",
                    "metadata": {"name": pod.name, "namespace": pod.namespace},
                    "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
                self.post(&format!("{}/binding", pod.url(&self.url)), &binding)?;
            }
        }
        Ok(())
    }

    /// Brings a pod's process to what is wanted of it, and says how it is.
    fn keep(&mut self, pod: &Pod) -> Result<(), String> {
        let words = |failure: Failure| failure.to_string();
        let (table, name) = (self.lab.table(), format!("{PREFIX}{}", pod.name));
        if pod.ends {
            table.end(&name).map_err(words)?;
            let gone = json!({"gracePeriodSeconds": 0}).to_string();
            self.said.remove(&pod.name);
            let body = Some((tls::JSON, gone.as_str()));
            return tls::ask(self.lab, "DELETE", &pod.url(&self.url), body).map(drop);
        }
        let known = self.said.get(&pod.name).copied();
        let runs = table.entry(&name).map_err(words)?.is_some_and(|entry| entry.is_alive());
        let mut restarts = known.map_or(pod.restarts, |known| known.restarts);
        if !runs {
            if known.is_some() {
                restarts += 1;
            }
            table.start(&pod.process(self.lab, self.node, &name).map_err(words)?).map_err(words)?;
        }
        let state = pod::State { ready: runs && pod.is_ready(), restarts };
        // The controllers say that it is not ready while its node is not heard of, and leave it to the
        // kubelet to say otherwise.
        if known != Some(state) || pod.ready != state.ready {
            let body = pod.status(state, &SystemClock.now().to_string());
            self.patch(&format!("{}/status", pod.url(&self.url)), &body)?;
            self.said.insert(pod.name.clone(), state);
        }
        Ok(())
    }

    /// Ends processes of pods that are no longer there.
    fn end_the_rest(&mut self, pods: &[Pod]) -> Result<(), String> {
        let words = |failure: Failure| failure.to_string();
        let table = self.lab.table();
        for entry in table.entries().map_err(words)? {
            let Some(name) = entry.spec.name.strip_prefix(PREFIX) else { continue };
            let wanted = pods.iter().any(|pod| pod.name == name && pod.node == self.node);
            if entry.spec.node == self.node && !wanted {
                table.end(&entry.spec.name).map_err(words)?;
                self.said.remove(name);
            }
        }
        Ok(())
    }

    fn post(&self, url: &str, body: &Value) -> Result<u16, String> {
        let asked = tls::ask(self.lab, "POST", url, Some((tls::JSON, &body.to_string())));
        asked.map(|(status, _)| status)
    }

    fn patch(&self, url: &str, body: &Value) -> Result<u16, String> {
        let kind = "application/strategic-merge-patch+json";
        let asked = tls::ask(self.lab, "PATCH", url, Some((kind, &body.to_string())));
        asked.map(|(status, _)| status)
    }
}

/// Which node each pod goes to that has none: always the one with the fewest.
fn assign<'p, 'n>(pods: &'p [Pod], nodes: &[&'n str]) -> Vec<(&'p Pod, &'n str)> {
    let count = |node: &str| pods.iter().filter(|pod| pod.node == node && !pod.ends).count();
    let mut loads: Vec<(usize, &str)> = nodes.iter().map(|&node| (count(node), node)).collect();
    let mut homeless: Vec<&Pod> = pods.iter().filter(|pod| pod.is_homeless()).collect();
    homeless.sort_by_key(|pod| &pod.name);
    let mut assigned = Vec::new();
    for pod in homeless {
        let Some(least) = loads.iter_mut().min() else { break };
        least.0 += 1;
        assigned.push((pod, least.1));
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_go_where_the_fewest_are() {
        let pod = |name: &str, node: Option<&str>| {
            let object = json!({"metadata": {"name": name, "namespace": "n"},
                "spec": {"nodeName": node, "containers": [{"name": "c"}]}});
            Pod::read(&object).unwrap()
        };
        let pods = [pod("d", None), pod("b", None), pod("a", Some("node-1")), pod("c", None)];
        let assigned = assign(&pods, &["node-1", "node-2", "node-3"]);
        let named: Vec<(&str, &str)> =
            assigned.iter().map(|(pod, node)| (pod.name.as_str(), *node)).collect();
        assert_eq!(named, [("b", "node-2"), ("c", "node-3"), ("d", "node-1")]);
        assert_eq!(assign(&pods, &[]), []);
    }
}
