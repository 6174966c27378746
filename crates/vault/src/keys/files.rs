//! Key files: what people carry and agents hold.
//!
//! With the keys they carry what the bucket must not be asked for: the vault's id and the roots. An
//! operator's file is an identity file of age, so `age -d -i operator.key` opens a wrap by hand.
//! A file that others can read is refused, as ssh refuses it.

use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use soter_world::{Disk, Secret, durable};

use crate::ids::VaultId;
use crate::keys::{Identity, Operator, PublicKey, Signer};
use crate::record::ROOTS_MAX;

/// A longer file is no key file.
const KEY_FILE_LENGTH_MAX: usize = 64 << 10;

/// Context of the derivation of an operator's signer.
const OPERATOR_SIGNER: &str = "soter vault v1 operator signer";

const TITLE: &str = "# soter key file 1: ";
const SIGNING_KEY: &str = "SOTER-SIGNING-KEY-1:";
const AGE_KEY: &str = "AGE-SECRET-KEY-1";

/// What a key file pins: the vault it was made for, and the roots it believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// The vault.
    pub vault: VaultId,
    /// The roots, 1 to 3.
    pub roots: Vec<PublicKey>,
}

/// `root.key`: signs trust lists. Kept offline.
#[derive(Debug, Clone)]
pub struct RootKey {
    /// The vault it was made for.
    pub vault: VaultId,
    /// Signs.
    pub signer: Signer,
}

/// `operator.key`: reads everything; signs plans and runs, once a trust list says so.
#[derive(Debug, Clone)]
pub struct OperatorKey {
    /// Whom it believes.
    pub pins: Pins,
    /// Opens.
    pub identity: Identity,
}

/// `agent.key`: signs backups and WAL, reads metadata.
#[derive(Debug, Clone)]
pub struct AgentKey {
    /// Whom it believes.
    pub pins: Pins,
    /// Signs.
    pub signer: Signer,
    /// Opens `K_meta` of the agent's stores.
    pub identity: Identity,
}

/// `collector.key`: signs what retires, sweeps and attests; reads nothing.
#[derive(Debug, Clone)]
pub struct CollectorKey {
    /// Whom it believes.
    pub pins: Pins,
    /// Signs.
    pub signer: Signer,
}

/// A key that is kept in a file of its own kind.
pub trait KeyFile: Sized {
    /// The kind, as the file's first line says.
    const KIND: &'static str;

    /// The file's text.
    fn to_text(&self) -> Secret<String>;

    /// Reads the file's text.
    ///
    /// # Errors
    /// See [`KeyFileFault`].
    fn parse(text: &str) -> Result<Self, KeyFileFault>;

    /// Reads the key at `path`.
    ///
    /// # Errors
    /// See [`KeyFileError`]; a file that others can read is refused.
    fn load(disk: &dyn Disk, path: &Path) -> Result<Self, KeyFileError> {
        let fail = |fault| KeyFileError { path: path.to_owned(), fault };
        let text = read_private(disk, path).map_err(fail)?;
        Self::parse(text.expose()).map_err(fail)
    }

    /// Puts the key at `path`, mode 0600, where nothing may be yet: a key is never overwritten.
    ///
    /// # Errors
    /// See [`KeyFileError`].
    fn create(&self, disk: &dyn Disk, path: &Path) -> Result<(), KeyFileError> {
        create_private(disk, path, self.to_text().expose().as_bytes())
            .map_err(|error| KeyFileError { path: path.to_owned(), fault: error.into() })
    }
}

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the key file {} cannot be used", path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: KeyFileFault,
}

/// What is wrong with a key file. Never repeats its contents.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileFault {
    /// The disk says so.
    #[error("it cannot be read or written")]
    Disk(#[from] io::Error),
    /// Others can read it: `chmod 600` it, and think about who has read it.
    #[error("others can read it (mode {mode:04o}); a key must be its owner's alone")]
    Exposed {
        /// Its permission bits.
        mode: u32,
    },
    /// Another kind of key file: give the one that is asked for.
    #[error("this is a key file of kind {found:?}, needed is {needed:?}")]
    OtherKind {
        /// The kind it is of, or nothing recognizable.
        found: String,
        /// The kind asked for.
        needed: &'static str,
    },
    /// A line is missing, twice there, or senseless. The line's number, 0 when none is to blame.
    #[error("line {line}: {reason}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The public half that it states is not that of its secret half: a copying mistake.
    #[error("its secret key does not belong to the public key it states: it was copied wrongly")]
    HalvesDiffer,
}

