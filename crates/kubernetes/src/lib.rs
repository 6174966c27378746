//! Kubernetes as steps see it: objects by kind and name, read, changed, waited for, through its API.
//!
//! A crate of its own, so that nothing else waits for its client to compile. The client is asynchronous;
//! that stays inside [`Cluster`], whose operations block and end when a token says so.

mod access;
mod cluster;
mod condition;
mod daemons;
mod error;
mod kinds;
mod manifest;
mod objects;
mod standing;
mod steps;

#[cfg(test)]
mod tests;

pub use access::Access;
pub use cluster::Cluster;
pub use condition::Condition;
pub use error::{ErrorKind, KubernetesError};
pub use objects::Object;
pub use standing::Standing;
pub use steps::KubernetesSteps;
