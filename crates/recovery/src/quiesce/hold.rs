//! Making services stand still: all of them even if one cannot be, and done when nothing is left.
//!
//! Who needs others is told first, and nobody is waited for before the next is told: what matters is that
//! writing ends.

use std::collections::BTreeMap;

use soter_runbook::driver::Outcome;
use soter_runbook::procedure::{REPLICAS, RunsAs, Stoppable};
use soter_world::Stop;

use super::{Crew, Standing, Trouble, Which, Workloads, as_value, given};

/// Something with replicas that is to stand still.
struct Part<'s> {
    service: &'s str,
    which: Which,
    /// How many the plan says there are in good times.
    planned: Option<u32>,
    /// How many there were, once that is known.
    before: Option<u32>,
    /// What it was seen to do last.
    said: String,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Running,
    Still,
    Failed,
}

/// Makes all of them stand still.
pub(super) fn all(crew: &Crew, services: &[Stoppable], stop: &Stop) -> Outcome {
    let since = crew.tools.clock.monotonic();
    let workloads = match crew.workloads(services) {
        Ok(workloads) => workloads,
        Err(why) => return crew.failed(&[why]),
    };
    let mut failures = Vec::new();
    let mut parts: Vec<Part<'_>> = Vec::new();
    // They come with what others need before those.
    for service in services.iter().rev() {
        for (at, part) in service.runs_as.iter().enumerate() {
            match part {
                RunsAs::Kubernetes { object, namespace, replicas } => {
                    match crew.which(object, namespace.as_deref()) {
                        Ok(which) => {
                            let mut part = Part::new(&service.service, which, *replicas);
                            part.look(crew, workloads.as_deref(), (&mut failures, stop));
                            parts.push(part);
                        }
                        Err(why) => failures.push(format!("{}: {why}", service.service)),
                    }
                }
                RunsAs::Scripts { stop: script, on, .. } => {
                    crew.say(&format!("{}: its script stops it", service.service));
                    let name = format!("{}.{at}.stop", service.service);
                    if let Err(why) = crew.run(&name, on.as_deref(), script) {
                        failures.push(format!("{}: its script to stop it {why}", service.service));
                    }
                }
            }
        }
    }
    loop {
        for part in parts.iter_mut().filter(|part| part.state == State::Running) {
            part.look(crew, workloads.as_deref(), (&mut failures, stop));
        }
        let left: Vec<String> = parts
            .iter()
            .filter(|part| part.state == State::Running)
            .map(|part| format!("{}: {}", part.service, part.said))
            .collect();
        if left.is_empty() {
            break;
        }
        if !crew.may_go_on(since, stop) {
            failures.extend(left);
            break;
        }
    }
    if !failures.is_empty() {
        return crew.failed(&failures);
    }
    Outcome::Done { outputs: outputs(&parts), captured: Vec::new() }
}

impl<'s> Part<'s> {
    fn new(service: &'s str, which: Which, planned: Option<u32>) -> Self {
        let said = String::new();
        Self { service, which, planned, before: None, said, state: State::Running }
    }

    /// One look, and what follows from it.
    fn look(
        &mut self,
        crew: &Crew,
        workloads: Option<&dyn Workloads>,
        (failures, stop): (&mut Vec<String>, &Stop),
    ) {
        let Some(workloads) = workloads else { return };
        let seen = workloads.standing(&self.which, stop);
        let done = seen.and_then(|standing| self.act(crew, workloads, &standing, stop));
        if let Err(Trouble { why, passes }) = done {
            if passes {
                self.say(crew, &why);
            } else {
                failures.push(format!("{}: {why}", self.service));
                self.state = State::Failed;
            }
        }
    }

    fn act(
        &mut self,
        crew: &Crew,
        workloads: &dyn Workloads,
        standing: &Standing,
        stop: &Stop,
    ) -> Result<(), Trouble> {
        let given = given(&crew.attempt.parameters, self.service).remove(&self.which.to_string());
        let before = *self.before.get_or_insert_with(|| before(standing, given, self.planned));
        if standing.wanted > 0 {
            self.say(crew, &format!("{} had {}, is to have none", self.which, standing.wanted));
            workloads.scale(&self.which, 0, Some(before), stop)?;
            return Ok(());
        }
        match &standing.left {
            Some(left) => self.say(crew, &format!("{}: {left}", self.which)),
            None => {
                self.say(crew, &format!("{} stands still", self.which));
                self.state = State::Still;
            }
        }
        Ok(())
    }

    /// What it waits for, once.
    fn say(&mut self, crew: &Crew, line: &str) {
        if self.said != line {
            crew.say(&format!("{}: {line}", self.service));
            line.clone_into(&mut self.said);
        }
    }
}

/// How many it goes back to. What runs was seen; what does not was perhaps stopped by an attempt before
/// this one, which wrote it down; else the plan knows.
pub(super) fn before(standing: &Standing, given: Option<u32>, planned: Option<u32>) -> u32 {
    if standing.wanted > 0 {
        return standing.wanted;
    }
    standing.noted.or(given).or(planned).unwrap_or(0)
}

fn outputs(parts: &[Part<'_>]) -> BTreeMap<String, String> {
    let mut by_service: BTreeMap<&str, BTreeMap<String, u32>> = BTreeMap::new();
    for part in parts {
        let numbers = by_service.entry(part.service).or_default();
        numbers.extend(part.before.map(|before| (part.which.to_string(), before)));
    }
    let value = |(service, numbers)| (format!("{REPLICAS}{service}"), as_value(&numbers));
    by_service.into_iter().map(value).collect()
}
