//! Whether the server keeps WAL for us until we have it, and no longer than its disk bears.

use super::{Code, Context, Finding, Severity, set, set_and_reload};
use crate::server::facts::SlotState;
use crate::server::quote::quote_literal;

/// Less than this, and a short absence of the agent on a busy server costs the slot: at 50 MB/s of
/// WAL it is 20 seconds.
const KEEP_MEGABYTES_MIN: i64 = 1024;

/// What is proposed where nobody has decided: to be adapted to the disk.
const KEEP_PROPOSED: &str = "32GB";

pub(super) fn wal_senders(context: &Context<'_>, found: &mut Vec<Finding>) {
    let Some(max) = context.number("max_wal_senders") else { return };
    if !context.is_streaming() || !are_senders_used_up(context) {
        return;
    }
    found.push(Finding {
        code: Code::WalSendersExhausted,
        severity: Severity::Error,
        what: format!("all {max} of max_wal_senders are in use"),
        why: "WAL cannot be streamed".to_owned(),
        hint: "raise it and restart PostgreSQL".to_owned(),
        commands: set("max_wal_senders", &(max + 4).to_string()),
    });
}

/// Whether others have all connections that may receive WAL.
pub(super) fn are_senders_used_up(context: &Context<'_>) -> bool {
    let receivers = &context.facts.receivers;
    let is_connected = receivers
        .iter()
        .any(|receiver| receiver.application_name == context.desired.application_name);
    let used = i64::try_from(receivers.len()).unwrap_or(i64::MAX);
    !is_connected && context.number("max_wal_senders").is_some_and(|max| used >= max)
}

pub(super) fn wal_sender_timeout(context: &Context<'_>, found: &mut Vec<Finding>) {
    if !context.is_streaming() || context.number("wal_sender_timeout") != Some(0) {
        return;
    }
    found.push(Finding {
        code: Code::WalSenderTimeoutOff,
        severity: Severity::Warning,
        what: "wal_sender_timeout is off".to_owned(),
        why: "an agent whose machine died holds the slot, and its successor waits for ever"
            .to_owned(),
        hint: "set it".to_owned(),
        commands: set_and_reload("wal_sender_timeout", "60s"),
    });
}

pub(super) fn slots(context: &Context<'_>, found: &mut Vec<Finding>) {
    let slots = &context.facts.slots;
    let Some(max) = context.number("max_replication_slots") else { return };
    let has_own = context.facts.slot(context.desired.slot.as_str()).is_some();
    let used = i64::try_from(slots.len()).unwrap_or(i64::MAX);
    if !context.is_streaming() || has_own || used < max {
        return;
    }
    let unused = slots.iter().filter(|slot| slot.active_process.is_none());
    let names: Vec<&str> = unused.map(|slot| slot.name.as_str()).collect();
    let drop_one = match names.as_slice() {
        [] => String::new(),
        names => format!(", or drop one that nobody uses ({})", names.join(", ")),
    };
    found.push(Finding {
        code: Code::SlotsExhausted,
        severity: Severity::Error,
        what: format!("all {max} of max_replication_slots are in use"),
        why: "without a slot of our own the server removes WAL before we have it".to_owned(),
        hint: format!("raise it and restart PostgreSQL{drop_one}"),
        commands: set("max_replication_slots", &(max + 4).to_string()),
    });
}

pub(super) fn own_slot(context: &Context<'_>, found: &mut Vec<Finding>) {
    let name = context.desired.slot.as_str();
    let Some(slot) = context.facts.slot(name).filter(|_| context.is_streaming()) else { return };
    let drop_slot = format!("SELECT pg_drop_replication_slot({});", quote_literal(name));
    if !slot.physical {
        found.push(Finding {
            code: Code::SlotNotPhysical,
            severity: Severity::Error,
            what: format!("the replication slot {name} is a logical one"),
            why: "it belongs to something else, and physical WAL cannot be streamed from it"
                .to_owned(),
            hint: "give the slot of this store another name in the plan".to_owned(),
            commands: Vec::new(),
        });
        return;
    }
    match slot.state {
        SlotState::Lost => found.push(Finding {
            code: Code::SlotLost,
            severity: Severity::Error,
            what: format!("the replication slot {name} is lost"),
            why: "WAL was removed before we had it: no recovery to a time after the gap until the \
                  next base backup"
                .to_owned(),
            hint: "drop it; the agent makes it anew, records the gap and takes a base backup"
                .to_owned(),
            commands: vec![drop_slot],
        }),
        SlotState::Unreserved => found.push(Finding {
            code: Code::SlotInDanger,
            severity: Severity::Error,
            what: format!("the replication slot {name} is about to be lost"),
            why: "it is more than max_slot_wal_keep_size behind: the next checkpoint may remove \
                  WAL that we do not have"
                .to_owned(),
            hint: "allow more, and see why the agent is behind".to_owned(),
            commands: set_and_reload("max_slot_wal_keep_size", KEEP_PROPOSED),
        }),
        SlotState::Idle | SlotState::Reserved | SlotState::Extended => {}
    }
}

pub(super) fn keep_size(context: &Context<'_>, found: &mut Vec<Finding>) {
    if !context.is_streaming() {
        return;
    }
    match context.number("max_slot_wal_keep_size") {
        Some(-1) => found.push(Finding {
            code: Code::SlotKeepUnlimited,
            severity: Severity::Warning,
            what: "max_slot_wal_keep_size is unlimited".to_owned(),
            why: "if the agent is away for long, WAL fills the disk and the server stops"
                .to_owned(),
            hint: "set what the disk of pg_wal can spare".to_owned(),
            commands: set_and_reload("max_slot_wal_keep_size", KEEP_PROPOSED),
        }),
        Some(megabytes) if megabytes < KEEP_MEGABYTES_MIN => found.push(Finding {
            code: Code::SlotKeepSmall,
            severity: Severity::Warning,
            what: format!("max_slot_wal_keep_size is only {megabytes} MB"),
            why: "a short absence of the agent loses the slot and leaves a gap".to_owned(),
            hint: "set what the disk of pg_wal can spare".to_owned(),
            commands: set_and_reload("max_slot_wal_keep_size", KEEP_PROPOSED),
        }),
        _ => {}
    }
}
