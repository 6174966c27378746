//! The thread that leads: asks the server, prepares, streams, and does what the state machine says.

mod prepare;
mod probe;
mod stream;

use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use super::engine::{Engine, Ground, Writer, chain};
use super::facts::FactsKeeper;
use super::lanes::LANES_MAX;
use super::machine::{Ending, Event, Phase, State, Trouble};
use super::resume::{Beginning, Fork, Held};
use super::shared::{PatientClock, Shared};
use super::spool::{Recovered, Spool};
use super::writer::Life;
use crate::lsn::{Lsn, SegmentSize, Timeline};
use crate::replication::ReplicationClient;
use probe::{Probed, SlotWatch};

/// How many segments are sealed at once: more than one only while a backlog is worked off.
const SEALERS: usize = 2;

/// How long a stop waits for the vault. What is not there by then the server still has.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// How long a change of timeline waits for the vault before it looks at the server again.
const SWITCH_PATIENCE: Duration = Duration::from_secs(10);

/// The leading thread's own.
pub(crate) struct Supervisor<'scope, 'env> {
    shared: &'scope Shared<'env>,
    scope: &'scope Scope<'scope, 'env>,
    probed: Option<Probed>,
    client: Option<ReplicationClient>,
    slot_watch: SlotWatch,
    writer: Option<Arc<Writer>>,
    crew: Option<Crew<'scope>>,
    facts: Option<FactsKeeper>,
    spool: Option<Arc<Spool>>,
    /// What the spool had when the process began, until an engine has it.
    recovered: Option<Recovered>,
    /// Where another timeline goes on.
    follow: Option<(Timeline, Lsn)>,
    /// What we held is behind a gap: begin where the slot that was just made keeps WAL from.
    begins_anew: Option<Lsn>,
    drain_until: Option<Duration>,
    /// Whether the spool was looked into for WAL that the server may never send again.
    has_salvaged: bool,
}

/// An engine with its threads.
struct Crew<'scope> {
    engine: Arc<Engine>,
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
}

impl Crew<'_> {
    /// Whether a thread has ended that should not have.
    fn is_broken(&self) -> bool {
        self.threads.iter().any(ScopedJoinHandle::is_finished)
    }
}

impl<'scope, 'env> Supervisor<'scope, 'env> {
    pub(crate) fn new(shared: &'scope Shared<'env>, scope: &'scope Scope<'scope, 'env>) -> Self {
        Self {
            shared,
            scope,
            probed: None,
            client: None,
            slot_watch: SlotWatch::default(),
            writer: None,
            crew: None,
            facts: None,
            spool: None,
            recovered: None,
            follow: None,
            begins_anew: None,
            drain_until: None,
            has_salvaged: false,
        }
    }

    /// Does what there is to do until the end.
    pub(crate) fn run(mut self) -> Ending {
        let mut state = State::START;
        loop {
            self.shared.show(&state);
            if let Phase::Ended(ending) = &state.phase {
                let ending = ending.clone();
                self.close();
                return ending;
            }
            for event in self.act(&state) {
                state = match state.next(event) {
                    Ok(next) => next,
                    Err(illegal) => {
                        self.close();
                        return Ending::Failed(illegal.to_string());
                    }
                };
            }
        }
    }

    /// Does what the state asks for, and says what came of it.
    fn act(&mut self, state: &State) -> Vec<Event> {
        if let Some(trouble) = self.shared.trouble() {
            return vec![Event::Failed(trouble)];
        }
        let draining = matches!(state.phase, Phase::Draining);
        if self.shared.stop.is_stopped() && !draining {
            return vec![Event::StopRequested];
        }
        let event = match &state.phase {
            Phase::Probe => {
                let event = self.probe();
                if matches!(event, Event::Failed(Trouble::Passing(_))) {
                    self.salvage();
                }
                event
            }
            Phase::Prepare => self.prepare(),
            Phase::Stream { timeline, from } => {
                let (flowed, event) = self.stream(*timeline, *from);
                let flowed = flowed.then_some(Event::Flowed);
                return flowed.into_iter().chain([event]).collect();
            }
            Phase::Backoff { .. } => {
                self.client = None;
                let pause = state.pause(&*self.shared.around.world.random);
                if self.shared.stop.wait(pause) { Event::StopRequested } else { Event::Waited }
            }
            Phase::Gap { from, timeline } => self.record_gap(*timeline, *from),
            Phase::Fork(fork) => self.record_fork(fork),
            Phase::Draining | Phase::Ended(_) => self.drain(),
        };
        vec![event]
    }

