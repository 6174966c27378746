//! What this crate does on another machine: a script of its own, run as those of plans are run there.
//!
//! The rule it keeps: nothing of ours is left there but what the step is for. What is secret comes on the
//! connection and stays in memory; what came of it goes back the same way, the evidence too.

use std::path::Path;

use soter_runbook::driver::Attempt;
use soter_runbook::steps::{Place, Variables, Work, script_there};
use soter_vault::keys::{KeyFile, OperatorKey};
use soter_world::Secret;

use crate::actions::Means;

/// Where the operator's key is, for the script alone.
const KEY: &str = "SOTER_OPERATOR_KEY";

/// The name of the operator's key for a command that reads it.
pub(crate) const KEY_IS_READ: &str = "-";

/// Before what is done: a place for what comes of it, and a way for evidence to go back.
const BEGIN: &str = r#"place=$(mktemp -d)
trap 'rm -rf -- "$place"' EXIT
code=0
keep() {
  if [ -e "$place/evidence/$1" ]; then
    printf '\n::soter %s evidence %s::\n' "$SOTER_MARK" "$1"
    cat -- "$place/evidence/$1"
    printf '\n::soter %s evidence is all::\n' "$SOTER_MARK"
  fi
}
"#;

/// A restore by the words of its command, but for those that say where what came of it goes.
pub(crate) fn restore(
    attempt: &Attempt,
    place: &Place,
    means: &Means,
    words: &[String],
    identity: &Path,
) -> Result<Work, String> {
    let key = OperatorKey::load(&*means.disk, identity).map_err(|error| {
        let cause = std::error::Error::source(&error);
        cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
    })?;
    let script = format!(
        "# The operator's key is read by the command, and lies in no file and no argument.
key=${KEY}
unset {KEY}
{BEGIN}printf '%s\\n' \"$key\" | soter {} --attempt \"$place\" || code=$?
if [ -e \"$place/results\" ]; then cat -- \"$place/results\" >> \"$SOTER_OUTPUT\"; fi
keep restore.json
exit \"$code\"
",
        quoted(words)
    );
    let mut told = Variables::default();
    told.hidden.insert(KEY.to_owned(), Secret::new(key.to_text().expose().to_owned()));
    command(attempt, place, means, (&script, told))
}

/// A script that puts its evidence into `$place/evidence`, with arguments, as a process of its own there.
pub(crate) fn process(
    attempt: &Attempt,
    place: &Place,
    means: &Means,
    (script, arguments, evidence): (&str, &[String], &str),
    told: Variables,
) -> Result<Work, String> {
    let script = format!(
        "{BEGIN}bash -euo pipefail /dev/fd/4 \"$place\" {} 4<<'SOTER_PROCESS' || code=$?
{script}SOTER_PROCESS
keep {evidence}
exit \"$code\"
",
        quoted(arguments)
    );
    command(attempt, place, means, (&script, told))
}

fn command(
    attempt: &Attempt,
    place: &Place,
    means: &Means,
    (script, told): (&str, Variables),
) -> Result<Work, String> {
    let (spec, hidden) =
        script_there(attempt, place, (&*means.disk, &*means.random), script, told)?;
    Ok(Work::Command { spec, hidden })
}

/// Words as a shell takes them.
fn quoted(words: &[String]) -> String {
    let words = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''")));
    words.collect::<Vec<_>>().join(" ")
}
