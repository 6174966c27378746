//! Real PostgreSQL servers for tests and demonstrations; nothing that protects data uses this.
//!
//! A [`TestCluster`] lives in a directory of its own, listens on a Unix socket there and nowhere
//! else, and leaves nothing behind when dropped. One test at a time has clusters, as many as it
//! likes: a [`Turn`] comes with each. As PostgreSQL refuses to run as root, root runs it as the user
//! `postgres`.

mod turn;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::disk::Owner;
use soter_world::exec::{self, Command, ExecError, Input, Signal};
use soter_world::{Clock, OsDisk, Stop, SystemClock, SystemRandom, random};
use thiserror::Error;

use crate::cluster::MajorVersion;
use crate::postmaster::{Launch, Postmaster, PostmasterError, Programs};

pub use crate::postmaster::Shutdown;
pub use turn::Turn;

/// The variable that names a directory of PostgreSQL's programs, to test with another version.
pub const BINARIES_VARIABLE: &str = "SOTER_PG_BIN";

/// Clusters do not share a socket directory, so they can share the port in its name.
pub const PORT: u16 = 5432;

/// Far longer than anything takes on a slow machine: it bounds a test that hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How long between two looks at a state that is waited for.
const POLL: Duration = Duration::from_millis(5);

/// Why there is no server to test with, or it did not do what it was told.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say what to do")]
pub enum TestingError {
    #[error(
        "no PostgreSQL 14 to 18 found in {}: install one (Debian: apt-get install postgresql) \
         or name the directory of its programs in {BINARIES_VARIABLE}", looked_in.display()
    )]
    NotInstalled { looked_in: PathBuf },
    #[error("PostgreSQL does not run as root: create the user `postgres`")]
    NoUser,
    #[error("{program}: {message}")]
    Program { program: String, message: String },
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error("{}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("gave up waiting until {what}")]
    Wait { what: String },
    #[error(transparent)]
    Server(#[from] PostmasterError),
    #[error("the server is not running")]
    NotRunning,
}

/// The programs that [`BINARIES_VARIABLE`] names, else the newest under `/usr/lib/postgresql`.
pub fn find_programs() -> Result<Programs, TestingError> {
    #[expect(clippy::disallowed_methods, reason = "tests have no other way to be told")]
    let named = std::env::var(BINARIES_VARIABLE);
    let looked_in = PathBuf::from(named.as_deref().unwrap_or("/usr/lib/postgresql"));
    let directory = match named {
        Ok(_) => Some(looked_in.clone()),
        Err(_) => {
            let newest_first = MajorVersion::ALL.into_iter().rev();
            let mut directories = newest_first.map(|v| looked_in.join(v.to_string()).join("bin"));
            directories.find(|directory| directory.join("postgres").exists())
        }
    };
    let programs = directory.map(|directory| Programs::at(&directory)).transpose()?;
    programs.flatten().ok_or(TestingError::NotInstalled { looked_in })
}

/// A cluster with its server, stopped or running.
#[derive(Debug)]
pub struct TestCluster {
    programs: Programs,
    owner: Owner,
    root: PathBuf,
    data: PathBuf,
    /// Where the socket is.
    sockets: PathBuf,
    /// The number in its name.
    port: u16,
    server: Option<Server>,
    /// Goes last, when everything else of it is gone.
    _turn: Turn,
}

/// A server that runs, or has run.
#[derive(Debug)]
enum Server {
    /// Started here.
    Ours(Postmaster),
    /// Somebody else's, by its process number.
    Theirs(u32),
}

impl Server {
    fn id(&self) -> u32 {
        match self {
            Self::Ours(postmaster) => postmaster.id(),
            Self::Theirs(process) => *process,
        }
    }

    fn is_running(&self) -> bool {
        match self {
            Self::Ours(postmaster) => postmaster.ended().is_none(),
            Self::Theirs(process) => {
                parent_and_state(*process).is_some_and(|(_, state)| state != 'Z')
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if self.is_running() {
            // One that has just ended by itself is as dead as it should be.
            exec::signal_process(self.id(), signal).ok();
        }
    }
}

impl TestCluster {
    /// A new cluster, not started: superuser `postgres` without password, C locale, page checksums.
    /// Arguments for `initdb` are added, such as `--wal-segsize=1`.
    pub fn initdb(arguments: &[&str]) -> Result<Self, TestingError> {
        let cluster = Self::in_new_directory(None)?;
        cluster
            .server_program("initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--data-checksums"])
            .args(["--no-locale", "--encoding=UTF8", "--pgdata"])
            .arg(&cluster.data)
            .args(arguments)
            .run(TIMEOUT)?
            .checked()?;
        cluster.configure(&["fsync = off", "shared_buffers = 32MB", "max_connections = 30"])?;
        Ok(cluster)
    }

    /// A cluster in an existing data directory, such as a restored one, not started. The directory
    /// is handed to the user that runs the server, and stays when this is dropped.
    pub fn over(data: &Path) -> Result<Self, TestingError> {
        let cluster = Self::in_new_directory(Some(data.to_owned()))?;
        hand_over(data, cluster.owner)?;
        Ok(cluster)
    }

    /// A standby of this cluster, started, with its own copy of the data, streaming from it. It needs
    /// this one's directory.
    pub fn standby(&self) -> Result<Self, TestingError> {
        let copy = self.root.join("standby");
        let command = self
            .server_program("pg_basebackup")
            .args(["--no-sync", "--checkpoint=fast", "--dbname"])
            .arg(self.connection_string())
            .arg("--pgdata")
            .arg(&copy);
        command.run(TIMEOUT)?.checked()?;
        // What pg_basebackup would write, the library that the server itself loads may not know.
        let signal = copy.join("standby.signal");
        File::create(&signal).map_err(file_error(&signal))?;
        let mut standby = Self::over(&copy)?;
        standby.configure(&[&format!("primary_conninfo = '{}'", self.connection_string())])?;
        standby.start()?;
        Ok(standby)
    }

    /// A server that somebody else has started, with its socket there. It is killed when this is
    /// dropped.
    pub fn attach(
        data: &Path,
        (sockets, port): (&Path, u16),
        process: u32,
    ) -> Result<Self, TestingError> {
        let mut cluster = Self::in_new_directory(Some(data.to_owned()))?;
        sockets.clone_into(&mut cluster.sockets);
        cluster.port = port;
        cluster.server = Some(Server::Theirs(process));
        Ok(cluster)
    }

    fn in_new_directory(data: Option<PathBuf>) -> Result<Self, TestingError> {
        let programs = find_programs()?;
        let owner = server_owner()?;
        let turn = Turn::wait()?;
        let unique = hex::encode(random::bytes::<6>(&SystemRandom));
        let root = std::env::temp_dir().join(format!("soter-pg-{unique}"));
        fs::create_dir(&root).map_err(file_error(&root))?;
        std::os::unix::fs::chown(&root, Some(owner.user), Some(owner.group))
            .map_err(file_error(&root))?;
        let data = data.unwrap_or_else(|| root.join("data"));
        let (sockets, port) = (root.clone(), PORT);
        Ok(Self { programs, owner, root, data, sockets, port, server: None, _turn: turn })
    }

    /// Appends lines to `postgresql.conf`; the next start uses them.
    pub fn configure(&self, lines: &[&str]) -> Result<(), TestingError> {
        let path = self.data.join("postgresql.conf");
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let file = OpenOptions::new().append(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(file_error(&path))
    }

    /// Starts the server and waits until it accepts connections.
    pub fn start(&mut self) -> Result<(), TestingError> {
        self.start_with(&[])
    }

    /// Starts the server with settings, such as `("listen_addresses", "127.0.0.1")`.
    pub fn start_with(&mut self, settings: &[(&str, &str)]) -> Result<(), TestingError> {
        self.sockets.clone_from(&self.root);
        self.port = PORT;
        let (sockets, port) = (self.sockets.display().to_string(), PORT.to_string());
        let ours =
            [("listen_addresses", ""), ("unix_socket_directories", &*sockets), ("port", &*port)];
        let all = ours.iter().chain(settings);
        let settings: Vec<(String, String)> =
            all.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let launch = Launch {
            programs: &self.programs,
            data_directory: &self.data,
            owner: self.owner,
            log: &self.log_file(),
            settings: &settings,
        };
        let postmaster = launch.start(&OsDisk)?;
        postmaster.wait_accepting((&OsDisk, &SystemClock), TIMEOUT, &Stop::new())?;
        self.server = Some(Server::Ours(postmaster));
        Ok(())
    }

    /// Stops the server and waits for its end.
    pub fn stop(&mut self, how: Shutdown) -> Result<(), TestingError> {
        match self.server.take().ok_or(TestingError::NotRunning)? {
            Server::Ours(postmaster) => {
                postmaster.stop(how, TIMEOUT, &OsDisk)?;
            }
            theirs @ Server::Theirs(_) => {
                theirs.signal(how.signal());
                wait_until("the server stops", || !theirs.is_running())?;
            }
        }
        Ok(())
    }

    /// Kills the server and all its processes at once, as a crash of the machine would.
    pub fn kill(&mut self) -> Result<(), TestingError> {
        let server = self.server.take().ok_or(TestingError::NotRunning)?;
        // Standing still it can neither restart children nor clean up after them.
        server.signal(Signal::Stop);
        let children = children_of(server.id());
        for &child in &children {
            // One that has just ended by itself is as dead as it should be.
            exec::signal_process(child, Signal::Kill).ok();
        }
        server.signal(Signal::Kill);
        wait_until("the server is gone", || !server.is_running())?;
        wait_until("the server's processes are gone", || {
            children
                .iter()
                .all(|&child| parent_and_state(child).is_none_or(|(_, state)| state == 'Z'))
        })
    }

    /// Whether the server runs: it was started and has not ended, by itself or otherwise.
    pub fn is_running(&self) -> bool {
        self.server.as_ref().is_some_and(Server::is_running)
    }

    /// The process number of the postmaster.
    pub fn postmaster_id(&self) -> Option<u32> {
        self.server.as_ref().map(Server::id)
    }

    /// Runs SQL in the database `postgres`; rows come as lines, fields separated by `|`.
    pub fn psql(&self, sql: &str) -> Result<String, TestingError> {
        self.psql_in("postgres", sql)
    }

    /// Runs SQL in a database. The first failing statement ends it.
    pub fn psql_in(&self, database: &str, sql: &str) -> Result<String, TestingError> {
        let psql = self.client("psql").args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let psql = psql.env("PGDATABASE", database).stdin(Input::Bytes(sql.into()));
        Ok(output_of("psql", psql)?.trim_end().to_owned())
    }

    /// Runs `pgbench` in the database `postgres` and returns what it reports.
    pub fn pgbench(&self, arguments: &[&str]) -> Result<String, TestingError> {
        output_of("pgbench", self.client("pgbench").args(arguments))
    }

    /// A client program that finds this server, logs in as superuser and uses `postgres`.
    pub fn client(&self, program: &str) -> Command {
        let port = self.port.to_string();
        let command =
            self.programs.command(program).env("PGHOST", &self.sockets).env("PGPORT", port);
        command.env("PGUSER", "postgres").env("PGDATABASE", "postgres")
    }

    /// A program that works on the data directory, run as the user who owns it.
    pub fn server_program(&self, program: &str) -> Command {
        self.programs.command(program).current_dir(&self.root).run_as(self.owner)
    }

    /// How libpq and its like find this server.
    pub fn connection_string(&self) -> String {
        format!("host={} port={} user=postgres dbname=postgres", self.sockets.display(), self.port)
    }

    /// Where the programs are.
    pub fn binaries(&self) -> &Programs {
        &self.programs
    }

    /// The user that runs the server.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The data directory.
    pub fn data_directory(&self) -> &Path {
        &self.data
    }

    /// A directory that the server's user may use and that goes away with the cluster. The socket is
    /// in it, and the data directory of a cluster made by [`TestCluster::initdb`].
    pub fn directory(&self) -> &Path {
        &self.root
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        fs::read(self.log_file()).map_or_else(
            |error| format!("(no log: {error})"),
            |log| String::from_utf8_lossy(&log).into_owned(),
        )
    }

    fn log_file(&self) -> PathBuf {
        self.root.join("log")
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        // Nobody can be told of a failure here, and the next run uses another directory.
        if self.is_running() {
            self.kill().ok();
        }
        fs::remove_dir_all(&self.root).ok();
    }
}

/// Looks again and again until a state is reached, for at most two minutes.
pub fn wait_until(what: &str, mut reached: impl FnMut() -> bool) -> Result<(), TestingError> {
    let deadline = SystemClock.monotonic() + TIMEOUT;
    while !reached() {
        if SystemClock.monotonic() > deadline {
            return Err(TestingError::Wait { what: what.to_owned() });
        }
        SystemClock.sleep(POLL);
    }
    Ok(())
}

/// Runs a program to its end. A failure carries all it complained about, readable.
pub fn output_of(program: &str, command: Command) -> Result<String, TestingError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match command.run(TIMEOUT)?.checked() {
        Ok(finished) => Ok(text(&finished.stdout)),
        Err(ExecError::Failed { stderr, .. }) => {
            Err(TestingError::Program { program: program.to_owned(), message: text(&stderr) })
        }
        Err(error) => Err(error.into()),
    }
}

fn server_owner() -> Result<Owner, TestingError> {
    let current = exec::current_owner();
    if current.user != 0 {
        return Ok(current);
    }
    let path = Path::new("/etc/passwd");
    let passwd = fs::read_to_string(path).map_err(file_error(path))?;
    exec::owner_in_passwd(&passwd, "postgres").ok_or(TestingError::NoUser)
}

/// Gives a directory and all in it to a user, without following links.
pub fn hand_over(path: &Path, owner: Owner) -> Result<(), TestingError> {
    std::os::unix::fs::lchown(path, Some(owner.user), Some(owner.group))
        .map_err(file_error(path))?;
    if path.is_symlink() || !path.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(file_error(path))? {
        hand_over(&entry.map_err(file_error(path))?.path(), owner)?;
    }
    Ok(())
}

fn children_of(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|&id| parent_and_state(id).is_some_and(|(of, _)| of == parent)).collect()
}

/// Parent and state of a process, from `/proc/PID/stat`: `PID (name) S PARENT …`.
fn parent_and_state(process: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> TestingError {
    let path = path.to_owned();
    |source| TestingError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_cluster_starts_crashes_recovers_and_disappears() {
        let mut cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
        let root = cluster.directory().to_owned();
        cluster.start().unwrap();
        assert_eq!(cluster.psql("show wal_segment_size; select 1, 2").unwrap(), "1MB\n1|2");
        cluster.psql("create table t as select generate_series(1, 10) i").unwrap();
        assert!(matches!(cluster.psql("select nothing"), Err(TestingError::Program { .. })));
        cluster.pgbench(&["--initialize", "--quiet"]).unwrap();
        cluster.kill().unwrap();
        assert!(!cluster.is_running());
        cluster.start().unwrap();
        assert!(cluster.log().contains("automatic recovery in progress"), "{}", cluster.log());
        assert_eq!(cluster.psql("select count(*) from t").unwrap(), "10");
        cluster.stop(Shutdown::Fast).unwrap();

        let mut again = TestCluster::over(cluster.data_directory()).unwrap();
        again.start().unwrap();
        assert_eq!(again.psql("select count(*) from t").unwrap(), "10");
        drop(again);
        assert!(cluster.data_directory().exists());
        drop(cluster);
        assert!(!root.exists());
    }
}
