//! An engine: it carries a run on, turn by turn.
//!
//! The rule it keeps: first what was decided is durable, here and in the mirror, then it is done. A
//! disk that fails, or another engine that has taken the run, ends this value; nothing is begun by it
//! afterwards. It holds no truth of its own: another engine goes on from the journal alone.

mod begin;
mod commit;
mod hear;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use soter_world::{Clock, Disk, Machine, Random, Secret};
use thiserror::Error;

use super::effects::{Asked, Asking, Attempt, Effects, Reply};
use super::lock::Lock;
use super::poll::Poll;
use super::request::{self, Reception, Request};
use crate::ids::StepId;
use crate::journal::{Draft, Journal, JournalError, Mirror, Slot};
use crate::procedure::{Given, Parameters, Probe};
use crate::state::{
    Ask, Closing, Decision, ENGINE, Entry, Event, Illegal, Life, Moment, Recorded, State, Status,
    Unfollowed, decide,
};
use crate::steps::Redactor;

pub use begin::{Beginning, Resuming};

/// So many things are heard of before it is decided anew.
const HEARD_MAX: usize = 256;

/// So long the end of a run waits for a mirror that cannot be reached.
const CLOSING_WAIT: Duration = Duration::from_mins(5);

/// So long a question may take to be asked once.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// What an engine is given from outside.
#[derive(Clone)]
pub struct World<'w> {
    /// The disk with the run's directory.
    pub disk: &'w dyn Disk,
    /// The clock.
    pub clock: &'w dyn Clock,
    /// Chance.
    pub random: &'w dyn Random,
    /// What does the steps.
    pub effects: &'w dyn Effects,
    /// The second place of the journal, if there is one.
    pub mirror: Option<&'w dyn Mirror>,
    /// This machine.
    pub machine: Machine,
}

/// Carries one run on.
pub struct Engine<'w> {
    world: World<'w>,
    directory: PathBuf,
    _lock: Lock,
    journal: Journal,
    state: State,
    epoch: u32,
    now: Moment,
    fingerprint_key: Secret<[u8; 32]>,
    secrets: BTreeMap<String, Secret<String>>,
    approvers: BTreeMap<String, Secret<Vec<u8>>>,
    wrong_codes: u32,
    /// Recorded, and not yet durable.
    batch: Vec<Draft>,
    /// To be begun once the batch is durable.
    starts: Vec<(StepId, u32)>,
    /// Durable here, and not yet in the mirror.
    unmirrored: VecDeque<Slot>,
    /// The mirror could not be read when this engine began: it may lack what earlier ones wrote.
    is_mirror_unread: bool,
    /// When a lost mirror is tried again.
    mirror_again: Duration,
    polls: BTreeMap<Asked, Polled>,
    tokens: u64,
    cancelled: BTreeSet<(StepId, u32)>,
    parameters: Option<Arc<Parameters>>,
    torn: Option<PathBuf>,
    ended: bool,
}

/// A question that is being asked.
struct Polled {
    poll: Poll,
    attempt: u32,
    token: u64,
    /// When it was asked last.
    asked: Duration,
    probe: Arc<Probe>,
    on: Option<String>,
    /// When it is asked again; none: it is being asked now.
    next: Option<Duration>,
}

/// How a turn went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The run goes on, or waits for people.
    Going,
    /// The run is over.
    Closed(Closing),
}

/// An engine that cannot go on.
#[derive(Debug, Error)]
pub enum EngineError {
    /// What happened may not be durable. Mend the disk, then resume the run.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The disk failed elsewhere. Mend it, then resume the run.
    #[error("{action} failed")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// Another engine has the run now. Watch that one; begin nothing here.
    #[error("another engine has taken the run: this one begins nothing more")]
    Superseded,
    /// The mirror has records that are not here.
    #[error(
        "another engine has written more of this run than is here: if it is dead, take the run over \
         with --take-over"
    )]
    Elsewhere,
    /// The mirror holds a run of that name.
    #[error("the mirror has a run of that name already: resume it, or begin another")]
    Taken,
    /// A record is whole but says something this program does not accept: take the newer program.
    #[error(transparent)]
    Unfollowed(#[from] Unfollowed),
    /// Nothing is left to be done.
    #[error("the run is closed")]
    Closed,
    /// An earlier turn failed: make another engine.
    #[error("this engine has ended")]
    Ended,
    /// What was decided is not allowed. Report it; the journal is as it was.
    #[error("a decision contradicts the run's own state, which is a fault of this program: {0}")]
    Contradiction(String),
}

