//! What a restore checks before it writes, and what `--dry-run` says beside that.

use std::time::Duration;

use serde::Serialize;
use soter_postgres::restore::checks::{
    Finding, Machine, Need, Severity, machine_findings, space_findings, wal_bytes,
};
use soter_postgres::restore::feed::Feeder;
use soter_postgres::restore::survey::Sizes;

use super::failure;
use super::start::{StartArgs, Starting};
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::output::{human_bytes, human_duration};

/// What a dry run expects, from a little that it has measured.
#[derive(Debug, Serialize)]
pub(super) struct Forecast {
    /// Contents that were read and opened to measure the rate.
    measured_bytes: u64,
    /// In what time.
    measured_seconds: f64,
    /// Reading and opening everything at that rate. The disk that is written may be slower.
    read_seconds: f64,
    /// WAL to replay.
    wal_bytes: u64,
}

/// Looks for everything that would go wrong. What a start needs is found on the way.
pub(super) fn check<'a>(
    context: &Context,
    start: &'a StartArgs,
    feeder: &Feeder<'_>,
) -> Result<(Option<Starting<'a>>, Vec<Finding>), Failure> {
    let target = feeder.target;
    let record = feeder.gathered.record(feeder.choice).map_err(|error| failure(&error))?;
    let mut findings = Vec::new();
    for directory in target.directories() {
        if let Err(error) = target.require_empty(directory) {
            findings.push(refusal(&failure(&error)));
        }
    }
    let starting = match start.prepare(context, record, target) {
        Ok(starting) => starting,
        Err(failure) => {
            findings.push(refusal(&failure));
            None
        }
    };
    findings.extend(starting.as_ref().and_then(Starting::taken));
    let sizes = match target.tablespaces {
        [] => Sizes { data_bytes: record.counters.total_bytes, ..Sizes::default() },
        _ => feeder.reader.sizes(feeder.gathered, feeder.choice).map_err(|e| failure(&e))?,
    };
    let wal = wal_bytes(record, feeder.choice, starting.is_some());
    let data = Need {
        directory: target.directory.to_owned(),
        bytes: sizes.data_bytes.saturating_add(wal),
    };
    let of_tablespaces = target.tablespaces.iter().map(|place| Need {
        directory: place.directory.clone(),
        bytes: sizes.tablespace_bytes.get(&place.tablespace.to_string()).copied().unwrap_or(0),
    });
    let needs: Vec<Need> = std::iter::once(data).chain(of_tablespaces).collect();
    findings.extend(space_findings(&*context.disk, &needs));
    findings.extend(machine_findings(&record.server, &Machine::look()));
    Ok((starting, findings))
}

fn refusal(failure: &Failure) -> Finding {
    let mut what = failure.what.clone();
    for cause in &failure.causes {
        what.push_str(": ");
        what.push_str(cause);
    }
    Finding { severity: Severity::Refusal, what, hint: failure.hint.clone().unwrap_or_default() }
}

/// Says all of it; refuses if one of them does.
pub(super) fn report(context: &Context, findings: Vec<Finding>) -> Result<(), Failure> {
    let (refusals, warnings): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| finding.severity == Severity::Refusal);
    for Finding { what, hint, .. } in warnings {
        context.output.warn(&format!("{what}\n  hint: {hint}"));
    }
    let line = |finding: &Finding| match finding.hint.as_str() {
        "" => finding.what.clone(),
        hint => format!("{}\n    hint: {hint}", finding.what),
    };
    match refusals.as_slice() {
        [] => Ok(()),
        [only] => {
            let failure = Failure::new(Ending::Input, only.what.clone());
            Err(if only.hint.is_empty() { failure } else { failure.hint(only.hint.clone()) })
        }
        several => {
            let what = format!("{} things are in the way, nothing was written", several.len());
            let mut failure = Failure::new(Ending::Input, what);
            failure.causes = several.iter().map(line).collect();
            Err(failure)
        }
    }
}

/// Measures a little, and concludes on the rest.
pub(super) fn forecast(
    context: &Context,
    feeder: &Feeder<'_>,
    total_bytes: u64,
) -> Result<Option<Forecast>, Failure> {
    let (reader, gathered, choice) = (feeder.reader, feeder.gathered, feeder.choice);
    let probe = reader.probe(gathered, choice, feeder.target.workers, &*context.clock);
    let Some(probe) = probe.map_err(|error| failure(&error))? else { return Ok(None) };
    let record = gathered.record(choice).map_err(|error| failure(&error))?;
    Ok(probe.forecast(total_bytes).map(|expected| Forecast {
        measured_bytes: probe.bytes,
        measured_seconds: probe.took.as_secs_f64(),
        read_seconds: expected.as_secs_f64(),
        wal_bytes: wal_bytes(record, choice, false),
    }))
}

impl Forecast {
    /// For people, behind what would be done.
    pub(super) fn words(&self) -> String {
        let duration = |seconds: f64| human_duration(Duration::from_secs_f64(seconds.max(0.0)));
        format!(
            "\nforecast: {} to read and open it, if the rest goes as {} did in {}; up to {} of WAL \
             to replay",
            duration(self.read_seconds),
            human_bytes(self.measured_bytes),
            duration(self.measured_seconds),
            human_bytes(self.wal_bytes)
        )
    }
}
