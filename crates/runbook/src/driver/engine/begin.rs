//! How an engine comes to have a run: a new one, one that was interrupted, or one of another machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use soter_world::{Disk, Secret, durable, random};

use super::{Engine, EngineError, World, moment};
use crate::approval;
use crate::driver::effects::{Adopted, Kind, Outcome};
use crate::driver::lock::Lock;
use crate::driver::request;
use crate::ids::{RunId, StepId};
use crate::journal::{
    FORMAT_VERSION, Journal, JournalError, Opened, Refused, Slot, Stamp, Stored, read,
};
use crate::procedure::{Given, Procedure};
use crate::state::{
    Begun, Entry, Event, Life, MirrorState, Recorded, State, Status, Unfollowed, fold,
};

/// A run that begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// What it is called.
    pub run: RunId,
    /// Whether it is the real thing.
    pub kind: Kind,
    /// What it works on, by the name that people know.
    pub target: String,
    /// Who begins it.
    pub requester: String,
    /// When the disaster happened, if somebody says.
    pub disaster: Option<Timestamp>,
    /// The digest of the plan's files.
    pub plan: String,
    /// What is done.
    pub procedure: Procedure,
    /// The values of parameters that are known.
    pub parameters: BTreeMap<String, Given>,
    /// What approvers make their codes from, by the name of the person.
    pub approvers: BTreeMap<String, Secret<Vec<u8>>>,
}

/// How a run is gone on with.
#[derive(Debug, Clone, Default)]
pub struct Resuming {
    /// Also if another engine has written more of it than is here, or it is not here at all.
    pub take_over: bool,
    /// Without the second place of the journal.
    pub local: bool,
    /// The values of secret parameters.
    pub secrets: BTreeMap<String, Secret<String>>,
    /// What approvers make their codes from, by the name of the person.
    pub approvers: BTreeMap<String, Secret<Vec<u8>>>,
}

impl<'w> Engine<'w> {
    /// Begins a run in its directory, whose lock is held. Without a mirror, or with one that cannot
    /// be reached, it is local: [`State::mirror`] says so.
    ///
    /// # Errors
    /// When the disk fails, or a run of that name is known.
    pub fn begin(
        world: World<'w>,
        (directory, lock): (&Path, Lock),
        beginning: Beginning,
    ) -> Result<Self, EngineError> {
        let mirror = match world.mirror.map(|mirror| mirror.read_all()) {
            None | Some(Err(_)) => MirrorState::Local,
            Some(Ok(slots)) if slots.is_empty() => MirrorState::Following,
            Some(Ok(_)) => return Err(EngineError::Taken),
        };
        make_directories(world.disk, directory)?;
        let key = fingerprint_key(&world, directory)?;
        let (parameters, secrets) = split(beginning.parameters, &key);
        let begun = Begun {
            journal: FORMAT_VERSION,
            run: beginning.run,
            kind: beginning.kind,
            target: beginning.target,
            requester: beginning.requester,
            disaster: beginning.disaster,
            host: world.machine.host.clone(),
            plan: beginning.plan,
            procedure: beginning.procedure,
            parameters,
            mirror,
        };
        let (run, by, now) = (begun.run.clone(), begun.requester.clone(), moment(&world));
        let event = Event::Begun(Box::new(begun));
        let draft = event.draft(&by);
        let entry = Entry { by, epoch: 1, at: now.clone(), event };
        let state = State::begin(&entry)
            .map_err(|illegal| Unfollowed { n: 1, what: illegal.to_string() })?;
        let stamp = Stamp { epoch: 1, boot: now.boot.to_string(), at: now.at, up: now.up };
        let path = directory.join("journal");
        let (journal, appended) = Journal::create(world.disk, &path, &run, &stamp, vec![draft])?;
        let slot = Slot { n: 1, lines: appended.lines };
        if let Some(mirror) = world.mirror.filter(|_| mirror == MirrorState::Following)
            && mirror.append(slot.n, &slot.lines) == Ok(Stored::Superseded)
        {
            return Err(EngineError::Taken);
        }
        let mut engine = Self::new(world, (directory, lock), (journal, state, 1), key);
        engine.secrets = secrets;
        engine.approvers = beginning.approvers;
        if engine.state.mirror.0 == MirrorState::Following {
            // What the mirror has already it will say.
            engine.unmirrored.push_back(slot);
        }
        Ok(engine)
    }