/// What to do about an engine that cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// Mend the disk or the mirror and resume.
    Failed,
    /// Another engine has the run.
    Superseded,
    /// Ask for something else.
    Input,
    /// The journal is damaged or not understood.
    Damaged,
}

impl EngineError {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> EngineErrorKind {
        match self {
            Self::Journal(JournalError::Refused { .. }) | Self::Unfollowed(_) => {
                EngineErrorKind::Damaged
            }
            Self::Journal(JournalError::Grown) => EngineErrorKind::Superseded,
            Self::Journal(_) | Self::Disk { .. } | Self::Ended | Self::Contradiction(_) => {
                EngineErrorKind::Failed
            }
            Self::Superseded => EngineErrorKind::Superseded,
            Self::Elsewhere | Self::Taken | Self::Closed => EngineErrorKind::Input,
        }
    }

    fn disk(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { action, source }
    }
}

impl Engine<'_> {
    /// The run as it is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The moment, as the engine last looked at the clock.
    #[must_use]
    pub fn now(&self) -> &Moment {
        &self.now
    }

    /// The attempts that go on, for those who show what they write.
    pub fn attempts(&mut self) -> Vec<Attempt> {
        let running = self.state.open().filter(|one| one.status == Status::Running);
        let effects = running.filter(|one| one.step.action.is_effect());
        let steps: Vec<StepId> = effects.map(|one| one.step.id.clone()).collect();
        steps.iter().filter_map(|step| self.attempt(step)).collect()
    }

    /// Where the end of the journal was put that a crash had torn, if one had.
    #[must_use]
    pub fn torn(&self) -> Option<&Path> {
        self.torn.as_deref()
    }

    /// Covers the secrets that the engine knows, and others, in what is shown; all of it, if it lacks
    /// one.
    #[must_use]
    pub fn redactor<'s>(&'s self, others: impl Iterator<Item = &'s str>) -> Redactor {
        if self.missing_secrets().next().is_some() {
            return Redactor::blind();
        }
        Redactor::new(self.secrets.values().map(|secret| secret.expose().as_str()).chain(others))
    }

    /// Secrets that have a fingerprint in the journal and no value here. Steps that need them fail.
    pub fn missing_secrets(&self) -> impl Iterator<Item = &str> {
        self.state.parameters.iter().filter_map(|(name, value)| {
            let is_hidden = matches!(value, Recorded::Fingerprint(_));
            (is_hidden && !self.secrets.contains_key(name)).then_some(name.as_str())
        })
    }

    /// Carries the run on: takes requests, decides, begins what was decided, and then waits at most
    /// so long for something to happen.
    ///
    /// # Errors
    /// When it cannot go on; nothing is begun by this value any more.
    pub fn turn(&mut self, wait: Duration) -> Result<Progress, EngineError> {
        if self.ended {
            return Err(EngineError::Ended);
        }
        self.ended = true;
        let progress = self.turn_once(wait)?;
        self.ended = matches!(progress, Progress::Closed(_));
        Ok(progress)
    }

    fn turn_once(&mut self, wait: Duration) -> Result<Progress, EngineError> {
        self.now = self.moment();
        self.answer_requests()?;
        let decision = self.settle()?;
        for cancel in &decision.cancels {
            if self.cancelled.insert((cancel.step.clone(), cancel.attempt)) {
                self.world.effects.cancel(&cancel.step, cancel.attempt);
            }
        }
        self.ask(&decision.asks);
        if let closed @ Progress::Closed(_) = self.progress() {
            return Ok(closed);
        }
        if let Some(first) = self.world.effects.next(self.wait(wait, &decision)) {
            self.now = self.moment();
            self.hear(first);
            for _ in 1..HEARD_MAX {
                let Some(next) = self.world.effects.next(Duration::ZERO) else { break };
                self.hear(next);
            }
            self.settle()?;
        }
        Ok(self.progress())
    }

    /// A run is over when the mirror knows it too: until then another engine may have taken it. That
    /// is not waited for without end.
    fn progress(&self) -> Progress {
        let is_mirrored =
            self.unmirrored.is_empty() || self.now.left(&self.state.last, CLOSING_WAIT).is_zero();
        match self.state.life {
            Life::Closed(closing) if is_mirrored => Progress::Closed(closing),
            _ => Progress::Going,
        }
    }

    /// Carries out a request of the engine's own terminal.
    ///
    /// # Errors
    /// The outer one when the engine cannot go on; the inner one is a refusal, in words.
    pub fn request(&mut self, request: &Request) -> Result<Result<(), String>, EngineError> {
        if self.ended {
            return Err(EngineError::Ended);
        }
        self.ended = true;
        self.now = self.moment();
        let outcome = self.grant(request);
        self.settle()?;
        self.ended = false;
        Ok(outcome)
    }

    /// What was asked for is durable, and the request is gone, before anything of it is begun: an engine
    /// that dies in between must not take one word for two.
    fn answer_requests(&mut self) -> Result<(), EngineError> {
        let answers = self.take_requests()?;
        if answers.is_empty() {
            return Ok(());
        }
        self.commit()?;
        for (name, reception) in &answers {
            request::answer(self.world.disk, &self.directory, name, reception)
                .map_err(EngineError::disk("answering a request"))?;
        }
        Ok(())
    }

    fn take_requests(&mut self) -> Result<Vec<(String, Reception)>, EngineError> {
        let waiting = request::waiting(self.world.disk, &self.directory, self.now.at);
        let waiting = waiting.map_err(EngineError::disk("reading requests"))?;
        let granted = waiting.into_iter().map(|(name, request)| {
            let outcome = request.and_then(|request| self.grant(&request));
            (name, outcome.map_or_else(Reception::Refused, |()| Reception::Accepted))
        });
        Ok(granted.collect())
    }

    /// Makes an event part of the state; it is durable after [`Engine::commit`].
    fn record(&mut self, by: &str, event: Event) -> Result<(), Illegal> {
        let is_about_values = matches!(
            event,
            Event::Parameter { .. } | Event::StepEnded { .. } | Event::Answered { .. }
        );
        let start = match &event {
            Event::StepStarted { step, attempt, .. } => Some((step.clone(), *attempt)),
            _ => None,
        };
        let entry = Entry { by: by.to_owned(), epoch: self.epoch, at: self.now.clone(), event };
        self.state.next(&entry)?;
        self.batch.push(entry.event.draft(by));
        if is_about_values {
            self.parameters = None;
        }
        if let Some((step, attempt)) = start {
            let is_effect = self.state.step(&step).is_some_and(|one| one.step.action.is_effect());
            self.starts.extend(is_effect.then_some((step, attempt)));
        }
        Ok(())
    }

    /// What the engine itself decided.
    fn decided(&mut self, event: Event) -> Result<(), EngineError> {
        self.record(ENGINE, event).map_err(|error| EngineError::Contradiction(error.to_string()))
    }

    /// Decides until nothing is to be recorded, makes that durable, and begins what was decided.
    fn settle(&mut self) -> Result<Decision, EngineError> {
        loop {
            let decision = decide(&self.state, &self.now);
            if decision.events.is_empty() {
                let records = self.state.records;
                self.commit()?;
                if self.state.records == records {
                    return Ok(decision);
                }
                continue;
            }
            for event in decision.events {
                self.decided(event)?;
            }
        }
    }

    /// Asks what should be being asked, and forgets the rest.
    fn ask(&mut self, asks: &[Ask]) {
        let up = self.world.clock.uptime();
        let wanted: BTreeMap<&Asked, &Ask> = asks.iter().map(|ask| (&ask.about, ask)).collect();
        self.polls.retain(|about, polled| {
            // An amended question is another one: what the old one is answered says nothing.
            wanted.get(about).is_some_and(|ask| {
                ask.attempt == polled.attempt && ask.on == polled.on && ask.probe == polled.probe
            })
        });
        for ask in asks {
            self.polls.entry(ask.about.clone()).or_insert_with(|| Polled {
                poll: Poll::new(up, ask.within, ask.probe.stable_for),
                attempt: ask.attempt,
                token: 0,
                asked: up,
                probe: Arc::clone(&ask.probe),
                on: ask.on.clone(),
                next: Some(up),
            });
        }
        if self.polls.is_empty() {
            return;
        }
        let parameters = self.known_parameters();
        for (about, polled) in &mut self.polls {
            if polled.next.is_some_and(|next| next <= up) {
                self.tokens += 1;
                (polled.token, polled.asked, polled.next) = (self.tokens, up, None);
                self.world.effects.probe(Asking {
                    run: self.state.run().clone(),
                    kind: self.state.begun.kind,
                    about: about.clone(),
                    token: polled.token,
                    probe: Arc::clone(&polled.probe),
                    on: polled.on.clone(),
                    parameters: Arc::clone(&parameters),
                    limit: PROBE_LIMIT,
                });
            }
        }
    }

    /// How long to wait at most.
    fn wait(&self, most: Duration, decision: &Decision) -> Duration {
        let up = self.world.clock.uptime();
        let polls = self.polls.values().filter_map(|polled| polled.next);
        let lost = !self.unmirrored.is_empty() && self.world.mirror.is_some();
        let until = polls.chain(lost.then_some(self.mirror_again));
        let waits = until.map(|at| at.saturating_sub(up)).chain(decision.wake);
        waits.fold(most, Duration::min)
    }

    fn moment(&self) -> Moment {
        moment(&self.world)
    }

    fn known_parameters(&mut self) -> Arc<Parameters> {
        let make = || {
            let mut known = Parameters::default();
            for (name, value) in &self.state.parameters {
                match (value, self.secrets.get(name)) {
                    (Recorded::Value(value), _) => known.insert(name, Given::Plain(value.clone())),
                    (Recorded::Fingerprint(_), Some(secret)) => {
                        known.insert(name, Given::Hidden(secret.clone()));
                    }
                    (Recorded::Fingerprint(_), None) => known.note_unseen_secrets(),
                }
            }
            Arc::new(known)
        };
        Arc::clone(self.parameters.get_or_insert_with(make))
    }

    fn attempt(&mut self, id: &StepId) -> Option<Attempt> {
        let mut parameters = self.known_parameters();
        let step = self.state.step(id)?;
        if self.state.makes_secret(step) {
            Arc::make_mut(&mut parameters).note_unseen_secrets();
        }
        Some(Attempt {
            run: self.state.run().clone(),
            kind: self.state.begun.kind,
            step: Arc::clone(&step.step),
            number: step.attempt,
            parameters,
        })
    }
}

/// Now, in whole milliseconds as a journal has it.
fn moment(world: &World<'_>) -> Moment {
    let (at, up) = (world.clock.now(), world.clock.uptime());
    Moment {
        boot: world.machine.boot.as_str().into(),
        up: Duration::from_millis(u64::try_from(up.as_millis()).unwrap_or(u64::MAX)),
        at: jiff::Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at),
    }
}

/// At most so much of what a probe saw is kept.
const EVIDENCE_BYTES_MAX: usize = 2 << 10;

/// The end of a text, which is where the reason stands.
fn end_of(text: &str) -> String {
    let from = text.len().saturating_sub(EVIDENCE_BYTES_MAX);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(from..).unwrap_or_default().to_owned()
}

/// What became of one question.
impl Polled {
    fn heard(&mut self, up: Duration, reply: &Reply) -> Option<super::effects::Answer> {
        match self.poll.heard((self.asked, up), reply.answer) {
            Ok(answer) => Some(answer),
            Err(next) => {
                self.next = Some(next);
                None
            }
        }
    }
}
