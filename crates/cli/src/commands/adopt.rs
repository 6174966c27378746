//! `soter adopt`: a restored cluster becomes the store's cluster.

use std::path::{Path, PathBuf};

use soter_plan::{Store, StoreName};
use soter_postgres::adopt::{AdoptError, Adopted, Adoption};
use soter_postgres::error::ErrorKind;
use soter_postgres::incarnation::{self, Marker};
use soter_postgres::restore::configure::{Rearming, rearm};
use soter_vault::ids::IncarnationId;
use soter_vault::log::{Catalogue, Log, TakeOver};
use soter_world::durable;

use super::agent::connection;
use super::backup::{self, BackupArgs};
use crate::context::{Context, Writer, postgres};
use crate::failure::{Ending, Failure};

/// Longest configuration file that is read.
const CONFIGURATION_LENGTH_MAX: usize = 4 << 20;

/// Give a restored cluster a life of its own in its store's history.
///
/// A restored cluster archives nowhere, for its WAL would mix with its parent's. Adopting begins a
/// new incarnation in the vault, marks the data directory with it, and supersedes whoever protected
/// the parent. Everything that was stored before stays. Run as the server's user or root, when the
/// cluster was promoted; if it is cut off, run it again.
#[derive(Debug, clap::Args)]
pub(crate) struct AdoptArgs {
    /// The store, as the plan calls it.
    store: Option<String>,
    /// The restored cluster; else the plan's data directory.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Run the commands that make it archive again, over the plan's connection.
    #[arg(long)]
    configure: bool,
    /// Make a base backup at once.
    #[arg(long)]
    backup: bool,
    /// Supersede an agent with another key, or the store's cluster although it is still there.
    #[arg(long)]
    take_over: bool,
}

/// What was done.
#[derive(serde::Serialize)]
struct Report {
    store: String,
    incarnation: IncarnationId,
    /// The life before; none if the cluster had been adopted already.
    replaced: Option<IncarnationId>,
    data_dir: PathBuf,
    /// What makes it archive again as the original did.
    commands: Vec<String>,
    /// What is to be run when an agent streams.
    afterwards: Vec<String>,
    needs_restart: bool,
    configured: bool,
}

pub(super) fn run(context: &Context, args: &AdoptArgs) -> Result<(), Failure> {
    let plan = context.plan()?;
    let (name, store) = context.postgres_store(&plan, args.store.as_deref())?;
    let planned = &postgres(store).data_directory;
    let data = args.data_dir.as_ref().unwrap_or(planned);
    let is_planned = same_directory(data, planned);
    if args.backup && !is_planned {
        return Err(Failure::new(
            Ending::Input,
            format!("the plan's data_directory is {}", planned.display()),
        )
        .hint(format!("change it to {} first: backups are made of that one", data.display())));
    }
    let Writer { vault: open, keys, pins } = context.writer(&plan, name, store)?;
    let vault = context.vault(&open, pins);
    let log = Log::open(&vault, keys.store, open.trust().clone(), None)
        .map_err(|error| Failure::of(Ending::Failed, &error).during("read the log"))?;
    if !is_planned && !args.take_over {
        refuse_if_still_there(context, planned, log.catalogue())?;
    }
    let adoption = Adoption {
        disk: &*context.disk,
        data_directory: data,
        vault: &vault,
        keys: &keys,
        agent: "soter adopt",
        take_over: if args.take_over { TakeOver::Anybody } else { TakeOver::OwnOnly },
    };
    let adopted = adoption.run(log).map_err(|error| failure(&error))?;
    let Rearming { commands, afterwards, needs_restart } = read_rearming(context, data)?;
    if args.configure {
        configure(context, store, data, &commands)?;
    }
    if adopted.is_another_cluster {
        context.output.warn(
            "it is another cluster than the store's so far, not a copy of it; what was stored before \
             stays",
        );
    }
    let report = Report {
        store: name.to_string(),
        incarnation: adopted.life.id,
        replaced: adopted.replaced.as_ref().map(|life| life.id),
        data_dir: data.clone(),
        commands,
        afterwards,
        needs_restart,
        configured: args.configure,
    };
    context.output.data(&report, |report| in_words(report, &adopted));
    next_steps(context, args, name, planned, is_planned)
}

