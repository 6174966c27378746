//! What an engine costs: a run of many steps whose effects end at once, on a real disk.
//!
//! `make bench-run` runs it in release; it fails if a step takes more than 2 ms, or the forecast of a run
//! of 5,000 steps more than 1 ms. Processor time is the engine's own, without that of syncs; what a
//! durable append takes is the disk's, and reported apart.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use soter_runbook::driver::{
    Adopted, Answer, Asking, Attempt, Beginning, Child, Completion, Effects, Engine, Kind, Lock,
    Outcome, Progress, Reply, Resuming, World,
};
use soter_runbook::forecast::{History, forecast};
use soter_runbook::procedure::{Action, Phase, Probe, Procedure, Question, Step};
use soter_runbook::state::{State, load};
use soter_runbook::{RunId, StepId};
use soter_world::disk::{Entry, Metadata, Owner};
use soter_world::{Disk, DiskFile, Machine, OsDisk, SystemClock, SystemRandom, durable};

/// An engine may take so long for a step.
const CPU_MAX: Duration = Duration::from_millis(2);

/// A forecast of as many steps may take so long.
const FORECAST_STEPS: u32 = 5000;
const FORECAST_MAX: Duration = Duration::from_millis(1);

/// So often it is made, to measure it.
const FORECASTS: u32 = 50;

/// So many phases has the long shape.
const PHASES: usize = 50;

#[expect(clippy::print_stdout, reason = "its result")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let steps: usize = arguments.next().as_deref().unwrap_or("5000").parse()?;
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| "/tmp".to_owned()));
    let mut is_slow = false;
    for (shape, phases) in [("one after the other", PHASES), ("all at once", 1)] {
        let name = format!("long-{}-{phases}", std::process::id());
        let place = directory.join(&name);
        durable::create_dir_all_durable(&OsDisk, &place)?;
        let measured = measure(&place, procedure(steps, phases), RunId::parse(&name)?);
        std::fs::remove_dir_all(&place)?;
        let measured = measured?;
        let count = u32::try_from(steps)?;
        let cpu = measured.cpu / count;
        is_slow |= cpu > CPU_MAX;
        is_slow |= measured.forecast > FORECAST_MAX * count.max(FORECAST_STEPS) / FORECAST_STEPS;
        println!(
            "{steps} steps, {shape}: {:.3} ms of processor a step; {} durable appends of {:.2} ms; \
             {:.1} s in all; {} records, {:.1} MB; going on with it takes {:.2} s, its forecast \
             {:.2} ms",
            milliseconds(cpu),
            measured.syncs,
            milliseconds(measured.syncing / u32::try_from(measured.syncs.max(1))?),
            measured.whole.as_secs_f64(),
            measured.records,
            f64::from(u32::try_from(measured.bytes)?) / 1e6,
            measured.folding.as_secs_f64(),
            milliseconds(measured.forecast),
        );
    }
    if is_slow {
        return Err(format!("more than {CPU_MAX:?} a step, or {FORECAST_MAX:?} a forecast").into());
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

struct Measured {
    cpu: Duration,
    syncs: u64,
    syncing: Duration,
    whole: Duration,
    records: u64,
    bytes: u64,
    folding: Duration,
    forecast: Duration,
}

fn cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

fn wall() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().unwrap_or_default()
}

fn measure(
    place: &Path,
    procedure: Procedure,
    run: RunId,
) -> Result<Measured, Box<dyn std::error::Error>> {
    let disk = TimedDisk::default();
    let effects = Instantly::default();
    let world = || -> io::Result<World<'_>> {
        Ok(World {
            disk: &disk,
            clock: &SystemClock,
            random: &SystemRandom,
            effects: &effects,
            mirror: None,
            machine: Machine::this()?,
        })
    };
    let beginning = Beginning {
        run,
        kind: Kind::Drill,
        target: "bench".to_owned(),
        requester: "bench".to_owned(),
        disaster: None,
        plan: String::new(),
        procedure,
        parameters: BTreeMap::new(),
        approvers: BTreeMap::new(),
    };
    let lock = || Lock::take(place).map(|lock| lock.ok_or("another engine is here"));
    let (cpu_before, wall_before) = (cpu(), wall());
    let mut engine = Engine::begin(world()?, (place, lock()??), beginning)?;
    while engine.turn(Duration::from_secs(1))? == Progress::Going {}
    let records = engine.state().records;
    drop(engine);
    let whole = wall() - wall_before;
    let times = &disk.times;
    let syncing_cpu = Duration::from_nanos(times.cpu.load(Ordering::Relaxed));
    let journal = place.join("journal");
    let bytes = std::fs::metadata(&journal)?.len();
    let cpu = (cpu() - cpu_before).saturating_sub(syncing_cpu);
    let forecast = forecasting(&std::fs::read(&journal)?)?;
    let folding = fold(&world()?, place, lock()??);
    Ok(Measured {
        cpu,
        syncs: times.count.load(Ordering::Relaxed),
        syncing: Duration::from_nanos(times.wall.load(Ordering::Relaxed)),
        whole,
        records,
        bytes,
        folding,
        forecast,
    })
}

/// What a forecast costs when everything is still to come and all of it was measured before.
fn forecasting(journal: &[u8]) -> Result<Duration, Box<dyn std::error::Error>> {
    let run = load(journal)?;
    let mut history = History::of(&run.state.begun.procedure.scenario);
    let first = run.entries.first().ok_or("there is no record")?;
    let beginning = State::begin(first)?;
    if !history.learn(&run.state) {
        return Err("the run is not over".into());
    }
    let before = cpu();
    for _ in 0..FORECASTS {
        std::hint::black_box(forecast(&beginning, &first.at, &history));
    }
    Ok((cpu() - before) / FORECASTS)
}

