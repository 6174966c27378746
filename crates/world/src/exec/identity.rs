//! Who a process is, beyond a number that the next one may get.
//!
//! A number and the moment its process began, counted by the kernel in ticks since the boot, are never
//! given twice within one boot. Whoever keeps them, and which boot it was, can tell later whether the
//! process of that number is still the same.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::process::CommandExt;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::Pid;

use super::{Command, ExecError, Signal, to_pid};

/// A process, and no other that ever has its number while the machine is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Its number.
    pub process: u32,
    /// When it began, in ticks since the boot.
    pub start_ticks: u64,
}

/// What the kernel says of a process.
struct Stat {
    state: char,
    session: u32,
    start_ticks: u64,
    /// Ticks of processor time that children took which were waited for.
    children_ticks: u64,
}

impl Identity {
    /// This process.
    ///
    /// # Errors
    /// When the kernel does not show it (`/proc` is not mounted).
    pub fn this() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The process that has this number now.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn of(process: u32) -> io::Result<Self> {
        Ok(Self { process, start_ticks: stat(process)?.start_ticks })
    }

    /// Whether it is still there and not a zombie.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        stat(self.process)
            .is_ok_and(|stat| stat.start_ticks == self.start_ticks && is_alive(stat.state))
    }

    /// The living processes of the session that it leads, itself included. An empty set if it leads
    /// none, or nothing of it is left.
    ///
    /// While one of them lives the number cannot go to another session; when none does, a stranger's
    /// session may have it, so ask only while one of them is known to live.
    #[must_use]
    pub fn session(&self) -> BTreeSet<Self> {
        let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter_map(|process| Some((process, stat(process).ok()?)))
            .filter(|(_, stat)| stat.session == self.process && is_alive(stat.state))
            .map(|(process, stat)| Self { process, start_ticks: stat.start_ticks })
            .collect()
    }

    /// Sends it a signal if it is still there.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = to_pid(self.process) else { return };
        // The descriptor holds on to the process, so that it is still this one when it gets the signal.
        let flags = rustix::process::PidfdFlags::empty();
        let Ok(descriptor) = rustix::process::pidfd_open(pid, flags) else { return };
        if self.is_alive() {
            // It may have ended meanwhile, which is what most signals are for.
            rustix::process::pidfd_send_signal(descriptor, signal.into()).ok();
        }
    }
}

impl Command {
    /// Leaves it in our process group, until it makes its own: a child that will lead a session
    /// ([`lead_session`]) must not lead a group before. [`Child::kill`](super::Child::kill) does not
    /// reach it.
    #[must_use]
    pub fn in_our_group(mut self) -> Self {
        self.leads_group = false;
        self
    }

    /// Becomes that program: the same process, its number and identity, with another image. What it
    /// reads and writes is as set here, but nothing can be captured; it stays in the process group it is
    /// in, which it may lead or not. Returns only when it cannot; then signals are handled as in a new process, so end soon.
    #[must_use]
    pub fn replace_this_process(self) -> ExecError {
        // The leader of a session cannot make a group, and nobody else needs to.
        let (mut command, program, _) = self.in_our_group().into_std();
        let source = command.exec();
        ExecError::Start { program, source }
    }
}

/// Makes this process the leader of a session and group of its own, without a terminal: a Ctrl-C and
/// the end of a login do not reach it.
///
/// # Errors
/// When it leads a group already.
pub fn lead_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// The process that started this one, or the one that took it over when that ended.
#[must_use]
pub fn parent_process() -> u32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// A file without a name, in memory, that holds `bytes` and stands at its beginning: what a child
/// reads whole however soon we end, and nobody finds on a disk.
///
/// # Errors
/// When there is no memory for it.
pub fn anonymous_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("soter", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Processor time of all children of this process that ended and were waited for.
///
/// # Errors
/// When the kernel does not show it.
pub fn children_time() -> io::Result<Duration> {
    let ticks = stat(std::process::id())?.children_ticks;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_millis(ticks.saturating_mul(1000) / per_second))
}

