//! Which processes work below a directory, and their end.
//!
//! A PostgreSQL server works in its data directory, and everything else that the demonstration starts
//! works in the demonstration's directory. So whoever works there belongs to it, whichever process
//! started it and whether that one still lives; no list of numbers has to be kept, or can be stale.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use soter_world::Clock;

/// A server forks while it is being killed, so one looks again; each round finds fewer.
const ROUNDS_MAX: u32 = 2_000;

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A process that cannot be mistaken for a later one of the same number.
struct Process {
    id: i32,
    handle: OwnedFd,
}

/// Kills whatever works below a directory, again and again until nothing does. Returns how many
/// processes were killed.
pub(super) fn kill_below(directory: &Path, clock: &dyn Clock) -> io::Result<usize> {
    let mut killed = std::collections::BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let found = below(directory)?;
        if found.is_empty() {
            return Ok(killed.len());
        }
        for process in found {
            // One that has just ended by itself is as dead as it should be.
            if pidfd_send_signal(&process.handle, Signal::KILL).is_ok() {
                killed.insert(process.id);
            }
        }
        clock.sleep(PAUSE);
    }
    let what = format!("processes still work in {} after being killed", directory.display());
    Err(io::Error::other(what))
}

/// All that work below a directory, this process left out. Those that have ended and wait to be
/// collected work nowhere any more.
fn below(directory: &Path) -> io::Result<Vec<Process>> {
    let ourselves = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if u32::try_from(id) == Ok(ourselves) || !works_below(id, directory) {
            continue;
        }
        let Some(handle) = Pid::from_raw(id).and_then(|pid| open(pid).ok()) else { continue };
        // Looked at once more, now that the handle holds it: the number may have gone to another.
        if works_below(id, directory) {
            found.push(Process { id, handle });
        }
    }
    Ok(found)
}

fn open(pid: Pid) -> rustix::io::Result<OwnedFd> {
    pidfd_open(pid, PidfdFlags::empty())
}

/// A process whose directory was removed is said to work in `… (deleted)`, still below.
fn works_below(process: i32, directory: &Path) -> bool {
    let place: io::Result<PathBuf> = fs::read_link(format!("/proc/{process}/cwd"));
    place.is_ok_and(|place| {
        let place = place.into_os_string();
        let place = place.to_string_lossy();
        Path::new(place.strip_suffix(" (deleted)").unwrap_or(&place)).starts_with(directory)
    })
}

#[cfg(test)]
mod tests {
    use soter_world::SystemClock;
    use soter_world::exec::{Command, Status};

    use super::*;

    #[test]
    fn who_works_below_a_directory_is_killed_and_nobody_else() {
        let ours = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let inner = ours.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let sleeper = |directory: &Path| {
            Command::new("sleep").arg("600").current_dir(directory).spawn().unwrap()
        };
        // As /proc shows it: without links on the way.
        let root = ours.path().canonicalize().unwrap();
        let (inside, outside) = (sleeper(&inner), sleeper(other.path()));
        let orphan = sleeper(&inner);
        fs::remove_dir(&inner).unwrap();
        assert_eq!(kill_below(&root, &SystemClock).unwrap(), 2);
        assert_eq!(inside.wait().status, Status::Signaled(9));
        assert_eq!(orphan.wait().status, Status::Signaled(9));
        assert_eq!(outside.try_wait(), None);
        assert_eq!(kill_below(&root, &SystemClock).unwrap(), 0);
    }
}
