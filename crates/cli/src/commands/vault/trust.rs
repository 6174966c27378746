//! `soter vault trust`: who is trusted, and changes to that, which the root signs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;
use soter_vault::ids::StoreId;
use soter_vault::keys::{
    AgentDraft, Identity, KeyError, KeyFile, Operator, OperatorKey, Pins, PublicKey, Recipient,
    Role, RootKey, SignerRow, StoreDraft, StoreEnd, TrustList, publish_trust,
};
use soter_vault::wal::stored_wal;

use super::access::{VaultAccess, WholeVault};
use super::init::NewStore;
use super::people::{People, people};
use crate::context::{Context, file_failure, key_failure, log_failure};
use crate::failure::{Ending, Failure};

/// Show who is trusted, and change it. Every change is a new list that the root signs.
#[derive(Debug, clap::Subcommand)]
pub(in crate::commands) enum TrustCommand {
    /// Show the newest list.
    Show(ShowArgs),
    /// Let an agent protect stores.
    AddAgent(AddAgentArgs),
    /// Let somebody read everything.
    AddOperator(AddOperatorArgs),
    /// Let a key sign on the operators' side, for all stores.
    AddSigner(AddSignerArgs),
    /// Add a store, with the agents that protect it.
    AddStore(AddStoreArgs),
    /// End an agent or another signer: what it signs from now on is not believed.
    RemoveSigner(RemoveSignerArgs),
    /// Take a reader away: what is written from now on it cannot open.
    RemoveOperator(RemoveOperatorArgs),
}

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct ShowArgs {
    #[command(flatten)]
    access: VaultAccess,
}

/// What every change needs.
#[derive(Debug, clap::Args)]
struct Change {
    #[command(flatten)]
    access: VaultAccess,
    /// The root's key file.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
}

/// What a change needs that shares keys which exist.
#[derive(Debug, clap::Args)]
struct Sharing {
    /// An operator's key file: it opens what the new one is to open.
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct AddAgentArgs {
    /// A name for people: the machine.
    name: String,
    /// The store it protects; may be repeated.
    #[arg(long = "store", value_name = "NAME", required = true)]
    stores: Vec<String>,
    /// The public half of its signer.
    #[arg(long, value_name = "ed25519:…")]
    signer: PublicKey,
    /// The public half of its identity.
    #[arg(long, value_name = "age1…")]
    recipient: Recipient,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    sharing: Sharing,
}

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct AddOperatorArgs {
    /// A name for people.
    name: String,
    /// The public half of its identity.
    #[arg(long, value_name = "age1…")]
    recipient: Recipient,
    /// What it signs plans and runs with; without it, it only reads.
    #[arg(long, value_name = "ed25519:…")]
    signer: Option<PublicKey>,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    sharing: Sharing,
}

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct AddSignerArgs {
    /// A name for people.
    name: String,
    /// The public half of its signer.
    #[arg(long, value_name = "ed25519:…")]
    signer: PublicKey,
    /// What it may do: collector, verifier, copier, operator; may be repeated.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<SideRole>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct AddStoreArgs {
    /// Its name, as the plan calls it; of an etcd with its kind: `cluster:etcd`.
    #[arg(value_name = "NAME[:KIND]")]
    store: NewStore,
    /// An agent that is enrolled already, by its name; may be repeated.
    #[arg(long = "agent", value_name = "NAME")]
    agents: Vec<String>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct RemoveSignerArgs {
    /// Its name, or its key if several have the name.
    who: String,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct RemoveOperatorArgs {
    /// Its name, or its recipient if several have the name.
    who: String,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    sharing: Sharing,
}

/// A role of the operators' side; an agent needs more than a role.
#[derive(Debug, Clone, Copy)]
struct SideRole(Role);

impl FromStr for SideRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "collector" => Ok(Self(Role::Collector)),
            "verifier" => Ok(Self(Role::Verifier)),
            "copier" => Ok(Self(Role::Copier)),
            "operator" => Ok(Self(Role::Operator)),
            "agent" => Err("an agent is added with add-agent".to_owned()),
            _ => Err("the roles are collector, verifier, copier and operator".to_owned()),
        }
    }
}

/// What was done.
#[derive(Serialize)]
struct Published {
    done: String,
    next: String,
    people: People,
}

