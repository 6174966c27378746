//! What is missing before the first effect: programs, values, people, credentials, room.
//!
//! The rule it keeps: all of it is said at once, and before anything is done: who recovers at night must
//! not learn at the ninth step that a program is not there. What only may be in the way, because a step
//! before may put it there, is a remark.

mod again;
mod fence;
mod kinds;
mod programs;
mod reach;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use soter_plan::products;

use crate::ids::StepId;
use crate::procedure::{
    Action, Given, Http, Parameter, ParameterKind, ParameterSource, Parameters, Procedure,
    Question, RunsAs, Step,
};
use crate::steps::{Place, is_variable, variable_rule};

pub use again::preflight_again;
pub use programs::{Needs, needs};
pub use reach::Reach;

/// Something that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Objection {
    /// How much.
    pub weight: Weight,
    /// What.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// How much something is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The run would fail.
    Blocking,
    /// It may, or nobody can tell from here.
    Remark,
}

/// What can be found out about the world without changing it.
pub trait Surroundings {
    /// Those of these programs that a machine does not have; none: the machine of the run.
    ///
    /// # Errors
    /// In words, when it cannot be asked.
    fn missing_programs(
        &self,
        host: Option<&str>,
        names: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, String>;

    /// Whether a credential can be read; in words why not.
    ///
    /// # Errors
    /// When it cannot.
    fn credential(&self, name: &str) -> Result<(), String>;

    /// Whether nothing is at a path, or an empty directory; in words what is.
    ///
    /// # Errors
    /// When something is there.
    fn is_free(&self, path: &Path) -> Result<(), String>;

    /// Steps that nothing here carries out, questions that nothing here puts, and what is in the way
    /// of those that something does.
    fn unable(&self, procedure: &Procedure, place: &Place) -> Vec<Objection>;
}

/// Who begins the run, and with what.
#[derive(Debug)]
pub struct Beginning<'b> {
    /// The values that are known.
    pub parameters: &'b Parameters,
    /// Whether a person is there who can be asked for the others.
    pub can_ask: bool,
    /// Who begins it: they cannot approve it.
    pub requester: &'b str,
}

/// Everything that is in the way of a run, the worst first.
///
/// What is in the way of steps that only a person's word begins is a remark: a recovery does not wait for
/// what it may never need.
#[must_use]
pub fn preflight(
    procedure: &Procedure,
    place: &Place,
    beginning: &Beginning<'_>,
    surroundings: &dyn Surroundings,
) -> Vec<Objection> {
    if procedure.steps_of_ways().is_empty() {
        return examine(procedure, place, beginning, surroundings);
    }
    let sure = examine(&procedure.without_ways(), place, beginning, surroundings);
    let all = examine(procedure, place, beginning, surroundings);
    let of_ways = all.into_iter().filter(|one| !sure.contains(one));
    let remarks = of_ways.map(|one| Objection { weight: Weight::Remark, ..one });
    let mut found: Vec<Objection> = sure.iter().cloned().chain(remarks).collect();
    found.sort();
    found
}

fn examine(
    procedure: &Procedure,
    place: &Place,
    beginning: &Beginning<'_>,
    surroundings: &dyn Surroundings,
) -> Vec<Objection> {
    let mut found = Preflight { procedure, place, beginning, surroundings, objections: Vec::new() };
    found.parameters();
    found.programs();
    found.credentials();
    found.channels();
    found.standstills();
    found.approvers();
    found.targets();
    let mut objections = found.objections;
    objections.extend(fence::breaches(procedure, place, beginning.parameters));
    objections.extend(surroundings.unable(procedure, place));
    objections.sort();
    objections.dedup();
    objections
}

struct Preflight<'p> {
    procedure: &'p Procedure,
    place: &'p Place,
    beginning: &'p Beginning<'p>,
    surroundings: &'p dyn Surroundings,
    objections: Vec<Objection>,
}

/// The programs of one machine, and the step that needs each first.
type Wanted<'p> = BTreeMap<Option<String>, BTreeMap<String, Option<&'p StepId>>>;

