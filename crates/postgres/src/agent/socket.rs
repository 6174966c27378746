//! The agent's socket: who may ask, and what is done.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use serde_json::Value;

use super::engine::chain;
use super::protocol::{
    Answer, BackupDone, FailureKind, FetchDone, REQUEST_BYTES_MAX, Request, read_line, write_line,
};
use super::push::PushError;
use super::shared::{Shared, WantedBackup};
use crate::backup::BackupError;
use crate::error::ErrorKind;
use crate::wal::name::WalFileName;

/// How long to wait when nobody can be let in, for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many may ask at once: each is a thread. The server's archiver is one.
const ASKING_MAX: usize = 16;

/// How long somebody may take to say what they want.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The mode of the socket: its group may connect, and is asked who it is.
const SOCKET_MODE: u32 = 0o660;

/// The socket, open. It goes away with this value.
pub(crate) struct Doors {
    listener: UnixListener,
    path: PathBuf,
    is_closing: AtomicBool,
}

impl Doors {
    /// Opens the socket; whoever calls this is the only agent of the directory.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
        let is_closing = AtomicBool::new(false);
        Ok(Self { listener, path: path.to_owned(), is_closing })
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        // Whoever waits at the door sees somebody come, and looks.
        drop(UnixStream::connect(&self.path));
    }

    /// Answers until it is closed.
    pub(crate) fn serve(&self, shared: &Shared<'_>) {
        let asking = AtomicUsize::new(0);
        thread::scope(|scope| {
            loop {
                let accepted = self.listener.accept();
                if self.is_closing.load(Ordering::Relaxed) {
                    return;
                }
                match accepted {
                    Ok((stream, _)) if asking.fetch_add(1, Ordering::Relaxed) < ASKING_MAX => {
                        let asking = &asking;
                        scope.spawn(move || {
                            // Whoever hung up does not want to know.
                            drop(answer(shared, &stream));
                            asking.fetch_sub(1, Ordering::Relaxed);
                        });
                    }
                    Ok(_) => {
                        asking.fetch_sub(1, Ordering::Relaxed);
                    }
                    Err(_) => {
                        let _stopped = shared.stop.wait(ACCEPT_PAUSE);
                    }
                }
            }
        });
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        // The next agent removes it if this does not.
        drop(fs::remove_file(&self.path));
    }
}

fn answer(shared: &Shared<'_>, stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let peer = socket_peercred(stream)?.uid.as_raw();
    if !may_ask(shared, peer) {
        let what = format!("user {peer} may not ask this agent");
        return write_line(stream, &Answer::Failed { kind: FailureKind::Input, what });
    }
    let request: Request = match read_line(stream, REQUEST_BYTES_MAX) {
        Ok(request) => request,
        Err(error) => {
            let what = format!("the request cannot be understood: {error}");
            return write_line(stream, &Answer::Failed { kind: FailureKind::Input, what });
        }
    };
    write_line(stream, &shared.do_what_is_asked(&request))
}

/// Root, the agent's own user, and the user of the server, whose `archive_command` asks.
fn may_ask(shared: &Shared<'_>, user: u32) -> bool {
    let own = soter_world::exec::current_owner().user;
    let disk = &*shared.around.world.disk;
    let data = disk.metadata(&shared.settings.data_directory);
    user == 0 || user == own || data.is_ok_and(|data| data.owner.user == user)
}

impl Shared<'_> {
    fn do_what_is_asked(&self, request: &Request) -> Answer {
        let done = match request {
            Request::Status => serde_json::to_value(self.status())
                .map_err(|error| (FailureKind::Failed, error.to_string())),
            Request::Push { path } => self.push(path).map_err(|error| push_failure(&error)),
            Request::Fetch { name } => serde_json::to_value(self.whole_segment(name))
                .map_err(|error| (FailureKind::Failed, error.to_string())),
            Request::Backup { full } => self.make_backup(*full),
        };
        match done {
            Ok(value) => Answer::Done(value),
            Err((kind, what)) => Answer::Failed { kind, what },
        }
    }

    /// The spool has what is not sealed yet. A segment that is not complete is not handed out.
    fn whole_segment(&self, name: &str) -> FetchDone {
        let find = || {
            let engine = self.engine()?;
            match WalFileName::parse(name, engine.ground().size) {
                Ok(WalFileName::Segment(name)) => engine.whole_segment(name),
                _ => None,
            }
        };
        FetchDone { path: find() }
    }

    fn make_backup(&self, is_full: bool) -> Result<Value, (FailureKind, String)> {
        let Some(engine) = self.streaming_engine() else {
            let doing = self.status().doing;
            let what = format!("no backup can be made while the agent does not stream: {doing}");
            return Err((FailureKind::Failed, what));
        };
        let wanted = WantedBackup { reason: "it was asked for".to_owned(), is_full };
        let done = self.back_up(&engine, &wanted).map_err(|error| backup_failure(&error))?;
        serde_json::to_value(BackupDone { id: done.id, record: done.record })
            .map_err(|error| (FailureKind::Failed, error.to_string()))
    }
}

fn push_failure(error: &PushError) -> (FailureKind, String) {
    let kind = match error.kind() {
        ErrorKind::Input => FailureKind::Input,
        ErrorKind::Superseded => FailureKind::Superseded,
        _ => FailureKind::Failed,
    };
    (kind, chain(error))
}

fn backup_failure(error: &BackupError) -> (FailureKind, String) {
    let kind = match error.kind() {
        ErrorKind::Input => FailureKind::Input,
        ErrorKind::Superseded => FailureKind::Superseded,
        _ => FailureKind::Failed,
    };
    let hint = error.hint().map_or_else(String::new, |hint| format!("; {hint}"));
    (kind, format!("{}{hint}", chain(error)))
}
