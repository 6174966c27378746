//! Runs from seeds, killed at every operation of their disk.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use soter_world::sim::{SeededRandom, SimDisk, seeds};
use soter_world::{Machine, Secret, durable};

use super::generate::generate;
use super::laboratory::{Fact, Laboratory, MachineClock, Machinery, SharedMirror, value};
use super::{PLACE, beginning};
use crate::driver::effects::{Answer, Asked, Kind, Which};
use crate::driver::engine::{Beginning, Engine, EngineError, Progress, Resuming, World};
use crate::driver::lock::Lock;
use crate::driver::request::{self, Proof, Request, Wish};
use crate::journal::{self, Mirror};
use crate::procedure::{Action, Given, Procedure};
use crate::state::{Closing, Entry, Needed, Resolution, RetryFrom, State, Status, StepState};

/// A run that has not ended after so many turns never will.
const TURNS_MAX: usize = 3000;

/// How many steps another way was taken for, in all runs that were closed.
static REPLACED: AtomicU32 = AtomicU32::new(0);

/// How many steps were taken back, in all runs that were closed.
static UNDONE: AtomicU32 = AtomicU32::new(0);

/// A machine with a disk, a run, and somebody at the keyboard.
pub(super) struct Site<'l> {
    pub(super) laboratory: &'l Laboratory,
    pub(super) disk: SimDisk,
    pub(super) clock: MachineClock,
    pub(super) machine: usize,
    pub(super) boot: u32,
    pub(super) random: SeededRandom,
    pub(super) mirror: Option<&'l SharedMirror>,
    /// Also jumps of the clock.
    pub(super) rough: bool,
    /// So often somebody may still have something undone by mere chance: what comes of it is long.
    undos: Cell<u32>,
}

impl<'l> Site<'l> {
    pub(super) fn new(laboratory: &'l Laboratory, machine: usize, seed: u64) -> Self {
        Self {
            laboratory,
            disk: SimDisk::new(seed),
            clock: MachineClock::new(&laboratory.clock),
            machine,
            boot: 1,
            random: SeededRandom::new(seed ^ 0xabcd),
            mirror: None,
            rough: true,
            undos: Cell::new(1),
        }
    }

    fn identity(&self) -> Machine {
        Machine {
            host: format!("host-{}", self.machine),
            boot: format!("b{}-{}", self.machine, self.boot),
        }
    }