impl KeyFileError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        let path = self.path.display();
        match &self.fault {
            KeyFileFault::Exposed { .. } => format!(
                "chmod 600 {path}; if anybody else may have read it, remove the key from the \
                 trust list"
            ),
            KeyFileFault::Disk(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                format!("a key is never overwritten: move {path} away first")
            }
            KeyFileFault::Disk(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("there is no {path}")
            }
            KeyFileFault::Disk(_) => format!("look at the permissions of {path}"),
            KeyFileFault::OtherKind { needed, .. } => format!("give the file {needed}.key"),
            KeyFileFault::Line { .. } | KeyFileFault::HalvesDiffer => {
                format!("compare {path} with its copy on paper or elsewhere")
            }
        }
    }
}

impl KeyFile for RootKey {
    const KIND: &'static str = "root";

    fn to_text(&self) -> Secret<String> {
        let about = "Signs trust lists. Keep it offline.";
        let mut text = Text::new(Self::KIND, about, self.vault);
        text.signer(&self.signer);
        text.finish()
    }

    fn parse(text: &str) -> Result<Self, KeyFileFault> {
        let lines = Lines::read(Self::KIND, text)?;
        Ok(Self { vault: lines.vault()?, signer: lines.signer()? })
    }
}

impl OperatorKey {
    /// What signs for the operator: made from the identity, so that the file stays one of age and
    /// whoever can read can also direct a recovery, once a trust list says so.
    pub fn signer(&self) -> Signer {
        let text = self.identity.to_text();
        Signer::from_seed(blake3::derive_key(OPERATOR_SIGNER, text.expose().as_bytes()))
    }

    /// The operator's row in a trust list.
    pub fn row(&self, name: &str) -> Operator {
        Operator {
            name: name.to_owned(),
            recipient: self.identity.recipient(),
            signer: Some(self.signer().public()),
        }
    }
}

impl KeyFile for OperatorKey {
    const KIND: &'static str = "operator";

    fn to_text(&self) -> Secret<String> {
        let about = "Opens every backup. Keep it safe and off the machines that it protects.";
        let mut text = Text::new(Self::KIND, about, self.pins.vault);
        text.roots(&self.pins.roots);
        text.identity(&self.identity);
        text.finish()
    }

    fn parse(text: &str) -> Result<Self, KeyFileFault> {
        let lines = Lines::read(Self::KIND, text)?;
        Ok(Self { pins: lines.pins()?, identity: lines.identity()? })
    }
}

impl KeyFile for AgentKey {
    const KIND: &'static str = "agent";

    fn to_text(&self) -> Secret<String> {
        let about = "Signs backups and WAL of the stores it is enrolled for.";
        let mut text = Text::new(Self::KIND, about, self.pins.vault);
        text.roots(&self.pins.roots);
        text.signer(&self.signer);
        text.identity(&self.identity);
        text.finish()
    }

    fn parse(text: &str) -> Result<Self, KeyFileFault> {
        let lines = Lines::read(Self::KIND, text)?;
        Ok(Self { pins: lines.pins()?, signer: lines.signer()?, identity: lines.identity()? })
    }
}

impl KeyFile for CollectorKey {
    const KIND: &'static str = "collector";

    fn to_text(&self) -> Secret<String> {
        let about = "Signs what is to be retired and deleted. Keep it off the protected machines.";
        let mut text = Text::new(Self::KIND, about, self.pins.vault);
        text.roots(&self.pins.roots);
        text.signer(&self.signer);
        text.finish()
    }

    fn parse(text: &str) -> Result<Self, KeyFileFault> {
        let lines = Lines::read(Self::KIND, text)?;
        Ok(Self { pins: lines.pins()?, signer: lines.signer()? })
    }
}

pub(super) fn read_private(disk: &dyn Disk, path: &Path) -> Result<Secret<String>, KeyFileFault> {
    let file = disk.open(path)?;
    let found = file.metadata()?;
    // Of the open file, not of the name: a link cannot be moved in between.
    let for_one_group = found.owner.user == 0 && found.mode & 0o077 == 0o040;
    if found.mode & 0o077 != 0 && !for_one_group {
        return Err(KeyFileFault::Exposed { mode: found.mode });
    }
    let length = usize::try_from(found.size).unwrap_or(usize::MAX);
    if length > KEY_FILE_LENGTH_MAX {
        return Err(KeyFileFault::Disk(io::ErrorKind::FileTooLarge.into()));
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(0, &mut bytes)?;
    String::from_utf8(bytes)
        .map(Secret::new)
        .map_err(|_| KeyFileFault::Line { line: 0, reason: "it is not text" })
}

fn create_private(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.create(path)?;
    let written = file
        .write_at(0, bytes)
        .and_then(|()| file.sync())
        .and_then(|()| disk.sync_dir(durable::parent(path)));
    if written.is_err() {
        // Half a key serves nobody; the cause is worth more than what the tidying says.
        drop(disk.remove_file(path));
    }
    written
}

/// Writes a key file.
struct Text(String);

impl Text {
    fn new(kind: &str, about: &str, vault: VaultId) -> Self {
        Self(format!("{TITLE}{kind}\n# {about}\n# vault: {vault}\n"))
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        self.0.write_fmt(line).expect("a String takes everything");
        self.0.push('\n');
    }

    fn roots(&mut self, roots: &[PublicKey]) {
        for root in roots {
            self.line(format_args!("# root: {root}"));
        }
    }

    fn signer(&mut self, signer: &Signer) {
        self.line(format_args!("# signer: {}", signer.public()));
        self.line(format_args!("{SIGNING_KEY}{}", BASE64.encode(signer.seed().expose())));
    }

    fn identity(&mut self, identity: &Identity) {
        self.line(format_args!("# public key: {}", identity.recipient()));
        self.line(format_args!("{}", identity.to_text().expose()));
    }

    fn finish(self) -> Secret<String> {
        Secret::new(self.0)
    }
}

/// The lines of a key file that mean something, with their numbers.
struct Lines<'a>(Vec<(usize, &'a str)>);