    /// Goes on with a run in its directory, whose lock is held. What the mirror has counts.
    ///
    /// # Errors
    /// When its journal cannot be gone on with, or another engine has the run.
    pub fn resume(
        world: World<'w>,
        (directory, lock): (&Path, Lock),
        resuming: Resuming,
    ) -> Result<Self, EngineError> {
        make_directories(world.disk, directory)?;
        let path = directory.join("journal");
        let mirror = world.mirror.filter(|_| !resuming.local);
        let slots = mirror.and_then(|mirror| mirror.read_all().ok());
        let missing = match &slots {
            Some(slots) => reconcile(world.disk, &path, slots, resuming.take_over)?,
            None => None,
        };
        let Opened { journal, records, torn, .. } = Journal::open(world.disk, &path)?;
        let (state, _) = fold(&records)?;
        if let Life::Closed(_) = state.life {
            // The mirror may not know yet that it is over; if it cannot be told now, another time.
            if let (Some(mirror), Some(slot)) = (mirror, &missing) {
                mirror.append(slot.n, &slot.lines).ok();
            }
            return Err(EngineError::Closed);
        }
        let epoch = state.epoch + 1;
        let key = fingerprint_key(&world, directory)?;
        let mut engine = Self::new(world, (directory, lock), (journal, state, epoch), key);
        engine.unmirrored.extend(missing);
        engine.is_mirror_unread = slots.is_none();
        engine.approvers = resuming.approvers;
        engine.torn = torn;
        engine.ended = true;
        let took_over = resuming.take_over;
        engine.claim(took_over, resuming.local, slots.is_some())?;
        engine.adopt_all()?;
        engine.take_secrets(resuming.secrets)?;
        engine.commit()?;
        engine.ended = false;
        Ok(engine)
    }

    fn new(
        world: World<'w>,
        (directory, lock): (&Path, Lock),
        (journal, state, epoch): (Journal, State, u32),
        fingerprint_key: Secret<[u8; 32]>,
    ) -> Self {
        let now = moment(&world);
        Self {
            world,
            directory: directory.to_owned(),
            _lock: lock,
            journal,
            state,
            epoch,
            now,
            fingerprint_key,
            secrets: BTreeMap::new(),
            approvers: BTreeMap::new(),
            wrong_codes: 0,
            batch: Vec::new(),
            starts: Vec::new(),
            unmirrored: VecDeque::new(),
            is_mirror_unread: false,
            mirror_again: Duration::ZERO,
            polls: BTreeMap::new(),
            tokens: 0,
            cancelled: BTreeSet::new(),
            parameters: None,
            torn: None,
            ended: false,
        }
    }

    /// Takes the next place of the journal, and of its mirror. That is the fence.
    fn claim(&mut self, took_over: bool, local: bool, reached: bool) -> Result<(), EngineError> {
        let host = self.world.machine.host.clone();
        self.decided(Event::Engine { host, took_over })?;
        let (now, why) = match (local, reached) {
            (true, _) => (MirrorState::Local, "a person said to go on without it"),
            (false, true) => (MirrorState::Following, "it is reached"),
            // A run that never had one goes on without.
            (false, false) if self.state.mirror.0 == MirrorState::Local => (MirrorState::Local, ""),
            (false, false) => (MirrorState::Lost, "it was not reached when the run was resumed"),
        };
        if self.state.mirror.0 != now {
            self.decided(Event::Mirror { now, why: why.to_owned() })?;
        }
        self.commit()
    }

    /// Finds out what has become of what earlier engines began.
    fn adopt_all(&mut self) -> Result<(), EngineError> {
        let running: Vec<(StepId, String, bool)> = self
            .state
            .open()
            .filter(|one| one.status == Status::Running && one.step.action.is_effect())
            .map(|one| (one.step.id.clone(), one.host.clone(), one.step.destructive))
            .collect();
        for (step, host, destructive) in running {
            let Some(attempt) = self.attempt(&step) else { continue };
            let number = attempt.number;
            let interrupted = |began, why: String| Event::Interrupted {
                step: step.clone(),
                attempt: number,
                began,
                why,
            };
            if host != self.world.machine.host {
                let why =
                    format!("it ran on {host}, and from here nobody can tell what became of it");
                self.decided(interrupted(true, why.clone()))?;
                // It may live there still: what a probe says now may be wrong a moment later.
                if destructive {
                    self.decided(Event::Doubt { step: step.clone(), why })?;
                }
                continue;
            }
            let event = match self.world.effects.adopt(attempt) {
                Adopted::Live => Event::Adopted { step: step.clone(), attempt: number },
                Adopted::Ended(outcome) => self.ended(step.clone(), number, outcome),
                Adopted::NeverBegan => interrupted(false, "it never began".to_owned()),
                Adopted::Gone => {
                    interrupted(true, "it does not live any more, and left no word".to_owned())
                }
            };
            self.decided(event)?;
        }
        Ok(())
    }

