//! Waiting for a child's end, and bringing it about.
//!
//! The rule it keeps: a signal goes only to a process that is known to be the one that was meant.

use std::collections::BTreeSet;
use std::path::Path;

use soter_world::Stop;

use super::files::Slot;
use super::{
    ChildError, Children, Condition, Duration, Identity, KILL_GRACE, Signal, TERMINATE_GRACE,
    WATCH_EVERY, exec,
};

impl Children {
    /// Waits for its end, until stopped; then it may still be running.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn wait(&self, directory: &Path, stop: &Stop) -> Result<Condition, ChildError> {
        loop {
            let condition = self.look(directory)?;
            if !matches!(condition, Condition::Running(_)) || stop.is_stopped() {
                return Ok(condition);
            }
            self.clock.sleep(WATCH_EVERY);
        }
    }

    /// Ends it, if it is a command: asks its group to end, and [`TERMINATE_GRACE`] later kills everything in its session,
    /// whatever groups that made. What has become of it then.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn cancel(&self, directory: &Path) -> Result<Condition, ChildError> {
        let leader = match self.look(directory)? {
            Condition::Running(leader) if !self.was_begun_here(directory)? => leader,
            condition => return Ok(condition),
        };
        let mut members = Members { leader, known: BTreeSet::from([leader]) };
        members.gather();
        if leader.is_alive() {
            // It may end at this very moment, which is what is wanted.
            exec::signal_group(leader.process, Signal::Terminate).ok();
        }
        if !self.ended_within(TERMINATE_GRACE, &mut members, |_| {}) {
            let kill = |members: &Members| {
                members.known.iter().for_each(|member| member.signal(Signal::Kill));
            };
            self.ended_within(KILL_GRACE, &mut members, kill);
        }
        let until = self.clock.monotonic() + KILL_GRACE;
        loop {
            let condition = self.look(directory)?;
            let is_running = matches!(condition, Condition::Running(_));
            if !is_running || self.clock.monotonic() > until {
                return Ok(condition);
            }
            self.clock.sleep(WATCH_EVERY);
        }
    }

    /// Whether it is the work of an engine itself, this or an earlier one, which is no command to be ended.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn was_begun_here(&self, directory: &Path) -> Result<bool, ChildError> {
        let slot = Slot::read(&*self.disk, directory)?;
        Ok(matches!(slot, Some(Slot::Taken(owner)) if owner.is_engine()))
    }

    /// Does something to the members at each look, until none is left.
    fn ended_within(
        &self,
        grace: Duration,
        members: &mut Members,
        at_each_look: impl Fn(&Members),
    ) -> bool {
        let until = self.clock.monotonic() + grace;
        while members.is_alive() {
            at_each_look(members);
            if self.clock.monotonic() > until {
                return false;
            }
            self.clock.sleep(WATCH_EVERY);
            members.gather();
        }
        true
    }
}

/// The processes of a session, as long as one of them holds its number.
struct Members {
    leader: Identity,
    known: BTreeSet<Identity>,
}

impl Members {
    fn is_alive(&self) -> bool {
        self.known.iter().any(Identity::is_alive)
    }

    /// Those that joined since the last look. One that was known must still live after it: before
    /// that, the number was no stranger's.
    fn gather(&mut self) {
        let found = self.leader.session();
        if self.is_alive() {
            self.known.extend(found);
        }
    }
}
