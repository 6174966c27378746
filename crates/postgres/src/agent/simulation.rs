//! The engine under chance: a server that writes, lanes and sealers in any order, a vault that fails
//! and loses answers, processes that are killed, machines that lose power, a second agent.
//!
//! What must hold: nothing is acknowledged that cannot be read back (from the vault, or in
//! asynchronous mode from the vault and the spool); acknowledgements never go back; what is read back
//! is what the server wrote; in the end everything is sealed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use soter_vault::frame::Compression;
use soter_vault::log::LogError;
use soter_vault::objects::Faults;
use soter_vault::wal::{SealedFile, SealedPart, WalError};
use soter_world::Clock;
use soter_world::sim::{SeededRandom, SimDisk, seeds};

use super::engine::{Engine, Ground, PartWork, PartWriter, SealWork, SegmentWriter, Writer};
use super::facts::FactsKeeper;
use super::flow::{Mode, Next};
use super::intake::Intake;
use super::memory::Stand;
use super::resume::Found;
use super::scene::{Scene, wal_bytes};
use super::spool::Spool;
use super::stored::{self, Elsewhere, Stored};
use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::lsn::{Lsn, SegmentNumber, Timeline};
use crate::wal::header::WalIdentity;

const TIMELINE: Timeline = Timeline(1);
const FIRST: SegmentNumber = SegmentNumber(3);
const STEPS: u64 = 500;

/// After how many kills all that was acknowledged is read back, which takes most of the time.
const KILLS_CHECKED: u64 = 6;

/// The server, as far as an agent sees it.
struct Server {
    written: Lsn,
    /// Where its slot stands: what lies in segments before may be gone.
    acknowledged: Lsn,
}

/// A running agent.
struct Agent {
    engine: Engine,
    facts: FactsKeeper,
    /// Where the next bytes of its stream begin; none when it has no connection.
    stream: Option<Lsn>,
    parts: Vec<(Arc<Writer>, PartWork, SealedPart)>,
    seals: Vec<(Arc<Writer>, SealWork, SealedFile)>,
    disk: SimDisk,
    flushed: Lsn,
}

