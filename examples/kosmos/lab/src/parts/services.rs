//! Zeus and the gateway: pods where there is Kubernetes, else processes of their nodes.

use std::time::Duration;

use super::kubernetes;
use crate::failure::{Failure, failed};
use crate::http;
use crate::lab::Lab;
use crate::processes::Spec;
use crate::services::Service;

/// How long an answer may take; the gateway asks Zeus, who asks the others.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Which service runs where, without Kubernetes.
const PLACES: [(Service, &str); 2] = [(Service::Zeus, "node-2"), (Service::Gateway, "node-3")];

/// Starts both, and waits until they are well.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    for (service, _) in PLACES {
        let name = service.name();
        let port = lab.port(name)?;
        lab.describe(|description| {
            let address = format!("http://127.0.0.1:{port}");
            description.addresses.insert(name.to_owned(), address);
        })?;
    }
    if !lab.is_without("kubernetes") {
        lab.wait_ready("controllers", || kubernetes::apply(lab))?;
        return lab.wait_ready("controllers", || look(lab).map(drop));
    }
    for (service, node) in PLACES {
        start(lab, service, node)?;
    }
    for (service, _) in PLACES {
        lab.wait_ready(service.name(), || healthy(lab, service))?;
    }
    Ok(())
}

/// Starts a service as a process of a node.
pub(super) fn start(lab: &Lab, service: Service, node: &str) -> Result<(), Failure> {
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    let (name, root) = (service.name(), lab.root().display().to_string());
    let home = lab.directory(&format!("{node}/{name}"))?;
    let spec = Spec::new(name, node, &us, home);
    lab.start(&spec.args(["--directory", &root, "service", name]))
}

/// Whether both say that they are healthy.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    if !lab.is_without("kubernetes") {
        kubernetes::services_available(lab)?;
    }
    for (service, _) in PLACES {
        healthy(lab, service)?;
    }
    Ok("zeus and gateway are healthy".to_owned())
}

fn healthy(lab: &Lab, service: Service) -> Result<(), String> {
    let name = service.name();
    let port = lab.port(name).map_err(|failure| failure.to_string())?;
    match http::ask(port, "GET", "/health", "", ANSWER_TIMEOUT) {
        Ok((200, _)) => Ok(()),
        Ok((status, body)) => Err(format!("{name} says {status}: {}", body.trim())),
        Err(error) => Err(format!("{name} does not answer: {error}")),
    }
}
