//! `soter plan`: the plan in the vaults, where a recovery finds it when nothing else is left.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use soter_plan::check::{self, Severity};
use soter_plan::doc::Digest;
use soter_vault::keys::{AnyKey, Identity, Pins, Signer};
use soter_vault::plans::{PlanFile, Publication, publish};
use soter_world::durable;

use crate::context::{Access, Context, file_failure};
use crate::failure::{Ending, Failure};
use crate::output::table;
use crate::plans::{self, PlanFiles, published};

#[derive(Debug, clap::Subcommand)]
pub(super) enum PlanCommand {
    /// Put the plan into its vaults, sealed and signed.
    Publish(PublishArgs),
    /// Show the plan that counts in a vault, who signed it, and when.
    Show(ShowArgs),
    /// Write the plan that counts in a vault into a directory.
    Fetch(FetchArgs),
}

/// Put the plan of --plan into its vaults, sealed for the operators and signed.
///
/// Published plans are never changed: another plan is another number, and the highest one counts.
/// Publish again after an operator was enrolled or removed: a plan is sealed for those of its day.
#[derive(Debug, clap::Args)]
pub(super) struct PublishArgs {
    /// The vault, such as file:///srv/soter; may be repeated. Else all vaults of the plan.
    #[arg(long = "vault", value_name = "URL")]
    vaults: Vec<String>,
    /// What signs it: the key file of an operator, of a signer with the role operator, or the root's.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, clap::Args)]
pub(super) struct FetchArgs {
    /// Where to put it: an empty directory, or one that is not there yet.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    access: Access,
}

#[derive(Serialize)]
struct Done {
    digest: String,
    files: usize,
    vaults: Vec<InVault>,
}

#[derive(Serialize)]
struct InVault {
    vault: String,
    number: u32,
    new: bool,
}

#[derive(Serialize)]
struct Shown {
    vault: String,
    number: u32,
    signer: String,
    signer_key: String,
    claimed: Timestamp,
    digest: String,
    files: Vec<ShownFile>,
}

#[derive(Serialize)]
struct ShownFile {
    name: String,
    bytes: usize,
}

pub(super) fn run(context: &Context, command: &PlanCommand) -> Result<(), Failure> {
    match command {
        PlanCommand::Publish(args) => put(context, args),
        PlanCommand::Show(args) => show(context, args),
        PlanCommand::Fetch(args) => fetch(context, args),
    }
}

fn put(context: &Context, args: &PublishArgs) -> Result<(), Failure> {
    let key = AnyKey::load(&*context.disk, &args.key).map_err(|error| file_failure(&error))?;
    let pins = key.pins();
    let (signer, identity) = signing(key)?;
    let mut found = plans::find(&*context.disk, std::slice::from_ref(&context.plan_path))?;
    let (Some(files), true) = (found.pop(), found.is_empty()) else {
        return Err(Failure::new(Ending::Input, "--plan names several plans"));
    };
    let digest = checked(context, &files)?;
    let files = files.to_publish(&*context.disk, &context.plan_path)?;
    let urls = match args.vaults.as_slice() {
        [] => vaults_of_the_plan(context)?,
        named => named.to_vec(),
    };
    let sign = (&signer, identity.as_ref());
    let vaults = urls.iter().map(|url| put_into(context, url, &pins, sign, &files));
    let vaults = vaults.collect::<Result<Vec<_>, _>>()?;
    let done = Done { digest: digest.to_string(), files: files.len(), vaults };
    context.output.data(&done, Done::in_words);
    Ok(())
}

/// What signs, and what opens the plan that is there, if this key can.
fn signing(key: AnyKey) -> Result<(Signer, Option<Identity>), Failure> {
    match key {
        AnyKey::Operator(key) => Ok((key.signer(), Some(key.identity))),
        AnyKey::Collector(key) => Ok((key.signer, None)),
        AnyKey::Root(key) => Ok((key.signer, None)),
        AnyKey::Agent(_) => Err(Failure::new(Ending::Input, "an agent's key signs no plans")
            .hint("a protected machine has no say in how it is recovered: give operator.key")),
    }
}

/// The digest of a plan in which everything can be read.
fn checked(context: &Context, files: &PlanFiles) -> Result<Digest, Failure> {
    let inputs = files.read(&*context.disk)?;
    let today = context.clock.now().to_zoned(TimeZone::UTC).date();
    let report = check::check(check::load(&inputs), today);
    if report.has_unreadable() {
        return Err(Failure::new(Ending::Input, "a part of the plan cannot be read")
            .hint("`soter check` shows which; mend it first"));
    }
    let errors = report.findings.iter().filter(|it| it.severity == Severity::Error).count();
    if errors > 0 {
        let what = format!("{errors} findings are errors; `soter check` shows them");
        context.output.warn(&what);
    }
    Ok(Digest::of(&inputs))
}

fn vaults_of_the_plan(context: &Context) -> Result<Vec<String>, Failure> {
    let plan = context.plan()?;
    let urls: Vec<String> = plan.vaults.values().map(|vault| vault.url.to_string()).collect();
    if urls.is_empty() {
        return Err(Failure::new(Ending::Input, "the plan names no vault").hint("--vault URL"));
    }
    Ok(urls)
}

fn put_into(
    context: &Context,
    url: &str,
    pins: &Pins,
    (signer, identity): (&Signer, Option<&Identity>),
    files: &[PlanFile],
) -> Result<InVault, Failure> {
    let open = context.open_vault(url, pins)?;
    let vault = context.vault(&open, pins.clone());
    let outcome = publish(&vault, open.trust(), signer, identity, files);
    let outcome = outcome.map_err(|error| {
        published::document_failure(&error).during(&format!("publish the plan in {url}"))
    })?;
    let (number, new) = match outcome {
        Publication::New(number) => (number, true),
        Publication::Unchanged(number) => (number, false),
    };
    Ok(InVault { vault: url.to_owned(), number, new })
}

impl Done {
    fn in_words(&self) -> String {
        let mut lines = vec![format!("digest {}, {} files", self.digest, self.files)];
        for it in &self.vaults {
            let what = if it.new { "published as" } else { "is there already as" };
            lines.push(format!("{what} plan {} in {}", it.number, it.vault));
        }
        lines.join("\n")
    }
}

fn show(context: &Context, args: &ShowArgs) -> Result<(), Failure> {
    let fetched = published::fetch(context, &args.access)?;
    let digest = fetched.digest().to_string();
    let plan = fetched.plan;
    let files = plan.files.iter();
    let shown = Shown {
        vault: fetched.url,
        number: plan.number,
        signer: fetched.signer,
        signer_key: plan.signer.to_string(),
        claimed: plan.claimed,
        digest,
        files: files
            .map(|file| ShownFile { name: file.name.clone(), bytes: file.bytes.len() })
            .collect(),
    };
    context.output.data(&shown, Shown::in_words);
    Ok(())
}

impl Shown {
    fn in_words(&self) -> String {
        let Self { vault, number, signer, claimed, digest, .. } = self;
        let files: Vec<Vec<String>> =
            self.files.iter().map(|it| vec![it.name.clone(), it.bytes.to_string()]).collect();
        format!(
            "plan {number} in {vault}, signed {claimed} by {signer}\ndigest {digest}\n{}",
            table(&["file", "bytes"], &files)
        )
    }
}

fn fetch(context: &Context, args: &FetchArgs) -> Result<(), Failure> {
    refuse_occupied(context, &args.directory)?;
    let fetched = published::fetch(context, &args.access)?;
    for file in &fetched.plan.files {
        write(context, &args.directory, file).map_err(|error| {
            Failure::of(Ending::Failed, &error).during(&format!("write {}", file.name))
        })?;
    }
    let number = fetched.plan.number;
    let directory = args.directory.display();
    context.output.say(&format!("plan {number}, signed by {}, is in {directory}", fetched.signer));
    context.output.text(&directory.to_string());
    Ok(())
}

/// Files of two plans would be one plan.
fn refuse_occupied(context: &Context, directory: &Path) -> Result<(), Failure> {
    match context.disk.list(directory) {
        Ok(found) if !found.is_empty() => {
            let what = format!("{} is not empty", directory.display());
            Err(Failure::new(Ending::Input, what).hint("name a directory that is not there yet"))
        }
        _ => Ok(()),
    }
}

fn write(context: &Context, directory: &Path, file: &PlanFile) -> std::io::Result<()> {
    let path = directory.join(&file.name);
    durable::create_dir_all_durable(&*context.disk, durable::parent(&path))?;
    super::init::create(&*context.disk, &path, &file.bytes)
}
