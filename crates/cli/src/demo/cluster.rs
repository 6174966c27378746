//! PostgreSQL: which one is installed, a cluster made with it, and how to talk to a server.

use std::ffi::OsString;
use std::fs::{self, File};
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::{Client, NoTls};
use soter_postgres::cluster::MajorVersion;
use soter_postgres::postmaster::{
    Launch, Postmaster, PostmasterError, ProgramSearch, Programs, Shutdown,
};
use soter_world::Stop;
use soter_world::disk::Owner;
use soter_world::exec::{self, Command};

use super::{Stage, failed};
use crate::context::Context;
use crate::failure::{Ending, Failure};

/// The variable that names a directory of PostgreSQL's programs, to show it with another version.
const BINARIES_VARIABLE: &str = "SOTER_PG_BIN";

/// The user that runs servers when root asks for one.
const SERVER_USER: &str = "postgres";

/// Servers do not share a socket directory, so they can share the port in its name.
const PORT: u16 = 5432;

/// How long a server on an empty cluster may take to come up.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Latency is that of a real cluster: everything is synced, pages have checksums.
const SETTINGS: &str = "
listen_addresses = ''
port = 5432
max_connections = 40
shared_buffers = 256MB
max_wal_size = 4GB
autovacuum_naptime = 10min
log_line_prefix = '%m [%p] '
";

/// The programs that are installed, and who runs the server.
pub(super) struct Installed {
    programs: Programs,
    /// Whose the data directories are.
    pub(super) owner: Owner,
}

/// A server, whoever has started it.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// Its data directory.
    pub(super) data: PathBuf,
    /// Where its socket is.
    pub(super) socket_directory: PathBuf,
    /// The port in the socket's name.
    pub(super) port: u16,
}

impl Installed {
    /// The newest PostgreSQL here that can be protected.
    pub(super) fn find(context: &Context) -> Result<Self, Failure> {
        let variable = |name: &str| -> Option<OsString> { std::env::var_os(name) };
        let programs = match variable(BINARIES_VARIABLE) {
            Some(directory) => Programs::at(Path::new(&directory)).ok().flatten(),
            None => MajorVersion::ALL.iter().rev().find_map(|&version| {
                let search = ProgramSearch { directory: None, path: variable("PATH") };
                Programs::find(&*context.disk, version, &search).ok()
            }),
        };
        let programs = programs.filter(|found| found.directory().join("pgbench").exists());
        let programs = programs.ok_or_else(|| {
            Failure::new(
                Ending::Input,
                "the demonstration needs PostgreSQL 14 to 18 with pgbench, and there is none here",
            )
            .hint(
                "`make demo` installs what is missing; by hand on Debian: apt-get install \
                 postgresql; or name the directory of its programs in SOTER_PG_BIN",
            )
        })?;
        Ok(Self { programs, owner: server_owner(context)? })
    }

    /// The version.
    pub(super) fn version(&self) -> MajorVersion {
        self.programs.version()
    }

    /// Where the programs are.
    pub(super) fn directory(&self) -> String {
        self.programs.directory().display().to_string()
    }

    /// A program that finds a server.
    pub(super) fn client(&self, program: &str, server: &Server) -> Command {
        let command = self.programs.command(program).env("PGHOST", &server.socket_directory);
        let command = command.env("PGPORT", server.port.to_string()).env("PGUSER", "postgres");
        command.env("PGDATABASE", "postgres").env_remove("PGOPTIONS")
    }

    /// Makes a cluster, not started, in a directory that is not there yet.
    pub(super) fn make_cluster(&self, stage: &Stage<'_>) -> Result<Server, Failure> {
        let home = stage.place.path("first");
        fs::create_dir(&home).map_err(failed("make a directory"))?;
        self.hand_over(&home)?;
        self.check_reach(&home)?;
        let server = Server { data: home.join("data"), socket_directory: home.clone(), port: PORT };
        let initdb = self
            .programs
            .command("initdb")
            .args(["--auth=trust", "--username=postgres", "--data-checksums", "--no-locale"])
            .args(["--no-sync", "--encoding=UTF8", "--pgdata"])
            .arg(&server.data)
            .current_dir(&home)
            .run_as(self.owner);
        stage.finish("initdb", initdb)?;
        let path = server.data.join("postgresql.conf");
        let file = File::options().append(true).open(path);
        file.and_then(|mut file| std::io::Write::write_all(&mut file, SETTINGS.as_bytes()))
            .map_err(failed("configure the cluster"))?;
        Ok(server)
    }

