//! `soter doctor`: all that keeps a store from being protected, each with what mends it.

mod etcd;
mod places;
mod server;

use soter_plan::{Kind, Plan, Store, StoreName};
use soter_postgres::server::checks::{Finding, Severity};

use crate::context::Context;
use crate::failure::{Ending, Failure};

/// Say what keeps a store from being protected, and how to mend it.
///
/// It looks at the agent's key, the vault, the server and its settings, the data directory, free
/// space, and the agent; of an etcd at its members, alarms, room, and what is taken along. Run it as the user that runs the agent. Nothing that is there is changed. The
/// exit code is 1 if there is anything to mend.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// The store, as the plan calls it.
    store: Option<String>,
}

/// What is looked at.
struct Patient<'a> {
    context: &'a Context,
    plan: &'a Plan,
    name: &'a StoreName,
    store: &'a Store,
}

/// Something to mend, or to know.
#[derive(Debug, serde::Serialize)]
struct Row {
    code: String,
    severity: Severity,
    what: String,
    why: String,
    hint: String,
    /// What to run: SQL if it ends with a semicolon, else a line for a shell or a file, as the hint
    /// says.
    commands: Vec<String>,
}

pub(super) fn run(context: &Context, args: &DoctorArgs) -> Result<(), Failure> {
    let plan = context.plan()?;
    if let Ok((name, store)) = context.store(&plan, args.store.as_deref())
        && let Kind::Etcd(of_etcd) = &store.kind
    {
        let patient = Patient { context, plan: &plan, name, store };
        let rows = etcd::look(&patient, of_etcd);
        return conclude(context, rows, name);
    }
    let (name, store) = context.postgres_store(&plan, args.store.as_deref())?;
    let patient = Patient { context, plan: &plan, name, store };
    let mut rows = Vec::new();
    let agent = places::agent(&patient, &mut rows);
    let facts = server::look(&patient, agent, &mut rows);
    places::vault(&patient, facts.as_ref(), &mut rows);
    conclude(context, rows, name)
}

/// Says what was found, and whether there is anything to mend.
fn conclude(context: &Context, mut rows: Vec<Row>, name: &StoreName) -> Result<(), Failure> {
    rows.sort_by_key(|row: &Row| row.severity);
    let to_mend = rows.iter().filter(|row| row.severity != Severity::Notice).count();
    context.output.data(&rows, |rows| in_words(rows, name));
    match to_mend {
        0 => Ok(()),
        1 => Err(Failure::new(Ending::No, format!("one thing keeps {name} from being protected"))),
        _ => {
            let what = format!("{to_mend} things keep {name} from being protected");
            Err(Failure::new(Ending::No, what))
        }
    }
}

impl Patient<'_> {
    /// How this binary is called for this plan.
    fn command(&self, words: &str) -> String {
        format!("soter --plan {} {words}", self.context.plan_path.display())
    }
}

impl Row {
    fn error(code: &str, what: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            severity: Severity::Error,
            what: what.into(),
            why: String::new(),
            hint: String::new(),
            commands: Vec::new(),
        }
    }

    fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    fn why(mut self, why: &str) -> Self {
        why.clone_into(&mut self.why);
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    /// What a command could not do, as a row.
    fn of(code: &str, failure: Failure) -> Self {
        let mut what = failure.what;
        for cause in failure.causes {
            what = format!("{what}: {cause}");
        }
        Self::error(code, what).hint(failure.hint.unwrap_or_default())
    }
}

impl From<Finding> for Row {
    fn from(finding: Finding) -> Self {
        let code = serde_json::to_value(finding.code).ok();
        let code = code.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let Finding { severity, what, why, hint, commands, .. } = finding;
        Self { code, severity, what, why, hint, commands }
    }
}

fn in_words(rows: &[Row], name: &StoreName) -> String {
    let mut lines = Vec::new();
    for row in rows {
        let severity = match row.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
        };
        lines.push(format!("{severity}: {}", row.what));
        lines.extend((!row.why.is_empty()).then(|| format!("  {}", row.why)));
        lines.extend((!row.hint.is_empty()).then(|| format!("  hint: {}", row.hint)));
        lines.extend(row.commands.iter().map(|command| format!("      {command}")));
    }
    if rows.iter().all(|row| row.severity == Severity::Notice) {
        lines.push(format!("nothing keeps {name} from being protected"));
    }
    lines.join("\n")
}
