//! `terraform`: a plan is saved, shown and kept as evidence; then exactly that plan is carried out.
//!
//! The rule it keeps: without a saved plan nothing is applied, and nothing asks anybody in the middle.
//! It is a script (`terraform.sh`) run as a command, so that it outlives the engine. Killed, it leaves
//! what Terraform had saved; the next attempt plans anew, and a plan without changes is the end.
//! Values that are secret are read from the standard input, and lie in no file and no argument. With
//! `on` the same script runs on that machine; then they come with it.

use std::path::{Path, PathBuf};

use soter_runbook::child::{self, Hidden, Spec};
use soter_runbook::driver::{Asking, Attempt, Captured, Reply};
use soter_runbook::procedure::{self, Given, Parameters, Step, Terraform, UnknownName, names_in};
use soter_runbook::steps::{self, Action, Place, RESULTS, Work};

use crate::actions::Means;
use crate::there;

/// The script.
const SCRIPT: &str = include_str!("terraform.sh");

/// The variable with values that nobody may read, where they cannot be read from the standard input.
const HIDDEN: &str = "SOTER_TERRAFORM_VARIABLES";

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
        let mut variables = variables(terraform, &attempt.parameters)?;
        if is_destroy(terraform)? {
            variables.arguments.insert(0, "-destroy".to_owned());
        }
        if attempt.step.on.is_some() {
            return self.there(attempt, place, terraform, variables);
        }
        if !variables.hidden.is_empty() {
            variables.arguments.push("-var-file=/dev/stdin".to_owned());
        }
        let attempt_directory = place.attempt(&attempt.step.id, attempt.number);
        let script = child::write_script(&*self.means.disk, &attempt_directory, SCRIPT)
            .map_err(|error| error.to_string())?;
        let text = |path: &Path| path.display().to_string();
        let directory = directory(&self.means, terraform, None, &attempt.parameters)?;
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

    /// The same script on another machine.
    fn there(
        &self,
        attempt: &Attempt,
        place: &Place,
        terraform: &Terraform,
        variables: Variables,
    ) -> Result<Work, String> {
        let on = attempt.step.on.as_deref();
        let directory = directory(&self.means, terraform, on, &attempt.parameters)?;
        let plain = [
            ("SOTER_TERRAFORM_DIRECTORY", directory.display().to_string()),
            ("SOTER_TERRAFORM_GIVES", attempt.step.gives.join(" ")),
            ("TF_IN_AUTOMATION", "1".to_owned()),
            ("TF_INPUT", "0".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let hidden = [(HIDDEN.to_owned(), variables.hidden.into())];
        let told = steps::Variables { plain: plain.into(), hidden: hidden.into() };
        // The first argument of what runs there is the place of the attempt.
        let script = format!("export SOTER_TERRAFORM_ATTEMPT=$1\nshift\n{SCRIPT}");
        let what = (script.as_str(), &variables.arguments[..], "terraform-plan.txt");
        there::process(attempt, place, &self.means, what, told)
    }
}

/// The directory of a configuration, on this machine or another.
pub(crate) fn directory(
    means: &Means,
    terraform: &Terraform,
    on: Option<&str>,
    parameters: &Parameters,
) -> Result<PathBuf, String> {
    let written = parameters.fill(&terraform.directory).map_err(|error| error.to_string())?;
    match on {
        Some(on) if !Path::new(&written).is_absolute() => Err(format!(
            "the directory `{written}` is on `{on}`, where nothing says from where it counts: write \
             its whole path"
        )),
        _ => Ok(means.directory.join(written)),
    }
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
