//! What a step has written, as it may be shown, kept beside what it wrote.
//!
//! The rule it keeps: an engine knows the run's secrets and covers them; another terminal does not. So
//! the engine writes down what it shows, and the others show that, and never what the step itself wrote.

use std::io;
use std::path::Path;

use soter_world::durable;

use crate::child::Children;

/// The lines an engine has shown of an attempt, in its directory.
const SHOWN: &str = "shown";

/// A few lines, none of them longer than what stands in a message.
const SHOWN_BYTES_MAX: usize = 1 << 20;

/// Keeps the last lines of what an attempt has written, with its secrets covered, for those who do not
/// know them. They are lost in a crash of the machine, and written again by the next engine.
///
/// # Errors
/// When the directory is not there yet, or cannot be written.
pub fn keep_shown(children: &Children, directory: &Path, lines: &[String]) -> io::Result<()> {
    if lines.is_empty() || shown_lines(children, directory).as_deref() == Some(lines) {
        return Ok(());
    }
    let (disk, path) = (children.disk(), directory.join(SHOWN));
    let mut text = lines.join("\n");
    text.push('\n');
    // Whoever reads it meanwhile has the old lines or the new.
    let (temporary, file) = durable::create_temporary(disk, &path)?;
    file.write_at(0, text.as_bytes())?;
    disk.rename(&temporary, &path)
}

/// What an engine has kept of an attempt's last lines; none: no engine has looked at it yet.
#[must_use]
pub fn shown_lines(children: &Children, directory: &Path) -> Option<Vec<String>> {
    let bytes = durable::read(children.disk(), &directory.join(SHOWN), SHOWN_BYTES_MAX).ok()?;
    Some(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}
