//! `terraform`: a plan is saved, shown and kept as evidence; then exactly that plan is carried out.
//!
//! The rule it keeps: without a saved plan nothing is applied, and nothing asks anybody in the middle.
//! It is a script (`terraform.sh`) run as a command, so that it outlives the engine. Killed, it leaves
//! what Terraform had saved; the next attempt plans anew, and a plan without changes is the end.
//! Values that are secret are read from the standard input, and lie in no file and no argument.

use std::path::{Path, PathBuf};

use soter_runbook::child::{self, Hidden, Spec};
use soter_runbook::driver::{Asking, Attempt, Captured, Reply};
use soter_runbook::procedure::{self, Given, Parameters, Step, Terraform, UnknownName, names_in};
use soter_runbook::steps::{Action, Place, RESULTS, Work};

use crate::actions::Means;

/// The script.
const SCRIPT: &str = include_str!("terraform.sh");

/// The program it calls.
pub(crate) const PROGRAM: &str = "terraform";

/// Infrastructure as code.
pub(crate) struct Infrastructure {
    pub(crate) means: Means,
}

/// The arguments of a plan, and the values that nobody may read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Variables {
    arguments: Vec<String>,
    /// Lines of a file of variables.
    hidden: String,
}

impl Action for Infrastructure {
    fn carries_out(&self, step: &Step) -> bool {
        matches!(step.action, procedure::Action::Terraform(_))
    }

    fn work(&self, attempt: &Attempt, place: &Place) -> Option<Result<Work, String>> {
        let procedure::Action::Terraform(terraform) = &attempt.step.action else { return None };
        Some(self.command(attempt, place, terraform))
    }

    fn answer(&self, _: &Asking, _: &Place) -> Option<Reply> {
        None
    }

    fn capture(&self, _: &Attempt, _: &Place) -> Option<Result<Vec<Captured>, String>> {
        None
    }
}

impl Infrastructure {
    fn command(
        &self,
        attempt: &Attempt,
        place: &Place,
        terraform: &Terraform,
    ) -> Result<Work, String> {
        if attempt.step.on.is_some() {
            return Err(ON_OTHER_MACHINE.to_owned());
        }
        let mut variables = variables(terraform, &attempt.parameters)?;
        if is_destroy(terraform)? {
            variables.arguments.insert(0, "-destroy".to_owned());
        }
        let attempt_directory = place.attempt(&attempt.step.id, attempt.number);
        let script = child::write_script(&*self.means.disk, &attempt_directory, SCRIPT)
            .map_err(|error| error.to_string())?;
        let text = |path: &Path| path.display().to_string();
        let directory = directory(&self.means, terraform, &attempt.parameters)?;
        let run = (&attempt.run, attempt.step.id.as_str());
        let told = place.told(run, attempt.kind, &attempt.parameters);
        let mut environment = place.handed_on().clone();
        environment.extend(told.plain);
        environment.extend(
            [
                ("SOTER_OUTPUT", text(&attempt_directory.join(RESULTS))),
                ("SOTER_TERRAFORM_ATTEMPT", text(&attempt_directory)),
                ("SOTER_TERRAFORM_DIRECTORY", text(&directory)),
                ("SOTER_TERRAFORM_GIVES", attempt.step.gives.join(" ")),
                ("TF_IN_AUTOMATION", "1".to_owned()),
                ("TF_INPUT", "0".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let mut arguments: Vec<String> =
            ["-euo", "pipefail"].map(str::to_owned).into_iter().chain([text(&script)]).collect();
        arguments.append(&mut variables.arguments);
        let spec = Spec {
            program: "bash".to_owned(),
            arguments,
            directory: PathBuf::from("/"),
            environment,
            ..Spec::default()
        };
        let input = (!variables.hidden.is_empty()).then(|| variables.hidden.into());
        Ok(Work::Command { spec, hidden: Hidden { environment: told.hidden, input } })
    }
}

/// Why a step cannot say `on`.
pub(crate) const ON_OTHER_MACHINE: &str =
    "Terraform runs where the run does: leave `on` out, or call it in a script";

/// The directory of a configuration.
pub(crate) fn directory(
    means: &Means,
    terraform: &Terraform,
    parameters: &Parameters,
) -> Result<PathBuf, String> {
    let written = parameters.fill(&terraform.directory).map_err(|error| error.to_string())?;
    Ok(means.directory.join(written))
}

/// Whether everything is taken away.
///
/// # Errors
/// When it is neither that nor `apply`.
pub(crate) fn is_destroy(terraform: &Terraform) -> Result<bool, String> {
    match terraform.action.as_str() {
        "apply" => Ok(false),
        "destroy" => Ok(true),
        other => Err(format!("`{other}` is no action of Terraform here: write apply or destroy")),
    }
}

/// The variables of a plan. One that names a secret goes into a file of variables, which has the last
/// word as the arguments have: a value in the environment could be overruled by a file.
fn variables(terraform: &Terraform, parameters: &Parameters) -> Result<Variables, String> {
    let say = |error: UnknownName| error.to_string();
    let mut found = Variables::default();
    for written in &terraform.variables {
        let (name, value) = written
            .split_once('=')
            .ok_or_else(|| format!("`{written}` is no variable: write name=value"))?;
        let name = name.trim();
        if !is_name(name) {
            return Err(format!("`{name}` is no name of a variable"));
        }
        let filled = parameters.fill(value).map_err(say)?;
        let is_hidden =
            names_in(value).any(|name| matches!(parameters.get(name), Some(Given::Hidden(_))));
        if is_hidden {
            found.hidden.push_str(&format!("{name} = {}\n", literal(&filled)));
        } else {
            found.arguments.push(format!("-var={name}={filled}"));
        }
    }
    if !found.hidden.is_empty() {
        found.arguments.push("-var-file=/dev/stdin".to_owned());
    }
    Ok(found)
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_letter)
}

/// A text in Terraform's language, in which `${` and `%{` would begin something.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' | '\\' => literal.extend(['\\', letter]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            '$' | '%' if letters.peek() == Some(&'{') => literal.extend([letter, letter]),
            other if other.is_control() => {
                literal.push_str(&format!("\\u{:04x}", u32::from(other)));
            }
            other => literal.push(other),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests;
