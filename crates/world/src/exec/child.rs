//! One running child and the threads that serve it.
//!
//! The waiting thread learns of the end with `WNOWAIT`, which leaves the process number taken, and
//! takes the lock before it reaps. Signals are sent under the same lock and only to a child that
//! was not reaped, so a signal can never hit a stranger that got the number next.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::{CAPTURE_BYTES_MAX, Finished, Signal, Status, to_pid};

/// How long after a child's end we go on waiting for the end of its output. A daemon it left behind
/// may hold the pipe open for ever; what the child itself wrote is in the pipe by then.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// A started child. Dropping it kills the child and everything else in its group.
#[derive(Debug)]
pub struct Child {
    program: OsString,
    pid: Pid,
    shared: Arc<Shared>,
    is_released: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    status: Option<Status>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Captured streams that have not ended yet.
    streams_open: u32,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl Child {
    pub(super) fn start(
        command: &mut std::process::Command,
        program: OsString,
        input: Option<Vec<u8>>,
    ) -> io::Result<Self> {
        let mut process = command.spawn()?;
        let pid = to_pid(process.id()).ok_or(io::ErrorKind::InvalidData)?;
        let shared = Arc::new(Shared::default());
        let child = Self { program, pid, shared: Arc::clone(&shared), is_released: false };
        let stdin = process.stdin.take();
        let stdout = process.stdout.take();
        let stderr = process.stderr.take();
        // First the thread that reaps: if another cannot start, dropping `child` kills the process
        // and this one still collects it.
        let of_thread = Arc::clone(&shared);
        start_thread("child wait", move || of_thread.wait_and_reap(process, pid))?;
        if let (Some(mut pipe), Some(bytes)) = (stdin, input) {
            // A child that does not read its input to the end has its reason, and its exit code.
            start_thread("child stdin", move || drop(pipe.write_all(&bytes)))?;
        }
        if let Some(pipe) = stdout {
            shared.capture(pipe, Stream::Stdout)?;
        }
        if let Some(pipe) = stderr {
            shared.capture(pipe, Stream::Stderr)?;
        }
        Ok(child)
    }

    /// The process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for the end.
    #[must_use]
    pub fn wait(self) -> Finished {
        let state = self.shared.lock();
        let state = self
            .shared
            .changed
            .wait_while(state, |state| state.status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let status = state.status.expect("waited until there is one");
        self.collect(state, status)
    }

    /// Waits for the end, at most that long; `None` when it still runs. The captured output is
    /// handed out once.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Finished> {
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |state| state.status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.status.map(|status| self.collect(state, status))
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn try_wait(&self) -> Option<Status> {
        self.shared.lock().status
    }

    /// Sends a signal to the child alone. Nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        let state = self.shared.lock();
        if state.status.is_none() {
            // Cannot fail for a child that was not reaped, unless it became somebody else; then
            // the caller sees that it goes on running.
            rustix::process::kill_process(self.pid, signal.into()).ok();
        }
    }

    /// Kills the child and everything else in its group.
    pub fn kill(&self) {
        let state = self.shared.lock();
        if state.status.is_none() {
            rustix::process::kill_process_group(self.pid, rustix::process::Signal::KILL).ok();
        }
    }

    /// Lets it go on without us: it lives on when this is dropped and when we end. Its process
    /// number. While we live its end is still noticed, so that it does not stay a zombie.
    pub fn release(mut self) -> u32 {
        self.is_released = true;
        self.id()
    }

    fn collect(&self, state: MutexGuard<'_, State>, status: Status) -> Finished {
        let (mut state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, OUTPUT_GRACE, |state| state.streams_open > 0)
            .unwrap_or_else(PoisonError::into_inner);
        Finished {
            program: self.program.clone(),
            status,
            stdout: std::mem::take(&mut state.stdout),
            stderr: std::mem::take(&mut state.stderr),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_released {
            self.kill();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_and_reap(&self, mut process: std::process::Child, pid: Pid) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(error) = rustix::process::waitid(WaitId::Pid(pid), options) {
            if error != rustix::io::Errno::INTR {
                break;
            }
        }
        let mut state = self.lock();
        state.status = Some(process.wait().map_or(Status::Exited(-1), Status::from));
        self.changed.notify_all();
    }

    /// Starts the thread that reads one stream. It ends when the last holder of the pipe does.
    fn capture(self: &Arc<Self>, pipe: impl Read + Send + 'static, to: Stream) -> io::Result<()> {
        self.lock().streams_open += 1;
        let shared = Arc::clone(self);
        start_thread("child output", move || shared.read_to_end(pipe, to))
    }

    fn read_to_end(&self, mut pipe: impl Read, to: Stream) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let mut state = self.lock();
            let kept = match to {
                Stream::Stdout => &mut state.stdout,
                Stream::Stderr => &mut state.stderr,
            };
            let room = CAPTURE_BYTES_MAX - kept.len();
            kept.extend_from_slice(&buffer[..count.min(room)]);
        }
        self.lock().streams_open -= 1;
        self.changed.notify_all();
    }
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, Some(signal)) => Self::Signaled(signal),
            (None, None) => Self::Exited(-1),
        }
    }
}

fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}
