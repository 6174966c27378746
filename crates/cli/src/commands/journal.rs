//! `soter journal`: the journal of a run as a file that somebody hands over.

use std::path::PathBuf;

use serde::Serialize;
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
/// Exit codes: 0 whole, 1 a record is damaged or the end is torn, 2 it is of a newer Soter, 3 the
/// file cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The journal, such as /var/lib/soter/runs/RUN/journal.
    #[arg(value_name = "FILE")]
    file: PathBuf,
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
    let verdict = verify(&bytes)?;
    context.output.data(&verdict, Verdict::in_words);
    match verdict.fault {
        None => Ok(()),
        Some(_) => Err(Failure::new(Ending::No, "the journal is not whole")
            .hint("the vault may have it whole: soter run resume RUN --from-vault --state DIR")),
    }
}

fn verify(bytes: &[u8]) -> Result<Verdict, Failure> {
    let loaded = match load(bytes) {
        Ok(loaded) => loaded,
        Err(LoadError::Refused(Refused::Damaged(damage))) => {
            let what = damage.what.to_owned();
            let fault = Fault { kind: "damaged", n: damage.n, byte: damage.offset, what };
            let records = damage.n.saturating_sub(1);
            return Ok(Verdict { records, fault: Some(fault), ..Verdict::default() });
        }
        Err(LoadError::Refused(Refused::NotBegun)) => {
            let what = "it has no whole first record".to_owned();
            let fault = Fault { kind: "torn", n: 1, byte: 0, what };
            return Ok(Verdict { fault: Some(fault), ..Verdict::default() });
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
    Ok(Verdict {
        whole: fault.is_none(),
        run: Some(loaded.state.run().to_string()),
        status: Some(life(&loaded.state.life)),
        records: loaded.state.records,
        last: last.map(|hash| hash.to_string()),
        fault,
    })
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
        if let Some(last) = &self.last {
            lines.push(format!("last hash {last}"));
        }
        lines.join("\n")
    }
}