    /// Secrets are in no journal: they are given again, or found where the step that gave them left
    /// them. A value that is another one now is recorded.
    fn take_secrets(&mut self, given: BTreeMap<String, Secret<String>>) -> Result<(), EngineError> {
        for (name, secret) in given {
            let print = approval::fingerprint(&self.fingerprint_key, &name, secret.expose());
            self.secrets.insert(name.clone(), secret);
            if self.state.parameters.get(&name) != Some(&print) {
                self.decided(Event::Parameter { name, value: print })?;
            }
        }
        let missing: BTreeSet<String> = self.missing_secrets().map(str::to_owned).collect();
        let gave: Vec<StepId> = self
            .state
            .steps()
            .filter(|one| one.attempt > 0 && one.host == self.world.machine.host)
            .filter(|one| one.step.action.is_effect() && one.status.is_finished())
            .filter(|one| one.step.gives.iter().any(|name| missing.contains(name)))
            .map(|one| one.step.id.clone())
            .collect();
        for step in gave {
            let Some(attempt) = self.attempt(&step) else { continue };
            if let Adopted::Ended(Outcome::Done { outputs, .. }) = self.world.effects.adopt(attempt)
            {
                let found = outputs.into_iter().filter(|(name, _)| missing.contains(name));
                self.secrets.extend(found.map(|(name, value)| (name, Secret::new(value))));
            }
        }
        self.parameters = None;
        Ok(())
    }
}

fn make_directories(disk: &dyn Disk, directory: &Path) -> Result<(), EngineError> {
    let all = [request::inbox(directory), request::outbox(directory)];
    let others = ["children", "captures"].map(|name| directory.join(name));
    for one in all.iter().chain(&others) {
        durable::create_dir_all_durable(disk, one)
            .map_err(EngineError::disk("making the run's directories"))?;
    }
    Ok(())
}

/// The key of this directory's fingerprints; made when there is none.
fn fingerprint_key(world: &World<'_>, directory: &Path) -> Result<Secret<[u8; 32]>, EngineError> {
    let path: PathBuf = directory.join("fingerprint.key");
    let known = match durable::read(world.disk, &path, 32) {
        Ok(bytes) => <[u8; 32]>::try_from(bytes).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(EngineError::disk("reading the key of fingerprints")(error)),
    };
    let key = known.unwrap_or_else(|| random::bytes(world.random));
    if known.is_none() {
        durable::write_durable(world.disk, &path, &key)
            .map_err(EngineError::disk("writing the key of fingerprints"))?;
    }
    Ok(Secret::new(key))
}

/// Values as they are recorded, and the secrets among them.
fn split(
    given: BTreeMap<String, Given>,
    key: &Secret<[u8; 32]>,
) -> (BTreeMap<String, Recorded>, BTreeMap<String, Secret<String>>) {
    let (mut recorded, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in given {
        let value = match value {
            Given::Plain(value) => Recorded::Value(value),
            Given::Hidden(secret) => {
                let print = approval::fingerprint(key, &name, secret.expose());
                secrets.insert(name.clone(), secret);
                print
            }
        };
        recorded.insert(name, value);
    }
    (recorded, secrets)
}

/// Makes the journal here one that begins with what the mirror has. Answers what the mirror lacks.
fn reconcile(
    disk: &dyn Disk,
    path: &Path,
    slots: &[Slot],
    take_over: bool,
) -> Result<Option<Slot>, EngineError> {
    let there: Vec<u8> = slots.iter().flat_map(|slot| slot.lines.iter().copied()).collect();
    let refused = |source| JournalError::Refused { path: path.to_owned(), source };
    let mirrored = match slots {
        [] => 0,
        _ => read(&there).map_err(refused)?.records.len(),
    };
    let here = match Journal::open(disk, path) {
        Ok(opened) => Some(opened.records),
        Err(JournalError::Disk { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(JournalError::Refused { source: Refused::NotBegun, .. }) if mirrored > 0 => None,
        Err(error) => return Err(error.into()),
    };
    let Some(here) = here else {
        if mirrored > 0 && !take_over {
            return Err(EngineError::Elsewhere);
        }
        Journal::copy(disk, path, &there)?;
        return Ok(None);
    };
    let bytes = durable::read(disk, path, usize::MAX).map_err(EngineError::disk("reading"))?;
    if bytes.starts_with(&there) {
        let n = mirrored as u64 + 1;
        let lines = bytes.get(there.len()..).unwrap_or_default().to_vec();
        return Ok((!lines.is_empty()).then_some(Slot { n, lines }));
    }
    if !take_over {
        return Err(EngineError::Elsewhere);
    }
    let same = bytes.iter().zip(&there).take_while(|(here, there)| here == there).count();
    let same_records =
        bytes.get(..same).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
    if same_records < here.len() {
        Journal::cut(disk, path, same_records as u64 + 1)?;
    }
    Journal::copy(disk, path, &there)?;
    Ok(None)
}
