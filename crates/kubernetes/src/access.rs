//! Which cluster, and as whom: kubeconfig files and the context in them.
//!
//! The rule it keeps: nothing is guessed. A file that is named and not there is an error, never a reason
//! to take another cluster. A proxy is one that the kubeconfig names: scripts of a run find no other
//! either.

use std::path::PathBuf;

use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use soter_runbook::steps::Place;

use crate::error::KubernetesError;

/// Which cluster, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The files; what the first says holds against the others.
    pub kubeconfigs: Vec<PathBuf>,
    /// The context in them; none: the one that they call current.
    pub context: Option<String>,
}

impl Access {
    /// As the scripts of a run reach Kubernetes.
    #[must_use]
    pub fn of(place: &Place) -> Self {
        Self { kubeconfigs: place.kubeconfigs(), context: place.bindings.context.clone() }
    }

    /// In words, for messages.
    pub(crate) fn words(&self) -> String {
        let files: Vec<String> =
            self.kubeconfigs.iter().map(|file| file.display().to_string()).collect();
        match &self.context {
            Some(context) => format!("the context `{context}` of {}", files.join(":")),
            None => files.join(":"),
        }
    }

    /// What the client must know. To be called where its runtime is.
    pub(crate) async fn config(&self) -> Result<Config, KubernetesError> {
        let merged = self.kubeconfigs.iter().try_fold(Kubeconfig::default(), |merged, file| {
            let next = Kubeconfig::read_from(file).map_err(|error| self.refused(error))?;
            merged.merge(next).map_err(|error| self.refused(error))
        })?;
        if let Some(context) = &self.context {
            let known: Vec<&str> = merged.contexts.iter().map(|one| one.name.as_str()).collect();
            if !known.contains(&context.as_str()) {
                let why = format!("it has no context `{context}`, only {}", known.join(", "));
                return Err(KubernetesError::Access { from: self.words(), why });
            }
        }
        let proxy = proxy(&merged, self.context.as_ref());
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let config = Config::from_custom_kubeconfig(merged, &options).await;
        let mut config = config.map_err(|error| self.refused(error))?;
        config.proxy_url = proxy.as_deref().map(str::parse).transpose().map_err(|error| {
            let why = format!("its `proxy-url` is no address: {error}");
            KubernetesError::Access { from: self.words(), why }
        })?;
        Ok(config)
    }

    fn refused(&self, error: KubeconfigError) -> KubernetesError {
        let why = match error {
            KubeconfigError::ReadConfig(source, path) => {
                format!("{} cannot be read: {source}", path.display())
            }
            KubeconfigError::CurrentContextNotSet => {
                "it calls no context current: name one in the target's `context`".to_owned()
            }
            other => other.to_string(),
        };
        KubernetesError::Access { from: self.words(), why }
    }
}

/// The proxy of the cluster of a context.
fn proxy(config: &Kubeconfig, context: Option<&String>) -> Option<String> {
    let name = context.or(config.current_context.as_ref())?;
    let context = config.contexts.iter().find(|one| one.name == *name)?.context.as_ref()?;
    let cluster = config.clusters.iter().find(|one| one.name == context.cluster)?;
    cluster.cluster.as_ref()?.proxy_url.clone().filter(|proxy| !proxy.is_empty())
}
