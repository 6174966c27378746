//! Whether something with replicas stands still, and making it do so: how many are wanted, how many there
//! are, which pods are left. A CronJob counts as one replica, and as none while it is suspended; a
//! DaemonSet as one, and as none while [no node fits it](crate::daemons).
//!
//! The rule it keeps: a number that is taken away is written down at the object first, so that whoever
//! comes later, from another machine too, can bring it back.

use serde_json::{Value, json};
use soter_world::Stop;

use crate::cluster::{Ask, Cluster};
use crate::daemons::{self, is_daemon};
use crate::error::KubernetesError;
use crate::kinds::Kind;
use crate::objects::{Found, Object};

/// Where an object remembers how many replicas it had.
pub(crate) const NOTE: &str = "soter/replicas-before";

/// How something with replicas stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How many it is to have.
    pub wanted: u32,
    /// How many there are by its controller's word.
    pub counted: u32,
    /// How many of them are ready.
    pub ready: u32,
    /// How many it had before it was made to stand still, if that was written down at it.
    pub noted: Option<u32>,
    /// Its controller has seen what is wanted now.
    pub followed: bool,
    /// Its pods that are not over, each in words.
    pub pods: Vec<String>,
    /// What one of them waits for, such as an image, in words.
    pub ails: Option<String>,
}

impl Standing {
    /// By what an object, its number of replicas and its pods say.
    fn of(whole: &Value, scale: &Value, pods: &[Value]) -> Self {
        let followed = followed(whole);
        // What was counted of an earlier form, as in an etcd that was brought back, works no more.
        let ready = if followed { number(&whole["status"]["readyReplicas"]) } else { 0 };
        Self {
            wanted: number(&scale["spec"]["replicas"]),
            counted: number(&scale["status"]["replicas"]),
            ready,
            noted: noted(whole),
            followed,
            ails: pods.iter().find_map(ails),
            pods: pods_left(pods),
        }
    }

    /// What of it still runs, in words; none: it stands still.
    #[must_use]
    pub fn left(&self) -> Option<String> {
        if let Some((first, rest)) = self.pods.split_first() {
            let others =
                if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            return Some(format!("{first}{others}"));
        }
        let is_late = !self.followed || self.counted > 0;
        is_late.then(|| "its controller has not followed yet".to_owned())
    }
}

impl Cluster {
    /// How something with replicas stands.
    ///
    /// # Errors
    /// Also when it is not there, or has no replicas.
    pub fn standing(&self, object: &Object, stop: &Stop) -> Result<Standing, KubernetesError> {
        let found = self.scalable(object, stop)?;
        let Some(whole) = self.get_found(&found, stop)? else {
            return Err(self.not_there(&found, stop));
        };
        if is_scheduled(&found.kind) {
            return self.standing_of_schedule(&found, &whole, stop);
        }
        if is_daemon(&found.kind) {
            let selector = selector_of(&whole["spec"]["selector"]).unwrap_or_default();
            let pods = self.list(&pods(), found.namespace.as_deref(), &selector, stop)?;
            return Ok(daemons::standing(&whole, &pods));
        }
        let (path, deed) = (format!("{}/scale", found.path()), found.deed("read", "/scale"));
        let scale = self.ask(Ask { method: http::Method::GET, path, body: None, deed }, stop)?;
        let selector = scale["status"]["selector"].as_str().unwrap_or_default();
        let pods = match (selector, found.namespace.as_deref()) {
            ("", _) | (_, None) => Vec::new(),
            (selector, namespace) => self.list(&pods(), namespace, selector, stop)?,
        };
        Ok(Standing::of(&whole, &scale, &pods))
    }

