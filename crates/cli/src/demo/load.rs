//! Work for the cluster: pgbench, and clients that write down outside the database which of their
//! commits were acknowledged, and how long each took.
//!
//! A number is used once. When a connection breaks during a commit nobody knows whether it happened,
//! and the client goes on with the next number: such a row may be there or not, and neither is a loss.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, NoTls};
use soter_world::Clock;
use soter_world::exec::{Child, Signal};

use super::cluster::Server;
use super::measure::Sample;
use super::{Stage, failed};
use crate::failure::{Ending, Failure};

/// Clients that write orders. With those of pgbench enough for commits to share a flush.
const CLIENTS: u32 = 4;

/// Clients of pgbench.
const PGBENCH_CLIENTS: u32 = 4;

/// Transactions a second that pgbench begins: work at a steady pace, which leaves a small machine
/// able to breathe, so that a commit's latency is not that of a queue.
const PGBENCH_RATE: u32 = 250;

/// Far beyond the end of the demonstration, in seconds.
const PGBENCH_SECONDS: u32 = 3_600;

/// How long a client waits before it looks for the server again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// How long pgbench may take to end.
const PGBENCH_END: Duration = Duration::from_secs(10);

/// Numbers of one client are below this.
const NUMBERS_PER_CLIENT: i64 = 1_000_000_000;

/// Makes the table that the clients write to.
pub(super) const ORDERS: &str = "CREATE TABLE orders (
    id bigint PRIMARY KEY,
    client integer NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    what text NOT NULL)";

/// Clients at work.
pub(super) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<(), io::Error>>>,
    pgbench: Option<Child>,
    records: Vec<PathBuf>,
}

struct Shared {
    connection: String,
    clock: Arc<dyn Clock>,
    is_over: AtomicBool,
    commits: AtomicU64,
    samples: Mutex<Vec<Sample>>,
}

/// All numbers of a load and of those after it are larger.
pub(super) fn first_number(load: u32) -> i64 {
    i64::from(load * CLIENTS) * NUMBERS_PER_CLIENT
}

impl Load {
    /// Starts them on a server. No two loads of a demonstration may have the same `number`.
    pub(super) fn start(stage: &Stage<'_>, server: &Server, number: u32) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            connection: server.connection(),
            clock: Arc::clone(&stage.context.clock),
            is_over: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            samples: Mutex::default(),
        });
        let pgbench = stage
            .programs
            .client("pgbench", server)
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--client={PGBENCH_CLIENTS}"))
            .arg(format!("--rate={PGBENCH_RATE}"))
            .arg(format!("--time={PGBENCH_SECONDS}"))
            .current_dir(stage.place.root())
            .spawn()
            .map_err(failed("start pgbench"))?;
        let mut load =
            Self { shared, threads: Vec::new(), pgbench: Some(pgbench), records: Vec::new() };
        for client in 0..CLIENTS {
            let path = stage.place.path(&format!("acknowledged-{number}-{client}"));
            let record = File::create_new(&path).map_err(failed("write down commits"))?;
            let first = first_number(number) + i64::from(client) * NUMBERS_PER_CLIENT;
            let shared = Arc::clone(&load.shared);
            let work = move || shared.work(client, first, record);
            let thread = std::thread::Builder::new().name(format!("client {client}")).spawn(work);
            load.threads.push(thread.map_err(failed("start a client"))?);
            load.records.push(path);
        }
        Ok(load)
    }

    /// How many commits were acknowledged so far.
    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// All commits so far.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.shared.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether pgbench still works.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.pgbench.as_ref().and_then(Child::try_wait) {
            None => Ok(()),
            Some(status) => {
                Err(Failure::new(Ending::Failed, format!("pgbench ended with {status}"))
                    .hint("run again with --keep and look at the server's log"))
            }
        }
    }

    /// Ends them; the numbers whose commits were acknowledged, as they were written down.
    pub(super) fn stop(mut self) -> Result<BTreeSet<i64>, Failure> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(mut pgbench) = self.pgbench.take() {
            pgbench.signal(Signal::Terminate);
            if pgbench.wait_timeout(PGBENCH_END).is_none() {
                pgbench.kill();
            }
        }
        for thread in self.threads.drain(..) {
            let outcome = thread.join();
            let outcome = outcome.map_err(|_| Failure::new(Ending::Failed, "a client panicked"))?;
            outcome.map_err(failed("write down commits"))?;
        }
        let mut acknowledged = BTreeSet::new();
        for path in &self.records {
            let file = File::open(path).map_err(failed("read what was written down"))?;
            for line in BufReader::new(file).lines() {
                let line = line.map_err(failed("read what was written down"))?;
                let number = line.parse().map_err(failed("read what was written down"))?;
                acknowledged.insert(number);
            }
        }
        Ok(acknowledged)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Writes orders until told to end, or until the table is gone.
    fn work(&self, client: u32, first: i64, mut record: File) -> Result<(), io::Error> {
        let mut connection = None;
        let mut number = first;
        while !self.is_over.load(Ordering::Relaxed) {
            let Some(connected) = &mut connection else {
                connection = Client::connect(&self.connection, NoTls).ok();
                if connection.is_none() {
                    self.clock.sleep(RECONNECT_PAUSE);
                }
                continue;
            };
            number += 1;
            let begun = self.clock.monotonic();
            match place_order(connected, number, client) {
                Ok(()) => {
                    let sample = Sample { at: begun, took: self.clock.monotonic() - begun };
                    writeln!(record, "{number}")?;
                    self.samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                    self.commits.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(()),
                Err(_) => connection = None,
            }
        }
        Ok(())
    }
}

/// One commit, acknowledged when this returns.
fn place_order(client: &mut Client, number: i64, by: u32) -> Result<(), postgres::Error> {
    let statement = "INSERT INTO orders (id, client, what) VALUES ($1, $2::bigint, $3)";
    let what = format!("order {number} of client {by}");
    client.execute(statement, &[&number, &i64::from(by), &what]).map(drop)
}
