//! Whether we get in, and may do what we must.

use super::{Code, Context, Finding, ReplicationProbe, Severity};
use crate::connection::Host;
use crate::server::facts::{Privilege, backup_functions as functions_of};
use crate::server::quote::quote_identifier;

/// The agent's stream, its backup session, its probes, and one to replace a connection whose end
/// the server has not noticed.
const CONNECTIONS_NEEDED: u32 = 4;

pub(super) fn replication_attribute(context: &Context<'_>, found: &mut Vec<Finding>) {
    let role = &context.facts.role;
    if !role.lacks.contains(&Privilege::Replicate) || !context.is_streaming() {
        return;
    }
    found.push(Finding {
        code: Code::RoleCannotReplicate,
        severity: Severity::Error,
        what: format!("the role {} may not replicate", role.name),
        why: "WAL cannot be streamed".to_owned(),
        hint: "give it the attribute".to_owned(),
        commands: vec![format!("ALTER ROLE {} REPLICATION;", quote_identifier(&role.name))],
    });
}

pub(super) fn settings_visible(context: &Context<'_>, found: &mut Vec<Finding>) {
    let role = &context.facts.role;
    if !role.lacks.contains(&Privilege::ReadAllSettings) {
        return;
    }
    found.push(Finding {
        code: Code::RoleCannotReadSettings,
        severity: Severity::Error,
        what: format!("the role {} does not see all settings", role.name),
        why: "where the server keeps its files is unknown, so they cannot all be backed up"
            .to_owned(),
        hint: "let it read them".to_owned(),
        commands: vec![format!("GRANT pg_read_all_settings TO {};", quote_identifier(&role.name))],
    });
}

pub(super) fn backup_functions(context: &Context<'_>, found: &mut Vec<Finding>) {
    let role = &context.facts.role;
    if !role.lacks.contains(&Privilege::BackUp) {
        return;
    }
    let grant = |function: &&str| {
        format!("GRANT EXECUTE ON FUNCTION {function} TO {};", quote_identifier(&role.name))
    };
    found.push(Finding {
        code: Code::RoleCannotBackUp,
        severity: Severity::Error,
        what: format!("the role {} may not start and stop base backups", role.name),
        why: "without a base backup WAL is of no use".to_owned(),
        hint: format!("in the database {}, grant the functions", context.facts.database),
        commands: functions_of(context.facts.version).iter().map(grant).collect(),
    });
}

pub(super) fn connection_limit(context: &Context<'_>, found: &mut Vec<Finding>) {
    let role = &context.facts.role;
    let Some(limit) = role.connection_limit.filter(|&limit| limit < CONNECTIONS_NEEDED) else {
        return;
    };
    found.push(Finding {
        code: Code::RoleConnectionLimit,
        severity: Severity::Warning,
        what: format!("the role {} may have {limit} connections only", role.name),
        why: "a base backup and the WAL stream each hold one while others come and go".to_owned(),
        hint: "raise the limit".to_owned(),
        commands: vec![format!(
            "ALTER ROLE {} CONNECTION LIMIT {CONNECTIONS_NEEDED};",
            quote_identifier(&role.name)
        )],
    });
}

pub(super) fn replication_connection(context: &Context<'_>, found: &mut Vec<Finding>) {
    match context.probe {
        ReplicationProbe::NotTried | ReplicationProbe::Works => {}
        ReplicationProbe::Failed { message } => found.push(Finding {
            code: Code::ReplicationFailed,
            severity: Severity::Error,
            what: format!("no replication connection comes about: {message}"),
            why: "WAL cannot be streamed, although SQL works".to_owned(),
            hint: "connect directly: poolers such as PgBouncer do not pass replication on"
                .to_owned(),
            commands: Vec::new(),
        }),
        ReplicationProbe::Refused { sqlstate, .. } if is_explained(context, sqlstate) => {}
        ReplicationProbe::Refused { host, sqlstate, message } => {
            let (hint, commands) = remedy(context, host, sqlstate);
            found.push(Finding {
                code: Code::ReplicationRefused,
                severity: Severity::Error,
                what: format!("the server refuses a replication connection: {message}"),
                why: "WAL cannot be streamed, although SQL works".to_owned(),
                hint,
                commands,
            });
        }
    }
}

/// Whether another finding says why the server refuses, and what mends it.
fn is_explained(context: &Context<'_>, sqlstate: &str) -> bool {
    let role = &context.facts.role;
    match sqlstate {
        // Too many connections: of all receivers, or of this role.
        "53300" => {
            super::retention::are_senders_used_up(context)
                || role.connection_limit.is_some_and(|limit| limit < CONNECTIONS_NEEDED)
        }
        // Not allowed to.
        "42501" => role.lacks.contains(&Privilege::Replicate),
        _ => false,
    }
}

fn remedy(context: &Context<'_>, host: &Host, sqlstate: &str) -> (String, Vec<String>) {
    match sqlstate {
        // The rule is there, but for this connection it asks for something else.
        "28P01" => ("check the password of the role".to_owned(), Vec::new()),
        "28000" => {
            let file = context.facts.files.hba_file.as_ref();
            let file = file.map_or("pg_hba.conf".to_owned(), |file| file.display().to_string());
            let hint = format!("add a line to {file}, above others that match, and reload it");
            (hint, vec![hba_line(context, host), "SELECT pg_reload_conf();".to_owned()])
        }
        _ => ("see the message of the server".to_owned(), Vec::new()),
    }
}

/// `all` as database does not mean replication: it needs a line of its own.
fn hba_line(context: &Context<'_>, host: &Host) -> String {
    let role = quote_identifier(&context.facts.role.name);
    match host {
        Host::Directory(_) => format!("local replication {role} scram-sha-256"),
        Host::Name(name) if name == "localhost" => {
            format!("host replication {role} localhost scram-sha-256")
        }
        Host::Name(_) => format!("host replication {role} samenet scram-sha-256"),
    }
}