    /// Lets the engine finish, as long as a stop may take.
    fn drain(&mut self) -> Event {
        let now = self.shared.now();
        let until = *self.drain_until.get_or_insert(now + DRAIN_MAX);
        if let Some(crew) = &self.crew
            && !crew.engine.drain(until.saturating_sub(now))
        {
            self.shared.find(&format!(
                "stopped with {} bytes that are not in the vault yet; the server keeps them",
                crew.engine.standing().lag_bytes
            ));
        }
        Event::Drained
    }

    /// Ends the engine and waits for its threads.
    fn close(&mut self) {
        self.shared.abandon.stop();
        self.close_crew();
        self.shared.stop.stop();
        self.shared.notify();
    }

    fn close_crew(&mut self) {
        if let Some(crew) = self.crew.take() {
            crew.engine.detach();
            crew.engine.close();
            for thread in crew.threads {
                // The scope passes a panic on.
                drop(thread.join());
            }
            self.shared.desk().engine = None;
        }
    }

    /// Starts an engine and its threads.
    fn open_crew(&mut self, engine: Engine) {
        let engine = Arc::new(engine);
        let mut threads = Vec::new();
        for _ in 0..LANES_MAX {
            let engine = Arc::clone(&engine);
            threads.push(self.scope.spawn(move || engine.run_lane()));
        }
        for _ in 0..SEALERS {
            let engine = Arc::clone(&engine);
            threads.push(self.scope.spawn(move || engine.run_sealer()));
        }
        self.shared.desk().engine = Some(Arc::clone(&engine));
        self.shared.notify();
        self.facts = None;
        self.crew = Some(Crew { engine, threads });
    }

    /// What an engine needs.
    fn ground(&mut self, size: SegmentSize) -> Result<Ground, Trouble> {
        let world = &self.shared.around.world;
        let clock = Arc::clone(&world.clock);
        let clock = Arc::new(PatientClock { clock, abandon: self.shared.abandon.clone() });
        let spool = self.spool(size)?;
        let random = Arc::clone(&world.random);
        let compression = self.shared.settings.compression;
        Ok(Ground { clock, random, spool, size, compression })
    }

    /// The spool, and once in the process's life what a former one left in it.
    fn spool(&mut self, size: SegmentSize) -> Result<Arc<Spool>, Trouble> {
        if let Some(spool) = &self.spool {
            return Ok(Arc::clone(spool));
        }
        let disk = Arc::clone(&self.shared.around.world.disk);
        let missing = || Trouble::Passing("there is no session".to_owned());
        let incarnation = self.writer.as_ref().ok_or_else(missing)?.archive.incarnation;
        let open = || {
            let spool = Spool::open(disk, self.shared.settings.spool_directory(), size)?;
            let recovered = spool.recover(incarnation)?;
            Ok((spool, recovered))
        };
        let (spool, recovered) = open().map_err(spool_trouble)?;
        let spool = Arc::new(spool);
        self.recovered = recovered;
        self.spool = Some(Arc::clone(&spool));
        Ok(spool)
    }

    /// A server that does not come back must not keep acknowledged WAL from the vault that is in the
    /// spool alone.
    fn salvage(&mut self) {
        if self.has_salvaged || self.crew.is_some() {
            return;
        }
        match self.salvage_spool() {
            Ok(()) => self.has_salvaged = true,
            // The vault is away, too: tried again with the next look at the server.
            Err(Trouble::Passing(_)) => {}
            Err(Trouble::Input(why) | Trouble::Superseded(why) | Trouble::Lasting(why)) => {
                self.has_salvaged = true;
                self.shared.find(&format!("WAL stays in the spool: {why}"));
            }
        }
    }

