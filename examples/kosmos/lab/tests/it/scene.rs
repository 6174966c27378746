//! A scenario carried out in a laboratory as people do it: one begins it, others approve and answer from
//! other terminals, and its engine may be killed at any record of its journal.
//!
//! The rule it keeps: nothing is known of a run but what its commands and its journal say.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use soter_world::exec::{Child, Command, Finished, Output, Status};
use soter_world::sim::SeededRandom;
use soter_world::{Clock, SystemClock, random};

use crate::support::{Bench, TIMEOUT, wait_until};

/// Who begins every run; they may approve none of it.
const REQUESTER: &str = "engineer-1";

/// A run that takes longer hangs; one whose engines die everywhere has some hundreds of them.
const RUN_TIMEOUT: Duration = Duration::from_mins(10);
const RUN_TIMEOUT_EVERYWHERE: Duration = Duration::from_mins(90);

/// How long between two looks whether the engine has ended or somebody is asked.
const LOOK: Duration = Duration::from_millis(100);

/// How often an engine dies where a seed chooses, and of how many a run must have heard at least: it may
/// come to its end before all have died.
const DEATHS: usize = 10;
const LIVES_MIN: u64 = 5;

/// Where in an append an engine may die.
const MOMENTS: [&str; 3] = ["durable", "written", "before"];

/// What a person says in a run.
#[derive(Debug, Clone)]
pub(crate) enum Word {
    /// They approve a step.
    Approve(&'static str, &'static str),
    /// They answer a question.
    Answer(&'static str, String),
}

/// Where the lives of an engine end.
#[derive(Debug, Clone)]
pub(crate) enum Deaths {
    /// Nowhere.
    None,
    /// At ten points that a seed chooses, at most so many appends apart.
    Seeded(u64, u8),
    /// At every append: before it, and once it is written.
    Everywhere,
}

/// How a run went.
pub(crate) struct Ended {
    /// All of its journal.
    pub(crate) records: Vec<Value>,
    /// The directory of the run.
    pub(crate) directory: PathBuf,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// Runs of one laboratory.
pub(crate) struct Scene<'b> {
    bench: &'b Bench,
    state: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    /// Runs that have come to their ends.
    over: RefCell<BTreeSet<PathBuf>>,
}

impl<'b> Scene<'b> {
    /// None yet. None at all where there is no Kubernetes or Terraform: that is said.
    pub(crate) fn new(bench: &'b Bench) -> Option<Self> {
        let without = bench.description()["without"].clone();
        for needed in ["kubernetes", "terraform"] {
            if let Some(why) = without[needed].as_str() {
                println!("no scenario is carried out without {needed}: {why}");
                return None;
            }
        }
        let said = bench.json(&["environment"]);
        let environment = serde_json::from_value(said).unwrap();
        let state = tempfile::tempdir().unwrap();
        Some(Self { bench, state, environment, over: RefCell::default() })
    }

    fn soter(&self, arguments: &[&str]) -> Command {
        let soter = Path::new(env!("CARGO_BIN_EXE_kosmos-lab")).with_file_name("soter");
        let command = Command::new(soter)
            .args(arguments)
            .env("SOTER_STATE", self.state.path())
            .current_dir(self.bench.root().join("laptop"));
        let set = |command: Command, (name, value): (&String, &String)| command.env(name, value);
        self.environment.iter().fold(command, set)
    }

    /// Carries a scenario out to its end, which must be a success.
    pub(crate) fn run(
        &self,
        scenario: &str,
        parameters: &[&str],
        words: &[Word],
        deaths: &Deaths,
    ) -> Ended {
        let began = SystemClock.monotonic();
        let timeout = match deaths {
            Deaths::Everywhere => RUN_TIMEOUT_EVERYWHERE,
            Deaths::None | Deaths::Seeded(..) => RUN_TIMEOUT,
        };
        let graves = tempfile::tempdir().unwrap();
        let mut dooms = deaths.dooms(graves.path());
        let mut words: VecDeque<&Word> = words.iter().collect();
        let (mut lives, mut unheard, mut doomed) = (1, 0, dooms.next());
        let mut engine = self.start(&self.recover(scenario, parameters), doomed.as_deref());
        loop {
            let late = SystemClock.monotonic() - began > timeout;
            assert!(!late, "{scenario} does not end; {words:?} were not asked for: {}", self.log());
            if let Some(finished) = engine.wait_timeout(LOOK) {
                match finished.status {
                    Status::Exited(0) => break,
                    Status::Signaled(9) if doomed.is_some() => {}
                    other => panic!("{scenario} ended with {other:?}: {}", self.log()),
                }
                let begun = self.begun(scenario);
                if begun.as_ref().is_some_and(|directory| is_closed(directory)) {
                    self.is_over(begun.as_deref().unwrap());
                    break;
                }
                doomed = dooms.next();
                unheard += u64::from(begun.is_none());
                engine = self.start(&self.again(scenario, parameters), doomed.as_deref());
                lives += 1;
            } else if words.front().is_some_and(|word| self.say(scenario, word)) {
                words.pop_front();
            }
        }
        let directory = self.directory(scenario).unwrap();
        self.over.borrow_mut().insert(directory.clone());
        let seconds = (SystemClock.monotonic() - began).as_secs_f64();
        let ended = Ended { records: records(&directory), directory, seconds };
        println!("{scenario}: {lives} engines, {} records", ended.records.len());
        deaths.were_died(lives, unheard, graves.path(), &ended.records);
        self.check(&ended);
        ended
    }

