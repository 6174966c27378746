//! `soter init`: a plan from a running cluster.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use soter_plan::{AGENT_KEY_DEFAULT, Connection, Facts, PublicKey, StoreName, VaultUrl, WalMode};
use soter_postgres::connection::ConnectionInfo;
use soter_postgres::server::ServerFacts;
use soter_vault::keys::{AgentKey, KeyFile};
use soter_world::{Disk, durable};

use crate::context::{Context, OpenVault, file_failure, key_failure};
use crate::failure::{Ending, Failure};

/// Anybody may read a plan: it holds no secrets.
const PLAN_MODE: u32 = 0o644;

/// What a vault is called if nobody has said.
const VAULT_NAME: &str = "main";

/// Write a plan from a running cluster, as the server's user.
///
/// The cluster is asked for its data directory, the vault for its stores, the agent's key file for
/// whom to believe. The plan goes to where --plan says; one that is there is never overwritten.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// How to reach the cluster, such as "host=/var/run/postgresql user=postgres". Passwords are
    /// written as password=${file:/path} or password=${env:NAME}.
    #[arg(long, value_name = "CONNECTION")]
    connection: String,
    /// The vault, such as file:///srv/soter.
    #[arg(long, value_name = "URL")]
    vault: String,
    /// The agent's key file on this machine.
    #[arg(long, value_name = "FILE", default_value = AGENT_KEY_DEFAULT)]
    key: PathBuf,
    /// The store, as the vault calls it, if it keeps several.
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
    /// Let a commit return only when its WAL is in the vault.
    #[arg(long)]
    synchronous: bool,
}

#[derive(Serialize)]
struct Written {
    plan: PathBuf,
    store: String,
    data_directory: String,
    version: u16,
}

pub(super) fn run(context: &Context, args: &InitArgs) -> Result<(), Failure> {
    let path = &context.plan_path;
    refuse_existing(context, path)?;
    let url: VaultUrl =
        args.vault.parse().map_err(|error: soter_plan::UrlError| mistake("--vault", &error))?;
    let connection = Connection::parse(&args.connection).map_err(|error| {
        mistake("--connection", &error)
            .hint("such as host=/var/run/postgresql user=postgres; secrets only by reference")
    })?;
    let key = AgentKey::load(&*context.disk, &args.key).map_err(|error| file_failure(&error))?;
    let vault = context.open_vault(&args.vault, &key.pins)?;
    let store = store_name(args, &vault, &key)?;
    let server = ask_server(context, &connection)?;
    let data_directory = server.files.data_directory.as_deref().and_then(Path::to_str);
    let data_directory = data_directory.ok_or_else(|| {
        let role = &server.role.name;
        Failure::new(Ending::Input, format!("role {role} may not know the data directory"))
            .hint(format!("GRANT pg_read_all_settings TO {role};"))
    })?;
    let agent_key = std::path::absolute(&args.key)
        .map_err(|error| Failure::of(Ending::Failed, &error).during("find the key file"))?;
    let facts = Facts {
        vault: VAULT_NAME.parse().expect("it is a name"),
        url,
        root_keys: key.pins.roots.iter().map(|root| PublicKey(root.0)).collect(),
        agent_key: agent_key.to_string_lossy().into_owned(),
        store,
        connection,
        data_directory: data_directory.to_owned(),
        mode: if args.synchronous { WalMode::Synchronous } else { WalMode::Asynchronous },
    };
    put(context, path, soter_plan::write(&facts).as_bytes())?;
    // As everybody will read it.
    context.plan()?;
    let written = Written {
        plan: path.clone(),
        store: facts.store.to_string(),
        data_directory: facts.data_directory,
        version: server.version.number(),
    };
    context.output.data(&written, |written| {
        format!(
            "{} protects {}: PostgreSQL {} in {}",
            written.plan.display(),
            written.store,
            written.version,
            written.data_directory
        )
    });
    let path = path.display();
    context.output.say(&format!("what is missing says: soter --plan {path} doctor"));
    Ok(())
}

fn mistake(argument: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::of(Ending::Input, error).during(&format!("understand {argument}"))
}

fn refuse_existing(context: &Context, path: &Path) -> Result<(), Failure> {
    match context.disk.metadata(path) {
        Err(_) => Ok(()),
        Ok(_) => Err(there_already(path)),
    }
}

fn there_already(path: &Path) -> Failure {
    Failure::new(Ending::Input, format!("{} is there already", path.display()))
        .hint("a plan is never overwritten: name another with --plan FILE, or move that one away")
}

/// The store that the agent's key is for.
fn store_name(args: &InitArgs, vault: &OpenVault, key: &AgentKey) -> Result<StoreName, Failure> {
    let list = vault.trust().newest();
    let names = || list.stores.iter().map(|row| row.name.clone()).collect::<Vec<_>>().join(", ");
    let row = match (&args.store, list.stores.as_slice()) {
        (Some(name), _) => list.store_named(name).ok_or_else(|| {
            Failure::new(Ending::Input, format!("the vault keeps no store {name:?}"))
                .hint(format!("it keeps: {}", names()))
        })?,
        (None, [only]) => only,
        (None, _) => {
            return Err(Failure::new(Ending::Input, "the vault keeps several stores")
                .hint(format!("name one with --store: {}", names())));
        }
    };
    list.store_keys(row.id, &key.identity, key.signer.clone()).map_err(|e| key_failure(&e))?;
    row.name.parse().map_err(|error: soter_plan::NameError| mistake("the store's name", &error))
}

fn ask_server(context: &Context, connection: &Connection) -> Result<ServerFacts, Failure> {
    let text = context.resolved(connection)?;
    let info = ConnectionInfo::parse(text.expose())
        .map_err(|error| mistake("--connection", &error).hint(error.hint()))?;
    let mut sql = info.connect_sql().map_err(|error| {
        Failure::of(Ending::Input, &error)
            .during("connect to the cluster")
            .hint("it must run; look at --connection")
    })?;
    ServerFacts::read(&mut sql)
        .map_err(|error| Failure::of(Ending::Input, &error).during("ask the cluster"))
}

/// Writes the plan where nothing is, durable.
fn put(context: &Context, path: &Path, text: &[u8]) -> Result<(), Failure> {
    create(&*context.disk, path, text).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => there_already(path),
        _ => Failure::of(Ending::Failed, &error).during(&format!("write {}", path.display())),
    })
}

/// Writes a file of a plan where nothing is, durable, for anybody to read.
pub(super) fn create(disk: &dyn Disk, path: &Path, text: &[u8]) -> io::Result<()> {
    let (temporary, file) = durable::create_temporary(disk, path)?;
    let fill = || {
        file.write_at(0, text)?;
        disk.set_mode(&temporary, PLAN_MODE)?;
        file.sync()?;
        disk.link(&temporary, path)
    };
    let linked = fill();
    drop(disk.remove_file(&temporary));
    linked?;
    disk.sync_dir(durable::parent(path))
}
