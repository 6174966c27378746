//! Can this server be protected as desired? All that is wrong or dangerous, each with its remedy.
//!
//! Pure: facts in, findings out, all of them and not only the first. Nobody is asked anything here.

mod access;
mod durability;
mod retention;
mod synchronous;

use serde::{Deserialize, Serialize};

use super::facts::ServerFacts;
use super::quote::quote_literal;
use crate::cluster::UnknownVersion;
use crate::connection::{ConnectionInfo, Host};
use crate::replication::{self, ReplicationClient, SlotName};

/// How the store is to be protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The slot that holds WAL for us.
    pub slot: SlotName,
    /// What we call ourselves.
    pub application_name: String,
    /// How WAL comes.
    pub protection: Protection,
}

/// How WAL comes out of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// Streamed; commits do not wait for it.
    Asynchronous,
    /// Streamed; a commit returns only when its WAL is durable in the vault.
    Synchronous,
    /// Handed over by the server, file by file, to this `archive_command`.
    ArchiveCommand(String),
}

/// What came of an attempt to open a replication connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicationProbe {
    /// It was not tried, as with `archive_command` it need not work.
    NotTried,
    /// It works.
    Works,
    /// The server said no.
    Refused {
        /// Where the server was reached.
        host: Host,
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its message.
        message: String,
    },
    /// It did not come that far.
    Failed {
        /// Why.
        message: String,
    },
}

impl ReplicationProbe {
    /// Tries it.
    pub fn try_now(info: &ConnectionInfo, stop: &soter_world::Stop) -> Self {
        match ReplicationClient::connect(info, stop) {
            Ok(_) => Self::Works,
            Err(replication::Error::Refused { source, .. }) => Self::Refused {
                host: info.host.clone(),
                sqlstate: source.sqlstate,
                message: source.message,
            },
            Err(error) => {
                let mut message = error.to_string();
                let mut cause: &dyn std::error::Error = &error;
                while let Some(source) = cause.source() {
                    message = format!("{message}: {source}");
                    cause = source;
                }
                Self::Failed { message }
            }
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does not work, or what is promised does not hold.
    Error,
    /// It works until a bad day.
    Warning,
    /// Worth knowing.
    Notice,
}

/// What is wrong, as a name that stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the findings say it")]
pub enum Code {
    VersionUnsupported,
    RoleCannotReplicate,
    RoleCannotReadSettings,
    RoleCannotBackUp,
    RoleConnectionLimit,
    ReplicationRefused,
    ReplicationFailed,
    WalLevelMinimal,
    WalSendersExhausted,
    WalSenderTimeoutOff,
    SlotsExhausted,
    SlotNotPhysical,
    SlotLost,
    SlotInDanger,
    SlotKeepUnlimited,
    SlotKeepSmall,
    FsyncOff,
    FullPageWritesOff,
    ChecksumsOff,
    CollationChanged,
    ServerIsStandby,
    ArchiveModeOff,
    ArchiveCommandForeign,
    ArchiveCommandEmpty,
    ArchivedElsewhere,
    RemoteApply,
    SynchronousOnStandby,
    SynchronousNotNamed,
    SynchronousNotAlways,
    SynchronousCommitWeak,
    SynchronousUndesired,
}

/// Something a person should know before trusting the protection of this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is so.
    pub what: String,
    /// What follows from it.
    pub why: String,
    /// What to do, in words.
    pub hint: String,
    /// What to run: SQL as superuser if it ends with `;`, else a line for a file or a shell, as the
    /// hint says.
    pub commands: Vec<String>,
}

impl Finding {
    /// What to do, with what to run.
    pub fn remedy(&self) -> String {
        match self.commands.as_slice() {
            [] => self.hint.clone(),
            commands => format!("{}: {}", self.hint, commands.join(" ")),
        }
    }

    /// All of it in one line, for a log.
    pub fn in_one_line(&self) -> String {
        format!("{}: {}; {}", self.what, self.why, self.remedy())
    }
}

/// All that the checks look at.
struct Context<'a> {
    facts: &'a ServerFacts,
    probe: &'a ReplicationProbe,
    desired: &'a Desired,
}

type Check = fn(&Context<'_>, &mut Vec<Finding>);

/// Every check, in the order in which their findings matter to each other.
const CHECKS: &[Check] = &[
    access::replication_attribute,
    access::settings_visible,
    access::backup_functions,
    access::connection_limit,
    access::replication_connection,
    durability::wal_level,
    durability::fsync,
    durability::full_page_writes,
    durability::checksums,
    durability::collations,
    durability::standby,
    durability::archiving,
    retention::wal_senders,
    retention::wal_sender_timeout,
    retention::slots,
    retention::own_slot,
    retention::keep_size,
    synchronous::named,
    synchronous::remote_apply,
    synchronous::commit_level,
];

/// All findings, the worst first.
pub fn checks(facts: &ServerFacts, probe: &ReplicationProbe, desired: &Desired) -> Vec<Finding> {
    let context = Context { facts, probe, desired };
    let mut found = Vec::new();
    for check in CHECKS {
        check(&context, &mut found);
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

/// The first thing that makes a base backup impossible or worthless until a person has changed it.
pub fn prevents_backup(facts: &ServerFacts) -> Option<Finding> {
    // How WAL comes is not asked here.
    let desired = Desired {
        slot: SlotName::new("soter").expect("a name of small letters"),
        application_name: String::new(),
        protection: Protection::ArchiveCommand(String::new()),
    };
    let context = Context { facts, probe: &ReplicationProbe::NotTried, desired: &desired };
    let mut found = Vec::new();
    for check in [durability::wal_level, access::backup_functions] {
        check(&context, &mut found);
    }
    found.into_iter().next()
}

/// What to say of a server whose facts cannot be read, because nobody knows what they mean.
pub fn unsupported_version(version: UnknownVersion) -> Finding {
    Finding {
        code: Code::VersionUnsupported,
        severity: Severity::Error,
        what: version.to_string(),
        why: "the formats of its WAL and its files are not known".to_owned(),
        hint: "upgrade the server (pg_upgrade), or Soter if the server is newer".to_owned(),
        commands: Vec::new(),
    }
}

impl Context<'_> {
    fn is_streaming(&self) -> bool {
        !matches!(self.desired.protection, Protection::ArchiveCommand(_))
    }

    fn is_synchronous(&self) -> bool {
        self.desired.protection == Protection::Synchronous
    }

    /// A setting as a whole number; PostgreSQL has no other value where this is asked.
    fn number(&self, name: &str) -> Option<i64> {
        self.facts.setting(name)?.parse().ok()
    }

    fn is_off(&self, name: &str) -> bool {
        self.facts.setting(name) == Some("off")
    }
}

/// The statements that change a setting that a running server takes over.
fn set_and_reload(name: &str, value: &str) -> Vec<String> {
    let mut commands = set(name, value);
    commands.push("SELECT pg_reload_conf();".to_owned());
    commands
}

/// The statement that changes a setting; whether it needs a restart the hint must say.
fn set(name: &str, value: &str) -> Vec<String> {
    vec![format!("ALTER SYSTEM SET {name} = {};", quote_literal(value))]
}

#[cfg(test)]
mod tests;
