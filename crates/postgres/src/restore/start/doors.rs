//! Who gets into a server that is being recovered: we alone, until it is what it should be.
//!
//! The server listens on a Unix socket, and on a port of this machine if asked to, but its rules let
//! in only the operating system's root and the server's own user, as one database role. When the
//! recovery is over, the restored rules are put behind ours and the server reads them: clients get
//! in without a restart.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::disk::Owner;
use soter_world::exec::{self, Command};
use soter_world::{Disk, durable};

use super::Start;
use crate::restore::configure::settled;
use crate::restore::error::RestoreError;

/// Our rules, in the data directory: relative names in the restored ones keep their meaning.
pub const RULES_NAME: &str = "soter.hba.conf";

/// Which user of the operating system is which role, in our rules.
pub const NAMES_NAME: &str = "soter.ident.conf";

/// The map in [`NAMES_NAME`] that our rule asks.
const MAP: &str = "soter";

/// Longest file of rules that is taken over.
const RULES_LENGTH_MAX: usize = 4 << 20;

/// Long enough for a program that looks up a user.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(30);

/// A port of this machine answers at once, or nobody is there.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest path that a Unix socket can have, without the zero at its end.
const SOCKET_PATH_LENGTH_MAX: usize = 107;

/// How clients reach the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// Where its Unix socket is.
    pub socket_directory: PathBuf,
    /// The number in the socket's name, and the TCP port if it listens on one.
    pub port: u16,
    /// Whether it listens on `localhost`.
    pub on_localhost: bool,
}

impl Doors {
    /// Whether the path of the socket is short enough for one.
    pub fn fit(&self) -> bool {
        let socket = self.socket_directory.join(format!(".s.PGSQL.{}", self.port));
        socket.as_os_str().len() <= SOCKET_PATH_LENGTH_MAX
    }

    /// Whoever answers there already, in words: a server that was to listen there would not come up.
    pub fn taken(&self) -> Option<String> {
        let socket = self.socket_directory.join(format!(".s.PGSQL.{}", self.port));
        if UnixStream::connect(&socket).is_ok() {
            return Some(format!("another server answers at {}", socket.display()));
        }
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let answers = || TcpStream::connect_timeout(&address, KNOCK_TIMEOUT).is_ok();
        (self.on_localhost && answers())
            .then(|| format!("something else listens on port {} of this machine", self.port))
    }

    /// What the server is told.
    pub(super) fn settings(&self, directory: &Path) -> Vec<(String, String)> {
        let own = |name: &str| directory.join(name).display().to_string();
        // Quoted, since it is a list.
        let sockets = self.socket_directory.display().to_string().replace('"', "\"\"");
        let addresses = if self.on_localhost { "localhost" } else { "" };
        [
            ("listen_addresses", addresses.to_owned()),
            ("unix_socket_directories", format!("\"{sockets}\"")),
            ("port", self.port.to_string()),
            ("hba_file", own(RULES_NAME)),
            ("ident_file", own(NAMES_NAME)),
            ("external_pid_file", String::new()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Lets in nobody but us.
    pub(super) fn close(&self, start: &Start<'_>, role: &str) -> Result<(), RestoreError> {
        // Root could be any of them anyway.
        let numbers = BTreeSet::from([0, start.owner.user, exec::current_owner().user]);
        let users = numbers.into_iter().map(user_name).collect::<Result<Vec<_>, _>>()?;
        write(start, RULES_NAME, &rules(role))?;
        write(start, NAMES_NAME, &names(&users, role))
    }

    /// Lets in whom the restored rules let in, at the server's next look; and takes away the
    /// recovery's settings, which would stand in the way of the next one.
    pub(super) fn open(&self, start: &Start<'_>) -> Result<(), RestoreError> {
        for (ours, restored) in [(RULES_NAME, "pg_hba.conf"), (NAMES_NAME, "pg_ident.conf")] {
            let mut text = read(start.disk, &start.directory.join(ours))?;
            text.push_str(&read(start.disk, &start.directory.join(restored))?);
            write(start, ours, &text)?;
        }
        let name = "postgresql.auto.conf";
        let text = read(start.disk, &start.directory.join(name))?;
        write(start, name, &settled(&text))
    }
}

/// One rule, and without another one nobody else gets in.
fn rules(role: &str) -> String {
    format!(
        "# Written by soter restore --start, for as long as this server runs. Further rules come\n\
         # from pg_hba.conf when the recovery is over.\n\
         local all {} peer map={MAP}\n",
        quote(role)
    )
}

fn names(users: &[String], role: &str) -> String {
    let line = |user: &String| format!("{MAP} {} {}\n", quote(user), quote(role));
    users.iter().map(line).collect()
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What the operating system calls a user, wherever it keeps its users.
fn user_name(user: u32) -> Result<String, RestoreError> {
    let asked = Command::new("id").args(["-nu", &user.to_string()]).run(LOOK_UP_TIMEOUT);
    let found = asked.and_then(exec::Finished::checked);
    let found = found.map_err(|source| RestoreError::NoUser { user, source })?;
    Ok(String::from_utf8_lossy(&found.stdout).trim().to_owned())
}

fn read(disk: &dyn Disk, path: &Path) -> Result<String, RestoreError> {
    match durable::read(disk, path, RULES_LENGTH_MAX) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(RestoreError::File { path: path.to_owned(), source }),
    }
}

fn write(start: &Start<'_>, name: &str, text: &str) -> Result<(), RestoreError> {
    let path = start.directory.join(name);
    let written = durable::write_durable(start.disk, &path, text.as_bytes());
    let Owner { user, group } = start.owner;
    written
        .and_then(|()| start.disk.set_owner(&path, Owner { user, group }))
        .map_err(|source| RestoreError::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_users_get_in_as_one_role() {
        assert!(rules("a \"b\"").ends_with("\nlocal all \"a \"\"b\"\"\" peer map=soter\n"));
        let users = ["root".to_owned(), "postgres".to_owned()];
        assert_eq!(names(&users, "p"), "soter \"root\" \"p\"\nsoter \"postgres\" \"p\"\n");
        assert_eq!(user_name(0).unwrap(), "root");
    }

    #[test]
    fn a_socket_needs_a_short_path() {
        let doors = |length: usize| Doors {
            socket_directory: PathBuf::from("x".repeat(length)),
            port: 5432,
            on_localhost: false,
        };
        let name_length = "/.s.PGSQL.5432".len();
        assert!(doors(SOCKET_PATH_LENGTH_MAX - name_length).fit());
        assert!(!doors(SOCKET_PATH_LENGTH_MAX - name_length + 1).fit());
    }

    #[test]
    fn the_server_listens_where_it_is_told_and_nowhere_else() {
        let mut doors =
            Doors { socket_directory: "/a, \"b\"".into(), port: 5433, on_localhost: false };
        let value = |doors: &Doors, wanted: &str| {
            let settings = doors.settings(Path::new("/data"));
            settings.into_iter().find(|(name, _)| name == wanted).unwrap().1
        };
        assert_eq!(value(&doors, "listen_addresses"), "");
        assert_eq!(value(&doors, "unix_socket_directories"), "\"/a, \"\"b\"\"\"");
        assert_eq!(value(&doors, "hba_file"), "/data/soter.hba.conf");
        doors.on_localhost = true;
        assert_eq!(value(&doors, "listen_addresses"), "localhost");
    }
}