    pub(super) fn effects(&self) -> Machinery<'l> {
        Machinery { laboratory: self.laboratory, machine: self.machine }
    }

    pub(super) fn world<'w>(&'w self, effects: &'w Machinery<'l>) -> World<'w> {
        World {
            disk: &self.disk,
            clock: &self.clock,
            random: &self.random,
            effects,
            mirror: self.mirror.map(|mirror| mirror as &dyn Mirror),
            machine: self.identity(),
        }
    }

    /// The engine is dead, with the power cut the whole machine.
    pub(super) fn die(&mut self, power_cut: bool) {
        self.laboratory.crash(self.machine, power_cut);
        if power_cut {
            self.disk.reboot();
            self.boot += 1;
            self.clock.boot();
        } else {
            self.disk.restart();
        }
        self.disk.full_after(u64::MAX);
    }

    /// One turn, with whatever people do before it.
    pub(super) fn turn(&self, engine: &mut Engine<'_>) -> Result<Progress, EngineError> {
        if self.rough && self.random.chance(2) {
            let seconds = i64::try_from(self.random.below(200_000)).unwrap() - 100_000;
            self.clock.jump(seconds);
        }
        for request in self.people(engine.state()) {
            // People who read that a disk is full make room. On one that is dead the request is lost.
            if request::send(&self.disk, Path::new(PLACE), (&self.clock, &self.random), &request)
                .is_err()
            {
                self.disk.full_after(u64::MAX);
            }
        }
        engine.turn(Duration::from_secs(10))
    }

    /// What people do about what a run needs. They look before they speak.
    fn people(&self, state: &State) -> Vec<Request> {
        let mut requests = Vec::new();
        let mut say = |by: &str, wish| requests.push(Request { by: by.to_owned(), wish });
        let why = || "looked at it".to_owned();
        let procedure = &state.begun.procedure;
        for question in state.questions() {
            if self.random.chance(40) {
                continue;
            }
            let step = question.step.clone();
            match (question.needed, step) {
                (Needed::Approval { by, .. }, Some(step)) => {
                    let by = self.one_of(procedure, &by);
                    if self.random.chance(5) {
                        say(by, Wish::Refuse { step, why: why() });
                    } else {
                        say(by, Wish::Approve { step, proof: Proof::Word });
                    }
                }
                (Needed::Answer(_) | Needed::Deed, Some(step))
                    if self.branches(state, &step, 15) =>
                {
                    say("anna", Wish::Branch { step, why: why() });
                }
                (Needed::Answer(gives), Some(step)) => {
                    let value = gives.first().map_or_else(why, |name| value(procedure, name));
                    say("anna", Wish::Answer { step, value });
                }
                (Needed::Value(name), _) => {
                    let value = value(procedure, &name);
                    say("anna", Wish::Give { name, value });
                }
                (Needed::Deed, Some(step)) => {
                    self.laboratory.do_by_hand(&step);
                    say("anna", Wish::Answer { step, value: "done".to_owned() });
                }
                (Needed::Look(about), _) => {
                    let answer = self.laboratory.truth_of(&about);
                    say("anna", Wish::Look { about, answer, evidence: why() });
                }
                (Needed::Decision, Some(step)) => say("anna", self.decision(state, &step)),
                (Needed::Resolution, Some(step)) => say("anna", self.resolution(state, &step)),
                (Needed::Lifting(names), _) => {
                    for name in names {
                        say("anna", Wish::Lift { name, why: why() });
                    }
                }
                (Needed::Continuing, _) => say("anna", Wish::Continue { why: why() }),
                (needed, None) => panic!("{needed:?} of no step"),
            }
        }
        if self.rough && self.random.chance(1) {
            say("anna", Wish::Pause { why: why() });
        }
        requests.extend(self.whims(state));
        requests
    }

    /// What somebody thinks of who was not asked.
    fn whims(&self, state: &State) -> Vec<Request> {
        let mut requests = Vec::new();
        let mut say = |by: &str, wish| requests.push(Request { by: by.to_owned(), wish });
        let why = || "looked at it".to_owned();
        for step in state.open().map(|one| &one.step.id) {
            if self.rough && self.branches(state, step, 5) {
                say("bea", Wish::Branch { step: step.clone(), why: why() });
            }
        }
        let may_undo = |step: &&StepState| state.may_undo(&step.step.id, false).is_ok();
        if self.rough && self.undos.get() > 0 && self.random.chance(1) {
            let all: Vec<&StepState> = state.steps().filter(may_undo).collect();
            if !all.is_empty() {
                self.undos.set(self.undos.get() - 1);
                let chosen = &all[self.random.index(all.len())].step;
                let step = chosen.id.clone();
                for undo in chosen.undo.iter().flat_map(|way| &way.steps) {
                    self.laboratory.note(Fact::PersonSaidRun { step: undo.clone() });
                }
                say("cleo", Wish::Undo { step, by_hand: false, why: why() });
            }
        }
        requests
    }

    /// Somebody who may speak for these people and teams.
    fn one_of<'p>(&self, procedure: &'p Procedure, names: &'p [String]) -> &'p str {
        let members = |name: &'p String| {
            procedure.teams.get(name).map_or(std::slice::from_ref(name), Vec::as_slice)
        };
        let people: Vec<&String> = names.iter().flat_map(members).collect();
        people[self.random.index(people.len())]
    }

    /// Whether somebody takes the other way of a step, where there is one, in so many of 100 times.
    fn branches(&self, state: &State, step: &crate::ids::StepId, percent: u64) -> bool {
        state.may_branch(step).is_ok() && self.random.chance(percent)
    }

    fn decision(&self, state: &State, step: &crate::ids::StepId) -> Wish {
        let truth = self.laboratory.inspect(step);
        let (step, known) = (step.clone(), state.step(step).unwrap());
        let at = match &known.status {
            Status::Failed { at, .. } => *at,
            Status::Undone { .. } => RetryFrom::Beginning,
            other => panic!("{other:?}"),
        };
        // Nothing that took it back may go on when it is done again.
        if let Some(way) = &known.step.undo {
            way.steps.iter().for_each(|undo| drop(self.laboratory.inspect(undo)));
        }
        let truth = if known.step.undo.is_some() { self.laboratory.inspect(&step) } else { truth };
        let is_persons = matches!(known.step.action, Action::Approve { .. } | Action::Ask { .. });
        if self.branches(state, &step, 70) {
            Wish::Branch { step, why: "the other way is surer".to_owned() }
        } else if state.may_undo(&step, true).is_ok() && self.random.chance(10) {
            self.laboratory.take_back_by_hand(&step);
            Wish::Undo { step, by_hand: true, why: "it is gone".to_owned() }
        } else if at == RetryFrom::Verification && (truth.applied > 0 || is_persons) {
            Wish::Retry { step, from: RetryFrom::Verification }
        } else if truth.applied > 0 && !is_persons {
            Wish::MarkDone { step, why: "it is there".to_owned() }
        } else {
            self.laboratory.note(Fact::PersonSaidRun { step: step.clone() });
            Wish::Retry { step, from: RetryFrom::Beginning }
        }
    }

    fn resolution(&self, state: &State, step: &crate::ids::StepId) -> Wish {
        let truth = self.laboratory.inspect(step);
        let has_other_way = state.step(step).is_some_and(|one| one.step.instead.is_some());
        let resolution = match (truth.needed, truth.applied) {
            (false, _) => Resolution::Skip,
            _ if has_other_way && self.random.chance(50) => Resolution::Failed,
            (true, 0) => Resolution::Run,
            (true, _) => Resolution::Done,
        };
        if resolution == Resolution::Run {
            self.laboratory.note(Fact::PersonSaidRun { step: step.clone() });
        }
        Wish::Resolve { step: step.clone(), resolution, why: "looked at it".to_owned() }
    }

    pub(super) fn journal(&self) -> Vec<u8> {
        durable::read(&self.disk, &Path::new(PLACE).join("journal"), 1 << 24).unwrap()
    }
}

