//! PostgreSQL on node-1: the primary, with the tables of KOSMOS.
//!
//! Services come over TCP with a password; the socket lets in whoever may enter its directory, which
//! is the server's user and root.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::{Client, Config, NoTls};
use soter_world::exec::{Command, Identity, Signal, Status};
use soter_world::{Clock, SystemClock};

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::place::secret;
use crate::processes::{Entry, Spec};

/// The node it is on.
const NODE: &str = "node-1";

/// What the unit of the server reads, seen from outside of the node: `PGDATA=…`.
const CONFIGURATION: &str = "node-1/files/etc/default/postgresql";

/// Where a node has its clusters, as in the plan of KOSMOS.
const CLUSTERS: &str = "var/lib/postgresql/16";

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the server may take to stop: it waits until the vault has what it wrote last.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How long between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// How long the test may take whether the server's user gets through to its directory.
const REACH_TIMEOUT: Duration = Duration::from_secs(20);

/// What KOSMOS keeps, as its user.
const SCHEMA: &str = "
SET ROLE kosmos;
CREATE TABLE conversations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE agent_sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp());
RESET ROLE;
CREATE EXTENSION amcheck;
";

/// The directory of the server, its user's own; on the node it is also where clusters are.
pub(crate) fn home(lab: &Lab) -> Result<PathBuf, Failure> {
    let home = lab.directory("node-1/postgres")?;
    let owner = lab.server_owner();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700))
        .and_then(|()| std::os::unix::fs::chown(&home, Some(owner.user), Some(owner.group)))
        .map_err(failed("hand a directory to the server's user"))?;
    let link = lab.root().join("node-1/files").join(CLUSTERS);
    if fs::symlink_metadata(&link).is_err() {
        let above = link.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(above)
            .and_then(|()| std::os::unix::fs::symlink(&home, &link))
            .map_err(failed("give the node its clusters' directory"))?;
    }
    Ok(home)
}

/// The data directory that the node's unit is configured for; `data` in the server's own if nobody
/// has said another.
pub(crate) fn data(lab: &Lab) -> PathBuf {
    let text = fs::read_to_string(lab.root().join(CONFIGURATION)).unwrap_or_default();
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("PGDATA="));
    let named = named.map(|path| Path::new(path.trim_matches(['"', '\'']))).next_back();
    let home = lab.root().join("node-1/postgres");
    // On the node that directory is a link to the server's own.
    match named.map(|path| (path, path.strip_prefix(format!("/{CLUSTERS}")))) {
        Some((_, Ok(below))) => home.join(below),
        Some((path, Err(_))) => path.to_owned(),
        None => home.join("data"),
    }
}

/// The server on the cluster that is there.
fn server(lab: &Lab) -> Result<Spec, Failure> {
    let home = home(lab)?;
    let data = data(lab).display().to_string();
    let program = lab.program("postgres")?.join("postgres");
    let spec = Spec::new("postgres", NODE, &program, home);
    Ok(spec.args(["-D".to_owned(), data]).run_as(lab.server_owner()))
}

/// Starts the server again, and waits until it lets people in.
pub(super) fn start(lab: &Lab) -> Result<(), Failure> {
    home(lab)?;
    let data = data(lab);
    if !data.exists() {
        let what = format!("there is no cluster in {}", data.display());
        return Err(Failure::new(Ending::No, what)
            .hint("restore one to there first, or name another in /etc/default/postgresql"));
    }
    let is_ours = lab.table().entry("postgres")?.is_some_and(|entry| entry.is_alive());
    if !is_ours {
        // A restore leaves its server running, with settings of its own.
        if let Some(process) = server_on(&data) {
            end_tidily(process)?;
        }
    }
    lab.start(&server(lab)?)?;
    let admin = lab.address("postgres-admin")?;
    lab.wait_ready("postgres", || connect(&admin).map(drop))
}

/// The server that works in a data directory, by its lock file; one that has died left that behind.
fn server_on(data: &Path) -> Option<Identity> {
    let lock = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let identity = Identity::of(lock.lines().next()?.trim().parse().ok()?).ok()?;
    let works_in = fs::read_link(format!("/proc/{}/cwd", identity.process)).ok()?;
    (works_in == data.canonicalize().ok()?).then_some(identity)
}

/// Asks a server to end, and waits until it has.
fn end_tidily(server: Identity) -> Result<(), Failure> {
    server.signal(Signal::Interrupt);
    let until = SystemClock.monotonic() + STOP_TIMEOUT;
    while server.is_alive() {
        if SystemClock.monotonic() > until {
            return Err(Failure::new(Ending::Failed, "PostgreSQL does not stop")
                .hint("its log says why; `kosmos-lab status` names the process"));
        }
        SystemClock.sleep(LOOK);
    }
    Ok(())
}