    fn salvage_spool(&mut self) -> Result<(), Trouble> {
        let disk = &*self.shared.around.world.disk;
        let directory = self.shared.settings.spool_directory();
        let Some(mark) = Spool::read_mark(disk, &directory).map_err(spool_trouble)? else {
            return Ok(());
        };
        let size = mark.segment_size;
        if self.writer.is_none() {
            let writer = self.shared.open_writer(Life::Marked(mark.incarnation), size)?;
            self.writer = Some(Arc::new(writer));
        }
        let ground = self.ground(size)?;
        let (Some(recovered), Some(writer)) = (self.recovered, self.writer.clone()) else {
            return Ok(());
        };
        let Recovered { timeline, start, end } = recovered;
        let wal = writer.wal(&*self.shared.around.world.clock);
        let stored = wal.contiguous_end(timeline.0, start.0);
        let stored = stored.map_err(|error| Trouble::Passing(chain(&error)))?;
        let unsealed = Lsn(stored.sealed).start_of_segment(size);
        if end <= unsealed {
            return Ok(());
        }
        (self.shared.around.say)("storing WAL that is in the spool alone");
        let beginning = Beginning { start: start.max(unsealed), received: end };
        let mode = self.shared.settings.mode;
        let engine = Engine::new(ground, timeline, writer, mode, beginning);
        self.open_crew(engine.map_err(spool_trouble)?);
        self.recovered = None;
        Ok(())
    }

    fn probed(&self) -> Result<&Probed, Trouble> {
        let missing = || Trouble::Passing("the server was not asked".to_owned());
        self.probed.as_ref().ok_or_else(missing)
    }

    /// What the running engine holds: all of it is in the spool or in the vault.
    fn held_by_engine(&self) -> Option<Held> {
        let engine = &self.crew.as_ref()?.engine;
        let end = engine.received_end();
        let start = end.start_of_segment(engine.ground().size);
        Some(Held { timeline: engine.timeline(), start, end })
    }

    /// Waits until what the engine has is in the vault: its timeline is about to be left. Without an
    /// engine, what a former process left in the spool is stored first.
    fn settle_engine(&mut self) -> Result<(), Trouble> {
        if self.crew.is_none() {
            self.salvage_spool()?;
        }
        let Some(crew) = &self.crew else { return Ok(()) };
        if !crew.engine.drain(SWITCH_PATIENCE) {
            let why = crew.engine.standing().vault_trouble;
            let why = why.unwrap_or_else(|| "the vault is slow".to_owned());
            return Err(Trouble::Passing(format!("a timeline cannot be finished: {why}")));
        }
        let engine = Arc::clone(&crew.engine);
        self.close_crew();
        engine.forget_files();
        Ok(())
    }

    fn record_gap(&mut self, timeline: Timeline, from: Lsn) -> Event {
        let durable = self.crew.as_ref().map(|crew| crew.engine.received_end());
        let from = durable.map_or(from, |durable| durable.max(from));
        let to = match self.settle_engine().and_then(|()| self.way_round_gap(from)) {
            Ok(to) => to,
            Err(trouble) => return Event::Failed(trouble),
        };
        let noticed_at = self.shared.around.world.clock.now();
        let reason = "the server did not keep it (slot lost, or max_slot_wal_keep_size too small)";
        let reason = reason.to_owned();
        self.shared.note_gap(super::memory::Gap { timeline, from, to, noticed_at, reason });
        // Canaries on their way may be in the gap.
        self.shared.desk().canaries.forget_pending();
        self.shared.want_backup("WAL is missing before now".to_owned(), false);
        self.begins_anew = Some(to);
        Event::Recorded
    }

    fn record_fork(&mut self, fork: &Fork) -> Event {
        self.shared.find(&fork.to_string());
        if let Some((next, switch)) = fork.way_on() {
            if let Err(trouble) = self.settle_engine() {
                return Event::Failed(trouble);
            }
            self.follow = Some((next, switch));
            self.shared.desk().canaries.forget_pending();
            self.shared.want_backup("the server has left its history".to_owned(), false);
        }
        Event::Recorded
    }
}

/// The spool's disk may get space again, but what the server sends twice must be the same.
fn spool_trouble(error: super::spool::SpoolError) -> Trouble {
    let said = chain(&error);
    match error {
        super::spool::SpoolError::Disk { .. } => Trouble::Passing(said),
        super::spool::SpoolError::Unsynced { .. } => Trouble::Lasting(said),
        super::spool::SpoolError::OtherLife { .. } => Trouble::Input(said),
        super::spool::SpoolError::Differs { .. } => Trouble::Input(format!(
            "{said}: two servers write one history, or the server lost WAL; if this cluster is to \
             have a history of its own: soter adopt"
        )),
    }
}
