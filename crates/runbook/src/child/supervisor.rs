//! The two processes between an engine and a command: the one that waits for its end, and the one
//! that takes the slot and becomes it.
//!
//! The rule they keep: neither decides anything. The supervisor starts the beginner once and says how
//! it ended; the beginner becomes the command only if the slot was free.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use soter_world::exec::{Command, Input, Output};

use super::files::{self, Created, Handed, Slot};
use super::{
    ChildError, Clock, Disk, Duration, Ended, Identity, Launcher, Owner, Spec, exec, file_error, io,
};

/// Longest that is handed over: an environment and a script, as in `files.rs`.
const HANDED_BYTES_MAX: u64 = 16 << 20;

/// How often a status is tried to be written while the disk is full or away. Nothing else says how a
/// command ended, so it is not given up while the directory is there.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// The supervisor: starts the command of a directory, waits for its end and says how it was. What is
/// hidden it reads from its standard input.
///
/// # Errors
/// When there is nothing to start, or the directory is gone.
pub fn supervise(
    disk: &dyn Disk,
    clock: &dyn Clock,
    launcher: &Launcher,
    directory: &Path,
) -> Result<(), ChildError> {
    exec::lead_session().map_err(ChildError::Processes)?;
    let spec: Spec = files::read_json(disk, &directory.join(files::SPEC))?;
    let handed = read_handed(directory)?;
    let this = Identity::this().map_err(ChildError::Processes)?;
    let mut beginner = Command::new(&launcher.program)
        .args(&launcher.arguments)
        .arg(directory)
        .arg(OsString::from(this.process.to_string()))
        .env_clear()
        .current_dir("/")
        .in_our_group()
        .stdout(output(directory)?)
        .stderr(output(directory)?);
    for (name, value) in spec.environment.iter().chain(&handed.environment) {
        beginner = beginner.env(name, value);
    }
    if let Some(input) = &handed.input {
        let input = exec::anonymous_file(input.as_bytes()).map_err(ChildError::Processes)?;
        beginner = beginner.stdin(Input::File(input));
    }
    let status = beginner.spawn().map_err(ChildError::Supervisor)?.wait().status;
    let is_ours = |slot: &Slot| matches!(slot, Slot::Taken(owner) if owner.is_watched_by(this));
    if !Slot::read(disk, directory)?.as_ref().is_some_and(is_ours) {
        // It became nothing: another has the slot, or nobody.
        return Ok(());
    }
    let processor = exec::children_time().unwrap_or_default();
    let ended = Ended { status, at: clock.now(), processor };
    write_status(disk, clock, directory, &ended)
}

/// The beginner: takes the slot of a directory for itself and becomes the command. It ends without a
/// word if the slot is taken, or its supervisor is gone.
///
/// # Errors
/// When it could not become the command. It returns only then.
pub fn begin(
    disk: &dyn Disk,
    boot: &str,
    directory: &Path,
    supervisor: u32,
) -> Result<(), ChildError> {
    exec::lead_session().map_err(ChildError::Processes)?;
    let spec: Spec = files::read_json(disk, &directory.join(files::SPEC))?;
    let this = Identity::this().map_err(ChildError::Processes)?;
    let watched = Identity::of(supervisor).map_err(ChildError::Processes)?;
    // Asked after its start is known: a stranger with its number is no parent of ours.
    if exec::parent_process() != supervisor {
        return Ok(());
    }
    let slot = Slot::Taken(Owner::new(this, watched, boot.to_owned()));
    if let Created::Theirs(_) = slot.create(disk, directory)? {
        return Ok(());
    }
    let command = Command::new(spec.program)
        .args(spec.arguments)
        .current_dir(spec.directory)
        .in_our_group()
        .stdin(Input::Inherit)
        .stdout(Output::Inherit)
        .stderr(Output::Inherit);
    Err(ChildError::Supervisor(command.replace_this_process()))
}

fn output(directory: &Path) -> Result<Output, ChildError> {
    let path = directory.join(files::OUTPUT);
    Output::append_to(&path).map_err(|source| file_error("open", &path, source))
}

fn read_handed(directory: &Path) -> Result<Handed, ChildError> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(HANDED_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|source| file_error("read what was handed over for", directory, source))?;
    serde_json::from_slice(&bytes).map_err(|error| ChildError::Unreadable {
        path: directory.to_owned(),
        why: format!("what was handed over is not whole: {error}"),
    })
}

fn write_status(
    disk: &dyn Disk,
    clock: &dyn Clock,
    directory: &Path,
    ended: &Ended,
) -> Result<(), ChildError> {
    loop {
        match files::write_status(disk, directory, ended) {
            Err(ChildError::File { source, .. }) if source.kind() != io::ErrorKind::NotFound => {
                clock.sleep(STATUS_EVERY);
            }
            written => return written,
        }
    }
}
