//! The end of processes, and of nobody else's.
//!
//! Whoever is hunted is known by the table, by a mark in its environment, or by working below the
//! laboratory's directory as a program of the table does (a server's processes that outlived it);
//! and whoever these have started belongs to them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::exec::{Identity, Signal};
use soter_world::{Clock, SystemClock};

use super::memory;
use super::seen::{self, Seen};
use super::{Entry, boot};

/// A server forks while it is being killed, so one looks again; each round finds fewer.
const ROUNDS_MAX: u32 = 2_000;

/// How long between two rounds.
const PAUSE: Duration = Duration::from_millis(5);

/// Who is to be ended.
#[derive(Debug, Default)]
pub(crate) struct Hunt {
    identities: BTreeSet<(u32, u64)>,
    programs: BTreeSet<PathBuf>,
    variables: Vec<String>,
    directory: Option<PathBuf>,
}

impl Hunt {
    /// These processes, and what they have started.
    pub(super) fn for_entries<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let boot = boot().unwrap_or_default();
        let mut hunt = Self::default();
        for entry in entries {
            let program = &entry.spec.program;
            hunt.programs.insert(program.canonicalize().unwrap_or_else(|_| program.clone()));
            if let Some(identity) = entry.identity.as_ref().filter(|known| known.boot == boot) {
                hunt.identities.insert((identity.process, identity.start_ticks));
            }
        }
        hunt
    }

    /// And all that have this in their environment; with several, all of them.
    pub(super) fn marked(mut self, name: &str, value: &str) -> Self {
        self.variables.push(format!("{name}={value}"));
        self
    }

    /// And those of the same programs that work below a directory.
    pub(super) fn below(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.canonicalize().unwrap_or_else(|_| directory.to_owned()));
        self
    }

    /// And these programs are ours, too, where they work below the directory.
    pub(crate) fn with_programs(mut self, programs: impl IntoIterator<Item = PathBuf>) -> Self {
        let whole = |program: PathBuf| program.canonicalize().unwrap_or(program);
        self.programs.extend(programs.into_iter().map(whole));
        self
    }

    /// Kills them, again and again until none is left, and gives back the memory they shared. How
    /// many there were.
    pub(crate) fn end(&self) -> io::Result<usize> {
        let mut killed = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let found = self.find(&seen::all()?);
            if found.is_empty() {
                let known = self.identities.iter().chain(&killed).map(|(process, _)| *process);
                memory::give_back(&known.collect())?;
                return Ok(killed.len());
            }
            for Seen { process, start_ticks, .. } in found {
                Identity { process, start_ticks }.signal(Signal::Kill);
                killed.insert((process, start_ticks));
            }
            SystemClock.sleep(PAUSE);
        }
        Err(io::Error::other("processes that were killed do not end"))
    }

    /// Whether there is any of them.
    pub(crate) fn finds_any(&self) -> io::Result<bool> {
        Ok(!self.find(&seen::all()?).is_empty())
    }

    /// Those of all these that are hunted, without ourselves and those who have started us.
    fn find(&self, all: &[Seen]) -> Vec<Seen> {
        let mut found: BTreeSet<u32> =
            all.iter().filter(|seen| self.is_hunted(seen)).map(|seen| seen.process).collect();
        // What they have started: until nobody is added, as the list is in no order.
        loop {
            let before = found.len();
            let children = all.iter().filter(|seen| found.contains(&seen.parent));
            found.extend(children.map(|seen| seen.process).collect::<Vec<_>>());
            if found.len() == before {
                break;
            }
        }
        let spared = ancestors(all, std::process::id());
        let hunted = all.iter().filter(|seen| found.contains(&seen.process));
        hunted.filter(|seen| !spared.contains(&seen.process)).copied().collect()
    }

    fn is_hunted(&self, seen: &Seen) -> bool {
        self.identities.contains(&(seen.process, seen.start_ticks))
            || (!self.variables.is_empty() && seen::has_variables(seen.process, &self.variables))
            || self.directory.as_ref().is_some_and(|directory| {
                seen::place_and_program(seen.process).is_some_and(|(place, program)| {
                    place.starts_with(directory) && self.programs.contains(&program)
                })
            })
    }
}

/// A process and those above it.
fn ancestors(all: &[Seen], process: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut next = Some(process);
    while let Some(process) = next.filter(|process| found.insert(*process)) {
        next = all.iter().find(|seen| seen.process == process).map(|seen| seen.parent);
    }
    found
}

#[cfg(test)]
mod tests {
    use soter_world::exec::{Child, Command, Status};

    use super::super::{Identity as Written, Spec};
    use super::*;

    fn sleeper(directory: &Path, mark: &str) -> Child {
        let command = Command::new("sleep").arg("600").current_dir(directory);
        command.env("KOSMOS_LAB_TEST", mark).spawn().unwrap()
    }

    fn entry(process: u32, later_ticks: u64) -> Entry {
        let start_ticks = seen::look(process).unwrap().start_ticks + later_ticks;
        let program = seen::place_and_program(process).unwrap().1;
        let spec = Spec::new("sleeper", "node-1", &program, PathBuf::from("/"));
        let identity = Written { process, start_ticks, boot: boot().unwrap() };
        Entry { spec, identity: Some(identity) }
    }

    #[test]
    fn the_recorded_the_marked_and_those_below_end_and_nobody_else() {
        let root = tempfile::tempdir().unwrap();
        let mark = format!("ours-{}", std::process::id());
        let recorded = sleeper(Path::new("/"), "other");
        let marked = sleeper(Path::new("/"), &mark);
        let below = sleeper(root.path(), "other");
        let neither = sleeper(Path::new("/"), "other");
        // Another program that works there: somebody looks around.
        let shell = Command::new("sh").args(["-c", "read line"]).current_dir(root.path());
        let (reader, writer) = io::pipe().unwrap();
        let reader = std::fs::File::from(std::os::fd::OwnedFd::from(reader));
        let shell = shell.stdin(soter_world::exec::Input::File(reader)).spawn().unwrap();

        let known = entry(recorded.id(), 0);
        let hunt = Hunt::for_entries([&known]).marked("KOSMOS_LAB_TEST", &mark).below(root.path());
        assert_eq!(hunt.end().unwrap(), 3);
        for ended in [recorded, marked, below] {
            assert_eq!(ended.wait().status, Status::Signaled(9));
        }
        assert_eq!(neither.try_wait(), None);
        assert_eq!(shell.try_wait(), None);
        assert_eq!(hunt.end().unwrap(), 0);
        drop(writer);
    }

    #[test]
    fn a_number_that_has_gone_to_another_is_spared() {
        let stranger = sleeper(Path::new("/"), "other");
        let stale = entry(stranger.id(), 1);
        assert!(!stale.is_alive());
        assert_eq!(Hunt::for_entries([&stale]).end().unwrap(), 0);
        assert_eq!(stranger.try_wait(), None);
    }

    #[test]
    fn what_they_have_started_ends_with_them() {
        let parent = Command::new("sh").args(["-c", "sleep 601; true"]).spawn().unwrap();
        let known = entry(parent.id(), 0);
        let has_child = || seen::all().unwrap().iter().any(|seen| seen.parent == parent.id());
        while !has_child() {
            SystemClock.sleep(PAUSE);
        }
        assert_eq!(Hunt::for_entries([&known]).end().unwrap(), 2);
    }
}
