//! `soter vault init`: making a vault with all its keys.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;
use soter_vault::ids::VaultId;
use soter_vault::keys::{
    AgentDraft, AgentKey, CollectorKey, Identity, KeyFile, OperatorCount, OperatorKey, Pins, Role,
    RootKey, Signer, SignerDraft, StoreDraft, VaultDraft, Writers, create_vault,
};
use soter_vault::objects::create_url;
use soter_world::durable;

use crate::context::{Context, file_failure, key_failure};
use crate::failure::{Ending, Failure};

/// Make a vault and all its keys. No key file is ever overwritten.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct InitArgs {
    /// Where the vault is to be, such as file:///srv/soter.
    #[arg(long)]
    url: String,
    /// The directory the key files are put into.
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// The stores it is to keep, by their names in the plan; of an etcd with its kind: `cluster:etcd`.
    #[arg(long = "store", value_name = "NAME[:KIND]", required = true)]
    stores: Vec<NewStore>,
    /// Make one operator's key only: if it gets lost, so is every backup.
    #[arg(long)]
    one_key: bool,
}

/// A store that a vault is to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct NewStore {
    /// What the plan calls it.
    pub(in crate::commands) name: String,
    /// What it is.
    pub(in crate::commands) kind: String,
}

/// The kinds of stores that are kept, the usual one first.
const KINDS: [&str; 2] = ["postgres", "etcd"];

impl FromStr for NewStore {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, kind) = text.split_once(':').unwrap_or((text, KINDS[0]));
        if KINDS.contains(&kind) {
            return Ok(Self { name: name.to_owned(), kind: kind.to_owned() });
        }
        Err(format!("{kind:?} is no kind of store that is kept: {}", KINDS.join(", ")))
    }
}

/// What the first key of the operators' side signs: everything that agents do not. Separating the
/// roles later is a new trust list.
const COLLECTOR_ROLES: [Role; 4] = [Role::Collector, Role::Verifier, Role::Copier, Role::Operator];

#[derive(Serialize)]
struct Made {
    vault: VaultId,
    root: String,
    files: Vec<String>,
}

pub(super) fn run(context: &Context, args: &InitArgs) -> Result<(), Failure> {
    let disk = &*context.disk;
    let random = &*context.random;
    let objects = create_url(&args.url, std::sync::Arc::clone(&context.disk))
        .map_err(|error| Failure::of(Ending::Input, &error).during("make the vault"))?;
    durable::create_dir_all_durable(disk, &args.keys).map_err(|error| {
        Failure::of(Ending::Failed, &error).during(&format!("make {}", args.keys.display()))
    })?;
    let vault = VaultId::random(random);
    let root = RootKey { vault, signer: Signer::random(random) };
    let pins = Pins { vault, roots: vec![root.signer.public()] };
    let agent = AgentKey {
        pins: pins.clone(),
        signer: Signer::random(random),
        identity: Identity::generate(),
    };
    let collector = CollectorKey { pins: pins.clone(), signer: Signer::random(random) };
    let operator_count = if args.one_key { 1 } else { 2 };
    let operators: Vec<OperatorKey> = (0..operator_count)
        .map(|_| OperatorKey { pins: pins.clone(), identity: Identity::generate() })
        .collect();

    let mut files = Vec::new();
    let mut place = |name: String| {
        let path = args.keys.join(name);
        files.push(path.display().to_string());
        path
    };
    root.create(disk, &place("root.key".to_owned())).map_err(|e| file_failure(&e))?;
    agent.create(disk, &place("agent.key".to_owned())).map_err(|e| file_failure(&e))?;
    collector.create(disk, &place("collector.key".to_owned())).map_err(|e| file_failure(&e))?;
    for (number, operator) in operators.iter().enumerate() {
        let path = place(format!("operator-{}.key", number + 1));
        operator.create(disk, &path).map_err(|e| file_failure(&e))?;
    }
    let draft = draft(args, vault, &operators, &agent, &collector);
    create_vault(&*objects, &*context.clock, random, &root, &draft)
        .map_err(|error| key_failure(&error))?;
    let made = Made { vault, root: root.signer.public().to_string(), files };
    context.output.data(&made, |made| {
        format!(
            "vault {} made at {}\n\
             in the plan:   vaults: {{ main: {{ url: \"{}\", keys: {{ root: \"{}\" }} }} }}\n\
             root.key       signs who is trusted: keep it offline\n\
             agent.key      goes to the database's machine, as /etc/soter/agent.key\n\
             operator-N.key reads backups, signs plans and runs: keep each in a safe place of its own\n\
             collector.key  signs what is verified, held, retired and deleted: keep it off the \
             database's machine\n\
             files: {}",
            made.vault,
            args.url,
            args.url,
            made.root,
            made.files.join(" ")
        )
    });
    Ok(())
}

fn draft(
    args: &InitArgs,
    vault: VaultId,
    operators: &[OperatorKey],
    agent: &AgentKey,
    collector: &CollectorKey,
) -> VaultDraft {
    let enrolled = AgentDraft {
        name: "agent".to_owned(),
        key: agent.signer.public(),
        recipient: agent.identity.recipient(),
    };
    let numbered = operators.iter().enumerate();
    let operator_rows = numbered.map(|(number, key)| key.row(&format!("operator-{}", number + 1)));
    let stores = args.stores.iter().map(|store| StoreDraft {
        name: store.name.clone(),
        kind: store.kind.clone(),
        agents: vec![enrolled.clone()],
    });
    let operator_count =
        if args.one_key { OperatorCount::OneAccepted } else { OperatorCount::AtLeastTwo };
    VaultDraft {
        vault,
        operators: operator_rows.collect(),
        operator_count,
        signers: vec![SignerDraft {
            name: "collector".to_owned(),
            key: collector.signer.public(),
            roles: COLLECTOR_ROLES.to_vec(),
        }],
        stores: stores.collect(),
        writers: Writers::Many,
    }
}