    /// Whoever goes on with a run that is closed hears that, and the mirror hears it too.
    fn is_over(&self, directory: &Path) {
        let run = directory.file_name().unwrap().to_str().unwrap();
        let vault = &self.environment["KOSMOS_VAULT"];
        let words = ["run", "resume", run, "--vault", vault, "--identity", "keys/operator-1.key"];
        let said = String::from_utf8(self.tell(&words).stderr).unwrap();
        assert!(said.contains("the run is closed"), "{said}");
    }

    /// The command line that begins a run.
    fn recover(&self, scenario: &str, parameters: &[&str]) -> Vec<String> {
        let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kosmos-lab");
        let (plan, vault) = (plan.display().to_string(), &self.environment["KOSMOS_VAULT"]);
        let fixed = ["recover", scenario, "--plan", &plan, "--target", "target.yaml", "--yes"];
        let people = ["--as", REQUESTER, "--vault", vault, "--identity", "keys/operator-1.key"];
        let values = parameters.iter().flat_map(|value| ["--param", *value]);
        fixed.into_iter().chain(people).chain(values).map(str::to_owned).collect()
    }

    /// Goes on with it; one that died before anything was durable is begun again.
    fn again(&self, scenario: &str, parameters: &[&str]) -> Vec<String> {
        match self.begun(scenario) {
            None => self.recover(scenario, parameters),
            Some(directory) => {
                let run = directory.file_name().unwrap().to_str().unwrap();
                let vault = &self.environment["KOSMOS_VAULT"];
                let words = ["run", "resume", run, "--vault", vault, "--identity"];
                words.into_iter().chain(["keys/operator-1.key"]).map(str::to_owned).collect()
            }
        }
    }

    fn start(&self, arguments: &[String], doom: Option<&str>) -> Child {
        let log = || Output::append_to(&self.state.path().join("engine.log")).unwrap();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let command = self.soter(&words).stdout(log()).stderr(log());
        let command = doom
            .into_iter()
            .fold(command, |command, doom| command.env("SOTER_TEST_KILL_ENGINE", doom));
        command.spawn().unwrap()
    }

    /// Says something, if it is asked for by now; whether it is said.
    fn say(&self, scenario: &str, word: &Word) -> bool {
        let Some(directory) = self.directory(scenario) else { return false };
        let run = directory.file_name().unwrap().to_str().unwrap();
        let is_said = |kind: &str, step: &str| {
            let records = records(&directory);
            records.iter().any(|one| one["type"] == kind && one["body"]["step"] == step)
        };
        match word {
            Word::Approve(step, person) => {
                let made = self.soter(&["--json", "run", "code", run, step, "--as", person]);
                let made = made.run(TIMEOUT).unwrap();
                if made.status == Status::Exited(0) {
                    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
                    let code = made["code"].as_str().unwrap().to_owned();
                    self.tell(&["run", "approve", run, step, "--as", person, "--code", &code]);
                }
                is_said("approved", step)
            }
            Word::Answer(step, text) => {
                self.tell(&["run", "answer", run, step, text, "--as", "security-lead"]);
                is_said("answered", step)
            }
        }
    }

    fn tell(&self, arguments: &[&str]) -> Finished {
        self.soter(arguments).run(TIMEOUT).unwrap()
    }

    /// The run of a scenario that is not over. One that died before anything of it was durable may lie
    /// beside it.
    fn directory(&self, scenario: &str) -> Option<PathBuf> {
        let listed = fs::read_dir(self.state.path().join("runs")).ok()?.flatten();
        let over = self.over.borrow();
        let mut of_scenario: Vec<PathBuf> = listed
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(scenario))
            .map(|entry| entry.path())
            .filter(|path| !over.contains(path))
            .collect();
        of_scenario.sort_by_key(|path| records(path).len());
        of_scenario.pop()
    }

