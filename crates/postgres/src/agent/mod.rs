//! The agent: what runs beside a cluster and keeps its WAL safe, second by second.
//!
//! ```text
//!   supervisor ── asks the server, prepares, streams ──▶ engine ──▶ vault
//!       │                                                  ▲
//!       ├── keepers: fence, session, spool, backups        │
//!       ├── canaries                                       │
//!       └── socket: push, backup, status ──────────────────┘
//! ```
//!
//! What is decided (`flow`, `machine`, `resume`, `lanes`, `progress`) is values and functions; the
//! threads carry it out. An acknowledgement to the server follows the vault, never the other way.

mod arrivals;
mod canary;
mod engine;
mod facts;
mod findings;
mod flow;
mod intake;
mod keeper;
mod lanes;
mod machine;
mod memory;
mod progress;
mod protocol;
mod push;
mod queue;
mod resume;
mod run;
mod settings;
mod shared;
mod socket;
mod spool;
mod status;
mod stored;
mod supervisor;
mod writer;

pub use canary::{CANARY_SCHEMA, CANARY_TABLE};
pub use findings::Noted;
pub use flow::Mode;
pub use machine::{Ending, PhaseName, Trouble};
pub use memory::Gap;
pub use protocol::{
    Answer, BackupDone, FailureKind, FetchDone, PushDone, Request, ask, ask_status,
};
pub use push::{PushError, Trusting, push_file, push_file_in_steps};
pub use run::run;
pub use settings::{Keyring, Settings, Surroundings, World, socket_in};
pub use status::{
    BackupStatus, CanaryStatus, EndFrom, LastBackup, QueueStatus, Recoverable, ServerStatus,
    Status, VaultView, WalStatus,
};

#[cfg(test)]
mod scene;
#[cfg(test)]
mod simulation;
