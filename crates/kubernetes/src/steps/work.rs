//! Doing what a step says, and waiting until it is so.
//!
//! The rule it keeps: a wait outlives an API server that is away for a while, and what it waits for stands
//! in the output of the attempt, each time it changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use soter_runbook::child::Children;
use soter_world::{Clock, Stop, durable};

use super::Deed;
use crate::cluster::Cluster;
use crate::error::{ErrorKind, KubernetesError};
use crate::kinds::{Kind, read_kinds};
use crate::objects::{Found, Object};
use crate::standing::pods;

/// How often it is looked whether what is waited for is so.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long is waited where the step has no `timeout`: longer than a node takes to be given up.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How long a kind of objects may take to be known after it was defined.
const KIND_WITHIN: Duration = Duration::from_secs(30);

/// How many lines of each container are kept.
const LOG_LINES: u32 = 1_000;

/// What an attempt leaves there, in its directory, is kept as evidence.
const EVIDENCE: &str = "evidence";

/// How many pods are looked into; an object with more has them all alike.
const LOG_PODS_MAX: usize = 20;

/// One attempt.
pub(super) struct Worker {
    pub(super) children: Children,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) directory: PathBuf,
    /// The engine ends the attempt when its time is up.
    pub(super) has_timeout: bool,
    pub(super) said: String,
}

impl Worker {
    pub(super) fn carry_out(
        &mut self,
        cluster: &Cluster,
        deed: &Deed,
        stop: &Stop,
    ) -> Result<(), KubernetesError> {
        match deed {
            Deed::Get(object) => {
                let found = cluster.require(object, stop)?;
                self.say(&shown(found));
                Ok(())
            }
            Deed::Wait(object, condition) => {
                self.wait(&format!("wait for {object}"), WAIT_MAX, stop, |stop| {
                    let found = cluster.get(object, stop)?;
                    Ok(condition.check(found.as_ref()).err().map(|why| format!("{object}: {why}")))
                })
            }
            Deed::Scale(object, replicas) => self.scale(cluster, object, *replicas, stop),
            Deed::Apply(objects, namespace) => {
                self.apply(cluster, objects, namespace.as_deref(), stop)
            }
            Deed::Delete(object) => self.delete(cluster, object, stop),
            Deed::Logs(object) => self.logs(cluster, object, stop),
        }
    }

    /// Sets the number. To 0 is done when nothing is left; to more, when the controller has made them:
    /// whether they work is what `verify` asks.
    fn scale(
        &mut self,
        cluster: &Cluster,
        object: &Object,
        replicas: u32,
        stop: &Stop,
    ) -> Result<(), KubernetesError> {
        let before = cluster.standing(object, stop)?.wanted;
        self.say(&format!("{object}: {before} replicas, now {replicas}"));
        cluster.scale(object, replicas, None, stop)?;
        self.wait(&format!("scale {object}"), WAIT_MAX, stop, |stop| {
            let standing = cluster.standing(object, stop)?;
            Ok(if standing.wanted != replicas {
                Some(format!("{object}: somebody else set {}", standing.wanted))
            } else if replicas == 0 {
                standing.left().map(|left| format!("{object}: {left}"))
            } else {
                let is_there = standing.followed && standing.counted == replicas;
                let counted = standing.counted;
                (!is_there).then(|| format!("{object}: {counted} of {replicas} are there"))
            })
        })
    }

    fn apply(
        &mut self,
        cluster: &Cluster,
        objects: &[Value],
        namespace: Option<&str>,
        stop: &Stop,
    ) -> Result<(), KubernetesError> {
        for object in objects {
            let found = self.place(cluster, object, namespace, stop)?;
            cluster.apply(&found, object.clone(), stop)?;
            let place = found.namespace.map_or_else(String::new, |name| format!("{name}/"));
            self.say(&format!("{place}{}/{} is applied", found.kind.plural, found.name));
        }
        Ok(())
    }

