//! What a step does. Texts may name parameters as `${name}`; they are filled in when it is begun.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing: its probes say whether it is done.
    Look,
    /// A script.
    Run(String),
    /// Something a person does, in words.
    Manual(String),
    /// A request.
    Http(Http),
    /// A query.
    Sql(Sql),
    /// Something in Kubernetes.
    Kubernetes(Kubernetes),
    /// Infrastructure as code.
    Terraform(Terraform),
    /// A store is brought back.
    Restore(Restore),
    /// These services are stopped, so that nobody writes.
    Quiesce(Vec<Stoppable>),
    /// These services run again.
    Resume(Vec<Stoppable>),
    /// Files, or the output of a script, are kept as evidence: they are in the step's `capture`.
    Capture,
    /// Time passes.
    Wait {
        /// So much.
        #[serde(with = "millis", rename = "for_ms")]
        duration: Duration,
    },
    /// Somebody is told.
    Notify(Notify),
    /// Somebody must say yes.
    Approve {
        /// Who may: people or teams.
        by: Vec<String>,
        /// How many must.
        count: u32,
        /// What they say yes to.
        text: String,
        /// How long the question stands.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "millis::maybe",
            rename = "within_ms"
        )]
        within: Option<Duration>,
    },
    /// Somebody answers; the answer becomes the values of these parameters.
    Ask {
        /// The question.
        text: String,
        /// The parameters.
        gives: Vec<String>,
    },
}

/// A request over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// GET, POST, …
    pub method: String,
    /// Where to.
    pub url: String,
    /// The status that is a success; none: 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
    /// What is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The credential it is sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sql {
    /// The store it is put to. What is compiled from a plan always has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The database in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The query.
    pub query: String,
    /// What the answer must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
}

/// Something done through the API of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubernetes {
    /// `get`, `wait`, `scale`, `apply`, `delete`, `logs`.
    pub action: String,
    /// The object, such as `deployment/zeus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// For `scale`: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// For `wait`: the condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// For `apply`: what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// Infrastructure as code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terraform {
    /// The directory of the configuration.
    pub directory: String,
    /// `apply` or `destroy`.
    pub action: String,
    /// Variables, as `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
}

/// A store brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The store.
    pub store: String,
    /// To which moment.
    pub to: String,
    /// Where to: a new directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The vault it comes from; none: the first that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Of an etcd: revisions are moved on, so that nobody goes on watching from one of the lost cluster.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bump_revision: bool,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Through which channels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// To whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// What it says.
    pub text: String,
}

/// What stood still goes back to as many replicas as it had. A step that makes services stand still
/// gives them as values whose names are this and the service's.
pub const REPLICAS: &str = "replicas.";

/// A service that can be made to stand still, as far as anybody said how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stoppable {
    /// Its name in the plan.
    pub service: String,
    /// The services of the same step that must work before it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What it runs as; nothing: the plan does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs_as: Vec<RunsAs>,
}

/// What a service, or a part of one, runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunsAs {
    /// An object of Kubernetes with replicas.
    Kubernetes {
        /// Its kind and name.
        object: String,
        /// Its namespace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// How many there are in good times.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replicas: Option<u32>,
    },
    /// Something that scripts stop and start.
    Scripts {
        /// Stops it.
        stop: String,
        /// Starts it.
        start: String,
        /// The machine they run on, if that is not the one of the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<String>,
    },
}

impl RunsAs {
    /// Its texts in which parameters are filled in.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Kubernetes { object, namespace, .. } => (Some(object), namespace.as_ref()),
            Self::Scripts { on, .. } => (on.as_ref(), None),
        };
        first.into_iter().chain(second).map(String::as_str)
    }
}

impl Action {
    /// Whether something outside of the engine does it, so that it has attempts that can be
    /// interrupted. Looking, waiting, approving, asking and what people do has none.
    #[must_use]
    pub fn is_effect(&self) -> bool {
        !matches!(
            self,
            Self::Look
                | Self::Wait { .. }
                | Self::Manual(_)
                | Self::Approve { .. }
                | Self::Ask { .. }
        )
    }

    /// Whether nothing is there afterwards that could be taken back: somebody looked, waited, said or
    /// heard something.
    #[must_use]
    pub fn leaves_nothing(&self) -> bool {
        matches!(
            self,
            Self::Look
                | Self::Wait { .. }
                | Self::Approve { .. }
                | Self::Ask { .. }
                | Self::Notify(_)
                | Self::Capture
        )
    }

    /// Whether a person does it.
    #[must_use]
    pub fn is_persons(&self) -> bool {
        matches!(self, Self::Manual(_) | Self::Approve { .. } | Self::Ask { .. })
    }

    /// The word for it, as it is written in a plan.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Run(_) => "run",
            Self::Manual(_) => "manual",
            Self::Http(_) => "http",
            Self::Sql(_) => "sql",
            Self::Kubernetes(_) => "kubernetes",
            Self::Terraform(_) => "terraform",
            Self::Restore(_) => "restore",
            Self::Quiesce(_) => "quiesce",
            Self::Resume(_) => "resume",
            Self::Capture => "capture",
            Self::Wait { .. } => "wait",
            Self::Notify(_) => "notify",
            Self::Approve { .. } => "approve",
            Self::Ask { .. } => "ask",
        }
    }

    /// Its texts in which parameters are filled in. A script's are not among them: it gets its
    /// parameters as environment variables.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        #[expect(clippy::ref_option, reason = "it is called on fields")]
        fn maybe(text: &Option<String>) -> Vec<&str> {
            text.as_deref().into_iter().collect()
        }
        match self {
            Self::Look | Self::Run(_) | Self::Capture | Self::Wait { .. } => Vec::new(),
            Self::Manual(text) | Self::Approve { text, .. } | Self::Ask { text, .. } => vec![text],
            Self::Http(http) => [vec![http.url.as_str()], maybe(&http.body)].concat(),
            Self::Sql(sql) => [vec![sql.query.as_str()], maybe(&sql.expect)].concat(),
            Self::Kubernetes(of) => {
                [maybe(&of.object), maybe(&of.namespace), maybe(&of.manifest)].concat()
            }
            Self::Terraform(of) => of.variables.iter().map(String::as_str).collect(),
            Self::Restore(of) => {
                [vec![of.to.as_str()], maybe(&of.target), maybe(&of.from)].concat()
            }
            Self::Quiesce(services) | Self::Resume(services) => {
                services.iter().flat_map(|one| &one.runs_as).flat_map(RunsAs::texts).collect()
            }
            Self::Notify(of) => vec![&of.text],
        }
    }
}
