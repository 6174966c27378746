//! `down`: ends what belongs to a laboratory, and nothing else, and removes its directory.

use std::fs;
use std::io;
use std::path::Path;

use soter_world::Stop;

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::place::{self, Found};

/// How often a directory is tried to be removed in which a process that has just been killed still
/// made a file.
const TRIES: u32 = 20;

/// Ends it. How many processes were ended; `None` when there was no laboratory.
pub(crate) fn run(root: &Path) -> Result<Option<usize>, Failure> {
    if !root.exists() {
        return Ok(None);
    }
    let found = place::find(root)?;
    let held = place::hold(root)?;
    let ended = match found {
        Found::Lab(description) => Some(clear(&Lab::new(*description, Stop::new(), true))?),
        Found::Nothing => None,
    };
    remove(root)?;
    drop(held);
    Ok(ended)
}

/// Ends all processes, and removes everything but the description and the lock. The description goes
/// last, so that what is interrupted can be done again.
pub(crate) fn clear(lab: &Lab) -> Result<usize, Failure> {
    let ended = lab.everything()?.end().map_err(failed("end the laboratory's processes"))?;
    let cannot = || failed::<io::Error>(&format!("clear {}", lab.root().display()));
    for entry in fs::read_dir(lab.root()).map_err(cannot())?.flatten() {
        let kept = entry.file_name() == place::FILE || entry.file_name() == place::LOCK;
        if kept {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        } else {
            fs::remove_file(entry.path()).map_err(cannot())?;
        }
    }
    fs::remove_file(lab.root().join(place::FILE)).map_err(cannot())?;
    Ok(ended)
}

fn remove(directory: &Path) -> Result<(), Failure> {
    for _ in 0..TRIES {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&format!("remove {}", directory.display()))(error));
            }
            _ => return Ok(()),
        }
    }
    let what = format!("something still makes files in {}", directory.display());
    Err(Failure::new(Ending::Failed, what).hint("see what it is, then run it again"))
}