/// Sends a signal to a whole group, whose leader need not be a child of ours.
///
/// # Errors
/// When there is no such group, or it belongs to somebody else.
pub fn signal_group(leader: u32, signal: Signal) -> io::Result<()> {
    let group: Pid = to_pid(leader).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process_group(group, signal.into())?)
}

/// Zombies and the dead do nothing any more.
fn is_alive(state: char) -> bool {
    !matches!(state, 'Z' | 'X' | 'x')
}

fn stat(process: u32) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{process}/stat"))?;
    parse_stat(&String::from_utf8_lossy(&text)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The name in the parentheses may hold spaces and parentheses itself; the last one closes it.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, behind) = text.rsplit_once(')')?;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    // proc(5) counts from 1; the state is field 3, and the first here.
    let field = |number: usize| fields.get(number - 3).copied();
    let ticks = |number: usize| field(number)?.parse::<u64>().ok();
    Some(Stat {
        state: field(3)?.chars().next()?,
        session: field(6)?.parse().ok()?,
        start_ticks: ticks(22)?,
        children_ticks: ticks(16)?.saturating_add(ticks(17)?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Output, is_running};
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_not_misread() {
        let text = "7 (a) R (b) S 1 2 42 0 -1 0 0 0 0 0 0 0 30 12 20 0 1 0 987 0 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.state, stat.session), ('S', 42));
        assert_eq!((stat.start_ticks, stat.children_ticks), (987, 42));
        assert!(parse_stat("7 (a").is_none());
        assert!(parse_stat("7 (a) S 1").is_none());
    }

    #[test]
    fn an_identity_is_of_one_process_and_ends_with_it() {
        let this = Identity::this().unwrap();
        assert!(this.is_alive());
        assert!(!Identity { start_ticks: this.start_ticks + 1, ..this }.is_alive());

        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.is_alive());
        Identity { start_ticks: 1, ..identity }.signal(Signal::Kill);
        assert!(identity.is_alive(), "another process of that number was meant");
        identity.signal(Signal::Kill);
        assert_eq!(child.wait().status, super::super::Status::Signaled(9));
        assert!(!identity.is_alive());
        assert!(Identity::of(identity.process).is_err() || is_running(identity.process));
    }

    #[test]
    fn a_session_is_found_whatever_groups_are_in_it() {
        let reader = tempfile::NamedTempFile::new().unwrap();
        let output = Output::append_to(reader.path()).unwrap();
        // `set -m` gives the job in the background a group of its own.
        let script = "setsid bash -c 'set -m; sleep 1000 & echo $$ $!; wait'";
        let child = Command::new("bash").args(["-c", script]).stdout(output).spawn().unwrap();
        let text = loop {
            let text = fs::read_to_string(reader.path()).unwrap();
            if text.ends_with('\n') {
                break text;
            }
            std::thread::yield_now();
        };
        let numbers: Vec<u32> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let leader = Identity::of(numbers[0]).unwrap();
        let found: Vec<u32> = leader.session().iter().map(|member| member.process).collect();
        assert!(
            found.contains(&numbers[0]) && found.contains(&numbers[1]),
            "{found:?} {numbers:?}"
        );
        leader.session().iter().for_each(|member| member.signal(Signal::Kill));
        drop(child.wait());
    }

    #[test]
    fn what_is_in_memory_is_read_whole() {
        let file = anonymous_file(&vec![b'x'; 1 << 20]).unwrap();
        let long = Duration::from_secs(60);
        let counted = Command::new("wc").arg("-c").stdin(super::super::Input::File(file));
        assert_eq!(counted.run(long).unwrap().stdout, b"1048576\n");
    }

    #[test]
    fn groups_and_parents_are_told_apart_from_everything() {
        assert!(signal_group(0, Signal::Terminate).is_err());
        assert!(children_time().is_ok());
        assert!(is_running(parent_process()));
    }
}
