//! Letting services work again: each when what it needs of the others works, and as many as there were.

use soter_runbook::driver::Outcome;
use soter_runbook::procedure::{RunsAs, Stoppable};
use soter_world::Stop;

use super::{Crew, Standing, Trouble, Which, Workloads, given};

/// A service that is to work again.
struct Returning<'s> {
    service: &'s Stoppable,
    parts: Vec<Part<'s>>,
}

struct Part<'s> {
    /// Its place among the parts of the service.
    at: usize,
    runs_as: &'s RunsAs,
    said: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Works,
    Failed,
}

/// Lets all of them work again.
pub(super) fn all(crew: &Crew, services: &[Stoppable], stop: &Stop) -> Outcome {
    let since = crew.tools.clock.monotonic();
    let workloads = match crew.workloads(services) {
        Ok(workloads) => workloads,
        Err(why) => return crew.failed(&[why]),
    };
    let mut failures = Vec::new();
    let mut returning: Vec<Returning<'_>> = services.iter().map(Returning::new).collect();
    loop {
        let may_begin: Vec<bool> = returning.iter().map(|one| one.may_begin(&returning)).collect();
        for (one, _) in returning.iter_mut().zip(may_begin).filter(|(_, may_begin)| *may_begin) {
            one.look(crew, workloads.as_deref(), (&mut failures, stop));
        }
        if returning.iter().all(Returning::works) {
            return Outcome::Done {
                outputs: std::collections::BTreeMap::new(),
                captured: Vec::new(),
            };
        }
        let is_stuck = !returning.iter().any(|one| one.may_begin(&returning));
        if is_stuck || !crew.may_go_on(since, stop) {
            failures.extend(returning.iter().filter_map(|one| one.left(&returning)));
            return crew.failed(&failures);
        }
    }
}

impl<'s> Returning<'s> {
    fn new(service: &'s Stoppable) -> Self {
        let part = |(at, runs_as)| Part { at, runs_as, said: String::new(), state: State::Waiting };
        Self { service, parts: service.runs_as.iter().enumerate().map(part).collect() }
    }

    fn works(&self) -> bool {
        self.parts.iter().all(|part| part.state == State::Works)
    }

    /// Whether something of it is to be done or looked at: it waits, and what it needs works. Services
    /// that need each other in a circle begin together.
    fn may_begin(&self, all: &[Self]) -> bool {
        let is_waiting = self.parts.iter().any(|part| part.state == State::Waiting);
        is_waiting && self.waits_for(all).is_none()
    }

    fn waits_for(&self, all: &[Self]) -> Option<&'s str> {
        let needed = all.iter().filter(|one| self.service.needs.contains(&one.service.service));
        let blocking = needed.filter(|one| !one.service.needs.contains(&self.service.service));
        blocking.filter(|one| !one.works()).map(|one| one.service.service.as_str()).next()
    }

    fn look(
        &mut self,
        crew: &Crew,
        workloads: Option<&dyn Workloads>,
        (failures, stop): (&mut Vec<String>, &Stop),
    ) {
        let service = self.service.service.as_str();
        for part in self.parts.iter_mut().filter(|part| part.state == State::Waiting) {
            match part.act(crew, service, workloads, stop) {
                Ok(()) => {}
                Err(Trouble { why, passes: true }) => part.say(crew, service, &why),
                Err(Trouble { why, passes: false }) => {
                    failures.push(format!("{service}: {why}"));
                    part.state = State::Failed;
                }
            }
        }
    }

    /// What it still waits for, in words.
    fn left(&self, all: &[Self]) -> Option<String> {
        let name = &self.service.service;
        if let Some(needed) = self.waits_for(all) {
            return Some(format!("{name} was not begun: it needs {needed}"));
        }
        let waiting = self.parts.iter().filter(|part| part.state == State::Waiting);
        let said: Vec<&str> = waiting.map(|part| part.said.as_str()).collect();
        (!said.is_empty()).then(|| format!("{name}: {}", said.join(", ")))
    }
}

impl Part<'_> {
    fn act(
        &mut self,
        crew: &Crew,
        service: &str,
        workloads: Option<&dyn Workloads>,
        stop: &Stop,
    ) -> Result<(), Trouble> {
        let fatal = |why: String| Trouble { why, passes: false };
        match self.runs_as {
            RunsAs::Scripts { start, on, .. } => {
                self.say(crew, service, "its script starts it");
                let name = format!("{service}.{}.start", self.at);
                crew.run(&name, on.as_deref(), start)
                    .map_err(|why| fatal(format!("its script to start it {why}")))?;
                self.state = State::Works;
            }
            RunsAs::Kubernetes { object, namespace, replicas } => {
                let Some(workloads) = workloads else { return Ok(()) };
                let which = crew.which(object, namespace.as_deref()).map_err(fatal)?;
                let standing = workloads.standing(&which, stop)?;
                let given = given(&crew.attempt.parameters, service).remove(&which.to_string());
                match goes_back_to(&standing, given, *replicas) {
                    Some(target) => {
                        self.bring(crew, (service, &which, workloads), (&standing, target), stop)?;
                    }
                    None => {
                        return Err(fatal(format!(
                            "nobody wrote down how many {which} had: scale it by hand and mark the \
                             step done, or give the service's `runs_as` its `replicas` for the next run"
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    fn bring(
        &mut self,
        crew: &Crew,
        (service, which, workloads): (&str, &Which, &dyn Workloads),
        (standing, target): (&Standing, u32),
        stop: &Stop,
    ) -> Result<(), Trouble> {
        if standing.wanted != target || standing.noted.is_some() {
            self.say(crew, service, &format!("{which} goes back to {target}"));
            workloads.scale(which, target, None, stop)?;
        } else if standing.ready >= target {
            self.say(crew, service, &format!("{which}: {target} work"));
            self.state = State::Works;
        } else {
            let why = standing.ails.as_ref().map_or(String::new(), |why| format!(": {why}"));
            let ready = standing.ready;
            self.say(crew, service, &format!("{which}: {ready} of {target} work{why}"));
        }
        Ok(())
    }

    fn say(&mut self, crew: &Crew, service: &str, line: &str) {
        if self.said != line {
            crew.say(&format!("{service}: {line}"));
            line.clone_into(&mut self.said);
        }
    }
}

/// How many it is to have. What runs and has no note was started by somebody, or by an attempt before
/// this one: it stays as it is.
pub(super) fn goes_back_to(
    standing: &Standing,
    given: Option<u32>,
    planned: Option<u32>,
) -> Option<u32> {
    if standing.wanted > 0 && standing.noted.is_none() {
        return Some(standing.wanted);
    }
    given.or(standing.noted).or(planned)
}
