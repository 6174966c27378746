//! One object: read, changed, deleted, waited for.
//!
//! The rule it keeps: what is done twice ends as if it were done once. An object that is gone is deleted;
//! a number that is there is set.

use std::fmt;

use http::Method;
use serde_json::{Value, json};
use soter_plan::nearest;
use soter_world::Stop;

use crate::cluster::{Ask, Cluster};
use crate::error::{Deed, ErrorKind, KubernetesError};
use crate::kinds::Kind;

/// Who changed an object, as the object itself remembers it.
const FIELD_MANAGER: &str = "soter";

/// A change of some fields.
const MERGE: &str = "application/merge-patch+json";

/// The fields that hold, whoever set them before. JSON is YAML.
const APPLY: &str = "application/apply-patch+yaml";

/// How many objects are looked through for a name that was meant.
const NEAR_MAX: usize = 500;

/// An object, as a step names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its kind, by any of its names.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace; none: the one of the kubeconfig.
    pub namespace: Option<String>,
}

impl Object {
    /// `deployment/zeus`.
    ///
    /// # Errors
    /// In words, when it is none.
    pub fn parse(written: &str, namespace: Option<&str>) -> Result<Self, KubernetesError> {
        let parts = written.trim().split_once('/');
        let (kind, name) =
            parts.filter(|(kind, name)| is_name(kind) && is_name(name)).ok_or_else(|| {
                KubernetesError::Input(format!("`{written}` is no object: write `deployment/zeus`"))
            })?;
        if let Some(namespace) = namespace.filter(|namespace| !is_name(namespace)) {
            return Err(KubernetesError::Input(format!("`{namespace}` is no namespace")));
        }
        Ok(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
        })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// Names of Kubernetes; those of rights may have colons. What a path could be misread by is none.
fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
    !text.is_empty() && text != "." && text != ".." && text.chars().all(is_part)
}

/// An object whose kind is known: where it is.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// None for what belongs to no namespace.
    pub(crate) namespace: Option<String>,
}

impl Found {
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.kind.path(self.namespace.as_deref()), self.name)
    }

    pub(crate) fn deed(&self, verb: &'static str, sub: &str) -> Deed {
        Deed {
            verb,
            what: format!("{}{sub}", self.kind.resource()),
            name: Some(self.name.clone()),
            namespace: self.namespace.clone(),
            changes: verb != "read",
        }
    }
}

impl Cluster {
    pub(crate) fn find(&self, object: &Object, stop: &Stop) -> Result<Found, KubernetesError> {
        let kind = self.kinds(stop)?.named(&object.kind)?.clone();
        let namespace = object.namespace.as_deref().unwrap_or(self.namespace()).to_owned();
        let namespace = kind.is_namespaced.then_some(namespace);
        Ok(Found { kind, name: object.name.clone(), namespace })
    }

    /// An object as the cluster has it; none if it is not there.
    ///
    /// # Errors
    /// When that cannot be asked.
    pub fn get(&self, object: &Object, stop: &Stop) -> Result<Option<Value>, KubernetesError> {
        let found = self.find(object, stop)?;
        self.get_found(&found, stop)
    }