pub(super) fn drawn(seed: u64) -> (Procedure, Beginning) {
    let procedure = generate(&SeededRandom::new(seed));
    let mut beginning = beginning(Kind::Drill, Vec::new(), Vec::new());
    beginning.procedure = procedure.clone();
    (procedure, beginning)
}

/// Carries a run on until it is closed or its engine dies.
fn carry(site: &Site<'_>, engine: &mut Engine<'_>, context: &str) -> Result<Closing, EngineError> {
    for turn in 0..TURNS_MAX {
        if turn == TURNS_MAX / 2 {
            // A world that never stops lying would never let it end.
            site.laboratory.calm();
        }
        if let Progress::Closed(closing) = site.turn(engine)? {
            return Ok(closing);
        }
    }
    let open: Vec<_> = engine.state().open().map(|one| (&one.step.id, &one.status)).collect();
    panic!(
        "{context}: no end: {:?} {open:?} {:?}",
        engine.state().life,
        engine.state().questions()
    );
}

/// What must hold of a run that was closed, whatever happened meanwhile.
fn check_closed(site: &Site<'_>, closing: Closing, context: &str) {
    assert_eq!(closing, Closing::Success, "{context}");
    let bytes = site.journal();
    let state = fold(&bytes, context);
    assert!(state.obligations.is_empty() && state.unfinished() == 0, "{context}");
    for (id, truth) in site.laboratory.truths() {
        let step = state.step(&id).unwrap();
        let is_done = step.status == Status::Done;
        if state.undone_by(step).is_some() {
            let is_apart = step.status == Status::Apart;
            assert!(!is_apart || truth.applied == 0, "{context}: `{id}` undid what nobody wanted");
            continue;
        }
        if let Status::Replaced { .. } = step.status {
            REPLACED.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if step.status == Status::Apart {
            assert_eq!(truth.applied, 0, "{context}: `{id}` was done, and nobody took that way");
            let owner = &state.replaced_by(step).unwrap().status;
            assert!(!matches!(owner, Status::Replaced { .. }), "{context}: `{id}` was left out");
            continue;
        }
        // As without any crash: what is needed is done, the rest is not.
        assert_eq!(is_done, truth.needed, "{context}: `{id}` {:?}", step.status);
        if is_done && truth.must_be_applied() {
            assert!(truth.applied > 0, "{context}: `{id}` is called done and is not");
            assert_eq!(step.verified().count(), step.step.verify.len(), "{context}: `{id}`");
            let given = truth.gives().all(|name| state.parameters.contains_key(name));
            assert!(given, "{context}: `{id}` gave nothing");
        }
    }
    site.laboratory.check_destructive(context);
}

/// Every prefix of the journal folds, and measures are recorded before they are taken.
fn fold(bytes: &[u8], context: &str) -> State {
    let records = journal::read(bytes).unwrap_or_else(|error| panic!("{context}: {error}")).records;
    let entries: Vec<Entry> = records.iter().map(|record| Entry::read(record).unwrap()).collect();
    let mut state = State::begin(&entries[0]).unwrap();
    for entry in &entries[1..] {
        if let crate::state::Event::StepStarted { step, .. } = &entry.event {
            let obliges = &state.step(step).unwrap().step.obliges;
            let recorded = |name: &String| state.obligations.contains_key(name);
            assert!(obliges.iter().all(recorded), "{context}: `{step}` began before its measures");
            let is_undoing = |one: &StepState| matches!(one.status, Status::Undoing { .. });
            let undoes = state.undone_by(state.step(step).unwrap());
            let may = !state.steps().any(is_undoing) || undoes.is_some_and(is_undoing);
            assert!(may, "{context}: `{step}` began while something else was being undone");
        }
        state.next(entry).unwrap_or_else(|error| panic!("{context}: {error}: {entry:?}"));
        let is_undone = matches!(entry.event, crate::state::Event::Compensated { .. });
        UNDONE.fetch_add(u32::from(is_undone), Ordering::Relaxed);
    }
    state
}

/// What was begun had been announced durably, whatever the crash left of the disk.
fn check_announced(site: &Site<'_>, context: &str) {
    let Ok(bytes) = durable::read(&site.disk, &Path::new(PLACE).join("journal"), 1 << 24) else {
        return;
    };
    let Ok(reading) = journal::read(&bytes) else { return };
    let announced: Vec<(String, u64)> = reading
        .records
        .iter()
        .filter(|record| record.draft.kind == "step_started")
        .map(|record| {
            let body = &record.draft.body;
            (body["step"].as_str().unwrap().to_owned(), body["attempt"].as_u64().unwrap())
        })
        .collect();
    for fact in site.laboratory.facts() {
        if let Fact::Started { step, attempt, machine, .. } = fact
            && machine == site.machine
        {
            let started = (step.to_string(), u64::from(attempt));
            assert!(announced.contains(&started), "{context}: `{step}` was begun unannounced");
        }
    }
}

/// How a run is disturbed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// The machine dies in that operation of its disk.
    CrashAt(u64),
    /// That operation fails.
    FailAt(u64),
    /// After so many operations the disk is full.
    FullAfter(u64),
}