    /// Makes something have so many replicas. With `before` that number is written down at the object
    /// first; without, what was written down there is removed afterwards.
    ///
    /// # Errors
    /// When it cannot be changed; what was asked for may then be half done, and is done by asking again.
    pub fn scale(
        &self,
        object: &Object,
        replicas: u32,
        before: Option<u32>,
        stop: &Stop,
    ) -> Result<(), KubernetesError> {
        let found = self.scalable(object, stop)?;
        let note = |value: Value| json!({"metadata": {"annotations": {NOTE: value}}});
        if is_scheduled(&found.kind) {
            // Both are fields of the one object, so one change does both.
            let mut change = note(before.map_or(Value::Null, |before| json!(before.to_string())));
            change["spec"] = json!({"suspend": replicas == 0});
            return self.patch(&found, "", change, stop).map(drop);
        }
        if is_daemon(&found.kind) {
            let Some(whole) = self.get_found(&found, stop)? else {
                return Err(self.not_there(&found, stop));
            };
            let change = daemons::change((object, &whole), replicas, before)?;
            return self.patch(&found, "", change, stop).map(drop);
        }
        if let Some(before) = before {
            self.patch(&found, "", note(json!(before.to_string())), stop)?;
        }
        self.patch(&found, "/scale", json!({"spec": {"replicas": replicas}}), stop)?;
        if before.is_none() {
            self.patch(&found, "", note(Value::Null), stop)?;
        }
        Ok(())
    }

    /// A schedule has one replica, or none while it is suspended; what is left of it are the pods of
    /// the jobs that it has begun.
    fn standing_of_schedule(
        &self,
        found: &Found,
        whole: &Value,
        stop: &Stop,
    ) -> Result<Standing, KubernetesError> {
        let kind = self.kinds(stop)?.named("jobs.batch")?.clone();
        let namespace = found.namespace.as_deref();
        let uid = &whole["metadata"]["uid"];
        let is_ours = |job: &&Value| {
            let owners = job["metadata"]["ownerReferences"].as_array();
            owners.into_iter().flatten().any(|owner| owner["uid"] == *uid)
        };
        let mut begun = Vec::new();
        for job in self.list(&kind, namespace, "", stop)?.iter().filter(is_ours) {
            let name = job["metadata"]["name"].as_str().unwrap_or_default();
            begun.extend(self.list(&pods(), namespace, &format!("job-name={name}"), stop)?);
        }
        let wanted = u32::from(whole["spec"]["suspend"] != true);
        Ok(Standing {
            wanted,
            counted: wanted,
            ready: wanted,
            noted: noted(whole),
            followed: true,
            ails: begun.iter().find_map(ails),
            pods: pods_left(&begun),
        })
    }

    fn scalable(&self, object: &Object, stop: &Stop) -> Result<Found, KubernetesError> {
        let found = self.find(object, stop)?;
        if found.kind.scales || is_scheduled(&found.kind) || is_daemon(&found.kind) {
            return Ok(found);
        }
        let kind = &found.kind.kind;
        Err(KubernetesError::Input(format!(
            "`{object}` has no replicas that could be set: a {kind} is stopped and started in another way"
        )))
    }

    /// The pods of an object: itself if it is one, else those it selects.
    pub(crate) fn pods_of(
        &self,
        object: &Object,
        stop: &Stop,
    ) -> Result<Vec<Value>, KubernetesError> {
        let whole = self.require(object, stop)?;
        if whole["kind"] == "Pod" {
            return Ok(vec![whole]);
        }
        let selector = selector_of(&whole["spec"]["selector"]).ok_or_else(|| {
            KubernetesError::Input(format!("`{object}` has no pods of its own: name a pod"))
        })?;
        let namespace = whole["metadata"]["namespace"].as_str();
        self.list(&pods(), namespace, &selector, stop)
    }
}

/// Whether objects of a kind begin others by the clock.
fn is_scheduled(kind: &Kind) -> bool {
    kind.kind == "CronJob" && kind.group == "batch"
}

/// Whether its controller has seen its last form.
pub(crate) fn followed(object: &Value) -> bool {
    let seen = object["status"]["observedGeneration"].as_u64();
    let generation = object["metadata"]["generation"].as_u64().unwrap_or(0);
    seen.is_none_or(|seen| seen >= generation)
}

/// How many replicas it had, by its own note.
pub(crate) fn noted(object: &Value) -> Option<u32> {
    object["metadata"]["annotations"][NOTE].as_str()?.parse().ok()
}

/// Pods, which every cluster has by this name.
pub(crate) fn pods() -> Kind {
    let list = json!({"resources": [{"name": "pods", "kind": "Pod", "namespaced": true}]});
    crate::kinds::read_kinds("", "v1", &list).remove(0)
}

