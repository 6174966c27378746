//! The commands: one file each, with its arguments and a function `run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) use run::launcher;

mod adopt;
mod agent;
mod backup;
mod backups;
mod cheatsheet;
mod check;
mod demo;
mod doc;
mod doctor;
mod explain;
mod graph;
mod import;
mod init;
mod journal;
mod objectives;
mod plan;
mod recover;
mod restore;
mod run;
mod runs;
mod schema;
mod status;
mod store;
mod vault;
mod verify;
mod version;
mod wal;
mod what_if;

/// Soter turns a disaster recovery plan into software: it protects the stores the plan names,
/// recovers them, and measures what it promises.
///
/// Exit codes: 0 done, 1 no (findings, not there), 2 usage or input, 3 failed, 4 superseded,
/// 5 left: the run is not over.
#[derive(Debug, Parser)]
#[command(name = "soter", version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// The plan: a file, or a directory whose YAML files are one plan.
    #[arg(long, global = true, value_name = "PATH", default_value = "soter.yaml")]
    pub(crate) plan: PathBuf,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but the result, warnings and errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give a restored cluster a life of its own in its store's history, so that it is protected.
    Adopt(adopt::AdoptArgs),
    /// Protect a store: stream its WAL into the vault, make backups when they are due.
    Agent(agent::AgentArgs),
    /// Take a base backup of a cluster that runs on this machine.
    Backup(backup::BackupArgs),
    /// List the backups of a store.
    Backups(backups::BackupsArgs),
    /// Print the quick reference for a disaster: one page for the wall, the envelope, the fax.
    Cheatsheet(cheatsheet::CheatsheetArgs),
    /// Read a plan and say what would fail when it is needed.
    Check(check::CheckArgs),
    /// Show it on a real cluster made for it: protect, lose, bring back, measure.
    Demo(demo::DemoArgs),
    /// Print the plan as the document people expect, derived and never edited.
    Doc(doc::DocArgs),
    /// Say what keeps a store from being protected, and how to mend it.
    Doctor(doctor::DoctorArgs),
    /// Explain a finding.
    Explain(explain::ExplainArgs),
    /// Write a disaster recovery document as a plan in YAML.
    Import(import::ImportArgs),
    /// Show the services of a plan by tier, with critical path and slack.
    Graph(graph::GraphArgs),
    /// Write a plan from a running cluster.
    Init(init::InitArgs),
    /// Prove that the journal of a run is as it was written.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Hold what a plan promises against what it adds up to.
    Objectives(objectives::ObjectivesArgs),
    /// Put the plan into its vaults, and take it from there.
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Recover from a disaster as a scenario of the plan says, or try that on another target.
    Recover(recover::RecoverArgs),
    /// Bring a cluster back, in a new directory.
    Restore(Box<restore::RestoreArgs>),
    /// Watch a run, answer it, approve its steps, go on with it.
    #[command(subcommand)]
    Run(run::RunCommand),
    /// List the runs of this machine.
    Runs(runs::RunsArgs),
    /// Print the JSON Schema of a plan's file, from which editors complete.
    Schema,
    /// Say how the protection of a store stands.
    Status(status::StatusArgs),
    /// Manage a store.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Make a vault, look after it, and say who may do what.
    #[command(subcommand)]
    Vault(vault::VaultCommand),
    /// Verify backups and WAL in the vault.
    Verify(verify::VerifyArgs),
    /// Take WAL from the server, or give it back.
    #[command(subcommand)]
    Wal(wal::WalCommand),
    /// Print the version of this binary and of the formats it reads and writes.
    Version,
    /// Take failure domains away: who comes back, how, when, with what loss.
    WhatIf(what_if::WhatIfArgs),
}

/// Runs the command that was asked for.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let output = Output::new(arguments.global.json, arguments.global.quiet);
    let context = Context::new(output, arguments.global.plan);
    match arguments.command {
        Command::Adopt(args) => adopt::run(&context, &args),
        Command::Agent(args) => agent::run(&context, &args),
        Command::Backup(args) => backup::run(&context, &args),
        Command::Backups(args) => backups::run(&context, &args),
        Command::Cheatsheet(args) => cheatsheet::run(&context, &args),
        Command::Check(args) => check::run(&context, &args),
        Command::Demo(args) => demo::run(&context, &args),
        Command::Doc(args) => doc::run(&context, &args),
        Command::Doctor(args) => doctor::run(&context, &args),
        Command::Explain(args) => explain::run(&context, &args),
        Command::Import(args) => import::run(&context, &args),
        Command::Graph(args) => graph::run(&context, &args),
        Command::Init(args) => init::run(&context, &args),
        Command::Objectives(args) => objectives::run(&context, &args),
        Command::Plan(command) => plan::run(&context, &command),
        Command::Restore(args) => restore::run(&context, &args),
        Command::Recover(args) => recover::run(&context, &args),
        Command::Journal(command) => journal::run(&context, &command),
        Command::Run(command) => run::run(&context, &command),
        Command::Runs(args) => runs::run(&context, &args),
        Command::Schema => schema::run(&context),
        Command::Status(args) => status::run(&context, &args),
        Command::Store(command) => store::run(&context, &command),
        Command::Vault(command) => vault::run(&context, &command),
        Command::Verify(args) => verify::run(&context, &args),
        Command::Wal(command) => wal::run(&context, &command),
        Command::Version => version::run(&context.output),
        Command::WhatIf(args) => what_if::run(&context, &args),
    }?;
    context.output.finish()
}

/// Whether this is `soter … wal fetch …`, whose exit codes PostgreSQL interprets.
pub(crate) fn is_wal_fetch(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().skip(1);
    words.by_ref().any(|word| word == "wal") && words.any(|word| word == "fetch")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    /// The commands of a guide, one a line, without comments.
    fn commands_of(guide: &str) -> Vec<Vec<&str>> {
        let mut commands = Vec::new();
        let mut lines = guide.lines();
        while let Some(line) = lines.next() {
            if !line.starts_with("    soter ") || line.contains('…') {
                continue;
            }
            let mut words: Vec<&str> = line.split_whitespace().collect();
            while words.last() == Some(&"\\") {
                words.pop();
                words.extend(lines.next().unwrap_or_default().split_whitespace());
            }
            commands.push(words);
        }
        commands
    }

    #[test]
    fn the_guide_to_etcd_says_only_what_is_understood() {
        let commands = commands_of(include_str!("../../../docs/operating/etcd.md"));
        assert!(commands.len() >= 9, "{commands:#?}");
        for words in commands {
            let understood = Arguments::try_parse_from(&words);
            assert!(understood.is_ok(), "{words:?}: {}", understood.err().unwrap());
        }
    }

    #[test]
    fn a_fetch_is_known_before_the_line_is_understood() {
        let check = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            is_wal_fetch(&words)
        };
        assert!(check("soter wal fetch a b"));
        assert!(check("soter --plan x wal fetch --nonsense"));
        assert!(!check("soter wal push a"));
        assert!(!check("soter backup orders"));
    }
}