impl Preflight<'_> {
    fn block(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.object(Weight::Blocking, what, hint);
    }

    fn object(&mut self, weight: Weight, what: impl Into<String>, hint: impl Into<String>) {
        self.objections.push(Objection { weight, what: what.into(), hint: hint.into() });
    }

    fn parameters(&mut self) {
        for parameter in &self.procedure.parameters {
            let name = &parameter.name;
            if !is_variable(name) {
                let what = format!("the parameter `{name}` cannot reach a script");
                self.block(what, variable_rule(name));
            }
            match self.beginning.parameters.get(name) {
                Some(given) => {
                    if let Err(why) = parameter.kind.check(given.expose()) {
                        let why = match given {
                            Given::Plain(_) => why,
                            Given::Hidden(_) => {
                                "its value has not the form it must have".to_owned()
                            }
                        };
                        let hint = format!("give another value: --param {name}=…");
                        self.block(format!("the parameter `{name}`: {why}"), hint);
                    }
                }
                None => self.no_value(parameter),
            }
        }
    }

    fn no_value(&mut self, parameter: &Parameter) {
        let name = &parameter.name;
        let source = parameter.source.as_deref().unwrap_or(name);
        let is_given = |step: &Step| step.gives.contains(name);
        let hint = match parameter.from {
            ParameterSource::Ask if self.beginning.can_ask => return,
            ParameterSource::Ask if parameter.kind == ParameterKind::Secret => {
                "begin the run at a terminal, where it is asked for without being shown".to_owned()
            }
            ParameterSource::Ask | ParameterSource::Value => format!("give it: --param {name}=…"),
            ParameterSource::Environment => format!("set the variable {source}"),
            ParameterSource::File => format!("put it into the file {source}"),
            ParameterSource::Credential => {
                format!("see that the credential `{source}` can be read")
            }
            ParameterSource::Step if self.procedure.steps.iter().any(is_given) => return,
            ParameterSource::Step => {
                let what = format!("no step gives the parameter `{name}`");
                let hint =
                    format!("write `echo {name}=… >> \"$SOTER_OUTPUT\"` in the step `{source}`");
                return self.block(what, hint);
            }
        };
        self.block(format!("the parameter `{name}` has no value"), hint);
    }

    fn programs(&mut self) {
        let (mut wanted, mut installed): (Wanted<'_>, BTreeSet<String>) = Default::default();
        for (step, on, script) in scripts(self.procedure) {
            let needs = needs(script);
            let on = on.map(|host| {
                self.beginning.parameters.fill(host).unwrap_or_else(|_| host.to_owned())
            });
            let is_known = !on.as_deref().is_some_and(|host| host.contains("${"));
            if is_known {
                let of_host = wanted.entry(on.clone()).or_default();
                // Elsewhere the script itself says that there is no bash.
                let shell = on.is_none().then(|| "bash".to_owned());
                for program in needs.programs.into_iter().chain(shell) {
                    of_host.entry(program).or_insert(step);
                }
            }
            let is_bound = |host: &String| self.place.bindings.hosts.contains_key(host);
            if on.as_ref().is_some_and(|host| !is_bound(host)) {
                wanted.entry(None).or_default().entry("ssh".to_owned()).or_insert(step);
            }
            installed.extend(needs.installs);
        }
        for (step, host, program) in calls_elsewhere(self.procedure, self.beginning.parameters) {
            let of_host = wanted.entry(Some(host.clone())).or_default();
            of_host.entry(program.to_owned()).or_insert(Some(step));
            if !self.place.bindings.hosts.contains_key(&host) {
                wanted.entry(None).or_default().entry("ssh".to_owned()).or_insert(Some(step));
            }
        }
        for (host, programs) in wanted {
            self.programs_of(host.as_deref(), &programs, &installed);
        }
    }

    fn programs_of(
        &mut self,
        host: Option<&str>,
        programs: &BTreeMap<String, Option<&StepId>>,
        installed: &BTreeSet<String>,
    ) {
        let names: BTreeSet<String> = programs.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let missing = match self.surroundings.missing_programs(host, &names) {
            Ok(missing) => missing,
            Err(why) => {
                let host = host.unwrap_or("this machine");
                let what = format!("`{host}` cannot be asked which programs it has: {why}");
                let hint = "see that it is reached before a step needs it, or bind it in a target";
                return self.object(Weight::Remark, what, hint);
            }
        };
        for name in missing {
            let here = host.map_or_else(|| "this machine".to_owned(), |host| format!("`{host}`"));
            let step = programs.get(&name).copied().flatten();
            let needed =
                step.map_or_else(String::new, |step| format!(", which the step `{step}` needs"));
            let what = format!("{here} has no program `{name}`{needed}");
            if installed.contains(&name) {
                self.object(Weight::Remark, what, "a step of this run installs it");
            } else if let Some(family) = products::invented_member(&name) {
                let product = family.product.as_deref().unwrap_or("its product");
                self.block(what, format!("{product} has none of that name: correct the step"));
            } else {
                self.block(what, "install it there, or put its directory into the target's `path`");
            }
        }
    }

    fn credentials(&mut self) {
        let mut names: BTreeMap<&str, &StepId> = BTreeMap::new();
        for step in &self.procedure.steps {
            let probes = step.only_if.iter().chain(&step.already_done).chain(&step.verify);
            let asked = probes.filter_map(|probe| match &probe.question {
                Question::Http(http) => Some(http),
                _ => None,
            });
            let done = match &step.action {
                Action::Http(http) => Some(http),
                _ => None,
            };
            let named = asked.chain(done).filter_map(|http: &Http| http.with.as_deref());
            for name in named {
                names.entry(name).or_insert(&step.id);
            }
        }
        for (name, step) in names {
            if let Err(why) = self.surroundings.credential(name) {
                let what =
                    format!("the credential `{name}` of the step `{step}` cannot be read: {why}");
                self.block(what, "begin the run where it can be");
            }
        }
    }

    fn channels(&mut self) {
        let steps = &self.procedure.steps;
        for step in steps {
            let Action::Notify(message) = &step.action else { continue };
            let is_bound = |name: &&String| !self.place.bindings.channels.contains_key(*name);
            let unbound: Vec<&String> = message.by.iter().filter(is_bound).collect();
            for name in unbound {
                let what = format!("no message of the step `{}` gets through `{name}`", step.id);
                let hint = "give the channel a command or a webhook under `channels` of the target";
                self.block(what, hint);
            }
        }
    }

    /// Services of which nobody said how they are stopped and started.
    fn standstills(&mut self) {
        let mut silent: BTreeMap<&str, &StepId> = BTreeMap::new();
        for step in &self.procedure.steps {
            let (Action::Quiesce(services) | Action::Resume(services)) = &step.action else {
                continue;
            };
            for one in services.iter().filter(|one| one.runs_as.is_empty()) {
                silent.entry(&one.service).or_insert(&step.id);
            }
        }
        for (service, step) in silent {
            let what = format!(
                "the step `{step}` stops or starts `{service}`, and the plan does not say how"
            );
            let hint = format!(
                "give the service `{service}` a `runs_as`: an object of Kubernetes, or scripts that \
                 stop and start it"
            );
            self.block(what, hint);
        }
    }

    fn approvers(&mut self) {
        for step in &self.procedure.steps {
            let Action::Approve { by, count, .. } = &step.action else { continue };
            let people: BTreeSet<&str> = by
                .iter()
                .flat_map(|name| match self.procedure.teams.get(name) {
                    Some(members) => members.iter().map(String::as_str).collect(),
                    None => vec![name.as_str()],
                })
                .filter(|person| *person != self.beginning.requester)
                .collect();
            let able = u32::try_from(people.len()).unwrap_or(u32::MAX);
            if able < *count {
                let what = format!(
                    "the step `{}` waits for {count} to say yes, and {able} can: who begins a run \
                     does not approve it",
                    step.id
                );
                self.block(what, "have somebody else begin it, or name more approvers");
            }
        }
    }

    fn targets(&mut self) {
        for step in &self.procedure.steps {
            let Action::Restore(restore) = &step.action else { continue };
            // What is on another machine the restore itself looks at, before it writes.
            if step.on.is_some() {
                continue;
            }
            let filled = restore.target.as_ref().map(|text| self.beginning.parameters.fill(text));
            // It is given later; the restore itself refuses what is not free.
            let Ok(written) = filled.transpose() else { continue };
            let planned = self.procedure.stores.get(&restore.store);
            let path = self.place.bindings.restored_to(
                &restore.store,
                written.as_deref().map(Path::new),
                planned.and_then(|store| store.data_directory.as_deref()),
            );
            let Some(path) = path else { continue };
            if let Err(why) = self.surroundings.is_free(&path) {
                let what =
                    format!("the step `{}` restores to {}, and {why}", step.id, path.display());
                self.block(
                    what,
                    "name a directory that is empty or not there: nothing is overwritten",
                );
            }
        }
    }
}