    pub(crate) fn get_found(
        &self,
        found: &Found,
        stop: &Stop,
    ) -> Result<Option<Value>, KubernetesError> {
        let (path, deed) = (found.path(), found.deed("read", ""));
        match self.ask(Ask { method: Method::GET, path, body: None, deed }, stop) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An object that must be there.
    ///
    /// # Errors
    /// Also when it is not: then with what may have been meant.
    pub fn require(&self, object: &Object, stop: &Stop) -> Result<Value, KubernetesError> {
        let found = self.find(object, stop)?;
        match self.get_found(&found, stop)? {
            Some(object) => Ok(object),
            None => Err(self.not_there(&found, stop)),
        }
    }

    /// Says what there is instead.
    pub(crate) fn not_there(&self, found: &Found, stop: &Stop) -> KubernetesError {
        let Found { kind, name, namespace } = found;
        let place = match namespace {
            Some(namespace) if !self.has_namespace(namespace, stop) => {
                return KubernetesError::NotFound {
                    what: format!("the cluster has no namespace `{namespace}`"),
                    near: None,
                };
            }
            Some(namespace) => format!("the namespace `{namespace}`"),
            None => "the cluster".to_owned(),
        };
        // A hint is worth one request; without the right to list there is none.
        let listed = self.list(kind, namespace.as_deref(), "", stop).unwrap_or_default();
        let names = listed.iter().take(NEAR_MAX).filter_map(|one| one["metadata"]["name"].as_str());
        let near = nearest(name, names).map(str::to_owned);
        let kind = kind.resource();
        let what = format!("{place} has no {kind} `{name}`");
        KubernetesError::NotFound { what, near }
    }

    fn has_namespace(&self, namespace: &str, stop: &Stop) -> bool {
        let path = format!("/api/v1/namespaces/{namespace}");
        match self.read(&path, "namespaces", stop) {
            Err(error) => error.kind() != ErrorKind::NotFound,
            Ok(_) => true,
        }
    }

    /// The objects of a kind that have these labels.
    pub(crate) fn list(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selector: &str,
        stop: &Stop,
    ) -> Result<Vec<Value>, KubernetesError> {
        let mut path = kind.path(namespace);
        if !selector.is_empty() {
            path.push_str(&format!("?labelSelector={}", escaped(selector)));
        }
        let deed = Deed {
            verb: "list",
            what: kind.resource(),
            name: None,
            namespace: namespace.map(str::to_owned),
            changes: false,
        };
        let mut list = self.ask(Ask { method: Method::GET, path, body: None, deed }, stop)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// Changes some fields of an object or of a part of it.
    pub(crate) fn patch(
        &self,
        found: &Found,
        sub: &str,
        change: Value,
        stop: &Stop,
    ) -> Result<Value, KubernetesError> {
        let path = format!("{}{sub}?fieldManager={FIELD_MANAGER}", found.path());
        let deed = found.deed("change", sub);
        let ask = Ask { method: Method::PATCH, path, body: Some((MERGE, change)), deed };
        match self.ask(ask, stop) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.not_there(found, stop)),
            asked => asked,
        }
    }

    /// Makes the fields of an object what it says, whoever set them before; makes it if it is not there.
    pub(crate) fn apply(
        &self,
        found: &Found,
        object: Value,
        stop: &Stop,
    ) -> Result<Value, KubernetesError> {
        // In a recovery the plan's word holds: a field that another tool set is taken from it.
        let path = format!("{}?fieldManager={FIELD_MANAGER}&force=true", found.path());
        let deed = found.deed("apply", "");
        self.ask(Ask { method: Method::PATCH, path, body: Some((APPLY, object)), deed }, stop)
    }

    /// Asks for an object to be deleted; none if it is not there. Answers which one it was: a new one of
    /// that name is another.
    pub(crate) fn delete(
        &self,
        found: &Found,
        stop: &Stop,
    ) -> Result<Option<String>, KubernetesError> {
        let Some(object) = self.get_found(found, stop)? else { return Ok(None) };
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let body = json!({"kind": "DeleteOptions", "apiVersion": "v1",
            "propagationPolicy": "Background", "preconditions": {"uid": uid}});
        let (path, deed) = (found.path(), found.deed("delete", ""));
        let body = Some(("application/json", body));
        match self.ask(Ask { method: Method::DELETE, path, body, deed }, stop) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Ok(Some(uid)),
        }
    }

    /// The end of what a container of a pod wrote.
    pub(crate) fn logs(
        &self,
        pod: &Found,
        container: &str,
        lines: u32,
        stop: &Stop,
    ) -> Result<String, KubernetesError> {
        let path = format!(
            "{}/log?container={}&tailLines={lines}&timestamps=true",
            pod.path(),
            escaped(container)
        );
        let deed = pod.deed("read", "/log");
        self.ask_text(Ask { method: Method::GET, path, body: None, deed }, stop)
    }
}

/// A text as it may stand behind `?`.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