pub(crate) fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// `app=zeus,tier in (a,b)`, as a query takes it.
fn selector_of(selector: &Value) -> Option<String> {
    // Older kinds have the labels themselves.
    let labels = selector.get("matchLabels").unwrap_or(selector).as_object()?;
    let mut parts: Vec<String> = labels
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)))
        .collect();
    for one in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = one["key"].as_str()?;
        let values = one["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        parts.push(match one["operator"].as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

/// The pods that are not over, in words.
pub(crate) fn pods_left(pods: &[Value]) -> Vec<String> {
    let is_over = |pod: &&Value| {
        // One that has ended runs nothing, even if nobody has removed it.
        matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    };
    let words = |pod: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&pod["metadata"]["name"]);
        let node = match text(&pod["spec"]["nodeName"]) {
            empty if empty.is_empty() => String::new(),
            node => format!(" on {node}"),
        };
        match pod["metadata"]["deletionTimestamp"].as_str() {
            Some(until) => format!("the pod {name}{node} is to be gone by {until}"),
            None => format!("the pod {name}{node} is there"),
        }
    };
    pods.iter().filter(|pod| !is_over(pod)).map(words).collect()
}

/// What a container of a pod waits for.
pub(crate) fn ails(pod: &Value) -> Option<String> {
    let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let reason = containers.filter_map(|one| one["state"]["waiting"]["reason"].as_str()).next()?;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    Some(format!("{reason} in the pod {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_written_as_queries_take_them() {
        let check = |selector: Value, expect: Option<&str>| {
            assert_eq!(selector_of(&selector).as_deref(), expect, "{selector}");
        };
        check(json!({"matchLabels": {"app": "zeus"}}), Some("app=zeus"));
        check(json!({"app": "old", "tier": "b"}), Some("app=old,tier=b"));
        let expressions = json!([{"key": "a", "operator": "In", "values": ["x", "y"]},
            {"key": "b", "operator": "DoesNotExist"}, {"key": "c", "operator": "Exists"}]);
        check(
            json!({"matchLabels": {"app": "zeus"}, "matchExpressions": expressions}),
            Some("app=zeus,a in (x,y),!b,c"),
        );
        check(Value::Null, None);
        check(json!({}), None);
    }

    #[test]
    fn what_was_ready_before_the_last_change_is_not_ready_now() {
        let whole = |seen: u64| {
            json!({"metadata": {"generation": 7},
            "status": {"observedGeneration": seen, "readyReplicas": 3}})
        };
        let scale = json!({"spec": {"replicas": 3}, "status": {"replicas": 3}});
        assert_eq!(Standing::of(&whole(6), &scale, &[]).ready, 0);
        assert_eq!(Standing::of(&whole(7), &scale, &[]).ready, 3);
    }

    #[test]
    fn a_pod_that_is_over_is_not_left() {
        let pod = |name: &str, phase: &str| {
            json!({"metadata": {"name": name},
            "spec": {"nodeName": "node-1"}, "status": {"phase": phase,
                "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}})
        };
        let mut going = pod("going", "Running");
        going["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
        let left = pods_left(&[pod("done", "Succeeded"), pod("ill", "Running"), going]);
        let expect = [
            "the pod ill on node-1 is there",
            "the pod going on node-1 is to be gone by 2030-01-01T00:00:00Z",
        ];
        assert_eq!(left, expect);
        assert_eq!(ails(&pod("ill", "Running")).unwrap(), "CrashLoopBackOff in the pod ill");
        assert_eq!(ails(&json!({"metadata": {"name": "well"}})), None);
        let standing = Standing {
            wanted: 0,
            counted: 0,
            ready: 0,
            noted: None,
            followed: true,
            pods: left,
            ails: None,
        };
        assert!(standing.left().unwrap().ends_with("is there, and 1 more"));
        let late = Standing { followed: false, pods: Vec::new(), ..standing.clone() };
        assert!(late.left().unwrap().contains("not followed"));
        assert_eq!(Standing { pods: Vec::new(), ..standing }.left(), None);
    }
}