impl<'a> Lines<'a> {
    fn read(needed: &'static str, text: &'a str) -> Result<Self, KeyFileFault> {
        let lines: Vec<_> = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty())
            .collect();
        let found = lines.first().and_then(|(_, line)| line.strip_prefix(TITLE));
        if found != Some(needed) {
            let known = ["root", "operator", "agent", "collector"];
            let found = found.filter(|kind| known.contains(kind)).unwrap_or("unknown").to_owned();
            return Err(KeyFileFault::OtherKind { found, needed });
        }
        let stranger = lines.iter().find(|(_, line)| {
            !line.starts_with('#') && !line.starts_with(SIGNING_KEY) && !line.starts_with(AGE_KEY)
        });
        match stranger {
            Some((line, _)) => Err(KeyFileFault::Line { line: *line, reason: "not a key" }),
            None => Ok(Self(lines)),
        }
    }

    /// The values of all lines that begin so.
    fn values(&self, prefix: &str) -> impl Iterator<Item = (usize, &'a str)> {
        self.0.iter().filter_map(move |(number, line)| {
            line.strip_prefix(prefix).map(|value| (*number, value.trim()))
        })
    }

    /// The value of the only line that begins so.
    fn one(&self, prefix: &str, missing: &'static str) -> Result<(usize, &'a str), KeyFileFault> {
        let mut values = self.values(prefix);
        let first = values.next().ok_or(KeyFileFault::Line { line: 0, reason: missing })?;
        match values.next() {
            Some((line, _)) => Err(KeyFileFault::Line { line, reason: "there are two of these" }),
            None => Ok(first),
        }
    }

    fn vault(&self) -> Result<VaultId, KeyFileFault> {
        let (line, text) = self.one("# vault:", "it names no vault")?;
        text.parse().map_err(|_| KeyFileFault::Line { line, reason: "not the id of a vault" })
    }

    fn pins(&self) -> Result<Pins, KeyFileFault> {
        let roots = self
            .values("# root:")
            .map(|(line, text)| {
                let reason = "not a root's public key";
                text.parse().map_err(|_| KeyFileFault::Line { line, reason })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if roots.is_empty() || roots.len() > ROOTS_MAX {
            return Err(KeyFileFault::Line { line: 0, reason: "it must name 1 to 3 roots" });
        }
        Ok(Pins { vault: self.vault()?, roots })
    }

    fn signer(&self) -> Result<Signer, KeyFileFault> {
        let (line, text) = self.one(SIGNING_KEY, "it has no signing key")?;
        let seed = BASE64.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let seed = seed.ok_or(KeyFileFault::Line { line, reason: "not a signing key" })?;
        let signer = Signer::from_seed(seed);
        // Unlike age's, this text has no checksum: the public half is what finds a slip of the pen.
        let (_, stated) = self.one("# signer:", "it does not state its public key")?;
        if stated == signer.public().to_string() {
            Ok(signer)
        } else {
            Err(KeyFileFault::HalvesDiffer)
        }
    }

    fn identity(&self) -> Result<Identity, KeyFileFault> {
        let (line, _) = self.one(AGE_KEY, "it has no age identity")?;
        let text = self.0.iter().find(|(number, _)| *number == line).map_or("", |(_, text)| *text);
        let identity: Identity =
            text.parse().map_err(|_| KeyFileFault::Line { line, reason: "not an age identity" })?;
        match self.values("# public key:").next() {
            Some((_, stated)) if stated != identity.recipient().to_string() => {
                Err(KeyFileFault::HalvesDiffer)
            }
            _ => Ok(identity),
        }
    }
}

#[cfg(test)]
mod tests;
