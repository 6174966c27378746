//! `soter check --watch`: again whenever a file changes, and only what is different.

use std::collections::BTreeSet;
use std::time::Duration;

use soter_plan::check::{Report, render};
use soter_world::Stop;

use super::select::Selection;
use super::{CheckArgs, report, verdict};
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::output::paper;
use crate::plans::{self, PlanFiles};

/// Somebody who saves a file looks up about this long after it.
const LOOK_EVERY: Duration = Duration::from_millis(400);

pub(super) fn run(
    context: &Context,
    args: &CheckArgs,
    selection: &Selection,
) -> Result<(), Failure> {
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let mut watched = Watched { plans: plans::find(&*context.disk, &args.paths)?, known: None };
    if watched.plans.iter().any(PlanFiles::has_stdin) {
        return Err(Failure::new(Ending::Input, "standard input cannot be watched")
            .hint("name a file or a directory"));
    }
    let mut last = Ok(());
    let mut stamps = None;
    loop {
        // Files may have come or gone. One that is being replaced is not there for a moment.
        if let Ok(plans) = plans::find(&*context.disk, &args.paths) {
            watched.plans = plans;
        }
        let now: Vec<_> =
            watched.plans.iter().flat_map(|plan| plan.stamps(&*context.disk)).collect();
        if stamps.as_ref() != Some(&now) {
            stamps = Some(now);
            match report(context, args, &watched.plans, selection) {
                Ok(report) => {
                    context.output.text(&watched.difference(&report));
                    context.output.finish()?;
                    last = verdict(args, &report);
                }
                // It is gone for the moment: its next change is waited for.
                Err(failure) => context.output.warn(&failure.in_one_line()),
            }
        }
        if stop.wait(LOOK_EVERY) {
            return last;
        }
    }
}

/// What was there at the last look.
struct Watched {
    plans: Vec<PlanFiles>,
    known: Option<BTreeSet<(String, String)>>,
}

impl Watched {
    /// What is new, what is gone, and how it stands; the first time all of it.
    fn difference(&mut self, report: &Report) -> String {
        let name = |finding: &_| render::fingerprint(&report.sources, finding);
        let found: BTreeSet<(String, String)> = report
            .findings
            .iter()
            .map(|finding| (name(finding), format!("{}: {}", finding.code, finding.title)))
            .collect();
        let Some(known) = self.known.replace(found.clone()) else {
            return render::text(report, paper());
        };
        let mut text = String::new();
        for finding in &report.findings {
            let title = format!("{}: {}", finding.code, finding.title);
            if !known.contains(&(name(finding), title)) {
                text.push_str(&render::finding(&report.sources, finding, paper()));
                text.push_str("\n\n");
            }
        }
        for (_, gone) in known.iter().filter(|known| !found.contains(known)) {
            text.push_str(&format!("mended  {gone}\n"));
        }
        text + &render::summary(report)
    }
}
