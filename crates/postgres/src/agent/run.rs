//! Running an agent: its threads, and that there is only one for a state directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread;

use rustix::fs::{FlockOperation, flock};
use soter_world::{Stop, durable};

use super::machine::Ending;
use super::memory::Memory;
use super::settings::{Settings, Surroundings};
use super::shared::Shared;
use super::socket::Doors;
use super::supervisor::Supervisor;

/// Protects a cluster until it is asked to stop, is superseded, or a person must do something.
pub fn run(settings: &Settings, around: &Surroundings<'_>, stop: &Stop) -> Ending {
    let directory = &settings.state_directory;
    let disk = &*around.world.disk;
    let in_directory = |error: io::Error| unusable(directory, &error);
    if let Err(error) = durable::create_dir_all_durable(disk, directory) {
        return in_directory(error);
    }
    let _lock = match lock(directory) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            return Ending::Superseded(format!(
                "another agent runs with the state directory {}",
                directory.display()
            ));
        }
        Err(error) => return in_directory(error),
    };
    let memory = match Memory::load(disk, directory) {
        Ok(memory) => memory,
        Err(error) => return in_directory(error),
    };
    let doors = match Doors::open(&settings.socket()) {
        Ok(doors) => doors,
        Err(error) => return in_directory(error),
    };
    let shared = Shared::new(settings, around, memory, stop.clone());
    thread::scope(|scope| {
        scope.spawn(|| shared.keep_house());
        scope.spawn(|| shared.keep_fence());
        scope.spawn(|| shared.keep_backups());
        scope.spawn(|| shared.keep_watch());
        if let Some(every) = settings.canary_every {
            let shared = &shared;
            scope.spawn(move || shared.keep_canaries(every));
        }
        scope.spawn(|| doors.serve(&shared));
        let ending = Supervisor::new(&shared, scope).run();
        doors.close();
        ending
    })
}

/// How an agent ends that cannot use its state directory. A disk that is full gets room again, so
/// that a service manager shall try again; anything else a person must look at.
fn unusable(directory: &Path, error: &io::Error) -> Ending {
    let what = format!("cannot use the state directory {}: {error}", directory.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ending::Failed(what),
        _ => Ending::Input(format!(
            "{what}; make it for the user that the agent runs as, or name another one in the plan \
             (wal.spool.directory)"
        )),
    }
}

/// The right to be the agent of a state directory; it is given back when the process ends, however
/// it does. `None` when another process has it.
fn lock(directory: &Path) -> io::Result<Option<File>> {
    let path = directory.join("agent.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_mistake_of_a_person() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(unusable(Path::new("/state"), &full), Ending::Failed(_)));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(unusable(Path::new("/state"), &denied), Ending::Input(_)));
    }
}
