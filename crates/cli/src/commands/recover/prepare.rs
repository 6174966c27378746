//! Everything that is known before a run begins.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use soter_plan::check::{self, Loaded};
use soter_plan::doc::Digest;
use soter_plan::language::Plan;
use soter_plan::nearest;
use soter_runbook::RunId;
use soter_runbook::driver::Kind;
use soter_runbook::journal::FORMAT_VERSION;
use soter_runbook::preflight::{self, Objection, Reach as Reaching, Weight, preflight};
use soter_runbook::procedure::{Action, Complaint, ParameterSource, Procedure, compile};
use soter_runbook::state::{Begun, Life, MirrorState};
use soter_vault::keys::OperatorKey;

use super::RecoverArgs;
use crate::context::{Access, Context};
use crate::failure::{Ending, Failure};
use crate::plans::{PlanFiles, published};
use crate::runs::approvers::{Approvers, unheard};
use crate::runs::since;
use crate::runs::stage::{self, Reach, Stage};
use crate::runs::values::Values;
use soter_recovery::mirror::VaultMirror;

/// A run before it begins.
pub(super) struct Prepared {
    /// What it will be called.
    pub(super) run: RunId,
    /// Who begins it.
    pub(super) requester: String,
    /// When the disaster happened, if somebody said.
    pub(super) disaster: Option<Timestamp>,
    /// The digest of the plan's files.
    pub(super) digest: String,
    /// What is done.
    pub(super) procedure: Procedure,
    /// Values of parameters.
    pub(super) values: Values,
    /// Whose codes can be checked.
    pub(super) approvers: Approvers,
    /// How this machine reaches what it needs.
    pub(super) reach: Reach,
    /// What it is carried out with.
    pub(super) stage: Stage,
    /// What is in the way by what was looked at here.
    objections: Vec<Objection>,
}

impl Prepared {
    pub(super) fn new(context: &Context, args: &RecoverArgs) -> Result<Self, Failure> {
        let identity = stage::identity(args.access.identity.as_deref())?;
        let files = files(context, args, identity.clone())?;
        let (plan, procedure, digest) = compiled(context, &files, &args.scenario)?;
        let requester = args.person.name()?;
        let disaster = disaster(context, args)?;
        let mut objections = Vec::new();
        let run = RunId::new(&args.scenario, context.clock.now(), &*context.random)
            .map_err(|error| Failure::of(Ending::Input, &error))?;
        let target = args.target.as_deref().map(stage::absolute).transpose()?;
        let directory = std::env::current_dir().ok();
        let mut reach = Reach { target, vault: None, identity, directory };
        let bindings = reach.bindings(context)?;
        objections.extend(stranger(&plan, &procedure, (&requester, bindings.kind)));
        let mirror = match args.local {
            true => None,
            false => {
                let key = reach.key(context)?;
                let urls = vaults(&plan, args.access.vault.as_deref())?;
                let found = second_place(context, &run, (&urls, key), &mut objections)?;
                found.map(|(url, mirror)| {
                    reach.vault = Some(url);
                    mirror
                })
            }
        };
        unfinished(context, args, bindings.title(), &mut objections)?;
        let directory = args.state.directory()?.join("runs").join(run.as_str());
        let values = Values::gather(context, &procedure, &bindings, &args.parameters)?;
        let approvers = Approvers::of(&*context.disk, &procedure);
        if bindings.kind == Kind::Real {
            let weight = if args.break_glass { Weight::Remark } else { Weight::Blocking };
            objections.extend(unheard(&procedure, &approvers, &requester, weight));
        }
        let stage = Stage::new(context, &directory, (&procedure, bindings), &reach, mirror)?;
        Ok(Self {
            run,
            requester,
            disaster,
            digest,
            procedure,
            values,
            approvers,
            reach,
            stage,
            objections,
        })
    }