/// The programs that steps without scripts of their own call on other machines.
fn calls_elsewhere<'p>(
    procedure: &'p Procedure,
    parameters: &Parameters,
) -> Vec<(&'p StepId, String, &'static str)> {
    let of_step = |step: &'p Step| {
        let programs: &[&str] = match &step.action {
            Action::Restore(restore) if restore.bump_revision => &["soter", "etcdutl"],
            Action::Restore(_) => &["soter"],
            Action::Terraform(_) => &["terraform"],
            _ => &[],
        };
        // A name that nobody knows yet is asked for when its turn comes.
        let host = step.on.as_deref().and_then(|on| parameters.fill(on).ok());
        let on_host = move |program: &&'static str| Some((&step.id, host.clone()?, *program));
        programs.iter().filter_map(on_host)
    };
    procedure.steps.iter().flat_map(of_step).collect()
}

/// Every script with the step and the machine it runs on.
fn scripts(procedure: &Procedure) -> Vec<(Option<&StepId>, Option<&str>, &str)> {
    let mut scripts = Vec::new();
    for phase in &procedure.phases {
        if let Some(Question::Run(script)) = phase.only_if.as_ref().map(|probe| &probe.question) {
            scripts.push((None, None, script.as_str()));
        }
    }
    for step in &procedure.steps {
        let on = step.on.as_deref();
        match &step.action {
            Action::Run(script) => scripts.push((Some(&step.id), on, script.as_str())),
            Action::Quiesce(services) | Action::Resume(services) => {
                for part in services.iter().flat_map(|service| &service.runs_as) {
                    let RunsAs::Scripts { stop, start, on } = part else { continue };
                    // What is stopped is to be started again: both are looked for at once.
                    for script in [stop, start] {
                        scripts.push((Some(&step.id), on.as_deref(), script));
                    }
                }
            }
            _ => {}
        }
        for probe in step.only_if.iter().chain(&step.already_done).chain(&step.verify) {
            if let Question::Run(script) = &probe.question {
                scripts.push((Some(&step.id), on, script.as_str()));
            }
        }
    }
    scripts
}