struct Simulation {
    scene: Scene,
    random: SeededRandom,
    mode: Mode,
    server: Server,
    /// The machine of the database.
    disk: SimDisk,
    agent: Option<Agent>,
    /// An agent that was superseded and does not know it.
    ghost: Option<Agent>,
    is_vault_away: bool,
    kills: u64,
    /// What the agent of the database's machine remembers.
    stand: Option<Stand>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let scene = Scene::new(seed);
        let random = SeededRandom::new(seed ^ 0x51f7);
        let mode = if random.chance(50) {
            Mode::Synchronous
        } else {
            Mode::Asynchronous { part_interval: Duration::from_millis(250) }
        };
        let start = FIRST.start(scene.size);
        let server = Server { written: start, acknowledged: start };
        let disk = SimDisk::with_clock(seed, Arc::clone(&scene.clock) as _);
        let (agent, ghost) = (None, None);
        let (is_vault_away, kills, stand) = (false, 0, None);
        let mut this =
            Self { scene, random, mode, server, disk, agent, ghost, is_vault_away, kills, stand };
        this.rough();
        this
    }

    /// A vault on a bad day; lists are complete, as they are on every store that is supported.
    fn rough(&mut self) {
        let faults = Faults { errors_percent: 5, lost_answers_percent: 5, ..Faults::NONE };
        self.scene.store.set_faults(faults);
    }

    fn is_synchronous(&self) -> bool {
        self.mode == Mode::Synchronous
    }

    /// Starts an agent on a machine, if the vault lets it.
    fn start(&mut self, disk: SimDisk) -> Result<Agent, LogError> {
        let writer = self.scene.writer()?;
        let size = self.scene.size;
        let directory = PathBuf::from("/var/lib/soter/orders/spool");
        let spool = Arc::new(Spool::open(Arc::new(disk.clone()), directory, size).unwrap());
        let recovered = spool.recover(self.scene.archive.incarnation).unwrap();
        let clock = &*self.scene.clock;
        let wal = writer.wal(clock);
        let kept_from = self.server.acknowledged.start_of_segment(size);
        let spooled_from = recovered.map(|recovered| (recovered.timeline, recovered.start));
        let elsewhere = Elsewhere { kept_from, spooled_from, gap: None };
        let stored = stored::find(&wal, &writer.session, size, elsewhere, self.stand);
        let stored = stored.map_err(|error| match error {
            WalError::Store(error) => LogError::Store(error),
            other => panic!("{other}"),
        })?;
        let first =
            Stored { timeline: TIMELINE, unsealed: kept_from, end: kept_from, known: kept_from };
        let stored = stored.unwrap_or(first);
        let found = Found {
            unsealed: stored.unsealed,
            stored: stored.end,
            spooled: recovered.map(|recovered| (recovered.start, recovered.end)),
            available: kept_from,
        };
        let beginning = found.beginning(size);
        let ground = Ground {
            clock: Arc::clone(&self.scene.clock) as _,
            random: Arc::clone(&self.scene.random) as _,
            spool,
            size,
            compression: Compression::Zstd(1),
        };
        let engine = Engine::new(ground, TIMELINE, writer, self.mode, beginning).unwrap();
        let identity = WalIdentity {
            system_identifier: SystemIdentifier(1),
            version: MajorVersion::V15,
            segment_size: size,
        };
        let facts = FactsKeeper::new(identity, TIMELINE);
        let (stream, flushed) = (None, Lsn::INVALID);
        let (parts, seals) = (Vec::new(), Vec::new());
        Ok(Agent { engine, facts, stream, parts, seals, disk, flushed })
    }

    fn step(&mut self) {
        self.scene.clock.sleep(Duration::from_millis(self.random.below(60)));
        match self.random.below(100) {
            0..16 => self.server.written.0 += 1 + self.random.below(60_000),
            16..17 => self.server.written.0 += self.random.below(3 << 20),
            17..40 => self.receive(),
            40..42 => self.break_connection(),
            42..63 => self.cut(),
            63..76 => self.put_part(),
            76..81 => self.take_seal(),
            81..86 => self.put_seal(),
            86..89 => self.sync_spool(),
            89..91 => self.toggle_vault(),
            91..94 => self.kill(),
            94..96 => self.haunt(),
            96..97 => self.supersede(),
            97..98 => self.rotate(),
            98..99 => self.remember(),
            _ => self.look_at_fence(),
        }
        self.acknowledge();
    }

    /// The server hears of what is safe, as the engine would say it.
    fn acknowledge(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        let flushed = agent.engine.standing().flushed;
        assert!(flushed >= agent.flushed, "an acknowledgement went back");
        assert!(flushed <= self.server.written);
        agent.flushed = flushed;
        if agent.stream.is_some() {
            self.server.acknowledged = self.server.acknowledged.max(flushed);
        }
    }

    fn receive(&mut self) {
        if self.agent.is_none() {
            self.agent = self.start(self.disk.clone()).ok();
        }
        let Some(agent) = &mut self.agent else { return };
        let size = self.scene.size;
        let Some(at) = agent.stream else {
            let from = agent.engine.received_end().start_of_segment(size);
            let kept = self.server.acknowledged.start_of_segment(size);
            assert!(from >= kept, "WAL from {from} is wanted, it is kept from {kept}");
            agent.stream = Some(from);
            return;
        };
        let length = (self.server.written.0 - at.0).min(1 + self.random.below(130_000));
        let bytes = wal_bytes(at, usize::try_from(length).unwrap());
        Intake::new(&agent.engine, &mut agent.facts).take(at, &bytes).unwrap();
        agent.stream = Some(Lsn(at.0 + length));
    }

    fn break_connection(&mut self) {
        if let Some(agent) = &mut self.agent {
            agent.stream = None;
        }
    }

    fn cut(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        if let Next::Now(work) = agent.engine.take_part() {
            let writer = agent.engine.writer();
            let sealed = PartWriter::new(&agent.engine, &writer).seal(&work).unwrap();
            agent.parts.push((writer, work, sealed));
        }
    }

    fn put_part(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        if agent.parts.is_empty() {
            return;
        }
        let which = self.random.index(agent.parts.len());
        let (writer, work, sealed) = &agent.parts[which];
        if let Ok(put) = PartWriter::new(&agent.engine, writer).put(sealed) {
            agent.engine.part_stored(work.range, &put, Duration::from_millis(20));
            agent.parts.swap_remove(which);
        }
    }

    fn take_seal(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        if let Some(work) = agent.engine.take_seal() {
            let writer = agent.engine.writer();
            let sealed = SegmentWriter::new(&agent.engine, &writer).seal(&work).unwrap();
            agent.seals.push((writer, work, sealed));
        }
    }

    fn put_seal(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        if agent.seals.is_empty() {
            return;
        }
        let which = self.random.index(agent.seals.len());
        let (writer, work, sealed) = &agent.seals[which];
        if let Ok(pushed) = SegmentWriter::new(&agent.engine, writer).put(sealed) {
            agent.engine.segment_sealed(work.segment, &pushed);
            agent.seals.swap_remove(which);
        }
    }

    fn sync_spool(&mut self) {
        let is_allowed = !self.is_synchronous();
        if let Some(agent) = &self.agent
            && is_allowed
        {
            agent.engine.sync_spool().unwrap();
        }
    }

    fn toggle_vault(&mut self) {
        self.is_vault_away = !self.is_vault_away;
        if self.is_vault_away {
            let faults = Faults { errors_percent: 100, ..Faults::NONE };
            self.scene.store.set_faults(faults);
        } else {
            self.rough();
        }
    }

    /// Kills the agent, or cuts the power of its machine.
    fn kill(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        let disk = agent.disk.clone();
        drop(agent);
        if self.random.chance(50) {
            disk.restart();
        } else {
            disk.reboot();
        }
        self.disk = disk;
        self.kills += 1;
        if self.is_synchronous() && self.kills <= KILLS_CHECKED {
            self.check_vault(self.server.acknowledged);
        }
    }

    /// Another agent, on another machine, takes over, and the first goes on without a connection.
    fn supersede(&mut self) {
        if !self.is_synchronous() || self.agent.is_none() || self.is_vault_away {
            return;
        }
        let disk = SimDisk::with_clock(self.random.next(), Arc::clone(&self.scene.clock) as _);
        let Ok(agent) = self.start(disk.clone()) else { return };
        self.ghost = self.agent.take();
        self.agent = Some(agent);
        self.disk = disk;
        self.stand = None;
    }

    /// The superseded agent finishes something it had begun.
    fn haunt(&mut self) {
        let Some(mut ghost) = self.ghost.take() else { return };
        std::mem::swap(&mut self.agent, &mut self.ghost);
        ghost.stream = None;
        self.agent = Some(ghost);
        self.cut();
        self.put_part();
        self.take_seal();
        self.put_seal();
        std::mem::swap(&mut self.agent, &mut self.ghost);
    }

    fn remember(&mut self) {
        if let Some(agent) = &self.agent {
            let writer = agent.engine.writer();
            self.stand = Some(Stand {
                session: writer.session.id(),
                incarnation: writer.archive.incarnation,
                timeline: TIMELINE,
                unsealed: agent.engine.first_unsealed(),
                durable: agent.engine.standing().durable,
            });
        }
    }

    fn rotate(&mut self) {
        if let Some(agent) = &self.agent
            && let Ok(writer) = self.scene.writer()
        {
            agent.engine.replace_writer(writer);
        }
    }

    fn look_at_fence(&mut self) {
        if let Some(agent) = &self.agent {
            let writer = agent.engine.writer();
            match writer.session.check_fence() {
                Ok(()) | Err(LogError::Store(_)) => {}
                Err(LogError::Superseded { .. }) => assert!(self.is_rotated(&writer)),
                Err(error) => panic!("{error}"),
            }
        }
        if let Some(ghost) = &self.ghost {
            match ghost.engine.writer().session.check_fence() {
                Err(LogError::Superseded { .. } | LogError::Store(_)) => {}
                other => panic!("a superseded agent does not notice: {other:?}"),
            }
        }
    }

    /// A session may have been opened whose answer was lost.
    fn is_rotated(&self, writer: &Writer) -> bool {
        let log = writer.session.log();
        let newest = log.catalogue().newest_session(soter_vault::log::Duty::Wal);
        newest.is_some_and(|newest| newest.id != writer.session.id())
    }

    /// The vault has what the server wrote, at least up to there.
    fn check_vault(&mut self, at_least: Lsn) {
        self.scene.store.set_faults(Faults::NONE);
        let start = FIRST.start(self.scene.size);
        let found = self.scene.stitched(TIMELINE, FIRST);
        assert!(start.0 + found.len() as u64 >= at_least.0, "acknowledged WAL is missing");
        assert!(found == wal_bytes(start, found.len()), "other WAL was read back");
        if !self.is_vault_away {
            self.rough();
        }
    }

    /// Brings everything to its end.
    fn finish(&mut self) {
        self.is_vault_away = false;
        self.scene.store.set_faults(Faults::NONE);
        self.ghost = None;
        for _ in 0..10_000 {
            self.scene.clock.sleep(Duration::from_secs(1));
            self.receive();
            self.cut();
            self.put_part();
            self.take_seal();
            self.put_seal();
            self.acknowledge();
            let agent = self.agent.as_ref().unwrap();
            let standing = agent.engine.standing();
            let is_there = standing.received == self.server.written && standing.lag_bytes == 0;
            if is_there && standing.spool_files <= 1 {
                assert_eq!(self.server.acknowledged, self.server.written);
                return;
            }
        }
        panic!("it does not come to an end");
    }
}

#[test]
fn what_was_acknowledged_can_be_read_back_whatever_happens() {
    for seed in seeds(30) {
        let told = format!("seed {seed}");
        let outcome = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed);
            for _ in 0..STEPS {
                simulation.step();
            }
            simulation.finish();
            simulation.check_vault(simulation.server.written);
        });
        assert!(outcome.is_ok(), "{told}");
    }
}