    /// Starts a server that was made here.
    pub(super) fn start(
        &self,
        context: &Context,
        server: &Server,
        stop: &Stop,
    ) -> Result<Postmaster, Failure> {
        let log = server.socket_directory.join("log");
        let launch = Launch {
            programs: &self.programs,
            data_directory: &server.data,
            owner: self.owner,
            log: &log,
            settings: &[(
                "unix_socket_directories".to_owned(),
                server.socket_directory.display().to_string(),
            )],
        };
        let outside = (&*context.disk, &*context.clock);
        let started = launch.start(outside.0).and_then(|postmaster| {
            postmaster.wait_accepting(outside, START_TIMEOUT, stop).map(|()| postmaster)
        });
        started.map_err(|error: PostmasterError| {
            let failure = Failure::of(Ending::Failed, &error).during("start the server");
            match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })
    }

    /// Whether the server's user gets through to a directory of its own.
    fn check_reach(&self, directory: &Path) -> Result<(), Failure> {
        let test = Command::new("test").arg("-w").arg(directory).current_dir("/");
        let tested = test.run_as(self.owner).run(START_TIMEOUT);
        let tested = tested.map_err(failed("try to reach a directory as the server's user"))?;
        if tested.status == exec::Status::Exited(0) {
            return Ok(());
        }
        let what = format!("the server's user cannot reach {}", directory.display());
        Err(Failure::new(Ending::Input, what)
            .hint("with --directory name one that everybody may enter, such as /var/tmp"))
    }

    /// Restarts a server that a recovery has left running, now with its own configuration.
    pub(super) fn take_over(
        &self,
        stage: &Stage<'_>,
        recovered: &Server,
    ) -> Result<(Server, Postmaster), Failure> {
        let home = stage.place.path("second");
        fs::create_dir(&home).map_err(failed("make a directory"))?;
        self.hand_over(&home)?;
        let lock_file = recovered.data.join("postmaster.pid");
        let lock = fs::read_to_string(&lock_file).map_err(failed("find the recovered server"))?;
        let process = lock.lines().next().unwrap_or_default().trim().parse();
        let process = process.map_err(failed::<ParseIntError>("find the recovered server"))?;
        exec::signal_process(process, Shutdown::Fast.signal())
            .map_err(failed("stop the recovered server"))?;
        stage.wait("the recovered server has stopped", || Ok(!lock_file.exists()))?;
        let server = Server { socket_directory: home, ..recovered.clone() };
        let postmaster = self.start(stage.context, &server, stage.stop)?;
        Ok((server, postmaster))
    }

    /// Gives a new directory to the server's user.
    fn hand_over(&self, directory: &Path) -> Result<(), Failure> {
        std::os::unix::fs::chown(directory, Some(self.owner.user), Some(self.owner.group))
            .map_err(failed("hand a directory to the server's user"))
    }
}

impl Server {
    /// How libpq and its like find it.
    pub(super) fn connection(&self) -> String {
        let directory = self.socket_directory.display();
        format!("host={directory} port={} user=postgres dbname=postgres", self.port)
    }

    /// A connection. What times look like does not depend on where the server is.
    pub(super) fn connect(&self) -> Result<Client, Failure> {
        let mut client =
            Client::connect(&self.connection(), NoTls).map_err(failed("connect to the server"))?;
        client.batch_execute("SET timezone = 'UTC'").map_err(failed("ask the server"))?;
        Ok(client)
    }

    /// Runs statements that say nothing.
    pub(super) fn execute(&self, sql: &str) -> Result<(), Failure> {
        self.connect()?.batch_execute(sql).map_err(failed("tell the server"))
    }
}

/// PostgreSQL refuses to run as root, so root runs it as the user `postgres`.
fn server_owner(context: &Context) -> Result<Owner, Failure> {
    let ourselves = exec::current_owner();
    if ourselves.user != 0 {
        return Ok(ourselves);
    }
    let passwd = soter_world::durable::read(&*context.disk, Path::new("/etc/passwd"), 1 << 20)
        .map_err(failed("look up the user postgres"))?;
    exec::owner_in_passwd(&String::from_utf8_lossy(&passwd), SERVER_USER).ok_or_else(|| {
        Failure::new(
            Ending::Input,
            "PostgreSQL does not run as root, and there is no user postgres",
        )
        .hint("apt-get install postgresql makes that user; or run this as another user")
    })
}
