//! `soter vault`: the vault itself, and who may do what with it.

use crate::context::Context;
use crate::failure::Failure;

mod init;

#[derive(Debug, clap::Subcommand)]
pub(super) enum VaultCommand {
    /// Make a vault and all its keys.
    Init(init::InitArgs),
}

pub(super) fn run(context: &Context, command: &VaultCommand) -> Result<(), Failure> {
    match command {
        VaultCommand::Init(args) => init::run(context, args),
    }
}
