//! `soter vault keygen`: a new key file, for somebody who is to be enrolled.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use soter_vault::ids::VaultId;
use soter_vault::keys::{
    AgentKey, AnyKey, CollectorKey, Identity, KeyFile, OperatorKey, Pins, PublicKey, Recipient,
    Signer,
};
use soter_vault::record::ROOTS_MAX;

use crate::context::{Context, file_failure};
use crate::failure::{Ending, Failure};

/// Make a new key file. Nobody believes it until `soter vault trust` has enrolled it.
///
/// The secret half never leaves the machine this runs on: make an agent's key on its own machine and
/// carry the public half that is printed. No file is ever overwritten.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct KeygenArgs {
    /// Who it is for.
    #[arg(value_enum)]
    kind: Kind,
    /// Where to put it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Any key file of the vault: the new one believes the same vault and roots.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["vault_id", "root"])]
    like: Option<PathBuf>,
    /// The vault's id, where no key file is at hand; `soter vault info` shows it.
    #[arg(long, value_name = "ID", requires = "root")]
    vault_id: Option<VaultId>,
    /// The root's public key, as in the plan; may be repeated.
    #[arg(long, value_name = "ed25519:…", requires = "vault_id")]
    root: Vec<PublicKey>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Writes backups and WAL of a store.
    Agent,
    /// Reads backups.
    Operator,
    /// Signs on the operators' side: verifies, retires, deletes.
    Collector,
}

#[derive(Serialize)]
struct Made {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<Recipient>,
    /// What enrols it.
    next: String,
}

pub(super) fn run(context: &Context, args: &KeygenArgs) -> Result<(), Failure> {
    let pins = pins(context, args)?;
    let (disk, file) = (&*context.disk, args.out.display().to_string());
    let signer = Signer::random(&*context.random);
    let identity = Identity::generate();
    let (public, recipient) = (signer.public(), identity.recipient());
    let (made, written) = match args.kind {
        Kind::Agent => {
            let next = format!(
                "soter vault trust add-agent NAME --store STORE --signer {public} \
                 --recipient {recipient} --root root.key --identity operator.key"
            );
            let key = AgentKey { pins, signer, identity };
            let made = Made { file, signer: Some(public), recipient: Some(recipient), next };
            (made, key.create(disk, &args.out))
        }
        Kind::Operator => {
            let key = OperatorKey { pins, identity };
            let public = key.signer().public();
            let next = format!(
                "soter vault trust add-operator NAME --recipient {recipient} --signer {public} \
                 --root root.key --identity operator.key"
            );
            let made = Made { file, signer: Some(public), recipient: Some(recipient), next };
            (made, key.create(disk, &args.out))
        }
        Kind::Collector => {
            let next = format!(
                "soter vault trust add-signer NAME --role collector --role verifier \
                 --signer {public} --root root.key"
            );
            let made = Made { file, signer: Some(public), recipient: None, next };
            (made, CollectorKey { pins, signer }.create(disk, &args.out))
        }
    };
    written.map_err(|error| file_failure(&error))?;
    context.output.data(&made, |made| {
        let signer = made.signer.map(|key| format!("\nsigner:    {key}")).unwrap_or_default();
        let recipient = made.recipient.as_ref().map(|key| format!("\nrecipient: {key}"));
        let recipient = recipient.unwrap_or_default();
        format!("made {}{signer}{recipient}\nnext: {}", made.file, made.next)
    });
    Ok(())
}

fn pins(context: &Context, args: &KeygenArgs) -> Result<Pins, Failure> {
    match (&args.like, args.vault_id) {
        (Some(path), _) => {
            let key = AnyKey::load(&*context.disk, path).map_err(|error| file_failure(&error))?;
            Ok(key.pins())
        }
        (None, Some(_)) if args.root.len() > ROOTS_MAX => {
            Err(Failure::new(Ending::Input, format!("a key believes 1 to {ROOTS_MAX} roots"))
                .hint("give fewer --root"))
        }
        (None, Some(vault)) => Ok(Pins { vault, roots: args.root.clone() }),
        (None, None) => Err(Failure::new(Ending::Input, "which vault is the key for?").hint(
            "--like FILE takes it from another key file; --vault-id and --root say it outright",
        )),
    }
}
