//! `soter vault`: the vault itself, and who may do what with it.

use crate::context::Context;
use crate::failure::Failure;

mod access;
mod collect;
mod info;
mod init;
mod keygen;
mod people;
mod trust;
mod verify;

#[derive(Debug, clap::Subcommand)]
pub(super) enum VaultCommand {
    /// Make a vault and all its keys.
    Init(init::InitArgs),
    /// Show what a vault is, what lies in it, and who may do what.
    Info(info::InfoArgs),
    /// Make a new key file.
    Keygen(keygen::KeygenArgs),
    /// Show who is trusted; enrol and remove people, agents and stores.
    #[command(subcommand)]
    Trust(trust::TrustCommand),
    /// Retire backups that the plan does not keep, and delete what no backup needs.
    Collect(collect::CollectArgs),
    /// Verify everything in a vault.
    Verify(verify::VaultVerifyArgs),
}

pub(super) fn run(context: &Context, command: &VaultCommand) -> Result<(), Failure> {
    match command {
        VaultCommand::Init(args) => init::run(context, args),
        VaultCommand::Info(args) => info::run(context, args),
        VaultCommand::Keygen(args) => keygen::run(context, args),
        VaultCommand::Trust(command) => trust::run(context, command),
        VaultCommand::Collect(args) => collect::run(context, args),
        VaultCommand::Verify(args) => verify::run(context, args),
    }
}
