//! Whether commits wait for us exactly if they shall, and can ever stop waiting.

use super::{Code, Context, Finding, Severity, set_and_reload};
use crate::server::facts::SynchronousCommitOverride;
use crate::server::quote::quote_identifier;
use crate::server::standby_names::StandbyNames;

const NAMES: &str = "synchronous_standby_names";

pub(super) fn named(context: &Context<'_>, found: &mut Vec<Finding>) {
    let own = context.desired.application_name.as_str();
    let names = standby_names(context);
    let with_us = || set_and_reload(NAMES, &names.with(own));
    if !context.is_synchronous() {
        if context.is_streaming() && names.is_named(own) {
            found.push(undesired(&names, own));
        }
        return;
    }
    if context.facts.in_recovery {
        found.push(Finding {
            code: Code::SynchronousOnStandby,
            severity: Severity::Error,
            what: "the server is a standby".to_owned(),
            why: "commits on the primary wait only for who streams from the primary itself"
                .to_owned(),
            hint: "connect to the primary".to_owned(),
            commands: Vec::new(),
        });
    } else if !names.is_named(own) {
        found.push(Finding {
            code: Code::SynchronousNotNamed,
            severity: Severity::Error,
            what: format!("{NAMES} does not name {own}"),
            why: "commits return before their WAL is durable in the vault".to_owned(),
            hint: "name it as the last thing, when the agent streams: from then on every commit \
                   waits for it"
                .to_owned(),
            commands: with_us(),
        });
    } else if !names.always_waits_for(own) {
        found.push(Finding {
            code: Code::SynchronousNotAlways,
            severity: Severity::Error,
            what: format!("{NAMES} lets other standbys answer instead of {own}"),
            why: "some commits return before their WAL is durable in the vault".to_owned(),
            hint: "require it besides the others".to_owned(),
            commands: with_us(),
        });
    }
}

fn undesired(names: &StandbyNames, own: &str) -> Finding {
    Finding {
        code: Code::SynchronousUndesired,
        severity: Severity::Error,
        what: format!("{NAMES} names {own}, but it is to be asynchronous"),
        why: "every commit may wait for the agent, and hang while it is away".to_owned(),
        hint: "remove it, or make the store synchronous in the plan".to_owned(),
        commands: set_and_reload(NAMES, &names.without(own)),
    }
}

/// We keep WAL and never apply it: who waits for that waits for ever.
pub(super) fn remote_apply(context: &Context<'_>, found: &mut Vec<Finding>) {
    let waits = context.is_synchronous()
        || standby_names(context).is_named(&context.desired.application_name);
    if !waits || !context.is_streaming() {
        return;
    }
    let finding = |place: &str, commands: Vec<String>| Finding {
        code: Code::RemoteApply,
        severity: Severity::Error,
        what: format!("synchronous_commit is remote_apply{place}"),
        why: "the agent applies nothing, so commits wait for ever".to_owned(),
        hint: "let commits wait until WAL is durable".to_owned(),
        commands,
    };
    if context.facts.setting("synchronous_commit") == Some("remote_apply") {
        found.push(finding("", set_and_reload("synchronous_commit", "on")));
    }
    for over in &context.facts.synchronous_commit_overrides {
        if over.value == "remote_apply" {
            found.push(finding(&place(over), vec![reset(over)]));
        }
    }
}

pub(super) fn commit_level(context: &Context<'_>, found: &mut Vec<Finding>) {
    if !context.is_synchronous() {
        return;
    }
    let finding = |severity, value: &str, place: &str, commands: Vec<String>| Finding {
        code: Code::SynchronousCommitWeak,
        severity,
        what: format!("synchronous_commit is {value}{place}"),
        why: "commits return before their WAL is durable in the vault".to_owned(),
        hint: "let commits wait until WAL is durable, unless this is meant".to_owned(),
        commands,
    };
    let is_weak = |value: &str| value == "off" || value == "local";
    if let Some(value) = context.facts.setting("synchronous_commit").filter(|&value| is_weak(value))
    {
        let commands = set_and_reload("synchronous_commit", "on");
        found.push(finding(Severity::Error, value, "", commands));
    }
    for over in context.facts.synchronous_commit_overrides.iter().filter(|o| is_weak(&o.value)) {
        found.push(finding(Severity::Warning, &over.value, &place(over), vec![reset(over)]));
    }
}

fn standby_names(context: &Context<'_>) -> StandbyNames {
    // The server does not start with a value that cannot be read.
    let text = context.facts.setting(NAMES).unwrap_or_default();
    StandbyNames::parse(text).unwrap_or_default()
}

fn place(over: &SynchronousCommitOverride) -> String {
    let role = over.role.as_ref().map_or(String::new(), |role| format!(" for the role {role}"));
    let database = over.database.as_ref();
    let database = database.map_or(String::new(), |name| format!(" in the database {name}"));
    format!("{role}{database}")
}

fn reset(over: &SynchronousCommitOverride) -> String {
    const WHAT: &str = "RESET synchronous_commit;";
    match (&over.role, &over.database) {
        (Some(role), Some(database)) => format!(
            "ALTER ROLE {} IN DATABASE {} {WHAT}",
            quote_identifier(role),
            quote_identifier(database)
        ),
        (Some(role), None) => format!("ALTER ROLE {} {WHAT}", quote_identifier(role)),
        (None, Some(database)) => {
            format!("ALTER DATABASE {} {WHAT}", quote_identifier(database))
        }
        (None, None) => format!("ALTER ROLE ALL {WHAT}"),
    }
}
