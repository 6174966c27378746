//! Who stands still for a step, and how: names, and `writers of STORE`, become services with all that
//! is needed to stop and to start them.

use std::collections::BTreeSet;

use soter_plan::language::{self, At};

use super::{Compiler, trimmed};
use crate::procedure::{RunsAs, Stoppable};

/// What a plan writes for all services that write to a store.
const WRITERS_OF: &str = "writers of ";

impl Compiler<'_> {
    /// What a step names, each service once, what others need first. How each is stopped stands beside
    /// it, so that it can be made to work again without the plan.
    pub(super) fn stoppable(&mut self, names: &[At<String>]) -> Vec<Stoppable> {
        let services = self.services_named(names);
        let mut found: Vec<Stoppable> = Vec::new();
        for service in self.needed_first(&services) {
            let needs = self.needs_of(&service);
            found.push(Stoppable {
                needs: services.iter().filter(|one| needs.contains(*one)).cloned().collect(),
                runs_as: self.runs_as(&service),
                service,
            });
        }
        found
    }

    /// Services by their names, and `writers of STORE` as those that write to it. Where nobody is
    /// said to, its own services are what writes.
    fn services_named(&mut self, names: &[At<String>]) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for name in names {
            let services = match name.value.strip_prefix(WRITERS_OF) {
                Some(store) => self.writers(store.trim()),
                None if self.plan.services.contains(&name.value) => vec![name.value.clone()],
                None => Vec::new(),
            };
            if services.is_empty() {
                let what = format!("`{}` is no service of the plan", name.value);
                let hint = "name services, or `writers of` a store that services write to";
                self.complain(Some(name.origin), what, hint);
            }
            let new: Vec<String> =
                services.into_iter().filter(|service| !found.contains(service)).collect();
            found.extend(new);
        }
        found
    }

    fn writers(&self, store: &str) -> Vec<String> {
        let those = |names: fn(&language::Service) -> &Vec<At<String>>| -> Vec<String> {
            let services = self.plan.services.iter();
            services
                .filter(|(_, service)| names(service).iter().any(|name| name.value == store))
                .map(|(name, _)| name.value.clone())
                .collect()
        };
        let writers = those(|service| &service.writes);
        if writers.is_empty() { those(|service| &service.state) } else { writers }
    }

    /// All that a service needs, and what that needs.
    fn needs_of(&self, service: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![service.to_owned()];
        while let Some(one) = open.pop() {
            let needs = self.plan.services.get(&one).map_or(&[][..], |service| &service.needs);
            for need in needs {
                if need.value != service && found.insert(need.value.clone()) {
                    open.push(need.value.clone());
                }
            }
        }
        found
    }

    /// In the order of the plan, but what others need before them. What needs itself in a circle is
    /// taken as it comes: there is no right order.
    fn needed_first(&self, services: &[String]) -> Vec<String> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut ordered = Vec::new();
        let mut open: Vec<(&str, bool)> =
            services.iter().rev().map(|service| (service.as_str(), false)).collect();
        while let Some((service, needs_are_done)) = open.pop() {
            if needs_are_done {
                if services.iter().any(|one| one == service) {
                    ordered.push(service.to_owned());
                }
            } else if seen.insert(service) {
                open.push((service, true));
                let needs = self.plan.services.get(service).map_or(&[][..], |one| &one.needs);
                open.extend(needs.iter().rev().map(|need| (need.value.as_str(), false)));
            }
        }
        ordered
    }

    fn runs_as(&mut self, service: &str) -> Vec<RunsAs> {
        let Some(written) = self.plan.services.get(service) else { return Vec::new() };
        let origin = self.plan.services.declared(service);
        let mut found = Vec::new();
        for part in &written.runs_as {
            match (&part.kubernetes, &part.stop, &part.start) {
                (Some(workload), None, None) => {
                    let text = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
                    found.push(RunsAs::Kubernetes {
                        object: text(&workload.object).unwrap_or_default(),
                        namespace: text(&workload.namespace),
                        replicas: workload.replicas.map(|replicas| replicas.value),
                    });
                }
                (None, Some(stop), Some(start)) => found.push(RunsAs::Scripts {
                    stop: trimmed(stop),
                    start: trimmed(start),
                    on: part.on.as_ref().map(|on| on.value.clone()),
                }),
                _ => {
                    let what = format!("it is not said how `{service}` stands still");
                    let hint =
                        "in `runs_as`, give each part `kubernetes`, or both `stop` and `start`";
                    self.complain(origin, what, hint);
                }
            }
        }
        found
    }
}
