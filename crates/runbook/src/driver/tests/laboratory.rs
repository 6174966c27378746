//! A world for engines that lies, breaks and forgets, but knows what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use soter_world::Clock;
use soter_world::sim::{SeededRandom, SimClock};

use crate::driver::effects::{
    Adopted, Answer, Asked, Asking, Attempt, Child, Completion, Effects, Outcome, Reply, Which,
};
use crate::ids::StepId;
use crate::journal::{Mirror, MirrorError, Slot, Stored};
use crate::procedure::{Action, ParameterKind, Procedure, Step};

/// What is true of a step, whatever anybody believes.
#[derive(Debug, Clone, Default)]
pub(super) struct Truth {
    /// How often its effect was applied.
    pub(super) applied: u32,
    /// Its condition, and that of its phase.
    pub(super) needed: bool,
    has_effect: bool,
    destructive: bool,
    gives: Vec<(String, String)>,
}

/// An attempt that was started somewhere.
#[derive(Debug, Clone)]
struct Process {
    applies: Option<Duration>,
    ends: Duration,
    /// How it will end; none: it vanishes without a word.
    outcome: Option<Outcome>,
    is_dead: bool,
    /// An engine waits for its end.
    watched: bool,
    begun_told: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    Started {
        machine: usize,
        step: StepId,
        attempt: u32,
        destructive: bool,
    },
    Applied {
        step: StepId,
    },
    SaidNo {
        step: StepId,
    },
    PersonSaidRun {
        step: StepId,
    },
    /// What it did is there no more.
    TakenBack {
        step: StepId,
    },
    TakenOver,
}

type Key = (usize, StepId, u32);

/// A value that a parameter may have.
pub(super) fn value(procedure: &Procedure, name: &str) -> String {
    let parameter = procedure.parameters.iter().find(|one| one.name == name);
    match parameter.map(|one| one.kind) {
        Some(ParameterKind::Time) => "2030-01-01T00:00:00Z".to_owned(),
        Some(ParameterKind::Number) => "7".to_owned(),
        Some(ParameterKind::Host) => format!("host-{name}"),
        Some(ParameterKind::Text | ParameterKind::Secret) | None => format!("some {name}"),
    }
}

struct Inner {
    random: SeededRandom,
    truths: BTreeMap<StepId, Truth>,
    /// What is there no more once a step was applied: what it undoes, or what would undo it.
    takes_back: BTreeMap<StepId, Vec<StepId>>,
    /// What takes steps back: a person may want that again and again.
    undoing: BTreeSet<StepId>,
    phases: Vec<bool>,
    processes: BTreeMap<Key, Process>,
    questions: Vec<(usize, Duration, Asking)>,
    facts: Vec<Fact>,
    /// Nothing fails or lies from here on.
    calm: bool,
}

pub(super) struct Laboratory {
    inner: Mutex<Inner>,
    pub(super) clock: Arc<SimClock>,
}

