//! Where the values of a run's parameters come from, each from the source that the plan names.
//!
//! The rule it keeps: what a person says on the command line counts before any source. Secrets, and
//! whatever a credential holds, are hidden from the first moment on.

use std::collections::BTreeMap;
use std::path::Path;

use soter_plan::{Text, nearest};
use soter_runbook::procedure::{Given, Parameter, ParameterSource, Parameters, Procedure};
use soter_runbook::target::Bindings;
use soter_world::{Disk, Secret, durable};

use super::{prompt, variable};
use crate::context::{Context, look_up};
use crate::failure::{Ending, Failure};

/// A longer file is no value.
const FILE_BYTES_MAX: usize = 1 << 20;

/// A value as it was typed, `NAME=VALUE`.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    name: String,
    value: Secret<String>,
}

/// The values that are known, and why others are not.
#[derive(Default)]
pub(crate) struct Values {
    /// By name.
    pub(crate) given: BTreeMap<String, Given>,
    /// Why a value could not be had, by the name of its parameter.
    pub(crate) failed: BTreeMap<String, String>,
}

/// Reads `NAME=VALUE`.
pub(crate) fn typed(text: &str) -> Result<Typed, String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok(Typed { name: name.to_owned(), value: Secret::new(value.to_owned()) })
}

impl Values {
    /// Those that can be had without asking anybody.
    pub(crate) fn gather(
        context: &Context,
        procedure: &Procedure,
        bindings: &Bindings,
        typed: &[Typed],
    ) -> Result<Self, Failure> {
        let mut values = Self::default();
        for one in typed {
            let known = || procedure.parameters.iter().map(|parameter| parameter.name.as_str());
            let Some(parameter) = procedure.parameters.iter().find(|it| it.name == one.name) else {
                return Err(unknown(&one.name, known().collect()));
            };
            if parameter.is_hidden() {
                context.output.warn(&format!(
                    "the value of {} was typed into a command line, where others may read it",
                    one.name
                ));
            }
            values.insert(parameter, one.value.expose().clone());
        }
        for parameter in &procedure.parameters {
            if !values.given.contains_key(&parameter.name) {
                match found(&*context.disk, procedure, bindings, parameter) {
                    Ok(Some(value)) => values.insert(parameter, value),
                    Ok(None) => {}
                    Err(why) => drop(values.failed.insert(parameter.name.clone(), why)),
                }
            }
        }
        Ok(values)
    }

    /// Asks the person at the terminal for those of these that are still missing; whether anything was
    /// asked.
    pub(crate) fn ask<'p>(
        &mut self,
        wanted: impl IntoIterator<Item = &'p Parameter>,
    ) -> Result<bool, Failure> {
        let mut asked = false;
        for parameter in wanted {
            let is_asked = parameter.from == ParameterSource::Ask;
            if is_asked && !self.given.contains_key(&parameter.name) {
                let value = ask(parameter)?;
                self.insert(parameter, value);
                asked = true;
            }
        }
        Ok(asked)
    }

    /// As steps are told them.
    pub(crate) fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::default();
        for (name, value) in &self.given {
            parameters.insert(name, value.clone());
        }
        parameters
    }

    /// Takes a value.
    pub(crate) fn insert(&mut self, parameter: &Parameter, value: String) {
        let given = match parameter.is_hidden() {
            true => Given::Hidden(Secret::new(value)),
            false => Given::Plain(value),
        };
        self.given.insert(parameter.name.clone(), given);
    }
}

fn unknown(name: &str, known: Vec<&str>) -> Failure {
    let what = format!("the scenario has no parameter {name:?}");
    let failure = Failure::new(Ending::Input, what);
    match nearest(name, known.iter().copied()) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None if known.is_empty() => failure.hint("it has none"),
        None => failure.hint(format!("it has: {}", known.join(", "))),
    }
}

/// A value from where the plan says it is; none: a person or a step gives it.
fn found(
    disk: &dyn Disk,
    procedure: &Procedure,
    bindings: &Bindings,
    parameter: &Parameter,
) -> Result<Option<String>, String> {
    let source = parameter.source.as_deref().unwrap_or(&parameter.name);
    Ok(match parameter.from {
        ParameterSource::Ask | ParameterSource::Step => None,
        ParameterSource::Value => parameter.value.clone(),
        ParameterSource::Environment => variable(source).or_else(|| parameter.value.clone()),
        ParameterSource::File => Some(file(disk, Path::new(source))?),
        ParameterSource::Credential => {
            Some(credential(disk, procedure, bindings, source)?.expose().clone())
        }
    })
}

fn file(disk: &dyn Disk, path: &Path) -> Result<String, String> {
    let bytes = durable::read(disk, path, FILE_BYTES_MAX)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is not text", path.display()))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// What a credential of the plan holds where the run happens.
pub(crate) fn credential(
    disk: &dyn Disk,
    procedure: &Procedure,
    bindings: &Bindings,
    name: &str,
) -> Result<Secret<String>, String> {
    resolve(disk, bindings.credential(name, procedure.credentials.get(name))?)
}

/// What a text with references stands for.
pub(crate) fn resolve(disk: &dyn Disk, written: &str) -> Result<Secret<String>, String> {
    let text = Text::parse(written).map_err(|error| error.to_string())?;
    let value = text.resolve(|reference| look_up(disk, reference));
    value.map(Secret::new).map_err(|failure| failure.in_one_line())
}

/// Asks until the answer is of the kind it must be.
fn ask(parameter: &Parameter) -> Result<String, Failure> {
    let about = parameter.about.as_deref().unwrap_or(&parameter.name);
    let mut question = format!("{} ({}", about.trim_end_matches(['.', '?']), parameter.name);
    if let Some(example) = &parameter.example {
        question.push_str(&format!(", such as {example}"));
    }
    if let Some(value) = &parameter.value {
        question.push_str(&format!("; nothing means {value}"));
    }
    question.push_str("):");
    loop {
        let answer = match parameter.is_hidden() {
            true => prompt::secret(&question)?,
            false => prompt::line(&question)?,
        };
        let answer = match (answer.trim().is_empty(), &parameter.value) {
            (true, Some(value)) => value.clone(),
            (true, None) => continue,
            (false, _) => answer,
        };
        match parameter.kind.check(&answer) {
            Ok(()) => return Ok(answer),
            Err(why) => prompt::say(&why),
        }
    }
}
