//! Processes as `/proc` shows them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its number.
    pub(super) process: u32,
    /// Who started it, or who has taken it over.
    pub(super) parent: u32,
    /// When it was started, in ticks since the machine was.
    pub(super) start_ticks: u64,
    state: char,
}

impl Seen {
    /// Whether it has ended; it may still wait to be collected.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The process of that number, if there is one.
pub(super) fn look(process: u32) -> Option<Seen> {
    understand(process, &fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// All processes that have not ended.
pub(super) fn all() -> io::Result<Vec<Seen>> {
    let numbers = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter_map(look).filter(|seen| !seen.has_ended()).collect())
}

/// Where it works, without what is said of a directory that was removed; and its program.
pub(super) fn place_and_program(process: u32) -> Option<(PathBuf, PathBuf)> {
    let link = |name| fs::read_link(format!("/proc/{process}/{name}")).ok();
    let whole = |path: PathBuf| {
        let text = path.to_string_lossy();
        text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from)
    };
    Some((whole(link("cwd")?), whole(link("exe")?)))
}

/// Whether it was started with all of these in its environment, each `NAME=value`.
pub(super) fn has_variables(process: u32, wanted: &[String]) -> bool {
    let environment = fs::read(Path::new("/proc").join(process.to_string()).join("environ"));
    environment.is_ok_and(|environment| {
        let there: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
        wanted.iter().all(|wanted| there.contains(&wanted.as_bytes()))
    })
}

/// `PID (name) S PARENT …`; the name may hold anything, brackets too. The start is the 22nd field.
fn understand(process: u32, stat: &str) -> Option<Seen> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Seen {
        process,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_is_no_field() {
        let stat = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 6789 1 2";
        let seen = understand(7, stat).unwrap();
        assert_eq!((seen.parent, seen.state, seen.start_ticks), (3, 'S', 6789));
        assert_eq!(understand(7, "7 (short) S 3"), None);
    }

    #[test]
    fn we_are_alive_below_somebody_who_is() {
        let ours = look(std::process::id()).unwrap();
        assert!(!ours.has_ended());
        assert!(all().unwrap().contains(&look(ours.parent).unwrap()));
        assert_eq!(look(u32::MAX), None);
    }
}
