//! The edge, outside: what users reach, and where the plan of KOSMOS turns them away.

use super::ANSWER_TIMEOUT;
use crate::failure::{Failure, failed};
use crate::http;
use crate::lab::Lab;
use crate::place::secret;
use crate::processes::Spec;
use crate::services::Service;
use crate::services::edge::{API, ZONE};

/// Starts it. It works before there is anything behind it.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    let (port, name) = (lab.port("edge")?, Service::Edge.name());
    lab.describe(|description| {
        description.addresses.insert(name.to_owned(), format!("http://127.0.0.1:{port}"));
        description.secrets.insert("edge-token".to_owned(), secret::<16>());
    })?;
    let us = std::env::current_exe().map_err(failed("find this program"))?;
    let root = lab.root().display().to_string();
    let home = lab.directory("outside/edge")?;
    let spec = Spec::new(name, crate::place::OUTSIDE, &us, home);
    lab.start(&spec.args(["--directory", &root, "service", name]))?;
    lab.wait_ready(name, || look(lab).map(drop))
}

/// Whether it answers, by the sentence it has for those without a token.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let port = lab.port("edge").map_err(|failure| failure.to_string())?;
    let rules = format!("{API}{ZONE}/firewall/custom_rules");
    match http::ask(port, "GET", &rules, "", ANSWER_TIMEOUT) {
        Ok((403, _)) => {}
        Ok((status, _)) => return Err(format!("it says {status} to those without a token")),
        Err(error) => return Err(error.to_string()),
    }
    match http::ask(port, "GET", "/health", "", ANSWER_TIMEOUT) {
        Ok((403, _)) => Ok("closed to everybody by a rule".to_owned()),
        Ok(_) => Ok("open to users".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
