//! Which kinds of objects a cluster has, and what they are called: `deployment`, `deployments`,
//! `deploy`, `Deployment`, `deployments.apps`.

use std::collections::BTreeSet;

use serde_json::Value;
use soter_plan::nearest;
use soter_world::Stop;

use crate::cluster::{Cluster, reading};
use crate::error::{ErrorKind, KubernetesError};

/// A kind of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Empty for the core.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    singular: String,
    short: Vec<String>,
    pub(crate) is_namespaced: bool,
    /// It has replicas that can be counted and set.
    pub(crate) scales: bool,
}

/// The kinds of a cluster, in the order in which it names them.
#[derive(Debug)]
pub(crate) struct Kinds {
    found: Vec<Kind>,
    /// Versions of groups that did not say what they have: an extension that is down.
    silent: Vec<String>,
}

impl Kinds {
    /// Asks a cluster, each group for the version that it prefers before the others.
    pub(crate) fn discover(cluster: &Cluster, stop: &Stop) -> Result<Self, KubernetesError> {
        let what = "the kinds of objects";
        let core = cluster.read("/api/v1", what, stop)?;
        let mut kinds = Self { found: read_kinds("", "v1", &core), silent: Vec::new() };
        let groups = cluster.read("/apis", what, stop)?;
        for group in groups["groups"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let name = text(&group["name"]);
            let preferred = &group["preferredVersion"];
            let others = group["versions"].as_array().into_iter().flatten();
            // A kind may be in a version that its group does not prefer, and in no other.
            let others = others.filter(|version| version["version"] != preferred["version"]);
            for version in std::iter::once(preferred).chain(others) {
                let path = format!("/apis/{}", text(&version["groupVersion"]));
                match cluster.read(&path, what, stop) {
                    Ok(list) => kinds.add(read_kinds(&name, &text(&version["version"]), &list)),
                    Err(error) if error.kind() == ErrorKind::Stopped => return Err(error),
                    Err(_) => kinds.silent.push(path),
                }
            }
        }
        Ok(kinds)
    }

    /// Adds those that are not known from a version that comes first.
    fn add(&mut self, more: Vec<Kind>) {
        for kind in more {
            if !self.found.iter().any(|one| one.group == kind.group && one.kind == kind.kind) {
                self.found.push(kind);
            }
        }
    }

    /// Whether every group has said what it has.
    pub(crate) fn is_whole(&self) -> bool {
        self.silent.is_empty()
    }

    /// A kind by any of its names.
    pub(crate) fn named(&self, name: &str) -> Result<&Kind, KubernetesError> {
        let lower = name.to_ascii_lowercase();
        let (plain, group) = lower.split_once('.').unwrap_or((&lower, ""));
        // `deployments.v1.apps` also names a version; ours is the one the cluster prefers.
        let is_group = |kind: &Kind| {
            group.is_empty()
                || kind.group == group
                || group.strip_prefix(&format!("{}.", kind.version)) == Some(&kind.group)
        };
        let found = self.found.iter().find(|kind| kind.is_called(plain) && is_group(kind));
        found.ok_or_else(|| {
            if !self.silent.is_empty() {
                // It may be one of theirs.
                let deed = Box::new(reading(&format!("the kind of objects `{name}`")));
                let said = format!("no word has come from {}", self.silent.join(", "));
                return KubernetesError::Busy { deed, said };
            }
            let known = self.found.iter().map(|kind| kind.singular.as_str());
            let known: BTreeSet<&str> = known.collect();
            KubernetesError::NotFound {
                what: format!("the cluster has no kind of objects `{name}`"),
                near: nearest(plain, known.into_iter()).map(str::to_owned),
            }
        })
    }
}

impl Kind {
    fn is_called(&self, name: &str) -> bool {
        self.singular == name || self.plural == name || self.short.iter().any(|short| short == name)
    }

    /// `deployments.apps`, as rights name it.
    pub(crate) fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Where the objects of a namespace, or of the whole cluster, are.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace.filter(|_| self.is_namespaced) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }
}

/// The kinds of one version of a group.
pub(crate) fn read_kinds(group: &str, version: &str, list: &Value) -> Vec<Kind> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resources = list["resources"].as_array().map_or(&[][..], Vec::as_slice);
    let names: BTreeSet<&str> = resources.iter().filter_map(|one| one["name"].as_str()).collect();
    let whole = resources.iter().filter(|one| !text(&one["name"]).contains('/'));
    whole
        .map(|one| {
            let (plural, kind) = (text(&one["name"]), text(&one["kind"]));
            let singular = match text(&one["singularName"]) {
                // Built-in kinds have none in older clusters.
                empty if empty.is_empty() => kind.to_ascii_lowercase(),
                singular => singular,
            };
            let short = one["shortNames"].as_array().into_iter().flatten();
            Kind {
                group: group.to_owned(),
                version: version.to_owned(),
                short: short.filter_map(Value::as_str).map(str::to_owned).collect(),
                is_namespaced: one["namespaced"].as_bool().unwrap_or(false),
                scales: names.contains(format!("{plural}/scale").as_str()),
                singular,
                plural,
                kind,
            }
        })
        .collect()
}