impl Laboratory {
    pub(super) fn new(seed: u64, procedure: &Procedure) -> Self {
        let random = SeededRandom::new(seed);
        let phases: Vec<bool> = procedure
            .phases
            .iter()
            .map(|phase| phase.only_if.is_none() || random.chance(60))
            .collect();
        let truths = procedure.steps.iter().map(|step| {
            let own = step.only_if.is_none() || random.chance(60);
            let truth = Truth {
                applied: 0,
                needed: own && phases[step.phase],
                has_effect: step.action.is_effect() || matches!(step.action, Action::Manual(_)),
                destructive: step.destructive,
                gives: step
                    .gives
                    .iter()
                    .map(|name| (name.clone(), value(procedure, name)))
                    .collect(),
            };
            (step.id.clone(), truth)
        });
        let truths = truths.collect();
        let mut takes_back: BTreeMap<StepId, Vec<StepId>> = BTreeMap::new();
        let mut undoing = BTreeSet::new();
        for step in &procedure.steps {
            if let Some(way) = &step.undo {
                takes_back.insert(step.id.clone(), way.steps.clone());
                undoing.extend(way.steps.iter().cloned());
                takes_back.insert(way.steps[0].clone(), vec![step.id.clone()]);
            }
        }
        let inner = Inner {
            truths,
            takes_back,
            undoing,
            phases,
            random,
            processes: BTreeMap::new(),
            questions: Vec::new(),
            facts: Vec::new(),
            calm: false,
        };
        Self { inner: Mutex::new(inner), clock: Arc::new(SimClock::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn truths(&self) -> BTreeMap<StepId, Truth> {
        self.lock().truths.clone()
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        self.lock().facts.clone()
    }

    pub(super) fn note(&self, fact: Fact) {
        self.lock().facts.push(fact);
    }

    /// From here on everything works, so that every run ends.
    pub(super) fn calm(&self) {
        self.lock().calm = true;
    }

    /// The engine of a machine is dead; with the power cut its processes are too.
    pub(super) fn crash(&self, machine: usize, power_cut: bool) {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        inner.pass(now);
        inner.questions.retain(|(of, _, _)| *of != machine);
        for ((of, _, _), process) in &mut inner.processes {
            if *of == machine {
                process.watched = false;
                process.is_dead |= power_cut && process.ends > now;
            }
        }
    }

    /// A person makes sure that nothing of a step goes on anywhere, and says whether it was done.
    pub(super) fn inspect(&self, step: &StepId) -> Truth {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        inner.pass(now);
        for ((_, of, _), process) in &mut inner.processes {
            process.is_dead |= of == step && process.ends > now;
        }
        inner.truths[step].clone()
    }

    /// A person does it.
    pub(super) fn do_by_hand(&self, step: &StepId) {
        let mut inner = self.lock();
        if inner.truths[step].applied == 0 {
            inner.apply(step);
        }
    }

    /// A person takes it back.
    pub(super) fn take_back_by_hand(&self, step: &StepId) {
        self.inspect(step);
        self.lock().take_back(step);
    }

    pub(super) fn truth_of(&self, about: &Asked) -> Answer {
        self.lock().truth(about)
    }

    /// Never twice without a probe's `no` or a person's word since the first time.
    pub(super) fn check_destructive(&self, context: &str) {
        let inner = self.lock();
        for (id, truth) in inner.truths.iter().filter(|(_, truth)| truth.destructive) {
            let mut may = true;
            for fact in &inner.facts {
                match fact {
                    Fact::Applied { step } if step == id => {
                        assert!(may, "{context}: `{id}` was applied twice: {:#?}", inner.facts);
                        may = false;
                    }
                    Fact::SaidNo { step }
                    | Fact::PersonSaidRun { step }
                    | Fact::TakenBack { step }
                        if step == id =>
                    {
                        may = true;
                    }
                    _ => {}
                }
            }
            // Probes here never say no of what was done, and people look: so it is once at most.
            let is_once = inner.undoing.contains(id) || truth.applied <= 1;
            assert!(is_once, "{context}: `{id}` was applied {} times", truth.applied);
        }
    }
}

impl Inner {
    fn take_back(&mut self, step: &StepId) {
        self.truths.get_mut(step).unwrap().applied = 0;
        self.facts.push(Fact::TakenBack { step: step.clone() });
    }

    fn apply(&mut self, step: &StepId) {
        for other in self.takes_back.get(step).cloned().unwrap_or_default() {
            self.take_back(&other);
        }
        self.truths.get_mut(step).unwrap().applied += 1;
        self.facts.push(Fact::Applied { step: step.clone() });
    }

    /// Everything happens whose time has come.
    fn pass(&mut self, now: Duration) {
        let mut applied = Vec::new();
        for ((_, step, _), process) in &mut self.processes {
            if process.applies.is_some_and(|at| at <= now) && !process.is_dead {
                process.applies = None;
                applied.push(step.clone());
            }
        }
        for step in applied {
            self.apply(&step);
        }
    }

    fn truth(&self, about: &Asked) -> Answer {
        let yes = match about {
            Asked::Phase(at) => self.phases[*at],
            Asked::Step { step, which } => {
                let truth = &self.truths[step];
                match which {
                    Which::OnlyIf => truth.needed,
                    Which::AlreadyDone => truth.applied > 0,
                    Which::Verify(_) => truth.applied > 0 || !truth.has_effect,
                }
            }
        };
        if yes { Answer::Yes } else { Answer::No }
    }

    /// What a probe says: the truth, or that it does not know; `verify` may also be wrong.
    fn reply(&mut self, about: &Asked) -> Reply {
        let truth = self.truth(about);
        let is_verify = matches!(about, Asked::Step { which: Which::Verify(_), .. });
        let answer = if self.calm || self.random.chance(75) {
            truth
        } else if is_verify && self.random.chance(30) {
            Answer::No
        } else {
            Answer::Unknown
        };
        if let (Asked::Step { step, which: Which::AlreadyDone }, Answer::No) = (about, answer) {
            self.facts.push(Fact::SaidNo { step: step.clone() });
        }
        Reply { answer, evidence: format!("saw {truth:?}") }
    }

    fn process(&mut self, now: Duration, step: &Step) -> Process {
        let length = Duration::from_millis(200 + self.random.below(40_000));
        let ends = now + length;
        let applies = now + Duration::from_millis(self.random.below(200)) + length / 3;
        let outputs = self.truths[&step.id].gives.iter().cloned().collect();
        let done = Outcome::Done { outputs, captured: Vec::new() };
        let dice = if self.calm { 0 } else { self.random.below(100) };
        let (applies, outcome, ends) = match dice {
            0..70 => (Some(applies.min(ends)), Some(done), ends),
            70..80 => (None, Some(Outcome::Failed("exit 1".to_owned())), ends),
            80..86 => (Some(applies.min(ends)), Some(Outcome::Failed("exit 2".to_owned())), ends),
            86..90 => (Some(applies.min(ends)), Some(Outcome::Unknown("lost".to_owned())), ends),
            90..95 => (None, None, ends),
            _ if step.timeout.is_some() => (Some(applies.min(ends)), Some(done), ends * 100),
            _ => (Some(applies.min(ends)), None, ends),
        };
        Process { applies, ends, outcome, is_dead: false, watched: true, begun_told: false }
    }

    /// The next thing that a machine's engine hears, and when.
    fn due(&self, machine: usize) -> Option<(Duration, Due)> {
        let questions = self.questions.iter().enumerate();
        let questions = questions
            .filter(|(_, (of, _, _))| *of == machine)
            .map(|(at, (_, when, _))| (*when, Due::Answer(at)));
        let processes =
            self.processes.iter().filter(|((of, _, _), one)| *of == machine && one.watched);
        let processes = processes.map(|(key, one)| {
            if one.begun_told {
                (if one.is_dead { Duration::ZERO } else { one.ends }, Due::End(key.clone()))
            } else {
                (Duration::ZERO, Due::Begun(key.clone()))
            }
        });
        questions.chain(processes).min_by_key(|(when, _)| *when)
    }

    fn happen(&mut self, due: Due) -> Completion {
        match due {
            Due::Answer(at) => {
                let (_, _, asking) = self.questions.remove(at);
                let reply = self.reply(&asking.about);
                Completion::Answered { about: asking.about, token: asking.token, reply }
            }
            Due::Begun(key) => {
                self.processes.get_mut(&key).unwrap().begun_told = true;
                let child = Child { pid: 4242, start_ticks: 1 };
                Completion::Begun { step: key.1, attempt: key.2, child }
            }
            Due::End(key) => {
                let process = self.processes.get_mut(&key).unwrap();
                process.watched = false;
                let vanished = || Outcome::Unknown("it vanished".to_owned());
                let outcome = process.outcome.clone().filter(|_| !process.is_dead);
                let outcome = outcome.unwrap_or_else(vanished);
                Completion::Ended { step: key.1, attempt: key.2, outcome }
            }
        }
    }
}

enum Due {
    Answer(usize),
    Begun(Key),
    End(Key),
}

/// What one machine does.
pub(super) struct Machinery<'l> {
    pub(super) laboratory: &'l Laboratory,
    pub(super) machine: usize,
}

impl Machinery<'_> {
    fn key(&self, step: &StepId, attempt: u32) -> Key {
        (self.machine, step.clone(), attempt)
    }
}

impl Effects for Machinery<'_> {
    fn probe(&self, asking: Asking) {
        let mut inner = self.laboratory.lock();
        let delay = Duration::from_millis(10 + inner.random.below(3000));
        inner.questions.push((self.machine, self.laboratory.clock.monotonic() + delay, asking));
    }

