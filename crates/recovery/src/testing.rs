//! A run that tests work with: a plan, a target, a directory of its own.

use std::path::Path;
use std::sync::Arc;

use soter_plan::check::{Input, load};
use soter_plan::target::Target;
use soter_plan::{Reference, language};
use soter_runbook::child::{self, Launcher};
use soter_runbook::driver::{Attempt, Kind};
use soter_runbook::procedure::{Action, Parameters, Procedure, Step, compile};
use soter_runbook::steps::Place;
use soter_runbook::target::Bindings;
use soter_runbook::{RunId, StepId};
use soter_world::{OsDisk, SystemClock, SystemRandom};

use crate::actions::Means;
use crate::stores::Stores;

/// A scenario, so that a plan of stores has something to compile.
const SCENARIO: &str =
    "scenarios:\n  loss:\n    phases:\n      - steps:\n          - { id: first, run: 'true' }\n";

/// A run that is about to begin.
pub(crate) struct Desk {
    directory: tempfile::TempDir,
    plan: language::Plan,
    target: String,
}

impl Desk {
    /// With the stores and vaults of a plan, and the lines of a target.
    pub(crate) fn new(plan: &str, target: &str) -> Self {
        let has_scenario = plan.contains("scenarios:");
        let text = if has_scenario { plan.to_owned() } else { format!("{plan}{SCENARIO}") };
        let input = Input { name: "soter.yaml".to_owned(), bytes: text.into_bytes() };
        let plan = load(&[input]).plan;
        let target = format!("name: lab\n{target}");
        Self { directory: tempfile::tempdir().unwrap(), plan, target }
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn procedure(&self) -> Procedure {
        compile(&self.plan, "loss").unwrap_or_else(|complaints| panic!("{complaints:#?}"))
    }

    pub(crate) fn means(&self) -> Means {
        Means {
            disk: Arc::new(OsDisk),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            program: "/proc/self/exe".into(),
            identity: None,
            directory: self.root().to_owned(),
            look_up: Arc::new(|reference| match reference {
                Reference::Env(name) => Ok(format!("of {name}")),
                Reference::File(path) => Err(format!("{path} is not there")),
            }),
        }
    }

    pub(crate) fn stores(&self) -> Stores {
        Stores::of(&self.procedure(), &self.means())
    }

    pub(crate) fn place(&self) -> Place {
        let target = Target::read("lab.yaml", self.target.as_bytes()).unwrap();
        let bindings = Bindings::of(&target, self.root(), |_| Err("?".to_owned())).unwrap();
        Place::new(self.root().join("run"), bindings, std::env::vars())
    }
}

/// The boot of the machine that tests run on.
pub(crate) const BOOT: &str = "this boot";

/// Starts this test's own binary as the processes around a command.
pub(crate) fn launcher() -> Launcher {
    let arguments = ["--exact", "--nocapture", "testing::be_the_supervisor"].map(Into::into);
    Launcher { program: std::env::current_exe().unwrap(), arguments: arguments.to_vec() }
}

/// Not a test of anything: what a launcher starts. Its last arguments are a directory and, for the
/// process that becomes the command, the number of the supervisor.
#[test]
fn be_the_supervisor() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(at) = arguments.iter().position(|word| word.ends_with("::be_the_supervisor")) else {
        return;
    };
    match &arguments[at + 1..] {
        // A runner of tests has options of its own behind the name.
        [directory] if !directory.starts_with('-') => {
            let directory = Path::new(directory);
            child::supervise(&OsDisk, &SystemClock, &launcher(), directory).unwrap();
        }
        [directory, supervisor] => {
            let supervisor = supervisor.parse().unwrap();
            panic!("{:?}", child::begin(&OsDisk, BOOT, Path::new(directory), supervisor));
        }
        _ => {}
    }
}

pub(crate) fn run() -> RunId {
    RunId::parse("loss-20300102-0304-abcd").unwrap()
}

/// The first try of a step.
pub(crate) fn attempt(action: Action, change: impl FnOnce(&mut Step)) -> Attempt {
    let mut step = Step {
        id: StepId::parse("step").unwrap(),
        title: "a step".to_owned(),
        phase: 0,
        after: Vec::new(),
        action,
        on: None,
        budget: None,
        timeout: None,
        retries: 0,
        only_if: None,
        already_done: None,
        verify: Vec::new(),
        destructive: false,
        capture: Vec::new(),
        gives: Vec::new(),
        uses: Vec::new(),
        obliges: Vec::new(),
        lifts: Vec::new(),
        owner: None,
        if_it_fails: None,
        instead: None,
        undo: None,
    };
    change(&mut step);
    Attempt {
        run: run(),
        kind: Kind::Drill,
        step: Arc::new(step),
        number: 1,
        parameters: Arc::new(Parameters::default()),
    }
}