/// A closed run is refused, but read and folded before.
fn fold(world: &World<'_>, place: &Path, lock: Lock) -> Duration {
    let before = wall();
    let resumed = Engine::resume(world.clone(), (place, lock), Resuming::default());
    drop(resumed);
    wall() - before
}

fn procedure(steps: usize, phases: usize) -> Procedure {
    let probe = || Probe {
        title: "is it there?".to_owned(),
        question: Question::Run("test -e here".to_owned()),
        expect: None,
        stable_for: None,
        within: None,
    };
    let phase = |at: usize| Phase {
        title: format!("phase {at}"),
        budget: None,
        after: at.checked_sub(1).into_iter().collect(),
        only_if: None,
    };
    let of_phase = steps.div_ceil(phases);
    let step = |at: usize| {
        let (phase, place) = (at / of_phase, at % of_phase);
        let before = place.checked_sub(1).filter(|_| phases > 1);
        Step {
            id: StepId::counted(phase, place),
            title: format!("step {at}"),
            phase,
            after: before.map(|before| StepId::counted(phase, before)).into_iter().collect(),
            action: Action::Run("make it so\n".repeat(10)),
            on: None,
            budget: None,
            timeout: Some(Duration::from_mins(5)),
            retries: 1,
            only_if: None,
            already_done: Some(probe()),
            verify: vec![probe()],
            destructive: at.is_multiple_of(3),
            capture: Vec::new(),
            gives: Vec::new(),
            uses: Vec::new(),
            obliges: Vec::new(),
            lifts: Vec::new(),
            owner: None,
            if_it_fails: None,
            instead: None,
            undo: None,
        }
    };
    Procedure {
        scenario: "long".to_owned(),
        title: "A long one".to_owned(),
        severity: None,
        rto: None,
        rpo: None,
        prerequisites: Vec::new(),
        parameters: Vec::new(),
        phases: (0..phases).map(phase).collect(),
        steps: (0..steps).map(step).collect(),
        services: Vec::new(),
        stores: BTreeMap::new(),
        teams: BTreeMap::new(),
        approvals: BTreeMap::new(),
        signers: BTreeMap::new(),
        credentials: BTreeMap::new(),
        done_when: None,
    }
}

/// Effects that are over when they have begun.
#[derive(Default)]
struct Instantly(RefCell<VecDeque<Completion>>);

impl Effects for Instantly {
    fn probe(&self, asking: Asking) {
        let is_gate = format!("{:?}", asking.about).contains("AlreadyDone");
        let answer = if is_gate { Answer::No } else { Answer::Yes };
        let reply = Reply { answer, evidence: "seen".to_owned() };
        let answered = Completion::Answered { about: asking.about, token: asking.token, reply };
        self.0.borrow_mut().push_back(answered);
    }

    fn start(&self, attempt: Attempt) {
        let (step, attempt) = (attempt.step.id.clone(), attempt.number);
        let child = Child { pid: 1, start_ticks: 1 };
        let begun = Completion::Begun { step: step.clone(), attempt, child };
        let outcome = Outcome::Done { outputs: BTreeMap::new(), captured: Vec::new() };
        self.0.borrow_mut().extend([begun, Completion::Ended { step, attempt, outcome }]);
    }

    fn adopt(&self, _: Attempt) -> Adopted {
        Adopted::NeverBegan
    }

    fn cancel(&self, _: &StepId, _: u32) {}

    fn next(&self, _: Duration) -> Option<Completion> {
        self.0.borrow_mut().pop_front()
    }
}

/// The disk, and what its syncs take.
#[derive(Default)]
struct TimedDisk {
    times: Arc<Times>,
}

#[derive(Default)]
struct Times {
    count: AtomicU64,
    wall: AtomicU64,
    cpu: AtomicU64,
}

struct TimedFile {
    file: Box<dyn DiskFile>,
    times: Arc<Times>,
}

impl Times {
    fn of<T>(&self, sync: impl FnOnce() -> T) -> T {
        let (cpu_before, wall_before) = (cpu(), wall());
        let outcome = sync();
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.wall.fetch_add(nanos(wall() - wall_before), Ordering::Relaxed);
        self.cpu.fetch_add(nanos(cpu() - cpu_before), Ordering::Relaxed);
        outcome
    }
}

impl TimedDisk {
    fn timed(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(TimedFile { file, times: Arc::clone(&self.times) })
    }
}

impl DiskFile for TimedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.times.of(|| self.file.sync())
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }
}

impl Disk for TimedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        OsDisk.create(path).map(|file| self.timed(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        OsDisk.open(path).map(|file| self.timed(file))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        OsDisk.open_write(path).map(|file| self.timed(file))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename_noreplace(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        OsDisk.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove_dir(path)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        OsDisk.symlink(target, path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        OsDisk.read_link(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        OsDisk.list(directory)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        OsDisk.metadata(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        OsDisk.set_mode(path, mode)
    }

    fn set_owner(&self, path: &Path, owner: Owner) -> io::Result<()> {
        OsDisk.set_owner(path, owner)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.times.of(|| OsDisk.sync_dir(directory))
    }

    fn sync_filesystem(&self, directory: &Path) -> io::Result<()> {
        OsDisk.sync_filesystem(directory)
    }

    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        OsDisk.available_bytes(directory)
    }
}
