//! Clients that note outside the database which of their commits were acknowledged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use postgres::{Client, NoTls};
use soter_postgres::testing::wait_until;

use crate::lab::Lab;

/// Clients at work. They connect again when the server is gone.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    connection: String,
    is_over: AtomicBool,
    acknowledged: Mutex<BTreeSet<u32>>,
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
    pub(super) fn stop(self) -> BTreeSet<u32> {
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
        while !self.is_over.load(Ordering::Relaxed) {
            client = client.or_else(|| Client::connect(&self.connection, NoTls).ok());
            let Some(connected) = &mut client else { continue };
            match commit(connected, number) {
                Ok(transaction) => {
                    self.acknowledged.lock().unwrap().insert(transaction);
                }
                Err(_) => client = None,
            }
        }
    }
}

/// One commit. It is acknowledged when this returns: a wait that was cut short ends the connection
/// here, since no client cancels anything.
fn commit(client: &mut Client, number: i32) -> Result<u32, postgres::Error> {
    let insert = "INSERT INTO t VALUES ($1, 1) RETURNING pg_current_xact_id()::text";
    let row = client.query_one(insert, &[&number])?;
    let text: String = row.get(0);
    Ok(u32::try_from(text.parse::<u64>().unwrap()).unwrap())
}