/// A run drawn from a seed, with a fault, and if `again` with more of them; how many operations there were.
fn run(seed: u64, fault: Option<Fault>, again: bool) -> u64 {
    carry_out(seed, drawn(seed).1, fault, again)
}

/// A run with a fault, and if `again` with more of them; how many operations there were.
pub(super) fn carry_out(seed: u64, beginning: Beginning, fault: Option<Fault>, again: bool) -> u64 {
    let context = format!("{} seed {seed} {fault:?}", beginning.procedure.scenario);
    let laboratory = Laboratory::new(seed, &beginning.procedure);
    let secrets = secrets(&beginning);
    let mut site = Site::new(&laboratory, 0, seed);
    match fault {
        Some(Fault::CrashAt(at)) => site.disk.crash_at(at),
        Some(Fault::FailAt(at)) => site.disk.fail_at(at, io::ErrorKind::Other),
        Some(Fault::FullAfter(bytes)) => site.disk.full_after(bytes),
        None => {}
    }
    let mut beginning = Some(beginning);
    for life in 0..60 {
        let effects = site.effects();
        let place = (Path::new(PLACE), Lock::simulated());
        let engine = match &beginning {
            Some(beginning) => Engine::begin(site.world(&effects), place, beginning.clone()),
            None => {
                let resuming = Resuming { secrets: secrets.clone(), ..Resuming::default() };
                Engine::resume(site.world(&effects), place, resuming)
            }
        };
        let outcome = engine.and_then(|mut engine| {
            beginning = None;
            carry(&site, &mut engine, &context)
        });
        if matches!(outcome, Ok(_) | Err(EngineError::Closed)) {
            // The crash may come when nothing is left to be done.
            site.disk.restart();
        }
        match outcome {
            Ok(closing) => {
                check_closed(&site, closing, &context);
                return site.disk.operations();
            }
            // The last record became durable, and nobody heard of it.
            Err(EngineError::Closed) => {
                check_closed(&site, Closing::Success, &context);
                return site.disk.operations();
            }
            Err(EngineError::Journal(_) | EngineError::Disk { .. }) => {}
            Err(error) => panic!("{context}: {error}"),
        }
        let power_cut = site.random.chance(50);
        site.die(power_cut);
        if beginning.is_some() {
            // Nobody heard its name; another one begins, in another directory of the same disk.
            let left = site.disk.list_names(PLACE);
            assert!(laboratory.facts().is_empty(), "{context}: it was begun before it began");
            site.disk.forget(PLACE, &left);
        }
        check_announced(&site, &context);
        if again && life < 20 {
            let soon = site.disk.operations() + 5 + site.random.below(150);
            site.disk.crash_at(soon);
        }
    }
    panic!("{context}: it never came to an end");
}