    fn start(&self, attempt: Attempt) {
        let now = self.laboratory.clock.monotonic();
        let mut inner = self.laboratory.lock();
        let process = inner.process(now, &attempt.step);
        let key = self.key(&attempt.step.id, attempt.number);
        let before = inner.processes.insert(key, process);
        assert!(
            before.is_none(),
            "attempt {} of `{}` began twice",
            attempt.number,
            attempt.step.id
        );
        inner.facts.push(Fact::Started {
            machine: self.machine,
            step: attempt.step.id.clone(),
            attempt: attempt.number,
            destructive: attempt.step.destructive,
        });
    }

    fn adopt(&self, attempt: Attempt) -> Adopted {
        let now = self.laboratory.clock.monotonic();
        let mut inner = self.laboratory.lock();
        inner.pass(now);
        let key = self.key(&attempt.step.id, attempt.number);
        let Some(process) = inner.processes.get_mut(&key) else { return Adopted::NeverBegan };
        if process.is_dead {
            return Adopted::Gone;
        }
        if process.ends > now {
            process.watched = true;
            return Adopted::Live;
        }
        process.outcome.clone().map_or(Adopted::Gone, Adopted::Ended)
    }

    fn cancel(&self, step: &StepId, attempt: u32) {
        let now = self.laboratory.clock.monotonic();
        let mut inner = self.laboratory.lock();
        inner.pass(now);
        let key = self.key(step, attempt);
        let Some(process) = inner.processes.get_mut(&key) else { return };
        if process.ends > now && !process.is_dead {
            process.ends = now + Duration::from_secs(1);
            process.applies = process.applies.filter(|at| *at <= process.ends);
            process.outcome = Some(Outcome::Failed("terminated".to_owned()));
        }
    }