/// The life that would be cut off must be gone, or given up.
fn refuse_if_still_there(
    context: &Context,
    planned: &Path,
    catalogue: &Catalogue,
) -> Result<(), Failure> {
    let Ok(Some(marker)) = Marker::read(&*context.disk, planned) else { return Ok(()) };
    let is_present = incarnation::current(catalogue).is_some_and(|life| {
        life.id == marker.incarnation && catalogue.place().store == marker.store
    });
    if !is_present {
        return Ok(());
    }
    Err(Failure::new(
        Ending::Input,
        format!("the store's present cluster is still there, in {}", planned.display()),
    )
    .hint("it would not be protected any more; if it is given up: --take-over"))
}

fn same_directory(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| std::fs::canonicalize(path).ok();
    one == other || (resolved(one).is_some() && resolved(one) == resolved(other))
}

fn read_rearming(context: &Context, data: &Path) -> Result<Rearming, Failure> {
    let read = |name: &str| {
        let path = data.join(name);
        match durable::read(&*context.disk, &path, CONFIGURATION_LENGTH_MAX) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(Failure::of(Ending::Failed, &error)
                .during(&format!("read {}", path.display()))
                .hint("the cluster is adopted; run it again as the server's user")),
        }
    };
    Ok(rearm(&read("postgresql.conf")?, &read("postgresql.auto.conf")?))
}

/// Runs the commands, if the server behind the plan's connection is this cluster's.
fn configure(
    context: &Context,
    store: &Store,
    data: &Path,
    commands: &[String],
) -> Result<(), Failure> {
    let hint = "the cluster is adopted; start its server so that the plan's connection reaches it, \
                and run this again, or run the commands by hand";
    let failed = |error: &dyn std::error::Error| {
        Failure::new(Ending::Failed, error.to_string()).during("configure the server").hint(hint)
    };
    let mut sql = connection(context, store)?.connect_sql().map_err(|error| failed(&error))?;
    let row = sql.query_one("SHOW data_directory", &[]).map_err(|error| failed(&error))?;
    let reached: String = row.try_get(0).map_err(|error| failed(&error))?;
    if !same_directory(Path::new(&reached), data) {
        let what = format!("the plan's connection reaches the server of {reached}");
        return Err(Failure::new(Ending::Input, what).hint(hint));
    }
    for command in commands {
        sql.batch_execute(command).map_err(|error| failed(&error))?;
    }
    sql.batch_execute("SELECT pg_reload_conf()").map_err(|error| failed(&error))
}

fn in_words(report: &Report, adopted: &Adopted) -> String {
    let mut lines = vec![match &adopted.replaced {
        Some(before) => format!(
            "{} is adopted: incarnation {} of {}, after {}",
            report.data_dir.display(),
            report.incarnation,
            report.store,
            before.id
        ),
        None => format!(
            "{} was adopted before: it is incarnation {} of {}",
            report.data_dir.display(),
            report.incarnation,
            report.store
        ),
    }];
    let mut list = |title: &str, commands: &[String]| {
        if !commands.is_empty() {
            lines.push(title.to_owned());
            lines.extend(commands.iter().map(|command| format!("    {command};")));
            lines.push("    SELECT pg_reload_conf();".to_owned());
        }
    };
    if !report.configured {
        list("what the restore had set for safety is undone by:", &report.commands);
    }
    list("when the agent streams:", &report.afterwards);
    if report.needs_restart {
        lines.push("archive_mode needs a restart of the server".to_owned());
    }
    lines.join("\n")
}

fn next_steps(
    context: &Context,
    args: &AdoptArgs,
    name: &StoreName,
    planned: &Path,
    is_planned: bool,
) -> Result<(), Failure> {
    if !is_planned {
        context.output.say(&format!(
            "the plan's data_directory is {}: change it, and the connection if need be",
            planned.display()
        ));
    }
    if args.backup {
        return backup::run(context, &BackupArgs::of(name));
    }
    context.output.say(&format!(
        "nothing protects it yet: start the agent (soter agent {name}), which makes a base backup at \
         once, or make one by soter backup {name}"
    ));
    Ok(())
}

fn failure(error: &AdoptError) -> Failure {
    let ending = match error.kind() {
        ErrorKind::Input => Ending::Input,
        ErrorKind::Superseded => Ending::Superseded,
        _ => Ending::Failed,
    };
    Failure::of(ending, error).hint(error.hint())
}
