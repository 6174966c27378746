//! Copies of files from here and elsewhere, hashed as they are written.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256, digest};
use jiff::Timestamp;
use soter_runbook::steps::{Place, Redactor, shell_on};
use soter_world::disk::FileKind;
use soter_world::exec::{Command, Finished, Input, Output, Status};
use soter_world::{Disk, DiskFile, durable};

use super::{FILE_BYTES_MAX, cannot};

/// How much is read at once.
const PIECE_BYTES: usize = 1 << 20;

/// A machine that does not say so much about a file in so long is not there.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a file may take over the network: the largest at 1 MiB a second, and some.
const COPY_TIMEOUT: Duration = Duration::from_secs(1800);

/// Where a file is.
pub(super) enum Source<'s> {
    Here(PathBuf),
    There { host: &'s str, name: &'s str },
}

/// What is known of a file that was copied.
pub(super) struct Copied {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) modified: Timestamp,
    pub(super) owner: (u32, u32),
    pub(super) mode: String,
    pub(super) changed_meanwhile: bool,
    pub(super) left_out_bytes: u64,
}

/// What is known of a file before it is copied.
#[derive(PartialEq, Eq)]
struct Known {
    bytes: u64,
    owner: (u32, u32),
    mode: String,
    modified: Timestamp,
}

/// Copies a file as it is; `target` is durable and read-only then.
pub(super) fn copy(
    disk: &dyn Disk,
    place: &Place,
    source: &Source<'_>,
    target: &Path,
) -> Result<Copied, String> {
    let look = || match source {
        Source::Here(path) => look_here(disk, path),
        Source::There { host, name } => look_there(place, host, name),
    };
    let known = look()?;
    refuse_large(source, known.bytes)?;
    match source {
        Source::Here(path) => copy_here(disk, path, target)?,
        Source::There { host, name } => copy_there(place, host, name, target)?,
    }
    let (bytes, sha256) = finish(disk, target)?;
    refuse_large(source, bytes)?;
    // A file that is gone by now has changed too.
    let changed_meanwhile = !look().is_ok_and(|then| then == known) || bytes != known.bytes;
    let Known { owner, mode, modified, .. } = known;
    Ok(Copied { bytes, sha256, modified, owner, mode, changed_meanwhile, left_out_bytes: 0 })
}

/// Copies the end of something the run wrote, its secrets covered.
pub(super) fn copy_covered(
    disk: &dyn Disk,
    source: &Path,
    target: &Path,
    bytes_max: u64,
    redactor: &Redactor,
) -> Result<Copied, String> {
    let known = look_here(disk, source)?;
    let read = || -> io::Result<Vec<u8>> {
        let file = disk.open(source)?;
        let longest = u64::try_from(redactor.longest_bytes()).unwrap_or(u64::MAX);
        // A secret that begins before the end that is kept must be seen whole to be known.
        let from = known.bytes.saturating_sub(bytes_max.saturating_add(longest));
        let mut bytes = vec![0; usize::try_from(known.bytes - from).map_err(io::Error::other)?];
        file.read_exact_at(from, &mut bytes)?;
        Ok(without_results(bytes))
    };
    let covered = redactor.cover(&read().map_err(|error| cannot("read", source, &error))?);
    let keep = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(covered.len());
    let kept = &covered[covered.len() - keep..];
    disk.create(target)
        .and_then(|file| file.write_at(0, kept))
        .map_err(|error| cannot("write", target, &error))?;
    let (bytes, sha256) = finish(disk, target)?;
    let Known { owner, mode, modified, .. } = known;
    let left_out_bytes = known.bytes.saturating_sub(bytes_max);
    Ok(Copied { bytes, sha256, modified, owner, mode, changed_meanwhile: false, left_out_bytes })
}

/// What a script wrote elsewhere, without the values behind it that it gave: they may be secret, and
/// nobody knows yet which.
fn without_results(mut bytes: Vec<u8>) -> Vec<u8> {
    const MARK: &[u8] = b"\n::soter ";
    let is_end = |window: &[u8]| window == MARK;
    let marks = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| is_end(window));
    let end = marks.map(|(at, _)| at).find(|at| {
        let rest = &bytes[*at + MARK.len()..];
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(line).contains(" ended ")
    });
    if let Some(end) = end {
        bytes.truncate(end + 1);
    }
    bytes
}

fn refuse_large(source: &Source<'_>, bytes: u64) -> Result<(), String> {
    if bytes <= FILE_BYTES_MAX {
        return Ok(());
    }
    let name = match source {
        Source::Here(path) => path.display().to_string(),
        Source::There { host, name } => format!("{host}:{name}"),
    };
    Err(format!(
        "{name} has {bytes} bytes, and at most {FILE_BYTES_MAX} of a file are kept: keep the part that \
         matters, and the whole in a vault"
    ))
}

