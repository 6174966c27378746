//! Child processes.
//!
//! Every child leads its own process group, unless it is to lead a session
//! ([`Command::in_our_group`]), so a Ctrl-C at the terminal reaches only us and we decide
//! what becomes of it. Every child is waited for by a thread of its own, so none stays a zombie, and
//! dropping a [`Child`] that still runs kills its group. A child outlives us only when it was
//! released, or when we are killed ourselves.
//!
//! Nothing goes through a shell: arguments are passed as they are.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;

use crate::disk::Owner;

mod child;
mod identity;

pub use child::Child;
pub use identity::{
    Identity, anonymous_file, children_time, lead_session, parent_process, signal_group,
};

/// How much of a captured stream is kept; what follows is read and dropped, so that the child never
/// blocks. The longest output we read whole, a `pg_waldump` of one segment, is a tenth of it.
pub const CAPTURE_BYTES_MAX: usize = 64 << 20;

/// How long [`Command::run`] lets a child that ran out of time end tidily before it is killed.
pub const TERMINATE_GRACE: Duration = Duration::from_secs(5);

/// A program to start. Unless said otherwise it has our environment and directory, reads nothing,
/// and its output is captured.
#[derive(Debug)]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    environment_cleared: bool,
    directory: Option<PathBuf>,
    owner: Option<Owner>,
    leads_group: bool,
    input: Input,
    stdout: Output,
    stderr: Output,
}

/// What a child reads.
#[derive(Debug)]
pub enum Input {
    /// Nothing: the end at once.
    Null,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file, from its position.
    File(File),
    /// What we read ourselves.
    Inherit,
}

/// Where a child writes.
#[derive(Debug)]
pub enum Output {
    /// Nowhere.
    Null,
    /// Into [`Finished`], at most [`CAPTURE_BYTES_MAX`].
    Capture,
    /// Into a file, at its position.
    File(File),
    /// Where we write ourselves.
    Inherit,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// A child that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The program, as given.
    pub program: OsString,
    /// How it ended.
    pub status: Status,
    /// What it wrote, if captured.
    pub stdout: Vec<u8>,
    /// What it complained about, if captured.
    pub stderr: Vec<u8>,
}

/// A child that did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started: not installed, not executable, no right to become that user.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program, as given.
        program: OsString,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It ran and said that it failed. Its last words are in the message.
    #[error("{} ended with {status}{}", program.display(), last_words(stderr))]
    Failed {
        /// The program, as given.
        program: OsString,
        /// How it ended.
        status: Status,
        /// All it complained about.
        stderr: Vec<u8>,
    },
    /// It did not end in time and was stopped. What it had done by then is unknown.
    #[error("{} did not end within {timeout:?}{}", program.display(), last_words(stderr))]
    Timeout {
        /// The program, as given.
        program: OsString,
        /// The time it had.
        timeout: Duration,
        /// All it complained about.
        stderr: Vec<u8>,
    },
}

/// What can be sent to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: to many servers, read the configuration again.
    Hangup,
    /// SIGINT: to PostgreSQL, end fast.
    Interrupt,
    /// SIGQUIT: to PostgreSQL, end at once and recover at the next start.
    Quit,
    /// SIGTERM: end tidily.
    Terminate,
    /// SIGKILL: cannot be refused.
    Kill,
    /// SIGSTOP: stand still, cannot be refused.
    Stop,
    /// SIGCONT: go on.
    Continue,
}

