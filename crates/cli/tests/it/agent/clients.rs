//! Clients that note outside the database which of their commits were acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use postgres::{Client, NoTls};
use soter_postgres::testing::wait_until;
use soter_world::{Clock, SystemClock};

use crate::lab::Lab;

/// How long a client waits before it connects again: not a burden to a server that starts.
const AGAIN: Duration = Duration::from_millis(5);

/// What a client wrote: its number, and the number of its try.
pub(super) type Row = (i32, i64);

/// Transactions that were acknowledged, with what they wrote.
pub(super) type Acknowledged = BTreeMap<u32, Row>;

/// Clients at work. They connect again when the server is gone.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    connection: String,
    is_over: AtomicBool,
    acknowledged: Mutex<Acknowledged>,
}

impl Clients {
    /// Starts clients that insert into the table `t (client, n)`.
    pub(super) fn start(lab: &Lab, count: i32) -> Self {
        let shared = Arc::new(Shared {
            connection: lab.cluster.connection_string(),
            is_over: AtomicBool::new(false),
            acknowledged: Mutex::default(),
        });
        let thread = |client| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work(client))
        };
        let threads = (0..count).map(thread).collect();
        Self { shared, threads }
    }

    fn count(&self) -> usize {
        self.shared.acknowledged.lock().unwrap().len()
    }

    /// Waits until so many more commits were acknowledged.
    pub(super) fn wait_for_more(&self, commits: usize) {
        let before = self.count();
        wait_until("commits are acknowledged", || self.count() >= before + commits).unwrap();
    }

    /// Ends them; the transactions that were acknowledged.
    pub(super) fn stop(self) -> Acknowledged {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.shared.acknowledged.lock().unwrap().clone()
    }
}

impl Shared {
    fn work(&self, number: i32) {
        let mut client = None;
        for n in 0.. {
            while client.is_none() && !self.is_over.load(Ordering::Relaxed) {
                client = Client::connect(&self.connection, NoTls).ok();
                if client.is_none() {
                    SystemClock.sleep(AGAIN);
                }
            }
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let Some(connected) = &mut client else { return };
            match commit(connected, (number, n)) {
                Ok(transaction) => {
                    self.acknowledged.lock().unwrap().insert(transaction, (number, n));
                }
                Err(_) => client = None,
            }
        }
    }
}

/// One commit. It is acknowledged when this returns: a wait that was cut short ends the connection
/// here, since no client cancels anything.
fn commit(client: &mut Client, (number, n): Row) -> Result<u32, postgres::Error> {
    let insert = "INSERT INTO t VALUES ($1, $2) RETURNING pg_current_xact_id()::text";
    let row = client.query_one(insert, &[&number, &n])?;
    let text: String = row.get(0);
    Ok(u32::try_from(text.parse::<u64>().unwrap()).unwrap())
}