fn look_here(disk: &dyn Disk, path: &Path) -> Result<Known, String> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("{} is not there", path.display()),
        _ => cannot("look at", path, &error),
    };
    let mut found = disk.metadata(path).map_err(failed)?;
    if found.kind == FileKind::Symlink {
        let real = std::fs::canonicalize(path).map_err(failed)?;
        found = disk.metadata(&real).map_err(failed)?;
    }
    match found.kind {
        FileKind::File => Ok(Known {
            bytes: found.size,
            owner: (found.owner.user, found.owner.group),
            mode: format!("{:04o}", found.mode),
            modified: found.modified,
        }),
        FileKind::Directory => Err(format!(
            "{} is a directory: name the files in it, or pack it into one",
            path.display()
        )),
        _ => Err(format!("{} is no file", path.display())),
    }
}

fn copy_here(disk: &dyn Disk, source: &Path, target: &Path) -> Result<(), String> {
    let copied = || -> io::Result<()> {
        let (from, to) = (disk.open(source)?, disk.create(target)?);
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = 0;
        loop {
            let length = from.read_at(at, &mut piece)?;
            // One byte more than is kept shows that there is more.
            if length == 0 || at > FILE_BYTES_MAX {
                return Ok(());
            }
            to.write_at(at, &piece[..length])?;
            at += length as u64;
        }
    };
    copied().map_err(|error| cannot("copy", source, &error))
}

/// Asks a machine about a file.
fn look_there(place: &Place, host: &str, name: &str) -> Result<Known, String> {
    let script = format!(
        "file={}\n[ -e \"$file\" ] || {{ echo is not there >&2; exit 1; }}\n\
         [ -f \"$file\" ] || {{ echo is no file >&2; exit 1; }}\n\
         exec stat -L -c '%s %u %g %a %Y' -- \"$file\"\n",
        quoted(name)
    );
    let said = ask(place, host, name, &script)?.run(LOOK_TIMEOUT);
    let said = said.map_err(|error| format!("{host}: {error}"))?;
    if said.status != Status::Exited(0) {
        return Err(format!("{host}:{name} {}", complaint(&said)));
    }
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    understand(&text).ok_or_else(|| format!("{host}:{name}: not understood: {}", text.trim()))
}

fn understand(text: &str) -> Option<Known> {
    let mut words = text.split_whitespace();
    let bytes = words.next()?.parse().ok()?;
    let owner = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let mode = format!("{:0>4}", words.next()?);
    let modified = Timestamp::from_second(words.next()?.parse().ok()?).ok()?;
    Some(Known { bytes, owner, mode, modified })
}

fn copy_there(place: &Place, host: &str, name: &str, target: &Path) -> Result<(), String> {
    // One byte more than is kept shows that there is more.
    let script = format!("exec head -c {} -- {}\n", FILE_BYTES_MAX + 1, quoted(name));
    let output = Output::append_to(target).map_err(|error| cannot("write", target, &error))?;
    let said = ask(place, host, name, &script)?.stdout(output).run(COPY_TIMEOUT);
    let said = said.map_err(|error| format!("{host}: {error}"))?;
    match said.status {
        Status::Exited(0) => Ok(()),
        _ => Err(format!("{host}:{name} cannot be copied: {}", complaint(&said))),
    }
}

/// The command that has a machine run a script.
fn ask(place: &Place, host: &str, name: &str, script: &str) -> Result<Command, String> {
    if name.starts_with('-') {
        return Err(format!("`{name}` begins with a dash: write ./{name}"));
    }
    let mut words = shell_on(host, place)?.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default())
        .args(words)
        .env_clear()
        .current_dir("/")
        .stdin(Input::Bytes(script.as_bytes().to_vec()));
    for (name, value) in place.handed_on() {
        command = command.env(name, value);
    }
    Ok(command)
}

fn complaint(said: &Finished) -> String {
    let words = String::from_utf8_lossy(&said.stderr);
    let last = words.trim().lines().last().unwrap_or_default().to_owned();
    if last.is_empty() { said.status.to_string() } else { last }
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Makes a copy durable and read-only; its length and hash.
fn finish(disk: &dyn Disk, target: &Path) -> Result<(u64, String), String> {
    let finished = || -> io::Result<(u64, String)> {
        disk.open_write(target)?.sync()?;
        disk.set_mode(target, 0o400)?;
        // Its name too: the journal is about to say that it is there.
        disk.sync_dir(durable::parent(target))?;
        hash_file(disk, target)
    };
    finished().map_err(|error| cannot("keep", target, &error))
}

/// The length and the SHA-256 of a file.
pub(super) fn hash_file(disk: &dyn Disk, path: &Path) -> io::Result<(u64, String)> {
    let file: Box<dyn DiskFile> = disk.open(path)?;
    let mut sum = Context::new(&SHA256);
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        let length = file.read_at(at, &mut piece)?;
        if length == 0 {
            return Ok((at, hex::encode(sum.finish())));
        }
        sum.update(&piece[..length]);
        at += length as u64;
    }
}

/// The SHA-256 of bytes.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}
