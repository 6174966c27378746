//! How an agent without a socket says that it is there: a file of this machine, with its process.
//!
//! The rule it keeps: the file alone says nothing. Only a process that is alive and is the one of the file,
//! by its number and its start, is an agent.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_vault::ids::StoreId;
use soter_world::durable;
use soter_world::exec::Identity;

use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::runs::StateArgs;

/// Longest file.
const LENGTH_MAX: usize = 1 << 16;

/// An agent, as it describes itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Presence {
    /// Its process.
    pub(crate) process: u32,
    start_ticks: u64,
    /// When it was started.
    pub(crate) since: Timestamp,
    /// When it does something next; none: never.
    pub(crate) next_at: Option<Timestamp>,
    /// Its last attempt, if that failed.
    pub(crate) failed: Option<FailedAttempt>,
}

/// An attempt that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FailedAttempt {
    /// When.
    pub(crate) at: Timestamp,
    /// Why.
    pub(crate) why: String,
    /// How many failed one after the other.
    pub(crate) count: u32,
}

impl Presence {
    /// This process, from now on.
    pub(crate) fn ours(context: &Context) -> Option<Self> {
        let Identity { process, start_ticks } = Identity::this().ok()?;
        let since = context.clock.now();
        Some(Self { process, start_ticks, since, next_at: None, failed: None })
    }

    /// Says it. An agent protects also where this cannot be written: then it is only not seen.
    pub(crate) fn announce(&self, context: &Context, store: StoreId) {
        let written = StateArgs { state: None }.directory().and_then(|state| {
            let file = file(&state, store);
            let bytes = serde_json::to_vec(self).expect("numbers and texts are JSON");
            durable::create_dir_all_durable(&*context.disk, durable::parent(&file))
                .and_then(|()| durable::write_durable(&*context.disk, &file, &bytes))
                .map_err(|error| Failure::of(Ending::Failed, &error))
        });
        if let Err(failure) = written {
            let why = failure.in_one_line();
            context.output.warn(&format!("`soter status` will not see this agent: {why}"));
        }
    }

    /// The agent of a store on this machine, if it is alive.
    pub(crate) fn of(context: &Context, store: StoreId) -> Option<Self> {
        StateArgs::of_agents().iter().find_map(|state| {
            let bytes = durable::read(&*context.disk, &file(state, store), LENGTH_MAX).ok()?;
            let found: Self = serde_json::from_slice(&bytes).ok()?;
            let Self { process, start_ticks, .. } = found;
            Identity { process, start_ticks }.is_alive().then_some(found)
        })
    }
}

/// Stores have ids, so that two of one name do not meet.
fn file(state: &Path, store: StoreId) -> PathBuf {
    state.join("agents").join(format!("{store}.json"))
}