    /// Where an object of a manifest belongs. A kind that the manifest has just defined is waited for.
    fn place(
        &mut self,
        cluster: &Cluster,
        object: &Value,
        namespace: Option<&str>,
        stop: &Stop,
    ) -> Result<Found, KubernetesError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let mut found = None;
        self.wait(&format!("find {kind} of {version}"), KIND_WITHIN, stop, |stop| {
            found = kind_of(cluster, &version, &kind, stop)?;
            Ok(found.is_none().then(|| format!("the cluster knows no {kind} of {version} yet")))
        })
        .map_err(|error| match error {
            KubernetesError::Stopped(_) if !stop.is_stopped() => KubernetesError::NotFound {
                what: format!("the cluster has no kind of objects `{kind}` of `{version}`"),
                near: None,
            },
            error => error,
        })?;
        let kind = found.expect("the wait has ended well, so it was found");
        let own = object["metadata"]["namespace"].as_str();
        if let (Some(own), Some(of_step)) = (own, namespace)
            && kind.is_namespaced
            && own != of_step
        {
            let name = text(&object["metadata"]["name"]);
            return Err(KubernetesError::Input(format!(
                "`{}/{name}` of the manifest is in the namespace `{own}`, and the step says `{of_step}`",
                kind.plural
            )));
        }
        let namespace = own.or(namespace).unwrap_or(cluster.namespace()).to_owned();
        let namespace = kind.is_namespaced.then_some(namespace);
        let name = text(&object["metadata"]["name"]);
        // The same rules as for an object that a step names: it becomes part of a path.
        Object::parse(&format!("{}/{name}", kind.plural), namespace.as_deref())?;
        Ok(Found { kind, name, namespace })
    }

    fn delete(
        &mut self,
        cluster: &Cluster,
        object: &Object,
        stop: &Stop,
    ) -> Result<(), KubernetesError> {
        let found = cluster.find(object, stop)?;
        let Some(uid) = cluster.delete(&found, stop)? else {
            self.say(&format!("{object} is not there"));
            return Ok(());
        };
        self.wait(&format!("delete {object}"), WAIT_MAX, stop, |stop| {
            let left = cluster.get_found(&found, stop)?;
            // A new one of that name is another.
            let left = left.filter(|left| left["metadata"]["uid"].as_str() == Some(&uid));
            let why = crate::Condition::Gone.check(left.as_ref()).err();
            Ok(why.map(|why| format!("{object}: {why}")))
        })?;
        self.say(&format!("{object} is gone"));
        Ok(())
    }

    fn logs(
        &mut self,
        cluster: &Cluster,
        object: &Object,
        stop: &Stop,
    ) -> Result<(), KubernetesError> {
        let found = cluster.pods_of(object, stop)?;
        if found.is_empty() {
            let what = format!("`{object}` has no pods, so nothing is written by them");
            return Err(KubernetesError::NotFound { what, near: None });
        }
        for pod in found.iter().take(LOG_PODS_MAX) {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let Some(name) = text(&pod["metadata"]["name"]) else { continue };
            let namespace = text(&pod["metadata"]["namespace"]);
            let place = Found { kind: pods(), name, namespace };
            let containers = ["initContainers", "containers"].into_iter();
            let all =
                containers.flat_map(|name| pod["spec"][name].as_array().into_iter().flatten());
            for container in all.filter_map(|one| one["name"].as_str()) {
                self.say(&format!("== {} {container}", place.name));
                let log = cluster.logs(&place, container, LOG_LINES, stop);
                match log {
                    Ok(log) => {
                        self.say(log.trim_end());
                        self.keep(&format!("{}.{container}.log", place.name), &log)?;
                    }
                    // One that has not begun yet has written nothing.
                    Err(error @ KubernetesError::Refused { .. }) => self.say(&error.to_string()),
                    Err(error) => return Err(error),
                }
            }
        }
        let more = found.len().saturating_sub(LOG_PODS_MAX);
        if more > 0 {
            self.say(&format!("{more} more pods of `{object}` were not asked"));
        }
        Ok(())
    }

    /// Keeps a text as evidence of the attempt: what lies there is hashed and recorded when it is done.
    fn keep(&self, name: &str, text: &str) -> Result<(), KubernetesError> {
        let (disk, directory) = (self.children.disk(), self.directory.join(EVIDENCE));
        let path = directory.join(name.replace('/', "_"));
        durable::create_dir_all_durable(disk, &directory)
            .and_then(|()| durable::write_durable(disk, &path, text.as_bytes()))
            .map_err(|source| KubernetesError::Evidence {
                path: path.display().to_string(),
                why: source.to_string(),
            })
    }

    /// Asks again and again until nothing is left to wait for.
    fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        stop: &Stop,
        mut left: impl FnMut(&Stop) -> Result<Option<String>, KubernetesError>,
    ) -> Result<(), KubernetesError> {
        let until = self.clock.monotonic() + limit;
        let is_endless = self.has_timeout && limit == WAIT_MAX;
        loop {
            let waits_for = match left(stop) {
                Ok(None) => return Ok(()),
                Ok(Some(why)) => why,
                Err(error) if error.kind() == ErrorKind::Retry => error.to_string(),
                Err(error) => return Err(error),
            };
            if self.said != waits_for {
                self.say(&waits_for);
                self.said.clone_from(&waits_for);
            }
            if stop.wait(LOOK_EVERY) || (!is_endless && self.clock.monotonic() > until) {
                return Err(KubernetesError::Stopped(format!("{what}: {waits_for}")));
            }
        }
    }

    /// What is shown of the attempt is worth no failure.
    fn say(&self, line: &str) {
        self.children.say(&self.directory, line).ok();
    }
}

/// A kind by the version and the name that a manifest gives.
fn kind_of(
    cluster: &Cluster,
    version: &str,
    kind: &str,
    stop: &Stop,
) -> Result<Option<Kind>, KubernetesError> {
    let (group, short) = version.rsplit_once('/').unwrap_or(("", version));
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if !group.chars().chain(short.chars()).all(is_path) {
        return Err(KubernetesError::Input(format!("`{version}` is no `apiVersion`")));
    }
    let root = if group.is_empty() { "api" } else { "apis" };
    let path = format!("/{root}/{version}");
    let list = match cluster.read(&path, "the kinds of objects", stop) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        list => list?,
    };
    Ok(read_kinds(group, short, &list).into_iter().find(|one| one.kind == kind))
}

/// An object for people: without what tools remember about its fields, and a secret without its data.
fn shown(mut object: Value) -> String {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    if object["kind"] == "Secret" {
        for field in ["data", "stringData"] {
            if let Some(entries) = object[field].as_object_mut() {
                entries.values_mut().for_each(|value| *value = json!("****"));
            }
        }
        if let Some(notes) = object["metadata"]["annotations"].as_object_mut() {
            // kubectl keeps a copy of the whole object here.
            notes.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    serde_json::to_string_pretty(&object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_without_its_data() {
        let text =
            shown(json!({"kind": "Secret", "metadata": {"name": "key", "managedFields": [1],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}},
            "data": {"token": "aHVudGVyMg=="}}));
        assert!(text.contains("\"token\": \"****\"") && text.contains("key"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("aHVud") && !text.contains("managed"));
        let text = shown(json!({"kind": "ConfigMap", "data": {"a": "b"}}));
        assert!(text.contains("\"a\": \"b\""), "{text}");
    }
}