    /// Everything that is in the way, the worst first.
    pub(super) fn preflight(
        &mut self,
        context: &Context,
        can_ask: bool,
    ) -> Result<Vec<Objection>, Failure> {
        if !can_ask {
            self.values.take_defaults(&self.procedure);
        }
        if let Some(mirror) = &self.stage.mirror {
            for finding in mirror.findings() {
                context.output.warn(&format!("in the vault: {finding}"));
            }
        }
        let parameters = self.values.parameters();
        let beginning =
            preflight::Beginning { parameters: &parameters, can_ask, requester: &self.requester };
        let reaching = Reaching { tools: &self.stage.tools, run: self.run.clone() };
        let place = &self.stage.tools.place;
        let mut found = preflight(&self.procedure, place, &beginning, &reaching);
        for (name, why) in &self.values.failed {
            // With the reason, instead of without.
            let known = format!("the parameter `{name}` has no value");
            found.retain(|objection| objection.what != known);
            found.push(Objection {
                weight: Weight::Blocking,
                what: format!("{known}: {why}"),
                hint: format!("begin the run where it can be read, or give it: --param {name}=…"),
            });
        }
        let means = &self.stage.means;
        found.extend(soter_recovery::objections(&self.procedure, place, &parameters, means));
        found.extend(self.objections.iter().cloned());
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// How the run would begin, and in which directory, without the values of its parameters.
    pub(super) fn begun(&self) -> (&Path, Begun) {
        let place = &self.stage.tools.place;
        let mirror = match self.stage.mirror {
            Some(_) => MirrorState::Following,
            None => MirrorState::Local,
        };
        let begun = Begun {
            journal: FORMAT_VERSION,
            run: self.run.clone(),
            kind: place.bindings.kind,
            target: place.bindings.title().to_owned(),
            requester: self.requester.clone(),
            disaster: self.disaster,
            host: String::new(),
            plan: self.digest.clone(),
            procedure: self.procedure.clone(),
            parameters: BTreeMap::new(),
            mirror,
        };
        (&place.run_directory, begun)
    }

    /// Asks for what only a person at the terminal can say; whether anything was asked.
    pub(super) fn ask(&mut self) -> Result<bool, Failure> {
        self.values.ask(self.procedure.parameters.iter())
    }
}

fn disaster(context: &Context, args: &RecoverArgs) -> Result<Option<Timestamp>, Failure> {
    let now = context.clock.now();
    let moment = args.since.as_deref().map(|written| since::moment(written, now)).transpose();
    moment.map_err(|why| Failure::new(Ending::Input, format!("--since: {why}")).hint(since::FORMS))
}

/// The plan's files: at `--plan`, or if nothing is there in the vault.
fn files(
    context: &Context,
    args: &RecoverArgs,
    identity: Option<std::path::PathBuf>,
) -> Result<PlanFiles, Failure> {
    let vault = args.access.vault.clone().filter(|vault| is_url(vault));
    let access = Access { vault, identity };
    let found = published::find(context, std::slice::from_ref(&context.plan_path), &access);
    let mut found = found.map_err(|failure| {
        failure.hint(
            "name it with --plan PATH, or take the one that was published: --vault URL --identity \
             operator.key",
        )
    })?;
    match (found.pop(), found.is_empty()) {
        (Some(files), true) => Ok(files),
        _ => Err(Failure::new(Ending::Input, "--plan names several plans")),
    }
}

fn is_url(vault: &str) -> bool {
    vault.contains("://")
}

/// What a scenario of these files does, and the digest of the files.
fn compiled(
    context: &Context,
    files: &PlanFiles,
    scenario: &str,
) -> Result<(Plan, Procedure, String), Failure> {
    let inputs = files.read(&*context.disk)?;
    let digest = Digest::of(&inputs).to_string();
    let loaded = check::load(&inputs);
    if !loaded.findings.is_empty() {
        let count = loaded.findings.len();
        context.output.warn(&format!("the plan has mistakes ({count}): `soter check` shows them"));
    }
    if !loaded.plan.scenarios.contains(scenario) {
        let failure = Failure::new(Ending::Input, format!("the plan has no scenario {scenario:?}"));
        let known: Vec<&str> = loaded.plan.scenarios.names().collect();
        return Err(match nearest(scenario, known.iter().copied()) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint(format!("take one of: {}", known.join(", "))),
        });
    }
    let procedure = compile(&loaded.plan, scenario)
        .map_err(|complaints| incomplete(scenario, &complaints, &loaded))?;
    Ok((loaded.plan, procedure, digest))
}

/// What a run would have to guess, each with its place.
fn incomplete(scenario: &str, complaints: &[Complaint], loaded: &Loaded) -> Failure {
    let what = format!("{scenario} cannot be run as it is written");
    let mut failure = Failure::new(Ending::Input, what);
    let mut text = format!("error: {}", failure.what);
    for Complaint { origin, what, hint } in complaints {
        let source = origin.and_then(|origin| Some((origin, loaded.sources.file(origin.file)?)));
        let place = source.map(|(origin, source)| {
            let place = source.place(origin.range().start);
            format!("{}:{}:{}: ", source.name, place.line, place.column)
        });
        text.push_str(&format!("\n  {}{what}\n    hint: {hint}", place.unwrap_or_default()));
    }
    failure.rendered = Some(text);
    failure
}