pub(super) fn run(context: &Context, command: &TrustCommand) -> Result<(), Failure> {
    match command {
        TrustCommand::Show(args) => {
            let whole = args.access.open(context, None)?;
            context.output.data(&people(whole.open.trust().newest()), People::in_words);
            Ok(())
        }
        TrustCommand::AddAgent(args) => add_agent(context, args),
        TrustCommand::AddOperator(args) => {
            let desk = Desk::open(context, &args.change, Some(&args.sharing))?;
            desk.check_name_free(&args.name)?;
            let new = Operator {
                name: args.name.clone(),
                recipient: args.recipient.clone(),
                signer: args.signer,
            };
            let operator = desk.operator()?.clone();
            let next = "test the new key: soter restore … --identity FILE --dry-run";
            desk.publish(
                context,
                &format!("operator {} reads everything", args.name),
                next,
                |list| list.add_operator(new, &operator),
            )
        }
        TrustCommand::AddSigner(args) => add_signer(context, args),
        TrustCommand::AddStore(args) => add_store(context, args),
        TrustCommand::RemoveSigner(args) => remove_signer(context, args),
        TrustCommand::RemoveOperator(args) => remove_operator(context, args),
    }
}

fn add_agent(context: &Context, args: &AddAgentArgs) -> Result<(), Failure> {
    let desk = Desk::open(context, &args.change, Some(&args.sharing))?;
    let draft =
        AgentDraft { name: args.name.clone(), key: args.signer, recipient: args.recipient.clone() };
    let known = desk.list().signers.iter().find(|row| row.key == args.signer);
    if known.is_none_or(|row| row.name != args.name) {
        desk.check_name_free(&args.name)?;
    }
    let stores = desk.stores(&args.stores)?;
    if let Some((name, _)) =
        stores.iter().find(|(_, id)| desk.list().may(&args.signer, Role::Agent, *id))
    {
        return Err(Failure::new(
            Ending::Input,
            format!("this agent is enrolled for {name} already"),
        ));
    }
    let ends = desk.ends(context)?;
    let operator = desk.operator()?.clone();
    let done = format!("agent {} may protect {}", args.name, args.stores.join(", "));
    let next = "start it; if another agent held the store: soter agent --take-over";
    desk.publish(context, &done, next, |list| {
        for (_, id) in &stores {
            let from = ends.get(id).map_or(0, |end| end.entries);
            list.add_agent(&draft, *id, from, &operator)?;
        }
        Ok(())
    })
}

fn add_signer(context: &Context, args: &AddSignerArgs) -> Result<(), Failure> {
    let desk = Desk::open(context, &args.change, None)?;
    desk.check_name_free(&args.name)?;
    let ends = desk.ends(context)?;
    let heads = ends.into_iter().map(|(store, end)| (store, end.entries)).collect();
    let roles: Vec<Role> = args.roles.iter().map(|role| role.0).collect();
    let done = format!("{} may sign for all stores", args.name);
    let next = "nothing more: its key counts from now on";
    desk.publish(context, &done, next, |list| {
        list.add_signer(&args.name, args.signer, &roles, &heads);
        Ok(())
    })
}

fn add_store(context: &Context, args: &AddStoreArgs) -> Result<(), Failure> {
    let desk = Desk::open(context, &args.change, None)?;
    let mut agents = Vec::new();
    for name in &args.agents {
        let row = desk.signer(name)?;
        let Some(recipient) = row.recipient.clone().filter(|_| row.roles.contains(&Role::Agent))
        else {
            return Err(Failure::new(Ending::Input, format!("{name} is no agent"))
                .hint("enrol one for an old store, or add the store without and then the agent"));
        };
        agents.push(AgentDraft { name: row.name.clone(), key: row.key, recipient });
    }
    let NewStore { name, kind } = args.store.clone();
    let done = format!("the vault keeps {name}");
    let draft = StoreDraft { name, kind, agents };
    let next = "name the store in the plan, and start its agent";
    desk.publish(context, &done, next, |list| list.add_store(&*context.random, &draft).map(|_| ()))
}

fn remove_signer(context: &Context, args: &RemoveSignerArgs) -> Result<(), Failure> {
    let desk = Desk::open(context, &args.change, None)?;
    let (name, key) = {
        let row = desk.signer(&args.who)?;
        (row.name.clone(), row.key)
    };
    let ends = desk.ends(context)?;
    let done = format!("{name} is not believed from now on; what it signed before still is");
    let next = "take its credential for the vault away, too; what it could read it still can";
    desk.publish(context, &done, next, |list| list.remove_signer(&key, &ends))
}

fn remove_operator(context: &Context, args: &RemoveOperatorArgs) -> Result<(), Failure> {
    let desk = Desk::open(context, &args.change, Some(&args.sharing))?;
    let fits = |row: &&Operator| row.name == args.who || row.recipient.to_string() == args.who;
    let mut fitting = desk.list().operators.iter().filter(fits);
    let (row, another) = (fitting.next(), fitting.next());
    let row = match (row, another) {
        (Some(row), None) => row.clone(),
        (found, _) => return Err(nobody_or_several(found.is_some(), &args.who)),
    };
    if row.recipient == desk.operator()?.recipient() {
        return Err(Failure::new(Ending::Input, "this is the operator whose key file was given")
            .hint("give the --identity of one who stays"));
    }
    let operator = desk.operator()?.clone();
    let done = format!("{} cannot open what is written from now on", row.name);
    let next = "restart the agents, so that they write with the new keys at once; whoever kept a \
                copy of an older list can still open what was written before";
    desk.publish(context, &done, next, |list| list.remove_operator(&row.recipient, &operator))
}

