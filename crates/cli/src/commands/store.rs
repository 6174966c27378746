//! `soter store`: what a store leaves in its server.

use soter_postgres::agent::ask_status;
use soter_postgres::agent::socket_in;
use soter_postgres::replication::{Refusal, ReplicationClient};
use soter_postgres::server::{ServerFacts, StandbyNames};
use soter_world::Stop;

use super::agent::{connection, slot, state_directory};
use crate::context::{Context, postgres};
use crate::failure::{Ending, Failure};

#[derive(Debug, clap::Subcommand)]
pub(super) enum StoreCommand {
    /// Let go of a server: drop the replication slot, which makes it keep WAL.
    Remove(RemoveArgs),
}

/// Let go of a server: drop the replication slot, which makes it keep WAL. Nothing in a vault is
/// touched.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// The store, as the plan calls it.
    store: String,
}

/// What was done.
#[derive(serde::Serialize)]
struct Removed {
    slot: String,
    was_there: bool,
    stays: Vec<String>,
}

pub(super) fn run(context: &Context, command: &StoreCommand) -> Result<(), Failure> {
    let StoreCommand::Remove(args) = command;
    let plan = context.plan()?;
    let (name, store) = context.postgres_store(&plan, Some(&args.store))?;
    let state = state_directory(name, store);
    if let Ok(Some(status)) = ask_status(&socket_in(&state)) {
        let process = status.process;
        return Err(Failure::new(Ending::Input, format!("its agent runs (process {process})"))
            .hint("stop it first: the slot is in use"));
    }
    let connection = connection(context, store)?;
    let slot = slot(store)?;
    let failed = |error: &dyn std::error::Error| Failure::new(Ending::Failed, error.to_string());
    let mut sql = connection.connect_sql().map_err(|error| {
        failed(&error).during("connect to the server").hint("without it the slot cannot be dropped")
    })?;
    let facts = ServerFacts::read(&mut sql).map_err(|error| failed(&error))?;
    drop(sql);
    let names = facts.setting("synchronous_standby_names").unwrap_or_default();
    let names = StandbyNames::parse(names).unwrap_or_default();
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let client = ReplicationClient::connect(&connection, &stop);
    let mut client = client.map_err(|error| Failure::of(Ending::Failed, &error))?;
    let was_there = match client.drop_slot(&slot) {
        Ok(()) => true,
        Err(error) if error.refusal() == Some(Refusal::Missing) => false,
        Err(error) if error.refusal() == Some(Refusal::SlotActive) => {
            return Err(Failure::of(Ending::Input, &error)
                .hint("an agent streams from it: stop that one first"));
        }
        Err(error) => return Err(Failure::of(Ending::Failed, &error)),
    };
    let application_name = connection.application_name.as_str();
    if names.is_named(application_name) {
        let without = names.without(application_name);
        context.output.warn(&format!(
            "commits wait for {application_name} for ever now; run ALTER SYSTEM SET \
             synchronous_standby_names = '{}'; SELECT pg_reload_conf();",
            without.replace('\'', "''")
        ));
    }
    let vault = store.vault().map(ToString::to_string).unwrap_or_default();
    let removed = Removed {
        slot: slot.to_string(),
        was_there,
        stays: vec![
            format!("all backups and WAL, in the vault {vault}"),
            format!("the agent's state, in {}", state.display()),
            format!(
                "the marker soter.incarnation, in {}",
                postgres(store).data_directory.display()
            ),
            "the plan's entry and the agent's key".to_owned(),
        ],
    };
    context.output.data(&removed, |removed| {
        let slot = &removed.slot;
        let done = if removed.was_there {
            format!("slot {slot} is dropped: the server keeps no more WAL for {name}")
        } else {
            format!("slot {slot} was not there: the server keeps no WAL for {name}")
        };
        let stays = removed.stays.iter().map(|what| format!("  {what}"));
        [done, "what stays:".to_owned()].into_iter().chain(stays).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}