/// The addresses of the vaults that may keep the journal.
fn vaults(plan: &Plan, named: Option<&str>) -> Result<Vec<String>, Failure> {
    let url = |name: &str| plan.vaults.get(name)?.url.as_ref().map(|url| url.value.clone());
    match named {
        Some(named) if is_url(named) => Ok(vec![named.to_owned()]),
        Some(named) => url(named).map(|url| vec![url]).ok_or_else(|| {
            let failure = Failure::new(Ending::Input, format!("the plan has no vault {named:?}"));
            match nearest(named, plan.vaults.names()) {
                Some(near) => failure.hint(format!("did you mean {near}?")),
                None => failure.hint("give its address: --vault URL"),
            }
        }),
        None => Ok(plan.vaults.names().filter_map(url).collect()),
    }
}

/// The first vault that takes the journal. Without one the run is local, and that is said.
fn second_place(
    context: &Context,
    run: &RunId,
    (urls, key): (&[String], Option<OperatorKey>),
    objections: &mut Vec<Objection>,
) -> Result<Option<(String, VaultMirror)>, Failure> {
    let mut object = |weight, what: String, hint: &str| {
        objections.push(Objection { weight, what, hint: hint.to_owned() });
    };
    if urls.is_empty() {
        let what = "LOCAL ONLY: the plan names no vault, so the journal has no second place";
        object(Weight::Remark, what.to_owned(), "give the plan a vault, or name one: --vault URL");
        return Ok(None);
    }
    let Some(key) = key else {
        let what = "the journal would be on this machine alone: no operator's key was given";
        let hint = "--identity operator.key; or --local, and nothing keeps a second engine out";
        object(Weight::Blocking, what.to_owned(), hint);
        return Ok(None);
    };
    for url in urls {
        let mirror = stage::mirror(context, run, url, &key)?;
        match mirror.may_write() {
            Ok(()) => return Ok(Some((url.clone(), mirror))),
            Err(error) => {
                let what = format!("the vault {url} does not take the journal: {}", error.0);
                object(Weight::Remark, what, "mend that, or go on without");
            }
        }
    }
    let what = "LOCAL ONLY: no vault takes the journal, so nothing keeps a second engine out";
    object(Weight::Remark, what.to_owned(), "make sure that nobody else carries this recovery out");
    Ok(None)
}

/// Who begins a run approves none of its steps. That holds only if the plan knows them by the name they
/// begin it with: somebody else's codes are asked of whoever else that may be.
fn stranger(
    plan: &Plan,
    procedure: &Procedure,
    (requester, kind): (&str, Kind),
) -> Option<Objection> {
    if plan.people.is_empty() || plan.people.contains(requester) {
        return None;
    }
    let mut actions = procedure.steps.iter().map(|step| &step.action);
    let is_approved = actions.any(|action| matches!(action, Action::Approve { .. }));
    let weight = match kind {
        Kind::Real if is_approved => Weight::Blocking,
        _ => Weight::Remark,
    };
    Some(Objection {
        weight,
        what: format!("the plan has nobody called {requester}, who begins the run"),
        hint: "who begins a run does not approve it: name yourself as the plan does, --as PERSON"
            .to_owned(),
    })
}

/// Runs of the same scenario on the same target that are not over: two of them at once would do
/// everything twice.
fn unfinished(
    context: &Context,
    args: &RecoverArgs,
    target: &str,
    objections: &mut Vec<Objection>,
) -> Result<(), Failure> {
    for found in args.state.runs(context)? {
        // A journal that cannot be read is what `soter runs` speaks of.
        let Ok(loaded) = found.load(context) else { continue };
        let begun = &loaded.state.begun;
        let is_same = begun.procedure.scenario == args.scenario && begun.target == target;
        if !is_same || matches!(loaded.state.life, Life::Closed(_)) {
            continue;
        }
        let run = &found.run;
        objections.push(match found.is_live(context)? {
            true => Objection {
                weight: Weight::Blocking,
                what: format!("{run} carries out the same on {target} now"),
                hint: format!("watch it: soter run show {run}; or end it: soter run abort {run}"),
            },
            false => Objection {
                weight: Weight::Remark,
                what: format!("{run}, of the same on {target}, is not over"),
                hint: format!("go on with that one instead: soter run resume {run}"),
            },
        });
    }
    Ok(())
}

impl Values {
    /// What the plan takes if nothing is answered, where nobody is asked.
    fn take_defaults(&mut self, procedure: &Procedure) {
        for parameter in &procedure.parameters {
            let is_asked = parameter.from == ParameterSource::Ask;
            if let Some(value) = parameter.value.as_ref().filter(|_| is_asked)
                && !self.given.contains_key(&parameter.name)
            {
                self.insert(parameter, value.clone());
            }
        }
    }
}
