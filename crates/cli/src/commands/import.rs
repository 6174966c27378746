//! `soter import`: a disaster recovery document as a plan in YAML.

use std::path::{Path, PathBuf};

use serde::Serialize;
use soter_plan::check::{self, Loaded, Severity};
use soter_plan::import::{self, Import, ImportFile, SCHEMA_FILE};
use soter_plan::language;
use soter_world::{Disk, durable};

use super::init;
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::plans;

/// Write a disaster recovery document as a plan in YAML.
///
/// What the document says is kept; where it leaves something open stands a comment that says what to
/// decide. Without --out the plan goes to standard output. Nothing that is there is overwritten.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// Documents in Markdown, or - for standard input; several become one plan.
    #[arg(required = true, value_name = "DOCUMENT")]
    documents: Vec<PathBuf>,
    /// The directory the plan's files go to; it is made.
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Say which files would be written, and write none.
    #[arg(long, requires = "out")]
    dry_run: bool,
}

/// What was written, or would be.
#[derive(Serialize)]
struct Imported {
    files: Vec<ImportedFile>,
    /// Places where a person must decide.
    open: usize,
    /// Places that were not understood.
    unread: usize,
}

#[derive(Serialize)]
struct ImportedFile {
    path: PathBuf,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

pub(super) fn run(context: &Context, args: &ImportArgs) -> Result<(), Failure> {
    let loaded = load(context, &args.documents)?;
    let Some(directory) = &args.out else {
        let import = import::import(&loaded);
        print(context, &import, &loaded);
        return Ok(());
    };
    let mut import = import::import_split(&loaded);
    let schema = format!("{:#}\n", language::schema());
    import.files.push(ImportFile { path: SCHEMA_FILE.to_owned(), text: schema });
    refuse_existing(&*context.disk, directory, &import)?;
    if !args.dry_run {
        write(&*context.disk, directory, &import)?;
    }
    let imported = imported(&import, &loaded, directory);
    let verb = if args.dry_run { "would write" } else { "wrote" };
    context.output.data(&imported, |imported| {
        let files = imported.files.iter();
        let lines: Vec<String> =
            files.map(|file| format!("{verb} {}", file.path.display())).collect();
        lines.join("\n")
    });
    say(context, &import, &loaded);
    let path = directory.display();
    context.output.say(&format!("what would fail in it says: soter check {path}"));
    Ok(())
}

/// Reads the documents. One that cannot be read at all is refused; what is odd in them is said.
fn load(context: &Context, documents: &[PathBuf]) -> Result<Loaded, Failure> {
    let mut inputs = Vec::new();
    for plan in plans::find(&*context.disk, documents)? {
        inputs.extend(plan.read(&*context.disk)?);
    }
    let loaded = check::load(&inputs);
    if let Some(error) = loaded.findings.iter().find(|found| found.severity == Severity::Error) {
        let failure = Failure::new(Ending::Input, format!("{}: {}", error.code, error.title));
        return Err(match &error.hint {
            Some(hint) => failure.hint(hint.clone()),
            None => failure,
        });
    }
    for finding in &loaded.findings {
        context.output.warn(&finding.title);
    }
    Ok(loaded)
}

fn imported(import: &Import, loaded: &Loaded, directory: &Path) -> Imported {
    let file = |file: &ImportFile| ImportedFile {
        path: directory.join(&file.path),
        bytes: file.text.len(),
        text: None,
    };
    Imported {
        files: import.files.iter().map(file).collect(),
        open: import.open_count,
        unread: loaded.unread.len(),
    }
}

/// The whole plan on standard output.
fn print(context: &Context, import: &Import, loaded: &Loaded) {
    let mut imported = imported(import, loaded, Path::new(""));
    for (file, written) in imported.files.iter_mut().zip(&import.files) {
        file.text = Some(written.text.clone());
    }
    context.output.data(&imported, |imported| {
        let texts = imported.files.iter().filter_map(|file| file.text.as_deref());
        texts.collect::<Vec<_>>().concat().trim_end().to_owned()
    });
    say(context, import, loaded);
    context.output.say(&format!("editors complete it with: soter schema > {SCHEMA_FILE}"));
}

fn say(context: &Context, import: &Import, loaded: &Loaded) {
    let open = concat!("TO", "DO");
    context.output.say(&format!("{} places to decide, marked {open}", import.open_count));
    if !loaded.unread.is_empty() {
        let count = loaded.unread.len();
        context.output.say(&format!("{count} places of the document were not understood"));
    }
}

fn refuse_existing(disk: &dyn Disk, directory: &Path, import: &Import) -> Result<(), Failure> {
    let paths = import.files.iter().map(|file| directory.join(&file.path));
    let mut there = paths.filter(|path| disk.metadata(path).is_ok());
    there.next().map_or(Ok(()), |path| Err(there_already(&path)))
}

fn there_already(path: &Path) -> Failure {
    Failure::new(Ending::Input, format!("{} is there already", path.display()))
        .hint("nothing is overwritten: name an empty directory with --out, or move that file away")
}

fn write(disk: &dyn Disk, directory: &Path, import: &Import) -> Result<(), Failure> {
    for file in &import.files {
        let path = directory.join(&file.path);
        let made = durable::create_dir_all_durable(disk, durable::parent(&path));
        let written = made.and_then(|()| init::create(disk, &path, file.text.as_bytes()));
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => there_already(&path),
            _ => Failure::of(Ending::Failed, &error).during(&format!("write {}", path.display())),
        })?;
    }
    Ok(())
}