impl Command {
    /// A program by path, or by name to be looked up in our `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            environment_cleared: false,
            directory: None,
            owner: None,
            leads_group: true,
            input: Input::Null,
            stdout: Output::Capture,
            stderr: Output::Capture,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Removes a variable from its environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    /// Gives it none of our environment, only what [`Command::env`] sets.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.environment_cleared = true;
        self
    }

    /// The directory it works in.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Runs it as another user, without any supplementary group. Only root may; asking for the user
    /// we already are changes nothing.
    #[must_use]
    pub fn run_as(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// What it reads.
    #[must_use]
    pub fn stdin(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Where its results go.
    #[must_use]
    pub fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    /// Where its complaints go.
    #[must_use]
    pub fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`ExecError::Start`].
    pub fn spawn(self) -> Result<Child, ExecError> {
        let (mut command, program, input) = self.into_std();
        Child::start(&mut command, program.clone(), input)
            .map_err(|source| ExecError::Start { program, source })
    }

    /// Starts it and waits for its end, whatever that is. When `timeout` has passed it is asked to
    /// end, and killed with its whole group after [`TERMINATE_GRACE`].
    ///
    /// # Errors
    /// [`ExecError::Start`] and [`ExecError::Timeout`].
    pub fn run(self, timeout: Duration) -> Result<Finished, ExecError> {
        let mut child = self.spawn()?;
        if let Some(finished) = child.wait_timeout(timeout) {
            return Ok(finished);
        }
        child.signal(Signal::Terminate);
        if child.wait_timeout(TERMINATE_GRACE).is_none() {
            child.kill();
        }
        let Finished { program, stderr, .. } = child.wait();
        Err(ExecError::Timeout { program, timeout, stderr })
    }

    fn into_std(self) -> (std::process::Command, OsString, Option<Vec<u8>>) {
        use std::os::unix::process::CommandExt;

        #[expect(clippy::disallowed_methods, reason = "this is the door to child processes")]
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.arguments);
        if self.leads_group {
            command.process_group(0);
        }
        if self.environment_cleared {
            command.env_clear();
        }
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if let Some(owner) = self.owner.filter(|owner| *owner != current_owner()) {
            command.uid(owner.user).gid(owner.group);
        }
        let (stdin, input) = match self.input {
            Input::Null => (Stdio::null(), None),
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Input::File(file) => (file.into(), None),
            Input::Inherit => (Stdio::inherit(), None),
        };
        command.stdin(stdin).stdout(self.stdout).stderr(self.stderr);
        (command, self.program, input)
    }
}

impl Output {
    /// Into a file of its own, behind what is there; it is made, mode 0600, if it is not.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn append_to(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok(Self::File(file))
    }
}

impl Finished {
    /// Takes anything but exit code 0 for a failure.
    ///
    /// # Errors
    /// [`ExecError::Failed`].
    pub fn checked(self) -> Result<Self, ExecError> {
        if self.status == Status::Exited(0) {
            return Ok(self);
        }
        Err(ExecError::Failed { program: self.program, status: self.status, stderr: self.stderr })
    }
}

/// User and group that this process acts as.
#[must_use]
pub fn current_owner() -> Owner {
    Owner { user: rustix::process::geteuid().as_raw(), group: rustix::process::getegid().as_raw() }
}

/// The user of that name in the text of a passwd file, with its first group.
#[must_use]
pub fn owner_in_passwd(passwd: &str, name: &str) -> Option<Owner> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some(Owner { user, group })
    })
}

/// Whether a process of that number exists, be it a zombie. The number may since have gone to another.
#[must_use]
pub fn is_running(process: u32) -> bool {
    let Some(pid) = to_pid(process) else { return false };
    match rustix::process::test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    }
}

/// Sends a signal to a process that need not be a child of ours, such as a server whose number was
/// read from its lock file.
///
/// # Errors
/// When there is no such process, or it belongs to somebody else.
pub fn signal_process(process: u32, signal: Signal) -> io::Result<()> {
    let pid = to_pid(process).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(pid, signal.into())?)
}

/// Never 0 or negative, which would mean a group or everything.
fn to_pid(process: u32) -> Option<Pid> {
    i32::try_from(process).ok().and_then(Pid::from_raw)
}

/// The end of what a child complained about, for a message: three lines say enough.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let kept = lines.split_off(lines.len().saturating_sub(3));
    if kept.is_empty() { String::new() } else { format!(": {}", kept.join(" | ")) }
}

impl std::fmt::Display for Status {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "exit code {code}"),
            Self::Signaled(signal) => write!(formatter, "signal {signal}"),
        }
    }
}

impl From<Output> for Stdio {
    fn from(output: Output) -> Self {
        match output {
            Output::Null => Self::null(),
            Output::Capture => Self::piped(),
            Output::File(file) => file.into(),
            Output::Inherit => Self::inherit(),
        }
    }
}

impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Hangup => Self::HUP,
            Signal::Interrupt => Self::INT,
            Signal::Quit => Self::QUIT,
            Signal::Terminate => Self::TERM,
            Signal::Kill => Self::KILL,
            Signal::Stop => Self::STOP,
            Signal::Continue => Self::CONT,
        }
    }
}

#[cfg(test)]
mod tests;
