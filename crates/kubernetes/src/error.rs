//! What can go wrong with a cluster, in words that say what was done to what.

use std::fmt;

use thiserror::Error;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing was done; it may pass.
    Retry,
    /// Nothing was done, and nothing will be: the step or the access must be corrected.
    Input,
    /// There is no such object.
    NotFound,
    /// It was sent, and no answer has come: it is done, or it is not.
    Unknown,
    /// Somebody wanted it to end.
    Stopped,
    /// The cluster says something that is not understood.
    Failed,
}

/// What is done to what: `change deployments/scale zeus in kosmos-core`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    pub(crate) verb: &'static str,
    pub(crate) what: String,
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    /// It changes something, so that without an answer nobody knows.
    pub(crate) changes: bool,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.what)?;
        if let Some(name) = &self.name {
            write!(f, " `{name}`")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, " in the namespace `{namespace}`")?;
        }
        Ok(())
    }
}

/// What can go wrong with a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KubernetesError {
    /// It is not known how the cluster is reached: correct the kubeconfig or the target.
    #[error("Kubernetes cannot be reached by {from}: {why}")]
    Access {
        /// The kubeconfig.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// The API server does not answer there: start it, or name another.
    #[error("Kubernetes does not answer at {address}: {why}")]
    Unreachable {
        /// Its address.
        address: String,
        /// Why not.
        why: String,
    },
    /// The request went out, and no answer came: look whether it was done.
    #[error("Kubernetes at {address} was to {deed}, and no answer has come: {why}")]
    NoAnswer {
        /// Its address.
        address: String,
        /// What was to be done.
        deed: Box<Deed>,
        /// What was seen instead.
        why: String,
    },
    /// The API server does not know who asks: renew the credential in the kubeconfig.
    #[error("Kubernetes at {address} does not accept the credential in {from}: {said}")]
    Unknown {
        /// Its address.
        address: String,
        /// The kubeconfig.
        from: String,
        /// What the API server said.
        said: String,
    },
    /// The right is missing: give it, or use another kubeconfig.
    #[error("Kubernetes does not allow to {deed} with {from}: {said}")]
    Forbidden {
        /// What was to be done.
        deed: Box<Deed>,
        /// The kubeconfig.
        from: String,
        /// What the API server said.
        said: String,
    },
    /// What was read cannot be kept as evidence: see the disk of the run.
    #[error("cannot keep {path} as evidence: {why}")]
    Evidence {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// There is no such object, kind or namespace.
    #[error("{what}{}", hint(.near))]
    NotFound {
        /// What there is not.
        what: String,
        /// What there is that may have been meant.
        near: Option<String>,
    },
    /// The API server cannot do it now.
    #[error("Kubernetes cannot {deed} now: {said}")]
    Busy {
        /// What was to be done.
        deed: Box<Deed>,
        /// What the API server said.
        said: String,
    },
    /// The API server refuses it: correct the step.
    #[error("Kubernetes refuses to {deed}: {said}")]
    Refused {
        /// What was to be done.
        deed: Box<Deed>,
        /// What the API server said.
        said: String,
    },
    /// The step asks for something that cannot be: correct it.
    #[error("{0}")]
    Input(String),
    /// What the API server said is not what it should be.
    #[error("Kubernetes was to {deed}, and its answer is not understood: {why}")]
    Unreadable {
        /// What was to be done.
        deed: Box<Deed>,
        /// What is wrong with the answer.
        why: String,
    },
    /// Time is up, or the run is given up.
    #[error("it was ended before its time, while it was to {0}")]
    Stopped(String),
}

impl KubernetesError {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => ErrorKind::Retry,
            Self::NoAnswer { deed, .. } if deed.changes => ErrorKind::Unknown,
            Self::NoAnswer { .. } => ErrorKind::Retry,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Access { .. }
            | Self::Unknown { .. }
            | Self::Forbidden { .. }
            | Self::Refused { .. }
            | Self::Input(_) => ErrorKind::Input,
            Self::Stopped(_) => ErrorKind::Stopped,
            Self::Unreadable { .. } | Self::Evidence { .. } => ErrorKind::Failed,
        }
    }
}

#[expect(clippy::ref_option, reason = "it is called on a field")]
fn hint(near: &Option<String>) -> String {
    near.as_ref().map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}