/// The newest list, with the keys that change it.
struct Desk {
    whole: WholeVault,
    root: RootKey,
    operator: Option<Identity>,
}

impl Desk {
    fn open(
        context: &Context,
        change: &Change,
        sharing: Option<&Sharing>,
    ) -> Result<Self, Failure> {
        let disk = &*context.disk;
        let root = RootKey::load(disk, &change.root).map_err(|error| file_failure(&error))?;
        let operator = sharing.map(|sharing| OperatorKey::load(disk, &sharing.identity));
        let operator = operator.transpose().map_err(|error| file_failure(&error))?;
        // An operator's file pins every root there is, the root's own only itself.
        let own = Pins { vault: root.vault, roots: vec![root.signer.public()] };
        let pins = operator.as_ref().map_or(own, |key| key.pins.clone());
        let whole = change.access.open(context, Some(pins))?;
        if root.vault != whole.pins.vault || !whole.pins.roots.contains(&root.signer.public()) {
            let public = root.signer.public();
            let what = format!("{public} is no root of vault {}", whole.pins.vault);
            return Err(Failure::new(Ending::Input, what)
                .hint("give the root's key file that was made with this vault"));
        }
        Ok(Self { whole, root, operator: operator.map(|key| key.identity) })
    }

    fn list(&self) -> &TrustList {
        self.whole.open.trust().newest()
    }

    fn operator(&self) -> Result<&Identity, Failure> {
        self.operator.as_ref().ok_or_else(|| {
            Failure::new(Ending::Input, "an operator's key is needed").hint("--identity FILE")
        })
    }

    fn check_name_free(&self, name: &str) -> Result<(), Failure> {
        let list = self.list();
        let is_taken = list.operators.iter().any(|row| row.name == name)
            || list.signers.iter().any(|row| row.name == name);
        if is_taken {
            return Err(Failure::new(
                Ending::Input,
                format!("there is somebody called {name} already"),
            )
            .hint("take another name; `soter vault trust show` lists them"));
        }
        Ok(())
    }

    fn stores(&self, names: &[String]) -> Result<Vec<(String, StoreId)>, Failure> {
        let of = |name: &String| {
            crate::context::store_id(&self.whole.open, name).map(|id| (name.clone(), id))
        };
        names.iter().map(of).collect()
    }

    fn signer(&self, who: &str) -> Result<&SignerRow, Failure> {
        let is_open = |row: &&SignerRow| row.stores.iter().any(|it| it.until.is_none());
        let fits = |row: &&SignerRow| row.name == who || row.key.to_string() == who;
        let mut fitting = self.list().signers.iter().filter(fits).filter(is_open);
        match (fitting.next(), fitting.next()) {
            (Some(row), None) => Ok(row),
            (found, _) => Err(nobody_or_several(found.is_some(), who)),
        }
    }

    /// What each store has now.
    fn ends(&self, context: &Context) -> Result<BTreeMap<StoreId, StoreEnd>, Failure> {
        let mut ends = BTreeMap::new();
        for (name, log) in self.whole.logs(context)? {
            let wal = stored_wal(&log)
                .map_err(|error| log_failure(&error).during(&format!("see what WAL {name} has")))?;
            let entries = log.catalogue().next_sequence();
            ends.insert(log.catalogue().place().store, StoreEnd { entries, wal });
        }
        Ok(ends)
    }

    /// Changes the list, signs and publishes it.
    fn publish(
        &self,
        context: &Context,
        done: &str,
        next: &str,
        change: impl FnOnce(&mut TrustList) -> Result<(), KeyError>,
    ) -> Result<(), Failure> {
        let mut list = self.list().clone();
        change(&mut list).map_err(|error| key_failure(&error))?;
        let (objects, clock) = (self.whole.objects(), &*context.clock);
        let trust = publish_trust(&*objects, clock, &self.root, self.whole.open.trust(), list)
            .map_err(|error| key_failure(&error))?;
        let people = people(trust.newest());
        let published = Published { done: done.to_owned(), next: next.to_owned(), people };
        context.output.data(&published, |published| {
            let Published { done, next, people } = published;
            format!("{done}\n{}\nnext: {next}", people.in_words())
        });
        Ok(())
    }
}

fn nobody_or_several(is_several: bool, who: &str) -> Failure {
    let what = if is_several {
        format!("several are called {who}")
    } else {
        format!("nobody who is trusted is called {who}")
    };
    Failure::new(Ending::Input, what).hint("`soter vault trust show` lists names and keys")
}
