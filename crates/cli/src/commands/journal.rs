//! `soter journal`: the journal of a run as a file that somebody hands over.

use std::path::PathBuf;

use serde::Serialize;
use soter_recovery::capture;
use soter_runbook::driver::Captured;
use soter_runbook::journal::{Refused, read};
use soter_runbook::state::{LoadError, load};
use soter_world::durable;

use super::run::life;
use crate::context::Context;
use crate::failure::{Ending, Failure};

/// A run of a million records has less.
const JOURNAL_BYTES_MAX: usize = 1 << 30;

#[derive(Debug, clap::Subcommand)]
pub(super) enum JournalCommand {
    /// Prove that a journal is as it was written: nothing but the file is needed.
    Verify(VerifyArgs),
}

/// Prove that a journal is as it was written, and name the first record that is not.
///
/// Every record is hashed with the one before it, and all of them together must make sense as a run.
/// Exit codes: 0 whole, 1 a record is damaged, the end is torn or evidence is not what was recorded, 2 it
/// is of a newer Soter, 3 the file cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The journal, such as /var/lib/soter/runs/RUN/journal.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also that the evidence in `captures/` beside it is what the journal recorded, and nothing else.
    #[arg(long)]
    captures: bool,
}

#[derive(Debug, Default, Serialize)]
struct Verdict {
    whole: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    records: u64,
    /// The hash of the last record: who has it knows that nothing was cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
}

#[derive(Debug, Serialize)]
struct Evidence {
    /// How many files the journal recorded.
    files: usize,
    /// What is wrong with them, or beside them.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Fault {
    /// `damaged` or `torn`.
    kind: &'static str,
    /// The number of the first record that is not whole.
    n: u64,
    /// Its first byte.
    byte: usize,
    what: String,
}

pub(super) fn run(context: &Context, command: &JournalCommand) -> Result<(), Failure> {
    let JournalCommand::Verify(args) = command;
    let bytes = durable::read(&*context.disk, &args.file, JOURNAL_BYTES_MAX).map_err(|error| {
        Failure::of(Ending::Failed, &error).during(&format!("read {}", args.file.display()))
    })?;
    let (mut verdict, recorded) = verify(&bytes)?;
    if args.captures {
        let directory = durable::parent(&args.file);
        let problems = capture::verify(&*context.disk, directory, &recorded);
        verdict.evidence = Some(Evidence { files: recorded.len(), problems });
    }
    context.output.data(&verdict, Verdict::in_words);
    let is_kept = verdict.evidence.is_none_or(|evidence| evidence.problems.is_empty());
    match verdict.fault {
        None if is_kept => Ok(()),
        None => Err(Failure::new(Ending::No, "the evidence is not what the journal recorded")
            .hint("another copy of it may be: look at what each line names")),
        Some(_) => Err(Failure::new(Ending::No, "the journal is not whole")
            .hint("the vault may have it whole: soter run resume RUN --from-vault --state DIR")),
    }
}

/// What the journal is worth, and the evidence that it recorded as far as it is whole.
fn verify(bytes: &[u8]) -> Result<(Verdict, Vec<Captured>), Failure> {
    let loaded = match load(bytes) {
        Ok(loaded) => loaded,
        Err(LoadError::Refused(Refused::Damaged(damage))) => {
            let what = damage.what.to_owned();
            let fault = Fault { kind: "damaged", n: damage.n, byte: damage.offset, what };
            let records = damage.n.saturating_sub(1);
            let verdict = Verdict { records, fault: Some(fault), ..Verdict::default() };
            return Ok((verdict, Vec::new()));
        }
        Err(LoadError::Refused(Refused::NotBegun)) => {
            let what = "it has no whole first record".to_owned();
            let fault = Fault { kind: "torn", n: 1, byte: 0, what };
            return Ok((Verdict { fault: Some(fault), ..Verdict::default() }, Vec::new()));
        }
        Err(error) => {
            return Err(Failure::of(Ending::Input, &error).hint("take the newest soter"));
        }
    };
    let last = read(bytes).ok().and_then(|reading| reading.records.last().map(|it| it.hash));
    let fault = loaded.torn.map(|torn| Fault {
        kind: "torn",
        n: torn.n,
        byte: torn.offset,
        what: "it is not whole: an append that a crash cut short, or one under way".to_owned(),
    });
    let verdict = Verdict {
        whole: fault.is_none(),
        run: Some(loaded.state.run().to_string()),
        status: Some(life(&loaded.state.life)),
        records: loaded.state.records,
        last: last.map(|hash| hash.to_string()),
        fault,
        evidence: None,
    };
    Ok((verdict, loaded.state.captured))
}

impl Verdict {
    fn in_words(&self) -> String {
        let mut lines = Vec::new();
        if let (Some(run), Some(status)) = (&self.run, &self.status) {
            lines.push(format!("{run}: {status}"));
        }
        match &self.fault {
            None => lines.push(format!("{} records, each as it was written", self.records)),
            Some(Fault { kind, n, byte, what }) => {
                lines.push(format!("record {n}, at byte {byte}, is {kind}: {what}"));
                lines.push(format!(
                    "the {} records before it are as they were written",
                    self.records
                ));
            }
        }
        if let Some(Evidence { files, problems }) = &self.evidence {
            match problems.as_slice() {
                [] => lines.push(format!("{files} files of evidence, each as it was recorded")),
                problems => lines.extend(problems.iter().cloned()),
            }
        }
        if let Some(last) = &self.last {
            lines.push(format!("last hash {last}"));
        }
        lines.join("\n")
    }
}