/// Stops the server tidily, if it runs.
pub(crate) fn stop(lab: &Lab) -> Result<(), Failure> {
    let entry = lab.table().entry("postgres")?.filter(Entry::is_alive);
    let process = entry.and_then(|entry| entry.identity).map(|identity| identity.process);
    match process.and_then(|process| Identity::of(process).ok()) {
        Some(server) => end_tidily(server),
        None => Ok(()),
    }
}

/// Makes the cluster and starts its server.
pub(super) fn make(lab: &Lab) -> Result<(), Failure> {
    let home = home(lab)?;
    let owner = lab.server_owner();
    check_reach(lab, &home)?;
    let programs = lab.program("postgres")?;
    let data = home.join("data");
    let initdb = Command::new(programs.join("initdb"))
        .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--username=postgres"])
        .args(["--data-checksums", "--no-locale", "--encoding=UTF8", "--no-sync", "--pgdata"])
        .arg(&data)
        .current_dir(&home)
        .run_as(owner);
    // No password is needed for a superuser who comes through the socket alone.
    lab.run("make a cluster with initdb", initdb)?;
    let port = lab.port("postgres")?;
    configure(&data, &home, port)?;
    let password = secret::<16>();
    lab.describe(|description| {
        let addresses = &mut description.addresses;
        let admin = format!("host={} port={port} user=postgres dbname=kosmos", home.display());
        let users =
            format!("host=127.0.0.1 port={port} user=kosmos password={password} dbname=kosmos");
        addresses.insert("postgres-admin".to_owned(), admin);
        addresses.insert("postgres".to_owned(), users);
        description.secrets.insert("postgres-kosmos".to_owned(), password.clone());
    })?;
    lab.start(&server(lab)?)?;
    let first = format!("host={} port={port} user=postgres dbname=postgres", home.display());
    lab.wait_ready("postgres", || connect(&first).map(drop))?;
    let mut client = connect(&first).map_err(|why| Failure::new(Ending::Failed, why))?;
    let roles = format!("CREATE ROLE kosmos LOGIN PASSWORD '{password}'");
    client
        .batch_execute(&roles)
        .and_then(|()| client.batch_execute("CREATE DATABASE kosmos OWNER kosmos"))
        .map_err(failed("make the database kosmos"))?;
    let mut client = connect(&lab.address("postgres-admin")?)
        .map_err(|why| Failure::new(Ending::Failed, why))?;
    client.batch_execute(SCHEMA).map_err(failed("make the tables of kosmos"))
}

/// Whether it takes writes, and how much is in it.
pub(super) fn look(lab: &Lab) -> Result<String, String> {
    let address = lab.address("postgres-admin").map_err(|failure| failure.to_string())?;
    let mut client = connect(&address)?;
    let count = "SELECT pg_is_in_recovery(), (SELECT count(*) FROM conversations)";
    let row = client.query_one(count, &[]).map_err(|error| in_words(&error))?;
    if row.get::<_, bool>(0) {
        return Err("can only be read".to_owned());
    }
    Ok(format!("takes writes; {} conversations", row.get::<_, i64>(1)))
}

/// A connection, or why there is none.
pub(crate) fn connect(address: &str) -> Result<Client, String> {
    let mut config: Config = address.parse().map_err(|error| in_words(&error))?;
    config.connect_timeout(CONNECT_TIMEOUT).application_name("kosmos-lab");
    config.connect(NoTls).map_err(|error| in_words(&error))
}

fn in_words(error: &postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn configure(data: &Path, sockets: &Path, port: u16) -> Result<(), Failure> {
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
         max_connections = 60\nshared_buffers = 32MB\nwal_level = replica\nmax_wal_senders = 10\n\
         max_replication_slots = 10\nlog_line_prefix = '%m [%p] '\n\
         dynamic_shared_memory_type = mmap\n",
        sockets.display()
    );
    let file = File::options().append(true).open(data.join("postgresql.conf"));
    file.and_then(|mut file| file.write_all(settings.as_bytes()))
        .map_err(failed("configure the cluster"))
}

/// Whether the server's user gets through to a directory of its own.
fn check_reach(lab: &Lab, directory: &Path) -> Result<(), Failure> {
    let test = Command::new("test").arg("-w").arg(directory).current_dir("/");
    let tested = test.run_as(lab.server_owner()).run(REACH_TIMEOUT);
    let tested = tested.map_err(failed("try to reach a directory as the server's user"))?;
    if tested.status == Status::Exited(0) {
        return Ok(());
    }
    let what = format!("the server's user cannot reach {}", directory.display());
    Err(Failure::new(Ending::Input, what)
        .hint("with --directory name one that everybody may enter, such as /var/tmp/kosmos-lab"))
}
