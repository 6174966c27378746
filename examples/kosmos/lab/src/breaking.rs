//! `break`: disasters, for real. What was done is written into the description, so that nobody takes
//! a laboratory for well that was broken on purpose.

mod host;
mod migration;
mod pages;

use serde_json::{Value, json};
use soter_world::{Clock, SystemClock};

use crate::failure::Failure;
use crate::lab::Lab;
use crate::node;
use crate::place::{Broken, NODES};

/// What is to be broken.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum What {
    /// A node is gone: its processes are killed, its disk is empty.
    Node {
        /// Which one.
        name: String,
    },
    /// All nodes are gone.
    #[command(alias = "everything")]
    Cluster,
    /// Bits of a table's file are flipped.
    Pages {
        /// The table.
        #[arg(long, default_value = "conversations")]
        table: String,
        /// How many pages.
        #[arg(long, default_value_t = 3)]
        count: u32,
        /// Which ones; the same number breaks the same.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// A bad migration: a column is dropped, another one is overwritten, and all of it is committed.
    Migration,
    /// Somebody has got in: a process, a changed program and a key on a node, a superuser in the
    /// database.
    Host {
        /// Which node.
        name: String,
    },
}

/// What was done: a sentence, and what a recovery or a test may want to know.
pub(crate) struct Damage {
    /// In words.
    pub(crate) what: String,
    /// As data.
    pub(crate) details: Value,
}

/// Breaks it.
pub(crate) fn run(lab: &Lab, what: &What) -> Result<Damage, Failure> {
    let at = SystemClock.now();
    let damage = match what {
        What::Node { name } => {
            let name = node::known(name)?;
            let ended = node::remove(lab, name)?;
            Damage {
                what: format!("{name} is gone: {ended} processes killed, its disk removed"),
                details: json!({"nodes": [name], "processes_ended": ended}),
            }
        }
        What::Cluster => {
            // All at once, as far as they can be: no node sees the others go and acts on it.
            let mut ended = 0;
            for name in NODES {
                ended += node::stop(lab, name)?;
            }
            for name in NODES {
                node::remove(lab, name)?;
            }
            Damage {
                what: format!("all nodes are gone: {ended} processes killed, their disks removed"),
                details: json!({"nodes": NODES, "processes_ended": ended}),
            }
        }
        What::Pages { table, count, seed } => pages::flip(lab, table, *count, *seed)?,
        What::Migration => migration::run(lab)?,
        What::Host { name } => host::compromise(lab, node::known(name)?)?,
    };
    let broken = Broken { at, what: damage.what.clone() };
    lab.describe(|description| description.broken.push(broken))?;
    Ok(damage)
}