    /// The same, if anything of it was durable.
    fn begun(&self, scenario: &str) -> Option<PathBuf> {
        self.directory(scenario).filter(|directory| !records(directory).is_empty())
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.state.path().join("engine.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(60)..).unwrap_or_default().join("\n")
    }

    /// What holds of every run, whoever died in it.
    fn check(&self, ended: &Ended) {
        let journal = ended.directory.join("journal").display().to_string();
        let verified = self.tell(&["journal", "verify", &journal]);
        assert_eq!(verified.status, Status::Exited(0), "{}", self.log());
        let last = ended.records.last().unwrap();
        assert_eq!((&last["type"], &last["body"]["result"]), (&"closed".into(), &"success".into()));
        nothing_is_repeated_on_hope(&ended.records);
        self.secrets_are_nowhere();
        // What asks whether a pod is ready gives up sooner on a busy machine than what is asked can answer.
        wait_until("all parts work", || {
            let status = self.bench.status();
            let parts = status["parts"].as_array().unwrap();
            let broken = parts.iter().find(|part| part["works"] != true);
            if let Some(part) = broken {
                println!("does not work yet: {part}");
            }
            broken.is_none()
        });
    }

    /// Secrets of people and of the edge stand in no file that a run has left.
    fn secrets_are_nowhere(&self) {
        let secret =
            |(name, _): &(&String, &String)| name.ends_with("_SECRET") || name.ends_with("_TOKEN");
        for (name, value) in self.environment.iter().filter(secret) {
            let grep = Command::new("grep").args(["--recursive", "--files-with-matches", "-F"]);
            let found = grep.arg(value).arg(self.state.path()).run(TIMEOUT).unwrap();
            let files = String::from_utf8(found.stdout).unwrap();
            assert_eq!(files, "", "{name} stands in a file");
        }
    }
}

impl Deaths {
    /// For each life of an engine at which of its appends it dies, and when in it.
    fn dooms(&self, graves: &Path) -> Box<dyn Iterator<Item = String>> {
        match self {
            Self::None => Box::new(std::iter::empty()),
            Self::Seeded(seed, span) => {
                let (random, span) = (SeededRandom::new(*seed), *span);
                let below = move |limit: u8| random::bytes::<1>(&random)[0] % limit;
                let dooms = (0..DEATHS)
                    .map(move |_| (2 + below(span), MOMENTS[usize::from(below(3))]))
                    .map(|(append, moment)| format!("{append}:{moment}"));
                Box::new(dooms)
            }
            Self::Everywhere => {
                Box::new(std::iter::repeat(format!("everywhere:{}", graves.display())))
            }
        }
    }

    /// So many engines have died where they were to.
    fn were_died(&self, lives: u64, unheard: u64, graves: &Path, records: &[Value]) {
        // Each has said that it lives, but those that died before they could.
        let heard = records.last().unwrap()["epoch"].as_u64().unwrap();
        assert!(heard + unheard <= lives, "{heard} of {lives} engines were heard of");
        match self {
            Self::None => assert_eq!(lives, 1),
            Self::Seeded(..) => {
                assert!(lives >= LIVES_MIN, "{lives} engines are too few");
                assert_eq!(heard + unheard, lives, "engines died before they had a chance");
            }
            Self::Everywhere => {
                let graves: BTreeSet<String> = fs::read_dir(graves)
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect();
                for record in records {
                    let body = &record["body"];
                    let step = body["step"].as_str().or(body["about"]["step"]["step"].as_str());
                    let Some(step) = step else { continue };
                    let about = format!("{}-{step}-", record["type"].as_str().unwrap());
                    let about = about.replace('_', "-");
                    let died = |moments: &[&str]| {
                        let at = |moment| {
                            graves
                                .iter()
                                .any(|grave| grave.contains(&about) && grave.ends_with(moment))
                        };
                        assert!(moments.iter().any(at), "no engine died {moments:?} {about}");
                    };
                    died(&["before"]);
                    died(&["written", "durable"]);
                }
            }
        }
    }
}

/// A step that cannot be taken back is begun again only after a probe said that it was not done, or a
/// person said so.
fn nothing_is_repeated_on_hope(records: &[Value]) {
    let mut begun: BTreeMap<&str, bool> = BTreeMap::new();
    for record in records {
        let body = &record["body"];
        match record["type"].as_str().unwrap() {
            "step_started" if body["destructive"] == true => {
                let allowed = begun.insert(body["step"].as_str().unwrap(), false);
                assert_ne!(allowed, Some(false), "begun again without a word: {record}");
            }
            "probe"
                if body["answer"] == "no" && body["about"]["step"]["which"] == "already_done" =>
            {
                let step = body["about"]["step"]["step"].as_str().unwrap();
                begun.entry(step).and_modify(|allowed| *allowed = true);
            }
            "resolved" | "retry" if record["by"] != "engine" => {
                let step = body["step"].as_str().unwrap();
                begun.entry(step).and_modify(|allowed| *allowed = true);
            }
            // What certainly never began may be begun.
            "interrupted" if body["began"] == false => {
                let step = body["step"].as_str().unwrap();
                begun.entry(step).and_modify(|allowed| *allowed = true);
            }
            _ => {}
        }
    }
}

fn is_closed(directory: &Path) -> bool {
    records(directory).last().is_some_and(|record| record["type"] == "closed")
}

/// The records of a journal that are whole.
fn records(directory: &Path) -> Vec<Value> {
    let journal = fs::read_to_string(directory.join("journal")).unwrap_or_default();
    journal.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}
