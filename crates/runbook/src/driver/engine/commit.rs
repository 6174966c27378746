//! From what was recorded to what is begun: durable here, durable in the mirror, begun.

use std::collections::VecDeque;
use std::time::Duration;

use soter_world::durable;

use super::{Engine, EngineError, moment};
use crate::journal::{MirrorError, Slot, Stamp, Stored};
use crate::state::{Event, Life, MirrorState, Status};

/// How soon a mirror that was lost is tried again.
const MIRROR_AGAIN: Duration = Duration::from_secs(5);

impl Engine<'_> {
    /// Makes what was recorded durable, and begins what that announced.
    pub(super) fn commit(&mut self) -> Result<(), EngineError> {
        self.append()?;
        self.fill_mirror()?;
        for (step, attempt) in std::mem::take(&mut self.starts) {
            let goes_on = self
                .state
                .step(&step)
                .is_some_and(|one| one.status == Status::Running && one.attempt == attempt);
            let begins = goes_on && !matches!(self.state.life, Life::Closed(_));
            if let Some(attempt) = self.attempt(&step).filter(|_| begins) {
                self.world.effects.start(attempt);
            }
        }
        Ok(())
    }

    fn append(&mut self) -> Result<(), EngineError> {
        let drafts = std::mem::take(&mut self.batch);
        if drafts.is_empty() {
            return Ok(());
        }
        let n = self.journal.next();
        let stamp = Stamp {
            epoch: self.epoch,
            boot: self.now.boot.to_string(),
            at: self.now.at,
            up: self.now.up,
        };
        let lines = self.journal.append(&stamp, drafts)?.lines;
        if self.world.mirror.is_some() && self.state.mirror.0 != MirrorState::Local {
            self.unmirrored.push_back(Slot { n, lines });
        }
        Ok(())
    }

    /// Brings the mirror up to date. If it cannot be reached that is recorded, and what cannot be
    /// taken back is not begun.
    fn fill_mirror(&mut self) -> Result<(), EngineError> {
        if self.state.mirror.0 == MirrorState::Local {
            self.unmirrored.clear();
            return Ok(());
        }
        if self.unmirrored.is_empty() && self.state.mirror.0 == MirrorState::Following {
            return Ok(());
        }
        let is_early = self.world.clock.uptime() < self.mirror_again;
        let outcome = if is_early {
            Err(MirrorError("it was not, a moment ago".to_owned()))
        } else {
            self.push()?
        };
        let is_closed = matches!(self.state.life, Life::Closed(_));
        match (outcome, self.state.mirror.0) {
            // After the last record there is none that could say so.
            (Ok(()), MirrorState::Lost) if !is_closed => {
                let why = "it is reached again".to_owned();
                self.decided(Event::Mirror { now: MirrorState::Following, why })?;
                self.append()?;
                // If that fails, the mirror is lost again, which the next commit finds out.
                self.push()?.ok();
            }
            (Ok(()), _) => {}
            (Err(error), state) => {
                if !is_early {
                    self.mirror_again = moment(&self.world).up.saturating_add(MIRROR_AGAIN);
                }
                if state == MirrorState::Following && !is_closed {
                    let why = error.to_string();
                    self.decided(Event::Mirror { now: MirrorState::Lost, why })?;
                }
                self.withdraw()?;
                self.append()?;
            }
        }
        Ok(())
    }

    /// Puts what the mirror lacks into it, in order. The outer error ends the engine.
    fn push(&mut self) -> Result<Result<(), MirrorError>, EngineError> {
        let Some(mirror) = self.world.mirror else {
            return Ok(Err(MirrorError("none was given".to_owned())));
        };
        let mut refused = None;
        loop {
            if self.is_mirror_unread {
                match mirror.read_all() {
                    Ok(slots) => self.unmirrored = self.owed(&slots)?,
                    Err(error) => return Ok(Err(error)),
                }
                self.is_mirror_unread = false;
            }
            let Some(slot) = self.unmirrored.front() else { return Ok(Ok(())) };
            match mirror.append(slot.n, &slot.lines) {
                Ok(Stored::Created | Stored::AlreadySame) => drop(self.unmirrored.pop_front()),
                // A write of an earlier engine of this machine that arrived late is no other's: what
                // the mirror has then is a beginning of what is here.
                Ok(Stored::Superseded) if refused != Some(slot.n) => {
                    refused = Some(slot.n);
                    self.is_mirror_unread = true;
                }
                Ok(Stored::Superseded) => return Err(EngineError::Superseded),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// What a mirror lacks that was away when this engine began, also of what earlier ones wrote.
    fn owed(&self, slots: &[Slot]) -> Result<VecDeque<Slot>, EngineError> {
        let there: Vec<u8> = slots.iter().flat_map(|slot| slot.lines.iter().copied()).collect();
        let path = self.directory.join("journal");
        let here = durable::read(self.world.disk, &path, usize::MAX)
            .map_err(EngineError::disk("reading the journal"))?;
        let lines = here.strip_prefix(there.as_slice()).ok_or(EngineError::Superseded)?.to_vec();
        let n = 1 + there.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok((!lines.is_empty()).then_some(Slot { n, lines }).into_iter().collect())
    }

    /// What cannot be taken back and was announced here alone is not begun.
    fn withdraw(&mut self) -> Result<(), EngineError> {
        let starts = std::mem::take(&mut self.starts);
        for (step, attempt) in starts {
            let is_destructive = self.state.step(&step).is_some_and(|one| one.step.destructive);
            if is_destructive {
                let why = "the mirror was lost before it began".to_owned();
                self.decided(Event::Interrupted { step, attempt, began: false, why })?;
            } else {
                self.starts.push((step, attempt));
            }
        }
        Ok(())
    }
}
