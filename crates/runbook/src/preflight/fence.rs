//! What of a drill would get out of its fence, and touch what people need.
//!
//! The rule it keeps: a drill touches what its target binds and this machine, and nothing else. A name
//! that is not bound is the plan's own: a step that goes there keeps the drill from beginning, a question
//! that is put there is remarked. Who means the plan's own place binds the name to itself.

use super::{Objection, Weight};
use crate::procedure::{Action, Parameters, Procedure, Question, RunsAs, Step, names_in};
use crate::steps::Place;

/// Requests that change nothing.
const QUESTIONS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Beginnings of addresses that are on this machine.
const HERE: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Everything that would get out of the fence; nothing if there is none.
pub(super) fn breaches(
    procedure: &Procedure,
    place: &Place,
    parameters: &Parameters,
) -> Vec<Objection> {
    if !place.bindings.is_fenced() {
        return Vec::new();
    }
    let mut fence = Fence { place, parameters, found: Vec::new() };
    for step in &procedure.steps {
        fence.step(step);
    }
    fence.found
}

struct Fence<'f> {
    place: &'f Place,
    parameters: &'f Parameters,
    found: Vec<Objection>,
}

impl Fence<'_> {
    fn object(&mut self, weight: Weight, what: String, hint: String) {
        self.found.push(Objection { weight, what, hint });
    }

    fn step(&mut self, step: &Step) {
        let id = step.id.as_str();
        if let Some(host) = &step.on {
            self.host(id, host);
        }
        match &step.action {
            Action::Http(http) => self.address(id, &http.method, &http.url),
            Action::Kubernetes(_) => self.cluster(id),
            Action::Quiesce(services) | Action::Resume(services) => {
                for part in services.iter().flat_map(|service| &service.runs_as) {
                    match part {
                        RunsAs::Kubernetes { .. } => self.cluster(id),
                        RunsAs::Scripts { on: Some(host), .. } => self.host(id, host),
                        RunsAs::Scripts { on: None, .. } => {}
                    }
                }
            }
            _ => {}
        }
        for probe in step.only_if.iter().chain(&step.already_done).chain(&step.verify) {
            if let Question::Http(http) = &probe.question {
                self.address(id, "GET", &http.url);
            }
        }
    }

    fn host(&mut self, step: &str, written: &str) {
        let target = self.place.bindings.title();
        let Ok(host) = self.parameters.fill(written) else {
            let what = format!(
                "the step `{step}` goes to a machine whose name `{written}` is not known yet: if the \
                 target `{target}` does not bind it, it is the plan's own"
            );
            let hint = "bind all machines that it may be under `hosts`".to_owned();
            return self.object(Weight::Remark, what, hint);
        };
        if self.place.bindings.hosts.contains_key(&host) {
            return;
        }
        let what = format!(
            "the step `{step}` of this drill goes to `{host}`, which the target `{target}` does not \
             bind: it would be the plan's own machine"
        );
        let hint = format!(
            "bind it under `hosts` of the target; one that is meant as it is: `{host}: [ssh, {host}]`"
        );
        self.object(Weight::Blocking, what, hint);
    }

    fn cluster(&mut self, step: &str) {
        let bindings = &self.place.bindings;
        if bindings.kubeconfig.is_some() || bindings.environment.contains_key("KUBECONFIG") {
            return;
        }
        let what = format!(
            "the step `{step}` of this drill changes a Kubernetes that the target `{}` does not name: \
             it would be the one of whoever begins the run",
            bindings.title()
        );
        self.object(Weight::Blocking, what, "give the target its `kubeconfig`".to_owned());
    }

    fn address(&mut self, step: &str, method: &str, written: &str) {
        let bindings = &self.place.bindings;
        let is_known = names_in(host_of(written)).next().is_none();
        let is_here = HERE.iter().any(|here| {
            let behind = host_of(written).strip_prefix(here);
            behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(':'))
        });
        if !is_known || is_here || host_of(written).is_empty() || bindings.is_bound(written) {
            return;
        }
        let weight = match QUESTIONS.contains(&method) {
            true => Weight::Remark,
            false => Weight::Blocking,
        };
        let what = format!(
            "the step `{step}` of this drill asks {}, which the target `{}` does not bind: it would be \
             the plan's own",
            host_of(written),
            bindings.title()
        );
        let hint = "bind the beginning of its address under `endpoints` of the target".to_owned();
        self.object(weight, what, hint);
    }
}

/// `api.test:80` of `https://user@api.test:80/path`.
fn host_of(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let host = behind.split(['/', '?', '#']).next().unwrap_or_default();
    host.rsplit_once('@').map_or(host, |(_, host)| host)
}
