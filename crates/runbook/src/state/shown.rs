//! Texts of a plan as people see them: with the values of parameters in the places of their names.
//!
//! The rule it keeps: this is the only place that fills them in for people, so that all screens, lines
//! and codes say the same; and it says what is carried out. A value that would look like another one
//! is shown with what makes it different; a secret is `****`; what has no value yet is said to have
//! none.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::{Recorded, State, Status, StepState};
use crate::ids::StepId;
use crate::procedure::{Action, ParameterKind, Procedure, fill_names, names_in};

/// A text of a plan as people see it who know these values.
#[must_use]
pub fn shown(text: &str, procedure: &Procedure, parameters: &BTreeMap<String, Recorded>) -> String {
    let filled = fill_names::<Infallible>(text, |filled, name| {
        match parameters.get(name) {
            Some(Recorded::Value(value)) => push_visibly(filled, value),
            Some(Recorded::Fingerprint(_)) => filled.push_str("****"),
            None if gets_value(procedure, name) => {
                filled.push_str(&format!("({name}: not known yet)"));
            }
            // No parameter: it stands there as it is.
            None => filled.push_str(&format!("${{{name}}}")),
        }
        Ok(())
    });
    match filled {
        Ok(filled) => filled,
        Err(never) => match never {},
    }
}

/// Whether a name is one of a parameter, or of a value that a step gives.
fn gets_value(procedure: &Procedure, name: &str) -> bool {
    procedure.parameters.iter().any(|parameter| parameter.name == name)
        || procedure.steps.iter().any(|step| step.gives.iter().any(|gives| gives == name))
}

impl State {
    /// A text of the plan as people see it now.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        shown(text, &self.begun.procedure, &self.parameters)
    }

    /// The parameters that a text names and that have no value yet.
    pub fn unknown_in<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        names_in(text).filter(|name| {
            !self.parameters.contains_key(*name) && gets_value(&self.begun.procedure, name)
        })
    }

    /// A step whose approval was given for a text that names this parameter.
    pub(crate) fn agreed_to(&self, name: &str) -> Option<&StepId> {
        let agreed = self.steps().find(|step| match &step.step.action {
            Action::Approve { text, .. } => {
                step.status == Status::Done && names_in(text).any(|named| named == name)
            }
            _ => false,
        });
        agreed.map(|step| &step.step.id)
    }

    /// Whether a step gives a secret: until it has ended, nobody but itself knows it, and it may write
    /// it anywhere.
    #[must_use]
    pub fn makes_secret(&self, step: &StepState) -> bool {
        let parameters = self.begun.procedure.parameters.iter();
        let mut secret = parameters.filter(|one| one.kind == ParameterKind::Secret);
        secret.any(|one| step.step.gives.contains(&one.name))
    }
}

/// A value, with what nobody would see of it written out.
fn push_visibly(filled: &mut String, value: &str) {
    for letter in value.chars() {
        // Marks without width, and those that turn the direction of a text.
        let is_unseen = matches!(letter,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}');
        if is_unseen || letter.is_control() {
            filled.extend(letter.escape_default());
        } else {
            filled.push(letter);
        }
    }
}