/// What whoever goes on with a run is asked for again.
fn secrets(beginning: &Beginning) -> BTreeMap<String, Secret<String>> {
    let hidden = beginning.parameters.iter().filter_map(|(name, value)| match value {
        Given::Hidden(secret) => Some((name.clone(), secret.clone())),
        Given::Plain(_) => None,
    });
    hidden.collect()
}

/// Tidying as a person does before beginning anew.
trait Tidy {
    fn list_names(&self, directory: &str) -> Vec<std::path::PathBuf>;
    fn forget(&self, directory: &str, names: &[std::path::PathBuf]);
}

impl Tidy for SimDisk {
    fn list_names(&self, directory: &str) -> Vec<std::path::PathBuf> {
        let listed = soter_world::Disk::list(self, Path::new(directory)).unwrap_or_default();
        let files = listed.into_iter().filter(|one| one.kind == soter_world::disk::FileKind::File);
        files.map(|one| Path::new(directory).join(one.name)).collect()
    }

    fn forget(&self, _: &str, names: &[std::path::PathBuf]) {
        for name in names {
            soter_world::Disk::remove_file(self, name).unwrap();
        }
    }
}

#[test]
fn runs_end_as_their_plan_says_in_a_world_that_lies_and_forgets() {
    for seed in seeds(60) {
        run(seed, None, false);
    }
}

#[test]
fn a_run_killed_at_any_operation_of_its_disk_ends_as_without() {
    for seed in seeds(3) {
        let operations = run(seed, None, false);
        for at in 0..operations {
            run(seed, Some(Fault::CrashAt(at)), false);
        }
    }
}

#[test]
fn a_run_killed_again_and_again_ends_as_without() {
    for seed in seeds(40) {
        run(seed, Some(Fault::CrashAt(20 + seed % 97)), true);
    }
}

#[test]
fn a_disk_that_fails_or_is_full_ends_the_engine_and_not_the_run() {
    for seed in seeds(30) {
        let random = SeededRandom::new(seed);
        for _ in 0..3 {
            run(seed, Some(Fault::FailAt(random.below(400))), false);
            run(seed, Some(Fault::FullAfter(random.below(60_000))), false);
        }
    }
}

#[test]
fn the_world_of_these_tests_is_rough_enough() {
    let mut met: BTreeMap<&str, u32> = BTreeMap::new();
    let before = REPLACED.load(Ordering::Relaxed);
    for seed in 0..60 {
        run(seed, None, false);
    }
    let taken = REPLACED.load(Ordering::Relaxed) - before;
    assert!(taken >= 10, "another way was taken {taken} times");
    let undone = UNDONE.load(Ordering::Relaxed);
    assert!(undone >= 20, "{undone} steps were taken back");
    for seed in 0..20 {
        let (procedure, _) = drawn(seed);
        let has = |test: fn(&crate::procedure::Step) -> bool| procedure.steps.iter().any(test);
        let kinds: [(&str, bool); 7] = [
            ("that can be taken back", has(|one| one.undo.is_some())),
            ("with another way", has(|one| one.instead.is_some())),
            (
                "destructive without a probe",
                has(|one| one.destructive && one.already_done.is_none()),
            ),
            ("destructive with one", has(|one| one.destructive && one.already_done.is_some())),
            ("obliging", has(|one| !one.obliges.is_empty())),
            ("approving", has(|one| matches!(one.action, Action::Approve { .. }))),
            ("a phase with a condition", procedure.phases.iter().any(|one| one.only_if.is_some())),
        ];
        for (kind, is_there) in kinds {
            *met.entry(kind).or_default() += u32::from(is_there);
        }
    }
    assert!(met.values().all(|count| *count >= 3), "{met:?}");
    let laboratory = Laboratory::new(3, &drawn(3).0);
    let step = drawn(3).0.steps[0].id.clone();
    let about = Asked::Step { step: step.clone(), which: Which::AlreadyDone };
    assert_eq!(laboratory.truth_of(&about), Answer::No);
    laboratory.do_by_hand(&step);
    assert_eq!(laboratory.truth_of(&about), Answer::Yes);
}