    fn next(&self, wait: Duration) -> Option<Completion> {
        let clock = &self.laboratory.clock;
        let now = clock.monotonic();
        let mut inner = self.laboratory.lock();
        let due = inner.due(self.machine).filter(|(when, _)| *when <= now + wait);
        let pause = due.as_ref().map_or(wait, |(when, _)| when.saturating_sub(now));
        clock.advance(pause);
        inner.pass(clock.monotonic());
        due.map(|(_, due)| inner.happen(due))
    }
}

/// A machine's own idea of the time.
pub(super) struct MachineClock {
    clock: Arc<SimClock>,
    booted: Mutex<Duration>,
    skew_seconds: Mutex<i64>,
}

impl MachineClock {
    pub(super) fn new(clock: &Arc<SimClock>) -> Self {
        let (booted, skew_seconds) = (Mutex::new(Duration::ZERO), Mutex::new(0));
        Self { clock: Arc::clone(clock), booted, skew_seconds }
    }

    pub(super) fn boot(&self) {
        *self.booted.lock().unwrap() = self.clock.monotonic();
    }

    pub(super) fn jump(&self, seconds: i64) {
        *self.skew_seconds.lock().unwrap() = seconds;
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        let skew = jiff::SignedDuration::from_secs(*self.skew_seconds.lock().unwrap());
        self.clock.now().checked_add(skew).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn uptime(&self) -> Duration {
        self.clock.monotonic().saturating_sub(*self.booted.lock().unwrap())
    }

    fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration);
    }
}

/// A mirror in memory that several engines share, which fails, forgets to say that it stored, and
/// stores what was sent long ago.
pub(super) struct SharedMirror {
    slots: Mutex<BTreeMap<u64, Vec<u8>>>,
    late: Mutex<Vec<Slot>>,
    random: SeededRandom,
    pub(super) fault_percent: Mutex<u64>,
}

impl SharedMirror {
    pub(super) fn new(seed: u64, fault_percent: u64) -> Self {
        Self {
            slots: Mutex::default(),
            late: Mutex::default(),
            random: SeededRandom::new(seed),
            fault_percent: Mutex::new(fault_percent),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.slots.lock().unwrap().values().flatten().copied().collect()
    }

    pub(super) fn numbers(&self) -> BTreeSet<u64> {
        self.slots.lock().unwrap().keys().copied().collect()
    }

    fn fails(&self) -> bool {
        self.random.chance(*self.fault_percent.lock().unwrap())
    }
}

impl Mirror for SharedMirror {
    fn append(&self, n: u64, lines: &[u8]) -> Result<Stored, MirrorError> {
        let mut slots = self.slots.lock().unwrap();
        let mut late = self.late.lock().unwrap();
        if self.random.chance(50) {
            // A write from long ago arrives. The store keeps what is there.
            for slot in late.drain(..) {
                slots.entry(slot.n).or_insert(slot.lines);
            }
        }
        // As a vault does: what would leave a hole is refused, and not kept.
        let lines_in = |lines: &Vec<u8>| lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        let next = 1 + slots.values().map(lines_in).sum::<u64>();
        if n > next {
            return Err(MirrorError(format!("{n} is not next, {next} is")));
        }
        if self.fails() {
            match self.random.below(3) {
                0 => {}
                1 => late.push(Slot { n, lines: lines.to_vec() }),
                _ => drop(slots.entry(n).or_insert_with(|| lines.to_vec())),
            }
            return Err(MirrorError("no route".to_owned()));
        }
        Ok(match slots.get(&n) {
            None => {
                slots.insert(n, lines.to_vec());
                Stored::Created
            }
            Some(same) if same == lines => Stored::AlreadySame,
            Some(_) => Stored::Superseded,
        })
    }

    fn read_all(&self) -> Result<Vec<Slot>, MirrorError> {
        if self.fails() {
            return Err(MirrorError("no route".to_owned()));
        }
        let slots = self.slots.lock().unwrap();
        Ok(slots.iter().map(|(n, lines)| Slot { n: *n, lines: lines.clone() }).collect())
    }
}

impl Truth {
    pub(super) fn must_be_applied(&self) -> bool {
        self.needed && self.has_effect
    }

    pub(super) fn gives(&self) -> impl Iterator<Item = &String> {
        self.gives.iter().map(|(name, _)| name)
    }
}
