//! The demonstration's own directory, and the guard that leaves nothing of it.
//!
//! The guard is a process of its own. It makes the directory, which must not exist before, so that it
//! can never remove anything else; then it reads from a pipe whose other end only the demonstration
//! holds. When that end closes, because the demonstration is over or because it died, be it by a
//! signal nobody can catch, the guard kills whatever works in the directory and removes it.

use std::fs::{self, File};
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::exec::{Child, Command, Input, Output, Status};
use soter_world::{Clock, random};

use super::processes::kill_below;
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::output::human_bytes;

/// On a real disk, where `/tmp` may be memory: a commit's latency is that of a disk.
pub(super) const DEFAULT_PARENT: &str = "/var/tmp";

/// Paths of Unix sockets end at 107 bytes, and the longest socket below has 30.
const PATH_LENGTH_MAX: usize = 70;

/// What the guard reads when the directory shall stay.
const KEEP: u8 = b'k';

/// How long between two looks whether the guard has made the directory.
const PAUSE: Duration = Duration::from_millis(2);

/// A directory that goes away with the demonstration.
pub(super) struct Place {
    root: PathBuf,
    guard: Option<(Child, PipeWriter)>,
}

impl Place {
    /// Makes a new directory in `parent` and has it guarded. So many bytes must fit into it.
    pub(super) fn make(context: &Context, parent: &Path, needs: u64) -> Result<Self, Failure> {
        let cannot = |error: io::Error| {
            Failure::of(Ending::Input, &error)
                .during(&format!("make a directory in {}", parent.display()))
                .hint("name another place with --directory DIR")
        };
        let unique = hex::encode(random::bytes::<3>(&*context.random));
        // As /proc shows it, without links on the way.
        let root = fs::canonicalize(parent).map_err(cannot)?.join(format!("soter-demo-{unique}"));
        if root.as_os_str().len() > PATH_LENGTH_MAX {
            let what = format!("{} is too long a path for sockets in it", root.display());
            let hint = "name a shorter one with --directory DIR";
            return Err(Failure::new(Ending::Input, what).hint(hint));
        }
        let available = context.disk.available_bytes(parent).map_err(cannot)?;
        if available < needs {
            let (available, needs) = (human_bytes(available), human_bytes(needs));
            let what =
                format!("{} has {available} left; up to {needs} are needed", parent.display());
            let hint = "make room, name another disk with --directory DIR, or a smaller --scale";
            return Err(Failure::new(Ending::Input, what).hint(hint));
        }
        let binary = std::env::current_exe().map_err(cannot)?;
        let (reader, writer) = io::pipe().map_err(cannot)?;
        let guard = Command::new(binary)
            .args(["demo", "--guard"])
            .arg(&root)
            .current_dir("/")
            .stdin(Input::File(File::from(OwnedFd::from(reader))))
            .stdout(Output::Null)
            .stderr(Output::Inherit)
            .spawn()
            .map_err(|error| Failure::of(Ending::Failed, &error))?;
        while !root.is_dir() {
            if guard.try_wait().is_some() {
                return Err(Failure::new(Ending::Input, "the directory could not be made")
                    .hint("name another place with --directory DIR"));
            }
            context.clock.sleep(PAUSE);
        }
        Ok(Self { root, guard: Some((guard, writer)) })
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The directory stays; its processes end all the same.
    pub(super) fn keep(&mut self) -> Result<(), Failure> {
        let Some((_, line)) = &mut self.guard else { return Ok(()) };
        line.write_all(&[KEEP]).map_err(|error| Failure::of(Ending::Failed, &error))
    }

    /// Ends it: returns when the guard has done its work.
    pub(super) fn leave(mut self) -> Result<(), Failure> {
        self.dismiss()
    }

    fn dismiss(&mut self) -> Result<(), Failure> {
        let Some((guard, line)) = self.guard.take() else { return Ok(()) };
        drop(line);
        // However long it takes: to give up would be to kill it in the middle of its work. Whoever
        // does not want to wait ends us, and it goes on alone.
        if guard.wait().status == Status::Exited(0) {
            return Ok(());
        }
        let what = format!("not everything in {} could be removed", self.root.display());
        Err(Failure::new(Ending::Failed, what).hint("look at what is there, and remove it"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever drops it is on the way out with an error of its own; the guard speaks for itself.
        self.dismiss().ok();
    }
}

/// The guard: makes the directory, waits for the end of its input, clears up.
pub(crate) fn guard(directory: &Path, clock: &dyn Clock) -> Result<(), Failure> {
    let failed = |doing: &str, error: &io::Error| {
        Failure::of(Ending::Failed, error).during(&format!("{doing} {}", directory.display()))
    };
    fs::create_dir(directory).map_err(|error| failed("make", &error))?;
    let mut said = Vec::new();
    // A pipe that cannot be read has nobody at its other end, as one that has ended.
    io::stdin().read_to_end(&mut said).ok();
    kill_below(directory, clock).map_err(|error| failed("end what works in", &error))?;
    if said.contains(&KEEP) {
        return Ok(());
    }
    fs::remove_dir_all(directory).map_err(|error| failed("remove", &error))
}
